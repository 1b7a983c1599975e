/* SPDX-License-Identifier: Apache-2.0 */
#include "link/packet.h"

void packet_routes_init(struct packet_routes *routes)
{
    memset(routes->of, PACKET_NO_ROUTE, sizeof routes->of);
}

enum rc packet_routes_add(struct packet_routes *routes, uint32_t first, uint32_t last,
                          uint32_t route, struct err *err)
{
    if (first > last || last >= PACKET_IDLE || route >= PACKET_ROUTES)
        return err_set(err, RC_VALUE, "APIDs %u to %u for route %u", first, last, route);
    for (uint32_t apid = first; apid <= last; apid++)
        if (routes->of[apid] != PACKET_NO_ROUTE && routes->of[apid] != route)
            return err_set(err, RC_EXISTS, "APID %u has route %u", apid, routes->of[apid]);
    memset(routes->of + first, (int)route, last - first + 1);
    return RC_OK;
}

enum rc packet_walk(const struct packet_routes *routes, struct bytes in,
                    const struct packet_sink *sink, struct packet_tally *tally, size_t *ret_used,
                    struct err *err)
{
    size_t at = 0;
    enum rc rc = RC_OK;

    while (rc == RC_OK && at < in.n) {
        struct packet packet;

        rc = packet_decode((struct bytes){ in.p + at, in.n - at }, &packet);
        if (rc == RC_SHORT) {
            rc = RC_OK;
            break;
        }
        if (rc != RC_OK) {
            rc = err_at(err, rc, at, "space packet");
            break;
        }
        size_t n = PACKET_HEADER + packet.data.n;
        uint8_t route = packet_route(routes, &packet);

        if (route < PACKET_ROUTES) {
            rc = sink->take(sink->arg, route, &packet, err);
            if (rc != RC_OK)
                break;
            tally->packets[route]++;
            tally->bytes[route] += n;
        } else if (packet.apid == PACKET_IDLE) {
            tally->idle++;
        } else {
            tally->unrouted++;
        }
        at += n;
    }
    *ret_used = at;
    return rc;
}
