/* SPDX-License-Identifier: Apache-2.0
 *
 * Fleet files: what is read can be exported, and is read again.
 */
#include "orchestrator/fleet.h"

#include <stdlib.h>

#define EXPORTED_MAX 4096U /* a large fleet may grow beyond what is read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct fleet *fleet)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct fleet *again = NULL;
    json_t *exported = fleet_export(fleet);
    char *text = json_dumps(exported, JSON_INDENT(1));
    struct err err;

    if (!text || yaml_parse(bytes_of(text), "again.yaml", &doc, &err) != RC_OK ||
        fleet_read(doc, "again.yaml", &again, &err) != RC_OK)
        abort();
    free(text);
    json_decref(exported);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    if (yaml_parse((struct bytes){ data, size }, "fleet.yaml", &doc, &err) == RC_OK &&
        fleet_read(doc, "fleet.yaml", &fleet, &err) == RC_OK && size < EXPORTED_MAX)
        read_again(fleet);
    return 0;
}
