/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mail.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mail_inside.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define MESSAGES_PER_TURN 32U
#define LATER_MS 10000U      /* until an outbox that has to wait is asked again */
#define ASK_AGAIN_MS 60000U  /* berth-link's answer may have been lost */
#define INBOX_AGAIN_MS 5000U /* an inbox without room, or with a file of that name */
#define SWEEP_EVERY_MS 60000U
#define BATCHES_UNDER_WAY 2U

/* ---- what there is ----------------------------------------------------------------------------
 */

/* A time above all that were noted, whatever the clock says: numbers begin with it. */
static uint64_t highest_ms(const struct agent *a)
{
    const uint64_t now = agent_now_unix();
    const uint64_t floor = a->trust ? trust_time_floor(a->trust) : 0;

    return now > floor ? now : floor;
}

/* What time it is, as far as the trust believes the clock (manifest/trust): days and expiry go by
 * it, for one that jumps ahead would have all that waits expire for good.  Before the word of any
 * root there is nothing but the clock. */
uint64_t mail_today_ms(const struct agent *a)
{
    if (a->trust)
        return trust_time(a->trust, agent_now_unix());
    return a->state.time_anchor == 0
               ? highest_ms(a)
               : trust_time_by(a->state.time_floor, a->state.time_anchor, agent_now_unix());
}

struct mail_box *mail_find_box(struct agent *a, uint64_t instance)
{
    for (uint32_t i = 0; instance != 0 && i < UNITS_MAX; i++) {
        if (a->mail.box[i].instance == instance)
            return &a->mail.box[i];
    }
    return NULL;
}

struct mail_box *mail_box_of(struct agent *a, const struct mail_file *f)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct mail_box *b = &a->mail.box[i];

        if (b->instance != 0 && strcmp(b->tenant, f->tenant) == 0 &&
            strcmp(b->payload, f->payload) == 0)
            return b;
    }
    return NULL;
}

static bool same_payload(const struct mail_file *f, const struct mail_file *other)
{
    return f->way == other->way && strcmp(f->tenant, other->tenant) == 0 &&
           strcmp(f->payload, other->payload) == 0;
}

/* What a tenant, or one of its payloads, has on board, one way. */
struct load {
    uint32_t files;
    uint64_t bytes;
};

static struct load load_of(const struct agent *a, const struct mail_file *like, bool payload)
{
    struct load load = { 0 };

    for (uint32_t i = 0; i < a->mail.n; i++) {
        const struct mail_file *f = &a->mail.item[i].f;

        if (f->way != like->way || f->log != like->log || strcmp(f->tenant, like->tenant) != 0 ||
            (payload && strcmp(f->payload, like->payload) != 0))
            continue;
        load.files++;
        load.bytes += f->size;
    }
    return load;
}

/* Whether one more of a tenant's may be kept, either way: nobody takes all places. */
static bool has_place(const struct agent *a, const char *tenant)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->mail.n; i++)
        n += strcmp(a->mail.item[i].f.tenant, tenant) == 0;
    return a->mail.n < MAIL_FILES_MAX && n < MAIL_TENANT_MAX &&
           (a->mail.n < MAIL_FILES_MAX - MAIL_RESERVE || n < MAIL_TENANT_MIN);
}

bool mail_has_room(const struct agent *a, const struct mail_file *like)
{
    return has_place(a, like->tenant) && load_of(a, like, true).files < MAIL_PAYLOAD_MAX;
}

bool mail_is_on_board(const struct agent *a, const char *tenant, const char *payload)
{
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        if (strcmp(a->table.unit[i].kept.tenant, tenant) == 0 &&
            strcmp(a->table.unit[i].kept.name, payload) == 0)
            return true;
    }
    return false;
}

/* Whether anybody reads what comes for this payload; of one that does not run, whether it could. */
static bool has_inbox(struct agent *a, const struct mail_file *f)
{
    const struct mail_box *b = mail_box_of(a, f);
    const struct grant *grant = a->trust ? trust_grant(a->trust, f->tenant) : NULL;

    if (b)
        return b->inbox_bytes > 0;
    return grant && grant->total.inbox_bytes > 0 && mail_is_on_board(a, f->tenant, f->payload);
}

/* Whether a message on disk is gone for good; any other error may pass. */
static bool is_lost(enum rc rc)
{
    return rc == RC_OBJECT_DIGEST || rc == RC_NOT_FOUND || rc == RC_NOT_REGULAR ||
           rc_class(rc) == RC_CLASS_MALFORMED;
}

/* Behind the last of its payload with a lower number. */
void mail_add_item(void *arg, const struct mail_file *f)
{
    struct agent *a = arg;
    struct mail_agent *m = &a->mail;
    uint32_t at = m->n;

    if (m->n == MAIL_FILES_MAX)
        return; /* it is seen again at the next start */
    while (at > 0 && same_payload(&m->item[at - 1].f, f) && m->item[at - 1].f.number > f->number) {
        m->item[at] = m->item[at - 1];
        at--;
    }
    m->item[at] = (struct mail_item){ .f = *f };
    m->n++;
}

void mail_drop_item(struct agent *a, struct mail_item *item)
{
    struct err err = { 0 };

    if (mail_store_remove(a->data_dir, &item->f, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "message");
    a->mail.n--;
    memmove(item, item + 1, (size_t)(&a->mail.item[a->mail.n] - item) * sizeof *item);
}

struct mail_item *mail_find_item(struct agent *a, enum mail_way way, const uint8_t digest[])
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];

        if (item->f.way == way && memcmp(item->f.digest.b, digest, DIGEST_SIZE) == 0)
            return item;
    }
    return NULL;
}

/* The head of a message that is kept. */
enum rc mail_read_head(const struct agent *a, const struct mail_file *f, int *ret_fd,
                       struct mail *ret, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = mail_store_open(a->data_dir, f, &fd, err);

    if (rc == RC_OK)
        rc = mail_head_read(fd, f->size, ret, err);
    if (rc == RC_OK && ret_fd)
        *ret_fd = take_fd(&fd);
    return rc;
}

/* One that is damaged is written anew at once, or it would be so on the next day too. */
enum rc mail_load_state(const struct agent *a, const char *tenant, const char *payload,
                        struct mail_state *ret, struct err *err)
{
    enum rc rc = mail_state_load(a->data_dir, tenant, payload, highest_ms(a), ret, err);

    if (rc != RC_STATE_DAMAGED)
        return rc;
    log_err(LOG_LEVEL_WARN, err, "mail %s/%s", tenant, payload);
    ret->day = mail_today_ms(a) / MAIL_DAY_MS; /* which is used up, and not one that never comes */
    return mail_state_save(a->data_dir, tenant, payload, ret, err);
}

void mail_tell(struct agent *a, enum rc rc, const char *tenant, const char *payload)
{
    char what[64];

    (void)snprintf(what, sizeof what, "mail %.28s/%.28s", tenant, payload);
    agent_event(a, rc, 1, what);
}

/* ---- sealed -----------------------------------------------------------------------------------
 */

/* Whether size bytes of a file at offset are a sealed bundle of this payload's and its own ground's
 * in this direction, without a look at what is sealed. */
enum rc mail_check_sealed(const struct agent *a, const struct mail_box *b,
                          enum mail_direction direction, int fd, uint64_t offset, uint32_t size,
                          struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(size + 1U);
    struct eid here, ground;
    enum rc rc = buf ? mail_eid(a->config.node, b->tenant, b->payload, &here, err)
                     : err_set(err, RC_NO_MEMORY, "message");

    if (rc == RC_OK)
        rc = mail_eid(a->config.ground, b->tenant, "", &ground, err);
    if (rc == RC_OK)
        rc = fs_pread_exact(fd, buf, size, offset, err);
    if (rc != RC_OK)
        return rc;
    return direction == MAIL_DOWN
               ? mail_sealed_check((struct bytes){ buf, size }, &here, &ground, err)
               : mail_sealed_check((struct bytes){ buf, size }, &ground, &here, err);
}

/* ---- receipts ---------------------------------------------------------------------------------
 */

/* The receipt of this name that waits, or NULL. */
static struct mail_item *find_receipt(struct agent *a, const struct mail_file *like,
                                      const char *name)
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];
        struct mail head;
        struct err err;

        if (item->f.receipt && !item->under_way && same_payload(&item->f, like) &&
            mail_read_head(a, &item->f, NULL, &head, &err) == RC_OK && strcmp(head.name, name) == 0)
            return item;
    }
    return NULL;
}

static enum rc put_receipt(struct agent *a, struct mail_file *f, struct mail *head,
                           const char *line, struct err *err)
{
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    struct mail_state state;
    scoped(close_fd) int mem = -1;
    enum rc rc = mail_load_state(a, f->tenant, f->payload, &state, err);

    if (rc != RC_OK)
        return rc;
    f->number = head->number = ++state.arrival;
    rc = mail_state_save(a->data_dir, f->tenant, f->payload, &state, err);
    if (rc == RC_OK)
        rc = mail_head_encode(head, buf, &bytes, err);
    if (rc == RC_OK)
        rc = fs_sealed("receipt", bytes_of(line), &mem, err);
    return rc == RC_OK ? mail_store_put(a->data_dir, f, bytes, mem, 0, head->size, NULL, err) : rc;
}

/* A line for a payload with an inbox, delivered as a message is, in the place of an older one of
 * the same name; one for which there is no room is dropped. */
static void receipt(struct agent *a, const struct mail_file *of, const char *name, const char *word)
{
    struct mail_file f = { .way = MAIL_CAME, .receipt = true };
    struct mail head = { .direction = MAIL_UP,
                         .node = a->config.node,
                         .time_ms = mail_today_ms(a) };
    char line[64];
    struct err err = { 0 };

    memcpy(f.tenant, of->tenant, sizeof f.tenant);
    memcpy(f.payload, of->payload, sizeof f.payload);
    if (!has_inbox(a, &f))
        return;
    struct mail_item *old = find_receipt(a, &f, name);
    if (!old && !mail_has_room(a, &f))
        return;
    (void)snprintf(line, sizeof line, "%s\n", word);
    memcpy(head.tenant, of->tenant, sizeof head.tenant);
    memcpy(head.payload, of->payload, sizeof head.payload);
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    head.size = (uint32_t)strlen(line);
    head.expires_ms = head.time_ms + MAIL_LIFE_MS;
    if (put_receipt(a, &f, &head, line, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "receipt");
        return;
    }
    if (old)
        mail_drop_item(a, old);
    mail_add_item(a, &f);
}

/* Those that nobody will read. */
static void drop_receipts(struct agent *a, const char *tenant, const char *payload)
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];

        if (item->f.receipt && strcmp(item->f.tenant, tenant) == 0 &&
            strcmp(item->f.payload, payload) == 0) {
            mail_drop_item(a, item);
            i--;
        }
    }
}

/* ---- out: from the outbox ---------------------------------------------------------------------
 */

/* What finds no room is said again (pay).  Of a box that is not known nothing is kept: berth-post
 * lets go of it when its payload ends. */
static void answer(struct agent *a, const struct post_message *found, enum post_type type,
                   uint32_t wait_ms)
{
    struct mail_box *b = mail_find_box(a, found->instance);
    struct post_message m = *found;
    struct err err = { 0 };

    m.type = type;
    m.rc = RC_OK;
    m.wait_ms = wait_ms;
    if (type == POST_LATER)
        memset(m.name, 0, sizeof m.name);
    if (post_send(a->mail.sock, &m, NULL, &err) == RC_OK)
        return;
    log_err(LOG_LEVEL_WARN, &err, "post");
    if (b)
        b->owed = m;
}

/* What a payload, and its tenant, may still send on this day; *s is not charged yet. */
static enum rc check_budget(const struct agent *a, const struct mail_box *b,
                            const struct mail_state *s, uint64_t now_ms, uint64_t cost,
                            struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, b->tenant) : NULL;
    const uint64_t max = !grant                          ? b->day_bytes
                         : grant->total.outbox_bytes_day ? grant->total.outbox_bytes_day
                                                         : grant->total.outbox_bytes;
    uint64_t used = 0;

    if (cost > b->day_bytes || s->day_bytes > b->day_bytes - cost)
        return err_set(err, RC_MAIL_BUDGET, "%s/%s", b->tenant, b->payload);
    enum rc rc = mail_store_day_bytes(a->data_dir, b->tenant, now_ms, &used, err);
    if (rc != RC_OK)
        return rc;
    if (cost > max || used > max - cost)
        return err_set(err, RC_MAIL_BUDGET, "%s", b->tenant);
    return RC_OK;
}

enum rc mail_charge(const struct agent *a, const struct mail_box *b, struct mail_state *s,
                    uint64_t now_ms, uint64_t cost, struct err *err)
{
    if (now_ms / MAIL_DAY_MS != s->day) { /* also an earlier one: the clock was ahead */
        s->day = now_ms / MAIL_DAY_MS;
        s->day_bytes = 0;
    }
    enum rc rc = check_budget(a, b, s, now_ms, cost, err);

    if (rc == RC_OK)
        s->day_bytes += cost;
    return rc;
}

static enum rc check_load(const struct agent *a, const struct mail_box *b,
                          const struct mail_file *f, uint64_t size, struct err *err)
{
    const struct load load = load_of(a, f, true);

    if (!has_place(a, f->tenant) || load.files >= MAIL_PAYLOAD_MAX ||
        (load.files > 0 && load.bytes + size > b->outbox_bytes))
        return err_set(err, RC_MAIL_FULL, "%s/%s", b->tenant, b->payload);
    return RC_OK;
}

/* Whether a state that could not be saved to its end is what a later load finds. */
static bool is_noted(const struct agent *a, const struct mail_file *f, const struct mail_state *s)
{
    struct mail_state now;
    struct err err;

    return mail_state_load(a->data_dir, f->tenant, f->payload, 0, &now, &err) == RC_OK &&
           now.number == s->number && now.arrival == s->arrival;
}

/* A message, and that it is there.  On failure *ret_kept tells whether it stays all the same: the
 * note of it can be read, and is not durable.  It is said to be there when the note has been saved
 * again. */
enum rc mail_put_noted(const struct agent *a, struct mail_file *f, struct bytes head, int from,
                       uint64_t size, const struct digest *want, const struct mail_state *s,
                       bool *ret_kept, struct err *err)
{
    struct err ignored;
    enum rc rc = mail_store_put(a->data_dir, f, head, from, 0, size, want, err);

    *ret_kept = false;
    if (rc != RC_OK)
        return rc;
    rc = mail_state_save(a->data_dir, f->tenant, f->payload, s, err);
    *ret_kept = rc == RC_OK || is_noted(a, f, s);
    if (!*ret_kept)
        (void)!mail_store_remove(a->data_dir, f, &ignored);
    return rc;
}

static bool was_taken(const struct mail_state *s, const struct post_mark *mark)
{
    for (uint32_t i = 0; i < s->n_taken; i++) {
        if (memcmp(&s->taken[i], mark, sizeof *mark) == 0)
            return true;
    }
    return false;
}

static void add_taken(struct mail_state *s, const struct post_mark *mark)
{
    if (s->n_taken == MAIL_TAKEN_MAX)
        memmove(&s->taken[0], &s->taken[1], --s->n_taken * sizeof s->taken[0]);
    s->taken[s->n_taken++] = *mark;
}

/* The message first, then that it was taken: cut off in between, its number is used again and the
 * same file found again: the ground keeps one of the two. */
static enum rc keep(struct agent *a, const struct mail_box *b, const struct post_message *m,
                    int mem, struct err *err)
{
    struct mail_file f = { .way = MAIL_SENT };
    struct mail head = {
        .direction = MAIL_DOWN, .node = a->config.node, .time_ms = mail_today_ms(a), .size = m->size
    };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    struct mail_state s;
    bool kept = false;
    enum rc rc = mail_load_state(a, b->tenant, b->payload, &s, err);

    if (rc != RC_OK)
        return rc;
    if (was_taken(&s, &m->mark)) /* and only has to go */
        return mail_state_save(a->data_dir, b->tenant, b->payload, &s, err);
    memcpy(f.tenant, b->tenant, sizeof f.tenant);
    memcpy(f.payload, b->payload, sizeof f.payload);
    memcpy(head.tenant, b->tenant, sizeof head.tenant);
    memcpy(head.payload, b->payload, sizeof head.payload);
    (void)snprintf(head.name, sizeof head.name, "%.*s", (int)MAIL_NAME_MAX, m->name);
    head.expires_ms = head.time_ms + MAIL_LIFE_MS;
    f.number = head.number = ++s.number;
    add_taken(&s, &m->mark);
    rc = b->sealed ? mail_check_sealed(a, b, MAIL_DOWN, mem, 0, m->size, err) : RC_OK;
    if (rc == RC_OK)
        rc = check_load(a, b, &f, m->size, err);
    if (rc == RC_OK)
        rc = mail_head_encode(&head, buf, &bytes, err);
    if (rc == RC_OK)
        rc = mail_charge(a, b, &s, head.time_ms, bytes.n + m->size + MAIL_COST, err);
    if (rc == RC_OK)
        rc = mail_put_noted(a, &f, bytes, mem, m->size, NULL, &s, &kept, err);
    if (kept) {
        mail_add_item(a, &f);
        receipt(a, &f, head.name, "taken");
    }
    return rc;
}

static void on_found(struct agent *a, const struct post_message *m, int mem)
{
    struct mail_box *b = mail_find_box(a, m->instance);
    struct stat st;
    struct err err = { 0 };

    if (!b || fstat(mem, &st) != 0 || (uint64_t)st.st_size != m->size) {
        answer(a, m, POST_LATER, LATER_MS);
        return;
    }
    enum rc rc = keep(a, b, m, mem, &err);
    if (rc == RC_OK) {
        b->told = false;
        answer(a, m, POST_TAKEN, 0);
        return;
    }
    if (rc_class(rc) != RC_CLASS_REFUSED || is_lost(rc)) { /* lost: a directory of ours, not it */
        if (!b->told)
            mail_tell(a, rc, b->tenant, b->payload);
        b->told = true;
        answer(a, m, POST_LATER, LATER_MS);
        return;
    }
    /* It will never go: it goes out of the outbox, and the payload can read why. */
    const struct mail_file of = { 0 };
    struct mail_file like = of;
    char word[64];

    memcpy(like.tenant, b->tenant, sizeof like.tenant);
    memcpy(like.payload, b->payload, sizeof like.payload);
    mail_tell(a, rc, b->tenant, b->payload);
    (void)snprintf(word, sizeof word, "refused %s", rc_name(rc));
    receipt(a, &like, m->name, word);
    answer(a, m, POST_TAKEN, 0);
}

/* ---- in: to the inbox -------------------------------------------------------------------------
 */

static void on_delivered(struct agent *a, const struct post_message *m)
{
    struct mail_box *b = mail_find_box(a, m->instance);
    const enum rc rc = rc_from_number(m->rc);

    if (!b)
        return;
    b->putting = false;
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];

        if (item->f.way != MAIL_CAME || !item->under_way || mail_box_of(a, &item->f) != b)
            continue;
        item->under_way = false;
        if (rc == RC_OK) {
            mail_drop_item(a, item);
            return;
        }
        item->not_before_ms = clock_mono_ms() + INBOX_AGAIN_MS;
        if (!item->told)
            mail_tell(a, rc == RC_NO_SPACE ? RC_MAIL_FULL : rc, b->tenant, b->payload);
        item->told = true;
        return;
    }
}

/* Hand one message to berth-post. */
static enum rc put(struct agent *a, struct mail_box *b, struct mail_item *item, struct err *err)
{
    struct post_message m = { .type = POST_PUT, .instance = b->instance };
    scoped(close_fd) int fd = -1;
    struct mail head;
    enum rc rc = mail_read_head(a, &item->f, &fd, &head, err);

    /* Here and not only where it came: it may have waited for a version that wants it sealed. */
    if (rc == RC_OK && b->sealed && !item->f.receipt)
        rc = mail_check_sealed(a, b, MAIL_UP, fd, head.head, head.size, err);
    if (rc != RC_OK)
        return rc;
    m.offset = head.head;
    m.size = head.size;
    m.replace = item->f.receipt ? 1 : 0;
    (void)snprintf(m.name, sizeof m.name, "%s%s", head.name, item->f.receipt ? MAIL_RECEIPT : "");
    const int fds[POST_FDS_MAX] = { fd, -1 };
    rc = post_send(a->mail.sock, &m, fds, err);
    if (rc == RC_OK)
        item->under_way = b->putting = true;
    return rc;
}

/* What could not be read: true, and told once, if it is tried again later; false if the disk has
 * lost it, or its payload takes nothing like it. */
bool mail_not_now(struct agent *a, struct mail_item *item, enum rc rc, uint64_t now_ms)
{
    const bool lost = is_lost(rc) || rc == RC_MAIL_SEALED || rc == RC_MAIL_ADDRESS;

    if (lost || !item->told)
        mail_tell(a, rc, item->f.tenant, item->f.payload);
    item->told = true;
    item->not_before_ms = now_ms + LATER_MS;
    return !lost;
}

static void put_due(struct agent *a, uint64_t now_ms)
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];
        struct mail_box *b = item->f.way == MAIL_CAME ? mail_box_of(a, &item->f) : NULL;
        struct err err = { 0 };

        if (!b || item->f.command || !b->opened || b->putting || b->inbox_bytes == 0 ||
            now_ms < item->not_before_ms)
            continue;
        enum rc rc = put(a, b, item, &err);
        if (rc == RC_OK || rc == RC_TIMEOUT || rc == RC_SHORT)
            continue;
        if (mail_not_now(a, item, rc, now_ms))
            continue;
        mail_drop_item(a, item);
        i--;
    }
}

/* Whether a tenant's payload may be sent this here and now. */
static enum rc check_came(const struct agent *a, const struct mail *m, const struct mail_file *f,
                          struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, m->tenant) : NULL;

    if ((m->direction != MAIL_UP && m->direction != MAIL_COMMAND) || m->node != a->config.node ||
        !grant || grant->total.inbox_bytes == 0)
        return err_set(err, RC_MAIL_ADDRESS, "%s/%s", m->tenant, m->payload);
    if (!mail_is_on_board(a, m->tenant, m->payload))
        return err_set(err, RC_MAIL_ADDRESS, "%s/%s is not on board", m->tenant, m->payload);
    if (m->direction == MAIL_COMMAND && m->size > MAIL_COMMAND_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "command for %s/%s", m->tenant, m->payload);
    if (m->expires_ms != 0 && m->expires_ms <= mail_today_ms(a))
        return err_set(err, RC_MAIL_EXPIRED, "%s/%s", m->tenant, m->payload);
    if (!mail_has_room(a, f) || load_of(a, f, false).bytes + m->size > grant->total.inbox_bytes)
        return err_set(err, RC_MAIL_FULL, "%s/%s", m->tenant, m->payload);
    return RC_OK;
}

static bool is_recent(const struct mail_state *s, const struct digest *digest)
{
    for (uint32_t i = 0; i < s->n_recent; i++) {
        if (digest_same(&s->recent[i], digest))
            return true;
    }
    return false;
}

static void add_recent(struct mail_state *s, const struct digest *digest)
{
    if (s->n_recent == MAIL_RECENT_MAX)
        memmove(&s->recent[0], &s->recent[1], --s->n_recent * sizeof s->recent[0]);
    s->recent[s->n_recent++] = *digest;
}

/* What came, then that it has come. */
enum rc mail_take(struct agent *a, int fd, uint64_t size, const struct digest *digest,
                  struct err *err)
{
    struct mail_file f = { .way = MAIL_CAME };
    struct mail_state s;
    struct mail m;

    if (size > MAIL_OBJECT_MAX)
        return err_set(err, RC_TOO_LARGE, "message");
    enum rc rc = mail_head_read(fd, size, &m, err);
    if (rc != RC_OK)
        return rc;
    memcpy(f.tenant, m.tenant, sizeof f.tenant);
    memcpy(f.payload, m.payload, sizeof f.payload);
    rc = mail_load_state(a, m.tenant, m.payload, &s, err);
    if (rc != RC_OK)
        return rc;
    if (is_recent(&s, digest))
        return mail_state_save(a->data_dir, m.tenant, m.payload, &s, err);
    if (mail_find_item(a, MAIL_CAME, digest->b)) { /* cut off before it was noted */
        add_recent(&s, digest);
        return mail_state_save(a->data_dir, m.tenant, m.payload, &s, err);
    }
    if (m.direction == MAIL_LOGS_REQUEST) {
        rc = logs_asked(a, &m, fd, err);
        add_recent(&s, digest);
        return rc == RC_OK ? mail_state_save(a->data_dir, m.tenant, m.payload, &s, err) : rc;
    }
    rc = check_came(a, &m, &f, err);
    const struct mail_box *b = mail_box_of(a, &f);
    if (rc == RC_OK && b && b->sealed) {
        rc = mail_check_sealed(a, b, MAIL_UP, fd, m.head, m.size, err);
        if (rc == RC_MAIL_SEALED || rc == RC_MAIL_ADDRESS)
            mail_tell(a, rc, m.tenant,
                      m.payload); /* whose it was: the object's own event has no name */
    }
    if (rc_class(rc) == RC_CLASS_REFUSED && m.direction == MAIL_COMMAND &&
        m.node == a->config.node && mail_is_on_board(a, m.tenant, m.payload))
        mail_command_refuse(a, &m, digest, rc);
    if (rc != RC_OK)
        return rc;
    f.command = m.direction == MAIL_COMMAND;
    f.number = ++s.arrival;
    add_recent(&s, digest);
    bool kept = false;
    rc = mail_put_noted(a, &f, (struct bytes){ 0 }, fd, size, digest, &s, &kept, err);
    if (kept) {
        mail_add_item(a, &f);
        put_due(a, clock_mono_ms());
        mail_commands_due(a, clock_mono_ms());
    }
    return rc;
}

/* ---- out: to the ground -----------------------------------------------------------------------
 */

/* The end of a message of a payload's own. */
static void finish(struct agent *a, struct mail_item *item, const char *word)
{
    struct mail_file f = item->f;
    struct err err = { 0 };
    struct mail head;
    bool known = mail_read_head(a, &f, NULL, &head, &err) == RC_OK;

    mail_drop_item(a, item);
    if (known && word && head.direction == MAIL_DOWN)
        receipt(a, &f, head.name, word);
}

void mail_sent(struct agent *a, const struct port_mail_sent *m)
{
    struct mail_item *item = mail_find_item(a, MAIL_SENT, m->digest);
    const enum rc rc = rc_from_number(m->rc);
    char word[64];

    if (!item)
        return;
    item->under_way = false;
    if (rc == RC_OK) {
        finish(a, item, "delivered");
        return;
    }
    if (rc_class(rc) == RC_CLASS_RETRY || rc_class(rc) == RC_CLASS_BROKEN) {
        item->not_before_ms = clock_mono_ms() + LATER_MS;
        return;
    }
    mail_tell(a, rc, item->f.tenant, item->f.payload);
    (void)snprintf(word, sizeof word, "refused %s", rc_name(rc));
    finish(a, item, word);
}

static enum rc offer(struct agent *a, struct mail_item *item, uint64_t now_ms, struct err *err)
{
    static struct port_message m; /* large, and there is one thread */
    scoped(close_fd) int fd = -1;
    enum rc rc = mail_store_open(a->data_dir, &item->f, &fd, err);

    if (rc != RC_OK)
        return rc;
    memset(&m, 0, sizeof m);
    m.type = PORT_MAIL;
    m.mail = (struct port_mail){ .size = item->f.size, .serial = item->f.number };
    memcpy(m.mail.digest, item->f.digest.b, DIGEST_SIZE);
    rc = port_send(a->link_sock, &m, fd, err);
    if (rc == RC_OK) {
        item->under_way = true;
        item->not_before_ms = now_ms + ASK_AGAIN_MS;
    }
    return rc;
}

/* Messages, and behind them what nobody waits for. */
enum out_class { OUT_MESSAGE, OUT_TELEMETRY, OUT_LOG, OUT_CLASSES };

static enum out_class class_of(const struct mail_file *f)
{
    return f->log ? OUT_LOG : f->telemetry ? OUT_TELEMETRY : OUT_MESSAGE;
}

/* The next message by turns: of the tenant that comes after the one before, its oldest. */
static struct mail_item *next_out(struct agent *a, uint64_t now_ms, enum out_class class)
{
    struct mail_item *best = NULL;
    bool best_behind = false;

    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];
        const bool behind = strcmp(item->f.tenant, a->mail.turn) > 0;

        if (item->f.way != MAIL_SENT || class_of(&item->f) != class || now_ms < item->not_before_ms)
            continue;
        const int order = best ? strcmp(item->f.tenant, best->f.tenant) : -1;
        if (!best || (behind && !best_behind) || (behind == best_behind && order < 0)) {
            best = item;
            best_behind = behind;
        }
    }
    return best;
}

/* Of one class, or OUT_CLASSES: of all. */
static uint32_t out_under_way(const struct agent *a, enum out_class class)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->mail.n; i++)
        n += a->mail.item[i].f.way == MAIL_SENT && a->mail.item[i].under_way &&
             (class == OUT_CLASSES || class_of(&a->mail.item[i].f) == class);
    return n;
}

static void offer_due(struct agent *a, uint64_t now_ms)
{
    for (uint32_t turns = 0; turns < PORT_MAILS_MAX; turns++) {
        struct mail_item *item = next_out(a, now_ms, OUT_MESSAGE);
        struct err err = { 0 };

        /* Telemetry when nothing else waits, logs behind it, and neither ever in all places that
         * others may need next. */
        for (unsigned c = OUT_TELEMETRY; !item && c < OUT_CLASSES; c++)
            if (out_under_way(a, (enum out_class)c) < BATCHES_UNDER_WAY)
                item = next_out(a, now_ms, (enum out_class)c);

        if (!item || (!item->under_way && out_under_way(a, OUT_CLASSES) >= PORT_MAILS_MAX))
            return;
        memcpy(a->mail.turn, item->f.tenant, sizeof a->mail.turn);
        enum rc rc = offer(a, item, now_ms, &err);
        if (rc == RC_TIMEOUT || rc == RC_SHORT)
            return;
        if (rc != RC_OK) {
            log_err(LOG_LEVEL_WARN, &err, "message");
            if (!mail_not_now(a, item, rc, now_ms))
                mail_drop_item(a, item);
        }
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

/* What has expired goes: nobody waits for it any more. */
static void sweep(struct agent *a, uint64_t now_ms)
{
    static struct port_message m; /* large, and there is one thread */
    const uint64_t today = mail_today_ms(a);

    if (now_ms - a->mail.swept_ms < SWEEP_EVERY_MS)
        return;
    a->mail.swept_ms = now_ms;
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];
        struct err err = { 0 };
        struct mail head;

        if ((item->f.way == MAIL_CAME && item->under_way) ||
            mail_read_head(a, &item->f, NULL, &head, &err) != RC_OK)
            continue;
        if (item->f.receipt && head.expires_ms == 0)
            head.expires_ms = head.time_ms + MAIL_LIFE_MS;
        if (head.expires_ms == 0 || head.expires_ms > today)
            continue;
        memset(&m, 0, sizeof m);
        m.type = PORT_MAIL_DROP;
        memcpy(m.done.digest, item->f.digest.b, DIGEST_SIZE);
        if (item->f.way == MAIL_SENT && item->under_way &&
            port_send(a->link_sock, &m, -1, &err) != RC_OK)
            continue;
        if (item->f.command) {
            i -= mail_command_end(a, item, MAIL_LATE, RC_OK);
            continue;
        }
        if (!item->f.receipt)
            mail_tell(a, RC_MAIL_EXPIRED, item->f.tenant, item->f.payload);
        finish(a, item, item->f.way == MAIL_SENT ? "expired" : NULL);
        i--;
    }
}

static void close_box(struct agent *a, struct mail_box *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < a->mail.n; i++) {
        if (a->mail.item[i].f.way == MAIL_CAME && mail_box_of(a, &a->mail.item[i].f) == b)
            a->mail.item[i].under_way = false;
    }
    if (b->held) {
        close_fd(&b->view);
        close_fd(&b->pidfd);
    }
    *b = (struct mail_box){ 0 };
}

/* ---- berth-post -------------------------------------------------------------------------------
 */

/* Tell berth-post of a payload that runs, unless it knows. */
static void open_box(const struct agent *a, struct mail_box *b)
{
    const struct post_message m = { .type = POST_OPEN, .instance = b->instance };
    const int fds[POST_FDS_MAX] = { b->view, b->pidfd };
    struct err err = { 0 };

    if (b->held && !b->opened)
        b->opened = post_send(a->mail.sock, &m, fds, &err) == RC_OK;
}

/* Say what found no room, or what only the one before was told. */
static void pay(struct agent *a)
{
    struct err err = { 0 };

    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct mail_box *b = &a->mail.box[i];

        if (b->instance == 0)
            continue;
        open_box(a, b);
        if (b->owed.type != 0 && post_send(a->mail.sock, &b->owed, NULL, &err) == RC_OK)
            b->owed.type = 0;
    }
}

/* Nobody carries mail now: what a payload that has ended left waits in its image, and its view must
 * go, or it could not be started again. */
static void release_ended(struct agent *a)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct mail_box *b = &a->mail.box[i];
        struct pollfd p = { .fd = b->pidfd, .events = POLLIN };

        if (b->instance != 0 && b->held && poll(&p, 1, 0) == 1)
            close_box(a, b);
    }
}

static int on_post(sd_event_source *source, int sock, uint32_t events, void *arg);

static enum rc listen_to(struct agent *a, struct err *err)
{
    if (a->mail.pulse_s != 0)
        pulse_init(&a->mail.pulse, a->mail.pulse_s);
    if (sd_event_add_io(a->loop, &a->mail.on_post, a->mail.sock, EPOLLIN, on_post, a) < 0)
        return err_set(err, RC_IO, "event loop");
    return RC_OK;
}

/* The next one takes over, when it is time. */
static void call_spare(struct agent *a, uint64_t now_ms)
{
    struct err err = { 0 };

    if (a->mail.n_spares == 0 || now_ms < a->mail.again_ms)
        return;
    a->mail.sock = a->mail.spare[--a->mail.n_spares];
    a->mail.spare[a->mail.n_spares] = -1;
    log_event(LOG_LEVEL_WARN, "berth-post replaced spares=%u", a->mail.n_spares);
    if (listen_to(a, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "berth-post");
        close_fd(&a->mail.sock);
    }
}

/* Messages wait until the next one is called, or without one until the next start; what runs goes
 * on. */
static void lose_post(struct agent *a, const struct err *err)
{
    static const uint64_t pause_ms[MAIL_SPARES] = { 1000, 10000, 60000 };

    log_err(LOG_LEVEL_ERROR, err, "berth-post has ended");
    agent_event_err(a, err, "berth-post");
    a->mail.on_post = sd_event_source_disable_unref(a->mail.on_post);
    close_fd(&a->mail.sock);
    a->mail.again_ms =
        clock_mono_ms() + pause_ms[a->mail.lost < MAIL_SPARES ? a->mail.lost : MAIL_SPARES - 1];
    a->mail.lost++;
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct mail_box *b = &a->mail.box[i];

        if (a->mail.n_spares == 0)
            close_box(a, b);
        b->putting = b->opened = false;
        b->owed.type = 0; /* the next one looks for itself */
    }
    for (uint32_t i = 0; i < a->mail.n; i++) {
        if (a->mail.item[i].f.way == MAIL_CAME)
            a->mail.item[i].under_way = false;
    }
}

/* False: it hangs, and has been given up. */
static bool answers(struct agent *a, uint64_t now_ms)
{
    struct post_message ping = { .type = POST_PING };
    struct err err = { 0 };

    if (a->mail.pulse_s == 0)
        return true;
    switch (pulse_turn(&a->mail.pulse, now_ms)) {
    case PULSE_REST:
        break;
    case PULSE_ASK:
        ping.instance = a->mail.pulse.asked;
        (void)!post_send(a->mail.sock, &ping, NULL, &err); /* its end is heard by itself */
        break;
    case PULSE_DEAD:
        err_set(&err, RC_TIMEOUT, "no answer for %u s", a->mail.pulse_s);
        lose_post(a, &err);
        return false;
    }
    return true;
}

/* Those that have ended, one that waited too: nobody else asks for them. */
static void reap(struct mail_agent *m)
{
    for (uint32_t i = 0; i < sizeof m->pid / sizeof m->pid[0]; i++) {
        if (m->pid[i] > 0 && waitpid(m->pid[i], NULL, WNOHANG) != 0)
            m->pid[i] = 0;
    }
}

void mail_tick(struct agent *a, uint64_t now_ms)
{
    reap(&a->mail);
    if (a->data_dir < 0)
        return;
    sweep(a, now_ms);
    mail_commands_due(a, now_ms);
    offer_due(a, now_ms);
    if (a->mail.sock < 0)
        call_spare(a, now_ms);
    if (a->mail.sock < 0 || !answers(a, now_ms)) {
        release_ended(a);
        return;
    }
    pay(a);
    put_due(a, now_ms);
}

void mail_starting(struct agent *a, uint64_t instance, const struct manifest *m)
{
    if (m->limits.inbox_bytes == 0)
        drop_receipts(a, m->tenant, m->name);
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct mail_box *b = &a->mail.box[i];

        if (b->instance != 0 || (m->limits.inbox_bytes == 0 && m->limits.outbox_bytes == 0))
            continue;
        *b = (struct mail_box){ .instance = instance,
                                .sealed = m->sealed,
                                .inbox_bytes = m->limits.inbox_bytes,
                                .outbox_bytes = m->limits.outbox_bytes,
                                .day_bytes = m->limits.outbox_bytes_day ? m->limits.outbox_bytes_day
                                                                        : m->limits.outbox_bytes };
        memcpy(b->tenant, m->tenant, sizeof b->tenant);
        memcpy(b->payload, m->name, sizeof b->payload);
        return;
    }
}

void mail_not_started(struct agent *a, uint64_t instance)
{
    close_box(a, mail_find_box(a, instance));
}

void mail_launched(struct agent *a, uint64_t instance, int view, int pidfd)
{
    struct mail_box *b = mail_find_box(a, instance);
    struct err err = { 0 };

    if (!b || view < 0)
        return;
    b->view = fcntl(view, F_DUPFD_CLOEXEC, 3);
    b->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
    b->held = true;
    if (b->view >= 0 && b->pidfd >= 0 && (a->mail.sock >= 0 || a->mail.n_spares > 0)) {
        if (a->mail.sock >= 0)
            open_box(a, b);
        return;
    }
    err_set(&err, RC_NOT_FOUND, "berth-post");
    log_err(LOG_LEVEL_WARN, &err, "nobody carries mail");
    close_box(a, b);
}

static void take_message(struct agent *a, const struct post_message *m, int fd)
{
    const struct mail_box *b = mail_find_box(a, m->instance);

    switch ((enum post_type)m->type) {
    case POST_FOUND:
        on_found(a, m, fd);
        break;
    case POST_REMOVED:
        if (b && m->rc == RC_MAIL_DAMAGED)
            mail_tell(a, RC_MAIL_DAMAGED, b->tenant, b->payload);
        break;
    case POST_DELIVERED:
        on_delivered(a, m);
        break;
    case POST_JUNK:
        if (b && m->count > 0 && m->rc != RC_OK) {
            char what[64];

            (void)snprintf(what, sizeof what, "outbox %.24s/%.24s", b->tenant, b->payload);
            agent_event(a, rc_from_number(m->rc), m->count, what);
        }
        break;
    case POST_CLOSED:
        close_box(a, mail_find_box(a, m->instance));
        break;
    case POST_PONG:
        pulse_heard(&a->mail.pulse, m->instance);
        break;
    case POST_OPEN:
    case POST_TAKEN:
    case POST_LATER:
    case POST_PUT:
    case POST_PING:
        break; /* post_recv lets none of them through */
    }
}

static int on_post(sd_event_source *source, int sock, uint32_t events, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < MESSAGES_PER_TURN; i++) {
        struct post_message m = { 0 };
        int fds[POST_FDS_MAX] = { -1, -1 };
        struct err err = { 0 };
        enum rc rc = post_recv(sock, false, &m, fds, &err);

        if (rc == RC_TIMEOUT)
            break;
        if (rc != RC_OK) {
            lose_post(a, &err);
            return 0;
        }
        take_message(a, &m, fds[0]);
        close_fd(&fds[0]);
        close_fd(&fds[1]);
    }
    mail_tick(a, clock_mono_ms());
    return 0;
}

static void add_listed(void *arg, const struct mail_file *f)
{
    struct agent *a = arg;
    struct err err = { 0 };

    if (!f->receipt || !a->trust || has_inbox(a, f))
        mail_add_item(a, f);
    else if (mail_store_remove(a->data_dir, f, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "receipt");
}

enum rc mail_open(struct agent *a, struct err *err)
{
    if (a->data_dir >= 0)
        mail_store_list(a->data_dir, add_listed, a);
    mail_commands_settle(a);
    return a->mail.sock >= 0 ? listen_to(a, err) : RC_OK;
}
