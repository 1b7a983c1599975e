/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/envelope: COSE_Sign (RFC 9052 section 4.1), untagged, around one document.
 *
 *     [ protected, {}, payload, [ + [ protected, {4: kid}, signature ] ] ]
 *
 * The body's protected header names the profile; each signer gives one entry per half of its key's
 * suite, all with the signer's key id.  The external data of each signature is the
 * CBOR array
 * ["berth", doc_type, DOC_FORMAT, mission].  Opening an envelope checks its form only; the payload
 * must not be looked into before trust has verified it.
 */
#ifndef BERTH_MANIFEST_ENVELOPE_H
#define BERTH_MANIFEST_ENVELOPE_H

#include "manifest/suite.h"

#define ENVELOPE_SIGNATURES_MAX 16U
static_assert(ENVELOPE_SIGNATURES_MAX == SUITE_HALVES_MAX * SIGNERS_MAX, "every half of everyone");

/* What every signer states by signing the body header: the table of suites of which each algorithm
 * is a part (manifest/suite).  In profile 1, -19 and -49 are the halves of one signature of suite 1
 * and worth nothing alone; -50 is a signature of suite 2.  One constant, so that signers of
 * different suites sign the same bytes in any order without knowing of each other. */
#define ENVELOPE_PROFILE 1U

/* One COSE_Signature, as views into the envelope. */
struct envelope_signature {
    struct bytes protected_header;
    int64_t algorithm; /* as claimed; only ever compared with what the key record demands */
    struct bytes key_id;
    struct bytes signature;
};

/* A well-formed envelope, not verified.  Views into the bytes it was opened from. */
struct envelope {
    struct bytes protected_header;
    struct bytes payload;
    uint32_t n;
    struct envelope_signature signature[ENVELOPE_SIGNATURES_MAX];
};

/* Parse the form.  RC_ENVELOPE and CBOR codes. */
must_check enum rc envelope_open(struct bytes in, struct envelope *ret, struct err *err);

/* The bytes that one entry signs (RFC 9052 section 4.4), into buf; used by verification and by
 * signing alike.  Of the envelope, the body's protected header and the payload are read.  buf needs
 * payload.n + ENVELOPE_TO_SIGN_EXTRA bytes. */
#define ENVELOPE_TO_SIGN_EXTRA 256U
must_check enum rc envelope_to_sign(enum doc_type type, const struct mission *mission,
                                    const struct envelope *envelope, struct bytes sign_protected,
                                    uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);

/* The protected header of the body (profile: ENVELOPE_PROFILE, except to test what else is
 * refused), and of one entry for an algorithm. */
must_check enum rc envelope_body_header(uint32_t profile, uint8_t *buf, size_t cap,
                                        struct bytes *ret, struct err *err);
must_check enum rc envelope_entry_header(int64_t algorithm, uint8_t *buf, size_t cap,
                                         struct bytes *ret, struct err *err);

/* Put an envelope together from finished parts (protected headers, payload, signatures). */
must_check enum rc envelope_encode(const struct envelope *parts, uint8_t *buf, size_t cap,
                                   struct bytes *ret, struct err *err);

/* Count the distinct keys of the set of which every half verifies over the payload, and compare
 * with the threshold. Entries of unknown keys are skipped without crypto; a known key with a
 * missing, doubled, swapped or wrong half is a failure of the whole envelope.  The work is bounded
 * by ENVELOPE_SIGNATURES_MAX. */
must_check enum rc envelope_verify(const struct envelope *envelope, enum doc_type type,
                                   const struct mission *mission, const struct key_set *keys,
                                   struct err *err);

#endif
