/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/asked.h"

#include <stdlib.h>

#include "base/base64.h"

void asked_done(struct asked *asked)
{
    json_decref(asked->plan);
    free(asked->printed);
    free(asked->request);
    free(asked->name);
    free(asked->bytes);
    *asked = (struct asked){ .n = 0 };
}

static enum rc no_sense(const char *what, struct err *err)
{
    return err_set(err, RC_API_SERVER, "%s makes no sense", what);
}

/* How many bytes a character has that a terminal would obey; 0: it would not.  Of JSON in ASCII, in
 * which they are written as escapes. */
static size_t obeyed(const char *at)
{
    static const char digits[] = "0123456789abcdef";

    if (at[0] == '\x7f')
        return 1;
    if (at[0] != '\\')
        return 0;
    if (strchr("bfr", at[1]))
        return 2;
    if (strncmp(at, "\\u00", 4) != 0)
        return 0;
    const char *high = strchr(digits, at[4] | 0x20), *low = strchr(digits, at[5] | 0x20);
    const size_t c = high && low ? (size_t)((high - digits) * 16 + (low - digits)) : 0;

    return c < 0x20 || (c >= 0x7f && c < 0xa0) ? 6 : 0;
}

/* The same value, of which a terminal obeys nothing however it is printed: -o name prints strings
 * as they are, and JSON the control characters above 0x7f.  NULL without memory. */
static json_t *tamed(const json_t *value)
{
    scoped(free_ptr) char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
    char *to = text;

    for (const char *from = text; from && *from != '\0';) {
        const size_t skip = obeyed(from);

        if (skip > 0) {
            *to++ = '?';
            from += skip;
            continue;
        }
        if (*from == '\\')
            *to++ = *from++;
        *to++ = *from++;
    }
    return text ? json_loadb(text, (size_t)(to - text), 0, NULL) : NULL;
}

/* Lower-case digits, at most cap - 1; least is the fewest. */
static bool take_digits(const json_t *value, size_t least, char out[ASKED_ID_CAP])
{
    const char *text = json_string_value(value);
    const size_t n = text ? strlen(text) : 0;

    if (n != json_string_length(value) || n < least || n >= ASKED_ID_CAP ||
        strspn(text, "0123456789abcdef") != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static bool take_name(const json_t *value, char out[ASKED_NAME_CAP])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *text = json_string_value(value);
    const size_t n = text ? strlen(text) : 0;

    if (n == 0 || n != json_string_length(value) || n >= ASKED_NAME_CAP || strspn(text, plain) != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static enum rc take_request(const json_t *one, size_t i, size_t *at, struct asked *ret,
                            struct err *err)
{
    const json_t *bytes = json_object_get(one, "bytes");
    const struct bytes text = { (const uint8_t *)json_string_value(bytes),
                                json_string_length(bytes) };
    uint8_t *to = ret->bytes + *at;
    size_t n = 0;

    if (!take_name(json_object_get(one, "name"), ret->name[i]) || !text.p ||
        base64_decode(text, to, REQUEST_FILE_MAX, &n, err) != RC_OK)
        return no_sense("a request", err);
    ret->request[i] = (struct look_in){ .name = ret->name[i], .file = { to, n } };
    *at += n;
    return RC_OK;
}

static enum rc take_requests(const json_t *list, struct asked *ret, struct err *err)
{
    const size_t n = json_array_size(list);
    size_t room = 1, at = 0;
    enum rc rc = RC_OK;

    if (!json_is_array(list))
        return no_sense("requests", err);
    if (n > LOOK_REQUESTS_MAX)
        return err_set(err, RC_API_LIMIT, "%zu requests", n);
    for (size_t i = 0; i < n; i++)
        room += BASE64_ROOM(json_string_length(json_object_get(json_array_get(list, i), "bytes")));
    ret->bytes = malloc(room);
    ret->name = calloc(n + 1, sizeof *ret->name);
    ret->request = calloc(n + 1, sizeof *ret->request);
    if (!ret->bytes || !ret->name || !ret->request)
        return err_set(err, RC_NO_MEMORY, "requests");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = take_request(json_array_get(list, i), i, &at, ret, err);
    ret->n = n;
    return rc;
}

static enum rc take_all(const json_t *root, struct asked *ret, struct err *err)
{
    const json_t *id = json_object_get(root, "id"), *undo = json_object_get(root, "undo");
    const json_t *staged = json_object_get(root, "staged"), *plan = json_object_get(root, "plan");
    const json_t *printed = json_object_get(root, "printed");

    if (!json_is_null(id) && !take_digits(id, ASKED_ID_CAP - 1, ret->id))
        return no_sense("id", err);
    if (!take_digits(json_object_get(root, "hash"), 8, ret->hash))
        return no_sense("hash", err);
    if (!json_is_integer(undo) || json_integer_value(undo) < 0 || !json_is_boolean(staged) ||
        !json_is_object(plan) || (printed && !json_is_string(printed)))
        return no_sense("answer", err);
    ret->undo = (uint64_t)json_integer_value(undo);
    ret->staged = json_is_true(staged);
    ret->plan = tamed(plan);
    ret->printed = remote_tame(printed ? json_string_value(printed) : "",
                               printed ? json_string_length(printed) : 0);
    enum rc rc = ret->printed && ret->plan
                     ? take_requests(json_object_get(root, "requests"), ret, err)
                     : err_set(err, RC_NO_MEMORY, "answer");

    return rc == RC_OK && ret->id[0] == '\0' && ret->n > 0 ? no_sense("id", err) : rc;
}

enum rc asked_parse(unsigned status, struct bytes body, struct asked *ret,
                    char ret_fix[REMOTE_FIX_CAP], struct err *err)
{
    scoped(asked_done) struct asked asked = { .n = 0 };
    json_t *root = NULL;
    enum rc rc = body.n <= ASKED_BYTES_MAX ? RC_OK : err_set(err, RC_API_LIMIT, "answer");

    ret_fix[0] = '\0';
    if (rc == RC_OK)
        rc = remote_json(body, &root, err);
    if (rc != RC_OK)
        return rc;

    rc = status == 200 ? take_all(root, &asked, err) : remote_error(status, root, ret_fix, err);
    json_decref(root);
    if (rc == RC_OK) {
        *ret = asked;
        asked = (struct asked){ .n = 0 };
    }
    return rc;
}
