/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the values of a document make sense together: the parts that several documents share, and
 * root, grant, delegation, manifest and order.
 */
#include "base/crypto.h"
#include "base/name.h"
#include "manifest/delegation.h"
#include "manifest/suite.h"
#include "manifest/wire.h"

#define BYTES_MAX (1ULL << 48)
#define READY_MS_MAX (3600U * 1000U)
#define SOAK_MS_MAX (24U * 3600U * 1000U)

/* Keys that share an id or any half are one key.  Halves of different suites never are the same:
 * no algorithm stands in two suites. */
static bool is_same_key(const struct public_key *a, const struct public_key *b)
{
    const struct suite_row *row = suite_find(a->suite);

    if (memcmp(a->id, b->id, sizeof a->id) == 0)
        return true;
    if (!row || a->suite != b->suite)
        return false;
    for (uint32_t h = 0; h < row->n; h++) {
        if (bytes_equal(public_half(a, h), public_half(b, h)))
            return true;
    }
    return false;
}

enum rc key_set_check(const struct key_set *keys, struct err *err)
{
    if (keys->n == 0 || keys->n > ROLE_KEYS_MAX)
        return err_set(err, RC_THRESHOLD_INVALID, "number of keys");
    if (keys->threshold == 0 || keys->threshold > keys->n)
        return err_set(err, RC_THRESHOLD_INVALID, "threshold");
    for (uint32_t i = 0; i < keys->n; i++) {
        if (!suite_find(keys->key[i].suite))
            return err_set(err, RC_SUITE_UNKNOWN, "key %u", i);
        for (uint32_t j = 0; j < i; j++) {
            if (is_same_key(&keys->key[i], &keys->key[j]))
                return err_set(err, RC_KEY_DUPLICATE, "key %u", i);
        }
    }
    return RC_OK;
}

/* Also that each id is the one of its record: a caller may have filled them in by hand. */
static enum rc key_set_check_ids(const struct key_set *keys, const char *field, struct err *err)
{
    enum rc rc = key_set_check(keys, err);

    for (uint32_t i = 0; rc == RC_OK && i < keys->n; i++) {
        uint8_t id[KEY_ID_SIZE];

        rc = public_key_id(&keys->key[i], id, err);
        if (rc == RC_OK && memcmp(id, keys->key[i].id, sizeof id) != 0)
            return err_set(err, RC_VALUE, "%s: key id", field);
    }
    return rc;
}

static enum rc times_check(uint64_t issued_ms, uint64_t expires_ms, struct err *err)
{
    if (issued_ms == 0 || issued_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "issued");
    if (expires_ms != 0 && (expires_ms <= issued_ms || expires_ms > WIRE_UINT_MAX))
        return err_set(err, RC_VALUE, "expires");
    return RC_OK;
}

/* A counter that starts at one. */
static enum rc counter_check(uint64_t value, const char *field, struct err *err)
{
    if (value == 0 || value > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "%s", field);
    return RC_OK;
}

/* What needs two roles needs different people: nobody's key is in both.  And all who must sign fit
 * into one envelope. */
static enum rc safety_check(const struct root *doc, struct err *err)
{
    const struct key_set *safety = &doc->safety_keys;
    const struct key_set *operators = &doc->operator_keys;

    if (safety->n == 0 && safety->threshold == 0)
        return RC_OK; /* there is no such role */
    enum rc rc = key_set_check_ids(safety, "root.safety_keys", err);
    if (rc != RC_OK)
        return rc;
    if (safety->threshold + operators->threshold > SIGNERS_MAX)
        return err_set(err, RC_THRESHOLD_INVALID, "root.safety_keys: too many signers");
    for (uint32_t i = 0; i < safety->n; i++)
        for (uint32_t j = 0; j < operators->n; j++)
            if (is_same_key(&safety->key[i], &operators->key[j]))
                return err_set(err, RC_KEY_DUPLICATE, "root.safety_keys: key %u", i);
    return RC_OK;
}

enum rc root_check(const struct root *doc, struct err *err)
{
    static const struct mission none;

    enum rc rc = counter_check(doc->version, "root.version", err);
    if (rc == RC_OK)
        rc = times_check(doc->issued_ms, doc->expires_ms, err);
    if (rc == RC_OK && memcmp(&doc->mission, &none, sizeof none) == 0)
        rc = err_set(err, RC_MISSION, "root.mission");
    if (rc == RC_OK)
        rc = key_set_check_ids(&doc->root_keys, "root.root_keys", err);
    if (rc == RC_OK)
        rc = key_set_check_ids(&doc->operator_keys, "root.operator_keys", err);
    if (rc == RC_OK && digest_is_none(&doc->next_keys))
        rc = err_set(err, RC_DIGEST_MISSING, "root.next_keys");
    if (rc == RC_OK && key_set_wants_384(&doc->root_keys) && digest384_is_none(&doc->next_keys384))
        rc = err_set(err, RC_DIGEST_WEAK, "root.next_keys384");
    if (rc == RC_OK && doc->operator_since_ms > doc->issued_ms)
        rc = err_set(err, RC_VALUE, "root.operator_since: after issued");
    if (rc == RC_OK)
        rc = safety_check(doc, err);
    return rc;
}

enum rc grant_check(const struct grant *doc, struct err *err)
{
    if (!name_valid(doc->tenant))
        return err_set(err, RC_NAME, "grant.tenant");
    if (doc->prefix[0] != '\0' && !name_valid(doc->prefix))
        return err_set(err, RC_NAME, "grant.prefix");

    enum rc rc = counter_check(doc->epoch, "grant.epoch", err);
    if (rc == RC_OK)
        rc = times_check(doc->issued_ms, doc->expires_ms, err);
    if (rc == RC_OK)
        rc = key_set_check_ids(&doc->keys, "grant.keys", err);
    if (rc == RC_OK)
        rc = resources_check(&doc->total, "grant.total", err);
    if (rc == RC_OK && (doc->store_bytes == 0 || doc->store_bytes > BYTES_MAX))
        rc = err_set(err, RC_VALUE, "grant.store");
    if (rc == RC_OK && (doc->payloads_max == 0 || doc->payloads_max > PAYLOADS_MAX))
        rc = err_set(err, RC_VALUE, "grant.payloads");
    if (rc == RC_OK && doc->teams_since_ms > doc->issued_ms)
        rc = err_set(err, RC_VALUE, "grant.teams_since: after issued");
    if (rc == RC_OK && doc->agent && strcmp(doc->tenant, AGENT_TENANT) != 0)
        rc = err_set(err, RC_VALUE, "grant.agent: tenant " AGENT_TENANT " only");
    return rc == RC_OK ? allowance_check(&doc->may, "grant", err) : rc;
}

/* What a withdrawal leaves out. */
static bool has_terms(const struct delegation *doc)
{
    bool terms = !resources_none(&doc->total) || !allowance_none(&doc->may);

    return terms || doc->expires_ms != 0 || doc->keys.n != 0 || doc->keys.threshold != 0 ||
           doc->prefix[0] != '\0' || doc->store_bytes != 0 || doc->payloads_max != 0 ||
           doc->teams_since_ms != 0;
}

static enum rc terms_check(const struct delegation *doc, struct err *err)
{
    if (doc->prefix[0] != '\0' && !name_valid(doc->prefix))
        return err_set(err, RC_NAME, "delegation.prefix");

    enum rc rc = key_set_check_ids(&doc->keys, "delegation.keys", err);
    if (rc == RC_OK)
        rc = resources_check(&doc->total, "delegation.total", err);
    if (rc == RC_OK && (doc->store_bytes == 0 || doc->store_bytes > BYTES_MAX))
        rc = err_set(err, RC_VALUE, "delegation.store");
    if (rc == RC_OK && (doc->payloads_max == 0 || doc->payloads_max > PAYLOADS_MAX))
        rc = err_set(err, RC_VALUE, "delegation.payloads");
    if (rc == RC_OK && doc->teams_since_ms > doc->issued_ms)
        rc = err_set(err, RC_VALUE, "delegation.teams_since: after issued");
    return rc == RC_OK ? allowance_check(&doc->may, "delegation", err) : rc;
}

enum rc delegation_check(const struct delegation *doc, struct err *err)
{
    if (!name_valid(doc->tenant) || !team_valid(doc->team))
        return err_set(err, RC_NAME, "delegation.team");
    if (doc->withdrawn > REVOKE_STOP)
        return err_set(err, RC_VALUE, "delegation.withdrawn");

    enum rc rc = counter_check(doc->epoch, "delegation.epoch", err);
    if (rc == RC_OK)
        rc = times_check(doc->issued_ms, doc->expires_ms, err);
    if (rc == RC_OK && doc->withdrawn != REVOKE_NONE)
        return has_terms(doc) ? err_set(err, RC_VALUE, "delegation.withdrawn: with terms") : RC_OK;
    return rc == RC_OK ? terms_check(doc, err) : rc;
}

/* An absolute path without empty, "." and ".." parts. */
static bool path_valid(const char *path)
{
    if (path[0] != '/')
        return false;
    while (*path == '/') {
        size_t n = strcspn(++path, "/");

        if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += n;
    }
    return true;
}

/* "NAME=value"; the length of NAME, 0 if it is not one. */
static size_t env_name(const char *text)
{
    size_t n = 0;

    while ((text[n] >= 'A' && text[n] <= 'Z') || (text[n] >= 'a' && text[n] <= 'z') ||
           text[n] == '_' || (n > 0 && text[n] >= '0' && text[n] <= '9'))
        n++;
    return text[n] == '=' ? n : 0;
}

static enum rc start_check(const struct manifest *doc, struct err *err)
{
    if (doc->n_args == 0 || doc->n_args > PAYLOAD_ARGS_MAX)
        return err_set(err, RC_VALUE, "manifest.args");
    if (!path_valid(doc->args[0]))
        return err_set(err, RC_VALUE, "manifest.args[0]: not an absolute path");
    if (doc->n_env > PAYLOAD_ENV_MAX)
        return err_set(err, RC_VALUE, "manifest.env");
    for (uint32_t i = 0; i < doc->n_env; i++) {
        size_t n = env_name(doc->env[i]);

        if (n == 0)
            return err_set(err, RC_VALUE, "manifest.env[%u]", i);
        for (uint32_t j = 0; j < i; j++) {
            /* The '=' is compared too, so a name is never a prefix of the other. */
            if (strncmp(doc->env[i], doc->env[j], n + 1) == 0)
                return err_set(err, RC_VALUE, "manifest.env[%u]: set twice", i);
        }
    }
    return RC_OK;
}

static enum rc health_check(const struct health *health, struct err *err)
{
    if (health->type != HEALTH_NOTIFY && health->type != HEALTH_ALIVE)
        return err_set(err, RC_VALUE, "manifest.health.type");
    if (health->ready_ms == 0 || health->ready_ms > READY_MS_MAX)
        return err_set(err, RC_VALUE, "manifest.health.ready");
    if (health->soak_ms > SOAK_MS_MAX)
        return err_set(err, RC_VALUE, "manifest.health.soak");
    if (health->watchdog_ms > READY_MS_MAX)
        return err_set(err, RC_VALUE, "manifest.health.watchdog");
    /* A program that knows nothing of sd_notify would be killed by its own watchdog. */
    if (health->type == HEALTH_ALIVE && health->watchdog_ms != 0)
        return err_set(err, RC_VALUE, "manifest.health.watchdog: needs notify");
    return RC_OK;
}

static enum rc content_check(const struct manifest *doc, struct err *err)
{
    if (digest_is_none(&doc->content))
        return err_set(err, RC_DIGEST_MISSING, "manifest.content");
    if (doc->content_bytes == 0 || doc->content_bytes > PACKAGE_MAX)
        return err_set(err, RC_VALUE, "manifest.content_bytes");
    if (doc->unpacked_bytes > UNPACKED_MAX)
        return err_set(err, RC_VALUE, "manifest.unpacked_bytes");
    if (doc->files == 0 || doc->files > PACKAGE_FILES_MAX)
        return err_set(err, RC_VALUE, "manifest.files");
    return RC_OK;
}

static bool arch_valid(const char *arch)
{
    return strcmp(arch, "x86_64") == 0 || strcmp(arch, "aarch64") == 0 || strcmp(arch, "any") == 0;
}

/* What one payload's limits must be to each other; of sums none of it is true. */
static enum rc limits_check(const struct resources *limits, struct err *err)
{
    enum rc rc = resources_check(limits, "manifest.limits", err);

    if (rc != RC_OK)
        return rc;
    if (limits->tmp_bytes > limits->memory_bytes / 2)
        return err_set(err, RC_VALUE, "manifest.limits.tmp: above half of memory");
    if (limits->shm_bytes > limits->memory_bytes / 2)
        return err_set(err, RC_VALUE, "manifest.limits.shm: above half of memory");
    if (limits->memory_high_bytes > limits->memory_bytes)
        return err_set(err, RC_VALUE, "manifest.limits.memory-high: above memory");
    if (limits->data_files != 0 && limits->data_bytes == 0)
        return err_set(err, RC_VALUE, "manifest.limits.data-files: without data");
    if (limits->outbox_bytes_day != 0 && limits->outbox_bytes == 0)
        return err_set(err, RC_VALUE, "manifest.limits.outbox-per-day: without outbox");
    return RC_OK;
}

static enum rc names_and_arch_check(const struct manifest *doc, struct err *err)
{
    if (!name_valid(doc->tenant))
        return err_set(err, RC_NAME, "manifest.tenant");
    if (doc->team[0] != '\0' && !team_valid(doc->team))
        return err_set(err, RC_NAME, "manifest.team");
    if (!name_valid(doc->name))
        return err_set(err, RC_NAME, "manifest.name");
    if (!version_valid(doc->version))
        return err_set(err, RC_NAME, "manifest.version");
    if (!arch_valid(doc->arch))
        return err_set(err, RC_ARCH, "manifest.arch");
    return RC_OK;
}

enum rc manifest_check(const struct manifest *doc, struct err *err)
{
    enum rc rc = names_and_arch_check(doc, err);

    if (rc == RC_OK)
        rc = counter_check(doc->release, "manifest.release", err);
    if (rc == RC_OK && doc->floor > doc->release)
        rc = err_set(err, RC_VALUE, "manifest.floor: above release");
    if (rc == RC_OK)
        rc = content_check(doc, err);
    if (rc == RC_OK && digest_is_none(&doc->index) && !digest384_is_none(&doc->index384))
        rc = err_set(err, RC_DIGEST_MISSING, "manifest.index");
    if (rc == RC_OK)
        rc = start_check(doc, err);
    if (rc == RC_OK)
        rc = limits_check(&doc->limits, err);
    if (rc == RC_OK)
        rc = health_check(&doc->health, err);
    if (rc == RC_OK && doc->snapshot && doc->limits.data_bytes == 0)
        rc = err_set(err, RC_VALUE, "manifest.snapshot: without data");
    if (rc == RC_OK && doc->sealed && doc->limits.inbox_bytes == 0 && doc->limits.outbox_bytes == 0)
        rc = err_set(err, RC_VALUE, "manifest.sealed: without inbox and outbox");
    if (rc == RC_OK)
        rc = wants_check(doc, err);
    return rc == RC_OK ? life_check(doc, err) : rc;
}

/* By tenant, then name, strictly rising: so no pair is there twice, and a set has one encoding. */
static bool line_follows(const struct order_line *a, const struct order_line *b)
{
    int by_tenant = strcmp(a->tenant, b->tenant);

    return by_tenant < 0 || (by_tenant == 0 && strcmp(a->name, b->name) < 0);
}

enum rc order_check(const struct order *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "order.satellite");

    enum rc rc = counter_check(doc->generation, "order.generation", err);
    if (rc == RC_OK)
        rc = times_check(doc->issued_ms, doc->expires_ms, err);
    if (rc != RC_OK)
        return rc;
    rc = witness_check(&doc->witness, "order.witness", err);
    if (rc != RC_OK)
        return rc;
    if (doc->n_lines > PAYLOADS_MAX)
        return err_set(err, RC_VALUE, "order.lines");
    for (uint32_t i = 0; i < doc->n_lines; i++) {
        const struct order_line *line = &doc->line[i];

        if (!name_valid(line->tenant) || !name_valid(line->name))
            return err_set(err, RC_NAME, "order.line[%u]", i);
        if (digest_is_none(&line->manifest))
            return err_set(err, RC_DIGEST_MISSING, "order.line[%u]", i);
        if (i > 0 && !line_follows(&doc->line[i - 1], line))
            return err_set(err, RC_VALUE, "order.line[%u]: out of order or twice", i);
    }
    return RC_OK;
}

bool prefix_allows(const char *prefix, const char *name)
{
    size_t n = strlen(prefix);

    return n == 0 || (strncmp(name, prefix, n) == 0 && (name[n] == '\0' || name[n] == '-'));
}
