/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/command: what a satellite may say of commands, and what stays of it.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/command.h"
#include "orchestrator/mail.h"
#include "orchestrator/telemetry.h"

static char path[48];
static struct home home;
static struct view_satellite sat;
static struct order_line line[2]; /* of its order */
static struct digest sent;        /* a command to acme/cam */
static struct err err;

static struct mail head_of(enum mail_direction direction, const char *payload)
{
    struct mail m = { .direction = direction, .node = 7, .tenant = "acme", .name = "point" };

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    return m;
}

/* An object that was sent up. */
static struct digest send_up(enum mail_direction direction, const char *payload)
{
    struct mail m = head_of(direction, payload);
    uint8_t buf[MAIL_HEAD_MAX];
    char stored[HOME_OBJECT_CAP];
    struct bytes head = { 0 };
    struct digest digest;

    assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
    assert_rc(home_add_bytes(&home, head, &digest, stored, &err), RC_OK);
    return digest;
}

static int setup(void **state)
{
    (void)state;
    memcpy(path, "/tmp/berth-mail-XXXXXX", sizeof "/tmp/berth-mail-XXXXXX");
    assert_non_null(mkdtemp(path));
    memset(&home, 0, sizeof home);
    memset(&sat, 0, sizeof sat);
    home.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(fs_make_dirs(home.dirfd, "objects", 0700, &err), RC_OK);
    (void)snprintf(sat.row.id, sizeof sat.row.id, "aurora-1");
    sat.row.node = 7;
    sat.order.n_lines = 2;
    sat.order.line = line;
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(line[i].tenant, NAME_CAP, "acme");
        (void)snprintf(line[i].name, NAME_CAP, "%s", i == 0 ? "cam" : "dog");
    }
    sent = send_up(MAIL_COMMAND, "cam");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_fd(&home.dirfd);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static enum rc come(struct mail m, struct bytes content)
{
    static uint8_t buf[MAIL_HEAD_MAX + TELEMETRY_BYTES_MAX];
    struct bytes head = { 0 };
    struct mail got;
    scoped(close_fd) int fd = -1;

    m.size = (uint32_t)content.n;
    assert_rc(mail_head_encode(&m, buf, &head, &err), RC_OK);
    assert_true(head.n + content.n <= sizeof buf);
    memcpy(buf + head.n, content.p, content.n);
    assert_rc(fs_sealed("test", (struct bytes){ buf, head.n + content.n }, &fd, &err), RC_OK);
    return mail_keep(&home, &sat, fd, head.n + content.n, &got, &err);
}

static enum rc say(const char *payload, const struct digest *to, enum mail_outcome outcome,
                   uint32_t code, const char *text)
{
    struct mail_answer answer = { .outcome = outcome, .code = code };
    uint8_t buf[MAIL_ANSWER_MAX];
    struct bytes bytes = { 0 };

    memcpy(answer.command, to->b, DIGEST_SIZE);
    (void)snprintf(answer.text, sizeof answer.text, "%s", text);
    assert_rc(mail_answer_encode(&answer, buf, &bytes, &err), RC_OK);
    return come(head_of(MAIL_ANSWER, payload), bytes);
}

static struct mail_answer kept(void)
{
    struct mail_answer answer = { .code = 0 };

    assert_rc(command_answer(&home, "aurora-1", &sent, &answer, &err), RC_OK);
    return answer;
}

static void the_last_word_stays(void **state)
{
    struct mail_answer answer;

    (void)state;
    assert_rc(command_answer(&home, "aurora-1", &sent, &answer, &err), RC_NOT_FOUND);
    assert_rc(say("cam", &sent, MAIL_READ, 0, ""), RC_OK);
    assert_int_equal(kept().outcome, MAIL_READ);
    assert_rc(say("cam", &sent, MAIL_DONE, 7, "gimbal stuck"), RC_OK);
    assert_rc(say("cam", &sent, MAIL_DONE, 7, "gimbal stuck"), RC_OK);
    assert_rc(say("cam", &sent, MAIL_READ, 0, ""), RC_OK); /* out of order */
    assert_rc(say("cam", &sent, MAIL_LATE, 0, ""), RC_OK);
    answer = kept();
    assert_int_equal(answer.outcome, MAIL_DONE);
    assert_int_equal(answer.code, 7);
    assert_string_equal(answer.text, "gimbal stuck");
    assert_rc(command_answer(&home, "aurora-2", &sent, &answer, &err), RC_NOT_FOUND);
}

/* Of what nobody asked, and of what others were asked, a satellite says nothing that is kept. */
static void answers_nobody_asked_for(void **state)
{
    const struct digest mail = send_up(MAIL_UP, "cam");
    const struct digest unknown = { .b = { 1 } };
    struct mail m = head_of(MAIL_ANSWER, "cam");
    struct mail_answer answer;
    uint8_t junk[MAIL_ANSWER_MAX + 1] = { 0 };

    (void)state;
    assert_rc(say("cam", &unknown, MAIL_DONE, 0, ""), RC_MAIL_ADDRESS);
    assert_rc(say("cam", &mail, MAIL_DONE, 0, ""), RC_MAIL_ADDRESS);
    assert_rc(say("dog", &sent, MAIL_DONE, 0, ""), RC_MAIL_ADDRESS);
    assert_rc(say("eel", &sent, MAIL_DONE, 0, ""), RC_MAIL_ADDRESS);
    sat.row.node = 8;
    assert_rc(say("cam", &sent, MAIL_DONE, 0, ""), RC_MAIL_ADDRESS);
    m.node = 8; /* another satellite, in its own name */
    assert_int_not_equal(come(m, (struct bytes){ junk, 1 }), RC_OK);
    sat.row.node = 7;
    m.node = 7;
    assert_int_not_equal(come(m, (struct bytes){ junk, 0 }), RC_OK);
    assert_int_not_equal(come(m, (struct bytes){ junk, 40 }), RC_OK);
    assert_rc(come(m, (struct bytes){ junk, sizeof junk }), RC_MAIL_FORMAT);
    m.direction = MAIL_COMMAND;
    assert_rc(come(m, (struct bytes){ junk, 1 }), RC_MAIL_ADDRESS);
    assert_rc(command_answer(&home, "aurora-1", &sent, &answer, &err), RC_NOT_FOUND);
}

/* ---- telemetry --------------------------------------------------------------------------------
 */

static enum rc report_samples(uint64_t instance, uint64_t first, uint32_t n)
{
    static struct telemetry_batch batch;
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    struct bytes bytes = { 0 };

    memset(&batch, 0, sizeof batch);
    batch.instance = instance;
    batch.first = first;
    batch.n = n;
    for (uint32_t i = 0; i < n; i++) {
        batch.sample[i] = (struct telemetry_sample){ .key = "temp", .n = 1, .value = "2" };
        batch.sample[i].time_ms = first + i;
    }
    assert_rc(telemetry_encode(&batch, buf, &bytes, &err), RC_OK);
    return come(head_of(MAIL_TELEMETRY, "cam"), bytes);
}

struct seen_samples {
    uint64_t instance, last;
    uint32_t batches;
};

static bool on_samples(void *arg, const struct telemetry_batch *batch)
{
    struct seen_samples *seen = arg;

    assert_true(batch->instance > seen->instance ||
                (batch->instance == seen->instance && batch->first > seen->last));
    seen->instance = batch->instance;
    seen->last = batch->first + batch->n - 1;
    seen->batches++;
    return true;
}

/* Whatever the order in which they came, and once. */
static void samples_are_in_order(void **state)
{
    struct seen_samples seen = { .batches = 0 };
    uint8_t junk[] = { 0x84, 1, 1 };

    (void)state;
    assert_rc(telemetry_list(&home, "acme", "aurora-1", "cam", on_samples, &seen, &err),
              RC_NOT_FOUND);
    assert_rc(report_samples(5, 1, 3), RC_OK);
    assert_rc(report_samples(4, 70, 6), RC_OK);
    assert_rc(report_samples(4, 1, 3), RC_OK);
    assert_rc(report_samples(4, 1, 3), RC_OK);
    assert_int_not_equal(come(head_of(MAIL_TELEMETRY, "cam"), (struct bytes){ junk, 3 }), RC_OK);
    assert_int_not_equal(come(head_of(MAIL_TELEMETRY, "eel"), (struct bytes){ junk, 3 }), RC_OK);
    assert_rc(telemetry_list(&home, "acme", "aurora-1", "cam", on_samples, &seen, &err), RC_OK);
    assert_int_equal(seen.batches, 3);
    assert_int_equal(seen.instance, 5);
    assert_rc(telemetry_list(&home, "acme", "aurora-1", "dog", on_samples, &seen, &err),
              RC_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_word_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_nobody_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_are_in_order, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
