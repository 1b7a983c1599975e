/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_context: the grounds that berth can ask over their API.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/cmd.h"
#include "orchestrator/context.h"
#include "orchestrator/path.h"

#define FIX_FILE "chmod 600 the file, chmod go-w its directory; berth context list"

static json_t *context_json(const struct contexts *all, const struct context *c)
{
    return json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s}", "name", c->name, "current",
                     strcmp(all->current, c->name) == 0, "server", c->server, "token_file",
                     c->token_file, "ca", c->ca, "cert", c->cert, "key", c->key, "root", c->root);
}

/* A path as the file keeps it: whole, since berth is started anywhere. */
static enum rc whole_path(const char *path, char out[CONTEXT_PATH_CAP], struct err *err)
{
    char *real = path ? realpath(path, NULL) : NULL;
    enum rc rc = RC_OK;

    if (path && !real)
        rc = err_sys(err, RC_IO, "%s", path);
    else if (real && strlen(real) >= CONTEXT_PATH_CAP)
        rc = err_set(err, RC_TOO_LARGE, "%.60s", path);
    else
        (void)snprintf(out, CONTEXT_PATH_CAP, "%s", real ? real : "");
    free(real);
    return rc;
}

static enum rc take_options(const struct cli *cli, struct context *c, struct err *err)
{
    const char *server = cli_value(cli, "server");
    enum rc rc = server && strlen(server) < sizeof c->server
                     ? RC_OK
                     : err_set(err, RC_USAGE, "--server https://HOST[:PORT] is missing");

    (void)snprintf(c->name, sizeof c->name, "%.*s", (int)sizeof c->name - 1, cli_arg(cli, 0));
    if (strlen(cli_arg(cli, 0)) >= sizeof c->name)
        return err_set(err, RC_NAME, "%.60s", cli_arg(cli, 0));
    if (rc == RC_OK)
        (void)snprintf(c->server, sizeof c->server, "%s", server);
    if (rc == RC_OK)
        rc = whole_path(cli_value(cli, "token-file"), c->token_file, err);
    if (rc == RC_OK)
        rc = whole_path(cli_value(cli, "ca"), c->ca, err);
    if (rc == RC_OK)
        rc = whole_path(cli_value(cli, "cert"), c->cert, err);
    if (rc == RC_OK)
        rc = whole_path(cli_value(cli, "key"), c->key, err);
    if (rc == RC_OK)
        rc = whole_path(cli_value(cli, "root"), c->root, err);
    return rc == RC_OK ? context_check(c, err) : rc;
}

static int run_add(struct cli *cli)
{
    scoped(free_ptr) struct contexts *all = NULL;
    struct context new = { 0 };
    struct err err = { 0 };
    enum rc rc = take_options(cli, &new, &err);

    if (rc != RC_OK)
        return cli_fail(cli, &err,
                        "berth context add NAME --server https://HOST:PORT --token-file "
                        "FILE [--ca FILE] [--cert FILE --key FILE] [--root FILE]");
    if (contexts_load(&all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    struct context *at = contexts_find(all, new.name);

    if (at && !cli_flag(cli, "replace")) {
        (void)err_set(&err, RC_EXISTS, "%s", new.name);
        return cli_fail(cli, &err, "--replace, or berth context remove %s", new.name);
    }
    if (!at && all->n == CONTEXTS_MAX) {
        (void)err_set(&err, RC_TOO_LARGE, "%u contexts", CONTEXTS_MAX);
        return cli_fail(cli, &err, "berth context remove NAME");
    }
    at = at ? at : &all->context[all->n++];
    *at = new;
    if (contexts_save(all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    cli_say(cli, "%s is %s; berth context use %s makes it the one that is asked", new.name,
            new.server, new.name);
    return cli_json(cli, context_json(all, &new));
}

/* Make another one, or with NULL none, the current one. */
static int make_current(struct cli *cli, const char *name)
{
    scoped(free_ptr) struct contexts *all = NULL;
    struct err err = { 0 };

    if (contexts_load(&all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    const struct context *found = name ? contexts_find(all, name) : NULL;

    if (name && !found) {
        (void)err_set(&err, RC_CONTEXT, "there is no context %.60s", name);
        return cli_fail(cli, &err, "berth context list");
    }
    (void)snprintf(all->current, sizeof all->current, "%s", found ? found->name : "");
    if (contexts_save(all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    if (found)
        cli_say(cli, "%s, %s, is asked from now on", found->name, found->server);
    else
        cli_say(cli, "the home of this machine is used from now on");
    return cli_json(cli, found ? context_json(all, found) : json_object());
}

static int run_use(struct cli *cli)
{
    struct err err = { 0 };

    if (!cli_arg(cli, 0) == !cli_flag(cli, "none")) {
        (void)err_set(&err, RC_USAGE, "a name, or --none");
        return cli_fail(cli, &err, "berth context list");
    }
    return make_current(cli, cli_arg(cli, 0));
}

static int run_list(struct cli *cli)
{
    static const char *const headings[] = { "CONTEXT", "CURRENT", "SERVER" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 3);
    scoped(free_ptr) struct contexts *all = NULL;
    json_t *rows = json_array();
    struct err err = { 0 };

    if (contexts_load(&all, &err) != RC_OK) {
        json_decref(rows);
        return cli_fail(cli, &err, FIX_FILE);
    }
    for (size_t i = 0; i < all->n; i++) {
        const struct context *c = &all->context[i];
        const bool current = strcmp(all->current, c->name) == 0;
        const char *const cells[] = { c->name, current ? "yes" : "", c->server };

        cli_table_row(table, cells);
        (void)json_array_append_new(rows, context_json(all, c));
    }
    if (all->n == 0)
        cli_say(cli, "no contexts");
    else
        cli_table_print(cli, table);
    return cli_json(cli, json_pack("{s:o}", "contexts", rows));
}

static int run_show(struct cli *cli)
{
    scoped(free_ptr) struct contexts *all = NULL;
    struct err err = { 0 };

    if (contexts_load(&all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    const char *name = cli_arg(cli, 0) ? cli_arg(cli, 0) : all->current;
    const struct context *c = contexts_find(all, name);

    if (!c) {
        (void)err_set(&err, RC_CONTEXT, "there is no context %.60s",
                      name[0] != '\0' ? name : "in use");
        return cli_fail(cli, &err, "berth context list");
    }
    cli_say(cli, "%s: %s", c->name, c->server);
    cli_say(cli, "  token in %s", c->token_file);
    if (c->ca[0] != '\0')
        cli_say(cli, "  its certificate is of %s, of no other authority", c->ca);
    if (c->cert[0] != '\0')
        cli_say(cli, "  shows it %s, with the key in %s", c->cert, c->key);
    if (c->root[0] != '\0')
        cli_say(cli, "  signs for the mission of %s, for no other", c->root);
    return cli_json(cli, context_json(all, c));
}

static int run_remove(struct cli *cli)
{
    scoped(free_ptr) struct contexts *all = NULL;
    const char *name = cli_arg(cli, 0);
    struct err err = { 0 };

    if (contexts_load(&all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    struct context *c = contexts_find(all, name);

    if (!c) {
        (void)err_set(&err, RC_CONTEXT, "there is no context %.60s", name);
        return cli_fail(cli, &err, "berth context list");
    }
    if (strcmp(all->current, name) == 0)
        all->current[0] = '\0';
    *c = all->context[--all->n];
    if (contexts_save(all, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_FILE);
    cli_say(cli, "%s is forgotten; its token still counts: berth token revoke, on its ground",
            name);
    return cli_json(cli, json_pack("{s:s}", "removed", name));
}

static const struct cli_option add_options[] = {
    { "server", CLI_TEXT, "URL", "https://HOST[:PORT]; http:// only of a loopback address" },
    { "token-file", CLI_PATH, "FILE", "what berth token new printed, in a file of mode 0600" },
    { "ca", CLI_PATH, "FILE", "authority of the server's certificate, PEM (else the system's)" },
    { "cert", CLI_PATH, "FILE", "certificate to show, PEM, where the server wants one" },
    { "key", CLI_PATH, "FILE", "its private key, PEM, in a file of mode 0600" },
    { "root", CLI_PATH, "FILE", "the mission's trust root: orders are signed for it alone" },
    { "replace", CLI_FLAG, NULL, "if there is one of this name already" },
    { 0 },
};

static const struct cli_option use_options[] = {
    { "none", CLI_FLAG, NULL, "ask none: use the home of this machine again" },
    { 0 },
};

const struct cli_command cmd_context[] = {
    { .name = "context add",
      .group = "Contexts",
      .args = "NAME",
      .summary = "Keep where a ground's API is, and what to show it",
      .about =
          "With a context in use, or named by --context or $BERTH_CONTEXT, commands that look at "
          "a\n"
          "fleet or steer its rollouts ask that ground, and print the same as on it.  Commands\n"
          "that need a key or a file of the ground work on its own machine only, and say so.\n"
          "Flags come before environment: --context, --home, $BERTH_CONTEXT, $BERTH_HOME, the\n"
          "context in use, .berth.",
      .args_min = 1,
      .args_max = 1,
      .options = add_options,
      .run = run_add },
    { .name = "context use",
      .group = "Contexts",
      .args = "[NAME]",
      .names = CLI_CONTEXTS,
      .summary = "Ask this ground from now on, or with --none no other",
      .args_max = 1,
      .options = use_options,
      .run = run_use },
    { .name = "context list",
      .group = "Contexts",
      .args = "",
      .summary = "List the contexts",
      .listing = "contexts.name",
      .run = run_list },
    { .name = "context show",
      .group = "Contexts",
      .args = "[NAME]",
      .names = CLI_CONTEXTS,
      .summary = "Show one, or the one in use",
      .args_max = 1,
      .run = run_show },
    { .name = "context remove",
      .group = "Contexts",
      .args = "NAME",
      .names = CLI_CONTEXTS,
      .summary = "Forget one",
      .args_min = 1,
      .args_max = 1,
      .run = run_remove },
    { 0 },
};
