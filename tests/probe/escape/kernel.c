/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines 17 to 36: the kernel's own doors.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

#define NEW_TIME 0x80
#define HIGH (1L << 32) /* a bit that the kernel does not look at where it takes an int */

/* ---- 17, 18: namespaces ---------------------------------------------------------------------- */

/* Alone and with a user namespace, as the exploits of one's own uid 0 begin. */
static int unshare_any(const struct scene *s)
{
    static const int flags[] = { CLONE_NEWNS,  CLONE_NEWPID, CLONE_NEWNET,    CLONE_NEWIPC,
                                 CLONE_NEWUTS, NEW_TIME,     CLONE_NEWCGROUP, CLONE_NEWUSER };
    int how = 0;

    (void)s;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (syscall(SYS_unshare, flags[i]) == 0 ||
            syscall(SYS_unshare, flags[i] | CLONE_NEWUSER) == 0)
            return 0;
        how = errno;
    }
    return how;
}

static int clone_with(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    if (pid < 0)
        return errno;
    waitpid((pid_t)pid, NULL, 0);
    return 0;
}

static int clone_user(const struct scene *s)
{
    (void)s;
    return clone_with(CLONE_NEWUSER);
}

static int clone_net(const struct scene *s)
{
    (void)s;
    return clone_with(CLONE_NEWUSER | CLONE_NEWNET);
}

static int clone_user_high(const struct scene *s)
{
    (void)s;
    return clone_with((unsigned long)HIGH | CLONE_NEWUSER);
}

static int clone3_user(const struct scene *s)
{
    uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };

    (void)s;
    long pid = syscall(SYS_clone3, args, 64UL);
    if (pid == 0)
        _exit(0);
    if (pid < 0)
        return errno;
    waitpid((pid_t)pid, NULL, 0);
    return 0;
}

static int setns_any(const struct scene *s)
{
    static const char *const ns[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" };
    int how = 0;

    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
        char path[48];

        for (int pid = 0; pid < 2; pid++) {
            snprintf(path, sizeof path, "/proc/%ld/ns/%s", pid == 0 ? 1 : s->host_pid, ns[i]);
            int fd = open(path, O_RDONLY);
            if (syscall(SYS_setns, fd < 0 ? 0 : fd, 0) == 0)
                return 0;
            how = errno;
            if (fd >= 0)
                close(fd);
        }
    }
    return how;
}

/* One byte of it: a file that is masked by an empty one is not read. */
static int try_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);

    if (fd < 0)
        return errno;
    ssize_t n = read(fd, &byte, 1);
    int how = n > 0 ? 0 : n == 0 ? HELD : errno;
    close(fd);
    return how;
}

/* ---- 20, 21: files of the kernel ------------------------------------------------------------- */

static int release_agent(const struct scene *s)
{
    static const char *const paths[] = {
        "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/pids/release_agent",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/unified/cgroup.procs",
    };
    int how = ENOENT;

    (void)s;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        how = try_open(paths[i], O_WRONLY);
        if (how == 0)
            return 0;
    }
    return how;
}

static int mount_cgroup(const struct scene *s)
{
    (void)s;
    if (mount("none", "/tmp", "cgroup", 0, "memory") == 0)
        return 0;
    return outcome(mount("none", "/tmp", "cgroup2", 0, NULL));
}

static int write_sysctls(const struct scene *s)
{
    static const char *const paths[] = {
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/fs/suid_dumpable",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/sys/net/ipv4/ip_forward",
        "/sys/power/state",
        "/sys/kernel/uevent_helper",
    };
    int how = ENOENT;

    (void)s;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        how = try_open(paths[i], O_WRONLY);
        if (how == 0)
            return 0;
    }
    return how;
}

static int read_kernel(const struct scene *s)
{
    static const char *const paths[] = { "/proc/kcore",        "/proc/kallsyms",
                                         "/proc/kmsg",         "/proc/sched_debug",
                                         "/proc/timer_list",   "/proc/iomem",
                                         "/proc/slabinfo",     "/sys/kernel/debug",
                                         "/sys/kernel/tracing" };
    int how = ENOENT;

    (void)s;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        how = try_read(paths[i]);
        if (how == 0)
            return 0;
    }
    return how;
}

/* ---- 22, 23: other tables of calls ----------------------------------------------------------- */

/* getpid is 20 in the 32-bit table. */
static int old_entry(const struct scene *s)
{
    (void)s;
#ifdef __x86_64__
    long ret;

    __asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
    return ret < 0 ? (int)-ret : 0;
#else
    return ENOSYS; /* there is no such instruction */
#endif
}

static int x32_call(const struct scene *s)
{
    (void)s;
    return outcome(syscall(SYS_getpid | 0x40000000L));
}

static int x32_mount(const struct scene *s)
{
    (void)s;
    return outcome(syscall(SYS_mount | 0x40000000L, "none", "/tmp", "tmpfs", 0, 0));
}

/* ---- 24: put characters into a terminal ------------------------------------------------------ */

/* A filter that compares all 64 bits sees another request than the kernel. */
static int any_ioctl(unsigned long request)
{
    char x[8] = "x";
    int tty = open("/dev/tty", O_RDWR);
    int how = 0;

    for (int fd = 0; fd < 3; fd++) {
        if (syscall(SYS_ioctl, fd, request, x) == 0)
            return 0;
        how = errno;
    }
    if (tty >= 0)
        how = outcome(syscall(SYS_ioctl, tty, request, x));
    return how;
}

static int tiocsti(const struct scene *s)
{
    (void)s;
    return any_ioctl(TIOCSTI);
}

static int tiocsti_high(const struct scene *s)
{
    (void)s;
    return any_ioctl(TIOCSTI | (unsigned long)HIGH);
}

static int tioclinux(const struct scene *s)
{
    (void)s;
    return any_ioctl(TIOCLINUX);
}

/* Under a terminal of one's own TIOCSTI would be harmless: whether the call reaches the kernel. */
static int tiocsti_filtered(const struct scene *s)
{
    (void)s;
    int how = outcome(syscall(SYS_ioctl, -1, TIOCSTI | (unsigned long)HIGH, "x"));
    return how == EBADF ? 0 : how;
}

/* ---- 26 to 28: sockets ----------------------------------------------------------------------- */

static int socket_high(const struct scene *s)
{
    (void)s;
    return outcome(syscall(SYS_socket, HIGH | 38, SOCK_SEQPACKET, 0));
}

/* Every family but AF_UNIX, with every type. */
static int other_families(const struct scene *s)
{
    int how = 0;

    (void)s;
    for (int family = 0; family < 64; family++) {
        for (int type = 1; type <= 5; type++) {
            if (family == AF_UNIX)
                continue;
            if (socket(family, type, 0) >= 0)
                return 0;
            how = errno;
        }
    }
    return how;
}

/* ---- 29, 30 ---------------------------------------------------------------------------------- */

static int bpf_map(const struct scene *s)
{
    uint32_t attr[32] = { 2 /* array */, 4, 4, 1 };

    (void)s;
    return outcome(syscall(SYS_bpf, 0, attr, sizeof attr));
}

/* Of itself, in user space only: what perf_event_paranoid=2 lets everybody do. */
static int perf_events(const struct scene *s)
{
    uint64_t attr[16] = { 1 /* software */ | 128ULL << 32, 0, 0, 0, 0, 1 << 5 | 1 << 6 };

    (void)s;
    return outcome(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}

static int trace_child(const struct scene *s)
{
    int status = 0;
    pid_t pid = fork();

    (void)s;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    int how = outcome(ptrace(PTRACE_SEIZE, pid, 0, 0));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return how;
}

static int read_memory(const struct scene *s)
{
    long x = 1, y = 0;
    struct {
        void *base;
        unsigned long len;
    } from = { &x, sizeof x }, to = { &y, sizeof y };

    (void)s;
    return outcome(syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0));
}

static int take_descriptor(const struct scene *s)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    (void)s;
    return outcome(syscall(SYS_pidfd_getfd, fd < 0 ? 0 : fd, 1, 0));
}

static int keys_of_session(const struct scene *s)
{
    char text[256];

    (void)s;
    if (syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "berth-secret", 0) >=
        0)
        return 0;
    if (syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "berth-secret", 0) >= 0)
        return 0;
    return outcome(
        syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_USER_SESSION_KEYRING, text, sizeof text));
}

static int keys_fill(const struct scene *s)
{
    char name[16];

    (void)s;
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        if (syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_PROCESS_KEYRING) < 0)
            return errno;
    }
    return 0;
}

static int keys_listed(const struct scene *s)
{
    (void)s;
    return try_read("/proc/keys");
}

/* ---- 31: what only an attacker asks for ------------------------------------------------------ */

/* The time that it is already. */
static int set_time(const struct scene *s)
{
    struct timeval now;

    (void)s;
    gettimeofday(&now, NULL);
    return outcome(settimeofday(&now, NULL));
}

static int turn_clock(const struct scene *s)
{
    struct timex t = { .modes = ADJ_STATUS };

    (void)s;
    return outcome(adjtimex(&t));
}

/* ---- 32, 33: run what was not signed --------------------------------------------------------- */

static int exec_descriptor(int fd)
{
    char *const argv[] = { (char *)"probe", (char *)"who", (char *)"0", NULL };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
        _exit(100 + (errno == EACCES ? 1 : errno == EPERM ? 2 : 3));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return ECHILD;
    if (!WIFEXITED(status) || WEXITSTATUS(status) < 100)
        return 0;
    return WEXITSTATUS(status) == 101 ? EACCES : WEXITSTATUS(status) == 102 ? EPERM : ENOEXEC;
}

static int copy_program(int out)
{
    char buf[65536];
    int in = open("/bin/probe", O_RDONLY);
    ssize_t n;

    while ((n = read(in, buf, sizeof buf)) > 0) {
        if (write(out, buf, (size_t)n) != n)
            return -1;
    }
    return in < 0 ? -1 : close(in);
}

static int exec_memfd(const struct scene *s)
{
    int fd = (int)syscall(SYS_memfd_create, "x", 0);

    (void)s;
    if (fd < 0 || copy_program(fd) != 0)
        return errno;
    return exec_descriptor(fd);
}

static int exec_in(const char *dir)
{
    char path[128];

    snprintf(path, sizeof path, "%s/copy", dir);
    int out = open(path, O_WRONLY | O_CREAT, 0755);
    if (out < 0 || copy_program(out) != 0)
        return errno;
    close(out);
    int fd = open(path, O_RDONLY);
    int how = exec_descriptor(fd);
    if (how != 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED)
        how = 0; /* what a loader does with a library */
    close(fd);
    (void)unlink(path);
    return how;
}

static int exec_tmp(const struct scene *s)
{
    (void)s;
    return exec_in("/tmp");
}

static int exec_data(const struct scene *s)
{
    return s->data == NULL ? HELD : exec_in(s->data);
}

static int exec_unnamed(const struct scene *s)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0700);

    (void)s;
    if (fd < 0 || copy_program(fd) != 0)
        return errno;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY);
    close(fd);
    return exec_descriptor(again);
}

/* ---- 35: pages that others have too ---------------------------------------------------------- */

/* The way of Dirty Pipe: page-cache pages in a pipe, and a write to the pipe.  On a kernel without
 * that flaw nothing changes whatever is allowed; what is asked is whether the pages get there. */
static int splice_pages(const struct scene *s)
{
    int p[2];
    int file = open("/bin/probe", O_RDONLY);

    (void)s;
    if (file < 0 || pipe(p) != 0)
        return errno;
    return outcome(syscall(SYS_splice, file, NULL, p[1], NULL, 1UL, 0));
}

static int vmsplice_pages(const struct scene *s)
{
    int p[2];
    struct {
        void *base;
        unsigned long len;
    } iov = { zeros, sizeof zeros };

    (void)s;
    if (pipe(p) != 0)
        return errno;
    return outcome(syscall(SYS_vmsplice, p[1], &iov, 1, 0));
}

static int program_changed(void)
{
    char head[4] = "";
    int fd = open("/bin/probe", O_RDONLY);

    if (fd < 0 || pread(fd, head, 4, 0) != 4)
        return 1;
    close(fd);
    return memcmp(head, "\177ELF", 4) != 0;
}

/* sendfile puts the same pages there. */
static int poison_pipe(const struct scene *s)
{
    int p[2];
    char rest[1];
    int file = open("/bin/probe", O_RDONLY);
    off_t at = 0;

    (void)s;
    if (file < 0 || pipe(p) != 0)
        return errno;
    /* Fill and drain, so that old flags would stay in the ring. */
    for (int i = 0; i < 16; i++)
        (void)!write(p[1], zeros, sizeof zeros);
    for (size_t left = 16 * sizeof zeros; left > 0;) {
        ssize_t n = read(p[0], zeros, left < sizeof zeros ? left : sizeof zeros);

        if (n <= 0)
            break;
        left -= (size_t)n;
    }
    if (syscall(SYS_sendfile, p[1], file, &at, 1UL) != 1)
        return errno;
    (void)!write(p[1], "XYZ", 3);
    (void)!read(p[0], rest, 1);
    return program_changed() ? 0 : HELD;
}

/* The way of Dirty COW: write to a private mapping through one's own mem file. */
static int poison_mapping(const struct scene *s)
{
    int file = open("/bin/probe", O_RDONLY);
    int mem = open("/proc/self/mem", O_RDWR);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);

    (void)s;
    if (map == MAP_FAILED)
        return errno;
    if (mem < 0)
        return errno;
    if (pwrite(mem, "XYZ", 3, (off_t)(intptr_t)map) != 3)
        return errno;
    return program_changed() ? 0 : HELD;
}

static int shared_writable(const struct scene *s)
{
    int file = open("/bin/probe", O_RDONLY);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);

    (void)s;
    if (map == MAP_FAILED)
        return errno;
    return outcome(mprotect(map, 4096, PROT_READ | PROT_WRITE));
}

/* ---- 36: numbers that nobody knows ----------------------------------------------------------- */

static int unknown_numbers(const struct scene *s)
{
    static const long far[] = { 600, 1023, 1024, 9999, 0x3fffffff, HIGH | 9999 };

    (void)s;
    for (long nr = 480; nr < 600; nr++) {
        if (syscall(nr, -1L, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
            return errno == EPERM ? EPERM : 0;
    }
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        if (syscall(far[i], -1L, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
            return 0;
    }
    return ENOSYS;
}

static const struct attack rows[] = {
    { 17, "unshare", unshare_any },
    { 17, "clone-user", clone_user },
    { 17, "clone-net", clone_net },
    { 17, "clone-user-high-bit", clone_user_high },
    { 17, "setns", setns_any },
    { 18, "clone3-user", clone3_user },
    { 19, "mount", NULL, SYS_mount, { TEXT("none"), TEXT("/tmp"), TEXT("tmpfs"), 0, 0 } },
    { 19, "mount-bind", NULL, SYS_mount, { TEXT("/"), TEXT("/tmp"), 0, MS_BIND | MS_REC, 0 } },
    { 19, "remount-root", NULL, SYS_mount, { 0, TEXT("/"), 0, MS_REMOUNT | MS_BIND, 0 } },
    { 19, "umount", NULL, SYS_umount2, { TEXT("/proc"), MNT_DETACH } },
    { 19, "pivot_root", NULL, SYS_pivot_root, { TEXT("/tmp"), TEXT("/tmp") } },
    { 19, "chroot", NULL, SYS_chroot, { TEXT("/tmp") } },
    { 19, "fsopen", NULL, SYS_fsopen, { TEXT("tmpfs"), 0 } },
    { 19, "open_tree", NULL, SYS_open_tree, { AT_FDCWD, TEXT("/"), 1 } },
    { 19,
      "move_mount",
      NULL,
      SYS_move_mount,
      { AT_FDCWD, TEXT("/tmp"), AT_FDCWD, TEXT("/proc"), 0 } },
    { 19, "mount_setattr", NULL, SYS_mount_setattr, { AT_FDCWD, TEXT("/"), 0, TEXT(zeros), 32 } },
    { 20, "cgroup-files", release_agent },
    { 20, "mount-cgroup", mount_cgroup },
    { 21, "write-sysctl", write_sysctls },
    { 21, "read-kernel", read_kernel },
    { 22, "int80", old_entry },
    { 23, "x32-getpid", x32_call },
    { 23, "x32-mount", x32_mount },
    { 24, "tiocsti", tiocsti },
    { 24, "tiocsti-high-bit", tiocsti_high },
    { 24, "tiocsti-filtered", tiocsti_filtered },
    { 24, "tioclinux", tioclinux },
    { 25, "io_uring", NULL, 425, { 4, TEXT(zeros) } },
    { 26, "socket-alg", NULL, SYS_socket, { 38, SOCK_SEQPACKET, 0 } },
    { 26, "socket-alg-high-bit", socket_high },
    { 27, "socket-vsock", NULL, SYS_socket, { 40, SOCK_STREAM, 0 } },
    { 28, "socket-netlink", NULL, SYS_socket, { AF_NETLINK, SOCK_RAW, 12 } },
    { 28, "socket-packet", NULL, SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
    { 28, "socket-inet", NULL, SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
    { 28, "socket-xdp", NULL, SYS_socket, { 44, SOCK_RAW, 0 } },
    { 28, "other-families", other_families },
    { 29, "bpf", bpf_map },
    { 29, "perf_event_open", perf_events },
    { 29, "userfaultfd", NULL, SYS_userfaultfd, { 1 } },
    { 29, "ptrace", trace_child },
    { 29, "process_vm_readv", read_memory },
    { 29, "kcmp", NULL, SYS_kcmp, { 1, 1, 0, 0, 0 } },
    { 29, "pidfd_getfd", take_descriptor },
    { 29, "open_by_handle_at", NULL, SYS_open_by_handle_at, { AT_FDCWD, TEXT(zeros), 0 } },
    { 30, "keyctl", keys_of_session },
    { 30, "add_key", keys_fill },
    { 30, "request_key", NULL, SYS_request_key, { TEXT("user"), TEXT("berth-secret"), 0, 0 } },
    { 30, "proc-keys", keys_listed },
    { 31, "kexec_load", NULL, SYS_kexec_load, { 0, 0, 0, 0 } },
    { 31, "init_module", NULL, SYS_init_module, { TEXT(zeros), 16, TEXT("") } },
    { 31, "delete_module", NULL, SYS_delete_module, { TEXT("none"), 0 } },
    { 31, "reboot", NULL, SYS_reboot, { 0xfee1dead, 672274793, 0, 0 } },
    { 31, "swapon", NULL, SYS_swapon, { TEXT("/none"), 0 } },
    { 31, "settimeofday", set_time },
    { 31, "adjtimex", turn_clock },
#ifdef SYS_iopl
    { 31, "iopl", NULL, SYS_iopl, { 3 } },
    { 31, "ioperm", NULL, SYS_ioperm, { 0x80, 1, 1 } },
#endif
    { 31, "quotactl", NULL, SYS_quotactl, { 0x80000200L, TEXT("/dev/vda"), 0, 0 } },
    { 31, "syslog", NULL, SYS_syslog, { 3, TEXT(zeros), 64 } },
    { 31, "acct", NULL, SYS_acct, { TEXT("/tmp/acct") } },
    { 31, "sethostname", NULL, SYS_sethostname, { TEXT("other"), 5 } },
    { 32, "personality", NULL, SYS_personality, { ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC } },
    { 33, "exec-memfd", exec_memfd },
    { 33, "exec-tmp", exec_tmp },
    { 33, "exec-data", exec_data },
    { 33, "exec-unnamed", exec_unnamed },
    { 35, "splice", splice_pages },
    { 35, "vmsplice", vmsplice_pages },
    { 35, "poison-by-pipe", poison_pipe },
    { 35, "poison-by-mapping", poison_mapping },
    { 35, "shared-mapping", shared_writable },
    { 36, "unknown-calls", unknown_numbers },
};

const struct attacks kernel_attacks = ATTACKS(rows);
