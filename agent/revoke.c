/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/revoke.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/statefile.h"
#include "manifest/envelope.h"

enum rc revoke_load(struct agent *a, struct trust *trust, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    scoped(free_ptr) struct revoked_set *set = malloc(sizeof *set);
    size_t n = 0;

    if (!buf || !set)
        return err_set(err, RC_NO_MEMORY, "revoked");
    enum rc rc = statefile_load(a->trust_dir, REVOKED_FILE, buf, REVOKED_FILE_MAX, &n, NULL, err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = revoked_set_decode((struct bytes){ .p = buf, .n = n }, set, err);
    if (rc == RC_OK)
        trust_restore_revoked(trust, set);
    return rc;
}

enum rc revoke_save(struct agent *a, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    struct bytes content = { 0 };

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "revoked");
    enum rc rc = revoked_set_encode(trust_revoked(a->trust), buf, REVOKED_FILE_MAX, &content, err);
    if (rc == RC_OK)
        rc = statefile_save(a->trust_dir, REVOKED_FILE, content, err);
    return rc;
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
        return revoked_manifest(trust_revoked(a->trust), manifest);

    enum revoke_policy policy = trust_judge_manifest(
        a->trust, (struct bytes){ .p = slot.envelope, .n = slot.envelope_bytes });
    slot_close(&slot);
    return policy;
}

/* The order that is in force, from its envelope: it was verified when it came, and the state has
 * its digest.  False: there is none, or it is not that one. */
static bool read_order(struct agent *a, struct order *ret, enum revoke_policy *ret_policy)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct envelope envelope;
    struct digest digest;
    struct err err = { 0 };
    size_t n = 0;

    if (!buf || a->state.generation == 0 ||
        statefile_load(a->state_dir, ORDER_FILE, buf, DOCUMENT_MAX, &n, NULL, &err) != RC_OK)
        return false;
    const struct bytes bytes = { .p = buf, .n = n };

    if (envelope_open(bytes, &envelope, &err) != RC_OK ||
        sha256_of(envelope.payload, digest.b, &err) != RC_OK ||
        !digest_same(&digest, &a->state.order) ||
        order_decode(envelope.payload, ret, &err) != RC_OK)
        return false;
    *ret_policy = trust_judge_order(a->trust, bytes);
    return true;
}

void revoke_apply(struct agent *a)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    struct reconcile_judge judge = { .version = judge_version, .arg = a };

    if (!a->trust || !order || trust_revoked(a->trust)->n == 0)
        return;
    if (read_order(a, order, &judge.order_policy))
        judge.order = order;
    reconcile_revoke(&a->table, &judge);
    if (judge.order_policy >= REVOKE_ROLLBACK)
        a->ordered = false;
    agent_report_soon(a);
}
