/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-boot: started in place of berthd, with berthd's arguments; becomes the berthd that is due:
 * the one on trial while it has starts left, else the current one, else the one beside itself,
 * which came with the launch.  Does nothing else, links libc only, and is never replaced.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "boot/start.h"

int main(int argc, char **argv)
{
    struct err err = { 0 };

    log_open("berth-boot", LOG_LEVEL_INFO);
    if (geteuid() != 0) {
        (void)fputs("berth-boot: must be started as root, with the arguments of berthd\n", stderr);
        return 1;
    }
    if (boot_start(argc, argv, &err) == RC_USAGE) {
        (void)fputs("usage: berth-boot --state DIR ...       (all else as for berthd)\n", stderr);
        return 2;
    }
    log_err(LOG_LEVEL_ERROR, &err, "start");
    return 1;
}
