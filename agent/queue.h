/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/queue: objects that wait to be worked on, and whose turn it is.  Pure.
 *
 * Documents never wait behind packages.  Packages go by turns: of all that may be worked on, the
 * one whose tenant has waited longest since its last turn, and of that tenant the one that came
 * first.  So what one tenant sends, however much it is, costs another tenant one turn at the most.
 * When there is no room for more, whoever has most waiting gives up what came last.
 *
 * Whose a package is says its signature (agent/receive); before that it is nobody's, and all of
 * those together are treated as one tenant's.
 */
#ifndef BERTH_AGENT_QUEUE_H
#define BERTH_AGENT_QUEUE_H

#include "manifest/doc.h"

#define QUEUE_MAX 176U
#define QUEUE_PACKAGES_MAX 144U /* of these: the rest is for documents */

/* An object to be worked on. */
struct item {
    uint32_t kind; /* enum object_kind */
    struct digest digest;
    uint64_t size;
    int fd;                /* from berth-link; -1 = in the object store already */
    bool started;          /* a package that is being unpacked */
    bool waiting;          /* a root or token that came before what it follows */
    bool told;             /* that there is no room for it now */
    char tenant[NAME_CAP]; /* of a package: whose keys signed it; "" = nobody's that is known */
    char team[TEAM_CAP];   /* and of which of its teams, "" = the tenant's own */
    uint32_t attempts;
    uint32_t full;   /* times in a row that there was no room on the disk */
    uint32_t yields; /* times that it was stopped because others waited */
    uint64_t not_before_ms;
};

/* When a tenant was last given a turn. */
struct turn {
    char tenant[NAME_CAP];
    uint64_t at; /* counts turns, 0 = never */
};

struct queue {
    uint32_t n;
    struct item item[QUEUE_MAX]; /* oldest first */
    uint64_t turns;
    struct turn turn[TENANTS_MAX + 1U]; /* with a place for nobody's */
};

/* The item of this digest, or NULL. */
struct item *queue_find(struct queue *q, const struct digest *digest);

/* Add an item at the end; its descriptor is the queue's then.  NULL, and the descriptor still the
 * caller's: there is no room, or it is there already. */
struct item *queue_add(struct queue *q, const struct item *item);

/* Remove an item of the queue and close its descriptor.  Pointers to others are void. */
void queue_remove(struct queue *q, struct item *item);

/* Whether a package of this tenant that is in the store can be begun with now; and whether one is
 * being taken into the store, one at a time. */
struct queue_ask {
    bool taking;
    bool (*may_begin)(const void *arg, const char *tenant);
    const void *arg;
};

/* What to work on next, or NULL: a root, else the first document, else a package by turns. */
struct item *queue_next(struct queue *q, uint64_t now_ms, const struct queue_ask *ask);

/* This tenant has had its turn. */
void queue_took_turn(struct queue *q, const char *tenant);

/* Whether a package that finds the disk full may stay with berth-link until there is room.  One of
 * each tenant, and none of nobody's: berth-link has few places, and others may fit. */
bool queue_may_hold(const struct queue *q, const struct item *item);

/* A place where a package is unpacked. */
struct queue_job {
    bool busy;
    bool yielding;     /* it has been stopped and will be free in a moment */
    uint64_t share_ms; /* when its share of time is over */
};

#define QUEUE_SHARE_MS (60ULL * 1000U) /* of a job, before it may have to make way */

/* The share of a job that has had to make way so many times: twice as much each time, so that it
 * ends some day, whoever waits; never above max_ms. */
uint64_t queue_share_ms(uint32_t yields, uint64_t max_ms);

/* Which job makes way for those that wait: the one longest past its share, if every place is taken
 * and none is about to become free.  n: none. */
uint32_t queue_must_yield(const struct queue_job *jobs, uint32_t n, uint64_t now_ms);

/* The package that gives way for one more of this tenant, or NULL: none does, because nobody has
 * more waiting than this tenant would have.  Never one that is being unpacked. */
struct item *queue_victim(struct queue *q, const char *tenant);

/* Whether a package in the store, of a tenant that is known, waits for nothing but what `ask` says
 * yes to. */
bool queue_others_wait(const struct queue *q, uint64_t now_ms, const struct queue_ask *ask);

#endif
