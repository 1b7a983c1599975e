/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-api: the HTTP API and the web console (docs/guide/operator.md).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "orchestrator/api_http.h"

#define PEM_MAX ((size_t)64 * 1024)
#define BACKLOG 64

struct program {
    const char *home, *listen, *cert, *key, *ca;
    char *cert_text, *key_text, *ca_text; /* PEM, with NUL */
};

static const struct option options[] = {
    { "home", required_argument, NULL, 'H' },
    { "listen", required_argument, NULL, 'l' },
    { "tls-cert", required_argument, NULL, 'c' },
    { "tls-key", required_argument, NULL, 'k' },
    { "client-ca", required_argument, NULL, 'a' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

static void usage(FILE *out)
{
    (void)fputs("usage: berth-api [--home DIR] [--listen ADDRESS:PORT] [options]\n"
                "  --home DIR          home directory (else $BERTH_HOME, else .berth)\n"
                "  --listen WHERE      127.0.0.1:8480; [ADDRESS]:PORT for IPv6; port 0 = any\n"
                "  --tls-cert FILE     certificates, PEM; without them only loopback is served\n"
                "  --tls-key FILE      their private key, PEM\n"
                "  --client-ca FILE    turn away clients without a certificate of this authority\n"
                "Tokens: berth token new NAME --role ROLE\n",
                out);
}

static bool parse(struct program *p, int argc, char **argv)
{
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'H':
            p->home = optarg;
            break;
        case 'l':
            p->listen = optarg;
            break;
        case 'c':
            p->cert = optarg;
            break;
        case 'k':
            p->key = optarg;
            break;
        case 'a':
            p->ca = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            return false;
        }
    }
    if (optind == argc && !p->cert == !p->key && (!p->ca || p->cert))
        return true;
    usage(stderr);
    return false;
}

/* ---- the socket -------------------------------------------------------------------------------
 */

static bool read_port(const char *text, in_port_t *ret)
{
    char *end = NULL;
    unsigned long port = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 65536;

    if (!end || *end != '\0' || port > 65535)
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT"; names are not looked up. */
static bool read_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_n,
                         bool *ret_loopback)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

    if (n == 0 || n >= sizeof host || !read_port(colon + 1, &in.sin_port))
        return false;
    in6.sin6_port = in.sin_port;
    (void)snprintf(host, sizeof host, "%.*s", (int)n, text);
    *ret = (struct sockaddr_storage){ 0 };
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &in6.sin6_addr) != 1)
            return false;
        memcpy(ret, &in6, sizeof in6);
        *ret_n = sizeof in6;
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
        return true;
    }
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    memcpy(ret, &in, sizeof in);
    *ret_n = sizeof in;
    *ret_loopback = ntohl(in.sin_addr.s_addr) >> 24 == 127;
    return true;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage is = { 0 };
    struct sockaddr_in in;
    socklen_t n = sizeof is;

    if (getsockname(fd, (struct sockaddr *)&is, &n) != 0)
        return 0;
    memcpy(&in, &is, sizeof in); /* the port lies at the same place in both families */
    return ntohs(in.sin_port);
}

static enum rc open_socket(const struct program *p, int *ret, struct err *err)
{
    struct sockaddr_storage where;
    socklen_t n = 0;
    bool loopback = false;
    const int on = 1;

    if (!read_address(p->listen, &where, &n, &loopback))
        return err_set(err, RC_USAGE, "--listen %.80s", p->listen);
    if (!p->cert && !loopback)
        return err_set(err, RC_USAGE, "%.80s without --tls-cert: tokens would be readable",
                       p->listen);
    scoped(close_fd) int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&where, n) != 0 || listen(fd, BACKLOG) != 0)
        return err_sys(err, RC_IO, "%.80s", p->listen);
    *ret = take_fd(&fd);
    return RC_OK;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static enum rc read_pem(const char *path, char **ret, struct err *err)
{
    uint8_t *content = NULL;
    size_t n = 0;

    if (!path)
        return RC_OK;
    enum rc rc = fs_read_alloc(AT_FDCWD, path, PEM_MAX, &content, &n, err);

    if (rc != RC_OK)
        return rc;
    *ret = strndup((const char *)content, n);
    explicit_bzero(content, n);
    free(content);
    return *ret ? RC_OK : err_set(err, RC_NO_MEMORY, "%s", path);
}

static void forget(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static int run(struct program *p)
{
    scoped(api_http_stop) struct api_http *http = NULL;
    struct err err = { 0 };
    sigset_t signals;
    int fd = -1, signal = 0;
    enum rc rc = read_pem(p->cert, &p->cert_text, &err);

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (rc == RC_OK)
        rc = read_pem(p->key, &p->key_text, &err);
    if (rc == RC_OK)
        rc = read_pem(p->ca, &p->ca_text, &err);
    if (rc == RC_OK)
        rc = open_socket(p, &fd, &err);
    unsigned port = rc == RC_OK ? port_of(fd) : 0;

    if (rc == RC_OK)
        rc = api_http_start(&(struct api_http_options){ .home = p->home,
                                                        .listen_fd = fd,
                                                        .key = p->key_text,
                                                        .cert = p->cert_text,
                                                        .ca = p->ca_text },
                            &http, &err);
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "start");
        return rc == RC_USAGE ? 2 : 1;
    }
    log_event(LOG_LEVEL_INFO, "ready home=%s port=%u tls=%s", p->home, port,
              p->cert ? "yes" : "no");
    (void)sd_notify(0, "READY=1");
    (void)sigwait(&signals, &signal);
    (void)sd_notify(0, "STOPPING=1");
    api_http_stop(&http);
    log_event(LOG_LEVEL_INFO, "stopped");
    return 0;
}

int main(int argc, char **argv)
{
    const char *env = getenv("BERTH_HOME");
    struct program p = { .home = env && env[0] ? env : ".berth", .listen = "127.0.0.1:8480" };

    log_open("berth-api", LOG_LEVEL_INFO);
    if (!parse(&p, argc, argv))
        return 2;
    /* Nobody sits here to be asked for the passphrase of a key that signs the audit log. */
    (void)setenv("BERTH_PASSPHRASE_FILE", "/dev/null", 0);
    int code = run(&p);

    forget(&p.cert_text);
    forget(&p.key_text);
    forget(&p.ca_text);
    return code;
}
