/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store: everything the ground remembers, in one SQLite file that the berth command
 * and the berth-ground daemon share (WAL, busy timeout, STRICT tables, prepared statements only),
 * or in a PostgreSQL database that several of them share, also on several machines.
 *
 * The one door to the database.  Rows are plain values of fixed size; lists come as one array that
 * the caller frees (scoped(free_ptr)).  Times are Unix milliseconds and always an argument.
 * Envelopes are kept as the exact bytes that were signed; nobody believes them because they are
 * here, they are verified again where they are used.  Every change that a person asks for is an
 * entry of the hash-chained audit log, written in the same transaction.
 *
 * Failures are RC_STORE with the database's words, RC_NOT_FOUND, RC_EXISTS, and RC_BUSY when the
 * other program held the lock for too long.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_H
#define BERTH_ORCHESTRATOR_STORE_H

#include "manifest/audit.h"
#include "manifest/doc.h"
#include "orchestrator/audit.h"
#include "orchestrator/rollout.h"

#define STORE_PATH_CAP 1024U
#define STORE_LABELS_CAP 256U
#define STORE_TEXT_CAP 160U

struct store;

/* Open (and with create, make) the store: where is the path of a file, or how to connect to a
 * database: "postgresql://..." or "postgresql:" and keywords (PostgreSQL, libpq, connection
 * strings).  One of a schema before is brought up to date, in one transaction; any other schema
 * number is RC_STORE.  No error repeats a connection string. */
must_check enum rc store_open(const char *where, bool create, struct store **ret, struct err *err);
/* Whether that says how to connect, and is not the path of a file. */
bool store_is_remote(const char *where);
/* How the words of an RC_STORE begin that comes from such a database. */
#define STORE_REMOTE "store (PostgreSQL): "
void store_close(struct store **store); /* scope cleaner */

/* A transaction, IMMEDIATE.  The scope cleaner rolls back what was not committed:
 *     scoped(store_rollback) struct store *open = NULL;
 *     rc = store_begin(store, &open, err); ... rc = store_commit(&open, err);
 * Calls outside of one are each their own transaction.  They do not nest. */
must_check enum rc store_begin(struct store *store, struct store **ret_open, struct err *err);
/* The same for reading only: what is read until store_rollback is of one moment, whatever others
 * write meanwhile.  Within a transaction it does nothing, and *ret_open stays NULL. */
must_check enum rc store_begin_read(struct store *store, struct store **ret_open, struct err *err);
must_check enum rc store_commit(struct store **open, struct err *err);
void store_rollback(struct store **open);

/* Begin a transaction unless one is open: for what may be called inside of one, too.  Then
 * *ret_open is NULL, and store_commit and store_rollback do nothing: the caller's transaction is
 * used. */
must_check enum rc store_join(struct store *store, struct store **ret_open, struct err *err);

/* A part of a transaction that can be undone by itself, so that one of many that fails leaves the
 * others alone:
 *     scoped(store_undo) struct store *mark = NULL;
 *     rc = store_mark(store, &mark, err); ... rc = store_pass_mark(&mark, err);
 * Only within a transaction, and not within another such part. */
must_check enum rc store_mark(struct store *store, struct store **ret_mark, struct err *err);
must_check enum rc store_pass_mark(struct store **mark, struct err *err);
void store_undo(struct store **mark);

/* A number that differs from the last call's when another connection changed the file since. */
must_check enum rc store_watch(struct store *store, uint64_t *ret, struct err *err);

/* ---- the lease: which of several reconcilers works on the fleet ---- */

#define STORE_HOLDER_CAP 256U
struct store_lease {
    char holder[STORE_HOLDER_CAP];
    uint64_t fence; /* rises with each holder */
    uint64_t expires_ms;
};

/* Take the lease for so long, or hold it on.  RC_BUSY while it is another holder's, whom the error
 * names; one of the same name takes it over at once.  From then on every transaction of this store
 * that writes is refused, RC_FENCED, once somebody else has taken it.  now_ms is the database's
 * clock where it has one (PostgreSQL), else the argument.  Not within a transaction. */
must_check enum rc store_take_lease(struct store *store, const char *holder, uint64_t now_ms,
                                    uint64_t for_ms, struct err *err);
/* Let go of it, if it is still this store's. */
must_check enum rc store_drop_lease(struct store *store, struct err *err);
/* Who has it, also when it is over; RC_NOT_FOUND, without words, if nobody ever had it. */
must_check enum rc store_lease(struct store *store, struct store_lease *ret, struct err *err);

/* ---- requests that may come again (orchestrator/api_once) ---- */

#define STORE_ONCE_KEY_CAP 65U
#define STORE_ONCE_TYPE_CAP 64U
struct store_once {
    struct digest token; /* SHA-256 of the secret of whoever asked */
    char key[STORE_ONCE_KEY_CAP];
    struct digest request; /* what was asked */
    uint64_t at_ms;
    uint32_t status; /* of the answer; 0 = there is none yet */
    char type[STORE_ONCE_TYPE_CAP];
};

/* How long such rows are kept, how many of a token and in all, and how large an answer may be. */
struct store_once_limits {
    uint64_t ms;
    uint32_t each, all;
    size_t text;
};

/* Put the row in, without an answer, unless there is one of its token and key: then *ret_first is
 * false, *ret_before that one and *ret_text its answer, which the caller frees.  Those that are too
 * old, or one too many, go.  One transaction. */
must_check enum rc store_once_begin(struct store *store, const struct store_once *row,
                                    const struct store_once_limits *limits, bool *ret_first,
                                    struct store_once *ret_before, uint8_t **ret_text,
                                    size_t *ret_n, struct err *err);

/* Give it its status, type and answer; one that has gone meanwhile is RC_OK. */
must_check enum rc store_once_end(struct store *store, const struct store_once *row,
                                  struct bytes text, struct err *err);

/* ---- settings: "fleet" (name), "operator-key" (path), "fleet-file" (path) ---- */

must_check enum rc store_set(struct store *store, const char *key, const char *value,
                             struct err *err);
must_check enum rc store_get(struct store *store, const char *key, char *out, size_t cap,
                             struct err *err); /* RC_NOT_FOUND */

/* Those whose keys begin with the prefix, by key. */
struct store_setting {
    char key[128];
    char value[STORE_PATH_CAP];
};
must_check enum rc store_settings(struct store *store, const char *prefix,
                                  struct store_setting **ret, size_t *ret_n, struct err *err);

/* Forget one; none is fine. */
must_check enum rc store_unset(struct store *store, const char *key, struct err *err);

/* ---- satellites ---- */

struct store_satellite {
    char id[NAME_CAP];
    uint64_t node;                  /* ipn node number */
    char up[STORE_PATH_CAP];        /* directory into which the ground puts bundle files */
    char down[STORE_PATH_CAP];      /* directory from which it takes them */
    char link_keys[STORE_PATH_CAP]; /* directory of the ground's copy of the link keys */
    char labels[STORE_LABELS_CAP];  /* "k=v,k=v", sorted by key */
    uint64_t added_ms;
};

/* Add or replace; a node number in use by another satellite is RC_EXISTS. */
must_check enum rc store_put_satellite(struct store *store, const struct store_satellite *row,
                                       struct err *err);
must_check enum rc store_satellite(struct store *store, const char *id, struct store_satellite *ret,
                                   struct err *err); /* NO_SATELLITE */
must_check enum rc store_satellites(struct store *store, struct store_satellite **ret,
                                    size_t *ret_n, struct err *err); /* by id */

/* ---- trust documents: roots and grants as signed ---- */

/* name: "root", or the tenant.  version: root version or grant epoch.  The same version with other
 * bytes is RC_EQUIVOCATION. */
must_check enum rc store_put_document(struct store *store, enum doc_type type, const char *name,
                                      uint64_t version, struct bytes envelope, uint64_t now_ms,
                                      struct err *err);
/* The newest version; the caller frees *ret. */
must_check enum rc store_document(struct store *store, enum doc_type type, const char *name,
                                  uint8_t **ret, size_t *ret_n, struct err *err);
/* One version; RC_NOT_FOUND.  The caller frees *ret. */
must_check enum rc store_document_version(struct store *store, enum doc_type type, const char *name,
                                          uint64_t version, uint8_t **ret, size_t *ret_n,
                                          struct err *err);
/* Names that have a document of the type, in order. */
struct store_name {
    char name[SIGNER_CAP]; /* "tenant/team" of a delegation */
    uint64_t version;
};
must_check enum rc store_documents(struct store *store, enum doc_type type, struct store_name **ret,
                                   size_t *ret_n, struct err *err);

/* Every root, grant, revocation and delegation, in the order in which they were put. */
struct store_entry {
    enum doc_type type;
    char name[SIGNER_CAP];
    uint64_t version;
    uint64_t added_ms;
};
must_check enum rc store_history(struct store *store, struct store_entry **ret, size_t *ret_n,
                                 struct err *err);

/* ---- packages ---- */

struct store_package {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char version[VERSION_CAP];
    uint64_t release;
    struct digest manifest;    /* what orders and reports name */
    struct digest object;      /* SHA-256 of the whole .berth file: what the link transfers */
    uint64_t size;             /* of the .berth file */
    char path[STORE_PATH_CAP]; /* relative to the home: "objects/HEX" */
    uint64_t pushed_ms;
};

/* The same tenant, name and version with another manifest is RC_EQUIVOCATION; with the same, RC_OK.
 */
must_check enum rc store_put_package(struct store *store, const struct store_package *row,
                                     struct err *err);
must_check enum rc store_package(struct store *store, const char *tenant, const char *name,
                                 const char *version, struct store_package *ret,
                                 struct err *err); /* NO_PACKAGE */
must_check enum rc store_package_by_manifest(struct store *store, const struct digest *manifest,
                                             struct store_package *ret, struct err *err);
must_check enum rc store_packages(struct store *store, struct store_package **ret, size_t *ret_n,
                                  struct err *err);

/* ---- orders: signed, one chain of generations per satellite ---- */

enum order_state {
    ORDER_HELD = 1,       /* signed, not to be sent yet */
    ORDER_RELEASED = 2,   /* may be sent */
    ORDER_ACKED = 3,      /* a report names its generation as in force */
    ORDER_SUPERSEDED = 4, /* a newer one was made before this was acked */
    ORDER_CANCELLED = 5,  /* its rollout was aborted before it was released */
};

struct store_order {
    char satellite[NAME_CAP];
    uint64_t generation;
    enum order_state state;
    struct digest payload; /* SHA-256 of the order's CBOR */
    struct digest object;  /* SHA-256 of the envelope: what the link transfers */
    uint64_t rollout;      /* 0 = none */
    uint32_t wave;
    uint64_t created_ms;
    uint64_t changed_ms;
};

/* A generation that exists, or is not above the newest, is RC_ORDER_OLD. */
must_check enum rc store_add_order(struct store *store, const struct store_order *row,
                                   struct bytes envelope, struct err *err);
must_check enum rc store_set_order_state(struct store *store, const char *satellite,
                                         uint64_t generation, enum order_state state,
                                         uint64_t now_ms, struct err *err);
/* The operator's keys have changed: put another envelope of the same generation in place of the
 * one held.  Of row, satellite, generation, state, payload, object and changed_ms are taken. */
must_check enum rc store_resign_order(struct store *store, const struct store_order *row,
                                      struct bytes envelope, struct err *err);
/* The newest of any state; RC_NOT_FOUND if none. */
must_check enum rc store_newest_order(struct store *store, const char *satellite,
                                      struct store_order *ret, struct err *err);
/* Orders of a state (0 = any) and satellite (NULL = any) and rollout (0 = any), by satellite and
 * generation. */
struct store_order_filter {
    const char *satellite;
    enum order_state state;
    uint64_t rollout;
};
must_check enum rc store_orders(struct store *store, const struct store_order_filter *filter,
                                struct store_order **ret, size_t *ret_n, struct err *err);
/* The signed bytes; the caller frees *ret. */
must_check enum rc store_order_envelope(struct store *store, const char *satellite,
                                        uint64_t generation, uint8_t **ret, size_t *ret_n,
                                        struct err *err);

/* ---- tokens: what puts staged orders into force; held like the orders of other rollouts ---- */

struct store_token {
    char satellite[NAME_CAP];
    uint64_t generation;  /* of the order */
    struct digest object; /* SHA-256 of the envelope, which lies in objects/ */
    uint64_t size;
    uint64_t expires_ms;
};

/* Put it in place of one that there may be. */
must_check enum rc store_put_token(struct store *store, const struct store_token *row,
                                   struct err *err);
/* RC_NOT_FOUND: the order is not staged. */
must_check enum rc store_token(struct store *store, const char *satellite, uint64_t generation,
                               struct store_token *ret, struct err *err);
must_check enum rc store_drop_token(struct store *store, const char *satellite, uint64_t generation,
                                    struct err *err);

/* ---- outgoing: objects on their way to satellites ---- */

enum outgoing_state {
    OUTGOING_QUEUED = 1,
    OUTGOING_COMPLETE = 2,  /* a report says that the satellite has it */
    OUTGOING_CANCELLED = 3, /* no longer wanted */
};

/* Order in which a pass is filled. */
enum outgoing_class { CLASS_TRUST = 0, CLASS_ORDER = 1, CLASS_PACKAGE = 2, CLASS_RAW = 3 };

struct store_outgoing {
    uint64_t id; /* rises in the order of queueing */
    char satellite[NAME_CAP];
    struct digest object;
    uint32_t kind; /* enum of link/port.h: 1 root, 2 grant, 3 order, 4 package */
    enum outgoing_class class;
    enum outgoing_state state;
    uint64_t size;
    char path[STORE_PATH_CAP]; /* relative to the home */
    uint64_t sent_bytes;       /* bundle bytes written for it so far */
    uint64_t sent_ms;          /* when last; 0 = never */
    uint64_t queued_ms;
};

/* Queue an object; one that is queued or complete for that satellite already stays as it is, unless
 * again is set or it was cancelled: then it starts anew.  id, state and sent_* are set here. */
must_check enum rc store_queue(struct store *store, const struct store_outgoing *row, bool again,
                               struct err *err);
/* Write back state and sent_*. */
must_check enum rc store_update_outgoing(struct store *store, const struct store_outgoing *row,
                                         struct err *err);
/* satellite NULL = any, state 0 = any; by satellite, class, id. */
must_check enum rc store_outgoing(struct store *store, const char *satellite,
                                  enum outgoing_state state, struct store_outgoing **ret,
                                  size_t *ret_n, struct err *err);

/* What of the store a report of a satellite may have to do with, asked at once: for most there is
 * nothing. */
struct store_pending {
    bool queued;           /* something is queued for it */
    bool rides;            /* store_delta_rides has rows */
    bool released;         /* it has orders in ORDER_RELEASED */
    uint64_t root_version; /* the newest root's; 0 = there is none */
};

must_check enum rc store_pending(struct store *store, const char *satellite,
                                 struct store_pending *ret, struct err *err);

/* ---- deltas: made here from two packages, so they can be made again ---- */

enum delta_state {
    DELTA_READY = 1,   /* lies in objects/ */
    DELTA_NO_GAIN = 2, /* the full package goes: a delta is hardly smaller, or cannot be made */
    DELTA_DROPPED = 3, /* was made; its file gave way to newer ones */
};

struct store_delta {
    struct digest base;     /* manifest that a satellite has */
    struct digest manifest; /* that the delta brings; of the same payload */
    enum delta_state state;
    struct digest object; /* SHA-256 of the delta package; all zero with DELTA_NO_GAIN */
    uint64_t size;        /* of the delta package, in bytes */
    uint64_t memory;      /* that applying takes beside the old files, in bytes */
    uint64_t made_ms;
    uint64_t used_ms; /* when it was queued last, else made_ms */
};

/* Put it in place of what is known of that pair. */
must_check enum rc store_put_delta(struct store *store, const struct store_delta *row,
                                   struct err *err);
/* One pair; RC_NOT_FOUND. */
must_check enum rc store_delta(struct store *store, const struct digest *base,
                               const struct digest *manifest, struct store_delta *ret,
                               struct err *err);
/* All of them, those that were used longest ago first. */
must_check enum rc store_deltas(struct store *store, struct store_delta **ret, size_t *ret_n,
                                struct err *err);
/* Note that a delta was queued for a satellite. */
must_check enum rc store_use_delta(struct store *store, const struct store_delta *row,
                                   uint64_t now_ms, struct err *err);
/* Whether an object waits for any satellite to get it. */
must_check enum rc store_is_queued(struct store *store, const struct digest *object, bool *ret,
                                   struct err *err);

/* Whether anything names an object: a package, a delta, an order or token, what is or was queued.
 */
must_check enum rc store_names_object(struct store *store, const struct digest *object, bool *ret,
                                      struct err *err);

/* A delta that could not be made, so that nobody tries again for nothing. */
struct store_delta_failed {
    struct digest base;
    struct digest manifest;
    uint32_t code;   /* rc number: why */
    uint32_t engine; /* MAKE_ENGINE of the program that tried */
    uint64_t at_ms;
};

/* Put it in place of what is known of that pair. */
must_check enum rc store_put_delta_failed(struct store *store, const struct store_delta_failed *row,
                                          struct err *err);
/* One pair; RC_NOT_FOUND. */
must_check enum rc store_delta_failed(struct store *store, const struct digest *base,
                                      const struct digest *manifest, struct store_delta_failed *ret,
                                      struct err *err);
/* All of them. */
must_check enum rc store_deltas_failed(struct store *store, struct store_delta_failed **ret,
                                       size_t *ret_n, struct err *err);
/* It was made after all. */
must_check enum rc store_forget_delta_failed(struct store *store, const struct digest *base,
                                             const struct digest *manifest, struct err *err);

/* Note that a delta to this version was taken out of a satellite's queue since its base changed. */
must_check enum rc store_put_base_changed(struct store *store, const char *satellite,
                                          const struct digest *manifest, uint64_t now_ms,
                                          struct err *err);
must_check enum rc store_base_changed(struct store *store, const char *satellite,
                                      const struct digest *manifest, bool *ret, struct err *err);

/* A satellite on which a delta did not work: that version goes there as the full package. */
struct store_full_only {
    char satellite[NAME_CAP];
    struct digest manifest;
    uint32_t code; /* rc number that the satellite reported */
    uint64_t at_ms;
};

/* A delta package in the queue of a satellite, or delivered to it, once for each pair that it is
 * the delta of: versions may have the same files under different manifests. */
struct store_delta_ride {
    char satellite[NAME_CAP];
    struct digest object;
    enum outgoing_state state; /* queued or complete */
    uint64_t sent_ms;          /* complete: since when */
    struct digest base;
    struct digest manifest;
};
/* Those of a satellite (NULL = any), by satellite and object. */
must_check enum rc store_delta_rides(struct store *store, const char *satellite,
                                     struct store_delta_ride **ret, size_t *ret_n, struct err *err);

/* The first one of a satellite and version stays. */
must_check enum rc store_put_full_only(struct store *store, const struct store_full_only *row,
                                       struct err *err);
/* satellite NULL = any; by satellite and manifest. */
must_check enum rc store_full_only(struct store *store, const char *satellite,
                                   struct store_full_only **ret, size_t *ret_n, struct err *err);

/* ---- observed: what satellites say of themselves ---- */

struct store_observed {
    char satellite[NAME_CAP];
    uint64_t epoch;
    uint64_t seq;
    uint64_t received_ms;
};

/* Keep a report's bytes (its CBOR) and its sight (orchestrator/sight; empty: it is read from the
 * report).  Not above the (epoch, seq) held: RC_REPORT_OLD. */
must_check enum rc store_put_report(struct store *store, const struct store_observed *row,
                                    struct bytes report, struct bytes sight, struct err *err);
/* The report held is the state of a later (epoch, seq), too.  RC_REPORT_OLD if it is not later. */
must_check enum rc store_touch_report(struct store *store, const struct store_observed *row,
                                      struct err *err);
/* The newest report; RC_NOT_FOUND if there is none.  The caller frees *ret. */
must_check enum rc store_report(struct store *store, const char *satellite,
                                struct store_observed *ret_row, uint8_t **ret, size_t *ret_n,
                                struct err *err);

/* What a satellite counted in one of its contacts; or only that something came from it. */
#define STORE_HEARD_MAX 64U   /* kept of each satellite */
#define STORE_MARKS_MAX 256U  /* and so many of those that count nothing, ... */
#define STORE_MARKS_MS 120000 /* ... one in so much time at most */
struct store_heard {
    char satellite[NAME_CAP];
    uint64_t epoch;       /* of the report */
    uint64_t contact;     /* number since its link started; 0 = nothing was counted */
    uint64_t received_ms; /* of the first report that told of it */
    uint64_t arrived;     /* bytes of whole bundles, useful or repeated */
    uint32_t waiting;     /* 1: something was still queued for it */
};

/* Keep it: the newest that counts of the satellite is raised if it is the same contact and the
 * count did not fall.  That is no new entry, nor is one that counts nothing: then what is kept is
 * that something was heard now, unless there is an entry of not long before. */
must_check enum rc store_put_heard(struct store *store, const struct store_heard *row,
                                   struct err *err);
/* satellite NULL = any; by satellite, then as they came. */
must_check enum rc store_heard(struct store *store, const char *satellite, struct store_heard **ret,
                               size_t *ret_n, struct err *err);
must_check enum rc store_forget_heard(struct store *store, const char *satellite, struct err *err);

/* A contact that was reserved on an antenna. */
struct store_reserved {
    char station[NAME_CAP];
    char satellite[NAME_CAP];
    uint64_t aos_ms, los_ms;
    uint32_t antenna; /* of the station, from 0 */
};
must_check enum rc store_put_reserved(struct store *store, const struct store_reserved *row,
                                      struct err *err);
/* Those of a satellite (NULL = of all), and whatever is over, of any. */
must_check enum rc store_drop_reserved(struct store *store, const char *satellite, uint64_t now_ms,
                                       struct err *err);
/* Those that are not over; by beginning. */
must_check enum rc store_reserved(struct store *store, uint64_t now_ms, struct store_reserved **ret,
                                  size_t *ret_n, struct err *err);

/* What a pass was to carry, and did.  Made when it is first handed to. */
#define STORE_PASSES_MS (31ULL * 24 * 3600 * 1000) /* worth keeping for so long */
struct store_pass {
    char station[NAME_CAP];
    char satellite[NAME_CAP];
    uint64_t aos_ms, los_ms;
    uint32_t antenna;  /* of the station, from 0 */
    uint32_t state;    /* enum contact_state */
    uint64_t capacity; /* bytes that were expected to arrive at most */
    uint64_t planned;  /* bytes that the schedule had for it when it was first handed to */
    uint64_t sent;     /* bytes of bundles handed to the link for it */
    uint64_t arrived;  /* bytes that the satellite has counted; 0 = none, or it has not told */
};

/* Put it in place of what is known of that pass. */
must_check enum rc store_put_pass(struct store *store, const struct store_pass *row,
                                  struct err *err);
/* Those that end after a time; by beginning. */
must_check enum rc store_passes(struct store *store, uint64_t since_ms, struct store_pass **ret,
                                size_t *ret_n, struct err *err);
/* Those that are neither done nor failed, and those that end after a time; by satellite, then
 * beginning. */
must_check enum rc store_passes_open(struct store *store, uint64_t since_ms,
                                     struct store_pass **ret, size_t *ret_n, struct err *err);
/* Of each satellite that a pass is kept of a row with 0, then one for each pass that began after
 * its newest report and has failed; by satellite, then beginning. */
struct store_silence {
    char satellite[NAME_CAP];
    uint64_t aos_ms;
};
must_check enum rc store_silences(struct store *store, struct store_silence **ret, size_t *ret_n,
                                  struct err *err);
/* Forget those that were over at a time. */
must_check enum rc store_forget_passes(struct store *store, uint64_t before_ms, struct err *err);

struct store_event {
    char satellite[NAME_CAP];
    uint64_t seq;
    uint32_t code; /* rc number */
    uint32_t count;
    char what[64];
    uint64_t received_ms;
    uint64_t told; /* number of the news that it came or was counted with; 0 = older than those */
};

/* An event that is there already gets the higher count.  One that is new, or is counted higher, is
 * news, and gets the next number (told of row is ignored): in the order of commits, and none comes
 * twice.  Inside a transaction. */
must_check enum rc store_put_event(struct store *store, const struct store_event *row,
                                   struct err *err);
/* Number of the newest news; 0 = there never were any. */
must_check enum rc store_news(struct store *store, uint64_t *ret, struct err *err);
/* Of the events of a satellite (NULL = all) those with news behind a number, in their order, the
 * first `most` of them. */
must_check enum rc store_events_after(struct store *store, const char *satellite, uint64_t told,
                                      size_t most, struct store_event **ret, size_t *ret_n,
                                      struct err *err);
/* How often an event is known to have happened; 0 = it is not known. */
must_check enum rc store_event_count(struct store *store, const char *satellite, uint64_t seq,
                                     uint64_t *ret, struct err *err);
/* Forget what a satellite has reported, its events and contacts, when anything was delivered to
 * it, which deltas did not work there, and for which its base changed. */
must_check enum rc store_forget_observed(struct store *store, const char *satellite,
                                         struct err *err);
/* Forget all events of a satellite but the newest `keep`. */
must_check enum rc store_trim_events(struct store *store, const char *satellite, size_t keep,
                                     struct err *err);
/* The newest `last` events of a satellite (NULL = all), oldest first. */
must_check enum rc store_events(struct store *store, const char *satellite, size_t last,
                                struct store_event **ret, size_t *ret_n, struct err *err);

/* ---- the fleet at once: what a view is made of ---- */

/* Each calls fn for every row, or for those of one satellite only (NULL = all); satellites by id,
 * the others as they lie.  What fn returns ends it unless it is RC_OK.  Views live for the call.
 * Read them in one transaction. */
must_check enum rc
store_fleet_satellites(struct store *store, const char *only,
                       enum rc (*fn)(void *arg, const struct store_satellite *row, struct err *err),
                       void *arg, struct err *err);

struct store_fleet_order {
    char satellite[NAME_CAP];
    uint64_t newest;       /* highest generation */
    bool held;             /* and it is held */
    struct bytes order;    /* what the newest that is released or acked says (its CBOR), ... */
    struct bytes envelope; /* ... or that one as it was signed; both empty = there is none */
};
must_check enum rc store_fleet_orders(struct store *store, const char *only,
                                      enum rc (*fn)(void *arg, const struct store_fleet_order *row,
                                                    struct err *err),
                                      void *arg, struct err *err);

struct store_fleet_report {
    char satellite[NAME_CAP];
    uint64_t received_ms;
    struct bytes sight;  /* of the report, or ... */
    struct bytes report; /* ... that one, of a store from before there were sights */
};
must_check enum rc
store_fleet_reports(struct store *store, const char *only,
                    enum rc (*fn)(void *arg, const struct store_fleet_report *row, struct err *err),
                    void *arg, struct err *err);

/* ---- rollouts ---- */

struct store_rollout {
    uint64_t id; /* from 1 */
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    char from[VERSION_CAP];    /* "" = not there before */
    char to[VERSION_CAP];      /* "" = removed */
    struct digest to_manifest; /* all zero = removed */
    enum rollout_state state;
    char reason[STORE_TEXT_CAP]; /* why it is paused or aborted */
    uint32_t wave;               /* the active one, from 1 */
    uint32_t fail_max;           /* pause at this many failed satellites; at least 1 */
    uint64_t soak_ms;            /* how long a wave stays healthy before it is done, ... */
    uint32_t soak_orbits;        /* ... or how often its satellites go around */
    uint64_t created_ms;
    uint64_t changed_ms;
    struct digest plan; /* hash of the plan that made it; all zero: made before it was kept */
    uint32_t approve;   /* roles that must approve, APPROVAL_BITs (manifest/approval); 0 = none */
    uint32_t fail_pct, fail_min, success_pct, silent_passes; /* as in struct rollout */
    uint64_t silent_ms;
    uint32_t silent_skip;
    uint64_t deadline_ms;
};

struct store_wave {
    uint64_t rollout;
    uint32_t index; /* from 1 */
    char satellite[NAME_CAP];
    enum wave_state state; /* of the wave; the same in all its rows */
    uint64_t generation;   /* of the order that this satellite gets */
    uint64_t healthy_ms;   /* of the wave: since when it soaks, 0 = it does not */
    uint32_t excused;      /* 1: a person has said that the rollout goes on without this one */
    uint64_t retried_ms; /* a person has said so: what it did before that is nothing; 0 = nobody */
    uint64_t retried_epoch, retried_seq; /* of its newest report then */
    uint64_t period_ms; /* of the satellite's orbit as the plan had it; 0 = not known */
};

/* Add a rollout; gives its id.  Fields id and changed_ms of row are ignored. */
must_check enum rc store_add_rollout(struct store *store, const struct store_rollout *row,
                                     uint64_t *ret_id, struct err *err);
/* Write back state, reason, wave, changed_ms, deadline_ms. */
must_check enum rc store_update_rollout(struct store *store, const struct store_rollout *row,
                                        struct err *err);
must_check enum rc store_rollout(struct store *store, uint64_t id, struct store_rollout *ret,
                                 struct err *err); /* NOT_FOUND */
/* state 0 = any; by id. */
must_check enum rc store_rollouts(struct store *store, enum rollout_state state,
                                  struct store_rollout **ret, size_t *ret_n, struct err *err);

/* One row per satellite of a wave. */
must_check enum rc store_add_wave(struct store *store, const struct store_wave *row,
                                  struct err *err);
must_check enum rc store_set_wave_state(struct store *store, uint64_t rollout, uint32_t index,
                                        enum wave_state state, uint64_t healthy_ms,
                                        struct err *err);
/* Write back excused and retried_* of one satellite.  RC_NOT_FOUND: it has no such row. */
must_check enum rc store_judge_wave(struct store *store, const struct store_wave *row,
                                    struct err *err);
/* By index, then satellite. */
must_check enum rc store_waves(struct store *store, uint64_t rollout, struct store_wave **ret,
                               size_t *ret_n, struct err *err);

/* Whether an order may be sent: every rollout that has it is running or completed, and its wave in
 * there is active or done.  False for an order that no rollout has. */
must_check enum rc store_order_ready(struct store *store, const char *satellite,
                                     uint64_t generation, bool *ret, struct err *err);
/* The rollouts that have an order, by id; the caller frees *ret. */
must_check enum rc store_rollouts_of(struct store *store, const char *satellite,
                                     uint64_t generation, uint64_t **ret, size_t *ret_n,
                                     struct err *err);

/* What a person approves of, in a role (manifest/approval). */
struct store_approval {
    uint64_t rollout;
    const char *satellite; /* that the rollout goes on without it; "" = the rollout itself */
    uint32_t role;
};
/* Keep what a person signed, in place of what there may be. */
must_check enum rc store_put_approval(struct store *store, const struct store_approval *of,
                                      struct bytes envelope, struct err *err);
/* RC_NOT_FOUND, without words.  The caller frees *ret.  It is worth nothing before
 * orchestrator/approvals has looked at it. */
must_check enum rc store_approval(struct store *store, const struct store_approval *of,
                                  uint8_t **ret, size_t *ret_n, struct err *err);
/* Forget what people said of one satellite of a rollout. */
must_check enum rc store_forget_approvals(struct store *store, uint64_t rollout,
                                          const char *satellite, struct err *err);

/* The lowest rollout that has not ended and shares with this one (not itself) an
 * order that was never released; 0 = none. */
must_check enum rc store_rollout_shared(struct store *store, uint64_t rollout, uint64_t *ret,
                                        struct err *err);
/* The lowest rollout that has not ended and has a wave for this satellite; 0 = none. */
must_check enum rc store_rollout_on(struct store *store, const char *satellite, uint64_t *ret,
                                    struct err *err);

/* ---- audit: a chain of records (manifest/audit), each written with the change it tells of ---- */

/* What the entries of this program say beside the change itself, and who signs them. */
struct store_audit_by {
    const char *why;           /* audit_why_ok; NULL = nobody said */
    const struct digest *plan; /* NULL = no plan was applied */
    uint32_t n_approvals;
    uint8_t approval[AUDIT_APPROVALS_MAX][KEY_ID_SIZE]; /* rising */
    struct audit_lost lost;                             /* given up by the next entry */
    /* Put an entry into an envelope that an operator key of the newest root in the store signed;
     * the caller frees *ret.  RC_NOT_FOUND: nobody can sign, it stays bare.  NULL: nobody can. */
    enum rc (*sign)(void *arg, struct bytes entry, uint8_t **ret, size_t *ret_n, struct err *err);
    void *arg;
};
/* From now on, until the store is closed; NULL = nothing.  The caller keeps it. */
void store_audit_by(struct store *store, const struct store_audit_by *by);

/* Who the entries of this thread are from that name nobody: "" = the login name of the process. */
void store_act_as(const char *who);

/* Whom that is: what entries of this thread say that name nobody. */
void store_who(char out[AUDIT_WHO_CAP]);

/* Append an entry, in the open transaction if there is one.  detail is cut to fit, and what is not
 * printable ASCII in it becomes '?'.  who NULL = the login name of the process. */
must_check enum rc store_audit(struct store *store, const char *who, const char *action,
                               uint64_t now_ms, struct err *err, const char *detail, ...)
    printf_like(6, 7);

/* Number and SHA-256 of the newest record; 0 and all zero if there is none. */
must_check enum rc store_audit_head(struct store *store, uint64_t *ret_seq, struct digest *ret,
                                    struct err *err);

/* SHA-256 of one record; RC_NOT_FOUND, without words, if there is none of that number.
 * *ret_lost: the number is one that an entry has given up. */
must_check enum rc store_audit_hash(struct store *store, uint64_t seq, struct digest *ret,
                                    bool *ret_lost, struct err *err);

/* Every record in order; what fn returns ends it unless it is RC_OK.  The view lives for the call.
 */
struct store_record {
    uint64_t seq;
    struct digest hash;
    struct bytes record;
};
must_check enum rc store_audit_records(struct store *store,
                                       enum rc (*fn)(void *arg, const struct store_record *record,
                                                     struct err *err),
                                       void *arg, struct err *err);

/* Whether the chain is whole and all of it there, as far as the store can tell; how far it went.
 * RC_AUDIT_BROKEN names the entry and what is wrong with it.  Free with audit_walk_done. */
must_check enum rc store_audit_check(struct store *store, struct audit_walk *ret, struct err *err);

/* The newest `last` entries, oldest first.  One that cannot be read is RC_AUDIT_BROKEN. */
struct store_audit {
    struct audit_entry entry;
    struct digest hash; /* of its record */
    bool is_signed;
    uint8_t signer[KEY_ID_SIZE]; /* id that the first signature claims */
};
must_check enum rc store_audit_list(struct store *store, size_t last, struct store_audit **ret,
                                    size_t *ret_n, struct err *err);

/* The first entry after number seq; RC_NOT_FOUND, without words, if there is none. */
must_check enum rc store_audit_after(struct store *store, uint64_t seq, struct store_audit *ret,
                                     struct err *err);

#endif
