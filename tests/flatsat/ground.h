/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/ground: the other end of the link: a real ground with one satellite and one
 * payload, by the commands that an operator and a tenant type, and a link that loses files.
 */
#ifndef BERTH_TESTS_FLATSAT_GROUND_H
#define BERTH_TESTS_FLATSAT_GROUND_H

#include <sys/types.h>

#include "sim/carrier.h"
#include "sim/observe.h"

#define GROUND_SATELLITE "aurora-1"
#define GROUND_PAYLOAD "acme/beacon"
#define GROUND_AGENT "berth/agent"

struct ground {
    const char *build; /* where the programs are, absolute */
    const char *top;   /* the project, absolute */
    uint64_t seed;
    int work_fd; /* everything of it lies here; relative names are in it */
    int log_fd;
    int dir[5]; /* GROUND_DIR_* */
    pid_t pid;  /* of berth-ground, 0 = not running */
    struct carrier carrier;
    struct carrier_satellite lane;
    uint32_t root; /* version of the trust root */
};

enum {
    GROUND_DIR_UP,       /* berth-ground writes */
    GROUND_DIR_AIR_UP,   /* what survived the way up: for the satellite's radio */
    GROUND_DIR_AIR_DOWN, /* what the satellite's radio sent */
    GROUND_DIR_DOWN,     /* berth-ground reads */
    GROUND_DIR_CAPTURE,
};

/* Keys, a fleet, a grant, a satellite whose state is in disk/lib. */
must_check enum rc ground_found(struct ground *g, struct err *err);

/* Start berth-ground and the link. */
must_check enum rc ground_start(struct ground *g, struct err *err);
void ground_stop(struct ground *g);

/* Whether both still run; RC_SCENARIO says which does not. */
must_check enum rc ground_runs(struct ground *g, struct err *err);

/* Build, sign, push a version ("3" becomes 3.0.0, release 3) that becomes ready or does not, and
 * order it. */
must_check enum rc ground_order(struct ground *g, uint32_t version, bool good, struct err *err);

/* Take a version back: the one before it is to run. */
must_check enum rc ground_revoke(struct ground *g, uint32_t version, struct err *err);

/* The next trust root. */
must_check enum rc ground_rotate(struct ground *g, struct err *err);

/* The tenant berth, with a grant to replace the agent; before ground_start. */
must_check enum rc ground_let_agents_in(struct ground *g, struct err *err);

/* Make, sign, push an agent (3 becomes 0.9.3, release 3) that one line of sh changes ("$1" is its
 * tree), and order it beside version 1 of the payload. */
must_check enum rc ground_agent(struct ground *g, uint32_t release, const char *change,
                                struct err *err);

/* What the ground knows now. */
must_check enum rc ground_look(struct ground *g, struct seen *ret, struct err *err);

#endif
