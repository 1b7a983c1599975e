/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/aside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

#define ENTRIES_MAX 256U
#define HEX_DIGITS 16U /* of the digest, in a name */

struct shelf {
    const char *digest; /* hex, of the object that comes */
    bool known;
    size_t n;
    char oldest[64]; /* name that sorts first: sequences have a fixed width */
};

static bool look(void *arg, const char *name)
{
    struct shelf *s = arg;

    if (name[0] == '.' || strlen(name) >= sizeof s->oldest)
        return true;
    s->n++;
    if (strstr(name, s->digest))
        s->known = true;
    if (!s->oldest[0] || strcmp(name, s->oldest) < 0)
        (void)snprintf(s->oldest, sizeof s->oldest, "%s", name);
    return true;
}

/* At most ASIDE_BYTES_MAX bytes from the beginning. */
static enum rc read_beginning(int fd, uint8_t *buf, size_t *ret_n, struct err *err)
{
    size_t n = 0;

    while (n < ASIDE_BYTES_MAX) {
        ssize_t got = pread(fd, buf + n, ASIDE_BYTES_MAX - n, (off_t)n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "refused object");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return RC_OK;
}

/* Room for one more. */
static enum rc make_room(int dir, const char *digest, bool *ret_known, struct err *err)
{
    for (;;) {
        struct shelf s = { .digest = digest };
        enum rc rc = fs_list(dir, ".", ENTRIES_MAX, look, &s, NULL, err);

        if (rc != RC_OK)
            return rc;
        *ret_known = s.known;
        if (s.known || s.n < ASIDE_FILES_MAX)
            return RC_OK;
        rc = fs_unlink(dir, s.oldest, err);
        if (rc != RC_OK)
            return rc;
    }
}

enum rc aside_keep(int state_dir, int fd, const struct digest *object, uint64_t sequence,
                   enum rc why, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(ASIDE_BYTES_MAX);
    scoped(close_fd) int dir = -1;
    char digest[HEX_DIGITS + 1];
    char name[64];
    bool known = false;
    size_t n = 0;
    enum rc rc = buf ? fs_open_dir(state_dir, ASIDE_DIR, 0700, &dir, err)
                     : err_set(err, RC_NO_MEMORY, "refused object");

    (void)bytes_hex((struct bytes){ .p = object->b, .n = HEX_DIGITS / 2 }, digest);
    if (rc == RC_OK)
        rc = make_room(dir, digest, &known, err);
    if (rc != RC_OK || known)
        return rc;
    rc = read_beginning(fd, buf, &n, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(name, sizeof name, "%016llx-%s.%.20s", (unsigned long long)sequence, digest,
                   rc_name(why));
    return fs_write_file(dir, name, (struct bytes){ .p = buf, .n = n }, 0600, err);
}
