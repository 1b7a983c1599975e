/* SPDX-License-Identifier: Apache-2.0
 *
 * Contact plans of ION: whatever is read becomes contacts without a fault.
 */
#include "orchestrator/contact_find.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct contact_station station = { .node = 1, .antennas = 1 };
    static const struct contact_link link = { .setup_ms = 5000,
                                              .overhead_ppm = 50000,
                                              .goodput_ppm = 700000 };
    const struct contact_search s = {
        .station = &station, .n_stations = 1, .node = 101, .link = &link
    };
    struct contact_ion plan = { 0 };
    struct contacts list = { 0 };
    struct err err;

    if (contact_ion_read((struct bytes){ data, size }, "plan.ionrc", 0, &plan, &err) == RC_OK) {
        (void)!contact_import(&s, &plan, 0, SKY_SPAN_MAX_MS, &list, &err);
        for (size_t i = 0; i < list.n; i++)
            if (list.at[i].los_ms <= list.at[i].aos_ms || list.at[i].capacity > list.at[i].room)
                abort();
        (void)contact_ion_light(&plan, 1, 101, 1000);
    }
    contacts_free(&list);
    contact_ion_free(&plan);
    return 0;
}
