/* SPDX-License-Identifier: Apache-2.0 */
#include "base/statefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/sum.h"

/* magic (8) | sequence (8, big endian) | length (4) | content | SHA-256 over all before it */
#define MAGIC "BERTHST1"
#define MAGIC_SIZE 8U
#define HEAD_SIZE (MAGIC_SIZE + 8U + 4U)
#define CONTENT_MAX (8U * 1024U * 1024U)

enum copy_state { COPY_ABSENT, COPY_DAMAGED, COPY_WHOLE };

struct copy {
    enum copy_state state;
    uint64_t sequence;
    uint8_t *file; /* whole file, owned */
    size_t size;   /* of it */
    size_t n;      /* of the content, which begins at file + HEAD_SIZE */
};

struct pair {
    struct copy copy[2];
};

static void pair_done(struct pair *p)
{
    for (size_t i = 0; i < 2; i++) {
        /* Some hold keys, and all are small. */
        if (p->copy[i].file)
            explicit_bzero(p->copy[i].file, p->copy[i].size);
        free(p->copy[i].file);
    }
}

/* Whether the bytes of one file are a whole copy. */
static void examine(struct copy *c, size_t size)
{
    uint8_t sum[SUM_SIZE];

    c->state = COPY_DAMAGED;
    if (size < HEAD_SIZE + SUM_SIZE || memcmp(c->file, MAGIC, MAGIC_SIZE) != 0)
        return;
    c->n = (size_t)bytes_get_be(c->file + MAGIC_SIZE + 8, 4);
    if (c->n != size - HEAD_SIZE - SUM_SIZE)
        return;
    sum_of((struct bytes){ .p = c->file, .n = HEAD_SIZE + c->n }, sum);
    if (memcmp(sum, c->file + HEAD_SIZE + c->n, SUM_SIZE) != 0)
        return;
    c->sequence = bytes_get_be(c->file + MAGIC_SIZE, 8);
    c->state = COPY_WHOLE;
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

/* A name that nothing can be written over: what it leads to is a bad inode, or a directory. */
static bool is_stuck(enum rc rc, int sys)
{
    return is_bad_medium(rc, sys) || (rc == RC_IO && sys == EISDIR);
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
        if (rc != RC_OK)
            return rc;
        c->size = n;
        examine(c, n);
    }
    return RC_OK;
}

/* The numbers go round, as serial numbers do: whatever a whole copy says, there is a number that is
 * newer.  Else a copy with the highest one, which only malice writes, could never be replaced. */
static bool is_newer(uint64_t a, uint64_t b)
{
    return a != b && a - b < UINT64_C(1) << 63;
}

/* 0 = there is none. */
static uint64_t next_sequence(uint64_t sequence)
{
    return sequence == UINT64_MAX ? 1 : sequence + 1;
}

/* Index of the newest whole copy, or 2. */
static size_t newest(const struct pair *p)
{
    const struct copy *a = &p->copy[0];
    const struct copy *b = &p->copy[1];

    if (a->state == COPY_WHOLE && (b->state != COPY_WHOLE || !is_newer(b->sequence, a->sequence)))
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
        *ret_info = (struct statefile_info){
            .sequence = p.copy[i].sequence,
            .damaged = damaged,
            .alone = p.copy[1 - i].state == COPY_ABSENT,
            .twice = p.copy[1 - i].state == COPY_WHOLE &&
                     bytes_equal((struct bytes){ p.copy[0].file + HEAD_SIZE, p.copy[0].n },
                                 (struct bytes){ p.copy[1].file + HEAD_SIZE, p.copy[1].n }),
        };
    return RC_OK;
}

/* What a lost write leaves is nothing or zeros, and what erased flash holds is ones. */
static bool is_written(const struct copy *c)
{
    static const uint8_t ones[MAGIC_SIZE] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
    static const uint8_t zeros[MAGIC_SIZE];
    const size_t n = c->size < MAGIC_SIZE ? c->size : MAGIC_SIZE;

    return memcmp(c->file, ones, n) != 0 && memcmp(c->file, zeros, n) != 0;
}

/* Flipped bits do not make another magic out of ours: most of it is another, or a sum over all of
 * it says that it was written with this one. */
static bool is_other_form(const struct copy *c)
{
    uint8_t sum[SUM_SIZE];
    size_t differ = 0;

    for (size_t i = 0; i < MAGIC_SIZE && i < c->size; i++)
        differ += c->file[i] != (uint8_t)MAGIC[i];
    if (differ > MAGIC_SIZE / 2)
        return true;
    if (differ == 0 || c->size < HEAD_SIZE + SUM_SIZE)
        return false;
    sum_of((struct bytes){ .p = c->file, .n = c->size - SUM_SIZE }, sum);
    return memcmp(sum, c->file + c->size - SUM_SIZE, SUM_SIZE) == 0;
}

bool statefile_foreign(int dirfd, const char *name)
{
    scoped(pair_done) struct pair p = { 0 };
    struct err ignored;

    if (read_pair(dirfd, name, &p, &ignored) != RC_OK)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (!p.copy[i].file || !is_written(&p.copy[i]) || !is_other_form(&p.copy[i]))
            return false;
    return true;
}

enum rc statefile_copy_bytes(int dirfd, const char *from, const char *to, struct err *err)
{
    scoped(pair_done) struct pair p = { 0 };
    enum rc rc = read_pair(dirfd, from, &p, err);

    for (size_t i = 0; i < 2 && rc == RC_OK; i++) {
        const struct copy *c = &p.copy[i];
        char target[256];

        copy_name(to, i, target, sizeof target);
        if (c->file)
            rc = fs_write_file(dirfd, target, (struct bytes){ .p = c->file, .n = c->size }, 0600,
                               err);
    }
    return rc;
}

/* Write one copy, durably. */
static enum rc write_copy(int dirfd, const char *name, size_t i, uint64_t sequence,
                          struct bytes content, struct err *err)
{
    scoped(free_ptr) uint8_t *file = NULL;
    char target[256];

    file = malloc(HEAD_SIZE + content.n + SUM_SIZE);
    if (!file)
        return err_set(err, RC_NO_MEMORY, "%s", name);
    memcpy(file, MAGIC, MAGIC_SIZE);
    bytes_put_be(file + MAGIC_SIZE, 8, sequence);
    bytes_put_be(file + MAGIC_SIZE + 8, 4, content.n);
    if (content.n > 0)
        memcpy(file + HEAD_SIZE, content.p, content.n);
    sum_of((struct bytes){ .p = file, .n = HEAD_SIZE + content.n }, file + HEAD_SIZE + content.n);
    copy_name(name, i, target, sizeof target);
    const size_t n = HEAD_SIZE + content.n + SUM_SIZE;
    enum rc rc = fs_write_file(dirfd, target, (struct bytes){ .p = file, .n = n }, 0600, err);
    explicit_bzero(file, n);
    return rc;
}

/* Above every number that a copy which cannot be read now, and may be some day, can have been given
 * by counting up to it. */
#define SEQUENCE_LEAP (UINT64_C(1) << 32)

/* How a copy is saved. */
struct saving {
    bool renew;     /* two damaged copies are no obstacle */
    bool damaged;   /* out: a copy could not be read or was not whole */
    bool stuck;     /* out: ... and cannot be replaced: there is only one copy, and it is saved */
    struct err why; /* out: why not */
};

/* The next copy to write and its sequence.  A damaged one that cannot be replaced would be chosen
 * for ever: the other takes its place, which is no more dangerous, as each is replaced in one step.
 */
static enum rc save(int dirfd, const char *name, struct bytes content, struct saving *how,
                    struct err *err)
{
    scoped(pair_done) struct pair p = { 0 };
    enum rc rc = read_pair(dirfd, name, &p, err);

    if (rc != RC_OK)
        return rc;
    if (content.n > CONTENT_MAX)
        return err_set(err, RC_TOO_LARGE, "%s", name);

    const size_t keep = newest(&p), to = keep == 0 ? 1 : 0;
    const uint64_t last = keep == 2 ? 0 : p.copy[keep].sequence;

    how->damaged = p.copy[0].state == COPY_DAMAGED || p.copy[1].state == COPY_DAMAGED;
    if (keep == 2 && !how->renew && how->damaged)
        return err_set(err, RC_STATE_DAMAGED, "%s", name);
    rc = write_copy(dirfd, name, to, next_sequence(last), content, &how->why);
    if (p.copy[to].state == COPY_DAMAGED && is_stuck(rc, how->why.sys)) {
        how->stuck = write_copy(dirfd, name, 1 - to, next_sequence(last + SEQUENCE_LEAP), content,
                                NULL) == RC_OK;
        rc = how->stuck ? RC_OK : rc;
    }
    if (rc != RC_OK && err)
        *err = how->why;
    return rc;
}

/* Twice: what was replaced may have been the newest, and the other is then two saves old. */
static enum rc save_one(int dirfd, const char *name, struct bytes content, struct saving *how,
                        struct err *err)
{
    enum rc rc = save(dirfd, name, content, how, err);

    return rc == RC_OK && how->damaged && !how->stuck ? save(dirfd, name, content, how, err) : rc;
}

static enum rc save_both(int dirfd, const char *name, struct bytes content, struct saving *how,
                         struct err *err)
{
    enum rc rc = save(dirfd, name, content, how, err);

    return rc == RC_OK && !how->stuck ? save(dirfd, name, content, how, err) : rc;
}

enum rc statefile_save(int dirfd, const char *name, struct bytes content, struct err *err)
{
    struct saving how = { 0 };

    return save_one(dirfd, name, content, &how, err);
}

enum rc statefile_save_both(int dirfd, const char *name, struct bytes content, struct err *err)
{
    struct saving how = { 0 };

    return save_both(dirfd, name, content, &how, err);
}

enum rc statefile_renew(int dirfd, const char *name, struct bytes content, struct err *err)
{
    struct saving how = { .renew = true };

    return save_both(dirfd, name, content, &how, err);
}

/* ---- scrubbing ----------------------------------------------------------------------------------
 */

/* Count what was read; how many copies are damaged or lost. */
static uint32_t count_pair(const struct pair *p, bool vouched, struct scrubbed *count)
{
    const size_t whole = newest(p);
    uint32_t bad = 0;

    for (size_t i = 0; i < 2; i++) {
        const struct copy *c = &p->copy[i];
        /* One alone is all that there ever was only if it is the first, of what is saved in turns.
         */
        bool missing = c->state == COPY_ABSENT &&
                       (whole == 2 ? vouched : !vouched || p->copy[whole].sequence > 1);

        count->files += c->state != COPY_ABSENT || missing;
        count->bytes += c->size;
        bad += c->state == COPY_DAMAGED || missing;
    }
    count->damaged += bad;
    return bad;
}

enum rc statefile_scrub(int dirfd, const char *name, const struct bytes *content,
                        enum statefile_found *ret, struct scrubbed *count, struct err *err)
{
    scoped(pair_done) struct pair p = { 0 };
    enum rc rc = read_pair(dirfd, name, &p, err);

    if (rc != RC_OK)
        return rc;

    const size_t whole = newest(&p);
    const uint32_t bad = count_pair(&p, content != NULL, count);

    if (bad == 0) {
        *ret = whole == 2 ? STATEFILE_ABSENT : STATEFILE_WHOLE;
        return RC_OK;
    }

    struct saving how = { .renew = content != NULL };

    if (content)
        rc = save_both(dirfd, name, *content, &how, err);
    else if (whole < 2)
        rc = save_one(dirfd, name,
                      (struct bytes){ p.copy[whole].file + HEAD_SIZE, p.copy[whole].n }, &how, err);
    if (rc == RC_OK && how.stuck) { /* saved, and not mended */
        rc = how.why.rc;
        if (err)
            *err = how.why;
    }
    if (rc != RC_OK)
        return rc;
    *ret = content || whole < 2 ? STATEFILE_MENDED : STATEFILE_LOST;
    count->repaired += *ret == STATEFILE_MENDED ? bad : 0;
    return RC_OK;
}
