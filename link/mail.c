/* SPDX-License-Identifier: Apache-2.0 */
#include "link/mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/bpsec.h"

#define MAIL_FORMAT 1U
#define MAIL_ITEMS 10U
#define SERVICE_BYTES 7U
#define ANSWER_FORMAT 1U
#define ANSWER_ITEMS 5U

static_assert(8 * 9 + 2 * (NAME_CAP + 1) + MAIL_NAME_CAP + 1 + 5 < MAIL_HEAD_MAX, "any head fits");

enum rc mail_head_encode(const struct mail *mail, uint8_t *buf, struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = MAIL_HEAD_MAX };

    cbor_put_array(&w, MAIL_ITEMS);
    cbor_put_uint(&w, MAIL_FORMAT);
    cbor_put_uint(&w, mail->direction);
    cbor_put_uint(&w, mail->node);
    cbor_put_text(&w, mail->tenant);
    cbor_put_text(&w, mail->payload);
    cbor_put_uint(&w, mail->number);
    cbor_put_uint(&w, mail->time_ms);
    cbor_put_uint(&w, mail->expires_ms);
    cbor_put_text(&w, mail->name);
    cbor_put_head(&w, CBOR_BSTR, mail->size);
    return cbor_written(&w, ret, err);
}

/* A command's name is told to a payload by its bus, as a name. */
static bool name_fits(const struct mail *m)
{
    return m->direction >= MAIL_COMMAND ? name_valid(m->name) : mail_name_ok(m->name);
}

/* The content's own head, which is the last thing that is looked at: the content may lie behind
 * what was read. */
static void read_content_head(struct cbor_in *r, uint64_t size, struct mail *m)
{
    enum cbor_major major = CBOR_UINT;
    uint64_t n = 0;

    cbor_head(r, "content", &major, &n);
    if (r->rc == RC_OK && (major != CBOR_BSTR || n > MAIL_CONTENT_MAX || r->at + n != size))
        cbor_fail(r, RC_MAIL_FORMAT, "content");
    m->head = (uint32_t)r->at;
    m->size = (uint32_t)n;
}

enum rc mail_head_decode(struct bytes in, uint64_t size, struct mail *ret, struct err *err)
{
    struct mail m = { 0 };
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "mail", MAIL_ITEMS, MAIL_ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != MAIL_FORMAT)
        cbor_fail(&r, RC_MAIL_FORMAT, "format");
    m.direction = (enum mail_direction)cbor_uint(&r, "direction", MAIL_LOGS_REQUEST);
    m.node = (uint32_t)cbor_uint(&r, "node", UINT32_MAX);
    cbor_text(&r, "tenant", m.tenant, sizeof m.tenant);
    cbor_text(&r, "payload", m.payload, sizeof m.payload);
    m.number = cbor_uint(&r, "number", UINT64_MAX);
    m.time_ms = cbor_uint(&r, "time", UINT64_MAX);
    m.expires_ms = cbor_uint(&r, "expires", UINT64_MAX);
    cbor_text(&r, "name", m.name, sizeof m.name);
    if (r.rc == RC_OK && (m.direction == 0 || m.node == 0 || !name_valid(m.tenant) ||
                          !name_valid(m.payload) || !name_fits(&m)))
        cbor_fail(&r, RC_MAIL_FORMAT, "direction, node or names");
    read_content_head(&r, size, &m);
    if (r.rc != RC_OK)
        return err_at(err, r.rc, r.fail_at, "%s", r.field ? r.field : "mail");
    *ret = m;
    return RC_OK;
}

enum rc mail_answer_encode(const struct mail_answer *answer, uint8_t *buf, struct bytes *ret,
                           struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = MAIL_ANSWER_MAX };

    cbor_put_array(&w, ANSWER_ITEMS);
    cbor_put_uint(&w, ANSWER_FORMAT);
    cbor_put_bstr(&w, (struct bytes){ answer->command, DIGEST_SIZE });
    cbor_put_uint(&w, answer->outcome);
    cbor_put_uint(&w, answer->code);
    cbor_put_text(&w, answer->text);
    return cbor_written(&w, ret, err);
}

enum rc mail_answer_decode(struct bytes in, struct mail_answer *ret, struct err *err)
{
    struct mail_answer a = { .code = 0 };
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "answer", ANSWER_ITEMS, ANSWER_ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != ANSWER_FORMAT)
        cbor_fail(&r, RC_MAIL_FORMAT, "format");
    cbor_fixed(&r, "command", a.command, DIGEST_SIZE);
    a.outcome = (enum mail_outcome)cbor_uint(&r, "outcome", MAIL_REFUSED);
    a.code = (uint32_t)cbor_uint(&r, "code", UINT32_MAX);
    const struct bytes text = cbor_tstr(&r, "text", 0, MAIL_TEXT_MAX);

    cbor_end(&r);
    if (r.rc == RC_OK && (a.outcome == 0 || !mail_text_ok((const char *)text.p, text.n) ||
                          (text.n > 0 && a.outcome != MAIL_DONE) ||
                          (a.code != 0 && a.outcome != MAIL_DONE && a.outcome != MAIL_REFUSED)))
        cbor_fail(&r, RC_MAIL_FORMAT, "outcome, code or text");
    enum rc rc = cbor_done(&r, err);

    if (rc != RC_OK)
        return rc;
    if (text.n > 0)
        memcpy(a.text, text.p, text.n);
    *ret = a;
    return RC_OK;
}

enum rc mail_head_read(int fd, uint64_t size, struct mail *ret, struct err *err)
{
    uint8_t buf[MAIL_HEAD_MAX];
    const size_t n = size < sizeof buf ? (size_t)size : sizeof buf;
    enum rc rc = fs_pread_exact(fd, buf, n, 0, err);

    return rc == RC_OK ? mail_head_decode((struct bytes){ buf, n }, size, ret, err) : rc;
}

enum rc mail_eid(uint32_t node, const char *tenant, const char *payload, struct eid *ret,
                 struct err *err)
{
    char text[2 * NAME_CAP + 1];
    uint8_t digest[DIGEST_SIZE];

    (void)snprintf(text, sizeof text, "%s/%s", tenant, payload);
    enum rc rc = sha256_of(bytes_of(text), digest, err);
    if (rc == RC_OK)
        *ret =
            eid_ipn(node, UINT64_C(1) << 8 * SERVICE_BYTES | bytes_get_be(digest, SERVICE_BYTES));
    return rc;
}

/* Whether some block of this type has the target. */
static bool guarded(const struct bundle *b, uint64_t type, uint64_t target)
{
    for (size_t i = 0; i < b->n_blocks; i++) {
        struct bpsec_asb asb;
        struct err ignored;

        if (b->blocks[i].type != type ||
            bpsec_asb_of(b, &b->blocks[i], BUNDLE_STRICT, &asb, &ignored) != RC_OK)
            continue;
        for (size_t k = 0; k < asb.n_targets; k++) {
            if (asb.targets[k] == target)
                return true;
        }
    }
    return false;
}

static enum rc check_form(struct bytes content, struct bundle *b, struct err *err)
{
    struct err why = { 0 };

    if (bpsec_take(content, BUNDLE_STRICT, b, &why) != RC_OK)
        return err_set(err, RC_MAIL_SEALED, "%s: %.40s", rc_name(why.rc), why.what);
    if ((b->flags & (BUNDLE_FRAGMENT | BUNDLE_ADMIN | BUNDLE_REPORT_ANY)) != 0)
        return err_set(err, RC_MAIL_SEALED, "flags of the bundle");
    if (!guarded(b, BLOCK_BCB, 1))
        return err_set(err, RC_MAIL_SEALED, "no BCB over the payload");
    if (!guarded(b, BLOCK_BIB, 0))
        return err_set(err, RC_MAIL_SEALED, "no BIB over the primary block");
    return RC_OK;
}

enum rc mail_sealed_form(struct bytes content, struct err *err)
{
    struct bundle b;

    return check_form(content, &b, err);
}

enum rc mail_sealed_check(struct bytes content, const struct eid *src, const struct eid *dst,
                          struct err *err)
{
    struct bundle b;
    enum rc rc = check_form(content, &b, err);

    if (rc != RC_OK)
        return rc;
    if (!eid_equal(&b.src, src) || !eid_equal(&b.dst, dst) || !eid_is_null(&b.report_to))
        return err_set(err, RC_MAIL_ADDRESS, "endpoints of the bundle");
    return RC_OK;
}
