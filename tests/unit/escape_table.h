/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/escape_table: every attack of tests/probe/escape, the wall that stops it, and how it
 * must end: words as the probe prints them, several where kernels differ, parted by '|'.
 */
#ifndef BERTH_TESTS_UNIT_ESCAPE_TABLE_H
#define BERTH_TESTS_UNIT_ESCAPE_TABLE_H

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/sandbox_rig.h"

enum column {
    COLUMN_USER = 0,
    COLUMN_ROOT,    /* uid 0 of its range */
    COLUMN_GRANTED, /* the same, and every call that a grant can give */
    COLUMN_BUBBLEWRAP,
    COLUMN_CRUN,
    COLUMNS
};

struct row {
    unsigned int line; /* of docs/attacks.md */
    const char *name;
    const char *wall;
    const char *want;
    const char *granted;   /* what it must be with every call granted; NULL = the same */
    char got[COLUMNS][16]; /* as the probe says; "" = not tried */
};

static struct row table[] = {
    { 1, "own-exe-write", "read-only slot", "EACCES" },
    { 1, "own-exe-truncate", "read-only slot", "EACCES|EROFS" },
    { 1, "own-exe-by-descriptor", "read-only slot", "EACCES" },
    { 1, "init-exe-write", "hidepid", "ENOENT" },
    { 1, "agent-exe-write", "process namespace", "ENOENT" },
    { 2, "leaked-descriptor", "descriptors closed", "held" },
    { 2, "chdir-to-descriptor", "descriptors closed", "held" },
    { 2, "directory-outside", "pivot_root", "held" },
    { 2, "host-file-by-path", "pivot_root", "ENOENT" },
    { 4, "replace-dev-null", "read-only /dev", "EROFS" },
    { 5, "terminal", "no terminal", "ENOENT" },
    { 5, "swap-dev-pts", "no terminal", "ENOENT|EROFS" },
    { 6, "write-uid-map", "landlock", "EACCES" },
    { 6, "write-loginuid", "landlock", "EACCES" },
    { 6, "write-label", "landlock", "EACCES" },
    { 6, "mount-over-proc", "seccomp", "EPERM|ENOSYS" },
    { 7, "move-mount-point", "read-only slot", "EROFS" },
    { 7, "exchange-race", "pivot_root", "held" },
    { 8, "exec-setuid", "nosuid", "held" },
    { 8, "exec-filecap", "nosuid", "held" },
    { 8, "exec-as-root", "capabilities", "held" },
    { 8, "own-setuid-file", "landlock", "EACCES" },
    { 9, "packed-block-device", "nodev", "EACCES" },
    { 9, "packed-dev-mem", "nodev", "EACCES" },
    { 9, "make-block-device", "seccomp", "ENOSYS|EPERM" },
    { 9, "make-dev-mem", "seccomp", "ENOSYS|EPERM" },
    { 9, "make-whiteout", "nodev", "EACCES" },
    { 9, "devices-of-the-host", "private /dev", "ENOENT" },
    { 12, "write-program", "read-only slot", "EACCES" },
    { 12, "replace-program", "read-only slot", "EROFS|EXDEV|EACCES" },
    { 17, "unshare", "seccomp", "EPERM|ENOSYS" },
    { 17, "clone-user", "seccomp", "ENOSYS|EPERM" },
    { 17, "clone-net", "seccomp", "ENOSYS|EPERM" },
    { 17, "clone-user-high-bit", "seccomp", "ENOSYS|EPERM" },
    { 17, "setns", "seccomp", "EPERM|ENOSYS" },
    { 18, "clone3-user", "seccomp", "ENOSYS|EPERM" },
    { 19, "mount", "seccomp", "EPERM|ENOSYS" },
    { 19, "mount-bind", "seccomp", "EPERM|ENOSYS" },
    { 19, "remount-root", "seccomp", "EPERM|ENOSYS" },
    { 19, "umount", "seccomp", "EPERM|ENOSYS" },
    { 19, "pivot_root", "seccomp", "EPERM|ENOSYS" },
    { 19, "chroot", "seccomp", "EPERM|ENOSYS" },
    { 19, "fsopen", "seccomp", "EPERM|ENOSYS" },
    { 19, "open_tree", "seccomp", "EPERM|ENOSYS" },
    { 19, "move_mount", "seccomp", "EPERM|ENOSYS" },
    { 19, "mount_setattr", "seccomp", "EPERM|ENOSYS" },
    { 20, "cgroup-files", "mount namespace", "ENOENT" },
    { 20, "mount-cgroup", "seccomp", "EPERM|ENOSYS" },
    { 21, "write-sysctl", "subset=pid", "ENOENT" },
    { 21, "read-kernel", "subset=pid", "ENOENT" },
    { 22, "int80", "seccomp", "SIGSYS|SIGSEGV" },
    { 23, "x32-getpid", "seccomp", "SIGSYS|ENOSYS" },
    { 23, "x32-mount", "seccomp", "SIGSYS|ENOSYS" },
    { 24, "tiocsti", "seccomp", "ENOSYS|EPERM" },
    { 24, "tiocsti-high-bit", "seccomp", "ENOSYS|EPERM" },
    { 24, "tiocsti-filtered", "seccomp", "ENOSYS|EPERM" },
    { 24, "tioclinux", "seccomp", "ENOSYS|EPERM" },
    { 25, "io_uring", "seccomp", "EPERM|ENOSYS" },
    { 26, "socket-alg", "seccomp", "ENOSYS|EPERM" },
    { 26, "socket-alg-high-bit", "seccomp", "ENOSYS|EPERM" },
    { 27, "socket-vsock", "seccomp", "ENOSYS|EPERM" },
    { 28, "socket-netlink", "seccomp", "ENOSYS|EPERM" },
    { 28, "socket-packet", "seccomp", "ENOSYS|EPERM" },
    { 28, "socket-inet", "seccomp", "ENOSYS|EPERM", "through" },
    { 28, "socket-xdp", "seccomp", "ENOSYS|EPERM" },
    { 28, "other-families", "seccomp", "ENOSYS|EPERM|EAFNOSUPPORT", "through" },
    { 29, "bpf", "seccomp", "EPERM|ENOSYS" },
    { 29, "perf_event_open", "seccomp", "EPERM|ENOSYS" },
    { 29, "userfaultfd", "seccomp", "EPERM|ENOSYS" },
    { 29, "ptrace", "seccomp", "EPERM|ENOSYS" },
    { 29, "process_vm_readv", "seccomp", "EPERM|ENOSYS" },
    { 29, "kcmp", "seccomp", "EPERM|ENOSYS" },
    { 29, "pidfd_getfd", "seccomp", "EPERM|ENOSYS" },
    { 29, "open_by_handle_at", "seccomp", "EPERM|ENOSYS" },
    { 30, "keyctl", "seccomp", "EPERM|ENOSYS" },
    { 30, "add_key", "seccomp", "EPERM|ENOSYS" },
    { 30, "request_key", "seccomp", "EPERM|ENOSYS" },
    { 30, "proc-keys", "subset=pid", "ENOENT" },
    { 31, "kexec_load", "seccomp", "SIGSYS" },
    { 31, "init_module", "seccomp", "SIGSYS" },
    { 31, "delete_module", "seccomp", "SIGSYS" },
    { 31, "reboot", "seccomp", "SIGSYS" },
    { 31, "swapon", "seccomp", "SIGSYS" },
    { 31, "settimeofday", "seccomp", "SIGSYS" },
    { 31, "adjtimex", "seccomp", "SIGSYS" },
    { 31, "iopl", "seccomp", "SIGSYS" },
    { 31, "ioperm", "seccomp", "SIGSYS" },
    { 31, "quotactl", "seccomp", "SIGSYS" },
    { 31, "syslog", "seccomp", "SIGSYS" },
    { 31, "acct", "seccomp", "SIGSYS" },
    { 31, "sethostname", "seccomp", "EPERM|ENOSYS" },
    { 32, "personality", "seccomp", "ENOSYS|EPERM" },
    { 33, "exec-memfd", "seccomp", "EPERM|ENOSYS" },
    { 33, "exec-tmp", "landlock", "EACCES" },
    { 33, "exec-data", "landlock", "EACCES" },
    { 33, "exec-unnamed", "landlock", "EACCES" },
    { 34, "timers", "rlimit", "EAGAIN" },
    { 34, "pending-signals", "rlimit", "EAGAIN" },
    { 34, "shm-segments", "seccomp", "ENOSYS|EPERM", "ENOSPC" },
    { 34, "semaphores", "seccomp", "ENOSYS|EPERM", "ENOSPC" },
    { 34, "message-queues", "seccomp", "ENOSYS|EPERM" },
    { 34, "locked-memory", "rlimit", "ENOMEM|EAGAIN|EPERM" },
    { 35, "splice", "seccomp", "EPERM|ENOSYS", "through" },
    { 35, "vmsplice", "seccomp", "EPERM|ENOSYS" },
    { 35, "poison-by-pipe", "kernel", "held" },
    { 35, "poison-by-mapping", "landlock", "EACCES" },
    { 35, "shared-mapping", "read-only slot", "EACCES" },
    { 36, "unknown-calls", "seccomp", "ENOSYS" },
    { 37, "abstract-socket-host", "network namespace", "ECONNREFUSED" },
    { 37, "abstract-socket-victim", "network namespace", "ECONNREFUSED" },
    { 38, "path-socket-host", "pivot_root", "ENOENT" },
    { 38, "any-socket", "mount namespace", "held" },
    { 41, "kill-host", "process namespace", "ESRCH" },
    { 41, "kill-victim", "process namespace", "ESRCH" },
    { 41, "tgkill-victim", "process namespace", "ESRCH" },
    { 41, "kill-group", "process namespace", "ESRCH" },
    { 41, "signal-by-owner", "process namespace", "ESRCH|ENOSYS" },
    { 41, "pidfd-victim", "process namespace", "ESRCH" },
    { 41, "ptrace-victim", "seccomp", "EPERM|ENOSYS" },
    { 41, "prlimit-victim", "process namespace", "ESRCH" },
    { 41, "setaffinity-victim", "process namespace", "ESRCH" },
    { 41, "setpriority-victim", "process namespace", "ESRCH" },
    { 41, "look-into-init", "hidepid", "ENOENT" },
    { 42, "become-victim", "user namespace", "EINVAL" },
    { 42, "become-any", "user namespace", "EINVAL|EPERM" },
    { 42, "setgroups", "seccomp", "EPERM|ENOSYS" },
    { 43, "give-file-away", "user namespace", "EINVAL" },
    { 44, "read-victims-environ", "process namespace", "ENOENT" },
    { 44, "list-processes", "hidepid", "held" },
    { 45, "core-limit-0", "seccomp", "ENOSYS|EPERM" },
    { 45, "raise-limits", "capabilities", "EPERM" },
    { 48, "page-frames", "capabilities", "held|EACCES|EPERM" },
    { 48, "rdpmc", "kernel", "SIGSEGV" },
    { 49, "fork-bomb", "cgroup pids", "EAGAIN" },
    { 51, "fill-tmp", "tmpfs size", "ENOSPC" },
    { 51, "fill-run", "tmpfs size", "ENOSPC" },
    { 51, "fill-shm", "tmpfs size", "ENOENT|ENOSPC" },
    { 51, "inodes-tmp", "tmpfs inodes", "ENOSPC" },
    { 52, "real-time", "seccomp", "EPERM|ENOSYS" },
    { 52, "deadline", "seccomp", "EPERM|ENOSYS" },
    { 52, "raise-priority", "rlimit", "EACCES|EPERM" },
    { 53, "fill-data", "data image", "ENOSPC" },
    { 53, "inodes-data", "data image", "ENOSPC" },
    { 53, "allocate-data", "data image", "ENOSPC" },
    { 53, "unlinked-data", "data image", "ENOSPC" },
    { 54, "fsync-storm", "data image", "held" },
    { 56, "denied-storm", "seccomp", "held" },
    { 57, "inotify-instances", "user counts", "EMFILE" },
    { 57, "inotify-watches", "user counts", "ENOSPC" },
    { 57, "descriptors", "rlimit", "EMFILE" },
    { 57, "descriptors-in-flight", "rlimit", "ETOOMANYREFS|EMFILE" },
};

#define TABLE_ROWS (sizeof table / sizeof table[0])

/* One start each: how the payload ended, or what it said before that. */
static struct row alone[] = {
    { 41, "kill-everybody", "process namespace", "held" },
    { 45, "crash", "rlimit", "SIGABRT" },
    { 50, "memory-anonymous", "cgroup memory", "oom" },
    { 50, "memory-shared", "cgroup memory", "oom" },
    { 50, "memory-memfd", "seccomp", "EPERM|ENOSYS|oom" },
    { 50, "memory-page-tables", "cgroup memory", "oom" },
    { 50, "memory-huge-pages", "seccomp", "EPERM" },
    { 50, "memory-pipes", "cgroup memory", "oom" },
    { 50, "memory-sockets", "cgroup memory", "oom" },
    { 50, "memory-file-locks", "seccomp", "EPERM|ENOSYS|oom" },
    { 52, "spin", "cgroup cpu", "stopped" },
    { 58, "deaf-farm", "cgroup kill", "stopped" },
    { 58, "stuck-in-vfork", "cgroup kill", "stopped" },
};

#define ALONE_ROWS (sizeof alone / sizeof alone[0])

/* Whether word is one of those in list. */
static inline bool table_has(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; at != NULL && n > 0; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, word, n) == 0 && (at[n] == '|' || at[n] == '\0'))
            return true;
    }
    return false;
}

static inline void table_put(struct row *row, enum column column, const char *how)
{
    (void)snprintf(row->got[column], sizeof row->got[column], "%s", how);
}

/* Fill a column from the probe's output.  A row of the probe that the table lacks is a failure. */
static inline void table_take(const char *out, enum column column)
{
    for (const char *line = out; *line != '\0'; line += strcspn(line, "\n") + 1) {
        unsigned int number;
        char name[40];
        char how[16];
        size_t i = 0;

        if (sscanf(line, "%u %39s %15s", &number, name, how) != 3)
            fail_msg("the probe says: %s", line);
        while (i < TABLE_ROWS && (strcmp(table[i].name, name) != 0 || table[i].line != number))
            i++;
        if (i == TABLE_ROWS)
            fail_msg("not in the table: %u %s %s", number, name, how);
        table_put(&table[i], column, how);
    }
}

static inline bool table_check(const struct row *row, enum column column)
{
    const char *want = column == COLUMN_GRANTED && row->granted != NULL ? row->granted : row->want;

    if (table_has(want, row->got[column]))
        return true;
    print_error("%u %s: %s, must be %s\n", row->line, row->name,
                row->got[column][0] == '\0' ? "not tried" : row->got[column], want);
    return false;
}

/* Columns that nobody filled are left out. */
static inline void table_rows(FILE *out, const struct row *rows, size_t n, bool peers)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];

        (void)fprintf(out, "%2u  %-24s %-18s", r->line, r->name, r->wall);
        for (int c = COLUMN_USER; c <= COLUMN_GRANTED; c++)
            (void)fprintf(out, " %-13s", r->got[c][0] == '\0' ? "-" : r->got[c]);
        if (peers)
            (void)fprintf(out, " %-13s %s", r->got[COLUMN_BUBBLEWRAP], r->got[COLUMN_CRUN]);
        (void)fputc('\n', out);
    }
}

static inline void table_print(FILE *out, bool peers)
{
    (void)fprintf(out, "%2s  %-24s %-18s %-13s %-13s %-13s", "", "attack", "wall", "as user",
                  "as root", "all granted");
    (void)fprintf(out, peers ? " %-13s %s\n" : "\n", "bubblewrap", "crun");
    table_rows(out, table, TABLE_ROWS, peers);
    table_rows(out, alone, ALONE_ROWS, peers);
}

#endif
