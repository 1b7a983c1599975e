/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "link/frame.h"
#include "link/sdls.h"
#include "sim/rng.h"
#include "tests/unit/vectors.h"

/* A copy of exactly this size on the heap, so that the sanitizer sees a read behind it. */
static uint8_t *exactly(struct bytes in)
{
    uint8_t *p = malloc(in.n > 0 ? in.n : 1);

    assert_non_null(p);
    if (in.n > 0)
        memcpy(p, in.p, in.n);
    return p;
}

static void put_fecf(uint8_t *p, size_t n)
{
    bytes_put_be(p + n - FRAME_FECF, FRAME_FECF, frame_crc((struct bytes){ p, n - FRAME_FECF }));
}

static void test_crc(void **state)
{
    (void)state;
    assert_int_equal(frame_crc(bytes_of("123456789")), 0x29b1);
    assert_int_equal(frame_crc((struct bytes){ 0 }), 0xffff);
}

/* ---- TC ---- */

static const struct tc_params tc_all = { .fecf = true, .segment = true };
static const struct tc_params tc_bare = { 0 };

struct tc_row {
    const char *why;
    const char *hex;
    const struct tc_params *params;
    enum rc rc;
    struct tc_frame want; /* head.n and data.n only */
};

/* The first is a frame that another implementation publishes as a test of its own: spacecraft 3,
 * segment header, security association 9, IV, 16 bytes of ciphertext. */
#define PUBLISHED "2003002500ff0009b6ac8e4963f49207ffd6374c1224dfefb72a20d49e09256908874979ad6f"

static const struct tc_row tc_rows[] = {
    { "published frame",
      PUBLISHED,
      &tc_all,
      RC_OK,
      { .spacecraft = 3,
        .bypass = true,
        .part = PACKET_WHOLE,
        .map = 63,
        .head.n = 6,
        .data.n = 30 } },
    { "its control field is wrong",
      "2003002500ff0009b6ac8e4963f49207ffd6374c1224dfefb72a20d49e09256908874979ad6e",
      &tc_all,
      RC_FRAME_CRC,
      { 0 } },
    { "no control field", "0155fc05011122", &tc_bare, RC_TRAILING, { 0 } },
    { "counted frame",
      "0155fc06011122",
      &tc_bare,
      RC_OK,
      { .spacecraft = 0x155,
        .channel = 63,
        .sequence = 1,
        .part = PACKET_WHOLE,
        .head.n = 5,
        .data.n = 2 } },
    { "control command",
      "3000 0005 00 00",
      &tc_bare,
      RC_OK,
      { .bypass = true, .control = true, .part = PACKET_WHOLE, .head.n = 5, .data.n = 1 } },
    { "control command that is counted", "1000 0005 00 00", &tc_bare, RC_FRAME, { 0 } },
    { "version 2", "4000 0005 00 00", &tc_bare, RC_FRAME, { 0 } },
    { "spare bits", "0400 0005 00 00", &tc_bare, RC_FRAME, { 0 } },
    { "no data", "2000 0004 00", &tc_bare, RC_SHORT, { 0 } },
    { "says 1 byte", "2000 0000 00 00", &tc_bare, RC_SHORT, { 0 } },
    { "says more than there is", "2000 03ff 00 00", &tc_bare, RC_SHORT, { 0 } },
    { "half a header", "2000 00", &tc_bare, RC_SHORT, { 0 } },
    { "nothing", "", &tc_bare, RC_SHORT, { 0 } },
    { "too short for a control field", "2000 0006 00 0102", &tc_all, RC_SHORT, { 0 } },
};

static void test_tc_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tc_rows / sizeof tc_rows[0]; i++) {
        const struct tc_row *r = &tc_rows[i];
        struct tc_frame got = { .map = 77 };
        struct vector v = { .n = 0 };

        vector_hex(r->hex, &v);
        uint8_t *p = exactly(vector_bytes(&v));
        enum rc rc = tc_decode((struct bytes){ p, v.n }, r->params, &got, NULL);

        if (rc != r->rc)
            fail_msg("%s: %s", r->why, rc_name(rc));
        if (rc != RC_OK) {
            assert_int_equal(got.map, 77);
        } else if (got.spacecraft != r->want.spacecraft || got.channel != r->want.channel ||
                   got.sequence != r->want.sequence || got.bypass != r->want.bypass ||
                   got.control != r->want.control || got.part != r->want.part ||
                   got.map != r->want.map || got.head.n != r->want.head.n ||
                   got.data.n != r->want.data.n || got.data.p != p + got.head.n) {
            fail_msg("%s: decoded otherwise", r->why);
        }
        free(p);
    }
}

/* A segment header with nothing behind it, though the control field matches. */
static void test_tc_segment_alone(void **state)
{
    uint8_t p[8] = { 0x20, 0, 0, 7, 0, 0xc0 };
    struct tc_frame got;

    (void)state;
    put_fecf(p, sizeof p);
    assert_rc(tc_decode((struct bytes){ p, sizeof p }, &tc_all, &got, NULL), RC_SHORT);
}

static void test_tc_largest(void **state)
{
    uint8_t p[TC_FRAME_MAX + 1] = { 0x20, 0, 0x03, 0xff };
    struct tc_frame got;

    (void)state;
    put_fecf(p, TC_FRAME_MAX);
    assert_rc(tc_decode((struct bytes){ p, TC_FRAME_MAX }, &tc_all, &got, NULL), RC_OK);
    assert_int_equal(got.data.n, TC_FRAME_MAX - 8);
    assert_rc(tc_decode((struct bytes){ p, TC_FRAME_MAX + 1 }, &tc_all, &got, NULL), RC_TOO_LARGE);
    p[2] = 0; /* says 256 */
    assert_rc(tc_decode((struct bytes){ p, TC_FRAME_MAX }, &tc_all, &got, NULL), RC_TRAILING);
}

/* ---- TM ---- */

struct tm_row {
    const char *why;
    const char *hex;
    size_t length;
    size_t before;
    enum rc rc;
    struct tm_frame want; /* sizes only */
};

static const struct tm_row tm_rows[] = {
    { "packets",
      "02ae 0102 1801 aabbcc",
      9,
      0,
      RC_OK,
      { .spacecraft = 0x2a,
        .channel = 7,
        .master_count = 1,
        .channel_count = 2,
        .first = 1,
        .head.n = 6,
        .data.n = 3 } },
    { "OCF",
      "02af 0102 1fff aa 01000000",
      11,
      0,
      RC_OK,
      { .spacecraft = 0x2a,
        .channel = 7,
        .master_count = 1,
        .channel_count = 2,
        .first = TM_NO_PACKET,
        .ocf.n = 4,
        .head.n = 6,
        .data.n = 1 } },
    { "secondary header",
      "0000 0000 9ffe 02 1122 aa",
      10,
      0,
      RC_OK,
      { .first = TM_IDLE, .secondary.n = 2, .head.n = 9, .data.n = 1 } },
    { "octets",
      "0000 0000 4123 aa",
      7,
      0,
      RC_OK,
      { .synchronous = true, .head.n = 6, .data.n = 1 } },
    { "first packet behind the data", "0000 0000 1803 aabbcc", 9, 0, RC_FRAME, { 0 } },
    { "first packet behind what security leaves", "0000 0000 1801 aabbcc", 9, 2, RC_FRAME, { 0 } },
    { "first packet, security before it",
      "0000 0000 1800 aabbcc",
      9,
      2,
      RC_OK,
      { .head.n = 6, .data.n = 3 } },
    { "security header larger than the data", "0000 0000 1800 aabbcc", 9, 99, RC_FRAME, { 0 } },
    { "packet order bit", "0000 0000 3800 aa", 7, 0, RC_FRAME, { 0 } },
    { "segment length bits", "0000 0000 0800 aa", 7, 0, RC_FRAME, { 0 } },
    { "version 2", "4000 0000 1800 aa", 7, 0, RC_FRAME, { 0 } },
    { "secondary header of another version", "0000 0000 9800 42 1122 aa", 10, 0, RC_FRAME, { 0 } },
    { "secondary header of one byte", "0000 0000 9800 00 1122 aa", 10, 0, RC_FRAME, { 0 } },
    { "secondary header longer than the frame",
      "0000 0000 9800 3f 1122 aa",
      10,
      0,
      RC_SHORT,
      { 0 } },
    { "secondary header takes all", "0000 0000 9800 03 112233", 10, 0, RC_SHORT, { 0 } },
    { "OCF takes all", "0001 0000 1800 01000000", 10, 0, RC_SHORT, { 0 } },
    { "OCF takes more than all", "0001 0000 1800 0100", 8, 0, RC_SHORT, { 0 } },
    { "shorter than agreed", "0000 0000 1800 aa", 8, 0, RC_SHORT, { 0 } },
    { "longer than agreed", "0000 0000 1800 aabbcc", 8, 0, RC_TRAILING, { 0 } },
    { "agreed on nothing possible", "0000 0000 1800", 6, 0, RC_VALUE, { 0 } },
    { "agreed on too much", "0000 0000 1800 aa", TM_FRAME_MAX + 1, 0, RC_VALUE, { 0 } },
};

static void test_tm_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tm_rows / sizeof tm_rows[0]; i++) {
        const struct tm_row *r = &tm_rows[i];
        const struct tm_params params = { .length = r->length };
        struct tm_frame got = { .first = 4711 };
        struct vector v = { .n = 0 };

        vector_hex(r->hex, &v);
        uint8_t *p = exactly(vector_bytes(&v));
        enum rc rc = tm_decode((struct bytes){ p, v.n }, &params, r->before, &got, NULL);

        if (rc != r->rc)
            fail_msg("%s: %s", r->why, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(got.first, 4711);
        else if (got.spacecraft != r->want.spacecraft || got.channel != r->want.channel ||
                 got.master_count != r->want.master_count || got.first != r->want.first ||
                 got.channel_count != r->want.channel_count || got.ocf.n != r->want.ocf.n ||
                 got.synchronous != r->want.synchronous || got.head.n != r->want.head.n ||
                 got.secondary.n != r->want.secondary.n || got.data.n != r->want.data.n)
            fail_msg("%s: decoded otherwise", r->why);
        free(p);
    }
}

static void test_tm_fecf(void **state)
{
    const struct tm_params params = { .length = 10, .fecf = true };
    uint8_t p[10] = { 0, 0, 0, 0, 0x18, 0, 1, 2 };
    struct tm_frame got;

    (void)state;
    put_fecf(p, sizeof p);
    assert_rc(tm_decode((struct bytes){ p, sizeof p }, &params, 0, &got, NULL), RC_OK);
    assert_int_equal(got.data.n, 2);
    for (size_t bit = 0; bit < 8 * sizeof p; bit++) {
        p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_rc(tm_decode((struct bytes){ p, sizeof p }, &params, 0, &got, NULL), RC_FRAME_CRC);
        p[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* ---- packets out of TM frames ---- */

#define STREAM_PACKETS 60U
#define STREAM_MAX 65536U
#define STREAM_FRAME 97U /* bytes of data of one frame: does not divide what packets have */

/* Packets one behind the other, each with its number as count and in all of its data. */
struct stream {
    size_t n;
    uint8_t p[STREAM_MAX];
    size_t n_packets;
    size_t begin[STREAM_PACKETS + 1];
};

static void stream_make(struct stream *s, struct rng *rng)
{
    s->n = 0;
    for (s->n_packets = 0; s->n_packets < STREAM_PACKETS; s->n_packets++) {
        /* Now and then one of several frames, or one whose header lies across two. */
        size_t n = 1 + rng_below(rng, rng_below(rng, 8) == 0 ? 400 : 40);
        uint8_t *p = s->p + s->n;

        s->begin[s->n_packets] = s->n;
        bytes_put_be(p, 2, 0x0010);
        bytes_put_be(p + 2, 2, 0xc000 | s->n_packets);
        bytes_put_be(p + 4, 2, n - 1);
        memset(p + PACKET_HEADER, (int)s->n_packets, n);
        s->n += PACKET_HEADER + n;
    }
    s->begin[s->n_packets] = s->n;
}

/* Offset in [from, to) at which a packet begins, or TM_NO_PACKET. */
static uint16_t stream_first(const struct stream *s, size_t from, size_t to)
{
    for (size_t i = 0; i < s->n_packets; i++)
        if (s->begin[i] >= from && s->begin[i] < to)
            return (uint16_t)(s->begin[i] - from);
    return TM_NO_PACKET;
}

struct received {
    bool got[STREAM_PACKETS];
    const struct stream *stream;
    int last;
};

static enum rc receive(void *arg, uint8_t route, const struct packet *packet, struct err *err)
{
    struct received *r = arg;
    const struct stream *s = r->stream;

    (void)err;
    assert_int_equal(route, 5);
    assert_true(packet->count < STREAM_PACKETS);
    assert_true((int)packet->count > r->last); /* in order, none twice */
    r->last = packet->count;
    size_t at = s->begin[packet->count];

    assert_int_equal(packet->data.n, s->begin[packet->count + 1] - at - PACKET_HEADER);
    assert_memory_equal(packet->data.p, s->p + at + PACKET_HEADER, packet->data.n);
    r->got[packet->count] = true;
    return RC_OK;
}

/* Frames of the stream, of which some are lost: whatever touches no lost frame arrives, nothing
 * else does, and nothing is put together from pieces of two packets (receive compares every byte).
 */
static void run_stream(uint64_t seed, unsigned lost_percent)
{
    static struct stream s;
    static struct tm_packets packets;
    static bool lost[STREAM_MAX / STREAM_FRAME + 1];
    struct rng rng = rng_make(seed, 1);
    struct received r = { .stream = &s, .last = -1 };
    const struct packet_sink sink = { receive, &r };
    struct packet_tally tally = { 0 };
    struct packet_routes routes;
    uint64_t n_lost = 0;

    memset(&packets, 0, sizeof packets);
    packet_routes_init(&routes);
    assert_rc(packet_routes_add(&routes, 0x10, 0x10, 5, NULL), RC_OK);
    stream_make(&s, &rng);
    for (size_t at = 0, i = 0; at < s.n; at += STREAM_FRAME, i++) {
        size_t n = s.n - at < STREAM_FRAME ? s.n - at : STREAM_FRAME;
        const struct tm_frame frame = { .channel_count = (uint8_t)(i + 200),
                                        .first = stream_first(&s, at, at + n),
                                        .data = { s.p + at, n } };

        /* The last one arrives, so that every gap shows. */
        lost[i] = at + n < s.n && rng_below(&rng, 100) < lost_percent;
        n_lost += lost[i] && i > 0;
        if (!lost[i])
            assert_rc(tm_packets_take(&packets, &frame, &routes, &sink, &tally, NULL), RC_OK);
        else if (i == 0)
            lost_percent = 0; /* a stream that begins in its middle has no gap to be seen */
    }
    for (size_t i = 0; i < s.n_packets; i++) {
        bool whole = true;

        for (size_t f = s.begin[i] / STREAM_FRAME; f <= (s.begin[i + 1] - 1) / STREAM_FRAME; f++)
            whole = whole && !lost[f];
        assert_int_equal(r.got[i], whole);
    }
    assert_int_equal(packets.lost_frames, n_lost);
    assert_int_equal(packets.n, 0);
}

static void test_streams(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++)
        run_stream(seed, (unsigned)(seed % 3) * 15);
}

/* Frames that contradict themselves: what they say is dropped and counted, and the next good one is
 * read again. */
static void test_contradictions(void **state)
{
    static const struct {
        const char *why;
        uint16_t first;
        const char *hex;
        unsigned lost;
    } odd[] = {
        { "the packet should go on", 0, "0010c0000000aa", 1 },
        { "it ends before the next begins", 3, "bb 0000 0010c0000000aa", 1 },
        { "it ends, and more follows", TM_NO_PACKET, "bbcc", 1 },
        { "only filling", TM_IDLE, "ffff", 1 },
        { "no packet where one should begin", 1, "bb e010c0000000aa", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        static struct tm_packets packets;
        static const uint8_t begun[] = { 0, 0x10, 0xc0, 0, 0, 1, 0xaa }; /* one byte is missing */
        static const uint8_t good[] = { 0, 0x10, 0xc0, 1, 0, 0, 0xaa };
        static const struct stream none;
        struct received r = { .stream = &none };
        const struct packet_sink sink = { receive, &r };
        struct packet_tally tally = { 0 };
        struct packet_routes routes;
        struct vector v = { .n = 0 };

        memset(&packets, 0, sizeof packets);
        packet_routes_init(&routes); /* nobody's: they are counted */
        vector_hex(odd[i].hex, &v);
        const struct tm_frame frames[] = {
            { .channel_count = 255, .data = { begun, sizeof begun } },
            { .channel_count = 0, .first = odd[i].first, .data = vector_bytes(&v) },
            { .channel_count = 1, .data = { good, sizeof good } },
        };

        for (size_t k = 0; k < 3; k++)
            assert_rc(tm_packets_take(&packets, &frames[k], &routes, &sink, &tally, NULL), RC_OK);
        if (packets.lost_packets != odd[i].lost || packets.lost_frames != 0 || packets.n != 0)
            fail_msg("%s: %u lost", odd[i].why, (unsigned)packets.lost_packets);
        assert_true(tally.unrouted >= 1);
    }
}

static void test_octets_refused(void **state)
{
    static struct tm_packets packets;
    static const uint8_t data[1];
    const struct packet_sink sink = { receive, NULL };
    const struct tm_frame octets = { .synchronous = true, .data = { data, 1 } };
    const struct tm_frame beyond = { .first = 2, .data = { data, 1 } };
    struct packet_tally tally = { 0 };
    struct packet_routes routes;

    (void)state;
    packet_routes_init(&routes);
    assert_rc(tm_packets_take(&packets, &octets, &routes, &sink, &tally, NULL), RC_FRAME);
    assert_rc(tm_packets_take(&packets, &beyond, &routes, &sink, &tally, NULL), RC_FRAME);
    assert_false(packets.follows);
}

/* ---- security ---- */

/* A TC frame with a segment header, sealed as 355.0-B says, from the parts and not by our code. */
static size_t seal_tc(const struct sdls_association *a, struct bytes plain, uint8_t *p)
{
    size_t security = 6;
    size_t n = security + sdls_head_size(a);
    const struct bytes key = { a->key, sizeof a->key };
    uint8_t aad[256], none[1];
    struct bytes covered;

    memcpy(p, (const uint8_t[]){ 0x20, 3, 0, 0, 0, 0xff }, 6);
    bytes_put_be(p + 2, 2, n + plain.n + GCM_TAG_SIZE + FRAME_FECF - 1);
    bytes_put_be(p + security, 2, a->spi);
    memset(p + security + 2, 0x77, GCM_IV_SIZE);
    bytes_put_be(p + security + 2 + GCM_IV_SIZE, a->sequence_size, 41);
    if (a->pad_size > 0)
        bytes_put_be(p + n - a->pad_size, a->pad_size, 3);
    memcpy(aad, p, n);
    for (size_t i = 0; i < a->mask.n; i++)
        aad[i] &= a->mask.p[i];
    covered = (struct bytes){ aad, n };
    memcpy(p + n, plain.p, plain.n);
    if (a->service == SDLS_AUTHENTICATE) {
        memcpy(aad + n, plain.p, plain.n);
        covered.n += plain.n;
        assert_rc(crypto_gcm_seal(key, p + security + 2, covered, (struct bytes){ none, 0 }, none,
                                  p + n + plain.n, NULL),
                  RC_OK);
    } else {
        assert_rc(
            crypto_gcm_seal(key, p + security + 2, covered, plain, p + n, p + n + plain.n, NULL),
            RC_OK);
    }
    n += plain.n + GCM_TAG_SIZE + FRAME_FECF;
    put_fecf(p, n);
    return n;
}

static enum rc open_tc(uint8_t *p, size_t n, const struct sdls_association *a,
                       struct sdls_opened *ret)
{
    struct tc_frame f;
    enum rc rc = tc_decode((struct bytes){ p, n }, &tc_all, &f, NULL);

    return rc == RC_OK ? sdls_open(p, f.head, f.data, a, ret, NULL) : rc;
}

static const uint8_t mask[6 + SDLS_HEAD_MAX] = { 0, 0, 0xfc, 0, 0, 0xff, 0xff, 0xff };

static const struct sdls_association associations[] = {
    { .spi = 9, .service = SDLS_ENCRYPT, .key = { 1 } },
    { .spi = 9, .service = SDLS_ENCRYPT, .sequence_size = 4, .pad_size = 1, .key = { 2 } },
    { .spi = 65534, .service = SDLS_AUTHENTICATE, .sequence_size = 8, .pad_size = 2, .key = { 3 } },
    { .spi = 1, .service = SDLS_AUTHENTICATE, .mask = { mask, 6 + 14 } },
};

/* Every bit of a frame, with the error control field made right again: refused, or one of those
 * that the mask leaves out; and what was encrypted is never left in the clear. */
static void test_sdls_bits(void **state)
{
    static const uint8_t plain[20] = "twenty bytes, hidden";

    (void)state;
    for (size_t i = 0; i < sizeof associations / sizeof associations[0]; i++) {
        const struct sdls_association *a = &associations[i];
        uint8_t good[128], p[128];
        size_t n = seal_tc(a, (struct bytes){ plain, sizeof plain }, good);
        struct sdls_opened opened;

        memcpy(p, good, n);
        assert_rc(open_tc(p, n, a, &opened), RC_OK);
        assert_int_equal(opened.data.n, sizeof plain - (a->pad_size > 0 ? 3 : 0));
        assert_memory_equal(opened.data.p, plain, opened.data.n);
        assert_int_equal(opened.counter, a->sequence_size > 0 ? 41 : 0x7777777777777777);
        for (size_t bit = 0; bit < 8 * (n - FRAME_FECF); bit++) {
            memcpy(p, good, n);
            p[bit / 8] ^= (uint8_t)(1U << bit % 8);
            put_fecf(p, n);
            enum rc rc = open_tc(p, n, a, &opened);
            bool masked = a->mask.n > bit / 8 && (mask[bit / 8] & 1U << bit % 8) == 0;

            assert_true(rc != RC_OK || (masked && bit / 8 < 6));
            if (rc == RC_FRAME_AUTH && a->service == SDLS_ENCRYPT)
                assert_memory_not_equal(p + 6 + sdls_head_size(a), plain, sizeof plain);
        }
    }
}

/* Frames that are cut, with lengths and control field made right: no length underflows. */
static void test_sdls_cuts(void **state)
{
    static const uint8_t plain[1] = "x";
    static const struct sdls_association a = { .spi = 9, .service = SDLS_ENCRYPT };
    uint8_t good[128];
    size_t n = seal_tc(&a, (struct bytes){ plain, 1 }, good);

    (void)state;
    for (size_t cut = 9; cut < n; cut++) {
        uint8_t *p = exactly((struct bytes){ good, cut });
        struct sdls_opened opened;

        bytes_put_be(p + 2, 2, cut - 1);
        put_fecf(p, cut);
        /* What has room for header and MAC is not authentic; anything less is short. */
        assert_rc(open_tc(p, cut, &a, &opened),
                  cut >= 6 + 14 + GCM_TAG_SIZE + FRAME_FECF ? RC_FRAME_AUTH : RC_SHORT);
        free(p);
    }
}

static void test_sdls_refusals(void **state)
{
    static const uint8_t plain[2] = "xy";
    static const uint8_t ones[7] = { 0xff };
    struct sdls_association a = { .spi = 9, .service = SDLS_ENCRYPT, .pad_size = 1 };
    struct sdls_opened opened;
    uint8_t p[128];
    size_t n = seal_tc(&a, (struct bytes){ plain, sizeof plain }, p);

    (void)state;
    assert_rc(open_tc(p, n, &a, &opened), RC_FRAME); /* 3 bytes of padding in 2 */
    a = (struct sdls_association){ .spi = 9, .service = SDLS_ENCRYPT };
    n = seal_tc(&a, (struct bytes){ plain, sizeof plain }, p);
    a.spi = 10;
    assert_rc(open_tc(p, n, &a, &opened), RC_FRAME_KEY);
    a.spi = 0;
    assert_rc(open_tc(p, n, &a, &opened), RC_VALUE);
    a.spi = UINT16_MAX;
    assert_rc(open_tc(p, n, &a, &opened), RC_VALUE);
    a = (struct sdls_association){ .spi = 9, .service = SDLS_ENCRYPT, .mask = { ones, 7 } };
    assert_rc(open_tc(p, n, &a, &opened), RC_VALUE);
    a = (struct sdls_association){ .spi = 9, .service = SDLS_ENCRYPT, .sequence_size = 9 };
    assert_rc(open_tc(p, n, &a, &opened), RC_VALUE);
    a = (struct sdls_association){ .spi = 9 };
    assert_rc(open_tc(p, n, &a, &opened), RC_VALUE);
    a.service = SDLS_ENCRYPT;
    assert_rc(open_tc(p, n, &a, &opened), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_tc_rows),
        cmocka_unit_test(test_tc_segment_alone),
        cmocka_unit_test(test_tc_largest),
        cmocka_unit_test(test_tm_rows),
        cmocka_unit_test(test_tm_fecf),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_octets_refused),
        cmocka_unit_test(test_sdls_bits),
        cmocka_unit_test(test_sdls_cuts),
        cmocka_unit_test(test_sdls_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
