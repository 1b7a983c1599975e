/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/approvals.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "orchestrator/home.h"

struct approved {
    char satellite[NAME_CAP];
    uint64_t generation;
};

static_assert(APPROVAL_PEOPLE >= APPROVAL_ROLES - 1, "a person for each role");

enum rc approvals_trust(struct store *store, uint64_t now_ms, struct trust **ret, struct err *err)
{
    const struct home home = { .dirfd = -1, .path = "this store", .store = store };

    return home_trust(&home, now_ms, ret, err);
}

const char *approvals_text(unsigned bits)
{
    static const char *const texts[] = { "nobody",           "operator",
                                         "safety",           "operator, safety",
                                         "approver",         "operator, approver",
                                         "safety, approver", "operator, safety, approver" };

    static_assert(APPROVAL_BITS == 14, "in the order of the bits");
    return texts[(bits & APPROVAL_BITS) >> 1];
}

bool approvals_role_of(enum api_role role, enum approval_role *ret)
{
    static const enum approval_role roles[API_ROLES] = {
        [API_APPROVER] = APPROVAL_APPROVER,
        [API_OPERATOR] = APPROVAL_OPERATOR,
        [API_SAFETY] = APPROVAL_SAFETY,
    };

    if ((unsigned)role >= API_ROLES || roles[role] == 0)
        return false;
    *ret = roles[role];
    return true;
}

/* ---- whose signature counts -------------------------------------------------------------------
 */

/* Of the keys that the root lists for a role, those that are not revoked: one of them is enough, an
 * approval is one person's.  The caller frees what it gets; NULL without memory. */
static struct key_set *keys_of(const struct trust *trust, enum approval_role role)
{
    const struct root *root = trust_root(trust);
    const struct key_set *all = role == APPROVAL_SAFETY ? &root->safety_keys : &root->operator_keys;
    struct key_set *ret = calloc(1, sizeof *ret);

    if (!ret)
        return NULL;
    ret->threshold = 1;
    for (uint32_t i = 0; i < all->n; i++)
        if (revoked_key(trust_revoked(trust), all->key[i].id) == REVOKE_NONE)
            ret->key[ret->n++] = all->key[i];
    return ret;
}

bool approvals_may_vouch(const struct trust *trust, enum approval_role role,
                         const uint8_t id[KEY_ID_SIZE])
{
    scoped(free_ptr) struct key_set *keys = keys_of(trust, role);

    for (uint32_t i = 0; keys && i < keys->n; i++)
        if (memcmp(keys->key[i].id, id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* The one key that an envelope claims to be signed by; NULL if there are more. */
static const uint8_t *only_signer(const struct envelope *envelope)
{
    for (uint32_t i = 0; i < envelope->n; i++)
        if (envelope->signature[i].key_id.n != KEY_ID_SIZE ||
            memcmp(envelope->signature[i].key_id.p, envelope->signature[0].key_id.p, KEY_ID_SIZE) !=
                0)
            return NULL;
    return envelope->n > 0 ? envelope->signature[0].key_id.p : NULL;
}

/* Whether the token is still the one that the approver was made with. */
static enum rc token_stands(struct store *store, const struct approver *doc, struct err *err)
{
    scoped(free_ptr) struct api_token *list = NULL;
    enum approval_role role;
    size_t n = 0;
    enum rc rc = api_token_list(store, &list, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (strcmp(list[i].who.name, doc->name) == 0 && list[i].made_ms == doc->issued_ms &&
            approvals_role_of(list[i].who.role, &role) && role == doc->role)
            return RC_OK;
    return rc == RC_OK ? err_set(err, RC_APPROVAL_VOID, "token '%s' was revoked", doc->name) : rc;
}

/* The approver of this name, if somebody of the role vouches for it now. */
static enum rc find_approver(struct store *store, const struct trust *trust, const char *name,
                             enum approval_role role, struct approver *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    scoped(free_ptr) struct key_set *keys = keys_of(trust, role);
    struct envelope envelope;
    size_t n = 0;
    enum rc rc = keys ? store_document(store, DOC_APPROVER, name, &bytes, &n, err)
                      : err_set(err, RC_NO_MEMORY, "approver");

    if (rc == RC_NOT_FOUND || (rc == RC_OK && keys->n == 0))
        return err_set(err, RC_APPROVAL_VOID, "nobody vouches for '%s' as %s", name,
                       approval_role_name(role));
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ bytes, n }, &envelope, err);
    if (rc == RC_OK)
        rc = envelope_verify(&envelope, DOC_APPROVER, &trust_root(trust)->mission, keys, err);
    if (rc == RC_OK)
        rc = approver_decode(envelope.payload, ret, err);
    if (rc == RC_OK && (strcmp(ret->name, name) != 0 || ret->role != role))
        rc = err_set(err, RC_APPROVAL_VOID, "'%s' was vouched for as %s", ret->name,
                     approval_role_name(ret->role));
    return rc == RC_OK ? token_stands(store, ret, err) : rc;
}

/* The keys that may have signed what this person says: the root's, or the approver's own.  The
 * caller frees *ret. */
static enum rc signers_of(struct store *store, const struct trust *trust,
                          const struct approval *says, struct key_set **ret, struct err *err)
{
    const size_t prefix = sizeof APPROVALS_API - 1;
    scoped(free_ptr) struct key_set *keys = keys_of(trust, says->role);
    struct approver doc;

    if (!keys)
        return err_set(err, RC_NO_MEMORY, "approval");

    if (strncmp(says->who, APPROVALS_API, prefix) != 0) {
        if (says->role == APPROVAL_APPROVER || keys->n == 0)
            return err_set(err, RC_APPROVAL_VOID, "no key of the root is for role %s",
                           approval_role_name(says->role));
        *ret = keys;
        keys = NULL;
        return RC_OK;
    }
    enum rc rc = find_approver(store, trust, says->who + prefix, says->role, &doc, err);

    if (rc == RC_OK && (says->at_ms < doc.issued_ms || says->at_ms >= doc.expires_ms))
        rc = err_set(err, RC_APPROVAL_VOID, "not in the time of token '%s'", doc.name);
    if (rc != RC_OK)
        return rc;
    keys->n = 1;
    keys->key[0] = doc.key;
    *ret = keys;
    keys = NULL;
    return RC_OK;
}

/* What a statement is over: the hash of the rollout's plan, or of that plan without a satellite. */
static enum rc plan_of(const struct approvals_about *about, struct digest *ret, struct err *err)
{
    uint8_t buf[64 + DIGEST_SIZE + NAME_CAP];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes bytes;

    *ret = about->row->plan;
    if (!about->satellite)
        return RC_OK;
    cbor_put_array(&w, 3);
    cbor_put_text(&w, "berth plan without");
    cbor_put_bstr(&w, (struct bytes){ about->row->plan.b, DIGEST_SIZE });
    cbor_put_text(&w, about->satellite);
    enum rc rc = cbor_written(&w, &bytes, err);

    return rc == RC_OK ? sha256_of(bytes, ret->b, err) : rc;
}

static struct store_approval kept_as(const struct approvals_about *about, enum approval_role role)
{
    return (struct store_approval){ .rollout = about->row->id,
                                    .satellite = about->satellite ? about->satellite : "",
                                    .role = (uint32_t)role };
}

/* The payload is looked into before the signature holds for one thing: whose it says it is. */
static enum rc verify(struct store *store, const struct trust *trust, struct bytes bytes,
                      const struct approvals_about *about, struct approvals_given *ret,
                      struct err *err)
{
    scoped(free_ptr) struct key_set *keys = NULL;
    struct envelope envelope;
    struct digest plan;
    enum rc rc = envelope_open(bytes, &envelope, err);

    if (rc == RC_OK)
        rc = approval_decode(envelope.payload, &ret->says, err);
    if (rc != RC_OK)
        return rc;
    const uint8_t *signer = only_signer(&envelope);

    if (!signer)
        return err_set(err, RC_APPROVAL_VOID, "an approval is one person's");
    rc = plan_of(about, &plan, err);
    if (rc == RC_OK &&
        (!digest_same(&ret->says.plan, &plan) || ret->says.rollout != about->row->id))
        rc = err_set(err, RC_APPROVAL_VOID, "it is about another plan or rollout");
    if (rc == RC_OK)
        rc = signers_of(store, trust, &ret->says, &keys, err);
    if (rc == RC_OK)
        rc = envelope_verify(&envelope, DOC_APPROVAL, &trust_root(trust)->mission, keys, err);
    if (rc == RC_OK)
        memcpy(ret->key, signer, KEY_ID_SIZE);
    return rc;
}

/* ---- which there are --------------------------------------------------------------------------
 */

static const char *name_of(const char *who)
{
    const size_t prefix = sizeof APPROVALS_API - 1;

    return strncmp(who, APPROVALS_API, prefix) == 0 ? who + prefix : who;
}

/* Keys belong to people.  A name tells people apart only where a token has certified it. */
static bool same_person(const struct approvals_given *a, const struct approvals_given *b)
{
    bool named = name_of(a->says.who) != a->says.who || name_of(b->says.who) != b->says.who;

    return memcmp(a->key, b->key, KEY_ID_SIZE) == 0 ||
           (named && strcmp(name_of(a->says.who), name_of(b->says.who)) == 0);
}

static bool is_among(const struct approvals *a, const struct approvals_given *one)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (same_person(&a->by[i], one))
            return true;
    return false;
}

/* What is wrong with an approval, and not with the store. */
static bool is_void(enum rc rc)
{
    return rc != RC_OK && rc != RC_STORE && rc != RC_BUSY && rc != RC_NO_MEMORY &&
           rc != RC_NO_SPACE;
}

enum rc approvals_of(struct store *store, const struct trust *trust,
                     const struct approvals_about *about, struct approvals *ret, struct err *err)
{
    struct approvals found = { .needed = about->row->approve };
    enum rc rc = RC_OK;

    for (unsigned i = APPROVAL_OPERATOR; trust && rc == RC_OK && i < APPROVAL_ROLES; i++) {
        scoped(free_ptr) uint8_t *bytes = NULL;
        const struct store_approval of = kept_as(about, (enum approval_role)i);
        struct approvals_given one = { 0 };
        size_t n = 0;

        if ((about->row->approve & APPROVAL_BIT(i)) == 0)
            continue;
        rc = store_approval(store, &of, &bytes, &n, err);
        if (rc == RC_OK)
            rc = verify(store, trust, (struct bytes){ bytes, n }, about, &one, err);
        if (is_void(rc)) {
            rc = RC_OK;
            continue;
        }
        if (rc == RC_OK && one.says.role == (enum approval_role)i && !is_among(&found, &one)) {
            found.by[found.n++] = one;
            found.given |= APPROVAL_BIT(i);
        }
    }
    if (rc == RC_OK)
        *ret = found;
    return rc;
}

bool approvals_complete(const struct approvals *a)
{
    return (a->needed & ~a->given) == 0;
}

void approved_free(struct approved **a)
{
    free(*a);
    *a = NULL;
}

bool approved_names(const struct approved *a, const char *satellite, uint64_t generation)
{
    return strcmp(a->satellite, satellite) == 0 && a->generation == generation;
}

static enum rc check_rollout(struct store *store, uint64_t id, uint64_t now_ms,
                             struct trust **trust, struct err *err)
{
    struct store_rollout row;
    struct approvals a;
    enum rc rc = store_rollout(store, id, &row, err);

    if (rc != RC_OK || row.approve == 0)
        return rc;
    if (!*trust)
        rc = approvals_trust(store, now_ms, trust, err);
    if (rc == RC_OK)
        rc = approvals_of(store, *trust, &(struct approvals_about){ .row = &row }, &a, err);
    if (rc == RC_OK && !approvals_complete(&a))
        rc = err_set(err, RC_APPROVAL_MISSING, "rollout %llu: %s", (unsigned long long)id,
                     approvals_text(a.needed & ~a.given));
    return rc;
}

enum rc approvals_order(struct store *store, const char *satellite, uint64_t generation,
                        uint64_t now_ms, struct approved **ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    scoped(free_ptr) uint64_t *ids = NULL;
    size_t n = 0;
    enum rc rc = store_rollouts_of(store, satellite, generation, &ids, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = check_rollout(store, ids[i], now_ms, &trust, err);
    if (rc != RC_OK)
        return rc;
    struct approved *a = calloc(1, sizeof *a);

    if (!a)
        return err_set(err, RC_NO_MEMORY, "approval");
    (void)snprintf(a->satellite, sizeof a->satellite, "%s", satellite);
    a->generation = generation;
    *ret = a;
    return RC_OK;
}

/* ---- giving one -------------------------------------------------------------------------------
 */

static enum rc check_state(const struct store_rollout *row, enum approval_role role,
                           struct err *err)
{

    if (row->state != ROLLOUT_AWAITING && row->state != ROLLOUT_RUNNING &&
        row->state != ROLLOUT_PAUSED)
        return err_set(err, RC_ROLLOUT_STATE, "rollout %llu is %s", (unsigned long long)row->id,
                       rollout_state_name(row->state));
    if ((row->approve & APPROVAL_BIT(role)) == 0)
        return err_set(err, RC_APPROVAL_ROLE, "rollout %llu needs %s, not %s",
                       (unsigned long long)row->id, approvals_text(row->approve),
                       approval_role_name(role));
    return RC_OK;
}

/* Beside what was given: whether it is the same again, or must not be. */
static enum rc check_beside(const struct approvals *a, const struct approvals_given *one,
                            bool *ret_new, struct err *err)
{
    *ret_new = true;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct approvals_given *by = &a->by[i];

        if (by->says.role == one->says.role && same_person(by, one)) {
            *ret_new = false;
            return RC_OK;
        }
        if (by->says.role == one->says.role)
            return err_set(err, RC_APPROVAL_ROLE, "%s has approved as %s already", by->says.who,
                           approval_role_name(by->says.role));
        if (same_person(by, one))
            return err_set(err, RC_APPROVAL_PERSON, "%s has approved as %s", by->says.who,
                           approval_role_name(by->says.role));
    }
    return RC_OK;
}

static enum rc keep(struct store *store, const struct approvals_about *about,
                    const struct approvals_given *one, struct bytes envelope, uint64_t now_ms,
                    struct err *err)
{
    const struct store_approval of = kept_as(about, one->says.role);
    char hex[2U * DIGEST_SIZE + 1U], key[2U * KEY_ID_SIZE + 1U];
    struct digest hash;
    enum rc rc = sha256_of(envelope, hash.b, err);

    if (rc == RC_OK)
        rc = store_put_approval(store, &of, envelope, err);
    if (rc == RC_OK)
        rc = store_audit(store, NULL, "rollout-approve", now_ms, err,
                         "rollout %llu%s%s as %s by %s, key %s, statement %s",
                         (unsigned long long)about->row->id, about->satellite ? " without " : "",
                         of.satellite, approval_role_name(one->says.role), one->says.who,
                         bytes_hex((struct bytes){ one->key, KEY_ID_SIZE }, key),
                         bytes_hex((struct bytes){ hash.b, DIGEST_SIZE }, hex));
    return rc;
}

enum rc approvals_give(struct store *store, const struct approvals_about *about,
                       const struct approvals_person *person, const char *why, uint64_t now_ms,
                       bool *ret_new, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    struct approval says = { .rollout = about->row->id, .role = person->role, .at_ms = now_ms };
    struct approvals before;
    struct approvals_given one = { 0 };
    uint8_t payload[APPROVAL_MAX];
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct bytes content = { 0 }, envelope = { 0 };
    enum rc rc =
        buf ? check_state(about->row, person->role, err) : err_set(err, RC_NO_MEMORY, "approval");

    (void)snprintf(says.who, sizeof says.who, "%s", person->who);
    (void)snprintf(says.why, sizeof says.why, "%s", why ? why : "");
    if (rc == RC_OK)
        rc = plan_of(about, &says.plan, err);
    if (rc == RC_OK)
        rc = approvals_trust(store, now_ms, &trust, err);
    if (rc == RC_OK)
        rc = approvals_of(store, trust, about, &before, err);
    if (rc == RC_OK)
        rc = approval_encode(&says, payload, sizeof payload, &content, err);
    if (rc == RC_OK)
        rc = sign_document(DOC_APPROVAL, &trust_root(trust)->mission, content, &person->key, 1, buf,
                           DOCUMENT_MAX, &envelope, err);
    if (rc == RC_OK)
        rc = verify(store, trust, envelope, about, &one, err);
    if (rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD)
        rc = err_set(err, RC_APPROVAL_VOID, "the root lists no such key for role %s",
                     approval_role_name(person->role));
    if (rc == RC_OK)
        rc = check_beside(&before, &one, ret_new, err);
    return rc == RC_OK && *ret_new ? keep(store, about, &one, envelope, now_ms, err) : rc;
}

/* ---- approvers --------------------------------------------------------------------------------
 */

enum rc approvals_token_key(const char *secret, enum suite suite, struct sign_key **ret,
                            struct err *err)
{
    static const char salt[] = "berth approver 1";
    uint8_t seeds[SIGN_SEEDS_SIZE];
    enum rc rc = crypto_hkdf((struct bytes){ (const uint8_t *)secret, strlen(secret) },
                             (struct bytes){ (const uint8_t *)salt, sizeof salt - 1 }, "seeds",
                             seeds, sign_seeds_size(suite), err);

    if (rc == RC_OK)
        rc = sign_key_from_seeds(suite, seeds, ret, err);
    explicit_bzero(seeds, sizeof seeds);
    return rc;
}

enum rc approvals_vouch(struct store *store, const struct api_token *token, const char *secret,
                        const struct sign_key *with, uint64_t now_ms, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    scoped(sign_key_free) struct sign_key *own = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct approver doc = { .issued_ms = token->made_ms, .expires_ms = token->expires_ms };
    uint8_t payload[APPROVER_MAX];
    struct bytes content = { 0 }, envelope = { 0 };
    const struct public_key *by = sign_key_public(with);
    enum rc rc =
        buf ? approvals_trust(store, now_ms, &trust, err) : err_set(err, RC_NO_MEMORY, "approver");

    (void)snprintf(doc.name, sizeof doc.name, "%s", token->who.name);
    if (rc == RC_OK && !approvals_role_of(token->who.role, &doc.role))
        rc = err_set(err, RC_APPROVAL_ROLE, "role %s approves of nothing",
                     api_role_name(token->who.role));
    if (rc == RC_OK && !approvals_may_vouch(trust, doc.role, by->id))
        rc = err_set(err, RC_KEY_UNKNOWN, "the root does not list it for role %s",
                     doc.role == APPROVAL_SAFETY ? "safety" : "operator");
    if (rc == RC_OK)
        rc = approvals_token_key(secret, by->suite, &own, err);
    if (rc != RC_OK)
        return rc;
    doc.key = *sign_key_public(own);
    rc = approver_encode(&doc, payload, sizeof payload, &content, err);
    if (rc == RC_OK)
        rc = sign_document(DOC_APPROVER, &trust_root(trust)->mission, content, &with, 1, buf,
                           DOCUMENT_MAX, &envelope, err);
    return rc == RC_OK ? store_put_document(store, DOC_APPROVER, doc.name, doc.issued_ms, envelope,
                                            now_ms, err)
                       : rc;
}

/* Which suite, is all that is read of what is not verified; what signs is verified before it
 * counts.
 */
enum rc approvals_acting_key(struct store *store, const struct acting *who, struct sign_key **ret,
                             struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    struct approver doc;
    size_t n = 0;
    enum rc rc = store_document(store, DOC_APPROVER, who->who.name, &bytes, &n, err);

    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_APPROVAL_VOID, "nobody vouches for token '%s'", who->who.name);
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ bytes, n }, &envelope, err);
    if (rc == RC_OK)
        rc = approver_decode(envelope.payload, &doc, err);
    return rc == RC_OK ? approvals_token_key(who->secret, doc.key.suite, ret, err) : rc;
}

static _Thread_local const struct acting *acting;

void acting_set(const struct acting *who)
{
    acting = who;
}

const struct acting *acting_get(void)
{
    return acting;
}
