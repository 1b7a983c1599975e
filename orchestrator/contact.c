/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/contact.h"

#include <assert.h>
#include <stdlib.h>

#define CONTACTS_FIRST 64U
#define REFINE_MS 1000 /* how well a crossing of an elevation is known */
#define MS_BITS_PER_BYTE 8000
#define MEAN_PART 8 /* RFC 6298: alpha is an eighth, beta a quarter */
#define DEVIATION_PART 4

/* ---- the list ------------------------------------------------------------------------------- */

void contacts_free(struct contacts *list)
{
    free(list->at);
    *list = (struct contacts){ 0 };
}

static enum rc grow(struct contacts *list, struct err *err)
{
    size_t cap = list->cap == 0 ? CONTACTS_FIRST : 2 * list->cap;

    if (list->n < list->cap)
        return RC_OK;
    if (list->n >= CONTACTS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u contacts", CONTACTS_MAX);
    struct contact *at = realloc(list->at, cap * sizeof *at);

    if (!at)
        return err_set(err, RC_NO_MEMORY, "%zu contacts", cap);
    list->at = at;
    list->cap = cap;
    return RC_OK;
}

/* The i-th of n equal parts of a value; the parts add up to it. */
static uint64_t part(uint64_t value, uint64_t i, uint64_t n)
{
    return value / n + (i < value % n);
}

enum rc contacts_add(struct contacts *list, const struct contact *contact, struct err *err)
{
    int64_t length;

    if (__builtin_sub_overflow(contact->los_ms, contact->aos_ms, &length) || length <= 0 ||
        length > SKY_SPAN_MAX_MS)
        return err_set(err, RC_VALUE, "contact of station %u: begins and ends", contact->station);
    int64_t parts = (length + CONTACT_LONGEST_MS - 1) / CONTACT_LONGEST_MS;
    enum rc rc = RC_OK;

    for (int64_t i = 0; rc == RC_OK && i < parts; i++) {
        struct contact c = *contact;

        c.aos_ms = contact->aos_ms + length * i / parts;
        c.los_ms = contact->aos_ms + length * (i + 1) / parts;
        c.room = part(contact->room, (uint64_t)i, (uint64_t)parts);
        c.capacity = part(contact->capacity, (uint64_t)i, (uint64_t)parts);
        rc = grow(list, err);
        if (rc == RC_OK)
            list->at[list->n++] = c;
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct contact *x = a;
    const struct contact *y = b;

    if (x->aos_ms != y->aos_ms)
        return x->aos_ms < y->aos_ms ? -1 : 1;
    if (x->station != y->station)
        return x->station < y->station ? -1 : 1;
    if (x->satellite != y->satellite)
        return x->satellite < y->satellite ? -1 : 1;
    if (x->los_ms != y->los_ms)
        return x->los_ms < y->los_ms ? -1 : 1;
    return 0;
}

void contacts_sort(struct contacts *list)
{
    if (list->n > 1)
        qsort(list->at, list->n, sizeof list->at[0], compare);
}

size_t contacts_first(const struct contacts *contacts, int64_t from_ms)
{
    size_t low = 0, high = contacts->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (contacts->at[middle].aos_ms < from_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- states --------------------------------------------------------------------------------- */

/* clang-format off */
#define TO(state) ((state) + 1U) /* an empty cell is refused */
static const unsigned char moves[CONTACT_STATES][CONTACT_EVENTS] = {
    [CONTACT_PREDICTED] = { [CONTACT_RESERVE] = TO(CONTACT_RESERVED) },
    [CONTACT_RESERVED]  = { [CONTACT_RELEASE] = TO(CONTACT_PREDICTED), [CONTACT_BEGIN] = TO(CONTACT_EXECUTING),
                            [CONTACT_MISS]    = TO(CONTACT_FAILED) },
    [CONTACT_EXECUTING] = { [CONTACT_HEAR]    = TO(CONTACT_DONE),      [CONTACT_MISS]  = TO(CONTACT_FAILED) },
};
/* clang-format on */
static_assert(CONTACT_PREDICTED == 0, "an all-zero contact promises nothing");

enum rc contact_move(struct contact *contact, enum contact_event event, struct err *err)
{
    unsigned char to = moves[contact->state][event];

    if (to == 0)
        return err_set(err, RC_TRANSITION, "contact is %s", contact_state_text(contact->state));
    contact->state = (enum contact_state)(to - 1);
    return RC_OK;
}

void contact_clock(struct contact *contact, int64_t now_ms, int64_t grace_ms)
{
    if (contact->state == CONTACT_RESERVED && now_ms >= contact->aos_ms)
        (void)!contact_move(contact, CONTACT_BEGIN, NULL);
    if (contact->state == CONTACT_EXECUTING && now_ms - grace_ms >= contact->los_ms)
        (void)!contact_move(contact, CONTACT_MISS, NULL);
}

const char *contact_state_text(enum contact_state state)
{
    static const char *const text[CONTACT_STATES] = { "predicted", "reserved", "executing", "done",
                                                      "failed" };

    return state < CONTACT_STATES ? text[state] : "?";
}

/* ---- room ----------------------------------------------------------------------------------- */

/* When the elevation passes `from` between a time at which it is lower and one at which it is not.
 */
static int64_t crossing(const struct contact_view *view, int64_t low, int64_t high, double from)
{
    while (llabs(high - low) > REFINE_MS) {
        int64_t middle = low + (high - low) / 2;

        if (view->elevation(view->arg, middle) < from)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* How long, in ms, the elevation is at least `from` after the link is set up. */
static int64_t time_above(const struct sky_pass *pass, const struct contact_view *view,
                          int64_t start, double from)
{
    int64_t top = pass->top_ms;
    int64_t up = pass->aos_ms, down = pass->los_ms;

    if (top < up)
        top = up;
    if (top > down)
        top = down;
    if (view->elevation(view->arg, top) < from)
        return 0;
    if (view->elevation(view->arg, up) < from)
        up = crossing(view, up, top, from);
    if (view->elevation(view->arg, down) < from)
        down = crossing(view, down, top, from);
    if (up < start)
        up = start;
    return down > up ? down - up : 0;
}

/* ms * bit/s */
static uint64_t bits(int64_t ms, uint64_t rate)
{
    static_assert(CONTACT_RATE_MAX * (uint64_t)CONTACT_LONGEST_MS < UINT64_MAX, "no overflow");
    assert(rate <= CONTACT_RATE_MAX);
    return (uint64_t)ms * rate;
}

/* Of at most CONTACT_LONGEST_MS. */
static uint64_t room_of_part(const struct contact_link *link, const struct sky_pass *pass,
                             int64_t start, const struct contact_view *view)
{
    int64_t ms = pass->los_ms - start;
    uint64_t sum = 0;
    uint64_t rate = link->rate;

    if (ms <= 0)
        return 0;
    for (uint32_t i = 0; i < link->n_steps; i++) {
        int64_t above = time_above(pass, view, start, link->step[i].from);

        if (above > ms)
            above = ms;
        sum += bits(ms - above, rate);
        ms = above;
        rate = link->step[i].rate;
    }
    sum += bits(ms, rate);
    return contact_expect(sum / MS_BITS_PER_BYTE, CONTACT_PPM - link->overhead_ppm);
}

uint64_t contact_room(const struct contact_link *link, const struct sky_pass *pass,
                      const struct contact_view *view)
{
    struct sky_pass piece = *pass;
    int64_t start = pass->aos_ms + link->setup_ms;
    uint64_t sum = 0;

    assert(link->overhead_ppm <= CONTACT_PPM);
    while (piece.aos_ms < pass->los_ms) {
        piece.los_ms = pass->los_ms - piece.aos_ms > CONTACT_LONGEST_MS
                           ? piece.aos_ms + CONTACT_LONGEST_MS
                           : pass->los_ms;
        sum += room_of_part(link, &piece, start > piece.aos_ms ? start : piece.aos_ms, view);
        piece.aos_ms = piece.los_ms;
    }
    return sum;
}

uint64_t contact_expect(uint64_t room, uint32_t goodput_ppm)
{
    return room / CONTACT_PPM * goodput_ppm + room % CONTACT_PPM * goodput_ppm / CONTACT_PPM;
}

/* ---- goodput -------------------------------------------------------------------------------- */

struct contact_goodput contact_prior(const struct contact_link *link)
{
    return (struct contact_goodput){ .mean_ppm = link->goodput_ppm,
                                     .deviation_ppm = link->goodput_ppm / 4 };
}

/* a / b in parts per million, at most all. */
static int64_t ratio(uint64_t a, uint64_t b)
{
    while (a > UINT64_MAX / CONTACT_PPM) {
        a /= 2;
        b /= 2;
    }
    return a >= b ? CONTACT_PPM : (int64_t)(a * CONTACT_PPM / b);
}

/* value moved towards a target by weight / part. */
static int64_t towards(int64_t value, int64_t target, int64_t weight, int64_t part_of)
{
    return value + (target - value) * weight / (part_of * CONTACT_PPM);
}

void contact_learn(struct contact_goodput *g, uint64_t room, uint64_t offered, uint64_t arrived)
{
    if (offered == 0 || room == 0)
        return;
    int64_t weight = ratio(offered, room);
    int64_t x = ratio(arrived, offered < room ? offered : room);
    int64_t off = llabs((int64_t)g->mean_ppm - x);
    int64_t mean = towards(g->mean_ppm, x, weight, MEAN_PART);

    g->deviation_ppm = (uint32_t)towards(g->deviation_ppm, off, weight, DEVIATION_PART);
    g->mean_ppm = (uint32_t)(mean < CONTACT_GOODPUT_MIN ? CONTACT_GOODPUT_MIN : mean);
    g->contacts += g->contacts < UINT32_MAX;
}
