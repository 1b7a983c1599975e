/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/logs over files as agent/output writes them, and a berth-link that the test plays: what
 * goes down is what lies there, each line once, within the bytes of the day, and what is missing is
 * told with its numbers and its reason.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/logline.h"
#include "agent/mail.h"
#include "agent/mail_inside.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "tests/unit/documents.h"

#define NODE 7U
#define LOG "acme.cam.log"

static char path[32];
static int dir = -1;
static struct agent a;
static struct err err;
static struct signed_doc signed_doc; /* large */
static uint64_t now_ms;              /* monotonic */

static uint64_t granted_pass; /* logs-per-pass of the next grant */

static noinline struct trust *make_trust(uint64_t logs)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct trust *trust = NULL;

    grant.expires_ms = 0;
    grant.total.logs_bytes_day = logs;
    grant.total.logs_bytes_pass = granted_pass;
    doc_signed(&signed_doc, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(signed_doc.bytes, &trust, &err), RC_OK);
    doc_signed(&signed_doc, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, signed_doc.bytes, ISSUED_MS, &err), RC_OK);
    return trust;
}

static void open_agent(uint64_t granted)
{
    memset(&a, 0, sizeof a);
    a.data_dir = a.log_dir = dir;
    a.config.node = NODE;
    a.config.ground = 1;
    a.link_sock = a.mail.sock = -1;
    a.trust = make_trust(granted);
    a.table.n_units = 2;
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(a.table.unit[i].kept.tenant, NAME_CAP, "acme");
        (void)snprintf(a.table.unit[i].kept.name, NAME_CAP, i == 0 ? "cam" : "dog");
    }
    assert_rc(mail_open(&a, &err), RC_OK);
    logs_open_all(&a);
}

static void close_agent(void)
{
    trust_free(&a.trust);
}

static int setup(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-logs-XXXXXX", sizeof "/tmp/berth-logs-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    now_ms = 1000;
    granted_pass = 0;
    open_agent(1U << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_agent();
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static void start(const char *payload, uint64_t logs, bool sealed)
{
    static struct manifest m;

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "%s", payload);
    m.limits.logs_bytes_day = logs;
    m.sealed = sealed;
    logs_starting(&a, &m);
}

/* Append lines first..last of an instance to a file, each of `n` bytes. */
static void print_lines(const char *file, uint64_t instance, uint64_t first, uint64_t last,
                        size_t n)
{
    char text[LOGS_TEXT_MAX], line[LOGLINE_MAX];
    scoped(close_fd) int fd = openat(dir, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (uint64_t i = first; i <= last; i++) {
        memset(text, 'x', n);
        uint32_t seed = (uint32_t)(i * 2654435761U);
        for (size_t k = 0; k < n && n > 40; k++) { /* does not pack well */
            seed = seed * 1664525U + 1013904223U;
            text[k] = (char)('!' + (seed >> 16) % 90);
        }
        const struct logs_record r = { .number = i,
                                       .offset = (i - 1) * (n + 1),
                                       .time_ms = 1000 * i,
                                       .stream = LOGS_OUT,
                                       .text = { (const uint8_t *)text, n } };
        const struct bytes bytes = { (const uint8_t *)line, logline_put(instance, &r, line) };

        assert_rc(fs_write_all(fd, bytes, &err), RC_OK);
    }
}

/* A second after the other. */
static void ticks(unsigned n)
{
    while (n-- > 0)
        logs_tick(&a, now_ms += 1000);
}

/* ---- what goes down ---------------------------------------------------------------------------
 */

static uint32_t chunks(const char *payload)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a.mail.n; i++)
        n += a.mail.item[i].f.log && strcmp(a.mail.item[i].f.payload, payload) == 0;
    return n;
}

/* The oldest chunk of a payload, which is then gone. */
static struct logs_reader take_chunk(const char *payload)
{
    static uint8_t buf[MAIL_HEAD_MAX + LOGS_BYTES_MAX], plain[LOGS_PLAIN_MAX];
    struct logs_reader r = { 0 };

    for (uint32_t i = 0; i < a.mail.n; i++) {
        const struct mail_file *f = &a.mail.item[i].f;
        scoped(close_fd) int fd = -1;
        struct mail head;

        if (!f->log || strcmp(f->payload, payload) != 0)
            continue;
        assert_rc(mail_store_open(dir, f, &fd, &err), RC_OK);
        assert_rc(mail_head_read(fd, f->size, &head, &err), RC_OK);
        assert_int_equal(head.direction, MAIL_LOGS);
        assert_int_equal(head.node, NODE);
        assert_string_equal(head.tenant, "acme");
        assert_rc(fs_pread_exact(fd, buf, head.size, head.head, &err), RC_OK);
        assert_rc(logs_open((struct bytes){ buf, head.size }, plain, &r, &err), RC_OK);
        mail_drop_item(&a, &a.mail.item[i]);
        return r;
    }
    fail_msg("no chunk of %s", payload);
    return r;
}

static void assert_chunk(const char *payload, uint64_t instance, uint64_t first, uint64_t last)
{
    const struct logs_reader r = take_chunk(payload);

    assert_int_equal(r.instance, instance);
    assert_int_equal(r.first, first);
    assert_int_equal(r.last, last);
}

/* ---- unasked ----------------------------------------------------------------------------------
 */

/* Without a word of its manifest nothing goes; with it each line once, across starts of the agent,
 * and the next instance in a chunk of its own. */
static void lines_go_once(void **state)
{
    (void)state;
    start("cam", 0, false);
    print_lines(LOG, 3, 1, 10, 20);
    logs_ended(&a, "acme", "cam");
    ticks(3);
    assert_int_equal(a.mail.n, 0);
    start("cam", 100000, false);
    logs_ended(&a, "acme", "cam");
    ticks(1);
    assert_chunk("cam", 3, 1, 10);
    ticks(3);
    assert_int_equal(a.mail.n, 0);
    print_lines(LOG, 3, 11, 12, 20);
    print_lines(LOG, 4, 1, 2, 20);
    close_agent();
    open_agent(1U << 20);
    ticks(3);
    assert_int_equal(chunks("cam"), 2);
    assert_chunk("cam", 3, 11, 12);
    assert_chunk("cam", 4, 1, 2);
    ticks(3);
    assert_int_equal(a.mail.n, 0);
}

/* What is printed waits for more, or for a pass. */
static void chunks_wait_for_more(void **state)
{
    struct proc *p = &a.proc[5];

    (void)state;
    start("cam", 88473600, false); /* a KiB each second: the shortest gap */
    memcpy(p->tenant, "acme", 5);
    memcpy(p->name, "cam", 4);
    p->instance = 3;
    print_lines(LOG, 3, 1, 1, 20);
    p->output.kept = 40;
    ticks(9);
    assert_int_equal(a.mail.n, 0);
    ticks(3);
    assert_chunk("cam", 3, 1, 1);
    print_lines(LOG, 3, 2, 2, 20);
    p->output.kept = 80;
    ticks(1);
    assert_int_equal(a.mail.n, 0);
    logs_contact(&a);
    ticks(1);
    assert_chunk("cam", 3, 2, 2);
    print_lines(LOG, 3, 3, 600, 20);
    p->output.kept = 80 + 598 * 40;
    ticks(1);
    assert_int_equal(a.mail.n, 0);
    p->output.kept += 700;
    ticks(1);
    assert_chunk("cam", 3, 3, 600);
}

/* The ring went round before its lines could go: they are told, and counted. */
static void what_was_overwritten_is_told(void **state)
{
    struct logs_reader r;
    struct logs_record is;

    (void)state;
    start("cam", 100000, false);
    print_lines(LOG, 3, 1, 10, 19);
    logs_ended(&a, "acme", "cam");
    ticks(1);
    assert_chunk("cam", 3, 1, 10);
    assert_int_equal(unlinkat(dir, LOG, 0), 0);
    print_lines(LOG ".old", 3, 31, 32, 19);
    print_lines(LOG, 3, 33, 33, 19);
    print_lines(LOG, 3, 36, 36, 19); /* 34 and 35 cannot be read */
    logs_ended(&a, "acme", "cam");
    ticks(1);
    r = take_chunk("cam");
    assert_int_equal(r.first, 11);
    assert_int_equal(r.last, 36);
    assert_true(logs_next(&r, &is));
    assert_int_equal(is.stream, LOGS_GAP);
    assert_int_equal(is.why, LOGS_RING);
    assert_int_equal(is.lines, 20);
    assert_int_equal(is.bytes, 20 * 20);
    for (uint64_t i = 31; i <= 33; i++) {
        assert_true(logs_next(&r, &is));
        assert_int_equal(is.number, i);
        assert_int_equal(is.time_ms, 1000 * i);
    }
    assert_true(logs_next(&r, &is));
    assert_int_equal(is.why, LOGS_DISK);
    assert_int_equal(is.lines, 2);
    assert_true(logs_next(&r, &is));
    assert_int_equal(is.number, 36);
}

/* A flood takes its day's bytes and no more; its neighbour's lines go; and that they were used up
 * is the reason for what is missing on the next day. */
static void a_flood_has_its_day(void **state)
{
    uint64_t bytes = 0;
    struct logs_reader r;
    struct logs_record is;

    (void)state;
    start("cam", 20000, false);
    start("dog", 5000, false);
    print_lines(LOG, 3, 1, 240, 1000);
    logs_ended(&a, "acme", "cam");
    for (unsigned i = 0; i < 2000; i++) {
        ticks(1);
        while (chunks("cam") > 0) {
            for (uint32_t k = 0; k < a.mail.n; k++)
                bytes += a.mail.item[k].f.size + MAIL_COST;
            (void)take_chunk("cam");
        }
    }
    assert_true(bytes <= 20000);
    assert_true(bytes > 17000);
    print_lines("acme.dog.log", 4, 1, 5, 30);
    logs_ended(&a, "acme", "dog");
    ticks(2);
    assert_chunk("dog", 4, 1, 5);

    const struct logs_unit *u = &a.logs.unit[0];

    assert_string_equal(u->payload, "cam");
    assert_true(u->s.short_of);
    assert_int_equal(unlinkat(dir, LOG, 0), 0);
    print_lines(LOG, 3, 241, 242, 20);
    a.logs.unit[0].s.day--; /* it is tomorrow */
    ticks(100);
    r = take_chunk("cam");
    assert_true(logs_next(&r, &is));
    assert_int_equal(is.why, LOGS_QUOTA);
    assert_true(is.lines > 200 && is.number + is.lines == 241);
    assert_true(logs_next(&r, &is));
    assert_int_equal(is.number, 241);
}

/* What all payloads of a tenant send is bounded by its grant. */
static void a_grant_bounds_them_all(void **state)
{
    (void)state;
    close_agent();
    open_agent(2000);
    start("cam", 2000, false);
    start("dog", 2000, false);
    print_lines(LOG, 3, 1, 10, 20);
    print_lines("acme.dog.log", 3, 1, 3, 900);
    logs_ended(&a, "acme", "cam");
    ticks(1);
    assert_int_equal(chunks("cam"), 1);
    logs_ended(&a, "acme", "dog");
    ticks(5);
    assert_int_equal(chunks("dog"), 1); /* a part of it */
    ticks(200);
    assert_int_equal(chunks("dog"), 1);
}

/* All chunks of a tenant: what they take of the pass. */
static uint64_t all_bytes(void)
{
    uint64_t bytes = 0;

    for (uint32_t k = 0; k < a.mail.n; k++)
        bytes += a.mail.item[k].f.log ? a.mail.item[k].f.size + MAIL_COST : 0;
    return bytes;
}

/* The pass: as much of what waits goes down as the link takes, and more is made of it while it
 * lasts.  What has gone down at its end. */
static uint64_t pass(unsigned seconds)
{
    uint64_t bytes = 0;

    logs_contact(&a);
    while (seconds-- > 0) {
        bytes += all_bytes();
        while (chunks("cam") > 0)
            (void)take_chunk("cam");
        while (chunks("dog") > 0)
            (void)take_chunk("dog");
        ticks(1);
    }
    return bytes;
}

/* No more goes down in a pass than the grant has for all payloads of the tenant, whatever was made
 * before it; none is made before the first; and nothing is lost by it but what the ring loses. */
static void a_pass_has_its_bytes(void **state)
{
    const uint64_t most = 6000;
    uint64_t sum = 0;

    (void)state;
    close_agent();
    granted_pass = most;
    open_agent(1U << 20);
    start("cam", 1U << 20, false);
    start("dog", 1U << 20, false);
    print_lines(LOG, 3, 1, 20, 1000);
    print_lines("acme.dog.log", 3, 1, 20, 1000);
    logs_ended(&a, "acme", "cam");
    logs_ended(&a, "acme", "dog");
    ticks(300);
    assert_int_equal(a.mail.n, 0);
    for (unsigned i = 0; i < 40; i++) {
        const uint64_t came = pass(1 + i % 300);

        assert_true(came <= most);
        ticks(300); /* something waits for the next one */
        assert_true(all_bytes() <= most);
        sum += came;
    }
    assert_true(sum > 2 * 20 * 700); /* all of both, packed */
    assert_int_equal(a.mail.n, 0);
    assert_int_equal(a.logs.unit[0].s.next.number, 21);
    assert_int_equal(a.logs.unit[1].s.next.number, 21);
    assert_false(a.logs.unit[0].s.short_of || a.logs.unit[1].s.short_of);
}

/* A payload may have less than its tenant, also of what is asked for. */
static void a_payload_bounds_itself(void **state)
{
    static struct manifest m = { .tenant = "acme", .name = "cam" };

    (void)state;
    m.limits.logs_bytes_day = 1U << 20;
    m.limits.logs_bytes_pass = 2000;
    logs_starting(&a, &m);
    start("dog", 1U << 20, false);
    print_lines(LOG, 3, 1, 20, 900);
    print_lines("acme.dog.log", 3, 1, 20, 900);
    logs_ended(&a, "acme", "cam");
    logs_ended(&a, "acme", "dog");
    ticks(300);
    assert_int_equal(chunks("cam"), 0); /* no pass since the start */
    assert_true(chunks("dog") > 0);
    while (chunks("dog") > 0)
        (void)take_chunk("dog");
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t came = pass(200);

        assert_true(came <= 2000 && came > 800);
    }
}

/* ... those too that have gone from the table since, and whose state nobody can read: that takes
 * the day on which it is seen, and not the next one. */
static void who_has_gone_counts(void **state)
{
    (void)state;
    close_agent();
    open_agent(2000);
    start("cam", 2000, false);
    print_lines(LOG, 3, 1, 10, 900);
    logs_ended(&a, "acme", "cam");
    ticks(200);
    assert_int_equal(chunks("cam"), 1);
    (void)take_chunk("cam");
    close_agent();
    open_agent(2000);
    a.table.n_units = 1;
    memcpy(a.table.unit[0].kept.name, "dog", sizeof "dog");
    memset(&a.logs, 0, sizeof a.logs);
    logs_open_all(&a);
    start("dog", 2000, false);
    print_lines("acme.dog.log", 4, 1, 3, 900);
    logs_ended(&a, "acme", "dog");
    ticks(200);
    assert_int_equal(chunks("dog"), 0);
    assert_string_equal(a.logs.unit[0].payload, "dog");
    assert_true(a.logs.unit[0].s.short_of);

    assert_rc(fs_write_file(dir, "acme/cam/logs.a", bytes_of("junk"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(dir, "acme/cam/logs.b", bytes_of("junk"), 0600, &err), RC_OK);
    ticks(200);
    assert_int_equal(chunks("dog"), 0);

    struct logs_state s;

    assert_rc(logs_state_load(dir, "acme", "cam", mail_today_ms(&a), &s, &err), RC_OK);
    assert_int_equal(s.day_bytes, MAIL_USED_UP);
    s.day--; /* it is tomorrow */
    assert_rc(logs_state_save(dir, "acme", "cam", &s, &err), RC_OK);
    ticks(200);
    assert_int_equal(chunks("dog"), 1);
}

/* Chunks that nobody takes do not pile up. */
static void few_wait(void **state)
{
    (void)state;
    start("cam", 1U << 20, false);
    print_lines(LOG, 3, 1, 240, 1000);
    print_lines(LOG ".old", 2, 1, 240, 1000);
    logs_ended(&a, "acme", "cam");
    ticks(300);
    assert_int_equal(chunks("cam"), LOGS_WAITING_MAX);
}

static void sealed_goes_not(void **state)
{
    (void)state;
    start("cam", 100000, true);
    print_lines(LOG, 3, 1, 10, 20);
    logs_ended(&a, "acme", "cam");
    ticks(30);
    assert_int_equal(a.mail.n, 0);
}

/* ---- asked for --------------------------------------------------------------------------------
 */

static enum rc ask(const char *payload, struct logs_request q)
{
    uint8_t buf[MAIL_HEAD_MAX + LOGS_REQUEST_MAX], content[LOGS_REQUEST_MAX];
    struct mail m = { .direction = MAIL_LOGS_REQUEST,
                      .node = NODE,
                      .tenant = "acme",
                      .number = q.bytes,
                      .name = "log" };
    struct bytes head = { 0 }, body = { 0 };
    scoped(close_fd) int fd = -1;
    struct digest object;

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    assert_rc(logs_request_encode(&q, content, &body, &err), RC_OK);
    m.size = (uint32_t)body.n;
    assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
    memcpy(buf + head.n, body.p, body.n);
    const struct bytes all = { buf, head.n + body.n };

    assert_rc(fs_sealed("test", all, &fd, &err), RC_OK);
    assert_rc(sha256_of(all, object.b, &err), RC_OK);
    return mail_take(&a, fd, all.n, &object, &err);
}

/* As much as was asked for, from where, without a word of the manifest; twice is once. */
static void as_much_as_was_asked_for(void **state)
{
    (void)state;
    print_lines(LOG ".old", 3, 1, 10, 20);
    print_lines(LOG, 3, 11, 20, 20);
    print_lines(LOG, 4, 1, 10, 20);
    ticks(30);
    assert_int_equal(a.mail.n, 0);
    assert_rc(ask("cam", (struct logs_request){ .bytes = 1000 }), RC_OK);
    close_agent();
    open_agent(1U << 20);
    ticks(5);
    assert_int_equal(chunks("cam"), 2);
    assert_chunk("cam", 3, 1, 20);
    const struct logs_reader r = take_chunk("cam");
    assert_int_equal(r.instance, 4);
    assert_true(r.last >= 1 && r.last < 10);
    assert_rc(ask("cam", (struct logs_request){ .bytes = 1000 }), RC_OK); /* the same object */
    ticks(5);
    assert_int_equal(a.mail.n, 0);

    assert_rc(ask("cam", (struct logs_request){ .bytes = 150, .newest = true }), RC_OK);
    ticks(5);
    assert_int_equal(chunks("cam"), 1);
    const struct logs_reader newest = take_chunk("cam");
    assert_int_equal(newest.instance, 4);
    assert_int_equal(newest.last, 10);
    assert_true(newest.first > 5);

    assert_rc(ask("cam", (struct logs_request){ .instance = 3, .number = 18, .bytes = 77 }), RC_OK);
    ticks(5);
    const struct logs_reader some = take_chunk("cam");
    assert_int_equal(some.first, 18);
    assert_rc(ask("cam", (struct logs_request){ .since_ms = 19500, .bytes = 9999 }), RC_OK);
    ticks(5);
    assert_chunk("cam", 3, 20, 20);
    assert_chunk("cam", 4, 1, 10); /* behind it, whatever its clock said */
    assert_int_equal(a.mail.n, 0);
}

/* What was asked for does not go again unasked. */
static void both_ways_meet(void **state)
{
    (void)state;
    start("cam", 100000, false);
    print_lines(LOG, 3, 1, 10, 20);
    assert_rc(ask("cam", (struct logs_request){ .bytes = 65536 }), RC_OK);
    ticks(2);
    assert_chunk("cam", 3, 1, 10);
    logs_ended(&a, "acme", "cam");
    ticks(1);
    assert_chunk("cam", 3, 1, 10); /* it had never begun: once more */
    assert_rc(ask("cam", (struct logs_request){ .bytes = 65537 }), RC_OK);
    print_lines(LOG, 3, 11, 20, 20);
    ticks(2);
    assert_chunk("cam", 3, 1, 20);
    logs_ended(&a, "acme", "cam");
    ticks(5);
    assert_int_equal(a.mail.n, 0);
}

static void who_may_not_ask(void **state)
{
    (void)state;
    print_lines(LOG, 3, 1, 10, 20);
    assert_rc(ask("eel", (struct logs_request){ .bytes = 1 }), RC_MAIL_ADDRESS);
    start("cam", 0, true);
    assert_rc(ask("cam", (struct logs_request){ .bytes = 1 }), RC_MAIL_ADDRESS);
    close_agent();
    open_agent(0);
    assert_rc(ask("dog", (struct logs_request){ .bytes = 1 }), RC_MAIL_ADDRESS);
    ticks(5);
    assert_int_equal(a.mail.n, 0);
}

/* ---- lines of the files -----------------------------------------------------------------------
 */

static void strange_lines_are_none(void **state)
{
    static const char *const rows[] = {
        "",
        "7",
        "7.1.0 5 o",
        "7.1.0 5 x y",
        ".1.0 5 o y",
        "7.1.0 5  y",
        "0.1.0 5 o y",
        "7.0.0 5 o y",
        "7.1.0 18446744073709551616 o y",
        "7.1.0 5 ~ 0 1 1",
        "7.1.0 5 ~ 6 1 1",
        "7.1.0 5 ~ 1 0 1",
        "7.1.0 5 ~ 1 1",
        "7.1.0 5 ~ 1 1 1 ",
        "-7.1.0 5 o y",
        "7.4611686018427387903.0 5 o y",
    };
    struct logs_record r = { .number = 99 };
    uint64_t instance = 98;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (logline_parse(bytes_of(rows[i]), &instance, &r))
            fail_msg("%s", rows[i]);
        assert_true(r.number == 99 && instance == 98);
    }
    assert_true(logline_parse(bytes_of("7.1.0 5 o "), &instance, &r));
    assert_true(instance == 7 && r.number == 1 && r.text.n == 0 && r.bytes == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_go_once, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks_wait_for_more, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_overwritten_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_has_its_day, setup, teardown),
        cmocka_unit_test_setup_teardown(a_grant_bounds_them_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pass_has_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payload_bounds_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_gone_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(few_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(sealed_goes_not, setup, teardown),
        cmocka_unit_test_setup_teardown(as_much_as_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(both_ways_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(who_may_not_ask, setup, teardown),
        cmocka_unit_test(strange_lines_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
