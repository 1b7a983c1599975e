/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "sim/observe.h"
#include "sim/scenario.h"

#define HEAD "scenario: t\nlink: {pass: 1s, rate: 1M}\nsatellites: [{id: sat, node: 9}]\nsteps:\n"

static enum rc load(const char *text, struct scenario **ret, struct err *err)
{
    char path[] = "/tmp/berth-test-XXXXXX";
    scoped(close_fd) int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));

    enum rc rc = scenario_load(path, ret, err);

    assert_int_equal(unlink(path), 0);
    return rc;
}

/* A mistyped scenario is refused before anything starts. */
static void test_refused(void **state)
{
    static const char *const rows[] = {
        "scenario: t\n",
        HEAD "  - fly: {}\n",
        HEAD "  - wait: {within: 5s}\n",          /* no check */
        HEAD "  - wait: {check: x, withn: 5s}\n", /* unknown argument */
        HEAD "  - {say: a, berth: b}\n",          /* two verbs */
        HEAD "  - copy: only-one\n",              /* no main argument */
        HEAD "  - berth: {exit: 1}\n",            /* no command */
        "scenario: t\nlink: {pass: 1s, rate: 1M, los: 5%}\nsatellites: []\nsteps: []\n",
        "scenario: t\nlink: {pass: 1s, rate: 1M}\nsatellites: [{id: SAT, node: 9}]\nsteps: []\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scenario *s = NULL;
        struct err err;

        if (load(rows[i], &s, &err) != RC_YAML)
            fail_msg("row %zu was not refused", i);
        assert_null(s);
    }
}

static void test_read(void **state)
{
    struct scenario *s = NULL;
    struct err err;

    (void)state;
    assert_rc(
        load("seed: 5\n" HEAD "  - say: hello\n  - berth: {run: status, exit: 7}\n", &s, &err),
        RC_OK);
    assert_int_equal(s->seed, 5);
    assert_int_equal(s->link.pass_ms, 1000);
    assert_int_equal(s->n_satellites, 1);
    assert_int_equal(s->n_steps, 2);
    assert_int_equal(s->step[1].verb, VERB_BERTH);
    assert_string_equal(step_arg(&s->step[0], "text"), "hello");
    assert_string_equal(step_arg(&s->step[1], "exit"), "7");
    assert_null(step_arg(&s->step[1], "check"));
    free(s);
}

/* Every scenario that ships can be read. */
static bool load_one(void *arg, const char *name)
{
    unsigned *n = arg;
    char path[256];
    struct scenario *s = NULL;
    struct err err;

    (void)snprintf(path, sizeof path, "examples/scenarios/%s", name);
    assert_rc(scenario_load(path, &s, &err), RC_OK);
    free(s);
    (*n)++;
    return true;
}

static void test_shipped(void **state)
{
    unsigned n = 0;
    struct err err;

    (void)state;
    assert_rc(fs_list(AT_FDCWD, "examples/scenarios", 100, load_one, &n, NULL, &err), RC_OK);
    assert_true(n >= 1);
}

static const char status[] =
    "{\"satellites\":["
    "{\"id\":\"a\",\"verdict\":\"synced\",\"payloads\":[{\"tenant\":\"t\",\"name\":\"p\","
    "\"observed_version\":\"1\",\"state\":\"committed\",\"code_name\":\"\",\"running\":true,"
    "\"restarts\":2,\"sent_as\":\"delta\",\"delta_refused\":\"\"}],\"events\":[]},"
    "{\"id\":\"b\",\"verdict\":\"pending\",\"payloads\":[{\"tenant\":\"t\",\"name\":\"p\","
    "\"observed_version\":\"2\",\"state\":\"rolled-back\",\"code_name\":\"HEALTH_TIMEOUT\","
    "\"running\":false,\"sent_as\":\"full\",\"delta_refused\":\"DELTA_BASE\"}],\"events\":[{"
    "\"seq\":4,\"name\":\"SIG_BAD\",\"count\":1,\"what\":\"x\"}]}]"
    "}";
static const char rollouts[] =
    "{\"rollouts\":[{\"payload\":\"t/p\",\"to\":\"1\",\"state\":\"completed\"},"
    "{\"payload\":\"t/p\",\"to\":\"2\",\"state\":\"paused\",\"reason\":\"b\"}]}";

/* Conditions are about one satellite, any of them, or all of them. */
static void test_conditions(void **state)
{
    const struct {
        struct condition c;
        bool holds;
    } rows[] = {
        { { .verdict = "synced" }, false },
        { { .verdict = "synced", .satellite = "any" }, true },
        { { .verdict = "synced", .satellite = "a" }, true },
        { { .verdict = "synced", .satellite = "c" }, false },
        { { .payload = "t/p" }, true },
        { { .payload = "t/p", .version = "1" }, false },
        { { .payload = "t/p", .version = "2", .satellite = "b" }, true },
        { { .payload = "t/p", .state = "rolled-back", .code = "HEALTH_TIMEOUT", .satellite = "b" },
          true },
        { { .payload = "t/p", .state = "rolled-back", .code = "EXITED", .satellite = "b" }, false },
        { { .payload = "t/q", .satellite = "any" }, false },
        { { .payload = "t/p", .sent = "delta", .refused = "no", .satellite = "a" }, true },
        { { .payload = "t/p", .sent = "delta", .satellite = "b" }, false },
        { { .payload = "t/p", .sent = "full", .refused = "yes", .satellite = "b" }, true },
        { { .payload = "t/p", .refused = "yes" }, false },
        { { .event = "SIG_BAD", .satellite = "b" }, true },
        { { .event = "SIG_BAD", .satellite = "a" }, false },
        { { .rollout = "paused", .payload = "t/p" }, true },
        { { .rollout = "completed", .payload = "t/p" }, false }, /* not the newest */
        { { .rollout = "paused", .payload = "t/p", .version = "1" }, false },
    };
    struct seen *seen = calloc(1, sizeof *seen);
    struct err err;

    (void)state;
    assert_non_null(seen);
    assert_rc(seen_read(status, rollouts, seen, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (condition_holds(&rows[i].c, seen) != rows[i].holds)
            fail_msg("row %zu", i);
    assert_int_equal(seen_payload(seen, "a", "t/p")->restarts, 2);
    assert_null(seen_payload(seen, "a", "t/q"));
    assert_rc(seen_read("{", rollouts, seen, &err), RC_SCENARIO);
    assert_rc(seen_read(status, "{}", seen, &err), RC_SCENARIO);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_conditions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
