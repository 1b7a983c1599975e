/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/logs_scan: from the two files of a payload's log to a chunk that goes down.  Pure: bytes
 * and a place come in, and a chunk and a place come out.
 */
#ifndef BERTH_AGENT_LOGS_SCAN_H
#define BERTH_AGENT_LOGS_SCAN_H

#include "link/logs.h"

/* The next line that is to go: of a start of the payload, with the bytes printed before it.  All
 * zero: the oldest there is. */
struct logs_place {
    uint64_t instance;
    uint64_t number;
    uint64_t offset;
};

/* What lies on the disk, the older file first; views. */
struct logs_files {
    struct bytes older, newer;
};

/* Where what is asked for begins.  False: there is nothing of it. */
bool logs_find(const struct logs_files *files, const struct logs_request *request,
               struct logs_place *ret);

/* Put into w, which is begun here with a bound of cap bytes, the lines from *place on that are of
 * one start of the payload, at most `most` bytes of the files; *place is then behind them.  Lines
 * that should be there and are not become a gap: because of `why` where older ones were
 * overwritten, LOGS_DISK within what is there.  *ret_more: there are lines behind that are wanted.
 * Returns the bytes of the files that were used; 0: there is nothing. */
uint64_t logs_collect(const struct logs_files *files, struct logs_place *place, enum logs_why why,
                      size_t cap, uint64_t most, struct logs_writer *w, bool *ret_more);

#endif
