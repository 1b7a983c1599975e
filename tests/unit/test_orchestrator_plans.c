/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of plans: whole or not there, each token's own room, over when its time is.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/api_large.h"
#include "orchestrator/offline.h"
#include "orchestrator/plans.h"
#include "tests/unit/documents.h"

#define KEPT_MS 1796040000000U
#define A_DAY_MS (24U * 3600U * 1000U)

static char dir[64];
static struct home home = HOME_NONE;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-plans-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

static struct plans open_plans(const struct plans_limits *limits, uint64_t now_ms)
{
    struct plans plans = PLANS_NONE;

    assert_rc(plans_open(&home, limits, now_ms, &plans, &err), RC_OK);
    return plans;
}

/* A plan of one file that has so many bytes, with one request that is like no other's. */
static enum rc keep(const struct plans *plans, const char *token, uint64_t made_ms, size_t size,
                    struct plan_kept *ret)
{
    static unsigned times;
    scoped(free_ptr) uint8_t *content = calloc(1, size + 1);
    struct plan_file file = { .name = "fleet.yaml", .bytes = content, .n = size };
    const struct plan_body body = { .n = 1, .file = &file, .fleet = file.name };
    struct plan_file *asked = NULL;
    char path[PATH_MAX], text[32];
    size_t n = 0;

    *ret = (struct plan_kept){ .fleet = "fleet.yaml", .hash = "50dc", .made_ms = made_ms };
    assert_non_null(content);
    assert_rc(plans_begin(plans, &body, &err), RC_OK);
    assert_rc(plans_path(plans, NULL, NULL, PLANS_ASKED, "order-a.request", path, &err), RC_OK);
    (void)snprintf(text, sizeof text, "%u", times++);
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_rc(fs_write_all(fd, bytes_of(text), &err), RC_OK);
    assert_rc(plans_asked(plans, &asked, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_string_equal(asked[0].name, "order-a");
    enum rc rc = plans_keep(plans, token, asked, n, ret, &err);

    plan_files_free(asked, n);
    return rc;
}

#define assert_found(plans, token, plan, now, want)                                                \
    do {                                                                                           \
        struct plan_kept found_;                                                                   \
        assert_rc(plans_find(plans, token, (plan)->id, now, &found_, &err), want);                 \
    } while (0)

static void keeps_it_for_a_day(void **state)
{
    scoped(plans_close) struct plans plans = open_plans(&plans_limits, KEPT_MS);
    struct plan_kept plan, found;
    char path[PATH_MAX];
    struct stat st;

    (void)state;
    assert_rc(keep(&plans, "op", KEPT_MS, 10, &plan), RC_OK);
    assert_rc(plans_find(&plans, "op", plan.id, KEPT_MS + A_DAY_MS - 1, &found, &err), RC_OK);
    assert_string_equal(found.hash, "50dc");
    assert_string_equal(found.fleet, "fleet.yaml");
    assert_int_equal(found.undo, 0);
    assert_rc(plans_path(&plans, "op", plan.id, PLANS_FILES, "fleet.yaml", path, &err), RC_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_found(&plans, "op", &plan, KEPT_MS + A_DAY_MS, RC_NOT_FOUND);
    assert_found(&plans, "op", &plan, KEPT_MS - A_DAY_MS,
                 RC_NOT_FOUND); /* of a clock that is wrong */
    assert_found(&plans, "other", &plan, KEPT_MS, RC_NOT_FOUND);
    assert_found(&plans, "../op", &plan, KEPT_MS, RC_NOT_FOUND);
    assert_rc(plans_find(&plans, "op", "..", KEPT_MS, &found, &err), RC_NOT_FOUND);
    plans_close(&plans);
    plans = open_plans(&plans_limits, KEPT_MS + A_DAY_MS);
    assert_int_equal(stat(path, &st), -1); /* and it is gone */
}

static void has_one_user_at_a_time(void **state)
{
    scoped(plans_close) struct plans plans = open_plans(&plans_limits, KEPT_MS), other = PLANS_NONE;

    (void)state;
    assert_rc(plans_open(&home, &plans_limits, KEPT_MS, &other, &err), RC_BUSY);
    plans_close(&plans);
    other = open_plans(&plans_limits, KEPT_MS);
}

static void makes_room_among_ones_own(void **state)
{
    static const struct plans_limits limits = {
        .ms = A_DAY_MS, .each = 2, .all = 3, .bytes_each = 1U << 20U, .bytes_all = 2U << 20U
    };
    scoped(plans_close) struct plans plans = open_plans(&limits, KEPT_MS);
    struct plan_kept a[3], b[2], c, large;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_rc(keep(&plans, "a", KEPT_MS + i, 10, &a[i]), RC_OK);
    assert_found(&plans, "a", &a[0], KEPT_MS, RC_NOT_FOUND);
    assert_found(&plans, "a", &a[1], KEPT_MS, RC_OK);
    assert_found(&plans, "a", &a[2], KEPT_MS, RC_OK);
    assert_rc(keep(&plans, "b", KEPT_MS + 9, 10, &b[0]), RC_OK);
    /* all have three: b's next takes the place of its own, and c has none */
    assert_rc(keep(&plans, "b", KEPT_MS + 10, 10, &b[1]), RC_OK);
    assert_found(&plans, "b", &b[0], KEPT_MS, RC_NOT_FOUND);
    assert_found(&plans, "b", &b[1], KEPT_MS, RC_OK);
    assert_rc(keep(&plans, "c", KEPT_MS + 11, 10, &c), RC_NO_SPACE);
    assert_found(&plans, "a", &a[1], KEPT_MS, RC_OK);
    assert_found(&plans, "a", &a[2], KEPT_MS, RC_OK);
    /* bytes count the same way */
    assert_rc(keep(&plans, "a", KEPT_MS + 12, 900000, &large), RC_OK);
    assert_found(&plans, "a", &a[1], KEPT_MS, RC_NOT_FOUND);
    /* what has no room at all takes nothing away */
    assert_rc(keep(&plans, "a", KEPT_MS + 13, 1U << 20U, &c), RC_NO_SPACE);
    assert_found(&plans, "a", &large, KEPT_MS, RC_OK);
    assert_found(&plans, "b", &b[1], KEPT_MS, RC_OK);
}

/* ---- signatures --------------------------------------------------------------------------------
 */

#define ORDERS 300U /* more than any directory of signatures had once */

static uint8_t grants[ORDERS][DOCUMENT_MAX / 16];
static struct request requests[ORDERS];
static struct plan_file signatures[ORDERS];

static void make_requests(const struct plans *plans)
{
    struct grant grant = doc_grant();
    char path[PATH_MAX], file[PATH_MAX], name[PLAN_NAME_CAP];
    scoped(close_fd) int dirfd = -1;

    assert_rc(plans_path(plans, NULL, NULL, PLANS_ASKED, NULL, path, &err), RC_OK);
    dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dirfd >= 0);
    for (unsigned i = 0; i < ORDERS; i++) {
        grant.epoch++;
        requests[i] = (struct request){ .type = DOC_GRANT, .mission = doc_mission };
        assert_rc(grant_encode(&grant, grants[i], sizeof grants[i], &requests[i].payload, &err),
                  RC_OK);
        (void)snprintf(name, sizeof name, "grant-%u", i);
        assert_rc(offline_put(dirfd, path, name, &requests[i], file, &err), RC_OK);
    }
    assert_rc(offline_sync(dirfd, &err), RC_OK);
}

static void sign_requests(enum doc_key which, uint8_t *buf)
{
    static uint8_t envelope[DOCUMENT_MAX];
    const struct sign_key *key = doc_key(which);
    struct bytes signed_one = { 0 }, file = { 0 };

    for (unsigned i = 0; i < ORDERS; i++, buf += SIGNATURE_FILE_MAX / 2) {
        assert_rc(sign_document(DOC_GRANT, &doc_mission, requests[i].payload, &key, 1, envelope,
                                sizeof envelope, &signed_one, &err),
                  RC_OK);
        assert_rc(request_signature_encode(&requests[i], sign_key_public(key), signed_one, buf,
                                           SIGNATURE_FILE_MAX / 2, &file, &err),
                  RC_OK);
        (void)snprintf(signatures[i].name, sizeof signatures[i].name, "grant-%u", i);
        signatures[i].bytes = buf;
        signatures[i].n = file.n;
    }
}

static bool count_signature(void *arg, const char *name)
{
    *(unsigned *)arg += strstr(name, SIGNATURE_SUFFIX) != NULL;
    return true;
}

static unsigned count_signatures(const char *asked)
{
    scoped(close_fd) int fd = open(asked, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned n = 0;

    assert_true(fd >= 0);
    assert_rc(fs_list(fd, ".", SIZE_MAX, count_signature, &n, NULL, &err), RC_OK);
    return n;
}

static enum rc attach(const struct plans *plans, const char *id, size_t from, size_t n)
{
    const struct plan_body body = { .n = n, .file = &signatures[from] };

    return plans_attach(plans, "a", id, &body, &err);
}

/* Of more documents than one body has room for: in parts, of which one that is not good changes
 * nothing, and one that comes again nothing more. */
static void takes_signatures_in_parts(void **state)
{
    scoped(free_ptr) uint8_t *buf = malloc((size_t)ORDERS * SIGNATURE_FILE_MAX / 2);
    scoped(plans_close) struct plans plans = open_plans(&plans_limits, KEPT_MS);
    scoped(offline_files_free) struct offline_files *files = NULL;
    struct plan_file file = { .name = "fleet.yaml" };
    const struct plan_body body = { .n = 1, .file = &file, .fleet = file.name };
    struct plan_kept plan = { .fleet = "fleet.yaml", .hash = "50dc", .made_ms = KEPT_MS };
    struct plan_file *asked = NULL;
    char path[PATH_MAX];
    size_t n = 0;

    (void)state;
    assert_non_null(buf);
    assert_rc(plans_begin(&plans, &body, &err), RC_OK);
    make_requests(&plans);
    assert_rc(plans_asked(&plans, &asked, &n, &err), RC_OK);
    assert_int_equal(n, ORDERS);
    assert_rc(plans_keep(&plans, "a", asked, n, &plan, &err), RC_OK);
    plan_files_free(asked, n);
    assert_rc(plans_path(&plans, "a", plan.id, PLANS_ASKED, NULL, path, &err), RC_OK);
    sign_requests(K_ROOT_A, buf);

    assert_rc(attach(&plans, plan.id, 0, 200), RC_OK);
    assert_int_equal(count_signatures(path), 200);
    assert_rc(attach(&plans, plan.id, 0, 200), RC_OK);
    assert_int_equal(count_signatures(path), 200);
    (void)snprintf(signatures[299].name, PLAN_NAME_CAP, "grant-298");
    assert_rc(attach(&plans, plan.id, 200, 100), RC_API_REQUEST);
    (void)snprintf(signatures[299].name, PLAN_NAME_CAP, "grant-300");
    assert_rc(attach(&plans, plan.id, 200, 100), RC_API_REQUEST);
    assert_int_equal(count_signatures(path), 200);
    (void)snprintf(signatures[299].name, PLAN_NAME_CAP, "grant-299");
    assert_rc(attach(&plans, plan.id, 200, 100), RC_OK);

    assert_rc(offline_list(path, &files, &err), RC_OK);
    for (unsigned i = 0; i < ORDERS; i++) {
        scoped(offline_done) struct offline offline = { 0 };
        scoped(free_ptr) uint8_t *envelope = NULL;
        size_t n_envelope = 0;

        assert_rc(offline_collect_from(files, signatures[i].name, DOC_GRANT, &offline, &envelope,
                                       &n_envelope, &err),
                  RC_OK);
        assert_true(bytes_equal(offline.request.payload, requests[i].payload));
    }
    assert_rc(plans_detach(&plans, "a", plan.id, &err), RC_OK);
    assert_int_equal(count_signatures(path), 0);
    assert_int_equal(access(path, W_OK), 0);
}

/* Nobody fills the disk with signatures, which are as good as they are many. */
static void bounds_signatures(void **state)
{
    static const struct plans_limits limits = {
        .ms = A_DAY_MS, .each = 2, .all = 2, .bytes_each = 3U << 20U, .bytes_all = 4U << 20U
    };
    scoped(free_ptr) uint8_t *buf = malloc((size_t)ORDERS * SIGNATURE_FILE_MAX / 2);
    scoped(plans_close) struct plans plans = open_plans(&limits, KEPT_MS);
    struct plan_file file = { .name = "fleet.yaml" };
    const struct plan_body body = { .n = 1, .file = &file, .fleet = file.name };
    struct plan_kept plan = { .fleet = "fleet.yaml", .hash = "50dc", .made_ms = KEPT_MS };
    struct plan_file *asked = NULL;
    char path[PATH_MAX];
    size_t n = 0;

    (void)state;
    assert_non_null(buf);
    assert_rc(plans_begin(&plans, &body, &err), RC_OK);
    make_requests(&plans);
    assert_rc(plans_asked(&plans, &asked, &n, &err), RC_OK);
    assert_rc(plans_keep(&plans, "a", asked, n, &plan, &err), RC_OK);
    plan_files_free(asked, n);
    assert_rc(plans_path(&plans, "a", plan.id, PLANS_ASKED, NULL, path, &err), RC_OK);
    sign_requests(K_ROOT_A, buf);
    assert_rc(attach(&plans, plan.id, 0, 100), RC_OK);
    assert_rc(attach(&plans, plan.id, 100, 200), RC_NO_SPACE);
    assert_int_equal(count_signatures(path), 100);
}

/* What would not fit into memory as an answer is not read. */
static void bounds_requests(void **state)
{
    scoped(plans_close) struct plans plans = open_plans(&plans_limits, KEPT_MS);
    scoped(free_ptr) uint8_t *zeros = calloc(1, REQUEST_FILE_MAX);
    struct plan_file file = { .name = "fleet.yaml" }, *asked = NULL;
    const struct plan_body body = { .n = 1, .file = &file, .fleet = file.name };
    char path[PATH_MAX], name[64];
    size_t n = 0;

    (void)state;
    assert_non_null(zeros);
    assert_rc(plans_begin(&plans, &body, &err), RC_OK);
    assert_rc(plans_path(&plans, NULL, NULL, PLANS_ASKED, NULL, path, &err), RC_OK);
    scoped(close_fd) int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (unsigned i = 0; i <= PLANS_ASKED_MAX / REQUEST_FILE_MAX; i++) {
        scoped(close_fd) int fd = -1;

        (void)snprintf(name, sizeof name, "order-%u" REQUEST_SUFFIX, i);
        assert_rc(fs_open(dirfd, name, O_WRONLY | O_CREAT, 0600, &fd, &err), RC_OK);
        assert_rc(fs_write_all(fd, (struct bytes){ zeros, REQUEST_FILE_MAX }, &err), RC_OK);
    }
    assert_rc(plans_asked(&plans, &asked, &n, &err), RC_NO_SPACE);
    assert_null(asked);
    assert_int_equal(unlinkat(dirfd, "order-0" REQUEST_SUFFIX, 0), 0);
    assert_rc(plans_asked(&plans, &asked, &n, &err), RC_OK);
    assert_int_equal(n, PLANS_ASKED_MAX / REQUEST_FILE_MAX);
    plan_files_free(asked, n);
}

/* Its fleet file is read by others for as long as it is the one that was applied last. */
static void keeps_what_is_in_use(void **state)
{
    static const struct plans_limits limits = {
        .ms = A_DAY_MS, .each = 1, .all = 1, .bytes_each = 1U << 20U, .bytes_all = 1U << 20U
    };
    struct plans plans = open_plans(&limits, KEPT_MS);
    struct plan_kept one, two, three;
    char path[PATH_MAX];

    (void)state;
    assert_rc(keep(&plans, "a", KEPT_MS, 10, &one), RC_OK);
    assert_rc(plans_path(&plans, "a", one.id, PLANS_FILES, "fleet.yaml", path, &err), RC_OK);
    plans_close(&plans);
    assert_rc(store_set(home.store, HOME_FLEET_FILE, path, &err), RC_OK);
    plans = open_plans(&limits, KEPT_MS + 2 * A_DAY_MS);
    assert_int_equal(access(path, R_OK), 0);
    assert_rc(keep(&plans, "a", KEPT_MS + 2 * A_DAY_MS, 10, &two), RC_OK);
    assert_rc(keep(&plans, "a", KEPT_MS + 2 * A_DAY_MS + 1, 10, &three), RC_OK);
    assert_int_equal(access(path, R_OK), 0);
    assert_found(&plans, "a", &two, KEPT_MS + 2 * A_DAY_MS, RC_NOT_FOUND);
    plans_close(&plans);
    assert_rc(store_set(home.store, HOME_FLEET_FILE, "/elsewhere/fleet.yaml", &err), RC_OK);
    plans = open_plans(&limits, KEPT_MS + 2 * A_DAY_MS);
    assert_int_equal(access(path, R_OK), -1);
    assert_found(&plans, "a", &three, KEPT_MS + 2 * A_DAY_MS, RC_OK);
    plans_close(&plans);
}

/* A process that ends anywhere leaves what can be read or nothing; what is damaged goes. */
static void removes_what_was_left(void **state)
{
    struct plans plans = open_plans(&plans_limits, KEPT_MS);
    struct plan_kept plan, damaged;
    char path[PATH_MAX];

    (void)state;
    assert_rc(keep(&plans, "a", KEPT_MS, 10, &plan), RC_OK);
    assert_rc(keep(&plans, "a", KEPT_MS, 10, &damaged), RC_OK);
    plans_close(&plans);
    (void)snprintf(path, sizeof path, "plans/kept/a/%s/plan", damaged.id);
    assert_rc(fs_write_file(home.dirfd, path, bytes_of("{\"hash\": 7"), 0600, &err), RC_OK);
    assert_rc(fs_make_dirs(home.dirfd, "plans/new/files", 0700, &err), RC_OK);
    assert_rc(fs_make_dirs(home.dirfd, "plans/old/files", 0700, &err), RC_OK);
    assert_rc(fs_make_dirs(home.dirfd, "plans/kept/a/half", 0700, &err), RC_OK);
    plans = open_plans(&plans_limits, KEPT_MS);
    assert_int_equal(faccessat(home.dirfd, "plans/new", F_OK, 0), -1);
    assert_int_equal(faccessat(home.dirfd, "plans/old", F_OK, 0), -1);
    assert_int_equal(faccessat(home.dirfd, "plans/kept/a/half", F_OK, 0), -1);
    assert_found(&plans, "a", &damaged, KEPT_MS, RC_NOT_FOUND);
    assert_found(&plans, "a", &plan, KEPT_MS, RC_OK);
    plans_close(&plans);
}

/* Killed at any moment of keeping plans: the next one finds whole ones only, and goes on. */
static void is_whole_after_a_kill(void **state)
{
    (void)state;
    for (unsigned ms = 0; ms < 12; ms++) {
        int ends[2];
        char word;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        const pid_t child = fork();

        if (child == 0) {
            struct home own = HOME_NONE; /* no connection is two processes' */
            struct plans plans = PLANS_NONE;
            struct plan_kept plan;

            if (home_open(dir, false, &own, &err) != RC_OK)
                _exit(2);
            while (plans_open(&own, &plans_limits, KEPT_MS, &plans, &err) == RC_OK &&
                   keep(&plans, "a", KEPT_MS, 5000, &plan) == RC_OK) {
                (void)!write(ends[1], "k", 1);
                plans_close(&plans);
            }
            _exit(1);
        }
        assert_true(child > 0);
        for (unsigned i = 0; i <= ms % 3; i++) /* it is well under way */
            assert_int_equal(read(ends[0], &word, 1), 1);
        (void)poll(NULL, 0, (int)ms);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)close(ends[0]);
        (void)close(ends[1]);

        scoped(plans_close) struct plans plans = open_plans(&plans_limits, KEPT_MS);
        struct plan_kept plan;

        assert_rc(keep(&plans, "a", KEPT_MS, 10, &plan), RC_OK);
        assert_found(&plans, "a", &plan, KEPT_MS, RC_OK);
    }
}

/* ---- bodies at once ----------------------------------------------------------------------------
 */

static const struct api_who sender = { .name = "a", .role = API_OPERATOR };

static void *give_back(void *arg)
{
    api_large_give(arg, &sender);
    return NULL;
}

/* Whose answer is just over is not told to come again later. */
static void waits_for_ones_own(void **state)
{
    struct api_large large;
    pthread_t thread;

    (void)state;
    api_large_init(&large);
    assert_true(api_large_take(&large, &sender, 60000));
    assert_false(api_large_take(&large, &sender, 1));
    assert_int_equal(pthread_create(&thread, NULL, give_back, &large), 0);
    assert_true(api_large_take(&large, &sender, 60000));
    assert_int_equal(pthread_join(thread, NULL), 0);
    api_large_give(&large, &sender);
    api_large_done(&large);
}

static void lets_two_send_at_a_time(void **state)
{
    static const struct api_who who[] = {
        { .name = "a", .role = API_OPERATOR }, { .name = "b", .role = API_OPERATOR },
        { .name = "c", .role = API_OPERATOR }, { .name = "t", .role = API_TENANT },
        { .name = "u", .role = API_TENANT },   { .name = "v", .role = API_TENANT }
    };
    struct api_large large;
    size_t n = 99;

    (void)state;
    api_large_init(&large);
    for (size_t k = 0; k < 6; k += 3) { /* tenants do not stand in the others' way */
        assert_true(api_large_take(&large, &who[k], 0));
        assert_false(api_large_take(&large, &who[k], 0)); /* one of a token */
        assert_true(api_large_take(&large, &who[k + 1], 0));
    }
    assert_false(api_large_take(&large, &who[2], 0));
    for (unsigned k = 2; k <= API_LARGE_MAX; k++) { /* nor soon in each other's */
        struct api_who tenant = { .role = API_TENANT };

        (void)snprintf(tenant.name, sizeof tenant.name, "tenant-%u", k);
        assert_int_equal(api_large_take(&large, &tenant, 0), k < API_LARGE_MAX);
    }
    api_large_give(&large, &who[0]);
    assert_true(api_large_take(&large, &who[2], 0));
    assert_false(api_large_take(&large, &who[0], 0));
    api_large_done(&large);

    assert_true(api_large_length("12582912", &n));
    assert_int_equal(n, 12582912);
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1234567890123" };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(api_large_length(bad[i], &n));
    assert_false(api_large_length(NULL, &n));
}

static int free_keys(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(keeps_it_for_a_day),
        EACH(has_one_user_at_a_time),
        EACH(makes_room_among_ones_own),
        EACH(takes_signatures_in_parts),
        EACH(bounds_signatures),
        EACH(bounds_requests),
        EACH(keeps_what_is_in_use),
        EACH(removes_what_was_left),
        EACH(is_whole_after_a_kill),
        cmocka_unit_test(waits_for_ones_own),
        cmocka_unit_test(lets_two_send_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, free_keys);
}
