/* SPDX-License-Identifier: Apache-2.0
 *
 * boot/tally: the boot record carried on in memory (/run), for as long as the one on disk can be
 * read and not be written.
 *
 * Without it nobody would count the starts of an agent that dies again and again on a disk that has
 * become read-only, and the agent before it would never have its turn.  What is carried on counts
 * only on top of the very record that is on disk, so it is void as soon as anybody has written
 * that; a reboot begins anew.  Nothing of a trial is carried on: a candidate that could never be
 * committed is not started.
 */
#ifndef BERTH_BOOT_TALLY_H
#define BERTH_BOOT_TALLY_H

#include "boot/record.h"

/* The record on disk, carried on as far as it was.  Without a tally that belongs to it: the record
 * itself.  Either way without its trial. */
struct boot_record tally_load(int state_dirfd, const struct boot_record *disk);

/* Carry it on.  If that fails as well it is only logged: then this start is not counted. */
void tally_save(int state_dirfd, const struct boot_record *disk, const struct boot_record *next);

/* How often in a row an agent has ended by itself for a directory that its start could not use
 * (agent/own); a reboot begins anew with this too.  Open the count as root, made if it is missing,
 * to be written when that is not to be reached any more; *ret_fd is the caller's.  Forgotten by a
 * start that lacks nothing. */
#define TALLY_ANEW_MAX 255U
must_check enum rc tally_anew_open(int state_dirfd, int *ret_fd, uint32_t *ret_n, struct err *err);
must_check enum rc tally_anew_save(int fd, uint32_t n, struct err *err);
void tally_anew_forget(int state_dirfd);

/* The record can be written again, or the agent is well. */
void tally_forget(int state_dirfd);

#endif
