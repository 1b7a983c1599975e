/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/asked: the plan that a ground elsewhere answers with (docs/wire/orders-api.md), from
 * bytes to a struct.  The ground is believed nothing: what is for the terminal is made harmless,
 * what is to be signed is for orchestrator/look.  Pure.
 */
#ifndef BERTH_ORCHESTRATOR_ASKED_H
#define BERTH_ORCHESTRATOR_ASKED_H

#include "orchestrator/json.h"
#include "orchestrator/look.h"
#include "orchestrator/remote.h"

/* 32 MiB of requests in base64, which is what a ground keeps of a plan, and the plan. */
#define ASKED_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ASKED_NAME_CAP 65U
#define ASKED_ID_CAP 65U

struct asked {
    char id[ASKED_ID_CAP];   /* what the plan is kept by; "" = there is nothing to do */
    char hash[ASKED_ID_CAP]; /* of the plan */
    uint64_t undo;           /* rollout, 0 = none */
    bool staged;
    json_t *plan;  /* as plan --json prints it, harmless to a terminal: an object, owned */
    char *printed; /* as plan prints it, harmless to a terminal; owned, "" = nothing came */
    size_t n;
    struct look_in *request; /* by name; views of what is owned here */
    char (*name)[ASKED_NAME_CAP];
    uint8_t *bytes;
};
void asked_done(struct asked *asked); /* scope cleaner; fine on a zeroed one */

/* Read an answer.  An error that the server names comes back as it, with its fix in ret_fix.
 * RC_API_LIMIT: larger than these limits; RC_API_SERVER: it makes no sense. */
must_check enum rc asked_parse(unsigned status, struct bytes body, struct asked *ret,
                               char ret_fix[REMOTE_FIX_CAP], struct err *err);

#endif
