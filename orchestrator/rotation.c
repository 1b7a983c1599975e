/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/rotation.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "link/port.h"
#include "manifest/envelope.h"

/* Queue an envelope for every satellite; it lies in objects/ even if there is none yet. */
static enum rc queue_for_all(const struct rotation *r, unsigned kind, struct bytes envelope,
                             uint32_t *ret_n, struct err *err)
{
    scoped(free_ptr) struct store_satellite *sats = NULL;
    struct digest digest;
    char path[HOME_OBJECT_CAP];
    size_t n = 0;
    enum rc rc = store_satellites(r->home->store, &sats, &n, err);

    if (rc == RC_OK)
        rc = home_add_bytes(r->home, envelope, &digest, path, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = home_queue_bytes(r->home, sats[i].id, kind, envelope, false, r->now_ms, err);
    *ret_n = (uint32_t)n;
    return rc;
}

enum rc rotation_put_root(struct rotation *r, struct err *err)
{
    struct bytes envelope = trust_root_envelope(r->trust);
    enum rc rc = store_put_document(r->home->store, DOC_ROOT, "root", trust_root(r->trust)->version,
                                    envelope, r->now_ms, err);

    return rc == RC_OK ? queue_for_all(r, OBJECT_ROOT, envelope, &r->satellites, err) : rc;
}

/* What the old keys signed is refused from the new root on. */
static enum rc withdraw_old(const struct rotation *r, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(r->home->store, NULL, OUTGOING_QUEUED, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].class == CLASS_RAW ||
            (rows[i].kind != OBJECT_GRANT && rows[i].kind != OBJECT_ORDER))
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(r->home->store, &rows[i], err);
    }
    return rc;
}

/* ---- grants ---- */

static enum rc resign_grant(struct rotation *r, const char *tenant, struct err *err)
{
    scoped(free_ptr) struct grant *grant = malloc(sizeof *grant);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *old = NULL;
    scoped(free_ptr) uint8_t *fresh = NULL;
    const uint64_t now_ms = trust_root(r->trust)->issued_ms;
    struct envelope envelope;
    struct bytes payload = { 0 };
    size_t n = 0, n_fresh = 0;
    uint32_t queued = 0;

    if (!grant || !buf)
        return err_set(err, RC_NO_MEMORY, "grant");
    enum rc rc = store_document(r->home->store, DOC_GRANT, tenant, &old, &n, err);
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ old, n }, &envelope, err);
    if (rc == RC_OK)
        rc = grant_decode(envelope.payload, grant, err);
    if (rc == RC_OK && grant->expires_ms != 0 && grant->expires_ms <= now_ms)
        return RC_OK; /* it ended by itself */
    if (rc != RC_OK)
        return rc;
    grant->epoch++;
    grant->issued_ms = now_ms;
    rc = grant_encode(grant, buf, DOCUMENT_MAX, &payload, err);
    if (rc == RC_OK)
        rc = keyring_sign(r->ring, DOC_GRANT, &trust_root(r->trust)->mission, payload, &fresh,
                          &n_fresh, err);
    if (rc == RC_OK) /* as every satellite will see it */
        rc = trust_add_grant(r->trust, (struct bytes){ fresh, n_fresh }, now_ms, err);
    if (rc == RC_OK)
        rc = store_put_document(r->home->store, DOC_GRANT, tenant, grant->epoch,
                                (struct bytes){ fresh, n_fresh }, r->now_ms, err);
    if (rc == RC_OK)
        rc = queue_for_all(r, OBJECT_GRANT, (struct bytes){ fresh, n_fresh }, &queued, err);
    r->grants += rc == RC_OK;
    return rc;
}

/* ---- orders ---- */

static enum rc sign_order(const struct rotation *r, struct order *order, uint8_t **ret,
                          size_t *ret_n, struct digest *ret_payload, struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *fresh = NULL;
    const struct order_position position = { .satellite = order->satellite };
    struct bytes payload = { 0 };
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "order");
    order->issued_ms = trust_root(r->trust)->issued_ms;
    if (order->expires_ms != 0 && order->expires_ms <= order->issued_ms)
        order->expires_ms = 0; /* it took effect in time: in force it does not expire */
    enum rc rc = order_encode(order, buf, DOCUMENT_MAX, &payload, err);

    if (rc == RC_OK)
        rc = keyring_sign(r->ring, DOC_ORDER, &trust_root(r->trust)->mission, payload, &fresh, &n,
                          err);
    if (rc == RC_OK)
        rc = trust_verify_order(r->trust, (struct bytes){ fresh, n }, &position, order->issued_ms,
                                &verified, err);
    if (rc != RC_OK)
        return rc;
    *ret_payload = *verified_order_digest(verified);
    *ret = fresh;
    *ret_n = n;
    fresh = NULL;
    return RC_OK;
}

/* Held ones stay held; one that is in force is on its way again. */
static enum rc resign_order(struct rotation *r, struct store_order *row, struct err *err)
{
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    scoped(free_ptr) uint8_t *old = NULL;
    scoped(free_ptr) uint8_t *fresh = NULL;
    struct envelope envelope;
    char path[HOME_OBJECT_CAP];
    size_t n = 0, n_fresh = 0;
    enum rc rc =
        order ? store_order_envelope(r->home->store, row->satellite, row->generation, &old, &n, err)
              : err_set(err, RC_NO_MEMORY, "order");

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ old, n }, &envelope, err);
    if (rc == RC_OK)
        rc = order_decode(envelope.payload, order, err);
    if (rc == RC_OK)
        rc = sign_order(r, order, &fresh, &n_fresh, &row->payload, err);
    if (rc == RC_OK)
        rc = home_add_bytes(r->home, (struct bytes){ fresh, n_fresh }, &row->object, path, err);
    if (rc != RC_OK)
        return rc;
    row->state = row->state == ORDER_HELD ? ORDER_HELD : ORDER_RELEASED;
    row->changed_ms = r->now_ms;
    rc = store_resign_order(r->home->store, row, (struct bytes){ fresh, n_fresh }, err);
    if (rc == RC_OK && row->state == ORDER_RELEASED)
        rc = home_queue_bytes(r->home, row->satellite, OBJECT_ORDER,
                              (struct bytes){ fresh, n_fresh }, true, r->now_ms, err);
    r->orders += rc == RC_OK;
    return rc;
}

/* Of each satellite: what is held, and the newest that was released or is in force. */
static enum rc resign_orders(struct rotation *r, struct err *err)
{
    const struct store_order_filter all = { 0 };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;
    enum rc rc = store_orders(r->home->store, &all, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        bool sent = rows[i].state == ORDER_RELEASED || rows[i].state == ORDER_ACKED;
        bool newer = false;

        for (size_t k = i + 1; sent && k < n && !newer; k++)
            newer = strcmp(rows[k].satellite, rows[i].satellite) == 0 &&
                    (rows[k].state == ORDER_RELEASED || rows[k].state == ORDER_ACKED);
        if (rows[i].state == ORDER_HELD || (sent && !newer))
            rc = resign_order(r, &rows[i], err);
    }
    return rc;
}

enum rc rotation_resign(struct rotation *r, struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(r->home->store, DOC_GRANT, &names, &n, err);

    if (rc == RC_OK)
        rc = withdraw_old(r, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = resign_grant(r, names[i].name, err);
    return rc == RC_OK ? resign_orders(r, err) : rc;
}
