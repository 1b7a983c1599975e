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
    DOC_TOKEN = 7,
    DOC_REKEY = 8,
    DOC_DELEGATION = 9,
    DOC_AUDIT = 10,    /* of the ground's own log (manifest/audit); nothing on board takes one */
    DOC_BRIEF = 11,    /* instead of a report (manifest/brief) */
    DOC_APPROVAL = 12, /* of a rollout (manifest/approval); nothing on board takes one */
    DOC_APPROVER = 13, /* who may approve; the same */
};

#define DOC_FORMAT 1U /* version of the format of every type */

struct digest {
    uint8_t b[DIGEST_SIZE];
};

/* Beside a struct digest where keys of suite 2 vouch (CNSA 2.0 knows no SHA-256): both must match.
 * All zero = there is none. */
struct digest384 {
    uint8_t b[DIGEST384_SIZE];
};

/* All zero stands for "none". */
bool digest_is_none(const struct digest *digest);
bool digest384_is_none(const struct digest384 *digest);

static inline bool digest_same(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

struct mission {
    uint8_t b[MISSION_SIZE];
};

/* Signature suites.  A key record names its suite; a signature never chooses.  What each consists
 * of is a row of the table in manifest/suite. */
enum suite {
    SUITE_ED25519_MLDSA65 = 1, /* COSE -19 and -49 (RFC 9864, RFC 9964); both halves must verify */
    SUITE_MLDSA87 = 2,         /* COSE -50 (RFC 9964), digests SHA-384: CNSA 2.0 */
};

#define PUBLIC_KEY_MAX 2592U /* the halves of the largest suite, one after the other */

/* A public key as a root or grant lists it.  Its id is the first KEY_ID_SIZE bytes of SHA-256 over
 * its CBOR record [suite, half, ...], so one key has one id.  public_half (manifest/suite) finds
 * the halves; what they do not fill is zero. */
struct public_key {
    uint8_t id[KEY_ID_SIZE];
    enum suite suite;
    uint8_t halves[PUBLIC_KEY_MAX];
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
    struct digest next_keys; /* SHA-256 over the next root's key set record: pre-rotation */
    struct digest384
        next_keys384;           /* the same in SHA-384; must be there if a root key is of suite 2 */
    uint64_t operator_since_ms; /* Unix time, at most issued_ms: the operator role began anew here,
                                   grants and orders issued before it are void; 0 = never yet */
    struct key_set safety_keys; /* co-signers of what activates orders, where a grant asks for it;
                                   n = 0: there is no such role; no key of the operator's in it */
};

/* What one payload may use.  The first six are hard limits of every payload; the rest may be zero,
 * which means what the comment says.  In a grant or a delegation the same struct is the bound: of
 * the sum over what runs, or, where it says "each", of every payload alone (manifest/resources). */
struct resources {
    uint64_t memory_bytes;
    uint64_t data_bytes;   /* /data, persistent; 0 = no /data */
    uint64_t tmp_bytes;    /* /tmp, counted as memory too; at most half of memory_bytes */
    uint32_t cpu_permille; /* 1000 = one core */
    uint32_t pids;
    uint32_t open_files;
    uint32_t cpu_weight;        /* each; against its neighbours, 1 to 10000; 0 = 100 */
    uint32_t io_weight;         /* each; 1 to 1000; 0 = 100 */
    uint32_t run_s_orbit;       /* each; seconds of running per orbit; 0 = no limit */
    uint32_t data_files;        /* each; files of /data; 0 = from the size */
    uint32_t tmp_files;         /* each; files of /tmp; 0 = from the size */
    uint64_t memory_high_bytes; /* each; from here on it is slowed down; 0 = none */
    uint64_t io_read_bps;       /* bytes a second; 0 = no limit */
    uint64_t io_write_bps;
    uint64_t file_bytes;       /* each; of one file; 0 = no limit */
    uint64_t shm_bytes;        /* /dev/shm, counted as memory too; 0 = no /dev/shm */
    uint64_t log_bytes_hour;   /* each; of what it prints; 0 = LOG_BYTES_HOUR */
    uint64_t inbox_bytes;      /* 0 = no /inbox */
    uint64_t outbox_bytes;     /* 0 = no /outbox */
    uint64_t outbox_bytes_day; /* what goes down of it; 0 = outbox_bytes */
    uint64_t core_bytes;       /* each; 0 = no core dumps */
    uint64_t logs_bytes_day;  /* of what it prints, that goes down; 0 = none unasked (agent/logs) */
    uint64_t logs_bytes_pass; /* each; ... in one pass; 0 = no bound of its own */
};

#define LOG_BYTES_HOUR (1024ULL * 1024U)
#define WEIGHT_DEFAULT 100U

/* Which system calls a payload may make beyond `compute`, the profile that everybody has; bits on
 * the wire. */
enum calls {
    CALLS_NET = 1,
    CALLS_DEVICE = 2,
    CALLS_POSIX_LEGACY = 4,
    CALLS_ALL = 7,
};

/* Numbers on the wire. */
enum network {
    NETWORK_NONE = 0,
    NETWORK_LOOPBACK = 1,
    NETWORK_PRIVATE = 2, /* between the payloads of the tenant */
    NETWORK_HOST = 3,    /* one interface of the machine's, moved in */
    NETWORKS
};

/* When a payload may run; bits on the wire. */
enum mode {
    MODE_NOMINAL = 1,
    MODE_SAFE = 2,
    MODES_ALL = 3,
};

enum isolation { ISOLATION_PROCESS = 0, ISOLATION_VM = 1, ISOLATIONS };

enum image_type {
    IMAGE_ELF = 0,
    IMAGE_SOLO5 = 1, /* a unikernel: only with ISOLATION_VM */
    IMAGE_TYPES
};

#define INTERFACE_MAX_LEN 15U /* IFNAMSIZ without its terminator */
#define MANIFEST_DEVICES_MAX 8U
#define MANIFEST_PEERS_MAX 8U
#define MANIFEST_AFTER_MAX 4U
#define ALLOWANCE_DEVICES_MAX 16U
#define ALLOWANCE_INTERFACES_MAX 4U

/* What the manifests of a tenant or a team may ask for beside amounts.  All zero: nothing but
 * computing, in nominal mode, without a network. */
struct allowance {
    uint32_t calls;    /* of enum calls */
    uint32_t networks; /* 1U << enum network; NETWORK_NONE is always allowed and never here */
    uint32_t modes;    /* of enum mode; MODE_NOMINAL is always allowed and never here */
    bool inner_root;
    bool vm;
    bool peers;       /* messages to other payloads of the tenant */
    uint64_t net_bps; /* bound of each, bytes a second; 0 = none */
    uint32_t n_interfaces;
    uint32_t n_devices;
    char interface[ALLOWANCE_INTERFACES_MAX][NAME_CAP];
    char device[ALLOWANCE_DEVICES_MAX][NAME_CAP];
};

/* The agent's own programs travel as this payload of this tenant, whose grant must say so.  They
 * are never run in a sandbox. */
#define AGENT_TENANT "berth"
#define AGENT_NAME "agent"

bool is_agent_name(const char *tenant, const char *name);

/* What a tenant may have in all, and who signs for it. */
struct grant {
    char tenant[NAME_CAP];
    uint64_t epoch; /* rises with every grant for this tenant */
    uint64_t issued_ms;
    uint64_t expires_ms; /* 0 = never */
    struct key_set keys;
    char prefix[NAME_CAP];   /* payload names: equal to it, or starting with it and '-'; "" = any */
    struct resources total;  /* sums over the tenant's running payloads */
    uint64_t store_bytes;    /* packages and slots on board */
    uint32_t payloads_max;   /* running at once */
    bool needs_safety;       /* what puts an order with lines of this tenant into force needs the
                                safety role's threshold too */
    bool agent;              /* the payload named AGENT_NAME may be the agent itself; only for the
                                tenant AGENT_TENANT */
    uint64_t teams_since_ms; /* at most issued_ms: what was delegated to teams before is void, and
                                their epochs are forgotten; 0 = never yet */
    struct allowance may;    /* what else they may ask for */
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

/* How a payload lives; numbers on the wire. */
enum payload_kind {
    KIND_SERVICE = 0,   /* runs for ever */
    KIND_ONESHOT = 1,   /* runs until it exits with 0, and never again */
    KIND_SCHEDULED = 2, /* starts when its schedule says so, until it exits */
    KINDS
};

/* When a scheduled payload starts: at each of these. */
struct schedule {
    uint32_t every_s;     /* 0 = not by time */
    bool at_aos;          /* when a pass begins */
    bool at_los;          /* when it has ended */
    char event[NAME_CAP]; /* of the orbit, by name; "" = none */
};

enum restart_policy {
    RESTART_ALWAYS = 0,
    RESTART_ON_FAILURE = 1, /* not after exit code 0 */
    RESTART_NEVER = 2,
    RESTART_POLICIES
};

/* What follows when a payload ends.  All zero: always, after 1 s and up to 60 s, without end. */
#define RESTART_BUDGET_MAX 32U
struct restart {
    enum restart_policy policy;
    uint32_t backoff_ms;     /* before the first; doubles; 0 = 1 s */
    uint32_t backoff_max_ms; /* 0 = 60 s, or backoff_ms if that is more */
    uint32_t budget;         /* most restarts in window_s, then it has failed; 0 = no such limit */
    uint32_t window_s;       /* 0 exactly if budget is */
};

/* What a tenant signs, or one of its teams: what the payload is. */
struct manifest {
    char tenant[NAME_CAP];
    char team[TEAM_CAP]; /* whose keys sign it (manifest/delegation); "" = the tenant's own */
    char name[NAME_CAP];
    char version[VERSION_CAP];
    uint64_t release; /* number of this release, rises; compared with floors, never shown as the
                         version */
    uint64_t floor;   /* lowest release that may still run once this one has been committed */
    struct digest content; /* SHA-256 of the compressed archive */
    struct digest384
        content384;          /* the same in SHA-384; must be there if a tenant key is of suite 2 */
    uint64_t content_bytes;  /* of the compressed archive */
    uint64_t unpacked_bytes; /* sum of file sizes */
    uint32_t files;          /* entries in the archive */
    struct digest index;     /* of the index of its files (update/index); all zero = none */
    struct digest384 index384; /* the same in SHA-384; only with index, and must be there if a
                                  tenant key is of suite 2 */
    struct digest sbom;        /* of the SPDX bill of materials; all zero = none.  For people ... */
    struct digest provenance;  /* ... and of how it was built; nothing on board rests on either */
    char arch[16];             /* "x86_64", "aarch64" or "any" */
    uint32_t n_args;
    uint32_t n_env;
    char args[PAYLOAD_ARGS_MAX]
             [PAYLOAD_ARG_CAP];                 /* args[0] is an absolute path inside the package */
    char env[PAYLOAD_ENV_MAX][PAYLOAD_ARG_CAP]; /* "NAME=value" */
    struct resources limits;
    struct health health;
    bool snapshot; /* /data as it was before the trial comes back if this version does not commit;
                      wants data_bytes */

    /* What it asks for beside amounts: an allowance must have each. */
    uint32_t calls; /* of enum calls */
    enum network network;
    char interface[NAME_CAP]; /* of the machine; with NETWORK_HOST only, and then needed */
    uint64_t net_bps;         /* bytes a second; 0 = no limit */
    uint32_t n_devices;
    char device[MANIFEST_DEVICES_MAX][NAME_CAP]; /* names that the integrator maps to nodes */
    bool inner_root;                             /* it runs as uid 0 of its own range */
    enum isolation isolation;
    enum image_type image;
    uint32_t n_peers;
    char peer[MANIFEST_PEERS_MAX][NAME_CAP]; /* payloads of the tenant that it may write to */

    /* How it lives. */
    enum payload_kind kind;
    struct schedule schedule; /* of KIND_SCHEDULED only */
    struct restart restart;
    uint32_t n_after;
    char after[MANIFEST_AFTER_MAX][NAME_CAP]; /* payloads of the tenant that are ready first */
    uint32_t modes;                           /* of enum mode; 0 = MODE_NOMINAL */
    bool freeze; /* outside of its modes it is frozen, not stopped; a service only */

    bool sealed; /* mail that is not sealed between the two ends is refused both ways (link/mail);
                    wants inbox_bytes or outbox_bytes.  It asks for nothing: no grant has it */
};

/* The modes of a manifest, with the default filled in. */
static inline uint32_t manifest_modes(const struct manifest *m)
{
    return m->modes != 0 ? m->modes : (uint32_t)MODE_NOMINAL;
}

/* One line of an order. */
struct order_line {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    struct digest manifest; /* SHA-256 over the manifest's CBOR: the payload of its envelope */
    struct digest384 manifest384; /* the same in SHA-384; must be there if an operator key is of
                                     suite 2 */
};

/* How far the ground's audit log had come (manifest/audit): number and SHA-256 of a record. */
struct witness {
    uint64_t seq; /* 0 = none */
    struct digest head;
};

/* What the operator signs: the full desired set of one satellite.  What is not named stops. */
struct order {
    char satellite[NAME_CAP];
    uint64_t generation; /* rises with every order for this satellite */
    uint64_t issued_ms;
    uint64_t expires_ms;    /* 0 = never: the last moment at which it may take effect */
    bool staged;            /* takes no effect until a token names it */
    struct witness witness; /* for the satellite to keep; only for one that says it does */
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

#define REPORT_RECEIPT_SIZE 8U
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
    /* The first bytes of the digest of what the kernel says of its confinement (sandbox/receipt):
     * the same at every start of a manifest on a satellite, under the same walls and agent.  All
     * zero = not said. */
    uint8_t receipt[REPORT_RECEIPT_SIZE];
};

/* What is lost for as long as reports say so; the bits are on the wire. */
enum report_lost {
    LOST_ROOT = 1,  /* safe mode: the trust root; `root_version` is the one that is needed again */
    LOST_GRANT = 2, /* at least one grant: its tenant is in safe mode */
    LOST_STATE = 4, /* the agent's own state */
    LOST_TEAM = 8,  /* at least one delegation: its team is in safe mode */
    LOST_ALL = 15,
};

struct report_event {
    uint64_t seq;   /* rises by one per event over the life of the state directory */
    uint32_t code;  /* rc number */
    uint32_t count; /* the same again in a row */
    char what[64];  /* "acme/cam", "bundle", "order 7": printable ASCII */
};

/* An object that is still coming in. */
#define REPORT_TRANSFERS_MAX 16U
#define REPORT_RANGES_MAX 192U
struct report_transfer {
    struct digest object;
    uint32_t chunks;    /* in all; 0 = announced by chunks only, its descriptor is missing */
    uint32_t n_missing; /* ranges listed */
    bool more;          /* more is missing behind the last range */
    struct {
        uint32_t first, count;
    } missing[REPORT_RANGES_MAX]; /* rising, not touching */
};

/* Which keys a satellite holds, told apart by epoch and id.  All zero: as provisioned. */
#define REPORT_LINKS_MAX 32U
#define REPORT_KEM_PUBLIC_SIZE 1216U /* base/kem */
struct report_link {
    uint32_t peer;         /* node number, not 0 */
    char tenant[NAME_CAP]; /* "" = the platform's own link */
    uint32_t epoch;        /* of the newest key held; from 1 */
};

struct report_keys {
    uint64_t rekey;                 /* number of the newest rekey taken, 0 = none */
    uint32_t master_epoch;          /* of the newest master wrapping key held, 0 = none */
    uint8_t master_id[KEY_ID_SIZE]; /* if master_epoch is not 0 */
    bool has_kem;
    bool has_kem_public;         /* told now and then until a rekey for it was opened */
    uint8_t kem_id[KEY_ID_SIZE]; /* of the newest pair, which the next rekey should be for */
    uint8_t kem_public[REPORT_KEM_PUBLIC_SIZE];
    uint32_t n_links;
    struct report_link link[REPORT_LINKS_MAX]; /* sorted by peer, then tenant; the platform's own
                                                  link only if its epoch is not 1 */
};

/* Which agent speaks.  An empty version: not said. */
struct report_agent {
    char version[VERSION_CAP];
    struct digest running; /* manifest of its package; all zero = the programs that were there at
                              launch */
    bool trial;            /* it has not been committed */
    struct digest failed;  /* the one that was tried last without success; all zero = none */
    uint32_t code;         /* and why, rc number */
};

/* What reading everything again has found since the start of the agent (agent/scrub).  All zero:
 * nothing was read yet. */
#define REPORT_WANTED_MAX 8U
struct report_scrub {
    uint32_t rounds;   /* that ended */
    uint32_t age_s;    /* since the last one ended; 0 without one */
    uint32_t files;    /* read */
    uint32_t kib;      /* read */
    uint32_t damaged;  /* files among them; copies of state files count one by one */
    uint32_t repaired; /* of those, on board */
    uint32_t asked;    /* times that the ground was asked for something again */
    uint32_t n_wanted;
    struct digest wanted[REPORT_WANTED_MAX]; /* manifests whose package is needed again: the slot or
                                                the package that is kept for it is damaged */
};

/* What went over a link in some time, bytes of whole bundles. */
struct report_bytes {
    uint64_t in;       /* of files met on board */
    uint64_t useful;   /* of them: brought what was not there */
    uint64_t repeated; /* of them: authentic, and brought nothing new; the rest of in was refused */
    uint64_t out;      /* of files for the downlink */
};

/* What the link has cost and brought since the start of berth-link.  All zero: nothing came. */
struct report_traffic {
    uint64_t contacts;
    struct report_bytes contact; /* since the last one began */
    struct report_bytes all;
    uint64_t key_epoch; /* of the link's own key in use, 0 = not said */
    uint64_t highest;   /* counter that came under it */
    uint64_t accepted;  /* counters that did, since the start */
};

/* A tenant of which objects found no room in the link's spool, since the start of berth-link. */
#define REPORT_SPOOL_MAX (TENANTS_MAX + 1U)
enum report_spool_count {
    SPOOL_REFUSED_ROOM, /* messages refused: no room in the spool */
    SPOOL_REFUSED_DISK, /* messages refused: the disk is nearly full */
    SPOOL_DROPPED_OLD,  /* objects dropped: had not moved for long */
    SPOOL_DROPPED_ROOM, /* objects dropped: made room for a tenant within its share */
    SPOOL_COUNTS
};
struct report_spool {
    char tenant[NAME_CAP]; /* "" = what is nobody's in particular */
    uint32_t objects, kib; /* there now */
    uint32_t count[SPOOL_COUNTS];
};

/* What takes room on board. */
enum report_use {
    USE_SLOTS,     /* installed versions */
    USE_STAGING,   /* what is being unpacked, as declared */
    USE_KEPT,      /* packages kept for repairs */
    USE_WAITING,   /* packages that wait and say they are the tenant's: in nobody's account */
    USE_SNAPSHOTS, /* of data, for trials */
    USE_DATA,      /* images of /data */
    USE_KINDS
};

/* What one tenant takes, in KiB rounded up and in inodes; UINT32_MAX = that or more. */
struct report_usage {
    char tenant[NAME_CAP];
    uint32_t store_kib; /* that it may have, of all but what waits and data */
    struct {
        uint32_t kib, files;
    } use[USE_KINDS];
};

/* Name of a kind, such as "slots"; "?" for a number that is none. */
const char *report_use_name(enum report_use use);

/* System calls that were refused to one payload since the start of the agent. */
#define REPORT_DENIED_MAX 16U
#define REPORT_DENIED_CALLS 4U
struct report_denied {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    uint32_t total; /* of all calls; UINT32_MAX = that or more */
    uint32_t n;     /* 1 to REPORT_DENIED_CALLS: the most frequent first */
    struct {
        char name[NAME_CAP]; /* as the kernel calls it */
        uint32_t count;
    } call[REPORT_DENIED_CALLS];
};

/* Which walls stand around every payload, as masks by their numbers (base/walls.def).  All zero:
 * not said. */
struct report_walls {
    uint64_t standing;
    uint64_t missing;  /* nothing in common with standing */
    uint64_t waived;   /* of missing: the integrator does without */
    uint32_t landlock; /* version of its interface, 0 = none */
    uint32_t cgroup;   /* version of the controllers: 1 or 2; 0 = none */
};

/* What a satellite says of itself. */
struct report {
    char satellite[NAME_CAP];
    uint64_t epoch;   /* one higher at every start of the agent */
    uint64_t seq;     /* rises within an epoch */
    uint64_t time_ms; /* Unix time as the satellite believes it */
    uint64_t root_version;
    uint64_t generation; /* of the order in force, 0 = none */
    uint64_t staged;     /* generation of the order that waits for its token, 0 = none */
    uint32_t n_payloads;
    uint32_t n_events;
    uint32_t n_transfers;
    uint32_t n_objects;
    struct report_payload payload[PAYLOADS_MAX];
    struct report_event event[REPORT_EVENTS_MAX]; /* newest last */
    struct report_transfer transfer[REPORT_TRANSFERS_MAX];
    struct digest
        object[PAYLOADS_MAX]; /* objects complete since the start of the agent, newest last */
    struct report_keys keys;
    uint32_t lost;            /* enum report_lost, 0 = all is there */
    uint32_t passes_order;    /* contacts since a new order was taken */
    uint32_t passes_document; /* contacts since any new document was taken; at most passes_order */
    struct report_agent agent;
    struct report_scrub scrub;
    struct report_traffic traffic;
    uint32_t n_usage;
    struct report_usage usage[TENANTS_MAX]; /* sorted by tenant; none before it was looked at */
    uint32_t n_spool;
    struct report_spool spool[REPORT_SPOOL_MAX]; /* sorted by tenant; each has some count */
    uint32_t denied_missed; /* times that the kernel had more refusals to tell than was read */
    uint32_t n_denied;
    struct report_denied denied[REPORT_DENIED_MAX]; /* sorted by tenant, then name */
    struct report_walls walls;
    bool keeps_witness;     /* agents from before orders could bring one do not */
    struct witness witness; /* the furthest that an order has brought; only with keeps_witness */
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

/* The commitment to a key set, for root.next_keys, and its companion (NULL = not wanted). */
must_check enum rc key_set_digest(const struct key_set *keys, struct digest *ret,
                                  struct digest384 *ret384, struct err *err);

/* Commit a root to the keys that come next; with the companion where keys of either set ask for it.
 */
must_check enum rc root_commit(struct root *root, const struct key_set *next, struct err *err);

/* Thresholds and distinctness of a key set: RC_THRESHOLD_INVALID, RC_KEY_DUPLICATE (two keys that
 * share an id or any half are the same key). */
must_check enum rc key_set_check(const struct key_set *keys, struct err *err);

/* Whether a payload name is one of this prefix: equal to it, or it and '-' and more; "" takes any.
 */
bool prefix_allows(const char *prefix, const char *name);

/* Sums of what several payloads may use.  sum starts as all zero; what is bounded for each payload
 * alone it holds as the most that one has, and defaults are filled in. */
void resources_add(struct resources *sum, const struct resources *more);

/* Whether a sum stays inside a bound. */
bool resources_within(const struct resources *sum, const struct resources *total);

/* The first resource of which one payload, or one who may pass resources on, wants more than the
 * other may have, by its name in files that people write; NULL if there is none.  Zero that stands
 * for "no limit" is more than any limit. */
const char *resources_beyond(const struct resources *want, const struct resources *may);

/* Whether all are zero. */
bool resources_none(const struct resources *r);

/* Whether the bounds of single values hold (RC_VALUE); field is how errors call it. */
must_check enum rc resources_check(const struct resources *r, const char *field, struct err *err);

/* How many files fit where the limit is "from the size". */
uint32_t resources_data_files(const struct resources *r);
uint32_t resources_tmp_files(const struct resources *r);

/* The first thing that a manifest asks for and an allowance does not have; NULL if there is none.
 * allowance_beyond_other: that an allowance has and the other has not. */
const char *allowance_beyond(const struct manifest *want, const struct allowance *may);
const char *allowance_beyond_other(const struct allowance *want, const struct allowance *may);
bool allowance_none(const struct allowance *may);

/* The least that a manifest needs. */
struct allowance allowance_of(const struct manifest *want);

/* A grant that has exactly what a manifest asks for: where nobody has given one. */
void grant_as_asked(const struct manifest *want, struct grant *ret);
must_check enum rc allowance_check(const struct allowance *may, const char *field, struct err *err);

/* Whether the manifest stays inside the grant: tenant, name prefix, each limit, and all else that
 * it asks for (RC_GRANT_EXCEEDED with the name of the field, RC_NAME_NOT_GRANTED).  Sums over
 * several payloads are the agent's business. */
must_check enum rc grant_allows(const struct grant *grant, const struct manifest *manifest,
                                struct err *err);

#endif
