/* SPDX-License-Identifier: Apache-2.0
 *
 * link/solve: what is missing of a group of an object under way, from the repairs that are held.
 * Part of link/partial.
 *
 * A repair is authentic and not trusted: only the digests of the chunks that come out tell whether
 * all that went in was right.  When they do not match, what can be checked by itself (chunks that
 * were there, slots of the repairs' file) is read again; what is left then is a repair that came
 * wrong.  Which one, no k symbols of a group of k can tell.  One more does: it fits the others but
 * for an error in a single one of them, and that one is found by one hash for each.  The group is
 * doubted until that further chunk or repair comes.  With two wrong ones or more all repairs of the
 * group go: looking for those would be work without bounds.
 */
#ifndef BERTH_LINK_SOLVE_H
#define BERTH_LINK_SOLVE_H

#include "link/partial.h"

/* Solve a group that has at least as many repairs as missing chunks, of which there is one.  more
 * is a repair that is not held, or NULL.  Afterwards the group is whole and its repairs are spent;
 * or RC_CHUNK_DIGEST, and what was found to be wrong is gone, which is all of its repairs when
 * nothing better is known.  RC_NO_MEMORY, RC_NO_SPACE, RC_IO: nothing has changed. */
must_check enum rc solve_group(struct partial *p, uint32_t group,
                               const struct transfer_repair *more, struct err *err);

#endif
