/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-bus: one payload's side door to the agent, HTTP/1.1 on the Unix socket that the sandbox has
 * at /run/berth/bus.sock.  berthd starts one when the payload calls, and it ends when nobody calls
 * any more.  It gives up all but two descriptors before it reads the first byte: 3 is the listening
 * socket, 4 the way to berthd, which knows from it whose bus this is.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "agent/bus_serve.h"
#include "base/confine.h"
#include "base/log.h"

#define LISTEN_FD 3
#define BERTHD_FD 4
#define FILES_MAX (BERTHD_FD + 2U + BUS_CONNECTIONS_MAX)
#define MEMORY_MAX (64ULL * 1024 * 1024)

static enum rc confine(struct err *err)
{
    static const char *const calls[] = { "accept4", NULL };
    const struct confine rules = {
        .name = "berth-bus", .syscalls = calls, .files_max = FILES_MAX, .memory_max = MEMORY_MAX
    };
    enum rc rc = confine_self(&rules, err);

    (void)malloc_trim(0); /* the filter is built of more than is needed again */
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = { 0 };

    (void)argv;
    (void)prctl(PR_SET_NAME, "berth-bus"); /* it is started by descriptor, without a name */
    log_open("berth-bus", LOG_LEVEL_WARN);
    if (argc > 1) {
        (void)fputs("usage: berth-bus      (started by berthd, with its sockets)\n", stderr);
        return 2;
    }
    if (prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
        confine(&err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "start");
        return 1;
    }
    enum rc rc = bus_serve(LISTEN_FD, BERTHD_FD, &err);
    if (rc == RC_OK || rc == RC_SHORT)
        return 0;
    log_err(LOG_LEVEL_WARN, &err, "bus");
    return 1;
}
