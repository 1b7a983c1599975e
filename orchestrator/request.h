/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/request: the two files that cross the air gap, and how they become a signed
 * document.
 *
 *     NAME.request  what is to be signed: type, mission, the document's bytes
 *     NAME.sig      one key's signature over it, with the key's public half
 *
 * Both are strict CBOR (docs/wire/documents.md).  Both came on somebody's stick and are hostile: a
 * request is shown in words made from its bytes on the machine that signs, never in words that it
 * brought; a signature counts only after the verifier that flies has found it good.  Pure: no I/O.
 */
#ifndef BERTH_ORCHESTRATOR_REQUEST_H
#define BERTH_ORCHESTRATOR_REQUEST_H

#include "manifest/envelope.h"

#define REQUEST_SUFFIX ".request"
#define SIGNATURE_SUFFIX ".sig"
#define REQUEST_FILE_MAX (DOCUMENT_MAX + 512U)
#define SIGNATURE_FILE_MAX (16U * 1024U)
#define REQUEST_NOTE_CAP 128U

/* A document that is to be signed. */
struct request {
    enum doc_type type;
    struct mission mission;
    char note[REQUEST_NOTE_CAP]; /* what the asker says about it: printable ASCII, no evidence */
    struct bytes payload;        /* a view */
};

/* One key's signature.  Views into the file it was decoded from. */
struct request_signature {
    enum doc_type type;
    struct mission mission;
    struct digest payload; /* SHA-256 of what was signed */
    struct public_key key;
    uint32_t n;
    struct {
        int64_t algorithm;
        struct bytes bytes;
    } half[ENVELOPE_SIGNATURES_MAX];
};

/* Whether the request makes sense: a type that is signed (RC_DOC_TYPE), the payload of that type, a
 * root of that mission (RC_MISSION). */
must_check enum rc request_check(const struct request *request, struct err *err);

/* To and from the bytes of the file.  Both check. */
must_check enum rc request_encode(const struct request *request, uint8_t *buf, size_t cap,
                                  struct bytes *ret, struct err *err);
must_check enum rc request_decode(struct bytes in, struct request *ret, struct err *err);

/* Whether these bytes begin as one of the two files. */
bool request_is(struct bytes in);
bool request_signature_is(struct bytes in);

/* Take one signer's envelope over the request apart into the bytes of a signature file. */
must_check enum rc request_signature_encode(const struct request *request,
                                            const struct public_key *key, struct bytes envelope,
                                            uint8_t *buf, size_t cap, struct bytes *ret,
                                            struct err *err);
must_check enum rc request_signature_decode(struct bytes in, struct request_signature *ret,
                                            struct err *err);

/* Add a signature to an envelope over the request's payload; envelope empty = begin one.  Refused
 * unless it is over this type (RC_DOC_TYPE), mission (RC_MISSION) and payload (RC_DIGEST_MISMATCH),
 * verifies with its own key (RC_SIG_BAD and the other codes of envelope_verify), and the key has
 * not signed yet (RC_KEY_DUPLICATE).  Whether the key may sign such a document is for who knows the
 * role.  buf must not overlap envelope. */
must_check enum rc request_attach(const struct request *request, struct bytes envelope,
                                  const struct request_signature *signature, uint8_t *buf,
                                  size_t cap, struct bytes *ret, struct err *err);

/* How many keys of the role have signed, by id: every signature in the envelope was verified when
 * it came in.  threshold is keys->threshold. */
uint32_t request_signed(struct bytes envelope, const struct key_set *keys);

#endif
