/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/scenario: a YAML file with a link, satellites, steps and expectations, read strictly and
 * completely before anything starts.
 *
 * Every step is one map with one key, its verb; the verb's arguments are a map of scalars or, for
 * verbs that take one main argument, just that scalar.  "${work}", "${top}" and "${build}" in any
 * value become the run's directory, the scenario's project root and the programs' directory.
 */
#ifndef BERTH_SIM_SCENARIO_H
#define BERTH_SIM_SCENARIO_H

#include "base/err.h"
#include "base/limits.h"
#include "sim/carrier.h"

/* The time limits of a scenario are what a quick machine needs; waiting ends when what is waited
 * for is there, so a busy machine is given more of it, and sanitized programs more again. */
#if defined(BERTH_SANITIZED)
#define SCENARIO_SLOWNESS 20U
#else
#define SCENARIO_SLOWNESS 5U
#endif

#define SCENARIO_STEPS_MAX 256U
#define SCENARIO_SATELLITES_MAX 16U
#define STEP_ARGS_MAX 16U
#define STEP_KEY_CAP 16U
#define STEP_VALUE_CAP 512U

/* What a step does.  The numbers are this program's own. */
enum verb {
    VERB_SAY,     /* print a heading */
    VERB_BERTH,   /* run a berth command and check how it ends */
    VERB_COPY,    /* copy a directory or file into the work directory */
    VERB_FORGE,   /* make a hostile object */
    VERB_GROUND,  /* start or stop berth-ground */
    VERB_CONTACT, /* lose or regain contact with a satellite */
    VERB_START,   /* start a satellite's agent */
    VERB_KILL,    /* SIGKILL a satellite's agent, at once or in the middle of an install */
    VERB_ATTACK,  /* drop a file into a satellite's uplink */
    VERB_WAIT,    /* until a condition holds, at most `within` */
    VERB_NEVER,   /* from now on this condition must never hold */
    VERB_STEADY,  /* from now on these payloads must not restart */
    VERB_MEASURE, /* memory of an agent's processes */
    VERB_SAME,    /* two files hold the same bytes */
    VERBS
};

struct step {
    unsigned verb; /* enum verb, or of another table */
    unsigned line; /* in the scenario file */
    uint32_t n;
    struct {
        char key[STEP_KEY_CAP];
        char value[STEP_VALUE_CAP];
    } arg[STEP_ARGS_MAX];
};

struct scenario_satellite {
    char id[NAME_CAP];
    uint64_t node;
};

struct scenario {
    char name[NAME_CAP];
    uint64_t seed;
    uint64_t limit_ms; /* the run fails when it takes longer */
    struct carrier_link link;
    uint32_t n_satellites;
    uint32_t n_steps;
    struct scenario_satellite satellite[SCENARIO_SATELLITES_MAX];
    struct step step[SCENARIO_STEPS_MAX];
};

/* A verb, the argument that a bare scalar stands for, those that must be there, and all of them. */
struct verb_row {
    const char *name;
    const char *main;
    const char *needed[3];
    const char *keys[STEP_ARGS_MAX + 1];
};

struct yaml_in;
struct yaml_node;

/* Read one step, by a table of verbs of which step->verb is the index; fails in r. */
void step_read(struct yaml_in *r, const struct yaml_node *node, const struct verb_row *rows,
               unsigned n_rows, struct step *step);

/* Read a scenario.  RC_YAML or RC_SCENARIO with file, line and reason.  The caller frees *ret with
 * free(). */
must_check enum rc scenario_load(const char *path, struct scenario **ret, struct err *err);

/* The value of an argument, or NULL. */
const char *step_arg(const struct step *step, const char *key);

const char *verb_name(enum verb verb);

#endif
