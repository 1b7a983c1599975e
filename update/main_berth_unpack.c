/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-unpack: started by berthd, one process per package, with its descriptors open and nothing
 * on its command line (update/unpack.h).  Not for people.
 */
#include <fcntl.h>
#include <stdio.h>

#include "update/unpack.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1 || fcntl(UNPACK_FD_SPEC, F_GETFD) < 0 || fcntl(UNPACK_FD_RESULT, F_GETFD) < 0) {
        (void)fputs("berth-unpack is started by berthd\n", stderr);
        return 2;
    }
    return unpack_main();
}
