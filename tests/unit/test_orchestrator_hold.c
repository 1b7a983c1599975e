/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "link/port.h"
#include "orchestrator/hold.h"

#define QUEUE_MAX 6U

/* A queue in words: each letter an object of sat-1 in the order of queueing, R root, V revocation,
 * G grant, D delegation, O order, T token, K rekey, P package; lower case: the same raw; a digit 2
 * behind it: of sat-2.  What is sent at once is what of them does not wait. */
static const struct {
    char letter;
    unsigned kind;
    enum outgoing_class class;
} letters[] = {
    { 'R', OBJECT_ROOT, CLASS_TRUST },     { 'V', OBJECT_REVOCATION, CLASS_TRUST },
    { 'G', OBJECT_GRANT, CLASS_TRUST },    { 'D', OBJECT_DELEGATION, CLASS_TRUST },
    { 'O', OBJECT_ORDER, CLASS_ORDER },    { 'T', OBJECT_TOKEN, CLASS_ORDER },
    { 'K', OBJECT_REKEY, CLASS_TRUST },    { 'P', OBJECT_PACKAGE, CLASS_PACKAGE },
    { 'v', OBJECT_REVOCATION, CLASS_RAW }, { 'r', OBJECT_ROOT, CLASS_RAW },
    { 'o', OBJECT_ORDER, CLASS_RAW },
};

static size_t queue_of(const char *text, struct store_outgoing rows[QUEUE_MAX])
{
    size_t n = 0;

    for (; *text; text++) {
        if (*text == '2') {
            memcpy(rows[n - 1].satellite, "sat-2", 6);
            continue;
        }
        assert_true(n < QUEUE_MAX);
        rows[n] = (struct store_outgoing){ .id = n + 1, .satellite = "sat-1" };
        for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
            if (letters[i].letter != *text)
                continue;
            rows[n].kind = letters[i].kind;
            rows[n].class = letters[i].class;
        }
        assert_true(rows[n].kind != 0);
        n++;
    }
    return n;
}

struct stand {
    struct sight seen[2];
    struct view_satellite sats[2];
    struct view view;
};

/* sat-1 has that root, sat-2 the newest, which is 3. */
static void stand_make(struct stand *s, uint64_t root, uint64_t operator_since_ms)
{
    *s = (struct stand){ .view = { .n = 2,
                                   .satellite = s->sats,
                                   .root_version = 3,
                                   .operator_since_ms = operator_since_ms } };
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(s->sats[i].row.id, sizeof s->sats[i].row.id, "sat-%zu", i + 1);
        s->sats[i].seen = &s->seen[i];
    }
    s->seen[0].root_version = root;
    s->seen[1].root_version = 3;
}

static void what_waits_for_what(void **state)
{
    static const struct {
        const char *why, *queue, *sent;
        uint64_t root, operator_since_ms;
    } rows[] = {
        { "one revocation", "V", "x", 3, 0 },
        { "a second one waits for the first", "VV", "x.", 3, 0 },
        { "and a third", "VVV", "x..", 3, 0 },
        { "another satellite's does not count", "VV2", "xx", 3, 0 },
        { "roots follow each other", "RRR", "xxx", 1, 0 },
        { "a revocation waits for the root that signs it", "RV", "x.", 1, 0 },
        { "a root waits for a revocation under the one before", "VR", "x.", 1, 0 },
        { "root, revocation, root", "RVR", "x..", 1, 0 },
        { "a raw one waits for nothing", "Vvr", "xxx", 1, 0 },
        { "and nothing waits for a raw one", "vrV", "xxx", 1, 0 },
        { "an order waits for the grants", "GO", "x.", 3, 0 },
        { "whichever they are", "OG", "xx", 3, 0 },
        { "and for delegations", "DO", "x.", 3, 0 },
        { "a token, too", "GT", "x.", 3, 0 },
        { "packages go at once", "GDP", "xxx", 3, 0 },
        { "a raw order goes at once", "Go", "xx", 3, 0 },
        { "a grant does not wait for a revocation", "VG", "xx", 3, 0 },
        { "a root without new operator keys holds nothing else", "RGK", "xxx", 1, 0 },
        { "what the operator signed waits for its keys", "GOTK", "....", 2, 1 },
        { "and goes when the root is there", "GK", "xx", 3, 1 },
        { "packages and delegations do not", "RDP", "xxx", 2, 1 },
        { "nor another satellite, that has the root", "G2K2", "xx", 1, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct store_outgoing queue[QUEUE_MAX];
        size_t n = queue_of(rows[i].queue, queue);
        char sent[QUEUE_MAX + 1] = "";
        struct stand s;

        stand_make(&s, rows[i].root, rows[i].operator_since_ms);
        for (size_t k = 0; k < n; k++)
            sent[k] = hold_back(&s.view, queue, n, k) ? '.' : 'x';
        if (strcmp(sent, rows[i].sent) != 0)
            fail_msg("%s: %s gives %s, want %s", rows[i].why, rows[i].queue, sent, rows[i].sent);
    }
}

/* A satellite that never reported has the root of the time when it was provisioned. */
static void silence_is_judged_by_when_it_was_made(void **state)
{
    struct store_outgoing queue[QUEUE_MAX];
    struct stand s;

    (void)state;
    assert_int_equal(queue_of("G", queue), 1);
    stand_make(&s, 1, 1);
    s.sats[0].seen = NULL;
    s.view.root_issued_ms = 100;
    s.sats[0].row.added_ms = 99;
    assert_true(hold_back(&s.view, queue, 1, 0));
    s.sats[0].row.added_ms = 100;
    assert_false(hold_back(&s.view, queue, 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_for_what),
        cmocka_unit_test(silence_is_judged_by_when_it_was_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
