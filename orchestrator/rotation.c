/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/rotation.h"
#include "orchestrator/activation.h"
#include "orchestrator/strong.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "link/port.h"
#include "manifest/envelope.h"

enum rc rotation_put_root(struct rotation *r, struct err *err)
{
    const struct home_document doc = { .type = DOC_ROOT,
                                       .name = "root",
                                       .version = trust_root(r->trust)->version,
                                       .envelope = trust_root_envelope(r->trust) };

    return home_publish(r->home, &doc, r->now_ms, &r->satellites, err);
}

/* What the old keys signed is refused from the new root on. */
static enum rc withdraw_old(const struct rotation *r, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(r->home->store, NULL, OUTGOING_QUEUED, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].class == CLASS_RAW || rows[i].kind == OBJECT_ROOT ||
            rows[i].kind == OBJECT_REVOCATION || rows[i].kind == OBJECT_PACKAGE ||
            rows[i].kind == OBJECT_DELEGATION)
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(r->home->store, &rows[i], err);
    }
    return rc;
}

/* ---- signatures ---- */

struct signed_again {
    const char *name; /* of the request: "grant-acme" */
    enum doc_type type;
    struct bytes payload;
    uint8_t *envelope; /* owned; NULL after ROTATION_ASK */
    size_t n;
};

static void signed_again_done(struct signed_again *s)
{
    free(s->envelope);
}

static enum rc ask(const struct rotation *r, const struct signed_again *s, struct err *err)
{
    const struct request request = { .type = s->type,
                                     .mission = r->root->mission,
                                     .payload = s->payload };
    char path[PATH_MAX];

    return offline_write(r->dir, s->name, &request, path, err);
}

static enum rc attach(const struct rotation *r, struct signed_again *s, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    enum rc rc = offline_collect(r->dir, s->name, s->type, &offline, &s->envelope, &s->n, err);

    if (rc == RC_OK && !bytes_equal(offline.request.payload, s->payload))
        rc = err_set(err, RC_PLAN_STALE, "%s: another one would be made now", s->name);
    return rc;
}

static enum rc sign_again(const struct rotation *r, struct signed_again *s, struct err *err)
{
    if (r->how == ROTATION_ASK)
        return ask(r, s, err);
    if (r->how == ROTATION_ATTACH)
        return attach(r, s, err);
    struct keyring ring = *r->ring; /* views */
    enum rc rc = s->type == DOC_ORDER ? activation_ring(r->ring, r->safety, &ring, err) : RC_OK;

    return rc == RC_OK ? keyring_sign(&ring, s->type, &r->root->mission, s->payload, &s->envelope,
                                      &s->n, err)
                       : rc;
}

/* ---- grants ---- */

static enum rc read_grant(const struct rotation *r, const char *tenant, struct grant *ret,
                          struct err *err)
{
    scoped(free_ptr) uint8_t *old = NULL;
    struct envelope envelope;
    size_t n = 0;
    enum rc rc = store_document(r->home->store, DOC_GRANT, tenant, &old, &n, err);

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ old, n }, &envelope, err);
    return rc == RC_OK ? grant_decode(envelope.payload, ret, err) : rc;
}

static enum rc publish_grant(struct rotation *r, const struct grant *grant, struct bytes envelope,
                             struct err *err)
{
    const struct home_document doc = {
        .type = DOC_GRANT, .name = grant->tenant, .version = grant->epoch, .envelope = envelope
    };
    size_t queued = 0;
    enum rc rc = trust_add_grant(r->trust, envelope, grant->issued_ms, err);

    /* taken as every satellite will take it */
    return rc == RC_OK ? home_publish(r->home, &doc, r->now_ms, &queued, err) : rc;
}

static enum rc resign_grant(struct rotation *r, const char *tenant, struct err *err)
{
    scoped(signed_again_done) struct signed_again s = { .type = DOC_GRANT };
    scoped(free_ptr) struct grant *grant = malloc(sizeof *grant);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    char name[NAME_CAP + 8];

    if (!grant || !buf)
        return err_set(err, RC_NO_MEMORY, "grant");
    enum rc rc = read_grant(r, tenant, grant, err);

    if (rc == RC_OK && grant->expires_ms != 0 && grant->expires_ms <= r->root->issued_ms)
        return RC_OK; /* it ended by itself */
    if (rc != RC_OK)
        return rc;
    grant->epoch++;
    grant->issued_ms = r->root->issued_ms;
    (void)snprintf(name, sizeof name, "grant-%s", grant->tenant);
    s.name = name;
    rc = grant_encode(grant, buf, DOCUMENT_MAX, &s.payload, err);
    if (rc == RC_OK)
        rc = sign_again(r, &s, err);
    if (rc == RC_OK && r->how != ROTATION_ASK)
        rc = publish_grant(r, grant, (struct bytes){ s.envelope, s.n }, err);
    r->grants += rc == RC_OK;
    return rc;
}

/* ---- orders ---- */

/* The order as it is to be signed: what was staged is void on board, and its token with it. */
static enum rc read_order(const struct rotation *r, const struct store_order *row,
                          struct order *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *old = NULL;
    struct envelope envelope;
    size_t n = 0;
    enum rc rc =
        store_order_envelope(r->home->store, row->satellite, row->generation, &old, &n, err);

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ old, n }, &envelope, err);
    if (rc == RC_OK)
        rc = order_decode(envelope.payload, ret, err);
    if (rc != RC_OK)
        return rc;
    ret->staged = false;
    ret->issued_ms = r->root->issued_ms;
    if (ret->expires_ms != 0 && ret->expires_ms <= ret->issued_ms)
        ret->expires_ms = 0; /* it took effect in time: in force it does not expire */
    return strong_order(r->home, r->root, ret, err);
}

/* Held ones stay held; one that is in force is on its way again. */
static enum rc put_order(struct rotation *r, struct store_order *row, struct bytes envelope,
                         struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    const struct order_position position = { .satellite = row->satellite };
    char path[HOME_OBJECT_CAP];
    enum rc rc =
        trust_verify_order(r->trust, envelope, &position, r->root->issued_ms, &verified, err);

    if (rc == RC_OK)
        rc = store_drop_token(r->home->store, row->satellite, row->generation, err);
    if (rc == RC_OK)
        rc = home_add_bytes(r->home, envelope, &row->object, path, err);
    if (rc != RC_OK)
        return rc;
    row->payload = *verified_order_digest(verified);
    row->state = row->state == ORDER_HELD ? ORDER_HELD : ORDER_RELEASED;
    row->changed_ms = r->now_ms;
    rc = store_resign_order(r->home->store, row, envelope, err);
    return rc == RC_OK && row->state == ORDER_RELEASED
               ? home_queue_bytes(r->home, row->satellite, OBJECT_ORDER, envelope, true, r->now_ms,
                                  err)
               : rc;
}

static enum rc resign_order(struct rotation *r, struct store_order *row, struct err *err)
{
    scoped(signed_again_done) struct signed_again s = { .type = DOC_ORDER };
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    char name[NAME_CAP + 32];

    if (!order || !buf)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = read_order(r, row, order, err);

    (void)snprintf(name, sizeof name, "order-%s-%llu", row->satellite,
                   (unsigned long long)row->generation);
    s.name = name;
    if (rc == RC_OK)
        rc = order_encode(order, buf, DOCUMENT_MAX, &s.payload, err);
    if (rc == RC_OK)
        rc = sign_again(r, &s, err);
    if (rc == RC_OK && r->how != ROTATION_ASK)
        rc = put_order(r, row, (struct bytes){ s.envelope, s.n }, err);
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

    if (rc == RC_OK && r->how != ROTATION_ASK)
        rc = withdraw_old(r, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = resign_grant(r, names[i].name, err);
    return rc == RC_OK ? resign_orders(r, err) : rc;
}
