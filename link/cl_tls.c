/* SPDX-License-Identifier: Apache-2.0 */
#include "link/cl_tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>

/* TLS 1.3, or 1.2 with forward secrecy and AEAD, which is the least that RFC 9174 asks for. */
#define PRIORITY                                                                                   \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-256-GCM:+AES-128-GCM:"            \
    "+CHACHA20-POLY1305:+AEAD:+GROUP-ALL:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-"     \
    "SHA1:+COMP-NULL:+CTYPE-X509"
#define SAN_CAP 512U
#define NAMES_MAX 64U /* alternative names of one certificate that are looked at */

struct cl_tls {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
};

struct cl_tls_link {
    gnutls_session_t session;
};

static enum rc failed(struct err *err, const char *what, int code)
{
    return err_set(err, RC_CL_PEER, "%s: %s", what, gnutls_strerror(code));
}

void cl_tls_close(struct cl_tls **tls)
{
    if (!*tls)
        return;
    if ((*tls)->credentials)
        gnutls_certificate_free_credentials((*tls)->credentials);
    if ((*tls)->priority)
        gnutls_priority_deinit((*tls)->priority);
    free(*tls);
    *tls = NULL;
}

enum rc cl_tls_open(const char *ca, const char *cert, const char *key, bool ignore_dates,
                    struct cl_tls **ret, struct err *err)
{
    scoped(cl_tls_close) struct cl_tls *tls = calloc(1, sizeof *tls);
    int got;

    if (!tls || gnutls_certificate_allocate_credentials(&tls->credentials) < 0)
        return err_set(err, RC_IO, "no memory for TLS");
    got = gnutls_certificate_set_x509_trust_file(tls->credentials, ca, GNUTLS_X509_FMT_PEM);
    if (got <= 0)
        return failed(err, ca, got == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : got);
    got = gnutls_certificate_set_x509_key_file(tls->credentials, cert, key, GNUTLS_X509_FMT_PEM);
    if (got < 0)
        return failed(err, cert, got);
    if (ignore_dates)
        gnutls_certificate_set_verify_flags(tls->credentials, GNUTLS_VERIFY_DISABLE_TIME_CHECKS);
    got = gnutls_priority_init(&tls->priority, PRIORITY, NULL);
    if (got < 0)
        return failed(err, "priorities", got);
    *ret = tls;
    tls = NULL;
    return RC_OK;
}

void cl_tls_end(struct cl_tls_link **link)
{
    if (!*link)
        return;
    if ((*link)->session)
        gnutls_deinit((*link)->session);
    free(*link);
    *link = NULL;
}

enum rc cl_tls_begin(const struct cl_tls *tls, bool client, int fd, struct cl_tls_link **ret,
                     struct err *err)
{
    scoped(cl_tls_end) struct cl_tls_link *link = calloc(1, sizeof *link);
    unsigned side = client ? GNUTLS_CLIENT : GNUTLS_SERVER;

    if (!link)
        return err_set(err, RC_IO, "no memory for TLS");

    /* No tickets: a session that is taken up again would not show its certificate again. */
    int got =
        gnutls_init(&link->session, side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);

    if (got >= 0)
        got = gnutls_priority_set(link->session, tls->priority);
    if (got >= 0)
        got = gnutls_credentials_set(link->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (got < 0)
        return failed(err, "TLS session", got);
    if (!client)
        gnutls_certificate_server_set_request(link->session, GNUTLS_CERT_REQUIRE);
    /* Verified within the handshake: a peer without a good certificate gets no session at all. */
    gnutls_session_set_verify_cert(link->session, NULL, 0);
    gnutls_handshake_set_timeout(link->session, 0); /* tcpcl_tick is the judge of that */
    gnutls_transport_set_int(link->session, fd);
    *ret = link;
    link = NULL;
    return RC_OK;
}

static enum cl_io waits(const struct cl_tls_link *link)
{
    return gnutls_record_get_direction(link->session) == 0 ? CL_IO_READ : CL_IO_WRITE;
}

static enum rc handshake_failed(const struct cl_tls_link *link, int got, struct err *err)
{
    unsigned status = gnutls_session_get_verify_cert_status(link->session);

    if (got != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
        return failed(err, "TLS handshake", got);
    if ((status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) != 0)
        return err_set(err, RC_CL_PEER, "certificate of the peer: not valid at this time");
    if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0)
        return err_set(err, RC_CL_PEER, "certificate of the peer: of an unknown authority");
    return err_set(err, RC_CL_PEER, "certificate of the peer: status %#x", status);
}

enum cl_io cl_tls_handshake(struct cl_tls_link *link, struct err *err)
{
    int got = gnutls_handshake(link->session);

    if (got == GNUTLS_E_SUCCESS)
        return CL_IO_DONE;
    if (gnutls_error_is_fatal(got) == 0)
        return waits(link);
    (void)handshake_failed(link, got, err);
    (void)gnutls_alert_send_appropriate(link->session, got);
    return CL_IO_FAILED;
}

/* The value of an other name: an IA5String (RFC 9174 section 4.4.2.1). */
static bool is_ia5(struct bytes der, const char *want)
{
    struct bytes text = bytes_of(want);
    size_t head = 2;

    if (der.n < 2 || der.p[0] != 0x16)
        return false;
    if (der.p[1] == 0x81)
        head = 3; /* the longest node id fits into one byte of length */
    else if (der.p[1] >= 0x80)
        return false;
    if (der.n < head || der.n - head != der.p[head - 1])
        return false;
    return bytes_equal((struct bytes){ der.p + head, der.n - head }, text);
}

static bool names_node(gnutls_x509_crt_t crt, const char *node_id)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        uint8_t value[SAN_CAP];
        char oid[64];
        size_t n = sizeof value;
        size_t n_oid = sizeof oid;
        int got = gnutls_x509_crt_get_subject_alt_name(crt, i, value, &n, NULL);

        if (got == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (got != GNUTLS_SAN_OTHERNAME ||
            gnutls_x509_crt_get_subject_alt_othername_oid(crt, i, oid, &n_oid) !=
                GNUTLS_SAN_OTHERNAME ||
            strcmp(oid, CL_TLS_BUNDLE_EID) != 0)
            continue;
        if (is_ia5((struct bytes){ value, n }, node_id))
            return true;
    }
    return false;
}

enum rc cl_tls_is_node(const struct cl_tls_link *link, const char *node_id, const char *dns,
                       struct err *err)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(link->session, &n);
    gnutls_x509_crt_t crt = NULL;
    bool is = false;

    if (!chain || n == 0 || gnutls_x509_crt_init(&crt) < 0)
        return err_set(err, RC_CL_PEER, "the peer shows no certificate");
    if (gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0)
        is = names_node(crt, node_id) || (dns && gnutls_x509_crt_check_hostname2(crt, dns, 0) != 0);
    gnutls_x509_crt_deinit(crt);
    return is ? RC_OK
              : err_set(err, RC_CL_PEER, "certificate of the peer does not name %s", node_id);
}

enum cl_io cl_tls_read(struct cl_tls_link *link, uint8_t *buf, size_t cap, size_t *ret_n)
{
    ssize_t got = gnutls_record_recv(link->session, buf, cap);

    *ret_n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return CL_IO_DONE;
    if (got == 0)
        return CL_IO_END;
    return gnutls_error_is_fatal((int)got) == 0 ? waits(link) : CL_IO_FAILED;
}

enum cl_io cl_tls_write(struct cl_tls_link *link, const uint8_t *buf, size_t n, size_t *ret_n)
{
    ssize_t got = gnutls_record_send(link->session, buf, n);

    *ret_n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return CL_IO_DONE;
    return gnutls_error_is_fatal((int)got) == 0 ? waits(link) : CL_IO_FAILED;
}

void cl_tls_bye(struct cl_tls_link *link)
{
    (void)gnutls_bye(link->session, GNUTLS_SHUT_WR);
}
