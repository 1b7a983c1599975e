/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/link_options.h"

#include <stdlib.h>

#define PREFIX "link-"
#define DIGITS_MAX 9U

/* One label's value, N bytes at p. */
struct value {
    const char *p;
    size_t n;
};

static bool is_word(const struct value *v, const char *word)
{
    return v->n == strlen(word) && memcmp(v->p, word, v->n) == 0;
}

static bool number(const struct value *v, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint32_t sum = 0;

    if (v->n == 0 || v->n > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        if (v->p[i] < '0' || v->p[i] > '9')
            return false;
        sum = sum * 10 + (uint32_t)(v->p[i] - '0');
    }
    if (sum < min || sum > max)
        return false;
    *ret = sum;
    return true;
}

static bool take(const struct value *key, const struct value *value, struct sender_options *o)
{
    if (is_word(key, PREFIX "way")) {
        o->one_way = is_word(value, "one");
        return o->one_way || is_word(value, "both");
    }
    if (is_word(key, PREFIX "repairs"))
        return number(value, 0, SENDER_REPAIRS_MAX, &o->repairs);
    if (is_word(key, PREFIX "chunk-min"))
        return number(value, SENDER_CHUNK_MIN, CHUNK_MAX, &o->chunk_min);
    if (is_word(key, PREFIX "chunk-max"))
        return number(value, SENDER_CHUNK_MIN, CHUNK_MAX, &o->chunk_max);
    return false;
}

enum rc link_options(const char *labels, struct sender_options *ret, struct err *err)
{
    struct sender_options o = *ret;

    while (*labels != '\0') {
        const size_t n = strcspn(labels, ","), k = strcspn(labels, "=");
        const struct value key = { labels, k < n ? k : n };
        const struct value value = { labels + key.n + 1, key.n < n ? n - key.n - 1 : 0 };

        if (n >= strlen(PREFIX) && memcmp(labels, PREFIX, strlen(PREFIX)) == 0 &&
            !take(&key, &value, &o))
            return err_set(err, RC_USAGE,
                           "label '%.*s': link-way=one, link-way=both, link-repairs=0 to %u, "
                           "link-chunk-min and -max=%u to %u",
                           (int)n, labels, SENDER_REPAIRS_MAX, SENDER_CHUNK_MIN, CHUNK_MAX);
        labels += n + (labels[n] == ',');
    }
    if (o.chunk_min > o.chunk_max && o.chunk_max != 0)
        return err_set(err, RC_USAGE, "link-chunk-min is above link-chunk-max");
    *ret = o;
    return RC_OK;
}
