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

#include "agent/abuse.h"
#include "agent/bus.h"
#include "agent/events.h"
#include "agent/inputs.h"
#include "agent/logs.h"
#include "agent/mail.h"
#include "agent/output.h"
#include "agent/place.h"
#include "agent/proof.h"
#include "agent/pulse.h"
#include "agent/queue.h"
#include "agent/reconcile.h"
#include "agent/refused.h"
#include "agent/rekey.h"
#include "agent/report.h"
#include "agent/rounds.h"
#include "agent/state.h"
#include "agent/why.h"
#include "boot/start.h"
#include "link/port.h"
#include "manifest/config.h"
#include "manifest/trust.h"
#include "sandbox/plan.h"
#include "update/objects.h"
#include "update/slots.h"
#include "update/unpack.h"

#define ORDER_FILE "order"        /* state file: the order in force (agent/staged) */
#define STAGED_FILE "staged"      /* state file: the order that waits for its token */
#define AGENT_REPORT_GAP_MS 300U  /* between two reports, whatever happens */
#define AGENT_HEARTBEAT_MS 30000U /* a report although nothing happened */
#define AGENT_TICK_MS 1000U
#define AGENT_RESERVE_MS 30000U
#define AGENT_FLOOR_SAVE_MS                                                                        \
    (10U * 60U * 1000U) /* so much of the time floor a power cut may cost                          \
                         */
#define AGENT_FROZEN_PASSES                                                                        \
    100U                      /* without a new order, unless said otherwise: two weeks, at seven   \
                                 contacts a day */
#define AGENT_SCRUB_HOURS 24U /* for a round of reading everything again */
#define AGENT_AUDIT_S 180U    /* a payload is held against its receipt once in so long */
#define AGENT_EVENT_LEASE 64U /* event numbers that a power cut may skip */

/* A payload that runs, or is being started or stopped. */
struct proc {
    uint64_t instance; /* 0 = free */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    struct usage usage;
    struct plan_limits limits; /* in force, and that of its tenant */
    struct plan_share share;
    uint64_t audit_ms;  /* when it is to be held against its receipt (agent/audit) */
    bool frozen;        /* nothing of it is to run */
    bool freeze_open;   /* berth-launch has not said yet that this is so */
    bool told_stopping; /* it may say so as often as it likes, and is written down once */
    uint64_t reload_ms; /* RELOADING=1 was written down last; 0 = never */
    struct abuse words; /* of notify, that it may not say */
    int notify, pipe;   /* -1 = none (yet, or any more) */
    sd_event_source *on_notify, *on_pipe;
    struct output output;
    struct output_budget *budget; /* of its output; in struct agent */
    struct bus bus;
};

/* The order that waits for its token. */
struct staged {
    uint64_t generation; /* 0 = none */
    struct digest digest;
    struct order order;
};

/* Room on the disk. */
struct room_need {
    uint64_t bytes, files; /* files are inodes: directories, too */
};

#define INSTALL_JOBS_MAX 4U /* at once, and one at most for each tenant */

/* A package that is being unpacked. */
struct install {
    bool busy;
    bool yielding; /* stopped because others wait */
    bool checking; /* only read, before anything makes room for it; there is no stage yet */
    bool delta;    /* the package is one */
    struct digest object;
    struct slot_id origin; /* of a delta: the slot that it starts from */
    char team[TEAM_CAP];   /* that signed for it, "" = the tenant */
    struct stage stage;
    struct room_need need; /* promised until it ends */
    bool repair;           /* of a slot that is there and damaged (agent/repair) */
    struct unpack_job job;
    sd_event_source *on_end;
    uint64_t until_ms; /* given up then */
    uint64_t share_ms; /* from then on it may have to make way for others */
};

#define AGENT_CHECKED_MAX (3U * UNITS_MAX)

/* The one slot whose files are being read again, and those that were since the start. */
struct check {
    bool busy;
    struct slot_id id;
    int fd; /* the root that is being read: what has taken its place meanwhile is another */
    struct unpack_job job;
    sd_event_source *on_end;
    uint64_t until_ms;
    uint32_t next;
    struct slot_id whole[AGENT_CHECKED_MAX];
};

#define AGENT_DAMAGED_MAX AGENT_CHECKED_MAX

/* How far the repair of a slot is. */
enum repair_step {
    REPAIR_NONE,
    REPAIR_READ,   /* its kept package is to be read first */
    REPAIR_QUEUED, /* that is whole, and waits to be unpacked or is */
    REPAIR_ASKED,  /* the ground must send the package */
};

/* A slot with damage (agent/repair). */
struct damage {
    struct slot_id id;
    struct digest object; /* its kept package; all zero = none is known */
    bool slot;            /* files of the slot */
    bool package;         /* the kept package */
    bool seeded;          /* berth-link has the damaged package */
    enum repair_step step;
    uint32_t tries;         /* that failed for a reason that may pass, from the package on board */
    uint32_t asks;          /* times that the ground was asked */
    uint64_t not_before_ms; /* the step is not taken */
};

struct repair {
    uint32_t n;
    struct damage damage[AGENT_DAMAGED_MAX];
    uint32_t n_old;
    struct slot_id old[AGENT_DAMAGED_MAX]; /* trees set aside, from which something still runs */
};

#define SCRUB_ITEMS_MAX 1024U
#define SCRUB_NAME_CAP 192U

enum scrub_kind { SCRUB_CONFIG, SCRUB_STATE, SCRUB_TRUST, SCRUB_LINK, SCRUB_OBJECT, SCRUB_SLOT };

/* Something to be read again (agent/scrub). */
struct scrub_item {
    enum scrub_kind kind;
    uint64_t bytes;
    struct digest place; /* on the ring (agent/ring) */
    union {
        char name[SCRUB_NAME_CAP]; /* of a state file */
        struct digest object;
        struct slot_id slot;
    };
};

struct scrub {
    struct rounds rounds;
    struct scrub_item item[SCRUB_ITEMS_MAX];
    bool placed;          /* a round has begun since the start */
    struct digest behind; /* the place that was read last: the next round begins behind it */
    bool busy;            /* at `at`, until `until_ms` */
    int fd;               /* what is being read: what has taken its place meanwhile is another */
    bool extra;           /* that is no item of the round: a package to repair from */
    struct digest object; /* that is read, if it is one */
    struct scrub_item at;
    uint64_t until_ms;
    struct unpack_job job; /* of an object or a slot */
    sd_event_source *on_end;
    struct report_scrub
        count; /* since the start; without what is asked of the time and of repair */
    uint64_t bytes;
};

#define MEASURED_MAX 512U
#define MEASURE_SLOT_FILES 16U /* of a slot itself, and the mount points in it */

/* What one slot takes (agent/measure). */
struct measured {
    struct slot_id id;
    struct slot_mark mark; /* of its directory when it was looked at */
    uint64_t bytes, files; /* directories, too */
    char team[TEAM_CAP];   /* that signed it, "" = the tenant */
    bool noted;
    struct digest object; /* that it was unpacked from, if that is noted */
};

struct measures {
    uint64_t looked; /* slots, since the start: what was remembered is not looked at */
    uint32_t n;
    struct measured of[MEASURED_MAX];
};

/* What tenants take of the disk (agent/used). */
struct used {
    uint32_t next; /* of the recorded grants; 0 = a round is to begin */
    uint64_t due_ms;
    uint32_t n_fresh, n_whole;
    struct report_usage fresh[TENANTS_MAX]; /* of the round under way */
    struct report_usage whole[TENANTS_MAX];
};

/* A snapshot that is being taken (agent/copying). */
struct copying {
    uint64_t instance; /* 0 = free */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    pid_t pid;
    int pidfd;
    uint64_t until_ms;
    sd_event_source *on_end;
};

/* Its own programs (agent/own). */
struct own {
    bool booted;  /* by berth-boot */
    bool damaged; /* the boot record is not to be read */
    bool trial;
    bool given_back;   /* this start, which does not count */
    struct boot_id id; /* whose programs these are; none = of the launch */
    struct boot_terms terms;
    struct boot_record record;
    uint64_t since_ms;
    uint64_t well_ms;   /* since when all that should run does; 0 = it does not */
    int exit_code;      /* once stopped */
    uint64_t begun_ms;  /* this start, before anybody looks at what it could not use */
    uint32_t anew;      /* so often in a row it has ended for that (boot/tally) */
    int anew_fd;        /* where that is counted; -1 = nowhere */
    struct proof proof; /* of berth-unpack, while on trial */
};

struct agent {
    struct agent_config config;
    uint32_t heartbeat_ms;
    uint32_t audit_every_ms;
    int state_dir, trust_dir, data_dir, log_dir; /* -1 = cannot be used; not the first */
    uint32_t bad_places;                         /* bits: 1 << enum place, found at the start */
    uint32_t shut_places; /* of those: not to be opened, so not the directory itself is in use */
    int probe[2];         /* what those say who go on looking at them (agent/probe); -1 = none */
    int unpack_program, bus_program;
    int link_sock, launch_sock;
    int inputs_sock;           /* -1 = the platform tells nothing */
    uid_t inputs_uid;          /* that may tell, beside root */
    struct report_walls walls; /* from berth-launch; all zero before it has said so */

    struct trust *trust;     /* NULL: no trust root, everything new is refused */
    uint32_t lost;           /* LOST_*: what of the trust is not there (agent/recorded) */
    bool unrecorded;         /* the record of the trust is to be saved in both copies */
    uint32_t frozen_passes;  /* tell FROZEN after so many contacts without a new order */
    uint32_t expired;        /* documents held that had expired when looked at last */
    uint64_t floor_saved_ms; /* monotonic */
    bool old_record;  /* the state is one that was kept: what was revoked since is not in it */
    bool foreign;     /* ... and in its place is what another agent left: it is written over */
    bool uncopied;    /* ... after it has been copied aside */
    bool damaged;     /* the state is not known: run what is provably ordered, take nothing new */
    bool ordered;     /* an order is in force */
    bool cosigned;    /* ... and the safety role signed for it */
    bool recheck;     /* the trust has changed while something was starting */
    bool unsaved;     /* to be saved at the next tick */
    bool save_failed; /* told already */
    bool stopping;
    struct own own;
    bool heard; /* berth-link has taken in a bundle since it started */
    struct order order;
    struct staged staged;
    struct witness witness;  /* of the ground's log (agent/witness) */
    struct report_told told; /* reports: when a brief is enough */
    struct state state;
    struct table table;
    struct events events;
    struct pulse pulse; /* of berth-link */
    struct whys whys;
    struct objects objects;
    struct slots slots;
    struct port_transfers transfers;
    struct proc proc[UNITS_MAX];
    struct output_budget budget[UNITS_MAX]; /* of what payloads print */
    struct copying copying[UNITS_MAX];
    struct mail_agent mail;
    struct logs_agent logs;

    struct queue queue;
    bool taking; /* a package of the queue, step by step, into the store */
    struct objects_intake intake;
    uint32_t n_owed;
    struct digest owed[QUEUE_MAX]; /* objects that berth-link is still to be told are done */
    struct install install[INSTALL_JOBS_MAX];
    struct check check;
    struct repair repair;
    struct scrub scrub;
    struct measures measures;
    struct used used;
    struct rekey_agent rekey; /* secret */
    struct refused refused;
    struct inputs_table inputs;
    struct abuse strangers, misheard; /* lines that were refused */

    uint64_t report_seq;
    uint64_t reported_ms;
    bool report_wanted;
    uint64_t ticked_ms;
    uint64_t reserve_ms;    /* when to look after the reserve next */
    enum trust_clock clock; /* as it was seen last */

    sd_event *loop;
    sd_event_source *on_wake, *on_report, *on_tick, *on_late, *on_work, *on_link, *on_launch,
        *on_inputs, *on_refused;
};

/* Load everything from the state directory (descriptors are set): config, trust, state, order,
 * stores.  A damaged or missing trust or state is not an error but a mode; RC_* otherwise. */
must_check enum rc agent_load(struct agent *a, struct err *err);

/* The trust, or which versions it lets run, has changed: write down what must be found again at the
 * next start (agent/recorded).  To be called after every change of root, grants, revocations or
 * delegations, once it is on disk and in force; documents.c does it for all that it takes. */
void agent_record_trust(struct agent *a);

/* The same for versions that have committed since. */
void agent_record_versions(struct agent *a);

/* The root was lost and is held again: everything that rests on it. */
void agent_trust_is_back(struct agent *a);

/* The order that was in force when we ended, if there is one; RC_OK if there is none. */
must_check enum rc agent_load_order(struct agent *a, struct err *err);

/* It is so late by the monotonic clock; a->unsaved if a power cut must not undo what that means. */
void agent_pass_time(struct agent *a, uint64_t now);

/* Something has come up after a quiet time: a pass.  Counted until a new order comes, so that a
 * ground that is kept from giving orders, or orders that are kept from us, can be seen. */
void agent_contact(struct agent *a);

/* FROZEN, if it has been too many: when it comes to that, and at every start. */
void agent_tell_frozen(struct agent *a);

/* A document that was new has been taken. */
void agent_taken_new(struct agent *a, bool order);

/* Build trust from what is on disk; *a is unchanged on failure.  Also after a change could not be
 * saved. */
must_check enum rc agent_load_trust(struct agent *a, struct err *err);

/* Where the satellite stands, for judging an order; views of *a. */
struct order_position agent_position(const struct agent *a);

/* An order that does not wait for a token has been verified and kept: it is in force. */
void agent_set_order(struct agent *a, const struct verified_order *order);

/* If a root has made the order in force void, let go of its number: what runs goes on, as the
 * records say, and the first order of the new operator keys is taken whatever its number.  Called
 * at start too, so a power cut between root and record changes nothing. */
void agent_forget_void_order(struct agent *a);

/* The operator role began anew: grants that are on disk and not held are void, and go. */
void agent_remove_void_grants(struct agent *a);

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

/* Stop the payloads, then end with this exit code. */
void agent_stop(struct agent *a, int code);

/* End the loop: 0 = as asked, else the exit code. */
void agent_exit(struct agent *a, int code);

/* Make the event loop and everything in it, but run none of it yet. */
must_check enum rc agent_open(struct agent *a, struct err *err);

/* Run until SIGTERM or until berth-link or berth-launch ends; the exit code. */
int agent_run(struct agent *a);

#endif
