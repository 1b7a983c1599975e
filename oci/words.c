/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/words.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_LAST 64

bool oci_word(const struct oci_word *table, const char *word, int64_t *ret)
{
    for (; table->word != NULL; table++) {
        if (strcmp(table->word, word) == 0) {
            *ret = table->number;
            return true;
        }
    }
    return false;
}

const char *oci_word_name(const struct oci_word *table, int64_t number)
{
    for (; table->word != NULL; table++) {
        if (table->number == number)
            return table->word;
    }
    return "?";
}

bool oci_signal(const char *text, int *ret)
{
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;

    for (int i = 1; i < NSIG; i++) {
        const char *abbreviated = sigabbrev_np(i);

        if (abbreviated != NULL && strcmp(abbreviated, name) == 0) {
            *ret = i;
            return true;
        }
    }
    size_t n = strspn(text, "0123456789");
    long number = n == 0 || n > 2 || text[n] != '\0' ? 0 : strtol(text, NULL, 10);

    if (number < 1 || number > SIGNAL_LAST)
        return false;
    *ret = (int)number;
    return true;
}
