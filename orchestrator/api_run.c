/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/api_once.h"
#include "orchestrator/api_plan.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"

void api_runner_init(struct api_runner *runner, const char *home)
{
    *runner = (struct api_runner){ .home = home };
    (void)pthread_mutex_init(&runner->turn, NULL);
    (void)pthread_mutex_init(&runner->plans, NULL);
    (void)pthread_cond_init(&runner->idle, NULL);
}

void api_runner_done(struct api_runner *runner)
{
    (void)pthread_cond_destroy(&runner->idle);
    (void)pthread_mutex_destroy(&runner->plans);
    (void)pthread_mutex_destroy(&runner->turn);
}

/* Wait for one's turn: who changes something does not wait behind who only looks. */
static void begin_command(struct api_runner *r, bool change)
{
    (void)pthread_mutex_lock(&r->turn);
    r->changes += change;
    while (r->busy || (!change && r->changes > 0))
        (void)pthread_cond_wait(&r->idle, &r->turn);
    r->changes -= change;
    r->busy = true;
    (void)pthread_mutex_unlock(&r->turn);
}

static void end_command(struct api_runner *r)
{
    (void)pthread_mutex_lock(&r->turn);
    r->busy = false;
    (void)pthread_cond_broadcast(&r->idle);
    (void)pthread_mutex_unlock(&r->turn);
}

/* Who asks for a plan changes nothing: it can be asked for again. */
static bool is_change(const struct api_call *call)
{
    return strcmp(call->route->method, "GET") != 0 && call->route->what != API_PLAN_ASK &&
           call->route->what != API_PLAN_UNDO;
}

void api_run_words(struct api_runner *runner, const char *const *word, size_t n,
                   const struct api_looks *looks, const struct acting *who, struct api_ran *ret)
{
    struct api_ran ran = { .code = CLI_FAILED };
    char name[] = "berth", home_option[] = "--home";
    char as[AUDIT_WHO_CAP];
    char *argv[API_WORDS_MAX + 4] = { name, home_option, (char *)(uintptr_t)runner->home };
    struct cli_io io = { .out = open_memstream(&ran.out, &ran.n_out),
                         .err = open_memstream(&ran.err, &ran.n_err),
                         .columns = looks->columns };
    int argc = 3;

    assert(n <= API_WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        argv[argc++] = (char *)(uintptr_t)word[i];
    if (io.out && io.err) {
        (void)snprintf(as, sizeof as, APPROVALS_API "%.50s", who->who.name);
        begin_command(runner, looks->change);
        store_act_as(as);
        acting_set(who);
        ran.code = cli_run(cmd_tables, argc, argv, &io);
        acting_set(NULL);
        store_act_as("");
        end_command(runner);
    }
    if (io.out)
        (void)fclose(io.out);
    if (io.err)
        (void)fclose(io.err);
    ran.again = io.again;
    *ret = ran;
}

static struct api_answer run(struct api_runner *runner, const struct api_request *request,
                             const struct api_call *call, const struct acting *who)
{
    scoped(api_ran_done) struct api_ran ran = { .code = CLI_FAILED };

    if (call->route->body == API_FILES)
        return api_plan(runner, request, call, who);
    api_run_words(runner, call->word, call->n_words,
                  &(struct api_looks){ .columns = call->columns, .change = is_change(call) }, who,
                  &ran);
    return api_answer_ran(call, &who->who, &ran);
}

/* What cannot be kept is answered all the same: who asks again learns that it was begun. */
static void keep(struct api_runner *runner, const struct api_call *call,
                 const struct store_once *once, const struct api_answer *answer)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct api_answer less = *answer;
    struct err err = { 0 };
    enum rc rc = home_open(runner->home, false, &home, &err);

    /* of thousands of satellites: what became of the plan has to be found out all the same */
    const bool shorten = call->route->what == API_PLAN_GIVE && answer->n > API_ONCE_TEXT_MAX;

    if (shorten)
        api_once_shorten(answer, &less);
    if (rc == RC_OK)
        rc = api_once_end(home.store, once, less.text ? &less : answer, &err);
    if (shorten)
        free(less.text);
    if (rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "an answer is not kept");
}

struct api_answer api_run(struct api_runner *runner, const struct api_request *request,
                          const struct api_call *call, const struct acting *who, const char *key)
{
    struct store_once once;
    struct api_answer answer = { 0 };
    struct err err = { 0 };

    if (!key || !is_change(call))
        return run(runner, request, call, who);
    {
        scoped(home_close) struct home home = HOME_NONE;
        enum rc rc = home_open(runner->home, false, &home, &err);

        if (rc == RC_OK)
            rc = api_once_begin(home.store, who->secret, key, request, clock_unix_ms(), &once,
                                &answer, &err);
        if (rc != RC_OK)
            return api_answer_error(&err);
    }
    if (answer.text)
        return answer;
    answer = run(runner, request, call, who);
    if (answer.text)
        keep(runner, call, &once, &answer);
    return answer;
}
