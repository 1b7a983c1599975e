/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/command: what became of commands to payloads, in the home.
 *
 *     mail/.answers/SATELLITE/OBJECT   the newest answer to the command that went up in OBJECT
 *
 * An answer is authentic as its satellite's, which may be in wrong hands: it is believed about a
 * command that went to a payload there, and whose it was; a last word stays what it was first.
 */
#ifndef BERTH_ORCHESTRATOR_COMMAND_H
#define BERTH_ORCHESTRATOR_COMMAND_H

#include "link/mail.h"
#include "manifest/doc.h"
#include "orchestrator/home.h"

/* Keep an answer of a satellite, an object in fd whose head this is; one that is kept already, or
 * that comes behind the last one, is RC_OK.  RC_MAIL_FORMAT, RC_MAIL_ADDRESS: nobody asked. */
must_check enum rc command_keep(const struct home *home, const char *satellite,
                                const struct mail *head, int fd, struct err *err);

/* What a satellite has said of a command.  RC_NOT_FOUND: nothing yet. */
must_check enum rc command_answer(const struct home *home, const char *satellite,
                                  const struct digest *object, struct mail_answer *ret,
                                  struct err *err);

#endif
