/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/image: what a container image says about itself: which layers, and how to start it.
 *
 * Two forms: index.json and oci-layout (OCI image-spec 1.1; also what Docker 25 and later saves),
 * else manifest.json (older `docker save`).  The documents come from a stranger: bounded in size
 * and depth, no key twice, and every blob is what its digest says before it is read.
 */
#ifndef BERTH_ORCHESTRATOR_IMAGE_H
#define BERTH_ORCHESTRATOR_IMAGE_H

#include "manifest/doc.h"
#include "orchestrator/image_file.h"
#include "update/pack_layer.h"

#define IMAGE_JSON_MAX (1024U * 1024U)
#define IMAGE_DEPTH_MAX 32U /* arrays and objects in each other */
#define IMAGE_NAME_CAP 256U
#define IMAGE_NOTES_MAX 16U

/* How the image wants to be started, as far as a payload can be. */
struct image_start {
    uint32_t n_args; /* Entrypoint, then Cmd */
    char args[PAYLOAD_ARGS_MAX][PAYLOAD_ARG_CAP];
    uint32_t n_env;
    char env[PAYLOAD_ENV_MAX][PAYLOAD_ARG_CAP];
    char dir[IMAGE_NAME_CAP]; /* WorkingDir, "" = none */
};

/* Large: keep it on the heap. */
struct image {
    struct image_start start;
    uint32_t n_layers;
    struct image_layer {
        char name[IMAGE_NAME_CAP]; /* of the blob */
        struct digest blob;        /* of the blob as it is; all zero = only the next is known */
        struct digest plain;       /* of the blob decompressed */
        uint64_t n;                /* of the blob, when its digest is known */
    } layer[MERGE_LAYERS_MAX];
    uint32_t n_notes; /* fields of the config that a payload cannot have and goes without */
    const char *note[IMAGE_NOTES_MAX];
};

/* Which image of the file. */
struct image_want {
    const char *arch; /* as in manifests: "x86_64", "aarch64" */
    const char *tag;  /* "" = there is one only */
};

/* Read the documents into *ret, which must be zeroed.  RC_IMAGE_FORMAT, RC_IMAGE_CHOICE,
 * RC_IMAGE_CONFIG (arguments or variables beyond a manifest's limits), RC_ARCH, RC_NOT_FOUND for a
 * blob that is not there, RC_DIGEST_MISMATCH, RC_TOO_LARGE. */
must_check enum rc image_read(const struct image_file *file, const struct image_want *want,
                              struct image *ret, struct err *err);

/* Check each layer's blob against its digest and add it to the tree. */
must_check enum rc image_layers(const struct image_file *file, const struct image *image,
                                struct merge *merge, struct spool *spool, struct err *err);

#endif
