/* SPDX-License-Identifier: Apache-2.0 */
#include "link/eid.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "link/cursor.h"

bool eid_is_null(const struct eid *eid)
{
    return eid->scheme == EID_NONE || (eid->scheme == EID_IPN && eid->node == 0);
}

bool eid_equal(const struct eid *a, const struct eid *b)
{
    if (eid_is_null(a) || eid_is_null(b))
        return eid_is_null(a) && eid_is_null(b);
    if (a->scheme != b->scheme)
        return false;
    if (a->scheme == EID_IPN)
        return a->node == b->node && a->service == b->service;
    return bytes_equal(a->name, b->name);
}

/* The node of an ipn EID that began at start. */
static void read_ipn_node(struct cursor *c, size_t start, struct eid *ret)
{
    uint64_t node = cursor_uint(c, ret->three ? "ipn allocator" : "ipn node");

    if (ret->three) {
        uint64_t number = cursor_uint(c, "ipn node");

        if (node > UINT32_MAX || number > UINT32_MAX)
            cursor_fail_at(c, RC_BUNDLE_EID, start, "ipn allocator or node");
        node = node << 32 | number;
    }
    ret->node = node;
}

/* ipn scheme-specific part: [node, service] or [allocator, node, service] (RFC 9758 section 6.1).
 */
static void read_ipn(struct cursor *c, enum bundle_level level, struct eid *ret)
{
    size_t start = c->at;
    uint64_t items = cursor_head(c, CBOR_ARRAY, "ipn");

    ret->scheme = EID_IPN;
    ret->three = items == 3;
    if (items != 2 && items != 3) {
        cursor_fail_at(c, RC_BUNDLE_EID, start, "ipn elements");
        return;
    }
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    read_ipn_node(c, start, ret);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    ret->service = cursor_uint(c, "ipn service");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    /* RFC 9758 section 3.4.1: ipn:0.0 is the null endpoint, every other ipn:0.x is invalid. */
    if (level == BUNDLE_STRICT && ret->node == 0 && ret->service != 0)
        cursor_fail_at(c, RC_BUNDLE_EID, start, "ipn:0 with a service");
}

/* Printable ASCII without spaces, and no "." or ".." path segments: nobody has use for them, and a
 * careless reader of names could. */
static bool dtn_name_valid(struct bytes name, enum bundle_level level)
{
    size_t dots = 0;
    size_t segment = 0; /* bytes in the current path segment */

    if (name.n == 0 || name.n > EID_DTN_MAX)
        return false;
    if (level == BUNDLE_STRICT && (name.n < 3 || name.p[0] != '/' || name.p[1] != '/'))
        return false;
    /*@ loop invariant 0 <= i <= name.n + 1;
        loop assigns i, dots, segment;
        loop variant name.n + 1 - i; */
    for (size_t i = 0; i <= name.n; i++) {
        if (i == name.n || name.p[i] == '/') {
            if (segment > 0 && segment <= 2 && dots == segment)
                return false;
            dots = 0;
            segment = 0;
            continue;
        }
        if (name.p[i] <= 0x20 || name.p[i] >= 0x7f)
            return false;
        dots += name.p[i] == '.';
        segment++;
    }
    return true;
}

/* dtn scheme-specific part: 0 for dtn:none, else text (RFC 9171 section 4.2.5.1.1). */
static void read_dtn(struct cursor *c, enum bundle_level level, struct eid *ret)
{
    size_t start = c->at;

    if (cursor_left(c) > 0 && c->p[start] >> 5 == CBOR_UINT) {
        if (cursor_uint(c, "dtn") != 0)
            cursor_fail_at(c, RC_BUNDLE_EID, start, "dtn number");
        ret->scheme = EID_NONE;
        return;
    }
    ret->scheme = EID_DTN;
    ret->name = cursor_string(c, CBOR_TSTR, "dtn");
    if (c->rc == RC_OK && !dtn_name_valid(ret->name, level))
        cursor_fail_at(c, RC_BUNDLE_EID, start, "dtn name");
}

/* Node and service of the form that nearly all EIDs have: what read_ipn does for two elements. */
static void read_ipn_pair(struct cursor *c, enum bundle_level level, struct eid *ret)
{
    size_t start = c->at - 1;

    *ret = (struct eid){ 0 };
    ret->scheme = EID_IPN;
    ret->node = cursor_uint(c, "ipn node");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    ret->service = cursor_uint(c, "ipn service");
    if (level == BUNDLE_STRICT && ret->node == 0 && ret->service != 0)
        cursor_fail_at(c, RC_BUNDLE_EID, start, "ipn:0 with a service");
}

void eid_read(struct cursor *c, enum bundle_level level, struct eid *ret)
{
    static const uint8_t pair[3] = { 0x82, EID_IPN, 0x82 }; /* [2, [node, service]] */
    size_t start = c->at;
    uint64_t scheme;

    if (cursor_left(c) >= sizeof pair && memcmp(c->p + start, pair, sizeof pair) == 0) {
        c->at += sizeof pair;
        //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
        read_ipn_pair(c, level, ret);
        //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
        return;
    }
    *ret = (struct eid){ 0 };
    cursor_array(c, 2, "EID");
    scheme = cursor_uint(c, "EID scheme");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (scheme == EID_IPN)
        read_ipn(c, level, ret);
    else if (scheme == EID_DTN)
        read_dtn(c, level, ret);
    else
        cursor_fail_at(c, RC_BUNDLE_EID, start, "EID scheme");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
}

enum rc eid_decode(struct bytes in, enum bundle_level level, struct eid *ret, struct err *err)
{
    struct cursor c = cursor_of(in);
    struct eid eid;
    enum rc rc;

    eid_read(&c, level, &eid);
    cursor_end(&c, "EID");
    rc = cursor_done(&c, err);
    if (rc == RC_OK)
        *ret = eid;
    return rc;
}

void eid_put(struct cbor_out *w, const struct eid *eid)
{
    cbor_put_array(w, 2);
    switch (eid->scheme) {
    case EID_NONE:
        cbor_put_uint(w, EID_DTN);
        cbor_put_uint(w, 0);
        break;
    case EID_DTN:
        cbor_put_uint(w, EID_DTN);
        cbor_put_tstr(w, eid->name);
        break;
    case EID_IPN:
        cbor_put_uint(w, EID_IPN);
        cbor_put_array(w, eid->three ? 3 : 2);
        if (eid->three)
            cbor_put_uint(w, eid->node >> 32);
        cbor_put_uint(w, eid->three ? eid->node & UINT32_MAX : eid->node);
        cbor_put_uint(w, eid->service);
        break;
    default:
        assert(false);
    }
}

const char *eid_text(const struct eid *eid, char *out, size_t cap)
{
    char text[EID_TEXT_CAP] = "dtn:none";
    size_t n = eid->name.n < EID_DTN_MAX ? eid->name.n : EID_DTN_MAX;

    assert(cap > 0);
    if (eid->scheme == EID_DTN)
        (void)snprintf(text, sizeof text, "dtn:%.*s", (int)n, (const char *)eid->name.p);
    else if (eid->scheme == EID_IPN && eid->node >> 32 != 0)
        (void)snprintf(text, sizeof text, "ipn:%" PRIu64 ".%" PRIu64 ".%" PRIu64, eid->node >> 32,
                       eid->node & UINT32_MAX, eid->service);
    else if (eid->scheme == EID_IPN)
        (void)snprintf(text, sizeof text, "ipn:%" PRIu64 ".%" PRIu64, eid->node, eid->service);
    n = strlen(text) < cap - 1 ? strlen(text) : cap - 1;
    memcpy(out, text, n);
    out[n] = '\0';
    return out;
}
