/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/escape_host: what of a host an escape could change, taken before and compared after.
 *
 * The test that uses it sits in mount and UTS namespaces of its own (escape_host_enter), and so
 * does the launcher that it starts: what they see as the host changes by nobody else's doing.
 */
#ifndef BERTH_TESTS_UNIT_ESCAPE_HOST_H
#define BERTH_TESTS_UNIT_ESCAPE_HOST_H

#include "tests/unit/test.h"

#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <time.h>

#include "tests/unit/sandbox_rig.h"

#define HOST_SYSCTLS 24
#define HOST_FILES 6
#define HOST_TEXT 65536

/* A process of the host, as the agent would be. */
struct sentinel {
    pid_t pid;
    int abstract; /* listening sockets that nobody may reach */
    int path;
    char abstract_name[48];
    char path_name[96];
    char secret_name[96];
};

struct host {
    char mounts[HOST_TEXT];
    struct utsname uts;
    char sysctl[HOST_SYSCTLS][256];
    uint64_t file[HOST_FILES]; /* sums */
    int64_t clock_ns;          /* of the day, less that since the start */
    char key[32];
    char interfaces[1024];
    struct rlimit launcher_files;
    char launcher_cgroup[4096];
    int nice;
};

static const char *const host_sysctls[] = {
    "kernel/core_pattern",
    "kernel/core_pipe_limit",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/modprobe",
    "kernel/sysrq",
    "kernel/panic",
    "kernel/pid_max",
    "kernel/threads-max",
    "kernel/dmesg_restrict",
    "kernel/kptr_restrict",
    "kernel/perf_event_paranoid",
    "kernel/tainted",
    "kernel/randomize_va_space",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "vm/memfd_noexec",
    "fs/suid_dumpable",
    "fs/protected_symlinks",
    "fs/file-max",
    "fs/inotify/max_user_instances",
    "net/ipv4/ip_forward",
    "user/max_user_namespaces",
    "kernel/unprivileged_bpf_disabled",
};

static_assert(sizeof host_sysctls / sizeof host_sysctls[0] == HOST_SYSCTLS, "one place for each");

static inline void host_read(const char *path, char *out, size_t cap)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got;

    while (fd >= 0 && n < cap - 1 && (got = read(fd, out + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
}

/* FNV-1a: nobody here forges a sum. */
static inline uint64_t host_sum(const char *path)
{
    static uint8_t buf[65536];
    uint64_t sum = 14695981039346656037ULL;
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = (sum ^ buf[i]) * 1099511628211ULL;
    }
    assert_int_equal(n, 0);
    return sum;
}

static inline void escape_host_enter(void)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        rig_die("a mount namespace of the test's own (root?)");
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
        rig_die("session keyring");
    (void)syscall(SYS_add_key, "user", "berth-secret", "of the host", 11, KEY_SPEC_SESSION_KEYRING);
}

/* Live processes of the host whose user is in [low, high). */
static inline size_t host_processes(uint32_t low, uint32_t high)
{
    DIR *dir = opendir("/proc");
    const struct dirent *e;
    size_t n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        char path[300];
        char text[2048];
        unsigned int uid = 0;

        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%s/status", e->d_name);
        host_read(path, text, sizeof text);
        const char *at = strstr(text, "\nUid:\t");
        if (at != NULL && sscanf(at, "\nUid:\t%u", &uid) == 1 && uid >= low && uid < high &&
            strstr(text, "\nState:\tZ") == NULL)
            n++;
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

static inline int host_listen(const struct sockaddr_un *a, size_t name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 ||
        bind(fd, (const struct sockaddr *)a,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name)) != 0 ||
        listen(fd, 8) != 0)
        rig_die("socket of the host");
    return fd;
}

static inline void sentinel_start(struct sentinel *s, const struct rig *rig)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd;

    (void)snprintf(s->abstract_name, sizeof s->abstract_name, "berth-escapes-%d", getpid());
    (void)snprintf(s->path_name, sizeof s->path_name, "%s/agent.sock", rig->dir);
    (void)snprintf(s->secret_name, sizeof s->secret_name, "%s/agent.key", rig->dir);
    memcpy(a.sun_path + 1, s->abstract_name, strlen(s->abstract_name));
    s->abstract = host_listen(&a, strlen(s->abstract_name));
    memset(a.sun_path, 0, sizeof a.sun_path);
    memcpy(a.sun_path, s->path_name, strlen(s->path_name));
    s->path = host_listen(&a, strlen(s->path_name));
    (void)chmod(s->path_name, 0666); /* nothing but the sandbox stands before it */
    fd = open(s->secret_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "key", 3) != 3 || close(fd) != 0)
        rig_die("secret of the host");
    s->pid = fork();
    if (s->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
}

static inline void sentinel_stop(struct sentinel *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)close(s->abstract);
    (void)close(s->path);
}

/* Those that there were must be there afterwards; others on the machine may make new ones. */
static inline void host_interfaces(char *out, size_t cap)
{
    struct if_nameindex *all = if_nameindex();
    size_t n = 0;

    assert_non_null(all);
    out[0] = '\0';
    for (size_t i = 0; all[i].if_index != 0 && n + 32 < cap; i++) {
        if (strcmp(all[i].if_name, "lo") == 0 || strncmp(all[i].if_name, "e", 1) == 0)
            n += (size_t)snprintf(out + n, cap - n, "%u:%s ", all[i].if_index, all[i].if_name);
    }
    if_freenameindex(all);
}

static inline void host_take(const struct rig *rig, const struct sentinel *s, struct host *ret)
{
    const char *const files[HOST_FILES] = { "berth-launch", "berthd", "tests/probe/escape" };
    struct timespec day, boot;
    char path[300];

    memset(ret, 0, sizeof *ret);
    host_read("/proc/self/mountinfo", ret->mounts, sizeof ret->mounts);
    assert_int_equal(uname(&ret->uts), 0);
    for (size_t i = 0; i < HOST_SYSCTLS; i++) {
        (void)snprintf(path, sizeof path, "/proc/sys/%s", host_sysctls[i]);
        host_read(path, ret->sysctl[i], sizeof ret->sysctl[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rig_build(), files[i]);
        ret->file[i] = host_sum(path);
    }
    ret->file[3] = host_sum(s->secret_name);
    (void)snprintf(path, sizeof path, "%s/attack/bin/probe", rig->dir);
    ret->file[4] = host_sum(path);
    (void)snprintf(path, sizeof path, "%s/victim/bin/probe", rig->dir);
    ret->file[5] = host_sum(path);
    (void)clock_gettime(CLOCK_REALTIME, &day);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    ret->clock_ns =
        (day.tv_sec - boot.tv_sec) * 1000000000LL + (int64_t)day.tv_nsec - (int64_t)boot.tv_nsec;
    long key =
        syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "berth-secret", 0L);
    if (key >= 0)
        (void)syscall(SYS_keyctl, KEYCTL_READ, key, ret->key, sizeof ret->key - 1, 0L);
    host_interfaces(ret->interfaces, sizeof ret->interfaces);
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", rig->launch);
    host_read(path, ret->launcher_cgroup, sizeof ret->launcher_cgroup);
    assert_int_equal(prlimit(rig->launch, RLIMIT_NOFILE, NULL, &ret->launcher_files), 0);
    ret->nice = getpriority(PRIO_PROCESS, (id_t)s->pid);
}

/* Everything is as it was, and the process of the host was neither called nor ended. */
static inline void host_same(const struct rig *rig, const struct sentinel *s,
                             const struct host *before)
{
    static struct host now;
    char text[512];
    char path[40];

    host_take(rig, s, &now);
    assert_string_equal(now.mounts, before->mounts);
    assert_memory_equal(&now.uts, &before->uts, sizeof now.uts);
    for (size_t i = 0; i < HOST_SYSCTLS; i++) {
        if (strcmp(now.sysctl[i], before->sysctl[i]) != 0)
            fail_msg("%s: %s, was %s", host_sysctls[i], now.sysctl[i], before->sysctl[i]);
    }
    for (size_t i = 0; i < HOST_FILES; i++) {
        if (now.file[i] != before->file[i])
            fail_msg("file %zu of the host has changed", i);
    }
    /* A host's clock may be adjusted meanwhile; an attacker's time would be another. */
    assert_true(llabs(now.clock_ns - before->clock_ns) < 2000000000LL);
    assert_string_equal(now.key, before->key);
    assert_string_equal(now.interfaces, before->interfaces);
    assert_string_equal(now.launcher_cgroup, before->launcher_cgroup);
    assert_int_equal(now.launcher_files.rlim_max, before->launcher_files.rlim_max);
    assert_int_equal(now.nice, before->nice);
    assert_true(accept(s->abstract, NULL, NULL) < 0 && errno == EAGAIN);
    assert_true(accept(s->path, NULL, NULL) < 0 && errno == EAGAIN);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", s->pid);
    host_read(path, text, sizeof text);
    assert_non_null(strstr(text, ") S "));
    (void)snprintf(path, sizeof path, "/proc/%d/stat", rig->launch);
    host_read(path, text, sizeof text);
    assert_true(strstr(text, ") S ") != NULL || strstr(text, ") R ") != NULL);
}

#endif
