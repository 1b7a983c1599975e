/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines as the platform might send them, one after the other, into one table.
 */
#include <stdlib.h>

#include "agent/inputs.h"
#include "base/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct inputs_table *t)
{
    if (t->n_passes > INPUT_PASSES_MAX || (t->station[0] != '\0' && !name_valid(t->station)))
        abort();
    for (uint32_t i = 0; i < t->n_passes; i++)
        if (!name_valid(t->pass[i].station) || t->pass[i].start_s >= t->pass[i].end_s ||
            (i > 0 && t->pass[i - 1].start_s > t->pass[i].start_s))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct inputs_table t;
    uint64_t now = 0;

    t = (struct inputs_table){ 0 };
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) + 1 : size;
        struct input in;
        struct err err = { 0 };

        if (input_parse((struct bytes){ .p = data, .n = n }, &in, &err) == RC_OK)
            (void)!inputs_take(&t, &in, now, now, &err);
        check(&t);
        now += 10;
        data += n;
        size -= n;
    }
    return 0;
}
