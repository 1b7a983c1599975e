/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "sim/proc.h"

#define OUTPUT_MAX (4U * 1024U * 1024U)
#define STOP_MS 5000U
#define FLIGHT_MS 300U /* from one directory to the other and a report back, without delay */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    interrupted = sig;
}

void world_catch_signals(void)
{
    /* once: who asks a second time does not want to wait for an orderly end */
    const struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGHUP, &act, NULL);
}

enum rc world_interrupted(struct err *err)
{
    return interrupted ? err_set(err, RC_SCENARIO, "interrupted by signal %d", (int)interrupted)
                       : RC_OK;
}

uint64_t world_now(const struct world *w)
{
    return clock_mono_ms() - w->start_ms;
}

void world_say(const struct world *w, const char *fmt, ...)
{
    uint64_t now = world_now(w);
    va_list args;

    (void)printf("%3llu.%llus  ", (unsigned long long)now / 1000,
                 (unsigned long long)now % 1000 / 100);
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)printf("\n");
    (void)fflush(stdout);
}

static enum rc open_lane(struct world *w, size_t i, struct err *err)
{
    static const char *const names[] = { "up", "uplink", "downlink", "down", "capture", "state" };
    struct world_satellite *s = &w->satellite[i];
    char path[128];

    s->of = &w->scenario->satellite[i];
    for (size_t d = 0; d < sizeof names / sizeof *names; d++)
        s->dir[d] = -1;
    for (size_t d = 0; d < sizeof names / sizeof *names; d++) {
        (void)snprintf(path, sizeof path, "sats/%s/%s", s->of->id, names[d]);

        enum rc rc = fs_make_dirs(w->work_fd, path, 0755, err);

        if (rc == RC_OK)
            rc = fs_open(w->work_fd, path, O_RDONLY | O_DIRECTORY, 0, &s->dir[d], err);
        if (rc != RC_OK)
            return rc;
    }
    w->lanes[i] = (struct carrier_satellite){ .from_ground = s->dir[WORLD_DIR_UP],
                                              .to_satellite = s->dir[WORLD_DIR_UPLINK],
                                              .from_satellite = s->dir[WORLD_DIR_DOWNLINK],
                                              .to_ground = s->dir[WORLD_DIR_DOWN],
                                              .capture = s->dir[WORLD_DIR_CAPTURE] };
    (void)snprintf(w->lanes[i].id, sizeof w->lanes[i].id, "%s", s->of->id);
    return RC_OK;
}

enum rc world_open(struct world *w, struct err *err)
{
    enum rc rc = RC_OK;

    w->log_fd = -1;
    w->start_ms = clock_mono_ms();
    if (!mkdtemp(w->work))
        return err_sys(err, RC_IO, "%s", w->work);
    /* agents drop their rights and still must reach their directories below this one */
    if (chmod(w->work, 0755) < 0)
        return err_sys(err, RC_IO, "%s", w->work);
    w->work_fd = open(w->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->work_fd < 0)
        return err_sys(err, RC_IO, "%s", w->work);
    rc = fs_open(w->work_fd, "log.txt", O_WRONLY | O_CREAT | O_APPEND, 0644, &w->log_fd, err);
    for (size_t i = 0; i < w->scenario->n_satellites && rc == RC_OK; i++)
        rc = open_lane(w, i, err);
    return rc;
}

void world_close(struct world *w, bool keep)
{
    struct err err;

    if (w->ground > 0)
        proc_stop(w->ground, SIGTERM, STOP_MS);
    for (size_t i = 0; i < w->scenario->n_satellites; i++) {
        struct world_satellite *s = &w->satellite[i];

        if (s->agent > 0)
            proc_stop(s->agent, SIGTERM, STOP_MS);
        for (size_t d = 0; d < sizeof s->dir / sizeof *s->dir; d++)
            close_fd(&s->dir[d]);
    }
    if (w->carrying)
        carrier_stop(&w->carrier);
    close_fd(&w->log_fd);
    close_fd(&w->work_fd);
    if (!keep && fs_remove_tree(AT_FDCWD, w->work, &err) != RC_OK)
        (void)fprintf(stderr, "berth-sim: could not remove %s\n", w->work);
}

enum rc world_expand(const struct world *w, const char *text, char *out, size_t cap,
                     struct err *err)
{
    const struct {
        const char *name;
        const char *value;
    } vars[] = { { "${work}", w->work }, { "${top}", w->top }, { "${build}", w->build } };
    size_t n = 0;

    while (*text) {
        const char *piece = text;
        size_t len = 1;

        text++;
        for (size_t i = 0; i < sizeof vars / sizeof *vars; i++)
            if (strncmp(piece, vars[i].name, strlen(vars[i].name)) == 0) {
                text = piece + strlen(vars[i].name);
                piece = vars[i].value;
                len = strlen(piece);
                break;
            }
        if (len >= cap - n)
            return err_set(err, RC_SCENARIO, "value too long");
        memcpy(out + n, piece, len);
        n += len;
    }
    out[n] = 0;
    return RC_OK;
}

enum rc world_berth(struct world *w, const char *line, int *ret_exit, char **ret_out,
                    struct err *err)
{
    char program[WORLD_PATH_CAP + 16];
    char text[4 * STEP_VALUE_CAP];
    char *argv[PROC_ARGS_MAX + 1];
    size_t n = 0;
    char *save = NULL;
    enum rc rc = world_expand(w, line, text, sizeof text, err);

    if (rc != RC_OK)
        return rc;
    (void)snprintf(program, sizeof program, "%s/berth", w->build);
    argv[n++] = program;
    for (char *part = strtok_r(text, " ", &save); part; part = strtok_r(NULL, " ", &save)) {
        if (n == PROC_ARGS_MAX)
            return err_set(err, RC_SCENARIO, "too many words");
        argv[n++] = part;
    }
    argv[n] = NULL;
    return proc_run(argv, w->work_fd, w->log_fd, OUTPUT_MAX, ret_exit, ret_out, err);
}

enum rc world_start_ground(struct world *w, struct err *err)
{
    char program[WORLD_PATH_CAP + 16];
    char home[] = "--home";
    char dir[] = "ground";
    char tick[] = "--tick-ms";
    char ms[] = "100";
    char flight[] = "--flight-ms";
    char flight_ms[24];
    char *argv[] = { program, home, dir, tick, ms, flight, flight_ms, NULL };

    (void)snprintf(program, sizeof program, "%s/berth-ground", w->build);
    (void)snprintf(flight_ms, sizeof flight_ms, "%llu",
                   (unsigned long long)w->scenario->link.delay_ms + FLIGHT_MS);
    return proc_start(argv, w->work_fd, w->log_fd, &w->ground, err);
}

enum rc world_start_agent(struct world *w, struct world_satellite *s, struct err *err)
{
    char program[WORLD_PATH_CAP + 16];
    char state[WORLD_PATH_CAP + 64];
    char up[WORLD_PATH_CAP + 64];
    char down[WORLD_PATH_CAP + 64];
    char group[NAME_CAP + 32];
    char o_state[] = "--state";
    char o_up[] = "--uplink";
    char o_down[] = "--downlink";
    char o_group[] = "--cgroup";
    char o_beat[] = "--heartbeat-ms";
    char beat[] = "400";
    char *argv[] = { program, o_state, state, o_up,   up,   o_down,
                     down,    o_group, group, o_beat, beat, NULL };

    (void)snprintf(program, sizeof program, "%s/berthd", w->build);
    (void)snprintf(state, sizeof state, "%s/sats/%s/state", w->work, s->of->id);
    (void)snprintf(up, sizeof up, "%s/sats/%s/uplink", w->work, s->of->id);
    (void)snprintf(down, sizeof down, "%s/sats/%s/downlink", w->work, s->of->id);
    (void)snprintf(group, sizeof group, "berth-sim-%d-%s", (int)getpid(), s->of->id);
    return proc_start(argv, w->work_fd, w->log_fd, &s->agent, err);
}

enum rc world_start_carrier(struct world *w, struct err *err)
{
    enum rc rc;

    if (w->carrying)
        return RC_OK;
    rc = carrier_start(&w->scenario->link, w->seed, w->lanes, w->scenario->n_satellites,
                       &w->carrier, err);
    w->carrying = rc == RC_OK;
    return rc;
}

enum rc world_find(struct world *w, const char *id, struct world_satellite **ret, struct err *err)
{
    for (size_t i = 0; i < w->scenario->n_satellites; i++)
        if (strcmp(w->satellite[i].of->id, id) == 0) {
            *ret = &w->satellite[i];
            return RC_OK;
        }
    return err_set(err, RC_SCENARIO, "no satellite '%s'", id);
}

size_t world_check_add(struct world *w, const char *text)
{
    assert(w->n_checks < WORLD_CHECKS_MAX);
    (void)snprintf(w->check[w->n_checks].text, sizeof w->check[0].text, "%s", text);
    return w->n_checks++;
}

/* A process that should run has ended: say which. */
static enum rc still_running(struct world *w, struct err *err)
{
    int status;

    if (w->ground > 0 && !proc_running(w->ground, &status)) {
        w->ground = 0;
        return err_set(err, RC_SCENARIO, "berth-ground ended (status %d)", status);
    }
    if (w->carrying && !proc_running(w->carrier.pid, &status)) {
        w->carrier.pid = 0;
        return err_set(err, RC_SCENARIO, "the carrier ended (status %d)", status);
    }
    for (size_t i = 0; i < w->scenario->n_satellites; i++) {
        struct world_satellite *s = &w->satellite[i];

        if (s->agent > 0 && !proc_running(s->agent, &status)) {
            s->agent = 0;
            return err_set(err, RC_SCENARIO, "agent of %s ended (status %d)", s->of->id, status);
        }
    }
    return RC_OK;
}

static void print_payload(const struct world *w, const char *satellite,
                          const struct seen_payload *now)
{
    const struct seen_payload *old = seen_payload(&w->before, satellite, now->name);

    if (old && strcmp(old->state, now->state) == 0 && strcmp(old->version, now->version) == 0 &&
        strcmp(old->code, now->code) == 0)
        return;
    world_say(w, "  %-9s %-14s %-11s wanted %-8s runs %-8s %s", satellite, now->name,
              now->state[0] ? now->state : "-", now->wanted[0] ? now->wanted : "-",
              now->version[0] ? now->version : "-", now->code);
}

static bool known_event(const struct world *w, const char *satellite, const struct seen_event *e)
{
    for (uint32_t i = 0; i < w->before.n_satellites; i++) {
        const struct seen_satellite *s = &w->before.satellite[i];

        for (uint32_t k = 0; k < s->n_events && strcmp(s->id, satellite) == 0; k++)
            if (s->event[k].seq == e->seq && strcmp(s->event[k].code, e->code) == 0)
                return true;
    }
    return false;
}

static void print_changes(struct world *w)
{
    for (uint32_t i = 0; i < w->seen.n_satellites; i++) {
        const struct seen_satellite *s = &w->seen.satellite[i];

        for (uint32_t k = 0; k < s->n_payloads; k++)
            print_payload(w, s->id, &s->payload[k]);
        for (uint32_t k = 0; k < s->n_events; k++)
            if (!known_event(w, s->id, &s->event[k]))
                world_say(w, "  %-9s reports %s: %s", s->id, s->event[k].code, s->event[k].what);
    }
    w->before = w->seen;
}

/* A guard fails for good at the first look that breaks it. */
static void judge(struct world *w)
{
    for (uint32_t i = 0; i < w->n_guards; i++) {
        const struct world_guard *g = &w->guard[i];
        struct world_check *c = &w->check[g->check];
        const struct seen_payload *p =
            g->satellite ? seen_payload(&w->seen, g->satellite, g->payload) : NULL;

        if (!c->held)
            continue;
        if (g->satellite && (!p || !p->running || p->restarts != g->restarts)) {
            c->held = false;
            (void)snprintf(c->detail, sizeof c->detail, "at %llu ms: %s",
                           (unsigned long long)world_now(w),
                           !p            ? "gone from the report"
                           : !p->running ? "not running"
                                         : "was restarted");
        } else if (!g->satellite && condition_holds(&g->never, &w->seen)) {
            c->held = false;
            (void)snprintf(c->detail, sizeof c->detail, "happened at %llu ms",
                           (unsigned long long)world_now(w));
        }
    }
}

enum rc world_look(struct world *w, struct err *err)
{
    scoped(free_ptr) char *status = NULL;
    scoped(free_ptr) char *rollouts = NULL;
    int exit_status = 0;
    int exit_rollout = 0;
    enum rc rc = world_interrupted(err);

    if (rc == RC_OK)
        rc = still_running(w, err);
    if (rc == RC_OK)
        rc = world_berth(w, "status --json", &exit_status, &status, err);
    if (rc == RC_OK)
        rc = world_berth(w, "rollout status --json", &exit_rollout, &rollouts, err);
    if (rc == RC_OK)
        rc = seen_read(status, rollouts, &w->seen, err);
    if (rc != RC_OK)
        return rc;
    print_changes(w);
    judge(w);
    return RC_OK;
}
