/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/image_build: from a container image to package content and the manifest's start.
 *
 * The image comes from whoever built it and is never unpacked on this machine: its layers are
 * merged in memory (update/merge), the files' bytes wait in one unnamed file.
 */
#ifndef BERTH_ORCHESTRATOR_IMAGE_BUILD_H
#define BERTH_ORCHESTRATOR_IMAGE_BUILD_H

#include "orchestrator/payload.h"
#include "update/pack.h"

#define IMAGE_BUILD_NOTES_MAX 24U
#define IMAGE_BUILD_NOTE_CAP 320U

/* What people should know: what of the image a payload goes without. */
struct image_notes {
    uint32_t n;
    char note[IMAGE_BUILD_NOTES_MAX][IMAGE_BUILD_NOTE_CAP];
};

/* Write the content of spec->image to content_fd.  base is the directory of payload.yaml; files'
 * bytes wait on its disk.  In spec->manifest the image's arguments stand in where `exec` is
 * missing, and its variables where `env` does not set them.  The codes of image_read, image_layers
 * and pack_list; RC_IMAGE_CONFIG where the image cannot start as it says; RC_ENTRY_POINT. */
must_check enum rc image_build(const char *base, struct payload_spec *spec, unsigned level,
                               int content_fd, struct packed *ret, struct image_notes *notes,
                               struct err *err);

#endif
