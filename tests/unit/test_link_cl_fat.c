/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories of bundles on file systems that lack something (tests/unit/fuse_rig.h): nothing is
 * lost, nothing half-written is seen, and what cannot work says so and leaves all as it was.
 */
#include "tests/unit/cl_box.h"

#include "base/clock.h"

#include "tests/unit/fuse_rig.h"

#define N 20U

/* PREFIX, which lacks something, with out, in, send and recv in it. */
static bool host_mount(struct fuse_rig *fs, const char *prefix, unsigned lacks)
{
    static const char *const names[] = { "out", "in", "temp", "send", "recv" };
    char path[128], link[64], to[64];
    int fd;

    close(rig_dir(prefix));
    rig_path(path, prefix);
    if (!fuse_rig_mount(fs, path, lacks)) {
        print_message("skipped: no FUSE here\n");
        return false;
    }
    fd = openat(rig.fd, prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mkdirat(fd, names[i], 0777), 0);
        (void)snprintf(link, sizeof link, "%s.%s", prefix, names[i]);
        (void)snprintf(to, sizeof to, "%s/%s", prefix, names[i]);
        assert_int_equal(symlinkat(to, rig.fd, link), 0);
    }
    close(fd);
    return true;
}

static void host_unmount(struct fuse_rig *fs, const char *prefix)
{
    char path[128];

    rig_path(path, prefix);
    fuse_rig_unmount(fs, path);
}

/* The pair of our own stays on a file system of this machine. */
static void own_pair(struct box *b, const char *prefix)
{
    char name[64];

    close(b->send);
    close(b->recv);
    (void)snprintf(name, sizeof name, "%s-own", prefix);
    b->send = box_dir(name, "send");
    b->recv = box_dir(name, "recv");
    box_stop(b);
    box_start(b);
}

static const struct {
    const char *why;
    const char *prefix;
    unsigned lacks;
    struct cl_config config;
    const char *grows, *temp, *whole; /* names there */
} hosts[] = {
    { "FAT as Linux mounts it", "fat", LACKS_CASE, { 0 }, "grows.bundle", "x.tmp", "X.Bundle" },
    { "short names in capitals",
      "short",
      LACKS_CASE | LACKS_LONG_NAMES,
      { .suffix = ".bdl", .temp = ".prt", .name_max = 12 },
      "GROWS.BDL",
      "X.TMP",
      "X.BDL" },
    { "no rename",
      "norename",
      LACKS_RENAME,
      { .in_place = true },
      "grows.bundle",
      NULL,
      "x.bundle" },
    { "no rename over a file or of an open one, no sync of a directory",
      "share",
      LACKS_CASE | LACKS_REPLACE | LACKS_OPEN_RENAME | LACKS_DIR_SYNC,
      { .out_temp = "" },
      "grows.bundle",
      "x.tmp",
      "x.bundle" },
    { "all of it",
      "worst",
      LACKS_CASE | LACKS_LONG_NAMES | LACKS_RENAME | LACKS_REPLACE | LACKS_OPEN_RENAME |
          LACKS_DIR_SYNC,
      { .in_place = true, .suffix = ".bdl", .temp = ".prt", .name_max = 12 },
      "GROWS.BDL",
      NULL,
      "X.BDL" },
};

/* Bundles for the host; the process begins again in between, and knows nothing of before. */
static void give(struct box *b)
{
    for (unsigned i = 0; i < N; i++)
        rig_put_number(b->send, i, 1000);
    box_look(b);
    assert_int_equal(rig_count(b->send), 0);
    assert_int_equal(rig_doubles(b->out, N), 0);
    box_stop(b);
    box_start(b);
    for (unsigned i = N; i < 2 * N; i++)
        rig_put_number(b->send, i, 1000);
    box_look(b);
    assert_int_equal(rig_doubles(b->out, 2 * N), 0);
    assert_int_equal(rig_count(b->temp), 0);
}

static void get(struct box *b, size_t row)
{
    static uint8_t bundle[4096];
    struct bytes all = rig_bundle(0, 1000, bundle);
    const char *grows = hosts[row].grows, *temp = hosts[row].temp, *whole = hosts[row].whole;

    /* Its files are all of 1980, whenever they were written: no reason to give one up. */
    box_fill(b->in, grows, all, 0, 500);
    if (temp)
        box_fill(b->in, temp, all, 0, all.n);
    else
        box_fill(b->in, whole, all, 0, 10);
    box_look(b);
    box_later(b, 3599);
    assert_int_equal(rig_count(b->recv), 0);
    assert_int_equal(rig_count(b->in), 2);
    box_fill(b->in, grows, all, 500, all.n - 500);
    if (temp)
        assert_int_equal(renameat(b->in, temp, b->in, whole), 0);
    else
        box_fill(b->in, whole, all, 10, all.n - 10);
    box_look(b);
    assert_int_equal(rig_count(b->in), 0);
    assert_int_equal(rig_doubles(b->recv, 1), 1);
    /* what never ends goes, in an hour by our clock */
    box_fill(b->in, grows, all, 0, 500);
    box_look(b);
    box_later(b, 3600);
    assert_int_equal(rig_count(b->in), 0);
    assert_int_equal(store.counts.garbage, 1);
}

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct fuse_rig fs;
        struct box b;

        if (!host_mount(&fs, hosts[i].prefix, hosts[i].lacks))
            skip();
        print_message("%s\n", hosts[i].why);
        box_open(&b, hosts[i].prefix, &hosts[i].config);
        own_pair(&b, hosts[i].prefix);
        give(&b);
        get(&b, i);
        box_close(&b);
        host_unmount(&fs, hosts[i].prefix);
    }
}

/* Without --in-place on a host that cannot rename: nothing is given, nothing is lost or left. */
static void test_no_rename(void **state)
{
    struct fuse_rig fs;
    struct box b;

    (void)state;
    if (!host_mount(&fs, "cannot", LACKS_RENAME))
        skip();
    box_open(&b, "cannot", &(struct cl_config){ 0 });
    own_pair(&b, "cannot");
    for (unsigned i = 0; i < N; i++)
        rig_put_number(b.send, i, 1000);
    box_look(&b);
    assert_int_equal(rig_count(b.out), 0);
    assert_int_equal(rig_doubles(b.send, N), 0);
    box_stop(&b);
    b.config.in_place = true;
    box_start(&b);
    box_look(&b);
    assert_int_equal(rig_doubles(b.out, N), 0);
    box_close(&b);
    host_unmount(&fs, "cannot");
}

/* Our own pair there: it wants long names and renames, and does without the rest. */
static void test_own_pair(void **state)
{
    static uint8_t bundle[4096], other[4096], buf[4096];
    static struct dircl_scan scan;
    struct bytes one = rig_bundle(0, 1000, bundle), two = rig_bundle(1, 1000, other);
    struct fuse_rig fs;
    struct box b;
    size_t n = 0;
    struct err err;

    (void)state;
    if (!host_mount(&fs, "own", LACKS_CASE | LACKS_REPLACE | LACKS_OPEN_RENAME | LACKS_DIR_SYNC))
        skip();
    box_open(&b, "own", &(struct cl_config){ 0 });
    assert_rc(dircl_put(b.send, "1.bundle", one, &err), RC_OK);
    assert_rc(dircl_put(b.send, "1.bundle", two, &err), RC_OK); /* over it */
    assert_rc(dircl_put(b.send, "2.bundle", one, &err), RC_OK);
    assert_rc(dircl_sync(b.send, &err), RC_OK);
    assert_rc(dircl_scan(b.send, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 2);
    assert_rc(dircl_read(b.send, "1.bundle", buf, sizeof buf, &n, &err), RC_OK);
    assert_true(n == two.n && memcmp(buf, two.p, n) == 0);
    box_fill(b.in, "3.bundle", two, 0, two.n);
    box_look(&b);
    assert_int_equal(rig_count(b.send), 0);
    assert_int_equal(rig_doubles(b.out, 2), 0);
    assert_int_equal(rig_count(b.recv), 1);
    box_close(&b);
    host_unmount(&fs, "own");
}

/* The confined process there, which may call what it takes. */
static void test_process(void **state)
{
    static uint8_t bundle[4096];
    struct fuse_rig fs;
    struct err err;

    (void)state;
    if (!host_mount(&fs, "p", LACKS_CASE | LACKS_LONG_NAMES | LACKS_REPLACE | LACKS_DIR_SYNC))
        skip();
    int send = rig_dir("q.send"), recv = rig_dir("q.recv");
    int out = openat(rig.fd, "p.out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int in = openat(rig.fd, "p.in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (unsigned i = 0; i < N; i++)
        rig_put_number(send, i, 1000);
    box_fill(in, "X.BDL", rig_bundle(0, 1000, bundle), 0, rig_bundle(0, 1000, bundle).n);
    struct rig_process p = rig_start("p",
                                     "dir --send @q.send --receive @q.recv --out @p.out --in @p.in "
                                     "--out-temp @p.temp --suffix .bdl --temp .prt --name-max 12",
                                     -1);

    rig_until(rig_count(send) == 0, &p);
    rig_until(rig_count(recv) == 1, &p);
    rig_until(rig_count(in) == 0, &p);
    rig_stop(&p);
    assert_int_equal(rig_doubles(out, N), 0);
    assert_rc(fs_remove_tree(rig.fd, "q.send", &err), RC_OK);
    close(send);
    close(recv);
    close(out);
    close(in);
    host_unmount(&fs, "p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_no_rename),
        cmocka_unit_test(test_own_pair),
        cmocka_unit_test(test_process),
    };

    return cmocka_run_group_tests(tests, rig_begin_apart, rig_end);
}
