/* SPDX-License-Identifier: Apache-2.0
 *
 * link/bundle: the Bundle Protocol version 7 codec (RFC 9171).
 *
 * Input is one whole bundle in one buffer, from anybody: nothing in it is believed here beyond its
 * form.  Decoding copies and allocates nothing and never recurses; a struct bundle is a set of
 * views into the input and lives as long as it.  Encoding is deterministic and goes into the
 * caller's buffer.  Who sent a bundle, and whether it was changed, is link/bpsec's business.
 */
#ifndef BERTH_LINK_BUNDLE_H
#define BERTH_LINK_BUNDLE_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/eid.h"

#define BUNDLE_BLOCKS_MAX 16U           /* canonical blocks, the payload block among them */
#define BUNDLE_ADU_MAX (1ULL << 32)     /* largest whole that a fragment may claim to be part of */
#define BUNDLE_EPOCH_MS 946684800000ULL /* DTN time 0 in Unix time (RFC 9171 section 4.2.6) */

/* Bundle processing control flags (RFC 9171 section 4.2.3). */
enum bundle_flag {
    BUNDLE_FRAGMENT = 0x1,
    BUNDLE_ADMIN = 0x2,
    BUNDLE_NO_FRAGMENT = 0x4,
    BUNDLE_APP_ACK = 0x20,
    BUNDLE_STATUS_TIME = 0x40,
    BUNDLE_REPORT_RECEIVED = 0x4000,
    BUNDLE_REPORT_FORWARDED = 0x10000,
    BUNDLE_REPORT_DELIVERED = 0x20000,
    BUNDLE_REPORT_DELETED = 0x40000,
    BUNDLE_REPORT_ANY = 0x74000,
};

/* Block processing control flags (RFC 9171 section 4.2.4). */
enum block_flag {
    BLOCK_REPLICATE = 0x1,
    BLOCK_REPORT = 0x2,
    BLOCK_DELETE_BUNDLE = 0x4,
    BLOCK_DISCARD = 0x10,
};

enum block_type {
    BLOCK_PAYLOAD = 1,
    BLOCK_PREVIOUS_NODE = 6,
    BLOCK_AGE = 7,
    BLOCK_HOP_COUNT = 10,
    BLOCK_BIB = 11, /* RFC 9172 */
    BLOCK_BCB = 12,
};

enum crc_type { CRC_NONE = 0, CRC_16 = 1, CRC_32C = 2 };

struct bundle_block {
    uint64_t type;
    uint64_t number;
    uint64_t flags;
    enum crc_type crc_type;
    struct bytes data; /* content of the block-type-specific byte string */
};

struct bundle {
    struct bytes raw;     /* decoded: the whole bundle */
    struct bytes primary; /* decoded: the primary block as received; what MACs cover */
    uint64_t flags;
    enum crc_type crc_type;
    struct eid dst;
    struct eid src;
    struct eid report_to;
    uint64_t time_ms; /* creation, DTN time; 0 = the source has no clock */
    uint64_t sequence;
    uint64_t lifetime_ms;
    uint64_t fragment_offset; /* bytes; only with BUNDLE_FRAGMENT */
    uint64_t fragment_total;
    bool has_age;
    bool has_hops;
    bool has_previous;
    uint8_t hop_limit; /* 1 to 255 */
    uint64_t hop_count;
    uint64_t age_ms;
    struct eid previous;
    size_t n_blocks; /* the payload block is the last one */
    struct bundle_block blocks[BUNDLE_BLOCKS_MAX];
};

/* Decode and check one bundle that fills in.  Strict enforces every MUST.  Lenient lets pass, and
 * nothing else: a primary block with neither CRC nor BIB; creation time 0 without a bundle age
 * block; ipn:0.x as source or report-to; dtn names without "//"; a block of an anonymous bundle
 * that asks for reports; a fragment of a whole whose length is given as 0.  The content of
 * encrypted blocks is not looked at.  The error says where.  On failure *ret is all zero: it is the
 * decoder's only working space, so that nothing is copied. */
must_check enum rc bundle_decode(struct bytes in, enum bundle_level level, struct bundle *ret,
                                 struct err *err);

/* Whether a well-formed bundle may be taken now: RC_BUNDLE_EXPIRED (age, or creation time plus
 * lifetime against now_ms, which is DTN time and 0 = no clock), RC_BUNDLE_HOPS, or
 * RC_BUNDLE_BLOCK_UNSUPPORTED when an unknown block asks for the bundle to be deleted (RFC 9171
 * section 5.6). */
must_check enum rc bundle_check(const struct bundle *bundle, uint64_t now_ms, struct err *err);

/* Whether this type of block is one that Berth works on.  The others are carried, or treated as
 * their flags say (RFC 9171 section 5.6). */
bool bundle_block_known(uint64_t type);

/* The first unknown block that has this flag (BLOCK_REPORT, BLOCK_DELETE_BUNDLE or BLOCK_DISCARD),
 * or NULL. */
const struct bundle_block *bundle_unknown(const struct bundle *bundle, enum block_flag flag);

/* The block with this number, or NULL; number 0, the primary block, is not among them. */
const struct bundle_block *bundle_block(const struct bundle *bundle, uint64_t number);

/* The payload: content of the last block. */
struct bytes bundle_payload(const struct bundle *bundle);

/* Encode into out and return the view of what was written; raw and primary are ignored.  A block of
 * type 6, 7 or 10 without data is encoded from previous, age_ms, or hop_limit and hop_count.  CRCs
 * are computed as crc_type says.  RC_NO_ROOM when it does not fit; what the strict decoder would
 * refuse for the order or numbers of blocks is RC_BUNDLE_PAYLOAD or RC_BUNDLE_BLOCK_NUMBER. */
must_check enum rc bundle_encode(const struct bundle *bundle, uint8_t *out, size_t cap,
                                 struct bytes *ret, struct err *err);

/* Append the primary block, or one canonical block, with its CRC. */
void bundle_put_primary(struct cbor_out *w, const struct bundle *bundle);
void bundle_put_block(struct cbor_out *w, const struct bundle *bundle,
                      const struct bundle_block *block);

/* Append one canonical block whose n bytes of data come in pieces: begin, append them raw, end with
 * what begin returned.  data of the block is ignored. */
size_t bundle_begin_block(struct cbor_out *w, const struct bundle_block *block, uint64_t n);
void bundle_end_block(struct cbor_out *w, const struct bundle_block *block, size_t start);

/* Decode one primary block, or one canonical block, that fills in: for tools and tests.  Rules
 * about the bundle as a whole are not applied. */
must_check enum rc bundle_decode_primary(struct bytes in, enum bundle_level level,
                                         struct bundle *ret, struct err *err);
must_check enum rc bundle_decode_block(struct bytes in, struct bundle_block *ret, struct err *err);

/* Read previous node, age or hop count again from a block that was encrypted when the bundle was
 * decoded; other types are left alone. */
must_check enum rc bundle_decode_extension(struct bundle *bundle, const struct bundle_block *block,
                                           struct err *err);

#endif
