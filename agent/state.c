/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/name.h"
#include "base/statefile.h"

#define STATE_FORMAT 2U
#define UNIT_FIELDS 11U

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
    STATE_KEYS
};

bool digest_none(const struct digest *digest)
{
    static const struct digest none;

    return memcmp(digest, &none, sizeof none) == 0;
}

bool digest_same(const struct digest *a, const struct digest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

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
    bool ordered = !digest_none(&u->wanted);

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
    if (u->state == SLOT_ROLLED_BACK && digest_none(&u->good))
        return err_set(err, RC_VALUE, "unit.good");
    for (uint32_t i = 0; i < u->n_failed; i++)
        if (digest_none(&u->failed[i].manifest) || !code_known(u->failed[i].code))
            return err_set(err, RC_VALUE, "unit.failed");
    return RC_OK;
}

enum rc state_check(const struct state *state, struct err *err)
{
    uint8_t used[UNIT_INDEX_MAX / 8] = { 0 };

    if ((state->generation == 0) != digest_none(&state->order))
        return err_set(err, RC_VALUE, "state.order");
    if (state->generation == 0 && state->order_issued_ms != 0)
        return err_set(err, RC_VALUE, "state.order_issued");
    if (state->n_units > UNITS_MAX)
        return err_set(err, RC_VALUE, "state.units");
    for (uint32_t i = 0; i < state->n_units; i++) {
        const struct unit_record *u = &state->unit[i];
        enum rc rc = unit_check(u, err);

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

static void decode_unit(struct cbor_in *r, struct unit_record *u)
{
    cbor_array(r, "unit", UNIT_FIELDS, UNIT_FIELDS);
    cbor_text(r, "unit.tenant", u->tenant, sizeof u->tenant);
    cbor_text(r, "unit.name", u->name, sizeof u->name);
    u->index = (uint32_t)cbor_uint(r, "unit.index", UNIT_INDEX_MAX - 1);
    u->state = (enum slot_state)cbor_uint(r, "unit.state", SLOT_STATES - 1);
    u->code = (uint32_t)cbor_uint(r, "unit.code", UINT32_MAX);
    cbor_fixed(r, "unit.wanted", u->wanted.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.good", u->good.b, DIGEST_SIZE);
    cbor_fixed(r, "unit.previous", u->previous.b, DIGEST_SIZE);
    u->floor = cbor_uint(r, "unit.floor", UINT64_MAX);
    u->trials = (uint32_t)cbor_uint(r, "unit.trials", UINT32_MAX);
    decode_failed(r, u);
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
    if (cbor_map(&r, "state", STATE_KEYS) != STATE_KEYS)
        cbor_fail(&r, RC_CBOR_MISSING, "state");
    while (cbor_key(&r, &key))
        decode_field(&r, key, s);
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
    cbor_put_array(w, UNIT_FIELDS);
    cbor_put_text(w, u->tenant);
    cbor_put_text(w, u->name);
    cbor_put_uint(w, u->index);
    cbor_put_uint(w, u->state);
    cbor_put_uint(w, u->code);
    put_digest(w, &u->wanted);
    put_digest(w, &u->good);
    put_digest(w, &u->previous);
    cbor_put_uint(w, u->floor);
    cbor_put_uint(w, u->trials);
    cbor_put_array(w, u->n_failed);
    for (uint32_t i = 0; i < u->n_failed; i++) {
        cbor_put_array(w, 2);
        put_digest(w, &u->failed[i].manifest);
        cbor_put_uint(w, u->failed[i].code);
    }
}

enum rc state_encode(const struct state *state, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    enum rc rc = state_check(state, err);

    if (rc != RC_OK)
        return rc;

    struct cbor_out w = { .p = buf, .cap = cap };
    cbor_put_map(&w, STATE_KEYS);
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
    return cbor_written(&w, ret, err);
}

/* tenant, name, three digests, failed list and numbers, each with its head. */
static_assert(
    UNITS_MAX * (2U * (NAME_CAP + 2U) + (3U + UNIT_FAILED_MAX) * (DIGEST_SIZE + 8U) + 64U) + 256U <=
        STATE_MAX,
    "the largest state fits");

enum rc state_load(int dirfd, struct state *ret, bool *ret_repair, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct statefile_info info = { 0 };
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "state");

    enum rc rc = statefile_load(dirfd, STATE_FILE, buf, STATE_MAX, &n, &info, err);
    if (rc != RC_OK)
        return rc == RC_NOT_FOUND ? rc : err_set(err, RC_STATE_DAMAGED, "%s", STATE_FILE);

    struct err why = { 0 };
    rc = state_decode((struct bytes){ .p = buf, .n = n }, ret, &why);
    if (rc != RC_OK)
        return err_set(err, RC_STATE_DAMAGED, "%s: %s", rc_name(rc), why.what);
    if (ret_repair)
        *ret_repair = info.damaged;
    return RC_OK;
}

enum rc state_save(int dirfd, const struct state *state, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes content = { 0 };

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "state");

    enum rc rc = state_encode(state, buf, STATE_MAX, &content, err);
    if (rc == RC_OK)
        rc = statefile_save(dirfd, STATE_FILE, content, err);
    return rc;
}
