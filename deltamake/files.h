/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/files: all files of a source, mapped at once.  Ground only.
 */
#ifndef BERTH_DELTAMAKE_FILES_H
#define BERTH_DELTAMAKE_FILES_H

#include "delta/image.h"

/* Owns the mappings and the list. */
struct files {
    struct bytes *f;
    uint32_t n;
    uint64_t bytes; /* of all */
};

/* Map every file read-only.  RC_TOO_LARGE above max bytes in all, before any is opened;
 * RC_VALUE when a file's size differs from the list's.  The caller calls files_done. */
must_check enum rc files_init(const struct image_source *from, uint64_t max, struct files *ret,
                              struct err *err);
void files_done(struct files *files);

#endif
