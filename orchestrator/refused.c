/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/refused.h"

json_t *refused_json(const struct report *doc)
{
    json_t *all = json_array();

    for (uint32_t i = 0; i < doc->n_denied; i++) {
        const struct report_denied *d = &doc->denied[i];
        json_t *calls = json_array();

        for (uint32_t k = 0; k < d->n; k++)
            (void)json_array_append_new(calls, json_pack("{s:s, s:o}", "call", d->call[k].name,
                                                         "count", json_uint(d->call[k].count)));
        (void)json_array_append_new(all, json_pack("{s:s, s:s, s:o, s:o}", "tenant", d->tenant,
                                                   "name", d->name, "total", json_uint(d->total),
                                                   "calls", calls));
    }
    return json_pack("{s:o, s:o}", "missed", json_uint(doc->denied_missed), "payloads", all);
}

/* "  refused to acme/cam: 41 system calls; mount 40, bpf 1" */
void refused_print(struct cli *cli, const struct report *doc)
{
    for (uint32_t i = 0; i < doc->n_denied; i++) {
        const struct report_denied *d = &doc->denied[i];
        char calls[REPORT_DENIED_CALLS * (NAME_CAP + 16U)] = "";
        size_t n = 0;

        for (uint32_t k = 0; k < d->n; k++)
            n += (size_t)snprintf(calls + n, sizeof calls - n, "%s %s %u", k > 0 ? "," : "",
                                  d->call[k].name, d->call[k].count);
        cli_say(cli, "  refused to %s/%s: %u system calls;%s", d->tenant, d->name, d->total, calls);
    }
    if (doc->denied_missed > 0)
        cli_say(cli, "  refused: more than could be counted, %u times", doc->denied_missed);
}
