/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_http_parts: what the files of orchestrator/api_http share: the server, how it
 * answers, and its streams.
 */
#ifndef BERTH_ORCHESTRATOR_API_HTTP_PARTS_H
#define BERTH_ORCHESTRATOR_API_HTTP_PARTS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "orchestrator/api_large.h"
#include "orchestrator/api_places.h"
#include "orchestrator/api_run.h"
#include "orchestrator/home.h"

struct api_http {
    struct MHD_Daemon *daemon;
    char home[HOME_PATH_CAP];
    bool tls, mutual;
    struct api_runner runner;
    pthread_mutex_t rates;
    struct api_places places;
    struct api_rate rate, failures, files;
    struct api_large large;
    /* What wakes streams. */
    pthread_mutex_t news;
    pthread_cond_t changed;
    uint64_t generation;
    bool ending;
    pthread_t watcher;
    bool watches;
    atomic_uint_fast64_t answered[6], refused, limited, streams;
};

/* Queue a response and give it up. */
enum MHD_Result api_http_queue(struct api_http *h, struct MHD_Connection *c, unsigned status,
                               const char *type, struct MHD_Response *response);

/* Send an answer, or a tree, which are given up; an error; constant bytes. */
enum MHD_Result api_http_give(struct api_http *h, struct MHD_Connection *c,
                              struct api_answer *answer);
enum MHD_Result api_http_json(struct api_http *h, struct MHD_Connection *c, unsigned status,
                              json_t *value);
enum MHD_Result api_http_refuse(struct api_http *h, struct MHD_Connection *c,
                                const struct err *err);
enum MHD_Result api_http_bytes(struct api_http *h, struct MHD_Connection *c, const char *type,
                               struct bytes content);

/* The place of a connection; NULL = it has none. */
struct api_place *api_http_place(struct MHD_Connection *c);

/* Answer with a stream of events, until the client goes, its token ends or the server does. */
enum MHD_Result api_http_events(struct api_http *h, struct MHD_Connection *c,
                                const struct api_call *call, const struct api_who *who,
                                const char *secret);

/* The thread, of the server, that wakes streams when the store has changed. */
void *api_http_watch(void *http);

#endif
