/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_body.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/name.h"

#define FILE_SIGNS                                                                                 \
    5U /* of structure: of {"name": NAME, "bytes": BASE64}, and the comma behind it */
#define OTHER_SIGNS 64U /* ... and of the rest */
#define DEPTH_MAX 4U
#define TOKEN_DAYS_MAX 3650
#define RATE_MAX 1000000000000
#define PASS_MAX 86400

size_t plan_body_max(enum plan_body_kind kind)
{
    static const size_t max[] = { [PLAN_ASK] = PLAN_ASK_MAX,
                                  [PLAN_UNDO] = PLAN_UNDO_MAX,
                                  [PLAN_GIVE] = PLAN_GIVE_MAX,
                                  [PLAN_DELEGATION] = PLAN_DELEGATION_MAX };

    return max[kind];
}

void plan_body_done(struct plan_body *body)
{
    for (size_t i = 0; i < body->n; i++)
        free(body->file[i].bytes);
    free(body->file);
    *body = (struct plan_body){ 0 };
}

bool plan_name_valid(const char *name)
{
    static const char firsts[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-");

    return n > 0 && n < PLAN_NAME_CAP && name[n] == '\0' && strchr(firsts, name[0]) != NULL;
}

json_t *plan_file_json(const char *name, struct bytes bytes)
{
    scoped(free_ptr) char *text = malloc(BASE64_LEN(bytes.n) + 1U);

    if (!text)
        return NULL;
    base64_encode(bytes, text);
    return json_pack("{s:s, s:s}", "name", name, "bytes", text);
}

/* ---- before it is JSON ------------------------------------------------------------------------
 */

/* How many files a body of this kind may have; a document is none of them. */
static size_t files_max(enum plan_body_kind kind)
{
    return kind == PLAN_ASK ? PLAN_FILES_MAX : kind == PLAN_GIVE ? PLAN_SIGNATURES_MAX : 0;
}

/* Whether there are few values and none lies deep: a byte may become a hundred of them. */
static bool is_modest(enum plan_body_kind kind, struct bytes in)
{
    const size_t max = files_max(kind) * FILE_SIGNS + OTHER_SIGNS;
    size_t signs = 0, depth = 0;
    bool text = false;

    for (size_t i = 0; i < in.n; i++) {
        const uint8_t c = in.p[i];

        if (text) {
            i += c == '\\';
            text = c != '"';
            continue;
        }
        text = c == '"';
        signs += c == ',' || c == ':' || c == '[' || c == '{';
        if ((c == '[' || c == '{') && ++depth > DEPTH_MAX)
            return false;
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return signs <= max;
}

/* ---- members ----------------------------------------------------------------------------------
 */

enum member {
    FILES,
    SIGNATURES,
    BYTES,
    FLEET,
    STAGED,
    TOKEN_LIFE,
    DELTAS,
    RATE,
    PASS,
    COLUMNS,
    SUPERSEDE,
    DESPITE_FAILURE,
    MORE,
    WHY,
    MEMBERS
};

#define BIT(kind) (1U << (kind))
#define ASKS (BIT(PLAN_ASK) | BIT(PLAN_UNDO))

static const struct {
    const char *name;
    unsigned kinds;  /* of bodies that it may be in */
    unsigned needed; /* ... and that are nothing without it */
} members[MEMBERS] = {
    [FILES] = { "files", BIT(PLAN_ASK), BIT(PLAN_ASK) },
    [SIGNATURES] = { "signatures", BIT(PLAN_GIVE), BIT(PLAN_GIVE) },
    [BYTES] = { "bytes", BIT(PLAN_DELEGATION), BIT(PLAN_DELEGATION) },
    [FLEET] = { "fleet", BIT(PLAN_ASK), BIT(PLAN_ASK) },
    [STAGED] = { "staged", ASKS, 0 },
    [TOKEN_LIFE] = { "token_life", ASKS, 0 },
    [DELTAS] = { "deltas", BIT(PLAN_ASK), 0 },
    [RATE] = { "rate", ASKS, 0 },
    [PASS] = { "pass", ASKS, 0 },
    [COLUMNS] = { "columns", ASKS, 0 },
    [SUPERSEDE] = { "supersede", BIT(PLAN_GIVE), 0 },
    [DESPITE_FAILURE] = { "despite_failure", BIT(PLAN_GIVE), 0 },
    [MORE] = { "more", BIT(PLAN_GIVE), 0 },
    [WHY] = { "why", BIT(PLAN_GIVE), 0 },
};

struct reading {
    enum plan_body_kind kind;
    const json_t *root;
    struct plan_body *body;
    size_t total; /* bytes of files */
    struct err *err;
};

static enum rc fail(const struct reading *r, enum member m, const char *help)
{
    return err_set(r->err, RC_API_REQUEST, "'%s' %s", members[m].name, help);
}

static const json_t *get(const struct reading *r, enum member m)
{
    return json_object_get(r->root, members[m].name);
}

static enum rc take_bool(const struct reading *r, enum member m, bool *ret)
{
    const json_t *value = get(r, m);

    if (value && !json_is_boolean(value))
        return fail(r, m, "is true or false");
    if (value)
        *ret = json_is_true(value);
    return RC_OK;
}

static enum rc take_number(const struct reading *r, enum member m, json_int_t min, json_int_t max,
                           json_int_t *ret)
{
    const json_t *value = get(r, m);

    if (value && (!json_is_integer(value) || json_integer_value(value) < min ||
                  json_integer_value(value) > max))
        return err_set(r->err, RC_API_REQUEST, "'%s' is a number from %lld to %lld",
                       members[m].name, (long long)min, (long long)max);
    if (value)
        *ret = json_integer_value(value);
    return RC_OK;
}

static enum rc take_why(const struct reading *r)
{
    const json_t *value = get(r, WHY);
    const char *text = json_string_value(value);

    if (!value)
        return RC_OK;
    if (!text || *text == '\0' || strlen(text) > PLAN_WHY_MAX || !text_printable(text))
        return fail(r, WHY, "is 1 to 128 printable ASCII characters");
    memcpy(r->body->why, text, strlen(text) + 1);
    return RC_OK;
}

static enum rc take_options(const struct reading *r)
{
    struct plan_body *body = r->body;
    json_int_t life = 0, rate = 0, pass = 0, columns = -1;
    enum rc rc = take_bool(r, STAGED, &body->staged);

    if (rc == RC_OK)
        rc = take_bool(r, DELTAS, &body->deltas);
    if (rc == RC_OK)
        rc = take_bool(r, SUPERSEDE, &body->supersede);
    if (rc == RC_OK)
        rc = take_bool(r, DESPITE_FAILURE, &body->despite_failure);
    if (rc == RC_OK)
        rc = take_bool(r, MORE, &body->more);
    if (rc == RC_OK)
        rc = take_number(r, TOKEN_LIFE, 1, TOKEN_DAYS_MAX, &life);
    if (rc == RC_OK)
        rc = take_number(r, RATE, 1, RATE_MAX, &rate);
    if (rc == RC_OK)
        rc = take_number(r, PASS, 1, PASS_MAX, &pass);
    if (rc == RC_OK)
        rc = take_number(r, COLUMNS, 0, PLAN_COLUMNS_MAX, &columns);
    body->token_life = (uint64_t)life;
    body->rate = (uint64_t)rate;
    body->pass = (uint64_t)pass;
    body->columns = (int)columns;
    return rc == RC_OK ? take_why(r) : rc;
}

/* ---- files ------------------------------------------------------------------------------------
 */

/* Base64 into a file's own memory. */
static enum rc take_bytes(struct reading *r, const json_t *value, size_t max, struct plan_file *ret)
{
    const struct bytes text = { .p = (const uint8_t *)json_string_value(value),
                                .n = json_string_length(value) };
    struct err why;
    enum rc rc;

    if (!text.p)
        return err_set(r->err, RC_API_REQUEST, "'bytes' is base64");
    if (BASE64_ROOM(text.n) > max + 2U)
        return err_set(r->err, RC_TOO_LARGE, "%s: more than %zu bytes", ret->name, max);
    ret->bytes = malloc(BASE64_ROOM(text.n) + 1U);
    if (!ret->bytes)
        return err_set(r->err, RC_NO_MEMORY, "body");
    rc = base64_decode(text, ret->bytes, max, &ret->n, &why);
    if (rc != RC_OK)
        return err_set(r->err, rc == RC_TOO_LARGE ? rc : RC_API_REQUEST, "%s: 'bytes' is base64",
                       ret->name);
    r->total += ret->n;
    return r->total <= PLAN_FILES_BYTES
               ? RC_OK
               : err_set(r->err, RC_TOO_LARGE, "more than %zu bytes of files", PLAN_FILES_BYTES);
}

/* {"name": NAME, "bytes": BASE64} */
static enum rc take_file(struct reading *r, enum member m, const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, "name"));
    struct plan_body *body = r->body;
    struct plan_file *file = &body->file[body->n];

    if (json_object_size(value) != 2 || !name || !plan_name_valid(name))
        return fail(r, m, "are {\"name\": NAME, \"bytes\": BASE64}, without directories");
    for (size_t i = 0; m == FILES && i < body->n; i++)
        if (strcmp(body->file[i].name, name) == 0)
            return err_set(r->err, RC_API_REQUEST, "%s comes twice", name);
    memcpy(file->name, name, strlen(name) + 1);
    body->n++;
    return take_bytes(r, json_object_get(value, "bytes"),
                      m == FILES ? PLAN_FILES_BYTES : SIGNATURE_FILE_MAX, file);
}

static enum rc take_files(struct reading *r, enum member m)
{
    const json_t *list = get(r, m);
    const size_t n = json_array_size(list);
    enum rc rc = RC_OK;

    if (!json_is_array(list) || n > files_max(r->kind) || (m == FILES && n == 0))
        return err_set(r->err, RC_API_REQUEST, "'%s' is a list of at most %zu files",
                       members[m].name, files_max(r->kind));
    r->body->file = calloc(n + 1U, sizeof *r->body->file);
    if (!r->body->file)
        return err_set(r->err, RC_NO_MEMORY, "body");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = take_file(r, m, json_array_get(list, i));
    return rc;
}

static enum rc take_fleet(const struct reading *r)
{
    const char *name = json_string_value(get(r, FLEET));

    for (size_t i = 0; name && i < r->body->n; i++)
        if (strcmp(r->body->file[i].name, name) == 0)
            r->body->fleet = r->body->file[i].name;
    return r->body->fleet ? RC_OK : fail(r, FLEET, "is the name of one of the files");
}

static enum rc take_document(struct reading *r)
{
    r->body->file = calloc(1, sizeof *r->body->file);
    if (!r->body->file)
        return err_set(r->err, RC_NO_MEMORY, "body");
    r->body->n = 1;
    return take_bytes(r, get(r, BYTES), DOCUMENT_MAX, r->body->file);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static enum rc check_members(const struct reading *r)
{
    const char *name;
    json_t *value;

    if (!json_is_object(r->root))
        return err_set(r->err, RC_API_REQUEST, "the body is a JSON object, each member once");
    json_object_foreach((json_t *)(uintptr_t)r->root, name, value)
    {
        bool known = false;

        for (size_t m = 0; m < MEMBERS; m++)
            known = known ||
                    ((members[m].kinds & BIT(r->kind)) != 0 && strcmp(members[m].name, name) == 0);
        if (!known)
            return err_set(r->err, RC_API_REQUEST, "a member that is not known here");
    }
    for (size_t m = 0; m < MEMBERS; m++)
        if ((members[m].needed & BIT(r->kind)) != 0 && !get(r, (enum member)m))
            return fail(r, (enum member)m, "is missing");
    return RC_OK;
}

static enum rc take_all(struct reading *r)
{
    enum rc rc = check_members(r);

    if (rc == RC_OK)
        rc = take_options(r);
    if (rc != RC_OK)
        return rc;
    switch (r->kind) {
    case PLAN_ASK:
        rc = take_files(r, FILES);
        return rc == RC_OK ? take_fleet(r) : rc;
    case PLAN_GIVE:
        return take_files(r, SIGNATURES);
    case PLAN_DELEGATION:
        return take_document(r);
    case PLAN_UNDO:
        break;
    }
    return rc;
}

enum rc plan_body_read(enum plan_body_kind kind, struct bytes in, struct plan_body *ret,
                       struct err *err)
{
    scoped(plan_body_done) struct plan_body body = { .deltas = true, .columns = -1 };
    struct reading r = { .kind = kind, .body = &body, .err = err };
    const bool none = kind == PLAN_UNDO && in.n == 0;

    if (in.n > plan_body_max(kind))
        return err_set(err, RC_TOO_LARGE, "a body of more than %zu bytes", plan_body_max(kind));
    if (!none && !is_modest(kind, in))
        return err_set(err, RC_API_REQUEST, "more values than any such body has");
    json_t *root =
        none ? json_object() : json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES, NULL);

    r.root = root;
    enum rc rc = take_all(&r);

    json_decref(root);
    if (rc != RC_OK)
        return rc;
    *ret = body;
    body = (struct plan_body){ 0 };
    return RC_OK;
}
