/* SPDX-License-Identifier: Apache-2.0
 *
 * link/frame: CCSDS transfer frames, for receivers that hand us frames instead of files: TC (CCSDS
 * 232.0-B) and TM (132.0-B), version 1 of each, and the packets that TM frames carry.
 *
 * Decoding copies and allocates nothing.  What a frame does not say about itself (whether it has an
 * error control field, segment headers, its length in TM) is managed: the caller knows it, per
 * virtual channel.  Every length is compared before it is subtracted; a frame that is not exactly
 * as long as it says is refused.  Security is link/sdls's business: where it is used, its header
 * and trailer are part of the data here.
 */
#ifndef BERTH_LINK_FRAME_H
#define BERTH_LINK_FRAME_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/packet.h"

#define TC_FRAME_MAX 1024U /* bytes, 232.0-B section 4.1.1.2 */
#define TC_HEADER 5U
#define TM_HEADER 6U
#define TM_FRAME_MAX 2048U /* 132.0-B section 4.1.1.4 */
#define FRAME_FECF 2U      /* bytes of a frame error control field */

/* CRC-16 of the frame error control field: 0x1021, preset to ones, not reflected (232.0-B section
 * 4.1.4.2).  "123456789" is 0x29b1. */
uint16_t frame_crc(struct bytes data);

struct tc_params {
    bool fecf;    /* frames end in an error control field */
    bool segment; /* data frames of this channel begin with a segment header */
};

struct tc_frame {
    uint16_t spacecraft; /* 10 bits */
    uint8_t channel;     /* virtual channel, 6 bits */
    uint8_t sequence;
    bool bypass;           /* not counted by FARM: type B */
    bool control;          /* carries a control command instead of data */
    enum packet_part part; /* of the segment; PACKET_WHOLE without segment headers */
    uint8_t map;           /* multiplexer access point, 6 bits; 0 without segment headers */
    struct bytes head;     /* primary header and segment header */
    struct bytes data;     /* what is between them and the error control field; not empty */
};

/* Decode one frame that fills in.  RC_SHORT, RC_TRAILING or RC_TOO_LARGE: its length is not what it
 * says, or not possible; RC_FRAME: version, spare bits, a control command that is counted, or no
 * data; RC_FRAME_CRC.  ret is filled on success only. */
must_check enum rc tc_decode(struct bytes in, const struct tc_params *params, struct tc_frame *ret,
                             struct err *err);

struct tm_params {
    size_t length; /* of every frame of the physical channel, TM_HEADER + 1 to TM_FRAME_MAX */
    bool fecf;
};

#define TM_NO_PACKET 0x7ffU /* first header pointer: no packet begins in this frame */
#define TM_IDLE 0x7feU      /* the data only fills */

struct tm_frame {
    uint16_t spacecraft;
    uint8_t channel; /* virtual channel, 3 bits */
    uint8_t master_count;
    uint8_t channel_count;
    bool synchronous; /* octets instead of packets: first is 0 */
    uint16_t first;   /* offset in data of the first packet header, or TM_NO_PACKET or TM_IDLE */
    struct bytes secondary; /* data of the secondary header, empty without one */
    struct bytes ocf;       /* operational control field, 4 bytes or empty */
    struct bytes head;      /* primary and secondary header */
    struct bytes data;
};

/* Decode one frame that fills in, as tc_decode does.  RC_FRAME also when the first packet header
 * would lie behind the data.  With link/sdls in between, first counts from behind the security
 * header: pass room for it in `before`, 0 without. */
must_check enum rc tm_decode(struct bytes in, const struct tm_params *params, size_t before,
                             struct tm_frame *ret, struct err *err);

/* The packets of one virtual channel, put together from its frames.  Memory is buf, whatever comes.
 * All zero is the start. */
struct tm_packets {
    size_t n;     /* bytes of a packet that has begun, in buf */
    bool follows; /* next_count is known */
    uint8_t next_count;
    uint64_t lost_frames;  /* gaps in the channel's count, modulo 256 each */
    uint64_t lost_packets; /* packets that began and did not end, or were no packets */
    uint8_t buf[PACKET_MAX];
};

/* Take the data of the channel's next frame (after security was undone, if there is any) and hand
 * every packet that is whole to sink: idle ones not, and those without a route not (*tally counts).
 * What cannot belong together is dropped and counted, never joined: after a gap in the count, and
 * where the frame's first packet does not begin where the one before ends, all is dropped up to the
 * next header that the frame points at.  RC_OK, or what sink said: the frame is used up then. */
must_check enum rc tm_packets_take(struct tm_packets *packets, const struct tm_frame *frame,
                                   const struct packet_routes *routes,
                                   const struct packet_sink *sink, struct packet_tally *tally,
                                   struct err *err);

#endif
