/* SPDX-License-Identifier: Apache-2.0
 *
 * boot/start: what berth-boot does, and what berthd shares with it: the lock, the program's own
 * directory, the terms of a trial.  Runs as root on a state directory that belongs to berthd's
 * user, so nothing in there is believed: the record is decoded strictly, a program is a plain file
 * that is reached without following a link.
 */
#ifndef BERTH_BOOT_START_H
#define BERTH_BOOT_START_H

#include "boot/record.h"

#define BOOT_TRIAL_S 86400U  /* of a trial, unless said otherwise: once a day everybody is heard */
#define BOOT_SOAK_S_MAX 600U /* of being up before a bundle counts, and of being well to be so */
#define BOOT_EXIT_SWITCH 76  /* exit code of a berthd that makes way for another */
#define BOOT_EXIT_GIVE_UP 77 /* ... of one on trial that gives up */

/* When a trial ends well. */
enum boot_policy {
    BOOT_BUNDLE = 0, /* only a bundle counts: the ground can reach it */
    BOOT_EITHER,     /* a bundle was taken in, or all was well for so long */
};

struct boot_terms {
    enum boot_policy policy;
    uint32_t trial_s;
};

/* Read an option of a trial; false if it is none, or its value is no good. */
bool boot_terms_read(struct boot_terms *terms, const char *option, const char *value);

/* How long one start of a candidate may take to prove itself, in seconds: by bundle trial_s, else
 * twice that, so that it can be well for so long after a late beginning. */
uint32_t boot_terms_limit(const struct boot_terms *terms);

/* A bundle counts after so many milliseconds, so that an agent that ends at once is never taken for
 * good: a twentieth of the trial, ten minutes at the most. */
uint32_t boot_terms_soak_ms(const struct boot_terms *terms);

/* A committed agent that has been up and well for so many seconds is well, although nobody was
 * heard: the ground may be silent for longer than that. */
uint32_t boot_terms_well(const struct boot_terms *terms);

/* When an agent is killed that has not shown that it is well.  On trial: it should have given up by
 * itself before, and stopped its payloads. */
uint32_t boot_terms_guard(const struct boot_terms *terms, bool trial);

/* One agent at a time for one state directory.  The lock is shared with berth-launch and
 * berth-link, so an agent that was killed counts as gone only when they have tidied up and ended,
 * too.  Waits some time, then RC_BUSY.  Where the file can be neither written nor made, it is
 * locked as it is, or else the directory. */
must_check enum rc boot_lock(int state_dirfd, int *ret_fd, struct err *err);

/* Open the directory that this program's own file lies in. */
must_check enum rc boot_own_dir(int *ret_fd, struct err *err);

/* Choose, write down, start: becomes berthd.  argv are berthd's arguments, as berth-boot got them,
 * argv[argc] NULL.  Returns only if nothing could be started. */
enum rc boot_start(int argc, char **argv, struct err *err);

#endif
