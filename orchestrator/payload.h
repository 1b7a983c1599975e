/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/payload: payload.yaml, the file in which a tenant says what its payload is.
 *
 * Written by the tenant, read on the tenant's own machine; strict so that a mistyped limit is an
 * error and not a default.
 */
#ifndef BERTH_ORCHESTRATOR_PAYLOAD_H
#define BERTH_ORCHESTRATOR_PAYLOAD_H

#include "manifest/doc.h"
#include "orchestrator/yaml.h"

#define PAYLOAD_FILE "payload.yaml"
#define PAYLOAD_COPIES_MAX 256U
#define PAYLOAD_PATH_CAP 512U

/* A file of the ground machine that goes into the package. */
struct payload_copy {
    char from[PAYLOAD_PATH_CAP]; /* absolute, or relative to the directory of payload.yaml */
    char to[PAYLOAD_PATH_CAP];   /* absolute path inside the package */
    bool libs;                   /* bring the shared libraries that it needs, and its interpreter */
};

/* A container image that becomes the package (orchestrator/image_build). */
struct payload_image {
    char file[PAYLOAD_PATH_CAP]; /* absolute, or relative to the directory of payload.yaml; "" =
                                    none */
    char tag[PAYLOAD_PATH_CAP];  /* which of several, "" = there is one */
    bool strip_setuid;           /* else files with set-user-id and the like are refused */
};

/* A whole payload.yaml.  Large: keep it on the heap.  In manifest everything that packing finds out
 * (digest, sizes, number of files) is still zero. */
struct payload_spec {
    struct manifest manifest;
    char root[PAYLOAD_PATH_CAP]; /* directory relative to that of payload.yaml, "" = none */
    struct payload_image image;  /* then root and copy are empty, and manifest.args may be */
    uint32_t n_copies;
    struct payload_copy copy[PAYLOAD_COPIES_MAX];
};

/* Read it into *ret, which must be zeroed and may be used after RC_OK only; arch is this machine's
 * unless the file names one. */
must_check enum rc payload_read(const struct yaml *doc, struct payload_spec *ret, struct err *err);

/* The keys of resources, for lists of what is allowed. */
#define RESOURCE_NAMES                                                                             \
    "memory", "cpu", "pids", "data", "tmp", "files", "memory-high", "cpu-weight", "io-weight",     \
        "io-read", "io-write", "file-size", "shm", "data-files", "tmp-files", "log-per-hour",      \
        "inbox", "outbox", "outbox-per-day", "run-per-orbit", "core", "logs", "logs-per-pass"

/* The resources in a map, as manifests and quotas have them. */
void resources_read(struct yaml_in *r, const struct yaml_node *map, struct resources *ret);

/* What a payload asks for beside amounts (calls, network, devices ...), and how it lives (kind,
 * schedule, restart, after, modes, freeze). */
void wants_read(struct yaml_in *r, const struct yaml_node *top, struct manifest *m);
void life_read(struct yaml_in *r, const struct yaml_node *top, struct manifest *m);

/* What payloads may ask for, of a quota: calls, networks, interfaces, devices, net-rate,
 * inner-root, modes, vm, peers. */
void allowance_read(struct yaml_in *r, const struct yaml_node *map, struct allowance *ret);

#endif
