/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/link_options: what labels say of a link, and what they cannot say.
 */
#include "tests/unit/test.h"

#include "orchestrator/link_options.h"

static void rows_of_labels(void **state)
{
    static const struct {
        const char *labels;
        enum rc rc;
        bool one_way;
        uint32_t repairs, min, max;
    } rows[] = {
        { "", RC_OK, false, 7, 0, 0 },
        { "canary=yes,plane=a", RC_OK, false, 7, 0, 0 },
        { "link=one,linkway=one", RC_OK, false, 7, 0, 0 },
        { "link-way=one", RC_OK, true, 7, 0, 0 },
        { "canary=yes,link-repairs=40,link-way=both", RC_OK, false, 40, 0, 0 },
        { "link-repairs=0,z=1", RC_OK, false, 0, 0, 0 },
        { "link-chunk-max=4096,link-chunk-min=1024", RC_OK, false, 7, 1024, 4096 },
        { "link-chunk-max=262144,link-chunk-min=256", RC_OK, false, 7, 256, 262144 },
        { "link-way=two", RC_USAGE, false, 7, 0, 0 },
        { "link-way=", RC_USAGE, false, 7, 0, 0 },
        { "link-way", RC_USAGE, false, 7, 0, 0 },
        { "link-repairs=101", RC_USAGE, false, 7, 0, 0 },
        { "link-repairs=-1", RC_USAGE, false, 7, 0, 0 },
        { "link-repairs=1234567890", RC_USAGE, false, 7, 0, 0 },
        { "link-chunk-min=255", RC_USAGE, false, 7, 0, 0 },
        { "link-chunk-max=262145", RC_USAGE, false, 7, 0, 0 },
        { "link-chunk-max=1024,link-chunk-min=2048", RC_USAGE, false, 7, 0, 0 },
        { "link-colour=red", RC_USAGE, false, 7, 0, 0 },
        { "link-way=one,link-", RC_USAGE, false, 7, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sender_options o = { .repairs = 7, .flight_ms = 5 };
        struct err err = { 0 };
        enum rc rc = link_options(rows[i].labels, &o, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].labels, rc_name(rc));
        assert_int_equal(o.one_way, rows[i].one_way);
        assert_int_equal(o.repairs, rows[i].repairs);
        assert_int_equal(o.chunk_min, rows[i].min);
        assert_int_equal(o.chunk_max, rows[i].max);
        assert_int_equal(o.flight_ms, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
