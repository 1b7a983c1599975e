/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_build: from a tenant's directory or container image to a package, without
 * running anything in it.
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
#include "orchestrator/image_build.h"
#include "orchestrator/path.h"
#include "orchestrator/payload.h"
#include "orchestrator/signing.h"
#include "orchestrator/stage.h"
#include "update/pack.h"
#include "update/package.h"

#define ATTACHED_MAX (64U * 1024U * 1024U)

struct build {
    struct payload_spec *spec;
    const char *base;   /* directory of payload.yaml */
    char out[PATH_MAX]; /* the unsigned package */
    int stage_dirfd;    /* the tree to pack */
    int content_fd;     /* unnamed file with the content */
    struct packed packed;
    struct digest manifest;
    struct image_notes *notes; /* what of an image the payload goes without */
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

static bool from_image(const struct build *b)
{
    return b->spec->image.file[0] != '\0';
}

static enum rc pack(struct build *b, unsigned level, struct err *err)
{
    struct manifest *m = &b->spec->manifest;
    enum rc rc;

    b->content_fd = open(b->base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->content_fd < 0)
        return err_sys(err, RC_IO, "%s", b->base);
    if (from_image(b))
        rc = image_build(b->base, b->spec, level, b->content_fd, &b->packed, b->notes, err);
    else
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

/* The digest of a file that goes with the package by another way; without the option there is none.
 */
static enum rc attach(struct cli *cli, const char *option, struct digest *ret, struct err *err)
{
    const char *path = cli_value(cli, option);
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;

    if (!path)
        return RC_OK;

    enum rc rc = path_open_file(path, ATTACHED_MAX, &fd, &size, err);

    if (rc == RC_OK && size == 0)
        rc = err_set(err, RC_SHORT, "%s is empty", path);
    return rc == RC_OK ? package_digest(fd, 0, size, ret->b, err) : rc;
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
        rc = attach(cli, "sbom", &b->spec->manifest.sbom, err);
    if (rc == RC_OK)
        rc = attach(cli, "provenance", &b->spec->manifest.provenance, err);
    if (rc == RC_OK)
        rc = name_output(cli, b, err);
    if (rc == RC_OK)
        rc = path_open_dir(b->base, false, &base_fd, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(stage, sizeof stage, ".stage-%ld", (long)getpid());
    if (!from_image(b))
        rc = fill_stage(b, base_fd, stage, err);
    if (rc == RC_OK)
        rc = pack(b, (unsigned)level, err);
    (void)!fs_remove_tree(base_fd, stage, &ignored);
    return rc == RC_OK ? write_draft(b, err) : rc;
}

/* What the payload goes without: told to people at once, and given to programs. */
static json_t *notes_json(struct cli *cli, const struct image_notes *notes)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < notes->n; i++) {
        cli_note(cli, "  note: %s", notes->note[i]);
        (void)json_array_append_new(list, json_safe(notes->note[i]));
    }
    return list;
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

    json_t *value = json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:i}", "file", json_safe(file), "tenant",
        m->tenant, "name", m->name, "version", m->version, "manifest", json_digest(&b->manifest),
        "content", json_digest(&m->content), "content_bytes", json_uint(m->content_bytes),
        "unpacked_bytes", json_uint(m->unpacked_bytes), "files", (int)m->files);

    if (from_image(b))
        (void)json_object_set_new(value, "notes", notes_json(cli, b->notes));
    return cli_json(cli, value);
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

/* Say what failed and what helps; built: the package is there, signing it went wrong. */
static int failed(struct cli *cli, const struct build *b, bool built, const struct err *err)
{
    if (err->rc == RC_NOT_FOUND && !b->spec->manifest.name[0])
        return cli_fail(cli, err, "berth init NAME");
    if (err->rc == RC_KEY_FILE)
        return cli_fail(cli, err, CLI_FIX_KEY);
    if (err->rc == RC_NOT_FOUND && built)
        return cli_fail(cli, err, CLI_FIX_PATH);
    if (err->rc == RC_NOT_FOUND)
        return cli_fail(cli, err, "make it first, or correct copy:, root: and image: in %s/%s",
                        b->base, PAYLOAD_FILE);
    if (err->rc == RC_YAML)
        return cli_fail(cli, err, "edit %s/%s", b->base, PAYLOAD_FILE);
    if (err->rc == RC_IMAGE_CHOICE)
        return cli_fail(cli, err, "name one in %s/%s: image: {file: ..., tag: ...}", b->base,
                        PAYLOAD_FILE);
    if (err->rc == RC_IMAGE_CONFIG)
        return cli_fail(cli, err, "say it in %s/%s: exec: [/path, ...]", b->base, PAYLOAD_FILE);
    if (err->rc == RC_ARCHIVE_MODE && from_image(b))
        return cli_fail(cli, err, "image: {file: ..., setuid: strip} in %s/%s", b->base,
                        PAYLOAD_FILE);
    return cli_fail(cli, err, "berth build --help");
}

static int run(struct cli *cli)
{
    struct build b = { .base = cli_arg(cli, 0) ? cli_arg(cli, 0) : ".",
                       .stage_dirfd = -1,
                       .content_fd = -1 };
    scoped(free_ptr) struct payload_spec *spec = calloc(1, sizeof *spec);
    scoped(free_ptr) struct image_notes *notes = calloc(1, sizeof *notes);
    char signed_file[PATH_MAX];
    bool sign = cli_value(cli, "key") != NULL;
    struct err err;
    enum rc rc;

    b.spec = spec;
    b.notes = notes;
    if (!spec || !notes) {
        (void)!err_set(&err, RC_NO_MEMORY, "build");
        return cli_fail(cli, &err, "berth build --help");
    }
    rc = build(cli, &b, &err);
    close_fd(&b.stage_dirfd);
    close_fd(&b.content_fd);
    bool built = rc == RC_OK;

    if (rc == RC_OK && sign)
        rc = sign_at_once(cli, &b, signed_file, &err);
    return rc == RC_OK ? print(cli, &b, sign ? signed_file : b.out) : failed(cli, &b, built, &err);
}

static const struct cli_option options[] = {
    { "out", CLI_PATH, "PATH", "the file to write, or the directory (else the payload's own)" },
    { "level", CLI_TEXT, "N", "zstd level, 1 to 19 (else 19: the link is dear)" },
    { "sbom", CLI_PATH, "FILE", "an SPDX bill of materials: its SHA-256 is signed, too" },
    { "provenance", CLI_PATH, "FILE", "how it was built (as in-toto says): likewise" },
    SIGNING_OPTIONS,
    { 0 },
};

const struct cli_command cmd_build[] = {
    { .name = "build",
      .group = "Payloads",
      .args = "[DIR]",
      .summary = "Pack a payload: the same input gives the same bytes",
      .about = "Reads DIR/payload.yaml, gathers the files that it names (or takes the container "
               "image that it\nnames), packs them reproducibly and writes\nNAME-VERSION.unsigned; "
               "with --key it is signed at once and becomes "
               "NAME-VERSION.berth.\nNothing in the directory is executed.",
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
