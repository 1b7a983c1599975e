/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_answer: what the HTTP API answers, before it is sent: a status and a text of
 * some type, which can be kept and given again.
 */
#ifndef BERTH_ORCHESTRATOR_API_ANSWER_H
#define BERTH_ORCHESTRATOR_API_ANSWER_H

#include "orchestrator/api.h"

#define API_JSON "application/json"

struct api_answer {
    unsigned status;
    const char *type; /* a constant */
    char *text;       /* n bytes, owned; NULL: memory was short, and nothing can be answered */
    size_t n;
    enum rc refused; /* what an error says, RC_OK for none */
};
void api_answer_done(struct api_answer *answer); /* scope cleaner */

/* Make one of a tree, whose reference is given up; or of an error, with what helps. */
struct api_answer api_answer_json(unsigned status, const char *type, json_t *value);
struct api_answer api_answer_error(const struct err *err);

/* What a command of berth has printed, and how it ended.  The texts are owned. */
struct api_ran {
    int code;
    bool again;
    char *out, *err;
    size_t n_out, n_err;
};
void api_ran_done(struct api_ran *ran); /* scope cleaner */

/* What whoever asked for the command is told of that. */
struct api_answer api_answer_ran(const struct api_call *call, const struct api_who *who,
                                 const struct api_ran *ran);

#endif
