/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/state: what the agent must still know after a power cut: state file agent.{a,b}.
 *
 * Deterministic CBOR, read as strictly as anything that came over the link: a state that decodes
 * but makes no sense is as damaged as one whose hash is wrong.  The order in force is not in here;
 * its envelope has a state file of its own and is verified again at every start.
 */
#ifndef BERTH_AGENT_STATE_H
#define BERTH_AGENT_STATE_H

#include "manifest/delegation.h"
#include "manifest/doc.h"
#include "manifest/revocation.h"

#define UNITS_MAX                                                                                  \
    (2U * PAYLOADS_MAX) /* payloads that were ever ordered and still own something                 \
                         */
#define UNIT_FAILED_MAX 8U
#define UNIT_INDEX_MAX 1024U /* id ranges, see sandbox/plan.h */
#define STATE_FILE "agent"
#define STATE_KEPT_FILE "kept" /* as it was when another agent was chosen last */
#define STATE_LEFT_FILE "left" /* what could not be read, for those who can */
#define STATE_FORMAT 5U
#define STATE_MAX (256U * 1024U)

/* A version that is not tried again, and why. */
struct unit_failed {
    struct digest manifest;
    uint32_t code; /* enum rc */
};

/* One payload of one tenant. */
struct unit_record {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    uint32_t index;         /* of its id range: unique, kept as long as the payload owns anything */
    enum slot_state state;  /* of the wanted version */
    uint32_t code;          /* of its last refusal or failure, 0 = none */
    struct digest wanted;   /* what the order names; all zero = not ordered */
    struct digest good;     /* committed last; all zero = none yet */
    struct digest previous; /* committed before that */
    struct digest vouched;  /* SHA-256 of the envelope of `good`, as long as the trust allows it to
                               run; all zero = it does not (agent/recorded) */
    struct digest snapshot; /* the version whose trial its data was copied for: until that commits,
                               what was copied is the data; all zero = the data is */
    uint64_t floor;         /* lowest release that may still run */
    uint32_t trials;        /* starts of the wanted version since it was installed */
    struct digest done;     /* a one-shot version that has ended well: never started again */
    uint32_t spent;         /* restarts that may still count against its budget (agent/life) */
    uint32_t n_failed;
    struct unit_failed failed[UNIT_FAILED_MAX]; /* oldest first */
};

/* A grant that the trust holds, without its keys. */
struct grant_record {
    char tenant[NAME_CAP];
    uint64_t epoch;
    uint64_t expires_ms;    /* Unix time, 0 = never */
    struct digest payload;  /* SHA-256 of it */
    struct resources total; /* what its payloads may use together */
    uint32_t payloads_max;
};

/* A delegation that the trust holds, or its end, without keys. */
struct team_record {
    struct team_mark mark;
    enum revoke_policy withdrawn;
    bool has_terms;         /* else the rest is 0 */
    uint64_t expires_ms;    /* Unix time, 0 = never */
    struct resources total; /* what its payloads and those of its teams may use together */
    uint32_t payloads_max;
};

/* What the trust held when it changed last.  What is missing at the next start, or older, has been
 * lost or taken away, and is never "not there yet". */
struct trust_record {
    uint64_t root_version; /* 0 = nothing was recorded yet: a satellite fresh from the ground */
    struct digest root;    /* SHA-256 of its payload */
    uint64_t operator_since_ms; /* in it: grants from before are void, not lost */
    struct revoked_set revoked; /* all of it: it can be made from no document that may still come */
    uint32_t n_grants;
    struct grant_record grant[TENANTS_MAX]; /* sorted by tenant */
    uint32_t n_teams;
    struct team_record team[TEAMS_HELD_MAX]; /* sorted by tenant, then team */
};

struct state {
    uint64_t epoch;           /* starts of the agent */
    uint64_t event_seq;       /* every event so far has a lower or the same number */
    uint64_t generation;      /* of the order in force, 0 = none */
    struct digest order;      /* SHA-256 of its payload */
    uint64_t order_issued_ms; /* Unix time in it: a root may make what was issued before void */
    uint64_t time_floor;      /* Unix ms */
    uint64_t time_anchor;     /* Unix ms: what the root role signed last, see manifest/trust */
    uint32_t passes_order;    /* contacts since a new order was taken */
    uint32_t passes_document; /* contacts since any new document was taken */
    bool safe;                /* mode that the platform told last: safe, not nominal */
    struct trust_record trust;
    uint32_t n_units;
    struct unit_record unit[UNITS_MAX]; /* sorted by tenant, then name */
};

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc state_decode(struct bytes in, struct state *ret, struct err *err);

/* Whether the values make sense together: sorted, indices unique, codes in the table, a committed
 * payload has a good version. */
must_check enum rc state_check(const struct state *state, struct err *err);

/* Encode into buf; *ret is a view of what was written.  STATE_MAX is always enough. */
must_check enum rc state_encode(const struct state *state, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);

/* Load from the state directory.  Never written: RC_NOT_FOUND.  No copy is whole: RC_STATE_DAMAGED.
 * The newest is whole, or both are no state files at all, and this agent does not understand them:
 * RC_DOC_VERSION.  RC_IO, RC_NO_MEMORY:
 * it could not be read, which says nothing of it.  *ret_repair (may be NULL) tells that one of the
 * two copies is damaged. */
must_check enum rc state_load(int dirfd, struct state *ret, bool *ret_repair, struct err *err);

/* Keep a copy beside it when another agent is chosen, and load it.  It stays until the next one is:
 * an agent that was committed, too, may write a format that the one before it cannot read, and be
 * left for that one later. */
must_check enum rc state_keep(int dirfd, const struct state *state, struct err *err);
must_check enum rc state_load_kept(int dirfd, struct state *ret, struct err *err);

/* Copy what is whole and not understood to where it stays for those who understand it, and what is
 * no state file byte by byte; what was there before goes.  It is in its own place still: a cut
 * changes nothing. */
must_check enum rc state_copy_aside(int dirfd, struct err *err);

/* What was copied or moved there, as state_load. */
must_check enum rc state_load_left(int dirfd, struct state *ret, struct err *err);

/* Move away, durably, what cannot be read: nothing is there then.  What was moved before goes. */
must_check enum rc state_set_aside(int dirfd, struct err *err);

/* Save durably; with `both` so that the loss of one copy brings back nothing older. */
must_check enum rc state_save(int dirfd, const struct state *state, bool both, struct err *err);

/* The same in both, and in the place of what is no state file too: copied aside before. */
must_check enum rc state_renew(int dirfd, const struct state *state, struct err *err);

#endif
