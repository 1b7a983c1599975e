/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/same: which files of a list have the same content.  Ground only; compared byte by byte.
 */
#ifndef BERTH_DELTAMAKE_SAME_H
#define BERTH_DELTAMAKE_SAME_H

#include "base/bytes.h"

/* first[i] = the number of the first file whose content is file i's, i itself when none is before
 * it.  False without memory. */
bool same_find(const struct bytes *files, uint32_t n, uint32_t *first);

#endif
