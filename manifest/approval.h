/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/approval: that a person approves of a rollout in a role, and who may do so beside the
 * keys that the root lists.  Plain values and their strict, deterministic CBOR; whether one counts
 * is orchestrator/approvals' business.  Ground only: nothing of it goes up.
 */
#ifndef BERTH_MANIFEST_APPROVAL_H
#define BERTH_MANIFEST_APPROVAL_H

#include "manifest/audit.h"

#define APPROVAL_MAX 1024U /* bytes of an approval, whatever is in it */
#define APPROVER_MAX 6144U /* and of an approver */
#define APPROVAL_PEOPLE 4U /* no rollout needs more */

/* Numbers are on the wire and in the store; as bits (1 << role) in policies. */
enum approval_role {
    APPROVAL_OPERATOR = 1, /* a key that the root lists as an operator's, or one it vouches for */
    APPROVAL_SAFETY = 2,   /* the same of the safety role */
    APPROVAL_APPROVER = 3, /* somebody an operator's key vouches for, and who can do nothing else */
    APPROVAL_ROLES
};
#define APPROVAL_BIT(role) (1U << (unsigned)(role))
#define APPROVAL_BITS                                                                              \
    (APPROVAL_BIT(APPROVAL_OPERATOR) | APPROVAL_BIT(APPROVAL_SAFETY) |                             \
     APPROVAL_BIT(APPROVAL_APPROVER))

/* "operator", "safety", "approver"; "?" for anything else. */
const char *approval_role_name(enum approval_role role);
/* The role of a name; false, and *ret untouched, if there is none. */
bool approval_role_parse(const char *text, enum approval_role *ret);

/* DOC_APPROVAL: signed by one key. */
struct approval {
    struct digest plan; /* hash of the plan that made the rollout, which covers all it does */
    uint64_t rollout;   /* its number */
    enum approval_role role;
    uint64_t at_ms;          /* Unix time */
    char who[AUDIT_WHO_CAP]; /* printable ASCII: "api/NAME" of an approver, or a login name */
    char why[AUDIT_WHY_CAP]; /* audit_why_ok; "" = nothing was said */
};

/* DOC_APPROVER: signed by a key of its role (an operator's of APPROVAL_APPROVER). */
struct approver {
    char name[NAME_CAP]; /* of the token whose owner has the private half */
    enum approval_role role;
    struct public_key key;
    uint64_t issued_ms, expires_ms; /* Unix time; it always expires */
};

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc approval_decode(struct bytes in, struct approval *ret, struct err *err);
must_check enum rc approver_decode(struct bytes in, struct approver *ret, struct err *err);

/* Check, then encode into buf; *ret is a view of what was written. */
must_check enum rc approval_encode(const struct approval *doc, uint8_t *buf, size_t cap,
                                   struct bytes *ret, struct err *err);
must_check enum rc approver_encode(const struct approver *doc, uint8_t *buf, size_t cap,
                                   struct bytes *ret, struct err *err);

#endif
