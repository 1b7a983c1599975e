/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/match.h"

#include <stdlib.h>

#define BETTER_BY 8U          /* bytes that another alignment has to agree in more */
#define SETTLED 32U           /* bytes of agreement in which no other alignment is looked for */
#define LOOK_AHEAD (1U << 16) /* bytes that are compared at most to find the best alignment */

/* New position i lies at i + delta of the text; only [low, high) of the text belongs to it. */
struct alignment {
    int64_t delta;
    uint64_t low;
    uint64_t high;
};

struct scan {
    const struct match_source *from;
    struct suffix shifted; /* of home's shifted runs */
    uint64_t shifted_at;   /* where they begin in the text */
    struct bytes file;
    struct alignment now;
    uint64_t begin; /* where the current alignment takes over */
    struct match_list *out;
};

static void scan_done(struct scan *s)
{
    suffix_done(&s->shifted);
}

/* Bytes of the new file from i on, and of the text, that an alignment puts beside each other. */
static size_t room_ahead(const struct scan *s, const struct alignment *a, uint64_t i)
{
    int64_t o = (int64_t)i + a->delta;

    if (o < (int64_t)a->low || o >= (int64_t)a->high)
        return 0;

    uint64_t text = a->high - (uint64_t)o;
    uint64_t file = s->file.n - i;

    return text < file ? text : file;
}

static const uint8_t *beside(const struct scan *s, const struct alignment *a, uint64_t i)
{
    return s->from->old->bytes + (int64_t)i + a->delta;
}

/* Bytes from i on that agree without a break. */
static size_t agree(const struct scan *s, uint64_t i, size_t most)
{
    size_t n = room_ahead(s, &s->now, i);

    if (n == 0)
        return 0;
    return suffix_common((struct bytes){ beside(s, &s->now, i), n < most ? n : most },
                         (struct bytes){ s->file.p + i, s->file.n - i });
}

/* Bytes of [i, i + n) that agree at all. */
static size_t score(const struct scan *s, uint64_t i, size_t n)
{
    size_t room = room_ahead(s, &s->now, i);
    size_t sum = 0;

    if (room > n)
        room = n;
    if (room == 0)
        return 0;

    const uint8_t *o = beside(s, &s->now, i);

    for (size_t k = 0; k < room; k++)
        sum += o[k] == s->file.p[i + k];
    return sum;
}

/* The longest match at i, cut at the end of the old file it lies in. */
static struct suffix_hit look(const struct scan *s, uint64_t i)
{
    size_t left = s->file.n - i;
    struct bytes ahead = { s->file.p + i, left < LOOK_AHEAD ? left : LOOK_AHEAD };
    uint64_t near = (uint64_t)((int64_t)i + s->now.delta);
    struct suffix_hit hit = suffix_find(s->from->suffix, ahead, near);
    struct suffix_hit other = suffix_find(&s->shifted, ahead, near - s->shifted_at);

    if (other.n > hit.n)
        hit = (struct suffix_hit){ .at = other.at + s->shifted_at, .n = other.n };
    if (hit.n > BETTER_BY) {
        const struct text_run *run = text_run_of(s->from->old, hit.at);
        uint64_t end = run->at + run->n;

        if (hit.at + hit.n > end)
            hit.n = end - hit.at;
    }
    return hit;
}

/* The next position from i on at which another alignment is clearly better; the file's end when
 * there is none. */
static uint64_t next_anchor(const struct scan *s, uint64_t i, struct alignment *ret)
{
    while (i < s->file.n) {
        size_t run = agree(s, i, SIZE_MAX);

        if (run >= SETTLED) {
            i += run;
            continue;
        }

        struct suffix_hit hit = look(s, i);

        if (hit.n > BETTER_BY && hit.n > score(s, i, hit.n) + BETTER_BY) {
            const struct text_run *r = text_run_of(s->from->old, hit.at);

            *ret = (struct alignment){ .delta = (int64_t)hit.at - (int64_t)i,
                                       .low = r->at,
                                       .high = r->at + r->n };
            return i;
        }
        /* what begins where the two agree and goes on beyond is found again at the mismatch */
        i += run > 0 ? run : 1;
    }
    return i;
}

/* How far the alignment that began at s->begin is worth following towards end: the most agreeing
 * bytes less disagreeing ones. */
static size_t follow(const struct scan *s, uint64_t end)
{
    size_t room = room_ahead(s, &s->now, s->begin);
    int64_t sum = 0;
    int64_t best = 0;
    size_t n = 0;

    if (room > end - s->begin)
        room = end - s->begin;
    for (size_t i = 0; i < room; i++) {
        sum += *beside(s, &s->now, s->begin + i) == s->file.p[s->begin + i] ? 1 : -1;
        if (sum > best) {
            best = sum;
            n = i + 1;
        }
    }
    return n;
}

/* The same backwards from anchor for the alignment to come. */
static size_t reach_back(const struct scan *s, const struct alignment *next, uint64_t anchor)
{
    uint64_t room = (uint64_t)((int64_t)anchor + next->delta) - next->low;
    int64_t sum = 0;
    int64_t best = 0;
    size_t n = 0;

    if (room > anchor - s->begin)
        room = anchor - s->begin;
    for (size_t i = 1; i <= room; i++) {
        sum += *beside(s, next, anchor - i) == s->file.p[anchor - i] ? 1 : -1;
        if (sum > best) {
            best = sum;
            n = i;
        }
    }
    return n;
}

/* Both alignments claim [from, from + n): how many bytes of it the old one should keep. */
static size_t divide(const struct scan *s, const struct alignment *next, uint64_t from, size_t n)
{
    int64_t sum = 0;
    int64_t best = 0;
    size_t keep = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t byte = s->file.p[from + i];

        sum += *beside(s, &s->now, from + i) == byte;
        sum -= *beside(s, next, from + i) == byte;
        if (sum > best) {
            best = sum;
            keep = i + 1;
        }
    }
    return keep;
}

static enum rc emit(struct scan *s, size_t n, struct err *err)
{
    struct match_list *out = s->out;

    if (n == 0)
        return RC_OK;
    if (out->n == out->cap) {
        uint32_t cap = out->cap ? out->cap * 2 : 16;
        struct predict_match *grown = realloc(out->m, cap * sizeof *grown);

        if (!grown)
            return err_set(err, RC_NO_MEMORY, "%u matches", cap);
        out->m = grown;
        out->cap = cap;
    }

    uint64_t at = (uint64_t)((int64_t)s->begin + s->now.delta);
    const struct text_run *run = text_run_of(s->from->old, at);

    out->m[out->n++] = (struct predict_match){ .from = run->from + (at - run->at),
                                               .at = (uint32_t)s->begin,
                                               .size = (uint32_t)n & PREDICT_SIZE_MAX,
                                               .shift = run->shift & 7U };
    return RC_OK;
}

/* From the current alignment to the next one, which was found at anchor. */
static enum rc change_over(struct scan *s, const struct alignment *next, uint64_t anchor,
                           struct err *err)
{
    size_t keep = follow(s, anchor);
    size_t back = reach_back(s, next, anchor);

    if (s->begin + keep > anchor - back) {
        uint64_t from = anchor - back;
        size_t both = s->begin + keep - from;
        size_t kept = divide(s, next, from, both);

        keep = keep - both + kept;
        back -= kept;
    }

    enum rc rc = emit(s, keep, err);

    s->begin = anchor - back;
    s->now = *next;
    return rc;
}

/* Sort the seven shifted copies of the file at the same path. */
static enum rc use_shifted(struct scan *s, struct err *err)
{
    const struct text *old = s->from->old;
    const struct text_run *home = s->from->home;

    for (uint32_t i = old->n_plain; home && i < old->n_runs; i++)
        if (old->runs[i].file == home->file) {
            s->shifted_at = old->runs[i].at;
            return suffix_init((struct bytes){ old->bytes + s->shifted_at, 7 * old->runs[i].n },
                               &s->shifted, err);
        }
    return RC_OK;
}

enum rc match_find(const struct match_source *from, struct bytes file, bool bits,
                   struct match_list *ret, struct err *err)
{
    scoped(scan_done) struct scan s = { .from = from, .file = file, .out = ret };
    enum rc rc = bits ? use_shifted(&s, err) : RC_OK;
    uint64_t anchor = 0;
    const struct text_run *home = from->home;

    if (home)
        s.now = (struct alignment){ .delta = (int64_t)home->at,
                                    .low = home->at,
                                    .high = home->at + home->n };
    while (rc == RC_OK) {
        struct alignment next = { .delta = 0 };

        anchor = next_anchor(&s, anchor, &next);
        if (anchor == file.n)
            return emit(&s, follow(&s, file.n), err);
        rc = change_over(&s, &next, anchor, err);
    }
    return rc;
}

void match_list_done(struct match_list *list)
{
    free(list->m);
    *list = (struct match_list){ .m = NULL };
}
