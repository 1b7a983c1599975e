/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: makes each system call that an attacker would try, and prints one line
 * "NAME ERRNO" for it (0 = it worked).  With an argument it makes just that one, which is for those
 * that are expected to kill.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct attempt {
    const char *name;
    long nr;
    long arg[6];
};

#define TEXT(s) ((long)(s))
static char zeros[256];
static char limit[16]; /* filled by asking */

static const struct attempt attempts[] = {
    { "getpid", SYS_getpid, { 0 } },
    { "mount", SYS_mount, { TEXT("none"), TEXT("/tmp"), TEXT("tmpfs"), 0, 0 } },
    { "umount2", SYS_umount2, { TEXT("/tmp"), 0 } },
    { "pivot_root", SYS_pivot_root, { TEXT("/tmp"), TEXT("/tmp") } },
    { "chroot", SYS_chroot, { TEXT("/tmp") } },
    { "fsopen", SYS_fsopen, { TEXT("tmpfs"), 0 } },
    { "open_tree", SYS_open_tree, { AT_FDCWD, TEXT("/"), 1 } },
    { "move_mount", SYS_move_mount, { AT_FDCWD, TEXT("/tmp"), AT_FDCWD, TEXT("/run"), 0 } },
    { "mount_setattr", SYS_mount_setattr, { AT_FDCWD, TEXT("/"), 0, TEXT(zeros), 32 } },
    { "unshare-user", SYS_unshare, { CLONE_NEWUSER } },
    { "clone-user", SYS_clone, { CLONE_NEWUSER | 17, 0, 0, 0, 0 } },
    { "clone3", SYS_clone3, { TEXT(zeros), 64 } },
    { "setns", SYS_setns, { 0, 0 } },
    { "ptrace", SYS_ptrace, { PTRACE_TRACEME, 0, 0, 0 } },
    { "process_vm_readv", SYS_process_vm_readv, { 1, 0, 0, 0, 0, 0 } },
    { "keyctl", SYS_keyctl, { KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1 } },
    { "add_key", SYS_add_key, { TEXT("user"), TEXT("x"), TEXT("y"), 1, KEY_SPEC_PROCESS_KEYRING } },
    { "bpf", SYS_bpf, { 0, TEXT(zeros), 64 } },
    { "perf_event_open", SYS_perf_event_open, { TEXT(zeros), 0, -1, -1, 0 } },
    { "userfaultfd", SYS_userfaultfd, { 0 } },
    { "io_uring_setup", 425, { 4, TEXT(zeros) } },
    { "memfd_create", SYS_memfd_create, { TEXT("x"), 0 } },
    { "splice", SYS_splice, { 0, 0, 1, 0, 1, 0 } },
    { "vmsplice", SYS_vmsplice, { 1, 0, 0, 0 } },
    { "open_by_handle_at", SYS_open_by_handle_at, { AT_FDCWD, TEXT(zeros), 0 } },
    { "mknod-block", SYS_mknodat, { AT_FDCWD, TEXT("/tmp/b"), S_IFBLK | 0666, 0x0700 } },
    { "mknod-char", SYS_mknodat, { AT_FDCWD, TEXT("/tmp/c"), S_IFCHR | 0666, 0x0101 } },
    { "setgroups", SYS_setgroups, { 0, 0 } },
    { "setuid-0", SYS_setuid, { 0 } },
    { "setresuid-other", SYS_setresuid, { 1001, 1001, 1001 } },
    { "setuid-host-root", SYS_setuid, { 524288 } },
    { "capset", SYS_capset, { TEXT(zeros), TEXT(zeros) } },
    { "socket-inet", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
    { "socket-netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
    { "socket-packet", SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
    { "socket-vsock", SYS_socket, { 40, SOCK_STREAM, 0 } },
    { "socket-alg", SYS_socket, { 38, SOCK_SEQPACKET, 0 } },
    { "socket-inet-high", SYS_socket, { (1L << 32) | AF_INET, SOCK_STREAM, 0 } },
    { "socket-unix", SYS_socket, { AF_UNIX, SOCK_DGRAM, 0 } },
    { "ioctl-tiocsti", SYS_ioctl, { 0, TIOCSTI, TEXT("x") } },
    { "ioctl-tiocsti-high", SYS_ioctl, { 0, TIOCSTI | (1L << 32), TEXT("x") } },
    { "personality-exec", SYS_personality, { READ_IMPLIES_EXEC } },
    { "prctl-mm", SYS_prctl, { PR_SET_MM, 1, 0, 0, 0 } },
    { "sched_setscheduler", SYS_sched_setscheduler, { 0, 1, TEXT(zeros) } },
    { "shmget", SYS_shmget, { 1, 4096, 01000 } },
    { "mq_open", SYS_mq_open, { TEXT("x"), O_CREAT | O_RDWR, 0600, 0 } },
    { "pidfd_getfd", SYS_pidfd_getfd, { 0, 0, 0 } },
    { "core-limit", SYS_prlimit64, { 0, RLIMIT_CORE, TEXT(zeros), 0 } },
    { "core-limit-init", SYS_prlimit64, { 1, RLIMIT_CORE, TEXT(zeros), 0 } },
    { "core-limit-high", SYS_prlimit64, { 0, (1L << 32) | RLIMIT_CORE, TEXT(zeros), 0 } },
    { "core-limit-old", SYS_setrlimit, { RLIMIT_CORE, TEXT(zeros) } },
    { "core-limit-ask", SYS_prlimit64, { 0, RLIMIT_CORE, 0, TEXT(limit) } },
    { "file-limit", SYS_prlimit64, { 0, RLIMIT_FSIZE, TEXT(limit), 0 } },
    { "kill-init", SYS_kill, { 1, 9 } },
    { "sethostname", SYS_sethostname, { TEXT("x"), 1 } },
    { "unknown", 9999, { 0 } },
    /* these kill */
    { "reboot", SYS_reboot, { 0xfee1dead, 672274793, 0, 0 } },
    { "init_module", SYS_init_module, { TEXT(zeros), 16, TEXT("") } },
    { "settimeofday", SYS_settimeofday, { TEXT(zeros), 0 } },
    { "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 } },
};

static int attempt(const struct attempt *a)
{
    const long *g = a->arg;

    errno = 0;
    long ret = syscall(a->nr, g[0], g[1], g[2], g[3], g[4], g[5]);
    return ret < 0 ? errno : 0;
}

/* A 32-bit call from a 64-bit program reaches another table: getpid there is 20. */
static void old_entry(void)
{
#ifdef __x86_64__
    long ret;

    __asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
    printf("int80 %ld\n", ret);
#else
    raise(31);
#endif
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;

    if (only != NULL && strcmp(only, "int80") == 0)
        old_entry();
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        if (only == NULL && strcmp(attempts[i].name, "reboot") == 0)
            break;
        if (only == NULL || strcmp(only, attempts[i].name) == 0)
            printf("%s %d\n", attempts[i].name, attempt(&attempts[i]));
    }
    return 0;
}
