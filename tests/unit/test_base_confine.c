/* SPDX-License-Identifier: Apache-2.0
 *
 * Each row runs in a child that gives up everything and then tries one thing.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/fs.h"

#if defined(BERTH_SANITIZED)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static char top[64];
static pid_t parent; /* of the children */

static int try_socket(int dir)
{
    (void)dir;
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_local(int dir)
{
    (void)dir;
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_exec(int dir)
{
    char name[] = "true";
    char *const argv[] = { name, NULL };

    (void)dir;
    (void)execv("/bin/true", argv);
    return errno;
}

static int try_outside(int dir)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    (void)dir;
    return fd < 0 ? errno : 0;
}

static int try_inside(int dir)
{
    struct err err;

    return fs_write_file(dir, "file", bytes_of("x"), 0600, &err) == RC_OK ? 0 : err.sys;
}

static int try_large(int dir)
{
    int fd = openat(dir, "large", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static uint8_t block[8192];

    (void)signal(SIGXFSZ, SIG_IGN);
    if (write(fd, block, sizeof block) != 4096) /* the part that fits */
        return 251;
    return write(fd, block, sizeof block) < 0 ? errno : 0;
}

static int try_setuid(int dir)
{
    (void)dir;
    return setuid(0) < 0 ? errno : 0;
}

static int try_fork(int dir)
{
    (void)dir;
    return fork() < 0 ? errno : 0;
}

static void *set_one(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static int try_thread(int dir)
{
    pthread_t thread;
    int ran = 0;

    (void)dir;
    if (pthread_create(&thread, NULL, set_one, &ran) != 0 || pthread_join(thread, NULL) != 0)
        return 251;
    return ran - 1;
}

static int try_signal(int dir)
{
    (void)dir;
    return kill(parent, 0) < 0 ? errno : 0;
}

static int try_tgkill(int dir)
{
    (void)dir;
    return tgkill(parent, parent, 0) < 0 ? errno : 0;
}

/* What it may do to itself: assert and abort go this way. */
static int try_abort(int dir)
{
    (void)dir;
    abort();
}

static int try_limit(int dir)
{
    struct rlimit now;

    (void)dir;
    return prlimit(parent, RLIMIT_CORE, NULL, &now) < 0 ? errno : 0;
}

static int try_own_limit(int dir)
{
    struct rlimit now;

    (void)dir;
    return getrlimit(RLIMIT_CORE, &now) < 0 ? errno : 0;
}

/* Whoever owns a descriptor gets its signals. */
static int try_owner(int dir)
{
    return fcntl(dir, F_SETOWN, parent) < 0 ? errno : 0;
}

static int try_own_fcntl(int dir)
{
    int fd = fcntl(dir, F_DUPFD_CLOEXEC, 10);

    return fd < 0 ? errno : fcntl(fd, F_GETFL) < 0 ? errno : 0;
}

/* What the child's end looked like: -signal or the errno of the attempt. */
static int attempt(int (*what)(int), bool write_allowed, bool threads, bool sockets)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct confine_dir dirs[] = { { .fd = dir, .write = write_allowed } };
        const struct confine rules = {
            .name = "test",
            .dirs = dirs,
            .n_dirs = 1,
            .file_size_max = 4096,
            .files_max = 64,
            .threads = threads,
            .sockets = sockets,
        };
        struct err err;

        if (confine_user(64501, 64501, &err) != RC_OK || confine_self(&rules, &err) != RC_OK)
            _exit(250);
        _exit(what(dir));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_confined(void **state)
{
    static const struct {
        const char *why;
        int (*what)(int);
        bool write_allowed;
        int want;
        bool threads;
        bool sockets;
        bool plain; /* sanitizers do these themselves */
    } rows[] = {
        { "network", try_socket, true, -SIGSYS },
        { "a socket where it may", try_socket, true, 0, .sockets = true },
        { "a local socket where those of the internet may be", try_local, true, -SIGSYS,
          .sockets = true },
        { "exec", try_exec, true, -SIGSYS },
        { "becoming root", try_setuid, true, -SIGSYS },
        { "a file elsewhere", try_outside, true, EACCES },
        { "a file in a writable directory", try_inside, true, 0 },
        { "a file in a readable directory", try_inside, false, EACCES },
        { "a file beyond the size limit", try_large, true, EFBIG },
        { "its own end", try_abort, true, -SIGABRT },
        { "its own limits", try_own_limit, true, 0 },
        { "its own descriptors", try_own_fcntl, true, 0 },
        { "a thread where it may", try_thread, true, 0, .threads = true },
        { "a thread", try_thread, true, -SIGSYS, .plain = true },
        { "a process", try_fork, true, -SIGSYS, .plain = true },
        { "a process where threads may be", try_fork, true, -SIGSYS, .threads = true,
          .plain = true },
        { "a signal", try_signal, true, -SIGSYS, .plain = true },
        { "a signal to a thread", try_tgkill, true, -SIGSYS, .plain = true },
        { "another one's limits", try_limit, true, -SIGSYS, .plain = true },
        { "another one's descriptor", try_owner, true, -SIGSYS, .plain = true },
    };

    (void)state;
    parent = getpid();
    (void)snprintf(top, sizeof top, "/tmp/berth-test-XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(chmod(top, 0777), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (SANITIZED && rows[i].plain)
            continue;

        int got = attempt(rows[i].what, rows[i].write_allowed, rows[i].threads, rows[i].sockets);

        if (got != rows[i].want)
            fail_msg("%s: got %d, want %d", rows[i].why, got, rows[i].want);
    }

    struct err err;

    assert_rc(fs_remove_tree(AT_FDCWD, top, &err), RC_OK);
}

/* Root is not a user to become. */
static void test_user(void **state)
{
    struct err err;

    (void)state;
    assert_rc(confine_user(0, 1000, &err), RC_CONFINE);
    assert_rc(confine_user(1000, 0, &err), RC_CONFINE);
    assert_int_equal(geteuid(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confined),
        cmocka_unit_test(test_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
