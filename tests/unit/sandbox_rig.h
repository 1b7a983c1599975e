/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/sandbox_rig: a real berth-launch with a slot to run probes in, for tests and benches.
 * Every wait is on a descriptor with a deadline; what is left behind is counted by the caller.
 */
#ifndef BERTH_TESTS_UNIT_SANDBOX_RIG_H
#define BERTH_TESTS_UNIT_SANDBOX_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "sandbox/wire.h"

/* A mapping that is larger is no memory of a program's, but a sanitizer's own: terabytes, most of
 * which nobody wrote. */
#define RIG_MAPPING_MAX (1UL << 30)
#define RIG_WAIT_MS 300000
#define RIG_SLOTS 8U
#define RIG_MAIL_UID 64503U
#define RIG_MAIL_USER "64503:64503"

/* How berth-launch is started, where that is not as usual. */
struct rig_options {
    const char *waive;      /* NULL = nothing */
    const char *require;    /* NULL = nothing more */
    const char *devices;    /* lines of the integrator's list; NULL = there is none */
    void (*before)(void *); /* in its process, before it starts; NULL = nothing */
    void *arg;
};

struct rig {
    pid_t launch;
    struct rig_options options;
    struct wire_walls walls; /* what it said first */
    int sock;
    char dir[64]; /* scratch directory */
    char cgroup[NAME_CAP];
    uint64_t next_id;
    uint32_t slot; /* first of RIG_SLOTS id ranges that no other test uses now */
    int claim;     /* on them, as long as it is open */
};

/* One payload as its owner sees it. */
struct rig_run {
    uint64_t id;
    bool started;
    union wire_message first; /* LAUNCHED or LAUNCH_FAILED */
    struct wire_fds fds;
    char out[65536];
    size_t n_out;
};

static inline const char *rig_build(void)
{
    const char *build = getenv("BERTH_BUILD");

    return build != NULL ? build : "build/release";
}

static inline _Noreturn void rig_die(const char *what)
{
    (void)fprintf(stderr, "rig: %s: %s\n", what, strerror(errno));
    abort();
}

static inline void rig_copy(const char *from, const char *to, mode_t mode)
{
    static char buf[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    ssize_t n;

    if (in < 0 || out < 0)
        rig_die(from);
    while ((n = read(in, buf, sizeof buf)) > 0) {
        if (write(out, buf, (size_t)n) != n)
            rig_die(to);
    }
    (void)fchmod(out, mode);
    (void)close(in);
    (void)close(out);
}

static inline char *rig_path(const struct rig *rig, const char *name)
{
    static char path[4][256];
    static unsigned int turn;

    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", rig->dir, name);
    return path[turn];
}

static inline void rig_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        rig_die(path);
    (void)close(fd);
}

/* A slot as berth-unpack makes it: empty mount points, and a program at /bin/probe. */
static inline void rig_slot(const struct rig *rig, const char *name, const char *probe)
{
    static const char *const dirs[] = { "bin", "proc", "dev",   "tmp",
                                        "run", "data", "inbox", "outbox" };
    char path[300];
    char from[300];

    (void)mkdir(rig_path(rig, name), 0755);
    (void)chmod(rig_path(rig, name), 0755);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rig_path(rig, name), dirs[i]);
        (void)mkdir(path, 0755);
        (void)chmod(path, 0755);
    }
    (void)snprintf(from, sizeof from, "%s/tests/probe/%s", rig_build(), probe);
    (void)snprintf(path, sizeof path, "%s/bin/probe", rig_path(rig, name));
    rig_copy(from, path, 0755);
}

/* An empty ext4 image of so many bytes. */
static inline int rig_image(const struct rig *rig, const char *name, uint64_t bytes)
{
    char *path = rig_path(rig, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status;

    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        rig_die(path);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execl("/sbin/mke2fs", "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", path, NULL);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        rig_die("mke2fs");
    return fd;
}

static inline bool rig_wait(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, RIG_WAIT_MS) > 0;
}

static inline void rig_recv(const struct rig *rig, union wire_message *m, struct wire_fds *fds)
{
    struct err err = { 0 };
    char text[200];

    if (!rig_wait(rig->sock))
        rig_die("no answer from berth-launch");
    if (wire_recv(rig->sock, m, fds, &err) != RC_OK) {
        (void)fprintf(stderr, "%s\n", err_text(&err, text, sizeof text));
        rig_die("wire_recv");
    }
}

static inline _Noreturn void rig_exec(const struct rig *rig, const char *program)
{
    const char *argv[12] = { program, "--cgroup", rig->cgroup, "--mail-user", RIG_MAIL_USER };
    size_t n = 5;

    if (rig->options.waive != NULL) {
        argv[n++] = "--waive";
        argv[n++] = rig->options.waive;
    }
    if (rig->options.require != NULL) {
        argv[n++] = "--require";
        argv[n++] = rig->options.require;
    }
    if (rig->options.devices != NULL) {
        argv[n++] = "--devices";
        argv[n++] = rig_path(rig, "devices.conf");
    }
    if (rig->options.before != NULL)
        rig->options.before(rig->options.arg);
    (void)execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static inline void rig_start(struct rig *rig)
{
    union wire_message first;
    struct wire_fds none = WIRE_FDS_INIT;
    int pair[2];
    char program[256];

    (void)snprintf(program, sizeof program, "%s/berth-launch", rig_build());
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        rig_die("socketpair");
    rig->launch = fork();
    if (rig->launch == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        int dir = open(rig->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int sock = fcntl(pair[1], F_DUPFD_CLOEXEC, 10); /* not one of the numbers below */
        int slots = fcntl(dir, F_DUPFD_CLOEXEC, 10);

        (void)dup2(slots, 4);
        (void)dup2(sock, 3);
        (void)setenv("BERTH_TEST_SECRET", "1", 1);
        rig_exec(rig, program);
    }
    (void)close(pair[1]);
    rig->sock = pair[0];
    rig_recv(rig, &first, &none);
    if (first.head.type != WIRE_WALLS)
        rig_die("berth-launch begins with something else");
    rig->walls = first.walls;
    wire_fds_close(&none);
}

/* A socket in the network of the host's process 1, whichever this test is in: names that tests
 * claim must be the same for all. */
static inline int rig_common_socket(void)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int common = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);
    bool moved = own >= 0 && common >= 0 && setns(common, CLONE_NEWNET) == 0;
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (moved && setns(own, CLONE_NEWNET) != 0)
        rig_die("network of the test");
    close_fd(&own);
    close_fd(&common);
    return sock;
}

/* Claim id ranges: tests that run at the same time must not count each other's processes.  The name
 * of a socket is free again when who had it has ended, however that was. */
static inline void rig_claim(struct rig *rig)
{
    for (uint32_t i = 0; i < 60; i++) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        rig->slot = 512U + ((uint32_t)getpid() + i) % 60U * RIG_SLOTS;
        rig->claim = rig_common_socket();
        if (rig->claim < 0)
            rig_die("socket");
        (void)snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "berth-test-slot-%u", rig->slot);
        if (bind(rig->claim, (struct sockaddr *)&a, sizeof a) == 0)
            return;
        (void)close(rig->claim);
    }
    rig_die("every id range of the tests is in use");
}

static inline void rig_open_with(struct rig *rig, const char *label,
                                 const struct rig_options *options)
{
    *rig = (struct rig){ .next_id = 1, .options = *options };
    rig_claim(rig);
    (void)snprintf(rig->dir, sizeof rig->dir, "/tmp/berth-%s-XXXXXX", label);
    (void)snprintf(rig->cgroup, sizeof rig->cgroup, "berth-%s-%d", label, getpid());
    if (mkdtemp(rig->dir) == NULL)
        rig_die("mkdtemp");
    (void)chmod(rig->dir, 0755);
    if (options->devices != NULL)
        rig_write(rig_path(rig, "devices.conf"), options->devices);
    rig_start(rig);
}

static inline void rig_open(struct rig *rig, const char *label)
{
    rig_open_with(rig, label, &(struct rig_options){ .waive = NULL });
}

/* Close the socket: berth-launch must clean up and exit by itself.  Its exit status. */
static inline int rig_end(struct rig *rig)
{
    int status = -1;

    (void)close(rig->sock);
    if (waitpid(rig->launch, &status, 0) != rig->launch)
        rig_die("waitpid");
    (void)close(rig->claim);
    return status;
}

static inline bool rig_remove(const struct rig *rig)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fs_remove_tree(tmp, rig->dir + strlen("/tmp/"), NULL) == RC_OK;
}

/* Give the plan the number-th range of this rig. */
static inline void rig_range(const struct rig *rig, struct plan *plan, uint32_t number)
{
    plan->slot = rig->slot + number;
    plan->uid_base = PLAN_UID_BASE + plan->slot * PLAN_UID_COUNT;
}

static inline struct plan rig_plan(const struct rig *rig, const char *const *args,
                                   uint64_t data_bytes)
{
    /* As plan_make does it, without a manifest. */
    struct plan plan = { .magic = PLAN_MAGIC,
                         .tenant = "acme",
                         .name = "probe",
                         .hostname = "probe",
                         .has_data = data_bytes != 0,
                         .limits = { .memory_bytes = 32U << 20,
                                     .tmp_bytes = 4U << 20,
                                     .data_bytes = data_bytes,
                                     .cpu_permille = 1000,
                                     .pids = 32,
                                     .open_files = 64,
                                     .cpu_weight = PLAN_WEIGHT,
                                     .io_weight = PLAN_WEIGHT },
                         .share = {
                             .memory_bytes = 1U << 30, .cpu_permille = 64000, .pids = 8192 } };

    for (; args[plan.n_args] != NULL; plan.n_args++)
        (void)snprintf(plan.args[plan.n_args], PAYLOAD_ARG_CAP, "%s", args[plan.n_args]);
    plan.n_env = 2;
    (void)snprintf(plan.env[0], PAYLOAD_ARG_CAP, "PATH=/bin");
    (void)snprintf(plan.env[1], PAYLOAD_ARG_CAP, "NOTIFY_SOCKET=" PLAN_NOTIFY_PATH);
    rig_range(rig, &plan, 0);
    plan_fill_ops(&plan);
    return plan;
}

/* Ask for a start with these images (-1 = none), and take the answer. */
static inline void rig_launch_with(struct rig *rig, const struct plan *plan, int slot,
                                   const int images[2], struct rig_run *run)
{
    struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, rig->next_id), .plan = *plan };
    int fds[3] = { slot };
    size_t n = 1;
    struct err err = { 0 };

    run->id = rig->next_id++;
    run->n_out = 0;
    run->out[0] = '\0';
    run->fds = WIRE_FDS_INIT;
    for (size_t i = 0; i < 2; i++) {
        if (images[i] >= 0)
            fds[n++] = images[i];
    }
    if (wire_send(rig->sock, &m.head, fds, n, &err) != RC_OK)
        rig_die("wire_send");
    rig_recv(rig, &run->first, &run->fds);
    run->started = run->first.head.type == WIRE_LAUNCHED;
}

static inline void rig_launch(struct rig *rig, const struct plan *plan, int slot, int image,
                              struct rig_run *run)
{
    rig_launch_with(rig, plan, slot, (const int[2]){ image, -1 }, run);
}

static inline void rig_stop(const struct rig *rig, const struct rig_run *run, uint32_t grace_ms)
{
    struct wire_stop m = { .head = wire_head(WIRE_STOP, run->id), .grace_ms = grace_ms };
    struct err err = { 0 };

    if (wire_send(rig->sock, &m.head, NULL, 0, &err) != RC_OK)
        rig_die("wire_send");
}

/* Read the output to its end, then take EXITED. */
static inline struct wire_exited rig_exited(const struct rig *rig, struct rig_run *run)
{
    union wire_message m;
    struct wire_fds none;
    char rest[4096];

    for (;;) {
        size_t room = sizeof run->out - 1 - run->n_out;
        ssize_t n;

        if (!rig_wait(run->fds.fd[WIRE_FD_OUTPUT]))
            rig_die("payload goes on");
        n = room > 0 ? read(run->fds.fd[WIRE_FD_OUTPUT], run->out + run->n_out, room)
                     : read(run->fds.fd[WIRE_FD_OUTPUT], rest, sizeof rest);
        if (n <= 0)
            break;
        run->n_out += room > 0 ? (size_t)n : 0;
    }
    run->out[run->n_out] = '\0';
    do {
        rig_recv(rig, &m, &none);
    } while (m.head.type != WIRE_EXITED || m.head.instance != run->id);
    wire_fds_close(&run->fds);
    return m.exited;
}

#endif
