/* SPDX-License-Identifier: Apache-2.0
 *
 * Several reconcilers on one fleet: one of them has the lease, the others stand by, and whoever was
 * stopped for longer than its lease writes nothing any more.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/ground.h"
#include "orchestrator/home.h"
#include "tests/unit/store_rig.h"

#define HOUR_MS 3600000U

static char dir[64], path[96];
static struct store *store;
static struct err err;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-lease-XXXXXX");
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

/* Whatever its clock is. */
static void let_it_run_out(void)
{
    assert_true(store_rig_sql(path, "UPDATE lease SET expires_ms = 0"));
}

static void one_has_it(void **state)
{
    scoped(store_close) struct store *other = NULL;
    struct store_lease lease;

    (void)state;
    assert_rc(store_open(path, false, &other, &err), RC_OK);
    assert_rc(store_lease(store, &lease, &err), RC_NOT_FOUND);
    assert_rc(store_drop_lease(store, &err), RC_OK); /* it has none */
    assert_rc(store_take_lease(store, "a", 1000, HOUR_MS, &err), RC_OK);
    assert_rc(store_lease(other, &lease, &err), RC_OK);
    assert_string_equal(lease.holder, "a");
    assert_int_equal(lease.fence, 1);
    assert_true(lease.expires_ms >= 1000 + HOUR_MS);
    assert_rc(store_take_lease(other, "b", 1000, HOUR_MS, &err), RC_BUSY);
    assert_non_null(strstr(err.what, "a has the lease"));
    assert_rc(store_set(other, "who", "operator", &err), RC_OK); /* under no lease: as ever */
    assert_rc(store_take_lease(store, "a", 1500, HOUR_MS, &err), RC_OK);
    assert_rc(store_lease(other, &lease, &err), RC_OK);
    assert_int_equal(lease.fence, 1); /* held on */
    assert_rc(store_drop_lease(store, &err), RC_OK);
    assert_rc(store_take_lease(other, "b", 1600, HOUR_MS, &err), RC_OK);
    assert_rc(store_lease(other, &lease, &err), RC_OK);
    assert_int_equal(lease.fence, 2);
}

/* Killed and started again, it need not wait for itself; what it left running is fenced off. */
static void the_same_takes_it_over_at_once(void **state)
{
    scoped(store_close) struct store *again = NULL;

    (void)state;
    assert_rc(store_open(path, false, &again, &err), RC_OK);
    assert_rc(store_take_lease(store, "a", 1000, HOUR_MS, &err), RC_OK);
    assert_rc(store_take_lease(again, "a", 1001, HOUR_MS, &err), RC_OK);
    assert_rc(store_set(again, "k", "new", &err), RC_OK);
    assert_rc(store_set(store, "k", "old", &err), RC_FENCED);
}

static void an_old_number_writes_nothing(void **state)
{
    scoped(store_close) struct store *other = NULL;
    struct store *open = NULL;
    struct store_lease lease;
    char value[16];

    (void)state;
    assert_rc(store_open(path, false, &other, &err), RC_OK);
    assert_rc(store_take_lease(store, "a", 1000, HOUR_MS, &err), RC_OK);
    assert_rc(store_set(store, "k", "1", &err), RC_OK);
    let_it_run_out();
    assert_rc(store_set(store, "k", "2", &err), RC_OK); /* nobody else has it yet */
    assert_rc(store_take_lease(other, "b", HOUR_MS, HOUR_MS, &err), RC_OK);
    assert_rc(store_set(store, "k", "3", &err), RC_FENCED);
    assert_non_null(strstr(err.what, "lease 2, and this was number 1"));
    assert_rc(store_begin(store, &open, &err), RC_FENCED);
    assert_null(open);
    assert_rc(store_audit(store, "a", "apply", 1, &err, "x"), RC_FENCED);
    assert_rc(store_unset(store, "k", &err), RC_FENCED);
    assert_rc(store_get(store, "k", value, sizeof value, &err), RC_OK); /* reading is fine */
    assert_string_equal(value, "2");
    assert_rc(store_set(other, "k", "4", &err), RC_OK);
    assert_rc(store_drop_lease(store, &err), RC_OK); /* not its own any more: it stays */
    assert_rc(store_lease(other, &lease, &err), RC_OK);
    assert_string_equal(lease.holder, "b");
    assert_true(lease.expires_ms > 0);
}

/* ---- one that is stopped ---- */

/* Takes the lease, and for each byte from its parent writes one setting and says what came of it.
 */
static void reconcile(int fd)
{
    struct store *own = NULL;
    struct err why;
    uint32_t rc = (uint32_t)store_open(path, false, &own, &why);
    char byte;

    if (rc == RC_OK)
        rc = (uint32_t)store_take_lease(own, "stopped", 1000, HOUR_MS, &why);
    while (write(fd, &rc, sizeof rc) == sizeof rc && read(fd, &byte, 1) == 1)
        rc = (uint32_t)store_set(own, "who", "stopped", &why);
    _exit(0);
}

static enum rc heard(int fd)
{
    uint32_t rc = RC_INTERNAL;

    assert_int_equal(read(fd, &rc, sizeof rc), sizeof rc);
    return (enum rc)rc;
}

static void who_was_stopped_past_its_lease_is_refused(void **state)
{
    int ends[2], status = 0;
    char value[16];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(ends[0]);
        reconcile(ends[1]);
    }
    assert_true(pid > 0);
    (void)close(ends[1]);
    assert_rc(heard(ends[0]), RC_OK); /* it has the lease */
    assert_int_equal(write(ends[0], "w", 1), 1);
    assert_rc(heard(ends[0]), RC_OK); /* and writes */
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(write(ends[0], "w", 1), 1); /* waits for it */
    assert_rc(store_take_lease(store, "next", 2000, HOUR_MS, &err), RC_BUSY);
    let_it_run_out();
    assert_rc(store_take_lease(store, "next", 2000, HOUR_MS, &err), RC_OK);
    assert_rc(store_set(store, "who", "next", &err), RC_OK);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_rc(heard(ends[0]), RC_FENCED);
    assert_rc(store_get(store, "who", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "next");
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* ---- two grounds ---- */

/* A second home of the same fleet. */
static void make_home(const char *name, char out[128])
{
    scoped(close_fd) int first = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scoped(close_fd) int second = -1;
    char where[HOME_STORE_CAP];

    assert_rc(home_store_where(first, dir, where, &err), RC_OK);
    (void)snprintf(out, 128, "%s/%s", dir, name);
    assert_rc(home_place_store(out, where, &err), RC_OK);
    second = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(fs_make_dirs(second, "objects", 0700, &err), RC_OK);
}

static void exactly_one_ground_reconciles(void **state)
{
    scoped(ground_close) struct ground *a = NULL, *b = NULL;
    struct ground_options options = { .home = dir, .up_budget = 1024 };
    char second[128];

    (void)state;
    make_home("second", second);
    assert_rc(ground_open(&options, &a, &err), RC_OK);
    options.home = second;
    assert_rc(ground_open(&options, &b, &err), RC_OK);
    assert_rc(ground_tick(a, 1000, 1000, &err), RC_OK);
    assert_rc(ground_tick(b, 1000, 1000, &err), RC_BUSY);
    assert_true(ground_stands_by(b));
    assert_non_null(strstr(err.what, "has the lease"));
    let_it_run_out();
    assert_rc(ground_tick(b, 2000, GROUND_LEASE_MS + 2000, &err), RC_OK);
    assert_false(ground_stands_by(b));
    /* It does not know yet, and would not ask before a third of its lease. */
    assert_rc(ground_tick(a, 2000, GROUND_LEASE_MS + 2000, &err), RC_OK);
    assert_rc(ground_tick(a, GROUND_LEASE_MS, GROUND_LEASE_MS + 3000, &err), RC_BUSY);
    assert_true(ground_stands_by(a));
    ground_close(&b); /* lets go of it */
    assert_rc(ground_tick(a, GROUND_LEASE_MS + 1000, GROUND_LEASE_MS + 4000, &err), RC_OK);
    assert_false(ground_stands_by(a));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(one_has_it),
        ROW(the_same_takes_it_over_at_once),
        ROW(an_old_number_writes_nothing),
        ROW(who_was_stopped_past_its_lease_is_refused),
        ROW(exactly_one_ground_reconciles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
