/* SPDX-License-Identifier: Apache-2.0
 *
 * link/status: what the ground has of the objects that come down, as a message of the link
 * (docs/wire/transfer.cddl).  Up there no report carries it, so it is a message of its own.  It is
 * authentic and not trusted: checked as berthd checks what berth-link says.
 */
#ifndef BERTH_LINK_STATUS_H
#define BERTH_LINK_STATUS_H

#include "link/port.h"

#define STATUS_TYPE 5U /* beside those of link/transfer */
#define STATUS_MAX                                                                                 \
    (PORT_COMPLETE_MAX * 36U + PORT_TRANSFERS_MAX * (64U + PORT_RANGES_MAX * 11U) + 64U)

/* Whether a message is one, by its type. */
bool status_is(struct bytes message);

/* Decode one that fills in: RC_TRANSFER_FORMAT or a CBOR code, and *ret is untouched.  What a
 * status does not say (traffic) is zero. */
must_check enum rc status_decode(struct bytes in, struct port_transfers *ret, struct err *err);

/* Encode into buf; STATUS_MAX is always enough. */
must_check enum rc status_encode(const struct port_transfers *status, uint8_t *buf, size_t cap,
                                 struct bytes *ret, struct err *err);

#endif
