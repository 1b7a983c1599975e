/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_events: what happens, as a stream (server-sent events, WHATWG HTML section 9.2).
 *
 * Entries of the audit log are events "audit" whose id is their number: a client that comes again
 * with Last-Event-ID gets what it missed.  Every other change of the store is an event "changed"
 * that only says so; the client asks for what it shows.  A stream ends when its token
 * does: that is looked up when the log has a new entry, as every change of tokens makes one, and
 * once a second, for the time that it counts; not for each event that is told.
 */
#ifndef BERTH_ORCHESTRATOR_API_EVENTS_H
#define BERTH_ORCHESTRATOR_API_EVENTS_H

#include "orchestrator/api.h"
#include "orchestrator/store.h"

#define API_EVENTS_BACK 1000U /* entries of the audit log that a client may have missed */

struct api_events {
    struct store *store; /* its own */
    const char *secret;
    struct api_who who; /* of the secret, as it was looked up last */
    uint64_t last;      /* number of the audit entry that was told last */
    uint64_t version;   /* of the store */
    bool began;
    uint64_t head; /* newest entry when the token was looked up; of `lookups` times */
    uint64_t looked_at_s;
    uint64_t lookups;
};

/* The number after "Last-Event-ID:", or the newest entry's when there is none. */
must_check enum rc api_events_begin(struct api_events *e, const char *last_id, struct err *err);

/* An id that a client was told. */
must_check enum rc api_events_id(const char *text, uint64_t *ret, struct err *err);

/* Look the token up, if it may have ended since.  RC_API_AUTH. */
must_check enum rc api_events_check(struct api_events *e, uint64_t now_ms, struct err *err);

/* What there is to tell now, at most cap - 1 bytes and NUL: 0 = nothing.  Call it again until then.
 * RC_API_AUTH: the token counts no more. */
must_check enum rc api_events_next(struct api_events *e, uint64_t now_ms, char *out, size_t cap,
                                   size_t *ret_n, struct err *err);

#endif
