/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_http: the API on a socket (docs/wire/openapi.json): HTTP/1.1 by libmicrohttpd,
 * one thread per connection, all commands one after the other.
 *
 * Nobody is trusted before the token: until then there is the page to log in and /healthz.  Sizes,
 * counts, rates and times of everything are bounded.
 */
#ifndef BERTH_ORCHESTRATOR_API_HTTP_H
#define BERTH_ORCHESTRATOR_API_HTTP_H

#include "base/err.h"

struct api_http_options {
    const char *home;
    int listen_fd; /* bound and listening; taken over */
    /* TLS, or all NULL: PEM text, which must live as long as the server.  With ca, clients without
     * a certificate of it are turned away. */
    const char *key, *cert, *ca;
};

struct api_http;

/* Start to serve.  Signals should be blocked: threads inherit that. */
must_check enum rc api_http_start(const struct api_http_options *options, struct api_http **ret,
                                  struct err *err);

/* End every connection and stop. */
void api_http_stop(struct api_http **http); /* scope cleaner */

#endif
