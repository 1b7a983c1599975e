/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the order in force splits into an item and the rest, and loses nothing.
 */
#include "agent/staged.h"
#include "base/statefile.h"
#include "tests/fuzz/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(order_file_done) struct order_file file = { 0 };
    struct bytes in = { data, size };
    struct err err;

    if (size > ORDER_FILE_MAX)
        return 0;
    if (statefile_renew(place(), ORDER_FILE, in, &err) != RC_OK)
        abort();
    if (order_file_load(place(), &file, &err) != RC_OK)
        return 0;
    if (file.order.n == 0 || file.order.n + file.token.n != size ||
        memcmp(file.buf, data, size) != 0 || file.token.p != file.order.p + file.order.n)
        abort();
    return 0;
}
