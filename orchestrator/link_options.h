/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/link_options: what a satellite's labels say of its link.  Labels that begin with
 * "link-" are for this; what they may be:
 *
 *     link-way=one          no reports are to be expected (both: they are)
 *     link-repairs=N        repairs for 100 chunks, 0 to 100
 *     link-chunk-min=N      bytes of a chunk, 256 to 262144
 *     link-chunk-max=N
 */
#ifndef BERTH_ORCHESTRATOR_LINK_OPTIONS_H
#define BERTH_ORCHESTRATOR_LINK_OPTIONS_H

#include "link/sender.h"

/* Set in *ret what labels ("k=v,k=v") say; the rest of it stays.  RC_USAGE: an unknown or
 * impossible one, and *ret is untouched. */
must_check enum rc link_options(const char *labels, struct sender_options *ret, struct err *err);

#endif
