/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail_store: messages on disk, on their way down or waiting for their payload, and what must
 * be known of them after a power cut.
 *
 *     data/TENANT/PAYLOAD/sent/NUMBER-DIGEST[.t|.l]    taken out of the outbox, until the ground
 * has it data/TENANT/PAYLOAD/came/NUMBER-DIGEST[.r|.c] until it is in the inbox; .r = a receipt, .c
 * = a command, until it is answered data/TENANT/PAYLOAD/mail.{a,b}                state file
 *
 * Each file is an object of the link (link/mail) whose SHA-256 is in its name; a file appears under
 * its name when it is whole and durable.
 */
#ifndef BERTH_AGENT_MAIL_STORE_H
#define BERTH_AGENT_MAIL_STORE_H

#include "agent/post.h"
#include "link/port.h"
#include "manifest/doc.h"

#define MAIL_RECENT_MAX 16U
#define MAIL_TAKEN_MAX 16U
#define MAIL_DAY_MS (UINT64_C(24) * 3600U * 1000U)
#define MAIL_USED_UP (UINT64_MAX / 4U) /* more bytes than any day has */

/* Of one payload.  All zero is a fresh one. */
struct mail_state {
    uint64_t number;  /* of the last message that was taken out */
    uint64_t arrival; /* of the last one that came in */
    uint64_t day;     /* since the epoch, of: */
    uint64_t day_bytes;
    uint32_t n_taken; /* files that were taken last, newest last: each may still lie in the outbox,
                       * and after a start another one may be found before it */
    struct post_mark taken[MAIL_TAKEN_MAX];
    uint32_t n_recent;
    struct digest recent[MAIL_RECENT_MAX]; /* that came in lately, newest last */
};

enum mail_way { MAIL_SENT, MAIL_CAME };

/* A message on disk. */
struct mail_file {
    char tenant[NAME_CAP];
    char payload[NAME_CAP];
    enum mail_way way;
    uint64_t number; /* in the order of which it goes or came */
    struct digest digest;
    uint64_t size; /* of the object */
    bool receipt;
    bool command;   /* for the payload's bus */
    bool telemetry; /* of its bus */
    bool log;       /* what it printed */
};

/* Load; one that is not there is a fresh one.  RC_STATE_DAMAGED: *ret can be used, and saved; it
 * begins with numbers that were never used (now_ms is high enough), and all bytes of this day count
 * as used up.  Any other error: *ret is not to be used, and later it may go. */
must_check enum rc mail_state_load(int data_dir, const char *tenant, const char *payload,
                                   uint64_t now_ms, struct mail_state *ret, struct err *err);

must_check enum rc mail_state_save(int data_dir, const char *tenant, const char *payload,
                                   const struct mail_state *state, struct err *err);

/* Write a file durably: a head, then size bytes of from at offset.  digest and size of f are set
 * here; with `want` the digest must be that one (RC_OBJECT_DIGEST). */
must_check enum rc mail_store_put(int data_dir, struct mail_file *f, struct bytes head, int from,
                                  uint64_t offset, uint64_t size, const struct digest *want,
                                  struct err *err);

/* Open one for reading. */
must_check enum rc mail_store_open(int data_dir, const struct mail_file *f, int *ret_fd,
                                   struct err *err);

/* Remove one durably; one that is gone is RC_OK. */
must_check enum rc mail_store_remove(int data_dir, const struct mail_file *f, struct err *err);

/* Call fn for every message there is, of all payloads, and remove what was half made.  The bytes
 * are not read. */
void mail_store_list(int data_dir, void (*fn)(void *arg, const struct mail_file *f), void *arg);

/* Bytes that the payloads of a tenant have sent on this day.  A state that is damaged is written
 * anew. */
must_check enum rc mail_store_day_bytes(int data_dir, const char *tenant, uint64_t now_ms,
                                        uint64_t *ret, struct err *err);

#endif
