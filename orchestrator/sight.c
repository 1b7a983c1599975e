/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sight.h"

#include <string.h>

struct want want_of(const struct order *order)
{
    if (!order)
        return (struct want){ 0 };
    return (struct want){ .generation = order->generation,
                          .n_lines = order->n_lines,
                          .line = order->line };
}

static const char *newest_drift(const struct report *report)
{
    for (uint32_t i = report->n_events; i > 0; i--)
        if (report->event[i - 1].code == (uint32_t)RC_DRIFT)
            return report->event[i - 1].what;
    return NULL;
}

struct sight sight_of(const struct report *report)
{
    struct sight ret = { .epoch = report->epoch,
                         .seq = report->seq,
                         .root_version = report->root_version,
                         .generation = report->generation,
                         .staged = report->staged,
                         .witness = report->witness,
                         .walls = report->walls,
                         .lost = report->lost,
                         .passes_order = report->passes_order,
                         .passes_document = report->passes_document,
                         .keeps_witness = report->keeps_witness,
                         .trial = report->agent.trial,
                         .n_payloads = report->n_payloads,
                         .n_objects = report->n_objects,
                         .n_damaged = report->scrub.n_wanted,
                         .payload = report->payload,
                         .object = report->object,
                         .damaged = report->scrub.wanted,
                         .agent_running = report->agent.running,
                         .drift = newest_drift(report) };

    memcpy(ret.agent_version, report->agent.version, sizeof ret.agent_version);
    return ret;
}

/* Put a copy in place of what a view points to; false when there is no memory. */
#define KEEP(arena, view, n)                                                                       \
    (((view) = arena_copy((arena), (view), (n) * sizeof *(view))) != NULL || (n) == 0)

enum rc want_keep(struct arena *arena, const struct order *order, struct want *ret, struct err *err)
{
    struct want want = want_of(order);

    if (!KEEP(arena, want.line, want.n_lines))
        return err_set(err, RC_NO_MEMORY, "order");
    *ret = want;
    return RC_OK;
}

bool want_same_lines(const struct want *a, const struct want *b)
{
    if (a->n_lines != b->n_lines)
        return false;
    for (uint32_t i = 0; i < a->n_lines; i++)
        if (!digest_same(&a->line[i].manifest, &b->line[i].manifest) ||
            strcmp(a->line[i].tenant, b->line[i].tenant) != 0 ||
            strcmp(a->line[i].name, b->line[i].name) != 0)
            return false;
    return true;
}

uint32_t want_mark(const struct want *want)
{
    uint32_t mark = want->n_lines;

    for (uint32_t i = 0; i < want->n_lines; i++) {
        const uint8_t *b = want->line[i].manifest.b;

        mark = (mark ^ ((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                        (uint32_t)b[3] << 24)) *
               16777619U;
    }
    return mark ^ mark >> 16;
}

enum rc want_keep_once(struct want_book *book, struct arena *arena, const struct order *order,
                       struct want *ret, struct err *err)
{
    const struct want want = want_of(order);
    struct want *slot = &book->slot[want_mark(&want) % WANT_BOOK];

    if (want.n_lines == 0 || slot->n_lines != want.n_lines ||
        memcmp(slot->line, want.line, want.n_lines * sizeof *want.line) != 0) {
        enum rc rc = want_keep(arena, order, slot, err);

        if (rc != RC_OK)
            return rc;
    }
    *ret = *slot;
    ret->generation = want.generation;
    return RC_OK;
}

enum rc sight_keep(struct arena *arena, const struct report *report, struct sight **ret,
                   struct err *err)
{
    struct sight sight = sight_of(report);
    struct sight *kept;

    if (!KEEP(arena, sight.payload, sight.n_payloads) ||
        !KEEP(arena, sight.object, sight.n_objects) ||
        !KEEP(arena, sight.damaged, sight.n_damaged) ||
        !KEEP(arena, sight.drift, sight.drift ? strlen(sight.drift) + 1 : 0) ||
        !(kept = arena_copy(arena, &sight, sizeof sight)))
        return err_set(err, RC_NO_MEMORY, "report");
    *ret = kept;
    return RC_OK;
}
