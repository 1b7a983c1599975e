/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/brief.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "base/name.h"
#include "manifest/wire.h"

/* ---- the root ---- */

static void leave_out_what_changes(struct report *r)
{
    r->epoch = r->seq = r->time_ms = 0;
    r->passes_order = r->passes_document = 0;
    r->scrub = (struct report_scrub){ 0 };
    r->traffic = (struct report_traffic){ 0 };
    r->n_usage = 0;
    r->keys.has_kem_public = false;
    memset(r->keys.kem_public, 0, sizeof r->keys.kem_public);
    for (uint32_t i = 0; i < r->n_payloads; i++)
        r->payload[i].memory_kib = r->payload[i].cpu_ms = 0;
}

/* What of the ground's has come in says whether it was heard: not in the encoding, whose numbers
 * have to fit those that are left out. */
static enum rc hash(const struct report_traffic *t, struct bytes encoded, struct digest *ret,
                    struct err *err)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    uint8_t heard[24];
    enum rc rc = sha256_new(&ctx, err);

    bytes_put_be(heard, 8, t->key_epoch);
    bytes_put_be(heard + 8, 8, t->highest);
    bytes_put_be(heard + 16, 8, t->accepted);
    if (rc == RC_OK)
        rc = sha256_add(ctx, (struct bytes){ heard, sizeof heard }, err);
    if (rc == RC_OK)
        rc = sha256_add(ctx, encoded, err);
    return rc == RC_OK ? sha256_end(ctx, ret->b, err) : rc;
}

enum rc report_root(const struct report *report, struct report_root *ret, struct err *err)
{
    scoped(free_ptr) struct report *copy = malloc(sizeof *copy);
    scoped(free_ptr) uint8_t *buf = malloc(REPORT_MAX);
    struct digest digest;
    struct bytes out;

    if (!copy || !buf)
        return err_set(err, RC_NO_MEMORY, "report");
    *copy = *report;
    leave_out_what_changes(copy);
    enum rc rc = report_encode(copy, buf, REPORT_MAX, &out, err);

    if (rc == RC_OK)
        rc = hash(&report->traffic, out, &digest, err);
    if (rc == RC_OK)
        memcpy(ret->b, digest.b, sizeof ret->b);
    return rc;
}

bool report_is_quiet(const struct report *report)
{
    return report->n_transfers == 0 && report->scrub.n_wanted == 0 && report->lost == 0 &&
           !report->agent.trial;
}

/* ---- the document ---- */

enum rc brief_check(const struct brief *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "brief.satellite");
    if (doc->epoch > WIRE_UINT_MAX || doc->seq > WIRE_UINT_MAX || doc->time_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "brief");
    return RC_OK;
}

enum rc brief_decode(struct bytes in, struct brief *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct brief d = { 0 };

    wire_open(&r, DOC_BRIEF);
    wire_key(&r, 1, "brief.satellite");
    cbor_text(&r, "brief.satellite", d.satellite, sizeof d.satellite);
    wire_key(&r, 2, "brief.epoch");
    d.epoch = wire_u64(&r, "brief.epoch");
    wire_key(&r, 3, "brief.seq");
    d.seq = wire_u64(&r, "brief.seq");
    wire_key(&r, 4, "brief.time");
    d.time_ms = wire_u64(&r, "brief.time");
    wire_key(&r, 5, "brief.root");
    cbor_fixed(&r, "brief.root", d.root.b, sizeof d.root.b);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = brief_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc brief_encode(const struct brief *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = brief_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_BRIEF, 6);
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->epoch);
    wire_put_uint_at(&w, 3, doc->seq);
    wire_put_uint_at(&w, 4, doc->time_ms);
    cbor_put_uint(&w, 5);
    cbor_put_bstr(&w, (struct bytes){ doc->root.b, sizeof doc->root.b });
    return cbor_written(&w, ret, err);
}
