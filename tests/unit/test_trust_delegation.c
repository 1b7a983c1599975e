/* SPDX-License-Identifier: Apache-2.0
 *
 * Teams: what is tried on delegations, each row with the attack and the code that must answer; what
 * becomes of teams when something above them changes.  The scene: acme has "cam" in its grant, its
 * team flight "cam-north", flight's team cam "cam-north-1".  After every attack what was good is
 * still good, for the team, the tenant and the other tenant.
 */
#include "tests/unit/test.h"

#include "manifest/trust.h"
#include "tests/unit/documents.h"

static struct trust *trust;
static struct signed_doc evil, by_team, by_tenant, by_zenith;
static struct delegation doc;
static struct manifest manifest;

/* ---- making things ---- */

static void name_team(struct delegation *d, const char *team)
{
    memset(d->team, 0, sizeof d->team);
    memcpy(d->team, team, strlen(team));
}

static void name_prefix(struct delegation *d, const char *prefix)
{
    memset(d->prefix, 0, sizeof d->prefix);
    memcpy(d->prefix, prefix, strlen(prefix));
}

static void the_flight(void)
{
    doc = doc_delegation();
}

/* The next one for flight, good as it is. */
static void flight_again(void)
{
    doc = doc_delegation();
    doc.epoch = 3;
}

static void the_cam(void)
{
    doc = doc_delegation();
    name_team(&doc, "flight/cam");
    name_prefix(&doc, "cam-north-1");
    doc.keys = doc_key_set(1, 1, K_CAM);
    doc.total.memory_bytes /= 2;
    doc.payloads_max = 1;
}

static void sign_by(enum doc_key key)
{
    doc_signed(&evil, DOC_DELEGATION, delegation_encode, &doc, key);
}

static void manifest_of(struct signed_doc *ret, const char *team, const char *name,
                        enum doc_key key)
{
    manifest = doc_manifest();
    memset(manifest.name, 0, sizeof manifest.name);
    memcpy(manifest.team, team, strlen(team));
    memcpy(manifest.name, name, strlen(name));
    doc_signed(ret, DOC_MANIFEST, manifest_encode, &manifest, key);
}

static enum rc add(void)
{
    return trust_add_delegation(trust, evil.bytes, NOW_MS, NULL, NULL);
}

static enum rc verify_at(const struct signed_doc *m, uint64_t now_ms, bool running)
{
    scoped(verified_manifest_free) struct verified_manifest *got = NULL;

    return running ? trust_verify_running(trust, m->bytes, now_ms, &got, NULL)
                   : trust_verify_manifest(trust, m->bytes, now_ms, &got, NULL);
}

static enum rc verify(const struct signed_doc *m)
{
    return verify_at(m, NOW_MS, false);
}

static noinline void add_grant(const char *tenant, enum doc_key key, uint64_t epoch,
                               void (*edit)(struct grant *g))
{
    static struct signed_doc one;
    struct grant g = doc_grant();

    g.epoch = epoch;
    memcpy(g.tenant, tenant, strlen(tenant) + 1);
    g.keys = doc_key_set(1, 1, key);
    if (edit)
        edit(&g);
    doc_signed(&one, DOC_GRANT, grant_encode, &g, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
}

static noinline void revoke(struct revoked entry, uint64_t number)
{
    static struct signed_doc one;
    const struct revocation r = {
        .number = number, .issued_ms = ISSUED_MS, .n = 1, .entry = { entry }
    };
    bool taken = false;

    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_add_revocation(trust, one.bytes, &taken, NULL), RC_OK);
}

static noinline int scene_begins(void **state)
{
    struct root root = doc_root();

    (void)state;
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(evil.bytes, &trust, NULL), RC_OK);
    add_grant("acme", K_ACME, 3, NULL);
    add_grant("zenith", K_ZENITH, 3, NULL);
    the_flight();
    sign_by(K_ACME);
    assert_rc(add(), RC_OK);
    the_cam();
    sign_by(K_FLIGHT_2);
    assert_rc(add(), RC_OK);
    manifest_of(&by_team, "flight", "cam-north", K_FLIGHT);
    manifest_of(&by_tenant, "", "cam-north", K_ACME);
    manifest_of(&by_zenith, "", "cam-north", K_ZENITH);
    memcpy(manifest.tenant, "zenith", 7);
    doc_signed(&by_zenith, DOC_MANIFEST, manifest_encode, &manifest, K_ZENITH);
    return 0;
}

static int scene_ends(void **state)
{
    (void)state;
    trust_free(&trust);
    return 0;
}

/* ---- attacks on delegations ---- */

static void siblings_prefix(void)
{
    flight_again();
    name_prefix(&doc, "camera"); /* another tenant's, that only begins alike */
    sign_by(K_ACME);
}

static void siblings_prefix_below(void)
{
    the_cam();
    doc.epoch = 3;
    name_prefix(&doc, "cam-northern");
    sign_by(K_FLIGHT);
}

static void all_names(void)
{
    flight_again();
    name_prefix(&doc, "");
    sign_by(K_ACME);
}

static void beyond_parent(void)
{
    flight_again();
    doc.total.memory_bytes = doc_grant().total.memory_bytes + 1;
    sign_by(K_ACME);
}

/* Inside the tenant's limits, not inside its team's. */
static void beyond_team(void)
{
    the_cam();
    doc.epoch = 3;
    doc.store_bytes = doc_delegation().store_bytes + 1;
    sign_by(K_FLIGHT);
}

static void outlives_parent(void)
{
    the_cam();
    doc.epoch = 3;
    doc.expires_ms = doc_delegation().expires_ms + 1;
    sign_by(K_FLIGHT);
}

static void self_delegation(void)
{
    flight_again();
    doc.total = doc_grant().total;
    sign_by(K_FLIGHT);
}

static void team_extends_itself(void)
{
    flight_again();
    doc.expires_ms += DAY_MS;
    sign_by(K_FLIGHT_2);
}

static void for_a_sibling(void)
{
    the_flight();
    name_team(&doc, "ops");
    sign_by(K_FLIGHT);
}

static void for_another_tenant(void)
{
    the_flight();
    memcpy(doc.tenant, "zenith", 7);
    sign_by(K_ACME);
}

/* The tenant is not the parent of a team's team. */
static void by_grandparent(void)
{
    the_cam();
    doc.epoch = 3;
    sign_by(K_ACME);
}

static void by_operator(void)
{
    flight_again();
    sign_by(K_OPERATOR_A);
}

static void by_root(void)
{
    flight_again();
    sign_by(K_ROOT_A);
}

static void withdrawn_by_itself(void)
{
    doc = doc_withdrawal();
    sign_by(K_FLIGHT);
}

static void withdrawn_by_another_tenant(void)
{
    doc = doc_withdrawal();
    sign_by(K_ZENITH);
}

static void parents_key_in_team(void)
{
    flight_again();
    doc.keys.key[1] = *sign_key_public(doc_key(K_ACME));
    sign_by(K_ACME);
}

static void older_epoch(void)
{
    the_flight();
    doc.epoch = 1;
    sign_by(K_ACME);
}

static void equivocation(void)
{
    the_flight();
    doc.payloads_max = 1;
    sign_by(K_ACME);
}

static void same_epoch_withdrawn(void)
{
    doc = doc_withdrawal();
    doc.epoch = 2;
    sign_by(K_ACME);
}

static void no_parent(void)
{
    the_cam();
    name_team(&doc, "ops/cam");
    sign_by(K_FLIGHT);
}

static void no_tenant(void)
{
    the_flight();
    memcpy(doc.tenant, "nobody", 7);
    sign_by(K_ACME);
}

static void expired(void)
{
    flight_again();
    doc.expires_ms = NOW_MS;
    sign_by(K_ACME);
}

static void from_the_future(void)
{
    flight_again();
    doc.issued_ms = ISSUED_MS + TRUST_AHEAD_MAX_MS + 1;
    doc.expires_ms = doc.issued_ms + DAY_MS;
    sign_by(K_ACME);
}

static void manifest_as_delegation(void)
{
    manifest = doc_manifest();
    doc_signed(&evil, DOC_DELEGATION, manifest_encode, &manifest, K_ACME);
}

static void grant_as_delegation(void)
{
    static struct grant g;

    g = doc_grant();
    g.epoch = 9;
    doc_signed(&evil, DOC_DELEGATION, grant_encode, &g, K_ACME);
}

static void signed_as_manifest(void)
{
    flight_again();
    doc_signed(&evil, DOC_MANIFEST, delegation_encode, &doc, K_ACME);
}

static void other_mission_delegation(void)
{
    static const enum doc_key who[] = { K_ACME };

    flight_again();
    sign_by(K_ACME);
    doc_sign(&evil, DOC_DELEGATION, &other_mission, who, 1);
}

static const struct {
    const char *why;
    void (*make)(void);
    enum rc rc;
} attacks[] = {
    { "a sibling's names: cam and camera", siblings_prefix, RC_NAME_NOT_GRANTED },
    { "the same one level down", siblings_prefix_below, RC_NAME_NOT_GRANTED },
    { "every name", all_names, RC_NAME_NOT_GRANTED },
    { "more than the tenant has", beyond_parent, RC_DELEGATION_EXCEEDED },
    { "more than the team above has", beyond_team, RC_DELEGATION_EXCEEDED },
    { "longer than the team above", outlives_parent, RC_DELEGATION_EXCEEDED },
    { "a team raises its own limits", self_delegation, RC_KEY_UNKNOWN },
    { "a team extends its own time", team_extends_itself, RC_KEY_UNKNOWN },
    { "a team sets up a sibling", for_a_sibling, RC_KEY_UNKNOWN },
    { "a tenant sets up another's team", for_another_tenant, RC_KEY_UNKNOWN },
    { "the tenant signs for a team's team", by_grandparent, RC_KEY_UNKNOWN },
    { "the operator signs", by_operator, RC_KEY_UNKNOWN },
    { "the root signs", by_root, RC_KEY_UNKNOWN },
    { "a team withdraws itself", withdrawn_by_itself, RC_KEY_UNKNOWN },
    { "another tenant withdraws it", withdrawn_by_another_tenant, RC_KEY_UNKNOWN },
    { "a key of the tenant's in the team", parents_key_in_team, RC_KEY_DUPLICATE },
    { "replay of an older epoch", older_epoch, RC_DELEGATION_OLD },
    { "the same epoch with other terms", equivocation, RC_EQUIVOCATION },
    { "the same epoch, withdrawn", same_epoch_withdrawn, RC_EQUIVOCATION },
    { "below a team that is not there", no_parent, RC_DELEGATION_MISSING },
    { "of a tenant that is not there", no_tenant, RC_GRANT_MISSING },
    { "expired", expired, RC_EXPIRED },
    { "issued beyond belief", from_the_future, RC_TIME_JUMP },
    { "a manifest", manifest_as_delegation, RC_DOC_TYPE },
    { "a grant that the tenant signed itself", grant_as_delegation, RC_DOC_TYPE },
    { "signed as a manifest", signed_as_manifest, RC_SIG_BAD },
    { "for another mission", other_mission_delegation, RC_SIG_BAD },
};

static void check_unchanged(const char *why)
{
    if (trust_teams(trust) != 2 || trust_team(trust, 0).epoch != 2 ||
        trust_team(trust, 1).epoch != 2 || verify(&by_team) != RC_OK ||
        verify(&by_tenant) != RC_OK || verify(&by_zenith) != RC_OK ||
        trust_time_floor(trust) != ISSUED_MS)
        fail_msg("%s: something has changed", why);
}

static void attacks_change_nothing(void **state)
{
    unsigned bad = 0;

    (void)state;
    check_unchanged("the scene");
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        attacks[i].make();

        enum rc rc = add();
        if (rc != attacks[i].rc) {
            print_error("%s: got %s\n", attacks[i].why, rc_name(rc));
            bad++;
        }
        check_unchanged(attacks[i].why);
    }
    assert_int_equal(bad, 0);
}

/* The good ones of the same shapes, so that no row is refused for a fault of the fixture. */
static void the_good_ones_are_taken(void **state)
{
    struct team_change change = { 0 };

    (void)state;
    flight_again();
    sign_by(K_ACME);
    assert_rc(trust_add_delegation(trust, evil.bytes, NOW_MS, &change, NULL), RC_OK);
    assert_true(change.taken);
    assert_rc(trust_add_delegation(trust, evil.bytes, NOW_MS, &change, NULL), RC_OK);
    assert_false(change.taken);
    assert_string_equal(change.team, "flight");
    the_cam();
    doc.epoch = 3;
    sign_by(K_FLIGHT);
    assert_rc(add(), RC_OK);
    assert_int_equal(trust_teams(trust), 2);
    assert_rc(verify(&by_team), RC_OK);
    assert_true(trust_time_floor(trust) == ISSUED_MS);
}

/* ---- whose manifest it is ---- */

static const struct {
    const char *why;
    const char *team, *name;
    enum doc_key key;
    enum rc rc;
} manifests[] = {
    { "flight's own", "flight", "cam-north", K_FLIGHT_2, RC_OK },
    { "cam's own", "flight/cam", "cam-north-1-a", K_CAM, RC_OK },
    { "flight's, signed by the tenant", "flight", "cam-north", K_ACME, RC_KEY_UNKNOWN },
    { "the tenant's, signed by flight", "", "cam-north", K_FLIGHT, RC_KEY_UNKNOWN },
    { "cam's, signed by flight", "flight/cam", "cam-north-1", K_FLIGHT, RC_KEY_UNKNOWN },
    { "flight's, signed by cam", "flight", "cam-north-1", K_CAM, RC_KEY_UNKNOWN },
    { "outside flight's names", "flight", "cam-south", K_FLIGHT, RC_NAME_NOT_GRANTED },
    { "names that only begin alike", "flight", "cam-northern", K_FLIGHT, RC_NAME_NOT_GRANTED },
    { "cam in flight's names", "flight/cam", "cam-north-2", K_CAM, RC_NAME_NOT_GRANTED },
    { "a team that is not there", "ops", "cam-north", K_FLIGHT, RC_DELEGATION_MISSING },
    { "below a team that is not there", "ops/cam", "cam-north", K_CAM, RC_DELEGATION_MISSING },
    { "cam by its last name only", "cam", "cam-north-1", K_CAM, RC_DELEGATION_MISSING },
};

static void the_field_decides_whose_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof manifests / sizeof manifests[0]; i++) {
        manifest_of(&evil, manifests[i].team, manifests[i].name, manifests[i].key);
        if (verify(&evil) != manifests[i].rc)
            fail_msg("%s", manifests[i].why);
    }
}

static void a_manifest_stays_inside_its_team(void **state)
{
    (void)state;
    manifest_of(&evil, "flight", "cam-north", K_FLIGHT);
    manifest.limits.memory_bytes = doc_delegation().total.memory_bytes + 1;
    doc_signed(&evil, DOC_MANIFEST, manifest_encode, &manifest, K_FLIGHT);
    assert_rc(verify(&evil), RC_DELEGATION_EXCEEDED); /* the tenant could have it */
    memset(manifest.team, 0, sizeof manifest.team);
    doc_signed(&evil, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    assert_rc(verify(&evil), RC_OK);
}

/* ---- what changes above ---- */

static noinline void withdraw(enum revoke_policy policy, uint64_t epoch)
{
    doc = doc_withdrawal();
    doc.withdrawn = policy;
    doc.epoch = epoch;
    sign_by(K_ACME);
    assert_rc(add(), RC_OK);
}

static void a_stolen_team_key_is_worth_nothing_after_withdrawal(void **state)
{
    (void)state;
    withdraw(REVOKE_STOP, 3);
    assert_rc(verify(&by_team), RC_DELEGATION_WITHDRAWN);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_DELEGATION_WITHDRAWN);
    assert_int_equal(trust_judge_manifest(trust, by_team.bytes), REVOKE_STOP);
    assert_int_equal(trust_judge_manifest(trust, by_tenant.bytes), REVOKE_NONE);
    assert_rc(trust_still_valid(trust, "acme", "flight", NOW_MS), RC_DELEGATION_WITHDRAWN);
    assert_rc(trust_still_valid(trust, "acme", "", NOW_MS), RC_OK);
    assert_int_equal(trust_teams(trust), 1); /* and its teams with it */
    the_cam();
    doc.epoch = 9;
    sign_by(K_FLIGHT);
    assert_rc(add(), RC_DELEGATION_WITHDRAWN);
    the_flight(); /* the delegation of before, again */
    sign_by(K_ACME);
    assert_rc(add(), RC_DELEGATION_OLD);
    assert_rc(verify(&by_tenant), RC_OK);
    assert_rc(verify(&by_zenith), RC_OK);
    /* Set up again, with other keys, and teams that begin anew. */
    the_flight();
    doc.epoch = 4;
    doc.issued_ms += 2 * DAY_MS;
    doc.keys = doc_key_set(1, 1, K_FLIGHT_2);
    sign_by(K_ACME);
    assert_rc(add(), RC_VALUE); /* what the thief set up below would come back */
    doc.teams_since_ms = doc.issued_ms;
    sign_by(K_ACME);
    assert_rc(add(), RC_OK);
    assert_rc(verify(&by_team), RC_KEY_UNKNOWN);
    the_cam();
    sign_by(K_FLIGHT_2);
    assert_rc(add(), RC_ISSUED_BEFORE);
}

static void withdrawn_to_be_kept_goes_on(void **state)
{
    (void)state;
    manifest_of(&evil, "flight/cam", "cam-north-1", K_CAM);
    withdraw(REVOKE_KEEP, 3);
    manifest_of(&evil, "flight/cam", "cam-north-1", K_CAM);
    assert_rc(verify(&by_team), RC_DELEGATION_WITHDRAWN);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_OK);
    assert_rc(verify(&evil), RC_DELEGATION_WITHDRAWN);
    assert_rc(verify_at(&evil, NOW_MS, true), RC_OK); /* its teams as well */
    assert_int_equal(trust_judge_manifest(trust, by_team.bytes), REVOKE_KEEP);
    assert_rc(trust_still_valid(trust, "acme", "flight/cam", NOW_MS), RC_OK);
    withdraw(REVOKE_ROLLBACK, 4);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_DELEGATION_WITHDRAWN);
    assert_int_equal(trust_judge_manifest(trust, by_team.bytes), REVOKE_ROLLBACK);
}

static void shrink(struct grant *g)
{
    g->total.memory_bytes = 24U << 20;
}

static void narrow(struct grant *g)
{
    memcpy(g->prefix, "cam-south", sizeof "cam-south");
}

static void a_grant_shrunk_later_holds(void **state)
{
    (void)state;
    add_grant("acme", K_ACME, 4, shrink); /* below flight's 32 MiB; the payload has 16 */
    assert_rc(verify(&by_team), RC_DELEGATION_EXCEEDED);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_OK);
    manifest_of(&evil, "flight", "cam-north", K_FLIGHT);
    manifest.limits.memory_bytes = 28U << 20; /* flight's would allow it, the tenant's do not */
    doc_signed(&evil, DOC_MANIFEST, manifest_encode, &manifest, K_FLIGHT);
    assert_rc(verify_at(&evil, NOW_MS, true), RC_GRANT_EXCEEDED);
    add_grant("acme", K_ACME, 5, NULL);
    assert_rc(verify(&by_team), RC_OK); /* it fits again */
    add_grant("acme", K_ACME, 6, narrow);
    assert_rc(verify(&by_team), RC_NAME_NOT_GRANTED);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_NAME_NOT_GRANTED);
}

/* New tenant keys: the delegation does not count, and what is older does not come back either. */
static void other_keys_above_keep_the_epoch(void **state)
{
    (void)state;
    withdraw(REVOKE_STOP, 7);
    add_grant("acme", K_ACME_2, 4, NULL);
    assert_int_equal(trust_teams(trust), 1);
    assert_int_equal(trust_team(trust, 0).epoch, 7);
    the_flight();
    sign_by(K_ACME_2);
    assert_rc(add(), RC_DELEGATION_OLD);
    doc.epoch = 8;
    doc.issued_ms += DAY_MS;
    doc.teams_since_ms = doc.issued_ms;
    sign_by(K_ACME);
    assert_rc(add(), RC_KEY_UNKNOWN);
    sign_by(K_ACME_2);
    assert_rc(add(), RC_OK);
    assert_rc(verify(&by_team), RC_OK);
    add_grant("acme", K_ACME, 5, NULL);
    assert_rc(verify(&by_team), RC_DELEGATION_MISSING);
    add_grant("acme", K_ACME_2, 6, NULL);
    assert_rc(verify(&by_team), RC_OK);
}

static void begin_anew(struct grant *g)
{
    g->issued_ms += DAY_MS;
    g->teams_since_ms = g->issued_ms;
}

/* A stolen tenant key drove an epoch to its end: the operator makes the teams begin anew. */
static void fast_forward_is_recovered(void **state)
{
    (void)state;
    flight_again();
    doc.epoch = INT64_MAX;
    sign_by(K_ACME);
    assert_rc(add(), RC_OK);
    doc.epoch = 4;
    sign_by(K_ACME);
    assert_rc(add(), RC_DELEGATION_OLD);
    add_grant("acme", K_ACME, 4, begin_anew);
    assert_int_equal(trust_teams(trust), 0);
    sign_by(K_ACME);
    assert_rc(add(), RC_ISSUED_BEFORE);
    doc.issued_ms += DAY_MS;
    sign_by(K_ACME);
    assert_rc(add(), RC_OK);
    assert_rc(verify(&by_team), RC_OK);
}

static void nothing_outlives_its_parent(void **state)
{
    uint64_t late = ISSUED_MS + 50 * DAY_MS;

    (void)state;
    assert_rc(verify_at(&by_team, late - 1, false), RC_OK);
    assert_rc(verify_at(&by_team, late, false), RC_EXPIRED);
    assert_rc(verify_at(&by_team, late, true), RC_EXPIRED);
    assert_rc(trust_still_valid(trust, "acme", "flight", late), RC_EXPIRED);
    assert_rc(verify_at(&by_tenant, late, false), RC_OK);
    the_cam();
    doc.epoch = 3;
    sign_by(K_FLIGHT);
    assert_rc(trust_add_delegation(trust, evil.bytes, late, NULL, NULL), RC_EXPIRED);
    /* Seen once, it stays so when the clock steps back, and nobody else's time has moved. */
    (void)trust_observe(trust, late);
    assert_rc(verify(&by_team), RC_EXPIRED);
    assert_true(trust_team(trust, 0).lapsed && trust_team(trust, 0).unsaved);
    assert_true(trust_time_floor(trust) == ISSUED_MS);
    assert_rc(verify(&by_zenith), RC_OK);
}

static struct revoked a_key(enum doc_key which, enum revoke_policy policy)
{
    struct revoked e = { .kind = REVOKED_KEY, .policy = policy };

    memcpy(e.key, sign_key_public(doc_key(which))->id, KEY_ID_SIZE);
    return e;
}

static void the_root_revokes_below_too(void **state)
{
    (void)state;
    revoke(a_key(K_FLIGHT, REVOKE_STOP), 1);
    assert_rc(verify(&by_team), RC_KEY_REVOKED);
    assert_int_equal(trust_judge_manifest(trust, by_team.bytes), REVOKE_STOP);
    manifest_of(&evil, "flight", "cam-north", K_FLIGHT_2);
    assert_rc(verify(&evil), RC_OK);
    revoke(a_key(K_ACME, REVOKE_KEEP), 2); /* the tenant's: its delegation wanes */
    assert_rc(verify(&evil), RC_KEY_REVOKED);
    assert_rc(verify_at(&evil, NOW_MS, true), RC_OK);
    revoke(a_key(K_ACME, REVOKE_STOP), 3);
    assert_rc(verify_at(&evil, NOW_MS, true), RC_DELEGATION_MISSING);
    assert_rc(verify(&by_zenith), RC_OK);
}

/* Depth and number have their bounds, and one tenant's are its own. */
static void there_is_room_for_so_many(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TEAMS_MAX + 1; i++) {
        char team[] = "t0";

        the_flight();
        team[1] = (char)('0' + i);
        name_team(&doc, team);
        sign_by(K_ACME);
        assert_rc(add(), i + 2 < TEAMS_MAX ? RC_OK : RC_NO_ROOM);
    }
    memcpy(doc.tenant, "zenith", 7);
    sign_by(K_ZENITH);
    assert_rc(add(), RC_OK);
    assert_rc(verify(&by_team), RC_OK);
}

static noinline void next_operator(void)
{
    static struct signed_doc one;
    struct root root = doc_next_root();

    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    root.operator_since_ms = root.issued_ms;
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B, K_NEXT_A, K_NEXT_B);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
}

static void after_next_root(struct grant *g)
{
    g->issued_ms = doc_next_root().issued_ms;
}

/* A thief with the operator key made as many tenants as there may be, with all their teams.  The
 * next operator voids the grants; the teams keep their epochs, and only what is left is given. */
static void teams_without_a_grant_have_their_bound(void **state)
{
    size_t most = 0;

    (void)state;
    for (uint32_t k = 0; k < 3 * TENANTS_MAX; k++) {
        char tenant[] = "evil-00", team[] = "t0";

        if (k == TENANTS_MAX - 2)
            next_operator();
        if (k >= 2 * TENANTS_MAX - 3)
            break;
        tenant[5] = (char)('a' + k / 10);
        tenant[6] = (char)('0' + k % 10);
        add_grant(tenant, K_STRANGER, 3, k < TENANTS_MAX - 2 ? NULL : after_next_root);
        for (uint32_t i = 0; i < TEAMS_MAX; i++) {
            the_flight();
            memset(doc.tenant, 0, sizeof doc.tenant);
            memcpy(doc.tenant, tenant, sizeof tenant);
            team[1] = (char)('0' + i);
            name_team(&doc, team);
            sign_by(K_STRANGER);
            enum rc rc = add();
            assert_true(rc == RC_OK || rc == RC_NO_ROOM);
            most = trust_teams(trust) > most ? trust_teams(trust) : most;
        }
    }
    assert_int_equal(most, trust_teams(trust));
    assert_true(most <= TENANTS_MAX * TEAMS_MAX);
    the_flight();
    name_team(&doc, "one-more");
    add_grant("zenith", K_ZENITH, 3, after_next_root);
    sign_by(K_ZENITH);
    (void)add();
    assert_true(trust_teams(trust) <= TENANTS_MAX * TEAMS_MAX);
}

static void a_fifth_level_has_no_name(void **state)
{
    struct bytes view = { 0 };
    static uint8_t buf[DOCUMENT_MAX];

    (void)state;
    the_cam();
    name_team(&doc, "flight/cam/a/b/c");
    assert_rc(delegation_encode(&doc, buf, sizeof buf, &view, NULL), RC_NAME);
    manifest = doc_manifest();
    memcpy(manifest.team, "a/b/c/d/e", sizeof "a/b/c/d/e");
    assert_rc(manifest_encode(&manifest, buf, sizeof buf, &view, NULL), RC_NAME);
}

/* ---- keeping ---- */

/* What a restart finds is what was there before. */
static void put_back_it_is_the_same(void **state)
{
    static uint8_t saved[4][DOCUMENT_MAX];
    size_t n[4] = { 0 };

    (void)state;
    withdraw(REVOKE_KEEP, 3);
    for (size_t i = 0; i < 2; i++) {
        const struct team_view v = trust_team(trust, i);

        n[2 * i] = v.delegation.n;
        n[2 * i + 1] = v.withdrawal.n;
        memcpy(saved[2 * i], v.delegation.p, v.delegation.n);
        if (v.withdrawal.n > 0)
            memcpy(saved[2 * i + 1], v.withdrawal.p, v.withdrawal.n);
    }
    (void)scene_ends(NULL);
    (void)scene_begins(NULL);
    add_grant("acme", K_ACME, 4, begin_anew); /* forget, to have them put back */
    assert_int_equal(trust_teams(trust), 0);
    assert_rc(trust_restore_team(trust, (struct bytes){ saved[0], n[0] },
                                 (struct bytes){ saved[1], n[1] }, false, NULL),
              RC_OK); /* its withdrawal came a day later */
    assert_rc(verify(&by_team), RC_DELEGATION_WITHDRAWN);
    assert_rc(verify_at(&by_team, NOW_MS, true), RC_OK);
    assert_rc(trust_restore_team(trust, (struct bytes){ saved[1], n[1] },
                                 (struct bytes){ saved[0], n[0] }, false, NULL),
              RC_VALUE);
    assert_rc(trust_restore_team(trust, (struct bytes){ 0 }, (struct bytes){ 0 }, false, NULL),
              RC_SHORT);
    assert_int_equal(n[3], 0);
}

static int end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

#define scene(test) cmocka_unit_test_setup_teardown(test, scene_begins, scene_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene(attacks_change_nothing),
        scene(the_good_ones_are_taken),
        scene(the_field_decides_whose_keys),
        scene(a_manifest_stays_inside_its_team),
        scene(a_stolen_team_key_is_worth_nothing_after_withdrawal),
        scene(withdrawn_to_be_kept_goes_on),
        scene(a_grant_shrunk_later_holds),
        scene(other_keys_above_keep_the_epoch),
        scene(fast_forward_is_recovered),
        scene(nothing_outlives_its_parent),
        scene(the_root_revokes_below_too),
        scene(there_is_room_for_so_many),
        scene(teams_without_a_grant_have_their_bound),
        scene(a_fifth_level_has_no_name),
        scene(put_back_it_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
