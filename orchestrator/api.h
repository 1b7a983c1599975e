/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api: what the HTTP API serves (docs/wire/openapi.json), without HTTP: which request
 * is which command of berth, who may make it, and which part of the answer goes out.
 *
 * Requests are hostile: a path is matched segment by segment against a table, and what is variable
 * in it has the form of a name or a number before anybody sees it.  Answers are what the command
 * prints with --json, so that the API and the command line cannot say different things.
 */
#ifndef BERTH_ORCHESTRATOR_API_H
#define BERTH_ORCHESTRATOR_API_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "orchestrator/json.h"

#define API_PATH_MAX 256U
#define API_PARAMS_MAX 10U
#define API_WORDS_MAX 20U
#define API_OPTIONS_MAX 8U
#define API_OPTION_CAP 300U
#define API_LIST_DEFAULT 100U
#define API_LIST_MAX 1000U
#define API_BODY_MAX 4096U
#define API_REASON_MAX 128U

enum api_role {
    API_VIEWER,   /* sees the whole fleet, changes nothing */
    API_TENANT,   /* sees its own payloads only */
    API_APPROVER, /* as viewer, and approves of rollouts or denies them */
    API_OPERATOR, /* as viewer, and steers rollouts */
    API_SAFETY,   /* as viewer, and may stop: pause and abort */
    API_ROLES
};

const char *api_role_name(enum api_role role); /* "viewer" ... */
bool api_role_from(const char *name, enum api_role *ret);

/* Whose token it is. */
struct api_who {
    char name[NAME_CAP];
    enum api_role role;
    char tenant[NAME_CAP]; /* of API_TENANT, else "" */
};

/* What a client that prints it all asks for: {"exit", "again", "out", "err"}, as the command itself
 * prints in a form and for a width that the parameters `form` and `columns` say. */
#define API_PRINTED "application/vnd.berth.printed+json"

/* What is served. */
enum api_what {
    API_COMMAND, /* a command's JSON */
    API_ME,      /* who the token says one is */
    API_EVENTS,  /* server-sent events, until the client goes */
    API_TOLD,    /* the same of what satellites tell of: a command that follows it */
    API_METRICS, /* text for Prometheus */
    API_OPENAPI, /* the description of all this */
    /* orders from elsewhere (orchestrator/api_plan): */
    API_PLAN_ASK,
    API_PLAN_UNDO,
    API_PLAN_GIVE,
    API_DELEGATION,
};

/* What may come with a request. */
enum api_body {
    API_NO_BODY,
    API_REASON,     /* {"reason": TEXT}, or none */
    API_WHY,        /* {"why": TEXT}, or none */
    API_WHY_NEEDED, /* {"why": TEXT} */
    API_FILES       /* as docs/wire/orders-api.md has it; larger, and read by who answers */
};

/* What the body's one member is called; "" for none. */
const char *api_body_name(enum api_body body);

/* API_PAYLOAD is three names, of a satellite, a tenant and a payload: the tenant's own or nobody's.
 * API_DIGEST is 64 digits. */
enum api_variable { API_NO_VARIABLE, API_NAME, API_NUMBER, API_PAYLOAD, API_DIGEST };

/* Which part of an answer a tenant's is: what tells. */
enum api_own {
    API_OWN_SATELLITE, /* payloads of a satellite, and of each in a list */
    API_OWN_ROLLOUT,   /* rollouts of its payloads */
    API_OWN_TO,        /* items to or from its payloads */
    API_OWN_ALL,       /* the parameter `of` names its payload */
    API_OWN_PATH,      /* the path does: API_PAYLOAD; or who asks */
    API_OWN_TRUST,     /* its grant and its teams, of the trust of all */
};

struct api_route {
    const char *method;
    const char *path; /* "{}" is the variable, or a part of it */
    enum api_what what;
    enum api_variable variable;
    const char *command; /* words before the variable: "rollout pause" */
    const char *list;    /* the answer's member that is a list, or NULL */
    const char *key;     /* of its items: in this order, and what a cursor names; NULL: by place */
    unsigned roles;      /* bits 1 << enum api_role */
    enum api_body body;
    enum api_own own;
    const char *options; /* of the command, as parameters: "since sent!", ! = a flag, which is true;
                            "of@" is its argument and must be there; NULL = none */
    const char *preset;  /* for its JSON, unless told otherwise */
};

/* The table, for whoever describes or tests it; ends with a row without a path. */
extern const struct api_route api_routes[];

/* How the route knows a parameter: what stands behind its name in the options, "" or "!" or "@";
 * NULL = it does not. */
const char *api_option_kind(const struct api_route *route, const char *name);

/* Whether "acme/cam@aurora-1", or "acme/cam", is of this tenant and of nobody else. */
bool api_of_tenant(const char *text, const char *tenant);

/* Whether all that the command says is of the one payload that was named. */
bool api_all_own(const struct api_route *route);

struct api_param {
    const char *name;
    const char *value; /* NULL = none */
};

struct api_request {
    const char *method;
    const char *path;
    size_t n_params;
    struct api_param param[API_PARAMS_MAX];
    struct bytes body;
    bool printed; /* API_PRINTED is what the client accepts */
};

/* A request that may be made.  Words are views of the call itself. */
struct api_call {
    const struct api_route *route;
    char command[64];
    char variable[3U * NAME_CAP];         /* of API_PAYLOAD TENANT/PAYLOAD@SATELLITE */
    char text[16U + API_REASON_MAX + 1U]; /* "--reason=TEXT", "--why=TEXT", or "" */
    size_t n_words;
    const char *word[API_WORDS_MAX]; /* of the command line, without the program's name */
    uint32_t limit;
    char cursor[2U * NAME_CAP];
    char fields[256]; /* comma-separated, "" = all */
    char label[2U * NAME_CAP];
    bool printed;     /* as API_PRINTED */
    bool itself;      /* ... by the command: nothing is to be taken out for a tenant */
    char form[16];    /* "--output=FORM", or "" */
    unsigned columns; /* of the client's terminal, 0 = none */
    size_t n_options;
    char option[API_OPTIONS_MAX][API_OPTION_CAP]; /* "--since=1h" */
    char of[API_OPTION_CAP];                      /* the argument that is no path's part */
};

/* The route of a method and a path; NULL = there is none. */
const struct api_route *api_route_of(const char *method, const char *path);

/* Find the route and check everything.  RC_NOT_FOUND (no such path, or not for this role to know
 * of), RC_API_REQUEST (a method, parameter or body that is not the route's), RC_API_ROLE.  ret must
 * not move afterwards: words point into it. */
must_check enum rc api_match(const struct api_request *request, const struct api_who *who,
                             struct api_call *ret, struct err *err);

/* What of a command's answer goes out: what the role sees, the page, the fields.  Takes the
 * reference `answer` over; NULL when memory is short. */
json_t *api_shape(const struct api_call *call, const struct api_who *who, json_t *answer);

/* Whether of the one thing that was asked for nothing is left to be seen: as if it were not there.
 */
bool api_nothing(const struct api_call *call, const json_t *answer);

/* Print what a role may see of an answer, which berth itself would not have printed so: in the form
 * of the call.  False: it cannot be written. */
bool api_print(const struct api_call *call, const json_t *answer, FILE *out);

/* The value of an option that came as a parameter; NULL = it did not come. */
const char *api_option_value(const struct api_call *call, const char *name);

/* The HTTP status that belongs to an error. */
unsigned api_status(enum rc rc);

/* {"error": {...}} as berth --json prints it.  NULL when memory is short. */
json_t *api_error(const struct err *err, const char *fix);

/* ---- how much at once ---- */

#define API_RATE_KEYS 1024U

/* Token buckets, of whoever came last: one that was away for longest makes room. */
struct api_rate {
    uint32_t per_s; /* refill */
    uint32_t burst;
    struct {
        uint64_t key; /* 0 = free */
        uint64_t at_ms;
        uint64_t milli; /* thousandths of a request that are left */
    } bucket[API_RATE_KEYS];
};

/* Whether one more is within the rate now; key is any hash but 0. */
bool api_rate_take(struct api_rate *rate, uint64_t key, uint64_t now_ms);

#endif
