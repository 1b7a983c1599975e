/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/schedule: which antenna serves which contact, and which bytes ride on it.  Pure and
 * deterministic: the same input gives the same schedule, to the last byte.
 *
 * Antennas go by job, then backfill.  A job (bytes for one satellite) takes that satellite's
 * contacts, earliest first, until its bytes are covered, the most urgent job first: spreading
 * contacts evenly would give every satellite a part of everything and finish nothing.  A job that
 * cannot end in time gives back what it took for itself; backfill then deals what is left over,
 * first to satellites that still have something to get, then to all.
 *
 * A contact is filled by class; within a class the tenants take turns by weighted deficit round
 * robin on bytes (Shreedhar and Varghese 1995), within a tenant the earliest wave and in it the
 * shortest remainder goes first.
 */
#ifndef BERTH_ORCHESTRATOR_SCHEDULE_H
#define BERTH_ORCHESTRATOR_SCHEDULE_H

#include "orchestrator/contact.h"

#define SCHEDULE_FROZEN_MS 600000 /* stations take no changes for contacts that begin sooner */
#define SCHEDULE_CHUNK 16384U     /* bytes that go in one turn of weight 1 */
#define SCHEDULE_WEIGHT_MAX 1000U
#define SCHEDULE_OPERATOR UINT32_MAX /* tenant of what is nobody's: no quota, weight 1 */
#define SCHEDULE_NEVER UINT32_MAX
#define SCHEDULE_DAY_MS 86400000

enum schedule_class {
    SCHEDULE_TRUST,    /* revocations, tokens, keys, orders */
    SCHEDULE_CANARY,   /* packages of the first wave; state queries */
    SCHEDULE_ROLLOUT,  /* packages of the others */
    SCHEDULE_PREFETCH, /* what is not ordered yet */
    SCHEDULE_CLASSES
};

struct schedule_tenant {
    uint32_t weight;      /* 1 to SCHEDULE_WEIGHT_MAX */
    uint64_t daily_bytes; /* to all satellites in one UTC day; 0 = no limit */
    uint64_t used_bytes;  /* of them, on the day of now_ms */
};

struct schedule_job {
    uint32_t satellite; /* index */
    uint32_t tenant;    /* index, or SCHEDULE_OPERATOR */
    enum schedule_class class;
    uint32_t wave;
    uint64_t bytes;      /* still to go */
    int64_t deadline_ms; /* Unix time; INT64_MAX = none */
};

/* An antenna's time that is somebody else's: of satellites that are not scheduled here. */
struct schedule_taken {
    uint32_t station; /* index */
    uint32_t antenna;
    int64_t from_ms, to_ms; /* at most CONTACT_LONGEST_MS */
};

struct schedule_input {
    int64_t now_ms;
    const struct contact_station *station;
    uint32_t n_stations;
    uint32_t n_satellites;
    const struct schedule_tenant *tenant;
    uint32_t n_tenants;
    const struct schedule_job *job;
    uint32_t n_jobs;
    const struct schedule_taken *taken;
    size_t n_taken;
};

/* Reserve.  The contacts are those of contacts_sort.  What was reserved and begins within
 * SCHEDULE_FROZEN_MS stays as it is and nothing is added there; later reservations are made anew.
 * An antenna serves one contact at a time and needs the station's turn-around between two of
 * different satellites or times, and before and behind what is taken; a satellite speaks to one
 * station at a time.  RC_VALUE: an index of a contact, job or taken time is outside, or the
 * contacts are not sorted. RC_NO_MEMORY.
 */
must_check enum rc schedule_antennas(const struct schedule_input *in, struct contacts *contacts,
                                     struct err *err);

struct schedule_booking {
    uint32_t contact; /* index */
    uint32_t job;     /* index */
    uint64_t bytes;
};

struct schedule_fill {
    size_t n, cap;
    struct schedule_booking *booking; /* by contact, then job */
    uint64_t *left;                   /* of each job: bytes that found no contact */
    uint32_t *last;                   /* of each job: contact in which it ends, or SCHEDULE_NEVER */
    bool *quota;                      /* of each job: its tenant's quota held it back some day */
};

/* Fill the contacts that are reserved or executing.  capacity[i] bytes go over contact i; NULL =
 * its own.  RC_VALUE as above, RC_NO_MEMORY. */
must_check enum rc schedule_fill(const struct schedule_input *in, const struct contacts *contacts,
                                 const uint64_t *capacity, struct schedule_fill *ret,
                                 struct err *err);
void schedule_fill_free(struct schedule_fill *fill); /* scope cleaner */

/* What a tenant with a limit may still send on a day: today, or a later one. */
uint64_t schedule_allowed(const struct schedule_tenant *tenant, bool today);

/* RC_VALUE unless every index is inside, weights are, and contacts are sorted. */
must_check enum rc schedule_check(const struct schedule_input *in, const struct contacts *contacts,
                                  struct err *err);

#endif
