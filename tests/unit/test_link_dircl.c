/* SPDX-License-Identifier: Apache-2.0
 *
 * link/dircl, link/rejects and link/outbox: files in and out of directories that anybody may fill.
 */
#include "tests/unit/link_fixture.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/limits.h"
#include "link/dircl.h"
#include "link/outbox.h"
#include "link/rejects.h"
#include "tests/unit/bad_block.h"

static struct dircl_scan scan;

static void put_and_read(void **state)
{
    struct link_tmp t = link_tmp_new();
    uint8_t buf[64];
    size_t n = 0;
    struct err err;
    char long_name[300];

    (void)state;
    assert_rc(dircl_put(t.fd, "b.bundle", bytes_of("bbb"), &err), RC_OK);
    assert_rc(dircl_put(t.fd, "a.bundle", bytes_of("old"), &err), RC_OK);
    assert_rc(dircl_put(t.fd, "a.bundle", bytes_of("a"), &err), RC_OK);
    assert_rc(dircl_sync(t.fd, &err), RC_OK);
    assert_rc(fs_write_file(t.fd, ".c.bundle", bytes_of("being written"), 0644, &err), RC_OK);
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 2);
    assert_int_equal(scan.junk, 0);
    assert_false(scan.more);
    assert_string_equal(scan.name[0], "a.bundle");
    assert_string_equal(scan.name[1], "b.bundle");
    assert_rc(dircl_read(t.fd, "a.bundle", buf, sizeof buf, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(buf[0], 'a');
    assert_rc(dircl_read(t.fd, "b.bundle", buf, 2, &n, &err), RC_TOO_LARGE);
    assert_rc(dircl_read(t.fd, "x.bundle", buf, sizeof buf, &n, &err), RC_NOT_FOUND);
    memset(long_name, 'x', sizeof long_name);
    snprintf(long_name + 150, 100, DIRCL_SUFFIX);
    assert_rc(dircl_put(t.fd, long_name, bytes_of("a"), &err), RC_NAME);
    link_tmp_free(&t);
}

/* Whoever fetches the files may have put something where the next one will be written: that neither
 * stops the writer nor leads it elsewhere. */
static void hostile_temporary(void **state)
{
    struct link_tmp t = link_tmp_new();
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    (void)state;
    alarm(300); /* opening a FIFO for writing waits for a reader */
    assert_int_equal(mkfifoat(t.fd, ".fifo.bundle", 0666), 0);
    assert_int_equal(mkdirat(t.fd, ".dir.bundle", 0755), 0);
    assert_int_equal(mkdirat(t.fd, ".dir.bundle/sub", 0755), 0);
    assert_rc(fs_write_file(t.fd, ".other", bytes_of("other"), 0644, &err), RC_OK);
    assert_int_equal(symlinkat(".other", t.fd, ".symlink.bundle"), 0);
    assert_int_equal(linkat(t.fd, ".other", t.fd, ".hard.bundle", 0), 0);
    static const char *const names[] = { "fifo.bundle", "dir.bundle", "symlink.bundle",
                                         "hard.bundle" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_rc(dircl_put(t.fd, names[i], bytes_of("ours"), &err), RC_OK);
        assert_rc(dircl_read(t.fd, names[i], buf, sizeof buf, &n, &err), RC_OK);
        assert_int_equal(n, 4);
    }
    assert_rc(fs_read_file(t.fd, ".other", buf, sizeof buf, &n, &err), RC_OK);
    assert_memory_equal(buf, "other", 5);
    alarm(0);
    link_tmp_free(&t);
}

/* Everything that is not a bundle file ends without blocking, is counted, and goes away. */
static void hostile_entries(void **state)
{
    struct link_tmp t = link_tmp_new();
    uint8_t buf[64];
    size_t n = 0;
    struct err err;
    struct stat st;
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    static const struct {
        const char *name;
        enum rc rc;
    } rows[] = {
        { "dir.bundle", RC_NOT_REGULAR },  { "empty.bundle", RC_SHORT },
        { "fifo.bundle", RC_NOT_REGULAR }, { "hard.bundle", RC_NOT_REGULAR },
        { "huge.bundle", RC_TOO_LARGE },   { "symlink.bundle", RC_IO },
    };
    struct rejects rejects = { 0 };

    (void)state;
    assert_int_equal(mkdirat(t.fd, "dir.bundle", 0755), 0);
    assert_int_equal(mkdirat(t.fd, "dir.bundle/sub", 0755), 0);
    assert_rc(fs_write_file(t.fd, "empty.bundle", (struct bytes){ 0 }, 0644, &err), RC_OK);
    assert_int_equal(mkfifoat(t.fd, "fifo.bundle", 0644), 0);
    assert_rc(fs_write_file(t.fd, ".other", bytes_of("x"), 0644, &err), RC_OK);
    assert_int_equal(linkat(t.fd, ".other", t.fd, "hard.bundle", 0), 0);
    assert_rc(fs_write_file(t.fd, "huge.bundle", bytes_of("x"), 0644, &err), RC_OK);
    int fd = openat(t.fd, "huge.bundle", O_WRONLY | O_CLOEXEC);

    assert_int_equal(ftruncate(fd, (off_t)1 << 31), 0);
    close_fd(&fd);
    assert_int_equal(symlinkat("/etc/passwd", t.fd, "symlink.bundle"), 0);
    assert_rc(fs_write_file(t.fd, "notes.txt", bytes_of("x"), 0644, &err), RC_OK);
    assert_int_equal(utimensat(t.fd, "notes.txt", old, 0), 0);
    assert_rc(fs_write_file(t.fd, ".bundle", bytes_of("x"), 0644, &err), RC_OK);
    assert_rc(fs_write_file(t.fd, ".left-over", bytes_of("x"), 0644, &err), RC_OK);
    assert_int_equal(utimensat(t.fd, ".left-over", old, 0), 0);

    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.junk, 2);
    assert_int_equal(faccessat(t.fd, "notes.txt", F_OK, 0), -1);
    assert_int_equal(faccessat(t.fd, ".left-over", F_OK, 0), -1);
    assert_int_equal(faccessat(t.fd, ".bundle", F_OK, 0), 0);
    assert_int_equal(scan.n, sizeof rows / sizeof rows[0]);

    struct link_tmp rej = link_tmp_new();

    assert_rc(rejects_open(rej.fd, &rejects, &err), RC_OK);
    for (size_t i = 0; i < scan.n; i++) {
        assert_string_equal(scan.name[i], rows[i].name);
        enum rc rc = dircl_read(t.fd, rows[i].name, buf, sizeof buf, &n, &err);

        if (rc != rows[i].rc && !(rows[i].rc == RC_IO && rc == RC_NOT_REGULAR))
            fail_msg("%s: %s", rows[i].name, rc_name(rc));
        rejects_take(&rejects, t.fd, rows[i].name, rc);
        assert_int_equal(fstatat(t.fd, rows[i].name, &st, AT_SYMLINK_NOFOLLOW), -1);
    }
    assert_int_equal(rejects.n, 0); /* none of them is worth keeping */
    assert_int_equal(faccessat(AT_FDCWD, "/etc/passwd", F_OK, 0), 0);
    link_tmp_free(&rej);
    link_tmp_free(&t);
}

/* A file that a carrier is still writing under another name stays, hidden or not, until it has not
 * changed for an hour; anything else of another name goes at once. */
static void what_is_being_written_stays(void **state)
{
    static const uint64_t now_s = 1800000000;
    static const struct {
        const char *name;
        int64_t age_s; /* by its date; -1 = no plain file */
        bool stays;
    } rows[] = {
        { "0-new.bundle.part", 0, true },
        { "1-growing.tmp", 3600, true },
        { "2-old.bundle.part", 3601, false },
        { "3-clock.part", -3600, true },
        { "4-clock.part", -3601, false },
        { ".5-hidden.part", 3600, true },
        { ".6-hidden.part", 3601, false },
        { "7-fifo.part", -1, false },
        { "8-very-old.bundle.part", 1799999999, false },
    };
    struct link_tmp t = link_tmp_new();
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const time_t at = (time_t)now_s - (time_t)rows[i].age_s;
        const struct timespec times[2] = { { .tv_sec = at }, { .tv_sec = at } };

        if (rows[i].age_s == -1)
            assert_int_equal(mkfifoat(t.fd, rows[i].name, 0666), 0);
        else
            assert_rc(fs_write_file(t.fd, rows[i].name, bytes_of("x"), 0644, &err), RC_OK);
        assert_int_equal(utimensat(t.fd, rows[i].name, times, 0), 0);
    }
    for (int again = 0; again < 2; again++) {
        assert_rc(dircl_scan(t.fd, now_s * 1000U, &scan, &err), RC_OK);
        assert_int_equal(scan.n, 0);
        assert_int_equal(scan.junk, again == 0 ? 5 : 0);
        assert_false(scan.more);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((faccessat(t.fd, rows[i].name, F_OK, 0) == 0) != rows[i].stays)
            fail_msg("%s", rows[i].name);
    /* Renamed into place it is a bundle; and what nobody goes on with, is none an hour later. */
    assert_int_equal(renameat(t.fd, rows[0].name, t.fd, "0-new.bundle"), 0);
    assert_rc(dircl_scan(t.fd, (now_s + 7201) * 1000U, &scan, &err), RC_OK);
    assert_int_equal(scan.n, 1);
    assert_int_equal(scan.junk, 3);
    link_tmp_free(&t);
}

/* Of names that are left alone there are never more than so many. */
static void foreign_flood(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct err err;
    char name[64];
    size_t junk = 0;

    (void)state;
    for (unsigned i = 0; i < DIRCL_JUNK_MAX + 2 * DIRCL_FOREIGN_MAX; i++) {
        snprintf(name, sizeof name, "%06u.part", i);
        close(openat(t.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
    assert_rc(dircl_put(t.fd, "z.bundle", bytes_of("x"), &err), RC_OK);
    do {
        assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
        junk += scan.junk;
    } while (scan.junk > 0);
    assert_int_equal(junk, DIRCL_JUNK_MAX + DIRCL_FOREIGN_MAX);
    assert_int_equal(scan.n, 1);
    assert_false(scan.more);
    link_tmp_free(&t);
}

/* A keyring of the link's first key, whose next counter is this. */
static struct link_keyring *ring_at(uint64_t next)
{
    struct link_keyring *ring = calloc(1, sizeof *ring);

    assert_non_null(ring);
    ring->n = 1;
    ring->key[0].keys.epoch = 1;
    ring->key[0].number = keys_number(&ring->key[0].keys);
    ring->key[0].counter.next = next;
    return ring;
}

static void scan_is_bounded(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct err err;
    char name[64];

    (void)state;
    for (unsigned i = 0; i < DIRCL_SCAN_MAX + 10; i++) {
        snprintf(name, sizeof name, "00000001-%016x.bundle", i);
        int fd = openat(t.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        close_fd(&fd);
    }
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, DIRCL_SCAN_MAX);
    assert_true(scan.more);
    size_t count = 0;

    assert_rc(outbox_count(t.fd, &count, NULL, &err), RC_OK);
    assert_int_equal(count, DIRCL_SCAN_MAX + 10);
    struct link_keyring *ring = ring_at(DIRCL_SCAN_MAX + 10);
    const struct link_state link = { .ring = ring };

    assert_rc(outbox_trim(&link, t.fd, 3, &err), RC_OK);
    assert_rc(outbox_trim(&link, t.fd, 3, &err), RC_OK);
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 3);
    free(ring);
    link_tmp_free(&t);
}

/* Names behind every report's: they go, and the reports stay. */
static void trim_keeps_our_own(void **state)
{
    static const char *const foreign[] = {
        "00000001-000000000000000a.bundle",
        "00000001-ffffffffffffffff.bundle",
        "00000002-0000000000000003.bundle",
        "00000001-0000000000000003-00000001.bundle",
        "0000000000000003.bundle",
        "00000001-0000000000000003x.bundle",
        "00000001-3.bundle",
        "zz.bundle",
        "1.bundle",
        "00000001-.bundle",
    };
    struct link_tmp t = link_tmp_new();
    struct link_keyring *ring = ring_at(10);
    const struct link_state link = { .ring = ring };
    struct err err;
    char name[64];

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_rc(dircl_put(t.fd, foreign[i], bytes_of("x"), &err), RC_OK);
    for (unsigned i = 1; i < 10; i++) {
        snprintf(name, sizeof name, "00000001-%016x.bundle", i);
        assert_rc(dircl_put(t.fd, name, bytes_of("x"), &err), RC_OK);
    }
    assert_rc(outbox_trim(&link, t.fd, 4, &err), RC_OK);
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 4);
    assert_string_equal(scan.name[0], "00000001-0000000000000006.bundle");
    assert_string_equal(scan.name[3], "00000001-0000000000000009.bundle");
    free(ring);
    link_tmp_free(&t);
}

/* Briefs make room for briefs: the newest report in full stays, and a foreign one does not. */
static void briefs_push_no_report_out(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct link_keyring *ring = ring_at(40);
    const struct link_state link = { .ring = ring };
    struct err err;
    char name[64];

    (void)state;
    assert_rc(dircl_put(t.fd, "00000001-0000000000000005-brief.bundle.bundle", bytes_of("x"), &err),
              RC_OK);
    for (unsigned i = 1; i < 40; i++) {
        snprintf(name, sizeof name, "00000001-%016x%s.bundle", i, i < 4 ? "" : "-brief");
        assert_rc(dircl_put(t.fd, name, bytes_of("x"), &err), RC_OK);
        assert_rc(outbox_trim(&link, t.fd, 4, &err), RC_OK);
    }
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 5);
    assert_string_equal(scan.name[0], "00000001-0000000000000003.bundle");
    assert_string_equal(scan.name[1], "00000001-0000000000000024-brief.bundle");
    assert_string_equal(scan.name[4], "00000001-0000000000000027-brief.bundle");
    free(ring);
    link_tmp_free(&t);
}

/* Things that a scan leaves alone, or cannot remove, must not hide the bundles behind them. */
static void hidden_flood(void **state)
{
    struct link_tmp t = link_tmp_new();
    const struct timespec future[2] = { { .tv_sec = 1LL << 33 }, { .tv_sec = 1LL << 33 } };
    struct err err;
    char name[64];
    size_t junk = 0;

    (void)state;
    for (unsigned i = 0; i < 24000; i++) {
        snprintf(name, sizeof name, ".%06u", i);
        if (i % 3 == 0)
            assert_int_equal(mkfifoat(t.fd, name, 0666), 0);
        else
            close(openat(t.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        if (i % 3 == 1)
            assert_int_equal(utimensat(t.fd, name, future, 0), 0);
        if (i % 500 == 0) {
            snprintf(name, sizeof name, "%06u.bundle", i);
            assert_rc(dircl_put(t.fd, name, bytes_of("x"), &err), RC_OK);
        }
    }
    do {
        assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
        assert_true(scan.junk <= DIRCL_JUNK_MAX);
        junk += scan.junk;
    } while (scan.junk > 0);
    assert_int_equal(scan.n, 24000 / 500);
    assert_false(scan.more);
    assert_int_equal(junk, 24000 - DIRCL_HIDDEN_MAX);
    link_tmp_free(&t);
}

static bool note_deep(void *arg, const char *name)
{
    char **found = arg;

    if (strncmp(name, ".refused-", 9) != 0)
        return true;
    *found = strdup(name);
    return false;
}

/* The name under which a directory was put out of sight; the caller frees it. */
static char *deep_name(int dirfd)
{
    char *found = NULL;
    struct err err;

    assert_rc(fs_list(dirfd, ".", 100, note_deep, &found, NULL, &err), RC_OK);
    assert_non_null(found);
    return found;
}

/* What cannot be removed goes out of sight under a name that was not taken before. */
static void unremovable(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct err err;
    char path[512] = "deep.bundle";
    size_t n = strlen(path);

    (void)state;
    for (size_t i = 0; i < 66; i++) {
        assert_int_equal(mkdirat(t.fd, path, 0755), 0);
        memcpy(path + n, "/d", 3);
        n += 2;
    }
    assert_rc(fs_write_file(t.fd, ".deep.bundle", bytes_of("x"), 0644, &err), RC_OK);
    assert_true(dircl_remove(t.fd, "deep.bundle"));
    assert_int_equal(faccessat(t.fd, "deep.bundle", F_OK, 0), -1);
    for (size_t i = 0; i < 3; i++) {
        assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
        assert_int_equal(scan.n, 0);
        assert_int_equal(scan.junk, 0);
    }
    /* The fixture cannot remove it either: take the inner half out first. */
    char *hidden = deep_name(t.fd);

    snprintf(path, sizeof path, "%s/d/d/d/d/d/d", hidden);
    assert_int_equal(renameat(t.fd, path, t.fd, "inner"), 0);
    free(hidden);
    link_tmp_free(&t);
}

/* Refused files are kept under their code, so many and no more, oldest first out, restarts
 * included. */
static void rejects_are_bounded(void **state)
{
    static uint8_t content[BUNDLE_MAX];
    struct link_tmp t = link_tmp_new(), rej = link_tmp_new();
    struct rejects r = { 0 };
    struct err err;
    uint64_t files = 0, bytes = 0;

    (void)state;
    assert_rc(rejects_open(rej.fd, &r, &err), RC_OK);
    for (unsigned i = 0; i < REJECTS_FILES + 30; i++) {
        if (i % 20 == 7)
            assert_rc(rejects_open(rej.fd, &r, &err), RC_OK);
        assert_rc(fs_write_file(t.fd, "a.bundle", bytes_of("abc"), 0644, &err), RC_OK);
        rejects_take(&r, t.fd, "a.bundle", RC_BPSEC_AUTH);
        assert_int_equal(faccessat(t.fd, "a.bundle", F_OK, 0), -1);
    }
    assert_rc(fs_tree_usage(rej.fd, ".", NULL, &files, &err), RC_OK);
    assert_int_equal(files, REJECTS_FILES);
    char name[64];

    snprintf(name, sizeof name, "%016x-%d-BPSEC_AUTH", REJECTS_FILES + 30, RC_BPSEC_AUTH);
    assert_int_equal(faccessat(rej.fd, name, F_OK, 0), 0);
    snprintf(name, sizeof name, "%016x-%d-BPSEC_AUTH", 30U, RC_BPSEC_AUTH);
    assert_int_equal(faccessat(rej.fd, name, F_OK, 0), -1);

    for (unsigned i = 0; i < 20; i++) {
        assert_rc(
            fs_write_file(t.fd, "a.bundle", (struct bytes){ content, sizeof content }, 0644, &err),
            RC_OK);
        rejects_take(&r, t.fd, "a.bundle", RC_BUNDLE_CRC);
    }
    assert_true(r.bytes <= REJECTS_BYTES);
    assert_rc(fs_tree_usage(rej.fd, ".", &bytes, &files, &err), RC_OK);
    assert_true(bytes <= REJECTS_BYTES + 65536);
    assert_int_equal(files, REJECTS_BYTES / BUNDLE_MAX);

    assert_rc(fs_write_file(rej.fd, "junk", bytes_of("x"), 0644, &err), RC_OK);
    assert_int_equal(mkdirat(rej.fd, "0000000000000001-1-SHORT", 0755), 0);
    assert_rc(rejects_open(rej.fd, &r, &err), RC_OK);
    assert_int_equal(r.n, REJECTS_BYTES / BUNDLE_MAX);
    assert_int_equal(faccessat(rej.fd, "junk", F_OK, 0), -1);
    link_tmp_free(&t);
    link_tmp_free(&rej);
}

/* Of more names than a scan takes, it takes the first ones, in whatever order they were made: scans
 * until nothing is left see every name in its order. */
static void first_names_come_first(void **state)
{
    struct link_tmp t = link_tmp_new();
    const uint8_t byte = 1;
    const uint32_t n = 2 * DIRCL_SCAN_MAX + 500;
    struct err err;
    char name[32];
    uint32_t next = 0;

    (void)state;
    for (uint32_t i = 0; i < n; i++) {
        int fd;

        /* Every number once, far apart from the one before. */
        (void)snprintf(name, sizeof name, "%08u.bundle", (uint32_t)((uint64_t)i * 1009 % n));
        fd = openat(t.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, &byte, 1), 1);
        close(fd);
    }
    do {
        assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
        assert_true(scan.n == DIRCL_SCAN_MAX || !scan.more);
        for (size_t i = 0; i < scan.n; i++) {
            (void)snprintf(name, sizeof name, "%08u.bundle", next++);
            assert_string_equal(scan.name[i], name);
            assert_true(dircl_remove(t.fd, name));
        }
    } while (scan.more);
    assert_int_equal(next, n);
    link_tmp_free(&t);
}

/* What lies before a bad block is found, and there is more; where there is nothing, that is told.
 */
static void a_bad_block_hides_nothing_before_it(void **state)
{
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct link_tmp t = link_tmp_new();
    struct err err;
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "%u.bundle", i);
        assert_rc(fs_write_file(t.fd, name, bytes_of("x"), 0644, &err), RC_OK);
    }
    assert_true(bad_block_at(t.fd, ".", 3));
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 3);
    assert_true(scan.more);
    for (size_t i = 0; i < scan.n; i++)
        assert_true(dircl_remove(t.fd, scan.name[i]));
    bad_block.names = 0;
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_IO);
    assert_int_equal(scan.n, 0);
    bad_block.on = false;
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.n, 2);
    assert_false(scan.more);
    link_tmp_free(&t);

    t = link_tmp_new(); /* only what is to be removed */
    assert_rc(fs_write_file(t.fd, "a", bytes_of("x"), 0644, &err), RC_OK);
    assert_int_equal(utimensat(t.fd, "a", old, 0), 0);
    assert_rc(fs_write_file(t.fd, "b.bundle", bytes_of("x"), 0644, &err), RC_OK);
    assert_true(bad_block_at(t.fd, ".", 99));
    bad_block.lost = ".bundle";
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_OK);
    assert_int_equal(scan.junk, 1);
    assert_true(scan.more);
    assert_rc(dircl_scan(t.fd, clock_unix_ms(), &scan, &err), RC_IO);
    bad_block.on = false;
    link_tmp_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_read),
        cmocka_unit_test(hostile_temporary),
        cmocka_unit_test(hostile_entries),
        cmocka_unit_test(what_is_being_written_stays),
        cmocka_unit_test(foreign_flood),
        cmocka_unit_test(scan_is_bounded),
        cmocka_unit_test(trim_keeps_our_own),
        cmocka_unit_test(briefs_push_no_report_out),
        cmocka_unit_test(hidden_flood),
        cmocka_unit_test(unremovable),
        cmocka_unit_test(rejects_are_bounded),
        cmocka_unit_test(first_names_come_first),
        cmocka_unit_test(a_bad_block_hides_nothing_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
