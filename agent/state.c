/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"
#include "base/statefile.h"
#include "manifest/wire.h"

#define UNIT_FIELDS 13U /* and one more if it says anything */
#define GRANT_FIELDS 6U
#define TEAM_FIELDS 12U
#define TRUST_FIELDS 6U

/* Keys of the outer map; the numbers are in files on board. */
enum state_key {
    KEY_FORMAT = 0,
    KEY_EPOCH = 1,
    KEY_EVENT_SEQ = 2,
    KEY_GENERATION = 3,
    KEY_ORDER = 4,
    KEY_TIME_FLOOR = 5,
    KEY_UNITS = 6,
    KEY_ORDER_ISSUED = 7,
    KEY_TIME_ANCHOR = 8,
    KEY_PASSES = 9,
    KEY_TRUST = 10,
    STATE_KEYS,           /* that are always there */
    KEY_SAFE = STATE_KEYS /* only if it is true */
};

static int unit_order(const struct unit_record *a, const struct unit_record *b)
{
    int tenant = strcmp(a->tenant, b->tenant);

    return tenant != 0 ? tenant : strcmp(a->name, b->name);
}

static bool code_known(uint32_t code)
{
    return code == RC_INTERNAL || rc_from_number(code) != RC_INTERNAL;
}

static enum rc unit_check(const struct unit_record *u, struct err *err)
{
    bool ordered = !digest_is_none(&u->wanted);

    if (!name_valid(u->tenant) || !name_valid(u->name))
        return err_set(err, RC_NAME, "unit.name");
    if (u->index >= UNIT_INDEX_MAX)
        return err_set(err, RC_VALUE, "unit.index");
    if (!code_known(u->code))
        return err_set(err, RC_VALUE, "unit.code");
    if (ordered != (u->state != SLOT_ABSENT))
        return err_set(err, RC_VALUE, "unit.state");
    if (u->state == SLOT_COMMITTED && !digest_same(&u->wanted, &u->good))
        return err_set(err, RC_VALUE, "unit.good");
    if (u->state == SLOT_ROLLED_BACK && digest_is_none(&u->good))
        return err_set(err, RC_VALUE, "unit.good");
    if (!digest_is_none(&u->vouched) && digest_is_none(&u->good))
        return err_set(err, RC_VALUE, "unit.vouched");
    if (u->spent > RESTART_BUDGET_MAX)
        return err_set(err, RC_VALUE, "unit.spent");
    for (uint32_t i = 0; i < u->n_failed; i++)
        if (digest_is_none(&u->failed[i].manifest) || !code_known(u->failed[i].code))
            return err_set(err, RC_VALUE, "unit.failed");
    return RC_OK;
}

static int mark_order(const struct team_mark *a, const struct team_mark *b)
{
    int tenant = strcmp(a->tenant, b->tenant);

    return tenant != 0 ? tenant : strcmp(a->team, b->team);
}

static enum rc team_check(const struct team_record *t, struct err *err)
{
    const struct team_mark *m = &t->mark;

    if (!name_valid(m->tenant) || !team_valid(m->team))
        return err_set(err, RC_NAME, "trust.team");
    if (m->epoch == 0 || digest_is_none(&m->payload))
        return err_set(err, RC_VALUE, "trust.team");
    if (m->issued_ms > INT64_MAX || m->since_ms > INT64_MAX || t->expires_ms > INT64_MAX)
        return err_set(err, RC_VALUE, "trust.team.time");
    if ((unsigned)t->withdrawn > REVOKE_STOP)
        return err_set(err, RC_VALUE, "trust.team.withdrawn");
    if (t->has_terms ? t->withdrawn > REVOKE_KEEP : t->withdrawn == REVOKE_NONE)
        return err_set(err, RC_VALUE, "trust.team.terms");
    if (!t->has_terms &&
        (m->lapsed || t->expires_ms != 0 || t->payloads_max != 0 || !resources_none(&t->total)))
        return err_set(err, RC_VALUE, "trust.team: without terms");
    return RC_OK;
}

static enum rc teams_check(const struct trust_record *t, struct err *err)
{
    enum rc rc = t->n_teams <= TEAMS_HELD_MAX ? RC_OK : err_set(err, RC_VALUE, "trust.teams");

    for (uint32_t i = 0; rc == RC_OK && i < t->n_teams; i++) {
        rc = team_check(&t->team[i], err);
        if (rc == RC_OK && i > 0 && mark_order(&t->team[i - 1].mark, &t->team[i].mark) >= 0)
            rc = err_set(err, RC_CBOR_ORDER, "trust.teams");
    }
    return rc;
}

/* The set of revocations has been checked by its own decoder. */
static enum rc trust_check(const struct trust_record *t, struct err *err)
{
    if ((t->root_version == 0) != digest_is_none(&t->root))
        return err_set(err, RC_VALUE, "trust.root");
    if (t->root_version == 0 && (t->operator_since_ms != 0 || t->n_grants != 0 || t->n_teams != 0))
        return err_set(err, RC_VALUE, "trust: without root");
    if (t->n_grants > TENANTS_MAX)
        return err_set(err, RC_VALUE, "trust.grants");
    for (uint32_t i = 0; i < t->n_grants; i++) {
        const struct grant_record *g = &t->grant[i];

        if (!name_valid(g->tenant) || digest_is_none(&g->payload))
            return err_set(err, RC_VALUE, "trust.grant");
        if (i > 0 && strcmp(t->grant[i - 1].tenant, g->tenant) >= 0)
            return err_set(err, RC_CBOR_ORDER, "trust.grants");
    }
    return teams_check(t, err);
}

enum rc state_check(const struct state *state, struct err *err)
{
    uint8_t used[UNIT_INDEX_MAX / 8] = { 0 };

    if ((state->generation == 0) != digest_is_none(&state->order))
        return err_set(err, RC_VALUE, "state.order");
    if (state->generation == 0 && state->order_issued_ms != 0)
        return err_set(err, RC_VALUE, "state.order_issued");
    if (state->time_floor > INT64_MAX || state->time_anchor > INT64_MAX)
        return err_set(err, RC_VALUE, "state.time");
    if (state->n_units > UNITS_MAX)
        return err_set(err, RC_VALUE, "state.units");

    enum rc rc = trust_check(&state->trust, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < state->n_units; i++) {
        const struct unit_record *u = &state->unit[i];
        rc = unit_check(u, err);
        if (rc != RC_OK)
            return rc;
        if (i > 0 && unit_order(&state->unit[i - 1], u) >= 0)
            return err_set(err, RC_CBOR_ORDER, "state.units");
        if (used[u->index / 8] & 1U << u->index % 8)
            return err_set(err, RC_VALUE, "unit.index");
        used[u->index / 8] |= (uint8_t)(1U << u->index % 8);
    }
    return RC_OK;
}

static void decode_failed(struct cbor_in *r, struct unit_record *u)
{
    u->n_failed = (uint32_t)cbor_array(r, "unit.failed", 0, UNIT_FAILED_MAX);
    for (uint32_t i = 0; i < u->n_failed && r->rc == RC_OK; i++) {
        cbor_array(r, "unit.failed", 2, 2);
        cbor_fixed(r, "failed.manifest", u->failed[i].manifest.b, DIGEST_SIZE);
        u->failed[i].code = (uint32_t)cbor_uint(r, "failed.code", UINT32_MAX);
        cbor_end(r);
    }
    cbor_end(r);
}

static bool has_life(const struct unit_record *u)
{
    return !digest_is_none(&u->done) || u->spent != 0;
}

/* Left out when it would say nothing, so that an agent from before it reads what one that can write
 * it has left, as long as nobody uses it. */
static void decode_life(struct cbor_in *r, struct unit_record *u)
{
    cbor_array(r, "unit.life", 2, 2);
    wire_digest_or_none(r, "unit.done", &u->done);
    u->spent = (uint32_t)cbor_uint(r, "unit.spent", UINT32_MAX);
    cbor_end(r);
    if (!has_life(u))
        cbor_fail(r, RC_VALUE, "unit.life");
}

static void decode_unit(struct cbor_in *r, struct unit_record *u)
{
    size_t n = cbor_array(r, "unit", UNIT_FIELDS, UNIT_FIELDS + 1);
    cbor_text(r, "unit.tenant", u->tenant, sizeof u->tenant);
    cbor_text(r, "unit.name", u->name, sizeof u->name);
    u->index = (uint32_t)cbor_uint(r, "unit.index", UNIT_INDEX_MAX - 1);
    u->state = (enum slot_state)cbor_uint(r, "unit.state", SLOT_STATES - 1);
    u->code = (uint32_t)cbor_uint(r, "unit.code", UINT32_MAX);
    cbor_fixed(r, "unit.wanted", u->wanted.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.good", u->good.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.previous", u->previous.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.vouched", u->vouched.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.snapshot", u->snapshot.b, DIGEST_SIZE);
    u->floor = cbor_uint(r, "unit.floor", UINT64_MAX);
    u->trials = (uint32_t)cbor_uint(r, "unit.trials", UINT32_MAX);
    decode_failed(r, u);
    if (n > UNIT_FIELDS)
        decode_life(r, u);
    cbor_end(r);
}

static void decode_grant(struct cbor_in *r, struct grant_record *g)
{
    cbor_array(r, "grant", GRANT_FIELDS, GRANT_FIELDS);
    cbor_text(r, "grant.tenant", g->tenant, sizeof g->tenant);
    g->epoch = cbor_uint(r, "grant.epoch", UINT64_MAX);
    g->expires_ms = cbor_uint(r, "grant.expires", UINT64_MAX);
    cbor_fixed(r, "grant.payload", g->payload.b, DIGEST_SIZE);
    wire_resources(r, "grant.total", &g->total);
    g->payloads_max = (uint32_t)cbor_uint(r, "grant.payloads", UINT32_MAX);
    cbor_end(r);
}

static void decode_team(struct cbor_in *r, struct team_record *t)
{
    struct team_mark *m = &t->mark;

    cbor_array(r, "team", TEAM_FIELDS, TEAM_FIELDS);
    cbor_text(r, "team.tenant", m->tenant, sizeof m->tenant);
    cbor_text(r, "team.team", m->team, sizeof m->team);
    m->epoch = cbor_uint(r, "team.epoch", UINT64_MAX);
    cbor_fixed(r, "team.payload", m->payload.b, DIGEST_SIZE);
    m->issued_ms = cbor_uint(r, "team.issued", INT64_MAX);
    m->since_ms = cbor_uint(r, "team.since", INT64_MAX);
    m->lapsed = cbor_bool(r, "team.lapsed");
    t->withdrawn = (enum revoke_policy)cbor_uint(r, "team.withdrawn", REVOKE_STOP);
    t->has_terms = cbor_bool(r, "team.terms");
    t->expires_ms = cbor_uint(r, "team.expires", INT64_MAX);
    wire_resources(r, "team.total", &t->total);
    t->payloads_max = (uint32_t)cbor_uint(r, "team.payloads", UINT32_MAX);
    cbor_end(r);
}

static void decode_trust(struct cbor_in *r, struct trust_record *t)
{
    cbor_array(r, "state.trust", TRUST_FIELDS, TRUST_FIELDS);
    t->root_version = cbor_uint(r, "trust.root_version", INT64_MAX);
    cbor_fixed(r, "trust.root", t->root.b, DIGEST_SIZE);
    t->operator_since_ms = cbor_uint(r, "trust.since", INT64_MAX);

    struct bytes revoked = cbor_bstr(r, "trust.revoked", 1, REVOKED_FILE_MAX);
    struct err why = { 0 };
    enum rc rc = r->rc == RC_OK ? revoked_set_decode(revoked, &t->revoked, &why) : RC_OK;

    if (rc != RC_OK)
        cbor_fail(r, rc, "trust.revoked");
    t->n_grants = (uint32_t)cbor_array(r, "trust.grants", 0, TENANTS_MAX);
    for (uint32_t i = 0; i < t->n_grants && r->rc == RC_OK; i++)
        decode_grant(r, &t->grant[i]);
    cbor_end(r);
    t->n_teams = (uint32_t)cbor_array(r, "trust.teams", 0, TEAMS_HELD_MAX);
    for (uint32_t i = 0; i < t->n_teams && r->rc == RC_OK; i++)
        decode_team(r, &t->team[i]);
    cbor_end(r);
    cbor_end(r);
}

static void decode_field(struct cbor_in *r, uint64_t key, struct state *s)
{
    switch (key) {
    case KEY_FORMAT:
        if (cbor_uint(r, "state.format", UINT32_MAX) != STATE_FORMAT)
            cbor_fail(r, RC_DOC_VERSION, "state.format");
        break;
    case KEY_EPOCH:
        s->epoch = cbor_uint(r, "state.epoch", UINT64_MAX);
        break;
    case KEY_EVENT_SEQ:
        s->event_seq = cbor_uint(r, "state.event_seq", UINT64_MAX);
        break;
    case KEY_GENERATION:
        s->generation = cbor_uint(r, "state.generation", UINT64_MAX);
        break;
    case KEY_ORDER:
        cbor_fixed(r, "state.order", s->order.b, DIGEST_SIZE);
        break;
    case KEY_TIME_FLOOR:
        s->time_floor = cbor_uint(r, "state.time_floor", UINT64_MAX);
        break;
    case KEY_ORDER_ISSUED:
        s->order_issued_ms = cbor_uint(r, "state.order_issued", UINT64_MAX);
        break;
    case KEY_TIME_ANCHOR:
        s->time_anchor = cbor_uint(r, "state.time_anchor", UINT64_MAX);
        break;
    case KEY_PASSES:
        cbor_array(r, "state.passes", 2, 2);
        s->passes_order = (uint32_t)cbor_uint(r, "passes.order", UINT32_MAX);
        s->passes_document = (uint32_t)cbor_uint(r, "passes.document", UINT32_MAX);
        cbor_end(r);
        break;
    case KEY_SAFE:
        s->safe = cbor_bool(r, "state.safe");
        if (!s->safe)
            cbor_fail(r, RC_VALUE, "state.safe");
        break;
    case KEY_TRUST:
        decode_trust(r, &s->trust);
        break;
    case KEY_UNITS:
        s->n_units = (uint32_t)cbor_array(r, "state.units", 0, UNITS_MAX);
        for (uint32_t i = 0; i < s->n_units && r->rc == RC_OK; i++)
            decode_unit(r, &s->unit[i]);
        cbor_end(r);
        break;
    default:
        cbor_fail(r, RC_CBOR_UNKNOWN_KEY, "state");
        break;
    }
}

enum rc state_decode(struct bytes in, struct state *ret, struct err *err)
{
    scoped(free_ptr) struct state *s = calloc(1, sizeof *s);
    struct cbor_in r = cbor_read(in);
    uint64_t key = 0;

    if (!s)
        return err_set(err, RC_NO_MEMORY, "state");
    size_t keys = cbor_map(&r, "state", STATE_KEYS + 1);

    while (cbor_key(&r, &key))
        decode_field(&r, key, s);
    if (keys != STATE_KEYS + (size_t)s->safe) /* none twice, none unknown: so all are there */
        cbor_fail(&r, RC_CBOR_MISSING, "state");
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = state_check(s, err);
    if (rc == RC_OK)
        *ret = *s;
    return rc;
}

static void put_digest(struct cbor_out *w, const struct digest *digest)
{
    cbor_put_bstr(w, (struct bytes){ .p = digest->b, .n = DIGEST_SIZE });
}

static void encode_unit(struct cbor_out *w, const struct unit_record *u)
{
    cbor_put_array(w, UNIT_FIELDS + has_life(u));
    cbor_put_text(w, u->tenant);
    cbor_put_text(w, u->name);
    cbor_put_uint(w, u->index);
    cbor_put_uint(w, u->state);
    cbor_put_uint(w, u->code);
    put_digest(w, &u->wanted);
    put_digest(w, &u->good);
    put_digest(w, &u->previous);
    put_digest(w, &u->vouched);
    put_digest(w, &u->snapshot);
    cbor_put_uint(w, u->floor);
    cbor_put_uint(w, u->trials);
    cbor_put_array(w, u->n_failed);
    for (uint32_t i = 0; i < u->n_failed; i++) {
        cbor_put_array(w, 2);
        put_digest(w, &u->failed[i].manifest);
        cbor_put_uint(w, u->failed[i].code);
    }
    if (!has_life(u))
        return;
    cbor_put_array(w, 2);
    wire_put_digest_or_none(w, &u->done);
    cbor_put_uint(w, u->spent);
}

static void encode_grant(struct cbor_out *w, const struct grant_record *g)
{
    cbor_put_array(w, GRANT_FIELDS);
    cbor_put_text(w, g->tenant);
    cbor_put_uint(w, g->epoch);
    cbor_put_uint(w, g->expires_ms);
    put_digest(w, &g->payload);
    wire_put_resources(w, &g->total);
    cbor_put_uint(w, g->payloads_max);
}

static void encode_team(struct cbor_out *w, const struct team_record *t)
{
    const struct team_mark *m = &t->mark;

    cbor_put_array(w, TEAM_FIELDS);
    cbor_put_text(w, m->tenant);
    cbor_put_text(w, m->team);
    cbor_put_uint(w, m->epoch);
    put_digest(w, &m->payload);
    cbor_put_uint(w, m->issued_ms);
    cbor_put_uint(w, m->since_ms);
    cbor_put_bool(w, m->lapsed);
    cbor_put_uint(w, t->withdrawn);
    cbor_put_bool(w, t->has_terms);
    cbor_put_uint(w, t->expires_ms);
    wire_put_resources(w, &t->total);
    cbor_put_uint(w, t->payloads_max);
}

static void encode_trust(struct cbor_out *w, const struct trust_record *t, struct bytes revoked)
{
    cbor_put_array(w, TRUST_FIELDS);
    cbor_put_uint(w, t->root_version);
    put_digest(w, &t->root);
    cbor_put_uint(w, t->operator_since_ms);
    cbor_put_bstr(w, revoked);
    cbor_put_array(w, t->n_grants);
    for (uint32_t i = 0; i < t->n_grants; i++)
        encode_grant(w, &t->grant[i]);
    cbor_put_array(w, t->n_teams);
    for (uint32_t i = 0; i < t->n_teams; i++)
        encode_team(w, &t->team[i]);
}

enum rc state_encode(const struct state *state, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    scoped(free_ptr) uint8_t *set = malloc(REVOKED_FILE_MAX);
    struct bytes revoked = { 0 };

    if (!set)
        return err_set(err, RC_NO_MEMORY, "state");
    enum rc rc = state_check(state, err);

    if (rc == RC_OK)
        rc = revoked_set_encode(&state->trust.revoked, set, REVOKED_FILE_MAX, &revoked, err);
    if (rc != RC_OK)
        return rc;

    struct cbor_out w = { .p = buf, .cap = cap };
    cbor_put_map(&w, STATE_KEYS + (size_t)state->safe);
    cbor_put_uint(&w, KEY_FORMAT);
    cbor_put_uint(&w, STATE_FORMAT);
    cbor_put_uint(&w, KEY_EPOCH);
    cbor_put_uint(&w, state->epoch);
    cbor_put_uint(&w, KEY_EVENT_SEQ);
    cbor_put_uint(&w, state->event_seq);
    cbor_put_uint(&w, KEY_GENERATION);
    cbor_put_uint(&w, state->generation);
    cbor_put_uint(&w, KEY_ORDER);
    put_digest(&w, &state->order);
    cbor_put_uint(&w, KEY_TIME_FLOOR);
    cbor_put_uint(&w, state->time_floor);
    cbor_put_uint(&w, KEY_UNITS);
    cbor_put_array(&w, state->n_units);
    for (uint32_t i = 0; i < state->n_units; i++)
        encode_unit(&w, &state->unit[i]);
    cbor_put_uint(&w, KEY_ORDER_ISSUED);
    cbor_put_uint(&w, state->order_issued_ms);
    cbor_put_uint(&w, KEY_TIME_ANCHOR);
    cbor_put_uint(&w, state->time_anchor);
    cbor_put_uint(&w, KEY_PASSES);
    cbor_put_array(&w, 2);
    cbor_put_uint(&w, state->passes_order);
    cbor_put_uint(&w, state->passes_document);
    cbor_put_uint(&w, KEY_TRUST);
    encode_trust(&w, &state->trust, revoked);
    if (state->safe) {
        cbor_put_uint(&w, KEY_SAFE);
        cbor_put_bool(&w, true);
    }
    return cbor_written(&w, ret, err);
}

/* tenant, name, four digests, failed list and numbers, each with its head. */
static_assert(UNITS_MAX * (2U * (NAME_CAP + 2U) + (6U + UNIT_FAILED_MAX) * (DIGEST_SIZE + 8U) +
                           64U) +
                      TENANTS_MAX * (NAME_CAP + 2U + DIGEST_SIZE + 2U + 25U * 10U) +
                      TEAMS_HELD_MAX * (SIGNER_CAP + 4U + DIGEST_SIZE + 2U + 30U * 10U) +
                      REVOKED_FILE_MAX + 256U <=
                  STATE_MAX,
              "the largest state fits");

static enum rc load_from(int dirfd, const char *name, struct state *ret, bool *ret_repair,
                         struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct statefile_info info = { 0 };
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "state");

    struct err why = { 0 };
    enum rc rc = statefile_load(dirfd, name, buf, STATE_MAX, &n, &info, &why);
    bool whole = rc == RC_OK || rc == RC_TOO_LARGE ||
                 (rc == RC_STATE_DAMAGED && statefile_foreign(dirfd, name));

    if (rc == RC_OK)
        rc = state_decode((struct bytes){ .p = buf, .n = n }, ret, &why);
    if (rc != RC_OK && whole && rc != RC_NO_MEMORY)
        return err_set(err, RC_DOC_VERSION, "%s: %s %s", name, rc_name(rc), why.what);
    if (rc != RC_OK) {
        *err = why;
        return rc;
    }
    if (ret_repair)
        *ret_repair = info.damaged;
    return RC_OK;
}

enum rc state_load(int dirfd, struct state *ret, bool *ret_repair, struct err *err)
{
    return load_from(dirfd, STATE_FILE, ret, ret_repair, err);
}

enum rc state_load_kept(int dirfd, struct state *ret, struct err *err)
{
    return load_from(dirfd, STATE_KEPT_FILE, ret, NULL, err);
}

enum rc state_load_left(int dirfd, struct state *ret, struct err *err)
{
    return load_from(dirfd, STATE_LEFT_FILE, ret, NULL, err);
}

enum rc state_copy_aside(int dirfd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "state");
    struct err why = { 0 };
    enum rc rc = statefile_load(dirfd, STATE_FILE, buf, STATE_MAX, &n, NULL, &why);
    if (rc == RC_OK)
        return statefile_renew(dirfd, STATE_LEFT_FILE, (struct bytes){ .p = buf, .n = n }, err);
    if (rc == RC_STATE_DAMAGED || rc == RC_TOO_LARGE)
        return statefile_copy_bytes(dirfd, STATE_FILE, STATE_LEFT_FILE, err);
    *err = why;
    return rc;
}

enum rc state_set_aside(int dirfd, struct err *err)
{
    static const char *const from[] = { STATE_FILE ".a", STATE_FILE ".b" };
    static const char *const to[] = { STATE_LEFT_FILE ".a", STATE_LEFT_FILE ".b" };
    enum rc rc = RC_OK;

    for (size_t i = 0; i < 2 && rc == RC_OK; i++) {
        rc = fs_rename(dirfd, from[i], dirfd, to[i], false, err);
        if (rc == RC_NOT_FOUND)
            rc = RC_OK;
    }
    return rc;
}

static enum rc save_as(int dirfd, const struct state *state,
                       enum rc (*save)(int, const char *, struct bytes, struct err *),
                       const char *name, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes content = { 0 };

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "state");

    enum rc rc = state_encode(state, buf, STATE_MAX, &content, err);
    return rc == RC_OK ? save(dirfd, name, content, err) : rc;
}

enum rc state_keep(int dirfd, const struct state *state, struct err *err)
{
    return save_as(dirfd, state, statefile_renew, STATE_KEPT_FILE, err);
}

enum rc state_save(int dirfd, const struct state *state, bool both, struct err *err)
{
    return save_as(dirfd, state, both ? statefile_save_both : statefile_save, STATE_FILE, err);
}

enum rc state_renew(int dirfd, const struct state *state, struct err *err)
{
    return save_as(dirfd, state, statefile_renew, STATE_FILE, err);
}
