/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/aside: refused objects are moved aside, so that somebody can look at what was sent.
 *
 * STATE/refused holds the beginning of the newest few, never more than a megabyte in all, one file
 * per object however often it comes again.  The content is hostile and is never read by the agent.
 */
#ifndef BERTH_AGENT_ASIDE_H
#define BERTH_AGENT_ASIDE_H

#include "base/err.h"
#include "base/limits.h"
#include "manifest/doc.h"

#define ASIDE_DIR "refused"
#define ASIDE_FILES_MAX 16U
#define ASIDE_BYTES_MAX (64U * 1024U)

/* Keep the first ASIDE_BYTES_MAX bytes of the object in fd, as
 * refused/SEQUENCE-DIGEST.CODE; the oldest gives way.  sequence rises with every refusal.  An
 * object that lies there already is RC_OK and changes nothing. */
must_check enum rc aside_keep(int state_dir, int fd, const struct digest *object, uint64_t sequence,
                              enum rc why, struct err *err);

#endif
