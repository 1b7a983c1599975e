/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan that a ground elsewhere answers with: what makes no sense, is too much, or would be
 * obeyed by a terminal.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/asked.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD                                                                                       \
    "{\"id\":\"" ID "\",\"hash\":\"0123456789abcdef\",\"until\":1,\"fleet\":\"a\","                \
    "\"staged\":false,\"undo\":0,\"plan\":{},"

static struct err err;
static char fix[REMOTE_FIX_CAP];

static enum rc parse(unsigned status, const char *text, struct asked *ret)
{
    return asked_parse(status, bytes_of(text), ret, fix, &err);
}

static void a_plan(void **state)
{
    struct asked a = { .n = 0 };

    (void)state;
    assert_rc(parse(200,
                    HEAD "\"printed\":\"a\\u001b[2Jb\\n\",\"new\":1,\"requests\":[{\"name\":"
                         "\"order-a\",\"bytes\":\"AAEC\"},{\"name\":\"order-b\",\"bytes\":\"\"}]}",
                    &a),
              RC_OK);
    assert_string_equal(a.id, ID);
    assert_string_equal(a.hash, "0123456789abcdef");
    assert_string_equal(a.printed, "a?[2Jb\n");
    assert_int_equal(a.n, 2);
    assert_string_equal(a.request[1].name, "order-b");
    assert_int_equal(a.request[0].file.n, 3);
    assert_memory_equal(a.request[0].file.p, "\x00\x01\x02", 3);
    assert_int_equal(a.request[1].file.n, 0);
    asked_done(&a);
    assert_rc(parse(200,
                    "{\"id\":null,\"hash\":\"01234567\",\"staged\":true,\"undo\":7,\"plan\":{},"
                    "\"requests\":[]}",
                    &a),
              RC_OK);
    assert_string_equal(a.id, "");
    assert_string_equal(a.printed, "");
    assert_int_equal(a.undo, 7);
    assert_true(a.staged);
    asked_done(&a);
}

/* Also where it is printed by --json or -o name, which take strings of the plan as they are. */
static void a_plan_has_nothing_to_obey(void **state)
{
    struct asked a = { .n = 0 };

    (void)state;
    assert_rc(
        parse(200,
              "{\"id\":null,\"hash\":\"01234567\",\"staged\":true,\"undo\":0,\"requests\":[],"
              "\"plan\":{\"a\\u009b2J\":[\"b\\u001b[2J\\r\\b\x7f\xc2\x9b\\\\u009b\\n\\u00e9\"]}}",
              &a),
        RC_OK);
    scoped(free_ptr) char *text = json_dumps(a.plan, JSON_COMPACT);
    assert_string_equal(text, "{\"a?2J\":[\"b?[2J????\\\\u009b\\n\xc3\xa9\"]}");
    asked_done(&a);
}

static void what_makes_no_sense(void **state)
{
    static const char *const rows[] = {
        "",
        "null",
        "[]",
        "{}",
        HEAD "\"requests\":{}}",
        HEAD "\"requests\":[1]}",
        HEAD "\"requests\":[{\"name\":\"order-a\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":1}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"A\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"AA=A\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"AB==\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"AAA*\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"AAA\\n\"}]}",
        HEAD "\"requests\":[{\"name\":\"../a\",\"bytes\":\"AAAA\"}]}",
        HEAD "\"requests\":[{\"name\":\"order-\\u0000a\",\"bytes\":\"AAAA\"}]}",
        HEAD "\"requests\":[{\"name\":\"\",\"bytes\":\"AAAA\"}]}",
        HEAD "\"requests\":[],\"requests\":[]}",
        HEAD "\"printed\":1,\"requests\":[]}",
        "{\"id\":\"0\",\"hash\":\"01234567\",\"staged\":true,\"undo\":0,\"plan\":{},\"requests\":[]"
        "}",
        "{\"id\":null,\"hash\":\"0123456\",\"staged\":true,\"undo\":0,\"plan\":{},\"requests\":[]}",
        "{\"id\":null,\"hash\":\"0123456Z\",\"staged\":true,\"undo\":0,\"plan\":{},\"requests\":[]"
        "}",
        "{\"id\":null,\"hash\":\"01234567\",\"staged\":1,\"undo\":0,\"plan\":{},\"requests\":[]}",
        "{\"id\":null,\"hash\":\"01234567\",\"staged\":true,\"undo\":-1,\"plan\":{},\"requests\":[]"
        "}",
        "{\"id\":null,\"hash\":\"01234567\",\"staged\":true,\"undo\":0,\"plan\":[],\"requests\":[]"
        "}",
        "{\"id\":null,\"hash\":\"01234567\",\"staged\":true,\"undo\":0,\"plan\":{},\"requests\":"
        "[{\"name\":\"order-a\",\"bytes\":\"AAAA\"}]}",
    };
    struct asked a = { .undo = 99 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_rc(parse(200, rows[i], &a), RC_API_SERVER);
        assert_int_equal(a.undo, 99);
        assert_null(a.plan);
    }
}

static void errors_come_back(void **state)
{
    struct asked a = { .n = 0 };

    (void)state;
    assert_rc(parse(409, "{\"error\":{\"what\":\"w\\u001b\",\"code\":263,\"fix\":\"f\"}}", &a),
              RC_PLAN_STALE);
    assert_string_equal(err.what, "w?");
    assert_string_equal(fix, "f");
    assert_rc(parse(500, "{}", &a), RC_API_SERVER);
    assert_rc(parse(409, HEAD "\"requests\":[]}", &a), RC_API_SERVER);
}

static void no_more_than_there_is_room_for(void **state)
{
    char *big = malloc(ASKED_BYTES_MAX + 2);
    struct asked a = { .n = 0 };

    (void)state;
    assert_non_null(big);
    memset(big, ' ', ASKED_BYTES_MAX + 1);
    big[ASKED_BYTES_MAX + 1] = '\0';
    assert_rc(parse(200, big, &a), RC_API_LIMIT);
    memset(big, ',', REMOTE_VALUES_MAX + 1);
    big[REMOTE_VALUES_MAX + 1] = '\0';
    assert_rc(parse(200, big, &a), RC_API_LIMIT);
    /* one request larger than any is */
    size_t n = (size_t)snprintf(big, ASKED_BYTES_MAX,
                                HEAD "\"requests\":[{\"name\":\"order-a\",\"bytes\":\"");

    memset(big + n, 'A', (REQUEST_FILE_MAX / 3 + 1) * 4);
    (void)snprintf(big + n + (REQUEST_FILE_MAX / 3 + 1) * 4, 8, "\"}]}");
    assert_rc(parse(200, big, &a), RC_API_SERVER);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan),
        cmocka_unit_test(a_plan_has_nothing_to_obey),
        cmocka_unit_test(what_makes_no_sense),
        cmocka_unit_test(errors_come_back),
        cmocka_unit_test(no_more_than_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
