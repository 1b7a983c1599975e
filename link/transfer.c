/* SPDX-License-Identifier: Apache-2.0 */
#include "link/transfer.h"

#include "base/cbor.h"
#include "base/name.h"

static_assert(CHUNKS_MAX * DIGEST_SIZE + 128U + NAME_CAP <= TRANSFER_MESSAGE_MAX,
              "a descriptor fits");
static_assert(CHUNK_MAX + 128U <= TRANSFER_MESSAGE_MAX, "a chunk fits");
static_assert(TRANSFER_MESSAGE_MAX + 4096U < BUNDLE_MAX, "a message fits into a bundle");
static_assert(TRANSFER_CHUNK_MIN >= FEC_VECTOR_MIN, "a repair can be made of any chunks");
static_assert(OBJECT_MAX / CHUNKS_MAX < CHUNK_MAX, "the largest object can be cut");
static_assert(REPORT_MAX <= TRANSFER_INLINE_MAX, "a report goes whole");

/* Items of a message, by its type; an owner may be one more. */
static const size_t items[] = {
    [TRANSFER_DESCRIPTOR] = 7,
    [TRANSFER_CHUNK] = 4,
    [TRANSFER_INLINE] = 4,
    [TRANSFER_REPAIR] = 5,
};

uint32_t transfer_chunk_bytes(uint64_t size, uint32_t chunk_size, uint32_t index)
{
    uint64_t at = (uint64_t)index * chunk_size;

    assert(at < size);
    return (uint32_t)(size - at < chunk_size ? size - at : chunk_size);
}

/* An empty one would be none at all. */
static void decode_owner(struct cbor_in *r, char ret[NAME_CAP])
{
    cbor_text(r, "owner", ret, NAME_CAP);
    if (r->rc == RC_OK && !name_valid(ret))
        cbor_fail(r, RC_TRANSFER_FORMAT, "owner");
}

static void decode_descriptor(struct cbor_in *r, struct transfer_descriptor *ret)
{
    cbor_fixed(r, "object", ret->object, sizeof ret->object);
    ret->kind = (enum object_kind)cbor_uint(r, "kind", OBJECT_KIND_MAX);
    ret->serial = cbor_uint(r, "serial", UINT64_MAX);
    ret->size = cbor_uint(r, "size", OBJECT_MAX);
    ret->chunk_size = (uint32_t)cbor_uint(r, "chunk size", CHUNK_MAX);
    ret->digests = cbor_bstr(r, "digests", DIGEST_SIZE, (size_t)CHUNKS_MAX * DIGEST_SIZE);
    if (r->rc != RC_OK)
        return;
    if (ret->kind == 0 || ret->size == 0 || ret->chunk_size < TRANSFER_CHUNK_MIN) {
        cbor_fail(r, RC_TRANSFER_FORMAT, "kind, size or chunk size");
        return;
    }
    uint64_t chunks = (ret->size + ret->chunk_size - 1) / ret->chunk_size;

    if (ret->digests.n != chunks * DIGEST_SIZE)
        cbor_fail(r, RC_TRANSFER_FORMAT, "number of chunk digests");
    ret->chunks = (uint32_t)(ret->digests.n / DIGEST_SIZE);
}

static void decode_chunk(struct cbor_in *r, struct transfer_chunk *ret)
{
    cbor_fixed(r, "object", ret->object, sizeof ret->object);
    ret->index = (uint32_t)cbor_uint(r, "index", CHUNKS_MAX - 1);
    ret->data = cbor_bstr(r, "data", 1, CHUNK_MAX);
}

static void decode_inline(struct cbor_in *r, struct transfer_inline *ret)
{
    ret->kind = (enum object_kind)cbor_uint(r, "kind", OBJECT_KIND_MAX);
    ret->serial = cbor_uint(r, "serial", UINT64_MAX);
    ret->data = cbor_bstr(r, "data", 1, TRANSFER_INLINE_MAX);
    if (ret->kind == 0)
        cbor_fail(r, RC_TRANSFER_FORMAT, "kind");
}

static void decode_repair(struct cbor_in *r, struct transfer_repair *ret)
{
    cbor_fixed(r, "object", ret->object, sizeof ret->object);
    ret->group = (uint32_t)cbor_uint(r, "group", FEC_GROUPS_MAX - 1);
    ret->number = (uint32_t)cbor_uint(r, "number", FEC_REPAIR_MAX - 1);
    ret->data = cbor_bstr(r, "data", TRANSFER_CHUNK_MIN, CHUNK_MAX);
}

enum rc transfer_decode(struct bytes in, struct transfer_message *ret, struct err *err)
{
    struct transfer_message msg = { 0 };
    struct cbor_in r = cbor_read(in);
    size_t n = cbor_array(&r, "message", 4, 8);

    msg.type = (enum transfer_type)cbor_uint(&r, "type", TRANSFER_REPAIR);
    const bool owner = n == items[msg.type] + 1U &&
                       (msg.type == TRANSFER_DESCRIPTOR || msg.type == TRANSFER_INLINE);

    if (msg.type == 0 || (n != items[msg.type] && !owner))
        cbor_fail(&r, RC_TRANSFER_FORMAT, "type or number of items");
    if (msg.type == TRANSFER_DESCRIPTOR)
        decode_descriptor(&r, &msg.descriptor);
    else if (msg.type == TRANSFER_CHUNK)
        decode_chunk(&r, &msg.chunk);
    else if (msg.type == TRANSFER_REPAIR)
        decode_repair(&r, &msg.repair);
    else
        decode_inline(&r, &msg.whole);
    if (owner)
        decode_owner(&r, msg.type == TRANSFER_INLINE ? msg.whole.owner : msg.descriptor.owner);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        *ret = msg;
    return rc;
}

enum rc transfer_encode(const struct transfer_message *msg, uint8_t *buf, size_t cap,
                        struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    const char *owner = msg->type == TRANSFER_DESCRIPTOR ? msg->descriptor.owner
                        : msg->type == TRANSFER_INLINE   ? msg->whole.owner
                                                         : "";

    cbor_put_array(&w, items[msg->type] + (owner[0] != '\0' ? 1U : 0U));
    cbor_put_uint(&w, msg->type);
    switch (msg->type) {
    case TRANSFER_DESCRIPTOR:
        cbor_put_bstr(&w, (struct bytes){ msg->descriptor.object, DIGEST_SIZE });
        cbor_put_uint(&w, msg->descriptor.kind);
        cbor_put_uint(&w, msg->descriptor.serial);
        cbor_put_uint(&w, msg->descriptor.size);
        cbor_put_uint(&w, msg->descriptor.chunk_size);
        cbor_put_bstr(&w, msg->descriptor.digests);
        break;
    case TRANSFER_CHUNK:
        cbor_put_bstr(&w, (struct bytes){ msg->chunk.object, DIGEST_SIZE });
        cbor_put_uint(&w, msg->chunk.index);
        cbor_put_bstr(&w, msg->chunk.data);
        break;
    case TRANSFER_INLINE:
        cbor_put_uint(&w, msg->whole.kind);
        cbor_put_uint(&w, msg->whole.serial);
        cbor_put_bstr(&w, msg->whole.data);
        break;
    case TRANSFER_REPAIR:
        cbor_put_bstr(&w, (struct bytes){ msg->repair.object, DIGEST_SIZE });
        cbor_put_uint(&w, msg->repair.group);
        cbor_put_uint(&w, msg->repair.number);
        cbor_put_bstr(&w, msg->repair.data);
        break;
    }
    if (owner[0] != '\0')
        cbor_put_text(&w, owner);
    return cbor_written(&w, ret, err);
}
