/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts without a server: which servers may be asked, what the file may say, which request a
 * command line is, and what an answer may be.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "orchestrator/api.h"
#include "orchestrator/cmd.h"
#include "orchestrator/context.h"
#include "orchestrator/remote.h"

static struct err err;

static void servers(void **state)
{
    static const char *const good[] = { "https://ground.example", "https://ground.example:8480",
                                        "https://192.0.2.1:1",    "https://[2001:db8::1]:65535",
                                        "http://127.0.0.1:8480",  "http://127.255.0.1",
                                        "http://[::1]:80" };
    static const char *const bad[] = { "",
                                       "ground.example",
                                       "https://",
                                       "https://:1",
                                       "https://a:",
                                       "https://a:0",
                                       "https://a:65536",
                                       "https://a:1x",
                                       "https://a/",
                                       "https://a?b",
                                       "https://a#b",
                                       "https://u@a",
                                       "https://a b",
                                       "https://-a",
                                       "https://[::1",
                                       "https://[x]",
                                       "https://a\n",
                                       "HTTPS://a",
                                       "http://localhost",
                                       "http://192.0.2.1",
                                       "http://[2001:db8::1]",
                                       "http://127.0.0.1.example",
                                       "http://127.1",
                                       "ftp://127.0.0.1",
                                       "file:///etc/passwd" };
    char wide[SERVER_URL_CAP + 16];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_rc(server_url_check(good[i], &err), RC_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(server_url_check(bad[i], &err), RC_VALUE);
    memset(wide, 'a', sizeof wide);
    memcpy(wide, "https://", 8);
    wide[sizeof wide - 1] = '\0';
    assert_rc(server_url_check(wide, &err), RC_VALUE);
}

static enum rc parse(const char *text, struct contexts *ret)
{
    return contexts_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, ret, &err);
}

static void what_a_file_may_say(void **state)
{
    static const struct {
        const char *text;
        enum rc rc;
    } rows[] = {
        { "", RC_OK },
        { "current: a\ncontexts: {a: {server: 'https://a', token-file: /t}}\n", RC_OK },
        { "contexts: {a: {server: 'https://a', token-file: /t, root: /r}}\n", RC_OK },
        { "contexts: {a: {server: 'https://a', token-file: /t, root: r}}\n", RC_CONTEXT },
        { "current: b\ncontexts: {a: {server: 'https://a', token-file: /t}}\n", RC_CONTEXT },
        { "contexts: {a: {server: 'https://a'}}\n", RC_CONTEXT },
        { "contexts: {a: {server: 'https://a', token-file: t}}\n", RC_CONTEXT },
        { "contexts: {a: {server: 'https://a', token-file: /t, cert: /c}}\n", RC_CONTEXT },
        { "contexts: {a: {server: 'http://a', token-file: /t}}\n", RC_VALUE },
        { "contexts: {A: {server: 'https://a', token-file: /t}}\n", RC_NAME },
        { "contexts: {a: {server: 'https://a', token-file: /t, insecure: true}}\n", RC_YAML },
        { "contexts: {a: {token-file: /t}}\n", RC_YAML },
        { "contexts: [a]\n", RC_YAML },
        { "contexts: {a: b}\n", RC_YAML },
        { "other: 1\n", RC_YAML },
    };
    struct contexts *all = calloc(1, sizeof *all);

    (void)state;
    assert_non_null(all);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_rc(parse(rows[i].text, all), rows[i].rc);
    free(all);
}

/* What a command line asks for; NULL = RC_CONTEXT_LOCAL. */
static void check_request(struct cli *cli, const char *command, const char *method,
                          const char *path)
{
    struct remote_request request;

    cli->command = cli_find_command(cmd_tables, command);
    assert_non_null(cli->command);
    assert_rc(remote_make(cli, cli->columns, &request, &err), path ? RC_OK : RC_CONTEXT_LOCAL);
    if (path) {
        assert_string_equal(request.method, method);
        assert_string_equal(request.path, path);
    }
}

static void requests(void **state)
{
    struct cli none = { 0 };
    struct cli wide = { .form = CLI_WIDE, .columns = 80 };
    struct cli one = { .form = CLI_YAML, .n_args = 1, .args = { "aurora-1/../x?&%" } };
    struct cli of = { .n_args = 1, .args = { "acme/cam@aurora-1" } };
    struct cli odd = { .n_values = 1, .values = { { "as", "x.key" } } };
    struct cli why = {
        .n_args = 1, .args = { "7" }, .n_values = 2, .values = { { "why", "a&b" }, { "wave", "2" } }
    };
    struct cli seven = { .n_args = 1, .args = { "7" } };
    struct cli on = { .n_args = 1,
                      .args = { "7" },
                      .n_values = 2,
                      .values = { { "on", "aurora-1" }, { "why", "it tumbles" } } };
    struct cli log = { .n_args = 1,
                       .args = { "acme/cam@aurora-1" },
                       .n_values = 2,
                       .values = { { "since", "pass-2" }, { "grep", "a b" } } };
    struct cli follow = { .n_args = 1,
                          .args = { "acme/cam@aurora-1" },
                          .n_values = 1,
                          .values = { { "follow", NULL } } };
    struct cli no_payload = { .n_args = 1, .args = { "acme/cam" } };
    struct cli deny = {
        .n_args = 1, .args = { "7" }, .n_values = 1, .values = { { "why", "a \"b\"" } }
    };
    struct remote_request request;
    struct cli two = { .n_args = 2, .args = { "a", "b" } };

    (void)state;
    check_request(&none, "status", "GET", "/v1/satellites?form=table");
    check_request(&none, "rollout list", "GET", "/v1/rollouts?form=table");
    check_request(&none, "rollout status", "GET", "/v1/rollouts/status?form=table");
    check_request(&wide, "passes", "GET", "/v1/passes?form=wide&columns=80");
    check_request(&one, "ps", "GET", "/v1/satellites/aurora-1%2F..%2Fx%3F%26%25?form=yaml");
    check_request(&of, "telemetry", "GET", "/v1/telemetry?form=table&of=acme%2Fcam%40aurora-1");
    check_request(&why, "rollout promote", "POST",
                  "/v1/rollouts/7/promote?form=table&why=a%26b&wave=2");
    check_request(&on, "rollout retry", "POST",
                  "/v1/rollouts/7/retry?form=table&on=aurora-1&why=it%20tumbles");
    check_request(&on, "rollout force", "POST", "/v1/rollouts/7/force?form=table&on=aurora-1");
    assert_rc(remote_make(&on, 0, &request, &err), RC_OK);
    assert_string_equal(request.body, "{\"why\":\"it tumbles\"}");
    check_request(&seven, "rollout forecast", "GET", "/v1/rollouts/7/forecast?form=table");
    check_request(&seven, "rollout approve", "POST", "/v1/rollouts/7/approve?form=table");
    check_request(&deny, "rollout deny", "POST", "/v1/rollouts/7/deny?form=table");
    assert_rc(remote_make(&deny, 0, &request, &err), RC_OK);
    assert_string_equal(request.body, "{\"why\":\"a \\\"b\\\"\"}");
    check_request(&log, "logs", "GET",
                  "/v1/logs/aurora-1/acme/cam?form=table&since=pass-2&grep=a%20b");
    check_request(&follow, "logs", NULL, NULL);
    no_payload.command = cli_find_command(cmd_tables, "logs");
    assert_rc(remote_make(&no_payload, 0, &request, &err), RC_USAGE);
    check_request(&odd, "rollout list", NULL, NULL);
    check_request(&two, "link status", NULL, NULL);
    assert_true(remote_knows("audit verify"));
    assert_true(remote_knows("apply"));
    assert_true(remote_knows("trust delegate"));
    assert_false(remote_knows("push"));
    assert_false(remote_knows("token list"));
}

/* Nothing that is served over the API is missing here, and all of it is a command. */
static void every_command_is_there(void **state)
{
    (void)state;
    for (const struct api_route *r = api_routes; r->path; r++)
        if (r->what == API_COMMAND)
            assert_non_null(cli_find_command(cmd_tables, r->command));
}

static void answers(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum rc rc;
    } rows[] = {
        { 200, "{\"exit\":0,\"again\":false,\"out\":\"a\",\"err\":\"\"}", RC_OK },
        { 200, "{\"exit\":256,\"again\":false,\"out\":\"a\",\"err\":\"\"}", RC_API_SERVER },
        { 200, "{\"exit\":0,\"out\":\"a\",\"err\":\"\"}", RC_API_SERVER },
        { 200, "", RC_API_SERVER },
        { 500, "", RC_API_SERVER },
        { 403, "{\"error\":{\"what\":\"w\",\"fix\":\"f\",\"code\":287}}", RC_API_ROLE },
        { 403, "{\"error\":{\"what\":\"w\",\"fix\":\"f\",\"code\":0}}", RC_API_SERVER },
        { 403, "{\"error\":{\"what\":1,\"fix\":\"f\",\"code\":287}}", RC_API_SERVER },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct remote_answer answer = { .exit = 99 };
        char fix[REMOTE_FIX_CAP];

        assert_rc(remote_answer_parse(rows[i].status, bytes_of(rows[i].body), &answer, fix, &err),
                  rows[i].rc);
        assert_int_equal(answer.exit, rows[i].rc == RC_OK ? 0 : 99);
        assert_string_equal(fix, rows[i].rc == RC_API_ROLE ? "f" : "");
        if (rows[i].rc == RC_OK)
            remote_answer_done(&answer);
    }
}

/* What a ground could send to take all memory, after everything is signed. */
static void an_answer_of_values_is_refused(void **state)
{
    struct remote_answer answer = { 0 };
    char fix[REMOTE_FIX_CAP], *big = malloc(2 * (size_t)REMOTE_VALUES_MAX + 64);

    (void)state;
    assert_non_null(big);
    memset(big, '[', (size_t)REMOTE_VALUES_MAX + 1);
    assert_rc(remote_answer_parse(200, (struct bytes){ (uint8_t *)big, REMOTE_VALUES_MAX + 1U },
                                  &answer, fix, &err),
              RC_API_LIMIT);
    assert_null(answer.out);
    /* what a command prints may have as many of these characters */
    static const char begin[] = "{\"exit\":0,\"again\":false,\"err\":\"\",\"out\":\"\\\"";
    size_t n = sizeof begin - 1;

    memcpy(big, begin, n);
    memset(big + n, ',', (size_t)REMOTE_VALUES_MAX + 1);
    n += (size_t)REMOTE_VALUES_MAX + 1;
    memcpy(big + n, "\"}", 3);
    assert_rc(remote_answer_parse(200, (struct bytes){ (uint8_t *)big, n + 2 }, &answer, fix, &err),
              RC_OK);
    assert_int_equal(strlen(answer.out), REMOTE_VALUES_MAX + 2U);
    remote_answer_done(&answer);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_of_values_is_refused),
        cmocka_unit_test(servers),
        cmocka_unit_test(what_a_file_may_say),
        cmocka_unit_test(requests),
        cmocka_unit_test(every_command_is_there),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
