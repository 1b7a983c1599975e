/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_api: what the paths of the bus mean (docs/wire/bus.md): requests to questions for
 * berthd, its answers to responses.  Pure; runs in berth-bus.
 */
#ifndef BERTH_AGENT_BUS_API_H
#define BERTH_AGENT_BUS_API_H

#include "agent/buswire.h"
#include "agent/http.h"

#define BUS_WAIT_S_MAX 60U /* longest wait for a message or a command */

/* The question that a request comes to, and for how long its client waits if there is nothing yet.
 * RC_NOT_FOUND, RC_BUS_METHOD, RC_BUS_REQUEST, RC_BUS_TOO_LARGE, RC_NAME; *ret is then untouched.
 */
must_check enum rc bus_api_ask(const struct http_request *request, struct bus_ask *ret,
                               uint32_t *ret_wait_s, struct err *err);

/* Whether an answer says that there is nothing yet. */
bool bus_api_is_empty(const struct bus_answer *answer);

/* The response to a client, from an answer that was checked. */
void bus_api_respond(const struct bus_answer *answer, bool close, struct http_response *ret);

/* The response to what was refused here. */
void bus_api_refuse(const struct err *err, bool close, struct http_response *ret);

#endif
