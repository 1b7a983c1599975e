/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail and its store without the rest of the agent: what is known after damage, whose
 * receipts are made, and how many.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mail.h"
#include "base/cbor.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/statefile.h"

static char path[32];
static int dir = -1;
static struct agent a;

static int setup(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-mail-XXXXXX", sizeof "/tmp/berth-mail-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(&a, 0, sizeof a);
    a.data_dir = dir;
    a.mail.sock = a.link_sock = -1;
    a.config.node = 7;
    return dir < 0;
}

static int teardown(void **state)
{
    struct err err = { 0 };

    (void)state;
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static void only_what_is_not_there_is_fresh(void **state)
{
    struct mail_state s = { .number = 5, .day = 20000, .day_bytes = 10 };
    const uint64_t now = 20000 * MAIL_DAY_MS + 1;
    uint64_t bytes = 0;
    struct err err = { 0 };

    (void)state;
    assert_rc(mail_state_load(dir, "acme", "cam", now, &s, &err), RC_OK);
    assert_int_equal(s.number, 0);
    s = (struct mail_state){ .number = 5, .day = 20000, .day_bytes = 10 };
    assert_rc(mail_state_save(dir, "acme", "cam", &s, &err), RC_OK);
    assert_rc(mail_store_day_bytes(dir, "acme", now, &bytes, &err), RC_OK);
    assert_int_equal(bytes, 10);
    assert_rc(mail_store_day_bytes(dir, "nobody", now, &bytes, &err), RC_OK);
    assert_int_equal(bytes, 0);

    assert_rc(fs_write_file(dir, "acme/cam/mail.a", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(dir, "acme/cam/mail.b", bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(mail_state_load(dir, "acme", "cam", now, &s, &err), RC_STATE_DAMAGED);
    assert_int_equal(s.number, now);
    assert_rc(mail_store_day_bytes(dir, "acme", now, &bytes, &err), RC_OK);
    assert_int_equal(bytes, MAIL_USED_UP);
    assert_rc(mail_store_day_bytes(dir, "acme", now + MAIL_DAY_MS, &bytes, &err), RC_OK);
    assert_int_equal(bytes, 0);

    assert_rc(fs_write_file(dir, "odd", bytes_of("no directory"), 0600, &err), RC_OK);
    assert_rc(mail_state_load(dir, "odd", "cam", now, &s, &err), RC_IO);
    assert_true(mail_store_day_bytes(dir, "odd", now, &bytes, &err) != RC_OK);
}

/* A message on its way down. */
static struct port_mail_sent add_message(const char *tenant, const char *payload, const char *name,
                                         uint64_t number)
{
    struct mail_file f = { .way = MAIL_SENT, .number = number };
    struct mail head = { .direction = MAIL_DOWN, .node = 7, .number = number, .size = 5 };
    struct port_mail_sent sent = { .rc = RC_OK };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    scoped(close_fd) int mem = -1;
    struct err err = { 0 };

    (void)snprintf(f.tenant, sizeof f.tenant, "%s", tenant);
    (void)snprintf(f.payload, sizeof f.payload, "%s", payload);
    memcpy(head.tenant, f.tenant, sizeof head.tenant);
    memcpy(head.payload, f.payload, sizeof head.payload);
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    assert_rc(mail_head_encode(&head, buf, &bytes, &err), RC_OK);
    assert_rc(fs_sealed("test", bytes_of("hello"), &mem, &err), RC_OK);
    assert_rc(mail_store_put(dir, &f, bytes, mem, 0, 5, NULL, &err), RC_OK);
    a.mail.item[a.mail.n++] = (struct mail_item){ .f = f, .under_way = true };
    memcpy(sent.digest, f.digest.b, DIGEST_SIZE);
    return sent;
}

static void start(const char *payload, uint64_t inbox_bytes)
{
    static struct manifest m;

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "%s", payload);
    m.limits.inbox_bytes = inbox_bytes;
    m.limits.outbox_bytes = 65536;
    mail_starting(&a, a.mail.box[0].instance + 1, &m);
}

static void receipts_are_for_inboxes(void **state)
{
    (void)state;
    start("mute", 0);
    for (uint64_t i = 1; i <= MAIL_FILES_MAX + 1U; i++) {
        const struct port_mail_sent sent = add_message("acme", "mute", "letter", i);

        mail_sent(&a, &sent);
        assert_int_equal(a.mail.n, 0);
    }
}

/* The newest of each name, and no more than the tenant has places. */
static void receipts_are_few(void **state)
{
    struct port_mail_sent sent;
    char name[32];

    (void)state;
    start("cam", 65536);
    for (uint64_t i = 1; i <= 3; i++) {
        sent = add_message("acme", "cam", "letter", i);
        mail_sent(&a, &sent);
        assert_int_equal(a.mail.n, 1);
        assert_true(a.mail.item[0].f.receipt);
        assert_int_equal(a.mail.item[0].f.number, i);
    }
    for (uint64_t i = 1; i <= MAIL_TENANT_MAX + 10U; i++) {
        (void)snprintf(name, sizeof name, "letter%u", (unsigned)i);
        sent = add_message("acme", "cam", name, i);
        mail_sent(&a, &sent);
    }
    assert_int_equal(a.mail.n, MAIL_PAYLOAD_MAX);
}

static void one_tenant_leaves_places_to_others(void **state)
{
    struct port_mail_sent sent;

    (void)state;
    start("cam", 65536);
    for (uint64_t i = 1; i <= MAIL_TENANT_MAX; i++)
        (void)add_message("acme", "other", "letter", i);
    sent = add_message("acme", "cam", "letter", 1);
    mail_sent(&a, &sent);
    assert_int_equal(a.mail.n, MAIL_TENANT_MAX); /* and no receipt */
    while (a.mail.n < MAIL_FILES_MAX - MAIL_RESERVE)
        (void)add_message("zeta", "other", "letter", a.mail.n);
    for (uint32_t i = 0; i < MAIL_TENANT_MAX; i++)
        assert_string_equal(a.mail.item[i].f.tenant, "acme");
    a.mail.item[0].f.tenant[0] =
        'b'; /* acme has fewer than it may have, but the rest is reserved */
    sent = add_message("acme", "cam", "letter", 1);
    mail_sent(&a, &sent);
    assert_int_equal(a.mail.n, MAIL_FILES_MAX - MAIL_RESERVE);
}

static void what_is_broken_now_is_tried_again(void **state)
{
    struct port_mail_sent sent = { 0 };

    (void)state;
    sent = add_message("acme", "cam", "letter", 1);
    sent.rc = RC_STATE_DAMAGED;
    mail_sent(&a, &sent);
    assert_int_equal(a.mail.n, 1);
    assert_false(a.mail.item[0].under_way);
    assert_true(a.mail.item[0].not_before_ms > 0);
}

/* What waits, and when it expires. */
static void lay(const char *name, uint64_t number, uint64_t expires_ms)
{
    struct mail_file f = { .way = MAIL_CAME, .number = number, .tenant = "acme", .payload = "cam" };
    struct mail head = { .direction = MAIL_UP,
                         .node = 7,
                         .number = number,
                         .size = 5,
                         .expires_ms = expires_ms,
                         .tenant = "acme",
                         .payload = "cam" };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    scoped(close_fd) int mem = -1;
    struct err err = { 0 };

    (void)snprintf(head.name, sizeof head.name, "%s", name);
    assert_rc(mail_head_encode(&head, buf, &bytes, &err), RC_OK);
    assert_rc(fs_sealed("test", bytes_of("hello"), &mem, &err), RC_OK);
    assert_rc(mail_store_put(dir, &f, bytes, mem, 0, 5, NULL, &err), RC_OK);
    a.mail.item[a.mail.n++] = (struct mail_item){ .f = f };
}

/* The clock is further ahead of the last word of a root than it is believed. */
static void a_clock_ahead_expires_nothing(void **state)
{
    const uint64_t now = clock_unix_ms(), day = MAIL_DAY_MS;

    (void)state;
    a.state.time_anchor = now - TRUST_AHEAD_MAX_MS - 10 * day;
    a.state.time_floor = a.state.time_anchor + day;
    lay("late", 1, a.state.time_floor);
    lay("soon", 2, a.state.time_floor + 1);
    lay("today", 3, now - 1);
    mail_tick(&a, 1000000);
    assert_int_equal(a.mail.n, 2); /* what had expired by then */
    a.state.time_floor++;
    mail_tick(&a, 2000000);
    assert_int_equal(a.mail.n, 1);
    a.state.time_anchor = now; /* it is believed now */
    mail_tick(&a, 3000000);
    assert_int_equal(a.mail.n, 0);
}

/* As it was written when one mark was kept. */
static void one_mark_is_read_still(void **state)
{
    uint8_t buf[256];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes content = { 0 };
    struct mail_state s = { 0 };
    struct err err = { 0 };

    (void)state;
    cbor_put_array(&w, 9);
    for (uint64_t i = 1; i <= 8; i++) /* format 1, number ... day bytes; inode, times */
        cbor_put_uint(&w, i);
    cbor_put_array(&w, 0);
    assert_rc(cbor_written(&w, &content, &err), RC_OK);
    assert_rc(fs_make_dirs(dir, "acme/cam", 0700, &err), RC_OK);
    scoped(close_fd) int own = openat(dir, "acme/cam", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(statefile_save_both(own, "mail", content, &err), RC_OK);
    assert_rc(mail_state_load(dir, "acme", "cam", 0, &s, &err), RC_OK);
    assert_true(s.number == 2 && s.arrival == 3 && s.day == 4 && s.day_bytes == 5);
    assert_int_equal(s.n_taken, 1);
    assert_true(s.taken[0].ino == 6 && s.taken[0].ctime_s == 7 && s.taken[0].ctime_ns == 8);
    for (uint32_t i = s.n_taken; i < MAIL_TAKEN_MAX; i++)
        s.taken[s.n_taken++] = (struct post_mark){ UINT64_MAX, INT64_MIN, UINT32_MAX, 0 };
    while (s.n_recent < MAIL_RECENT_MAX)
        s.n_recent++;
    s.number = s.arrival = s.day = s.day_bytes = UINT64_MAX; /* the largest, too */
    assert_rc(mail_state_save(dir, "acme", "cam", &s, &err), RC_OK);
    struct mail_state back = { 0 };
    assert_rc(mail_state_load(dir, "acme", "cam", 0, &back, &err), RC_OK);
    assert_memory_equal(&back, &s, sizeof s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_is_not_there_is_fresh, setup, teardown),
        cmocka_unit_test_setup_teardown(receipts_are_for_inboxes, setup, teardown),
        cmocka_unit_test_setup_teardown(receipts_are_few, setup, teardown),
        cmocka_unit_test_setup_teardown(one_tenant_leaves_places_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_broken_now_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_ahead_expires_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(one_mark_is_read_still, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
