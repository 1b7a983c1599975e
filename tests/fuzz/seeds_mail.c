/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the corpora of fuzz_link_mail, fuzz_link_logs, fuzz_link_status and
 * fuzz_agent_post with the project's own encoders.  Run by hand when a format changes; the seeds
 * are committed:
 *
 *     make programs
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. tests/fuzz/seeds_mail.c build/release/lib{link,base}.a \
 *         -Lbuild/deps/lib -lcrypto -lsodium -lzstd -Wl,--gc-sections -o build/seeds
 *     build/seeds
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/post.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/logs.h"
#include "link/seal.h"
#include "link/status.h"
#include "link/telemetry.h"

#define MESSAGE_CAP 4096U

static void put(const char *target, const char *name, struct bytes content)
{
    scoped(close_fd) int all = -1, fd = -1;
    struct err err;

    if (fs_open_dir(AT_FDCWD, "tests/fuzz/corpus", 0755, &all, &err) != RC_OK ||
        fs_open_dir(all, target, 0755, &fd, &err) != RC_OK ||
        fs_write_file(fd, name, content, 0644, &err) != RC_OK)
        abort();
}

/* ---- heads of messages ------------------------------------------------------------------------
 */

static void mail(const char *name, struct mail m, struct bytes content)
{
    uint8_t buf[MESSAGE_CAP];
    struct bytes head = { 0 };
    struct err err;

    m.size = (uint32_t)content.n;
    if (mail_head_encode(&m, buf, &head, &err) != RC_OK || head.n + content.n > sizeof buf)
        abort();
    memcpy(buf + head.n, content.p, content.n);
    put("fuzz_link_mail", name, (struct bytes){ buf, head.n + content.n });
}

/* A bundle as a payload would seal it, under keys of its own. */
static struct bytes sealed(const struct mail *m, uint8_t *buf, size_t cap)
{
    const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };
    struct link_message msg = { .sequence = 1,
                                .key = 1,
                                .counter = 1,
                                .lifetime_ms = 60000,
                                .payload = bytes_of("only for our own ground") };
    size_t n = 0;
    struct err err;

    if (mail_eid(m->node, m->tenant, m->payload, &msg.src, &err) != RC_OK ||
        mail_eid(1, m->tenant, "", &msg.dst, &err) != RC_OK ||
        link_seal(&msg, &keys, buf, cap, &n, &err) != RC_OK)
        abort();
    return (struct bytes){ buf, n };
}

static void telemetry(struct mail head)
{
    static const struct telemetry_batch batch = {
        .instance = 1,
        .first = 65,
        .n = 2,
        .sample = { { .time_ms = 1, .key = "temp", .n = 4, .value = "21.5" },
                    { .time_ms = 2, .key = "mode", .n = 1, .value = "3" } }
    };
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    struct bytes bytes = { 0 };
    struct err err;

    head.direction = MAIL_TELEMETRY;
    if (telemetry_encode(&batch, buf, &bytes, &err) != RC_OK)
        abort();
    mail("telemetry", head, bytes);
}

/* Chunks of a log, packed and not, and what the ground asks for. */
static void logs(void)
{
    static struct logs_writer w;
    static uint8_t buf[LOGS_BYTES_MAX];
    const struct logs_request request = {
        .instance = 7, .number = 3, .bytes = 65536, .newest = true
    };
    struct logs_record r = { .number = 41,
                             .offset = 900,
                             .time_ms = UINT64_C(1764500000000),
                             .stream = LOGS_NOTE,
                             .text = bytes_of("started 1.0") };
    const struct logs_record gap = {
        .stream = LOGS_GAP, .why = LOGS_RATE, .lines = 12, .bytes = 1204
    };
    struct bytes out = { 0 };
    struct err err;

    for (unsigned lines = 2; lines <= 40; lines += 38) {
        logs_begin(&w, 7, LOGS_PLAIN_MAX);
        if (!logs_add(&w, &r) || !logs_add(&w, &gap))
            abort();
        for (unsigned i = 0; i < lines; i++) {
            r.stream = i % 2 == 0 ? LOGS_OUT : LOGS_ERR;
            r.more = i == 0;
            r.text = bytes_of("temperature of the sensor 21.5");
            if (!logs_add(&w, &r))
                abort();
        }
        if (logs_end(&w, buf, &out, &err) != RC_OK)
            abort();
        put("fuzz_link_logs", lines == 2 ? "few" : "packed", out);
    }
    if (logs_request_encode(&request, buf, &out, &err) != RC_OK)
        abort();
    put("fuzz_link_logs", "request", out);
}

static void mails(void)
{
    const struct mail down = { .direction = MAIL_DOWN,
                               .node = 2,
                               .tenant = "acme",
                               .payload = "cam",
                               .number = 7,
                               .time_ms = UINT64_C(1764500000000),
                               .expires_ms = UINT64_C(1767000000000),
                               .name = "frame-0001.jpg" };
    struct mail up = down, longest = down;
    uint8_t buf[MESSAGE_CAP];

    struct mail command = down, answered = down;
    const struct mail_answer answer = {
        .command = { 1 }, .outcome = MAIL_DONE, .code = 7, .text = "gimbal stuck"
    };
    uint8_t answer_buf[MAIL_ANSWER_MAX];
    struct bytes answer_bytes = { 0 };
    struct err err;

    command.direction = MAIL_COMMAND;
    answered.direction = MAIL_ANSWER;
    (void)snprintf(command.name, sizeof command.name, "point");
    (void)snprintf(answered.name, sizeof answered.name, "point");
    if (mail_answer_encode(&answer, answer_buf, &answer_bytes, &err) != RC_OK)
        abort();
    mail("command", command, bytes_of("0 0 1"));
    mail("answer", answered, answer_bytes);
    telemetry(answered);
    up.direction = MAIL_UP;
    up.expires_ms = 0;
    memset(longest.tenant, 'a', NAME_MAX_LEN);
    memset(longest.payload, 'b', NAME_MAX_LEN);
    memset(longest.name, 'c', MAIL_NAME_MAX);
    longest.node = UINT32_MAX;
    longest.number = longest.time_ms = longest.expires_ms = UINT64_MAX;
    mail("down", down, bytes_of("a picture"));
    mail("up", up, bytes_of("take a picture"));
    mail("empty", down, (struct bytes){ 0 });
    mail("longest", longest, bytes_of("x"));
    mail("sealed", down, sealed(&down, buf, sizeof buf));
    mail("sealed-elsewhere", up, sealed(&longest, buf, sizeof buf));
}

/* ---- statuses ---------------------------------------------------------------------------------
 */

static void status(const char *name, const struct port_transfers *t)
{
    static uint8_t buf[STATUS_MAX];
    struct bytes out = { 0 };
    struct err err;

    if (status_encode(t, buf, sizeof buf, &out, &err) != RC_OK)
        abort();
    put("fuzz_link_status", name, out);
}

/* They name the object that the target has queued. */
static void statuses(void)
{
    static const uint8_t object[4096] = { 7 };
    static struct port_transfers t;
    uint8_t digest[DIGEST_SIZE];
    struct err err;

    if (sha256_of((struct bytes){ object, sizeof object }, digest, &err) != RC_OK)
        abort();
    status("nothing", &t);
    t.n_transfers = 1;
    t.transfer[0] = (struct transfer_status){ .chunks = 4, .n_missing = 2 };
    memcpy(t.transfer[0].object, digest, sizeof digest);
    t.transfer[0].missing[0] = (struct transfer_range){ 0, 1 };
    t.transfer[0].missing[1] = (struct transfer_range){ 2, 2 };
    status("ranges", &t);
    t.transfer[0].chunks = CHUNKS_MAX; /* of more chunks than it has */
    t.transfer[0].more = 1;
    status("other-cut", &t);
    t.transfer[0] = (struct transfer_status){ 0 };
    memcpy(t.transfer[0].object, digest, sizeof digest);
    status("no-descriptor", &t);
    t.n_transfers = 0;
    t.n_complete = 2;
    memcpy(t.complete[1], digest, sizeof digest);
    status("complete", &t);
}

/* ---- between berthd and berth-post ------------------------------------------------------------
 */

static void post(const char *name, uint8_t n_fds, const struct post_message *m)
{
    uint8_t buf[1 + sizeof *m];

    buf[0] = (uint8_t)(n_fds << 6 | (m->type <= POST_PING ? 1 : 0));
    memcpy(buf + 1, m, sizeof *m);
    put("fuzz_agent_post", name, (struct bytes){ buf, sizeof buf });
}

static void posts(void)
{
    const struct post_mark mark = { .ino = 12, .ctime_s = 1764500000, .ctime_ns = 5 };

    post("open", 2, &(struct post_message){ .type = POST_OPEN, .instance = 1 });
    post(
        "taken", 0,
        &(struct post_message){ .type = POST_TAKEN, .instance = 1, .mark = mark, .name = "a.bin" });
    post("later", 0, &(struct post_message){ .type = POST_LATER, .instance = 1, .wait_ms = 10000 });
    post("put", 1,
         &(struct post_message){
             .type = POST_PUT, .instance = 1, .offset = 80, .size = 5, .name = "word" });
    post("put-receipt", 1,
         &(struct post_message){ .type = POST_PUT,
                                 .instance = 1,
                                 .size = 10,
                                 .replace = 1,
                                 .name = "a.bin" MAIL_RECEIPT });
    post("ping", 0, &(struct post_message){ .type = POST_PING, .instance = 3 });
    post("pong", 0, &(struct post_message){ .type = POST_PONG, .instance = 3 });
    post("found", 1,
         &(struct post_message){
             .type = POST_FOUND, .instance = 1, .size = 9, .mark = mark, .name = "a.bin" });
    post("removed", 0,
         &(struct post_message){ .type = POST_REMOVED,
                                 .rc = RC_MAIL_DAMAGED,
                                 .instance = 1,
                                 .mark = mark,
                                 .name = "a.bin" });
    post("delivered", 0,
         &(struct post_message){
             .type = POST_DELIVERED, .rc = RC_EXISTS, .instance = 1, .name = "word" });
    post("junk", 0,
         &(struct post_message){
             .type = POST_JUNK, .rc = RC_MAIL_JUNK, .instance = 1, .count = 3, .name = "??pipe" });
    post("closed", 0, &(struct post_message){ .type = POST_CLOSED, .instance = UINT64_MAX });
}

int main(void)
{
    mails();
    logs();
    statuses();
    posts();
    return 0;
}
