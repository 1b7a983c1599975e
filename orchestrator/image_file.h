/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/image_file: the file or directory that holds a container image, as named blobs: the
 * tar of `docker save`, the tar of `skopeo copy ... oci-archive:`, or an unpacked OCI layout.
 *
 * It comes from a stranger.  The tar is read where it is (POSIX ustar heads only; nothing is
 * unpacked), its names are used to find blobs and for nothing else, and a directory is opened below
 * its own descriptor, no links followed.  What a blob holds is not looked at here.
 */
#ifndef BERTH_ORCHESTRATOR_IMAGE_FILE_H
#define BERTH_ORCHESTRATOR_IMAGE_FILE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define IMAGE_BLOBS_MAX 4096U
#define IMAGE_FILE_MAX (16 * PACKAGE_MAX)

struct image_file;

/* One blob: n bytes at offset at of fd, which it owns.  image_blob_done is a scope cleaner. */
struct image_blob {
    int fd;
    uint64_t at;
    uint64_t n;
};

/* Open path; a tar's heads are read and checked.  RC_IMAGE_FORMAT, RC_ARCHIVE_DUPLICATE for a name
 * twice, RC_TOO_LARGE.  image_file_close takes the address, a scope cleaner. */
must_check enum rc image_file_open(const char *path, struct image_file **ret, struct err *err);
void image_file_close(struct image_file **file);

/* Open a blob by its name in the image.  RC_NOT_FOUND. */
must_check enum rc image_file_blob(const struct image_file *file, const char *name,
                                   struct image_blob *ret, struct err *err);
void image_blob_done(struct image_blob *blob);

#endif
