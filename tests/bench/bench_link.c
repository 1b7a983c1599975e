/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_link: what opening a sealed bundle costs beside the bare cipher in `openssl
 * speed`, measured in the same run on the same machine, and what decoding costs.  Times are CPU
 * time, as those of openssl speed are; each figure is the best of several rounds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link/bpsec.h"
#include "link/seal.h"
#include "tests/bench/bench.h"
#include "tests/unit/vectors.h"

#define COPIES 8U /* bundles opened per timed stretch: opening in place uses them up */
#define ROUND_NS 100000000ULL
#define ROUNDS 7U
#define PAYLOAD_MAX 65536U

/* One line of output; a negative number is one that there is not. */
struct figure {
    const char *name;
    double value;
    const char *unit;
    const char *peer;
    double peer_value;
    const char *aim;
};

static void print_number(FILE *out, const char *name, double value)
{
    if (value < 0)
        (void)fprintf(out, ",\"%s\":null", name);
    else
        (void)fprintf(out, ",\"%s\":%.3f", name, value);
}

static void report(FILE *out, const struct figure *f)
{
    double ratio = f->peer_value > 0 ? f->value / f->peer_value : -1;

    (void)fprintf(out, "{\"figure\":\"%s\"", f->name);
    print_number(out, "value", f->value);
    (void)fprintf(out, ",\"unit\":\"%s\"", f->unit);
    if (f->peer_value > 0)
        (void)fprintf(out, ",\"peer\":\"%s\"", f->peer);
    else
        (void)fprintf(out, ",\"peer\":null");
    print_number(out, "peer_value", f->peer_value > 0 ? f->peer_value : -1);
    print_number(out, "ratio", ratio);
    (void)fprintf(out, ",\"aim\":\"%s\"}\n", f->aim);
    (void)printf("  %-42s %10.1f %-5s", f->name, f->value, f->unit);
    if (ratio > 0)
        (void)printf("  %s: %.1f, ratio %.2f", f->peer, f->peer_value, ratio);
    (void)printf("  (aim %s)\n", f->aim);
}

/* ---- the peer ---- */

/* What `openssl speed` prints for one block size, cut at cap; false if it cannot be run or fails.
 */
static bool run_openssl(unsigned block, bool decrypt, char *out, size_t cap)
{
    char size[16];
    int pipe_fd[2];
    size_t n = 0;
    ssize_t got = 0;
    int status = -1;
    pid_t pid;

    (void)snprintf(size, sizeof size, "%u", block);
    if (pipe2(pipe_fd, O_CLOEXEC) != 0)
        return false;
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null < 0 || dup2(pipe_fd[1], STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(127);
        (void)execlp("openssl", "openssl", "speed", "-mr", "-seconds", "1", "-bytes", size, "-evp",
                     "aes-256-gcm", decrypt ? "-decrypt" : (char *)NULL, (char *)NULL);
        _exit(127);
    }
    (void)close(pipe_fd[1]);
    while (n + 1 < cap && (got = read(pipe_fd[0], out + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    (void)close(pipe_fd[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* MB/s of AES-256-GCM in openssl speed, -1 without openssl.  With -mr its result is the line
 * "+F:INDEX:AES-256-GCM:BYTES_PER_SECOND". */
static double openssl_speed(unsigned block, bool decrypt)
{
    char out[8192];
    const char *line;

    if (!run_openssl(block, decrypt, out, sizeof out))
        return -1;
    line = strstr(out, "+F:");
    line = line ? strstr(line, "GCM:") : NULL;
    return line ? strtod(line + strlen("GCM:"), NULL) / 1e6 : -1;
}

/* ---- ours ---- */

static uint8_t payload[PAYLOAD_MAX];
static uint8_t sealed[PAYLOAD_MAX + LINK_OVERHEAD_MAX];
static uint8_t copies[COPIES][PAYLOAD_MAX + LINK_OVERHEAD_MAX];
static const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };

static enum rc find_keys(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                         struct err *err)
{
    (void)arg;
    (void)src;
    (void)number;
    (void)err;
    *ret = keys;
    return RC_OK;
}

static size_t seal(size_t n)
{
    static uint64_t counter;
    struct link_message m = {
        .src = eid_ipn(1, 1),
        .dst = eid_ipn(42, 1),
        .time_ms = 800000000000,
        .lifetime_ms = 86400000,
        .key = 1,
        .counter = ++counter,
        .payload = { .p = payload, .n = n },
    };
    size_t size = 0;

    if (link_seal(&m, &keys, sealed, sizeof sealed, &size, NULL) != RC_OK)
        abort();
    return size;
}

/* CPU time of opening every copy once. */
static uint64_t open_copies(size_t size)
{
    static const struct link_finder ring = { .find = find_keys };
    struct link_opened opened;
    uint64_t start;

    for (size_t i = 0; i < COPIES; i++)
        memcpy(copies[i], sealed, size);
    start = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < COPIES; i++) {
        if (link_open(copies[i], size, &ring, &opened, NULL) != RC_OK)
            abort();
    }
    return bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static uint64_t seal_copies(size_t n)
{
    uint64_t start = bench_ns(CLOCK_PROCESS_CPUTIME_ID);

    for (size_t i = 0; i < COPIES; i++)
        (void)seal(n);
    return bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
}

/* The bare cipher of the libcrypto that we link, which may be newer than the one of openssl speed.
 */
static uint64_t cipher_copies(size_t n)
{
    static const uint8_t key[32];
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t tag[GCM_TAG_SIZE];
    uint64_t start = bench_ns(CLOCK_PROCESS_CPUTIME_ID);

    for (size_t i = 0; i < COPIES; i++) {
        struct bytes text = { .p = copies[i], .n = n };

        if (crypto_gcm_seal((struct bytes){ .p = key, .n = sizeof key }, iv, (struct bytes){ 0 },
                            text, copies[i], tag, NULL) != RC_OK)
            abort();
    }
    return bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
}

enum work { OPEN, SEAL, CIPHER };

static uint64_t stretch(enum work work, size_t n, size_t size)
{
    if (work == OPEN)
        return open_copies(size);
    return work == SEAL ? seal_copies(n) : cipher_copies(n);
}

/* Payload MB/s, best round. */
static double throughput(size_t n, enum work work)
{
    size_t size = seal(n);
    double best = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t spent = 0;
        uint64_t bytes = 0;

        while (spent < ROUND_NS) {
            spent += stretch(work, n, size);
            bytes += COPIES * n;
        }
        if ((double)bytes * 1e3 / (double)spent > best)
            best = (double)bytes * 1e3 / (double)spent;
    }
    return best;
}

/* ns per bundle_decode, best round. */
static double decode_ns(struct bytes in)
{
    static struct bundle bundle;
    double best = 1e12;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
        unsigned done = 0;

        do {
            for (unsigned i = 0; i < 1000; i++) {
                if (bundle_decode(in, BUNDLE_STRICT, &bundle, NULL) != RC_OK)
                    abort();
            }
            done += 1000;
        } while (bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start < ROUND_NS);
        if ((double)(bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / done < best)
            best = (double)(bench_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / done;
    }
    return best;
}

static void bench_security(FILE *out)
{
    static const struct {
        const char *name;
        unsigned n;
        enum work work;
        const char *peer;
        const char *aim;
    } rows[] = {
        { "BPSec open + verify, 4 KiB payload", 4096, OPEN,
          "openssl speed -decrypt aes-256-gcm 4096", "ratio >= 0.5" },
        { "BPSec open + verify, 64 KiB payload", 65536, OPEN,
          "openssl speed -decrypt aes-256-gcm 65536", "ratio >= 0.75" },
        { "BPSec seal, 4 KiB payload", 4096, SEAL, "openssl speed aes-256-gcm 4096",
          "ratio >= 0.5" },
        { "BPSec seal, 64 KiB payload", 65536, SEAL, "openssl speed aes-256-gcm 65536",
          "ratio >= 0.75" },
        { "AES-256-GCM alone, 4 KiB", 4096, CIPHER, "openssl speed aes-256-gcm 4096", "none" },
        { "AES-256-GCM alone, 64 KiB", 65536, CIPHER, "openssl speed aes-256-gcm 65536", "none" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct figure f = { .name = rows[i].name,
                            .value = throughput(rows[i].n, rows[i].work),
                            .unit = "MB/s",
                            .peer = rows[i].peer,
                            .peer_value = openssl_speed(rows[i].n, rows[i].work == OPEN),
                            .aim = rows[i].aim };

        report(out, &f);
    }
}

static void bench_decode(FILE *out)
{
    static const struct {
        const char *name;
        const char *file;
        const char *aim;
    } rows[] = {
        { "decode, 97 B, two blocks with CRC-32C", "bundles-valid/bplib-primary-payload-crc32c.hex",
          "<= 100" },
        { "decode, 239 B, BIB + BCB + age", "rfc9173/a3-final-bundle.hex", "<= 250" },
        { "decode, 99 B, three blocks with CRC-16", "bundles-valid/bplib-prev-node-crc16.hex",
          "<= 400" },
    };
    static struct vector v;
    size_t n = seal(65536);
    struct figure f = { .unit = "ns", .peer_value = -1 };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vector_load(rows[i].file, &v);
        f.name = rows[i].name;
        f.value = decode_ns(vector_bytes(&v));
        f.aim = rows[i].aim;
        report(out, &f);
    }
    f.name = "decode, sealed bundle with 64 KiB payload";
    f.value = decode_ns((struct bytes){ .p = sealed, .n = n });
    f.aim = "<= 250";
    report(out, &f);
}

int main(int argc, char **argv)
{
    FILE *out = fopen(argc > 1 ? argv[1] : "/dev/null", "we");

    if (!out) {
        perror(argv[1]);
        return 1;
    }
    (void)puts("link");
    bench_security(out);
    bench_decode(out);
    return fclose(out) == 0 ? 0 : 1;
}
