/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-ground: the daemon between the store and the links (docs/guide/operator.md).
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/complaint.h"
#include "orchestrator/ground.h"

#define TICK_MS_MIN 10U
#define TICK_MS_MAX 60000U
#define WATCHDOG_TICKS_MAX                                                                         \
    20U /* failed rounds in a row before the service manager may restart us */

struct program {
    struct ground_options ground;
    uint64_t tick_ms;
    uint64_t silent_rounds;  /* failed in a row */
    struct complaint failed; /* of rounds */
    bool once;
    bool stands_by; /* another one reconciles; said once */
    bool verbose;
    struct ground *state;
};

enum {
    OPT_HOME = 1,
    OPT_TICK,
    OPT_BUDGET,
    OPT_FILES,
    OPT_RESEND,
    OPT_FLIGHT,
    OPT_LEASE,
    OPT_ONCE,
    OPT_VERBOSE
};

static const struct option options[] = {
    { "home", required_argument, NULL, OPT_HOME },
    { "tick-ms", required_argument, NULL, OPT_TICK },
    { "up-budget", required_argument, NULL, OPT_BUDGET },
    { "up-files", required_argument, NULL, OPT_FILES },
    { "resend-ms", required_argument, NULL, OPT_RESEND },
    { "flight-ms", required_argument, NULL, OPT_FLIGHT },
    { "lease-ms", required_argument, NULL, OPT_LEASE },
    { "once", no_argument, NULL, OPT_ONCE },
    { "verbose", no_argument, NULL, OPT_VERBOSE },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

static void usage(FILE *out)
{
    (void)fputs("usage: berth-ground [--home DIR] [options]\n"
                "  --home DIR        home directory (else $BERTH_HOME, else .berth)\n"
                "  --tick-ms N       length of a round (500)\n"
                "  --up-budget N     bytes to send per satellite and round (1048576)\n"
                "  --up-files N      bundle files that may wait for the carrier (256)\n"
                "  --resend-ms N     send again what is not acknowledged for so long\n"
                "  --flight-ms N     longest time that a file is on its way (1000)\n"
                "  --lease-ms N      others of this fleet take over after so long (15000)\n"
                "  --once            one round, then end\n"
                "  --verbose         log every file sent\n",
                out);
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end = NULL;

    errno = 0;
    unsigned long long value = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;

    if (!end || *end != '\0' || errno != 0 || value < min || value > max) {
        (void)fprintf(stderr, "berth-ground: '%s' is not a number from %llu to %llu\n", text,
                      (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret = value;
    return true;
}

/* One option; false ends the program. */
static bool take_option(struct program *p, int option)
{
    switch (option) {
    case OPT_HOME:
        p->ground.home = optarg;
        return true;
    case OPT_TICK:
        return number(optarg, TICK_MS_MIN, TICK_MS_MAX, &p->tick_ms);
    case OPT_BUDGET:
        return number(optarg, 1024, UINT32_MAX, &p->ground.up_budget);
    case OPT_FILES:
        return number(optarg, 1, 1000000, &p->ground.up_files);
    case OPT_RESEND:
        return number(optarg, 1, UINT32_MAX, &p->ground.resend_ms);
    case OPT_FLIGHT:
        return number(optarg, 1, UINT32_MAX, &p->ground.flight_ms);
    case OPT_LEASE:
        return number(optarg, 1000, UINT32_MAX, &p->ground.lease_ms);
    case OPT_ONCE:
        p->once = true;
        return true;
    case OPT_VERBOSE:
        p->verbose = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct program *p, int argc, char **argv)
{
    for (;;) {
        int option = getopt_long(argc, argv, "h", options, NULL);

        if (option == -1)
            break;
        if (option == 'h') {
            usage(stdout);
            exit(0);
        }
        if (!take_option(p, option)) {
            usage(stderr);
            return false;
        }
    }
    if (optind != argc)
        usage(stderr);
    return optind == argc;
}

static enum rc round_of(struct program *p)
{
    struct err err = { 0 };
    enum rc rc = ground_tick(p->state, clock_mono_ms(), clock_unix_ms(), &err);

    const bool stands_by = rc == RC_BUSY && ground_stands_by(p->state);

    if (stands_by && !p->stands_by)
        log_event(LOG_LEVEL_INFO, "stands-by why=\"%s\"", err.what);
    if (!stands_by && p->stands_by)
        log_event(LOG_LEVEL_INFO, "takes-over");
    p->stands_by = stands_by;
    if (stands_by && !p->once)
        rc = RC_OK;
    const uint64_t times = p->failed.times;

    if (rc == RC_OK && !stands_by && complaint_over(&p->failed))
        log_event(LOG_LEVEL_INFO, "rounds-well failed=%llu", (unsigned long long)times);
    if (rc != RC_OK && complaint_due(&p->failed, &err, clock_mono_ms()))
        log_err(LOG_LEVEL_ERROR, &err, "round-failed times=%llu",
                (unsigned long long)p->failed.times);
    p->silent_rounds = rc == RC_OK ? 0 : p->silent_rounds + 1;
    if (p->silent_rounds < WATCHDOG_TICKS_MAX)
        (void)sd_notify(0, "WATCHDOG=1");
    return rc;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
    struct program *p = arg;

    (void)round_of(p);
    int r = sd_event_source_set_time(source, usec + p->tick_ms * 1000);

    /* After a long round the next one is due at once, not several of them. */
    uint64_t now = 0;

    if (r >= 0 && sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now) >= 0 &&
        now > usec + p->tick_ms * 1000)
        r = sd_event_source_set_time(source, now);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int loop(struct program *p)
{
    sd_event *event = NULL;
    sd_event_source *timer = NULL;
    sigset_t signals;
    int r = sd_event_new(&event);

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (r >= 0 && sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        r = -errno;
    /* Without a handler both signals end the loop, between rounds. */
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, 0, 1000, on_tick, p);
    if (r >= 0) {
        (void)sd_notify(0, "READY=1");
        log_event(LOG_LEVEL_INFO, "ready home=%s tick_ms=%llu", p->ground.home,
                  (unsigned long long)p->tick_ms);
        r = sd_event_loop(event);
    }
    (void)sd_notify(0, "STOPPING=1");
    sd_event_source_unref(timer);
    sd_event_unref(event);
    if (r < 0)
        log_event(LOG_LEVEL_ERROR, "event-loop errno=%d", -r);
    return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *env = getenv("BERTH_HOME");
    struct program p = { .ground = { .home = env && env[0] ? env : ".berth",
                                     .up_budget = 1024U * 1024U,
                                     .up_files = 256 },
                         .tick_ms = 500 };
    struct err err = { 0 };

    if (!parse(&p, argc, argv))
        return 2;
    log_open("berth-ground", p.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (ground_open(&p.ground, &p.state, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "open home=%s", p.ground.home);
        return 1;
    }
    int code = p.once ? round_of(&p) != RC_OK : loop(&p);

    ground_close(&p.state);
    log_event(LOG_LEVEL_INFO, "stopped");
    return code;
}
