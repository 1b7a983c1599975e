/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/guest: what a virtual machine has in place of the payload's two sockets: serial ports,
 * whose bytes a process of the sandbox carries to and from them.
 *
 * The tender (QEMU) is given one end of two stream sockets; the relay, a child of process 1 with
 * the payload's filter and nothing but the other ends, carries
 *   berth.notify   lines, each to the notify socket as one datagram, but for EXIT_STATUS=N
 *   berth.bus      bytes, to a connection to the bus that is made when the guest speaks, and back
 * until the tender is gone.  It then ends with what the guest has said of its end: a machine that
 * resets after a panic looks like one that is done, so only one that said so is.
 *
 * What a guest sends is hostile: everything is bounded, and one that does not read its answers
 * holds up itself only.  Runs in a copy of berth-launch's memory: no allocation, no library.
 */
#ifndef BERTH_SANDBOX_GUEST_H
#define BERTH_SANDBOX_GUEST_H

#include <sys/types.h>

#define GUEST_PORTS 2
#define GUEST_PORT_FD 5 /* of the tender: berth.notify, and behind it berth.bus */
#define GUEST_NOTIFY_PORT "berth.notify"
#define GUEST_BUS_PORT "berth.bus"
#define GUEST_LINE_MAX 1024U   /* of a line to the notify socket; a longer one is passed over */
#define GUEST_SAID_NOTHING 255 /* exit status of a machine that ended without a word */

/* The two ends of each port, above the descriptors that the child uses. */
struct guest_ports {
    int ours[GUEST_PORTS], tenders[GUEST_PORTS];
};

/* Make them.  -1 with errno. */
int guest_ports_make(struct guest_ports *ret);

/* In the tender's process: put its ends where it looks for them, to be inherited. */
int guest_ports_give(const struct guest_ports *ports);

/* The life of the relay, when it has closed what is not its own: ours[0] is 0, ours[1] is 1.  Ends
 * with EXIT_STATUS, or with GUEST_SAID_NOTHING. */
_Noreturn void guest_relay(const char *notify_path, const char *bus_path);

#endif
