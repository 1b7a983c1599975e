/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent finds at start: config, trust, state, order, stores; and what it makes of damage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/data.h"
#include "agent/revoke.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"
#include "base/statefile.h"

#define STORE_BYTES_MAX (1024ULL * 1024U * 1024U) /* packages that wait to be installed */
#define STORE_COUNT_MAX 64U

/* ---- trust --------------------------------------------------------------------------------------
 */

/* A document of trust/: our own state file, or else what provisioning put there. */
static enum rc read_document(int dir, const char *state_name, const char *plain_name, uint8_t *buf,
                             size_t *ret_n, struct err *err)
{
    enum rc rc = statefile_load(dir, state_name, buf, DOCUMENT_MAX, ret_n, NULL, err);

    if (rc == RC_NOT_FOUND)
        rc = fs_read_file(dir, plain_name, buf, DOCUMENT_MAX, ret_n, err);
    return rc;
}

struct grant_names {
    uint32_t n;
    char tenant[TENANTS_MAX][NAME_CAP];
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
    if (names->n < TENANTS_MAX)
        memcpy(names->tenant[names->n++], tenant, sizeof tenant);
    return true;
}

/* A grant that cannot be read or does not verify is told and left out: its tenant has none. */
static void load_grant(struct agent *a, struct trust *trust, const char *tenant, uint8_t *buf)
{
    char state_name[NAME_CAP + sizeof TRUST_GRANT_PREFIX];
    char plain_name[sizeof state_name + sizeof TRUST_GRANT_SUFFIX];
    struct err err = { 0 };
    size_t n = 0;

    (void)snprintf(state_name, sizeof state_name, TRUST_GRANT_PREFIX "%s", tenant);
    (void)snprintf(plain_name, sizeof plain_name, "%s" TRUST_GRANT_SUFFIX, state_name);
    enum rc rc = read_document(a->trust_dir, state_name, plain_name, buf, &n, &err);
    if (rc == RC_OK)
        rc = trust_restore_grant(trust, (struct bytes){ .p = buf, .n = n }, agent_now_unix(), &err);
    if (rc != RC_OK)
        agent_event_err(a, &err, state_name);
}

static enum rc load_root(struct agent *a, uint8_t *buf, struct trust **ret, struct err *err)
{
    size_t n = 0;
    enum rc rc = read_document(a->trust_dir, "root", TRUST_ROOT_FILE, buf, &n, err);

    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_TRUST_MISSING, "trust/" TRUST_ROOT_FILE);
    if (rc == RC_OK)
        rc = trust_new((struct bytes){ .p = buf, .n = n }, ret, err);
    if (rc == RC_OK &&
        memcmp(&trust_root(*ret)->mission, &a->config.mission, sizeof a->config.mission) != 0) {
        trust_free(ret);
        rc = err_set(err, RC_MISSION, "trust root and " CONFIG_FILE);
    }
    return rc;
}

enum rc agent_load_trust(struct agent *a, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct grant_names names = { 0 };
    struct trust *trust = NULL;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "trust");
    enum rc rc = load_root(a, buf, &trust, err);
    if (rc != RC_OK)
        return rc;
    trust_raise_floor(trust, a->state.time_floor);
    rc = revoke_load(a, trust, err);
    if (rc != RC_OK) {
        trust_free(&trust);
        return rc;
    }
    rc = fs_list(a->trust_dir, ".", 4096, on_trust_file, &names, NULL, err);
    if (rc != RC_OK) {
        trust_free(&trust);
        return rc;
    }
    for (uint32_t i = 0; i < names.n; i++)
        load_grant(a, trust, names.tenant[i], buf);
    if (a->trust) /* time does not go back with what was not saved */
        trust_raise_floor(trust, trust_time_floor(a->trust));
    trust_free(&a->trust);
    a->trust = trust;
    return RC_OK;
}

/* ---- state --------------------------------------------------------------------------------------
 */

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

/* Whether there was an agent here before: then a missing state is a lost one. */
static bool has_past(struct agent *a)
{
    struct statefile_info info = { 0 };
    struct err err = { 0 };
    uint8_t byte = 0;
    size_t n = 0;
    bool found = false;
    enum rc rc = statefile_load(a->state_dir, ORDER_FILE, &byte, sizeof byte, &n, &info, &err);

    if (slot_list(&a->slots, any_slot, &found, &err) != RC_OK ||
        data_list(a->data_dir, any_data, &found, &err) != RC_OK)
        found = true;
    return found || rc != RC_NOT_FOUND;
}

static void load_state(struct agent *a)
{
    struct err err = { 0 };
    bool repair = false;
    enum rc rc = state_load(a->state_dir, &a->state, &repair, &err);

    if (rc != RC_OK && (rc != RC_NOT_FOUND || has_past(a))) {
        go_damaged(a, rc == RC_NOT_FOUND ? "state is missing" : "state");
        return;
    }
    events_init(&a->events, a->state.event_seq);
    take_records(a);
    if (repair)
        agent_event(a, RC_STATE_DAMAGED, 1, "one copy of the state, repaired");
    a->state.epoch++;
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
    };
}

void agent_set_order(struct agent *a, const struct verified_order *order)
{
    a->order = *verified_order_get(order);
    a->ordered = true;
    a->state.generation = a->order.generation;
    a->state.order = *verified_order_digest(order);
    a->state.order_issued_ms = a->order.issued_ms;
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

/* The order that was in force when we ended.  It may have been saved just before the record of it;
 * one that is older than the record was brought back by someone, and is not followed. */
static enum rc load_order(struct agent *a, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct verified_order *order = NULL;
    const struct order_position position = agent_position(a);
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = statefile_load(a->state_dir, ORDER_FILE, buf, DOCUMENT_MAX, &n, NULL, err);
    if (rc == RC_NOT_FOUND && a->state.generation == 0)
        return RC_OK;
    if (rc == RC_OK)
        rc = trust_verify_order(a->trust, (struct bytes){ .p = buf, .n = n }, &position,
                                agent_now_unix(), &order, err);
    if (rc != RC_OK)
        return rc;
    agent_set_order(a, order);
    verified_order_free(&order);
    return RC_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

static enum rc load_config(struct agent *a, struct err *err)
{
    uint8_t buf[CONFIG_MAX];
    size_t n = 0;
    enum rc rc = fs_read_file(a->state_dir, CONFIG_FILE, buf, sizeof buf, &n, err);

    if (rc == RC_OK)
        rc = config_decode((struct bytes){ .p = buf, .n = n }, &a->config, err);
    return rc;
}

static enum rc open_stores(struct agent *a, struct err *err)
{
    scoped(close_fd) int objects = -1;
    enum rc rc = fs_open_dir(a->state_dir, "objects", 0700, &objects, err);

    if (rc == RC_OK)
        rc = objects_open(objects, STORE_BYTES_MAX, STORE_COUNT_MAX, &a->objects, err);
    if (rc == RC_OK)
        rc = slots_open(a->state_dir, &a->slots, err);
    return rc;
}

enum rc agent_load(struct agent *a, struct err *err)
{
    struct err why = { 0 };
    enum rc rc = load_config(a, err);

    if (rc == RC_OK)
        rc = open_stores(a, err);
    if (rc != RC_OK)
        return rc;
    /* what cannot be swept is told and does not stop a start */
    if (fs_sweep(a->state_dir, ".", &why) != RC_OK ||
        fs_sweep(a->state_dir, "trust", &why) != RC_OK)
        agent_event_err(a, &why, "sweep");
    load_state(a);
    agent_save(a); /* the epoch, before anything is said under it */
    a->table.next_instance = (a->state.epoch << 32) + 1;
    if (agent_load_trust(a, &why) != RC_OK) {
        agent_event_err(a, &why, "trust");
        return RC_OK; /* everything is refused, and the ground can see why */
    }
    agent_forget_void_order(a);
    /* Without the document the records still say what it said, and every slot is verified again. */
    if (load_order(a, &why) != RC_OK)
        agent_event_err(a, &why, "order");
    return RC_OK;
}
