/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_sandbox: from the request to the first byte that the sandboxed program writes,
 * through berth-launch (with cgroup limits, landlock, reaper, notify socket) and through bubblewrap
 * with the nearest isolation it offers: all namespaces, same slot, same system-call filter, no
 * capabilities, no limits.  Alternating in one run, the order drawn anew each round; medians.
 */
#include <sys/mman.h>

#include "sandbox/seccomp.h"
#include "tests/bench/bench.h"
#include "tests/unit/sandbox_rig.h"

#define ROUNDS 50U
#define WARM_UP 5U
#define IDLE_MS 120 /* between starts of the idle series: caches cold, as a satellite's are */

struct series {
    uint64_t ns[ROUNDS];
    size_t n;
};

static struct rig rig;
static struct rig_run run;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double median_us(struct series *s)
{
    qsort(s->ns, s->n, sizeof s->ns[0], compare);
    return (double)s->ns[s->n / 2] / 1000.0;
}

static void add(struct series *s, uint64_t ns, size_t round)
{
    if (round >= WARM_UP)
        s->ns[s->n++] = ns;
}

static void await_byte(int fd)
{
    char byte;

    if (!rig_wait(fd) || read(fd, &byte, 1) != 1)
        rig_die("no byte from the program");
}

static uint64_t time_berth(int slot)
{
    static const char *const args[] = { "/bin/probe", "say", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    uint64_t began = bench_ns(CLOCK_MONOTONIC);

    rig_launch(&rig, &plan, slot, -1, &run);
    if (!run.started)
        rig_die(run.first.failed.what);
    await_byte(run.fds.fd[WIRE_FD_OUTPUT]);
    uint64_t took = bench_ns(CLOCK_MONOTONIC) - began;

    if (rig_exited(&rig, &run).rc != RC_EXITED)
        rig_die("payload failed");
    return took;
}

static _Noreturn void exec_bwrap(int out, int filter)
{
    char fd[16];
    const char *slot = rig_path(&rig, "slot");

    (void)snprintf(fd, sizeof fd, "%d", filter);
    (void)fcntl(filter, F_SETFD, 0);
    (void)lseek(filter, 0, SEEK_SET);
    (void)dup2(out, 1);
    (void)execlp("bwrap", "bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid",
                 "1000", "--ro-bind", slot, "/", "--proc", "/proc", "--dev", "/dev", "--size",
                 "4194304", "--tmpfs", "/tmp", "--size", "262144", "--tmpfs", "/run",
                 "--new-session", "--die-with-parent", "--cap-drop", "ALL", "--seccomp", fd,
                 "/bin/probe", "say", (char *)NULL);
    _exit(127);
}

static uint64_t time_bwrap(int filter)
{
    int out[2];
    int status;

    if (pipe2(out, O_CLOEXEC) != 0)
        rig_die("pipe");
    uint64_t began = bench_ns(CLOCK_MONOTONIC);
    pid_t pid = vfork();

    if (pid == 0)
        exec_bwrap(out[1], filter);
    (void)close(out[1]);
    await_byte(out[0]);
    uint64_t took = bench_ns(CLOCK_MONOTONIC) - began;

    (void)close(out[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        rig_die("bwrap failed");
    return took;
}

static int filter_file(void)
{
    static struct seccomp_program program;
    struct err err = { 0 };
    int fd = memfd_create("filter", MFD_CLOEXEC);
    size_t size;

    if (seccomp_build(SECCOMP_PAYLOAD, 0, CALLS_NATIVE, &program, &err) != RC_OK)
        rig_die("filter");
    size = program.n * sizeof program.code[0];
    if (fd < 0 || write(fd, program.code, size) != (ssize_t)size)
        rig_die("filter");
    return fd;
}

static void report(FILE *out, const char *figure, double value, double peer)
{
    double ratio = value / peer;

    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.0f,\"unit\":\"us\",\"peer\":\"bwrap\","
                  "\"peer_value\":%.0f,\"ratio\":%.2f,\"aim\":\"<= 1.00\"}\n",
                  figure, value, peer, ratio);
    (void)printf("  %-42s %10.0f us     bwrap: %.0f, ratio %.2f  (aim <= 1.00)\n", figure, value,
                 peer, ratio);
}

/* One series: `idle_ms` of quiet before every start. */
static void measure(FILE *out, const char *figure, int slot, int filter, int idle_ms)
{
    struct series berth = { .n = 0 };
    struct series bwrap = { .n = 0 };

    for (size_t round = 0; round < ROUNDS + WARM_UP; round++) {
        bool berth_first = (random() & 1) != 0;

        for (int turn = 0; turn < 2; turn++) {
            (void)poll(NULL, 0, idle_ms);
            if (berth_first == (turn == 0))
                add(&berth, time_berth(slot), round);
            else
                add(&bwrap, time_bwrap(filter), round);
        }
    }
    report(out, figure, median_us(&berth), median_us(&bwrap));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: bench_sandbox OUTPUT.jsonl\n", stderr);
        return 2;
    }

    FILE *out = fopen(argv[1], "we");
    int filter = filter_file();

    if (out == NULL)
        rig_die(argv[1]);
    rig_open(&rig, "bench");
    rig_slot(&rig, "slot", "sandbox_hog");
    int slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    measure(out, "sandbox start to program, busy", slot, filter, 0);
    measure(out, "sandbox start to program, after 120 ms idle", slot, filter, IDLE_MS);
    int status = rig_end(&rig);

    rig_remove(&rig);
    return fclose(out) == 0 && status == 0 ? 0 : 1;
}
