/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/draft: NAME-VERSION.unsigned, a package that nobody has signed yet.
 *
 *     "BERTHUN1" || u32be manifest bytes || manifest CBOR || content
 *
 * Another magic than a package's, so that one can never be taken for the other.  It travels from
 * the machine that builds to the machine that has the key; signing decodes the manifest again.
 */
#ifndef BERTH_ORCHESTRATOR_DRAFT_H
#define BERTH_ORCHESTRATOR_DRAFT_H

#include "manifest/doc.h"

#define DRAFT_MAGIC "BERTHUN1"
#define DRAFT_HEAD_SIZE 12U
#define DRAFT_SUFFIX ".unsigned"
#define DRAFT_FILE_MAX (DRAFT_HEAD_SIZE + DOCUMENT_MAX + PACKAGE_MAX)

/* An opened draft.  draft_done frees the manifest's bytes (scope cleaner). */
struct draft {
    uint8_t *manifest_cbor;
    size_t manifest_bytes;
    uint64_t content_at;
    uint64_t content_bytes;
};

/* Write head and manifest; the content follows at once. */
must_check enum rc draft_write_head(int fd, struct bytes manifest_cbor, struct err *err);

/* Open one: form, and that the content is what the manifest says (size and digest), so that nobody
 * signs a damaged file.  RC_PACKAGE_FORMAT for another magic. */
must_check enum rc draft_open(int fd, struct draft *ret, struct manifest *ret_manifest,
                              struct err *err);
void draft_done(struct draft *draft);

#endif
