/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/cli.h"

#define ANSWER_MAX ((size_t)64 * 1024 * 1024)

void api_answer_done(struct api_answer *answer)
{
    free(answer->text);
    *answer = (struct api_answer){ 0 };
}

void api_ran_done(struct api_ran *ran)
{
    free(ran->out);
    free(ran->err);
    *ran = (struct api_ran){ 0 };
}

struct api_answer api_answer_json(unsigned status, const char *type, json_t *value)
{
    struct api_answer answer = { .status = status, .type = type };

    answer.text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    answer.n = answer.text ? strlen(answer.text) : 0;
    json_decref(value);
    return answer;
}

static const char *fix_of(enum rc rc)
{
    switch ((int)rc) {
    case RC_API_AUTH:
        return "send 'Authorization: Bearer TOKEN'; berth token new NAME --role ROLE makes one";
    case RC_API_ROLE:
        return "ask for a token of a role that may";
    case RC_API_LIMIT:
        return "wait, and ask for less at once";
    case RC_API_KEY:
        return "send a new Idempotency-Key with every new request";
    case RC_API_KEY_OPEN:
        return "look whether it was done (berth audit log); if not, send it with a new key";
    case RC_API_REQUEST:
    case RC_NOT_FOUND:
        return "GET /v1/openapi.json says what is served";
    default:
        return "";
    }
}

struct api_answer api_answer_error(const struct err *err)
{
    struct api_answer answer =
        api_answer_json(api_status(err->rc), API_JSON, api_error(err, fix_of(err->rc)));

    answer.refused = err->rc;
    return answer;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static struct api_answer no_json(int code)
{
    struct err err = { 0 };

    (void)!err_set(&err, code == CLI_OK ? RC_API_LIMIT : RC_INTERNAL,
                   "the command ended with %d and no answer of at most %zu bytes", code,
                   ANSWER_MAX);
    return api_answer_error(&err);
}

/* All that it printed, for a client that prints it. */
static struct api_answer printed(const struct api_ran *r)
{
    json_t *out = json_stringn(r->out ? r->out : "", r->n_out);
    json_t *err = json_stringn(r->err ? r->err : "", r->n_err);

    if (!out || !err || r->n_out + r->n_err > ANSWER_MAX) {
        json_decref(out);
        json_decref(err);
        return no_json(r->code);
    }
    return api_answer_json(200, API_PRINTED,
                           json_pack("{s:i, s:b, s:o, s:o}", "exit", r->code, "again",
                                     (int)r->again, "out", out, "err", err));
}

/* What a tenant may see of an answer, printed. */
static struct api_answer shown(const struct api_call *call, json_t *answer, const struct api_ran *r)
{
    scoped(api_ran_done) struct api_ran part = { .code = r->code, .again = r->again };
    FILE *out = open_memstream(&part.out, &part.n_out);
    bool done = out && api_print(call, answer, out);
    struct err err = { 0 };

    json_decref(answer);
    if (out && fclose(out) != 0)
        done = false;
    if (done)
        return printed(&part);
    (void)!err_set(&err, RC_API_REQUEST, "parameter 'form' of this path");
    return api_answer_error(&err);
}

struct api_answer api_answer_ran(const struct api_call *call, const struct api_who *who,
                                 const struct api_ran *ran)
{
    struct err err = { 0 };

    if (call->itself)
        return printed(ran);
    json_t *answer =
        ran->out && ran->n_out <= ANSWER_MAX ? json_loadb(ran->out, ran->n_out, 0, NULL) : NULL;
    const json_t *error = json_object_get(answer, "error");

    if (!answer)
        return no_json(ran->code);
    if (error)
        return api_answer_json(api_status(rc_from_number(
                                   (uint32_t)json_integer_value(json_object_get(error, "code")))),
                               API_JSON, answer);
    answer = api_shape(call, who, answer);
    if (api_nothing(call, answer)) {
        json_decref(answer);
        (void)!err_set(&err, RC_NOT_FOUND, "%s", call->variable);
        return api_answer_error(&err);
    }
    return call->printed ? shown(call, answer, ran) : api_answer_json(200, API_JSON, answer);
}
