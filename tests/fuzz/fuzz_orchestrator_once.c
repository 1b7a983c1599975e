/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/api_once.h"
#include "orchestrator/api_token.h"
#include "orchestrator/store_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS 1796040000000U
#define REQUESTS 64U /* of a store */
#define SECRET_DIGITS ((int)(API_SECRET_CAP - sizeof "berth_"))

static unsigned long long times; /* each time another token: nothing of before counts */

static const char *take(const char **at, const char *end)
{
    const char *word = *at;

    *at = word < end ? word + strlen(word) + 1 : end;
    if (*at > end) /* the last word has the NUL behind the input */
        *at = end;
    return word < end ? word : "";
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

static enum rc begin(struct store *store, const char *secret, const char *key,
                     const struct api_request *q, struct store_once *ret, struct api_answer *kept)
{
    struct err err;
    enum rc rc = api_once_begin(store, secret, key, q, NOW_MS, ret, kept, &err);

    if (rc != RC_OK)
        must(err.rc == rc && !kept->text);
    return rc;
}

/* The same request once more is not begun, and has the answer once there is one; the key with
 * another request is refused, wherever it differs: one more byte, or one moved from a word to the
 * next. */
static void ask(struct store *store, const char *key, const struct api_request *q)
{
    char secret[API_SECRET_CAP], other[API_SECRET_CAP];
    static const char said[] = "{\"rollouts\": []}";
    struct api_answer kept, done = {
        .status = 200, .type = API_JSON, .text = (char *)(uintptr_t)said, .n = sizeof said - 1
    };
    struct store_once once, again;
    struct api_request changed = *q;
    struct err err;

    (void)snprintf(secret, sizeof secret, "berth_%0*llx", SECRET_DIGITS, 2 * times);
    (void)snprintf(other, sizeof other, "berth_%0*llx", SECRET_DIGITS, 2 * times + 1);
    enum rc rc = begin(store, secret, key, q, &once, &kept);

    if (rc != RC_OK) {
        must(rc == RC_API_REQUEST);
        return;
    }
    must(!kept.text && strlen(key) > 0 && strlen(key) <= 64);
    must(begin(store, secret, key, q, &again, &kept) == RC_API_KEY_OPEN);
    must(begin(store, other, key, q, &again, &kept) == RC_OK && !kept.text); /* another's */
    must(api_once_end(store, &once, &done, &err) == RC_OK);
    must(begin(store, secret, key, q, &again, &kept) == RC_OK && kept.status == 200 &&
         kept.n == done.n && memcmp(kept.text, said, kept.n) == 0);
    free(kept.text);
    changed.printed = !q->printed;
    must(begin(store, secret, key, &changed, &again, &kept) == RC_API_KEY);
    changed = *q;
    if (q->body.n > 0) {
        changed.body.n--;
        must(begin(store, secret, key, &changed, &again, &kept) == RC_API_KEY);
    }
    changed = *q;
    changed.n_params = 0;
    must(begin(store, secret, key, &changed, &again, &kept) == RC_API_KEY);
    if (q->path[0] != '\0') {
        changed = *q;
        changed.path = q->path + 1;
        must(begin(store, secret, key, &changed, &again, &kept) == RC_API_KEY);
    }
}

/* First byte: whether it is to be printed; then key, method, path, one parameter, each with NUL;
 * the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store *store;
    struct err err;

    if (size == 0 || size > API_BODY_MAX)
        return 0;
    if (times % REQUESTS == 0) { /* what is kept takes longer to look through than all the rest */
        store_close(&store);
        must(store_open_scratch(&store, &err) == RC_OK);
    }
    times++;
    char *text = calloc(1, size);

    must(text != NULL);
    memcpy(text, data + 1, size - 1);
    const char *at = text, *end = text + size - 1;
    const char *key = take(&at, end);
    struct api_request q = { .printed = (data[0] & 1) != 0, .n_params = 1 };

    q.method = take(&at, end);
    q.path = take(&at, end);
    q.param[0].name = take(&at, end);
    q.param[0].value = take(&at, end);
    q.body = (struct bytes){ .p = (const uint8_t *)at, .n = (size_t)(end - at) };
    ask(store, key, &q);
    free(text);
    return 0;
}
