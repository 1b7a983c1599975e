/* SPDX-License-Identifier: Apache-2.0
 *
 * base/fs: files by descriptor.  Every path is relative to a directory descriptor, is resolved
 * beneath it without following links (openat2), and every descriptor is close-on-exec.  "Durable"
 * means: after RC_OK a power cut cannot undo it (write, fsync, rename, fsync of the directory).
 */
#ifndef BERTH_BASE_FS_H
#define BERTH_BASE_FS_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

/* openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS and O_CLOEXEC. */
must_check enum rc fs_open(int dirfd, const char *path, int flags, mode_t mode, int *ret_fd,
                           struct err *err);

/* Open a directory, creating it (one level) with mode if it is missing. */
must_check enum rc fs_open_dir(int dirfd, const char *path, mode_t mode, int *ret_fd,
                               struct err *err);

/* Create every missing level of path ("a/b/c") with mode, durably. */
must_check enum rc fs_make_dirs(int dirfd, const char *path, mode_t mode, struct err *err);

/* Open an existing plain file for reading without ever blocking on a FIFO; refuses anything that is
 * not a regular file with one link (RC_NOT_REGULAR) or is larger than max (RC_TOO_LARGE). */
must_check enum rc fs_open_plain(int dirfd, const char *path, uint64_t max, int *ret_fd,
                                 uint64_t *ret_size, struct err *err);

/* Read a whole plain file of at most cap bytes into buf. */
must_check enum rc fs_read_file(int dirfd, const char *path, uint8_t *buf, size_t cap,
                                size_t *ret_n, struct err *err);

/* The same into fresh memory of at most max bytes; the caller frees *ret.  One extra NUL follows
 * the data. */
must_check enum rc fs_read_alloc(int dirfd, const char *path, size_t max, uint8_t **ret,
                                 size_t *ret_n, struct err *err);

/* Replace or create a file durably and atomically: a reader sees the old content or the new, never
 * a mix. */
must_check enum rc fs_write_file(int dirfd, const char *path, struct bytes content, mode_t mode,
                                 struct err *err);

/* Remove what fs_write_file left in a directory when the power went in the middle of it.  At start,
 * before anything is written there. */
must_check enum rc fs_sweep(int dirfd, const char *path, struct err *err);

/* Write all of content to fd, across short writes. */
must_check enum rc fs_write_all(int fd, struct bytes content, struct err *err);

/* Read exactly n bytes at offset; RC_SHORT if the file ends before. */
must_check enum rc fs_pread_exact(int fd, uint8_t *buf, size_t n, uint64_t offset, struct err *err);

/* fsync a descriptor (file or directory). */
must_check enum rc fs_sync(int fd, const char *what, struct err *err);

/* Rename durably: rename, then fsync both directories.  With noreplace an existing target is
 * RC_EXISTS. */
must_check enum rc fs_rename(int from_dirfd, const char *from, int to_dirfd, const char *to,
                             bool noreplace, struct err *err);

/* Exchange two names durably and atomically: each is the other afterwards, at no instant is either
 * missing.  RC_NOT_FOUND if one is. */
must_check enum rc fs_exchange(int a_dirfd, const char *a, int b_dirfd, const char *b,
                               struct err *err);

/* Unlink a file durably; a missing file is RC_OK. */
must_check enum rc fs_unlink(int dirfd, const char *path, struct err *err);

/* Remove a tree without following links or leaving the file system; a missing tree is RC_OK.
 * Iterative. */
must_check enum rc fs_remove_tree(int dirfd, const char *path, struct err *err);

/* What lies below path: bytes allocated, each entry (also a directory) counted as 4096 at least, so
 * that empty ones are not free; and the number of entries that are no directories.  Either ret may
 * be NULL. */
must_check enum rc fs_tree_usage(int dirfd, const char *path, uint64_t *ret_bytes,
                                 uint64_t *ret_files, struct err *err);

/* Copy exactly size bytes from in (offset 0) to out and give their SHA-256.  RC_SHORT if in ends
 * early, RC_TRAILING if it goes on. */
must_check enum rc fs_copy_digest(int in, int out, uint64_t size, uint8_t ret_sha256[32],
                                  struct err *err);

/* A memfd holding content, sealed against any change. */
must_check enum rc fs_sealed(const char *label, struct bytes content, int *ret_fd, struct err *err);

/* Call fn for every entry name of the directory except "." and "..", in readdir order, at most max
 * of them; fn returns false to stop.  ret_more (NULL allowed) tells whether entries were left
 * unread.  RC_IO also if it cannot be read to its end: fn has seen the names before that. */
must_check enum rc fs_list(int dirfd, const char *path, size_t max,
                           bool (*fn)(void *arg, const char *name), void *arg, bool *ret_more,
                           struct err *err);

/* Exclusive lock on a file for the life of *ret_fd, created if missing; RC_BUSY when another
 * process holds it. */
must_check enum rc fs_lock(int dirfd, const char *path, int *ret_fd, struct err *err);

#endif
