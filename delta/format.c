/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/format.h"

#include "base/cbor.h"
#include "delta/image.h"

#define MAGIC_SIZE 8U
#define PREFIX_SIZE (MAGIC_SIZE + 2U)
#define NUMBER_MAX (1ULL << 40)  /* of any size: sums of them stay far from the end of 64 bits */
#define WORKSPACE (512U * 1024U) /* buffers, and what allocators waste */

static const uint8_t magic[MAGIC_SIZE] = FORMAT_MAGIC;

enum key {
    KEY_BASE = 1,
    KEY_RESULT,
    KEY_N_OLD,
    KEY_OLD_BYTES,
    KEY_N_NEW,
    KEY_NEW_BYTES,
    KEY_MEMORY,
    KEY_GROUPS,
    KEYS = KEY_GROUPS,
};

static_assert(FORMAT_NEW_MAX == IMAGE_FILES_MAX, "a tree and its index");

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

/* One stream's [codec, dict, size, raw]. */
static void get_stream(struct cbor_in *r, struct stream_spec *s)
{
    (void)cbor_array(r, "stream", 4, 4);
    s->codec = (enum stream_codec)cbor_uint(r, "stream.codec", STREAM_CODECS - 1);
    s->dict = (uint32_t)cbor_uint(r, "stream.dict", STREAM_DICT_MAX);
    s->size = cbor_uint(r, "stream.size", NUMBER_MAX);
    s->raw = cbor_uint(r, "stream.raw", NUMBER_MAX);
    cbor_end(r);
    if (s->codec == STREAM_STORED ? s->dict != 0 || s->raw != s->size : s->dict < STREAM_DICT_MIN)
        cbor_fail(r, RC_DELTA_FORMAT, "stream.dict");
    if (s->codec == STREAM_ZSTD && !is_power_of_two(s->dict))
        cbor_fail(r, RC_DELTA_FORMAT, "stream.dict");
}

static void get_groups(struct cbor_in *r, struct format_head *h)
{
    h->n_groups = (uint32_t)cbor_array(r, "groups", 0, FORMAT_GROUPS_MAX);
    for (uint32_t i = 0; i < h->n_groups && r->rc == RC_OK; i++) {
        (void)cbor_array(r, "group", 1 + FORMAT_STREAMS, 1 + FORMAT_STREAMS);
        h->groups[i].files = (uint32_t)cbor_uint(r, "group.files", FORMAT_NEW_MAX);
        for (unsigned k = 0; k < FORMAT_STREAMS; k++)
            get_stream(r, &h->groups[i].streams[k]);
        cbor_end(r);
    }
    cbor_end(r);
}

static void get_head(struct cbor_in *r, struct format_head *h)
{
    uint64_t key = 0;
    uint64_t next = KEY_BASE;

    (void)cbor_map(r, "delta", KEYS);
    for (; cbor_key(r, &key); next++) {
        if (key != next)
            cbor_fail(r, RC_DELTA_FORMAT, "key");
        switch (key) {
        case KEY_BASE:
            cbor_fixed(r, "base", h->base, DIGEST_SIZE);
            break;
        case KEY_RESULT:
            cbor_fixed(r, "result", h->result, DIGEST_SIZE);
            break;
        case KEY_N_OLD:
            h->n_old = (uint32_t)cbor_uint(r, "old.files", IMAGE_FILES_MAX);
            break;
        case KEY_OLD_BYTES:
            h->old_bytes = cbor_uint(r, "old.bytes", NUMBER_MAX);
            break;
        case KEY_N_NEW:
            h->n_new = (uint32_t)cbor_uint(r, "new.files", FORMAT_NEW_MAX);
            break;
        case KEY_NEW_BYTES:
            h->new_bytes = cbor_uint(r, "new.bytes", NUMBER_MAX);
            break;
        case KEY_MEMORY:
            h->memory = cbor_uint(r, "memory", NUMBER_MAX);
            break;
        case KEY_GROUPS:
            get_groups(r, h);
            break;
        default:
            cbor_fail(r, RC_CBOR_UNKNOWN_KEY, "delta");
            break;
        }
    }
    cbor_end(r);
    if (next != KEYS + 1)
        cbor_fail(r, RC_CBOR_MISSING, "delta");
}

/* The numbers of a head agree with each other and with the delta's size behind the head. */
static enum rc check(const struct format_head *h, uint64_t streams, struct err *err)
{
    uint64_t files = 0;
    uint64_t size = 0;

    for (uint32_t i = 0; i < h->n_groups; i++) {
        const struct format_group *g = &h->groups[i];

        if (g->files == 0)
            return err_set(err, RC_DELTA_FORMAT, "group %u is empty", i);
        files += g->files;
        for (unsigned k = 0; k < FORMAT_STREAMS; k++)
            size += g->streams[k].size;
    }
    if (files != h->n_new)
        return err_set(err, RC_DELTA_COUNT, "groups do not have all new files");
    if (size > streams)
        return err_set(err, RC_DELTA_STREAM, "delta ends early");
    if (size < streams)
        return err_set(err, RC_DELTA_TRAILING, "bytes behind the last stream");
    if (h->memory < format_cost(h))
        return err_set(err, RC_DELTA_MEMORY, "decoders");
    return RC_OK;
}

enum rc format_decode(struct bytes have, uint64_t size, struct format_head *ret, uint64_t *ret_at,
                      struct err *err)
{
    struct format_head h = { 0 };

    if (have.n < PREFIX_SIZE || memcmp(have.p, magic, MAGIC_SIZE) != 0)
        return err_set(err, RC_DELTA_FORMAT, "magic");

    uint64_t n = bytes_get_be(have.p + MAGIC_SIZE, 2);

    if (n > have.n - PREFIX_SIZE || n > FORMAT_HEAD_MAX - PREFIX_SIZE)
        return err_set(err, RC_DELTA_FORMAT, "head");

    struct cbor_in r = cbor_read((struct bytes){ .p = have.p + PREFIX_SIZE, .n = (size_t)n });

    get_head(&r, &h);

    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK)
        rc = check(&h, size - PREFIX_SIZE - n, err);
    if (rc != RC_OK)
        return rc;
    *ret = h;
    *ret_at = PREFIX_SIZE + n;
    return RC_OK;
}

static void put_stream(struct cbor_out *w, const struct stream_spec *s)
{
    cbor_put_array(w, 4);
    cbor_put_uint(w, s->codec);
    cbor_put_uint(w, s->dict);
    cbor_put_uint(w, s->size);
    cbor_put_uint(w, s->raw);
}

static void put_head(struct cbor_out *w, const struct format_head *h)
{
    const uint64_t numbers[] = { h->n_old, h->old_bytes, h->n_new, h->new_bytes, h->memory };

    cbor_put_map(w, KEYS);
    cbor_put_uint(w, KEY_BASE);
    cbor_put_bstr(w, (struct bytes){ .p = h->base, .n = DIGEST_SIZE });
    cbor_put_uint(w, KEY_RESULT);
    cbor_put_bstr(w, (struct bytes){ .p = h->result, .n = DIGEST_SIZE });
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        cbor_put_uint(w, KEY_N_OLD + i);
        cbor_put_uint(w, numbers[i]);
    }
    cbor_put_uint(w, KEY_GROUPS);
    cbor_put_array(w, h->n_groups);
    for (uint32_t i = 0; i < h->n_groups; i++) {
        cbor_put_array(w, 1 + FORMAT_STREAMS);
        cbor_put_uint(w, h->groups[i].files);
        for (unsigned k = 0; k < FORMAT_STREAMS; k++)
            put_stream(w, &h->groups[i].streams[k]);
    }
}

enum rc format_encode(const struct format_head *head, uint8_t buf[FORMAT_HEAD_MAX], size_t *ret_n,
                      struct err *err)
{
    struct cbor_out w = { .p = buf + PREFIX_SIZE, .cap = FORMAT_HEAD_MAX - PREFIX_SIZE };
    struct bytes written;

    put_head(&w, head);

    enum rc rc = cbor_written(&w, &written, err);

    if (rc != RC_OK)
        return rc;
    for (unsigned i = 0; i < MAGIC_SIZE; i++)
        buf[i] = magic[i];
    bytes_put_be(buf + MAGIC_SIZE, 2, written.n);
    *ret_n = PREFIX_SIZE + written.n;
    return RC_OK;
}

uint64_t format_opened(const struct format_head *head)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < head->n_groups; i++)
        sum += head->groups[i].streams[FORMAT_DIFF].raw + head->groups[i].streams[FORMAT_EXTRA].raw;
    return sum;
}

uint64_t format_cost(const struct format_head *head)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < head->n_groups; i++) {
        uint64_t sum = 0;

        for (unsigned k = 0; k < FORMAT_STREAMS; k++)
            sum += stream_cost(&head->groups[i].streams[k]);
        if (sum > most)
            most = sum;
    }
    return image_cost(head->n_old) + most + WORKSPACE + (uint64_t)head->n_new / 8;
}
