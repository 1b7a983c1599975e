/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/look: whether what a ground elsewhere asks to sign is what is wanted here.  The
 * ground is believed nothing: each request is held against the mission, the fleet file as it lies
 * on this machine, this clock, and what was signed here before.  Pure but for rules->before.
 *
 * A struct look is made of requests that passed.  Where neither the file nor the memory says which
 * bytes a version is, it holds a question, and nothing in it can be signed before all are answered.
 */
#ifndef BERTH_ORCHESTRATOR_LOOK_H
#define BERTH_ORCHESTRATOR_LOOK_H

#include "orchestrator/fleet.h"
#include "orchestrator/request.h"
#include "orchestrator/signed.h"

#define LOOK_REQUESTS_MAX (2U * FLEET_SATELLITES_MAX) /* of one plan */
#define LOOK_QUESTIONS_MAX 512U
#define LOOK_CLOCK_MS UINT64_C(600000) /* how far a time may be from this clock */
/* A generation that jumps further would leave a satellite fewer than there are. */
#define LOOK_GENERATIONS_MAX UINT64_C(1000000)

/* A request as it came: the name that it goes by ("order-SATELLITE", "token-SATELLITE"), its file.
 */
struct look_in {
    const char *name;
    struct bytes file;
};

struct look_rules {
    const struct mission *mission;
    const struct fleet *fleet;   /* what is wanted; NULL: a rollout is undone */
    const struct digest *server; /* who asks, as signed_server */
    bool staged;
    bool again;       /* as of signed_allows */
    uint64_t life_ms; /* of tokens */
    uint64_t now_ms;
    /* What was signed here before for a satellite. */
    enum rc (*before)(void *arg, const char *satellite, struct signed_before *ret, struct err *err);
    void *arg;
};

enum look_kind {
    LOOK_DIGEST = 1, /* whether this manifest is what is meant */
    LOOK_STOP,       /* whether this payload, which was ordered here, is to stop */
};

struct look_question {
    enum look_kind kind;
    char satellite[NAME_CAP]; /* the first that it is about */
    uint32_t satellites;      /* how many it is about */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char version[VERSION_CAP]; /* as the file says; "" = it says none */
    struct digest manifest;    /* LOOK_DIGEST */
    bool older;    /* this manifest was ordered from here before, and another one is now */
    bool answered; /* yes */
};

struct look;

/* Hold requests, sorted by name, against the rules: all of them pass, or there is no look.
 *   RC_API_SERVER      a name twice or out of order
 *   RC_TOO_LARGE       more than LOOK_REQUESTS_MAX
 *   RC_DOC_TYPE        neither an order nor a token, or another one than the name says
 *   RC_MISSION         of another mission
 *   RC_NO_SATELLITE    of a satellite that is not in the file, or not the one of the name
 *   RC_LOOK_ORDER      a payload more or less than the file wants there, or staged, or to expire,
 *                      other than asked
 *   RC_DIGEST_MISMATCH another digest than the file's, or two of one version
 *   RC_LOOK_GENERATION see signed_allows; or one that jumps
 *   RC_LOOK_TIME       of another time than now
 *   RC_LOOK_TOKEN      for an order that is not in here, or for another life
 * and what request_decode, order_decode and token_decode refuse.  Views into the files; free with
 * look_free (scope cleaner). */
must_check enum rc look_make(const struct look_rules *rules, const struct look_in *in, size_t n,
                             struct look **ret, struct err *err);
void look_free(struct look **look);

size_t look_requests(const struct look *look);

/* The i-th, to be shown. */
const struct request *look_at(const struct look *look, size_t i);

/* The same to be signed.  RC_NOT_CONFIRMED, naming what: a question is not answered. */
must_check enum rc look_take(const struct look *look, size_t i, const struct request **ret,
                             struct err *err);

/* What the i-th is, if it is an order; NULL: a token. */
const struct order *look_order(const struct look *look, size_t i);

/* What was remembered when the i-th, an order, was looked at: for signed_note. */
struct signed_next look_next(const struct look *look, size_t i);

/* How many orders are for satellites of which nothing is remembered here, so that their generation
 * is the ground's word alone; *ret_satellite: the first, NULL if there is none. */
size_t look_unknown(const struct look *look, const char **ret_satellite);

size_t look_questions(const struct look *look);
struct look_question *look_question(struct look *look, size_t i);

/* Answer all questions about one manifest with yes; how many there were. */
size_t look_confirm(struct look *look, const struct digest *manifest);

#endif
