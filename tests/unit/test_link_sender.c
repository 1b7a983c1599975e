/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sender: what goes when; and the property that matters: a sender and a receiver over a link
 * that loses, doubles, reorders and damages, with the receiver killed at any step, always end with
 * every object delivered and never with wrong bytes.
 */
#include "tests/unit/link_fixture.h"

#include "link/receiver.h"
#include "link/transfer.h"

static uint8_t buf[TRANSFER_MESSAGE_MAX];

/* The next message at a time, decoded; RC_NOT_FOUND etc. pass through. */
static enum rc next(struct sender *s, uint64_t now_ms, struct transfer_message *ret)
{
    uint64_t budget = UINT64_MAX;
    struct bytes wire = { 0 };
    struct err err;
    enum rc rc = sender_next(s, now_ms, &budget, buf, sizeof buf, &wire, &err);

    if (rc == RC_OK)
        assert_rc(transfer_decode(wire, ret, &err), RC_OK);
    return rc;
}

static struct sender *make(uint32_t chunk_size)
{
    const struct sender_options options = { .chunk_size = chunk_size,
                                            .flight_ms = 100,
                                            .resend_ms = 10000 };
    struct sender *s = NULL;
    struct err err;

    assert_rc(sender_new(&options, &s, &err), RC_OK);
    return s;
}

static void documents_first(void **state)
{
    struct link_object package = link_object_new(OBJECT_PACKAGE, 50000, 1);
    struct link_object root = link_object_new(OBJECT_ROOT, 50000, 2);
    struct link_object order = link_object_new(OBJECT_ORDER, 700, 3);
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct err err;
    char got[16] = "";
    size_t n = 0;

    (void)state;
    assert_rc(next(s, 1, &m), RC_NOT_FOUND);
    assert_rc(sender_add(s, &package.object, link_object_source(&package), &err), RC_OK);
    assert_rc(sender_add(s, &root.object, link_object_source(&root), &err), RC_OK);
    assert_rc(sender_add(s, &order.object, link_object_source(&order), &err), RC_OK);
    assert_rc(sender_add(s, &order.object, link_object_source(&order), &err), RC_EXISTS);
    while (next(s, 1, &m) == RC_OK) {
        const uint8_t *object = m.type == TRANSFER_CHUNK ? m.chunk.object : m.descriptor.object;
        char c = m.type == TRANSFER_INLINE ? 'i' : m.type == TRANSFER_CHUNK ? 'c' : 'd';
        bool is_package = memcmp(object, package.object.digest, DIGEST_SIZE) == 0;

        got[n++] = (char)(m.type != TRANSFER_INLINE && is_package ? c - 32 : c);
        assert_true(n < sizeof got);
    }
    assert_string_equal(got, "dcccciDCCCC");
    assert_rc(next(s, 10000, &m), RC_NOT_FOUND); /* everything once; no report yet */
    assert_rc(next(s, 10001, &m), RC_OK);        /* nobody answered: from the start */
    assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
    sender_free(&s);
    free(package.bytes);
    free(root.bytes);
    free(order.bytes);
}

/* What the satellite may have most of: nothing but the descriptor goes, as often as it takes, until
 * a report says what is missing; then that, and no more. */
static void an_offer_waits_for_its_answer(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 1 << 20, 1);
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct port_transfers report = { .n_transfers = 1 };
    uint64_t now_ms = 1;
    struct err err;

    (void)state;
    o.object.offer = true;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    for (int again = 0; again < 3; again++) {
        assert_rc(next(s, now_ms, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
        assert_rc(next(s, now_ms, &m), RC_NOT_FOUND);
        now_ms += 10000;
    }
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    report.transfer[0].chunks = 64;
    report.transfer[0].n_missing = 1;
    report.transfer[0].missing[0] = (struct transfer_range){ 40, 1 };
    sender_report(s, &report, now_ms);
    assert_rc(next(s, now_ms, &m), RC_OK);
    if (m.type == TRANSFER_DESCRIPTOR) /* it was due again at this moment */
        assert_rc(next(s, now_ms, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_CHUNK);
    assert_int_equal(m.chunk.index, 40);
    assert_rc(next(s, now_ms, &m), RC_NOT_FOUND);
    sender_free(&s);
    free(o.bytes);
}

/* The sender behind this one, with what this one remembers. */
static struct sender *behind(struct sender **s, struct link_object *o, struct sender_memory **ret)
{
    struct sender *next_one = make(4096); /* it would cut otherwise */
    struct err err;

    sender_memory_free(ret);
    assert_rc(sender_remember(*s, ret, &err), RC_OK);
    sender_free(s);
    sender_recall(next_one, *ret);
    assert_rc(sender_add(next_one, &o->object, link_object_source(o), &err), RC_OK);
    return next_one;
}

/* A sender that is followed by another one in the middle of an object: that goes on where it was,
 * sends again what a newer report misses and an older one seems to miss not, and forgets it all
 * when the object is queued anew. */
static void the_next_one_goes_on(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 16 * 16384, 1);
    scoped(sender_memory_free) struct sender_memory *memory = NULL;
    struct sender *s = make(16384);
    struct port_transfers report = { .n_transfers = 1 };
    struct transfer_message m = { 0 };
    struct err err;

    (void)state;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    assert_true(sender_has_rest(s));
    for (unsigned i = 0; i < 6; i++) /* the descriptor and chunks 0 to 4 */
        assert_rc(next(s, 1000 + i, &m), RC_OK);
    s = behind(&s, &o, &memory);
    assert_false(sender_memory_went(memory, o.object.digest));
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    report.transfer[0].chunks = 16;
    report.transfer[0].n_missing = 1;
    report.transfer[0].missing[0] = (struct transfer_range){ 1, 15 };
    sender_report(s, &report, 900); /* of before they went */
    for (uint32_t i = 5; i < 16; i++) {
        assert_rc(next(s, 2000, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_CHUNK);
        assert_int_equal(m.chunk.index, i);
        if (i == 9)
            s = behind(&s, &o, &memory);
    }
    assert_rc(next(s, 2000, &m), RC_NOT_FOUND);
    assert_false(sender_has_rest(s));

    report.transfer[0].missing[0] = (struct transfer_range){ 3, 2 };
    sender_report(s, &report, 2500);
    s = behind(&s, &o, &memory); /* it knew that they are lost */
    assert_true(sender_memory_went(memory, o.object.digest));
    assert_rc(next(s, 2600, &m), RC_OK);
    assert_int_equal(m.chunk.index, 3);
    s = behind(&s, &o, &memory);
    report.transfer[0].missing[0] = (struct transfer_range){ 3, 1 };
    sender_report(s, &report, 2800); /* chunk 4 has come, 3 has not */
    assert_rc(next(s, 2800, &m), RC_OK);
    assert_int_equal(m.chunk.index, 3);
    assert_rc(next(s, 2800, &m), RC_NOT_FOUND);

    o.object.serial++;
    s = behind(&s, &o, &memory);
    assert_rc(next(s, 2900, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
    assert_int_equal(m.descriptor.chunks, 64);
    sender_free(&s);
    free(o.bytes);
}

/* The satellite calls it complete since before it was queued: that is asked for as often as by one
 * sender, and an old report is no answer. */
static void an_old_word_stays_old(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 16 * 16384, 1);
    scoped(sender_memory_free) struct sender_memory *memory = NULL;
    struct sender *s = make(16384);
    struct port_transfers report = { .n_complete = 1 };
    struct sender_progress at;
    struct transfer_message m = { 0 };
    struct err err;

    (void)state;
    memcpy(report.complete[0], o.object.digest, DIGEST_SIZE);
    sender_report(s, &report, 500);
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    for (uint64_t now_ms = 1000; now_ms <= SENDER_STALE_SENDS * 1000; now_ms += 1000) {
        if (now_ms > 1000)
            s = behind(&s, &o, &memory);
        sender_report(s, &report, now_ms); /* heard before it went */
        assert_rc(next(s, now_ms, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
        assert_rc(next(s, now_ms, &m), RC_NOT_FOUND);
    }
    s = behind(&s, &o, &memory);
    sender_report(s, &report, SENDER_STALE_SENDS * 1000);
    assert_true(sender_at(s, 0, &at) && !at.complete);
    sender_report(s, &report, SENDER_STALE_SENDS * 1000 + 200);
    assert_true(sender_at(s, 0, &at) && at.complete);
    sender_free(&s);
    free(o.bytes);
}

/* The satellite has another descriptor, so that no chunk is of use to it.  Each sender hears one
 * report and no more; the descriptor goes again all the same, and not for one report that is told
 * many times. */
static void what_is_stuck_is_seen_by_those_behind(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 4 * 16384, 1);
    scoped(sender_memory_free) struct sender_memory *memory = NULL;
    struct sender *s = make(16384);
    struct port_transfers report = { .n_transfers = 1 };
    struct transfer_message m = { 0 };
    uint64_t now_ms = 1000, heard_ms = 2000;
    unsigned heads = 0, lives = 0;
    struct err err;

    (void)state;
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    report.transfer[0].chunks = 4;
    report.transfer[0].n_missing = 1;
    report.transfer[0].missing[0] = (struct transfer_range){ 0, 4 };
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    while (next(s, now_ms, &m) == RC_OK)
        continue;
    sender_report(s, &report, heard_ms);
    for (now_ms = 3000; now_ms < 11000; now_ms += 500) { /* nothing newer comes */
        s = behind(&s, &o, &memory);
        sender_report(s, &report, heard_ms);
        while (next(s, now_ms, &m) == RC_OK)
            assert_int_equal(m.type, TRANSFER_CHUNK);
    }
    for (; lives < 8 && heads == 0; lives++, now_ms += 2000) {
        s = behind(&s, &o, &memory);
        sender_report(s, &report, heard_ms); /* the last one again */
        heard_ms = now_ms;
        sender_report(s, &report, heard_ms);
        while (next(s, now_ms, &m) == RC_OK)
            heads += m.type == TRANSFER_DESCRIPTOR;
    }
    assert_int_equal(heads, 1);
    assert_in_range(lives, 3, 5);
    sender_free(&s);
    free(o.bytes);
}

struct orderer {
    const uint8_t *first; /* of these bytes goes what is due; then nothing */
    uint64_t sent;
    size_t asked;
};

static size_t pick_one(void *arg, const struct sender_due *due, size_t n)
{
    struct orderer *o = arg;

    o->asked = n;
    for (size_t i = 0; i < n; i++) {
        assert_true(due[i].bytes > SENDER_OVERHEAD && due[i].bytes <= 50000 + SENDER_OVERHEAD);
        assert_true(i == 0 || due[i].kind != OBJECT_ROOT); /* the sender's own order */
        if (memcmp(due[i].digest, o->first, DIGEST_SIZE) == 0)
            return i;
    }
    return n;
}

static void count_sent(void *arg, const struct sender_due *due)
{
    struct orderer *o = arg;

    assert_memory_equal(due->digest, o->first, DIGEST_SIZE);
    o->sent += due->bytes;
}

/* Somebody else says what goes: a package before a root; then nothing, although the root is due;
 * and when he is gone, the root. */
static void another_order_is_kept(void **state)
{
    struct link_object package = link_object_new(OBJECT_PACKAGE, 50000, 1);
    struct link_object root = link_object_new(OBJECT_ROOT, 50000, 2);
    struct orderer who = { .first = package.object.digest };
    const struct sender_order order = { .pick = pick_one, .sent = count_sent, .arg = &who };
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct err err;
    unsigned n = 0;

    (void)state;
    assert_rc(sender_add(s, &package.object, link_object_source(&package), &err), RC_OK);
    assert_rc(sender_add(s, &root.object, link_object_source(&root), &err), RC_OK);
    sender_set_order(s, &order);
    for (; next(s, 1, &m) == RC_OK; n++) {
        assert_true(m.type == TRANSFER_DESCRIPTOR || m.type == TRANSFER_CHUNK);
        assert_memory_equal(m.type == TRANSFER_CHUNK ? m.chunk.object : m.descriptor.object,
                            package.object.digest, DIGEST_SIZE);
    }
    assert_int_equal(n, 5);
    assert_int_equal(who.asked, 1);
    assert_true(who.sent > 50000 && who.sent < 50000 + 5 * (SENDER_OVERHEAD + 300));
    sender_set_order(s, NULL);
    assert_rc(next(s, 1, &m), RC_OK);
    assert_memory_equal(m.descriptor.object, root.object.digest, DIGEST_SIZE);
    sender_free(&s);
    free(package.bytes);
    free(root.bytes);
}

/* Of two packages both descriptors go before any chunk; a document that comes in between goes
 * before what is left. */
static void descriptors_before_chunks(void **state)
{
    struct link_object a = link_object_new(OBJECT_PACKAGE, 50000, 1);
    struct link_object b = link_object_new(OBJECT_PACKAGE, 50000, 2);
    struct link_object order = link_object_new(OBJECT_ORDER, 700, 3);
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct err err;

    (void)state;
    assert_rc(sender_add(s, &a.object, link_object_source(&a), &err), RC_OK);
    assert_rc(sender_add(s, &b.object, link_object_source(&b), &err), RC_OK);
    for (int i = 0; i < 2; i++) {
        assert_rc(next(s, 1, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
        assert_memory_equal(m.descriptor.object, (i == 0 ? &a : &b)->object.digest, DIGEST_SIZE);
    }
    assert_rc(next(s, 1, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_CHUNK);
    assert_memory_equal(m.chunk.object, a.object.digest, DIGEST_SIZE);
    assert_rc(sender_add(s, &order.object, link_object_source(&order), &err), RC_OK);
    assert_rc(next(s, 1, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_INLINE);
    for (int i = 0; i < 7; i++) {
        assert_rc(next(s, 1, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_CHUNK);
        assert_memory_equal(m.chunk.object, (i < 3 ? &a : &b)->object.digest, DIGEST_SIZE);
    }
    assert_rc(next(s, 1, &m), RC_NOT_FOUND);
    sender_free(&s);
    free(a.bytes);
    free(b.bytes);
    free(order.bytes);
}

/* What waits for the carrier is not late; but a carrier that never comes is not believed for ever.
 */
static void what_waits_is_not_late(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 50000, 1);
    struct link_object order = link_object_new(OBJECT_ORDER, 700, 3);
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct err err;
    uint64_t now = 1;

    (void)state;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    assert_rc(sender_add(s, &order.object, link_object_source(&order), &err), RC_OK);
    for (int i = 0; i < 6; i++)
        assert_rc(next(s, now, &m), RC_OK);
    for (; now < SENDER_HOLD_MS; now += 5000) {
        sender_hold(s, now);
        assert_rc(next(s, now, &m), RC_NOT_FOUND);
    }
    now += 20000;
    sender_hold(s, now);
    assert_rc(next(s, now, &m), RC_OK);
    sender_free(&s);
    free(o.bytes);
    free(order.bytes);
}

/* Loss of frames makes chunks smaller, within the link's bounds. */
static void chunks_follow_the_loss(void **state)
{
    static const struct {
        const char *why;
        uint32_t min, max;
        uint64_t sent, lost, bytes;
        uint32_t chunk_size;
    } rows[] = {
        { "nothing known", 0, 0, 0, 0, 0, 32768 },
        { "no loss", 0, 0, 1000, 0, 33000000, 65536 },
        { "no loss, files of any size", 0, 262144, 1000, 0, 33000000, 262144 },
        { "no loss, large ones wanted", 131072, 0, 1000, 0, 33000000, 131072 },
        { "1e-4 of frames: 50 KB", 1024, 0, 1000, 3, 33000000, 65536 },
        { "1e-3: 16 KB", 1024, 0, 1000, 30, 33000000, 16384 },
        { "1e-2: 5 KB", 1024, 0, 1000, 258, 33000000, 4096 },
        { "the same, not below the bound", 0, 0, 1000, 258, 33000000, 32768 },
        { "no loss, not above the bound", 512, 2048, 1000, 0, 33000000, 2048 },
        { "everything lost", 256, 0, 1000, 1000, 33000000, 1024 },
        { "nonsense is not believed", 1024, 0, 10, 11, 33000000, 32768 },
    };
    struct link_object o = link_object_new(OBJECT_PACKAGE, 1 << 20, 1);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct sender_options options = { .chunk_min = rows[i].min,
                                                .chunk_max = rows[i].max };
        struct transfer_message m = { 0 };
        struct sender *s = NULL;
        struct err err;

        assert_rc(sender_new(&options, &s, &err), RC_OK);
        sender_learn(s, rows[i].sent, rows[i].lost, rows[i].bytes);
        assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
        assert_rc(next(s, 1, &m), RC_OK);
        if (m.descriptor.chunk_size != rows[i].chunk_size)
            fail_msg("%s: %u", rows[i].why, m.descriptor.chunk_size);
        sender_free(&s);
    }
    free(o.bytes);
}

/* A sender that was started anew and would cut otherwise goes on with the cut that the satellite is
 * under way with. */
static void the_cut_under_way_is_kept(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 40 * 1024, 1);
    struct sender *s = make(2048);
    struct transfer_message m = { 0 };
    struct port_transfers report = { .n_transfers = 1 };
    struct err err;

    (void)state;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    report.transfer[0].chunks = 5; /* of 8 KiB */
    report.transfer[0].n_missing = 1;
    report.transfer[0].missing[0] = (struct transfer_range){ 3, 2 };
    sender_report(s, &report, 1000);
    assert_rc(next(s, 1001, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
    assert_int_equal(m.descriptor.chunk_size, 8192);
    for (uint32_t i = 3; i < 5; i++) {
        assert_rc(next(s, 1001, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_CHUNK);
        assert_int_equal(m.chunk.index, i);
        assert_memory_equal(m.chunk.data.p, o.bytes + (size_t)i * 8192, m.chunk.data.n);
    }
    assert_rc(next(s, 1001, &m), RC_NOT_FOUND);
    sender_free(&s);
    free(o.bytes);
}

static void reports_steer(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 40 * 1024, 1);
    struct sender *s = make(2048);
    struct transfer_message m = { 0 };
    struct port_transfers report = { .n_transfers = 1 };
    struct sender_progress p = { 0 };
    struct err err;

    (void)state;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    for (int i = 0; i < 21; i++)
        assert_rc(next(s, 1000, &m), RC_OK);
    assert_rc(next(s, 1000, &m), RC_NOT_FOUND);

    /* Too fresh to judge: all may still be on the way. */
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    report.transfer[0].chunks = 20;
    report.transfer[0].n_missing = 2;
    report.transfer[0].missing[0] = (struct transfer_range){ 3, 2 };
    report.transfer[0].missing[1] = (struct transfer_range){ 19, 1 };
    sender_report(s, &report, 1050);
    assert_true(sender_at(s, 0, &p));
    assert_true(p.acknowledged && !p.complete);
    assert_int_equal(p.missing, 3);
    assert_rc(next(s, 1050, &m), RC_NOT_FOUND);

    /* Late enough: these three and nothing else, once. */
    sender_report(s, &report, 1200);
    static const uint32_t want[] = { 3, 4, 19 };
    for (size_t i = 0; i < 3; i++) {
        assert_rc(next(s, 1200, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_CHUNK);
        assert_int_equal(m.chunk.index, want[i]);
    }
    assert_rc(next(s, 1200, &m), RC_NOT_FOUND);

    /* The satellite has forgotten the object: all again, descriptor first. */
    report.n_transfers = 0;
    sender_report(s, &report, 2000);
    assert_rc(next(s, 2000, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_DESCRIPTOR);

    /* Complete. */
    report.n_complete = 1;
    memcpy(report.complete[0], o.object.digest, DIGEST_SIZE);
    sender_report(s, &report, 3000);
    assert_true(sender_at(s, 0, &p));
    assert_true(p.complete);
    assert_int_equal(p.missing, 0);
    assert_rc(next(s, 99999, &m), RC_NOT_FOUND);
    assert_false(sender_at(s, 1, &p));

    /* Queued anew under a higher serial: the old word does not count at once. */
    o.object.serial = 2;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    uint64_t now = 100000;
    for (unsigned sends = 1; sends <= SENDER_STALE_SENDS; sends++, now += 1000) {
        assert_rc(next(s, now, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
        assert_true(m.descriptor.serial == 2);
        assert_rc(next(s, now, &m), RC_NOT_FOUND); /* no chunks on suspicion */
        sender_report(s, &report, now + 500);
        assert_true(sender_at(s, 0, &p));
        assert_int_equal(p.complete, sends == SENDER_STALE_SENDS);
    }
    assert_true(sender_remove(s, o.object.digest));
    assert_false(sender_remove(s, o.object.digest));
    sender_free(&s);
    free(o.bytes);
}

/* A report is authentic but may be nonsense. */
static void nonsense_reports(void **state)
{
    static const struct transfer_status rows[] = {
        { .chunks = 7, .n_missing = 1, .missing = { { 0, 7 } } },
        { .chunks = 20, .n_missing = 1, .missing = { { 20, 1 } } },
        { .chunks = 20, .n_missing = 1, .missing = { { 0, UINT32_MAX } } },
        { .chunks = 20, .n_missing = 2, .missing = { { 9, 2 }, { 3, 2 } } },
        { .chunks = 20, .n_missing = UINT32_MAX, .missing = { { 0, 1 } } },
        { .chunks = UINT32_MAX },
    };
    struct link_object o = link_object_new(OBJECT_PACKAGE, 40 * 1024, 1), other = o;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sender *s = make(2048);
        struct transfer_message m = { 0 };
        struct sender_progress p = { 0 };
        struct port_transfers report = { .n_transfers = 1, .transfer = { rows[i] } };

        assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
        while (next(s, 1000, &m) == RC_OK)
            continue;
        memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
        sender_report(s, &report, 1500);
        assert_true(sender_at(s, 0, &p));
        assert_false(p.complete);
        assert_rc(next(s, 99999, &m), RC_OK); /* and it goes on */
        sender_free(&s);
    }

    struct sender *s = make(2048);

    other.object.digest[0] ^= 1;
    assert_rc(sender_add(s, &other.object, link_object_source(&o), &err), RC_OBJECT_DIGEST);
    other = o;
    other.object.size = 0;
    assert_rc(sender_add(s, &other.object, link_object_source(&o), &err), RC_TOO_LARGE);
    other.object.size = 5;
    other.object.kind = (enum object_kind)(OBJECT_KIND_MAX + 1);
    assert_rc(sender_add(s, &other.object, link_object_source(&o), &err), RC_OBJECT_KIND);
    sender_free(&s);
    free(o.bytes);
}

static enum rc counted_read(void *arg, uint64_t offset, uint8_t *out, size_t n, struct err *err)
{
    uint64_t *read = *(void **)arg;

    *read += n;
    return link_object_read(((void **)arg)[1], offset, out, n, err);
}

/* A satellite that says another cut in every report: the object is read again for it once in
 * resend_ms, and for a cut that cannot be never. */
static void cuts_are_not_taken_over_without_end(void **state)
{
    const uint32_t cuts[] = { 64, 32, 16, 128, 63, 1 };
    struct link_object o = link_object_new(OBJECT_PACKAGE, 1 << 20, 1);
    struct port_transfers report = { .n_transfers = 1 };
    struct sender *s = make(32768);
    uint64_t read = 0;
    void *arg[2] = { &read, &o };
    struct err err;

    (void)state;
    assert_rc(
        sender_add(s, &o.object, (struct sender_source){ .read = counted_read, .arg = arg }, &err),
        RC_OK);
    assert_true(read == o.object.size);
    memcpy(report.transfer[0].object, o.object.digest, DIGEST_SIZE);
    for (uint64_t now_ms = 1; now_ms <= 30000; now_ms += 10) {
        report.transfer[0].chunks = cuts[now_ms / 10 % 6];
        sender_report(s, &report, now_ms);
    }
    assert_true(read == 4 * o.object.size); /* 30 s, and resend_ms is 10 s */

    /* Whoever means it is understood. */
    report.transfer[0].chunks = 128;
    sender_report(s, &report, 50000);
    struct sender_progress p = { 0 };

    assert_true(sender_at(s, 0, &p));
    assert_int_equal(p.chunks, 128);
    assert_true(p.acknowledged);
    sender_free(&s);
    free(o.bytes);
}

static enum rc broken_read(void *arg, uint64_t offset, uint8_t *out, size_t n, struct err *err)
{
    const bool *broken = *(void **)arg;

    if (*broken)
        return err_set(err, RC_IO, "gone");
    return link_object_read(((void **)arg)[1], offset, out, n, err);
}

static void budget_and_broken_source(void **state)
{
    struct link_object o = link_object_new(OBJECT_PACKAGE, 40000, 1);
    struct link_object order = link_object_new(OBJECT_ORDER, 500, 2);
    bool broken = false;
    void *arg[2] = { &broken, &order };
    struct sender *s = make(16384);
    struct transfer_message m = { 0 };
    struct bytes wire = { 0 };
    struct err err;
    uint64_t budget = 17000;

    (void)state;
    assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
    assert_rc(sender_add(s, &order.object,
                         (struct sender_source){ .read = broken_read, .arg = arg }, &err),
              RC_OK);
    broken = true;
    assert_rc(next(s, 1, &m), RC_IO);
    assert_rc(sender_next(s, 1, &budget, buf, sizeof buf, &wire, &err), RC_OK); /* descriptor */
    uint64_t left = budget;
    assert_rc(sender_next(s, 1, &budget, buf, sizeof buf, &wire, &err), RC_NO_ROOM);
    assert_true(budget == left);
    budget = 20000;
    assert_rc(sender_next(s, 1, &budget, buf, sizeof buf, &wire, &err), RC_OK);
    broken = false;
    assert_rc(next(s, 10001, &m), RC_OK);
    assert_int_equal(m.type, TRANSFER_INLINE);
    sender_free(&s);
    free(o.bytes);
    free(order.bytes);
}

/* ---- the property -----------------------------------------------------------------------------
 */

#define OBJECTS 5
#define WIRE_MAX 400

struct world {
    uint64_t seed;
    struct link_tmp tmp;
    struct link_object object[OBJECTS];
    bool delivered[OBJECTS];
    struct sender *sender;
    struct receiver *receiver;
    uint64_t now_ms;
    size_t n_wire;
    struct {
        uint8_t *p;
        size_t n;
    } wire[WIRE_MAX];
};

static bool chance(struct world *w, unsigned percent)
{
    return link_random(&w->seed) % 100 < percent;
}

static void kill_receiver(struct world *w)
{
    const struct receiver_options options = { .quota = 1 << 22, .stale_ms = 1000 };
    struct err err;

    receiver_close(&w->receiver); /* writes nothing: the same as SIGKILL */
    assert_rc(receiver_open(w->tmp.fd, &options, w->now_ms, &w->receiver, &err), RC_OK);
}

static void wire_put(struct world *w, struct bytes message)
{
    if (w->n_wire == WIRE_MAX)
        return;
    w->wire[w->n_wire].p = malloc(message.n);
    w->wire[w->n_wire].n = message.n;
    memcpy(w->wire[w->n_wire++].p, message.p, message.n);
}

/* The ground sends what is due, and the link does its worst. */
static void pass(struct world *w)
{
    uint64_t budget = 2000 + link_random(&w->seed) % 60000;
    struct bytes message = { 0 };
    struct err err;

    while (sender_next(w->sender, w->now_ms, &budget, buf, sizeof buf, &message, &err) == RC_OK) {
        if (chance(w, 30))
            continue;
        wire_put(w, message);
        if (chance(w, 10))
            wire_put(w, message);
        if (chance(w, 10)) { /* BPSec would stop it; the receiver must stand it all the same */
            wire_put(w, message);
            w->wire[w->n_wire - 1].p[link_random(&w->seed) % message.n] ^= 0x40;
        }
    }
}

/* The satellite takes a batch in any order, and may die anywhere. */
static void receive(struct world *w)
{
    struct err err;

    for (size_t left = link_random(&w->seed) % 40; left > 0 && w->n_wire > 0; left--) {
        size_t i = link_random(&w->seed) % w->n_wire;
        uint8_t *p = w->wire[i].p;
        enum rc rc =
            receiver_take(w->receiver, "", (struct bytes){ p, w->wire[i].n }, w->now_ms, &err);

        assert_true(rc == RC_OK || rc_class(rc) != RC_CLASS_BROKEN);
        if (!chance(w, 5)) { /* else it comes again */
            free(p);
            w->wire[i] = w->wire[--w->n_wire];
        }
        if (chance(w, 1))
            kill_receiver(w);
    }
    if (chance(w, 5))
        kill_receiver(w);
    enum rc rc = receiver_commit(w->receiver, &err);
    assert_true(rc == RC_OK || rc == RC_OBJECT_DIGEST);
    if (chance(w, 5))
        kill_receiver(w);
}

/* berthd takes what is ready: only whole objects, byte for byte.  A damaged message may have
 * brought bytes under another digest; those are whole under theirs. */
static void deliver(struct world *w)
{
    struct port_object ready = { 0 };
    struct err err;

    while (receiver_ready(w->receiver, 0, &ready)) {
        scoped(close_fd) int fd = -1;
        scoped(close_fd) int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        uint8_t digest[DIGEST_SIZE];

        assert_rc(receiver_open_object(w->receiver, ready.digest, &fd, &err), RC_OK);
        assert_rc(
            fs_copy_digest(fd, open("/dev/null", O_WRONLY | O_CLOEXEC), ready.size, digest, &err),
            RC_OK);
        assert_memory_equal(digest, ready.digest, DIGEST_SIZE);
        for (size_t i = 0; i < OBJECTS; i++) {
            if (memcmp(w->object[i].object.digest, ready.digest, DIGEST_SIZE) == 0) {
                assert_true(link_object_is(&w->object[i], fd));
                w->delivered[i] = true;
            }
        }
        if (chance(w, 10)) {
            kill_receiver(w);
            continue;
        }
        assert_rc(receiver_done(w->receiver, ready.digest, &err), RC_OK);
    }
}

static bool all_complete(const struct world *w)
{
    struct sender_progress p = { 0 };

    for (size_t i = 0; sender_at(w->sender, i, &p); i++) {
        if (!p.complete)
            return false;
    }
    return true;
}

static void converge(uint64_t seed)
{
    static const struct {
        enum object_kind kind;
        size_t size;
    } kinds[OBJECTS] = { { OBJECT_PACKAGE, 60000 },
                         { OBJECT_ORDER, 900 },
                         { OBJECT_PACKAGE, 33000 },
                         { OBJECT_ROOT, 40000 },
                         { OBJECT_GRANT, 32768 } };
    struct world *w = calloc(1, sizeof *w);
    struct port_transfers status;
    struct err err;
    int rounds = 0;

    w->seed = seed * 2654435761 + 1;
    w->tmp = link_tmp_new();
    w->sender = make((uint32_t)(512 + link_random(&w->seed) % 4096));
    kill_receiver(w);
    for (size_t i = 0; i < OBJECTS; i++) {
        w->object[i] = link_object_new(kinds[i].kind, kinds[i].size, seed * 10 + i);
        assert_rc(
            sender_add(w->sender, &w->object[i].object, link_object_source(&w->object[i]), &err),
            RC_OK);
    }
    for (; !all_complete(w) && rounds < 3000; rounds++) {
        w->now_ms += link_random(&w->seed) % 400;
        pass(w);
        receive(w);
        deliver(w);
        if (chance(w, 40)) {
            receiver_status(w->receiver, &status);
            sender_report(w->sender, &status, w->now_ms);
        }
    }
    if (rounds == 3000)
        fail_msg("seed %llu does not converge", (unsigned long long)seed);
    for (size_t i = 0; i < OBJECTS; i++) {
        if (!w->delivered[i])
            fail_msg("seed %llu: object %zu complete but not delivered", (unsigned long long)seed,
                     i);
        free(w->object[i].bytes);
    }
    while (w->n_wire > 0)
        free(w->wire[--w->n_wire].p);
    sender_free(&w->sender);
    receiver_close(&w->receiver);
    link_tmp_free(&w->tmp);
    free(w);
}

/* One-way, and each life of the sender ends after three messages of a turn: what lies behind goes
 * all the same, since no life begins where the one before did. */
static void short_lives_go_round(void **state)
{
    enum { CHUNKS = 13, LIVES = 2000 };
    struct link_object o = link_object_new(OBJECT_PACKAGE, CHUNKS * 4096, 1);
    bool went[CHUNKS] = { false };
    unsigned n_went = 0, n_first = 0, lives = 0;
    uint32_t random = 1;

    (void)state;
    for (; n_went < CHUNKS && lives < LIVES; lives++) {
        const struct sender_options options = {
            .chunk_size = 4096, .one_way = true, .resend_ms = 10000, .wheel = random
        };
        struct transfer_message m = { 0 };
        struct sender *s = NULL;
        struct err err;

        random = random * 1664525U + 1013904223U;
        assert_rc(sender_new(&options, &s, &err), RC_OK);
        assert_rc(sender_add(s, &o.object, link_object_source(&o), &err), RC_OK);
        assert_rc(next(s, 1, &m), RC_OK);
        assert_int_equal(m.type, TRANSFER_DESCRIPTOR);
        for (unsigned i = 0; i < 2; i++) {
            assert_rc(next(s, 1, &m), RC_OK);
            n_first += i == 0 && m.type == TRANSFER_CHUNK && m.chunk.index == 0;
            if (m.type == TRANSFER_CHUNK && !went[m.chunk.index]) {
                went[m.chunk.index] = true;
                n_went++;
            }
        }
        sender_free(&s);
    }
    assert_int_equal(n_went, CHUNKS);
    assert_true(n_first < lives / 2);
    free(o.bytes);
}

static void always_converges(void **state)
{
    const char *text = getenv("BERTH_SEEDS");
    uint64_t seeds = text != NULL ? strtoull(text, NULL, 10) : 25;

    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        converge(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_first),
        cmocka_unit_test(another_order_is_kept),
        cmocka_unit_test(an_offer_waits_for_its_answer),
        cmocka_unit_test(the_next_one_goes_on),
        cmocka_unit_test(an_old_word_stays_old),
        cmocka_unit_test(what_is_stuck_is_seen_by_those_behind),
        cmocka_unit_test(descriptors_before_chunks),
        cmocka_unit_test(what_waits_is_not_late),
        cmocka_unit_test(chunks_follow_the_loss),
        cmocka_unit_test(the_cut_under_way_is_kept),
        cmocka_unit_test(reports_steer),
        cmocka_unit_test(nonsense_reports),
        cmocka_unit_test(cuts_are_not_taken_over_without_end),
        cmocka_unit_test(budget_and_broken_source),
        cmocka_unit_test(short_lives_go_round),
        cmocka_unit_test(always_converges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
