/* SPDX-License-Identifier: Apache-2.0
 *
 * link/endpoint and link/ground: the real berth-link, confined, over real directories with sealed
 * bundles; this test is berthd and the ground.  Needs root.
 */
#include "tests/unit/link_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "link/ground.h"
#include "link/outbox.h"
#include "link/state.h"
#include "link/status.h"
#include "link/transfer.h"

#define USER 64502
#define PATIENCE_MS 300000U

struct rig {
    bool owes; /* link_ground_owes, of the one before */
    struct link_tmp tmp;
    int spool, up, down, keys, ground_keys, ground_mail;
    int port;
    pid_t pid;
    struct link_ground *ground;
    uint64_t now_ms; /* of the sender, moved by hand */
    uint32_t contacts, heard;
    uint32_t events[400]; /* by code */
    struct port_transfers transfers;
    struct port_keys keys_held;
    struct port_key_held answer; /* the last one */
    uint32_t answers;
    uint32_t n_objects;
    struct port_object object; /* the last one */
    int object_fd;
    uint32_t mails_sent;
    struct port_mail_sent mail_sent; /* the last one */
    uint32_t reports;
    uint8_t report[64];
    size_t report_n;
};

static int make_dir(struct rig *r, const char *name)
{
    struct err err;
    int fd = -1;

    assert_rc(fs_open_dir(r->tmp.fd, name, 0755, &fd, &err), RC_OK);
    assert_int_equal(fchown(fd, USER, USER), 0);
    return fd;
}

/* Start the program with its five descriptors. */
static void start(struct rig *r)
{
    char path[300], user[32];
    int pair[2] = { -1, -1 };
    const char *build = getenv("BERTH_BUILD");

    snprintf(path, sizeof path, "%s/berth-link", build != NULL ? build : "build/release");
    snprintf(user, sizeof user, "%d:%d", USER, USER);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0) {
        const int fds[] = { pair[1], r->spool, r->up, r->down, r->keys };
        int high[5];

        for (int i = 0; i < 5; i++)
            high[i] = fcntl(fds[i], F_DUPFD, 100);
        for (int i = 0; i < 5; i++)
            dup2(high[i], 3 + i);
        for (int i = 8; i < 200; i++)
            close(i);
        execl(path, "berth-link", "--user", user, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    r->port = pair[0];
}

static int stop(struct rig *r, int sig)
{
    int status = 0;

    if (sig != 0)
        kill(r->pid, sig);
    close_fd(&r->port);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    return status;
}

static void open_ground(struct rig *r)
{
    struct err err;
    const struct link_ground_options options = {
        .state_dirfd = r->ground_keys,
        .up_dirfd = r->up,
        .down_dirfd = r->down,
        .mail_dirfd = r->ground_mail,
        .owes = r->owes,
        .sender = { .chunk_size = 4096, .flight_ms = 10, .resend_ms = 5000 }
    };

    assert_rc(link_ground_open(&options, &r->ground, &err), RC_OK);
}

static bool give_file(void *arg, const char *name)
{
    assert_int_equal(fchownat(*(int *)arg, name, USER, USER, 0), 0);
    return true;
}

static struct rig *rig_new(bool provision)
{
    struct rig *r = calloc(1, sizeof *r);
    struct keys keys = { 0 };
    struct err err;

    r->tmp = link_tmp_new();
    assert_int_equal(fchmod(r->tmp.fd, 0755), 0);
    r->spool = make_dir(r, "spool");
    r->up = make_dir(r, "up");
    r->down = make_dir(r, "down");
    r->keys = make_dir(r, "link");
    r->ground_keys = make_dir(r, "ground");
    r->ground_mail = make_dir(r, "mail");
    r->object_fd = -1;
    r->now_ms = 1000;
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_make(r->ground_keys, LINK_SIDE_GROUND, &keys, &err), RC_OK);
    if (provision)
        assert_rc(link_state_make(r->keys, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(fs_list(r->keys, ".", 100, give_file, &r->keys, NULL, &err), RC_OK);
    open_ground(r);
    start(r);
    return r;
}

static void rig_free(struct rig *r)
{
    if (r->port >= 0) /* or it would still make files in what is removed */
        stop(r, SIGKILL);
    link_ground_close(&r->ground);
    close_fd(&r->object_fd);
    close(r->spool);
    close(r->up);
    close(r->down);
    close(r->keys);
    close(r->ground_keys);
    close(r->ground_mail);
    link_tmp_free(&r->tmp);
    free(r);
}

/* One message from berth-link, as berthd takes it. */
static void take_message(struct rig *r)
{
    static struct port_message m;
    int fd = -1;
    struct err err;
    enum rc rc = port_recv(r->port, PORT_FROM_LINK, &m, &fd, &err);

    if (rc == RC_TIMEOUT)
        return;
    assert_rc(rc, RC_OK);
    if (m.type == PORT_CONTACT)
        r->contacts++;
    if (m.type == PORT_HEARD)
        r->heard++;
    if (m.type == PORT_EVENT)
        r->events[m.event.rc] += m.event.count;
    if (m.type == PORT_TRANSFERS)
        r->transfers = m.transfers;
    if (m.type == PORT_KEYS)
        r->keys_held = m.keys;
    if (m.type == PORT_KEY_HELD) {
        r->answer = m.held;
        r->answers++;
    }
    if (m.type == PORT_MAIL_SENT) {
        r->mail_sent = m.mail_sent;
        r->mails_sent++;
    }
    if (m.type == PORT_OBJECT) {
        r->n_objects++;
        r->object = m.object;
        close_fd(&r->object_fd);
        r->object_fd = fd;
    }
}

static void take_report(void *arg, enum object_kind kind, struct bytes object)
{
    struct rig *r = arg;

    assert_int_equal(kind, OBJECT_REPORT);
    assert_true(object.n <= sizeof r->report);
    memcpy(r->report, object.p, object.n);
    r->report_n = object.n;
    r->reports++;
}

/* Let both ends work until the condition holds. */
#define until(r, condition)                                                                        \
    do {                                                                                           \
        uint64_t end_ = clock_mono_ms() + PATIENCE_MS;                                             \
        while (!(condition)) {                                                                     \
            struct pollfd p_ = { .fd = (r)->port, .events = POLLIN };                              \
            assert_true(clock_mono_ms() < end_);                                                   \
            if (poll(&p_, 1, 20) > 0)                                                              \
                take_message(r);                                                                   \
        }                                                                                          \
    } while (0)

static uint32_t send_due(struct rig *r)
{
    uint64_t budget = UINT64_MAX;
    uint32_t sent = 0;
    struct err err;

    assert_rc(link_ground_send(r->ground, r->now_ms, &budget, &sent, &err), RC_OK);
    r->now_ms += 1000;
    return sent;
}

static void queue(struct rig *r, const struct link_object *o)
{
    struct err err;
    int fd = -1;

    assert_rc(fs_sealed("object", (struct bytes){ o->bytes, o->object.size }, &fd, &err), RC_OK);
    assert_rc(link_ground_add(r->ground, &o->object, fd, &err), RC_OK);
    close_fd(&fd);
}

static void done(struct rig *r, const struct link_object *o)
{
    struct port_message m = { .type = PORT_OBJECT_DONE };
    struct err err;

    memcpy(m.done.digest, o->object.digest, DIGEST_SIZE);
    assert_rc(port_send(r->port, &m, -1, &err), RC_OK);
}

static size_t files_in(int dirfd)
{
    size_t n = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(fd);

    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.' ? 1 : 0;
    closedir(d);
    return n;
}

/* A document and a package arrive whole; some bundles of the package are lost at first. */
static void objects_arrive(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
    struct link_object package = link_object_new(OBJECT_PACKAGE, 100000, 2);

    (void)state;
    queue(r, &package);
    queue(r, &order);
    stop(r, SIGKILL);                              /* so that it cannot see the two that get lost */
    assert_int_equal(send_due(r), 1 + 1 + 25 + 1); /* the descriptor twice, see HEAD_EVERY */
    /* Bundles 2 (the first descriptor) and 9 never get there. */
    assert_int_equal(unlinkat(r->up, "00000001-0000000000000002.bundle", 0), 0);
    assert_int_equal(unlinkat(r->up, "00000001-0000000000000009.bundle", 0), 0);
    start(r);
    until(r, r->n_objects == 1);
    assert_int_equal(r->object.kind, OBJECT_ORDER);
    assert_true(link_object_is(&order, r->object_fd));
    assert_int_equal(fcntl(r->object_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    done(r, &order);
    stop(r, SIGKILL); /* in the middle */
    start(r);
    until(r, r->transfers.n_transfers == 1 && r->transfers.transfer[0].chunks != 0 &&
                 files_in(r->up) == 0);
    sender_report(link_ground_sender(r->ground), &r->transfers, r->now_ms);
    uint32_t again = send_due(r);

    assert_true(again >= 1 && again <= 27);
    until(r, r->object.kind == OBJECT_PACKAGE);
    assert_true(link_object_is(&package, r->object_fd));
    assert_true(r->contacts >= 1);
    assert_int_equal(r->heard, 2); /* once in the life of each berth-link */
    done(r, &package);
    until(r, r->transfers.n_complete == 2 && r->transfers.n_transfers == 0);
    sender_report(link_ground_sender(r->ground), &r->transfers, r->now_ms);
    assert_int_equal(send_due(r), 0);
    for (uint32_t code = 0; code < 400; code++) {
        if (r->events[code] != 0 && code != RC_REPLAY)
            fail_msg("event %s", rc_name((enum rc)code));
    }
    int status = stop(r, 0); /* berthd is gone: it ends by itself */

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(order.bytes);
    free(package.bytes);
    rig_free(r);
}

static uint64_t put_again(struct rig *r, const char *name, struct bytes bundle)
{
    struct err err;

    assert_rc(fs_write_file(r->up, name, bundle, 0644, &err), RC_OK);
    until(r, files_in(r->up) == 0);
    return bundle.n;
}

/* Every byte that is met is counted once: as useful, as repeated, or as neither when it was
 * refused.
 */
static void bytes_are_counted(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
    struct link_object next = link_object_new(OBJECT_ORDER, 500, 2);
    struct port_message report = { .type = PORT_REPORT, .report = { .n = 5 } };
    struct err err;
    uint8_t *bundle = NULL;
    size_t n = 0;

    (void)state;
    queue(r, &order);
    stop(r, SIGKILL);
    assert_int_equal(send_due(r), 1);
    assert_rc(fs_read_alloc(r->up, "00000001-0000000000000001.bundle", 65536, &bundle, &n, &err),
              RC_OK);
    start(r);
    until(r, r->n_objects == 1 && files_in(r->up) == 0);
    uint64_t again = put_again(r, "again.bundle", (struct bytes){ bundle, n });
    bundle[n / 2] ^= 1;
    uint64_t bent = put_again(r, "bent.bundle", (struct bytes){ bundle, n });
    assert_rc(port_send(r->port, &report, -1, &err), RC_OK);
    until(r, files_in(r->down) == 1);

    /* Told with the next thing that is news. */
    queue(r, &next);
    assert_int_equal(send_due(r), 1);
    until(r, r->n_objects == 2 && r->transfers.n_complete == 2);
    const struct port_traffic *t = &r->transfers.traffic;

    assert_true(t->contacts >= 1);
    if (t->contacts == 1) /* a machine that stalls for some seconds makes two of it */
        assert_memory_equal(&t->contact, &t->all, sizeof t->all);
    assert_true(t->all.useful > n + 500 && t->all.useful < n + 500 + LINK_OVERHEAD_MAX);
    assert_true(t->all.repeated == again);
    assert_true(t->all.in == t->all.useful + again + bent);
    assert_true(t->all.out > 5 && t->all.out < 5 + LINK_OVERHEAD_MAX);
    assert_int_equal(t->key_epoch, 1);
    assert_int_equal(t->highest, 2);
    assert_int_equal(t->accepted, 2);
    free(bundle);
    free(order.bytes);
    free(next.bytes);
    rig_free(r);
}

/* Without any report: of a turn of chunks and repairs every third file is lost, berth-link is
 * killed in between, and the object is there. */
static void nothing_comes_back(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object package = link_object_new(OBJECT_PACKAGE, 100000, 2);
    const struct link_ground_options options = {
        .state_dirfd = r->ground_keys,
        .up_dirfd = r->up,
        .down_dirfd = r->down,
        .sender = { .chunk_size = 4096, .one_way = true, .repairs = 60, .resend_ms = 5000 }
    };
    struct err err;
    char name[64];

    (void)state;
    stop(r, SIGKILL);
    link_ground_close(&r->ground);
    assert_rc(link_ground_open(&options, &r->ground, &err), RC_OK);
    queue(r, &package);
    uint32_t sent = send_due(r);

    assert_in_range(sent, 1 + 25 + 15, 3 + 25 + 15); /* 25 chunks, 15 repairs, descriptors */
    assert_int_equal(send_due(r), 0);
    /* Counters of a new process begin behind the lease of the one before. */
    unsigned lost = 0, seen = 0;

    for (unsigned counter = 1; counter < 2 * COUNTER_LEASE + 100 && seen < sent; counter++) {
        snprintf(name, sizeof name, "00000001-%016x.bundle", counter);
        if (faccessat(r->up, name, F_OK, 0) != 0)
            continue;
        seen++;
        if (seen % 3 == 2) {
            assert_int_equal(unlinkat(r->up, name, 0), 0);
            lost++;
        }
    }
    assert_int_equal(seen, sent);
    assert_in_range(lost, 13, 15);
    start(r);
    until(r, files_in(r->up) < sent - lost);
    stop(r, SIGKILL);
    start(r);
    until(r, r->object.kind == OBJECT_PACKAGE);
    assert_true(link_object_is(&package, r->object_fd));
    free(package.bytes);
    rig_free(r);
}

/* The ground learns what is lost from the counters that came, of those sent since it opened the
 * link. */
static void losses_are_learnt(void **state)
{
    static const struct {
        const char *why;
        uint64_t epoch, highest, accepted;
        uint32_t loss; /* of 1000, afterwards */
    } rows[] = {
        { "nothing said", 0, 0, 0, 0 },
        { "the first one is what others are compared with", 1, 10, 4, 0 },
        { "a hundred went, seventy came", 1, 110, 74, 300 },
        { "the same again", 1, 110, 74, 300 },
        { "late ones", 1, 120, 94, 272 },
        { "berth-link was started anew", 1, 130, 3, 272 },
        { "and goes on", 1, 140, 13, 250 },
        { "counters that go back", 1, 90, 13, 250 },
        { "the next key", 2, 5, 5, 250 },
        { "without loss", 2, 85, 85, 150 },
    };
    struct rig *r = rig_new(true);
    struct link_object package = link_object_new(OBJECT_PACKAGE, 150 * 4096, 1);
    static struct port_transfers report;

    (void)state;
    queue(r, &package);
    assert_true(send_due(r) > 140); /* as many as the satellite says that it has seen */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        report.traffic.key_epoch = rows[i].epoch;
        report.traffic.highest = rows[i].highest;
        report.traffic.accepted = rows[i].accepted;
        assert_false(link_ground_report(r->ground, &report, r->now_ms));
        if (sender_loss(link_ground_sender(r->ground)) != rows[i].loss)
            fail_msg("%s: %u", rows[i].why, sender_loss(link_ground_sender(r->ground)));
    }
    free(package.bytes);
    rig_free(r);
}

static const char *const counter_files[] = { "counter-0000000000000001.a",
                                             "counter-0000000000000001.b" };

/* The ground's counter comes back older in its place: bundles are refused until a report says what
 * the satellite has seen, the one of before the restart or the next one; then the link goes on. */
static void an_old_counter_in_place(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct rig *r = rig_new(true);
        struct link_object a = link_object_new(OBJECT_PACKAGE, 20 * 4096, 1);
        struct link_object b = link_object_new(OBJECT_ORDER, 3000, 2);
        uint8_t old[2][256];
        size_t n[2];
        struct err err;

        for (size_t i = 0; i < 2; i++)
            assert_rc(
                fs_read_file(r->ground_keys, counter_files[i], old[i], sizeof old[i], &n[i], &err),
                RC_OK);
        queue(r, &a);
        assert_int_equal(send_due(r), 21);
        until(r, r->n_objects == 1 && r->transfers.traffic.highest == 21);
        link_ground_close(&r->ground);
        for (size_t i = 0; i < 2; i++)
            assert_rc(fs_write_file(r->ground_keys, counter_files[i],
                                    (struct bytes){ old[i], n[i] }, 0600, &err),
                      RC_OK);
        open_ground(r);
        queue(r, &b);
        if (early) {
            assert_true(link_ground_resume(r->ground, &r->transfers, r->now_ms));
        } else {
            assert_int_equal(send_due(r), 1);
            until(r, r->events[RC_REPLAY] == 1);
            assert_true(link_ground_report(r->ground, &r->transfers, r->now_ms));
        }
        /* Once: who says more and more is not believed. */
        r->transfers.traffic.highest += COUNTER_RESTORED_MAX + COUNTER_LEASE;
        assert_false(link_ground_report(r->ground, &r->transfers, r->now_ms));
        r->now_ms += 10000;
        assert_int_equal(send_due(r), 1);
        until(r, r->n_objects == 2);
        assert_true(link_object_is(&b, r->object_fd));
        assert_int_equal(sender_loss(link_ground_sender(r->ground)), 0);
        free(a.bytes);
        free(b.bytes);
        rig_free(r);
    }
}

/* What someone may put into the directory: refused with its code, moved aside, and the link lives.
 */
static void hostile_files(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct err err;
    uint8_t *bundle = NULL;
    size_t n = 0;

    (void)state;
    queue(r, &order);
    /* The sealed file is taken aside before berth-link can have seen it complete. */
    stop(r, SIGKILL);
    assert_int_equal(send_due(r), 1);
    assert_rc(fs_read_alloc(r->up, "00000001-0000000000000001.bundle", 65536, &bundle, &n, &err),
              RC_OK);
    start(r);
    until(r, r->n_objects == 1);
    assert_true(link_object_is(&order, r->object_fd));

    assert_rc(fs_write_file(r->up, "again.bundle", (struct bytes){ bundle, n }, 0644, &err), RC_OK);
    until(r, r->events[RC_REPLAY] == 1);
    bundle[n / 2] ^= 1;
    assert_rc(fs_write_file(r->up, "bent.bundle", (struct bytes){ bundle, n }, 0644, &err), RC_OK);
    until(r, r->events[RC_BPSEC_AUTH] == 1);
    assert_rc(fs_write_file(r->up, "cut.bundle", (struct bytes){ bundle, n / 2 }, 0644, &err),
              RC_OK);
    until(r, files_in(r->up) == 0);
    assert_rc(fs_write_file(r->up, "empty.bundle", (struct bytes){ 0 }, 0644, &err), RC_OK);
    until(r, r->events[RC_SHORT] >= 1);
    /* Old, or somebody might still be writing it. */
    assert_rc(fs_write_file(r->tmp.fd, "readme.txt", bytes_of("hello"), 0644, &err), RC_OK);
    assert_int_equal(utimensat(r->tmp.fd, "readme.txt", old, 0), 0);
    assert_int_equal(renameat(r->tmp.fd, "readme.txt", r->up, "readme.txt"), 0);
    until(r, r->events[RC_NAME] == 1);
    assert_int_equal(mkfifoat(r->up, "fifo.bundle", 0666), 0);
    until(r, r->events[RC_NOT_REGULAR] == 1);
    assert_int_equal(symlinkat("/etc/shadow", r->up, "link.bundle"), 0);
    assert_int_equal(mkdirat(r->up, "dir.bundle", 0755), 0);
    int fd = openat(r->up, ".huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_int_equal(ftruncate(fd, (off_t)1 << 31), 0);
    close_fd(&fd);
    assert_int_equal(renameat(r->up, ".huge", r->up, "huge.bundle"), 0);
    until(r, r->events[RC_TOO_LARGE] == 1 && files_in(r->up) == 0);
    assert_int_equal(r->n_objects, 1);

    int rej = openat(r->spool, "rej", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[64];

    assert_true(rej >= 0);
    snprintf(name, sizeof name, "%016x-%d-BPSEC_AUTH", 1U, RC_BPSEC_AUTH);
    assert_int_equal(faccessat(rej, name, F_OK, 0), 0);
    close(rej);

    /* And then a good one still comes through. */
    struct link_object grant = link_object_new(OBJECT_GRANT, 100, 3);

    queue(r, &grant);
    assert_true(send_due(r) >= 1);
    until(r, r->object.kind == OBJECT_GRANT);
    assert_true(link_object_is(&grant, r->object_fd));
    stop(r, 0);
    free(bundle);
    free(order.bytes);
    free(grant.bytes);
    rig_free(r);
}

/* Directories of the spool that cannot be opened: told once, and what comes is taken as ever. */
static void a_broken_spool(void **state)
{
    static const char *const dirs[] = { "partial", "ready", "rej" };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        struct rig *r = rig_new(true);
        struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
        struct link_object package = link_object_new(OBJECT_PACKAGE, 20 * 4096, 2);

        until(r, r->keys_held.n == 1); /* it has made its directories, and nothing is in them */
        stop(r, SIGKILL);
        assert_int_equal(unlinkat(r->spool, dirs[i], AT_REMOVEDIR), 0);
        assert_rc(fs_write_file(r->spool, dirs[i], bytes_of("x"), 0600, &err), RC_OK);
        start(r);
        until(r, r->events[RC_STATE_DIR] == 1);
        assert_rc(fs_write_file(r->up, "a.bundle", bytes_of("x"), 0644, &err), RC_OK);
        until(r, files_in(r->up) == 0); /* refused, and nowhere kept if there is no place */
        queue(r, &order);
        queue(r, &package);
        assert_true(send_due(r) >= 21);
        until(r, r->n_objects == 2);
        assert_int_equal(r->object.kind, OBJECT_PACKAGE);
        assert_true(link_object_is(&package, r->object_fd));
        assert_int_equal(r->events[RC_STATE_DIR], 1);
        int status = stop(r, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        free(order.bytes);
        free(package.bytes);
        rig_free(r);
    }
}

/* Trees of directories, some of them not even ours: cleared or put aside, and the link lives. */
static void hostile_trees(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
    char path[512] = "deep.bundle";
    size_t n = strlen(path);

    (void)state;
    stop(r, SIGKILL);
    assert_int_equal(mkdirat(r->up, "plain", 0777), 0);
    assert_int_equal(mkdirat(r->up, "plain/sub", 0777), 0);
    assert_int_equal(mkdirat(r->up, "plain/sub/sub", 0777), 0);
    assert_int_equal(mkdirat(r->up, "own", 0700), 0);
    assert_int_equal(mkdirat(r->up, "own/locked", 0), 0);
    assert_int_equal(fchownat(r->up, "own", USER, USER, 0), 0);
    assert_int_equal(fchownat(r->up, "own/locked", USER, USER, 0), 0);
    assert_int_equal(mkdirat(r->up, "foreign.bundle", 0755), 0);
    assert_int_equal(mkdirat(r->up, "foreign.bundle/sub", 0755), 0);
    for (size_t i = 0; i < 58; i++) {
        assert_int_equal(mkdirat(r->up, path, 0777), 0);
        memcpy(path + n, "/d", 3);
        n += 2;
    }
    start(r);
    until(r, files_in(r->up) == 0);
    assert_int_equal(r->heard, 0); /* what is refused is not heard */
    queue(r, &order);
    assert_true(send_due(r) >= 1);
    until(r, r->n_objects == 1);
    assert_true(link_object_is(&order, r->object_fd));
    assert_int_equal(r->heard, 1);
    int status = stop(r, 0);

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(order.bytes);
    rig_free(r);
}

/* Reports come down sealed, once each; the directory stays small. */
static void reports_come_down(void **state)
{
    struct rig *r = rig_new(true);
    struct port_message m = { .type = PORT_REPORT };
    struct link_ground_counts counts = { 0 };
    struct err err;

    (void)state;
    for (uint8_t i = 1; i <= 20; i++) {
        m.report.n = 10;
        memset(m.report.bytes, i, 10);
        enum rc rc = RC_TIMEOUT;

        until(r, (rc = port_send(r->port, &m, -1, &err)) != RC_TIMEOUT);
        assert_rc(rc, RC_OK);
    }
    until(r, faccessat(r->down, "00000001-0000000000000014.bundle", F_OK, 0) == 0 &&
                 files_in(r->down) == 4);
    assert_rc(link_ground_receive(r->ground, 100, take_report, r, &counts, &err), RC_OK);
    assert_rc(link_ground_let_go(r->ground, &err), RC_OK);
    assert_int_equal(counts.files, 4);
    assert_int_equal(counts.objects, 4);
    assert_int_equal(counts.refused, 0);
    assert_int_equal(r->reports, 4);
    assert_int_equal(r->report_n, 10);
    assert_int_equal(r->report[0], 20);
    assert_int_equal(files_in(r->down), 0);

    /* Someone gives a bundle of the ground back to it: its own keys do not open it. */
    struct link_object order = link_object_new(OBJECT_ORDER, 50, 1);

    stop(r, SIGKILL);
    queue(r, &order);
    assert_int_equal(send_due(r), 1);
    assert_int_equal(renameat(r->up, "00000001-0000000000000001.bundle", r->down, "x.bundle"), 0);
    assert_rc(link_ground_receive(r->ground, 100, take_report, r, &counts, &err), RC_OK);
    assert_rc(link_ground_let_go(r->ground, &err), RC_OK);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.last.rc, RC_BPSEC_KEY);
    assert_int_equal(r->reports, 4);
    free(order.bytes);
    rig_free(r);
}

/* A report, then briefs, and the carrier comes late: the report is still there. */
static void briefs_leave_the_report(void **state)
{
    struct rig *r = rig_new(true);
    struct port_message m = { .type = PORT_REPORT, .report = { .n = 10 } };
    struct link_ground_counts counts = { 0 };
    struct err err;

    (void)state;
    for (unsigned i = 1; i <= 20; i++) {
        enum rc rc = RC_TIMEOUT;

        until(r, (rc = port_send(r->port, &m, -1, &err)) != RC_TIMEOUT);
        assert_rc(rc, RC_OK);
        m.type = PORT_BRIEF;
    }
    until(r, faccessat(r->down, "00000001-0000000000000014-brief.bundle", F_OK, 0) == 0 &&
                 files_in(r->down) == 5);
    assert_int_equal(faccessat(r->down, "00000001-0000000000000001.bundle", F_OK, 0), 0);
    assert_rc(link_ground_receive(r->ground, 100, take_report, r, &counts, &err), RC_OK);
    assert_rc(link_ground_let_go(r->ground, &err), RC_OK);
    assert_int_equal(counts.objects, 5);
    assert_int_equal(r->reports, 5);
    stop(r, SIGKILL);
    rig_free(r);
}

/* Without keys nothing is opened, nothing is sealed, and berthd hears why. */
static void no_keys(void **state)
{
    struct rig *r = rig_new(false);
    struct link_object order = link_object_new(OBJECT_ORDER, 3000, 1);
    struct port_message m = { .type = PORT_REPORT, .report = { .n = 5 } };
    struct err err;

    (void)state;
    queue(r, &order);
    assert_int_equal(send_due(r), 1);
    until(r, r->events[RC_KEY_FILE] == 1);
    assert_rc(port_send(r->port, &m, -1, &err), RC_OK);
    int status = stop(r, 0);

    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(files_in(r->up), 1);
    assert_int_equal(files_in(r->down), 0);
    assert_int_equal(r->n_objects, 0);
    free(order.bytes);
    rig_free(r);
}

/* A peer that does not speak the protocol ends the process. */
static void wrong_port_message(void **state)
{
    struct rig *r = rig_new(true);
    int status = 0;

    (void)state;
    assert_int_equal(send(r->port, "hello", 5, 0), 5);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close_fd(&r->port);
    rig_free(r);
}

/* One satellite's link is open once on the ground. */
static void ground_is_exclusive(void **state)
{
    struct rig *r = rig_new(true);
    struct link_ground *second = NULL;
    const struct link_ground_options options = { .state_dirfd = r->ground_keys,
                                                 .up_dirfd = r->up,
                                                 .down_dirfd = r->down };
    struct err err;

    (void)state;
    assert_rc(link_ground_open(&options, &second, &err), RC_BUSY);
    assert_null(second);
    link_ground_close(&r->ground);
    stop(r, 0); /* between fork and exec it has our descriptors */
    assert_rc(link_ground_open(&options, &second, &err), RC_OK);
    link_ground_close(&second);
    rig_free(r);
}

/* As berthd: install a key and wait for what is said to it. */
static enum rc install(struct rig *r, uint32_t peer, const char *tenant, uint32_t epoch,
                       uint8_t secret)
{
    struct port_message m = { .type = PORT_KEY };
    uint32_t answers = r->answers;
    struct err err;

    m.key.id.peer = peer;
    m.key.id.epoch = epoch;
    snprintf(m.key.id.tenant, sizeof m.key.id.tenant, "%s", tenant);
    memset(m.key.secret, secret, sizeof m.key.secret);
    assert_rc(port_send(r->port, &m, -1, &err), RC_OK);
    until(r, r->answers == answers + 1);
    assert_int_equal(r->answer.id.epoch, epoch);
    assert_string_equal(r->answer.id.tenant, tenant);
    return (enum rc)r->answer.rc;
}

/* The same on the ground. */
static void offer(struct rig *r, const char *tenant, uint32_t epoch, uint8_t secret)
{
    struct link_offer o = { .epoch = epoch };
    struct err err;

    snprintf(o.tenant, sizeof o.tenant, "%s", tenant);
    memset(o.secret, secret, sizeof o.secret);
    assert_rc(link_state_offer(r->ground_keys, &o, &err), RC_OK);
}

static void report_once(struct rig *r)
{
    static struct port_message m = { .type = PORT_REPORT, .report = { .n = 3, .bytes = "rep" } };
    struct link_ground_counts counts;
    uint32_t reports = r->reports;
    struct err err;

    assert_rc(port_send(r->port, &m, -1, &err), RC_OK);
    while (r->reports == reports) {
        uint64_t end = clock_mono_ms() + 50;

        assert_rc(link_ground_receive(r->ground, 64, take_report, r, &counts, &err), RC_OK);
        assert_rc(link_ground_let_go(r->ground, &err), RC_OK);
        until(r, clock_mono_ms() >= end);
    }
}

/* "1 2*" of the link's own keys on the ground. */
static void assert_ground_holds(struct rig *r, const char *want)
{
    struct link_held held[LINK_KEYRING_MAX];
    char got[64] = "";
    uint32_t n = 0;

    link_ground_held(r->ground, held, &n);
    for (uint32_t i = 0; i < n && held[i].tenant[0] == '\0' && strlen(got) < 30; i++) {
        char one[16];

        snprintf(one, sizeof one, "%s%u%s", i > 0 ? " " : "", held[i].epoch % 1000,
                 held[i].sending ? "*" : "");
        memcpy(got + strlen(got), one, strlen(one) + 1);
    }
    assert_string_equal(got, want);
}

/* A key is replaced in flight; files of the old one are refused afterwards. */
static void keys_follow_each_other(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object first = link_object_new(OBJECT_ORDER, 300, 1);
    struct link_object second = link_object_new(OBJECT_ORDER, 300, 2);
    struct err err;
    uint8_t *old = NULL;
    size_t n = 0;

    (void)state;
    until(r, r->keys_held.n == 1);
    assert_int_equal(r->keys_held.id[0].epoch, 1);
    assert_int_equal(install(r, 43, "", 2, 7), RC_NOT_FOUND); /* no peer of ours */
    offer(r, "", 2, 7);
    assert_int_equal(install(r, 1, "", 2, 7), RC_OK);
    assert_int_equal(install(r, 1, "", 2, 7), RC_OK);
    assert_int_equal(install(r, 1, "", 2, 8), RC_EQUIVOCATION);
    assert_int_equal(install(r, 1, "", 5000, 8), RC_VALUE);
    until(r, r->keys_held.n == 2);

    /* Still under the old one, both ways; then the ground knows, and goes over. */
    queue(r, &first);
    stop(r, SIGKILL);
    assert_int_equal(send_due(r), 1);
    assert_rc(fs_read_alloc(r->up, "00000001-0000000000000001.bundle", 65536, &old, &n, &err),
              RC_OK);
    start(r);
    until(r, r->n_objects == 1 && r->keys_held.n == 2);
    done(r, &first);
    report_once(r);
    assert_ground_holds(r, "1* 2");
    assert_rc(link_ground_confirm(r->ground, "", 9, &err), RC_OK); /* not held: nothing */
    assert_rc(link_ground_confirm(r->ground, "", 2, &err), RC_OK);
    assert_ground_holds(r, "1 2*");

    queue(r, &second);
    assert_int_equal(send_due(r), 1);
    until(r, r->n_objects == 2 && r->keys_held.n == 1);
    assert_int_equal(r->keys_held.id[0].epoch, 2);
    assert_true(link_object_is(&second, r->object_fd));
    done(r, &second);
    assert_rc(fs_write_file(r->up, "old.bundle", (struct bytes){ old, n }, 0644, &err), RC_OK);
    until(r, r->events[RC_BPSEC_KEY] == 1);
    report_once(r);
    assert_ground_holds(r, "2*");
    assert_int_equal(install(r, 1, "", 1, 1), RC_REKEY_OLD);

    /* All of it is on disk. */
    stop(r, SIGKILL);
    link_ground_close(&r->ground);
    open_ground(r);
    assert_ground_holds(r, "2*");
    start(r);
    until(r, r->keys_held.n == 1 && r->keys_held.id[0].epoch == 2);
    report_once(r);
    stop(r, 0);
    free(old);
    free(first.bytes);
    free(second.bytes);
    rig_free(r);
}

/* What another process sees: the tenant's first key, once, and whether it is only offered. */
static void assert_offered(struct rig *r, const char *tenant, bool want)
{
    struct link_held held[2 * LINK_KEYRING_MAX];
    uint32_t n = 0, found = 0;
    struct err err;

    assert_rc(link_state_look(r->ground_keys, held, &n, &err), RC_OK);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(held[i].tenant, tenant) != 0)
            continue;
        assert_int_equal(held[i].offered, want);
        found++;
    }
    assert_int_equal(found, 1);
}

/* What a tenant's key is not good for: others' objects, documents, and what the ground says. */
static void tenants_send_their_own_only(struct rig *r, struct link_state *ground,
                                        const struct link_object *o)
{
    static struct port_transfers status;
    static uint8_t buf[STATUS_MAX];
    struct transfer_message msg = {
        .type = TRANSFER_INLINE,
        .whole = { .kind = OBJECT_ORDER, .serial = 1, .data = { o->bytes, o->object.size } }
    };
    struct bytes message = { 0 };
    struct err err;

    assert_rc(transfer_encode(&msg, buf, sizeof buf, &message, &err), RC_OK);
    assert_rc(outbox_put(ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->events[RC_OBJECT_KIND] == 1);
    assert_rc(status_encode(&status, buf, sizeof buf, &message, &err), RC_OK);
    assert_rc(outbox_put(ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->events[RC_OBJECT_KIND] == 2);
    msg.whole.kind = OBJECT_PACKAGE;
    memcpy(msg.whole.owner, "zeta", sizeof "zeta");
    assert_rc(transfer_encode(&msg, buf, sizeof buf, &message, &err), RC_OK);
    assert_rc(outbox_put(ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->events[RC_OBJECT_OWNER] == 1);
    assert_int_equal(r->n_objects, 1);
}

/* Under a tenant's own key; a tenant's epochs do not touch the link's. */
static void tenants_have_keys(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object o = link_object_new(OBJECT_PACKAGE, 300, 1);
    struct transfer_message msg = { .type = TRANSFER_INLINE };
    struct link_state ground = { 0 };
    struct bytes message = { 0 };
    uint8_t buf[1024];
    uint32_t installed = 0;
    struct err err;
    static const char *const drafts[] = { ".key.a.0123456789abcdef",
                                          ".counter-0000000000000001.a.0123456789abcdef",
                                          ".replay-0000000000000001.b.0123456789abcdef",
                                          ".offer-0000000000000002.0123456789abcdef" };

    (void)state;
    link_ground_close(&r->ground);
    offer(r, "acme", 1, 5);
    assert_offered(r, "acme", true);
    for (size_t i = 0; i < sizeof drafts / sizeof drafts[0]; i++)
        assert_rc(fs_write_file(r->ground_keys, drafts[i], bytes_of("x"), 0600, &err), RC_OK);
    assert_rc(link_state_open(r->ground_keys, LINK_SIDE_GROUND, &ground, &err), RC_OK);
    for (size_t i = 0; i < sizeof drafts / sizeof drafts[0]; i++) /* an offer is not ours to end */
        assert_int_equal(faccessat(r->ground_keys, drafts[i], F_OK, 0) == 0, i == 3);
    assert_rc(link_state_take_offers(&ground, &installed, &err), RC_OK);
    assert_int_equal(installed, 1);
    assert_offered(r, "acme", false);
    offer(r, "acme", 1, 5); /* the same again is no news */
    assert_offered(r, "acme", false);
    msg.whole.kind = OBJECT_PACKAGE;
    msg.whole.data = (struct bytes){ o.bytes, o.object.size };
    assert_rc(transfer_encode(&msg, buf, sizeof buf, &message, &err), RC_OK);
    assert_rc(outbox_put(&ground, "zeta", r->up, message, &err), RC_BPSEC_KEY);
    assert_rc(outbox_put(&ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->events[RC_BPSEC_KEY] == 1); /* not on board yet */
    assert_int_equal(install(r, 1, "acme", 1, 5), RC_OK);
    until(r, r->keys_held.n == 2);
    assert_rc(outbox_put(&ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->n_objects == 1);
    assert_true(link_object_is(&o, r->object_fd));
    tenants_send_their_own_only(r, &ground, &o);
    /* The tenant's next key ends its own first one and nothing else. */
    assert_int_equal(install(r, 1, "acme", 2, 6), RC_OK);
    struct link_offer next = { .tenant = "acme", .epoch = 2 };

    memset(next.secret, 6, sizeof next.secret);
    assert_rc(link_state_install(&ground, &next, &err), RC_OK);
    assert_rc(link_state_confirm(&ground, "acme", 2, &err), RC_OK);
    assert_rc(outbox_put(&ground, "acme", r->up, message, &err), RC_OK);
    until(r, r->keys_held.n == 2 && r->keys_held.id[1].epoch == 2);
    assert_int_equal(r->keys_held.id[0].epoch, 1);
    assert_string_equal(r->keys_held.id[1].tenant, "acme");
    link_state_done(&ground);
    stop(r, 0);
    free(o.bytes);
    rig_free(r);
}

static void send_mail(struct rig *r, const struct link_object *o)
{
    static struct port_message m;
    struct err err;
    int fd = -1;

    m = (struct port_message){ .type = PORT_MAIL,
                               .mail = { .size = o->object.size, .serial = o->object.serial } };
    memcpy(m.mail.digest, o->object.digest, DIGEST_SIZE);
    assert_rc(fs_sealed("mail", (struct bytes){ o->bytes, o->object.size }, &fd, &err), RC_OK);
    assert_rc(port_send(r->port, &m, fd, &err), RC_OK);
    close_fd(&fd);
}

/* What the ground does in one round; every `lose`-th chunk in the downlink never gets there. */
static void ground_round(struct rig *r, uint32_t lose, uint32_t *met)
{
    struct link_ground_counts counts;
    struct err err;
    int fd = openat(r->down, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(fd);

    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        struct stat st;

        if (e->d_name[0] == '.' || fstatat(r->down, e->d_name, &st, 0) != 0)
            continue;
        if (st.st_size > 10000 && lose != 0 && ++*met % lose == 0)
            assert_int_equal(unlinkat(r->down, e->d_name, 0), 0);
    }
    closedir(d);
    assert_rc(link_ground_receive(r->ground, 64, take_report, r, &counts, &err), RC_OK);
    assert_rc(link_ground_let_go(r->ground, &err), RC_OK);
    assert_int_equal(counts.refused, 0);
    send_due(r);
}

/* What the satellite is to hear is not forgotten. */
static void reopen_ground(struct rig *r)
{
    assert_true(link_ground_owes(r->ground));
    r->owes = true;
    link_ground_close(&r->ground);
    open_ground(r);
    assert_true(link_ground_owes(r->ground));
    r->owes = false;
}

/* Messages of payloads, one that goes whole and one in chunks, over a link that loses a third of
 * what comes down; reports come all the same, and the ground is heard. */
static void mail_comes_down(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object small = link_object_new(OBJECT_MAIL, 700, 1);
    struct link_object large = link_object_new(OBJECT_MAIL, 400000, 2);
    struct port_message report = { .type = PORT_REPORT, .report = { .n = 5 } };
    struct port_object there;
    uint32_t met = 0, got = 0;
    struct err err;

    (void)state;
    send_mail(r, &small);
    send_mail(r, &large);
    send_mail(r, &large); /* asked for twice: sent once */
    assert_rc(port_send(r->port, &report, -1, &err), RC_OK);
    while (r->mails_sent < 2) {
        until(r, files_in(r->down) > 0 || r->mails_sent == 2);
        ground_round(r, 3, &met);
        while (link_ground_mail(r->ground, 0, &there)) {
            const struct link_object *o = there.size == 700 ? &small : &large;
            int fd = -1;

            assert_int_equal(there.kind, OBJECT_MAIL);
            assert_rc(link_ground_mail_open(r->ground, there.digest, &fd, &err), RC_OK);
            assert_true(link_object_is(o, fd));
            close_fd(&fd);
            assert_rc(link_ground_mail_done(r->ground, there.digest, &err), RC_OK);
            got++;
            reopen_ground(r);
        }
    }
    assert_int_equal(got, 2); /* each once, however often it was sent */
    assert_int_equal(r->mail_sent.rc, RC_OK);
    until(r, files_in(r->up) == 0);
    assert_int_equal(r->events[RC_TRANSFER_FORMAT], 0);
    free(small.bytes);
    free(large.bytes);
    rig_free(r);
}

/* What is no mail does not come down, and what berthd says of a message must be true. */
static void mail_is_checked(void **state)
{
    struct rig *r = rig_new(true);
    struct link_object wrong = link_object_new(OBJECT_MAIL, 700, 1);
    struct port_message drop = { .type = PORT_MAIL_DROP };
    struct err err;

    (void)state;
    wrong.object.digest[0] ^= 1;
    send_mail(r, &wrong);
    until(r, r->mails_sent == 1);
    assert_rc((enum rc)r->mail_sent.rc, RC_OBJECT_DIGEST);
    for (uint32_t i = 0; i <= PORT_MAILS_MAX; i++) {
        struct link_object o = link_object_new(OBJECT_MAIL, 700 + i, i + 1);

        send_mail(r, &o);
        memcpy(drop.done.digest, o.object.digest, DIGEST_SIZE);
        free(o.bytes);
    }
    until(r, r->mails_sent == 2);
    assert_rc((enum rc)r->mail_sent.rc, RC_SPOOL_FULL);
    assert_rc(port_send(r->port, &drop, -1, &err), RC_OK); /* one that is not there */
    until(r, files_in(r->down) == PORT_MAILS_MAX);
    free(wrong.bytes);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_comes_down),
        cmocka_unit_test(mail_is_checked),
        cmocka_unit_test(keys_follow_each_other),
        cmocka_unit_test(tenants_have_keys),
        cmocka_unit_test(objects_arrive),
        cmocka_unit_test(bytes_are_counted),
        cmocka_unit_test(losses_are_learnt),
        cmocka_unit_test(nothing_comes_back),
        cmocka_unit_test(an_old_counter_in_place),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(a_broken_spool),
        cmocka_unit_test(hostile_trees),
        cmocka_unit_test(reports_come_down),
        cmocka_unit_test(briefs_leave_the_report),
        cmocka_unit_test(no_keys),
        cmocka_unit_test(wrong_port_message),
        cmocka_unit_test(ground_is_exclusive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
