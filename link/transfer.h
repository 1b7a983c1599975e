/* SPDX-License-Identifier: Apache-2.0
 *
 * link/transfer: the messages inside bundles (docs/wire/transfer.cddl).  A large object goes as one
 * descriptor and its chunks; one of at most TRANSFER_INLINE_MAX bytes goes whole in one message.
 * Repairs (link/fec) stand in for chunks that are lost.
 * The input is authentic but not trusted: the ground may be taken over.  Decoding is strict and
 * gives views into the input.
 */
#ifndef BERTH_LINK_TRANSFER_H
#define BERTH_LINK_TRANSFER_H

#include "link/fec.h"
#include "link/port.h"

#define TRANSFER_INLINE_MAX (32U * 1024U)
#define TRANSFER_CHUNK_MIN                                                                         \
    256U /* smallest chunk size, so that a descriptor stays small beside its object */
#define TRANSFER_MESSAGE_MAX (CHUNK_MAX + 256U) /* encoded, of any type */

enum transfer_type {
    TRANSFER_DESCRIPTOR = 1,
    TRANSFER_CHUNK = 2,
    TRANSFER_INLINE = 3,
    TRANSFER_REPAIR = 4,
};

/* An object to come.  serial rises every time the sender queues the same object anew; a receiver
 * that is done with (object, serial) ignores it, so late duplicates do not start it again. */
struct transfer_descriptor {
    uint8_t object[DIGEST_SIZE]; /* SHA-256 of its bytes */
    enum object_kind kind;
    uint64_t size; /* 1 to OBJECT_MAX */
    uint64_t serial;
    uint32_t chunk_size;  /* TRANSFER_CHUNK_MIN to CHUNK_MAX; the last chunk may be shorter */
    uint32_t chunks;      /* number of chunks, as size and chunk_size imply */
    struct bytes digests; /* DIGEST_SIZE bytes for every chunk */
    char owner[NAME_CAP]; /* tenant that it counts for (link/quota); "" = nobody is named */
};

struct transfer_chunk {
    uint8_t object[DIGEST_SIZE];
    uint32_t index;
    struct bytes data;
};

struct transfer_inline {
    enum object_kind kind;
    uint64_t serial;
    struct bytes data;
    char owner[NAME_CAP]; /* as of a descriptor */
};

/* One repair of a group of chunks.  data has the object's chunk size. */
struct transfer_repair {
    uint8_t object[DIGEST_SIZE];
    uint32_t group;  /* below FEC_GROUPS_MAX */
    uint32_t number; /* below FEC_REPAIR_MAX */
    struct bytes data;
};

struct transfer_message {
    enum transfer_type type;
    union {
        struct transfer_descriptor descriptor;
        struct transfer_chunk chunk;
        struct transfer_inline whole;
        struct transfer_repair repair;
    };
};

/* RC_TRANSFER_FORMAT or a CBOR code; *ret is untouched then. */
must_check enum rc transfer_decode(struct bytes in, struct transfer_message *ret, struct err *err);

/* Encode into buf (TRANSFER_MESSAGE_MAX is always enough); *ret is a view of what was written. */
must_check enum rc transfer_encode(const struct transfer_message *msg, uint8_t *buf, size_t cap,
                                   struct bytes *ret, struct err *err);

/* Bytes of chunk index of an object; index must be below the number of chunks. */
uint32_t transfer_chunk_bytes(uint64_t size, uint32_t chunk_size, uint32_t index);

#endif
