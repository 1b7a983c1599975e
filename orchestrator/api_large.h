/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_large: bodies that are larger than a word or two, of which only a few may be in
 * memory at a time: one of a token, and those of tenants, which are small (delegations), apart from
 * all others, so that neither can shut the other out.
 */
#ifndef BERTH_ORCHESTRATOR_API_LARGE_H
#define BERTH_ORCHESTRATOR_API_LARGE_H

#include <pthread.h>

#include "orchestrator/api.h"

#define API_LARGE_MAX 16U   /* of tenants */
#define API_LARGE_OTHERS 2U /* of others, each with up to 12 MiB */

struct api_large {
    pthread_mutex_t lock;
    pthread_cond_t given;                 /* one was given back */
    char who[2][API_LARGE_MAX][NAME_CAP]; /* [whether a tenant]; "" = free */
};
void api_large_init(struct api_large *large);
void api_large_done(struct api_large *large);

/* Whether whoever asks may send one now, or within so long: who has just read its answer asks again
 * before that connection knows that it is done.  It has to be given back. */
bool api_large_take(struct api_large *large, const struct api_who *who, unsigned wait_ms);
void api_large_give(struct api_large *large, const struct api_who *who);

/* The length of a body as its header says it: decimal digits.  False: it is none. */
bool api_large_length(const char *text, size_t *ret);

#endif
