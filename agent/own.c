/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/own.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/probe.h"
#include "agent/reserve.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/version.h"
#include "boot/tally.h"

static struct digest digest_of(const struct boot_id *id)
{
    struct digest digest;

    memcpy(digest.b, id->b, sizeof digest.b);
    return digest;
}

static struct boot_id id_of(const struct digest *digest)
{
    struct boot_id id;

    memcpy(id.b, digest->b, sizeof id.b);
    return id;
}

/* ---- who we are ---------------------------------------------------------------------------------
 */

static bool same_directory(int state_dir, int own_dir, const struct boot_id *id)
{
    scoped(close_fd) int there = -1;
    char path[BOOT_PATH_CAP];
    struct stat a, b;
    struct err err = { 0 };

    if (boot_id_none(id))
        return true;
    boot_path(id, path);
    return fs_open(state_dir, path, O_RDONLY | O_DIRECTORY, 0, &there, &err) == RC_OK &&
           fstat(there, &a) == 0 && fstat(own_dir, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

void own_claim(struct agent *a, int own_dir, const char *name)
{
    struct boot_id id = { 0 };

    if (!name)
        return;
    if (!boot_name_read(name, &id) || !same_directory(a->state_dir, own_dir, &id)) {
        log_event(LOG_LEVEL_ERROR, "not the agent that berth-boot named");
        return;
    }
    a->own.booted = true;
    a->own.id = id;
}

/* What the core knows of it. */
static void tell_core(struct agent *a)
{
    a->table.own = (struct own_agent){
        .running = digest_of(&a->own.id),
        .trial = a->own.trial,
        .failed = digest_of(&a->own.record.failed),
        .code = rc_from_number(a->own.record.code),
    };
}

/* A save that failed may have come to the first copy, or behind the second: what berth-boot would
 * read now is in force.  True: that is what we wanted, for good, and the scrub makes the other copy
 * of it. */
static bool is_in_force(struct agent *a, const struct boot_record *wanted)
{
    struct boot_record found = { 0 };
    struct err err = { 0 };

    if (boot_load(a->state_dir, &found, &err) != RC_OK)
        return false;
    a->own.record = found;
    return memcmp(&found, wanted, sizeof found) == 0 &&
           fs_sync(a->state_dir, BOOT_FILE, &err) == RC_OK;
}

static enum rc save(const struct agent *a, const struct boot_record *record, struct err *err)
{
    enum rc rc = boot_save(a->state_dir, record, err);

    if (rc == RC_NO_SPACE && reserve_release(a->state_dir))
        rc = boot_save(a->state_dir, record, err);
    /* What failed to be synced may be lost, although it can be read: it is written once more. */
    return rc == RC_OK ? rc : boot_save(a->state_dir, record, err);
}

/* The record in memory is always the one on disk.  It may be that although this fails: then it
 * could not be made sure. */
static enum rc put(struct agent *a, const struct boot_record *next, struct err *err)
{
    enum rc rc = save(a, next, err);

    if (rc == RC_OK) {
        a->own.record = *next;
    } else if (is_in_force(a, next)) {
        log_err(LOG_LEVEL_WARN, err, "boot record, one copy");
        rc = RC_OK;
    }
    return rc;
}

static enum rc change(struct agent *a, enum boot_event event, const struct boot_news *news,
                      struct err *err)
{
    struct boot_record next = a->own.record;
    enum rc rc = boot_next(&next, event, news, NULL);

    return rc == RC_OK ? put(a, &next, err) : err_set(err, rc, BOOT_FILE);
}

enum rc own_load(struct agent *a, struct err *err)
{
    struct own *o = &a->own;
    struct err why = { 0 };
    enum rc rc = boot_load_patiently(a->state_dir, &o->record, &why);

    if (rc != RC_OK && boot_passes(&why)) {
        *err = why;
        return rc;
    }
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &why, "boot record");
        o->damaged = true;
        o->record = (struct boot_record){ 0 };
    }
    o->trial = o->booted && !boot_id_none(&o->id) && boot_id_same(&o->id, &o->record.candidate);
    o->since_ms = clock_mono_ms();
    tell_core(a);
    if (!o->trial || o->record.format == 0 || o->record.format == STATE_FORMAT)
        return RC_OK;

    const struct boot_news news = { .code = RC_AGENT_FORMAT };
    if (change(a, BOOT_EV_GIVE_UP, &news, &why) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &why, "boot record");
    return err_set(err, RC_AGENT_FORMAT, "state format %u is wanted", o->record.format);
}

bool own_needs(const struct agent *a, const struct slot_id *id)
{
    const struct boot_record *r = &a->own.record;
    const struct boot_id this = id_of(&id->manifest);

    return is_agent_name(id->tenant, id->payload) &&
           (boot_id_same(&this, &a->own.id) || boot_id_same(&this, &r->current) ||
            boot_id_same(&this, &r->previous) || boot_id_same(&this, &r->candidate));
}

void own_excuse(struct agent *a, const struct slot_id *id)
{
    const struct boot_news news = { .id = id_of(&id->manifest) };
    const struct boot_record *r = &a->own.record;
    struct err err = { 0 };

    if (!is_agent_name(id->tenant, id->payload) || boot_id_none(&news.id) ||
        !boot_id_same(&news.id, &r->failed) || r->code != RC_CRASH_LOOP)
        return;
    if (change(a, BOOT_EV_EXCUSE, &news, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "boot record");
        return;
    }
    tell_core(a);
    log_event(LOG_LEVEL_INFO, "the agent that failed was damaged: it may be tried again");
    agent_report_soon(a);
}

struct report_agent own_report(const struct agent *a)
{
    return (struct report_agent){
        .version = BERTH_VERSION,
        .running = digest_of(&a->own.id),
        .trial = a->own.trial,
        .failed = digest_of(&a->own.record.failed),
        .code = (uint32_t)rc_from_number(a->own.record.code),
    };
}

/* ---- to another agent ---------------------------------------------------------------------------
 */

static uint32_t count_well(const struct agent *a)
{
    uint32_t n = 0;

    /* In a trial, what rests by its own wish is as well as it was when it ran. */
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        const struct unit *u = &a->table.unit[i];

        n += u->run.phase == RUN_READY ||
             (a->own.trial && u->rests != RC_OK && rc_class(u->rests) == RC_CLASS_FINE);
    }
    return n;
}

/* While the state is not known there is none to go back to, and the new agent may write as it
 * likes. */
static enum rc prepare(struct agent *a, const struct digest *manifest, struct err *err)
{
    const struct boot_news news = { .id = id_of(manifest),
                                    .format = a->damaged ? 0 : STATE_FORMAT,
                                    .ran = count_well(a) };
    enum rc rc = a->damaged ? RC_OK : state_keep(a->state_dir, &a->state, err);

    return rc == RC_OK ? change(a, BOOT_EV_SWITCH, &news, err) : rc;
}

/* Stop the payloads of this trial, and let berth-boot start the agent before. */
static void give_up(struct agent *a, enum rc code)
{
    const struct boot_news news = { .code = (uint32_t)code };
    struct err err = { 0 };

    log_event(LOG_LEVEL_ERROR, "giving up code=%s", rc_name(code));
    if (change(a, BOOT_EV_GIVE_UP, &news, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "boot record"); /* then its starts run out */
    agent_stop(a, BOOT_EXIT_GIVE_UP);
}

void own_switch(struct agent *a, const struct action *action)
{
    const struct boot_news none = { 0 };
    bool leave = digest_is_none(&action->manifest);
    struct err err = { 0 };

    if (a->own.trial) {
        give_up(a, RC_MANIFEST_REVOKED);
        return;
    }
    enum rc rc =
        leave ? change(a, BOOT_EV_LEAVE, &none, &err) : prepare(a, &action->manifest, &err);

    if (rc != RC_OK) {
        agent_event_err(a, &err, AGENT_TENANT "/" AGENT_NAME);
        return;
    }
    log_event(LOG_LEVEL_INFO,
              leave ? "making way for the agent of the launch" : "making way for another agent");
    agent_stop(a, BOOT_EXIT_SWITCH);
}

/* ---- on trial -----------------------------------------------------------------------------------
 */

/* berth-link and berth-launch are up, or we would not be; what ran before runs again. */
static bool is_well(const struct agent *a)
{
    return count_well(a) >= a->own.record.ran;
}

/* Whoever has no keys to hear with has not shown that it could be replaced. */
static bool is_deaf(const struct agent *a)
{
    return (a->shut_places & 1U << PLACE_LINK) != 0;
}

static void commit(struct agent *a)
{
    const struct boot_record now = a->own.record;
    const struct boot_news none = { 0 };
    /* The attempt before is in force, and nobody could say that it stays so. */
    bool unsure = boot_id_none(&now.candidate) && boot_id_same(&now.current, &a->own.id);
    struct err err = { 0 };

    if ((unsure ? put(a, &now, &err) : change(a, BOOT_EV_COMMIT, &none, &err)) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "boot record"); /* again in a second */
        return;
    }
    a->own.trial = false;
    tell_core(a);
    log_event(LOG_LEVEL_INFO, "committed the agent itself, version=" BERTH_VERSION);
    agent_report_soon(a);
}

static void watch_trial(struct agent *a, uint64_t now_ms)
{
    const struct own *o = &a->own;
    uint64_t trial = 1000ULL * o->terms.trial_s, age = now_ms - o->since_ms;
    bool heard = a->heard && age >= boot_terms_soak_ms(&o->terms);
    bool well = o->terms.policy == BOOT_EITHER && !is_deaf(a) && o->well_ms != 0 &&
                now_ms - o->well_ms >= trial;
    struct err err = { 0 };

    /* Whatever else is well: without its unpacker this would be the last agent. */
    enum rc unpacks = proof_step(&a->own.proof, a->unpack_program, now_ms, &err);

    if (unpacks != RC_OK && unpacks != RC_BUSY)
        give_up(a, unpacks);
    else if (unpacks == RC_OK && (heard || well))
        commit(a);
    else if (age > 1000ULL * boot_terms_limit(&o->terms))
        give_up(a, RC_HEALTH_TIMEOUT);
}

/* Whoever hears the ground can be replaced from there.  One that was well for so long without a
 * word is not held guilty of the silence: it has been committed, and the ground may have nothing to
 * say, or no pass. */
static void clear_starts(struct agent *a, uint64_t now_ms)
{
    const struct boot_news none = { 0 };
    const struct own *o = &a->own;
    bool heard = a->heard && now_ms - o->since_ms >= boot_terms_soak_ms(&o->terms);
    bool well = now_ms - o->well_ms >= 1000ULL * boot_terms_well(&o->terms);
    struct err err = { 0 };

    if (o->record.starts == 0 || o->well_ms == 0 || (!heard && !well))
        return;
    if (change(a, BOOT_EV_WELL, &none, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "boot record");
}

/* This start does not count: that is said once. */
static void give_start_back(struct agent *a)
{
    struct own *o = &a->own;
    const struct boot_news news = { .id = o->id };
    struct err err = { 0 };

    if (!o->booted || boot_id_none(&news.id) || o->trial || o->given_back || o->record.starts == 0)
        return;
    if (change(a, BOOT_EV_STOP, &news, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "boot record"); /* then it counts, or is said again */
    else
        o->given_back = true;
}

/* The starts of the deaf go on counting, but not one that was well in all else: where the power is
 * cut each orbit the best of agents would be given up for a bad block in link/, and then the one
 * before it. */
static void excuse_deaf(struct agent *a, uint64_t now_ms)
{
    const struct own *o = &a->own;

    if (o->well_ms != 0 && now_ms - o->well_ms >= 1000ULL * boot_terms_well(&o->terms))
        give_start_back(a);
}

void own_stopped(struct agent *a)
{
    give_start_back(a);
}

void own_tick(struct agent *a, uint64_t now_ms)
{
    struct own *o = &a->own;

    if (!o->booted || a->stopping)
        return;
    if (!is_well(a))
        o->well_ms = 0;
    else if (o->well_ms == 0)
        o->well_ms = now_ms;
    if (o->trial)
        watch_trial(a, now_ms);
    else if (is_deaf(a))
        excuse_deaf(a, now_ms);
    else
        clear_starts(a, now_ms);
}

/* ---- a start that lacks something ---------------------------------------------------------------
 */

/* A trial that runs is not given back by the next start.  Our own is lost in any case if we are
 * deaf, as long as there are starts left for it. */
static bool is_trying(const struct agent *a)
{
    if (a->own.trial && !(is_deaf(a) && a->own.record.tries > 0))
        return true;
    for (uint32_t i = 0; i < a->table.n_units; i++)
        if (reconcile_trial_ends(&a->table.unit[i], clock_mono_ms()))
            return true;
    return false;
}

static uint64_t wait_ms(uint32_t anew)
{
    uint64_t ms = PROBE_EVERY_MS;

    while (anew-- > 0 && ms < OWN_ANEW_MAX_MS)
        ms *= 2;
    return ms < OWN_ANEW_MAX_MS ? ms : OWN_ANEW_MAX_MS;
}

void own_start_anew(struct agent *a, uint64_t now_ms)
{
    struct own *o = &a->own;
    struct err err = { 0 };

    if (a->stopping || is_trying(a) || now_ms - o->begun_ms < wait_ms(o->anew))
        return;
    if (o->anew_fd >= 0 && tally_anew_save(o->anew_fd, o->anew + 1, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "this start anew is not counted");
    log_event(LOG_LEVEL_WARN, "ending, to start anew with it");
    agent_stop(a, 0);
}
