/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for a tender: tells what it was started with and what it can do to the slot, and then
 * does what its last argument says, if it is one of those below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int try(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* More than there is; ends by the kernel's hand. */
static void eat(void)
{
    for (;;) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            exit(3);
        memset(p, 1, 1 << 20);
    }
}

int main(int argc, char **argv)
{
    char *none[] = { NULL };
    struct stat st;
    int n = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < argc; i++)
        printf("arg (%s)\n", argv[i]);
    while (environ != NULL && environ[n] != NULL)
        n++;
    printf("env %d\n", n);
    printf("slot read %d\n", try("/slot/bin/probe", O_RDONLY));
    printf("slot write %d\n", try("/slot/new", O_WRONLY | O_CREAT));
    printf("root write %d\n", try("/new", O_WRONLY | O_CREAT));
    execve("/slot/bin/probe", none, none);
    printf("slot exec %d\n", errno);
    printf("disk %lld\n", stat("/data/disk", &st) == 0 ? (long long)st.st_size : -1LL);
    printf("id %u\n", (unsigned)getuid());
    if (strcmp(argv[argc - 1], "eat") == 0)
        eat();
    while (strcmp(argv[argc - 1], "wait") == 0)
        pause();
    return 0;
}
