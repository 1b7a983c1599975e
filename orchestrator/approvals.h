/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/approvals: whether the people whom a policy names have approved of a rollout.
 *
 * An approval is a signed statement over the plan's hash (manifest/approval).  Rows of the store
 * are believed in nothing: each statement is verified whenever it is asked for, against the keys
 * that the mission's root lists now, or an approver whom one of those keys vouches for and whose
 * token has not been taken back since.  A key or token that was revoked approves of nothing any
 * more, whatever it signed.
 *
 * Every role needs another person.  A person is a key; the owner of a token is its name, too: a
 * login name that is the name of a token is that person.
 */
#ifndef BERTH_ORCHESTRATOR_APPROVALS_H
#define BERTH_ORCHESTRATOR_APPROVALS_H

#include "manifest/approval.h"
#include "manifest/trust.h"
#include "orchestrator/api_token.h"
#include "orchestrator/store.h"
#include "update/sign.h"

#define APPROVALS_API                                                                              \
    "api/" /* before the name of a token in what approvals and the log call it                     \
            */

/* One that counts. */
struct approvals_given {
    struct approval says;
    uint8_t key[KEY_ID_SIZE];
};

struct approvals {
    unsigned needed; /* APPROVAL_BITs */
    unsigned given;  /* those of them that count */
    uint32_t n;
    struct approvals_given by[APPROVAL_ROLES]; /* in the order of roles */
};

/* The mission's trust as the store has it, for the functions below.  Free with trust_free. */
must_check enum rc approvals_trust(struct store *store, uint64_t now_ms, struct trust **ret,
                                   struct err *err);

/* What is approved of: a rollout, or that it goes on without one of its satellites.  The roles are
 * the same; a statement over the one is worth nothing for the other. */
struct approvals_about {
    const struct store_rollout *row;
    const char *satellite; /* NULL = the rollout itself */
};

/* Those that there are.  One that does not count is left out; an error is the store's.  trust NULL:
 * none counts. */
must_check enum rc approvals_of(struct store *store, const struct trust *trust,
                                const struct approvals_about *about, struct approvals *ret,
                                struct err *err);
bool approvals_complete(const struct approvals *a);

/* Every rollout that has an order is approved of, by whom its policy names: made by approvals_order
 * alone, and taken by what lets an order go. */
struct approved;
void approved_free(struct approved **a); /* scope cleaner */

/* RC_APPROVAL_MISSING names the first rollout and role that there is not. */
must_check enum rc approvals_order(struct store *store, const char *satellite, uint64_t generation,
                                   uint64_t now_ms, struct approved **ret, struct err *err);

/* Whether it is about this order. */
bool approved_names(const struct approved *a, const char *satellite, uint64_t generation);

/* Who approves, and with which key. */
struct approvals_person {
    enum approval_role role;
    const char *who;
    const struct sign_key *key;
};

/* Sign an approval and keep it, if it counts, with an entry of the audit log.  The same again is
 * RC_OK and changes nothing (*ret_new false).  RC_ROLLOUT_STATE: the rollout waits for nobody;
 * RC_APPROVAL_ROLE: not for this role, or somebody has approved in it; RC_APPROVAL_PERSON: the same
 * person has approved in another role; RC_APPROVAL_VOID: nobody vouches for the key in this role.
 * Inside a transaction. */
must_check enum rc approvals_give(struct store *store, const struct approvals_about *about,
                                  const struct approvals_person *person, const char *why,
                                  uint64_t now_ms, bool *ret_new, struct err *err);

/* "operator, safety" of bits; "nobody" of none. */
const char *approvals_text(unsigned bits);

/* ---- approvers: owners of tokens ---- */

/* The key that grows from the secret of a token. */
must_check enum rc approvals_token_key(const char *secret, enum suite suite, struct sign_key **ret,
                                       struct err *err);

/* Let the owner of a new token approve: with is a key that the root lists for the role (of an
 * approver, an operator's).  RC_KEY_UNKNOWN if it lists it for another.  Inside a transaction. */
must_check enum rc approvals_vouch(struct store *store, const struct api_token *token,
                                   const char *secret, const struct sign_key *with, uint64_t now_ms,
                                   struct err *err);

/* Whether the root lists the key for what a token of this role may approve in. */
bool approvals_may_vouch(const struct trust *trust, enum approval_role role,
                         const uint8_t id[KEY_ID_SIZE]);

/* Who asks, in this thread, when it is not the person at the keyboard: set by the API before it
 * runs a command.  secret: of the token.  NULL = nobody. */
struct acting {
    struct api_who who;
    const char *secret;
};
void acting_set(const struct acting *who);
const struct acting *acting_get(void);

/* The key of who acts, by the suite of whoever vouched for it.  RC_APPROVAL_VOID: nobody did. */
must_check enum rc approvals_acting_key(struct store *store, const struct acting *acting,
                                        struct sign_key **ret, struct err *err);

/* What a role of the API approves in; false: in nothing. */
bool approvals_role_of(enum api_role role, enum approval_role *ret);

#endif
