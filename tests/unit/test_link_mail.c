/* SPDX-License-Identifier: Apache-2.0
 *
 * link/mail and link/status: heads of messages, what counts as sealed, and what the ground says
 * that it has; good bytes, and every way in which they may be bad.
 */
#include "tests/unit/link_fixture.h"

#include "link/bundle.h"
#include "link/mail.h"
#include "link/seal.h"
#include "link/status.h"
#include "link/telemetry.h"

static struct mail good(void)
{
    return (struct mail){ .direction = MAIL_DOWN,
                          .node = 42,
                          .tenant = "acme",
                          .payload = "cam",
                          .number = 7,
                          .time_ms = 1700000000000,
                          .expires_ms = 1800000000000,
                          .name = "picture-1.png",
                          .size = 5 };
}

static void heads_come_back(void **state)
{
    struct mail in = good(), out = { 0 };
    uint8_t buf[MAIL_HEAD_MAX + 8];
    struct bytes head = { 0 };
    struct err err;

    (void)state;
    assert_rc(mail_head_encode(&in, buf, &head, &err), RC_OK);
    memcpy(buf + head.n, "hello", 5);
    in.head = (uint32_t)head.n;
    assert_rc(mail_head_decode((struct bytes){ buf, head.n + 5 }, head.n + 5, &out, &err), RC_OK);
    assert_memory_equal(&in, &out, sizeof in);
    /* Only the head need be there, and the size must be that of the whole. */
    assert_rc(mail_head_decode(head, head.n + 5, &out, &err), RC_OK);
    assert_rc(mail_head_decode(head, head.n + 4, &out, &err), RC_MAIL_FORMAT);
    assert_rc(mail_head_decode(head, head.n + 6, &out, &err), RC_MAIL_FORMAT);
    assert_rc(mail_head_decode(head, UINT64_MAX, &out, &err), RC_MAIL_FORMAT);
    for (size_t n = 0; n < head.n; n++) /* cut at every byte */
        assert_int_not_equal(mail_head_decode((struct bytes){ buf, n }, head.n + 5, &out, &err),
                             RC_OK);
    for (size_t at = 0; at < head.n; at++) { /* changed at every bit: another message or none */
        for (unsigned bit = 0; bit < 8; bit++) {
            struct mail other;

            buf[at] ^= (uint8_t)(1U << bit);
            if (mail_head_decode(head, head.n + 5, &other, &err) == RC_OK)
                assert_memory_not_equal(&in, &other, sizeof in);
            buf[at] ^= (uint8_t)(1U << bit);
        }
    }
}

struct bad {
    const char *why;
    void (*change)(struct mail *m);
};

#define CHANGE(fn, statement)                                                                      \
    static void fn(struct mail *m)                                                                 \
    {                                                                                              \
        statement;                                                                                 \
    }
CHANGE(no_direction, m->direction = 0)
CHANGE(third_direction, m->direction = 3)
CHANGE(no_node, m->node = 0)
CHANGE(path_tenant, memcpy(m->tenant, "../x", 5))
CHANGE(no_payload, m->payload[0] = '\0')
CHANGE(hidden_name, memcpy(m->name, ".x", 3))
CHANGE(path_name, memcpy(m->name, "a/b", 4))
CHANGE(option_name, memcpy(m->name, "-x", 3))
CHANGE(receipt_name, memcpy(m->name, "x.receipt", 10))
CHANGE(too_large, m->size = MAIL_CONTENT_MAX + 1)

static void bad_heads_are_refused(void **state)
{
    static const struct bad rows[] = {
        { "no direction", no_direction },
        { "third direction", third_direction },
        { "no node", no_node },
        { "tenant is a path", path_tenant },
        { "no payload", no_payload },
        { "hidden name", hidden_name },
        { "name is a path", path_name },
        { "name is an option", option_name },
        { "name of a receipt", receipt_name },
        { "too large", too_large },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mail m = good(), out = { .node = 99 };
        uint8_t buf[MAIL_HEAD_MAX];
        struct bytes head = { 0 };
        struct err err;

        rows[i].change(&m);
        assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
        enum rc rc = mail_head_decode(head, head.n + m.size, &out, &err);
        if (rc == RC_OK)
            fail_msg("%s is taken", rows[i].why);
        assert_int_equal(out.node, 99);
    }
}

static void names_of_messages(void **state)
{
    char longest[MAIL_NAME_CAP + 1];

    (void)state;
    assert_true(mail_name_ok("a"));
    assert_true(mail_name_ok("A_b.c-d+e@f~1"));
    assert_true(mail_name_ok("receipt"));
    assert_false(mail_name_ok(""));
    assert_false(mail_name_ok("."));
    assert_false(mail_name_ok(".."));
    assert_false(mail_name_ok("a b"));
    assert_false(mail_name_ok("a\n"));
    assert_false(mail_name_ok("\xc3\xa4"));
    assert_false(mail_name_ok(".receipt"));
    memset(longest, 'x', sizeof longest);
    longest[MAIL_NAME_MAX + 1] = '\0';
    assert_false(mail_name_ok(longest));
    longest[MAIL_NAME_MAX] = '\0';
    assert_true(mail_name_ok(longest));
}

/* ---- sealed -----------------------------------------------------------------------------------
 */

static size_t seal(const struct eid *src, const struct eid *dst, uint8_t *out, size_t cap)
{
    const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };
    const struct link_message m = { .src = *src,
                                    .dst = *dst,
                                    .sequence = 1,
                                    .lifetime_ms = 1000,
                                    .key = 1,
                                    .counter = 1,
                                    .payload = bytes_of("a secret") };
    size_t n = 0;
    struct err err;

    assert_rc(link_seal(&m, &keys, out, cap, &n, &err), RC_OK);
    return n;
}

static void sealed_is_told_from_open(void **state)
{
    struct eid cam, dog, ground, elsewhere;
    uint8_t buf[1024];
    struct err err;

    (void)state;
    assert_rc(mail_eid(42, "acme", "cam", &cam, &err), RC_OK);
    assert_rc(mail_eid(42, "acme", "dog", &dog, &err), RC_OK);
    assert_rc(mail_eid(43, "acme", "cam", &elsewhere, &err), RC_OK);
    assert_rc(mail_eid(1, "acme", "", &ground, &err), RC_OK);
    assert_true(cam.service >> 56 == 1 && cam.service != dog.service);
    assert_false(eid_equal(&cam, &elsewhere));

    size_t n = seal(&cam, &ground, buf, sizeof buf);
    const struct bytes sealed = { buf, n };

    assert_rc(mail_sealed_check(sealed, &cam, &ground, &err), RC_OK);
    assert_rc(mail_sealed_form(sealed, &err), RC_OK); /* to whomever */
    assert_rc(mail_sealed_form(bytes_of("a secret"), &err), RC_MAIL_SEALED);
    assert_rc(mail_sealed_check(sealed, &dog, &ground, &err), RC_MAIL_ADDRESS);
    assert_rc(mail_sealed_check(sealed, &elsewhere, &ground, &err), RC_MAIL_ADDRESS);
    assert_rc(mail_sealed_check(sealed, &cam, &dog, &err), RC_MAIL_ADDRESS);
    assert_rc(mail_sealed_check(bytes_of("a secret"), &cam, &ground, &err), RC_MAIL_SEALED);
    assert_rc(mail_sealed_check((struct bytes){ buf, 0 }, &cam, &ground, &err), RC_MAIL_SEALED);
    assert_rc(mail_sealed_check((struct bytes){ buf, n - 1 }, &cam, &ground, &err), RC_MAIL_SEALED);
    buf[n] = 0; /* something behind it */
    assert_rc(mail_sealed_check((struct bytes){ buf, n + 1 }, &cam, &ground, &err), RC_MAIL_SEALED);

    /* A bundle that only says who it is from, in the clear. */
    struct bundle open = {
        .flags = BUNDLE_NO_FRAGMENT,
        .crc_type = CRC_32C,
        .dst = ground,
        .src = cam,
        .time_ms = 1,
        .lifetime_ms = 1000,
        .n_blocks = 1,
        .blocks = { { .type = BLOCK_PAYLOAD, .number = 1, .data = bytes_of("a secret") } }
    };
    struct bytes plain = { 0 };

    assert_rc(bundle_encode(&open, buf, sizeof buf, &plain, &err), RC_OK);
    assert_rc(mail_sealed_check(plain, &cam, &ground, &err), RC_MAIL_SEALED);
    assert_rc(mail_sealed_form(plain, &err), RC_MAIL_SEALED);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

/* What the agents before know of directions ends at MAIL_UP, so they refuse these for their form.
 */
static void commands_have_names_of_their_own(void **state)
{
    static const enum mail_direction directions[] = { MAIL_DOWN, MAIL_UP, MAIL_COMMAND,
                                                      MAIL_ANSWER };
    static const char *const names[] = { "point-2", "Point", "point.sealed" };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct mail m = good(), out;
            uint8_t buf[MAIL_HEAD_MAX];
            struct bytes head = { 0 };
            struct err err;

            m.direction = directions[i];
            (void)snprintf(m.name, sizeof m.name, "%s", names[k]);
            assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
            assert_int_equal(buf[2], directions[i]);
            assert_rc(mail_head_decode(head, head.n + m.size, &out, &err),
                      i < 2 || k == 0 ? RC_OK : RC_MAIL_FORMAT);
        }
    }
}

static void answers_come_back(void **state)
{
    const struct mail_answer bad[] = {
        { .outcome = 0 },
        { .outcome = (enum mail_outcome)5 },
        { .outcome = MAIL_READ, .code = 1 },
        { .outcome = MAIL_LATE, .text = "late" },
        { .outcome = MAIL_REFUSED, .code = RC_NAME, .text = "why" },
        { .outcome = MAIL_DONE, .text = "two\nlines" },
        { .outcome = MAIL_DONE, .text = "\xc3\xa4" },
        { .outcome = MAIL_DONE, .text = "\x1b[2J" },
    };
    struct mail_answer in = { .command = { 1, 2 }, .outcome = MAIL_DONE, .code = UINT32_MAX };
    struct mail_answer out = { .code = 0 };
    uint8_t buf[MAIL_ANSWER_MAX];
    struct bytes bytes = { 0 };
    struct err err;

    (void)state;
    memset(in.text, '~', MAIL_TEXT_MAX);
    assert_rc(mail_answer_encode(&in, buf, &bytes, &err), RC_OK);
    assert_rc(mail_answer_decode(bytes, &out, &err), RC_OK);
    assert_memory_equal(&in, &out, sizeof in);
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_not_equal(mail_answer_decode((struct bytes){ buf, n }, &out, &err), RC_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_rc(mail_answer_encode(&bad[i], buf, &bytes, &err), RC_OK);
        if (mail_answer_decode(bytes, &out, &err) == RC_OK)
            fail_msg("%zu is taken", i);
        assert_memory_equal(&in, &out, sizeof in);
    }
}

/* ---- telemetry --------------------------------------------------------------------------------
 */

static void batches_come_back(void **state)
{
    static struct telemetry_batch in, out;
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    struct bytes bytes = { 0 };
    struct err err;

    (void)state;
    in = (struct telemetry_batch){ .instance = UINT64_MAX,
                                   .first = UINT64_MAX - TELEMETRY_BATCH_MAX,
                                   .n = TELEMETRY_BATCH_MAX };
    for (uint32_t i = 0; i < TELEMETRY_BATCH_MAX; i++) {
        struct telemetry_sample *s = &in.sample[i];

        s->time_ms = UINT64_MAX;
        s->n = TELEMETRY_VALUE_MAX;
        memset(s->key, 'k', NAME_MAX_LEN);
        memset(s->value, (int)i, TELEMETRY_VALUE_MAX);
    }
    assert_rc(telemetry_encode(&in, buf, &bytes, &err), RC_OK); /* the largest fits */
    assert_rc(telemetry_decode(bytes, &out, &err), RC_OK);
    assert_memory_equal(&in, &out, sizeof in);
    for (size_t n = 0; n < bytes.n; n += n < 64 ? 1 : 89)
        assert_int_not_equal(telemetry_decode((struct bytes){ buf, n }, &out, &err), RC_OK);
    in.sample[3].key[0] = '/';
    assert_rc(telemetry_encode(&in, buf, &bytes, &err), RC_OK);
    assert_rc(telemetry_decode(bytes, &out, &err), RC_MAIL_FORMAT);
    in.sample[3].key[0] = 'k';
    in.sample[4].n = 0;
    assert_rc(telemetry_encode(&in, buf, &bytes, &err), RC_OK);
    assert_int_not_equal(telemetry_decode(bytes, &out, &err), RC_OK);
    in.sample[4].n = 1;
    in.first = 0;
    assert_rc(telemetry_encode(&in, buf, &bytes, &err), RC_OK);
    assert_rc(telemetry_decode(bytes, &out, &err), RC_MAIL_FORMAT);
    in.first = in.n = 0;
    assert_rc(telemetry_encode(&in, buf, &bytes, &err), RC_OK);
    assert_int_not_equal(telemetry_decode(bytes, &out, &err), RC_OK);
}

/* ---- status -----------------------------------------------------------------------------------
 */

static void statuses_come_back(void **state)
{
    static struct port_transfers in, out;
    static uint8_t buf[STATUS_MAX];
    struct bytes message = { 0 };
    struct err err;

    (void)state;
    in.n_complete = PORT_COMPLETE_MAX;
    in.n_transfers = PORT_TRANSFERS_MAX;
    for (uint32_t i = 0; i < PORT_COMPLETE_MAX; i++)
        memset(in.complete[i], (int)i, DIGEST_SIZE);
    for (uint32_t i = 0; i < PORT_TRANSFERS_MAX; i++) {
        struct transfer_status *t = &in.transfer[i];

        memset(t->object, 0x80 | (int)i, DIGEST_SIZE);
        t->chunks = CHUNKS_MAX;
        t->n_missing = PORT_RANGES_MAX;
        t->more = i % 2;
        for (uint32_t k = 0; k < PORT_RANGES_MAX; k++)
            t->missing[k] = (struct transfer_range){ .first = 40 * k, .count = 30 };
    }
    assert_rc(status_encode(&in, buf, sizeof buf, &message, &err), RC_OK);
    assert_true(status_is(message));
    assert_rc(status_decode(message, &out, &err), RC_OK);
    assert_memory_equal(&in, &out, sizeof in);
    for (size_t n = 0; n < message.n; n += n < 64 ? 1 : 97)
        assert_int_not_equal(status_decode((struct bytes){ buf, n }, &out, &err), RC_OK);

    in.transfer[3].missing[1].first = 10; /* within the first */
    assert_rc(status_encode(&in, buf, sizeof buf, &message, &err), RC_OK);
    out.n_complete = 1;
    assert_rc(status_decode(message, &out, &err), RC_TRANSFER_FORMAT);
    assert_int_equal(out.n_complete, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_come_back),    cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(names_of_messages),  cmocka_unit_test(sealed_is_told_from_open),
        cmocka_unit_test(statuses_come_back), cmocka_unit_test(commands_have_names_of_their_own),
        cmocka_unit_test(answers_come_back),  cmocka_unit_test(batches_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
