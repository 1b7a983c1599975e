/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_quota.h"

static struct bus_amount limit(uint64_t most)
{
    return (struct bus_amount){ .limit = most };
}

static struct bus_amount spent(uint64_t most, uint64_t used_now)
{
    return (struct bus_amount){ .limit = most,
                                .used = used_now,
                                .left = used_now < most ? most - used_now : 0,
                                .known = BUS_KNOWN_USED | BUS_KNOWN_LEFT };
}

static struct bus_amount left(uint64_t most, uint64_t left_now)
{
    return spent(most, left_now < most ? most - left_now : 0);
}

void bus_quota(const struct resources *limits, const struct bus_used *used,
               const struct bus_store *store, uint64_t now_ms, struct bus_quota *ret)
{
    struct bus_amount *line = ret->line;

    line[BUS_QUOTA_MEMORY] = used->measured ? spent(limits->memory_bytes, used->memory_bytes)
                                            : limit(limits->memory_bytes);
    line[BUS_QUOTA_CPU] = limit(limits->cpu_permille);
    if (used->measured) {
        line[BUS_QUOTA_CPU].used = used->cpu_ms;
        line[BUS_QUOTA_CPU].known = BUS_KNOWN_USED;
    }
    line[BUS_QUOTA_PIDS] = limit(limits->pids);
    line[BUS_QUOTA_FILES] = limit(limits->open_files);
    line[BUS_QUOTA_TMP] = limit(limits->tmp_bytes);
    line[BUS_QUOTA_DATA] = limit(limits->data_bytes);
    line[BUS_QUOTA_OUTBOX] =
        limit(limits->outbox_bytes_day ? limits->outbox_bytes_day : limits->outbox_bytes);
    line[BUS_QUOTA_LOG] =
        used->log_hour != 0 ? left(used->log_hour, used->log_left) : limit(used->log_hour);
    line[BUS_QUOTA_TELEMETRY] =
        left(BUS_PUTS_HOUR, bus_hour_left(&store->puts, BUS_PUTS_HOUR, now_ms));
    line[BUS_QUOTA_SENDS] =
        left(BUS_SENDS_HOUR, bus_hour_left(&store->sends, BUS_SENDS_HOUR, now_ms));
    line[BUS_QUOTA_MESSAGES] = spent(BUS_MESSAGES_MAX, store->messages.n);
}
