/* SPDX-License-Identifier: Apache-2.0
 *
 * update/verify: from a package that anyone may have sent to a payload that its tenant signed.
 *
 * struct verified_payload exists only after the tenant's signatures held under its grant and the
 * content matched size and digest of the signed manifest; or its size only, and then berth-unpack
 * holds it against the digest before it looks into it.  It holds the descriptor that was checked,
 * and unpacking takes nothing else: what was verified is what is used.
 */
#ifndef BERTH_UPDATE_VERIFY_H
#define BERTH_UPDATE_VERIFY_H

#include "manifest/trust.h"

struct verified_payload; /* opaque */

/* A delta package whose manifest its tenant signed, and no more than that: of the delta behind it
 * nothing has been looked at, so it is a type of its own and cannot be unpacked as a payload is.
 * Its files are believed when berth-unpack has made them and found the manifest's index digest. */
struct verified_delta; /* opaque */

/* Verify the package in fd.  fd must be one that nobody else can write: a sealed memfd, or a plain
 * file with one link that belongs to this user or root and that group and others cannot write
 * (RC_NOT_REGULAR).  Besides package_open's and trust_verify_manifest's codes: RC_PACKAGE_SIZE,
 * RC_DIGEST_MISSING (an all-zero digest), RC_DIGEST_MISMATCH.  fd stays the caller's; the payload
 * keeps a duplicate. */
must_check enum rc payload_verify(const struct trust *trust, int fd, uint64_t now_ms,
                                  struct verified_payload **ret, struct err *err);

/* The same but for the content, of which only the size is held against the manifest here: reading
 * it all takes long, and berth-unpack does that, whole and before it makes anything of it
 * (RC_DIGEST_MISMATCH in its verdict). */
must_check enum rc payload_verify_signed(const struct trust *trust, int fd, uint64_t now_ms,
                                         struct verified_payload **ret, struct err *err);

/* Whether the content has been read and is the one that was signed. */
bool payload_content_read(const struct verified_payload *payload);

/* Free the payload and close its descriptor.  Takes the address, a scope cleaner. */
void payload_free(struct verified_payload **payload);

/* Views that live as long as the payload. */
const struct verified_manifest *payload_verified(const struct verified_payload *payload);
const struct manifest *payload_manifest(const struct verified_payload *payload);
const struct digest *payload_digest(const struct verified_payload *payload); /* of the manifest */
struct bytes payload_envelope(const struct verified_payload *payload);

/* Where the content is: the descriptor (not the caller's to close; read it with pread) and the
 * offset of its first byte. */
int payload_fd(const struct verified_payload *payload);
uint64_t payload_content_at(const struct verified_payload *payload);

/* Verify the delta package in fd, up to its manifest; which files fd may be and who owns it is as
 * above.  Besides package_open_delta's and trust_verify_manifest's codes: RC_DIGEST_MISSING if the
 * manifest names no index, RC_PACKAGE_SIZE, RC_ARCHIVE_BOMB and RC_ARCHIVE_COUNT for sizes that no
 * full package may have either. */
must_check enum rc delta_verify(const struct trust *trust, int fd, uint64_t now_ms,
                                struct verified_delta **ret, struct err *err);

/* Free it and close its descriptor.  Takes the address, a scope cleaner. */
void delta_free(struct verified_delta **delta);

/* Views that live as long as it does. */
const struct verified_manifest *delta_verified(const struct verified_delta *delta);
const struct manifest *delta_manifest(const struct verified_delta *delta);
const struct digest *delta_digest(const struct verified_delta *delta); /* of the manifest */
struct bytes delta_envelope(const struct verified_delta *delta);

/* Where the delta is: descriptor, offset and size in bytes. */
int delta_fd(const struct verified_delta *delta);
uint64_t delta_at(const struct verified_delta *delta);
uint64_t delta_bytes(const struct verified_delta *delta);

/* The index digest of the tree that the delta claims to start from.  A hint for who looks for that
 * tree: nobody signed it.  RC_DELTA_FORMAT; RC_INDEX_MISMATCH if it claims to end in another tree
 * than the manifest's. */
must_check enum rc delta_base(const struct verified_delta *delta, struct digest *ret,
                              struct err *err);

/* Copy a package of at most PACKAGE_FILE_MAX bytes from any readable plain file into a sealed
 * memfd, for payload_verify and delta_verify: the ground's way to look at a file that others may
 * write. */
must_check enum rc payload_seal(int fd, int *ret_fd, struct err *err);

#endif
