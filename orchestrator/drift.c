/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/drift.h"

#include <stdlib.h>

#include "manifest/envelope.h"

struct search {
    struct store *store;
    const struct view_satellite *sat;
    bool walked;           /* older orders, since the newest does not name something */
    bool older[DRIFT_MAX]; /* of each entry of the report: one of them names what runs */
    enum rc rc;            /* first failure */
    struct err err;
};

static bool names(const struct want *order, const struct report_payload *p)
{
    const struct order_line *line = verdict_order_line(order, p->tenant, p->name);

    return line && digest_same(&line->manifest, &p->running);
}

/* Mark what an order names; how many entries of the report no order has named so far.  One that
 * cannot be read names nothing. */
static uint32_t mark(struct search *s, const struct store_order *row, struct order *order)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    struct err unread;
    struct want want = { 0 };
    uint32_t open = 0;
    size_t n = 0;

    s->rc = store_order_envelope(s->store, row->satellite, row->generation, &bytes, &n, &s->err);
    if (s->rc == RC_OK && envelope_open((struct bytes){ bytes, n }, &envelope, &unread) == RC_OK &&
        order_decode(envelope.payload, order, &unread) == RC_OK)
        want = want_of(order);

    for (uint32_t i = 0; i < s->sat->seen->n_payloads; i++) {
        const struct report_payload *p = &s->sat->seen->payload[i];

        s->older[i] = s->older[i] || names(&s->sat->order, p) || names(&want, p);
        open += p->is_running && !s->older[i];
    }
    return open;
}

/* Every order is read once, the newest first, for all payloads together. */
static void walk(struct search *s)
{
    const struct store_order_filter filter = { .satellite = s->sat->row.id };
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    size_t n = 0;
    uint32_t open = 1;

    s->walked = true;
    s->rc = order ? store_orders(s->store, &filter, &rows, &n, &s->err)
                  : err_set(&s->err, RC_NO_MEMORY, "order");
    for (size_t i = n; s->rc == RC_OK && open > 0 && i > 0; i--)
        open = mark(s, &rows[i - 1], order);
}

static bool named(void *arg, const struct report_payload *p)
{
    struct search *s = arg;

    if (names(&s->sat->order, p))
        return true;
    if (!s->walked)
        walk(s);
    return s->rc != RC_OK || s->older[p - s->sat->seen->payload]; /* a failure accuses nobody */
}

enum rc drift_find(struct store *store, const struct view_satellite *sat, uint32_t ret[DRIFT_MAX],
                   uint32_t *ret_n, struct err *err)
{
    struct search s = { .store = store, .sat = sat };
    uint32_t n = 0, at = 0;

    for (uint32_t from = 0; verdict_drift(sat->seen, from, named, &s, &at); from = at + 1)
        ret[n++] = at;
    if (s.rc != RC_OK) {
        if (err)
            *err = s.err;
        return s.rc;
    }
    *ret_n = n;
    return RC_OK;
}

bool drift_has(const struct view_satellite *sat, const uint32_t *at, uint32_t n,
               const struct report_payload *p)
{
    for (uint32_t i = 0; i < n; i++)
        if (p == &sat->seen->payload[at[i]])
            return true;
    return false;
}

static void print_one(struct cli *cli, const struct view_satellite *sat,
                      const struct report_payload *p)
{
    char hex[2 * DIGEST_SIZE + 1];

    cli_say(cli, "ALARM DRIFT %s: %s/%s runs %.16s, which no order named", sat->row.id, p->tenant,
            p->name, bytes_hex((struct bytes){ p->running.b, DIGEST_SIZE }, hex));
}

enum rc drift_print(struct cli *cli, struct store *store, const struct view *view,
                    const struct view_satellite *only, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];
        uint32_t at[DRIFT_MAX], n = 0;

        if (only && only != sat)
            continue;
        rc = drift_find(store, sat, at, &n, err);
        for (uint32_t k = 0; rc == RC_OK && k < n; k++)
            print_one(cli, sat, &sat->seen->payload[at[k]]);
    }
    return rc;
}
