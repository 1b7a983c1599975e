/* SPDX-License-Identifier: Apache-2.0
 *
 * update/package: the file that carries one payload.
 *
 *     "BERTHPK1" || u32be envelope bytes || envelope (COSE_Sign around a manifest) || content
 *     "BERTHDP1" || u32be envelope bytes || the same envelope || delta
 *
 * The content is a tar compressed with zstd and runs to the end of the file.  A delta package
 * brings the same version to who has another one: a delta (docs/wire/delta.md) in its place.  A
 * package comes from the link or from a tenant: nothing in it may be believed, and opening it looks
 * at the fixed head only.  Whether anyone signed it is update/verify's question.
 */
#ifndef BERTH_UPDATE_PACKAGE_H
#define BERTH_UPDATE_PACKAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "manifest/doc.h"

#define PACKAGE_MAGIC "BERTHPK1"
#define PACKAGE_DELTA_MAGIC "BERTHDP1"
#define PACKAGE_MAGIC_SIZE 8U
#define PACKAGE_HEAD_SIZE 12U
#define PACKAGE_FILE_MAX (PACKAGE_HEAD_SIZE + DOCUMENT_MAX + PACKAGE_MAX)

enum package_kind {
    PACKAGE_FULL,  /* whole: what everybody but the link between ground and satellite knows */
    PACKAGE_DELTA, /* for who has the base */
};

/* An opened package, not verified.  Owns the copy of the envelope; package_done frees it. */
struct package {
    uint8_t *envelope;
    size_t envelope_bytes;
    uint64_t content_at; /* offset in the file of the content, or of the delta */
    uint64_t content_bytes;
};

/* Which of the two a file claims to be, by its magic alone.  RC_PACKAGE_FORMAT, RC_SHORT,
 * RC_NOT_REGULAR. */
must_check enum rc package_kind(int fd, enum package_kind *ret, struct err *err);

/* Read the head and the envelope with pread (the offset of fd does not move).  RC_PACKAGE_FORMAT
 * for another magic (a delta package, too), an empty envelope or empty content, RC_SHORT if the
 * file ends inside the envelope, RC_TOO_LARGE above DOCUMENT_MAX or PACKAGE_MAX, RC_NOT_REGULAR for
 * anything but a plain file or memfd. */
must_check enum rc package_open(int fd, struct package *ret, struct err *err);

/* The same for a delta package. */
must_check enum rc package_open_delta(int fd, struct package *ret, struct err *err);

/* Free the envelope; harmless on a zeroed struct.  A scope cleaner. */
void package_done(struct package *package);

/* The fixed head for an envelope of n bytes, 1 to DOCUMENT_MAX. */
void package_head(enum package_kind kind, size_t n, uint8_t ret[PACKAGE_HEAD_SIZE]);

/* SHA-256 of n bytes of fd from offset at, read in bounded memory.  RC_SHORT. */
must_check enum rc package_digest(int fd, uint64_t at, uint64_t n, uint8_t ret[DIGEST_SIZE],
                                  struct err *err);

/* Whether the content_bytes from offset at on are those that the manifest names: by SHA-256, and by
 * SHA-384 where it names that, too.  RC_DIGEST_MISMATCH. */
must_check enum rc package_check_content(int fd, uint64_t at, const struct manifest *manifest,
                                         struct err *err);

/* The envelope as a view that lives as long as the package. */
static inline struct bytes package_envelope(const struct package *package)
{
    return (struct bytes){ .p = package->envelope, .n = package->envelope_bytes };
}

#endif
