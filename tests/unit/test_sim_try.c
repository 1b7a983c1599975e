/* SPDX-License-Identifier: Apache-2.0
 *
 * `berth try` as a tenant runs it: by nobody, who has no right and owns nothing, with real
 * payloads. What it says of its walls is held against what the payload finds in /proc; every fault
 * of a scenario is played; however it ends, nothing of it is left.  Waits end with what they wait
 * for.
 */
#include "tests/unit/test.h"

#include "tests/unit/berth_run.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "tests/unit/delegated.h"

#define NOBODY 65534U
#define WAIT_MS 300000
#define BUSYBOX "/bin/busybox"

/* ---- running it ------------------------------------------------------------------------------ */

/* One that runs: its output so far. */
struct tried {
    pid_t pid;
    int out;
    size_t n;
    char text[131072];
};

static struct tried tried;

static void become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        _exit(97);
}

/* before: in the new process, while it is still root. */
static void start(const char *words, void (*before)(void))
{
    char line[1024];
    int ends[2];

    print_to(line, sizeof line, "berth try %s", words);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    tried.pid = fork();
    if (tried.pid == 0) {
        int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (before != NULL)
            before();
        become_nobody();
        child(line, in, ends[1]);
    }
    (void)close(ends[1]);
    tried.out = ends[0];
    tried.n = 0;
    tried.text[0] = '\0';
}

/* Read on; false at the end of everything that has its output. */
static bool hear(void)
{
    struct pollfd p = { .fd = tried.out, .events = POLLIN };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(tried.n < sizeof tried.text - 1);
    ssize_t n = read(tried.out, tried.text + tried.n, sizeof tried.text - 1 - tried.n);
    assert_true(n >= 0);
    tried.n += (size_t)n;
    tried.text[tried.n] = '\0';
    return n > 0;
}

static void hear_until(const char *text)
{
    while (strstr(tried.text, text) == NULL)
        if (!hear())
            fail_msg("never said '%s' but\n%s", text, tried.text);
}

/* To the end; the exit code, or 200 after a signal. */
static int finish(void)
{
    while (hear())
        continue;
    close_fd(&tried.out);
    return exit_of(tried.pid);
}

static void assert_try_by(const char *words, int code, void (*before)(void))
{
    start(words, before);
    int got = finish();
    if (got != code)
        fail_msg("berth try %s: exit %d, want %d\n%s", words, got, code, tried.text);
}

static void assert_try(const char *words, int code)
{
    assert_try_by(words, code, NULL);
}

static void assert_told(const char *text)
{
    if (strstr(tried.text, text) == NULL)
        fail_msg("did not say '%s' but\n%s", text, tried.text);
}

/* ---- payloads -------------------------------------------------------------------------------- */

#define PAYLOAD                                                                                    \
    "tenant: acme\nname: %s\nversion: 1.0.0\nrelease: 1\nexec: [/bin/busybox, sh, /run.sh]\n"      \
    "copy:\n  - {from: " BUSYBOX ", to: /bin/busybox}\n  - {from: run.sh, to: /run.sh}\n"          \
    "resources: {memory: 32M, cpu: 50%%, pids: 12, data: 1M, tmp: 1M, files: 32, inbox: 64K, "     \
    "outbox: 64K}\n%s\n"

/* A directory with a payload that is a script. */
static void payload(const char *name, const char *script, const char *rest)
{
    char path[64];
    char text[2048];

    print_to(path, sizeof path, "%s", name);
    assert_int_equal(mkdirat(dirfd, path, 0755), 0);
    print_to(path, sizeof path, "%s/run.sh", name);
    put(path, script, 0644);
    print_to(text, sizeof text, PAYLOAD, name, rest);
    print_to(path, sizeof path, "%s/payload.yaml", name);
    put(path, text, 0644);
}

#define ALIVE "health: {type: alive, ready: 1ms, soak: 1ms}"

/* A directory with the example that speaks sd_notify, as it was built. */
static void copy_beacon(const char *name)
{
    char words[2 * PATH_MAX];
    const char *slash = strrchr(program, '/');

    assert_int_equal(mkdirat(dirfd, name, 0755), 0);
    print_to(words, sizeof words, "cp %.*s/examples/beacon %s/beacon", (int)(slash - program),
             program, name);
    assert_run(words, 0);
}

static void leave(const char *name)
{
    assert_rc(fs_remove_tree(dirfd, name, &err), RC_OK);
}

/* ---- walls ----------------------------------------------------------------------------------- */

#define WALL(name, state) "{\"wall\":\"" name "\",\"state\":\"" state "\""

/* What the table says, and what the process has. */
static const struct {
    const char *wall;
    const char *kind; /* of namespace; NULL: line is there in the payload's own words */
    const char *line;
} told[] = {
    { WALL("user-namespace", "weaker"), "user", "      1000      65534          1" },
    { WALL("mount-namespace", "holds"), "mnt", NULL },
    { WALL("pid-namespace", "holds"), "pid", NULL },
    { WALL("net-namespace", "holds"), "net", NULL },
    { WALL("ipc-namespace", "holds"), "ipc", NULL },
    { WALL("uts-namespace", "holds"), "uts", NULL },
    { WALL("cgroup-namespace", "holds"), "cgroup", NULL },
    { WALL("no-new-privs", "holds"), NULL, "NoNewPrivs:?1" },
    { WALL("seccomp", "holds"), NULL, "Seccomp:?2" },
    { WALL("bounding-set", "holds"), NULL, "CapBnd:?0000000000000000" },
    { WALL("securebits", "holds"), NULL, "CapEff:?0000000000000000" },
    { WALL("proc-subset", "holds"), NULL, "subset=pid" },
    { WALL("memory-controller", "MISSING"), NULL, "Max data size             33554432" },
    { WALL("pids-controller", "MISSING"), NULL, "Max processes             13 " },
    { WALL("no-nested-namespaces", "holds"), NULL, "unshare: unshare(0x10000000): Operation" },
};

static void the_table_is_true(void **state)
{
    (void)state;
    payload("truth",
            "b=/bin/busybox; $b cat /proc/self/status /proc/self/limits /proc/self/uid_map "
            "/proc/self/mountinfo\n"
            "for n in user mnt pid net ipc uts cgroup; do $b readlink /proc/self/ns/$n; done\n"
            "$b unshare -U $b true; $b env; echo x >/data/x; echo x >/tmp/x; $b ls -ln / /data\n",
            ALIVE);
    assert_try("--json truth", 0);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        char path[64];
        char ours[64];

        assert_told(told[i].wall);
        if (told[i].line != NULL)
            assert_told(told[i].line);
        if (told[i].kind == NULL)
            continue;
        print_to(path, sizeof path, "/proc/self/ns/%s", told[i].kind);
        ssize_t n = readlink(path, ours, sizeof ours - 1);
        assert_true(n > 0);
        ours[n] = '\0';
        if (strstr(tried.text, ours) != NULL)
            fail_msg("its %s namespace is ours", told[i].kind);
    }
    assert_told("NOTIFY_SOCKET=/run/notify");
    assert_told("BERTH_TENANT=acme");
    assert_told("HOME=/data");
    assert_told(" 1000     1000 ");
    assert_told("\"reason\":\"EXITED\",\"status\":0");
    leave("truth");
}

static void what_is_required_and_missing_refuses(void **state)
{
    (void)state;
    payload("req", "echo ran", ALIVE);
    assert_try("--require memory-controller req", 5);
    assert_told("LAYER_MISSING");
    if (strstr(tried.text, "prints") != NULL)
        fail_msg("it ran");
    assert_try("--require no-such-wall req", 5);
    assert_try("--require seccomp,landlock req", 0);
    leave("req");
}

/* Uid 0 of its own, shared memory, a loopback: as it asks for them, and what there is not is said.
 */
static void what_it_asks_for_is_there(void **state)
{
    static const char text[] =
        "tenant: acme\nname: asks\nversion: 1.0.0\nrelease: 1\nexec: [/bin/busybox, sh, /run.sh]\n"
        "copy:\n  - {from: " BUSYBOX ", to: /bin/busybox}\n  - {from: run.sh, to: /run.sh}\n"
        "resources: {memory: 32M, cpu: 50%, pids: 12, shm: 1M, tmp: 1M, files: 32, file-size: "
        "64K}\n"
        "inner-root: true\nnetwork: private\ndevices: [camera]\ncalls: [net]\n" ALIVE "\n";

    (void)state;
    payload("asks",
            "b=/bin/busybox; $b id -u; $b grep CapEff /proc/self/status\n"
            "echo x >/dev/shm/x && echo shared\n"
            "$b ls /dev; $b dd if=/dev/zero of=/tmp/big bs=128k count=1\n"
            /* whose input never ends: at its end it would end the client before that has spoken */
            "$b mkfifo /tmp/open; $b nc -l -p 7777 <>/tmp/open & $b sh -c 'until echo hello | $0 "
            "nc 127.0.0.1 7777; do :; done' $b\n"
            "wait\n",
            ALIVE);
    put("asks/payload.yaml", text, 0644);
    assert_try("asks", 0);
    assert_told("prints    0\n");
    assert_told("CapEff:?0000000000000000");
    assert_told("shared");
    assert_told("File size limit exceeded");
    assert_told("hello"); /* over its own lo */
    assert_told("nobody to talk to here");
    assert_told("device camera: there is none here");
    leave("asks");
}

static void be_short(void)
{
    static const struct {
        __rlimit_resource_t what;
        rlim_t max;
    } rows[] = { { RLIMIT_CORE, 0 }, { RLIMIT_MEMLOCK, 4096 }, { RLIMIT_NOFILE, 256 } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct rlimit limit = { .rlim_cur = rows[i].max, .rlim_max = rows[i].max };

        if (setrlimit(rows[i].what, &limit) != 0)
            _exit(95);
    }
}

/* Who has less than the payload may have on board cannot give it more, and is told. */
static void limits_of_the_user_stay(void **state)
{
    (void)state;
    payload("short", "/bin/busybox cat /proc/self/limits", ALIVE);
    put("short/payload.yaml",
        "tenant: acme\nname: short\nversion: 1.0.0\nrelease: 1\n"
        "exec: [/bin/busybox, sh, /run.sh]\n"
        "copy:\n  - {from: " BUSYBOX ", to: /bin/busybox}\n  - {from: run.sh, to: /run.sh}\n"
        "resources: {memory: 32M, cpu: 50%, pids: 12, tmp: 1M, files: 1000}\n" ALIVE "\n",
        0644);
    assert_try_by("short", 0, be_short);
    assert_told("Max core file size        0                    0");
    assert_told("Max locked memory         4096                 4096");
    assert_told("Max open files            256                  256");
    assert_told("open files: your own limit is 256");
    assert_try("short", 0);
    assert_told("Max core file size        1                    1");
    assert_told("Max open files            1000                 1000");
    leave("short");
}

static void put_now(const char *path, const char *text)
{
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(94);
}

/* Into a user namespace of the test's own, whose ids somebody outside of it maps, and in which
 * there may be no other. */
static void forbid_namespaces(void)
{
    char path[48];
    char byte = 0;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        _exit(93);
    pid_t mapper = fork();
    if (mapper == 0) {
        if (read(ends[1], &byte, 1) != 1)
            _exit(1);
        print_to(path, sizeof path, "/proc/%d/uid_map", getppid());
        put_now(path, "0 0 65535");
        print_to(path, sizeof path, "/proc/%d/gid_map", getppid());
        put_now(path, "0 0 65535");
        _exit(write(ends[1], "m", 1) == 1 ? 0 : 1);
    }
    if (unshare(CLONE_NEWUSER) != 0 || write(ends[0], "u", 1) != 1 || read(ends[0], &byte, 1) != 1)
        _exit(92);
    put_now("/proc/sys/user/max_user_namespaces", "0");
}

static void who_may_not_is_told_why(void **state)
{
    (void)state;
    payload("barred", "echo ran", ALIVE);
    assert_try_by("barred", 5, forbid_namespaces);
    assert_told("user-namespace");
    assert_told("to fix: as root: sysctl -w user.max_user_namespaces=15000");
    assert_null(strstr(tried.text, "prints"));
    leave("barred");
}

static void root_is_sent_away(void **state)
{
    (void)state;
    payload("rooted", "echo ran", ALIVE);
    assert_berth("try rooted", 5);
    assert_said("run it as yourself");
    leave("rooted");
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void every_end_has_its_reason(void **state)
{
    (void)state;
    payload("quits", "exit 3", ALIVE);
    assert_try("quits", 1);
    assert_told("EXITED, status 3");
    payload("mute", "/bin/busybox sleep 1000", "health: {type: notify, ready: 50ms, soak: 1ms}");
    assert_try("mute", 1);
    assert_told("HEALTH_TIMEOUT");
    copy_beacon("stuck");
    put("stuck/payload.yaml",
        "tenant: acme\nname: stuck\nversion: 1.0.0\nrelease: 1\nexec: [/bin/beacon]\n"
        "copy: [{from: beacon, to: /bin/beacon}]\n"
        "resources: {memory: 16M, cpu: 20%, pids: 8, data: 2M, tmp: 1M, files: 32}\n"
        "health: {type: notify, ready: 60s, soak: 1ms, watchdog: 10ms}\n",
        0644);
    assert_try("stuck", 1);
    assert_told("WATCHDOG, ");
    payload("forbidden", "exec /bin/busybox reboot -f", ALIVE);
    assert_try("forbidden", 1);
    assert_told("SECCOMP, signal 31");
    payload("timed", "while :; do /bin/busybox sleep 1; done", ALIVE);
    assert_try("--for 1ms timed", 0);
    assert_told("is up");
    assert_told("KILLED, signal 15");
    leave("quits");
    leave("mute");
    leave("stuck");
    leave("forbidden");
    leave("timed");
}

static void interrupted_it_ends(void **state)
{
    (void)state;
    payload("deaf", "trap '' TERM; echo up; while :; do /bin/busybox sleep 1; done", ALIVE);
    start("deaf", NULL);
    hear_until("prints    up");
    assert_int_equal(kill(tried.pid, SIGINT), 0);
    hear_until("ending it");
    assert_int_equal(kill(tried.pid, SIGINT), 0);
    assert_int_equal(finish(), 0);
    assert_told("KILLED, signal 9");
    leave("deaf");
}

/* Its reader is gone, as after `| head`: it does not go on for nobody. */
static void unheard_it_ends(void **state)
{
    (void)state;
    payload("unheard", "echo up; while :; do /bin/busybox sleep 1; done", ALIVE);
    start("unheard", NULL);
    hear_until("prints    up");
    scoped(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, tried.pid, 0U);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    close_fd(&tried.out);
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(exit_of(tried.pid) != 200);
    leave("unheard");
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void enter_groups(void)
{
    if (!delegated_enter_of(getppid()))
        _exit(96);
}

static void read_text(const char *path, char *out, size_t cap)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 1;

    while (fd >= 0 && got > 0 && n < cap - 1) {
        got = read(fd, out + n, cap - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    out[n] = '\0';
}

static uint32_t entries(const char *path)
{
    uint64_t files = 0;
    scoped(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_rc(fs_tree_usage(fd, ".", NULL, &files, &err), RC_OK);
    return (uint32_t)files;
}

/* All that has its output is gone when the pipe ends, also who sweeps behind it. */
static void killed_it_leaves_nothing(void **state)
{
    static char before[32768], after[32768];
    char *at;

    (void)state;
    payload("killed", "echo up; while :; do /bin/busybox sleep 1; done & wait", ALIVE);
    read_text("/proc/self/mountinfo", before, sizeof before);
    uint32_t files = entries(dir);
    assert_true(delegated_give(true));
    start("killed", enter_groups);
    hear_until("prints    up");
    at = strstr(tried.text, " 1.0.0, process ");
    assert_non_null(at);
    pid_t payload_pid = (pid_t)strtol(at + 16, NULL, 10);
    scoped(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, payload_pid, 0U);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    assert_true(pidfd >= 0);
    assert_int_equal(kill(tried.pid, SIGKILL), 0);
    assert_int_equal(finish(), 200);
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    read_text("/proc/self/mountinfo", after, sizeof after);
    assert_string_equal(before, after);
    assert_int_equal(entries(dir), files);
    assert_true(delegated_give(false));
    leave("killed");
}

/* With groups that were delegated the kernel counts, and the table says so. */
static void groups_that_are_given_are_used(void **state)
{
    (void)state;
    payload("eats", "/bin/busybox dd if=/dev/zero of=/dev/null bs=64M; exit 0", ALIVE);
    assert_true(delegated_give(true));
    start("--json --require memory-controller,pids-controller,cpu-controller,cgroup-freeze eats",
          enter_groups);
    int code = finish();
    assert_true(delegated_give(false));
    assert_told(WALL("memory-controller", "holds"));
    assert_told("\"reason\":\"OOM\"");
    assert_int_equal(code, 1);
    leave("eats");
}

/* ---- scenarios ------------------------------------------------------------------------------- */

/* Mail both ways, and every fault there is. */
static const char all_faults[] =
    "try: all\nlimit: 120s\nsteps:\n"
    "  - wait: {output: 'start 1', check: first}\n"
    "  - send: {name: order-1, text: do it}\n"
    "  - advance: 10m\n"
    "  - wait: {taken: hello, check: 'out of the outbox at once'}\n"
    "  - wait: {inbox: hello.receipt, check: 'and told so'}\n"
    "  - pass: begin\n"
    "  - wait: {inbox: order-1, check: 'up in the pass'}\n"
    "  - wait: {down: hello, check: 'down in the pass'}\n"
    "  - wait: {output: 'got do it', check: 'the payload reads it'}\n"
    "  - pass: end\n"
    "  - fault: kill\n"
    "  - wait: {ended: KILLED, check: killed}\n"
    "  - wait: {output: 'start 2', check: 'again, by its manifest'}\n"
    "  - wait: {ready: true, check: well}\n"
    "  - fault: freeze\n"
    "  - fault: thaw\n"
    "  - fault: memory\n"
    "  - wait: {ended: OOM, check: 'out of memory'}\n"
    "  - wait: {output: 'start 3', check: 'third start'}\n"
    "  - pass: begin\n"
    "  - fault: disk-full\n"
    "  - send: {name: order-2, text: write}\n"
    "  - wait: {output: 'No space left', check: 'a full disk is told'}\n"
    "  - fault: disk-free\n"
    "  - send: {name: order-3, text: write}\n"
    "  - wait: {output: 'room', check: 'and is over'}\n"
    "  - fault: power-cut\n"
    "  - wait: {output: 'start 4', check: 'data outlives it'}\n"
    "  - fault: agent-restart\n"
    "  - wait: {output: 'start 5', check: 'and a restart of the agent'}\n"
    "  - wait: {starts: 5, check: counted}\n"
    "  - fault: stop\n"
    "  - wait: {ended: EXITED, check: 'a stop is heard'}\n"
    "  - fault: start\n"
    "  - wait: {output: 'start 6', check: 'once more'}\n";

static const char busy_script[] =
    "b=/bin/busybox; trap 'echo bye; exit 0' TERM\n"
    "n=$($b cat /data/n 2>/dev/null); n=$((n+1)); echo $n >/data/n; echo start $n\n"
    "[ $n = 1 ] && echo hello >/outbox/.h && $b mv /outbox/.h /outbox/hello\n"
    "while :; do\n"
    "  for f in /inbox/order-*; do\n"
    "    [ -e $f ] || continue; what=$($b cat $f); $b rm $f; echo got $what\n"
    "    [ \"$what\" = write ] || continue\n"
    "    $b dd if=/dev/zero of=/data/fill bs=64k count=1 2>/tmp/why && echo room || $b cat "
    "/tmp/why\n"
    "    $b rm -f /data/fill\n"
    "  done; $b usleep 1000\n"
    "done\n";

static void every_fault_is_played(void **state)
{
    (void)state;
    payload("busy", busy_script, ALIVE "\nrestart: {backoff: 1s}");
    put("all.yaml", all_faults, 0644);
    assert_try("--scenario all.yaml busy", 0);
    assert_told("passed");
    assert_told("0:10:0"); /* ten minutes went by, and the waits of the agent */
    assert_int_equal(mkdirat(dirfd, "down", 0777), 0);
    assert_int_equal(fchmodat(dirfd, "down", 0777, 0), 0);
    assert_try("--scenario all.yaml --outbox down busy", 0);
    put("hello.want", "hello\n", 0644);
    assert_run("cmp down/hello hello.want", 0);
    /* The same with groups, and their freezer. */
    assert_true(delegated_give(true));
    assert_try_by("--scenario all.yaml --require cgroup-freeze busy", 0, enter_groups);
    assert_true(delegated_give(false));
    leave("busy");
    leave("down");
}

/* ---- the bus --------------------------------------------------------------------------------- */

/* A directory with a client of the bus, as it was built. */
static void bus_payload(const char *name, const char *how)
{
    char words[2 * PATH_MAX];
    char text[1024];
    char path[64];
    const char *slash = strrchr(program, '/');

    assert_int_equal(mkdirat(dirfd, name, 0755), 0);
    print_to(words, sizeof words, "cp %.*s/tests/probe/bus_client %s/client",
             (int)(slash - program), program, name);
    assert_run(words, 0);
    print_to(
        text, sizeof text,
        "tenant: acme\nname: %s\nversion: 1.0.0\nrelease: 1\nexec: [/client, %s]\n"
        "copy: [{from: client, to: /client}]\n"
        "resources: {memory: 32M, cpu: 50%%, pids: 12, tmp: 1M, files: 32, inbox: 64K, outbox: "
        "64K}\nhealth: {type: notify, ready: 300s, soak: 1ms}\nrestart: {backoff: 1s}\n",
        name, how);
    print_to(path, sizeof path, "%s/payload.yaml", name);
    put(path, text, 0644);
}

/* Telemetry and commands as on board, with the berth-bus of a flight; what is not answered comes
 * again after a start; a clock that jumps is told, and never before what is known. */
static const char on_the_bus[] =
    "try: bus\nlimit: 120s\nsteps:\n"
    "  - wait: {telemetry: count, check: 'a value is put'}\n"
    "  - wait: {ready: true, check: ready}\n"
    "  - command: {name: point, text: north}\n"
    "  - pass: begin\n"
    "  - wait: {answered: point, check: 'it answers'}\n"
    "  - wait: {output: 'obeyed 204', check: 'and reads that this is safe'}\n"
    "  - fault: stop\n"
    "  - command: {name: later, text: south}\n"
    "  - fault: start\n"
    "  - wait: {answered: later, check: 'what waited is given at the start'}\n"
    "  - pass: end\n"
    "  - clock: 36h\n"
    "  - command: {name: time, text: ahead}\n"
    "  - pass: begin\n"
    "  - wait: {output: '\"source\":\"platform\"', check: 'a clock that jumps is told'}\n"
    "  - wait: {answered: time, check: answered}\n"
    "  - clock: -3000h\n"
    "  - command: {name: time, text: back}\n"
    "  - wait: {output: '\"source\":\"floor\"', check: 'but never before what is known'}\n"
    "  - fault: kill\n"
    "  - wait: {starts: 3, check: 'again'}\n"
    "  - wait: {ready: true, check: 'and heard again'}\n";

static void the_bus_is_served(void **state)
{
    (void)state;
    bus_payload("obeys", "obey");
    put("bus.yaml", on_the_bus, 0644);
    assert_try("--scenario bus.yaml obeys", 0);
    assert_told("telemetry count = 70");
    assert_told("telemetry 64 values: down");
    assert_told("command   point: answered 7 point: north");
    assert_told("command   later: answered 7 later: south");
    assert_told("passed");
    if (strstr(tried.text, "berth-bus failed") != NULL)
        fail_msg("%s", tried.text);
    leave("obeys");
    bus_payload("talks", "talk");
    put("talk.yaml",
        "try: talk\nlimit: 60s\nsteps:\n  - wait: {output: 'tick 200', check: 'it is answered'}\n",
        0644);
    assert_try("--scenario talk.yaml talks", 0);
    assert_told("identity 200 {\"tenant\":\"acme\",\"payload\":\"talks\",\"version\":\"1.0.0\","
                "\"satellite\":\"try\"");
    assert_told("quota 200 {\"memory_bytes\":{\"limit\":33554432}");
    assert_told("stranger 403");
    assert_told("unknown 404");
    leave("talks");
    bus_payload("floods", "hostile");
    assert_try("--for 3s floods", 0);
    assert_told("BUS_REQUEST:");
    leave("floods");
}

/* What is no plain file of its own stays where it is, is told once, and holds nobody up. */
static void junk_stays_in_the_outbox(void **state)
{
    const char *at;

    (void)state;
    payload(
        "junk",
        "b=/bin/busybox; $b mkfifo /outbox/pipe; $b ln -s /etc/passwd /outbox/link\n"
        "$b mkdir /outbox/dir; $b mkdir /inbox/.draft; echo x >/tmp/x; $b ln /bin/busybox "
        "/outbox/y\n"
        "echo a >/outbox/twice; $b ln /outbox/twice /outbox/.other\n"
        "$b truncate -s 30K /outbox/hole; echo good >/outbox/.g; $b mv /outbox/.g /outbox/good\n"
        "echo made; while :; do $b sleep 1; done\n",
        ALIVE);
    put("junk.yaml",
        "try: junk\nlimit: 60s\nsteps:\n  - wait: {output: made, check: made}\n"
        "  - pass: begin\n  - wait: {down: good, check: 'the good one comes down'}\n",
        0644);
    assert_int_equal(mkdirat(dirfd, "down", 0777), 0);
    assert_int_equal(fchmodat(dirfd, "down", 0777, 0), 0);
    assert_try("--scenario junk.yaml --outbox down junk", 0);
    assert_told("MAIL_JUNK: pipe,");
    assert_told("MAIL_JUNK: link,");
    assert_told("MAIL_JUNK: hole,");
    at = strstr(tried.text, "MAIL_JUNK: pipe,");
    assert_null(strstr(at + 1, "MAIL_JUNK: pipe,"));
    assert_false(exists("down/link") || exists("down/pipe") || exists("down/hole"));
    assert_true(exists("down/good"));
    leave("junk");
    leave("down");
}

/* What is not sealed is refused both ways, where the manifest says so. */
static void mail_is_sealed_where_the_manifest_says_so(void **state)
{
    (void)state;
    payload("shut",
            "b=/bin/busybox; echo hello >/outbox/.h && $b mv /outbox/.h /outbox/hello\n"
            "while :; do [ -e /inbox/hello.receipt ] && $b cat /inbox/hello.receipt && $b rm "
            "/inbox/hello.receipt; [ -e /inbox/order ] && echo got it; $b usleep 1000; done\n",
            ALIVE "\nmail: {sealed: true}");
    put("shut.yaml",
        "try: shut\nlimit: 60s\nsteps:\n"
        "  - wait: {taken: hello, check: 'it goes out of the outbox'}\n"
        "  - wait: {output: 'refused MAIL_SEALED', check: 'the payload reads why'}\n"
        "  - send: {name: order, text: do it}\n"
        "  - pass: begin\n"
        "  - pass: end\n",
        0644);
    assert_try("--scenario shut.yaml shut", 0);
    assert_told("MAIL_SEALED: hello, the manifest wants it sealed");
    assert_told("MAIL_SEALED: order, the manifest wants it sealed");
    assert_null(strstr(tried.text, "got it"));
    assert_null(strstr(tried.text, "hello: down"));
    leave("shut");
}

static void what_does_not_follow_fails(void **state)
{
    (void)state;
    payload("calm", "trap 'exit 0' TERM; echo up; while :; do /bin/busybox sleep 1; done", ALIVE);
    put("never.yaml",
        "try: never\nsteps:\n  - wait: {output: up, check: up}\n"
        "  - wait: {output: down, within: 1ms, check: 'it says down'}\n",
        0644);
    assert_try("--scenario never.yaml calm", 1);
    assert_told("NOT MET: it says down");
    put("sense.yaml", "try: sense\nsteps:\n  - fault: start\n", 0644);
    assert_try("--scenario sense.yaml calm", 1);
    assert_told("makes no sense here");
    leave("calm");
}

static void the_example_plays(void **state)
{
    char path[PATH_MAX];
    char words[PATH_MAX + 100];

    (void)state;
    assert_non_null(realpath("examples", path));
    copy_beacon("beacon");
    print_to(words, sizeof words, "cp %s/payloads/beacon/payload.yaml beacon/payload.yaml", path);
    assert_run(words, 0);
    print_to(words, sizeof words, "--scenario %s/tries/beacon.yaml beacon", path);
    assert_try(words, 0);
    leave("beacon");
}

/* ---- packages, and what is hostile ----------------------------------------------------------- */

static void packages_are_tried_too(void **state)
{
    (void)state;
    payload("packed", "echo from a package", ALIVE);
    assert_berth("build packed", 0);
    assert_try("packed/packed-1.0.0.unsigned", 0);
    assert_told("from a package");
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new next --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("fleet init f --root keys/root.key --next-root keys/next.pub --operator "
                 "keys/op.key --out root.cose",
                 0);
    assert_berth("build packed --key keys/acme.key --root root.cose --out packed.berth", 0);
    assert_try("packed.berth", 0);
    assert_told("from a package");
    leave("packed");
}

static void hostile_files_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        { "a: &a [x,x]\nb: &b [*a,*a]\ntry: x\nsteps: [*b]\n", "YAML" },
        { "try: x\nsteps: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "YAML" },
        { "try: x\nsteps:\n  - explode: now\n", "YAML" },
        { "try: x\nsteps:\n  - fault: clock-step\n", "YAML" },
        { "try: x\nsteps:\n  - send: {name: ../x, text: y}\n", "YAML" },
        { "try: x\nsteps:\n  - command: {name: A_b, text: y}\n", "YAML" },
        { "try: x\nsteps:\n  - clock: --1h\n", "YAML" },
        { "try: x\nsteps:\n  - wait: {ready: true, output: x, check: y}\n", "YAML" },
        { "try: x\nsteps:\n  - advance: 99999h\n", "YAML" },
        { "try: x\nsteps:\n  - wait: {check: y}\n", "YAML" },
        { "try: x\ntry: y\nsteps: []\n", "YAML" },
    };

    (void)state;
    payload("victim", "echo ran", ALIVE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("bad.yaml", bad[i].text, 0644);
        assert_try("--scenario bad.yaml victim", 1);
        assert_told(bad[i].why);
        if (strstr(tried.text, "prints") != NULL)
            fail_msg("it ran by %s", bad[i].text);
    }
    assert_int_equal(mkfifoat(dirfd, "fifo", 0666), 0);
    start("--scenario fifo victim", NULL);
    assert_true(finish() != 0);
    start("fifo", NULL);
    assert_true(finish() != 0);
    leave("victim");
    assert_int_equal(unlinkat(dirfd, "fifo", 0), 0);
}

/* What an installation would refuse is not tried. */
static void hostile_packages_are_refused(void **state)
{
    (void)state;
    payload("links", "echo ran", ALIVE "\nroot: tree");
    assert_int_equal(mkdirat(dirfd, "links/tree", 0755), 0);
    assert_int_equal(symlinkat("../../../etc/passwd", dirfd, "links/tree/out"), 0);
    assert_try("links", 5);
    assert_told("ARCHIVE_LINK");
    assert_int_equal(unlinkat(dirfd, "links/tree/out", 0), 0);
    assert_int_equal(mkfifoat(dirfd, "links/tree/pipe", 0666), 0);
    assert_try("links", 5);
    assert_told("ARCHIVE_TYPE");
    assert_int_equal(unlinkat(dirfd, "links/tree/pipe", 0), 0);
    assert_try("links", 0);
    put("junk.berth", "BERTHPK1 and then nothing of use", 0644);
    start("junk.berth", NULL);
    assert_true(finish() != 0);
    leave("links");
}

static int open_up(void **state)
{
    int rc = begin(state);

    if (rc == 0 && geteuid() != 0) {
        print_error("becoming nobody needs root\n");
        return -1;
    }
    return rc != 0 || chmod(dir, 0755) != 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_true),
        cmocka_unit_test(what_is_required_and_missing_refuses),
        cmocka_unit_test(what_it_asks_for_is_there),
        cmocka_unit_test(limits_of_the_user_stay),
        cmocka_unit_test(who_may_not_is_told_why),
        cmocka_unit_test(root_is_sent_away),
        cmocka_unit_test(every_end_has_its_reason),
        cmocka_unit_test(interrupted_it_ends),
        cmocka_unit_test(unheard_it_ends),
        cmocka_unit_test(killed_it_leaves_nothing),
        cmocka_unit_test(groups_that_are_given_are_used),
        cmocka_unit_test(every_fault_is_played),
        cmocka_unit_test(the_bus_is_served),
        cmocka_unit_test(junk_stays_in_the_outbox),
        cmocka_unit_test(mail_is_sealed_where_the_manifest_says_so),
        cmocka_unit_test(what_does_not_follow_fails),
        cmocka_unit_test(the_example_plays),
        cmocka_unit_test(packages_are_tried_too),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(hostile_packages_are_refused),
    };

    return cmocka_run_group_tests(tests, open_up, end);
}
