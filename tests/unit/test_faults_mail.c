/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail through every fault: a message into the store and out of it, one that berthd takes from
 * berth-post, and what berth-post does to the directories of a payload.  Nothing that was
 * acknowledged is lost, nothing comes twice without being told, and nobody sees half a file.
 */
#include "tests/unit/fault_table.h"

#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/mail.h"
#include "base/clock.h"
#include "base/crypto.h"

#define CONTENT "a picture of the sea, and of nothing else"

static struct bytes content(void)
{
    return bytes_of(CONTENT);
}

static int sealed_content(void)
{
    int fd = -1;
    struct err err;

    if (fs_sealed("test", content(), &fd, &err) != RC_OK)
        abort();
    return fd;
}

/* ---- the store --------------------------------------------------------------------------------
 */

static struct mail_file message(void)
{
    return (struct mail_file){ .tenant = "acme", .payload = "cam", .way = MAIL_SENT, .number = 1 };
}

static struct bytes head(uint8_t buf[MAIL_HEAD_MAX])
{
    struct mail m = { .direction = MAIL_DOWN,
                      .node = 7,
                      .tenant = "acme",
                      .payload = "cam",
                      .number = 1,
                      .time_ms = 1000,
                      .name = "letter",
                      .size = sizeof CONTENT - 1 };
    struct bytes out = { 0 };
    struct err err;

    if (mail_head_encode(&m, buf, &out, &err) != RC_OK)
        abort();
    return out;
}

static void nothing_before(struct fault_world *w)
{
    (void)w;
}

/* As agent/mail does: the message, then that it was taken. */
static enum rc store_put(struct fault_world *w, struct err *err)
{
    struct mail_state s = { .number = 1, .n_taken = 1, .taken = { { .ino = 5 } } };
    struct mail_file f = message();
    uint8_t buf[MAIL_HEAD_MAX];
    scoped(close_fd) int from = sealed_content();
    enum rc rc = mail_store_put(w->dir.fd, &f, head(buf), from, 0, sizeof CONTENT - 1, NULL, err);

    return rc == RC_OK ? mail_state_save(w->dir.fd, "acme", "cam", &s, err) : rc;
}

struct listed {
    int dir;
    uint32_t n;
};

/* Whatever has the name of a message is all of it. */
static void on_listed(void *arg, const struct mail_file *f)
{
    struct listed *l = arg;
    uint8_t buf[MAIL_HEAD_MAX + sizeof CONTENT];
    scoped(close_fd) int fd = -1;
    uint8_t digest[DIGEST_SIZE];
    struct mail m;
    struct err err;

    l->n++;
    assert_rc(mail_store_open(l->dir, f, &fd, &err), RC_OK);
    assert_true(f->size <= sizeof buf);
    assert_rc(fs_pread_exact(fd, buf, (size_t)f->size, 0, &err), RC_OK);
    assert_rc(sha256_of((struct bytes){ buf, (size_t)f->size }, digest, &err), RC_OK);
    assert_memory_equal(digest, f->digest.b, DIGEST_SIZE);
    assert_rc(mail_head_read(fd, f->size, &m, &err), RC_OK);
    assert_string_equal(m.name, "letter");
    assert_true(m.number == 1 && f->number == 1);
    assert_true(bytes_equal((struct bytes){ buf + m.head, m.size }, content()));
}

static uint32_t messages(struct fault_world *w)
{
    struct listed l = { .dir = w->dir.fd };

    mail_store_list(w->dir.fd, on_listed, &l);
    return l.n;
}

/* What a start does with a state that was cut off. */
static void sweep_state(struct fault_world *w)
{
    scoped(close_fd) int fd = -1;
    struct err err;

    if (fs_open(w->dir.fd, "acme/cam", O_RDONLY | O_DIRECTORY, 0, &fd, &err) == RC_OK)
        assert_rc(fs_sweep(fd, ".", &err), RC_OK);
}

/* It is noted only when the message is there. */
static bool is_put(struct fault_world *w)
{
    struct mail_state s;
    struct err err;
    const uint32_t n = messages(w);

    sweep_state(w);
    assert_rc(mail_state_load(w->dir.fd, "acme", "cam", 0, &s, &err), RC_OK);
    assert_true(n <= 1 && (s.number == 0 || n == 1));
    return s.number == 1;
}

static void one_before(struct fault_world *w)
{
    struct err err;

    assert_rc(store_put(w, &err), RC_OK);
}

static enum rc store_remove(struct fault_world *w, struct err *err)
{
    struct mail_file f = message();
    uint8_t buf[MAIL_HEAD_MAX + sizeof CONTENT];
    struct bytes out = head(buf);

    memcpy(buf + out.n, CONTENT, sizeof CONTENT - 1);
    f.size = out.n + sizeof CONTENT - 1;
    enum rc rc = sha256_of((struct bytes){ buf, (size_t)f.size }, f.digest.b, err);

    return rc == RC_OK ? mail_store_remove(w->dir.fd, &f, err) : rc;
}

static bool is_removed(struct fault_world *w)
{
    return messages(w) == 0;
}

/* ---- berthd takes one -------------------------------------------------------------------------
 */

static struct agent a;
static int post_end = -1;

static enum rc agent_start(struct fault_world *w, struct err *err)
{
    static struct manifest m;
    int pair[2];

    memset(&a, 0, sizeof a);
    a.data_dir = w->dir.fd;
    a.config.node = 7;
    a.config.ground = 1;
    a.link_sock = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        sd_event_new(&a.loop) < 0)
        abort();
    a.mail.sock = pair[0];
    post_end = pair[1];
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "cam");
    m.limits.outbox_bytes = m.limits.outbox_bytes_day = 65536;
    enum rc rc = mail_open(&a, err);

    mail_starting(&a, 1, &m);
    return rc;
}

static void agent_end(struct fault_world *w)
{
    (void)w;
    sd_event_source_disable_unref(a.mail.on_post);
    sd_event_unref(a.loop);
    close_fd(&a.mail.sock);
    close_fd(&post_end);
}

#define TAKEN 0 /* how often it was said that a message is kept */

/* A file is found; it is taken, or it is to come again. */
static enum rc agent_take(struct fault_world *w, struct err *err)
{
    struct post_message m = { .type = POST_FOUND,
                              .instance = 1,
                              .size = sizeof CONTENT - 1,
                              .mark = { .ino = 5 },
                              .name = "letter" };
    scoped(close_fd) int mem = sealed_content();
    int fds[POST_FDS_MAX] = { mem, -1 };
    enum rc rc = post_send(post_end, &m, fds, err);

    if (rc != RC_OK || sd_event_run(a.loop, 0) <= 0)
        abort();
    rc = post_recv(post_end, true, &m, fds, err);
    if (rc != RC_OK || (m.type != POST_TAKEN && m.type != POST_LATER))
        abort();
    if (m.type == POST_LATER)
        return err_set(err, RC_BUSY, "to come again");
    w->told->number[TAKEN]++;
    return RC_OK;
}

/* What was said to be kept is; cut off in between it is found again, and there are two of one
 * number and content, of which the ground keeps one. */
static bool is_taken(struct fault_world *w)
{
    const uint32_t n = messages(w);

    assert_true(n <= 2 && (n >= 1 || w->told->number[TAKEN] == 0));
    return n >= 1;
}

/* ---- a command ends --------------------------------------------------------------------------
 */

/* One waits for a payload. */
static void command_before(struct fault_world *w)
{
    struct mail_file f = message();
    struct mail m = { .direction = MAIL_COMMAND,
                      .node = 7,
                      .tenant = "acme",
                      .payload = "cam",
                      .number = 1,
                      .name = "letter",
                      .size = sizeof CONTENT - 1 };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes out = { 0 };
    scoped(close_fd) int from = sealed_content();
    struct err err;

    f.way = MAIL_CAME;
    f.command = true;
    assert_rc(mail_head_encode(&m, buf, &out, &err), RC_OK);
    assert_rc(mail_store_put(w->dir.fd, &f, out, from, 0, sizeof CONTENT - 1, NULL, &err), RC_OK);
}

/* The payload says that it has dealt with it; if that cannot be kept, it says so again.  After a
 * power cut the command is there again, or ended with its answer at that start. */
static enum rc command_done(struct fault_world *w, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; i < a.mail.n; i++) {
        if (!a.mail.item[i].f.command)
            continue;
        a.mail.item[i].instance = a.mail.item[i].id = 1;
        rc = mail_command_done(&a, 1, 1, bytes_of("4 well"), err);
        break;
    }
    if (rc == RC_OK)
        w->told->number[TAKEN]++;
    return rc;
}

struct ends {
    int dir;
    uint32_t commands, answers;
};

static void on_end(void *arg, const struct mail_file *f)
{
    struct ends *e = arg;
    uint8_t buf[MAIL_HEAD_MAX + MAIL_ANSWER_MAX];
    scoped(close_fd) int fd = -1;
    struct mail_answer answer;
    struct mail m;
    struct err err;

    assert_rc(mail_store_open(e->dir, f, &fd, &err), RC_OK);
    assert_rc(mail_head_read(fd, f->size, &m, &err), RC_OK);
    e->commands += f->command;
    if (f->command)
        return;
    assert_true(m.direction == MAIL_ANSWER && m.head + m.size <= sizeof buf);
    assert_rc(fs_pread_exact(fd, buf, m.size, m.head, &err), RC_OK);
    assert_rc(mail_answer_decode((struct bytes){ buf, m.size }, &answer, &err), RC_OK);
    assert_true(answer.outcome == MAIL_DONE && answer.code == 4);
    assert_string_equal(answer.text, "well");
    e->answers++;
}

/* Never neither; what the payload was told is kept. */
static bool is_done(struct fault_world *w)
{
    struct ends e = { .dir = w->dir.fd };

    mail_store_list(w->dir.fd, on_end, &e);
    assert_true(e.commands <= 1 && e.answers <= 2 && e.commands + e.answers > 0);
    assert_true(e.answers > 0 || w->told->number[TAKEN] == 0);
    return e.answers > 0;
}

/* ---- telemetry --------------------------------------------------------------------------------
 */

/* What could not be kept stays in the ring, and comes again. */
static enum rc batch_kept(struct fault_world *w, struct err *err)
{
    enum rc rc = mail_telemetry(&a, 1, content(), err);

    if (rc == RC_OK)
        w->told->number[TAKEN]++;
    return rc;
}

static void on_batch(void *arg, const struct mail_file *f)
{
    struct listed *l = arg;
    scoped(close_fd) int fd = -1;
    struct mail m;
    struct err err;

    assert_true(f->telemetry);
    assert_rc(mail_store_open(l->dir, f, &fd, &err), RC_OK);
    assert_rc(mail_head_read(fd, f->size, &m, &err), RC_OK);
    assert_int_equal(m.direction, MAIL_TELEMETRY);
    assert_int_equal(m.size, sizeof CONTENT - 1);
    l->n++;
}

static bool is_batch(struct fault_world *w)
{
    struct listed l = { .dir = w->dir.fd };

    mail_store_list(w->dir.fd, on_batch, &l);
    assert_true(l.n <= 2 && (l.n >= 1 || w->told->number[TAKEN] == 0));
    return l.n >= 1;
}

/* ---- logs -------------------------------------------------------------------------------------
 */

#define LOG_LINES 3U

/* Three lines lie there. */
static void log_before(struct fault_world *w)
{
    struct err err;

    assert_rc(fs_write_file(w->dir.fd, "acme.cam.log",
                            bytes_of("5.1.0 10 n started\n5.2.8 11 o one\n5.3.12 11 e two\n"), 0600,
                            &err),
              RC_OK);
}

static enum rc log_start(struct fault_world *w, struct err *err)
{
    static struct manifest m = { .tenant = "acme", .name = "cam", .limits.logs_bytes_day = 65536 };
    enum rc rc = agent_start(w, err);

    a.log_dir = w->dir.fd;
    a.table.n_units = 1;
    memcpy(a.table.unit[0].kept.tenant, m.tenant, sizeof m.tenant);
    memcpy(a.table.unit[0].kept.name, m.name, sizeof m.name);
    logs_open_all(&a);
    logs_starting(&a, &m);
    logs_ended(&a, "acme", "cam");
    return rc;
}

/* A chunk is made, or its lines go into the next one. */
static enum rc log_sent(struct fault_world *w, struct err *err)
{
    static uint64_t now_ms;

    if (a.mail.n == 0 || a.logs.unit[0].unsaved)
        logs_tick(&a, now_ms += 100000);
    if (a.mail.n == 0 || a.logs.unit[0].unsaved)
        return err_set(err, RC_BUSY, "to come again");
    w->told->number[TAKEN]++;
    return RC_OK;
}

static void on_log(void *arg, const struct mail_file *f)
{
    static uint8_t buf[LOGS_BYTES_MAX], plain[LOGS_PLAIN_MAX];
    struct listed *l = arg;
    scoped(close_fd) int fd = -1;
    struct logs_reader r;
    struct mail m;
    struct err err;

    assert_true(f->log);
    assert_rc(mail_store_open(l->dir, f, &fd, &err), RC_OK);
    assert_rc(mail_head_read(fd, f->size, &m, &err), RC_OK);
    assert_int_equal(m.direction, MAIL_LOGS);
    assert_rc(fs_pread_exact(fd, buf, m.size, m.head, &err), RC_OK);
    assert_rc(logs_open((struct bytes){ buf, m.size }, plain, &r, &err), RC_OK);
    assert_true(r.instance == 5 && r.first == 1 && r.last == LOG_LINES);
    l->n++;
}

/* All of them, in one chunk; cut off in between in two that say the same. */
static bool is_log_sent(struct fault_world *w)
{
    struct listed l = { .dir = w->dir.fd };
    struct logs_state s;
    struct err err;

    mail_store_list(w->dir.fd, on_log, &l);
    assert_rc(logs_state_load(w->dir.fd, "acme", "cam", 0, &s, &err), RC_OK);
    assert_true(s.next.number == 0 || (s.next.number == LOG_LINES + 1 && l.n >= 1));
    assert_true(l.n <= 2 && (l.n >= 1 || w->told->number[TAKEN] == 0));
    return l.n >= 1;
}

/* ---- berth-post -------------------------------------------------------------------------------
 */

static struct post *post;
static int berthd_end = -1, far_end = -1, life[2] = { -1, -1 };

static void boxes_before(struct fault_world *w)
{
    (void)close(make_dir(w->dir.fd, "in"));
    (void)close(make_dir(w->dir.fd, "out"));
    put_file(w->dir.fd, "out/letter", CONTENT, 0600);
}

static enum rc post_start(struct fault_world *w, struct err *err)
{
    const struct post_message m = { .type = POST_OPEN, .instance = 1 };
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        pipe2(life, O_CLOEXEC) != 0)
        abort();
    berthd_end = pair[0];
    far_end = pair[1];
    enum rc rc = post_new(far_end, &post, err);
    const int fds[POST_FDS_MAX] = { w->dir.fd, life[0] };

    return rc == RC_OK ? post_send(berthd_end, &m, fds, err) : rc;
}

static void post_end_all(struct fault_world *w)
{
    (void)w;
    post_free(&post);
    close_fd(&berthd_end);
    close_fd(&far_end);
    close_fd(&life[0]);
    close_fd(&life[1]);
}

/* One turn, and the answer to what was said before it; others are passed over. */
static enum rc answer(enum post_type type, struct post_message *m)
{
    uint64_t wait_ms = 0;
    struct err err;

    if (post_turn(post, clock_mono_ms(), &wait_ms, &err) != RC_OK)
        abort();
    for (;;) {
        int fds[POST_FDS_MAX] = { -1, -1 };

        if (post_recv(berthd_end, false, m, fds, &err) != RC_OK)
            abort();
        close_fd(&fds[0]);
        if (m->type == type)
            return rc_from_number(m->rc);
    }
}

static enum rc post_put(struct fault_world *w, struct err *err)
{
    struct post_message m = {
        .type = POST_PUT, .instance = 1, .size = sizeof CONTENT - 1, .name = "order"
    };
    scoped(close_fd) int mem = sealed_content();
    const int fds[POST_FDS_MAX] = { mem, -1 };

    (void)w;
    if (post_send(berthd_end, &m, fds, err) != RC_OK)
        abort();
    enum rc rc = answer(POST_DELIVERED, &m);

    if (rc == RC_EXISTS) /* it was told: it had come already */
        return RC_OK;
    return rc == RC_OK ? rc : err_set(err, rc, "delivery");
}

/* A payload sees all of it or nothing; what is hidden the next delivery takes away. */
static bool is_delivered(struct fault_world *w)
{
    uint8_t buf[sizeof CONTENT + 1];
    size_t n = 0;
    struct err err;

    (void)unlinkat(w->dir.fd, "in/.draft", 0);
    enum rc rc = fs_read_file(w->dir.fd, "in/order", buf, sizeof buf, &n, &err);

    if (rc == RC_NOT_FOUND)
        return false;
    assert_rc(rc, RC_OK);
    assert_true(bytes_equal((struct bytes){ buf, n }, content()));
    return true;
}

/* A file that was offered and taken goes; nothing else does. */
static enum rc post_taken(struct fault_world *w, struct err *err)
{
    struct stat st = { 0 };
    struct post_message m = { .type = POST_TAKEN, .instance = 1, .name = "letter" };

    (void)fstatat(w->dir.fd, "out/letter", &st, AT_SYMLINK_NOFOLLOW); /* or it is gone */
    m.mark = (struct post_mark){ .ino = st.st_ino,
                                 .ctime_s = st.st_ctim.tv_sec,
                                 .ctime_ns = (uint32_t)st.st_ctim.tv_nsec };
    if (post_send(berthd_end, &m, NULL, err) != RC_OK)
        abort();
    enum rc rc = answer(POST_REMOVED, &m);

    return rc == RC_OK || rc == RC_NOT_FOUND ? RC_OK : err_set(err, rc, "removal");
}

static bool is_gone(struct fault_world *w)
{
    return faccessat(w->dir.fd, "out/letter", F_OK, 0) != 0;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

/* clang-format off */
static const struct fault_row rows[] = {
    { .name = "message stored and noted", .before = nothing_before, .run = store_put, .is_new = is_put,
      .one_way = true, .calls_min = 8 },
    { .name = "message removed", .before = one_before, .run = store_remove, .is_new = is_removed,
      .may_lack = true, .one_way = true, .calls_min = 2 },
    { .name = "message taken from an outbox", .before = nothing_before, .open = agent_start,
      .run = agent_take, .close = agent_end, .is_new = is_taken, .under_way = "acme",
      .one_way = true, .calls_min = 8 },
    { .name = "command answered", .before = command_before, .open = agent_start, .run = command_done,
      .close = agent_end, .is_new = is_done, .under_way = "acme", .one_way = true,
      .calls_min = 8 },
    { .name = "telemetry kept", .before = nothing_before, .open = agent_start, .run = batch_kept,
      .close = agent_end, .is_new = is_batch, .under_way = "acme", .one_way = true,
      .calls_min = 8 },
    { .name = "chunk of a log", .before = log_before, .open = log_start, .run = log_sent,
      .close = agent_end, .is_new = is_log_sent, .under_way = "acme", .one_way = true,
      .calls_min = 12 },
    { .name = "message put into an inbox", .before = boxes_before, .open = post_start, .run = post_put,
      .close = post_end_all, .is_new = is_delivered, .one_way = true, .calls_min = 5 },
    { .name = "file removed that was taken", .before = boxes_before, .open = post_start,
      .run = post_taken, .close = post_end_all, .is_new = is_gone, .may_lack = true,
      .also = RC_MAIL_DAMAGED, .one_way = true, .calls_min = 2 },
};
/* clang-format on */

static void mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fault_row_run(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
