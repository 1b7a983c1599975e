/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be used: checked names and servers, whole paths, a current one that is there.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct contexts *all = calloc(1, sizeof *all);
    struct err err = { 0 };

    if (all && contexts_parse((struct bytes){ data, size }, all, &err) == RC_OK) {
        if (all->n > CONTEXTS_MAX || (all->current[0] != '\0' && !contexts_find(all, all->current)))
            abort();
        for (size_t i = 0; i < all->n; i++)
            if (context_check(&all->context[i], &err) != RC_OK ||
                server_url_check(all->context[i].server, &err) != RC_OK)
                abort();
        json_decref(contexts_json(all));
    }
    free(all);
    return 0;
}
