/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/image_parts: shared by the files of orchestrator/image, and by nothing else.
 */
#ifndef BERTH_ORCHESTRATOR_IMAGE_PARTS_H
#define BERTH_ORCHESTRATOR_IMAGE_PARTS_H

#include "orchestrator/image.h"
#include "orchestrator/json.h"

/* A blob named by its digest and size (OCI image-spec, descriptor.md). */
struct descriptor {
    char name[IMAGE_NAME_CAP]; /* "blobs/sha256/HEX" */
    struct digest digest;
    uint64_t n;
    const char *type; /* mediaType, "" if there is none; lives as long as the JSON */
};

/* Parse a JSON document of at most IMAGE_JSON_MAX bytes.  The caller owns *ret. */
must_check enum rc image_json(struct bytes in, const char *what, json_t **ret, struct err *err);

/* The same from a blob; digest = NULL: not known. */
must_check enum rc image_load(const struct image_file *file, const char *name,
                              const struct digest *digest, uint64_t n, json_t **ret,
                              struct err *err);

void image_json_done(json_t **value);

/* Read a descriptor.  RC_IMAGE_FORMAT. */
must_check enum rc image_descriptor(const json_t *value, struct descriptor *ret, struct err *err);

/* "sha256:HEX". */
bool image_digest(const json_t *value, struct digest *ret);

/* The config: the platform, the layers' digests decompressed (there must be ret->n_layers), how to
 * start. */
must_check enum rc image_config(const json_t *config, const char *arch, struct image *ret,
                                struct err *err);

#endif
