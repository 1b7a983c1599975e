/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan: what must change so that the satellites run what the fleet file says.  Pure:
 * the file, the packages, and for each satellite its newest released order and newest report go in;
 * the full new order of each satellite that changes, the waves and a hash come out.
 *
 * The hash covers the outcome and everything it was computed from: applying it is refused when the
 * store has moved on in between.  It covers what passes are found from (stations, links, orbits,
 * shares, deadlines) and what is sent, too, but nothing that moves with the clock.
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_H
#define BERTH_ORCHESTRATOR_PLAN_H

#include "orchestrator/fleet.h"
#include "orchestrator/ride.h"
#include "orchestrator/sight.h"
#include "orchestrator/store.h"

#define PLAN_HASH_CAP (2U * DIGEST_SIZE + 1U)
#define PLAN_HASH_SHOWN 16U /* hex digits that people see and type */

/* What is known of one satellite of the file. */
struct plan_base {
    bool known;               /* the store has it */
    uint64_t newest;          /* highest generation in any order or report */
    struct want order;        /* newest order that was released; generation 0 = none */
    bool held;                /* an order newer than that one waits for its wave */
    const struct sight *seen; /* newest report, NULL = none */
};

struct plan_input {
    const struct fleet *fleet;
    const struct store_package *packages;
    size_t n_packages;
    /* As which object a version goes to a satellite of the file (its index there). */
    struct ride (*ride)(void *arg, uint32_t satellite, const struct store_package *package);
    /* Whether an object brings a version, as the full package or as a delta. */
    bool (*brings)(void *arg, const struct store_package *package, const struct digest *object);
    void *arg;
    const struct plan_base *base; /* fleet->n_satellites of them, in the file's order */
    uint64_t rollouts;            /* number of rollouts in the store: part of the hash */
};

enum plan_verb { PLAN_ADD = 1, PLAN_CHANGE = 2, PLAN_REMOVE = 3 };

/* One payload that changes on one satellite. */
struct plan_change {
    enum plan_verb verb;
    uint32_t satellite; /* index in the file */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char from[VERSION_CAP]; /* "" = not there; "?" = a manifest that the store does not know */
    char to[VERSION_CAP];   /* "" = removed */
    struct digest to_manifest;
    struct ride ride;            /* what is sent; kind 0 = on board, or removed */
    char ride_from[VERSION_CAP]; /* of ride.base; "" = it has none */
    uint64_t bytes;              /* to send: 0 = on board as observed, or removed */
    uint64_t full_bytes;         /* of the full package, if anything is sent */
    uint32_t rollout;            /* index of the rollout it belongs to */
};

/* One satellite of the file. */
struct plan_satellite {
    bool changes;
    bool withdraws;      /* it stays as it was ordered, and the order that is held goes */
    uint32_t wave;       /* changes: from 0 */
    uint32_t first, n;   /* of its changes in the plan */
    uint64_t bytes;      /* to send */
    uint64_t full_bytes; /* the same if there were no deltas */
    struct want order;   /* changes: the new one; else empty */
};

/* A change of one payload to one version, over all satellites that it touches. */
struct plan_rollout {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char from[VERSION_CAP]; /* of the first satellite */
    char to[VERSION_CAP];
    struct digest to_manifest;
    const struct fleet_policy *policy; /* of the fleet file, or the built-in one */
    uint32_t fail_max;
    uint32_t approve; /* APPROVAL_BITs */
};

struct plan {
    uint32_t n_satellites;
    uint32_t n_changed; /* satellites */
    uint32_t n_withdrawn;
    uint32_t n_waves;
    uint32_t n_changes;
    uint32_t changes_cap; /* how many there is room for */
    uint32_t n_rollouts;
    uint64_t bytes;      /* to send, to all satellites */
    uint64_t full_bytes; /* the same if there were no deltas */
    struct digest hash;
    struct digest basis; /* the same without what is sent, which apply may make smaller */
    struct {
        struct digest basis, sent; /* what both were made of, before plan_cover */
    } part;
    struct plan_satellite *satellite;
    struct plan_change *change; /* by satellite, tenant, name */
    struct plan_rollout *rollout;
    struct arena arena; /* the lines of new orders */
};

/* Make the plan.  A satellite or package that the store does not know, another digest than the file
 * asks for, and a payload that is given twice for one satellite are refused with the file's name
 * and line: RC_NO_SATELLITE, RC_NO_PACKAGE, RC_DIGEST_MISMATCH, RC_YAML; so is a satellite without
 * a period (period_find) that a soak counts the orbits of: RC_SOAK_ORBIT.  Free with plan_free. */
must_check enum rc plan_compute(const struct plan_input *in, struct plan **ret, struct err *err);
void plan_free(struct plan **plan); /* scope cleaner */

/* How long a wave (from 0) soaks, of all rollouts that have satellites in it the longest. */
uint64_t plan_soak_ms(const struct plan *plan, const struct fleet *fleet, uint32_t wave);

/* Let the hashes cover what the files of orbits said, too (struct outlook).  Once more is as once.
 */
must_check enum rc plan_cover(struct plan *plan, const struct digest *orbits, struct err *err);

/* The hash as people see it, PLAN_HASH_SHOWN digits. */
const char *plan_hash_text(const struct plan *plan, char out[PLAN_HASH_CAP]);

/* Whether text is this plan's hash, or at least its first 8 digits. */
bool plan_hash_matches(const struct plan *plan, const char *text);

#endif
