/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_shape: what of an answer goes out: a tenant's part, a page, some members; and
 * what an error looks like.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/api.h"
#include "orchestrator/cli.h"

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
    return is && (api_of_tenant(is, tenant) ||
                  (strcmp(keys[i - 1], "id") == 0 && strcmp(is, tenant) == 0));
}

/* What a tenant signs a delegation by: the mission, its grant, its teams. */
static void own_trust(json_t *trust, const char *tenant)
{
    static const char *const shown[] = { "mission", "root_version", "grants", "teams" };

    keep_only(trust, shown, sizeof shown / sizeof shown[0]);
    keep_own(json_object_get(trust, "grants"), tenant);
    keep_own(json_object_get(trust, "teams"), tenant);
}

static void show_own(const struct api_call *call, const char *tenant, json_t *answer)
{
    json_t *list = call->route->list ? json_object_get(answer, call->route->list) : NULL;
    const bool items = call->route->own != API_OWN_SATELLITE;

    if (api_all_own(call->route))
        return;
    if (call->route->own == API_OWN_TRUST)
        own_trust(answer, tenant);
    else if (!list)
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
        { RC_TOO_LARGE, 413 },
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
    return cli_exit_of(rc) == CLI_DENIED ? 403 : rc_class(rc) == RC_CLASS_REFUSED ? 409 : 500;
}

json_t *api_error(const struct err *err, const char *fix)
{
    return json_pack("{s:{s:o, s:i, s:s, s:s, s:o}}", "error", "what", json_safe(err->what), "code",
                     (int)err->rc, "code_name", rc_name(err->rc), "why", rc_text(err->rc), "fix",
                     json_safe(fix));
}
