/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/yaml_units.h"

#include <stddef.h>
#include <string.h>

/* value = number * times */
struct suffix {
    const char *text;
    uint64_t times;
};

static const struct unit {
    const char *help;
    const char *name;
    struct suffix suffix[8];
} units[] = {
    [YAML_UNIT_NONE] = { "a number", "", { { "", 1 } } },
    [YAML_UNIT_SIZE] = { "a size such as 64M",
                         " bytes",
                         { { "", 1 },
                           { "B", 1 },
                           { "K", 1024 },
                           { "M", UINT64_C(1) << 20 },
                           { "G", UINT64_C(1) << 30 } } },
    [YAML_UNIT_TIME] = { "a time such as 5s",
                         " ms",
                         { { "ms", 1 },
                           { "s", 1000 },
                           { "m", 60000 },
                           { "h", 3600000 },
                           { "d", 86400000 } } },
    [YAML_UNIT_SHARE] = { "a share such as 0.5 or 50%",
                          " permille",
                          { { "", 1000 }, { "%", 10 }, { "m", 1 } } },
    [YAML_UNIT_FRACTION] = { "a fraction such as 0.2 or 20%",
                             " parts per million",
                             { { "", 1000000 }, { "%", 10000 } } },
    [YAML_UNIT_ORBITS] = { "a time such as 3h, or a number of orbits: 3 orbits",
                           " orbits",
                           { { " orbits", 1 }, { " orbit", 1 } } },
};

/* Digits with at most six behind a point: value / scale.  NULL if there are none.
 */
static const char *parse_decimal(const char *p, uint64_t *ret_value, uint64_t *ret_scale)
{
    uint64_t value = 0, scale = 1;
    bool point = false, digits = false;

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && !point && digits); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        digits = true;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return NULL;
        if (point)
            scale *= 10;
        if (scale > UINT64_C(1000000))
            return NULL;
    }
    if (!digits || p[-1] == '.')
        return NULL;
    *ret_value = value;
    *ret_scale = scale;
    return p;
}

bool yaml_unit_parse(enum yaml_unit unit, const char *text, uint64_t *ret)
{
    const struct suffix *suffix = units[unit].suffix;
    uint64_t value = 0, scale = 1;
    const char *rest = parse_decimal(text, &value, &scale);

    if (!rest)
        return false;
    if (value == 0 && *rest == '\0') {
        *ret = 0;
        return true;
    }
    while (suffix->text && strcmp(suffix->text, rest) != 0)
        suffix++;
    if (!suffix->text || __builtin_mul_overflow(value, suffix->times, &value))
        return false;
    if (value % scale != 0)
        return false;
    *ret = value / scale;
    return true;
}

const char *yaml_unit_help(enum yaml_unit unit)
{
    return units[unit].help;
}

const char *yaml_unit_name(enum yaml_unit unit)
{
    return units[unit].name;
}
