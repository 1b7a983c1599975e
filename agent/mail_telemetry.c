/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail_telemetry: batches of telemetry, from a payload's bus to the disk; the link takes them
 * when no message waits (agent/mail).
 */
#include "agent/agent.h"
#include "agent/mail_inside.h"
#include "base/fs.h"

static uint32_t waiting(const struct agent *a, const struct mail_box *b)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->mail.n; i++) {
        const struct mail_file *f = &a->mail.item[i].f;

        n += f->telemetry && strcmp(f->tenant, b->tenant) == 0 &&
             strcmp(f->payload, b->payload) == 0;
    }
    return n;
}

/* What it costs of the day, and that it is there. */
static enum rc keep(struct agent *a, const struct mail_box *b, struct mail *head, int mem,
                    struct mail_file *f, struct err *err)
{
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    struct mail_state s;
    struct err ignored;
    bool kept = false;
    enum rc rc = mail_load_state(a, b->tenant, b->payload, &s, err);

    if (rc != RC_OK)
        return rc;
    f->number = head->number = ++s.number;
    rc = mail_head_encode(head, buf, &bytes, err);
    if (rc == RC_OK)
        rc = mail_charge(a, b, &s, head->time_ms, bytes.n + head->size + MAIL_COST, err);
    if (rc == RC_OK)
        rc = mail_put_noted(a, f, bytes, mem, head->size, NULL, &s, &kept, err);
    if (rc != RC_OK && kept) /* what is not durable comes again from the ring */
        (void)!mail_store_remove(a->data_dir, f, &ignored);
    return rc;
}

enum rc mail_telemetry(struct agent *a, uint64_t instance, struct bytes batch, struct err *err)
{
    const struct mail_box *b = mail_find_box(a, instance);
    struct mail_file f = { .way = MAIL_SENT, .telemetry = true };
    struct mail head = { .direction = MAIL_TELEMETRY,
                         .node = a->config.node,
                         .time_ms = mail_today_ms(a),
                         .name = "telemetry",
                         .size = (uint32_t)batch.n };
    scoped(close_fd) int mem = -1;

    if (!b || b->outbox_bytes == 0 || b->sealed)
        return err_set(err, RC_MAIL_ADDRESS, "telemetry without an outbox");
    memcpy(f.tenant, b->tenant, sizeof f.tenant);
    memcpy(f.payload, b->payload, sizeof f.payload);
    memcpy(head.tenant, b->tenant, sizeof head.tenant);
    memcpy(head.payload, b->payload, sizeof head.payload);
    head.expires_ms = head.time_ms + MAIL_LIFE_MS;
    if (waiting(a, b) >= MAIL_BATCHES_MAX || !mail_has_room(a, &f))
        return err_set(err, RC_MAIL_FULL, "%s/%s", b->tenant, b->payload);
    enum rc rc = fs_sealed("telemetry", batch, &mem, err);
    if (rc == RC_OK)
        rc = keep(a, b, &head, mem, &f, err);
    if (rc == RC_OK)
        mail_add_item(a, &f);
    return rc;
}
