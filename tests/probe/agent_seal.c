/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload whose mail is sealed, by the berth-seal of its package.  Its key was laid into /data
 * before launch.  Whatever comes into /inbox is opened and answered, sealed, as NAME.back; what
 * cannot be opened is told by NAME and exit code; receipts are printed.  First it tries to send
 * something in the clear.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL "/bin/berth-seal"
#define KEYS "/data/seal"
#define KEY_FILE "/data/cam.key"

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

/* The tool's exit code; what it says goes where ours goes. */
static int tool(char *verb, char *a, char *b, char *c, const char *in)
{
    char *argv[] = { TOOL, verb, a, b, c, NULL };
    char *env[] = { NULL };
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = in ? open(in, O_RDONLY | O_CLOEXEC) : -1;

        if ((in && dup2(fd, 0) < 0) || dup2(1, 2) < 0)
            _exit(100);
        execve(TOOL, argv, env);
        _exit(101);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        exit(6);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void take_key(void)
{
    if (access(KEY_FILE, F_OK) != 0)
        return;
    if (tool("install", "-", KEYS, NULL, KEY_FILE) != 0 || unlink(KEY_FILE) != 0)
        exit(7);
}

static void write_text(const char *path, const char *head, const char *text, size_t n)
{
    FILE *out = fopen(path, "w");

    if (!out || fputs(head, out) < 0 || fwrite(text, 1, n, out) != n || fclose(out) != 0)
        exit(8);
}

static size_t read_text(const char *path, char *buf, size_t cap)
{
    FILE *in = fopen(path, "r");
    size_t n = in ? fread(buf, 1, cap, in) : 0;

    if (!in)
        exit(9);
    fclose(in);
    return n;
}

static void answer(const char *name)
{
    char from[300], plain[300], reply[300], to[300], text[4096];

    snprintf(from, sizeof from, "/inbox/%s", name);
    snprintf(plain, sizeof plain, "/data/%s.plain", name);
    snprintf(reply, sizeof reply, "/data/%s.reply", name);
    snprintf(to, sizeof to, "/outbox/%s.back", name);
    unlink(plain);
    int code = tool("open", KEYS, from, plain, NULL);

    if (code != 0) {
        printf("%s: exit %d\n", name, code);
    } else {
        write_text(reply, "I did: ", text, read_text(plain, text, sizeof text));
        if (tool("seal", KEYS, reply, to, NULL) != 0)
            exit(10);
        unlink(reply);
        unlink(plain);
    }
    fflush(stdout);
    unlink(from);
}

static void print_receipt(const char *name)
{
    char path[300], word[64] = "";
    size_t n;

    snprintf(path, sizeof path, "/inbox/%s", name);
    n = read_text(path, word, sizeof word - 1);
    word[n] = '\0';
    printf("%s %s", name, word);
    fflush(stdout);
    unlink(path);
}

static void look(void)
{
    DIR *inbox = opendir("/inbox");

    if (!inbox)
        exit(11);
    for (struct dirent *e = readdir(inbox); e; e = readdir(inbox)) {
        size_t n = strlen(e->d_name);

        if (e->d_name[0] == '.')
            continue;
        if (n > 8 && strcmp(e->d_name + n - 8, ".receipt") == 0)
            print_receipt(e->d_name);
        else
            answer(e->d_name);
    }
    closedir(inbox);
}

int main(void)
{
    take_key();
    write_text("/outbox/.clear", "in the clear", "", 0);
    if (rename("/outbox/.clear", "/outbox/clear") != 0)
        exit(12);
    tell("READY=1");
    for (;;) {
        look();
        usleep(100000);
        tell("WATCHDOG=1");
    }
}
