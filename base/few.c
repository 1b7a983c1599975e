/* SPDX-License-Identifier: Apache-2.0 */
#include "base/few.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

void few_variables(char *ret[FEW_MAX + 1])
{
    static const char *const names[FEW_MAX] = { "JOURNAL_STREAM=", "ASAN_OPTIONS=",
                                                "UBSAN_OPTIONS=", "LSAN_OPTIONS=" };
    size_t n = 0;

    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < FEW_MAX; i++)
            if (n < FEW_MAX && strncmp(*e, names[i], strlen(names[i])) == 0)
                ret[n++] = *e;
    ret[n] = NULL;
}
