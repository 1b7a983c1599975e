/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/unpacked: a package's files on this machine, to be compared with another one's.
 *
 * The package is a tenant's, signed or not, and hostile: berth-unpack takes it apart in its own
 * confined process (update/unpack), for whichever machine it was built, into a private directory;
 * nothing in it is executed.  Whether anybody signed it is not asked here.  What berth-unpack left
 * is believed no more than it: the index must be the one that the manifest names.
 */
#ifndef BERTH_ORCHESTRATOR_UNPACKED_H
#define BERTH_ORCHESTRATOR_UNPACKED_H

#include "manifest/doc.h"

struct unpacked {
    struct manifest *manifest;
    struct digest digest; /* of the manifest */
    uint8_t *envelope;    /* NULL: nobody signed it yet */
    size_t envelope_bytes;
    uint64_t full_bytes; /* of the full package as a file; of an unsigned one without envelope */
    int root;            /* descriptor of the tree */
    int index_fd;        /* a memfd with the index, read only */
    uint8_t *index;      /* the same in memory */
    size_t index_bytes;
};

#define UNPACKED_NONE                                                                              \
    {                                                                                              \
        .root = -1, .index_fd = -1                                                                 \
    }

/* Where: below which directory, and by which program. */
struct unpacked_place {
    int dirfd;
    int program; /* berth-unpack, as checking_sibling opens it */
};

/* Take apart the package or unsigned package in fd, which nobody else can write (payload_seal makes
 * such a one), into the new directory `name` of that place.  A failure leaves what is there; the
 * caller removes the directory in any case.  RC_PACKAGE_FORMAT, RC_INDEX_MISMATCH, RC_TIMEOUT, and
 * the codes of draft_open, package_open, manifest_decode and unpack_content. */
must_check enum rc unpacked_open(int fd, const struct unpacked_place *place, const char *name,
                                 struct unpacked *ret, struct err *err);

/* Only what the file says of itself: root and index stay -1 and NULL. */
must_check enum rc unpacked_read(int fd, struct unpacked *ret, struct err *err);

void unpacked_done(struct unpacked *u); /* scope cleaner; the directory stays */

#endif
