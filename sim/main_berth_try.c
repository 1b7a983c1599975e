/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-try: run a payload on its author's own machine as it would run in orbit, as far as an
 * ordinary user can, and say what is missing.
 *
 * Input: the directory of a payload.yaml or a package, from `berth try` or a person; optionally a
 * grant and a scenario.  Nobody's signature is looked at.  Everything is in memory and in
 * namespaces that end with this process; control groups, where the user has any, are removed by a
 * process that waits for its end, however that comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "orchestrator/path.h"
#include "orchestrator/yaml_units.h"
#include "sim/try.h"

#define FOR_MAX_MS (UINT64_C(7) * 86400U * 1000U)
#define HOUSE_BYTES (UINT64_C(16) << 30) /* at most; what is not used costs nothing */
#define SWEEP_MS 8000U
#define LOW_FDS 10 /* the child of a launcher uses what is below */

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 5 };

struct options {
    bool json;
    const char *what, *grant, *scenario, *outbox;
    uint64_t for_ms; /* 0 = until it ends */
    struct wall_policy policy;
};

static void usage(FILE *out)
{
    (void)fputs(
        "usage: berth-try [--json] [--grant FILE] [--scenario FILE] [--for DURATION]\n"
        "                 [--outbox DIR] [--require WALL,...] DIR|PACKAGE\n\n"
        "  --grant FILE      the grant whose limits apply (else what the payload asks for)\n"
        "  --scenario FILE   passes, mail and faults, and what must follow\n"
        "  --for DURATION    end it after so long (5s, 2m)\n"
        "  --outbox DIR      keep there what comes down in a pass\n"
        "  --require WALL    refuse to run where this wall is missing; several: with commas\n"
        "  --json            one JSON object for each event\n\n"
        "not as root.  Ends with 0 if all went well, 1 if not, 5 if it is refused.\n",
        out);
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' },           { "grant", required_argument, NULL, 'g' },
        { "scenario", required_argument, NULL, 's' }, { "for", required_argument, NULL, 'f' },
        { "outbox", required_argument, NULL, 'o' },   { "require", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' },           { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'j')
            o->json = true;
        else if (c == 'g')
            o->grant = optarg;
        else if (c == 's')
            o->scenario = optarg;
        else if (c == 'o')
            o->outbox = optarg;
        else if (c == 'r')
            wall_policy_require(&o->policy, optarg);
        else if (c == 'h') {
            usage(stdout);
            exit(EXIT_FINE);
        } else if (c != 'f' || !yaml_unit_parse(YAML_UNIT_TIME, optarg, &o->for_ms) ||
                   o->for_ms == 0 || o->for_ms > FOR_MAX_MS) {
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1 || (o->scenario != NULL && o->for_ms != 0))
        return EXIT_USAGE;
    o->what = argv[optind];
    /* An ordinary user does without what cannot be had, unless it is asked for. */
    for (unsigned i = 0; i < WALLS_MAX; i++) {
        if (wall_name(i) != NULL && wall_kind(i) != WALL_KIND_BASIS)
            o->policy.waive |= 1ULL << i;
    }
    o->policy.waive &= ~o->policy.require;
    return EXIT_FINE;
}

static int fail(const struct options *o, const struct err *err, const char *fix)
{
    const enum rc_class class = rc_class(err->rc);
    char text[256];

    (void)err_text(err, text, sizeof text);
    (void)fflush(stdout);
    (void)fprintf(stderr, "berth try: %s: %s\n", o->what, text);
    if (fix != NULL)
        (void)fprintf(stderr, "to fix: %s\n", fix);
    return (class == RC_CLASS_REFUSED && err->rc != RC_EXPECTATION) || err->rc == RC_CONFINE ||
                   err->rc == RC_LAYER_MISSING
               ? EXIT_REFUSED
               : EXIT_FAILED;
}

/* ---- what must go, however this ends --------------------------------------------------------- */

struct sweeper {
    pid_t pid; /* 0 = there is nothing to sweep */
    int held;  /* as long as this is open we live */
};

/* It waits outside of our session, so that whoever ends us does not end it with us. */
static _Noreturn void sweep(struct cgroup_tree *tree, int lives)
{
    char byte;

    (void)setsid();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    while (read(lives, &byte, 1) < 0 && errno == EINTR)
        continue;
    cgroup_tree_close_own(tree, clock_mono_ms() + SWEEP_MS);
    _exit(0);
}

static enum rc sweeper_start(struct cgroup_tree *tree, struct sweeper *ret, struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(err, RC_IO, "pipe");
    ret->pid = fork();
    if (ret->pid < 0)
        return err_sys(err, RC_IO, "fork");
    if (ret->pid == 0) {
        (void)close(ends[1]);
        sweep(tree, ends[0]);
    }
    (void)close(ends[0]);
    ret->held = ends[1];
    return RC_OK;
}

static void sweeper_end(struct sweeper *s)
{
    close_fd(&s->held);
    while (s->pid > 0 && waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Whatever of it this user has. */
static enum rc open_groups(struct try *t, struct sweeper *s, struct err *err)
{
    char name[NAME_CAP];
    struct err why;

    cgroup_tree_none(&t->launcher.tree);
    (void)snprintf(name, sizeof name, "berth-try-%d", getpid());
    if (cgroup_tree_open_own(name, &t->launcher.tree, &why) != RC_OK)
        return RC_OK;
    enum rc rc = sweeper_start(&t->launcher.tree, s, err);

    if (rc != RC_OK)
        cgroup_tree_close_own(&t->launcher.tree, clock_mono_ms() + SWEEP_MS);
    return rc;
}

/* ---- setting up ------------------------------------------------------------------------------ */

static enum rc open_signals(struct try *t, struct err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_sys(err, RC_IO, "signals");
    t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return t->signals < 0 ? err_sys(err, RC_IO, "signals") : RC_OK;
}

static enum rc open_house(struct try *t, struct err *err)
{
    enum rc rc = ordinary_memory(-1, "files", HOUSE_BYTES, &t->house, err);

    if (rc == RC_OK)
        rc = fs_open_dir(t->house, "slots", 0755, &t->slots, err);
    if (rc == RC_OK)
        rc = fs_open_dir(t->house, "store", 0700, &t->store, err);
    t->launcher.slots = t->slots;
    return rc;
}

/* Directories that outlive a restart of the payload. */
static enum rc open_dirs(struct try *t, struct err *err)
{
    const struct plan_limits *l = &t->plan.limits;
    enum rc rc = RC_OK;

    if (t->plan.has_data != 0)
        rc = ordinary_memory(t->house, "data", l->data_bytes, &t->self.data, err);
    if (rc != RC_OK || t->plan.has_mail == 0)
        return rc;
    rc = ordinary_memory(t->house, "mail", l->inbox_bytes + l->outbox_bytes, &t->self.mail, err);
    if (rc != RC_OK)
        return rc;
    t->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (int i = 0; t->watch >= 0 && i < 2; i++) {
        char path[48];
        scoped(close_fd) int dir = -1;

        rc = fs_open_dir(t->self.mail, i == 0 ? "in" : "out", 0700, &dir, err);
        if (rc != RC_OK)
            return rc;
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
        if (inotify_add_watch(t->watch, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
            return err_sys(err, RC_IO, "mail");
    }
    return t->watch < 0 ? err_sys(err, RC_IO, "mail") : RC_OK;
}

static enum rc prepare(const struct options *o, struct try *t, struct err *err)
{
    enum rc rc = open_house(t, err);

    if (rc == RC_OK)
        rc = try_input_open(o->what, o->grant, t->slots, "slot", &t->input, err);
    if (rc != RC_OK)
        return rc;
    const struct manifest *m = t->input.unpacked.manifest;

    t->life = life_of(m);
    rc = plan_make(m, t->input.grant, 0, m->limits.data_bytes != 0, &t->plan, err);
    if (rc == RC_OK)
        rc = open_dirs(t, err);
    if (rc != RC_OK)
        return rc;
    try_bus_open(t);
    ordinary_init(&t->launcher, &o->policy, &t->self);
    try_show_walls(t);
    return walls_check(&t->launcher.walls, err);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Without a scenario: until it ends, somebody interrupts, or the time is up. */
static enum rc run_alone(struct try *t, uint64_t for_ms, struct err *err)
{
    enum rc rc = try_start(t, err);
    uint64_t until = for_ms == 0 ? UINT64_MAX : clock_mono_ms() + for_ms;

    t->pass = true; /* all of the time */
    while (rc == RC_OK && t->running) {
        if (clock_mono_ms() >= until && !t->kill_told) {
            try_event(t, "time", "is up");
            t->wanted = false;
            try_end(t, TRY_GRACE_MS, RC_OK);
        }
        rc = try_turn(t, t->kill_told ? UINT64_MAX : until, err);
    }
    if (rc == RC_OK && t->wanted && (t->last.rc != RC_EXITED || t->last.status != 0))
        return err_set(err, (enum rc)t->last.rc, "%u",
                       t->last.status < 0 ? 0U : (unsigned)t->last.status);
    return rc;
}

static int run(const struct options *o, struct try *t, const struct try_scenario *s)
{
    struct err err = { 0 };
    struct err late = { 0 };
    enum rc rc = ordinary_enter(&err);

    if (rc == RC_LAYER_MISSING)
        return fail(o, &err, ordinary_advice());
    if (rc == RC_OK)
        rc = prepare(o, t, &err);
    if (rc != RC_OK)
        return fail(o, &err,
                    rc == RC_LAYER_MISSING ? "do without this wall: leave it out of --require"
                                           : NULL);
    rc = s != NULL ? try_play(t, s, &err) : run_alone(t, o->for_ms, &err);
    t->wanted = false;
    if (t->running) {
        try_end(t, rc == RC_OK ? TRY_GRACE_MS : 0, RC_OK);
        (void)!try_await_end(t, &late);
    }
    if (rc == RC_OK)
        return EXIT_FINE;
    (void)fail(o, &err, NULL);
    return EXIT_FAILED;
}

static enum rc load(const struct options *o, struct try *t, struct try_scenario **ret_scenario,
                    struct err *err)
{
    enum rc rc = RC_OK;

    if (geteuid() == 0)
        return err_set(err, RC_CONFINE, "trying a payload as root");
    if (o->scenario != NULL)
        rc = try_scenario_load(o->scenario, ret_scenario, err);
    if (rc == RC_OK && o->outbox != NULL)
        rc = path_open_dir(o->outbox, true, &t->outbox_dirfd, err);
    return rc == RC_OK ? open_signals(t, err) : rc;
}

int main(int argc, char **argv)
{
    static struct try t = {
        .outbox_dirfd = -1,
        .house = -1,
        .slots = -1,
        .store = -1,
        .signals = -1,
        .watch = -1,
        .bus = { .program = -1, .listen_fd = -1, .process = { .pidfd = -1, .sock = -1 } },
        .self = { .data = -1, .mail = -1 },
        .input = TRY_INPUT_NONE
    };
    scoped(free_ptr) struct try_scenario *scenario = NULL;
    struct options o = { 0 };
    struct sweeper sweeper = { .held = -1 };
    struct err err = { 0 };
    int low;

    log_open("berth-try", LOG_LEVEL_WARN);
    while ((low = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && low < LOW_FDS)
        continue;
    if (parse(argc, argv, &o) != EXIT_FINE) {
        usage(stderr);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    t.show.json = o.json;
    t.instance = INSTANCE_INIT;
    if (load(&o, &t, &scenario, &err) != RC_OK)
        return fail(&o, &err,
                    err.rc == RC_CONFINE ? "run it as yourself: a payload needs no privilege to be "
                                           "tried"
                                         : NULL);
    if (open_groups(&t, &sweeper, &err) != RC_OK)
        return fail(&o, &err, NULL);
    int code = run(&o, &t, scenario);

    sweeper_end(&sweeper);
    try_input_done(&t.input);
    return fflush(stdout) == 0 ? code : EXIT_FAILED;
}
