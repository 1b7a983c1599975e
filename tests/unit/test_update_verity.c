/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes of a file system that has fs-verity, has it not, or fails at it.  (That the kernel
 * does what it says is shown on one that has it.)
 */
#include "tests/unit/test.h"

#include "tests/unit/delta_package.h"
#include "update/verity.h"

static int works(int fd)
{
    return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? 0 : ETXTBSY;
}

#define FAILS(name, sys)                                                                           \
    static int name(int fd)                                                                        \
    {                                                                                              \
        (void)fd;                                                                                  \
        return sys;                                                                                \
    }

FAILS(not_supported, EOPNOTSUPP)
FAILS(no_such_call, ENOTTY)
FAILS(no_syscall, ENOSYS)
FAILS(no_algorithm, ENOPKG)
FAILS(no_block_size, EINVAL)
FAILS(is_on, EEXIST)
FAILS(disk_full, ENOSPC)
FAILS(quota_full, EDQUOT)
FAILS(broken, EIO)
FAILS(busy, EBUSY)
FAILS(written, ETXTBSY)
FAILS(forbidden, EACCES)

static void test_outcomes(void **state)
{
    static const struct {
        const char *why;
        int (*enable)(int fd);
        enum rc rc;
        enum verity_state then;
    } rows[] = {
        { "works, on a descriptor for reading", works, RC_OK, VERITY_ON },
        { "is on already", is_on, RC_OK, VERITY_ON },
        { "the file system has none", not_supported, RC_OK, VERITY_ABSENT },
        { "the file system has no such call", no_such_call, RC_OK, VERITY_ABSENT },
        { "the kernel has none", no_syscall, RC_OK, VERITY_ABSENT },
        { "the kernel has no SHA-256", no_algorithm, RC_OK, VERITY_ABSENT },
        { "not in blocks of this size", no_block_size, RC_OK, VERITY_ABSENT },
        { "no room for the hash tree", disk_full, RC_NO_SPACE, VERITY_UNTRIED },
        { "no quota for it", quota_full, RC_NO_SPACE, VERITY_UNTRIED },
        { "input and output fail", broken, RC_IO, VERITY_UNTRIED },
        { "somebody else does it", busy, RC_IO, VERITY_UNTRIED },
        { "somebody writes to the file", written, RC_IO, VERITY_UNTRIED },
        { "forbidden", forbidden, RC_IO, VERITY_UNTRIED },
    };
    scoped(scratch_done) struct scratch s = scratch_new();

    (void)state;
    put_file(s.fd, "file", "content", 0644);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct verity v = { .enable = rows[i].enable };
        struct err err = { .rc = RC_OK };
        enum rc rc = verity_seal(&v, s.fd, "file", &err);

        if (rc != rows[i].rc || v.state != rows[i].then)
            fail_msg("%s: %s, state %u", rows[i].why, rc_name(rc), (unsigned)v.state);
    }
}

static unsigned calls;

static int counted_absent(int fd)
{
    (void)fd;
    calls++;
    return EOPNOTSUPP;
}

/* Asked once for a whole slot. */
static void test_asked_once(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    struct verity v = { .enable = counted_absent };
    struct err err;

    (void)state;
    put_file(s.fd, "file", "content", 0644);
    for (unsigned i = 0; i < 3; i++)
        assert_rc(verity_seal(&v, s.fd, "file", &err), RC_OK);
    assert_int_equal(calls, 1);
}

static void test_no_file(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    struct verity v = { .enable = works };
    struct err err;

    (void)state;
    assert_rc(verity_seal(&v, s.fd, "none", &err), RC_NOT_FOUND);
    assert_int_equal(symlinkat("/proc/self/exe", s.fd, "link"), 0);
    assert_rc(verity_seal(&v, s.fd, "link", &err), RC_IO);
    assert_int_equal(v.state, VERITY_UNTRIED);
}

/* The real call: on for a file, which then cannot be written to, or said to be absent. */
static void test_real_call(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    struct verity v = { .enable = verity_ioctl };
    struct err err;

    (void)state;
    put_file(s.fd, "file", "content", 0644);
    assert_rc(verity_seal(&v, s.fd, "file", &err), RC_OK);

    scoped(close_fd) int fd = openat(s.fd, "file", O_WRONLY | O_CLOEXEC);

    assert_int_equal(v.state, fd < 0 ? VERITY_ON : VERITY_ABSENT);
}

static int counted_works(int fd)
{
    calls++;
    return works(fd);
}

/* Every file of a package is asked for, each once, when nobody writes to it any more; and a failure
 * ends the job and empties the directory. */
static void test_every_file(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(close_fd) int root = make_dir(s.fd, "root");
    struct tar t = { 0 };
    struct err err;

    (void)state;
    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, "one");
    tar_file(&t, "bin/empty", 0644, "");
    tar_link(&t, '2', "link", "bin/app");
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    scoped(close_fd) int fd = memfd_of(content_view(&c));
    struct verity v = { .enable = broken };
    const struct staging out = { .root = root, .index = -1, .verity = &v };

    assert_rc(unpack_archive(fd, &spec, &out, &err), RC_IO);
    assert_int_equal(entries_in(root, "."), 0);
    v.enable = counted_works;
    calls = 0;
    assert_rc(unpack_archive(fd, &spec, &out, &err), RC_OK);
    assert_int_equal(calls, 2);
    assert_int_equal(v.state, VERITY_ON);
    tar_done(&t);
    free(c.p);
}

/* The same for a delta: what came, what was moved and what was copied. */
static void test_every_file_of_a_delta(void **state)
{
    scoped(dp_tree_done) struct dp_tree old = dp_tree_new(dp_old, "/bin/app");
    scoped(dp_tree_done) struct dp_tree new = dp_tree_new(dp_new, "/bin/app");
    scoped(made_done) struct made made = dp_delta(&old, &new);
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(close_fd) int root = make_dir(s.fd, "root");
    scoped(close_fd) int fd = memfd_of((struct bytes){ made.p, made.n });
    const struct unpack_base base = { .root = old.root, .index = old.index };
    struct unpack_spec spec = dp_spec(&old, &new, made.n);
    struct verity v = { .enable = written };
    const struct staging out = { .root = root, .index = -1, .verity = &v };
    struct err err;

    (void)state;
    assert_rc(unpack_delta(fd, &spec, &base, &out, &err), RC_IO);
    assert_int_equal(entries_in(root, "."), 0);
    v.enable = counted_works;
    calls = 0;
    assert_rc(unpack_delta(fd, &spec, &base, &out, &err), RC_OK);
    assert_int_equal(calls, 9);
    assert_int_equal(v.state, VERITY_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),   cmocka_unit_test(test_asked_once),
        cmocka_unit_test(test_no_file),    cmocka_unit_test(test_real_call),
        cmocka_unit_test(test_every_file), cmocka_unit_test(test_every_file_of_a_delta),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
