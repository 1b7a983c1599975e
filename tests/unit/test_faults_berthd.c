/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berthd, whole, with one of its calls that change files going wrong: killed before it, or
 * failed with an errno.  One story each time: version 1 comes and commits, version 2 comes and
 * commits, version 3 is no good and is rolled back.  Wherever the fault strikes, the story ends the
 * same, after one more start of berthd at the most.  Only berthd itself is followed; berth-link,
 * berth-unpack, berth-launch and the payload have tests of their own.  Needs root, like
 * test_agent_berthd.
 */
#include "tests/unit/test.h"

#include <sys/mman.h>

#include "tests/unit/agent_sky.h"
#include "tests/unit/fault_rig.h"

#define INJECTIONS 10U /* about so many, unless BERTH_FAULTS=all asks for every call */
#define CALLS_MIN 200U /* fewer cannot be: three installs and what is decided on them */
#define EVENTS_SEEN_MAX 256U

enum { FIRST, SECOND, BAD, VERSIONS };

/* clang-format off */
static const struct version versions[VERSIONS] = {
    [FIRST]  = { .version = "1.0", .how = "good", .release = 1, .signer = K_ACME },
    [SECOND] = { .version = "2.0", .how = "good", .release = 2, .signer = K_ACME },
    [BAD]    = { .version = "3.0", .how = "exit", .release = 3, .signer = K_ACME },
};
/* clang-format on */

/* One run of the story, and what its reports have said so far. */
struct story {
    struct fault_trace *trace; /* shared with the process that follows berthd */
    char dir[128];             /* the state directory */
    bool told;                 /* to its end */
    uint32_t restarts;
    struct digest digest[VERSIONS];
    bool over[VERSIONS]; /* a report said what ends this version for good */
    uint64_t epoch, seq; /* of the newest report */
    uint32_t n_events;
    struct report_event event[EVENTS_SEEN_MAX];
};

static struct story *story;

/* ---- what every report must agree with ----------------------------------------------------------
 */

/* A number that was told once stands for one event for ever. */
static void watch_event(const struct report_event *e)
{
    uint32_t i = 0;

    while (i < story->n_events && story->event[i].seq != e->seq)
        i++;
    if (i < story->n_events) {
        assert_int_equal(story->event[i].code, e->code);
        assert_string_equal(story->event[i].what, e->what);
        return;
    }
    assert_true(i == 0 || e->seq > story->event[i - 1].seq);
    assert_true(i < EVENTS_SEEN_MAX);
    story->event[story->n_events++] = *e;
}

static void watch_payload(const struct report_payload *p)
{
    uint32_t i = 0;

    if (!p->is_running)
        return;
    while (i < VERSIONS && !digest_same(&p->running, &story->digest[i]))
        i++;
    assert_true(i < VERSIONS);
    assert_false(story->over[i]);
    for (uint32_t k = 0; k < i && p->state == SLOT_COMMITTED; k++)
        story->over[k] = true;
    if (p->state == SLOT_ROLLED_BACK)
        story->over[BAD] = true;
}

static void watch(const struct report *r)
{
    assert_true(r->epoch > story->epoch || (r->epoch == story->epoch && r->seq > story->seq));
    story->epoch = r->epoch;
    story->seq = r->seq;
    assert_int_equal(r->lost, 0);
    assert_true(r->n_payloads <= 1); /* and it has room for one version that runs */
    if (r->n_payloads > 0)
        watch_payload(&r->payload[0]);
    for (uint32_t i = 0; i < r->n_events; i++)
        watch_event(&r->event[i]);
}

/* ---- berthd under a fault -----------------------------------------------------------------------
 */

static int run_berthd(void *arg)
{
    return become_berthd(*(const pid_t *)arg);
}

/* Start berthd in the hands of a process that does nothing but follow it, and ends when it does: a
 * test that waits for reports would be too slow at that. */
static void start_followed(const struct fault *fault, struct fault_call *list)
{
    struct fault_trace *t = story->trace;
    pid_t test = getpid();

    (void)snprintf(story->dir, sizeof story->dir, "%s/state", sky->dir.path);
    memset(t, 0, sizeof *t);
    t->fault = *fault;
    t->fault.under = story->dir; /* its log may go to a file */
    t->seen.list = list;
    t->armed = t->listing = true;
    sky->reports = 0;
    sky->berthd = fork();
    assert_true(sky->berthd >= 0);
    if (sky->berthd > 0)
        return;

    int go = -1;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    fault_seize(t, fault_fork(run_berthd, &test, &go, NULL), false);
    if (write(go, "x", 1) != 1)
        abort();
    while (!t->ended && fault_pump(t, 0))
        continue;
    _exit(0);
}

/* After a kill, or when berthd has ended of its own accord: it is started again, once. */
static void start_again_if_ended(void)
{
    if (waitpid(sky->berthd, NULL, WNOHANG) == 0)
        return;
    sky->berthd = 0;
    assert_int_equal(story->restarts++, 0);
    start_berthd();
}

/* Exchange until a report says so, whatever becomes of berthd. */
static void follow(const char *what, bool (*said)(const struct report *r, const void *arg),
                   const void *arg)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (sky->reports == 0 || !said(&sky->report, arg)) {
        if (clock_mono_ms() > until) {
            explain(what);
            fail_msg("no report said: %s", what);
        }
        exchange();
        start_again_if_ended();
    }
}

static void follow_to(enum slot_state state, const struct digest *running)
{
    const struct standing want = { state, running };

    follow(slot_state_name(state), stands, &want);
}

/* Nothing goes wrong any more, and berthd ends cleanly if it is there to end. */
static void end_followed(void)
{
    struct fault_trace *t = story->trace;

    t->fault.kind = FAULT_NONE;
    if (waitpid(sky->berthd, NULL, WNOHANG) == 0) {
        assert_int_equal(kill(t->main, SIGTERM), 0);
        assert_int_equal(waitpid(sky->berthd, NULL, 0), sky->berthd);
    }
    sky->berthd = 0;
    if (!t->seen.killed)
        assert_int_equal(t->seen.exit_code, 0);
}

/* ---- what must be true behind it ----------------------------------------------------------------
 */

static bool count_fan(void *arg, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "objects/sha256/%s", name);
    *(size_t *)arg += entries_in(sky->state, path);
    return true;
}

/* Nothing half done, and no package whose slot is gone. */
static void check_disk(void)
{
    size_t objects = 0;
    size_t slots = entries_in(sky->state, "slots/acme/cam-north");
    struct err err = { 0 };

    assert_int_equal(entries_in(sky->state, "staging"), 0);
    assert_true(slots >= 1 && slots <= VERSIONS);
    must(fs_list(sky->state, "objects/sha256", 256, count_fan, &objects, NULL, &err), &err);
    if (objects > slots)
        fail_msg("%zu packages for %zu slots", objects, slots);
}

/* What an agent that is started now would know. */
static noinline void check_state(struct state *ret)
{
    const struct unit_record *u = &ret->unit[0];
    struct err err = { 0 };

    must(state_load(sky->state, ret, NULL, &err), &err);
    assert_int_equal(ret->n_units, 1);
    assert_int_equal(u->state, SLOT_ROLLED_BACK);
    assert_true(digest_same(&u->good, &story->digest[SECOND]));
    assert_int_equal(u->n_failed, 1);
    assert_true(digest_same(&u->failed[0].manifest, &story->digest[BAD]));
    assert_int_equal(ret->generation, VERSIONS);
    assert_true(ret->epoch >= story->epoch);
    if (story->n_events > 0)
        assert_true(ret->event_seq >= story->event[story->n_events - 1].seq);
}

static bool stands_anew(const struct report *r, const void *arg)
{
    const struct state *before = arg;
    const struct standing want = { SLOT_ROLLED_BACK, &story->digest[SECOND] };

    return r->epoch > before->epoch && stands(r, &want);
}

/* A start without any fault finds all of it, and does not try again what failed. */
static void check_another_start(void)
{
    static struct state before, after;

    check_disk();
    check_state(&before);
    start_berthd();
    story->restarts = 1; /* no more of them */
    follow("the same after another start", stands_anew, &before);
    end_berthd(SIGTERM, 0);
    check_disk();
    check_state(&after);
    assert_true(after.epoch > before.epoch);
    assert_int_equal(after.unit[0].trials, before.unit[0].trials);
}

/* ---- the story ----------------------------------------------------------------------------------
 */

static int story_open(void **state)
{
    struct fault_trace *trace = NULL;

    story = calloc(1, sizeof *story);
    assert_non_null(story);
    trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(trace != MAP_FAILED);
    story->trace = trace;
    if (sky_open(state) != 0)
        return -1;
    sky->each = watch;
    return 0;
}

static const char *fault_text(const struct fault *fault)
{
    if (fault->n == 0)
        return "no fault";
    if (fault->sys == 0)
        return "killed";
    return fault->sys == EIO ? "EIO" : "ENOSPC";
}

static int story_close(void **state)
{
    const struct fault_seen *seen = &story->trace->seen;

    if (!story->told)
        print_error("%s at call %zu: %s %s %s\n", fault_text(&story->trace->fault),
                    story->trace->fault.n, fault_call_name(seen->at.nr), seen->at.path,
                    seen->at.to);
    (void)munmap(story->trace, sizeof *story->trace);
    free(story);
    story = NULL;
    return sky_close(state);
}

/* Tell the story under this fault; what was seen until its end, without the clean end.  list may
 * be NULL; else it is shared, for FAULT_CALLS_MAX. */
static struct fault_seen tell(const struct fault *fault, struct fault_call *list)
{
    struct fault_seen seen;

    start_followed(fault, list);
    for (uint32_t i = 0; i < VERSIONS; i++) {
        story->digest[i] = send_version(&versions[i]);
        send_order(i + 1, &story->digest[i]);
        follow_to(i == BAD ? SLOT_ROLLED_BACK : SLOT_COMMITTED,
                  &story->digest[i == BAD ? SECOND : i]);
    }
    seen = story->trace->seen;
    if (fault->kind == FAULT_NONE)
        assert_int_equal(story->restarts, 0);
    if (story->restarts == 0)
        end_followed();
    else
        end_berthd(SIGTERM, 0);
    check_another_start();
    story->told = true;
    return seen;
}

/* At call n of those listed, by turns failing, killed, full, killed.  A full disk fails no removal:
 * the call before it that takes room or syncs is taken instead. */
static struct fault fault_of(size_t turn, size_t n, const struct fault_call *list)
{
    struct fault fault = { .kind = turn % 2 == 1 ? FAULT_KILL_BEFORE : FAULT_FAIL, .n = n };

    if (turn % 4 == 0)
        fault.sys = EIO;
    if (turn % 4 != 2)
        return fault;
    fault.sys = ENOSPC;
    fault.calls = CALLS_ALLOCATE | CALLS_SYNC;
    fault.n = 0;
    for (size_t i = 0; i < n; i++)
        fault.n += (list[i].set & fault.calls) != 0;
    return fault;
}

/* What berthd does when nothing goes wrong. */
static size_t list_calls(struct fault_call *list)
{
    const struct fault none = { .kind = FAULT_NONE };
    const struct fault_seen seen = tell(&none, list);

    if (seen.calls < CALLS_MIN || seen.calls > FAULT_CALLS_MAX)
        fail_msg("%zu calls, between %u and %u were to be seen", seen.calls, CALLS_MIN,
                 FAULT_CALLS_MAX);
    return seen.calls;
}

static void the_story_ends_the_same(void **state)
{
    const size_t size = FAULT_CALLS_MAX * sizeof(struct fault_call);
    const char *all = getenv("BERTH_FAULTS");
    struct fault_call *list =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(list != MAP_FAILED);

    const size_t calls = list_calls(list);
    const size_t stride = all && strcmp(all, "all") == 0 ? 1 : calls / INJECTIONS;
    size_t fired = 0, turns = 0;

    for (size_t n = stride / 2 + 1; n <= calls; n += stride, turns++) {
        const struct fault fault = fault_of(turns, n, list);

        assert_int_equal(story_close(state), 0);
        assert_int_equal(story_open(state), 0);
        struct fault_seen seen = tell(&fault, NULL);
        print_message("  %-6s at call %4zu: %s %s\n", fault_text(&fault), n,
                      seen.fired > 0 ? fault_call_name(seen.at.nr) : "there was none",
                      seen.at.path);
        fired += seen.fired;
    }
    (void)munmap(list, size);
    print_message("  berthd through three versions: %zu calls, %zu injections\n", calls, fired);
    assert_true(fired >= turns - turns / 4); /* how many calls there are varies with the time */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_story_ends_the_same, story_open, story_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
