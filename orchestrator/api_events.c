/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/api_token.h"

static enum rc newest(struct store *store, uint64_t *ret, struct err *err)
{
    struct digest hash;

    return store_audit_head(store, ret, &hash, err);
}

enum rc api_events_id(const char *text, uint64_t *ret, struct err *err)
{
    const size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 18 || text[n] != '\0')
        return err_set(err, RC_API_REQUEST, "Last-Event-ID is the id of an event");
    *ret = strtoull(text, NULL, 10);
    return RC_OK;
}

enum rc api_events_begin(struct api_events *e, const char *last_id, struct err *err)
{
    return last_id ? api_events_id(last_id, &e->last, err) : newest(e->store, &e->last, err);
}

/* One entry as an event.  JSON has no line ends of its own here: one "data:" line is enough. */
static enum rc tell(const struct audit_entry *entry, char *out, size_t cap, size_t *ret_n,
                    struct err *err)
{
    json_t *value = json_pack("{s:o, s:o, s:o, s:o, s:o}", "seq", json_uint(entry->seq), "at_ms",
                              json_uint(entry->at_ms), "who", json_safe(entry->who), "action",
                              json_safe(entry->action), "detail", json_safe(entry->what));
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    int n = text ? snprintf(out, cap, "event: audit\nid: %llu\ndata: %s\n\n",
                            (unsigned long long)entry->seq, text)
                 : -1;

    free(text);
    json_decref(value);
    if (n < 0 || (size_t)n >= cap)
        return err_set(err, RC_NO_MEMORY, "event");
    *ret_n = (size_t)n;
    return RC_OK;
}

/* The entry after the last that was told. */
static enum rc next_entry(struct api_events *e, char *out, size_t cap, size_t *ret_n,
                          struct err *err)
{
    struct store_audit row;

    if (e->head <= e->last)
        return RC_OK;
    if (e->head - e->last > API_EVENTS_BACK)
        e->last = e->head - API_EVENTS_BACK;
    enum rc rc = store_audit_after(e->store, e->last, &row, err);

    if (rc != RC_OK)
        return rc == RC_NOT_FOUND ? RC_OK : rc;
    e->last = row.entry.seq;
    return tell(&row.entry, out, cap, ret_n, err);
}

/* Entries up to e->head may be told afterwards: none of them is younger than the token's end. */
enum rc api_events_check(struct api_events *e, uint64_t now_ms, struct err *err)
{
    uint64_t head = 0;
    enum rc rc = newest(e->store, &head, err);

    if (rc != RC_OK || (e->lookups > 0 && head == e->head && now_ms / 1000U == e->looked_at_s))
        return rc;
    rc = api_token_find(e->store, e->secret, now_ms, &e->who, err);
    if (rc != RC_OK)
        return rc;
    e->lookups++;
    e->head = head;
    e->looked_at_s = now_ms / 1000U;
    return RC_OK;
}

enum rc api_events_next(struct api_events *e, uint64_t now_ms, char *out, size_t cap, size_t *ret_n,
                        struct err *err)
{
    uint64_t version = 0;

    *ret_n = 0;
    enum rc rc = api_events_check(e, now_ms, err);

    /* What other tenants do is nothing that one of them is told. */
    if (rc == RC_OK && e->who.role != API_TENANT)
        rc = next_entry(e, out, cap, ret_n, err);
    if (rc != RC_OK || *ret_n > 0)
        return rc;
    rc = store_watch(e->store, &version, err);
    if (rc != RC_OK || (e->began && version == e->version))
        return rc;
    e->began = true;
    e->version = version;
    *ret_n = (size_t)snprintf(out, cap, "event: changed\ndata: {}\n\n");
    return RC_OK;
}
