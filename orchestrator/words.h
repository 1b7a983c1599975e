/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/words: a described document (orchestrator/describe) as text for people: a sentence
 * that says what it does, then its fields with dates, sizes and names instead of bare numbers.
 * Fields that this file does not know are printed all the same.
 */
#ifndef BERTH_ORCHESTRATOR_WORDS_H
#define BERTH_ORCHESTRATOR_WORDS_H

#include "orchestrator/json.h"

/* The text, lines ending in '\n'; NULL when memory is out.  The caller frees it. */
char *words_of(const json_t *value);

#endif
