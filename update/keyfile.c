/* SPDX-License-Identifier: Apache-2.0 */
#include "update/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "manifest/wire.h"

/* Both files are CBOR arrays that begin with a word that says which, and the format:
 *     NAME.pub  ["berth-public-key", 1, role, key]
 *     NAME.key  ["berth-key", 1, role, key, salt, nonce, box]
 * The encryption of the box covers the array of the .pub file with the same role and key. */
#define PUBLIC_WORD "berth-public-key"
#define PRIVATE_WORD "berth-key"
#define KEYFILE_FORMAT 1U
#define KEYFILE_MAX 4096U

static_assert(PUBLIC_KEY_MAX + sizeof(struct sign_sealed) + 256U < KEYFILE_MAX, "fits a key file");
#define FILE_NAME_CAP 256U

static const char *const role_names[] = {
    [KEY_ROLE_ROOT] = "root",
    [KEY_ROLE_OPERATOR] = "operator",
    [KEY_ROLE_TENANT] = "tenant",
};

#define ROLES (sizeof role_names / sizeof role_names[0])

const char *key_role_name(enum key_role role)
{
    return (unsigned)role < ROLES && role_names[role] ? role_names[role] : "?";
}

bool key_role_parse(const char *text, enum key_role *ret)
{
    for (size_t i = 1; i < ROLES; i++) {
        if (strcmp(text, role_names[i]) == 0) {
            *ret = (enum key_role)i;
            return true;
        }
    }
    return false;
}

/* ---- writing ---- */

static enum rc encode_public(enum key_role role, const struct public_key *key, uint8_t *buf,
                             size_t cap, struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 4);
    cbor_put_text(&w, PUBLIC_WORD);
    cbor_put_uint(&w, KEYFILE_FORMAT);
    cbor_put_uint(&w, role);
    wire_put_public_key(&w, key);
    return cbor_written(&w, ret, err);
}

static enum rc encode_private(enum key_role role, const struct public_key *key,
                              const struct sign_sealed *sealed, uint8_t *buf, size_t cap,
                              struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 7);
    cbor_put_text(&w, PRIVATE_WORD);
    cbor_put_uint(&w, KEYFILE_FORMAT);
    cbor_put_uint(&w, role);
    wire_put_public_key(&w, key);
    cbor_put_bstr(&w, (struct bytes){ sealed->salt, sizeof sealed->salt });
    cbor_put_bstr(&w, (struct bytes){ sealed->nonce, sizeof sealed->nonce });
    cbor_put_bstr(&w, (struct bytes){ sealed->box, sign_box_size(key->suite) });
    return cbor_written(&w, ret, err);
}

/* Written beside and renamed without replacing, so that two writers cannot both win. */
static enum rc write_new(int dirfd, const char *name, const char *suffix, struct bytes content,
                         mode_t mode, struct err *err)
{
    char path[FILE_NAME_CAP];
    char tmp[FILE_NAME_CAP];

    (void)snprintf(path, sizeof path, "%s.%s", name, suffix);
    (void)snprintf(tmp, sizeof tmp, ".%s.%s.new", name, suffix);

    enum rc rc = fs_write_file(dirfd, tmp, content, mode, err);
    if (rc == RC_OK)
        rc = fs_rename(dirfd, tmp, dirfd, path, true, err);
    /* The first failure is the one to tell. */
    if (rc != RC_OK) {
        enum rc ignored = fs_unlink(dirfd, tmp, NULL);
        (void)ignored;
    }
    return rc;
}

/* So that the second file does not turn out to exist after the first has been written. */
static enum rc check_absent(int dirfd, const char *name, const char *suffix, struct err *err)
{
    char path[FILE_NAME_CAP];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s.%s", name, suffix);
    if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, RC_EXISTS, "%s", path);
    return errno == ENOENT ? RC_OK : err_sys(err, RC_IO, "%s", path);
}

/* Only for one that was written a moment ago. */
static void remove_private(int dirfd, const char *name)
{
    char path[FILE_NAME_CAP];

    (void)snprintf(path, sizeof path, "%s.key", name);
    enum rc ignored = fs_unlink(dirfd, path, NULL);
    (void)ignored;
}

enum rc keyfile_save(int dirfd, const char *name, enum key_role role, const struct sign_key *key,
                     struct bytes passphrase, struct err *err)
{
    uint8_t public_buf[KEYFILE_MAX];
    uint8_t private_buf[KEYFILE_MAX];
    struct sign_sealed sealed;
    struct bytes public_bytes = { 0 }, private_bytes = { 0 };

    if (!name_valid(name))
        return err_set(err, RC_NAME, "key name %s", name);

    enum rc rc = check_absent(dirfd, name, "key", err);
    if (rc == RC_OK)
        rc = check_absent(dirfd, name, "pub", err);
    if (rc == RC_OK)
        rc = encode_public(role, sign_key_public(key), public_buf, sizeof public_buf, &public_bytes,
                           err);
    if (rc == RC_OK)
        rc = sign_key_seal(key, passphrase, public_bytes, &sealed, err);
    if (rc == RC_OK)
        rc = encode_private(role, sign_key_public(key), &sealed, private_buf, sizeof private_buf,
                            &private_bytes, err);
    if (rc == RC_OK)
        rc = write_new(dirfd, name, "key", private_bytes, 0600, err);
    if (rc != RC_OK)
        return rc;
    rc = write_new(dirfd, name, "pub", public_bytes, 0644, err);
    /* A private key without its public half is of no use, and would stand in the way of the next
     * try. */
    if (rc != RC_OK)
        remove_private(dirfd, name);
    return rc;
}

enum rc keyfile_save_public(int dirfd, const char *name, enum key_role role,
                            const struct public_key *key, struct err *err)
{
    uint8_t buf[KEYFILE_MAX];
    struct bytes content = { 0 };

    if (!name_valid(name))
        return err_set(err, RC_NAME, "key name %s", name);

    enum rc rc = check_absent(dirfd, name, "key", err);
    if (rc == RC_OK)
        rc = check_absent(dirfd, name, "pub", err);
    if (rc == RC_OK)
        rc = encode_public(role, key, buf, sizeof buf, &content, err);
    return rc == RC_OK ? write_new(dirfd, name, "pub", content, 0644, err) : rc;
}

/* ---- reading ---- */

static void read_head(struct cbor_in *r, const char *word, enum key_role *ret_role,
                      struct public_key *ret)
{
    char got[32];

    cbor_text(r, "key file", got, sizeof got);
    if (strcmp(got, word) != 0)
        cbor_fail(r, RC_KEY_FILE, "not this kind of key file");
    if (cbor_uint(r, "format", UINT32_MAX) != KEYFILE_FORMAT)
        cbor_fail(r, RC_KEY_FILE, "format");
    *ret_role = (enum key_role)cbor_uint(r, "role", ROLES - 1);
    if (*ret_role == 0)
        cbor_fail(r, RC_KEY_FILE, "role");
    wire_public_key(r, ret);
}

static enum rc decode_public(struct bytes in, enum key_role *ret_role, struct public_key *ret,
                             struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "key file", 4, 4);
    read_head(&r, PUBLIC_WORD, ret_role, ret);
    cbor_end(&r);
    return cbor_done(&r, err);
}

static enum rc decode_private(struct bytes in, enum key_role *ret_role, struct public_key *ret,
                              struct sign_sealed *ret_sealed, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "key file", 7, 7);
    read_head(&r, PRIVATE_WORD, ret_role, ret);
    cbor_fixed(&r, "salt", ret_sealed->salt, sizeof ret_sealed->salt);
    cbor_fixed(&r, "nonce", ret_sealed->nonce, sizeof ret_sealed->nonce);
    if (r.rc == RC_OK) /* the key has been read, and so its suite is one that is known */
        cbor_fixed(&r, "box", ret_sealed->box, sign_box_size(ret->suite));
    cbor_end(&r);
    return cbor_done(&r, err);
}

/* A private key that others can read is no longer private: it is refused, not repaired. */
static enum rc read_private(int dirfd, const char *file, uint8_t *buf, size_t *ret_n,
                            struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct stat st;

    enum rc rc = fs_open_plain(dirfd, file, KEYFILE_MAX, &fd, &size, err);
    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) < 0)
        return err_sys(err, RC_IO, "%s", file);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, RC_KEY_FILE, "%s: open to group or others", file);
    rc = fs_pread_exact(fd, buf, (size_t)size, 0, err);
    if (rc == RC_OK)
        *ret_n = (size_t)size;
    return rc;
}

/* One code for whatever is wrong with a key file, and the reason in words. */
static enum rc key_file_error(enum rc rc, const char *file, struct err *err)
{
    if (rc == RC_OK || rc == RC_KEY_FILE || rc == RC_NO_MEMORY || rc == RC_CRYPTO)
        return rc;
    return err_set(err, RC_KEY_FILE, "%s: %s", file, rc_text(rc));
}

/* The key, if it is the one that the file lists. */
static enum rc open_sealed(struct bytes content, struct bytes passphrase, enum key_role *ret_role,
                           struct sign_key **ret, struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;
    uint8_t public_buf[KEYFILE_MAX];
    struct public_key listed;
    struct sign_sealed sealed;
    struct bytes ad;

    enum rc rc = decode_private(content, ret_role, &listed, &sealed, err);
    if (rc == RC_OK)
        rc = encode_public(*ret_role, &listed, public_buf, sizeof public_buf, &ad, err);
    if (rc == RC_OK)
        rc = sign_key_open(listed.suite, &sealed, passphrase, ad, &key, err);
    if (rc != RC_OK)
        return rc;
    if (memcmp(sign_key_public(key)->id, listed.id, sizeof listed.id) != 0)
        return err_set(err, RC_KEY_FILE, "public halves do not match");
    *ret = key;
    key = NULL;
    return RC_OK;
}

enum rc keyfile_load(int dirfd, const char *file, struct bytes passphrase, enum key_role *ret_role,
                     struct sign_key **ret, struct err *err)
{
    uint8_t buf[KEYFILE_MAX];
    enum key_role role = 0;
    size_t n = 0;

    enum rc rc = read_private(dirfd, file, buf, &n, err);
    if (rc == RC_OK)
        rc = open_sealed((struct bytes){ buf, n }, passphrase, &role, ret, err);
    if (rc != RC_OK)
        return key_file_error(rc, file, err);
    if (ret_role)
        *ret_role = role;
    return RC_OK;
}

enum rc keyfile_load_public(int dirfd, const char *file, enum key_role *ret_role,
                            struct public_key *ret, struct err *err)
{
    uint8_t buf[KEYFILE_MAX];
    struct public_key key;
    enum key_role role = 0;
    size_t n = 0;

    enum rc rc = fs_read_file(dirfd, file, buf, sizeof buf, &n, err);
    if (rc == RC_OK)
        rc = decode_public((struct bytes){ buf, n }, &role, &key, err);
    if (rc != RC_OK)
        return key_file_error(rc, file, err);
    *ret = key;
    if (ret_role)
        *ret_role = role;
    return RC_OK;
}
