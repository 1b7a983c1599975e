/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_scrub: how fast berth-unpack reads a slot and a package again, beside what
 * `openssl speed` makes of SHA-256 on the same machine in the same run.  Both are per second of
 * processor time, as openssl counts it; ours with the kernel's part in reading from the medium (the
 * scrub asks it to forget what it has cached), in starting and in confining itself.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/unit/update_signed.h"
#include "update/check.h"
#include "update/index.h"
#include "update/package.h"

#define FILE_BYTES (8U * 1024U * 1024U)
#define FILES 16U
#define ROUNDS 5U

/* Processor time of the children that have ended. */
static double spent_s(void)
{
    struct rusage u;

    must(getrusage(RUSAGE_CHILDREN, &u) == 0, "rusage");
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A tree of FILES files, its index, and a file with all of their bytes. */
struct field {
    struct scratch dir;
    int root, index, object, program;
    struct manifest m;
    struct check_object what;
};

static void grow(struct field *f)
{
    scoped(index_free) struct index *ix = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(FILE_BYTES);
    struct err err = { 0 };

    must(buf != NULL, "memory");
    must_rc(index_new(&ix, &err), &err);
    for (uint32_t i = 0; i < FILES; i++) {
        struct policy_item item = { .type = S_IFREG, .mode = 0644 };
        struct digest content;

        for (size_t at = 0; at < FILE_BYTES; at += 4096)
            crypto_random(buf + at, 4096);
        (void)snprintf(item.path, sizeof item.path, "f%02u", i);
        scoped(close_fd) int fd = openat(f->root, item.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        must_rc(fs_write_all(fd, (struct bytes){ buf, FILE_BYTES }, &err), &err);
        must_rc(fs_write_all(f->object, (struct bytes){ buf, FILE_BYTES }, &err), &err);
        must_rc(sha256_of((struct bytes){ buf, FILE_BYTES }, content.b, &err), &err);
        must_rc(index_add(ix, &item, FILE_BYTES, &content, &err), &err);
    }
    must_rc(index_end(ix, f->index, &f->m.index, &f->m.index384, &err), &err);
    f->what.fd = f->object;
    f->what.size = (uint64_t)FILES * FILE_BYTES;
    must_rc(package_digest(f->object, 0, f->what.size, f->what.digest.b, &err), &err);
}

static void await(struct unpack_job *job)
{
    struct pollfd ready = { .fd = job->pidfd, .events = POLLIN };
    struct err err = { 0 };

    must(poll(&ready, 1, -1) == 1, "poll");
    must_rc(unpack_result(job, &err), &err);
}

static double check(struct field *f, bool slot)
{
    const int fds[2] = { f->index, f->root };
    struct unpack_job job;
    struct err err = { 0 };
    double began = spent_s();

    must_rc(slot ? check_start(&f->m, f->program, fds, false, &job, &err)
                 : check_start_object(&f->what, f->program, false, &job, &err),
            &err);
    await(&job);
    return (double)f->what.size / 1e6 / (spent_s() - began);
}

/* MB/s of SHA-256 over 16 KiB pieces, by openssl itself. */
static double peer(void)
{
    char line[256];
    double rate = 0;
    int ends[2];
    int status = 1;

    must(pipe2(ends, O_CLOEXEC) == 0, "pipe");

    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
            (void)execlp("openssl", "openssl", "speed", "-seconds", "1", "-bytes", "16384", "-mr",
                         "sha256", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);

    FILE *out = fdopen(ends[0], "r");

    must(pid > 0 && out != NULL, "openssl");
    while (fgets(line, sizeof line, out)) {
        const char *last = strrchr(line, ':');

        if (strncmp(line, "+F:", 3) == 0 && last)
            rate = strtod(last + 1, NULL) / 1e6;
    }
    (void)fclose(out);
    must(waitpid(pid, &status, 0) == pid && status == 0 && rate > 0, "openssl speed");
    return rate;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static void measure(struct field *f, const char *path)
{
    double slot[ROUNDS], object[ROUNDS], openssl[ROUNDS];
    FILE *out = fopen(path, "we");

    must(out != NULL, path);
    for (uint32_t i = 0; i < ROUNDS; i++) { /* in turns: the machine is not ours alone */
        openssl[i] = peer();
        slot[i] = check(f, true);
        object[i] = check(f, false);
    }
    double theirs = median(openssl), a = median(slot), b = median(object);

    (void)printf("scrub       slot %.0f MB/s  package %.0f MB/s  openssl speed sha256 %.0f MB/s  "
                 "(%.0f %% and %.0f %%)\n",
                 a, b, theirs, 100 * a / theirs, 100 * b / theirs);
    (void)fprintf(out,
                  "{\"bench\":\"scrub\",\"slot_mb_s\":%.1f,\"package_mb_s\":%.1f,"
                  "\"openssl_sha256_mb_s\":%.1f,\"rounds\":%u,\"bytes\":%llu}\n",
                  a, b, theirs, ROUNDS, (unsigned long long)f->what.size);
    must(fclose(out) == 0, path);
}

int main(int argc, char **argv)
{
    struct field f = { .dir = { .path = "/var/tmp/berth-bench-XXXXXX", .fd = -1 } };
    const char *build = getenv("BERTH_BUILD");
    char program[512];

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_scrub FILE.jsonl\n");
        return 2;
    }
    must(mkdtemp(f.dir.path) != NULL, f.dir.path);
    f.dir.fd = open(f.dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f.root = make_dir(f.dir.fd, "root");
    f.index = openat(f.dir.fd, "index", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    f.object = openat(f.dir.fd, "object", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    (void)snprintf(program, sizeof program, "%s/berth-unpack", build ? build : "build/release");
    f.program = open(program, O_RDONLY | O_CLOEXEC);
    must(f.program >= 0, program);
    grow(&f);
    measure(&f, argv[1]);
    scratch_done(&f.dir);
    return 0;
}
