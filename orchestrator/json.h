/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/json: small helpers on top of jansson, for what the ground prints.  Values that come
 * from reports or files are hostile: text goes through json_safe, which keeps printable ASCII only.
 */
#ifndef BERTH_ORCHESTRATOR_JSON_H
#define BERTH_ORCHESTRATOR_JSON_H

#include <jansson.h>

#include "base/bytes.h"
#include "manifest/doc.h"

/* A string with every byte outside printable ASCII replaced by '?'. */
json_t *json_safe(const char *text);

/* Lower-case hex; an all-zero digest is null. */
json_t *json_digest(const struct digest *digest);
json_t *json_hex(struct bytes in);

/* Unsigned number; above 2^63 - 1 it is written as that (jansson knows signed integers only). */
json_t *json_uint(uint64_t value);

#endif
