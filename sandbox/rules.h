/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/rules: with which arguments calls of class RULES are allowed, as a table.
 *
 * There is one kind of rule: the call is allowed if each of up to three arguments, cut by a mask,
 * has one value.  A rule never says what is forbidden: two such rules would be read as "or" and
 * allow everything.  Where the kernel takes an int, the mask lies within 32 bits: the rest of the
 * register is the caller's to fill, and a compare of all 64 bits is passed by setting one of them.
 * rules_check refuses a table that does anything else, before a filter is made from it.
 */
#ifndef BERTH_SANDBOX_RULES_H
#define BERTH_SANDBOX_RULES_H

#include "base/err.h"
#include "sandbox/calls.h"

/* Which grant a rule belongs to: bits of the mask that plans carry.  None = always. */
#define PROFILE_NET 1U
#define PROFILE_DEVICE 2U
#define PROFILE_LEGACY 4U
#define PROFILE_ALL 7U
#define PROFILE_MASKS 8U /* how many masks there are */

enum cond_test {
    COND_EQUAL = 1,
    COND_NOT_EQUAL, /* never allowed in a table: only rules_check knows it */
};

struct cond {
    uint8_t arg;  /* which, from 0 */
    uint8_t test; /* enum cond_test */
    uint64_t mask;
    uint64_t value;
};

#define RULE_CONDS_MAX 3U

struct rule {
    enum call call;
    uint32_t profile; /* one PROFILE_ bit, or 0 = always */
    uint32_t n;       /* conditions */
    struct cond cond[RULE_CONDS_MAX];
};

/* The table, by call: rules of one call follow each other. */
const struct rule *rules_table(size_t *ret_n);

/* Whether a table is fit to make a filter from: only calls of class RULES; only COND_EQUAL; ints
 * (as the kernel declares the argument) by a mask within 32 bits that is not 0, pointers by all of
 * their bits against NULL only; no bit in the value that the mask cuts off; no argument twice, none
 * that the call does not have; rules of one call together.  RC_VALUE. */
must_check enum rc rules_check(const struct rule *rules, size_t n, struct err *err);

/* Whether the arguments are allowed for a call of class RULES in a profile: the table as read, not
 * as compiled. */
bool rules_allow(uint32_t profile, enum call call, const uint64_t args[6]);

#define RULES_PROFILE_CAP 40U

/* Words for a mask of PROFILE_ bits, such as "compute net device". */
const char *rules_profile_name(uint32_t profile, char *buf, size_t size);

#endif
