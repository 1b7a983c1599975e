/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

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
        trust_open_verified(trust, bytes, DOC_REVOCATION, &trust->root.root_keys, &envelope, err);
    if (rc == RC_OK)
        rc = revocation_decode(envelope.payload, ret, err);
    if (rc == RC_OK && key_set_wants_384(&trust->root.root_keys) && !revocation_has_384(ret))
        rc = err_set(err, RC_DIGEST_WEAK, "revocation");
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
        trust_raise_anchor(trust, doc.issued_ms);
        trust_drop_orphaned_grants(trust);
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
        trust_raise_anchor(trust, set->issued_ms);
    trust_drop_orphaned_grants(trust);
}
