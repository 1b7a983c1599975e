/* SPDX-License-Identifier: Apache-2.0
 *
 * link/ under every fault: counters and windows that never go back, the spool from the first chunk
 * to the last word, and what goes into the downlink.
 */
#include "tests/unit/fault_table.h"

#include "base/clock.h"
#include "link/dircl.h"
#include "link/inbox.h"
#include "link/outbox.h"
#include "link/receiver.h"
#include "link/transfer.h"
#include "tests/unit/link_fixture.h"

#define NOW_MS 1000U
#define CHUNK 1024U

static struct keys keys;
static struct link_state state_;

/* ---- counters and windows ---------------------------------------------------------------------
 */

#define LAST 0  /* the number that was used last */
#define FRESH 1 /* the first number that a start would use */

static struct counter counter;

static void counter_before(struct fault_world *w)
{
    struct err err;

    assert_rc(counter_make(w->dir.fd, 7, &err), RC_OK);
}

static enum rc counter_open(struct fault_world *w, struct err *err)
{
    return counter_load(w->dir.fd, 7, &counter, err);
}

/* Across the end of a lease.  Each number is told before it would be used. */
static enum rc counter_use(struct fault_world *w, struct err *err)
{
    for (unsigned i = 0; i < COUNTER_LEASE + 3; i++) {
        uint64_t n = 0;
        enum rc rc = counter_next(&counter, w->dir.fd, &n, err);

        if (rc != RC_OK)
            return rc;
        if (n <= w->told->number[LAST])
            return err_set(err, RC_INTERNAL, "number %llu for the second time",
                           (unsigned long long)n);
        w->told->number[LAST] = n;
    }
    return RC_OK;
}

/* Whatever was used is behind us, with either copy of the file alone too. */
static bool counter_is_past(struct fault_world *w)
{
    static const char *const copies[] = { "counter-0000000000000007.a",
                                          "counter-0000000000000007.b" };
    struct counter fresh = { 0 };
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    assert_rc(counter_load(w->dir.fd, 7, &fresh, &err), RC_OK);
    assert_true(fresh.next > w->told->number[LAST]);
    for (size_t i = 0; i < 2; i++) {
        struct counter alone = { 0 };

        assert_int_equal(renameat(w->dir.fd, copies[i], w->dir.fd, "away"), 0);
        assert_rc(counter_load(w->dir.fd, 7, &alone, &err), RC_OK);
        assert_true(alone.next > w->told->number[LAST]);
        assert_int_equal(renameat(w->dir.fd, "away", w->dir.fd, copies[i]), 0);
    }
    return w->told->number[LAST] > COUNTER_LEASE;
}

static struct replay window;

static void window_before(struct fault_world *w)
{
    struct err err;

    assert_rc(replay_make(w->dir.fd, 42, 7, &err), RC_OK);
}

static enum rc window_open(struct fault_world *w, struct err *err)
{
    return replay_load(w->dir.fd, 42, 7, &window, err);
}

/* Three batches; a number counts as accepted when its batch may have an effect. */
static enum rc window_use(struct fault_world *w, struct err *err)
{
    static const uint64_t batch[] = { 5, 5 + REPLAY_SKIP / 2, 9 + 2 * REPLAY_SKIP };

    for (size_t i = 0; i < 3; i++) {
        enum rc rc = replay_accept(&window, batch[i], err);

        if (rc == RC_REPLAY || rc == RC_REPLAY_OLD)
            continue; /* before a restart, or the first time round */
        if (rc == RC_OK)
            rc = replay_save(&window, w->dir.fd, err);
        if (rc != RC_OK)
            return rc;
        w->told->number[LAST] = batch[i];
    }
    return replay_save(&window, w->dir.fd, err);
}

static bool window_is_past(struct fault_world *w)
{
    static const char *const copies[] = { "replay-0000000000000007.a",
                                          "replay-0000000000000007.b" };
    struct replay fresh = { 0 };
    struct err err;
    uint64_t last = w->told->number[LAST];

    assert_rc(fs_sweep(w->dir.fd, ".", &err), RC_OK);
    assert_rc(replay_load(w->dir.fd, 42, 7, &fresh, &err), RC_OK);
    uint64_t high = fresh.high;
    if (last > 0)
        assert_int_not_equal(replay_accept(&fresh, last, &err), RC_OK);
    for (size_t i = 0; last > 0 && i < 2; i++) {
        struct replay alone = { 0 };

        assert_int_equal(renameat(w->dir.fd, copies[i], w->dir.fd, "away"), 0);
        assert_rc(replay_load(w->dir.fd, 42, 7, &alone, &err), RC_OK);
        assert_int_not_equal(replay_accept(&alone, last, &err), RC_OK);
        assert_int_equal(renameat(w->dir.fd, "away", w->dir.fd, copies[i]), 0);
    }
    return high > 2 * REPLAY_SKIP;
}

/* ---- the spool --------------------------------------------------------------------------------
 */

static struct receiver *receiver;
static struct link_object object, small;
static uint8_t digests[4 * DIGEST_SIZE];

static enum rc spool_open(struct fault_world *w, struct err *err)
{
    const struct receiver_options options = { 0 };

    return receiver_open(w->dir.fd, &options, NOW_MS, &receiver, err);
}

static void spool_close(struct fault_world *w)
{
    (void)w;
    receiver_close(&receiver);
}

static enum rc give(const struct transfer_message *m, struct err *err)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct bytes wire = { 0 };
    enum rc rc = transfer_encode(m, buf, sizeof buf, &wire, err);

    return rc == RC_OK ? receiver_take(receiver, "", wire, NOW_MS, err) : rc;
}

static enum rc give_descriptor(struct err *err)
{
    struct transfer_message m = { .type = TRANSFER_DESCRIPTOR };

    m.descriptor = (struct transfer_descriptor){ .kind = OBJECT_PACKAGE,
                                                 .size = object.object.size,
                                                 .serial = 1,
                                                 .chunk_size = CHUNK,
                                                 .chunks = 4,
                                                 .digests = { digests, sizeof digests } };
    memcpy(m.descriptor.object, object.object.digest, DIGEST_SIZE);
    return give(&m, err);
}

static enum rc give_chunk(uint32_t i, struct err *err)
{
    struct transfer_message m = { .type = TRANSFER_CHUNK };

    m.chunk = (struct transfer_chunk){
        .index = i,
        .data = { object.bytes + (size_t)i * CHUNK,
                  transfer_chunk_bytes(object.object.size, CHUNK, i) },
    };
    memcpy(m.chunk.object, object.object.digest, DIGEST_SIZE);
    return give(&m, err);
}

static enum rc give_repair(uint32_t number, struct err *err)
{
    uint8_t sum[CHUNK] = { 0 };
    struct transfer_message m = { .type = TRANSFER_REPAIR };

    for (uint32_t i = 0; i < 4; i++) {
        uint8_t chunk[CHUNK] = { 0 };

        memcpy(chunk, object.bytes + (size_t)i * CHUNK,
               transfer_chunk_bytes(object.object.size, CHUNK, i));
        fec_add(fec_coefficient(4, number, i), chunk, sum, CHUNK);
    }
    m.repair = (struct transfer_repair){ .number = number, .data = { sum, CHUNK } };
    memcpy(m.repair.object, object.object.digest, DIGEST_SIZE);
    return give(&m, err);
}

/* Two chunks and two repairs, over two passes. */
static enum rc spool_repair(struct fault_world *w, struct err *err)
{
    enum rc rc = give_descriptor(err);

    (void)w;
    if (rc == RC_OK)
        rc = give_chunk(2, err);
    if (rc == RC_OK)
        rc = give_repair(90, err);
    if (rc == RC_OK)
        rc = receiver_commit(receiver, err);
    if (rc == RC_OK)
        rc = give_chunk(0, err);
    if (rc == RC_OK)
        rc = give_repair(7, err);
    if (rc == RC_OK)
        rc = receiver_commit(receiver, err);
    return rc == RC_OK ? receiver_commit(receiver, err) : rc;
}

/* As the ground does: what is refused comes once more. */
static enum rc spool_receive(struct fault_world *w, struct err *err)
{
    enum rc rc = give_descriptor(err);

    (void)w;
    for (uint32_t i = 0; rc == RC_OK && i < 4; i++) {
        rc = give_chunk(i, err);
        if (rc == RC_OK && i == 1)
            rc = receiver_commit(receiver, err); /* the end of a pass */
    }
    if (rc == RC_OK)
        rc = receiver_commit(receiver, err);
    return rc == RC_OK ? receiver_commit(receiver, err) : rc;
}

static enum rc spool_receive_small(struct fault_world *w, struct err *err)
{
    struct transfer_message m = { .type = TRANSFER_INLINE };

    (void)w;
    m.whole = (struct transfer_inline){ .kind = OBJECT_GRANT,
                                        .serial = 1,
                                        .data = { small.bytes, small.object.size } };
    return give(&m, err);
}

static enum rc spool_done(struct fault_world *w, struct err *err)
{
    enum rc rc = receiver_done(receiver, object.object.digest, err);

    (void)w;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static void spool_before(struct fault_world *w)
{
    struct err err;

    assert_rc(spool_open(w, &err), RC_OK);
    spool_close(w);
}

static void spool_before_done(struct fault_world *w)
{
    struct err err;

    assert_rc(spool_open(w, &err), RC_OK);
    assert_rc(spool_receive(w, &err), RC_OK);
    spool_close(w);
}

/* What a cut left: a part without its descriptor, junk, half an object. */
static void spool_before_cut(struct fault_world *w)
{
    struct err err;

    assert_rc(spool_open(w, &err), RC_OK);
    assert_rc(give_descriptor(&err), RC_OK);
    assert_rc(give_chunk(0, &err), RC_OK);
    assert_rc(receiver_commit(receiver, &err), RC_OK);
    spool_close(w);
    put_file(w->dir.fd, "partial/junk", "x", 0600);
    put_file(w->dir.fd, "ready/.half", "x", 0600);
}

/* The object is ready and whole, or not ready at all, and then can still come. */
static bool is_ready(struct fault_world *w, const struct link_object *o)
{
    struct port_object found;
    struct err err;
    bool ready = false;

    assert_rc(spool_open(w, &err), RC_OK);
    for (size_t i = 0; receiver_ready(receiver, i, &found); i++) {
        scoped(close_fd) int fd = -1;

        assert_memory_equal(found.digest, o->object.digest, DIGEST_SIZE);
        assert_rc(receiver_open_object(receiver, found.digest, &fd, &err), RC_OK);
        assert_true(link_object_is(o, fd));
        ready = true;
    }
    spool_close(w);
    return ready;
}

static bool object_is_ready(struct fault_world *w)
{
    return is_ready(w, &object);
}

static bool small_is_ready(struct fault_world *w)
{
    return is_ready(w, &small);
}

static bool object_is_done(struct fault_world *w)
{
    return !is_ready(w, &object);
}

static enum rc spool_is_open(struct fault_world *w, struct err *err)
{
    (void)w;
    return receiver ? RC_OK : err_set(err, RC_INTERNAL, "spool");
}

static bool spool_is_clean(struct fault_world *w)
{
    return faccessat(w->dir.fd, "partial/junk", F_OK, 0) != 0 &&
           faccessat(w->dir.fd, "ready/.half", F_OK, 0) != 0;
}

/* ---- the downlink and the uplink --------------------------------------------------------------
 */

static int down = -1, up = -1, keys_dir = -1;

static void ends_open(struct fault_world *w)
{
    keys_dir = make_dir(w->dir.fd, "keys");
    down = make_dir(w->dir.fd, "down");
    up = make_dir(w->dir.fd, "up");
}

static void ends_close(struct fault_world *w)
{
    (void)w;
    link_state_done(&state_);
    close_fd(&keys_dir);
    close_fd(&down);
    close_fd(&up);
}

static void ends_before(struct fault_world *w)
{
    struct err err;

    ends_open(w);
    assert_rc(link_state_make(keys_dir, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    ends_close(w);
}

static enum rc ends_start(struct fault_world *w, struct err *err)
{
    enum rc rc = fs_open(w->dir.fd, "keys", O_RDONLY | O_DIRECTORY, 0, &keys_dir, err);

    if (rc == RC_OK)
        rc = fs_open(w->dir.fd, "down", O_RDONLY | O_DIRECTORY, 0, &down, err);
    if (rc == RC_OK)
        rc = fs_open(w->dir.fd, "up", O_RDONLY | O_DIRECTORY, 0, &up, err);
    if (rc == RC_OK)
        rc = link_state_open(keys_dir, LINK_SIDE_SATELLITE, &state_, err);
    if (rc != RC_OK)
        ends_close(w);
    return rc;
}

/* As link/endpoint does. */
static enum rc report_send(struct fault_world *w, struct err *err)
{
    enum rc rc = outbox_put(&state_, "", down, bytes_of("a report"), err);

    (void)w;
    if (rc == RC_OK)
        rc = outbox_trim(&state_, down, 1, err);
    return rc == RC_OK ? dircl_sync(down, err) : rc;
}

static bool remove_hidden(void *arg, const char *name)
{
    if (name[0] == '.')
        assert_int_equal(unlinkat(*(int *)arg, name, 0), 0);
    return true;
}

/* Half a bundle has no name that anybody reads; link/dircl takes it away when it is an hour old. */
static bool report_is_sent(struct fault_world *w)
{
    scoped(close_fd) int fd = -1;
    size_t n = 0;
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, "keys", &err), RC_OK);
    assert_rc(fs_open(w->dir.fd, "down", O_RDONLY | O_DIRECTORY, 0, &fd, &err), RC_OK);
    assert_rc(outbox_count(fd, &n, NULL, &err), RC_OK);
    assert_rc(fs_list(fd, ".", 100, remove_hidden, &fd, NULL, &err), RC_OK);
    return n > 0;
}

/* ---- from a bundle file to what it brings -------------------------------------------------------
 */

#define SEALED 6U /* bundles, all with the same small object in them */
#define TAKEN 1   /* behind LAST, here the bundle that was sent last: the one that was taken last */

static struct {
    char name[DIRCL_NAME_CAP];
    uint8_t bytes[1024];
    size_t n;
} sealed[SEALED];
static struct inbox *inbox;
static struct rejects rejects;
static int rejects_dir = -1;
static enum rc refusal; /* of the last run, duplicates aside */
static struct fault_world *inbox_world;

static enum rc inbox_accept(void *arg, const char *tenant, struct bytes message, struct err *err)
{
    uint64_t *number = inbox_world->told->number;

    (void)arg;
    if (number[TAKEN] == number[LAST])
        return err_set(err, RC_INTERNAL, "bundle %u for the second time", (unsigned)number[LAST]);
    number[TAKEN] = number[LAST];
    return receiver_take(receiver, tenant, message, NOW_MS, err);
}

static enum rc inbox_commit(void *arg, struct err *err)
{
    (void)arg;
    return receiver_commit(receiver, err);
}

static void inbox_refused(void *arg, const struct err *why, uint32_t count)
{
    (void)arg;
    (void)count;
    if (why->rc != RC_REPLAY)
        refusal = why->rc;
}

static void inbox_close(struct fault_world *w)
{
    inbox_free(&inbox);
    spool_close(w);
    close_fd(&rejects_dir);
    ends_close(w);
}

static enum rc inbox_open(struct fault_world *w, struct err *err)
{
    const struct inbox_ops ops = { .take = inbox_accept,
                                   .commit = inbox_commit,
                                   .refused = inbox_refused };
    enum rc rc = ends_start(w, err);

    inbox_world = w;
    if (rc != RC_OK)
        return rc;
    rc = spool_open(w, err);
    if (rc == RC_OK)
        rc = fs_open(w->dir.fd, "rej", O_RDONLY | O_DIRECTORY, 0, &rejects_dir, err);
    if (rc == RC_OK)
        rc = rejects_open(rejects_dir, &rejects, err);
    if (rc == RC_OK)
        rc = inbox_new(up, &state_, &rejects, &ops, &inbox, err);
    if (rc != RC_OK)
        inbox_close(w);
    return rc;
}

static enum rc inbox_go(struct err *err)
{
    uint32_t files = 0;
    bool more = false;

    refusal = RC_OK;
    enum rc rc = inbox_run(inbox, 10, &files, &more, err);
    return rc == RC_OK && refusal != RC_OK ? err_set(err, refusal, "refused") : rc;
}

/* The ground's part: it sends again, under a later number, what no report says has come.  Before
 * the fault, or behind it. */
static void send_next(struct fault_world *w)
{
    uint64_t *last = &w->told->number[LAST];
    char path[DIRCL_NAME_CAP + 8];
    struct err err;

    assert_true(*last < SEALED);
    (void)snprintf(path, sizeof path, "up/%s", sealed[*last].name);
    assert_rc(fs_write_file(w->dir.fd, path, (struct bytes){ sealed[*last].bytes, sealed[*last].n },
                            0644, &err),
              RC_OK);
    ++*last;
}

static enum rc bundle_receive(struct fault_world *w, struct err *err)
{
    struct port_object found;
    enum rc rc = RC_OK;

    if (entries_in(w->dir.fd, "up") > 0) /* before a restart */
        rc = inbox_go(err);
    for (unsigned i = 0; rc == RC_OK && i < 2 && !receiver_ready(receiver, 0, &found); i++) {
        send_next(w);
        rc = inbox_go(err);
    }
    return rc;
}

static void inbox_before(struct fault_world *w)
{
    struct err err;

    ends_before(w);
    (void)close(make_dir(w->dir.fd, "rej"));
    assert_rc(spool_open(w, &err), RC_OK);
    spool_close(w);
}

static void inbox_before_bundle(struct fault_world *w)
{
    inbox_before(w);
    send_next(w);
}

/* As a start does; a file that could not be removed has no name that anybody reads, as above. */
static void inbox_tidy(struct fault_world *w)
{
    scoped(close_fd) int fd = -1;
    struct err err;

    assert_rc(fs_sweep(w->dir.fd, "keys", &err), RC_OK);
    assert_rc(fs_open(w->dir.fd, "up", O_RDONLY | O_DIRECTORY, 0, &fd, &err), RC_OK);
    assert_rc(fs_list(fd, ".", 100, remove_hidden, &fd, NULL, &err), RC_OK);
}

static bool bundle_is_received(struct fault_world *w)
{
    inbox_tidy(w);
    return is_ready(w, &small);
}

static void inbox_before_junk(struct fault_world *w)
{
    inbox_before(w);
    put_file(w->dir.fd, "up/00000001-0000000000000001.bundle", "no bundle", 0644);
}

/* What is refused is no failure: it is the work. */
static enum rc bundle_refuse(struct fault_world *w, struct err *err)
{
    enum rc rc = inbox_go(err);

    (void)w;
    return rc != RC_OK && rc == refusal && rc_class(rc) == RC_CLASS_MALFORMED ? RC_OK : rc;
}

static bool bundle_is_refused(struct fault_world *w)
{
    inbox_tidy(w);
    size_t left = entries_in(w->dir.fd, "up");

    assert_true(left + entries_in(w->dir.fd, "rej") <= 1); /* never twice */
    return left == 0;
}

/* ---- the rows ---------------------------------------------------------------------------------
 */

static const char *const emptied[] = { "partial", NULL };
static const char *const polled[] = { "partial", "up", "rej", NULL };
static const char *const tidied[] = { "partial", "ready", NULL };

/* clang-format off */
static const struct fault_row counter_rows[] = {
    { .name = "counter over the end of a lease", .before = counter_before, .open = counter_open,
      .run = counter_use, .is_new = counter_is_past, .also = RC_COUNTER, .calls_min = 6 },
    { .name = "window over three batches", .before = window_before, .open = window_open,
      .run = window_use, .is_new = window_is_past, .calls_min = 18 },
};

static const struct fault_row spool_rows[] = {
    { .name = "object received in chunks", .before = spool_before, .open = spool_open,
      .run = spool_receive, .close = spool_close, .is_new = object_is_ready,
      .under_way = "partial", .passing = emptied, .one_way = true, .calls_min = 12 },
    { .name = "object received with repairs", .before = spool_before, .open = spool_open,
      .run = spool_repair, .close = spool_close, .is_new = object_is_ready,
      .under_way = "partial", .passing = emptied, .also = RC_CHUNK_DIGEST, .one_way = true, .calls_min = 16 },
    { .name = "object received whole", .before = spool_before, .open = spool_open,
      .run = spool_receive_small, .close = spool_close, .is_new = small_is_ready,
      .passing = emptied, .one_way = true, .calls_min = 6 },
    { .name = "object done", .before = spool_before_done, .open = spool_open, .run = spool_done,
      .close = spool_close, .is_new = object_is_done, .passing = emptied, .best_effort = true,
      .one_way = true,
      .calls_min = 8 },
    { .name = "spool opened behind a cut", .before = spool_before_cut, .open = spool_open,
      .run = spool_is_open, .close = spool_close, .is_new = spool_is_clean, .may_lack = true, .passing = tidied,
      .best_effort = true, .one_way = true, .calls_min = 2 },
    { .name = "report put into the downlink", .before = ends_before, .open = ends_start,
      .run = report_send, .close = ends_close, .is_new = report_is_sent, .under_way = "down", .also = RC_COUNTER,
      .one_way = true, .calls_min = 12 },
    { .name = "bundle file received", .before = inbox_before_bundle, .open = inbox_open,
      .run = bundle_receive, .close = inbox_close, .is_new = bundle_is_received,
      .under_way = "rej", .passing = polled, .one_way = true, .calls_min = 12 },
    { .name = "bundle file refused", .before = inbox_before_junk, .open = inbox_open,
      .run = bundle_refuse, .close = inbox_close, .is_new = bundle_is_refused,
      .passing = polled, .best_effort = true, .one_way = true, .calls_min = 12 },
};
/* clang-format on */

static void run_rows(const struct fault_row *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fault_row_run(&row[i]);
}

static void test_counters(void **state)
{
    (void)state;
    run_rows(counter_rows, sizeof counter_rows / sizeof counter_rows[0]);
}

static void test_spool(void **state)
{
    (void)state;
    run_rows(spool_rows, sizeof spool_rows / sizeof spool_rows[0]);
}

/* The ground's end, with which nothing goes wrong here. */
static void seal_bundles(void)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct link_tmp t = link_tmp_new(), out = link_tmp_new();
    struct transfer_message m = { .type = TRANSFER_INLINE };
    struct link_state ground;
    struct bytes wire = { 0 };
    struct err err;

    m.whole = (struct transfer_inline){ .kind = OBJECT_GRANT,
                                        .serial = 1,
                                        .data = { small.bytes, small.object.size } };
    assert_rc(transfer_encode(&m, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(link_state_make(t.fd, LINK_SIDE_GROUND, &keys, &err), RC_OK);
    assert_rc(link_state_open(t.fd, LINK_SIDE_GROUND, &ground, &err), RC_OK);
    for (unsigned i = 0; i < SEALED; i++) {
        struct dircl_scan *scan = calloc(1, sizeof *scan);
        uint64_t n = 0;

        assert_non_null(scan);
        assert_rc(outbox_put(&ground, "", out.fd, wire, &err), RC_OK);
        assert_rc(dircl_scan(out.fd, clock_unix_ms(), scan, &err), RC_OK);
        assert_int_equal(scan->n, 1);
        (void)snprintf(sealed[i].name, sizeof sealed[i].name, "%s", scan->name[0]);
        assert_rc(fs_read_file(out.fd, sealed[i].name, sealed[i].bytes, sizeof sealed[i].bytes,
                               &sealed[i].n, &err),
                  RC_OK);
        assert_int_equal(unlinkat(out.fd, sealed[i].name, 0), 0);
        free(scan);
        /* Those of which the next one may be one too many for a window that has lost a copy. */
        for (unsigned k = 0; k < REPLAY_SKIP; k++)
            assert_rc(counter_next(&link_keyring_sender(ground.ring, "")->counter, t.fd, &n, &err),
                      RC_OK);
    }
    link_state_done(&ground);
    link_tmp_free(&out);
    link_tmp_free(&t);
}

static int setup(void **state)
{
    struct err err;

    (void)state;
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    object = link_object_new(OBJECT_PACKAGE, 4 * CHUNK - 7, 1);
    small = link_object_new(OBJECT_GRANT, 300, 2);
    for (uint32_t i = 0; i < 4; i++) {
        struct bytes data = { object.bytes + (size_t)i * CHUNK,
                              transfer_chunk_bytes(object.object.size, CHUNK, i) };

        assert_rc(sha256_of(data, digests + (size_t)i * DIGEST_SIZE, &err), RC_OK);
    }
    seal_bundles();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(object.bytes);
    free(small.bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_spool),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
