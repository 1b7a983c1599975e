/* SPDX-License-Identifier: Apache-2.0
 *
 * link/receiver: chunks in any order, restarts, damage in the spool, and its bounds.
 */
#include "tests/unit/link_cut.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/bad_block.h"

static struct receiver *open_receiver(int dirfd, uint64_t quota)
{
    const struct receiver_options options = { .quota = quota, .stale_ms = 1000 };
    struct receiver *r = NULL;
    struct err err;

    assert_rc(receiver_open(dirfd, &options, 0, &r, &err), RC_OK);
    return r;
}

static void commit(struct receiver *r)
{
    struct err err;

    assert_rc(receiver_commit(r, &err), RC_OK);
}

/* Whether the only ready object is this one, byte for byte. */
static void assert_ready(struct receiver *r, const struct link_object *o)
{
    struct port_object ready = { 0 };
    struct err err;
    int fd = -1;

    assert_true(receiver_ready(r, 0, &ready));
    assert_false(receiver_ready(r, 1, &ready));
    assert_memory_equal(ready.digest, o->object.digest, DIGEST_SIZE);
    assert_int_equal(ready.kind, o->object.kind);
    assert_true(ready.size == o->object.size);
    assert_rc(receiver_open_object(r, ready.digest, &fd, &err), RC_OK);
    assert_true(link_object_is(o, fd));
    close_fd(&fd);
}

static const char *hex_name(const struct cut *c, const char *dir, const char *suffix)
{
    static char name[160];
    char hex[2 * DIGEST_SIZE + 1];

    snprintf(name, sizeof name, "%s/%s.%s", dir,
             bytes_hex((struct bytes){ c->o.object.digest, DIGEST_SIZE }, hex), suffix);
    return name;
}

static void any_order_with_restarts(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 10 * 1024 - 7, 1024, 1);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    struct port_object ready;
    struct err err;

    (void)state;
    /* Two chunks before anything is known of the object: held, and reported as such. */
    assert_rc(give_chunk(r, &c, 9, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 2, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 1);
    assert_int_equal(status.transfer[0].chunks, 0);
    uint64_t version = receiver_version(r);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    assert_true(receiver_version(r) != version);
    commit(r);
    receiver_status(r, &status);
    assert_int_equal(status.transfer[0].chunks, 10);
    assert_int_equal(status.transfer[0].n_missing, 2);
    assert_int_equal(status.transfer[0].missing[0].first, 0);
    assert_int_equal(status.transfer[0].missing[0].count, 2);
    assert_int_equal(status.transfer[0].missing[1].first, 3);
    assert_int_equal(status.transfer[0].missing[1].count, 6);
    for (uint32_t i = 9; i-- > 0;) {
        receiver_close(&r);
        r = open_receiver(t.fd, 0);
        assert_false(receiver_ready(r, 0, &ready));
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
        commit(r);
    }
    assert_ready(r, &c.o);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    assert_ready(r, &c.o); /* offered until it is done */
    assert_int_equal(faccessat(t.fd, hex_name(&c, "partial", "desc"), F_OK, 0), -1);
    assert_rc(receiver_done(r, c.o.object.digest, &err), RC_OK);
    assert_rc(receiver_done(r, c.o.object.digest, &err), RC_NOT_FOUND);
    receiver_close(&r);

    /* Late duplicates start nothing; a higher serial does. */
    r = open_receiver(t.fd, 0);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 0, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 0);
    assert_int_equal(status.n_complete, 1);
    assert_memory_equal(status.complete[0], c.o.object.digest, DIGEST_SIZE);
    c.o.object.serial++;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 1);
    assert_int_equal(status.n_complete, 0);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

static void wrong_chunks(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 1);
    struct cut other = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 2);
    struct receiver *r = open_receiver(t.fd, 0);
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    memcpy(other.o.object.digest, c.o.object.digest, DIGEST_SIZE);
    assert_rc(give_chunk(r, &other, 1, 0), RC_CHUNK_DIGEST); /* another object's bytes */
    other.chunk_size = 1000;
    assert_rc(give_chunk(r, &other, 1, 0), RC_TRANSFER_FORMAT);
    struct transfer_message m = { .type = TRANSFER_CHUNK };

    m.chunk = (struct transfer_chunk){ .index = 4, .data = { c.o.bytes, 1024 } };
    memcpy(m.chunk.object, c.o.object.digest, DIGEST_SIZE);
    assert_rc(give(r, &m, 0), RC_TRANSFER_FORMAT); /* beyond the object */
    assert_rc(receiver_take(r, "", bytes_of("\x01"), 0, &err), RC_CBOR_TYPE);
    struct link_object report = link_object_new(OBJECT_REPORT, 10, 3);

    assert_rc(give_inline(r, &report, 0), RC_OBJECT_KIND);
    for (uint32_t i = 0; i < 4; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    commit(r);
    assert_ready(r, &c.o);
    receiver_close(&r);
    free(report.bytes);
    cut_free(&c);
    cut_free(&other);
    link_tmp_free(&t);
}

/* Chunks of one index and different bytes: only bytes that match count, in whatever order they
 * come, before the descriptor and behind it. */
static void two_chunks_of_one_index(void **state)
{
    enum { GOOD, BAD };
    static const struct {
        const char *why;
        bool before; /* the descriptor */
        int first, second;
        enum rc rc_first, rc_second;
        uint32_t missing; /* afterwards, of four */
    } rows[] = {
        { "wrong, then right", false, BAD, GOOD, RC_CHUNK_DIGEST, RC_OK, 3 },
        { "right, then wrong", false, GOOD, BAD, RC_OK, RC_OK, 3 }, /* not looked at any more */
        { "wrong, then wrong", false, BAD, BAD, RC_CHUNK_DIGEST, RC_CHUNK_DIGEST, 4 },
        { "before: wrong, then right", true, BAD, GOOD, RC_OK, RC_OK, 3 },
        { "before: right, then wrong", true, GOOD, BAD, RC_OK, RC_OK, 4 }, /* the newer is held */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        struct cut c[2] = { [GOOD] = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 1),
                            [BAD] = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 2) };
        struct receiver *r = open_receiver(t.fd, 0);
        struct port_transfers status;

        memcpy(c[BAD].o.object.digest, c[GOOD].o.object.digest, DIGEST_SIZE);
        if (!rows[i].before)
            assert_rc(give_descriptor(r, &c[GOOD], 0), RC_OK);
        enum rc first = give_chunk(r, &c[rows[i].first], 2, 0);
        enum rc second = give_chunk(r, &c[rows[i].second], 2, 0);
        if (first != rows[i].rc_first || second != rows[i].rc_second)
            fail_msg("%s: %s, %s", rows[i].why, rc_name(first), rc_name(second));
        if (rows[i].before)
            assert_rc(give_descriptor(r, &c[GOOD], 0), RC_OK);
        receiver_status(r, &status);
        uint32_t missing = 0;
        for (uint32_t k = 0; k < status.transfer[0].n_missing; k++)
            missing += status.transfer[0].missing[k].count;
        if (missing != rows[i].missing)
            fail_msg("%s: %u missing", rows[i].why, missing);
        for (uint32_t k = 0; k < 4; k++)
            assert_rc(give_chunk(r, &c[GOOD], k, 0), RC_OK);
        commit(r);
        assert_ready(r, &c[GOOD].o);
        receiver_close(&r);
        cut_free(&c[GOOD]);
        cut_free(&c[BAD]);
        link_tmp_free(&t);
    }
}

/* What lies in the spool is believed only as far as it hashes. */
static void damaged_spool(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 8 * 1024, 1024, 1);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    struct port_object ready;
    struct err err = { 0 };

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 6; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    commit(r);
    receiver_close(&r);
    link_flip(t.fd, hex_name(&c, "partial", "part"), 2500);
    r = open_receiver(t.fd, 0);
    receiver_status(r, &status);
    assert_int_equal(status.transfer[0].n_missing, 2);
    assert_int_equal(status.transfer[0].missing[0].first, 2);
    assert_int_equal(status.transfer[0].missing[0].count, 1);
    for (uint32_t i = 2; i < 8; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    /* Flipped after it was checked: the whole does not match, and one chunk is missing again. */
    link_flip(t.fd, hex_name(&c, "partial", "part"), 7000);
    assert_rc(receiver_commit(r, &err), RC_OBJECT_DIGEST);
    receiver_status(r, &status);
    assert_int_equal(status.transfer[0].n_missing, 1);
    assert_int_equal(status.transfer[0].missing[0].first, 6);
    assert_rc(give_chunk(r, &c, 6, 0), RC_OK);
    commit(r);
    assert_ready(r, &c.o);
    receiver_close(&r);

    /* Killed between the last chunk and the end of the batch: the next end completes it. */
    struct cut last = cut_new(OBJECT_PACKAGE, 3 * 1024, 1024, 5);

    r = open_receiver(t.fd, 0);
    assert_rc(receiver_done(r, c.o.object.digest, &err), RC_OK);
    assert_rc(give_descriptor(r, &last, 0), RC_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_rc(give_chunk(r, &last, i, 0), RC_OK);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    commit(r);
    assert_ready(r, &last.o);
    receiver_close(&r);

    link_flip(t.fd, hex_name(&last, "ready", "4.0000000000000001"), 100);
    r = open_receiver(t.fd, 0);
    assert_false(receiver_ready(r, 0, &ready));
    assert_true(receiver_note(r, &err));
    assert_int_equal(err.rc, RC_OBJECT_DIGEST);
    assert_false(receiver_note(r, &err));
    receiver_close(&r);

    /* Junk of every kind goes; a damaged descriptor takes its object along. */
    r = open_receiver(t.fd, 0);
    c.o.object.serial++;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    commit(r);
    receiver_close(&r);
    link_flip(t.fd, hex_name(&c, "partial", "desc"), 20);
    assert_rc(fs_write_file(t.fd, "partial/junk", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(t.fd, "ready/junk", bytes_of("x"), 0600, &err), RC_OK);
    assert_int_equal(symlinkat("/etc/passwd", t.fd, hex_name(&c, "ready", "3.0000000000000001")),
                     0);
    r = open_receiver(t.fd, 0);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 0);
    assert_int_equal(status.n_complete, 1); /* done under its first serial */
    assert_int_equal(faccessat(t.fd, "partial/junk", F_OK, 0), -1);
    assert_int_equal(faccessat(t.fd, "ready/junk", F_OK, 0), -1);
    assert_int_equal(faccessat(t.fd, hex_name(&c, "partial", "part"), F_OK, 0), -1);
    assert_int_equal(faccessat(t.fd, "/etc/passwd", F_OK, 0), 0);
    receiver_close(&r);
    cut_free(&last);
    cut_free(&c);
    link_tmp_free(&t);
}

/* A descriptor whose chunks match and whose whole does not: a lie, dropped. */
static void lying_descriptor(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 2048, 1024, 1);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    struct port_object ready;
    struct err err;

    (void)state;
    c.o.object.digest[5] ^= 1;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 0, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 1, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OBJECT_DIGEST);
    assert_false(receiver_ready(r, 0, &ready));
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 0);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

static void cut_in_another_way(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut a = cut_new(OBJECT_PACKAGE, 4096, 1024, 1),
               b = cut_new(OBJECT_PACKAGE, 4096, 512, 1);
    struct receiver *r = open_receiver(t.fd, 0);

    (void)state;
    assert_rc(give_descriptor(r, &a, 0), RC_OK);
    assert_rc(give_chunk(r, &a, 0, 0), RC_OK);
    assert_rc(give_descriptor(r, &b, 0), RC_OK); /* the ground starts again with smaller chunks */
    for (uint32_t i = 0; i < 8; i++)
        assert_rc(give_chunk(r, &b, i, 0), RC_OK);
    commit(r);
    assert_ready(r, &b.o);
    receiver_close(&r);
    cut_free(&a);
    cut_free(&b);
    link_tmp_free(&t);
}

/* Objects, bytes and early chunks are bounded; packages leave room for documents; what is stale
 * goes when room is needed. */
static void bounds(void **state)
{
    enum { N = RECEIVER_OBJECTS_MAX + 1 };
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 70000);
    struct cut c[N];
    struct port_transfers status;
    struct cut big = cut_new(OBJECT_PACKAGE, 62000, 4096, 99);
    struct cut fits = cut_new(OBJECT_ROOT, 62000, 4096, 98);
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &big, 0), RC_SPOOL_FULL); /* 7/8 of the quota for packages */
    assert_rc(give_descriptor(r, &fits, 0), RC_OK);
    receiver_close(&r);
    link_tmp_free(&t);

    t = link_tmp_new();
    r = open_receiver(t.fd, 0);
    for (size_t i = 0; i < N; i++)
        c[i] = cut_new(i < 13 ? OBJECT_PACKAGE : OBJECT_ROOT, 600, 512, 100 + i);
    for (size_t i = 0; i < 12; i++)
        assert_rc(give_descriptor(r, &c[i], i), RC_OK);
    assert_rc(give_descriptor(r, &c[12], 500), RC_SPOOL_FULL);
    for (size_t i = 13; i < N; i++)
        assert_rc(give_descriptor(r, &c[i], 500), RC_OK);
    assert_rc(give_chunk(r, &c[0], 0, 900), RC_OK); /* moves */
    assert_rc(give_descriptor(r, &c[12], 1001), RC_OK);
    assert_true(receiver_note(r, &err));
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, RECEIVER_OBJECTS_MAX);
    for (size_t i = 0; i < status.n_transfers; i++)
        assert_memory_not_equal(status.transfer[i].object, c[1].o.object.digest, DIGEST_SIZE);
    receiver_close(&r);
    r = open_receiver(t.fd, 0); /* all of that survives a restart */
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, RECEIVER_OBJECTS_MAX);
    receiver_close(&r);
    link_tmp_free(&t);

    /* 3 MB of early chunks: only the newest are held, and the rest is asked for. */
    t = link_tmp_new();
    r = open_receiver(t.fd, 0);
    struct cut many = cut_new(OBJECT_PACKAGE, 3 * 1024 * 1024, 32768, 7);

    for (uint32_t i = 0; i < many.chunks; i++)
        assert_rc(give_chunk(r, &many, i, 0), RC_OK);
    assert_rc(give_descriptor(r, &many, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.transfer[0].n_missing, 1);
    assert_int_equal(status.transfer[0].missing[0].count,
                     many.chunks - RECEIVER_EARLY_BYTES / 32768);
    receiver_close(&r);
    link_tmp_free(&t);
    for (size_t i = 0; i < N; i++)
        cut_free(&c[i]);
    cut_free(&big);
    cut_free(&fits);
    cut_free(&many);
}

/* Every second chunk of a long object: as many ranges as fit, and "more". */
static void many_ranges(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 500 * 256, 256, 1);
    struct receiver *r = open_receiver(t.fd, 0);
    static struct port_message m, out;
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < c.chunks; i += 2)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    m.type = PORT_TRANSFERS;
    receiver_status(r, &m.transfers);
    assert_int_equal(m.transfers.transfer[0].n_missing, PORT_RANGES_MAX);
    assert_int_equal(m.transfers.transfer[0].more, 1);
    /* And the port lets it pass. */
    struct bytes raw = { (const uint8_t *)&m,
                         offsetof(struct port_message, transfers) + sizeof m.transfers };

    assert_rc(port_check(raw, PORT_FROM_LINK, 0, &out, &err), RC_OK);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

/* More objects than are remembered: the list stays bounded, the newest stay known. */
static void done_list(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    struct port_object ready;
    struct link_object o = { 0 };
    struct err err;

    (void)state;
    for (uint64_t i = 0; i < DONE_MAX + 20; i++) {
        free(o.bytes);
        o = link_object_new(OBJECT_ORDER, 20, 1000 + i);
        assert_rc(give_inline(r, &o, 0), RC_OK);
        assert_true(receiver_ready(r, 0, &ready));
        assert_rc(receiver_done(r, o.object.digest, &err), RC_OK);
    }
    receiver_status(r, &status);
    assert_int_equal(status.n_complete, PORT_COMPLETE_MAX);
    assert_memory_equal(status.complete[PORT_COMPLETE_MAX - 1], o.object.digest, DIGEST_SIZE);
    receiver_close(&r);
    /* Both copies damaged: said, and not fatal. */
    link_flip(t.fd, "done.a", 40);
    link_flip(t.fd, "done.b", 40);
    r = open_receiver(t.fd, 0);
    assert_true(receiver_note(r, &err));
    assert_int_equal(err.rc, RC_STATE_DAMAGED);
    assert_rc(give_inline(r, &o, 0), RC_OK);
    assert_ready(r, &o);
    assert_rc(receiver_done(r, o.object.digest, &err), RC_OK);
    receiver_close(&r);
    free(o.bytes);
    link_tmp_free(&t);
}

/* The list of what is done cannot be written: the object makes room nevertheless. */
static void done_without_list(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct link_object o = link_object_new(OBJECT_ORDER, 20, 1);
    uint64_t files = 0;
    struct err err;

    (void)state;
    assert_rc(give_inline(r, &o, 0), RC_OK);
    assert_int_equal(mkdirat(t.fd, "done.a", 0700), 0);
    assert_rc(receiver_done(r, o.object.digest, &err), RC_STATE_DAMAGED);
    assert_rc(fs_tree_usage(t.fd, "ready", NULL, &files, &err), RC_OK);
    assert_int_equal(files, 0);
    receiver_close(&r);
    free(o.bytes);
    link_tmp_free(&t);
}

/* Whoever holds the link keys announces what never comes: an order still gets through, and what
 * lies there does not lie for ever, however often the satellite restarts. */
static void documents_get_through(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct cut huge = cut_new(OBJECT_ORDER, DOCUMENT_MAX + 1, 4096, 1);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 2);
    struct port_transfers status;

    (void)state;
    assert_rc(give_descriptor(r, &huge, 0), RC_TOO_LARGE);
    for (uint64_t i = 0; i < RECEIVER_OBJECTS_MAX; i++) {
        struct cut c = cut_new(i < 12 ? OBJECT_PACKAGE : OBJECT_ROOT, 600, 512, 100 + i);

        assert_rc(give_descriptor(r, &c, 0), RC_OK);
        cut_free(&c);
    }
    assert_rc(give_inline(r, &order, 0), RC_OK);
    assert_ready(r, &order);
    receiver_close(&r);

    struct cut next = cut_new(OBJECT_PACKAGE, 600, 512, 200);

    r = open_receiver(t.fd, 0); /* stale after 1000 ms, or a 24th of that since the start */
    assert_rc(give_descriptor(r, &next, 20), RC_SPOOL_FULL);
    assert_rc(give_descriptor(r, &next, 50), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, RECEIVER_OBJECTS_MAX);
    receiver_close(&r);
    cut_free(&huge);
    cut_free(&next);
    free(order.bytes);
    link_tmp_free(&t);
}

/* A descriptor that is refused leaves what has come of the object. */
static void refusal_changes_nothing(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 100000);
    struct cut c = cut_new(OBJECT_PACKAGE, 2048, 1024, 1),
               liar = cut_new(OBJECT_PACKAGE, 200000, 1024, 1);
    struct port_transfers status;

    (void)state;
    memcpy(liar.o.object.digest, c.o.object.digest, DIGEST_SIZE);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 0, 0), RC_OK);
    assert_rc(give_descriptor(r, &liar, 0), RC_SPOOL_FULL);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 1);
    assert_int_equal(status.transfer[0].chunks, 2);
    assert_int_equal(status.transfer[0].missing[0].first, 1);
    receiver_close(&r);
    cut_free(&c);
    cut_free(&liar);
    link_tmp_free(&t);
}

/* Queued anew while it is under way: it is done under the new serial, and stays done. */
static void queued_anew_under_way(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct cut c = cut_new(OBJECT_PACKAGE, 1024, 1024, 1);
    struct port_transfers status;
    struct err err;

    (void)state;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    c.o.object.serial = 7;
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 0, 0), RC_OK);
    commit(r);
    assert_rc(receiver_done(r, c.o.object.digest, &err), RC_OK);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 0);
    assert_int_equal(status.n_complete, 1);
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

/* Somebody with the link keys sends an order's bytes as a grant, under the highest serial there is:
 * the order itself is still taken, also after a restart. */
static void done_as_another_kind(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_receiver(t.fd, 0);
    struct link_object o = link_object_new(OBJECT_GRANT, 20, 1);
    struct port_object ready;
    struct err err;

    (void)state;
    o.object.serial = UINT64_MAX;
    assert_rc(give_inline(r, &o, 0), RC_OK);
    assert_rc(receiver_done(r, o.object.digest, &err), RC_OK);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    assert_rc(give_inline(r, &o, 0), RC_OK);
    assert_false(receiver_ready(r, 0, &ready));
    o.object.kind = OBJECT_ORDER;
    o.object.serial = 1;
    assert_rc(give_inline(r, &o, 0), RC_OK);
    assert_ready(r, &o);
    receiver_close(&r);
    r = open_receiver(t.fd, 0);
    assert_ready(r, &o);
    receiver_close(&r);
    free(o.bytes);
    link_tmp_free(&t);
}

/* ---- damage while it runs ----------------------------------------------------------------------
 */

static struct scrubbed scrub(struct receiver *r)
{
    struct scrubbed count = { 0 };
    struct err err;

    assert_rc(receiver_scrub(r, &count, &err), RC_OK);
    return count;
}

/* A file with the object's bytes, the caller's to close. */
static int copy_of(const struct cut *c)
{
    int fd = memfd_create("copy", MFD_CLOEXEC);
    struct err err;

    assert_rc(fs_write_all(fd, (struct bytes){ c->o.bytes, c->o.object.size }, &err), RC_OK);
    return fd;
}

/* A damaged copy of 1 MiB with one flipped bit: the offer, and one chunk, and it is whole. */
static void a_damaged_copy_saves_all_but_one_chunk(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 1 << 20, 16384, 5);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    const off_t at = 40 * 16384 + 77;

    (void)state;
    for (int late = 0; late < 2; late++) { /* the copy before the offer, and behind it */
        int fd = copy_of(&c);
        uint8_t bad = (uint8_t)(c.o.bytes[at] ^ 1U);

        assert_int_equal(pwrite(fd, &bad, 1, at), 1);
        c.o.object.serial++;
        if (late)
            assert_rc(give_descriptor(r, &c, 0), RC_OK);
        receiver_seed(r, c.o.object.digest, fd, 0);
        if (!late)
            assert_rc(give_descriptor(r, &c, 0), RC_OK);
        receiver_status(r, &status);
        assert_int_equal(status.n_transfers, 1);
        assert_int_equal(status.transfer[0].n_missing, 1);
        assert_int_equal(status.transfer[0].missing[0].first, 40);
        assert_int_equal(status.transfer[0].missing[0].count, 1);
        commit(r);
        assert_rc(give_chunk(r, &c, 40, 0), RC_OK);
        commit(r);
        assert_ready(r, &c.o);
        struct err err;
        assert_rc(receiver_done(r, c.o.object.digest, &err), RC_OK);
    }
    receiver_close(&r);
    cut_free(&c);
    link_tmp_free(&t);
}

/* A copy of something else, shorter, or more of them than are held: nothing wrong is taken. */
static void a_wrong_copy_is_no_harm(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 8 * 1024, 1024, 5);
    struct cut other = cut_new(OBJECT_PACKAGE, 3 * 1024 + 1, 1024, 6);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;

    (void)state;
    receiver_seed(r, c.o.object.digest, copy_of(&other), 0);
    for (uint8_t i = 0; i < 2 * RECEIVER_SEEDS_MAX; i++)
        receiver_seed(r, (uint8_t[DIGEST_SIZE]){ i, 7 }, copy_of(&other), 0);
    receiver_seed(r, c.o.object.digest, copy_of(&other), 0);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.transfer[0].missing[0].count, 8);
    receiver_close(&r);
    cut_free(&c);
    cut_free(&other);
    link_tmp_free(&t);
}

static bool is_held(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* What is held of damaged copies has no name any more, but takes room all the same: it is bounded,
 * it makes way for what comes, and it does not stay for ever. */
static void copies_are_bounded(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut large = cut_new(OBJECT_PACKAGE, 10 * 1024, 1024, 5);
    struct cut small = cut_new(OBJECT_PACKAGE, 6 * 1024, 1024, 6);
    struct cut package = cut_new(OBJECT_PACKAGE, 30 * 1024, 1024, 7);
    struct receiver *r = open_receiver(t.fd, 40 * 1024);
    int pipes[2];

    (void)state;
    int fd = copy_of(&large), other = copy_of(&small);
    receiver_seed(r, large.o.object.digest, fd, 0);
    assert_true(is_held(fd));
    receiver_seed(r, small.o.object.digest, other, 0); /* a quarter of the quota, for all */
    assert_true(is_held(other) && !is_held(fd));
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    receiver_seed(r, large.o.object.digest, pipes[0], 0);
    assert_false(is_held(pipes[0]));
    int huge = copy_of(&package);
    receiver_seed(r, package.o.object.digest, huge, 0);
    assert_true(!is_held(huge) && is_held(other));

    receiver_age(r, 999);
    assert_true(is_held(other));
    receiver_age(r, 1000);
    assert_false(is_held(other));

    struct stat before = { 0 }, after = { 0 };
    fd = copy_of(&small);
    assert_int_equal(fstat(fd, &before), 0);
    receiver_seed(r, small.o.object.digest, fd, 0);
    assert_rc(give_descriptor(r, &package, 0), RC_OK); /* it needs all that packages may take */
    if (fstat(fd, &after) == 0)                        /* the number may have been used again */
        assert_true(after.st_dev != before.st_dev || after.st_ino != before.st_ino);
    close_fd(&pipes[1]);
    receiver_close(&r);
    cut_free(&large);
    cut_free(&small);
    cut_free(&package);
    link_tmp_free(&t);
}

/* Places, not bytes, are all taken: damaged copies would free none, and stay. */
static void copies_stay_where_places_lack(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut damaged = cut_new(OBJECT_PACKAGE, 6 * 1024, 1024, 5);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    struct cut c[13];

    (void)state;
    receiver_seed(r, damaged.o.object.digest, copy_of(&damaged), 0);
    for (size_t i = 0; i < 13; i++)
        c[i] = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 100 + i);
    for (size_t i = 0; i < 12; i++)
        assert_rc(give_descriptor(r, &c[i], i), RC_OK);
    assert_rc(give_descriptor(r, &c[12], 500), RC_SPOOL_FULL);
    assert_rc(give_descriptor(r, &c[12], 1000), RC_OK); /* the first has not moved for long */
    assert_rc(give_descriptor(r, &damaged, 1001), RC_OK);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 12);
    for (uint32_t i = 0; i < status.n_transfers; i++)
        if (memcmp(status.transfer[i].object, damaged.o.object.digest, DIGEST_SIZE) == 0)
            assert_int_equal(status.transfer[i].n_missing, 0); /* all of it from the copy */
        else
            assert_int_equal(status.transfer[i].n_missing, 1);
    commit(r);
    assert_ready(r, &damaged.o);
    receiver_close(&r);
    for (size_t i = 0; i < 13; i++)
        cut_free(&c[i]);
    cut_free(&damaged);
    link_tmp_free(&t);
}

/* Flipped bits in a .part, a .desc, a ready object and the list of done ones: each found, and after
 * it the story goes on as if it had not been. */
static void scrub_finds_every_file(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct cut c = cut_new(OBJECT_PACKAGE, 8 * 1024, 1024, 5);
    struct cut whole = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, 6);
    struct receiver *r = open_receiver(t.fd, 0);
    struct port_transfers status;
    char name[160], hex[2 * DIGEST_SIZE + 1];
    struct err err;

    (void)state;
    struct link_object small = link_object_new(OBJECT_ORDER, 300, 7);

    assert_int_equal(scrub(r).files, 0);
    assert_rc(give_inline(r, &small, 0), RC_OK);
    commit(r);
    assert_rc(receiver_done(r, small.object.digest, &err), RC_OK);
    assert_rc(give_descriptor(r, &whole, 0), RC_OK);
    for (uint32_t i = 0; i < 4; i++)
        assert_rc(give_chunk(r, &whole, i, 0), RC_OK);
    commit(r);
    assert_rc(receiver_done(r, whole.o.object.digest, &err), RC_OK);
    whole.o.object.serial++;
    assert_rc(give_descriptor(r, &whole, 0), RC_OK);
    for (uint32_t i = 0; i < 4; i++)
        assert_rc(give_chunk(r, &whole, i, 0), RC_OK);
    assert_rc(give_descriptor(r, &c, 0), RC_OK);
    for (uint32_t i = 0; i < 6; i++)
        assert_rc(give_chunk(r, &c, i, 0), RC_OK);
    commit(r);
    assert_int_equal(scrub(r).damaged, 0);

    link_flip(t.fd, hex_name(&c, "partial", "part"), 2050);
    link_flip(t.fd, hex_name(&c, "partial", "desc"), 9);
    link_flip(t.fd, "done.a", 40);
    (void)snprintf(name, sizeof name, "ready/%s.%u.%016llx",
                   bytes_hex((struct bytes){ whole.o.object.digest, DIGEST_SIZE }, hex),
                   whole.o.object.kind, (unsigned long long)whole.o.object.serial);
    link_flip(t.fd, name, 1000);
    struct scrubbed count = scrub(r);
    assert_int_equal(count.damaged, 4);
    assert_int_equal(count.repaired, 4);
    assert_true(receiver_note(r, &err));
    assert_rc(err.rc, RC_OBJECT_DIGEST);
    assert_int_equal(scrub(r).damaged, 0);
    receiver_status(r, &status);
    assert_int_equal(status.n_transfers, 1);
    assert_int_equal(status.transfer[0].missing[0].first, 2);
    assert_int_equal(status.transfer[0].missing[0].count, 1);

    receiver_close(&r); /* and the descriptor on disk is the right one again */
    r = open_receiver(t.fd, 0);
    assert_rc(give_chunk(r, &c, 2, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 6, 0), RC_OK);
    assert_rc(give_chunk(r, &c, 7, 0), RC_OK);
    commit(r);
    assert_ready(r, &c.o);
    receiver_close(&r);
    free(small.bytes);
    cut_free(&c);
    cut_free(&whole);
    link_tmp_free(&t);
}

/* Chunks that are there of an object under way. */
static uint32_t chunks_of(struct receiver *r, const struct cut *c)
{
    struct port_transfers status;
    uint32_t n = 0;

    receiver_status(r, &status);
    for (uint32_t i = 0; i < status.n_transfers; i++) {
        if (memcmp(status.transfer[i].object, c->o.object.digest, DIGEST_SIZE) != 0)
            continue;
        n = status.transfer[i].chunks;
        for (uint32_t k = 0; k < status.transfer[i].n_missing; k++)
            n -= status.transfer[i].missing[k].count;
    }
    return n;
}

static uint32_t count_ready(struct receiver *r)
{
    struct port_object ready;
    uint32_t n = 0;

    while (receiver_ready(r, n, &ready))
        n++;
    return n;
}

/* Two objects under way and two that are complete, in a new spool. */
static void fill_spool(int dirfd, const struct cut c[4])
{
    struct receiver *r = open_receiver(dirfd, 0);

    for (uint32_t i = 0; i < 4; i++) {
        assert_rc(give_descriptor(r, &c[i], 0), RC_OK);
        for (uint32_t k = 0; k < (i < 2 ? 3 : 4); k++)
            assert_rc(give_chunk(r, &c[i], k, 0), RC_OK);
    }
    commit(r);
    assert_int_equal(count_ready(r), 2);
    receiver_close(&r);
}

/* A start that cannot read a directory of the spool to its end is one: it tells, takes what comes,
 * and removes nothing that it has not seen; a start that can read it finds all of it. */
static void a_bad_block_is_no_reason_to_stop(void **state)
{
    static const struct {
        const char *dir;
        size_t names;
        const char *lost;
        uint32_t ready; /* of two */
    } rows[] = {
        { "partial", 0, NULL, 2 }, { "partial", 1, NULL, 2 },     { "partial", 2, NULL, 2 },
        { "partial", 3, NULL, 2 }, { "partial", 99, ".desc", 2 }, { "partial", 99, ".part", 2 },
        { "ready", 0, NULL, 0 },   { "ready", 1, NULL, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        struct cut c[5];
        struct err note = { 0 };
        char spare[32];

        for (uint32_t k = 0; k < 5; k++)
            c[k] = cut_new(OBJECT_PACKAGE, 4 * 1024, 1024, k + 1);
        fill_spool(t.fd, c);
        assert_true(bad_block_at(t.fd, rows[i].dir, rows[i].names));
        bad_block.lost = rows[i].lost;
        struct receiver *r = open_receiver(t.fd, 0);
        assert_true(receiver_note(r, &note));
        assert_rc(note.rc, RC_STATE_DIR);
        assert_string_equal(note.what, rows[i].dir);
        assert_int_equal(count_ready(r), rows[i].ready);
        assert_rc(give_descriptor(r, &c[4], 0), RC_OK);
        for (uint32_t k = 0; k < 4; k++)
            assert_rc(give_chunk(r, &c[4], k, 0), RC_OK);
        commit(r);
        assert_int_equal(count_ready(r), rows[i].ready + 1);
        assert_rc(receiver_done(r, c[4].o.object.digest, &note), RC_OK);
        receiver_close(&r);
        snprintf(spare, sizeof spare, "%s.spare", rows[i].dir);
        assert_int_equal(faccessat(t.fd, spare, F_OK, 0), rows[i].names == 0 ? 0 : -1);

        bad_block.on = false;
        r = open_receiver(t.fd, 0);
        assert_false(receiver_note(r, &note));
        assert_int_equal(chunks_of(r, &c[0]), 3);
        assert_int_equal(chunks_of(r, &c[1]), 3);
        assert_int_equal(count_ready(r), 2);
        assert_int_equal(faccessat(t.fd, spare, F_OK, 0), -1);
        receiver_close(&r);
        for (uint32_t k = 0; k < 5; k++)
            cut_free(&c[k]);
        link_tmp_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_copy_saves_all_but_one_chunk),
        cmocka_unit_test(a_wrong_copy_is_no_harm),
        cmocka_unit_test(copies_are_bounded),
        cmocka_unit_test(copies_stay_where_places_lack),
        cmocka_unit_test(scrub_finds_every_file),
        cmocka_unit_test(any_order_with_restarts),
        cmocka_unit_test(wrong_chunks),
        cmocka_unit_test(two_chunks_of_one_index),
        cmocka_unit_test(damaged_spool),
        cmocka_unit_test(lying_descriptor),
        cmocka_unit_test(cut_in_another_way),
        cmocka_unit_test(bounds),
        cmocka_unit_test(many_ranges),
        cmocka_unit_test(done_list),
        cmocka_unit_test(done_without_list),
        cmocka_unit_test(done_as_another_kind),
        cmocka_unit_test(documents_get_through),
        cmocka_unit_test(refusal_changes_nothing),
        cmocka_unit_test(queued_anew_under_way),
        cmocka_unit_test(a_bad_block_is_no_reason_to_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
