/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-cl dir behind a CFDP engine (docs/guide/cfdp.md): plain files that behave as such engines
 * make them.  Turn by turn in this process, so that what is not taken is known not to be; and once
 * as a confined process.
 */
#include "tests/unit/cl_rig.h"

#include "base/clock.h"
#include "link/cl.h"

#define LONG_AGO 1000 /* a time, as a file may have it */

static struct cl_store store;

struct box {
    int out, temp, in, send, recv;
    void *cl;
    struct cl_config config;
};

static void box_path(char *out, const char *prefix, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s.%s", prefix, name);
    rig_path(out, path);
}

static int box_dir(const char *prefix, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s.%s", prefix, name);
    return rig_dir(path);
}

static struct box box_open(const char *prefix, struct cl_config config)
{
    static char out[128], in[128], temp[128];
    struct box b = { .out = box_dir(prefix, "out"),
                     .temp = box_dir(prefix, "temp"),
                     .in = box_dir(prefix, "in"),
                     .send = box_dir(prefix, "send"),
                     .recv = box_dir(prefix, "recv") };
    struct err err;

    box_path(out, prefix, "out");
    box_path(in, prefix, "in");
    box_path(temp, prefix, "temp");
    config.out = out;
    config.in = in;
    config.out_temp = config.out_temp ? temp : NULL;
    config.suffix = config.suffix ? config.suffix : DIRCL_SUFFIX;
    config.temp = ".part";
    config.size_max = config.size_max ? config.size_max : BUNDLE_MAX;
    config.name_max = config.name_max ? config.name_max : 64;
    config.files_max = 256;
    config.stale_s = config.stale_s ? config.stale_s : 3600;
    b.config = config;
    assert_rc(cl_dir.open(&b.config, &store, &b.cl, &err), RC_OK);
    assert_rc(cl_store_open(b.send, b.recv, -1, &store, &err), RC_OK);
    return b;
}

static void box_close(struct box *b)
{
    cl_dir.close(b->cl);
    cl_store_close(&store);
    close(b->out);
    close(b->temp);
    close(b->in);
    close(b->send);
    close(b->recv);
}

/* Turns until it would wait: then every file was looked at. */
static void look(struct box *b)
{
    uint64_t wait = 0;
    size_t turns = 0;

    store.names.hint = true;
    do {
        struct pollfd fds[CL_FDS];

        if (++turns > 1000)
            fail_msg("it never rests");
        cl_dir.turn(b->cl, turns);
        wait = CL_LOOK_MS;
        (void)cl_dir.wait(b->cl, turns, fds, &wait);
    } while (wait < CL_LOOK_MS);
}

/* Write a part of a file at its place. */
static void fill(int dir, const char *name, struct bytes all, size_t at, size_t n)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    assert_true(fd >= 0 && at + n <= all.n);
    assert_int_equal(pwrite(fd, all.p + at, n, (off_t)at), n);
    close(fd);
}

static void written_at(int dir, const char *name, time_t when)
{
    const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

    assert_int_equal(utimensat(dir, name, times, 0), 0);
}

static bool is_there(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Engines that rename, link or grow files in order need no option. */
static void test_renames(void **state)
{
    static uint8_t bundle[4096], other[4096];
    struct bytes first = rig_bundle(0, 1000, bundle), second = rig_bundle(1, 2000, other);
    struct box b = box_open("re", (struct cl_config){ 0 });

    (void)state;
    /* a temporary name, filled in any order, renamed late */
    fill(b.in, "cfdp-17.tmp", first, 500, first.n - 500);
    fill(b.in, ".cfdp-18.bundle", first, 0, first.n);
    look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    fill(b.in, "cfdp-17.tmp", first, 0, 500);
    look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    assert_int_equal(renameat(b.in, "cfdp-17.tmp", b.in, "17.bundle"), 0);
    look(&b);
    assert_int_equal(rig_count(b.recv), 1);
    assert_false(is_there(b.in, "17.bundle"));
    assert_true(is_there(b.in, ".cfdp-18.bundle"));

    /* the same, by link and unlink: a file of two names is not whole yet, and is not lost */
    fill(b.in, "cfdp-19.tmp", second, 0, second.n);
    assert_int_equal(linkat(b.in, "cfdp-19.tmp", b.in, "19.bundle", 0), 0);
    written_at(b.in, "19.bundle", LONG_AGO);
    look(&b);
    assert_int_equal(rig_count(b.recv), 1);
    assert_true(is_there(b.in, "19.bundle"));
    assert_int_equal(unlinkat(b.in, "cfdp-19.tmp", 0), 0);
    look(&b);
    assert_int_equal(rig_count(b.recv), 2);

    /* delivered again, under its name and under another: passed on, for the replay window to tell
     */
    fill(b.in, "19.bundle", second, 0, second.n);
    fill(b.in, "19-1.BUNDLE", second, 0, second.n);
    look(&b);
    assert_int_equal(rig_count(b.recv), 4);
    assert_int_equal(rig_doubles(b.recv, 2), 2);

    /* an empty file, that grows; and one whose checksum did not hold, which was cut off */
    fill(b.in, "20.bundle", second, 0, 0);
    fill(b.in, "21.bundle", second, 0, second.n - 1);
    look(&b);
    assert_true(is_there(b.in, "20.bundle") && is_there(b.in, "21.bundle"));
    fill(b.in, "20.bundle", second, 0, second.n);
    written_at(b.in, "21.bundle", LONG_AGO);
    look(&b);
    assert_int_equal(rig_count(b.recv), 5);
    assert_false(is_there(b.in, "20.bundle") || is_there(b.in, "21.bundle"));
    assert_int_equal(store.counts.garbage, 1);
    assert_int_equal(store.counts.received, 5);
    box_close(&b);
}

/* An engine that writes under the final name, in any order, over several passes, under names that
 * it changes when they are taken. */
static void test_in_place(void **state)
{
    static uint8_t bundle[4096];
    struct bytes all = rig_bundle(0, 2000, bundle);
    struct box b =
        box_open("ip", (struct cl_config){ .any_name = true, .settle_s = 7200, .stale_s = 86400 });
    const time_t now = (time_t)(clock_unix_ms() / 1000U);

    (void)state;
    /* of the right length, and a bundle by its form: zeros in the middle */
    fill(b.in, "chunk.1", all, 0, 300);
    fill(b.in, "chunk.1", all, 1500, all.n - 1500);
    /* without its beginning: no bundle at all */
    fill(b.in, "chunk.2", all, 1500, all.n - 1500);
    look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    /* no pass for hours: still nothing is removed */
    written_at(b.in, "chunk.2", now - 36000);
    look(&b);
    assert_true(is_there(b.in, "chunk.1") && is_there(b.in, "chunk.2"));

    fill(b.in, "chunk.1", all, 300, 1200);
    fill(b.in, "chunk.2", all, 0, 1500);
    look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    written_at(b.in, "chunk.1", now - 8000);
    written_at(b.in, "chunk.2", now - 8000);
    look(&b);
    assert_int_equal(rig_count(b.recv), 2);
    assert_int_equal(rig_doubles(b.recv, 1), 1);
    assert_int_equal(rig_count(b.in), 0);

    /* names that nobody chose; what is left alone */
    fill(b.in, "chunk.1;2", all, 0, all.n);
    fill(b.in, "chunk", all, 0, all.n);
    fill(b.in, "chunk.part", all, 0, all.n);
    fill(b.in, ".chunk", all, 0, all.n);
    assert_int_equal(mkdirat(b.in, "tmp", 0755), 0);
    int tmp = openat(b.in, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    fill(tmp, "theirs", all, 0, 10);
    close(tmp);
    fill(b.in, "lost", all, 0, 10);
    fill(b.in, "noise", bytes_of("this is no bundle"), 0, 17);
    static const char *const old[] = { "chunk.1;2", "chunk", "chunk.part", ".chunk",
                                       "tmp",       "lost",  "noise" };
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
        written_at(b.in, old[i], LONG_AGO);
    look(&b);
    assert_int_equal(rig_count(b.recv), 4);
    assert_true(is_there(b.in, "chunk.part") && is_there(b.in, ".chunk"));
    assert_true(is_there(b.in, "tmp/theirs"));
    assert_false(is_there(b.in, "lost") || is_there(b.in, "noise"));
    assert_int_equal(store.counts.garbage, 2);
    box_close(&b);
}

/* A file that is written anew under its name while we have the one before. */
static void test_again(void **state)
{
    static uint8_t bundle[4096], buf[4096];
    struct cl_item item;
    struct box b = box_open("ag", (struct cl_config){ 0 });
    struct err err;

    (void)state;
    rig_put(b.in, "1.bundle", rig_bundle(0, 1000, bundle));
    assert_rc(cl_store_read(b.in, "1.bundle", buf, sizeof buf, &item, &err), RC_OK);
    assert_true(cl_store_is_same(b.in, &item));
    rig_put(b.in, "1.bundle", rig_bundle(1, 1000, bundle));
    assert_false(cl_store_is_same(b.in, &item));
    look(&b);
    rig_put(b.in, "1.bundle", rig_bundle(0, 1000, bundle));
    look(&b);
    assert_int_equal(rig_doubles(b.recv, 2), 0);
    box_close(&b);
}

/* However many files wait for their end, there is rest, and what is behind them comes through. */
static void test_many(void **state)
{
    static uint8_t bundle[4096];
    struct box b = box_open("ma", (struct cl_config){ 0 });
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        (void)snprintf(name, sizeof name, "%04u.bundle", i);
        fill(b.in, name, (struct bytes){ 0 }, 0, 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "whole-%03u.bundle", i);
        fill(b.in, name, rig_bundle(i, 100, bundle), 0, rig_bundle(i, 100, bundle).n);
    }
    look(&b);
    assert_int_equal(rig_count(b.recv), 200);
    assert_int_equal(rig_doubles(b.recv, 200), 0);
    assert_int_equal(rig_count(b.in), 1500);
    look(&b);
    assert_int_equal(rig_count(b.recv), 200);
    box_close(&b);
}

static bool is_whole(void *arg, const char *name)
{
    const int *out = arg;
    static uint8_t buf[4096];
    struct cl_item item;
    struct err err;
    enum rc rc = name[0] == '.' ? RC_OK : cl_store_read(*out, name, buf, sizeof buf, &item, &err);

    if (strlen(name) > 12 || rc != RC_OK)
        fail_msg("the engine would have sent %s: %s", name, rc_name(rc));
    return true;
}

/* What the engine is given: never a part of a file, whenever it looks; names and sizes that it can
 * take; nothing that it has under that name already. */
static void test_out(void **state)
{
    struct box b = box_open(
        "ou",
        (struct cl_config){ .out_temp = "", .suffix = ".bdl", .name_max = 13, .size_max = 2000 });
    struct err err;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        rig_put_number(b.send, i, 1000);
    rig_put_number(b.send, 100, 3000);
    look(&b);
    assert_int_equal(rig_count(b.out), 100);
    assert_int_equal(rig_count(b.temp), 0);
    assert_int_equal(rig_count(b.send), 1);
    assert_rc(fs_list(b.out, ".", 1000, is_whole, &b.out, NULL, &err), RC_OK);
    assert_int_equal(rig_doubles(b.out, 100), 0);
    box_close(&b);
}

/* As a process, confined: it may rename between the two directories; what it may not remove from
 * the engine's it takes once. */
static void test_process(void **state)
{
    static uint8_t bundle[4096];
    int out = rig_dir("p.out"), in = rig_dir("p.in"), send = rig_dir("p.send");
    int recv = rig_dir("p.recv"), temp = rig_dir("p.temp");
    char name[32];

    (void)state;
    fill(temp, "0000000000000005.part", bytes_of("cut off"), 0, 7);
    rig_put_number(send, 0, 1000);
    rig_put(in, "0.bundle", rig_bundle(0, 100, bundle));
    assert_int_equal(fchmod(in, 0755), 0);
    struct rig_process p = rig_start("p",
                                     "dir --send @p.send --receive @p.recv --out @p.out --in @p.in "
                                     "--out-temp @p.temp",
                                     -1);

    for (unsigned i = 1; i < 4; i++) { /* each in another look */
        rig_until(rig_count(recv) == i, &p);
        (void)snprintf(name, sizeof name, "%u.bundle", i);
        rig_put(in, name, rig_bundle(i, 100, bundle));
    }
    rig_until(rig_count(recv) == 4, &p);
    assert_int_equal(rig_doubles(recv, 4), 0);
    assert_int_equal(rig_count(in), 4);
    assert_true(rig_said(&p, "cannot-remove name=0.bundle"));
    assert_int_equal(fchmod(in, 0777), 0);
    rig_until(rig_count(in) == 0, &p);
    rig_until(rig_count(send) == 0, &p);
    assert_int_equal(rig_count(out), 1);
    assert_int_equal(rig_count(temp), 0);
    rig_stop(&p);
    assert_int_equal(rig_doubles(recv, 4), 0);
    close(out);
    close(in);
    close(send);
    close(recv);
    close(temp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renames), cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_again),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_out),     cmocka_unit_test(test_process),
    };

    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
