/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cost.h"

#include <stdio.h>

#define RATE_MAX 1000000000000U
#define PASS_MAX 86400U
#define BYTES_MAX (1ULL << 50) /* more is shown as this much */
#define BITS_PER_TENTH 80U     /* bits of a byte, tenths of a pass */

enum rc cost_options(const struct cli *cli, struct cost *ret, struct err *err)
{
    struct cost cost;
    enum rc rc = cli_number(cli, "rate", COST_RATE, 1, RATE_MAX, &cost.rate, err);

    if (rc == RC_OK)
        rc = cli_number(cli, "pass", COST_PASS, 1, PASS_MAX, &cost.pass_s, err);
    if (rc == RC_OK)
        *ret = cost;
    return rc;
}

uint64_t cost_tenths(const struct cost *cost, uint64_t bytes)
{
    uint64_t bits = (bytes < BYTES_MAX ? bytes : BYTES_MAX) * BITS_PER_TENTH;
    uint64_t pass = cost->rate * cost->pass_s;

    static_assert(BYTES_MAX <= UINT64_MAX / BITS_PER_TENTH, "no overflow");
    return bits / pass + (bits % pass != 0);
}

char *cost_text(const struct cost *cost, uint64_t bytes, char out[COST_TEXT_CAP])
{
    uint64_t tenths = cost_tenths(cost, bytes);

    (void)snprintf(out, COST_TEXT_CAP, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                   (unsigned long long)(tenths % 10), tenths == 10 ? "pass" : "passes");
    return out;
}

char *cost_bytes(uint64_t bytes, char out[COST_TEXT_CAP])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)bytes);
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

json_t *cost_passes_json(const struct cost *cost, uint64_t bytes)
{
    return json_real((double)cost_tenths(cost, bytes) / 10.0);
}
