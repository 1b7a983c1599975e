/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

struct verified_rekey {
    struct rekey doc;
    struct digest digest;
};

static enum rc check_position(const struct trust *trust, const struct verified_rekey *r,
                              const struct rekey_position *position, uint64_t now_ms,
                              struct err *err)
{
    uint64_t number = r->doc.number;
    bool counts = position->number > 0 && position->issued_ms >= trust->root.operator_since_ms;

    if (strcmp(r->doc.satellite, position->satellite) != 0)
        return err_set(err, RC_ORDER_TARGET, "rekey for %s", r->doc.satellite);
    if (counts && number < position->number)
        return err_set(err, RC_REKEY_OLD, "rekey %" PRIu64, number);
    if (counts && number == position->number) {
        if (!position->digest)
            return err_set(err, RC_DIGEST_MISSING, "rekey taken");
        if (memcmp(position->digest, &r->digest, sizeof r->digest) != 0)
            return err_set(err, RC_EQUIVOCATION, "rekey %" PRIu64, number);
        return RC_OK;
    }
    if (trust_is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    return RC_OK;
}

static enum rc verify_rekey(const struct trust *trust, struct bytes bytes,
                            const struct rekey_position *position, uint64_t now_ms,
                            struct verified_rekey *ret, struct err *err)
{
    struct envelope envelope;

    enum rc rc =
        trust_open_verified(trust, bytes, DOC_REKEY, &trust->root.operator_keys, &envelope, err);
    if (rc == RC_OK)
        rc = rekey_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret->digest.b, err);
    if (rc == RC_OK)
        rc = trust_check_operator_issued(trust, ret->doc.issued_ms, false, err);
    if (rc == RC_OK)
        rc = check_position(trust, ret, position, now_ms, err);
    return rc;
}

enum rc trust_verify_rekey(struct trust *trust, struct bytes envelope,
                           const struct rekey_position *position, uint64_t now_ms,
                           struct verified_rekey **ret, struct err *err)
{
    scoped(verified_rekey_free) struct verified_rekey *r = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "rekey");
    r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, RC_NO_MEMORY, "rekey");

    enum rc rc = verify_rekey(trust, envelope, position, now_ms, r, err);
    if (rc != RC_OK)
        return rc;
    trust_raise_floor(trust, r->doc.issued_ms);
    *ret = r;
    r = NULL;
    return RC_OK;
}

void verified_rekey_free(struct verified_rekey **r)
{
    free(*r);
    *r = NULL;
}

const struct rekey *verified_rekey_get(const struct verified_rekey *r)
{
    return &r->doc;
}

const struct digest *verified_rekey_digest(const struct verified_rekey *r)
{
    return &r->digest;
}
