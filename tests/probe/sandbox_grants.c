/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: uses what is granted, and prints one line "NAME VALUE" for each try, where
 * VALUE is 0 or an errno.
 *   open PATH...   open each for reading, for writing and for both: "r PATH V", "w PATH V", "rw
 * ..." look PATH...   list each directory and write to its first file: "list PATH V", "change PATH
 * V" wait           say READY=1 and wait for the end
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}

static void look(const char *path)
{
    char file[600];
    DIR *dir = opendir(path);
    struct dirent *e;

    printf("list %s %d\n", path, dir == NULL ? errno : 0);
    if (dir == NULL)
        return;
    snprintf(file, sizeof file, "%s/new", path);
    printf("create %s %d\n", path, try_open(file, O_WRONLY | O_CREAT));
    while ((e = readdir(dir)) != NULL) {
        if (e->d_type != DT_REG)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        printf("read %s %d\n", path, try_open(file, O_RDONLY));
        printf("change %s %d\n", path, try_open(file, O_WRONLY));
        break;
    }
    snprintf(file, sizeof file, "%s/../../../../etc/shadow", path);
    printf("up %s %d\n", path, try_open(file, O_RDONLY));
    closedir(dir);
}

static void wait_for_the_end(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", getenv("NOTIFY_SOCKET"));
    if (sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&a, sizeof a) < 0)
        exit(errno);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    for (int i = 2; i < argc && strcmp(what, "open") == 0; i++) {
        printf("r %s %d\n", argv[i], try_open(argv[i], O_RDONLY));
        printf("w %s %d\n", argv[i], try_open(argv[i], O_WRONLY));
        printf("rw %s %d\n", argv[i], try_open(argv[i], O_RDWR));
    }
    for (int i = 2; i < argc && strcmp(what, "look") == 0; i++)
        look(argv[i]);
    if (strcmp(what, "wait") == 0)
        wait_for_the_end();
    return 0;
}
