/* SPDX-License-Identifier: Apache-2.0 */
#include "link/asb.h"

#include <assert.h>

#include "base/crypto.h"
#include "link/cursor.h"

#define PARAMETERS_PRESENT 1U /* context flag (RFC 9172 section 3.6) */
#define PARAMETER_ID_MAX 4U

enum parameter { PARAMETER_NONE, PARAMETER_IV, PARAMETER_VARIANT, PARAMETER_KEY, PARAMETER_SCOPE };

/* Parameters by context and number on the wire (RFC 9173 sections 3.3 and 4.3). */
static const enum parameter parameters[2][PARAMETER_ID_MAX + 1] = {
    [BPSEC_BIB_HMAC - 1] = { PARAMETER_NONE, PARAMETER_VARIANT, PARAMETER_KEY, PARAMETER_SCOPE },
    [BPSEC_BCB_GCM - 1] = { PARAMETER_NONE, PARAMETER_IV, PARAMETER_VARIANT, PARAMETER_KEY,
                            PARAMETER_SCOPE },
};

size_t bpsec_mac_size(uint64_t variant)
{
    switch (variant) {
    case BPSEC_HMAC_256:
        return 32;
    case BPSEC_HMAC_384:
        return 48;
    case BPSEC_HMAC_512:
        return 64;
    default:
        return 0;
    }
}

size_t bpsec_key_size(uint64_t variant)
{
    if (variant == BPSEC_A128GCM)
        return 16;
    return variant == BPSEC_A256GCM ? 32 : 0;
}

/* A simple value or float, whose bytes are no number with a shortest form (RFC 8949 section 3.3).
 */
static void skip_simple(struct cursor *c, const char *field)
{
    uint8_t info = c->p[c->at] & 0x1f;
    size_t n = info < 24 ? 1 : 1 + ((size_t)1 << (info - 24U));

    if (info > 27)
        cursor_fail(c, info == 31 ? RC_CBOR_INDEFINITE : RC_CBOR_RESERVED, field);
    else if (n > cursor_left(c))
        cursor_fail(c, RC_SHORT, field);
    else if (info == 24 && c->p[c->at + 1] < 32)
        cursor_fail(c, RC_CBOR_NOT_MINIMAL, field);
    else
        c->at += n;
}

/* Read past one item of any kind without recursion: every item still owed takes at least one byte,
 * so that what is owed can never exceed what is left. */
static void skip_item(struct cursor *c, const char *field)
{
    uint64_t owed = 1;

    while (owed > 0 && c->rc == RC_OK) {
        bool simple = cursor_left(c) > 0 && c->p[c->at] >> 5 == CBOR_SIMPLE;
        enum cbor_major major = CBOR_SIMPLE;
        uint64_t n = simple ? 0 : cursor_any(c, &major, field);
        uint64_t more = 0;

        if (simple)
            skip_simple(c, field);
        else if (major == CBOR_BSTR || major == CBOR_TSTR) {
            if (n > cursor_left(c))
                cursor_fail(c, RC_SHORT, field);
            else
                c->at += (size_t)n;
        } else if (major == CBOR_ARRAY || major == CBOR_MAP) {
            more = n > cursor_left(c) ? UINT32_MAX : n * (major == CBOR_MAP ? 2 : 1);
        } else if (major == CBOR_TAG) {
            more = 1;
        }
        owed = owed - 1 + more;
        if (owed > cursor_left(c))
            cursor_fail(c, RC_SHORT, field);
    }
}

static void read_targets(struct cursor *c, struct bpsec_asb *asb)
{
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "security targets");

    if (n == 0 || n > BUNDLE_BLOCKS_MAX) {
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "number of security targets");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        asb->targets[i] = cursor_uint(c, "security target");
        for (size_t k = 0; k < i; k++) {
            if (c->rc == RC_OK && asb->targets[k] == asb->targets[i])
                cursor_fail_at(c, RC_BPSEC_TARGET, start, "security target repeated");
        }
    }
    asb->n_targets = (size_t)n;
}

static void read_context(struct cursor *c, uint64_t type, struct bpsec_asb *asb)
{
    size_t start = c->at;
    enum cbor_major major;
    uint64_t value = cursor_any(c, &major, "security context");

    if (value > INT64_MAX || (major != CBOR_UINT && major != CBOR_NINT)) {
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "security context");
        return;
    }
    asb->context = major == CBOR_UINT ? (int64_t)value : -1 - (int64_t)value;
    if (bpsec_known(asb->context) && (asb->context == BPSEC_BIB_HMAC) != (type == BLOCK_BIB))
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "security context of the other block type");
}

static void read_parameter(struct cursor *c, unsigned *seen, struct bpsec_asb *asb)
{
    size_t start = c->at;
    uint64_t id;
    enum parameter what;

    cursor_array(c, 2, "parameter");
    id = cursor_uint(c, "parameter number");
    if (c->rc != RC_OK)
        return;
    what = id <= PARAMETER_ID_MAX ? parameters[asb->context - 1][id] : PARAMETER_NONE;
    if (*seen & 1U << what)
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "parameter repeated");
    *seen |= 1U << what;
    switch (what) {
    case PARAMETER_IV:
        asb->iv = cursor_bstr(c, "IV");
        break;
    case PARAMETER_VARIANT:
        asb->variant = cursor_uint(c, "variant");
        asb->has_variant = true;
        break;
    case PARAMETER_KEY:
        asb->wrapped_key = cursor_bstr(c, "wrapped key");
        break;
    case PARAMETER_SCOPE:
        asb->scope = cursor_uint(c, "scope flags");
        asb->has_scope = true;
        break;
    case PARAMETER_NONE:
    default:
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "parameter number");
    }
}

static void check_parameters(struct cursor *c, size_t start, unsigned seen,
                             const struct bpsec_asb *asb)
{
    bool mac = asb->context == BPSEC_BIB_HMAC;

    if ((mac ? bpsec_mac_size(asb->variant) : bpsec_key_size(asb->variant)) == 0)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "variant");
    if (asb->scope > BPSEC_SCOPE_ALL)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "scope flags");
    if (!mac && (asb->iv.n < GCM_IV_MIN || asb->iv.n > GCM_IV_MAX))
        cursor_fail_at(c, asb->iv.n == 0 ? RC_BPSEC_FORMAT : RC_BPSEC_CONTEXT, start, "IV length");
    if ((seen & 1U << PARAMETER_KEY) &&
        (asb->wrapped_key.n < 24 || asb->wrapped_key.n > BPSEC_WRAPPED_MAX ||
         asb->wrapped_key.n % 8 != 0))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "wrapped key length");
}

static void read_parameters(struct cursor *c, struct bpsec_asb *asb)
{
    bool present = (asb->flags & PARAMETERS_PRESENT) != 0;
    bool known = bpsec_known(asb->context);
    unsigned seen = 0;
    size_t start = c->at;
    uint64_t n = present ? cursor_head(c, CBOR_ARRAY, "parameters") : 0;

    asb->variant = asb->context == BPSEC_BIB_HMAC ? BPSEC_HMAC_384 : BPSEC_A256GCM;
    asb->scope = BPSEC_SCOPE_ALL;
    for (uint64_t i = 0; i < n && c->rc == RC_OK; i++) {
        if (known) {
            read_parameter(c, &seen, asb);
            continue;
        }
        cursor_array(c, 2, "parameter");
        (void)cursor_uint(c, "parameter number");
        skip_item(c, "parameter");
    }
    if (c->rc != RC_OK)
        return;
    if (present)
        asb->params = (struct bytes){ .p = c->p + start, .n = c->at - start };
    if (known)
        check_parameters(c, start, seen, asb);
}

/* The results of one target (RFC 9173 sections 3.4 and 4.4).  The length is checked here, long
 * before anything is compared. */
static void read_result(struct cursor *c, const struct bpsec_asb *asb, struct bytes *ret)
{
    bool mac = asb->context == BPSEC_BIB_HMAC;
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "results of a target");

    if (!bpsec_known(asb->context)) {
        for (uint64_t i = 0; i < n && c->rc == RC_OK; i++) {
            cursor_array(c, 2, "result");
            (void)cursor_uint(c, "result number");
            skip_item(c, "result");
        }
        return;
    }
    if (n > 1 || (mac && n != 1))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "number of results");
    if (n != 1)
        return;
    cursor_array(c, 2, "result");
    if (cursor_uint(c, "result number") != 1)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "result number");
    *ret = cursor_bstr(c, mac ? "MAC" : "tag");
    if (c->rc == RC_OK && ret->n != (mac ? bpsec_mac_size(asb->variant) : GCM_TAG_SIZE))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, mac ? "MAC length" : "tag length");
}

/* A CBOR sequence, not an array (RFC 9172 section 3.6). */
static void read_asb(struct cursor *c, uint64_t type, enum bundle_level level,
                     struct bpsec_asb *asb)
{
    size_t start;

    assert(type == BLOCK_BIB || type == BLOCK_BCB);
    *asb = (struct bpsec_asb){ 0 };
    read_targets(c, asb);
    read_context(c, type, asb);
    asb->flags = cursor_uint(c, "context flags");
    eid_read(c, level, &asb->source);
    read_parameters(c, asb);
    start = c->at;
    if (cursor_head(c, CBOR_ARRAY, "results") != asb->n_targets)
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "results differ in number from targets");
    for (size_t i = 0; i < asb->n_targets && c->rc == RC_OK; i++)
        read_result(c, asb, &asb->results[i]);
    if (c->rc == RC_OK)
        asb->results_raw = (struct bytes){ .p = c->p + start, .n = c->at - start };
    cursor_end(c, "security block");
}

/* However the bytes are wrong, it is the security block that is not valid. */
static enum rc asb_done(const struct cursor *c, struct err *err)
{
    enum rc rc = c->rc;

    if (rc == RC_OK)
        return RC_OK;
    if (rc != RC_BPSEC_CONTEXT && rc != RC_BPSEC_TARGET)
        rc = RC_BPSEC_FORMAT;
    return err_at(err, rc, c->fail_at, "%s", c->field);
}

enum rc bpsec_asb_decode(struct bytes in, uint64_t type, enum bundle_level level,
                         struct bpsec_asb *ret, struct err *err)
{
    struct cursor c = cursor_of(in);
    struct bpsec_asb asb;

    read_asb(&c, type, level, &asb);
    if (c.rc == RC_OK)
        *ret = asb;
    return asb_done(&c, err);
}

enum rc bpsec_asb_of(const struct bundle *bundle, const struct bundle_block *block,
                     enum bundle_level level, struct bpsec_asb *ret, struct err *err)
{
    struct cursor c = cursor_within(bundle->raw, block->data);

    read_asb(&c, block->type, level, ret);
    return asb_done(&c, err);
}

static void put_parameter(struct cbor_out *w, const struct bpsec_asb *asb, uint64_t id)
{
    enum parameter what = parameters[asb->context - 1][id];
    bool number = what == PARAMETER_VARIANT || what == PARAMETER_SCOPE;
    struct bytes text = what == PARAMETER_IV ? asb->iv : asb->wrapped_key;

    if ((what == PARAMETER_VARIANT && !asb->has_variant) ||
        (what == PARAMETER_SCOPE && !asb->has_scope) || (!number && text.n == 0) ||
        what == PARAMETER_NONE)
        return;
    cbor_put_array(w, 2);
    cbor_put_uint(w, id);
    if (number)
        cbor_put_uint(w, what == PARAMETER_VARIANT ? asb->variant : asb->scope);
    else
        cbor_put_bstr(w, text);
}

void bpsec_asb_put(struct cbor_out *w, const struct bpsec_asb *asb)
{
    size_t n_params = 0;

    n_params += asb->iv.n > 0;
    n_params += asb->wrapped_key.n > 0;
    n_params += asb->has_variant;
    n_params += asb->has_scope;

    assert(bpsec_known(asb->context));
    assert(asb->n_targets > 0 && asb->n_targets <= BUNDLE_BLOCKS_MAX);
    cbor_put_array(w, asb->n_targets);
    for (size_t i = 0; i < asb->n_targets; i++)
        cbor_put_uint(w, asb->targets[i]);
    cbor_put_uint(w, (uint64_t)asb->context);
    cbor_put_uint(w, n_params > 0 ? PARAMETERS_PRESENT : 0);
    eid_put(w, &asb->source);
    if (n_params > 0)
        cbor_put_array(w, n_params);
    for (uint64_t id = 1; id <= PARAMETER_ID_MAX; id++)
        put_parameter(w, asb, id);
    cbor_put_array(w, asb->n_targets);
    for (size_t i = 0; i < asb->n_targets; i++) {
        cbor_put_array(w, asb->results[i].n > 0);
        if (asb->results[i].n == 0)
            continue;
        cbor_put_array(w, 2);
        cbor_put_uint(w, 1);
        cbor_put_bstr(w, asb->results[i]);
    }
}
