/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/observe: what the ground knows, as `berth status --json` and `berth rollout status --json`
 * say it.  The simulator looks through the same door as any operator's script.
 */
#ifndef BERTH_SIM_OBSERVE_H
#define BERTH_SIM_OBSERVE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "sim/scenario.h"

#define SEEN_PAYLOADS_MAX 16U
#define SEEN_EVENTS_MAX 64U
#define SEEN_ROLLOUTS_MAX 32U

struct seen_payload {
    char name[2 * NAME_CAP]; /* "acme/beacon" */
    char version[VERSION_CAP];
    char wanted[VERSION_CAP];
    char state[24];
    char code[40];          /* name of the code, "" = none */
    char sent[8];           /* how the wanted version goes there: "full", "delta", "" */
    char delta_refused[40]; /* why a delta to it did not work there, "" = none failed */
    bool running;
    uint64_t restarts;
    uint64_t memory_kib;
};

struct seen_event {
    uint64_t seq;
    char code[40];
    char what[64];
    uint64_t count;
};

struct seen_satellite {
    char id[NAME_CAP];
    char verdict[16];
    uint64_t root;          /* version of its trust root */
    uint64_t report_age_ms; /* since its newest report came, UINT64_MAX = none came */
    uint64_t rekey;         /* number of the newest one taken */
    char staged[24];        /* a number, 0 = none */
    uint32_t n_payloads;
    uint32_t n_events;
    struct seen_payload payload[SEEN_PAYLOADS_MAX];
    struct seen_event event[SEEN_EVENTS_MAX];
};

struct seen_rollout {
    char payload[2 * NAME_CAP];
    char to[VERSION_CAP];
    char state[16];
    char reason[160];
};

struct seen {
    uint32_t n_satellites;
    uint32_t n_rollouts;
    struct seen_satellite satellite[SCENARIO_SATELLITES_MAX];
    struct seen_rollout rollout[SEEN_ROLLOUTS_MAX];
};

/* Read both documents (NUL-terminated JSON).  RC_SCENARIO when they are not what the CLI promises.
 */
must_check enum rc seen_read(const char *status, const char *rollouts, struct seen *ret,
                             struct err *err);

/* A condition of a wait or never step; views of the step's arguments, NULL = does not matter. */
struct condition {
    const char *satellite; /* an id, "any" or (NULL) all */
    const char *payload;
    const char *version;
    const char *state;
    const char *code;
    const char *event;
    const char *verdict;
    const char *running; /* of the payload: "yes" or "no" */
    const char *sent;    /* how its wanted version goes up: "full" or "delta" */
    const char *refused; /* whether a delta to it did not work there: "yes" or "no" */
    const char *root;    /* version of the trust root */
    const char *rekey;   /* number of the newest rekey taken */
    const char *staged;  /* generation of the order that waits for its token */
    const char *rollout; /* state of the newest rollout of `payload` */
};

struct condition condition_of(const struct step *step);

/* Whether it holds in what was seen. */
bool condition_holds(const struct condition *c, const struct seen *seen);

/* The row of a payload on a satellite, or NULL. */
const struct seen_payload *seen_payload(const struct seen *seen, const char *satellite,
                                        const char *payload);

#endif
