/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/hear.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "oci/child.h"

enum rc oci_say_go(int sync, struct err *err)
{
    const uint8_t go = 1;

    if (send(sync, &go, sizeof go, MSG_NOSIGNAL) != sizeof go)
        return err_sys(err, RC_LAUNCH_STEP, "let it go on");
    return RC_OK;
}

/* One message, or the end of the channel (*ret_end). */
static enum rc hear(int sync, uint64_t until_ms, struct child_message *ret, bool *ret_end,
                    struct err *err)
{
    struct pollfd p = { .fd = sync, .events = POLLIN };
    uint64_t now = clock_mono_ms();

    if (poll(&p, 1, now < until_ms ? (int)(until_ms - now) : 0) <= 0)
        return err_set(err, RC_TIMEOUT, "set-up of the container");
    ssize_t n = recv(sync, ret, sizeof *ret, MSG_DONTWAIT);
    /* A reset is an end that left something of ours unread. */
    *ret_end = n == 0 || (n < 0 && errno == ECONNRESET);
    if (!*ret_end && n != sizeof *ret)
        return err_sys(err, RC_PROTOCOL, "message of %zd bytes from the child", n);
    return RC_OK;
}

static enum rc failed(const struct child_message *m, enum rc rc, struct err *err)
{
    errno = m->error;
    return err_sys(err, rc, "%s", oci_child_step_name(m->step));
}

enum rc oci_hear_confined(int sync, uint64_t until_ms, struct err *err)
{
    struct child_message m = { 0 };
    bool end = false;
    enum rc rc = hear(sync, until_ms, &m, &end, err);

    if (rc != RC_OK)
        return rc;
    if (end)
        return err_set(err, RC_LAUNCH_STEP, "it ended during set-up");
    if (m.kind == CHILD_FAILED)
        return failed(&m, RC_LAUNCH_STEP, err);
    return m.kind == CHILD_CONFINED ? RC_OK : err_set(err, RC_PROTOCOL, "message %u", m.kind);
}

enum rc oci_hear_exec(int sync, uint64_t until_ms, struct err *err)
{
    struct child_message m = { 0 };
    bool end = false;
    enum rc rc = hear(sync, until_ms, &m, &end, err);

    return rc == RC_OK && !end ? failed(&m, RC_LAUNCH_EXEC, err) : rc;
}
