/* SPDX-License-Identifier: Apache-2.0
 *
 * What a ground elsewhere says of its trust before a delegation is signed for it.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/remote_delegate.h"

#define MISSION_HEX "62657274682d746573742d666c656574" /* berth-test-fleet */
#define KEY_HEX "01010101010101010101010101010101"
#define GRANTS "\"grants\":[{\"tenant\":\"acme\",\"epoch\":1,\"keys\":[\"%s\"]}]"
#define TRUST "{\"mission\":\"" MISSION_HEX "\"," GRANTS ",\"teams\":[%s]}"

static const struct mission mission = { "berth-test-fleet" };
static struct err err;
static char fix[REMOTE_FIX_CAP];

static enum rc check(const char *text, unsigned status, const char *team, uint64_t epoch)
{
    struct delegation *doc = calloc(1, sizeof *doc);
    static struct public_key key;
    const struct public_key *const keys[] = { &key };

    assert_non_null(doc);
    memset(key.id, 1, sizeof key.id);
    memcpy(doc->tenant, "acme", 5);
    (void)snprintf(doc->team, sizeof doc->team, "%s", team);
    doc->epoch = epoch;
    enum rc rc = remote_delegate_check(status, bytes_of(text), &mission, doc, keys, 1, fix, &err);

    free(doc);
    return rc;
}

static const char *trust(const char *key, const char *teams)
{
    static char text[1024];

    (void)snprintf(text, sizeof text, TRUST, key, teams);
    return text;
}

static void what_the_ground_can_take(void **state)
{
    static const char other[] = "02010101010101010101010101010101";
    static const char team[] = "{\"tenant\":\"acme\",\"team\":\"optics\",\"epoch\":5}";

    (void)state;
    assert_rc(check(trust(KEY_HEX, ""), 200, "optics", 5), RC_OK);
    assert_rc(check(trust(KEY_HEX, team), 200, "optics", 6), RC_OK);
    assert_rc(check(trust(KEY_HEX, team), 200, "optics", 5), RC_VERSION_OLD);
    assert_rc(check(trust(KEY_HEX, team), 200, "radar", 1), RC_OK);
    /* told that only the last epoch there is would do, nobody is to sign it */
    assert_rc(check(trust(KEY_HEX, "{\"tenant\":\"acme\",\"team\":\"optics\","
                                   "\"epoch\":9223372036854775806}"),
                    200, "optics", 5),
              RC_API_SERVER);
    assert_rc(check(trust(other, ""), 200, "optics", 5), RC_KEY_UNKNOWN);
    assert_rc(check(trust(other, ""), 200, "optics/raw", 5), RC_OK); /* its team's keys sign */
}

static void what_is_no_answer(void **state)
{
    (void)state;
    assert_rc(check("", 200, "optics", 5), RC_API_SERVER);
    assert_rc(check("[]", 200, "optics", 5), RC_API_SERVER);
    assert_rc(
        check("{\"mission\":\"" MISSION_HEX "\",\"grants\":{},\"teams\":[]}", 200, "optics", 5),
        RC_API_SERVER);
    assert_rc(check("{\"mission\":\"" MISSION_HEX "\",\"grants\":[1,null],\"teams\":[]}", 200,
                    "optics", 5),
              RC_GRANT_MISSING);
    assert_rc(check("{\"mission\":\"00\",\"grants\":[],\"teams\":[]}", 200, "optics", 5),
              RC_MISSION);
    assert_rc(check("{\"grants\":[],\"teams\":[]}", 200, "optics", 5), RC_MISSION);
    assert_rc(check("{}", 403, "optics", 5), RC_API_SERVER);
    assert_rc(check("{\"error\":{\"what\":\"w\",\"code\":287,\"fix\":\"f\"}}", 403, "optics", 5),
              RC_API_ROLE);
    assert_string_equal(fix, "f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_ground_can_take),
        cmocka_unit_test(what_is_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
