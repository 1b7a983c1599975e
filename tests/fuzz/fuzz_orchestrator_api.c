/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *take(const char **at, const char *end)
{
    const char *word = *at;

    *at = word < end ? word + strlen(word) + 1 : end;
    if (*at > end) /* the last word has the NUL behind the input */
        *at = end;
    return word < end ? word : "";
}

/* First byte: a role, how many parameters and whether it is to be printed; then method, path, names
 * and values, each with NUL; the rest is the body.  Of a request that is taken every word is
 * printable, the command's own words come first and the variable is no option; what is printed may
 * have any argument behind them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_who who = { .name = "fuzz", .tenant = "acme" };
    struct api_request q = { 0 };
    struct api_call call;
    struct err err;

    if (size == 0 || size > 16384)
        return 0;
    char *text = calloc(1, size + 1);

    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    const char *at = text, *end = text + size - 1;

    who.role = (enum api_role)(data[0] % API_ROLES);
    q.printed = (data[0] & 8) != 0;
    q.method = take(&at, end);
    q.path = take(&at, end);
    q.n_params = (data[0] >> 4) % (API_PARAMS_MAX + 1);
    for (size_t i = 0; i < q.n_params; i++)
        q.param[i] = (struct api_param){ .name = take(&at, end), .value = take(&at, end) };
    q.body = (struct bytes){ .p = (const uint8_t *)at, .n = (size_t)(end - at) };
    if (api_match(&q, &who, &call, &err) == RC_OK) {
        bool options = true;

        if ((call.route->roles & 1U << who.role) == 0 || call.n_words > API_WORDS_MAX ||
            call.limit == 0 || call.limit > API_LIST_MAX)
            abort();
        for (size_t i = 0; i < call.n_words; i++) {
            for (const char *p = call.word[i]; *p; p++)
                if (*p < ' ' || *p > '~')
                    abort();
            if (!options && call.word[i][0] == '-' && !call.printed)
                abort();
            options = options && strcmp(call.word[i], "--") != 0;
        }
    }
    free(text);
    return 0;
}
