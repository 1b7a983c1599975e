/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/token: what puts a staged order into force.
 *
 * An order may lie on board before anyone has decided that it shall run; the decision is this small
 * document, signed by the operator role (and the safety role where a grant asks for it).  It names
 * one order of one satellite, by its digest, and it always expires: a decision that was taken back
 * on the ground cannot come true later on a satellite that was out of contact.  Plain values and
 * their strict, deterministic CBOR; whether anyone may be believed is manifest/trust's business.
 */
#ifndef BERTH_MANIFEST_TOKEN_H
#define BERTH_MANIFEST_TOKEN_H

#include "manifest/doc.h"

#define TOKEN_MAX 200U /* bytes of content, whatever is in it */

struct token {
    char satellite[NAME_CAP];
    uint64_t generation;       /* of the order */
    struct digest order;       /* SHA-256 of its payload */
    struct digest384 order384; /* the same in SHA-384; must be there if a key that decides is of
                                  suite 2 */
    uint64_t issued_ms;        /* Unix time */
    uint64_t expires_ms;       /* Unix time, after issued; there is no "never" */
};

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc token_decode(struct bytes in, struct token *ret, struct err *err);

/* Whether the values make sense together. */
must_check enum rc token_check(const struct token *doc, struct err *err);

/* Check, then encode into buf; *ret is a view of what was written.  TOKEN_MAX is always enough. */
must_check enum rc token_encode(const struct token *doc, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);

#endif
