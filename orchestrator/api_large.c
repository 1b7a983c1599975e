/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_large.h"

#include <stdlib.h>
#include <string.h>

void api_large_init(struct api_large *large)
{
    *large = (struct api_large){ 0 };
    (void)pthread_mutex_init(&large->lock, NULL);
}

void api_large_done(struct api_large *large)
{
    (void)pthread_mutex_destroy(&large->lock);
}

bool api_large_take(struct api_large *large, const struct api_who *who)
{
    char(*slot)[NAME_CAP] = large->who[who->role == API_TENANT];
    size_t at = API_LARGE_MAX;
    bool other = true;

    (void)pthread_mutex_lock(&large->lock);
    for (size_t i = API_LARGE_MAX; i-- > 0;) {
        if (slot[i][0] == '\0')
            at = i;
        other = other && strcmp(slot[i], who->name) != 0;
    }
    const bool may = other && at < API_LARGE_MAX;

    if (may)
        memcpy(slot[at], who->name, NAME_CAP);
    (void)pthread_mutex_unlock(&large->lock);
    return may;
}

void api_large_give(struct api_large *large, const struct api_who *who)
{
    char(*slot)[NAME_CAP] = large->who[who->role == API_TENANT];

    (void)pthread_mutex_lock(&large->lock);
    for (size_t i = 0; i < API_LARGE_MAX; i++)
        if (strcmp(slot[i], who->name) == 0)
            slot[i][0] = '\0';
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
