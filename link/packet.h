/* SPDX-License-Identifier: Apache-2.0
 *
 * link/packet: CCSDS Space Packets (CCSDS 133.0-B): decode, and find whose they are by APID.
 *
 * The hot path of a payload computer, so it is inline, copies nothing and allocates nothing; a
 * struct packet is a view into the input.  Nothing in a packet is authenticated: who may send what
 * is the business of the link that it came over.  The length field is compared with what is there
 * before a byte behind the header is believed to exist.
 */
#ifndef BERTH_LINK_PACKET_H
#define BERTH_LINK_PACKET_H

#include "base/bytes.h"
#include "base/err.h"

#define PACKET_HEADER 6U /* bytes of the primary header */
#define PACKET_MAX                                                                                 \
    (PACKET_HEADER + (1U << 16)) /* largest packet; the smallest has one byte more                 \
                                    than its header */
#define PACKET_APIDS 2048U
#define PACKET_IDLE 2047U    /* APID of packets that only fill */
#define PACKET_COUNTS 16384U /* sequence counts, modulo */

/* Which part of a user's data unit (section 4.1.3.4.2). */
enum packet_part {
    PACKET_MIDDLE = 0,
    PACKET_FIRST = 1,
    PACKET_LAST = 2,
    PACKET_WHOLE = 3,
};

struct packet {
    uint16_t apid;
    uint16_t count; /* sequence count, or a command's name: 14 bits */
    enum packet_part part;
    bool command;      /* telecommand, else telemetry */
    bool secondary;    /* the data begins with a secondary header */
    struct bytes data; /* packet data field, 1 to 65536 bytes, secondary header included */
};

/* The first packet of in, which may be followed by others; it takes PACKET_HEADER + ret->data.n
 * bytes.  RC_SHORT: not all of it is there; RC_PACKET: another version than 1 (bits 000), or an
 * idle packet with a secondary header (section 4.1.3.3.3).  ret is filled on success only. */
/*@ requires \valid(ret) && (in.n > 0 ==> \valid_read(in.p + (0 .. in.n - 1)));
    requires \separated(ret, in.p + (0 .. in.n - 1));
    assigns *ret;
    ensures \result == RC_OK || \result == RC_SHORT || \result == RC_PACKET;
    ensures \result != RC_OK ==> *ret == \old(*ret);
    ensures \result == RC_OK ==> ret->data.p == in.p + PACKET_HEADER;
    ensures \result == RC_OK ==> 1 <= ret->data.n <= in.n - PACKET_HEADER;
    ensures \result == RC_OK ==> ret->data.n <= 65536; */
must_check static inline enum rc packet_decode(struct bytes in, struct packet *ret)
{
    if (in.n < PACKET_HEADER)
        return RC_SHORT;
    /* One load and one swap for the compiler, which the loop of bytes_get_be is not. */
    uint32_t head = (uint32_t)in.p[0] << 24 | (uint32_t)in.p[1] << 16 | (uint32_t)in.p[2] << 8 |
                    (uint32_t)in.p[3];
    size_t n = (size_t)in.p[4] * 256 + (size_t)in.p[5] + 1;
    uint16_t apid = head >> 16 & 0x7ff;
    bool secondary = (head >> 27 & 1) != 0;

    if (head >> 29 != 0 || (apid == PACKET_IDLE && secondary))
        return RC_PACKET;
    if (in.n - PACKET_HEADER < n)
        return RC_SHORT;
    ret->apid = apid;
    ret->count = head & 0x3fff;
    ret->part = (enum packet_part)(head >> 14 & 3);
    ret->command = (head >> 28 & 1) != 0;
    ret->secondary = secondary;
    ret->data = (struct bytes){ .p = in.p + PACKET_HEADER, .n = n };
    return RC_OK;
}

#define PACKET_ROUTES 64U /* whose packets may be told apart: one for every tenant */
#define PACKET_NO_ROUTE 0xffU

/* Who gets the packets of an APID. */
struct packet_routes {
    uint8_t of[PACKET_APIDS]; /* a route below PACKET_ROUTES, or PACKET_NO_ROUTE */
};

/* No APID has a route. */
void packet_routes_init(struct packet_routes *routes);

/* Give the APIDs first to last to a route.  RC_VALUE: not first <= last < PACKET_IDLE, or no such
 * route; RC_EXISTS: one of them is another's.  A refusal changes nothing. */
must_check enum rc packet_routes_add(struct packet_routes *routes, uint32_t first, uint32_t last,
                                     uint32_t route, struct err *err);

static inline uint8_t packet_route(const struct packet_routes *routes, const struct packet *packet)
{
    return routes->of[packet->apid % PACKET_APIDS];
}

/* What a walk over packets has seen. */
struct packet_tally {
    uint64_t packets[PACKET_ROUTES]; /* by route */
    uint64_t bytes[PACKET_ROUTES];   /* headers included */
    uint64_t idle;                   /* packets that only fill */
    uint64_t unrouted;               /* packets that nobody is to get */
};

/* One packet for somebody, as the walk hands it over; an error ends the walk. */
struct packet_sink {
    enum rc (*take)(void *arg, uint8_t route, const struct packet *packet, struct err *err);
    void *arg;
};

/* Walk over packets that follow each other, hand those that have a route to sink, and add to
 * *tally.  *ret_used is where the walk ended: behind the last whole packet, or before the one that
 * is refused.  RC_OK: at the end of in, or before a packet that is not all there yet (*ret_used <
 * in.n); RC_PACKET: what follows is no packet, and where the next one begins cannot be known; else
 * what sink said. */
must_check enum rc packet_walk(const struct packet_routes *routes, struct bytes in,
                               const struct packet_sink *sink, struct packet_tally *tally,
                               size_t *ret_used, struct err *err);

#endif
