/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
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
        return err_set(err, RC_HOME_OPEN, "%s", home->path);
    return RC_OK;
}

/* ---- where the store is ----------------------------------------------------------------------
 */

#define STORE_DEFAULT "store.sqlite"
#define HOME_WORD "{home}"

#define NAME_SIZE 18U /* "h_" and 8 bytes in hex */

enum rc home_store_name(const char *where, const char *path, char ret[HOME_STORE_CAP],
                        struct err *err)
{
    const char *word = strstr(where, HOME_WORD);
    const char *rest = word ? word + strlen(HOME_WORD) : where;
    size_t before = word ? (size_t)(word - where) : 0;
    char hex[2 * DIGEST_SIZE + 1] = "";
    struct digest digest;

    if (before + NAME_SIZE + strlen(rest) >= HOME_STORE_CAP)
        return err_set(err, RC_TOO_LARGE, "where the store is");
    if (!word) {
        (void)snprintf(ret, HOME_STORE_CAP, "%s", where);
        return RC_OK;
    }
    enum rc rc = sha256_of(bytes_of(path), digest.b, err);

    if (rc != RC_OK)
        return rc;
    (void)bytes_hex((struct bytes){ digest.b, 8 }, hex);
    for (size_t i = 0; i < before; i++)
        ret[i] = where[i];
    (void)snprintf(ret + before, HOME_STORE_CAP - before, "h_%s%s", hex, rest);
    return RC_OK;
}

enum rc home_store_where(int dirfd, const char *path, char ret[HOME_STORE_CAP], struct err *err)
{
    uint8_t text[HOME_STORE_CAP];
    struct bytes line = { .p = text };
    int n = snprintf(ret, HOME_STORE_CAP, "%s/" STORE_DEFAULT, path);

    if (n < 0 || (size_t)n >= HOME_STORE_CAP)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    if (faccessat(dirfd, HOME_STORE_FILE, F_OK, 0) != 0)
        return RC_OK;
    enum rc rc = fs_read_file(dirfd, HOME_STORE_FILE, text, sizeof text, &line.n, err);

    if (rc == RC_OK && line.n > 0 && text[line.n - 1] == '\n')
        line.n--;
    if (rc == RC_OK &&
        (line.n == 0 || memchr(text, '\n', line.n) || !bytes_to_text(line, ret, HOME_STORE_CAP) ||
         (ret[0] != '/' && !store_is_remote(ret))))
        rc = err_set(err, RC_VALUE,
                     "%s/" HOME_STORE_FILE ": one line, postgresql:... or an absolute path", path);
    explicit_bzero(text, sizeof text);
    return rc;
}

static enum rc place(int dirfd, const char *path, const char *where, struct err *err)
{
    char is[HOME_STORE_CAP], line[HOME_STORE_CAP + 1];
    enum rc rc = home_store_where(dirfd, path, is, err);

    if (rc != RC_OK || strcmp(is, where) == 0)
        return rc;
    if (faccessat(dirfd, HOME_STORE_FILE, F_OK, 0) == 0 ||
        faccessat(dirfd, STORE_DEFAULT, F_OK, 0) == 0)
        return err_set(err, RC_EXISTS, "%s has a store elsewhere", path);
    int n = snprintf(line, sizeof line, "%s\n", where);

    rc = fs_write_file(dirfd, HOME_STORE_FILE, (struct bytes){ (const uint8_t *)line, (size_t)n },
                       0600, err);
    explicit_bzero(line, sizeof line);
    return rc;
}

enum rc home_place_store(const char *path, const char *where, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    char absolute[HOME_PATH_CAP], named[HOME_STORE_CAP];
    enum rc rc;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "%s", path);
    rc = path_open_dir(path, false, &dirfd, err);
    if (rc == RC_OK)
        rc = path_absolute(path, absolute, sizeof absolute, err);
    if (rc == RC_OK)
        rc = home_store_name(where, absolute, named, err);
    if (rc == RC_OK && named[0] != '/' && !store_is_remote(named))
        rc = err_set(err, RC_USAGE, "a store is postgresql:... or an absolute path");
    if (rc == RC_OK)
        rc = place(dirfd, absolute, named, err);
    explicit_bzero(named, sizeof named);
    return rc;
}

enum rc home_open(const char *path, bool create, struct home *ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    char store[HOME_STORE_CAP];
    enum rc rc = RC_OK;

    if (path[0] == '\0')
        return err_set(err, RC_CONTEXT_LOCAL, "a ground elsewhere is in use");
    if (create && mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "%s", path);
    rc = path_open_dir(path, false, &home.dirfd, err);
    if (rc == RC_OK)
        rc = path_absolute(path, home.path, sizeof home.path, err);
    if (rc == RC_OK)
        rc = check_owner(&home, err);
    if (rc == RC_OK && !create && faccessat(home.dirfd, STORE_DEFAULT, F_OK, 0) != 0 &&
        faccessat(home.dirfd, HOME_STORE_FILE, F_OK, 0) != 0)
        rc = err_set(err, RC_NOT_FOUND, "no fleet in %s", home.path);
    if (rc == RC_OK)
        rc = open_tree(&home, create, err);
    if (rc != RC_OK)
        return rc;
    rc = home_store_where(home.dirfd, home.path, store, err);
    if (rc == RC_OK)
        rc = store_open(store, create, &home.store, err);
    explicit_bzero(store, sizeof store);
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

enum rc home_open_dir(const struct home *home, const char *path, int *ret_fd, struct err *err)
{
    return fs_open(path[0] == '/' ? AT_FDCWD : home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd,
                   err);
}

static void object_path(const struct digest *digest, char out[HOME_OBJECT_CAP])
{
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(out, HOME_OBJECT_CAP, "objects/%s",
                   bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, hex));
}

/* ---- putting into objects/ --------------------------------------------------------------------
 */

#define DRAFT ".draft-"
#define NOTE ".push-" /* and the object that a push has put there, until the store names it */

static void note_path(const struct digest *object, char out[HOME_OBJECT_CAP])
{
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(out, HOME_OBJECT_CAP, "objects/" NOTE "%s",
                   bytes_hex((struct bytes){ .p = object->b, .n = sizeof object->b }, hex));
}

/* A push did not come to its end: what it has put there goes, unless something names it. */
static enum rc settle_note(const struct home *home, const struct digest *object, struct err *err)
{
    char path[HOME_OBJECT_CAP], note[HOME_OBJECT_CAP];
    bool named = false;
    enum rc rc = store_names_object(home->store, object, &named, err);

    object_path(object, path);
    note_path(object, note);
    if (rc == RC_OK && !named)
        rc = fs_unlink(home->dirfd, path, err);
    return rc == RC_OK ? fs_unlink(home->dirfd, note, err) : rc;
}

struct sweeping {
    const struct home *home;
    int dir; /* objects/ */
};

static bool sweep_one(void *arg, const char *name)
{
    const struct sweeping *s = arg;
    struct digest object;
    struct err ignored;

    if (strncmp(name, DRAFT, sizeof DRAFT - 1) == 0)
        (void)unlinkat(s->dir, name, 0);
    if (strncmp(name, NOTE, sizeof NOTE - 1) == 0 && s->home->store &&
        bytes_unhex(name + sizeof NOTE - 1, object.b, sizeof object.b))
        (void)!settle_note(s->home, &object, &ignored); /* else the next time */
    return true;
}

/* Open objects/ and hold it, shared, for as long as something is being put there.  Who finds that
 * nobody else does may first remove what programs left that were killed at it: a push that was cut
 * off would take the space of its package for ever.  What cannot be removed is no reason not to put
 * something there. */
static enum rc hold_objects(const struct home *home, bool sweep, int *ret_fd, struct err *err)
{
    scoped(close_fd) int dir = -1;
    struct err ignored;
    enum rc rc = fs_open(home->dirfd, "objects", O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc != RC_OK)
        return rc;
    if (sweep && flock(dir, LOCK_EX | LOCK_NB) == 0) {
        struct sweeping sweeping = { .home = home, .dir = dir };

        (void)!fs_list(dir, ".", SIZE_MAX, sweep_one, &sweeping, NULL, &ignored);
        (void)!fs_sweep(dir, ".", &ignored);
    }
    while (flock(dir, LOCK_SH) != 0)
        if (errno != EINTR)
            return err_sys(err, RC_IO, "lock objects");
    *ret_fd = take_fd(&dir);
    return RC_OK;
}

/* Whether a file holds exactly these bytes: the disk may have damaged it. */
static bool is_there(const struct home *home, const char *path, struct bytes content)
{
    scoped(free_ptr) uint8_t *there = NULL;
    struct err ignored;
    size_t n = 0;

    return fs_read_alloc(home->dirfd, path, content.n, &there, &n, &ignored) == RC_OK &&
           bytes_equal((struct bytes){ .p = there, .n = n }, content);
}

enum rc home_add_bytes(const struct home *home, struct bytes content, struct digest *ret_digest,
                       char ret_path[HOME_OBJECT_CAP], struct err *err)
{
    scoped(close_fd) int objects = -1;
    struct digest digest;
    char path[HOME_OBJECT_CAP];
    enum rc rc = sha256_of(content, digest.b, err);

    if (rc == RC_OK)
        rc = hold_objects(home, false, &objects, err);
    if (rc != RC_OK)
        return rc;
    object_path(&digest, path);
    if (is_there(home, path, content))
        rc = fs_sync(objects, "objects", err); /* which may be where the last attempt failed */
    else
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

/* From the draft to an object; with `noted` there is a note of it first. */
static enum rc put_in(const struct home *home, int fd, uint64_t size, bool noted,
                      struct digest *ret, struct err *err)
{
    char draft[HOME_OBJECT_CAP], path[HOME_OBJECT_CAP], note[HOME_OBJECT_CAP];
    struct digest digest;
    struct err ignored;

    (void)snprintf(draft, sizeof draft, "objects/" DRAFT "%ld", (long)getpid());
    enum rc rc = copy_in(home, fd, size, draft, &digest, err);
    if (rc == RC_OK) {
        *ret = digest;
        object_path(&digest, path);
        note_path(&digest, note);
        /* Whoever else puts it there does not have it taken away for a push that was cut off. */
        rc = noted ? fs_write_file(home->dirfd, note, (struct bytes){ 0 }, 0600, err)
                   : fs_unlink(home->dirfd, note, err);
    }
    if (rc == RC_OK)
        rc = fs_rename(home->dirfd, draft, home->dirfd, path, false, err);
    if (rc != RC_OK)
        (void)!fs_unlink(home->dirfd, draft, &ignored);
    return rc;
}

enum rc home_add_file(const struct home *home, int fd, uint64_t size, struct digest *ret_digest,
                      char ret_path[HOME_OBJECT_CAP], struct err *err)
{
    scoped(close_fd) int objects = -1;
    struct digest digest = { .b = { 0 } };
    enum rc rc = hold_objects(home, true, &objects, err);

    if (rc == RC_OK)
        rc = put_in(home, fd, size, false, &digest, err);
    if (rc != RC_OK)
        return rc;
    *ret_digest = digest;
    object_path(&digest, ret_path);
    return RC_OK;
}

static enum rc record_package(const struct home *home, const struct store_package *row,
                              uint64_t now_ms, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    char hex[2 * DIGEST_SIZE + 1];
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_put_package(home->store, row, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "push", now_ms, err, "%s/%s %s manifest %s",
                         row->tenant, row->name, row->version,
                         bytes_hex((struct bytes){ .p = row->manifest.b, .n = DIGEST_SIZE }, hex));
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* objects/ is held until the store names it, so that nobody else takes it for what was left. */
enum rc home_add_package(const struct home *home, int fd, struct store_package *row,
                         uint64_t now_ms, struct err *err)
{
    scoped(close_fd) int objects = -1;
    struct digest object = { .b = { 0 } };
    struct err ignored;
    enum rc rc = hold_objects(home, true, &objects, err);

    if (rc == RC_OK)
        rc = put_in(home, fd, row->size, true, &object, err);
    if (rc == RC_OK) {
        row->object = object;
        object_path(&object, row->path);
        rc = record_package(home, row, now_ms, err);
    }
    if (objects >= 0 && !digest_is_none(&object))
        (void)!settle_note(home, &object, &ignored); /* else the next push does */
    return rc;
}

enum rc home_open_object(const struct home *home, const struct digest *digest, int *ret_fd,
                         uint64_t *ret_size, struct err *err)
{
    char path[HOME_OBJECT_CAP];

    object_path(digest, path);
    return fs_open_plain(home->dirfd, path, OBJECT_MAX, ret_fd, ret_size, err);
}

enum rc home_operator_key(const struct home *home, char *out, size_t cap, struct err *err)
{
    enum rc rc = store_get(home->store, "operator-key", out, cap, err);

    return rc == RC_NOT_FOUND ? err_set(err, RC_KEY_FILE, "no operator key is known: give --key")
                              : rc;
}

/* In which order a pass is filled: what decides whether the rest is believed goes first. */
static enum outgoing_class class_of(unsigned kind)
{
    if (kind == OBJECT_PACKAGE || kind == OBJECT_MAIL)
        return CLASS_PACKAGE;
    return kind == OBJECT_ORDER || kind == OBJECT_TOKEN ? CLASS_ORDER : CLASS_TRUST;
}

enum rc home_queue_bytes(const struct home *home, const char *satellite, unsigned kind,
                         struct bytes content, bool again, uint64_t now_ms, struct err *err)
{
    struct store_outgoing row = {
        .kind = kind, .class = class_of(kind), .size = content.n, .queued_ms = now_ms
    };
    enum rc rc = home_add_bytes(home, content, &row.object, row.path, err);

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    return rc == RC_OK ? store_queue(home->store, &row, again, err) : rc;
}

/* As which kind of object a document travels. */
static enum rc kind_of(enum doc_type type, unsigned *ret, struct err *err)
{
    static const struct {
        enum doc_type type;
        enum object_kind kind;
    } kinds[] = {
        { DOC_ROOT, OBJECT_ROOT },
        { DOC_GRANT, OBJECT_GRANT },
        { DOC_REVOCATION, OBJECT_REVOCATION },
        { DOC_DELEGATION, OBJECT_DELEGATION },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].type == type) {
            *ret = kinds[i].kind;
            return RC_OK;
        }
    }
    return err_set(err, RC_DOC_TYPE, "a %s is not for every satellite", doc_type_name(type));
}

enum rc home_publish(const struct home *home, const struct home_document *doc, uint64_t now_ms,
                     size_t *ret_satellites, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_satellite *sats = NULL;
    struct digest digest;
    char path[HOME_OBJECT_CAP];
    unsigned kind = 0;
    size_t n = 0;
    enum rc rc = kind_of(doc->type, &kind, err);

    if (rc == RC_OK)
        rc = store_join(home->store, &open, err);
    if (rc == RC_OK)
        rc = store_put_document(home->store, doc->type, doc->name, doc->version, doc->envelope,
                                now_ms, err);
    if (rc == RC_OK)
        rc = home_add_bytes(home, doc->envelope, &digest, path, err);
    if (rc == RC_OK)
        rc = store_satellites(home->store, &sats, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = home_queue_bytes(home, sats[i].id, kind, doc->envelope, false, now_ms, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK)
        *ret_satellites = n;
    return rc;
}
