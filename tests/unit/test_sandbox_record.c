/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching a payload as an ordinary user: what it calls, what is refused, what it takes, and who
 * may not watch.  As root it runs as another user; as an ordinary one as it is.
 */
#include "tests/unit/test.h"

#include <sys/mman.h>

#include "sandbox/plan.h"
#include "sandbox/record.h"
#include "tests/unit/sandbox_rig.h"

#define NOBODY 65534U

/* What the watching process found; shared with it. */
struct shared {
    enum rc rc;
    struct err err;
    struct record record;
};

static struct rig rig; /* its directory only: no launcher is started */
static struct shared *shared;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(rig.dir, sizeof rig.dir, "/tmp/berth-record-XXXXXX");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared != MAP_FAILED && mkdtemp(rig.dir) != NULL && chmod(rig.dir, 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rig_remove(&rig) && munmap(shared, sizeof *shared) == 0 ? 0 : -1;
}

/* Watch a probe as somebody who is nobody; as: 0 = as we are. */
static void watch(uid_t as, const char *probe, char *const *argv, uint32_t seconds)
{
    static char notify[] = "NOTIFY_SOCKET=" PLAN_NOTIFY_PATH;
    static char *const env[] = { notify, NULL };
    char root[128];
    int status = 0;

    rig_slot(&rig, "slot", probe);
    (void)snprintf(root, sizeof root, "%s/slot", rig.dir);
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    if (pid == 0) {
        const struct record_job job = {
            .root = root, .argv = argv, .envp = env, .seconds = seconds
        };

        if (as != 0 && geteuid() == 0 &&
            (setresgid(as, as, as) != 0 || setresuid(as, as, as) != 0 ||
             prctl(PR_SET_DUMPABLE, 1) != 0))
            _exit(1);
        shared->rc = record_run(&job, &shared->record, &shared->err);
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
}

static void assert_watched(void)
{
    char text[200];

    if (shared->rc != RC_OK)
        fail_msg("%s", err_text(&shared->err, text, sizeof text));
}

static char program[] = "/bin/probe";

static void sees_what_is_called(void **state)
{
    char *const argv[] = { program, NULL };
    const struct record *r = &shared->record;

    (void)state;
    watch(NOBODY, "sandbox_syscalls", argv, 300);
    assert_watched();
    assert_true(r->ended);
    assert_true(r->counts[CALL_execve] == 1);
    assert_true(r->counts[CALL_write] > 0);
    assert_int_equal(r->counts[CALL_mount], 1);
    assert_int_equal(r->refused[CALL_mount], 1); /* in no profile */
    assert_int_equal(r->refused[CALL_bpf], 1);
    assert_int_equal(r->refused[CALL_getpid], 0);
    assert_int_equal(r->refused[CALL_clone3], 0); /* what libraries ask for first */
    assert_int_equal(r->unknown, 1);
    /* It tries an internet socket, which net has, and shmget and splice, which posix-legacy has. */
    assert_int_equal(r->profile, PROFILE_NET | PROFILE_LEGACY);
}

static void proposes_no_more_than_needed(void **state)
{
    static char good[] = "good";
    char *const argv[] = { program, good, NULL };
    const struct record *r = &shared->record;

    (void)state;
    watch(NOBODY, "agent_payload", argv, 2);
    assert_watched();
    assert_false(r->ended);
    assert_true(r->said_ready);
    assert_int_equal(r->profile, 0);
    assert_true(r->counts[CALL_sendto] > 0);
    for (unsigned int i = 0; i < CALLS_N; i++)
        assert_int_equal(r->refused[i], 0);
    assert_in_range(r->pids, 1, 1);
    assert_in_range(r->open_files, 3, 8);
    assert_in_range(r->memory_bytes, 4096, 16U << 20);
    assert_true(r->wall_us >= 2000000);
}

/* What would kill on board is refused here, so that it goes on and is seen. */
static void reboots_nothing(void **state)
{
    static char how[] = "reboot";
    char *const argv[] = { program, how, NULL };

    (void)state;
    watch(NOBODY, "sandbox_syscalls", argv, 300);
    assert_watched();
    assert_int_equal(shared->record.refused[CALL_reboot], 1);
    assert_true(shared->record.ended && WIFEXITED(shared->record.status));
}

static void ends_what_does_not_end(void **state)
{
    static char how[] = "deaf";
    char *const argv[] = { program, how, NULL };

    (void)state;
    watch(NOBODY, "sandbox_hog", argv, 1);
    assert_watched();
    assert_false(shared->record.ended);
    assert_true(shared->record.pids >= 3); /* it has two children */
}

static void refuses(void **state)
{
    static char none[] = "/bin/none";
    char *const argv[] = { program, NULL };
    char *const missing[] = { none, NULL };

    (void)state;
    watch(NOBODY, "sandbox_syscalls", missing, 300);
    assert_rc(shared->rc, RC_LAUNCH_EXEC);
    if (geteuid() == 0) {
        watch(0, "sandbox_syscalls", argv, 300);
        assert_rc(shared->rc, RC_CONFINE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sees_what_is_called, setup, teardown),
        cmocka_unit_test_setup_teardown(proposes_no_more_than_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(reboots_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_what_does_not_end, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
