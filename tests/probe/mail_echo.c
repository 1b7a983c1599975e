/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload that answers its mail: what comes into /inbox goes back as NAME.back, and once a
 * receipt says that such an answer was delivered NAME.back-delivered follows, so that its ground
 * sees what it saw.  Not so that it was taken: two files at once would have no order.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RECEIPT ".receipt"
#define BACK ".back"

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

/* A file of the outbox, whole under its name at once. */
static void put(const char *name, int from, const char *text)
{
    char draft[300], to[300];
    ssize_t n = 0;

    snprintf(draft, sizeof draft, "/outbox/.%.200s", name);
    snprintf(to, sizeof to, "/outbox/%.200s", name);
    int out = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (out < 0 || (text && write(out, text, strlen(text)) != (ssize_t)strlen(text)))
        exit(7);
    while (from >= 0 && (n = read(from, block, sizeof block)) > 0)
        if (write(out, block, (size_t)n) != n)
            exit(8);
    if (n < 0 || fsync(out) != 0 || close(out) != 0 || rename(draft, to) != 0)
        exit(9);
}

static void send_back(const char *path, const char *name)
{
    char to[300];
    int in = open(path, O_RDONLY | O_CLOEXEC);

    if (in < 0)
        exit(10);
    snprintf(to, sizeof to, "%.200s" BACK, name);
    put(to, in, NULL);
    close(in);
}

/* "delivered\n" of ping.back becomes the message ping.back-delivered; of other names and words,
 * nothing. */
static void send_word(const char *path, const char *name)
{
    char word[64] = "", to[300];
    FILE *in = fopen(path, "re");
    size_t n = strlen(name) - strlen(RECEIPT);

    if (!in || !fgets(word, sizeof word, in))
        exit(11);
    fclose(in);
    word[strcspn(word, " \n")] = '\0';
    if (strcmp(word, "delivered") != 0 || n < strlen(BACK) ||
        strncmp(name + n - strlen(BACK), BACK, strlen(BACK)) != 0)
        return;
    snprintf(to, sizeof to, "%.*s-%s", (int)n, name, word);
    put(to, -1, word);
}

static void look(void)
{
    DIR *inbox = opendir("/inbox");

    if (!inbox)
        exit(12);
    for (struct dirent *e = readdir(inbox); e; e = readdir(inbox)) {
        char path[300];
        size_t n = strlen(e->d_name);

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/inbox/%s", e->d_name);
        if (n > strlen(RECEIPT) && strcmp(e->d_name + n - strlen(RECEIPT), RECEIPT) == 0)
            send_word(path, e->d_name);
        else
            send_back(path, e->d_name);
        if (unlink(path) != 0)
            exit(13);
    }
    closedir(inbox);
}

int main(void)
{
    tell("READY=1");
    for (;;) {
        look();
        usleep(100000);
        tell("WATCHDOG=1");
    }
}
