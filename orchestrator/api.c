/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/cli.h"
#include "orchestrator/fleet.h"

#define PARTS_MAX 3U

/* What stands for each "{}" of a path; views. */
struct parts {
    size_t n;
    struct bytes part[PARTS_MAX];
};

/* Whether path is of this form. */
static bool is_path(const char *form, const char *path, struct parts *ret)
{
    *ret = (struct parts){ 0 };
    while (*form != '\0') {
        if (form[0] == '{' && form[1] == '}') {
            const struct bytes part = { (const uint8_t *)path, strcspn(path, "/") };

            assert(ret->n < PARTS_MAX);
            ret->part[ret->n++] = part;
            path += part.n;
            form += 2;
        } else if (*form++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static bool is_number(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 18 && text[n] == '\0' && text[0] != '0';
}

/* Of routes with this path the one of the method; *ret_path tells whether there is any. */
static const struct api_route *find(const struct api_request *q, struct parts *ret, bool *ret_path)
{
    *ret_path = false;
    for (const struct api_route *r = api_routes; r->path; r++) {
        if (!is_path(r->path, q->path, ret))
            continue;
        *ret_path = true;
        if (strcmp(r->method, q->method) == 0)
            return r;
    }
    return NULL;
}

/* Of another tenant's payload not even whether it is there is told. */
static enum rc take_payload(const struct parts *parts, const struct api_who *who,
                            struct api_call *ret, struct err *err)
{
    char name[PARTS_MAX][NAME_CAP];

    for (size_t i = 0; i < PARTS_MAX; i++)
        if (!bytes_to_text(parts->part[i], name[i], NAME_CAP) || !name_valid(name[i]))
            return err_set(err, RC_NOT_FOUND, "path");
    if (who->role == API_TENANT && strcmp(who->tenant, name[1]) != 0)
        return err_set(err, RC_NOT_FOUND, "path");
    (void)snprintf(ret->variable, sizeof ret->variable, "%s/%s@%s", name[1], name[2], name[0]);
    return RC_OK;
}

static bool is_digest(struct bytes part)
{
    for (size_t i = 0; i < part.n; i++)
        if (!strchr("0123456789abcdef", part.p[i]) || part.p[i] == '\0')
            return false;
    return part.n == 2U * DIGEST_SIZE;
}

static enum rc take_variable(const struct parts *parts, const struct api_who *who,
                             struct api_call *ret, struct err *err)
{
    enum api_variable kind = ret->route->variable;

    if (kind == API_NO_VARIABLE)
        return RC_OK;
    if (kind == API_PAYLOAD)
        return take_payload(parts, who, ret, err);
    if (kind == API_DIGEST)
        return is_digest(parts->part[0]) &&
                       bytes_to_text(parts->part[0], ret->variable, sizeof ret->variable)
                   ? RC_OK
                   : err_set(err, RC_NOT_FOUND, "path");
    if (parts->part[0].n == 0 || parts->part[0].n >= NAME_CAP ||
        !bytes_to_text(parts->part[0], ret->variable, NAME_CAP))
        return err_set(err, RC_NOT_FOUND, "path");
    /* What is printed says what is wrong with an argument; it is one, behind the options. */
    if (ret->printed         ? !text_printable(ret->variable)
        : kind == API_NUMBER ? !is_number(ret->variable)
                             : !name_valid(ret->variable))
        return err_set(err, RC_NOT_FOUND, "path");
    return RC_OK;
}

/* Words of names, one per comma. */
static bool are_fields(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_,");

    return text[n] == '\0' && text[0] != '\0';
}

static bool is_label(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-=");
    const char *equals = strchr(text, '=');

    return text[n] == '\0' && equals && equals != text && !strchr(equals + 1, '=');
}

static enum rc copy(const char *name, const char *value, char *out, size_t cap, struct err *err)
{
    if (!value || strlen(value) >= cap || out[0] != '\0')
        return err_set(err, RC_API_REQUEST, "parameter '%s'", name);
    memcpy(out, value, strlen(value) + 1);
    return RC_OK;
}

static enum rc take_limit(const char *value, struct api_call *ret, struct err *err)
{
    unsigned long n = value && is_number(value) ? strtoul(value, NULL, 10) : 0;

    if (n == 0 || n > API_LIST_MAX || ret->limit != 0)
        return err_set(err, RC_API_REQUEST, "parameter 'limit' is 1 to %u, and given once",
                       API_LIST_MAX);
    ret->limit = (uint32_t)n;
    return RC_OK;
}

/* What lists are in the order of: names, numbers, and tenant/payload. */
static bool is_cursor(const char *text)
{
    char tenant[NAME_CAP], name[NAME_CAP];

    return name_valid(text) || is_number(text) || fleet_split(text, tenant, name);
}

/* An option of the command, or its argument. */
static enum rc take_option(const struct api_param *p, const char *kind, const struct api_who *who,
                           struct api_call *ret, struct err *err)
{
    const bool flag = *kind == '!';
    const size_t room = API_OPTION_CAP - strlen(p->name) - sizeof "--=";

    if (!p->value || *p->value == '\0' || strlen(p->value) > room || !text_printable(p->value) ||
        (flag && strcmp(p->value, "true") != 0) || ret->n_options == API_OPTIONS_MAX)
        return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
    for (size_t i = 0; i < ret->n_options; i++)
        if (strncmp(ret->option[i] + 2, p->name, strlen(p->name)) == 0 &&
            strchr("=", ret->option[i][2 + strlen(p->name)]))
            return err_set(err, RC_API_REQUEST, "parameter '%.32s' comes twice", p->name);
    if (*kind == '@') {
        if (!ret->printed && *p->value == '-')
            return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
        if (ret->of[0] != '\0' ||
            (who->role == API_TENANT && !api_of_tenant(p->value, who->tenant)))
            return err_set(err, ret->of[0] != '\0' ? RC_API_REQUEST : RC_API_ROLE,
                           "parameter '%.32s'", p->name);
        (void)snprintf(ret->of, sizeof ret->of, "%s", p->value);
        return RC_OK;
    }
    (void)snprintf(ret->option[ret->n_options++], API_OPTION_CAP, flag ? "--%s" : "--%s=%s",
                   p->name, p->value);
    return RC_OK;
}

/* How what is printed is to look. */
static enum rc take_look(const struct api_param *p, struct api_call *ret, struct err *err)
{
    enum cli_form form;
    const char *value = p->value ? p->value : "";

    if (strcmp(p->name, "columns") == 0 && ret->columns == 0 && is_number(value) &&
        strlen(value) <= 4) {
        ret->columns = (unsigned)strtoul(value, NULL, 10);
        return RC_OK;
    }
    if (strcmp(p->name, "form") == 0 && ret->form[0] == '\0' && cli_form_from(value, &form)) {
        (void)snprintf(ret->form, sizeof ret->form, "--output=%s", value);
        return RC_OK;
    }
    return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
}

static enum rc take_param(const struct api_param *p, const struct api_who *who,
                          struct api_call *ret, struct err *err)
{
    const char *kind = api_option_kind(ret->route, p->name);
    enum rc rc = RC_OK;

    if (kind)
        return take_option(p, kind, who, ret, err);
    if (ret->printed)
        return take_look(p, ret, err);
    if (strcmp(p->name, "fields") == 0) {
        rc = copy(p->name, p->value, ret->fields, sizeof ret->fields, err);
        if (rc == RC_OK && !are_fields(ret->fields))
            rc = err_set(err, RC_API_REQUEST, "parameter 'fields' is names with commas");
        return rc;
    }
    if (!ret->route->list || ret->route->variable != API_NO_VARIABLE)
        return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
    if (strcmp(p->name, "limit") == 0)
        return take_limit(p->value, ret, err);
    if (strcmp(p->name, "cursor") == 0) {
        rc = copy(p->name, p->value, ret->cursor, sizeof ret->cursor, err);
        if (rc == RC_OK && !is_cursor(ret->cursor))
            rc = err_set(err, RC_API_REQUEST, "parameter 'cursor' is none that was given out");
        return rc;
    }
    if (strcmp(p->name, "label") == 0 && strcmp(ret->route->list, "satellites") == 0 &&
        who->role != API_TENANT) {
        rc = copy(p->name, p->value, ret->label, sizeof ret->label, err);
        if (rc == RC_OK && !is_label(ret->label))
            rc = err_set(err, RC_API_REQUEST, "parameter 'label' is KEY=VALUE");
        return rc;
    }
    return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
}

/* {NAME: TEXT}, or, unless it is needed, {} or nothing. */
static enum rc take_body(struct bytes body, struct api_call *ret, struct err *err)
{
    const char *name = api_body_name(ret->route->body);
    /* what is printed says itself what is missing */
    const bool needed = ret->route->body == API_WHY_NEEDED && !ret->printed;
    json_error_t why;

    if ((body.n == 0 && !needed) || ret->route->body == API_FILES)
        return RC_OK;
    if (ret->route->body == API_NO_BODY || body.n > API_BODY_MAX)
        return err_set(err, RC_API_REQUEST, "this takes no body, or none so large");
    json_t *root = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    json_t *value = json_object_get(root, name);
    const char *text = json_string_value(value);
    enum rc rc = RC_OK;

    if (!json_is_object(root) || json_object_size(root) != (value ? 1U : 0U) ||
        (needed && !value) ||
        (value && (!text || json_string_length(value) != strlen(text) || *text == '\0' ||
                   strlen(text) > API_REASON_MAX || !text_printable(text))))
        rc = err_set(err, RC_API_REQUEST,
                     "the body is {\"%s\": \"...\"}, of 1 to %u printable characters", name,
                     API_REASON_MAX);
    else if (text)
        (void)snprintf(ret->text, sizeof ret->text, "--%s=%s", name, text);
    json_decref(root);
    return rc;
}

const char *api_option_value(const struct api_call *call, const char *name)
{
    const size_t n = strlen(name);

    for (size_t i = 0; i < call->n_options; i++)
        if (strncmp(call->option[i] + 2, name, n) == 0 && call->option[i][2 + n] == '=')
            return call->option[i] + 3 + n;
    return NULL;
}

/* The words of the command line. */
static void compose(struct api_call *c)
{
    char *rest = c->command;

    if (!c->route->command)
        return;
    (void)snprintf(c->command, sizeof c->command, "%s", c->route->command);
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        c->word[c->n_words++] = word;
    if (!c->itself)
        c->word[c->n_words++] = "--json";
    else if (c->form[0] != '\0')
        c->word[c->n_words++] = c->form;
    if (c->route->preset && !c->printed)
        c->word[c->n_words++] = c->route->preset;
    for (size_t i = 0; i < c->n_options; i++)
        c->word[c->n_words++] = c->option[i];
    if (c->text[0] != '\0')
        c->word[c->n_words++] = c->text;
    c->word[c->n_words++] = "--"; /* no option comes behind it */
    if (c->variable[0] != '\0')
        c->word[c->n_words++] = c->variable;
    if (c->of[0] != '\0')
        c->word[c->n_words++] = c->of;
}

const struct api_route *api_route_of(const char *method, const char *path)
{
    const struct api_request q = { .method = method, .path = path };
    struct parts parts;
    bool known;

    return strlen(path) > API_PATH_MAX ? NULL : find(&q, &parts, &known);
}

enum rc api_match(const struct api_request *request, const struct api_who *who,
                  struct api_call *ret, struct err *err)
{
    struct parts parts;
    bool known;
    enum rc rc = RC_OK;

    *ret = (struct api_call){ 0 };
    if (strlen(request->path) > API_PATH_MAX)
        return err_set(err, RC_NOT_FOUND, "path");
    ret->route = find(request, &parts, &known);
    if (!ret->route)
        return known ? err_set(err, RC_API_REQUEST, "method of this path")
                     : err_set(err, RC_NOT_FOUND, "path");
    if ((ret->route->roles & (1U << who->role)) == 0)
        return err_set(err, RC_API_ROLE, "%s", api_role_name(who->role));
    ret->printed =
        request->printed && (ret->route->what == API_COMMAND || ret->route->what == API_PLAN_GIVE ||
                             ret->route->what == API_DELEGATION);
    ret->itself = ret->printed && (who->role != API_TENANT || api_all_own(ret->route));
    rc = take_variable(&parts, who, ret, err);
    for (size_t i = 0; rc == RC_OK && i < request->n_params; i++)
        rc = take_param(&request->param[i], who, ret, err);
    if (rc == RC_OK && ret->route->own == API_OWN_ALL && ret->of[0] == '\0')
        rc = err_set(err, RC_API_REQUEST, "parameter 'of' is missing");
    if (rc == RC_OK)
        rc = take_body(request->body, ret, err);
    if (rc != RC_OK)
        return rc;
    if (ret->limit == 0)
        ret->limit = API_LIST_DEFAULT;
    compose(ret);
    return RC_OK;
}
