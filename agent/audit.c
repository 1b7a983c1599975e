/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

void audit_begin(const struct agent *a, struct proc *p, const struct wire_receipt *receipt)
{
    char hex[2 * sizeof receipt->digest + 1];

    p->audit_ms = clock_mono_ms() + a->audit_every_ms;
    memcpy(p->usage.receipt, receipt->digest, sizeof p->usage.receipt);
    (void)bytes_hex((struct bytes){ receipt->digest, sizeof receipt->digest }, hex);
    log_event(LOG_LEVEL_INFO, "receipt payload=%s/%s digest=%s mounts=%u filters=%u%s", p->tenant,
              p->name, hex, receipt->n_mounts, receipt->seccomp_filters,
              receipt->gone != 0 ? " gone=1" : "");
}

void audit_tick(const struct agent *a, struct proc *p)
{
    const struct wire_audit message = { .head = wire_head(WIRE_AUDIT, p->instance) };
    struct err err = { 0 };
    uint64_t now = clock_mono_ms();

    if (now < p->audit_ms)
        return;
    if (wire_send(a->launch_sock, &message.head, NULL, 0, &err) == RC_OK)
        p->audit_ms = now + a->audit_every_ms; /* else at the next tick */
}

void audit_all(struct agent *a)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        a->proc[i].audit_ms = 0;
}

void audit_told(struct agent *a, const struct proc *p, const struct wire_audited *m)
{
    struct err err = { 0 };
    char what[64];

    if (m->rc == RC_OK)
        return;
    (void)err_set(&err, rc_from_number(m->rc), "%.95s", m->what);
    log_err(LOG_LEVEL_ERROR, &err, "drifted payload=%s/%s", p->tenant, p->name);
    (void)snprintf(what, sizeof what, "%.20s/%.20s: %.18s", p->tenant, p->name, err.what);
    agent_event(a, err.rc, 1, what);
}
