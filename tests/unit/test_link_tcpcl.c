/* SPDX-License-Identifier: Apache-2.0
 *
 * link/tcpcl: one side of a session against bytes from anybody, and two sides against each other.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "link/tcpcl.h"

#define MRU 4096U
#define LOG_CAP 65536U

/* One side, and everything that came of it. */
struct end {
    struct tcpcl s;
    uint8_t buf[MRU];
    uint64_t now_ms;
    size_t n_out;
    uint8_t out[LOG_CAP]; /* what it sent */
    size_t n_events;
    uint8_t events[LOG_CAP];
    size_t n_bundles;
    size_t bundle_bytes;
    size_t n_done;
    bool over;
    size_t n_pipe;
    uint8_t pipe[700]; /* on the way to it */
};

static void end_init(struct end *e, bool active, bool tls)
{
    const struct tcpcl_config config = { .active = active,
                                         .tls = tls,
                                         .keepalive_s = 10,
                                         .patience_ms = 5000,
                                         .transfer_mru = MRU,
                                         .node_id = active ? "ipn:1.0" : "ipn:2.0" };

    memset(e, 0, sizeof *e);
    tcpcl_init(&e->s, &config, 0);
}

static void drain(struct end *e)
{
    size_t n;

    do {
        n = tcpcl_output(&e->s, e->out + e->n_out, sizeof e->out - e->n_out, e->now_ms);
        e->n_out += n;
        assert_true(e->n_out < sizeof e->out);
    } while (n > 0);
}

static void answer(struct end *e, enum tcpcl_event event)
{
    if (event != TCPCL_FULL && event != TCPCL_HELD && event != TCPCL_NOTHING) {
        assert_true(e->n_events < sizeof e->events);
        e->events[e->n_events++] = (uint8_t)event;
    }
    switch (event) {
    case TCPCL_STARTTLS:
        tcpcl_secured(&e->s, e->now_ms);
        break;
    case TCPCL_PEER:
        tcpcl_admit(&e->s, e->buf, e->now_ms);
        break;
    case TCPCL_BUNDLE:
        e->n_bundles++;
        e->bundle_bytes += e->s.received.n;
        tcpcl_keep(&e->s);
        tcpcl_commit(&e->s);
        break;
    case TCPCL_DONE:
        e->n_done++;
        break;
    case TCPCL_HELD:
        tcpcl_commit(&e->s);
        break;
    case TCPCL_OVER:
        e->over = true;
        break;
    case TCPCL_NOTHING:
    case TCPCL_REFUSED:
    case TCPCL_FULL:
        break;
    }
}

/* Give it bytes, so many at once. */
static void feed(struct end *e, struct bytes in, size_t chunk)
{
    while (!e->over) {
        size_t n = in.n < chunk ? in.n : chunk;
        size_t used = 0;
        enum tcpcl_event event;

        if (n > tcpcl_wants(&e->s))
            n = tcpcl_wants(&e->s);
        event = tcpcl_input(&e->s, (struct bytes){ in.p, n }, e->now_ms, &used);
        assert_true(used <= n);
        in = (struct bytes){ in.p + used, in.n - used };
        answer(e, event);
        drain(e);
        if (event == TCPCL_NOTHING && in.n == 0)
            break;
    }
    drain(e);
}

/* Hex with blanks, and "*N" for N bytes of 0xab. */
static size_t unhex(const char *text, uint8_t *out, size_t cap)
{
    size_t n = 0;

    while (*text) {
        if (*text == ' ') {
            text++;
        } else if (*text == '*') {
            char *stop = NULL;
            size_t fill = strtoul(text + 1, &stop, 10);

            assert_true(n + fill <= cap);
            memset(out + n, 0xab, fill);
            n += fill;
            text = stop;
        } else {
            char pair[3] = { text[0], text[1], 0 };

            assert_true(n < cap && bytes_unhex(pair, out + n, 1));
            n++;
            text += 2;
        }
    }
    return n;
}

/* What a peer says until the session is up. */
#define CH "64746e21 04 00 "
#define CH_TLS "64746e21 04 01 "
#define ID "0007 69706e3a312e30 "
#define MRUS "0000000000001000 0000000000001000 "
#define INIT "07 000a " MRUS ID "00000000 "
#define UP CH INIT
/* Ours, on the passive side. */
#define OUR_INIT "07 000a 0000000000001000 0000000000001000 0007 69706e3a322e30 00000000 "
#define OUR_UP CH OUR_INIT
#define T0 "0000000000000000 "
#define T1 "0000000000000001 "
#define LEN(low) "00000000000000" low " "
#define SEG(flags, id, items, n) "01 " flags " " id items LEN(n)
#define WHOLE(id) SEG("03", id, "00000000 ", "04") "*4 "
#define ACKED(id) "02 03 " id LEN("04")
#define TERM_UNKNOWN "05 00 00 "
#define STRAY_ACK "02 03 00000000000000aa " LEN("04")
#define FOUR(x) x x x x

static const struct row {
    const char *why;
    bool tls;
    const char *in;
    enum rc rc;
    const char *out; /* everything that is said */
    size_t bundles;
    bool goes_on; /* no end of the session */
} rows[] = {
    { "another protocol", false, "474554202f20", RC_TCPCL_CONTACT, "" },
    { "wrong magic in the last byte", false, "64746e20 04 00", RC_TCPCL_CONTACT, "" },
    { "version 3", false, "64746e21 03 00", RC_TCPCL_CONTACT, CH "05 00 02" },
    { "version 5", false, "64746e21 05 00", RC_TCPCL_CONTACT, CH "05 00 02" },
    { "no TLS where it is demanded", true, CH, RC_CL_PEER, CH_TLS "05 00 04" },
    { "TLS", true, CH_TLS INIT, RC_OK, CH_TLS OUR_INIT, .goes_on = true },
    { "TLS that is not wanted", false, CH_TLS INIT, RC_OK, OUR_UP, .goes_on = true },
    { "unknown flags of the contact header", false, "64746e21 04 fe" INIT, RC_OK, OUR_UP,
      .goes_on = true },
    { "the beginning", false, UP, RC_OK, OUR_UP, .goes_on = true },
    { "a node id that is too long", false, CH "07 000a " MRUS "0100", RC_TOO_LARGE, CH "05 00 05" },
    { "a node id of 64 KiB", false, CH "07 000a " MRUS "ffff", RC_TOO_LARGE, CH "05 00 05" },
    { "extensions of 4 GiB", false, CH "07 000a " MRUS ID "ffffffff", RC_TOO_LARGE, CH "05 00 05" },
    { "extensions of one byte too many", false, CH "07 000a " MRUS ID "00000401", RC_TOO_LARGE,
      CH "05 00 05" },
    { "no node id", false, CH "07 000a " MRUS "0000 00000000", RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "a node id with a line feed", false, CH "07 000a " MRUS "0002 610a 00000000",
      RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "a node id with a NUL", false, CH "07 000a " MRUS "0002 6100 00000000", RC_TCPCL_MESSAGE,
      CH "05 00 04" },
    { "a node id that is not ASCII", false, CH "07 000a " MRUS "0002 c3a9 00000000",
      RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "segments of 0 bytes", false, CH "07 000a 0000000000000000 0000000000001000 " ID "00000000",
      RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "an unknown critical session extension", false, CH "07 000a " MRUS ID "00000005 01 0042 0000",
      RC_TCPCL_EXTENSION, CH "05 00 04" },
    { "an unknown session extension", false, CH "07 000a " MRUS ID "00000007 00 0042 0002 abab",
      RC_OK, OUR_UP, .goes_on = true },
    { "a session extension that is cut", false, CH "07 000a " MRUS ID "00000004 00 0042 00",
      RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "a session extension beyond its list", false,
      CH "07 000a " MRUS ID "00000006 00 0042 0002 ab", RC_TCPCL_MESSAGE, CH "05 00 04" },
    { "a transfer before the session", false, CH WHOLE(T0), RC_TCPCL_UNEXPECTED,
      CH "06 03 01" TERM_UNKNOWN },
    { "an acknowledgement before the session", false, CH STRAY_ACK, RC_TCPCL_UNEXPECTED,
      CH "06 03 02" TERM_UNKNOWN },
    { "an end before the session", false, CH "05 00 03", RC_CL_ENDED, CH "05 01 03" },
    { "a rejection before the session", false, CH "06 03 07", RC_TCPCL_UNEXPECTED,
      CH TERM_UNKNOWN },
    { "message type 0", false, UP "00", RC_TCPCL_MESSAGE, OUR_UP "06 01 00" TERM_UNKNOWN },
    { "message type 8", false, UP "08", RC_TCPCL_MESSAGE, OUR_UP "06 01 08" TERM_UNKNOWN },
    { "message type 255", false, UP "ff", RC_TCPCL_MESSAGE, OUR_UP "06 01 ff" TERM_UNKNOWN },
    { "a second contact header", false, UP CH, RC_TCPCL_MESSAGE, OUR_UP "06 01 64" TERM_UNKNOWN },
    { "a second SESS_INIT", false, UP INIT, RC_OK, OUR_UP "06 03 07", .goes_on = true },
    { "an acknowledgement of nothing", false, UP STRAY_ACK, RC_OK, OUR_UP "06 03 02",
      .goes_on = true },
    { "a refusal of nothing", false, UP "03 00 " T1, RC_OK, OUR_UP "06 03 03", .goes_on = true },
    { "too many messages that fit nowhere", false, UP FOUR(FOUR(STRAY_ACK)) STRAY_ACK STRAY_ACK,
      RC_TCPCL_UNEXPECTED, OUR_UP FOUR(FOUR("06 03 02")) "06 03 02" TERM_UNKNOWN },
    { "a rejection, which has no answer", false, UP "06 01 04", RC_OK, OUR_UP, .goes_on = true },
    { "too many rejections", false, UP FOUR(FOUR("06 01 04")) "06 01 04", RC_TCPCL_UNEXPECTED,
      OUR_UP TERM_UNKNOWN },
    { "keepalives", false, UP FOUR(FOUR("04")), RC_OK, OUR_UP, .goes_on = true },
    { "a bundle", false, UP WHOLE(T0), RC_OK, OUR_UP ACKED(T0), 1, .goes_on = true },
    { "two bundles, ids with a gap", false, UP WHOLE(T0) WHOLE("00000000000000aa "), RC_OK,
      OUR_UP ACKED(T0) ACKED("00000000000000aa "), 2, .goes_on = true },
    { "a bundle in three segments, one empty", false,
      UP SEG("02", T0, "00000000 ", "02") "*2 " SEG("00", T0, "", "00")
          SEG("01", T0, "", "02") "*2",
      RC_OK, OUR_UP "02 02 " T0 LEN("02") "02 00 " T0 LEN("02") "02 01 " T0 LEN("04"), 1,
      .goes_on = true },
    { "a bundle of the announced length", false,
      UP SEG("02", T0, "0000000d 01 0001 0008 0000000000000003 ", "02") "*2 " SEG("01", T0, "",
                                                                                  "01") "*1",
      RC_OK, OUR_UP "02 02 " T0 LEN("02") "02 01 " T0 LEN("03"), 1, .goes_on = true },
    { "a bundle that is shorter than announced", false,
      UP SEG("03", T0, "0000000d 01 0001 0008 0000000000000005 ", "04") "*4 " WHOLE(T1), RC_OK,
      OUR_UP "03 04 " T0 ACKED(T1), 1, .goes_on = true },
    { "a bundle that is longer than announced", false,
      UP SEG("02", T0, "0000000d 01 0001 0008 0000000000000003 ",
             "04") "*4 " SEG("01", T0, "", "04") "*4 " WHOLE(T1),
      RC_OK, OUR_UP "03 04 " T0 ACKED(T1), 1, .goes_on = true },
    { "a bundle of 1 GiB announced", false,
      UP SEG("02", T0, "0000000d 01 0001 0008 0000000040000000 ", "04") "*4 " WHOLE(T1), RC_OK,
      OUR_UP "03 04 " T0 ACKED(T1), 1, .goes_on = true },
    { "a bundle of 2^64 - 1 announced", false,
      UP SEG("02", T0, "0000000d 01 0001 0008 ffffffffffffffff ", "04") "*4 " WHOLE(T1), RC_OK,
      OUR_UP "03 04 " T0 ACKED(T1), 1, .goes_on = true },
    { "a length of 0 announced", false,
      UP SEG("03", T0, "0000000d 01 0001 0008 0000000000000000 ", "04"), RC_TCPCL_MESSAGE,
      OUR_UP TERM_UNKNOWN },
    { "a length announced in 4 bytes", false,
      UP SEG("03", T0, "00000009 01 0001 0004 00000004 ", "04"), RC_TCPCL_MESSAGE,
      OUR_UP TERM_UNKNOWN },
    { "a length announced twice", false,
      UP SEG("03", T0, "0000001a 01 0001 0008 0000000000000004 01 0001 0008 0000000000000004 ",
             "04"),
      RC_TCPCL_MESSAGE, OUR_UP TERM_UNKNOWN },
    { "a bundle that grows too large", false,
      UP "01 02 " T0 "00000000 0000000000000fff *4095 " SEG("01", T0, "", "02") "*2 " WHOLE(T1),
      RC_OK,
      OUR_UP "02 02 " T0 "0000000000000fff"
             "03 04 " T0 ACKED(T1),
      1, .goes_on = true },
    { "a bundle of just the limit", false, UP "01 03 " T0 "00000000 0000000000001000 *4096 ", RC_OK,
      OUR_UP "02 03 " T0 "0000000000001000", 1, .goes_on = true },
    { "a segment beyond what was agreed", false, UP "01 03 " T0 "00000000 0000000000001001",
      RC_TOO_LARGE, OUR_UP "05 00 05" },
    { "a segment of 2^64 - 1", false, UP "01 03 " T0 "00000000 ffffffffffffffff", RC_TOO_LARGE,
      OUR_UP "05 00 05" },
    { "a bundle without a byte", false, UP SEG("03", T0, "00000000 ", "00") WHOLE(T1), RC_OK,
      OUR_UP "03 04 " T0 ACKED(T1), 1, .goes_on = true },
    { "an unknown critical transfer extension", false,
      UP SEG("03", T0, "00000005 01 0042 0000 ", "04") "*4 " WHOLE(T1), RC_OK,
      OUR_UP "03 05 " T0 ACKED(T1), 1, .goes_on = true },
    { "an unknown transfer extension", false,
      UP SEG("03", T0, "00000006 00 0042 0001 ab ", "04") "*4", RC_OK, OUR_UP ACKED(T0), 1,
      .goes_on = true },
    { "a transfer extension beyond its list", false,
      UP SEG("03", T0, "00000005 00 0042 0001 ", "04"), RC_TCPCL_MESSAGE, OUR_UP TERM_UNKNOWN },
    { "transfer extensions of 4 GiB", false, UP "01 03 " T0 "ffffffff", RC_TOO_LARGE,
      OUR_UP "05 00 05" },
    { "a segment of no transfer", false, UP SEG("00", T0, "", "04"), RC_TCPCL_UNEXPECTED,
      OUR_UP "06 03 01" TERM_UNKNOWN },
    { "a segment of another transfer", false,
      UP SEG("02", T0, "00000000 ", "01") "*1 " SEG("01", T1, "", "01"), RC_TCPCL_UNEXPECTED,
      OUR_UP "02 02 " T0 LEN("01") "06 03 01" TERM_UNKNOWN },
    { "a transfer within a transfer", false, UP SEG("02", T0, "00000000 ", "01") "*1 " WHOLE(T1),
      RC_TCPCL_UNEXPECTED, OUR_UP "02 02 " T0 LEN("01") "06 03 01" TERM_UNKNOWN },
    { "a transfer twice", false, UP WHOLE(T1) WHOLE(T1), RC_TCPCL_UNEXPECTED,
      OUR_UP ACKED(T1) "06 03 01" TERM_UNKNOWN, 1 },
    { "a transfer id that goes back", false, UP WHOLE(T1) WHOLE(T0), RC_TCPCL_UNEXPECTED,
      OUR_UP ACKED(T1) "06 03 01" TERM_UNKNOWN, 1 },
    { "the end", false, UP "05 00 01", RC_OK, OUR_UP "05 01 01" },
    { "the end within a transfer", false,
      UP SEG("02", T0, "00000000 ", "02") "*2 05 00 01" SEG("01", T0, "", "02") "*2", RC_OK,
      OUR_UP "02 02 " T0 LEN("02") "05 01 01 02 01 " T0 LEN("04"), 1 },
    { "another transfer behind the end", false,
      UP SEG("02", T0, "00000000 ", "02") "*2 05 00 01" SEG("01", T0, "", "02") "*2 " WHOLE(T1),
      RC_OK, OUR_UP "02 02 " T0 LEN("02") "05 01 01 02 01 " T0 LEN("04"), 1 },
    { "a refused transfer is no reason to stay", false,
      UP SEG("02", T0, "00000005 01 0042 0000 ", "02") "*2 05 00 01", RC_OK,
      OUR_UP "03 05 " T0 "05 01 01" },
};

static struct end whole, single;

static void test_hostile(void **state)
{
    static uint8_t in[LOG_CAP], want[LOG_CAP];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        size_t n = unhex(r->in, in, sizeof in);
        size_t n_want = unhex(r->out, want, sizeof want);

        end_init(&whole, false, r->tls);
        feed(&whole, (struct bytes){ in, n }, SIZE_MAX);
        if (whole.s.err.rc != r->rc || whole.n_bundles != r->bundles || whole.over == r->goes_on)
            fail_msg("%s: %s, %zu bundles, over %d", r->why, rc_name(whole.s.err.rc),
                     whole.n_bundles, whole.over);
        if (whole.n_out != n_want || memcmp(whole.out, want, n_want) != 0)
            fail_msg("%s: said %s", r->why,
                     bytes_hex((struct bytes){ whole.out, whole.n_out < 100 ? whole.n_out : 100 },
                               (char *)in));

        /* However it is cut, the same comes of it. */
        end_init(&single, false, r->tls);
        feed(&single, (struct bytes){ in, n }, 1);
        assert_int_equal(single.s.err.rc, r->rc);
        assert_int_equal(single.n_events, whole.n_events);
        assert_memory_equal(single.events, whole.events, whole.n_events);
        assert_int_equal(single.n_out, whole.n_out);
        assert_memory_equal(single.out, whole.out, whole.n_out);
    }
}

/* Whatever is cut off leaves a session that waits, and that time ends; never more bundles. */
static void test_cut(void **state)
{
    static uint8_t in[LOG_CAP];
    size_t ends = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = unhex(rows[i].in, in, sizeof in);

        for (size_t cut = n > 600 ? n - 600 : 0; cut < n; cut++) {
            uint64_t wait = 0;

            end_init(&whole, false, rows[i].tls);
            feed(&whole, (struct bytes){ in, cut }, SIZE_MAX);
            assert_true(whole.n_bundles <= rows[i].bundles);
            if (whole.over)
                continue;
            assert_int_equal(whole.s.err.rc, RC_OK);
            whole.now_ms = 100000;
            tcpcl_tick(&whole.s, whole.now_ms, &wait);
            feed(&whole, (struct bytes){ 0 }, 1);
            assert_true(whole.over);
            assert_int_equal(whole.s.err.rc, RC_CL_ENDED);
            ends++;
        }
    }
    assert_true(ends > 1000);
}

/* ---- two sides ---- */

static struct end left, right;
static uint8_t tx[2][MRU];

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Move some bytes of what one side says to the other, which takes as many as it can. */
static void move(struct end *from, struct end *to, size_t n)
{
    enum tcpcl_event event = TCPCL_DONE;
    size_t at = 0;

    if (to->n_pipe == 0)
        to->n_pipe = tcpcl_output(&from->s, to->pipe, n % sizeof to->pipe + 1, from->now_ms);
    while (!to->over && event != TCPCL_FULL && event != TCPCL_NOTHING) {
        const struct bytes in = { to->pipe + at, to->n_pipe - at };
        size_t used = 0;

        event = tcpcl_input(&to->s, in, to->now_ms, &used);
        at += used;
        answer(to, event);
    }
    memmove(to->pipe, to->pipe + at, to->n_pipe - at);
    to->n_pipe -= at;
}

static void begin_pair(bool tls)
{
    end_init(&left, true, tls);
    end_init(&right, false, tls);
    for (size_t i = 0; i < 40; i++) {
        move(&left, &right, tls ? 5 : 699);
        move(&right, &left, tls ? 5 : 699);
    }
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
    assert_int_equal(right.s.state, TCPCL_STATE_UP);
    assert_string_equal(left.s.peer_id, "ipn:2.0");
    assert_string_equal(right.s.peer_id, "ipn:1.0");
}

static void test_pair(void **state)
{
    uint64_t seed = 42;
    size_t sent[2] = { 0 }, bytes[2] = { 0 };
    struct end *sides[2] = { &left, &right };

    (void)state;
    begin_pair(false);
    left.s.peer_segment_mru = 7; /* of 4096 bytes, 586 segments and as many answers */
    for (size_t i = 0; i < 200000; i++) {
        size_t k = next_random(&seed) % 2;
        struct end *from = sides[k];

        if (sent[k] < 100 && tcpcl_can_send(&from->s)) {
            size_t n = next_random(&seed) % MRU + 1;

            assert_true(tcpcl_fits(&from->s, n));
            (void)tcpcl_send(&from->s, (struct bytes){ tx[k], n }, 0);
            sent[k]++;
            bytes[k] += n;
        }
        move(from, sides[!k], next_random(&seed));
    }
    assert_int_equal(sent[0], 100);
    assert_int_equal(left.n_done, 100);
    assert_int_equal(right.n_done, 100);
    assert_int_equal(right.n_bundles, 100);
    assert_int_equal(right.bundle_bytes, bytes[0]);
    assert_int_equal(left.bundle_bytes, bytes[1]);
    assert_false(tcpcl_fits(&left.s, MRU + 1));
    tcpcl_end(&left.s, TCPCL_TERM_IDLE, 0);
    assert_false(tcpcl_can_send(&left.s));
    for (size_t i = 0; i < 4; i++) {
        move(&left, &right, 100);
        move(&right, &left, 100);
    }
    assert_true(left.over && right.over);
    assert_int_equal(left.s.err.rc, RC_OK);
    assert_int_equal(right.s.err.rc, RC_OK);
}

static void test_pair_tls(void **state)
{
    (void)state;
    begin_pair(true);
    /* Nothing may be read beyond the contact header before the handshake. */
    end_init(&left, true, true);
    assert_int_equal(tcpcl_wants(&left.s), 6);
    uint8_t header[3] = { 'd', 't', 'n' };

    feed(&left, (struct bytes){ header, 3 }, SIZE_MAX);
    assert_int_equal(tcpcl_wants(&left.s), 3);
}

/* An active side that has sent one bundle of 10 bytes; then the peer says this. */
static enum rc said_of_mine(const char *hex, size_t given)
{
    uint8_t in[256];
    size_t n = unhex(CH OUR_INIT, in, sizeof in);

    end_init(&left, true, false);
    feed(&left, (struct bytes){ in, n }, SIZE_MAX);
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
    (void)tcpcl_send(&left.s, (struct bytes){ tx[0], 10 }, 0);
    left.n_out += tcpcl_output(&left.s, left.out + left.n_out, 22 + given, 0);
    n = unhex(hex, in, sizeof in);
    feed(&left, (struct bytes){ in, n }, SIZE_MAX);
    return left.s.err.rc;
}

static void test_answers(void **state)
{
    (void)state;
    assert_rc(said_of_mine("02 03 " T0 LEN("0a"), 10), RC_OK);
    assert_int_equal(left.n_done, 1);
    assert_rc(said_of_mine("02 02 " T0 LEN("04") "02 01 " T0 LEN("0a"), 10), RC_OK);
    assert_int_equal(left.n_done, 1);
    /* more than was sent so far, or than there is; and backwards */
    assert_rc(said_of_mine("02 03 " T0 LEN("0a"), 9), RC_TCPCL_UNEXPECTED);
    assert_rc(said_of_mine("02 03 " T0 LEN("0b"), 10), RC_TCPCL_UNEXPECTED);
    assert_rc(said_of_mine("02 02 " T0 LEN("04") "02 00 " T0 LEN("03"), 10), RC_TCPCL_UNEXPECTED);
    assert_int_equal(left.n_done, 0);
    /* refused in the middle of its segment, which is finished: the next message is whole */
    assert_rc(said_of_mine("03 02 " T0, 5), RC_OK);
    assert_int_equal(left.s.event_reason, TCPCL_REFUSE_NO_RESOURCES);
    assert_int_equal(left.events[left.n_events - 1], TCPCL_REFUSED);
    assert_false(tcpcl_sending(&left.s));
    assert_int_equal(left.s.n_sent, 0);
    assert_true(tcpcl_can_send(&left.s));
    /* broken off in the middle of a segment: nothing may follow that would pass for its rest */
    assert_rc(said_of_mine("ff", 5), RC_TCPCL_MESSAGE);
    size_t n = left.n_out;

    drain(&left);
    assert_int_equal(left.n_out, n);
}

/* No acknowledgement of a whole bundle before tcpcl_commit, and none that overtakes it. */
static void test_held(void **state)
{
    uint8_t in[LOG_CAP], out[LOG_CAP];
    size_t used = 0;
    size_t n = unhex(UP, in, sizeof in);

    (void)state;
    end_init(&right, false, false);
    feed(&right, (struct bytes){ in, n }, SIZE_MAX);
    n = unhex(WHOLE(T0) SEG("02", T1, "00000000 ", "01") "*1", in, sizeof in);
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used), TCPCL_BUNDLE);
    assert_int_equal(right.s.received.n, 4);
    assert_false(tcpcl_held(&right.s));
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in + used, n - used }, 0, &used),
                     TCPCL_BUNDLE);
    assert_int_equal(used, 0);
    tcpcl_keep(&right.s);
    assert_true(tcpcl_held(&right.s));
    n -= 22 + 4;
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in + 26, n }, 0, &used), TCPCL_NOTHING);
    assert_int_equal(used, n);
    assert_int_equal(tcpcl_output(&right.s, out, sizeof out, 0), 0);
    tcpcl_commit(&right.s);
    assert_int_equal(tcpcl_output(&right.s, out, sizeof out, 0), 36);
    assert_int_equal(out[1], 3);
    assert_int_equal(out[19], 2);

    /* So many wait, and no more. */
    for (unsigned i = 0; i < TCPCL_HELD_MAX; i++) {
        n = unhex(SEG("00", T1, "", "00"), in, sizeof in);
        if (i == 0)
            in[1] = 1;
        else
            n = unhex(SEG("03", "00000000000000ff ", "00000000 ", "01") "*1", in, sizeof in);
        in[9] = (uint8_t)(i + 1U);
        enum tcpcl_event event = tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used);

        assert_int_equal(event, TCPCL_BUNDLE);
        tcpcl_keep(&right.s);
    }
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, 1 }, 0, &used), TCPCL_HELD);
    assert_int_equal(used, 0);
}

/* A refused transfer whose first segment waits to be acknowledged behind a bundle that is kept: its
 * refusal is the last that is said of it.  The peer would not know what else is meant. */
static void test_refused_behind_held(void **state)
{
    uint8_t in[LOG_CAP], out[LOG_CAP], want[LOG_CAP];
    size_t used = 0;
    size_t n = unhex(UP, in, sizeof in);

    (void)state;
    end_init(&right, false, false);
    feed(&right, (struct bytes){ in, n }, SIZE_MAX);
    n = unhex(WHOLE(T0), in, sizeof in);
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used), TCPCL_BUNDLE);
    tcpcl_keep(&right.s);
    n = unhex(SEG("02", T1, "00000000 ", "01") "*1 " SEG("01", T1, "", "01") "*1", in, sizeof in);
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used), TCPCL_BUNDLE);
    tcpcl_refuse(&right.s, TCPCL_REFUSE_NO_RESOURCES);
    assert_true(tcpcl_held(&right.s));
    tcpcl_commit(&right.s);
    n = unhex("03 02 " T1 "02 03 " T0 LEN("04"), want, sizeof want);
    assert_int_equal(tcpcl_output(&right.s, out, sizeof out, 0), n);
    assert_memory_equal(out, want, n);
    assert_int_equal(tcpcl_output(&right.s, out, sizeof out, 0), 0);
}

/* A peer that asks and never listens cannot make the queue grow. */
static void test_full(void **state)
{
    uint8_t in[256];
    size_t used = 0, total = 0;
    size_t n = unhex(UP, in, sizeof in);
    enum tcpcl_event event = TCPCL_NOTHING;

    (void)state;
    end_init(&right, false, false);
    feed(&right, (struct bytes){ in, n }, SIZE_MAX);
    n = unhex(SEG("02", T0, "00000000 ", "01") "*1", in, sizeof in);
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used), TCPCL_NOTHING);
    n = unhex(SEG("00", T0, "", "00"), in, sizeof in);
    while (event == TCPCL_NOTHING && total < 100000) {
        event = tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used);
        total += used;
    }
    assert_int_equal(event, TCPCL_FULL);
    assert_true(total < 10000);
    drain(&right);
    assert_int_equal(tcpcl_input(&right.s, (struct bytes){ in, n }, 0, &used), TCPCL_NOTHING);
}

static void test_time(void **state)
{
    uint64_t wait = 0;

    (void)state;
    begin_pair(false);
    tcpcl_tick(&left.s, 3000, &wait);
    assert_int_equal(wait, 7000);
    drain(&left);
    size_t n = left.n_out;

    tcpcl_tick(&left.s, 10000, &wait);
    left.now_ms = 10000;
    drain(&left);
    assert_int_equal(left.n_out, n + 1);
    assert_int_equal(left.out[n], 4);
    /* twice the interval without a byte */
    tcpcl_tick(&left.s, 19999, &wait);
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
    tcpcl_tick(&left.s, 20000, &wait);
    assert_int_equal(left.s.err.rc, RC_CL_ENDED);
    assert_int_equal(wait, 0);

    /* keepalives come, and no acknowledgement */
    begin_pair(false);
    (void)tcpcl_send(&left.s, (struct bytes){ tx[0], 10 }, 1000);
    left.now_ms = 1000;
    drain(&left);
    tcpcl_tick(&left.s, 5999, &wait);
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
    tcpcl_tick(&left.s, 6000, &wait);
    assert_int_equal(left.s.err.rc, RC_CL_ENDED);

    /* an end that the other side does not answer */
    begin_pair(false);
    tcpcl_end(&left.s, TCPCL_TERM_UNKNOWN, 0);
    tcpcl_tick(&left.s, 4999, &wait);
    assert_int_equal(left.s.state, TCPCL_STATE_ENDING);
    tcpcl_tick(&left.s, 5000, &wait);
    assert_int_equal(left.s.err.rc, RC_CL_ENDED);

    /* none agreed, and a clock that goes back */
    begin_pair(false);
    left.s.keepalive_s = 0;
    tcpcl_tick(&left.s, UINT64_MAX, &wait);
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
    assert_true(wait == UINT64_MAX);
    left.s.keepalive_s = 10;
    left.s.heard_ms = left.s.spoke_ms = 1000000;
    tcpcl_tick(&left.s, 0, &wait);
    assert_int_equal(left.s.state, TCPCL_STATE_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_pair_tls),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_refused_behind_held),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
