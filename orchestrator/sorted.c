/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sorted.h"

#include <string.h>

size_t sorted_place(const void *list, size_t n, const char *(*name)(const void *list, size_t i),
                    const char *text)
{
    size_t low = 0, high = n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (strcmp(name(list, middle), text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
