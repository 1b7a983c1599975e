/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/remote_orders.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/activation.h"
#include "orchestrator/api.h"
#include "orchestrator/fetch.h"
#include "orchestrator/home.h"
#include "orchestrator/offline.h"
#include "orchestrator/plan_body.h"
#include "orchestrator/planning.h"
#include "orchestrator/screen.h"

#define PATH_CAP 192U
#define PART_MAX 1024U /* signatures of one body, and bytes of their base64 */
#define PART_BYTES ((size_t)8 * 1024 * 1024)

/* One apply or undo. */
struct giving {
    struct cli *cli;
    uint64_t undo; /* rollout; 0 = a fleet file is applied */
    const char *path;
    struct mission mission;
    struct digest server;
    struct fleet *fleet; /* owned; NULL for an undo */
    struct asked asked;
    struct look *look; /* owned */
    struct keyring ring, safety;
    int memory; /* directory of orchestrator/signed */
};

static void giving_done(struct giving *g)
{
    free(g->fleet);
    asked_done(&g->asked);
    look_free(&g->look);
    keyring_done(&g->ring);
    keyring_done(&g->safety);
    close_fd(&g->memory);
}

/* ---- the plan ---------------------------------------------------------------------------------
 */

static int ask_plan(struct giving *g)
{
    scoped(fetched_done) struct fetched got = { 0 };
    scoped(free_ptr) char *body = NULL;
    char path[PATH_CAP] = "/v1/plans", fix[REMOTE_FIX_CAP] = "";
    struct cli *cli = g->cli;
    struct err err = { 0 };
    enum rc rc = remote_plan_body(cli, g->path, &body, &g->fleet, &err);

    if (rc == RC_CONTEXT_LOCAL)
        return cli_fail(cli, &err, "berth %s --help, on the ground itself", cli->command->name);
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth %s --help", cli->command->name);
    if (rc != RC_OK)
        return planning_fail(cli, &err);
    if (g->undo != 0)
        (void)snprintf(path, sizeof path, "/v1/rollouts/%llu/undo", (unsigned long long)g->undo);
    const struct fetch fetch = {
        .method = "POST", .path = path, .accept = "application/json", .body = bytes_of(body)
    };

    rc = fetch_run(cli->context, &fetch, &got, &err);
    if (rc == RC_OK)
        rc = asked_parse(got.status, got.body, &g->asked, fix, &err);
    if (rc == RC_OK && (g->asked.undo != g->undo || g->asked.staged != cli_flag(cli, "staged")))
        rc = err_set(&err, RC_API_SERVER, "a plan of something else");
    return rc == RC_OK ? CLI_OK : remote_fail(cli, &err, fix);
}

/* What follows --plan, as on the ground. */
static const char *flags_of(const struct asked *asked, char out[64])
{
    (void)snprintf(
        out, 64, "%s%s",
        json_is_integer(json_object_get(asked->plan, "blocked_by")) ? " --supersede" : "",
        json_is_string(json_object_get(asked->plan, "failed_on")) ? " --despite-failure" : "");
    return out;
}

/* Print the plan and the command that does it. */
static int show(const struct giving *g)
{
    struct cli *cli = g->cli;
    const struct asked *asked = &g->asked;
    const bool acts = asked->id[0] != '\0';
    char flags[64];

    if (!cli->json)
        (void)fputs(asked->printed, cli->out);
    if (g->undo != 0)
        cli_say(cli, "berth rollout undo %s --plan %s%s --key OPERATOR.key", cli_arg(cli, 0),
                asked->hash, flags_of(asked, flags));
    else if (acts)
        cli_say(cli, "berth apply %s --plan %s%s", g->path, asked->hash, flags_of(asked, flags));
    int code = cli_json(cli, json_incref(asked->plan));

    return code == CLI_OK && acts ? CLI_CHANGES : code;
}

/* Nothing differs: what apply prints of no rollouts, which is the first line of what plan does. */
static int show_nothing(const struct giving *g)
{
    cli_say(g->cli, "%.*s", (int)strcspn(g->asked.printed, "\n"), g->asked.printed);
    (void)json_object_set_new(g->asked.plan, "rollouts", json_array());
    return cli_json(g->cli, json_incref(g->asked.plan));
}

/* Before anything is signed: what the ground would refuse when it comes back. */
static int check_plan(const struct giving *g)
{
    const json_t *blocked = json_object_get(g->asked.plan, "blocked_by");
    const json_t *failed = json_object_get(g->asked.plan, "failed_on");
    struct cli *cli = g->cli;
    char on[NAME_CAP];
    struct err err = { 0 };

    if (remote_plan_is(cli, &g->asked, &err) != RC_OK)
        return cli_fail(cli, &err, "berth %s%s", g->undo != 0 ? "rollout undo " : "plan ",
                        cli_arg(cli, 0));
    if (g->asked.id[0] != '\0' && json_is_integer(blocked) && !cli_flag(cli, "supersede")) {
        const long long id = json_integer_value(blocked);

        (void)err_set(&err, RC_ROLLOUT_STATE, "rollout %lld is under way", id);
        return cli_fail(cli, &err,
                        "berth rollout status %lld; then berth rollout abort %lld, or the same "
                        "with --supersede",
                        id, id);
    }
    if (g->asked.id[0] != '\0' && json_is_string(failed) && !cli_flag(cli, "despite-failure")) {
        (void)screen_safe(json_string_value(failed), on, sizeof on);
        (void)err_set(&err, RC_ROLLOUT_STATE, "a version of this plan has failed on %s", on);
        return cli_fail(cli, &err,
                        "berth ps %s tells why; name another version, or the same with "
                        "--despite-failure",
                        on);
    }
    return CLI_OK;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static enum rc recall(void *arg, const char *satellite, struct signed_before *ret, struct err *err)
{
    const struct giving *g = arg;

    return signed_load(g->memory, &g->mission, satellite, ret, err);
}

static enum rc look_at_all(struct giving *g, struct err *err)
{
    struct look_rules rules = { .mission = &g->mission,
                                .fleet = g->fleet,
                                .server = &g->server,
                                .staged = cli_flag(g->cli, "staged"),
                                .again = cli_flag(g->cli, "again"),
                                .now_ms = clock_unix_ms(),
                                .before = recall,
                                .arg = g };
    enum rc rc = activation_life(g->cli, &rules.life_ms, err);

    return rc == RC_OK ? look_make(&rules, g->asked.request, g->asked.n, &g->look, err) : rc;
}

/* --digest HEX: what somebody has compared already. */
static enum rc take_digests(struct giving *g, struct err *err)
{
    const char *hex;

    for (size_t i = 0; (hex = cli_value_at(g->cli, "digest", i)) != NULL; i++) {
        struct digest digest;

        if (!bytes_unhex(hex, digest.b, sizeof digest.b))
            return err_set(err, RC_USAGE, "--digest %.20s: 64 hex digits", hex);
        (void)look_confirm(g->look, &digest);
    }
    return RC_OK;
}

static enum rc ask_one(struct look_question *q, struct err *err)
{
    char hex[2 * DIGEST_SIZE + 1], text[512], more[40] = "";

    if (q->satellites > 1)
        (void)snprintf(more, sizeof more, " and %u more", q->satellites - 1);
    if (q->kind == LOOK_DIGEST)
        (void)snprintf(text, sizeof text,
                       "%s/%s%s%s is to be, on %s%s,\n  %s\n%sand nothing here says so.  Is it?",
                       q->tenant, q->name, q->version[0] ? " " : "", q->version, q->satellite, more,
                       bytes_hex((struct bytes){ q->manifest.b, DIGEST_SIZE }, hex),
                       q->older ? "which was ordered from here before, and then another,\n" : "");
    else
        (void)snprintf(text, sizeof text,
                       "%s/%s was ordered from here, and is to stop, on %s%s.  Is it?", q->tenant,
                       q->name, q->satellite, more);
    enum rc rc = offline_ask(text, err);

    q->answered = rc == RC_OK;
    return rc;
}

/* With --yes nobody is there to compare: what was not given is not signed. */
static enum rc answer_all(struct giving *g, struct err *err)
{
    enum rc rc = take_digests(g, err);

    for (size_t i = 0; rc == RC_OK && i < look_questions(g->look); i++) {
        struct look_question *q = look_question(g->look, i);
        char hex[2 * DIGEST_SIZE + 1];

        if (q->answered)
            continue;
        if (!cli_flag(g->cli, "yes")) {
            rc = ask_one(q, err);
            continue;
        }
        if (q->kind == LOOK_DIGEST)
            cli_note(g->cli, "%s/%s %s on %s: --digest %s%s", q->tenant, q->name, q->version,
                     q->satellite, bytes_hex((struct bytes){ q->manifest.b, DIGEST_SIZE }, hex),
                     q->older ? ", which was ordered from here before, and then another" : "");
        else
            cli_note(g->cli, "%s/%s would stop on %s", q->tenant, q->name, q->satellite);
        rc = err_set(err, RC_NOT_CONFIRMED, "%s/%s %s: nothing here says which bytes", q->tenant,
                     q->name, q->version);
    }
    return rc;
}

/* Where nothing is remembered nothing tells an old generation from a new one: also when the memory
 * was deleted, so it is said each time. */
static void say_unknown(const struct giving *g, FILE *out)
{
    const char *satellite = NULL;
    const size_t n = look_unknown(g->look, &satellite);

    if (n == 1)
        (void)fprintf(out, "No order for %s", satellite);
    else if (n > 1)
        (void)fprintf(out, "No order for %s and %zu more", satellite, n - 1);
    if (n > 0)
        (void)fputs(" is remembered on this machine: that none was signed here is for you to "
                    "know, and its generation is the ground's word.\n",
                    out);
}

/* Show every document, then ask once for all of them. */
static enum rc confirm(struct giving *g, struct err *err)
{
    scoped(free_ptr) char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    enum rc rc = out ? answer_all(g, err) : err_set(err, RC_NO_MEMORY, "words");

    if (out && !cli_flag(g->cli, "yes"))
        (void)fputs(g->asked.printed, out);
    for (size_t i = 0; rc == RC_OK && i < look_requests(g->look); i++) {
        scoped(free_ptr) char *words = NULL;

        rc = offline_words(look_at(g->look, i), &words, err);
        if (rc == RC_OK)
            (void)fputs(words, out);
    }
    if (rc == RC_OK)
        say_unknown(g, out);
    if (out && !cli_flag(g->cli, "yes"))
        (void)fprintf(out, "Sign these %zu?", look_requests(g->look));
    if (out && fclose(out) != 0 && rc == RC_OK)
        rc = err_set(err, RC_NO_MEMORY, "words");
    if (rc != RC_OK || look_requests(g->look) == 0)
        return rc;
    if (!cli_flag(g->cli, "yes"))
        return offline_ask(text, err);
    cli_note(g->cli, "%.*s", (int)n - 1, text);
    return RC_OK;
}

static int look_and_ask(struct giving *g)
{
    struct cli *cli = g->cli;
    struct err err = { 0 };
    enum rc rc = look_at_all(g, &err);

    if (rc == RC_SIGNED || rc == RC_STATE_DAMAGED)
        return cli_fail(cli, &err,
                        "compare with berth ps, then take the satellite's files in "
                        "~/.config/berth/signed away");
    if (rc == RC_LOOK_GENERATION)
        return cli_fail(
            cli, &err,
            "berth rollout list: was it applied? if this ground has refused it, the same "
            "with --again; else apply on the ground itself");
    if (rc == RC_LOOK_TIME)
        return cli_fail(cli, &err, "set the clock of this machine, or that of the ground");
    if (rc != RC_OK)
        return cli_fail(cli, &err,
                        "sign nothing of %s before you know why it asks for this: berth context "
                        "show %s",
                        cli->context->name, cli->context->name);
    rc = confirm(g, &err);
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth %s --help", cli->command->name);
    return rc == RC_OK ? CLI_OK
                       : cli_fail(cli, &err,
                                  "give the version a digest: in the fleet file, or with --digest "
                                  "HEX; or answer on a terminal");
}

/* ---- giving -----------------------------------------------------------------------------------
 */

static enum rc load_keys(struct giving *g, struct err *err)
{
    const char *path;
    enum rc rc = keyring_load(g->cli, "key", NULL, &g->ring, err);

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(g->cli, "safety-key", i)) != NULL; i++)
        rc = keyring_add(g->cli, &g->safety, path, err);
    return rc;
}

/* Before any signature is made. */
static enum rc remember(struct giving *g, struct err *err)
{
    const size_t n = look_requests(g->look);
    scoped(free_ptr) struct signed_next *next = calloc(n + 1, sizeof *next);
    size_t found = 0;

    if (!next)
        return err_set(err, RC_NO_MEMORY, "orders");
    for (size_t i = 0; i < n; i++)
        if (look_order(g->look, i))
            next[found++] = look_next(g->look, i);
    return signed_note(g->memory, &g->mission, next, found, &g->server, cli_flag(g->cli, "again"),
                       err);
}

static enum rc sign_one(const struct giving *g, size_t i, const struct keyring *ring, json_t *list,
                        struct err *err)
{
    const struct request *request = NULL;
    enum rc rc = look_take(g->look, i, &request, err);

    for (size_t k = 0; rc == RC_OK && k < ring->n; k++) {
        scoped(free_ptr) uint8_t *file = NULL;
        size_t n = 0;

        rc = offline_signature(request, ring->key[k], &file, &n, err);
        if (rc == RC_OK &&
            json_array_append_new(
                list, plan_file_json(g->asked.request[i].name, (struct bytes){ file, n })) != 0)
            rc = err_set(err, RC_NO_MEMORY, "signature");
    }
    return rc;
}

/* The safety role signs what lets an order take effect: a token, or an order that is not staged. */
static enum rc sign_all(struct giving *g, json_t *list, struct err *err)
{
    static const struct keyring none;
    const size_t n = look_requests(g->look);
    struct keyring both = { 0 };
    enum rc rc = activation_ring(&g->ring, &g->safety, &both, err);

    if (rc == RC_OK)
        rc = remember(g, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const struct order *order = look_order(g->look, i);
        struct keyring ring = { 0 };

        rc = activation_ring(&g->ring, order && order->staged ? &none : &g->safety, &ring, err);
        if (rc == RC_OK)
            rc = sign_one(g, i, &ring, list, err);
    }
    return rc;
}

/* The signatures from *at on that one body has room for; the rest is to follow. */
static char *body_of(const struct giving *g, const json_t *list, size_t *at, bool *ret_more)
{
    const char *why = cli_value(g->cli, "why");
    json_t *some = json_array();
    size_t n = 0;

    for (; *at < json_array_size(list) && json_array_size(some) < PART_MAX; (*at)++) {
        json_t *one = json_array_get(list, *at);

        n += json_string_length(json_object_get(one, "bytes"));
        if (n > PART_BYTES && json_array_size(some) > 0)
            break;
        (void)json_array_append(some, one);
    }
    *ret_more = *at < json_array_size(list);
    json_t *body = json_pack("{s:o, s:b, s:b}", "signatures", some, "supersede",
                             (int)cli_flag(g->cli, "supersede"), "despite_failure",
                             (int)cli_flag(g->cli, "despite-failure"));

    if (*ret_more)
        (void)json_object_set_new(body, "more", json_true());
    if (why)
        (void)json_object_set_new(body, "why", json_string(why));
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return text;
}

/* One part; only the last one is answered with what the command prints. */
static enum rc give_part(struct giving *g, const char *body, bool last, struct fetched *ret,
                         struct err *err)
{
    char path[PATH_CAP], key[REMOTE_KEY_CAP], wide[24] = "";
    struct cli *cli = g->cli;
    const size_t columns = cli->json ? 0 : screen_width(cli);
    enum rc rc = body ? remote_key(key, err) : err_set(err, RC_NO_MEMORY, "signatures");

    if (columns > 0)
        (void)snprintf(wide, sizeof wide, "&columns=%zu",
                       columns < PLAN_COLUMNS_MAX ? columns : (size_t)PLAN_COLUMNS_MAX);
    (void)snprintf(path, sizeof path, "/v1/plans/%s/apply%s%s%s", g->asked.id, last ? "?form=" : "",
                   last ? cli_form_name(cli->form) : "", last ? wide : "");
    if (rc != RC_OK)
        return rc;
    const struct fetch fetch = { .method = "POST",
                                 .path = path,
                                 .accept = last ? API_PRINTED : "application/json",
                                 .idempotency = key,
                                 .body = bytes_of(body) };

    return remote_insist(cli, &fetch, ret, err);
}

static int give(struct giving *g, const json_t *list)
{
    struct err err = { 0 };
    size_t at = 0;

    for (;;) {
        scoped(remote_answer_done) struct remote_answer answer = { 0 };
        scoped(fetched_done) struct fetched got = { 0 };
        char fix[REMOTE_FIX_CAP] = "";
        bool more = false;
        scoped(free_ptr) char *body = body_of(g, list, &at, &more);
        enum rc rc = give_part(g, body, !more, &got, &err);

        if (rc != RC_OK)
            return cli_fail(g->cli, &err,
                            "berth rollout list: was it applied? else the same once more");
        if (more && got.status == 200)
            continue;
        rc = remote_answer_parse(got.status, got.body, &answer, fix, &err);
        return rc == RC_OK ? remote_print(g->cli, &answer) : remote_fail(g->cli, &err, fix);
    }
}

static int sign_and_give(struct giving *g)
{
    json_t *list = json_array();
    struct err err = { 0 };
    enum rc rc = sign_all(g, list, &err);
    int code = rc == RC_OK     ? give(g, list)
               : rc == RC_BUSY ? cli_fail(g->cli, &err,
                                          "the same once more: what is signed is "
                                          "looked at again")
                               : cli_fail(g->cli, &err, NULL);

    json_decref(list);
    return code;
}

/* ---- the commands -----------------------------------------------------------------------------
 */

static int prepare(struct giving *g)
{
    struct cli *cli = g->cli;
    struct err err = { 0 };
    enum rc rc = remote_mission(cli->context, &g->mission, &err);

    if (rc != RC_OK)
        return cli_fail(cli, &err,
                        "berth context add %s --replace --root FILE and the rest: which mission "
                        "is signed for",
                        cli->context->name);
    rc = signed_server(cli->context->server, &g->server, &err);
    if (rc == RC_OK)
        rc = signed_open(&g->mission, &g->memory, &err);
    return rc == RC_OK ? CLI_OK
                       : cli_fail(cli, &err, "chmod -R go= ~/.config/berth/signed, if it is yours");
}

static int run_giving(struct giving *g)
{
    struct err err = { 0 };

    if (!cli_value(g->cli, "key") && !cli_value(g->cli, "signer-key")) {
        (void)err_set(&err, RC_USAGE, "--key is missing");
        return cli_fail(g->cli, &err, "--key OPERATOR.key, and --passphrase-file FILE");
    }
    int code = prepare(g);

    if (code == CLI_OK)
        code = ask_plan(g);
    if (code == CLI_OK)
        code = check_plan(g);
    if (code != CLI_OK)
        return code;
    if (g->asked.id[0] == '\0')
        return show_nothing(g);
    code = look_and_ask(g);
    if (code != CLI_OK)
        return code;
    if (look_requests(g->look) > 0 && load_keys(g, &err) != RC_OK)
        return cli_fail(g->cli, &err, "--key OPERATOR.key, and --passphrase-file FILE");
    return sign_and_give(g);
}

static int run_plan(struct cli *cli)
{
    scoped(giving_done) struct giving g = { .cli = cli, .path = cli_arg(cli, 0), .memory = -1 };
    int code = ask_plan(&g);

    return code == CLI_OK ? show(&g) : code;
}

static int run_apply(struct cli *cli)
{
    scoped(giving_done) struct giving g = { .cli = cli, .path = cli_arg(cli, 0), .memory = -1 };

    return run_giving(&g);
}

static int run_undo(struct cli *cli)
{
    scoped(giving_done) struct giving g = { .cli = cli, .memory = -1 };
    struct err err = { 0 };

    if (cli_rollout(cli, 0, &g.undo, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (cli_value(cli, "key") || cli_value(cli, "signer-key"))
        return run_giving(&g);
    int code = ask_plan(&g);

    return code == CLI_OK ? show(&g) : code;
}

/* What has a part of its own for a ground elsewhere. */
static int run_itself(struct cli *cli)
{
    return cli->command->run(cli);
}

remote_orders_run *remote_orders_find(const char *command)
{
    static const struct {
        const char *command;
        remote_orders_run *run;
    } all[] = {
        { "plan", run_plan },
        { "apply", run_apply },
        { "rollout undo", run_undo },
        { "trust delegate", run_itself },
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].command, command) == 0)
            return all[i].run;
    return NULL;
}
