/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines 1 to 13: the program that starts the sandbox, and what an image may bring along.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

/* ---- 1: the launcher's own file -------------------------------------------------------------- */

static int own_exe(const struct scene *s)
{
    (void)s;
    return try_open("/proc/self/exe", O_WRONLY);
}

static int own_exe_truncate(const struct scene *s)
{
    (void)s;
    return outcome(truncate("/proc/self/exe", 0));
}

/* CVE-2019-5736 as it was done: a descriptor that only names the file, opened again for writing. */
static int own_exe_again(const struct scene *s)
{
    char path[40];
    int fd = open("/proc/self/exe", O_PATH);

    (void)s;
    if (fd < 0)
        return errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return try_open(path, O_WRONLY);
}

static int init_exe(const struct scene *s)
{
    (void)s;
    return try_open("/proc/1/exe", O_RDWR);
}

static int agent_exe(const struct scene *s)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/%ld/exe", s->host_pid);
    return try_open(path, O_RDWR);
}

/* ---- 2: a descriptor or a directory of the host ---------------------------------------------- */

/* Beyond the three: 3 at most while one of ours is open.  A directory is one too many anywhere. */
static int leaked_descriptor(const struct scene *s)
{
    struct stat st;

    (void)s;
    for (int fd = 0; fd < 1024; fd++) {
        if (fstat(fd, &st) == 0 && (fd > 2 || S_ISDIR(st.st_mode)))
            return 0;
    }
    return HELD;
}

static int directory_by_descriptor(const struct scene *s)
{
    char path[40];

    (void)s;
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (chdir(path) == 0 || chdir("/") != 0)
            return 0;
    }
    return HELD;
}

static int directory_outside(const struct scene *s)
{
    char cwd[4096];

    (void)s;
    /* The raw call: glibc hides what is not reachable. */
    if (syscall(SYS_getcwd, cwd, sizeof cwd) < 0)
        return errno;
    return cwd[0] == '/' ? HELD : 0;
}

static int host_file(const struct scene *s)
{
    static const char *const from[] = {
        "",
        "/..",
        "/../../../../..",
        "/proc/self/root",
        "/proc/self/root/..",
        "/proc/self/cwd/..",
        "/proc/1/root",
        "/proc/1/cwd",
    };
    char path[512];
    int how = ENOENT;

    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        snprintf(path, sizeof path, "%s%s", from[i], s->secret);
        how = try_open(path, O_RDONLY);
        if (how == 0)
            return 0;
    }
    return how;
}

/* ---- 4 to 7: what the runtime mounts over, and writes to ------------------------------------- */

static int replace_null(const struct scene *s)
{
    (void)s;
    if (unlink("/dev/null") == 0 || rename("/dev/null", "/dev/other") == 0)
        return 0;
    return outcome(symlink("/proc/sys/kernel/core_pattern", "/dev/null.new"));
}

static int any_terminal(const struct scene *s)
{
    static const char *const paths[] = { "/dev/tty", "/dev/console", "/dev/tty0", "/dev/ttyS0" };
    int how = ENOENT;

    (void)s;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        how = try_open(paths[i], O_RDWR | O_NOCTTY);
        if (how == 0)
            return 0;
    }
    for (int fd = 0; fd < 3; fd++) {
        if (isatty(fd))
            return 0;
    }
    return how;
}

static int swap_pts(const struct scene *s)
{
    (void)s;
    if (rename("/dev/pts", "/dev/pts.old") == 0)
        return 0;
    return outcome(symlink("/", "/dev/pts/0"));
}

static int write_uid_map(const struct scene *s)
{
    (void)s;
    return try_write("/proc/self/uid_map");
}

static int write_loginuid(const struct scene *s)
{
    (void)s;
    return try_write("/proc/self/loginuid");
}

static int write_label(const struct scene *s)
{
    (void)s;
    return try_write("/proc/self/attr/exec");
}

static int proc_covered(const struct scene *s)
{
    (void)s;
    return outcome(mount("/tmp", "/proc/self/attr", NULL, MS_BIND, NULL));
}

static int move_mount_point(const struct scene *s)
{
    static const char *const points[] = { "/tmp", "/proc", "/dev" };
    int how = 0;

    (void)s;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (rename(points[i], "/elsewhere") == 0 || rmdir(points[i]) == 0)
            return 0;
        how = errno;
    }
    return how;
}

/* Swap a directory and a link to the root in a loop, and walk through what is there meanwhile: a
 * name that leads out would show the host's file. */
static int exchange_race(const struct scene *s)
{
    char path[512];

    if (mkdir("/tmp/race", 0700) != 0 || symlink("/proc/self/root/../..", "/tmp/link") != 0)
        return errno;
    snprintf(path, sizeof path, "/tmp/race%s", s->secret);
    int how = HELD;
    for (int i = 0; i < 2000; i++) {
        if (syscall(SYS_renameat2, AT_FDCWD, "/tmp/race", AT_FDCWD, "/tmp/link", RENAME_EXCHANGE) !=
            0)
            return errno;
        if (access(path, F_OK) == 0)
            how = 0;
    }
    (void)unlink("/tmp/link");
    (void)rmdir("/tmp/race");
    (void)unlink("/tmp/race");
    return how;
}

/* ---- 8: files that give privileges ----------------------------------------------------------- */

int who_am_i(const char *uid_before)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
    unsigned int before = (unsigned int)strtoul(uid_before, NULL, 10);

    if (syscall(SYS_capget, &head, caps) != 0)
        return 2;
    if (geteuid() != before || getegid() != before)
        return 0;
    return (caps[0].permitted | caps[1].permitted | caps[0].inheritable) != 0 ? 0 : 1;
}

static int gain(const char *path)
{
    char uid[16];
    int status;
    pid_t pid = fork();

    snprintf(uid, sizeof uid, "%u", geteuid());
    if (pid == 0) {
        execl(path, path, "who", uid, NULL);
        _exit(errno == ENOENT ? 100 : 99);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return ECHILD;
    if (WEXITSTATUS(status) == 99)
        return EACCES;
    return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == 1 ? HELD : ECHILD;
}

static int exec_setuid(const struct scene *s)
{
    (void)s;
    return gain("/bin/setuid");
}

static int exec_filecap(const struct scene *s)
{
    (void)s;
    return gain("/bin/filecap");
}

static int exec_plain(const struct scene *s)
{
    (void)s;
    return gain("/bin/probe");
}

static int set_setuid(const struct scene *s)
{
    int fd = open("/tmp/suid", O_WRONLY | O_CREAT, 0700);

    (void)s;
    if (fd < 0 || fchmod(fd, 04755) != 0)
        return errno;
    close(fd);
    int how = try_open("/tmp/suid", O_RDONLY);
    /* It may have the bit; it may not be run. */
    if (how == 0 && execl("/tmp/suid", "suid", NULL) != 0)
        how = errno;
    (void)unlink("/tmp/suid");
    return how;
}

/* ---- 9: device nodes ------------------------------------------------------------------------- */

static int packed_block(const struct scene *s)
{
    (void)s;
    return try_open("/bin/block", O_RDONLY);
}

static int packed_memory(const struct scene *s)
{
    (void)s;
    return try_open("/bin/mem", O_RDONLY);
}

static int make_node(const char *path, mode_t type, unsigned int major, unsigned int minor)
{
    if (mknod(path, type | 0666, makedev(major, minor)) != 0)
        return errno;
    int how = try_open(path, O_RDWR);
    (void)unlink(path);
    return how;
}

static int make_block(const struct scene *s)
{
    (void)s;
    return make_node("/tmp/block", S_IFBLK, 7, 0);
}

static int make_char(const struct scene *s)
{
    (void)s;
    return make_node("/tmp/mem", S_IFCHR, 1, 1);
}

/* The one device that a rename makes without mknod. */
static int whiteout(const struct scene *s)
{
    int fd = open("/tmp/white", O_WRONLY | O_CREAT, 0600);

    (void)s;
    close(fd);
    if (syscall(SYS_renameat2, AT_FDCWD, "/tmp/white", AT_FDCWD, "/tmp/black", RENAME_WHITEOUT) !=
        0)
        return errno;
    int how = try_open("/tmp/white", O_RDONLY);
    (void)unlink("/tmp/white");
    (void)unlink("/tmp/black");
    return how;
}

static int host_nodes(const struct scene *s)
{
    static const char *const paths[] = { "/dev/vda",  "/dev/sda",          "/dev/loop0",
                                         "/dev/mem",  "/dev/kmem",         "/dev/kmsg",
                                         "/dev/fuse", "/dev/loop-control", "/dev/net/tun",
                                         "/dev/kvm",  "/dev/vhost-vsock",  "/dev/userfaultfd" };
    int how = ENOENT;

    (void)s;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        how = try_open(paths[i], O_RDONLY);
        if (how == 0)
            return 0;
    }
    return how;
}

/* ---- 12: the program that runs --------------------------------------------------------------- */

static int write_program(const struct scene *s)
{
    (void)s;
    return try_open("/bin/probe", O_WRONLY);
}

static int replace_program(const struct scene *s)
{
    int fd = open("/tmp/other", O_WRONLY | O_CREAT, 0755);

    (void)s;
    close(fd);
    int how = outcome(rename("/tmp/other", "/bin/probe"));
    if (how == EXDEV)
        how = outcome(rename("/bin/text", "/bin/probe"));
    (void)unlink("/tmp/other");
    return how;
}

static const struct attack rows[] = {
    { 1, "own-exe-write", own_exe },
    { 1, "own-exe-truncate", own_exe_truncate },
    { 1, "own-exe-by-descriptor", own_exe_again },
    { 1, "init-exe-write", init_exe },
    { 1, "agent-exe-write", agent_exe },
    { 2, "leaked-descriptor", leaked_descriptor },
    { 2, "chdir-to-descriptor", directory_by_descriptor },
    { 2, "directory-outside", directory_outside },
    { 2, "host-file-by-path", host_file },
    { 4, "replace-dev-null", replace_null },
    { 5, "terminal", any_terminal },
    { 5, "swap-dev-pts", swap_pts },
    { 6, "write-uid-map", write_uid_map },
    { 6, "write-loginuid", write_loginuid },
    { 6, "write-label", write_label },
    { 6, "mount-over-proc", proc_covered },
    { 7, "move-mount-point", move_mount_point },
    { 7, "exchange-race", exchange_race },
    { 8, "exec-setuid", exec_setuid },
    { 8, "exec-filecap", exec_filecap },
    { 8, "exec-as-root", exec_plain },
    { 8, "own-setuid-file", set_setuid },
    { 9, "packed-block-device", packed_block },
    { 9, "packed-dev-mem", packed_memory },
    { 9, "make-block-device", make_block },
    { 9, "make-dev-mem", make_char },
    { 9, "make-whiteout", whiteout },
    { 9, "devices-of-the-host", host_nodes },
    { 12, "write-program", write_program },
    { 12, "replace-program", replace_program },
};

const struct attacks runtime_attacks = ATTACKS(rows);
