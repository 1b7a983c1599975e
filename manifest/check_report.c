/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a report makes sense.  It comes from a satellite that may be broken or taken over: the
 * ground shows these values to people and writes them into its store.
 */
#include "base/name.h"
#include "manifest/wire.h"

static bool text_printable(const char *text)
{
    for (; *text; text++) {
        if (*text < 0x20 || *text > 0x7e)
            return false;
    }
    return true;
}

static enum rc payload_check(const struct report_payload *p, struct err *err)
{
    if (!name_valid(p->tenant) || !name_valid(p->name))
        return err_set(err, RC_NAME, "report.payload");
    if ((unsigned)p->state >= SLOT_STATES)
        return err_set(err, RC_VALUE, "report.payload.state");
    if (p->version[0] != '\0' && !version_valid(p->version))
        return err_set(err, RC_NAME, "report.payload.version");
    return RC_OK;
}

static enum rc transfer_check(const struct report_transfer *t, struct err *err)
{
    uint64_t chunks = t->chunks ? t->chunks : CHUNKS_MAX;
    uint64_t free_from = 0;

    if (digest_is_none(&t->object))
        return err_set(err, RC_DIGEST_MISSING, "report.transfer.object");
    if (t->chunks > CHUNKS_MAX || t->n_missing > REPORT_RANGES_MAX)
        return err_set(err, RC_VALUE, "report.transfer");
    for (uint32_t i = 0; i < t->n_missing; i++) {
        uint64_t first = t->missing[i].first;
        uint64_t end = first + t->missing[i].count;

        if (first < free_from || t->missing[i].count == 0 || end > chunks)
            return err_set(err, RC_VALUE, "report.transfer.missing[%u]", i);
        free_from = end + 1; /* touching ranges would be one */
    }
    return RC_OK;
}

static enum rc events_check(const struct report *doc, struct err *err)
{
    for (uint32_t i = 0; i < doc->n_events; i++) {
        const struct report_event *e = &doc->event[i];

        if (e->seq > WIRE_UINT_MAX || (i > 0 && e->seq <= doc->event[i - 1].seq))
            return err_set(err, RC_VALUE, "report.event.seq");
        if (!text_printable(e->what))
            return err_set(err, RC_VALUE, "report.event.what");
    }
    return RC_OK;
}

static enum rc counters_check(const struct report *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "report.satellite");
    if (doc->epoch > WIRE_UINT_MAX || doc->seq > WIRE_UINT_MAX || doc->time_ms > WIRE_UINT_MAX ||
        doc->root_version > WIRE_UINT_MAX || doc->generation > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "report: counter");
    if (doc->n_payloads > PAYLOADS_MAX || doc->n_events > REPORT_EVENTS_MAX ||
        doc->n_transfers > REPORT_TRANSFERS_MAX || doc->n_objects > PAYLOADS_MAX)
        return err_set(err, RC_VALUE, "report: count");
    return RC_OK;
}

enum rc report_check(const struct report *doc, struct err *err)
{
    enum rc rc = counters_check(doc, err);

    /* The counts are bounded before anything is walked. */
    if (rc != RC_OK)
        return rc;
    rc = events_check(doc, err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_payloads; i++)
        rc = payload_check(&doc->payload[i], err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_transfers; i++)
        rc = transfer_check(&doc->transfer[i], err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_objects; i++) {
        if (digest_is_none(&doc->object[i]))
            rc = err_set(err, RC_DIGEST_MISSING, "report.object[%u]", i);
    }
    return rc;
}
