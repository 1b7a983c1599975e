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

enum mail_direction { MAIL_DOWN = 1, MAIL_UP = 2 };

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

/* The same of an object in a file of `size` bytes.  Also RC_SHORT, RC_IO. */
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
