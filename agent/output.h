/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/output: what a payload prints, kept line by line (agent/logline) in log/TENANT.NAME.log and
 * one older file beside it, from where agent/logs sends it down.
 *
 * The payload is hostile: control bytes become '?', so that nobody's terminal is driven by a log;
 * a line is cut into pieces where it is long, and kept unfinished when nothing follows; a file is
 * bounded, and so is what is written in a second and in an hour.  What comes faster is dropped,
 * line by line, and the file says how much and why; what comes much faster is left in the pipe
 * until the next second, where the payload waits for it.
 *
 * The files are not synced: a power cut may take what the kernel had not written yet, half a
 * minute. Numbers are of a start, so what is lost is seen by them, and none is used twice.
 */
#ifndef BERTH_AGENT_OUTPUT_H
#define BERTH_AGENT_OUTPUT_H

#include "agent/output_budget.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "link/logs.h"

#define OUTPUT_FILE_MAX (256U * 1024U) /* bytes of one file; there are two */
#define OUTPUT_WRITE_MAX (16U * 1024U) /* bytes kept in a second */
#define OUTPUT_READ_MAX (256U * 1024U) /* bytes read in a second */
#define OUTPUT_OLDER ".old"

struct output_part; /* a line that has not ended yet */

struct output {
    int dir;                        /* borrowed */
    int fd;                         /* -1 = not writable: everything is dropped */
    char name[2U * NAME_CAP + 8U];  /* TENANT.NAME.log */
    uint32_t size;                  /* of the file */
    uint32_t write_left, read_left; /* until the next tick */
    struct output_budget *budget;   /* borrowed; NULL = none */
    uint64_t instance;
    uint64_t number, offset; /* of the next line */
    uint64_t now_ms;         /* Unix time, as it was told last */
    uint64_t kept;           /* bytes of the files that were written */
    enum logs_why why;       /* of what the file does not tell of yet: */
    uint64_t lost_lines, lost_bytes;
    struct output_part *part; /* one for each of LOGS_OUT and LOGS_ERR; NULL: no memory */
};

/* Write the name of a payload's file into out. */
void output_name(const char *tenant, const char *name, char out[2U * NAME_CAP + 8U]);

/* Open or create the file below dir, for a start of a payload.  A failure only means that nothing
 * is kept. */
void output_open(struct output *out, int dir, const char *tenant, const char *name,
                 uint64_t instance, struct output_budget *budget, uint64_t now_ms);

/* Keep what is unfinished, and what is to be told; also of one that was never opened, fd being -1.
 */
void output_close(struct output *out);

/* A line of the agent's own, printable ASCII; it is kept even if the hour is used up. */
void output_note(struct output *out, const char *text, uint64_t now_ms);

/* Read from the pipe without blocking and keep what may be kept, as what came on LOGS_OUT or
 * LOGS_ERR.  RC_OK: read something.  RC_TIMEOUT: nothing is there.  RC_SHORT: the writers are gone.
 * RC_BUSY: enough for this second. */
must_check enum rc output_pump(struct output *out, int pipe, enum logs_stream stream,
                               uint64_t now_ms, struct err *err);

/* A second has passed. */
void output_tick(struct output *out, uint64_t now_ms);

#endif
