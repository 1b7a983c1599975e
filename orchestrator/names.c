/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum rc names_make(struct names *names, uint32_t max, struct err *err)
{
    size_t slots = 2;

    assert(max <= UINT32_MAX / 4);
    while (slots < 2 * (size_t)max)
        slots *= 2;
    struct names made = { .max = max, .mask = (uint32_t)(slots - 1) };

    made.slot = calloc(slots, sizeof *made.slot);
    made.text = calloc((size_t)max + 1, sizeof *made.text);
    *names = made;
    return made.slot && made.text ? RC_OK : err_set(err, RC_NO_MEMORY, "names");
}

void names_done(struct names *names)
{
    free(names->slot);
    free(names->text);
    *names = (struct names){ 0 };
}

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261U; /* FNV-1a */

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619U;
    return h ^ (h >> 16);
}

/* Where it is, or the free slot where it would be. */
static uint32_t *slot_of(const struct names *names, const char *text)
{
    uint32_t at = hash(text) & names->mask;

    while (names->slot[at] != 0 && strcmp(names->text[names->slot[at] - 1], text) != 0)
        at = (at + 1) & names->mask;
    return &names->slot[at];
}

uint32_t names_put(struct names *names, const char *text)
{
    uint32_t *slot = slot_of(names, text);

    if (*slot == 0) {
        assert(names->n < names->max);
        names->text[names->n++] = text;
        *slot = names->n;
    }
    return *slot - 1;
}

uint32_t names_find(const struct names *names, const char *text)
{
    const uint32_t slot = names->slot ? *slot_of(names, text) : 0;

    return slot == 0 ? NAMES_NONE : slot - 1;
}
