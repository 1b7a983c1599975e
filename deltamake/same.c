/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/same.h"

#include <stdlib.h>

/* The list being sorted: qsort's comparison sees content and number. */
struct entry {
    struct bytes content;
    uint32_t i;
};

static int by_content(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int c = (x->content.n > y->content.n) - (x->content.n < y->content.n);

    if (c == 0 && x->content.n > 0)
        c = memcmp(x->content.p, y->content.p, x->content.n);
    return c ? c : (x->i > y->i) - (x->i < y->i);
}

bool same_find(const struct bytes *files, uint32_t n, uint32_t *first)
{
    scoped(free_ptr) struct entry *sorted = malloc(((size_t)n + 1) * sizeof *sorted);

    if (!sorted)
        return false;
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = (struct entry){ .content = files[i], .i = i };
    qsort(sorted, n, sizeof *sorted, by_content);
    for (uint32_t k = 0; k < n; k++)
        first[sorted[k].i] = k > 0 && bytes_equal(sorted[k - 1].content, sorted[k].content)
                                 ? first[sorted[k - 1].i]
                                 : sorted[k].i;
    return true;
}
