/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/fetch.h"
#include "orchestrator/remote.h"
#include "orchestrator/remote_follow.h"
#include "orchestrator/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tame(const char *text)
{
    for (const char *p = text; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f ||
            ((unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa0))
            abort();
}

static enum rc take(void *arg, const struct sse_message *m, struct err *err)
{
    struct store_event *events = NULL;
    size_t n = 0;

    (void)arg;
    if (remote_follow_parse(m->data, &events, &n, err) != RC_OK && events)
        abort();
    for (size_t i = 0; i < n; i++) {
        check_tame(events[i].satellite);
        check_tame(events[i].what);
    }
    free(events);
    return RC_OK;
}

/* A stream, whole and cut after each byte, says the same. */
static void check_stream(struct bytes in)
{
    struct sse whole = { 0 }, cut = { 0 };
    struct err err = { 0 };
    enum rc rc = sse_feed(&whole, in, take, NULL, &err), again = RC_OK;

    for (size_t i = 0; again == RC_OK && i < in.n; i++)
        again = sse_feed(&cut, (struct bytes){ in.p + i, 1 }, take, NULL, &err);
    if (rc != again || whole.n != cut.n || !whole.kept != !cut.kept)
        abort();
    sse_done(&whole);
    sse_done(&cut);
}

/* What berth-http hands over: whatever a server said, nothing reaches a terminal that it obeys. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct remote_answer answer = { 0 };
    char fix[REMOTE_FIX_CAP];
    struct fetched got = { 0 };
    struct err err = { 0 };

    check_stream((struct bytes){ data, size });
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
