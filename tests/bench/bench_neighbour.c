/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_neighbour: what one tenant feels of another that takes all it can get.  A
 * payload with a period of 2 ms (tests/probe/sandbox_neighbour) runs alone, and beside a tenant
 * that burns processors, memory, a disk, processes, and all four at once, each in a sandbox with
 * ordinary limits: a quarter of a core for the one, a core for the other, which says how they are
 * scheduled (sandbox/slice); and once a core for both.  Its lateness is the time from when it was
 * due until its work is done.
 *
 * All take turns in one run, in an order drawn anew each round; the figures are the medians of the
 * rounds.  The last row says what the limits are worth: the first abuse without a sandbox.
 */
#include "tests/bench/bench.h"
#include "tests/unit/sandbox_rig.h"

#define ROUNDS 7U
#define PERIOD_US "2000"
#define TIMES "1000"
#define KINDS 4U
#define DATA_BYTES (32U << 20)
#define CALM (RIG_SLOTS - 1U) /* whose range */
#define BARE (1U << KINDS)

#define CALM_PERMILLE 250U /* of a core: it needs less than a tenth */
#define HOG_PERMILLE 1000U

/* What the tenant runs, by bits; its limits: a core, 64 MiB, 32 processes, also of all together. */
static const char *const kinds[KINDS][4] = {
    { "/bin/probe", "burn", "16", NULL },
    { "/bin/probe", "churn", "56", NULL },
    { "/bin/probe", "sync", "/data/block", NULL },
    { "/bin/probe", "spawn", "16", NULL },
};

static const struct {
    const char *name;
    uint32_t kinds;
    uint32_t calm_permille;
    double aim; /* of the 99th percentile, times that of alone */
} cases[] = {
    { "alone", 0, CALM_PERMILLE, 0 },
    { "processors", 1, CALM_PERMILLE, 1.2 },
    { "memory", 2, CALM_PERMILLE, 1.2 },
    { "a disk", 4, CALM_PERMILLE, 1.2 },
    { "processes", 8, CALM_PERMILLE, 1.2 },
    { "all four", 15, CALM_PERMILLE, 1.2 },
    { "processors, allowed as much", 1, HOG_PERMILLE, 0 },
    { "processors, without a sandbox", BARE, CALM_PERMILLE, 0 },
};

#define CASES (sizeof cases / sizeof cases[0])

struct lateness {
    uint64_t p50[ROUNDS], p99[ROUNDS];
};

static struct rig rig;
static struct lateness late[CASES];
static int hog, calm, image;

static void start(const char *const *args, uint32_t range, const char *tenant, int slot, int data,
                  uint32_t permille, struct rig_run *r)
{
    struct plan plan = rig_plan(&rig, args, data >= 0 ? DATA_BYTES : 0);

    rig_range(&rig, &plan, range);
    (void)snprintf(plan.tenant, sizeof plan.tenant, "%s", tenant);
    plan.limits.memory_bytes = 64U << 20;
    plan.limits.cpu_permille = permille;
    plan.share.cpu_permille = HOG_PERMILLE;
    plan_fill_ops(&plan);
    rig_launch(&rig, &plan, slot, data, r);
    if (!r->started)
        rig_die(r->first.failed.what);
}

static pid_t burn_bare(void)
{
    const char *program = rig_path(&rig, "hog/bin/probe");
    pid_t pid = fork();

    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(program, "probe", "burn", "16", (char *)NULL);
        _exit(127);
    }
    must(pid > 0, "fork");
    (void)setpgid(pid, pid);
    return pid;
}

/* How late it is, with what runs by now. */
static void ask(size_t c, size_t round)
{
    static const char *const args[] = { "/bin/probe", PERIOD_US, TIMES, NULL };
    static struct rig_run run;

    start(args, CALM, "calm", calm, -1, cases[c].calm_permille, &run);
    if (rig_exited(&rig, &run).rc != RC_EXITED ||
        sscanf(run.out, "late %lu %lu", &late[c].p50[round], &late[c].p99[round]) != 2)
        rig_die(run.out);
}

static void measure(size_t c, size_t round)
{
    static struct rig_run of[KINDS];
    pid_t bare = cases[c].kinds == BARE ? burn_bare() : 0;
    char ready[64];

    for (uint32_t k = 0; k < KINDS; k++) {
        if ((cases[c].kinds & 1U << k) == 0)
            continue;
        start(kinds[k], k, "acme", hog, k == 2 ? image : -1, HOG_PERMILLE, &of[k]);
        if (!rig_wait(of[k].fds.fd[WIRE_FD_NOTIFY]) ||
            recv(of[k].fds.fd[WIRE_FD_NOTIFY], ready, sizeof ready, 0) <= 0)
            rig_die("payload is silent");
    }
    ask(c, round);
    for (uint32_t k = 0; k < KINDS; k++) {
        if ((cases[c].kinds & 1U << k) == 0)
            continue;
        rig_stop(&rig, &of[k], 0);
        if (rig_exited(&rig, &of[k]).rc != RC_KILLED) /* it was at it all the time */
            rig_die("payload ended by itself");
    }
    if (bare != 0) {
        (void)kill(-bare, SIGKILL);
        must(waitpid(bare, NULL, 0) == bare, "wait");
    }
}

static void shuffle(size_t order[CASES])
{
    for (size_t i = 0; i < CASES; i++)
        order[i] = i;
    for (size_t i = CASES; i > 1; i--) {
        size_t j = (size_t)random() % i;
        size_t swap = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swap;
    }
}

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;
    size_t order[CASES];
    char figure[100];

    must(out != NULL, "usage: bench_neighbour OUTPUT.jsonl");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    rig_open(&rig, "neighbour");
    rig_slot(&rig, "hog", "sandbox_hog");
    rig_slot(&rig, "calm", "sandbox_neighbour");
    hog = open(rig_path(&rig, "hog"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    calm = open(rig_path(&rig, "calm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    image = rig_image(&rig, "data.img", DATA_BYTES);
    for (size_t round = 0; round < ROUNDS; round++) {
        shuffle(order);
        for (size_t i = 0; i < CASES; i++)
            measure(order[i], round);
    }

    double alone[2] = { bench_median(late[0].p50, ROUNDS), bench_median(late[0].p99, ROUNDS) };
    for (size_t c = 1; c < CASES; c++) {
        (void)snprintf(figure, sizeof figure, "p99 late beside %s", cases[c].name);
        bench_row(out, figure, bench_median(late[c].p99, ROUNDS), "us", "alone", alone[1],
                  cases[c].aim);
        (void)snprintf(figure, sizeof figure, "median late beside %s", cases[c].name);
        bench_row(out, figure, bench_median(late[c].p50, ROUNDS), "us", "alone", alone[0], 0);
    }
    int status = rig_end(&rig);

    return rig_remove(&rig) && fclose(out) == 0 && status == 0 ? 0 : 1;
}
