/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/look.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/token.h"
#include "orchestrator/cli.h"

#define ORDER_NAME "order-"
#define TOKEN_NAME "token-"

/* One request that passed. */
struct looked {
    struct request request;
    const char *satellite; /* of its name */
    struct order *order;   /* owned; NULL: a token */
    struct digest digest;  /* of an order's payload */
    uint64_t generation;   /* what was remembered for an order: see signed_next */
    struct digest content;
};

struct look {
    size_t n;
    struct looked *item;
    size_t n_questions;
    struct look_question question[LOOK_QUESTIONS_MAX];
};

/* What the steps of look_make share. */
struct looking {
    const struct look_rules *rules;
    struct look *look;
    struct signed_before *before; /* of the order's satellite */
    const struct order *order;
    bool undoes; /* the one payload that an undo may change is known: */
    char tenant[NAME_CAP], name[NAME_CAP];
    struct err *err;
};

void look_free(struct look **look)
{
    if (*look) {
        for (size_t i = 0; i < (*look)->n; i++)
            free((*look)->item[i].order);
        free((*look)->item);
    }
    free(*look);
    *look = NULL;
}

size_t look_requests(const struct look *look)
{
    return look->n;
}

const struct request *look_at(const struct look *look, size_t i)
{
    assert(i < look->n);
    return &look->item[i].request;
}

const struct order *look_order(const struct look *look, size_t i)
{
    assert(i < look->n);
    return look->item[i].order;
}

struct signed_next look_next(const struct look *look, size_t i)
{
    assert(i < look->n && look->item[i].order);
    return (struct signed_next){ .order = look->item[i].order,
                                 .generation = look->item[i].generation,
                                 .content = look->item[i].content };
}

size_t look_unknown(const struct look *look, const char **ret_satellite)
{
    size_t n = 0;

    *ret_satellite = NULL;
    for (size_t i = 0; i < look->n; i++)
        if (look->item[i].order && look->item[i].generation == 0 && n++ == 0)
            *ret_satellite = look->item[i].satellite;
    return n;
}

enum rc look_take(const struct look *look, size_t i, const struct request **ret, struct err *err)
{
    for (size_t k = 0; k < look->n_questions; k++) {
        const struct look_question *q = &look->question[k];

        if (!q->answered)
            return err_set(err, RC_NOT_CONFIRMED, "%s/%s %s", q->tenant, q->name, q->version);
    }
    *ret = look_at(look, i);
    return RC_OK;
}

size_t look_questions(const struct look *look)
{
    return look->n_questions;
}

struct look_question *look_question(struct look *look, size_t i)
{
    assert(i < look->n_questions);
    return &look->question[i];
}

size_t look_confirm(struct look *look, const struct digest *manifest)
{
    size_t n = 0;

    for (size_t i = 0; i < look->n_questions; i++) {
        struct look_question *q = &look->question[i];

        if (q->kind == LOOK_DIGEST && digest_same(&q->manifest, manifest)) {
            q->answered = true;
            n++;
        }
    }
    return n;
}

/* ---- questions --------------------------------------------------------------------------------
 */

static bool same_payload(const char *tenant_a, const char *name_a, const char *tenant_b,
                         const char *name_b)
{
    return strcmp(tenant_a, tenant_b) == 0 && strcmp(name_a, name_b) == 0;
}

/* Ask, once for all satellites.  A version is one manifest: where the file names it, two would be
 * two answers. */
static enum rc ask(struct looking *l, const struct look_question *question)
{
    struct look *look = l->look;

    for (size_t i = 0; i < look->n_questions; i++) {
        struct look_question *q = &look->question[i];

        if (q->kind != question->kind || strcmp(q->version, question->version) != 0 ||
            !same_payload(q->tenant, q->name, question->tenant, question->name))
            continue;
        if (digest_same(&q->manifest, &question->manifest)) {
            q->satellites++;
            q->older = q->older || question->older;
            return RC_OK;
        }
        if (q->version[0] != '\0')
            return err_set(l->err, RC_DIGEST_MISMATCH, "%s: another %s/%s %s than on %s",
                           question->satellite, q->tenant, q->name, q->version, q->satellite);
    }
    if (look->n_questions == LOOK_QUESTIONS_MAX)
        return err_set(l->err, RC_TOO_LARGE, "more than %u versions without a digest",
                       LOOK_QUESTIONS_MAX);
    look->question[look->n_questions] = *question;
    look->question[look->n_questions++].satellites = 1;
    return RC_OK;
}

static enum rc ask_about(struct looking *l, enum look_kind kind, const char *tenant,
                         const char *name, const char *version, const struct digest *manifest)
{
    struct look_question q = { .kind = kind };

    (void)snprintf(q.satellite, sizeof q.satellite, "%s", l->order->satellite);
    (void)snprintf(q.tenant, sizeof q.tenant, "%s", tenant);
    (void)snprintf(q.name, sizeof q.name, "%s", name);
    (void)snprintf(q.version, sizeof q.version, "%s", version);
    if (manifest) {
        q.manifest = *manifest;
        q.older = !signed_names(l->before, tenant, name, manifest, true) &&
                  signed_names(l->before, tenant, name, manifest, false);
    }
    return ask(l, &q);
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static const struct order_line *find_line(const struct order *order, const char *tenant,
                                          const char *name)
{
    for (uint32_t i = 0; i < order->n_lines; i++)
        if (same_payload(order->line[i].tenant, order->line[i].name, tenant, name))
            return &order->line[i];
    return NULL;
}

/* The line of the newest order that was signed here, NULL if it had none. */
static const struct signed_line *newest_line(const struct signed_before *before, const char *tenant,
                                             const char *name)
{
    for (uint32_t i = 0; i < before->n_newest; i++)
        if (same_payload(before->line[i].tenant, before->line[i].name, tenant, name))
            return &before->line[i];
    return NULL;
}

/* `hold` leaves what is ordered as it is: as far as this machine knows that. */
static enum rc check_held(struct looking *l, const struct fleet_want *want,
                          const struct order_line *line)
{
    if (line && signed_names(l->before, line->tenant, line->name, &line->manifest, true))
        return RC_OK;
    if (line)
        return ask_about(l, LOOK_DIGEST, line->tenant, line->name, "", &line->manifest);
    return newest_line(l->before, want->tenant, want->name)
               ? ask_about(l, LOOK_STOP, want->tenant, want->name, "", NULL)
               : RC_OK;
}

/* The digest that the file gives this version: here, or where it wants it elsewhere. */
static const struct digest *digest_of(const struct fleet *fleet, const struct fleet_want *want)
{
    if (want->has_digest)
        return &want->manifest;
    for (uint32_t i = 0; i < fleet->n_wants; i++) {
        const struct fleet_want *other = &fleet->want[i];

        if (other->has_digest && strcmp(other->version, want->version) == 0 &&
            same_payload(other->tenant, other->name, want->tenant, want->name))
            return &other->manifest;
    }
    return NULL;
}

static enum rc check_want(struct looking *l, const struct fleet_want *want,
                          const struct order_line *line)
{
    if (want->hold)
        return check_held(l, want, line);
    if (!line)
        return err_set(l->err, RC_LOOK_ORDER, "%s: without %s/%s, which the file wants there",
                       l->order->satellite, want->tenant, want->name);
    const struct digest *digest = digest_of(l->rules->fleet, want);

    if (!digest)
        return ask_about(l, LOOK_DIGEST, want->tenant, want->name, want->version, &line->manifest);
    return digest_same(digest, &line->manifest)
               ? RC_OK
               : err_set(l->err, RC_DIGEST_MISMATCH, "%s: %s/%s %s", l->order->satellite,
                         want->tenant, want->name, want->version);
}

/* Exactly what the file wants on this satellite. */
static enum rc check_by_file(struct looking *l)
{
    const struct fleet *fleet = l->rules->fleet;
    const struct fleet_satellite *sat = NULL;
    bool wanted[PAYLOADS_MAX] = { false };
    enum rc rc = RC_OK;

    for (uint32_t i = 0; i < fleet->n_satellites && !sat; i++)
        if (strcmp(fleet->satellite[i].id, l->order->satellite) == 0)
            sat = &fleet->satellite[i];
    if (!sat)
        return err_set(l->err, RC_NO_SATELLITE, "%s is not in %.30s", l->order->satellite,
                       fleet->source);
    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_wants; i++) {
        const struct fleet_want *want = &fleet->want[i];

        if (!fleet_matches(sat, &want->select))
            continue;
        const struct order_line *line = find_line(l->order, want->tenant, want->name);

        if (line)
            wanted[line - l->order->line] = true;
        rc = check_want(l, want, line);
    }
    for (uint32_t i = 0; rc == RC_OK && i < l->order->n_lines; i++)
        if (!wanted[i])
            rc = err_set(l->err, RC_LOOK_ORDER, "%s: %s/%s, which the file does not want there",
                         l->order->satellite, l->order->line[i].tenant, l->order->line[i].name);
    return rc;
}

/* Whether this is the one payload that the undo changes. */
static bool may_change(struct looking *l, const char *tenant, const char *name)
{
    if (!l->undoes) {
        (void)snprintf(l->tenant, sizeof l->tenant, "%s", tenant);
        (void)snprintf(l->name, sizeof l->name, "%s", name);
        l->undoes = true;
    }
    return same_payload(l->tenant, l->name, tenant, name);
}

/* Whether this is what was ordered last before what is ordered now: what is older still is not what
 * an undo goes back to, and would be the ground's choice of all that was ever wrong. */
static bool is_last(const struct signed_before *before, const struct order_line *line)
{
    const struct signed_line *last = signed_last(before, line->tenant, line->name);

    return last && digest_same(&last->manifest, &line->manifest);
}

/* No file says what an undo comes to: it may name what was signed here for this satellite the time
 * before, changes one payload, and leaves the others as they are. */
static enum rc check_by_memory(struct looking *l)
{
    const struct signed_before *before = l->before;
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < l->order->n_lines; i++) {
        const struct order_line *line = &l->order->line[i];

        if (signed_names(before, line->tenant, line->name, &line->manifest, true))
            continue;
        if (!is_last(before, line) || !may_change(l, line->tenant, line->name))
            rc = ask_about(l, LOOK_DIGEST, line->tenant, line->name, "", &line->manifest);
    }
    for (uint32_t i = 0; rc == RC_OK && i < before->n_newest; i++) {
        const struct signed_line *line = &before->line[i];

        if (!find_line(l->order, line->tenant, line->name) &&
            !may_change(l, line->tenant, line->name))
            rc = ask_about(l, LOOK_STOP, line->tenant, line->name, "", NULL);
    }
    return rc;
}

/* ---- one request ------------------------------------------------------------------------------
 */

static enum rc check_time(const struct looking *l, const char *satellite, uint64_t issued_ms)
{
    const uint64_t now = l->rules->now_ms;
    const uint64_t off = issued_ms > now ? issued_ms - now : now - issued_ms;
    char text[CLI_TIME_CAP];

    return off <= LOOK_CLOCK_MS ? RC_OK
                                : err_set(l->err, RC_LOOK_TIME, "%s: %s", satellite,
                                          cli_time((int64_t)issued_ms, text));
}

static enum rc check_generation(struct looking *l)
{
    const struct order *order = l->order;
    enum rc rc = l->rules->before(l->rules->arg, order->satellite, l->before, l->err);

    if (rc == RC_OK)
        rc = signed_allows(l->before, order, l->rules->server, l->rules->again, l->err);
    if (rc == RC_OK && order->generation > l->before->generation + LOOK_GENERATIONS_MAX)
        rc = err_set(l->err, RC_LOOK_GENERATION, "%s: order %llu, which is far from %llu",
                     order->satellite, (unsigned long long)order->generation,
                     (unsigned long long)l->before->generation);
    return rc;
}

static enum rc check_order(struct looking *l, struct looked *item)
{
    enum rc rc = sha256_of(item->request.payload, item->digest.b, l->err);

    item->order = malloc(sizeof *item->order);
    if (!item->order)
        return err_set(l->err, RC_NO_MEMORY, "order");
    if (rc == RC_OK)
        rc = order_decode(item->request.payload, item->order, l->err);
    if (rc != RC_OK)
        return rc;
    l->order = item->order;
    if (strcmp(item->order->satellite, item->satellite) != 0)
        return err_set(l->err, RC_NO_SATELLITE, "an order of %s as that of %.30s",
                       item->order->satellite, item->satellite);
    if (item->order->staged != l->rules->staged)
        return err_set(l->err, RC_LOOK_ORDER, "%s: %s", item->satellite,
                       item->order->staged ? "staged" : "not staged");
    if (item->order->expires_ms != 0)
        return err_set(l->err, RC_LOOK_ORDER, "%s: it would expire", item->satellite);
    rc = check_time(l, item->satellite, item->order->issued_ms);
    if (rc == RC_OK)
        rc = check_generation(l);
    if (rc == RC_OK) {
        item->generation = l->before->generation;
        item->content = l->before->content;
    }
    if (rc == RC_OK)
        rc = l->rules->fleet ? check_by_file(l) : check_by_memory(l);
    return rc;
}

/* The order of a satellite that was looked at before this, NULL if none was. */
static const struct looked *order_for(const struct look *look, const char *satellite)
{
    for (size_t i = 0; i < look->n; i++)
        if (look->item[i].order && strcmp(look->item[i].satellite, satellite) == 0)
            return &look->item[i];
    return NULL;
}

static enum rc check_token(struct looking *l, const struct looked *item)
{
    const struct looked *order = order_for(l->look, item->satellite);
    struct digest384 strong;
    struct token token;
    enum rc rc = token_decode(item->request.payload, &token, l->err);

    if (rc != RC_OK)
        return rc;
    if (!order || !l->rules->staged || strcmp(token.satellite, item->satellite) != 0 ||
        token.generation != order->order->generation || !digest_same(&token.order, &order->digest))
        return err_set(l->err, RC_LOOK_TOKEN, "%.40s", item->satellite);
    if (token.expires_ms - token.issued_ms != l->rules->life_ms)
        return err_set(l->err, RC_LOOK_TOKEN, "%.30s: good for another time", item->satellite);
    if (!digest384_is_none(&token.order384)) {
        rc = sha384_of(order->request.payload, strong.b, l->err);
        if (rc == RC_OK && memcmp(&strong, &token.order384, sizeof strong) != 0)
            rc = err_set(l->err, RC_LOOK_TOKEN, "%.30s: another SHA-384", item->satellite);
    }
    return rc == RC_OK ? check_time(l, item->satellite, token.issued_ms) : rc;
}

static enum rc check_one(struct looking *l, const struct look_in *in, struct looked *item)
{
    const bool order = strncmp(in->name, ORDER_NAME, strlen(ORDER_NAME)) == 0;

    if (!order && strncmp(in->name, TOKEN_NAME, strlen(TOKEN_NAME)) != 0)
        return err_set(l->err, RC_DOC_TYPE, "%.60s", in->name);
    item->satellite = in->name + strlen(ORDER_NAME);
    enum rc rc = request_decode(in->file, &item->request, l->err);

    if (rc == RC_OK && item->request.type != (order ? DOC_ORDER : DOC_TOKEN))
        rc = err_set(l->err, RC_DOC_TYPE, "%.40s is a %s", in->name,
                     doc_type_name(item->request.type));
    if (rc == RC_OK && memcmp(&item->request.mission, l->rules->mission, MISSION_SIZE) != 0)
        rc = err_set(l->err, RC_MISSION, "%.60s", in->name);
    /* `apply --request` writes none: these words would be the ground's, between ours */
    if (rc == RC_OK && item->request.note[0] != '\0')
        rc = err_set(l->err, RC_LOOK_ORDER, "%.40s: with a note", in->name);
    if (rc != RC_OK)
        return rc;
    return order ? check_order(l, item) : check_token(l, item);
}

static_assert(sizeof ORDER_NAME == sizeof TOKEN_NAME, "the name of the satellite begins there");

enum rc look_make(const struct look_rules *rules, const struct look_in *in, size_t n,
                  struct look **ret, struct err *err)
{
    scoped(look_free) struct look *look = calloc(1, sizeof *look);
    scoped(free_ptr) struct signed_before *before = malloc(sizeof *before);
    struct looking l = { .rules = rules, .look = look, .before = before, .err = err };
    enum rc rc = RC_OK;

    if (n > LOOK_REQUESTS_MAX)
        return err_set(err, RC_TOO_LARGE, "%zu documents to sign, more than %u", n,
                       LOOK_REQUESTS_MAX);
    if (look)
        look->item = calloc(n + 1, sizeof *look->item);
    if (!look || !before || !look->item)
        return err_set(err, RC_NO_MEMORY, "requests");
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (i > 0 && strcmp(in[i - 1].name, in[i].name) >= 0)
            return err_set(err, RC_API_SERVER, "%.60s: twice, or out of order", in[i].name);
        look->n = i; /* those before it; then it is owned, however it ends */
        rc = check_one(&l, &in[i], &look->item[i]);
        look->n = i + 1;
    }
    if (rc != RC_OK)
        return rc;
    *ret = look;
    look = NULL;
    return RC_OK;
}
