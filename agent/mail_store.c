/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mail_store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/statefile.h"

#define STATE_FILE "mail"
#define STATE_FORMAT 2U
#define STATE_ONE_MARK 1U /* as it was before: of the last file only */
#define STATE_MAX 2048U
#define FILE_NAME_CAP 96U
#define PATH_CAP (2U * NAME_CAP + 128U)
#define COPY_BYTES (64U * 1024U)
#define FILES_MAX 4096U /* of one directory that are looked at at the start */
#define DRAFT ".new"

static const char *way_name(enum mail_way way)
{
    return way == MAIL_SENT ? "sent" : "came";
}

static void dir_path(const char *tenant, const char *payload, const char *last, char out[PATH_CAP])
{
    (void)snprintf(out, PATH_CAP, "%s/%s%s%s", tenant, payload, last[0] != '\0' ? "/" : "", last);
}

static void file_path(const struct mail_file *f, char out[PATH_CAP])
{
    char hex[2 * DIGEST_SIZE + 1];
    char name[FILE_NAME_CAP + 8];

    (void)snprintf(name, sizeof name, "%s/%016" PRIx64 "-%s%s", way_name(f->way), f->number,
                   bytes_hex((struct bytes){ f->digest.b, DIGEST_SIZE }, hex),
                   f->receipt     ? ".r"
                   : f->command   ? ".c"
                   : f->telemetry ? ".t"
                   : f->log       ? ".l"
                                  : "");
    dir_path(f->tenant, f->payload, name, out);
}

/* ---- state ------------------------------------------------------------------------------------
 */

static void decode_mark(struct cbor_in *r, struct post_mark *ret)
{
    ret->ino = cbor_uint(r, "inode", UINT64_MAX);
    ret->ctime_s = cbor_int(r, "seconds", INT64_MIN, INT64_MAX);
    ret->ctime_ns = (uint32_t)cbor_uint(r, "nanoseconds", UINT32_MAX);
}

static void decode_taken(struct cbor_in *r, struct mail_state *s)
{
    s->n_taken = (uint32_t)cbor_array(r, "taken", 0, MAIL_TAKEN_MAX);
    for (uint32_t i = 0; r->rc == RC_OK && i < s->n_taken; i++) {
        (void)cbor_array(r, "mark", 3, 3);
        decode_mark(r, &s->taken[i]);
        cbor_end(r);
    }
    cbor_end(r);
}

static void decode_state(struct cbor_in *r, struct mail_state *s)
{
    const size_t fields = cbor_array(r, "mail", 7, 9);
    const uint64_t format = cbor_uint(r, "format", UINT32_MAX);

    if ((format != STATE_FORMAT || fields != 7) && (format != STATE_ONE_MARK || fields != 9))
        cbor_fail(r, RC_VALUE, "format");
    s->number = cbor_uint(r, "number", UINT64_MAX);
    s->arrival = cbor_uint(r, "arrival", UINT64_MAX);
    s->day = cbor_uint(r, "day", UINT64_MAX);
    s->day_bytes = cbor_uint(r, "day bytes", UINT64_MAX);
    if (format == STATE_ONE_MARK)
        decode_mark(r, &s->taken[s->n_taken++]);
    else
        decode_taken(r, s);
    s->n_recent = (uint32_t)cbor_array(r, "recent", 0, MAIL_RECENT_MAX);
    for (uint32_t i = 0; r->rc == RC_OK && i < s->n_recent; i++)
        cbor_fixed(r, "object", s->recent[i].b, DIGEST_SIZE);
    cbor_end(r);
    cbor_end(r);
}

static enum rc open_own(int data_dir, const char *tenant, const char *payload, int *ret,
                        struct err *err)
{
    char path[PATH_CAP];

    dir_path(tenant, payload, "", path);
    enum rc rc = fs_make_dirs(data_dir, path, 0700, err);
    return rc == RC_OK ? fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, ret, err) : rc;
}

enum rc mail_state_load(int data_dir, const char *tenant, const char *payload, uint64_t now_ms,
                        struct mail_state *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    uint8_t buf[STATE_MAX];
    char path[PATH_CAP];
    size_t n = 0;
    struct mail_state s = { 0 };

    *ret = s;
    dir_path(tenant, payload, "", path);
    enum rc rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = statefile_load(dir, STATE_FILE, buf, sizeof buf, &n, NULL, err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK) {
        struct cbor_in r = cbor_read((struct bytes){ buf, n });

        decode_state(&r, &s);
        if (cbor_done(&r, err) == RC_OK) {
            *ret = s;
            return RC_OK;
        }
    } else if (rc != RC_STATE_DAMAGED && rc != RC_TOO_LARGE) {
        return rc;
    }
    *ret = (struct mail_state){
        .number = now_ms, .arrival = now_ms, .day = now_ms / MAIL_DAY_MS, .day_bytes = MAIL_USED_UP
    };
    return err_set(err, RC_STATE_DAMAGED, "%s/%s", tenant, payload);
}

enum rc mail_state_save(int data_dir, const char *tenant, const char *payload,
                        const struct mail_state *s, struct err *err)
{
    scoped(close_fd) int dir = -1;
    uint8_t buf[STATE_MAX];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes content = { 0 };

    cbor_put_array(&w, 7);
    cbor_put_uint(&w, STATE_FORMAT);
    cbor_put_uint(&w, s->number);
    cbor_put_uint(&w, s->arrival);
    cbor_put_uint(&w, s->day);
    cbor_put_uint(&w, s->day_bytes);
    cbor_put_array(&w, s->n_taken);
    for (uint32_t i = 0; i < s->n_taken; i++) {
        cbor_put_array(&w, 3);
        cbor_put_uint(&w, s->taken[i].ino);
        cbor_put_int(&w, s->taken[i].ctime_s);
        cbor_put_uint(&w, s->taken[i].ctime_ns);
    }
    cbor_put_array(&w, s->n_recent);
    for (uint32_t i = 0; i < s->n_recent; i++)
        cbor_put_bstr(&w, (struct bytes){ s->recent[i].b, DIGEST_SIZE });
    enum rc rc = cbor_written(&w, &content, err);
    if (rc == RC_OK)
        rc = open_own(data_dir, tenant, payload, &dir, err);
    return rc == RC_OK ? statefile_renew(dir, STATE_FILE, content, err) : rc;
}

/* ---- files ------------------------------------------------------------------------------------
 */

/* Copy and sum up. */
static enum rc copy(int out, struct sha256 *sum, int from, uint64_t offset, uint64_t size,
                    struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(COPY_BYTES);
    enum rc rc = buf ? RC_OK : err_set(err, RC_NO_MEMORY, "mail");

    for (uint64_t at = 0; rc == RC_OK && at < size;) {
        const size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

        rc = fs_pread_exact(from, buf, n, offset + at, err);
        if (rc == RC_OK)
            rc = sha256_add(sum, (struct bytes){ buf, n }, err);
        if (rc == RC_OK)
            rc = fs_write_all(out, (struct bytes){ buf, n }, err);
        at += n;
    }
    return rc;
}

enum rc mail_store_put(int data_dir, struct mail_file *f, struct bytes head, int from,
                       uint64_t offset, uint64_t size, const struct digest *want, struct err *err)
{
    scoped(sha256_free) struct sha256 *sum = NULL;
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int out = -1;
    char path[PATH_CAP];

    dir_path(f->tenant, f->payload, way_name(f->way), path);
    enum rc rc = fs_make_dirs(data_dir, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = fs_unlink(dir, DRAFT, err);
    if (rc == RC_OK)
        rc = fs_open(dir, DRAFT, O_WRONLY | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc == RC_OK)
        rc = sha256_new(&sum, err);
    if (rc == RC_OK)
        rc = sha256_add(sum, head, err);
    if (rc == RC_OK)
        rc = fs_write_all(out, head, err);
    if (rc == RC_OK)
        rc = copy(out, sum, from, offset, size, err);
    if (rc == RC_OK)
        rc = sha256_end(sum, f->digest.b, err);
    if (rc == RC_OK && want && !digest_same(want, &f->digest))
        rc = err_set(err, RC_OBJECT_DIGEST, "message");
    if (rc == RC_OK)
        rc = fs_sync(out, "message", err);
    f->size = head.n + size;
    file_path(f, path);
    if (rc == RC_OK)
        rc = fs_rename(dir, DRAFT, data_dir, path, false, err);
    if (rc != RC_OK && dir >= 0)
        (void)unlinkat(dir, DRAFT, 0);
    return rc;
}

enum rc mail_store_open(int data_dir, const struct mail_file *f, int *ret_fd, struct err *err)
{
    char path[PATH_CAP];
    uint64_t size = 0;

    file_path(f, path);
    enum rc rc = fs_open_plain(data_dir, path, MAIL_OBJECT_MAX, ret_fd, &size, err);
    if (rc == RC_OK && size != f->size) {
        close_fd(ret_fd);
        return err_set(err, RC_OBJECT_DIGEST, "%s", path);
    }
    return rc;
}

enum rc mail_store_remove(int data_dir, const struct mail_file *f, struct err *err)
{
    char path[PATH_CAP];

    file_path(f, path);
    return fs_unlink(data_dir, path, err);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

struct lister {
    int data_dir;
    int dir; /* that is looked at */
    struct mail_file f;
    void (*fn)(void *arg, const struct mail_file *f);
    void *arg;
};

static bool parse_hex(const char *text, struct digest *ret)
{
    for (size_t i = 0; i < 2 * DIGEST_SIZE; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *at = text[i] == '\0' ? NULL : strchr(digits, text[i]);

        if (at == NULL)
            return false;
        ret->b[i / 2] = (uint8_t)(ret->b[i / 2] << 4 | (uint8_t)(at - digits));
    }
    return true;
}

/* NUMBER-DIGEST[.r|.c|.t|.l]; anything else was not made here, or not to its end. */
static bool on_file(void *arg, const char *name)
{
    struct lister *l = arg;
    char *end = NULL;
    struct stat st;

    l->f.number = strtoull(name, &end, 16);
    if (end != name + 16 || *end != '-' || !parse_hex(end + 1, &l->f.digest) ||
        fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        (void)unlinkat(l->dir, name, 0);
        return true;
    }
    const char *rest = end + 1 + 2 * DIGEST_SIZE;

    l->f.receipt = strcmp(rest, ".r") == 0;
    l->f.command = strcmp(rest, ".c") == 0;
    l->f.telemetry = strcmp(rest, ".t") == 0;
    l->f.log = strcmp(rest, ".l") == 0;
    if (*rest != '\0' && !l->f.receipt && !l->f.command && !l->f.telemetry && !l->f.log)
        (void)unlinkat(l->dir, name, 0);
    else {
        l->f.size = (uint64_t)st.st_size;
        l->fn(l->arg, &l->f);
    }
    return true;
}

static bool on_payload(void *arg, const char *payload)
{
    struct lister *l = arg;
    char path[PATH_CAP];

    if (!name_valid(payload))
        return true;
    (void)snprintf(l->f.payload, sizeof l->f.payload, "%s", payload);
    for (int way = MAIL_SENT; way <= MAIL_CAME; way++) {
        scoped(close_fd) int dir = -1;
        struct err err = { 0 };

        l->f.way = (enum mail_way)way;
        dir_path(l->f.tenant, payload, way_name(l->f.way), path);
        if (fs_open(l->data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, &err) != RC_OK)
            continue;
        l->dir = dir;
        (void)!fs_list(dir, ".", FILES_MAX, on_file, l, NULL, &err); /* what can be seen of it */
    }
    return true;
}

static bool on_tenant(void *arg, const char *tenant)
{
    struct lister *l = arg;
    struct err err = { 0 };

    if (!name_valid(tenant))
        return true;
    (void)snprintf(l->f.tenant, sizeof l->f.tenant, "%s", tenant);
    (void)!fs_list(l->data_dir, tenant, FILES_MAX, on_payload, l, NULL, &err);
    return true;
}

void mail_store_list(int data_dir, void (*fn)(void *arg, const struct mail_file *f), void *arg)
{
    struct lister l = { .data_dir = data_dir, .dir = -1, .fn = fn, .arg = arg };
    struct err err = { 0 };

    (void)!fs_list(data_dir, ".", FILES_MAX, on_tenant, &l, NULL, &err);
}

struct adder {
    int data_dir;
    const char *tenant;
    uint64_t now_ms, bytes;
    enum rc rc;
    struct err *err;
};

static bool add_payload(void *arg, const char *payload)
{
    struct adder *add = arg;
    struct mail_state s;

    if (!name_valid(payload))
        return true;
    add->rc = mail_state_load(add->data_dir, add->tenant, payload, add->now_ms, &s, add->err);
    if (add->rc == RC_STATE_DAMAGED)
        add->rc = mail_state_save(add->data_dir, add->tenant, payload, &s, add->err);
    if (add->rc == RC_OK && s.day == add->now_ms / MAIL_DAY_MS)
        add->bytes =
            s.day_bytes < MAIL_USED_UP - add->bytes ? add->bytes + s.day_bytes : MAIL_USED_UP;
    return add->rc == RC_OK;
}

enum rc mail_store_day_bytes(int data_dir, const char *tenant, uint64_t now_ms, uint64_t *ret,
                             struct err *err)
{
    struct adder add = { .data_dir = data_dir, .tenant = tenant, .now_ms = now_ms, .err = err };
    enum rc rc = fs_list(data_dir, tenant, FILES_MAX, add_payload, &add, NULL, err);

    if (rc == RC_OK)
        rc = add.rc;
    *ret = add.bytes;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}
