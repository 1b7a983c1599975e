/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/doc: the documents that say what may run, where, and who may say so (design, section 3).
 * Plain values; the wire form is deterministic CBOR described in docs/wire/documents.cddl, one file
 * of the code per direction.
 *
 * Decoding says what the bytes are; checking says whether the values make sense together.  Neither
 * says that anyone may be believed: that is manifest/trust, and only what it returns goes on to the
 * next step.
 */
#ifndef BERTH_MANIFEST_DOC_H
#define BERTH_MANIFEST_DOC_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* What a signature is about: part of the external data of every COSE signature, so that no
 * signature over one type is ever valid for another.  Numbers are on the wire. */
enum doc_type {
    DOC_ROOT = 1,
    DOC_GRANT = 2,
    DOC_MANIFEST = 3,
    DOC_ORDER = 4,
    DOC_REPORT = 5,
    DOC_REVOCATION = 6,
};

#define DOC_FORMAT 1U /* version of the format of every type */

struct digest {
    uint8_t b[DIGEST_SIZE];
};

struct mission {
    uint8_t b[MISSION_SIZE];
};

/* Signature suites.  A key record names its suite; a signature never chooses. */
enum suite {
    SUITE_ED25519_MLDSA65 = 1, /* COSE -19 and -49 (RFC 9864, RFC 9964); both halves must verify */
};

/* A public key as a root or grant lists it.  Its id is the first KEY_ID_SIZE bytes of SHA-256 over
 * its CBOR record [suite, ed25519, mldsa65], so one key has one id. */
struct public_key {
    uint8_t id[KEY_ID_SIZE];
    enum suite suite;
    uint8_t ed25519[32];
    uint8_t mldsa65[1952];
};

/* m of n. */
struct key_set {
    uint32_t threshold;
    uint32_t n;
    struct public_key key[ROLE_KEYS_MAX];
};

/* Trust root: who the operator is, and which keys come next. */
struct root {
    uint64_t version; /* one higher each time */
    struct mission mission;
    uint64_t issued_ms;  /* Unix time */
    uint64_t expires_ms; /* Unix time, 0 = never */
    struct key_set root_keys;
    struct key_set operator_keys;
    struct digest next_keys;    /* SHA-256 over the next root's key set record: pre-rotation */
    uint64_t operator_since_ms; /* Unix time, at most issued_ms: the operator role began anew here,
                                   grants and orders issued before it are void; 0 = never yet */
};

/* What one payload may use.  Every field is a hard limit; zero is invalid except where noted. */
struct resources {
    uint64_t memory_bytes;
    uint64_t data_bytes;   /* /data, persistent; 0 = no /data */
    uint64_t tmp_bytes;    /* /tmp, counted as memory too; at most half of memory_bytes */
    uint32_t cpu_permille; /* 1000 = one core */
    uint32_t pids;
    uint32_t open_files;
};

/* What a tenant may have in all, and who signs for it. */
struct grant {
    char tenant[NAME_CAP];
    uint64_t epoch; /* rises with every grant for this tenant */
    uint64_t issued_ms;
    uint64_t expires_ms; /* 0 = never */
    struct key_set keys;
    char prefix[NAME_CAP];  /* payload names: equal to it, or starting with it and '-'; "" = any */
    struct resources total; /* sums over the tenant's running payloads */
    uint64_t store_bytes;   /* packages and slots on board */
    uint32_t payloads_max;  /* running at once */
};

enum health_type {
    HEALTH_NOTIFY = 1, /* READY=1 on the sd_notify socket within ready_ms */
    HEALTH_ALIVE =
        2, /* still running after ready_ms: for programs that know nothing of sd_notify */
};

struct health {
    enum health_type type;
    uint32_t ready_ms;    /* from exec to ready */
    uint32_t soak_ms;     /* from ready to committed, without exit */
    uint32_t watchdog_ms; /* longest gap between WATCHDOG=1, 0 = none */
};

/* What a tenant signs: what the payload is. */
struct manifest {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char version[VERSION_CAP];
    uint64_t release; /* number of this release, rises; compared with floors, never shown as the
                         version */
    uint64_t floor;   /* lowest release that may still run once this one has been committed */
    struct digest content;   /* SHA-256 of the compressed archive */
    uint64_t content_bytes;  /* of the compressed archive */
    uint64_t unpacked_bytes; /* sum of file sizes */
    uint32_t files;          /* entries in the archive */
    char arch[16];           /* "x86_64", "aarch64" or "any" */
    uint32_t n_args;
    uint32_t n_env;
    char args[PAYLOAD_ARGS_MAX]
             [PAYLOAD_ARG_CAP];                 /* args[0] is an absolute path inside the package */
    char env[PAYLOAD_ENV_MAX][PAYLOAD_ARG_CAP]; /* "NAME=value" */
    struct resources limits;
    struct health health;
};

/* One line of an order. */
struct order_line {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    struct digest manifest; /* SHA-256 over the manifest's CBOR: the payload of its envelope */
};

/* What the operator signs: the full desired set of one satellite.  What is not named stops. */
struct order {
    char satellite[NAME_CAP];
    uint64_t generation; /* rises with every order for this satellite */
    uint64_t issued_ms;
    uint64_t expires_ms; /* 0 = never: the last moment at which it may take effect */
    uint32_t n_lines;
    struct order_line line[PAYLOADS_MAX]; /* sorted by tenant, then name; no pair twice */
};

/* Where a payload stands on board; the numbers are on the wire.  Zero is the safe one. */
enum slot_state {
    SLOT_ABSENT = 0,
    SLOT_RECEIVING = 1,
    SLOT_STAGED = 2,
    SLOT_VERIFIED = 3,
    SLOT_INSTALLED = 4,
    SLOT_TRIAL = 5,
    SLOT_COMMITTED = 6,
    SLOT_REFUSED = 7,
    SLOT_FAILED = 8,
    SLOT_ROLLED_BACK = 9,
    SLOT_STATES
};

const char *slot_state_name(enum slot_state state);

struct report_payload {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    enum slot_state state; /* of the wanted version */
    uint32_t code; /* rc number of the last refusal or failure of the wanted version, 0 = none */
    bool is_running;
    struct digest wanted;      /* manifest that the order names; all zero = none */
    struct digest running;     /* manifest that runs; all zero = none */
    char version[VERSION_CAP]; /* of what runs */
    uint32_t restarts;         /* since this version started */
    uint32_t memory_kib;       /* now */
    uint32_t cpu_ms;           /* since start, wraps */
};

struct report_event {
    uint64_t seq;   /* rises by one per event over the life of the state directory */
    uint32_t code;  /* rc number */
    uint32_t count; /* the same again in a row */
    char what[64];  /* "acme/cam", "bundle", "order 7": printable ASCII */
};

/* An object that is still coming in. */
#define REPORT_TRANSFERS_MAX 16U
#define REPORT_RANGES_MAX 32U
struct report_transfer {
    struct digest object;
    uint32_t chunks;    /* in all; 0 = announced by chunks only, its descriptor is missing */
    uint32_t n_missing; /* ranges listed */
    bool more;          /* more is missing behind the last range */
    struct {
        uint32_t first, count;
    } missing[REPORT_RANGES_MAX]; /* rising, not touching */
};

/* What a satellite says of itself. */
struct report {
    char satellite[NAME_CAP];
    uint64_t epoch;   /* one higher at every start of the agent */
    uint64_t seq;     /* rises within an epoch */
    uint64_t time_ms; /* Unix time as the satellite believes it */
    uint64_t root_version;
    uint64_t generation; /* of the order in force, 0 = none */
    uint32_t n_payloads;
    uint32_t n_events;
    uint32_t n_transfers;
    uint32_t n_objects;
    struct report_payload payload[PAYLOADS_MAX];
    struct report_event event[REPORT_EVENTS_MAX]; /* newest last */
    struct report_transfer transfer[REPORT_TRANSFERS_MAX];
    struct digest
        object[PAYLOADS_MAX]; /* objects complete since the start of the agent, newest last */
};

/* Decode: the bytes of a document, without envelope, to values.  Strict: unknown keys, trailing
 * bytes, wrong types and sizes are refused, and *ret is untouched on failure.  Each decoder calls
 * its check. */
must_check enum rc root_decode(struct bytes in, struct root *ret, struct err *err);
must_check enum rc grant_decode(struct bytes in, struct grant *ret, struct err *err);
must_check enum rc manifest_decode(struct bytes in, struct manifest *ret, struct err *err);
must_check enum rc order_decode(struct bytes in, struct order *ret, struct err *err);
must_check enum rc report_decode(struct bytes in, struct report *ret, struct err *err);

/* Check: whether the values make sense together (names, thresholds, key ids, limits, sorting). Used
 * by decoders, and by the ground before it encodes what a person wrote. */
must_check enum rc root_check(const struct root *doc, struct err *err);
must_check enum rc grant_check(const struct grant *doc, struct err *err);
must_check enum rc manifest_check(const struct manifest *doc, struct err *err);
must_check enum rc order_check(const struct order *doc, struct err *err);
must_check enum rc report_check(const struct report *doc, struct err *err);

/* Encode into buf; *ret is a view of what was written.  Checks first. */
must_check enum rc root_encode(const struct root *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                               struct err *err);
must_check enum rc grant_encode(const struct grant *doc, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);
must_check enum rc manifest_encode(const struct manifest *doc, uint8_t *buf, size_t cap,
                                   struct bytes *ret, struct err *err);
must_check enum rc order_encode(const struct order *doc, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);
must_check enum rc report_encode(const struct report *doc, uint8_t *buf, size_t cap,
                                 struct bytes *ret, struct err *err);

/* Name of a type, such as "manifest"; "?" for a number that is none. */
const char *doc_type_name(enum doc_type type);

/* The type that unverified document bytes say they are: for display and for choosing a decoder on
 * the ground. On board the caller knows the type it wants.  RC_DOC_TYPE, RC_DOC_VERSION. */
must_check enum rc doc_peek_type(struct bytes payload, enum doc_type *ret, struct err *err);

/* The id of a key: SHA-256 over its record, cut to KEY_ID_SIZE. */
must_check enum rc public_key_id(const struct public_key *key, uint8_t ret[KEY_ID_SIZE],
                                 struct err *err);

/* The commitment to a key set, for root.next_keys. */
must_check enum rc key_set_digest(const struct key_set *keys, struct digest *ret, struct err *err);

/* Thresholds and distinctness of a key set: RC_THRESHOLD_INVALID, RC_KEY_DUPLICATE (two keys that
 * share an id or either half are the same key). */
must_check enum rc key_set_check(const struct key_set *keys, struct err *err);

/* Whether a payload name is one of this prefix: equal to it, or it and '-' and more; "" takes any.
 */
bool prefix_allows(const char *prefix, const char *name);

/* Whether the manifest stays inside the grant: tenant, name prefix, each limit (RC_GRANT_EXCEEDED,
 * RC_NAME_NOT_GRANTED).  Sums over several payloads are the agent's business. */
must_check enum rc grant_allows(const struct grant *grant, const struct manifest *manifest,
                                struct err *err);

#endif
