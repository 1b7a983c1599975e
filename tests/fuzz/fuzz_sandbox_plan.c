/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan as it comes over the socket: whatever the bytes, checking reads nothing outside, and what
 * it lets through can be printed.
 */
#include "sandbox/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct plan plan = { 0 };

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "we");
    memcpy(&plan, data, size < sizeof plan ? size : sizeof plan);
    if (plan_check(&plan, NULL) != RC_OK || nowhere == NULL)
        return 0;
    plan_print(&plan, nowhere);
    plan_print_json(&plan, nowhere);
    return 0;
}
