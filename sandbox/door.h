/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/door: how berthd comes by a launcher that it does not start itself.  Something else,
 * systemd as a rule, listens on a SOCK_SEQPACKET socket in the file system and starts one
 * "berth-launch --door" for each connection, which is its descriptor 3.  berthd connects while it
 * is still root and says in one packet what it would have started itself: the program of its own
 * version, its arguments, the descriptors 4 (slots) and 5 (lock).  The door makes room in berthd's
 * end of the connection, to which berthd has no right, says that it is there, and becomes that
 * program; from then on sandbox/wire is spoken on the same connection, and it ends with it.
 *
 * What is behind the door is always of berthd's own version; only this packet and its answer go
 * between versions, since the door is the one that came with the launch and berthd is replaced in
 * orbit.  They have a number.  Each side speaks a range of them: berthd asks with its newest, the
 * door answers with the number of the packet that it took, or with the range that it speaks if it
 * is another one, and berthd asks again with the newest that both speak.  A door of before there
 * were ranges only ends; then the one before is tried.  Who raises DOOR_NEWEST keeps the one before
 * it.
 *
 * Each side asks the kernel who the other is.  Whoever is not root is not heard; after berthd has
 * dropped it can ask for no other launcher.
 */
#ifndef BERTH_SANDBOX_DOOR_H
#define BERTH_SANDBOX_DOOR_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DOOR_ARGS_MAX 16U
#define DOOR_TEXT_CAP 4096U
#define DOOR_WAIT_S 60U /* from the connection until all is said, or answered */

/* What goes along, in this order; the last is the end of the connection that asks. */
enum { DOOR_PROGRAM, DOOR_SLOTS, DOOR_LOCK, DOOR_SELF, DOOR_FDS };

#define DOOR_OLDEST 2U /* numbers that are spoken; 1 was in no release */
#define DOOR_NEWEST 2U
#define DOOR_MAGIC(number) (0x424c4430U + (number)) /* "BLD" and a digit: 1 to 9 */

static_assert(DOOR_OLDEST < DOOR_NEWEST || DOOR_NEWEST == 2U, "the one before is spoken, too");
static_assert(DOOR_OLDEST >= 1U && DOOR_NEWEST <= 9U, "one digit");

struct door_range {
    uint32_t oldest, newest;
};

/* What is said to who asks with a number that is not spoken.  Never changed. */
struct door_refusal {
    uint32_t magic; /* DOOR_MAGIC(0) */
    struct door_range speaks;
};

/* The packet of every number that is spoken so far.  It outlives versions of the agent: never
 * changed, only followed by another one under another number. */
struct door_request {
    uint32_t magic;           /* DOOR_MAGIC of its number */
    uint32_t n_args;          /* 1 to DOOR_ARGS_MAX, the program's name too */
    uint32_t size;            /* of what is used of text */
    char text[DOOR_TEXT_CAP]; /* the arguments, each with its '\0'; zero behind them */
};

/* berthd's side: connect to the socket `path`, ask for the program of fds[DOOR_PROGRAM] with argv
 * (ends in NULL), and wait until the door has answered.  fds, without DOOR_SELF, stay the caller's.
 * *ret_sock does not block, and has room (wire_make_room).  RC_NOT_FOUND, RC_IO: nobody listens
 * there, or the arguments are too long; RC_PROTOCOL: who listens is not root, or no door, or one
 * that speaks no number that is spoken here; RC_SHORT: it has ended; RC_TIMEOUT: no answer in
 * DOOR_WAIT_S. */
must_check enum rc door_ask(const char *path, char *const argv[], const int fds[DOOR_SELF],
                            int *ret_sock, struct err *err);

/* The same of another range: how a berthd of another version asks. */
must_check enum rc door_ask_as(const struct door_range *range, const char *path, char *const argv[],
                               const int fds[DOOR_SELF], int *ret_sock, struct err *err);

/* The door's side: take one request from the connection.  ret_fds are the caller's.  RC_PROTOCOL:
 * who asks is not root, or that is no request, or one of another range, which is told; RC_SHORT:
 * none came; RC_TIMEOUT: in all of DOOR_WAIT_S. */
must_check enum rc door_take(int sock, struct door_request *ret, int ret_fds[DOOR_FDS],
                             struct err *err);

/* The same of another range: how a door of another version takes it. */
must_check enum rc door_take_as(const struct door_range *range, int sock, struct door_request *ret,
                                int ret_fds[DOOR_FDS], struct err *err);

/* Take a request from descriptor 3 and become what it asks for.  Returns only on failure. */
enum rc door_open(struct err *err);

#endif
