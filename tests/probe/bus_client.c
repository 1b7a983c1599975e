/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: speaks to its bus by plain socket calls.
 *   echo   send "hello", print the answer
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int call_bus(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("BERTH_BUS");
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path ? path : "/run/berth/bus.sock");
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof to) != 0) {
        printf("connect %d\n", errno);
        exit(4);
    }
    return sock;
}

static int echo(void)
{
    char answer[64] = "";
    int sock = call_bus();

    if (send(sock, "hello", 5, MSG_NOSIGNAL) != 5)
        return 5;
    ssize_t n = read(sock, answer, sizeof answer - 1);
    printf("answer %s\n", n > 0 ? answer : "none");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "echo") == 0)
        return echo();
    return 2;
}
