/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "tests/unit/documents.h"
#include "update/keyfile.h"

static char dir[] = "/tmp/berth-test-keyfile-XXXXXX";
static int dirfd_ = -1;

static struct bytes pass(void)
{
    return bytes_of("correct horse");
}

static int setup(void **state)
{
    (void)state;
    struct err err;

    if (!mkdtemp(dir))
        return -1;
    dirfd_ = open(dir, O_DIRECTORY | O_CLOEXEC);
    if (dirfd_ < 0)
        return -1;
    return keyfile_save(dirfd_, "acme", KEY_ROLE_TENANT, doc_key(K_ACME), pass(), &err) == RC_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = { "acme.key", "acme.pub", "b.pub",   "bad.key",
                                         "bad.pub",  "half.key", "half.pub" };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        (void)unlinkat(dirfd_, files[i], 0);
    (void)rmdir(dir);
    close_fd(&dirfd_);
    doc_keys_free();
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    scoped(sign_key_free) struct sign_key *key = NULL;
    enum key_role role = 0;
    struct public_key public;
    struct stat st;

    assert_rc(keyfile_load(dirfd_, "acme.key", pass(), &role, &key, NULL), RC_OK);
    assert_int_equal(role, KEY_ROLE_TENANT);
    assert_memory_equal(sign_key_public(key), sign_key_public(doc_key(K_ACME)),
                        sizeof(struct public_key));
    role = 0;
    assert_rc(keyfile_load_public(dirfd_, "acme.pub", &role, &public, NULL), RC_OK);
    assert_int_equal(role, KEY_ROLE_TENANT);
    assert_memory_equal(&public, sign_key_public(key), sizeof public);
    assert_int_equal(fstatat(dirfd_, "acme.key", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(dirfd_, "acme.pub", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
}

/* The seeds are not in the file as they are. */
static void test_secrets_are_not_in_clear(void **state)
{
    (void)state;
    uint8_t buf[8192], seed[16];
    size_t n = 0;

    memset(seed, 0x40 + (int)K_ACME, sizeof seed); /* how documents.h makes it */
    assert_rc(fs_read_file(dirfd_, "acme.key", buf, sizeof buf, &n, NULL), RC_OK);
    assert_null(memmem(buf, n, seed, sizeof seed));
}

static void test_never_overwrites(void **state)
{
    (void)state;
    struct stat st;
    scoped(close_fd) int fd = -1;

    assert_rc(keyfile_save(dirfd_, "acme", KEY_ROLE_ROOT, doc_key(K_ZENITH), pass(), NULL),
              RC_EXISTS);
    fd = openat(dirfd_, "b.pub", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_rc(keyfile_save(dirfd_, "b", KEY_ROLE_ROOT, doc_key(K_ZENITH), pass(), NULL), RC_EXISTS);
    assert_int_equal(fstatat(dirfd_, "b.key", &st, 0), -1);
    assert_rc(keyfile_save(dirfd_, "../x", KEY_ROLE_ROOT, doc_key(K_ZENITH), pass(), NULL),
              RC_NAME);
    assert_rc(keyfile_save(dirfd_, "c", KEY_ROLE_ROOT, doc_key(K_ZENITH), bytes_of(""), NULL),
              RC_KEY_FILE);
    assert_int_equal(fstatat(dirfd_, "c.key", &st, 0), -1);
    assert_int_equal(fstatat(dirfd_, "c.pub", &st, 0), -1);
}

/* The public half cannot be written: nothing is left, and the next try succeeds. */
static void test_both_or_none(void **state)
{
    (void)state;
    struct err err;
    struct stat st;

    assert_int_equal(mkdirat(dirfd_, ".half.pub.new", 0700), 0);
    assert_int_not_equal(
        keyfile_save(dirfd_, "half", KEY_ROLE_TENANT, doc_key(K_ACME), pass(), &err), RC_OK);
    assert_int_equal(fstatat(dirfd_, "half.key", &st, 0), -1);
    assert_int_equal(unlinkat(dirfd_, ".half.pub.new", AT_REMOVEDIR), 0);
    assert_rc(keyfile_save(dirfd_, "half", KEY_ROLE_TENANT, doc_key(K_ACME), pass(), &err), RC_OK);
}

static void test_wrong_passphrase(void **state)
{
    (void)state;
    struct sign_key *key = NULL;
    enum key_role role = KEY_ROLE_ROOT;

    assert_rc(keyfile_load(dirfd_, "acme.key", bytes_of("wrong"), &role, &key, NULL), RC_KEY_FILE);
    assert_rc(keyfile_load(dirfd_, "acme.key", bytes_of(""), &role, &key, NULL), RC_KEY_FILE);
    assert_rc(keyfile_load(dirfd_, "missing.key", pass(), &role, &key, NULL), RC_KEY_FILE);
    assert_rc(keyfile_load(dirfd_, "acme.pub", pass(), &role, &key, NULL), RC_KEY_FILE);
    assert_null(key);
    assert_int_equal(role, KEY_ROLE_ROOT);
}

static void test_mode_of_the_file(void **state)
{
    (void)state;
    static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666 };
    struct sign_key *key = NULL;

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(fchmodat(dirfd_, "acme.key", modes[i], 0), 0);
        assert_rc(keyfile_load(dirfd_, "acme.key", pass(), NULL, &key, NULL), RC_KEY_FILE);
    }
    assert_null(key);
    assert_int_equal(fchmodat(dirfd_, "acme.key", 0400, 0), 0);
    assert_rc(keyfile_load(dirfd_, "acme.key", pass(), NULL, &key, NULL), RC_OK);
    sign_key_free(&key);
    assert_int_equal(fchmodat(dirfd_, "acme.key", 0600, 0), 0);
}

static void write_bad(const char *name, struct bytes content)
{
    assert_rc(fs_write_file(dirfd_, name, content, 0600, NULL), RC_OK);
}

static void test_damage(void **state)
{
    (void)state;
    uint8_t buf[8192];
    size_t n = 0;
    struct sign_key *key = NULL;

    assert_rc(fs_read_file(dirfd_, "acme.key", buf, sizeof buf, &n, NULL), RC_OK);
    for (size_t cut = 0; cut < n; cut += 311) {
        write_bad("bad.key", (struct bytes){ buf, cut });
        assert_rc(keyfile_load(dirfd_, "bad.key", pass(), NULL, &key, NULL), RC_KEY_FILE);
    }
    /* Of every part a bit: word, format, role, public halves, salt, nonce, box. */
    for (size_t at = 0; at < n; at += at < 24 || at + 140 > n ? 13 : 500) {
        buf[at] ^= 1;
        write_bad("bad.key", (struct bytes){ buf, n });
        assert_rc(keyfile_load(dirfd_, "bad.key", pass(), NULL, &key, NULL), RC_KEY_FILE);
        buf[at] ^= 1;
    }
    buf[n] = 0;
    write_bad("bad.key", (struct bytes){ buf, n + 1 });
    assert_rc(keyfile_load(dirfd_, "bad.key", pass(), NULL, &key, NULL), RC_KEY_FILE);
    assert_null(key);
}

static void test_damaged_public_file(void **state)
{
    (void)state;
    uint8_t buf[8192];
    size_t n = 0;
    struct public_key key, before;

    memset(&key, 0x5a, sizeof key);
    before = key;
    assert_rc(fs_read_file(dirfd_, "acme.pub", buf, sizeof buf, &n, NULL), RC_OK);
    for (size_t cut = 0; cut < n; cut += 97) {
        write_bad("bad.pub", (struct bytes){ buf, cut });
        assert_rc(keyfile_load_public(dirfd_, "bad.pub", NULL, &key, NULL), RC_KEY_FILE);
    }
    buf[1] ^= 1; /* the word in front */
    write_bad("bad.pub", (struct bytes){ buf, n });
    assert_rc(keyfile_load_public(dirfd_, "bad.pub", NULL, &key, NULL), RC_KEY_FILE);
    assert_rc(keyfile_load_public(dirfd_, "acme.key", NULL, &key, NULL), RC_KEY_FILE);
    assert_memory_equal(&key, &before, sizeof key);
}

static void test_roles(void **state)
{
    (void)state;
    enum key_role role = 0;

    for (unsigned r = KEY_ROLE_ROOT; r <= KEY_ROLE_TENANT; r++) {
        assert_true(key_role_parse(key_role_name((enum key_role)r), &role));
        assert_int_equal(role, r);
    }
    assert_false(key_role_parse("admin", &role));
    assert_false(key_role_parse("", &role));
    assert_int_equal(role, KEY_ROLE_TENANT);
    assert_string_equal(key_role_name(0), "?");
    assert_string_equal(key_role_name((enum key_role)9), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_secrets_are_not_in_clear),
        cmocka_unit_test(test_never_overwrites),
        cmocka_unit_test(test_wrong_passphrase),
        cmocka_unit_test(test_both_or_none),
        cmocka_unit_test(test_mode_of_the_file),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_damaged_public_file),
        cmocka_unit_test(test_roles),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
