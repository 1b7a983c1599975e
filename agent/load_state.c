/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/load_state.h"

#include <stdlib.h>
#include <time.h>

#include "agent/data.h"
#include "agent/revoke.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/statefile.h"

#define KEPT_EPOCHS (1ULL << 20) /* until the next agent is chosen there are fewer starts */
#define KEPT_EVENTS (1ULL << 40) /* ... and fewer events */
#define STATE_TRIES 5U
#define STATE_PAUSE_MS 500L

static void take_records(struct agent *a)
{
    a->table.n_units = a->state.n_units;
    for (uint32_t i = 0; i < a->state.n_units; i++) {
        struct unit_record *r = &a->table.unit[i].kept;

        *r = a->state.unit[i];
        /* An install that was cut off begins again from the package, or from a new one. */
        if (r->state == SLOT_STAGED || r->state == SLOT_VERIFIED)
            if (slot_next(r->state, SLOT_EV_LOSE, &r->state) != RC_OK)
                agent_event(a, RC_TRANSITION, 1, "load");
    }
}

static bool adopt(void *arg, const struct data_id *id)
{
    struct agent *a = arg;

    if (!reconcile_adopt(&a->table, id->tenant, id->name, id->index))
        agent_event(a, RC_STATE_DAMAGED, 1, "data of an unknown owner");
    return true;
}

/* The same, where most of them are known. */
static bool adopt_later(void *arg, const struct data_id *id)
{
    struct agent *a = arg;

    return reconcile_find(&a->table, id->tenant, id->name) ? true : adopt(arg, id);
}

/* Nothing is known but what is signed and what owns data: the order in force may run, in slots that
 * verify, and nothing new is taken. */
static void go_damaged(struct agent *a, const char *what)
{
    struct err err = { 0 };

    a->damaged = true;
    a->state = (struct state){ .epoch = clock_unix_ms() / 1000U }; /* above what was, most likely */
    events_init(&a->events, a->state.epoch);
    agent_event(a, RC_STATE_DAMAGED, 1, what);
    if (data_list(a->data_dir, adopt, a, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "data");
}

static bool any_slot(void *arg, const struct slot_id *id)
{
    (void)id;
    *(bool *)arg = true;
    return false;
}

static bool any_data(void *arg, const struct data_id *id)
{
    (void)id;
    *(bool *)arg = true;
    return false;
}

/* A state file of this name, whatever it is worth. */
static bool is_there(const struct agent *a, const char *name)
{
    struct statefile_info info = { 0 };
    struct err ignored;
    uint8_t byte = 0;
    size_t n = 0;

    return statefile_load(a->state_dir, name, &byte, sizeof byte, &n, &info, &ignored) !=
           RC_NOT_FOUND;
}

/* Whether there was an agent here before: then a missing state is a lost one. */
static bool has_past(struct agent *a)
{
    struct err err = { 0 };
    bool found = is_there(a, ORDER_FILE) || is_there(a, STATE_KEPT_FILE);

    if (slot_list(&a->slots, any_slot, &found, &err) != RC_OK ||
        data_list(a->data_dir, any_data, &found, &err) != RC_OK)
        found = true;
    return found;
}

/* Another agent has left what we do not understand, on trial or after it had been committed: what
 * was kept when it was chosen is older, and by far better than nothing.  Numbers that must not be
 * used again are above all that it can have used.  What was revoked since is in trust/revoked only:
 * without that it is as if nothing had been kept.
 */
static enum rc load_kept(struct agent *a, struct err *err)
{
    struct err why = { 0 };
    enum rc rc = revoke_look(a, err);

    if (rc == RC_OK)
        rc = state_load_kept(a->state_dir, &a->state, err);
    if (rc != RC_OK)
        return rc;
    a->old_record = true;
    a->foreign = true;
    a->uncopied = state_copy_aside(a->state_dir, &why) != RC_OK; /* again before the first save */
    if (a->uncopied)
        log_err(LOG_LEVEL_WARN, &why, "state");
    events_init(&a->events, a->state.event_seq + KEPT_EVENTS);
    take_records(a);
    if (data_list(a->data_dir, adopt_later, a, &why) != RC_OK)
        log_err(LOG_LEVEL_WARN, &why, "data");
    a->state.epoch += KEPT_EPOCHS;
    a->unrecorded = true;
    agent_event(a, RC_STATE_DAMAGED, 1, "state, as before the trial of an agent");
    return RC_OK;
}

/* What cannot be read for want of memory or descriptors is no damage: it may be whole. */
static enum rc read_state(struct agent *a, bool *ret_repair, struct err *err)
{
    const struct timespec pause = { .tv_nsec = STATE_PAUSE_MS * 1000000L };
    enum rc rc = state_load(a->state_dir, &a->state, ret_repair, err);

    for (unsigned i = 1; i < STATE_TRIES && rc != RC_OK && boot_passes(err); i++) {
        (void)nanosleep(&pause, NULL);
        *err = (struct err){ 0 };
        rc = state_load(a->state_dir, &a->state, ret_repair, err);
    }
    return rc;
}

static struct unit_record *find_record(struct agent *a, const struct unit_record *of)
{
    struct unit *u = reconcile_find(&a->table, of->tenant, of->name);

    return u ? &u->kept : NULL;
}

/* What was left because nobody understood it, or could read it, may be understood by this agent: it
 * is older than the state, and what must not fall back is taken from it all the same. */
static void take_left(struct agent *a)
{
    scoped(free_ptr) struct state *left = calloc(1, sizeof *left);
    struct state *s = &a->state;
    struct err err = { 0 };
    bool more = false;

    if (!left || state_load_left(a->state_dir, left, &err) != RC_OK)
        return;
    if (left->time_floor > s->time_floor)
        s->time_floor = left->time_floor;
    if (left->time_anchor > s->time_anchor)
        s->time_anchor = left->time_anchor;
    if (s->trust.root_version > 0 &&
        revoked_set_merge(&s->trust.revoked, &left->trust.revoked, &more, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "state that was left");
    a->unrecorded |= more;
    for (uint32_t i = 0; more && i < a->table.n_units; i++) /* allowed when less was taken back */
        a->table.unit[i].kept.vouched = (struct digest){ 0 };
    for (uint32_t i = 0; i < left->n_units; i++) {
        struct unit_record *r = find_record(a, &left->unit[i]);

        if (r && left->unit[i].floor > r->floor)
            r->floor = left->unit[i].floor;
    }
}

enum rc load_state(struct agent *a, struct err *err)
{
    bool repair = false;
    enum rc rc = read_state(a, &repair, err);
    enum rc found = rc;

    if (rc == RC_DOC_VERSION && !a->own.trial) {
        log_err(LOG_LEVEL_ERROR, err, "state");
        rc = load_kept(a, err);
        if (rc == RC_OK)
            return rc;
    }
    if (rc != RC_OK && boot_passes(err))
        return rc;
    if (found != RC_OK && (found != RC_NOT_FOUND || has_past(a))) {
        go_damaged(a, found == RC_NOT_FOUND ? "state is missing" : "state");
        return RC_OK;
    }
    events_init(&a->events, a->state.event_seq);
    take_records(a);
    take_left(a);
    if (repair)
        agent_event(a, RC_STATE_DAMAGED, 1, "one copy of the state, repaired");
    a->state.epoch++;
    return RC_OK;
}
