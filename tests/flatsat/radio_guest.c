/* SPDX-License-Identifier: Apache-2.0
 *
 * The guest's half of the radio: what comes over the port becomes files of the uplink directory,
 * and files of the downlink directory go over the port.  It does what a simple file service of a
 * satellite does: a file appears under its name when all of it was written, and nothing is synced,
 * so a power cut leaves what it leaves: empty files, short ones, some of them twice.  On libc
 * alone.
 *
 *   radio PORT UPLINK DOWNLINK
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/flatsat/frame.h"

#define LOOK_MS 25 /* between two looks at the downlink directory */

static uint8_t in[FRAME_MAX], out[FRAME_MAX];

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Whether the head can be one of ours. */
static bool head_fits(const struct frame_head *h)
{
    return h->magic == FRAME_MAGIC && h->name_bytes > 0 && h->name_bytes <= FRAME_NAME_MAX &&
           h->data_bytes <= FRAME_DATA_MAX;
}

/* One whole frame becomes a file. */
static bool land(int dir, const struct frame_head *h, const uint8_t *body)
{
    char hidden[FRAME_NAME_MAX + 2];
    int fd;

    (void)snprintf(hidden, sizeof hidden, ".%.*s", (int)h->name_bytes, (const char *)body);
    if (strchr(hidden, '/'))
        return false;
    fd = openat(dir, hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool done = write_all(fd, body + h->name_bytes, h->data_bytes);

    (void)close(fd);
    return done && renameat(dir, hidden, dir, hidden + 1) == 0;
}

/* What the port has to say; frames come in pieces.  *n is how much of the next one is there. */
static bool receive(int port, int dir, size_t *n)
{
    struct frame_head head;
    ssize_t got = read(port, in + *n, sizeof in - *n);

    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    *n += (size_t)got;
    while (*n >= sizeof head) {
        memcpy(&head, in, sizeof head);
        if (!head_fits(&head))
            return false;

        size_t all = sizeof head + head.name_bytes + head.data_bytes;

        if (*n < all)
            return true;
        if (!land(dir, &head, in + sizeof head))
            return false;
        *n -= all;
        memmove(in, in + all, *n);
    }
    return true;
}

/* Send one file and remove it.  One that is gone or does not fit is passed over. */
static bool send_file(int port, int dir, const char *name)
{
    const size_t name_bytes = strlen(name);
    struct frame_head head = { .magic = FRAME_MAGIC, .name_bytes = (uint32_t)name_bytes };
    size_t at = sizeof head + name_bytes;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = 0;

    if (fd < 0)
        return true;
    while (at < sizeof out && (got = read(fd, out + at, sizeof out - at)) > 0)
        at += (size_t)got;
    (void)close(fd);
    if (got < 0 || at - sizeof head - name_bytes > FRAME_DATA_MAX)
        return true;
    head.data_bytes = (uint32_t)(at - sizeof head - name_bytes);
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, name, name_bytes);
    return write_all(port, out, at) && unlinkat(dir, name, 0) == 0;
}

static bool is_bundle(const char *name)
{
    const size_t n = strlen(name);
    const size_t suffix = sizeof FRAME_SUFFIX - 1;

    return name[0] != '.' && n > suffix && n <= FRAME_NAME_MAX &&
           strcmp(name + n - suffix, FRAME_SUFFIX) == 0;
}

static bool send_all(int port, DIR *dir)
{
    const struct dirent *entry;

    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL)
        if (is_bundle(entry->d_name) && !send_file(port, dirfd(dir), entry->d_name))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    size_t n = 0;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: radio PORT UPLINK DOWNLINK\n");
        return 2;
    }
    int port = open(argv[1], O_RDWR | O_CLOEXEC);
    int up = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *down = opendir(argv[3]);

    if (port < 0 || up < 0 || !down)
        return fail(argv[1]);
    for (;;) {
        struct pollfd p = { .fd = port, .events = POLLIN };

        if (poll(&p, 1, LOOK_MS) < 0 && errno != EINTR)
            return fail("poll");
        if ((p.revents & POLLIN) != 0 && !receive(port, up, &n))
            return fail("uplink");
        if (!send_all(port, down))
            return fail("downlink");
    }
}
