/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/trust.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/name.h"
#include "manifest/envelope.h"
#include "manifest/wire.h"

/* An envelope that was verified, copied, and the digest of its payload: the identity of a document
 * is that of its payload, since signatures may be added. */
struct kept {
    uint8_t *p;
    size_t n;
    struct digest payload;
};

struct held_grant {
    struct kept kept;
    struct grant doc;
    bool waning; /* a revoked key signed it, with REVOKE_KEEP: good for what runs already */
};

struct trust {
    struct kept root_kept;
    struct root root;
    uint64_t floor_ms;  /* the latest time in any document taken, moving with monotonic time */
    uint64_t anchor_ms; /* the same of what the root role signed: what the floor may run ahead of */
    struct revoked_set revoked;
    size_t n_grants;
    struct held_grant *grant[TENANTS_MAX];
};

struct verified_manifest {
    struct manifest doc;
    struct digest digest;
};

struct verified_order {
    struct order doc;
    struct digest digest;
};

/* ---- pieces ---- */

static void kept_done(struct kept *kept)
{
    free(kept->p);
    *kept = (struct kept){ 0 };
}

static enum rc kept_init(struct kept *ret, struct bytes envelope, struct bytes payload,
                         struct err *err)
{
    struct kept k = { .n = envelope.n };

    enum rc rc = sha256_of(payload, k.payload.b, err);
    if (rc != RC_OK)
        return rc;
    k.p = malloc(envelope.n);
    if (!k.p)
        return err_set(err, RC_NO_MEMORY, "envelope");
    memcpy(k.p, envelope.p, envelope.n);
    *ret = k;
    return RC_OK;
}

static bool same_payload(const struct kept *a, const struct kept *b)
{
    return memcmp(&a->payload, &b->payload, sizeof a->payload) == 0;
}

static void held_grant_free(struct held_grant **g)
{
    if (*g)
        kept_done(&(*g)->kept);
    free(*g);
    *g = NULL;
}

static size_t grant_index(const struct trust *trust, const char *tenant)
{
    size_t i = 0;

    while (i < trust->n_grants && strcmp(trust->grant[i]->doc.tenant, tenant) != 0)
        i++;
    return i;
}

/* The latest time that is believed without the root role's word. */
static uint64_t ceiling_of(const struct trust *trust)
{
    return trust->anchor_ms + TRUST_AHEAD_MAX_MS;
}

/* What time it is at least.  A clock beyond the ceiling is as good as none. */
static uint64_t time_at_least(const struct trust *trust, uint64_t now_ms)
{
    return now_ms > trust->floor_ms && now_ms <= ceiling_of(trust) ? now_ms : trust->floor_ms;
}

/* For what the root role did not sign.  Measured from the root's word and not from the floor, so
 * that no chain of documents, each a little later, walks time to its end. */
static enum rc check_issued(const struct trust *trust, uint64_t issued_ms, struct err *err)
{
    if (issued_ms > ceiling_of(trust))
        return err_set(err, RC_TIME_JUMP, "issued");
    return RC_OK;
}

/* The same for what the operator signs; what is held already was not too late when it came. */
static enum rc check_operator_issued(const struct trust *trust, uint64_t issued_ms, bool held,
                                     struct err *err)
{
    if (issued_ms < trust->root.operator_since_ms)
        return err_set(err, RC_ISSUED_BEFORE, "issued");
    return held ? RC_OK : check_issued(trust, issued_ms, err);
}

static bool is_expired(const struct trust *trust, uint64_t expires_ms, uint64_t now_ms)
{
    return expires_ms != 0 && time_at_least(trust, now_ms) >= expires_ms;
}

/* The strictest policy about any key that an envelope names as a signer's. */
static enum revoke_policy signers_policy(const struct trust *trust, const struct envelope *e)
{
    enum revoke_policy worst = REVOKE_NONE;

    for (uint32_t i = 0; i < e->n; i++) {
        enum revoke_policy p = revoked_key(&trust->revoked, e->signature[i].key_id.p);

        worst = p > worst ? p : worst;
    }
    return worst;
}

/* Have a role's keys vouch for an envelope: those that were revoked, with a policy beyond what is
 * tolerated, are no keys of the role any more.  RC_KEY_REVOKED: it would have done with them. */
static enum rc vouch(const struct trust *trust, const struct envelope *e, enum doc_type type,
                     const struct key_set *keys, enum revoke_policy tolerated, struct err *err)
{
    scoped(free_ptr) struct key_set *left = malloc(sizeof *left);

    if (!left)
        return err_set(err, RC_NO_MEMORY, "keys");
    left->threshold = keys->threshold;
    left->n = 0;
    for (uint32_t i = 0; i < keys->n; i++)
        if (revoked_key(&trust->revoked, keys->key[i].id) <= tolerated)
            left->key[left->n++] = keys->key[i];
    if (left->n == keys->n)
        return envelope_verify(e, type, &trust->root.mission, keys, err);
    if (left->n < left->threshold)
        return err_set(err, RC_KEY_REVOKED, "%u keys of %u are left", left->n, keys->n);

    enum rc rc = envelope_verify(e, type, &trust->root.mission, left, err);
    if ((rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD) && signers_policy(trust, e) > tolerated)
        rc = err_set(err, RC_KEY_REVOKED, "%s", doc_type_name(type));
    return rc;
}

/* What the revocations say of something that these keys vouched for before. */
static enum revoke_policy judge(const struct trust *trust, const struct envelope *e,
                                enum doc_type type, const struct key_set *keys)
{
    if (vouch(trust, e, type, keys, REVOKE_NONE, NULL) == RC_OK)
        return REVOKE_NONE;
    if (vouch(trust, e, type, keys, REVOKE_KEEP, NULL) == RC_OK)
        return REVOKE_KEEP;
    return signers_policy(trust, e);
}

/* Open an envelope and have a role's keys vouch for it; nothing of the payload is read. */
static enum rc open_verified(const struct trust *trust, struct bytes bytes, enum doc_type type,
                             const struct key_set *keys, struct envelope *ret, struct err *err)
{
    enum rc rc = envelope_open(bytes, ret, err);

    if (rc == RC_OK)
        rc = vouch(trust, ret, type, keys, REVOKE_NONE, err);
    return rc;
}

/* The root role says that it is this late. */
static void raise_anchor(struct trust *trust, uint64_t issued_ms)
{
    if (issued_ms > trust->anchor_ms)
        trust->anchor_ms = issued_ms;
    trust_raise_floor(trust, issued_ms);
}

/* ---- root ---- */

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
        rc = kept_init(&trust->root_kept, bytes, envelope.payload, err);
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

void trust_free(struct trust **trust)
{
    struct trust *t = *trust;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_grants; i++)
        held_grant_free(&t->grant[i]);
    kept_done(&t->root_kept);
    free(t);
    *trust = NULL;
}

/* Whether the keys of the next root are the ones that the present root promised. */
static enum rc check_commitment(const struct root *now, const struct root *next, struct err *err)
{
    struct digest keys;

    enum rc rc = key_set_digest(&next->root_keys, &keys, err);
    if (rc == RC_OK && memcmp(&keys, &now->next_keys, sizeof keys) != 0)
        rc = err_set(err, RC_ROOT_COMMITMENT, "root.root_keys");
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
    enum rc rc = vouch(trust, envelope, DOC_ROOT, &trust->root.root_keys, REVOKE_NONE, err);

    return rc == RC_OK ? err_set(err, RC_EQUIVOCATION, "root %" PRIu64, rival->version) : rc;
}

/* Whether the keys of the root held signed too.  None of them, or too few that are
 * not revoked, is a recovery; a wrong
 * signature in the name of one of them is a fault, as everywhere. */
static enum rc check_old_keys(const struct trust *trust, const struct envelope *envelope,
                              bool *ret_recovered, struct err *err)
{
    enum rc rc = vouch(trust, envelope, DOC_ROOT, &trust->root.root_keys, REVOKE_NONE, err);

    *ret_recovered = rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD || rc == RC_KEY_REVOKED;
    return *ret_recovered ? RC_OK : rc;
}

/* Whether a grant that is held may stay under the root and the revocations of now. */
static bool grant_survives(const struct trust *trust, struct held_grant *g)
{
    struct envelope envelope;
    struct bytes bytes = { g->kept.p, g->kept.n };
    const struct key_set *keys = &trust->root.operator_keys;

    if (g->doc.issued_ms < trust->root.operator_since_ms ||
        envelope_open(bytes, &envelope, NULL) != RC_OK)
        return false;
    g->waning = vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_NONE, NULL) != RC_OK;
    return !g->waning || vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_KEEP, NULL) == RC_OK;
}

static void drop_orphaned_grants(struct trust *trust)
{
    size_t kept = 0;

    for (size_t i = 0; i < trust->n_grants; i++) {
        if (grant_survives(trust, trust->grant[i]))
            trust->grant[kept++] = trust->grant[i];
        else
            held_grant_free(&trust->grant[i]);
    }
    trust->n_grants = kept;
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
        rc = kept_init(ret_kept, bytes, envelope.payload, err);
    if (rc == RC_OK && same_payload(ret_kept, &trust->root_kept))
        return RC_EXISTS;
    if (rc == RC_OK)
        rc = root_decode(envelope.payload, ret, err);
    if (rc == RC_OK)
        rc = check_claims(trust, ret, err);
    if (rc == RC_OK && ret->version == trust->root.version)
        rc = check_rival(trust, &envelope, ret, err);
    if (rc == RC_OK)
        rc = vouch(trust, &envelope, DOC_ROOT, &ret->root_keys, REVOKE_NONE, err);
    if (rc == RC_OK)
        rc = check_old_keys(trust, &envelope, &ret_change->recovered, err);
    if (rc == RC_OK)
        rc = check_operator_since(&trust->root, ret, err);
    return rc;
}

enum rc trust_next_root(struct trust *trust, struct bytes envelope, struct root_change *ret,
                        struct err *err)
{
    scoped(free_ptr) struct root *next = NULL;
    scoped(kept_done) struct kept kept = { 0 };
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
        kept_done(&trust->root_kept);
        trust->root_kept = kept;
        kept = (struct kept){ 0 };
        change.taken = true;
        change.operator_reset = next->operator_since_ms != trust->root.operator_since_ms;
        trust->root = *next;
        raise_anchor(trust, next->issued_ms);
        drop_orphaned_grants(trust);
    }
    if (ret)
        *ret = change;
    return RC_OK;
}

/* ---- grants ---- */

/* RC_OK: take it.  RC_EXISTS: it is the one held already. */
static enum rc check_replaces(const struct trust *trust, const struct held_grant *held,
                              const struct held_grant *next, uint64_t now_ms, struct err *err)
{
    if (next->doc.epoch < held->doc.epoch)
        return err_set(err, RC_GRANT_OLD, "grant %s", next->doc.tenant);
    if (next->doc.epoch == held->doc.epoch) {
        if (same_payload(&next->kept, &held->kept))
            return RC_EXISTS;
        return err_set(err, RC_EQUIVOCATION, "grant %s", next->doc.tenant);
    }
    if (is_expired(trust, next->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "grant %s", next->doc.tenant);
    if (is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    return RC_OK;
}

static enum rc verify_grant(const struct trust *trust, struct bytes bytes, bool held,
                            struct held_grant *ret, struct err *err)
{
    const struct key_set *keys = &trust->root.operator_keys;
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_NONE, err);
    if (rc == RC_KEY_REVOKED && held) {
        ret->waning = true;
        rc = vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_KEEP, err);
    }
    if (rc == RC_OK)
        rc = grant_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = check_operator_issued(trust, ret->doc.issued_ms, held, err);
    /* One that was held already goes on holding its epoch. */
    if (rc == RC_OK && !held && revoked_grant(&trust->revoked, ret->doc.tenant, ret->doc.epoch))
        rc = err_set(err, RC_GRANT_REVOKED, "grant %s", ret->doc.tenant);
    if (rc == RC_OK)
        rc = kept_init(&ret->kept, bytes, envelope.payload, err);
    return rc;
}

static enum rc add_grant(struct trust *trust, struct bytes envelope, bool held, uint64_t now_ms,
                         struct err *err)
{
    scoped(held_grant_free) struct held_grant *next = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "grant");
    next = calloc(1, sizeof *next);
    if (!next)
        return err_set(err, RC_NO_MEMORY, "grant");

    enum rc rc = verify_grant(trust, envelope, held, next, err);
    if (rc != RC_OK)
        return rc;

    size_t i = grant_index(trust, next->doc.tenant);
    if (i < trust->n_grants)
        rc = check_replaces(trust, trust->grant[i], next, now_ms, err);
    else if (i == TENANTS_MAX)
        rc = err_set(err, RC_NO_ROOM, "grant %s", next->doc.tenant);
    if (rc == RC_EXISTS)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    if (i < trust->n_grants)
        held_grant_free(&trust->grant[i]);
    else
        trust->n_grants++;
    trust_raise_floor(trust, next->doc.issued_ms);
    trust->grant[i] = next;
    next = NULL;
    return RC_OK;
}

enum rc trust_add_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                        struct err *err)
{
    return add_grant(trust, envelope, false, now_ms, err);
}

enum rc trust_restore_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                            struct err *err)
{
    return add_grant(trust, envelope, true, now_ms, err);
}

/* ---- revocations ---- */

/* RC_OK: take it.  RC_EXISTS: it is the newest already. */
static enum rc check_number(const struct trust *trust, const struct revocation *doc,
                            const struct digest *digest, struct err *err)
{
    const struct revoked_set *set = &trust->revoked;

    if (set->root_version != trust->root.version || doc->number > set->number)
        return RC_OK; /* every root counts anew; what was revoked before stays so */
    if (doc->number < set->number)
        return err_set(err, RC_VERSION_OLD, "revocation %" PRIu64, doc->number);
    if (memcmp(digest, &set->newest, sizeof *digest) == 0)
        return RC_EXISTS;
    return err_set(err, RC_EQUIVOCATION, "revocation %" PRIu64, doc->number);
}

static enum rc verify_revocation(const struct trust *trust, struct bytes bytes,
                                 struct revocation *ret, struct digest *ret_digest, struct err *err)
{
    struct envelope envelope;

    enum rc rc =
        open_verified(trust, bytes, DOC_REVOCATION, &trust->root.root_keys, &envelope, err);
    if (rc == RC_OK)
        rc = revocation_decode(envelope.payload, ret, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret_digest->b, err);
    if (rc == RC_OK)
        rc = check_number(trust, ret, ret_digest, err);
    return rc;
}

enum rc trust_add_revocation(struct trust *trust, struct bytes envelope, bool *ret_taken,
                             struct err *err)
{
    struct revocation doc = { 0 };
    struct digest digest = { 0 };

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "revocation");
    enum rc rc = verify_revocation(trust, envelope, &doc, &digest, err);
    bool known = rc == RC_EXISTS;
    if (rc == RC_OK)
        rc = revoked_set_add(&trust->revoked, &doc, err);
    if (rc != RC_OK && !known)
        return rc;
    if (!known) {
        trust->revoked.root_version = trust->root.version;
        trust->revoked.number = doc.number;
        trust->revoked.newest = digest;
        if (doc.issued_ms > trust->revoked.issued_ms)
            trust->revoked.issued_ms = doc.issued_ms;
        raise_anchor(trust, doc.issued_ms);
        drop_orphaned_grants(trust);
    }
    *ret_taken = !known;
    return RC_OK;
}

const struct revoked_set *trust_revoked(const struct trust *trust)
{
    return &trust->revoked;
}

void trust_restore_revoked(struct trust *trust, const struct revoked_set *set)
{
    trust->revoked = *set;
    if (set->issued_ms > 0)
        raise_anchor(trust, set->issued_ms);
    drop_orphaned_grants(trust);
}

/* ---- getters ---- */

const struct root *trust_root(const struct trust *trust)
{
    return trust ? &trust->root : NULL;
}

const struct grant *trust_grant(const struct trust *trust, const char *tenant)
{
    size_t i = trust ? grant_index(trust, tenant) : 0;

    return trust && i < trust->n_grants ? &trust->grant[i]->doc : NULL;
}

enum rc trust_grant_valid(const struct trust *trust, const char *tenant, uint64_t now_ms)
{
    const struct grant *grant = trust_grant(trust, tenant);

    if (!grant)
        return RC_GRANT_MISSING;
    return is_expired(trust, grant->expires_ms, now_ms) ? RC_EXPIRED : RC_OK;
}

size_t trust_grants(const struct trust *trust, const struct grant **ret, size_t cap)
{
    size_t n = trust->n_grants < cap ? trust->n_grants : cap;

    for (size_t i = 0; i < n; i++)
        ret[i] = &trust->grant[i]->doc;
    return n;
}

struct bytes trust_root_envelope(const struct trust *trust)
{
    return (struct bytes){ trust->root_kept.p, trust->root_kept.n };
}

struct bytes trust_grant_envelope(const struct trust *trust, const char *tenant)
{
    size_t i = grant_index(trust, tenant);

    if (i == trust->n_grants)
        return (struct bytes){ 0 };
    return (struct bytes){ trust->grant[i]->kept.p, trust->grant[i]->kept.n };
}

uint64_t trust_time_floor(const struct trust *trust)
{
    return trust->floor_ms;
}

void trust_raise_floor(struct trust *trust, uint64_t floor_ms)
{
    if (floor_ms > trust->floor_ms)
        trust->floor_ms = floor_ms;
}

uint64_t trust_time_anchor(const struct trust *trust)
{
    return trust->anchor_ms;
}

static uint64_t later(uint64_t at_ms, uint64_t by_ms)
{
    return by_ms < WIRE_UINT_MAX - at_ms ? at_ms + by_ms : WIRE_UINT_MAX;
}

void trust_pass(struct trust *trust, uint64_t elapsed_ms)
{
    trust->floor_ms = later(trust->floor_ms, elapsed_ms);
    trust->anchor_ms = later(trust->anchor_ms, elapsed_ms);
}

/* An expiry that the believed time has passed: it stays passed, wherever the clock goes. */
static void pin_expiry(struct trust *trust, uint64_t expires_ms, uint64_t now_ms)
{
    if (is_expired(trust, expires_ms, now_ms))
        trust_raise_floor(trust, expires_ms);
}

enum trust_clock trust_observe(struct trust *trust, uint64_t now_ms)
{
    pin_expiry(trust, trust->root.expires_ms, now_ms);
    for (size_t i = 0; i < trust->n_grants; i++)
        pin_expiry(trust, trust->grant[i]->doc.expires_ms, now_ms);
    if (now_ms > ceiling_of(trust))
        return TRUST_CLOCK_AHEAD;
    return now_ms + TRUST_CLOCK_SLACK_MS < trust->floor_ms ? TRUST_CLOCK_BEHIND : TRUST_CLOCK_GOOD;
}

uint64_t trust_time(const struct trust *trust, uint64_t now_ms)
{
    return time_at_least(trust, now_ms);
}

/* ---- manifests ---- */

/* The one look into unverified payload bytes, to know whose keys to ask: the map's head, the type,
 * and the tenant's name, which must be the first things in it.  At most 48 bytes are read, the name
 * is only compared with those of grants held, and the decoder reads it again once the signatures
 * hold. */
static enum rc peek_tenant(struct bytes payload, char ret[NAME_CAP], struct err *err)
{
    struct cbor_in r = cbor_read(payload);
    char tenant[NAME_CAP] = "";

    wire_open(&r, DOC_MANIFEST);
    wire_key(&r, 1, "manifest.tenant");
    cbor_text(&r, "manifest.tenant", tenant, sizeof tenant);
    if (r.rc != RC_OK)
        return err_at(err, r.rc, r.fail_at, "%s", r.field);
    if (!name_valid(tenant))
        return err_set(err, RC_NAME, "manifest.tenant");
    memcpy(ret, tenant, sizeof tenant);
    return RC_OK;
}

static enum rc find_grant(const struct trust *trust, struct bytes payload, uint64_t now_ms,
                          enum revoke_policy tolerated, const struct grant **ret, struct err *err)
{
    char tenant[NAME_CAP];

    enum rc rc = peek_tenant(payload, tenant, err);
    if (rc != RC_OK)
        return rc;

    size_t i = grant_index(trust, tenant);
    if (i == trust->n_grants)
        return err_set(err, RC_GRANT_MISSING, "tenant %s", tenant);

    const struct grant *grant = &trust->grant[i]->doc;
    if (revoked_grant(&trust->revoked, tenant, grant->epoch) > tolerated)
        return err_set(err, RC_GRANT_REVOKED, "tenant %s", tenant);
    if (trust->grant[i]->waning && tolerated < REVOKE_KEEP)
        return err_set(err, RC_KEY_REVOKED, "grant %s", tenant);
    if (is_expired(trust, grant->expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "grant %s", tenant);
    *ret = grant;
    return RC_OK;
}

static enum rc verify_manifest(const struct trust *trust, struct bytes bytes, uint64_t now_ms,
                               enum revoke_policy tolerated, struct verified_manifest *ret,
                               struct err *err)
{
    struct envelope envelope;
    const struct grant *grant = NULL;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = find_grant(trust, envelope.payload, now_ms, tolerated, &grant, err);
    if (rc == RC_OK)
        rc = vouch(trust, &envelope, DOC_MANIFEST, &grant->keys, tolerated, err);
    if (rc == RC_OK)
        rc = manifest_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = grant_allows(grant, &ret->doc, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret->digest.b, err);
    if (rc == RC_OK && revoked_manifest(&trust->revoked, &ret->digest) > tolerated)
        rc = err_set(err, RC_MANIFEST_REVOKED, "%s/%s", ret->doc.tenant, ret->doc.name);
    return rc;
}

static enum rc make_manifest(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                             enum revoke_policy tolerated, struct verified_manifest **ret,
                             struct err *err)
{
    scoped(verified_manifest_free) struct verified_manifest *m = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "manifest");
    m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, RC_NO_MEMORY, "manifest");

    enum rc rc = verify_manifest(trust, envelope, now_ms, tolerated, m, err);
    if (rc != RC_OK)
        return rc;
    *ret = m;
    m = NULL;
    return RC_OK;
}

enum rc trust_verify_manifest(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                              struct verified_manifest **ret, struct err *err)
{
    return make_manifest(trust, envelope, now_ms, REVOKE_NONE, ret, err);
}

enum rc trust_verify_running(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                             struct verified_manifest **ret, struct err *err)
{
    return make_manifest(trust, envelope, now_ms, REVOKE_KEEP, ret, err);
}

enum revoke_policy trust_judge_manifest(const struct trust *trust, struct bytes bytes)
{
    struct envelope envelope;
    struct digest digest;
    char tenant[NAME_CAP];

    if (!trust || envelope_open(bytes, &envelope, NULL) != RC_OK ||
        sha256_of(envelope.payload, digest.b, NULL) != RC_OK ||
        peek_tenant(envelope.payload, tenant, NULL) != RC_OK)
        return REVOKE_NONE; /* damage is for others to find */

    enum revoke_policy named = revoked_manifest(&trust->revoked, &digest);
    const struct grant *grant = trust_grant(trust, tenant);
    enum revoke_policy signers =
        grant ? judge(trust, &envelope, DOC_MANIFEST, &grant->keys) : REVOKE_NONE;
    return named > signers ? named : signers;
}

void verified_manifest_free(struct verified_manifest **m)
{
    free(*m);
    *m = NULL;
}

const struct manifest *verified_manifest_get(const struct verified_manifest *m)
{
    return &m->doc;
}

const struct digest *verified_manifest_digest(const struct verified_manifest *m)
{
    return &m->digest;
}

/* ---- orders ---- */

bool trust_position_counts(const struct trust *trust, const struct order_position *position)
{
    return position->generation > 0 && position->issued_ms >= trust->root.operator_since_ms;
}

static enum rc check_position(const struct trust *trust, const struct verified_order *o,
                              const struct order_position *position, uint64_t now_ms,
                              struct err *err)
{
    uint64_t generation = o->doc.generation;

    if (strcmp(o->doc.satellite, position->satellite) != 0)
        return err_set(err, RC_ORDER_TARGET, "order for %s", o->doc.satellite);
    bool counts = trust_position_counts(trust, position);
    if (counts && generation < position->generation)
        return err_set(err, RC_ORDER_OLD, "order %" PRIu64, generation);
    if (counts && generation == position->generation) {
        if (!position->digest)
            return err_set(err, RC_DIGEST_MISSING, "order in force");
        if (memcmp(position->digest, &o->digest, sizeof o->digest) != 0)
            return err_set(err, RC_EQUIVOCATION, "order %" PRIu64, generation);
        return RC_OK;
    }
    if (is_expired(trust, o->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "order %" PRIu64, generation);
    if (is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    return RC_OK;
}

static enum rc verify_order(const struct trust *trust, struct bytes bytes,
                            const struct order_position *position, uint64_t now_ms,
                            struct verified_order *ret, struct err *err)
{
    const struct key_set *keys = &trust->root.operator_keys;
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret->digest.b, err);
    bool held = rc == RC_OK && position->digest &&
                memcmp(&ret->digest, position->digest, sizeof ret->digest) == 0;
    if (rc == RC_OK) /* "keep": what is in force stays so, though its key has been revoked */
        rc = vouch(trust, &envelope, DOC_ORDER, keys, held ? REVOKE_KEEP : REVOKE_NONE, err);
    if (rc == RC_OK)
        rc = order_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = check_operator_issued(trust, ret->doc.issued_ms, held, err);
    if (rc == RC_OK)
        rc = check_position(trust, ret, position, now_ms, err);
    return rc;
}

enum rc trust_verify_order(struct trust *trust, struct bytes envelope,
                           const struct order_position *position, uint64_t now_ms,
                           struct verified_order **ret, struct err *err)
{
    scoped(verified_order_free) struct verified_order *o = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "order");
    o = calloc(1, sizeof *o);
    if (!o)
        return err_set(err, RC_NO_MEMORY, "order");

    enum rc rc = verify_order(trust, envelope, position, now_ms, o, err);
    if (rc != RC_OK)
        return rc;
    trust_raise_floor(trust, o->doc.issued_ms);
    *ret = o;
    o = NULL;
    return RC_OK;
}

enum revoke_policy trust_judge_order(const struct trust *trust, struct bytes bytes)
{
    struct envelope envelope;

    if (!trust || envelope_open(bytes, &envelope, NULL) != RC_OK)
        return REVOKE_NONE;
    return judge(trust, &envelope, DOC_ORDER, &trust->root.operator_keys);
}

void verified_order_free(struct verified_order **o)
{
    free(*o);
    *o = NULL;
}

const struct order *verified_order_get(const struct verified_order *o)
{
    return &o->doc;
}

const struct digest *verified_order_digest(const struct verified_order *o)
{
    return &o->digest;
}
