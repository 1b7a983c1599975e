/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/cursor.c: link/cursor.h, whose functions have their contracts there, and what it
 * takes from elsewhere.
 */
#include "base/err.h"

/* Assumed, not proven: it fills *err, and hands rc back (base/err.c, around vsnprintf). */
/*@ requires err == \null || \valid(err);
    assigns *err \from rc, at;
    ensures \result == rc;
*/
enum rc err_at(struct err *err, enum rc rc, uint64_t at, const char *fmt, ...);

#include "link/cursor.h"
