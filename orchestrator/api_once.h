/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_once: a change that is asked for twice is made once (Idempotency-Key, as
 * draft-ietf-httpapi-idempotency-key-header describes it).
 *
 * A key is its client's choice: it counts for one token and one request, and whoever sends it with
 * another one is refused.  It is in the store before the change is begun and gets the answer when
 * that is made, so two servers, a server that comes again, and a client that does agree: a request
 * whose answer was lost on the way is never made again, and never said to be done.
 */
#ifndef BERTH_ORCHESTRATOR_API_ONCE_H
#define BERTH_ORCHESTRATOR_API_ONCE_H

#include "orchestrator/api_answer.h"
#include "orchestrator/store.h"

#define API_ONCE_MS (24LLU * 3600 * 1000) /* so long an answer is given again */
#define API_ONCE_EACH 128U                /* keys of a token, the newest */
#define API_ONCE_ALL 4096U
#define API_ONCE_TEXT_MAX ((size_t)64 * 1024) /* of an answer that is kept */

/* Note that the request with this key is begun, for the token of this secret.  ret_kept->text is
 * NULL then, and api_once_end has to follow; else it is what was answered before.  RC_API_REQUEST:
 * not a key (1 to 64 of A-Z a-z 0-9 . _ ~ + / = : -).  RC_API_KEY: it came with another request.
 * RC_API_KEY_OPEN: it is being made, or its answer was lost, or too large to be kept. */
must_check enum rc api_once_begin(struct store *store, const char *secret, const char *key,
                                  const struct api_request *request, uint64_t now_ms,
                                  struct store_once *ret, struct api_answer *ret_kept,
                                  struct err *err);

/* What is kept of the answer to a plan that was carried out, when it is too large: of a command's
 * JSON the members that are no lists or objects, and the list of rollouts; of what was printed the
 * end of it.  The caller frees ret->text, which is NULL where there is no such thing. */
void api_once_shorten(const struct api_answer *answer, struct api_answer *ret);

/* Keep what is answered. */
must_check enum rc api_once_end(struct store *store, const struct store_once *once,
                                const struct api_answer *answer, struct err *err);

#endif
