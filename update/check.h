/* SPDX-License-Identifier: Apache-2.0
 *
 * update/check: whether the files of a slot are still those that were unpacked.
 *
 * Bits flip on flash.  Every path of the slot's index is read again and compared: type, mode, size,
 * SHA-256, a link's target; the index itself must be the one that the manifest names.  Reading a
 * large slot takes long, so berth-unpack does it, in a process of its own that may read this slot
 * and nothing else.
 */
#ifndef BERTH_UPDATE_CHECK_H
#define BERTH_UPDATE_CHECK_H

#include "update/unpack.h"

/* Start checking the tree at fds[1] against the index in fds[0], which the manifest names; with
 * `idle` only when nobody else wants the processor or the medium.  The job is collected by
 * unpack_result: RC_OK, RC_SLOT_DAMAGED with the path that differs, or why it could not be looked
 * at (RC_UNPACK_FAILED, RC_NO_MEMORY). */
must_check enum rc check_start(const struct manifest *m, int program_fd, const int fds[2],
                               bool idle, struct unpack_job *ret, struct err *err);

/* A file, and what it should be. */
struct check_object {
    int fd;
    uint64_t size;
    struct digest digest;
};

/* Start holding a file against its digest; `idle` as above.  RC_OBJECT_DIGEST in the verdict: it is
 * damaged, or cannot be read. */
must_check enum rc check_start_object(const struct check_object *what, int program_fd, bool idle,
                                      struct unpack_job *ret, struct err *err);

/* Start reading a package whole, as unpacking does, and make nothing of it: whether room is worth
 * being made for it.  Other bytes may lie there by the time it is unpacked, and are read again
 * then.  The payload may be freed once this has returned.  The verdict: RC_DIGEST_MISMATCH. */
must_check enum rc check_start_payload(const struct verified_payload *payload, int program_fd,
                                       struct unpack_job *ret, struct err *err);

/* The same with a delta: it is applied to the tree that it starts from, and what comes is hashed
 * and let go of.  The verdict may be one of unpack_delta's. */
must_check enum rc check_start_delta(const struct verified_delta *delta,
                                     const struct unpack_from *from, int program_fd,
                                     struct unpack_job *ret, struct err *err);

/* The work itself, in this process. */
must_check enum rc check_object(int fd, const struct unpack_spec *spec, struct err *err);
must_check enum rc check_tree(int index_fd, const struct unpack_spec *spec, int root_fd,
                              struct err *err);

#endif
