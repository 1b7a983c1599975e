/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "link/port.h"
#include "orchestrator/path.h"

static const char *const folders[] = { "objects", "keys", "sats" };

static enum rc open_tree(struct home *home, bool create, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; create && rc == RC_OK && i < sizeof folders / sizeof folders[0]; i++)
        rc = fs_make_dirs(home->dirfd, folders[i], 0700, err);
    return rc;
}

static enum rc check_owner(const struct home *home, struct err *err)
{
    struct stat st;

    if (fstat(home->dirfd, &st) != 0)
        return err_sys(err, RC_IO, "%s", home->path);
    if ((st.st_mode & 022U) != 0)
        return err_set(err, RC_STORE, "%s can be written by others: chmod 700 it", home->path);
    return RC_OK;
}

enum rc home_open(const char *path, bool create, struct home *ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    char store[HOME_PATH_CAP + 16];
    enum rc rc = RC_OK;

    if (create && mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "%s", path);
    rc = path_open_dir(path, false, &home.dirfd, err);
    if (rc == RC_OK)
        rc = path_absolute(path, home.path, sizeof home.path, err);
    if (rc == RC_OK)
        rc = check_owner(&home, err);
    if (rc == RC_OK && !create && faccessat(home.dirfd, "store.sqlite", F_OK, 0) != 0)
        rc = err_set(err, RC_NOT_FOUND, "no fleet in %s", home.path);
    if (rc == RC_OK)
        rc = open_tree(&home, create, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(store, sizeof store, "%s/store.sqlite", home.path);
    rc = store_open(store, create, &home.store, err);
    if (rc == RC_OK) {
        *ret = home;
        home = (struct home)HOME_NONE;
    }
    return rc;
}

void home_close(struct home *home)
{
    store_close(&home->store);
    close_fd(&home->dirfd);
}

static void object_path(const struct digest *digest, char out[HOME_OBJECT_CAP])
{
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(out, HOME_OBJECT_CAP, "objects/%s",
                   bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, hex));
}

enum rc home_add_bytes(const struct home *home, struct bytes content, struct digest *ret_digest,
                       char ret_path[HOME_OBJECT_CAP], struct err *err)
{
    struct digest digest;
    char path[HOME_OBJECT_CAP];
    enum rc rc = sha256_of(content, digest.b, err);

    if (rc != RC_OK)
        return rc;
    object_path(&digest, path);
    if (faccessat(home->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        rc = fs_write_file(home->dirfd, path, content, 0600, err);
    if (rc == RC_OK) {
        *ret_digest = digest;
        memcpy(ret_path, path, sizeof path);
    }
    return rc;
}

/* Copy under a name of this process first: the digest is known only at the end. */
static enum rc copy_in(const struct home *home, int fd, uint64_t size, const char *draft,
                       struct digest *ret, struct err *err)
{
    scoped(close_fd) int out = -1;
    enum rc rc = fs_unlink(home->dirfd, draft, err);

    if (rc == RC_OK)
        rc = fs_open(home->dirfd, draft, O_WRONLY | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc == RC_OK)
        rc = fs_copy_digest(fd, out, size, ret->b, err);
    return rc == RC_OK ? fs_sync(out, draft, err) : rc;
}

enum rc home_add_file(const struct home *home, int fd, uint64_t size, struct digest *ret_digest,
                      char ret_path[HOME_OBJECT_CAP], struct err *err)
{
    char draft[HOME_OBJECT_CAP], path[HOME_OBJECT_CAP];
    struct digest digest;
    struct err ignored;
    enum rc rc;

    (void)snprintf(draft, sizeof draft, "objects/.draft-%ld", (long)getpid());
    rc = copy_in(home, fd, size, draft, &digest, err);
    if (rc == RC_OK) {
        object_path(&digest, path);
        rc = fs_rename(home->dirfd, draft, home->dirfd, path, false, err);
    }
    if (rc != RC_OK) {
        (void)!fs_unlink(home->dirfd, draft, &ignored);
        return rc;
    }
    *ret_digest = digest;
    memcpy(ret_path, path, sizeof path);
    return RC_OK;
}

enum rc home_open_object(const struct home *home, const struct digest *digest, int *ret_fd,
                         uint64_t *ret_size, struct err *err)
{
    char path[HOME_OBJECT_CAP];

    object_path(digest, path);
    return fs_open_plain(home->dirfd, path, OBJECT_MAX, ret_fd, ret_size, err);
}

static enum rc add_grants(const struct home *home, struct trust *trust, uint64_t now_ms,
                          struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(home->store, DOC_GRANT, &names, &n, err);

    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        scoped(free_ptr) uint8_t *envelope = NULL;
        size_t size = 0;

        rc = store_document(home->store, DOC_GRANT, names[i].name, &envelope, &size, err);
        if (rc == RC_OK)
            rc = trust_add_grant(trust, (struct bytes){ .p = envelope, .n = size }, now_ms, err);
        if (rc == RC_EXPIRED) /* its tenant is refused, the others are not */
            rc = RC_OK;
    }
    return rc;
}

enum rc home_trust(const struct home *home, uint64_t now_ms, struct trust **ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    scoped(free_ptr) uint8_t *root = NULL;
    size_t n = 0;
    enum rc rc = store_document(home->store, DOC_ROOT, "root", &root, &n, err);

    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_TRUST_MISSING, "%s has no trust root", home->path);
    if (rc == RC_OK)
        rc = trust_new((struct bytes){ .p = root, .n = n }, &trust, err);
    if (rc == RC_OK)
        rc = add_grants(home, trust, now_ms, err);
    if (rc == RC_OK) {
        *ret = trust;
        trust = NULL;
    }
    return rc;
}

enum rc home_operator_key(const struct home *home, char *out, size_t cap, struct err *err)
{
    enum rc rc = store_get(home->store, "operator-key", out, cap, err);

    return rc == RC_NOT_FOUND ? err_set(err, RC_KEY_FILE, "no operator key is known: give --key")
                              : rc;
}

enum rc home_queue_bytes(const struct home *home, const char *satellite, unsigned kind,
                         struct bytes content, bool again, uint64_t now_ms, struct err *err)
{
    struct store_outgoing row = { .kind = kind, .size = content.n, .queued_ms = now_ms };
    enum rc rc = home_add_bytes(home, content, &row.object, row.path, err);

    row.class = kind == OBJECT_ROOT || kind == OBJECT_GRANT || kind == OBJECT_REVOCATION
                    ? CLASS_TRUST
                : kind == OBJECT_ORDER ? CLASS_ORDER
                                       : CLASS_PACKAGE;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    return rc == RC_OK ? store_queue(home->store, &row, again, err) : rc;
}
