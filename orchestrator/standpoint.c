/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/standpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    if (seen->time_ms < UINT64_MAX / 2 && now_ms >= row.received_ms)
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

/* The order in force counts for generations, and raised the satellite's time floor. */
static enum rc read_order(struct standpoint *s, struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    struct order_position position = { .satellite = s->satellite };
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct store_order_filter filter = { .satellite = s->satellite };
    size_t n = 0, size = 0;
    enum rc rc;

    if (!s->seen || s->seen->generation == 0)
        return RC_OK;
    rc = store_orders(s->home->store, &filter, &rows, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].generation != s->seen->generation)
            continue;
        s->in_force = rows[i].payload;
        s->order_known = true;
    }
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

enum rc standpoint_of(const struct home *home, const char *satellite, uint64_t now_ms,
                      struct standpoint *ret, struct err *err)
{
    scoped(standpoint_done) struct standpoint s = { .home = home, .now_ms = now_ms };
    struct store_satellite row;
    enum rc rc = store_satellite(home->store, satellite, &row, err);

    if (rc == RC_OK) {
        memcpy(s.satellite, row.id, sizeof s.satellite);
        rc = home_trust(home, now_ms, &s.trust, err);
    }
    if (rc == RC_OK)
        rc = read_report(&s, now_ms, err);
    if (rc == RC_OK)
        rc = read_order(&s, err);
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

/* The floor that a committed manifest set: read from its package, which was verified when it was
 * pushed.  0 when the ground does not have it. */
static uint64_t floor_of(const struct standpoint *s, const struct digest *manifest)
{
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);
    scoped(package_done) struct package package = { 0 };
    scoped(close_fd) int fd = -1;
    struct store_package row;
    struct envelope envelope;
    uint64_t size = 0;
    struct err ignored;

    if (!m || store_package_by_manifest(s->home->store, manifest, &row, &ignored) != RC_OK ||
        home_open_object(s->home, &row.object, &fd, &size, &ignored) != RC_OK ||
        package_open(fd, &package, &ignored) != RC_OK ||
        envelope_open(package_envelope(&package), &envelope, &ignored) != RC_OK ||
        manifest_decode(envelope.payload, m, &ignored) != RC_OK)
        return 0;
    return m->floor;
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

static enum rc check_lines(const struct standpoint *s, const struct order *order, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < order->n_lines; i++) {
        const struct order_line *line = &order->line[i];
        struct store_package row;
        struct err ignored;

        if (store_package_by_manifest(s->home->store, &line->manifest, &row, &ignored) == RC_OK)
            rc = check_use(s, line->tenant, line->name, row.release, &line->manifest, err);
    }
    return rc;
}

static enum rc judge_order(struct standpoint *s, struct bytes in, struct judged *ret,
                           struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    const struct order_position position = { .satellite = s->satellite,
                                             .generation = s->seen ? s->seen->generation : 0,
                                             .digest = s->order_known ? &s->in_force : NULL,
                                             .issued_ms = s->in_force_ms };
    const struct order *order;

    if (!s->home)
        return err_set(err, RC_USAGE, "an order is for one satellite: give --as");
    enum rc rc = trust_verify_order(s->trust, in, &position, s->now_ms, &verified, err);

    if (rc != RC_OK)
        return rc;
    order = verified_order_get(verified);
    (void)snprintf(ret->what, sizeof ret->what, "order %" PRIu64 " for %s", order->generation,
                   order->satellite);
    return check_lines(s, order, err);
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

static const struct judge {
    enum doc_type type;
    enum rc (*judge)(struct standpoint *s, struct bytes in, struct judged *ret, struct err *err);
} judges[] = {
    { DOC_ROOT, judge_root },
    { DOC_GRANT, judge_grant },
    { DOC_ORDER, judge_order },
    { DOC_REVOCATION, judge_revocation },
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
