/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocations: what is refused, how entries are put together, and that nothing is ever taken back.
 */
#include "tests/unit/test.h"

#include "tests/unit/documents.h"

static uint8_t buf[DOCUMENT_MAX];
static struct signed_doc one;
static struct revoked_set set;

static void r_number(struct revocation *r)
{
    r->number = 0;
}

static void r_number_max(struct revocation *r)
{
    r->number = UINT64_MAX;
}

static void r_issued(struct revocation *r)
{
    r->issued_ms = 0;
}

static void r_kind(struct revocation *r)
{
    r->entry[2].kind = (enum revoked_kind)4;
}

static void r_policy_none(struct revocation *r)
{
    r->entry[0].policy = REVOKE_NONE;
}

static void r_policy_high(struct revocation *r)
{
    r->entry[0].policy = (enum revoke_policy)4;
}

static void r_tenant(struct revocation *r)
{
    r->entry[1].tenant[0] = '/';
}

static void r_epoch(struct revocation *r)
{
    r->entry[1].epoch = 0;
}

static void r_digest(struct revocation *r)
{
    memset(&r->entry[2].manifest, 0, sizeof r->entry[2].manifest);
}

static void r_unsorted(struct revocation *r)
{
    r->entry[3] = r->entry[0];
    r->n = 4;
}

static void r_twice(struct revocation *r)
{
    r->entry[3] = r->entry[2];
    r->entry[3].policy = REVOKE_KEEP;
    r->n = 4;
}

static void r_many(struct revocation *r)
{
    r->n = REVOCATION_ENTRIES_MAX + 1;
}

static const struct {
    const char *why;
    void (*edit)(struct revocation *r);
    enum rc rc;
} checks[] = {
    { "number 0", r_number, RC_VALUE },
    { "number above 2^63", r_number_max, RC_VALUE },
    { "no time", r_issued, RC_VALUE },
    { "unknown kind", r_kind, RC_VALUE },
    { "no policy", r_policy_none, RC_VALUE },
    { "unknown policy", r_policy_high, RC_VALUE },
    { "tenant that is no name", r_tenant, RC_NAME },
    { "epoch 0", r_epoch, RC_VALUE },
    { "digest of zeros", r_digest, RC_DIGEST_MISSING },
    { "unsorted", r_unsorted, RC_CBOR_ORDER },
    { "the same twice", r_twice, RC_CBOR_ORDER },
    { "too many", r_many, RC_VALUE },
};

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct revocation r = doc_revocation();
        struct bytes view = { 0 };

        checks[i].edit(&r);
        if (revocation_encode(&r, buf, sizeof buf, &view, NULL) != checks[i].rc)
            fail_msg("%s", checks[i].why);
        assert_null(view.p);
    }
}

static void names_go_both_ways(void **state)
{
    (void)state;
    for (enum revoke_policy p = REVOKE_KEEP; p <= REVOKE_STOP; p++) {
        enum revoke_policy got = REVOKE_NONE;

        assert_true(revoke_policy_find(revoke_policy_name(p), &got));
        assert_int_equal(got, p);
    }
    enum revoke_policy none = REVOKE_NONE;
    assert_false(revoke_policy_find("none", &none));
    assert_false(revoke_policy_find("", &none));
}

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(&d, fill, sizeof d);
    return d;
}

/* Whatever comes later, an entry stays, and its policy and epoch only rise. */
static void the_set_only_grows(void **state)
{
    struct revocation r = doc_revocation();
    struct digest id = digest_of(1), m = digest_of(0x99);

    (void)state;
    set = (struct revoked_set){ 0 };
    assert_rc(revoked_set_add(&set, &r, &id, NULL), RC_OK);
    assert_int_equal(revoked_key(&set, r.entry[0].key), REVOKE_STOP);
    assert_int_equal(revoked_manifest(&set, &m), REVOKE_ROLLBACK);
    assert_int_equal(revoked_grant(&set, "zenith", 9), REVOKE_KEEP);
    assert_int_equal(revoked_grant(&set, "zenith", 10), REVOKE_NONE);
    assert_int_equal(revoked_grant(&set, "zenit", 1), REVOKE_NONE);

    r.number = 6;
    r.issued_ms -= 1000;
    r.entry[0].policy = REVOKE_KEEP;
    r.entry[1].policy = REVOKE_STOP;
    r.entry[1].epoch = 2;
    r.n = 2;
    assert_rc(revoked_set_add(&set, &r, &id, NULL), RC_OK);
    assert_int_equal(set.n, 3);
    assert_int_equal(set.number, 6);
    assert_int_equal(set.issued_ms, ISSUED_MS);
    assert_int_equal(revoked_key(&set, r.entry[0].key), REVOKE_STOP);
    assert_int_equal(revoked_grant(&set, "zenith", 9), REVOKE_STOP);
    assert_int_equal(revoked_manifest(&set, &m), REVOKE_ROLLBACK);
}

/* A full set takes all of a document or nothing of it. */
static void a_full_set_stays_as_it_is(void **state)
{
    struct revocation r = { .issued_ms = ISSUED_MS };
    struct digest id = digest_of(1);
    static struct revoked_set before;
    struct bytes view = { 0 };

    (void)state;
    set = (struct revoked_set){ 0 };
    for (uint32_t i = 0; i < REVOKED_MAX; i++) {
        r.number++;
        r.n = 1;
        r.entry[0] = (struct revoked){ .kind = REVOKED_GRANT, .policy = REVOKE_STOP };
        (void)snprintf(r.entry[0].tenant, NAME_CAP, "tenant-with-a-rather-long-nam-%u", i % 10);
        (void)snprintf(r.entry[0].tenant, 4, "%03u", i);
        r.entry[0].tenant[3] = '-';
        r.entry[0].epoch = INT64_MAX;
        assert_rc(revoked_set_add(&set, &r, &id, NULL), RC_OK);
    }
    assert_int_equal(set.n, REVOKED_MAX);
    assert_rc(revoked_set_encode(&set, buf, REVOKED_FILE_MAX, &view, NULL), RC_OK);
    assert_rc(revoked_set_decode(view, &before, NULL), RC_OK);
    assert_memory_equal(&before, &set, sizeof set);

    r = doc_revocation();
    r.number = 1000;
    assert_rc(revoked_set_add(&set, &r, &id, NULL), RC_NO_ROOM);
    assert_memory_equal(&before, &set, sizeof set);
}

static void a_damaged_set_is_none(void **state)
{
    const struct revocation r = doc_revocation();
    struct digest id = digest_of(1);
    static struct revoked_set got;
    struct bytes view = { 0 };

    (void)state;
    set = (struct revoked_set){ 0 };
    assert_rc(revoked_set_add(&set, &r, &id, NULL), RC_OK);
    assert_rc(revoked_set_encode(&set, buf, sizeof buf, &view, NULL), RC_OK);
    for (size_t n = 0; n < view.n; n++)
        assert_int_not_equal(revoked_set_decode((struct bytes){ view.p, n }, &got, NULL), RC_OK);
    buf[view.n] = 0;
    assert_rc(revoked_set_decode((struct bytes){ view.p, view.n + 1 }, &got, NULL), RC_TRAILING);
    set.newest = (struct digest){ 0 };
    assert_rc(revoked_set_encode(&set, buf, sizeof buf, &view, NULL), RC_VALUE);
}

/* The largest document with two root signatures: 8 KB leave a bundle 400 bytes for itself. */
static void fits_one_bundle(void **state)
{
    struct revocation r = { .number = INT64_MAX, .issued_ms = INT64_MAX };

    (void)state;
    r.n = REVOCATION_ENTRIES_MAX;
    for (uint32_t i = 0; i < r.n; i++) {
        r.entry[i] = (struct revoked){ .kind = REVOKED_GRANT, .policy = REVOKE_STOP };
        memset(r.entry[i].tenant, 'a' + (char)i, NAME_MAX_LEN);
        r.entry[i].epoch = INT64_MAX;
    }
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    print_message("largest revocation, two signers: %zu bytes\n", one.bytes.n);
    assert_true(one.bytes.n + 400 <= 8192);
    r = doc_revocation();
    r.n = 1;
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    print_message("revocation of one key, two signers: %zu bytes\n", one.bytes.n);
    assert_true(one.bytes.n < 7168);
}

static int drop_keys(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),   cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(the_set_only_grows),    cmocka_unit_test(a_full_set_stays_as_it_is),
        cmocka_unit_test(a_damaged_set_is_none), cmocka_unit_test(fits_one_bundle),
    };

    return cmocka_run_group_tests(tests, NULL, drop_keys);
}
