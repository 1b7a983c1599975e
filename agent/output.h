/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/output: what a payload prints, kept in log/TENANT.NAME.log and one older file beside it.
 *
 * The payload is hostile: control bytes become '?', so that nobody's terminal is driven by a log;
 * a file is bounded, and so is what is written in a second and in an hour.  What comes faster is
 * dropped, and the file says how much; what comes much faster is left in the pipe until the next
 * second, where the payload waits for it.
 */
#ifndef BERTH_AGENT_OUTPUT_H
#define BERTH_AGENT_OUTPUT_H

#include "agent/output_budget.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define OUTPUT_FILE_MAX (256U * 1024U) /* bytes of one file; there are two */
#define OUTPUT_WRITE_MAX (16U * 1024U) /* bytes kept in a second */
#define OUTPUT_READ_MAX (256U * 1024U) /* bytes read in a second */

struct output {
    int dir;                        /* borrowed */
    int fd;                         /* -1 = not writable: everything is dropped */
    char name[2U * NAME_CAP + 8U];  /* TENANT.NAME.log */
    uint32_t size;                  /* of the file */
    uint32_t write_left, read_left; /* until the next tick */
    struct output_budget *budget;   /* borrowed; NULL = none */
    uint64_t dropped;               /* bytes that the file does not tell of yet */
};

/* Open or create the file below dir.  A failure only means that nothing is kept. */
void output_open(struct output *out, int dir, const char *tenant, const char *name,
                 struct output_budget *budget);
void output_close(struct output *out);

/* Read from the pipe without blocking and keep what may be kept.  RC_OK: read something.
 * RC_TIMEOUT: nothing is there.  RC_SHORT: the writers are gone.  RC_BUSY: enough for this
 * second. */
must_check enum rc output_pump(struct output *out, int pipe, struct err *err);

/* A second has passed. */
void output_tick(struct output *out);

#endif
