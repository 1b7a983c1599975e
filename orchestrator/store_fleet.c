/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_fleet: settings, satellites, trust documents, packages, desired.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/store_query.h"

/* ---- settings ---- */

enum rc store_set(struct store *store, const char *key, const char *value, struct err *err)
{
    struct query q = query_start(store, "INSERT INTO setting (key, value) VALUES (?, ?) "
                                        "ON CONFLICT (key) DO UPDATE SET value = excluded.value");

    query_text(&q, key);
    query_text(&q, value);
    return query_run(&q, err);
}

enum rc store_get(struct store *store, const char *key, char *out, size_t cap, struct err *err)
{
    struct query q = query_start(store, "SELECT value FROM setting WHERE key = ?");
    bool found;
    enum rc rc;

    query_text(&q, key);
    found = query_next(&q);
    if (found)
        query_get_text(&q, out, cap);
    rc = query_end(&q, err);
    if (rc == RC_OK && !found)
        rc = err_set(err, RC_NOT_FOUND, "setting %s", key);
    return rc;
}

#define SETTING(kind, member) FIELD(kind, struct store_setting, member)
static const struct field setting_fields[] = { SETTING(FIELD_TEXT, key),
                                               SETTING(FIELD_TEXT, value) };
static const struct row_type setting_row = ROW_TYPE(struct store_setting, setting_fields);

enum rc store_settings(struct store *store, const char *prefix, struct store_setting **ret,
                       size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT key, value FROM setting "
                                        "WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key");

    query_text(&q, prefix);
    return query_list(&q, &setting_row, (void **)ret, ret_n, err);
}

enum rc store_unset(struct store *store, const char *key, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM setting WHERE key = ?");

    query_text(&q, key);
    return query_run(&q, err);
}

/* ---- satellites ---- */

#define SATELLITE(kind, member) FIELD(kind, struct store_satellite, member)
static const struct field satellite_fields[] = {
    SATELLITE(FIELD_TEXT, id),      SATELLITE(FIELD_U64, node),       SATELLITE(FIELD_TEXT, up),
    SATELLITE(FIELD_TEXT, down),    SATELLITE(FIELD_TEXT, link_keys), SATELLITE(FIELD_TEXT, labels),
    SATELLITE(FIELD_U64, added_ms),
};
static const struct row_type satellite_row = ROW_TYPE(struct store_satellite, satellite_fields);
#define SATELLITE_COLUMNS "id, node, up, down, link_keys, labels, added_ms"

enum rc store_put_satellite(struct store *store, const struct store_satellite *row, struct err *err)
{
    struct query q = query_start(
        store, "INSERT INTO satellite (" SATELLITE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?) "
               "ON CONFLICT (id) DO UPDATE SET node = excluded.node, up = excluded.up, "
               "down = excluded.down, link_keys = excluded.link_keys, labels = excluded.labels, "
               "added_ms = excluded.added_ms");

    query_row(&q, &satellite_row, row);
    return query_run(&q, err);
}

enum rc store_satellite(struct store *store, const char *id, struct store_satellite *ret,
                        struct err *err)
{
    struct query q = query_start(store, "SELECT " SATELLITE_COLUMNS " FROM satellite WHERE id = ?");

    query_text(&q, id);
    return query_one(&q, &satellite_row, ret, RC_NO_SATELLITE, id, err);
}

enum rc store_satellites(struct store *store, struct store_satellite **ret, size_t *ret_n,
                         struct err *err)
{
    struct query q = query_start(store, "SELECT " SATELLITE_COLUMNS " FROM satellite ORDER BY id");

    return query_list(&q, &satellite_row, (void **)ret, ret_n, err);
}

enum rc store_fleet_satellites(struct store *store, const char *only,
                               enum rc (*fn)(void *arg, const struct store_satellite *row,
                                             struct err *err),
                               void *arg, struct err *err)
{
    struct query q = query_start(
        store, only ? "SELECT " SATELLITE_COLUMNS " FROM satellite WHERE id = ? ORDER BY id"
                    : "SELECT " SATELLITE_COLUMNS " FROM satellite ORDER BY id");
    struct store_satellite row;
    enum rc rc = RC_OK;

    if (only)
        query_text(&q, only);
    while (rc == RC_OK && query_next(&q)) {
        query_get_row(&q, &satellite_row, &row);
        rc = q.rc == RC_OK ? fn(arg, &row, err) : RC_OK;
    }
    return query_end_walk(&q, rc, err);
}

/* ---- trust documents ---- */

/* RC_OK when the version is not there, or is there with the same bytes. */
static enum rc same_document(struct store *store, enum doc_type type, const char *name,
                             uint64_t version, struct bytes envelope, bool *ret_there,
                             struct err *err)
{
    struct query q = query_start(
        store, "SELECT envelope FROM document WHERE type = ? AND name = ? AND version = ?");
    scoped(free_ptr) uint8_t *held = NULL;
    size_t n = 0;
    enum rc rc;

    query_u64(&q, (uint64_t)type);
    query_text(&q, name);
    query_u64(&q, version);
    if (query_next(&q))
        held = query_get_blob(&q, DOCUMENT_MAX, &n);
    rc = query_end(&q, err);
    if (rc == RC_OK && held && !bytes_equal((struct bytes){ .p = held, .n = n }, envelope))
        rc = err_set(err, RC_EQUIVOCATION, "%s version %llu", name, (unsigned long long)version);
    *ret_there = held != NULL;
    return rc;
}

enum rc store_put_document(struct store *store, enum doc_type type, const char *name,
                           uint64_t version, struct bytes envelope, uint64_t now_ms,
                           struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    bool there = false;
    enum rc rc = store_join(store, &open, err);

    if (rc == RC_OK)
        rc = same_document(store, type, name, version, envelope, &there, err);
    if (rc == RC_OK && !there) {
        struct query q = query_start(store, "INSERT INTO document (type, name, version, envelope, "
                                            "added_ms) VALUES (?, ?, ?, ?, ?)");

        query_u64(&q, (uint64_t)type);
        query_text(&q, name);
        query_u64(&q, version);
        query_blob(&q, envelope);
        query_u64(&q, now_ms);
        rc = query_run(&q, err);
    }
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_document(struct store *store, enum doc_type type, const char *name, uint8_t **ret,
                       size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT envelope FROM document WHERE type = ? AND "
                                        "name = ? ORDER BY version DESC LIMIT 1");

    query_u64(&q, (uint64_t)type);
    query_text(&q, name);
    (void)query_next(&q);
    enum rc rc = query_end_blob(&q, DOCUMENT_MAX, ret, ret_n, err);

    return rc == RC_NOT_FOUND ? err_set(err, rc, "document of %s", name) : rc;
}

static const struct field name_fields[] = {
    FIELD(FIELD_TEXT, struct store_name, name),
    FIELD(FIELD_U64, struct store_name, version),
};
static const struct row_type name_row = ROW_TYPE(struct store_name, name_fields);

enum rc store_documents(struct store *store, enum doc_type type, struct store_name **ret,
                        size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT name, max(version) FROM document WHERE type = ? "
                                        "GROUP BY name ORDER BY name");

    query_u64(&q, (uint64_t)type);
    return query_list(&q, &name_row, (void **)ret, ret_n, err);
}

static const struct field entry_fields[] = {
    FIELD(FIELD_U32, struct store_entry, type),
    FIELD(FIELD_TEXT, struct store_entry, name),
    FIELD(FIELD_U64, struct store_entry, version),
    FIELD(FIELD_U64, struct store_entry, added_ms),
};
static const struct row_type entry_row = ROW_TYPE(struct store_entry, entry_fields);

enum rc store_history(struct store *store, struct store_entry **ret, size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT type, name, version, added_ms FROM document "
                                        "WHERE type IN (?, ?, ?, ?) ORDER BY rowid");

    query_u64(&q, DOC_ROOT);
    query_u64(&q, DOC_GRANT);
    query_u64(&q, DOC_REVOCATION);
    query_u64(&q, DOC_DELEGATION);
    return query_list(&q, &entry_row, (void **)ret, ret_n, err);
}

enum rc store_document_version(struct store *store, enum doc_type type, const char *name,
                               uint64_t version, uint8_t **ret, size_t *ret_n, struct err *err)
{
    struct query q = query_start(
        store, "SELECT envelope FROM document WHERE type = ? AND name = ? AND version = ?");

    query_u64(&q, (uint64_t)type);
    query_text(&q, name);
    query_u64(&q, version);
    (void)query_next(&q);
    enum rc rc = query_end_blob(&q, DOCUMENT_MAX, ret, ret_n, err);

    return rc == RC_NOT_FOUND
               ? err_set(err, rc, "%s version %llu", name, (unsigned long long)version)
               : rc;
}

/* ---- packages ---- */

#define PACKAGE(kind, member) FIELD(kind, struct store_package, member)
static const struct field package_fields[] = {
    PACKAGE(FIELD_TEXT, tenant), PACKAGE(FIELD_TEXT, name),       PACKAGE(FIELD_TEXT, version),
    PACKAGE(FIELD_U64, release), PACKAGE(FIELD_DIGEST, manifest), PACKAGE(FIELD_DIGEST, object),
    PACKAGE(FIELD_U64, size),    PACKAGE(FIELD_TEXT, path),       PACKAGE(FIELD_U64, pushed_ms),
};
static const struct row_type package_row = ROW_TYPE(struct store_package, package_fields);
#define PACKAGE_COLUMNS "tenant, name, version, release, manifest, object, size, path, pushed_ms"

static enum rc insert_package(struct store *store, const struct store_package *row, struct err *err)
{
    struct query q = query_start(store, "INSERT INTO package (" PACKAGE_COLUMNS
                                        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");

    query_row(&q, &package_row, row);
    return query_run(&q, err);
}

enum rc store_put_package(struct store *store, const struct store_package *row, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_package held;
    enum rc rc = store_join(store, &open, err);

    if (rc != RC_OK)
        return rc;
    rc = store_package(store, row->tenant, row->name, row->version, &held, err);
    if (rc == RC_NO_PACKAGE)
        rc = insert_package(store, row, err);
    else if (rc == RC_OK && memcmp(&held.manifest, &row->manifest, sizeof held.manifest) != 0)
        rc = err_set(err, RC_EQUIVOCATION, "%s/%s %s", row->tenant, row->name, row->version);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_package(struct store *store, const char *tenant, const char *name,
                      const char *version, struct store_package *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT " PACKAGE_COLUMNS " FROM package WHERE "
                                        "tenant = ? AND name = ? AND version = ?");
    char what[2 * NAME_CAP + VERSION_CAP + 2];

    query_text(&q, tenant);
    query_text(&q, name);
    query_text(&q, version);
    (void)snprintf(what, sizeof what, "%s/%s %s", tenant, name, version);
    return query_one(&q, &package_row, ret, RC_NO_PACKAGE, what, err);
}

enum rc store_package_by_manifest(struct store *store, const struct digest *manifest,
                                  struct store_package *ret, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " PACKAGE_COLUMNS " FROM package WHERE manifest = ?");
    char what[2 * DIGEST_SIZE + 1];

    query_blob(&q, (struct bytes){ .p = manifest->b, .n = sizeof manifest->b });
    (void)bytes_hex((struct bytes){ .p = manifest->b, .n = sizeof manifest->b }, what);
    return query_one(&q, &package_row, ret, RC_NO_PACKAGE, what, err);
}

enum rc store_packages(struct store *store, struct store_package **ret, size_t *ret_n,
                       struct err *err)
{
    struct query q = query_start(store, "SELECT " PACKAGE_COLUMNS
                                        " FROM package ORDER BY tenant, name, release, version");

    return query_list(&q, &package_row, (void **)ret, ret_n, err);
}
