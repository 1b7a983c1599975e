/* SPDX-License-Identifier: Apache-2.0
 *
 * escape all KEY=VALUE...     every attack that leaves the others alive, each in a process
 * escape one NAME KEY=...     one of them, or one of those that do not, in this process
 * escape victim ABSTRACT      be the neighbour
 * escape who UID              what an exec of a privileged file does: 0 if it gained something
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

#define HUNG_S 60U /* an attack that waits longer for something is ended, which is told */

char zeros[4096];

static const struct attacks *const all[] = { &runtime_attacks, &kernel_attacks, &reach_attacks,
                                             &bound_attacks };

int outcome(long ret)
{
    return ret < 0 ? errno : 0;
}

int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC, 0644);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

int try_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int ret = outcome(fd);

    if (fd >= 0) {
        ret = outcome(write(fd, "0", 1));
        close(fd);
    }
    return ret;
}

static int attempt(const struct attack *a, const struct scene *scene)
{
    const long *g = a->arg;

    errno = 0;
    if (a->run != NULL)
        return a->run(scene);
    return outcome(syscall(a->nr, g[0], g[1], g[2], g[3], g[4], g[5]));
}

static void tell(const struct attack *a, int how)
{
    const char *name = how == HELD ? "held" : strerrorname_np(how);

    printf("%u %s %s\n", a->line, a->name, how == 0 ? "through" : name != NULL ? name : "?");
    fflush(stdout);
}

/* In a process of its own: what kills it, limits it or fills its descriptors ends with it. */
static void run_apart(const struct attack *a, const struct scene *scene, int *shared)
{
    int status = 0;

    *shared = ECHILD;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(HUNG_S);
        *shared = attempt(a, scene);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        printf("%u %s unable\n", a->line, a->name);
        return;
    }
    if (WIFSIGNALED(status))
        printf("%u %s SIG%s\n", a->line, a->name, sigabbrev_np(WTERMSIG(status)));
    else
        tell(a, *shared);
    fflush(stdout);
}

static void run_all(const struct scene *scene)
{
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        exit(3);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (size_t k = 0; k < all[i]->n; k++)
            run_apart(&all[i]->row[k], scene, shared);
    }
}

static int run_one(const char *name, const struct scene *scene)
{
    static const struct attacks *const groups[] = { &alone_attacks, &bound_attacks,
                                                    &runtime_attacks, &kernel_attacks,
                                                    &reach_attacks };

    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        for (size_t k = 0; k < groups[i]->n; k++) {
            const struct attack *a = &groups[i]->row[k];

            if (strcmp(a->name, name) == 0) {
                tell(a, attempt(a, scene));
                return 0;
            }
        }
    }
    return 4;
}

static void read_scene(int argc, char **argv, struct scene *scene)
{
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (value == NULL)
            exit(2);
        *value++ = '\0';
        if (strcmp(argv[i], "host") == 0)
            scene->host_pid = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "victim") == 0)
            scene->victim_pid = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "uid") == 0)
            scene->victim_uid = (unsigned int)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "abstract") == 0)
            scene->abstract = value;
        else if (strcmp(argv[i], "path") == 0)
            scene->path = value;
        else if (strcmp(argv[i], "secret") == 0)
            scene->secret = value;
        else if (strcmp(argv[i], "data") == 0)
            scene->data = value;
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    struct scene scene = { .abstract = "", .path = "", .secret = "" };

    if (argc >= 3 && strcmp(argv[1], "victim") == 0)
        be_victim(argv[2]);
    if (argc >= 3 && strcmp(argv[1], "who") == 0)
        return who_am_i(argv[2]);
    if (argc >= 2 && strcmp(argv[1], "all") == 0) {
        read_scene(argc - 2, argv + 2, &scene);
        run_all(&scene);
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "one") == 0) {
        read_scene(argc - 3, argv + 3, &scene);
        return run_one(argv[2], &scene);
    }
    return 2;
}
