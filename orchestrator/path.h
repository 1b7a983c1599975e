/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/path: files that a person named on the command line.  base/fs resolves beneath a
 * descriptor and follows no links; here the person may name any file anywhere, so the directory
 * part is opened as the shell would, and the last part goes through base/fs where something is
 * written.
 */
#ifndef BERTH_ORCHESTRATOR_PATH_H
#define BERTH_ORCHESTRATOR_PATH_H

#include "base/bytes.h"
#include "base/err.h"

#define PATH_NAME_CAP 256U

/* Open the directory that holds path, and give the last part of the path.  RC_NAME if that is
 * empty,
 * "." or "..". */
must_check enum rc path_open_parent(const char *path, int *ret_dirfd, char ret_name[PATH_NAME_CAP],
                                    struct err *err);

/* Open a directory; with create, make every missing level (mode 0755). */
must_check enum rc path_open_dir(const char *path, bool create, int *ret_fd, struct err *err);

/* Open a plain file (links are followed) for reading, at most max bytes large. */
must_check enum rc path_open_file(const char *path, uint64_t max, int *ret_fd, uint64_t *ret_size,
                                  struct err *err);

/* Read such a file whole; the caller frees *ret.  One extra NUL follows. */
must_check enum rc path_read(const char *path, size_t max, uint8_t **ret, size_t *ret_n,
                             struct err *err);

/* Replace or create a file, durably. */
must_check enum rc path_write(const char *path, struct bytes content, unsigned mode,
                              struct err *err);

/* The absolute form of a directory that exists. */
must_check enum rc path_absolute(const char *path, char *out, size_t cap, struct err *err);

/* base with its suffix (if it has that one) replaced by another: "cam-1.unsigned" to "cam-1.berth".
 */
must_check enum rc path_with_suffix(const char *path, const char *suffix, const char *other,
                                    char *out, size_t cap, struct err *err);

#endif
