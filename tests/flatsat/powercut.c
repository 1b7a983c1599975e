/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/powercut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/flatsat/run.h"

#define STEP_MS 10U
#define PHASE_MS 600000U   /* until a phase begins */
#define REVOKED_TOTAL 200U /* a satellite's set has room for 256 */

struct powercut {
    const struct powercut_options *o;
    struct run run;
    struct rng rng;
    struct deck deck;
    uint32_t cuts, cleans, hits[PHASES];
};

/* ---- errands ------------------------------------------------------------------------------------
 */

/* Errands that cannot be had now become updates. */
static void adapt(const struct run *r, struct cut *cut)
{
    if (cut->errand != ERRAND_REVOKE || (r->before > 0 && r->revoked < REVOKED_TOTAL))
        return;
    cut->errand = ERRAND_UPDATE;
    cut->phase = PHASE_RECEIVE;
}

/* Until the moment that was drawn. */
static enum rc wait_moment(struct run *r, const struct cut *cut, struct err *err)
{
    const uint64_t delay = cut_delay_ms(cut, &r->phases);
    uint64_t end = clock_mono_ms() + PHASE_MS;
    bool begun = false;

    while (clock_mono_ms() < end) {
        enum rc rc = guest_step(&r->guest, begun ? 1 : STEP_MS, err);

        if (rc != RC_OK)
            return rc;
        if (!begun && r->phases.now == cut->phase) {
            begun = true;
            end = r->phases.since_ms + delay;
        }
    }
    return begun ? RC_OK
                 : err_set(err, RC_SCENARIO, "bricked: %s has no phase '%s'",
                           errand_name(r->errand), phase_name(cut->phase));
}

static void count_cut(struct powercut *p)
{
    struct run *r = &p->run;
    p->cuts++;
    p->hits[r->phases.now]++;
    run_say(r, "cut %u: %s, %s + %llu ms", p->cuts, errand_name(r->errand),
            phase_name(r->phases.now), (unsigned long long)(clock_mono_ms() - r->phases.since_ms));
}

/* A cut in the middle of coming up again, somewhere from the half of it to just after. */
static enum rc cut_again(struct powercut *p, struct err *err)
{
    struct run *r = &p->run;
    const uint64_t usual = r->phases.usual_ms[PHASE_BOOT];
    uint64_t end;
    enum rc rc = run_power_on(r, err);

    end = clock_mono_ms() + usual / 2 + rng_below(&p->rng, usual / 2 + 2000);
    while (rc == RC_OK && clock_mono_ms() < end)
        rc = guest_step(&r->guest, 1, err);
    if (rc != RC_OK)
        return rc;
    guest_cut(&r->guest);
    count_cut(p);
    return run_look_at_disk(r, err);
}

static enum rc end_power(struct powercut *p, const struct cut *cut, struct err *err)
{
    struct run *r = &p->run;
    if (!cut->clean) {
        guest_cut(&r->guest);
        count_cut(p);
        return RC_OK;
    }
    p->cleans++;
    run_say(r, "off in order: %s, %s", errand_name(r->errand), phase_name(r->phases.now));
    return guest_power_off(&r->guest, RUN_COMMAND_MS, err);
}

/* One errand, one cut, and all that has to be right after it. */
static enum rc one_round(struct powercut *p, struct err *err)
{
    struct run *r = &p->run;
    struct cut cut = cut_draw(&p->deck, &p->rng);
    enum rc rc;

    adapt(r, &cut);
    rc = run_begin(r, cut.errand, err);
    if (rc == RC_OK)
        rc = wait_moment(r, &cut, err);
    if (rc == RC_OK)
        rc = end_power(p, &cut, err);
    if (rc == RC_OK)
        rc = run_look_at_disk(r, err);
    if (rc == RC_OK && cut.again)
        rc = cut_again(p, err);
    if (rc == RC_OK)
        rc = run_power_on(r, err);
    if (rc == RC_OK)
        rc = run_wait_ready(r, err);
    if (rc == RC_OK)
        rc = run_wait_end(r, err);
    if (rc == RC_OK)
        rc = run_check_inside(r, err);
    if (rc == RC_OK)
        rc = ground_runs(&r->ground, err);
    if (rc == RC_OK)
        run_settle(r);
    return rc;
}

/* ---- fs-verity ----------------------------------------------------------------------------------
 */

/* In a guest without the agent: all files of the version are sealed, nobody can write to one, and
 * the kernel gives no byte of the one that has changed on the medium. */
static enum rc check_sealed(struct run *r, struct err *err)
{
    static const char form[] = "cd /var/lib/berth/%s/root && "
                               "find . -type f ! -exec fsverity measure {} \\; -print && "
                               "(: >>bin/beacon) 2>&1 | grep -o 'Operation not permitted' && "
                               "cat ballast 2>&1 >/dev/null | grep -o 'Input/output error'";
    scoped(free_ptr) char *output = NULL;
    char line[sizeof form + sizeof r->disk.slot];
    int status = 0;

    (void)snprintf(line, sizeof line, form, r->disk.slot);
    enum rc rc = guest_run(&r->guest, line, RUN_COMMAND_MS, &status, &output, err);

    if (rc != RC_OK)
        return rc;
    (void)dprintf(r->log_fd, "$ %s\n%s", line, output);
    /* a line "sha256:... FILE" for each file, and the two refusals */
    const char *refusals = strstr(output, "Operation not permitted\nInput/output error\n");

    if (status != 0 || !refusals || strncmp(output, "sha256:", 7) != 0)
        return err_set(err, RC_SCENARIO, "fs-verity: not all files of %s are sealed, see the log",
                       r->disk.good);
    for (const char *at = output; at < refusals; at = strchr(at, '\n') + 1)
        if (strncmp(at, "sha256:", 7) != 0)
            return err_set(err, RC_SCENARIO, "fs-verity: not sealed: %.40s", at);
    return RC_OK;
}

/* One bit of the version that runs flips while the power is off: the kernel refuses to read it, and
 * the agent gets the version again. */
static enum rc flip_and_repair(struct run *r, struct err *err)
{
    char path[sizeof r->disk.slot + sizeof "/root/ballast"];
    enum rc rc;

    (void)snprintf(path, sizeof path, "%s/root/ballast", r->disk.slot);
    rc = disk_flip(r->work_fd, r->log_fd, RUN_STATE, path, err);
    if (rc == RC_OK)
        rc = run_power_on_with(r, "systemd.mask=berthd.service", err);
    if (rc == RC_OK)
        rc = check_sealed(r, err);
    if (rc == RC_OK)
        rc = guest_power_off(&r->guest, RUN_COMMAND_MS, err);
    if (rc == RC_OK)
        run_say(r, "fs-verity: all files of %s are sealed, and the kernel refuses a flipped bit",
                r->disk.good);
    if (rc == RC_OK)
        rc = run_power_on(r, err);
    if (rc == RC_OK)
        rc = run_wait_ready(r, err);
    if (rc == RC_OK)
        rc = run_wait_well(r, err);
    if (rc == RC_OK)
        rc = guest_power_off(&r->guest, RUN_COMMAND_MS, err);
    return rc == RC_OK ? run_look_at_disk(r, err) : rc;
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static enum rc whole_run(struct powercut *p, struct err *err)
{
    struct run *r = &p->run;
    enum rc rc = run_prepare(r, err);

    if (rc == RC_OK)
        rc = run_first_version(r, err);
    while (rc == RC_OK && p->cuts < p->o->cuts)
        rc = one_round(p, err);
    if (rc == RC_OK)
        rc = guest_power_off(&r->guest, RUN_COMMAND_MS, err);
    if (rc == RC_OK)
        rc = run_look_at_disk(r, err);
    return rc == RC_OK ? flip_and_repair(r, err) : rc;
}

static void write_row(const struct powercut *p, bool good)
{
    const struct run *r = &p->run;
    FILE *out = p->o->row ? fopen(p->o->row, "ae") : NULL;

    if (!out)
        return;
    (void)fprintf(out,
                  "{\"figure\":\"power cuts of a flatsat with nothing lost\",\"value\":%u,\"unit\":"
                  "\"cuts\",\"seed\":%llu,\"boots\":%u,\"lost\":%d,\"seconds\":%llu,\"phases\":{",
                  p->cuts, (unsigned long long)r->seed, r->boots, good ? 0 : 1,
                  (unsigned long long)(clock_mono_ms() - r->began_ms) / 1000);
    for (size_t i = 0; i < PHASES; i++)
        (void)fprintf(out, "%s\"%s\":%u", i ? "," : "", phase_name((enum phase)i), p->hits[i]);
    (void)fprintf(out, "}}\n");
    (void)fclose(out);
}

static void verdict(const struct powercut *p, bool good, const struct err *err)
{
    const struct run *r = &p->run;
    char text[256];

    (void)printf("flatsat: %u cuts, %u boots, %u switched off in order; errands:", p->cuts,
                 r->boots, p->cleans);
    for (size_t i = 0; i < ERRANDS; i++)
        (void)printf(" %s %u", errand_name((enum errand)i), r->done[i]);
    (void)printf("; phases:");
    for (size_t i = 0; i < PHASES; i++)
        if (p->hits[i] > 0)
            (void)printf(" %s %u", phase_name((enum phase)i), p->hits[i]);
    if (good) {
        (void)printf("; lost 0, bricked 0\n");
        return;
    }
    (void)printf("; FAILED: %s\n", err_text(err, text, sizeof text));
    (void)printf("disk, console.txt, log.txt: %s\nagain: make flatsat-powercut N=%llu SEED=%llu\n",
                 r->work, (unsigned long long)p->o->cuts, (unsigned long long)r->seed);
}

int powercut_run(const struct powercut_options *options)
{
    scoped(free_ptr) struct powercut *p = calloc(1, sizeof *p);
    struct err err = { 0 };

    if (!p)
        return 1;
    p->o = options;
    p->rng = rng_make(options->seed, 1);
    p->run = (struct run){ .images = options->images,
                           .seed = options->seed,
                           .verbose = options->verbose };
    const bool good = whole_run(p, &err) == RC_OK;

    verdict(p, good, &err);
    write_row(p, good);
    run_close(&p->run, options->keep || !good);
    return good ? 0 : 1;
}
