/* SPDX-License-Identifier: Apache-2.0
 *
 * A launcher that berthd does not start itself: the real programs, the test as what listens and
 * starts one berth-launch for each connection, as systemd does.  The two have different mount
 * namespaces, and berthd has none of the capabilities that only the launcher needs.
 */
#include "tests/unit/test.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/un.h>

#include "base/passed.h"
#include "sandbox/door.h"
#include "sandbox/wire.h"
#include "tests/unit/agent_sky.h"

#define STRANGER 64599U

/* ---- who listens --------------------------------------------------------------------------------
 */

/* Seen by the test and by who listens. */
struct seen {
    _Atomic uint32_t started, ended;
    _Atomic pid_t newest;
};

static struct seen *seen;
static pid_t init_pid;
static char door_path[96];

static int listen_at(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int become_door(int connection)
{
    char program[600];

    (void)snprintf(program, sizeof program, "%s/berth-launch", sky->build);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return 126;
    /* systemd's do not block when they are accepted */
    if (fcntl(connection, F_SETFL, O_NONBLOCK) != 0 ||
        (connection == 3 ? fcntl(3, F_SETFD, 0) : dup2(connection, 3)) < 0)
        return 126;
    execl(program, "berth-launch", "--door", (char *)NULL);
    return 127;
}

static void count_ended(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        seen->ended++;
}

static _Noreturn void listen_and_start(int listener)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd p = { .fd = listener, .events = POLLIN };

        count_ended();
        if (poll(&p, 1, 20) <= 0)
            continue;
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pid_t pid = fork();

        if (pid == 0)
            _exit(become_door(connection));
        (void)close(connection);
        seen->newest = pid;
        seen->started++;
    }
}

static int open_with_door(void **state)
{
    (void)sky_open(state);
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(seen != MAP_FAILED);
    (void)snprintf(door_path, sizeof door_path, "%s/launch", sky->dir.path);
    scoped(close_fd) int listener = listen_at(door_path);
    init_pid = fork();
    assert_true(init_pid >= 0);
    if (init_pid == 0)
        listen_and_start(listener);
    sky->launcher = door_path;
    return 0;
}

static void await_seen(const _Atomic uint32_t *what, uint32_t least)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    while (*what < least) {
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 20);
    }
}

/* Every launcher ends by itself once its berthd has: only then is the group of the test gone. */
static int close_with_door(void **state)
{
    const uint32_t started = seen->started;

    if (sky->berthd > 0) {
        (void)kill(sky->berthd, SIGTERM);
        (void)waitpid(sky->berthd, NULL, 0);
        sky->berthd = 0;
    }
    await_seen(&seen->ended, started);
    assert_int_equal(kill(init_pid, SIGKILL), 0);
    assert_int_equal(waitpid(init_pid, NULL, 0), init_pid);
    assert_int_equal(unlink(door_path), 0);
    assert_int_equal(munmap(seen, sizeof *seen), 0);
    return sky_close(state);
}

/* ---- with berthd --------------------------------------------------------------------------------
 */

static const struct version v1 = { "1.0", "good", 1, 0, K_ACME };

/* Those of CapabilityBoundingSet= in agent/berthd.service and no other, and no network. */
static void keep_few(void)
{
    const uint64_t kept = 1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER |
                          1ULL << CAP_SETUID | 1ULL << CAP_SETGID | 1ULL << CAP_SETPCAP |
                          1ULL << CAP_KILL | 1ULL << CAP_SYS_CHROOT;

    if (unshare(CLONE_NEWNET) != 0)
        _exit(125);
    for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
        if ((kept >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) != 0 &&
            errno != EINVAL)
            _exit(125);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        _exit(125);
}

static void payloads_run_without_a_child_of_berthd(void **state)
{
    (void)state;
    sky->becomes = keep_few;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(sky->report.n_events, 0);
    assert_int_equal(seen->started, 1);

    /* A clean end, and the launcher has gone with it. */
    end_berthd(SIGTERM, 0);
    await_seen(&seen->ended, 1);

    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(seen->started, 2);
}

static bool says_refused(const struct report *r, const void *arg)
{
    (void)arg;
    return r->n_denied == 1;
}

/* Which calls were refused to payloads comes from the launcher: berthd could not ask the kernel. */
static void refused_calls_are_counted(void **state)
{
    const struct version v = { .version = "1.0", .how = "refused", .release = 1, .signer = K_ACME };

    (void)state;
    sky->becomes = keep_few;
    start_berthd();
    struct digest d = send_version(&v);
    send_order(1, &d);
    await("refused calls", says_refused, NULL);
    assert_string_equal(sky->report.denied[0].call[0].name, "bpf");
    end_berthd(SIGTERM, 0);
}

/* The payloads of a berthd that was killed end before the next one starts any. */
static void killed_berthd_leaves_nothing(void **state)
{
    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    await_seen(&seen->ended, 1);
    assert_int_equal(seen->started, 2);
    assert_int_equal(sky->report.epoch, 2);
}

static void without_launcher_berthd_starts_again(void **state)
{
    int status = -1;

    (void)state;
    start_berthd();
    struct digest d1 = send_version(&v1);
    send_order(1, &d1);
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(kill(seen->newest, SIGKILL), 0);
    assert_int_equal(waitpid(sky->berthd, &status, 0), sky->berthd);
    sky->berthd = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    start_berthd();
    await_standing(SLOT_COMMITTED, &d1);
    assert_int_equal(seen->started, 2);
}

/* Room for the start of every payload at once, more than the host lets anybody take by himself. */
static void who_asks_has_room(void **state)
{
    char program[600], name[] = "berth-launch", *const argv[] = { name, NULL };
    const int least = 4 * (int)PAYLOADS_MAX * (int)sizeof(union wire_message);
    int room = 0, sock = -1;
    socklen_t size = sizeof room;
    struct pollfd end = { .events = POLLIN };
    struct err err = { 0 };
    char byte;

    (void)state;
    (void)snprintf(program, sizeof program, "%s/berth-launch", sky->build);
    scoped(close_fd) int file = open(program, O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int fds[DOOR_SELF] = { file, dir, dir };

    assert_rc(door_ask(door_path, argv, fds, &sock, &err), RC_OK);
    assert_int_equal(getsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, &size), 0);
    assert_in_range(room, least, INT_MAX);
    /* it ends, without the arguments that it needs, and nobody else holds this connection */
    end.fd = sock;
    assert_int_equal(poll(&end, 1, WAIT_MS), 1);
    assert_int_equal(recv(sock, &byte, 1, 0), 0);
    close_fd(&sock);
}

/* ---- who may, and what --------------------------------------------------------------------------
 */

static void a_stranger_who_listens_is_not_asked(void **state)
{
    struct scratch dir = scratch_new();
    char *const argv[] = { (char[]){ "berth-launch" }, NULL };
    const int fds[DOOR_SELF] = { dir.fd, dir.fd, dir.fd };
    char path[96];
    int sock = -1;
    struct err err = { 0 };

    (void)state;
    (void)snprintf(path, sizeof path, "%s/launch", dir.path);
    assert_int_equal(door_ask(path, argv, fds, &sock, &err), RC_NOT_FOUND); /* nobody yet */
    assert_int_equal(door_ask("launch", argv, fds, &sock, &err), RC_IO);
    assert_int_equal(chown(dir.path, STRANGER, STRANGER), 0);
    assert_int_equal(seteuid(STRANGER), 0);
    scoped(close_fd) int listener = listen_at(path);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(door_ask(path, argv, fds, &sock, &err), RC_PROTOCOL);
    assert_int_equal(sock, -1);
    scratch_done(&dir);
}

static void say(int sock, const void *data, size_t n, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char buf[PASSED_SPACE(DOOR_FDS + 1)];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0)
        passed_put(&hdr, control.buf, fds, n_fds);
    assert_int_equal(sendmsg(sock, &hdr, 0), (ssize_t)n);
}

/* What comes of one packet. */
static enum rc taken(const struct door_request *r, size_t n, const int *fds, size_t n_fds)
{
    int pair[2], got[DOOR_FDS] = { -1, -1, -1, -1 };
    struct door_request request;
    struct err err = { 0 };

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    say(pair[0], r, n, fds, n_fds);
    enum rc rc = door_take(pair[1], &request, got, &err);
    for (size_t i = 0; i < DOOR_FDS; i++) {
        assert_true((got[i] >= 0) == (rc == RC_OK));
        close_fd(&got[i]);
    }
    if (rc == RC_OK)
        assert_memory_equal(&request, r, sizeof request);
    close_fd(&pair[0]);
    close_fd(&pair[1]);
    return rc;
}

static struct door_request good(void)
{
    return (struct door_request){
        .magic = DOOR_MAGIC(DOOR_NEWEST), .n_args = 2, .size = 5, .text = "a\0bc"
    };
}

static void only_whole_requests_are_taken(void **state)
{
    scoped(close_fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const int fds[DOOR_FDS + 1] = { file, dir, dir, sock, sock };
    const int swapped[DOOR_FDS] = { dir, file, dir, sock };
    const int no_socket[DOOR_FDS] = { file, dir, dir, dir };
    struct door_request r = good();

    (void)state;
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), RC_OK);
    assert_int_equal(taken(&r, sizeof r - 1, fds, DOOR_FDS), RC_PROTOCOL);
    assert_int_equal(taken(&r, 4, fds, DOOR_FDS), RC_PROTOCOL);
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS - 1), RC_PROTOCOL);
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS + 1), RC_PROTOCOL);
    assert_int_equal(taken(&r, sizeof r, NULL, 0), RC_PROTOCOL);
    assert_int_equal(taken(&r, sizeof r, swapped, DOOR_FDS), RC_PROTOCOL);
    assert_int_equal(taken(&r, sizeof r, no_socket, DOOR_FDS), RC_PROTOCOL);
    r.magic = DOOR_MAGIC(0); /* an answer */
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), RC_PROTOCOL);
    r.magic = DOOR_MAGIC(DOOR_NEWEST + 1);
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), RC_PROTOCOL);
    for (uint32_t n = 0; n <= DOOR_ARGS_MAX + 1; n++) {
        r = good();
        r.n_args = n;
        assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), n == 2 ? RC_OK : RC_PROTOCOL);
    }
    static const uint32_t sizes[] = { 0, 1, 4, 6, DOOR_TEXT_CAP, DOOR_TEXT_CAP + 1, UINT32_MAX };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        r = good();
        r.size = sizes[i];
        assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), RC_PROTOCOL);
    }
    r = good();
    r.text[DOOR_TEXT_CAP - 1] = 'x'; /* behind the end */
    assert_int_equal(taken(&r, sizeof r, fds, DOOR_FDS), RC_PROTOCOL);
}

static void a_stranger_is_not_heard(void **state)
{
    int pair[2], got[DOOR_FDS] = { -1, -1, -1, -1 };
    struct door_request request, r = good();
    scoped(close_fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int fds[DOOR_FDS] = { file, dir, dir, dir };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(seteuid(STRANGER), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(seteuid(0), 0);
    say(pair[0], &r, sizeof r, fds, DOOR_FDS);
    assert_int_equal(door_take(pair[1], &request, got, &err), RC_PROTOCOL);
    close_fd(&pair[0]);
    close_fd(&pair[1]);

    /* and from root, nothing at all */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    close_fd(&pair[0]);
    assert_int_equal(door_take(pair[1], &request, got, &err), RC_SHORT);
    close_fd(&pair[1]);
}

/* ---- other versions -----------------------------------------------------------------------------
 */

/* A door in a process of its own that takes what comes by a range, as often as it takes; old: of
 * before there were ranges, it only ends. */
static pid_t door_of(int listener, const struct door_range *range, bool old)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int connection = accept(listener, NULL, NULL), got[DOOR_FDS] = { -1, -1, -1, -1 };
        struct door_request r, raw;
        struct err err = { 0 };

        if (connection < 0)
            _exit(1);
        if (!old || (recv(connection, &raw, sizeof raw, MSG_PEEK) > 0 &&
                     raw.magic == DOOR_MAGIC(range->newest))) {
            if (door_take_as(range, connection, &r, got, &err) == RC_OK)
                (void)!send(connection, &r.magic, sizeof r.magic, MSG_NOSIGNAL);
            for (size_t i = 0; i < DOOR_FDS; i++)
                close_fd(&got[i]);
        }
        (void)close(connection);
    }
}

static void both_speak_one_version_back(void **state)
{
    static const struct {
        const char *why;
        struct door_range berthd, door;
        bool old;
        enum rc rc;
        const char *text;
    } rows[] = {
        { "the same", { 2, 3 }, { 2, 3 }, false, RC_OK, "" },
        { "a newer door", { 2, 2 }, { 2, 3 }, false, RC_OK, "" },
        { "a newer berthd", { 3, 4 }, { 2, 3 }, false, RC_OK, "" },
        { "two releases on", { 3, 5 }, { 2, 3 }, false, RC_OK, "" },
        { "a door that tells no range", { 2, 3 }, { 2, 2 }, true, RC_OK, "" },
        { "one that is too old and tells none", { 3, 4 }, { 2, 2 }, true, RC_SHORT, "ended" },
        { "a door too old",
          { 4, 5 },
          { 2, 3 },
          false,
          RC_PROTOCOL,
          "berth-launch speaks 2 to 3 of the door, berthd 4 to 5" },
        { "a door too new",
          { 2, 3 },
          { 4, 5 },
          false,
          RC_PROTOCOL,
          "berth-launch speaks 4 to 5 of the door, berthd 2 to 3" },
    };
    struct scratch dir = scratch_new();
    char *const argv[] = { (char[]){ "berth-launch" }, NULL };
    scoped(close_fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int fds[DOOR_SELF] = { file, dir.fd, dir.fd };
    char path[96];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/launch", dir.path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(close_fd) int listener = listen_at(path);
        const pid_t door = door_of(listener, &rows[i].door, rows[i].old);
        struct err err = { 0 };
        int sock = -1;
        const enum rc rc = door_ask_as(&rows[i].berthd, path, argv, fds, &sock, &err);

        if (rc != rows[i].rc || (sock >= 0) != (rc == RC_OK) ||
            (rc != RC_OK && !strstr(err.what, rows[i].text)))
            fail_msg("%s: %s: %s", rows[i].why, rc_name(rc), err.what);
        close_fd(&sock);
        assert_int_equal(kill(door, SIGKILL), 0);
        assert_int_equal(waitpid(door, NULL, 0), door);
        assert_int_equal(unlink(path), 0);
    }
    scratch_done(&dir);
}

/* What is answered by a door that is none, or not ours, makes berthd ask no second time, or at most
 * as often as it has numbers. */
static void no_answer_keeps_berthd_asking(void **state)
{
    static const struct {
        uint32_t word[4];
        size_t n;
    } rows[] = {
        { { DOOR_MAGIC(0), 3, 2 }, 12 }, { { DOOR_MAGIC(0), 0, 0 }, 12 },
        { { DOOR_MAGIC(0), 9, 9 }, 12 }, { { DOOR_MAGIC(0), 0, UINT32_MAX }, 12 },
        { { DOOR_MAGIC(0), 3, 3 }, 12 }, { { DOOR_MAGIC(0), 2, 2 }, 8 },
        { { DOOR_MAGIC(2) }, 4 },        { { DOOR_MAGIC(0) }, 4 },
        { { DOOR_MAGIC(3), 0, 0 }, 12 }, { { DOOR_MAGIC(0), 1, 1 }, 12 },
    };
    const struct door_range range = { 2, 3 };
    struct scratch dir = scratch_new();
    char *const argv[] = { (char[]){ "berth-launch" }, NULL };
    scoped(close_fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int fds[DOOR_SELF] = { file, dir.fd, dir.fd };
    char path[96];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/launch", dir.path);
    scoped(close_fd) int listener = listen_at(path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const pid_t pid = fork();
        struct err err = { 0 };
        int sock = -1;

        assert_true(pid >= 0);
        for (; pid == 0;) {
            int connection = accept(listener, NULL, NULL);
            char asked[64];

            /* Before that it could be closed while it is being asked. */
            if (recv(connection, asked, sizeof asked, 0) > 0 &&
                send(connection, rows[i].word, rows[i].n, MSG_NOSIGNAL) < 0)
                _exit(1);
            (void)close(connection);
        }
        if (door_ask_as(&range, path, argv, fds, &sock, &err) != RC_PROTOCOL || sock != -1)
            fail_msg("answer %zu: %s", i, err.what);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    scratch_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_requests_are_taken),
        cmocka_unit_test(a_stranger_is_not_heard),
        cmocka_unit_test(both_speak_one_version_back),
        cmocka_unit_test(no_answer_keeps_berthd_asking),
        cmocka_unit_test(a_stranger_who_listens_is_not_asked),
        cmocka_unit_test_setup_teardown(who_asks_has_room, open_with_door, close_with_door),
        cmocka_unit_test_setup_teardown(payloads_run_without_a_child_of_berthd, open_with_door,
                                        close_with_door),
        cmocka_unit_test_setup_teardown(refused_calls_are_counted, open_with_door, close_with_door),
        cmocka_unit_test_setup_teardown(killed_berthd_leaves_nothing, open_with_door,
                                        close_with_door),
        cmocka_unit_test_setup_teardown(without_launcher_berthd_starts_again, open_with_door,
                                        close_with_door),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
