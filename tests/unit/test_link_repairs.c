/* SPDX-License-Identifier: Apache-2.0
 *
 * link/repairs and link/partial: an object comes from any k of the chunks and repairs of each of
 * its groups, in any order and with restarts between them; what is wrong never counts.
 */
#include "tests/unit/link_cut.h"

static struct receiver *open_receiver(int dirfd)
{
    const struct receiver_options options = { 0 };
    struct receiver *r = NULL;
    struct err err;

    assert_rc(receiver_open(dirfd, &options, 0, &r, &err), RC_OK);
    return r;
}

static void restart(struct receiver **r, int dirfd)
{
    struct err err;

    assert_rc(receiver_commit(*r, &err), RC_OK);
    receiver_close(r);
    *r = open_receiver(dirfd);
}

/* Chunks that the receiver says it needs of the one object under way. */
static uint32_t needed(const struct receiver *r)
{
    static struct port_transfers status;
    uint32_t n = 0;

    receiver_status(r, &status);
    if (status.n_transfers == 0)
        return 0;
    assert_int_equal(status.transfer[0].more, 0);
    for (uint32_t i = 0; i < status.transfer[0].n_missing; i++)
        n += status.transfer[0].missing[i].count;
    return n;
}

static void assert_ready(struct receiver *r, const struct link_object *o)
{
    struct port_object ready = { 0 };
    struct err err;
    int fd = -1;

    assert_rc(receiver_commit(r, &err), RC_OK);
    assert_true(receiver_ready(r, 0, &ready));
    assert_memory_equal(ready.digest, o->object.digest, DIGEST_SIZE);
    assert_rc(receiver_open_object(r, ready.digest, &fd, &err), RC_OK);
    assert_true(link_object_is(o, fd));
    close_fd(&fd);
}

static const char *file_name(const struct cut *c, const char *dir, const char *suffix)
{
    static char name[160];
    char hex[2 * DIGEST_SIZE + 1];

    snprintf(name, sizeof name, "%s/%s.%s", dir,
             bytes_hex((struct bytes){ c->o.object.digest, DIGEST_SIZE }, hex), suffix);
    return name;
}

/* One of the chunks and repairs of an object; a repair if number is not negative. */
struct symbol {
    uint32_t chunk_or_group;
    int number;
};

static void shuffle(struct symbol *s, size_t n, uint64_t *seed)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = link_random(seed) % i;
        struct symbol swap = s[i - 1];

        s[i - 1] = s[k];
        s[k] = swap;
    }
}

/* All symbols of an object in random order, one by one: after each, what is needed is what the
 * groups lack of their k, and when nothing is, the object is whole. */
static void any_order(uint64_t seed, size_t size, uint32_t chunk_size, bool restarts)
{
    static struct symbol all[1024];
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, size, chunk_size, seed);
    struct receiver *r = open_receiver(t.fd);
    uint32_t lacks[FEC_GROUPS_MAX], total = c.chunks;
    size_t n = 0;

    for (uint32_t i = 0; i < c.chunks; i++)
        all[n++] = (struct symbol){ i, -1 };
    for (uint32_t g = 0; g < fec_groups(c.chunks); g++) {
        lacks[g] = fec_group_size(c.chunks, g);
        for (int k = 0; k < (int)lacks[g] && k < (int)FEC_REPAIR_MAX; k++)
            all[n++] = (struct symbol){ g, k };
    }
    assert_true(n <= sizeof all / sizeof all[0]);
    shuffle(all, n, &seed);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (size_t i = 0; total > 0; i++) {
        const struct symbol *s = &all[i];
        uint32_t g = s->number < 0 ? s->chunk_or_group % fec_groups(c.chunks) : s->chunk_or_group;

        assert_true(i < n);
        for (int twice = 0; twice < 2; twice++)
            assert_rc(s->number < 0 ? give_chunk(r, &c, s->chunk_or_group, 0)
                                    : give_repair(r, &c, g, (uint32_t)s->number, 0),
                      RC_OK);
        if (lacks[g] > 0) {
            lacks[g]--;
            total--;
        }
        if (restarts && link_random(&seed) % 8 == 0)
            restart(&r, t.fd);
        if (total > 0)
            assert_int_equal(needed(r), total);
    }
    assert_ready(r, &c.o);
    assert_int_equal(faccessat(t.fd, file_name(&c, "partial", "fec"), F_OK, 0), -1);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

static void any_k_of_each_group(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        any_order(seed, 1 + 300 * 257 - 31 * seed, 300, false);
    any_order(50, 256 * 261, 256, false);        /* three groups of 87 */
    any_order(51, 5000 * 9 - 4999, 5000, false); /* stripes, and a last chunk of one byte */
    any_order(52, 40000, 256, false);
}

static void restarts_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        any_order(seed, 20 * 300 - 7 * seed, 300, true);
}

/* One group of ten chunks of which `have` are there. */
static struct cut ten(struct receiver *r, uint32_t have)
{
    struct cut c = cut_new(OBJECT_PACKAGE, 10 * 300 - 5, 300, 3);

    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < have; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    return c;
}

/* What a power cut or a bit flip leaves of a slot is not believed. */
static void a_damaged_slot_is_one_repair_less(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd);
    struct cut c = ten(r, 6);
    off_t stride = 64 + 300;

    (void)state;
    for (uint32_t k = 0; k < 3; k++)
        assert_rc(give_repair(r, &c, 0, k, 0), RC_OK);
    assert_int_equal(needed(r), 1);
    restart(&r, t.fd);
    assert_int_equal(needed(r), 1);
    link_flip(t.fd, file_name(&c, "partial", "fec"), 0 * stride + 40 + 70); /* the bytes */
    restart(&r, t.fd);
    assert_int_equal(needed(r), 2);
    link_flip(t.fd, file_name(&c, "partial", "fec"), 1 * stride + 32); /* the number */
    restart(&r, t.fd);
    assert_int_equal(needed(r), 3);
    assert_rc(give_repair(r, &c, 0, 0, 0), RC_OK);
    assert_rc(give_repair(r, &c, 0, 100, 0), RC_OK);
    assert_rc(give_repair(r, &c, 0, 127, 0), RC_OK);
    assert_ready(r, &c.o);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

/* The slots of one object say nothing in the file of another. */
static void slots_of_another_object(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd);
    struct cut a = ten(r, 6);
    struct cut b = cut_new(OBJECT_PACKAGE, 10 * 300 - 5, 300, 4);
    char from[160];

    (void)state;
    assert_rc(give_repair(r, &a, 0, 0, 0), RC_OK);
    assert_rc(give_descriptor(r, &b, 0), RC_OK);
    receiver_close(&r);
    snprintf(from, sizeof from, "%s", file_name(&a, "partial", "fec"));
    assert_int_equal(renameat(t.fd, from, t.fd, file_name(&b, "partial", "fec")), 0);
    r = open_receiver(t.fd);
    for (uint32_t i = 0; i < 9; i++)
        assert_rc(give_chunk(r, &b, i, 0), RC_OK);
    assert_rc(give_repair(r, &b, 0, 0, 0), RC_OK);
    assert_ready(r, &b.o);
    receiver_close(&r);
    cut_free(&a);
    cut_free(&b);
    link_tmp_free(&t);
}

/* An object whose repairs are not those of c, under c's name. */
static struct cut lie_about(const struct cut *c)
{
    struct cut lie = cut_new(OBJECT_PACKAGE, c->o.object.size, c->chunk_size, 9);

    memcpy(lie.o.object.digest, c->o.object.digest, DIGEST_SIZE);
    return lie;
}

/* A repair that was made of something else: that one is wrong shows when the group is solved, and
 * which one with one more repair.  The others count. */
static void a_wrong_repair(void **state)
{
    (void)state;
    for (uint32_t wrong = 0; wrong < 5; wrong++) {
        struct link_tmp t = link_tmp_new();
        struct receiver *r = open_receiver(t.fd);
        struct cut c = ten(r, 5);
        struct cut lie = lie_about(&c);

        for (uint32_t i = 0; i < 4; i++)
            assert_rc(give_repair(r, i == wrong ? &lie : &c, 0, 20 + i, 0), RC_OK);
        assert_int_equal(needed(r), 1);
        assert_rc(give_repair(r, wrong == 4 ? &lie : &c, 0, 5, 0), RC_CHUNK_DIGEST);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(needed(r), 1);
            restart(&r, t.fd); /* it is found out again then */
        }
        assert_rc(give_repair(r, &c, 0, 20, 0), RC_OK); /* a number that is held */
        assert_int_equal(needed(r), 1);
        assert_rc(give_repair(r, &c, 0, 7, 0), RC_OK);
        assert_ready(r, &c.o);
        receiver_close(&r);
        cut_free(&c);
        cut_free(&lie);
        link_tmp_free(&t);
    }
}

/* The same with one chunk more, whichever repair it is. */
static void a_chunk_tells_the_wrong_repair(void **state)
{
    (void)state;
    for (uint32_t wrong = 0; wrong < 4; wrong++) {
        struct link_tmp t = link_tmp_new();
        struct receiver *r = open_receiver(t.fd);
        struct cut c = ten(r, 6);
        struct cut lie = lie_about(&c);

        for (uint32_t i = 0; i < 4; i++)
            assert_rc(give_repair(r, i == wrong ? &lie : &c, 0, i, 0),
                      i == 3 ? RC_CHUNK_DIGEST : RC_OK);
        assert_int_equal(needed(r), 1);
        assert_rc(give_chunk(r, &c, 8, 0), RC_OK);
        assert_ready(r, &c.o);
        receiver_close(&r);
        cut_free(&c);
        cut_free(&lie);
        link_tmp_free(&t);
    }
}

/* No chunk at all, all sizes of groups, a last chunk that is short, and chunks that are no multiple
 * of what is added at once. */
static void a_wrong_repair_of_any_group(void **state)
{
    static const struct {
        size_t size;
        uint32_t chunk_size;
    } rows[] = { { 65537, 65536 },       { 2 * 300, 300 },   { 3 * 4100 - 4099, 4100 },
                 { 128 * 257 - 1, 257 }, { 129 * 300, 300 }, { 40 * 8191 - 8000, 8191 } };
    uint64_t seed = 5;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        struct receiver *r = open_receiver(t.fd);
        struct cut c = cut_new(OBJECT_PACKAGE, rows[i].size, rows[i].chunk_size, seed);
        struct cut lie = lie_about(&c);

        assert_rc(give_descriptor(r, &c, 0), RC_OK);
        for (uint32_t g = 0; g < fec_groups(c.chunks); g++) {
            const uint32_t k = fec_group_size(c.chunks, g);
            const uint32_t wrong = (uint32_t)(link_random(&seed) % k);

            for (uint32_t n = 0; n < k; n++)
                assert_rc(give_repair(r, n == wrong ? &lie : &c, g, n, 0),
                          n == k - 1 ? RC_CHUNK_DIGEST : RC_OK);
            if (k < FEC_REPAIR_MAX)
                assert_rc(give_repair(r, &c, g, k, 0), RC_OK);
            else
                assert_rc(give_chunk(r, &c, g, 0), RC_OK);
        }
        assert_ready(r, &c.o);
        receiver_close(&r);
        cut_free(&c);
        cut_free(&lie);
        link_tmp_free(&t);
    }
}

/* Two that are wrong are more than one further repair tells: all of the group go, and it comes in
 * another way. */
static void two_wrong_repairs(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd);
    struct cut c = ten(r, 7);
    struct cut lie = lie_about(&c);

    (void)state;
    assert_rc(give_repair(r, &lie, 0, 5, 0), RC_OK);
    assert_rc(give_repair(r, &c, 0, 5, 0), RC_OK); /* the first of a number counts */
    assert_rc(give_repair(r, &lie, 0, 6, 0), RC_OK);
    assert_rc(give_repair(r, &c, 0, 7, 0), RC_CHUNK_DIGEST);
    assert_int_equal(needed(r), 1);
    assert_rc(give_repair(r, &c, 0, 8, 0), RC_CHUNK_DIGEST);
    assert_int_equal(needed(r), 3);
    restart(&r, t.fd); /* and none of them comes back */
    assert_int_equal(needed(r), 3);
    for (uint32_t k = 20; k < 22; k++)
        assert_rc(give_repair(r, &c, 0, k, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 9, 0), RC_OK);
    assert_ready(r, &c.o);
    receiver_close(&r);
    cut_free(&c);
    cut_free(&lie);
    link_tmp_free(&t);
}

/* It is the disk that is wrong: the chunk or the repair that it lost is missing, and nothing
 * else. */
static void what_decays_is_told_apart(void **state)
{
    static const struct {
        const char *suffix;
        off_t at; /* in chunk 2, or in the bytes of the second repair */
    } rows[] = { { "part", 2 * 300 + 7 }, { "fec", 1 * (64 + 300) + 64 + 9 } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct link_tmp t = link_tmp_new();
        struct receiver *r = open_receiver(t.fd);
        struct cut c = ten(r, 7);

        for (uint32_t n = 0; n < 2; n++)
            assert_rc(give_repair(r, &c, 0, n, 0), RC_OK);
        link_flip(t.fd, file_name(&c, "partial", rows[i].suffix), rows[i].at);
        assert_rc(give_repair(r, &c, 0, 2, 0), RC_CHUNK_DIGEST);
        assert_int_equal(needed(r), 1);
        assert_rc(give_repair(r, &c, 0, 3, 0), RC_OK);
        assert_ready(r, &c.o);
        receiver_close(&r);
        cut_free(&c);
        link_tmp_free(&t);
    }
}

/* The same, when it is a chunk that completes the sum: the chunk is good and stays. */
static void a_chunk_ends_a_wrong_repair(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd);
    struct cut c = ten(r, 8);
    struct cut lie = cut_new(OBJECT_PACKAGE, 10 * 300 - 5, 300, 9);
    struct err err;

    (void)state;
    memcpy(lie.o.object.digest, c.o.object.digest, DIGEST_SIZE);
    assert_rc(give_repair(r, &lie, 0, 5, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 8, 0), RC_OK);
    assert_true(receiver_note(r, &err));
    assert_int_equal(err.rc, RC_CHUNK_DIGEST);
    assert_int_equal(needed(r), 1);
    assert_rc(give_chunk(r, &c, 9, 0), RC_OK);
    assert_ready(r, &c.o);
    receiver_close(&r);
    cut_free(&c);
    cut_free(&lie);
    link_tmp_free(&t);
}

static void refused_forms(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd);
    struct cut c = ten(r, 6);
    uint8_t data[400] = { 1 };
    const struct {
        const char *why;
        uint32_t group, number;
        size_t n;
        enum rc rc;
    } rows[] = {
        { "no such group", 1, 0, 300, RC_TRANSFER_FORMAT },
        { "shorter than a chunk", 0, 0, 299, RC_TRANSFER_FORMAT },
        { "longer than a chunk", 0, 0, 301, RC_TRANSFER_FORMAT },
        { "group beyond any", FEC_GROUPS_MAX, 0, 300, RC_VALUE },
        { "number beyond any", 0, FEC_REPAIR_MAX, 300, RC_VALUE },
        { "shorter than any chunk", 0, 0, TRANSFER_CHUNK_MIN - 1, RC_VALUE },
        { "right", 0, 0, 300, RC_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transfer_message m = { .type = TRANSFER_REPAIR };

        m.repair = (struct transfer_repair){ .group = rows[i].group,
                                             .number = rows[i].number,
                                             .data = { data, rows[i].n } };
        memcpy(m.repair.object, c.o.object.digest, DIGEST_SIZE);
        enum rc rc = give(r, &m, 0);
        if (rc != rows[i].rc && !(rows[i].rc == RC_VALUE && rc != RC_OK))
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(needed(r), rc == RC_OK ? 3 : 4);
    }
    /* Of an object that nobody knows: no harm, and nothing is opened. */
    struct cut other = cut_new(OBJECT_PACKAGE, 3000, 300, 77);

    assert_rc(give_repair(r, &other, 0, 0, 0), RC_OK);
    assert_int_equal(needed(r), 3);
    cut_free(&other);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_k_of_each_group),
        cmocka_unit_test(restarts_lose_nothing),
        cmocka_unit_test(a_damaged_slot_is_one_repair_less),
        cmocka_unit_test(slots_of_another_object),
        cmocka_unit_test(a_wrong_repair),
        cmocka_unit_test(a_chunk_tells_the_wrong_repair),
        cmocka_unit_test(a_wrong_repair_of_any_group),
        cmocka_unit_test(two_wrong_repairs),
        cmocka_unit_test(what_decays_is_told_apart),
        cmocka_unit_test(a_chunk_ends_a_wrong_repair),
        cmocka_unit_test(refused_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
