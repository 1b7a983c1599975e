/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_serve: the connections of one payload to its bus.  Runs in berth-bus, which has given
 * up everything but the two descriptors; whatever a payload does here it does to its own bus.
 *
 * What it may cost is bounded in one place: so many turns of the loop in a second, each with one
 * read for each of a few connections, and so many requests.  Who sends faster is slowed down, and
 * then cut off.
 */
#ifndef BERTH_AGENT_BUS_SERVE_H
#define BERTH_AGENT_BUS_SERVE_H

#include "base/err.h"

#define BUS_CONNECTIONS_MAX 8U
#define BUS_REQUEST_MS 5000U /* from a request's first byte to its last, and for an answer */
#define BUS_IDLE_MS 5000U    /* without a request on a connection; without a connection at all */
#define BUS_TURNS_S 100U     /* of the loop in a second, and as many saved up */
#define BUS_REQUESTS_S 50U
#define BUS_REQUESTS_BURST 200U
#define BUS_ANSWER_MS 60000U /* berthd answers within this, or is beyond help */

/* Serve until nobody calls any more (RC_OK) or berthd is gone (RC_SHORT); else what went wrong. */
must_check enum rc bus_serve(int listen_fd, int berthd_fd, struct err *err);

#endif
