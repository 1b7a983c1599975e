/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_inspect: show what a file says, without believing it.
 */
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/port.h"
#include "orchestrator/cmd.h"
#include "orchestrator/describe.h"
#include "orchestrator/draft.h"
#include "orchestrator/path.h"
#include "orchestrator/request.h"
#include "orchestrator/words.h"
#include "update/package.h"

#define CBOR_MAJOR_SHIFT 5U         /* the type of an item is in the top bits of its first byte */
#define CBOR_ARRAY_INDEFINITE 0x9fU /* how every BPv7 bundle begins (RFC 9171 section 4.1) */

static enum rc add_digest(json_t *value, const char *key, struct bytes of, struct err *err)
{
    struct digest digest = { 0 };
    enum rc rc = sha256_of(of, digest.b, err);

    if (rc == RC_OK)
        (void)json_object_set_new(value, key, json_digest(&digest));
    return rc;
}

static enum rc inspect_envelope(struct bytes in, json_t **ret, struct err *err)
{
    struct envelope envelope;
    json_t *value;
    enum rc rc = envelope_open(in, &envelope, err);

    if (rc != RC_OK)
        return rc;
    value = describe_document(envelope.payload, err);
    if (!value)
        return err->rc;
    (void)json_object_set_new(value, "signed_by", describe_signers(&envelope));
    (void)json_object_set_new(value, "envelope_bytes", json_uint(in.n));
    rc = add_digest(value, "digest", envelope.payload, err);
    *ret = value;
    return rc;
}

static enum rc inspect_package(int fd, json_t **ret, struct err *err)
{
    scoped(package_done) struct package package = { 0 };
    enum rc rc = package_open(fd, &package, err);

    if (rc == RC_OK)
        rc = inspect_envelope(package_envelope(&package), ret, err);
    if (rc == RC_OK)
        (void)json_object_set_new(*ret, "kind", json_string("package"));
    return rc;
}

static enum rc inspect_draft(int fd, json_t **ret, struct err *err)
{
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    scoped(draft_done) struct draft draft = { 0 };
    enum rc rc =
        manifest ? draft_open(fd, &draft, manifest, err) : err_set(err, RC_NO_MEMORY, "manifest");

    if (rc != RC_OK)
        return rc;
    *ret = describe_manifest(manifest);
    (void)json_object_set_new(*ret, "kind", json_string("unsigned package"));
    return add_digest(*ret, "digest",
                      (struct bytes){ .p = draft.manifest_cbor, .n = draft.manifest_bytes }, err);
}

static enum rc inspect_bundle(struct bytes in, json_t **ret, struct err *err)
{
    scoped(free_ptr) struct bundle *bundle = calloc(1, sizeof *bundle);
    enum rc rc = bundle ? bundle_decode(in, BUNDLE_STRICT, bundle, err)
                        : err_set(err, RC_NO_MEMORY, "bundle");

    if (rc == RC_OK)
        *ret = describe_bundle(bundle);
    return rc;
}

/* A document without envelope: a report, or the payload of a request. */
static enum rc inspect_bare(struct bytes in, json_t **ret, struct err *err)
{
    *ret = describe_document(in, err);
    return *ret ? add_digest(*ret, "digest", in, err) : err->rc;
}

static enum rc inspect_request(struct bytes in, json_t **ret, struct err *err)
{
    struct request request;
    enum rc rc = request_decode(in, &request, err);

    if (rc == RC_OK)
        rc = inspect_bare(request.payload, ret, err);
    if (rc != RC_OK)
        return rc;
    (void)json_object_set_new(*ret, "request_for_mission",
                              json_hex((struct bytes){ request.mission.b, MISSION_SIZE }));
    (void)json_object_set_new(*ret, "the_asker_says", json_safe(request.note));
    return RC_OK;
}

static enum rc inspect_signature(struct bytes in, json_t **ret, struct err *err)
{
    scoped(free_ptr) struct request_signature *s = calloc(1, sizeof *s);
    enum rc rc = s ? request_signature_decode(in, s, err) : err_set(err, RC_NO_MEMORY, "signature");

    if (rc == RC_OK)
        *ret = json_pack("{s:s, s:s, s:o, s:o, s:o, s:i}", "kind", "signature", "over_a",
                         doc_type_name(s->type), "mission",
                         json_hex((struct bytes){ s->mission.b, MISSION_SIZE }), "digest",
                         json_digest(&s->payload), "signed_by",
                         json_hex((struct bytes){ s->key.id, KEY_ID_SIZE }), "halves", (int)s->n);
    return rc;
}

static enum rc inspect_small(struct bytes in, json_t **ret, struct err *err)
{
    if (in.n > 0 && in.p[0] == CBOR_ARRAY_INDEFINITE)
        return inspect_bundle(in, ret, err);
    if (in.n > 0 && in.p[0] >> CBOR_MAJOR_SHIFT == CBOR_MAP)
        return inspect_bare(in, ret, err);
    if (request_is(in))
        return inspect_request(in, ret, err);
    if (request_signature_is(in))
        return inspect_signature(in, ret, err);
    return inspect_envelope(in, ret, err);
}

static enum rc inspect(int fd, uint64_t size, json_t **ret, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    uint8_t magic[PACKAGE_MAGIC_SIZE] = { 0 };
    size_t head = size < sizeof magic ? (size_t)size : sizeof magic;
    enum rc rc = fs_pread_exact(fd, magic, head, 0, err);
    struct bytes in;

    if (rc == RC_OK && memcmp(magic, PACKAGE_MAGIC, sizeof magic) == 0)
        return inspect_package(fd, ret, err);
    if (rc == RC_OK && memcmp(magic, DRAFT_MAGIC, sizeof magic) == 0)
        return inspect_draft(fd, ret, err);
    if (rc == RC_OK && size > BUNDLE_MAX)
        return err_set(err, RC_PACKAGE_FORMAT, "no package, document or bundle");
    buf = malloc((size_t)size + 1);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "file");
    if (rc == RC_OK)
        rc = fs_pread_exact(fd, buf, (size_t)size, 0, err);
    in = (struct bytes){ .p = buf, .n = (size_t)size };
    return rc == RC_OK ? inspect_small(in, ret, err) : rc;
}

#define FIX_KIND "give what berth build, sign, grant or fleet init wrote, or a bundle file"

static int run(struct cli *cli)
{
    scoped(free_ptr) char *words = NULL;
    scoped(close_fd) int fd = -1;
    json_t *value = NULL;
    uint64_t size = 0;
    struct err err;
    enum rc rc = path_open_file(cli_arg(cli, 0), PACKAGE_FILE_MAX, &fd, &size, &err);

    if (rc == RC_OK)
        rc = inspect(fd, size, &value, &err);
    if (rc != RC_OK) {
        json_decref(value);
        return cli_fail(cli, &err, rc == RC_NOT_FOUND ? CLI_FIX_PATH : FIX_KIND);
    }
    words = words_of(value);
    if (words)
        cli_say(cli, "%.*s", (int)strlen(words) - 1, words); /* without the last line end */
    cli_note(cli, "note: nothing of this was verified; berth verify does");
    return cli_json(cli, value);
}

const struct cli_command cmd_inspect[] = {
    { .name = "inspect",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Show in words what a package, document or bundle says, unverified",
      .about = "Takes packages, unsigned packages, documents in their envelopes or bare, signing "
               "requests, signature files,\nand bundle files.",
      .args_min = 1,
      .args_max = 1,
      .run = run },
    { 0 },
};
