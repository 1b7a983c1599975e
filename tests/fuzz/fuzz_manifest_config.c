/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "manifest/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_config config;
    uint8_t buf[CONFIG_MAX];
    struct bytes in = { .p = data, .n = size };
    struct bytes out = { 0 };
    struct err err;

    if (config_decode(in, &config, &err) != RC_OK)
        return 0;
    if (config_encode(&config, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    return 0;
}
