/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines 37 to 48: the neighbour and the host.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

/* ---- 37, 38: sockets ------------------------------------------------------------------------- */

static int connect_to(const char *name, bool abstract, int type)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(name);
    int fd = socket(AF_UNIX, type, 0);

    if (fd < 0)
        return errno;
    memcpy(a.sun_path + (abstract ? 1 : 0), name, n);
    int how = outcome(connect(fd, (struct sockaddr *)&a,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)));
    close(fd);
    return how;
}

static int abstract_host(const struct scene *s)
{
    return connect_to(s->abstract, true, SOCK_STREAM);
}

static int abstract_victim(const struct scene *s)
{
    (void)s;
    return connect_to("victim", true, SOCK_STREAM);
}

static int path_host(const struct scene *s)
{
    return connect_to(s->path, false, SOCK_STREAM);
}

/* Any socket in the whole tree that is not the one we are given. */
static int find_socket(const char *dir, int depth)
{
    const char *ours = getenv("NOTIFY_SOCKET");
    DIR *d = opendir(dir);
    const struct dirent *e;
    int how = HELD;

    if (d == NULL)
        return HELD;
    while (how == HELD && (e = readdir(d)) != NULL) {
        char path[PATH_MAX];
        struct stat st;

        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, e->d_name) >=
                (int)sizeof path ||
            lstat(path, &st) != 0)
            continue;
        if (S_ISSOCK(st.st_mode) && (ours == NULL || strcmp(path, ours) != 0) &&
            strncmp(path, "/run/berth/", 11) != 0)
            how = 0;
        if (S_ISDIR(st.st_mode) && depth > 0 && strcmp(path, "/proc") != 0)
            how = find_socket(path, depth - 1);
    }
    closedir(d);
    return how;
}

static int any_socket(const struct scene *s)
{
    (void)s;
    return find_socket("/", 6);
}

/* ---- 41: processes --------------------------------------------------------------------------- */

static int signal_host(const struct scene *s)
{
    return outcome(kill((pid_t)s->host_pid, SIGKILL));
}

static int signal_victim(const struct scene *s)
{
    return outcome(kill((pid_t)s->victim_pid, SIGKILL));
}

static int signal_thread(const struct scene *s)
{
    return outcome(syscall(SYS_tgkill, s->victim_pid, s->victim_pid, SIGKILL));
}

static int signal_group(const struct scene *s)
{
    return outcome(kill(-(pid_t)s->victim_pid, SIGKILL));
}

/* By a descriptor's owner: the kernel signals on behalf of whoever said so. */
static int signal_by_owner(const struct scene *s)
{
    int p[2];

    if (pipe(p) != 0)
        return errno;
    return outcome(fcntl(p[0], F_SETOWN, (int)s->victim_pid));
}

static int open_pidfd(const struct scene *s)
{
    return outcome(syscall(SYS_pidfd_open, s->victim_pid, 0));
}

static int trace_victim(const struct scene *s)
{
    return outcome(ptrace(PTRACE_SEIZE, s->victim_pid, 0, 0));
}

static int limit_victim(const struct scene *s)
{
    struct rlimit none = { 0, 0 };

    return outcome(prlimit((pid_t)s->victim_pid, RLIMIT_NOFILE, &none, NULL));
}

static int move_victim(const struct scene *s)
{
    unsigned long cpus = 1;

    return outcome(syscall(SYS_sched_setaffinity, s->victim_pid, sizeof cpus, &cpus));
}

static int slow_victim(const struct scene *s)
{
    return outcome(setpriority(PRIO_PROCESS, (id_t)s->victim_pid, 19));
}

/* Process 1 of one's own sandbox: it may be told to end, it must not be looked into or ended hard.
 */
static int look_into_init(const struct scene *s)
{
    static const char *const files[] = { "/proc/1/mem",     "/proc/1/environ", "/proc/1/maps",
                                         "/proc/1/fd/0",    "/proc/1/root/.",  "/proc/1/cwd/.",
                                         "/proc/1/ns/user", "/proc/1/stack" };
    int how = 0;

    (void)s;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        how = try_open(files[i], O_RDONLY);
        if (how == 0)
            return 0;
    }
    return how;
}

/* ---- 42, 43: users --------------------------------------------------------------------------- */

static int become_victim(const struct scene *s)
{
    return outcome(setresuid(s->victim_uid, s->victim_uid, s->victim_uid));
}

static int become_any(const struct scene *s)
{
    static const unsigned int ids[] = { 0, 1, 999, 1001, 65534, 65535, 65536, 524288, 524289 };
    unsigned int own = getuid();
    int how = 0;

    (void)s;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i] == own)
            continue;
        if (setresuid(ids[i], ids[i], ids[i]) == 0 || setresgid(ids[i], ids[i], ids[i]) == 0)
            return 0;
        how = errno;
    }
    return how;
}

static int join_groups(const struct scene *s)
{
    gid_t groups[1] = { 0 };

    (void)s;
    return outcome(syscall(SYS_setgroups, 1, groups));
}

static int give_away(const struct scene *s)
{
    int fd = open("/tmp/gift", O_WRONLY | O_CREAT, 0600);

    int how = fd < 0 ? errno : outcome(fchown(fd, s->victim_uid, s->victim_uid));
    (void)unlink("/tmp/gift");
    return how;
}

/* ---- 44: /proc ------------------------------------------------------------------------------- */

static int see_processes(const struct scene *s)
{
    char path[48];

    snprintf(path, sizeof path, "/proc/%ld/environ", s->victim_pid);
    int how = try_open(path, O_RDONLY);
    if (how == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", s->host_pid);
    return try_open(path, O_RDONLY);
}

static int list_processes(const struct scene *s)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    int foreign = 0;

    (void)s;
    if (d == NULL)
        return errno;
    while ((e = readdir(d)) != NULL) {
        long pid = strtol(e->d_name, NULL, 10);

        if (pid > 0 && pid != getpid() && pid != getppid())
            foreign++;
    }
    closedir(d);
    return foreign > 0 ? 0 : HELD;
}

/* ---- 45: core dumps -------------------------------------------------------------------------- */

/* A limit of 0 still starts a handler of the host that is a pipe; 1 does not. */
static int core_limit(const struct scene *s)
{
    struct rlimit core;

    (void)s;
    getrlimit(RLIMIT_CORE, &core);
    if (core.rlim_max == 0 || core.rlim_cur == 0)
        return 0;
    core.rlim_cur = core.rlim_max = 0;
    return outcome(setrlimit(RLIMIT_CORE, &core));
}

static int raise_limits(const struct scene *s)
{
    static const int limits[] = { RLIMIT_NOFILE, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE,
                                  RLIMIT_NICE,   RLIMIT_RTPRIO,     RLIMIT_MEMLOCK };
    int how = 0;

    (void)s;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit l;

        getrlimit((__rlimit_resource_t)limits[i], &l);
        if (l.rlim_max == RLIM_INFINITY)
            return 0;
        l.rlim_cur = l.rlim_max = l.rlim_max + 1;
        if (setrlimit((__rlimit_resource_t)limits[i], &l) == 0)
            return 0;
        how = errno;
    }
    return how;
}

/* ---- 48: side channels ----------------------------------------------------------------------- */

static int page_frames(const struct scene *s)
{
    unsigned long long entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);

    (void)s;
    if (fd < 0)
        return errno;
    if (pread(fd, &entry, sizeof entry, (off_t)((unsigned long)zeros / 4096 * 8)) != sizeof entry)
        return errno;
    return (entry & ((1ULL << 55) - 1)) != 0 ? 0 : HELD;
}

static int count_instructions(const struct scene *s)
{
    (void)s;
#ifdef __x86_64__
    unsigned int low, high;

    __asm__ volatile("rdpmc" : "=a"(low), "=d"(high) : "c"(0));
    return 0;
#else
    return HELD;
#endif
}

static const struct attack rows[] = {
    { 37, "abstract-socket-host", abstract_host },
    { 37, "abstract-socket-victim", abstract_victim },
    { 38, "path-socket-host", path_host },
    { 38, "any-socket", any_socket },
    { 41, "kill-host", signal_host },
    { 41, "kill-victim", signal_victim },
    { 41, "tgkill-victim", signal_thread },
    { 41, "kill-group", signal_group },
    { 41, "signal-by-owner", signal_by_owner },
    { 41, "pidfd-victim", open_pidfd },
    { 41, "ptrace-victim", trace_victim },
    { 41, "prlimit-victim", limit_victim },
    { 41, "setaffinity-victim", move_victim },
    { 41, "setpriority-victim", slow_victim },
    { 41, "look-into-init", look_into_init },
    { 42, "become-victim", become_victim },
    { 42, "become-any", become_any },
    { 42, "setgroups", join_groups },
    { 43, "give-file-away", give_away },
    { 44, "read-victims-environ", see_processes },
    { 44, "list-processes", list_processes },
    { 45, "core-limit-0", core_limit },
    { 45, "raise-limits", raise_limits },
    { 48, "page-frames", page_frames },
    { 48, "rdpmc", count_instructions },
};

const struct attacks reach_attacks = ATTACKS(rows);
