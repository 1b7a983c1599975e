/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/update_fixture: scratch directories, trees, and archives written byte by byte so that
 * they can be as wrong as an attacker likes.
 */
#ifndef BERTH_TESTS_UNIT_UPDATE_FIXTURE_H
#define BERTH_TESTS_UNIT_UPDATE_FIXTURE_H

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/unpack.h"

#define maybe_unused __attribute__((unused))

/* ---- scratch directories ----------------------------------------------------------------------
 */

struct scratch {
    char path[64];
    int fd;
};

/* In memory where there is a place for that: these tests sync thousands of times. */
static maybe_unused struct scratch scratch_new(void)
{
    struct scratch s = { .fd = -1 };

    (void)snprintf(s.path, sizeof s.path, "%s/berth-test-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(s.path))
        abort();
    s.fd = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.fd < 0)
        abort();
    return s;
}

static maybe_unused void scratch_done(struct scratch *s)
{
    struct err err;

    close_fd(&s->fd);
    if (fs_remove_tree(AT_FDCWD, s->path, &err) != RC_OK)
        abort();
}

static maybe_unused int make_dir(int dirfd, const char *path)
{
    int fd = -1;
    struct err err;

    if (fs_make_dirs(dirfd, path, 0755, &err) != RC_OK ||
        fs_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd, &err) != RC_OK)
        abort();
    return fd;
}

static maybe_unused void put_file(int dirfd, const char *path, const char *text, mode_t mode)
{
    int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct err err;

    if (fd < 0 || fs_write_all(fd, bytes_of(text), &err) != RC_OK || fchmod(fd, mode) != 0)
        abort();
    (void)close(fd);
}

static bool count_entry(void *arg, const char *name)
{
    size_t *n = arg;

    (void)name;
    ++*n;
    return true;
}

static maybe_unused size_t entries_in(int dirfd, const char *path)
{
    size_t n = 0;
    struct err err;

    if (fs_list(dirfd, path, 100000, count_entry, &n, NULL, &err) != RC_OK)
        abort();
    return n;
}

static maybe_unused int memfd_of(struct bytes content)
{
    int fd = -1;
    struct err err;

    if (fs_sealed("test", content, &fd, &err) != RC_OK)
        abort();
    return fd;
}

/* ---- archives ---------------------------------------------------------------------------------
 */

struct tar {
    uint8_t *p;
    size_t n;
    size_t cap;
    uint32_t files;    /* entries so far */
    uint64_t unpacked; /* bytes of files so far */
};

/* One ustar head and its data, as asked for, sensible or not (POSIX pax, "ustar Interchange
 * Format"). */
struct tar_entry {
    char type; /* '0' file, '5' directory, '2' symlink, '1' hard link, ... */
    const char *name;
    const char *link;
    unsigned mode;
    const void *data;
    size_t n;
    const char *magic; /* NULL = ustar */
};

static void tar_raw(struct tar *t, const void *data, size_t n)
{
    size_t padded = (n + 511) / 512 * 512;

    if (n == 0)
        return;
    while (t->n + padded > t->cap) {
        t->cap = t->cap ? 2 * t->cap : 65536;
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            abort();
    }
    if (n > 0)
        memcpy(t->p + t->n, data, n);
    memset(t->p + t->n + n, 0, padded - n);
    t->n += padded;
}

static void tar_head(struct tar *t, const struct tar_entry *e)
{
    char head[512] = { 0 };
    unsigned sum = 0;

    memcpy(head, e->name, strnlen(e->name, 100));
    (void)snprintf(head + 100, 8, "%07o", e->mode & 07777777U);
    (void)snprintf(head + 108, 8, "%07o", 0U);
    (void)snprintf(head + 116, 8, "%07o", 0U);
    (void)snprintf(head + 124, 12, "%011zo", e->n & 077777777777U);
    (void)snprintf(head + 136, 12, "%011o", 0U);
    memset(head + 148, ' ', 8);
    head[156] = e->type;
    if (e->link)
        memcpy(head + 157, e->link, strnlen(e->link, 100));
    memcpy(head + 257, e->magic ? e->magic : "ustar\00000", 8);
    for (size_t i = 0; i < sizeof head; i++)
        sum += (unsigned char)head[i];
    (void)snprintf(head + 148, 8, "%06o", sum & 0777777U);
    tar_raw(t, head, sizeof head);
}

static maybe_unused void tar_add(struct tar *t, const struct tar_entry *e)
{
    tar_head(t, e);
    if (e->n > 0 && e->data)
        tar_raw(t, e->data, e->n);
    t->files++;
    if (e->type == '0')
        t->unpacked += e->n;
}

/* A pax record for the next entry. */
static maybe_unused void tar_pax(struct tar *t, const char *key, struct bytes value)
{
    char record[4096];
    size_t body = strlen(key) + value.n + 3; /* ' ', '=' and newline */
    size_t total = body + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", total) + body != total)
        total++;

    int n = snprintf(record, sizeof record, "%zu %s=", total, key);

    if (n < 0 || (size_t)n + value.n + 1 > sizeof record)
        abort();
    memcpy(record + n, value.p, value.n);
    record[total - 1] = '\n';

    struct tar_entry e = { .type = 'x', .name = "pax", .mode = 0644, .n = total };

    tar_head(t, &e);
    tar_raw(t, record, total);
}

static maybe_unused void tar_dir(struct tar *t, const char *name)
{
    struct tar_entry e = { .type = '5', .name = name, .mode = 0755 };

    tar_add(t, &e);
}

static maybe_unused void tar_file(struct tar *t, const char *name, unsigned mode, const char *text)
{
    struct tar_entry e = {
        .type = '0', .name = name, .mode = mode, .data = text, .n = strlen(text)
    };

    tar_add(t, &e);
}

static maybe_unused void tar_link(struct tar *t, char type, const char *name, const char *link)
{
    struct tar_entry e = { .type = type, .name = name, .mode = 0777, .link = link };

    tar_add(t, &e);
}

static maybe_unused void tar_end(struct tar *t)
{
    static const uint8_t zeros[1024];

    tar_raw(t, zeros, sizeof zeros);
}

static maybe_unused void tar_done(struct tar *t)
{
    free(t->p);
    *t = (struct tar){ 0 };
}

/* ---- content ----------------------------------------------------------------------------------
 */

struct content {
    uint8_t *p;
    size_t n;
};

static maybe_unused struct content compress_window(struct bytes in, int window_log)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    struct content out = { .n = ZSTD_compressBound(in.n) };

    out.p = malloc(out.n);
    if (!ctx || !out.p)
        abort();
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 3);
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    if (window_log > 0)
        (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);

    /* streamed, so that the window in the frame is the one asked for */
    ZSTD_inBuffer src = { .src = in.p, .size = in.n };
    ZSTD_outBuffer dst = { .dst = out.p, .size = out.n };

    while (src.pos < src.size)
        if (ZSTD_isError(ZSTD_compressStream2(ctx, &dst, &src, ZSTD_e_continue)))
            abort();
    if (ZSTD_compressStream2(ctx, &dst, &src, ZSTD_e_end) != 0)
        abort();
    out.n = dst.pos;
    ZSTD_freeCCtx(ctx);
    return out;
}

static maybe_unused struct bytes content_view(const struct content *c)
{
    return (struct bytes){ .p = c->p, .n = c->n };
}

/* What an honest manifest would say of this content. */
static maybe_unused struct unpack_spec spec_of(struct bytes content, const struct tar *t,
                                               const char *entry)
{
    struct unpack_spec spec = { .content_bytes = content.n,
                                .unpacked_bytes = t->unpacked,
                                .files = t->files };
    struct err err;

    if (sha256_of(content, spec.content.b, &err) != RC_OK)
        abort();
    (void)snprintf(spec.entry, sizeof spec.entry, "%s", entry);
    return spec;
}

#endif
