/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file of tests/vectors/INDEX.tsv at both levels.  INDEX.tsv says in words what people expect
 * of a file, with the verdict of an independent checker; OUTCOMES.tsv says which code this decoder
 * gives. Both must hold: the codes are exact, and the codes agree with the words.
 */
#include "tests/unit/test.h"

#include "link/bpsec.h"
#include "link/record.h"
#include "tests/unit/vectors.h"

#define ROWS_MAX 400U
#define COLUMNS_MAX 9U
#define LINE_MAX_SIZE 1024U
#define FILES 180U /* named by INDEX.tsv */

/* One line of a table, cut into columns. */
struct line {
    char text[LINE_MAX_SIZE];
    const char *column[COLUMNS_MAX];
    bool used;
};

struct table {
    struct line lines[ROWS_MAX + 1];
    size_t n;
};

enum { INDEX_FILE, INDEX_BYTES, INDEX_EXPECTED, INDEX_CHECKER };
enum { OUT_FILE, OUT_KIND, OUT_STRICT, OUT_LENIENT, OUT_SECURITY, OUT_NOTE };

static struct table index_table;
static struct table outcomes;
static struct vector key_hmac;
static struct vector key_a128;
static struct vector key_a256;
static struct vector key_kek;
static unsigned made_again; /* security operations */

static void table_load(const char *path, struct table *t)
{
    FILE *f = fopen(path, "re");

    assert_non_null(f);
    while (t->n < ROWS_MAX && fgets(t->lines[t->n].text, LINE_MAX_SIZE, f)) {
        struct line *line = &t->lines[t->n++];
        char *at = line->text;

        at[strcspn(at, "\n")] = '\0';
        for (size_t i = 0; i < COLUMNS_MAX; i++)
            line->column[i] = at ? strsep(&at, "\t") : "";
    }
    assert_true(feof(f));
    (void)fclose(f);
}

static struct line *outcome_of(const char *file)
{
    size_t i = 1;

    while (i < outcomes.n && strcmp(outcomes.lines[i].column[OUT_FILE], file) != 0)
        i++;
    if (i == outcomes.n)
        fail_msg("%s is not in OUTCOMES.tsv", file);
    return &outcomes.lines[i];
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- what this decoder does ---- */

/* What was seen of one file; rc_name gives the words of OUTCOMES.tsv. */
struct seen {
    enum rc strict;
    enum rc lenient;
    bool has_security; /* lenient, and there are security blocks */
    enum rc security;
};

static enum rc find_key(void *arg, const struct bpsec_asb *asb, struct bytes *ret, struct err *err)
{
    (void)arg;
    (void)err;
    if (asb->context == BPSEC_BIB_HMAC)
        *ret = vector_bytes(&key_hmac);
    else if (asb->wrapped_key.n > 0)
        *ret = vector_bytes(&key_kek);
    else
        *ret = vector_bytes(asb->variant == BPSEC_A128GCM ? &key_a128 : &key_a256);
    return RC_OK;
}

static const struct bpsec_keyring keyring = { .find = find_key };

static void assert_same(const char *file, const struct cbor_out *w, struct bytes in)
{
    if (w->full || w->n != in.n || memcmp(w->p, in.p, in.n) != 0)
        fail_msg("%s: not the same bytes when encoded again", file);
}

/* Encoded again from the decoded struct, security blocks from the decoded ASB too. */
static void encode_again(const char *file, const struct bundle *b)
{
    static uint8_t out[VECTOR_MAX];
    static uint8_t out_asb[VECTOR_MAX];
    struct cbor_out w = { .p = out_asb, .cap = sizeof out_asb };
    struct bpsec_asb asb;
    struct bytes again;

    assert_rc(bundle_encode(b, out, sizeof out, &again, NULL), RC_OK);
    assert_same(file, &(struct cbor_out){ .p = out, .n = again.n }, b->raw);
    for (size_t i = 0; i < b->n_blocks; i++) {
        uint64_t type = b->blocks[i].type;

        if ((type != BLOCK_BIB && type != BLOCK_BCB) ||
            bpsec_asb_decode(b->blocks[i].data, type, BUNDLE_LENIENT, &asb, NULL) != RC_OK ||
            asb.context > BPSEC_BCB_GCM)
            continue;
        w.n = 0;
        bpsec_asb_put(&w, &asb);
        assert_same(file, &w, b->blocks[i].data);
    }
}

/* Decoded blocks without data are encoded from the decoded fields. */
static void encode_fields_again(const char *file, struct bundle *b)
{
    static uint8_t out[VECTOR_MAX];
    struct bytes again;

    for (size_t i = 0; i < b->n_blocks; i++) {
        uint64_t type = b->blocks[i].type;

        if ((type == BLOCK_AGE && b->has_age) || (type == BLOCK_HOP_COUNT && b->has_hops) ||
            (type == BLOCK_PREVIOUS_NODE && b->has_previous))
            b->blocks[i].data = (struct bytes){ 0 };
    }
    assert_rc(bundle_encode(b, out, sizeof out, &again, NULL), RC_OK);
    assert_same(file, &(struct cbor_out){ .p = out, .n = again.n }, b->raw);
}

/* The other way round, from a bundle whose operations are undone: its security blocks say how each
 * was done, and doing it again gives the bytes that came, wrapped keys included. */
static void secure_again(const char *file, const struct bundle *came, const struct bundle *open)
{
    static uint8_t out[VECTOR_MAX];
    struct bpsec_asb asb = { 0 };

    for (size_t i = 0; i < open->n_blocks; i++) {
        const struct bundle_block *block = &open->blocks[i];
        bool bcb = block->type == BLOCK_BCB;
        scoped(bpsec_key_wipe) struct bpsec_key key = { 0 };
        uint8_t wrapped[BPSEC_WRAPPED_MAX], made[BPSEC_MAC_MAX];
        size_t n_made = GCM_TAG_SIZE;

        if (!bcb && block->type != BLOCK_BIB)
            continue;
        assert_rc(bpsec_asb_decode(block->data, block->type, BUNDLE_LENIENT, &asb, NULL), RC_OK);
        assert_rc(bpsec_key_of(&keyring, &asb, &key, NULL), RC_OK);
        if (asb.wrapped_key.n > 0) {
            assert_rc(crypto_wrap(vector_bytes(&key_kek), key.bytes, wrapped, NULL), RC_OK);
            assert_memory_equal(wrapped, asb.wrapped_key.p, asb.wrapped_key.n);
        }
        for (size_t k = 0; k < asb.n_targets; k++) {
            struct bytes want = asb.results[k];

            if (bcb) {
                const struct bundle_block *sealed = bundle_block(came, asb.targets[k]);
                struct bytes plain = bundle_block(open, asb.targets[k])->data;

                assert_rc(bpsec_encrypt(open, block, &asb, asb.targets[k], key.bytes, plain, out,
                                        made, NULL),
                          RC_OK);
                assert_memory_equal(out, sealed->data.p, plain.n);
                if (want.n == 0) /* appended */
                    want = (struct bytes){ .p = sealed->data.p + plain.n, .n = GCM_TAG_SIZE };
            } else {
                assert_rc(
                    bpsec_mac(open, block, &asb, asb.targets[k], key.bytes, made, &n_made, NULL),
                    RC_OK);
            }
            if (n_made != want.n || memcmp(made, want.p, want.n) != 0)
                fail_msg("%s: not the same MAC or tag when made again", file);
            made_again++;
        }
    }
}

static void see_bundle(const char *file, struct vector *v, struct seen *ret)
{
    static struct bundle b;
    static struct bundle came;
    static struct vector was;

    ret->strict = bpsec_take(vector_bytes(v), BUNDLE_STRICT, &b, NULL);
    if (ret->strict == RC_OK)
        encode_again(file, &b);
    ret->lenient = bpsec_take(vector_bytes(v), BUNDLE_LENIENT, &b, NULL);
    if (ret->lenient != RC_OK)
        return;
    encode_again(file, &b);
    for (size_t i = 0; i < b.n_blocks; i++)
        ret->has_security |= b.blocks[i].type == BLOCK_BIB || b.blocks[i].type == BLOCK_BCB;
    if (ret->has_security) {
        was = *v;
        assert_rc(bundle_decode(vector_bytes(&was), BUNDLE_LENIENT, &came, NULL), RC_OK);
        ret->security = bpsec_process(v->p, &b, &keyring, NULL);
        if (ret->security == RC_OK)
            secure_again(file, &came, &b);
        return;
    }
    encode_fields_again(file, &b);
}

static enum rc see_primary(const char *file, struct bytes in, enum bundle_level level)
{
    static struct bundle b;
    uint8_t out[1024];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    enum rc rc = bundle_decode_primary(in, level, &b, NULL);

    if (rc == RC_OK) {
        bundle_put_primary(&w, &b);
        assert_same(file, &w, in);
    }
    return rc;
}

static enum rc see_block(const char *file, struct bytes in)
{
    static const struct bundle none;
    uint8_t out[1024];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bundle_block block;
    enum rc rc = bundle_decode_block(in, &block, NULL);

    if (rc == RC_OK) {
        bundle_put_block(&w, &none, &block);
        assert_same(file, &w, in);
    }
    return rc;
}

static enum rc see_asb(const char *file, struct bytes in, uint64_t type, enum bundle_level level)
{
    uint8_t out[1024];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bpsec_asb asb;
    enum rc rc = bpsec_asb_decode(in, type, level, &asb, NULL);

    if (rc == RC_OK) {
        bpsec_asb_put(&w, &asb);
        assert_same(file, &w, in);
    }
    return rc;
}

/* For endpoint IDs the words of INDEX.tsv begin with the URI. */
static enum rc see_eid(const char *file, const char *expected, struct bytes in,
                       enum bundle_level level)
{
    uint8_t out[EID_WIRE_MAX];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    char text[EID_TEXT_CAP];
    struct eid eid;
    enum rc rc = eid_decode(in, level, &eid, NULL);

    if (rc != RC_OK)
        return rc;
    eid_put(&w, &eid);
    assert_same(file, &w, in);
    /* A small ipn name has the default allocator, which is not printed. */
    (void)eid_text(&eid, text, sizeof text);
    if (!starts(expected, text))
        fail_msg("%s is %s", file, text);
    return RC_OK;
}

/* The payload of RFC 9173 A.1.1.2, as it is inside the bundle of A.1.1.3. */
static enum rc see_bytes(struct bytes in)
{
    static struct vector v;
    static struct bundle b;

    vector_load("rfc9173/a1-original-bundle.hex", &v);
    assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
    return bytes_equal(bundle_payload(&b), in) ? RC_OK : RC_VALUE;
}

static void see_level(const char *kind, const char *file, const char *expected, struct bytes in,
                      enum bundle_level level, enum rc *ret)
{
    if (strcmp(kind, "primary") == 0)
        *ret = see_primary(file, in, level);
    else if (strcmp(kind, "block") == 0)
        *ret = see_block(file, in);
    else if (strcmp(kind, "asb-bib") == 0)
        *ret = see_asb(file, in, BLOCK_BIB, level);
    else if (strcmp(kind, "asb-bcb") == 0)
        *ret = see_asb(file, in, BLOCK_BCB, level);
    else if (strcmp(kind, "eid") == 0)
        *ret = see_eid(file, expected, in, level);
    else if (strcmp(kind, "bytes") == 0)
        *ret = see_bytes(in);
    else
        fail_msg("%s: kind %s", file, kind);
}

/* ---- what people expect ---- */

enum words {
    ACCEPTED,       /* at least lenient; strict if the checker found nothing */
    REFUSED,        /* at both levels */
    REFUSED_STRICT, /* strict */
    LENIENT_ONLY,   /* lenient, not strict */
    NOT_VERIFIED,   /* refused at the latest when MACs and tags are checked */
    RECORD_REFUSED, /* accepted, with a payload that is no administrative record */
    PART,           /* not a bundle; re-encoding has been compared */
    PART_REFUSED,
};

static enum words words_of(const char *kind, const char *expected)
{
    static const struct {
        const char *start;
        enum words words;
    } rows[] = {
        { "reject in strict", REFUSED_STRICT },
        { "reject the record", RECORD_REFUSED },
        { "reject or treat as unverifiable", NOT_VERIFIED },
        { "reject: BIB or BCB fails", NOT_VERIFIED },
        { "reject", REFUSED },
        { "delete", REFUSED },
        { "lenient", LENIENT_ONLY },
        { "BIB fails", NOT_VERIFIED },
        { "BIB/MAC verification must FAIL", NOT_VERIFIED },
        { "decrypt fails", NOT_VERIFIED },
        { "decode OK", ACCEPTED },
        { "ACCEPT", ACCEPTED },
        { "accept", ACCEPTED },
        { "VERIFIES", ACCEPTED },
    };

    if (strcmp(kind, "bundle") != 0)
        return strstr(expected, "reject") || strstr(expected, "unknown scheme") ? PART_REFUSED
                                                                                : PART;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (starts(expected, rows[i].start))
            return rows[i].words;
    }
    fail_msg("nobody knows what \"%s\" expects", expected);
    return REFUSED;
}

static bool record_refused(const char *file)
{
    static struct vector v;
    static struct bundle b;
    struct record record;

    vector_load(file, &v);
    assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_STRICT, &b, NULL), RC_OK);
    return (b.flags & BUNDLE_ADMIN) && record_decode(bundle_payload(&b), &record, NULL) != RC_OK;
}

static bool agrees(const char *file, enum words words, const char *expected, const char *checker,
                   const struct seen *seen)
{
    bool strict = seen->strict == RC_OK;
    bool lenient = seen->lenient == RC_OK;
    bool verified = lenient && (!seen->has_security || seen->security == RC_OK);

    if ((starts(expected, "VERIFIES") || strstr(expected, "ops verify") ||
         strstr(expected, "operations verify")) &&
        (!seen->has_security || !verified))
        return false;
    switch (words) {
    case ACCEPTED:
        return lenient && strict == (strcmp(checker, "strict-RFC9171-ok") == 0);
    case REFUSED:
        return !strict && !lenient;
    case REFUSED_STRICT:
        return !strict;
    case LENIENT_ONLY:
        return lenient && !strict;
    case NOT_VERIFIED:
        return !verified;
    case RECORD_REFUSED:
        return strict && lenient && record_refused(file);
    case PART:
        return lenient;
    case PART_REFUSED:
    default:
        return !strict && !lenient;
    }
}

/* ---- tests ---- */

static int load_all(void **state)
{
    (void)state;
    table_load(VECTOR_DIR "INDEX.tsv", &index_table);
    table_load(VECTOR_DIR "OUTCOMES.tsv", &outcomes);
    vector_secret("hmac_key", &key_hmac);
    vector_secret("a2.cek", &key_a128);
    vector_secret("a4.aes_key", &key_a256);
    vector_secret("a2.kek", &key_kek);
    return 0;
}

static void see(const struct line *want, const char *expected, struct vector *v, struct seen *ret)
{
    const char *kind = want->column[OUT_KIND];
    const char *file = want->column[OUT_FILE];

    *ret = (struct seen){ 0 };
    if (strcmp(kind, "bundle") == 0) {
        see_bundle(file, v, ret);
        return;
    }
    see_level(kind, file, expected, vector_bytes(v), BUNDLE_STRICT, &ret->strict);
    see_level(kind, file, expected, vector_bytes(v), BUNDLE_LENIENT, &ret->lenient);
}

static void test_every_file(void **state)
{
    static struct vector v;
    unsigned files = 0;
    unsigned noted = 0;
    unsigned taken[3] = { 0 };
    unsigned secured = 0;

    (void)state;
    for (size_t i = 1; i < index_table.n; i++) {
        const char *const *row = index_table.lines[i].column;
        struct line *want = outcome_of(row[INDEX_FILE]);
        struct seen seen;

        vector_load(row[INDEX_FILE], &v);
        assert_int_equal(v.n, strtoul(row[INDEX_BYTES], NULL, 10));
        see(want, row[INDEX_EXPECTED], &v, &seen);
        if (strcmp(rc_name(seen.strict), want->column[OUT_STRICT]) != 0 ||
            strcmp(rc_name(seen.lenient), want->column[OUT_LENIENT]) != 0 ||
            strcmp(seen.has_security ? rc_name(seen.security) : "-", want->column[OUT_SECURITY]))
            fail_msg("%s: strict %s, lenient %s, security %s", row[INDEX_FILE],
                     rc_name(seen.strict), rc_name(seen.lenient),
                     seen.has_security ? rc_name(seen.security) : "-");
        if (!agrees(row[INDEX_FILE], words_of(want->column[OUT_KIND], row[INDEX_EXPECTED]),
                    row[INDEX_EXPECTED], row[INDEX_CHECKER], &seen)) {
            if (want->column[OUT_NOTE][0] == '\0')
                fail_msg("%s: expected \"%s\"", row[INDEX_FILE], row[INDEX_EXPECTED]);
            noted++;
        }
        assert_false(want->used);
        want->used = true;
        files++;
        secured += seen.has_security;
        taken[0] += seen.strict == RC_OK;
        taken[1] += seen.lenient == RC_OK;
        taken[2] += seen.has_security && seen.security == RC_OK;
    }
    print_message(
        "%u files: %u pass strict, %u pass lenient; of %u with security blocks %u verify; "
        "%u contradict INDEX.tsv for the reason in OUTCOMES.tsv\n",
        files, taken[0], taken[1], secured, taken[2], noted);
    assert_int_equal(files, FILES);
    assert_int_equal(outcomes.n - 1, FILES);
    assert_int_equal(noted, 3);
    print_message("%u security operations made again, byte for byte\n", made_again);
    assert_true(made_again >= taken[2]);
}

/* Every prefix of every file is refused, and so is every file with a byte added. */
static void test_every_cut(void **state)
{
    static struct vector v;
    static struct bundle b;
    unsigned cuts = 0;

    (void)state;
    for (size_t i = 1; i < outcomes.n; i++) {
        if (strcmp(outcomes.lines[i].column[OUT_KIND], "bundle") != 0)
            continue;
        vector_load(outcomes.lines[i].column[OUT_FILE], &v);
        for (size_t n = 0; n < v.n; n++) {
            enum rc rc =
                bundle_decode((struct bytes){ .p = v.p, .n = n }, BUNDLE_LENIENT, &b, NULL);

            /* One file is a valid bundle with a byte behind it. */
            if (rc == RC_OK && !strstr(outcomes.lines[i].column[OUT_FILE], "trailing"))
                fail_msg("%s cut to %zu", outcomes.lines[i].column[OUT_FILE], n);
            cuts++;
        }
        /* One file lacks nothing but this byte. */
        if (strstr(outcomes.lines[i].column[OUT_FILE], "missing-break"))
            continue;
        v.p[v.n] = 0xff;
        assert_int_not_equal(
            bundle_decode((struct bytes){ .p = v.p, .n = v.n + 1 }, BUNDLE_LENIENT, &b, NULL),
            RC_OK);
    }
    print_message("%u cuts refused\n", cuts);
    assert_true(cuts > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file),
        cmocka_unit_test(test_every_cut),
    };

    return cmocka_run_group_tests(tests, load_all, NULL);
}
