/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/revoke.h"

#include "agent/staged.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/statefile.h"
#include "manifest/envelope.h"

static enum rc load_set(const struct agent *a, struct revoked_set *ret,
                        struct statefile_info *ret_info, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "revoked");
    enum rc rc =
        statefile_load(a->trust_dir, TRUST_REVOKED_FILE, buf, REVOKED_FILE_MAX, &n, ret_info, err);
    return rc == RC_OK ? revoked_set_decode((struct bytes){ .p = buf, .n = n }, ret, err) : rc;
}

enum rc revoke_look(const struct agent *a, struct err *err)
{
    scoped(free_ptr) struct revoked_set *set = calloc(1, sizeof *set);
    struct statefile_info info = { 0 };

    return set ? load_set(a, set, &info, err) : err_set(err, RC_NO_MEMORY, "revoked");
}

/* What the file says; RC_OK with an empty set if there is none. */
static enum rc read_set(struct agent *a, struct revoked_set *ret, bool *ret_whole, struct err *err)
{
    struct statefile_info info = { 0 };
    enum rc rc = load_set(a, ret, &info, err);

    if (rc == RC_OK && (info.damaged || (info.alone && info.sequence > 1)))
        agent_event(a, RC_STATE_DAMAGED, 1, "one copy of trust/revoked, repaired");
    *ret_whole = rc == RC_OK && info.twice;
    return rc;
}

static enum rc write_set(struct agent *a, const struct revoked_set *set, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    struct bytes content = { 0 };

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "revoked");
    enum rc rc = revoked_set_encode(set, buf, REVOKED_FILE_MAX, &content, err);
    if (rc == RC_OK)
        rc = statefile_renew(a->trust_dir, TRUST_REVOKED_FILE, content, err);
    return rc;
}

/* Versions that were allowed under fewer revocations: without a root nobody can say what the new
 * ones are about. */
static void forget_vouched(struct agent *a)
{
    for (uint32_t i = 0; i < a->table.n_units; i++)
        a->table.unit[i].kept.vouched = (struct digest){ 0 };
    a->unrecorded = true;
}

enum rc revoke_restore(struct agent *a, struct revoked_set *ret, struct err *err)
{
    struct revoked_set *recorded = &a->state.trust.revoked;
    bool known = a->state.trust.root_version > 0;
    bool whole = false, more = false, fewer = false;
    struct err why = { 0 };
    enum rc rc = read_set(a, ret, &whole, &why);
    /* without the directory (agent/place) it is as lost as if both copies were damaged */
    bool lost = a->trust_dir < 0 || (rc_class(rc) != RC_CLASS_RETRY && rc != RC_CRYPTO);

    /* A record that was kept does not know what was revoked since. */
    if (rc != RC_OK && (!lost || a->old_record || (!known && (a->damaged || rc != RC_NOT_FOUND)))) {
        *err = why; /* nobody knows what must not run */
        return rc == RC_NOT_FOUND ? err_set(err, RC_STATE_DAMAGED, "trust/revoked") : rc;
    }
    if (rc != RC_OK)
        *ret = (struct revoked_set){ 0 };
    if (known && revoked_set_merge(ret, recorded, &fewer, err) != RC_OK)
        return err->rc;
    if (known && revoked_set_merge(recorded, ret, &more, err) != RC_OK)
        return err->rc;
    if (more)
        forget_vouched(a);
    if (known && (rc != RC_OK || fewer))
        agent_event(a, RC_STATE_DAMAGED, 1, "trust/revoked, put back");
    if (!whole || fewer) {
        rc = write_set(a, ret, &why);
        if (rc != RC_OK)
            log_err(LOG_LEVEL_WARN, &why, "revoked");
    }
    a->old_record = false; /* now it does */
    return RC_OK;
}

enum rc revoke_save(struct agent *a, struct err *err)
{
    return write_set(a, trust_revoked(a->trust), err);
}

/* A version that is not in its slot can still be named by its digest. */
static enum revoke_policy judge_version(void *arg, const struct unit_record *r,
                                        const struct digest *manifest)
{
    const struct agent *a = arg;
    struct slot slot = { .root = -1 };
    struct slot_id id = { .manifest = *manifest };
    struct err err = { 0 };

    memcpy(id.tenant, r->tenant, sizeof id.tenant);
    memcpy(id.payload, r->name, sizeof id.payload);
    if (slot_open(&a->slots, &id, &slot, &err) != RC_OK)
        return revoked_manifest(trust_revoked(a->trust), manifest, NULL);

    enum revoke_policy policy = trust_judge_manifest(
        a->trust, (struct bytes){ .p = slot.envelope, .n = slot.envelope_bytes });
    slot_close(&slot);
    return policy;
}

/* The order that is in force, from its envelope: it was verified when it came, and the state has
 * its digest.  False: there is none, or it is not that one. */
static bool read_order(struct agent *a, struct order *ret, enum revoke_policy *ret_policy)
{
    scoped(order_file_done) struct order_file file = { 0 };
    struct envelope envelope;
    struct digest digest;
    struct err err = { 0 };

    if (a->state.generation == 0 || order_file_load(a->state_dir, &file, &err) != RC_OK)
        return false;
    if (envelope_open(file.order, &envelope, &err) != RC_OK ||
        sha256_of(envelope.payload, digest.b, &err) != RC_OK ||
        !digest_same(&digest, &a->state.order) ||
        order_decode(envelope.payload, ret, &err) != RC_OK)
        return false;
    *ret_policy = trust_judge_order(a->trust, file.order, file.token);
    return true;
}

/* Whether a tenant has taken anything back from a team. */
static bool any_withdrawn(const struct agent *a)
{
    for (size_t i = 0; i < trust_teams(a->trust); i++)
        if (trust_team(a->trust, i).withdrawn != REVOKE_NONE)
            return true;
    return false;
}

void revoke_apply(struct agent *a)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    struct reconcile_judge judge = { .version = judge_version, .arg = a };

    if (!a->trust || !order || (trust_revoked(a->trust)->n == 0 && !any_withdrawn(a)))
        return;
    if (read_order(a, order, &judge.order_policy))
        judge.order = order;
    reconcile_revoke(&a->table, &judge);
    if (judge.order_policy >= REVOKE_ROLLBACK)
        a->ordered = false;
    agent_report_soon(a);
}
