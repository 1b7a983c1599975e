/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/make: the smallest delta that turns one tree's files into another's.
 *
 * Ground only: nothing on board links this folder.  The files are a tenant's and hostile; what
 * comes out has been applied once and compared, byte by byte.  The same input gives the same delta.
 */
#ifndef BERTH_DELTAMAKE_MAKE_H
#define BERTH_DELTAMAKE_MAKE_H

#include "base/limits.h"
#include "delta/image.h"

#define MAKE_OLD_MAX                                                                               \
    (512ULL * 1024U * 1024U) /* bytes of old files; above, send the full package                   \
                              */
#define MAKE_NO_HOME UINT32_MAX

/* Counts up with every change that may let a delta be made that could not be made before. */
#define MAKE_ENGINE 2U

/* Told now and then how far the work is, from the calling thread. */
struct make_progress {
    void (*tell)(void *arg, uint64_t done, uint64_t total); /* NULL allowed */
    void *arg;
};

struct make_spec {
    struct image_source old; /* all files of the old tree's image, in its order */
    struct image_source new; /* the files that the delta gives, in the order of their numbers */
    const uint32_t *home;    /* of each new file: the old file to look at first, or MAKE_NO_HOME */
    uint8_t base[DIGEST_SIZE];
    uint8_t result[DIGEST_SIZE];
    uint64_t memory_max; /* what applying may take beside the old files, in bytes */
    struct make_progress progress;
};

/* A delta.  Owns p. */
struct made {
    uint8_t *p;
    size_t n;
    uint64_t memory; /* what it declares that applying takes, in bytes */
};

/* Make a delta.  RC_TOO_LARGE when the old files are more than MAKE_OLD_MAX or a new one is larger
 * than a delta can carry: send the full package.  RC_NO_MEMORY, the codes of delta/, RC_INTERNAL
 * when the result does not apply to exactly the new files.  The caller calls made_done. */
must_check enum rc make_delta(const struct make_spec *spec, struct made *ret, struct err *err);
void made_done(struct made *m);

#endif
