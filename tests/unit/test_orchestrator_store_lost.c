/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to PostgreSQL that is lost during a commit, or in the middle of a part: a relay
 * stands between the store and the database, and cuts the connection before the commit gets there,
 * or its answer.  It also counts how often the store speaks.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/store.h"
#include "tests/unit/store_rig.h"

#define SOCKET ".s.PGSQL.5432"

enum cut { BEFORE = 1, BEHIND = 2, AT_ONCE = 3, SPOIL_PART = 4, SPOIL_BERTH = 5 };

static char dir[64], where[512];
static pid_t relay;
static struct store *store;
static struct err err;

/* ---- the relay ---- */

static int open_unix(const char *at, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void)snprintf(ret->sun_path, sizeof ret->sun_path, "%s/" SOCKET, at);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void mark_path(enum cut cut, char out[96])
{
    (void)snprintf(out, 96, "%s/cut-%d", dir, (int)cut);
}

/* Whether the test has asked for it; once. */
static bool asked(enum cut cut)
{
    char path[96];

    mark_path(cut, path);
    return unlink(path) == 0;
}

/* Make nonsense of a statement, if the test has asked for it, and let the rest be. */
static void spoil(char *buf, size_t n, enum cut cut, const char *statement)
{
    char *at = memmem(buf, n, statement, strlen(statement));

    if (at && asked(cut))
        at[strlen("SAVEPOINT ")] = '9'; /* no name begins with it */
}

/* A query comes in one piece over a local socket, and so does its answer: they are small. */
static bool pass(int from, int to, enum cut cut, const char *sign, size_t n_sign)
{
    static char buf[65536];
    ssize_t n = read(from, buf, sizeof buf);

    if (n <= 0 || (memmem(buf, (size_t)n, sign, n_sign) && asked(cut)))
        return false;
    if (cut == BEFORE) {
        spoil(buf, (size_t)n, SPOIL_PART, "SAVEPOINT part");
        spoil(buf, (size_t)n, SPOIL_BERTH, "SAVEPOINT berth");
    }
    return write(to, buf, (size_t)n) == n;
}

static void count_path(char out[96])
{
    (void)snprintf(out, 96, "%s/spoke", dir);
}

/* One byte for each time. */
static void count(void)
{
    char path[96];

    count_path(path);
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, "", 1) != 1)
        _exit(1);
}

static void relay_one(int client, const char *server_dir)
{
    struct sockaddr_un addr;
    int server = open_unix(server_dir, &addr);
    struct pollfd fds[2] = { { .fd = client, .events = POLLIN },
                             { .fd = server, .events = POLLIN } };
    bool on = connect(server, (const struct sockaddr *)&addr, sizeof addr) == 0;

    while (on && poll(fds, 2, -1) > 0) {
        if (fds[0].revents) {
            count();
            on = !asked(AT_ONCE) &&
                 pass(client, server, BEFORE, "COMMIT", 7); /* with NUL: the query's end */
        }
        if (on && fds[1].revents)
            on = pass(server, client, BEHIND, "COMMIT", 7); /* the command's tag */
    }
    _exit(0);
}

static void run_relay(int listener, const char *server_dir)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(listener, NULL, NULL);

        if (client >= 0 && fork() == 0)
            relay_one(client, server_dir);
        (void)close(client);
    }
}

/* ---- the tests ---- */

static int setup(void **state)
{
    const char *template = getenv("BERTH_STORE");
    struct sockaddr_un addr;
    char server_dir[96] = "";

    (void)state;
    if (!store_rig_is_pg())
        return 0;
    assert_int_equal(sscanf(template, "postgresql:host=%95s", server_dir), 1);
    (void)snprintf(dir, sizeof dir, "/tmp/berth-lost-XXXXXX");
    assert_non_null(mkdtemp(dir));
    int listener = open_unix(dir, &addr);

    assert_int_equal(bind(listener, (const struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(listener, 8), 0);
    relay = fork();
    assert_true(relay >= 0);
    if (relay == 0)
        run_relay(listener, server_dir);
    (void)close(listener);
    (void)snprintf(where, sizeof where,
                   "postgresql:host=%s user=berth dbname=postgres options=-csearch_path=lost_%d",
                   dir, (int)getpid());
    assert_rc(store_open(where, true, &store, &err), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    if (!store_rig_is_pg())
        return 0;
    store_close(&store);
    (void)kill(relay, SIGKILL);
    (void)waitpid(relay, NULL, 0);
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

static void cut_next(enum cut cut)
{
    char path[96];

    mark_path(cut, path);
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

static void put(const char *value, enum rc expected)
{
    scoped(store_rollback) struct store *open = NULL;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_set(store, "fleet", value, &err), RC_OK);
    assert_rc(store_commit(&open, &err), expected);
}

static void assert_value(const char *value)
{
    char is[8];

    assert_rc(store_get(store, "fleet", is, sizeof is, &err), RC_OK);
    assert_string_equal(is, value);
}

static void a_commit_that_did_not_arrive_did_nothing(void **state)
{
    (void)state;
    if (!store_rig_is_pg())
        skip();
    put("a", RC_OK);
    cut_next(BEFORE);
    put("b", RC_STORE);
    assert_non_null(strstr(err.what, "nothing was done"));
    assert_value("a");
    put("c", RC_OK);
    assert_value("c");
}

static void a_commit_whose_answer_was_lost_is_done(void **state)
{
    (void)state;
    if (!store_rig_is_pg())
        skip();
    put("a", RC_OK);
    cut_next(BEHIND);
    put("b", RC_OK);
    assert_value("b");
}

static int spoke(void)
{
    struct stat st;
    char path[96];

    count_path(path);
    assert_int_equal(stat(path, &st), 0);
    return (int)st.st_size;
}

/* What came before a part that was lost with its connection is lost, too; what comes behind it is
 * refused, since it would be done by itself, and the commit says so. */
static void a_transaction_that_was_lost_in_a_part_does_not_commit(void **state)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(store_undo) struct store *part = NULL;

    (void)state;
    if (!store_rig_is_pg())
        skip();
    put("a", RC_OK);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_set(store, "fleet", "b", &err), RC_OK);
    assert_rc(store_mark(store, &part, &err), RC_OK);
    cut_next(AT_ONCE);
    assert_rc(store_set(store, "fleet", "c", &err), RC_STORE);
    store_undo(&part);
    assert_rc(store_set(store, "fleet", "d", &err), RC_STORE);
    assert_rc(store_mark(store, &part, &err), RC_STORE);
    assert_rc(store_commit(&open, &err), RC_STORE);
    store_rollback(&open);
    assert_value("a");
    put("e", RC_OK);
    assert_value("e");
}

/* A savepoint that itself fails, on a connection that lives on: nothing of the transaction stays,
 * what is asked of it later is refused, and the next one is as any other. */
static void a_savepoint_that_fails_ends_its_transaction(void **state)
{
    static const struct {
        const char *why;
        enum cut cut;
        bool in_part, passed;
    } rows[] = {
        { "between two statements", SPOIL_BERTH, false, false },
        { "at the beginning of a part", SPOIL_PART, true, false },
        { "of the first statement of a part", SPOIL_BERTH, true, false },
        { "at the end of a part", SPOIL_PART, true, true },
    };

    (void)state;
    if (!store_rig_is_pg())
        skip();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(store_rollback) struct store *open = NULL;
        scoped(store_undo) struct store *part = NULL;

        put("a", RC_OK);
        assert_rc(store_begin(store, &open, &err), RC_OK);
        assert_rc(store_set(store, "fleet", "b", &err), RC_OK);
        if (rows[i].in_part)
            assert_rc(store_mark(store, &part, &err), RC_OK);
        if (rows[i].passed) {
            assert_rc(store_set(store, "other", "b", &err), RC_OK);
            assert_rc(store_pass_mark(&part, &err), RC_OK);
        }
        cut_next(rows[i].cut);
        if (store_set(store, "fleet", "c", &err) != RC_STORE || asked(rows[i].cut))
            fail_msg("%s: no error", rows[i].why);
        store_undo(&part);
        assert_rc(store_set(store, "fleet", "d", &err), RC_STORE);
        assert_rc(store_mark(store, &part, &err), RC_STORE);
        if (store_commit(&open, &err) != RC_STORE)
            fail_msg("%s: it commits", rows[i].why);
        store_rollback(&open);
        assert_value("a");
        put("e", RC_OK);
        assert_value("e");
    }
    struct store *none = NULL;

    cut_next(SPOIL_BERTH);
    assert_rc(store_begin(store, &none, &err), RC_STORE); /* the first one of all */
    assert_null(none);
    put("f", RC_OK);
    assert_value("f");
}

/* Savepoints go with the statement behind them. */
static void a_part_of_one_statement_is_one_trip(void **state)
{
    scoped(store_rollback) struct store *open = NULL;
    const int parts = 5;

    (void)state;
    if (!store_rig_is_pg())
        skip();
    put("a", RC_OK); /* prepared */
    assert_rc(store_begin(store, &open, &err), RC_OK);
    const int before = spoke();

    for (int i = 0; i < parts; i++) {
        scoped(store_undo) struct store *part = NULL;

        assert_rc(store_mark(store, &part, &err), RC_OK);
        assert_rc(store_set(store, "fleet", "b", &err), RC_OK);
        assert_rc(store_pass_mark(&part, &err), RC_OK);
    }
    assert_int_equal(spoke() - before, parts);
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_value("b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_that_did_not_arrive_did_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_whose_answer_was_lost_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_transaction_that_was_lost_in_a_part_does_not_commit,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_savepoint_that_fails_ends_its_transaction, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_part_of_one_statement_is_one_trip, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
