/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/admit.h"

#include <stdlib.h>

#include "base/name.h"
#include "manifest/envelope.h"
#include "update/package.h"

struct uses {
    uint32_t n;
    struct admit_version of[PAYLOADS_MAX];
};

/* Open the package of a version; its envelope lives as long as it does.  RC_NO_PACKAGE: not here.
 */
static enum rc open_package(const struct home *home, const struct digest *manifest,
                            struct package *ret, int *ret_fd, struct err *err)
{
    struct store_package row;
    uint64_t size = 0;
    enum rc rc = store_package_by_manifest(home->store, manifest, &row, err);

    if (rc == RC_OK)
        rc = home_open_object(home, &row.object, ret_fd, &size, err);
    return rc == RC_OK ? package_open(*ret_fd, ret, err) : rc;
}

/* The manifest was verified when its package was pushed. */
static enum rc read_use(struct bytes envelope, struct admit_version *ret, struct err *err)
{
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);
    struct envelope e;
    enum rc rc = m ? envelope_open(envelope, &e, err) : err_set(err, RC_NO_MEMORY, "manifest");

    if (rc == RC_OK)
        rc = manifest_decode(e.payload, m, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct admit_version){ .known = true, .limits = m->limits };
    ret->store_bytes = m->content_bytes + m->unpacked_bytes;
    memcpy(ret->tenant, m->tenant, sizeof ret->tenant);
    memcpy(ret->team, m->team, sizeof ret->team);
    return RC_OK;
}

static enum rc read_version(const struct home *home, const struct digest *manifest,
                            struct admit_version *ret, struct err *err)
{
    scoped(package_done) struct package package = { 0 };
    scoped(close_fd) int fd = -1;
    struct admit_version version = { 0 };
    enum rc rc = open_package(home, manifest, &package, &fd, err);

    if (rc == RC_OK)
        rc = read_use(package_envelope(&package), &version, err);
    if (rc != RC_OK && rc != RC_NO_PACKAGE && rc != RC_NOT_FOUND)
        return rc;
    *ret = version;
    return RC_OK;
}

void admit_known_done(struct admit_known *known)
{
    free(known->of);
    *known = (struct admit_known){ 0 };
}

enum rc admit_version(const struct home *home, struct admit_known *known,
                      const struct digest *manifest, struct admit_version *ret, struct err *err)
{
    struct admit_entry fresh = { .manifest = *manifest };

    for (size_t i = 0; i < known->n; i++) {
        if (digest_same(&known->of[i].manifest, manifest)) {
            *ret = known->of[i].version;
            return RC_OK;
        }
    }
    if (known->n == known->cap) {
        const size_t cap = known->cap ? 2 * known->cap : 16;
        struct admit_entry *more = reallocarray(known->of, cap, sizeof *more);

        if (!more)
            return err_set(err, RC_NO_MEMORY, "version");
        known->of = more;
        known->cap = cap;
    }
    enum rc rc = read_version(home, manifest, &fresh.version, err);

    if (rc != RC_OK)
        return rc;
    known->of[known->n++] = fresh;
    *ret = fresh.version;
    return RC_OK;
}

static struct admit_use sum_of(const struct uses *uses, const char *tenant, const char *team)
{
    struct admit_use sum = { 0 };

    for (uint32_t i = 0; i < uses->n; i++) {
        const struct admit_version *u = &uses->of[i];

        if (!u->known || strcmp(u->tenant, tenant) != 0 || !team_within(team, u->team))
            continue;
        resources_add(&sum.total, &u->limits);
        sum.payloads++;
    }
    return sum;
}

static bool within(const struct admit_use *sum, const struct authority *may)
{
    return resources_within(&sum->total, may->total) && sum->payloads <= may->payloads_max;
}

static enum rc check_sums(const struct trust *trust, const struct uses *uses, struct err *err)
{
    for (uint32_t i = 0; i < uses->n; i++) {
        const struct admit_version *u = &uses->of[i];
        const struct grant *grant = u->known ? trust_grant(trust, u->tenant) : NULL;
        struct chain chain = { 0 };

        if (!grant)
            continue;
        enum rc rc = trust_authorities(trust, grant, u->team, &chain, err);
        if (rc != RC_OK)
            return rc;
        for (uint32_t k = 0; k < chain.n; k++) {
            const char *team = chain.of[k].team;
            struct admit_use sum = sum_of(uses, u->tenant, team);

            if (!within(&sum, &chain.of[k]))
                return err_set(err, team[0] ? RC_DELEGATION_EXCEEDED : RC_GRANT_EXCEEDED,
                               "%s%s%.40s: the sum of its payloads", u->tenant, team[0] ? "/" : "",
                               team);
        }
    }
    return RC_OK;
}

static enum rc read_uses(const struct home *home, struct admit_known *known,
                         const struct want *order, struct uses *ret, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < order->n_lines; i++)
        rc = admit_version(home, known, &order->line[i].manifest, &ret->of[ret->n++], err);
    return rc;
}

enum rc admit_sums(const struct home *home, struct admit_known *known, const struct trust *trust,
                   const struct want *order, struct err *err)
{
    scoped(free_ptr) struct uses *uses = calloc(1, sizeof *uses);

    if (!uses)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = read_uses(home, known, order, uses, err);
    return rc == RC_OK ? check_sums(trust, uses, err) : rc;
}

/* One thing that there is so much of, and what of it is ordered. */
struct amount {
    const char *name;
    uint64_t ordered, there;
};

static enum rc check_amount(const struct amount *a, const char *satellite, struct err *err)
{
    if (a->there == 0 || a->ordered <= a->there)
        return RC_OK;
    return err_set(err, RC_NO_SPACE, "%s: %s: %llu ordered, capacity %llu", satellite, a->name,
                   (unsigned long long)a->ordered, (unsigned long long)a->there);
}

enum rc admit_capacity(const struct home *home, struct admit_known *known, const struct want *order,
                       const struct fleet_satellite *satellite, struct err *err)
{
    scoped(free_ptr) struct uses *uses = calloc(1, sizeof *uses);
    const struct fleet_capacity *c = &satellite->capacity;
    struct fleet_capacity sum = { 0 };

    if (!uses)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = read_uses(home, known, order, uses, err);
    for (uint32_t i = 0; i < uses->n; i++) {
        const struct admit_version *u = &uses->of[i];

        sum.memory_bytes += u->limits.memory_bytes;
        sum.cpu_permille += u->limits.cpu_permille;
        sum.pids += u->known ? u->limits.pids + 1 : 0; /* with a reaper each */
        sum.data_bytes += u->limits.data_bytes + u->limits.inbox_bytes + u->limits.outbox_bytes;
        sum.store_bytes += u->store_bytes;
    }
    const struct amount amounts[] = {
        { "memory", sum.memory_bytes, c->memory_bytes },
        { "thousandths of a cpu", sum.cpu_permille, c->cpu_permille },
        { "pids", sum.pids, c->pids },
        { "data", sum.data_bytes, c->data_bytes },
        { "store", sum.store_bytes, c->store_bytes },
        { "payloads", order->n_lines, c->payloads },
    };
    for (size_t i = 0; rc == RC_OK && i < sizeof amounts / sizeof amounts[0]; i++)
        rc = check_amount(&amounts[i], satellite->id, err);
    return rc;
}

enum rc admit_used(const struct home *home, struct admit_known *known, const struct want *order,
                   const char *tenant, const char *team, struct admit_use *ret, struct err *err)
{
    scoped(free_ptr) struct uses *uses = calloc(1, sizeof *uses);

    if (!uses)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = read_uses(home, known, order, uses, err);
    if (rc == RC_OK)
        *ret = sum_of(uses, tenant, team);
    return rc;
}
