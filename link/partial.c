/* SPDX-License-Identifier: Apache-2.0 */
#include "link/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"

#define HEX_SIZE (2U * DIGEST_SIZE)

const char *partial_name(const uint8_t object[DIGEST_SIZE], const char *suffix,
                         char out[PARTIAL_NAME_CAP])
{
    char hex[HEX_SIZE + 1];

    snprintf(out, PARTIAL_NAME_CAP, "%s.%s", bytes_hex((struct bytes){ object, DIGEST_SIZE }, hex),
             suffix);
    return out;
}

bool partial_parse_name(const char *name, uint8_t ret[DIGEST_SIZE], const char **ret_suffix)
{
    char hex[HEX_SIZE + 1] = "";

    if (strlen(name) < HEX_SIZE + 2 || name[HEX_SIZE] != '.')
        return false;
    memcpy(hex, name, HEX_SIZE);
    *ret_suffix = name + HEX_SIZE + 1;
    return bytes_unhex(hex, ret, DIGEST_SIZE);
}

enum rc partial_open(struct partial *p, int dirfd, const struct transfer_descriptor *d, int flags,
                     struct err *err)
{
    char name[PARTIAL_NAME_CAP];
    scoped(close_fd) int fd = -1;

    assert(!p->used);
    enum rc rc =
        fs_open(dirfd, partial_name(d->object, "part", name), O_RDWR | flags, 0600, &fd, err);
    if (rc == RC_OK && ftruncate(fd, (off_t)d->size) < 0)
        rc = err_sys(err, RC_IO, "size of %s", name);
    if (rc != RC_OK)
        return rc;
    uint8_t *digests = malloc(d->digests.n);
    if (digests == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk digests");
    memcpy(digests, d->digests.p, d->digests.n);
    *p = (struct partial){ .used = true, .fd = take_fd(&fd), .d = *d, .digests = digests };
    p->d.digests.p = digests;
    return RC_OK;
}

void partial_close(struct partial *p)
{
    close_fd(&p->fd);
    free(p->digests);
    *p = (struct partial){ .fd = -1 };
}

bool partial_same(const struct partial *p, const struct transfer_descriptor *d)
{
    return p->d.kind == d->kind && p->d.size == d->size && p->d.chunk_size == d->chunk_size &&
           bytes_equal(p->d.digests, d->digests);
}

static bool have(const struct partial *p, uint32_t chunk)
{
    return (p->have[chunk / 8] & (1U << (chunk % 8))) != 0;
}

static void set_have(struct partial *p, uint32_t chunk, bool value)
{
    if (have(p, chunk) == value)
        return;
    p->have[chunk / 8] = (uint8_t)(p->have[chunk / 8] ^ (1U << (chunk % 8)));
    if (value)
        p->n_have++;
    else
        p->n_have--;
}

/* Whether the bytes match the digest of a chunk. */
static enum rc check_chunk(const struct partial *p, uint32_t chunk, struct bytes data,
                           struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    enum rc rc = sha256_of(data, digest, err);

    if (rc == RC_OK && memcmp(digest, p->digests + (size_t)chunk * DIGEST_SIZE, DIGEST_SIZE) != 0)
        return err_set(err, RC_CHUNK_DIGEST, "chunk %u", chunk);
    return rc;
}

enum rc partial_rehash(struct partial *p, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(p->d.chunk_size);

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    for (uint32_t i = 0; i < p->d.chunks; i++) {
        uint32_t n = transfer_chunk_bytes(p->d.size, p->d.chunk_size, i);
        uint64_t at = (uint64_t)i * p->d.chunk_size;
        off_t data = lseek(p->fd, (off_t)at, SEEK_DATA);

        set_have(p, i, false);
        if ((data < 0 && errno == ENXIO) || data >= (off_t)(at + n))
            continue;
        enum rc rc = fs_pread_exact(p->fd, buf, n, at, err);
        if (rc == RC_OK)
            rc = check_chunk(p, i, (struct bytes){ buf, n }, err);
        set_have(p, i, rc == RC_OK);
    }
    return RC_OK;
}

enum rc partial_store(struct partial *p, const struct transfer_chunk *c, bool *ret_new,
                      struct err *err)
{
    if (c->index >= p->d.chunks ||
        c->data.n != transfer_chunk_bytes(p->d.size, p->d.chunk_size, c->index))
        return err_set(err, RC_TRANSFER_FORMAT, "chunk %u of %u", c->index, p->d.chunks);
    if (have(p, c->index)) {
        *ret_new = false;
        return RC_OK;
    }
    enum rc rc = check_chunk(p, c->index, c->data, err);
    if (rc != RC_OK)
        return rc;
    for (size_t done = 0; done < c->data.n;) {
        ssize_t n = pwrite(p->fd, c->data.p + done, c->data.n - done,
                           (off_t)((uint64_t)c->index * p->d.chunk_size + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, RC_IO, "write of chunk %u", c->index);
        done += (size_t)n;
    }
    set_have(p, c->index, true);
    p->dirty = true;
    *ret_new = true;
    return RC_OK;
}

enum rc partial_check_whole(int fd, uint64_t size, const uint8_t digest[DIGEST_SIZE],
                            struct err *err)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    uint8_t buf[16384];
    uint8_t found[DIGEST_SIZE] = { 0 };
    enum rc rc = sha256_new(&ctx, err);

    for (uint64_t at = 0; rc == RC_OK && at < size; at += sizeof buf) {
        size_t n = size - at < sizeof buf ? (size_t)(size - at) : sizeof buf;

        rc = fs_pread_exact(fd, buf, n, at, err);
        if (rc == RC_OK)
            rc = sha256_add(ctx, (struct bytes){ buf, n }, err);
    }
    if (rc == RC_OK)
        rc = sha256_end(ctx, found, err);
    if (rc == RC_OK && memcmp(found, digest, DIGEST_SIZE) != 0)
        return err_set(err, RC_OBJECT_DIGEST, "object");
    return rc;
}

void partial_status(const struct partial *p, struct transfer_status *ret)
{
    memcpy(ret->object, p->d.object, DIGEST_SIZE);
    ret->chunks = p->d.chunks;
    for (uint32_t i = 0; i < p->d.chunks; i++) {
        struct transfer_range *last = ret->n_missing > 0 ? &ret->missing[ret->n_missing - 1] : NULL;

        if (have(p, i))
            continue;
        if (last != NULL && last->first + last->count == i) {
            last->count++;
        } else if (ret->n_missing == PORT_RANGES_MAX) {
            ret->more = 1;
            return;
        } else {
            ret->missing[ret->n_missing++] = (struct transfer_range){ .first = i, .count = 1 };
        }
    }
}
