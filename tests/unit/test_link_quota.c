/* SPDX-License-Identifier: Apache-2.0
 *
 * link/quota: who makes room for whom, over random arrivals; the same in a real spool, with
 * restarts; and what is counted.
 */
#include "tests/unit/link_cut.h"

#include "link/mail.h"
#include "link/quota.h"

/* ---- random arrivals --------------------------------------------------------------------------
 */

#define KIB 1024U
#define THERE_MAX 64U

static const struct quota_limits limits = { .bytes = 1024 * KIB,
                                            .bulk_bytes = 896 * KIB,
                                            .way = 16,
                                            .bulk_way = 12,
                                            .all = 32,
                                            .bulk_all = 16,
                                            .mails = 8 };

static const char *const tenants[] = { "",    "a", "bee", "cam", "dog", "eel",
                                       "fox", "g", "hen", "imp", "jay", "k9" };
#define TENANTS (sizeof tenants / sizeof tenants[0])

struct world {
    struct quota_item item[THERE_MAX];
    uint8_t digest[THERE_MAX][DIGEST_SIZE];
    size_t n;
    uint64_t seed, serial;
    uint64_t trace; /* of all that happened */
    uint32_t let_in, refused, dropped, within;
};

static uint64_t loaded(const struct world *w, const char *owner, bool bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < w->n; i++)
        if (quota_is_bulk(w->item[i].kind) && strcmp(w->item[i].owner, owner) == 0)
            sum += bytes ? w->item[i].bytes : 1;
    return sum;
}

/* Whether documents have no more than the places that bulk leaves them. */
static bool documents_are_few(const struct world *w)
{
    uint32_t way = 0, all = 0;

    for (size_t i = 0; i < w->n; i++) {
        all += !quota_is_bulk(w->item[i].kind);
        way += !quota_is_bulk(w->item[i].kind) && !w->item[i].whole;
    }
    return way <= limits.way - limits.bulk_way && all <= limits.all - limits.bulk_all;
}

static void take_away(struct world *w, size_t i)
{
    w->n--;
    w->item[i] = w->item[w->n];
    memcpy(w->digest[i], w->digest[w->n], DIGEST_SIZE);
    for (size_t k = 0; k < w->n; k++)
        w->item[k].digest = w->digest[k];
}

/* Who was dropped: never a document, never the one who comes, and never of a tenant that has no
 * more than its share of what was lacking. */
static void check_victim(const struct world *w, size_t victim, const struct quota_item *want,
                         enum quota_lack lack)
{
    const struct quota_item *v = &w->item[victim];

    assert_true(quota_is_bulk(v->kind) && quota_is_bulk(want->kind));
    assert_string_not_equal(v->owner, want->owner);
    if (lack == QUOTA_BYTES)
        assert_true(loaded(w, v->owner, true) > quota_share(&limits));
    else
        assert_true(loaded(w, v->owner, false) > 1);
    if (lack == QUOTA_WAY || v->kind == OBJECT_MAIL) /* whole mail: the ground was told */
        assert_false(v->whole);
    if (lack == QUOTA_MAILS)
        assert_int_equal(v->kind, OBJECT_MAIL);
}

static void check_totals(const struct world *w)
{
    uint64_t bytes = 0, bulk = 0;
    uint32_t way = 0, bulk_way = 0, bulk_all = 0, mails = 0;

    for (size_t i = 0; i < w->n; i++) {
        const bool is_bulk = quota_is_bulk(w->item[i].kind);

        bytes += w->item[i].bytes;
        bulk += is_bulk ? w->item[i].bytes : 0;
        way += !w->item[i].whole;
        bulk_way += is_bulk && !w->item[i].whole;
        bulk_all += is_bulk;
        mails += w->item[i].kind == OBJECT_MAIL;
    }
    assert_true(bytes <= limits.bytes && bulk <= limits.bulk_bytes);
    assert_true(way <= limits.way && bulk_way <= limits.bulk_way);
    assert_true(w->n <= limits.all && bulk_all <= limits.bulk_all && mails <= limits.mails);
}

static void arrive(struct world *w)
{
    static const uint32_t kinds[] = { OBJECT_PACKAGE, OBJECT_PACKAGE, OBJECT_MAIL, OBJECT_ORDER };
    const uint64_t r = link_random(&w->seed);
    struct quota_item want = { .owner = tenants[r % TENANTS],
                               .kind = kinds[(r >> 8) % 4],
                               .whole = (r >> 16) % 4 == 0,
                               .bytes =
                                   1 + (r >> 20) % ((r >> 56) % 3 == 0 ? 400 * KIB : 56 * KIB) };
    uint8_t digest[DIGEST_SIZE] = { 0 };
    enum quota_lack lack = QUOTA_FITS;

    if (!quota_is_bulk(want.kind)) {
        want.owner = "";
        want.bytes = 1 + (r >> 20) % KIB;
    }
    w->serial++;
    memcpy(digest, &w->serial, sizeof w->serial);
    want.digest = digest;
    want.have = want.whole ? want.bytes : (r >> 40) % want.bytes;
    const bool within = quota_is_bulk(want.kind) && loaded(w, want.owner, false) == 0 &&
                        want.bytes <= quota_share(&limits) && documents_are_few(w);

    while ((lack = quota_lacks(&limits, w->item, w->n, 0, &want)) != QUOTA_FITS) {
        size_t victim = quota_victim(&limits, w->item, w->n, &want, lack);

        if (victim == w->n)
            break;
        check_victim(w, victim, &want, lack);
        w->trace = w->trace * 31 + w->item[victim].bytes;
        take_away(w, victim);
        w->dropped++;
    }
    w->trace = w->trace * 31 + lack;
    w->within += within;
    if (lack == QUOTA_FITS) {
        memcpy(w->digest[w->n], digest, DIGEST_SIZE);
        w->item[w->n] = want;
        w->item[w->n].digest = w->digest[w->n];
        w->n++;
        w->let_in++;
    } else {
        w->refused++;
        if (within && lack != QUOTA_MAILS) /* fewer places for mail than tenants */
            fail_msg("%s was refused for want of %d", want.owner, lack);
    }
    check_totals(w);
}

static struct world run(uint64_t seed, uint32_t steps)
{
    struct world w = { .seed = seed * 2 + 1 };

    for (uint32_t i = 0; i < steps; i++) {
        arrive(&w);
        const uint64_t r = link_random(&w.seed);

        if (w.n > 0 && r % 4 == 0) { /* berthd is done with one, or one becomes complete */
            const size_t at = (r >> 8) % w.n;

            if (w.item[at].whole)
                take_away(&w, at);
            else
                w.item[at].whole = true;
        }
    }
    return w;
}

static void nobody_is_refused_for_others(void **state)
{
    uint32_t dropped = 0, refused = 0, within = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const struct world w = run(seed, 500), again = run(seed, 500);

        assert_true(w.trace == again.trace && w.n == again.n && w.dropped == again.dropped);
        dropped += w.dropped;
        refused += w.refused;
        within += w.within;
    }
    /* All of it has happened. */
    assert_true(dropped > 1000 && refused > 1000 && within > 1000);
}

/* What goes does not depend on the order in which the list is. */
static void victim_is_a_matter_of_what_is_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world w = run(seed, 100);
        const uint8_t digest[DIGEST_SIZE] = { 0xff };
        const struct quota_item want = {
            .owner = "newcomer", .digest = digest, .kind = OBJECT_PACKAGE, .bytes = 1000
        };
        static const enum quota_lack lacks[] = { QUOTA_WAY, QUOTA_PLACE, QUOTA_BYTES };

        for (size_t k = 0; k < 3; k++) {
            struct quota_item other[THERE_MAX];
            const size_t first = quota_victim(&limits, w.item, w.n, &want, lacks[k]);

            for (size_t i = 0; i < w.n; i++)
                other[i] = w.item[w.n - 1 - i];
            const size_t second = quota_victim(&limits, other, w.n, &want, lacks[k]);

            assert_int_equal(first == w.n, second == w.n);
            if (first < w.n)
                assert_ptr_equal(w.item[first].digest, other[second].digest);
        }
    }
}

static void order_of_victims(void **state)
{
    static const uint8_t d[6][DIGEST_SIZE] = { { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 6 } };
    struct quota_item item[] = {
        { "big", d[0], OBJECT_PACKAGE, true, 300 * KIB, 300 * KIB },
        { "big", d[1], OBJECT_MAIL, false, 100 * KIB, 0 },
        { "big", d[2], OBJECT_PACKAGE, false, 100 * KIB, 90 * KIB },
        { "big", d[3], OBJECT_PACKAGE, false, 100 * KIB, 10 * KIB },
        { "mid", d[4], OBJECT_PACKAGE, false, 200 * KIB, 0 },
        { "", d[5], OBJECT_ORDER, false, 60 * KIB, 0 },
    };
    static const size_t order[] = { 3, 2, 1, 0, 4 }; /* as they stand at the beginning */
    const struct quota_item want = { .owner = "new",
                                     .digest = (const uint8_t[DIGEST_SIZE]){ 9 },
                                     .kind = OBJECT_PACKAGE,
                                     .bytes = 1 };
    struct quota_item above = want, document = want;
    size_t n = sizeof item / sizeof item[0];

    (void)state;
    above.bytes = quota_share(&limits) + 1;
    document.kind = OBJECT_ORDER;
    assert_int_equal(quota_victim(&limits, item, n, &above, QUOTA_BYTES), n);
    assert_int_equal(quota_victim(&limits, item, n, &document, QUOTA_BYTES), n);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        size_t at = quota_victim(&limits, item, n, &want, QUOTA_BYTES);

        /* big has 600, 500, 400 KiB, mid 200: big stays ahead until its own 300 are left. */
        assert_true(at < n);
        assert_int_equal(item[at].digest[0], order[i] + 1);
        n--;
        memmove(&item[at], &item[at + 1], (n - at) * sizeof item[0]);
    }
    assert_int_equal(quota_victim(&limits, item, n, &want, QUOTA_BYTES), n); /* only a document */
}

/* ---- counts -----------------------------------------------------------------------------------
 */

static void counts_are_bounded(void **state)
{
    static struct port_transfers t;
    char name[NAME_CAP];
    uint32_t sum = 0;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "t%u", (i * 7919) % 1000);
        quota_count(&t.spool, name, (enum quota_reason)(i % QUOTA_REASONS));
        assert_true(t.spool.n <= PORT_SPOOL_MAX && port_transfers_ok(&t));
    }
    assert_int_equal(t.spool.n, PORT_SPOOL_MAX);
    assert_string_equal(t.spool.tenant[0].name, "");
    for (uint32_t i = 0; i < t.spool.n; i++)
        for (uint32_t k = 0; k < QUOTA_REASONS; k++)
            sum += t.spool.tenant[i].count[k];
    assert_int_equal(sum, 1000); /* nothing is lost */
    t.spool.tenant[0].count[0] = UINT32_MAX;
    quota_count(&t.spool, "", QUOTA_REFUSED_ROOM);
    assert_int_equal(t.spool.tenant[0].count[0], UINT32_MAX);
}

/* ---- in a spool -------------------------------------------------------------------------------
 */

#define QUOTA (1024U * KIB)
#define CHUNK (8U * KIB)

static enum rc announce(struct receiver *r, const char *key, const char *owner, const struct cut *c)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct transfer_message m = { .type = TRANSFER_DESCRIPTOR };
    struct bytes wire = { 0 };
    struct err err;

    m.descriptor = (struct transfer_descriptor){
        .kind = c->o.object.kind,
        .size = c->o.object.size,
        .serial = c->o.object.serial,
        .chunk_size = c->chunk_size,
        .chunks = c->chunks,
        .digests = { c->digests, (size_t)c->chunks * DIGEST_SIZE },
    };
    memcpy(m.descriptor.object, c->o.object.digest, DIGEST_SIZE);
    memcpy(m.descriptor.owner, owner, strlen(owner));
    assert_rc(transfer_encode(&m, buf, sizeof buf, &wire, &err), RC_OK);
    return receiver_take(r, key, wire, 0, &err);
}

static struct receiver *open_spool(int dirfd)
{
    const struct receiver_options options = { .quota = QUOTA };
    struct receiver *r = NULL;
    struct err err;

    assert_rc(receiver_open(dirfd, &options, 0, &r, &err), RC_OK);
    return r;
}

static bool is_there(const struct receiver *r, const struct cut *c)
{
    static struct port_transfers t;

    receiver_status(r, &t);
    for (uint32_t i = 0; i < t.n_transfers; i++)
        if (memcmp(t.transfer[i].object, c->o.object.digest, DIGEST_SIZE) == 0)
            return true;
    for (uint32_t i = 0; i < t.n_complete; i++)
        if (memcmp(t.complete[i], c->o.object.digest, DIGEST_SIZE) == 0)
            return true;
    return false;
}

static uint32_t counted(const struct receiver *r, const char *owner, enum quota_reason reason)
{
    static struct port_transfers t;

    receiver_status(r, &t);
    assert_true(port_transfers_ok(&t));
    for (uint32_t i = 0; i < t.spool.n; i++)
        if (strcmp(t.spool.tenant[i].name, owner) == 0)
            return t.spool.tenant[i].count[reason];
    return 0;
}

static void complete(struct receiver *r, const struct cut *c)
{
    struct err err;

    for (uint32_t i = 0; i < c->chunks; i++)
        assert_rc(give_chunk(r, c, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OK);
}

/* One tenant fills the spool, with objects half sent and one that is complete; others still get
 * what is theirs, before and after a restart. */
static void a_full_spool_opens_for_others(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut big[4], small[3], order = cut_new(OBJECT_ORDER, 40 * KIB, CHUNK, 90);
    static const char *const who[] = { "acme", "bee", "" };
    struct err note;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        big[i] = cut_new(OBJECT_PACKAGE, 220 * KIB, CHUNK, 10 + i);
        assert_rc(announce(r, "", "big", &big[i]), RC_OK);
        for (uint32_t k = 0; k < i; k++) /* the first has least */
            assert_rc(give_chunk(r, &big[i], k, 0), RC_OK);
    }
    complete(r, &big[3]);
    struct cut more = cut_new(OBJECT_PACKAGE, 50 * KIB, CHUNK, 20);

    assert_rc(announce(r, "", "big", &more), RC_SPOOL_FULL); /* above its share: takes nothing */
    assert_int_equal(counted(r, "big", QUOTA_REFUSED_ROOM), 1);
    for (uint32_t i = 0; i < 3; i++) {
        small[i] = cut_new(OBJECT_PACKAGE, 50 * KIB, CHUNK, 30 + i);
        receiver_close(&r); /* whose what is, is known again */
        r = open_spool(t.fd);
        assert_false(is_there(r, &small[i]));
        assert_rc(announce(r, "", who[i], &small[i]), RC_OK);
        assert_true(is_there(r, &small[i]));
        assert_int_equal(is_there(r, &big[0]), 0);
        assert_int_equal(counted(r, "big", QUOTA_DROPPED_ROOM), i == 0 ? 1 : 0);
        if (i == 0) {
            assert_true(receiver_note(r, &note));
            assert_int_equal(note.rc, RC_SPOOL_FULL);
            assert_non_null(strstr(note.what, "big"));
        }
    }
    assert_true(is_there(r, &big[1]) && is_there(r, &big[2]) && is_there(r, &big[3]));
    assert_rc(announce(r, "", "", &order), RC_OK); /* documents have room of their own */
    for (uint32_t i = 0; i < 3; i++) {
        complete(r, &small[i]);
        cut_free(&small[i]);
    }
    receiver_close(&r);
    for (uint32_t i = 0; i < 4; i++)
        cut_free(&big[i]);
    cut_free(&more);
    cut_free(&order);
    link_tmp_free(&t);
}

/* What is complete goes last, and then it can come again. */
static void complete_objects_go_last(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut whole = cut_new(OBJECT_PACKAGE, 600 * KIB, CHUNK, 1);
    struct cut half = cut_new(OBJECT_PACKAGE, 290 * KIB, CHUNK, 2);
    struct cut small[2] = { cut_new(OBJECT_PACKAGE, 50 * KIB, CHUNK, 3),
                            cut_new(OBJECT_PACKAGE, 50 * KIB, CHUNK, 4) };
    struct cut fill = cut_new(OBJECT_PACKAGE, 200 * KIB, CHUNK, 5);

    (void)state;
    assert_rc(announce(r, "", "big", &whole), RC_OK);
    complete(r, &whole);
    receiver_close(&r); /* its owner is in its name */
    r = open_spool(t.fd);
    assert_rc(announce(r, "", "big", &half), RC_OK);
    assert_rc(announce(r, "", "acme", &small[0]), RC_OK);
    assert_true(is_there(r, &whole) && !is_there(r, &half));
    assert_rc(announce(r, "", "mid", &fill), RC_OK);
    assert_rc(announce(r, "", "bee", &small[1]), RC_OK); /* 600 + 50 + 200 + 50: one must go */
    assert_true(is_there(r, &fill) && is_there(r, &small[0]) && !is_there(r, &whole));
    complete(r, &small[1]);
    assert_rc(announce(r, "", "big", &whole), RC_SPOOL_FULL); /* while there is no room */
    cut_free(&whole);
    cut_free(&half);
    cut_free(&small[0]);
    cut_free(&small[1]);
    cut_free(&fill);
    receiver_close(&r);
    link_tmp_free(&t);
}

/* All places are one tenant's; each of ten others gets one. */
static void places_are_given_back(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut c[26];

    (void)state;
    for (uint32_t i = 0; i < 26; i++)
        c[i] = cut_new(OBJECT_PACKAGE, 2 * KIB, KIB, 100 + i);
    for (uint32_t i = 0; i < 12; i++)
        assert_rc(announce(r, "", "big", &c[i]), RC_OK);
    assert_rc(announce(r, "", "big", &c[12]), RC_SPOOL_FULL);
    for (uint32_t i = 1; i < TENANTS; i++)
        assert_rc(announce(r, "", tenants[i], &c[12 + i]), RC_OK);
    assert_rc(announce(r, "", "last", &c[25]), RC_SPOOL_FULL); /* twelve have one each */
    assert_int_equal(counted(r, "big", QUOTA_DROPPED_ROOM), 11);
    assert_int_equal(counted(r, "last", QUOTA_REFUSED_ROOM), 1);
    for (uint32_t i = 0; i < 26; i++)
        cut_free(&c[i]);
    receiver_close(&r);
    link_tmp_free(&t);
}

/* What is said of owners, by whom. */
static void who_may_say_what(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut c = cut_new(OBJECT_PACKAGE, 4 * KIB, KIB, 1),
               d = cut_new(OBJECT_ORDER, 4 * KIB, KIB, 2);
    struct cut cut = cut_new(OBJECT_PACKAGE, 4 * KIB, 2 * KIB, 1);
    struct cut other = cut_new(OBJECT_PACKAGE, 4 * KIB, KIB, 3);
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct transfer_message m = { .type = TRANSFER_CHUNK };
    struct bytes wire = { 0 };
    struct err err;

    (void)state;
    assert_rc(announce(r, "acme", "bee", &c), RC_OBJECT_OWNER);
    assert_rc(announce(r, "acme", "", &d), RC_OBJECT_KIND);
    assert_rc(announce(r, "", "bee", &c), RC_OK);
    assert_rc(announce(r, "acme", "", &c), RC_OBJECT_OWNER); /* it is under way, and not theirs */
    assert_rc(announce(r, "acme", "acme", &cut), RC_OBJECT_OWNER); /* nor by another cut */
    m.chunk.data = (struct bytes){ c.o.bytes, KIB };
    memcpy(m.chunk.object, c.o.object.digest, DIGEST_SIZE);
    assert_rc(transfer_encode(&m, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(receiver_take(r, "acme", wire, 0, &err), RC_OBJECT_OWNER);
    assert_rc(receiver_take(r, "bee", wire, 0, &err), RC_OK);
    assert_rc(announce(r, "acme", "", &other), RC_OK); /* counts as its own */
    assert_rc(announce(r, "bee", "", &other), RC_OBJECT_OWNER);
    complete(r, &c);
    assert_true(is_there(r, &c));
    cut_free(&c);
    cut_free(&cut);
    cut_free(&d);
    cut_free(&other);
    receiver_close(&r);
    link_tmp_free(&t);
}

/* A name may come later, and outlives a restart. */
static void an_owner_is_learnt(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut c = cut_new(OBJECT_PACKAGE, 600 * KIB, CHUNK, 1);
    struct cut small = cut_new(OBJECT_PACKAGE, 50 * KIB, CHUNK, 2);
    struct cut fill = cut_new(OBJECT_PACKAGE, 290 * KIB, CHUNK, 3);

    (void)state;
    assert_rc(announce(r, "", "", &c), RC_OK);
    assert_rc(announce(r, "", "acme", &c), RC_OK);
    assert_rc(announce(r, "", "bee", &c), RC_OK); /* the first word counts */
    receiver_close(&r);
    r = open_spool(t.fd);
    assert_rc(announce(r, "", "acme", &fill), RC_OK);
    assert_rc(announce(r, "", "", &small), RC_OK); /* were it nobody's, nobody would make room */
    assert_int_equal(counted(r, "acme", QUOTA_DROPPED_ROOM), 1);
    cut_free(&c);
    cut_free(&small);
    cut_free(&fill);
    receiver_close(&r);
    link_tmp_free(&t);
}

static struct cut message_of(const char *tenant, uint64_t number)
{
    struct mail head = { .direction = MAIL_UP,
                         .node = 2,
                         .number = number,
                         .payload = "cam",
                         .name = "word",
                         .size = 40 * KIB };
    struct cut c = cut_new(OBJECT_MAIL, 41 * KIB, KIB, number);
    struct bytes out = { 0 };
    struct err err;

    memcpy(head.tenant, tenant, strlen(tenant));
    assert_rc(mail_head_encode(&head, c.o.bytes, &out, &err), RC_OK);
    c.o.object.size = out.n + head.size;
    c.chunks = (uint32_t)((c.o.object.size + KIB - 1) / KIB);
    assert_rc(sha256_of((struct bytes){ c.o.bytes, c.o.object.size }, c.o.object.digest, &err),
              RC_OK);
    for (uint32_t i = 0; i < c.chunks; i++) {
        struct bytes data = { c.o.bytes + (size_t)i * KIB,
                              transfer_chunk_bytes(c.o.object.size, KIB, i) };

        assert_rc(sha256_of(data, c.digests + (size_t)i * DIGEST_SIZE, &err), RC_OK);
    }
    return c;
}

/* A message says whose it is: what was said before is held against it. */
static void a_message_is_whose_it_says(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut true_one = message_of("acme", 1), false_one = message_of("bee", 2);
    struct port_object ready;
    struct err err;

    (void)state;
    assert_rc(announce(r, "", "acme", &true_one), RC_OK);
    assert_rc(announce(r, "", "acme", &false_one), RC_OK);
    complete(r, &true_one);
    for (uint32_t i = 0; i < false_one.chunks; i++)
        assert_rc(give_chunk(r, &false_one, i, 0), RC_OK);
    assert_rc(receiver_commit(r, &err), RC_OBJECT_OWNER);
    assert_true(receiver_ready(r, 0, &ready) && !receiver_ready(r, 1, &ready));
    assert_memory_equal(ready.digest, true_one.o.object.digest, DIGEST_SIZE);
    assert_false(is_there(r, &false_one));
    cut_free(&true_one);
    cut_free(&false_one);
    receiver_close(&r);
    link_tmp_free(&t);
}

/* The ground was told that a message is there: it waits for berthd whoever else comes, of any kind,
 * and over a restart.  One that is under way makes room. */
static void whole_mail_stays(void **state)
{
    enum { MAILS = 8 };
    struct link_tmp t = link_tmp_new();
    struct receiver *r = open_spool(t.fd);
    struct cut mail[MAILS], other = message_of("bee", 50), fill[9], one_more;

    (void)state;
    for (uint32_t i = 0; i < MAILS; i++) {
        mail[i] = message_of("acme", 1 + i);
        assert_rc(announce(r, "", "acme", &mail[i]), RC_OK);
        if (i < MAILS - 1)
            complete(r, &mail[i]);
    }
    assert_rc(announce(r, "", "bee", &other), RC_OK);
    assert_false(is_there(r, &mail[MAILS - 1])); /* it was under way */
    complete(r, &other);
    receiver_close(&r);
    r = open_spool(t.fd);
    one_more = message_of("cam", 60);
    assert_rc(announce(r, "", "cam", &one_more), RC_SPOOL_FULL);

    /* Nor does it make room for packages, when places of any kind are few. */
    for (uint32_t i = 0; i < 9; i++) {
        static const char *const who[] = { "c", "d", "e", "f", "g", "h", "i", "j", "k" };

        fill[i] = cut_new(OBJECT_PACKAGE, 2 * KIB, KIB, 100 + i);
        assert_rc(announce(r, "", who[i], &fill[i]), i < 8 ? RC_OK : RC_SPOOL_FULL);
    }
    for (uint32_t i = 0; i < MAILS - 1; i++)
        assert_true(is_there(r, &mail[i]));
    assert_true(is_there(r, &other));
    for (uint32_t i = 0; i < MAILS; i++)
        cut_free(&mail[i]);
    for (uint32_t i = 0; i < 9; i++)
        cut_free(&fill[i]);
    cut_free(&other);
    cut_free(&one_more);
    receiver_close(&r);
    link_tmp_free(&t);
}

/* ---- who sends --------------------------------------------------------------------------------
 */

/* Every other descriptor has the name, so that an end that refuses names gets the object too. */
static void names_go_with_every_other_head(void **state)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct link_object o = link_object_new(OBJECT_PACKAGE, 100 * KIB, 1);
    const struct sender_options options = { .chunk_size = 32 * KIB, .resend_ms = 1000 };
    scoped(sender_free) struct sender *sender = NULL;
    struct err err;
    uint32_t heads = 0;

    (void)state;
    memcpy(o.object.owner, "acme", sizeof "acme");
    assert_rc(sender_new(&options, &sender, &err), RC_OK);
    assert_rc(sender_add(sender, &o.object, link_object_source(&o), &err), RC_OK);
    for (uint64_t now_ms = 1; heads < 6; now_ms += 500) {
        uint64_t budget = UINT64_MAX;
        struct bytes wire = { 0 };

        while (sender_next(sender, now_ms, &budget, buf, sizeof buf, &wire, &err) == RC_OK) {
            struct transfer_message m;

            assert_rc(transfer_decode(wire, &m, &err), RC_OK);
            if (m.type == TRANSFER_DESCRIPTOR)
                assert_string_equal(m.descriptor.owner, heads++ % 2 == 0 ? "acme" : "");
        }
        assert_true(now_ms < 100000000);
    }
    free(o.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_refused_for_others),
        cmocka_unit_test(victim_is_a_matter_of_what_is_there),
        cmocka_unit_test(order_of_victims),
        cmocka_unit_test(counts_are_bounded),
        cmocka_unit_test(a_full_spool_opens_for_others),
        cmocka_unit_test(complete_objects_go_last),
        cmocka_unit_test(places_are_given_back),
        cmocka_unit_test(who_may_say_what),
        cmocka_unit_test(an_owner_is_learnt),
        cmocka_unit_test(a_message_is_whose_it_says),
        cmocka_unit_test(whole_mail_stays),
        cmocka_unit_test(names_go_with_every_other_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
