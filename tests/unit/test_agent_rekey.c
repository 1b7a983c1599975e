/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/rekey: what is kept, its form, and what each rekey makes of it.  (The rest is tested with
 * the real berthd.)
 */
#include "tests/unit/test.h"

#include "agent/rekey.h"

#define BOX_MAX 512U

static struct rekey_box box_of(uint32_t kems, uint32_t masters)
{
    struct rekey_box box = { .number = 7, .digest = { .b = { 9 } }, .issued_ms = 1234 };

    box.keys.n_kems = kems;
    box.keys.n_masters = masters;
    for (uint32_t i = 0; i < kems; i++)
        memset(box.keys.kem[i], 0x10 + (int)i, KEM_SEED_SIZE);
    for (uint32_t i = 0; i < masters; i++) {
        memset(box.keys.master[i], 0x20 + (int)i, REKEY_SECRET_SIZE);
        box.master_epoch[i] = i + 1;
    }
    return box;
}

static void keeps_what_it_is_given(void **state)
{
    (void)state;
    for (uint32_t kems = 1; kems <= REKEY_KEMS_MAX; kems++)
        for (uint32_t masters = 0; masters <= REKEY_MASTERS_MAX; masters++) {
            const struct rekey_box box = box_of(kems, masters);
            struct rekey_box got = { .number = 99 };
            uint8_t buf[BOX_MAX];
            struct bytes out = { 0 };
            struct err err;

            assert_rc(rekey_box_encode(&box, buf, sizeof buf, &out, &err), RC_OK);
            for (size_t n = 0; n < out.n; n++) {
                assert_int_not_equal(rekey_box_decode((struct bytes){ buf, n }, &got, &err), RC_OK);
                assert_int_equal(got.number, 99);
            }
            assert_rc(rekey_box_decode((struct bytes){ buf, out.n + 1 }, &got, &err), RC_TRAILING);
            assert_rc(rekey_box_decode(out, &got, &err), RC_OK);
            assert_memory_equal(&got, &box, sizeof box);
        }
}

static void refuses_what_cannot_be(void **state)
{
    static const struct {
        const char *why;
        uint32_t kems, masters;
        uint32_t epoch[2];
    } rows[] = {
        { "no pair", 0, 0, { 0 } },
        { "epoch 0", 1, 1, { 0 } },
        { "epochs fall", 1, 2, { 2, 1 } },
        { "one epoch twice", 1, 2, { 2, 2 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rekey_box box = box_of(rows[i].kems, rows[i].masters), got = { .number = 99 };
        uint8_t buf[BOX_MAX];
        struct bytes out = { 0 };
        struct err err;

        memcpy(box.master_epoch, rows[i].epoch, sizeof box.master_epoch);
        assert_rc(rekey_box_encode(&box, buf, sizeof buf, &out, &err), RC_OK);
        if (rekey_box_decode(out, &got, &err) == RC_OK)
            fail_msg("%s passed", rows[i].why);
        assert_int_equal(got.number, 99);
    }
}

/* What is held before and after, by the first byte of each key: pairs, then masters. */
static void keys_go_when_the_next_was_used(void **state)
{
    static const struct {
        const char *why;
        uint32_t kems, masters;
        enum rekey_recipient recipient;
        uint32_t which;
        enum rekey_what brings;
        uint8_t want_kem[2], want_master[2];
        bool proven;
    } rows[] = {
        { "the first master", 1, 0, REKEY_KEM, 0, REKEY_NEW_MASTER, { 0x10 }, { 0xaa }, true },
        { "the next master", 1, 1, REKEY_KEM, 0, REKEY_NEW_MASTER, { 0x10 }, { 0x20, 0xaa }, true },
        { "under the master",
          1,
          1,
          REKEY_MASTER,
          0,
          REKEY_NEW_MASTER,
          { 0x10 },
          { 0x20, 0xaa },
          false },
        { "one that waits makes room",
          1,
          2,
          REKEY_MASTER,
          0,
          REKEY_NEW_MASTER,
          { 0x10 },
          { 0x20, 0xaa },
          false },
        { "the next was used: the old one goes",
          1,
          2,
          REKEY_MASTER,
          1,
          REKEY_NEW_MASTER,
          { 0x10 },
          { 0x21, 0xaa },
          false },
        { "used, and a link", 1, 2, REKEY_MASTER, 1, REKEY_LINK, { 0x10 }, { 0x21 }, false },
        { "old still used", 2, 0, REKEY_KEM, 0, REKEY_LINK, { 0x10, 0x11 }, { 0 }, false },
        { "the next pair was used", 2, 0, REKEY_KEM, 1, REKEY_LINK, { 0x11 }, { 0 }, true },
        { "another pair", 1, 1, REKEY_NOBODY, 0, REKEY_NEW_KEM, { 0x10, 0xfe }, { 0x20 }, false },
        { "one waits already", 2, 0, REKEY_NOBODY, 0, REKEY_NEW_KEM, { 0x10, 0x11 }, { 0 }, false },
        { "used, and another", 2, 0, REKEY_KEM, 1, REKEY_NEW_KEM, { 0x11, 0xfe }, { 0 }, false },
    };
    uint8_t fresh[KEM_SEED_SIZE];

    (void)state;
    memset(fresh, 0xfe, sizeof fresh);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rekey_box box = box_of(rows[i].kems, rows[i].masters);
        struct rekey doc = {
            .number = 8, .issued_ms = 5678, .recipient = rows[i].recipient, .n = 1
        };
        const struct digest digest = { .b = { 3 } };
        struct rekey_opened opened = { .which = rows[i].which, .n = 1 };

        doc.entry[0] = (struct rekey_entry){ .what = rows[i].brings, .epoch = 40 };
        memset(opened.secret[0], 0xaa, REKEY_SECRET_SIZE);
        rekey_box_apply(&box, &doc, &digest, &opened, fresh);
        if (box.proven != rows[i].proven)
            fail_msg("%s: proven", rows[i].why);
        for (uint32_t k = 0; k < 2; k++) {
            bool kem = box.keys.n_kems > k, master = box.keys.n_masters > k;

            if (kem != (rows[i].want_kem[k] != 0) || box.keys.kem[k][31] != rows[i].want_kem[k])
                fail_msg("%s: pair %u is %02x", rows[i].why, k, box.keys.kem[k][31]);
            if (master != (rows[i].want_master[k] != 0) ||
                (master && box.keys.master[k][31] != rows[i].want_master[k]))
                fail_msg("%s: master %u is %02x", rows[i].why, k, box.keys.master[k][31]);
            if (rows[i].want_master[k] == 0xaa)
                assert_int_equal(box.master_epoch[k], 40);
        }
        assert_int_equal(box.number, 8);
        assert_int_equal(box.issued_ms, 5678);
        assert_memory_equal(&box.digest, &digest, sizeof digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_is_given),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(keys_go_when_the_next_was_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
