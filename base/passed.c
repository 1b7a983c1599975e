/* SPDX-License-Identifier: Apache-2.0 */
#include "base/passed.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

void passed_put(struct msghdr *hdr, void *control, const int *fds, size_t n)
{
    assert(n >= 1);
    hdr->msg_control = control;
    hdr->msg_controllen = CMSG_SPACE(n * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(hdr);

    assert(c != NULL);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

size_t passed_take(struct msghdr *hdr, int *fds, size_t max, bool *ret_other)
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            if (ret_other != NULL)
                *ret_other = true;
            continue;
        }
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, n++) {
            int fd = -1;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < max)
                fds[n] = fd;
            else
                close_fd(&fd);
        }
    }
    return n;
}
