/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/approval.h"

#include "base/name.h"
#include "manifest/wire.h"

static const char *const role_names[APPROVAL_ROLES] = {
    [APPROVAL_OPERATOR] = "operator",
    [APPROVAL_SAFETY] = "safety",
    [APPROVAL_APPROVER] = "approver",
};

const char *approval_role_name(enum approval_role role)
{
    return (unsigned)role < APPROVAL_ROLES && role_names[role] ? role_names[role] : "?";
}

bool approval_role_parse(const char *text, enum approval_role *ret)
{
    for (unsigned i = APPROVAL_OPERATOR; i < APPROVAL_ROLES; i++) {
        if (strcmp(text, role_names[i]) == 0) {
            *ret = (enum approval_role)i;
            return true;
        }
    }
    return false;
}

static bool is_role(enum approval_role role)
{
    return (unsigned)role >= APPROVAL_OPERATOR && (unsigned)role < APPROVAL_ROLES;
}

/* ---- approval ---------------------------------------------------------------------------------
 */

static enum rc approval_check(const struct approval *d, struct err *err)
{
    if (digest_is_none(&d->plan))
        return err_set(err, RC_DIGEST_MISSING, "approval.plan");
    if (d->rollout == 0 || d->rollout > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "approval.rollout");
    if (!is_role(d->role))
        return err_set(err, RC_VALUE, "approval.role");
    if (d->at_ms == 0 || d->at_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "approval.at");
    if (d->who[0] == '\0' || !text_printable(d->who))
        return err_set(err, RC_VALUE, "approval.who");
    if (d->why[0] != '\0' && !audit_why_ok(d->why))
        return err_set(err, RC_VALUE, "approval.why");
    return RC_OK;
}

enum rc approval_decode(struct bytes in, struct approval *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct approval d = { 0 };

    wire_open(&r, DOC_APPROVAL);
    wire_key(&r, 1, "approval.plan");
    wire_digest(&r, "approval.plan", &d.plan);
    wire_key(&r, 2, "approval.rollout");
    d.rollout = wire_u64(&r, "approval.rollout");
    wire_key(&r, 3, "approval.role");
    d.role = (enum approval_role)wire_u32(&r, "approval.role");
    wire_key(&r, 4, "approval.at");
    d.at_ms = wire_u64(&r, "approval.at");
    wire_key(&r, 5, "approval.who");
    cbor_text(&r, "approval.who", d.who, sizeof d.who);
    if (wire_optional(&r, 6)) {
        cbor_text(&r, "approval.why", d.why, sizeof d.why);
        if (d.why[0] == '\0')
            cbor_fail(&r, RC_VALUE, "approval.why");
    }
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = approval_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc approval_encode(const struct approval *d, uint8_t *buf, size_t cap, struct bytes *ret,
                        struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = approval_check(d, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_APPROVAL, d->why[0] != '\0' ? 7 : 6);
    cbor_put_uint(&w, 1);
    wire_put_digest(&w, &d->plan);
    wire_put_uint_at(&w, 2, d->rollout);
    wire_put_uint_at(&w, 3, (uint64_t)d->role);
    wire_put_uint_at(&w, 4, d->at_ms);
    wire_put_text_at(&w, 5, d->who);
    if (d->why[0] != '\0')
        wire_put_text_at(&w, 6, d->why);
    return cbor_written(&w, ret, err);
}

/* ---- approver ---------------------------------------------------------------------------------
 */

static enum rc approver_check(const struct approver *d, struct err *err)
{
    if (!name_valid(d->name))
        return err_set(err, RC_NAME, "approver.name");
    if (!is_role(d->role))
        return err_set(err, RC_VALUE, "approver.role");
    if (d->issued_ms == 0 || d->issued_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "approver.issued");
    if (d->expires_ms <= d->issued_ms || d->expires_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "approver.expires");
    return RC_OK;
}

enum rc approver_decode(struct bytes in, struct approver *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct approver d = { 0 };

    wire_open(&r, DOC_APPROVER);
    wire_key(&r, 1, "approver.name");
    cbor_text(&r, "approver.name", d.name, sizeof d.name);
    wire_key(&r, 2, "approver.role");
    d.role = (enum approval_role)wire_u32(&r, "approver.role");
    wire_key(&r, 3, "approver.key");
    wire_public_key(&r, &d.key);
    wire_key(&r, 4, "approver.issued");
    d.issued_ms = wire_u64(&r, "approver.issued");
    wire_key(&r, 5, "approver.expires");
    d.expires_ms = wire_u64(&r, "approver.expires");
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = approver_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc approver_encode(const struct approver *d, uint8_t *buf, size_t cap, struct bytes *ret,
                        struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = approver_check(d, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_APPROVER, 6);
    wire_put_text_at(&w, 1, d->name);
    wire_put_uint_at(&w, 2, (uint64_t)d->role);
    cbor_put_uint(&w, 3);
    wire_put_public_key(&w, &d->key);
    wire_put_uint_at(&w, 4, d->issued_ms);
    wire_put_uint_at(&w, 5, d->expires_ms);
    return cbor_written(&w, ret, err);
}
