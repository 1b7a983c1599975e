/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define HOUR_MS (60U * 60U * 1000U)

enum rc bus_queue_add(struct bus_queue *q, const char *from, struct bytes body, struct err *err)
{
    if (body.n > BUS_BODY_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "%zu bytes", body.n);
    if (q->n == BUS_MESSAGES_MAX)
        return err_set(err, RC_BUS_QUEUE, "%u wait", q->n);

    struct bus_post *post = &q->post[q->n++];
    *post = (struct bus_post){ .id = ++q->next_id, .n = (uint32_t)body.n };
    memcpy(post->from, from, strnlen(from, NAME_MAX_LEN));
    if (body.n > 0)
        memcpy(post->body, body.p, body.n);
    return RC_OK;
}

enum rc bus_queue_done(struct bus_queue *q, uint64_t id, struct err *err)
{
    for (uint32_t i = 0; i < q->n; i++) {
        if (q->post[i].id != id)
            continue;
        q->n--;
        memmove(&q->post[i], &q->post[i + 1], (q->n - i) * sizeof q->post[0]);
        return RC_OK;
    }
    return err_set(err, RC_NOT_FOUND, "%llu", (unsigned long long)id);
}

static bool is_over(const struct bus_hour *hour, uint64_t now_ms)
{
    return now_ms - hour->began_ms >= HOUR_MS;
}

bool bus_hour_take(struct bus_hour *hour, uint32_t most, uint64_t now_ms)
{
    if (hour->n == 0 || is_over(hour, now_ms))
        *hour = (struct bus_hour){ .began_ms = now_ms };
    if (hour->n >= most)
        return false;
    hour->n++;
    return true;
}

uint32_t bus_hour_left(const struct bus_hour *hour, uint32_t most, uint64_t now_ms)
{
    uint32_t used = is_over(hour, now_ms) ? 0 : hour->n;

    return used < most ? most - used : 0;
}

enum rc bus_value_put(struct bus_store *store, const char *key, struct bytes value, uint64_t now_ms,
                      struct err *err)
{
    struct bus_value *place = NULL;

    if (value.n == 0 || value.n > BUS_VALUE_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "%zu bytes", value.n);
    for (uint32_t i = 0; i < BUS_KEYS_MAX; i++) {
        struct bus_value *v = &store->value[i];

        if (v->n > 0 && strcmp(v->key, key) == 0) {
            place = v;
            break;
        }
        if (v->n == 0 && !place)
            place = v;
    }
    if (!place)
        return err_set(err, RC_BUS_QUEUE, "%u keys at most", BUS_KEYS_MAX);
    *place = (struct bus_value){ .n = (uint32_t)value.n, .told_ms = now_ms };
    memcpy(place->key, key, strnlen(key, NAME_MAX_LEN));
    memcpy(place->bytes, value.p, value.n);
    store->fresh = true;
    return RC_OK;
}

bool bus_telemetry_due(const struct bus_store *store, uint64_t now_ms)
{
    return store->fresh && (store->sent_ms == 0 || now_ms - store->sent_ms >= BUS_TELEMETRY_GAP_MS);
}

struct bytes bus_telemetry_encode(const struct bus_store *store, uint64_t now_ms,
                                  uint64_t now_unix_ms, uint8_t *buf)
{
    size_t n = 0;

    for (uint32_t i = 0; i < BUS_KEYS_MAX; i++) {
        const struct bus_value *v = &store->value[i];
        uint64_t age_ms = now_ms - v->told_ms;

        if (v->n == 0)
            continue;
        int head = snprintf((char *)buf + n, BUS_TELEMETRY_MAX - n, "%s %" PRIu64 " %u ", v->key,
                            age_ms < now_unix_ms ? now_unix_ms - age_ms : 0, v->n);
        assert(head > 0 && n + (size_t)head + v->n + 1 <= BUS_TELEMETRY_MAX);
        n += (size_t)head;
        memcpy(buf + n, v->bytes, v->n);
        n += v->n;
        buf[n++] = '\n';
    }
    return (struct bytes){ .p = buf, .n = n };
}
