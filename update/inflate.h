/* SPDX-License-Identifier: Apache-2.0
 *
 * update/inflate: package content as a stream of plain bytes, hashed as it is read.
 *
 * The content is hostile: one zstd frame and nothing behind it, a window of at most
 * 1 << POLICY_WINDOW_LOG bytes, and never more output than the caller allows.
 */
#ifndef BERTH_UPDATE_INFLATE_H
#define BERTH_UPDATE_INFLATE_H

#include "manifest/doc.h"

struct inflate;

/* Read n bytes of content at offset at of fd (pread only; fd stays the caller's) and give at most
 * out_max bytes. */
must_check enum rc inflate_new(int fd, uint64_t at, uint64_t n, uint64_t out_max,
                               struct inflate **ret, struct err *err);

/* The next piece, a view until the next call; empty at the end.  RC_ARCHIVE_FORMAT, or
 * RC_ARCHIVE_BOMB for too much output or too large a window. */
must_check enum rc inflate_next(struct inflate *in, struct bytes *ret, struct err *err);

/* Hash in SHA-384, too; before the first piece. */
must_check enum rc inflate_also_384(struct inflate *in, struct err *err);

/* Read what is left: the rest of the output must be zeros (a tar's padding), the frame whole, and
 * the content's digests as expected (RC_DIGEST_MISMATCH); want384 counts after inflate_also_384. */
must_check enum rc inflate_end(struct inflate *in, const struct digest *want,
                               const struct digest384 *want384, struct err *err);

/* Takes the address, a scope cleaner. */
void inflate_free(struct inflate **in);

#endif
