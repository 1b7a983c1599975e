/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/store_copy.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/store_query.h"

#define NAME_MAX_ 64U
#define COLUMNS_MAX 48U

struct name {
    char text[NAME_MAX_];
};
static const struct field name_fields[] = { FIELD(FIELD_TEXT, struct name, text) };
static const struct row_type name_row = ROW_TYPE(struct name, name_fields);

/* In the order in which they were made: what others refer to comes first. */
static enum rc tables_of(struct store *store, struct name **ret, size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, query_texts(store)->tables);

    return query_list(&q, &name_row, (void **)ret, ret_n, err);
}

static enum rc columns_of(struct store *store, const char *table, struct name **ret, size_t *ret_n,
                          struct err *err)
{
    struct query q = query_start(store, query_texts(store)->columns);

    query_text(&q, table);
    enum rc rc = query_list(&q, &name_row, (void **)ret, ret_n, err);

    if (rc == RC_OK && (*ret_n == 0 || *ret_n > COLUMNS_MAX)) {
        free(*ret);
        *ret = NULL;
        rc = err_set(err, RC_STORE, "table %s is missing, or has too many columns", table);
    }
    return rc;
}

/* ---- check ---- */

static bool is_among(const struct name *names, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i].text, text) == 0)
            return true;
    return false;
}

static enum rc check_columns(struct store *store, struct store *fresh, const char *table,
                             struct err *err)
{
    scoped(free_ptr) struct name *want = NULL, *is = NULL;
    size_t n_want = 0, n = 0;
    enum rc rc = columns_of(fresh, table, &want, &n_want, err);

    if (rc == RC_OK)
        rc = columns_of(store, table, &is, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n_want; i++)
        if (!is_among(is, n, want[i].text))
            rc = err_set(err, RC_STORE, "table %s has no column %s", table, want[i].text);
    return rc;
}

/* Whatever the database says of itself but "ok". */
static enum rc check_itself(struct store *store, struct err *err)
{
    const char *sql = query_texts(store)->check;
    char text[256] = "ok";

    if (!sql)
        return RC_OK;
    struct query q = query_start(store, sql);

    if (query_next(&q))
        query_get_text(&q, text, sizeof text);
    enum rc rc = query_end(&q, err);

    return rc == RC_OK && strcmp(text, "ok") != 0 ? err_set(err, RC_STORE, "damaged: %s", text)
                                                  : rc;
}

enum rc store_check(struct store *store, struct err *err)
{
    scoped(store_close) struct store *fresh = NULL;
    scoped(free_ptr) struct name *tables = NULL;
    size_t n = 0;
    enum rc rc = check_itself(store, err);

    if (rc == RC_OK)
        rc = store_open_scratch(&fresh, err);
    if (rc == RC_OK)
        rc = tables_of(fresh, &tables, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = check_columns(store, fresh, tables[i].text, err);
    return rc;
}

/* ---- copy ---- */

struct texts {
    char *select;
    char *insert;
    size_t n; /* columns */
};

static void texts_done(struct texts *t)
{
    free(t->select);
    free(t->insert);
}

/* Only what needs no quoting is a name here. */
static bool is_plain(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
}

static enum rc write_texts(const char *table, const struct name *columns, size_t n,
                           struct texts *ret, struct err *err)
{
    size_t size = 0;
    FILE *select = open_memstream(&ret->select, &size);
    FILE *insert = open_memstream(&ret->insert, &size);
    bool fine = select && insert && is_plain(table);

    for (size_t i = 0; fine && i < n; i++) {
        const char *before = i == 0 ? "" : ", ";

        fine = is_plain(columns[i].text);
        (void)fprintf(select, "%s%s", i == 0 ? "SELECT " : before, columns[i].text);
        if (i == 0)
            (void)fprintf(insert, "INSERT INTO %s (", table);
        (void)fprintf(insert, "%s%s", before, columns[i].text);
    }
    for (size_t i = 0; fine && i < n; i++)
        (void)fputs(i == 0 ? ") VALUES (?" : ", ?", insert);
    if (fine) {
        (void)fprintf(select, " FROM %s", table);
        (void)fputc(')', insert);
    }
    ret->n = n;
    fine = (!select || fclose(select) == 0) && fine;
    fine = (!insert || fclose(insert) == 0) && fine;
    return fine ? RC_OK : err_set(err, RC_STORE, "table %s cannot be copied", table);
}

static enum rc copy_rows(struct store *from, struct store *to, const struct texts *t,
                         uint64_t *rows, struct err *err)
{
    struct query in = query_start(from, t->select);
    enum rc rc = RC_OK, ended;

    while (rc == RC_OK && query_next(&in)) {
        struct query out = query_start(to, t->insert);

        for (size_t i = 0; i < t->n; i++)
            query_pass(&in, &out);
        rc = query_run(&out, err);
        ++*rows;
    }
    ended = query_end(&in, rc == RC_OK ? err : NULL);
    return rc == RC_OK ? ended : rc;
}

static enum rc check_empty(struct store *to, const char *table, struct err *err)
{
    char sql[32 + NAME_MAX_];

    if (!is_plain(table))
        return err_set(err, RC_STORE, "table %s cannot be copied", table);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    struct query q = query_start(to, sql);
    uint64_t n = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    return rc == RC_OK && n > 0 ? err_set(err, RC_EXISTS, "there is a fleet in it already") : rc;
}

static enum rc copy_table(struct store *from, struct store *to, const char *table, uint64_t *rows,
                          struct err *err)
{
    scoped(free_ptr) struct name *columns = NULL;
    scoped(texts_done) struct texts t = { 0 };
    size_t n = 0;
    enum rc rc = check_empty(to, table, err);

    if (rc == RC_OK)
        rc = columns_of(from, table, &columns, &n, err);
    if (rc == RC_OK)
        rc = write_texts(table, columns, n, &t, err);
    return rc == RC_OK ? copy_rows(from, to, &t, rows, err) : rc;
}

enum rc store_copy(struct store *from, struct store *to, uint64_t *ret_rows, struct err *err)
{
    scoped(store_rollback) struct store *reading = NULL;
    scoped(store_rollback) struct store *writing = NULL;
    scoped(free_ptr) struct name *tables = NULL;
    uint64_t rows = 0;
    size_t n = 0;
    enum rc rc = store_begin_read(from, &reading, err);

    if (rc == RC_OK)
        rc = store_begin(to, &writing, err);
    if (rc == RC_OK)
        rc = tables_of(from, &tables, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = copy_table(from, to, tables[i].text, &rows, err);
    if (rc == RC_OK && query_texts(to)->copied) {
        struct query q = query_start(to, query_texts(to)->copied);

        rc = query_run(&q, err);
    }
    if (rc == RC_OK)
        rc = store_commit(&writing, err);
    if (rc == RC_OK)
        *ret_rows = rows;
    return rc;
}
