/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/cgroup_device.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/cgroup_limits.h"
#include "sandbox/cgroup_own.h"
#include "sandbox/kernfile.h"

#define ROOT "/sys/fs/cgroup"
#define FREEZE_WAIT_MS 500U /* the others wait meanwhile; 50 processes take 1.2 ms */
#define SWEEP_WAIT_MS 8000U /* in all; with the wait for the lock well below berthd's patience */

/* Where each hierarchy is mounted on a v1 host. */
struct hierarchy {
    const char *path;
    const char *other; /* second usual place, or NULL */
};

static const struct hierarchy hierarchies[CGROUP_KINDS] = {
    [CGROUP_UNIFIED] = { ROOT "/unified", NULL },
    [CGROUP_MEMORY] = { ROOT "/memory", NULL },
    [CGROUP_PIDS] = { ROOT "/pids", NULL },
    [CGROUP_CPU] = { ROOT "/cpu", ROOT "/cpu,cpuacct" },
    [CGROUP_CPUACCT] = { ROOT "/cpuacct", ROOT "/cpu,cpuacct" },
    [CGROUP_DEVICES] = { ROOT "/devices", NULL },
    [CGROUP_FREEZER] = { ROOT "/freezer", NULL },
    [CGROUP_BLKIO] = { ROOT "/blkio", NULL },
};

/* ---- ending what is in a directory ---------------------------------------------------------- */

static void close_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

/* Signal each process listed in cgroup.procs; the caller repeats until the directory is empty. */
static void kill_listed(int dir)
{
    scoped(close_fd) int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    scoped(close_file) FILE *list = fd < 0 ? NULL : fdopen(fd, "re");
    char line[32];

    if (list == NULL)
        return;
    (void)take_fd(&fd); /* the list's */
    while (fgets(line, sizeof line, list) != NULL) {
        long pid = strtol(line, NULL, 10);

        if (pid > 1 && pid <= INT32_MAX)
            (void)kill((pid_t)pid, SIGKILL);
    }
}

/* What has been killed runs the kernel's code only, and does it on its own group's time: under a
 * small quota a large tree would take seconds to die.  The tenant's share still bounds it.  What a
 * hierarchy has no file for is not written. */
static void let_die(int dir)
{
    (void)kernfile_put(dir, "cpu.max", "max");
    (void)kernfile_put(dir, "cpu.cfs_quota_us", "-1");
}

static void kill_dir(int dir)
{
    if (kernfile_put(dir, "cgroup.kill", "1") != 0)
        kill_listed(dir);
    (void)kernfile_put(dir, "freezer.state", "THAWED"); /* v1: what is frozen does not die */
    let_die(dir);
}

/* Remove one directory, or kill what is in it, which sets *ret_busy: it may go a moment later.
 * True: it is gone. */
static bool remove_dir(int base, const char *name, bool *ret_busy)
{
    if (unlinkat(base, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    if (errno != EBUSY)
        return false;

    scoped(close_fd) int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        kill_dir(dir);
    *ret_busy = true;
    return false;
}

/* Each directory that lies in one. */
static void each_dir(int base, void (*act)(int base, const char *name, bool *ret_busy),
                     bool *ret_busy)
{
    scoped(kernfile_close_dir) DIR *dir = kernfile_dir(base, ".");
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            act(base, entry->d_name, ret_busy);
    }
}

static void sweep_instance(int base, const char *name, bool *ret_busy)
{
    (void)remove_dir(base, name, ret_busy);
}

/* The instances first: a directory goes when nothing is in it any more. */
static void sweep_tenant(int base, const char *name, bool *ret_busy)
{
    scoped(close_fd) int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0)
        each_dir(dir, sweep_instance, ret_busy);
    (void)remove_dir(base, name, ret_busy);
}

/* False: the time is over. */
static bool wait_until(uint64_t until_ms)
{
    if (clock_mono_ms() >= until_ms)
        return false;
    (void)poll(NULL, 0, 1);
    return true;
}

/* Remove every directory below NAME.  All are killed before any is waited for: one that
 * cannot end costs the whole of the time once, and nothing of the others' turn. */
static void sweep(const struct cgroup_tree *tree, uint64_t until_ms)
{
    bool busy;

    do {
        busy = false;
        for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
            if (tree->base[kind] >= 0)
                each_dir(tree->base[kind], sweep_tenant, &busy);
        }
    } while (busy && wait_until(until_ms));
}

/* ---- finding and opening hierarchies -------------------------------------------------------- */

static int open_dir(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool is_magic(int fd, long magic)
{
    struct statfs st;

    return fd >= 0 && fstatfs(fd, &st) == 0 && (long)st.f_type == magic;
}

/* A v2 host: the directory for NAME is the root, or, when systemd delegates to our service and put
 * us into its "sup" subgroup, the service's own directory. */
static int open_v2_parent(void)
{
    char line[512];
    char path[600];

    cgroup_get(AT_FDCWD, "/proc/self/cgroup", line, sizeof line);
    char *own = strstr(line, "0::/");
    if (own == NULL)
        return -1;
    own += 3;
    own[strcspn(own, "\n")] = '\0';

    size_t n = strlen(own);
    if (n < 4 || strcmp(own + n - 4, "/sup") != 0)
        return open_dir(AT_FDCWD, ROOT);
    own[n - 4] = '\0';
    (void)snprintf(path, sizeof path, ROOT "%s", own);
    return open_dir(AT_FDCWD, path);
}

static void find_v1(struct cgroup_tree *tree)
{
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        const struct hierarchy *h = &hierarchies[kind];
        long magic = kind == CGROUP_UNIFIED ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
        scoped(close_fd) int fd = open_dir(AT_FDCWD, h->path);

        if (!is_magic(fd, magic) && h->other != NULL) {
            close_fd(&fd);
            fd = open_dir(AT_FDCWD, h->other);
        }
        if (is_magic(fd, magic))
            tree->parent[kind] = take_fd(&fd);
    }
    /* The v2 tree counts cpu time and freezes by itself: two hierarchies less to attach to. */
    if (tree->parent[CGROUP_UNIFIED] >= 0) {
        close_fd(&tree->parent[CGROUP_CPUACCT]);
        close_fd(&tree->parent[CGROUP_FREEZER]);
    }
    tree->version = 1;
}

static int move_processes(int from, int to)
{
    int fd = openat(from, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    scoped(close_file) FILE *list = fd < 0 ? NULL : fdopen(fd, "re");
    char line[32];

    if (list == NULL)
        return -1;
    while (fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (kernfile_put(to, "cgroup.procs", line) != 0 && errno != ESRCH)
            return -1;
    }
    return 0;
}

/* A group that has processes of its own cannot have limited groups below: in a container, where we
 * started in the root of what we see, they move into a group "sup". */
static int move_own_processes(int parent)
{
    if (mkdirat(parent, "sup", 0755) != 0 && errno != EEXIST)
        return -1;

    scoped(close_fd) int sup = open_dir(parent, "sup");

    return sup < 0 ? -1 : move_processes(parent, sup);
}

/* A controller that this kernel does not have is no error here. */
static int enable_controllers(int dir)
{
    static const char *const each[] = { "+memory", "+pids", "+cpu", "+io" };

    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        if (kernfile_put(dir, "cgroup.subtree_control", each[i]) != 0 && errno != ENOENT &&
            errno != EINVAL)
            return -1;
    }
    return 0;
}

static enum rc find_hierarchies(struct cgroup_tree *tree, struct err *err)
{
    scoped(close_fd) int root = open_dir(AT_FDCWD, ROOT);

    if (!is_magic(root, CGROUP2_SUPER_MAGIC)) {
        find_v1(tree);
        return RC_OK;
    }
    tree->parent[CGROUP_UNIFIED] = open_v2_parent();
    tree->version = 2;
    if (tree->parent[CGROUP_UNIFIED] < 0)
        return err_sys(err, RC_CGROUP, "own cgroup");
    int parent = tree->parent[CGROUP_UNIFIED];
    if (enable_controllers(parent) != 0 &&
        (errno != EBUSY || move_own_processes(parent) != 0 || enable_controllers(parent) != 0))
        return err_sys(err, RC_CGROUP, "controllers for %s", tree->name);
    return RC_OK;
}

/* One launcher per NAME: a second one would end the payloads of the first. */
static enum rc lock_base(int base, uint32_t wait_ms, struct err *err)
{
    uint64_t until = clock_mono_ms() + wait_ms;

    while (flock(base, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(err, RC_CGROUP, "lock");
        if (clock_mono_ms() >= until)
            return err_set(err, RC_BUSY, "another launcher uses this cgroup name");
        (void)poll(NULL, 0, 10);
    }
    return RC_OK;
}

static enum rc open_bases(struct cgroup_tree *tree, uint32_t wait_ms, struct err *err)
{
    bool locked = false;

    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        int parent = tree->parent[kind];

        if (parent < 0)
            continue;
        if (mkdirat(parent, tree->name, 0755) != 0 && errno != EEXIST)
            return err_sys(err, RC_CGROUP, "create %s", tree->name);
        tree->base[kind] = open_dir(parent, tree->name);
        if (tree->base[kind] < 0)
            return err_sys(err, RC_CGROUP, "open %s", tree->name);
        if (!locked) {
            enum rc rc = lock_base(tree->base[kind], wait_ms, err);

            if (rc != RC_OK)
                return rc;
            locked = true;
        }
    }
    sweep(tree, clock_mono_ms() + SWEEP_WAIT_MS);
    if (tree->version == 2 && enable_controllers(tree->base[CGROUP_UNIFIED]) != 0)
        return err_sys(err, RC_CGROUP, "controllers below %s", tree->name);
    tree->has = cgroup_try(tree);
    return RC_OK;
}

static void close_all(struct cgroup_tree *tree)
{
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        close_fd(&tree->base[kind]);
        close_fd(&tree->parent[kind]);
    }
}

void cgroup_tree_none(struct cgroup_tree *ret)
{
    *ret = (struct cgroup_tree){ .version = 1 };
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        ret->parent[kind] = ret->base[kind] = -1;
}

enum rc cgroup_tree_open(const char *name, uint32_t wait_ms, struct cgroup_tree *ret,
                         struct err *err)
{
    struct cgroup_tree tree;

    cgroup_tree_none(&tree);
    (void)snprintf(tree.name, sizeof tree.name, "%s", name);

    enum rc rc = find_hierarchies(&tree, err);
    if (rc == RC_OK)
        rc = open_bases(&tree, wait_ms, err);
    if (rc != RC_OK) {
        close_all(&tree);
        return rc;
    }
    *ret = tree;
    return RC_OK;
}

/* As find_hierarchies does it, in a group that was given to us; what cannot be had is not there. */
static void enable_own(int own)
{
    if (enable_controllers(own) != 0 && errno == EBUSY && move_own_processes(own) == 0)
        (void)enable_controllers(own);
}

enum rc cgroup_tree_open_own(const char *name, struct cgroup_tree *ret, struct err *err)
{
    struct cgroup_tree tree;
    bool any = false;

    cgroup_tree_none(&tree);
    (void)snprintf(tree.name, sizeof tree.name, "%s", name);
    tree.version = cgroup_own_open(tree.parent);
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        any = any || tree.parent[kind] >= 0;
    if (any && tree.version == 2)
        enable_own(tree.parent[CGROUP_UNIFIED]);
    enum rc rc = any ? open_bases(&tree, 0, err)
                     : err_set(err, RC_CGROUP, "no control group here is this user's");
    if (rc != RC_OK) {
        cgroup_tree_close_own(&tree, 0);
        return rc;
    }
    *ret = tree;
    return RC_OK;
}

enum rc cgroup_tree_find(struct cgroup_tree *ret, struct err *err)
{
    struct cgroup_tree tree;

    cgroup_tree_none(&tree);
    enum rc rc = find_hierarchies(&tree, err);
    if (rc != RC_OK) {
        close_all(&tree);
        return rc;
    }
    *ret = tree;
    return RC_OK;
}

void cgroup_tree_forget(struct cgroup_tree *tree)
{
    close_all(tree);
}

void cgroup_tree_close(struct cgroup_tree *tree, uint64_t until_ms)
{
    sweep(tree, until_ms);
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        if (tree->base[kind] >= 0)
            (void)unlinkat(tree->parent[kind], tree->name, AT_REMOVEDIR);
    }
    close_all(tree);
}

/* The processes go back where they were, which they may once no controller is handed on. */
static void leave_own(int own)
{
    static const char *const each[] = { "-memory", "-pids", "-cpu", "-io" };
    scoped(close_fd) int sup = open_dir(own, "sup");

    if (sup < 0)
        return;
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        (void)kernfile_put(own, "cgroup.subtree_control", each[i]);
    if (move_processes(sup, own) == 0)
        (void)unlinkat(own, "sup", AT_REMOVEDIR);
}

void cgroup_tree_close_own(struct cgroup_tree *tree, uint64_t until_ms)
{
    scoped(close_fd) int own =
        tree->version == 2 ? fcntl(tree->parent[CGROUP_UNIFIED], F_DUPFD_CLOEXEC, 0) : -1;

    cgroup_tree_close(tree, until_ms);
    if (own >= 0)
        leave_own(own);
}

/* ---- one instance --------------------------------------------------------------------------- */

static bool wants_disks(const struct cgroup_limits *l)
{
    return l->limits.io_read_bps != 0 || l->limits.io_write_bps != 0 ||
           l->limits.io_weight != PLAN_WEIGHT;
}

/* The tenant's directory, made by the first of its instances. */
static enum rc make_tenant(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                           enum cgroup_kind kind, struct err *err)
{
    if (mkdirat(tree->base[kind], cgroup->tenant, 0755) != 0)
        return errno == EEXIST ? RC_OK : err_sys(err, RC_CGROUP, "create %s", cgroup->tenant);
    if (tree->version != 2)
        return RC_OK;

    scoped(close_fd) int dir = open_dir(tree->base[kind], cgroup->tenant);
    if (dir < 0 || enable_controllers(dir) != 0)
        return err_sys(err, RC_CGROUP, "controllers below %s", cgroup->tenant);
    return RC_OK;
}

static enum rc make_dirs(const struct cgroup_tree *tree, bool disks, struct cgroup *cgroup,
                         struct err *err)
{
    for (enum cgroup_kind kind = 0; kind < CGROUP_KINDS; kind++) {
        if (tree->base[kind] < 0)
            continue;
        if (kind == CGROUP_BLKIO && !disks)
            continue;
        enum rc rc = make_tenant(tree, cgroup, kind, err);
        if (rc != RC_OK)
            return rc;
        if (mkdirat(tree->base[kind], cgroup->name, 0755) != 0)
            return err_sys(err, RC_CGROUP, "create %s", cgroup->name);
        cgroup->dir[kind] = open_dir(tree->base[kind], cgroup->name);
        if (cgroup->dir[kind] < 0) {
            (void)unlinkat(tree->base[kind], cgroup->name, AT_REMOVEDIR);
            return err_sys(err, RC_CGROUP, "open %s", cgroup->name);
        }
    }
    return RC_OK;
}

enum rc cgroup_make(const struct cgroup_tree *tree, uint64_t instance,
                    const struct cgroup_limits *limits, struct cgroup *ret, struct err *err)
{
    struct cgroup cgroup = CGROUP_INIT;

    (void)snprintf(cgroup.tenant, sizeof cgroup.tenant, "t-%s", limits->tenant);
    (void)snprintf(cgroup.name, sizeof cgroup.name, "%s/i%" PRIu64, cgroup.tenant, instance);
    enum rc rc = make_dirs(tree, wants_disks(limits), &cgroup, err);
    if (rc == RC_OK)
        rc = cgroup_limits_set(tree, &cgroup, limits, err);
    if (rc == RC_OK && (tree->has & CGROUP_HAS_DEVICES) != 0)
        rc = cgroup_device_filter(&cgroup, limits, err);
    if (rc != RC_OK) {
        (void)cgroup_remove(tree, &cgroup, 0); /* nothing was ever inside to wait for */
        return rc;
    }
    *ret = cgroup;
    return RC_OK;
}

int cgroup_clone_fd(const struct cgroup *cgroup)
{
    return cgroup->dir[CGROUP_UNIFIED];
}

enum rc cgroup_attach(const struct cgroup *cgroup, pid_t pid, bool cloned_into, struct err *err)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", pid);
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        if ((kind == CGROUP_UNIFIED && cloned_into) || cgroup->dir[kind] < 0)
            continue;
        if (kernfile_put(cgroup->dir[kind], "cgroup.procs", text) != 0)
            return err_sys(err, RC_CGROUP, "attach");
    }
    return RC_OK;
}

enum rc cgroup_oom_watch(const struct cgroup_tree *tree, const struct cgroup *cgroup, int *ret_fd,
                         struct err *err)
{
    if (tree->version == 2 || (tree->has & CGROUP_HAS_MEMORY) == 0) {
        *ret_fd = -1;
        return RC_OK;
    }

    int dir = cgroup->dir[CGROUP_MEMORY];
    scoped(close_fd) int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    scoped(close_fd) int oom = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    char text[40];

    (void)snprintf(text, sizeof text, "%d %d", event, oom);
    if (event < 0 || oom < 0 || kernfile_put(dir, "cgroup.event_control", text) != 0)
        return err_sys(err, RC_CGROUP, "watch memory.oom_control");
    *ret_fd = take_fd(&event);
    return RC_OK;
}

/* ---- standing still ------------------------------------------------------------------------- */

/* 1 or 0 for frozen or not; -1 while some of it is and some is not yet. */
static int frozen_now(const struct cgroup *cgroup)
{
    char state[16];

    if (cgroup->dir[CGROUP_UNIFIED] >= 0)
        return (int)cgroup_get_keyed(cgroup->dir[CGROUP_UNIFIED], "cgroup.events", "frozen");
    cgroup_get(cgroup->dir[CGROUP_FREEZER], "freezer.state", state, sizeof state);
    if (strncmp(state, "FREEZING", 8) == 0)
        return -1;
    return strncmp(state, "FROZEN", 6) == 0 ? 1 : 0;
}

/* The kernel tells of a change of cgroup.events by POLLPRI; v1 tells nothing, and is asked again.
 */
static bool wait_frozen(const struct cgroup *cgroup, bool frozen)
{
    uint64_t until = clock_mono_ms() + FREEZE_WAIT_MS;
    bool tells = cgroup->dir[CGROUP_UNIFIED] >= 0;
    scoped(close_fd) int fd =
        !tells ? -1 : openat(cgroup->dir[CGROUP_UNIFIED], "cgroup.events", O_RDONLY | O_CLOEXEC);
    struct pollfd p = { .fd = fd, .events = POLLPRI };
    char text[64];

    for (;;) {
        ssize_t seen = fd < 0 ? 0 : pread(fd, text, sizeof text, 0); /* what comes later is told */
        uint64_t now = clock_mono_ms();

        if (seen >= 0 && frozen_now(cgroup) == (frozen ? 1 : 0))
            return true;
        if (now >= until)
            return false;
        (void)poll(&p, 1, tells ? (int)(until - now) : 1);
    }
}

enum rc cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err)
{
    bool v2 = cgroup->dir[CGROUP_UNIFIED] >= 0;
    int dir = v2 ? cgroup->dir[CGROUP_UNIFIED] : cgroup->dir[CGROUP_FREEZER];
    const char *file = v2 ? "cgroup.freeze" : "freezer.state";
    const char *value = v2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");

    if (dir < 0)
        return err_set(err, RC_CGROUP, "nothing to freeze with");
    if (kernfile_put(dir, file, value) != 0)
        return err_sys(err, RC_CGROUP, "%s = %s", file, value);
    if (!wait_frozen(cgroup, frozen))
        return err_set(err, RC_TIMEOUT, "%s = %s", file, value);
    return RC_OK;
}

void cgroup_kill(const struct cgroup *cgroup)
{
    int dir =
        cgroup->dir[CGROUP_UNIFIED] >= 0 ? cgroup->dir[CGROUP_UNIFIED] : cgroup->dir[CGROUP_PIDS];

    if (dir >= 0)
        kill_dir(dir);
    if (cgroup->dir[CGROUP_FREEZER] >= 0)
        (void)kernfile_put(cgroup->dir[CGROUP_FREEZER], "freezer.state", "THAWED");
    if (cgroup->dir[CGROUP_CPU] >= 0)
        let_die(cgroup->dir[CGROUP_CPU]);
}

void cgroup_usage(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                  struct wire_usage *ret)
{
    struct wire_usage usage = { 0 };
    const int *dir = cgroup->dir;

    if (tree->version == 2) {
        usage.memory_bytes = cgroup_get_number(dir[CGROUP_UNIFIED], "memory.current");
        usage.memory_peak_bytes = cgroup_get_number(dir[CGROUP_UNIFIED], "memory.peak");
        usage.oom_kills =
            (uint32_t)cgroup_get_keyed(dir[CGROUP_UNIFIED], "memory.events", "oom_kill");
        usage.pids = (uint32_t)cgroup_get_number(dir[CGROUP_UNIFIED], "pids.current");
    } else {
        usage.memory_bytes = cgroup_get_number(dir[CGROUP_MEMORY], "memory.usage_in_bytes");
        usage.memory_peak_bytes =
            cgroup_get_number(dir[CGROUP_MEMORY], "memory.max_usage_in_bytes");
        usage.oom_kills =
            (uint32_t)cgroup_get_keyed(dir[CGROUP_MEMORY], "memory.oom_control", "oom_kill");
        usage.pids = (uint32_t)cgroup_get_number(dir[CGROUP_PIDS], "pids.current");
    }
    if (dir[CGROUP_UNIFIED] >= 0)
        usage.cpu_us = cgroup_get_keyed(dir[CGROUP_UNIFIED], "cpu.stat", "usage_usec");
    else if (dir[CGROUP_CPUACCT] >= 0)
        usage.cpu_us = cgroup_get_number(dir[CGROUP_CPUACCT], "cpuacct.usage") / 1000;
    *ret = usage;
}

bool cgroup_remove(const struct cgroup_tree *tree, struct cgroup *cgroup, uint64_t until_ms)
{
    bool left[CGROUP_KINDS] = { false };
    bool all, busy;

    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        left[kind] = cgroup->dir[kind] >= 0; /* else never made: it may be another's of that name */
        close_fd(&cgroup->dir[kind]);
    }
    do {
        all = true;
        busy = false;
        for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
            if (left[kind])
                left[kind] = !remove_dir(tree->base[kind], cgroup->name, &busy);
            all = all && !left[kind];
        }
    } while (busy && wait_until(until_ms));
    for (size_t kind = 0; cgroup->tenant[0] != '\0' && kind < CGROUP_KINDS; kind++) {
        if (tree->base[kind] >= 0) /* refused while others of the tenant are in it */
            (void)unlinkat(tree->base[kind], cgroup->tenant, AT_REMOVEDIR);
    }
    return all;
}
