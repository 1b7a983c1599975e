/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail: messages between payloads and their own ground.
 *
 * Out: berth-post finds a file in an outbox; what it may be and how much of it is judged here; it
 * is written down durably (agent/mail_store) before the file goes; berth-link sends it, by turns
 * over tenants, and it stays until the ground has it.  In: a message that came over the link is
 * written down, and berth-post puts it into the inbox when its payload runs and there is room. What
 * becomes of a message of its own the payload reads in NAME.receipt.
 *
 * A command comes as a message does, under the same quotas, and is put into the queue of its
 * payload's bus (agent/bus) as often as that starts anew, until the payload has dealt with it, it
 * has expired, or it cannot be read: each of these is an answer to the ground, which takes the
 * command's place on board and costs nothing of the day.  A payload without an inbox gets none.
 *
 * Of a day's bytes each message costs its content, its head and MAIL_COST: an empty one costs too.
 *
 * The bytes are the tenant's and hostile.  To and from a payload whose manifest says `sealed` go
 * only bundles that are sealed and addressed between it and its own ground (link/mail); whether
 * they are authentic nobody here could say.  What waits for a payload that does not run is looked
 * at when it runs: its version then says whether.  Receipts are the agent's own words, and never
 * sealed.
 *
 * berth-post keeps nothing: whatever was said to it or by it and got lost, with a full socket or
 * with itself, is said again.  When it ends, one of MAIL_SPARES that were started with it takes its
 * place, each later than the one before: berthd has not the rights to start another.  One that
 * answers nothing for pulse_s seconds hangs, and counts as one that has ended; as it has not, a
 * payload whose view it holds cannot be started again before it does.
 */
#ifndef BERTH_AGENT_MAIL_H
#define BERTH_AGENT_MAIL_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "agent/mail_store.h"
#include "agent/post.h"
#include "agent/pulse.h"
#include "agent/state.h"

#define MAIL_FILES_MAX 256U  /* on board, either way, of all payloads */
#define MAIL_PAYLOAD_MAX 64U /* of these, of one payload and way */
#define MAIL_TENANT_MAX 96U  /* of these, of one tenant, both ways and receipts */
#define MAIL_RESERVE 64U     /* the last ones: for tenants that have fewer than MAIL_TENANT_MIN */
#define MAIL_TENANT_MIN 4U
#define MAIL_LIFE_MS                                                                               \
    (UINT64_C(30) * 24U * 3600U * 1000U) /* of what a payload sends, and receipts                  \
                                          */

#define MAIL_BATCHES_MAX 8U /* of telemetry of a payload, on disk */
#define MAIL_COST 256U      /* bytes of the day that a message costs besides its head and content */

struct agent;

/* A message on disk, and what is being done about it. */
struct mail_item {
    struct mail_file f;
    bool under_way;         /* with berth-link, or with berth-post */
    uint64_t not_before_ms; /* nothing is done before; under way: asked for again then */
    bool told;              /* that it waits */
    uint64_t instance, id;  /* a command: that has it in the queue of its bus, and as what; 0 */
    bool sealed;            /* a command: its payload has nothing but sealed mail */
    uint64_t expires_ms;    /* a command in a queue: Unix time; 0 = never */
    bool read;              /* a command: it was told that it has been read */
    struct digest answers;  /* an answer that was made since the start: the command that it is to */
};

/* A payload that runs with mail. */
struct mail_box {
    uint64_t instance; /* 0 = free */
    char tenant[NAME_CAP];
    char payload[NAME_CAP];
    uint64_t inbox_bytes, outbox_bytes, day_bytes; /* of its manifest; day_bytes never 0 */
    bool sealed;
    bool putting;
    bool told; /* that its outbox has to wait */
    /* What berth-post needs, kept as long as it may have to be told again. */
    bool held;
    int view, pidfd;          /* if held */
    bool opened;              /* it has been told */
    struct post_message owed; /* an answer that found no room; type 0 = none */
};

#define MAIL_SPARES 3U /* of berth-post, which wait until one before them has ended */

struct mail_agent {
    int sock;               /* -1: berth-post has ended, or never began */
    int spare[MAIL_SPARES]; /* sockets of those that wait; the first n_spares */
    uint32_t n_spares;
    pid_t pid[1 + MAIL_SPARES]; /* of all that were started, until they are reaped; 0 = none */
    uint32_t lost;              /* how often berth-post has ended */
    uint64_t again_ms;          /* the next one is not called before */
    uint32_t pulse_s;           /* 0 = it is not asked whether it is there */
    struct pulse pulse;         /* of the one that carries */
    sd_event_source *on_post;
    struct mail_box box[UNITS_MAX];
    uint32_t n;
    struct mail_item item[MAIL_FILES_MAX]; /* in the order of their numbers, payload by payload */
    char turn[NAME_CAP];                   /* tenant whose message was handed to berth-link last */
    uint64_t swept_ms;                     /* when expiry was looked at last */
};

/* Read what is on disk, and listen to berth-post. */
must_check enum rc mail_open(struct agent *a, struct err *err);

/* A payload is about to be started by this manifest; nothing if it has no mail. */
struct manifest;
void mail_starting(struct agent *a, uint64_t instance, const struct manifest *m);

/* It runs: its view of the mail image and a pidfd, borrowed, go to berth-post; they are kept too,
 * until it is known that the view may go. */
void mail_launched(struct agent *a, uint64_t instance, int view, int pidfd);

/* It could not be started. */
void mail_not_started(struct agent *a, uint64_t instance);

/* A message came over the link: RC_OK when it is kept.  RC_MAIL_FORMAT, RC_MAIL_ADDRESS,
 * RC_MAIL_EXPIRED, RC_MAIL_SEALED; RC_MAIL_FULL and RC_NO_SPACE: perhaps later. */
must_check enum rc mail_take(struct agent *a, int fd, uint64_t size, const struct digest *digest,
                             struct err *err);

/* The payload is about to be given a command by its bus: the ground is told once, if there is room.
 * False: not that one, since it has expired; it is taken back, unless that cannot be kept now. */
bool mail_command_read(struct agent *a, uint64_t instance, uint64_t id);

/* The payload has dealt with a command, and says how it went (bus_result_read).  RC_OK when the
 * answer is kept for the ground.  RC_NOT_FOUND; RC_BUS_REQUEST; RC_MAIL_SEALED: words of a payload
 * whose mail is sealed; what the disk says, and the command stays. */
must_check enum rc mail_command_done(struct agent *a, uint64_t instance, uint64_t id,
                                     struct bytes result, struct err *err);

/* Keep a batch of telemetry (link/telemetry) of an instance for the ground.  RC_MAIL_BUDGET,
 * RC_MAIL_FULL, what the disk says: perhaps later.  RC_MAIL_ADDRESS: it has no outbox, or its mail
 * is sealed. */
must_check enum rc mail_telemetry(struct agent *a, uint64_t instance, struct bytes batch,
                                  struct err *err);

/* What berth-link says of one of ours. */
void mail_sent(struct agent *a, const struct port_mail_sent *m);

/* Hand on what can be handed on; every second. */
void mail_tick(struct agent *a, uint64_t now_ms);

#endif
