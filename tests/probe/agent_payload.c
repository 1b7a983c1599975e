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
 *   crash   says READY=1 and aborts where it was started
 *   core    prints what is at /data/core, and goes on like good
 *   shm     fills /dev/shm, prints how that ended, and goes on like good
 *   who     prints who it is and whether it can become somebody else, and goes on like good
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* With more in memory than any dump may have. */
static void crash(void)
{
    static volatile char block[1U << 20];

    for (size_t i = 0; i < sizeof block; i += 512)
        block[i] = 1;
    abort();
}

/* What the kernel has left; pages that were never used are holes, which take no space. */
static void print_core(void)
{
    char magic[4] = "";
    struct stat st;
    int fd = open("/data/core", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        printf("core errno=%d\n", errno);
        return;
    }
    int elf = read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "\177ELF", 4) == 0;
    printf("core bytes=%lld elf=%d\n", (long long)st.st_blocks * 512, elf);
    close(fd);
}

static void fill_shm(void)
{
    static char block[4096];
    int fd = open("/dev/shm/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    size_t n = 0;
    ssize_t got = 0;

    memset(block, 1, sizeof block);
    while (fd >= 0 && (got = write(fd, block, sizeof block)) > 0)
        n += (size_t)got;
    printf("shm errno=%d bytes=%zu\n", errno, n);
}

/* Its ids, whose a file is that it makes, and the errno of becoming another or giving it away. */
static void print_who(void)
{
    struct stat st = { .st_uid = 99 };
    char path[32], line[128], caps[32] = "?";
    FILE *in = fopen("/proc/self/status", "r");

    snprintf(path, sizeof path, "/data/of-%u", getuid());
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int older = open("/data/of-1000", O_RDONLY | O_CLOEXEC);
    int theirs = older < 0 ? errno : 0;
    while (in && fgets(line, sizeof line, in))
        (void)sscanf(line, "CapEff: %31s", caps);
    if (in)
        fclose(in);
    if (fd < 0 || fstat(fd, &st) != 0)
        exit(8);
    int given = fchown(fd, 7, 7) == 0 ? 0 : errno;
    int become = setuid(7) == 0 ? 0 : errno;
    printf("who uid=%u gid=%u file=%u caps=%s chown=%d setuid=%d of-1000=%d\n", getuid(), getgid(),
           st.st_uid, caps, given, become, theirs);
    close(older);
    close(fd);
}

static void look(const char *how)
{
    if (strcmp(how, "core") == 0)
        print_core();
    if (strcmp(how, "shm") == 0)
        fill_shm();
    if (strcmp(how, "who") == 0)
        print_who();
    fflush(stdout);
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
    look(how);
    int silent = strcmp(how, "silent") == 0 || strcmp(how, "migrate") == 0;
    if (!silent)
        tell("STATUS=at work\nREADY=1");
    for (int i = strcmp(how, "refused") == 0 ? 3 : 0; i > 0; i--)
        (void)syscall(SYS_bpf, 0, NULL, 0);
    if (strcmp(how, "refused") == 0)
        (void)umount2("/", 0);
    while (strcmp(how, "storm") == 0)
        (void)umount2("/", 0);
    if (strcmp(how, "crash") == 0)
        crash();
    if (strcmp(how, "exit") == 0 || strcmp(how, "migrate-exit") == 0)
        return 3;
    for (;;) {
        usleep(200000);
        if (!silent)
            tell("WATCHDOG=1");
    }
}
