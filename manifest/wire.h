/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/wire: what the encodings of all documents share.  For manifest/ and update/keyfile only.
 *
 * Every document is one map with the keys 0, 1, 2 ... and all of them present but some at the end
 * (wire_optional), so that a value has exactly one encoding and a decoder is a straight list of
 * reads.  Key 0 holds [type, format].
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

/* Whether the next key of the open map is this one, which may be left out: a value that says the
 * same as its absence must be refused by the caller, so that there stays one encoding. */
bool wire_optional(struct cbor_in *r, uint64_t key);

/* Close the map of a document: RC_CBOR_UNKNOWN_KEY if there is one more. */
void wire_close(struct cbor_in *r);

/* A 32-bit number. */
uint32_t wire_u32(struct cbor_in *r, const char *field);

/* A counter or a time. */
uint64_t wire_u64(struct cbor_in *r, const char *field);

/* A digest that must be there, and one that may be absent: an empty string, all zero in memory. */
void wire_digest(struct cbor_in *r, const char *field, struct digest *ret);
void wire_digest_or_none(struct cbor_in *r, const char *field, struct digest *ret);

/* A SHA-384 digest, in a field that is there; all zero is RC_VALUE. */
void wire_digest384(struct cbor_in *r, const char *field, struct digest384 *ret);

/* [suite, + half]; fills in the id.  *ret is complete only if the reader has not failed.
 */
void wire_public_key(struct cbor_in *r, struct public_key *ret);

/* [threshold, [ + key ]]. */
void wire_key_set(struct cbor_in *r, const char *field, struct key_set *ret);

/* [memory, data, tmp, cpu, pids, files, ? { more }]. */
void wire_resources(struct cbor_in *r, const char *field, struct resources *ret);

/* What an allowance has, as a map without what is not there; not empty. */
void wire_allowance(struct cbor_in *r, const char *field, struct allowance *ret);

/* A list of min to max names, none of them empty, cap bytes each: how many there are. */
uint32_t wire_names(struct cbor_in *r, const char *field, char (*ret)[NAME_CAP], uint32_t max);

/* "tenant" or "tenant/team": who signs.  *team is "" for the tenant itself. */
void wire_signer(struct cbor_in *r, const char *field, char tenant[NAME_CAP], char team[TEAM_CAP]);

/* The same in the other direction.  wire_put_open writes the head of the map with this many keys,
 * key 0 included, and key 0. */
void wire_put_open(struct cbor_out *w, enum doc_type type, size_t keys);
void wire_put_digest(struct cbor_out *w, const struct digest *digest);
void wire_put_digest384(struct cbor_out *w, const struct digest384 *digest);
void wire_put_digest_or_none(struct cbor_out *w, const struct digest *digest);
void wire_put_public_key(struct cbor_out *w, const struct public_key *key);
void wire_put_key_set(struct cbor_out *w, const struct key_set *keys);
void wire_put_resources(struct cbor_out *w, const struct resources *res);
void wire_put_allowance(struct cbor_out *w, const struct allowance *may);
void wire_put_names_at(struct cbor_out *w, uint64_t key, const char (*names)[NAME_CAP], uint32_t n);
void wire_put_true_at(struct cbor_out *w, uint64_t key, bool value);

/* Whether resources have the form that there was before there was more of them. */
bool wire_resources_plain(const struct resources *res);

void wire_put_signer_at(struct cbor_out *w, uint64_t key, const char *tenant, const char *team);

/* What a manifest asks for beside amounts and how the payload lives: the two maps, and whether
 * there is anything to say in them. */
void wire_wants(struct cbor_in *r, struct manifest *d);
void wire_life(struct cbor_in *r, struct manifest *d);
bool wire_has_wants(const struct manifest *d);
bool wire_has_life(const struct manifest *d);
void wire_put_wants(struct cbor_out *w, const struct manifest *d);
void wire_put_life(struct cbor_out *w, const struct manifest *d);

/* Parts of manifest_check, and what allowances are checked with too: RC_NAME, RC_VALUE. */
must_check enum rc wants_check(const struct manifest *d, struct err *err);
must_check enum rc life_check(const struct manifest *d, struct err *err);
must_check enum rc names_check(const char (*names)[NAME_CAP], uint32_t n, uint32_t max,
                               const char *field, struct err *err);
bool interface_valid(const char *name); /* a name, short enough for the kernel */

/* [] or [seq, head]. */
void wire_witness(struct cbor_in *r, const char *field, struct witness *ret);
void wire_put_witness(struct cbor_out *w, const struct witness *witness);
must_check enum rc witness_check(const struct witness *witness, const char *field, struct err *err);

/* Optional keys of a report. */
#define REPORT_KEY_KEYS 11U
#define REPORT_KEY_STAGED 12U
#define REPORT_KEY_LOST 13U
#define REPORT_KEY_PASSES 14U
#define REPORT_KEY_AGENT 15U
#define REPORT_KEY_SCRUB 16U
#define REPORT_KEY_TRAFFIC 17U
#define REPORT_KEY_USAGE 18U
#define REPORT_KEY_DENIED 19U
#define REPORT_KEY_WALLS 20U
#define REPORT_KEY_SPOOL 21U
#define REPORT_KEY_WITNESS 22U

/* Whether nothing is to be told of the keys held: they are as provisioned. */
bool report_keys_default(const struct report_keys *keys);

/* Whether nothing came over the link yet. */
bool report_traffic_default(const struct report_traffic *traffic);
bool report_walls_default(const struct report_walls *walls);

/* Whether nothing was read again yet. */
bool report_scrub_default(const struct report_scrub *scrub);

/* Key and text, key and number: the common pairs of a map. */
void wire_put_text_at(struct cbor_out *w, uint64_t key, const char *text);
void wire_put_uint_at(struct cbor_out *w, uint64_t key, uint64_t value);

#endif
