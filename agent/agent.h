/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/agent: berthd's one record of itself, and what its parts share: events, saving, the step
 * from decisions to deeds, reports.  Everything is allocated at start.
 *
 * Who does what:  receive takes objects from berth-link; install turns packages into slots;
 * reconcile (pure) decides; supervise talks to berth-launch and to payloads.  All of it runs in one
 * sd-event loop; nothing here waits for anybody longer than it takes to read or write a file.
 */
#ifndef BERTH_AGENT_AGENT_H
#define BERTH_AGENT_AGENT_H

#include <systemd/sd-event.h>

#include "agent/events.h"
#include "agent/output.h"
#include "agent/reconcile.h"
#include "agent/report.h"
#include "agent/state.h"
#include "link/port.h"
#include "manifest/config.h"
#include "manifest/trust.h"
#include "update/objects.h"
#include "update/slots.h"
#include "update/unpack.h"

#define ORDER_FILE "order" /* state file: the envelope of the order in force */
#define AGENT_QUEUE_MAX 128U
#define AGENT_REPORT_GAP_MS 300U  /* between two reports, whatever happens */
#define AGENT_HEARTBEAT_MS 30000U /* a report although nothing happened */
#define AGENT_TICK_MS 1000U
#define AGENT_EVENT_LEASE 64U /* event numbers that a power cut may skip */

/* A payload that runs, or is being started or stopped. */
struct proc {
    uint64_t instance; /* 0 = free */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    struct usage usage;
    bool told_stopping; /* it may say so as often as it likes, and is written down once */
    int notify, pipe;   /* -1 = none (yet, or any more) */
    sd_event_source *on_notify, *on_pipe;
    struct output output;
};

/* An object to be worked on. */
struct item {
    uint32_t kind; /* enum object_kind */
    struct digest digest;
    uint64_t size;
    int fd;       /* from berth-link; -1 = in the object store already */
    bool started; /* a package that is being unpacked */
    bool waiting; /* a root that came before the one that it follows */
    uint32_t attempts;
    uint64_t not_before_ms;
};

/* The one package that is being unpacked. */
struct install {
    bool busy;
    struct digest object;
    struct stage stage;
    struct unpack_job job;
    sd_event_source *on_end;
    uint64_t until_ms;
};

struct agent {
    struct agent_config config;
    uint32_t heartbeat_ms;
    int state_dir, trust_dir, data_dir, log_dir;
    int unpack_program;
    int link_sock, launch_sock;

    struct trust *trust; /* NULL: no trust root, everything is refused */
    bool damaged;     /* the state is not known: run what is provably ordered, take nothing new */
    bool ordered;     /* an order is in force */
    bool recheck;     /* the trust has changed while something was starting */
    bool unsaved;     /* to be saved at the next tick */
    bool save_failed; /* told already */
    bool stopping;
    struct order order;
    struct state state;
    struct table table;
    struct events events;
    struct objects objects;
    struct slots slots;
    struct port_transfers transfers;
    struct proc proc[UNITS_MAX];

    uint32_t n_items;
    struct item item[AGENT_QUEUE_MAX]; /* oldest first */
    uint32_t n_owed;
    struct digest owed[AGENT_QUEUE_MAX]; /* objects that berth-link is still to be told are done */
    struct install install;

    uint64_t report_seq;
    uint64_t reported_ms;
    bool report_wanted;
    uint64_t ticked_ms;
    enum trust_clock clock; /* as it was seen last */

    sd_event *loop;
    sd_event_source *on_wake, *on_report, *on_tick, *on_late, *on_work, *on_link, *on_launch;
};

/* Load everything from the state directory (descriptors are set): config, trust, state, order,
 * stores.  A damaged or missing trust or state is not an error but a mode; RC_* otherwise. */
must_check enum rc agent_load(struct agent *a, struct err *err);

/* Build trust from what is on disk; *a is unchanged on failure.  Also after a change could not be
 * saved. */
must_check enum rc agent_load_trust(struct agent *a, struct err *err);

/* Where the satellite stands, for judging an order; views of *a. */
struct order_position agent_position(const struct agent *a);

/* An order has been verified and kept: it is in force. */
void agent_set_order(struct agent *a, const struct verified_order *order);

/* If a root has made the order in force void, let go of its number: what runs goes on, as the
 * records say, and the first order of the new operator keys is taken whatever its number.  Called
 * at start too, so a power cut between root and record changes nothing. */
void agent_forget_void_order(struct agent *a);

/* Make the table fit the order in force, and save. */
void agent_apply_order(struct agent *a);

/* Save the records.  A failure is told as an event and tried again at the next tick. */
void agent_save(struct agent *a);

/* Something to tell: a line in the log, an event in the report. */
void agent_event(struct agent *a, enum rc code, uint32_t count, const char *what);
void agent_event_err(struct agent *a, const struct err *err, const char *what);

/* Move a refused object aside (agent/aside), under the number of the event that told it. */
void agent_set_aside(struct agent *a, int fd, const struct digest *object, enum rc why);

/* Decide and act until there is nothing to do. */
void agent_step(struct agent *a);

/* A report as soon as the gap allows. */
void agent_report_soon(struct agent *a);

/* Unix time as the machine has it, for documents. */
uint64_t agent_now_unix(void);

/* End the loop: 0 = as asked, else the exit code. */
void agent_exit(struct agent *a, int code);

/* Make the event loop and everything in it, but run none of it yet. */
must_check enum rc agent_open(struct agent *a, struct err *err);

/* Run until SIGTERM or until berth-link or berth-launch ends; the exit code. */
int agent_run(struct agent *a);

#endif
