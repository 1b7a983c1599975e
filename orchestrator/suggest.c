/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/suggest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows at a time. */
size_t suggest_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_LEN_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > SUGGEST_LEN_MAX || nb > SUGGEST_LEN_MAX)
        return SUGGEST_LEN_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3];
        const size_t *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], up2[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *suggest_nearest(const char *word, const char *const *candidates)
{
    size_t limit = strlen(word) / 3 + 1, best = limit + 1;
    const char *nearest = NULL;

    for (; *candidates; candidates++) {
        size_t d = suggest_distance(word, *candidates);

        if (d < best) {
            best = d;
            nearest = *candidates;
        }
    }
    return nearest;
}
