/* SPDX-License-Identifier: Apache-2.0
 *
 * link/port: what berthd and berth-link say to each other over one SOCK_SEQPACKET pair.
 *
 * Fixed-size messages without pointers; one message is one packet of exactly the size of its type.
 * Each side treats the other as possibly taken over: a message that is not exactly what the table
 * in port.c allows (size, direction, descriptor, counts, text) is RC_PROTOCOL, and its descriptors
 * are closed.
 */
#ifndef BERTH_LINK_PORT_H
#define BERTH_LINK_PORT_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* What an object on the link is.  The link never looks inside one. */
enum object_kind {
    OBJECT_ROOT = 1,
    OBJECT_GRANT = 2,
    OBJECT_ORDER = 3,
    OBJECT_PACKAGE = 4,
    OBJECT_REPORT = 5,
    OBJECT_REVOCATION = 6,
    OBJECT_TOKEN = 7,
    OBJECT_REKEY = 8,
    OBJECT_DELEGATION = 9,
    OBJECT_MAIL = 10, /* goes up, and comes down */
};
#define OBJECT_KIND_MAX OBJECT_MAIL

/* The word for a kind, for people; "object" for a number that is none. */
const char *object_kind_name(uint32_t kind);

#define OBJECT_MAX (PACKAGE_MAX + DOCUMENT_MAX + 4096U) /* bytes of one object of any kind */

enum port_type {
    PORT_OBJECT = 1,      /* link to agent, with a descriptor: a complete object */
    PORT_EVENT = 2,       /* link to agent: something was refused */
    PORT_TRANSFERS = 3,   /* link to agent: what is still missing, what is complete */
    PORT_CONTACT = 4,     /* link to agent: the first uplink file after a quiet gap */
    PORT_OBJECT_DONE = 5, /* agent to link: the object may go */
    PORT_REPORT = 6,      /* agent to link: seal this and put it into the downlink */
    PORT_KEY = 7,         /* agent to link: accept this key of the link from now on */
    PORT_KEY_HELD = 8,    /* link to agent: what became of a PORT_KEY; no answer: ask again */
    PORT_KEYS = 9,        /* link to agent: the keys that are held, at start and on change */
    PORT_HEARD = 10,      /* link to agent: the first bundle since its start that was authentic,
                             new, and taken in */
    PORT_SCRUB = 11,      /* agent to link: read again what you keep, and mend it */
    PORT_SCRUBBED = 12,   /* link to agent: what came of a PORT_SCRUB; no answer: ask again */
    PORT_SEED = 13,       /* agent to link, with a descriptor: most of this object's bytes */
    PORT_MAIL = 14,       /* agent to link, with a descriptor: send this object down */
    PORT_MAIL_SENT = 15,  /* link to agent: what became of a PORT_MAIL; no answer: ask again */
    PORT_MAIL_DROP = 16,  /* agent to link: never mind that one */
    PORT_BRIEF = 17,      /* agent to link: as PORT_REPORT, but it says nothing by itself */
    PORT_PING = 18,       /* agent to link: say this number, when its turn comes */
    PORT_PONG = 19,       /* link to agent: it has come to the PORT_PING of this number */
};

enum port_side { PORT_FROM_LINK = 0, PORT_FROM_AGENT = 1 };

/* A complete object, its whole digest checked.  The descriptor is read-only and the receiver's to
 * close.  Offered again after every start of berth-link until it is done. */
struct port_object {
    uint32_t kind; /* enum object_kind */
    uint32_t reserved;
    uint64_t size;
    uint8_t digest[DIGEST_SIZE]; /* SHA-256 of the object's bytes */
};

/* count refusals with the same code since the last message about it. */
struct port_event {
    uint32_t rc;
    uint32_t count;
    char what[64]; /* NUL-terminated printable ASCII */
};

#define PORT_TRANSFERS_MAX 16U
#define PORT_RANGES_MAX 192U
#define PORT_COMPLETE_MAX 64U
#define PORT_BYTES_MAX (UINT64_C(1) << 62)

struct transfer_range {
    uint32_t first, count;
};

/* An object that is still coming in. */
struct transfer_status {
    uint8_t object[DIGEST_SIZE];
    uint32_t chunks;    /* in all; 0 = only chunks have come, the descriptor is missing */
    uint32_t n_missing; /* ranges listed */
    uint32_t more;      /* 1 = more is missing behind the last range, else 0 */
    struct transfer_range missing[PORT_RANGES_MAX]; /* rising, not touching */
};

/* What went over a link in some time, bytes of whole bundles. */
struct port_bytes {
    uint64_t in;       /* of files met */
    uint64_t useful;   /* of them: brought what was not there */
    uint64_t repeated; /* of them: authentic, and brought nothing new; the rest of in was refused */
    uint64_t out;      /* of files written */
};

/* Since the start of berth-link. */
struct port_traffic {
    uint64_t contacts;
    struct port_bytes contact; /* since the last one began */
    struct port_bytes all;
    /* Of the link's own key that is in use: its epoch, 0 = none, the highest counter that came, and
     * how many counters did. */
    uint64_t key_epoch, highest, accepted;
};

#define PORT_NAME_CAP 36U /* NAME_CAP, and words stay aligned */
#define PORT_SPOOL_MAX (TENANTS_MAX + 1U)
#define PORT_SPOOL_COUNTS 4U /* enum quota_reason */

static_assert(PORT_NAME_CAP >= NAME_CAP, "any name fits");

/* A tenant of which objects were refused or dropped for want of room (link/quota). */
struct port_spool_tenant {
    char name[PORT_NAME_CAP];          /* "" = of nobody in particular; zero behind the name */
    uint32_t objects, kib;             /* in the spool now */
    uint32_t count[PORT_SPOOL_COUNTS]; /* since the start of berth-link */
};

struct port_spool {
    uint32_t n;
    uint32_t reserved;
    struct port_spool_tenant tenant[PORT_SPOOL_MAX]; /* sorted by name */
};

struct port_transfers {
    uint32_t n_transfers;
    uint32_t n_complete;
    struct port_traffic traffic;
    struct port_spool spool;
    struct transfer_status transfer[PORT_TRANSFERS_MAX];
    uint8_t complete[PORT_COMPLETE_MAX][DIGEST_SIZE]; /* newest last */
};

struct port_done {
    uint8_t digest[DIGEST_SIZE];
};

struct port_report {
    uint32_t n;
    uint8_t bytes[REPORT_MAX];
};

#define PORT_MAILS_MAX 8U /* on their way down at once */

/* A message of a payload.  The descriptor stays usable, and its bytes the same, until it is sent or
 * dropped. */
struct port_mail {
    uint64_t size;
    uint64_t serial; /* rises with every message of its payload */
    uint8_t digest[DIGEST_SIZE];
};

struct port_mail_sent {
    uint32_t rc; /* RC_OK: the ground has it durably */
    uint8_t digest[DIGEST_SIZE];
};

#define PORT_SECRET_SIZE 32U
#define PORT_KEYS_MAX (2U * (1U + TENANTS_MAX))

/* Which key: of the link with a peer, or of a tenant's own link with it. */
struct port_key_id {
    uint32_t peer;              /* node number, not 0 */
    uint32_t epoch;             /* not 0 */
    char tenant[PORT_NAME_CAP]; /* "" = the link's; zero behind the name */
};

/* Secret: both ends wipe it. */
struct port_key {
    struct port_key_id id;
    uint8_t secret[PORT_SECRET_SIZE];
};

struct port_key_held {
    struct port_key_id id;
    uint32_t rc; /* RC_OK: held durably */
};

struct port_keys {
    uint32_t n;
    struct port_key_id id[PORT_KEYS_MAX]; /* by tenant, then epoch; of two the older is in use */
};

/* What was read and found; the counts of one PORT_SCRUB. */
struct port_scrubbed {
    uint32_t files;
    uint32_t damaged; /* of them */
    uint32_t
        repaired; /* of those; what is missing again of an object under way counts as repaired */
    uint32_t reserved;
    uint64_t bytes;
};

struct port_pulse {
    uint64_t number; /* of a PORT_PING since the start of berth-link, from 1 */
};

struct port_message {
    uint32_t type; /* enum port_type */
    uint32_t reserved;
    union {
        struct port_object object; /* also of PORT_SEED: what it should be, a damaged copy of it */
        struct port_event event;
        struct port_transfers transfers;
        struct port_done done;
        struct port_report report;
        struct port_key key;
        struct port_key_held held;
        struct port_keys keys;
        struct port_scrubbed scrubbed;
        struct port_mail mail;
        struct port_mail_sent mail_sent;
        struct port_pulse pulse;
    };
};

/* Whether counts and ranges are in bounds and in order. */
bool port_transfers_ok(const struct port_transfers *transfers);

/* Send one message; fd goes along with PORT_OBJECT, PORT_SEED and PORT_MAIL and is -1 otherwise (it
 * stays the caller's). Never blocks and never raises SIGPIPE: RC_TIMEOUT when the socket is full,
 * RC_SHORT when the peer is gone. */
must_check enum rc port_send(int sock, const struct port_message *msg, int fd, struct err *err);

/* Receive one message that `from` may send.  *ret_fd is the descriptor of a PORT_OBJECT or
 * PORT_SEED, which is the caller's to close, else -1.  Never blocks: RC_TIMEOUT when nothing is
 * there, RC_SHORT when the peer has closed, RC_PROTOCOL for anything the table does not allow (end
 * the peer). */
must_check enum rc port_recv(int sock, enum port_side from, struct port_message *ret, int *ret_fd,
                             struct err *err);

/* The check behind port_recv: whether raw is one message that `from` may send, with n_fds
 * descriptors.  *ret is filled on success only. */
must_check enum rc port_check(struct bytes raw, enum port_side from, size_t n_fds,
                              struct port_message *ret, struct err *err);

#endif
