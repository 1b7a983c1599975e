/* SPDX-License-Identifier: Apache-2.0
 *
 * base/name: the names that may come from outside and become part of a file name or a table.
 */
#ifndef BERTH_BASE_NAME_H
#define BERTH_BASE_NAME_H

#include "base/bytes.h"

/* [a-z0-9-], 1 to NAME_MAX_LEN characters, no '-' at either end: tenants, payloads, satellites. */
bool name_valid(const char *text);

/* [A-Za-z0-9.+~_-], 1 to VERSION_MAX_LEN characters, first one a letter or digit, never "..":
 * versions. */
bool version_valid(const char *text);

#endif
