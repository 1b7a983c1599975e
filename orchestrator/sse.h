/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sse: server-sent events (WHATWG HTML section 9.2) as a stranger sends them, byte by
 * byte.  Pure.  Taken: the fields event, id and data, of which a message has one line each;
 * comments and other fields are read past.  A line is bounded by SSE_LINE_MAX.
 */
#ifndef BERTH_ORCHESTRATOR_SSE_H
#define BERTH_ORCHESTRATOR_SSE_H

#include "base/bytes.h"
#include "base/err.h"

#define SSE_LINE_MAX ((size_t)4 * 1024 * 1024)
#define SSE_WORD_CAP 32U

struct sse_message {
    const char *event; /* "" = none was said */
    const char *id;    /* the same */
    struct bytes data;
};

struct sse {
    uint8_t *line; /* owned, as what follows */
    size_t n, cap;
    uint8_t *kept;     /* line of the data of this message, NULL = none yet */
    struct bytes data; /* in there */
    char event[SSE_WORD_CAP], id[SSE_WORD_CAP];
};

/* Take bytes; fn is called for each message that ends in them, and what it returns other than RC_OK
 * ends it.  RC_API_SERVER: no stream of this form.  Not to be fed again after a failure. */
must_check enum rc sse_feed(struct sse *sse, struct bytes in,
                            enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err),
                            void *arg, struct err *err);
void sse_done(struct sse *sse); /* scope cleaner */

#endif
