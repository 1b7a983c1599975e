/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/gzip.h"

#include <stdlib.h>

#include "delta/inflate.h"

#define HEAD_MIN 10U
#define TAIL 8U /* CRC-32 and size of the content, both little-endian */
#define METHOD_DEFLATE 8U

enum flags { FLAG_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_KNOWN = 31 };

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Behind the text with its NUL that begins at `at`; in.n + 1 when it does not end. */
static size_t behind_text(struct bytes in, size_t at)
{
    while (at < in.n && in.p[at] != 0)
        at++;
    return at + 1;
}

/* Size of the header; 0 when it is none. */
static size_t head_size(struct bytes file)
{
    size_t at = HEAD_MIN;

    if (file.n < HEAD_MIN || file.p[0] != 0x1f || file.p[1] != 0x8b ||
        file.p[2] != METHOD_DEFLATE || (file.p[3] & ~(unsigned)FLAGS_KNOWN))
        return 0;
    if (file.p[3] & FLAG_EXTRA) {
        if (file.n < at + 2)
            return 0;
        at += 2 + (size_t)(file.p[at] | file.p[at + 1] << 8);
    }
    if (file.p[3] & FLAG_NAME)
        at = behind_text(file, at);
    if (file.p[3] & FLAG_COMMENT)
        at = behind_text(file, at);
    if (file.p[3] & FLAG_CRC)
        at += 2;
    return at <= file.n && at <= GZIP_HEAD_MAX ? at : 0;
}

bool gzip_size(struct bytes file, uint64_t *ret, uint32_t *ret_head)
{
    size_t head = head_size(file);

    if (head == 0 || file.n - head < TAIL)
        return false;
    *ret = head + (uint64_t)le32(file.p + file.n - 4);
    *ret_head = (uint32_t)head;
    return true;
}

bool gzip_open(struct bytes file, uint8_t *out)
{
    uint64_t size = 0;
    uint32_t head = 0;

    if (!gzip_size(file, &size, &head))
        return false;
    memcpy(out, file.p, head);
    return inflate_whole((struct bytes){ file.p + head, file.n - head - TAIL }, out + head,
                         (size_t)(size - head));
}

/* ---- make ------------------------------------------------------------------------------------ */

struct gzip {
    struct deflate *deflate;
    struct block_sink sink;
    uint32_t head_left;
    uint32_t crc; /* inverted */
    uint32_t n;   /* bytes of content, modulo 2^32 */
};

enum rc gzip_new(const struct gzip_how *how, struct deflate_work *work,
                 const struct block_sink *sink, struct gzip **ret, struct err *err)
{
    const struct deflate_spec spec = {
        .style = how->style, .level = how->level, .work = work, .sink = *sink
    };
    scoped(gzip_free) struct gzip *g = calloc(1, sizeof *g);

    if (!g)
        return err_set(err, RC_NO_MEMORY, "gzip");
    g->sink = *sink;
    g->head_left = how->head;
    g->crc = UINT32_MAX;

    enum rc rc = deflate_new(&spec, &g->deflate, err);

    if (rc != RC_OK)
        return rc;
    *ret = g;
    g = NULL;
    return RC_OK;
}

void gzip_free(struct gzip **g)
{
    if (!*g)
        return;
    deflate_free(&(*g)->deflate);
    free(*g);
    *g = NULL;
}

/* CRC-32 as of RFC 1952, section 8, four bits at a time. */
static uint32_t crc_add(uint32_t crc, struct bytes in)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    for (size_t i = 0; i < in.n; i++) {
        crc ^= in.p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

enum rc gzip_add(struct gzip *g, struct bytes piece, struct err *err)
{
    uint32_t head = piece.n < g->head_left ? (uint32_t)piece.n : g->head_left;
    enum rc rc = RC_OK;

    if (head > 0)
        rc = g->sink.data(g->sink.arg, (struct bytes){ piece.p, head }, err);
    g->head_left -= head;
    piece = (struct bytes){ piece.p + head, piece.n - head };
    if (rc != RC_OK || piece.n == 0)
        return rc;
    g->crc = crc_add(g->crc, piece);
    g->n += (uint32_t)piece.n;
    return deflate_add(g->deflate, piece, err);
}

enum rc gzip_end(struct gzip *g, struct err *err)
{
    uint8_t tail[TAIL];
    enum rc rc = deflate_end(g->deflate, err);

    for (unsigned i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(~g->crc >> (8 * i));
        tail[4 + i] = (uint8_t)(g->n >> (8 * i));
    }
    return rc == RC_OK ? g->sink.data(g->sink.arg, (struct bytes){ tail, TAIL }, err) : rc;
}
