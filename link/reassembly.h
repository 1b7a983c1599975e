/* SPDX-License-Identifier: Apache-2.0
 *
 * link/reassembly: whole bundles from fragments that other nodes made (RFC 9171 section 5.9).
 *
 * Berth never makes fragments, and its own bundles forbid them; this is for foreign bundles.
 * Fragments are believed nothing: they carry no security of their own, so whatever they claim is
 * only checked when the whole is decoded and its security blocks verify.  Memory and time are the
 * caller's; what a fragment claims of the whole's length costs nothing, only bytes that are there
 * take room.  Nothing is allocated.
 */
#ifndef BERTH_LINK_REASSEMBLY_H
#define BERTH_LINK_REASSEMBLY_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/bundle.h"

#define REASSEMBLY_SETS 16U          /* wholes under way at once */
#define REASSEMBLY_CELL 256U         /* bytes of a whole that share a cell */
#define REASSEMBLY_BLOCKS_MAX 2048U  /* encoded size of the other blocks of a whole */
#define REASSEMBLY_PRIMARY_MAX 1024U /* every primary block fits */

/* Bytes of one whole, aligned to the size of a cell. */
struct reassembly_cell {
    uint32_t next;
    uint32_t index;                      /* offset in the whole / REASSEMBLY_CELL */
    uint64_t have[REASSEMBLY_CELL / 64]; /* which bytes are there */
    uint8_t bytes[REASSEMBLY_CELL];
};

/* One whole under way.  Which one it is: its primary block and its length, so that fragments which
 * disagree about either never meet. */
struct reassembly_set {
    bool used;
    bool has_first; /* the fragment at offset 0 came: it has the other blocks */
    enum crc_type payload_crc;
    uint64_t payload_flags;
    uint64_t total;
    uint64_t have;        /* bytes of it */
    uint64_t first_ms;    /* when the fragment at offset 0 came */
    uint64_t deadline_ms; /* forgotten from then on */
    uint32_t first;       /* cells, in the order of their indices */
    uint32_t hint;        /* the one touched last */
    size_t primary_n;
    size_t blocks_n;
    uint8_t primary[REASSEMBLY_PRIMARY_MAX]; /* of the whole */
    uint8_t blocks[REASSEMBLY_BLOCKS_MAX];   /* all but the payload block */
};

struct reassembly_limits {
    uint64_t total_max; /* largest whole, in bytes */
    uint64_t
        wait_ms_max; /* a whole that is not complete so long after its first fragment is given up */
};

struct reassembly {
    struct reassembly_limits limits;
    struct reassembly_cell *cells;
    uint32_t n_cells;
    uint32_t free; /* list of free cells */
    uint32_t n_free;
    uint64_t expired;  /* counts since the start: wholes given up for their time, */
    uint64_t conflict; /* for fragments that contradict each other, */
    uint64_t refused;  /* fragments for which there was no room, */
    uint64_t repeated; /* fragments that brought nothing new, */
    uint64_t steps;    /* and cells looked at */
    struct reassembly_set sets[REASSEMBLY_SETS];
};

/* Begin empty, with n cells of the caller's memory. */
void reassembly_init(struct reassembly *r, const struct reassembly_limits *limits,
                     struct reassembly_cell *cells, uint32_t n);

/* Take one decoded fragment; its bytes are copied.  now_ms is monotonic.  *ret is the whole that it
 * completed, to be taken out before the next fragment is added, or NULL.
 *
 * RC_BUNDLE_FRAGMENT: no fragment, a total of 0 (unknown), or bytes that differ from those of
 * another fragment: nobody can tell which is right, so the whole is given up.  RC_TOO_LARGE: the
 * whole is above the limit, or its other blocks are.  RC_SPOOL_FULL: no set or no cells are free;
 * nothing has changed. */
must_check enum rc reassembly_add(struct reassembly *r, const struct bundle *fragment,
                                  uint64_t now_ms, struct reassembly_set **ret, struct err *err);

/* Encode a complete whole into out, with the other blocks of its first fragment (which waited since
 * set->first_ms: its age does not count that), and forget it.  Decode it like any bundle from
 * anybody.  RC_NO_ROOM, and it stays. */
must_check enum rc reassembly_take(struct reassembly *r, struct reassembly_set *set, uint8_t *out,
                                   size_t cap, struct bytes *ret, struct err *err);

/* Forget what has waited too long.  reassembly_add does it too. */
void reassembly_expire(struct reassembly *r, uint64_t now_ms);

#endif
