/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/text: files in the form in which the maker compares them.  Every reference that
 * delta/refs finds is replaced by a hash of what it points at, so that code which only moved looks
 * the same.
 *
 * Ground only.  The files are hostile (a tenant built them); a misread costs bytes, never
 * correctness.
 */
#ifndef BERTH_DELTAMAKE_TEXT_H
#define BERTH_DELTAMAKE_TEXT_H

#include "base/bytes.h"
#include "base/err.h"

/* A file inside the text of all files. */
struct text_run {
    uint64_t at; /* in the text */
    uint64_t n;
    uint64_t from;  /* position of its first byte in the image of old files */
    uint32_t file;  /* number in the caller's list */
    uint32_t shift; /* bits that it is read later */
};

/* Runs lie one behind the other without gaps.  Owns bytes and runs. */
struct text {
    uint8_t *bytes;
    struct text_run *runs;
    size_t n;     /* bytes in all */
    size_t plain; /* bytes of the runs that are not shifted; these come first */
    uint32_t n_runs;
    uint32_t n_plain; /* runs that are not shifted */
};

/* Write in, with its references masked unless plain is set, to out, which has room for in.n bytes.
 */
must_check enum rc text_mask(struct bytes in, bool plain, uint8_t *out, struct err *err);

/* LLVM bitcode: its fields begin at any bit. */
bool text_is_bits(struct bytes file);

/* All n files, masked; bitcode seven more times, each a bit further shifted.  A file that is the
 * same as an earlier one is left out.  RC_TOO_LARGE above max bytes.  The caller calls text_done.
 */
must_check enum rc text_init(const struct bytes *files, uint32_t n, bool plain, uint64_t max,
                             struct text *ret, struct err *err);
void text_done(struct text *t);

/* The run that holds position at, which is below t->n. */
const struct text_run *text_run_of(const struct text *t, uint64_t at);

/* The unshifted run of a file; NULL when it was left out. */
const struct text_run *text_run_of_file(const struct text *t, uint32_t file);

#endif
