/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of element sets: whatever is read is taken by the theory, or refused by it.
 */
#include "orchestrator/outlook.h"

#define TODAY_MS 1796040000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tle tle;
    struct sgp4 orbit;
    struct vec3 r;
    struct err err;

    if (outlook_tle((struct bytes){ data, size }, "sat.tle", &tle, &err) == RC_OK &&
        sgp4_init(&tle, &orbit, &err) == RC_OK) {
        (void)!sgp4_at(&orbit, 100.0, &r, NULL, &err);
        /* as a plan of today asks */
        (void)!sgp4_at(&orbit, (tle_days(TODAY_MS) - orbit.epoch_days) * 1440.0, &r, NULL, &err);
    }
    return 0;
}
