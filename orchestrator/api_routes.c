/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_routes: the table of all that the API serves, and what it says of a route.
 */
#include "orchestrator/api.h"

#define BIT(role) (1U << (role))
#define STAFF (BIT(API_VIEWER) | BIT(API_APPROVER) | BIT(API_OPERATOR) | BIT(API_SAFETY))
#define ALL (STAFF | BIT(API_TENANT))
#define MAY_STOP (BIT(API_OPERATOR) | BIT(API_SAFETY))
#define MAY_APPROVE (MAY_STOP | BIT(API_APPROVER))

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
    { .method = "GET", .path = "/v1/satellites/{}/events/stream", .what = API_TOLD, .variable = API_NAME, .command = "events",
      .roles = STAFF, .options = "last" },
    { .method = "GET", .path = "/v1/told/stream", .what = API_TOLD, .command = "events", .roles = STAFF, .options = "last" },
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
    { .method = "POST", .path = "/v1/rollouts/{}/undo", .what = API_PLAN_UNDO, .variable = API_NUMBER, .roles = BIT(API_OPERATOR),
      .body = API_FILES },
    { .method = "POST", .path = "/v1/plans", .what = API_PLAN_ASK, .roles = BIT(API_OPERATOR), .body = API_FILES },
    { .method = "POST", .path = "/v1/plans/{}/apply", .what = API_PLAN_GIVE, .variable = API_DIGEST, .roles = BIT(API_OPERATOR),
      .body = API_FILES },
    { .method = "POST", .path = "/v1/delegations", .what = API_DELEGATION, .roles = BIT(API_TENANT), .body = API_FILES,
      .own = API_OWN_PATH },
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
    { .method = "GET", .path = "/v1/trust", .command = "trust status", .roles = ALL, .own = API_OWN_TRUST },
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

const char *api_body_name(enum api_body body)
{
    static const char *const names[] = { "", "reason", "why", "why", "" };

    return names[body];
}

bool api_of_tenant(const char *text, const char *tenant)
{
    const size_t n = strlen(tenant);

    return strncmp(text, tenant, n) == 0 && text[n] == '/';
}

bool api_all_own(const struct api_route *route)
{
    return route->own == API_OWN_ALL || route->own == API_OWN_PATH;
}
