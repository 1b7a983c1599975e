/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/words: small tables from words of a config.json to numbers of the kernel.
 */
#ifndef BERTH_OCI_WORDS_H
#define BERTH_OCI_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* Ends with a NULL word. */
struct oci_word {
    const char *word;
    int64_t number;
};

/* False, and *ret left alone, for a word that is not in the table. */
bool oci_word(const struct oci_word *table, const char *word, int64_t *ret);

/* The first word for a number; "?" for one that is not in the table. */
const char *oci_word_name(const struct oci_word *table, int64_t number);

/* A signal by name, with or without SIG, or by number from 1 to 64.  False for none. */
bool oci_signal(const char *text, int *ret);

#endif
