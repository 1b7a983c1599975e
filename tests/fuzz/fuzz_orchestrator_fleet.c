/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    if (yaml_parse((struct bytes){ data, size }, "fleet.yaml", &doc, &err) == RC_OK)
        (void)!fleet_read(doc, "fleet.yaml", &fleet, &err);
    return 0;
}
