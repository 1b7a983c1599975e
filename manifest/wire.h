/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/wire: what the encodings of all documents share.  For manifest/ and update/keyfile only.
 *
 * Every document is one map with the keys 0, 1, 2 ... and all of them present, so that a value has
 * exactly one encoding and a decoder is a straight list of reads.  Key 0 holds [type, format].
 * Input is hostile; readers are base/cbor's, with its sticky error.
 */
#ifndef BERTH_MANIFEST_WIRE_H
#define BERTH_MANIFEST_WIRE_H

#include "base/cbor.h"
#include "manifest/doc.h"

/* Counters and times stay below 2^63, so that sums and signed readers are safe. */
#define WIRE_UINT_MAX ((uint64_t)INT64_MAX)

/* Open the map of a document and read key 0: RC_DOC_TYPE, RC_DOC_VERSION. */
void wire_open(struct cbor_in *r, enum doc_type type);

/* The next key of the open map must be this one: RC_CBOR_MISSING. */
void wire_key(struct cbor_in *r, uint64_t key, const char *field);

/* Close the map of a document: RC_CBOR_UNKNOWN_KEY if there is one more. */
void wire_close(struct cbor_in *r);

/* A 32-bit number. */
uint32_t wire_u32(struct cbor_in *r, const char *field);

/* A counter or a time. */
uint64_t wire_u64(struct cbor_in *r, const char *field);

/* A digest that must be there, and one that may be absent: an empty string, all zero in memory. */
void wire_digest(struct cbor_in *r, const char *field, struct digest *ret);
void wire_digest_or_none(struct cbor_in *r, const char *field, struct digest *ret);

/* [suite, ed25519, mldsa65]; fills in the id.  *ret is complete only if the reader has not failed.
 */
void wire_public_key(struct cbor_in *r, struct public_key *ret);

/* [threshold, [ + key ]]. */
void wire_key_set(struct cbor_in *r, const char *field, struct key_set *ret);

/* [memory, data, tmp, cpu, pids, files]. */
void wire_resources(struct cbor_in *r, const char *field, struct resources *ret);

/* The same in the other direction.  wire_put_open writes the head of the map with this many keys,
 * key 0 included, and key 0. */
void wire_put_open(struct cbor_out *w, enum doc_type type, size_t keys);
void wire_put_digest(struct cbor_out *w, const struct digest *digest);
void wire_put_digest_or_none(struct cbor_out *w, const struct digest *digest);
void wire_put_public_key(struct cbor_out *w, const struct public_key *key);
void wire_put_key_set(struct cbor_out *w, const struct key_set *keys);
void wire_put_resources(struct cbor_out *w, const struct resources *res);

/* Whether a digest is all zero, which stands for "none". */
bool digest_is_none(const struct digest *digest);

/* Key and text, key and number: the common pairs of a map. */
void wire_put_text_at(struct cbor_out *w, uint64_t key, const char *text);
void wire_put_uint_at(struct cbor_out *w, uint64_t key, uint64_t value);

#endif
