/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/cl_rig: berth-cl processes between directories of the test's own, certificates that
 * are made for one run, and sockets whose ports the kernel chooses.
 */
#ifndef BERTH_TESTS_UNIT_CL_RIG_H
#define BERTH_TESTS_UNIT_CL_RIG_H

#include "tests/unit/link_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "link/bundle.h"
#include "link/dircl.h"

#define RIG_ARGS 40
#define RIG_USER "64503"
#define RIG_LIMIT 60000 /* looks at a condition, 5 ms or more apart, before a test has failed */

static struct link_tmp rig;
static pid_t rig_alive[16]; /* processes that a failed test would leave */
static size_t rig_n_alive;
static char rig_program[PATH_MAX];

static void rig_path(char *out, const char *name)
{
    assert_true(snprintf(out, 128, "%s/%s", rig.path, name) < 128);
}

/* A directory that the confined process may use; a descriptor of it. */
static __attribute__((unused)) int rig_dir(const char *name)
{
    int fd;

    assert_int_equal(mkdirat(rig.fd, name, 0777), 0);
    assert_int_equal(fchmodat(rig.fd, name, 0777, 0), 0);
    fd = openat(rig.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static __attribute__((unused)) int rig_begin(void **state)
{
    ssize_t n = readlink("/proc/self/exe", rig_program, sizeof rig_program - 16);

    (void)state;
    assert_true(n > 0);
    rig_program[n] = '\0';
    for (unsigned i = 0; i < 3; i++) /* build/FLAVOUR/tests/unit/test_x: up to build/FLAVOUR */
        *strrchr(rig_program, '/') = '\0';
    memcpy(rig_program + strlen(rig_program), "/berth-cl", 10);
    (void)signal(SIGPIPE, SIG_IGN);
    rig = link_tmp_new();
    assert_int_equal(fchmod(rig.fd, 0755), 0);
    return 0;
}

/* The same in mounts of the test's own, if it may have them.  First of all: a directory that was
 * opened before would go on showing the old ones. */
static __attribute__((unused)) int rig_begin_apart(void **state)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        print_message("no mounts of our own: %s\n", strerror(errno));
    return rig_begin(state);
}

static __attribute__((unused)) int rig_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < rig_n_alive; i++)
        (void)kill(rig_alive[i], SIGKILL);
    link_tmp_free(&rig);
    return 0;
}

/* ---- processes ---- */

struct rig_process {
    pid_t pid;
    char log[64]; /* in rig */
};

/* Start berth-cl; words are split at blanks, "@" at the beginning of one is the rig's directory.
 * fd becomes descriptor 3, if it is not negative. */
static __attribute__((unused)) struct rig_process rig_start(const char *log, const char *words,
                                                            int fd)
{
    static unsigned count;
    struct rig_process p = { 0 };
    char text[2048], *rest = NULL;
    char *argv[RIG_ARGS] = { rig_program };
    static char paths[RIG_ARGS][128];
    size_t n = 1;
    int out;

    (void)snprintf(p.log, sizeof p.log, "%s.%u.log", log, count++);
    (void)snprintf(text, sizeof text, "%s --user " RIG_USER, words);
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        assert_true(n < RIG_ARGS - 1);
        if (w[0] == '@') {
            rig_path(paths[n], w + 1);
            w = paths[n];
        }
        argv[n++] = w;
    }
    out = openat(rig.fd, p.log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(out >= 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        if (fd >= 0 && (fd == 3 ? fcntl(3, F_SETFD, 0) : dup2(fd, 3)) < 0)
            _exit(99);
        if (dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(99);
        (void)execv(rig_program, argv);
        _exit(98);
    }
    close(out);
    assert_true(rig_n_alive < sizeof rig_alive / sizeof rig_alive[0]);
    rig_alive[rig_n_alive++] = p.pid;
    return p;
}

static void rig_forget(pid_t pid)
{
    for (size_t i = 0; i < rig_n_alive; i++)
        if (rig_alive[i] == pid)
            rig_alive[i] = rig_alive[--rig_n_alive];
}

static __attribute__((unused)) void rig_kill(struct rig_process *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    rig_forget(p->pid);
}

static const char *rig_log(const struct rig_process *p)
{
    static char text[65536];
    int fd = openat(rig.fd, p->log, O_RDONLY | O_CLOEXEC);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* Its exit code. */
static __attribute__((unused)) int rig_wait(struct rig_process *p)
{
    int status = 0;

    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    rig_forget(p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

/* Ask it to end; it must end well. */
static __attribute__((unused)) void rig_stop(struct rig_process *p)
{
    int code;

    assert_int_equal(kill(p->pid, SIGTERM), 0);
    code = rig_wait(p);
    if (code != 0)
        fail_msg("berth-cl ended with %d:\n%s", code, rig_log(p));
}

/* Wait until something is so; what is asked again and again. */
#define rig_until(condition, process)                                                              \
    do {                                                                                           \
        unsigned looks_ = 0;                                                                       \
        while (!(condition)) {                                                                     \
            if (waitpid((process)->pid, NULL, WNOHANG) != 0 || ++looks_ > RIG_LIMIT)               \
                fail_msg("%s never came:\n%s", #condition, rig_log(process));                      \
            (void)poll(NULL, 0, 5);                                                                \
        }                                                                                          \
    } while (0)

#define rig_said(process, text) (strstr(rig_log(process), text) != NULL)

/* ---- sockets ---- */

/* Bound to a port of the loopback that the kernel chose; the port is in *ret_port. */
static __attribute__((unused)) int rig_socket(int type, unsigned *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* ---- bundles ---- */

/* A bundle whose payload of n bytes begins with a number; into out of at least n + 200 bytes. */
static __attribute__((unused)) struct bytes rig_bundle(uint64_t number, size_t n, uint8_t *out)
{
    static uint8_t payload[1U << 20];
    struct bundle b = { .flags = BUNDLE_NO_FRAGMENT,
                        .crc_type = CRC_32C,
                        .dst = eid_ipn(2, 1),
                        .src = eid_ipn(1, 1),
                        .time_ms = 1000,
                        .sequence = number,
                        .lifetime_ms = 1000,
                        .n_blocks = 1 };
    struct bytes ret;
    struct err err;

    assert_true(n >= 8 && n <= sizeof payload);
    bytes_put_be(payload, 8, number);
    b.blocks[0] = (struct bundle_block){
        .type = BLOCK_PAYLOAD, .number = 1, .crc_type = CRC_32C, .data = { payload, n }
    };
    assert_rc(bundle_encode(&b, out, n + 200, &ret, &err), RC_OK);
    return ret;
}

/* Put a file as a program of ours would, but not durably: that is not what is tested. */
static __attribute__((unused)) void rig_put(int dirfd, const char *name, struct bytes content)
{
    char temp[160];
    int fd;

    (void)snprintf(temp, sizeof temp, ".%s", name);
    fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    assert_int_equal(fchmod(fd, 0666), 0);
    close(fd);
    assert_int_equal(renameat(dirfd, temp, dirfd, name), 0);
}

static __attribute__((unused)) void rig_put_number(int dirfd, uint64_t number, size_t n)
{
    static uint8_t out[(1U << 20) + 200];
    char name[64];

    (void)snprintf(name, sizeof name, "%016llx" DIRCL_SUFFIX, (unsigned long long)number);
    rig_put(dirfd, name, rig_bundle(number, n, out));
}

struct rig_tally {
    int dirfd;
    size_t files;
    unsigned *seen; /* of each number, below n */
    size_t n;
};

static bool rig_tally_name(void *arg, const char *name)
{
    struct rig_tally *t = arg;
    static uint8_t buf[1U << 20];
    static struct bundle b;
    size_t n = 0;
    struct err err;

    if (name[0] == '.')
        return true;
    t->files++;
    if (!t->seen)
        return true;
    assert_rc(dircl_read(t->dirfd, name, buf, sizeof buf, &n, &err), RC_OK);
    assert_rc(bundle_decode((struct bytes){ buf, n }, BUNDLE_STRICT, &b, &err), RC_OK);
    uint64_t number = bytes_get_be(bundle_payload(&b).p, 8);

    assert_true(number < t->n);
    t->seen[number]++;
    return true;
}

static size_t rig_count(int dirfd)
{
    struct rig_tally t = { .dirfd = dirfd };
    struct err err;

    assert_rc(fs_list(dirfd, ".", 1000000, rig_tally_name, &t, NULL, &err), RC_OK);
    return t.files;
}

/* Every number below n is there; returns how many are there more than once, and how often. */
static __attribute__((unused)) size_t rig_doubles(int dirfd, size_t n)
{
    struct rig_tally t = { .dirfd = dirfd, .seen = calloc(n, sizeof(unsigned)), .n = n };
    struct err err;

    assert_non_null(t.seen);
    assert_rc(fs_list(dirfd, ".", 1000000, rig_tally_name, &t, NULL, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        if (t.seen[i] == 0)
            fail_msg("bundle %zu is lost", i);
    free(t.seen);
    return t.files - n;
}

/* ---- certificates ---- */

static void rig_write(const char *name, const gnutls_datum_t *pem)
{
    struct err err;

    assert_rc(fs_write_file(rig.fd, name, (struct bytes){ pem->data, pem->size }, 0644, &err),
              RC_OK);
}

struct rig_ca {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
};

static gnutls_x509_privkey_t rig_key(void)
{
    gnutls_x509_privkey_t key;

    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(
                         key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    return key;
}

static gnutls_x509_crt_t rig_crt(gnutls_x509_privkey_t key, uint8_t serial, time_t until)
{
    gnutls_x509_crt_t crt;

    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(crt, &serial, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(crt, 1000000), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, until), 0);
    assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
    return crt;
}

/* A new authority, whose certificate is in the file. */
static __attribute__((unused)) struct rig_ca rig_authority(const char *file, const char *dn)
{
    struct rig_ca ca = { .key = rig_key() };
    gnutls_datum_t pem;

    ca.crt = rig_crt(ca.key, 1, time(NULL) + 86400);
    assert_int_equal(gnutls_x509_crt_set_dn(ca.crt, dn, NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_basic_constraints(ca.crt, 1, -1), 0);
    assert_int_equal(gnutls_x509_crt_set_key_usage(ca.crt, GNUTLS_KEY_KEY_CERT_SIGN), 0);
    assert_int_equal(gnutls_x509_crt_sign2(ca.crt, ca.crt, ca.key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(ca.crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    rig_write(file, &pem);
    gnutls_free(pem.data);
    return ca;
}

static __attribute__((unused)) void rig_authority_free(struct rig_ca *ca)
{
    gnutls_x509_crt_deinit(ca->crt);
    gnutls_x509_privkey_deinit(ca->key);
}

/* NAME.crt and NAME.key for a node id, a DNS name, or both; NULL = not. */
static __attribute__((unused)) void rig_certificate(const struct rig_ca *ca, const char *name,
                                                    const char *node_id, const char *dns,
                                                    time_t until)
{
    gnutls_x509_privkey_t key = rig_key();
    gnutls_x509_crt_t crt = rig_crt(key, 2, until);
    uint8_t ia5[130] = { 0x16 };
    char file[64];
    gnutls_datum_t pem;

    assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=test node", NULL), 0);
    if (node_id) {
        ia5[1] = (uint8_t)strlen(node_id);
        memcpy(ia5 + 2, node_id, ia5[1]);
        assert_int_equal(gnutls_x509_crt_set_subject_alt_othername(crt, "1.3.6.1.5.5.7.8.11", ia5,
                                                                   ia5[1] + 2U, GNUTLS_FSAN_APPEND),
                         0);
    }
    if (dns)
        assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, dns,
                                                              (unsigned)strlen(dns),
                                                              GNUTLS_FSAN_APPEND),
                         0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    (void)snprintf(file, sizeof file, "%s.crt", name);
    rig_write(file, &pem);
    gnutls_free(pem.data);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
    (void)snprintf(file, sizeof file, "%s.key", name);
    rig_write(file, &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

#endif
