/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/filter: linux.seccomp of a config.json as a filter of its own, loaded beside ours: it can
 * only take calls away.  Names of calls that the library does not know are passed over, as the
 * specification wants; what is not understood otherwise is refused.
 */
#ifndef BERTH_OCI_FILTER_H
#define BERTH_OCI_FILTER_H

#include <jansson.h>
#include <linux/filter.h>

#include "base/err.h"

/* Compile it; seccomp NULL: ret->len is 0.  ret->filter is the caller's to free.  RC_OCI_FORMAT,
 * RC_OCI_WANTS (a listener, a tracer, an error number 0: calls would seem done that are not). */
must_check enum rc oci_filter_build(const json_t *seccomp, struct sock_fprog *ret, struct err *err);

void oci_filter_done(struct sock_fprog *filter);

#endif
