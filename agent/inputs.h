/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/inputs: what the platform (the bus computer's software) tells the agent of what goes on:
 * passes, modes, orbit events, time.
 *
 * One line in one datagram on a Unix socket, from root or from the one user that the integrator
 * names; the kernel says who sent it.  The sender is trusted to say what goes on, and not to send
 * what can be parsed: a line is taken whole or refused with its code, and whoever has an address is
 * answered.  Parsing and the table of passes are pure.
 *
 *     mode safe|nominal           aos STATION            eclipse in|out
 *     event NAME                  los                    time SECONDS UNCERTAINTY_MS|unknown
 *     pass START END STATION      pass none
 */
#ifndef BERTH_AGENT_INPUTS_H
#define BERTH_AGENT_INPUTS_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define INPUT_LINE_MAX 128U
#define INPUT_ANSWER_CAP 192U
#define INPUT_PASSES_MAX 32U
#define INPUT_PASS_S_MAX 86400U          /* longest pass */
#define INPUT_UNIX_MAX 253402300799ULL   /* the end of the year 9999 */
#define INPUT_UNCERTAIN_MS_MAX 86400000U /* a day; more than that is unknown */
#define INPUT_UNCERTAIN_UNKNOWN UINT32_MAX

enum input_kind {
    INPUT_NONE = 0,
    INPUT_MODE,      /* safe */
    INPUT_AOS,       /* name: the ground station that is in view from now on */
    INPUT_LOS,       /* none is any more */
    INPUT_EVENT,     /* name: of an orbit event, known to the tenants */
    INPUT_PASS,      /* name, start_s, end_s: a pass that is predicted */
    INPUT_NO_PASSES, /* the predictions are void */
    INPUT_ECLIPSE_IN,
    INPUT_ECLIPSE_OUT,
    INPUT_TIME, /* start_s, uncertain_ms: the time, and how good */
};

/* One line, understood. */
struct input {
    enum input_kind kind;
    bool safe;
    char name[NAME_CAP];
    uint64_t start_s, end_s; /* Unix time */
    uint32_t uncertain_ms;   /* INPUT_UNCERTAIN_UNKNOWN: the platform does not know either */
};

struct input_pass {
    uint64_t start_s, end_s; /* Unix time */
    char station[NAME_CAP];
};

/* What has been told, as it stands.  All zero: nothing. */
struct inputs_table {
    bool safe;
    bool eclipse;
    char station[NAME_CAP]; /* in view, "" = none */
    uint32_t n_passes;
    struct input_pass pass[INPUT_PASSES_MAX]; /* sorted by start */
    uint64_t time_ms;                         /* Unix time as it was told, 0 = never */
    uint64_t time_mono_ms;                    /* ... at this moment */
    uint32_t uncertain_ms;
};

/* Understand a datagram: one line, with or without its '\n'.  RC_INPUT_LINE; *ret is then
 * untouched. */
must_check enum rc input_parse(struct bytes datagram, struct input *ret, struct err *err);

/* Make a line part of what stands.  Passes that are over go first; one that overlaps another of its
 * station takes its place.  RC_NO_ROOM: there are as many predicted passes as can be held. */
must_check enum rc inputs_take(struct inputs_table *t, const struct input *input, uint64_t now_s,
                               uint64_t mono_ms, struct err *err);

/* The passes that are not over, at most cap, the next one first; how many. */
uint32_t inputs_passes(const struct inputs_table *t, uint64_t now_s, struct input_pass *ret,
                       uint32_t cap);

/* ---- the socket ---------------------------------------------------------------------------- */

/* The socket that was bound for this process (socket activation), or else one made at a path, for
 * this user and root; what lies there from before is replaced if it is a socket.  Without a path
 * *ret_sock is left alone.  As root, before other descriptors are opened. */
must_check enum rc inputs_open(const char *path, uid_t uid, gid_t gid, int *ret_sock,
                               struct err *err);

/* Receive and understand one datagram without blocking.  RC_TIMEOUT: there is none.  RC_IO: the
 * socket is broken.  RC_INPUT_SENDER, RC_INPUT_LINE: refused, *from says whom to answer. */
struct input_sender {
    uid_t uid;
    struct bytes address; /* of struct sockaddr_un, a view of space; n = 0: no answer is wanted */
    uint8_t space[128];
};

must_check enum rc inputs_receive(int sock, uid_t uid, struct input *ret, struct input_sender *from,
                                  struct err *err);

/* Tell the sender what became of its line, "ok" or the error; without waiting for it. */
void inputs_answer(int sock, const struct input_sender *to, const struct err *err);

#endif
