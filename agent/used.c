/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/used.h"

#include "agent/room.h"
#include "agent/snapshot.h"
#include "base/log.h"

static uint32_t kib_of(uint64_t bytes)
{
    uint64_t kib = bytes / 1024U + (bytes % 1024U > 0);

    return kib < UINT32_MAX ? (uint32_t)kib : UINT32_MAX;
}

static void put(struct report_usage *u, enum report_use use, uint64_t bytes, uint64_t files)
{
    u->use[use].kib = kib_of(bytes);
    u->use[use].files = files < UINT32_MAX ? (uint32_t)files : UINT32_MAX;
}

static void add_waiting(const struct agent *a, struct report_usage *u)
{
    uint64_t bytes = 0, files = 0;

    for (uint32_t i = 0; i < a->queue.n; i++) {
        const struct item *item = &a->queue.item[i];

        if (item->kind != OBJECT_PACKAGE || item->fd >= 0 || strcmp(item->tenant, u->tenant) != 0)
            continue;
        bytes += item->size;
        files++;
    }
    put(u, USE_WAITING, bytes, files);
}

static void add_data(const struct agent *a, struct report_usage *u)
{
    uint64_t data = 0, n_data = 0, n_snapshots = 0;

    for (uint32_t i = 0; i < a->table.n_units; i++) {
        const struct unit_record *r = &a->table.unit[i].kept;
        uint64_t bytes = 0;

        if (strcmp(r->tenant, u->tenant) != 0)
            continue;
        bytes = snapshot_need(a->data_dir, r->tenant, r->name);
        data += bytes;
        n_data += bytes > 0;
        n_snapshots += snapshot_bytes(a->data_dir, r->tenant, r->name) > 0;
    }
    put(u, USE_DATA, data, n_data);
    u->use[USE_SNAPSHOTS].files = (uint32_t)n_snapshots;
}

/* Whoever has a grant. */
static bool look_at(struct agent *a, const struct grant *grant, struct report_usage *ret)
{
    const struct authority who = grant_authority(grant);
    struct report_usage u = { .store_kib = kib_of(grant->store_bytes) };
    struct room_account sum = { 0 };
    struct err err = { 0 };

    if (room_account(a, &who, &sum, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "what %s takes", grant->tenant);
        return false;
    }
    memcpy(u.tenant, grant->tenant, sizeof u.tenant);
    put(&u, USE_SLOTS, sum.slots, sum.slot_files);
    put(&u, USE_STAGING, sum.staging, sum.staging_files);
    put(&u, USE_KEPT, sum.kept, sum.kept_files);
    put(&u, USE_SNAPSHOTS, sum.snapshots, 0);
    add_waiting(a, &u);
    add_data(a, &u);
    *ret = u;
    return true;
}

void used_tick(struct agent *a, uint64_t now_ms)
{
    struct used *s = &a->used;
    const struct trust_record *t = &a->state.trust;

    if (!a->trust || (s->next == 0 && s->due_ms > now_ms))
        return;
    if (s->next == 0) {
        s->n_fresh = 0;
        s->due_ms = now_ms + USED_ROUND_MS;
    }
    if (s->next < t->n_grants) { /* the record is sorted, and the report with it */
        const struct grant *grant = trust_grant(a->trust, t->grant[s->next].tenant);

        s->n_fresh += grant && look_at(a, grant, &s->fresh[s->n_fresh]);
        s->next++;
        return;
    }
    memcpy(s->whole, s->fresh, s->n_fresh * sizeof s->fresh[0]);
    s->n_whole = s->n_fresh;
    s->next = 0;
}

void used_report(const struct agent *a, struct report *ret)
{
    ret->n_usage = a->used.n_whole;
    memcpy(ret->usage, a->used.whole, a->used.n_whole * sizeof ret->usage[0]);
}
