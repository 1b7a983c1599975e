/* SPDX-License-Identifier: Apache-2.0
 *
 * Captures, byte for byte, and as tshark reads them with its own dissector.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "link/bundle.h"
#include "link/pcapng.h"
#include "tests/unit/vectors.h"

#define VALID "bundles-valid"
#define BUNDLES_MAX 64U

static void test_bytes(void **state)
{
    static const uint8_t bundle[] = { 0x9f, 0xff, 1 };
    const struct pcapng_record record = { .unix_us = 0x100000002,
                                          .direction = PCAPNG_OUT,
                                          .comment = "a.bundle",
                                          .bundle = { bundle, sizeof bundle } };
    uint8_t buf[256];
    struct bytes out;
    struct vector want = { .n = 0 };

    (void)state;
    assert_rc(pcapng_begin(buf, sizeof buf, &out, NULL), RC_OK);
    vector_hex("0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000"
               "01000000 14000000 fc000000 00000000 14000000",
               &want);
    assert_int_equal(out.n, want.n);
    assert_memory_equal(out.p, want.p, want.n);
    assert_rc(pcapng_bundle(&record, buf, sizeof buf, &out, NULL), RC_OK);
    want.n = 0;
    vector_hex("06000000 48000000 00000000 01000000 02000000 0f000000 0f000000"
               "000c0004 62707637 00000000 9fff01 00"
               "01000800 612e62756e646c65 02000400 02000000 00000000 48000000",
               &want);
    assert_int_equal(out.n, want.n);
    assert_memory_equal(out.p, want.p, want.n);
    for (size_t cap = 0; cap < want.n; cap++)
        assert_rc(pcapng_bundle(&record, buf, cap, &out, NULL), RC_NO_ROOM);
    for (size_t cap = 0; cap < 48; cap++)
        assert_rc(pcapng_begin(buf, cap, &out, NULL), RC_NO_ROOM);
}

/* The longest comment and the largest bundle stay within what the header promises. */
static void test_overhead(void **state)
{
    static uint8_t bundle[1001];
    char comment[400];
    uint8_t buf[sizeof bundle + PCAPNG_OVERHEAD_MAX];
    struct bytes out;

    (void)state;
    memset(comment, 'x', sizeof comment - 1);
    comment[sizeof comment - 1] = '\0';
    for (size_t n = sizeof bundle - 4; n <= sizeof bundle; n++) {
        const struct pcapng_record record = { .comment = comment, .bundle = { bundle, n } };

        assert_rc(pcapng_bundle(&record, buf, n + PCAPNG_OVERHEAD_MAX, &out, NULL), RC_OK);
    }
}

/* ---- tshark ---- */

struct sent {
    size_t n;
    char dst[BUNDLES_MAX][EID_TEXT_CAP];
};

/* Every valid vector into one capture. */
static void write_capture(int fd, struct sent *sent)
{
    DIR *d = opendir(VECTOR_DIR VALID);
    uint8_t begin[PCAPNG_BEGIN_SIZE];
    const struct dirent *e;
    struct bytes out;

    assert_non_null(d);
    assert_rc(pcapng_begin(begin, sizeof begin, &out, NULL), RC_OK);
    assert_rc(fs_write_all(fd, out, NULL), RC_OK);
    while ((e = readdir(d)) != NULL && sent->n < BUNDLES_MAX) {
        static struct vector v;
        static struct bundle bundle;
        static uint8_t record[VECTOR_MAX + PCAPNG_OVERHEAD_MAX];
        char name[300];

        (void)snprintf(name, sizeof name, VALID "/%s", e->d_name);
        if (!strstr(e->d_name, ".hex"))
            continue;
        vector_load(name, &v);
        if (bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &bundle, NULL) != RC_OK)
            continue;
        (void)eid_text(&bundle.dst, sent->dst[sent->n++], EID_TEXT_CAP);
        const struct pcapng_record r = { .comment = name, .bundle = vector_bytes(&v) };

        assert_rc(pcapng_bundle(&r, record, sizeof record, &out, NULL), RC_OK);
        assert_rc(fs_write_all(fd, out, NULL), RC_OK);
    }
    (void)closedir(d);
}

/* What tshark prints of a capture, up to cap; false when it is not installed. */
static bool run_tshark(const char *path, char *out, size_t cap)
{
    int pipe_fd[2];
    size_t n = 0;
    ssize_t got = 0;
    int status = -1;

    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null < 0 || dup2(pipe_fd[1], STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(126);
        (void)execlp("tshark", "tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.protocols",
                     "-e", "bpv7.primary.dst_uri", (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    (void)close(pipe_fd[1]);
    while (n + 1 < cap && (got = read(pipe_fd[0], out + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    (void)close(pipe_fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 127)
        return false;
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static void test_tshark(void **state)
{
    static struct sent sent;
    static char said[65536];
    char path[] = "/tmp/berth-capture-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    char *line = said;

    (void)state;
    assert_true(fd >= 0);
    write_capture(fd, &sent);
    (void)close(fd);
    bool there = run_tshark(path, said, sizeof said);

    (void)unlink(path);
    if (!there)
        skip();
    assert_true(sent.n > 20);
    for (size_t i = 0; i < sent.n; i++) {
        char *end = strchr(line, '\n');

        assert_non_null(end);
        *end = '\0';
        char *tab = strchr(line, '\t');

        assert_non_null(tab);
        *tab = '\0';
        assert_int_equal(strncmp(line, "exported_pdu:bpv7", 17), 0);
        assert_string_equal(tab + 1, sent.dst[i]);
        line = end + 1;
    }
    assert_string_equal(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_overhead),
        cmocka_unit_test(test_tshark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
