/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload for the agent's tests.  The first argument says how it behaves:
 *   good    READY=1, then WATCHDOG=1 five times a second, for ever
 *   silent  runs, and never says anything
 *   exit    says READY=1 and ends with status 3
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void tell(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0 || !path || strlen(path) >= sizeof to.sun_path)
        exit(4);
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (sendto(sock, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) < 0)
        exit(5);
    close(sock);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "good";
    FILE *log = fopen("/data/starts", "a");

    printf("%s starts\n", how);
    fflush(stdout);
    if (log) {
        fputs("one\n", log);
        fclose(log);
    }
    if (strcmp(how, "silent") != 0)
        tell("STATUS=at work\nREADY=1");
    if (strcmp(how, "exit") == 0)
        return 3;
    for (;;) {
        usleep(200000);
        if (strcmp(how, "silent") != 0)
            tell("WATCHDOG=1");
    }
}
