/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "link/packet.h"
#include "tests/unit/vectors.h"

struct row {
    const char *why;
    const char *hex;
    enum rc rc;
    struct packet want; /* data.n only */
};

static const struct row rows[] = {
    { "telemetry, whole",
      "0801 c005 0001 aabb",
      RC_OK,
      { .apid = 1, .count = 5, .part = PACKET_WHOLE, .secondary = true, .data.n = 2 } },
    { "command, first part",
      "17fe 7fff 0000 01",
      RC_OK,
      { .apid = 2046, .count = 16383, .part = PACKET_FIRST, .command = true, .data.n = 1 } },
    { "middle, then another packet",
      "0002 0000 0000 01 0002",
      RC_OK,
      { .apid = 2, .part = PACKET_MIDDLE, .data.n = 1 } },
    { "last part",
      "0002 8001 0000 01",
      RC_OK,
      { .apid = 2, .count = 1, .part = PACKET_LAST, .data.n = 1 } },
    { "idle",
      "07ff c000 0000 00",
      RC_OK,
      { .apid = PACKET_IDLE, .part = PACKET_WHOLE, .data.n = 1 } },
    { "idle with a secondary header", "0fff c000 0000 00", RC_PACKET, { 0 } },
    { "version 2", "2001 c000 0000 00", RC_PACKET, { 0 } },
    { "version 8", "e001 c000 0000 00", RC_PACKET, { 0 } },
    { "nothing", "", RC_SHORT, { 0 } },
    { "half a header", "0001 c000 00", RC_SHORT, { 0 } },
    { "a header alone", "0001 c000 0000", RC_SHORT, { 0 } },
    { "one byte short", "0001 c000 0002 0102", RC_SHORT, { 0 } },
    { "64 KiB announced", "0001 c000 ffff 00", RC_SHORT, { 0 } },
    { "wrong version is told before it is complete", "a001 c000 ffff 00", RC_PACKET, { 0 } },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct packet got = { .apid = 4711 };
        struct vector v = { .n = 0 };

        vector_hex(r->hex, &v);
        /* A copy of exactly this size, so that the sanitizer sees a read behind it. */
        uint8_t *exact = malloc(v.n + 1);

        assert_non_null(exact);
        memcpy(exact + 1, v.p, v.n);
        enum rc rc = packet_decode((struct bytes){ exact + 1, v.n }, &got);

        if (rc != r->rc)
            fail_msg("%s: %s", r->why, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(got.apid, 4711);
        if (rc == RC_OK &&
            (got.apid != r->want.apid || got.count != r->want.count || got.part != r->want.part ||
             got.command != r->want.command || got.secondary != r->want.secondary ||
             got.data.n != r->want.data.n || got.data.p != exact + 1 + PACKET_HEADER))
            fail_msg("%s: decoded otherwise", r->why);
        free(exact);
    }
}

static void test_routes(void **state)
{
    struct packet_routes routes;
    struct packet packet = { .apid = 100 };

    (void)state;
    packet_routes_init(&routes);
    assert_int_equal(packet_route(&routes, &packet), PACKET_NO_ROUTE);
    assert_rc(packet_routes_add(&routes, 100, 109, 3, NULL), RC_OK);
    assert_rc(packet_routes_add(&routes, 109, 110, 3, NULL), RC_OK);
    assert_rc(packet_routes_add(&routes, 0, 100, 4, NULL), RC_EXISTS);
    assert_rc(packet_routes_add(&routes, 5, 4, 4, NULL), RC_VALUE);
    assert_rc(packet_routes_add(&routes, 2000, PACKET_IDLE, 4, NULL), RC_VALUE);
    assert_rc(packet_routes_add(&routes, 0, UINT32_MAX, 4, NULL), RC_VALUE);
    assert_rc(packet_routes_add(&routes, 1, 1, PACKET_ROUTES, NULL), RC_VALUE);
    assert_rc(packet_routes_add(&routes, 1, 1, UINT32_MAX, NULL), RC_VALUE);
    for (packet.apid = 0; packet.apid < PACKET_APIDS; packet.apid++)
        assert_int_equal(packet_route(&routes, &packet),
                         packet.apid >= 100 && packet.apid <= 110 ? 3 : PACKET_NO_ROUTE);
}

struct taken {
    size_t n;
    uint16_t count[8];
    size_t refuse_at; /* the n-th is refused; 0 = none is */
};

static enum rc take(void *arg, uint8_t route, const struct packet *packet, struct err *err)
{
    struct taken *t = arg;

    if (t->n + 1 == t->refuse_at)
        return err_set(err, RC_SPOOL_FULL, "full");
    assert_int_equal(route, 9);
    assert_true(t->n < 8);
    t->count[t->n++] = packet->count;
    return RC_OK;
}

/* Three packets for somebody, an idle one and one for nobody in between, and the beginning of one.
 */
#define WALK "0010c0000000aa 07ffc000000000 0010c0010001bbbb 0011c0000000cc 0010c0020000dd"

static void test_walk(void **state)
{
    static const struct {
        const char *hex;
        size_t refuse_at, used, taken, idle, unrouted;
        enum rc rc;
    } walks[] = {
        { WALK, 0, 36, 3, 1, 1, RC_OK },
        { WALK "0010c0030004ee", 0, 36, 3, 1, 1, RC_OK },
        { WALK "0010", 0, 36, 3, 1, 1, RC_OK },
        { WALK "4010c003000000", 0, 36, 3, 1, 1, RC_PACKET },
        { WALK, 2, 14, 1, 1, 0, RC_SPOOL_FULL },
        { "", 0, 0, 0, 0, 0, RC_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        struct taken t = { .refuse_at = walks[i].refuse_at };
        const struct packet_sink sink = { take, &t };
        struct packet_tally tally = { 0 };
        struct packet_routes routes;
        struct vector v = { .n = 0 };
        size_t used = 0;
        uint64_t bytes = 0;

        packet_routes_init(&routes);
        assert_rc(packet_routes_add(&routes, 0x10, 0x10, 9, NULL), RC_OK);
        vector_hex(walks[i].hex, &v);
        assert_rc(packet_walk(&routes, vector_bytes(&v), &sink, &tally, &used, NULL), walks[i].rc);
        assert_int_equal(used, walks[i].used);
        assert_int_equal(t.n, walks[i].taken);
        assert_int_equal(tally.packets[9], walks[i].taken);
        assert_int_equal(tally.idle, walks[i].idle);
        assert_int_equal(tally.unrouted, walks[i].unrouted);
        for (size_t k = 0; k < t.n; k++) {
            assert_int_equal(t.count[k], k);
            bytes += k == 1 ? 8 : 7;
        }
        assert_int_equal(tally.bytes[9], bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
