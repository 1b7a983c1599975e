/* SPDX-License-Identifier: Apache-2.0
 *
 * link/mail: messages between a payload and its own ground, as objects of the link
 * (docs/wire/transfer.cddl): a short head that says whose it is, and the bytes of a file.
 *
 * What comes out of decoding is well-formed, not true: the link authenticates the other end, and
 * that end may name any tenant.  The bytes are the tenant's; nobody here looks into them, but for
 * what mail_sealed_check needs to see.
 */
#ifndef BERTH_LINK_MAIL_H
#define BERTH_LINK_MAIL_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "link/eid.h"

#define MAIL_NAME_MAX 64U
#define MAIL_NAME_CAP (MAIL_NAME_MAX + 1U)
#define MAIL_CONTENT_MAX (4U * 1024U * 1024U)
#define MAIL_HEAD_MAX 256U
#define MAIL_OBJECT_MAX (MAIL_CONTENT_MAX + MAIL_HEAD_MAX)
#define MAIL_RECEIPT ".receipt" /* end of the names of receipts; no message has one */

#define MAIL_COMMAND_MAX 2048U /* content of a command, in bytes */
#define MAIL_TEXT_MAX 120U     /* of an answer, in characters */
#define MAIL_TEXT_CAP (MAIL_TEXT_MAX + 1U)
#define MAIL_ANSWER_MAX 256U /* content of an answer, in bytes */

/* A file either way, a command of the ground's for a payload's bus and what became of it, or what
 * the payload put there.  The
 * numbers are on the wire; a payload's own files are MAIL_DOWN whatever their names. */
enum mail_direction {
    MAIL_DOWN = 1,
    MAIL_UP = 2,
    MAIL_COMMAND = 3,
    MAIL_ANSWER = 4,
    MAIL_TELEMETRY = 5,
    MAIL_LOGS = 6,         /* down: what it printed (link/logs) */
    MAIL_LOGS_REQUEST = 7, /* up: to the agent, which sends more of that */
};

struct mail {
    enum mail_direction direction;
    uint32_t node; /* of the satellite */
    char tenant[NAME_CAP];
    char payload[NAME_CAP];
    uint64_t number;     /* of the sender's, rises: the same content twice is two messages */
    uint64_t time_ms;    /* Unix time at which it was taken, by the sender's clock */
    uint64_t expires_ms; /* Unix time; 0 = never */
    char name[MAIL_NAME_CAP];
    uint32_t head; /* bytes before the content */
    uint32_t size; /* of the content */
};

/* What became of a command.  The numbers are on the wire. */
enum mail_outcome {
    MAIL_READ = 1,    /* the payload has it; one of the others follows */
    MAIL_DONE = 2,    /* the payload has dealt with it, and says how it went */
    MAIL_LATE = 3,    /* it expired before it was dealt with */
    MAIL_REFUSED = 4, /* by the agent; code is an enum rc */
};

/* The content of an answer. */
struct mail_answer {
    uint8_t command[DIGEST_SIZE]; /* object in which the command went up */
    enum mail_outcome outcome;
    uint32_t code;            /* the payload's own with MAIL_DONE, 0 = well; else 0 */
    char text[MAIL_TEXT_CAP]; /* the payload's own words with MAIL_DONE, printable ASCII; else "" */
};

/* Whether a file of this name may be a message: [A-Za-z0-9._+@~-]{1,64}, not beginning with '.' or
 * '-', and not a receipt's. */
bool mail_name_ok(const char *name);

/* The head of a message whose content, mail->size bytes, follows.  mail->head is not looked at. buf
 * has MAIL_HEAD_MAX bytes. */
must_check enum rc mail_head_encode(const struct mail *mail, uint8_t *buf, struct bytes *ret,
                                    struct err *err);

/* Decode the head at the beginning of an object of `size` bytes; in holds its first MAIL_HEAD_MAX
 * bytes, or all of it.  RC_MAIL_FORMAT or a CBOR code. */
must_check enum rc mail_head_decode(struct bytes in, uint64_t size, struct mail *ret,
                                    struct err *err);

/* The content of an answer; buf has MAIL_ANSWER_MAX bytes. */
must_check enum rc mail_answer_encode(const struct mail_answer *answer, uint8_t *buf,
                                      struct bytes *ret, struct err *err);

/* Decode all of it.  RC_MAIL_FORMAT or a CBOR code. */
must_check enum rc mail_answer_decode(struct bytes in, struct mail_answer *ret, struct err *err);

/* Whether text is one that an answer may have: n printable ASCII characters, MAIL_TEXT_MAX at
 * most.  Here: berth-bus needs nothing else of this module. */
static inline bool mail_text_ok(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return n <= MAIL_TEXT_MAX;
}

/* Decode the head of an object in a file of `size` bytes.  Also RC_SHORT, RC_IO. */
must_check enum rc mail_head_read(int fd, uint64_t size, struct mail *ret, struct err *err);

/* The endpoint of a payload on a satellite (its own ground's, with payload ""): ipn, with 56 bits
 * of SHA-256 over the names as the service, above 2^56. */
must_check enum rc mail_eid(uint32_t node, const char *tenant, const char *payload, struct eid *ret,
                            struct err *err);

/* Whether content is one sealed bundle: strict BPv7, its payload encrypted and its primary block
 * authenticated by somebody, from src to dst and to nobody else.  No key is needed, and none would
 * help: whether it is authentic only the two ends can say.  RC_MAIL_SEALED, RC_MAIL_ADDRESS. */
must_check enum rc mail_sealed_check(struct bytes content, const struct eid *src,
                                     const struct eid *dst, struct err *err);

/* The same without a look at the addresses, for who does not know them. */
must_check enum rc mail_sealed_form(struct bytes content, struct err *err);

#endif
