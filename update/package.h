/* SPDX-License-Identifier: Apache-2.0
 *
 * update/package: the file that carries one payload.
 *
 *     "BERTHPK1" || u32be envelope bytes || envelope (COSE_Sign around a manifest) || content
 *
 * The content is a tar compressed with zstd and runs to the end of the file.  A package comes from
 * the link or from a tenant: nothing in it may be believed, and opening it looks at the fixed head
 * only.  Whether anyone signed it is update/verify's question.
 */
#ifndef BERTH_UPDATE_PACKAGE_H
#define BERTH_UPDATE_PACKAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define PACKAGE_MAGIC "BERTHPK1"
#define PACKAGE_MAGIC_SIZE 8U
#define PACKAGE_HEAD_SIZE 12U
#define PACKAGE_FILE_MAX (PACKAGE_HEAD_SIZE + DOCUMENT_MAX + PACKAGE_MAX)

/* An opened package, not verified.  Owns the copy of the envelope; package_done frees it. */
struct package {
    uint8_t *envelope;
    size_t envelope_bytes;
    uint64_t content_at; /* offset of the content in the file */
    uint64_t content_bytes;
};

/* Read the head and the envelope with pread (the offset of fd does not move).  RC_PACKAGE_FORMAT
 * for another magic, an empty envelope or empty content, RC_SHORT if the file ends inside the
 * envelope, RC_TOO_LARGE above DOCUMENT_MAX or PACKAGE_MAX, RC_NOT_REGULAR for anything but a
 * plain file or memfd. */
must_check enum rc package_open(int fd, struct package *ret, struct err *err);

/* Free the envelope; harmless on a zeroed struct.  A scope cleaner. */
void package_done(struct package *package);

/* The fixed head for an envelope of n bytes, 1 to DOCUMENT_MAX. */
void package_head(size_t n, uint8_t ret[PACKAGE_HEAD_SIZE]);

/* SHA-256 of n bytes of fd from offset at, read in bounded memory.  RC_SHORT. */
must_check enum rc package_digest(int fd, uint64_t at, uint64_t n, uint8_t ret[DIGEST_SIZE],
                                  struct err *err);

/* The envelope as a view that lives as long as the package. */
static inline struct bytes package_envelope(const struct package *package)
{
    return (struct bytes){ .p = package->envelope, .n = package->envelope_bytes };
}

#endif
