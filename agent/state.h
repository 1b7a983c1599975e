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

#include "manifest/doc.h"

#define UNITS_MAX                                                                                  \
    (2U * PAYLOADS_MAX) /* payloads that were ever ordered and still own something                 \
                         */
#define UNIT_FAILED_MAX 8U
#define UNIT_INDEX_MAX 1024U /* id ranges, see sandbox/plan.h */
#define STATE_FILE "agent"
#define STATE_MAX (192U * 1024U)

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
    uint64_t floor;         /* lowest release that may still run */
    uint32_t trials;        /* starts of the wanted version since it was installed */
    uint32_t n_failed;
    struct unit_failed failed[UNIT_FAILED_MAX]; /* oldest first */
};

struct state {
    uint64_t epoch;           /* starts of the agent */
    uint64_t event_seq;       /* every event so far has a lower or the same number */
    uint64_t generation;      /* of the order in force, 0 = none */
    struct digest order;      /* SHA-256 of its payload */
    uint64_t order_issued_ms; /* Unix time in it: a root may make what was issued before void */
    uint64_t time_floor;      /* Unix ms */
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

/* Load from the state directory.  Never written: RC_NOT_FOUND.  Not readable or not sensible:
 * RC_STATE_DAMAGED.  *ret_repair (may be NULL) tells that one of the two copies is damaged. */
must_check enum rc state_load(int dirfd, struct state *ret, bool *ret_repair, struct err *err);

/* Save durably. */
must_check enum rc state_save(int dirfd, const struct state *state, struct err *err);

/* All zero. */
bool digest_none(const struct digest *digest);
bool digest_same(const struct digest *a, const struct digest *b);

#endif
