/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/mail: messages of payloads in the home, and messages to them.
 *
 *     mail/TENANT/SATELLITE/PAYLOAD/NUMBER-NAME   what came, the content alone
 *                                  ...NAME.~DIGEST8   of the same number and name, and other
 * content mail/.spool/SATELLITE                       what is coming (link/receiver)
 *
 * What comes down is authentic as the satellite's, which may be in wrong hands: addresses and names
 * are checked, and the content is looked at by nobody.  It appears under its name when it is whole
 * and durable, and never in the place of another.
 */
#ifndef BERTH_ORCHESTRATOR_MAIL_H
#define BERTH_ORCHESTRATOR_MAIL_H

#include "link/mail.h"
#include "orchestrator/home.h"
#include "orchestrator/view.h"

#define MAIL_DIR "mail"
#define MAIL_ID_CAP (3U * NAME_CAP + MAIL_NAME_CAP + 20U)

/* The directory in which a satellite's messages are put together; the caller closes *ret_fd. */
must_check enum rc mail_open_spool(const struct home *home, const char *satellite, int *ret_fd,
                                   struct err *err);

/* Keep a message of a satellite that has come whole; one that is kept already is RC_OK.
 * It is believed only about payloads of its newest order or report.  RC_MAIL_FORMAT,
 * RC_MAIL_ADDRESS: it never will be kept.  ret says whose it is. */
must_check enum rc mail_keep(const struct home *home, const struct view_satellite *sat, int fd,
                             uint64_t size, struct mail *ret, struct err *err);

/* A message that is kept. */
struct mail_kept {
    char id[MAIL_ID_CAP]; /* TENANT/SATELLITE/PAYLOAD/NUMBER-NAME */
    uint64_t size;
    uint64_t came_ms; /* Unix time */
};

/* Call fn for every message of a tenant (NULL = all), until it returns false. */
must_check enum rc mail_list(const struct home *home, const char *tenant,
                             bool (*fn)(void *arg, const struct mail_kept *kept), void *arg,
                             struct err *err);

/* Open a message by its id; RC_NOT_FOUND, RC_NAME. */
must_check enum rc mail_open_kept(const struct home *home, const char *id, int *ret_fd,
                                  uint64_t *ret_size, struct err *err);
must_check enum rc mail_remove_kept(const struct home *home, const char *id, struct err *err);

/* Read TENANT/PAYLOAD@SATELLITE.  RC_USAGE, RC_NAME. */
must_check enum rc mail_parse_to(const char *to, struct mail *m, char satellite[NAME_CAP],
                                 struct err *err);

/* Queue the file of a descriptor for a payload; m has payload, tenant, name, expiry, size, and
 * direction if it is a MAIL_COMMAND (RC_BUS_TOO_LARGE above MAIL_COMMAND_MAX) or a
 * MAIL_LOGS_REQUEST; the rest is set
 * here. *ret_object is what the satellite will report.  RC_MAIL_SEALED, RC_MAIL_ADDRESS: the
 * payload's manifest wants its mail sealed, and it is not, or not for this payload. */
must_check enum rc mail_queue(const struct home *home, const char *satellite, struct mail *m,
                              int fd, struct digest *ret_object, struct err *err);

#endif
