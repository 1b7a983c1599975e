/* SPDX-License-Identifier: Apache-2.0
 *
 * link/inbox: from bundle files in a directory to authentic messages, once each.
 *
 * In batches: read, open (decrypt, authenticate), check source, destination and replay; save the
 * replay windows and forget keys that are superseded; only then hand the messages on; then remove
 * the files.  A refused file goes to the rejects, or is removed where there are none.  Works the
 * same on both ends of a link.
 *
 * In two steps, for whom taking twice is nothing, but losing is: inbox_take hands a batch on, and
 * inbox_let_go saves the windows and removes the files once what was taken is durable.
 */
#ifndef BERTH_LINK_INBOX_H
#define BERTH_LINK_INBOX_H

#include "link/rejects.h"
#include "link/state.h"

/* What happens to what is found. */
struct inbox_ops {
    /* An authentic message that was not seen before; tenant is whose key it came under, "" = the
     * link's own.  Another code than RC_OK refuses its file. */
    enum rc (*take)(void *arg, const char *tenant, struct bytes message, struct err *err);
    /* The end of a batch, before its files are removed. */
    enum rc (*commit)(void *arg, struct err *err);
    /* Something was refused; count of the same. */
    void (*refused)(void *arg, const struct err *why, uint32_t count);
    /* A file of so many bytes was met, and this became of it; behind take or refused.  NULL: not of
     * interest. */
    void (*met)(void *arg, uint64_t bytes, enum rc rc);
    void *arg;
};

struct inbox;

/* state and rejects (NULL allowed) are borrowed; dirfd too. */
must_check enum rc inbox_new(int dirfd, struct link_state *state, struct rejects *rejects,
                             const struct inbox_ops *ops, struct inbox **ret, struct err *err);
void inbox_free(struct inbox **inbox); /* scope cleaner */

/* Work through at most max files.  *ret_files tells how many there were to look at, *ret_more
 * whether it is worth going on at once: others are left, and files can be removed (else the same
 * ones would come round for ever).  An error means that nothing of the last batch was accepted: its
 * files stay. */
must_check enum rc inbox_run(struct inbox *inbox, size_t max, uint32_t *ret_files, bool *ret_more,
                             struct err *err);

/* Hand one batch on, of at most max files; files and windows on disk stay as they are until
 * inbox_let_go.  Until then each call hands the same batch on again, and behind a restart so does
 * the first one.  *ret_files and *ret_more as inbox_run; *ret_files is 0 of a batch handed on
 * again.  Not to be mixed with inbox_run. */
must_check enum rc inbox_take(struct inbox *inbox, size_t max, uint32_t *ret_files, bool *ret_more,
                              struct err *err);

/* What inbox_take handed on is durable: save the windows, then remove the files.  On failure the
 * files stay, and come again.  RC_OK when nothing is held. */
must_check enum rc inbox_let_go(struct inbox *inbox, struct err *err);

#endif
