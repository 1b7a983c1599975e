/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "agent/agent.h"
#include "agent/bus_quota.h"
#include "agent/platform.h"
#include "base/clock.h"
#include "base/log.h"

#define ASKS_PER_TURN 16U
#define BUS_BATCH_AGAIN_MS 60000U

/* ---- who is there --------------------------------------------------------------------------- */

struct bus_facts bus_facts(const struct manifest *m, const struct grant *grant,
                           const struct digest *manifest)
{
    struct bus_facts facts = { .manifest = *manifest, .limits = m->limits, .sealed = m->sealed };

    for (uint32_t i = 0; grant && grant->may.peers && i < m->n_peers; i++) {
        memcpy(facts.peers.name[i], m->peer[i], sizeof m->peer[i]);
        facts.peers.n++;
    }
    return facts;
}

static struct proc *find_name(struct agent *a, const char *tenant, const char *name)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct proc *p = &a->proc[i];

        if (p->instance != 0 && p->bus.listen_fd >= 0 && strcmp(p->tenant, tenant) == 0 &&
            strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static struct bus_store *store_of(struct bus *bus)
{
    if (!bus->store)
        bus->store = calloc(1, sizeof *bus->store);
    return bus->store;
}

/* Whoever waits there looks again.  If it cannot be told now, it has not read what it was told. */
static void wake(struct bus *bus)
{
    static const struct bus_answer packet = { .op = BUS_WAKE };
    struct err err;

    if (bus->process.pid > 0)
        (void)!bus_send(bus->process.sock, &packet, sizeof packet, &err);
}

static enum rc post(struct proc *to, bool command, const char *from, struct bytes body,
                    struct err *err)
{
    struct bus_store *store = store_of(&to->bus);

    if (!store)
        return err_set(err, RC_NO_MEMORY, "bus");
    enum rc rc = bus_queue_add(command ? &store->commands : &store->messages, from, body, err);
    if (rc == RC_OK)
        wake(&to->bus);
    return rc;
}

static uint32_t place_of(const struct agent *a, uint64_t instance)
{
    uint32_t i = 0;

    while (i < UNITS_MAX &&
           (instance == 0 || a->proc[i].instance != instance || a->proc[i].bus.listen_fd < 0))
        i++;
    return i;
}

bool bus_serves(const struct agent *a, uint64_t instance)
{
    return place_of(a, instance) < UNITS_MAX;
}

enum rc bus_command(struct agent *a, uint64_t instance, const char *name, struct bytes body,
                    uint64_t *ret_id, struct err *err)
{
    const uint32_t i = place_of(a, instance);
    enum rc rc = i < UNITS_MAX ? post(&a->proc[i], true, name, body, err)
                               : err_set(err, RC_NOT_FOUND, "%s: it does not run", name);

    if (rc == RC_OK)
        *ret_id = a->proc[i].bus.store->commands.next_id;
    return rc;
}

void bus_withdraw(struct agent *a, uint64_t instance, uint64_t id)
{
    const uint32_t i = place_of(a, instance);
    struct err ignored;

    if (i < UNITS_MAX && a->proc[i].bus.store)
        (void)!bus_queue_done(&a->proc[i].bus.store->commands, id, &ignored);
}

/* ---- answers -------------------------------------------------------------------------------- */

static enum rc answer_self(struct agent *a, struct proc *p, const struct bus_ask *ask,
                           struct bus_answer *ret, struct err *err)
{
    struct bus_self *s = &ret->self;

    (void)ask;
    (void)err;
    memcpy(s->tenant, p->tenant, sizeof s->tenant);
    memcpy(s->payload, p->name, sizeof s->payload);
    memcpy(s->version, p->usage.version, sizeof s->version);
    memcpy(s->satellite, a->config.satellite, sizeof s->satellite);
    memcpy(s->manifest, p->bus.facts.manifest.b, sizeof s->manifest);
    s->instance = p->instance;
    return RC_OK;
}

static enum rc answer_time(struct agent *a, struct proc *p, const struct bus_ask *ask,
                           struct bus_answer *ret, struct err *err)
{
    enum platform_clock clock = PLATFORM_CLOCK_MACHINE;

    (void)p;
    (void)ask;
    (void)err;
    ret->time.unix_ms = platform_now_ms(a, &clock);
    ret->time.clock = clock;
    ret->time.floor_ms = a->trust ? trust_time_floor(a->trust) : a->state.time_floor;
    ret->time.uncertain_ms = INPUT_UNCERTAIN_UNKNOWN;
    if (clock == PLATFORM_CLOCK_TOLD) {
        ret->time.told_ms = clock_mono_ms() - a->inputs.time_mono_ms;
        ret->time.uncertain_ms = a->inputs.uncertain_ms;
    }
    return RC_OK;
}

static enum rc answer_sky(struct agent *a, struct proc *p, const struct bus_ask *ask,
                          struct bus_answer *ret, struct err *err)
{
    struct bus_sky *s = &ret->sky;

    (void)p;
    (void)ask;
    (void)err;
    s->safe = a->inputs.safe;
    s->eclipse = a->inputs.eclipse;
    memcpy(s->station, a->inputs.station, sizeof s->station);
    s->n = inputs_passes(&a->inputs, platform_now_ms(a, NULL) / 1000U, s->pass, BUS_PASSES_MAX);
    return RC_OK;
}

static enum rc answer_quota(struct agent *a, struct proc *p, const struct bus_ask *ask,
                            struct bus_answer *ret, struct err *err)
{
    const struct bus_used used = { .measured = true,
                                   .memory_bytes = (uint64_t)p->usage.memory_kib * 1024U,
                                   .cpu_ms = p->usage.cpu_ms,
                                   .log_hour = p->budget->hour,
                                   .log_left = p->budget->left / OUTPUT_HOUR_S };

    (void)a;
    (void)ask;
    (void)err;
    bus_quota(&p->bus.facts.limits, &used, p->bus.store, clock_mono_ms(), &ret->quota);
    return RC_OK;
}

static enum rc answer_put(struct agent *a, struct proc *p, const struct bus_ask *ask,
                          struct bus_answer *ret, struct err *err)
{
    struct bus_store *s = p->bus.store;
    uint64_t now = clock_mono_ms();

    (void)ret;
    if (p->bus.facts.sealed)
        return err_set(err, RC_MAIL_SEALED, "telemetry");
    if (!bus_hour_take(&s->puts, BUS_PUTS_HOUR, now))
        return err_set(err, RC_BUS_RATE, "%u values in an hour", BUS_PUTS_HOUR);
    return bus_sample_put(s, ask->name, (struct bytes){ ask->body, ask->n }, now,
                          platform_now_ms(a, NULL), err);
}

static bool may_send(const struct bus_peers *peers, const char *name)
{
    for (uint32_t i = 0; i < peers->n; i++)
        if (strcmp(peers->name[i], name) == 0)
            return true;
    return false;
}

/* Whether somebody of this name runs is told to those only who may send to it. */
static enum rc answer_send(struct agent *a, struct proc *p, const struct bus_ask *ask,
                           struct bus_answer *ret, struct err *err)
{
    struct bus_store *s = p->bus.store;

    (void)ret;
    if (!may_send(&p->bus.facts.peers, ask->name))
        return err_set(err, RC_BUS_PEER, "%s", ask->name);
    if (!bus_hour_take(&s->sends, BUS_SENDS_HOUR, clock_mono_ms()))
        return err_set(err, RC_BUS_RATE, "%u messages in an hour", BUS_SENDS_HOUR);

    struct proc *to = find_name(a, p->tenant, ask->name);
    return to ? post(to, false, p->name, (struct bytes){ ask->body, ask->n }, err)
              : err_set(err, RC_NOT_FOUND, "%s does not run", ask->name);
}

static struct bus_queue *queue_of(struct proc *p, uint32_t op)
{
    struct bus_store *s = p->bus.store;

    return op == BUS_COMMAND || op == BUS_COMMAND_DONE ? &s->commands : &s->messages;
}

/* What a payload is given next, or NULL.  A command that has expired is taken back, or stands in
 * front of the others until it can be. */
static const struct bus_post *oldest(struct agent *a, struct proc *p, uint32_t op)
{
    const struct bus_queue *q = queue_of(p, op);
    uint64_t refused = 0;

    while (q->n > 0 && q->post[0].id != refused) {
        refused = q->post[0].id;
        if (op != BUS_COMMAND || mail_command_read(a, p->instance, refused))
            return &q->post[0];
    }
    return NULL;
}

static enum rc answer_post(struct agent *a, struct proc *p, const struct bus_ask *ask,
                           struct bus_answer *ret, struct err *err)
{
    const struct bus_post *post = oldest(a, p, ask->op);

    (void)err;
    if (post)
        ret->post = *post;
    return RC_OK;
}

static enum rc answer_done(struct agent *a, struct proc *p, const struct bus_ask *ask,
                           struct bus_answer *ret, struct err *err)
{
    enum rc rc = RC_OK;

    (void)ret;
    if (ask->op == BUS_COMMAND_DONE)
        rc = mail_command_done(a, p->instance, ask->id, (struct bytes){ ask->body, ask->n }, err);
    return rc == RC_OK ? bus_queue_done(queue_of(p, ask->op), ask->id, err) : rc;
}

static enum rc answer_abuse(struct agent *a, struct proc *p, const struct bus_ask *ask,
                            struct bus_answer *ret, struct err *err)
{
    (void)a;
    (void)ret;
    (void)err;
    abuse_add(&p->bus.abuse, ask->id > UINT32_MAX ? UINT32_MAX : (uint32_t)ask->id);
    return RC_OK;
}

typedef enum rc answer_fn(struct agent *a, struct proc *p, const struct bus_ask *ask,
                          struct bus_answer *ret, struct err *err);

static answer_fn *const answers[] = {
    [BUS_SELF] = answer_self,         [BUS_TIME] = answer_time,         [BUS_SKY] = answer_sky,
    [BUS_QUOTA] = answer_quota,       [BUS_PUT] = answer_put,           [BUS_SEND] = answer_send,
    [BUS_MESSAGE] = answer_post,      [BUS_MESSAGE_DONE] = answer_done, [BUS_COMMAND] = answer_post,
    [BUS_COMMAND_DONE] = answer_done, [BUS_ABUSE] = answer_abuse,
};

/* ---- its berth-bus -------------------------------------------------------------------------- */

static void rest(struct proc *p, bool well)
{
    struct bus *bus = &p->bus;
    uint64_t pause = BUS_BACKOFF_MIN_MS;

    bus->failures = well ? 0 : bus->failures + 1;
    for (uint32_t i = 1; i < bus->failures && pause < BUS_BACKOFF_MAX_MS; i++)
        pause *= 2;
    bus->not_before_ms = clock_mono_ms() + (well ? 0 : pause);
}

/* It has ended, or has to: the next call starts another. */
static void end_process(struct proc *p)
{
    struct bus *bus = &p->bus;

    /* Let go of before they are closed: see unpack_ended. */
    bus->on_ask = sd_event_source_disable_unref(bus->on_ask);
    bus->on_end = sd_event_source_disable_unref(bus->on_end);
    bool well = bus_end(&bus->process);
    if (!well)
        log_event(LOG_LEVEL_WARN, "berth-bus failed payload=%s/%s", p->tenant, p->name);
    rest(p, well);
    if (well && bus->on_call)
        (void)sd_event_source_set_enabled(bus->on_call, SD_EVENT_ON); /* else at a tick */
}

/* False: nothing more is to be taken from it now. */
static bool answer_one(struct agent *a, struct proc *p)
{
    static struct bus_answer answer; /* large, and there is one thread */
    static struct bus_ask ask;
    struct err err = { 0 };
    struct err why = { 0 };
    enum rc rc = bus_receive(p->bus.process.sock, &ask, sizeof ask, &err);

    if (rc == RC_TIMEOUT)
        return false;
    if (rc == RC_OK)
        rc = bus_ask_check(&ask, &err);
    if (rc == RC_OK) {
        memset(&answer, 0, sizeof answer);
        answer.op = ask.op;
        answer.rc = (uint32_t)answers[ask.op](a, p, &ask, &answer, &why);
        if (answer.rc != RC_OK) {
            memset((uint8_t *)&answer + offsetof(struct bus_answer, what), 0,
                   sizeof answer - offsetof(struct bus_answer, what));
            memcpy(answer.what, why.what, sizeof answer.what);
        }
        rc = bus_send(p->bus.process.sock, &answer, sizeof answer, &err);
    }
    if (rc == RC_OK)
        return true;
    if (rc != RC_SHORT) { /* it is not one of ours as we know it */
        log_err(LOG_LEVEL_WARN, &err, "berth-bus payload=%s/%s", p->tenant, p->name);
        abuse_add(&p->bus.abuse, 1);
    }
    end_process(p);
    return false;
}

static struct proc *proc_of_sock(struct agent *a, int fd)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        const struct bus *bus = &a->proc[i].bus;

        if (a->proc[i].instance != 0 &&
            (bus->listen_fd == fd ||
             (bus->process.pid > 0 && (bus->process.sock == fd || bus->process.pidfd == fd))))
            return &a->proc[i];
    }
    return NULL;
}

static int on_ask(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct proc *p = proc_of_sock(a, fd);
    uint32_t turn = ASKS_PER_TURN;

    (void)source;
    (void)events;
    if (!p)
        return 0;
    while (turn > 0 && p->bus.asks_left > 0 && p->bus.process.pid > 0 && answer_one(a, p)) {
        p->bus.asks_left--;
        turn--;
    }
    if (p->bus.asks_left == 0 && p->bus.on_ask)
        (void)sd_event_source_set_enabled(p->bus.on_ask, SD_EVENT_OFF); /* until the next tick */
    return 0;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct proc *p = proc_of_sock(a, fd);

    (void)source;
    (void)events;
    if (p)
        end_process(p);
    return 0;
}

static enum rc start(struct agent *a, struct proc *p, struct err *err)
{
    struct bus *bus = &p->bus;

    if (!store_of(bus))
        return err_set(err, RC_NO_MEMORY, "bus");
    enum rc rc = bus_start(a->bus_program, bus->listen_fd, &bus->process, err);
    if (rc != RC_OK)
        return rc;
    if (sd_event_add_io(a->loop, &bus->on_ask, bus->process.sock, EPOLLIN, on_ask, a) < 0 ||
        sd_event_add_io(a->loop, &bus->on_end, bus->process.pidfd, EPOLLIN, on_end, a) < 0)
        return err_set(err, RC_IO, "event loop");
    bus->asks_left = BUS_ASKS_S;
    return RC_OK;
}

/* Somebody calls.  From here on the berth-bus takes the calls, until it has ended. */
static int on_call(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct proc *p = proc_of_sock(a, fd);
    struct err err = { 0 };

    (void)events;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (!p || p->bus.process.pid > 0 || clock_mono_ms() < p->bus.not_before_ms)
        return 0; /* a tick looks again */
    if (start(a, p, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "berth-bus payload=%s/%s", p->tenant, p->name);
        end_process(p);
    }
    return 0;
}

enum rc bus_open(struct agent *a, struct proc *p, int *listen_fd, struct err *err)
{
    struct bus *bus = &p->bus;

    bus->listen_fd = take_fd(listen_fd);
    if (sd_event_add_io(a->loop, &bus->on_call, bus->listen_fd, EPOLLIN, on_call, a) < 0)
        return err_set(err, RC_IO, "event loop");
    return RC_OK;
}

void bus_close(struct bus *bus)
{
    bus->on_call = sd_event_source_disable_unref(bus->on_call);
    bus->on_ask = sd_event_source_disable_unref(bus->on_ask);
    bus->on_end = sd_event_source_disable_unref(bus->on_end);
    (void)bus_end(&bus->process);
    close_fd(&bus->listen_fd);
    free(bus->store);
    *bus = BUS_INIT;
}

/* What cannot be kept now stays in the ring, where the oldest gives way: the ground sees by the
 * numbers how many did. */
static void send_batches(struct agent *a, struct proc *p, bool ending, uint64_t now_ms)
{
    static struct telemetry_batch batch; /* large, and there is one thread */
    static uint8_t buf[TELEMETRY_BYTES_MAX];
    struct bus_store *s = p->bus.store;
    struct bytes bytes = { 0 };
    struct err err = { 0 };

    while (s && s->ring.n > 0 && (ending || (now_ms >= s->batch_ms && bus_batch_due(s, now_ms)))) {
        bus_batch(s, p->instance, &batch);
        enum rc rc = telemetry_encode(&batch, buf, &bytes, &err);

        if (rc == RC_OK)
            rc = mail_telemetry(a, p->instance, bytes, &err);
        if (rc != RC_OK) {
            s->batch_ms = now_ms + BUS_BATCH_AGAIN_MS;
            return;
        }
        bus_batch_done(s, batch.n, now_ms);
    }
}

void bus_tick(struct agent *a, struct proc *p, bool ending)
{
    struct bus *bus = &p->bus;
    uint64_t now = clock_mono_ms();
    char name[2 * NAME_CAP];
    uint32_t due = abuse_due(&bus->abuse, now, ending);

    (void)snprintf(name, sizeof name, "%s/%s", p->tenant, p->name);
    if (due > 0)
        agent_event(a, RC_BUS_REQUEST, due, name);
    send_batches(a, p, ending, now);
    bus->asks_left = BUS_ASKS_S;
    if (bus->on_ask)
        (void)sd_event_source_set_enabled(bus->on_ask, SD_EVENT_ON);
    if (bus->on_call && bus->process.pid == 0 && now >= bus->not_before_ms)
        (void)sd_event_source_set_enabled(bus->on_call, SD_EVENT_ON);
}
