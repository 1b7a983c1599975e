/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealfile: files of sealed messages: read whole, written whole and never over another, and
 * opened in such an order that a power cut neither loses a message nor gives it twice.
 */
#ifndef BERTH_LINK_SEALFILE_H
#define BERTH_LINK_SEALFILE_H

#include "link/sealbox.h"

/* Memory with a secret in it, wiped when it goes. */
struct sealfile_buf {
    uint8_t *p;
    size_t n;   /* read into it */
    size_t cap; /* that are wiped */
};
void sealfile_buf_done(struct sealfile_buf *buf); /* scope cleaner */

/* Read a whole file, or what is left of a stream, of at most max bytes.  RC_TOO_LARGE. */
must_check enum rc sealfile_read(int fd, size_t max, struct sealfile_buf *ret, struct err *err);

/* Write a new file durably, mode 0600: whole or not at all.  RC_EXISTS if there is one.  number is
 * of the key whose box is held open: a cut may leave ".seal-NUMBER.part", which the next one of
 * that key writes over. */
must_check enum rc sealfile_put(int dir, const char *name, uint64_t number, struct bytes content,
                                struct err *err);

/* Open a sealed message, in place, into a new file of dir.  What a cut left half done is finished
 * by the same call again: the content then lies in dir as seal-NUMBER-COUNTER.part, and the message
 * counts as seen or does not yet.  RC_EXISTS: name is there, and the message can be opened
 * under another.  Codes of sealbox_open_message and sealbox_accept. */
must_check enum rc sealfile_open(struct sealbox *box, struct sealfile_buf *sealed, int dir,
                                 const char *name, uint64_t now_ms, struct sealbox_message *ret,
                                 struct err *err);

#endif
