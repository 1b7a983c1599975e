/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nesting.h"

bool nesting_within(struct bytes json, unsigned int max)
{
    unsigned int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < json.n; i++) {
        uint8_t c = json.p[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > max)
            return false;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}
