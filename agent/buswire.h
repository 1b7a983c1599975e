/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/buswire: the messages between berthd and a payload's berth-bus, on one SOCK_SEQPACKET
 * socket.
 *
 * berth-bus asks, berthd answers each question once, in order; in between berthd may say WAKE.
 * Every message is one packet, one fixed-size struct, no descriptors, unused bytes zero.  For
 * berthd the other side is hostile: a payload may have taken its bus over.  Whose bus it is follows
 * from the socket, and no message says it.
 */
#ifndef BERTH_AGENT_BUSWIRE_H
#define BERTH_AGENT_BUSWIRE_H

#include "agent/inputs.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "link/mail.h"

#define BUS_BODY_MAX 2048U   /* of a message or command, in bytes */
#define BUS_RESULT_MAX 131U  /* of a command: "4294967295 " and the longest text */
#define BUS_VALUE_MAX 128U   /* of telemetry */
#define BUS_PASSES_MAX 8U    /* told at once */
#define BUS_MESSAGES_MAX 8U  /* that wait for one payload */
#define BUS_KEYS_MAX 16U     /* telemetry keys of one payload */
#define BUS_PUTS_HOUR 720U   /* telemetry values in an hour */
#define BUS_SENDS_HOUR 3600U /* messages to peers in an hour */

/* The numbers are on the wire. */
enum bus_op {
    BUS_SELF = 1,          /* who this payload is */
    BUS_TIME = 2,          /* what time it is */
    BUS_SKY = 3,           /* mode, eclipse, contacts */
    BUS_QUOTA = 4,         /* limits and what is left of them */
    BUS_PUT = 5,           /* name: key, body: its newest value */
    BUS_SEND = 6,          /* name: peer, body: for it */
    BUS_MESSAGE = 7,       /* the oldest message from a peer */
    BUS_MESSAGE_DONE = 8,  /* id: it has been dealt with */
    BUS_COMMAND = 9,       /* the oldest command from the ground */
    BUS_COMMAND_DONE = 10, /* id: it has been dealt with; body: its result, empty = 0 */
    BUS_ABUSE = 11,        /* id: so many requests were refused for what they were */
    BUS_WAKE = 12,         /* berthd: a message or a command has come */
};

struct bus_ask {
    uint32_t op; /* enum bus_op */
    uint32_t n;  /* bytes of body */
    uint64_t id;
    char name[NAME_CAP];
    uint8_t reserved[7]; /* 0 */
    uint8_t body[BUS_BODY_MAX];
};

struct bus_self {
    char tenant[NAME_CAP], payload[NAME_CAP], satellite[NAME_CAP], version[VERSION_CAP];
    uint8_t manifest[DIGEST_SIZE];
    uint8_t reserved[4]; /* 0 */
    uint64_t instance;
};

struct bus_time {
    uint64_t unix_ms;
    uint64_t floor_ms;     /* it is not earlier: signed documents say so */
    uint64_t told_ms;      /* ago, that the platform told it */
    uint32_t uncertain_ms; /* when it told; INPUT_UNCERTAIN_UNKNOWN */
    uint32_t clock;        /* enum platform_clock */
};

struct bus_sky {
    uint32_t safe, eclipse;
    char station[NAME_CAP]; /* in view, "" = none */
    uint8_t reserved[3];    /* 0 */
    uint32_t n;
    struct input_pass pass[BUS_PASSES_MAX];
};

/* One thing with a limit; used and left are 0 where `known` lacks their bit. */
enum { BUS_KNOWN_USED = 1, BUS_KNOWN_LEFT = 2 };

struct bus_amount {
    uint64_t limit, used, left;
    uint64_t known;
};

enum bus_quota_line {
    BUS_QUOTA_MEMORY,    /* bytes */
    BUS_QUOTA_CPU,       /* permille of a core; used: ms of processor time since the start */
    BUS_QUOTA_PIDS,      /* processes and threads */
    BUS_QUOTA_FILES,     /* open files of a process */
    BUS_QUOTA_TMP,       /* bytes of /tmp */
    BUS_QUOTA_DATA,      /* bytes of /data */
    BUS_QUOTA_LOG,       /* bytes of output kept in this hour */
    BUS_QUOTA_OUTBOX,    /* bytes sent down today */
    BUS_QUOTA_TELEMETRY, /* values in this hour */
    BUS_QUOTA_SENDS,     /* messages to peers in this hour */
    BUS_QUOTA_MESSAGES,  /* places for messages from peers */
    BUS_QUOTA_LINES
};

struct bus_quota {
    struct bus_amount line[BUS_QUOTA_LINES];
};

/* A message or a command. */
struct bus_post {
    uint64_t id;         /* of it; 0 = there is none */
    char from[NAME_CAP]; /* peer, or name of the command */
    uint8_t reserved[3]; /* 0 */
    uint32_t n;
    uint8_t body[BUS_BODY_MAX];
};

struct bus_answer {
    uint32_t op; /* of the question, or BUS_WAKE */
    uint32_t rc; /* enum rc; if it is not RC_OK the rest is zero but for what */
    char what[96];
    union {
        struct bus_self self;
        struct bus_time time;
        struct bus_sky sky;
        struct bus_quota quota;
        struct bus_post post;
    };
};

/* How a command went, in the payload's own numbers and words. */
struct bus_result {
    uint32_t code;
    char text[MAIL_TEXT_CAP];
};

/* Read CODE or CODE TEXT; nothing is 0.  RC_BUS_REQUEST. */
must_check enum rc bus_result_read(struct bytes in, struct bus_result *ret, struct err *err);

/* Whether a message is one that an honest peer sends.  RC_PROTOCOL. */
must_check enum rc bus_ask_check(const struct bus_ask *ask, struct err *err);
must_check enum rc bus_answer_check(const struct bus_answer *answer, struct err *err);

/* Send one packet.  RC_NO_ROOM: a non-blocking socket is full.  RC_SHORT: the peer is gone. */
must_check enum rc bus_send(int sock, const void *packet, size_t n, struct err *err);

/* Receive one packet of exactly n bytes without blocking; descriptors that come along are lost.
 * RC_TIMEOUT: there is none.  RC_SHORT: the peer is gone.  RC_PROTOCOL: another size, or
 * descriptors. */
must_check enum rc bus_receive(int sock, void *ret, size_t n, struct err *err);

#endif
