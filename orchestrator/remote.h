/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/remote: commands that a ground elsewhere runs: which request of its API a command
 * line is (by the table of orchestrator/api), and what of the answer is printed here.
 *
 * The server is trusted with what the fleet is, and with nothing of this machine: what it sends for
 * the terminal loses every byte that a terminal would obey.
 */
#ifndef BERTH_ORCHESTRATOR_REMOTE_H
#define BERTH_ORCHESTRATOR_REMOTE_H

#include "base/bytes.h"
#include "orchestrator/cli.h"
#include "orchestrator/json.h"

/* Whether some request is this command. */
bool remote_knows(const char *command);

/* Ask cli->context to run cli->command; returns enum cli_exit. */
int remote_run(struct cli *cli);

/* What is asked for a command line. */
#define REMOTE_PATH_CAP 1800U
#define REMOTE_BODY_CAP 512U
struct remote_request {
    const char *method;
    char path[REMOTE_PATH_CAP]; /* with the query */
    char body[REMOTE_BODY_CAP]; /* JSON, or "" */
};

/* Make it; columns 0 = no terminal.  RC_CONTEXT_LOCAL: an option or argument that only a home on
 * this machine can have; RC_API_REQUEST: longer than an API takes. */
must_check enum rc remote_make(const struct cli *cli, unsigned columns, struct remote_request *ret,
                               struct err *err);

/* An answer that can be printed; out and err are owned. */
struct remote_answer {
    int exit; /* 0 to 255 */
    bool again;
    char *out, *err;
};
void remote_answer_done(struct remote_answer *answer); /* scope cleaner */

/* Read an answer.  An error that the server names comes back as it, with its fix in ret_fix; one
 * that makes no sense is RC_API_SERVER.  Pure. */
#define REMOTE_FIX_CAP 256U
must_check enum rc remote_answer_parse(unsigned status, struct bytes body,
                                       struct remote_answer *ret, char ret_fix[REMOTE_FIX_CAP],
                                       struct err *err);

/* An answer as JSON, which the caller lets go with json_decref; NULL: it is none.  RC_API_LIMIT: of
 * more values than any answer has, which would take many times its size.  Pure. */
#define REMOTE_VALUES_MAX 2000000U
must_check enum rc remote_json(struct bytes body, json_t **ret, struct err *err);

/* The error of an answer whose status is not 200; RC_API_SERVER: it names none.  Pure. */
must_check enum rc remote_error(unsigned status, const json_t *root, char ret_fix[REMOTE_FIX_CAP],
                                struct err *err);

/* A copy in which a terminal finds lines of text and nothing to obey: control bytes, also those of
 * two bytes, become '?'.  The caller frees it; NULL without memory. */
char *remote_tame(const char *text, size_t n);

/* An Idempotency-Key of its own, so that a change that is asked for twice, by whoever repeats it on
 * the way, is made once. */
#define REMOTE_KEY_CAP 33U
must_check enum rc remote_key(char out[REMOTE_KEY_CAP], struct err *err);

/* Print an answer; an error with what the server says to do about it, "" = nothing.  Both return
 * what the command ends with. */
int remote_print(struct cli *cli, const struct remote_answer *answer);
int remote_fail(struct cli *cli, const struct err *err, const char *fix);

#endif
