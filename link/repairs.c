/* SPDX-License-Identifier: Apache-2.0 */
#include "link/repairs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"

/* What a slot begins with: the digest, and behind it the number; the rest is zero. */
#define NUMBER_AT DIGEST_SIZE

static_assert(NUMBER_AT < REPAIRS_HEAD, "the head has room");

uint32_t repairs_chunk(const struct transfer_descriptor *d, uint32_t group, uint32_t place)
{
    return place * fec_groups(d->chunks) + group;
}

static uint64_t slot_at(const struct transfer_descriptor *d, uint32_t chunk)
{
    return (uint64_t)chunk * (REPAIRS_HEAD + d->chunk_size);
}

/* Over the object, the group and the number too: a slot of another file is no repair of this one.
 */
static enum rc slot_digest(const struct transfer_repair *repair, uint8_t ret[DIGEST_SIZE],
                           struct err *err)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    const uint8_t which[2] = { (uint8_t)repair->group, (uint8_t)repair->number };
    enum rc rc = sha256_new(&ctx, err);

    if (rc == RC_OK)
        rc = sha256_add(ctx, (struct bytes){ repair->object, DIGEST_SIZE }, err);
    if (rc == RC_OK)
        rc = sha256_add(ctx, (struct bytes){ which, sizeof which }, err);
    if (rc == RC_OK)
        rc = sha256_add(ctx, repair->data, err);
    return rc == RC_OK ? sha256_end(ctx, ret, err) : rc;
}

/* Whether a slot is whole, and of which number; buf is room for it. */
static bool read_slot(const struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                      uint8_t *buf, uint32_t *ret_number)
{
    struct transfer_repair repair = { .group = chunk % fec_groups(d->chunks) };
    uint8_t digest[DIGEST_SIZE];
    struct err ignored;

    if (fs_pread_exact(r->fd, buf, REPAIRS_HEAD + d->chunk_size, slot_at(d, chunk), &ignored) !=
        RC_OK)
        return false;
    repair.number = *ret_number = buf[NUMBER_AT];
    repair.data = (struct bytes){ buf + REPAIRS_HEAD, d->chunk_size };
    memcpy(repair.object, d->object, DIGEST_SIZE);
    return repair.number < FEC_REPAIR_MAX && slot_digest(&repair, digest, &ignored) == RC_OK &&
           memcmp(digest, buf, DIGEST_SIZE) == 0;
}

/* Believe a slot if it is whole, and its group has not got that number. */
static void load_slot(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                      uint8_t *buf)
{
    uint32_t number = 0;

    if (!read_slot(r, d, chunk, buf, &number) ||
        repairs_has(r, d, chunk % fec_groups(d->chunks), number))
        return;
    r->slot[chunk] = (uint8_t)(number + 1);
    r->n++;
}

void repairs_load(struct repairs *r, int dirfd, const char *name,
                  const struct transfer_descriptor *d)
{
    scoped(free_ptr) uint8_t *buf = malloc(REPAIRS_HEAD + d->chunk_size);
    struct err ignored;
    struct stat st;

    repairs_close(r);
    if (buf == NULL || fs_open(dirfd, name, O_RDWR, 0, &r->fd, &ignored) != RC_OK)
        return;
    if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        repairs_close(r);
        return;
    }
    for (uint32_t i = 0; i < d->chunks; i++) {
        off_t data = lseek(r->fd, (off_t)slot_at(d, i), SEEK_DATA);

        if (data >= 0 && data < (off_t)slot_at(d, i + 1))
            load_slot(r, d, i, buf);
    }
    r->dirty = true; /* what is read may not be on disk yet */
}

void repairs_close(struct repairs *r)
{
    close_fd(&r->fd);
    r->dirty = false;
    r->n = r->n_spent = 0;
    memset(r->slot, 0, sizeof r->slot);
    memset(r->spent, 0, sizeof r->spent);
}

uint32_t repairs_held(const struct repairs *r, const struct transfer_descriptor *d, uint32_t group)
{
    const uint32_t k = fec_group_size(d->chunks, group);
    uint32_t n = 0;

    for (uint32_t i = 0; r->n > 0 && i < k; i++)
        n += r->slot[repairs_chunk(d, group, i)] != 0;
    return n;
}

bool repairs_has(const struct repairs *r, const struct transfer_descriptor *d, uint32_t group,
                 uint32_t number)
{
    const uint32_t k = fec_group_size(d->chunks, group);
    bool found = false;

    for (uint32_t i = 0; r->n > 0 && i < k; i++)
        found |= r->slot[repairs_chunk(d, group, i)] == number + 1;
    return found;
}

static enum rc write_slot(const struct repairs *r, uint64_t at, struct bytes data, struct err *err)
{
    for (size_t done = 0; done < data.n;) {
        ssize_t n = pwrite(r->fd, data.p + done, data.n - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, RC_IO, "write of a repair");
        done += (size_t)n;
    }
    return RC_OK;
}

static bool is_spent(const struct repairs *r, uint32_t chunk)
{
    return (r->spent[chunk / 8] >> (chunk % 8) & 1) != 0;
}

static void set_spent(struct repairs *r, uint32_t chunk, bool value)
{
    if (is_spent(r, chunk) == value)
        return;
    r->spent[chunk / 8] = (uint8_t)(r->spent[chunk / 8] ^ (1U << (chunk % 8)));
    if (value)
        r->n_spent++;
    else
        r->n_spent--;
}

enum rc repairs_replace(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                        const struct transfer_repair *repair, struct err *err)
{
    uint8_t head[REPAIRS_HEAD] = { 0 };
    const uint64_t at = slot_at(d, chunk);

    assert(r->fd >= 0 && r->slot[chunk] == 0 && chunk % fec_groups(d->chunks) == repair->group);
    enum rc rc = slot_digest(repair, head, err);
    head[NUMBER_AT] = (uint8_t)repair->number;
    if (rc == RC_OK)
        rc = write_slot(r, at, (struct bytes){ head, sizeof head }, err);
    if (rc == RC_OK)
        rc = write_slot(r, at + sizeof head, repair->data, err);
    if (rc != RC_OK)
        return rc;
    set_spent(r, chunk, false);
    r->slot[chunk] = (uint8_t)(repair->number + 1);
    r->n++;
    r->dirty = true;
    return RC_OK;
}

enum rc repairs_put(struct repairs *r, int dirfd, const char *name,
                    const struct transfer_descriptor *d, const struct transfer_repair *repair,
                    struct err *err)
{
    uint32_t place = 0;
    enum rc rc = RC_OK;

    if (r->fd < 0) {
        /* A leftover is one that could not be read. */
        rc = fs_open(dirfd, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &r->fd, err);
        if (rc == RC_OK)
            rc = fs_sync(dirfd, "directory of the spool", err);
    }
    while (rc == RC_OK && r->slot[repairs_chunk(d, repair->group, place)] != 0) {
        place++;
        assert(place < fec_group_size(d->chunks, repair->group));
    }
    return rc == RC_OK ? repairs_replace(r, d, repairs_chunk(d, repair->group, place), repair, err)
                       : rc;
}

enum rc repairs_read(const struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                     uint32_t offset, uint8_t *buf, size_t n, struct err *err)
{
    assert(r->slot[chunk] != 0 && offset + n <= d->chunk_size);
    return fs_pread_exact(r->fd, buf, n, slot_at(d, chunk) + REPAIRS_HEAD + offset, err);
}

void repairs_recheck(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                     uint8_t *buf)
{
    uint32_t number = 0;

    if (r->slot[chunk] != 0 &&
        (!read_slot(r, d, chunk, buf, &number) || number + 1 != r->slot[chunk]))
        repairs_drop(r, d, chunk);
}

/* A file system without holes keeps the room until the object is complete, and one that has them
 * gives back whole blocks only: what is left must not look like a repair. */
static void empty_slot(const struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk)
{
    const uint8_t head[REPAIRS_HEAD] = { 0 };
    struct err ignored;

    if (write_slot(r, slot_at(d, chunk), (struct bytes){ head, sizeof head }, &ignored) == RC_OK)
        (void)fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)slot_at(d, chunk),
                        (off_t)(REPAIRS_HEAD + d->chunk_size));
}

void repairs_drop(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk)
{
    assert(r->slot[chunk] != 0);
    r->slot[chunk] = 0;
    r->n--;
    empty_slot(r, d, chunk);
}

void repairs_drop_group(struct repairs *r, const struct transfer_descriptor *d, uint32_t group)
{
    const uint32_t k = fec_group_size(d->chunks, group);

    for (uint32_t i = 0; i < k && r->n > 0; i++)
        if (r->slot[repairs_chunk(d, group, i)] != 0)
            repairs_drop(r, d, repairs_chunk(d, group, i));
}

void repairs_spend(struct repairs *r, const struct transfer_descriptor *d, uint32_t group)
{
    const uint32_t k = fec_group_size(d->chunks, group);

    for (uint32_t i = 0; i < k && r->n > 0; i++) {
        const uint32_t chunk = repairs_chunk(d, group, i);

        if (r->slot[chunk] == 0)
            continue;
        r->slot[chunk] = 0;
        r->n--;
        set_spent(r, chunk, true);
    }
}

void repairs_give_back(struct repairs *r, const struct transfer_descriptor *d)
{
    for (uint32_t chunk = 0; chunk < d->chunks && r->n_spent > 0; chunk++) {
        if (!is_spent(r, chunk))
            continue;
        set_spent(r, chunk, false);
        empty_slot(r, d, chunk);
    }
}

uint64_t repairs_bytes(const struct repairs *r)
{
    struct stat st;

    return r->fd >= 0 && fstat(r->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512U : 0;
}

enum rc repairs_sync(struct repairs *r, struct err *err)
{
    const bool needed = r->dirty && r->n > 0; /* else all of them were used up */

    r->dirty = false;
    if (!needed)
        return RC_OK;
    if (fdatasync(r->fd) == 0)
        return RC_OK;
    /* The kernel would give back what it will not write again. */
    enum rc rc = err_sys(err, RC_IO, "sync of repairs");

    repairs_close(r);
    return rc;
}
