/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-seal: a tenant's own tool for messages between its payload and its ground that nobody on
 * the way can read or forge (link/sealbox).  It runs on the tenant's machine and inside a payload,
 * as any user; it opens no socket and starts nothing.
 *
 * Everything that it opens is hostile but its own directory of keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/sealfile.h"
#include "link/sealshow.h"

#define HOUR_MS (UINT64_C(3600) * 1000U)
#define HOURS_MAX (24U * 3660U)
#define HOURS_NONE UINT64_MAX
#define STDIO "-"

struct program {
    const struct verb *verb;
    const char *arg[3];
    const char *tenant, *payload;
    uint64_t satellite, ground, grace_hours, life_hours;
    bool json, anew;
};

/* One command. */
struct verb {
    const char *name;
    const char *args;
    int n_args;
    const char *help;
    enum rc (*run)(struct program *p, struct err *err);
};

/* ---- what is said -----------------------------------------------------------------------------
 */

/* What a person does about a code. */
static const struct {
    enum rc rc;
    const char *fix;
} fixes[] = {
    { RC_KEY_FILE, "a directory or key file of your own: chmod -R go= on it if only its mode is "
                   "wrong; if it is damaged, berth-seal rotate at the other end and install here" },
    { RC_SEAL_KEY, "berth-seal show on the message and on the directory: take the directory of the "
                   "end that it was sealed for" },
    { RC_BPSEC_KEY, "berth-seal install the key file of that epoch here, or have it sealed again "
                    "under a newer one" },
    { RC_BPSEC_AUTH, "nothing: it was changed on the way, or sealed with another key; have it sent "
                     "again" },
    { RC_BPSEC_MISSING, "nothing: what protects it was taken off; have it sent again" },
    { RC_REPLAY, "nothing: it was opened before" },
    { RC_REPLAY_OLD, "nothing: newer ones came before it; have it sealed and sent again" },
    { RC_REPLAY_JUMP, "berth-seal rotate: the numbers of the other end cannot be right" },
    { RC_BUNDLE_EXPIRED, "have it sealed again, or set the clock" },
    { RC_STATE_DAMAGED, "berth-seal rotate (--anew if it says BUSY) at either end, install at the "
                        "other: what was opened under this epoch is not known any more" },
    { RC_COUNTER, "berth-seal rotate (--anew if it says BUSY) at either end, install at the other: "
                  "the numbers of this epoch are not known any more" },
    { RC_EXISTS, "take another name: nothing is written over" },
    { RC_NOT_FOUND, "berth-seal keygen, or berth-seal install, makes a directory of keys" },
    { RC_BUSY,
      "try again if another berth-seal uses this directory; a rotate is over when its key file "
      "is installed and a message of each end's under it was opened by the other" },
    { RC_TOO_LARGE, "a message has 4193792 bytes at most: split it" },
    { RC_NO_SPACE, "make room" },
    { RC_EQUIVOCATION,
      "berth-seal rotate --anew at one of the two ends: both have made this epoch" },
    { RC_REKEY_OLD, "berth-seal rotate at either end: this epoch was superseded" },
    { RC_USAGE, "berth-seal --help" },
};

static const char *fix_of(enum rc rc)
{
    for (size_t i = 0; i < sizeof fixes / sizeof fixes[0]; i++) {
        if (fixes[i].rc == rc)
            return fixes[i].fix;
    }
    return rc_class(rc) == RC_CLASS_MALFORMED
               ? "nothing: it is no sealed message, or damaged; have "
                 "it sent again"
               : "berth-seal --help";
}

/* 2 for wrong usage, 4 for what is there already, 5 for what a key or a rule refused, 1 for the
 * rest; as berth's. */
static int exit_of(enum rc rc)
{
    if (rc == RC_USAGE || rc == RC_EXISTS)
        return rc == RC_USAGE ? 2 : 4;
    return rc_class(rc) == RC_CLASS_REFUSED && (unsigned)rc >= RC_ENVELOPE ? 5 : 1;
}

static int fail(const struct program *p, const struct err *err)
{
    const char *what = err->what[0] != '\0' ? err->what : rc_text(err->rc);

    if (p->json) {
        (void)fputs("{\"error\":{\"what\":", stdout);
        sealshow_text(what, stdout);
        (void)printf(",\"code\":%d,\"code_name\":\"%s\",\"why\":", (int)err->rc, rc_name(err->rc));
        sealshow_text(rc_text(err->rc), stdout);
        (void)fputs(",\"fix\":", stdout);
        sealshow_text(fix_of(err->rc), stdout);
        (void)printf(",\"exit\":%d}}\n", exit_of(err->rc));
    } else {
        (void)fprintf(stderr, "berth-seal%s%s: %s\n", p->verb ? " " : "",
                      p->verb ? p->verb->name : "", what);
        (void)fprintf(stderr, "  why: %s (%s %d)%s%s\n", rc_text(err->rc), rc_name(err->rc),
                      (int)err->rc, err->sys != 0 ? ": " : "",
                      err->sys != 0 ? strerrordesc_np(err->sys) : "");
        (void)fprintf(stderr, "  fix: %s\n", fix_of(err->rc));
    }
    return exit_of(err->rc);
}

/* ---- files ------------------------------------------------------------------------------------
 */

/* A path as the directory that it lies in and a name. */
static enum rc split(const char *path, int *ret_dir, const char **ret_name, struct err *err)
{
    char dir[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;

    *ret_name = slash ? slash + 1 : path;
    if (n >= sizeof dir || **ret_name == '\0')
        return err_set(err, RC_USAGE, "%.60s is no name of a file", path);
    if (n > 0) {
        memcpy(dir, path, n);
        dir[n] = '\0';
    }
    *ret_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_dir >= 0 ? RC_OK : err_sys(err, RC_IO, "%.60s", dir);
}

/* Read a file or standard input. */
static enum rc take_in(const char *path, size_t max, struct sealfile_buf *ret, struct err *err)
{
    scoped(close_fd) int fd =
        strcmp(path, STDIO) == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? err_set(err, RC_IO, "%.60s is not there", path)
                               : err_sys(err, RC_IO, "%.60s", path);
    return sealfile_read(fd, max, ret, err);
}

static enum rc put_new(const char *path, uint64_t number, struct bytes content, struct err *err)
{
    scoped(close_fd) int dir = -1;
    const char *name = NULL;
    enum rc rc = split(path, &dir, &name, err);

    return rc == RC_OK ? sealfile_put(dir, name, number, content, err) : rc;
}

static enum rc open_dir(const char *path, bool make, int *ret_fd, struct err *err)
{
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "%.60s", path);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "%.60s", path);
}

/* The directory of keys that a command names, opened and locked. */
static enum rc open_box(const char *path, int *ret_dir, struct sealbox *ret, struct err *err)
{
    enum rc rc = open_dir(path, false, ret_dir, err);

    return rc == RC_OK ? sealbox_open(*ret_dir, ret, err) : rc;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static enum rc put_keyfile(const char *path, const struct keys *keys, enum seal_end to,
                           struct err *err)
{
    uint8_t buf[SEAL_KEYFILE_MAX];
    struct bytes content = { 0 };
    enum rc rc = seal_keyfile_encode(keys, to, buf, &content, err);

    if (rc == RC_OK)
        rc = put_new(path, keys_number(keys), content, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* The file first: a directory whose key the other end cannot get would be of no use. */
static enum rc run_keygen(struct program *p, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { .ground = (uint32_t)p->ground,
                                           .satellite = (uint32_t)p->satellite };
    scoped(close_fd) int dir = -1;

    if (p->tenant == NULL || p->payload == NULL || p->satellite == 0)
        return err_set(err, RC_USAGE, "keygen wants --tenant, --payload and --satellite");
    if (!name_valid(p->tenant) || !name_valid(p->payload))
        return err_set(err, RC_NAME, "%.30s/%.30s", p->tenant, p->payload);
    (void)snprintf(keys.tenant, sizeof keys.tenant, "%s", p->tenant);
    (void)snprintf(keys.payload, sizeof keys.payload, "%s", p->payload);
    enum rc rc = seal_key_make(&keys, 1, err);
    if (rc == RC_OK)
        rc = open_dir(p->arg[0], true, &dir, err);
    if (rc == RC_OK)
        rc = put_keyfile(p->arg[1], &keys, SEAL_PAYLOAD, err);
    if (rc == RC_OK) {
        rc = sealbox_make(dir, SEAL_GROUND, &keys, false, err);
        if (rc != RC_OK)
            (void)unlink(p->arg[1]);
    }
    if (rc == RC_OK)
        sealshow_key(&keys, "made", p->json);
    return rc;
}

/* A key file is as private as what it becomes part of. */
static enum rc check_keyfile(const char *path, struct err *err)
{
    struct stat st;

    if (strcmp(path, STDIO) == 0)
        return RC_OK;
    if (stat(path, &st) != 0)
        return err_sys(err, RC_IO, "%.60s", path);
    if (st.st_uid != geteuid() || (st.st_mode & 077U) != 0)
        return err_set(err, RC_KEY_FILE, "%.40s is open to others", path);
    return RC_OK;
}

static enum rc read_keyfile(const char *path, enum seal_end *ret_to, struct keys *ret,
                            struct err *err)
{
    scoped(sealfile_buf_done) struct sealfile_buf in = { 0 };
    enum rc rc = check_keyfile(path, err);

    if (rc == RC_OK)
        rc = take_in(path, SEAL_KEYFILE_MAX, &in, err);
    return rc == RC_OK ? seal_keyfile_decode((struct bytes){ in.p, in.n }, ret_to, ret, err) : rc;
}

static enum rc run_install(struct program *p, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { 0 };
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    scoped(close_fd) int dir = -1;
    enum seal_end to = SEAL_GROUND;
    bool news = true;
    enum rc rc = read_keyfile(p->arg[0], &to, &keys, err);

    if (rc == RC_OK)
        rc = open_dir(p->arg[1], true, &dir, err);
    if (rc != RC_OK)
        return rc;
    rc = sealbox_open(dir, &box, err);
    if (rc == RC_NOT_FOUND)
        rc = sealbox_make(dir, to, &keys, true, err);
    else if (rc == RC_OK && box.ring.end != to)
        rc = err_set(err, RC_SEAL_KEY, "the file is for the %s's end", seal_end_name(to));
    else if (rc == RC_OK)
        rc = sealbox_add(&box, &keys, SEAL_INSTALLED, &news, err);
    if (rc == RC_OK)
        sealshow_key(&keys, news ? "installed" : "has already", p->json);
    return rc;
}

static enum rc run_rotate(struct program *p, struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    scoped(close_fd) int dir = -1;
    bool news = false;
    enum rc rc = open_box(p->arg[0], &dir, &box, err);

    if (rc != RC_OK)
        return rc;
    scoped(keys_wipe) struct keys keys = box.ring.epoch[box.ring.n - 1].keys;
    const uint32_t next = seal_ring_next(&box.ring);
    rc = next == 0 ? err_set(err, RC_VALUE, "the last epoch") : seal_key_make(&keys, next, err);
    if (rc == RC_OK)
        rc = put_keyfile(p->arg[1], &keys, box.ring.end == SEAL_GROUND ? SEAL_PAYLOAD : SEAL_GROUND,
                         err);
    if (p->grace_hours != HOURS_NONE)
        sealbox_set_grace(&box, p->grace_hours * HOUR_MS);
    if (rc == RC_OK) {
        rc = sealbox_add(&box, &keys, p->anew ? SEAL_MADE_ANEW : SEAL_MADE, &news, err);
        if (rc != RC_OK)
            (void)unlink(p->arg[1]);
    }
    if (rc == RC_OK)
        sealshow_key(&keys, "made", p->json);
    return rc;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static bool is_stdio(const char *path)
{
    return strcmp(path, STDIO) == 0;
}

static enum rc run_seal(struct program *p, struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    scoped(close_fd) int dir = -1;
    scoped(sealfile_buf_done) struct sealfile_buf in = { 0 };
    scoped(free_ptr) uint8_t *out = malloc(MAIL_CONTENT_MAX);
    const char *to = p->arg[2];
    const uint64_t life = p->life_hours == HOURS_NONE ? SEALBOX_LIFE_MS : p->life_hours * HOUR_MS;
    size_t n = 0;
    uint32_t epoch = 0;
    enum rc rc = out ? open_box(p->arg[0], &dir, &box, err) : err_set(err, RC_NO_MEMORY, "message");

    if (rc == RC_OK)
        rc = take_in(p->arg[1], SEALBOX_PLAIN_MAX, &in, err);
    if (rc == RC_OK)
        rc = sealbox_seal(&box, (struct bytes){ in.p, in.n }, clock_unix_ms(), life, out, &n,
                          &epoch, err);
    if (rc == RC_OK)
        rc = is_stdio(to)
                 ? fs_write_all(1, (struct bytes){ out, n }, err)
                 : put_new(to, seal_ring_sender(&box.ring)->number, (struct bytes){ out, n }, err);
    if (rc == RC_OK && p->json && !is_stdio(to))
        (void)printf("{\"kind\":\"sealed\",\"epoch\":%u,\"bytes\":%zu,\"sealed_bytes\":%zu}\n",
                     epoch, in.n, n);
    return rc;
}

/* To a pipe: noted first, since nobody could tell afterwards what came through. */
static enum rc open_to_pipe(struct sealbox *box, struct sealfile_buf *in, uint64_t now_ms,
                            struct sealbox_message *ret, struct err *err)
{
    enum rc rc = sealbox_open_message(box, in->p, in->n, now_ms, ret, err);

    if (rc == RC_OK)
        rc = sealbox_accept(box, ret, now_ms, err);
    return rc == RC_OK ? fs_write_all(1, ret->plain, err) : rc;
}

static enum rc run_open(struct program *p, struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int out = -1;
    scoped(sealfile_buf_done) struct sealfile_buf in = { 0 };
    struct sealbox_message m = { 0 };
    const char *to = p->arg[2], *name = NULL;
    enum rc rc = open_box(p->arg[0], &dir, &box, err);

    if (rc == RC_OK)
        rc = take_in(p->arg[1], MAIL_CONTENT_MAX, &in, err);
    if (rc == RC_OK && !is_stdio(to))
        rc = split(to, &out, &name, err);
    if (rc == RC_OK)
        rc = is_stdio(to) ? open_to_pipe(&box, &in, clock_unix_ms(), &m, err)
                          : sealfile_open(&box, &in, out, name, clock_unix_ms(), &m, err);
    if (rc == RC_OK && p->json && !is_stdio(to))
        (void)printf("{\"kind\":\"opened\",\"epoch\":%u,\"counter\":%" PRIu64
                     ",\"sealed_ms\":%" PRIu64 ",\"bytes\":%zu}\n",
                     m.epoch, m.counter, m.time_ms, m.plain.n);
    return rc;
}

/* ---- show -------------------------------------------------------------------------------------
 */

static enum rc show_dir(const struct program *p, const char *path, struct err *err)
{
    scoped(sealbox_close) struct sealbox box = SEALBOX_NONE;
    scoped(close_fd) int dir = -1;
    enum rc rc = open_dir(path, false, &dir, err);

    if (rc == RC_OK)
        rc = sealbox_look(dir, &box, err);
    if (rc == RC_OK)
        sealshow_box(&box, p->json);
    return rc;
}

static enum rc show_keyfile(const struct program *p, const char *path, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { 0 };
    enum seal_end to = SEAL_GROUND;
    enum rc rc = read_keyfile(path, &to, &keys, err);

    if (rc == RC_OK)
        sealshow_keyfile(&keys, to, p->json);
    return rc;
}

static enum rc run_show(struct program *p, struct err *err)
{
    scoped(sealfile_buf_done) struct sealfile_buf in = { 0 };
    const char *path = p->arg[0];
    struct stat st;

    if (!is_stdio(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return show_dir(p, path, err);
    enum rc rc = take_in(path, MAIL_CONTENT_MAX, &in, err);
    if (rc != RC_OK)
        return rc;
    /* Every bundle begins with an array of no given length (RFC 9171 section 4.1), no key does. */
    if (in.n > 0 && in.p[0] == 0x9f)
        return sealshow_message((struct bytes){ in.p, in.n }, p->json, err);
    return is_stdio(path) ? err_set(err, RC_USAGE, "show takes a message from a pipe, no key")
                          : show_keyfile(p, path, err);
}

/* ---- the command line -------------------------------------------------------------------------
 */

static const struct verb verbs[] = {
    { "keygen", "DIR FILE", 2,
      "make a key: DIR is the ground's end, FILE goes to the payload (--tenant T --payload P "
      "--satellite NODE [--ground NODE])",
      run_keygen },
    { "install", "FILE DIR", 2, "make DIR, or add the next epoch to it, of a key file (- = stdin)",
      run_install },
    { "seal", "DIR IN OUT", 3, "seal a file (- = stdin, stdout) [--life-hours N]", run_seal },
    { "open", "DIR IN OUT", 3, "open a sealed file, once", run_open },
    { "show", "PATH", 1, "what a directory of keys, a key file or a sealed file says", run_show },
    { "rotate", "DIR FILE", 2,
      "make the next epoch: FILE goes to the other end [--grace-hours N] [--anew: the last one was "
      "lost]",
      run_rotate },
};

enum opt {
    OPT_TENANT,
    OPT_PAYLOAD,
    OPT_SATELLITE,
    OPT_GROUND,
    OPT_GRACE,
    OPT_LIFE,
    OPT_ANEW,
    OPT_JSON,
    OPT_HELP
};

static const struct option options[] = {
    [OPT_TENANT] = { "tenant", required_argument, NULL, 0 },
    [OPT_PAYLOAD] = { "payload", required_argument, NULL, 0 },
    [OPT_SATELLITE] = { "satellite", required_argument, NULL, 0 },
    [OPT_GROUND] = { "ground", required_argument, NULL, 0 },
    [OPT_GRACE] = { "grace-hours", required_argument, NULL, 0 },
    [OPT_LIFE] = { "life-hours", required_argument, NULL, 0 },
    [OPT_ANEW] = { "anew", no_argument, NULL, 0 },
    [OPT_JSON] = { "json", no_argument, NULL, 0 },
    [OPT_HELP] = { "help", no_argument, NULL, 0 },
    { 0 },
};

static void usage(FILE *out)
{
    (void)fputs("usage: berth-seal COMMAND ... [--json]\n", out);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        (void)fprintf(out, "  %-8s %-11s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    (void)fputs("Messages between a payload and its own ground that nobody on the way can read or "
                "forge.\nDIR holds the keys of one end, for its owner alone: never copy it to a "
                "second place that is used.\n",
                out);
}

static enum rc take_number(const char *name, const char *text, uint64_t min, uint64_t max,
                           uint64_t *ret, struct err *err)
{
    char *end = NULL;

    errno = 0;
    const unsigned long long n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end != '\0' || errno != 0 || n < min || n > max)
        return err_set(err, RC_USAGE, "--%s %.20s: not a number from %" PRIu64 " to %" PRIu64, name,
                       text, min, max);
    *ret = n;
    return RC_OK;
}

static enum rc take_option(struct program *p, enum opt opt, struct err *err)
{
    const char *name = options[opt].name;

    switch (opt) {
    case OPT_TENANT:
        p->tenant = optarg;
        return RC_OK;
    case OPT_PAYLOAD:
        p->payload = optarg;
        return RC_OK;
    case OPT_SATELLITE:
        return take_number(name, optarg, 1, UINT32_MAX, &p->satellite, err);
    case OPT_GROUND:
        return take_number(name, optarg, 1, UINT32_MAX, &p->ground, err);
    case OPT_GRACE:
        return take_number(name, optarg, 0, HOURS_MAX, &p->grace_hours, err);
    case OPT_LIFE:
        return take_number(name, optarg, 1, HOURS_MAX, &p->life_hours, err);
    case OPT_ANEW:
        p->anew = true;
        return RC_OK;
    case OPT_JSON:
        p->json = true;
        return RC_OK;
    case OPT_HELP:
        usage(stdout);
        exit(fflush(stdout) == 0 ? 0 : 1);
    }
    return RC_USAGE;
}

static enum rc parse(struct program *p, int argc, char **argv, struct err *err)
{
    enum rc rc = RC_OK;
    int index = -1;

    opterr = 0;
    for (int got = 0; rc == RC_OK && (got = getopt_long(argc, argv, "", options, &index)) != -1;)
        rc = got == 0 ? take_option(p, (enum opt)index, err)
                      : err_set(err, RC_USAGE, "%.60s", argv[optind - 1]);
    if (rc != RC_OK)
        return rc;
    if (optind == argc)
        return err_set(err, RC_USAGE, "no command");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[optind], verbs[i].name) == 0)
            p->verb = &verbs[i];
    }
    if (p->verb == NULL)
        return err_set(err, RC_USAGE, "no command %.40s", argv[optind]);
    if (argc - optind - 1 != p->verb->n_args)
        return err_set(err, RC_USAGE, "%s %s", p->verb->name, p->verb->args);
    for (int i = 0; i < p->verb->n_args; i++)
        p->arg[i] = argv[optind + 1 + i];
    return RC_OK;
}

int main(int argc, char **argv)
{
    struct program p = { .ground = 1, .grace_hours = HOURS_NONE, .life_hours = HOURS_NONE };
    struct err err = { 0 };

    /* Secrets are in memory: in no core file, and no debugger of the same user. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)umask(0077);
    enum rc rc = parse(&p, argc, argv, &err);
    if (rc == RC_OK)
        rc = p.verb->run(&p, &err);
    if (rc == RC_OK && fflush(stdout) != 0)
        rc = err_sys(&err, RC_IO, "standard output");
    return rc == RC_OK ? 0 : fail(&p, &err);
}
