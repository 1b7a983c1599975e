/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of a program of the agent, and no good.  What it does stands in the file `broken`
 * beside it: exit, crash (after READY=1), hang, or spoil (write a state that nobody can read).
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void say_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!path || fd < 0 || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    (void)!sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    (void)close(fd);
}

/* Both copies, as an agent of another format would leave them. */
static void spoil(const char *state)
{
    static const char *const names[] = { "agent.a", "agent.b" };
    char path[4096];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", state, names[i]);
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (fd >= 0)
            (void)!write(fd, "another format", 14);
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    char path[4096], what[16] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);

    if (n <= 0)
        return 2;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return 2;
    (void)snprintf(slash, 16, "/broken");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, what, sizeof what - 1) <= 0)
        return 2;
    (void)fprintf(stderr, "broken agent: %s\n", what);
    if (strncmp(what, "crash", 5) == 0) {
        say_ready();
        (void)raise(SIGSEGV);
    }
    for (int i = 1; strncmp(what, "spoil", 5) == 0 && i + 1 < argc; i++)
        if (strcmp(argv[i], "--state") == 0)
            spoil(argv[i + 1]);
    while (strncmp(what, "hang", 4) == 0)
        (void)pause();
    return 1;
}
