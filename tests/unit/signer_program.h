/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/signer_program: a test binary as the external signer of update/signer.  Started as
 * "PROGRAM sign|public HALF NAME", the name says how it behaves; the key is the operator's of
 * tests/unit/documents.h.
 */
#ifndef BERTH_TESTS_UNIT_SIGNER_PROGRAM_H
#define BERTH_TESTS_UNIT_SIGNER_PROGRAM_H

#include <signal.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "tests/unit/documents.h"

/* A token signs bytes and knows no documents.  The only raw signing that there is in Berth is
 * inside documents, so this one takes apart what it is given and signs the same again. */
static inline struct bytes signer_half(struct bytes message, const char *half, enum doc_key which,
                                       uint8_t *buf, size_t cap)
{
    struct cbor_in r = cbor_read(message), aad;
    const struct sign_key *key = doc_key(which);
    struct bytes external, payload, envelope_bytes = { 0 };
    struct envelope envelope;
    struct mission mission;
    enum doc_type type;
    struct err err;

    (void)cbor_array(&r, "to-be-signed", 5, 5);
    (void)cbor_skip(&r, "Signature");
    (void)cbor_skip(&r, "body");
    (void)cbor_skip(&r, "sign");
    external = cbor_bstr(&r, "aad", 1, 64);
    payload = cbor_bstr(&r, "payload", 1, DOCUMENT_MAX);
    aad = cbor_read(external);
    (void)cbor_array(&aad, "aad", 4, 4);
    (void)cbor_skip(&aad, "berth");
    type = (enum doc_type)cbor_uint(&aad, "type", 255);
    (void)cbor_skip(&aad, "format");
    cbor_fixed(&aad, "mission", mission.b, sizeof mission.b);
    doc_must(sign_document(type, &mission, payload, &key, 1, buf, cap, &envelope_bytes, &err),
             &err);
    doc_must(envelope_open(envelope_bytes, &envelope, &err), &err);
    return envelope.signature[strcmp(half, "ml-dsa-65") == 0 ? 1 : 0].signature;
}

static inline void signer_print(struct bytes out, size_t n)
{
    while (n > 0) {
        size_t part = n < out.n ? n : out.n;

        if (write(STDOUT_FILENO, out.p, part) != (ssize_t)part)
            _exit(9);
        n -= part;
    }
}

/* Call first thing in main; returns when this process is the test itself. */
static inline void signer_program(int argc, char **argv)
{
    static uint8_t message[2 * DOCUMENT_MAX], buf[2 * DOCUMENT_MAX];
    const struct public_key *public;
    struct bytes out;
    ssize_t n;

    if (argc != 4 || (strcmp(argv[1], "sign") != 0 && strcmp(argv[1], "public") != 0))
        return;
    if (strcmp(argv[3], "slow") == 0)
        (void)pause();
    if (strcmp(argv[3], "killed") == 0)
        (void)raise(SIGKILL);
    public = sign_key_public(doc_key(K_OPERATOR_A));
    if (strcmp(argv[1], "public") == 0) {
        out = public_half(public, strcmp(argv[2], "ml-dsa-65") == 0 ? 1 : 0);
    } else {
        n = read(STDIN_FILENO, message, sizeof message);
        if (n <= 0)
            _exit(8);
        out =
            signer_half((struct bytes){ message, (size_t)n }, argv[2],
                        strcmp(argv[3], "other") == 0 ? K_STRANGER : K_OPERATOR_A, buf, sizeof buf);
    }
    signer_print(out, strcmp(argv[3], "silent") == 0  ? 0
                      : strcmp(argv[3], "short") == 0 ? out.n - 1
                      : strcmp(argv[3], "long") == 0  ? out.n + 1
                      : strcmp(argv[3], "flood") == 0 ? (size_t)1 << 40
                                                      : out.n);
    _exit(strcmp(argv[3], "fails") == 0 ? 3 : 0);
}

#endif
