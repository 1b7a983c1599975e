/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_places: the connections of the API's server: how many of whom, and until when
 * what goes on there may last.  Pure but for a lock, and for ending a connection that is late.
 */
#ifndef BERTH_ORCHESTRATOR_API_PLACES_H
#define BERTH_ORCHESTRATOR_API_PLACES_H

#include <pthread.h>

#include "orchestrator/api.h"

#define API_CONNECTIONS_MAX 512U
#define API_STREAMS_MAX 48U
#define API_STREAMS_EACH 4U /* of one token */

struct api_place {
    int fd;
    bool used;
    bool streams;       /* a stream is open on it */
    bool waits;         /* a command of it waits or runs */
    uint64_t since_ms;  /* what goes on began */
    uint64_t until_ms;  /* 0 = as long as it likes */
    struct api_who who; /* name "" = has not shown a token that counts */
};

struct api_places {
    pthread_mutex_t lock;
    struct api_place place[API_CONNECTIONS_MAX];
};
void api_places_init(struct api_places *places);
void api_places_done(struct api_places *places);

/* The place of a new connection, whose request may take so long to come; NULL: there is none left.
 * Times are of a clock that only goes on. */
struct api_place *api_places_take(struct api_places *places, int fd, uint64_t now_ms, uint64_t ms);
/* It has ended. */
void api_places_give(struct api_places *places, struct api_place *place);

/* What comes next on a connection (NULL: nothing happens) may take so long. */
void api_places_allow(struct api_places *places, struct api_place *place, uint64_t now_ms,
                      uint64_t ms);
/* The same between requests: whose it was is forgotten. */
void api_places_rest(struct api_places *places, struct api_place *place, uint64_t now_ms,
                     uint64_t ms);

/* Note whose connection it is and what for, if it may have one more of that. */
bool api_places_admit(struct api_places *places, struct api_place *place, const struct api_who *who,
                      bool stream);

/* Who sends or takes byte by byte does not keep a place for ever, and in a crowd not for long who
 * has shown no token. */
void api_places_end_late(struct api_places *places, uint64_t now_ms);

#endif
