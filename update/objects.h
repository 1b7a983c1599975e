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

/* An opened store.  objects_done closes it. */
struct objects {
    int dir;
    uint64_t bytes_max; /* of all objects together */
    uint32_t count_max;
};

/* Open or create the store in directory dirfd (".../objects") and remove what an interrupted put
 * left.  A zero limit is RC_VALUE. */
must_check enum rc objects_open(int dirfd, uint64_t bytes_max, uint32_t count_max,
                                struct objects *ret, struct err *err);
void objects_done(struct objects *store);

/* Copy size bytes of fd into the store, durably, if they have the digest (RC_OBJECT_DIGEST; an
 * all-zero digest is RC_DIGEST_MISSING).  RC_STORE_QUOTA if a limit would be passed, RC_SHORT or
 * RC_TRAILING if the file is not size bytes long.  Present already and whole: RC_OK. */
must_check enum rc objects_put(struct objects *store, const struct digest *digest, int fd,
                               uint64_t size, struct err *err);

/* Open an object for reading; its bytes have been read and matched its digest just now.  A damaged
 * one is removed and RC_OBJECT_DIGEST; RC_NOT_FOUND. */
must_check enum rc objects_get(struct objects *store, const struct digest *digest, int *ret_fd,
                               uint64_t *ret_size, struct err *err);

/* Whether an object of this name is there; its bytes are not read. */
bool objects_has(const struct objects *store, const struct digest *digest);

/* Remove an object durably; a missing one is RC_OK. */
must_check enum rc objects_remove(struct objects *store, const struct digest *digest,
                                  struct err *err);

/* Call fn for every object, in no order, until it returns false.  Do not put or remove from within
 * fn. */
must_check enum rc objects_list(const struct objects *store,
                                bool (*fn)(void *arg, const struct digest *digest, uint64_t size),
                                void *arg, struct err *err);

/* Bytes and number of all objects. */
must_check enum rc objects_usage(const struct objects *store, uint64_t *ret_bytes,
                                 uint32_t *ret_count, struct err *err);

#endif
