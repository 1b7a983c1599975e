/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/search: the matches of every new file, found by two threads.  Ground only.
 */
#ifndef BERTH_DELTAMAKE_SEARCH_H
#define BERTH_DELTAMAKE_SEARCH_H

#include "deltamake/files.h"
#include "deltamake/make.h"
#include "deltamake/match.h"
#include "deltamake/open.h"

/* Set lists[i] to the matches of new file i, for all of them; the caller frees each with
 * match_list_done, also after a failure.  plain: compare the bytes as they are, references
 * included.  *done counts bytes of new files for progress. */
must_check enum rc search_all(const struct make_spec *spec, const struct opened *files, bool plain,
                              struct match_list *lists, struct err *err);

#endif
