/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload with mail.  Whatever comes into /inbox is sent back as NAME.back, and removed; receipts
 * are printed.  Before that it leaves in /outbox what nobody must take.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char block[65536];

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

static void make_junk(void)
{
    (void)!mkfifo("/outbox/fifo", 0600);
    (void)!symlink("/inbox/secret", "/outbox/link");
    (void)!mkdir("/outbox/directory", 0700);
    int fd = open("/outbox/.sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    /* By its name once it is sparse: before that it is an empty file, which is mail. */
    if (fd < 0 || ftruncate(fd, 100000) != 0 || rename("/outbox/.sparse", "/outbox/sparse") != 0)
        exit(6);
    close(fd);
}

static void send_back(const char *name)
{
    char from[300], draft[300], to[300];
    int in, out;
    ssize_t n;

    snprintf(from, sizeof from, "/inbox/%s", name);
    snprintf(draft, sizeof draft, "/outbox/.%s", name);
    snprintf(to, sizeof to, "/outbox/%s.back", name);
    in = open(from, O_RDONLY | O_CLOEXEC);
    out = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        exit(7);
    while ((n = read(in, block, sizeof block)) > 0)
        if (write(out, block, (size_t)n) != n)
            exit(8);
    close(in);
    close(out);
    if (rename(draft, to) != 0 || unlink(from) != 0)
        exit(9);
}

static void print_receipt(const char *name)
{
    char path[300], word[64] = "";
    FILE *in;

    snprintf(path, sizeof path, "/inbox/%s", name);
    in = fopen(path, "r");
    if (in && fgets(word, sizeof word, in))
        printf("%s %s", name, word);
    fflush(stdout);
    if (in)
        fclose(in);
    unlink(path);
}

static void look(void)
{
    DIR *inbox = opendir("/inbox");

    if (!inbox)
        exit(10);
    for (struct dirent *e = readdir(inbox); e; e = readdir(inbox)) {
        size_t n = strlen(e->d_name);

        if (e->d_name[0] == '.')
            continue;
        if (n > 8 && strcmp(e->d_name + n - 8, ".receipt") == 0)
            print_receipt(e->d_name);
        else
            send_back(e->d_name);
    }
    closedir(inbox);
}

int main(void)
{
    make_junk();
    tell("READY=1");
    for (;;) {
        look();
        usleep(100000);
        tell("WATCHDOG=1");
    }
}
