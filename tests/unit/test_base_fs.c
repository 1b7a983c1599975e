/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/statefile.h"

static char top[64];
static int dir = -1;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/berth-test-XXXXXX");
    assert_non_null(mkdtemp(top));
    dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    close_fd(&dir);
    assert_rc(fs_remove_tree(AT_FDCWD, top, &err), RC_OK);
    assert_int_equal(access(top, F_OK), -1);
    return 0;
}

static void put(const char *path, const char *content)
{
    struct err err;

    assert_rc(fs_write_file(dir, path, bytes_of(content), 0600, &err), RC_OK);
}

/* Links, parents and absolute paths never lead out, whatever the flags. */
static void test_open_beneath(void **state)
{
    static const struct {
        const char *path;
        int sys;
    } rows[] = { { "link", ELOOP },
                 { "sub/up", ELOOP },
                 { "../etc/passwd", EXDEV },
                 { "/etc/passwd", EXDEV },
                 { "sub/../../x", EXDEV } };
    struct err err;
    int fd = -1;

    (void)state;
    assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
    assert_rc(fs_make_dirs(dir, "sub/deep/er", 0700, &err), RC_OK);
    assert_int_equal(symlinkat("..", dir, "sub/up"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_rc(fs_open(dir, rows[i].path, O_RDONLY, 0, &fd, &err), RC_IO);
        assert_int_equal(err.sys, rows[i].sys);
        assert_int_equal(fd, -1);
    }
    assert_rc(fs_open(dir, "sub/deep", O_RDONLY | O_DIRECTORY, 0, &fd, &err), RC_OK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close_fd(&fd);
}

/* Only a plain file with one name is read, and never beyond the limit; a FIFO does not block. */
static void test_plain(void **state)
{
    uint8_t buf[8];
    size_t n = 77;
    uint64_t size = 77;
    int fd = -1;
    struct err err;

    (void)state;
    put("file", "12345678");
    assert_rc(fs_read_file(dir, "file", buf, 8, &n, &err), RC_OK);
    assert_int_equal(n, 8);
    n = 77;
    assert_rc(fs_read_file(dir, "file", buf, 7, &n, &err), RC_TOO_LARGE);
    assert_rc(fs_read_file(dir, "none", buf, 8, &n, &err), RC_NOT_FOUND);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    assert_rc(fs_open_plain(dir, "fifo", 8, &fd, &size, &err), RC_NOT_REGULAR);
    assert_int_equal(symlinkat("file", dir, "soft"), 0);
    assert_rc(fs_open_plain(dir, "soft", 8, &fd, &size, &err), RC_NOT_REGULAR);
    assert_int_equal(linkat(dir, "file", dir, "hard", 0), 0);
    assert_rc(fs_open_plain(dir, "file", 8, &fd, &size, &err), RC_NOT_REGULAR);
    assert_rc(fs_open_plain(dir, ".", 8, &fd, &size, &err), RC_NOT_REGULAR);
    assert_int_equal(n, 77);
    assert_int_equal(fd, -1);
    assert_int_equal(size, 77);
}

static bool count(void *arg, const char *name)
{
    size_t *n = arg;

    assert_true(name[0] != 0);
    (*n)++;
    return true;
}

/* A replaced file is the old one or the new one, and no temporary name stays. */
static void test_write(void **state)
{
    uint8_t *text = NULL;
    size_t n = 0;
    size_t names = 0;
    bool more = true;
    struct err err;

    (void)state;
    put("file", "old");
    put("file", "new content");
    assert_rc(fs_read_alloc(dir, "file", 100, &text, &n, &err), RC_OK);
    assert_string_equal((char *)text, "new content");
    free(text);
    assert_rc(fs_list(dir, ".", 10, count, &names, &more, &err), RC_OK);
    assert_int_equal(names, 1);
    assert_false(more);
    assert_rc(fs_write_file(dir, "none/file", bytes_of("x"), 0600, &err), RC_NOT_FOUND);
    put("other", "x");
    assert_rc(fs_rename(dir, "file", dir, "other", true, &err), RC_EXISTS);
    assert_rc(fs_rename(dir, "file", dir, "other", false, &err), RC_OK);
    assert_rc(fs_unlink(dir, "other", &err), RC_OK);
    assert_rc(fs_unlink(dir, "other", &err), RC_OK);
    names = 0;
    put("a", "");
    put("b", "");
    put("c", "");
    assert_rc(fs_list(dir, ".", 2, count, &names, &more, &err), RC_OK);
    assert_int_equal(names, 2);
    assert_true(more);
}

/* Removing a tree does not follow what points out of it, and copes with read-only directories. */
static void test_remove_tree(void **state)
{
    struct err err;
    uint64_t files = 0;
    uint64_t bytes = 0;
    struct stat st;

    (void)state;
    put("keep", "x");
    assert_rc(fs_make_dirs(dir, "tree/a/b/c", 0700, &err), RC_OK);
    put("tree/a/b/c/f", "1");
    put("tree/a/g", "2");
    assert_int_equal(symlinkat("../../keep", dir, "tree/a/link"), 0);
    assert_int_equal(fchmodat(dir, "tree/a/b", 0555, 0), 0);
    assert_rc(fs_tree_usage(dir, "tree", &bytes, &files, &err), RC_OK);
    assert_int_equal(files, 3);
    assert_true(bytes >= 6 * 4096); /* directories and links are not free either */
    assert_rc(fs_remove_tree(dir, "tree", &err), RC_OK);
    assert_int_equal(fstatat(dir, "tree", &st, 0), -1);
    assert_int_equal(fstatat(dir, "keep", &st, 0), 0);
    assert_rc(fs_remove_tree(dir, "tree", &err), RC_OK);
}

/* What a power cut left of a write goes; nothing else does. */
static void test_sweep(void **state)
{
    struct err err;
    struct stat st;

    (void)state;
    put("keep", "x");
    put(".hidden", "x");
    put("root.0123456789abcdef", "x");
    put(".root.a.0123456789abcdef", "half");
    put(".root.a.0123456789abcdeg", "x");
    assert_rc(fs_sweep(dir, ".", &err), RC_OK);
    assert_int_equal(fstatat(dir, ".root.a.0123456789abcdef", &st, 0), -1);
    assert_int_equal(fstatat(dir, "keep", &st, 0), 0);
    assert_int_equal(fstatat(dir, ".hidden", &st, 0), 0);
    assert_int_equal(fstatat(dir, "root.0123456789abcdef", &st, 0), 0);
    assert_int_equal(fstatat(dir, ".root.a.0123456789abcdeg", &st, 0), 0);
}

static void test_copy_digest(void **state)
{
    scoped(close_fd) int in = openat(dir, "in", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    scoped(close_fd) int out = openat(dir, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint8_t got[32];
    uint8_t want[32];
    struct err err;

    (void)state;
    assert_int_equal(write(in, "hello", 5), 5);
    assert_rc(sha256_of(bytes_of("hello"), want, &err), RC_OK);
    assert_rc(fs_copy_digest(in, out, 5, got, &err), RC_OK);
    assert_memory_equal(got, want, 32);
    assert_rc(fs_copy_digest(in, out, 4, got, &err), RC_TRAILING);
    assert_rc(fs_copy_digest(in, out, 6, got, &err), RC_SHORT);
}

static void test_sealed(void **state)
{
    scoped(close_fd) int fd = -1;
    struct err err;

    (void)state;
    assert_rc(fs_sealed("test", bytes_of("fixed"), &fd, &err), RC_OK);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
}

static void flip(const char *name)
{
    scoped(close_fd) int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 21), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 21), 1);
}

/* One flipped bit or a torn copy costs at most the newest save; two damaged copies are never read
 * as "empty". */
static void test_statefile(void **state)
{
    uint8_t buf[32];
    size_t n = 0;
    struct statefile_info info = { 0 };
    struct err err;

    (void)state;
    assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, &info, &err), RC_NOT_FOUND);
    assert_rc(statefile_save(dir, "s", bytes_of("one"), &err), RC_OK);
    assert_rc(statefile_save(dir, "s", bytes_of("two"), &err), RC_OK);
    assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, &info, &err), RC_OK);
    assert_int_equal(info.sequence, 2);
    assert_false(info.damaged);
    assert_memory_equal(buf, "two", 3);
    flip("s.b");
    assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, &info, &err), RC_OK);
    assert_memory_equal(buf, "one", 3);
    assert_true(info.damaged);
    assert_rc(statefile_save(dir, "s", bytes_of("three"), &err), RC_OK);
    assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, &info, &err), RC_OK);
    assert_false(info.damaged);
    assert_memory_equal(buf, "three", 5);
    assert_rc(statefile_load(dir, "s", buf, 2, &n, &info, &err), RC_TOO_LARGE);
    flip("s.a");
    flip("s.b");
    n = 99;
    assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, &info, &err), RC_STATE_DAMAGED);
    assert_int_equal(n, 99);
    assert_rc(statefile_save(dir, "s", bytes_of("four"), &err), RC_STATE_DAMAGED);
}

/* Every length of a torn file is damaged, never whole. */
static void test_statefile_torn(void **state)
{
    uint8_t buf[32];
    size_t n;
    struct stat st;
    struct err err;

    (void)state;
    assert_rc(statefile_save(dir, "s", bytes_of("content"), &err), RC_OK);
    assert_int_equal(fstatat(dir, "s.a", &st, 0), 0);
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        scoped(close_fd) int fd = openat(dir, "s.a", O_RDWR | O_CLOEXEC);

        assert_int_equal(ftruncate(fd, size), 0);
        assert_rc(statefile_load(dir, "s", buf, sizeof buf, &n, NULL, &err), RC_STATE_DAMAGED);
    }
}

static void test_lock(void **state)
{
    scoped(close_fd) int one = -1;
    int two = -1;
    struct err err;

    (void)state;
    assert_rc(fs_lock(dir, "lock", &one, &err), RC_OK);
    assert_rc(fs_lock(dir, "lock", &two, &err), RC_BUSY);
    close_fd(&one);
    assert_rc(fs_lock(dir, "lock", &two, &err), RC_OK);
    close_fd(&two);
}

#define each(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* In a process of its own, in which the disk cannot give back what lies in the newer copy: 0 if the
 * older one is used, reported, and the next save repairs the pair. */
static int with_unreadable_copy(size_t size)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    uint8_t buf[64];
    size_t n = 0;
    struct statefile_info info = { 0 };

    if (!ctx ||
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EIO), SCMP_SYS(read), 1, SCMP_A2(SCMP_CMP_EQ, size)) !=
            0 ||
        seccomp_load(ctx) != 0)
        return 1;
    if (statefile_load(dir, "s", buf, sizeof buf, &n, &info, NULL) != RC_OK)
        return 2;
    if (n != 3 || memcmp(buf, "one", 3) != 0 || !info.damaged)
        return 3;
    if (statefile_save(dir, "s", bytes_of("three"), NULL) != RC_OK)
        return 4;
    if (statefile_load(dir, "s", buf, sizeof buf, &n, &info, NULL) != RC_OK)
        return 5;
    return n == 5 && memcmp(buf, "three", 5) == 0 && !info.damaged ? 0 : 6;
}

static void test_statefile_bad_sector(void **state)
{
    struct err err = { 0 };
    struct stat st;
    int status = 0;

    (void)state;
    assert_rc(statefile_save(dir, "s", bytes_of("one"), &err), RC_OK);
    assert_rc(statefile_save(dir, "s", bytes_of("second"), &err), RC_OK);
    assert_int_equal(fstatat(dir, "s.b", &st, 0), 0);

    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(with_unreadable_copy((size_t)st.st_size));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool see(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
    return true;
}

/* In a child: every further read of a directory fails, as behind a bad block. */
static int list_unreadable(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    bool seen = false, more = true;
    struct err err = { 0 };

    if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EUCLEAN), SCMP_SYS(getdents64), 0) != 0 ||
        seccomp_load(ctx) != 0)
        return 4;
    if (fs_list(dir, ".", 10, see, &seen, &more, &err) != RC_IO || err.sys != EUCLEAN)
        return 5;
    return seen || !more ? 6 : 0;
}

/* It opens, and then gives nothing: that is not an empty directory. */
static void test_list_unreadable(void **state)
{
    int status = 0;

    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(list_unreadable());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_open_beneath),   each(test_plain),
        each(test_write),          each(test_remove_tree),
        each(test_sweep),          each(test_copy_digest),
        each(test_sealed),         each(test_statefile),
        each(test_statefile_torn), each(test_statefile_bad_sector),
        each(test_lock),           each(test_list_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
