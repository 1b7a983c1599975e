/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "sandbox/cgroup_file.h"
#include "sandbox/kernfile.h"

#define CPU_PERIOD_US 100000U
#define SETTINGS_MAX 24U
#define VALUE_CAP 128U
#define TENANT_GROUPS 256U /* more than instances that a launcher keeps */

/* How the file says what was written. */
enum reading {
    READ_SAME,   /* as it was written */
    READ_NUMBER, /* a number first, and it is compared as one */
    READ_DISK,   /* one line for each disk, which begins like the value; none if it has no limit */
};

/* One value in one file of one directory. */
struct setting {
    int dir;
    const char *file;
    enum reading reading;
    bool optional; /* the file may be missing (never the write may fail) */
    bool none;     /* the value says that there is no limit */
    char value[VALUE_CAP];
};

struct settings {
    uint32_t n;
    struct setting of[SETTINGS_MAX];
};

/* What was there before, to be put back from the last to the first. */
struct undo {
    uint32_t n;
    struct setting of[SETTINGS_MAX];
};

/* The directories of the tenant, one for each hierarchy. */
struct share_dirs {
    int dir[CGROUP_KINDS];
};

static void close_dirs(struct share_dirs *dirs)
{
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        close_fd(&dirs->dir[kind]);
}

/* ---- one value ------------------------------------------------------------------------------ */

static uint64_t number(const char *text)
{
    return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

/* One line of text, cut to the room that there is. */
static void copy_line(const char *line, char out[VALUE_CAP])
{
    size_t n = strcspn(line, "\n");

    n = n < VALUE_CAP ? n : VALUE_CAP - 1;
    memcpy(out, line, n);
    out[n] = '\0';
}

/* The line of the disk that a value begins with, or "". */
static void disk_line(const char *text, const char *value, char out[VALUE_CAP])
{
    size_t n = strcspn(value, " ") + 1;

    out[0] = '\0';
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n') {
        if (strncmp(at, value, n) != 0)
            continue;
        copy_line(at, out);
        return;
    }
}

/* What an open file says, in the form in which it could be written again.  0, or -1 with errno. */
static int current(const struct setting *s, int fd, char out[VALUE_CAP])
{
    char text[4096];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    text[n < 0 ? 0 : n] = '\0';
    if (s->reading == READ_DISK)
        disk_line(text, s->value, out);
    else
        copy_line(text, out);
    return n < 0 ? -1 : 0;
}

/* Where there is no such hierarchy, there is no such file either. */
static int open_setting(const struct setting *s)
{
    if (s->dir < 0)
        errno = ENOENT;
    return s->dir < 0 ? -1 : openat(s->dir, s->file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

static bool as_wanted(const struct setting *s, const char *seen)
{
    switch (s->reading) {
    case READ_NUMBER:
        return seen[0] != '\0' && number(seen) == number(s->value);
    case READ_DISK:
        return s->none ? seen[0] == '\0' : strcmp(seen, s->value) == 0;
    case READ_SAME:
        break;
    }
    return strcmp(seen, s->value) == 0;
}

static int put_text(int fd, const char *value)
{
    size_t n = strlen(value);

    return pwrite(fd, value, n, 0) == (ssize_t)n ? 0 : -1;
}

/* On v2 a limit below what is used would kill at once: let the kernel take back what it can before,
 * and go no further if that is not enough.  v1 refuses by itself.  0, or -1 with errno. */
static int put_memory_max(const struct setting *s, int fd)
{
    uint64_t limit = number(s->value);
    char high[VALUE_CAP];

    if (cgroup_get_number(s->dir, "memory.current") <= limit)
        return put_text(fd, s->value);
    cgroup_get(s->dir, "memory.high", high, sizeof high);
    high[strcspn(high, "\n")] = '\0';
    (void)kernfile_put(s->dir, "memory.high", s->value);
    bool fits = cgroup_get_number(s->dir, "memory.current") <= limit;
    int failed = fits ? put_text(fd, s->value) : -1;
    int error = fits ? errno : EBUSY;

    (void)kernfile_put(s->dir, "memory.high", high);
    errno = error;
    return failed;
}

static int put_value(const struct setting *s, int fd)
{
    return strcmp(s->file, "memory.max") == 0 ? put_memory_max(s, fd) : put_text(fd, s->value);
}

/* "254:0" of "254:0 and what follows". */
static const char *disk_name(const char *value, char out[VALUE_CAP])
{
    copy_line(value, out);
    out[strcspn(out, " ")] = '\0';
    return out;
}

/* What is written to go back to how it was, which is what was seen. */
static struct setting before(const struct setting *s, const char seen[VALUE_CAP])
{
    struct setting was = *s;
    char name[VALUE_CAP];

    copy_line(seen, was.value);
    if (s->reading == READ_DISK && was.value[0] == '\0') /* no line: no limit */
        (void)snprintf(was.value, sizeof was.value, "%.24s %s", disk_name(s->value, name),
                       strcmp(s->file, "io.max") == 0 ? "rbps=max wbps=max" : "0");
    return was;
}

/* What says already what it is to say is not written. */
static enum rc put_setting(const struct setting *s, struct undo *undo, struct err *err)
{
    char seen[VALUE_CAP];
    scoped(close_fd) int fd = open_setting(s);

    if (fd < 0) /* only what is not there can be done without */
        return s->optional && errno == ENOENT
                   ? RC_OK
                   : err_sys(err, RC_CGROUP, "%s = %s", s->file, s->value);
    if (current(s, fd, seen) != 0)
        return err_sys(err, RC_CGROUP, "%s", s->file);
    if (as_wanted(s, seen))
        return RC_OK;
    assert(undo->n < SETTINGS_MAX);
    undo->of[undo->n++] = before(s, seen);
    if (put_value(s, fd) != 0)
        return err_sys(err, RC_CGROUP, "%s = %s", s->file, s->value);
    if (current(s, fd, seen) != 0)
        return err_sys(err, RC_CGROUP, "%s = %s, but it cannot be read", s->file, s->value);
    if (!as_wanted(s, seen))
        return err_set(err, RC_CGROUP, "%s = %s, but reads %.40s", s->file, s->value, seen);
    return RC_OK;
}

static void put_back(const struct undo *undo)
{
    for (uint32_t i = undo->n; i > 0; i--)
        (void)kernfile_put(undo->of[i - 1].dir, undo->of[i - 1].file, undo->of[i - 1].value);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static struct setting *add(struct settings *list, int dir, const char *file, enum reading reading)
{
    assert(list->n < SETTINGS_MAX);
    struct setting *s = &list->of[list->n++];

    *s = (struct setting){ .dir = dir, .file = file, .reading = reading };
    return s;
}

static struct setting *add_number(struct settings *list, int dir, const char *file, uint64_t value)
{
    struct setting *s = add(list, dir, file, READ_NUMBER);

    if (value == UINT64_MAX)
        (void)snprintf(s->value, sizeof s->value, "max");
    else
        (void)snprintf(s->value, sizeof s->value, "%" PRIu64, value);
    return s;
}

/* Whole pages: what the kernel makes of it anyway. */
static uint64_t pages(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return bytes / page * page;
}

static void rate(char *out, size_t cap, const char *name, uint64_t bps)
{
    if (bps == 0)
        (void)snprintf(out, cap, "%s=max", name);
    else
        (void)snprintf(out, cap, "%s=%" PRIu64, name, bps);
}

/* A limit that was never asked for is not written: there may be nothing to write it to. */
static void add_io_max(struct settings *list, int dir, const struct cgroup_limits *l,
                       uint64_t read_bps, uint64_t write_bps)
{
    bool none = read_bps == 0 && write_bps == 0;

    for (uint32_t i = 0; i < l->n_disks; i++) {
        struct setting *s = add(list, dir, "io.max", READ_DISK);
        char in[32], out[32];

        rate(in, sizeof in, "rbps", read_bps);
        rate(out, sizeof out, "wbps", write_bps);
        s->optional = s->none = none;
        (void)snprintf(s->value, sizeof s->value, "%u:%u %s %s riops=max wiops=max",
                       l->disk[i].major, l->disk[i].minor, in, out);
    }
}

static void add_throttle(struct settings *list, int dir, const struct cgroup_limits *l,
                         const char *file, uint64_t bps)
{
    for (uint32_t i = 0; i < l->n_disks; i++) {
        struct setting *s = add(list, dir, file, READ_DISK);

        s->optional = s->none = bps == 0;
        (void)snprintf(s->value, sizeof s->value, "%u:%u %" PRIu64, l->disk[i].major,
                       l->disk[i].minor, bps);
    }
}

static void add_cpu_max(struct settings *list, int dir, uint32_t permille)
{
    struct setting *s = add(list, dir, "cpu.max", READ_SAME);

    (void)snprintf(s->value, sizeof s->value, "%u %u", permille * (CPU_PERIOD_US / 1000),
                   CPU_PERIOD_US);
}

static void list_v2(struct settings *list, uint32_t has, int dir, const struct cgroup_limits *l)
{
    const struct plan_limits *p = &l->limits;

    if ((has & CGROUP_HAS_MEMORY) != 0) {
        add_number(list, dir, "memory.max", pages(p->memory_bytes));
        add_number(list, dir, "memory.high",
                   p->memory_high_bytes != 0 ? pages(p->memory_high_bytes) : UINT64_MAX);
        add_number(list, dir, "memory.swap.max", 0)->optional = true;
        add_number(list, dir, "memory.oom.group", 1);
    }
    if ((has & CGROUP_HAS_PIDS) != 0)
        add_number(list, dir, "pids.max", p->pids);
    if ((has & CGROUP_HAS_CPU) != 0) {
        add_cpu_max(list, dir, p->cpu_permille);
        add_number(list, dir, "cpu.weight", p->cpu_weight);
    }
    struct setting *weight = add(list, dir, "io.weight", READ_SAME);
    (void)snprintf(weight->value, sizeof weight->value, "default %u", p->io_weight);
    weight->optional = p->io_weight == PLAN_WEIGHT;
    add_io_max(list, dir, l, p->io_read_bps, p->io_write_bps);
    add_number(list, dir, "cgroup.max.descendants", 0);
}

static void list_share_v2(struct settings *list, uint32_t has, int dir,
                          const struct cgroup_limits *l)
{
    if ((has & CGROUP_HAS_MEMORY) != 0)
        add_number(list, dir, "memory.max", pages(l->share.memory_bytes));
    if ((has & CGROUP_HAS_PIDS) != 0)
        add_number(list, dir, "pids.max", l->share.pids);
    if ((has & CGROUP_HAS_CPU) != 0)
        add_cpu_max(list, dir, l->share.cpu_permille);
    add_io_max(list, dir, l, l->share.io_read_bps, l->share.io_write_bps);
    add_number(list, dir, "cgroup.max.descendants", TENANT_GROUPS);
    add_number(list, dir, "cgroup.max.depth", 1);
}

/* Memory with swap is never less than memory: which of the two goes first depends on whether they
 * rise. */
static void add_memory_v1(struct settings *list, int dir, uint64_t bytes)
{
    bool rises = bytes > cgroup_get_number(dir, "memory.limit_in_bytes");

    if (rises)
        add_number(list, dir, "memory.memsw.limit_in_bytes", bytes)->optional = true;
    add_number(list, dir, "memory.limit_in_bytes", bytes);
    if (!rises)
        add_number(list, dir, "memory.memsw.limit_in_bytes", bytes)->optional = true;
}

static void add_quota_v1(struct settings *list, int dir, uint32_t permille)
{
    add_number(list, dir, "cpu.cfs_period_us", CPU_PERIOD_US);
    add_number(list, dir, "cpu.cfs_quota_us", (uint64_t)permille * (CPU_PERIOD_US / 1000));
}

static void list_v1(struct settings *list, uint32_t has, const int dir[CGROUP_KINDS],
                    const struct cgroup_limits *l)
{
    const struct plan_limits *p = &l->limits;
    uint64_t high = p->memory_high_bytes != 0 ? p->memory_high_bytes : LONG_MAX;

    if ((has & CGROUP_HAS_MEMORY) != 0) {
        add_memory_v1(list, dir[CGROUP_MEMORY], pages(p->memory_bytes));
        add_number(list, dir[CGROUP_MEMORY], "memory.soft_limit_in_bytes", pages(high));
        add_number(list, dir[CGROUP_MEMORY], "memory.swappiness", 0)->optional = true;
    }
    if ((has & CGROUP_HAS_PIDS) != 0)
        add_number(list, dir[CGROUP_PIDS], "pids.max", p->pids);
    if ((has & CGROUP_HAS_CPU) != 0) {
        add_quota_v1(list, dir[CGROUP_CPU], p->cpu_permille);
        add_number(list, dir[CGROUP_CPU], "cpu.shares",
                   (uint64_t)p->cpu_weight * 1024 / PLAN_WEIGHT);
    }
    struct setting *weight = add_number(list, dir[CGROUP_BLKIO], "blkio.bfq.weight", p->io_weight);
    weight->optional = p->io_weight == PLAN_WEIGHT;
    add_throttle(list, dir[CGROUP_BLKIO], l, "blkio.throttle.read_bps_device", p->io_read_bps);
    add_throttle(list, dir[CGROUP_BLKIO], l, "blkio.throttle.write_bps_device", p->io_write_bps);
    add_number(list, dir[CGROUP_UNIFIED], "cgroup.max.descendants", 0)->optional = true;
}

/* Not the disks: v1 limits each group for itself there, whatever lies above it. */
static void list_share_v1(struct settings *list, uint32_t has, const int dir[CGROUP_KINDS],
                          const struct cgroup_limits *l)
{
    if ((has & CGROUP_HAS_MEMORY) != 0)
        add_memory_v1(list, dir[CGROUP_MEMORY], pages(l->share.memory_bytes));
    if ((has & CGROUP_HAS_PIDS) != 0)
        add_number(list, dir[CGROUP_PIDS], "pids.max", l->share.pids);
    if ((has & CGROUP_HAS_CPU) != 0)
        add_quota_v1(list, dir[CGROUP_CPU], l->share.cpu_permille);
    add_number(list, dir[CGROUP_UNIFIED], "cgroup.max.descendants", TENANT_GROUPS)->optional = true;
    add_number(list, dir[CGROUP_UNIFIED], "cgroup.max.depth", 1)->optional = true;
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* A share that falls may be below what is in it until that has fallen too.  What is not there, and
 * need not be, does not fall. */
static enum rc falls(const struct setting *s, bool *ret, struct err *err)
{
    char now[VALUE_CAP];

    *ret = false;
    if (s->reading == READ_DISK)
        return RC_OK;
    scoped(close_fd) int fd = open_setting(s);
    if (fd < 0)
        return errno == ENOENT ? RC_OK : err_sys(err, RC_CGROUP, "%s", s->file);
    if (current(s, fd, now) != 0)
        return err_sys(err, RC_CGROUP, "%s", s->file);
    *ret = number(s->value) < number(now);
    return RC_OK;
}

/* All that does not fall; what does is in *ret_falling, for later. */
static enum rc put_share(const struct settings *list, struct settings *ret_falling,
                         struct undo *undo, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < list->n; i++) {
        const struct setting *s = &list->of[i];
        bool down = false;

        rc = falls(s, &down, err);
        if (rc == RC_OK && down)
            ret_falling->of[ret_falling->n++] = *s;
        else if (rc == RC_OK)
            rc = put_setting(s, undo, err);
    }
    return rc;
}

static enum rc put_all(const struct settings *list, struct undo *undo, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < list->n; i++)
        rc = put_setting(&list->of[i], undo, err);
    return rc;
}

static enum rc open_share(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                          struct share_dirs *ret, struct err *err)
{
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        if (cgroup->dir[kind] < 0)
            continue;
        ret->dir[kind] = openat(tree->base[kind], cgroup->tenant,
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (ret->dir[kind] < 0)
            return err_sys(err, RC_CGROUP, "open %s", cgroup->tenant);
    }
    return RC_OK;
}

enum rc cgroup_limits_set(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                          const struct cgroup_limits *limits, struct err *err)
{
    scoped(close_dirs) struct share_dirs up = {
        .dir = { [CGROUP_UNIFIED] = -1, -1, -1, -1, -1, -1, -1, -1 }
    };
    struct settings share = { 0 };
    struct settings own = { 0 };
    struct settings falling = { 0 };
    struct undo undo[3] = { 0 };
    enum rc rc = open_share(tree, cgroup, &up, err);

    if (rc != RC_OK)
        return rc;
    if (tree->version == 2) {
        list_share_v2(&share, tree->has, up.dir[CGROUP_UNIFIED], limits);
        list_v2(&own, tree->has, cgroup->dir[CGROUP_UNIFIED], limits);
    } else {
        list_share_v1(&share, tree->has, up.dir, limits);
        list_v1(&own, tree->has, cgroup->dir, limits);
    }
    rc = put_share(&share, &falling, &undo[0], err);
    if (rc == RC_OK)
        rc = put_all(&own, &undo[1], err);
    if (rc == RC_OK)
        rc = put_all(&falling, &undo[2], err);
    for (uint32_t i = 3; rc != RC_OK && i > 0; i--)
        put_back(&undo[i - 1]);
    return rc;
}
