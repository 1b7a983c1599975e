/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_told.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/event_rows.h"

enum rc api_told_begin(struct api_told *t, const char *satellite, const char *last,
                       const char *last_id, struct err *err)
{
    struct store *store = t->token.store;
    struct store_satellite row;
    uint64_t newest = 0;
    enum rc rc = satellite[0] != '\0' ? store_satellite(store, satellite, &row, err) : RC_OK;

    if (rc == RC_OK)
        rc = store_news(store, &newest, err);
    if (rc != RC_OK)
        return rc;
    t->last = EVENT_ROWS_DEFAULT;
    if (last) {
        const size_t n = strspn(last, "0123456789");

        t->last = n > 0 && n < 5 && last[n] == '\0' ? strtoul(last, NULL, 10) : 0;
        if (t->last == 0 || t->last > EVENT_ROWS_MAX)
            return err_set(err, RC_API_REQUEST, "parameter 'last' is 1 to %u", EVENT_ROWS_MAX);
    }
    (void)snprintf(t->satellite, sizeof t->satellite, "%s", satellite);
    t->began = last_id != NULL;
    rc = last_id ? api_events_id(last_id, &t->told, err) : RC_OK;
    /* of a store that was put back from a copy: what it tells from now on */
    if (t->told > newest)
        t->told = newest;
    return rc;
}

/* JSON has no line ends of its own here: one "data:" line is enough. */
static enum rc say(const struct store_event *events, size_t n, uint64_t id, char **ret,
                   size_t *ret_n, struct err *err)
{
    json_t *list = json_array();
    size_t size = 0;
    char *out = NULL;

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, event_row_json(&events[i]));
    json_t *value = json_pack("{s:o}", "events", list);
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    FILE *f = text ? open_memstream(&out, &size) : NULL;
    const bool wrote =
        f && fprintf(f, "event: told\nid: %llu\ndata: %s\n\n", (unsigned long long)id, text) > 0;
    const bool done = f && fclose(f) == 0 && wrote;

    free(text);
    json_decref(value);
    if (!done) {
        free(out);
        return err_set(err, RC_NO_MEMORY, "event");
    }
    *ret = out;
    *ret_n = size;
    return RC_OK;
}

enum rc api_told_next(struct api_told *t, uint64_t now_ms, char **ret, size_t *ret_n,
                      struct err *err)
{
    scoped(free_ptr) struct store_event *events = NULL;
    const char *satellite = t->satellite[0] != '\0' ? t->satellite : NULL;
    struct store *store = t->token.store;
    uint64_t told = t->told;
    size_t n = 0;
    enum rc rc = api_events_check(&t->token, now_ms, err);

    *ret = NULL;
    *ret_n = 0;
    if (rc == RC_OK && !t->began)
        rc = event_rows_list(store, satellite, t->last, &events, &n, &told, err);
    else if (rc == RC_OK)
        rc = store_events_after(store, satellite, told, EVENT_NEWS_MAX, &events, &n, err);
    if (rc != RC_OK || (t->began && n == 0))
        return rc;
    if (t->began)
        told = events[n - 1].told;
    rc = say(events, n, told, ret, ret_n, err);
    if (rc == RC_OK) {
        t->began = true;
        t->told = told;
    }
    return rc;
}
