/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/brief.h"
#include "orchestrator/ingest.h"

#include <stdio.h>
#include <stdlib.h>

enum brief_says brief_judge(const struct brief *brief, uint64_t epoch, uint64_t seq,
                            const struct report_root *held)
{
    if (!held)
        return BRIEF_DIFFERS;
    if (brief->epoch < epoch || (brief->epoch == epoch && brief->seq <= seq))
        return BRIEF_OLD;
    return memcmp(held, &brief->root, sizeof *held) == 0 ? BRIEF_SAME : BRIEF_DIFFERS;
}

/* The newest order that went up goes up again, unless it is on its way or only just came. */
static enum rc ask(struct store *store, const char *satellite, uint64_t now_ms, struct err *err)
{
    struct store_order_filter filter = { .satellite = satellite };
    scoped(free_ptr) struct store_order *orders = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n_orders = 0, n = 0;
    enum rc rc = store_orders(store, &filter, &orders, &n_orders, err);

    while (n_orders > 0 && orders[n_orders - 1].state != ORDER_RELEASED &&
           orders[n_orders - 1].state != ORDER_ACKED)
        n_orders--;
    if (rc == RC_OK && n_orders > 0)
        rc = store_outgoing(store, satellite, OUTGOING_COMPLETE, &rows, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (digest_same(&rows[i].object, &orders[n_orders - 1].object) &&
            now_ms >= rows[i].sent_ms + BRIEF_ASK_MS) {
            rows[i].queued_ms = now_ms;
            return store_queue(store, &rows[i], true, err);
        }
    return rc;
}

/* The report held and its root; *ret_has is false if there is none that can be read. */
static enum rc read_held(struct store *store, const char *satellite, struct store_observed *row,
                         struct report *ret, struct report_root *root, bool *ret_has,
                         struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct err unread;
    size_t n = 0;
    enum rc rc = store_report(store, satellite, row, &bytes, &n, err);

    *ret_has = false;
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK || report_decode((struct bytes){ bytes, n }, ret, &unread) != RC_OK)
        return rc;
    *ret_has = true;
    return report_root(ret, root, err);
}

/* The report held is what the satellite says now, with the brief's number and time: whoever asks
 * for its clock needs that time beside the arrival. */
static enum rc renew(struct store *store, const struct brief *brief, uint64_t now_ms,
                     const struct report *held, struct err *err)
{
    struct store_observed row = { .epoch = brief->epoch, .seq = brief->seq, .received_ms = now_ms };
    scoped(free_ptr) struct report *again = malloc(sizeof *again);
    scoped(free_ptr) uint8_t *buf = malloc(REPORT_MAX);
    struct bytes out;
    struct err full;

    if (!again || !buf)
        return err_set(err, RC_NO_MEMORY, "report");
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", brief->satellite);
    *again = *held;
    again->epoch = brief->epoch;
    again->seq = brief->seq;
    again->time_ms = brief->time_ms;
    if (report_encode(again, buf, REPORT_MAX, &out, &full) != RC_OK) /* longer than it was */
        return store_touch_report(store, &row, err);
    return ingest_keep(store, &row, out, again, err);
}

static enum rc act(struct store *store, const struct brief *brief, uint64_t now_ms,
                   enum brief_says says, const struct report *held, struct err *err)
{
    struct store_heard row = { .epoch = brief->epoch, .received_ms = now_ms };

    if (says == BRIEF_OLD)
        return RC_OK;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", brief->satellite);
    enum rc rc = store_put_heard(store, &row, err);

    if (rc != RC_OK)
        return rc;
    return says == BRIEF_SAME ? renew(store, brief, now_ms, held, err)
                              : ask(store, brief->satellite, now_ms, err);
}

enum rc brief_ingest(struct store *store, const char *satellite, struct bytes bytes,
                     uint64_t now_ms, enum brief_says *ret_says, struct report *ret,
                     struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(store_undo) struct store *mark = NULL;
    struct store_observed row = { 0 };
    struct report_root root;
    struct brief brief;
    bool has = false;
    enum rc rc = brief_decode(bytes, &brief, err);

    if (rc == RC_OK && strcmp(brief.satellite, satellite) != 0)
        rc = err_set(err, RC_NO_SATELLITE, "brief of %s under the keys of %s", brief.satellite,
                     satellite);
    if (rc == RC_OK)
        rc = ingest_begin(store, &open, &mark, err);
    if (rc == RC_OK)
        rc = read_held(store, satellite, &row, ret, &root, &has, err);
    if (rc != RC_OK)
        return rc;
    *ret_says = brief_judge(&brief, row.epoch, row.seq, has ? &root : NULL);
    rc = act(store, &brief, now_ms, *ret_says, ret, err);
    ret->epoch = brief.epoch;
    ret->seq = brief.seq;
    ret->time_ms = brief.time_ms;
    return rc == RC_OK ? ingest_end(&open, &mark, err) : rc;
}
