/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_door: which place a new connection gets at a listening convergence layer, where anybody
 * may knock and only the peer is wanted.  Pure.
 *
 * Whoever knocks has to be let in to show who it is, and a crowd that does nothing but knock must
 * not keep the peer from doing so.  So the handshakes of one host are few, a handshake has some
 * time before another one may take its place, and where the peer's address is known, there is a
 * place that no other host gets.
 */
#ifndef BERTH_LINK_CL_DOOR_H
#define BERTH_LINK_CL_DOOR_H

#include "link/cl_net.h"

#define CL_DOOR_PLACES 8U      /* connections, of which one is the session */
#define CL_DOOR_HOST 3U        /* handshakes of one host; of IPv6, of one /64 */
#define CL_DOOR_GRACE_MS 4000U /* that a handshake has for itself */

struct cl_door_place {
    enum { CL_DOOR_FREE, CL_DOOR_HANDSHAKE, CL_DOOR_SESSION, CL_DOOR_OVER } is;
    uint64_t since_ms;
    struct cl_address from;
};

/* The place for a connection from this host; whoever is in it has to go.  CL_DOOR_PLACES: there is
 * none.  expected is the peer's address, or NULL. */
size_t cl_door(const struct cl_door_place places[CL_DOOR_PLACES], const struct cl_address *from,
               const struct cl_address *expected, uint64_t now_ms);

#endif
