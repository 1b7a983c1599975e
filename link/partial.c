/* SPDX-License-Identifier: Apache-2.0 */
#include "link/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "link/solve.h"

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
    struct stat st;

    assert(!p->used);
    enum rc rc =
        fs_open(dirfd, partial_name(d->object, "part", name), O_RDWR | flags, 0600, &fd, err);
    uint8_t *digests = rc == RC_OK ? malloc(d->digests.n) : NULL;
    if (rc == RC_OK && digests == NULL)
        rc = err_set(err, RC_NO_MEMORY, "chunk digests");
    if (rc == RC_OK &&
        (fstat(fd, &st) < 0 || (st.st_size != (off_t)d->size && ftruncate(fd, (off_t)d->size) < 0)))
        rc = err_sys(err, RC_IO, "size of %s", name);
    if (rc != RC_OK) {
        free(digests);
        if (fd >= 0 && (flags & O_CREAT) != 0)
            (void)unlinkat(dirfd, name, 0); /* nobody else would before the next start */
        return rc;
    }
    memcpy(digests, d->digests.p, d->digests.n);
    *p = (struct partial){
        .used = true, .fd = take_fd(&fd), .d = *d, .digests = digests, .repairs = { .fd = -1 }
    };
    p->d.digests.p = digests;
    return RC_OK;
}

void partial_close(struct partial *p)
{
    close_fd(&p->fd);
    if (p->used)
        repairs_close(&p->repairs);
    free(p->digests);
    *p = (struct partial){ .fd = -1, .repairs = { .fd = -1 } };
}

bool partial_same(const struct partial *p, const struct transfer_descriptor *d)
{
    return p->d.kind == d->kind && p->d.size == d->size && p->d.chunk_size == d->chunk_size &&
           bytes_equal(p->d.digests, d->digests);
}

bool partial_have(const struct partial *p, uint32_t chunk)
{
    return (p->have[chunk / 8] & (1U << (chunk % 8))) != 0;
}

static void set_have(struct partial *p, uint32_t chunk, bool value)
{
    if (partial_have(p, chunk) == value)
        return;
    p->have[chunk / 8] = (uint8_t)(p->have[chunk / 8] ^ (1U << (chunk % 8)));
    if (value)
        p->n_have++;
    else
        p->n_have--;
}

enum rc partial_check(const struct partial *p, uint32_t chunk, struct bytes data, struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    enum rc rc = sha256_of(data, digest, err);

    if (rc == RC_OK && memcmp(digest, p->digests + (size_t)chunk * DIGEST_SIZE, DIGEST_SIZE) != 0)
        return err_set(err, RC_CHUNK_DIGEST, "chunk %u", chunk);
    return rc;
}

enum rc partial_write(const struct partial *p, uint64_t at, struct bytes data, struct err *err)
{
    for (size_t done = 0; done < data.n;) {
        ssize_t n = pwrite(p->fd, data.p + done, data.n - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, RC_IO, "write at %" PRIu64, at + done);
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc write_chunk(const struct partial *p, uint32_t chunk, struct bytes data,
                           struct err *err)
{
    return partial_write(p, (uint64_t)chunk * p->d.chunk_size, data, err);
}

enum rc partial_rewrite(struct partial *p, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(p->d.chunk_size);

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    for (uint32_t i = 0; i < p->d.chunks; i++) {
        struct bytes data = { buf, transfer_chunk_bytes(p->d.size, p->d.chunk_size, i) };

        if (!partial_have(p, i))
            continue;
        enum rc rc = fs_pread_exact(p->fd, buf, data.n, (uint64_t)i * p->d.chunk_size, err);
        if (rc == RC_OK)
            rc = partial_check(p, i, data, err);
        if (rc == RC_OK)
            rc = write_chunk(p, i, data, err);
        set_have(p, i, rc == RC_OK);
    }
    return RC_OK;
}

void partial_unfill(const struct partial *p, uint32_t chunk)
{
    /* A file system without holes keeps it: the chunk will need the room again. */
    (void)fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)chunk * p->d.chunk_size,
                    (off_t)transfer_chunk_bytes(p->d.size, p->d.chunk_size, chunk));
}

void partial_recheck(struct partial *p, uint32_t chunk, uint8_t *buf)
{
    const uint32_t n = transfer_chunk_bytes(p->d.size, p->d.chunk_size, chunk);
    const uint64_t at = (uint64_t)chunk * p->d.chunk_size;
    off_t data = lseek(p->fd, (off_t)at, SEEK_DATA);
    struct err ignored;

    set_have(p, chunk, false);
    if ((data < 0 && errno == ENXIO) || data >= (off_t)(at + n)) /* a hole is not read */
        return;
    enum rc rc = fs_pread_exact(p->fd, buf, n, at, &ignored);
    if (rc == RC_OK)
        rc = partial_check(p, chunk, (struct bytes){ buf, n }, &ignored);
    set_have(p, chunk, rc == RC_OK);
}

void partial_settled(struct partial *p)
{
    repairs_give_back(&p->repairs, &p->d);
}

uint64_t partial_bytes(const struct partial *p, uint64_t more)
{
    const uint64_t repairs = repairs_bytes(&p->repairs) + more;
    struct stat st;

    if (repairs == 0 || fstat(p->fd, &st) < 0)
        return p->d.size + repairs;
    const uint64_t all = repairs + (uint64_t)st.st_blocks * 512U;

    return all > p->d.size ? all : p->d.size;
}

/* ---- repairs ----------------------------------------------------------------------------------
 */

uint32_t partial_missing(const struct partial *p, uint32_t group)
{
    const uint32_t k = fec_group_size(p->d.chunks, group);
    uint32_t n = 0;

    for (uint32_t i = 0; i < k; i++)
        n += partial_have(p, repairs_chunk(&p->d, group, i)) ? 0 : 1;
    return n;
}

/* Solve a group that can be, with what is held and perhaps one repair more. */
static enum rc settle(struct partial *p, uint32_t group, const struct transfer_repair *more,
                      struct err *err)
{
    const uint32_t held = repairs_held(&p->repairs, &p->d, group);
    const uint32_t missing = held > 0 ? partial_missing(p, group) : 0;

    if (missing == 0) {
        repairs_spend(&p->repairs, &p->d, group);
        p->doubted[group] = false;
    }
    if (missing == 0 || held < missing)
        return RC_OK;
    if (p->doubted[group] && held == missing && more == NULL)
        return RC_OK; /* one of them is wrong, and nothing tells which */
    return solve_group(p, group, more, err);
}

enum rc partial_repair(struct partial *p, int dirfd, const struct transfer_repair *repair,
                       bool *ret_new, struct err *err)
{
    char name[PARTIAL_NAME_CAP];

    if (repair->group >= fec_groups(p->d.chunks) || repair->data.n != p->d.chunk_size)
        return err_set(err, RC_TRANSFER_FORMAT, "repair of group %u", repair->group);
    *ret_new = false;
    /* A group that could not be solved the last time, for want of memory or room, is tried again.
     */
    enum rc rc = settle(p, repair->group, NULL, err);
    if (rc != RC_OK || partial_missing(p, repair->group) == 0 ||
        repairs_has(&p->repairs, &p->d, repair->group, repair->number))
        return rc;
    if (p->doubted[repair->group] &&
        repairs_held(&p->repairs, &p->d, repair->group) >= partial_missing(p, repair->group)) {
        /* No slot is free for it, and none is needed. */
        rc = settle(p, repair->group, repair, err);
        *ret_new = rc == RC_OK;
        return rc;
    }
    rc =
        repairs_put(&p->repairs, dirfd, partial_name(p->d.object, "fec", name), &p->d, repair, err);
    if (rc != RC_OK)
        return rc;
    *ret_new = true;
    return settle(p, repair->group, NULL, err);
}

enum rc partial_rehash(struct partial *p, int dirfd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(p->d.chunk_size);
    char name[PARTIAL_NAME_CAP];
    struct err ignored;

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    for (uint32_t i = 0; i < p->d.chunks; i++)
        partial_recheck(p, i, buf);
    repairs_load(&p->repairs, dirfd, partial_name(p->d.object, "fec", name), &p->d);
    memset(p->doubted, 0, sizeof p->doubted);
    for (uint32_t g = 0; g < fec_groups(p->d.chunks); g++)
        (void)!settle(p, g, NULL, &ignored); /* else its chunks stay missing */
    return RC_OK;
}

enum rc partial_store(struct partial *p, const struct transfer_chunk *c, bool *ret_new,
                      struct err *err)
{
    *ret_new = false;
    if (c->index >= p->d.chunks ||
        c->data.n != transfer_chunk_bytes(p->d.size, p->d.chunk_size, c->index))
        return err_set(err, RC_TRANSFER_FORMAT, "chunk %u of %u", c->index, p->d.chunks);
    if (partial_have(p, c->index))
        return RC_OK;
    enum rc rc = partial_check(p, c->index, c->data, err);
    if (rc != RC_OK)
        return rc;
    rc = write_chunk(p, c->index, c->data, err);
    if (rc != RC_OK)
        return rc;
    set_have(p, c->index, true);
    p->dirty = true;
    *ret_new = true;
    return settle(p, c->index % fec_groups(p->d.chunks), NULL, err);
}

uint32_t partial_take_seed(struct partial *p, int fd)
{
    scoped(free_ptr) uint8_t *buf = malloc(p->d.chunk_size);
    uint32_t taken = 0;

    for (uint32_t i = 0; buf != NULL && i < p->d.chunks; i++) {
        uint32_t n = transfer_chunk_bytes(p->d.size, p->d.chunk_size, i);
        struct transfer_chunk c = { .index = i, .data = { buf, n } };
        bool is_new = false;
        struct err ignored;

        if (!partial_have(p, i) &&
            fs_pread_exact(fd, buf, n, (uint64_t)i * p->d.chunk_size, &ignored) == RC_OK &&
            partial_store(p, &c, &is_new, &ignored) == RC_OK && is_new)
            taken++;
    }
    return taken;
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

/* Of each group, how many missing chunks repairs stand for.  Where they are enough and it still was
 * not solved, the next chunk that comes tries again. */
static void count_held(const struct partial *p, uint8_t held[FEC_GROUPS_MAX])
{
    for (uint32_t g = 0; g < fec_groups(p->d.chunks); g++) {
        const uint32_t n = repairs_held(&p->repairs, &p->d, g);
        const uint32_t missing = n > 0 ? partial_missing(p, g) : 0;

        held[g] = (uint8_t)(missing > 0 && n >= missing ? missing - 1 : n);
    }
}

/* Whether a chunk is needed: missing, and not one of the highest of its group that repairs stand
 * for.  Called from the highest chunk down. */
static bool is_needed(const struct partial *p, uint32_t chunk, uint8_t held[FEC_GROUPS_MAX])
{
    uint8_t *left = &held[chunk % fec_groups(p->d.chunks)];

    if (partial_have(p, chunk))
        return false;
    if (*left == 0)
        return true;
    (*left)--;
    return false;
}

void partial_status(const struct partial *p, struct transfer_status *ret)
{
    uint8_t needed[CHUNKS_MAX / 8] = { 0 };
    uint8_t held[FEC_GROUPS_MAX];

    memcpy(ret->object, p->d.object, DIGEST_SIZE);
    ret->chunks = p->d.chunks;
    count_held(p, held);
    for (uint32_t i = p->d.chunks; i-- > 0;)
        needed[i / 8] |= (uint8_t)(is_needed(p, i, held) << (i % 8));
    for (uint32_t i = 0; i < p->d.chunks; i++) {
        struct transfer_range *last = ret->n_missing > 0 ? &ret->missing[ret->n_missing - 1] : NULL;

        if ((needed[i / 8] >> (i % 8) & 1) == 0)
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
