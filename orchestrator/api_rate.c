/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_rate: how much at once.
 */
#include "orchestrator/api.h"

bool api_rate_take(struct api_rate *rate, uint64_t key, uint64_t now_ms)
{
    size_t at = 0;

    for (size_t i = 0; i < API_RATE_KEYS; i++) {
        if (rate->bucket[i].key == key) {
            at = i;
            break;
        }
        if (rate->bucket[i].at_ms < rate->bucket[at].at_ms)
            at = i;
    }
    const uint64_t most = (uint64_t)rate->burst * 1000U;

    if (rate->bucket[at].key != key) {
        rate->bucket[at].key = key;
        rate->bucket[at].milli = most;
        rate->bucket[at].at_ms = now_ms;
    }
    uint64_t passed = now_ms > rate->bucket[at].at_ms ? now_ms - rate->bucket[at].at_ms : 0;
    uint64_t more = passed > most ? most : passed * rate->per_s;

    rate->bucket[at].at_ms = now_ms;
    rate->bucket[at].milli =
        rate->bucket[at].milli + more < most ? rate->bucket[at].milli + more : most;
    if (rate->bucket[at].milli < 1000)
        return false;
    rate->bucket[at].milli -= 1000;
    return true;
}
