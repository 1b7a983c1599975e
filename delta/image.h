/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/image: the files of the old tree, seen as one long run of bytes.  Positions in a delta
 * count through all of them in the order of the list.  Files are opened through the caller
 * when they are needed first, and stay mapped read-only.  The caller vouches that they do not
 * change meanwhile; their content is not trusted (a tenant wrote it), their size is held against
 * the list.
 */
#ifndef BERTH_DELTA_IMAGE_H
#define BERTH_DELTA_IMAGE_H

#include "base/bytes.h"
#include "base/err.h"

#define IMAGE_FILES_MAX 20001U /* PACKAGE_FILES_MAX and the tree's index */

/* Where old files come from.  The list stays the caller's and must outlive the image. */
struct image_source {
    void *arg;
    uint32_t n;            /* files */
    const uint64_t *sizes; /* of each, in bytes */
    /* Open file i for reading; the image closes the descriptor. */
    enum rc (*open)(void *arg, uint32_t i, int *ret_fd, struct err *err);
};

struct image;

/* RC_DELTA_BASE for too many or too large files. */
must_check enum rc image_new(const struct image_source *from, struct image **ret, struct err *err);
void image_free(struct image **im); /* takes the address, a scope cleaner */

/* Memory that image_new takes for n files, in bytes. */
uint64_t image_cost(uint32_t n);

/* How many files there are in the list. */
uint32_t image_files(const struct image *im);

/* All files together, in bytes, those that were added with them. */
uint64_t image_size(const struct image *im);

/* Opened forms of old files (delta/gzip) lie behind the files of the list.  Make room for n of them
 * where there are none; each takes IMAGE_ADDED_COST bytes beside its own.  RC_NO_MEMORY. */
#define IMAGE_ADDED_COST 64U
must_check enum rc image_room(struct image *im, uint32_t n, struct err *err);

/* Add the opened form of file i, which takes what image_opened says.  RC_DELTA_BASE when the file
 * is none that can be opened. */
must_check enum rc image_add(struct image *im, uint32_t i, struct err *err);

/* Size of the opened form of file i, in bytes.  RC_DELTA_BASE. */
must_check enum rc image_opened(struct image *im, uint32_t i, uint64_t *ret, struct err *err);

/* Drop what was added. */
void image_drop(struct image *im);

/* The position of file i's first byte, and its size. */
uint64_t image_start(const struct image *im, uint32_t i);
uint64_t image_file_size(const struct image *im, uint32_t i);

/* The file that holds position pos; false when there is none. */
bool image_find(const struct image *im, uint64_t pos, uint32_t *ret_file);

/* The whole of file i, a view as long as the image lives: each file is opened and mapped once at
 * most, however a delta jumps about.  RC_DELTA_BASE when its size differs from the list's. */
must_check enum rc image_map(struct image *im, uint32_t i, struct bytes *ret, struct err *err);

#endif
