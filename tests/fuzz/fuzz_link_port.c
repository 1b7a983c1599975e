/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever the other process sends is refused, or is a message whose counts can be relied on.  The
 * first byte says who sends, and with how many descriptors.
 */
#include <stdlib.h>

#include "link/port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool key_is_odd(const struct port_key_id *id)
{
    return id->peer == 0 || id->epoch == 0 || strnlen(id->tenant, NAME_CAP) >= NAME_CAP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct port_message msg;
    uint32_t all = 0;
    struct err err;

    if (size == 0 || port_check((struct bytes){ data + 1, size - 1 }, (enum port_side)(data[0] & 1),
                                data[0] >> 7, &msg, &err) != RC_OK)
        return 0;
    if (msg.type == PORT_TRANSFERS) {
        for (uint32_t i = 0; i < msg.transfers.n_transfers; i++) {
            const struct transfer_status *t = &msg.transfers.transfer[i];

            for (uint32_t k = 0; k < t->n_missing; k++)
                all |= t->missing[k].first + t->missing[k].count > t->chunks ? 1 : 0;
        }
        all |= msg.transfers.n_complete > PORT_COMPLETE_MAX ? 1 : 0;
    }
    if (msg.type == PORT_EVENT && strlen(msg.event.what) >= sizeof msg.event.what)
        all = 1;
    if ((msg.type == PORT_REPORT || msg.type == PORT_BRIEF) && msg.report.n > REPORT_MAX)
        all = 1;
    if ((msg.type == PORT_KEY && key_is_odd(&msg.key.id)) ||
        (msg.type == PORT_KEY_HELD && key_is_odd(&msg.held.id)))
        all = 1;
    for (uint32_t i = 0; msg.type == PORT_KEYS && i < msg.keys.n; i++)
        all |= i >= PORT_KEYS_MAX || key_is_odd(&msg.keys.id[i]) ? 1 : 0;
    if (all != 0)
        abort();
    return 0;
}
