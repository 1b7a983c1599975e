/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read is within the walls, whatever it was read from. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_config *c = calloc(1, sizeof *c);
    struct err err;

    if (c == NULL)
        abort();
    if (oci_config_read((struct bytes){ .p = data, .n = size }, c, &err) == RC_OK) {
        bool proc = false;
        bool dev = false;

        for (size_t i = 0; i < c->n_mounts; i++) {
            const struct oci_mount *m = &c->mounts[i];

            if (!oci_path_valid(m->path) || strcmp(m->path, "/") == 0 ||
                (m->kind == OCI_MOUNT_BIND && !oci_path_valid(m->source)))
                abort();
            proc = proc || m->kind == OCI_MOUNT_PROC;
            dev = dev || (m->kind == OCI_MOUNT_DEV && strcmp(m->path, "/dev") == 0);
        }
        if (!proc || !dev || c->oom_score < 0 || c->n_rlimits > OCI_RLIMITS_MAX ||
            (c->caps[OCI_BOUNDING] & 1ULL << 21) != 0 || /* SYS_ADMIN */
            (c->caps[OCI_AMBIENT] & ~c->caps[OCI_BOUNDING]) != 0 ||
            (c->has_process && c->n_args == 0) ||
            (c->uids.count != 0 && c->uids.host < OCI_MAP_MIN))
            abort();
    }
    oci_config_done(c);
    free(c);
    return 0;
}
