/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/names: texts that are numbered as they come, each once: finding one does not become
 * slower with how many there are.  Ground only; the texts are the caller's and outlive it.
 */
#ifndef BERTH_ORCHESTRATOR_NAMES_H
#define BERTH_ORCHESTRATOR_NAMES_H

#include "base/err.h"

#define NAMES_NONE UINT32_MAX

/* All zero has room for none. */
struct names {
    uint32_t n;
    uint32_t max;
    uint32_t mask;     /* of slots: a power of two, at most half of them used */
    uint32_t *slot;    /* number + 1; 0 = free */
    const char **text; /* by number */
};

/* Room for max texts.  End with names_done (scope cleaner). */
must_check enum rc names_make(struct names *names, uint32_t max, struct err *err);
void names_done(struct names *names);

/* The number of a text, which is given one if it has none; there must be room. */
uint32_t names_put(struct names *names, const char *text);

/* The number of a text, NAMES_NONE if it has none. */
uint32_t names_find(const struct names *names, const char *text);

#endif
