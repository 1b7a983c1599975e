/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ground keeps, under every fault: packages and documents in the home's objects/, and what
 * rekeys are made of.
 */
#include "tests/unit/fault_table.h"

#include "orchestrator/home.h"
#include "orchestrator/rekeys.h"

#define DOCUMENT "a document, which is not long"
#define DAMAGED "a document, which is damaged!"
#define PACKAGE "a package, as berth push keeps it"

static struct home home_of(const struct fault_world *w)
{
    return (struct home){ .dirfd = w->dir.fd };
}

static void object_path(const char *text, char out[HOME_OBJECT_CAP])
{
    struct digest digest;
    struct err err;
    char hex[2 * DIGEST_SIZE + 1];

    assert_rc(sha256_of(bytes_of(text), digest.b, &err), RC_OK);
    (void)snprintf(out, HOME_OBJECT_CAP, "objects/%s",
                   bytes_hex((struct bytes){ digest.b, DIGEST_SIZE }, hex));
}

static enum rc put(struct fault_world *w, const char *text, struct err *err)
{
    const struct home home = home_of(w);
    scoped(close_fd) int fd = memfd_of(bytes_of(text));
    struct digest digest;
    char path[HOME_OBJECT_CAP];

    return home_add_file(&home, fd, strlen(text), &digest, path, err);
}

static enum rc package_put(struct fault_world *w, struct err *err)
{
    return put(w, PACKAGE, err);
}

static enum rc document_put(struct fault_world *w, struct err *err)
{
    const struct home home = home_of(w);
    struct digest digest;
    char path[HOME_OBJECT_CAP];

    return home_add_bytes(&home, bytes_of(DOCUMENT), &digest, path, err);
}

static void home_before(struct fault_world *w)
{
    struct err err;

    (void)close(make_dir(w->dir.fd, "objects"));
    assert_rc(put(w, "another package", &err), RC_OK);
}

/* What an earlier push and an earlier document left that were killed. */
static void home_before_cut(struct fault_world *w)
{
    home_before(w);
    put_file(w->dir.fd, "objects/.draft-1", "half a package", 0600);
    put_file(w->dir.fd, "objects/.0a.0123456789abcdef", "half a document", 0600);
}

static void home_before_damaged(struct fault_world *w)
{
    char path[HOME_OBJECT_CAP];

    home_before(w);
    object_path(DOCUMENT, path);
    put_file(w->dir.fd, path, DAMAGED, 0600);
}

static bool holds(struct fault_world *w, const char *text)
{
    char path[HOME_OBJECT_CAP];
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    object_path(text, path);
    enum rc rc = fs_read_file(w->dir.fd, path, buf, sizeof buf, &n, &err);
    assert_true(rc == RC_OK || rc == RC_NOT_FOUND);
    return rc == RC_OK && n == strlen(text) && memcmp(buf, text, n) == 0;
}

/* The next push of anything, here of what is there already, removes what cuts have left. */
static void push_another(struct fault_world *w)
{
    struct err err;

    assert_rc(put(w, "another package", &err), RC_OK);
    assert_true(holds(w, "another package"));
}

/* Whole under its name, or not there. */
static bool is_there(struct fault_world *w, const char *text)
{
    size_t n = 0;

    push_another(w);
    n = entries_in(w->dir.fd, "objects");
    assert_true(n == 1 || n == 2);
    assert_true(holds(w, text) == (n == 2));
    return n == 2;
}

static bool package_is_there(struct fault_world *w)
{
    return is_there(w, PACKAGE);
}

static bool document_is_there(struct fault_world *w)
{
    return is_there(w, DOCUMENT);
}

/* One that the disk has damaged stays as it was, or is whole again. */
static bool document_is_whole(struct fault_world *w)
{
    push_another(w);
    assert_int_equal(entries_in(w->dir.fd, "objects"), 2);
    return holds(w, DOCUMENT);
}

/* ---- berth push: the object and its row -------------------------------------------------------
 */

#define PUSHED "home"

static struct home pushing = HOME_NONE;

static void open_home(const struct fault_world *w, struct home *ret)
{
    char path[128];
    struct err err;

    (void)snprintf(path, sizeof path, "%s/" PUSHED, w->dir.path);
    assert_rc(home_open(path, true, ret, &err), RC_OK);
}

static enum rc push(const struct home *home, const char *text, struct err *err)
{
    scoped(close_fd) int fd = memfd_of(bytes_of(text));
    struct store_package row = { .tenant = "acme", .name = "cam", .size = strlen(text) };

    (void)snprintf(row.version, sizeof row.version, "%zu", strlen(text));
    memcpy(row.manifest.b, text, strlen(text) < DIGEST_SIZE ? strlen(text) : DIGEST_SIZE);
    return home_add_package(home, fd, &row, 1, err);
}

static void push_before(struct fault_world *w)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err err;

    open_home(w, &home);
    assert_rc(push(&home, "another package", &err), RC_OK);
}

static enum rc push_begin(struct fault_world *w, struct err *err)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/" PUSHED, w->dir.path);
    return home_open(path, false, &pushing, err);
}

static enum rc push_one(struct fault_world *w, struct err *err)
{
    (void)w;
    return push(&pushing, PACKAGE, err);
}

static void push_end(struct fault_world *w)
{
    (void)w;
    home_close(&pushing);
    pushing = (struct home)HOME_NONE;
}

/* Behind the next push: the package is there and the store names it, or neither. */
static bool push_is_done(struct fault_world *w)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_package *rows = NULL;
    size_t n = 0;
    struct err err;

    open_home(w, &home);
    assert_rc(push(&home, "another package", &err), RC_OK);
    assert_rc(store_packages(home.store, &rows, &n, &err), RC_OK);
    assert_int_equal(entries_in(home.dirfd, "objects"), n);
    for (size_t i = 0; i < n; i++) {
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;

        assert_rc(home_open_object(&home, &rows[i].object, &fd, &size, &err), RC_OK);
        assert_int_equal(size, rows[i].size);
    }
    assert_true(n == 1 || n == 2);
    return n == 2;
}

/* ---- what is kept to make rekeys --------------------------------------------------------------
 */

static enum rc rekeys_put(struct fault_world *w, uint64_t number, struct err *err)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { .number = number, .n_masters = 1 };

    rekeys.master[0].epoch = (uint32_t)number;
    return rekeys_save(w->dir.fd, &rekeys, err);
}

static void rekeys_before(struct fault_world *w)
{
    scoped(close_fd) int lock = -1;
    struct err err;

    assert_rc(rekeys_lock(w->dir.fd, &lock, &err), RC_OK);
    assert_rc(rekeys_put(w, 1, &err), RC_OK);
}

static enum rc rekeys_next(struct fault_world *w, struct err *err)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { 0 };
    scoped(close_fd) int lock = -1;
    enum rc rc = rekeys_lock(w->dir.fd, &lock, err);

    if (rc == RC_OK)
        rc = rekeys_load(w->dir.fd, &rekeys, err);
    if (rc == RC_OK && rekeys.number != 1 && rekeys.number != 2)
        rc = err_set(err, RC_INTERNAL, "number %u", (unsigned)rekeys.number);
    return rc == RC_OK ? rekeys_put(w, 2, err) : rc;
}

/* The number never goes back behind a master key that may have left. */
static bool rekeys_are_new(struct fault_world *w)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { 0 };
    scoped(close_fd) int lock = -1;
    struct err err;

    assert_rc(rekeys_lock(w->dir.fd, &lock, &err), RC_OK);
    assert_rc(rekeys_load(w->dir.fd, &rekeys, &err), RC_OK);
    assert_true(rekeys.number == 1 || rekeys.number == 2);
    assert_int_equal(rekeys.n_masters, 1);
    assert_int_equal(rekeys.master[0].epoch, rekeys.number);
    return rekeys.number == 2;
}

/* The store's journals come and go as they like. */
static const char *const pushed[] = { PUSHED, NULL };

/* clang-format off */
static const struct fault_row rows[] = {
    { .name = "package put into the home", .before = home_before, .run = package_put,
      .is_new = package_is_there, .one_way = true, .calls_min = 5 },
    { .name = "package put, behind a cut", .before = home_before_cut, .run = package_put,
      .is_new = package_is_there, .one_way = true, .calls_min = 7 },
    { .name = "document put into the home", .before = home_before, .run = document_put,
      .is_new = document_is_there, .one_way = true, .calls_min = 6 },
    { .name = "document put over a damaged one", .before = home_before_damaged,
      .run = document_put, .is_new = document_is_whole, .one_way = true, .calls_min = 6 },
    { .name = "package pushed, with its row", .before = push_before, .open = push_begin,
      .run = push_one, .close = push_end, .is_new = push_is_done, .also = RC_STORE,
      .under_way = PUSHED, .passing = pushed, .one_way = true, .thin = true, .calls_min = 12 },
    { .name = "rekeys of a satellite saved", .before = rekeys_before, .run = rekeys_next,
      .is_new = rekeys_are_new, .one_way = true, .calls_min = 12 },
};
/* clang-format on */

static void test_every_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fault_row_run(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_fault) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
