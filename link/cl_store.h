/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_store: the directory pair between berth-cl and the rest of Berth: bundles to send, and
 * bundles that were received.
 *
 * The send directory is filled by berth-link or berth-ground, or by tools that write files under
 * their final name: a file counts only when it is one whole bundle by its own form.  A file is
 * removed when the other side has it, and not before.  What is received is durable before anybody
 * is told so.  The content of bundles is sealed and not looked at beyond their form.
 */
#ifndef BERTH_LINK_CL_STORE_H
#define BERTH_LINK_CL_STORE_H

#include <sys/types.h>
#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "link/dircl.h"

#define CL_NAMES 256U    /* names taken at once */
#define CL_LOOK_MS 1000U /* the directory is looked at so often without a hint */
#define CL_STALE_MS (UINT64_C(3600) * 1000U) /* an incomplete file that old is given up */

/* Names of bundle files in a directory, in the order of their bytes, however many there are. */
struct cl_names {
    int dirfd;          /* borrowed */
    const char *suffix; /* in any case, "" = any name; what begins with '.' is never meant */
    const char *but;    /* nor what ends so; NULL = nothing */
    bool hint;          /* files may have come since the first names were read */
    size_t n;           /* sorted */
    size_t next;
    bool more; /* there are names behind them, or may be */
    char name[CL_NAMES][DIRCL_NAME_CAP];
};

void cl_names_init(struct cl_names *names, int dirfd, const char *suffix);

/* The next name; NULL behind the last one, until hint is set: then all that are there come round
 * again.  It lives until the next call. */
must_check enum rc cl_names_next(struct cl_names *names, const char **ret, struct err *err);

/* Begin again with the first name. */
void cl_names_rewind(struct cl_names *names);

/* A file to send, as it was when it was read: one that was replaced since is another. */
struct cl_item {
    char name[DIRCL_NAME_CAP];
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct cl_counts {
    uint64_t sent; /* bundles that the peer has, or that were sent where nobody answers */
    uint64_t sent_bytes;
    uint64_t received;
    uint64_t received_bytes;
    uint64_t refused;   /* by the peer, for good */
    uint64_t no_room;   /* at the peer, at this moment; they stay */
    uint64_t too_large; /* for the peer; they stay */
    uint64_t garbage;   /* came, and was no bundle */
    uint64_t strangers; /* came from an address that is not the peer's */
};

struct cl_store {
    int send_fd; /* borrowed */
    int recv_fd;
    int watch_fd; /* readable when files may have come to send_fd; -1 = only time tells */
    struct cl_counts counts;
    struct cl_names names; /* in send_fd */
    uint64_t looked_ms;
    uint64_t order; /* of the next received bundle */
    bool unsynced;  /* names in recv_fd are not durable yet */
};

/* A descriptor that is readable when files may have come to a directory; -1 where that cannot be
 * had.  Only a hint.  To be made before the process is confined. */
int cl_store_watch(int dirfd);

/* The directories stay the caller's; watch_fd, or -1, becomes the store's.  Received bundles are
 * named by their order, behind those that are still there. */
must_check enum rc cl_store_open(int send_fd, int recv_fd, int watch_fd, struct cl_store *ret,
                                 struct err *err);

void cl_store_close(struct cl_store *store);

/* Notice whether files may have come: by watch_fd, or because a second has passed (true). */
bool cl_store_look(struct cl_store *store, uint64_t now_ms);

/* Read one bundle of a directory: RC_SHORT while it is incomplete (a writer may be at it), RC_OK,
 * or another code for what never becomes a bundle of at most cap bytes; RC_NOT_FOUND when it is
 * gone. */
must_check enum rc cl_store_read(int dirfd, const char *name, uint8_t *buf, size_t cap,
                                 struct cl_item *ret, struct err *err);

/* Whether bytes are exactly one bundle, by their form. */
bool cl_store_is_bundle(struct bytes in);

/* Whether a name still stands for the file that was read: same file, size and time of change. */
bool cl_store_is_same(int dirfd, const struct cl_item *item);

/* The other side has it: remove the file, unless it was replaced since. */
void cl_store_sent(struct cl_store *store, const struct cl_item *item);

/* A file that is no bundle: leave one that somebody may still be writing, remove any other. */
void cl_store_reject(struct cl_store *store, int dirfd, const char *name, enum rc why);

/* A file that is no bundle, and will never be one: remove it, and count it. */
void cl_store_remove(struct cl_store *store, int dirfd, const char *name);

/* Write a received bundle; durable, its name too, after cl_store_commit. */
must_check enum rc cl_store_receive(struct cl_store *store, struct bytes bundle, struct err *err);
must_check enum rc cl_store_commit(struct cl_store *store, struct err *err);

#endif
