/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/context: the grounds that berth asks over their API, and which of them it asks now.
 *
 *     $XDG_CONFIG_HOME/berth/contexts.yaml, else $HOME/.config/berth/contexts.yaml:
 *         current: prod
 *         contexts:
 *           prod: {server: https://ground.example:8480, token-file: /home/anna/prod.token}
 *
 * Beside it lies what was signed here for these grounds (orchestrator/signed).
 *
 * The file says where tokens are sent: it is used only if nobody else can read or write it.
 */
#ifndef BERTH_ORCHESTRATOR_CONTEXT_H
#define BERTH_ORCHESTRATOR_CONTEXT_H

#include "base/bytes.h"
#include "base/limits.h"
#include "orchestrator/json.h"
#include "orchestrator/server_url.h"

#define CONTEXTS_MAX 64U
#define CONTEXT_PATH_CAP 512U

struct context {
    char name[NAME_CAP];
    char server[SERVER_URL_CAP];
    /* Absolute; "" = none.  cert and key go together. */
    char token_file[CONTEXT_PATH_CAP];
    char ca[CONTEXT_PATH_CAP];
    char cert[CONTEXT_PATH_CAP];
    char key[CONTEXT_PATH_CAP];
    char root[CONTEXT_PATH_CAP]; /* of the mission that is signed for; "" = nothing is */
};

struct contexts {
    char current[NAME_CAP]; /* "" = none */
    size_t n;
    struct context context[CONTEXTS_MAX];
};

/* Whether it makes sense: a name, a server, absolute paths.  RC_CONTEXT, RC_VALUE, RC_NAME. */
must_check enum rc context_check(const struct context *context, struct err *err);

/* The text of the file.  RC_YAML, and what context_check refuses. */
must_check enum rc contexts_parse(struct bytes text, struct contexts *ret, struct err *err);

/* The tree that the file is written as. */
json_t *contexts_json(const struct contexts *contexts);

/* Read the file, write it anew.  One that is not there holds none.  RC_CONTEXT: others can read or
 * write it, or there is no home for it.  Free with free(). */
must_check enum rc contexts_load(struct contexts **ret, struct err *err);
must_check enum rc contexts_save(const struct contexts *contexts, struct err *err);

/* The directory that the file lies in; create: made if missing.  RC_NOT_FOUND: there is no home for
 * it. */
must_check enum rc context_dir(bool create, int *ret_dirfd, struct err *err);

/* The one of a name, or NULL. */
struct context *contexts_find(struct contexts *contexts, const char *name);

/* Which one is meant, as given: --context, else --home (none), else $BERTH_CONTEXT, else
 * $BERTH_HOME (none), else the current one.  *ret_any false: a home of this machine.  RC_USAGE:
 * both options; RC_CONTEXT: the one that was named is not there. */
must_check enum rc context_choose(const char *context, const char *home, struct context *ret,
                                  bool *ret_any, struct err *err);

#endif
