/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/server_url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_ok(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 5 && text[n] == '\0' && strtoul(text, NULL, 10) <= 65535 && text[0] != '0';
}

static bool host_ok(const char *host, bool *ret_loopback)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1) {
        *ret_loopback = ntohl(four.s_addr) >> 24 == 127;
        return true;
    }
    if (host[0] == '[') {
        char text[64];
        const size_t n = strlen(host);

        if (n < 3 || n >= sizeof text || host[n - 1] != ']')
            return false;
        (void)snprintf(text, sizeof text, "%.*s", (int)(n - 2), host + 1);
        if (inet_pton(AF_INET6, text, &six) != 1)
            return false;
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&six);
        return true;
    }
    *ret_loopback = false;
    return host[0] != '\0' && host[0] != '-' && host[0] != '.' &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
               '\0';
}

enum rc server_url_check(const char *text, struct err *err)
{
    const bool tls = strncmp(text, "https://", 8) == 0;
    const char *rest = tls ? text + 8 : text + 7;
    char host[SERVER_URL_CAP];
    bool loopback = false;

    if ((!tls && strncmp(text, "http://", 7) != 0) || strlen(text) >= SERVER_URL_CAP)
        return err_set(err, RC_VALUE, "'%.60s' is no https://HOST[:PORT]", text);
    (void)snprintf(host, sizeof host, "%s", rest);
    char *colon = strrchr(host, ':');

    if (colon && !strchr(colon, ']')) {
        *colon = '\0';
        if (!port_ok(colon + 1))
            return err_set(err, RC_VALUE, "port of '%.60s'", text);
    }
    if (!host_ok(host, &loopback))
        return err_set(err, RC_VALUE, "host of '%.60s'", text);
    return tls || loopback
               ? RC_OK
               : err_set(err, RC_VALUE, "'%.60s' without TLS: anybody could read the token", text);
}
