/* SPDX-License-Identifier: Apache-2.0 */
#include "link/frame.h"

#define TM_SECONDARY_MAX 64U /* bytes of a secondary header */
#define TM_OCF 4U

uint16_t frame_crc(struct bytes data)
{
    uint32_t r = 0xffff;

    for (size_t i = 0; i < data.n; i++) {
        r ^= (uint32_t)data.p[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++)
            r = (r << 1 ^ ((r & 0x8000) != 0 ? 0x1021U : 0)) & 0xffff;
    }
    return (uint16_t)r;
}

/* Check and cut off the error control field; in has more bytes than it. */
static enum rc take_fecf(struct bytes *in, struct err *err)
{
    struct bytes body = { in->p, in->n - FRAME_FECF };

    if (frame_crc(body) != bytes_get_be(in->p + body.n, FRAME_FECF))
        return err_at(err, RC_FRAME_CRC, body.n, "frame error control field");
    *in = body;
    return RC_OK;
}

/* ---- TC ---- */

static enum rc tc_length(struct bytes in, size_t least, struct err *err)
{
    if (in.n < TC_HEADER)
        return err_at(err, RC_SHORT, in.n, "TC frame header");
    size_t n = (size_t)(bytes_get_be(in.p + 2, 2) & 0x3ff) + 1;

    if (in.n > TC_FRAME_MAX)
        return err_at(err, RC_TOO_LARGE, TC_FRAME_MAX, "TC frame of %zu bytes", in.n);
    if (n < least)
        return err_at(err, RC_SHORT, 2, "TC frame says %zu bytes, %zu are the least", n, least);
    if (n != in.n)
        return err_at(err, n > in.n ? RC_SHORT : RC_TRAILING, 2,
                      "TC frame says %zu bytes, there are %zu", n, in.n);
    return RC_OK;
}

enum rc tc_decode(struct bytes in, const struct tc_params *params, struct tc_frame *ret,
                  struct err *err)
{
    size_t least = TC_HEADER + 1U + (params->fecf ? FRAME_FECF : 0);
    struct bytes body = in;
    enum rc rc = tc_length(in, least, err);

    if (rc == RC_OK && params->fecf)
        rc = take_fecf(&body, err);
    if (rc != RC_OK)
        return rc;
    struct tc_frame f = { .bypass = (in.p[0] & 0x20) != 0,
                          .control = (in.p[0] & 0x10) != 0,
                          .spacecraft = (uint16_t)(bytes_get_be(in.p, 2) & 0x3ff),
                          .channel = in.p[2] >> 2,
                          .sequence = in.p[4],
                          .part = PACKET_WHOLE,
                          .head = { in.p, TC_HEADER } };

    if ((in.p[0] & 0xcc) != 0)
        return err_at(err, RC_FRAME, 0, "version or spare bits");
    if (f.control && !f.bypass)
        return err_at(err, RC_FRAME, 0, "control command that asks to be counted");
    if (params->segment && !f.control) {
        if (body.n < TC_HEADER + 2)
            return err_at(err, RC_SHORT, TC_HEADER, "no data behind the segment header");
        f.part = (enum packet_part)(in.p[TC_HEADER] >> 6);
        f.map = in.p[TC_HEADER] & 0x3f;
        f.head.n++;
    }
    f.data = (struct bytes){ body.p + f.head.n, body.n - f.head.n };
    *ret = f;
    return RC_OK;
}

/* ---- TM ---- */

/* The secondary header behind the primary one: its first byte has its version and its length. */
static enum rc tm_secondary(struct bytes body, struct tm_frame *f, struct err *err)
{
    if (body.n < TM_HEADER + 1)
        return err_at(err, RC_SHORT, TM_HEADER, "secondary header");
    uint8_t id = body.p[TM_HEADER];
    size_t n = (size_t)(id & 0x3f) + 1;

    if (id >> 6 != 0 || n < 2 || n > TM_SECONDARY_MAX)
        return err_at(err, RC_FRAME, TM_HEADER, "secondary header");
    if (n > body.n - TM_HEADER)
        return err_at(err, RC_SHORT, TM_HEADER, "secondary header of %zu bytes", n);
    f->secondary = (struct bytes){ body.p + TM_HEADER + 1, n - 1 };
    f->head.n += n;
    return RC_OK;
}

/* Data field status: what the first header pointer means, and that it leads into the data. */
static enum rc tm_status(uint32_t status, size_t before, struct tm_frame *f, struct err *err)
{
    bool ordered = (status & 0x2000) != 0;
    size_t room = f->data.n < before ? 0 : f->data.n - before;

    f->synchronous = (status & 0x4000) != 0;
    f->first = f->synchronous ? 0 : (uint16_t)(status & 0x7ff);
    if (f->synchronous)
        return RC_OK;
    if (ordered || (status & 0x1800) != 0x1800)
        return err_at(err, RC_FRAME, 4, "packet order or segment length bits");
    if (f->first < TM_IDLE && f->first >= room)
        return err_at(err, RC_FRAME, 4, "first packet at %u of %zu bytes", f->first, room);
    return RC_OK;
}

/* What lies between the headers and the error control field: data, and perhaps an OCF. */
static enum rc tm_body(struct bytes body, bool ocf, struct tm_frame *f, struct err *err)
{
    size_t tail = ocf ? TM_OCF : 0;

    if (body.n < f->head.n + tail + 1)
        return err_at(err, RC_SHORT, f->head.n, "no data in a TM frame");
    f->data = (struct bytes){ body.p + f->head.n, body.n - f->head.n - tail };
    f->ocf = (struct bytes){ body.p + body.n - tail, tail };
    return RC_OK;
}

enum rc tm_decode(struct bytes in, const struct tm_params *params, size_t before,
                  struct tm_frame *ret, struct err *err)
{
    struct bytes body = in;

    if (params->length > TM_FRAME_MAX ||
        params->length < TM_HEADER + 1U + (params->fecf ? FRAME_FECF : 0))
        return err_set(err, RC_VALUE, "TM frames of %zu bytes", params->length);
    if (in.n != params->length)
        return err_at(err, in.n < params->length ? RC_SHORT : RC_TRAILING, in.n,
                      "TM frames have %zu bytes here", params->length);
    enum rc rc = params->fecf ? take_fecf(&body, err) : RC_OK;

    if (rc != RC_OK)
        return rc;
    uint32_t id = (uint32_t)bytes_get_be(in.p, 2);
    uint32_t status = (uint32_t)bytes_get_be(in.p + 4, 2);
    struct tm_frame f = { .spacecraft = (uint16_t)(id >> 4 & 0x3ff),
                          .channel = (uint8_t)(id >> 1 & 7),
                          .master_count = in.p[2],
                          .channel_count = in.p[3],
                          .head = { in.p, TM_HEADER } };

    if (id >> 14 != 0)
        return err_at(err, RC_FRAME, 0, "version");
    if ((status & 0x8000) != 0)
        rc = tm_secondary(body, &f, err);
    if (rc == RC_OK)
        rc = tm_body(body, (id & 1) != 0, &f, err);
    if (rc == RC_OK)
        rc = tm_status(status, before, &f, err);
    if (rc == RC_OK)
        *ret = f;
    return rc;
}

/* ---- packets out of TM frames ---- */

static void drop_begun(struct tm_packets *p)
{
    if (p->n > 0)
        p->lost_packets++;
    p->n = 0;
}

/* Bytes that the packet in buf has in all; 0 = not known yet. */
static size_t begun_size(const struct tm_packets *p)
{
    return p->n < PACKET_HEADER ? 0 : PACKET_HEADER + (size_t)bytes_get_be(p->buf + 4, 2) + 1;
}

/* Append what belongs to the packet that has begun.  ends: the frame says that it ends there. */
static enum rc continue_begun(struct tm_packets *p, struct bytes more, bool ends,
                              const struct packet_routes *routes, const struct packet_sink *sink,
                              struct packet_tally *tally, struct err *err)
{
    size_t used;

    if (p->n == 0)
        return RC_OK;
    if (more.n > sizeof p->buf - p->n) {
        drop_begun(p);
        return RC_OK;
    }
    if (more.n > 0)
        memcpy(p->buf + p->n, more.p, more.n);
    p->n += more.n;
    size_t size = begun_size(p);

    if (p->n == size) {
        struct bytes whole = { p->buf, p->n };
        struct packet packet;

        if (packet_decode(whole, &packet) != RC_OK) {
            drop_begun(p);
            return RC_OK;
        }
        p->n = 0;
        return packet_walk(routes, whole, sink, tally, &used, err);
    }
    if (ends || (size > 0 && p->n > size))
        drop_begun(p);
    return RC_OK;
}

/* The packets that begin in the frame; what is left of the last one waits in buf. */
static enum rc begin_packets(struct tm_packets *p, struct bytes data,
                             const struct packet_routes *routes, const struct packet_sink *sink,
                             struct packet_tally *tally, struct err *err)
{
    size_t used = 0;
    enum rc rc = packet_walk(routes, data, sink, tally, &used, err);
    struct bytes rest = { data.p + used, data.n - used };
    struct packet packet;

    if (rest.n == 0)
        return rc;
    if (packet_decode(rest, &packet) == RC_PACKET) {
        p->lost_packets++;
        return RC_OK;
    }
    if (rc == RC_OK) {
        memcpy(p->buf, rest.p, rest.n);
        p->n = rest.n;
    }
    return rc;
}

enum rc tm_packets_take(struct tm_packets *packets, const struct tm_frame *frame,
                        const struct packet_routes *routes, const struct packet_sink *sink,
                        struct packet_tally *tally, struct err *err)
{
    size_t begin = frame->first == TM_NO_PACKET ? frame->data.n : frame->first;
    uint8_t gap = (uint8_t)(frame->channel_count - packets->next_count);

    if (frame->synchronous)
        return err_set(err, RC_FRAME, "a channel of octets has no packets");
    if (frame->data.n > TM_FRAME_MAX || (frame->first != TM_IDLE && begin > frame->data.n))
        return err_set(err, RC_FRAME, "first packet behind the data");
    if (packets->follows && gap != 0) {
        packets->lost_frames += gap;
        drop_begun(packets);
    }
    packets->follows = true;
    packets->next_count = (uint8_t)(frame->channel_count + 1);
    if (frame->first == TM_IDLE) {
        drop_begun(packets);
        return RC_OK;
    }
    struct bytes old = { frame->data.p, begin };
    struct bytes new = { frame->data.p + begin, frame->data.n - begin };
    enum rc rc =
        continue_begun(packets, old, frame->first != TM_NO_PACKET, routes, sink, tally, err);

    return rc == RC_OK ? begin_packets(packets, new, routes, sink, tally, err) : rc;
}
