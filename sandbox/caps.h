/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/caps: the few capabilities that berth-launch keeps, in one constant, and how a payload
 * loses all of them.  The only file of the launcher that knows libcap.
 */
#ifndef BERTH_SANDBOX_CAPS_H
#define BERTH_SANDBOX_CAPS_H

#include "base/err.h"

/* Cut this process down to what launching needs (caps.c, launcher_caps); the rest leaves the
 * bounding set too, where that can be changed.  RC_LAYER_MISSING when one of them is not there. */
must_check enum rc caps_keep_launcher(bool bounding, struct err *err);

/* In the sandbox, while still root there: empty bounding and ambient set, then lock the securebits.
 */
must_check int caps_drop_bounding(void);
must_check int caps_lock_securebits(void);

/* After the last change of user: empty the three remaining sets.  All three functions are raw
 * system calls without allocation: 0, or -1 with errno. */
must_check int caps_drop_rest(void);

#endif
