/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/link_sim: one object over a link that loses, with the real sender, the real receiver
 * and every message sealed as it is on the air.  Passes, losses and restarts come from a seed; the
 * same seed gives the same run.
 *
 * A pass: the satellite's report of last time may come down; the ground sends what is due; a report
 * may come down; the ground sends once more what is due then; that is the one extra round trip.
 */
#ifndef BERTH_TESTS_UNIT_LINK_SIM_H
#define BERTH_TESTS_UNIT_LINK_SIM_H

#include "tests/unit/link_fixture.h"

#include "link/receiver.h"
#include "link/seal.h"
#include "link/transfer.h"

#define SIM_PASSES_MAX 3000U
#define SIM_PASS_MS (100U * 60U * 1000U)
#define SIM_TRIP_MS 10000U
#define SIM_RESEND_MS (40U * 60U * 1000U)

/* The link and the object. */
struct sim_case {
    const char *name;
    size_t size;
    uint32_t chunk_size; /* 0 = the sender's choice */
    unsigned up_loss;    /* of 1000 bundles */
    unsigned down_loss;  /* of 1000 reports; 1000 = one way */
    unsigned burst;      /* bundles lost in a row, on average; 0 and 1: one by one */
    unsigned restarts;   /* of 1000 passes, after which the satellite starts anew */
    uint64_t budget;     /* bytes of one burst; 0 = no limit */
    uint32_t repairs;    /* for the sender */
};

struct sim_result {
    uint64_t air;     /* bytes sent up, all of every bundle */
    uint64_t arrived; /* of them */
    uint32_t bundles;
    uint32_t passes;
    bool whole; /* the object is there, byte for byte */
};

struct sim {
    const struct sim_case *c;
    uint64_t seed;
    bool losing; /* in the middle of a burst of losses */
    uint64_t now_ms;
    struct link_tmp tmp;
    struct link_object object;
    struct sender *sender;
    struct receiver *receiver;
    struct sim_result result;
};

static inline bool sim_chance(struct sim *s, unsigned of_1000)
{
    return link_random(&s->seed) % 1000 < of_1000;
}

/* Gilbert's model: a run of losses begins so often that up_loss of all bundles are lost. */
static inline bool sim_loses(struct sim *s)
{
    const unsigned burst = s->c->burst < 1 ? 1 : s->c->burst, loss = s->c->up_loss;

    if (burst == 1)
        return sim_chance(s, loss);
    if (s->losing)
        s->losing = !sim_chance(s, 1000 / burst);
    else
        s->losing = sim_chance(s, loss * 1000 / burst / (1000 - loss));
    return s->losing;
}

/* In memory where that can be: what the disk does is not the matter here. */
static inline struct link_tmp sim_tmp(void)
{
    struct link_tmp t = { .path = "/dev/shm/berth-link-XXXXXX" };

    if (mkdtemp(t.path) == NULL)
        return link_tmp_new();
    t.fd = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(t.fd >= 0);
    return t;
}

static inline void sim_start_receiver(struct sim *s)
{
    const struct receiver_options options = { 0 };
    struct err err;

    receiver_close(&s->receiver);
    assert_rc(receiver_open(s->tmp.fd, &options, s->now_ms, &s->receiver, &err), RC_OK);
}

static inline void sim_begin(struct sim *s, const struct sim_case *c, uint64_t seed)
{
    const struct sender_options options = { .chunk_size = c->chunk_size,
                                            .one_way = c->down_loss >= 1000,
                                            .repairs = c->repairs,
                                            .resend_ms = SIM_RESEND_MS };
    struct err err;

    *s = (struct sim){ .c = c, .seed = seed * 2654435761U + 1, .tmp = sim_tmp() };
    s->object = link_object_new(OBJECT_PACKAGE, c->size, seed);
    sim_start_receiver(s);
    assert_rc(sender_new(&options, &s->sender, &err), RC_OK);
    if (options.one_way) /* as somebody knows from elsewhere */
        sender_learn(s->sender, 1000, c->up_loss, 1000U * 32768U);
    assert_rc(sender_add(s->sender, &s->object.object, link_object_source(&s->object), &err),
              RC_OK);
}

static inline void sim_end(struct sim *s)
{
    sender_free(&s->sender);
    receiver_close(&s->receiver);
    free(s->object.bytes);
    link_tmp_free(&s->tmp);
}

/* Bytes of the bundle that a message goes in. */
static inline uint64_t sim_sealed(struct sim *s, struct bytes message)
{
    static uint8_t bundle[BUNDLE_MAX];
    static const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };
    const struct link_message m = { .src = eid_ipn(1, 1),
                                    .dst = eid_ipn(42, 1),
                                    .sequence = s->result.bundles + 1,
                                    .key = 1,
                                    .counter = s->result.bundles + 1,
                                    .lifetime_ms = UINT64_C(30) * 24 * 3600 * 1000,
                                    .payload = message };
    struct err err;
    size_t n = 0;

    assert_rc(link_seal(&m, &keys, bundle, sizeof bundle, &n, &err), RC_OK);
    return n;
}

/* One burst of what is due. */
static inline void sim_send(struct sim *s)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    uint64_t budget = s->c->budget == 0 ? UINT64_MAX : s->c->budget;
    struct bytes message = { 0 };
    struct err err;

    while (sender_next(s->sender, s->now_ms, &budget, buf, sizeof buf, &message, &err) == RC_OK) {
        const uint64_t n = sim_sealed(s, message);

        s->result.air += n;
        s->result.bundles++;
        if (sim_loses(s))
            continue;
        s->result.arrived += n;
        assert_rc(receiver_take(s->receiver, "", message, s->now_ms, &err), RC_OK);
    }
    assert_rc(receiver_commit(s->receiver, &err), RC_OK);
}

static inline void sim_report(struct sim *s)
{
    static struct port_transfers status;

    if (sim_chance(s, s->c->down_loss))
        return;
    receiver_status(s->receiver, &status);
    sender_report(s->sender, &status, s->now_ms);
}

/* Whether the object has come; the satellite is not told to take it away. */
static inline bool sim_is_whole(struct sim *s)
{
    scoped(close_fd) int fd = -1;
    struct port_object ready = { 0 };
    struct err err;

    if (!receiver_ready(s->receiver, 0, &ready))
        return false;
    assert_memory_equal(ready.digest, s->object.object.digest, DIGEST_SIZE);
    assert_rc(receiver_open_object(s->receiver, ready.digest, &fd, &err), RC_OK);
    assert_true(link_object_is(&s->object, fd));
    return true;
}

/* Passes until the object is there. */
static inline struct sim_result sim_run(const struct sim_case *c, uint64_t seed)
{
    struct sim s;

    sim_begin(&s, c, seed);
    while (!s.result.whole && s.result.passes < SIM_PASSES_MAX) {
        s.now_ms += SIM_PASS_MS;
        s.result.passes++;
        sim_report(&s);
        for (int trip = 0; trip < 2 && !s.result.whole; trip++) {
            sim_send(&s);
            s.now_ms += SIM_TRIP_MS;
            s.result.whole = sim_is_whole(&s);
            if (!s.result.whole)
                sim_report(&s);
        }
        if (!s.result.whole && sim_chance(&s, c->restarts))
            sim_start_receiver(&s);
    }
    sim_end(&s);
    return s.result;
}

#endif
