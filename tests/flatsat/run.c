/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/run.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define STATE_MIB 192U
#define STEP_MS 10U
#define LOOK_MS 1000U     /* between two questions to the ground */
#define UP_MS 900000U     /* from power on until the agent is ready: machines can be very busy */
#define ERRAND_MS 900000U /* until an errand has come to its end */

printf_like(2, 3) void run_say(const struct run *r, const char *fmt, ...)
{
    const uint64_t ms = clock_mono_ms() - r->began_ms;
    va_list args;

    (void)printf("%5llu.%llus  ", (unsigned long long)ms / 1000,
                 (unsigned long long)ms % 1000 / 100);
    va_start(args, fmt);
    (void)vprintf(fmt, args);
    va_end(args);
    (void)printf("\n");
    (void)fflush(stdout);
}

/* ---- the satellite ------------------------------------------------------------------------------
 */

static void on_line(void *arg, const char *line)
{
    struct run *r = arg;
    const uint64_t now = clock_mono_ms();
    const bool ready = r->phases.ready;

    phases_line(&r->phases, line, now);
    if (!ready && r->phases.ready)
        r->ready_ms = now;
    if (r->verbose && strstr(line, "berth"))
        run_say(r, "    | %s", line);
}

enum rc run_power_on_with(struct run *r, const char *words, struct err *err)
{
    const struct guest_setup setup = { .images = r->images,
                                       .words = words,
                                       .log = r->log,
                                       .state = r->disk_file,
                                       .log_fd = r->console_fd,
                                       .up = r->ground.dir[GROUND_DIR_AIR_UP],
                                       .down = r->ground.dir[GROUND_DIR_AIR_DOWN],
                                       .on_line = on_line,
                                       .arg = r };

    r->boots++;
    phases_boot(&r->phases, clock_mono_ms());
    (void)dprintf(r->console_fd, "\n---- power on, boot %u\n", r->boots);
    return guest_start(&setup, &r->guest, err);
}

enum rc run_power_on(struct run *r, struct err *err)
{
    return run_power_on_with(r, NULL, err);
}

enum rc run_wait_ready(struct run *r, struct err *err)
{
    const uint64_t end = clock_mono_ms() + UP_MS;

    while (!r->phases.ready) {
        enum rc rc = guest_step(&r->guest, STEP_MS, err);

        if (rc != RC_OK)
            return rc;
        if (clock_mono_ms() > end)
            return err_set(err, RC_SCENARIO, "bricked: the agent is not up after %u s",
                           UP_MS / 1000U);
    }
    return RC_OK;
}

/* ---- what is right ------------------------------------------------------------------------------
 */

static void version_name(uint32_t version, char out[VERSION_CAP])
{
    out[0] = '\0';
    if (version > 0)
        (void)snprintf(out, VERSION_CAP, "%u.0.0", version);
}

static bool is_version(const char *seen, uint32_t version)
{
    char name[VERSION_CAP];

    version_name(version, name);
    return strcmp(seen, name) == 0;
}

/* Whether this may be what committed last: the old one, or, of an errand that makes a change, what
 * it changes to. */
static bool may_have_committed(const struct run *r, const char *version)
{
    if (is_version(version, r->runs))
        return true;
    return (r->errand == ERRAND_UPDATE && is_version(version, r->next)) ||
           (r->errand == ERRAND_REVOKE && is_version(version, r->before));
}

static const struct seen_payload *payload(const struct run *r)
{
    return seen_payload(&r->seen, GROUND_SATELLITE, GROUND_PAYLOAD);
}

/* What the satellite told before the cut must be on its disk: a report is never ahead of it. */
static enum rc check_told(struct run *r, struct err *err)
{
    enum rc rc = ground_look(&r->ground, &r->seen, err);
    const struct seen_payload *p = payload(r);

    if (rc != RC_OK)
        return rc;
    if (r->seen.satellite[0].root > r->disk.root_version)
        return err_set(err, RC_SCENARIO, "lost: it told of root %llu, its disk has %llu",
                       (unsigned long long)r->seen.satellite[0].root,
                       (unsigned long long)r->disk.root_version);
    if (p && strcmp(p->state, "committed") == 0 && p->running && is_version(p->version, r->next) &&
        r->errand == ERRAND_UPDATE && !is_version(r->disk.good, r->next))
        return err_set(err, RC_SCENARIO, "lost: it told that %s committed, its disk has %s",
                       p->version, r->disk.good);
    return RC_OK;
}

/* The disk as the cut left it. */
enum rc run_look_at_disk(struct run *r, struct err *err)
{
    struct disk_view now = { 0 };
    enum rc rc = disk_look(r->work_fd, r->log_fd, RUN_STATE, &now, err);

    if (rc == RC_OK)
        rc = disk_compare(&r->disk, &now, err);
    if (rc == RC_OK && !may_have_committed(r, now.good))
        rc = err_set(err, RC_SCENARIO, "lost: '%s' is what committed last", now.good);
    if (rc != RC_OK)
        return rc;
    r->disk = now;
    return check_told(r, err);
}

/* What is seen while an errand is under way: nothing else than what belongs to it. */
static enum rc check_seen(const struct run *r, struct err *err)
{
    const struct seen_payload *p = payload(r);

    if (!p || p->version[0] == '\0' || may_have_committed(r, p->version) ||
        (r->errand == ERRAND_BAD && is_version(p->version, r->next)))
        return RC_OK;
    return err_set(err, RC_SCENARIO, "lost: '%s' runs", p->version);
}

/* Whether the errand has come to its right end, by a report that is newer than the start. */
static bool has_ended(const struct run *r)
{
    const struct seen_satellite *s = &r->seen.satellite[0];
    const struct seen_payload *p = payload(r);

    if (!p || !p->running || s->report_age_ms >= clock_mono_ms() - r->ready_ms)
        return false;
    switch (r->errand) {
    case ERRAND_UPDATE:
        return is_version(p->version, r->next) && strcmp(p->state, "committed") == 0 &&
               strcmp(s->verdict, "synced") == 0;
    case ERRAND_BAD:
        return is_version(p->version, r->runs) && strcmp(p->state, "rolled-back") == 0;
    case ERRAND_REVOKE:
        return is_version(p->version, r->before);
    case ERRAND_ROTATE:
        return is_version(p->version, r->runs) && s->root == r->ground.root;
    case ERRANDS:
        break;
    }
    return false;
}

enum rc run_wait_end(struct run *r, struct err *err)
{
    const uint64_t end = clock_mono_ms() + ERRAND_MS;
    uint64_t look = clock_mono_ms();
    enum rc rc = RC_OK;

    while (rc == RC_OK) {
        rc = guest_step(&r->guest, STEP_MS, err);
        if (rc == RC_OK && clock_mono_ms() >= look) {
            rc = ground_look(&r->ground, &r->seen, err);
            if (rc == RC_OK)
                rc = check_seen(r, err);
            if (rc == RC_OK && has_ended(r))
                return RC_OK;
            look = clock_mono_ms() + LOOK_MS;
        }
        if (rc == RC_OK && clock_mono_ms() > end) {
            const struct seen_payload *p = payload(r);

            rc = err_set(err, RC_SCENARIO, "bricked: %s never ended: %s runs %.12s, %.12s %.16s",
                         errand_name(r->errand), r->seen.satellite[0].verdict, p ? p->version : "?",
                         p ? p->state : "?", p ? p->code : "");
        }
    }
    return rc;
}

/* Whether the version that is to run does, whole and proven: what was repaired is on trial again.
 */
static bool is_well(const struct run *r)
{
    const struct seen_payload *p = payload(r);

    return p && p->running && is_version(p->version, r->runs) &&
           (strcmp(p->state, "committed") == 0 || strcmp(p->state, "rolled-back") == 0) &&
           r->seen.satellite[0].report_age_ms < clock_mono_ms() - r->ready_ms;
}

enum rc run_wait_well(struct run *r, struct err *err)
{
    const uint64_t end = clock_mono_ms() + ERRAND_MS;
    uint64_t look = clock_mono_ms();
    enum rc rc = RC_OK;

    while (rc == RC_OK && clock_mono_ms() < end) {
        rc = guest_step(&r->guest, STEP_MS, err);
        if (rc != RC_OK || clock_mono_ms() < look)
            continue;
        rc = ground_look(&r->ground, &r->seen, err);
        if (rc == RC_OK && is_well(r))
            return RC_OK;
        look = clock_mono_ms() + LOOK_MS;
    }
    return rc == RC_OK ? err_set(err, RC_SCENARIO, "bricked: the flipped bit was not repaired")
                       : rc;
}

/* What only the satellite itself can tell. */
enum rc run_check_inside(struct run *r, struct err *err)
{
    static const struct {
        const char *line;
        const char *output;
    } rows[] = {
        { "ls -A /var/lib/berth/staging", "" },
        { "systemctl is-active berthd", "active\n" },
        { "journalctl -b -u berthd -o cat | grep -E 'CONFINE|has ended: post'", "" },
        { "systemctl show -p NRestarts --value berthd", "0\n" },
        { "systemctl is-failed '*' | sort -u | grep failed", "" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scoped(free_ptr) char *output = NULL;
        int status = 0;
        enum rc rc = guest_run(&r->guest, rows[i].line, RUN_COMMAND_MS, &status, &output, err);

        if (rc != RC_OK)
            return rc;
        if (strcmp(output, rows[i].output) != 0)
            return err_set(err, RC_SCENARIO, "'%.24s' says '%.24s'", rows[i].line, output);
    }
    return RC_OK;
}

/* ---- errands ------------------------------------------------------------------------------------
 */

void run_settle(struct run *r)
{
    r->done[r->errand]++;
    if (r->errand == ERRAND_UPDATE) {
        r->before = r->runs;
        r->runs = r->next;
    } else if (r->errand == ERRAND_REVOKE) {
        r->runs = r->before;
        r->before = 0;
    }
}

enum rc run_begin(struct run *r, enum errand errand, struct err *err)
{
    enum rc rc = RC_OK;

    r->errand = errand;
    if (errand == ERRAND_REVOKE) {
        r->revoked++;
        rc = ground_revoke(&r->ground, r->runs, err);
    } else if (errand == ERRAND_ROTATE) {
        rc = ground_rotate(&r->ground, err);
    } else {
        r->next++;
        rc = ground_order(&r->ground, r->next, errand == ERRAND_UPDATE, err);
    }
    phases_sent(&r->phases, clock_mono_ms());
    return rc;
}

enum rc run_first_version(struct run *r, struct err *err)
{
    enum rc rc = run_power_on(r, err);

    if (rc == RC_OK)
        rc = run_wait_ready(r, err);
    if (rc == RC_OK)
        rc = run_begin(r, ERRAND_UPDATE, err);
    if (rc == RC_OK)
        rc = run_wait_end(r, err);
    if (rc == RC_OK)
        rc = run_check_inside(r, err);
    if (rc == RC_OK)
        run_settle(r);
    return rc;
}

/* ---- its beginning and its end ------------------------------------------------------------------
 */

static enum rc open_files(struct run *r, struct err *err)
{
    char real[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", r->build, sizeof r->build - 1);
    char *slash = NULL;

    /* the programs are two directories above this one */
    for (int i = 0; n > 0 && i < 3; i++) {
        r->build[n] = '\0';
        slash = strrchr(r->build, '/');
        n = slash ? slash - r->build : -1;
    }
    if (!slash || !realpath(".", r->top) || !realpath(r->images, real))
        return err_sys(err, RC_SCENARIO, "%s", r->images);
    *slash = '\0';
    if ((size_t)snprintf(r->work, sizeof r->work, "%.3800s/cuts-XXXXXX", real) >= sizeof r->work ||
        !mkdtemp(r->work))
        return err_sys(err, RC_IO, "%s", r->work);
    (void)snprintf(r->disk_file, sizeof r->disk_file, "%.4000s/" RUN_STATE, r->work);
    r->work_fd = open(r->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->work_fd < 0)
        return err_sys(err, RC_IO, "%s", r->work);
    enum rc rc =
        fs_open(r->work_fd, "log.txt", O_WRONLY | O_CREAT | O_APPEND, 0644, &r->log_fd, err);

    if (rc == RC_OK)
        rc = fs_open(r->work_fd, "console.txt", O_WRONLY | O_CREAT | O_APPEND, 0644, &r->console_fd,
                     err);
    return rc;
}

enum rc run_prepare(struct run *r, struct err *err)
{
    r->began_ms = clock_mono_ms();
    r->work_fd = r->log_fd = r->console_fd = -1;
    r->guest.console = r->guest.radio = r->guest.exec = -1;
    for (size_t i = 0; i < 5; i++)
        r->ground.dir[i] = -1;
    enum rc rc = open_files(r, err);

    if (rc != RC_OK)
        return rc;
    run_say(r, "seed %llu, in %s", (unsigned long long)r->seed, r->work);
    r->ground = (struct ground){ .build = r->build,
                                 .top = r->top,
                                 .seed = r->seed,
                                 .work_fd = r->work_fd,
                                 .log_fd = r->log_fd,
                                 .dir = { -1, -1, -1, -1, -1 } };
    rc = ground_found(&r->ground, err);
    if (rc == RC_OK)
        rc = disk_make(r->work_fd, r->log_fd, RUN_STATE, STATE_MIB, err);
    if (rc == RC_OK)
        rc = ground_start(&r->ground, err);
    return rc;
}

void run_close(struct run *r, bool keep)
{
    struct err err;

    if (r->guest.pid > 0)
        guest_cut(&r->guest);
    ground_stop(&r->ground);
    for (size_t i = 0; i < 5; i++)
        close_fd(&r->ground.dir[i]);
    close_fd(&r->console_fd);
    close_fd(&r->log_fd);
    close_fd(&r->work_fd);
    if (!keep && fs_remove_tree(AT_FDCWD, r->work, &err) != RC_OK)
        (void)fprintf(stderr, "flatsat: could not remove %s\n", r->work);
}
