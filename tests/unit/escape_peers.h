/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/escape_peers: the same attacks under bubblewrap and crun, with the settings that they
 * are usually run with (docs/attacks.md has the command lines), for the columns beside ours.
 * Nothing is asserted of them: what they stop or let through is theirs to say.
 */
#ifndef BERTH_TESTS_UNIT_ESCAPE_PEERS_H
#define BERTH_TESTS_UNIT_ESCAPE_PEERS_H

#include "tests/unit/escape_host.h"
#include "tests/unit/escape_table.h"

#include <grp.h>
#include <sys/mman.h>

#define PEER_USER 61000U     /* an ordinary user, for bubblewrap */
#define PEER_RANGE 68000000U /* host id of id 0 inside, for crun: above all of Berth's */
#define PEER_ARGS 80U
#define PEER_WAIT_MS 120000

/* One command line that grows; texts are not copied. */
struct peer_args {
    const char *arg[PEER_ARGS];
    size_t n;
};

static inline void peer_add(struct peer_args *a, const char *const *more)
{
    for (; *more != NULL; more++) {
        assert_true(a->n + 1 < PEER_ARGS);
        a->arg[a->n++] = *more;
    }
    a->arg[a->n] = NULL;
}

static inline bool peer_there(const char *program)
{
    return access(program, X_OK) == 0;
}

/* crun knows no host that has both kinds of control groups: it is shown one that has the old kind
 * only, in a mount namespace of its own. */
static inline void peer_hide_unified(void)
{
    if (access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) != 0)
        return;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL) != 0)
        _exit(126);
}

static inline _Noreturn void peer_exec(const struct peer_args *a, bool as_user, int out)
{
    /* Not /dev/null: crun gives what it has as standard streams to the container's user. */
    int null = memfd_create("streams", 0);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0 ||
        syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
        _exit(126);
    if (!as_user)
        peer_hide_unified();
    else if (setgroups(0, NULL) != 0 || setresgid(PEER_USER, PEER_USER, PEER_USER) != 0 ||
             setresuid(PEER_USER, PEER_USER, PEER_USER) != 0)
        _exit(126);
    (void)execv(a->arg[0], (char *const *)(uintptr_t)a->arg);
    _exit(127);
}

/* Run it to its end or its time; what it printed goes to out, its wait status is returned. */
static inline int peer_run(const struct peer_args *a, bool as_user, char *out, size_t cap)
{
    uint64_t until = clock_mono_ms() + PEER_WAIT_MS;
    int p[2];
    int status = 0;
    size_t n = 0;
    ssize_t got = 1;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        peer_exec(a, as_user, p[1]);
    (void)close(p[1]);
    while (got > 0 && n < cap - 1) {
        struct pollfd f = { .fd = p[0], .events = POLLIN };
        uint64_t now = clock_mono_ms();

        if (now >= until || poll(&f, 1, (int)(until - now)) <= 0)
            break;
        got = read(p[0], out + n, cap - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    out[n] = '\0';
    if (got > 0)
        (void)kill(pid, SIGKILL);
    (void)close(p[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- bubblewrap ------------------------------------------------------------------------------ */

static inline void peer_bubblewrap(struct peer_args *a, const char *root, const char *data)
{
    const char *const args[] = {
        "/usr/bin/bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "probe",
        "--clearenv",
        "--ro-bind",
        root,
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        "4194304",
        "--tmpfs",
        "/tmp",
        "--size",
        "262144",
        "--tmpfs",
        "/run",
        "--bind",
        data,
        "/data",
        NULL,
    };

    a->n = 0;
    peer_add(a, args);
}

/* ---- crun ------------------------------------------------------------------------------------ */

/* What the usual filter of containers refuses, as a list of what is refused. */
static const char peer_denied[] =
    "\"acct\",\"add_key\",\"adjtimex\",\"bpf\",\"clock_adjtime\",\"clock_settime\","
    "\"delete_module\",\"fanotify_init\",\"finit_module\",\"fsconfig\",\"fsmount\",\"fsopen\","
    "\"fspick\",\"init_module\",\"io_uring_enter\",\"io_uring_register\",\"io_uring_setup\","
    "\"ioperm\",\"iopl\",\"kcmp\",\"kexec_file_load\",\"kexec_load\",\"keyctl\","
    "\"lookup_dcookie\",\"mbind\",\"mount\",\"mount_setattr\",\"move_mount\",\"move_pages\","
    "\"open_by_handle_at\",\"open_tree\",\"perf_event_open\",\"pidfd_getfd\",\"pivot_root\","
    "\"process_madvise\",\"quotactl\",\"reboot\",\"request_key\",\"set_mempolicy\","
    "\"setdomainname\",\"sethostname\",\"setns\",\"settimeofday\",\"swapoff\",\"swapon\","
    "\"syslog\",\"umount2\",\"unshare\",\"userfaultfd\",\"vhangup\"";

static inline void peer_put_args(FILE *f, const char *const *args)
{
    for (size_t i = 0; args[i] != NULL; i++)
        (void)fprintf(f, "%s\"%s\"", i > 0 ? "," : "", args[i]);
}

static inline void peer_put_mounts(FILE *f, const char *data)
{
    (void)fprintf(
        f,
        "\"mounts\":["
        "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
        "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
        "\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
        "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
        "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]},"
        "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
        "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
        "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","
        "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
        "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
        "\"options\":[\"nosuid\",\"nodev\",\"mode=1777\",\"size=4096k\"]},"
        "{\"destination\":\"/run\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
        "\"options\":[\"nosuid\",\"nodev\",\"mode=1777\",\"size=256k\"]},"
        "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"%s\","
        "\"options\":[\"rbind\",\"rw\"]}],",
        data);
}

static inline void peer_put_linux(FILE *f)
{
    (void)fprintf(
        f,
        "\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":65536}],"
        "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":65536}],"
        "\"cgroupsPath\":\"/berth-peers-%d\","
        "\"resources\":{\"memory\":{\"limit\":67108864},\"pids\":{\"limit\":64},"
        "\"cpu\":{\"quota\":100000,\"period\":100000},"
        "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},"
        "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
        "{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"user\"},{\"type\":\"cgroup\"}],"
        "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
        "{\"names\":[%s],\"action\":\"SCMP_ACT_ERRNO\"},"
        "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,"
        "\"value\":268435456,\"valueTwo\":268435456,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
        "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
        "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,"
        "\"value\":40,\"op\":\"SCMP_CMP_EQ\"}]}]},"
        "\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\","
        "\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\","
        "\"/proc/scsi\",\"/sys/firmware\"],"
        "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
        "\"/proc/sysrq-trigger\"]}}\n",
        PEER_RANGE, PEER_RANGE, getpid(), peer_denied);
}

static inline void peer_crun_config(const char *bundle, const char *root, const char *data,
                                    const char *const *args)
{
    char path[320];

    (void)snprintf(path, sizeof path, "%s/config.json", bundle);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fprintf(f, "{\"ociVersion\":\"1.0.0\",\"process\":{\"terminal\":false,"
                     "\"user\":{\"uid\":1000,\"gid\":1000},\"args\":[");
    peer_put_args(f, args);
    (void)fprintf(f,
                  "],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[],"
                  "\"effective\":[],\"inheritable\":[],\"permitted\":[],\"ambient\":[]},"
                  "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],"
                  "\"noNewPrivileges\":true},"
                  "\"root\":{\"path\":\"%s\",\"readonly\":true},\"hostname\":\"probe\",",
                  root);
    peer_put_mounts(f, data);
    peer_put_linux(f);
    assert_int_equal(fclose(f), 0);
}

static inline void peer_crun(struct peer_args *a, const char *bundle, const char *state)
{
    const char *const args[] = {
        "/usr/bin/crun", "--root",     state, "--cgroup-manager=cgroupfs", "run", "-b",
        bundle,          "berth-peer", NULL
    };

    a->n = 0;
    peer_add(a, args);
}

#endif
