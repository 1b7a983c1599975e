/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/refused.h"

#include <sys/epoll.h>

#include "agent/agent.h"
#include "base/log.h"
#include "sandbox/plan.h"

static_assert(DENIED_CALL_CAP <= sizeof((struct report_denied *)0)->call[0].name,
              "every name of a call fits into a report");

/* ---- counting ------------------------------------------------------------------------------- */

static const struct unit *unit_of(const struct table *table, uint32_t uid)
{
    uint32_t index = (uid - PLAN_UID_BASE) / PLAN_UID_COUNT;

    if (uid < PLAN_UID_BASE || index >= PLAN_SLOTS)
        return NULL;
    for (uint32_t i = 0; i < table->n_units; i++) {
        if (table->unit[i].kept.index == index)
            return &table->unit[i];
    }
    return NULL;
}

static bool in_table(const struct table *table, uint32_t index)
{
    for (uint32_t i = 0; i < table->n_units; i++) {
        if (table->unit[i].kept.index == index)
            return true;
    }
    return false;
}

/* A place that is free, or whose payload is not in the table any more, or whose range another one
 * has got since: a table has no more payloads than there are places. */
static struct refused_unit *new_place(struct refused *r, const struct table *table,
                                      const struct unit_record *u)
{
    struct refused_unit *spare = NULL;

    for (size_t i = 0; i < UNITS_MAX && spare == NULL; i++) {
        struct refused_unit *at = &r->unit[i];

        if (at->tenant[0] != '\0' && at->index == u->index)
            spare = at;
    }
    for (size_t i = 0; i < UNITS_MAX && spare == NULL; i++) {
        struct refused_unit *at = &r->unit[i];

        if (at->tenant[0] == '\0' || !in_table(table, at->index))
            spare = at;
    }
    assert(spare != NULL);
    *spare = (struct refused_unit){ .index = u->index };
    memcpy(spare->tenant, u->tenant, sizeof spare->tenant);
    memcpy(spare->name, u->name, sizeof spare->name);
    return spare;
}

static struct refused_unit *place_of(struct refused *r, const struct table *table,
                                     const struct unit_record *u)
{
    for (size_t i = 0; i < UNITS_MAX; i++) {
        struct refused_unit *at = &r->unit[i];

        if (at->index == u->index && strcmp(at->tenant, u->tenant) == 0 &&
            strcmp(at->name, u->name) == 0)
            return at;
    }
    return new_place(r, table, u);
}

const struct refused_unit *refused_count(struct refused *r, const struct table *table,
                                         const struct denied_record *record, bool *ret_first)
{
    const struct unit *u = unit_of(table, record->uid);

    *ret_first = false;
    if (u == NULL)
        return NULL;
    struct refused_unit *place = place_of(r, table, &u->kept);

    *ret_first = denied_count(&place->denied, record);
    return place;
}

/* ---- telling -------------------------------------------------------------------------------- */

static bool had_more(const struct refused_unit *a, const struct refused_unit *b)
{
    return a->denied.total > b->denied.total;
}

static bool named_before(const struct refused_unit *a, const struct refused_unit *b)
{
    int by_tenant = strcmp(a->tenant, b->tenant);

    return by_tenant != 0 ? by_tenant < 0 : strcmp(a->name, b->name) < 0;
}

static void sort(const struct refused_unit **list, size_t n,
                 bool (*before)(const struct refused_unit *a, const struct refused_unit *b))
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k > 0 && before(list[k], list[k - 1]); k--) {
            const struct refused_unit *swap = list[k];

            list[k] = list[k - 1];
            list[k - 1] = swap;
        }
    }
}

static void report_one(const struct refused_unit *u, struct report_denied *ret)
{
    struct denied_call top[REPORT_DENIED_CALLS];

    *ret = (struct report_denied){ .total = u->denied.total };
    memcpy(ret->tenant, u->tenant, sizeof ret->tenant);
    memcpy(ret->name, u->name, sizeof ret->name);
    ret->n = denied_top(&u->denied, top, REPORT_DENIED_CALLS);
    for (uint32_t i = 0; i < ret->n; i++) {
        (void)denied_call_name(&top[i], ret->call[i].name);
        ret->call[i].count = top[i].count;
    }
}

void refused_report(const struct refused *r, struct report *ret)
{
    const struct refused_unit *units[UNITS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < UNITS_MAX; i++) {
        if (r->unit[i].tenant[0] != '\0' && r->unit[i].denied.n > 0)
            units[n++] = &r->unit[i];
    }
    sort(units, n, had_more);
    n = n < REPORT_DENIED_MAX ? n : REPORT_DENIED_MAX;
    sort(units, n, named_before);
    ret->denied_missed = r->missed;
    ret->n_denied = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        report_one(units[i], &ret->denied[i]);
}

/* ---- the socket ----------------------------------------------------------------------------- */

static void take_record(struct agent *a, const struct denied_record *record)
{
    char name[DENIED_CALL_CAP];
    bool first;
    const struct refused_unit *u = refused_count(&a->refused, &a->table, record, &first);

    /* One line a call and payload: the log is bounded, whatever a payload does. */
    if (first)
        log_event(
            LOG_LEVEL_WARN, "refused payload=%s/%s call=%s%s", u->tenant, u->name,
            denied_call_name(&(struct denied_call){ .arch = record->arch, .nr = record->nr }, name),
            record->killed ? " killed=yes" : "");
}

static int on_records(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct refused *r = &a->refused;

    (void)events;
    for (; r->read < REFUSED_PER_TICK; r->read++) {
        struct denied_record record;

        switch (denied_read(fd, &record)) {
        case DENIED_NOTHING:
            return 0;
        case DENIED_RECORD:
            take_record(a, &record);
            break;
        case DENIED_MISSED:
            r->missed += r->missed < UINT32_MAX;
            break;
        case DENIED_STRANGE:
            break;
        }
    }
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF); /* until the next tick */
    return 0;
}

/* Without it the calls are refused all the same; only nobody hears of them. */
void refused_listen(struct agent *a, int *fd)
{
    if (a->refused.fd >= 0)
        return;
    if (sd_event_add_io(a->loop, &a->on_refused, *fd, EPOLLIN, on_records, a) < 0) {
        log_event(LOG_LEVEL_WARN, "refused calls are not counted");
        return;
    }
    a->refused.fd = take_fd(fd);
}

void refused_tick(struct agent *a)
{
    a->refused.read = 0;
    if (a->on_refused != NULL)
        (void)sd_event_source_set_enabled(a->on_refused, SD_EVENT_ON);
}
