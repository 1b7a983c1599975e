/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <sys/sysmacros.h>

#include "tests/unit/update_fixture.h"
#include "update/pack.h"
#include "update/package.h"

/* Pack below dirfd into a fresh memfd. */
static enum rc pack_to_memfd(int dirfd, const char *entry, int *ret_fd, struct packed *ret,
                             struct err *err)
{
    int fd = memfd_create("content", MFD_CLOEXEC);
    enum rc rc = pack_tree(dirfd, entry, 3, fd, ret, err);

    if (rc == RC_OK)
        *ret_fd = fd;
    else
        (void)close(fd);
    return rc;
}

static struct unpack_spec spec_from(const struct packed *packed, const char *entry)
{
    struct unpack_spec spec = {
        .content_bytes = packed->content_bytes,
        .unpacked_bytes = packed->unpacked_bytes,
        .content = packed->content,
        .content384 = packed->content384,
        .files = packed->files,
        .index = packed->index,
        .index384 = packed->index384,
    };

    (void)snprintf(spec.entry, sizeof spec.entry, "%s", entry);
    return spec;
}

/* The same small tree, its files made in either order, with other times and umask-like modes. */
static void make_tree(int dirfd, bool backwards)
{
    static const struct {
        const char *path;
        const char *text;
        mode_t mode[2];
    } files[] = {
        { "bin/app", "#!/bin/sh\nexit 0\n", { 0755, 0700 } },
        { "etc/app.conf", "x = 1\n", { 0644, 0600 } },
        { "etc/caf\303\251", "accent\n", { 0644, 0664 } },
        { "lib/a", "", { 0644, 0644 } },
        { "lib/a.b", "ab\n", { 0644, 0640 } },
    };
    static const char *const dirs[] = { "bin", "etc", "lib", "tmp" };
    const size_t n = sizeof files / sizeof files[0];

    for (size_t i = 0; i < 4; i++)
        (void)close(make_dir(dirfd, dirs[backwards ? 3 - i : i]));
    for (size_t i = 0; i < n; i++) {
        size_t at = backwards ? n - 1 - i : i;
        struct timespec times[2] = { { .tv_sec = 1000 * (backwards ? 7 : 3) }, { .tv_sec = 5 } };

        put_file(dirfd, files[at].path, files[at].text, files[at].mode[backwards]);
        assert_int_equal(utimensat(dirfd, files[at].path, times, 0), 0);
    }
    assert_int_equal(symlinkat("app", dirfd, "bin/alias"), 0);
    assert_int_equal(symlinkat("/bin/app", dirfd, "lib/abs"), 0);
}

static void test_same_tree_same_bytes(void **state)
{
    scoped(scratch_done) struct scratch a = scratch_new();
    scoped(scratch_done) struct scratch b = scratch_new();
    scoped(close_fd) int fd_a = -1;
    scoped(close_fd) int fd_b = -1;
    struct packed pa;
    struct packed pb;
    struct err err;

    (void)state;
    make_tree(a.fd, false);
    make_tree(b.fd, true);
    assert_rc(pack_to_memfd(a.fd, "/bin/app", &fd_a, &pa, &err), RC_OK);
    assert_rc(pack_to_memfd(b.fd, "/bin/app", &fd_b, &pb, &err), RC_OK);
    assert_memory_equal(&pa.content, &pb.content, sizeof pa.content);
    assert_memory_equal(&pa.index, &pb.index, sizeof pa.index);
    assert_memory_equal(&pa.index384, &pb.index384, sizeof pa.index384);
    assert_int_equal(pa.content_bytes, pb.content_bytes);
    assert_int_equal(pa.files, 4 + 5 + 2);
    assert_int_equal(pa.unpacked_bytes, 17 + 6 + 7 + 3);

    uint8_t digest[32];

    assert_rc(package_digest(fd_a, 0, pa.content_bytes, digest, &err), RC_OK);
    assert_memory_equal(digest, pa.content.b, sizeof digest);
}

static void test_what_is_packed_unpacks(void **state)
{
    scoped(scratch_done) struct scratch in = scratch_new();
    scoped(scratch_done) struct scratch out = scratch_new();
    scoped(close_fd) int fd = -1;
    struct packed packed;
    struct stat st;
    char link[32] = "";
    struct err err;

    (void)state;
    make_tree(in.fd, true);
    assert_rc(pack_to_memfd(in.fd, "/lib/abs", &fd, &packed, &err), RC_OK);

    struct unpack_spec spec = spec_from(&packed, "/lib/abs");

    assert_false(digest384_is_none(&spec.content384));
    spec.content384.b[47] ^= 1; /* while it is unpacked, both digests are looked at */
    assert_rc(unpack_content(fd, &spec, out.fd, -1, &err), RC_DIGEST_MISMATCH);
    spec.content384.b[47] ^= 1;
    spec.index384.b[47] ^= 1; /* and both of the index */
    assert_rc(unpack_content(fd, &spec, out.fd, -1, &err), RC_INDEX_MISMATCH);
    spec.index384.b[47] ^= 1;
    spec.index.b[0] ^= 1;
    assert_rc(unpack_content(fd, &spec, out.fd, -1, &err), RC_INDEX_MISMATCH);
    assert_int_equal(entries_in(out.fd, "."), 0);
    spec.index.b[0] ^= 1;
    assert_rc(unpack_content(fd, &spec, out.fd, -1, &err), RC_OK);
    assert_int_equal(fstatat(out.fd, "bin/app", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    assert_int_equal(fstatat(out.fd, "etc/caf\303\251", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    assert_true(readlinkat(out.fd, "lib/abs", link, sizeof link - 1) > 0);
    assert_string_equal(link, "../bin/app");
    for (size_t i = 0; i < 5; i++) {
        static const char *const points[] = { "data", "dev", "proc", "run", "tmp" };

        assert_int_equal(fstatat(out.fd, points[i], &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
    }
}

/* Each spoils a good tree. */
static void spoil_setuid(int d)
{
    put_file(d, "bin/su", "x", 04755);
}
static void spoil_fifo(int d)
{
    assert_int_equal(mkfifoat(d, "bin/fifo", 0644), 0);
}
static void spoil_device(int d)
{
    /* only root can make a device; anyone can make a FIFO, which is no better */
    if (mknodat(d, "bin/null", S_IFCHR | 0666, makedev(1, 3)) != 0)
        spoil_fifo(d);
}
static void spoil_link_out(int d)
{
    assert_int_equal(symlinkat("../../etc/passwd", d, "bin/out"), 0);
}
static void spoil_link_sideways(int d)
{
    assert_int_equal(symlinkat("x/../../..", d, "bin/out"), 0);
}
static void spoil_newline(int d)
{
    put_file(d, "bin/a\nb", "x", 0644);
}
static void spoil_utf8(int d)
{
    put_file(d, "bin/\xff\xfe", "x", 0644);
}
static void spoil_mount_point(int d)
{
    (void)close(make_dir(d, "dev"));
    put_file(d, "dev/null", "x", 0644);
}
static void spoil_depth(int d)
{
    (void)close(make_dir(d, "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"));
}
static void spoil_zeros(int d)
{
    int fd = openat(d, "bin/zeros", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_int_equal(ftruncate(fd, 64 * 1024 * 1024), 0);
    (void)close(fd);
}
static void spoil_entry(int d)
{
    assert_int_equal(fchmodat(d, "bin/app", 0644, 0), 0);
}

static void test_refuses_what_unpacking_would(void **state)
{
    static const struct {
        const char *why;
        void (*spoil)(int dirfd);
        enum rc rc;
    } rows[] = {
        { "setuid", spoil_setuid, RC_ARCHIVE_MODE },
        { "fifo", spoil_fifo, RC_ARCHIVE_TYPE },
        { "device", spoil_device, RC_ARCHIVE_TYPE },
        { "link out", spoil_link_out, RC_ARCHIVE_LINK },
        { "link up after down", spoil_link_sideways, RC_ARCHIVE_LINK },
        { "newline", spoil_newline, RC_ARCHIVE_PATH },
        { "not UTF-8", spoil_utf8, RC_ARCHIVE_PATH },
        { "file in a mount point", spoil_mount_point, RC_ARCHIVE_PATH },
        { "too deep", spoil_depth, RC_ARCHIVE_PATH },
        { "all zeros", spoil_zeros, RC_ARCHIVE_BOMB },
        { "entry not executable", spoil_entry, RC_ENTRY_POINT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(scratch_done) struct scratch s = scratch_new();
        struct packed packed = { .files = 77 };
        int fd = -1;
        struct err err;

        make_tree(s.fd, false);
        rows[i].spoil(s.fd);

        enum rc rc = pack_to_memfd(s.fd, "/bin/app", &fd, &packed, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(packed.files, 77);
        assert_int_equal(fd, -1);
    }
}

static void test_entry_point(void **state)
{
    static const struct {
        const char *entry;
        enum rc rc;
    } rows[] = {
        { "/bin/app", RC_OK },
        { "/bin/alias", RC_OK },
        { "/lib/abs", RC_OK },
        { "bin/app", RC_ENTRY_POINT },
        { "", RC_ENTRY_POINT },
        { "/bin", RC_ENTRY_POINT },
        { "/bin/none", RC_ENTRY_POINT },
        { "/../../../../../bin/sh", RC_ENTRY_POINT },
        { "/etc/app.conf", RC_ENTRY_POINT },
    };
    scoped(scratch_done) struct scratch s = scratch_new();

    (void)state;
    make_tree(s.fd, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(close_fd) int fd = -1;
        struct packed packed;
        struct err err;
        enum rc rc = pack_to_memfd(s.fd, rows[i].entry, &fd, &packed, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].entry, rc_name(rc));
    }
}

static void test_assemble_and_attach(void **state)
{
    scoped(close_fd) int content = memfd_of(bytes_of("the content"));
    scoped(close_fd) int first = memfd_create("first", MFD_CLOEXEC);
    scoped(close_fd) int second = memfd_create("second", MFD_CLOEXEC);
    scoped(package_done) struct package package = { 0 };
    char text[32] = "";
    struct err err;

    (void)state;
    assert_rc(pack_assemble(bytes_of("one"), content, 4, 7, first, &err), RC_OK);
    assert_rc(pack_attach(first, bytes_of("another"), second, &err), RC_OK);
    assert_int_equal(pread(second, text, sizeof text, 0), 12 + 7 + 7);
    assert_memory_equal(text, "BERTHPK1\0\0\0\7anothercontent", 12 + 7 + 7);
    assert_rc(package_open(second, &package, &err), RC_OK);
    assert_int_equal(package.content_at, 19);
    assert_int_equal(package.content_bytes, 7);

    assert_rc(pack_assemble(bytes_of("one"), content, 4, 8, first, &err), RC_SHORT);
    assert_rc(pack_assemble(bytes_of(""), content, 0, 8, first, &err), RC_TOO_LARGE);
    assert_rc(pack_assemble(bytes_of("one"), content, 0, 0, first, &err), RC_PACKAGE_SIZE);
    assert_rc(pack_attach(content, bytes_of("one"), second, &err), RC_SHORT);
}

static void test_assemble_delta(void **state)
{
    scoped(close_fd) int delta = memfd_of(bytes_of("the delta"));
    scoped(close_fd) int out = memfd_create("out", MFD_CLOEXEC);
    char text[64] = "";
    struct err err;

    (void)state;
    assert_rc(pack_assemble_delta(bytes_of("one"), delta, 9, out, &err), RC_OK);
    assert_int_equal(pread(out, text, sizeof text, 0), 12 + 3 + 9);
    assert_memory_equal(text, "BERTHDP1\0\0\0\3onethe delta", 12 + 3 + 9);
    assert_rc(pack_assemble_delta(bytes_of("one"), delta, 10, out, &err), RC_SHORT);
    assert_rc(pack_assemble_delta(bytes_of("one"), delta, 0, out, &err), RC_PACKAGE_SIZE);
    assert_rc(pack_attach(out, bytes_of("another"), delta, &err), RC_PACKAGE_FORMAT);
}

static void test_fill(void **state)
{
    struct packed packed = {
        .content = { { 9 } }, .content_bytes = 2, .unpacked_bytes = 3, .files = 4
    };
    struct manifest m = { .release = 5 };

    (void)state;
    pack_fill(&packed, &m);
    assert_memory_equal(&m.content, &packed.content, sizeof m.content);
    assert_int_equal(m.content_bytes, 2);
    assert_int_equal(m.unpacked_bytes, 3);
    assert_int_equal(m.files, 4);
    assert_int_equal(m.release, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tree_same_bytes),
        cmocka_unit_test(test_what_is_packed_unpacks),
        cmocka_unit_test(test_refuses_what_unpacking_would),
        cmocka_unit_test(test_entry_point),
        cmocka_unit_test(test_assemble_and_attach),
        cmocka_unit_test(test_assemble_delta),
        cmocka_unit_test(test_fill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
