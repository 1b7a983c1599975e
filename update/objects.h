/* SPDX-License-Identifier: Apache-2.0
 *
 * update/objects: whole objects on board, each under the SHA-256 of its bytes (sha256/ab/cd...).
 *
 * Bytes come in from a descriptor that another process may still hold, so they are copied and
 * hashed in one go, and only the copy is used afterwards.  An object that no longer matches its
 * name is refused and removed: the link can bring it again.
 */
#ifndef BERTH_UPDATE_OBJECTS_H
#define BERTH_UPDATE_OBJECTS_H

#include "manifest/doc.h"

/* An opened store; dir -1 = it cannot be used (agent/place).  objects_done closes it. */
struct objects {
    int dir;
    bool only_read;     /* nothing is put into it */
    uint64_t bytes_max; /* of all objects together */
    uint32_t count_max;
};

/* Open or create the store in directory dirfd (".../objects") and remove what an interrupted put
 * left.  A zero limit is RC_VALUE. */
must_check enum rc objects_open(int dirfd, uint64_t bytes_max, uint32_t count_max,
                                struct objects *ret, struct err *err);
/* The same, where that fails because what was left cannot be removed, or the directory not be
 * synced: what is there can be read and removed, and nothing put. */
must_check enum rc objects_open_read(int dirfd, uint64_t bytes_max, uint32_t count_max,
                                     struct objects *ret, struct err *err);
void objects_done(struct objects *store);

/* Copy size bytes of fd into the store, durably, if they have the digest (RC_OBJECT_DIGEST; an
 * all-zero digest is RC_DIGEST_MISSING).  RC_STORE_QUOTA if a limit would be passed, RC_SHORT or
 * RC_TRAILING if the file is not size bytes long, RC_STATE_DIR if there is no store.  Present
 * already and whole: RC_OK. */
must_check enum rc objects_put(struct objects *store, const struct digest *digest, int fd,
                               uint64_t size, struct err *err);

/* A put under way, in steps that are each short even where the medium is slow. */
struct objects_intake {
    struct digest digest;
    int in;    /* the caller's */
    int there; /* one of this name, which is held against it first; -1 = none */
    int out;   /* the copy; -1 = not begun */
    uint64_t size, at;
    struct sha256 *sha;
};

#define OBJECTS_STEP_BYTES (1024U * 1024U)

/* Begin; codes and arguments as of objects_put, and fd stays open until the end. */
must_check enum rc objects_put_begin(struct objects *store, const struct digest *digest, int fd,
                                     uint64_t size, struct objects_intake *ret, struct err *err);

/* Read, or copy and bring to the medium, at most OBJECTS_STEP_BYTES more.  RC_BUSY: it is not done;
 * not told.  Anything else is what objects_put would give, and the end: nothing is left of it. */
must_check enum rc objects_put_step(struct objects *store, struct objects_intake *intake,
                                    struct err *err);

/* Give it up; harmless behind its end. */
void objects_put_abandon(struct objects *store, struct objects_intake *intake);

/* Open an object for reading; its bytes have been read and matched its digest just now.  A damaged
 * one is removed and RC_OBJECT_DIGEST; RC_NOT_FOUND. */
must_check enum rc objects_get(struct objects *store, const struct digest *digest, int *ret_fd,
                               uint64_t *ret_size, struct err *err);

/* Open an object without reading it: for whoever looks at a part of it and believes only what that
 * proves by itself.  RC_NOT_FOUND. */
must_check enum rc objects_peek(const struct objects *store, const struct digest *digest,
                                int *ret_fd, struct err *err);

/* Open an object that somebody else is going to read and hold against its name (update/check); a
 * damaged one stays. */
must_check enum rc objects_open_unread(const struct objects *store, const struct digest *digest,
                                       int *ret_fd, uint64_t *ret_size, struct err *err);

/* Whether an object of this name is there; its bytes are not read. */
bool objects_has(const struct objects *store, const struct digest *digest);

/* Whether fd is the object as it is now, and not one that was there before. */
bool objects_is(const struct objects *store, const struct digest *digest, int fd);

/* Its size, for one that is there; its bytes are not read.  RC_NOT_FOUND. */
must_check enum rc objects_size(const struct objects *store, const struct digest *digest,
                                uint64_t *ret, struct err *err);

/* When it was put there, by the clock of then: Unix time in milliseconds.  RC_NOT_FOUND. */
must_check enum rc objects_since(const struct objects *store, const struct digest *digest,
                                 uint64_t *ret_ms, struct err *err);

/* Remove an object durably; a missing one is RC_OK. */
must_check enum rc objects_remove(struct objects *store, const struct digest *digest,
                                  struct err *err);

/* Call fn for every object, in no order, until it returns false.  Do not put or remove from within
 * fn.  RC_STATE_DIR: a directory could not be read, and fn has been called for all that is in the
 * others. */
must_check enum rc objects_list(const struct objects *store,
                                bool (*fn)(void *arg, const struct digest *digest, uint64_t size),
                                void *arg, struct err *err);

/* Bytes and number of all objects, as far as they can be read. */
must_check enum rc objects_usage(const struct objects *store, uint64_t *ret_bytes,
                                 uint32_t *ret_count, struct err *err);

#endif
