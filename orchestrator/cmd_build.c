/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_build: from a tenant's directory to a package, without running anything in it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "orchestrator/cmd.h"
#include "orchestrator/draft.h"
#include "orchestrator/path.h"
#include "orchestrator/payload.h"
#include "orchestrator/signing.h"
#include "orchestrator/stage.h"
#include "update/pack.h"

struct build {
    struct payload_spec *spec;
    const char *base;   /* directory of payload.yaml */
    char out[PATH_MAX]; /* the unsigned package */
    int stage_dirfd;    /* the tree to pack */
    int content_fd;     /* unnamed file with the content */
    struct packed packed;
    struct digest manifest;
};

static enum rc read_spec(struct build *b, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", b->base, PAYLOAD_FILE);
    enum rc rc;

    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, RC_TOO_LARGE, "%s", b->base);
    rc = yaml_load(AT_FDCWD, path, &doc, err);
    return rc == RC_OK ? payload_read(doc, b->spec, err) : rc;
}

/* The stage lies beside the payload, on a disk that has room for it, and goes away at the end. */
static enum rc fill_stage(struct build *b, int base_fd, const char *stage, struct err *err)
{
    enum rc rc = fs_remove_tree(base_fd, stage, err);

    if (rc == RC_OK)
        rc = fs_open_dir(base_fd, stage, 0755, &b->stage_dirfd, err);
    return rc == RC_OK ? stage_fill(b->base, b->spec, b->stage_dirfd, err) : rc;
}

static enum rc pack(struct build *b, unsigned level, struct err *err)
{
    struct manifest *m = &b->spec->manifest;
    enum rc rc;

    b->content_fd = open(b->base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->content_fd < 0)
        return err_sys(err, RC_IO, "%s", b->base);
    rc = pack_tree(b->stage_dirfd, m->args[0], level, b->content_fd, &b->packed, err);
    if (rc == RC_OK)
        pack_fill(&b->packed, m);
    return rc == RC_OK ? manifest_check(m, err) : rc;
}

/* An unsigned package under its final name: a reader sees all of it or nothing. */
static enum rc write_draft(struct build *b, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(close_fd) int dirfd = -1, out = -1;
    char name[PATH_NAME_CAP], draft[PATH_NAME_CAP + 8];
    uint8_t sha[DIGEST_SIZE];
    struct bytes cbor = { 0 };
    enum rc rc = buf ? manifest_encode(&b->spec->manifest, buf, DOCUMENT_MAX, &cbor, err)
                     : err_set(err, RC_NO_MEMORY, "manifest");

    if (rc == RC_OK)
        rc = sha256_of(cbor, b->manifest.b, err);
    if (rc == RC_OK)
        rc = path_open_parent(b->out, &dirfd, name, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(draft, sizeof draft, ".%s.new", name);
    rc = fs_unlink(dirfd, draft, err);
    if (rc == RC_OK)
        rc = fs_open(dirfd, draft, O_WRONLY | O_CREAT | O_EXCL, 0644, &out, err);
    if (rc == RC_OK)
        rc = draft_write_head(out, cbor, err);
    if (rc == RC_OK)
        rc = fs_copy_digest(b->content_fd, out, b->packed.content_bytes, sha, err);
    if (rc == RC_OK)
        rc = fs_sync(out, b->out, err);
    return rc == RC_OK ? fs_rename(dirfd, draft, dirfd, name, false, err) : rc;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* DIR/NAME-VERSION.unsigned, or with --out FILE that file, or a draft beside it to sign. */
static enum rc name_output(struct cli *cli, struct build *b, struct err *err)
{
    const char *out = cli_value(cli, "out");
    const struct manifest *m = &b->spec->manifest;
    int n;

    if (out && !is_directory(out))
        return path_with_suffix(out, "", cli_value(cli, "key") ? DRAFT_SUFFIX : "", b->out,
                                sizeof b->out, err);
    n = snprintf(b->out, sizeof b->out, "%s/%s-%s%s", out ? out : b->base, m->name, m->version,
                 DRAFT_SUFFIX);
    return n >= 0 && (size_t)n < sizeof b->out ? RC_OK : err_set(err, RC_TOO_LARGE, "--out");
}

static enum rc build(struct cli *cli, struct build *b, struct err *err)
{
    scoped(close_fd) int base_fd = -1;
    char stage[40];
    struct err ignored;
    uint64_t level = PACK_LEVEL;
    enum rc rc = cli_number(cli, "level", PACK_LEVEL, 1, 19, &level, err);

    if (rc == RC_OK)
        rc = read_spec(b, err);
    if (rc == RC_OK)
        rc = name_output(cli, b, err);
    if (rc == RC_OK)
        rc = path_open_dir(b->base, false, &base_fd, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(stage, sizeof stage, ".stage-%ld", (long)getpid());
    rc = fill_stage(b, base_fd, stage, err);
    if (rc == RC_OK)
        rc = pack(b, (unsigned)level, err);
    (void)!fs_remove_tree(base_fd, stage, &ignored);
    return rc == RC_OK ? write_draft(b, err) : rc;
}

static int print(struct cli *cli, const struct build *b, const char *file)
{
    const struct manifest *m = &b->spec->manifest;
    char hex[2 * DIGEST_SIZE + 1], packed[CLI_SIZE_CAP], unpacked[CLI_SIZE_CAP];

    cli_say(cli, "%s", file);
    cli_say(cli, "  %s/%s %s (release %llu, %s)", m->tenant, m->name, m->version,
            (unsigned long long)m->release, m->arch);
    cli_say(cli, "  manifest  %s",
            bytes_hex((struct bytes){ .p = b->manifest.b, .n = DIGEST_SIZE }, hex));
    cli_say(cli, "  content   %s",
            bytes_hex((struct bytes){ .p = m->content.b, .n = DIGEST_SIZE }, hex));
    cli_say(cli, "  %s packed, %s unpacked, %u entries", cli_size(m->content_bytes, packed),
            cli_size(m->unpacked_bytes, unpacked), m->files);
    return cli_json(cli, json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:i}", "file",
                                   json_safe(file), "tenant", m->tenant, "name", m->name, "version",
                                   m->version, "manifest", json_digest(&b->manifest), "content",
                                   json_digest(&m->content), "content_bytes",
                                   json_uint(m->content_bytes), "unpacked_bytes",
                                   json_uint(m->unpacked_bytes), "files", (int)m->files));
}

/* --key: sign at once; the unsigned file goes away. */
static enum rc sign_at_once(struct cli *cli, struct build *b, char out[PATH_MAX], struct err *err)
{
    const char *given = cli_value(cli, "out");
    enum rc rc = given && !is_directory(given)
                     ? path_with_suffix(given, "", "", out, PATH_MAX, err)
                     : path_with_suffix(b->out, DRAFT_SUFFIX, SIGNING_SUFFIX, out, PATH_MAX, err);

    if (rc == RC_OK)
        rc = signing_draft(cli, b->out, out, err);
    (void)unlink(b->out);
    return rc;
}

static int run(struct cli *cli)
{
    struct build b = { .base = cli_arg(cli, 0) ? cli_arg(cli, 0) : ".",
                       .stage_dirfd = -1,
                       .content_fd = -1 };
    scoped(free_ptr) struct payload_spec *spec = calloc(1, sizeof *spec);
    char signed_file[PATH_MAX];
    bool sign = cli_value(cli, "key") != NULL;
    struct err err;
    enum rc rc;

    b.spec = spec;
    rc = spec ? build(cli, &b, &err) : err_set(&err, RC_NO_MEMORY, "build");
    close_fd(&b.stage_dirfd);
    close_fd(&b.content_fd);
    bool built = rc == RC_OK;

    if (rc == RC_OK && sign)
        rc = sign_at_once(cli, &b, signed_file, &err);
    if (rc == RC_NOT_FOUND && !spec->manifest.name[0])
        return cli_fail(cli, &err, "berth init NAME");
    if (rc == RC_KEY_FILE)
        return cli_fail(cli, &err, CLI_FIX_KEY);
    if (rc == RC_NOT_FOUND && built)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, "make it first, or correct copy: and root: in %s/%s", b.base,
                        PAYLOAD_FILE);
    if (rc == RC_YAML)
        return cli_fail(cli, &err, "edit %s/%s", b.base, PAYLOAD_FILE);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth build --help");
    return print(cli, &b, sign ? signed_file : b.out);
}

static const struct cli_option options[] = {
    { "out", CLI_PATH, "PATH", "the file to write, or the directory (else the payload's own)" },
    { "level", CLI_TEXT, "N", "zstd level, 1 to 19 (else 19: the link is dear)" },
    SIGNING_OPTIONS,
    { 0 },
};

const struct cli_command cmd_build[] = {
    { .name = "build",
      .group = "Payloads",
      .args = "[DIR]",
      .summary = "Pack a payload: the same input gives the same bytes",
      .about = "Reads DIR/payload.yaml, gathers the files that it names, packs them reproducibly "
               "and writes\nNAME-VERSION.unsigned; with --key it is signed at once and becomes "
               "NAME-VERSION.berth.\nNothing in the directory is executed.",
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
