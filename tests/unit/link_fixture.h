/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/link_fixture: throw-away directories, objects with known bytes, and a random source
 * that a seed replays, for the tests of link/.
 */
#ifndef BERTH_TESTS_UNIT_LINK_FIXTURE_H
#define BERTH_TESTS_UNIT_LINK_FIXTURE_H

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "link/port.h"
#include "link/sender.h"

/* A fresh directory and a descriptor of it. */
struct link_tmp {
    char path[64];
    int fd;
};

static inline struct link_tmp link_tmp_new(void)
{
    struct link_tmp t = { .path = "/tmp/berth-link-XXXXXX" };

    assert_non_null(mkdtemp(t.path));
    t.fd = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(t.fd >= 0);
    return t;
}

static inline void link_tmp_free(struct link_tmp *t)
{
    struct err err;

    close(t->fd);
    assert_rc(fs_remove_tree(AT_FDCWD, t->path, &err), RC_OK);
}

/* xorshift64*: the same numbers for the same seed. */
static inline uint64_t link_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* An object in memory that a sender can read. */
struct link_object {
    struct sender_object object;
    uint8_t *bytes;
};

static inline struct link_object link_object_new(enum object_kind kind, size_t size, uint64_t seed)
{
    struct link_object o = { .object = { .kind = kind, .size = size, .serial = 1 },
                             .bytes = malloc(size) };
    struct err err;

    assert_non_null(o.bytes);
    seed = seed * 2 + 1;
    for (size_t i = 0; i < size; i++)
        o.bytes[i] = (uint8_t)link_random(&seed);
    assert_rc(sha256_of((struct bytes){ o.bytes, size }, o.object.digest, &err), RC_OK);
    return o;
}

static inline enum rc link_object_read(void *arg, uint64_t offset, uint8_t *buf, size_t n,
                                       struct err *err)
{
    const struct link_object *o = arg;

    (void)err;
    assert_true(offset + n <= o->object.size);
    memcpy(buf, o->bytes + offset, n);
    return RC_OK;
}

static inline struct sender_source link_object_source(struct link_object *o)
{
    return (struct sender_source){ .read = link_object_read, .arg = o };
}

/* Whether a file holds exactly the object. */
static inline bool link_object_is(const struct link_object *o, int fd)
{
    uint8_t *got = malloc(o->object.size + 1);
    ssize_t n = pread(fd, got, o->object.size + 1, 0);
    bool same = n == (ssize_t)o->object.size && memcmp(got, o->bytes, (size_t)n) == 0;

    free(got);
    return same;
}

/* Flip one bit of a file. */
static inline void link_flip(int dirfd, const char *name, off_t at)
{
    int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
    uint8_t b = 0;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 0x10;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

#endif
