/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/suffix.h"

#include <divsufsort.h>
#include <stdlib.h>

#define PAIRS 65536U
#define NEAR_LOOKS 32U /* places of the same bytes that are looked at, in either direction */

size_t suffix_common(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t x;
        uint64_t y;

        memcpy(&x, a.p + i, 8);
        memcpy(&y, b.p + i, 8);
        if (x != y)
            return i + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

static unsigned pair_at(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Count the suffixes of at least two bytes by their first two, and sum up.  The one-byte suffix at
 * the end sorts before its group, hence the correction. */
static void count_pairs(struct suffix *s)
{
    struct bytes text = s->text;
    unsigned last = (unsigned)text.p[text.n - 1] << 8;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < text.n; i++)
        s->first[pair_at(text.p + i)]++;
    for (unsigned i = 0; i <= PAIRS; i++) {
        uint32_t here = s->first[i];

        sum += i == last;
        s->first[i] = sum;
        sum += here;
    }
}

enum rc suffix_init(struct bytes text, struct suffix *ret, struct err *err)
{
    struct suffix s = { .text = text };

    if (text.n > SUFFIX_TEXT_MAX)
        return err_set(err, RC_TOO_LARGE, "text of %zu bytes to sort", text.n);
    if (text.n < 2) {
        *ret = s;
        return RC_OK;
    }
    s.order = malloc(text.n * sizeof *s.order);
    s.first = calloc(PAIRS + 1, sizeof *s.first);
    if (!s.order || !s.first || divsufsort(text.p, s.order, (int32_t)text.n) != 0) {
        suffix_done(&s);
        return err_set(err, RC_NO_MEMORY, "sorting %zu bytes", text.n);
    }
    count_pairs(&s);
    *ret = s;
    return RC_OK;
}

void suffix_done(struct suffix *s)
{
    free(s->order);
    free(s->first);
    *s = (struct suffix){ .order = NULL };
}

/* Bytes that the suffix at order[i] shares with the pattern; from of them are known to be, unless
 * it is the one suffix of a single byte, which lies at the edge of a group of pairs. */
static size_t shared(const struct suffix *s, uint32_t i, struct bytes pattern, size_t from)
{
    size_t at = (size_t)s->order[i];

    if (s->text.n - at < from)
        from = 0;
    at += from;
    return from + suffix_common((struct bytes){ s->text.p + at, s->text.n - at },
                                (struct bytes){ pattern.p + from, pattern.n - from });
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* The nearest of the places with the same n bytes as order[i]. */
static uint64_t nearest(const struct suffix *s, uint32_t i, struct bytes pattern, uint64_t near)
{
    uint32_t low = s->first[pair_at(pattern.p)];
    uint32_t high = s->first[pair_at(pattern.p) + 1];
    uint64_t best = (uint64_t)s->order[i];

    for (uint32_t k = i; k > low && i - k < NEAR_LOOKS; k--) {
        uint64_t at = (uint64_t)s->order[k - 1];

        if (s->text.n - at < pattern.n || memcmp(s->text.p + at, pattern.p, pattern.n) != 0)
            break;
        best = distance(at, near) < distance(best, near) ? at : best;
    }
    for (uint32_t k = i + 1; k < high && k - i <= NEAR_LOOKS; k++) {
        uint64_t at = (uint64_t)s->order[k];

        if (s->text.n - at < pattern.n || memcmp(s->text.p + at, pattern.p, pattern.n) != 0)
            break;
        best = distance(at, near) < distance(best, near) ? at : best;
    }
    return best;
}

/* Binary search that never compares again what both ends share with the pattern. */
struct suffix_hit suffix_find(const struct suffix *s, struct bytes pattern, uint64_t near)
{
    if (!s->order || pattern.n < 2)
        return (struct suffix_hit){ .n = 0 };
    uint32_t low = s->first[pair_at(pattern.p)];
    uint32_t high = s->first[pair_at(pattern.p) + 1];
    size_t low_n = 2;
    size_t high_n = 2;
    struct suffix_hit best = { .n = 0 };
    uint32_t place = 0;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        size_t n = shared(s, mid, pattern, low_n < high_n ? low_n : high_n);
        size_t at = (size_t)s->order[mid];

        if (n > best.n) {
            best = (struct suffix_hit){ .at = at, .n = n };
            place = mid;
        }
        if (n == pattern.n)
            break;
        if (at + n == s->text.n || s->text.p[at + n] < pattern.p[n]) {
            low = mid + 1;
            low_n = n;
        } else {
            high = mid;
            high_n = n;
        }
    }
    if (best.n >= 2)
        best.at = nearest(s, place, (struct bytes){ pattern.p, (size_t)best.n }, near);
    return best;
}
