/* SPDX-License-Identifier: Apache-2.0
 *
 * base/passed: descriptors that go along with a packet of a local socket (SCM_RIGHTS).  The other
 * end may be taken over: whatever came is taken out first, so that none leaks, and judged then.
 */
#ifndef BERTH_BASE_PASSED_H
#define BERTH_BASE_PASSED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Room for n descriptors in a control buffer, a constant; align the buffer as struct cmsghdr. */
#define PASSED_SPACE(n) CMSG_SPACE((n) * sizeof(int))

/* Let n >= 1 descriptors (borrowed) go along with a packet.  control has PASSED_SPACE(n) bytes, all
 * zero, and must live as long as *hdr. */
void passed_put(struct msghdr *hdr, void *control, const int *fds, size_t n);

/* Take every descriptor out of a packet that recvmsg gave.  The first max are the caller's, in fds
 * (NULL with max 0); all beyond are closed.  Returns how many came.  *ret_other (NULL allowed)
 * becomes true if the packet had control data of another kind, else it stays as it is. */
size_t passed_take(struct msghdr *hdr, int *fds, size_t max, bool *ret_other);

#endif
