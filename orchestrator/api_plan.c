/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "manifest/delegation.h"
#include "orchestrator/api_child.h"
#include "orchestrator/cli.h"
#include "orchestrator/fleet.h"
#include "orchestrator/plans.h"
#include "orchestrator/scratch.h"

#define DELTAS_MS 60000U
#define ASK_MS 120000U /* for each of its commands */
#define WORDS_MAX 16U

/* ---- what all of them share ------------------------------------------------------------------ */

struct work {
    struct api_runner *runner;
    const struct api_call *call;
    const struct acting *who;
    const struct plan_body *body;
    const struct plans *plans;
    uint64_t now_ms;
};

static enum plan_body_kind kind_of(const struct api_route *route)
{
    const enum api_what what = route->what;

    return what == API_PLAN_UNDO    ? PLAN_UNDO
           : what == API_PLAN_GIVE  ? PLAN_GIVE
           : what == API_DELEGATION ? PLAN_DELEGATION
                                    : PLAN_ASK;
}

size_t api_plan_room(const struct api_route *route)
{
    return plan_body_max(kind_of(route));
}

/* What came cannot be read: that is not the ground's fault, and no other status says it. */
static unsigned status_of(enum rc rc)
{
    const unsigned status = api_status(rc);

    return status == 500 && rc_class(rc) == RC_CLASS_MALFORMED ? 400 : status;
}

static struct api_answer refuse(const struct err *err)
{
    struct api_answer answer = api_answer_error(err);

    answer.status = status_of(err->rc);
    return answer;
}

/* Words of a command line, with room for what is made for it. */
struct words {
    size_t n;
    const char *word[WORDS_MAX];
    char text[4][PATH_MAX];
    size_t n_texts;
};

static void add(struct words *w, const char *word)
{
    w->word[w->n++] = word;
}

static void add_number(struct words *w, const char *option, uint64_t value)
{
    char *text = w->text[w->n_texts];

    if (value == 0)
        return;
    (void)snprintf(text, PATH_MAX, "--%s=%llu", option, (unsigned long long)value);
    w->n_texts++;
    add(w, text);
}

/* The tree that a command has printed; NULL, and *ret_answer, where it failed. */
static json_t *tree_of(const struct api_ran *ran, struct api_answer *ret_answer)
{
    json_t *tree = ran->out ? json_loadb(ran->out, ran->n_out, 0, NULL) : NULL;
    const json_t *error = json_object_get(tree, "error");
    const enum rc rc = rc_from_number((uint64_t)json_integer_value(json_object_get(error, "code")));
    struct err err = { 0 };

    if (tree && !error)
        return tree;
    if (tree) {
        *ret_answer = api_answer_json(status_of(rc), API_JSON, tree);
        return NULL;
    }
    (void)!err_set(&err, RC_INTERNAL, "the command ended with %d and no answer", ran->code);
    *ret_answer = api_answer_error(&err);
    return NULL;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* One that is asked for: the plan of a fleet file, or of an undo. */
struct asking {
    const struct work *w;
    char fleet[PATH_MAX]; /* path; "" of an undo */
    char asked[PATH_MAX]; /* directory of the requests */
    char files[PATH_MAX]; /* ... of the files */
    json_t *plan;         /* owned */
    char *printed;        /* owned, NULL = not wanted */
    bool acts;
    struct plan_kept kept;
    size_t n;
    struct plan_file *request; /* owned */
};

static void asking_done(struct asking *a)
{
    json_decref(a->plan);
    free(a->printed);
    plan_files_free(a->request, a->n);
}

/* A fleet file may name only what came with it. */
static enum rc check_files(const struct plan_body *body, const char *path, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    enum rc rc = fleet_load(path, &fleet, err);

    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_satellites; i++) {
        const struct fleet_satellite *sat = &fleet->satellite[i];
        bool came =
            sat->orbit != FLEET_TLE_FILE && sat->orbit != FLEET_OEM && sat->orbit != FLEET_CONTACTS;

        for (size_t k = 0; !came && k < body->n; k++)
            came = strcmp(body->file[k].name, sat->file) == 0;
        if (!came)
            rc = err_set(err, RC_API_REQUEST, "%.30s:%u: %s: %.30s did not come with it",
                         fleet->source, sat->line, sat->id, sat->file);
    }
    return rc;
}

/* Before anything is locked, with the files in a place of their own; whatever goes wrong here, the
 * plan will say, or full packages go. */
static void make_deltas(const struct work *w)
{
    scoped(scratch_close) struct scratch_dir dir = SCRATCH_NONE;
    char fleet[PATH_MAX + sizeof "/" SCRATCH_FILES "/" + PLAN_NAME_CAP];
    struct err err = { 0 };
    enum rc rc = scratch_open(&dir, &err);

    if (rc == RC_OK)
        rc = plans_write(dir.fd, w->body, &err);
    (void)snprintf(fleet, sizeof fleet, "%s/" SCRATCH_FILES "/%s", dir.path, w->body->fleet);

    if (rc != RC_OK || check_files(w->body, fleet, &err) != RC_OK)
        return;
    const char *const words[] = { "plan", "--deltas", "--json", "--", fleet };
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };

    if (api_child_run(w->runner->home, words, sizeof words / sizeof *words, 0, DELTAS_MS, &ran,
                      &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "deltas are not made: full packages go");
}

static void command_of(const struct asking *a, struct words *w)
{
    add(w, a->w->call->route->what == API_PLAN_UNDO ? "rollout" : "plan");
    if (a->fleet[0] == '\0')
        add(w, "undo");
}

static void subject_of(const struct asking *a, struct words *w)
{
    add(w, "--");
    add(w, a->fleet[0] != '\0' ? a->fleet : a->w->call->variable);
}

/* What asks only runs aside: a sky of thousands of passes is nobody else's matter. */
static bool run_aside(const struct asking *a, const struct words *w, unsigned columns,
                      struct api_ran *ret, struct api_answer *ret_answer)
{
    struct err err = { 0 };

    if (api_child_run(a->w->runner->home, w->word, w->n, columns, ASK_MS, ret, &err) == RC_OK)
        return true;
    *ret_answer = refuse(&err);
    return false;
}

static bool make_plan(struct asking *a, struct api_answer *ret_answer)
{
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };
    struct words w = { 0 };

    command_of(a, &w);
    add(&w, "--json");
    add_number(&w, "rate", a->w->body->rate);
    add_number(&w, "pass", a->w->body->pass);
    subject_of(a, &w);
    if (!run_aside(a, &w, 0, &ran, ret_answer))
        return false;
    a->plan = tree_of(&ran, ret_answer);
    a->acts = ran.code == CLI_CHANGES;
    const char *hash = json_string_value(json_object_get(a->plan, "plan"));

    if (hash)
        (void)snprintf(a->kept.hash, sizeof a->kept.hash, "%s", hash);
    return a->plan != NULL;
}

/* Without the command that would go on from here: it is for somebody on the ground. */
static void drop_commands(char *text)
{
    char *out = text;

    for (char *at = text; *at;) {
        const size_t n = strcspn(at, "\n") + (strchr(at, '\n') != NULL);

        if (strncmp(at, "berth ", 6) != 0) {
            memmove(out, at, n);
            out += n;
        }
        at += n;
    }
    *out = '\0';
}

static bool print_plan(struct asking *a, struct api_answer *ret_answer)
{
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };
    const struct plan_body *body = a->w->body;
    struct words w = { 0 };
    struct err err = { 0 };

    if (body->columns < 0)
        return true;
    command_of(a, &w);
    add_number(&w, "rate", body->rate);
    add_number(&w, "pass", body->pass);
    subject_of(a, &w);
    if (!run_aside(a, &w, (unsigned)body->columns, &ran, ret_answer))
        return false;
    if ((ran.code != CLI_OK && ran.code != CLI_CHANGES) || !ran.out) {
        (void)!err_set(&err, RC_PLAN_STALE, "it was another one a moment before");
        *ret_answer = refuse(&err);
        return false;
    }
    a->printed = ran.out;
    ran.out = NULL;
    drop_commands(a->printed);
    return true;
}

/* The requests, by the command that writes them. */
static bool ask_requests(struct asking *a, struct api_answer *ret_answer)
{
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };
    struct words w = { 0 };

    add(&w, a->fleet[0] == '\0' ? "rollout" : "apply");
    if (a->fleet[0] == '\0')
        add(&w, "undo");
    add(&w, "--json");
    add(&w, "--request");
    add(&w, a->asked);
    add(&w, "--plan");
    add(&w, a->kept.hash);
    add(&w, "--supersede"); /* whether it may is asked when they are given */
    add(&w, "--despite-failure");
    if (a->w->body->staged)
        add(&w, "--staged");
    add_number(&w, "token-life", a->w->body->token_life);
    subject_of(a, &w);
    if (!run_aside(a, &w, 0, &ran, ret_answer))
        return false;
    json_t *tree = tree_of(&ran, ret_answer);

    json_decref(tree);
    return tree != NULL;
}

/* NULL without memory: never a part of them. */
static json_t *requests_json(const struct asking *a)
{
    json_t *list = json_array();

    for (size_t i = 0; i < a->n; i++) {
        const struct plan_file *r = &a->request[i];

        if (json_array_append_new(list,
                                  plan_file_json(r->name, (struct bytes){ r->bytes, r->n })) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static struct api_answer answer_asking(struct asking *a)
{
    const struct plan_kept *kept = &a->kept;
    json_t *fleet = json_object_get(a->plan, "fleet");
    json_t *all =
        json_pack("{s:s?, s:s, s:o, s:O, s:b, s:o, s:O, s:o}", "id", a->acts ? kept->id : NULL,
                  "hash", kept->hash, "until", json_uint(kept->made_ms + plans_limits.ms), "fleet",
                  fleet, "staged", (int)kept->staged, "undo", json_uint(kept->undo), "plan",
                  a->plan, "requests", requests_json(a));

    if (a->printed)
        (void)json_object_set_new(all, "printed", json_string(a->printed));
    return api_answer_json(200, API_JSON, all ? api_shape(a->w->call, &a->w->who->who, all) : NULL);
}

static enum rc begin(struct asking *a, struct err *err)
{
    const struct work *w = a->w;
    const struct plan_body *body = w->body;
    enum rc rc = plans_begin(w->plans, body, err);

    if (rc == RC_OK)
        rc = plans_path(w->plans, NULL, NULL, PLANS_ASKED, NULL, a->asked, err);
    if (rc != RC_OK || !body->fleet)
        return rc;
    (void)snprintf(a->kept.fleet, sizeof a->kept.fleet, "%s", body->fleet);
    rc = plans_path(w->plans, NULL, NULL, PLANS_FILES, body->fleet, a->fleet, err);
    if (rc == RC_OK)
        rc = check_files(body, a->fleet, err);
    return rc;
}

static struct api_answer ask(const struct work *w)
{
    scoped(asking_done) struct asking a = {
        .w = w,
        .kept = { .staged = w->body->staged,
                  .token_life = w->body->token_life,
                  .made_ms = w->now_ms,
                  .undo = w->body->fleet ? 0 : strtoull(w->call->variable, NULL, 10) }
    };
    struct api_answer answer = { 0 };
    struct err err = { 0 };

    if (begin(&a, &err) != RC_OK)
        return refuse(&err);
    if (!make_plan(&a, &answer) || !print_plan(&a, &answer))
        return answer;
    if (a.acts && !ask_requests(&a, &answer))
        return answer;
    if (a.acts && (plans_asked(w->plans, &a.request, &a.n, &err) != RC_OK ||
                   plans_keep(w->plans, w->who->who.name, a.request, a.n, &a.kept, &err) != RC_OK))
        return refuse(&err);
    return answer_asking(&a);
}

/* ---- giving -----------------------------------------------------------------------------------
 */

/* What a client that prints it gets is what the command says, in the form that it wants. */
static struct api_answer run_as_asked(const struct work *w, struct words *words)
{
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };

    api_run_words(w->runner, words->word, words->n,
                  &(struct api_looks){ .columns = w->call->columns, .change = true }, w->who, &ran);
    return api_answer_ran(w->call, &w->who->who, &ran);
}

static void add_form(const struct work *w, struct words *words)
{
    if (!w->call->itself)
        add(words, "--json");
    else if (w->call->form[0] != '\0')
        add(words, w->call->form);
}

/* Part of the signatures: how many came, and nothing is done. */
static struct api_answer answer_part(const struct work *w)
{
    return api_answer_json(200, API_JSON, json_pack("{s:I}", "given", (json_int_t)w->body->n));
}

static struct api_answer give(const struct work *w)
{
    const char *token = w->who->who.name, *id = w->call->variable;
    struct plan_kept plan = { 0 };
    char dir[PATH_MAX], fleet[PATH_MAX], undo[24], why[PLAN_WHY_MAX + 8U];
    struct words words = { 0 };
    struct err err = { 0 };
    enum rc rc = plans_find(w->plans, token, id, w->now_ms, &plan, &err);

    if (rc == RC_OK)
        rc = plans_attach(w->plans, token, id, w->body, &err);
    if (rc == RC_OK)
        rc = plans_path(w->plans, token, id, PLANS_ASKED, NULL, dir, &err);
    if (rc == RC_OK)
        rc = plans_path(w->plans, token, id, PLANS_FILES, plan.fleet, fleet, &err);
    if (rc != RC_OK)
        return refuse(&err);
    if (w->body->more)
        return answer_part(w);
    (void)snprintf(undo, sizeof undo, "%llu", (unsigned long long)plan.undo);
    (void)snprintf(why, sizeof why, "--why=%s", w->body->why);
    add(&words, plan.undo != 0 ? "rollout" : "apply");
    if (plan.undo != 0)
        add(&words, "undo");
    add_form(w, &words);
    add(&words, "--attach");
    add(&words, dir);
    add(&words, "--plan");
    add(&words, plan.hash);
    add(&words, "--no-deltas"); /* those that there are were made when it was asked for */
    if (plan.staged)
        add(&words, "--staged");
    if (w->body->supersede)
        add(&words, "--supersede");
    if (w->body->despite_failure)
        add(&words, "--despite-failure");
    if (w->body->why[0] != '\0')
        add(&words, why);
    add(&words, "--");
    add(&words, plan.undo != 0 ? undo : fleet);
    struct api_answer done = run_as_asked(w, &words);

    /* what they made is in the store; and what was refused does not stand in the way of the next */
    if (plans_detach(w->plans, token, id, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "signatures that were given stay");
    return done;
}

/* ---- delegations ------------------------------------------------------------------------------
 */

/* Whose it says it is; whether that is so, the command finds out. */
static enum rc check_tenant(const struct work *w, struct bytes document, struct err *err)
{
    scoped(free_ptr) struct delegation *doc = calloc(1, sizeof *doc);
    struct envelope envelope;
    enum rc rc =
        doc ? envelope_open(document, &envelope, err) : err_set(err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK)
        rc = delegation_decode(envelope.payload, doc, err);
    if (rc == RC_OK && strcmp(doc->tenant, w->who->who.tenant) != 0)
        rc = err_set(err, RC_API_ROLE, "a delegation of another tenant");
    return rc;
}

static struct api_answer delegate(const struct work *w)
{
    const struct plan_file *file = &w->body->file[0];
    const struct bytes document = { file->bytes, file->n };
    const struct plan_file named = { .name = "delegation", .bytes = file->bytes, .n = file->n };
    const struct plan_body only = { .n = 1, .file = (struct plan_file *)(uintptr_t)&named };
    struct words words = { 0 };
    char path[PATH_MAX];
    struct err err = { 0 };
    enum rc rc = check_tenant(w, document, &err);

    if (rc == RC_OK)
        rc = plans_begin(w->plans, &only, &err);
    if (rc == RC_OK)
        rc = plans_path(w->plans, NULL, NULL, PLANS_FILES, named.name, path, &err);
    if (rc != RC_OK)
        return refuse(&err);
    add(&words, "trust");
    add(&words, "delegate");
    add_form(w, &words);
    add(&words, "--add");
    add(&words, path);
    return run_as_asked(w, &words);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static struct api_answer answer(const struct work *w, struct home *home, struct plans *plans)
{
    struct err err = { 0 };
    enum rc rc = home_open(w->runner->home, false, home, &err);

    if (rc == RC_OK)
        rc = plans_open(home, &plans_limits, w->now_ms, plans, &err);
    if (rc != RC_OK)
        return refuse(&err);
    const enum plan_body_kind kind = kind_of(w->call->route);

    return kind == PLAN_GIVE ? give(w) : kind == PLAN_DELEGATION ? delegate(w) : ask(w);
}

struct api_answer api_plan(struct api_runner *runner, const struct api_request *request,
                           const struct api_call *call, const struct acting *who)
{
    scoped(plan_body_done) struct plan_body body = { 0 };
    scoped(home_close) struct home home = HOME_NONE;
    struct plans plans = PLANS_NONE;
    struct work w = { .runner = runner,
                      .call = call,
                      .who = who,
                      .body = &body,
                      .plans = &plans,
                      .now_ms = clock_unix_ms() };
    struct err err = { 0 };

    if (plan_body_read(kind_of(call->route), request->body, &body, &err) != RC_OK)
        return refuse(&err);
    if (body.fleet && body.deltas)
        make_deltas(&w);
    (void)pthread_mutex_lock(&runner->plans);
    w.now_ms = clock_unix_ms();
    struct api_answer done = answer(&w, &home, &plans);

    plans_close(&plans); /* before the next one looks for it */
    (void)pthread_mutex_unlock(&runner->plans);
    return done;
}
