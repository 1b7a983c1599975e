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

#define FILES_MAX 256U

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

enum rc offline_write(const char *dir, const char *name, const struct request *request,
                      char ret_path[PATH_MAX], struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REQUEST_FILE_MAX);
    scoped(close_fd) int dirfd = -1;
    struct bytes file = { 0 };
    int n = snprintf(ret_path, PATH_MAX, "%s/%s%s", dir, name, REQUEST_SUFFIX);
    enum rc rc = buf ? RC_OK : err_set(err, RC_NO_MEMORY, "request");

    if (n < 0 || n >= PATH_MAX)
        return err_set(err, RC_TOO_LARGE, "%s", dir);
    if (rc == RC_OK)
        rc = request_encode(request, buf, REQUEST_FILE_MAX, &file, err);
    if (rc == RC_OK)
        rc = path_open_dir(dir, true, &dirfd, err);
    return rc == RC_OK ? path_write(ret_path, file, 0644, err) : rc;
}

/* ---- collecting ---- */

/* Names of the signature files of a directory. */
struct names {
    size_t n;
    bool more;
    char name[FILES_MAX][PATH_NAME_CAP];
};

static bool add_name(void *arg, const char *name)
{
    struct names *names = arg;
    size_t n = strlen(name), cut = strlen(SIGNATURE_SUFFIX);

    if (n <= cut || n >= PATH_NAME_CAP || strcmp(name + n - cut, SIGNATURE_SUFFIX) != 0)
        return true;
    names->more = names->n == FILES_MAX;
    if (!names->more)
        memcpy(names->name[names->n++], name, n + 1);
    return !names->more;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Sorted, so that the same files make the same envelope. */
static enum rc list_signatures(const char *dir, struct names *ret, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    enum rc rc = path_open_dir(dir, false, &dirfd, err);

    if (rc == RC_OK)
        rc = fs_list(dirfd, ".", 65536, add_name, ret, NULL, err);
    if (rc == RC_OK && ret->more)
        rc = err_set(err, RC_TOO_LARGE, "%s: more than %u signature files", dir, FILES_MAX);
    qsort(ret->name, ret->n, sizeof ret->name[0], by_name);
    return rc;
}

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

/* The same, passing over what is about another document. */
static enum rc attach_if_about(const struct request *request, const char *path, uint8_t *envelope,
                               size_t *n, struct err *err)
{
    scoped(free_ptr) struct request_signature *signature = calloc(1, sizeof *signature);
    scoped(free_ptr) uint8_t *file = NULL;
    struct digest digest;
    enum rc rc = signature ? read_signature(path, &file, signature, err)
                           : err_set(err, RC_NO_MEMORY, "signature");

    if (rc == RC_OK)
        rc = sha256_of(request->payload, digest.b, err);
    if (rc == RC_OK && memcmp(&digest, &signature->payload, sizeof digest) != 0)
        return RC_OK;
    return rc == RC_OK ? attach(request, path, signature, envelope, n, err) : rc;
}

static enum rc collect(const char *dir, const struct request *request, uint8_t *envelope, size_t *n,
                       struct err *err)
{
    scoped(free_ptr) struct names *names = calloc(1, sizeof *names);
    char path[PATH_MAX];
    enum rc rc = names ? list_signatures(dir, names, err) : err_set(err, RC_NO_MEMORY, "files");

    for (size_t i = 0; rc == RC_OK && i < names->n; i++) {
        int len = snprintf(path, sizeof path, "%s/%s", dir, names->name[i]);

        rc = len > 0 && (size_t)len < sizeof path ? attach_if_about(request, path, envelope, n, err)
                                                  : err_set(err, RC_TOO_LARGE, "%s", dir);
    }
    if (rc == RC_OK && *n == 0)
        rc = err_set(err, RC_THRESHOLD, "no signature over this %s in %s",
                     doc_type_name(request->type), dir);
    return rc;
}

enum rc offline_collect( // NOLINT(readability-function-size): what, from where, and to where
    const char *dir, const char *name, enum doc_type type, struct offline *ret,
    uint8_t **ret_envelope, size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    scoped(free_ptr) uint8_t *envelope = malloc(DOCUMENT_MAX);
    char path[PATH_MAX];
    size_t n = 0;
    int len = snprintf(path, sizeof path, "%s/%s%s", dir, name, REQUEST_SUFFIX);

    if (!envelope || len < 0 || (size_t)len >= sizeof path)
        return err_set(err, envelope ? RC_TOO_LARGE : RC_NO_MEMORY, "%s", dir);
    enum rc rc = offline_read(path, &offline, err);

    if (rc == RC_OK && offline.request.type != type)
        rc = err_set(err, RC_DOC_TYPE, "%s holds a %s", path, doc_type_name(offline.request.type));
    if (rc == RC_OK)
        rc = collect(dir, &offline.request, envelope, &n, err);
    if (rc != RC_OK)
        return rc;
    *ret = offline;
    offline = (struct offline){ 0 };
    *ret_envelope = envelope;
    *ret_n = n;
    envelope = NULL;
    return RC_OK;
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

static enum rc ask(const char *words, struct err *err)
{
    scoped(close_fd) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char answer[16] = "";
    ssize_t n;

    if (tty < 0)
        return err_set(err, RC_NOT_CONFIRMED, "no terminal to ask on: read it, then give --yes");
    (void)dprintf(tty, "%sSign this? Type yes: ", words);
    n = read(tty, answer, sizeof answer - 1);
    if (n != 4 || memcmp(answer, "yes\n", 4) != 0)
        return err_set(err, RC_NOT_CONFIRMED, "not signed");
    return RC_OK;
}

enum rc offline_confirm(struct cli *cli, const struct request *request, struct err *err)
{
    scoped(free_ptr) char *words = NULL;
    enum rc rc = offline_words(request, &words, err);

    if (rc != RC_OK)
        return rc;
    if (!cli_flag(cli, "yes"))
        return ask(words, err);
    cli_say(cli, "%.*s", (int)strlen(words) - 1, words); /* without the last line end */
    return RC_OK;
}

enum rc offline_sign(const struct request *request, const struct sign_key *key, const char *path,
                     struct err *err)
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
    return rc == RC_OK ? path_write(path, file, 0644, err) : rc;
}
