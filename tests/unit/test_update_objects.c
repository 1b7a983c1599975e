/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "tests/unit/update_fixture.h"
#include "update/objects.h"

#define ROOM (1024U * 1024U)

static struct digest digest_of(const char *text)
{
    struct digest digest;
    struct err err;

    assert_rc(sha256_of(bytes_of(text), digest.b, &err), RC_OK);
    return digest;
}

static enum rc put(struct objects *store, const char *text, struct err *err)
{
    struct digest digest = digest_of(text);
    scoped(close_fd) int fd = memfd_of(bytes_of(text));

    return objects_put(store, &digest, fd, strlen(text), err);
}

/* The object is there and says what it should. */
static void assert_has(struct objects *store, const char *text)
{
    struct digest digest = digest_of(text);
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    char buf[256];
    struct err err;

    assert_rc(objects_get(store, &digest, &fd, &size, &err), RC_OK);
    assert_int_equal(size, strlen(text));
    assert_int_equal(pread(fd, buf, sizeof buf, 0), strlen(text));
    assert_memory_equal(buf, text, strlen(text));
    assert_true(objects_has(store, &digest));
}

static void object_path(const struct digest *digest, char out[128])
{
    char hex[65];

    (void)bytes_hex((struct bytes){ .p = digest->b, .n = 32 }, hex);
    (void)snprintf(out, 128, "sha256/%.2s/%s", hex, hex + 2);
}

static void test_put_and_get(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    struct digest none = digest_of("none");
    uint64_t bytes = 0;
    uint32_t count = 0;
    int fd = -1;
    struct err err;

    (void)state;
    assert_rc(objects_open(s.fd, ROOM, 10, &store, &err), RC_OK);
    assert_rc(put(&store, "one", &err), RC_OK);
    assert_rc(put(&store, "three", &err), RC_OK);
    assert_rc(put(&store, "one", &err), RC_OK);
    assert_has(&store, "one");
    assert_has(&store, "three");
    assert_rc(objects_usage(&store, &bytes, &count, &err), RC_OK);
    assert_int_equal(bytes, 8);
    assert_int_equal(count, 2);

    assert_false(objects_has(&store, &none));
    assert_rc(objects_get(&store, &none, &fd, &bytes, &err), RC_NOT_FOUND);
    assert_int_equal(fd, -1);
    assert_rc(objects_remove(&store, &none, &err), RC_OK);

    struct digest one = digest_of("one");

    assert_rc(objects_remove(&store, &one, &err), RC_OK);
    assert_false(objects_has(&store, &one));
    assert_has(&store, "three");
}

/* An object is put only if its bytes are the ones named: no more, no fewer, no others. */
static void test_put_refuses(void **state)
{
    static const struct {
        const char *why;
        const char *named;
        const char *text;
        int more; /* added to the size */
        enum rc rc;
    } rows[] = {
        { "other bytes", "abc", "abd", 0, RC_OBJECT_DIGEST },
        { "longer", "abc", "abcd", -1, RC_TRAILING },
        { "shorter", "abcd", "abc", 1, RC_SHORT },
        { "empty for something", "abc", "", 0, RC_OBJECT_DIGEST },
        { "no digest", NULL, "abc", 0, RC_DIGEST_MISSING },
    };
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    struct err err;

    (void)state;
    assert_rc(objects_open(s.fd, ROOM, 10, &store, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(close_fd) int fd = memfd_of(bytes_of(rows[i].text));
        struct digest digest = { 0 };
        uint64_t size = strlen(rows[i].text) + (uint64_t)rows[i].more;
        uint64_t bytes = 1;
        uint32_t count = 1;

        if (rows[i].named)
            digest = digest_of(rows[i].named);

        enum rc rc = objects_put(&store, &digest, fd, size, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_rc(objects_usage(&store, &bytes, &count, &err), RC_OK);
        assert_int_equal(bytes + count, 0);
        assert_int_equal(entries_in(s.fd, "partial"), 0);
    }
}

static void test_bounds(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    struct objects untouched = { .dir = -1 };
    struct err err;

    (void)state;
    assert_rc(objects_open(s.fd, 0, 10, &untouched, &err), RC_VALUE);
    assert_rc(objects_open(s.fd, ROOM, 0, &untouched, &err), RC_VALUE);
    assert_int_equal(untouched.dir, -1);

    assert_rc(objects_open(s.fd, 10, 3, &store, &err), RC_OK);
    assert_rc(put(&store, "12345", &err), RC_OK);
    assert_rc(put(&store, "123456", &err), RC_STORE_QUOTA);
    assert_rc(put(&store, "abcde", &err), RC_OK);
    assert_rc(put(&store, "x", &err), RC_STORE_QUOTA);
    assert_rc(put(&store, "12345", &err), RC_OK);

    struct digest five = digest_of("12345");

    assert_rc(objects_remove(&store, &five, &err), RC_OK);
    assert_rc(put(&store, "x", &err), RC_OK);
    assert_rc(put(&store, "y", &err), RC_OK);
    assert_rc(put(&store, "z", &err), RC_STORE_QUOTA);

    struct digest huge = digest_of("huge");
    scoped(close_fd) int fd = memfd_of(bytes_of("huge"));

    store.bytes_max = UINT64_MAX;
    store.count_max = 100;
    assert_rc(objects_put(&store, &huge, fd, UINT64_MAX, &err), RC_TOO_LARGE);
}

/* ---- damage -----------------------------------------------------------------------------------
 */

static void flip(int dir, const char *path)
{
    scoped(close_fd) int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, "X", 1, 1), 1);
}
static void cut(int dir, const char *path)
{
    scoped(close_fd) int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(ftruncate(fd, 1), 0);
}
static void swap_for_link(int dir, const char *path)
{
    put_file(dir, "elsewhere", "victim", 0644);
    assert_int_equal(unlinkat(dir, path, 0), 0);
    assert_int_equal(symlinkat("../../elsewhere", dir, path), 0);
}
static void swap_for_fifo(int dir, const char *path)
{
    assert_int_equal(unlinkat(dir, path, 0), 0);
    assert_int_equal(mkfifoat(dir, path, 0600), 0);
}
static void second_link(int dir, const char *path)
{
    assert_int_equal(linkat(dir, path, dir, "second", 0), 0);
}

static void test_damaged_is_refused_and_removed(void **state)
{
    static const struct {
        const char *why;
        void (*damage)(int dir, const char *path);
        enum rc rc;
    } rows[] = {
        { "flipped", flip, RC_OBJECT_DIGEST },          { "cut", cut, RC_OBJECT_DIGEST },
        { "link", swap_for_link, RC_NOT_REGULAR },      { "fifo", swap_for_fifo, RC_NOT_REGULAR },
        { "second link", second_link, RC_NOT_REGULAR },
    };

    (void)state;
    if (geteuid() != 0)
        skip(); /* objects are read-only files */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(scratch_done) struct scratch s = scratch_new();
        scoped(objects_done) struct objects store = { .dir = -1 };
        struct digest digest = digest_of("victim");
        char path[128];
        uint64_t size = 77;
        int fd = -1;
        struct err err;

        object_path(&digest, path);
        assert_rc(objects_open(s.fd, ROOM, 10, &store, &err), RC_OK);
        assert_rc(put(&store, "victim", &err), RC_OK);
        rows[i].damage(s.fd, path);

        enum rc rc = objects_get(&store, &digest, &fd, &size, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(fd, -1);
        assert_int_equal(size, 77);
        assert_rc(objects_get(&store, &digest, &fd, &size, &err), RC_NOT_FOUND);

        /* damaged again, and this time the link brings it anew */
        assert_rc(put(&store, "victim", &err), RC_OK);
        (void)unlinkat(s.fd, "second", 0);
        rows[i].damage(s.fd, path);
        assert_rc(put(&store, "victim", &err), RC_OK);
        assert_has(&store, "victim");
    }
}

static bool stop_at_first(void *arg, const struct digest *digest, uint64_t size)
{
    size_t *n = arg;

    (void)digest;
    (void)size;
    ++*n;
    return false;
}

static bool count_all(void *arg, const struct digest *digest, uint64_t size)
{
    size_t *n = arg;

    (void)digest;
    *n += (size_t)size;
    return true;
}

static void test_list(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    size_t n = 0;
    struct err err;

    (void)state;
    assert_rc(objects_open(s.fd, ROOM, 10, &store, &err), RC_OK);
    assert_rc(put(&store, "a", &err), RC_OK);
    assert_rc(put(&store, "bb", &err), RC_OK);
    assert_rc(put(&store, "ccc", &err), RC_OK);
    (void)close(make_dir(s.fd, "sha256/zz/x"));
    (void)close(make_dir(s.fd, "sha256/00"));
    put_file(s.fd, "sha256/00/short", "x", 0644);
    put_file(s.fd, "sha256/ff", "not a directory", 0644);
    assert_int_equal(unlinkat(s.fd, "sha256/ff", 0), 0);
    assert_rc(objects_list(&store, count_all, &n, &err), RC_OK);
    assert_int_equal(n, 6);
    n = 0;
    assert_rc(objects_list(&store, stop_at_first, &n, &err), RC_OK);
    assert_int_equal(n, 1);
}

/* One directory of the fan cannot be read: what is in the others is seen, and can be added to. */
static void test_part_unreadable(void **state)
{
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    scoped(objects_done) struct objects again = { .dir = -1 };
    static const char *const texts[] = { "a", "bb", "ccc", "dddd" };
    char path[128], fan[] = "sha256/xx", was[] = "sha256/xx.was";
    size_t n = 0;
    uint64_t bytes = 0;
    uint32_t count = 0;
    struct err err = { 0 };

    (void)state;
    assert_rc(objects_open(s.fd, ROOM, 10, &store, &err), RC_OK);
    for (size_t i = 0; i < 3; i++)
        assert_rc(put(&store, texts[i], &err), RC_OK);
    for (size_t i = 0; i < 3; i++) { /* each of them, whatever order they are in */
        const struct digest digest = digest_of(texts[i]);

        object_path(&digest, path);
        memcpy(fan, path, sizeof fan - 1);
        memcpy(was, path, sizeof fan - 1);
        assert_int_equal(renameat(s.fd, fan, s.fd, was), 0);
        put_file(s.fd, fan, "", 0600);
        n = 0;
        assert_rc(objects_list(&store, count_all, &n, &err), RC_STATE_DIR);
        assert_int_equal(n, 6 - strlen(texts[i]));
        assert_rc(objects_usage(&store, &bytes, &count, &err), RC_OK);
        assert_int_equal(count, 2);
        assert_rc(put(&store, texts[3], &err), RC_OK);
        assert_rc(objects_open(s.fd, ROOM, 10, &again, &err), RC_OK);
        assert_has(&again, texts[3]);
        objects_done(&again);
        const struct digest added = digest_of(texts[3]);
        assert_rc(objects_remove(&store, &added, &err), RC_OK);
        assert_int_equal(unlinkat(s.fd, fan, 0), 0);
        assert_int_equal(renameat(s.fd, was, s.fd, fan), 0);
    }
    n = 0;
    assert_rc(objects_list(&store, count_all, &n, &err), RC_OK);
    assert_int_equal(n, 6);
    /* Without the fan itself it is no store. */
    assert_int_equal(renameat(s.fd, "sha256", s.fd, "sha256.was"), 0);
    put_file(s.fd, "sha256", "", 0600);
    assert_rc(objects_open(s.fd, ROOM, 10, &again, &err), RC_IO);
    assert_int_equal(again.dir, -1);
}

/* Bytes that no two offsets of have in common, and the file of them. */
static int large_file(uint8_t *buf, size_t n, struct digest *ret)
{
    struct err err;

    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)(i * 2654435761U >> 13);
    assert_rc(sha256_of((struct bytes){ buf, n }, ret->b, &err), RC_OK);
    int fd = memfd_create("object", MFD_CLOEXEC);
    assert_rc(fs_write_all(fd, (struct bytes){ buf, n }, &err), RC_OK);
    return fd;
}

static uint32_t steps(struct objects *store, struct objects_intake *intake, enum rc want)
{
    struct err err;
    uint32_t n = 1;
    enum rc rc = RC_OK;

    while ((rc = objects_put_step(store, intake, &err)) == RC_BUSY)
        n++;
    assert_rc(rc, want);
    return n;
}

/* In bounded steps: copied, found there, found damaged and written anew, given up, and refused. */
static void test_put_in_steps(void **state)
{
    enum { SIZE = 3 * OBJECTS_STEP_BYTES + 77 };
    scoped(free_ptr) uint8_t *buf = malloc(SIZE);
    scoped(scratch_done) struct scratch s = scratch_new();
    scoped(objects_done) struct objects store = { .dir = -1 };
    struct objects_intake intake;
    struct digest digest;
    char path[128];
    struct err err;

    (void)state;
    assert_rc(objects_open(s.fd, 8 * ROOM, 10, &store, &err), RC_OK);
    scoped(close_fd) int fd = large_file(buf, SIZE, &digest);
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    assert_rc(objects_put_step(&store, &intake, &err), RC_BUSY);
    assert_int_equal(entries_in(s.fd, "partial"), 1);
    assert_false(objects_has(&store, &digest));
    objects_put_abandon(&store, &intake);
    assert_int_equal(entries_in(s.fd, "partial"), 0);

    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    assert_int_equal(steps(&store, &intake, RC_OK), 4);
    objects_put_abandon(&store, &intake); /* harmless behind the end */
    assert_true(objects_has(&store, &digest));
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    assert_int_equal(steps(&store, &intake, RC_OK), 4); /* read, not copied */

    object_path(&digest, path);
    assert_int_equal(fchmodat(s.fd, path, 0600, 0), 0);
    scoped(close_fd) int stored = openat(s.fd, path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(stored, "x", 1, SIZE - 1), 1);
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    assert_int_equal(steps(&store, &intake, RC_OK), 8);
    scoped(close_fd) int whole = -1;
    uint64_t size = 0;
    assert_rc(objects_get(&store, &digest, &whole, &size, &err), RC_OK);
    assert_true(objects_is(&store, &digest, whole));
    assert_false(objects_is(&store, &digest, stored));

    /* what changes under us, or is another, has no name at the end */
    assert_rc(objects_remove(&store, &digest, &err), RC_OK);
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    assert_rc(objects_put_step(&store, &intake, &err), RC_BUSY);
    assert_int_equal(pwrite(fd, "y", 1, SIZE - 1), 1);
    (void)steps(&store, &intake, RC_OBJECT_DIGEST);
    assert_int_equal(ftruncate(fd, SIZE + 1), 0);
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    (void)steps(&store, &intake, RC_TRAILING);
    assert_int_equal(ftruncate(fd, 10), 0);
    assert_rc(objects_put_begin(&store, &digest, fd, SIZE, &intake, &err), RC_OK);
    (void)steps(&store, &intake, RC_SHORT);
    assert_int_equal(entries_in(s.fd, "partial"), 0);
    assert_false(objects_has(&store, &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_get),  cmocka_unit_test(test_put_refuses),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_damaged_is_refused_and_removed),
        cmocka_unit_test(test_list),         cmocka_unit_test(test_part_unreadable),
        cmocka_unit_test(test_put_in_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
