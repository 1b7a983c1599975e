/* SPDX-License-Identifier: Apache-2.0
 *
 * What payloads may use: one table says of each resource how it is called, how much of it there can
 * be, whether it is summed over what runs, what its absence means, and its key on the wire.
 */
#include <stddef.h>

#include "manifest/wire.h"

/* Beyond any machine, and small enough that sums over PAYLOADS_MAX payloads cannot wrap. */
#define BYTES_MAX (1ULL << 48)
#define CPU_PERMILLE_MAX 1024000U
#define PIDS_MAX (1U << 22)
#define OPEN_FILES_MAX (1U << 20)
#define RUN_S_MAX 86400U
#define FILES_MAX (1U << 24)

#define RESOURCE_KEYS 17U
#define FIXED_FIELDS 6U /* at the start of the array on the wire, always there */
#define FILE_BYTES 4096U
#define TMP_FILES_MIN 64U
#define TMP_FILES_MAX 16384U

/* What zero means. */
enum zero {
    ZERO_REFUSED,
    ZERO_NOTHING,
    ZERO_UNLIMITED,
    ZERO_WEIGHT,
    ZERO_LOG,
    ZERO_DATA_FILES,
    ZERO_TMP_FILES,
    ZERO_OUTBOX,
    ZERO_BOUND, /* of who asks: what the bound is; of a bound: none */
};

static const struct row {
    const char *name; /* in files that people write */
    uint64_t max;
    uint16_t at;  /* in struct resources */
    uint8_t size; /* 4 or 8 */
    uint8_t zero; /* enum zero */
    uint8_t key;  /* of the map that ends the array on the wire; 0 = of the fixed part */
    bool each;    /* bounds every payload alone; else the sum */
} rows[] = {
#define SUM(name, field, max, zero, key)                                                           \
    {                                                                                              \
        name, max, offsetof(struct resources, field), sizeof(((struct resources *)0)->field),      \
            zero, key, false                                                                       \
    }
#define EACH(name, field, max, zero, key)                                                          \
    {                                                                                              \
        name, max, offsetof(struct resources, field), sizeof(((struct resources *)0)->field),      \
            zero, key, true                                                                        \
    }
    /* clang-format off */
    SUM("memory", memory_bytes, BYTES_MAX, ZERO_REFUSED, 0),
    SUM("data", data_bytes, BYTES_MAX, ZERO_NOTHING, 0),
    SUM("tmp", tmp_bytes, BYTES_MAX, ZERO_REFUSED, 0),
    SUM("cpu", cpu_permille, CPU_PERMILLE_MAX, ZERO_REFUSED, 0),
    SUM("pids", pids, PIDS_MAX, ZERO_REFUSED, 0),
    SUM("files", open_files, OPEN_FILES_MAX, ZERO_REFUSED, 0),
    EACH("memory-high", memory_high_bytes, BYTES_MAX, ZERO_UNLIMITED, 1),
    EACH("cpu-weight", cpu_weight, 10000, ZERO_WEIGHT, 2),
    EACH("io-weight", io_weight, 1000, ZERO_WEIGHT, 3),
    SUM("io-read", io_read_bps, BYTES_MAX, ZERO_UNLIMITED, 4),
    SUM("io-write", io_write_bps, BYTES_MAX, ZERO_UNLIMITED, 5),
    EACH("file-size", file_bytes, BYTES_MAX, ZERO_UNLIMITED, 6),
    SUM("shm", shm_bytes, BYTES_MAX, ZERO_NOTHING, 7),
    EACH("data-files", data_files, FILES_MAX, ZERO_DATA_FILES, 8),
    EACH("tmp-files", tmp_files, FILES_MAX, ZERO_TMP_FILES, 9),
    EACH("log-per-hour", log_bytes_hour, BYTES_MAX, ZERO_LOG, 10),
    SUM("inbox", inbox_bytes, BYTES_MAX, ZERO_NOTHING, 11),
    SUM("outbox", outbox_bytes, BYTES_MAX, ZERO_NOTHING, 12),
    SUM("outbox-per-day", outbox_bytes_day, BYTES_MAX, ZERO_OUTBOX, 13),
    EACH("run-per-orbit", run_s_orbit, RUN_S_MAX, ZERO_UNLIMITED, 14),
    EACH("core", core_bytes, BYTES_MAX, ZERO_NOTHING, 15),
    SUM("logs", logs_bytes_day, BYTES_MAX, ZERO_NOTHING, 16),
    EACH("logs-per-pass", logs_bytes_pass, BYTES_MAX, ZERO_BOUND, 17),
    /* clang-format on */
};

#define ROWS (sizeof rows / sizeof rows[0])
#define UNLIMITED BYTES_MAX /* more than any limit */

static_assert(PAYLOADS_MAX <= UINT64_MAX / (BYTES_MAX + 1), "sums cannot wrap");
static_assert(ROWS == FIXED_FIELDS + RESOURCE_KEYS, "every resource has a key or a place");

static uint64_t get(const struct resources *r, const struct row *row)
{
    const uint8_t *p = (const uint8_t *)r + row->at;
    uint64_t wide = 0;
    uint32_t narrow = 0;

    if (row->size == sizeof wide) {
        memcpy(&wide, p, sizeof wide);
        return wide;
    }
    memcpy(&narrow, p, sizeof narrow);
    return narrow;
}

/* What does not fit is UINT32_MAX: more than any bound. */
static void set(struct resources *r, const struct row *row, uint64_t value)
{
    uint8_t *p = (uint8_t *)r + row->at;
    uint32_t narrow = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;

    if (row->size == sizeof value)
        memcpy(p, &value, sizeof value);
    else
        memcpy(p, &narrow, sizeof narrow);
}

static uint32_t clamp(uint64_t value, uint32_t min, uint32_t max)
{
    if (value < min)
        return min;
    return value > max ? max : (uint32_t)value;
}

uint32_t resources_data_files(const struct resources *r)
{
    return r->data_files != 0 ? r->data_files : clamp(r->data_bytes / FILE_BYTES, 0, FILES_MAX);
}

uint32_t resources_tmp_files(const struct resources *r)
{
    return r->tmp_files != 0 ? r->tmp_files
                             : clamp(r->tmp_bytes / FILE_BYTES, TMP_FILES_MIN, TMP_FILES_MAX);
}

/* With what stands for zero. */
static uint64_t effective(const struct resources *r, const struct row *row)
{
    uint64_t value = get(r, row);

    if (value != 0)
        return value;
    switch ((enum zero)row->zero) {
    case ZERO_REFUSED:
    case ZERO_NOTHING:
    case ZERO_BOUND:
        return 0;
    case ZERO_UNLIMITED:
        return UNLIMITED;
    case ZERO_WEIGHT:
        return WEIGHT_DEFAULT;
    case ZERO_LOG:
        return LOG_BYTES_HOUR;
    case ZERO_DATA_FILES:
        return resources_data_files(r);
    case ZERO_TMP_FILES:
        return resources_tmp_files(r);
    case ZERO_OUTBOX:
        return r->outbox_bytes;
    }
    return 0;
}

static uint64_t bound_of(const struct resources *r, const struct row *row)
{
    return row->zero == ZERO_BOUND && get(r, row) == 0 ? UNLIMITED : effective(r, row);
}

void resources_add(struct resources *sum, const struct resources *more)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t so_far = get(sum, &rows[i]);
        uint64_t value = effective(more, &rows[i]);

        if (rows[i].each)
            set(sum, &rows[i], value > so_far ? value : so_far);
        else
            set(sum, &rows[i], so_far + value);
    }
}

bool resources_within(const struct resources *sum, const struct resources *total)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t bound = bound_of(total, &rows[i]);
        bool is_limit = rows[i].zero != ZERO_UNLIMITED || bound != UNLIMITED;

        if (is_limit && get(sum, &rows[i]) > bound)
            return false;
    }
    return true;
}

const char *resources_beyond(const struct resources *want, const struct resources *may)
{
    for (size_t i = 0; i < ROWS; i++)
        if (effective(want, &rows[i]) > bound_of(may, &rows[i]))
            return rows[i].name;
    return NULL;
}

bool resources_none(const struct resources *r)
{
    for (size_t i = 0; i < ROWS; i++)
        if (get(r, &rows[i]) != 0)
            return false;
    return true;
}

enum rc resources_check(const struct resources *r, const char *field, struct err *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t value = get(r, &rows[i]);

        if (value > rows[i].max || (value == 0 && rows[i].zero == ZERO_REFUSED))
            return err_set(err, RC_VALUE, "%s.%s", field, rows[i].name);
    }
    return RC_OK;
}

/* ---- the wire form ---- */

/* Only what is not zero: so a value has one encoding, and one without any of it is as it was before
 * there was any. */
static void read_more(struct cbor_in *r, const char *field, struct resources *ret)
{
    if (cbor_map(r, field, RESOURCE_KEYS) == 0)
        cbor_fail(r, RC_VALUE, field);
    for (size_t i = FIXED_FIELDS; i < ROWS; i++) {
        if (!wire_optional(r, rows[i].key))
            continue;
        uint64_t value = cbor_uint(r, field, rows[i].max);

        if (value == 0)
            cbor_fail(r, RC_VALUE, field);
        set(ret, &rows[i], value);
    }
    wire_close(r);
}

void wire_resources(struct cbor_in *r, const char *field, struct resources *ret)
{
    size_t n = cbor_array(r, field, FIXED_FIELDS, FIXED_FIELDS + 1);

    for (size_t i = 0; i < FIXED_FIELDS; i++)
        set(ret, &rows[i],
            cbor_uint(r, field, rows[i].size == sizeof(uint32_t) ? UINT32_MAX : WIRE_UINT_MAX));
    if (n > FIXED_FIELDS)
        read_more(r, field, ret);
    cbor_end(r);
}

static uint32_t count_more(const struct resources *res)
{
    uint32_t n = 0;

    for (size_t i = FIXED_FIELDS; i < ROWS; i++)
        n += get(res, &rows[i]) != 0;
    return n;
}

void wire_put_resources(struct cbor_out *w, const struct resources *res)
{
    uint32_t n = count_more(res);

    cbor_put_array(w, FIXED_FIELDS + (n != 0));
    for (size_t i = 0; i < FIXED_FIELDS; i++)
        cbor_put_uint(w, get(res, &rows[i]));
    if (n == 0)
        return;
    cbor_put_map(w, n);
    for (size_t i = FIXED_FIELDS; i < ROWS; i++)
        if (get(res, &rows[i]) != 0)
            wire_put_uint_at(w, rows[i].key, get(res, &rows[i]));
}

bool wire_resources_plain(const struct resources *res)
{
    return count_more(res) == 0;
}
