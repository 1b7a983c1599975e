/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/match: which bytes of a new file resemble which bytes of the old ones.  After bsdiff's
 * scan (Percival, "Naive differences of executable code"): an alignment goes on as long as no
 * other one is clearly better, mismatches included.
 *
 * Ground only.
 */
#ifndef BERTH_DELTAMAKE_MATCH_H
#define BERTH_DELTAMAKE_MATCH_H

#include "delta/predict.h"
#include "deltamake/suffix.h"
#include "deltamake/text.h"

/* The matches of one new file.  Owns m. */
struct match_list {
    struct predict_match *m;
    uint32_t n;
    uint32_t cap;
};

/* Where to look. */
struct match_source {
    const struct text *old;
    const struct suffix *suffix; /* of the unshifted runs */
    const struct text_run *home; /* the old file at the new one's path; NULL when there is none */
};

/* Append the matches of a new file, masked as the old ones are, to *ret in order of position.
 * bits: shifted runs of home count, too.  RC_NO_MEMORY. */
must_check enum rc match_find(const struct match_source *from, struct bytes file, bool bits,
                              struct match_list *ret, struct err *err);
void match_list_done(struct match_list *list);

#endif
