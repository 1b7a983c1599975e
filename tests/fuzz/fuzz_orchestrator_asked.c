/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/asked.h"
#include "orchestrator/signed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mission mission = { "berth-test-fleet" };

static enum rc nothing(void *arg, const char *satellite, struct signed_before *ret, struct err *err)
{
    (void)arg;
    (void)satellite;
    (void)err;
    *ret = (struct signed_before){ .generation = 0 };
    return RC_OK;
}

/* Of one form, and back. */
static void check_memory(struct bytes in)
{
    struct signed_before *before = malloc(sizeof *before);
    uint8_t *buf = malloc(SIGNED_FILE_MAX);
    struct bytes out = { 0 };
    struct err err;

    if (before && buf && signed_decode(in, &mission, before, &err) == RC_OK &&
        (signed_encode(before, &mission, buf, SIGNED_FILE_MAX, &out, &err) != RC_OK ||
         !bytes_equal(in, out)))
        abort();
    free(before);
    free(buf);
}

/* What a ground elsewhere answers, and what is remembered of what it got; byte 0 picks the status.
 * What was read is looked at: whatever it is, nothing may be taken that holds a question. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asked asked = { .n = 0 };
    struct look *look = NULL;
    const struct digest server = { { 1 } };
    const struct look_rules rules = {
        .mission = &mission, .server = &server, .now_ms = 1800000000000, .before = nothing
    };
    const struct request *request = NULL;
    char fix[REMOTE_FIX_CAP];
    struct err err;

    check_memory((struct bytes){ data, size });
    if (size == 0 || asked_parse(data[0] & 1U ? 409 : 200, (struct bytes){ data + 1, size - 1 },
                                 &asked, fix, &err) != RC_OK)
        return 0;
    for (const char *p = asked.printed; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
            abort();
    if (look_make(&rules, asked.request, asked.n, &look, &err) == RC_OK) {
        for (size_t i = 0; i < look_requests(look); i++)
            if ((look_take(look, i, &request, &err) == RC_OK) != (look_questions(look) == 0))
                abort();
        look_free(&look);
    }
    asked_done(&asked);
    return 0;
}
