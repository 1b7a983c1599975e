/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes that are asked for twice: the same answer, never a second time, for one token and one
 * request; bounded, across stores that are opened again and two that race.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/api_once.h"
#include "tests/unit/store_rig.h"

#define NOW 1700000000000U
#define SECRET(digit)                                                                              \
    "berth_" digit digit digit digit digit digit digit digit digit digit digit digit digit digit   \
        digit digit

#define A SECRET("0123")
#define B SECRET("4567")

static char dir[64], path[96];
static struct store *store;
static struct err err;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-once-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

static struct api_request pause_with(const char *body)
{
    return (struct api_request){ .method = "POST",
                                 .path = "/v1/rollouts/1/pause",
                                 .n_params = 1,
                                 .param = { { "why", "x" } },
                                 .body = bytes_of(body) };
}

static enum rc begin_at(struct store *s, const char *secret, const char *key, const char *body,
                        uint64_t now_ms, struct store_once *ret, struct api_answer *ret_kept)
{
    const struct api_request request = pause_with(body);

    return api_once_begin(s, secret, key, &request, now_ms, ret, ret_kept, &err);
}

/* Begin it, and have no answer for it yet. */
static struct store_once first(const char *secret, const char *key, uint64_t now_ms)
{
    struct store_once once;
    struct api_answer kept;

    assert_rc(begin_at(store, secret, key, "{}", now_ms, &once, &kept), RC_OK);
    assert_null(kept.text);
    return once;
}

static void answer_it(const struct store_once *once, unsigned status, char *text, size_t n)
{
    const struct api_answer answer = {
        .status = status, .type = API_PRINTED, .text = text, .n = n
    };

    assert_rc(api_once_end(store, once, &answer, &err), RC_OK);
}

static void the_answer_is_given_again(void **state)
{
    const struct store_once once = first(A, "key-1", NOW);
    char text[] = "{\"an\": \"answer\"}";
    struct store_once again;
    struct api_answer kept;

    (void)state;
    assert_rc(begin_at(store, A, "key-1", "{}", NOW + 1, &again, &kept), RC_API_KEY_OPEN);
    assert_null(kept.text);
    answer_it(&once, 409, text, strlen(text));
    for (int i = 0; i < 3; i++) {
        assert_rc(begin_at(store, A, "key-1", "{}", NOW + 2, &again, &kept), RC_OK);
        assert_int_equal(kept.status, 409);
        assert_string_equal(kept.type, API_PRINTED);
        assert_int_equal(kept.n, strlen(text));
        assert_memory_equal(kept.text, text, kept.n);
        api_answer_done(&kept);
        store_close(&store); /* as after a restart */
        assert_rc(store_open(path, false, &store, &err), RC_OK);
    }
}

static void another_request_is_refused(void **state)
{
    const struct api_request is = pause_with("{}");
    struct api_request other[7];
    const struct store_once once = first(A, "key-1", NOW);
    char text[] = "{}";
    struct store_once again;
    struct api_answer kept;

    (void)state;
    for (size_t i = 0; i < 7; i++)
        other[i] = is;
    other[0].method = "PUT";
    other[1].path = "/v1/rollouts/2/pause";
    other[2].printed = true;
    other[3].n_params = 0;
    other[4].param[0].value = "y";
    other[5].body = bytes_of("{\"reason\":\"x\"}");
    /* where one part ends and the next begins counts, too */
    other[6].param[0] = (struct api_param){ "whyx", "" };
    for (int answered = 0; answered < 2; answered++) {
        for (size_t i = 0; i < 7; i++) {
            assert_rc(api_once_begin(store, A, "key-1", &other[i], NOW, &again, &kept, &err),
                      RC_API_KEY);
            assert_null(kept.text);
        }
        answer_it(&once, 200, text, 2);
    }
    /* The key is its owner's: somebody else's is another one. */
    (void)first(B, "key-1", NOW);
    (void)first(A, "key-2", NOW);
}

static void keys_have_a_form(void **state)
{
    static const char *const bad[] = {
        "",
        "a b",
        "\"a\"",
        "a\n",
        "a,b",
        "\xc3\xa9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    struct store_once once;
    struct api_answer kept;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(begin_at(store, A, bad[i], "{}", NOW, &once, &kept), RC_API_REQUEST);
    assert_rc(begin_at(store, "berth_short", "a", "{}", NOW, &once, &kept), RC_API_AUTH);
    (void)first(A, bad[6] + 1, NOW);
    (void)first(A, "AZaz09._~+/=:-", NOW);
}

static void what_is_too_large_is_not_kept(void **state)
{
    scoped(free_ptr) char *text = malloc(API_ONCE_TEXT_MAX + 1);
    struct store_once once = first(A, "key-1", NOW);
    struct api_answer kept;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', API_ONCE_TEXT_MAX + 1);
    answer_it(&once, 200, text, API_ONCE_TEXT_MAX + 1);
    assert_rc(begin_at(store, A, "key-1", "{}", NOW, &once, &kept), RC_API_KEY_OPEN);
    assert_non_null(strstr(err.what, "done"));
    once = first(A, "key-2", NOW);
    answer_it(&once, 200, text, API_ONCE_TEXT_MAX);
    assert_rc(begin_at(store, A, "key-2", "{}", NOW, &once, &kept), RC_OK);
    assert_int_equal(kept.n, API_ONCE_TEXT_MAX);
    api_answer_done(&kept);
}

static void old_ones_go(void **state)
{
    struct store_once once = first(A, "key-1", NOW);
    struct api_answer kept;

    (void)state;
    /* for a day, and by whatever request comes then */
    assert_rc(begin_at(store, A, "key-1", "{}", NOW + API_ONCE_MS, &once, &kept), RC_API_KEY_OPEN);
    (void)first(B, "other", NOW + API_ONCE_MS);
    assert_rc(begin_at(store, A, "key-1", "{}", NOW, &once, &kept), RC_API_KEY_OPEN);
    (void)first(B, "another", NOW + API_ONCE_MS + 1);
    (void)first(A, "key-1", NOW + API_ONCE_MS + 1);
}

static void one_token_pushes_out_its_own(void **state)
{
    struct store_once once, others = first(B, "others", NOW);
    struct api_answer kept;
    char key[16], text[] = "{}";

    (void)state;
    answer_it(&others, 200, text, 2);
    for (unsigned i = 0; i <= API_ONCE_EACH; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        once = first(A, key, NOW + 1 + i);
        answer_it(&once, 200, text, 2);
    }
    assert_rc(begin_at(store, B, "others", "{}", NOW + 1000, &others, &kept), RC_OK);
    assert_non_null(kept.text);
    api_answer_done(&kept);
    assert_rc(begin_at(store, A, "key-1", "{}", NOW + 1000, &once, &kept), RC_OK);
    assert_non_null(kept.text);
    api_answer_done(&kept);
    (void)first(A, "key-0", NOW + 1000); /* the oldest has gone */
}

/* What keeps the whole table small; rows that are put in behind the program's back are faster. */
static void all_together_are_bounded(void **state)
{
    char sql[512];
    struct store_once once, newest = first(B, "newest", NOW);
    struct api_answer kept;
    char text[] = "{}";

    (void)state;
    answer_it(&newest, 200, text, 2);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
                   "INSERT INTO once SELECT token, 'k' || i, request, at_ms - i, status, type, "
                   "answer FROM once, n",
                   API_ONCE_ALL);
    assert_true(store_rig_sql(path, sql));
    (void)first(A, "one-more", NOW);
    /* it and the newest of the others are there, to the last one that fits */
    (void)snprintf(sql, sizeof sql, "k%u", API_ONCE_ALL - 2U);
    assert_rc(begin_at(store, B, "newest", "{}", NOW, &once, &kept), RC_OK);
    assert_non_null(kept.text);
    api_answer_done(&kept);
    assert_rc(begin_at(store, B, sql, "{}", NOW, &once, &kept), RC_OK);
    assert_non_null(kept.text);
    api_answer_done(&kept);
    (void)snprintf(sql, sizeof sql, "k%u", API_ONCE_ALL - 1U);
    (void)first(B, sql, NOW);
}

#define RACERS 8U

struct racer {
    pthread_t thread;
    struct store *store;
    enum rc rc;
    bool first;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct store_once once;
    struct api_answer kept;
    struct err why = { 0 };
    const struct api_request request = pause_with("{}");

    r->rc = api_once_begin(r->store, A, "key", &request, NOW, &once, &kept, &why);
    r->first = r->rc == RC_OK && !kept.text;
    return NULL;
}

static void one_of_many_is_the_first(void **state)
{
    struct racer racer[RACERS] = { 0 };
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < RACERS; i++)
        assert_rc(store_open(path, false, &racer[i].store, &err), RC_OK);
    for (unsigned i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&racer[i].thread, NULL, race, &racer[i]), 0);
    for (unsigned i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(racer[i].thread, NULL), 0);
        n += racer[i].first;
        if (!racer[i].first)
            assert_rc(racer[i].rc, RC_API_KEY_OPEN);
        store_close(&racer[i].store);
    }
    assert_int_equal(n, 1);
}

/* A plan for thousands of satellites: which rollouts it began is kept, whatever is not. */
static void shortens_what_is_too_large(void **state)
{
    const size_t n = 4 * API_ONCE_TEXT_MAX;
    char *text = malloc(n + 1);
    struct api_answer less = { 0 };

    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    struct api_answer large =
        api_answer_json(200, API_JSON,
                        json_pack("{s:s, s:[s], s:[i, i], s:{s:i}}", "plan", "50dc", "changes",
                                  text, "rollouts", 7, 8, "link", "rate", 9600));

    api_once_shorten(&large, &less);
    assert_string_equal(less.text, "{\"plan\":\"50dc\",\"rollouts\":[7,8]}");
    assert_int_equal(less.n, strlen(less.text));
    assert_int_equal(less.status, 200);
    free(less.text);
    api_answer_done(&large);

    memcpy(text + n - 12, "\nrollout 7:\n", 12);
    large = api_answer_json(200, API_PRINTED,
                            json_pack("{s:i, s:s, s:s}", "exit", 0, "out", text, "err", ""));
    api_once_shorten(&large, &less);
    assert_string_equal(less.text, "{\"exit\":0,\"out\":\"rollout 7:\\n\",\"err\":\"\"}");
    assert_string_equal(less.type, API_PRINTED);
    free(less.text);
    api_answer_done(&large);
    free(text);

    api_once_shorten(
        &(struct api_answer){ .type = API_JSON, .text = (char *)(uintptr_t) "x", .n = 1 }, &less);
    assert_null(less.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_answer_is_given_again, setup, teardown),
        cmocka_unit_test_setup_teardown(another_request_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_have_a_form, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(old_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(one_token_pushes_out_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(all_together_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_many_is_the_first, setup, teardown),
        cmocka_unit_test(shortens_what_is_too_large),
    };

    return cmocka_run_group_tests_name("orchestrator/once", tests, NULL, NULL);
}
