/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sorted: finding a text in a list that is sorted by one.
 */
#ifndef BERTH_ORCHESTRATOR_SORTED_H
#define BERTH_ORCHESTRATOR_SORTED_H

#include <stddef.h>

/* Where the first of n is whose text is not less than `text`: it, or where it would be; n = behind
 * all.  name: the text of number i of the list, borrowed. */
size_t sorted_place(const void *list, size_t n, const char *(*name)(const void *list, size_t i),
                    const char *text);

#endif
