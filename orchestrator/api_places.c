/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_places.h"

#include <sys/socket.h>

#define CROWD (API_CONNECTIONS_MAX * 3U / 4U) /* so many: who shows no token soon makes room */
#define CROWD_MS 2000U                        /* ... so soon */
#define STREAMS_TENANTS 24U                   /* of all streams */
#define COMMANDS_EACH 6U                      /* of one token, that wait or run */
#define COMMANDS_TENANT 3U                    /* ... of a tenant's */

void api_places_init(struct api_places *places)
{
    memset(places, 0, sizeof *places);
    (void)pthread_mutex_init(&places->lock, NULL);
}

void api_places_done(struct api_places *places)
{
    (void)pthread_mutex_destroy(&places->lock);
}

struct api_place *api_places_take(struct api_places *places, int fd, uint64_t now_ms, uint64_t ms)
{
    struct api_place *place = NULL;

    (void)pthread_mutex_lock(&places->lock);
    for (size_t i = 0; i < API_CONNECTIONS_MAX && !place; i++)
        if (!places->place[i].used)
            place = &places->place[i];
    if (place)
        *place = (struct api_place){
            .fd = fd, .used = true, .since_ms = now_ms, .until_ms = now_ms + ms
        };
    (void)pthread_mutex_unlock(&places->lock);
    return place;
}

void api_places_give(struct api_places *places, struct api_place *place)
{
    (void)pthread_mutex_lock(&places->lock);
    *place = (struct api_place){ .fd = -1 };
    (void)pthread_mutex_unlock(&places->lock);
}

static void allow(struct api_places *places, struct api_place *place, uint64_t now_ms, uint64_t ms,
                  bool rests)
{
    (void)pthread_mutex_lock(&places->lock);
    if (place) {
        place->since_ms = now_ms;
        place->until_ms = now_ms + ms;
        place->waits = place->streams = false;
        if (rests)
            place->who = (struct api_who){ 0 };
    }
    (void)pthread_mutex_unlock(&places->lock);
}

void api_places_allow(struct api_places *places, struct api_place *place, uint64_t now_ms,
                      uint64_t ms)
{
    allow(places, place, now_ms, ms, false);
}

void api_places_rest(struct api_places *places, struct api_place *place, uint64_t now_ms,
                     uint64_t ms)
{
    allow(places, place, now_ms, ms, true);
}

bool api_places_admit(struct api_places *places, struct api_place *place, const struct api_who *who,
                      bool stream)
{
    unsigned own = 0, tenants = 0, all = 0;
    bool may = place != NULL;

    (void)pthread_mutex_lock(&places->lock);
    for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
        const struct api_place *p = &places->place[i];

        if (!p->used || !(stream ? p->streams : p->waits))
            continue;
        all++;
        tenants += p->who.role == API_TENANT;
        own += strcmp(p->who.name, who->name) == 0;
    }
    if (stream)
        may = may && all < API_STREAMS_MAX && own < API_STREAMS_EACH &&
              (who->role != API_TENANT || tenants < STREAMS_TENANTS);
    else
        may = may && own < (who->role == API_TENANT ? COMMANDS_TENANT : COMMANDS_EACH);
    if (may) {
        place->who = *who;
        place->streams = stream;
        place->waits = !stream;
        if (stream)
            place->until_ms = 0;
    }
    (void)pthread_mutex_unlock(&places->lock);
    return may;
}

void api_places_end_late(struct api_places *places, uint64_t now_ms)
{
    unsigned used = 0;

    (void)pthread_mutex_lock(&places->lock);
    for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
        used += places->place[i].used;
    for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
        struct api_place *p = &places->place[i];
        const bool stranger = used > CROWD && p->who.name[0] == '\0' && p->until_ms != 0 &&
                              now_ms >= p->since_ms + CROWD_MS;

        if (p->used && p->until_ms != 0 && (stranger || now_ms >= p->until_ms)) {
            (void)shutdown(p->fd, SHUT_RDWR);
            p->until_ms = 0;
        }
    }
    (void)pthread_mutex_unlock(&places->lock);
}
