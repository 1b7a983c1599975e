/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/offline.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "orchestrator/describe.h"
#include "orchestrator/path.h"
#include "orchestrator/words.h"

#define FILES_MAX                                                                                  \
    65536U /* of several keys, for an order and a token of thousands of satellites                 \
            */

void offline_done(struct offline *offline)
{
    free(offline->file);
    offline->file = NULL;
}

/* The same failure, said of a file. */
static enum rc name_file(const char *path, const struct err *inner, struct err *err)
{
    const char *slash = strrchr(path, '/');

    (void)!err_set(err, inner->rc, "%s: %s", slash ? slash + 1 : path, inner->what);
    return inner->rc;
}

enum rc offline_read(const char *path, struct offline *ret, struct err *err)
{
    struct offline offline = { 0 };
    struct err inner = { 0 };
    size_t n = 0;
    enum rc rc = path_read(path, REQUEST_FILE_MAX, &offline.file, &n, err);

    if (rc != RC_OK)
        return rc;
    rc = request_decode((struct bytes){ offline.file, n }, &offline.request, &inner);
    if (rc != RC_OK) {
        offline_done(&offline);
        return name_file(path, &inner, err);
    }
    *ret = offline;
    return RC_OK;
}

/* DIR/NAME, or RC_TOO_LARGE. */
static enum rc path_in(const char *dir, const char *name, const char *suffix, char ret[PATH_MAX],
                       struct err *err)
{
    const int n = snprintf(ret, PATH_MAX, "%s/%s%s", dir, name, suffix);

    return n > 0 && n < PATH_MAX ? RC_OK : err_set(err, RC_TOO_LARGE, "%s", dir);
}

static enum rc encode(const char *dir, const char *name, const struct request *request,
                      uint8_t *buf, struct bytes *ret_file, char ret_path[PATH_MAX],
                      struct err *err)
{
    const enum rc rc = buf ? path_in(dir, name, REQUEST_SUFFIX, ret_path, err)
                           : err_set(err, RC_NO_MEMORY, "request");

    return rc == RC_OK ? request_encode(request, buf, REQUEST_FILE_MAX, ret_file, err) : rc;
}

enum rc offline_write(const char *dir, const char *name, const struct request *request,
                      char ret_path[PATH_MAX], struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REQUEST_FILE_MAX);
    scoped(close_fd) int dirfd = -1;
    struct bytes file = { 0 };
    enum rc rc = encode(dir, name, request, buf, &file, ret_path, err);

    if (rc == RC_OK)
        rc = path_open_dir(dir, true, &dirfd, err);
    return rc == RC_OK ? path_write(ret_path, file, 0644, err) : rc;
}

enum rc offline_put(int dirfd, const char *dir, const char *name, const struct request *request,
                    char ret_path[PATH_MAX], struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REQUEST_FILE_MAX);
    scoped(close_fd) int fd = -1;
    struct bytes file = { 0 };
    enum rc rc = encode(dir, name, request, buf, &file, ret_path, err);

    if (rc == RC_OK)
        rc = fs_open(dirfd, ret_path + strlen(dir) + 1, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd,
                     err);
    return rc == RC_OK ? fs_write_all(fd, file, err) : rc;
}

enum rc offline_sync(int dirfd, struct err *err)
{
    return syncfs(dirfd) == 0 ? RC_OK : err_sys(err, RC_IO, "requests");
}

/* ---- collecting ---- */

struct offline_files {
    char dir[PATH_MAX];
    size_t n, room;
    struct signature_file {
        struct digest payload; /* what it is over */
        char name[PATH_NAME_CAP];
    } * file; /* sorted by both, so that the same files make the same envelope */
};

void offline_files_free(struct offline_files **files)
{
    if (*files)
        free((*files)->file);
    free(*files);
    *files = NULL;
}

struct listing {
    struct offline_files *files;
    struct err *err;
    enum rc rc;
};

static enum rc read_signature(const char *path, uint8_t **ret_file, struct request_signature *ret,
                              struct err *err)
{
    struct err inner = { 0 };
    size_t n = 0;
    enum rc rc = path_read(path, SIGNATURE_FILE_MAX, ret_file, &n, err);

    if (rc != RC_OK)
        return rc;
    rc = request_signature_decode((struct bytes){ *ret_file, n }, ret, &inner);
    return rc == RC_OK ? rc : name_file(path, &inner, err);
}

static enum rc add_file(struct offline_files *files, const char *name, struct err *err)
{
    scoped(free_ptr) struct request_signature *signature = calloc(1, sizeof *signature);
    scoped(free_ptr) uint8_t *bytes = NULL;
    char path[PATH_MAX];
    enum rc rc = signature ? path_in(files->dir, name, "", path, err)
                           : err_set(err, RC_NO_MEMORY, "signature");

    if (files->n == files->room && rc == RC_OK) {
        const size_t room = files->room * 2 + 16;
        struct signature_file *more =
            files->n < FILES_MAX ? reallocarray(files->file, room, sizeof *more) : NULL;

        if (!more)
            return files->n < FILES_MAX
                       ? err_set(err, RC_NO_MEMORY, "signatures")
                       : err_set(err, RC_TOO_LARGE, "more than %u signature files", FILES_MAX);
        files->file = more;
        files->room = room < FILES_MAX ? room : FILES_MAX;
    }
    if (rc == RC_OK)
        rc = read_signature(path, &bytes, signature, err);
    if (rc != RC_OK)
        return rc;
    struct signature_file *file = &files->file[files->n++];

    file->payload = signature->payload;
    memcpy(file->name, name, strlen(name) + 1);
    return RC_OK;
}

static bool add_name(void *arg, const char *name)
{
    struct listing *l = arg;
    const size_t n = strlen(name), cut = strlen(SIGNATURE_SUFFIX);

    if (n > cut && n < PATH_NAME_CAP && strcmp(name + n - cut, SIGNATURE_SUFFIX) == 0)
        l->rc = add_file(l->files, name, l->err);
    return l->rc == RC_OK;
}

static int by_both(const void *a, const void *b)
{
    const struct signature_file *one = a, *two = b;
    const int order = memcmp(&one->payload, &two->payload, sizeof one->payload);

    return order != 0 ? order : strcmp(one->name, two->name);
}

enum rc offline_list(const char *dir, struct offline_files **ret, struct err *err)
{
    scoped(offline_files_free) struct offline_files *files = calloc(1, sizeof *files);
    scoped(close_fd) int dirfd = -1;
    struct listing l = { .files = files, .err = err };
    enum rc rc = !files                             ? err_set(err, RC_NO_MEMORY, "files")
                 : strlen(dir) >= sizeof files->dir ? err_set(err, RC_TOO_LARGE, "%s", dir)
                                                    : path_open_dir(dir, false, &dirfd, err);

    if (rc == RC_OK)
        memcpy(files->dir, dir, strlen(dir) + 1);
    if (rc == RC_OK)
        rc = fs_list(dirfd, ".", SIZE_MAX, add_name, &l, NULL, err);
    if (rc == RC_OK)
        rc = l.rc;
    if (rc != RC_OK)
        return rc;
    if (files->n > 0)
        qsort(files->file, files->n, sizeof *files->file, by_both);
    *ret = files;
    files = NULL;
    return RC_OK;
}

static enum rc attach(const struct request *request, const char *path,
                      const struct request_signature *signature, uint8_t *envelope, size_t *n,
                      struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct bytes next = { 0 };
    struct err inner = { 0 };

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "envelope");
    enum rc rc = request_attach(request, (struct bytes){ envelope, *n }, signature, buf,
                                DOCUMENT_MAX, &next, &inner);
    if (rc != RC_OK)
        return name_file(path, &inner, err);
    memcpy(envelope, next.p, next.n);
    *n = next.n;
    return RC_OK;
}

enum rc offline_attach(const struct request *request, const char *path, uint8_t *envelope,
                       size_t *n, struct err *err)
{
    scoped(free_ptr) struct request_signature *signature = calloc(1, sizeof *signature);
    scoped(free_ptr) uint8_t *file = NULL;
    enum rc rc = signature ? read_signature(path, &file, signature, err)
                           : err_set(err, RC_NO_MEMORY, "signature");

    return rc == RC_OK ? attach(request, path, signature, envelope, n, err) : rc;
}

/* The first file that is not over a lesser digest. */
static size_t first_over(const struct offline_files *files, const struct digest *payload)
{
    size_t low = 0, high = files->n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (memcmp(&files->file[middle].payload, payload, sizeof *payload) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum rc collect(const struct offline_files *files, const struct request *request,
                       uint8_t *envelope, size_t *n, struct err *err)
{
    char path[PATH_MAX];
    struct digest digest;
    enum rc rc = sha256_of(request->payload, digest.b, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = first_over(files, &digest);
         rc == RC_OK && i < files->n && digest_same(&files->file[i].payload, &digest); i++) {
        rc = path_in(files->dir, files->file[i].name, "", path, err);
        if (rc == RC_OK)
            rc = offline_attach(request, path, envelope, n, err);
    }
    if (rc == RC_OK && *n == 0)
        rc = err_set(err, RC_THRESHOLD, "no signature over this %s in %s",
                     doc_type_name(request->type), files->dir);
    return rc;
}

enum rc offline_collect_from( // NOLINT(readability-function-size): what, from where, and to where
    const struct offline_files *files, const char *name, enum doc_type type, struct offline *ret,
    uint8_t **ret_envelope, size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    scoped(free_ptr) uint8_t *envelope = malloc(DOCUMENT_MAX);
    char path[PATH_MAX];
    size_t n = 0;
    enum rc rc = envelope ? path_in(files->dir, name, REQUEST_SUFFIX, path, err)
                          : err_set(err, RC_NO_MEMORY, "envelope");

    if (rc == RC_OK)
        rc = offline_read(path, &offline, err);
    if (rc == RC_OK && offline.request.type != type)
        rc = err_set(err, RC_DOC_TYPE, "%s holds a %s", path, doc_type_name(offline.request.type));
    if (rc == RC_OK)
        rc = collect(files, &offline.request, envelope, &n, err);
    if (rc != RC_OK)
        return rc;
    *ret = offline;
    offline = (struct offline){ 0 };
    *ret_envelope = envelope;
    *ret_n = n;
    envelope = NULL;
    return RC_OK;
}

enum rc offline_collect( // NOLINT(readability-function-size): what, from where, and to where
    const char *dir, const char *name, enum doc_type type, struct offline *ret,
    uint8_t **ret_envelope, size_t *ret_n, struct err *err)
{
    scoped(offline_files_free) struct offline_files *files = NULL;
    enum rc rc = offline_list(dir, &files, err);

    return rc == RC_OK ? offline_collect_from(files, name, type, ret, ret_envelope, ret_n, err)
                       : rc;
}

/* ---- showing and asking ---- */

enum rc offline_words(const struct request *request, char **ret, struct err *err)
{
    scoped(free_ptr) char *text = NULL;
    char hex[2 * DIGEST_SIZE + 1], mission[2 * MISSION_SIZE + 1];
    struct digest digest;
    json_t *value = describe_document(request->payload, err);
    char *all = NULL;
    enum rc rc;

    if (!value)
        return RC_DOC_TYPE;
    text = words_of(value);
    json_decref(value);
    if (!text)
        return err_set(err, RC_NO_MEMORY, "words");
    rc = sha256_of(request->payload, digest.b, err);
    if (rc != RC_OK)
        return rc;
    if (asprintf(&all, "%s  %-16s %s\n  %-16s %s\n%s%s%s", text, "for mission",
                 bytes_hex((struct bytes){ request->mission.b, MISSION_SIZE }, mission), "digest",
                 bytes_hex((struct bytes){ digest.b, sizeof digest.b }, hex),
                 request->note[0] ? "  the asker says   \"" : "", request->note,
                 request->note[0] ? "\"\n" : "") < 0)
        return err_set(err, RC_NO_MEMORY, "words");
    *ret = all;
    return RC_OK;
}

enum rc offline_ask(const char *text, struct err *err)
{
    scoped(close_fd) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char answer[16] = "";
    ssize_t n;

    if (tty < 0)
        return err_set(err, RC_NOT_CONFIRMED, "no terminal to ask on: read it, then give --yes");
    (void)dprintf(tty, "%s Type yes: ", text);
    n = read(tty, answer, sizeof answer - 1);
    if (n != 4 || memcmp(answer, "yes\n", 4) != 0)
        return err_set(err, RC_NOT_CONFIRMED, "not signed");
    return RC_OK;
}

static enum rc ask_words(const char *words, struct err *err)
{
    scoped(free_ptr) char *text = NULL;

    return asprintf(&text, "%sSign this?", words) < 0 ? err_set(err, RC_NO_MEMORY, "words")
                                                      : offline_ask(text, err);
}

enum rc offline_confirm(struct cli *cli, const struct request *request, struct err *err)
{
    scoped(free_ptr) char *words = NULL;
    enum rc rc = offline_words(request, &words, err);

    if (rc != RC_OK)
        return rc;
    if (!cli_flag(cli, "yes"))
        return ask_words(words, err);
    cli_say(cli, "%.*s", (int)strlen(words) - 1, words); /* without the last line end */
    return RC_OK;
}

enum rc offline_signature(const struct request *request, const struct sign_key *key, uint8_t **ret,
                          size_t *ret_n, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *out = malloc(SIGNATURE_FILE_MAX);
    struct bytes envelope = { 0 }, file = { 0 };

    if (!buf || !out)
        return err_set(err, RC_NO_MEMORY, "signature");
    enum rc rc = sign_document(request->type, &request->mission, request->payload, &key, 1, buf,
                               DOCUMENT_MAX, &envelope, err);

    if (rc == RC_OK)
        rc = request_signature_encode(request, sign_key_public(key), envelope, out,
                                      SIGNATURE_FILE_MAX, &file, err);
    if (rc != RC_OK)
        return rc;
    *ret_n = file.n;
    *ret = out;
    out = NULL;
    return RC_OK;
}

enum rc offline_sign(const struct request *request, const struct sign_key *key, const char *path,
                     struct err *err)
{
    scoped(free_ptr) uint8_t *file = NULL;
    size_t n = 0;
    enum rc rc = offline_signature(request, key, &file, &n, err);

    return rc == RC_OK ? path_write(path, (struct bytes){ file, n }, 0644, err) : rc;
}
