/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/signed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/statefile.h"
#include "orchestrator/context.h"

#define FILE_WORD "berth-signed"
#define FILE_FORMAT 1U
#define FILE_ITEMS 9U
#define LOCK "lock"

/* ---- what may be signed ----------------------------------------------------------------------
 */

enum rc signed_content(const struct order *order, struct digest *ret, struct err *err)
{
    scoped(free_ptr) struct order *bare = malloc(sizeof *bare);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct bytes bytes = { 0 };

    if (!bare || !buf)
        return err_set(err, RC_NO_MEMORY, "order");
    *bare = *order;
    bare->issued_ms = 1; /* the least that an order can have */
    bare->witness = (struct witness){ 0 };
    enum rc rc = order_encode(bare, buf, DOCUMENT_MAX, &bytes, err);

    return rc == RC_OK ? sha256_of(bytes, ret->b, err) : rc;
}

enum rc signed_server(const char *url, struct digest *ret, struct err *err)
{
    return sha256_of(bytes_of(url), ret->b, err);
}

enum rc signed_allows(const struct signed_before *before, const struct order *order,
                      const struct digest *server, bool again, struct err *err)
{
    struct digest content;

    if (order->generation > before->generation)
        return RC_OK;
    enum rc rc = signed_content(order, &content, err);

    if (rc != RC_OK || (order->generation == before->generation &&
                        (again || digest_same(&content, &before->content)) &&
                        digest_same(server, &before->server)))
        return rc;
    return err_set(err, RC_LOOK_GENERATION, "%s: order %llu, after %llu", order->satellite,
                   (unsigned long long)order->generation, (unsigned long long)before->generation);
}

bool signed_names(const struct signed_before *before, const char *tenant, const char *name,
                  const struct digest *manifest, bool newest)
{
    const uint32_t n = newest ? before->n_newest : before->n_lines;

    for (uint32_t i = 0; i < n; i++)
        if (digest_same(&before->line[i].manifest, manifest) &&
            strcmp(before->line[i].tenant, tenant) == 0 && strcmp(before->line[i].name, name) == 0)
            return true;
    return false;
}

const struct signed_line *signed_last(const struct signed_before *before, const char *tenant,
                                      const char *name)
{
    for (uint32_t i = before->n_newest; i < before->n_lines; i++)
        if (strcmp(before->line[i].tenant, tenant) == 0 && strcmp(before->line[i].name, name) == 0)
            return &before->line[i];
    return NULL;
}

static void push(struct signed_before *to, const char *tenant, const char *name,
                 const struct digest *manifest)
{
    struct signed_line *line = &to->line[to->n_lines++];

    *line = (struct signed_line){ .manifest = *manifest };
    (void)snprintf(line->tenant, sizeof line->tenant, "%s", tenant);
    (void)snprintf(line->name, sizeof line->name, "%s", name);
}

enum rc signed_add(struct signed_before *before, const struct order *order,
                   const struct digest *server, struct err *err)
{
    scoped(free_ptr) struct signed_before *next = calloc(1, sizeof *next);
    enum rc rc = next ? RC_OK : err_set(err, RC_NO_MEMORY, "signed");

    if (rc == RC_OK)
        rc = signed_content(order, &next->content, err);
    if (rc != RC_OK)
        return rc;
    memcpy(next->satellite, order->satellite, sizeof next->satellite);
    next->generation = order->generation;
    next->server = *server;
    for (uint32_t i = 0; i < order->n_lines; i++)
        push(next, order->line[i].tenant, order->line[i].name, &order->line[i].manifest);
    next->n_newest = next->n_lines;
    for (uint32_t i = 0; i < before->n_lines && next->n_lines < SIGNED_LINES_MAX; i++) {
        const struct signed_line *line = &before->line[i];

        if (!signed_names(next, line->tenant, line->name, &line->manifest, true))
            push(next, line->tenant, line->name, &line->manifest);
    }
    *before = *next;
    return RC_OK;
}

/* ---- the bytes --------------------------------------------------------------------------------
 */

static_assert(PAYLOADS_MAX <= SIGNED_LINES_MAX, "an order's lines fit");
static_assert((size_t)SIGNED_LINES_MAX * (2U * (NAME_CAP + 2U) + DIGEST_SIZE + 8U) + 512U <
                  SIGNED_FILE_MAX,
              "all lines fit");

enum rc signed_encode( // NOLINT(readability-function-size): what, of which mission, and to where
    const struct signed_before *before, const struct mission *mission, uint8_t *buf, size_t cap,
    struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, FILE_ITEMS);
    cbor_put_text(&w, FILE_WORD);
    cbor_put_uint(&w, FILE_FORMAT);
    cbor_put_bstr(&w, (struct bytes){ mission->b, sizeof mission->b });
    cbor_put_text(&w, before->satellite);
    cbor_put_uint(&w, before->generation);
    cbor_put_bstr(&w, (struct bytes){ before->content.b, DIGEST_SIZE });
    cbor_put_bstr(&w, (struct bytes){ before->server.b, DIGEST_SIZE });
    cbor_put_uint(&w, before->n_newest);
    cbor_put_array(&w, before->n_lines);
    for (uint32_t i = 0; i < before->n_lines; i++) {
        cbor_put_array(&w, 3);
        cbor_put_text(&w, before->line[i].tenant);
        cbor_put_text(&w, before->line[i].name);
        cbor_put_bstr(&w, (struct bytes){ before->line[i].manifest.b, DIGEST_SIZE });
    }
    return cbor_written(&w, ret, err);
}

static void read_name(struct cbor_in *r, const char *field, char out[NAME_CAP])
{
    cbor_text(r, field, out, NAME_CAP);
    if (!name_valid(out))
        cbor_fail(r, RC_NAME, field);
}

static void read_all(struct cbor_in *r, const struct mission *mission, struct signed_before *ret)
{
    struct mission of = { 0 };
    char word[32];

    (void)cbor_array(r, "signed", FILE_ITEMS, FILE_ITEMS);
    cbor_text(r, "signed", word, sizeof word);
    if (strcmp(word, FILE_WORD) != 0)
        cbor_fail(r, RC_DOC_TYPE, "signed");
    if (cbor_uint(r, "format", UINT32_MAX) != FILE_FORMAT)
        cbor_fail(r, RC_DOC_VERSION, "format");
    cbor_fixed(r, "mission", of.b, sizeof of.b);
    if (memcmp(&of, mission, sizeof of) != 0)
        cbor_fail(r, RC_MISSION, "mission");
    read_name(r, "satellite", ret->satellite);
    ret->generation = cbor_uint(r, "generation", INT64_MAX);
    if (ret->generation == 0)
        cbor_fail(r, RC_VALUE, "generation");
    cbor_fixed(r, "content", ret->content.b, DIGEST_SIZE);
    cbor_fixed(r, "server", ret->server.b, DIGEST_SIZE);
    ret->n_newest = (uint32_t)cbor_uint(r, "newest", PAYLOADS_MAX);
    ret->n_lines = (uint32_t)cbor_array(r, "lines", 0, SIGNED_LINES_MAX);
    for (uint32_t i = 0; i < ret->n_lines; i++) {
        (void)cbor_array(r, "line", 3, 3);
        read_name(r, "tenant", ret->line[i].tenant);
        read_name(r, "name", ret->line[i].name);
        cbor_fixed(r, "manifest", ret->line[i].manifest.b, DIGEST_SIZE);
        cbor_end(r);
    }
    cbor_end(r);
    if (ret->n_newest > ret->n_lines)
        cbor_fail(r, RC_VALUE, "newest");
    cbor_end(r);
}

enum rc signed_decode(struct bytes in, const struct mission *mission, struct signed_before *ret,
                      struct err *err)
{
    scoped(free_ptr) struct signed_before *before = calloc(1, sizeof *before);
    struct cbor_in r = cbor_read(in);

    if (!before)
        return err_set(err, RC_NO_MEMORY, "signed");
    read_all(&r, mission, before);
    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK)
        *ret = *before;
    return rc;
}

/* ---- on disk ----------------------------------------------------------------------------------
 */

static enum rc check_private(int dirfd, struct err *err)
{
    struct stat st;

    if (fstat(dirfd, &st) != 0)
        return err_sys(err, RC_IO, "signed");
    return st.st_uid == geteuid() && (st.st_mode & 077U) == 0
               ? RC_OK
               : err_set(err, RC_SIGNED, "its directory is open to others");
}

enum rc signed_open(const struct mission *mission, int *ret_dirfd, struct err *err)
{
    scoped(close_fd) int beside = -1;
    scoped(close_fd) int dirfd = -1;
    char path[sizeof "signed/" + 2U * MISSION_SIZE] = "signed/";
    enum rc rc = context_dir(true, &beside, err);

    (void)bytes_hex((struct bytes){ mission->b, sizeof mission->b }, path + strlen(path));
    if (rc == RC_OK)
        rc = fs_make_dirs(beside, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(beside, path, O_RDONLY | O_DIRECTORY, 0, &dirfd, err);
    if (rc == RC_OK)
        rc = check_private(dirfd, err);
    if (rc == RC_OK)
        *ret_dirfd = take_fd(&dirfd);
    return rc;
}

enum rc signed_load(int dirfd, const struct mission *mission, const char *satellite,
                    struct signed_before *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(SIGNED_FILE_MAX);
    struct err why = { 0 };
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "signed");
    if (!name_valid(satellite))
        return err_set(err, RC_NAME, "%.60s", satellite);
    enum rc rc = statefile_load(dirfd, satellite, buf, SIGNED_FILE_MAX, &n, NULL, &why);

    if (rc == RC_NOT_FOUND) {
        *ret = (struct signed_before){ .generation = 0 };
        (void)snprintf(ret->satellite, sizeof ret->satellite, "%s", satellite);
        return RC_OK;
    }
    if (rc == RC_STATE_DAMAGED)
        return err_set(err, rc, "signed before for %s", satellite);
    if (rc == RC_OK)
        rc = signed_decode((struct bytes){ buf, n }, mission, ret, &why);
    if (rc == RC_OK && strcmp(ret->satellite, satellite) != 0)
        rc = err_set(&why, RC_NAME, "%s", ret->satellite);
    return rc == RC_OK ? rc : err_set(err, RC_SIGNED, "%s: %.40s", satellite, why.what);
}

static enum rc save(int dirfd, const struct mission *mission, const struct signed_before *before,
                    struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(SIGNED_FILE_MAX);
    struct bytes bytes = { 0 };
    enum rc rc = buf ? signed_encode(before, mission, buf, SIGNED_FILE_MAX, &bytes, err)
                     : err_set(err, RC_NO_MEMORY, "signed");

    return rc == RC_OK ? statefile_save_both(dirfd, before->satellite, bytes, err) : rc;
}

static enum rc same_as_looked_at(const struct signed_before *before, const struct signed_next *next,
                                 struct err *err)
{
    return before->generation == next->generation && digest_same(&before->content, &next->content)
               ? RC_OK
               : err_set(err, RC_BUSY, "%s: order %llu was signed here meanwhile",
                         before->satellite, (unsigned long long)before->generation);
}

enum rc signed_note( // NOLINT(readability-function-size): where, of what, what, and for whom
    int dirfd, const struct mission *mission, const struct signed_next *next, size_t n,
    const struct digest *server, bool again, struct err *err)
{
    scoped(free_ptr) struct signed_before *before = malloc(sizeof *before);
    scoped(close_fd) int lock = -1;
    enum rc rc = before ? fs_lock(dirfd, LOCK, &lock, err) : err_set(err, RC_NO_MEMORY, "signed");

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = signed_load(dirfd, mission, next[i].order->satellite, before, err);
        if (rc == RC_OK)
            rc = same_as_looked_at(before, &next[i], err);
        if (rc == RC_OK)
            rc = signed_allows(before, next[i].order, server, again, err);
    }
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = signed_load(dirfd, mission, next[i].order->satellite, before, err);
        if (rc == RC_OK)
            rc = signed_add(before, next[i].order, server, err);
        if (rc == RC_OK)
            rc = save(dirfd, mission, before, err);
    }
    return rc;
}
