/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/event_news.h"

#include <stdlib.h>
#include <string.h>

static int by_number(const void *a, const void *b)
{
    const struct store_event *x = a, *y = b;
    const int c = strcmp(x->satellite, y->satellite);

    return c != 0 ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

size_t event_news(struct store_event *before, size_t n_before, size_t most, struct store_event *now,
                  size_t n_now)
{
    const uint64_t oldest_ms = n_before > 0 && n_before == most ? before[0].received_ms : 0;
    size_t n = 0;

    if (n_before > 0)
        qsort(before, n_before, sizeof *before, by_number);
    for (size_t i = 0; i < n_now; i++) {
        const struct store_event *known =
            n_before > 0 ? bsearch(&now[i], before, n_before, sizeof *before, by_number) : NULL;

        if (known ? now[i].count > known->count : now[i].received_ms >= oldest_ms)
            now[n++] = now[i];
    }
    return n;
}
