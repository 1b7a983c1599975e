/* SPDX-License-Identifier: Apache-2.0
 *
 * What may go to a satellite now, and what of it next: rules that must hold for any queue, on
 * random ones; passes, minute by minute; and what passes have come to.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/dispatch.h"
#include "orchestrator/settle.h"

#define START 1796040000000LL
#define MINUTE 60000LL
#define QUEUES 300U
#define ITEMS 24U
#define MESSAGE 66000U /* the longest, in bytes */

static uint64_t seed;

static uint64_t below(uint64_t n) /* splitmix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % n;
}

struct queue {
    struct shares shares;
    struct dispatch_turns turns;
    size_t n;
    struct dispatch_item item[ITEMS];
};

static void measure(struct dispatch_item *item)
{
    const uint64_t chunk = 30000 + 256;

    item->next = item->left + 256 < chunk ? item->left + 256 : chunk;
}

static void make_queue(struct queue *q, uint64_t number, bool quotas)
{
    seed = number;
    *q = (struct queue){ .n = 1 + below(ITEMS) };
    q->shares.n = 1 + (uint32_t)below(5);
    for (uint32_t i = 0; i < q->shares.n; i++)
        q->shares.tenant[i] =
            (struct schedule_tenant){ .weight = 1 + (uint32_t)below(9),
                                      .daily_bytes = quotas ? 1 + below(200000) : 0 };
    for (size_t i = 0; i < q->n; i++) {
        q->item[i] = (struct dispatch_item){
            .class = (enum schedule_class)below(SCHEDULE_CLASSES),
            .tenant = below(6) == 0 ? SCHEDULE_OPERATOR : (uint32_t)below(q->shares.n),
            .wave = (uint32_t)below(3),
            .left = 1 + below(300000),
        };
        measure(&q->item[i]);
    }
}

/* Let one message go; false if none may.  *ret: of which item. */
static bool go(struct queue *q, uint64_t *room, size_t *ret)
{
    const size_t i = dispatch_pick(&q->turns, &q->shares, q->item, q->n, *room);

    if (i == q->n)
        return false;
    struct dispatch_item *item = &q->item[i];
    const uint64_t bytes = item->next, body = bytes - 256;

    *ret = i;
    *room -= *room < bytes ? *room : bytes;
    dispatch_sent(&q->turns, &q->shares, item, bytes);
    item->left -= body;
    measure(item);
    if (item->left == 0)
        *item = q->item[--q->n];
    return true;
}

static bool is_used_up(const struct queue *q, const struct dispatch_item *item)
{
    const struct schedule_tenant *t =
        item->tenant == SCHEDULE_OPERATOR ? NULL : &q->shares.tenant[item->tenant];

    return t && t->daily_bytes > 0 && t->used_bytes >= t->daily_bytes;
}

/* Nothing of a lower class goes while one of a higher may; within a tenant and class the earliest
 * wave goes, and of it the shortest. */
static void classes_go_in_order(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < QUEUES; n++) {
        static struct queue q, before;
        uint64_t room = UINT64_MAX;
        size_t at = 0;

        make_queue(&q, n, n % 2 == 0);
        for (before = q; go(&q, &room, &at); before = q)
            for (size_t i = 0; i < before.n; i++) {
                const struct dispatch_item *went = &before.item[at], *other = &before.item[i];

                if (is_used_up(&before, other))
                    continue;
                assert_true(went->class <= other->class);
                if (went->class == other->class && went->tenant == other->tenant)
                    assert_true(went->wave < other->wave ||
                                (went->wave == other->wave && went->left <= other->left));
            }
    }
}

/* Everything goes in the end, a tenant's day goes over by a message at most, and what is left then
 * is of tenants that have used theirs up. */
static void nobody_starves(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < QUEUES; n++) {
        static struct queue q;
        uint64_t room = UINT64_MAX;
        uint32_t messages = 0;
        size_t at = 0;

        make_queue(&q, n, n % 2 == 0);
        while (go(&q, &room, &at))
            assert_true(++messages < 10000);
        for (size_t i = 0; i < q.n; i++)
            assert_true(is_used_up(&q, &q.item[i]));
        for (uint32_t i = 0; i < q.shares.n; i++)
            if (q.shares.tenant[i].daily_bytes > 0)
                assert_true(q.shares.tenant[i].used_bytes <
                            q.shares.tenant[i].daily_bytes + MESSAGE);
    }
}

/* Tenants that always have something get bytes by their weights, at every moment, whatever is cut
 * off where: to within a turn and a message of each. */
static void shares_are_fair(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < QUEUES; n++) {
        static struct queue q;
        uint64_t sent[5] = { 0 };

        make_queue(&q, n, false);
        q.n = q.shares.n;
        for (uint32_t i = 0; i < q.shares.n; i++)
            q.item[i] = (struct dispatch_item){
                .class = SCHEDULE_ROLLOUT, .tenant = i, .left = 1, .next = 257 + below(MESSAGE)
            };
        for (uint32_t k = 0; k < 500; k++) {
            const uint64_t room = below(20) == 0 ? below(MESSAGE) : UINT64_MAX;
            const size_t at = dispatch_pick(&q.turns, &q.shares, q.item, q.n, room);

            if (at == q.n) /* the pass is over; the next one goes on */
                continue;
            assert_true(q.item[at].next <= room);
            sent[at] += q.item[at].next;
            dispatch_sent(&q.turns, &q.shares, &q.item[at], q.item[at].next);
            q.item[at].next = 257 + below(MESSAGE);
            for (uint32_t i = 0; i < q.shares.n; i++) {
                const double mine = (double)sent[at] / q.shares.tenant[at].weight;
                const double theirs = (double)sent[i] / q.shares.tenant[i].weight;

                assert_true(mine - theirs <= SCHEDULE_CHUNK + 2.0 * (MESSAGE + 257));
            }
        }
    }
}

/* Asked twice it says the same, and the same queue goes the same way. */
static void it_is_deterministic(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < QUEUES; n++) {
        static struct queue q, twin;
        uint64_t room = UINT64_MAX, other = UINT64_MAX;
        size_t at = 0, again = 0;

        make_queue(&q, n, n % 2 == 0);
        twin = q;
        while (go(&q, &room, &at)) {
            (void)dispatch_pick(&twin.turns, &twin.shares, twin.item, twin.n, other);
            assert_true(go(&twin, &other, &again));
            assert_int_equal(at, again);
        }
        assert_false(go(&twin, &other, &again));
    }
}

/* Whose turn it is waits for room; nobody smaller goes instead.  Trust goes beyond it. */
static void room_is_kept_but_for_trust(void **state)
{
    struct dispatch_item item[] = {
        { .class = SCHEDULE_ROLLOUT, .tenant = SCHEDULE_OPERATOR, .left = 9000, .next = 9256 },
        { .class = SCHEDULE_PREFETCH, .tenant = SCHEDULE_OPERATOR, .left = 10, .next = 266 },
        { .class = SCHEDULE_TRUST, .tenant = SCHEDULE_OPERATOR, .left = 5000, .next = 5256 },
    };
    static struct dispatch_turns turns;
    static struct shares shares;

    (void)state;
    assert_int_equal(dispatch_pick(&turns, &shares, item, 2, 9255), 2);
    assert_int_equal(dispatch_pick(&turns, &shares, item, 2, 9256), 0);
    assert_int_equal(dispatch_pick(&turns, &shares, item, 3, 0), 2);
    assert_int_equal(dispatch_pick(&turns, &shares, item, 0, 9256), 0);
}

static void passes_open_and_close(void **state)
{
    const struct dispatch_pass p = {
        .aos_ms = START, .los_ms = START + 8 * MINUTE, .capacity = 4000000, .sent = 1000000
    };
    const struct dispatch_pass full = {
        .aos_ms = START, .los_ms = START + 8 * MINUTE, .capacity = 4000000, .sent = 4500000
    };
    static const struct {
        const char *why;
        int64_t at_ms;
        uint64_t files;
        uint64_t room, full_room;
    } rows[] = {
        { "long before", START - 60 * MINUTE, 0, 0, 0 },
        { "just before the lead", START - DISPATCH_LEAD_MS - 1, 0, 0, 0 },
        { "the lead", START - DISPATCH_LEAD_MS, 0, 3000000, 0 },
        { "it never goes beyond what is expected before it began", START - 1, 0, 3000000, 0 },
        { "it begins", START, 100, 3000000, 0 },
        { "much waits", START + MINUTE, 3, 3000000, 0 },
        { "it goes better than expected", START + MINUTE, 2, 3000000, 500000 },
        { "to the last moment", START + 8 * MINUTE - 1, 0, 3000000, 500000 },
        { "it is over", START + 8 * MINUTE, 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (dispatch_room(&p, rows[i].at_ms, rows[i].files) != rows[i].room ||
            dispatch_room(&full, rows[i].at_ms, rows[i].files) != rows[i].full_room)
            fail_msg("%s", rows[i].why);
    /* what is expected to be next to nothing is tried all the same, by whole messages */
    const struct dispatch_pass poor = { .aos_ms = START, .los_ms = START + MINUTE, .capacity = 1 };

    assert_true(dispatch_room(&poor, START, 0) >= MESSAGE);
}

/* ---- what they came to ---------------------------------------------------------------------- */

static void passes_settle(void **state)
{
    const uint64_t aos = START, los = START + 8 * MINUTE;
    static const struct {
        const char *why;
        int64_t at, heard;      /* ms after the first pass began; heard < 0 = nothing */
        uint32_t first, second; /* states */
        uint64_t arrived, second_arrived;
    } rows[] = {
        { "under way", 4 * MINUTE, 3 * MINUTE, CONTACT_EXECUTING, CONTACT_RESERVED, 700, 0 },
        { "over, and heard", 8 * MINUTE, 3 * MINUTE, CONTACT_DONE, CONTACT_RESERVED, 700, 0 },
        { "over, not heard yet", 9 * MINUTE, -1, CONTACT_EXECUTING, CONTACT_RESERVED, 0, 0 },
        { "heard late", 12 * MINUTE, 11 * MINUTE, CONTACT_DONE, CONTACT_RESERVED, 700, 0 },
        { "never heard", 18 * MINUTE, -1, CONTACT_FAILED, CONTACT_EXECUTING, 0, 0 },
        { "heard in the second", 30 * MINUTE, 16 * MINUTE, CONTACT_FAILED, CONTACT_DONE, 0, 700 },
        { "heard before", 30 * MINUTE, -5 * MINUTE, CONTACT_FAILED, CONTACT_EXECUTING, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_pass pass[] = {
            { .aos_ms = aos, .los_ms = los, .state = CONTACT_RESERVED },
            { .aos_ms = aos + 15 * MINUTE, .los_ms = los + 15 * MINUTE, .state = CONTACT_RESERVED },
        };
        const struct store_heard heard = { .received_ms = aos + (uint64_t)rows[i].heard,
                                           .contact = 7,
                                           .arrived = 700 };
        bool changed[2];

        settle_move(pass, 2, &heard, rows[i].heard == -1 ? 0 : 1, START + rows[i].at, changed);
        if (pass[0].state != rows[i].first || pass[1].state != rows[i].second ||
            pass[0].arrived != rows[i].arrived || pass[1].arrived != rows[i].second_arrived)
            fail_msg("%s: %u %u", rows[i].why, pass[0].state, pass[1].state);
        assert_int_equal(changed[1], pass[1].state != CONTACT_RESERVED);
        settle_move(pass, 2, &heard, rows[i].heard == -1 ? 0 : 1, START + rows[i].at, changed);
        assert_false(changed[0] || changed[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_go_in_order),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(shares_are_fair),
        cmocka_unit_test(it_is_deterministic),
        cmocka_unit_test(room_is_kept_but_for_trust),
        cmocka_unit_test(passes_open_and_close),
        cmocka_unit_test(passes_settle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
