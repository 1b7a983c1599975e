/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_tls: TLS for the TCP convergence layer (RFC 9174 section 4.4): the one door to GnuTLS.
 *
 * Both sides show a certificate and check that of the other against the same kind of authority.  A
 * certificate names its node by a subject alternative name of the form id-on-bundleEID (RFC 9174
 * section 4.4.2.1); where an authority cannot make those, a DNS name may be agreed on instead.
 */
#ifndef BERTH_LINK_CL_TLS_H
#define BERTH_LINK_CL_TLS_H

#include "base/bytes.h"
#include "base/err.h"

#define CL_TLS_BUNDLE_EID "1.3.6.1.5.5.7.8.11" /* id-on-bundleEID */

/* What a call on a non-blocking connection came to. */
enum cl_io {
    CL_IO_DONE,
    CL_IO_READ,  /* again when there is something to read */
    CL_IO_WRITE, /* again when there is room to write */
    CL_IO_END,   /* the other side has closed */
    CL_IO_FAILED,
};

/* Certificates and keys, read once. */
struct cl_tls;
must_check enum rc cl_tls_open(const char *ca, const char *cert, const char *key, bool ignore_dates,
                               struct cl_tls **ret, struct err *err);
void cl_tls_close(struct cl_tls **tls); /* scope cleaner */

/* One connection.  tls and fd are borrowed. */
struct cl_tls_link;
must_check enum rc cl_tls_begin(const struct cl_tls *tls, bool client, int fd,
                                struct cl_tls_link **ret, struct err *err);
void cl_tls_end(struct cl_tls_link **link); /* NULL allowed; a scope cleaner */

/* The handshake, chain of the peer's certificate included; err only with CL_IO_FAILED. */
enum cl_io cl_tls_handshake(struct cl_tls_link *link, struct err *err);

/* Whether the peer's certificate is that of this node: by bundleEID, or else, if dns is not NULL,
 * by that name.  RC_CL_PEER. */
must_check enum rc cl_tls_is_node(const struct cl_tls_link *link, const char *node_id,
                                  const char *dns, struct err *err);

enum cl_io cl_tls_read(struct cl_tls_link *link, uint8_t *buf, size_t cap, size_t *ret_n);
enum cl_io cl_tls_write(struct cl_tls_link *link, const uint8_t *buf, size_t n, size_t *ret_n);

/* Tell the other side that nothing more comes. */
void cl_tls_bye(struct cl_tls_link *link);

#endif
