/* SPDX-License-Identifier: Apache-2.0 */
#include "update/pack_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"

#define PIECE (128U * 1024U)

/* One reading: the layer's bytes, decompressed by one archive ("raw"), taken apart by another. */
struct reading {
    const struct layer *layer;
    struct merge *merge;
    struct spool *spool;
    struct archive *unzip;
    struct archive *tar;
    struct sha256 *sha;
    uint64_t given;    /* bytes of the layer handed out */
    uint64_t out_left; /* bytes that may still come out of it */
    enum rc rc;        /* why a source failed, since libarchive only knows that it did */
    struct err *err;
    uint8_t in[PIECE];
    uint8_t out[PIECE];
    uint8_t data[PIECE];
};

static void reading_done(struct reading **r)
{
    if (!*r)
        return;
    if ((*r)->tar)
        (void)archive_read_free((*r)->tar);
    if ((*r)->unzip)
        (void)archive_read_free((*r)->unzip);
    if ((*r)->sha)
        sha256_free(&(*r)->sha);
    free(*r);
}

static enum rc failed(struct reading *r, struct archive *archive)
{
    const char *text = archive_error_string(archive);

    if (r->rc != RC_OK)
        return r->rc;
    return err_at(r->err, RC_ARCHIVE_FORMAT, r->given, "layer: %s", text ? text : "archive");
}

/* The layer's bytes as they are. */
static la_ssize_t give_raw(struct archive *archive, void *arg, const void **ret)
{
    struct reading *r = arg;
    uint64_t left = r->layer->n - r->given;
    size_t n = left < PIECE ? (size_t)left : PIECE;

    *ret = r->in;
    if (n == 0)
        return 0;
    r->rc = fs_pread_exact(r->layer->fd, r->in, n, r->layer->at + r->given, r->err);
    if (r->rc != RC_OK) {
        archive_set_error(archive, EIO, "source");
        return ARCHIVE_FATAL;
    }
    r->given += n;
    return (la_ssize_t)n;
}

/* The next decompressed bytes, counted and hashed. */
static enum rc next_plain(struct reading *r, size_t *ret)
{
    la_ssize_t n = archive_read_data(r->unzip, r->out, PIECE);

    if (n < 0)
        return failed(r, r->unzip);
    *ret = (size_t)n;
    if (*ret > r->out_left)
        return err_at(r->err, RC_ARCHIVE_BOMB, r->given, "layer unpacks to too much");
    r->out_left -= *ret;
    r->spool->plain += *ret;
    return sha256_add(r->sha, (struct bytes){ .p = r->out, .n = *ret }, r->err);
}

static la_ssize_t give_plain(struct archive *archive, void *arg, const void **ret)
{
    struct reading *r = arg;
    size_t n = 0;

    r->rc = next_plain(r, &n);
    if (r->rc != RC_OK) {
        archive_set_error(archive, EIO, "source");
        return ARCHIVE_FATAL;
    }
    *ret = r->out;
    return (la_ssize_t)n;
}

/* gzip and zstd by libraries, never by a program, and one of them, not one in the other. */
static enum rc open_unzip(struct reading *r)
{
    struct archive_entry *entry = NULL;

    if (archive_read_support_filter_gzip(r->unzip) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(r->unzip) != ARCHIVE_OK ||
        archive_read_support_format_raw(r->unzip) != ARCHIVE_OK ||
        archive_read_open(r->unzip, r, NULL, give_raw, NULL) != ARCHIVE_OK ||
        archive_read_next_header(r->unzip, &entry) != ARCHIVE_OK)
        return failed(r, r->unzip);
    if (archive_filter_count(r->unzip) > 2)
        return err_set(r->err, RC_ARCHIVE_FORMAT, "layer: compressed twice");
    return RC_OK;
}

static enum rc open_tar(struct reading *r)
{
    if (archive_read_support_format_tar(r->tar) != ARCHIVE_OK ||
        archive_read_open(r->tar, r, NULL, give_plain, NULL) != ARCHIVE_OK)
        return failed(r, r->tar);
    return RC_OK;
}

static bool has_attributes(struct archive_entry *entry)
{
    unsigned long set = 0, clear = 0;

    archive_entry_fflags(entry, &set, &clear);
    return archive_entry_xattr_count(entry) > 0 || archive_entry_acl_types(entry) != 0 || set ||
           clear;
}

/* A file's bytes go behind those of the files before. */
static enum rc spool_data(struct reading *r, uint64_t size)
{
    while (size > 0) {
        size_t want = size < PIECE ? (size_t)size : PIECE;
        la_ssize_t n = archive_read_data(r->tar, r->data, want);

        if (n < 0)
            return failed(r, r->tar);
        if (n == 0)
            return err_at(r->err, RC_ARCHIVE_FORMAT, r->given, "layer: file ends early");

        enum rc rc =
            fs_write_all(r->spool->fd, (struct bytes){ .p = r->data, .n = (size_t)n }, r->err);

        if (rc != RC_OK)
            return rc;
        r->spool->bytes += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return RC_OK;
}

static enum rc read_entry(struct reading *r, struct archive_entry *entry)
{
    int64_t size = archive_entry_size(entry);
    struct merge_entry item = {
        .path = archive_entry_pathname(entry),
        .target = archive_entry_symlink(entry),
        .hardlink = archive_entry_hardlink(entry),
        .mode = archive_entry_mode(entry),
        .size = size > 0 ? (uint64_t)size : 0,
        .at = r->spool->bytes,
        .has_attributes = has_attributes(entry),
    };
    bool wanted = false;

    if (!item.path)
        return err_set(r->err, RC_ARCHIVE_PATH, "no name");
    /* a sparse file's size is not bounded by what the layer holds */
    if (size < 0 || item.size > LAYER_PLAIN_MAX - r->spool->bytes)
        return err_set(r->err, RC_ARCHIVE_BOMB, "%.64s", item.path);

    enum rc rc = merge_add(r->merge, &item, &wanted, r->err);

    return rc == RC_OK && wanted ? spool_data(r, item.size) : rc;
}

/* Every entry, in the layer's order; libarchive's warnings are failures too. */
static enum rc read_entries(struct reading *r)
{
    struct archive_entry *entry = NULL;
    enum rc rc = RC_OK;

    while (rc == RC_OK) {
        int got = archive_read_next_header(r->tar, &entry);

        if (got == ARCHIVE_EOF)
            break;
        rc = got == ARCHIVE_OK ? read_entry(r, entry) : failed(r, r->tar);
    }
    return rc;
}

/* What is behind the tar's end belongs to the digest, too. */
static enum rc check_end(struct reading *r)
{
    struct digest found;
    size_t n = 1;
    enum rc rc = RC_OK;

    while (rc == RC_OK && n > 0)
        rc = next_plain(r, &n);
    if (rc == RC_OK)
        rc = sha256_end(r->sha, found.b, r->err);
    if (rc == RC_OK && memcmp(&found, &r->layer->plain, sizeof found) != 0)
        rc = err_set(r->err, RC_DIGEST_MISMATCH, "layer is not what the config says");
    return rc;
}

static enum rc read_all(struct reading *r)
{
    enum rc rc = sha256_new(&r->sha, r->err);

    if (rc == RC_OK)
        rc = merge_layer(r->merge, r->err);
    if (rc == RC_OK)
        rc = open_unzip(r);
    if (rc == RC_OK)
        rc = open_tar(r);
    if (rc == RC_OK)
        rc = read_entries(r);
    return rc == RC_OK ? check_end(r) : rc;
}

enum rc layer_read(const struct layer *layer, struct merge *merge, struct spool *spool,
                   struct err *err)
{
    scoped(reading_done) struct reading *r = calloc(1, sizeof *r);
    uint64_t left = LAYER_PLAIN_MAX > spool->plain ? LAYER_PLAIN_MAX - spool->plain : 0;
    uint64_t fair =
        POLICY_RATIO_FREE + (layer->n < PACKAGE_MAX * 16 ? layer->n : 0) * POLICY_RATIO_MAX;

    if (!r)
        return err_set(err, RC_NO_MEMORY, "layer");
    r->layer = layer;
    r->merge = merge;
    r->spool = spool;
    r->err = err;
    r->out_left = left < fair ? left : fair;
    r->unzip = archive_read_new();
    r->tar = archive_read_new();
    if (!r->unzip || !r->tar)
        return err_set(err, RC_NO_MEMORY, "layer");

    /* names are UTF-8 (policy sees to that), whatever the caller's locale says */
    locale_t plain = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    if (plain == (locale_t)0)
        return err_set(err, RC_NO_MEMORY, "locale");

    locale_t before = uselocale(plain);
    enum rc rc = read_all(r);

    (void)uselocale(before);
    freelocale(plain);
    return rc;
}
