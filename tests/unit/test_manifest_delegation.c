/* SPDX-License-Identifier: Apache-2.0
 *
 * Delegations: names of teams, what is refused, limits inside limits.
 */
#include "tests/unit/test.h"

#include "base/name.h"
#include "tests/unit/documents.h"

static uint8_t buf[DOCUMENT_MAX];
static struct signed_doc one;

static const struct {
    const char *team;
    bool valid;
} teams[] = {
    { "flight", true },
    { "flight/cam", true },
    { "a/b/c/d", true },
    { "a/b/c/d/e", false },
    { "", false },
    { "/", false },
    { "flight/", false },
    { "/flight", false },
    { "a//b", false },
    { "a/-b", false },
    { "A", false },
    { "a/../b", false },
    { "abcdefghijklmnopqrstuvwxyz0123456", false },
    { "abcdefghijklmnopqrstuvwxyz012345/abcdefghijklmnopqrstuvwxyz012345/"
      "abcdefghijklmnopqrstuvwxyz012345/abcdefghijklmnopqrstuvwxyz012345",
      true },
};

static void teams_are_paths_of_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof teams / sizeof teams[0]; i++)
        if (team_valid(teams[i].team) != teams[i].valid)
            fail_msg("%s", teams[i].team);
}

static void teams_lie_inside_teams(void **state)
{
    char cut[TEAM_CAP];

    (void)state;
    assert_true(team_within("", "flight"));
    assert_true(team_within("flight", "flight"));
    assert_true(team_within("flight", "flight/cam"));
    assert_false(team_within("flight", "flights"));
    assert_false(team_within("flight/cam", "flight"));
    assert_false(team_within("cam", "camera/x"));
    assert_int_equal(team_depth(""), 0);
    assert_int_equal(team_depth("a/b/c"), 3);
    team_cut("flight/cam/lab", 0, cut);
    assert_string_equal(cut, "");
    team_cut("flight/cam/lab", 1, cut);
    assert_string_equal(cut, "flight");
    team_cut("flight/cam/lab", 2, cut);
    assert_string_equal(cut, "flight/cam");
    team_cut("flight/cam/lab", 9, cut);
    assert_string_equal(cut, "flight/cam/lab");
}

/* ---- what makes sense ---- */

static void d_tenant(struct delegation *d)
{
    d->tenant[0] = 'A';
}

static void d_team(struct delegation *d)
{
    d->team[0] = '/';
}

static void d_no_team(struct delegation *d)
{
    memset(d->team, 0, sizeof d->team);
}

static void d_epoch(struct delegation *d)
{
    d->epoch = 0;
}

static void d_epoch_max(struct delegation *d)
{
    d->epoch = UINT64_MAX;
}

static void d_expires(struct delegation *d)
{
    d->expires_ms = d->issued_ms;
}

static void d_no_keys(struct delegation *d)
{
    d->keys.n = 0;
}

static void d_threshold(struct delegation *d)
{
    d->keys.threshold = 3;
}

static void d_key_twice(struct delegation *d)
{
    d->keys.key[1] = d->keys.key[0];
}

static void d_prefix(struct delegation *d)
{
    d->prefix[0] = '-';
}

static void d_memory(struct delegation *d)
{
    d->total.memory_bytes = 0;
}

static void d_store(struct delegation *d)
{
    d->store_bytes = 0;
}

static void d_payloads(struct delegation *d)
{
    d->payloads_max = PAYLOADS_MAX + 1;
}

static void d_since(struct delegation *d)
{
    d->teams_since_ms = d->issued_ms + 1;
}

static void d_policy(struct delegation *d)
{
    d->withdrawn = (enum revoke_policy)4;
}

static void d_withdrawn_with_terms(struct delegation *d)
{
    d->withdrawn = REVOKE_STOP;
}

static const struct {
    const char *why;
    void (*edit)(struct delegation *d);
    enum rc rc;
} checks[] = {
    { "tenant that is no name", d_tenant, RC_NAME },
    { "team that is no path", d_team, RC_NAME },
    { "no team: the tenant itself", d_no_team, RC_NAME },
    { "epoch 0", d_epoch, RC_VALUE },
    { "epoch above 2^63", d_epoch_max, RC_VALUE },
    { "expired when it was issued", d_expires, RC_VALUE },
    { "no keys", d_no_keys, RC_THRESHOLD_INVALID },
    { "threshold above the keys", d_threshold, RC_THRESHOLD_INVALID },
    { "one key twice", d_key_twice, RC_KEY_DUPLICATE },
    { "prefix that is no name", d_prefix, RC_NAME },
    { "no memory", d_memory, RC_VALUE },
    { "no store", d_store, RC_VALUE },
    { "more payloads than a satellite has", d_payloads, RC_VALUE },
    { "teams begin in the future", d_since, RC_VALUE },
    { "unknown policy", d_policy, RC_VALUE },
    { "withdrawn, with terms", d_withdrawn_with_terms, RC_VALUE },
};

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct delegation d = doc_delegation();
        struct bytes view = { 0 };

        checks[i].edit(&d);
        if (delegation_encode(&d, buf, sizeof buf, &view, NULL) != checks[i].rc)
            fail_msg("%s", checks[i].why);
        assert_null(view.p);
    }
}

/* ---- both ways ---- */

static void both_forms_go_both_ways(void **state)
{
    const struct delegation in_force = doc_delegation(), withdrawn = doc_withdrawal();
    struct delegation got = { 0 };
    char tenant[NAME_CAP], team[TEAM_CAP];

    (void)state;
    doc_signed(&one, DOC_DELEGATION, delegation_encode, &in_force, K_ACME);
    print_message("delegation to two keys, one signer: %zu bytes\n", one.bytes.n);
    assert_rc(delegation_decode(one.payload, &got, NULL), RC_OK);
    assert_memory_equal(&got, &in_force, sizeof got);
    assert_rc(delegation_peek(one.payload, tenant, team, NULL), RC_OK);
    assert_string_equal(tenant, "acme");
    assert_string_equal(team, "flight");
    doc_signed(&one, DOC_DELEGATION, delegation_encode, &withdrawn, K_ACME);
    print_message("withdrawal, one signer: %zu bytes\n", one.bytes.n);
    assert_rc(delegation_decode(one.payload, &got, NULL), RC_OK);
    assert_memory_equal(&got, &withdrawn, sizeof got);
}

static void a_manifest_says_whose_keys(void **state)
{
    struct manifest m = doc_manifest(), got = { 0 };
    struct bytes alone = { 0 };
    static uint8_t before[DOCUMENT_MAX];

    (void)state;
    assert_rc(manifest_encode(&m, before, sizeof before, &alone, NULL), RC_OK);
    memcpy(m.team, "flight/cam", sizeof "flight/cam");
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_CAM);
    assert_int_equal(one.payload.n, alone.n + sizeof "/flight/cam" - 1);
    assert_rc(manifest_decode(one.payload, &got, NULL), RC_OK);
    assert_string_equal(got.tenant, "acme");
    assert_string_equal(got.team, "flight/cam");
    memcpy(m.team, "flight//x", sizeof "flight//x");
    assert_rc(manifest_encode(&m, buf, sizeof buf, &alone, NULL), RC_NAME);
}

/* Every way to write a signer that is not the one way. */
static void odd_signers_are_refused(void **state)
{
    static const char *const odd[] = {
        "acme/", "/acme", "acme//flight", "acme/a/b/c/d/e", "acme/flight/", "acme/Flight", "/", ""
    };
    const struct delegation d = doc_withdrawal();
    struct bytes good = { 0 };
    struct delegation got;

    (void)state;
    assert_rc(delegation_encode(&d, buf, sizeof buf, &good, NULL), RC_OK);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        static uint8_t edited[256];
        size_t head = 7, old = sizeof "acme/flight" - 1, n = strlen(odd[i]);

        assert_int_equal(good.p[head - 1], 0x60 + old); /* the text's head */
        memcpy(edited, good.p, head);
        edited[head - 1] = (uint8_t)(0x60 + n);
        memcpy(edited + head, odd[i], n);
        memcpy(edited + head + n, good.p + head + old, good.n - head - old);
        if (delegation_decode((struct bytes){ edited, good.n - old + n }, &got, NULL) != RC_NAME)
            fail_msg("%s", odd[i]);
    }
}

/* ---- limits inside limits ---- */

static void x_prefix(struct delegation *d)
{
    memcpy(d->prefix, "camera", sizeof "camera");
}

static void x_no_prefix(struct delegation *d)
{
    memset(d->prefix, 0, sizeof d->prefix);
}

static void x_memory(struct delegation *d)
{
    d->total.memory_bytes = (64U << 20) + 1;
}

static void x_data(struct delegation *d)
{
    d->total.data_bytes = (32U << 20) + 1;
}

static void x_tmp(struct delegation *d)
{
    d->total.tmp_bytes = (16U << 20) + 1;
}

static void x_cpu(struct delegation *d)
{
    d->total.cpu_permille = 501;
}

static void x_pids(struct delegation *d)
{
    d->total.pids = 33;
}

static void x_files(struct delegation *d)
{
    d->total.open_files = 129;
}

static void x_store(struct delegation *d)
{
    d->store_bytes = (100U << 20) + 1;
}

static void x_payloads(struct delegation *d)
{
    d->payloads_max = 5;
}

static void x_expires(struct delegation *d)
{
    d->expires_ms = ISSUED_MS + 100 * DAY_MS + 1;
}

static void x_forever(struct delegation *d)
{
    d->expires_ms = 0;
}

static void x_key(struct delegation *d)
{
    d->keys.key[1] = *sign_key_public(doc_key(K_ACME));
}

static void x_all(struct delegation *d)
{
    const struct grant g = doc_grant();

    memcpy(d->prefix, g.prefix, sizeof d->prefix);
    d->total = g.total;
    d->store_bytes = g.store_bytes;
    d->payloads_max = g.payloads_max;
    d->expires_ms = g.expires_ms;
}

static const struct {
    const char *why;
    void (*edit)(struct delegation *d);
    enum rc rc;
} fits[] = {
    { "all that its parent has", x_all, RC_OK },
    { "a sibling's names, that only begin alike", x_prefix, RC_NAME_NOT_GRANTED },
    { "every name", x_no_prefix, RC_NAME_NOT_GRANTED },
    { "memory", x_memory, RC_DELEGATION_EXCEEDED },
    { "data", x_data, RC_DELEGATION_EXCEEDED },
    { "tmp", x_tmp, RC_DELEGATION_EXCEEDED },
    { "cpu", x_cpu, RC_DELEGATION_EXCEEDED },
    { "pids", x_pids, RC_DELEGATION_EXCEEDED },
    { "files", x_files, RC_DELEGATION_EXCEEDED },
    { "store", x_store, RC_DELEGATION_EXCEEDED },
    { "payloads", x_payloads, RC_DELEGATION_EXCEEDED },
    { "longer than its parent", x_expires, RC_DELEGATION_EXCEEDED },
    { "for ever", x_forever, RC_DELEGATION_EXCEEDED },
    { "a key of its parent", x_key, RC_KEY_DUPLICATE },
};

static void limits_lie_inside_limits(void **state)
{
    const struct grant grant = doc_grant();
    const struct authority parent = grant_authority(&grant);

    (void)state;
    for (size_t i = 0; i < sizeof fits / sizeof fits[0]; i++) {
        struct delegation d = doc_delegation();

        fits[i].edit(&d);
        if (delegation_fits(&parent, &d, NULL) != fits[i].rc)
            fail_msg("%s", fits[i].why);
    }
}

static int end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(teams_are_paths_of_names),   cmocka_unit_test(teams_lie_inside_teams),
        cmocka_unit_test(nonsense_is_refused),        cmocka_unit_test(both_forms_go_both_ways),
        cmocka_unit_test(a_manifest_says_whose_keys), cmocka_unit_test(odd_signers_are_refused),
        cmocka_unit_test(limits_lie_inside_limits),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
