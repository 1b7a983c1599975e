/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload for the agent's tests.  The first argument says how it behaves:
 *   good    READY=1, then WATCHDOG=1 five times a second, for ever
 *   silent  runs, and never says anything
 *   exit    says READY=1 and ends with status 3
 *   refused makes refused system calls, one more often than the other, and goes on like good
 *   storm   says READY=1 and makes refused system calls for ever
 *   keeper  like good; makes /data/word on its first start, and prints it at every start
 *   migrate       changes /data/word and never says anything
 *   migrate-exit  changes it, says READY=1 and ends with status 3
 *   migrate-good  changes it, and goes on like good
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
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

/* What is in /data/word, on a line of its own. */
static void print_word(void)
{
    char word[64] = "none";
    FILE *in = fopen("/data/word", "r");

    if (in) {
        if (!fgets(word, sizeof word, in))
            exit(6);
        fclose(in);
    }
    printf("word=%s\n", word);
    fflush(stdout);
}

static void put_word(const char *kind, int flags)
{
    struct timespec now;
    char word[64];
    int fd = open("/data/word", O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

    if (fd < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(word, sizeof word, "%s-%ld", kind, now.tv_nsec);
    if (write(fd, word, (size_t)n) != n || fsync(fd) != 0)
        exit(7);
    close(fd);
}

static void use_data(const char *how)
{
    if (strcmp(how, "keeper") == 0)
        put_word("kept", O_EXCL);
    if (strncmp(how, "migrate", 7) == 0)
        put_word("migrated", O_TRUNC);
    if (strcmp(how, "keeper") == 0 || strncmp(how, "migrate", 7) == 0)
        print_word();
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
    use_data(how);
    int silent = strcmp(how, "silent") == 0 || strcmp(how, "migrate") == 0;
    if (!silent)
        tell("STATUS=at work\nREADY=1");
    for (int i = strcmp(how, "refused") == 0 ? 3 : 0; i > 0; i--)
        (void)syscall(SYS_bpf, 0, NULL, 0);
    if (strcmp(how, "refused") == 0)
        (void)umount2("/", 0);
    while (strcmp(how, "storm") == 0)
        (void)umount2("/", 0);
    if (strcmp(how, "exit") == 0 || strcmp(how, "migrate-exit") == 0)
        return 3;
    for (;;) {
        usleep(200000);
        if (!silent)
            tell("WATCHDOG=1");
    }
}
