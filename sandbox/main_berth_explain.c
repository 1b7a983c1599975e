/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-explain: print what would happen to a package's payload on board, without doing it.
 *
 * Input: a package file, or the envelope of a manifest, from anywhere; optionally the envelope of a
 * grant.  No signature is looked at, and the output says so: this explains, it does not vouch.
 * Without a grant the limits are shown as if all that is asked for were granted.
 *
 * With --walls: print instead which walls of a sandbox this machine can build.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "manifest/envelope.h"
#include "sandbox/plan.h"
#include "sandbox/walls.h"

#define MAGIC "BERTHPK1"
#define MAGIC_SIZE 8U
#define HEAD_SIZE (MAGIC_SIZE + 4U)

struct options {
    bool json;
    bool walls; /* only print what this machine can build */
    const char *package;
    const char *grant; /* NULL = none */
};

/* ---- reading -------------------------------------------------------------------------------- */

/* The first bytes of a file: enough for any envelope.  cap bounds what is read. */
static enum rc read_start(const char *path, uint8_t *buf, size_t cap, size_t *ret_n,
                          struct err *err)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0;

    if (fd < 0)
        return err_sys(err, RC_IO, "%s", path);
    while (n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);

        if (got < 0)
            return err_sys(err, RC_IO, "%s", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return RC_OK;
}

/* The envelope inside a package, or the whole file when it is not one. */
static enum rc find_envelope(struct bytes file, struct bytes *ret, struct err *err)
{
    if (file.n < HEAD_SIZE || memcmp(file.p, MAGIC, MAGIC_SIZE) != 0) {
        *ret = file;
        return RC_OK;
    }

    uint32_t n = (uint32_t)bytes_get_be(file.p + MAGIC_SIZE, 4);
    if (n == 0 || n > DOCUMENT_MAX)
        return err_set(err, RC_PACKAGE_FORMAT, "envelope of %u bytes", n);
    if (n > file.n - HEAD_SIZE)
        return err_set(err, RC_SHORT, "envelope of %u bytes", n);
    *ret = (struct bytes){ .p = file.p + HEAD_SIZE, .n = n };
    return RC_OK;
}

static enum rc read_payload(const char *path, struct bytes *ret, struct err *err)
{
    /* One buffer a document; both live until the program ends. */
    static uint8_t buf[2][HEAD_SIZE + DOCUMENT_MAX];
    static unsigned int used;
    struct envelope envelope;
    struct bytes whole;
    struct bytes inner;
    size_t n = 0;

    assert(used < 2);
    enum rc rc = read_start(path, buf[used], sizeof buf[used], &n, err);
    if (rc != RC_OK)
        return rc;
    whole = (struct bytes){ .p = buf[used++], .n = n };
    rc = find_envelope(whole, &inner, err);
    if (rc == RC_OK)
        rc = envelope_open(inner, &envelope, err);
    if (rc == RC_OK)
        *ret = envelope.payload;
    return rc;
}

static enum rc load_manifest(const struct options *opt, struct manifest *ret, struct err *err)
{
    struct bytes payload;
    enum rc rc = read_payload(opt->package, &payload, err);

    return rc == RC_OK ? manifest_decode(payload, ret, err) : rc;
}

/* Without a grant: one that grants exactly what is asked for. */
static enum rc load_grant(const struct options *opt, const struct manifest *m, struct grant *ret,
                          struct err *err)
{
    struct bytes payload;

    if (opt->grant == NULL) {
        grant_as_asked(m, ret);
        return RC_OK;
    }

    enum rc rc = read_payload(opt->grant, &payload, err);
    if (rc == RC_OK)
        rc = grant_decode(payload, ret, err);
    return rc == RC_OK ? grant_allows(ret, m, err) : rc;
}

/* ---- options -------------------------------------------------------------------------------- */

static bool parse(int argc, char **argv, struct options *ret)
{
    struct options opt = { 0 };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            opt.json = true;
        else if (strcmp(argv[i], "--walls") == 0)
            opt.walls = true;
        else if (strcmp(argv[i], "--grant") == 0 && i + 1 < argc)
            opt.grant = argv[++i];
        else if (argv[i][0] != '-' && opt.package == NULL)
            opt.package = argv[i];
        else
            return false;
    }
    *ret = opt;
    return opt.walls ? opt.package == NULL && opt.grant == NULL : opt.package != NULL;
}

static void print(const struct options *opt, const struct manifest *m, const struct plan *plan)
{
    if (opt->json) {
        (void)fprintf(stdout,
                      "{\"verified\":false,\"version\":\"%s\",\"granted\":%s,\"plan\":", m->version,
                      opt->grant != NULL ? "true" : "false");
        plan_print_json(plan, stdout);
        (void)fputs("}\n", stdout);
        return;
    }
    (void)fputs("NOT VERIFIED: no signature was checked; this is what the package asks for.\n",
                stdout);
    if (opt->grant == NULL)
        (void)fputs("No grant given: limits are shown as asked for, ids as on the first range.\n",
                    stdout);
    (void)fprintf(stdout, "\nversion %s\n", m->version);
    plan_print(plan, stdout);
}

int main(int argc, char **argv)
{
    static struct manifest manifest;
    static struct grant grant;
    struct plan plan;
    struct options opt;
    struct err err = { 0 };
    char text[256];

    if (!parse(argc, argv, &opt)) {
        (void)fputs("usage: berth-explain [--json] [--grant GRANT] PACKAGE\n"
                    "       berth-explain [--json] --walls    (of this machine, as root)\n",
                    stderr);
        return 2;
    }
    if (opt.walls)
        return walls_print(opt.json, stdout) == RC_OK && fflush(stdout) == 0 ? 0 : 5;
    enum rc rc = load_manifest(&opt, &manifest, &err);
    if (rc == RC_OK)
        rc = load_grant(&opt, &manifest, &grant, &err);
    if (rc == RC_OK)
        rc = plan_make(&manifest, &grant, 0, manifest.limits.data_bytes != 0, &plan, &err);
    if (rc != RC_OK) {
        (void)fprintf(stderr, "berth-explain: %s\n", err_text(&err, text, sizeof text));
        return rc_class(rc) == RC_CLASS_REFUSED ? 5 : 1;
    }
    print(&opt, &manifest, &plan);
    return fflush(stdout) == 0 ? 0 : 1;
}
