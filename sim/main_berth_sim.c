/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-sim: runs a scenario with real agents, a real ground and real files, and says whether every
 * expectation held.  Exit codes: 0 all held, 1 one did not or the run broke, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "sim/proc.h"
#include "sim/scenario.h"
#include "sim/steps.h"
#include "sim/world.h"

struct options {
    const char *file;
    const char *dir;
    uint64_t seed;
    bool seeded;
    bool keep;
    bool verbose;
};

static int usage(FILE *to, int code)
{
    (void)fputs(
        "usage: berth-sim run SCENARIO.yaml [--seed N] [--keep] [--verbose] [--dir DIR]\n"
        "\n"
        "Runs real agents, a real ground and a faulty link on this machine, and checks the\n"
        "scenario's expectations.  Needs root: the agents make real sandboxes.\n"
        "  --seed N    faults of the link (default: the scenario's)\n"
        "  --keep      keep the run's directory also when everything held\n"
        "  --verbose   show what each berth command prints\n"
        "  --dir DIR   where to make the run's directory (default /tmp)\n",
        to);
    return code;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "seed", required_argument, NULL, 's' }, { "keep", no_argument, NULL, 'k' },
        { "verbose", no_argument, NULL, 'v' },    { "dir", required_argument, NULL, 'd' },
        { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
    };
    char *end = NULL;

    *o = (struct options){ .dir = "/tmp" };
    for (int c = getopt_long(argc, argv, "", longs, NULL); c != -1;
         c = getopt_long(argc, argv, "", longs, NULL)) {
        switch (c) {
        case 's':
            errno = 0;
            o->seed = strtoull(optarg, &end, 0);
            o->seeded = true;
            if (errno != 0 || *end != 0)
                return usage(stderr, 2);
            break;
        case 'k':
            o->keep = true;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'd':
            o->dir = optarg;
            break;
        case 'h':
            exit(usage(stdout, 0));
        default:
            return usage(stderr, 2);
        }
    }
    if (argc - optind != 2 || strcmp(argv[optind], "run") != 0)
        return usage(stderr, 2);
    o->file = argv[optind + 1];
    return 0;
}

/* The nearest directory above the scenario that has examples/ in it. */
static bool find_top(char *path)
{
    char probe[PATH_MAX + 16];

    for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
        *slash = 0;
        (void)snprintf(probe, sizeof probe, "%s/examples", path);
        if (access(probe, F_OK) == 0)
            return true;
    }
    return false;
}

/* The directory of the programs is that of this one. */
static enum rc places(struct world *w, const struct options *o, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", w->build, sizeof w->build - 1);
    char *slash = n > 0 ? (w->build[n] = 0, strrchr(w->build, '/')) : NULL;
    char real[PATH_MAX];

    if (!slash || !realpath(o->file, real))
        return err_sys(err, RC_SCENARIO, "%s", o->file);
    *slash = 0;
    if (!find_top(real))
        return err_set(err, RC_SCENARIO, "no directory above %s has examples/", o->file);
    if (!bytes_to_text(bytes_of(real), w->top, sizeof w->top) ||
        (size_t)snprintf(w->work, sizeof w->work, "%s/berth-sim-XXXXXX", o->dir) >= sizeof w->work)
        return err_set(err, RC_TOO_LARGE, "path");
    return RC_OK;
}

/* Throw-away keys are encrypted like all others: no way around it exists, so none is tested. */
static enum rc write_passphrase(struct world *w, struct err *err)
{
    uint8_t random[16];
    char hex[2 * sizeof random + 1];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(err, RC_IO, "getrandom");
    (void)bytes_hex((struct bytes){ .p = random, .n = sizeof random }, hex);
    if (setenv("BERTH_PASSPHRASE_FILE", "passphrase", 1) < 0 || setenv("NO_COLOR", "1", 1) < 0 ||
        setenv("BERTH_HOME", "ground", 1) < 0)
        return err_sys(err, RC_IO, "environment");
    return fs_write_file(w->work_fd, "passphrase", bytes_of(hex), 0600, err);
}

static uint32_t print_result(const struct world *w)
{
    volatile const struct carrier_counts *c = w->carrier.counts;
    uint32_t failed = 0;

    (void)printf("\n%-8s  %-70s %8s\n", "RESULT", "EXPECTATION", "TOOK");
    for (uint32_t i = 0; i < w->n_checks; i++) {
        const struct world_check *k = &w->check[i];

        failed += k->held ? 0 : 1;
        (void)printf("%-8s  %-70s %6llu.%llus%s%s\n", k->held ? "held" : "NOT MET", k->text,
                     (unsigned long long)k->took_ms / 1000,
                     (unsigned long long)k->took_ms % 1000 / 100, k->held ? "" : "  ",
                     k->held ? "" : k->detail);
    }
    if (c)
        (void)printf("\nlink: %llu files sent, %llu lost, %llu doubled, %llu damaged, %llu held "
                     "back, %llu arrived; %llu passes, %llu kB up, %llu kB down\n",
                     (unsigned long long)c->sent, (unsigned long long)c->lost,
                     (unsigned long long)c->doubled, (unsigned long long)c->damaged,
                     (unsigned long long)c->held_back, (unsigned long long)c->delivered,
                     (unsigned long long)c->passes, (unsigned long long)c->bytes_up / 1000,
                     (unsigned long long)c->bytes_down / 1000);
    return failed;
}

/* All steps; the last look judges the guards over what happened since the last wait. */
static enum rc run_steps(struct world *w, struct err *err)
{
    for (uint32_t i = 0; i < w->scenario->n_steps; i++) {
        enum rc rc = world_interrupted(err);

        if (rc == RC_OK)
            rc = step_run(w, &w->scenario->step[i], err);
        if (rc != RC_OK) {
            char text[256];

            (void)fprintf(stderr, "berth-sim: %s:%u: %s: %s\n", w->scenario->name,
                          w->scenario->step[i].line, verb_name(w->scenario->step[i].verb),
                          err_text(err, text, sizeof text));
            return rc;
        }
    }
    return world_look(w, err);
}

static int simulate(const struct options *o, struct world *w, struct err *err)
{
    enum rc rc = places(w, o, err);
    uint32_t failed;

    if (rc == RC_OK)
        rc = world_open(w, err);
    if (rc != RC_OK)
        return -1;
    (void)printf("scenario %s, seed %llu, in %s\n", w->scenario->name, (unsigned long long)w->seed,
                 w->work);
    rc = write_passphrase(w, err);
    if (rc == RC_OK)
        rc = run_steps(w, err);
    failed = print_result(w);

    bool good = rc == RC_OK && failed == 0;

    if (good && world_now(w) > w->scenario->limit_ms) {
        (void)printf("took longer than the scenario's limit of %llu s\n",
                     (unsigned long long)w->scenario->limit_ms / 1000);
        good = false;
    }
    (void)printf("\n%s: %u of %u expectations held in %llu.%llu s\n", good ? "PASSED" : "FAILED",
                 w->n_checks - failed, w->n_checks, (unsigned long long)world_now(w) / 1000,
                 (unsigned long long)world_now(w) % 1000 / 100);
    if (!good)
        (void)printf("replay: berth-sim run %s --seed %llu; logs and state: %s\n", o->file,
                     (unsigned long long)w->seed, w->work);
    world_close(w, o->keep || !good);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o;
    scoped(free_ptr) struct scenario *scenario = NULL;
    scoped(free_ptr) struct world *w = calloc(1, sizeof *w);
    struct err err = { 0 };
    char text[256];
    int code = parse(argc, argv, &o);

    if (code != 0)
        return code;
    if (geteuid() != 0) {
        (void)fputs("berth-sim: needs root, because the agents make real sandboxes\n"
                    "to fix: run it with sudo\n",
                    stderr);
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    world_catch_signals();
    log_open("berth-sim", LOG_LEVEL_INFO);
    if (!w || scenario_load(o.file, &scenario, &err) != RC_OK) {
        (void)fprintf(stderr, "berth-sim: %s\n", err_text(&err, text, sizeof text));
        return 1;
    }
    w->scenario = scenario;
    w->work_fd = -1;
    w->seed = o.seeded ? o.seed : scenario->seed;
    code = simulate(&o, w, &err);
    if (code < 0) {
        (void)fprintf(stderr, "berth-sim: %s\n", err_text(&err, text, sizeof text));
        return 1;
    }
    return code;
}
