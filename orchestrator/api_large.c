/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_large.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void api_large_init(struct api_large *large)
{
    *large = (struct api_large){ 0 };
    (void)pthread_mutex_init(&large->lock, NULL);
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&large->given, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void api_large_done(struct api_large *large)
{
    (void)pthread_cond_destroy(&large->given);
    (void)pthread_mutex_destroy(&large->lock);
}

/* A free slot for this token; API_LARGE_MAX = there is none. */
static size_t free_slot(char (*slot)[NAME_CAP], size_t n, const char *name)
{
    size_t at = API_LARGE_MAX;

    for (size_t i = n; i-- > 0;) {
        if (strcmp(slot[i], name) == 0)
            return API_LARGE_MAX;
        if (slot[i][0] == '\0')
            at = i;
    }
    return at;
}

bool api_large_take(struct api_large *large, const struct api_who *who, unsigned wait_ms)
{
    char(*slot)[NAME_CAP] = large->who[who->role == API_TENANT];
    const size_t n = who->role == API_TENANT ? API_LARGE_MAX : API_LARGE_OTHERS;
    struct timespec until;
    size_t at;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000L;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&large->lock);
    do {
        at = free_slot(slot, n, who->name);
    } while (at == API_LARGE_MAX && wait_ms > 0 &&
             pthread_cond_timedwait(&large->given, &large->lock, &until) == 0);
    if (at < API_LARGE_MAX)
        memcpy(slot[at], who->name, NAME_CAP);
    (void)pthread_mutex_unlock(&large->lock);
    return at < API_LARGE_MAX;
}

void api_large_give(struct api_large *large, const struct api_who *who)
{
    char(*slot)[NAME_CAP] = large->who[who->role == API_TENANT];

    (void)pthread_mutex_lock(&large->lock);
    for (size_t i = 0; i < API_LARGE_MAX; i++)
        if (strcmp(slot[i], who->name) == 0)
            slot[i][0] = '\0';
    (void)pthread_cond_broadcast(&large->given);
    (void)pthread_mutex_unlock(&large->lock);
}

bool api_large_length(const char *text, size_t *ret)
{
    const size_t n = text ? strspn(text, "0123456789") : 0;

    if (n == 0 || n > 12 || text[n] != '\0')
        return false;
    *ret = (size_t)strtoull(text, NULL, 10);
    return true;
}
