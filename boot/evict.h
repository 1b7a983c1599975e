/* SPDX-License-Identifier: Apache-2.0
 *
 * boot/evict: who keeps the lock of a state directory although his agent is gone.  A berth-link or
 * berth-launch of a broken build may hang for ever when its berthd has ended; without systemd
 * nobody else would end it, and no agent could start any more.
 */
#ifndef BERTH_BOOT_EVICT_H
#define BERTH_BOOT_EVICT_H

#include "base/bytes.h"
#include "base/err.h"

/* Kill every process that holds the lock of boot_lock, on the file or on the directory in its
 * place, and wait until they are gone; *ret says how many.  Who merely has it open is left alone.
 * None is touched (RC_BUSY) if one of them is the child of a berthd that lives: that agent runs. */
must_check enum rc boot_evict(int state_dirfd, uint32_t *ret, struct err *err);

#endif
