/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_sandbox: what a sandbox costs, beside bubblewrap and crun from Debian and a
 * bare fork and exec.  All take turns in one run, in an order drawn anew each round; medians.
 *
 *   start to reap    of a static program that ends at once: through berth-launch with every wall
 * and limit, from the request to its EXITED; bubblewrap with the nearest isolation it offers (same
 * filter, no limits); crun with namespaces, a filter list and limits
 *   memory   proportional set size of what stays beside a payload that sleeps, of each
 *   many     200 payloads, 64 at once, started and stopped; the peak of their memory
 *   kill     of a tree of 1,000 processes, from the request to the last one reaped; beside the same
 * tree in a bare pid namespace
 */
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "sandbox/seccomp.h"
#include "tests/bench/bench.h"
#include "tests/unit/sandbox_rig.h"

#define ROUNDS 25U
#define WARM_UP 4U
#define IDLE_MS 120 /* between starts of the idle series: caches cold, as a satellite's are */
#define MANY 64U    /* at once, as many as an agent has; in turns until there were MANY_TOTAL */
#define MANY_TOTAL 200U
#define TREE 1000U
#define MEMORY_AT_ONCE 8U

enum peer { BERTH, BARE, BWRAP, CRUN, PEERS };

static const char *const names[PEERS] = { "berth", "bare fork+exec", "bubblewrap", "crun" };

struct series {
    uint64_t ns[ROUNDS];
    size_t n;
};

static struct rig rig;
static struct rig_run run;
static int slot, filter;
static FILE *out;
static bool has_crun;

static double median_us(struct series *s)
{
    return bench_median(s->ns, s->n) / 1000.0;
}

static void tell(const char *figure, double value, const char *unit, const char *peer,
                 double peer_value, double aim)
{
    bench_row(out, figure, value, unit, peer, peer_value, aim);
}

/* ---- one start of each ---------------------------------------------------------------------- */

static uint32_t cpu_permille = 1000;

static void start(const char *const *args, uint32_t range, uint32_t pids, struct rig_run *r)
{
    struct plan plan = rig_plan(&rig, args, 0);

    rig_range(&rig, &plan, range);
    plan.limits.pids = pids;
    plan.limits.cpu_permille = cpu_permille;
    plan.limits.memory_bytes = pids > TREE ? 512U << 20 : 64U << 20;
    plan.limits.tmp_bytes = 4U << 20;
    plan_fill_ops(&plan);
    rig_launch(&rig, &plan, slot, -1, r);
    if (!r->started)
        rig_die(r->first.failed.what);
}

static void berth_once(void)
{
    static const char *const args[] = { "/bin/probe", "exit", "0", NULL };

    start(args, 0, 32, &run);
    if (rig_exited(&rig, &run).rc != RC_EXITED)
        rig_die("payload failed");
}

static void await(pid_t pid, const char *what)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        rig_die(what);
}

static void bare_once(void)
{
    const char *program = rig_path(&rig, "slot/bin/probe");
    pid_t pid = vfork();

    if (pid == 0) {
        (void)execl(program, "probe", "exit", "0", (char *)NULL);
        _exit(127);
    }
    await(pid, "fork and exec");
}

static _Noreturn void exec_bwrap(const char *root, const char *a, const char *b)
{
    char fd[40];

    /* opened again, for a place of its own: several may read it at once */
    (void)snprintf(fd, sizeof fd, "/proc/self/fd/%d", filter);
    (void)snprintf(fd, sizeof fd, "%d", open(fd, O_RDONLY)); /* NOLINT: it is to stay open */
    (void)execlp("bwrap", "bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid",
                 "1000", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--size",
                 "4194304", "--tmpfs", "/tmp", "--size", "262144", "--tmpfs", "/run",
                 "--new-session", "--die-with-parent", "--cap-drop", "ALL", "--seccomp", fd,
                 "/bin/probe", a, b, (char *)NULL);
    _exit(127);
}

static void bwrap_once(void)
{
    const char *root = rig_path(&rig, "slot");
    pid_t pid = fork();

    if (pid == 0)
        exec_bwrap(root, "exit", "0");
    await(pid, "bwrap");
}

/* Nothing of the host's: crun gives what it has as standard streams to the container's user, and a
 * /dev/null that was given away is nobody else's any more. */
static void own_streams(void)
{
    int fd = memfd_create("streams", MFD_CLOEXEC);

    for (int i = 0; i <= STDERR_FILENO; i++) {
        if (fd < 0 || dup2(fd, i) < 0)
            _exit(126);
    }
}

static pid_t start_crun(const char *mode, const char *id)
{
    const char *bundle = rig_path(&rig, mode);
    const char *state = rig_path(&rig, "crun");
    pid_t pid = fork();

    if (pid == 0) {
        /* It refuses a host of both kinds of groups, so it is shown one without the second. */
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(126);
        (void)mount("none", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL);
        own_streams();
        (void)execlp("crun", "crun", "--root", state, "run", "--bundle", bundle, id, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void crun_once(void)
{
    static unsigned int turn;
    char id[32];

    (void)snprintf(id, sizeof id, "berth-%d-%u", getpid(), turn++);
    await(start_crun("exit", id), "crun");
}

static void (*const once[PEERS])(void) = {
    [BERTH] = berth_once, [BARE] = bare_once, [BWRAP] = bwrap_once, [CRUN] = crun_once
};

/* ---- start to reap -------------------------------------------------------------------------- */

static void shuffle(enum peer order[PEERS], size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random() % i;
        enum peer swap = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* One series of each: `idle_ms` of quiet before every start. */
static void measure_starts(const char *label, int idle_ms, double aim_bare)
{
    struct series series[PEERS] = { { .n = 0 } };
    enum peer order[PEERS] = { BERTH, BARE, BWRAP, CRUN };
    size_t n = has_crun ? PEERS : PEERS - 1;
    const double aims[PEERS] = { 0, aim_bare, 0.5, 0.2 };
    char figure[80];

    for (size_t round = 0; round < ROUNDS + WARM_UP; round++) {
        shuffle(order, n);
        for (size_t i = 0; i < n; i++) {
            struct series *s = &series[order[i]];

            if (idle_ms > 0)
                (void)poll(NULL, 0, idle_ms);
            uint64_t began = bench_ns(CLOCK_MONOTONIC);
            once[order[i]]();
            if (round >= WARM_UP)
                s->ns[s->n++] = bench_ns(CLOCK_MONOTONIC) - began;
        }
    }
    (void)snprintf(figure, sizeof figure, "start to reap of true, %s", label);
    for (size_t p = 1; p < n; p++)
        tell(figure, median_us(&series[BERTH]), "us", names[p], median_us(&series[p]), aims[p]);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A number behind a key in a file of /proc/PID. */
static uint64_t proc_number(pid_t pid, const char *name, const char *key)
{
    char path[48];
    char line[256];
    uint64_t value = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoull(line + strlen(key), NULL, 10);
    }
    if (f != NULL)
        (void)fclose(f);
    return value;
}

static uint64_t pss_kib(pid_t pid)
{
    return proc_number(pid, "smaps_rollup", "Pss:");
}

static pid_t parent_of(pid_t pid)
{
    return (pid_t)proc_number(pid, "status", "PPid:");
}

/* Whether a process is below another one, or that one. */
static bool below(pid_t pid, pid_t top)
{
    while (pid > 1 && pid != top)
        pid = parent_of(pid);
    return pid == top;
}

static bool is_probe(pid_t pid)
{
    char path[48];
    char name[64] = "";

    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        (void)!fgets(name, sizeof name, f);
        (void)fclose(f);
    }
    return strcmp(name, "probe\n") == 0;
}

/* Of all that is below a process and that process, but the payloads: what stays beside them. */
static uint64_t pss_beside(pid_t top, uint32_t *ret_payloads)
{
    DIR *dir = opendir("/proc");
    uint64_t kib = 0;

    *ret_payloads = 0;
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

        if (pid <= 0 || !below(pid, top))
            continue;
        if (is_probe(pid))
            ++*ret_payloads;
        else
            kib += pss_kib(pid);
    }
    if (dir != NULL)
        (void)closedir(dir);
    return kib;
}

/* What ran below it is killed; it tells of that by its own end. */
static void end_peer(pid_t top)
{
    DIR *dir = opendir("/proc");

    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

        if (pid > 0 && is_probe(pid) && below(pid, top))
            (void)kill(pid, SIGKILL);
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (waitpid(top, NULL, 0) != top)
        rig_die("wait for a peer");
}

/* The same of a peer, which stays in the foreground as it does for a supervisor. */
static double measure_peer(enum peer peer)
{
    pid_t pid[MEMORY_AT_ONCE];
    uint64_t kib = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++) {
        char id[48];

        (void)snprintf(id, sizeof id, "berth-memory-%d-%u", getpid(), i);
        pid[i] = peer == CRUN ? start_crun("rest", id) : fork();
        if (pid[i] == 0)
            exec_bwrap(rig_path(&rig, "slot"), "rest", "0");
    }
    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++) {
        for (n = 0; n == 0; (void)poll(NULL, 0, 20)) {
            (void)pss_beside(pid[i], &n);
            if (waitpid(pid[i], NULL, WNOHANG) != 0)
                rig_die(names[peer]);
        }
    }
    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++)
        kib += pss_beside(pid[i], &n);
    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++)
        end_peer(pid[i]);
    return (double)kib / MEMORY_AT_ONCE;
}

/* The launcher and its stems are for all of them, and divided by their number. */
static void measure_memory(void)
{
    static const char *const args[] = { "/bin/probe", "rest", NULL };
    static struct rig_run many[MEMORY_AT_ONCE];
    uint32_t n = 0;

    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++)
        start(args, i, 32, &many[i]);
    double kib = (double)pss_beside(rig.launch, &n) / MEMORY_AT_ONCE;
    if (n != MEMORY_AT_ONCE)
        rig_die("payloads that run");
    for (uint32_t i = 0; i < MEMORY_AT_ONCE; i++) {
        rig_stop(&rig, &many[i], 0);
        (void)rig_exited(&rig, &many[i]);
    }
    tell("memory beside a payload, one of 8 (PSS)", kib, "KiB", "aim", 300, 1.0);
    tell("memory beside a payload, one of 8 (PSS)", kib, "KiB", names[BWRAP], measure_peer(BWRAP),
         0);
    if (has_crun)
        tell("memory beside a payload, one of 8 (PSS)", kib, "KiB", names[CRUN], measure_peer(CRUN),
             0);
}

/* ---- many, and large ------------------------------------------------------------------------ */

/* Of the groups of all sandboxes, as the kernel counts it: payloads, what stays beside them, and
 * what the kernel keeps for both. */
static uint64_t peak_kib(void)
{
    static const char *const roots[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };
    static const char *const files[] = { "memory.max_usage_in_bytes", "memory.peak" };
    char path[128];
    uint64_t bytes = 0;

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", roots[i], rig.cgroup, files[i]);
        FILE *f = fopen(path, "re");
        if (f == NULL)
            continue;
        (void)!fscanf(f, "%lu", &bytes);
        (void)fclose(f);
    }
    return bytes / 1024;
}

static void measure_many(void)
{
    static const char *const args[] = { "/bin/probe", "deaf", NULL };
    static struct rig_run many[MANY];
    uint64_t began = bench_ns(CLOCK_MONOTONIC);
    uint32_t done = 0;

    while (done < MANY_TOTAL) {
        uint32_t n = MANY_TOTAL - done < MANY ? MANY_TOTAL - done : MANY;

        for (uint32_t i = 0; i < n; i++)
            start(args, i % RIG_SLOTS, 32, &many[i]);
        for (uint32_t i = 0; i < n; i++) {
            rig_stop(&rig, &many[i], 0);
            (void)rig_exited(&rig, &many[i]);
        }
        done += n;
    }
    tell("200 payloads started and killed, 64 at once",
         (double)(bench_ns(CLOCK_MONOTONIC) - began) / 1e6, "ms", "none", 0, 0);
    tell("200 payloads: peak memory of their groups", (double)peak_kib(), "KiB", "none", 0, 0);
    tell("200 payloads: peak of the launcher", (double)proc_number(rig.launch, "status", "VmHWM:"),
         "KiB", "none", 0, 0);
}

/* Process 1 of a namespace with as many children, all asleep; it says so, and sleeps. */
static _Noreturn void grow_bare(int ready)
{
    for (uint32_t i = 0; i < TREE; i++) {
        pid_t pid = fork();

        if (pid < 0)
            _exit(1);
        while (pid == 0)
            (void)pause();
    }
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        (void)pause();
}

/* What the kernel alone takes to end such a tree: no groups, no limits, no filters. */
static uint64_t kill_bare(void)
{
    struct clone_args how = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) != 0)
        rig_die("pipe");
    pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    if (pid == 0)
        grow_bare(ready[1]);
    (void)close(ready[1]);
    if (pid < 0 || read(ready[0], &byte, 1) != 1)
        rig_die("bare tree does not grow");
    uint64_t began = bench_ns(CLOCK_MONOTONIC);
    if (kill(pid, SIGKILL) != 0 || waitpid(pid, NULL, 0) != pid)
        rig_die("bare tree does not end");
    (void)close(ready[0]);
    return bench_ns(CLOCK_MONOTONIC) - began;
}

/* The second time under a small part of a processor, on which it must not have to die.  Beside it,
 * in turns, the same without a sandbox. */
static void measure_kill(const char *what)
{
    static const char *const args[] = { "/bin/probe", "tree", "1000", NULL };
    struct series s = { .n = 0 };
    struct series bare = { .n = 0 };

    for (int i = 0; i < 5; i++) {
        char text[64] = "";

        bare.ns[bare.n++] = kill_bare();

        start(args, 0, TREE + 8, &run);
        if (!rig_wait(run.fds.fd[WIRE_FD_NOTIFY]) ||
            recv(run.fds.fd[WIRE_FD_NOTIFY], text, sizeof text - 1, 0) <= 0 ||
            strcmp(text, "READY=1") != 0)
            rig_die("tree does not grow");
        uint64_t began = bench_ns(CLOCK_MONOTONIC);
        rig_stop(&rig, &run, 0);
        (void)rig_exited(&rig, &run);
        s.ns[s.n++] = bench_ns(CLOCK_MONOTONIC) - began;
    }
    tell(what, median_us(&s), "us", "aim", 50000, 1.0);
    tell(what, median_us(&s), "us", "bare pid namespace", median_us(&bare), 0);
}

/* ---- set-up --------------------------------------------------------------------------------- */

static int filter_file(void)
{
    static struct seccomp_program program;
    struct err err = { 0 };
    int fd = memfd_create("filter", MFD_CLOEXEC);

    if (seccomp_build(SECCOMP_PAYLOAD, 0, CALLS_NATIVE, &program, &err) != RC_OK)
        rig_die("filter");
    const size_t size = program.n * sizeof program.code[0];
    if (fd < 0 || write(fd, program.code, size) != (ssize_t)size)
        rig_die("filter");
    return fd;
}

/* A bundle as `crun spec` makes one, with our slot as its root, no terminal, and our command. */
static bool make_bundle(const char *mode)
{
    char path[300];

    (void)mkdir(rig_path(&rig, mode), 0755);
    (void)snprintf(path, sizeof path, "%s/config.json", rig_path(&rig, mode));
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return false;
    (void)fprintf(
        f,
        "{\"ociVersion\":\"1.0.0\",\"process\":{\"terminal\":false,\"user\":{\"uid\":1000,"
        "\"gid\":1000},\"args\":[\"/bin/probe\",\"%s\",\"0\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/"
        "\",\"capabilities\":{},\"noNewPrivileges\":true},\"root\":{\"path\":\"%s\",\"readonly\":"
        "true},\"hostname\":\"t\",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\","
        "\"source\":\"proc\"},{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
        "\"options\":[\"nosuid\",\"size=65536k\"]},{\"destination\":\"/tmp\",\"type\":\"tmpfs\","
        "\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"nodev\",\"size=4m\"]}],\"linux\":{"
        "\"uidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":65536}],\"gidMappings\":[{"
        "\"containerID\":0,\"hostID\":200000,\"size\":65536}],\"resources\":{\"memory\":{\"limit\":"
        "67108864},\"pids\":{\"limit\":64},\"cpu\":{\"quota\":50000,\"period\":100000}},"
        "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":"
        "\"uts\"},{\"type\":\"mount\"},{\"type\":\"user\"},{\"type\":\"cgroup\"}]}}",
        mode, rig_path(&rig, "slot"));
    return fclose(f) == 0;
}

static bool try_crun(void)
{
    int status = -1;

    if (!make_bundle("exit") || !make_bundle("rest"))
        return false;
    pid_t pid = start_crun("exit", "berth-try");
    return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: bench_sandbox OUTPUT.jsonl\n", stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    out = fopen(argv[1], "we");
    if (out == NULL)
        rig_die(argv[1]);
    filter = filter_file();
    rig_open(&rig, "bench");
    rig_slot(&rig, "slot", "sandbox_hog");
    slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    has_crun = try_crun();
    if (!has_crun)
        (void)puts("  crun does not run here: left out");
    measure_many();
    measure_kill("kill of a tree of 1,000 processes");
    cpu_permille = 50;
    measure_kill("kill of the same under a 20th of a core");
    cpu_permille = 1000;
    measure_memory();
    measure_starts("busy", 0, 4);
    measure_starts("after 120 ms idle", IDLE_MS, 6);
    int status = rig_end(&rig);

    rig_remove(&rig);
    return fclose(out) == 0 && status == 0 ? 0 : 1;
}
