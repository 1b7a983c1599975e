/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/world: everything a running scenario owns: its work directory, the ground, the satellites'
 * agents, the carrier between them, what was seen so far, and the expectations with their results.
 */
#ifndef BERTH_SIM_WORLD_H
#define BERTH_SIM_WORLD_H

#include <sys/types.h>

#include "sim/carrier.h"
#include "sim/observe.h"
#include "sim/scenario.h"

#define WORLD_PATH_CAP 256U
#define WORLD_CHECKS_MAX 128U
#define WORLD_GUARDS_MAX 32U

struct world_satellite {
    const struct scenario_satellite *of;
    pid_t agent; /* 0 = not running */
    int dir[6];  /* WORLD_DIR_* */
};

enum {
    WORLD_DIR_UP,       /* the ground writes */
    WORLD_DIR_UPLINK,   /* the satellite reads */
    WORLD_DIR_DOWNLINK, /* the satellite writes */
    WORLD_DIR_DOWN,     /* the ground reads */
    WORLD_DIR_CAPTURE,  /* what went up, for replays */
    WORLD_DIR_STATE,    /* the agent's */
};

/* One expectation and how it ended. */
struct world_check {
    char text[128];
    bool held;
    char detail[224];
    uint64_t took_ms;
};

/* Something that must not happen from the moment it was set. */
struct world_guard {
    struct condition never; /* of a `never` step */
    const char *satellite;  /* of a `steady` step, else NULL */
    char payload[2 * NAME_CAP];
    uint64_t restarts; /* when it was set */
    size_t check;      /* index of its expectation */
};

struct world {
    const struct scenario *scenario;
    uint64_t seed;
    uint64_t start_ms;
    char top[WORLD_PATH_CAP];   /* project root: where examples/ lies */
    char build[WORLD_PATH_CAP]; /* where the programs lie */
    char work[WORLD_PATH_CAP];
    int work_fd;
    int log_fd; /* of everything that is started */
    bool verbose;
    pid_t ground; /* 0 = not running */
    bool carrying;
    struct carrier carrier;
    struct carrier_satellite lanes[SCENARIO_SATELLITES_MAX];
    struct world_satellite satellite[SCENARIO_SATELLITES_MAX];
    struct seen seen;
    struct seen before; /* as printed last */
    uint32_t n_checks;
    uint32_t n_guards;
    struct world_check check[WORLD_CHECKS_MAX];
    struct world_guard guard[WORLD_GUARDS_MAX];
};

/* Make the work directory and one directory set per satellite. */
must_check enum rc world_open(struct world *w, struct err *err);

/* End every process.  With keep == false the directory goes too. */
void world_close(struct world *w, bool keep);

/* From here on SIGINT, SIGTERM and SIGHUP end the run in order: world_interrupted tells
 * RC_SCENARIO. */
void world_catch_signals(void);
must_check enum rc world_interrupted(struct err *err);

/* ms since the scenario began. */
uint64_t world_now(const struct world *w);

/* Print a line with the time in front. */
void world_say(const struct world *w, const char *fmt, ...) printf_like(2, 3);

/* Replace ${work}, ${top} and ${build}. */
must_check enum rc world_expand(const struct world *w, const char *text, char *out, size_t cap,
                                struct err *err);

/* Run `berth` with the arguments of one line (split at blanks) in the work directory. */
must_check enum rc world_berth(struct world *w, const char *line, int *ret_exit, char **ret_out,
                               struct err *err);

must_check enum rc world_start_ground(struct world *w, struct err *err);
must_check enum rc world_start_agent(struct world *w, struct world_satellite *s, struct err *err);
must_check enum rc world_start_carrier(struct world *w, struct err *err);

/* The satellite of that name; RC_SCENARIO if there is none. */
must_check enum rc world_find(struct world *w, const char *id, struct world_satellite **ret,
                              struct err *err);

/* Ask the ground, print what changed, judge the guards.  RC_SCENARIO when a process that should run
 * has ended. */
must_check enum rc world_look(struct world *w, struct err *err);

/* Add an expectation; returns its index. */
size_t world_check_add(struct world *w, const char *text);

#endif
