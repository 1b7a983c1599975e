/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/bus_quota.h"
#include "agent/platform_clock.h"
#include "base/clock.h"
#include "orchestrator/checking.h"
#include "sim/try.h"

#define ASKS_PER_TURN 16U
#define SATELLITE "try"
#define STATION "ground"

/* ---- answers: what berthd would say ---------------------------------------------------------- */

typedef enum rc answer_fn(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                          struct err *err);

static enum rc answer_self(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                           struct err *err)
{
    struct bus_self *s = &ret->self;

    (void)ask;
    (void)err;
    (void)snprintf(s->tenant, sizeof s->tenant, "%s", t->plan.tenant);
    (void)snprintf(s->payload, sizeof s->payload, "%s", t->plan.name);
    (void)snprintf(s->satellite, sizeof s->satellite, "%s", SATELLITE);
    (void)snprintf(s->version, sizeof s->version, "%s", t->input.unpacked.manifest->version);
    memcpy(s->manifest, t->input.unpacked.digest.b, sizeof s->manifest);
    s->instance = t->next_instance;
    return RC_OK;
}

/* The machine's clock, the time that was played, and how far the scenario has it jump; never before
 * the beginning, which stands for what signed documents say. */
static uint64_t satellite_ms(const struct try *t, enum platform_clock *ret)
{
    const struct try_bus *b = &t->bus;
    const uint64_t plain = clock_unix_ms() + t->show.played_ms;
    const uint64_t back = b->step_ms < 0 ? (uint64_t)-b->step_ms : 0;
    const uint64_t now =
        back > 0 ? plain - (back < plain ? back : plain) : plain + (uint64_t)b->step_ms;

    *ret = b->stepped_ms != 0 ? PLATFORM_CLOCK_TOLD : PLATFORM_CLOCK_MACHINE;
    if (now >= b->floor_ms)
        return now;
    *ret = PLATFORM_CLOCK_FLOOR;
    return b->floor_ms;
}

static enum rc answer_time(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                           struct err *err)
{
    enum platform_clock clock;

    (void)ask;
    (void)err;
    ret->time.unix_ms = satellite_ms(t, &clock);
    ret->time.clock = clock;
    ret->time.floor_ms = t->bus.floor_ms;
    ret->time.uncertain_ms = INPUT_UNCERTAIN_UNKNOWN;
    if (clock == PLATFORM_CLOCK_TOLD)
        ret->time.told_ms = clock_mono_ms() - t->bus.stepped_ms;
    return RC_OK;
}

static enum rc answer_sky(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                          struct err *err)
{
    (void)ask;
    (void)err;
    if (t->pass)
        (void)snprintf(ret->sky.station, sizeof ret->sky.station, "%s", STATION);
    return RC_OK;
}

/* Monotonic, and with the time that was played. */
static uint64_t played_now(const struct try *t)
{
    return clock_mono_ms() + t->show.played_ms;
}

static enum rc answer_quota(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                            struct err *err)
{
    static const struct bus_used nothing = { .measured = false };

    (void)ask;
    (void)err;
    bus_quota(&t->input.unpacked.manifest->limits, &nothing, &t->bus.store, played_now(t),
              &ret->quota);
    return RC_OK;
}

static void count_told(struct try_bus *b, const char *key)
{
    for (uint32_t i = 0; i < BUS_KEYS_MAX; i++) {
        if (b->key[i][0] != '\0' && strcmp(b->key[i], key) != 0)
            continue;
        (void)snprintf(b->key[i], sizeof b->key[i], "%s", key);
        b->told[i]++;
        return;
    }
}

/* Into batches that come down in a pass, by the agent's rule. */
static void make_batches(struct try *t, bool ending)
{
    static struct telemetry_batch batch; /* large, and there is one thread */
    struct try_bus *b = &t->bus;
    const uint64_t now = played_now(t);

    while (t->plan.limits.outbox_bytes != 0 && b->store.ring.n > 0 &&
           (ending || bus_batch_due(&b->store, now))) {
        bus_batch(&b->store, t->next_instance, &batch);
        bus_batch_done(&b->store, batch.n, now);
        b->batched += batch.n;
    }
}

static enum rc answer_put(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                          struct err *err)
{
    struct try_bus *b = &t->bus;
    enum platform_clock clock;
    const uint64_t now = played_now(t);

    (void)ret;
    if (t->input.unpacked.manifest->sealed)
        return err_set(err, RC_MAIL_SEALED, "telemetry");
    if (!bus_hour_take(&b->store.puts, BUS_PUTS_HOUR, now))
        return err_set(err, RC_BUS_RATE, "%u values in an hour", BUS_PUTS_HOUR);
    enum rc rc = bus_sample_put(&b->store, ask->name, (struct bytes){ ask->body, ask->n }, now,
                                satellite_ms(t, &clock), err);
    if (rc != RC_OK)
        return rc;
    count_told(b, ask->name);
    try_event(t, "telemetry", "%s = %.*s", ask->name, (int)ask->n, (const char *)ask->body);
    return RC_OK;
}

/* Peers are others, and here is nobody else. */
static enum rc answer_send(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                           struct err *err)
{
    const struct manifest *m = t->input.unpacked.manifest;

    (void)ret;
    for (uint32_t i = 0; t->input.grant->may.peers && i < m->n_peers; i++)
        if (strcmp(m->peer[i], ask->name) == 0)
            return err_set(err, RC_NOT_FOUND, "%s does not run", ask->name);
    return err_set(err, RC_BUS_PEER, "%s", ask->name);
}

static struct try_command *command_of(struct try_bus *b, uint64_t id)
{
    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++)
        if (b->command[i].used && id != 0 && b->command[i].id == id)
            return &b->command[i];
    return NULL;
}

/* No peer sends anything here, so nothing is in the other queue. */
static enum rc answer_post(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                           struct err *err)
{
    const struct bus_queue *q =
        ask->op == BUS_COMMAND ? &t->bus.store.commands : &t->bus.store.messages;

    (void)err;
    if (q->n > 0)
        ret->post = q->post[0];
    return RC_OK;
}

static enum rc answer_message_done(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                                   struct err *err)
{
    (void)ret;
    return bus_queue_done(&t->bus.store.messages, ask->id, err);
}

static enum rc answer_command_done(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                                   struct err *err)
{
    struct try_command *c = command_of(&t->bus, ask->id);
    struct bus_result result;
    enum rc rc = bus_result_read((struct bytes){ ask->body, ask->n }, &result, err);

    (void)ret;
    if (rc == RC_OK && t->input.unpacked.manifest->sealed && result.text[0] != '\0')
        rc = err_set(err, RC_MAIL_SEALED, "text of an answer");
    if (rc == RC_OK)
        rc = bus_queue_done(&t->bus.store.commands, ask->id, err);
    if (rc != RC_OK || c == NULL)
        return rc;
    c->answered = true;
    c->id = 0;
    try_event(t, "command", "%s: answered %u %s", c->name, result.code, result.text);
    return RC_OK;
}

static enum rc answer_abuse(struct try *t, const struct bus_ask *ask, struct bus_answer *ret,
                            struct err *err)
{
    (void)ret;
    (void)err;
    try_event(t, "bus", "%s: %llu requests that were refused for their form",
              rc_name(RC_BUS_REQUEST), (unsigned long long)ask->id);
    return RC_OK;
}

static answer_fn *const answers[] = {
    [BUS_SELF] = answer_self,    [BUS_TIME] = answer_time,
    [BUS_SKY] = answer_sky,      [BUS_QUOTA] = answer_quota,
    [BUS_PUT] = answer_put,      [BUS_SEND] = answer_send,
    [BUS_MESSAGE] = answer_post, [BUS_MESSAGE_DONE] = answer_message_done,
    [BUS_COMMAND] = answer_post, [BUS_COMMAND_DONE] = answer_command_done,
    [BUS_ABUSE] = answer_abuse,
};

/* ---- berth-bus ------------------------------------------------------------------------------- */

void try_bus_open(struct try *t)
{
    struct err err;

    t->bus.listen_fd = t->bus.program = -1;
    t->bus.process = (struct bus_process){ .pidfd = -1, .sock = -1 };
    t->bus.floor_ms = clock_unix_ms();
    if (checking_sibling("berth-bus", &t->bus.program, &err) != RC_OK)
        t->bus.program = -1;
}

/* The first commands that are on board and not answered, as many as its queue takes; false when
 * there was none to add. */
static bool fill_queue(struct try_bus *b)
{
    bool added = false;
    struct err err;

    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++) {
        struct try_command *c = &b->command[i];

        if (!c->used || !c->on_board || c->answered || c->id != 0)
            continue;
        if (bus_queue_add(&b->store.commands, c->name, bytes_of(c->text), &err) != RC_OK)
            break;
        c->id = b->store.commands.next_id;
        added = true;
    }
    return added;
}

/* Whoever waits there looks again. */
static void offer(struct try *t)
{
    static const struct bus_answer wake = { .op = BUS_WAKE };
    struct err err;

    if (t->bus.listen_fd >= 0 && fill_queue(&t->bus) && t->bus.process.pid > 0)
        (void)!bus_send(t->bus.process.sock, &wake, sizeof wake, &err);
}

void try_bus_begin(struct try *t, int *listen_fd)
{
    struct try_bus *b = &t->bus;

    if (b->program < 0) {
        close_fd(listen_fd); /* nobody serves it */
        return;
    }
    b->listen_fd = take_fd(listen_fd);
    memset(&b->store, 0, sizeof b->store);
    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++)
        b->command[i].id = 0; /* what was not answered is given again */
    offer(t);
}

void try_bus_end(struct try *t)
{
    make_batches(t, true);
    (void)bus_end(&t->bus.process);
    close_fd(&t->bus.listen_fd);
}

/* False: nothing more is to be taken from it now. */
static bool answer_one(struct try *t)
{
    static struct bus_answer answer; /* large, and there is one thread */
    static struct bus_ask ask;
    struct err err = { 0 };
    struct err why = { 0 };
    enum rc rc = bus_receive(t->bus.process.sock, &ask, sizeof ask, &err);

    if (rc == RC_TIMEOUT || rc == RC_SHORT)
        return false;
    if (rc == RC_OK)
        rc = bus_ask_check(&ask, &err);
    if (rc == RC_OK) {
        memset(&answer, 0, sizeof answer);
        answer.op = ask.op;
        rc = answers[ask.op](t, &ask, &answer, &why);
        answer.rc = (uint32_t)rc;
        if (rc != RC_OK)
            memcpy(answer.what, why.what,
                   sizeof answer.what < sizeof why.what ? sizeof answer.what : sizeof why.what);
        rc = bus_send(t->bus.process.sock, &answer, sizeof answer, &err);
    }
    if (ask.op == BUS_COMMAND_DONE)
        offer(t); /* there is room now */
    return rc == RC_OK;
}

void try_bus_wait(const struct try *t, struct pollfd ret[2])
{
    const struct try_bus *b = &t->bus;
    const bool serves = b->process.pid > 0;

    ret[0] = (struct pollfd){ .fd = serves ? b->process.sock : b->listen_fd, .events = POLLIN };
    ret[1] = (struct pollfd){ .fd = serves ? b->process.pidfd : -1, .events = POLLIN };
}

/* Its berth-bus has ended: the next call starts another, if this one ended as it should. */
static void process_ended(struct try *t)
{
    if (bus_end(&t->bus.process))
        return;
    try_event(t, "bus", "berth-bus failed: connections are refused until the next start");
    close_fd(&t->bus.listen_fd);
}

void try_bus_turn(struct try *t, const struct pollfd p[2])
{
    struct try_bus *b = &t->bus;
    struct err err;

    make_batches(t, false);
    if (b->process.pid > 0) {
        for (uint32_t i = 0; p[0].revents != 0 && i < ASKS_PER_TURN && answer_one(t); i++)
            continue;
        if (p[1].revents != 0)
            process_ended(t);
        return;
    }
    if (p[0].revents == 0 || b->listen_fd < 0)
        return;
    if (bus_start(b->program, b->listen_fd, &b->process, &err) != RC_OK)
        process_ended(t);
}

/* ---- what the ground does -------------------------------------------------------------------- */

void try_bus_pass(struct try *t)
{
    struct try_bus *b = &t->bus;

    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++) {
        if (!b->command[i].used || b->command[i].on_board)
            continue;
        b->command[i].on_board = true;
        try_event(t, "command", "%s: up", b->command[i].name);
    }
    offer(t);
    if (b->batched > 0)
        try_event(t, "telemetry", "%u values: down", b->batched);
    b->batched = 0;
}

enum rc try_bus_command(struct try *t, const char *name, const char *text, struct err *err)
{
    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++) {
        struct try_command *c = &t->bus.command[i];

        if (c->used && !c->answered)
            continue;
        *c = (struct try_command){ .used = true };
        (void)snprintf(c->name, sizeof c->name, "%.*s", (int)NAME_CAP - 1, name);
        (void)snprintf(c->text, sizeof c->text, "%s", text);
        return RC_OK;
    }
    return err_set(err, RC_MAIL_FULL, "%u commands", TRY_COMMANDS_MAX);
}

void try_bus_step_clock(struct try *t, int64_t by_ms)
{
    t->bus.step_ms += by_ms;
    t->bus.stepped_ms = clock_mono_ms();
    try_event(t, "clock", "jumps by %lld s, as the bus tells it", (long long)(by_ms / 1000));
}

bool try_bus_answered(const struct try *t, const char *name)
{
    for (uint32_t i = 0; i < TRY_COMMANDS_MAX; i++)
        if (t->bus.command[i].answered && strcmp(t->bus.command[i].name, name) == 0)
            return true;
    return false;
}

bool try_bus_told(struct try *t, const char *key)
{
    for (uint32_t i = 0; i < BUS_KEYS_MAX; i++) {
        if (strcmp(t->bus.key[i], key) != 0 || t->bus.told[i] == 0)
            continue;
        t->bus.told[i] = 0;
        return true;
    }
    return false;
}
