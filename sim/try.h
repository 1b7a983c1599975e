/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/try: one payload on its author's own machine, in the sandbox that it will fly in
 * (sandbox/ordinary), with a satellite around it that is only played: passes, mail, faults and the
 * agent's rules for what ends.
 *
 * Two clocks: what the payload is held to (ready, watchdog) is real time, because its own clock is
 * real; what only the satellite knows (passes, days, the wait before a restart) is time that is
 * played, and goes by at once.
 *
 * All that the payload says or leaves is hostile: bounded, made printable, and copied.
 */
#ifndef BERTH_SIM_TRY_H
#define BERTH_SIM_TRY_H

#include <poll.h>

#include "agent/bus_start.h"
#include "agent/bus_store.h"
#include "agent/life.h"
#include "agent/notify.h"
#include "link/mail.h"
#include "sandbox/ordinary.h"
#include "sim/try_input.h"
#include "sim/try_scenario.h"

#define TRY_GRACE_MS 5000U
#define TRY_SEEN_CAP 65536U
#define TRY_LINE_CAP 1024U
#define TRY_MAIL_MAX 64U /* messages at once, either way */
#define TRY_COMMANDS_MAX 32U

/* A message on its way.  Its content lies in the directory `store`, by its number. */
struct try_mail {
    enum mail_direction direction;
    uint32_t number; /* 0 = the place is free */
    bool on_board;   /* up: a pass has brought it */
    bool receipt;    /* it is one, and replaces an older one of its name */
    uint32_t size;
    char name[MAIL_NAME_CAP + sizeof MAIL_RECEIPT];
};

/* A command for the payload's bus. */
struct try_command {
    bool used, on_board, answered;
    uint64_t id; /* in the queue of this start; 0 = not there */
    char name[NAME_CAP];
    char text[STEP_VALUE_CAP];
};

/* The payload's bus: berth-bus as on board, and what the agent would answer. */
struct try_bus {
    int program;   /* berth-bus; -1 = none is installed */
    int listen_fd; /* -1 = the payload does not run, or its bus has failed */
    struct bus_process process;
    struct bus_store store; /* of this start */
    struct try_command command[TRY_COMMANDS_MAX];
    char key[BUS_KEYS_MAX][NAME_CAP]; /* that values were put under */
    uint32_t told[BUS_KEYS_MAX];      /* how many that no wait has looked at */
    uint32_t batched;                 /* values that wait for a pass */
    int64_t step_ms;                  /* that the clock has jumped */
    uint64_t stepped_ms;              /* when, monotonic; 0 = never */
    uint64_t floor_ms;                /* Unix: the beginning */
};

struct try_show {
    bool json;
    uint64_t played_ms; /* since the beginning */
};

struct
try {
    struct try_show show;
    struct launcher launcher;
    struct launch_ordinary self;
    struct try_input input;
    struct plan plan;
    struct life life;
    int house, slots, store; /* directories in memory */
    int outbox_dirfd;        /* where what comes down is kept; -1 = nowhere */
    int signals;             /* signalfd */
    int watch;               /* inotify on outbox and inbox; -1 = no mail */
    uint64_t until_ms;       /* of clock_mono_ms: the whole of it ends then; 0 = never */

    /* The payload that runs, or ran last. */
    struct instance instance;
    struct launch_result result;
    uint64_t next_instance;
    bool running;
    bool wanted; /* it is to run: its end is none that was asked for */
    bool ready;
    bool frozen;
    bool kill_told; /* it is being ended */
    enum rc reason; /* of an end that was made here; RC_OK = none */
    uint64_t since_ms, beat_ms, kill_at_ms;
    char status[NOTIFY_STATUS_CAP];
    struct wire_exited last; /* how it ended last */
    uint32_t starts, ends;
    uint32_t failures; /* in a row */
    struct restarts restarts;
    bool interrupted; /* somebody wants the whole of it to end */
    bool unheard;     /* nobody reads what is printed any more */

    /* What it printed: the line that is not whole yet, and what no wait has looked at. */
    char line[TRY_LINE_CAP];
    size_t n_line;
    char seen[TRY_SEEN_CAP];
    size_t n_seen;

    struct try_bus bus;
    bool pass;
    uint64_t day, day_bytes; /* of the outbox */
    bool day_told;
    uint32_t next_mail;
    struct try_mail mail[TRY_MAIL_MAX];
    char taken[TRY_MAIL_MAX][MAIL_NAME_CAP]; /* names that left the outbox, the last ones */
    char down[TRY_MAIL_MAX][MAIL_NAME_CAP];  /* that came down */
    char came[TRY_MAIL_MAX][MAIL_NAME_CAP];  /* that were put into the inbox */
    char junk[TRY_MAIL_MAX][MAIL_NAME_CAP];  /* that stays in the outbox, and was told */
    uint32_t n_taken, n_down, n_came, n_junk;
};

/* ---- sim/try_show */

/* One event: a line for people, or a JSON object; what is hostile in text is made printable. */
void try_event(const struct try *t, const char *event, const char *fmt, ...) printf_like(3, 4);

/* One line that the payload printed. */
void try_printed(const struct try *t, const char *line);

/* The table of walls, what differs in orbit, and what of the plan is not given here. */
void try_show_walls(const struct try *t);

/* How it ended, and what it used. */
void try_show_end(const struct try *t);

/* ---- sim/try_mail */

/* A message from the ground waits for a pass.  RC_MAIL_FULL. */
must_check enum rc try_mail_send(struct try *t, const char *name, struct bytes text,
                                 struct err *err);

/* Do what can be done now: take from the outbox, put into the inbox, and in a pass up and down. */
must_check enum rc try_mail_turn(struct try *t, struct err *err);

bool try_mail_was(char (*names)[MAIL_NAME_CAP], uint32_t n, const char *name);

/* ---- sim/try_bus */

/* Find berth-bus beside this program; without it nobody serves the bus. */
void try_bus_open(struct try *t);

/* The payload has started: its bus is listen_fd, which is taken over. */
void try_bus_begin(struct try *t, int *listen_fd);
void try_bus_end(struct try *t);

/* What it waits for, into two places of a poll: somebody calls, or its berth-bus asks or ends. */
void try_bus_wait(const struct try *t, struct pollfd ret[2]);
void try_bus_turn(struct try *t, const struct pollfd p[2]);

/* In a pass commands go up, and telemetry comes down. */
void try_bus_pass(struct try *t);

/* A command from the ground waits for a pass.  RC_MAIL_FULL. */
must_check enum rc try_bus_command(struct try *t, const char *name, const char *text,
                                   struct err *err);
void try_bus_step_clock(struct try *t, int64_t by_ms);

bool try_bus_answered(const struct try *t, const char *name);
bool try_bus_told(struct try *t, const char *key); /* the values are looked at then */

/* ---- sim/try_run */

must_check enum rc try_start(struct try *t, struct err *err);

/* Ask it to end; after so long it is killed.  reason is why, for the end that follows. */
void try_end(struct try *t, uint32_t grace_ms, enum rc reason);

/* Wait for something to happen, at most until then (clock_mono_ms), and deal with it. */
must_check enum rc try_turn(struct try *t, uint64_t until_ms, struct err *err);

/* Until it has ended. */
must_check enum rc try_await_end(struct try *t, struct err *err);

/* A fault of a scenario.  RC_SCENARIO: it makes no sense now. */
must_check enum rc try_fault(struct try *t, enum try_fault fault, struct err *err);

/* ---- sim/try_play */

/* All steps.  RC_EXPECTATION. */
must_check enum rc try_play(struct try *t, const struct try_scenario *s, struct err *err);

#endif
