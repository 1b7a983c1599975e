/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/suggest: "did you mean ...?" for mistyped names.
 */
#ifndef BERTH_ORCHESTRATOR_SUGGEST_H
#define BERTH_ORCHESTRATOR_SUGGEST_H

#include <stddef.h>

#define SUGGEST_LEN_MAX 40U

/* Edits (insert, delete, replace, swap of neighbours) from a to b; SUGGEST_LEN_MAX if either is
 * longer than that. */
size_t suggest_distance(const char *a, const char *b);

/* The candidate of a NULL-terminated list that is nearest to word, if it is near enough to be
 * meant; else NULL. */
const char *suggest_nearest(const char *word, const char *const *candidates);

#endif
