/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent finds at start: config, trust, state, order, stores; and what it makes of damage.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/aside.h"
#include "agent/copying.h"
#include "agent/data.h"
#include "agent/identity.h"
#include "agent/load_state.h"
#include "agent/own.h"
#include "agent/recorded.h"
#include "agent/revoke.h"
#include "agent/staged.h"
#include "agent/stored.h"
#include "agent/teams.h"
#include "agent/witness.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"
#include "base/statefile.h"

/* ---- trust --------------------------------------------------------------------------------------
 */

/* Where a document of trust/ may be: our own state file, or what provisioning put there. */
struct source {
    const char *state_name;
    const char *plain_name;
};

enum copies {
    COPIES_SAME,   /* two, and the same */
    COPIES_BEHIND, /* one is older or not made yet: a cut, or the first start */
    COPIES_BAD,    /* one is damaged or has got lost */
};

static enum rc read_source(struct agent *a, const struct source *s, bool plain, uint8_t *buf,
                           size_t *ret_n, enum copies *ret, struct err *err)
{
    struct statefile_info info = { 0 };

    *ret = COPIES_BEHIND;
    if (plain)
        return fs_read_file(a->trust_dir, s->plain_name, buf, DOCUMENT_MAX, ret_n, err);
    enum rc rc = statefile_load(a->trust_dir, s->state_name, buf, DOCUMENT_MAX, ret_n, &info, err);
    if (info.twice)
        *ret = COPIES_SAME;
    else if (info.damaged || (info.alone && info.sequence > 1))
        *ret = COPIES_BAD;
    return rc;
}

/* Both copies in order again, or for the first time. */
static void repair(struct agent *a, const struct source *s, struct bytes envelope,
                   enum copies copies)
{
    char what[sizeof "one copy of trust/, repaired" + 2 * NAME_CAP];
    struct err err = { 0 };

    if (copies == COPIES_SAME)
        return;
    (void)snprintf(what, sizeof what, "one copy of trust/%s, repaired", s->state_name);
    if (copies == COPIES_BAD)
        agent_event(a, RC_STATE_DAMAGED, 1, what);
    if (statefile_renew(a->trust_dir, s->state_name, envelope, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "repair trust/%s", s->state_name);
}

/* What provisioning left is a third copy of what is recorded.  Without a record it counts only if
 * there never was another. */
static bool plain_counts(const struct agent *a, enum rc rc)
{
    return a->state.trust.root_version > 0 ? rc != RC_OK : rc == RC_NOT_FOUND && !a->damaged;
}

#define GRANT_NAMES_MAX (4U * TENANTS_MAX) /* some may be left of a cut */

struct grant_names {
    uint32_t n;
    char tenant[GRANT_NAMES_MAX][NAME_CAP];
};

/* "grant-TENANT.cose", "grant-TENANT.a" and "grant-TENANT.b" all speak of TENANT. */
static bool on_trust_file(void *arg, const char *file)
{
    struct grant_names *names = arg;
    const size_t prefix = sizeof TRUST_GRANT_PREFIX - 1;
    const char *dot = strrchr(file, '.');
    char tenant[NAME_CAP] = "";

    if (strncmp(file, TRUST_GRANT_PREFIX, prefix) != 0 || !dot || dot < file + prefix)
        return true;
    struct bytes part = { .p = (const uint8_t *)file + prefix, .n = (size_t)(dot - file) - prefix };
    if (!bytes_to_text(part, tenant, sizeof tenant) || !name_valid(tenant))
        return true;
    for (uint32_t i = 0; i < names->n; i++)
        if (strcmp(names->tenant[i], tenant) == 0)
            return true;
    if (names->n < GRANT_NAMES_MAX)
        memcpy(names->tenant[names->n++], tenant, sizeof tenant);
    return true;
}

/* What is left behind is refused at every start, and takes up the room of others. */
static void remove_grant(struct agent *a, const char *tenant)
{
    static const char *const suffixes[] = { TRUST_GRANT_SUFFIX, ".a", ".b" };
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char file[sizeof TRUST_GRANT_PREFIX + NAME_CAP + sizeof TRUST_GRANT_SUFFIX];

        (void)snprintf(file, sizeof file, TRUST_GRANT_PREFIX "%.*s%s", (int)NAME_CAP - 1, tenant,
                       suffixes[i]);
        if (fs_unlink(a->trust_dir, file, &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "void grant");
    }
}

void agent_remove_void_grants(struct agent *a)
{
    struct grant_names names = { 0 };
    struct err err = { 0 };

    if (fs_list(a->trust_dir, ".", 4096, on_trust_file, &names, NULL, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "void grants");
    for (uint32_t i = 0; i < names.n; i++)
        if (!trust_grant(a->trust, names.tenant[i]))
            remove_grant(a, names.tenant[i]);
}

static enum rc restore_grant(struct agent *a, struct trust *trust, const struct source *s,
                             bool plain, uint8_t *buf, struct err *err)
{
    enum copies copies = COPIES_SAME;
    size_t n = 0;
    enum rc rc = read_source(a, s, plain, buf, &n, &copies, err);
    const struct bytes envelope = { .p = buf, .n = n };

    if (rc == RC_OK)
        rc = trust_restore_grant(trust, envelope, agent_now_unix(), err);
    if (rc == RC_OK)
        repair(a, s, envelope, copies);
    return rc;
}

/* Never good again: operator keys that come later make void what was issued before them. */
static bool is_void(enum rc rc)
{
    return rc == RC_ISSUED_BEFORE || rc == RC_KEY_UNKNOWN || rc == RC_KEY_REVOKED;
}

/* A grant that cannot be read or does not verify is told and left out: its tenant has none.  One
 * that is recorded is lost if what is here is not it, and else only not good any more. */
static void load_grant(struct agent *a, struct trust *trust, const char *tenant, uint8_t *buf)
{
    char state_name[NAME_CAP + sizeof TRUST_GRANT_PREFIX];
    char plain_name[sizeof state_name + sizeof TRUST_GRANT_SUFFIX];
    const struct source s = { state_name, plain_name };
    struct err err = { 0 }, other = { 0 };

    (void)snprintf(state_name, sizeof state_name, TRUST_GRANT_PREFIX "%s", tenant);
    (void)snprintf(plain_name, sizeof plain_name, "%s" TRUST_GRANT_SUFFIX, state_name);
    enum rc rc = restore_grant(a, trust, &s, false, buf, &err);
    bool seen = rc_class(rc) == RC_CLASS_REFUSED && rc != RC_NOT_FOUND && rc != RC_GRANT_OLD &&
                rc != RC_EQUIVOCATION;

    if (plain_counts(a, rc) && !seen && restore_grant(a, trust, &s, true, buf, &other) == RC_OK)
        return;
    if (seen)
        trust_unexpect_grant(trust, tenant);
    if (rc == RC_NOT_FOUND && other.rc != RC_OK)
        err = other;
    if (rc != RC_OK)
        agent_event_err(a, &err, state_name);
    if (rc != RC_OK && is_void(err.rc) && !a->damaged)
        remove_grant(a, tenant); /* a cut came between the root, or the revocation, and this */
}

static void load_grants(struct agent *a, struct trust *trust, struct grant_names *names,
                        uint8_t *buf)
{
    const struct trust_record *t = &a->state.trust;

    recorded_expect(a, trust);
    for (uint32_t i = 0; i < names->n; i++)
        load_grant(a, trust, names->tenant[i], buf);
    for (uint32_t i = 0; i < t->n_grants; i++)
        if (trust_expects_grant(trust, t->grant[i].tenant)) {
            char what[NAME_CAP + sizeof "grant "];

            (void)snprintf(what, sizeof what, "grant %.*s", (int)NAME_MAX_LEN, t->grant[i].tenant);
            agent_event(a, RC_SAFE_MODE, 1, what);
        }
}

static enum rc load_root_from(struct agent *a, const struct source *s, bool plain, uint8_t *buf,
                              struct trust **ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    enum copies copies = COPIES_SAME;
    size_t n = 0;
    enum rc rc = read_source(a, s, plain, buf, &n, &copies, err);
    const struct bytes envelope = { .p = buf, .n = n };

    if (rc == RC_OK)
        rc = trust_new(envelope, &trust, err);
    if (rc == RC_OK &&
        memcmp(&trust_root(trust)->mission, &a->config.mission, sizeof a->config.mission) != 0)
        rc = err_set(err, RC_MISSION, "trust root and " CONFIG_FILE);
    if (rc == RC_OK)
        rc = recorded_check_root(a, trust, err);
    if (rc != RC_OK)
        return rc;
    repair(a, s, envelope, copies);
    *ret = trust;
    trust = NULL;
    return RC_OK;
}

static enum rc load_root(struct agent *a, uint8_t *buf, struct trust **ret, struct err *err)
{
    const struct source s = { "root", TRUST_ROOT_FILE };
    struct err other = { 0 };
    enum rc rc = load_root_from(a, &s, false, buf, ret, err);

    if (!plain_counts(a, rc))
        return rc;
    enum rc plain = load_root_from(a, &s, true, buf, ret, &other);
    if (plain == RC_OK)
        return RC_OK;
    if (rc == RC_NOT_FOUND)
        *err = other;
    return err->rc == RC_NOT_FOUND ? err_set(err, RC_TRUST_MISSING, "trust/" TRUST_ROOT_FILE)
                                   : err->rc;
}

/* Everything that is not the root, in the order in which it may speak. */
static enum rc fill_trust(struct agent *a, struct trust *trust, uint8_t *buf, struct err *err)
{
    scoped(free_ptr) struct revoked_set *set = calloc(1, sizeof *set);
    struct grant_names names = { 0 };

    if (!set)
        return err_set(err, RC_NO_MEMORY, "trust");
    trust_restore_time(trust, a->state.time_floor, a->state.time_anchor);
    enum rc rc = revoke_restore(a, set, err);
    if (rc == RC_OK)
        rc = fs_list(a->trust_dir, ".", 4096, on_trust_file, &names, NULL, err);
    if (rc != RC_OK)
        return rc;
    trust_restore_revoked(trust, set);
    load_grants(a, trust, &names, buf);
    teams_load(a, trust);
    return RC_OK;
}

enum rc agent_load_trust(struct agent *a, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(trust_free) struct trust *trust = NULL;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "trust");
    enum rc rc = load_root(a, buf, &trust, err);
    if (rc == RC_OK)
        rc = fill_trust(a, trust, buf, err);
    if (rc != RC_OK)
        return rc;
    if (a->trust) /* time does not go back with what was not saved */
        trust_restore_time(trust, trust_time_floor(a->trust), trust_time_anchor(a->trust));
    trust_free(&a->trust);
    a->trust = trust;
    trust = NULL;
    return RC_OK;
}

/* ---- order --------------------------------------------------------------------------------------
 */

struct order_position agent_position(const struct agent *a)
{
    return (struct order_position){
        .satellite = a->config.satellite,
        .generation = a->state.generation,
        .digest = a->state.generation > 0 ? &a->state.order : NULL,
        .issued_ms = a->state.order_issued_ms,
        .staged = a->staged.generation,
        .staged_digest = a->staged.generation > 0 ? &a->staged.digest : NULL,
    };
}

void agent_set_order(struct agent *a, const struct verified_order *order)
{
    assert(!verified_order_waits(order));
    a->order = *verified_order_get(order);
    a->cosigned = verified_order_cosigned(order);
    a->ordered = true;
    a->state.generation = a->order.generation;
    a->state.order = *verified_order_digest(order);
    a->state.order_issued_ms = a->order.issued_ms;
    witness_take(a, &a->order);
}

void agent_forget_void_order(struct agent *a)
{
    const struct order_position position = agent_position(a);
    struct err err = { 0 };

    if (a->state.generation == 0 || trust_position_counts(a->trust, &position))
        return;
    log_event(LOG_LEVEL_INFO, "void order=%llu", (unsigned long long)a->state.generation);
    a->ordered = false;
    a->state.generation = 0;
    a->state.order = (struct digest){ 0 };
    a->state.order_issued_ms = 0;
    agent_save(a);
    if (fs_unlink(a->state_dir, ORDER_FILE ".a", &err) != RC_OK ||
        fs_unlink(a->state_dir, ORDER_FILE ".b", &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "void order");
}

/* It may have been saved just before the record of it;
 * one that is older than the record was brought back by someone, and is not followed. */
enum rc agent_load_order(struct agent *a, struct err *err)
{
    scoped(order_file_done) struct order_file file = { 0 };
    struct verified_order *order = NULL;
    const struct order_position position = agent_position(a);
    enum rc rc = order_file_load(a->state_dir, &file, err);

    if (rc == RC_NOT_FOUND && a->state.generation == 0)
        return RC_OK;
    if (rc == RC_OK)
        rc = order_file_verify(a->trust, &file, &position, agent_now_unix(), &order, err);
    if (rc != RC_OK)
        return rc;
    agent_set_order(a, order);
    verified_order_free(&order);
    return RC_OK;
}

/* A root was recorded and is not there: only the record is left to say what may run, and it must
 * know all that was ever revoked. */
static void lose_root(struct agent *a, const struct err *why)
{
    scoped(free_ptr) struct revoked_set *set = calloc(1, sizeof *set);
    struct err err = { 0 };

    if (a->state.trust.root_version == 0 || !set)
        return;
    if (revoke_restore(a, set, &err) != RC_OK) {
        agent_event_err(a, &err, "trust/revoked");
        return;
    }
    recorded_enter(a, why);
    agent_save(a);
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

/* Twice, because once may pass. */
static enum rc open_store(struct agent *a, int dir, struct err *err)
{
    enum rc rc = objects_open(dir, STORED_BYTES_MAX, STORED_COUNT_MAX, &a->objects, err);

    return rc == RC_OK ? rc
                       : objects_open(dir, STORED_BYTES_MAX, STORED_COUNT_MAX, &a->objects, err);
}

/* Packages can be had again, so another directory will do, for a part of it that is broken, too;
 * where there is none either (a disk that is full or read-only) what is there can be read, and
 * without any store what runs goes on. */
static void open_objects(struct agent *a)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int spare = -1;
    struct err err = { 0 };
    bool bad = false;
    enum rc rc = place_open(a->state_dir, PLACE_OBJECTS, 0700, false, &dir, &bad, &err);

    if (rc == RC_OK)
        rc = open_store(a, dir, &err);
    if (rc == RC_OK) {
        place_forget_spare(a->state_dir, PLACE_OBJECTS);
        return;
    }
    a->bad_places |= 1U << PLACE_OBJECTS;
    log_err(LOG_LEVEL_ERROR, &err, "objects/ is passed over");
    rc = place_spare(a->state_dir, PLACE_OBJECTS, 0700, &spare, &err);
    if (rc == RC_OK)
        rc = open_store(a, spare, &err);
    if (rc == RC_OK)
        return;
    log_err(LOG_LEVEL_ERROR, &err, "no package can be taken");
    if (dir >= 0 &&
        objects_open_read(dir, STORED_BYTES_MAX, STORED_COUNT_MAX, &a->objects, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "none can be read");
}

/* What is installed, as far as it can be read: what cannot be is not lost.  What is unpacked may
 * lie anywhere. */
static void open_slots(struct agent *a)
{
    scoped(close_fd) int staging = -1;
    struct err err = { 0 };
    bool bad = false;

    if (place_open(a->state_dir, PLACE_STAGING, 0700, true, &staging, &bad, &err) == RC_OK &&
        !bad && slots_open(a->state_dir, &a->slots, &err) == RC_OK)
        return;
    log_err(LOG_LEVEL_ERROR, &err, "slots");
    if (slots_open_at(a->state_dir, staging, &a->slots, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "no slot can be read");
        a->bad_places |= 1U << PLACE_SLOTS;
        return;
    }
    if (bad || a->slots.staging < 0)
        a->bad_places |= 1U << PLACE_STAGING;
}

static void tell_places(struct agent *a)
{
    for (unsigned place = 0; place < PLACES; place++)
        if (a->bad_places & 1U << place)
            agent_event(a, RC_STATE_DIR, 1, place_name((enum place)place));
}

/* What was set aside; nothing may have been yet. */
static enum rc sweep_aside(const struct agent *a, struct err *err)
{
    enum rc rc = fs_sweep(a->state_dir, ASIDE_DIR, err);

    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc agent_load(struct agent *a, struct err *err)
{
    struct identity identity = { 0 };
    struct err why = { 0 };
    enum rc rc = identity_load(a, &identity, err);

    if (rc == RC_OK)
        rc = own_load(a, err);
    if (rc != RC_OK)
        return rc;
    a->objects = (struct objects){ .dir = -1 };
    a->slots = (struct slots){ .dir = -1, .staging = -1 };
    open_objects(a);
    open_slots(a);
    bool swept = fs_sweep(a->state_dir, ".", &why) == RC_OK &&
                 fs_sweep(a->state_dir, "trust", &why) == RC_OK && sweep_aside(a, &why) == RC_OK &&
                 data_sweep(a->data_dir, &why) == RC_OK;
    rc = load_state(a, err);
    if (rc != RC_OK)
        return rc;
    a->inputs.safe = a->state.safe; /* until the platform says otherwise */
    reconcile_resume(&a->table, a->state.safe, clock_mono_ms());
    tell_places(a);
    if (!swept) /* does not stop a start; events are counted only now */
        agent_event_err(a, &why, "sweep");
    if (a->own.damaged)
        agent_event(a, RC_STATE_DAMAGED, 1, BOOT_FILE " record");
    copying_sweep(a);
    agent_save(a); /* the epoch, before anything is said under it */
    agent_tell_frozen(a);
    a->table.next_instance = (a->state.epoch << 32) + 1;
    witness_load(a);
    rekey_load(a);
    rc = agent_load_trust(a, &why);
    identity_keep(a, &identity);
    if (rc != RC_OK) {
        agent_event_err(a, &why, "trust");
        lose_root(a, &why);
        return RC_OK; /* everything new is refused, and the ground can see why */
    }
    agent_forget_void_order(a);
    /* Without the document the records still say what it said, and every slot is verified again. */
    if (agent_load_order(a, &why) != RC_OK)
        agent_event_err(a, &why, "order");
    staged_load(a);
    agent_record_trust(a);
    return RC_OK;
}
