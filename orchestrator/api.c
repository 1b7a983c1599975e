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

const struct api_route api_routes[] = {
    { "GET", "/v1/me", API_ME, API_NO_VARIABLE, NULL, NULL, NULL, ALL, API_NO_BODY },
    { "GET", "/v1/openapi.json", API_OPENAPI, API_NO_VARIABLE, NULL, NULL, NULL, ALL, API_NO_BODY },
    { "GET", "/v1/events", API_EVENTS, API_NO_VARIABLE, NULL, NULL, NULL, ALL, API_NO_BODY },
    { "GET", "/metrics", API_METRICS, API_NO_VARIABLE, NULL, NULL, NULL, STAFF, API_NO_BODY },
    { "GET", "/v1/satellites", API_COMMAND, API_NO_VARIABLE, "status", "satellites", "id", ALL,
      API_NO_BODY },
    { "GET", "/v1/satellites/{}", API_COMMAND, API_NAME, "ps", NULL, NULL, ALL, API_NO_BODY },
    { "GET", "/v1/rollouts", API_COMMAND, API_NO_VARIABLE, "rollout list", "rollouts", "id", ALL,
      API_NO_BODY },
    { "GET", "/v1/rollouts/{}", API_COMMAND, API_NUMBER, "rollout status", "rollouts", "id", ALL,
      API_NO_BODY },
    { "GET", "/v1/rollouts/{}/forecast", API_COMMAND, API_NUMBER, "rollout forecast", NULL, NULL,
      STAFF, API_NO_BODY },
    { "POST", "/v1/rollouts/{}/pause", API_COMMAND, API_NUMBER, "rollout pause", "rollouts", "id",
      MAY_STOP, API_REASON },
    { "POST", "/v1/rollouts/{}/resume", API_COMMAND, API_NUMBER, "rollout resume", "rollouts", "id",
      BIT(API_OPERATOR), API_NO_BODY },
    { "POST", "/v1/rollouts/{}/promote", API_COMMAND, API_NUMBER, "rollout promote", "rollouts",
      "id", BIT(API_OPERATOR), API_NO_BODY },
    { "POST", "/v1/rollouts/{}/abort", API_COMMAND, API_NUMBER, "rollout abort", "rollouts", "id",
      MAY_STOP, API_REASON },
    { "POST", "/v1/rollouts/{}/approve", API_COMMAND, API_NUMBER, "rollout approve", "rollouts",
      "id", MAY_APPROVE, API_WHY },
    { "POST", "/v1/rollouts/{}/deny", API_COMMAND, API_NUMBER, "rollout deny", "rollouts", "id",
      MAY_APPROVE, API_WHY_NEEDED },
    { "GET", "/v1/passes", API_COMMAND, API_NO_VARIABLE, "passes", NULL, NULL, STAFF, API_NO_BODY },
    { "GET", "/v1/satellites/{}/passes", API_COMMAND, API_NAME, "passes", NULL, NULL, STAFF,
      API_NO_BODY },
    { "GET", "/v1/audit", API_COMMAND, API_NO_VARIABLE, "audit log --last 10000", "entries", "seq",
      STAFF, API_NO_BODY },
    { "GET", "/v1/audit/verify", API_COMMAND, API_NO_VARIABLE, "audit verify", NULL, NULL, STAFF,
      API_NO_BODY },
    { "GET", "/v1/tenants", API_COMMAND, API_NO_VARIABLE, "quota", "tenants", "id", ALL,
      API_NO_BODY },
    { "GET", "/v1/packages", API_COMMAND, API_NO_VARIABLE, "packages", "packages", "payload", ALL,
      API_NO_BODY },
    { "GET", "/v1/links", API_COMMAND, API_NO_VARIABLE, "link status", "satellites", "id", STAFF,
      API_NO_BODY },
    { "GET", "/v1/logs/{}/{}/{}", API_COMMAND, API_PAYLOAD, "logs", NULL, NULL, ALL, API_NO_BODY },
    { "GET", "/v1/trust", API_COMMAND, API_NO_VARIABLE, "trust status", NULL, NULL, STAFF,
      API_NO_BODY },
    { 0 },
};

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
    ret->n = 0;
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
    if (kind == API_NUMBER ? !is_number(ret->variable) : !name_valid(ret->variable))
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

/* An option of berth logs, of characters that cannot be taken for anything else. */
static enum rc take_log_param(const struct api_param *p, struct api_call *ret, struct err *err)
{
    static const struct {
        const char *name, *option;
    } rows[] = { { "limit", "last" }, { "cursor", "cursor" }, { "since", "since" } };
    const char *option = NULL;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, p->name) == 0)
            option = rows[i].option;
    if (!option || !p->value || strlen(p->value) > 40 || ret->n_options == API_OPTIONS_MAX ||
        p->value[strspn(p->value, "0123456789abcdefghijklmnopqrstuvwxyzTZ:-")] != '\0')
        return err_set(err, RC_API_REQUEST, "parameter '%.32s'", p->name);
    if (strcmp(option, "last") == 0) {
        enum rc rc = take_limit(p->value, ret, err);

        if (rc != RC_OK)
            return rc;
    }
    (void)snprintf(ret->option[ret->n_options++], sizeof ret->option[0], "--%s=%s", option,
                   p->value);
    return RC_OK;
}

static enum rc take_param(const struct api_param *p, const struct api_who *who,
                          struct api_call *ret, struct err *err)
{
    enum rc rc = RC_OK;

    if (strcmp(p->name, "fields") == 0) {
        rc = copy(p->name, p->value, ret->fields, sizeof ret->fields, err);
        if (rc == RC_OK && !are_fields(ret->fields))
            rc = err_set(err, RC_API_REQUEST, "parameter 'fields' is names with commas");
        return rc;
    }
    if (ret->route->variable == API_PAYLOAD)
        return take_log_param(p, ret, err);
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

static bool is_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            return false;
    return true;
}

/* {NAME: TEXT}, or, unless it is needed, {} or nothing. */
static enum rc take_body(struct bytes body, struct api_call *ret, struct err *err)
{
    static const char *const names[] = { "", "reason", "why", "why" };
    const char *name = names[ret->route->body];
    bool needed = ret->route->body == API_WHY_NEEDED;
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
                   strlen(text) > API_REASON_MAX || !is_printable(text))))
        rc = err_set(err, RC_API_REQUEST,
                     "the body is {\"%s\": \"...\"}, of 1 to %u printable characters", name,
                     API_REASON_MAX);
    else if (text)
        (void)snprintf(ret->text, sizeof ret->text, "--%s=%s", name, text);
    json_decref(root);
    return rc;
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
    c->word[c->n_words++] = "--json";
    if (c->text[0] != '\0')
        c->word[c->n_words++] = c->text;
    for (size_t i = 0; i < c->n_options; i++)
        c->word[c->n_words++] = c->option[i];
    c->word[c->n_words++] = "--"; /* no option comes behind it */
    if (c->variable[0] != '\0')
        c->word[c->n_words++] = c->variable;
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
    rc = take_variable(&parts, who, ret, err);
    for (size_t i = 0; rc == RC_OK && i < request->n_params; i++)
        rc = take_param(&request->param[i], who, ret, err);
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

static bool own_rollout(const json_t *rollout, const char *tenant)
{
    const char *payload = json_string_value(json_object_get(rollout, "payload"));
    size_t n = strlen(tenant);

    return payload && strncmp(payload, tenant, n) == 0 && payload[n] == '/';
}

/* Whether an item that names its owner in a member is the tenant's. */
static bool owns(const json_t *item, const char *member, const char *tenant)
{
    const char *owner = json_string_value(json_object_get(item, member));

    return owner && strcmp(owner, tenant) == 0;
}

static bool is_own(const char *list, const json_t *item, const char *tenant)
{
    if (strcmp(list, "rollouts") == 0)
        return own_rollout(item, tenant);
    if (strcmp(list, "tenants") == 0)
        return owns(item, "id", tenant);
    return strcmp(list, "packages") == 0 && owns(item, "tenant", tenant);
}

static void show_own(const struct api_call *call, const char *tenant, json_t *answer)
{
    json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;
    const bool satellites = call->route->list && strcmp(call->route->list, "satellites") == 0;

    if (!list)
        own_satellite(answer, tenant);
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *item = json_array_get(list, i);

        if (satellites)
            own_satellite(item, tenant);
        else if (!is_own(call->route->list, item, tenant))
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

/* One page of a list that is in the order of its key; what follows is told. */
static json_t *page(const struct api_call *call, const json_t *list)
{
    json_t *items = json_array();
    json_t *next = json_null();
    json_t *last = NULL;
    size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        json_t *item = json_array_get(list, i);
        json_t *key = json_object_get(item, call->route->key);

        if ((call->cursor[0] != '\0' && compare(key, call->cursor) <= 0) ||
            (call->label[0] != '\0' && !has_label(item, call->label)))
            continue;
        if (json_array_size(items) == call->limit) {
            char text[2U * NAME_CAP] = "";

            if (json_is_integer(last))
                (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(last));
            next = json_is_integer(last) ? json_string(text) : json_incref(last);
            break;
        }
        last = key;
        (void)json_array_append(items, item);
    }
    return json_pack("{s:o, s:o}", call->route->list, items, "next", next);
}

bool api_nothing(const struct api_call *call, const json_t *answer)
{
    const json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;

    return list && call->route->variable != API_NO_VARIABLE && json_array_size(list) == 0;
}

json_t *api_shape(const struct api_call *call, const struct api_who *who, json_t *answer)
{
    if (call->route->list && json_is_array(answer))
        answer = json_pack("{s:o}", call->route->list, answer);
    json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;

    if (who->role == API_TENANT && call->route->variable != API_PAYLOAD)
        show_own(call, who->tenant, answer);
    if (list && call->route->variable == API_NO_VARIABLE) {
        json_t *shaped = page(call, list);

        json_decref(answer);
        answer = shaped;
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
