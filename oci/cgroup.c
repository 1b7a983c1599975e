/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "oci/state.h"
#include "sandbox/cgroup_device.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/kernfile.h"

#define CPUSET_ROOT "/sys/fs/cgroup/cpuset"
#define LEVELS_MAX 16U
#define VALUE_CAP 300U
#define SET_MAX 8192U /* cpus, the most that a kernel is built for */
/* On every level above groups of containers that was made here. */
#define MARK "trusted.berth-oci"

/* ---- places --------------------------------------------------------------------------------- */

void oci_cgroup_path(const struct oci_config *config, const char *id, char *out, size_t cap)
{
    const char *path = config->cgroup;

    if (path[0] == '\0')
        (void)snprintf(out, cap, "%s/%s", OCI_CGROUP_PARENT, id);
    else
        (void)snprintf(out, cap, "%s", path[0] == '/' ? path + 1 : path);
}

static int open_dir(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static enum rc find(struct oci_cgroup *c, struct err *err)
{
    enum rc rc = cgroup_tree_find(&c->tree, err);
    struct statfs st;

    if (rc != RC_OK)
        return rc;
    close_fd(&c->tree.parent[CGROUP_BLKIO]);
    c->cpuset_root = c->tree.version == 1 ? open_dir(AT_FDCWD, CPUSET_ROOT) : -1;
    if (c->cpuset_root >= 0 &&
        (fstatfs(c->cpuset_root, &st) != 0 || (long)st.f_type != CGROUP_SUPER_MAGIC))
        close_fd(&c->cpuset_root);
    return RC_OK;
}

/* The next part of a path; false at its end. */
static bool next_part(const char **at, char part[NAME_MAX + 1])
{
    size_t n = strcspn(*at, "/");

    if (n == 0 || n > NAME_MAX)
        return false;
    (void)memcpy(part, *at, n);
    part[n] = '\0';
    *at += n + ((*at)[n] == '/' ? 1 : 0);
    return true;
}

static uint32_t count_parts(const char *path)
{
    char part[NAME_MAX + 1];
    uint32_t n = 0;

    while (next_part(&path, part))
        n++;
    return n;
}

/* A new level of a v1 cpuset holds no cpu until it is given some; on v2 controllers are passed down
 * level by level. */
static int ready_level(int parent, int dir, bool cpuset, uint32_t version)
{
    static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
    static const char *const passed[] = { "+memory", "+pids", "+cpu", "+cpuset" };
    char value[VALUE_CAP];

    for (size_t i = 0; cpuset && i < sizeof files / sizeof files[0]; i++) {
        (void)cgroup_get(parent, files[i], value, sizeof value);
        value[strcspn(value, "\n")] = '\0';
        if (kernfile_put(dir, files[i], value) != 0)
            return -1;
    }
    for (size_t i = 0; version == 2 && i < sizeof passed / sizeof passed[0]; i++)
        (void)kernfile_put(parent, "cgroup.subtree_control", passed[i]);
    return 0;
}

/* Whether a group that is there was made to have others below it, and not by somebody else. */
static bool is_ours(int dir)
{
    return fgetxattr(dir, MARK, NULL, 0) >= 0;
}

static int make_level(int parent, const char *part, bool last)
{
    scoped(close_fd) int dir = mkdirat(parent, part, 0755) == 0 ? open_dir(parent, part) : -1;

    if (dir < 0 || last || fsetxattr(dir, MARK, "", 0, 0) == 0)
        return take_fd(&dir);
    int error = errno;
    (void)unlinkat(parent, part, AT_REMOVEDIR);
    errno = error;
    return -1;
}

static enum rc is_there(const char *part, struct err *err)
{
    return err_set(err, RC_BUSY, "control group %s is there already", part);
}

/* Make every level of a path below root.  *made: how many from the end are of our making; of one
 * that was there, and what is above it, none. */
static enum rc make_levels(int root, const char *path, const struct oci_cgroup *c, uint32_t *made,
                           int *ret, struct err *err)
{
    uint32_t left = count_parts(path);
    bool cpuset = root == c->cpuset_root;
    char part[NAME_MAX + 1];
    scoped(close_fd) int at = open_dir(root, ".");

    while (at >= 0 && next_part(&path, part)) {
        int next = make_level(at, part, left == 1);
        bool fresh = next >= 0;

        if (!fresh && errno != EEXIST)
            return err_sys(err, RC_CGROUP, "create %s", part);
        if (!fresh)
            next = open_dir(at, part);
        if (!fresh)
            *made = 0;
        else if (*made == 0)
            *made = left;
        if (!fresh && next >= 0 && (left == 1 || !is_ours(next))) {
            close_fd(&next);
            return is_there(part, err);
        }
        left--;
        if (next >= 0 && fresh && ready_level(at, next, cpuset, c->tree.version) != 0)
            close_fd(&next);
        close_fd(&at);
        at = next;
    }
    if (at < 0)
        return err_sys(err, RC_CGROUP, "create %s", part);
    *ret = take_fd(&at);
    return RC_OK;
}

/* ---- limits --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* A list of cpus or nodes, such as "0-2,5", as a set.  False for what is none, or names one that no
 * kernel has. */
static bool read_set(const char *list, uint8_t set[SET_MAX])
{
    (void)memset(set, 0, SET_MAX);
    for (list += strspn(list, ","); *list != '\0'; list += strspn(list, ",")) {
        char *end;
        unsigned long from = strtoul(list, &end, 10);
        unsigned long to = from;

        if (end != list && *end == '-') {
            list = end + 1;
            to = strtoul(list, &end, 10);
        }
        if (end == list || to < from || to >= SET_MAX || (*end != ',' && *end != '\0'))
            return false;
        (void)memset(set + from, 1, to - from + 1);
        list = end;
    }
    return true;
}

/* The kernel says a list in its own words: "0" for "0-0", "0-1" for "1,0". */
static bool same_set(const char *a, const char *b)
{
    uint8_t set[2][SET_MAX];

    return read_set(a, set[0]) && read_set(b, set[1]) && memcmp(set[0], set[1], SET_MAX) == 0;
}

/* Write a value and see that it is taken. */
static enum rc put_as(int dir, const char *file, const char *value,
                      bool (*same)(const char *, const char *), struct err *err)
{
    char now[VALUE_CAP];

    if (dir < 0)
        return err_set(err, RC_CGROUP, "no controller for %s", file);
    if (kernfile_put(dir, file, value) != 0)
        return err_sys(err, RC_CGROUP, "%s = %s", file, value);
    (void)cgroup_get(dir, file, now, sizeof now);
    now[strcspn(now, "\n")] = '\0';
    if (!same(now, value))
        return err_set(err, RC_CGROUP, "%s = %s, not %s", file, now, value);
    return RC_OK;
}

static enum rc put(int dir, const char *file, const char *value, struct err *err)
{
    return put_as(dir, file, value, same_text, err);
}

static enum rc put_number(int dir, const char *file, int64_t number, struct err *err)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, number);
    return put(dir, file, text, err);
}

static int64_t pages(int64_t bytes)
{
    int64_t page = sysconf(_SC_PAGESIZE);

    return bytes - bytes % page;
}

/* Half of what the host has, where nothing is asked for: it goes before the host does. */
static int64_t memory_of(const struct oci_limits *l)
{
    struct sysinfo host;

    if (l->memory >= 0)
        return pages(l->memory);
    return sysinfo(&host) == 0 ? pages((int64_t)(host.totalram * host.mem_unit / 2)) : 1LL << 28;
}

static int64_t pids_of(const struct oci_limits *l)
{
    return l->pids > 0 ? l->pids : OCI_PIDS_DEFAULT;
}

static enum rc memory_v1(int dir, const struct oci_limits *l, struct err *err)
{
    int64_t bytes = memory_of(l);
    enum rc rc = put_number(dir, "memory.limit_in_bytes", bytes, err);

    if (rc == RC_OK && faccessat(dir, "memory.memsw.limit_in_bytes", F_OK, 0) == 0)
        rc = put_number(dir, "memory.memsw.limit_in_bytes", bytes, err);
    if (rc == RC_OK)
        rc = put_number(dir, "memory.swappiness", l->swappiness >= 0 ? l->swappiness : 0, err);
    if (rc == RC_OK && l->reservation >= 0)
        rc = put_number(dir, "memory.soft_limit_in_bytes", pages(l->reservation), err);
    if (rc == RC_OK && l->kernel_tcp >= 0)
        rc = put_number(dir, "memory.kmem.tcp.limit_in_bytes", pages(l->kernel_tcp), err);
    if (rc == RC_OK && l->no_oom_kill && kernfile_put(dir, "memory.oom_control", "1") != 0)
        rc = err_sys(err, RC_CGROUP, "memory.oom_control");
    return rc;
}

static enum rc cpu_v1(int dir, const struct oci_limits *l, struct err *err)
{
    enum rc rc = RC_OK;

    if (l->shares >= 0)
        rc = put_number(dir, "cpu.shares", l->shares, err);
    if (rc == RC_OK && l->period >= 0)
        rc = put_number(dir, "cpu.cfs_period_us", l->period, err);
    if (rc == RC_OK && l->quota >= 0)
        rc = put_number(dir, "cpu.cfs_quota_us", l->quota, err);
    return rc;
}

static enum rc sets(int dir, const struct oci_limits *l, struct err *err)
{
    enum rc rc = RC_OK;

    if (l->cpus != NULL)
        rc = put_as(dir, "cpuset.cpus", l->cpus, same_set, err);
    if (rc == RC_OK && l->mems != NULL)
        rc = put_as(dir, "cpuset.mems", l->mems, same_set, err);
    return rc;
}

/* The weight of v2, from 1 to 10000, for the shares of v1, from 2 to 262144. */
static int64_t weight(int64_t shares)
{
    return 1 + (shares - 2) * 9999 / 262142;
}

static enum rc limit_v2(int dir, const struct oci_limits *l, struct err *err)
{
    char text[48];
    enum rc rc = put_number(dir, "memory.max", memory_of(l), err);

    if (rc == RC_OK && faccessat(dir, "memory.swap.max", F_OK, 0) == 0)
        rc = put(dir, "memory.swap.max", "0", err);
    if (rc == RC_OK)
        rc = put(dir, "memory.oom.group", "1", err);
    if (rc == RC_OK && l->reservation >= 0)
        rc = put_number(dir, "memory.low", pages(l->reservation), err);
    if (rc == RC_OK && l->shares >= 0)
        rc = put_number(dir, "cpu.weight", weight(l->shares), err);
    if (l->quota >= 0 || l->period >= 0) {
        int n = l->quota < 0 ? snprintf(text, sizeof text, "max")
                             : snprintf(text, sizeof text, "%" PRId64, l->quota);

        (void)snprintf(text + n, sizeof text - (size_t)n, " %" PRId64,
                       l->period < 0 ? 100000 : l->period);
        if (rc == RC_OK)
            rc = put(dir, "cpu.max", text, err);
    }
    return rc == RC_OK ? sets(dir, l, err) : rc;
}

static enum rc limit(const struct oci_cgroup *c, const struct oci_limits *l, struct err *err)
{
    const struct cgroup_limits none = { .tenant = NULL };
    const int *dir = c->cgroup.dir;
    bool v2 = c->tree.version == 2;
    enum rc rc =
        put_number(v2 ? dir[CGROUP_UNIFIED] : dir[CGROUP_PIDS], "pids.max", pids_of(l), err);

    if (rc == RC_OK && v2)
        rc = limit_v2(dir[CGROUP_UNIFIED], l, err);
    if (rc == RC_OK && !v2)
        rc = memory_v1(dir[CGROUP_MEMORY], l, err);
    if (rc == RC_OK && !v2)
        rc = cpu_v1(dir[CGROUP_CPU], l, err);
    if (rc == RC_OK && !v2)
        rc = sets(c->cpuset, l, err);
    return rc == RC_OK ? cgroup_device_filter(&c->cgroup, &none, err) : rc;
}

/* ---- whole groups --------------------------------------------------------------------------- */

static enum rc make_all(struct oci_cgroup *c, const char *path, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t kind = 0; rc == RC_OK && kind < CGROUP_KINDS; kind++) {
        if (c->tree.parent[kind] >= 0)
            rc = make_levels(c->tree.parent[kind], path, c, &c->levels.n[kind],
                             &c->cgroup.dir[kind], err);
    }
    if (rc == RC_OK && c->cpuset_root >= 0)
        rc = make_levels(c->cpuset_root, path, c, &c->levels.n[CGROUP_KINDS], &c->cpuset, err);
    return rc;
}

/* Nobody marks or takes a level away meanwhile that this one goes into. */
static enum rc make_alone(struct oci_cgroup *c, const char *path, struct err *err)
{
    scoped(close_fd) int alone = -1;
    enum rc rc = oci_lock_groups(&alone, err);

    return rc == RC_OK ? make_all(c, path, err) : rc;
}

static enum rc count_missing(int root, const char *path, uint32_t *ret, struct err *err)
{
    uint32_t left = root < 0 ? 0 : count_parts(path);
    char part[NAME_MAX + 1];
    scoped(close_fd) int at = root < 0 ? -1 : open_dir(root, ".");

    while (at >= 0 && next_part(&path, part)) {
        int next = open_dir(at, part);

        close_fd(&at);
        at = next;
        if (next >= 0 && (left == 1 || !is_ours(next))) {
            close_fd(&at);
            return is_there(part, err);
        }
        left -= next >= 0 ? 1 : 0;
    }
    *ret = left;
    return RC_OK;
}

/* Its descriptor in a hierarchy by number. */
static int root_of(const struct oci_cgroup *c, size_t tree)
{
    return tree == CGROUP_KINDS ? c->cpuset_root : c->tree.parent[tree];
}

enum rc oci_cgroup_missing(const char *path, struct oci_levels *ret, struct err *err)
{
    scoped(oci_cgroup_close) struct oci_cgroup c = OCI_CGROUP_NONE;
    scoped(close_fd) int alone = -1;
    struct oci_levels missing = { { 0 } };
    enum rc rc = find(&c, err);

    if (rc == RC_OK)
        rc = oci_lock_groups(&alone, err);
    for (size_t i = 0; rc == RC_OK && i < OCI_CGROUP_TREES; i++)
        rc = count_missing(root_of(&c, i), path, &missing.n[i], err);
    if (rc == RC_OK)
        *ret = missing;
    return rc;
}

enum rc oci_cgroup_make(const char *path, const struct oci_limits *limits, struct oci_cgroup *ret,
                        struct err *err)
{
    scoped(oci_cgroup_close) struct oci_cgroup c = OCI_CGROUP_NONE;
    uint32_t parts = count_parts(path);

    if (parts == 0 || parts > LEVELS_MAX)
        return err_set(err, RC_CGROUP, "path %.60s", path);
    enum rc rc = find(&c, err);
    if (rc == RC_OK)
        rc = make_alone(&c, path, err);
    if (rc == RC_OK)
        rc = limit(&c, limits, err);
    if (rc != RC_OK) {
        oci_cgroup_drop(&c, path); /* nothing was ever inside */
        return rc;
    }
    *ret = c;
    c = OCI_CGROUP_NONE;
    return RC_OK;
}

static int open_path(int root, const char *path)
{
    char part[NAME_MAX + 1];
    int at = root < 0 ? -1 : open_dir(root, ".");

    while (at >= 0 && next_part(&path, part)) {
        int next = open_dir(at, part);

        close_fd(&at);
        at = next;
    }
    return at;
}

enum rc oci_cgroup_open(const char *path, const struct oci_levels *levels, struct oci_cgroup *ret,
                        struct err *err)
{
    struct oci_cgroup c = OCI_CGROUP_NONE;
    enum rc rc = find(&c, err);

    if (rc != RC_OK)
        return rc;
    c.levels = *levels;
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        c.cgroup.dir[kind] = levels->n[kind] == 0 ? -1 : open_path(c.tree.parent[kind], path);
    c.cpuset = levels->n[CGROUP_KINDS] == 0 ? -1 : open_path(c.cpuset_root, path);
    *ret = c;
    return RC_OK;
}

enum rc oci_cgroup_attach(const struct oci_cgroup *cgroup, pid_t pid, bool cloned_into,
                          struct err *err)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", pid);
    if (cgroup->cpuset >= 0 && kernfile_put(cgroup->cpuset, "cgroup.procs", text) != 0)
        return err_sys(err, RC_CGROUP, "attach to cpuset");
    return cgroup_attach(&cgroup->cgroup, pid, cloned_into, err);
}

/* Cut the last part off; false when none is left. */
static bool cut_part(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* Whether the group at a path is one that others of ours may have lain below, too. */
static bool was_shared(int root, const char *path)
{
    scoped(close_fd) int dir = open_path(root, path);

    return dir >= 0 && is_ours(dir);
}

/* One hierarchy: the group, then the levels above it that were made for it or for another container
 * and are empty by now; with none made, what is there is another's. */
static bool remove_levels(int root, const char *path, uint32_t levels)
{
    char at[300];

    if (root < 0 || levels == 0 || snprintf(at, sizeof at, "%s", path) >= (int)sizeof at)
        return true;
    if (unlinkat(root, at, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return false;
    for (uint32_t i = 1; cut_part(at); i++) {
        if (i >= levels && !was_shared(root, at))
            break;
        if (unlinkat(root, at, AT_REMOVEDIR) != 0 && errno != ENOENT)
            break;
    }
    return true;
}

/* In every hierarchy: of one that was being made some have the levels above it only. */
static bool remove_all(const struct oci_cgroup *c, const char *path)
{
    scoped(close_fd) int alone = -1;
    struct err unlocked;
    bool gone = true;

    /* Without the lock, who makes one meanwhile may fail, and no more. */
    (void)!oci_lock_groups(&alone, &unlocked);
    for (size_t i = 0; i < OCI_CGROUP_TREES; i++)
        gone = remove_levels(root_of(c, i), path, c->levels.n[i]) && gone;
    return gone;
}

enum rc oci_cgroup_remove(struct oci_cgroup *cgroup, const char *path, uint64_t until_ms,
                          struct err *err)
{
    while (!remove_all(cgroup, path)) {
        cgroup_kill(&cgroup->cgroup);
        if (clock_mono_ms() >= until_ms)
            return err_set(err, RC_TIMEOUT, "control group %.60s", path);
        (void)poll(NULL, 0, 1);
    }
    return RC_OK;
}

void oci_cgroup_drop(const struct oci_cgroup *cgroup, const char *path)
{
    (void)remove_all(cgroup, path);
}

void oci_cgroup_close(struct oci_cgroup *cgroup)
{
    cgroup_tree_forget(&cgroup->tree);
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        close_fd(&cgroup->cgroup.dir[kind]);
    close_fd(&cgroup->cpuset_root);
    close_fd(&cgroup->cpuset);
}
