/* SPDX-License-Identifier: Apache-2.0 */
#include "link/pcapng.h"

#define BLOCK_SECTION 0x0a0d0d0aU
#define BLOCK_INTERFACE 1U
#define BLOCK_PACKET 6U /* enhanced packet block */
#define BYTE_ORDER 0x1a2b3c4dU
#define LINK_UPPER_PDU 252U
#define OPTION_COMMENT 1U
#define OPTION_FLAGS 2U   /* of a packet: the lowest two bits are the direction */
#define TAG_DISSECTOR 12U /* of an upper PDU; its tags are big-endian */
#define DISSECTOR "bpv7"

/* A place to write into; full is sticky. */
struct out {
    uint8_t *p;
    size_t cap;
    size_t n;
    bool full;
};

static void put(struct out *w, const void *p, size_t n)
{
    if (w->full || n > w->cap - w->n) {
        w->full = true;
        return;
    }
    if (n > 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

static void put_le(struct out *w, size_t n, uint64_t v)
{
    uint8_t b[8];

    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    put(w, b, n);
}

static void put_be(struct out *w, size_t n, uint64_t v)
{
    uint8_t b[8];

    bytes_put_be(b, n, v);
    put(w, b, n);
}

/* Up to the next 32 bits. */
static void pad(struct out *w)
{
    static const uint8_t zero[3] = { 0 };

    put(w, zero, (4 - w->n % 4) % 4);
}

/* A block has its length before and behind what it holds. */
static size_t begin_block(struct out *w, uint32_t type)
{
    size_t start = w->n;

    put_le(w, 4, type);
    put_le(w, 4, 0);
    return start;
}

static void end_block(struct out *w, size_t start)
{
    size_t n = w->n + 4 - start;

    put_le(w, 4, n);
    if (w->full)
        return;
    for (size_t i = 0; i < 4; i++)
        w->p[start + 4 + i] = (uint8_t)(n >> (8 * i));
}

static enum rc done(const struct out *w, struct bytes *ret, struct err *err)
{
    if (w->full)
        return err_set(err, RC_NO_ROOM, "capture");
    *ret = (struct bytes){ w->p, w->n };
    return RC_OK;
}

enum rc pcapng_begin(uint8_t *buf, size_t cap, struct bytes *ret, struct err *err)
{
    struct out w = { .p = buf, .cap = cap };
    size_t start = begin_block(&w, BLOCK_SECTION);

    put_le(&w, 4, BYTE_ORDER);
    put_le(&w, 2, 1); /* version 1.0 */
    put_le(&w, 2, 0);
    put_le(&w, 8, UINT64_MAX); /* length of the section is not known */
    end_block(&w, start);
    start = begin_block(&w, BLOCK_INTERFACE);
    put_le(&w, 2, LINK_UPPER_PDU);
    put_le(&w, 2, 0);
    put_le(&w, 4, 0); /* no limit on the length of a packet */
    end_block(&w, start);
    return done(&w, ret, err);
}

/* The options of a packet: which way it went, and where it was. */
static void put_options(struct out *w, const struct pcapng_record *record)
{
    size_t n = record->comment ? strnlen(record->comment, PCAPNG_COMMENT_MAX) : 0;

    if (n > 0) {
        put_le(w, 2, OPTION_COMMENT);
        put_le(w, 2, n);
        put(w, record->comment, n);
        pad(w);
    }
    put_le(w, 2, OPTION_FLAGS);
    put_le(w, 2, 4);
    put_le(w, 4, record->direction);
    put_le(w, 4, 0); /* end of options */
}

enum rc pcapng_bundle(const struct pcapng_record *record, uint8_t *buf, size_t cap,
                      struct bytes *ret, struct err *err)
{
    const size_t tags = 4 + sizeof DISSECTOR - 1 + 4;
    struct out w = { .p = buf, .cap = cap };
    size_t start = begin_block(&w, BLOCK_PACKET);

    put_le(&w, 4, 0); /* the one interface */
    put_le(&w, 4, record->unix_us >> 32);
    put_le(&w, 4, record->unix_us & UINT32_MAX);
    put_le(&w, 4, tags + record->bundle.n);
    put_le(&w, 4, tags + record->bundle.n);
    put_be(&w, 2, TAG_DISSECTOR);
    put_be(&w, 2, sizeof DISSECTOR - 1);
    put(&w, DISSECTOR, sizeof DISSECTOR - 1);
    put_be(&w, 4, 0); /* end of tags */
    put(&w, record->bundle.p, record->bundle.n);
    pad(&w);
    put_options(&w, record);
    end_block(&w, start);
    return done(&w, ret, err);
}
