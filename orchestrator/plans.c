/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plans.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "orchestrator/json.h"

#define DIR "plans"
#define NEW "new"
#define OLD "old"
#define KEPT "kept"
#define PLAN "plan"
#define PLAN_BYTES_MAX 1024U
#define TOKENS_LIST_MAX 65536U
#define BLOCK 4096U                  /* of a disk */
#define SLACK_MS (10LLU * 60 * 1000) /* a clock that was set back a little */
#define REL_CAP 256U                 /* paths below plans/ */

const struct plans_limits plans_limits = { .ms = 24LLU * 3600 * 1000,
                                           .each = 4,
                                           .all = 256,
                                           .bytes_each = 128LLU << 20U,
                                           .bytes_all = 512LLU << 20U };

/* A file takes up whole blocks of 4 KiB. */
static_assert(128LLU << 20U >= PLAN_FILES_BYTES + 5000LLU * 2 * (4096 + 8192),
              "order and token of 5,000 satellites and a key's signatures over them have room");

/* ---- what is there ----------------------------------------------------------------------------
 */

struct entry {
    char token[NAME_CAP];
    char id[PLAN_ID_CAP];
    uint64_t made_ms; /* 0 = cannot be read */
    uint64_t bytes;
    bool in_use;
};

struct listing {
    const struct plans *plans;
    bool sizes; /* wanted, which takes a look at every file */
    char token[NAME_CAP];
    size_t n, room;
    struct entry *entry;
    struct err *err;
    enum rc rc;
};

static bool is_id(const char *text)
{
    return strlen(text) == PLAN_ID_CAP - 1 && strspn(text, "0123456789abcdef") == PLAN_ID_CAP - 1;
}

static void place_of(const char *token, const char *id, char out[REL_CAP])
{
    (void)snprintf(out, REL_CAP, KEPT "/%s/%s", token, id);
}

static enum rc read_plan(const struct plans *plans, const char *place, struct plan_kept *ret,
                         struct err *err)
{
    struct plan_kept plan = { 0 };
    uint8_t text[PLAN_BYTES_MAX];
    char path[REL_CAP + sizeof "/" PLAN];
    size_t n = 0;
    const char *hash = NULL, *fleet = NULL;
    json_int_t undo = -1, life = -1, made = -1;
    int staged = 0;

    (void)snprintf(path, sizeof path, "%s/" PLAN, place);
    enum rc rc = fs_read_file(plans->dirfd, path, text, sizeof text, &n, err);

    if (rc != RC_OK)
        return rc;
    json_t *root = json_loadb((const char *)text, n, 0, NULL);
    const bool whole =
        json_unpack(root, "{s:s, s:s, s:I, s:b, s:I, s:I}", "hash", &hash, "fleet", &fleet, "undo",
                    &undo, "staged", &staged, "token_life", &life, "made_ms", &made) == 0;

    if (whole && strlen(hash) < sizeof plan.hash && undo >= 0 && life >= 0 && made > 0 &&
        (fleet[0] == '\0' ? undo > 0 : undo == 0 && plan_name_valid(fleet))) {
        memcpy(plan.hash, hash, strlen(hash) + 1);
        memcpy(plan.fleet, fleet, strlen(fleet) + 1);
        plan.undo = (uint64_t)undo;
        plan.token_life = (uint64_t)life;
        plan.made_ms = (uint64_t)made;
        plan.staged = staged != 0;
        *ret = plan;
    } else {
        rc = err_set(err, RC_STATE_DAMAGED, "%s", path);
    }
    json_decref(root);
    return rc;
}

static bool is_in_use(const struct plans *plans, const char *place)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" DIR "/%s/", plans->home->path, place);

    return n > 0 && (size_t)n < sizeof path && strncmp(plans->in_use, path, (size_t)n) == 0;
}

static bool add_plan(void *arg, const char *name)
{
    struct listing *l = arg;
    struct plan_kept plan = { 0 };
    char place[REL_CAP];
    struct err ignored;

    if (l->n == l->room) {
        const size_t room = l->room * 2 + 16;
        struct entry *more = reallocarray(l->entry, room, sizeof *more);

        if (!more) {
            l->rc = err_set(l->err, RC_NO_MEMORY, "plans");
            return false;
        }
        l->entry = more;
        l->room = room;
    }
    struct entry *e = &l->entry[l->n++];

    *e = (struct entry){ 0 };
    memcpy(e->token, l->token, sizeof e->token);
    (void)snprintf(e->id, sizeof e->id, "%s", name);
    place_of(e->token, e->id, place);
    if (is_id(name) && read_plan(l->plans, place, &plan, &ignored) == RC_OK)
        e->made_ms = plan.made_ms;
    if (l->sizes && fs_tree_usage(l->plans->dirfd, place, &e->bytes, NULL, &ignored) != RC_OK)
        e->bytes = UINT64_MAX / 1024;
    e->in_use = is_in_use(l->plans, place);
    return true;
}

static bool add_token(void *arg, const char *name)
{
    struct listing *l = arg;
    char place[REL_CAP];

    if (!name_valid(name))
        return true;
    (void)snprintf(l->token, sizeof l->token, "%s", name);
    (void)snprintf(place, sizeof place, KEPT "/%s", name);
    if (l->rc == RC_OK)
        l->rc = fs_list(l->plans->dirfd, place, TOKENS_LIST_MAX, add_plan, l, NULL, l->err);
    return l->rc == RC_OK;
}

static int by_age(const void *a, const void *b)
{
    const struct entry *one = a, *two = b;

    return one->made_ms < two->made_ms ? -1 : one->made_ms > two->made_ms;
}

/* All plans, the oldest first; the caller frees them. */
static enum rc list_all(const struct plans *plans, bool sizes, struct entry **ret, size_t *ret_n,
                        struct err *err)
{
    struct listing l = { .plans = plans, .sizes = sizes, .err = err };
    enum rc rc = fs_list(plans->dirfd, KEPT, TOKENS_LIST_MAX, add_token, &l, NULL, err);

    if (rc == RC_OK)
        rc = l.rc;
    if (rc != RC_OK) {
        free(l.entry);
        return rc;
    }
    if (l.n > 0)
        qsort(l.entry, l.n, sizeof *l.entry, by_age);
    *ret = l.entry;
    *ret_n = l.n;
    return RC_OK;
}

/* ---- removing ---------------------------------------------------------------------------------
 */

/* Renamed first: what is there under its name is whole. */
static enum rc drop(const struct plans *plans, const struct entry *e, struct err *err)
{
    char place[REL_CAP];
    enum rc rc = fs_remove_tree(plans->dirfd, OLD, err);

    place_of(e->token, e->id, place);
    if (rc == RC_OK)
        rc = fs_rename(plans->dirfd, place, plans->dirfd, OLD, true, err);
    return rc == RC_OK ? fs_remove_tree(plans->dirfd, OLD, err) : rc;
}

static bool is_over(const struct plans *plans, uint64_t made_ms, uint64_t now_ms)
{
    return made_ms == 0 || made_ms > now_ms + SLACK_MS ||
           (now_ms > made_ms && now_ms - made_ms >= plans->limits->ms);
}

static enum rc sweep(const struct plans *plans, uint64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct entry *entry = NULL;
    size_t n = 0;
    enum rc rc = fs_remove_tree(plans->dirfd, NEW, err);

    if (rc == RC_OK)
        rc = fs_remove_tree(plans->dirfd, OLD, err);
    if (rc == RC_OK)
        rc = list_all(plans, false, &entry, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (!entry[i].in_use && is_over(plans, entry[i].made_ms, now_ms))
            rc = drop(plans, &entry[i], err);
    return rc;
}

/* How much there is, of a token and of all. */
struct use {
    uint32_t each, all;
    uint64_t bytes_each, bytes_all;
};

static bool fits(const struct plans_limits *l, const struct use *u, uint64_t bytes)
{
    return u->each < l->each && u->all < l->all && u->bytes_each + bytes <= l->bytes_each &&
           u->bytes_all + bytes <= l->bytes_all;
}

/* What there is besides those in use; entries NULL = not wanted. */
static enum rc measure(const struct plans *plans, const char *token, struct use *ret,
                       struct entry **ret_entries, size_t *ret_n, struct err *err)
{
    scoped(free_ptr) struct entry *entry = NULL;
    struct use use = { 0 };
    size_t n = 0;
    enum rc rc = list_all(plans, true, &entry, &n, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        const bool own = strcmp(entry[i].token, token) == 0;

        if (entry[i].in_use)
            continue;
        use.all++;
        use.bytes_all += entry[i].bytes;
        use.each += own;
        use.bytes_each += own ? entry[i].bytes : 0;
    }
    *ret = use;
    if (ret_entries) {
        *ret_entries = entry;
        *ret_n = n;
        entry = NULL;
    }
    return RC_OK;
}

static enum rc no_space(const struct plans *plans, const struct use *use, struct err *err)
{
    return err_set(err, RC_NO_SPACE, "plans: %u are kept, of %u tokens' room", use->all,
                   plans->limits->all);
}

/* Remove the token's own, the oldest first, until one more fits; none if that would be no use. */
static enum rc make_room(const struct plans *plans, const char *token, uint64_t bytes,
                         struct err *err)
{
    scoped(free_ptr) struct entry *entry = NULL;
    struct use use, others;
    size_t n = 0;
    enum rc rc = measure(plans, token, &use, &entry, &n, err);

    if (rc != RC_OK)
        return rc;
    others = (struct use){ .all = use.all - use.each, .bytes_all = use.bytes_all - use.bytes_each };
    if (!fits(plans->limits, &others, bytes))
        return no_space(plans, &use, err);
    for (size_t i = 0; rc == RC_OK && i < n && !fits(plans->limits, &use, bytes); i++) {
        if (entry[i].in_use || strcmp(entry[i].token, token) != 0)
            continue;
        rc = drop(plans, &entry[i], err);
        use.all--;
        use.each--;
        use.bytes_all -= entry[i].bytes;
        use.bytes_each -= entry[i].bytes;
    }
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

void plans_close(struct plans *plans)
{
    close_fd(&plans->dirfd);
    close_fd(&plans->lock_fd);
}

enum rc plans_open(const struct home *home, const struct plans_limits *limits, uint64_t now_ms,
                   struct plans *ret, struct err *err)
{
    scoped(plans_close) struct plans plans = PLANS_NONE;
    struct err none;
    enum rc rc = fs_make_dirs(home->dirfd, DIR "/" KEPT, 0700, err);

    plans.home = home;
    plans.limits = limits;
    if (rc == RC_OK)
        rc = fs_open(home->dirfd, DIR, O_RDONLY | O_DIRECTORY, 0, &plans.dirfd, err);
    if (rc == RC_OK)
        rc = fs_lock(plans.dirfd, "lock", &plans.lock_fd, err);
    if (rc != RC_OK)
        return rc;
    rc = store_get(home->store, HOME_FLEET_FILE, plans.in_use, sizeof plans.in_use, &none);
    if (rc == RC_NOT_FOUND)
        plans.in_use[0] = '\0';
    else if (rc != RC_OK) {
        *err = none;
        return rc;
    }
    rc = sweep(&plans, now_ms, err);
    if (rc != RC_OK)
        return rc;
    *ret = plans;
    plans = (struct plans)PLANS_NONE;
    return RC_OK;
}

/* ---- one that is made -------------------------------------------------------------------------
 */

enum rc plans_path(const struct plans *plans, const char *token, const char *id, const char *folder,
                   const char *name, char ret[PATH_MAX], struct err *err)
{
    char place[REL_CAP] = NEW;

    if (token)
        place_of(token, id, place);
    int n = snprintf(ret, PATH_MAX, "%s/" DIR "/%s/%s%s%s", plans->home->path, place, folder,
                     name ? "/" : "", name ? name : "");

    return n > 0 && n < PATH_MAX ? RC_OK : err_set(err, RC_TOO_LARGE, "%s", plans->home->path);
}

enum rc plans_write(int dirfd, const struct plan_body *body, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < body->n; i++) {
        const struct plan_file *file = &body->file[i];

        rc = plan_name_valid(file->name)
                 ? fs_write_file(dirfd, file->name, (struct bytes){ file->bytes, file->n }, 0600,
                                 err)
                 : err_set(err, RC_NAME, "%s", file->name);
    }
    return rc;
}

enum rc plans_begin(const struct plans *plans, const struct plan_body *body, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    enum rc rc = fs_remove_tree(plans->dirfd, NEW, err);

    if (rc == RC_OK)
        rc = fs_make_dirs(plans->dirfd, NEW "/" PLANS_FILES, 0700, err);
    if (rc == RC_OK)
        rc = fs_make_dirs(plans->dirfd, NEW "/" PLANS_ASKED, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(plans->dirfd, NEW "/" PLANS_FILES, O_RDONLY | O_DIRECTORY, 0, &dirfd, err);
    return rc == RC_OK ? plans_write(dirfd, body, err) : rc;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

void plan_files_free(struct plan_file *file, size_t n)
{
    for (size_t i = 0; file && i < n; i++)
        free(file[i].bytes);
    free(file);
}

struct collecting {
    size_t n, room;
    struct plan_file *file;
    bool full;
};

static bool add_request(void *arg, const char *name)
{
    struct collecting *c = arg;
    const size_t n = strlen(name), cut = strlen(REQUEST_SUFFIX);

    if (n <= cut || n - cut >= PLAN_NAME_CAP || strcmp(name + n - cut, REQUEST_SUFFIX) != 0)
        return true;
    if (c->n == c->room) {
        const size_t room = c->room * 2 + 16;
        struct plan_file *more = reallocarray(c->file, room, sizeof *more);

        c->full = !more;
        if (!more)
            return false;
        c->file = more;
        c->room = room;
    }
    c->file[c->n] = (struct plan_file){ 0 };
    memcpy(c->file[c->n++].name, name, n - cut);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_file *)a)->name, ((const struct plan_file *)b)->name);
}

enum rc plans_asked(const struct plans *plans, struct plan_file **ret, size_t *ret_n,
                    struct err *err)
{
    struct collecting c = { 0 };
    char path[REL_CAP];
    uint64_t total = 0;
    enum rc rc = fs_list(plans->dirfd, NEW "/" PLANS_ASKED, SIZE_MAX, add_request, &c, NULL, err);

    if (rc == RC_OK && c.full)
        rc = err_set(err, RC_NO_MEMORY, "requests");
    if (rc == RC_OK && c.n > 0)
        qsort(c.file, c.n, sizeof *c.file, by_name);
    for (size_t i = 0; rc == RC_OK && i < c.n; i++) {
        (void)snprintf(path, sizeof path, NEW "/" PLANS_ASKED "/%s" REQUEST_SUFFIX, c.file[i].name);
        rc = fs_read_alloc(plans->dirfd, path, REQUEST_FILE_MAX, &c.file[i].bytes, &c.file[i].n,
                           err);
        total += c.file[i].n;
        if (rc == RC_OK && total > PLANS_ASKED_MAX)
            rc = err_set(err, RC_NO_SPACE, "requests of more than %u bytes", PLANS_ASKED_MAX);
    }
    if (rc != RC_OK) {
        plan_files_free(c.file, c.n);
        return rc;
    }
    *ret = c.file;
    *ret_n = c.n;
    return RC_OK;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

/* What the plan is and asks for; the plan's hash stands for the files. */
static enum rc make_id(struct bytes text, const struct plan_file *asked, size_t n,
                       struct plan_kept *plan, struct err *err)
{
    scoped(sha256_free) struct sha256 *h = NULL;
    struct digest digest;
    enum rc rc = sha256_new(&h, err);

    if (rc == RC_OK)
        rc = sha256_add_part(h, text, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = sha256_add_part(h, bytes_of(asked[i].name), err);
        if (rc == RC_OK)
            rc = sha256_add_part(h, (struct bytes){ asked[i].bytes, asked[i].n }, err);
    }
    if (rc == RC_OK)
        rc = sha256_end(h, digest.b, err);
    if (rc == RC_OK)
        (void)bytes_hex((struct bytes){ digest.b, sizeof digest.b }, plan->id);
    return rc;
}

static char *text_of(const struct plan_kept *plan)
{
    json_t *root =
        json_pack("{s:s, s:s, s:o, s:b, s:o, s:o}", "hash", plan->hash, "fleet", plan->fleet,
                  "undo", json_uint(plan->undo), "staged", (int)plan->staged, "token_life",
                  json_uint(plan->token_life), "made_ms", json_uint(plan->made_ms));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    return text;
}

enum rc plans_keep(const struct plans *plans, const char *token, const struct plan_file *asked,
                   size_t n, struct plan_kept *plan, struct err *err)
{
    scoped(free_ptr) char *text = text_of(plan);
    char place[REL_CAP];
    uint64_t bytes = 0;
    enum rc rc = text ? RC_OK : err_set(err, RC_NO_MEMORY, "plan");

    if (rc == RC_OK && !name_valid(token))
        rc = err_set(err, RC_NAME, "%s", token);
    if (rc == RC_OK)
        rc = make_id(bytes_of(text), asked, n, plan, err);
    if (rc == RC_OK)
        rc = fs_write_file(plans->dirfd, NEW "/" PLAN, bytes_of(text), 0600, err);
    if (rc == RC_OK)
        rc = fs_tree_usage(plans->dirfd, NEW, &bytes, NULL, err);
    if (rc == RC_OK)
        rc = make_room(plans, token, bytes, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(place, sizeof place, KEPT "/%s", token);
    rc = fs_make_dirs(plans->dirfd, place, 0700, err);
    if (rc != RC_OK)
        return rc;
    place_of(token, plan->id, place);
    rc = fs_rename(plans->dirfd, NEW, plans->dirfd, place, true, err);
    return rc == RC_EXISTS ? RC_OK : rc; /* the very same, to the millisecond */
}

enum rc plans_find(const struct plans *plans, const char *token, const char *id, uint64_t now_ms,
                   struct plan_kept *ret, struct err *err)
{
    struct plan_kept plan = { 0 };
    char place[REL_CAP];
    struct err why;

    if (!name_valid(token) || !is_id(id))
        return err_set(err, RC_NOT_FOUND, "plan");
    place_of(token, id, place);
    enum rc rc = read_plan(plans, place, &plan, &why);

    if (rc == RC_NOT_FOUND || (rc == RC_OK && is_over(plans, plan.made_ms, now_ms)))
        return err_set(err, RC_NOT_FOUND, "plan %.16s", id);
    if (rc != RC_OK) {
        *err = why;
        return rc;
    }
    memcpy(plan.id, id, PLAN_ID_CAP);
    *ret = plan;
    return RC_OK;
}

/* ---- what was signed --------------------------------------------------------------------------
 */

/* Whether a signature is one, and over the request of its name. */
static enum rc check_signature(int dirfd, const struct plan_file *file, struct err *err)
{
    scoped(free_ptr) struct request_signature *signature = calloc(1, sizeof *signature);
    scoped(free_ptr) uint8_t *bytes = NULL;
    char name[PLAN_NAME_CAP + sizeof REQUEST_SUFFIX];
    struct request request;
    struct digest digest;
    size_t n = 0;
    struct err why;

    if (!signature)
        return err_set(err, RC_NO_MEMORY, "signature");
    (void)snprintf(name, sizeof name, "%s" REQUEST_SUFFIX, file->name);
    enum rc rc = fs_read_alloc(dirfd, name, REQUEST_FILE_MAX, &bytes, &n, &why);

    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_API_REQUEST, "%s was not asked for", file->name);
    if (rc == RC_OK)
        rc = request_decode((struct bytes){ bytes, n }, &request, &why);
    if (rc == RC_OK)
        rc = sha256_of(request.payload, digest.b, &why);
    if (rc != RC_OK) {
        *err = why;
        return rc;
    }
    rc = request_signature_decode((struct bytes){ file->bytes, file->n }, signature, &why);
    if (rc != RC_OK)
        return err_set(err, rc, "%s: %s", file->name, why.what);
    return digest_same(&digest, &signature->payload) && signature->type == request.type
               ? RC_OK
               : err_set(err, RC_API_REQUEST, "%s: a signature over something else", file->name);
}

/* What a body of signatures takes up on disk, at most. */
static uint64_t room_of(const struct plan_body *body)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < body->n; i++)
        bytes += (body->file[i].n + 2 * BLOCK - 1) / BLOCK * BLOCK;
    return bytes;
}

/* The same bytes of the same place in a body have the same name.  Not durably: what is lost is
 * given again. */
static enum rc write_signature(int dirfd, const struct plan_file *file, size_t at, struct err *err)
{
    scoped(close_fd) int fd = -1;
    char name[PLAN_NAME_CAP + 64], hex[2 * DIGEST_SIZE + 1];
    struct digest digest;
    enum rc rc = sha256_of((struct bytes){ file->bytes, file->n }, digest.b, err);

    if (rc != RC_OK)
        return rc;
    (void)bytes_hex((struct bytes){ digest.b, sizeof digest.b }, hex);
    (void)snprintf(name, sizeof name, "%s.%.16s-%04zu" SIGNATURE_SUFFIX, file->name, hex, at);
    rc = fs_open(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, err);
    return rc == RC_OK ? fs_write_all(fd, (struct bytes){ file->bytes, file->n }, err) : rc;
}

static enum rc open_asked(const struct plans *plans, const char *token, const char *id, int *ret_fd,
                          struct err *err)
{
    char place[REL_CAP + sizeof "/" PLANS_ASKED], whole[REL_CAP];

    place_of(token, id, whole);
    (void)snprintf(place, sizeof place, "%s/" PLANS_ASKED, whole);
    return fs_open(plans->dirfd, place, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

enum rc plans_attach(const struct plans *plans, const char *token, const char *id,
                     const struct plan_body *body, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    struct use use;
    enum rc rc = open_asked(plans, token, id, &dirfd, err);

    for (size_t i = 0; rc == RC_OK && i < body->n; i++)
        rc = check_signature(dirfd, &body->file[i], err);
    if (rc == RC_OK)
        rc = measure(plans, token, &use, NULL, NULL, err);
    if (rc == RC_OK && (use.bytes_each + room_of(body) > plans->limits->bytes_each ||
                        use.bytes_all + room_of(body) > plans->limits->bytes_all))
        rc = no_space(plans, &use, err);
    for (size_t i = 0; rc == RC_OK && i < body->n; i++)
        rc = write_signature(dirfd, &body->file[i], i, err);
    return rc;
}

struct removing {
    int dirfd;
    struct err *err;
    enum rc rc;
};

static bool remove_signature(void *arg, const char *name)
{
    struct removing *r = arg;
    const size_t n = strlen(name), cut = strlen(SIGNATURE_SUFFIX);

    if (n > cut && strcmp(name + n - cut, SIGNATURE_SUFFIX) == 0 && unlinkat(r->dirfd, name, 0) < 0)
        r->rc = err_sys(r->err, RC_IO, "unlink %s", name);
    return r->rc == RC_OK;
}

enum rc plans_detach(const struct plans *plans, const char *token, const char *id, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    struct removing r = { .err = err };
    enum rc rc = open_asked(plans, token, id, &dirfd, err);

    r.dirfd = dirfd;
    if (rc == RC_OK)
        rc = fs_list(dirfd, ".", SIZE_MAX, remove_signature, &r, NULL, err);
    return rc == RC_OK ? r.rc : rc;
}
