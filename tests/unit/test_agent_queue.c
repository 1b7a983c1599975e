/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/queue.h"
#include "link/port.h"

/* Which tenants have a job, and how many jobs there may be. */
struct jobs {
    uint32_t n, max;
    char tenant[8][NAME_CAP];
};

static bool may_begin(const void *arg, const char *tenant)
{
    const struct jobs *jobs = arg;

    for (uint32_t i = 0; i < jobs->n; i++)
        if (strcmp(jobs->tenant[i], tenant) == 0)
            return false;
    return jobs->n < jobs->max;
}

static struct item item_of(uint32_t kind, uint32_t number, const char *tenant)
{
    struct item item = { .kind = kind, .fd = -1, .size = 1 };

    memcpy(item.digest.b, &number, sizeof number);
    item.digest.b[DIGEST_SIZE - 1] = 1;
    (void)snprintf(item.tenant, sizeof item.tenant, "%s", tenant);
    return item;
}

static bool add(struct queue *q, uint32_t kind, uint32_t number, const char *tenant)
{
    const struct item item = item_of(kind, number, tenant);

    return queue_add(q, &item) != NULL;
}

static uint32_t number_of(const struct item *item)
{
    uint32_t number = UINT32_MAX;

    if (item)
        memcpy(&number, item->digest.b, sizeof number);
    return number;
}

/* Begin with whatever is next, as if it were done at once; its number. */
static uint32_t serve(struct queue *q, const struct jobs *jobs)
{
    const struct queue_ask ask = { .may_begin = may_begin, .arg = jobs };
    struct item *item = queue_next(q, 0, &ask);
    uint32_t number = number_of(item);

    if (item) {
        queue_took_turn(q, item->tenant);
        queue_remove(q, item);
    }
    return number;
}

static void documents_never_wait_behind_packages(void **state)
{
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    const struct jobs jobs = { .max = 4 };

    (void)state;
    for (uint32_t i = 0; i < QUEUE_PACKAGES_MAX; i++)
        assert_true(add(q, OBJECT_PACKAGE, i, "acme"));
    assert_false(add(q, OBJECT_PACKAGE, 999, "acme")); /* the rest of the room is for documents */
    for (uint32_t kind = OBJECT_GRANT; kind <= OBJECT_KIND_MAX; kind++)
        if (kind != OBJECT_PACKAGE)
            assert_true(add(q, kind, 1000 + kind, ""));
    assert_true(add(q, OBJECT_ROOT, 1000 + OBJECT_ROOT, ""));

    assert_int_equal(serve(q, &jobs), 1000 + OBJECT_ROOT);
    for (uint32_t kind = OBJECT_GRANT; kind <= OBJECT_KIND_MAX; kind++)
        if (kind != OBJECT_PACKAGE)
            assert_int_equal(serve(q, &jobs), 1000 + kind);
    assert_int_equal(serve(q, &jobs), 0);
}

/* However many one tenant has sent before, another's is next but one. */
static void tenants_take_turns(void **state)
{
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    const struct jobs jobs = { .max = 4 };

    (void)state;
    for (uint32_t i = 0; i < 60; i++)
        assert_true(add(q, OBJECT_PACKAGE, i, "acme"));
    assert_int_equal(serve(q, &jobs), 0);
    assert_true(add(q, OBJECT_PACKAGE, 100, "borealis"));
    assert_true(add(q, OBJECT_PACKAGE, 101, "borealis"));
    assert_true(add(q, OBJECT_PACKAGE, 200, "cirrus"));
    assert_int_equal(serve(q, &jobs), 100);
    assert_int_equal(serve(q, &jobs), 200);
    assert_int_equal(serve(q, &jobs), 1);
    assert_int_equal(serve(q, &jobs), 101);
    assert_int_equal(serve(q, &jobs), 2);
}

static void a_tenant_with_a_job_waits_and_others_do_not(void **state)
{
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    struct jobs jobs = { .n = 1, .max = 2, .tenant = { "acme" } };
    const struct queue_ask ask = { .may_begin = may_begin, .arg = &jobs };

    (void)state;
    assert_true(add(q, OBJECT_PACKAGE, 1, "acme"));
    assert_int_equal(serve(q, &jobs), UINT32_MAX);
    assert_false(queue_others_wait(q, 0, &ask));
    assert_true(add(q, OBJECT_PACKAGE, 2, "borealis"));
    assert_true(queue_others_wait(q, 0, &ask));
    assert_int_equal(serve(q, &jobs), 2);

    /* what berth-link still holds is taken over all the same: it has room for a few only */
    jobs.max = 1;
    struct item held = item_of(OBJECT_PACKAGE, 3, "acme");
    held.fd = 1000000; /* closing it fails, and harms nobody */
    assert_non_null(queue_add(q, &held));
    assert_int_equal(serve(q, &jobs), 3);
}

static void what_backs_off_stands_in_nobodys_way(void **state)
{
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    const struct jobs jobs = { .max = 4 };
    const struct queue_ask ask = { .may_begin = may_begin, .arg = &jobs };

    (void)state;
    assert_true(add(q, OBJECT_PACKAGE, 1, "acme"));
    assert_true(add(q, OBJECT_PACKAGE, 2, "acme"));
    q->item[0].not_before_ms = 500;
    assert_int_equal(number_of(queue_next(q, 499, &ask)), 2);
    assert_int_equal(number_of(queue_next(q, 500, &ask)), 1);
    q->item[0].started = true;
    assert_int_equal(number_of(queue_next(q, 500, &ask)), 2);
    q->item[1].waiting = true;
    assert_null(queue_next(q, 500, &ask));
}

static void whoever_has_most_makes_way(void **state)
{
    static const struct {
        const char *why;
        const char
            *waiting; /* one letter each, in order; '.' = nobody's, upper case = begun with */
        const char *newcomer;
        uint32_t victim; /* index, or UINT32_MAX */
    } rows[] = {
        { "the newest of the one with most", "aaabaa", "b", 5 },
        { "nobody has more than the newcomer would have", "aabb", "b", UINT32_MAX },
        { "one more would be no gain", "aab", "b", UINT32_MAX },
        { "not its own", "aaaa", "a", UINT32_MAX },
        { "of two with as many the last", "aaabbb", "c", 5 },
        { "nobody's first", "aaaaaa.", "b", 6 },
        { "nobody's only for somebody's", "aaa.", "", 2 },
        { "nobody's among themselves", "....", "", UINT32_MAX },
        { "never one that is being unpacked", "aaaA", "b", 2 },
        { "empty", "", "a", UINT32_MAX },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);

        for (uint32_t k = 0; rows[i].waiting[k] != '\0'; k++) {
            char c = rows[i].waiting[k];
            char tenant[2] = { c == '.' ? '\0' : (char)(c | 0x20), '\0' };

            assert_true(add(q, OBJECT_PACKAGE, k, tenant));
            q->item[k].started = c >= 'A' && c <= 'Z';
        }
        uint32_t got = number_of(queue_victim(q, rows[i].newcomer));
        if (got != rows[i].victim)
            fail_msg("%s: got %u, want %u", rows[i].why, got, rows[i].victim);
    }
}

static void one_of_each_waits_for_the_disk(void **state)
{
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    static const char *const tenants[] = { "acme", "acme", "borealis", "" };

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(add(q, OBJECT_PACKAGE, i, tenants[i]));
        assert_true(queue_may_hold(q, &q->item[i])); /* in the store it takes nobody's place */
        q->item[i].fd = 1000000;
    }
    assert_true(add(q, OBJECT_ORDER, 4, ""));
    q->item[4].fd = 1000000;
    assert_true(queue_may_hold(q, &q->item[0]));
    q->item[0].full = 1;
    assert_true(queue_may_hold(q, &q->item[0]));
    assert_false(queue_may_hold(q, &q->item[1]));
    assert_true(queue_may_hold(q, &q->item[2]));
    assert_false(queue_may_hold(q, &q->item[3]));
    assert_true(queue_may_hold(q, &q->item[4])); /* an order is never given up for it */
}

static void the_longest_makes_way(void **state)
{
    struct queue_job jobs[] = { { .busy = true, .share_ms = 100 },
                                { .busy = true, .share_ms = 50 },
                                { .busy = true, .share_ms = 200 } };

    (void)state;
    assert_int_equal(queue_must_yield(jobs, 3, 49), 3); /* everybody is within its share */
    assert_int_equal(queue_must_yield(jobs, 3, 50), 1);
    assert_int_equal(queue_must_yield(jobs, 3, 1000), 1);
    jobs[2].yielding = true; /* one place is about to become free */
    assert_int_equal(queue_must_yield(jobs, 3, 1000), 3);
    jobs[2] = (struct queue_job){ 0 }; /* and one is free */
    assert_int_equal(queue_must_yield(jobs, 3, 1000), 3);
}

/* However often it is stopped, its share grows until nothing stops it but the limit for all. */
static void shares_grow(void **state)
{
    const uint64_t max = 10 * QUEUE_SHARE_MS;

    (void)state;
    assert_int_equal(queue_share_ms(0, max), QUEUE_SHARE_MS);
    assert_int_equal(queue_share_ms(1, max), 2 * QUEUE_SHARE_MS);
    assert_int_equal(queue_share_ms(3, max), 8 * QUEUE_SHARE_MS);
    assert_int_equal(queue_share_ms(4, max), max);
    assert_int_equal(queue_share_ms(UINT32_MAX, max), max);
}

/* Random arrivals: between two turns of a tenant everybody else who had something due got one. */
static void nobody_is_passed_over(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "" };
    scoped(free_ptr) struct queue *q = calloc(1, sizeof *q);
    const struct jobs jobs = { .max = 4 };
    const struct queue_ask ask = { .may_begin = may_begin, .arg = &jobs };
    uint32_t since[6] = { 0 }; /* turns that others had while this one waited */
    uint32_t number = 0, x = 12345;

    (void)state;
    for (uint32_t step = 0; step < 20000; step++) {
        x = x * 1664525U + 1013904223U;
        if (x >> 31 || q->n == 0) {
            uint32_t who = (x >> 8) % 16; /* most of it from "a" */

            (void)add(q, OBJECT_PACKAGE, ++number, names[who < 6 ? who : 0]);
            continue;
        }
        const struct item *next = queue_next(q, 0, &ask);
        char served[NAME_CAP];

        assert_non_null(next);
        memcpy(served, next->tenant, sizeof served);
        (void)serve(q, &jobs);
        for (size_t i = 0; i < 6; i++) {
            bool waits = false;

            for (uint32_t k = 0; k < q->n; k++)
                waits |= strcmp(q->item[k].tenant, names[i]) == 0;
            since[i] = waits && strcmp(served, names[i]) != 0 ? since[i] + 1 : 0;
            assert_true(since[i] < 6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_never_wait_behind_packages),
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(a_tenant_with_a_job_waits_and_others_do_not),
        cmocka_unit_test(what_backs_off_stands_in_nobodys_way),
        cmocka_unit_test(whoever_has_most_makes_way),
        cmocka_unit_test(one_of_each_waits_for_the_disk),
        cmocka_unit_test(the_longest_makes_way),
        cmocka_unit_test(shares_grow),
        cmocka_unit_test(nobody_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
