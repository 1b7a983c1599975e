/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealbox and link/sealfile under every fault: a key is there or not, a number is used once,
 * and a message that is opened is neither lost nor given twice.
 */
#include "tests/unit/fault_table.h"

#include <sys/stat.h>

#include "link/bundle.h"
#include "link/counter.h"
#include "link/replay.h"
#include "link/sealfile.h"
#include "tests/unit/seal_ends.h"

#define TEXT "a message, once"
#define LAST 0 /* the number that was used last */

static struct keys first, next;
static struct sealbox box;
static struct sealed sealed[2]; /* by the payload's end */

static int open_own(struct fault_world *w, const char *name)
{
    int fd = openat(w->dir.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void dirs_before(struct fault_world *w)
{
    assert_int_equal(mkdirat(w->dir.fd, "keys", 0700), 0);
    assert_int_equal(mkdirat(w->dir.fd, "out", 0700), 0);
}

static void box_before(struct fault_world *w)
{
    struct err err;

    dirs_before(w);
    scoped(close_fd) int dir = open_own(w, "keys");
    assert_rc(sealbox_make(dir, SEAL_GROUND, &first, false, &err), RC_OK);
}

static int dir_ = -1;

static enum rc box_open(struct fault_world *w, struct err *err)
{
    dir_ = open_own(w, "keys");
    enum rc rc = sealbox_open(dir_, &box, err);

    if (rc != RC_OK)
        close_fd(&dir_);
    return rc;
}

static void box_close(struct fault_world *w)
{
    (void)w;
    sealbox_close(&box);
    close_fd(&dir_);
}

/* As the next start does; only to look. */
static bool look(struct fault_world *w, struct sealbox *ret)
{
    scoped(close_fd) int dir = open_own(w, "keys");
    struct err err;

    assert_rc(fs_sweep(dir, ".", &err), RC_OK);
    enum rc rc = sealbox_look(dir, ret, &err);
    assert_true(rc == RC_OK || rc == RC_NOT_FOUND);
    ret->dir = -1;
    return rc == RC_OK;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

/* What was cut off, and left a key, is made: the key is the same. */
static enum rc key_make(struct fault_world *w, struct err *err)
{
    scoped(close_fd) int dir = open_own(w, "keys");
    scoped(sealbox_close) struct sealbox found = SEALBOX_NONE;
    bool news = false;
    enum rc rc = sealbox_make(dir, SEAL_GROUND, &first, false, err);

    if (rc != RC_EXISTS)
        return rc;
    rc = sealbox_open(dir, &found, err);
    return rc == RC_OK ? sealbox_add(&found, &first, SEAL_MADE, &news, err) : rc;
}

static bool key_is_made(struct fault_world *w)
{
    scoped(sealbox_close) struct sealbox found = SEALBOX_NONE;

    return look(w, &found) && found.ring.n == 1;
}

static enum rc key_add(struct fault_world *w, struct err *err)
{
    bool news = false;

    (void)w;
    return sealbox_add(&box, &next, SEAL_MADE, &news, err);
}

static bool key_is_added(struct fault_world *w)
{
    scoped(sealbox_close) struct sealbox found = SEALBOX_NONE;

    assert_true(look(w, &found));
    return found.ring.n == 2;
}

/* ---- sealing ----------------------------------------------------------------------------------
 */

/* Each number is told before anything that was sealed under it could be seen. */
static enum rc messages_seal(struct fault_world *w, struct err *err)
{
    for (unsigned i = 0; i < 3; i++) {
        struct sealed s;
        uint32_t epoch = 0;
        enum rc rc = sealbox_seal(&box, bytes_of(TEXT), SEAL_NOW, 1000, s.b, &s.n, &epoch, err);
        struct bundle b;

        if (rc != RC_OK)
            return rc;
        assert_rc(bundle_decode((struct bytes){ s.b, s.n }, BUNDLE_STRICT, &b, err), RC_OK);
        const uint64_t counter = b.sequence & COUNTER_MAX;
        if (counter <= w->told->number[LAST])
            return err_set(err, RC_INTERNAL, "a number for the second time");
        w->told->number[LAST] = counter;
    }
    return RC_OK;
}

static bool numbers_are_past(struct fault_world *w)
{
    scoped(close_fd) int dir = open_own(w, "keys");
    scoped(sealbox_close) struct sealbox found = SEALBOX_NONE;
    struct counter c = { 0 };
    struct err err;

    assert_true(look(w, &found));
    assert_rc(counter_load(dir, found.ring.epoch[0].number, &c, &err), RC_OK);
    assert_true(c.next > w->told->number[LAST]);
    return w->told->number[LAST] >= 3;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool is_whole(int dir, const char *name)
{
    uint8_t buf[64];
    size_t n = 0;
    struct err err;
    enum rc rc = fs_read_file(dir, name, buf, sizeof buf, &n, &err);

    assert_true(rc == RC_OK || rc == RC_NOT_FOUND);
    if (rc == RC_OK)
        assert_true(bytes_equal((struct bytes){ buf, n }, bytes_of(TEXT)));
    return rc == RC_OK;
}

/* What had its name before the cut is there, and is not opened again. */
static enum rc message_open(struct fault_world *w, struct err *err)
{
    scoped(close_fd) int out = open_own(w, "out");

    for (unsigned i = 0; i < 2; i++) {
        struct sealfile_buf in = { .p = sealed[i].b, .n = sealed[i].n };
        struct sealed copy = sealed[i];
        const char *name = i == 0 ? "first" : "second";
        struct sealbox_message m;

        in.p = copy.b;
        enum rc rc = sealfile_open(&box, &in, out, name, SEAL_NOW, &m, err);
        if (rc == RC_EXISTS && is_whole(out, name))
            continue;
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static bool is_noted(const struct sealbox *found, const struct sealbox_message *m)
{
    struct replay window = { 0 };
    struct err err;

    assert_rc(replay_load(found->dir, 42, m->number, &window, &err), RC_OK);
    return replay_accept(&window, m->counter, &err) == RC_REPLAY;
}

/* Either it can be opened still, or its file is there and it is noted that it came; in between,
 * its content waits to be given its name. */
static bool messages_are_open(struct fault_world *w)
{
    scoped(close_fd) int out = open_own(w, "out");
    scoped(close_fd) int dir = open_own(w, "keys");
    scoped(sealbox_close) struct sealbox found = SEALBOX_NONE;
    bool all = true;

    assert_true(look(w, &found));
    found.dir = dir;
    for (unsigned i = 0; i < 2; i++) {
        struct sealed copy = sealed[i];
        struct sealbox_message m;
        char part[64];
        struct err err;
        const bool is = is_whole(out, i == 0 ? "first" : "second");

        assert_rc(sealbox_open_message(&found, copy.b, copy.n, SEAL_NOW, &m, &err), RC_OK);
        (void)snprintf(part, sizeof part, "seal-%016llx-%010llx.part", (unsigned long long)m.number,
                       (unsigned long long)m.counter);
        const bool noted = is_noted(&found, &m);
        if (is)
            assert_true(noted);
        else if (noted)
            assert_true(is_whole(out, part));
        all = all && is;
    }
    return all;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static enum rc file_put(struct fault_world *w, struct err *err)
{
    scoped(close_fd) int out = open_own(w, "out");
    enum rc rc = sealfile_put(out, "first", 7, bytes_of(TEXT), err);

    return rc == RC_EXISTS && is_whole(out, "first") ? RC_OK : rc;
}

static bool file_is_put(struct fault_world *w)
{
    scoped(close_fd) int out = open_own(w, "out");

    (void)unlinkat(out, ".seal-0000000000000007.part", 0); /* the next one writes over it */
    return is_whole(out, "first");
}

/* clang-format off */
static const struct fault_row rows[] = {
    { .name = "first key made", .before = dirs_before, .run = key_make, .is_new = key_is_made,
      .also = RC_STATE_DAMAGED, .may_lack = true, .calls_min = 20 },
    { .name = "next key added", .before = box_before, .open = box_open, .run = key_add,
      .close = box_close, .is_new = key_is_added, .also = RC_STATE_DAMAGED, .calls_min = 20 },
    { .name = "messages sealed", .before = box_before, .open = box_open, .run = messages_seal,
      .close = box_close, .is_new = numbers_are_past, .also = RC_COUNTER, .calls_min = 12 },
    { .name = "messages opened", .before = box_before, .open = box_open, .run = message_open,
      .close = box_close, .is_new = messages_are_open, .under_way = "out", .also = RC_REPLAY,
      .calls_min = 20 },
    { .name = "sealed file written", .before = dirs_before, .run = file_put,
      .is_new = file_is_put, .calls_min = 4 },
};
/* clang-format on */

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fault_row_run(&rows[i]);
}

static int setup(void **state)
{
    struct seal_ends e;
    struct err err;

    (void)state;
    first = seal_keys("acme", "cam", 42, 1);
    next = first;
    assert_rc(seal_key_make(&next, 2, &err), RC_OK);
    e = seal_ends_of(&first);
    for (unsigned i = 0; i < 2; i++)
        sealed[i] = seal_text(&e.payload, TEXT);
    seal_ends_free(&e);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
