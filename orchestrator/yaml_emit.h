/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/yaml_emit: what commands print with -o yaml: the tree that -o json prints.
 */
#ifndef BERTH_ORCHESTRATOR_YAML_EMIT_H
#define BERTH_ORCHESTRATOR_YAML_EMIT_H

#include <stdio.h>

#include "orchestrator/json.h"

#define YAML_EMIT_DEPTH 32U

/* Print one document.  Every text that a reader might take for a number, a truth value or nothing
 * stands in quotes.  False: nested deeper than YAML_EMIT_DEPTH, no memory, or out cannot be
 * written. */
must_check bool yaml_emit(const json_t *value, FILE *out);

#endif
