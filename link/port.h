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
};
#define OBJECT_KIND_MAX OBJECT_REVOCATION

#define OBJECT_MAX (PACKAGE_MAX + DOCUMENT_MAX + 4096U) /* bytes of one object of any kind */

enum port_type {
    PORT_OBJECT = 1,      /* link to agent, with a descriptor: a complete object */
    PORT_EVENT = 2,       /* link to agent: something was refused */
    PORT_TRANSFERS = 3,   /* link to agent: what is still missing, what is complete */
    PORT_CONTACT = 4,     /* link to agent: the first uplink file after a quiet gap */
    PORT_OBJECT_DONE = 5, /* agent to link: the object may go */
    PORT_REPORT = 6,      /* agent to link: seal this and put it into the downlink */
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
#define PORT_RANGES_MAX 32U
#define PORT_COMPLETE_MAX 64U

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

struct port_transfers {
    uint32_t n_transfers;
    uint32_t n_complete;
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

struct port_message {
    uint32_t type; /* enum port_type */
    uint32_t reserved;
    union {
        struct port_object object;
        struct port_event event;
        struct port_transfers transfers;
        struct port_done done;
        struct port_report report;
    };
};

/* Send one message; fd goes along with PORT_OBJECT and is -1 otherwise (it stays the caller's).
 * Never blocks and never raises SIGPIPE: RC_TIMEOUT when the socket is full, RC_SHORT when the peer
 * is gone. */
must_check enum rc port_send(int sock, const struct port_message *msg, int fd, struct err *err);

/* Receive one message that `from` may send.  *ret_fd is the descriptor of a PORT_OBJECT, which is
 * the caller's to close, else -1.  Never blocks: RC_TIMEOUT when nothing is there, RC_SHORT when
 * the peer has closed, RC_PROTOCOL for anything the table does not allow (end the peer). */
must_check enum rc port_recv(int sock, enum port_side from, struct port_message *ret, int *ret_fd,
                             struct err *err);

/* The check behind port_recv: whether raw is one message that `from` may send, with n_fds
 * descriptors.  *ret is filled on success only. */
must_check enum rc port_check(struct bytes raw, enum port_side from, size_t n_fds,
                              struct port_message *ret, struct err *err);

#endif
