/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/telemetry: what payloads have put on their buses, in the home.
 *
 *     mail/.telemetry/TENANT/SATELLITE/PAYLOAD/INSTANCE-FIRST   one batch (link/telemetry)
 *
 * A batch is authentic as its satellite's, which may be in wrong hands; keys and values are the
 * payload's.  Of a payload the newest TELEMETRY_KEPT_MAX batches are kept.
 */
#ifndef BERTH_ORCHESTRATOR_TELEMETRY_H
#define BERTH_ORCHESTRATOR_TELEMETRY_H

#include "link/mail.h"
#include "link/telemetry.h"
#include "orchestrator/home.h"

#define TELEMETRY_KEPT_MAX 4096U

/* Keep a batch of a satellite, an object in fd whose head this is; one that is kept already stays.
 * RC_MAIL_FORMAT or a CBOR code: it never will be kept. */
must_check enum rc telemetry_keep(const struct home *home, const char *satellite,
                                  const struct mail *head, int fd, struct err *err);

/* Call fn for every batch of a payload in the order of its samples, until it returns false; what is
 * damaged is passed over, and shows as dropped.  RC_NOT_FOUND: none has come. */
must_check enum rc telemetry_list(const struct home *home, const char *tenant,
                                  const char *satellite, const char *payload,
                                  bool (*fn)(void *arg, const struct telemetry_batch *batch),
                                  void *arg, struct err *err);

#endif
