/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/try_scenario: a YAML file for `berth try`: what happens to one payload, read strictly and
 * completely before anything starts.  Of the same shape as the scenarios of sim/scenario: a list of
 * steps, each one verb with its arguments.
 */
#ifndef BERTH_SIM_TRY_SCENARIO_H
#define BERTH_SIM_TRY_SCENARIO_H

#include "sim/scenario.h"

#define TRY_STEPS_MAX 128U
#define TRY_WITHIN_MS 20000U /* of a wait that does not say */

enum try_verb {
    TRY_SAY,     /* print a heading */
    TRY_SEND,    /* the ground has a message for the payload: it goes up in a pass */
    TRY_PASS,    /* a pass begins or ends */
    TRY_FAULT,   /* something happens to the payload or its satellite */
    TRY_ADVANCE, /* so much time goes by on the satellite, at once */
    TRY_COMMAND, /* the ground has a command for the payload's bus: it goes up in a pass */
    TRY_CLOCK,   /* the satellite's clock, which the bus tells, jumps */
    TRY_WAIT,    /* until a condition holds, at most `within` */
    TRY_VERBS
};

enum try_fault {
    FAULT_KILL,          /* SIGKILL to the payload's own process */
    FAULT_STOP,          /* SIGTERM, as when an order no longer names it */
    FAULT_START,         /* again, after a stop or an end */
    FAULT_FREEZE,        /* stand still, as in an eclipse */
    FAULT_THAW,          /* and go on */
    FAULT_MEMORY,        /* its memory limit is hit */
    FAULT_DISK_FULL,     /* /data takes no further byte */
    FAULT_DISK_FREE,     /* as it was */
    FAULT_AGENT_RESTART, /* the agent ends, and with it every payload; it starts again */
    FAULT_POWER_CUT,     /* SIGKILL to all; start again with /data */
    TRY_FAULTS
};

/* What a step waits for: exactly one of them is given. */
enum try_condition {
    TRY_READY,    /* READY=1, or alive for so long, since the last start */
    TRY_OUTPUT,   /* this text is printed, behind what the last wait found */
    TRY_STATUS,   /* STATUS= has this text in it */
    TRY_TAKEN,    /* this message has left the outbox */
    TRY_DOWN,     /* and come down in a pass */
    TRY_INBOX,    /* this message has been put into the inbox */
    TRY_ENDED,    /* the payload has ended, for this reason (name of a code) */
    TRY_STARTS,   /* it has been started so often */
    TRY_TOLD,     /* a value of this key was put on the bus, since the last wait for it */
    TRY_ANSWERED, /* the command of this name was answered */
    TRY_CONDITIONS
};

struct try_step {
    enum try_verb verb;
    unsigned line;
    unsigned choice;           /* of fault or condition; pass: 1 = begin */
    uint64_t number;           /* ms of advance or of a jump, starts */
    bool back;                 /* of a jump */
    uint64_t within_ms;        /* of a wait */
    char name[STEP_VALUE_CAP]; /* of a message; what is waited for */
    char text[STEP_VALUE_CAP]; /* of say, of a message, of a check */
};

struct try_scenario {
    char name[NAME_CAP];
    uint64_t limit_ms;
    uint32_t n_steps;
    struct try_step step[TRY_STEPS_MAX];
};

/* Read one.  RC_YAML with file, line and reason.  The caller frees *ret with free(). */
must_check enum rc try_scenario_load(const char *path, struct try_scenario **ret, struct err *err);

const char *try_fault_name(unsigned fault);
const char *try_condition_name(unsigned condition);

#endif
