/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fetch: asks a ground's API, in berth-http, the program beside this one.  What comes
 * back is a stranger's until somebody has read it.
 */
#ifndef BERTH_ORCHESTRATOR_FETCH_H
#define BERTH_ORCHESTRATOR_FETCH_H

#include "base/bytes.h"
#include "orchestrator/context.h"

#define FETCH_ANSWER_MAX ((size_t)128 * 1024 * 1024)

struct fetch {
    const char *method;      /* GET or POST */
    const char *path;        /* from "/v1" on, with its query */
    const char *accept;      /* media type */
    const char *idempotency; /* NULL = none */
    struct bytes body;
};

struct fetched {
    unsigned status; /* of HTTP, 200 to 599 */
    struct bytes body;
    uint8_t *owned;
};
void fetched_done(struct fetched *fetched); /* scope cleaner */

/* Ask.  RC_API_SERVER: there is no answer; RC_TIMEOUT; RC_API_AUTH: the server is not the one of
 * the context's certificate, or the token cannot be used. */
must_check enum rc fetch_run(const struct context *context, const struct fetch *fetch,
                             struct fetched *ret, struct err *err);

/* Ask for a stream of events (accept and idempotency are not looked at) that goes on behind
 * last_event (NULL = from its beginning), and give each message to fn until the stream ends or fn
 * fails; what fn returned then comes back.  *ret_opened: it was one, and not an answer: that is in
 * *ret.  The codes of fetch_run; RC_API_SERVER: what came is no such stream. */
struct sse_message;
must_check enum rc
fetch_stream(const struct context *context, const struct fetch *fetch, const char *last_event,
             enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err), void *arg,
             bool *ret_opened, struct fetched *ret, struct err *err);

/* What berth-http printed, pure.  RC_API_SERVER. */
must_check enum rc fetched_parse(struct bytes in, struct fetched *ret, struct err *err);

#endif
