/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_metrics.h"

#include <inttypes.h>

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_verdicts(FILE *out, const struct view *view, uint64_t now_ms, uint64_t silent_ms)
{
    uint64_t n[VERDICTS] = { 0 };

    for (size_t i = 0; i < view->n; i++) {
        const struct view_satellite *s = &view->satellite[i];

        n[view_verdict(s, now_ms, silent_ms)]++;
    }
    head(out, "berth_satellites", "gauge", "Satellites by verdict.");
    for (unsigned v = 0; v < VERDICTS; v++)
        (void)fprintf(out, "berth_satellites{verdict=\"%s\"} %" PRIu64 "\n",
                      verdict_name((enum verdict)v), n[v]);
}

static void print_payloads(FILE *out, const struct view *view)
{
    uint64_t n[SLOT_STATES] = { 0 };
    uint64_t running = 0, restarts = 0;

    for (size_t i = 0; i < view->n; i++) {
        const struct sight *seen = view->satellite[i].seen;

        for (uint32_t k = 0; seen && k < seen->n_payloads; k++) {
            if ((unsigned)seen->payload[k].state < SLOT_STATES)
                n[seen->payload[k].state]++;
            running += seen->payload[k].is_running;
            restarts += seen->payload[k].restarts;
        }
    }
    head(out, "berth_payloads", "gauge", "Payloads by state, as satellites reported them last.");
    for (unsigned s = 0; s < SLOT_STATES; s++)
        (void)fprintf(out, "berth_payloads{state=\"%s\"} %" PRIu64 "\n",
                      slot_state_name((enum slot_state)s), n[s]);
    head(out, "berth_payloads_running", "gauge", "Payloads that run.");
    (void)fprintf(out, "berth_payloads_running %" PRIu64 "\n", running);
    head(out, "berth_payload_restarts", "gauge", "Restarts of the payloads that are there.");
    (void)fprintf(out, "berth_payload_restarts %" PRIu64 "\n", restarts);
}

/* Cumulative, as a histogram of Prometheus is. */
static void print_ages(FILE *out, const struct view *view, uint64_t now_ms)
{
    static const uint32_t edges_s[] = { 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600 };
    const size_t n = sizeof edges_s / sizeof edges_s[0];
    uint64_t within[sizeof edges_s / sizeof edges_s[0]] = { 0 };
    uint64_t all = 0, sum_s = 0;

    for (size_t i = 0; i < view->n; i++) {
        if (!view->satellite[i].seen)
            continue;
        uint64_t age_s = view_age_ms(&view->satellite[i], now_ms) / 1000U;

        all++;
        sum_s += age_s;
        for (size_t e = 0; e < n; e++)
            within[e] += age_s <= edges_s[e];
    }
    head(out, "berth_report_age_seconds", "histogram", "Age of the newest report of satellites.");
    for (size_t e = 0; e < n; e++)
        (void)fprintf(out, "berth_report_age_seconds_bucket{le=\"%" PRIu32 "\"} %" PRIu64 "\n",
                      edges_s[e], within[e]);
    (void)fprintf(out,
                  "berth_report_age_seconds_bucket{le=\"+Inf\"} %" PRIu64
                  "\nberth_report_age_seconds_sum %" PRIu64
                  "\nberth_report_age_seconds_count %" PRIu64 "\n",
                  all, sum_s, all);
}

static void print_server(FILE *out, const struct api_counts *c)
{
    head(out, "berth_api_requests_total", "counter", "Requests answered, by class of the status.");
    for (unsigned i = 1; i < sizeof c->requests / sizeof c->requests[0]; i++)
        (void)fprintf(out, "berth_api_requests_total{class=\"%uxx\"} %" PRIu64 "\n", i,
                      c->requests[i]);
    head(out, "berth_api_refused_total", "counter", "Requests without a token that counts.");
    (void)fprintf(out, "berth_api_refused_total %" PRIu64 "\n", c->refused);
    head(out, "berth_api_limited_total", "counter", "Requests above the rate.");
    (void)fprintf(out, "berth_api_limited_total %" PRIu64 "\n", c->limited);
    head(out, "berth_api_streams", "gauge", "Streams of events that are open.");
    (void)fprintf(out, "berth_api_streams %" PRIu64 "\n", c->streams);
}

void api_metrics_print(FILE *out, const struct view *view, const uint32_t rollouts[ROLLOUT_STATES],
                       const struct api_counts *counts, uint64_t now_ms, uint64_t silent_ms)
{
    print_verdicts(out, view, now_ms, silent_ms);
    print_payloads(out, view);
    print_ages(out, view, now_ms);
    head(out, "berth_rollouts", "gauge", "Rollouts by state.");
    for (unsigned s = ROLLOUT_RUNNING; s < ROLLOUT_STATES; s++)
        (void)fprintf(out, "berth_rollouts{state=\"%s\"} %" PRIu32 "\n",
                      rollout_state_name((enum rollout_state)s), rollouts[s]);
    print_server(out, counts);
}
