/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "link/port.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"

static char dir[64];
static struct err err;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-home-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

static bool count_one(void *arg, const char *name)
{
    (void)name;
    ++*(size_t *)arg;
    return true;
}

static size_t count_in(int dirfd, const char *path)
{
    size_t n = 0;

    assert_rc(fs_list(dirfd, path, 1000, count_one, &n, NULL, &err), RC_OK);
    return n;
}

static void opening(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct trust *trust = NULL;
    char path[96], key[64];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/none", dir);
    assert_rc(home_open(path, false, &home, &err), RC_NOT_FOUND);
    assert_rc(home_open(dir, false, &home, &err), RC_NOT_FOUND); /* no store in it */
    assert_int_equal(home.dirfd, -1);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_rc(home_open(dir, true, &home, &err), RC_HOME_OPEN);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    assert_string_equal(home.path, dir);
    assert_rc(home_trust(&home, 1, &trust, &err), RC_TRUST_MISSING);
    assert_null(trust);
    assert_rc(home_operator_key(&home, key, sizeof key, &err), RC_KEY_FILE);
}

static void objects_are_named_by_their_digest(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int in = -1, out = -1;
    char a_path[HOME_OBJECT_CAP], b_path[HOME_OBJECT_CAP];
    struct digest a, b;
    uint64_t size = 0;
    uint8_t got[8];

    (void)state;
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    assert_rc(home_add_bytes(&home, bytes_of("abc"), &a, a_path, &err), RC_OK);
    assert_string_equal(a_path, "objects/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f2"
                                "0015ad"); /* FIPS 180-4 */
    assert_rc(home_open_object(&home, &a, &in, &size, &err), RC_OK);
    assert_int_equal(size, 3);
    assert_rc(home_add_file(&home, in, 3, &b, b_path, &err), RC_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_string_equal(a_path, b_path);
    assert_rc(home_add_file(&home, in, 4, &b, b_path, &err), RC_SHORT);
    assert_rc(home_open_object(&home, &a, &out, &size, &err), RC_OK);
    assert_int_equal(read(out, got, sizeof got), 3);
    assert_memory_equal(got, "abc", 3);
    a.b[0] ^= 1;
    assert_rc(home_open_object(&home, &a, &out, &size, &err), RC_NOT_FOUND);
}

static void queued_bytes_get_their_class(void **state)
{
    static const struct {
        unsigned kind;
        enum outgoing_class class;
    } rows[] = { { OBJECT_ROOT, CLASS_TRUST },
                 { OBJECT_GRANT, CLASS_TRUST },
                 { OBJECT_ORDER, CLASS_ORDER },
                 { OBJECT_PACKAGE, CLASS_PACKAGE } };
    struct store_satellite sat = { .id = "sat-1", .node = 101 };
    scoped(home_close) struct home home = HOME_NONE;

    (void)state;
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    assert_rc(home_queue_bytes(&home, "sat-1", OBJECT_ORDER, bytes_of("x"), false, 1, &err),
              RC_EXISTS); /* foreign key: no such satellite */
    assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(free_ptr) struct store_outgoing *got = NULL;
        char text[8];
        size_t n = 0;

        (void)snprintf(text, sizeof text, "%zu", i);
        assert_rc(home_queue_bytes(&home, "sat-1", rows[i].kind, bytes_of(text), false, 1, &err),
                  RC_OK);
        assert_rc(store_outgoing(home.store, "sat-1", OUTGOING_QUEUED, &got, &n, &err), RC_OK);
        assert_int_equal(n, i + 1);
        assert_int_equal(got[n - 1].class, rows[i].class);
    }
}

/* What a push that was killed has put there goes with the next one, unless something names it. */
static void pushes_that_were_cut_off(void **state)
{
    static const char *const left[] = { "nobody's", "queued", "another's" };
    struct store_satellite sat = { .id = "sat-1", .node = 101 };
    struct store_outgoing row = { .satellite = "sat-1", .kind = OBJECT_PACKAGE, .size = 6 };
    scoped(home_close) struct home home = HOME_NONE;
    struct digest object[3], next;

    (void)state;
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    for (size_t i = 0; i < 3; i++) {
        char path[HOME_OBJECT_CAP], note[HOME_OBJECT_CAP], hex[2 * DIGEST_SIZE + 1];

        assert_rc(home_add_bytes(&home, bytes_of(left[i]), &object[i], path, &err), RC_OK);
        (void)snprintf(note, sizeof note, "objects/.push-%s",
                       bytes_hex((struct bytes){ object[i].b, DIGEST_SIZE }, hex));
        assert_rc(fs_write_file(home.dirfd, note, (struct bytes){ 0 }, 0600, &err), RC_OK);
    }
    assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    row.object = object[1];
    row.class = CLASS_PACKAGE;
    assert_rc(store_queue(home.store, &row, false, &err), RC_OK);
    for (int i = 0; i < 2; i++) { /* the second finds the notes gone */
        const char *text = i == 0 ? "another's" : "the next";
        char path[HOME_OBJECT_CAP];
        scoped(close_fd) int fd = memfd_create("next", MFD_CLOEXEC);

        assert_rc(fs_write_all(fd, bytes_of(text), &err), RC_OK);
        assert_rc(home_add_file(&home, fd, strlen(text), &next, path, &err), RC_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;

        assert_rc(home_open_object(&home, &object[i], &fd, &size, &err),
                  i == 0 ? RC_NOT_FOUND : RC_OK);
    }
    assert_int_equal(count_in(home.dirfd, "objects"), 3);
}

static void documents_go_to_every_satellite(void **state)
{
    static const struct {
        enum doc_type type;
        unsigned kind;
    } rows[] = { { DOC_ROOT, OBJECT_ROOT },
                 { DOC_GRANT, OBJECT_GRANT },
                 { DOC_REVOCATION, OBJECT_REVOCATION },
                 { DOC_DELEGATION, OBJECT_DELEGATION } };
    scoped(home_close) struct home home = HOME_NONE;
    size_t sats = 99, n = 0;

    (void)state;
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct store_satellite sat = { .node = 101 + i };

        (void)snprintf(sat.id, sizeof sat.id, "sat-%u", i + 1);
        assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct home_document doc = {
            .type = rows[i].type, .name = "x", .version = 1, .envelope = bytes_of("document-0")
        };
        scoped(free_ptr) struct store_outgoing *got = NULL;
        scoped(free_ptr) uint8_t *held = NULL;
        char text[16];

        (void)snprintf(text, sizeof text, "document-%zu", i);
        doc.envelope = bytes_of(text);
        assert_rc(home_publish(&home, &doc, 5, &sats, &err), RC_OK);
        assert_int_equal(sats, 2);
        assert_rc(store_outgoing(home.store, "sat-2", OUTGOING_QUEUED, &got, &n, &err), RC_OK);
        assert_int_equal(n, i + 1);
        assert_int_equal(got[i].kind, rows[i].kind);
        assert_int_equal(got[i].class, CLASS_TRUST);
        assert_rc(store_document(home.store, rows[i].type, "x", &held, &n, &err), RC_OK);
        assert_true(bytes_equal((struct bytes){ held, n }, doc.envelope));
    }
}

/* Nothing is kept that was not queued, and nothing queued that was not kept. */
static void publishing_is_all_or_nothing(void **state)
{
    struct home_document doc = {
        .type = DOC_GRANT, .name = "acme", .version = 3, .envelope = bytes_of("three")
    };
    struct store_satellite sat = { .id = "sat-1", .node = 101 };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_outgoing *got = NULL;
    scoped(free_ptr) uint8_t *held = NULL;
    size_t sats = 99, n = 0;

    (void)state;
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    assert_rc(home_publish(&home, &doc, 5, &sats, &err), RC_OK);
    doc.envelope = bytes_of("another three");
    assert_rc(home_publish(&home, &doc, 6, &sats, &err), RC_EQUIVOCATION);
    doc.type = DOC_ORDER;
    assert_rc(home_publish(&home, &doc, 6, &sats, &err), RC_DOC_TYPE);
    doc.type = DOC_GRANT;
    doc.version = 4;
    {
        scoped(store_rollback) struct store *open = NULL;

        assert_rc(store_begin(home.store, &open, &err), RC_OK);
        assert_rc(home_publish(&home, &doc, 7, &sats, &err), RC_OK);
    } /* the caller did not commit */
    assert_rc(store_document(home.store, DOC_GRANT, "acme", &held, &n, &err), RC_OK);
    assert_true(bytes_equal((struct bytes){ held, n }, bytes_of("three")));
    assert_rc(store_outgoing(home.store, NULL, OUTGOING_QUEUED, &got, &n, &err), RC_OK);
    assert_int_equal(n, 1);
}

static void paths(void **state)
{
    static const struct {
        const char *path, *suffix, *other, *out;
    } rows[] = {
        { "a/cam-1.unsigned", ".unsigned", ".berth", "a/cam-1.berth" },
        { "cam", ".unsigned", ".berth", "cam.berth" },
        { ".key", ".key", ".pub", ".key.pub" },
    };
    static const char *const bad[] = { "", ".", "..", "a/", "/tmp/..", "/" };
    scoped(close_fd) int fd = -1;
    char out[64], name[PATH_NAME_CAP], deep[128];
    uint64_t size;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_rc(
            path_with_suffix(rows[i].path, rows[i].suffix, rows[i].other, out, sizeof out, &err),
            RC_OK);
        assert_string_equal(out, rows[i].out);
    }
    assert_rc(path_with_suffix("long", ".a", ".b", out, 4, &err), RC_TOO_LARGE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(path_open_parent(bad[i], &fd, name, &err), RC_NAME);
    assert_rc(path_open_parent("/tmp/x", &fd, name, &err), RC_OK);
    assert_string_equal(name, "x");
    assert_rc(path_open_file(dir, 10, &fd, &size, &err), RC_NOT_REGULAR);
    close_fd(&fd);
    (void)snprintf(deep, sizeof deep, "%s/a/b/c", dir);
    assert_rc(path_open_dir(deep, false, &fd, &err), RC_NOT_FOUND);
    assert_rc(path_open_dir(deep, true, &fd, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_are_named_by_their_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(pushes_that_were_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(queued_bytes_get_their_class, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_go_to_every_satellite, setup, teardown),
        cmocka_unit_test_setup_teardown(publishing_is_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(paths, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
