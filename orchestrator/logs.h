/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/logs: what payloads have printed, in the home.
 *
 *     mail/.logs/TENANT/SATELLITE/PAYLOAD/INSTANCE-FIRST-LAST   one chunk (link/logs)
 *
 * A chunk is authentic as its satellite's, which may be in wrong hands; the text is the payload's.
 * Chunks may overlap, and come in any order: a line is told once, in the order of the numbers, and
 * what is missing between is told with its count, and with the reason if any chunk has one.  Of a
 * payload the newest LOGS_KEPT_MAX chunks are kept, each of LOGS_BYTES_MAX bytes at most.
 */
#ifndef BERTH_ORCHESTRATOR_LOGS_H
#define BERTH_ORCHESTRATOR_LOGS_H

#include "link/logs.h"
#include "link/mail.h"
#include "orchestrator/home.h"

#define LOGS_DIR "mail/.logs"
#define LOGS_KEPT_MAX 4096U

/* Keep a chunk of a satellite, an object in fd whose head this is; one that is kept already stays.
 * RC_MAIL_FORMAT or a CBOR code: it never will be kept. */
must_check enum rc logs_keep(const struct home *home, const char *satellite,
                             const struct mail *head, int fd, struct err *err);

/* A line, or what is missing before the next one. */
struct logs_told {
    uint64_t instance;
    struct logs_record record; /* of a gap: time_ms is that of the line behind it, or, at the end,
                                * of the last there is; why is LOGS_UNKNOWN if nobody has said */
    uint64_t came_ms;          /* Unix time at which its chunk came; of a gap that of the line
                                * behind it, or, at the end, of the chunk that tells of it */
};

/* Where to begin: behind this line. */
struct logs_cursor {
    uint64_t instance, number;
};

/* Call fn for every line of a payload behind *after in the order of its numbers, and for every gap,
 * until fn returns false; what is damaged is passed over, and shows as a gap.  RC_NOT_FOUND:
 * nothing has come at all. */
must_check enum rc logs_list(const struct home *home, const char *tenant, const char *satellite,
                             const char *payload, const struct logs_cursor *after,
                             bool (*fn)(void *arg, const struct logs_told *told), void *arg,
                             struct err *err);

/* A reason in words: "too fast"; "not here" for LOGS_UNKNOWN. */
const char *logs_why_text(enum logs_why why);

/* A line's text for a terminal: printable ASCII and tabs as they are, anything else as \xNN, and a
 * backslash before an x as \x5c, so that \xNN never stands for itself.  To be freed; NULL without
 * memory. */
char *logs_printable(struct bytes text);

#endif
