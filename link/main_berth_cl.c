/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-cl tcp|udp|dir --send DIR --receive DIR [options]: moves bundles between a directory pair
 * and one peer (docs/guide/integrator.md).  It holds no key of the link: bundles stay sealed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/log.h"
#include "link/cl.h"

#define MEMORY_MAX (UINT64_C(256) * 1024U * 1024U)
#define FILES_MAX 64U
#define SIZE_MIN 64U /* no bundle is shorter than a primary block and a payload */
#define TELL_MS (UINT64_C(600) * 1000U)

/* Beyond what every process of ours may call (base/confine.c): files of others that are removed may
 * be directories, a host's file system may sync only as a whole, and the TLS library counts its use
 * of the processor. */
static const char *const syscalls[] = { "fchmodat",  "fchmodat2", "fstatfs",
                                        "getrusage", "syncfs",    NULL };

static const struct cl_kind *const kinds[] = { &cl_tcp, &cl_udp, &cl_dir, NULL };

struct program {
    const struct cl_kind *kind;
    struct cl_config config;
    const char *send;
    const char *receive;
    const char *user;
    const char *tls;
    int send_fd;
    int recv_fd;
    int signal_fd;
    struct cl_store store;
    void *cl;
};

/* ---- the command line ---- */

enum value { TEXT, NUMBER, FLAG };

/* One option: where it goes, and, of numbers, from where to where. */
struct opt {
    const char *name;
    enum value value;
    size_t at; /* offset in struct program */
    uint64_t min;
    uint64_t max;
    const char *help;
};

#define AT(member) offsetof(struct program, member)

/* clang-format off */
static const struct opt opts[] = {
    { "send", TEXT, AT(send), 0, 0, "DIR          bundles to send" },
    { "receive", TEXT, AT(receive), 0, 0, "DIR       where received bundles go" },
    { "user", TEXT, AT(user), 0, 0, "UID[:GID]    who to become, if started as root" },
    { "size-max", NUMBER, AT(config.size_max), SIZE_MIN, BUNDLE_MAX, "BYTES    largest bundle (524288)" },
    { "listen", TEXT, AT(config.listen), 0, 0, "HOST:PORT  tcp, udp: wait here; or fd:N" },
    { "peer", TEXT, AT(config.peer), 0, 0, "HOST:PORT    tcp: connect there; udp: send there" },
    { "node-id", TEXT, AT(config.node_id), 0, 0, "EID       tcp: our node id, such as ipn:1.0" },
    { "peer-id", TEXT, AT(config.peer_id), 0, 0, "EID       tcp: the node id that the peer must have" },
    { "peer-dns", TEXT, AT(config.peer_dns), 0, 0, "NAME     tcp: or that its certificate names this host" },
    { "tls", TEXT, AT(tls), 0, 0, "MODE          tcp: require (as it is), or plain-tcp for none at all" },
    { "ca", TEXT, AT(config.ca), 0, 0, "FILE           tcp: authorities that vouch for the peer (PEM)" },
    { "cert", TEXT, AT(config.cert), 0, 0, "FILE         tcp: our certificate (PEM)" },
    { "key", TEXT, AT(config.key), 0, 0, "FILE          tcp: its private key (PEM)" },
    { "ignore-dates", FLAG, AT(config.ignore_dates), 0, 0, "     tcp: of certificates, where no clock can be right" },
    { "keepalive-s", NUMBER, AT(config.keepalive_s), 0, 65535, "N     tcp: offered; 0 = none (15)" },
    { "patience-ms", NUMBER, AT(config.patience_ms), 100, 86400000, "N     tcp: for an answer of the peer (60000)" },
    { "from", TEXT, AT(config.from), 0, 0, "HOST         udp: where datagrams come from; tcp: who has a place kept (the peer's)" },
    { "rate", NUMBER, AT(config.rate), 0, 1000000000, "N            udp: bytes in a second; 0 = no limit (0)" },
    { "out", TEXT, AT(config.out), 0, 0, "DIR           dir: the host takes files from here" },
    { "in", TEXT, AT(config.in), 0, 0, "DIR            dir: the host puts files here" },
    { "suffix", TEXT, AT(config.suffix), 0, 0, "TEXT       dir: end of their names (.bundle)" },
    { "temp", TEXT, AT(config.temp), 0, 0, "TEXT         dir: the same while they are written (.part)" },
    { "name-max", NUMBER, AT(config.name_max), 10, DIRCL_NAME_CAP - 1, "N        dir: bytes of a name (64)" },
    { "files-max", NUMBER, AT(config.files_max), 1, 1000000, "N       dir: files that may wait for the host (256)" },
    { "in-place", FLAG, AT(config.in_place), 0, 0, "         dir: write under the final name, never rename" },
    { "out-temp", TEXT, AT(config.out_temp), 0, 0, "DIR      dir: write there first, for a host that takes all that is in --out" },
    { "any-name", FLAG, AT(config.any_name), 0, 0, "         dir: take files of any name from --in" },
    { "settle-s", NUMBER, AT(config.settle_s), 0, 31536000, "N        dir: take what nobody wrote to for so long (0)" },
    { "stale-s", NUMBER, AT(config.stale_s), CL_STALE_MS / 1000U, 31536000, "N         dir: remove what is no bundle by then (3600)" },
    { 0 },
};
/* clang-format on */

#define N_OPTS (sizeof opts / sizeof opts[0])

static void usage(FILE *out)
{
    (void)fputs("usage: berth-cl tcp|udp|dir --send DIR --receive DIR [options]\n", out);
    for (const struct opt *o = opts; o->name; o++)
        (void)fprintf(out, "  --%s %s\n", o->name, o->help);
}

static bool take_number(const struct opt *o, const char *text, void *to)
{
    char *end = NULL;

    errno = 0;
    unsigned long long n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;

    if (!end || *end != '\0' || errno != 0 || n < o->min || n > o->max) {
        (void)fprintf(stderr, "berth-cl: --%s '%s' is not a number from %llu to %llu\n", o->name,
                      text, (unsigned long long)o->min, (unsigned long long)o->max);
        return false;
    }
    *(uint64_t *)to = n;
    return true;
}

static bool take_option(struct program *p, const struct opt *o, const char *text)
{
    void *to = (char *)p + o->at;

    switch (o->value) {
    case TEXT:
        *(const char **)to = text;
        return true;
    case NUMBER:
        return take_number(o, text, to);
    case FLAG:
        *(bool *)to = true;
        return true;
    }
    return false;
}

static bool parse_tls(struct program *p)
{
    const char *mode = p->tls ? p->tls : "";

    p->config.plain = strcmp(mode, "plain-tcp") == 0;
    if (p->config.plain || strcmp(mode, "require") == 0)
        return true;
    (void)fprintf(stderr, "berth-cl: --tls is require or plain-tcp\n");
    return false;
}

static bool parse(struct program *p, int argc, char **argv)
{
    struct option table[N_OPTS] = { { 0 } };
    int index = -1;

    for (size_t i = 0; opts[i].name; i++)
        table[i] = (struct option){ .name = opts[i].name, .has_arg = opts[i].value != FLAG };
    for (size_t i = 0; argc > 1 && kinds[i]; i++)
        if (strcmp(argv[1], kinds[i]->name) == 0)
            p->kind = kinds[i];
    if (!p->kind)
        return false;
    for (;;) {
        int got = getopt_long(argc - 1, argv + 1, "", table, &index);

        if (got == -1)
            break;
        if (got != 0 || !take_option(p, &opts[index], optarg))
            return false;
    }
    return optind == argc - 1 && p->send && p->receive && parse_tls(p);
}

/* ---- set-up ---- */

static enum rc open_dir(const char *path, int *ret_fd, struct err *err)
{
    assert(path); /* parse has seen to it */
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "%s", path);
}

static enum rc open_signals(struct program *p, struct err *err)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_sys(err, RC_IO, "signals");
    p->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return p->signal_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "signals");
}

/* Drop everything that is not needed from here on. */
static enum rc confine(const struct program *p, struct err *err)
{
    struct confine_dir dirs[2 + CL_DIRS] = { { p->send_fd, true }, { p->recv_fd, true } };
    struct confine rules = { .name = "berth-cl",
                             .syscalls = syscalls,
                             .dirs = dirs,
                             .n_dirs = 2,
                             .sockets = p->kind->sockets,
                             .file_size_max = BUNDLE_MAX,
                             .files_max = FILES_MAX,
                             .memory_max = MEMORY_MAX };
    uid_t uid = 0;
    gid_t gid = 0;
    uint8_t digest[DIGEST_SIZE];

    if (p->kind->dirs)
        rules.n_dirs += p->kind->dirs(p->cl, dirs + 2);
    if (geteuid() == 0) {
        if (!p->user || !confine_parse_user(p->user, &uid, &gid))
            return err_set(err, RC_USAGE, "started as root without --user UID[:GID]");

        enum rc rc = confine_user(uid, gid, err);

        if (rc != RC_OK)
            return rc;
    }
    /* Let libcrypto look for its configuration while it still can. */
    enum rc rc = sha256_of((struct bytes){ 0 }, digest, err);

    return rc == RC_OK ? confine_self(&rules, err) : rc;
}

static enum rc set_up(struct program *p, struct err *err)
{
    enum rc rc = open_dir(p->send, &p->send_fd, err);

    if (rc == RC_OK)
        rc = open_dir(p->receive, &p->recv_fd, err);
    if (rc == RC_OK)
        rc = open_signals(p, err);
    if (rc == RC_OK)
        rc = p->kind->open(&p->config, &p->store, &p->cl, err);

    int watch_fd = rc == RC_OK ? cl_store_watch(p->send_fd) : -1;

    if (rc == RC_OK)
        rc = confine(p, err);
    /* With the rights that it has from here on, so that a directory that it cannot use is told. */
    return rc == RC_OK ? cl_store_open(p->send_fd, p->recv_fd, watch_fd, &p->store, err) : rc;
}

/* ---- the loop ---- */

static void tell(const struct cl_counts *n)
{
    log_event(LOG_LEVEL_INFO,
              "counts sent=%llu sent_bytes=%llu received=%llu received_bytes=%llu refused=%llu "
              "no_room=%llu too_large=%llu garbage=%llu strangers=%llu",
              (unsigned long long)n->sent, (unsigned long long)n->sent_bytes,
              (unsigned long long)n->received, (unsigned long long)n->received_bytes,
              (unsigned long long)n->refused, (unsigned long long)n->no_room,
              (unsigned long long)n->too_large, (unsigned long long)n->garbage,
              (unsigned long long)n->strangers);
}

static enum rc loop(struct program *p, struct err *err)
{
    struct signalfd_siginfo info;
    struct cl_counts told = { 0 };
    uint64_t told_ms = clock_mono_ms();
    bool stopping = false;

    for (;;) {
        struct pollfd fds[CL_FDS + 2] = { { .fd = p->signal_fd, .events = POLLIN },
                                          { .fd = p->store.watch_fd, .events = POLLIN } };
        uint64_t wait_ms = CL_LOOK_MS;
        size_t n = 2 + p->kind->wait(p->cl, clock_mono_ms(), fds + 2, &wait_ms);

        if (poll(fds, n, (int)wait_ms) < 0 && errno != EINTR)
            return err_sys(err, RC_IO, "poll");
        stopping |= read(p->signal_fd, &info, sizeof info) > 0;

        uint64_t now_ms = clock_mono_ms();

        (void)cl_store_look(&p->store, now_ms);
        if (stopping && p->kind->stop(p->cl, now_ms))
            break;
        p->kind->turn(p->cl, now_ms);
        if (now_ms >= told_ms + TELL_MS && memcmp(&told, &p->store.counts, sizeof told) != 0) {
            told = p->store.counts;
            told_ms = now_ms;
            tell(&told);
        }
    }
    tell(&p->store.counts);
    return RC_OK;
}

int main(int argc, char **argv)
{
    static struct program p = {
        .config = { .size_max = BUNDLE_MAX,
                    .keepalive_s = 15,
                    .patience_ms = 60000,
                    .suffix = DIRCL_SUFFIX,
                    .temp = ".part",
                    .name_max = 64,
                    .files_max = 256,
                    .stale_s = CL_STALE_MS / 1000U },
        .tls = "require",
        .send_fd = -1,
        .recv_fd = -1,
        .signal_fd = -1,
        .store = { .watch_fd = -1 },
    };
    struct err err = { 0 };

    log_open("berth-cl", LOG_LEVEL_INFO);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (!parse(&p, argc, argv)) {
        usage(stderr);
        return 2;
    }
    enum rc rc = set_up(&p, &err);

    if (rc == RC_OK)
        rc = loop(&p, &err);
    if (rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "end");
    if (p.cl)
        p.kind->close(p.cl);
    cl_store_close(&p.store);
    if (rc == RC_USAGE)
        return 2;
    return rc == RC_OK ? 0 : 1;
}
