/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/phase: what the satellite is doing, as its console tells it, and when to cut its
 * power. Pure: console lines and times go in.
 */
#ifndef BERTH_TESTS_FLATSAT_PHASE_H
#define BERTH_TESTS_FLATSAT_PHASE_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/rng.h"

enum phase {
    PHASE_BOOT = 0, /* from power on until the agent is ready */
    PHASE_IDLE,     /* nothing new */
    PHASE_RECEIVE,  /* something was sent to it */
    PHASE_TRUST,    /* a document of the trust was taken */
    PHASE_INSTALL,  /* a package is unpacked and becomes a slot */
    PHASE_ACTIVATE, /* files are read again, the old version is stopped */
    PHASE_TRIAL,    /* the new version runs, unproven */
    PHASE_COMMIT,   /* it was proven; what is not needed any more is removed */
    PHASE_ROLLBACK, /* it did not prove itself; the old one is brought back */
    PHASES
};

const char *phase_name(enum phase phase);

/* How long phases take here, learned from those that were not cut, and what goes on. */
struct phases {
    enum phase now;
    uint64_t since_ms;
    uint64_t usual_ms[PHASES];
    bool ready; /* the agent was, since the power came */
};

/* Power comes. */
void phases_boot(struct phases *p, uint64_t now_ms);

/* Something is sent: what follows is counted as PHASE_RECEIVE. */
void phases_sent(struct phases *p, uint64_t now_ms);

/* A line of the console. */
void phases_line(struct phases *p, const char *line, uint64_t now_ms);

/* What the ground orders next, and how it is to end. */
enum errand {
    ERRAND_UPDATE = 0, /* a good version */
    ERRAND_BAD,        /* one that never becomes ready */
    ERRAND_REVOKE,     /* the version that runs is taken back */
    ERRAND_ROTATE,     /* another trust root */
    ERRANDS
};

const char *errand_name(enum errand errand);

/* One cut: during which errand, in which phase of it, how far into it. */
struct cut {
    enum errand errand;
    enum phase phase;
    uint32_t permille; /* of the phase's usual length; up to 1199, for what comes right after */
    bool clean;        /* the power is not cut, but switched off in order */
    bool again;        /* and it is cut a second time, while the satellite comes up again */
};

/* Cuts are dealt from a deck, so that all kinds come evenly, in random order. */
#define DECK 18U
struct deck {
    uint32_t left;
    uint8_t card[DECK];
};

struct cut cut_draw(struct deck *deck, struct rng *rng);

/* The cut's moment, in ms after its phase has begun. */
uint64_t cut_delay_ms(const struct cut *cut, const struct phases *p);

#endif
