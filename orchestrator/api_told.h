/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_told: what satellites tell of, as a stream (server-sent events): what `berth
 * events --follow` prints, for who is elsewhere.
 *
 * Each message is an event "told" with one line of data, {"events": [Told, ...]}.  The first one
 * has the newest events, as `berth events` lists them; what follows is each event that is new or
 * was counted higher, in the order of the store's news.  Its id is the number of the newest news
 * that it brings: a client that comes again with it gets what is behind it, nothing twice.  The
 * stream ends when its token does (orchestrator/api_events).
 */
#ifndef BERTH_ORCHESTRATOR_API_TOLD_H
#define BERTH_ORCHESTRATOR_API_TOLD_H

#include "orchestrator/api_events.h"

struct api_told {
    struct api_events token;  /* store and secret are the caller's to set */
    char satellite[NAME_CAP]; /* "" = all */
    size_t last;              /* how many events to begin with */
    bool began;
    uint64_t told; /* number of the news that was told last */
};

/* From the id after "Last-Event-ID:" on, or from the beginning when there is none.  last: text of
 * the parameter, NULL = EVENT_ROWS_DEFAULT.  RC_API_REQUEST, RC_NO_SATELLITE. */
must_check enum rc api_told_begin(struct api_told *t, const char *satellite, const char *last,
                                  const char *last_id, struct err *err);

/* The next message, which the caller frees; NULL = there is nothing to tell now.  RC_API_AUTH: the
 * token counts no more. */
must_check enum rc api_told_next(struct api_told *t, uint64_t now_ms, char **ret, size_t *ret_n,
                                 struct err *err);

#endif
