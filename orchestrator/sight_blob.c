/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sight_blob: a sight as bytes, for the store.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cbor.h"
#include "orchestrator/sight.h"

#define SIGHT_PARTS 14U
#define PAYLOAD_PARTS 12U
enum { FLAG_WITNESS = 1, FLAG_TRIAL = 2, FLAGS_ALL = 3 };

static_assert(SIGHT_MAX > PAYLOADS_MAX * (2U * NAME_CAP + VERSION_CAP + 2U * DIGEST_SIZE + 48U +
                                          DIGEST_SIZE) +
                              REPORT_WANTED_MAX * DIGEST_SIZE + 512U,
              "every sight fits");

/* ---- out ---- */

static void put_digests(struct cbor_out *w, const struct digest *of, uint32_t n)
{
    static_assert(sizeof *of == DIGEST_SIZE, "digests lie side by side");
    cbor_put_bstr(w, (struct bytes){ n > 0 ? of->b : NULL, (size_t)n * DIGEST_SIZE });
}

static void put_walls(struct cbor_out *w, const struct report_walls *walls)
{
    cbor_put_array(w, 5);
    cbor_put_uint(w, walls->standing);
    cbor_put_uint(w, walls->missing);
    cbor_put_uint(w, walls->waived);
    cbor_put_uint(w, walls->landlock);
    cbor_put_uint(w, walls->cgroup);
}

static void put_payload(struct cbor_out *w, const struct report_payload *p)
{
    cbor_put_array(w, PAYLOAD_PARTS);
    cbor_put_text(w, p->tenant);
    cbor_put_text(w, p->name);
    cbor_put_uint(w, (uint64_t)p->state);
    cbor_put_uint(w, p->code);
    cbor_put_bool(w, p->is_running);
    put_digests(w, &p->wanted, 1);
    put_digests(w, &p->running, digest_same(&p->running, &p->wanted) ? 0 : 1);
    cbor_put_text(w, p->version);
    cbor_put_uint(w, p->restarts);
    cbor_put_uint(w, p->memory_kib);
    cbor_put_uint(w, p->cpu_ms);
    cbor_put_bstr(w, (struct bytes){ p->receipt, sizeof p->receipt });
}

enum rc sight_encode(const struct sight *sight, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, SIGHT_PARTS);
    cbor_put_array(&w, 2);
    cbor_put_uint(&w, sight->epoch);
    cbor_put_uint(&w, sight->seq);
    cbor_put_uint(&w, sight->root_version);
    cbor_put_uint(&w, sight->generation);
    cbor_put_uint(&w, sight->staged);
    cbor_put_uint(&w,
                  (sight->keeps_witness ? FLAG_WITNESS : 0U) | (sight->trial ? FLAG_TRIAL : 0U));
    cbor_put_array(&w, 2);
    cbor_put_uint(&w, sight->witness.seq);
    put_digests(&w, &sight->witness.head, 1);
    cbor_put_array(&w, 2);
    cbor_put_text(&w, sight->agent_version);
    put_digests(&w, &sight->agent_running, digest_is_none(&sight->agent_running) ? 0 : 1);
    put_walls(&w, &sight->walls);
    cbor_put_uint(&w, sight->lost);
    cbor_put_array(&w, 2);
    cbor_put_uint(&w, sight->passes_order);
    cbor_put_uint(&w, sight->passes_document);
    cbor_put_array(&w, sight->n_payloads);
    for (uint32_t i = 0; i < sight->n_payloads; i++)
        put_payload(&w, &sight->payload[i]);
    put_digests(&w, sight->object, sight->n_objects);
    put_digests(&w, sight->damaged, sight->n_damaged);
    cbor_put_array(&w, sight->drift ? 1 : 0);
    if (sight->drift)
        cbor_put_text(&w, sight->drift);
    return cbor_written(&w, ret, err);
}

/* ---- in ---- */

static uint32_t get_u32(struct cbor_in *r, const char *field)
{
    return (uint32_t)cbor_uint(r, field, UINT32_MAX);
}

/* Digests that lie side by side, as a copy in the arena; how many in *ret_n. */
static const struct digest *get_digests(struct cbor_in *r, const char *field, uint32_t most,
                                        struct arena *arena, uint32_t *ret_n)
{
    const struct bytes all = cbor_bstr(r, field, 0, (size_t)most * DIGEST_SIZE);

    if (all.n % DIGEST_SIZE != 0)
        cbor_fail(r, RC_VALUE, field);
    if (r->rc != RC_OK || all.n == 0)
        return NULL;
    const struct digest *ret = arena_copy(arena, all.p, all.n);

    if (!ret)
        cbor_fail(r, RC_NO_MEMORY, field);
    else
        *ret_n = (uint32_t)(all.n / DIGEST_SIZE);
    return ret;
}

static void get_walls(struct cbor_in *r, struct report_walls *ret)
{
    (void)cbor_array(r, "walls", 5, 5);
    ret->standing = cbor_uint(r, "walls", UINT64_MAX);
    ret->missing = cbor_uint(r, "walls", UINT64_MAX);
    ret->waived = cbor_uint(r, "walls", UINT64_MAX);
    ret->landlock = get_u32(r, "walls");
    ret->cgroup = get_u32(r, "walls");
    cbor_end(r);
}

static void get_agent(struct cbor_in *r, struct sight *ret)
{
    (void)cbor_array(r, "agent", 2, 2);
    cbor_text(r, "agent", ret->agent_version, sizeof ret->agent_version);
    const struct bytes running = cbor_bstr(r, "agent", 0, DIGEST_SIZE);

    if (running.n == DIGEST_SIZE)
        memcpy(ret->agent_running.b, running.p, DIGEST_SIZE);
    else if (running.n != 0)
        cbor_fail(r, RC_VALUE, "agent");
    cbor_end(r);
}

static void get_payload(struct cbor_in *r, struct report_payload *ret)
{
    (void)cbor_array(r, "payload", PAYLOAD_PARTS, PAYLOAD_PARTS);
    cbor_text(r, "tenant", ret->tenant, sizeof ret->tenant);
    cbor_text(r, "name", ret->name, sizeof ret->name);
    ret->state = (enum slot_state)cbor_uint(r, "state", SLOT_STATES - 1);
    ret->code = get_u32(r, "code");
    ret->is_running = cbor_bool(r, "running");
    cbor_fixed(r, "wanted", ret->wanted.b, DIGEST_SIZE);
    const struct bytes running = cbor_bstr(r, "running", 0, DIGEST_SIZE);

    if (running.n == 0)
        ret->running = ret->wanted;
    else if (running.n == DIGEST_SIZE)
        memcpy(ret->running.b, running.p, DIGEST_SIZE);
    else
        cbor_fail(r, RC_VALUE, "running");
    cbor_text(r, "version", ret->version, sizeof ret->version);
    ret->restarts = get_u32(r, "restarts");
    ret->memory_kib = get_u32(r, "memory");
    ret->cpu_ms = get_u32(r, "cpu");
    cbor_fixed(r, "receipt", ret->receipt, sizeof ret->receipt);
    cbor_end(r);
}

static void get_payloads(struct cbor_in *r, struct arena *arena, struct sight *ret)
{
    const size_t n = cbor_array(r, "payloads", 0, PAYLOADS_MAX);
    struct report_payload *all = n > 0 ? arena_get(arena, n * sizeof *all) : NULL;

    if (n > 0 && !all)
        cbor_fail(r, RC_NO_MEMORY, "payloads");
    for (size_t i = 0; all && i < n; i++) {
        all[i] = (struct report_payload){ .state = SLOT_ABSENT };
        get_payload(r, &all[i]);
    }
    cbor_end(r);
    ret->payload = all;
    ret->n_payloads = all ? (uint32_t)n : 0;
}

static void get_drift(struct cbor_in *r, struct arena *arena, struct sight *ret)
{
    char what[sizeof(((struct report_event *)NULL)->what)];

    if (cbor_array(r, "drift", 0, 1) == 1) {
        cbor_text(r, "drift", what, sizeof what);
        ret->drift = arena_copy(arena, what, strlen(what) + 1);
        if (!ret->drift)
            cbor_fail(r, RC_NO_MEMORY, "drift");
    }
    cbor_end(r);
}

enum rc sight_decode(struct bytes in, struct arena *arena, struct sight **ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct sight sight = { 0 };

    (void)cbor_array(&r, "sight", SIGHT_PARTS, SIGHT_PARTS);
    (void)cbor_array(&r, "number", 2, 2);
    sight.epoch = cbor_uint(&r, "number", UINT64_MAX);
    sight.seq = cbor_uint(&r, "number", UINT64_MAX);
    cbor_end(&r);
    sight.root_version = cbor_uint(&r, "root", UINT64_MAX);
    sight.generation = cbor_uint(&r, "generation", UINT64_MAX);
    sight.staged = cbor_uint(&r, "staged", UINT64_MAX);
    const uint64_t flags = cbor_uint(&r, "flags", FLAGS_ALL);

    sight.keeps_witness = (flags & FLAG_WITNESS) != 0;
    sight.trial = (flags & FLAG_TRIAL) != 0;
    (void)cbor_array(&r, "witness", 2, 2);
    sight.witness.seq = cbor_uint(&r, "witness", UINT64_MAX);
    cbor_fixed(&r, "witness", sight.witness.head.b, DIGEST_SIZE);
    cbor_end(&r);
    get_agent(&r, &sight);
    get_walls(&r, &sight.walls);
    sight.lost = get_u32(&r, "lost");
    (void)cbor_array(&r, "passes", 2, 2);
    sight.passes_order = get_u32(&r, "passes");
    sight.passes_document = get_u32(&r, "passes");
    cbor_end(&r);
    get_payloads(&r, arena, &sight);
    sight.object = get_digests(&r, "objects", PAYLOADS_MAX, arena, &sight.n_objects);
    sight.damaged = get_digests(&r, "damaged", REPORT_WANTED_MAX, arena, &sight.n_damaged);
    get_drift(&r, arena, &sight);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);

    if (rc != RC_OK)
        return rc;
    struct sight *kept = arena_copy(arena, &sight, sizeof sight);

    if (!kept)
        return err_set(err, RC_NO_MEMORY, "sight");
    *ret = kept;
    return RC_OK;
}
