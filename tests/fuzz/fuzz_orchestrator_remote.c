/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/fetch.h"
#include "orchestrator/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tame(const char *text)
{
    for (const char *p = text; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f ||
            ((unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa0))
            abort();
}

/* What berth-http hands over: whatever a server said, nothing reaches a terminal that it obeys. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct remote_answer answer = { 0 };
    char fix[REMOTE_FIX_CAP];
    struct fetched got = { 0 };
    struct err err = { 0 };

    if (fetched_parse((struct bytes){ data, size }, &got, &err) != RC_OK)
        return 0;
    if (remote_answer_parse(got.status, got.body, &answer, fix, &err) == RC_OK) {
        if (answer.exit < 0 || answer.exit > 255)
            abort();
        check_tame(answer.out);
        check_tame(answer.err);
    } else {
        check_tame(fix);
        check_tame(err.what);
    }
    remote_answer_done(&answer);
    return 0;
}
