/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/cgroup_file: the small files of a control group, by name below a directory that is open.
 * The kernel writes them, so their content is believed; what is asked of a file that is not there
 * is 0 or nothing.
 */
#ifndef BERTH_SANDBOX_CGROUP_FILE_H
#define BERTH_SANDBOX_CGROUP_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Read a small file as text; "" when it is not there, or cannot be read.  0, or then -1 with errno,
 * for those to whom that is not the same as an empty one. */
int cgroup_get(int dir, const char *file, char *out, size_t cap);

/* The number that a file begins with. */
uint64_t cgroup_get_number(int dir, const char *file);

/* The value of the line "key value". */
uint64_t cgroup_get_keyed(int dir, const char *file, const char *key);

#endif
