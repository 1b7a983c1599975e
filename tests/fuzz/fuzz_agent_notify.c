/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notify n;

    notify_parse((struct bytes){ .p = data, .n = size }, &n);
    return strnlen(n.status, sizeof n.status) < sizeof n.status ? 0 : -1;
}
