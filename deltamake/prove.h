/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/prove: a delta does what it is for.  Ground only.
 */
#ifndef BERTH_DELTAMAKE_PROVE_H
#define BERTH_DELTAMAKE_PROVE_H

#include "deltamake/files.h"
#include "deltamake/make.h"

/* Apply delta as a satellite does, within spec's memory; RC_INTERNAL unless exactly the new files
 * come out, or a code of delta/apply. */
must_check enum rc prove_delta(const struct make_spec *spec, const struct files *new,
                               struct bytes delta, struct err *err);

#endif
