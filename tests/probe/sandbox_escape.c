/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: looks for the host, and prints one line "NAME VALUE" for each place, where
 * VALUE is 0 if it got through, an errno if not, or what it found.  argv[1] is a process id of the
 * host, argv[2] the name of an abstract socket of the host.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

struct look {
    const char *name;
    const char *path;
    int flags;
};

static const struct look looks[] = {
    { "read-shadow", "/etc/shadow", O_RDONLY },
    { "read-dotdot", "/../../../../etc/shadow", O_RDONLY },
    { "read-proc-root", "/proc/1/root/etc/shadow", O_RDONLY },
    { "read-proc-mem", "/proc/1/mem", O_RDWR },
    { "read-proc-environ", "/proc/1/environ", O_RDONLY },
    { "read-proc-cmdline", "/proc/cmdline", O_RDONLY },
    { "read-proc-keys", "/proc/keys", O_RDONLY },
    { "write-core-pattern", "/proc/sys/kernel/core_pattern", O_WRONLY },
    { "write-sysrq", "/proc/sysrq-trigger", O_WRONLY },
    { "write-oom-score", "/proc/self/oom_score_adj", O_WRONLY },
    { "write-uid-map", "/proc/self/uid_map", O_WRONLY },
    { "write-stdout", "/dev/stdout", O_WRONLY },
    { "read-sys", "/sys/kernel", O_RDONLY },
    { "read-cgroup", "/sys/fs/cgroup", O_RDONLY },
    { "write-self-exe", "/proc/self/exe", O_WRONLY },
    { "write-program", "/bin/probe", O_WRONLY },
    { "create-in-root", "/new", O_WRONLY | O_CREAT },
    { "create-in-bin", "/bin/new", O_WRONLY | O_CREAT },
    { "create-in-dev", "/dev/new", O_WRONLY | O_CREAT },
    { "open-vda", "/dev/vda", O_RDONLY },
    { "open-loop", "/dev/loop0", O_RDONLY },
    { "open-mem", "/dev/mem", O_RDONLY },
    { "open-tty", "/dev/tty", O_RDWR },
    { "open-null", "/dev/null", O_RDWR },
    { "open-urandom", "/dev/urandom", O_RDONLY },
    { "create-in-tmp", "/tmp/new", O_WRONLY | O_CREAT },
    { "create-in-run", "/run/new", O_WRONLY | O_CREAT },
    { "packed-device", "/bin/device", O_RDONLY },
};

static size_t count(const char *path, const char *digits)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    size_t n = 0;

    if (dir == NULL)
        return 0;
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.' && strspn(e->d_name, digits) == strlen(e->d_name))
            n++;
    }
    closedir(dir);
    return n;
}

static long number_in(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY);

    (void)!read(fd, text, sizeof text - 1);
    close(fd);
    return strtol(text, NULL, 10);
}

static int abstract(const char *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(name);

    memcpy(a.sun_path + 1, name, n);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
    return connect(fd, (struct sockaddr *)&a, len) == 0 ? 0 : errno;
}

static int exec_from(const char *path)
{
    char buf[65536];
    int in = open("/bin/probe", O_RDONLY);
    int out = open(path, O_WRONLY | O_CREAT, 0755);
    ssize_t n;

    while ((n = read(in, buf, sizeof buf)) > 0)
        (void)!write(out, buf, (size_t)n);
    close(out);
    close(in);
    char *const argv[] = { (char *)path, NULL };
    execve(path, argv, NULL);
    return errno;
}

int main(int argc, char **argv)
{
    struct rlimit core, files;
    char host[64];
    char cwd[64];
    struct stat st;

    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        int fd = open(looks[i].path, looks[i].flags, 0644);

        printf("%s %d\n", looks[i].name, fd >= 0 ? 0 : errno);
        if (fd >= 0)
            close(fd);
    }
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_NOFILE, &files);
    gethostname(host, sizeof host);
    printf("uid %u\ngid %u\npid-low %d\n", getuid(), getgid(), getpid() < 10);
    printf("core %lu\nfiles %lu\n", (unsigned long)core.rlim_max, (unsigned long)files.rlim_max);
    printf("hostname %s\ncwd %s\n", host, getcwd(cwd, sizeof cwd) == NULL ? "?" : cwd);
    printf("descriptors %zu\n", count("/proc/self/fd", "0123456789")); /* with the one that lists */
    printf("processes %zu\n", count("/proc", "0123456789"));
    printf("dev-nodes %zu\n", count("/dev", "abcdefghijklmnopqrstuvwxyz"));
    printf("interfaces-up %d\n", access("/proc/net/dev", F_OK) == 0 ? 1 : 0);
    printf("setuid-bit %d\n", stat("/bin/setuid", &st) == 0 && (st.st_mode & S_ISUID) != 0);
    printf("notify-socket %s\n", getenv("NOTIFY_SOCKET"));
    printf("oom-score %ld\n", number_in("/proc/self/oom_score_adj"));
    printf("environment-path %d\n", getenv("PATH") != NULL);
    printf("leaked %d\n", getenv("BERTH_TEST_SECRET") != NULL);
    if (argc > 2) {
        printf("kill-host %d\n", kill((pid_t)strtol(argv[1], NULL, 10), 0) == 0 ? 0 : errno);
        printf("abstract-socket %d\n", abstract(argv[2]));
    }
    fflush(stdout);
    printf("exec-tmp %d\n", exec_from("/tmp/probe"));
    return 0;
}
