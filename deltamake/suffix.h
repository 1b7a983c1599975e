/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/suffix: the longest match of some bytes anywhere in a text, by its sorted suffixes.
 *
 * Ground only.  The text is our own image of files; it is not copied and must stay as it is.
 */
#ifndef BERTH_DELTAMAKE_SUFFIX_H
#define BERTH_DELTAMAKE_SUFFIX_H

#include "base/bytes.h"
#include "base/err.h"

/* Texts above this are refused: positions are 32-bit signed in the sorted order. */
#define SUFFIX_TEXT_MAX (1024U * 1024 * 1024)

/* Sorted suffixes of text.  Owns order and first. */
struct suffix {
    struct bytes text;
    int32_t *order;  /* text positions, by the bytes that follow them */
    uint32_t *first; /* where the suffixes that begin with two given bytes begin in order */
};

/* Where in the text a pattern's longest prefix was found. */
struct suffix_hit {
    uint64_t at;
    uint64_t n;
};

/* Sort the suffixes of text.  RC_TOO_LARGE above SUFFIX_TEXT_MAX, RC_NO_MEMORY.  The caller calls
 * suffix_done. */
must_check enum rc suffix_init(struct bytes text, struct suffix *ret, struct err *err);

/* Free what it holds; a zeroed struct is fine. */
void suffix_done(struct suffix *s);

/* The longest prefix of pattern that occurs in the text, and where: of several places the nearest
 * to `near`, as far as they are looked at.  n is 0 when no occurrence of at least two bytes is
 * there.
 */
struct suffix_hit suffix_find(const struct suffix *s, struct bytes pattern, uint64_t near);

/* Length of the common prefix of a and b. */
size_t suffix_common(struct bytes a, struct bytes b);

#endif
