/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/standpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "manifest/envelope.h"
#include "orchestrator/checking.h"
#include "orchestrator/path.h"
#include "update/package.h"

void standpoint_done(struct standpoint *s)
{
    trust_free(&s->trust);
    free(s->seen);
    s->seen = NULL;
}

/* ---- what the ground knows ---- */

static enum rc read_report(struct standpoint *s, uint64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct report *seen = calloc(1, sizeof *seen);
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_observed row;
    size_t n = 0;
    enum rc rc = seen ? store_report(s->home->store, s->satellite, &row, &bytes, &n, err)
                      : err_set(err, RC_NO_MEMORY, "report");

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = report_decode((struct bytes){ bytes, n }, seen, err);
    if (rc != RC_OK)
        return rc;
    s->received_ms = row.received_ms;
    /* Of a later brief that is the same only the arrival was kept: then its own time is not known.
     */
    if (seen->epoch == row.epoch && seen->seq == row.seq && seen->time_ms < UINT64_MAX / 2 &&
        now_ms >= row.received_ms)
        s->now_ms = seen->time_ms + (now_ms - row.received_ms);
    s->seen = seen;
    seen = NULL;
    return RC_OK;
}

/* When an order that was signed here was issued; 0 if that cannot be told. */
static uint64_t issued_of(struct bytes in)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    struct envelope envelope;
    struct err ignored;

    if (!order || envelope_open(in, &envelope, &ignored) != RC_OK ||
        order_decode(envelope.payload, order, &ignored) != RC_OK)
        return 0;
    return order->issued_ms;
}

/* The payload of an order as the ground signed it. */
static enum rc find_order(const struct standpoint *s, uint64_t generation, struct digest *ret,
                          bool *ret_known, struct err *err)
{
    struct store_order_filter filter = { .satellite = s->satellite };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;

    if (generation == 0)
        return RC_OK;
    enum rc rc = store_orders(s->home->store, &filter, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].generation != generation)
            continue;
        *ret = rows[i].payload;
        *ret_known = true;
    }
    return rc;
}

/* The order in force counts for generations, and raised the satellite's time floor; so does the one
 * that waits. */
static enum rc read_orders(struct standpoint *s, struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    struct order_position position = { .satellite = s->satellite };
    scoped(free_ptr) uint8_t *envelope = NULL;
    size_t size = 0;
    enum rc rc;

    if (!s->seen)
        return RC_OK;
    rc = find_order(s, s->seen->staged, &s->waiting, &s->waiting_known, err);
    if (rc == RC_OK)
        rc = find_order(s, s->seen->generation, &s->in_force, &s->order_known, err);
    if (rc != RC_OK || !s->order_known)
        return rc;
    position.generation = s->seen->generation;
    position.digest = &s->in_force;
    rc = store_order_envelope(s->home->store, s->satellite, s->seen->generation, &envelope, &size,
                              err);
    if (rc == RC_OK)
        position.issued_ms = s->in_force_ms = issued_of((struct bytes){ envelope, size });
    if (rc == RC_OK && trust_verify_order(s->trust, (struct bytes){ envelope, size }, &position,
                                          s->now_ms, &verified, NULL) != RC_OK)
        s->order_known = false; /* of another root: only its number counts */
    return rc;
}

/* ---- what the satellite has of the trust ---- */

struct held {
    struct standpoint *s;
    uint64_t added_ms; /* when it was provisioned, with all that there was */
    struct store_outgoing *rows;
    size_t n;
};

static bool has_arrived(const struct held *h, struct bytes envelope)
{
    struct digest object = { 0 };

    if (sha256_of(envelope, object.b, NULL) != RC_OK)
        return false;
    for (size_t i = 0; i < h->n; i++)
        if (h->rows[i].state == OUTGOING_COMPLETE && digest_same(&h->rows[i].object, &object))
            return true;
    return false;
}

static bool holds(void *arg, const struct store_entry *entry, struct bytes envelope)
{
    const struct held *h = arg;
    bool has = entry->added_ms <= h->added_ms;

    if (entry->type == DOC_ROOT && h->s->seen)
        has = entry->version <= h->s->seen->root_version;
    else if (!has)
        has = has_arrived(h, envelope);
    h->s->awaited += !has;
    return has;
}

static enum rc read_trust(struct standpoint *s, const struct store_satellite *row, struct err *err)
{
    struct held held = { .s = s, .added_ms = row->added_ms };
    const struct home_holds who = { .holds = holds, .arg = &held };
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    enum rc rc = store_outgoing(s->home->store, row->id, OUTGOING_COMPLETE, &rows, &held.n, err);

    held.rows = rows;
    if (rc == RC_OK)
        rc = home_trust_of(s->home, &who, s->now_ms, &s->trust, err);
    if (rc == RC_TRUST_MISSING && s->seen && s->seen->root_version == 0)
        rc = RC_OK; /* so it says: it believes nobody */
    return rc;
}

enum rc standpoint_of(const struct home *home, const char *satellite, uint64_t now_ms,
                      struct standpoint *ret, struct err *err)
{
    scoped(standpoint_done) struct standpoint s = { .home = home, .now_ms = now_ms };
    struct store_satellite row;
    enum rc rc = store_satellite(home->store, satellite, &row, err);

    if (rc == RC_OK) {
        memcpy(s.satellite, row.id, sizeof s.satellite);
        rc = read_report(&s, now_ms, err);
    }
    if (rc == RC_OK)
        rc = read_trust(&s, &row, err);
    if (rc == RC_OK)
        rc = read_orders(&s, err);
    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = (struct standpoint){ 0 };
    return RC_OK;
}

/* ---- what stands on board ---- */

static const struct report_payload *find_seen(const struct standpoint *s, const char *tenant,
                                              const char *name)
{
    for (uint32_t i = 0; s->seen && i < s->seen->n_payloads; i++) {
        const struct report_payload *p = &s->seen->payload[i];

        if (strcmp(p->tenant, tenant) == 0 && strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

/* A manifest from its package.  False when the ground does not have it. */
static bool read_manifest(const struct standpoint *s, const struct digest *manifest,
                          struct manifest *ret)
{
    scoped(pushed_done) struct pushed pushed = { 0 };

    return checking_pushed(s->home, manifest, &pushed, NULL) == RC_OK &&
           manifest_decode(pushed.envelope.payload, ret, NULL) == RC_OK;
}

/* The floor that a committed manifest set; 0 when that cannot be told. */
static uint64_t floor_of(const struct standpoint *s, const struct digest *manifest)
{
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);

    return m && read_manifest(s, manifest, m) ? m->floor : 0;
}

/* What the satellite would hold against running this release: the floor of what it committed, and
 * that the same bytes failed before. */
static enum rc check_use(const struct standpoint *s, const char *tenant, const char *name,
                         uint64_t release, const struct digest *manifest, struct err *err)
{
    const struct report_payload *p = s->home ? find_seen(s, tenant, name) : NULL;

    if (!p)
        return RC_OK;
    if (release < floor_of(s, &p->running))
        return err_set(err, RC_FLOOR, "%s/%s", tenant, name);
    if ((p->state == SLOT_FAILED || p->state == SLOT_ROLLED_BACK) &&
        memcmp(&p->wanted, manifest, sizeof *manifest) == 0)
        return err_set(err, RC_FAILED_BEFORE, "%s/%s", tenant, name);
    return RC_OK;
}

/* ---- judging ---- */

static enum rc judge_package(struct standpoint *s, const char *path, struct judged *ret,
                             struct err *err)
{
    scoped(checked_done) struct checked checked = CHECKED_NONE;
    const struct manifest *m;
    enum rc rc = checking_package(s->trust, path, s->now_ms, &checked, err);

    ret->type = DOC_MANIFEST;
    if (rc != RC_OK)
        return rc;
    m = payload_manifest(checked.payload);
    ret->unpacked = checked.unpacked;
    (void)snprintf(ret->what, sizeof ret->what, "package %s/%s %s", m->tenant, m->name, m->version);
    return check_use(s, m->tenant, m->name, m->release, payload_digest(checked.payload), err);
}

static enum rc judge_root(struct standpoint *s, struct bytes in, struct judged *ret,
                          struct err *err)
{
    enum rc rc = trust_next_root(s->trust, in, NULL, err);

    if (rc == RC_OK)
        (void)snprintf(ret->what, sizeof ret->what, "trust root, version %" PRIu64,
                       trust_root(s->trust)->version);
    return rc;
}

static enum rc judge_grant(struct standpoint *s, struct bytes in, struct judged *ret,
                           struct err *err)
{
    scoped(free_ptr) struct grant *grant = calloc(1, sizeof *grant);
    struct envelope envelope;
    enum rc rc =
        grant ? trust_add_grant(s->trust, in, s->now_ms, err) : err_set(err, RC_NO_MEMORY, "grant");

    if (rc == RC_OK)
        rc = envelope_open(in, &envelope, err);
    if (rc == RC_OK)
        rc = grant_decode(envelope.payload, grant, err);
    if (rc == RC_OK)
        (void)snprintf(ret->what, sizeof ret->what, "grant for %s, epoch %" PRIu64, grant->tenant,
                       grant->epoch);
    return rc;
}

/* The limits that the package of a manifest asks for; false when the ground does not have it. */
static bool limits_of(const struct standpoint *s, const struct digest *manifest,
                      struct resources *ret)
{
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);

    if (!m || !read_manifest(s, manifest, m))
        return false;
    *ret = m->limits;
    return true;
}

/* All that a tenant runs under the order, together within its grant: the agent starts the rest
 * not. */
static enum rc check_sums(const struct standpoint *s, const struct order *order, struct err *err)
{
    for (uint32_t i = 0; i < order->n_lines; i++) {
        const char *tenant = order->line[i].tenant;
        const struct grant *grant = trust_grant(s->trust, tenant);
        struct resources sum = { 0 };
        uint32_t n = 0;

        for (uint32_t k = 0; k < order->n_lines; k++) {
            struct resources one = { 0 };

            if (strcmp(order->line[k].tenant, tenant) != 0)
                continue;
            n++;
            if (limits_of(s, &order->line[k].manifest, &one))
                resources_add(&sum, &one);
        }
        if (!grant)
            return err_set(err, RC_GRANT_MISSING, "%s", tenant);
        if (n > grant->payloads_max || !resources_within(&sum, &grant->total))
            return err_set(err, RC_GRANT_EXCEEDED, "%s: %u payloads together", tenant, n);
    }
    return RC_OK;
}

/* A package that the ground does not have is judged by nothing but the order. */
static enum rc check_line(const struct standpoint *s, const struct order_line *line,
                          struct err *err)
{
    const struct report_payload *p = find_seen(s, line->tenant, line->name);
    struct store_package row;
    struct err ignored;

    if (store_package_by_manifest(s->home->store, &line->manifest, &row, &ignored) != RC_OK)
        return RC_OK;
    enum rc rc = checking_version(s->home, s->trust, &line->manifest,
                                  p && p->is_running && digest_same(&p->running, &line->manifest),
                                  s->now_ms, err);

    return rc == RC_OK ? check_use(s, line->tenant, line->name, row.release, &line->manifest, err)
                       : rc;
}

static enum rc check_lines(const struct standpoint *s, const struct order *order, struct err *err)
{
    enum rc rc = check_sums(s, order, err);

    for (uint32_t i = 0; rc == RC_OK && i < order->n_lines; i++)
        rc = check_line(s, &order->line[i], err);
    return rc;
}

static struct order_position position_of(const struct standpoint *s)
{
    return (struct order_position){ .satellite = s->satellite,
                                    .generation = s->seen ? s->seen->generation : 0,
                                    .digest = s->order_known ? &s->in_force : NULL,
                                    .issued_ms = s->in_force_ms,
                                    .staged = s->seen ? s->seen->staged : 0,
                                    .staged_digest = s->waiting_known ? &s->waiting : NULL };
}

static enum rc judge_order(struct standpoint *s, struct bytes in, struct judged *ret,
                           struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    const struct order_position position = position_of(s);
    const struct order *order;

    if (!s->home)
        return err_set(err, RC_USAGE, "an order is for one satellite: give --as");
    enum rc rc = trust_verify_order(s->trust, in, &position, s->now_ms, &verified, err);

    if (rc != RC_OK)
        return rc;
    order = verified_order_get(verified);
    (void)snprintf(ret->what, sizeof ret->what, "order %" PRIu64 " for %s%s", order->generation,
                   order->satellite, verified_order_waits(verified) ? ", waits for its token" : "");
    return check_lines(s, order, err);
}

static enum rc judge_token(struct standpoint *s, struct bytes in, struct judged *ret,
                           struct err *err)
{
    scoped(verified_order_free) struct verified_order *order = NULL;
    scoped(verified_token_free) struct verified_token *token = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct order_position position = position_of(s);
    size_t n = 0;

    if (!s->home)
        return err_set(err, RC_USAGE, "a token is for one satellite: give --as");
    enum rc rc = trust_verify_token(s->trust, in, &position, s->now_ms, &token, err);
    if (rc != RC_OK)
        return rc;
    const struct token *t = verified_token_get(token);
    (void)snprintf(ret->what, sizeof ret->what, "token for order %" PRIu64 " of %s", t->generation,
                   t->satellite);
    position.staged = 0;
    rc = store_order_envelope(s->home->store, s->satellite, t->generation, &envelope, &n, err);
    if (rc == RC_OK)
        rc = trust_verify_order(s->trust, (struct bytes){ envelope, n }, &position, s->now_ms,
                                &order, err);
    return rc == RC_OK ? trust_activate(s->trust, order, token, err) : rc;
}

static enum rc judge_revocation(struct standpoint *s, struct bytes in, struct judged *ret,
                                struct err *err)
{
    bool taken = false;
    enum rc rc = trust_add_revocation(s->trust, in, &taken, err);

    if (rc == RC_OK)
        (void)snprintf(ret->what, sizeof ret->what, "revocation%s", taken ? "" : ", held already");
    return rc;
}

/* The newest rekey that the satellite took, as far as the ground made it. */
static void find_rekey(const struct standpoint *s, struct rekey_position *ret,
                       struct digest *digest)
{
    scoped(free_ptr) uint8_t *file = NULL;
    struct envelope envelope;
    struct rekey doc;
    size_t n = 0;

    ret->satellite = s->satellite;
    ret->number = s->seen ? s->seen->keys.rekey : 0;
    if (ret->number == 0 ||
        store_document_version(s->home->store, DOC_REKEY, s->satellite, ret->number, &file, &n,
                               NULL) != RC_OK ||
        envelope_open((struct bytes){ file, n }, &envelope, NULL) != RC_OK ||
        rekey_decode(envelope.payload, &doc, NULL) != RC_OK ||
        sha256_of(envelope.payload, digest->b, NULL) != RC_OK)
        return;
    ret->digest = digest;
    ret->issued_ms = doc.issued_ms;
}

/* Whether it can be opened is for the satellite alone to say. */
static enum rc judge_rekey(struct standpoint *s, struct bytes in, struct judged *ret,
                           struct err *err)
{
    scoped(verified_rekey_free) struct verified_rekey *verified = NULL;
    struct rekey_position position = { 0 };
    struct digest digest;

    if (!s->home)
        return err_set(err, RC_USAGE, "a rekey is for one satellite: give --as");
    find_rekey(s, &position, &digest);
    enum rc rc = trust_verify_rekey(s->trust, in, &position, s->now_ms, &verified, err);
    if (rc == RC_OK)
        (void)snprintf(ret->what, sizeof ret->what, "rekey %" PRIu64 " for %s",
                       verified_rekey_get(verified)->number, s->satellite);
    return rc;
}

static enum rc judge_delegation(struct standpoint *s, struct bytes in, struct judged *ret,
                                struct err *err)
{
    struct team_change change = { 0 };
    enum rc rc = trust_add_delegation(s->trust, in, s->now_ms, &change, err);

    if (rc == RC_OK)
        (void)snprintf(ret->what, sizeof ret->what, "%s %s/%.40s, epoch %" PRIu64,
                       change.withdrawn ? "withdrawal of" : "delegation to", change.tenant,
                       change.team, change.epoch);
    return rc;
}

static const struct judge {
    enum doc_type type;
    enum rc (*judge)(struct standpoint *s, struct bytes in, struct judged *ret, struct err *err);
} judges[] = {
    { DOC_DELEGATION, judge_delegation }, { DOC_ROOT, judge_root },
    { DOC_GRANT, judge_grant },           { DOC_ORDER, judge_order },
    { DOC_REVOCATION, judge_revocation }, { DOC_REKEY, judge_rekey },
    { DOC_TOKEN, judge_token },
};

/* The type is only what the file claims, to choose the verifier that will not believe it. */
static enum rc judge_document(struct standpoint *s, struct bytes in, struct judged *ret,
                              struct err *err)
{
    struct envelope envelope;
    enum rc rc = envelope_open(in, &envelope, err);

    if (rc == RC_OK)
        rc = doc_peek_type(envelope.payload, &ret->type, err);
    if (rc != RC_OK)
        return rc;
    if (s->seen && (s->seen->lost & LOST_ROOT) != 0 && ret->type != DOC_ROOT)
        return err_set(err, RC_SAFE_MODE, "%s has lost its trust root", s->satellite);
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        if (judges[i].type == ret->type)
            return judges[i].judge(s, in, ret, err);
    }
    return err_set(err, RC_DOC_TYPE, "a %s outside of a package is taken by nobody",
                   doc_type_name(ret->type));
}

enum rc standpoint_judge(struct standpoint *s, const char *path, struct judged *ret,
                         struct err *err)
{
    scoped(free_ptr) uint8_t *file = NULL;
    scoped(close_fd) int fd = -1;
    uint8_t magic[PACKAGE_MAGIC_SIZE] = { 0 };
    struct judged judged = { .what = "file" };
    uint64_t size = 0;
    size_t n = 0;
    enum rc rc = path_open_file(path, PACKAGE_FILE_MAX, &fd, &size, err);

    if (rc == RC_OK)
        rc = fs_pread_exact(fd, magic, size < sizeof magic ? (size_t)size : sizeof magic, 0, err);
    if (rc != RC_OK)
        return rc;
    /* What is neither a package nor the beginning of an envelope is told to be no package. */
    if (memcmp(magic, PACKAGE_MAGIC, sizeof magic) == 0 || magic[0] != 0x84 ||
        size > DOCUMENT_MAX) {
        rc = judge_package(s, path, &judged, err);
    } else {
        rc = path_read(path, DOCUMENT_MAX, &file, &n, err);
        if (rc == RC_OK)
            rc = judge_document(s, (struct bytes){ file, n }, &judged, err);
    }
    *ret = judged;
    return rc;
}
