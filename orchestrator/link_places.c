/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/link_places.h"

struct room {
    struct link_place *place;
    size_t n;
    size_t max;
    size_t open;
    size_t urgent;     /* of the open ones */
    size_t urgent_max; /* that they may push others out for */
    uint64_t now_ms;
};

/* How willingly one gives its place to another, 0 = not. */
static unsigned gives(const struct room *r, const struct link_place *p, bool to_urgent)
{
    const bool had_its_time = r->now_ms - p->since_ms >= LINK_HOLD_MS;

    if (!p->open)
        return 0;
    if (!p->wants)
        return 3;
    if (!p->urgent)
        return (to_urgent ? r->urgent < r->urgent_max : had_its_time) ? 2 : 0;
    return had_its_time && (to_urgent || r->urgent > r->urgent_max) ? 1 : 0;
}

/* Who gives its place up; NULL = nobody. */
static struct link_place *giver(const struct room *r, bool to_urgent)
{
    struct link_place *best = NULL;
    unsigned most = 0;

    for (size_t i = 0; i < r->n; i++) {
        struct link_place *p = &r->place[i];
        const unsigned now = gives(r, p, to_urgent);
        const uint64_t at = now == 3 ? p->used_ms : p->since_ms;

        if (now > most ||
            (now > 0 && now == most && at < (now == 3 ? best->used_ms : best->since_ms)))
            best = p;
        most = now > most ? now : most;
    }
    return best;
}

static bool take(struct room *r, struct link_place *p)
{
    struct link_place *from = r->open >= r->max ? giver(r, p->urgent) : NULL;

    if (r->open >= r->max && !from)
        return false;
    if (from) {
        from->open = false;
        from->gave = true;
        r->open--;
        r->urgent -= from->urgent;
    }
    p->open = true;
    p->since_ms = p->used_ms = r->now_ms;
    r->open++;
    r->urgent += p->urgent;
    return true;
}

/* One time round, from whose turn it is. */
static void go_round(struct room *r, size_t *next, bool urgent)
{
    const size_t first = *next < r->n ? *next : 0;

    for (size_t k = 0; k < r->n; k++) {
        const size_t i = (first + k) % r->n;
        struct link_place *p = &r->place[i];

        if (p->open || p->gave || !p->wants || p->urgent != urgent)
            continue;
        if (!take(r, p))
            return;
        *next = i + 1;
    }
}

void link_places_share(struct link_places *places, struct link_place *place, size_t n, size_t max,
                       uint64_t now_ms)
{
    struct room r = { .place = place, .n = n, .max = max, .now_ms = now_ms };

    r.urgent_max = max - (max > 1 && max < 4 ? 1 : max / 4);
    for (size_t i = 0; i < n; i++) {
        place[i].wants = place[i].wants || place[i].urgent;
        place[i].gave = false;
        r.open += place[i].open;
        r.urgent += place[i].open && place[i].urgent;
    }
    go_round(&r, &places->next_urgent, true);
    go_round(&r, &places->next, false);
}
