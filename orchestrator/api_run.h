/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_run: commands of berth in berth-api's process, one after the other.
 */
#ifndef BERTH_ORCHESTRATOR_API_RUN_H
#define BERTH_ORCHESTRATOR_API_RUN_H

#include <pthread.h>

#include "orchestrator/api_answer.h"
#include "orchestrator/approvals.h"

struct api_runner {
    const char *home; /* borrowed */
    pthread_mutex_t turn;
    pthread_cond_t idle;
    bool busy;
    unsigned changes;      /* that wait: they go first */
    pthread_mutex_t plans; /* whoever uses the directory of plans (orchestrator/api_plan) */
};
void api_runner_init(struct api_runner *runner, const char *home);
void api_runner_done(struct api_runner *runner);

/* How a command is run. */
struct api_looks {
    unsigned columns; /* of the terminal that it prints for, 0 = none */
    bool change;      /* it changes something, and does not wait behind who only looks */
};

/* Run one command, without the program's name, when its turn comes; in its own time, as whoever
 * asked.  End with api_ran_done. */
void api_run_words(struct api_runner *runner, const char *const *word, size_t n,
                   const struct api_looks *looks, const struct acting *who, struct api_ran *ret);

/* Run what was asked for, for whoever did.  key: its Idempotency-Key, NULL = none; a request that
 * changes nothing needs none. */
struct api_answer api_run(struct api_runner *runner, const struct api_request *request,
                          const struct api_call *call, const struct acting *who, const char *key);

#endif
