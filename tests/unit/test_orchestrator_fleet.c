/* SPDX-License-Identifier: Apache-2.0
 *
 * Fleet files: what a good one means, and that each bad one is refused with its line.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/fleet.h"

static const char good[] =
    "fleet: aurora\n"
    "satellites:\n"
    "  - {id: aurora-1, labels: {canary: yes, plane: a}}\n"
    "  - {id: aurora-2, labels: {plane: b}, capacity: {memory: 512M, cpu: 1.5, "
    "data: 2G, store: 4G, pids: 400, payloads: 20}}\n"
    "  - id: aurora-3\n"
    "desired:\n"
    "  - select: all\n"
    "    payloads:\n"
    "      acme/beacon: 1.0.0\n"
    "  - select: plane=b\n"
    "    payloads: {zeta/weather: {version: 2.0, hold: true}}\n"
    "  - select: canary\n"
    "    payloads: {luna/catalog: {hold: true}}\n"
    "rollout:\n"
    "  default: {waves: [{n: 1, label: canary}, 50%, 100%], fail: 2}\n"
    "  acme/beacon: {soak: 5s, first: [{label: plane=b}, 100%]}\n";

static enum rc read_text(const char *text, struct fleet **ret, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    enum rc rc = yaml_parse(bytes_of(text), "fleet.yaml", &doc, err);

    return rc == RC_OK ? fleet_read(doc, "some/where/fleet.yaml", ret, err) : rc;
}

static void reads_a_good_file(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text(good, &fleet, &err), RC_OK);
    assert_string_equal(fleet->name, "aurora");
    assert_string_equal(fleet->source, "fleet.yaml");
    assert_int_equal(fleet->n_satellites, 3);
    assert_string_equal(fleet->satellite[1].id, "aurora-2");
    assert_int_equal(fleet->satellite[0].n_labels, 2);
    assert_int_equal(fleet->satellite[2].n_labels, 0);
    assert_int_equal(fleet->satellite[0].capacity.memory_bytes, 0); /* not said */
    assert_int_equal(fleet->satellite[1].capacity.memory_bytes, 512U << 20);
    assert_int_equal(fleet->satellite[1].capacity.cpu_permille, 1500);
    assert_int_equal(fleet->satellite[1].capacity.data_bytes, UINT64_C(2) << 30);
    assert_int_equal(fleet->satellite[1].capacity.store_bytes, UINT64_C(4) << 30);
    assert_int_equal(fleet->satellite[1].capacity.pids, 400);
    assert_int_equal(fleet->satellite[1].capacity.payloads, 20);
    assert_int_equal(fleet->n_wants, 3);
    assert_string_equal(fleet->want[0].tenant, "acme");
    assert_string_equal(fleet->want[0].version, "1.0.0");
    assert_int_equal(fleet->want[0].line, 9);
    assert_string_equal(fleet->want[0].select.key, "");
    assert_string_equal(fleet->want[1].select.value, "b");
    assert_string_equal(fleet->want[1].version, "2.0");
    assert_true(fleet->want[1].hold);
    assert_true(fleet->want[2].hold);

    const struct fleet_policy *policy = fleet_policy_of(fleet, "zeta", "weather");

    assert_int_equal(policy->n_waves, 3);
    assert_int_equal(policy->wave[0].n, 1);
    assert_string_equal(policy->wave[0].label.key, "canary");
    assert_int_equal(policy->wave[1].percent, 50);
    assert_int_equal(policy->fail_max, 2);
    policy = fleet_policy_of(fleet, "acme", "beacon");
    assert_int_equal(policy->soak_ms, 5000);
    assert_int_equal(policy->n_first, 2);
    assert_string_equal(policy->first[0].label.value, "b");
    assert_int_equal(policy->n_waves, 2); /* the built-in ones: a canary, then all */
    assert_int_equal(policy->fail_max, 1);
}

static void conditions(void **state)
{
    static const struct {
        const char *key, *value;
        bool want[3];
    } rows[] = {
        { "", "", { true, true, true } },          { "canary", "", { true, false, false } },
        { "plane", "b", { false, true, false } },  { "id", "aurora-3", { false, false, true } },
        { "plane", "c", { false, false, false } },
    };
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text(good, &fleet, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t s = 0; s < 3; s++) {
            struct fleet_label condition = { 0 };

            (void)snprintf(condition.key, sizeof condition.key, "%s", rows[i].key);
            (void)snprintf(condition.value, sizeof condition.value, "%s", rows[i].value);
            assert_int_equal(fleet_matches(&fleet->satellite[s], &condition), rows[i].want[s]);
        }
}

static void built_in_policy_is_a_canary(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text("fleet: a\nsatellites: [{id: s}]\ndesired: []\n", &fleet, &err), RC_OK);
    const struct fleet_policy *policy = fleet_policy_of(fleet, "x", "y");

    assert_int_equal(policy->wave[0].n, 1);
    assert_int_equal(policy->wave[policy->n_waves - 1].percent, 100);
    assert_int_equal(policy->n_first, 1);
    assert_int_equal(policy->first[0].percent, 100);
}

#define HEAD "fleet: a\nsatellites: [{id: s}]\n"

static void refuses(void **state)
{
    static const struct {
        const char *text;
        const char *where; /* start of the message */
        const char *says;  /* part of it */
    } rows[] = {
        { "", "fleet.yaml:", "fleet" },
        { "fleet: A\nsatellites: [{id: s}]\ndesired: []\n", "fleet.yaml:1:", "lower-case" },
        { "fleet: a\nsatellites: []\ndesired: []\n", "fleet.yaml:2:", "no satellites" },
        { "fleet: a\nsatellites: [{id: s}, {id: s}]\ndesired: []\n", "fleet.yaml:2:", "twice" },
        { "fleet: a\nsatellites: [{id: S!}]\ndesired: []\n", "fleet.yaml:2:", "id" },
        { "fleet: a\nsatellites:\n  - {id: s, labls: {}}\ndesired: []\n",
          "fleet.yaml:3:", "labls" },
        { "fleet: a\nsatellites:\n  - {id: s, labels: {id: x}}\ndesired: []\n",
          "fleet.yaml:3:", "label" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {memry: 1M}}\ndesired: []\n",
          "fleet.yaml:3:", "memry" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {memory: 0}}\ndesired: []\n",
          "fleet.yaml:3:", "memory" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {payloads: 65}}\ndesired: []\n",
          "fleet.yaml:3:", "payloads" },
        { HEAD "desred: []\n", "fleet.yaml:3:", "desred" },
        { HEAD "desired:\n  - payloads: {t/p: 1}\n", "fleet.yaml:4:", "select" },
        { HEAD "desired:\n  - select: plane=z\n    payloads: {t/p: 1}\n",
          "fleet.yaml:4:", "selects no satellite" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      tp: 1\n",
          "fleet.yaml:6:", "tenant/payload" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: ../1\n",
          "fleet.yaml:6:", "version" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: {hold: false}\n",
          "fleet.yaml:6:", "version" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: {version: 1, digest: ab}\n",
          "fleet.yaml:6:", "digest" },
        { HEAD "desired: []\nrollout:\n  t: {}\n", "fleet.yaml:5:", "tenant/payload" },
        { HEAD "desired: []\nrollout:\n  default: {waves: []}\n", "fleet.yaml:5:", "100%" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [50%]}\n", "fleet.yaml:5:", "100%" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [50%, 25%, 100%]}\n",
          "fleet.yaml:5:", "rise" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [{}, 100%]}\n",
          "fleet.yaml:5:", "needs n" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [{n: 0}, 100%]}\n",
          "fleet.yaml:5:", "n" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [101%]}\n", "fleet.yaml:5:", "%" },
        { HEAD "desired: []\nrollout:\n  default: {fail: 0}\n", "fleet.yaml:5:", "fail" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 5}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 5s, soakk: 1}\n",
          "fleet.yaml:5:", "soakk" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fleet *fleet = NULL;
        struct err err = { 0 };
        enum rc rc = read_text(rows[i].text, &fleet, &err);

        if (rc != RC_YAML || fleet ||
            strncmp(err.what, rows[i].where, strlen(rows[i].where)) != 0 ||
            !strstr(err.what, rows[i].says))
            fail_msg("row %zu: %s, \"%s\"", i, rc_name(rc), err.what);
    }
}

static void the_example_is_good(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err = { 0 };

    (void)state;
    assert_rc(fleet_load("examples/fleets/aurora.yaml", &fleet, &err), RC_OK);
    assert_int_equal(fleet->n_satellites, 3);
    assert_int_equal(fleet->n_wants, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_good_file),           cmocka_unit_test(conditions),
        cmocka_unit_test(built_in_policy_is_a_canary), cmocka_unit_test(refuses),
        cmocka_unit_test(the_example_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
