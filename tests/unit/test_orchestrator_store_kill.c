/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing that was acknowledged is lost, and nothing is half done: the writer is killed in the
 * middle of its work, again and again, and so is PostgreSQL, in a cluster of this test's own.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/store.h"
#include "tests/unit/store_rig.h"

#define PATIENCE_MS 300000U
#define ROUNDS 24U
#define OWN "--own-server"

static char dir[64], path[96];
static struct err err;
static const char *self;
static bool own; /* the server is this program's, and may be killed */

static int setup(void **state)
{
    struct store *store = NULL;

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-kill-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_set(store, "n", "0", &err), RC_OK);
    store_close(&store);
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

/* ---- the writer ---- */

static enum rc read_n(struct store *store, uint64_t *ret, struct err *why)
{
    char text[32];
    enum rc rc = store_get(store, "n", text, sizeof text, why);

    if (rc == RC_OK)
        *ret = strtoull(text, NULL, 10);
    return rc;
}

/* Two things that belong together: the number, and an entry of the log for it. */
static enum rc write_next(struct store *store, uint64_t *ret, struct err *why)
{
    scoped(store_rollback) struct store *open = NULL;
    char text[32];
    uint64_t n = 0;
    enum rc rc = store_begin(store, &open, why);

    if (rc == RC_OK)
        rc = read_n(store, &n, why);
    n++;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    if (rc == RC_OK)
        rc = store_set(store, "n", text, why);
    if (rc == RC_OK)
        rc = store_audit(store, "writer", "count", n, why, "%s", text);
    if (rc == RC_OK)
        rc = store_commit(&open, why);
    if (rc == RC_OK)
        *ret = n;
    return rc;
}

/* Writes until it is killed, and tells each number that is committed.  A server that died is waited
 * for, on the same store: it connects anew by itself. */
static void work(int out)
{
    const struct timespec pause = { .tv_nsec = 10000000 };
    const uint64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    struct store *store = NULL;
    struct err why;
    uint64_t n = 0;

    while (store_open(path, false, &store, &why) != RC_OK && clock_mono_ms() < until_ms)
        (void)nanosleep(&pause, NULL);
    while (store && clock_mono_ms() < until_ms) {
        if (write_next(store, &n, &why) == RC_OK) {
            if (write(out, &n, sizeof n) != sizeof n)
                break;
        } else {
            (void)nanosleep(&pause, NULL);
        }
    }
    _exit(1);
}

static pid_t start(int *ret_fd)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(ends[0]);
        work(ends[1]);
    }
    assert_true(pid > 0);
    (void)close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

static uint64_t hear(int fd, unsigned count)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(read(fd, &n, sizeof n), sizeof n);
    return n;
}

/* Everything that it still told before it died. */
static uint64_t hear_the_rest(int fd, uint64_t n)
{
    uint64_t more = 0;

    while (read(fd, &more, sizeof more) == sizeof more)
        n = more;
    return n;
}

static void end(pid_t pid)
{
    int status = 0;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* All that was told is there, at most one more than that, and each with its entry. */
static uint64_t check(uint64_t told)
{
    scoped(store_close) struct store *store = NULL;
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    uint64_t n = 0;

    assert_rc(store_open(path, false, &store, &err), RC_OK);
    assert_rc(read_n(store, &n, &err), RC_OK);
    assert_in_range(n, told, told + 1);
    assert_rc(store_audit_check(store, &walk, &err), RC_OK);
    assert_int_equal(walk.entries, n);
    return n;
}

static void a_killed_writer_loses_nothing(void **state)
{
    const struct timespec step = { .tv_nsec = 130000 };
    uint64_t n = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        scoped(close_fd) int fd = -1;
        pid_t pid = start(&fd);

        n = hear(fd, 3);
        for (unsigned k = 0; k < i; k++) /* at another point of the transaction each time */
            (void)nanosleep(&step, NULL);
        end(pid);
        n = check(hear_the_rest(fd, n));
    }
    assert_true(n >= 3ULL * ROUNDS);
}

/* ---- the server ---- */

static pid_t postmaster(void)
{
    char name[256];
    FILE *in;
    int pid = 0;

    (void)snprintf(name, sizeof name, "%s/postmaster.pid", getenv("PG_DATA"));
    in = fopen(name, "re");
    assert_non_null(in);
    assert_int_equal(fscanf(in, "%d", &pid), 1);
    (void)fclose(in);
    assert_true(pid > 1);
    return pid;
}

/* kill -9 of the server's newest process, which serves the writer or is its background writer:
 * PostgreSQL then ends all of them and recovers. */
static void kill_a_backend(void)
{
    char name[64];
    const int server = postmaster();
    int pid = 0, last = 0;
    FILE *in;

    (void)snprintf(name, sizeof name, "/proc/%d/task/%d/children", server, server);
    in = fopen(name, "re");
    assert_non_null(in);
    while (fscanf(in, "%d", &pid) == 1)
        last = pid;
    (void)fclose(in);
    assert_true(last > 1);
    (void)kill(last, SIGKILL); /* it may have ended by itself */
}

static void restart_at_once(void)
{
    char words[512], *rest = NULL, *argv[32] = { NULL };
    size_t n = 0;
    int status = 0;
    pid_t pid;

    (void)snprintf(words, sizeof words, "%s -D %s -m immediate -w -t 300 -l %s/../log restart",
                   getenv("PG_CTL"), getenv("PG_DATA"), getenv("PG_DATA"));
    for (char *word = strtok_r(words, " ", &rest); word && n < 31;
         word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)dup2(null, 1);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_killed_server_loses_nothing(void **state)
{
    scoped(close_fd) int fd = -1;
    uint64_t n;
    pid_t pid;

    (void)state;
    if (!own)
        skip();
    pid = start(&fd);
    n = hear(fd, 5);
    for (unsigned i = 0; i < 8; i++) {
        const uint64_t before = n;

        if (i % 2 == 0)
            kill_a_backend();
        else
            restart_at_once();
        /* What lay in the pipe may be from before: it goes on in any case. */
        n = hear(fd, 50);
        assert_true(n > before);
    }
    end(pid);
    (void)check(hear_the_rest(fd, n));
}

/* This program again, with a cluster that is durable, and its own. */
static void with_a_server_of_its_own(void **state)
{
    int status = 0;
    pid_t pid;

    (void)state;
    if (store_rig_is_pg())
        skip();
    pid = fork();
    if (pid == 0) {
        (void)execl("tools/with-postgresql", "tools/with-postgresql", "--durable", self, OWN,
                    (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_killed_writer_loses_nothing),
        ROW(a_killed_server_loses_nothing),
        cmocka_unit_test(with_a_server_of_its_own),
    };

    self = argv[0];
    own = argc > 1 && strcmp(argv[1], OWN) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
