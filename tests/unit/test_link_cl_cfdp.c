/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-cl dir behind a CFDP engine (docs/guide/cfdp.md): plain files that behave as such engines
 * make them.  Turn by turn in this process, so that what is not taken is known not to be; and once
 * as a confined process.
 */
#include "tests/unit/cl_box.h"

/* Engines that rename, link or grow files in order need no option. */
static void test_renames(void **state)
{
    static uint8_t bundle[4096], other[4096];
    struct bytes first = rig_bundle(0, 1000, bundle), second = rig_bundle(1, 2000, other);
    struct box b;

    (void)state;
    box_open(&b, "re", &(struct cl_config){ 0 });
    /* a temporary name, filled in any order, renamed late */
    box_fill(b.in, "cfdp-17.tmp", first, 500, first.n - 500);
    box_fill(b.in, ".cfdp-18.bundle", first, 0, first.n);
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    box_fill(b.in, "cfdp-17.tmp", first, 0, 500);
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 0);
    assert_int_equal(renameat(b.in, "cfdp-17.tmp", b.in, "17.bundle"), 0);
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 1);
    assert_false(box_has(b.in, "17.bundle"));
    assert_true(box_has(b.in, ".cfdp-18.bundle"));

    /* the same, by link and unlink: a file of two names is not whole yet, and is not lost */
    box_fill(b.in, "cfdp-19.tmp", second, 0, second.n);
    assert_int_equal(linkat(b.in, "cfdp-19.tmp", b.in, "19.bundle", 0), 0);
    box_look(&b);
    box_later(&b, 86400);
    assert_int_equal(rig_count(b.recv), 1);
    assert_true(box_has(b.in, "19.bundle"));
    assert_int_equal(unlinkat(b.in, "cfdp-19.tmp", 0), 0);
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 2);

    /* delivered again, under its name and under another: passed on, for the replay window to tell
     */
    box_fill(b.in, "19.bundle", second, 0, second.n);
    box_fill(b.in, "19-1.BUNDLE", second, 0, second.n);
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 4);
    assert_int_equal(rig_doubles(b.recv, 2), 2);

    /* an empty file, that grows; and one whose checksum did not hold, which was cut off */
    box_fill(b.in, "20.bundle", second, 0, 0);
    box_fill(b.in, "21.bundle", second, 0, second.n - 1);
    box_look(&b);
    assert_true(box_has(b.in, "20.bundle") && box_has(b.in, "21.bundle"));
    box_fill(b.in, "20.bundle", second, 0, second.n);
    box_later(&b, 3599);
    assert_int_equal(rig_count(b.recv), 5);
    assert_true(box_has(b.in, "21.bundle"));
    box_later(&b, 1);
    assert_false(box_has(b.in, "20.bundle") || box_has(b.in, "21.bundle"));
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
    struct box b;

    (void)state;
    box_open(&b, "ip", &(struct cl_config){ .any_name = true, .settle_s = 7200, .stale_s = 86400 });
    /* of the right length, and a bundle by its form: zeros in the middle */
    box_fill(b.in, "chunk.1", all, 0, 300);
    box_fill(b.in, "chunk.1", all, 1500, all.n - 1500);
    /* without its beginning: no bundle at all */
    box_fill(b.in, "chunk.2", all, 1500, all.n - 1500);
    box_look(&b);
    box_later(&b, 7199);
    assert_int_equal(rig_count(b.recv), 0);
    assert_true(box_has(b.in, "chunk.1") && box_has(b.in, "chunk.2"));

    box_fill(b.in, "chunk.1", all, 300, 1200);
    box_look(&b);
    box_later(&b, 7200); /* the broken one is older than settle_s, too, and stays */
    assert_int_equal(rig_count(b.recv), 1);
    assert_true(box_has(b.in, "chunk.2"));
    box_fill(b.in, "chunk.2", all, 0, 1500);
    box_look(&b);
    box_later(&b, 7199);
    assert_int_equal(rig_count(b.recv), 1);
    box_later(&b, 1);
    assert_int_equal(rig_count(b.recv), 2);
    assert_int_equal(rig_doubles(b.recv, 1), 1);
    assert_int_equal(rig_count(b.in), 0);

    /* names that nobody chose; what is left alone; what is removed */
    box_fill(b.in, "chunk.1;2", all, 0, all.n);
    box_fill(b.in, "chunk", all, 0, all.n);
    box_fill(b.in, "chunk.part", all, 0, all.n);
    box_fill(b.in, ".chunk", all, 0, all.n);
    assert_int_equal(mkdirat(b.in, "tmp", 0755), 0);
    int tmp = openat(b.in, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    box_fill(tmp, "theirs", all, 0, 10);
    close(tmp);
    box_fill(b.in, "lost", all, 0, 10);
    box_fill(b.in, "noise", bytes_of("this is no bundle"), 0, 17);
    box_look(&b);
    box_later(&b, 86399);
    assert_int_equal(rig_count(b.recv), 4);
    assert_true(box_has(b.in, "lost") && box_has(b.in, "noise"));
    box_later(&b, 1);
    assert_true(box_has(b.in, "chunk.part") && box_has(b.in, ".chunk"));
    assert_true(box_has(b.in, "tmp/theirs"));
    assert_false(box_has(b.in, "lost") || box_has(b.in, "noise"));
    assert_int_equal(store.counts.garbage, 2);
    box_close(&b);
}

/* A file that is written anew under its name while we have the one before. */
static void test_again(void **state)
{
    static uint8_t bundle[4096], buf[4096];
    struct cl_item item;
    struct box b;
    struct err err;

    (void)state;
    box_open(&b, "ag", &(struct cl_config){ 0 });
    rig_put(b.in, "1.bundle", rig_bundle(0, 1000, bundle));
    assert_rc(cl_store_read(b.in, "1.bundle", buf, sizeof buf, &item, &err), RC_OK);
    assert_true(cl_store_is_same(b.in, &item));
    rig_put(b.in, "1.bundle", rig_bundle(1, 1000, bundle));
    assert_false(cl_store_is_same(b.in, &item));
    box_look(&b);
    rig_put(b.in, "1.bundle", rig_bundle(0, 1000, bundle));
    box_look(&b);
    assert_int_equal(rig_doubles(b.recv, 2), 0);
    box_close(&b);
}

/* However many files wait for their end, there is rest, and what is behind them comes through. */
static void test_many(void **state)
{
    static uint8_t bundle[4096];
    struct box b;
    char name[32];

    (void)state;
    box_open(&b, "ma", &(struct cl_config){ 0 });
    for (unsigned i = 0; i < 1500; i++) {
        (void)snprintf(name, sizeof name, "%04u.bundle", i);
        box_fill(b.in, name, (struct bytes){ 0 }, 0, 0);
    }
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "whole-%03u.bundle", i);
        box_fill(b.in, name, rig_bundle(i, 100, bundle), 0, rig_bundle(i, 100, bundle).n);
    }
    box_look(&b);
    assert_int_equal(rig_count(b.recv), 200);
    assert_int_equal(rig_doubles(b.recv, 200), 0);
    assert_int_equal(rig_count(b.in), 1500);
    /* more than are watched at a time: some go, the others in their turn, none before its time */
    box_later(&b, 3600);
    assert_int_equal(rig_count(b.in), 1500 - 1024);
    box_look(&b);
    box_look(&b);
    box_later(&b, 3599);
    assert_int_equal(rig_count(b.in), 1500 - 1024);
    box_later(&b, 1);
    assert_int_equal(rig_count(b.in), 0);
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
    struct box b;
    struct err err;

    (void)state;
    box_open(
        &b, "ou",
        &(struct cl_config){ .out_temp = "", .suffix = ".bdl", .name_max = 13, .size_max = 2000 });
    for (unsigned i = 0; i < 100; i++)
        rig_put_number(b.send, i, 1000);
    rig_put_number(b.send, 100, 3000);
    box_look(&b);
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
    box_fill(temp, "0000000000000005.part", bytes_of("cut off"), 0, 7);
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
