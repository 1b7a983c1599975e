/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail with commands, between a bus queue and a berth-link that the test plays: each is given
 * to its payload until that has dealt with it, and what became of it is written down for the
 * ground, once.  What is too large, late, not sealed, or of nobody's is refused, and the ground is
 * told.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mail.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/seal.h"
#include "tests/unit/documents.h"

#define NODE 7U
#define GROUND 1U

static char path[32];
static int dir = -1;
static int post = -1, link_end = -1; /* the test's ends */
static struct agent a;
static struct err err;
static struct signed_doc signed_doc; /* large */

static void pair(int *ours, int *theirs)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    *ours = fds[0];
    *theirs = fds[1];
}

/* A payload runs, with a bus. */
static void start(uint64_t instance, const char *payload, bool sealed)
{
    static struct manifest m;
    struct proc *p = &a.proc[instance % UNITS_MAX];

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "%s", payload);
    m.limits.inbox_bytes = 65536;
    m.sealed = sealed;
    p->bus = BUS_INIT;
    p->instance = instance;
    p->bus.listen_fd = fcntl(dir, F_DUPFD_CLOEXEC, 3); /* nobody calls */
    mail_starting(&a, instance, &m);
}

static void stop(uint64_t instance)
{
    struct proc *p = &a.proc[instance % UNITS_MAX];

    bus_close(&p->bus);
    p->instance = 0;
    mail_not_started(&a, instance);
}

static struct bus_queue *queue(uint64_t instance)
{
    const struct proc *p = &a.proc[instance % UNITS_MAX];

    assert_non_null(p->bus.store);
    return &p->bus.store->commands;
}

static noinline struct trust *make_trust(void)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct trust *trust = NULL;

    grant.expires_ms = 0;
    grant.total.inbox_bytes = grant.total.outbox_bytes = 65536;
    doc_signed(&signed_doc, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(signed_doc.bytes, &trust, &err), RC_OK);
    doc_signed(&signed_doc, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, signed_doc.bytes, ISSUED_MS, &err), RC_OK);
    return trust;
}

static void open_agent(void)
{
    memset(&a, 0, sizeof a);
    a.data_dir = dir;
    a.config.node = NODE;
    a.config.ground = GROUND;
    a.trust = make_trust();
    a.table.n_units = 2;
    (void)snprintf(a.table.unit[0].kept.tenant, NAME_CAP, "acme");
    (void)snprintf(a.table.unit[0].kept.name, NAME_CAP, "cam");
    (void)snprintf(a.table.unit[1].kept.tenant, NAME_CAP, "acme");
    (void)snprintf(a.table.unit[1].kept.name, NAME_CAP, "dog");
    pair(&a.mail.sock, &post);
    pair(&a.link_sock, &link_end);
    assert_true(sd_event_new(&a.loop) >= 0);
    assert_rc(mail_open(&a, &err), RC_OK);
}

static void close_agent(void)
{
    for (uint64_t i = 1; i < 9; i++)
        if (a.proc[i].instance != 0)
            stop(a.proc[i].instance);
    sd_event_source_disable_unref(a.mail.on_post);
    sd_event_unref(a.loop);
    trust_free(&a.trust);
    close_fd(&a.mail.sock);
    close_fd(&a.link_sock);
    close_fd(&post);
    close_fd(&link_end);
}

static int setup(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-mail-XXXXXX", sizeof "/tmp/berth-mail-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    open_agent();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_agent();
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

/* ---- commands and answers ---------------------------------------------------------------------
 */

struct sent {
    struct digest object;
    enum rc rc;
};

static struct mail command(const char *payload, uint64_t number)
{
    struct mail m = { .direction = MAIL_COMMAND, .node = NODE, .tenant = "acme", .name = "point" };

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    m.number = number;
    return m;
}

/* It comes over the link. */
static struct sent come(struct mail m, struct bytes content)
{
    static uint8_t buf[MAIL_HEAD_MAX + 2 * MAIL_COMMAND_MAX];
    struct bytes head = { 0 };
    scoped(close_fd) int fd = -1;
    struct sent sent;

    m.size = (uint32_t)content.n;
    assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
    memcpy(buf + head.n, content.p, content.n);
    const struct bytes all = { buf, head.n + content.n };

    assert_rc(fs_sealed("test", all, &fd, &err), RC_OK);
    assert_rc(sha256_of(all, sent.object.b, &err), RC_OK);
    sent.rc = mail_take(&a, fd, all.n, &sent.object, &err);
    return sent;
}

static uint32_t count(enum mail_way way)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a.mail.n; i++)
        n += a.mail.item[i].f.way == way;
    return n;
}

/* The i-th answer on its way down; it is what may go over the link, and about acme/cam or dog. */
static struct mail_answer answer(uint32_t which)
{
    struct mail_answer ret = { .code = 0 };

    for (uint32_t i = 0; i < a.mail.n; i++) {
        const struct mail_file *f = &a.mail.item[i].f;
        uint8_t buf[MAIL_HEAD_MAX + MAIL_ANSWER_MAX];
        scoped(close_fd) int fd = -1;
        struct mail head;

        if (f->way != MAIL_SENT || which-- > 0)
            continue;
        assert_rc(mail_store_open(dir, f, &fd, &err), RC_OK);
        assert_true(f->size <= sizeof buf);
        assert_rc(fs_pread_exact(fd, buf, (size_t)f->size, 0, &err), RC_OK);
        assert_rc(mail_head_decode((struct bytes){ buf, (size_t)f->size }, f->size, &head, &err),
                  RC_OK);
        assert_int_equal(head.direction, MAIL_ANSWER);
        assert_int_equal(head.node, NODE);
        assert_int_equal(head.number, f->number);
        assert_rc(mail_answer_decode((struct bytes){ buf + head.head, head.size }, &ret, &err),
                  RC_OK);
        return ret;
    }
    fail_msg("no answer");
    return ret;
}

static void assert_answer(uint32_t which, const struct sent *to, enum mail_outcome outcome,
                          uint32_t code, const char *text)
{
    const struct mail_answer got = answer(which);

    assert_memory_equal(got.command, to->object.b, DIGEST_SIZE);
    assert_int_equal(got.outcome, outcome);
    assert_int_equal(got.code, code);
    assert_string_equal(got.text, text);
}

/* As a bus does with POST /v1/commands/ID. */
static enum rc done(uint64_t instance, uint64_t id, const char *result)
{
    enum rc rc = mail_command_done(&a, instance, id, bytes_of(result), &err);

    return rc == RC_OK ? bus_queue_done(queue(instance), id, &err) : rc;
}

static void a_command_is_given_read_and_answered(void **state)
{
    (void)state;
    start(1, "cam", false);
    const struct sent sent = come(command("cam", 1), bytes_of("0 0 1"));

    assert_rc(sent.rc, RC_OK);
    assert_int_equal(queue(1)->n, 1);
    assert_string_equal(queue(1)->post[0].from, "point");
    assert_memory_equal(queue(1)->post[0].body, "0 0 1", 5);
    assert_rc(come(command("cam", 1), bytes_of("0 0 1")).rc, RC_OK); /* the link again */
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(queue(1)->n, 1); /* once */
    assert_int_equal(count(MAIL_SENT), 0);

    (void)mail_command_read(&a, 1, 1);
    (void)mail_command_read(&a, 1, 1);
    assert_int_equal(count(MAIL_SENT), 1);
    assert_answer(0, &sent, MAIL_READ, 0, "");
    assert_rc(done(1, 1, "well"), RC_BUS_REQUEST);
    assert_rc(done(1, 2, "0"), RC_NOT_FOUND);
    assert_rc(done(2, 1, "0"), RC_NOT_FOUND);
    assert_int_equal(count(MAIL_CAME), 1);
    assert_rc(done(1, 1, "7 gimbal stuck"), RC_OK);
    assert_int_equal(count(MAIL_CAME), 0);
    assert_int_equal(count(MAIL_SENT), 1); /* that it was read need not be said any more */
    assert_answer(0, &sent, MAIL_DONE, 7, "gimbal stuck");
    assert_rc(done(1, 1, "0"), RC_NOT_FOUND); /* there is one answer */
    assert_rc(come(command("cam", 1), bytes_of("0 0 1")).rc, RC_OK);
    assert_int_equal(queue(1)->n, 0); /* and no second time for the same object */
    struct port_mail_sent told = { .rc = RC_OK };

    memcpy(told.digest, a.mail.item[0].f.digest.b, DIGEST_SIZE);
    mail_sent(&a, &told);
    assert_int_equal(a.mail.n, 0); /* and no receipt in the inbox */
}

/* A start of the payload, of the agent, and what was answered before it. */
static void what_is_not_answered_is_given_again(void **state)
{
    (void)state;
    const struct sent first = come(command("cam", 1), bytes_of("one"));
    const struct sent second = come(command("cam", 2), bytes_of("two"));

    assert_int_equal(count(MAIL_CAME), 2); /* nobody runs */
    start(1, "cam", false);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(queue(1)->n, 2);
    (void)mail_command_read(&a, 1, 1);
    stop(1);
    start(2, "cam", false);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(queue(2)->n, 2);
    assert_memory_equal(queue(2)->post[0].body, "one", 3);
    assert_rc(done(1, 1, "0"), RC_NOT_FOUND); /* of the one before */
    assert_rc(done(2, 1, ""), RC_OK);

    close_agent();
    open_agent();
    start(3, "cam", false);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(queue(3)->n, 1);
    assert_memory_equal(queue(3)->post[0].body, "two", 3);
    assert_int_equal(count(MAIL_SENT), 2); /* the first was under way already */
    assert_answer(0, &first, MAIL_READ, 0, "");
    assert_answer(1, &first, MAIL_DONE, 0, "");
    assert_rc(done(3, 1, "0 there"), RC_OK);
    assert_answer(2, &second, MAIL_DONE, 0, "there");
}

/* Cut off between the answer and the end of its command. */
static void an_answer_ends_its_command_at_the_next_start(void **state)
{
    struct mail_file f;

    (void)state;
    start(1, "cam", false);
    const struct sent sent = come(command("cam", 1), bytes_of("one"));

    f = a.mail.item[0].f;
    assert_true(f.command);
    scoped(close_fd) int fd = -1;
    assert_rc(mail_store_open(dir, &f, &fd, &err), RC_OK);
    assert_rc(done(1, 1, "3"), RC_OK);
    assert_rc(mail_store_put(dir, &f, (struct bytes){ 0 }, fd, 0, f.size, NULL, &err), RC_OK);
    close_agent();
    open_agent();
    assert_int_equal(count(MAIL_CAME), 0);
    assert_int_equal(count(MAIL_SENT), 1);
    assert_answer(0, &sent, MAIL_DONE, 3, "");
    close_agent();
    open_agent();
    assert_int_equal(count(MAIL_CAME), 0); /* from the disk too */
}

/* ---- what is not taken ------------------------------------------------------------------------
 */

static void others_are_refused(void **state)
{
    static const uint8_t large[MAIL_COMMAND_MAX + 1] = { 'x' };
    struct mail m = command("cam", 1);
    struct sent sent;

    (void)state;
    start(1, "cam", false);
    (void)snprintf(m.tenant, sizeof m.tenant, "luna");
    assert_rc(come(m, bytes_of("x")).rc, RC_MAIL_ADDRESS);
    assert_rc(come(command("nobody", 1), bytes_of("x")).rc, RC_MAIL_ADDRESS);
    m = command("cam", 1);
    m.node = NODE + 1;
    assert_rc(come(m, bytes_of("x")).rc, RC_MAIL_ADDRESS);
    m = command("cam", 1);
    m.direction = MAIL_ANSWER;
    assert_rc(come(m, bytes_of("x")).rc, RC_MAIL_ADDRESS);
    assert_int_equal(a.mail.n, 0); /* nothing is said to who asks in the name of others */

    sent = come(command("cam", 2), (struct bytes){ large, sizeof large });
    assert_rc(sent.rc, RC_BUS_TOO_LARGE);
    assert_int_equal(a.mail.n, 1);
    assert_answer(0, &sent, MAIL_REFUSED, RC_BUS_TOO_LARGE, "");
    m = command("cam", 3);
    m.expires_ms = 1;
    sent = come(m, bytes_of("late"));
    assert_rc(sent.rc, RC_MAIL_EXPIRED);
    assert_answer(1, &sent, MAIL_LATE, 0, "");
    assert_rc(come(command("cam", 4), (struct bytes){ large, MAIL_COMMAND_MAX }).rc, RC_OK);
    assert_int_equal(queue(1)->n, 1);
    assert_int_equal(queue(1)->post[0].n, MAIL_COMMAND_MAX);
}

/* More than the bus has places for wait on the disk, in order; more than that, on the ground. */
static void a_flood_waits(void **state)
{
    char text[16];
    uint32_t taken = 0;

    (void)state;
    start(1, "cam", false);
    for (uint32_t i = 0; i < 2 * MAIL_PAYLOAD_MAX; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        const enum rc rc = come(command("cam", i), bytes_of(text)).rc;

        assert_true(rc == RC_OK || rc == RC_MAIL_FULL);
        taken += rc == RC_OK;
    }
    assert_int_equal(taken, MAIL_PAYLOAD_MAX);
    assert_int_equal(queue(1)->n, BUS_MESSAGES_MAX);
    for (uint32_t i = 0; i < taken; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        assert_int_equal(queue(1)->post[0].n, strlen(text));
        assert_memory_equal(queue(1)->post[0].body, text, strlen(text));
        (void)mail_command_read(&a, 1, queue(1)->post[0].id);
        assert_rc(done(1, queue(1)->post[0].id, "0"), RC_OK);
        mail_tick(&a, clock_mono_ms());
    }
    assert_int_equal(queue(1)->n, 0);
    assert_int_equal(count(MAIL_CAME), 0);
    assert_int_equal(count(MAIL_SENT), taken); /* each has its answer */
    for (uint32_t i = 0; i < taken; i++)
        assert_int_equal(answer(i).outcome, MAIL_DONE);
}

static void what_expires_is_taken_back(void **state)
{
    struct mail m = command("cam", 1);

    (void)state;
    m.expires_ms = clock_unix_ms() + 3600000;
    start(1, "cam", false);
    const struct sent sent = come(m, bytes_of("soon"));

    assert_rc(sent.rc, RC_OK);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(queue(1)->n, 1);
    trust_free(&a.trust); /* a later time comes with a document */
    a.trust = make_trust();
    trust_raise_floor(a.trust, m.expires_ms);
    mail_tick(&a, clock_mono_ms() + 3600000);
    assert_int_equal(queue(1)->n, 0);
    assert_int_equal(count(MAIL_CAME), 0);
    assert_answer(0, &sent, MAIL_LATE, 0, "");
    assert_rc(done(1, 1, "0"), RC_NOT_FOUND);
}

/* Not a moment longer: neither one that is in the queue nor one that waits for its payload. */
static void what_has_expired_is_not_given(void **state)
{
    struct mail m = command("cam", 1);

    (void)state;
    m.expires_ms = clock_unix_ms() + 3600000;
    start(1, "cam", false);
    const struct sent queued = come(m, bytes_of("queued"));
    const struct sent good = come(command("cam", 2), bytes_of("good"));

    (void)snprintf(m.payload, sizeof m.payload, "dog");
    const struct sent waits = come(m, bytes_of("waits"));

    assert_int_equal(queue(1)->n, 2);
    trust_raise_floor(a.trust, m.expires_ms);
    assert_false(mail_command_read(&a, 1, 1));
    assert_int_equal(queue(1)->n, 1);
    assert_answer(0, &queued, MAIL_LATE, 0, "");
    assert_true(mail_command_read(&a, 1, 2));
    assert_answer(1, &good, MAIL_READ, 0, "");
    a.mail.swept_ms = clock_mono_ms(); /* no sweep does it */
    start(2, "dog", false);
    mail_tick(&a, clock_mono_ms());
    assert_null(a.proc[2].bus.store);
    assert_answer(2, &waits, MAIL_LATE, 0, "");
    assert_int_equal(count(MAIL_CAME), 1);
}

/* ---- sealed -----------------------------------------------------------------------------------
 */

static struct bytes sealed_for(const char *payload, uint8_t *buf, size_t cap)
{
    const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };
    struct link_message m = {
        .sequence = 1, .lifetime_ms = 1000, .key = 1, .counter = 1, .payload = bytes_of("secret")
    };
    size_t n = 0;

    assert_rc(mail_eid(GROUND, "acme", "", &m.src, &err), RC_OK);
    assert_rc(mail_eid(NODE, "acme", payload, &m.dst, &err), RC_OK);
    assert_rc(link_seal(&m, &keys, buf, cap, &n, &err), RC_OK);
    return (struct bytes){ buf, n };
}

static void a_sealed_payload_takes_sealed_commands(void **state)
{
    uint8_t buf[1024];
    struct sent sent;

    (void)state;
    sent = come(command("cam", 1), bytes_of("open")); /* waits for whoever runs */
    assert_rc(sent.rc, RC_OK);
    start(1, "cam", true);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(count(MAIL_CAME), 0);
    assert_answer(0, &sent, MAIL_REFUSED, RC_MAIL_SEALED, "");
    sent = come(command("cam", 2), bytes_of("open again"));
    assert_rc(sent.rc, RC_MAIL_SEALED);
    assert_answer(1, &sent, MAIL_REFUSED, RC_MAIL_SEALED, "");
    sent = come(command("cam", 3), sealed_for("dog", buf, sizeof buf));
    assert_rc(sent.rc, RC_MAIL_ADDRESS);
    const struct bytes good = sealed_for("cam", buf, sizeof buf);

    sent = come(command("cam", 4), good);
    assert_rc(sent.rc, RC_OK);
    assert_int_equal(queue(1)->n, 1);
    assert_int_equal(queue(1)->post[0].n, good.n);
    assert_memory_equal(queue(1)->post[0].body, good.p, good.n); /* as it is */
    assert_rc(done(1, queue(1)->post[0].id, "0 the secret"), RC_MAIL_SEALED);
    assert_rc(done(1, queue(1)->post[0].id, "5"), RC_OK);
    assert_answer(3, &sent, MAIL_DONE, 5, "");
}

/* ---- telemetry --------------------------------------------------------------------------------
 */

static void start_with_outbox(uint64_t instance, bool sealed)
{
    static struct manifest m;

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "cam");
    m.limits.outbox_bytes = 65536;
    m.limits.outbox_bytes_day = 10000;
    m.sealed = sealed;
    mail_starting(&a, instance, &m);
}

/* Within the day, few at a time, after a start too, and behind every message. */
static void batches_are_few_and_last(void **state)
{
    static uint8_t batch[3100];
    struct mail_file message = {
        .way = MAIL_SENT, .tenant = "zeta", .payload = "other", .number = 1
    };
    uint32_t under_way = 0;

    (void)state;
    assert_rc(mail_telemetry(&a, 1, bytes_of("x"), &err), RC_MAIL_ADDRESS);
    start(1, "cam", false); /* without an outbox */
    assert_rc(mail_telemetry(&a, 1, bytes_of("x"), &err), RC_MAIL_ADDRESS);
    stop(1);
    start_with_outbox(2, true);
    assert_rc(mail_telemetry(&a, 2, bytes_of("x"), &err), RC_MAIL_ADDRESS);
    mail_not_started(&a, 2);
    start_with_outbox(3, false);
    for (uint32_t i = 0; i < 3; i++)
        assert_rc(mail_telemetry(&a, 3, (struct bytes){ batch, sizeof batch }, &err),
                  i < 2 ? RC_OK : RC_MAIL_BUDGET);
    for (uint32_t i = 2; i < MAIL_BATCHES_MAX; i++)
        assert_rc(mail_telemetry(&a, 3, bytes_of("x"), &err), RC_OK);
    assert_rc(mail_telemetry(&a, 3, bytes_of("x"), &err), RC_MAIL_FULL);
    close_agent();
    open_agent();
    assert_int_equal(count(MAIL_SENT), MAIL_BATCHES_MAX);
    start_with_outbox(4, false);
    assert_rc(mail_telemetry(&a, 4, bytes_of("x"), &err), RC_MAIL_FULL);

    scoped(close_fd) int mem = -1;
    assert_rc(fs_sealed("test", bytes_of("hello"), &mem, &err), RC_OK);
    assert_rc(mail_store_put(dir, &message, (struct bytes){ 0 }, mem, 0, 5, NULL, &err), RC_OK);
    a.mail.item[a.mail.n++] = (struct mail_item){ .f = message };
    mail_tick(&a, clock_mono_ms());
    for (uint32_t i = 0; i < a.mail.n; i++) {
        under_way += a.mail.item[i].under_way;
        assert_true(a.mail.item[i].under_way || a.mail.item[i].f.telemetry);
    }
    assert_int_equal(under_way, 1 + 2);
    mail_not_started(&a, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_command_is_given_read_and_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_answered_is_given_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_ends_its_command_at_the_next_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(others_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_expires_is_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_is_not_given, setup, teardown),
        cmocka_unit_test_setup_teardown(batches_are_few_and_last, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sealed_payload_takes_sealed_commands, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
