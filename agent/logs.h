/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/logs: what payloads print (agent/output) on its way to their ground.
 *
 * Unasked it goes in chunks, the oldest line first, within the bytes a day that the manifest says
 * (`logs`): from time to time, when a start has ended, and when a pass begins.  When the ground
 * asks (MAIL_LOGS_REQUEST), as much more goes as the tenant's grant has for the day.  A chunk is
 * mail of the payload's (agent/mail_store) and goes behind all other mail and telemetry, by turns
 * over tenants; it counts for none of the outbox's bytes.  Nothing of a payload whose mail is
 * sealed goes: it would be in the clear.
 *
 * Where the grant or the manifest has `logs-per-pass` no more than that comes down in a pass: what
 * waits when it begins counts, and what is made from then until the next begins.  What was made
 * before a start of the agent is not known, so nothing is made until a pass begins.
 *
 * The files of the log are the ring: what has not gone when it is overwritten is told as missing.
 * The place is saved behind the chunk: a power cut between the two sends lines twice, which the
 * ground sees by their numbers.
 */
#ifndef BERTH_AGENT_LOGS_H
#define BERTH_AGENT_LOGS_H

#include "agent/logs_state.h"
#include "agent/state.h"
#include "link/mail.h"

#define LOGS_WAITING_MAX 4U /* chunks of a payload on disk */

struct agent;
struct manifest;

/* A payload with a log that may go down. */
struct logs_unit {
    char tenant[NAME_CAP]; /* "" = free */
    char payload[NAME_CAP];
    struct logs_state s;
    uint64_t instance, kept; /* what its output had come to when it was looked at last */
    uint64_t sent_kept;      /* ... when the last chunk was made */
    bool unsaved;            /* s is not known to be on disk */
    bool waiting;            /* lines wait */
    bool now;                /* ... and go at once */
    uint64_t waiting_ms;     /* monotonic; since when */
    uint64_t again_ms;       /* nothing is tried before */
    uint64_t pass_most;      /* bytes a pass, as the version that was started last has them; 0 = as
                              * many as the tenant's */
    uint64_t pass_bytes; /* of chunks that waited when the last pass began, or were made since */
};

struct logs_agent {
    uint32_t turn;
    bool passed; /* a pass has begun since the agent was started */
    struct logs_unit unit[UNITS_MAX];
};

/* Read what is on disk, of the payloads in the table. */
void logs_open_all(struct agent *a);

/* A payload is about to be started by this manifest. */
void logs_starting(struct agent *a, const struct manifest *m);

/* A start has ended: its last words go at once. */
void logs_ended(struct agent *a, const char *tenant, const char *payload);

/* A pass has begun: what waits goes now. */
void logs_contact(struct agent *a);

/* The ground asks for more of the log of the payload of head, in an object in fd.  RC_OK when that
 * is written down, in the place of what was asked for before.  RC_MAIL_FORMAT or a CBOR code;
 * RC_MAIL_ADDRESS: the grant has no logs, or the payload's mail is sealed. */
must_check enum rc logs_asked(struct agent *a, const struct mail *head, int fd, struct err *err);

/* Make what is due into chunks; every second. */
void logs_tick(struct agent *a, uint64_t now_ms);

#endif
