/* SPDX-License-Identifier: Apache-2.0
 *
 * link/tcpcl: one session of the TCP convergence layer, version 4 (RFC 9174), as a pure state
 * machine.
 *
 * Bytes that came are given to it, bytes to send are taken from it, and time is an argument: no
 * socket, no clock, no file, no allocation.  What comes is from anybody: every length is checked
 * against a bound when it is announced, before memory is used for it, and the outcome is the same
 * however the bytes are cut.  Bundles are opaque here.
 *
 * Who uses it (link/cl_tcp) asks for the next event until there is none, does what the event says,
 * and sends what tcpcl_output gives.
 */
#ifndef BERTH_LINK_TCPCL_H
#define BERTH_LINK_TCPCL_H

#include "base/bytes.h"
#include "base/err.h"

#define TCPCL_PORT 4556U
#define TCPCL_NODE_ID_MAX 255U   /* bytes of a node id; a longer one is TOO_LARGE */
#define TCPCL_EXTENSIONS 1024U   /* bytes of extension items in one message */
#define TCPCL_WINDOW 32U         /* transfers that may wait for their acknowledgement */
#define TCPCL_SEGMENT_MAX 65536U /* bytes of data in one segment that is sent */
#define TCPCL_HELD_MAX 64U       /* acknowledgements that wait for tcpcl_commit */
#define TCPCL_STRAYS_MAX 16U     /* messages that fit nowhere, before the session ends */

/* Reasons on the wire (RFC 9174 tables 6, 8 and 9). */
enum tcpcl_refusal {
    TCPCL_REFUSE_UNKNOWN = 0,
    TCPCL_REFUSE_COMPLETED = 1,
    TCPCL_REFUSE_NO_RESOURCES = 2,
    TCPCL_REFUSE_RETRANSMIT = 3,
    TCPCL_REFUSE_NOT_ACCEPTABLE = 4,
    TCPCL_REFUSE_EXTENSION = 5,
    TCPCL_REFUSE_ENDING = 6,
};

enum tcpcl_term {
    TCPCL_TERM_UNKNOWN = 0,
    TCPCL_TERM_IDLE = 1,
    TCPCL_TERM_VERSION = 2,
    TCPCL_TERM_BUSY = 3,
    TCPCL_TERM_CONTACT = 4,
    TCPCL_TERM_RESOURCES = 5,
};

/* What the user of a session has to do something about. */
enum tcpcl_event {
    TCPCL_NOTHING,  /* all input was taken */
    TCPCL_STARTTLS, /* do the TLS handshake, then tcpcl_secured; all later bytes go through it */
    TCPCL_PEER,     /* the peer said who it is (peer_id): tcpcl_admit or tcpcl_end */
    TCPCL_BUNDLE,   /* a transfer is whole (received): tcpcl_keep or tcpcl_refuse */
    TCPCL_DONE,     /* transfer event_id was acknowledged as a whole */
    TCPCL_REFUSED,  /* transfer event_id was refused, event_reason says why */
    TCPCL_HELD,     /* no room for another acknowledgement: make durable, then tcpcl_commit */
    TCPCL_FULL,     /* no room for an answer: tcpcl_output first */
    TCPCL_OVER,     /* send what is left, then close; err says why, RC_OK: both sides agreed */
};

enum tcpcl_state {
    TCPCL_STATE_OVER, /* an all-zero session is one that takes nothing */
    TCPCL_STATE_CONTACT,
    TCPCL_STATE_TLS,
    TCPCL_STATE_INIT,
    TCPCL_STATE_JUDGE,
    TCPCL_STATE_UP,
    TCPCL_STATE_ENDING, /* no new transfers; what is under way is finished */
    TCPCL_STATES,
};

struct tcpcl_config {
    bool active;           /* this side opened the connection */
    bool tls;              /* demanded: a peer that cannot is CL_PEER.  Else never used */
    uint16_t keepalive_s;  /* offered; 0 = none */
    uint64_t patience_ms;  /* for each step of the beginning, for an answer, and for the end */
    uint64_t transfer_mru; /* largest bundle that is taken, in bytes */
    const char *node_id;   /* ours; at most TCPCL_NODE_ID_MAX bytes */
};

/* A transfer that is sent or waits for its last acknowledgement. */
struct tcpcl_sent {
    uint64_t id;
    uint64_t size;
    uint64_t acked;
};

struct tcpcl {
    struct tcpcl_config config;
    enum tcpcl_state state;
    struct err err;                       /* why it is over */
    char peer_id[TCPCL_NODE_ID_MAX + 1U]; /* from TCPCL_PEER on; printable, NUL-terminated */
    uint16_t keepalive_s;                 /* agreed */
    uint64_t peer_segment_mru;
    uint64_t peer_transfer_mru;
    struct bytes received; /* of TCPCL_BUNDLE, until the answer */
    uint64_t event_id;
    uint8_t event_reason;
    uint64_t n_strays;
    /* Private. */
    bool term_sent;
    bool term_seen;
    uint64_t start_ms; /* of the step under way */
    uint64_t heard_ms;
    uint64_t spoke_ms;
    uint64_t moved_ms; /* a transfer was begun or acknowledged */
    /* in */
    uint8_t head[32U + TCPCL_NODE_ID_MAX + TCPCL_EXTENSIONS];
    size_t n_head;
    uint8_t *buf;    /* borrowed: where a transfer grows */
    bool rx_open;    /* a transfer is under way */
    bool rx_drop;    /* and was refused: its segments are passed over */
    bool rx_waiting; /* TCPCL_BUNDLE was returned and is not answered */
    bool rx_any;     /* rx_id is that of some transfer */
    uint64_t rx_id;
    uint64_t rx_total; /* announced; 0 = not */
    uint64_t rx_n;     /* bytes in buf */
    uint64_t rx_left;  /* bytes of the segment that are still to come */
    uint8_t rx_flags;
    /* out */
    uint8_t queue[8192];
    size_t n_queue;
    uint8_t held[TCPCL_HELD_MAX * 18U];
    size_t n_held; /* acknowledgements */
    struct tcpcl_sent sent[TCPCL_WINDOW];
    size_t n_sent;
    bool sending;    /* tx is not given away whole */
    bool tx_stopped; /* refused: only its open segment is finished */
    struct bytes tx;
    uint64_t tx_given; /* bytes in segments that were begun */
    uint64_t tx_id;
    uint64_t tx_next_id;
    uint8_t seg_head[40]; /* of a segment, not yet given away */
    size_t n_seg_head;
    size_t seg_left; /* bytes of that segment that are still to go out */
};

/* Begin.  config is copied, its node id stays borrowed. */
void tcpcl_init(struct tcpcl *s, const struct tcpcl_config *config, uint64_t now_ms);

/* How many bytes may be given at most: what follows a contact header may be for TLS. */
size_t tcpcl_wants(const struct tcpcl *s);

/* Take bytes until something happens; *ret_used tells how many.  Without any, tells what is due. */
enum tcpcl_event tcpcl_input(struct tcpcl *s, struct bytes in, uint64_t now_ms, size_t *ret_used);

/* Move at most cap bytes to send into out; returns how many.  Zero: nothing to send now. */
size_t tcpcl_output(struct tcpcl *s, uint8_t *out, size_t cap, uint64_t now_ms);

/* The TLS handshake that TCPCL_STARTTLS asked for is done. */
void tcpcl_secured(struct tcpcl *s, uint64_t now_ms);

/* The peer of TCPCL_PEER is the right one.  buf is borrowed, of at least config.transfer_mru bytes:
 * where a transfer grows. */
void tcpcl_admit(struct tcpcl *s, uint8_t *buf, uint64_t now_ms);

/* Answer to TCPCL_BUNDLE: it is kept; the acknowledgement waits for tcpcl_commit. */
void tcpcl_keep(struct tcpcl *s);

/* Answer to TCPCL_BUNDLE: it is not. */
void tcpcl_refuse(struct tcpcl *s, enum tcpcl_refusal reason);

/* Whether acknowledgements wait for tcpcl_commit. */
bool tcpcl_held(const struct tcpcl *s);

/* Everything that was kept is durable: let the acknowledgements go. */
void tcpcl_commit(struct tcpcl *s);

/* Whether a bundle of this size may be sent now. */
bool tcpcl_can_send(const struct tcpcl *s);

/* Whether the peer takes bundles of this size at all; only when the session is up. */
bool tcpcl_fits(const struct tcpcl *s, uint64_t size);

/* Send a bundle; the bytes stay borrowed until tcpcl_sending is false.  Only if tcpcl_can_send and
 * tcpcl_fits.  Returns the transfer's id, by which events name it. */
uint64_t tcpcl_send(struct tcpcl *s, struct bytes bundle, uint64_t now_ms);
bool tcpcl_sending(const struct tcpcl *s);

/* Begin the end: what is under way is finished, nothing new is begun. */
void tcpcl_end(struct tcpcl *s, enum tcpcl_term reason, uint64_t now_ms);

/* What time brings: keepalives, and the end of what takes too long.  Then look for TCPCL_OVER with
 * tcpcl_input.  *ret_wait_ms is when to call again at the latest. */
void tcpcl_tick(struct tcpcl *s, uint64_t now_ms, uint64_t *ret_wait_ms);

#endif
