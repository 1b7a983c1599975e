/* SPDX-License-Identifier: Apache-2.0
 *
 * Ephemerides: whatever is read has rising times, and its path can be asked anywhere.
 */
#include "orchestrator/contact_oem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oem oem = { 0 };
    struct err err;

    if (oem_read((struct bytes){ data, size }, "sat.oem", &oem, &err) != RC_OK)
        return 0;
    struct sky_path path = oem_path(&oem);

    for (size_t i = 0; i < oem.n && i < 1000; i++) {
        struct vec3 r, v;

        if (i > 0 && oem.state[i].at_ms <= oem.state[i - 1].at_ms)
            abort();
        (void)!path.at(path.of, tle_days(oem.state[i].at_ms) + 0.0001, &r, &v, &err);
    }
    oem_free(&oem);
    return 0;
}
