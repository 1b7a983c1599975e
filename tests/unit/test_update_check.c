/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <poll.h>

#include "tests/unit/update_signed.h"
#include "update/check.h"
#include "update/index.h"

/* A tree that was unpacked, and the index that was kept of it. */
struct tree {
    struct scratch dir;
    int root, index;
    struct unpack_spec spec;
};

static void read_index(struct tree *t)
{
    uint8_t buf[1024];
    size_t n = 0;
    struct err err;

    assert_rc(fs_read_file(t->dir.fd, "index", buf, sizeof buf, &n, &err), RC_OK);
    assert_rc(sha256_of((struct bytes){ buf, n }, t->spec.index.b, &err), RC_OK);
    assert_rc(sha384_of((struct bytes){ buf, n }, t->spec.index384.b, &err), RC_OK);
}

static struct tree tree_new(void)
{
    struct tree t = { .dir = scratch_new() };
    struct tar tar = { 0 };
    struct err err;

    tar_dir(&tar, "bin/");
    tar_file(&tar, "bin/app", 0755, "#!/bin/sh\n");
    tar_link(&tar, '2', "bin/link", "app");
    tar_file(&tar, "empty", 0644, "");
    tar_end(&tar);

    struct content c = compress_window((struct bytes){ .p = tar.p, .n = tar.n }, 0);
    scoped(close_fd) int content = memfd_of(content_view(&c));

    t.spec = spec_of(content_view(&c), &tar, "/bin/app");
    t.root = make_dir(t.dir.fd, "root");
    t.index = openat(t.dir.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_rc(unpack_content(content, &t.spec, t.root, t.index, &err), RC_OK);
    read_index(&t);
    tar_done(&tar);
    free(c.p);
    return t;
}

static void tree_done(struct tree *t)
{
    close_fd(&t->root);
    close_fd(&t->index);
    scratch_done(&t->dir);
}

static void flip(int dirfd, const char *path, off_t at)
{
    scoped(close_fd) int fd = openat(dirfd, path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void bit_in_file(struct tree *t)
{
    flip(t->root, "bin/app", 9);
}
static void longer(struct tree *t)
{
    put_file(t->root, "empty", "x", 0644);
}
static void shorter(struct tree *t)
{
    scoped(close_fd) int fd = openat(t->root, "bin/app", O_RDWR | O_CLOEXEC);

    assert_int_equal(ftruncate(fd, 9), 0);
}
static void gone(struct tree *t)
{
    assert_int_equal(unlinkat(t->root, "empty", 0), 0);
}
static void other_mode(struct tree *t)
{
    assert_int_equal(fchmodat(t->root, "bin/app", 0644, 0), 0);
}
static void dir_mode(struct tree *t)
{
    assert_int_equal(fchmodat(t->root, "bin", 0700, 0), 0);
}
static void other_type(struct tree *t)
{
    gone(t);
    (void)close(make_dir(t->root, "empty"));
}
static void fifo(struct tree *t)
{
    gone(t);
    assert_int_equal(mkfifoat(t->root, "empty", 0644), 0);
}
static void link_for_file(struct tree *t)
{
    gone(t);
    assert_int_equal(symlinkat("/dev/null", t->root, "empty"), 0);
}
static void other_target(struct tree *t)
{
    assert_int_equal(unlinkat(t->root, "bin/link", 0), 0);
    assert_int_equal(symlinkat("apq", t->root, "bin/link"), 0);
}
static void longer_target(struct tree *t)
{
    assert_int_equal(unlinkat(t->root, "bin/link", 0), 0);
    assert_int_equal(symlinkat("app/", t->root, "bin/link"), 0);
}
static void dir_through_link(struct tree *t)
{
    assert_int_equal(renameat(t->root, "bin", t->root, "real"), 0);
    assert_int_equal(symlinkat("real", t->root, "bin"), 0);
}
static void bit_in_index(struct tree *t)
{
    flip(t->dir.fd, "index", 20);
}
static void empty_index(struct tree *t)
{
    assert_int_equal(ftruncate(t->index, 0), 0);
}
static void index384(struct tree *t)
{
    t->spec.index384.b[0] ^= 1;
}
/* The digest is as wanted, the bytes are no index. */
static void no_index(struct tree *t)
{
    assert_int_equal(pwrite(t->index, "\xff", 1, 0), 1);
    read_index(t);
}

static const struct {
    const char *why;
    void (*damage)(struct tree *t);
} rows[] = {
    { "a bit in a file", bit_in_file },
    { "a file that is longer", longer },
    { "a file that is shorter", shorter },
    { "a file that is gone", gone },
    { "a file's mode", other_mode },
    { "a directory's mode", dir_mode },
    { "a directory for a file", other_type },
    { "a FIFO for a file", fifo },
    { "a link for a file", link_for_file },
    { "a link's target", other_target },
    { "a link's longer target", longer_target },
    { "a directory behind a link", dir_through_link },
    { "a bit in the index", bit_in_index },
    { "an empty index", empty_index },
    { "the index's SHA-384", index384 },
    { "what is no index", no_index },
};

static void test_damage_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(tree_done) struct tree t = tree_new();
        struct err err;

        assert_rc(check_tree(t.index, &t.spec, t.root, &err), RC_OK);
        rows[i].damage(&t);
        if (check_tree(t.index, &t.spec, t.root, &err) != RC_SLOT_DAMAGED)
            fail_msg("%s was not found", rows[i].why);
    }
}

/* A file against its digest: each flipped bit, and each wrong length. */
static void objects_are_read(void **state)
{
    scoped(close_fd) int fd = memfd_of(bytes_of("the bytes of an object"));
    struct unpack_spec spec = { .check = UNPACK_CHECK_OBJECT, .content_bytes = 22 };
    struct err err;

    (void)state;
    assert_rc(sha256_of(bytes_of("the bytes of an object"), spec.content.b, &err), RC_OK);
    assert_rc(check_object(fd, &spec, &err), RC_OK);
    spec.content_bytes = 21;
    assert_rc(check_object(fd, &spec, &err), RC_OBJECT_DIGEST);
    spec.content_bytes = 23;
    assert_rc(check_object(fd, &spec, &err), RC_OBJECT_DIGEST);
    spec.content_bytes = 22;
    spec.content.b[31] ^= 1;
    assert_rc(check_object(fd, &spec, &err), RC_OBJECT_DIGEST);
}

static enum rc read_first(const struct verified_payload *payload, struct err *err)
{
    scoped(close_fd) int program = open_program("berth-unpack");
    struct unpack_job job;
    enum rc rc = check_start_payload(payload, program, &job, err);
    struct pollfd ended = { .events = POLLIN };

    if (rc != RC_OK)
        return rc;
    ended.fd = job.pidfd;
    assert_int_equal(poll(&ended, 1, 60000), 1);
    return unpack_result(&job, err);
}

/* The confined process reads what lies behind an envelope, and is given no directory. */
static void packages_are_read_first(void **state)
{
    scoped(trust_free) struct trust *trust = signed_trust();
    struct unpack_spec spec = { .content_bytes = 4000, .unpacked_bytes = 4000, .files = 2 };
    uint8_t content[4000] = { 0 };
    struct err err;

    (void)state;
    (void)snprintf(spec.entry, sizeof spec.entry, "/bin/app");
    spec.index.b[0] = 1;
    assert_rc(sha256_of((struct bytes){ content, sizeof content }, spec.content.b, &err), RC_OK);
    for (int flip = 0; flip < 2; flip++) {
        scoped(payload_free) struct verified_payload *payload = NULL;
        struct manifest m = signed_manifest(&spec);

        assert_rc(sha384_of((struct bytes){ content, sizeof content }, m.content384.b, &err),
                  RC_OK);
        content[3999] ^= (uint8_t)flip;
        scoped(close_fd) int fd =
            signed_package(&m, (struct bytes){ content, sizeof content }, K_ACME);
        assert_rc(payload_verify_signed(trust, fd, NOW_MS, &payload, &err), RC_OK);
        assert_rc(read_first(payload, &err), flip ? RC_DIGEST_MISMATCH : RC_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_read),
        cmocka_unit_test(packages_are_read_first),
        cmocka_unit_test(test_damage_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
