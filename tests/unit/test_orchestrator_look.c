/* SPDX-License-Identifier: Apache-2.0
 *
 * What a ground elsewhere asks to sign, held against the fleet file, the mission, the clock and
 * what was signed here before: each lie of a ground ends without anything to sign.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "manifest/token.h"
#include "orchestrator/look.h"

#define NOW UINT64_C(1800000000000)
#define DAY (UINT64_C(24) * 3600 * 1000)
#define LIFE (30 * DAY)

static const struct mission mission = { "berth-test-fleet" }, other = { "other-test-fleet" };
static struct err err;

static const char file[] = "fleet: aurora\n"
                           "satellites: [{id: aurora-1}, {id: aurora-2}, {id: aurora-3}]\n"
                           "desired:\n"
                           "  - select: all\n"
                           "    payloads:\n"
                           "      acme/cam: {version: 1.0.0, digest: "
                           "1111111111111111111111111111111111111111111111111111111111111111}\n"
                           "  - select: id=aurora-2\n"
                           "    payloads: {acme/db: 2.0.0}\n"
                           "  - select: id=aurora-3\n"
                           "    payloads: {acme/db: {version: 2.0.0, hold: true}}\n";

/* The world of one test. */
struct world {
    struct fleet *fleet;
    struct digest server;
    struct signed_before before; /* of every satellite */
    struct look_rules rules;
    uint32_t n;
    struct look_in in[8];
    uint8_t bytes[8][REQUEST_FILE_MAX];
    struct digest digest[8]; /* of the payloads */
    struct order order;      /* to be changed and asked for */
    struct look *look;
};
static struct world *w;

static enum rc recall(void *arg, const char *satellite, struct signed_before *ret, struct err *e)
{
    struct world *world = arg;

    (void)e;
    *ret = world->before;
    memcpy(ret->satellite, satellite, strlen(satellite) + 1);
    return RC_OK;
}

static int begin(void **state)
{
    struct yaml *doc = NULL;

    (void)state;
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_rc(yaml_parse(bytes_of(file), "fleet.yaml", &doc, &err), RC_OK);
    assert_rc(fleet_read(doc, "fleet.yaml", &w->fleet, &err), RC_OK);
    yaml_close(&doc);
    assert_rc(signed_server("https://a", &w->server, &err), RC_OK);
    w->rules = (struct look_rules){ .mission = &mission,
                                    .fleet = w->fleet,
                                    .server = &w->server,
                                    .life_ms = LIFE,
                                    .now_ms = NOW,
                                    .before = recall,
                                    .arg = w };
    w->order = (struct order){ .satellite = "aurora-1",
                               .generation = 5,
                               .issued_ms = NOW,
                               .n_lines = 1,
                               .line = { { .tenant = "acme", .name = "cam" } } };
    memset(&w->order.line[0].manifest, 0x11, DIGEST_SIZE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    look_free(&w->look);
    free(w->fleet);
    free(w);
    return 0;
}

static void put(const char *name, enum doc_type type, const struct mission *of,
                struct bytes payload)
{
    struct request request = { .type = type, .mission = *of, .payload = payload };

    assert_true(w->n < 8);
    w->in[w->n].name = name;
    assert_rc(sha256_of(payload, w->digest[w->n].b, &err), RC_OK);
    assert_rc(request_encode(&request, w->bytes[w->n], REQUEST_FILE_MAX, &w->in[w->n].file, &err),
              RC_OK);
    w->n++;
}

static void put_order(const char *name, const struct mission *of)
{
    static uint8_t buf[DOCUMENT_MAX];
    struct bytes payload = { 0 };

    assert_rc(order_encode(&w->order, buf, sizeof buf, &payload, &err), RC_OK);
    put(name, DOC_ORDER, of, payload);
}

static struct token token_of(uint32_t i)
{
    struct token token = { .generation = w->order.generation,
                           .issued_ms = NOW,
                           .expires_ms = NOW + LIFE,
                           .order = w->digest[i] };

    memcpy(token.satellite, w->order.satellite, sizeof token.satellite);
    return token;
}

static void put_token(const char *name, const struct token *token)
{
    uint8_t buf[TOKEN_MAX];
    struct bytes payload = { 0 };

    assert_rc(token_encode(token, buf, sizeof buf, &payload, &err), RC_OK);
    put(name, DOC_TOKEN, &mission, payload);
}

/* What was put, held against the rules; a refusal leaves no look. */
static enum rc look(void)
{
    struct look *got = NULL;
    enum rc rc = look_make(&w->rules, w->in, w->n, &got, &err);

    if (rc != RC_OK)
        assert_null(got);
    look_free(&w->look);
    w->look = got;
    w->n = 0;
    return rc;
}

static enum rc look_one(const char *name, const struct mission *of)
{
    put_order(name, of);
    return look();
}

static void add_line(const char *name, int byte)
{
    struct order_line *line = &w->order.line[w->order.n_lines++];

    *line = (struct order_line){ .tenant = "acme" };
    (void)snprintf(line->name, sizeof line->name, "%s", name);
    memset(&line->manifest, byte, DIGEST_SIZE);
}

static void be_satellite(int n)
{
    (void)snprintf(w->order.satellite, sizeof w->order.satellite, "aurora-%d", n);
}

static void what_the_file_says_is_taken(void **state)
{
    const struct request *request = NULL;

    (void)state;
    assert_rc(look(), RC_OK); /* nothing is asked for */
    assert_int_equal(look_requests(w->look), 0);
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_requests(w->look), 1);
    assert_int_equal(look_questions(w->look), 0);
    assert_int_equal(look_order(w->look, 0)->generation, 5);
    assert_rc(look_take(w->look, 0, &request, &err), RC_OK);
    assert_ptr_equal(request, look_at(w->look, 0));
    assert_int_equal(request->type, DOC_ORDER);
}

static void another_mission(void **state)
{
    (void)state;
    assert_rc(look_one("order-aurora-1", &other), RC_MISSION);
}

static void one_line_more_or_less(void **state)
{
    (void)state;
    add_line("spy", 0x33);
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
    w->order.n_lines = 0;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
    add_line("spy", 0x11); /* the same bytes under another name */
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
    w->order.n_lines = 0;
    add_line("cam", 0x11);
    add_line("db", 0x22); /* wanted, but elsewhere */
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
}

static void another_digest(void **state)
{
    (void)state;
    w->order.line[0].manifest.b[DIGEST_SIZE - 1] ^= 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_DIGEST_MISMATCH);
}

static void satellites(void **state)
{
    (void)state;
    be_satellite(9);
    assert_rc(look_one("order-aurora-9", &mission), RC_NO_SATELLITE);
    be_satellite(2); /* there, but under another's name */
    add_line("db", 0x22);
    assert_rc(look_one("order-aurora-1", &mission), RC_NO_SATELLITE);
    assert_rc(look_one("order-", &mission), RC_NO_SATELLITE);
}

static void generations(void **state)
{
    struct digest second;

    (void)state;
    assert_rc(signed_server("https://b", &second, &err), RC_OK);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.issued_ms += 1000;
    w->order.witness = (struct witness){ .seq = 3, .head = { { 1 } } };
    assert_rc(look_one("order-aurora-1", &mission), RC_OK); /* the same once more */
    w->rules.server = &second;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
    w->rules.server = &w->server;
    w->order.generation = 4; /* older */
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
    w->order.generation = 6;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.generation = 5 + LOOK_GENERATIONS_MAX;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.generation++;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
    w->order.generation = INT64_MAX;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
}

/* The same generation with another content, though both are what a file says. */
static void two_orders_of_one_generation(void **state)
{
    (void)state;
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->before.content.b[0] ^= 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
    w->rules.again = true; /* somebody knows that this server has refused the first */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.generation--;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
    w->order.generation++;
    w->before.server.b[0] ^= 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_GENERATION);
}

static void times(void **state)
{
    (void)state;
    w->order.issued_ms = NOW - LOOK_CLOCK_MS;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.issued_ms--;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_TIME);
    w->order.issued_ms = NOW + LOOK_CLOCK_MS;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.issued_ms++;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_TIME);
    w->order.issued_ms = 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_TIME);
    w->order.issued_ms = INT64_MAX;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_TIME);
    w->order.issued_ms = NOW;
    w->order.expires_ms = NOW + DAY; /* a deadline that nobody asked for */
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
}

static void other_documents(void **state)
{
    static uint8_t buf[DOCUMENT_MAX];
    struct token token;
    struct bytes payload = { 0 };
    struct request noted = { .type = DOC_ORDER, .mission = mission, .note = "sign quickly" };

    (void)state;
    put_order("grant-acme", &mission);
    assert_rc(look(), RC_DOC_TYPE);
    put_order("order-aurora-1", &mission);
    w->n = 0;
    token = token_of(0);
    put_token("order-aurora-1", &token);
    assert_rc(look(), RC_DOC_TYPE);
    put_order("token-aurora-1", &mission);
    assert_rc(look(), RC_DOC_TYPE);
    w->in[0] = (struct look_in){ "order-aurora-1", bytes_of("not a request") };
    w->n = 1;
    assert_int_not_equal(look(), RC_OK);
    assert_rc(order_encode(&w->order, buf, sizeof buf, &payload, &err), RC_OK);
    noted.payload = payload;
    assert_rc(request_encode(&noted, w->bytes[0], REQUEST_FILE_MAX, &w->in[0].file, &err), RC_OK);
    w->n = 1;
    assert_rc(look(), RC_LOOK_ORDER);
}

/* A grant, a root, a delegation: whatever it is called. */
static void no_other_type_is_signed(void **state)
{
    static const enum doc_type types[] = { DOC_ROOT,       DOC_GRANT, DOC_MANIFEST,
                                           DOC_REVOCATION, DOC_REKEY, DOC_DELEGATION };

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t at = 0;

        put_order("order-aurora-1", &mission);
        /* ["berth-sign-request", 1, type, ...]: the type is the byte behind the word and the 1 */
        at = 1 + 1 + strlen("berth-sign-request") + 1;
        assert_int_equal(w->bytes[0][at], DOC_ORDER);
        w->bytes[0][at] = (uint8_t)types[i];
        assert_rc(look(), RC_DOC_TYPE);
    }
}

static void names(void **state)
{
    (void)state;
    put_order("order-aurora-1", &mission);
    put_order("order-aurora-1", &mission);
    assert_rc(look(), RC_API_SERVER);
    be_satellite(2);
    add_line("db", 0x22);
    put_order("order-aurora-2", &mission);
    be_satellite(1);
    w->order.n_lines = 1;
    put_order("order-aurora-1", &mission);
    assert_rc(look(), RC_API_SERVER);
    assert_rc(look_make(&w->rules, w->in, (size_t)LOOK_REQUESTS_MAX + 1, &w->look, &err),
              RC_TOO_LARGE);
}

static void stages(void **state)
{
    (void)state;
    w->order.staged = true;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
    w->rules.staged = true;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    w->order.staged = false;
    assert_rc(look_one("order-aurora-1", &mission), RC_LOOK_ORDER);
}

static void tokens(void **state)
{
    struct token token;

    (void)state;
    w->rules.staged = w->order.staged = true;
    for (int i = 0; i < 10; i++) {
        static const enum rc want[] = { RC_OK,         RC_LOOK_TOKEN, RC_LOOK_TOKEN, RC_LOOK_TOKEN,
                                        RC_LOOK_TOKEN, RC_LOOK_TIME,  RC_LOOK_TIME,  RC_LOOK_TOKEN,
                                        RC_OK,         RC_LOOK_TOKEN };

        put_order("order-aurora-1", &mission);
        token = token_of(0);
        token.order.b[3] ^= i == 1;
        token.generation += i == 2;
        token.expires_ms += i == 3;
        if (i == 4)
            memcpy(token.satellite, "aurora-2", 9);
        if (i == 5 || i == 6) {
            token.issued_ms += i == 5 ? LOOK_CLOCK_MS + 1 : -LOOK_CLOCK_MS - 1;
            token.expires_ms = token.issued_ms + LIFE;
        }
        if (i == 7)
            token.order384.b[0] = 1;
        if (i == 8) {
            static uint8_t buf[DOCUMENT_MAX];
            struct bytes payload = { 0 };

            assert_rc(order_encode(&w->order, buf, sizeof buf, &payload, &err), RC_OK);
            assert_rc(sha384_of(payload, token.order384.b, &err), RC_OK);
        }
        if (i == 9)
            w->n = 0; /* of an order that was not asked for in this run */
        put_token("token-aurora-1", &token);
        assert_rc(look(), want[i]);
    }
    w->rules.staged = w->order.staged = false;
    put_order("order-aurora-1", &mission);
    token = token_of(0);
    put_token("token-aurora-1", &token);
    assert_rc(look(), RC_LOOK_TOKEN);
}

static void versions_without_a_digest_are_asked_for(void **state)
{
    const struct request *request = NULL;
    struct digest digest;

    (void)state;
    memset(&digest, 0x22, sizeof digest);
    be_satellite(2);
    add_line("db", 0x22);
    assert_rc(look_one("order-aurora-2", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    const struct look_question *q = look_question(w->look, 0);
    assert_int_equal(q->kind, LOOK_DIGEST);
    assert_string_equal(q->name, "db");
    assert_string_equal(q->version, "2.0.0");
    assert_rc(look_take(w->look, 0, &request, &err), RC_NOT_CONFIRMED);
    assert_null(request);
    digest.b[0] ^= 1;
    assert_int_equal(look_confirm(w->look, &digest), 0);
    assert_rc(look_take(w->look, 0, &request, &err), RC_NOT_CONFIRMED);
    digest.b[0] ^= 1;
    assert_int_equal(look_confirm(w->look, &digest), 1);
    assert_rc(look_take(w->look, 0, &request, &err), RC_OK);
}

static void what_is_held_stays(void **state)
{
    (void)state;
    be_satellite(3);
    assert_rc(look_one("order-aurora-3", &mission), RC_OK); /* nothing is known to be there */
    assert_int_equal(look_questions(w->look), 0);
    add_line("db", 0x22);
    assert_rc(look_one("order-aurora-3", &mission), RC_OK); /* what this is nobody knows here */
    assert_int_equal(look_questions(w->look), 1);
    w->order.generation = 4;
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 5;
    assert_rc(look_one("order-aurora-3", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    w->order.line[1].manifest.b[0] ^= 1;
    assert_rc(look_one("order-aurora-3", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    w->order.n_lines = 1;
    assert_rc(look_one("order-aurora-3", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    assert_int_equal(look_question(w->look, 0)->kind, LOOK_STOP);
}

/* Orders 3 and 4: cam from 0x11 to 0x12, db beside it. */
static void remember_two(void)
{
    w->rules.fleet = NULL;
    w->order.generation = 3;
    add_line("db", 0x22);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 4;
    memset(&w->order.line[0].manifest, 0x12, DIGEST_SIZE);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 5;
}

static void an_undo_names_what_was_signed_before(void **state)
{
    (void)state;
    remember_two();
    memset(&w->order.line[0].manifest, 0x11, DIGEST_SIZE); /* back */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    w->order.line[0].manifest.b[0] ^= 1; /* what was never signed */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    w->order.line[0] = w->order.line[1]; /* away with it */
    w->order.n_lines = 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    w->order.n_lines = 0; /* and with its neighbour */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    assert_int_equal(look_question(w->look, 0)->kind, LOOK_STOP);
}

static void an_undo_changes_one_payload(void **state)
{
    (void)state;
    remember_two();
    w->order.generation = 5; /* db changes, too */
    memset(&w->order.line[1].manifest, 0x23, DIGEST_SIZE);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 6;
    memset(&w->order.line[0].manifest, 0x11, DIGEST_SIZE);
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    memset(&w->order.line[1].manifest, 0x22, DIGEST_SIZE); /* both at once */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    assert_string_equal(look_question(w->look, 0)->name, "db");
    w->before = (struct signed_before){ .generation = 0 }; /* another machine signed all of it */
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 2);
}

/* The first that was ever signed may be what a hole was found in: that is the ground's choice. */
static void an_undo_goes_back_one_version(void **state)
{
    (void)state;
    remember_two();
    memset(&w->order.line[0].manifest, 0x13, DIGEST_SIZE);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 6;
    memset(&w->order.line[0].manifest, 0x12, DIGEST_SIZE);
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    memset(&w->order.line[0].manifest, 0x11, DIGEST_SIZE);
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 1);
    assert_true(look_question(w->look, 0)->older);
    memset(&w->order.line[0].manifest, 0x44, DIGEST_SIZE);
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_false(look_question(w->look, 0)->older);
}

/* Without a digest on one satellite, but with one on another. */
static void a_digest_counts_wherever_the_file_has_it(void **state)
{
    static const char split[] =
        "fleet: aurora\n"
        "satellites: [{id: aurora-1}, {id: aurora-2}]\n"
        "desired:\n"
        "  - select: id=aurora-1\n"
        "    payloads: {acme/cam: 1.0.0}\n"
        "  - select: id=aurora-2\n"
        "    payloads:\n"
        "      acme/cam: {version: 1.0.0, digest: "
        "1111111111111111111111111111111111111111111111111111111111111111}\n";
    struct yaml *doc = NULL;

    (void)state;
    free(w->fleet);
    w->fleet = NULL;
    assert_rc(yaml_parse(bytes_of(split), "fleet.yaml", &doc, &err), RC_OK);
    assert_rc(fleet_read(doc, "fleet.yaml", &w->fleet, &err), RC_OK);
    yaml_close(&doc);
    w->rules.fleet = w->fleet;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_questions(w->look), 0);
    w->order.line[0].manifest.b[0] ^= 1;
    assert_rc(look_one("order-aurora-1", &mission), RC_DIGEST_MISMATCH);
}

/* Nothing remembered, or the memory deleted: somebody is told. */
static void satellites_without_a_memory_are_told(void **state)
{
    const char *satellite = NULL;

    (void)state;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_unknown(w->look, &satellite), 1);
    assert_string_equal(satellite, "aurora-1");
    assert_int_equal(look_next(w->look, 0).generation, 0);
    assert_rc(signed_add(&w->before, &w->order, &w->server, &err), RC_OK);
    w->order.generation = 6;
    assert_rc(look_one("order-aurora-1", &mission), RC_OK);
    assert_int_equal(look_unknown(w->look, &satellite), 0);
    assert_null(satellite);
    assert_int_equal(look_next(w->look, 0).generation, 5);
    const struct signed_next next = look_next(w->look, 0);
    assert_true(digest_same(&next.content, &w->before.content));
}

#define MANY 1000U

/* An order and a token for each satellite of a large fleet. */
static void a_thousand_satellites(void **state)
{
    char(*name)[NAME_CAP + 8] = calloc((size_t)2 * MANY, sizeof *name), *text = NULL;
    uint8_t *bytes = malloc((size_t)2 * MANY * 1024), buf[1024];
    struct look_in *in = calloc((size_t)2 * MANY, sizeof *in);
    const struct request *request = NULL;
    struct yaml *doc = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_true(name && bytes && in && out);
    (void)fputs("fleet: aurora\nsatellites:\n", out);
    for (unsigned i = 0; i < MANY; i++)
        (void)fprintf(out, "  - {id: s-%04u}\n", i);
    (void)fputs(strstr(file, "desired:"), out);
    assert_int_equal(fclose(out), 0);
    free(w->fleet);
    w->fleet = NULL;
    /* those of the other satellites are of nobody here */
    *strstr(text, "  - select: id=") = '\0';
    assert_rc(yaml_parse(bytes_of(text), "fleet.yaml", &doc, &err), RC_OK);
    assert_rc(fleet_read(doc, "fleet.yaml", &w->fleet, &err), RC_OK);
    yaml_close(&doc);
    w->rules.fleet = w->fleet;
    w->rules.staged = w->order.staged = true;
    for (size_t i = 0; i < 2 * MANY; i++) {
        const bool order = i < MANY;
        struct request r = { .type = order ? DOC_ORDER : DOC_TOKEN, .mission = mission };

        (void)snprintf(w->order.satellite, NAME_CAP, "s-%04zu", i % MANY);
        assert_rc(order_encode(&w->order, buf, sizeof buf, &r.payload, &err), RC_OK);
        if (!order) {
            assert_rc(sha256_of(r.payload, w->digest[0].b, &err), RC_OK);
            const struct token token = token_of(0);
            assert_rc(token_encode(&token, buf, sizeof buf, &r.payload, &err), RC_OK);
        }
        (void)snprintf(name[i], sizeof name[i], "%s-%s", order ? "order" : "token",
                       w->order.satellite);
        in[i].name = name[i];
        assert_rc(request_encode(&r, bytes + i * 1024, 1024, &in[i].file, &err), RC_OK);
    }
    assert_rc(look_make(&w->rules, in, (size_t)2 * MANY, &w->look, &err), RC_OK);
    assert_int_equal(look_requests(w->look), 2 * MANY);
    assert_rc(look_take(w->look, 2 * MANY - 1, &request, &err), RC_OK);
    assert_int_equal(request->type, DOC_TOKEN);
    look_free(&w->look);
    /* one lie among them keeps all of them back */
    in[2 * MANY - 1].file = in[2 * MANY - 2].file;
    assert_rc(look_make(&w->rules, in, (size_t)2 * MANY, &w->look, &err), RC_LOOK_TOKEN);
    assert_null(w->look);
    free(text);
    free(in);
    free(bytes);
    free(name);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(what_the_file_says_is_taken),
        T(another_mission),
        T(one_line_more_or_less),
        T(another_digest),
        T(satellites),
        T(generations),
        T(two_orders_of_one_generation),
        T(times),
        T(other_documents),
        T(no_other_type_is_signed),
        T(names),
        T(stages),
        T(tokens),
        T(versions_without_a_digest_are_asked_for),
        T(what_is_held_stays),
        T(an_undo_names_what_was_signed_before),
        T(an_undo_changes_one_payload),
        T(an_undo_goes_back_one_version),
        T(a_digest_counts_wherever_the_file_has_it),
        T(satellites_without_a_memory_are_told),
        T(a_thousand_satellites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
