/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_store.h"

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

/* Whether a key is known, or can be. */
static bool take_key(struct bus_store *store, const char *key)
{
    uint32_t i = 0;

    while (i < BUS_KEYS_MAX && store->key[i][0] != '\0' && strcmp(store->key[i], key) != 0)
        i++;
    if (i < BUS_KEYS_MAX && store->key[i][0] == '\0')
        memcpy(store->key[i], key, strnlen(key, NAME_MAX_LEN));
    return i < BUS_KEYS_MAX;
}

enum rc bus_sample_put(struct bus_store *store, const char *key, struct bytes value,
                       uint64_t now_ms, uint64_t unix_ms, struct err *err)
{
    struct bus_ring *ring = &store->ring;

    if (value.n == 0 || value.n > TELEMETRY_VALUE_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "%zu bytes", value.n);
    if (!take_key(store, key))
        return err_set(err, RC_BUS_QUEUE, "%u keys at most", BUS_KEYS_MAX);
    struct telemetry_sample *s = &ring->sample[++ring->next % BUS_RING];

    *s = (struct telemetry_sample){ .time_ms = unix_ms, .n = (uint8_t)value.n };
    memcpy(s->key, key, strnlen(key, NAME_MAX_LEN));
    memcpy(s->value, value.p, value.n);
    if (ring->n == 0)
        ring->since_ms = now_ms;
    if (ring->n < BUS_RING)
        ring->n++;
    return RC_OK;
}

bool bus_batch_due(const struct bus_store *store, uint64_t now_ms)
{
    const struct bus_ring *ring = &store->ring;

    return ring->n >= TELEMETRY_BATCH_MAX ||
           (ring->n > 0 && now_ms - ring->since_ms >= BUS_TELEMETRY_GAP_MS);
}

void bus_batch(const struct bus_store *store, uint64_t instance, struct telemetry_batch *ret)
{
    const struct bus_ring *ring = &store->ring;

    ret->instance = instance;
    ret->first = ring->next - ring->n + 1;
    ret->n = ring->n < TELEMETRY_BATCH_MAX ? ring->n : TELEMETRY_BATCH_MAX;
    for (uint32_t i = 0; i < ret->n; i++)
        ret->sample[i] = ring->sample[(ret->first + i) % BUS_RING];
}

void bus_batch_done(struct bus_store *store, uint32_t n, uint64_t now_ms)
{
    store->ring.n -= n < store->ring.n ? n : store->ring.n;
    store->ring.since_ms = now_ms;
}
