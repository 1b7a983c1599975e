/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_tcpcl: whatever a peer says, and however it is cut: the same comes of it,
 * and no bundle is larger than was agreed.  The first byte chooses the side, TLS, and what we send.
 */
#include <stdlib.h>

#include "link/tcpcl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MRU 2048U
#define ROUNDS_MAX (1U << 20)

struct run {
    struct tcpcl s;
    uint8_t buf[MRU];
    uint64_t said;   /* checksum of everything that went out */
    uint64_t events; /* and of what happened */
    size_t offers;   /* bundles that are still to be sent */
};

static void mix(uint64_t *sum, uint64_t value)
{
    *sum = (*sum ^ value) * UINT64_C(0x100000001b3);
}

static void drain(struct run *r)
{
    uint8_t out[512];
    size_t n;

    while ((n = tcpcl_output(&r->s, out, sizeof out, 0)) > 0)
        for (size_t i = 0; i < n; i++)
            mix(&r->said, out[i]);
}

static void offer(struct run *r)
{
    static const uint8_t bundle[100000];

    if (r->offers == 0 || !tcpcl_can_send(&r->s) || !tcpcl_fits(&r->s, sizeof bundle))
        return;
    /* A peer with tiny segments makes many of one bundle. */
    size_t n = r->s.peer_segment_mru < 1000 ? 100 : sizeof bundle;

    (void)tcpcl_send(&r->s, (struct bytes){ bundle, n }, 0);
    r->offers--;
}

static void answer(struct run *r, enum tcpcl_event event)
{
    if (event == TCPCL_STARTTLS) {
        tcpcl_secured(&r->s, 0);
    } else if (event == TCPCL_PEER) {
        if (strlen(r->s.peer_id) > TCPCL_NODE_ID_MAX)
            abort();
        tcpcl_admit(&r->s, r->buf, 0);
    } else if (event == TCPCL_BUNDLE) {
        if (r->s.received.n == 0 || r->s.received.n > MRU)
            abort();
        for (size_t i = 0; i < r->s.received.n; i++)
            mix(&r->events, r->s.received.p[i]);
        if (r->s.received.p[0] == 0xee)
            tcpcl_refuse(&r->s, TCPCL_REFUSE_NOT_ACCEPTABLE);
        else
            tcpcl_keep(&r->s);
        tcpcl_commit(&r->s);
    } else if (event == TCPCL_HELD) {
        abort(); /* everything is committed at once */
    }
}

static void feed(struct run *r, struct bytes in, size_t chunk)
{
    enum tcpcl_event event = TCPCL_NOTHING;
    uint64_t wait = 0;

    for (size_t round = 0; event != TCPCL_OVER; round++) {
        size_t n = in.n < chunk ? in.n : chunk;
        size_t used = 0;

        if (round > ROUNDS_MAX)
            abort(); /* neither input nor an answer moves it on */
        if (n > tcpcl_wants(&r->s))
            n = tcpcl_wants(&r->s);
        event = tcpcl_input(&r->s, (struct bytes){ in.p, n }, 0, &used);
        in = (struct bytes){ in.p + used, in.n - used };
        if (event != TCPCL_NOTHING && event != TCPCL_FULL)
            mix(&r->events, event);
        answer(r, event);
        /* What we send must not depend on how the input is cut. */
        if (chunk == 1 || event != TCPCL_NOTHING || in.n == 0)
            drain(r);
        if (event == TCPCL_NOTHING && in.n == 0)
            break;
    }
    mix(&r->events, (uint64_t)r->s.err.rc);
    tcpcl_tick(&r->s, UINT64_MAX / 2, &wait);
    drain(r);
}

static void begin(struct run *r, uint8_t how, size_t offers)
{
    const struct tcpcl_config config = { .active = (how & 1) != 0,
                                         .tls = (how & 2) != 0,
                                         .keepalive_s = 5,
                                         .patience_ms = 1000,
                                         .transfer_mru = MRU,
                                         .node_id = "ipn:1.0" };

    *r = (struct run){ .offers = offers };
    tcpcl_init(&r->s, &config, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, single;

    if (size == 0)
        return 0;
    begin(&whole, data[0], 0);
    begin(&single, data[0], 0);
    feed(&whole, (struct bytes){ data + 1, size - 1 }, SIZE_MAX);
    feed(&single, (struct bytes){ data + 1, size - 1 }, 1);
    if (whole.said != single.said || whole.events != single.events ||
        whole.s.err.rc != single.s.err.rc)
        abort();

    /* With bundles of our own under way, one piece of input after the other. */
    begin(&whole, data[0], data[0] >> 4);
    for (size_t at = 1; at < size && whole.s.state != TCPCL_STATE_OVER; at += 7) {
        struct bytes in = { data + at, size - at < 7 ? size - at : 7 };

        for (size_t used = 0; in.n > 0; in = (struct bytes){ in.p + used, in.n - used }) {
            size_t n = in.n < tcpcl_wants(&whole.s) ? in.n : tcpcl_wants(&whole.s);
            enum tcpcl_event event = tcpcl_input(&whole.s, (struct bytes){ in.p, n }, 0, &used);

            answer(&whole, event);
            offer(&whole);
            drain(&whole);
            if (event == TCPCL_OVER)
                break;
        }
    }
    return 0;
}
