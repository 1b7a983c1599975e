/* SPDX-License-Identifier: Apache-2.0
 *
 * link/repairs and link/partial: what repairs cost on the disk, and what a power cut may take.
 */
#include "tests/unit/link_cut.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The file system under the test, or one that knows no holes. */
static bool no_holes;

int fallocate(int fd, int mode, off_t at, off_t n)
{
    if (no_holes) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, at, n);
}

static struct receiver *open_receiver(int dirfd, uint64_t quota)
{
    const struct receiver_options options = { .quota = quota };
    struct receiver *r = NULL;
    struct err err;

    assert_rc(receiver_open(dirfd, &options, 0, &r, &err), RC_OK);
    return r;
}

/* Chunks that the receiver says it needs of the one object under way. */
static uint32_t needed(const struct receiver *r)
{
    static struct port_transfers status;
    uint32_t n = 0;

    receiver_status(r, &status);
    for (uint32_t i = 0; status.n_transfers > 0 && i < status.transfer[0].n_missing; i++)
        n += status.transfer[0].missing[i].count;
    return n;
}

static const char *file_name(const struct cut *c, const char *suffix)
{
    static char name[160];
    char hex[2 * DIGEST_SIZE + 1];

    snprintf(name, sizeof name, "partial/%s.%s",
             bytes_hex((struct bytes){ c->o.object.digest, DIGEST_SIZE }, hex), suffix);
    return name;
}

static uint64_t room_of(int dirfd, const struct cut *c, const char *suffix)
{
    struct stat st;

    assert_int_equal(fstatat(dirfd, file_name(c, suffix), &st, 0), 0);
    return (uint64_t)st.st_blocks * 512U;
}

/* An object whose repairs are not those of c, under c's name. */
static struct cut lie_about(const struct cut *c)
{
    struct cut lie = cut_new(OBJECT_PACKAGE, c->o.object.size, c->chunk_size, 9);

    memcpy(lie.o.object.digest, c->o.object.digest, DIGEST_SIZE);
    return lie;
}

/* What came out wrong does not stay in the holes: repairs need the room. */
static void a_wrong_sum_leaves_holes(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct cut c = cut_new(OBJECT_PACKAGE, 16 * 65536, 65536, 1);
    struct cut lie = lie_about(&c);
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 16; i++)
        assert_rc(give_repair(r, i == 3 ? &lie : &c, 0, i, 0), i == 15 ? RC_CHUNK_DIGEST : RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    assert_true(room_of(t.fd, &c, "fec") >= c.o.object.size);
    assert_true(room_of(t.fd, &c, "part") < c.o.object.size / 8);
    assert_rc(give_repair(r, &c, 0, 16, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    struct port_object ready;

    assert_true(receiver_ready(r, 0, &ready));
    receiver_close(&r);
    cut_free(&c);
    cut_free(&lie);
    link_tmp_free(&t);
}

/* Every second chunk of an object of small ones: no block of its file is free, and all that repairs
 * take comes on top. */
static struct cut without_holes(struct receiver *r)
{
    struct cut c = cut_new(OBJECT_PACKAGE, 32768, 256, 1);

    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 128; i += 2)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    return c;
}

/* Another object gets no room that repairs have. */
static void repairs_count_in_the_quota(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 131072); /* for packages 7/8 */
    struct cut a = without_holes(r);
    struct cut b = cut_new(OBJECT_PACKAGE, 114688 - 32768, 4096, 2);
    struct err err;

    (void)state;
    assert_rc(give_repair(r, &a, 0, 0, 0), RC_OK);
    assert_rc(give_descriptor(r, &b, 0), RC_SPOOL_FULL);
    for (uint32_t i = 1; i < 128; i += 2)
        assert_rc(give_chunk(r, &a, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK); /* complete: there are no repairs any more */
    assert_rc(give_descriptor(r, &b, 0), RC_OK);
    receiver_close(&r);
    cut_free(&a);
    cut_free(&b);
    link_tmp_free(&t);
}

/* What was let in is not dropped at a restart for what its repairs came to. */
static void a_restart_drops_nothing(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 131072);
    struct cut b = cut_new(OBJECT_PACKAGE, 114688 - 2 * 32768, 4096, 2);
    static struct port_transfers status;
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &b, 0), RC_OK);
    struct cut a = without_holes(r);

    assert_rc(give_repair(r, &a, 0, 0, 0), RC_OK);
    assert_rc(give_repair(r, &b, 0, 0, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    receiver_close(&r);
    r = open_receiver(t.fd, 131072);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 2);
    receiver_close(&r);
    cut_free(&a);
    cut_free(&b);
    link_tmp_free(&t);
}

/* Nor do repairs get room that there is not: they are refused, and chunks are not. */
static void repairs_keep_to_the_quota(void **state)
{
    const uint64_t quota = 10U * 4096U;
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, quota);
    struct cut c = without_holes(r);
    uint32_t held = 0;
    enum rc rc = RC_OK;
    struct err err;

    (void)state;
    for (uint32_t i = 0; i < 63 && rc == RC_OK; i++) {
        rc = give_repair(r, &c, 0, i, 0);
        held += rc == RC_OK;
        assert_rc(receiver_commit(r, &err), RC_OK);
    }
    assert_rc(rc, RC_SPOOL_FULL);
    assert_true(held > 0);
    /* What packages leave to documents, their repairs leave too. */
    struct link_object order = link_object_new(OBJECT_ORDER, 1500, 3);

    assert_rc(give_inline(r, &order, 0), RC_OK);
    free(order.bytes);
    assert_true(room_of(t.fd, &c, "fec") + room_of(t.fd, &c, "part") <= quota + 4096);
    for (uint32_t i = 1; i < 128; i += 2)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    struct port_object ready;

    assert_true(receiver_ready(r, 1, &ready)); /* behind the order */
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

/* Without holes what was dropped stays in the file, and still is no repair after a restart. */
static void dropped_is_dropped(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct cut c = cut_new(OBJECT_PACKAGE, 10 * 4096, 4096, 1);
    struct cut lie = lie_about(&c);
    struct err err;

    (void)state;
    no_holes = true;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 6; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    for (uint32_t i = 0; i < 5; i++)
        assert_rc(give_repair(r, i < 2 ? &lie : &c, 0, i, 0), i < 3 ? RC_OK : RC_CHUNK_DIGEST);
    assert_int_equal(needed(r), 4);
    assert_rc(receiver_commit(r, &err), RC_OK);
    assert_true(room_of(t.fd, &c, "fec") >= 4 * 4096);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    assert_int_equal(needed(r), 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_rc(give_repair(r, &c, 0, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    struct port_object ready;

    assert_true(receiver_ready(r, 0, &ready));
    no_holes = false;
    receiver_close(&r);
    cut_free(&c);
    cut_free(&lie);
    link_tmp_free(&t);
}

/* A power cut takes what was not synced: chunks that repairs had just given back are gone from the
 * file, and the repairs that gave them are there.  After the sync their room is free. */
static void repairs_outlive_a_power_cut(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct cut c = cut_new(OBJECT_PACKAGE, 130 * 32768, 32768, 1); /* two groups of 65 */
    scoped(free_ptr) uint8_t *before = NULL;
    struct err err;
    size_t n = 0;

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 64; i++)
        assert_rc(give_repair(r, &c, 0, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
    assert_rc(fs_read_alloc(t.fd, file_name(&c, "part"), 1U << 24, &before, &n, &err), RC_OK);
    for (int cut = 0; cut < 2; cut++) {
        if (cut == 0)
            assert_rc(give_repair(r, &c, 0, 64, 0), RC_OK);
        assert_int_equal(needed(r), 65); /* of the other group */
        receiver_close(&r);
        assert_rc(
            fs_write_file(t.fd, file_name(&c, "part"), (struct bytes){ before, n }, 0600, &err),
            RC_OK);
        r = open_receiver(t.fd, 0); /* which gives them back once more */
    }
    assert_int_equal(needed(r), 65);
    assert_true(room_of(t.fd, &c, "fec") >= UINT64_C(65) * 32768);
    assert_rc(receiver_commit(r, &err), RC_OK);
    assert_true(room_of(t.fd, &c, "fec") < UINT64_C(65) * 32768 / 2);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    assert_int_equal(needed(r), 65);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_sum_leaves_holes), cmocka_unit_test(repairs_count_in_the_quota),
        cmocka_unit_test(a_restart_drops_nothing),  cmocka_unit_test(repairs_keep_to_the_quota),
        cmocka_unit_test(dropped_is_dropped),       cmocka_unit_test(repairs_outlive_a_power_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
