/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_frame: space packets, TC and TM frames, packets out of TM frames, SDLS.  The
 * first two bytes are what is managed; views never leave the input, and no packet is made of more
 * bytes than came in.
 */
#include <stdlib.h>

#include "link/frame.h"
#include "link/sdls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct bytes whole, struct bytes part)
{
    if (part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
        abort();
}

static enum rc take(void *arg, uint8_t route, const struct packet *packet, struct err *err)
{
    size_t *left = arg;

    (void)err;
    if (route != 1 || packet->data.n + PACKET_HEADER > *left)
        abort();
    *left -= packet->data.n + PACKET_HEADER;
    return RC_OK;
}

static void packets(const struct packet_routes *routes, struct bytes in)
{
    size_t left = in.n;
    size_t used = 0;
    const struct packet_sink sink = { take, &left };
    struct packet_tally tally = { 0 };

    (void)!packet_walk(routes, in, &sink, &tally, &used, NULL);
    if (used > in.n)
        abort();
}

static void secure(uint8_t *buf, struct bytes head, struct bytes data, uint8_t how)
{
    const struct sdls_association a = { .spi = 9,
                                        .service =
                                            (how & 1) != 0 ? SDLS_ENCRYPT : SDLS_AUTHENTICATE,
                                        .sequence_size = how >> 1 & 7U,
                                        .pad_size = how >> 4 & 1U };
    struct sdls_opened opened;

    if (sdls_open(buf, head, data, &a, &opened, NULL) == RC_OK)
        inside(data, opened.data);
}

static void tc(const uint8_t *data, size_t size, uint8_t managed, uint8_t how)
{
    const struct tc_params params = { .fecf = (managed & 1) != 0, .segment = (managed & 2) != 0 };
    static uint8_t buf[TC_FRAME_MAX + 1];
    size_t n = size < sizeof buf ? size : sizeof buf;
    const struct bytes in = { buf, n };
    struct tc_frame f;

    memcpy(buf, data, n);
    if (tc_decode(in, &params, &f, NULL) != RC_OK)
        return;
    inside(in, f.head);
    inside(in, f.data);
    secure(buf, f.head, f.data, how);
}

/* The input as TM frames of one length, one behind the other. */
static void tm(const struct packet_routes *routes, const uint8_t *data, size_t size,
               uint8_t managed, uint8_t how)
{
    static struct tm_packets state;
    static uint8_t buf[TM_FRAME_MAX];
    const struct tm_params params = { .length = 8U + (managed >> 2), .fecf = (managed & 1) != 0 };
    size_t left = size;
    const struct packet_sink sink = { take, &left };
    struct packet_tally tally = { 0 };

    memset(&state, 0, sizeof state);
    for (size_t at = 0; at + params.length <= size; at += params.length) {
        const struct bytes in = { buf, params.length };
        struct tm_frame f;

        memcpy(buf, data + at, params.length);
        if (tm_decode(in, &params, how & 15, &f, NULL) != RC_OK)
            continue;
        inside(in, f.head);
        inside(in, f.secondary);
        inside(in, f.ocf);
        inside(in, f.data);
        (void)!tm_packets_take(&state, &f, routes, &sink, &tally, NULL);
        if (state.n > sizeof state.buf)
            abort();
        secure(buf, f.head, f.data, how);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet_routes routes;

    if (size < 2)
        return 0;
    packet_routes_init(&routes);
    if (packet_routes_add(&routes, 0, 1023, 1, NULL) != RC_OK)
        abort();
    packets(&routes, (struct bytes){ data + 2, size - 2 });
    tc(data + 2, size - 2, data[0], data[1]);
    tm(&routes, data + 2, size - 2, data[0], data[1]);
    return 0;
}
