/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_receive: the receive path from end to end: bundle files in the uplink are
 * opened, judged by the replay window, checked against their descriptor, made durable and removed,
 * until the object is whole; beside `cp -r` and `sync -f` of the same files, on the same file
 * system in the same run.  And the memory of a berth-link that waits for bundles.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/endpoint.h"
#include "link/ground.h"
#include "link/keys.h"
#include "link/port.h"
#include "link/state.h"
#include "tests/bench/bench.h"

#define ROUNDS 3U

struct place {
    char path[64];
    int fd, spool, up, down, keys, ground, copy;
    int port[2];
};

struct size_row {
    uint32_t chunk;
    size_t object;
    const char *name;
};

static int make_dir(const struct place *p, const char *name)
{
    struct err err;
    int fd = -1;

    must_rc(fs_open_dir(p->fd, name, 0755, &fd, &err), &err);
    return fd;
}

static struct place place_new(void)
{
    struct place p = { .path = "bench-receive-XXXXXX" };
    struct keys keys = { 0 };
    struct err err;

    must(mkdtemp(p.path) != NULL, "directory");
    p.fd = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(p.fd >= 0, p.path);
    p.spool = make_dir(&p, "spool");
    p.up = make_dir(&p, "up");
    p.down = make_dir(&p, "down");
    p.keys = make_dir(&p, "link");
    p.ground = make_dir(&p, "ground");
    must_rc(keys_make(1, 42, &keys, &err), &err);
    must_rc(link_state_make(p.ground, LINK_SIDE_GROUND, &keys, &err), &err);
    must_rc(link_state_make(p.keys, LINK_SIDE_SATELLITE, &keys, &err), &err);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p.port) == 0,
         "socket");
    return p;
}

static void place_free(struct place *p)
{
    const int fds[] = { p->spool, p->up, p->down, p->keys, p->ground, p->port[0], p->port[1] };
    struct err err;

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        (void)close(fds[i]);
    (void)close(p->fd);
    must_rc(fs_remove_tree(AT_FDCWD, p->path, &err), &err);
}

/* Every bundle of one package into the uplink; how many, and their bytes. */
static uint32_t fill(const struct place *p, const struct size_row *row, uint64_t *ret_bytes)
{
    scoped(link_ground_close) struct link_ground *ground = NULL;
    scoped(free_ptr) uint8_t *bytes = malloc(row->object);
    scoped(close_fd) int fd = -1;
    const struct link_ground_options options = { .state_dirfd = p->ground,
                                                 .up_dirfd = p->up,
                                                 .down_dirfd = p->down,
                                                 .up_files_max = 1000000,
                                                 .sender = { .chunk_size = row->chunk } };
    struct sender_object o = { .kind = OBJECT_PACKAGE, .size = row->object, .serial = 1 };
    uint64_t budget = UINT64_MAX;
    uint32_t sent = 0;
    struct err err;

    must(bytes != NULL, "memory");
    crypto_random(bytes, row->object);
    must_rc(sha256_of((struct bytes){ bytes, row->object }, o.digest, &err), &err);
    must_rc(fs_sealed("object", (struct bytes){ bytes, row->object }, &fd, &err), &err);
    must_rc(link_ground_open(&options, &ground, &err), &err);
    must_rc(link_ground_add(ground, &o, fd, &err), &err);
    must_rc(link_ground_send(ground, 1000, &budget, &sent, &err), &err);
    *ret_bytes = UINT64_MAX - budget;
    return sent;
}

static void run(const char *const argv[])
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, argv[0]);
}

/* What moving the same files durably costs. */
static double copy(const struct place *p)
{
    char from[96], to[96];

    (void)snprintf(from, sizeof from, "%s/up", p->path);
    (void)snprintf(to, sizeof to, "%s/copy", p->path);
    double began = bench_s(CLOCK_MONOTONIC);

    run((const char *const[]){ "cp", "-r", from, to, NULL });
    run((const char *const[]){ "sync", "-f", to, NULL });
    return bench_s(CLOCK_MONOTONIC) - began;
}

/* Drain what the endpoint tells berthd; true when the object was offered. */
static bool offered(int port)
{
    static struct port_message m;
    bool got = false;
    int fd = -1;

    while (port_recv(port, PORT_FROM_LINK, &m, &fd, NULL) == RC_OK) {
        got = got || m.type == PORT_OBJECT;
        close_fd(&fd);
    }
    return got;
}

/* The endpoint takes everything in, until the object is whole. */
static double receive(const struct place *p)
{
    scoped(endpoint_free) struct endpoint *e = NULL;
    const struct endpoint_fds fds = {
        .port = p->port[1], .spool = p->spool, .up = p->up, .down = p->down, .keys = p->keys
    };
    uint64_t now_ms = 1000, wait_ms = 0;
    struct err err;

    must_rc(endpoint_new(&fds, now_ms, &e, &err), &err);
    double began = bench_s(CLOCK_MONOTONIC);

    while (!offered(p->port[0]))
        must_rc(endpoint_tick(e, now_ms++, &wait_ms, &err), &err);
    return bench_s(CLOCK_MONOTONIC) - began;
}

static void report(FILE *out, const char *figure, double value, const char *unit, double peer,
                   const char *aim)
{
    if (peer > 0) {
        (void)fprintf(out,
                      "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"peer\":\"cp -r, sync\","
                      "\"peer_value\":%.3f,\"ratio\":%.3f,\"aim\":\"%s\"}\n",
                      figure, value, unit, peer, value / peer, aim);
        (void)printf("  %-40s %10.1f %-10s cp -r, sync: %.1f, ratio %.2f (aim %s)\n", figure, value,
                     unit, peer, value / peer, aim);
        return;
    }
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"peer\":null,\"peer_value\":"
                  "null,\"ratio\":null,\"aim\":\"%s\"}\n",
                  figure, value, unit, aim);
    (void)printf("  %-40s %10.1f %-10s (aim %s)\n", figure, value, unit, aim);
}

static void measure(FILE *out, const struct size_row *row)
{
    double ours = 0, peer = 0;
    uint64_t bytes = 0;
    uint32_t files = 0;
    char figure[96];

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct place p = place_new();

        files = fill(&p, row, &bytes);
        double copied = copy(&p);
        double took = receive(&p);

        place_free(&p);
        ours = i == 0 || took < ours ? took : ours;
        peer = i == 0 || copied < peer ? copied : peer;
    }
    (void)snprintf(figure, sizeof figure, "receive %u bundles of %s", files, row->name);
    report(out, figure, (double)bytes / ours / 1e6, "MB/s", (double)bytes / peer / 1e6,
           "ratio >= 0.5");
    (void)snprintf(figure, sizeof figure, "the same, bundles of %s", row->name);
    report(out, figure, files / ours, "bundles/s", 0, row->chunk == 4096 ? "> 2000" : "none");
}

/* ---- memory ---- */

#define LINK_USER 4242U
#define QUIET_MS 3000 /* without a word for so long, it waits */

/* KiB of this name in smaps_rollup of a process. */
static double rollup_kib(pid_t pid, const char *name)
{
    char path[48];
    char line[128];
    double kib = -1;

    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "re");

    must(f != NULL, path);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kib = strtod(line + strlen(name) + 1, NULL);
    }
    (void)fclose(f);
    must(kib >= 0, name);
    return kib;
}

/* The program as berthd starts it. */
static pid_t start_link(const struct place *p)
{
    const char *build = getenv("BERTH_BUILD");
    char path[300], user[32];
    pid_t pid;

    (void)snprintf(path, sizeof path, "%s/berth-link", build != NULL ? build : "build/release");
    (void)snprintf(user, sizeof user, "%u:%u", LINK_USER, LINK_USER);
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        const int fds[] = { p->port[1], p->spool, p->up, p->down, p->keys };
        int high[5];

        for (int i = 0; i < 5; i++)
            high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
        for (int i = 0; i < 5; i++)
            (void)dup2(high[i], 3 + i);
        (void)execl(path, "berth-link", "--user", user, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void measure_memory(FILE *out)
{
    static const struct {
        const char *name, *figure, *aim;
    } rows[] = {
        { "Rss", "idle berth-link, resident", "<= 3072" },
        { "Pss", "the same, its share of what is shared", "none" },
        { "Anonymous", "the same, in no file", "none" },
    };
    struct place p = place_new();
    const int dirs[] = { p.spool, p.up, p.down, p.keys };
    struct pollfd said = { .fd = p.port[0], .events = POLLIN };
    int status = 0;

    must(fchmod(p.fd, 0755) == 0, "directory");
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        must(fchown(dirs[i], LINK_USER, LINK_USER) == 0, "owner");
    run((const char *const[]){ "chown", "-R", "4242:4242", p.path, NULL });
    must(chown(p.path, 0, 0) == 0, "owner");
    pid_t pid = start_link(&p);

    must(poll(&said, 1, 10000) == 1, "berth-link says nothing");
    while (poll(&said, 1, QUIET_MS) == 1)
        (void)offered(p.port[0]);
    must(waitpid(pid, &status, WNOHANG) == 0, "berth-link ended");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        report(out, rows[i].figure, rollup_kib(pid, rows[i].name), "KiB", 0, rows[i].aim);
    (void)kill(pid, SIGKILL);
    must(waitpid(pid, &status, 0) == pid, "berth-link");
    place_free(&p);
}

int main(int argc, char **argv)
{
    static const struct size_row rows[] = {
        { 4096, 16U << 20, "4 KiB" },
        { 65536, 64U << 20, "64 KiB" },
        { 262144, 64U << 20, "256 KiB" },
    };
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;

    if (!out) {
        (void)fprintf(stderr, "usage: bench_receive FILE.jsonl\n");
        return 2;
    }
    (void)printf("receive\n");
    measure_memory(out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        measure(out, &rows[i]);
        (void)fflush(stdout);
    }
    return fclose(out) == 0 ? 0 : 1;
}
