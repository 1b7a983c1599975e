/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_console: the web console's files, which are part of the program.
 */
#ifndef BERTH_ORCHESTRATOR_API_CONSOLE_H
#define BERTH_ORCHESTRATOR_API_CONSOLE_H

#include "base/bytes.h"

struct api_file {
    const char *path; /* "/console.js" */
    const char *type; /* media type */
    struct bytes content;
};

/* The file that a path names, or NULL. */
const struct api_file *api_console_file(const char *path);

/* docs/wire/openapi.json. */
struct bytes api_console_openapi(void);

#endif
