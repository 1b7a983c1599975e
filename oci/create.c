/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/create.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "oci/cgroup.h"
#include "oci/child.h"
#include "oci/filter.h"
#include "oci/hear.h"
#include "sandbox/kernfile.h"
#include "sandbox/receipt.h"
#include "sandbox/seccomp.h"

#define SET_UP_WAIT_MS 10000U
#define UNDO_WAIT_MS 8000U

/* All that one creation needs; freed as a whole. */
struct creation {
    const struct oci_options *options;
    struct oci_container container;
    int bundle;
    int root;
    struct oci_config config;
    struct walls walls;
    struct counts counts;
    struct seccomp_program filter;
    struct oci_map uids, gids;
    struct oci_cgroup cgroup;
    struct oci_tree tree;
    struct oci_child child;
    int sync;  /* our end */
    int proc;  /* /proc/PID */
    int pidfd; /* of the child; -1 = there is none */
    pid_t pid;
    bool made; /* the container's directory is ours to remove */
};

struct creation_step {
    const char *name;
    enum rc (*run)(struct creation *s, struct err *err);
};

/* ---- what is asked for ---------------------------------------------------------------------- */

static enum rc open_bundle(struct creation *s, struct err *err)
{
    struct oci_record *r = &s->container.record;
    const char *path = s->options->bundle;
    char link[40];

    s->bundle = open(path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->bundle < 0)
        return err_sys(err, RC_OCI_FORMAT, "bundle %.60s", path);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", s->bundle);
    ssize_t n = readlink(link, r->bundle, sizeof r->bundle - 1);
    if (n <= 0 || r->bundle[0] != '/')
        return err_sys(err, RC_OCI_FORMAT, "bundle %.60s", path);
    r->bundle[n] = '\0';
    return RC_OK;
}

static struct oci_sources sources_of(const struct creation *s)
{
    return (struct oci_sources){ .bundle = s->container.record.bundle,
                                 .allowed = s->options->bind_from,
                                 .n = s->options->n_bind_from };
}

static enum rc read_config(struct creation *s, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    const struct oci_sources sources = sources_of(s);
    size_t n = 0;
    enum rc rc = fs_read_alloc(s->bundle, "config.json", OCI_CONFIG_MAX, &buf, &n, err);

    if (rc == RC_OK)
        rc = oci_config_read((struct bytes){ .p = buf, .n = n }, &s->config, err);
    if (rc == RC_OK)
        rc = oci_config_ids(&s->config, &s->options->ids, err);
    if (rc == RC_OK)
        rc = oci_tree_root(s->bundle, s->config.root, &sources, &s->root, err);
    for (size_t i = 0; rc == RC_OK && i < s->config.n_said; i++)
        (void)fprintf(s->options->notes, "berth-oci: %s\n", s->config.said[i]);
    return rc;
}

static enum rc try_walls(struct creation *s, struct err *err)
{
    const struct wall_policy policy = { .waive = 0 };

    counts_share(&s->counts);
    walls_try(&policy, &s->walls);
    enum rc rc = walls_check(&s->walls, err);
    return rc != RC_OK ? rc
                       : seccomp_build(SECCOMP_PAYLOAD, PROFILE_NET | PROFILE_LEGACY, CALLS_NATIVE,
                                       &s->filter, err);
}

/* The record says what there is to take back before it is there: whoever deletes what a creator
 * left that was killed finds it. */
static enum rc take_place(struct creation *s, struct err *err)
{
    struct oci_record *r = &s->container.record;
    struct oci_record asked = *r;
    enum rc rc = oci_container_new(s->options->root, asked.id, &s->container, err);

    if (rc != RC_OK)
        return rc;
    s->made = true;
    (void)memcpy(r->bundle, asked.bundle, sizeof r->bundle);
    (void)snprintf(r->version, sizeof r->version, "%.64s", s->config.version);
    if (s->config.annotations != NULL)
        r->annotations = json_incref((json_t *)(uintptr_t)s->config.annotations);
    if (s->config.uids.count == 0)
        rc = oci_slot_take(&s->container, err);
    if (rc != RC_OK)
        return rc;
    uint32_t base = OCI_UID_BASE + (uint32_t)(r->slot < 0 ? 0 : r->slot) * OCI_UID_COUNT;
    const struct oci_map range = { .host = base, .count = OCI_UID_COUNT };
    s->uids = s->config.uids.count != 0 ? s->config.uids : range;
    s->gids = s->config.uids.count != 0 ? s->config.gids_map : range;
    if (s->config.uid >= s->uids.count || s->config.gid >= s->gids.count)
        return err_set(err, RC_OCI_FORMAT, "process.user: an id outside its range");
    return oci_container_save(&s->container, err);
}

/* What will be made is written down first, and that nothing is inside as yet. */
static enum rc make_cgroup(struct creation *s, struct err *err)
{
    struct oci_record *r = &s->container.record;
    char path[sizeof r->cgroup];

    oci_cgroup_path(&s->config, r->id, path, sizeof path);
    enum rc rc = oci_cgroup_missing(path, &r->levels, err);
    if (rc != RC_OK)
        return rc;
    (void)memcpy(r->cgroup, path, sizeof path);
    r->empty = true;
    rc = oci_container_save(&s->container, err);
    if (rc == RC_OK)
        rc = oci_cgroup_make(path, &s->config.limits, &s->cgroup, err);
    r->empty = false;
    r->levels = s->cgroup.levels;
    return rc == RC_OK ? oci_container_save(&s->container, err) : rc;
}

static enum rc open_tree_mounts(struct creation *s, struct err *err)
{
    const struct oci_sources sources = sources_of(s);

    return oci_tree_open(s->root, &sources, s->uids.host, s->gids.host, &s->tree, err);
}

/* ---- the child ------------------------------------------------------------------------------ */

/* Move a descriptor up, out of the way of the numbers that the child uses. */
static bool lift(int *fd)
{
    int high = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FD_MIN);

    close_fd(fd);
    *fd = high;
    return high >= 0;
}

static enum rc make_channels(struct creation *s, struct err *err)
{
    int sync[2];
    enum rc rc = oci_start_listen(&s->container, &s->child.listen, err);

    if (rc != RC_OK)
        return rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "channel");
    s->sync = sync[0];
    s->child.base.sync = sync[1];
    if (!lift(&s->sync) || !lift(&s->child.base.sync) || !lift(&s->child.listen) ||
        !lift(&s->child.base.mounts.root) || !lift(&s->child.base.mounts.dev))
        return err_sys(err, RC_LAUNCH_STEP, "channel");
    for (size_t i = 0; i < s->config.n_mounts; i++) {
        if (s->tree.bind[i] >= 0 && !lift(&s->tree.bind[i]))
            return err_sys(err, RC_LAUNCH_STEP, "channel");
    }
    s->child.base.sync_launcher = s->sync;
    return RC_OK;
}

static enum rc fill_child(struct creation *s, struct err *err)
{
    struct oci_child *c = &s->child;

    c->config = &s->config;
    c->tree = &s->tree;
    c->base.payload_filter = &s->filter;
    c->base.walls = &s->walls;
    c->base.counts = &s->counts;
    enum rc rc = oci_filter_build(s->config.seccomp, &c->filter, err);
    s->container.record.filters =
        receipt_own_filters() + (c->filter.len != 0 ? 1U : 0U) + SECCOMP_OWN_FILTERS;
    return rc == RC_OK ? oci_child_fill(c, s->container.record.id, err) : rc;
}

/* The groups of whoever calls are no business of the container's: it could not give them back where
 * it may set none of its own. */
static enum rc forget_groups(struct creation *s, struct err *err)
{
    (void)s;
    return setgroups(0, NULL) != 0 ? err_sys(err, RC_CONFINE, "groups") : RC_OK;
}

static enum rc clone_child(struct creation *s, struct err *err)
{
    int into = cgroup_clone_fd(&s->cgroup.cgroup);
    struct clone_args args = { .flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
                                        CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET,
                               .pidfd = (uint64_t)(uintptr_t)&s->pidfd,
                               .exit_signal = SIGCHLD };

    if (walls_stand(&s->walls, WALL_TIME_NAMESPACE))
        args.flags |= CLONE_NEWTIME;
    if (into >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned int)into;
    }
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        oci_child_run(&s->child);
    if (pid < 0)
        return err_sys(err, RC_LAUNCH_STEP, "clone3");
    s->pid = (pid_t)pid;
    close_fd(&s->child.base.sync);
    close_fd(&s->child.listen);

    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%ld", pid);
    s->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->proc < 0 ? err_sys(err, RC_LAUNCH_STEP, "%s", path) : RC_OK;
}

static enum rc map_ids(struct creation *s, struct err *err)
{
    char uids[48];
    char gids[48];

    (void)snprintf(uids, sizeof uids, "0 %u %u", s->uids.host, s->uids.count);
    (void)snprintf(gids, sizeof gids, "0 %u %u", s->gids.host, s->gids.count);
    if (kernfile_put(s->proc, "uid_map", uids) != 0 ||
        (s->config.n_gids == 0 && kernfile_put(s->proc, "setgroups", "deny") != 0) ||
        kernfile_put(s->proc, "gid_map", gids) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "id map %s", uids);
    return RC_OK;
}

/* A range that was taken for it is nobody's on disk: what the host's root owns in the root file
 * system is root's inside.  Who gives a range of his own has made the files fit. */
static enum rc shift_root(struct creation *s, struct err *err)
{
    if (s->config.uids.count != 0)
        return RC_OK;
    scoped(close_fd) int userns = openat(s->proc, "ns/user", O_RDONLY | O_CLOEXEC);

    if (userns < 0 ||
        mounts_set_attributes(s->child.base.mounts.root, MOUNT_ATTR_IDMAP, userns) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "ids of the root file system");
    return RC_OK;
}

static enum rc set_limit(pid_t pid, const struct oci_rlimit *l, struct err *err)
{
    struct rlimit limit = { .rlim_cur = l->soft, .rlim_max = l->hard };
    struct rlimit now;

    if (l->ours && prlimit(pid, (__rlimit_resource_t)l->what, NULL, &now) == 0) {
        limit.rlim_max = limit.rlim_max < now.rlim_max ? limit.rlim_max : now.rlim_max;
        limit.rlim_cur = limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
    }
    if (prlimit(pid, (__rlimit_resource_t)l->what, &limit, NULL) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "rlimit %d", l->what);
    return RC_OK;
}

static enum rc set_limits(struct creation *s, struct err *err)
{
    char score[16];
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < s->config.n_rlimits; i++)
        rc = set_limit(s->pid, &s->config.rlimits[i], err);
    (void)snprintf(score, sizeof score, "%d", s->config.oom_score);
    if (rc == RC_OK && kernfile_put(s->proc, "oom_score_adj", score) != 0)
        rc = err_sys(err, RC_LAUNCH_STEP, "oom_score_adj");
    return rc;
}

static enum rc attach_cgroup(struct creation *s, struct err *err)
{
    return oci_cgroup_attach(&s->cgroup, s->pid, cgroup_clone_fd(&s->cgroup.cgroup) >= 0, err);
}

static enum rc let_go(struct creation *s, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + SET_UP_WAIT_MS;
    enum rc rc = oci_say_go(s->sync, err);

    if (rc == RC_OK)
        rc = oci_hear_confined(s->sync, until_ms, err);
    return rc == RC_OK ? oci_say_go(s->sync, err) : rc;
}

static enum rc write_pid(struct creation *s, struct err *err)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", s->pid);
    struct oci_record *r = &s->container.record;

    r->pid = s->pid;
    r->born = oci_born(s->pid);
    enum rc rc = r->born == 0 ? err_set(err, RC_LAUNCH_STEP, "the process has ended")
                              : oci_container_save(&s->container, err);
    if (rc != RC_OK || s->options->pid_file == NULL)
        return rc;
    scoped(close_fd) int fd =
        open(s->options->pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(err, RC_IO, "%.60s", s->options->pid_file);
    return fs_write_all(fd, (struct bytes){ .p = (const uint8_t *)text, .n = (size_t)n }, err);
}

static const struct creation_step steps[] = {
    { "bundle", open_bundle },     { "config", read_config },   { "walls", try_walls },
    { "place", take_place },       { "cgroup", make_cgroup },   { "mounts", open_tree_mounts },
    { "channels", make_channels }, { "child", fill_child },     { "groups", forget_groups },
    { "clone", clone_child },      { "id-map", map_ids },       { "root-ids", shift_root },
    { "limits", set_limits },      { "attach", attach_cgroup }, { "set-up", let_go },
    { "record", write_pid },
};

static void undo(struct creation *s)
{
    struct err ignored;

    if (s->pidfd >= 0) {
        struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
        siginfo_t info;

        (void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0U);
        (void)poll(&p, 1, (int)UNDO_WAIT_MS);
        (void)waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED | WNOHANG);
    }
    (void)!oci_cgroup_remove(&s->cgroup, s->container.record.cgroup, clock_mono_ms() + UNDO_WAIT_MS,
                             &ignored);
    if (s->made)
        (void)!oci_container_remove(&s->container, &ignored);
}

static void creation_done(struct creation *s)
{
    mounts_close(&s->child.base.mounts);
    oci_tree_close(&s->tree);
    oci_cgroup_close(&s->cgroup);
    oci_filter_done(&s->child.filter);
    close_fd(&s->child.base.sync);
    close_fd(&s->child.listen);
    close_fd(&s->sync);
    close_fd(&s->proc);
    close_fd(&s->pidfd);
    close_fd(&s->bundle);
    close_fd(&s->root);
    oci_container_close(&s->container);
    oci_config_done(&s->config);
}

enum rc oci_create(const struct oci_options *options, const char *id, struct err *err)
{
    static struct creation s; /* large, and there is one thread */
    enum rc rc = RC_OK;

    s = (struct creation){ .options = options,
                           .container = OCI_CONTAINER_NONE,
                           .bundle = -1,
                           .root = -1,
                           .cgroup = OCI_CGROUP_NONE,
                           .child = { .base = { .mounts = MOUNTS_INIT, .sync = -1 }, .listen = -1 },
                           .sync = -1,
                           .proc = -1,
                           .pidfd = -1 };
    s.tree.config = &s.config;
    s.tree.mounts = &s.child.base.mounts;
    for (size_t i = 0; i < OCI_MOUNTS_MAX; i++)
        s.tree.bind[i] = -1;
    if (!oci_id_valid(id))
        return err_set(err, RC_OCI_STATE, "\"%.60s\" is no id of a container", id);
    (void)snprintf(s.container.record.id, sizeof s.container.record.id, "%s", id);

    for (size_t i = 0; rc == RC_OK && i < sizeof steps / sizeof steps[0]; i++)
        rc = steps[i].run(&s, err);
    if (rc != RC_OK)
        undo(&s);
    creation_done(&s);
    return rc;
}
