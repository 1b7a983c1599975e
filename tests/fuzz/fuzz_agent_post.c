/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever berthd or berth-post sends the other is refused, or is a message whose name is one file
 * of one directory and whose numbers are in bounds.  The first byte says who sends, and with how
 * many descriptors.
 */
#include <stdlib.h>

#include "agent/post.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct post_message m = { 0 };
    struct err err;

    if (size == 0)
        return 0;
    const bool from_agent = (data[0] & 1) != 0;
    const size_t n_fds = data[0] >> 6;

    if (post_check((struct bytes){ data + 1, size - 1 }, from_agent, n_fds, &m, &err) != RC_OK) {
        if (m.type != 0)
            abort();
        return 0;
    }
    if (m.instance == 0 || m.size > MAIL_CONTENT_MAX || m.name[sizeof m.name - 1] != '\0' ||
        strchr(m.name, '/') || from_agent != (m.type <= POST_PING) || n_fds > POST_FDS_MAX)
        abort();
    if ((m.type == POST_FOUND || m.type == POST_TAKEN || m.type == POST_REMOVED) &&
        !mail_name_ok(m.name))
        abort();
    if ((m.type == POST_PUT || m.type == POST_DELIVERED) && (m.name[0] == '\0' || m.name[0] == '.'))
        abort();
    return 0;
}
