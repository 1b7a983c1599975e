/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/contact: the contact plan: when which station can talk to which satellite, how many
 * bytes that is worth, and what has become of it.  Pure.
 *
 * A contact is predicted (from an orbit, or by somebody else's plan), reserved on an antenna,
 * executed, and then done or failed.  What it is worth is the link's rate over the time in each
 * band of elevation, without the time to set up and what framing takes ("room"), times the part
 * that usually arrives between this station and this satellite ("capacity"), which is learnt.
 */
#ifndef BERTH_ORCHESTRATOR_CONTACT_H
#define BERTH_ORCHESTRATOR_CONTACT_H

#include "base/limits.h"
#include "orchestrator/sky.h"

#define CONTACT_ANTENNAS_MAX 16U
#define CONTACT_TURN_MAX_MS 3600000U
#define CONTACT_STEPS_MAX 8U
#define CONTACT_RATE_MAX UINT64_C(1000000000000) /* bit/s */
#define CONTACT_SETUP_MAX_MS 600000U
#define CONTACT_LONGEST_MS 1800000 /* a longer time in view counts as several contacts */
#define CONTACTS_MAX 4000000U
#define CONTACT_PPM 1000000U

struct contact_station {
    char id[NAME_CAP];
    struct sky_station place;
    uint64_t node;     /* in contact plans of others; 0 = none */
    uint32_t antennas; /* 1 to CONTACT_ANTENNAS_MAX */
    uint32_t turn_ms;  /* an antenna needs so long from one contact to the next */
};

/* The rate from an elevation upwards. */
struct contact_step {
    double from;   /* radians */
    uint64_t rate; /* bit/s */
};

/* What a satellite's uplink is like. */
struct contact_link {
    uint64_t rate;         /* bit/s, from the station's mask upwards */
    uint32_t setup_ms;     /* at the beginning of a contact: nothing of ours goes */
    uint32_t overhead_ppm; /* of the rate, for frames and bundles */
    uint32_t goodput_ppm;  /* part that arrives, before anything was learnt */
    uint32_t n_steps;      /* by rising elevation */
    struct contact_step step[CONTACT_STEPS_MAX];
};

enum contact_state {
    CONTACT_PREDICTED, /* zero: nobody has been promised anything */
    CONTACT_RESERVED,
    CONTACT_EXECUTING,
    CONTACT_DONE,   /* the satellite has told of it */
    CONTACT_FAILED, /* it was reserved, and nothing was heard */
    CONTACT_STATES
};

enum contact_event {
    CONTACT_RESERVE,
    CONTACT_RELEASE,
    CONTACT_BEGIN,
    CONTACT_HEAR,
    CONTACT_MISS,
    CONTACT_EVENTS
};

struct contact {
    uint32_t station;   /* index */
    uint32_t satellite; /* index */
    int64_t aos_ms;     /* Unix time */
    int64_t los_ms;
    double top;        /* highest elevation, radians; 0 = not known */
    uint64_t room;     /* bytes that fit if nothing is lost */
    uint64_t capacity; /* bytes that are expected to arrive */
    uint32_t antenna;  /* of the station, when reserved or later */
    enum contact_state state;
};

struct contacts {
    size_t n, cap;
    struct contact *at;
};

/* Append; a longer one than CONTACT_LONGEST_MS as equal parts, which share the bytes.
 * RC_NO_MEMORY, RC_TOO_LARGE above CONTACTS_MAX, RC_VALUE unless it begins before it ends. */
must_check enum rc contacts_add(struct contacts *list, const struct contact *contact,
                                struct err *err);
void contacts_free(struct contacts *list); /* scope cleaner */

/* Order by beginning, then station, satellite, end: the one order in which equal plans are equal.
 */
void contacts_sort(struct contacts *list);

/* The first of a sorted list that does not begin before a time; n = none. */
size_t contacts_first(const struct contacts *list, int64_t from_ms);

/* Let a contact go through an event.  RC_TRANSITION, and nothing changes, where the state does not
 * have it. */
must_check enum rc contact_move(struct contact *contact, enum contact_event event, struct err *err);

/* What the time alone makes of a contact: a reserved one begins; one that is over and was not heard
 * of for grace_ms has failed. */
void contact_clock(struct contact *contact, int64_t now_ms, int64_t grace_ms);

/* "predicted", "reserved", ... */
const char *contact_state_text(enum contact_state state);

/* ---- what it is worth ------------------------------------------------------------------------
 */

/* Elevation at a time, radians. */
struct contact_view {
    double (*elevation)(void *arg, int64_t time_ms);
    void *arg;
};

/* Bytes that fit into a pass.  The elevation rises until top_ms and falls from then on; it is asked
 * for only where the link has steps, to a second. */
uint64_t contact_room(const struct contact_link *link, const struct sky_pass *pass,
                      const struct contact_view *view);

/* Bytes of room that are expected to arrive. */
uint64_t contact_expect(uint64_t room, uint32_t goodput_ppm);

/* What has been learnt of one station and one satellite: the part of what was offered that arrived,
 * as mean and mean deviation, parts per million.
 *
 * The estimator is that of TCP's round-trip time, RFC 6298 section 2 (Jacobson and Karels): with a
 * sample x in 0..1 and its weight w in 0..1,
 *
 *     deviation += w/4 * (|mean - x| - deviation)
 *     mean      += w/8 * (x - mean)
 *
 * The prior is the link's goodput with a quarter of it as deviation.  w is the part of the room
 * that was offered, so a contact that had hardly anything to carry says hardly anything.  Bounded:
 * x is cut to 0..1, the mean stays in CONTACT_GOODPUT_MIN..1, and one contact moves it by an eighth
 * at most, whatever a satellite says. */
#define CONTACT_GOODPUT_MIN 10000U /* a hundredth: a link that brought nothing is tried again */
struct contact_goodput {
    uint32_t mean_ppm;
    uint32_t deviation_ppm;
    uint32_t contacts; /* samples taken; saturates */
};

/* Before anything was learnt. */
struct contact_goodput contact_prior(const struct contact_link *link);

/* Learn from one contact: bytes of whole bundles that were offered to the link, and that arrived
 * useful or repeated; room as of contact_room.  Nothing offered: nothing learnt. */
void contact_learn(struct contact_goodput *g, uint64_t room, uint64_t offered, uint64_t arrived);

#endif
