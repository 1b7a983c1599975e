/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/remote.h"

#include <stdlib.h>
#include <sys/random.h>

#include "orchestrator/api.h"
#include "orchestrator/fetch.h"
#include "orchestrator/mail.h"
#include "orchestrator/remote_follow.h"
#include "orchestrator/remote_orders.h"
#include "orchestrator/screen.h"

bool remote_knows(const char *command)
{
    for (const struct api_route *r = api_routes; r->path; r++)
        if (r->command && strcmp(r->command, command) == 0)
            return true;
    return remote_orders_find(command) != NULL;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* Whether the command follows what some request streams. */
static bool follows(const struct cli *cli)
{
    for (const struct api_route *r = api_routes; r->path && cli_flag(cli, "follow"); r++)
        if (r->what == API_TOLD && strcmp(r->command, cli->command->name) == 0)
            return true;
    return false;
}

/* The one that takes as many arguments as were given. */
static const struct api_route *route_of(const struct cli *cli)
{
    const enum api_what what = follows(cli) ? API_TOLD : API_COMMAND;

    for (const struct api_route *r = api_routes; r->path; r++) {
        const size_t takes = r->variable != API_NO_VARIABLE || r->own == API_OWN_ALL ? 1 : 0;

        if (r->command && r->what == what && strcmp(r->command, cli->command->name) == 0 &&
            takes == cli->n_args)
            return r;
    }
    return NULL;
}

struct text {
    char *p;
    size_t n, cap;
    bool full;
};

static void put(struct text *t, const char *text)
{
    const size_t n = strlen(text);

    if (t->full || n >= t->cap - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->p + t->n, text, n + 1);
    t->n += n;
}

/* With every byte that could mean something written as %XX. */
static void put_escaped(struct text *t, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";

    for (; *text; text++) {
        char one[4] = { *text };

        if (!strchr(plain, *text))
            (void)snprintf(one, sizeof one, "%%%02X", (unsigned)(unsigned char)*text);
        put(t, one);
    }
}

static void put_param(struct text *t, const char *name, const char *value)
{
    put(t, strchr(t->p, '?') ? "&" : "?");
    put(t, name);
    put(t, "=");
    put_escaped(t, value);
}

static bool is_common(const char *name)
{
    static const char *const names[] = { "home", "context", "output", "json", "watch", "help" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static enum rc put_options(const struct cli *cli, const struct api_route *route, struct text *t,
                           const char **ret_text, struct err *err)
{
    const char *body = api_body_name(route->body);

    for (size_t i = 0; i < cli->n_values; i++) {
        const char *name = cli->values[i].name, *value = cli->values[i].value;

        if (is_common(name) || (route->what == API_TOLD && strcmp(name, "follow") == 0))
            continue;
        if (value && strcmp(name, body) == 0)
            *ret_text = value;
        else if (api_option_kind(route, name))
            put_param(t, name, value ? value : "true");
        else
            return err_set(err, RC_CONTEXT_LOCAL, "--%s", name);
    }
    return RC_OK;
}

static enum rc put_body(const char *name, const char *value, struct remote_request *ret,
                        struct err *err)
{
    json_t *body = value ? json_pack("{s:s}", name, value) : NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    const bool fits = !value || (text && strlen(text) < sizeof ret->body);

    if (text && fits)
        (void)snprintf(ret->body, sizeof ret->body, "%s", text);
    json_decref(body);
    free(text);
    return fits ? RC_OK : err_set(err, RC_API_REQUEST, "--%s", name);
}

/* The path, with what was given in the place of each "{}". */
static enum rc put_path(const struct cli *cli, const struct api_route *route, struct text *t,
                        struct err *err)
{
    char satellite[NAME_CAP] = "";
    struct mail to = { .size = 0 };
    const char *const parts[] = { satellite, to.tenant, to.payload }, *const one = cli_arg(cli, 0);
    size_t n = 0;

    if (route->variable == API_PAYLOAD) {
        enum rc rc = mail_parse_to(one, &to, satellite, err);

        if (rc != RC_OK)
            return rc;
    }
    for (const char *form = route->path; *form; form++) {
        if (form[0] == '{') {
            put_escaped(t, route->variable == API_PAYLOAD ? parts[n++] : one);
            form++;
        } else {
            put(t, (const char[]){ *form, '\0' });
        }
    }
    return RC_OK;
}

enum rc remote_make(const struct cli *cli, unsigned columns, struct remote_request *ret,
                    struct err *err)
{
    const struct api_route *route = route_of(cli);
    struct text t = { .p = ret->path, .cap = sizeof ret->path };
    const char *text = NULL;
    char number[12];

    *ret = (struct remote_request){ 0 };
    if (!route)
        return err_set(err, RC_CONTEXT_LOCAL, "berth %s %s", cli->command->name,
                       cli_arg(cli, 0) ? cli_arg(cli, 0) : "");
    ret->method = route->method;
    enum rc rc = put_path(cli, route, &t, err);

    if (rc != RC_OK)
        return rc;
    if (route->what == API_COMMAND)
        put_param(&t, "form", cli_form_name(cli->form));
    (void)snprintf(number, sizeof number, "%u", columns);
    if (columns > 0)
        put_param(&t, "columns", number);
    if (route->own == API_OWN_ALL)
        put_param(&t, "of", cli_arg(cli, 0));
    rc = put_options(cli, route, &t, &text, err);
    if (rc == RC_OK && t.full)
        rc = err_set(err, RC_API_REQUEST, "more than an API takes");
    return rc == RC_OK ? put_body(api_body_name(route->body), text, ret, err) : rc;
}

/* ---- what comes back --------------------------------------------------------------------------
 */

void remote_answer_done(struct remote_answer *answer)
{
    free(answer->out);
    free(answer->err);
    *answer = (struct remote_answer){ 0 };
}

char *remote_tame(const char *text, size_t n)
{
    char *copy = malloc(n + 1);

    for (size_t i = 0; copy && i <= n; i++) {
        const unsigned char c = i < n ? (unsigned char)text[i] : 0;
        const bool two =
            i > 0 && i < n && (unsigned char)text[i - 1] == 0xc2 && c < 0xa0 && c >= 0x80;

        copy[i] =
            i == n || (c >= 0x20 && c != 0x7f && !two) || c == '\n' || c == '\t' ? (char)c : '?';
        if (two)
            copy[i - 1] = '?';
    }
    return copy;
}

enum rc remote_json(struct bytes body, json_t **ret, struct err *err)
{
    size_t values = 0;
    bool text = false;

    /* in a string they are characters, and a command prints many of them */
    for (size_t i = 0; i < body.n; i++) {
        if (text && body.p[i] == '\\')
            i++;
        else if (body.p[i] == '"')
            text = !text;
        else
            values += !text && (body.p[i] == ',' || body.p[i] == '[' || body.p[i] == '{');
    }
    if (values > REMOTE_VALUES_MAX)
        return err_set(err, RC_API_LIMIT, "answer");
    *ret = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    return RC_OK;
}

enum rc remote_error(unsigned status, const json_t *root, char ret_fix[REMOTE_FIX_CAP],
                     struct err *err)
{
    const json_t *error = json_object_get(root, "error");
    const char *what = json_string_value(json_object_get(error, "what"));
    const char *fix = json_string_value(json_object_get(error, "fix"));
    const json_int_t code = json_integer_value(json_object_get(error, "code"));
    char text[sizeof err->what];

    if (!what || !fix || code <= 0 || code > UINT16_MAX)
        return err_set(err, RC_API_SERVER, "HTTP status %u", status);
    (void)screen_safe(fix, ret_fix, REMOTE_FIX_CAP);
    const enum rc rc = rc_from_number((uint32_t)code);

    return err_set(err, rc == RC_OK ? RC_API_SERVER : rc, "%s",
                   screen_safe(what, text, sizeof text));
}

enum rc remote_answer_parse(unsigned status, struct bytes body, struct remote_answer *ret,
                            char ret_fix[REMOTE_FIX_CAP], struct err *err)
{
    json_t *root = NULL;
    enum rc rc = remote_json(body, &root, err);
    const json_t *code = json_object_get(root, "exit"), *again = json_object_get(root, "again");
    const json_t *out = json_object_get(root, "out"), *why = json_object_get(root, "err");
    struct remote_answer answer = { .exit = (int)json_integer_value(code),
                                    .again = json_is_true(again) };

    ret_fix[0] = '\0';
    if (rc == RC_OK && status != 200)
        rc = remote_error(status, root, ret_fix, err);
    else if (rc == RC_OK && (!json_is_integer(code) || !json_is_boolean(again) ||
                             !json_is_string(out) || !json_is_string(why) ||
                             json_integer_value(code) < 0 || json_integer_value(code) > 255))
        rc = err_set(err, RC_API_SERVER, "not what a command prints");
    if (rc == RC_OK) {
        answer.out = remote_tame(json_string_value(out), json_string_length(out));
        answer.err = remote_tame(json_string_value(why), json_string_length(why));
        if (!answer.out || !answer.err)
            rc = err_set(err, RC_NO_MEMORY, "answer");
    }
    json_decref(root);
    if (rc == RC_OK)
        *ret = answer;
    else
        remote_answer_done(&answer);
    return rc;
}

/* ---- running ----------------------------------------------------------------------------------
 */

enum rc remote_key(char out[REMOTE_KEY_CAP], struct err *err)
{
    uint8_t random[(REMOTE_KEY_CAP - 1U) / 2U];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(err, RC_IO, "random");
    (void)bytes_hex((struct bytes){ random, sizeof random }, out);
    return RC_OK;
}

static enum rc ask(const struct cli *cli, struct remote_answer *ret, char fix[REMOTE_FIX_CAP],
                   struct err *err)
{
    scoped(fetched_done) struct fetched got = { 0 };
    struct remote_request request;
    char key[REMOTE_KEY_CAP] = "";
    const size_t columns = cli->form == CLI_TABLE || cli->form == CLI_WIDE ? screen_width(cli) : 0;
    enum rc rc = remote_make(cli, columns < 9999 ? (unsigned)columns : 9999U, &request, err);
    const bool change = rc == RC_OK && strcmp(request.method, "GET") != 0;

    if (rc != RC_OK)
        (void)snprintf(fix, REMOTE_FIX_CAP, "berth %s --help%s", cli->command->name,
                       rc == RC_CONTEXT_LOCAL ? ", on the ground itself" : "");
    if (change)
        rc = remote_key(key, err);
    if (rc != RC_OK)
        return rc;
    const struct fetch fetch = { .method = request.method,
                                 .path = request.path,
                                 .accept = API_PRINTED,
                                 .idempotency = change ? key : NULL,
                                 .body = bytes_of(request.body) };

    rc = fetch_run(cli->context, &fetch, &got, err);
    return rc == RC_OK ? remote_answer_parse(got.status, got.body, ret, fix, err) : rc;
}

int remote_fail(struct cli *cli, const struct err *err, const char *fix)
{
    return fix[0] != '\0' ? cli_fail(cli, err, "%s", fix)
                          : cli_fail(cli, err,
                                     "berth context show %s: is berth-api there, with this "
                                     "certificate and token?",
                                     cli->context->name);
}

int remote_print(struct cli *cli, const struct remote_answer *answer)
{
    (void)fputs(answer->out, cli->out);
    (void)fputs(answer->err, cli->err);
    cli->again = answer->again;
    return answer->exit;
}

int remote_run(struct cli *cli)
{
    scoped(remote_answer_done) struct remote_answer answer = { 0 };
    char fix[REMOTE_FIX_CAP] = "";
    struct err err = { 0 };

    remote_orders_run *orders = remote_orders_find(cli->command->name);

    if (orders)
        return orders(cli);
    if (follows(cli))
        return remote_follow(cli);
    if (ask(cli, &answer, fix, &err) != RC_OK) {
        cli->again = false;
        return remote_fail(cli, &err, fix);
    }
    return remote_print(cli, &answer);
}
