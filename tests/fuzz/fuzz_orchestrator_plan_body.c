/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plan_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The first byte is the kind; what is taken keeps its bounds, and its names name nothing but a file
 * of one directory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(plan_body_done) struct plan_body body = { 0 };
    struct err err;
    size_t total = 0;

    if (size == 0 || size > 65536)
        return 0;
    const enum plan_body_kind kind = (enum plan_body_kind)(data[0] % (PLAN_DELEGATION + 1U));
    enum rc rc = plan_body_read(kind, (struct bytes){ data + 1, size - 1 }, &body, &err);

    if (rc != RC_OK) {
        must(err.rc == rc && body.n == 0 && !body.file);
        return 0;
    }
    must(body.n <= PLAN_FILES_MAX && body.columns >= -1 && body.columns <= PLAN_COLUMNS_MAX);
    must((kind == PLAN_ASK) == (body.fleet != NULL));
    for (size_t i = 0; i < body.n; i++) {
        const struct plan_file *file = &body.file[i];

        total += file->n;
        must(file->bytes != NULL);
        if (kind == PLAN_DELEGATION)
            continue;
        must(plan_name_valid(file->name) && !strchr(file->name, '/') && file->name[0] != '.');
        must(kind != PLAN_GIVE || file->n <= SIGNATURE_FILE_MAX);
    }
    must(total <= size);
    return 0;
}
