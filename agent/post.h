/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/post: carrying messages between berthd and the mail directories of payloads, and what both
 * say to each other over one SOCK_SEQPACKET pair.
 *
 * berth-post (agent/main_berth_post) is the only process that reads what a payload leaves in its
 * outbox.  It is a user of its own, sees no file system but the views of mail images that it is
 * handed, and holds no key and no state: files become sealed memory, which berthd keeps and answers
 * for.  A message is one fixed-size packet; whatever is not in the table in post_wire.c is
 * RC_PROTOCOL, and its descriptors are closed.
 *
 * Of each payload one message at a time is under way, and POST_COPIES_MAX of all.  A payload that
 * has ended is given POST_LAST_MS for what is still there; then its view is let go of, since until
 * then nobody can start it again.
 */
#ifndef BERTH_AGENT_POST_H
#define BERTH_AGENT_POST_H

#include "link/mail.h"

#define POST_IN "in"
#define POST_OUT "out"
#define POST_COPIES_MAX 2U  /* messages in memory at once */
#define POST_SCAN_MAX 1024U /* names of one outbox that are looked at in one turn */
#define POST_EVERY_MS 500U
#define POST_LAST_MS 3000U
#define POST_AGAIN_MS 30000U /* junk is told at most so often, however much it is */

enum post_type {
    POST_OPEN = 1,       /* to post, with view and pidfd: carry for this instance */
    POST_TAKEN = 2,      /* to post: the file is kept, or refused for good: remove it */
    POST_LATER = 3,      /* to post: leave it, and offer nothing of this payload for wait_ms */
    POST_PUT = 4,        /* to post, with a descriptor: size bytes at offset become this file */
    POST_PING = 5,       /* to post: instance is a number, and comes back */
    POST_FOUND = 16,     /* to berthd, with sealed memory: a file of the outbox */
    POST_REMOVED = 17,   /* to berthd: after TAKEN; rc says whether */
    POST_DELIVERED = 18, /* to berthd: what came of a PUT; RC_EXISTS: such a file is there */
    POST_JUNK = 19,   /* to berthd: count things in the outbox that cannot be taken; name is one */
    POST_CLOSED = 20, /* to berthd: the payload has ended, and the view is let go of */
    POST_PONG = 21,   /* to berthd: a PING has been come to */
};

/* Which file it is, beyond its name: a name may be another file by now. */
struct post_mark {
    uint64_t ino;
    int64_t ctime_s;
    uint32_t ctime_ns;
    uint32_t reserved;
};

struct post_message {
    uint32_t type; /* enum post_type */
    uint32_t rc;
    uint64_t instance;     /* never 0 */
    uint64_t offset;       /* PUT */
    uint32_t size;         /* FOUND, PUT */
    uint32_t count;        /* JUNK */
    uint32_t wait_ms;      /* LATER */
    uint32_t replace;      /* PUT: 1 = over a file of that name */
    struct post_mark mark; /* FOUND, TAKEN, REMOVED */
    char name[80];         /* zero behind its end */
};

static_assert(MAIL_NAME_MAX + sizeof MAIL_RECEIPT <= 80, "the name of any receipt fits");

#define POST_FDS_MAX 2U

/* Send one message with the descriptors of its type (borrowed).  Never blocks: RC_TIMEOUT when the
 * socket is full, RC_SHORT when the other end is gone. */
must_check enum rc post_send(int sock, const struct post_message *m, const int *fds,
                             struct err *err);

/* Receive one that berthd (or else berth-post) may send.  fds get its descriptors, else -1. */
must_check enum rc post_recv(int sock, bool from_agent, struct post_message *ret,
                             int fds[POST_FDS_MAX], struct err *err);

/* The check behind post_recv: whether raw is one message that berthd (or else berth-post) may send,
 * with n_fds descriptors.  RC_PROTOCOL; *ret is filled on success only. */
must_check enum rc post_check(struct bytes raw, bool from_agent, size_t n_fds,
                              struct post_message *ret, struct err *err);

/* Whether what lies in an outbox is a plain file of this user's, with all of its bytes, and not too
 * large.  RC_MAIL_JUNK, RC_TOO_LARGE. */
struct stat;
must_check enum rc post_judge(const struct stat *st);

struct post;

/* The socket is borrowed. */
must_check enum rc post_new(int sock, struct post **ret, struct err *err);
void post_free(struct post **post); /* scope cleaner */

/* One turn: hear berthd, look into outboxes, watch for the end of payloads.  *ret_wait_ms is how
 * long poll may sleep.  RC_SHORT: berthd is gone. */
must_check enum rc post_turn(struct post *post, uint64_t now_ms, uint64_t *ret_wait_ms,
                             struct err *err);

/* Wait for something to do, at most so long. */
must_check enum rc post_wait(struct post *post, uint64_t wait_ms, struct err *err);

#endif
