/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/observe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text(const json_t *object, const char *key, char *out, size_t cap)
{
    const char *value = json_string_value(json_object_get(object, key));

    (void)snprintf(out, cap, "%s", value ? value : "");
}

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(object, key));

    return v > 0 ? (uint64_t)v : 0;
}

static void read_payload(const json_t *j, struct seen_payload *p)
{
    char tenant[NAME_CAP];
    char name[NAME_CAP];

    text(j, "tenant", tenant, sizeof tenant);
    text(j, "name", name, sizeof name);
    (void)snprintf(p->name, sizeof p->name, "%s/%s", tenant, name);
    text(j, "observed_version", p->version, sizeof p->version);
    text(j, "want_version", p->wanted, sizeof p->wanted);
    text(j, "state", p->state, sizeof p->state);
    text(j, "code_name", p->code, sizeof p->code);
    text(j, "sent_as", p->sent, sizeof p->sent);
    text(j, "delta_refused", p->delta_refused, sizeof p->delta_refused);
    if (strcmp(p->code, "OK") == 0)
        p->code[0] = 0;
    p->running = json_is_true(json_object_get(j, "running"));
    p->restarts = number(j, "restarts");
    p->memory_kib = number(j, "memory_kib");
}

static void read_satellite(const json_t *j, struct seen_satellite *s)
{
    const json_t *payloads = json_object_get(j, "payloads");
    const json_t *events = json_object_get(j, "events");
    size_t i;
    const json_t *item;

    text(j, "id", s->id, sizeof s->id);
    text(j, "verdict", s->verdict, sizeof s->verdict);
    s->root = number(j, "root_version");
    s->report_age_ms = json_is_integer(json_object_get(j, "report_age_ms"))
                           ? number(j, "report_age_ms")
                           : UINT64_MAX;
    s->rekey = number(j, "rekey");
    (void)snprintf(s->staged, sizeof s->staged, "%lld",
                   (long long)json_integer_value(json_object_get(j, "generation_staged")));
    json_array_foreach(payloads, i, item)
    {
        if (s->n_payloads < SEEN_PAYLOADS_MAX)
            read_payload(item, &s->payload[s->n_payloads++]);
    }
    json_array_foreach(events, i, item)
    {
        if (s->n_events >= SEEN_EVENTS_MAX)
            break;

        struct seen_event *e = &s->event[s->n_events++];

        e->seq = number(item, "seq");
        e->count = number(item, "count");
        text(item, "name", e->code, sizeof e->code);
        text(item, "what", e->what, sizeof e->what);
    }
}

static void json_free(json_t **j)
{
    json_decref(*j);
}

static enum rc read_rollouts(const char *in, struct seen *seen, struct err *err)
{
    json_error_t why;
    scoped(json_free) json_t *doc = json_loads(in, 0, &why);
    const json_t *list = json_object_get(doc, "rollouts");
    size_t i;
    const json_t *item;

    if (!json_is_array(list))
        return err_set(err, RC_SCENARIO, "rollout status: %s", doc ? "no list" : why.text);
    json_array_foreach(list, i, item)
    {
        if (seen->n_rollouts >= SEEN_ROLLOUTS_MAX)
            break;

        struct seen_rollout *r = &seen->rollout[seen->n_rollouts++];

        text(item, "payload", r->payload, sizeof r->payload);
        text(item, "to", r->to, sizeof r->to);
        text(item, "state", r->state, sizeof r->state);
        text(item, "reason", r->reason, sizeof r->reason);
    }
    return RC_OK;
}

enum rc seen_read(const char *status, const char *rollouts, struct seen *ret, struct err *err)
{
    json_error_t why;
    scoped(json_free) json_t *doc = json_loads(status, 0, &why);
    const json_t *list = json_object_get(doc, "satellites");
    size_t i;
    const json_t *item;

    if (!json_is_array(list))
        return err_set(err, RC_SCENARIO, "status: %s: %.60s", doc ? "no satellites" : why.text,
                       status);
    *ret = (struct seen){ 0 };
    json_array_foreach(list, i, item)
    {
        if (ret->n_satellites < SCENARIO_SATELLITES_MAX)
            read_satellite(item, &ret->satellite[ret->n_satellites++]);
    }
    return read_rollouts(rollouts, ret, err);
}

struct condition condition_of(const struct step *step)
{
    return (struct condition){
        .satellite = step_arg(step, "satellite"),
        .payload = step_arg(step, "payload"),
        .version = step_arg(step, "version"),
        .state = step_arg(step, "state"),
        .code = step_arg(step, "code"),
        .event = step_arg(step, "event"),
        .verdict = step_arg(step, "verdict"),
        .running = step_arg(step, "running"),
        .sent = step_arg(step, "sent"),
        .refused = step_arg(step, "refused"),
        .root = step_arg(step, "root"),
        .rekey = step_arg(step, "rekey"),
        .staged = step_arg(step, "staged"),
        .rollout = step_arg(step, "rollout"),
    };
}

static bool same(const char *want, const char *got)
{
    return !want || strcmp(want, got) == 0;
}

static bool payload_holds(const struct condition *c, const struct seen_satellite *s)
{
    for (uint32_t i = 0; i < s->n_payloads; i++) {
        const struct seen_payload *p = &s->payload[i];

        if (strcmp(p->name, c->payload) == 0)
            return same(c->version, p->version) && same(c->state, p->state) &&
                   same(c->code, p->code) && same(c->running, p->running ? "yes" : "no") &&
                   same(c->sent, p->sent) && same(c->refused, p->delta_refused[0] ? "yes" : "no");
    }
    return false;
}

static bool event_holds(const struct condition *c, const struct seen_satellite *s)
{
    for (uint32_t i = 0; i < s->n_events; i++)
        if (strcmp(s->event[i].code, c->event) == 0)
            return true;
    return false;
}

static bool satellite_holds(const struct condition *c, const struct seen_satellite *s)
{
    if (!same(c->verdict, s->verdict) || !same(c->staged, s->staged))
        return false;
    if (c->root && strtoull(c->root, NULL, 10) != s->root)
        return false;
    if (c->rekey && strtoull(c->rekey, NULL, 10) != s->rekey)
        return false;
    if (c->event && !event_holds(c, s))
        return false;
    if (c->payload && !c->rollout && !payload_holds(c, s))
        return false;
    return true;
}

/* The newest rollout of the payload is the last of the list. */
static bool rollout_holds(const struct condition *c, const struct seen *seen)
{
    const struct seen_rollout *newest = NULL;

    for (uint32_t i = 0; i < seen->n_rollouts; i++)
        if (same(c->payload, seen->rollout[i].payload))
            newest = &seen->rollout[i];
    return newest && strcmp(newest->state, c->rollout) == 0 && same(c->version, newest->to);
}

bool condition_holds(const struct condition *c, const struct seen *seen)
{
    bool any = c->satellite && strcmp(c->satellite, "any") == 0;
    bool all = !c->satellite;
    uint32_t hits = 0;

    if (c->rollout)
        return rollout_holds(c, seen);
    for (uint32_t i = 0; i < seen->n_satellites; i++) {
        const struct seen_satellite *s = &seen->satellite[i];

        if ((all || any || strcmp(s->id, c->satellite) == 0) && satellite_holds(c, s))
            hits++;
    }
    return all ? hits == seen->n_satellites && hits > 0 : hits > 0;
}

const struct seen_payload *seen_payload(const struct seen *seen, const char *satellite,
                                        const char *payload)
{
    for (uint32_t i = 0; i < seen->n_satellites; i++) {
        const struct seen_satellite *s = &seen->satellite[i];

        for (uint32_t k = 0; k < s->n_payloads && strcmp(s->id, satellite) == 0; k++)
            if (strcmp(s->payload[k].name, payload) == 0)
                return &s->payload[k];
    }
    return NULL;
}
