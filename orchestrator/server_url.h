/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/server_url: which servers a token may be sent to.  Pure; it comes from a person, or
 * from a file that a person keeps.
 */
#ifndef BERTH_ORCHESTRATOR_SERVER_URL_H
#define BERTH_ORCHESTRATOR_SERVER_URL_H

#include "base/err.h"

#define SERVER_URL_CAP 256U

/* "https://HOST[:PORT]", with a name or an address; "http://" only with a loopback address written
 * out, since no name says where it will lead.  Nothing behind it, nobody's name in it.  RC_VALUE.
 */
must_check enum rc server_url_check(const char *text, struct err *err);

#endif
