/* SPDX-License-Identifier: Apache-2.0
 *
 * The places of the API's connections: who may have how many, and who has to go when.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/api_places.h"

static struct api_places places;

static int begin(void **state)
{
    (void)state;
    api_places_init(&places);
    return 0;
}

static int end(void **state)
{
    (void)state;
    api_places_done(&places);
    return 0;
}

static struct api_who who_is(const char *name, unsigned number, enum api_role role)
{
    struct api_who who = { .role = role };

    (void)snprintf(who.name, sizeof who.name, "%s-%u", name, number);
    return who;
}

/* How many more of the same a token may have now, on connections of their own. */
static unsigned admitted(const char *name, unsigned number, enum api_role role, bool stream)
{
    const struct api_who who = who_is(name, number, role);
    unsigned n = 0;

    while (api_places_admit(&places, api_places_take(&places, -1, 1000, 100), &who, stream))
        n++;
    return n;
}

static void a_token_has_so_many(void **state)
{
    (void)state;
    assert_int_equal(admitted("op", 1, API_OPERATOR, false), 6);
    assert_int_equal(admitted("op", 2, API_OPERATOR, false), 6);
    assert_int_equal(admitted("acme", 1, API_TENANT, false), 3);
    assert_int_equal(admitted("op", 1, API_OPERATOR, true), API_STREAMS_EACH);
}

static void tenants_leave_streams_to_others(void **state)
{
    unsigned tenants = 0, all = 0;

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        tenants += admitted("acme", i, API_TENANT, true);
    assert_int_equal(tenants, 24);
    for (unsigned i = 0; i < 20; i++)
        all += admitted("op", i, API_OPERATOR, true);
    assert_int_equal(tenants + all, API_STREAMS_MAX);
}

static void a_place_is_given_back(void **state)
{
    const struct api_who who = who_is("acme", 1, API_TENANT);
    struct api_place *place[API_CONNECTIONS_MAX];

    (void)state;
    for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
        assert_non_null(place[i] = api_places_take(&places, -1, 1000, 100));
    assert_null(api_places_take(&places, -1, 1000, 100));
    assert_false(api_places_admit(&places, NULL, &who, false));
    api_places_allow(&places, NULL, 1000, 100);
    for (size_t i = 0; i < 3; i++)
        assert_true(api_places_admit(&places, place[i], &who, false));
    assert_false(api_places_admit(&places, place[3], &who, false));
    api_places_rest(&places, place[0], 1000, 100); /* its answer was taken */
    assert_true(api_places_admit(&places, place[3], &who, false));
    api_places_give(&places, place[1]);
    assert_true(api_places_admit(&places, place[4], &who, false));
    assert_ptr_equal(api_places_take(&places, -1, 1000, 100), place[1]);
}

/* A connection that takes part, and whether its other end hears that it was ended. */
struct line {
    int fd[2];
    struct api_place *place;
};

static struct line line_at(uint64_t now_ms, uint64_t ms)
{
    struct line line;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line.fd), 0);
    line.place = api_places_take(&places, line.fd[0], now_ms, ms);
    assert_non_null(line.place);
    return line;
}

static bool is_ended(const struct line *line)
{
    char byte;

    return recv(line->fd[1], &byte, 1, MSG_DONTWAIT) == 0;
}

static void hang_up(struct line *line)
{
    (void)close(line->fd[0]);
    (void)close(line->fd[1]);
}

static void who_is_late_is_ended(void **state)
{
    struct line late = line_at(1000, 500), later = line_at(1000, 501), stream = line_at(1000, 1);
    const struct api_who who = who_is("op", 1, API_OPERATOR);

    (void)state;
    assert_true(api_places_admit(&places, stream.place, &who, true));
    api_places_end_late(&places, 1499);
    assert_false(is_ended(&late));
    api_places_end_late(&places, 1500);
    assert_true(is_ended(&late));
    assert_false(is_ended(&later));
    api_places_allow(&places, later.place, 1500, 1000);
    api_places_end_late(&places, 2499);
    assert_false(is_ended(&later));
    api_places_end_late(&places, 2500);
    assert_true(is_ended(&later));
    api_places_end_late(&places, UINT64_MAX); /* as long as it likes */
    assert_false(is_ended(&stream));
    hang_up(&late);
    hang_up(&later);
    hang_up(&stream);
}

static void strangers_make_room_in_a_crowd(void **state)
{
    struct line stranger = line_at(1000, 100000), known = line_at(1000, 100000);
    struct line young = line_at(2500, 100000);
    const struct api_who who = who_is("op", 1, API_OPERATOR);

    (void)state;
    assert_true(api_places_admit(&places, known.place, &who, false));
    for (unsigned i = 3; i < API_CONNECTIONS_MAX * 3 / 4; i++)
        assert_non_null(api_places_take(&places, -1, 100000, 100));
    api_places_end_late(&places, 3000);
    assert_false(is_ended(&stranger)); /* three in four are no crowd yet */
    assert_non_null(api_places_take(&places, -1, 100000, 100));
    api_places_end_late(&places, 2400); /* a look that began before the youngest came */
    assert_false(is_ended(&stranger));
    assert_false(is_ended(&young));
    api_places_end_late(&places, 3000);
    assert_true(is_ended(&stranger));
    assert_false(is_ended(&known));
    assert_false(is_ended(&young));
    hang_up(&stranger);
    hang_up(&known);
    hang_up(&young);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_has_so_many, begin, end),
        cmocka_unit_test_setup_teardown(tenants_leave_streams_to_others, begin, end),
        cmocka_unit_test_setup_teardown(a_place_is_given_back, begin, end),
        cmocka_unit_test_setup_teardown(who_is_late_is_ended, begin, end),
        cmocka_unit_test_setup_teardown(strangers_make_room_in_a_crowd, begin, end),
    };

    return cmocka_run_group_tests_name("orchestrator/places", tests, NULL, NULL);
}
