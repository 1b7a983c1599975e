/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sum.h"
#include "sandbox/guest.h"
#include "sandbox/kernfile.h"
#include "sandbox/mounts.h"
#include "sandbox/seccomp.h"

#define TEXT_CAP 16384U /* of a file in /proc; more is an error */
#define PF_EXITING 0x4U /* in the flags of /proc/PID/stat: kernel ABI since 2.6 */
#define SECCOMP_DEAD 3U /* in /proc/PID/status: any system call would end it */
#define THREADS_TRIED 8 /* that end while they are looked at */
#define COUNT_MAX                                                                                  \
    64U /* descriptors: a payload opens as many as it likes, and they are not compared */

static_assert(RLIM_NLIMITS == WIRE_RECEIPT_LIMITS, "every limit has a place");

/* One line of /proc/PID/mountinfo. */
struct mount_line {
    const char *point;
    const char *options;
    const char *kind;
    const char *super; /* options of the file system */
};

static const char *const cap_keys[] = { "\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t", "\nCapBnd:\t",
                                        "\nCapAmb:\t" };

static const struct {
    const char *path;
    enum wall wall;
} namespaces[NS_KINDS] = {
    [NS_USER] = { "ns/user", WALL_USER_NAMESPACE },
    [NS_MNT] = { "ns/mnt", WALL_MOUNT_NAMESPACE },
    [NS_PID] = { "ns/pid", WALL_PID_NAMESPACE },
    [NS_NET] = { "ns/net", WALL_NET_NAMESPACE },
    [NS_IPC] = { "ns/ipc", WALL_IPC_NAMESPACE },
    [NS_UTS] = { "ns/uts", WALL_UTS_NAMESPACE },
    [NS_CGROUP] = { "ns/cgroup", WALL_CGROUP_NAMESPACE },
    [NS_TIME] = { "ns/time", WALL_TIME_NAMESPACE },
};

/* ---- reading -------------------------------------------------------------------------------- */

/* The whole of a small file, with a terminator.  Its size, or -1 with errno. */
static ssize_t read_text(int proc, const char *name, char text[TEXT_CAP])
{
    scoped(close_fd) int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    while (fd >= 0 && n < TEXT_CAP - 1) {
        ssize_t got = read(fd, text + n, TEXT_CAP - 1 - n);

        if (got < 0)
            return -1;
        if (got == 0) {
            text[n] = '\0';
            return (ssize_t)n;
        }
        n += (size_t)got;
    }
    if (fd >= 0)
        errno = EFBIG;
    return -1;
}

static uint64_t field(const char *text, const char *key, int base)
{
    const char *at = strstr(text, key);

    return at == NULL ? UINT64_MAX : strtoull(at + strlen(key), NULL, base);
}

static void four(const char *text, const char *key, uint32_t ret[4])
{
    const char *at = strstr(text, key);
    char *rest = NULL;

    at = at == NULL ? "" : at + strlen(key);
    for (size_t i = 0; i < 4; i++) {
        ret[i] = (uint32_t)strtoul(at, &rest, 10);
        at = rest;
    }
}

/* One file at a time, and there is one thread: the fewer pages a start writes to, the better. */
static char common[TEXT_CAP];

static int read_status(int proc, char text[TEXT_CAP], struct wire_receipt *r)
{
    if (read_text(proc, "status", text) < 0)
        return -1;
    for (size_t i = 0; i < sizeof cap_keys / sizeof cap_keys[0]; i++)
        r->caps[i] = field(text, cap_keys[i], 16);
    four(text, "\nUid:\t", r->uid);
    four(text, "\nGid:\t", r->gid);
    r->no_new_privs = (uint32_t)field(text, "\nNoNewPrivs:\t", 10);
    r->seccomp_mode = (uint32_t)field(text, "\nSeccomp:\t", 10);
    r->seccomp_filters = (uint32_t)field(text, "\nSeccomp_filters:\t", 10);
    return 0;
}

uint32_t receipt_own_filters(void)
{
    static char text[TEXT_CAP];
    scoped(close_fd) int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (self < 0 || read_text(self, "status", text) < 0)
        return 0;
    uint64_t n = field(text, "\nSeccomp_filters:\t", 10);
    return n == UINT64_MAX ? 0 : (uint32_t)n;
}

static int read_map(int proc, const char *name, char text[TEXT_CAP], uint32_t inside_first,
                    uint32_t ret[2])
{
    unsigned int inside;

    if (read_text(proc, name, text) < 0)
        return -1;
    /* One line that begins with the first id; anything else is no map of ours, and no count of
     * ours. */
    char *rest = text;
    inside = (unsigned int)strtoul(rest, &rest, 10);
    ret[0] = (uint32_t)strtoul(rest, &rest, 10);
    ret[1] = (uint32_t)strtoul(rest, &rest, 10);
    if (inside != inside_first || strcmp(rest, "\n") != 0)
        ret[1] = 0;
    return 0;
}

static int read_limits(pid_t pid, uint64_t ret[WIRE_RECEIPT_LIMITS])
{
    for (unsigned int i = 0; i < WIRE_RECEIPT_LIMITS; i++) {
        struct rlimit limit;

        if (prlimit(pid, (__rlimit_resource_t)i, NULL, &limit) != 0)
            return -1;
        ret[i] = limit.rlim_max;
    }
    return 0;
}

/* A kernel without a kind of namespace has no link for it: 0. */
static int read_ns(int proc, uint64_t ret[NS_KINDS])
{
    for (size_t i = 0; i < NS_KINDS; i++) {
        char text[64];
        ssize_t n = readlinkat(proc, namespaces[i].path, text, sizeof text - 1);

        ret[i] = 0;
        if (n < 0 && errno == ENOENT && i != NS_USER)
            continue;
        if (n < 0)
            return -1;
        text[n] = '\0';
        const char *number = strchr(text, '[');
        ret[i] = number == NULL ? 0 : strtoull(number + 1, NULL, 10);
    }
    return 0;
}

static int count_descriptors(int proc, uint32_t *ret)
{
    scoped(kernfile_close_dir) DIR *dir = kernfile_dir(proc, "fd");
    const struct dirent *e;

    if (dir == NULL)
        return -1;
    *ret = 0;
    errno = 0;
    while (*ret < COUNT_MAX && (e = readdir(dir)) != NULL)
        *ret += e->d_name[0] != '.';
    return errno == 0 ? 0 : -1;
}

/* ---- mounts --------------------------------------------------------------------------------- */

/* Cut the next word off. */
static const char *word(char **at)
{
    char *begin = *at;

    *at += strcspn(*at, " ");
    if (**at != '\0')
        *(*at)++ = '\0';
    return begin;
}

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - KIND SOURCE SUPER */
static bool next_mount(char **at, struct mount_line *ret)
{
    char *line = *at;

    if (*line == '\0')
        return false;
    *at += strcspn(*at, "\n");
    if (**at != '\0')
        *(*at)++ = '\0';
    for (int i = 0; i < 4; i++)
        (void)word(&line);
    ret->point = word(&line);
    ret->options = word(&line);
    while (*line != '\0' && strcmp(word(&line), "-") != 0)
        ;
    ret->kind = word(&line);
    (void)word(&line);
    ret->super = word(&line);
    return true;
}

/* Those options of a file system count that nobody changes by using it. */
static bool super_counts(const struct mount_line *m)
{
    return strcmp(m->kind, "tmpfs") == 0 || strcmp(m->kind, "proc") == 0;
}

static int read_mounts(int proc, char text[TEXT_CAP], struct wire_receipt *r)
{
    static char plain[TEXT_CAP];
    struct mount_line m;
    char *at = text;
    size_t n = 0;

    if (read_text(proc, "mountinfo", text) < 0)
        return -1;
    r->n_mounts = 0;
    while (next_mount(&at, &m)) { /* never longer than the line it comes from */
        n += (size_t)snprintf(plain + n, sizeof plain - n, "%s %s %s %s\n", m.point, m.options,
                              m.kind, super_counts(&m) ? m.super : "-");
        r->n_mounts++;
    }
    sum_of((struct bytes){ (const uint8_t *)plain, n }, r->mounts);
    return 0;
}

static const char *option(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0' || at[n - 1] == '='))
            return at + n;
    }
    return NULL;
}

/* What each kind of operation must have left. */
static const struct {
    const char *kind; /* of file system, NULL = any */
    const char *options[4];
} wanted[PLAN_OP_TYPES] = {
    [PLAN_OP_ROOT] = { NULL, { "ro", "nosuid", "nodev" } },
    [PLAN_OP_PROC] = { "proc", { "nosuid", "nodev", "noexec" } },
    [PLAN_OP_DEV] = { "tmpfs", { "ro", "nosuid", "noexec" } },
    [PLAN_OP_TMPFS] = { "tmpfs", { "nosuid", "nodev", "noexec" } },
    [PLAN_OP_DATA] = { NULL, { "nosuid", "nodev", "noexec", "idmapped" } },
    [PLAN_OP_INBOX] = { NULL, { "nosuid", "nodev", "noexec", "idmapped" } },
    [PLAN_OP_OUTBOX] = { NULL, { "nosuid", "nodev", "noexec", "idmapped" } },
    [PLAN_OP_SLOT] = { NULL, { "ro", "nosuid", "nodev", "noexec" } },
};

static bool size_fits(const struct mount_line *m, const struct plan_op *op)
{
    const char *kib = option(m->super, "size=");
    const char *inodes = option(m->super, "nr_inodes=");
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return kib != NULL && strtoull(kib, NULL, 10) * 1024U < op->bytes + page && inodes != NULL &&
           strtoull(inodes, NULL, 10) <= op->inodes;
}

static bool mount_fits(const struct mount_line *m, const struct plan_op *op,
                       const struct walls *walls)
{
    const char *const *options = wanted[op->type].options;

    if (wanted[op->type].kind != NULL && strcmp(m->kind, wanted[op->type].kind) != 0)
        return false;
    for (size_t i = 0; i < 4 && options[i] != NULL; i++) {
        if (strcmp(options[i], "idmapped") == 0 && !walls_stand(walls, WALL_IDMAPPED_MOUNTS))
            continue;
        if (option(m->options, options[i]) == NULL)
            return false;
    }
    if (op->type == PLAN_OP_TMPFS)
        return size_fits(m, op);
    return op->type != PLAN_OP_PROC || !walls_stand(walls, WALL_PROC_SUBSET) ||
           (option(m->super, "subset=pid") != NULL &&
            option(m->super, "hidepid=invisible") != NULL);
}

static const struct plan_op *op_at(const struct plan *plan, const char *point)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        if (strcmp(plan->ops[i].path, point) == 0)
            return &plan->ops[i];
    }
    return NULL;
}

/* A directory of sysfs that the integrator lists and the plan names. */
static bool is_listed(const struct mount_line *m, const struct plan *plan)
{
    static const char dev[] = "/dev/";
    const size_t n = sizeof dev - 1;

    if (strncmp(m->point, dev, n) != 0 || strcmp(m->kind, "sysfs") != 0 ||
        option(m->options, "ro") == NULL || option(m->options, "nosuid") == NULL ||
        option(m->options, "nodev") == NULL)
        return false;
    for (uint32_t i = 0; i < plan->n_devices; i++) {
        if (strcmp(m->point + n, plan->device[i]) == 0)
            return true;
    }
    return false;
}

/* One of the five of every /dev, where they are mounts. */
static bool is_node(const struct mount_line *m)
{
    for (uint32_t i = 0; i < MOUNTS_NODES; i++) {
        char path[32];

        (void)snprintf(path, sizeof path, "/dev/%s", mounts_node_name(i));
        if (strcmp(m->point, path) == 0)
            return option(m->options, "ro") != NULL && option(m->options, "nosuid") != NULL &&
                   option(m->options, "noexec") != NULL;
    }
    return false;
}

/* What is compared below is 0 if it is as it must be, FITS_NOT if it is not, and the errno if it
 * cannot be read. */
#define FITS_NOT (-1)

/* Each operation of the plan is one mount, and there is no other. */
static int mounts_differ(int proc, const struct receipt_of *of, const struct plan *plan,
                         const struct walls *walls, char *text)
{
    struct mount_line m;
    char *at = text;
    uint32_t n = of->no_proc ? 1 : 0;

    if (read_text(proc, "mountinfo", text) < 0)
        return errno;
    while (next_mount(&at, &m)) {
        const struct plan_op *op = op_at(plan, m.point);

        if (is_listed(&m, plan) || (of->ordinary && is_node(&m)))
            continue;
        if (op == NULL || op->type >= PLAN_OP_TYPES || !mount_fits(&m, op, walls))
            return FITS_NOT;
        n++;
    }
    return n == plan->n_ops ? 0 : FITS_NOT;
}

/* ---- control groups ------------------------------------------------------------------------- */

/* One hierarchy may carry several controllers.  0, or -1 with errno. */
static int hierarchies(const struct cgroup *cgroup, size_t *ret)
{
    dev_t seen[CGROUP_KINDS];
    size_t n = 0;

    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        struct stat st;
        size_t i = 0;

        if (cgroup->dir[kind] < 0)
            continue;
        if (fstat(cgroup->dir[kind], &st) != 0)
            return -1;
        while (i < n && seen[i] != st.st_dev)
            i++;
        if (i == n)
            seen[n++] = st.st_dev;
    }
    *ret = n;
    return 0;
}

/* The lines of the instance's own groups, moved to the front of text.  What the host mounts later
 * adds others to every process, and is no matter of the payload's. */
static struct bytes own_groups(const struct receipt_of *of, char text[TEXT_CAP])
{
    char end[sizeof of->tree->name + sizeof of->cgroup->name + 2];
    size_t kept = 0;

    (void)snprintf(end, sizeof end, "/%s/%s", of->tree->name, of->cgroup->name);
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");

        if (n >= strlen(end) && memcmp(at + n - strlen(end), end, strlen(end)) == 0) {
            memmove(text + kept, at, n);
            kept += n;
            text[kept++] = '\n';
        }
        at += n + (at[n] != '\0');
    }
    return (struct bytes){ (const uint8_t *)text, kept };
}

/* The process is in the instance's group of every hierarchy. */
static int groups_differ(int proc, const struct receipt_of *of, char text[TEXT_CAP])
{
    size_t found = 0;
    size_t wants = 0;

    if (read_text(proc, "cgroup", text) < 0 || hierarchies(of->cgroup, &wants) != 0)
        return errno;
    const struct bytes own = own_groups(of, text);
    for (size_t i = 0; i < own.n; i++)
        found += own.p[i] == '\n';
    return found == wants ? 0 : FITS_NOT;
}

/* ---- whole receipts ------------------------------------------------------------------------- */

static int open_proc(pid_t pid)
{
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/%d", pid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* After the last look: what was seen was the process that the descriptor is of.  If that cannot be
 * told, it does: only an end that was seen excuses a payload. */
static bool lives(const struct receipt_of *of)
{
    struct pollfd p = { .fd = of->pidfd, .events = POLLIN };

    return poll(&p, 1, 0) <= 0;
}

/* Of a file in /proc: whose it was has ended. */
static bool has_gone(void)
{
    return errno == ENOENT || errno == ESRCH;
}

/* On its way out: v1 groups and namespaces have let go of it already.  PID (NAME) STATE and five
 * numbers come before the flags.  1 or 0; -1 with errno. */
static int exiting(int task)
{
    char *const text = common;

    if (read_text(task, "stat", text) < 0)
        return has_gone() ? 1 : -1;
    char *at = strrchr(text, ')');
    if (at == NULL)
        return 1;
    at += 1;
    for (int i = 0; i < 7; i++)
        (void)word(&at); /* what is before the first blank is empty */
    return (strtoul(at, NULL, 10) & PF_EXITING) != 0 ? 1 : 0;
}

/* The first thread that is not on its way out, in *ret.  The one that gave the process its number
 * may have ended long before the others.  1: there is none; -1 with errno. */
static int open_thread(int proc, int *ret)
{
    scoped(kernfile_close_dir) DIR *dir = kernfile_dir(proc, "task");
    const struct dirent *e;

    if (dir == NULL)
        return has_gone() ? 1 : -1;
    for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
        if (e->d_name[0] == '.')
            continue;
        scoped(close_fd) int task = openat(dirfd(dir), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int ends = task >= 0 ? exiting(task) : (has_gone() ? 1 : -1);

        if (ends == 0)
            *ret = take_fd(&task);
        if (ends <= 0)
            return ends;
    }
    return errno == 0 || has_gone() ? 1 : -1;
}

static int read_all(int proc, const struct receipt_of *of, struct wire_receipt *r)
{
    char *const text = common;

    if (read_status(proc, text, r) != 0 || read_limits(of->pid, r->limit_max) != 0 ||
        read_map(proc, "uid_map", text, of->ids.inside, r->map) != 0 ||
        read_map(proc, "gid_map", text, of->ids.inside, r->map + 2) != 0 ||
        read_mounts(proc, text, r) != 0 || read_ns(proc, r->ns) != 0 ||
        count_descriptors(proc, &r->descriptors) != 0)
        return -1;
    if (read_text(proc, "cgroup", text) < 0)
        return -1;
    sum_of(own_groups(of, text), r->groups);
    return 0;
}

/* Read a thread that was not on its way out at the end either.  1: there is none; -1 with errno. */
static int read_thread(const struct receipt_of *of, struct wire_receipt *r)
{
    scoped(close_fd) int proc = open_proc(of->pid);

    if (proc < 0)
        return has_gone() ? 1 : -1;
    for (int i = 0; i < THREADS_TRIED; i++) {
        scoped(close_fd) int task = -1;
        int none = open_thread(proc, &task);

        if (none != 0)
            return none;
        int bad = read_all(task, of, r);
        int error = errno;
        int ends = exiting(task);
        if (ends == 0 && bad != 0)
            errno = error;
        if (ends <= 0)
            return ends == 0 ? bad : -1;
    }
    errno = EAGAIN; /* all of them were ending: what was read says nothing */
    return -1;
}

enum rc receipt_read(const struct receipt_of *of, struct wire_receipt *ret, struct err *err)
{
    struct wire_receipt r = { .walls = ret->walls };
    int bad = read_thread(of, &r);
    int error = errno;

    if (bad == 1 || !lives(of))
        return err_set(err, RC_NOT_FOUND, "payload");
    errno = error;
    if (bad != 0)
        return err_sys(err, RC_LAUNCH_STEP, "receipt");
    sum_of((struct bytes){ (const uint8_t *)&r, offsetof(struct wire_receipt, ns) }, r.digest);
    *ret = r;
    return RC_OK;
}

static bool all_are(const uint32_t id[4], uint32_t wanted_id)
{
    return id[0] == wanted_id && id[1] == wanted_id && id[2] == wanted_id && id[3] == wanted_id;
}

static bool caps_fit(const struct wire_receipt *r, const struct walls *walls)
{
    return (r->caps[0] | r->caps[1] | r->caps[2] | r->caps[4]) == 0 &&
           (r->caps[3] == 0 || !walls_stand(walls, WALL_BOUNDING_SET));
}

static bool ids_fit(const struct wire_receipt *r, const struct receipt_ids *ids,
                    const struct plan *plan)
{
    const uint32_t above = plan_uid(plan) - ids->inside;
    const uint32_t map[4] = { ids->uid, ids->count, ids->gid, ids->count };

    return all_are(r->uid, ids->uid + above) && all_are(r->gid, ids->gid + above) &&
           memcmp(r->map, map, sizeof map) == 0;
}

static bool limits_fit(const struct wire_receipt *r, const struct plan *plan)
{
    const struct plan_limits *l = &plan->limits;

    return r->limit_max[RLIMIT_CORE] <= (l->core_bytes != 0 ? l->core_bytes : 1) &&
           (l->file_bytes == 0 || r->limit_max[RLIMIT_FSIZE] <= l->file_bytes) &&
           r->limit_max[RLIMIT_NOFILE] <= plan->limits.open_files &&
           r->limit_max[RLIMIT_RTPRIO] == 0 && r->limit_max[RLIMIT_NICE] == 0 &&
           r->limit_max[RLIMIT_MSGQUEUE] == 0;
}

/* Every namespace is another than ours, if its wall stands. */
static int namespaces_differ(const struct wire_receipt *r, const struct walls *walls)
{
    scoped(close_fd) int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    uint64_t ours[NS_KINDS];

    if (self < 0 || read_ns(self, ours) != 0)
        return errno;
    for (size_t i = 0; i < NS_KINDS; i++) {
        if (walls_stand(walls, namespaces[i].wall) && (r->ns[i] == 0 || r->ns[i] == ours[i]))
            return FITS_NOT;
    }
    return 0;
}

static bool seccomp_fits(const struct receipt_of *of, const struct walls *walls,
                         const struct wire_receipt *r)
{
    return !walls_stand(walls, WALL_SECCOMP) ||
           (r->seccomp_mode == 2 &&
            (of->ordinary || r->seccomp_filters >= SECCOMP_PAYLOAD_FILTERS) &&
            r->seccomp_filters >= of->filters + SECCOMP_OWN_FILTERS);
}

static int differs(bool fits)
{
    return fits ? 0 : FITS_NOT;
}

/* Standard ones, the channel, the program, and the ports of a virtual machine. */
static uint32_t descriptors_of(const struct plan *plan, const struct walls *walls)
{
    return 4U + (walls_stand(walls, WALL_EXEC_BY_DESCRIPTOR) ? 1U : 0U) +
           (plan->vm == PLAN_VM_QEMU ? (uint32_t)GUEST_PORTS : 0U);
}

enum rc receipt_check(const struct receipt_of *of, const struct plan *plan,
                      const struct walls *walls, const struct wire_receipt *r, struct err *err)
{
    char *const text = common;
    scoped(close_fd) int proc = open_proc(of->pid);

    if (proc < 0)
        return err_sys(err, RC_LAUNCH_STEP, "receipt");
    const struct {
        const char *what;
        int differs;
    } rows[] = {
        { "capabilities", differs(caps_fit(r, walls)) },
        { "no_new_privs", differs(r->no_new_privs == 1) },
        { "seccomp", differs(seccomp_fits(of, walls, r)) },
        { "ids", differs(ids_fit(r, &of->ids, plan)) },
        { "resource limits", differs(limits_fit(r, plan)) },
        { "namespaces", namespaces_differ(r, walls) },
        { "descriptors", differs(r->descriptors == descriptors_of(plan, walls)) },
        { "mounts", mounts_differ(proc, of, plan, walls, text) },
        { "control groups", groups_differ(proc, of, text) },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].differs == 0)
            continue;
        if (!lives(of))
            return err_set(err, RC_NOT_FOUND, "payload");
        errno = rows[i].differs;
        return rows[i].differs == FITS_NOT ? err_set(err, RC_DRIFT, "%s", rows[i].what)
                                           : err_sys(err, RC_LAUNCH_STEP, "%s", rows[i].what);
    }
    return RC_OK;
}

/* A process may lower its own. */
static bool limits_kept(const struct wire_receipt *then, const struct wire_receipt *now)
{
    for (size_t i = 0; i < WIRE_RECEIPT_LIMITS; i++) {
        if (now->limit_max[i] > then->limit_max[i])
            return false;
    }
    return now->limit_max[RLIMIT_CORE] == then->limit_max[RLIMIT_CORE];
}

/* A process that its filter is just killing says so before it is on its way out. */
static bool seccomp_kept(const struct wire_receipt *then, const struct wire_receipt *now)
{
    return (now->seccomp_mode == then->seccomp_mode || now->seccomp_mode == SECCOMP_DEAD) &&
           now->seccomp_filters >= then->seccomp_filters;
}

enum rc receipt_compare(const struct wire_receipt *then, const struct wire_receipt *now,
                        struct err *err)
{
#define SAME(member) (memcmp(&then->member, &now->member, sizeof then->member) == 0)
    const struct {
        const char *what;
        bool same;
    } rows[] = {
        { "capabilities", SAME(caps) },
        { "no_new_privs", SAME(no_new_privs) },
        { "seccomp", seccomp_kept(then, now) },
        { "ids", SAME(uid) && SAME(gid) && SAME(map) },
        { "resource limits", limits_kept(then, now) },
        { "namespaces", SAME(ns) },
        { "mounts", SAME(mounts) && SAME(n_mounts) },
        { "control groups", SAME(groups) },
    };
#undef SAME

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].same)
            return err_set(err, RC_DRIFT, "%s", rows[i].what);
    }
    return RC_OK;
}
