/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of a message says where its content begins and ends, names only what may be named, and
 * encodes to the same bytes again; content is sealed or not, and nothing else happens.
 */
#include <stdlib.h>

#include "base/name.h"
#include "link/mail.h"
#include "link/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sealed(const struct mail *m, struct bytes content)
{
    struct eid src, dst;
    struct err err;

    if (mail_eid(m->node, m->tenant, m->payload, &src, &err) != RC_OK ||
        mail_eid(1, m->tenant, "", &dst, &err) != RC_OK)
        abort();
    enum rc rc = mail_sealed_check(content, &src, &dst, &err);

    if (rc != RC_OK && rc != RC_MAIL_SEALED && rc != RC_MAIL_ADDRESS)
        abort();
}

static void check_telemetry(struct bytes content)
{
    static struct telemetry_batch batch;
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    struct bytes out = { 0 };
    struct err err;

    if (telemetry_decode(content, &batch, &err) != RC_OK)
        return;
    if (batch.instance == 0 || batch.first == 0 || batch.n == 0 || batch.n > TELEMETRY_BATCH_MAX ||
        telemetry_encode(&batch, buf, &out, &err) != RC_OK || !bytes_equal(out, content))
        abort();
}

static void check_answer(struct bytes content)
{
    uint8_t buf[MAIL_ANSWER_MAX];
    struct bytes out = { 0 };
    struct mail_answer answer;
    struct err err;

    if (mail_answer_decode(content, &answer, &err) != RC_OK)
        return;
    if (answer.outcome < MAIL_READ || answer.outcome > MAIL_REFUSED ||
        !mail_text_ok(answer.text, strlen(answer.text)) ||
        mail_answer_encode(&answer, buf, &out, &err) != RC_OK || !bytes_equal(out, content))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { data, size < MAIL_HEAD_MAX ? size : MAIL_HEAD_MAX }, out = { 0 };
    uint8_t buf[MAIL_HEAD_MAX];
    struct mail m = { 0 };
    struct err err;

    if (mail_head_decode(in, size, &m, &err) != RC_OK)
        return 0;
    if ((uint64_t)m.head + m.size != size || m.head > in.n || m.size > MAIL_CONTENT_MAX)
        abort();
    if (m.direction < MAIL_DOWN || m.direction > MAIL_LOGS_REQUEST || !name_valid(m.tenant) ||
        !name_valid(m.payload) || !mail_name_ok(m.name) || strchr(m.name, '/'))
        abort();
    if (mail_head_encode(&m, buf, &out, &err) != RC_OK ||
        !bytes_equal(out, (struct bytes){ data, m.head }))
        abort();
    check_telemetry((struct bytes){ data + m.head, m.size });
    check_answer((struct bytes){ data + m.head, m.size });
    check_sealed(&m, (struct bytes){ data + m.head, m.size });
    return 0;
}
