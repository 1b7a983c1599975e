/* SPDX-License-Identifier: Apache-2.0
 *
 * The API without HTTP: which request is which command and for whom, what goes out, tokens, rates.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/api.h"
#include "orchestrator/api_events.h"
#include "orchestrator/api_token.h"

static const struct api_who viewer = { .name = "v", .role = API_VIEWER };
static const struct api_who acme = { .name = "a", .role = API_TENANT, .tenant = "acme" };

static enum rc match(const char *method, const char *path, const char *body, enum api_role role,
                     struct api_call *ret)
{
    const struct api_who who = { .name = "x", .role = role, .tenant = "acme" };
    const struct api_request q = { .method = method,
                                   .path = path,
                                   .body = { .p = (const uint8_t *)body, .n = strlen(body) } };
    struct err err;

    return api_match(&q, &who, ret, &err);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

/* Every route, as every role: those of its bits and no other. */
static void lets_in_whom_the_table_says(void **state)
{
    struct api_call call;
    size_t n = 0;

    (void)state;
    for (const struct api_route *r = api_routes; r->path; r++, n++) {
        char path[API_PATH_MAX] = "";
        static const char digest[] =
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        const char *const parts[] = { r->variable == API_DIGEST ? digest : "7", "acme", "cam" };
        size_t len = 0, part = 0;

        for (const char *p = r->path; *p; p++) {
            if (*p != '{') {
                path[len++] = *p;
                continue;
            }
            len += (size_t)snprintf(path + len, sizeof path - len, "%s", parts[part++]);
            p++;
        }
        path[len] = '\0';
        bool needs = r->body == API_WHY_NEEDED;

        if (r->own == API_OWN_ALL) /* what it is of comes as a parameter: needs_what_it_is_of */
            continue;
        for (unsigned role = 0; role < API_ROLES; role++)
            assert_rc(
                match(r->method, path, needs ? "{\"why\": \"x\"}" : "", (enum api_role)role, &call),
                (r->roles & (1U << role)) != 0 ? RC_OK : RC_API_ROLE);
        assert_rc(match("HEAD", path, "", API_OPERATOR, &call), RC_API_REQUEST);
        /* only an operator changes anything, but for who may stop things, or approve */
        unsigned may = 1U << API_OPERATOR | 1U << API_SAFETY;

        if (strstr(r->path, "/approve") || strstr(r->path, "/deny") || strstr(r->path, "/force"))
            may |= 1U << API_APPROVER;
        if (r->what == API_DELEGATION) /* signed by the tenant, and of no other */
            may = 1U << API_TENANT;
        if (strcmp(r->method, "GET") != 0)
            assert_int_equal(r->roles & ~may, 0);
    }
    assert_true(n >= 12);
}

static void makes_the_words_of_a_command(void **state)
{
    struct api_call call;

    (void)state;
    assert_rc(
        match("POST", "/v1/rollouts/12/abort", "{\"reason\": \"--json -- x\"}", API_SAFETY, &call),
        RC_OK);
    static const char *const words[] = { "rollout", "abort", "--json", "--reason=--json -- x",
                                         "--",      "12" };
    assert_int_equal(call.n_words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < call.n_words; i++)
        assert_string_equal(call.word[i], words[i]);
}

/* A log, of its own tenant only, with the options that it has. */
static void asks_for_a_log(void **state)
{
    struct api_request q = { .method = "GET",
                             .path = "/v1/logs/aurora-1/acme/cam",
                             .n_params = 3,
                             .param = {
                                 { "since", "pass-2" }, { "last", "50" }, { "cursor", "7-41" } } };
    static const struct api_who zeta = { .name = "z", .role = API_TENANT, .tenant = "zeta" };
    static const char *const words[] = { "logs",          "--json", "--since=pass-2",   "--last=50",
                                         "--cursor=7-41", "--",     "acme/cam@aurora-1" };
    static const struct api_param bad[] = { { "since", "2h\n" },  { "since", NULL },
                                            { "since", "" },      { "limit", "10" },
                                            { "follow", "true" }, { "max", "1K" },
                                            { "label", "a=b" },   { "as", "x.key" } };
    static const char *const paths[] = {
        "/v1/logs/aurora-1/acme", "/v1/logs/aurora-1/acme/", "/v1/logs/aurora-1/acme/cam/x",
        "/v1/logs/a@b/acme/cam",  "/v1/logs//acme/cam",      "/v1/logs/aurora-1/acme/--follow"
    };
    struct api_call call;
    struct err err;

    (void)state;
    assert_rc(api_match(&q, &acme, &call, &err), RC_OK);
    assert_int_equal(call.n_words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < call.n_words; i++)
        assert_string_equal(call.word[i], words[i]);
    assert_rc(api_match(&q, &viewer, &call, &err), RC_OK);
    assert_rc(api_match(&q, &zeta, &call, &err), RC_NOT_FOUND);
    q.n_params = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        q.param[0] = bad[i];
        assert_rc(api_match(&q, &viewer, &call, &err), RC_API_REQUEST);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_rc(match("GET", paths[i], "", API_OPERATOR, &call), RC_NOT_FOUND);
}

/* What is variable in a path is a name or a number, of their lengths, or it is not there. */
static void takes_no_other_path(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/satellites/",
        "/v1/satellites/a/b",
        "/v1/satellites/..",
        "/v1/satellites/A",
        "/v1/satellites/-a",
        "/v1/satellites/--help",
        "/v1/satellites/a\n",
        "/v1/satellites/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "/v1/rollouts/0",
        "/v1/rollouts/01",
        "/v1/rollouts/1x",
        "/v1/rollouts/-1",
        "/v1/rollouts/+1",
        "/v1/rollouts/9999999999999999999",
        "/v1/rollouts/1/",
        "/v1/rollouts//1",
        "v1/me",
        "/v1/me/",
        "/V1/me",
        "/metrics/",
    };
    static const char *const plans[] = {
        "/v1/plans/7/apply",
        "/v1/plans//apply",
        "/v1/plans/../apply",
        "/v1/plans/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef/apply",
        "/v1/plans/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde/apply",
        "/v1/plans/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0/apply",
    };
    struct api_call call;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_rc(match("GET", paths[i], "", API_OPERATOR, &call), RC_NOT_FOUND);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        assert_rc(match("POST", plans[i], "{}", API_OPERATOR, &call), RC_NOT_FOUND);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static json_t *shape(const char *path, const struct api_who *who, const char *fields,
                     const char *answer)
{
    struct api_call call;
    const struct api_request q = {
        .method = "GET", .path = path, .n_params = fields ? 1 : 0, .param = { { "fields", fields } }
    };
    struct err err;

    assert_rc(api_match(&q, who, &call, &err), RC_OK);
    return api_shape(&call, who, json_loads(answer, 0, NULL));
}

static void assert_shape(const char *path, const struct api_who *who, const char *fields,
                         const char *answer, const char *want)
{
    json_t *is = shape(path, who, fields, answer);
    json_t *wanted = json_loads(want, 0, NULL);

    assert_non_null(wanted);
    if (!json_equal(is, wanted))
        fail_msg("%s", json_dumps(is, JSON_COMPACT));
    json_decref(is);
    json_decref(wanted);
}

static const char fleet[] = "{\"satellites\": [{\"id\": \"a\", \"verdict\": \"synced\", "
                            "\"report_age_ms\": 1, \"agent\": {},"
                            "\"events\": [{\"what\": \"zenith/x\"}], \"payloads\": [{\"tenant\": "
                            "\"acme\", \"name\": \"x\"},"
                            "{\"tenant\": \"acme-2\", \"name\": \"y\"}, {\"name\": \"z\"}]}]}";

static void shows_a_tenant_its_own(void **state)
{
    (void)state;
    /* its own payload is not there yet, or is; how its neighbour does is no part of that */
    static const char one[] = "{\"id\": \"a\", \"verdict\": \"%s\", \"payloads\": [{\"tenant\": "
                              "\"acme\", \"state\": \"%s\","
                              "\"want_digest\": \"11\", \"observed_digest\": \"11\"}, {\"tenant\": "
                              "\"zenith\", \"state\": "
                              "\"%s\", \"want_digest\": \"22\", \"observed_digest\": null}]}";
    static const char *const rows[][4] = {
        { "pending", "committed", "failed", "synced" },
        { "pending", "trial", "committed", "pending" },
        { "synced", "committed", "committed", "synced" },
        { "silent", "trial", "failed", "silent" },
        { "unknown", "absent", "absent", "unknown" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];

        (void)snprintf(text, sizeof text, one, rows[i][0], rows[i][1], rows[i][2]);
        json_t *seen = shape("/v1/satellites/a", &acme, NULL, text);

        assert_string_equal(json_string_value(json_object_get(seen, "verdict")), rows[i][3]);
        json_decref(seen);
    }
    assert_shape(
        "/v1/satellites", &acme, NULL, fleet,
        "{\"next\": null, \"satellites\": [{\"id\": \"a\", \"verdict\": \"pending\","
        "\"report_age_ms\": 1, \"payloads\": [{\"tenant\": \"acme\", \"name\": \"x\"}]}]}");
    assert_shape("/v1/trust", &acme, NULL,
                 "{\"mission\": \"aa\", \"root_version\": 1, \"operator_keys\": {}, \"revoked\": "
                 "[{\"tenant\": \"zenith\"}], \"grants\": [{\"tenant\": \"acme\", \"epoch\": 1}, "
                 "{\"tenant\": \"zenith\", \"epoch\": 2}], \"teams\": [{\"tenant\": \"zenith\"}], "
                 "\"satellites\": [{\"id\": \"a\"}]}",
                 "{\"mission\": \"aa\", \"root_version\": 1, \"grants\": [{\"tenant\": \"acme\", "
                 "\"epoch\": 1}], \"teams\": []}");
    /* fields can take away, never add */
    assert_shape("/v1/satellites", &acme, "events,agent,id", fleet,
                 "{\"next\": null, \"satellites\": [{\"id\": \"a\"}]}");
    assert_shape("/v1/satellites/a", &acme, NULL, "{\"id\": \"a\", \"link\": 1, \"payloads\": []}",
                 "{\"id\": \"a\", \"verdict\": \"unknown\", \"payloads\": []}");
    static const char rollouts[] =
        "{\"rollouts\": [{\"id\": 1, \"payload\": \"acme/x\"}, {\"id\": 2, \"payload\": "
        "\"acme-2/x\"}, {\"id\": 3}, {\"id\": 4, \"payload\": \"acme\"}]}";
    assert_shape("/v1/rollouts", &acme, NULL, rollouts,
                 "{\"next\": null, \"rollouts\": [{\"id\": 1, \"payload\": \"acme/x\"}]}");
    assert_shape("/v1/rollouts/2", &acme, NULL, rollouts,
                 "{\"rollouts\": [{\"id\": 1, \"payload\": \"acme/x\"}]}");
    assert_shape(
        "/v1/rollouts", &viewer, "id", rollouts,
        "{\"next\": null, \"rollouts\": [{\"id\": 1}, {\"id\": 2}, {\"id\": 3}, {\"id\": 4}]}");
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

static int open_store(void **state)
{
    static char dir[] = "/tmp/berth-api-XXXXXX";
    char path[64];
    struct store *store = NULL;
    struct err err;

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* it lives on, without a name */
    assert_rc(fs_remove_tree(tmp, dir + sizeof "/tmp", &err), RC_OK);
    *state = store;
    return 0;
}

static int close_store(void **state)
{
    struct store *store = *state;

    store_close(&store);
    return 0;
}

static void a_token_opens_what_it_says(void **state)
{
    static const uint8_t bits[API_SECRET_SIZE] = { 1, 2, 3 };
    struct store *store = *state;
    struct api_who who = { .name = "eyes", .role = API_TENANT, .tenant = "acme" }, found;
    char secret[API_SECRET_CAP], wrong[API_SECRET_CAP];
    struct err err;

    assert_rc(api_token_make(store, &who, bits, 1000, 2000, secret, &err), RC_OK);
    assert_rc(api_token_find(store, secret, 1999, &found, &err), RC_OK);
    assert_string_equal(found.name, "eyes");
    assert_string_equal(found.tenant, "acme");
    assert_int_equal(found.role, API_TENANT);
    assert_rc(api_token_find(store, secret, 2000, &found, &err), RC_API_AUTH);
    for (size_t i = 0; i < strlen(secret); i++) {
        memcpy(wrong, secret, sizeof wrong);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_rc(api_token_find(store, wrong, 1500, &found, &err), RC_API_AUTH);
        wrong[i] = '\0';
        assert_rc(api_token_find(store, wrong, 1500, &found, &err), RC_API_AUTH);
    }
    assert_rc(api_token_find(store, NULL, 1500, &found, &err), RC_API_AUTH);

    assert_rc(api_token_make(store, &who, bits, 1000, 2000, wrong, &err), RC_EXISTS);
    assert_string_equal(wrong, "");
    who.role = API_VIEWER;
    (void)snprintf(who.name, sizeof who.name, "other");
    assert_rc(api_token_make(store, &who, bits, 1000, 2000, wrong, &err), RC_VALUE);
    (void)snprintf(who.name, sizeof who.name, "Not a name");
    assert_rc(api_token_make(store, &who, bits, 1000, 2000, wrong, &err), RC_NAME);

    assert_rc(api_token_revoke(store, "nobody", 1, &err), RC_NOT_FOUND);
    assert_rc(api_token_revoke(store, "../eyes", 1, &err), RC_NAME);
    assert_rc(api_token_revoke(store, "eyes", 1, &err), RC_OK);
    assert_rc(api_token_find(store, secret, 1500, &found, &err), RC_API_AUTH);
}

/* Rows that nobody of ours wrote open nothing. */
static void a_damaged_token_opens_nothing(void **state)
{
    static const char *const rows[] = {
        "",
        "viewer",
        "viewer - 1 0 00",
        "root - 1 0 0000000000000000000000000000000000000000000000000000000000000000",
        "tenant - 1 0 0000000000000000000000000000000000000000000000000000000000000000",
        "viewer acme 1 0 0000000000000000000000000000000000000000000000000000000000000000",
        "viewer - -1 0 0000000000000000000000000000000000000000000000000000000000000000",
        "viewer - 1 0 0000000000000000000000000000000000000000000000000000000000000000 x",
    };
    struct store *store = *state;
    struct api_token *list = NULL;
    struct err err;
    size_t n = 99;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char key[32];

        (void)snprintf(key, sizeof key, "api-token:t%zu", i);
        assert_rc(store_set(store, key, rows[i], &err), RC_OK);
    }
    assert_rc(api_token_list(store, &list, &n, &err), RC_OK);
    assert_int_equal(n, 0);
    free(list);
}

/* ---- events -----------------------------------------------------------------------------------
 */

#define LATER 5000U

static char *next(struct api_events *e, char *buf, size_t cap)
{
    struct err err;
    size_t n = 0;

    assert_rc(api_events_next(e, LATER, buf, cap, &n, &err), RC_OK);
    buf[n] = '\0';
    return buf;
}

static void make_token(struct store *store, const struct api_who *who, uint8_t bit,
                       uint64_t expires_ms, char secret[API_SECRET_CAP])
{
    const uint8_t bits[API_SECRET_SIZE] = { bit };
    struct err err;

    assert_rc(api_token_make(store, who, bits, 1000, expires_ms, secret, &err), RC_OK);
}

static void log_entries(struct store *store, int n)
{
    struct err err;

    for (int i = 0; i < n; i++)
        assert_rc(store_audit(store, NULL, "test", 7, &err, "line\n%d", i), RC_OK);
}

static void tells_each_entry_once(void **state)
{
    struct store *store = *state;
    char one[API_SECRET_CAP], two[API_SECRET_CAP], text[1024];
    struct api_events e = { .store = store, .secret = one }, t = { .store = store, .secret = two };
    struct err err;

    make_token(store, &viewer, 1, 0, one);
    make_token(store, &acme, 2, 0, two);
    store_act_as("api/someone");
    log_entries(store, 3);
    store_act_as("");
    assert_rc(api_events_begin(&e, "3", &err), RC_OK);
    assert_rc(api_events_begin(&t, NULL, &err), RC_OK);
    assert_non_null(strstr(next(&e, text, sizeof text), "event: audit\nid: 4\ndata: {"));
    assert_non_null(strstr(text, "\"who\":\"api/someone\""));
    assert_null(strstr(text, "line\n")); /* no entry can make lines of the stream */
    assert_non_null(strstr(next(&e, text, sizeof text), "id: 5\n"));
    assert_string_equal(next(&e, text, sizeof text), "event: changed\ndata: {}\n\n");
    assert_string_equal(next(&e, text, sizeof text), "");
    assert_string_equal(next(&t, text, sizeof text), "event: changed\ndata: {}\n\n");
    assert_string_equal(next(&t, text, sizeof text), "");
    static const char *const bad[] = { "", "x", "-1", "1x", "9999999999999999999", "1\n" };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(api_events_begin(&e, bad[i], &err), RC_API_REQUEST);
}

/* However much there is to tell, the token is looked up when somebody could have changed it. */
static void looks_a_token_up_once_for_many(void **state)
{
    struct store *store = *state;
    char secret[API_SECRET_CAP], text[1024];
    struct api_events e = { .store = store, .secret = secret };
    struct err err;

    make_token(store, &viewer, 1, 0, secret);
    log_entries(store, 100);
    assert_rc(api_events_begin(&e, "1", &err), RC_OK);
    for (int i = 0; i < 101; i++)
        assert_string_not_equal(next(&e, text, sizeof text), "");
    assert_string_equal(next(&e, text, sizeof text), "");
    assert_int_equal(e.last, 101);
    assert_int_equal(e.lookups, 1);
    log_entries(store, 2);
    for (int i = 0; i < 2; i++)
        assert_non_null(strstr(next(&e, text, sizeof text), "event: audit"));
    assert_int_equal(e.lookups, 2);
}

/* ... and in the middle of it. */
static void ends_with_its_token(void **state)
{
    struct store *store = *state;
    char secret[API_SECRET_CAP], short_lived[API_SECRET_CAP], text[1024] = "untouched";
    struct api_events e = { .store = store, .secret = secret },
                      s = { .store = store, .secret = short_lived };
    struct err err;
    size_t n = 0;

    make_token(store, &viewer, 1, 0, secret);
    make_token(store, &(struct api_who){ .name = "short", .role = API_VIEWER }, 2, 7000,
               short_lived);
    log_entries(store, 10);
    assert_rc(api_events_begin(&e, "0", &err), RC_OK);
    assert_rc(api_events_begin(&s, "0", &err), RC_OK);
    for (int i = 0; i < 3; i++)
        assert_non_null(strstr(next(&e, text, sizeof text), "event: audit"));
    assert_rc(api_events_next(&s, 6999, text, sizeof text, &n, &err), RC_OK);
    assert_true(n > 0);
    assert_rc(api_events_next(&s, 7000, text, sizeof text, &n, &err), RC_API_AUTH);
    assert_int_equal(n, 0);
    assert_rc(api_token_revoke(store, "v", LATER, &err), RC_OK);
    for (int i = 0; i < 2; i++) {
        assert_rc(api_events_next(&e, LATER, text, sizeof text, &n, &err), RC_API_AUTH);
        assert_int_equal(n, 0);
    }
}

/* ---- rates ------------------------------------------------------------------------------------
 */

static void holds_each_to_its_rate(void **state)
{
    struct api_rate *rate = calloc(1, sizeof *rate);
    unsigned taken = 0;

    (void)state;
    rate->per_s = 10;
    rate->burst = 5;
    for (unsigned i = 0; i < 100; i++)
        taken += api_rate_take(rate, 7, 1000);
    assert_int_equal(taken, 5);
    for (uint64_t ms = 1000; ms <= 11000; ms++)
        taken += api_rate_take(rate, 7, ms);
    assert_int_equal(taken, 105);
    assert_true(api_rate_take(rate, 8, 11000));
    /* a clock that goes back gives nothing */
    while (api_rate_take(rate, 8, 11000))
        continue;
    assert_false(api_rate_take(rate, 8, 1));
    /* many others do not give somebody more while it is busy */
    for (uint64_t k = 100; k < 100 + 4 * API_RATE_KEYS; k++) {
        assert_true(api_rate_take(rate, k, 11001 + k));
        (void)api_rate_take(rate, 7, 11001 + k);
    }
    free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_whom_the_table_says),
        cmocka_unit_test(asks_for_a_log),
        cmocka_unit_test(makes_the_words_of_a_command),
        cmocka_unit_test(takes_no_other_path),
        cmocka_unit_test(shows_a_tenant_its_own),
        cmocka_unit_test_setup_teardown(a_token_opens_what_it_says, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_damaged_token_opens_nothing, open_store, close_store),
        cmocka_unit_test_setup_teardown(tells_each_entry_once, open_store, close_store),
        cmocka_unit_test_setup_teardown(looks_a_token_up_once_for_many, open_store, close_store),
        cmocka_unit_test_setup_teardown(ends_with_its_token, open_store, close_store),
        cmocka_unit_test(holds_each_to_its_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
