/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/denied: which system calls were refused, as the kernel tells it.
 *
 * Every refusal of a filter is a record of type 1326 (AUDIT_SECCOMP) on the multicast group of the
 * audit socket, whether there is an audit daemon or not.  Opening that needs CAP_AUDIT_READ, in the
 * first network namespace and user namespace of the machine; reading needs nothing, so
 * berth-launch opens it before it drops its privileges, and berthd reads.  A filter on the socket
 * passes no other record, and nobody can take it off.
 *
 * The text of a record holds names that payloads choose (comm, exe).  The kernel writes them in
 * quotes or in hexadecimal; what is read here does not rest on that: the user is taken from before
 * the first of them and the call from behind the last.  Who it was goes by the user id, which lies
 * in the range of one payload and in no other.
 */
#ifndef BERTH_SANDBOX_DENIED_H
#define BERTH_SANDBOX_DENIED_H

#include "base/bytes.h"
#include "base/err.h"

#define DENIED_KINDS 12U    /* different calls counted one by one, of one payload */
#define DENIED_CALL_CAP 32U /* of a name */

struct denied_record {
    uint32_t uid;  /* on the host */
    uint32_t arch; /* AUDIT_ARCH_*, of the entry that was used */
    uint32_t nr;
    bool killed;
};

struct denied_call {
    uint32_t arch, nr;
    uint32_t count; /* does not wrap */
};

/* What one payload was refused.  All zero: nothing.  The total counts the others, too, when there
 * are more different calls than places. */
struct denied {
    uint32_t total; /* does not wrap */
    uint32_t n;
    struct denied_call call[DENIED_KINDS];
};

/* Open the socket, non-blocking, with room for some hundred records.  RC_IO: this process may not,
 * or the kernel has no audit. */
must_check enum rc denied_open(int *ret_fd, struct err *err);

enum denied_got {
    DENIED_NOTHING = 0, /* that is all for now */
    DENIED_RECORD,
    DENIED_STRANGE, /* a message that is no such record: to be passed over */
    DENIED_MISSED,  /* records were lost, for want of room: at least one */
};

/* Read one message.  Never blocks. */
enum denied_got denied_read(int fd, struct denied_record *ret);

/* The text of a record, as a message carries it.  False for anything else. */
bool denied_parse(struct bytes text, struct denied_record *ret);

/* Count it; whether it is the first of its call (that has a place). */
bool denied_count(struct denied *d, const struct denied_record *r);

/* The calls from the most frequent on, at most max of them; how many. */
uint32_t denied_top(const struct denied *d, struct denied_call *ret, uint32_t max);

/* "mount"; "number-999" for one that no table has; "x32-1" and "other-20" for other entries. */
const char *denied_call_name(const struct denied_call *call, char buf[DENIED_CALL_CAP]);

#endif
