/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/since.h"

#include <stdlib.h>
#include <time.h>

#include "orchestrator/lines.h"
#include "orchestrator/yaml_units.h"

#define PASSES_MAX 1000U

/* The beginning of the pass that is `n` passes ago, the last one being 1; 0: not so many are known.
 */
static enum rc begin_of_pass(struct store *store, const char *satellite, uint64_t n, uint64_t *ret,
                             struct err *err)
{
    scoped(free_ptr) struct store_heard *rows = NULL;
    size_t count = 0;
    enum rc rc = store_heard(store, satellite, &rows, &count, err);
    uint64_t begin = 0;

    for (size_t i = count; rc == RC_OK && i-- > 0 && n > 0;) {
        const bool first = i == 0 || rows[i].received_ms < rows[i - 1].received_ms ||
                           rows[i].received_ms - rows[i - 1].received_ms > SINCE_PASS_GAP_MS;

        begin = rows[i].received_ms;
        n -= first;
    }
    if (rc == RC_OK)
        *ret = n == 0 ? begin : 0;
    return rc;
}

static bool parse_time(const char *text, uint64_t *ret)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%d" };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);
        const time_t at = end && *end == '\0' ? timegm(&tm) : -1;

        if (at >= 0) {
            *ret = (uint64_t)at * 1000U;
            return true;
        }
    }
    return false;
}

enum rc since_parse(struct store *store, const char *satellite, const char *text, uint64_t now_ms,
                    uint64_t *ret_came_ms, uint64_t *ret_at_ms, struct err *err)
{
    static const char pass[] = "pass-";
    uint64_t ago = 0;

    if (ret_came_ms && strncmp(text, pass, sizeof pass - 1) == 0) {
        const char *digits = text + sizeof pass - 1;
        const size_t n = strspn(digits, "0123456789");
        const uint64_t passes =
            n > 0 && n < 5 && digits[n] == '\0' ? strtoull(digits, NULL, 10) : 0;

        if (passes == 0 || passes > PASSES_MAX)
            return err_set(err, RC_USAGE, "'%.40s' is no pass-1 to pass-%u", text, PASSES_MAX);
        return begin_of_pass(store, satellite, passes, ret_came_ms, err);
    }
    if (yaml_unit_parse(YAML_UNIT_TIME, text, &ago)) {
        *ret_at_ms = now_ms > ago ? now_ms - ago : 0;
        return RC_OK;
    }
    return parse_time(text, ret_at_ms)
               ? RC_OK
               : err_set(err, RC_USAGE, "'%.40s' is none of pass-2, 2h, 2026-11-30T12:00:00Z",
                         text);
}

enum rc since_option(const char *name, const char *text, int64_t now_ms, int sign, int64_t *ret_ms,
                     struct err *err)
{
    uint64_t span = 0;

    if (lines_time(bytes_of(text), '-', 'T', ret_ms))
        return RC_OK;
    if (!yaml_unit_parse(YAML_UNIT_TIME, text, &span) || span > (uint64_t)SINCE_FAR_MS)
        return err_set(err, RC_USAGE, "--%s %.30s: expected 2026-11-30T12:00:00Z, or 6h", name,
                       text);
    *ret_ms = now_ms + sign * (int64_t)span;
    return RC_OK;
}
