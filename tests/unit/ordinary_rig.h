/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/ordinary_rig: an ordinary user's launcher in a process of its own, which becomes a
 * user that nothing belongs to and has no right left.  A check that fails ends that process, and
 * the test with it.
 */
#ifndef BERTH_TESTS_UNIT_ORDINARY_RIG_H
#define BERTH_TESTS_UNIT_ORDINARY_RIG_H

#include "tests/unit/sandbox_rig.h"

#include <grp.h>
#include <sys/mman.h>

#include "sandbox/cgroup_file.h"
#include "sandbox/kernfile.h"
#include "sandbox/landlock.h"
#include "sandbox/ordinary.h"

#define NOBODY 65534U
#define ORDINARY_LOW_FDS 10

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #what, errno);     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define CHECK_RC(call, want, err)                                                                  \
    do {                                                                                           \
        char text_[256];                                                                           \
        enum rc got_ = (call);                                                                     \
        if (got_ != (want)) {                                                                      \
            (void)fprintf(stderr, "%s:%d: %s: %s, want %s: %s\n", __FILE__, __LINE__, #call,       \
                          rc_name(got_), rc_name(want), err_text(err, text_, sizeof text_));       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

struct ordinary {
    struct launcher launcher;
    struct launch_ordinary self;
    struct wall_policy policy;
    int house, slot;
    char out[65536];
    size_t n_out;
    struct instance instance;
    struct launch_result result;
};

/* In a process of its own: nobody, with no group but its own and no capability. */
static inline void become_nobody(void)
{
    CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
          setresuid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL) == 0); /* as after an exec */
    CHECK(setuid(0) != 0);
}

/* Run it there; how the process ended. */
static inline int as_nobody(void (*run)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        become_nobody();
        run();
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static inline void ordinary_copy(int from, int dir, const char *name)
{
    static char buf[65536];
    scoped(close_fd) int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t n;

    CHECK(to >= 0);
    while ((n = pread(from, buf, sizeof buf, lseek(to, 0, SEEK_CUR))) > 0)
        CHECK(write(to, buf, (size_t)n) == n);
    CHECK(n == 0);
}

/* Files of the slot: the probe and what is mounted over. */
static inline void ordinary_slot(struct ordinary *o, int program)
{
    static const char *const dirs[] = { "bin", "proc", "dev",   "tmp",
                                        "run", "data", "inbox", "outbox" };

    CHECK(mkdirat(o->house, "slots", 0755) == 0);
    o->launcher.slots = openat(o->house, "slots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(o->launcher.slots, "slot", 0755) == 0);
    o->slot = openat(o->launcher.slots, "slot", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        CHECK(mkdirat(o->slot, dirs[i], 0755) == 0);
    ordinary_copy(program, o->slot, "bin/probe");
    CHECK(linkat(o->slot, "bin/probe", o->slot, "bin/busybox", 0) == 0);
}

/* Everything up to a start.  program is the path of a static one, which is there as /bin/busybox,
 * too; script is the text of /bin/script, or NULL. */
static inline struct ordinary *ordinary_new(const char *program, const char *script,
                                            const char *group)
{
    struct ordinary *o = calloc(1, sizeof *o);
    struct err err = { 0 };
    int low;

    CHECK(o != NULL);
    while ((low = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && low < ORDINARY_LOW_FDS)
        continue; /* the numbers that the child of a launcher uses */
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    cgroup_tree_none(&o->launcher.tree);
    if (group != NULL)
        CHECK_RC(cgroup_tree_open_own(group, &o->launcher.tree, &err), RC_OK, &err);
    CHECK_RC(ordinary_enter(&err), RC_OK, &err);
    CHECK_RC(ordinary_memory(-1, "house", 64U << 20, &o->house, &err), RC_OK, &err);
    ordinary_slot(o, fd);
    if (script != NULL) {
        scoped(close_fd) int text = openat(o->slot, "bin/script", O_WRONLY | O_CREAT, 0644);

        CHECK(text >= 0 && write(text, script, strlen(script)) == (ssize_t)strlen(script));
    }
    CHECK_RC(ordinary_memory(o->house, "data", 8U << 20, &o->self.data, &err), RC_OK, &err);
    CHECK_RC(ordinary_memory(o->house, "mail", 2U << 20, &o->self.mail, &err), RC_OK, &err);
    CHECK(mkdirat(o->self.mail, "in", 0700) == 0 && mkdirat(o->self.mail, "out", 0700) == 0);
    o->policy.waive = ~0ULL;
    ordinary_init(&o->launcher, &o->policy, &o->self);
    o->instance = INSTANCE_INIT;
    return o;
}

static inline struct plan ordinary_plan(const char *const *args, bool mail)
{
    struct rig none = { .slot = 0 };
    struct plan plan = rig_plan(&none, args, 8U << 20);

    if (mail) {
        plan.has_mail = 1;
        plan.limits.inbox_bytes = plan.limits.outbox_bytes = 1U << 20;
        plan_fill_ops(&plan);
    }
    return plan;
}

static inline void ordinary_start(struct ordinary *o, const struct plan *plan)
{
    struct wire_launch request = { .head = wire_head(WIRE_LAUNCH, 1), .plan = *plan };
    struct wire_fds fds = WIRE_FDS_INIT;
    const char *step = "?";
    struct err err = { 0 };

    fds.fd[WIRE_FD_ROOT] = o->slot;
    enum rc rc = launch_start(&o->launcher, &request, &fds, &o->instance, &o->result, &step, &err);
    if (rc != RC_OK)
        (void)fprintf(stderr, "step %s\n", step);
    CHECK_RC(rc, RC_OK, &err);
}

/* Its output to the end, and how it ended. */
static inline struct wire_exited ordinary_end(struct ordinary *o)
{
    struct pollfd p = { .fd = o->result.fds.fd[WIRE_FD_OUTPUT], .events = POLLIN };
    ssize_t n = -1;

    while (n != 0) {
        CHECK(poll(&p, 1, RIG_WAIT_MS) == 1);
        n = read(p.fd, o->out + o->n_out, sizeof o->out - 1 - o->n_out);
        CHECK(n >= 0 || errno == EAGAIN);
        o->n_out += n > 0 ? (size_t)n : 0;
    }
    o->out[o->n_out] = '\0';
    CHECK(rig_wait(o->instance.pidfd));
    wire_fds_close(&o->result.fds);
    return launch_finish(&o->launcher, &o->instance, clock_mono_ms() + RIG_WAIT_MS);
}

#endif
