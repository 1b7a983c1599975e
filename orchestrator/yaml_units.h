/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/yaml_units: numbers as people write them, "64M", "1.5s", "50%", exactly: decimal
 * fractions are integers scaled by a power of ten, never floating point.
 */
#ifndef BERTH_ORCHESTRATOR_YAML_UNITS_H
#define BERTH_ORCHESTRATOR_YAML_UNITS_H

#include <stdbool.h>
#include <stdint.h>

enum yaml_unit {
    YAML_UNIT_NONE,     /* 12 */
    YAML_UNIT_SIZE,     /* 64M: bytes */
    YAML_UNIT_TIME,     /* 5s: milliseconds */
    YAML_UNIT_SHARE,    /* 0.5, 50%, 500m: permille */
    YAML_UNIT_FRACTION, /* 0.2, 20%: parts per million */
    YAML_UNIT_ORBITS,   /* 3 orbits, 1 orbit */
};

/* False, and *ret untouched, when the text is no number of this unit, does not fit into 64 bits, or
 * is finer than the unit can say. */
bool yaml_unit_parse(enum yaml_unit unit, const char *text, uint64_t *ret);

/* "a size such as 64M", and " bytes". */
const char *yaml_unit_help(enum yaml_unit unit);
const char *yaml_unit_name(enum yaml_unit unit);

#endif
