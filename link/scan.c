/* SPDX-License-Identifier: Apache-2.0 */
#include "link/scan.h"

#include <assert.h>

#include "base/cbor.h"

#define BUNDLE_START 0x9fU
#define BUNDLE_BREAK 0xffU
#define EIDS 3U

/* Items of a bundle in the order in which they come (RFC 9171 section 4.3). */
enum step {
    STEP_START,
    STEP_PRIMARY,
    STEP_VERSION,
    STEP_FLAGS,
    STEP_CRC_TYPE,
    STEP_EID,
    STEP_SCHEME,
    STEP_DTN,
    STEP_IPN,
    STEP_ELEMENT,
    STEP_TIMESTAMP,
    STEP_TIME,
    STEP_SEQUENCE,
    STEP_LIFETIME,
    STEP_OFFSET,
    STEP_TOTAL,
    STEP_CRC,
    STEP_BLOCK,
    STEP_TYPE,
    STEP_NUMBER,
    STEP_BLOCK_FLAGS,
    STEP_BLOCK_CRC_TYPE,
    STEP_DATA,
    STEP_BLOCK_CRC,
    STEPS,
};

/* What an item must be.  A value outside its range is refused here only where nothing could be said
 * about what follows, and with the decoder's own code. */
struct item {
    enum cbor_major major;
    enum step next; /* where it does not hang on what came before: see after() */
    const char *field;
    uint64_t least;
    uint64_t most;
    enum rc refused;
};

/* clang-format off */
static const struct item items[STEPS] = {
    [STEP_PRIMARY]        = { CBOR_ARRAY, STEP_VERSION, "primary block: number of fields", 8, 11, RC_BUNDLE_FORMAT },
    [STEP_VERSION]        = { CBOR_UINT, STEP_FLAGS, "version", 7, 7, RC_BUNDLE_VERSION },
    [STEP_FLAGS]          = { CBOR_UINT, STEP_CRC_TYPE, "flags", 0, UINT64_MAX, RC_OK },
    [STEP_CRC_TYPE]       = { CBOR_UINT, STEP_EID, "CRC type", 0, CRC_32C, RC_BUNDLE_CRC_TYPE },
    [STEP_EID]            = { CBOR_ARRAY, STEP_SCHEME, "EID", 2, 2, RC_CBOR_COUNT },
    [STEP_SCHEME]         = { CBOR_UINT, STEP_IPN, "EID scheme", EID_DTN, EID_IPN, RC_BUNDLE_EID },
    [STEP_DTN]            = { CBOR_TSTR, STEP_EID, "dtn", 0, UINT64_MAX, RC_OK },
    [STEP_IPN]            = { CBOR_ARRAY, STEP_ELEMENT, "ipn elements", 2, 3, RC_BUNDLE_EID },
    [STEP_ELEMENT]        = { CBOR_UINT, STEP_ELEMENT, "ipn", 0, UINT64_MAX, RC_OK },
    [STEP_TIMESTAMP]      = { CBOR_ARRAY, STEP_TIME, "creation timestamp", 2, 2, RC_CBOR_COUNT },
    [STEP_TIME]           = { CBOR_UINT, STEP_SEQUENCE, "creation time", 0, UINT64_MAX, RC_OK },
    [STEP_SEQUENCE]       = { CBOR_UINT, STEP_LIFETIME, "sequence number", 0, UINT64_MAX, RC_OK },
    [STEP_LIFETIME]       = { CBOR_UINT, STEP_BLOCK, "lifetime", 0, UINT64_MAX, RC_OK },
    [STEP_OFFSET]         = { CBOR_UINT, STEP_TOTAL, "fragment offset", 0, UINT64_MAX, RC_OK },
    [STEP_TOTAL]          = { CBOR_UINT, STEP_BLOCK, "fragment total length", 0, UINT64_MAX, RC_OK },
    [STEP_CRC]            = { CBOR_BSTR, STEP_BLOCK, "CRC", 0, UINT64_MAX, RC_OK },
    [STEP_BLOCK]          = { CBOR_ARRAY, STEP_TYPE, "block", 0, UINT64_MAX, RC_OK },
    [STEP_TYPE]           = { CBOR_UINT, STEP_NUMBER, "block type", 0, UINT64_MAX, RC_OK },
    [STEP_NUMBER]         = { CBOR_UINT, STEP_BLOCK_FLAGS, "block number", 0, UINT64_MAX, RC_OK },
    [STEP_BLOCK_FLAGS]    = { CBOR_UINT, STEP_BLOCK_CRC_TYPE, "block flags", 0, UINT64_MAX, RC_OK },
    [STEP_BLOCK_CRC_TYPE] = { CBOR_UINT, STEP_DATA, "CRC type", 0, CRC_32C, RC_BUNDLE_CRC_TYPE },
    [STEP_DATA]           = { CBOR_BSTR, STEP_BLOCK, "block data", 0, UINT64_MAX, RC_OK },
    [STEP_BLOCK_CRC]      = { CBOR_BSTR, STEP_BLOCK, "CRC", 0, UINT64_MAX, RC_OK },
};
/* clang-format on */

void bundle_scan_init(struct bundle_scan *scan, uint64_t limit)
{
    *scan = (struct bundle_scan){ .limit = limit, .step = STEP_START };
}

static void fail(struct bundle_scan *s, enum rc rc, uint64_t at, const char *field)
{
    s->state = BUNDLE_SCAN_MALFORMED;
    s->rc = rc;
    s->fail_at = at;
    s->field = field;
}

static enum step after_eid(struct bundle_scan *s)
{
    s->eids++;
    return s->eids < EIDS ? STEP_EID : STEP_TIMESTAMP;
}

/* Which item follows the one that is read now; s->value is its argument. */
static enum step after(struct bundle_scan *s)
{
    switch ((enum step)s->step) {
    case STEP_SCHEME:
        return s->value == EID_DTN ? STEP_DTN : STEP_IPN;
    case STEP_DTN:
        return after_eid(s);
    case STEP_ELEMENT:
        s->elements--;
        return s->elements > 0 ? STEP_ELEMENT : after_eid(s);
    case STEP_LIFETIME:
        if (s->items >= 10)
            return STEP_OFFSET;
        return s->items == 9 ? STEP_CRC : STEP_BLOCK;
    case STEP_TOTAL:
        return s->items == 11 ? STEP_CRC : STEP_BLOCK;
    case STEP_DATA:
        return s->items == 6 ? STEP_BLOCK_CRC : STEP_BLOCK;
    case STEP_START:
    case STEP_PRIMARY:
    case STEP_VERSION:
    case STEP_FLAGS:
    case STEP_CRC_TYPE:
    case STEP_EID:
    case STEP_IPN:
    case STEP_TIMESTAMP:
    case STEP_TIME:
    case STEP_SEQUENCE:
    case STEP_OFFSET:
    case STEP_CRC:
    case STEP_BLOCK:
    case STEP_TYPE:
    case STEP_NUMBER:
    case STEP_BLOCK_FLAGS:
    case STEP_BLOCK_CRC_TYPE:
    case STEP_BLOCK_CRC:
        return items[s->step].next;
    case STEPS:
    default:
        assert(false);
        return STEP_START;
    }
}

/* What the value of a head tells about the items to come. */
static void note(struct bundle_scan *s, const struct item *item)
{
    bool crc = s->step == STEP_BLOCK_CRC_TYPE;

    if (s->value < item->least || s->value > item->most)
        fail(s, item->refused, s->step == STEP_SCHEME ? s->head_at - 1 : s->head_at, item->field);
    else if (s->step == STEP_DTN && s->major == CBOR_UINT && s->value != 0)
        fail(s, RC_BUNDLE_EID, s->head_at, "dtn number");
    else if (crc && s->items != 5 + (s->value != CRC_NONE))
        fail(s, RC_BUNDLE_CRC_TYPE, s->head_at, "block: number of fields");
    else if (s->step == STEP_PRIMARY || s->step == STEP_BLOCK)
        s->items = s->value > UINT8_MAX ? UINT8_MAX : (uint8_t)s->value;
    else if (s->step == STEP_IPN)
        s->elements = (uint8_t)s->value;
}

/* The head under way is complete. */
static void end_head(struct bundle_scan *s)
{
    static const uint64_t least[4] = { 24, 1ULL << 8, 1ULL << 16, 1ULL << 32 };
    const struct item *item = &items[s->step];

    if (s->info >= 24 && s->value < least[s->info - 24U]) {
        fail(s, RC_CBOR_NOT_MINIMAL, s->head_at, item->field);
        return;
    }
    note(s, item);
    if (s->state != BUNDLE_SCAN_MORE)
        return;
    if (s->major == CBOR_BSTR || s->major == CBOR_TSTR) {
        if (s->value >= s->limit - s->at) {
            fail(s, RC_TOO_LARGE, s->head_at, item->field);
            return;
        }
        s->skip = s->value;
    }
    s->step = (uint8_t)after(s);
}

/* The first byte of a head. */
static void begin_head(struct bundle_scan *s, uint8_t byte)
{
    const struct item *item = &items[s->step];

    s->head_at = s->at - 1;
    s->major = byte >> 5;
    s->info = byte & 0x1f;
    s->value = s->info;
    s->left = 0;
    if (s->major != item->major && !(s->step == STEP_DTN && s->major == CBOR_UINT))
        fail(s, s->major >= CBOR_TAG ? RC_CBOR_TAG : RC_CBOR_TYPE, s->head_at, item->field);
    else if (s->info > 27)
        fail(s, s->info == 31 ? RC_CBOR_INDEFINITE : RC_CBOR_RESERVED, s->head_at, item->field);
    else if (s->info >= 24) {
        s->left = (uint8_t)(1U << (s->info - 24U));
        s->value = 0;
    } else {
        end_head(s);
    }
}

/* The byte before the first item, and the one behind the last. */
static bool take_border(struct bundle_scan *s, uint8_t byte)
{
    if (s->step == STEP_START) {
        if (byte != BUNDLE_START)
            fail(s, RC_BUNDLE_FORMAT, 0, "bundle: not an array of indefinite length");
        s->step = STEP_PRIMARY;
        return true;
    }
    if (s->step != STEP_BLOCK || s->left > 0)
        return false;
    if (byte == BUNDLE_BREAK) {
        s->state = BUNDLE_SCAN_WHOLE;
        return true;
    }
    if (s->blocks == BUNDLE_BLOCKS_MAX) {
        fail(s, RC_BUNDLE_TOO_MANY_BLOCKS, s->at - 1, "blocks");
        return true;
    }
    s->blocks++;
    return false;
}

static void take_byte(struct bundle_scan *s, uint8_t byte)
{
    s->at++;
    if (take_border(s, byte))
        return;
    if (s->left == 0) {
        begin_head(s, byte);
        return;
    }
    s->value = s->value << 8 | byte;
    s->left--;
    if (s->left == 0)
        end_head(s);
}

enum bundle_scanned bundle_scan(struct bundle_scan *scan, struct bytes more, size_t *ret_used)
{
    size_t used = 0;

    while (used < more.n && scan->state == BUNDLE_SCAN_MORE) {
        size_t n = more.n - used;

        if (scan->skip > 0) {
            if (n > scan->skip)
                n = (size_t)scan->skip;
            scan->skip -= n;
            scan->at += n;
            used += n;
        } else if (scan->at == scan->limit) {
            fail(scan, RC_TOO_LARGE, scan->at, "bundle");
        } else {
            take_byte(scan, more.p[used]);
            used++;
        }
    }
    *ret_used = used;
    return scan->state;
}

enum rc bundle_scan_decode(const struct bundle_scan *scan, struct bytes in, enum bundle_level level,
                           struct bundle *ret, struct err *err)
{
    struct bytes taken = { .p = in.p, .n = (size_t)scan->at };
    enum rc rc;

    assert(in.n >= scan->at);
    rc = bundle_decode(taken, level, ret, err);
    /* A prefix of a bundle that breaks no rule so far is short for the decoder; the scan knows
     * whether it can still become whole. */
    if (rc != RC_SHORT || scan->state != BUNDLE_SCAN_MALFORMED)
        return rc;
    return err_at(err, scan->rc, scan->fail_at, "%s", scan->field);
}
