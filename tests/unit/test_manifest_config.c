/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "manifest/config.h"

static const struct agent_config good = {
    .satellite = "aurora-1",
    .node = 101,
    .ground = 1,
    .mission = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
};

static struct bytes encoded(uint8_t *buf)
{
    struct bytes out = { 0 };
    struct err err = { 0 };

    assert_rc(config_encode(&good, buf, CONFIG_MAX, &out, &err), RC_OK);
    return out;
}

static void round_trip(void **state)
{
    uint8_t buf[CONFIG_MAX];
    struct agent_config back = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(config_decode(encoded(buf), &back, &err), RC_OK);
    assert_memory_equal(&back, &good, sizeof good);
}

/* Every prefix, and every single-byte change that still decodes, must be another valid config or a
 * refusal that leaves ret alone. */
static void damage_is_refused(void **state)
{
    uint8_t buf[CONFIG_MAX + 1];
    uint8_t bad[CONFIG_MAX + 1];
    struct bytes whole = encoded(buf);
    struct err err = { 0 };

    (void)state;
    for (size_t n = 0; n < whole.n; n++) {
        struct agent_config ret = { .node = 77 };
        assert_int_not_equal(config_decode((struct bytes){ buf, n }, &ret, &err), RC_OK);
        assert_int_equal(ret.node, 77);
    }
    for (size_t i = 0; i < whole.n; i++) {
        struct agent_config ret = { 0 };
        memcpy(bad, buf, whole.n);
        bad[i] ^= 0x80;
        if (config_decode((struct bytes){ bad, whole.n }, &ret, &err) == RC_OK)
            assert_rc(config_check(&ret, &err), RC_OK);
    }
    memcpy(bad, buf, whole.n);
    bad[whole.n] = 0;
    struct agent_config ret = { 0 };
    assert_rc(config_decode((struct bytes){ bad, whole.n + 1 }, &ret, &err), RC_TRAILING);
}

static void senseless_values_are_refused(void **state)
{
    struct agent_config c = good;
    struct bytes out = { 0 };
    struct err err = { 0 };
    uint8_t buf[CONFIG_MAX];

    (void)state;
    c.node = 0;
    assert_rc(config_encode(&c, buf, sizeof buf, &out, &err), RC_VALUE);
    c = good;
    c.ground = c.node;
    assert_rc(config_encode(&c, buf, sizeof buf, &out, &err), RC_VALUE);
    c = good;
    c.satellite[0] = 'A';
    assert_rc(config_encode(&c, buf, sizeof buf, &out, &err), RC_NAME);
    assert_null(out.p);
    assert_rc(config_encode(&good, buf, 10, &out, &err), RC_NO_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(senseless_values_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
