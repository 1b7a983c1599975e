/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/events.h"

#include <assert.h>
#include <string.h>

void events_init(struct events *events, uint64_t seq)
{
    *events = (struct events){ .seq = seq };
}

static void copy_printable(char *to, size_t cap, const char *from)
{
    size_t n = 0;

    for (; n + 1 < cap && from[n] != '\0'; n++)
        to[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
    memset(to + n, 0, cap - n);
}

bool events_add(struct events *events, enum rc code, uint32_t count, const char *what)
{
    struct report_event e = { .code = (uint32_t)code, .count = count };

    assert(count > 0);
    copy_printable(e.what, sizeof e.what, what);
    if (events->n > 0) {
        uint32_t newest = (events->first + events->n - 1) % REPORT_EVENTS_MAX;
        struct report_event *last = &events->ring[newest];

        if (last->code == e.code && strcmp(last->what, e.what) == 0) {
            last->count = count > UINT32_MAX - last->count ? UINT32_MAX : last->count + count;
            return false;
        }
    }
    e.seq = ++events->seq;
    if (events->n == REPORT_EVENTS_MAX) {
        events->ring[events->first] = e;
        events->first = (events->first + 1) % REPORT_EVENTS_MAX;
    } else {
        events->ring[(events->first + events->n++) % REPORT_EVENTS_MAX] = e;
    }
    return true;
}

uint32_t events_copy(const struct events *events, struct report_event *ret, uint32_t cap)
{
    uint32_t n = events->n < cap ? events->n : cap;

    for (uint32_t i = 0; i < n; i++)
        ret[i] = events->ring[(events->first + events->n - n + i) % REPORT_EVENTS_MAX];
    return n;
}
