/* SPDX-License-Identifier: Apache-2.0
 *
 * link/logs: what a payload has printed, in chunks, as the content of mail of the direction
 * MAIL_LOGS, and what the ground asks for (MAIL_LOGS_REQUEST; docs/wire/transfer.cddl).
 *
 * A chunk holds lines of one start of a payload, one after the other, and says where lines are
 * missing, how many, and why.  Every line has a number: all that the payload printed count, kept or
 * not, so that what never arrives shows too.  A line longer than LOGS_TEXT_MAX is several.
 *
 * Pure, but for memory.  Chunks come from a satellite, and their text from a payload: both are
 * hostile.  What comes out of decoding is well-formed; the text is any bytes but line feeds.
 */
#ifndef BERTH_LINK_LOGS_H
#define BERTH_LINK_LOGS_H

#include "base/bytes.h"
#include "base/cbor.h"
#include "base/err.h"
#include "base/limits.h"

#define LOGS_TEXT_MAX 1024U               /* bytes of a line */
#define LOGS_RECORDS_MAX 2048U            /* of a chunk */
#define LOGS_PLAIN_MAX (48U * 1024U)      /* bytes of a chunk, unpacked */
#define LOGS_BYTES_MAX LOGS_PLAIN_MAX     /* packed: never more */
#define LOGS_NUMBER_MAX (UINT64_MAX / 4U) /* of a line, and of a byte */
#define LOGS_REQUEST_MAX 64U              /* bytes of a request */

/* Who wrote a line; the numbers are on the wire. */
enum logs_stream {
    LOGS_GAP = 0, /* nobody: lines are missing */
    LOGS_OUT = 1,
    LOGS_ERR = 2,
    LOGS_NOTE = 3, /* the agent: that it was started, that it has ended */
    LOGS_STREAMS
};

/* Why lines are missing; the numbers are on the wire. */
enum logs_why {
    LOGS_UNKNOWN = 0, /* never on the wire: not told, so on its way, or lost */
    LOGS_RATE = 1,    /* printed faster than is kept in a second */
    LOGS_HOUR = 2,    /* the hour's bytes were used up */
    LOGS_DISK = 3,    /* could not be written, or not be read any more */
    LOGS_RING = 4,    /* overwritten by newer ones before they went */
    LOGS_QUOTA = 5,   /* so, too, since the day's bytes to the ground were used up */
    LOGS_WHYS
};

/* A line, or a gap. */
struct logs_record {
    uint64_t number;  /* of the line, or of the first one that is missing; from 1 */
    uint64_t offset;  /* bytes that the payload had printed before it */
    uint64_t time_ms; /* Unix time, by the satellite's clock; never before the one before it */
    enum logs_stream stream;
    enum logs_why why; /* of a gap */
    uint64_t lines;    /* of a gap; of a line 1 */
    uint64_t bytes;    /* that it stands for, with the end of the line */
    bool more;         /* the line goes on in the next one of its stream */
    struct bytes text; /* view of the chunk */
};

/* ---- making ---- */

/* A chunk that is being made; large. */
struct logs_writer {
    uint64_t instance, first, offset; /* of the first record */
    uint64_t time_ms;                 /* of the first record; then of the last one */
    uint64_t begin_ms;
    uint32_t n;
    size_t cap; /* at most LOGS_PLAIN_MAX */
    struct cbor_out records;
    uint8_t buf[LOGS_PLAIN_MAX];
};

/* Begin a chunk of an instance (never 0) of at most cap bytes, unpacked. */
void logs_begin(struct logs_writer *w, uint64_t instance, size_t cap);

/* One record more, which continues the one before; of `bytes` of a line, and its number and offset
 * behind the first, nothing goes out: they follow.  False: there is no more room, and nothing has
 * changed. */
bool logs_add(struct logs_writer *w, const struct logs_record *record);

/* The chunk, packed where that makes it smaller; it has a record.  buf has LOGS_BYTES_MAX bytes.
 * RC_NO_MEMORY. */
must_check enum rc logs_end(struct logs_writer *w, uint8_t *buf, struct bytes *ret,
                            struct err *err);

/* ---- reading ---- */

/* A chunk that is read; the buffer is the caller's, and outlives it. */
struct logs_reader {
    uint64_t instance;
    uint64_t first, last; /* numbers of its lines, missing ones too */
    uint64_t offset;      /* of the first */
    uint64_t end;         /* behind the last: bytes that had been printed then */
    struct cbor_in records;
    uint32_t left;
    uint64_t next, next_offset, time_ms;
};

/* Unpack a chunk into buf, of LOGS_PLAIN_MAX bytes, and check all of it.  RC_MAIL_FORMAT, a CBOR
 * code, RC_NO_MEMORY; *ret is then untouched. */
must_check enum rc logs_open(struct bytes in, uint8_t *buf, struct logs_reader *ret,
                             struct err *err);

/* The next record; false at the end. */
bool logs_next(struct logs_reader *r, struct logs_record *ret);

/* ---- asking ---- */

/* What of a payload's log is to come down, beside what comes unasked. */
struct logs_request {
    uint64_t instance, number; /* from this line on; 0, 0 = from the oldest */
    uint64_t since_ms;         /* and not before this Unix time; 0 = whenever */
    uint64_t bytes;            /* of the log as it lies on board, at most; never 0 */
    bool newest;               /* the last of it, and not the first */
};

/* buf has LOGS_REQUEST_MAX bytes. */
must_check enum rc logs_request_encode(const struct logs_request *request, uint8_t *buf,
                                       struct bytes *ret, struct err *err);

/* Decode all of it.  RC_MAIL_FORMAT or a CBOR code; *ret is then untouched. */
must_check enum rc logs_request_decode(struct bytes in, struct logs_request *ret, struct err *err);

#endif
