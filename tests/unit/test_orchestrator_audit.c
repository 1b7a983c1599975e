/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: entries, chains of them and who vouches for them, a log in a file, and a store
 * into which somebody wrote.  Whatever is taken out, changed, moved, put in or cut off must be
 * found and named.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "orchestrator/audit_file.h"
#include "orchestrator/store.h"
#include "tests/unit/documents.h"
#include "tests/unit/store_rig.h"

static struct err err;

static struct audit_entry good_entry(void)
{
    struct audit_entry e = { .seq = 9,
                             .at_ms = NOW_MS,
                             .root_version = 1,
                             .who = "mara",
                             .action = "apply",
                             .what = "plan 1 of fleet aurora",
                             .why = "die Kamera \xc3\xbc"
                                    "berhitzt",
                             .n_approvals = 2,
                             .lost = { 5, 7 } };

    memset(&e.previous, 0x31, sizeof e.previous);
    memset(&e.plan, 0x32, sizeof e.plan);
    memset(e.approval[0], 0x41, KEY_ID_SIZE);
    memset(e.approval[1], 0x42, KEY_ID_SIZE);
    return e;
}

/* ---- entries ---- */

static void an_entry_comes_back(void **state)
{
    struct audit_entry full = good_entry(), bare = { .seq = 1, .who = "w", .action = "a" }, back;
    uint8_t buf[AUDIT_ENTRY_MAX];
    struct bytes out;

    (void)state;
    assert_rc(audit_entry_encode(&full, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(audit_entry_decode(out, &back, &err), RC_OK);
    assert_memory_equal(&back, &full, sizeof full);
    for (size_t n = 0; n < out.n; n++) {
        struct audit_entry kept = full;

        assert_rc(audit_entry_decode((struct bytes){ out.p, n }, &kept, &err), err.rc);
        assert_int_not_equal(err.rc, RC_OK);
        assert_memory_equal(&kept, &full, sizeof full);
    }
    assert_rc(audit_entry_encode(&bare, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(audit_entry_decode(out, &back, &err), RC_OK);
    assert_memory_equal(&back, &bare, sizeof bare);
}

/* Every field at its longest fits into what is kept for it. */
static void the_longest_entry_fits(void **state)
{
    struct audit_entry e = good_entry();
    uint8_t buf[AUDIT_ENTRY_MAX];
    struct bytes out;

    (void)state;
    e.seq = e.at_ms = e.root_version = INT64_MAX;
    e.lost = (struct audit_lost){ INT64_MAX - 2, INT64_MAX - 1 };
    memset(e.who, 'w', sizeof e.who - 1);
    memset(e.action, 'a', sizeof e.action - 1);
    memset(e.what, 'x', sizeof e.what - 1);
    memset(e.why, 'y', sizeof e.why - 1);
    e.n_approvals = AUDIT_APPROVALS_MAX;
    for (uint32_t i = 0; i < AUDIT_APPROVALS_MAX; i++)
        memset(e.approval[i], (int)i + 1, KEY_ID_SIZE);
    assert_rc(audit_entry_encode(&e, buf, sizeof buf, &out, &err), RC_OK);
}

static void e_seq(struct audit_entry *e)
{
    e->seq = 0;
}
static void e_first(struct audit_entry *e)
{
    e->seq = 1;
    e->lost = (struct audit_lost){ 0, 0 };
}
static void e_previous(struct audit_entry *e)
{
    memset(&e->previous, 0, sizeof e->previous);
    e->lost = (struct audit_lost){ 0, 0 };
}
static void e_who(struct audit_entry *e)
{
    e->who[0] = '\0';
}
static void e_who_control(struct audit_entry *e)
{
    e->who[0] = '\033';
}
static void e_action(struct audit_entry *e)
{
    e->action[0] = '\0';
}
static void e_what(struct audit_entry *e)
{
    e->what[3] = '\n';
}
static void e_why(struct audit_entry *e)
{
    e->why[0] = '\r';
}
static void e_why_bytes(struct audit_entry *e)
{
    e->why[0] = '\xff';
}
static void e_twice(struct audit_entry *e)
{
    memcpy(e->approval[1], e->approval[0], KEY_ID_SIZE);
}
static void e_many(struct audit_entry *e)
{
    e->n_approvals = AUDIT_APPROVALS_MAX + 1;
}
static void e_lost_self(struct audit_entry *e)
{
    e->lost.last = e->seq;
}
static void e_lost_back(struct audit_entry *e)
{
    e->lost = (struct audit_lost){ 7, 5 };
}
static void e_lost_half(struct audit_entry *e)
{
    e->lost.first = 0;
}

static void nonsense_is_not_encoded(void **state)
{
    static const struct {
        void (*edit)(struct audit_entry *e);
        enum rc rc;
    } bad[] = {
        { e_seq, RC_VALUE },       { e_first, RC_VALUE },     { e_previous, RC_DIGEST_MISSING },
        { e_who, RC_VALUE },       { e_action, RC_VALUE },    { e_who_control, RC_VALUE },
        { e_what, RC_VALUE },      { e_why, RC_VALUE },       { e_why_bytes, RC_VALUE },
        { e_twice, RC_VALUE },     { e_many, RC_VALUE },      { e_lost_self, RC_VALUE },
        { e_lost_back, RC_VALUE }, { e_lost_half, RC_VALUE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct audit_entry e = good_entry();
        uint8_t buf[AUDIT_ENTRY_MAX];
        struct bytes out = { 0 };

        bad[i].edit(&e);
        assert_rc(audit_entry_encode(&e, buf, sizeof buf, &out, &err), bad[i].rc);
        assert_null(out.p);
    }
}

static void what_a_why_is(void **state)
{
    static char huge[1U << 20];
    char most[AUDIT_WHY_MAX + 2];

    (void)state;
    memset(huge, 'x', sizeof huge - 1);
    memset(most, 'x', sizeof most);
    most[AUDIT_WHY_MAX] = '\0';
    assert_true(audit_why_ok(most));
    most[AUDIT_WHY_MAX] = 'x';
    most[AUDIT_WHY_MAX + 1] = '\0';
    assert_false(audit_why_ok(most));
    assert_false(audit_why_ok(huge));
    assert_true(audit_why_ok(""));
    assert_true(audit_why_ok("h\xc3\xb6her \xe2\x82\xac"));
    assert_false(audit_why_ok("bell\a"));
    assert_false(audit_why_ok("clear \033[2J"));
    assert_false(audit_why_ok("the same in C1 \xc2\x9b"
                              "2J"));
    assert_false(audit_why_ok("half \xc3"));
    assert_false(audit_why_ok("overlong \xc0\xaf"));
}

/* ---- chains ---- */

#define RECORDS 6U

static struct signed_doc root_doc, next_doc, record_doc[RECORDS];
static struct bytes record[RECORDS + 1]; /* of the chain as it was written */

/* Sign an entry with a key; DOC_KEYS = leave it bare. */
static void make_record(size_t i, struct audit_entry *e, enum doc_key who)
{
    struct signed_doc *d = &record_doc[i];

    doc_must(audit_entry_encode(e, d->payload_buf, sizeof d->payload_buf, &d->payload, &err), &err);
    d->bytes = d->payload;
    if (who != DOC_KEYS)
        doc_sign(d, DOC_AUDIT, &doc_mission, &who, 1);
    record[i] = d->bytes;
}

static struct audit_entry entry_at(size_t i, uint64_t root)
{
    struct audit_entry e = {
        .seq = i + 1, .at_ms = NOW_MS + i, .root_version = root, .who = "op", .action = "push"
    };

    (void)snprintf(e.what, sizeof e.what, "number %zu", i + 1);
    if (i > 0)
        assert_rc(sha256_of(record[i - 1], e.previous.b, &err), RC_OK);
    return e;
}

/* Operator A until the second root, which lists B alone; the third and the last are bare. */
static void write_chain(void)
{
    static const enum doc_key who[RECORDS] = { K_OPERATOR_A, K_OPERATOR_A, DOC_KEYS,
                                               K_OPERATOR_B, K_OPERATOR_B, DOC_KEYS };

    for (size_t i = 0; i < RECORDS; i++) {
        struct audit_entry e = entry_at(i, i < 3 ? 1 : 2);

        make_record(i, &e, who[i]);
    }
}

static int make_chain(void **state)
{
    struct root root = doc_root(), next = doc_next_root();

    (void)state;
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    next.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    next.operator_since_ms = next.issued_ms;
    doc_signed(&root_doc, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    doc_signed(&next_doc, DOC_ROOT, root_encode, &next, K_ROOT_A, K_ROOT_B, K_NEXT_A, K_NEXT_B);
    write_chain();
    return 0;
}

static int end_chain(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

/* Walk these records; what the walk said is in err. */
static enum rc walk_all(const struct bytes *list, size_t n, struct audit_walk *walk)
{
    enum rc rc = audit_walk_root(walk, root_doc.bytes, &err);

    if (rc == RC_OK)
        rc = audit_walk_root(walk, next_doc.bytes, &err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = audit_walk_record(walk, list[i], NULL, NULL, &err);
    return rc;
}

static void a_whole_chain_is_whole(void **state)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    struct digest head;

    (void)state;
    assert_rc(walk_all(record, RECORDS, &walk), RC_OK);
    assert_int_equal(walk.entries, RECORDS);
    assert_int_equal(walk.n_signed, 4);
    assert_int_equal(walk.signed_seq, 5);
    assert_rc(sha256_of(record[RECORDS - 1], head.b, &err), RC_OK);
    assert_rc(audit_walk_end(&walk, RECORDS, &head, &err), RC_OK);
    assert_rc(audit_walk_end(&walk, RECORDS + 2, &head, &err), RC_AUDIT_BROKEN);
    assert_non_null(strstr(err.what, "entries 7 to 8 are missing"));
    assert_rc(audit_walk_end(&walk, RECORDS - 1, &head, &err), RC_AUDIT_BROKEN);
    head.b[0] ^= 1;
    assert_rc(audit_walk_end(&walk, RECORDS, &head, &err), RC_AUDIT_BROKEN);
}

#define assert_broken(list, n, words)                                                              \
    do {                                                                                           \
        scoped(audit_walk_done) struct audit_walk w_ = { 0 };                                      \
        assert_rc(walk_all(list, n, &w_), RC_AUDIT_BROKEN);                                        \
        if (!strstr(err.what, words))                                                              \
            fail_msg("want '%s', got '%s'", words, err.what);                                      \
    } while (0)

static void what_was_taken_out_moved_or_put_in_is_named(void **state)
{
    struct bytes list[RECORDS + 1];
    char words[64];

    (void)state;
    for (size_t at = 0; at + 1 < RECORDS; at++) {
        for (size_t i = 0; i + 1 < RECORDS; i++)
            list[i] = record[i < at ? i : i + 1];
        (void)snprintf(words, sizeof words, "entry %zu is missing", at + 1);
        assert_broken(list, RECORDS - 1, words);

        memcpy(list, record, RECORDS * sizeof list[0]);
        list[at] = record[at + 1];
        list[at + 1] = record[at];
        assert_broken(list, RECORDS, words); /* where the later one stands */

        for (size_t i = 0; i <= RECORDS; i++)
            list[i] = record[i <= at ? i : i - 1];
        (void)snprintf(words, sizeof words, "behind entry %zu stands entry %zu", at + 1, at + 1);
        assert_broken(list, RECORDS + 1, words);
    }
}

/* The same numbers, another story, made by who has no key. */
static void what_was_written_anew_is_named(void **state)
{
    struct bytes list[RECORDS];
    char words[96];

    (void)state;
    for (size_t at = 0; at + 1 < RECORDS; at++) {
        struct signed_doc kept = record_doc[at];
        struct audit_entry e = entry_at(at, at < 3 ? 1 : 2);

        memcpy(list, record, sizeof list);
        memcpy(e.what, "something else", 15);
        make_record(at, &e, DOC_KEYS);
        list[at] = record[at];
        (void)snprintf(words, sizeof words, "entry %zu does not follow on entry %zu", at + 2,
                       at + 1);
        assert_broken(list, RECORDS, words);
        record_doc[at] = kept;
        write_chain();
    }
}

/* A signature cannot be taken off, either. */
static void a_signature_that_is_gone_is_missed(void **state)
{
    struct bytes list[RECORDS];

    (void)state;
    memcpy(list, record, sizeof list);
    list[1] = record_doc[1].payload;
    assert_broken(list, RECORDS, "entry 3 does not follow on entry 2");
}

static void who_is_no_operator_vouches_for_nothing(void **state)
{
    struct bytes list[RECORDS];
    struct audit_entry e = entry_at(4, 2);

    (void)state;
    memcpy(list, record, sizeof list);
    make_record(4, &e, K_STRANGER);
    list[4] = record[4];
    assert_broken(list, 5, "entry 5: signed by nobody who was an operator then");
    make_record(4, &e, K_OPERATOR_A); /* rotated out */
    list[4] = record[4];
    assert_broken(list, 5, "entry 5: signed by nobody who was an operator then");
    e.root_version = 1; /* and it may not pretend that it was before */
    make_record(4, &e, K_OPERATOR_A);
    list[4] = record[4];
    assert_broken(list, 5, "entry 5: it names an older root");
    e.root_version = 3;
    make_record(4, &e, K_OPERATOR_B);
    list[4] = record[4];
    assert_broken(list, 5, "entry 5: it names a root that there is not");
    e.root_version = 0;
    make_record(4, &e, DOC_KEYS);
    list[4] = record[4];
    assert_broken(list, 5, "entry 5: it names an older root");
    write_chain();
}

static void a_signature_of_another_mission_or_type_is_none(void **state)
{
    struct signed_doc *d = &record_doc[1];
    const enum doc_key who = K_OPERATOR_A;
    struct bytes list[RECORDS];

    (void)state;
    memcpy(list, record, sizeof list);
    doc_sign(d, DOC_AUDIT, &other_mission, &who, 1);
    list[1] = d->bytes;
    assert_broken(list, 2, "entry 2: its signature is not good");
    doc_sign(d, DOC_ORDER, &doc_mission, &who, 1);
    list[1] = d->bytes;
    assert_broken(list, 2, "entry 2: its signature is not good");
    write_chain();
}

static void what_is_lost_is_given_up_by_an_operator(void **state)
{
    struct bytes list[RECORDS];
    struct audit_entry e = entry_at(5, 2);
    scoped(audit_walk_done) struct audit_walk walk = { 0 };

    (void)state;
    memcpy(list, record, sizeof list);
    e.seq = 10;
    e.lost = (struct audit_lost){ 4, 9 };
    make_record(5, &e, DOC_KEYS);
    list[5] = record[5];
    assert_broken(list, 6, "entry 10: it gives up entries, and no operator signed it");
    make_record(5, &e, K_OPERATOR_B);
    list[5] = record[5];
    assert_rc(walk_all(list, 6, &walk), RC_OK);
    assert_int_equal(walk.seq, 10);
    assert_int_equal(walk.n_lost, 4); /* 6 to 9 */
    e.seq = 11;
    make_record(5, &e, K_OPERATOR_B);
    list[5] = record[5];
    assert_broken(list, 6, "entry 10 is missing");
    write_chain();
}

static void no_record_is_named_too(void **state)
{
    static const uint8_t junk[][4] = { { 0x80 }, { 0xa0 }, { 0xff }, { 0x84, 0, 0, 0 } };
    struct bytes list[RECORDS];

    (void)state;
    memcpy(list, record, sizeof list);
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        list[2] = (struct bytes){ junk[i], sizeof junk[i] };
        assert_broken(list, RECORDS, "what is behind entry 2 is no entry");
    }
    list[2] = (struct bytes){ 0 };
    assert_broken(list, RECORDS, "what is behind entry 2 is no entry");
}

/* ---- files ---- */

static uint8_t *make_file(size_t *ret_n)
{
    const struct audit_file_root roots[] = { { root_doc.bytes }, { next_doc.bytes } };
    struct audit_file_head head = {
        .mission = doc_mission, .seq = RECORDS, .n_roots = 2, .root = roots
    };
    uint8_t *bytes = NULL;
    size_t n = 0;

    assert_rc(sha256_of(record[RECORDS - 1], head.head.b, &err), RC_OK);
    assert_rc(audit_file_head_encode(&head, &bytes, &n, &err), RC_OK);
    for (size_t i = 0; i < RECORDS; i++) {
        bytes = realloc(bytes, n + record[i].n);
        assert_non_null(bytes);
        memcpy(bytes + n, record[i].p, record[i].n);
        n += record[i].n;
    }
    *ret_n = n;
    return bytes;
}

static enum rc check_file(const uint8_t *bytes, size_t n)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 };

    return audit_file_check((struct bytes){ bytes, n }, &walk, &err);
}

static void a_file_is_checked_by_itself(void **state)
{
    size_t n = 0;
    scoped(free_ptr) uint8_t *bytes = make_file(&n);
    struct digest root;
    bool has = false;

    (void)state;
    assert_rc(check_file(bytes, n), RC_OK);
    assert_rc(sha256_of(next_doc.payload, root.b, &err), RC_OK);
    assert_rc(audit_file_has_root((struct bytes){ bytes, n }, &root, &has, &err), RC_OK);
    assert_true(has);
    root.b[0] ^= 1;
    has = false;
    assert_rc(audit_file_has_root((struct bytes){ bytes, n }, &root, &has, &err), RC_OK);
    assert_false(has);
    assert_rc(check_file(bytes, n - record[RECORDS - 1].n), RC_AUDIT_BROKEN);
    assert_non_null(strstr(err.what, "entries 6 to 6 are missing at the end"));
}

static void a_damaged_file_is_refused(void **state)
{
    size_t n = 0;
    scoped(free_ptr) uint8_t *bytes = make_file(&n);

    (void)state;
    for (size_t cut = 0; cut < n; cut += 397)
        assert_rc(check_file(bytes, cut), RC_AUDIT_BROKEN);
    for (size_t at = 0; at < n; at += 199) {
        bytes[at] ^= (uint8_t)(1U << (at % 8));
        assert_rc(check_file(bytes, n), RC_AUDIT_BROKEN);
        bytes[at] ^= (uint8_t)(1U << (at % 8));
    }
    assert_rc(check_file(bytes, n), RC_OK);
}

/* ---- a store ---- */

static char dir[64], path[96];
static struct store *store;

static int open_store(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-audit-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    return 0;
}

static int close_store(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

static void sql(const char *text)
{
    if (!store_rig_sql(path, text))
        fail_msg("%s", text);
}

static void unguard(void)
{
    assert_true(store_rig_unguard(path));
}

static void fill(unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        assert_rc(store_audit(store, "op", "push", i, &err, "number %u", i), RC_OK);
}

/* Whoever can write into the file can write anything: each is found but the last, for which the
 * store alone is no witness. */
static void who_writes_into_the_store_is_found_out(void **state)
{
    const struct {
        const char *sql;
        const char *words; /* NULL = goes unseen */
    } rows[] = {
        { "DELETE FROM audit WHERE seq = 1", "entry 1 is missing" },
        { "DELETE FROM audit WHERE seq = 3", "entry 3 is missing" },
        { "DELETE FROM audit WHERE seq > 3", "entries 4 to 5 are missing at the end" },
        { "DELETE FROM audit", "entries 1 to 5 are missing at the end" },
        { "UPDATE audit SET seq = 9 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 4;"
          "UPDATE audit SET seq = 4 WHERE seq = 9",
          "entry 4 is missing" },
        { store_rig_is_pg()
              ? "UPDATE audit SET record = overlay(record placing x'6d' from "
                "position(x'6e' in record)) WHERE seq = 5"
              : "UPDATE audit SET record = CAST(replace(record, x'6e', x'6d') AS BLOB) WHERE "
                "seq = 5",
          "entry 5 was changed" },
        { "UPDATE audit SET record = x'' WHERE seq = 2", "behind entry 1 is no entry" },
        { "UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", "entry 2 was changed" },
        { "UPDATE audit SET seq = 7 WHERE seq = 5", "entry 5 stands where entry 7 should" },
        { "INSERT INTO audit SELECT 6, hash, 0, 0, record FROM audit WHERE seq = 5",
          "behind entry 5 stands entry 5" },
        { "UPDATE audit_head SET seq = 4", "stand behind the end" },
        { "DELETE FROM audit_head", "stand behind the end" },
        { "INSERT INTO audit_before VALUES (1, 1, 'a', 'b', 'c', zeroblob(32))",
          "log before the records" },
        { "DELETE FROM audit WHERE seq > 3; UPDATE audit_head SET seq = 3, hash = (SELECT hash "
          "FROM audit WHERE seq = 3)",
          NULL },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(audit_walk_done) struct audit_walk walk = { 0 };

        fill(5);
        unguard();
        sql(rows[i].sql);
        enum rc rc = store_audit_check(store, &walk, &err);

        if (!rows[i].words)
            assert_rc(rc, RC_OK);
        else if (rc != RC_AUDIT_BROKEN || !strstr(err.what, rows[i].words))
            fail_msg("%s: %s, '%s'", rows[i].sql, rc_name(rc), err.what);
        assert_int_equal(close_store(state), 0);
        assert_int_equal(open_store(state), 0);
    }
}

/* A log of the form before: rows of their own hashes. */
static void the_log_before_goes_on_in_records(void **state)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 }, again = { 0 };
    scoped(free_ptr) struct store_audit *rows = NULL;
    uint8_t in[32 + 16 + 8 + 2 + 8 + 4 + 8 + 3] = { 0 };
    char hex[2 * DIGEST_SIZE + 1], text[256];
    struct digest hash;
    size_t n = 0;

    (void)state;
    bytes_put_be(in + 32, 8, 1);
    bytes_put_be(in + 40, 8, 77);
    bytes_put_be(in + 48, 8, 2);
    memcpy(in + 56, "op", 2);
    bytes_put_be(in + 58, 8, 4);
    memcpy(in + 66, "push", 4);
    bytes_put_be(in + 70, 8, 3);
    memcpy(in + 78, "cam", 3);
    assert_rc(sha256_of((struct bytes){ in, sizeof in }, hash.b, &err), RC_OK);
    (void)bytes_hex((struct bytes){ hash.b, sizeof hash.b }, hex);
    (void)snprintf(text, sizeof text,
                   "INSERT INTO audit_before VALUES (1, 77, 'op', 'push', 'cam', x'%s')", hex);
    sql(text);
    fill(1);
    assert_rc(store_audit_check(store, &walk, &err), RC_OK);
    assert_int_equal(walk.entries, 2);
    assert_rc(store_audit_list(store, 9, &rows, &n, &err), RC_OK);
    assert_string_equal(rows[0].entry.action, "chain-begun");
    assert_non_null(strstr(rows[0].entry.what, hex));
    unguard();
    sql("UPDATE audit_before SET detail = 'cat'");
    assert_rc(store_audit_check(store, &again, &err), RC_AUDIT_BROKEN);
    sql("DELETE FROM audit_before");
    assert_rc(store_audit_check(store, &again, &err), RC_AUDIT_BROKEN);
}

/* One that is not whole is told, by verify and by the entry that begins the chain, and what there
 * is of it cannot be changed from then on.  The log goes on. */
static void a_broken_log_before_is_told(void **state)
{
    static const char *const later[] = {
        "UPDATE audit_before SET detail = 'cat'", "DELETE FROM audit_before WHERE seq = 2",
        "INSERT INTO audit_before VALUES (3, 79, 'op', 'push', 'bus', zeroblob(32))"
    };

    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        scoped(audit_walk_done) struct audit_walk walk = { 0 }, again = { 0 };
        scoped(free_ptr) struct store_audit *rows = NULL;
        size_t n = 0;

        sql("INSERT INTO audit_before VALUES (1, 77, 'op', 'push', 'cam', zeroblob(32));"
            "INSERT INTO audit_before VALUES (2, 78, 'op', 'push', 'gps', zeroblob(32))");
        assert_rc(store_audit_check(store, &walk, &err), RC_AUDIT_BROKEN);
        assert_non_null(strstr(err.what, "log before the records, entry 1"));
        fill(2);
        assert_rc(store_audit_check(store, &walk, &err), RC_OK);
        assert_int_equal(walk.entries, 3);
        assert_rc(store_audit_list(store, 9, &rows, &n, &err), RC_OK);
        assert_string_equal(rows[0].entry.action, "chain-begun");
        assert_non_null(strstr(rows[0].entry.what, "does not verify from entry 1 on"));
        unguard();
        sql(later[i]);
        assert_rc(store_audit_check(store, &again, &err), RC_AUDIT_BROKEN);
        assert_int_equal(close_store(state), 0);
        assert_int_equal(open_store(state), 0);
    }
}

/* What a satellite or a path brought in does not reach a terminal. */
static void what_is_not_printable_is_not_kept(void **state)
{
    scoped(free_ptr) struct store_audit *rows = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_audit(store, "o\033p", "push", 1, &err, "a\033[2Jb\xff%0600d", 7), RC_OK);
    assert_rc(store_audit_list(store, 1, &rows, &n, &err), RC_OK);
    assert_string_equal(rows[0].entry.who, "o?p");
    assert_memory_equal(rows[0].entry.what, "a?[2Jb?000", 10);
    assert_int_equal(strlen(rows[0].entry.what), AUDIT_WHAT_CAP - 1);
}

static enum rc sign_nothing(void *arg, struct bytes entry, uint8_t **ret, size_t *ret_n,
                            struct err *out)
{
    (void)entry;
    (void)ret;
    (void)ret_n;
    ++*(unsigned *)arg;
    return err_set(out, RC_SIGNER, "broke");
}

/* An entry that cannot be signed though somebody should is none, and neither is its change. */
static void the_entry_and_its_change_are_one(void **state)
{
    unsigned calls = 0;
    const struct store_audit_by by = { .why = "w", .sign = sign_nothing, .arg = &calls };
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    char value[8];

    (void)state;
    assert_rc(store_put_document(store, DOC_ROOT, "root", 1, root_doc.bytes, 1, &err), RC_OK);
    store_audit_by(store, &by);
    {
        scoped(store_rollback) struct store *open = NULL;

        assert_rc(store_begin(store, &open, &err), RC_OK);
        assert_rc(store_set(store, "fleet", "x", &err), RC_OK);
        assert_rc(store_audit(store, "op", "push", 1, &err, "x"), RC_SIGNER);
    }
    assert_int_equal(calls, 1);
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_NOT_FOUND);
    assert_rc(store_audit_check(store, &walk, &err), RC_OK);
    assert_int_equal(walk.entries, 0);
}

static void numbers_that_were_given_up_are_known(void **state)
{
    struct store_audit_by by = { .lost = { 3, 6 } };
    struct digest hash;
    bool lost = false;

    (void)state;
    fill(2);
    store_audit_by(store, &by);
    assert_rc(store_audit(store, "op", "accept", 1, &err, "x"), RC_OK);
    by.lost = (struct audit_lost){ 0, 0 };
    fill(1);
    assert_rc(store_audit_hash(store, 2, &hash, &lost, &err), RC_OK);
    assert_false(lost);
    assert_rc(store_audit_hash(store, 3, &hash, &lost, &err), RC_NOT_FOUND);
    assert_true(lost);
    assert_rc(store_audit_hash(store, 7, &hash, &lost, &err), RC_OK);
    assert_false(lost);
    assert_rc(store_audit_hash(store, 8, &hash, &lost, &err), RC_OK);
    assert_rc(store_audit_hash(store, 9, &hash, &lost, &err), RC_NOT_FOUND);
    assert_false(lost);
}

int main(void)
{
#define STORE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_comes_back),
        cmocka_unit_test(the_longest_entry_fits),
        cmocka_unit_test(nonsense_is_not_encoded),
        cmocka_unit_test(what_a_why_is),
        cmocka_unit_test(a_whole_chain_is_whole),
        cmocka_unit_test(what_was_taken_out_moved_or_put_in_is_named),
        cmocka_unit_test(what_was_written_anew_is_named),
        cmocka_unit_test(a_signature_that_is_gone_is_missed),
        cmocka_unit_test(who_is_no_operator_vouches_for_nothing),
        cmocka_unit_test(a_signature_of_another_mission_or_type_is_none),
        cmocka_unit_test(what_is_lost_is_given_up_by_an_operator),
        cmocka_unit_test(no_record_is_named_too),
        cmocka_unit_test(a_file_is_checked_by_itself),
        cmocka_unit_test(a_damaged_file_is_refused),
        STORE(who_writes_into_the_store_is_found_out),
        STORE(the_log_before_goes_on_in_records),
        STORE(a_broken_log_before_is_told),
        STORE(what_is_not_printable_is_not_kept),
        STORE(the_entry_and_its_change_are_one),
        STORE(numbers_that_were_given_up_are_known),
    };

    return cmocka_run_group_tests(tests, make_chain, end_chain);
}
