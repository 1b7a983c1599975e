/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

/* The first root is the one document that is read before any signature: its keys are inside it.
 * Provisioning put it on board, and it is believed for that; the signatures show it whole. */
static enum rc read_first_root(struct bytes bytes, struct trust *trust, struct err *err)
{
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = root_decode(envelope.payload, &trust->root, err);
    if (rc == RC_OK)
        rc =
            envelope_verify(&envelope, DOC_ROOT, &trust->root.mission, &trust->root.root_keys, err);
    if (rc == RC_OK)
        rc = trust_kept_init(&trust->root_kept, bytes, envelope.payload, err);
    return rc;
}

enum rc trust_new(struct bytes root_envelope, struct trust **ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;

    if (root_envelope.n == 0)
        return err_set(err, RC_TRUST_MISSING, "root");
    trust = calloc(1, sizeof *trust);
    if (!trust)
        return err_set(err, RC_NO_MEMORY, "trust");

    enum rc rc = read_first_root(root_envelope, trust, err);
    if (rc != RC_OK)
        return rc;
    trust->floor_ms = trust->anchor_ms = trust->root.issued_ms;
    *ret = trust;
    trust = NULL;
    return RC_OK;
}

/* Whether the keys of the next root are the ones that the present root promised. */
static enum rc check_commitment(const struct root *now, const struct root *next, struct err *err)
{
    struct digest keys;
    struct digest384 keys384;

    enum rc rc = key_set_digest(&next->root_keys, &keys, &keys384, err);
    if (rc == RC_OK && memcmp(&keys, &now->next_keys, sizeof keys) != 0)
        rc = err_set(err, RC_ROOT_COMMITMENT, "root.root_keys");
    if (rc == RC_OK && !digest384_is_none(&now->next_keys384) &&
        memcmp(&keys384, &now->next_keys384, sizeof keys384) != 0)
        rc = err_set(err, RC_ROOT_COMMITMENT, "root.root_keys: SHA-384");
    return rc;
}

static bool same_keys(const struct key_set *a, const struct key_set *b)
{
    if (a->threshold != b->threshold || a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (memcmp(a->key[i].id, b->key[i].id, KEY_ID_SIZE) != 0)
            return false;
    return true;
}

/* When the operator's keys change, its counters begin anew, and then nothing signed before may
 * count: the keys that stayed signed documents which a carrier could bring again. */
static enum rc check_operator_since(const struct root *now, const struct root *next,
                                    struct err *err)
{
    uint64_t since = next->operator_since_ms;

    if (since < now->operator_since_ms)
        return err_set(err, RC_VALUE, "root.operator_since: before that of the root held");
    if (since != now->operator_since_ms && since != next->issued_ms)
        return err_set(err, RC_VALUE, "root.operator_since: neither kept nor issued");
    if (since == now->operator_since_ms && !same_keys(&now->operator_keys, &next->operator_keys))
        return err_set(err, RC_VALUE, "root.operator_since: the operator's keys changed");
    return RC_OK;
}

/* What can be said of a root before any of its signatures is checked, and must hold before its own
 * keys may be asked: they are believed only because their digest is the one committed to. */
static enum rc check_claims(const struct trust *trust, const struct root *next, struct err *err)
{
    if (memcmp(&next->mission, &trust->root.mission, sizeof next->mission) != 0)
        return err_set(err, RC_MISSION, "root.mission");
    if (next->version < trust->root.version)
        return err_set(err, RC_VERSION_OLD, "root %" PRIu64, next->version);
    if (next->version > trust->root.version + 1)
        return err_set(err, RC_ROOT_GAP, "root %" PRIu64, next->version);
    if (next->version == trust->root.version)
        return RC_OK;
    return check_commitment(&trust->root, next, err);
}

/* The same version with other content: if the keys held signed it, they lie, and that is told. */
static enum rc check_rival(const struct trust *trust, const struct envelope *envelope,
                           const struct root *rival, struct err *err)
{
    enum rc rc = trust_vouch(trust, envelope, DOC_ROOT, &trust->root.root_keys, REVOKE_NONE, err);

    return rc == RC_OK ? err_set(err, RC_EQUIVOCATION, "root %" PRIu64, rival->version) : rc;
}

/* Whether the keys of the root held signed too.  None of them, or too few that are
 * not revoked, is a recovery; a wrong
 * signature in the name of one of them is a fault, as everywhere. */
static enum rc check_old_keys(const struct trust *trust, const struct envelope *envelope,
                              bool *ret_recovered, struct err *err)
{
    enum rc rc = trust_vouch(trust, envelope, DOC_ROOT, &trust->root.root_keys, REVOKE_NONE, err);

    *ret_recovered = rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD || rc == RC_KEY_REVOKED;
    return *ret_recovered ? RC_OK : rc;
}

/* RC_OK: take it.  RC_EXISTS: it is the one held already.  A root is read before its signatures:
 * its keys are inside it. */
static enum rc verify_next_root(const struct trust *trust, struct bytes bytes, struct root *ret,
                                struct kept *ret_kept, struct root_change *ret_change,
                                struct err *err)
{
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret_kept->payload.b, err);
    if (rc == RC_OK && trust_same_payload(ret_kept, &trust->root_kept))
        return RC_EXISTS;
    if (rc == RC_OK)
        rc = root_decode(envelope.payload, ret, err);
    if (rc == RC_OK)
        rc = check_claims(trust, ret, err);
    if (rc == RC_OK && ret->version == trust->root.version)
        rc = check_rival(trust, &envelope, ret, err);
    if (rc == RC_OK)
        rc = trust_vouch(trust, &envelope, DOC_ROOT, &ret->root_keys, REVOKE_NONE, err);
    if (rc == RC_OK)
        rc = check_old_keys(trust, &envelope, &ret_change->recovered, err);
    if (rc == RC_OK)
        rc = check_operator_since(&trust->root, ret, err);
    if (rc == RC_OK) /* last, since checking needs memory, too */
        rc = trust_kept_init(ret_kept, bytes, envelope.payload, err);
    return rc;
}

enum rc trust_next_root(struct trust *trust, struct bytes envelope, struct root_change *ret,
                        struct err *err)
{
    scoped(free_ptr) struct root *next = NULL;
    scoped(trust_kept_done) struct kept kept = { 0 };
    struct root_change change = { 0 };

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "root");
    next = calloc(1, sizeof *next);
    if (!next)
        return err_set(err, RC_NO_MEMORY, "root");

    enum rc rc = verify_next_root(trust, envelope, next, &kept, &change, err);
    if (rc != RC_OK && rc != RC_EXISTS)
        return rc;
    if (rc == RC_OK) { /* everything has been checked: only now does anything change */
        trust_kept_done(&trust->root_kept);
        trust->root_kept = kept;
        kept = (struct kept){ 0 };
        change.taken = true;
        change.operator_reset = next->operator_since_ms != trust->root.operator_since_ms;
        trust->root = *next;
        trust_raise_anchor(trust, next->issued_ms);
        trust_drop_orphaned_grants(trust);
        if (change.operator_reset) /* void, whatever it said */
            trust->n_expected = 0;
    }
    if (ret)
        *ret = change;
    return RC_OK;
}
