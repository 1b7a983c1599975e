/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/strong: SHA-384 beside SHA-256 where the keys that will sign ask for it
 * (manifest/suite).  The store knows manifests by their SHA-256; the other digest is taken from the
 * package in the home, whose envelope was verified when it was pushed, and which is used only if
 * its SHA-256 still is the one asked for.
 */
#ifndef BERTH_ORCHESTRATOR_STRONG_H
#define BERTH_ORCHESTRATOR_STRONG_H

#include "orchestrator/home.h"

/* SHA-384 of a manifest.  RC_NO_PACKAGE if the store has no package with it, RC_DIGEST_MISMATCH if
 * the file in the home is another. */
must_check enum rc strong_manifest(const struct home *home, const struct digest *manifest,
                                   struct digest384 *ret, struct err *err);

/* Complete the lines of an order that the operator role of this trust, and perhaps the safety role,
 * is to sign. */
must_check enum rc strong_order(const struct home *home, const struct root *root,
                                struct order *order, struct err *err);

/* The same for the entries of a revocation, which the root role signs. */
must_check enum rc strong_revocation(const struct home *home, const struct trust *trust,
                                     struct revocation *doc, struct err *err);

#endif
