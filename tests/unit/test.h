/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/test: cmocka with the includes it needs first, in the one order that compiles.
 */
#ifndef BERTH_TESTS_UNIT_TEST_H
#define BERTH_TESTS_UNIT_TEST_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"

/* A call must end in exactly this code; says which by name. */
#define assert_rc(call, want)                                                                      \
    do {                                                                                           \
        enum rc got_ = (call);                                                                     \
        if (got_ != (want))                                                                        \
            fail_msg("%s: got %s, want %s", #call, rc_name(got_), rc_name(want));                  \
    } while (0)

#endif
