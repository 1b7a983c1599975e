/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "sim/forge.h"
#include "sim/measure.h"
#include "sim/proc.h"

#define LOOK_MS 250U
#define WITHIN_MS 20000U
#define PASSPHRASE "passphrase" /* in the work directory: throw-away keys, but encrypted ones */
#define COPY_MAX (64U * 1024U * 1024U)
#define STOP_MS 5000U

/* "20s" or "300ms". */
static uint64_t duration(const char *text, uint64_t absent)
{
    char *end = NULL;
    uint64_t v = text ? strtoull(text, &end, 10) : absent;

    if (end && strcmp(end, "s") == 0)
        v *= 1000;
    return v * SCENARIO_SLOWNESS;
}

static enum rc say(struct world *w, const struct step *step, struct err *err)
{
    char text[STEP_VALUE_CAP];
    enum rc rc = world_expand(w, step_arg(step, "text"), text, sizeof text, err);

    if (rc == RC_OK)
        (void)printf("\n");
    if (rc == RC_OK)
        world_say(w, "%s", text);
    return rc;
}

/* Set a check's outcome and give the code that belongs to it. */
static enum rc outcome(struct world *w, size_t check, bool held, uint64_t began_ms, struct err *err)
{
    struct world_check *c = &w->check[check];

    c->held = held;
    c->took_ms = world_now(w) - began_ms;
    if (held) {
        world_say(w, "  ok: %s", c->text);
        return RC_OK;
    }
    world_say(w, "  NOT MET: %s (%s)", c->text, c->detail);
    return err_set(err, RC_EXPECTATION, "%s", c->text);
}

/* A command as it would be typed in the project's root. */
static void show_command(const struct world *w, const char *line, bool refused)
{
    static const char top[] = "${top}/";
    char text[STEP_VALUE_CAP];
    size_t n = 0;

    while (*line && n + 1 < sizeof text) {
        if (strncmp(line, top, sizeof top - 1) == 0)
            line += sizeof top - 1;
        else
            text[n++] = *line++;
    }
    text[n] = 0;
    world_say(w, "  $ berth %s%s", text, refused ? "   (refused)" : "");
}

/* NULL is in everything. */
static bool has_text(const char *out, const char *text)
{
    return text == NULL || strstr(out, text) != NULL;
}

static enum rc berth(struct world *w, const struct step *step, struct err *err)
{
    const char *line = step_arg(step, "run");
    const char *want = step_arg(step, "exit");
    const char *text = step_arg(step, "check");
    const char *says = step_arg(step, "says");
    scoped(free_ptr) char *out = NULL;
    const uint64_t within = duration(step_arg(step, "within"), 0);
    int got = 0;
    uint64_t began = world_now(w);
    enum rc rc = world_berth(w, line, &got, &out, err);
    int expected = want ? (int)strtol(want, NULL, 10) : 0;

    /* With "within": what cannot be done yet, until it can. */
    while (rc == RC_OK && (got != expected || !has_text(out, says)) &&
           world_now(w) - began < within) {
        const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

        (void)nanosleep(&pause, NULL);
        free_ptr(&out);
        rc = world_berth(w, line, &got, &out, err);
    }
    if (rc != RC_OK)
        return rc;
    show_command(w, line, got == expected && (got == 1 || got == 5));
    if (w->verbose && out[0])
        (void)printf("%s", out);
    if (text) {
        size_t check = world_check_add(w, text);

        (void)snprintf(w->check[check].detail, sizeof w->check[check].detail, "exit %d, wanted %d",
                       got, expected);
        if (got == expected && says)
            (void)snprintf(w->check[check].detail, sizeof w->check[check].detail,
                           "it does not say '%.64s'", says);
        return outcome(w, check, got == expected && has_text(out, says), began, err);
    }
    if (got != expected || !has_text(out, says)) {
        (void)printf("%s", out);
        return err_set(err, RC_SCENARIO, "'berth %s' ended with %d, wanted %d%s%.64s", line, got,
                       expected, says ? " and the words " : "", says ? says : "");
    }
    return RC_OK;
}

#define SAME_MAX (4U * 1024U * 1024U)

/* Whether two files below the run's directory hold the same bytes, and some. */
static enum rc same(struct world *w, const struct step *step, struct err *err)
{
    static const char *const keys[] = { "file", "as" };
    const size_t check = world_check_add(w, step_arg(step, "check"));
    struct bytes content[2] = { 0 };
    uint8_t *buf[2] = { 0 };
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < 2; i++) {
        char path[WORLD_PATH_CAP];

        rc = world_expand(w, step_arg(step, keys[i]), path, sizeof path, err);
        if (rc == RC_OK)
            rc = fs_read_alloc(w->work_fd, path, SAME_MAX, &buf[i], &content[i].n, err);
        content[i].p = buf[i];
    }
    if (rc == RC_OK)
        rc = outcome(w, check, content[0].n > 0 && bytes_equal(content[0], content[1]),
                     world_now(w), err);
    free(buf[0]);
    free(buf[1]);
    return rc;
}

static enum rc copy_file(int from_fd, const char *from, int to_fd, const char *to, mode_t mode,
                         struct err *err)
{
    scoped(free_ptr) uint8_t *data = NULL;
    size_t n = 0;
    enum rc rc = fs_read_alloc(from_fd, from, COPY_MAX, &data, &n, err);

    if (rc == RC_OK)
        rc = fs_write_file(to_fd, to, (struct bytes){ .p = data, .n = n }, mode & 0777U, err);
    return rc;
}

struct copying {
    int from_fd;
    int to_fd;
    struct err *err;
    enum rc rc;
};

/* Example directories are flat; a directory inside one is left to the payload file's copy list. */
static bool copy_entry(void *arg, const char *name)
{
    struct copying *c = arg;
    struct stat st;

    if (fstatat(c->from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        c->rc = err_sys(c->err, RC_IO, "%s", name);
    else if (S_ISREG(st.st_mode))
        c->rc = copy_file(c->from_fd, name, c->to_fd, name, st.st_mode, c->err);
    return c->rc == RC_OK;
}

static enum rc copy(struct world *w, const struct step *step, struct err *err)
{
    char from[WORLD_PATH_CAP * 2];
    char to[WORLD_PATH_CAP];
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int target = -1;
    struct stat st;
    enum rc rc = world_expand(w, step_arg(step, "from"), from, sizeof from, err);

    if (rc == RC_OK)
        rc = world_expand(w, step_arg(step, "to"), to, sizeof to, err);
    if (rc != RC_OK)
        return rc;
    if (stat(from, &st) < 0)
        return err_sys(err, RC_SCENARIO, "%s", from);
    if (!S_ISDIR(st.st_mode))
        return copy_file(AT_FDCWD, from, w->work_fd, to, st.st_mode, err);
    rc = fs_make_dirs(w->work_fd, to, 0755, err);
    if (rc == RC_OK)
        rc = fs_open(w->work_fd, to, O_RDONLY | O_DIRECTORY, 0, &target, err);
    if (rc == RC_OK)
        rc = fs_open(AT_FDCWD, from, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc != RC_OK)
        return rc;

    struct copying c = { .from_fd = dir, .to_fd = target, .err = err };

    rc = fs_list(dir, ".", 1000, copy_entry, &c, NULL, err);
    return rc == RC_OK ? c.rc : rc;
}

static enum rc read_passphrase(const struct world *w, uint8_t **ret, size_t *ret_n, struct err *err)
{
    enum rc rc = fs_read_alloc(w->work_fd, PASSPHRASE, 1024, ret, ret_n, err);

    while (rc == RC_OK && *ret_n > 0 && (*ret)[*ret_n - 1] == '\n')
        (*ret_n)--;
    return rc;
}

static enum rc forge(struct world *w, const struct step *step, struct err *err)
{
    const char *kind = step_arg(step, "kind");
    const char *satellite = step_arg(step, "satellite");
    const char *in = step_arg(step, "content");
    char home[WORLD_PATH_CAP + 16];
    char content[WORLD_PATH_CAP * 2];
    char root[WORLD_PATH_CAP];
    struct forge f = { .work_fd = w->work_fd,
                       .like = step_arg(step, "like"),
                       .content = content,
                       .key = step_arg(step, "key"),
                       .root = root,
                       .out = step_arg(step, "out") };
    scoped(free_ptr) uint8_t *pass = NULL;
    size_t n = 0;

    (void)snprintf(home, sizeof home, "%s/ground", w->work);
    (void)snprintf(root, sizeof root, "sats/%s/state/trust/root.cose",
                   w->scenario->satellite[0].id);
    if (strcmp(kind, "old-order") == 0)
        return forge_old_order(w->work_fd, home, satellite ? satellite : "", f.out, err);
    if (strcmp(kind, "delta") == 0)
        return forge_delta(w->work_fd, home, f.out, err);
    enum rc rc = read_passphrase(w, &pass, &n, err);

    if (rc == RC_OK && strcmp(kind, "root") == 0 && f.key)
        return forge_root(&f, home, (struct bytes){ .p = pass, .n = n }, err);
    if (rc == RC_OK && (strcmp(kind, "package") != 0 || !f.like || !in || !f.key))
        rc = err_set(
            err, RC_SCENARIO,
            "forge is 'old-order', 'delta', 'root' with key, or 'package' with like, content, key");
    if (rc == RC_OK)
        rc = world_expand(w, in, content, sizeof content, err);
    return rc == RC_OK ? forge_package(&f, (struct bytes){ .p = pass, .n = n }, err) : rc;
}

static enum rc ground(struct world *w, const struct step *step, struct err *err)
{
    const char *what = step_arg(step, "do");

    if (strcmp(what, "start") == 0 && w->ground == 0) {
        enum rc rc = world_start_carrier(w, err);

        return rc == RC_OK ? world_start_ground(w, err) : rc;
    }
    if ((strcmp(what, "stop") == 0 || strcmp(what, "kill") == 0) && w->ground > 0) {
        proc_stop(w->ground, what[0] == 'k' ? SIGKILL : SIGTERM, STOP_MS);
        w->ground = 0;
        return RC_OK;
    }
    return err_set(err, RC_SCENARIO, "ground: start, stop or kill, in that order");
}

static enum rc contact(struct world *w, const struct step *step, struct err *err)
{
    const char *what = step_arg(step, "do");
    struct world_satellite *s = NULL;
    enum rc rc = world_find(w, step_arg(step, "satellite"), &s, err);

    if (rc == RC_OK && w->ground == 0)
        rc = err_set(err, RC_SCENARIO, "contact: the ground does not run");
    if (rc == RC_OK && strcmp(what, "lose") != 0 && strcmp(what, "regain") != 0)
        rc = err_set(err, RC_SCENARIO, "contact: lose or regain");
    if (rc != RC_OK)
        return rc;
    w->carrier.counts->away[s - w->satellite] = what[0] == 'l';
    world_say(w, "  %s: contact %s", s->of->id, what[0] == 'l' ? "lost" : "regained");
    return RC_OK;
}

static enum rc start(struct world *w, const struct step *step, struct err *err)
{
    const char *id = step_arg(step, "satellite");
    enum rc rc = RC_OK;

    for (size_t i = 0; i < w->scenario->n_satellites && rc == RC_OK; i++) {
        struct world_satellite *s = &w->satellite[i];

        if (s->agent == 0 && (strcmp(id, "all") == 0 || strcmp(id, s->of->id) == 0))
            rc = world_start_agent(w, s, err);
    }
    return rc;
}

/* Wait until an unpack job has begun on this satellite: a directory appears in staging/.  An
 * install may take less time than a ground command needs to end, so a scenario takes contact away
 * before it orders one; contact comes back here, once somebody looks. */
static enum rc wait_for_install(struct world *w, const struct world_satellite *s,
                                uint64_t within_ms, struct err *err)
{
    scoped(close_fd) int in = inotify_init1(IN_CLOEXEC);
    char path[WORLD_PATH_CAP + 64];
    struct pollfd p = { .fd = in, .events = POLLIN };
    uint64_t began = world_now(w);
    int got = 0;

    (void)snprintf(path, sizeof path, "%s/sats/%s/state/staging", w->work, s->of->id);
    if (in < 0 || inotify_add_watch(in, path, IN_CREATE | IN_MOVED_TO) < 0)
        return err_sys(err, RC_SCENARIO, "watch %s", path);
    if (w->carrier.counts)
        w->carrier.counts->away[s - w->satellite] = false;
    while (got == 0 && world_now(w) - began < within_ms)
        got = poll(&p, 1, (int)LOOK_MS);
    if (got <= 0)
        return err_set(err, RC_SCENARIO, "no install began on %s", s->of->id);
    return RC_OK;
}

static enum rc kill_agent(struct world *w, const struct step *step, struct err *err)
{
    const char *when = step_arg(step, "when");
    struct world_satellite *s = NULL;
    enum rc rc = world_find(w, step_arg(step, "satellite"), &s, err);

    if (rc == RC_OK && s->agent == 0)
        rc = err_set(err, RC_SCENARIO, "agent of %s does not run", s->of->id);
    if (rc == RC_OK && when)
        rc = wait_for_install(w, s, duration(step_arg(step, "within"), WITHIN_MS), err);
    if (rc != RC_OK)
        return rc;
    proc_stop(s->agent, SIGKILL, STOP_MS);
    s->agent = 0;
    world_say(w, "  %s: agent killed with SIGKILL%s", s->of->id,
              when ? " in the middle of an install" : "");
    return RC_OK;
}

/* Write bytes into an uplink as one of the carrier's arrivals. */
static enum rc drop(const struct world_satellite *s, const char *name, struct bytes data,
                    struct err *err)
{
    return fs_write_file(s->dir[WORLD_DIR_UPLINK], name, data, 0644, err);
}

static enum rc attack(struct world *w, const struct step *step, struct err *err)
{
    const char *kind = step_arg(step, "kind");
    const char *file = step_arg(step, "file");
    struct world_satellite *s = NULL;
    scoped(free_ptr) uint8_t *data = NULL;
    size_t n = 0;
    char name[64];
    enum rc rc = world_find(w, step_arg(step, "satellite"), &s, err);

    (void)snprintf(name, sizeof name, "zz-%s-%u.bundle", kind, step->line);
    if (rc == RC_OK)
        rc = fs_read_alloc(s->dir[WORLD_DIR_CAPTURE], file ? file : "0000.bundle", BUNDLE_MAX,
                           &data, &n, err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(kind, "bitflip") == 0)
        data[n / 2] ^= 1U; /* in what is sealed: headers have checksums of their own */
    else if (strcmp(kind, "truncate") == 0)
        n /= 2;
    else if (strcmp(kind, "replay") != 0)
        return err_set(err, RC_SCENARIO, "attack: bitflip, truncate or replay");
    rc = drop(s, name, (struct bytes){ .p = data, .n = n }, err);
    if (rc != RC_OK || strcmp(kind, "replay") != 0)
        return rc;
    /* The link may have lost it when it was sent; then it is a replay the second time. */
    (void)snprintf(name, sizeof name, "zz-%s-%u-again.bundle", kind, step->line);
    return drop(s, name, (struct bytes){ .p = data, .n = n }, err);
}

static void describe(const struct world *w, const struct condition *c, char *out, size_t cap)
{
    const struct seen_payload *p =
        c->satellite && c->payload ? seen_payload(&w->seen, c->satellite, c->payload) : NULL;

    if (p)
        (void)snprintf(out, cap, "%s runs %s, %s %s", p->name, p->version, p->state, p->code);
    else
        (void)snprintf(out, cap, "not seen in time");
}

static enum rc wait_until(struct world *w, const struct step *step, struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
    const struct condition c = condition_of(step);
    const uint64_t within = duration(step_arg(step, "within"), WITHIN_MS);
    size_t check = world_check_add(w, step_arg(step, "check"));
    uint64_t began = world_now(w);

    for (;;) {
        enum rc rc = world_look(w, err);

        if (rc != RC_OK)
            return rc;
        if (condition_holds(&c, &w->seen))
            return outcome(w, check, true, began, err);
        if (world_now(w) - began > within || world_now(w) > w->scenario->limit_ms)
            break;
        (void)nanosleep(&pause, NULL);
    }
    describe(w, &c, w->check[check].detail, sizeof w->check[check].detail);
    return outcome(w, check, false, began, err);
}

static enum rc add_guard(struct world *w, struct world_guard guard, const char *text,
                         struct err *err)
{
    if (w->n_guards == WORLD_GUARDS_MAX)
        return err_set(err, RC_SCENARIO, "too many guards");
    guard.check = world_check_add(w, text);
    w->check[guard.check].held = true;
    w->guard[w->n_guards++] = guard;
    return RC_OK;
}

static enum rc never(struct world *w, const struct step *step, struct err *err)
{
    return add_guard(w, (struct world_guard){ .never = condition_of(step) },
                     step_arg(step, "check"), err);
}

/* One guard for each running payload that fits; "all" and a missing argument fit everything. */
static enum rc steady(struct world *w, const struct step *step, struct err *err)
{
    const char *satellite = step_arg(step, "satellite");
    const char *payload = step_arg(step, "payload");
    char text[sizeof w->check[0].text];
    uint32_t before = w->n_guards;
    enum rc rc = world_look(w, err);

    for (uint32_t i = 0; rc == RC_OK && i < w->seen.n_satellites; i++) {
        const struct seen_satellite *s = &w->seen.satellite[i];

        for (uint32_t k = 0; k < s->n_payloads && rc == RC_OK; k++) {
            const struct seen_payload *p = &s->payload[k];
            struct world_satellite *of = NULL;

            if ((satellite && strcmp(satellite, s->id) != 0) ||
                (payload && strcmp(payload, p->name) != 0) || !p->running)
                continue;
            rc = world_find(w, s->id, &of, err);
            if (rc != RC_OK)
                return rc;
            (void)snprintf(text, sizeof text, "%.60s: %s %s", step_arg(step, "check"), s->id,
                           p->name);

            struct world_guard guard = { .satellite = of->of->id, .restarts = p->restarts };

            (void)snprintf(guard.payload, sizeof guard.payload, "%s", p->name);
            rc = add_guard(w, guard, text, err);
        }
    }
    if (rc == RC_OK && w->n_guards == before)
        rc = err_set(err, RC_SCENARIO, "steady: nothing runs there");
    return rc;
}

/* A row as `make bench` collects them, when it asks for them. */
static void bench_row(const struct measured *m)
{
    const char *path = getenv("BERTH_BENCH_OUT");
    FILE *out = path ? fopen(path, "ae") : NULL;

    if (!out)
        return;
    (void)fprintf(out,
                  "{\"figure\":\"RSS of %s, three payloads running\",\"value\":%llu,\"unit\":"
                  "\"KiB\",\"peer\":null,\"peer_value\":null,\"ratio\":null,\"aim\":10240}\n",
                  m->name, (unsigned long long)m->rss_kib);
    (void)fclose(out);
}

static enum rc measure(struct world *w, const struct step *step, struct err *err)
{
    struct measured row[MEASURE_MAX];
    struct world_satellite *s = NULL;
    size_t n = 0;
    enum rc rc = world_find(w, step_arg(step, "satellite"), &s, err);

    if (rc == RC_OK)
        rc = measure_tree(s->agent, row, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (strncmp(row[i].name, "berth", 5) != 0)
            continue; /* a payload, or its reaper before exec */
        world_say(w, "  %s: %-14s RSS %6llu KiB, PSS %6llu KiB", s->of->id, row[i].name,
                  (unsigned long long)row[i].rss_kib, (unsigned long long)row[i].pss_kib);
        bench_row(&row[i]);
    }
    return rc;
}

enum rc step_run(struct world *w, const struct step *step, struct err *err)
{
    static enum rc (*const run[VERBS])(struct world *, const struct step *, struct err *) = {
        [VERB_SAY] = say,         [VERB_BERTH] = berth,     [VERB_COPY] = copy,
        [VERB_FORGE] = forge,     [VERB_GROUND] = ground,   [VERB_START] = start,
        [VERB_KILL] = kill_agent, [VERB_ATTACK] = attack,   [VERB_WAIT] = wait_until,
        [VERB_NEVER] = never,     [VERB_STEADY] = steady,   [VERB_MEASURE] = measure,
        [VERB_SAME] = same,       [VERB_CONTACT] = contact,
    };

    return run[step->verb](w, step, err);
}
