/* SPDX-License-Identifier: Apache-2.0
 *
 * base/nesting: how deep JSON from outside lies in itself, before a parser that takes the stack for
 * each level sees it.
 */
#ifndef BERTH_BASE_NESTING_H
#define BERTH_BASE_NESTING_H

#include "base/bytes.h"

/* Whether arrays and objects lie in each other at most max deep.  What is no JSON is let through:
 * that is for the parser to say. */
bool nesting_within(struct bytes json, unsigned int max);

#endif
