/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/cli.h"
#include "orchestrator/fleet.h"

#define BIT(role) (1U << (role))
#define STAFF (BIT(API_VIEWER) | BIT(API_APPROVER) | BIT(API_OPERATOR) | BIT(API_SAFETY))
#define ALL (STAFF | BIT(API_TENANT))
#define MAY_STOP (BIT(API_OPERATOR) | BIT(API_SAFETY))
#define MAY_APPROVE (MAY_STOP | BIT(API_APPROVER))
#define LEVELS_MAX 32U

/* clang-format off */
const struct api_route api_routes[] = {
    { .method = "GET", .path = "/v1/me", .what = API_ME, .roles = ALL },
    { .method = "GET", .path = "/v1/openapi.json", .what = API_OPENAPI, .roles = ALL },
    { .method = "GET", .path = "/v1/events", .what = API_EVENTS, .roles = ALL },
    { .method = "GET", .path = "/metrics", .what = API_METRICS, .roles = STAFF },
    { .method = "GET", .path = "/v1/satellites", .command = "status", .list = "satellites", .key = "id", .roles = ALL,
      .options = "silent-after" },
    { .method = "GET", .path = "/v1/satellites/{}", .variable = API_NAME, .command = "ps", .roles = ALL, .options = "wide!" },
    { .method = "GET", .path = "/v1/satellites/{}/top", .variable = API_NAME, .command = "top", .list = "payloads", .roles = ALL,
      .own = API_OWN_TO, .options = "sort" },
    { .method = "GET", .path = "/v1/top", .command = "top", .list = "payloads", .roles = ALL, .own = API_OWN_TO, .options = "sort" },
    { .method = "GET", .path = "/v1/satellites/{}/drift", .variable = API_NAME, .command = "drift", .list = "drifted", .roles = ALL,
      .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/drift", .command = "drift", .list = "drifted", .roles = ALL, .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/satellites/{}/events", .variable = API_NAME, .command = "events", .list = "events", .roles = STAFF,
      .options = "last" },
    { .method = "GET", .path = "/v1/told", .command = "events", .list = "events", .roles = STAFF, .options = "last", .preset = "--last=4096" },
    { .method = "GET", .path = "/v1/rollouts", .command = "rollout list", .list = "rollouts", .key = "id", .roles = ALL,
      .own = API_OWN_ROLLOUT },
    { .method = "GET", .path = "/v1/rollouts/status", .command = "rollout status", .list = "rollouts", .key = "id", .roles = ALL,
      .own = API_OWN_ROLLOUT },
    { .method = "GET", .path = "/v1/rollouts/{}", .variable = API_NUMBER, .command = "rollout status", .list = "rollouts", .key = "id",
      .roles = ALL, .own = API_OWN_ROLLOUT },
    { .method = "GET", .path = "/v1/rollouts/{}/forecast", .variable = API_NUMBER, .command = "rollout forecast", .roles = STAFF,
      .options = "from" },
    { .method = "POST", .path = "/v1/rollouts/{}/pause", .variable = API_NUMBER, .command = "rollout pause", .list = "rollouts",
      .key = "id", .roles = MAY_STOP, .body = API_REASON, .own = API_OWN_ROLLOUT, .options = "why" },
    { .method = "POST", .path = "/v1/rollouts/{}/resume", .variable = API_NUMBER, .command = "rollout resume", .list = "rollouts",
      .key = "id", .roles = BIT(API_OPERATOR), .own = API_OWN_ROLLOUT, .options = "why" },
    { .method = "POST", .path = "/v1/rollouts/{}/promote", .variable = API_NUMBER, .command = "rollout promote", .list = "rollouts",
      .key = "id", .roles = BIT(API_OPERATOR), .own = API_OWN_ROLLOUT, .options = "why wave" },
    { .method = "POST", .path = "/v1/rollouts/{}/retry", .variable = API_NUMBER, .command = "rollout retry", .list = "rollouts",
      .key = "id", .roles = BIT(API_OPERATOR), .own = API_OWN_ROLLOUT, .options = "why on" },
    { .method = "POST", .path = "/v1/rollouts/{}/force", .variable = API_NUMBER, .command = "rollout force", .list = "rollouts",
      .key = "id", .roles = MAY_APPROVE, .body = API_WHY_NEEDED, .own = API_OWN_ROLLOUT, .options = "on" },
    { .method = "POST", .path = "/v1/rollouts/{}/abort", .variable = API_NUMBER, .command = "rollout abort", .list = "rollouts",
      .key = "id", .roles = MAY_STOP, .body = API_REASON, .own = API_OWN_ROLLOUT, .options = "why" },
    { .method = "POST", .path = "/v1/rollouts/{}/approve", .variable = API_NUMBER, .command = "rollout approve", .list = "rollouts",
      .key = "id", .roles = MAY_APPROVE, .body = API_WHY, .own = API_OWN_ROLLOUT },
    { .method = "POST", .path = "/v1/rollouts/{}/deny", .variable = API_NUMBER, .command = "rollout deny", .list = "rollouts",
      .key = "id", .roles = MAY_APPROVE, .body = API_WHY_NEEDED, .own = API_OWN_ROLLOUT },
    { .method = "GET", .path = "/v1/passes", .command = "passes", .roles = STAFF, .options = "since until" },
    { .method = "GET", .path = "/v1/satellites/{}/passes", .variable = API_NAME, .command = "passes", .roles = STAFF,
      .options = "since until" },
    { .method = "GET", .path = "/v1/commands", .command = "command list", .list = "commands", .roles = ALL, .own = API_OWN_TO,
      .options = "tenant state" },
    { .method = "GET", .path = "/v1/mail", .command = "mail list", .list = "mail", .roles = ALL, .own = API_OWN_TO,
      .options = "tenant sent!" },
    { .method = "GET", .path = "/v1/telemetry", .command = "telemetry", .list = "samples", .roles = ALL, .own = API_OWN_ALL,
      .options = "of@ since-hours" },
    { .method = "GET", .path = "/v1/logs/{}/{}/{}", .variable = API_PAYLOAD, .command = "logs", .roles = ALL, .own = API_OWN_PATH,
      .options = "since last grep cursor" },
    { .method = "GET", .path = "/v1/audit", .command = "audit log", .list = "entries", .key = "seq", .roles = STAFF, .options = "last",
      .preset = "--last=10000" },
    { .method = "GET", .path = "/v1/audit/verify", .command = "audit verify", .roles = STAFF },
    { .method = "GET", .path = "/v1/tenants", .command = "quota", .list = "tenants", .key = "id", .roles = ALL, .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/tenants/{}", .variable = API_NAME, .command = "quota", .list = "tenants", .key = "id", .roles = ALL,
      .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/packages/{}", .variable = API_NAME, .command = "packages", .list = "packages", .key = "payload",
      .roles = ALL, .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/packages", .command = "packages", .list = "packages", .key = "payload", .roles = ALL,
      .own = API_OWN_TO },
    { .method = "GET", .path = "/v1/links", .command = "link status", .list = "satellites", .key = "id", .roles = STAFF },
    { .method = "GET", .path = "/v1/links/{}", .variable = API_NAME, .command = "link status", .list = "satellites", .key = "id",
      .roles = STAFF },
    { .method = "GET", .path = "/v1/trust", .command = "trust status", .roles = STAFF },
    { .method = "GET", .path = "/v1/trust/{}", .variable = API_NAME, .command = "trust status", .roles = STAFF },
    { 0 },
};
/* clang-format on */

static const char *const role_names[API_ROLES] = { "viewer", "tenant", "approver", "operator",
                                                   "safety" };

const char *api_role_name(enum api_role role)
{
    return (unsigned)role < API_ROLES ? role_names[role] : "?";
}

bool api_role_from(const char *name, enum api_role *ret)
{
    for (unsigned i = 0; i < API_ROLES; i++) {
        if (strcmp(name, role_names[i]) == 0) {
            *ret = (enum api_role)i;
            return true;
        }
    }
    return false;
}

/* ---- matching ---------------------------------------------------------------------------------
 */

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

static enum rc take_variable(const struct parts *parts, const struct api_who *who,
                             struct api_call *ret, struct err *err)
{
    enum api_variable kind = ret->route->variable;

    if (kind == API_NO_VARIABLE)
        return RC_OK;
    if (kind == API_PAYLOAD)
        return take_payload(parts, who, ret, err);
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

const char *api_option_kind(const struct api_route *route, const char *name)
{
    const size_t n = strlen(name);

    for (const char *at = route->options; n > 0 && at && *at; at += strspn(at, " ")) {
        const size_t len = strcspn(at, " !@");
        const char *kind = at + len;

        if (len == n && strncmp(at, name, n) == 0)
            return *kind == '!' ? "!" : *kind == '@' ? "@" : "";
        at += strcspn(at, " ");
    }
    return NULL;
}

/* "acme/cam@aurora-1" is of acme, and of nobody else. */
static bool of_tenant(const char *text, const char *tenant)
{
    const size_t n = strlen(tenant);

    return strncmp(text, tenant, n) == 0 && text[n] == '/';
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
        if (ret->of[0] != '\0' || (who->role == API_TENANT && !of_tenant(p->value, who->tenant)))
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

const char *api_body_name(enum api_body body)
{
    static const char *const names[] = { "", "reason", "why", "why" };

    return names[body];
}

/* {NAME: TEXT}, or, unless it is needed, {} or nothing. */
static enum rc take_body(struct bytes body, struct api_call *ret, struct err *err)
{
    const char *name = api_body_name(ret->route->body);
    /* what is printed says itself what is missing */
    const bool needed = ret->route->body == API_WHY_NEEDED && !ret->printed;
    json_error_t why;

    if (body.n == 0 && !needed)
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

/* Whether all that the command says is of the one payload that was named. */
static bool all_own(const struct api_route *route)
{
    return route->own == API_OWN_ALL || route->own == API_OWN_PATH;
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
    if ((ret->route->roles & BIT(who->role)) == 0)
        return err_set(err, RC_API_ROLE, "%s", api_role_name(who->role));
    ret->printed = request->printed && ret->route->what == API_COMMAND;
    ret->itself = ret->printed && (who->role != API_TENANT || all_own(ret->route));
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

/* ---- answers ----------------------------------------------------------------------------------
 */

/* Keep of an object's members those that are named. */
static void keep_only(json_t *object, const char *const *names, size_t n)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, name, value)
    {
        bool keep = false;

        for (size_t i = 0; i < n; i++)
            keep = keep || strcmp(names[i], name) == 0;
        if (!keep)
            (void)json_object_del(object, name);
    }
}

/* Remove the items of a list that are of another tenant. */
static void keep_own(json_t *list, const char *tenant)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        const char *is = json_string_value(json_object_get(json_array_get(list, i), "tenant"));

        if (!is || strcmp(is, tenant) != 0)
            (void)json_array_remove(list, i);
    }
}

static bool is_there(const json_t *payload)
{
    const char *state = json_string_value(json_object_get(payload, "state"));

    return state && strcmp(state, "committed") == 0 &&
           json_equal(json_object_get(payload, "want_digest"),
                      json_object_get(payload, "observed_digest"));
}

/* The verdict as far as a tenant's payloads go: that of the whole satellite would tell how its
 * neighbours do.  Whether the satellite was heard of at all is everybody's. */
static const char *own_verdict(const json_t *satellite)
{
    const char *verdict = json_string_value(json_object_get(satellite, "verdict"));
    const json_t *payloads = json_object_get(satellite, "payloads");
    size_t n = json_array_size(payloads);

    if (!verdict || (strcmp(verdict, "synced") != 0 && strcmp(verdict, "pending") != 0))
        return verdict ? verdict : "unknown";
    for (size_t i = 0; i < n; i++)
        if (!is_there(json_array_get(payloads, i)))
            return "pending";
    return "synced";
}

/* What a tenant sees of a satellite: that it is there, how old the news are, its own payloads. */
static void own_satellite(json_t *satellite, const char *tenant)
{
    static const char *const shown[] = { "id", "verdict", "report_age_ms", "payloads" };

    keep_only(satellite, shown, sizeof shown / sizeof shown[0]);
    keep_own(json_object_get(satellite, "payloads"), tenant);
    (void)json_object_set_new(satellite, "verdict", json_string(own_verdict(satellite)));
}

/* Whether an item of a list is the tenant or of its payloads: by the first of these that it has. */
static bool own_item(const json_t *item, const char *tenant)
{
    static const char *const keys[] = { "payload", "to", "id" };
    const char *is = NULL;
    size_t i = 0;

    for (; !is && i < sizeof keys / sizeof keys[0]; i++)
        is = json_string_value(json_object_get(item, keys[i]));
    return is &&
           (of_tenant(is, tenant) || (strcmp(keys[i - 1], "id") == 0 && strcmp(is, tenant) == 0));
}

static void show_own(const struct api_call *call, const char *tenant, json_t *answer)
{
    json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;
    const bool items = call->route->own != API_OWN_SATELLITE;

    if (all_own(call->route))
        return;
    if (!list)
        own_satellite(answer, tenant);
    else
        keep_only(answer, &call->route->list, 1);
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *item = json_array_get(list, i);

        if (!items)
            own_satellite(item, tenant);
        else if (!own_item(item, tenant))
            (void)json_array_remove(list, i);
    }
}

/* How far an item lies behind another place in the list's order: by number, or by name. */
static int compare(const json_t *key, const char *cursor)
{
    if (json_is_integer(key)) {
        json_int_t at = (json_int_t)strtoll(cursor, NULL, 10);
        json_int_t is = json_integer_value(key);

        return is < at ? -1 : is > at;
    }
    return json_is_string(key) ? strcmp(json_string_value(key), cursor) : -1;
}

static bool has_label(const json_t *item, const char *label)
{
    const char *labels = json_string_value(json_object_get(item, "labels"));
    size_t n = strlen(label);

    for (const char *at = labels; at && *at;
         at += strcspn(at, ",") + (at[strcspn(at, ",")] != '\0'))
        if (strcspn(at, ",") == n && strncmp(at, label, n) == 0)
            return true;
    return false;
}

static void select_fields(json_t *object, const char *fields)
{
    char text[sizeof((struct api_call *)0)->fields];
    const char *names[sizeof text / 2 + 1];
    size_t n = 0;
    char *rest = text;

    (void)snprintf(text, sizeof text, "%s", fields);
    for (char *word = strtok_r(rest, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        names[n++] = word;
    keep_only(object, names, n);
}

static bool wanted(const struct api_call *call, const json_t *item, const json_t *key)
{
    return (call->cursor[0] == '\0' || compare(key, call->cursor) > 0) &&
           (call->label[0] == '\0' || has_label(item, call->label));
}

static json_t *cursor_of(const json_t *key)
{
    char text[24];

    if (json_is_string(key))
        return json_string(json_string_value(key));
    (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(key));
    return json_string(text);
}

/* One page of a list that is in the order of its key; what follows is told. */
static void page(const struct api_call *call, json_t *answer)
{
    const json_t *list = json_object_get(answer, call->route->list);
    json_t *items = json_array();
    json_t *next = NULL, *last = json_null();
    size_t n = json_array_size(list);

    for (size_t i = 0; i < n && !next; i++) {
        json_t *item = json_array_get(list, i);
        json_t *key = call->route->key ? json_incref(json_object_get(item, call->route->key))
                                       : json_integer((json_int_t)i + 1);

        if (wanted(call, item, key) && json_array_size(items) == call->limit) {
            next = cursor_of(last);
        } else if (wanted(call, item, key)) {
            json_decref(last);
            last = json_incref(key);
            (void)json_array_append(items, item);
        }
        json_decref(key);
    }
    json_decref(last);
    (void)json_object_set_new(answer, call->route->list, items);
    (void)json_object_set_new(answer, "next", next ? next : json_null());
}

bool api_nothing(const struct api_call *call, const json_t *answer)
{
    const json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;

    /* a list by place is what there is of the thing, and not the thing */
    return list && call->route->key && call->route->variable != API_NO_VARIABLE &&
           json_array_size(list) == 0;
}

json_t *api_shape(const struct api_call *call, const struct api_who *who, json_t *answer)
{
    if (call->route->list && json_is_array(answer))
        answer = json_pack("{s:o}", call->route->list, answer);
    json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;

    if (who->role == API_TENANT)
        show_own(call, who->tenant, answer);
    if (list && call->route->variable == API_NO_VARIABLE && !call->printed) {
        page(call, answer);
        list = json_object_get(answer, call->route->list);
    }
    if (call->fields[0] != '\0') {
        size_t n = json_array_size(list);

        for (size_t i = 0; i < n; i++)
            select_fields(json_array_get(list, i), call->fields);
        if (!list)
            select_fields(answer, call->fields);
    }
    return answer;
}

unsigned api_status(enum rc rc)
{
    static const struct {
        enum rc rc;
        unsigned status;
    } rows[] = {
        { RC_OK, 200 },
        { RC_API_REQUEST, 400 },
        { RC_USAGE, 400 },
        { RC_API_AUTH, 401 },
        { RC_API_ROLE, 403 },
        { RC_NOT_FOUND, 404 },
        { RC_NO_SATELLITE, 404 },
        { RC_NO_PACKAGE, 404 },
        { RC_ROLLOUT_STATE, 409 },
        { RC_PLAN_STALE, 409 },
        { RC_EXISTS, 409 },
        { RC_API_LIMIT, 429 },
        { RC_API_KEY, 422 },
        { RC_API_KEY_OPEN, 409 },
        { RC_APPROVAL_ROLE, 409 },
        { RC_APPROVAL_PERSON, 409 },
        { RC_APPROVAL_VOID, 403 },
        { RC_BUSY, 503 },
        { RC_NO_SPACE, 507 },
        { RC_TIMEOUT, 504 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].rc == rc)
            return rows[i].status;
    return cli_exit_of(rc) == CLI_DENIED ? 403 : 500;
}

json_t *api_error(const struct err *err, const char *fix)
{
    return json_pack("{s:{s:o, s:i, s:s, s:s, s:o}}", "error", "what", json_safe(err->what), "code",
                     (int)err->rc, "code_name", rc_name(err->rc), "why", rc_text(err->rc), "fix",
                     json_safe(fix));
}

/* ---- rates ------------------------------------------------------------------------------------
 */

bool api_rate_take(struct api_rate *rate, uint64_t key, uint64_t now_ms)
{
    size_t at = 0;

    for (size_t i = 0; i < API_RATE_KEYS; i++) {
        if (rate->bucket[i].key == key) {
            at = i;
            break;
        }
        if (rate->bucket[i].at_ms < rate->bucket[at].at_ms)
            at = i;
    }
    const uint64_t most = (uint64_t)rate->burst * 1000U;

    if (rate->bucket[at].key != key) {
        rate->bucket[at].key = key;
        rate->bucket[at].milli = most;
        rate->bucket[at].at_ms = now_ms;
    }
    uint64_t passed = now_ms > rate->bucket[at].at_ms ? now_ms - rate->bucket[at].at_ms : 0;
    uint64_t more = passed > most ? most : passed * rate->per_s;

    rate->bucket[at].at_ms = now_ms;
    rate->bucket[at].milli =
        rate->bucket[at].milli + more < most ? rate->bucket[at].milli + more : most;
    if (rate->bucket[at].milli < 1000)
        return false;
    rate->bucket[at].milli -= 1000;
    return true;
}
