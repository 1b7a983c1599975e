/* SPDX-License-Identifier: Apache-2.0 */
#include "base/statefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"

/* magic (8) | sequence (8, big endian) | length (4) | content | SHA-256 over all before it */
#define MAGIC "BERTHST1"
#define MAGIC_SIZE 8U
#define HEAD_SIZE (MAGIC_SIZE + 8U + 4U)
#define SUM_SIZE 32U
#define CONTENT_MAX (8U * 1024U * 1024U)

enum copy_state { COPY_ABSENT, COPY_DAMAGED, COPY_WHOLE };

struct copy {
    enum copy_state state;
    uint64_t sequence;
    uint8_t *file; /* whole file, owned */
    size_t n;      /* of the content, which begins at file + HEAD_SIZE */
};

struct pair {
    struct copy copy[2];
};

static void pair_done(struct pair *p)
{
    for (size_t i = 0; i < 2; i++)
        free(p->copy[i].file);
}

/* Whether the bytes of one file are a whole copy. */
static enum rc examine(struct copy *c, size_t size, struct err *err)
{
    uint8_t sum[SUM_SIZE];

    c->state = COPY_DAMAGED;
    if (size < HEAD_SIZE + SUM_SIZE || memcmp(c->file, MAGIC, MAGIC_SIZE) != 0)
        return RC_OK;
    c->n = (size_t)bytes_get_be(c->file + MAGIC_SIZE + 8, 4);
    if (c->n != size - HEAD_SIZE - SUM_SIZE)
        return RC_OK;

    enum rc rc = sha256_of((struct bytes){ .p = c->file, .n = HEAD_SIZE + c->n }, sum, err);

    if (rc != RC_OK)
        return rc;
    if (memcmp(sum, c->file + HEAD_SIZE + c->n, SUM_SIZE) != 0)
        return RC_OK;
    c->sequence = bytes_get_be(c->file + MAGIC_SIZE, 8);
    c->state = COPY_WHOLE;
    return RC_OK;
}

static void copy_name(const char *name, size_t i, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s.%c", name, i == 0 ? 'a' : 'b');
}

/* The disk cannot give back what was written: a bad sector, or a checksum of the file system.
 * Anything else (no memory, no descriptors) may pass, and must not bring the older copy back. */
static bool is_bad_medium(enum rc rc, int sys)
{
    return rc == RC_IO && (sys == EIO || sys == EUCLEAN || sys == EBADMSG || sys == ENODATA);
}

static enum rc read_pair(int dirfd, const char *name, struct pair *p, struct err *err)
{
    for (size_t i = 0; i < 2; i++) {
        char file[256];
        size_t n = 0;
        struct copy *c = &p->copy[i];

        copy_name(name, i, file, sizeof file);

        struct err why = { 0 };
        enum rc rc =
            fs_read_alloc(dirfd, file, HEAD_SIZE + CONTENT_MAX + SUM_SIZE, &c->file, &n, &why);

        if (rc == RC_NOT_FOUND)
            continue;
        if (rc == RC_TOO_LARGE || rc == RC_NOT_REGULAR || is_bad_medium(rc, why.sys)) {
            c->state = COPY_DAMAGED;
            continue;
        }
        if (rc != RC_OK && err)
            *err = why;
        if (rc == RC_OK)
            rc = examine(c, n, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* Index of the newest whole copy, or 2. */
static size_t newest(const struct pair *p)
{
    const struct copy *a = &p->copy[0];
    const struct copy *b = &p->copy[1];

    if (a->state == COPY_WHOLE && (b->state != COPY_WHOLE || a->sequence >= b->sequence))
        return 0;
    return b->state == COPY_WHOLE ? 1 : 2;
}

enum rc statefile_load(int dirfd, const char *name, uint8_t *buf, size_t cap, size_t *ret_n,
                       struct statefile_info *ret_info, struct err *err)
{
    scoped(pair_done) struct pair p = { 0 };
    enum rc rc = read_pair(dirfd, name, &p, err);

    if (rc != RC_OK)
        return rc;

    size_t i = newest(&p);
    bool damaged = p.copy[0].state == COPY_DAMAGED || p.copy[1].state == COPY_DAMAGED;

    if (i == 2)
        return err_set(err, damaged ? RC_STATE_DAMAGED : RC_NOT_FOUND, "%s", name);
    if (p.copy[i].n > cap)
        return err_set(err, RC_TOO_LARGE, "%s", name);
    if (p.copy[i].n > 0)
        memcpy(buf, p.copy[i].file + HEAD_SIZE, p.copy[i].n);
    *ret_n = p.copy[i].n;
    if (ret_info)
        *ret_info = (struct statefile_info){ .sequence = p.copy[i].sequence,
                                             .damaged = damaged,
                                             .alone = p.copy[1 - i].state == COPY_ABSENT };
    return RC_OK;
}

enum rc statefile_save(int dirfd, const char *name, struct bytes content, struct err *err)
{
    scoped(pair_done) struct pair p = { 0 };
    scoped(free_ptr) uint8_t *file = NULL;
    char target[256];
    enum rc rc = read_pair(dirfd, name, &p, err);

    if (rc != RC_OK)
        return rc;
    if (content.n > CONTENT_MAX)
        return err_set(err, RC_TOO_LARGE, "%s", name);

    size_t keep = newest(&p);

    if (keep == 2 && (p.copy[0].state == COPY_DAMAGED || p.copy[1].state == COPY_DAMAGED))
        return err_set(err, RC_STATE_DAMAGED, "%s", name);

    uint64_t sequence = keep == 2 ? 1 : p.copy[keep].sequence + 1;

    file = malloc(HEAD_SIZE + content.n + SUM_SIZE);
    if (!file)
        return err_set(err, RC_NO_MEMORY, "%s", name);
    memcpy(file, MAGIC, MAGIC_SIZE);
    bytes_put_be(file + MAGIC_SIZE, 8, sequence);
    bytes_put_be(file + MAGIC_SIZE + 8, 4, content.n);
    if (content.n > 0)
        memcpy(file + HEAD_SIZE, content.p, content.n);
    rc = sha256_of((struct bytes){ .p = file, .n = HEAD_SIZE + content.n },
                   file + HEAD_SIZE + content.n, err);
    if (rc != RC_OK)
        return rc;
    copy_name(name, keep == 0 ? 1 : 0, target, sizeof target);
    return fs_write_file(dirfd, target,
                         (struct bytes){ .p = file, .n = HEAD_SIZE + content.n + SUM_SIZE }, 0600,
                         err);
}
