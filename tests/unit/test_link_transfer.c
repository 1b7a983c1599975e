/* SPDX-License-Identifier: Apache-2.0
 *
 * link/transfer: what is encoded decodes to the same, anything else is refused and leaves ret
 * alone.
 */
#include "tests/unit/link_fixture.h"

#include "base/cbor.h"
#include "link/transfer.h"

static uint8_t buf[TRANSFER_MESSAGE_MAX];

static void round_trip(void **state)
{
    static uint8_t digests[CHUNKS_MAX * DIGEST_SIZE];
    static uint8_t data[CHUNK_MAX];
    struct transfer_message in = { .type = TRANSFER_DESCRIPTOR }, out = { 0 };
    struct bytes wire = { 0 };
    struct err err;

    (void)state;
    in.descriptor = (struct transfer_descriptor){ .object = { 1, 2, 3 },
                                                  .kind = OBJECT_PACKAGE,
                                                  .size = (uint64_t)CHUNKS_MAX * 4096,
                                                  .serial = UINT64_MAX,
                                                  .chunk_size = 4096,
                                                  .chunks = CHUNKS_MAX,
                                                  .digests = { digests, sizeof digests } };
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_int_equal(out.type, TRANSFER_DESCRIPTOR);
    assert_memory_equal(out.descriptor.object, in.descriptor.object, DIGEST_SIZE);
    assert_int_equal(out.descriptor.kind, OBJECT_PACKAGE);
    assert_true(out.descriptor.size == in.descriptor.size);
    assert_true(out.descriptor.serial == UINT64_MAX);
    assert_int_equal(out.descriptor.chunk_size, 4096);
    assert_int_equal(out.descriptor.chunks, CHUNKS_MAX);
    assert_true(bytes_equal(out.descriptor.digests, in.descriptor.digests));

    in = (struct transfer_message){ .type = TRANSFER_CHUNK };
    in.chunk = (struct transfer_chunk){ .object = { 9 },
                                        .index = CHUNKS_MAX - 1,
                                        .data = { data, sizeof data } };
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_int_equal(out.type, TRANSFER_CHUNK);
    assert_int_equal(out.chunk.index, CHUNKS_MAX - 1);
    assert_true(bytes_equal(out.chunk.data, in.chunk.data));

    in = (struct transfer_message){ .type = TRANSFER_INLINE };
    in.whole = (struct transfer_inline){ .kind = OBJECT_REPORT,
                                         .serial = 3,
                                         .data = { data, TRANSFER_INLINE_MAX } };
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_int_equal(out.whole.kind, OBJECT_REPORT);
    assert_true(out.whole.serial == 3);
    assert_true(bytes_equal(out.whole.data, in.whole.data));

    /* With a name, which is one item more. */
    in.whole.owner[0] = 'a';
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_int_equal(wire.p[0], 0x85);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_string_equal(out.whole.owner, "a");
    in = (struct transfer_message){ .type = TRANSFER_DESCRIPTOR };
    in.descriptor = (struct transfer_descriptor){ .kind = OBJECT_PACKAGE,
                                                  .size = 4096ULL * CHUNKS_MAX,
                                                  .chunk_size = 4096,
                                                  .digests = { digests, sizeof digests } };
    memset(in.descriptor.owner, 'z', NAME_MAX_LEN);
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_int_equal(wire.p[0], 0x88);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_string_equal(out.descriptor.owner, in.descriptor.owner);
    assert_true(bytes_equal(out.descriptor.digests, in.descriptor.digests));

    in = (struct transfer_message){ .type = TRANSFER_REPAIR };
    in.repair = (struct transfer_repair){ .object = { 9 },
                                          .group = FEC_GROUPS_MAX - 1,
                                          .number = FEC_REPAIR_MAX - 1,
                                          .data = { data, sizeof data } };
    assert_rc(transfer_encode(&in, buf, sizeof buf, &wire, &err), RC_OK);
    assert_rc(transfer_decode(wire, &out, &err), RC_OK);
    assert_int_equal(out.type, TRANSFER_REPAIR);
    assert_memory_equal(out.repair.object, in.repair.object, DIGEST_SIZE);
    assert_int_equal(out.repair.group, FEC_GROUPS_MAX - 1);
    assert_int_equal(out.repair.number, FEC_REPAIR_MAX - 1);
    assert_true(bytes_equal(out.repair.data, in.repair.data));

    /* Every shorter view is refused. */
    for (size_t n = 0; n < 64; n++)
        assert_rc(transfer_decode((struct bytes){ wire.p, n }, &out, &err), RC_SHORT);
}

/* One descriptor with its parts to choose. */
static struct bytes descriptor(uint64_t kind, uint64_t size, uint64_t chunk_size, size_t digests)
{
    static const uint8_t zero[4096];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };

    cbor_put_array(&w, 7);
    cbor_put_uint(&w, TRANSFER_DESCRIPTOR);
    cbor_put_bstr(&w, (struct bytes){ zero, DIGEST_SIZE });
    cbor_put_uint(&w, kind);
    cbor_put_uint(&w, 1);
    cbor_put_uint(&w, size);
    cbor_put_uint(&w, chunk_size);
    cbor_put_bstr(&w, (struct bytes){ zero, digests });
    assert_false(w.full);
    return (struct bytes){ buf, w.n };
}

static void refuses_descriptors(void **state)
{
    static const struct {
        const char *why;
        uint64_t kind, size, chunk_size;
        size_t digests;
        enum rc rc;
    } rows[] = {
        { "right", 4, 1000, 512, 64, RC_OK },
        { "kind 0", 0, 1000, 512, 64, RC_TRANSFER_FORMAT },
        { "unknown kind", OBJECT_KIND_MAX + 1, 1000, 512, 64, RC_VALUE },
        { "size 0", 4, 0, 512, 32, RC_TRANSFER_FORMAT },
        { "size too large", 4, (uint64_t)OBJECT_MAX + 1, 512, 64, RC_VALUE },
        { "size wraps", 4, UINT64_MAX, 512, 64, RC_VALUE },
        { "chunk size 0", 4, 1000, 0, 64, RC_TRANSFER_FORMAT },
        { "chunk size small", 4, 1000, 255, 128, RC_TRANSFER_FORMAT },
        { "chunk size too large", 4, 1000, CHUNK_MAX + 1, 32, RC_VALUE },
        { "a digest too few", 4, 1025, 512, 64, RC_TRANSFER_FORMAT },
        { "a digest too many", 4, 1000, 512, 96, RC_TRANSFER_FORMAT },
        { "digests not whole", 4, 1000, 512, 65, RC_TRANSFER_FORMAT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transfer_message out = { .type = 77 };
        struct err err = { 0 };
        struct bytes in =
            descriptor(rows[i].kind, rows[i].size, rows[i].chunk_size, rows[i].digests);
        enum rc rc = transfer_decode(in, &out, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(out.type, 77);
    }
}

static void refuses_shapes(void **state)
{
    static const struct {
        const char *why;
        size_t n;
        uint8_t in[48];
        enum rc rc;
    } rows[] = {
        { "empty", 0, { 0 }, RC_SHORT },
        { "not an array", 1, { 0x01 }, RC_CBOR_TYPE },
        { "type 0", 5, { 0x84, 0, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "type 5", 5, { 0x84, 5, 1, 1, 0x41 }, RC_VALUE },
        { "repair of 4 items", 5, { 0x84, 4, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "chunk of 5 items", 5, { 0x85, 2, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "inline of 7 items", 5, { 0x87, 3, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "descriptor of 4 items", 5, { 0x84, 1, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "inline of 6 items", 5, { 0x86, 3, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "repair of 6 items", 5, { 0x86, 4, 1, 1, 0x41 }, RC_TRANSFER_FORMAT },
        { "owner missing", 6, { 0x85, 3, 1, 1, 0x41, 0 }, RC_SHORT },
        { "owner empty", 7, { 0x85, 3, 1, 1, 0x41, 0, 0x60 }, RC_TRANSFER_FORMAT },
        { "owner no name", 8, { 0x85, 3, 1, 1, 0x41, 0, 0x61, 'A' }, RC_TRANSFER_FORMAT },
        { "owner of bytes", 8, { 0x85, 3, 1, 1, 0x41, 0, 0x41, 'a' }, RC_CBOR_TYPE },
        { "inline kind 0", 6, { 0x84, 3, 0, 1, 0x41, 0 }, RC_TRANSFER_FORMAT },
        { "inline without data", 5, { 0x84, 3, 3, 1, 0x40 }, RC_VALUE },
        { "trailing byte", 7, { 0x84, 3, 3, 1, 0x41, 0, 0 }, RC_TRAILING },
        { "indefinite", 7, { 0x9f, 3, 3, 1, 0x41, 0, 0xff }, RC_CBOR_INDEFINITE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transfer_message out = { .type = 77 };
        struct err err = { 0 };
        enum rc rc = transfer_decode((struct bytes){ rows[i].in, rows[i].n }, &out, &err);

        if (rc == RC_OK || (rc != rows[i].rc && rows[i].rc != RC_VALUE))
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        assert_int_equal(out.type, 77);
    }
}

static void chunk_sizes(void **state)
{
    (void)state;
    assert_int_equal(transfer_chunk_bytes(1000, 512, 0), 512);
    assert_int_equal(transfer_chunk_bytes(1000, 512, 1), 488);
    assert_int_equal(transfer_chunk_bytes(1024, 512, 1), 512);
    assert_int_equal(transfer_chunk_bytes(1, 512, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(refuses_descriptors),
        cmocka_unit_test(refuses_shapes),
        cmocka_unit_test(chunk_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
