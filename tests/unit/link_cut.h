/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/link_cut: an object cut into chunks by hand, to be given to a receiver message by
 * message.
 */
#ifndef BERTH_TESTS_UNIT_LINK_CUT_H
#define BERTH_TESTS_UNIT_LINK_CUT_H

#include "tests/unit/link_fixture.h"

#include "link/receiver.h"
#include "link/transfer.h"

/* An object with its descriptor's digests at hand. */
struct cut {
    struct link_object o;
    uint32_t chunk_size;
    uint32_t chunks;
    uint8_t *digests;
};

static inline struct cut cut_new(enum object_kind kind, size_t size, uint32_t chunk_size,
                                 uint64_t seed)
{
    struct cut c = { .o = link_object_new(kind, size, seed), .chunk_size = chunk_size };
    struct err err;

    c.chunks = (uint32_t)((size + chunk_size - 1) / chunk_size);
    c.digests = malloc((size_t)c.chunks * DIGEST_SIZE);
    for (uint32_t i = 0; i < c.chunks; i++) {
        struct bytes data = { c.o.bytes + (size_t)i * chunk_size,
                              transfer_chunk_bytes(size, chunk_size, i) };

        assert_rc(sha256_of(data, c.digests + (size_t)i * DIGEST_SIZE, &err), RC_OK);
    }
    return c;
}

static inline void cut_free(struct cut *c)
{
    free(c->o.bytes);
    free(c->digests);
}

static inline enum rc give(struct receiver *r, const struct transfer_message *m, uint64_t now_ms)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct bytes wire = { 0 };
    struct err err;

    assert_rc(transfer_encode(m, buf, sizeof buf, &wire, &err), RC_OK);
    return receiver_take(r, "", wire, now_ms, &err);
}

static inline enum rc give_descriptor(struct receiver *r, const struct cut *c, uint64_t now_ms)
{
    struct transfer_message m = { .type = TRANSFER_DESCRIPTOR };

    m.descriptor = (struct transfer_descriptor){
        .kind = c->o.object.kind,
        .size = c->o.object.size,
        .serial = c->o.object.serial,
        .chunk_size = c->chunk_size,
        .chunks = c->chunks,
        .digests = { c->digests, (size_t)c->chunks * DIGEST_SIZE },
    };
    memcpy(m.descriptor.object, c->o.object.digest, DIGEST_SIZE);
    return give(r, &m, now_ms);
}

static inline enum rc give_chunk(struct receiver *r, const struct cut *c, uint32_t i,
                                 uint64_t now_ms)
{
    struct transfer_message m = { .type = TRANSFER_CHUNK };

    m.chunk = (struct transfer_chunk){
        .index = i,
        .data = { c->o.bytes + (size_t)i * c->chunk_size,
                  transfer_chunk_bytes(c->o.object.size, c->chunk_size, i) },
    };
    memcpy(m.chunk.object, c->o.object.digest, DIGEST_SIZE);
    return give(r, &m, now_ms);
}

static inline enum rc give_inline(struct receiver *r, const struct link_object *o, uint64_t now_ms)
{
    struct transfer_message m = { .type = TRANSFER_INLINE };

    m.whole = (struct transfer_inline){ .kind = o->object.kind,
                                        .serial = o->object.serial,
                                        .data = { o->bytes, o->object.size } };
    return give(r, &m, now_ms);
}

/* Repair number of a group, made as link/fec says. */
static inline enum rc give_repair(struct receiver *r, const struct cut *c, uint32_t group,
                                  uint32_t number, uint64_t now_ms)
{
    static uint8_t sum[CHUNK_MAX], chunk[CHUNK_MAX];
    struct transfer_message m = { .type = TRANSFER_REPAIR };
    const uint32_t k = fec_group_size(c->chunks, group);

    memset(sum, 0, c->chunk_size);
    for (uint32_t place = 0; place < k; place++) {
        const uint32_t i = place * fec_groups(c->chunks) + group;
        const uint32_t n = transfer_chunk_bytes(c->o.object.size, c->chunk_size, i);

        memset(chunk, 0, c->chunk_size);
        memcpy(chunk, c->o.bytes + (size_t)i * c->chunk_size, n);
        fec_add(fec_coefficient(k, number, place), chunk, sum, c->chunk_size);
    }
    m.repair = (struct transfer_repair){ .group = group,
                                         .number = number,
                                         .data = { sum, c->chunk_size } };
    memcpy(m.repair.object, c->o.object.digest, DIGEST_SIZE);
    return give(r, &m, now_ms);
}

#endif
