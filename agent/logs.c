/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "agent/mail_inside.h"
#include "agent/output.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"

#define AGAIN_MS 10000U       /* no room for a chunk */
#define SHORT_AGAIN_MS 60000U /* no bytes left of the day, or the disk said no */
#define GAP_MIN_MS 10000U     /* between two chunks that nobody waits for */
#define GAP_MAX_MS 3600000U
#define CHUNK_USUAL 1024U       /* bytes of one, of which the gap makes a day's */
#define KEPT_MANY (24U * 1024U) /* bytes that do not wait for the gap */
#define COST_MIN (MAIL_COST + MAIL_HEAD_MAX + 256U)
#define PACKED_AT_BEST 16U /* times smaller: what is tried first when few bytes are left */

/* ---- what there is ----------------------------------------------------------------------------
 */

static struct logs_unit *find(struct agent *a, const char *tenant, const char *payload)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct logs_unit *u = &a->logs.unit[i];

        if (strcmp(u->tenant, tenant) == 0 && strcmp(u->payload, payload) == 0)
            return u;
    }
    return NULL;
}

/* The unit of a payload, loaded; NULL: its state cannot be read now.  Units of payloads that have
 * gone from the table make room: there are as many places as in the table. */
static struct logs_unit *get(struct agent *a, const char *tenant, const char *payload)
{
    struct logs_unit *u = tenant[0] != '\0' ? find(a, tenant, payload) : NULL;
    struct err err = { 0 };

    if (u || tenant[0] == '\0' || a->data_dir < 0)
        return u;
    for (uint32_t i = 0; !u && i < UNITS_MAX; i++) {
        struct logs_unit *other = &a->logs.unit[i];

        if (other->tenant[0] == '\0' || !mail_is_on_board(a, other->tenant, other->payload))
            u = other;
    }
    if (!u)
        return NULL;
    *u = (struct logs_unit){ 0 };
    enum rc rc = logs_state_load(a->data_dir, tenant, payload, mail_today_ms(a), &u->s, &err);

    if (rc == RC_STATE_DAMAGED)
        u->unsaved = true;
    else if (rc != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "log of %s/%s", tenant, payload);
        return NULL;
    }
    (void)snprintf(u->tenant, sizeof u->tenant, "%s", tenant);
    (void)snprintf(u->payload, sizeof u->payload, "%s", payload);
    return u;
}

static enum rc save(struct agent *a, struct logs_unit *u, const struct logs_state *s,
                    struct err *err)
{
    enum rc rc = logs_state_save(a->data_dir, u->tenant, u->payload, s, err);

    if (rc == RC_OK) {
        u->s = *s;
        u->unsaved = false;
    }
    return rc;
}

void logs_open_all(struct agent *a)
{
    for (uint32_t i = 0; a->data_dir >= 0 && i < a->table.n_units; i++) {
        struct logs_unit *u = get(a, a->table.unit[i].kept.tenant, a->table.unit[i].kept.name);

        if (u)
            u->waiting = u->now = u->s.follow > 0;
    }
}

void logs_starting(struct agent *a, const struct manifest *m)
{
    struct logs_unit *u = find(a, m->tenant, m->name);
    struct err err = { 0 };

    if (!u && m->limits.logs_bytes_day == 0 && !m->sealed)
        return; /* as a fresh state says */
    u = get(a, m->tenant, m->name);
    if (u)
        u->pass_most = m->limits.logs_bytes_pass;
    if (!u || (u->s.follow == m->limits.logs_bytes_day && u->s.sealed == m->sealed))
        return;

    struct logs_state s = u->s;

    s.follow = m->limits.logs_bytes_day;
    s.sealed = m->sealed;
    if (save(a, u, &s, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "log of %s/%s", m->tenant, m->name);
        u->s = s;
        u->unsaved = true;
    }
}

void logs_ended(struct agent *a, const char *tenant, const char *payload)
{
    struct logs_unit *u = find(a, tenant, payload);

    if (u)
        u->waiting = u->now = true;
}

/* ---- bytes of the pass ------------------------------------------------------------------------
 */

/* Chunks of a payload that wait to go. */
struct waiting {
    uint32_t n;
    uint64_t bytes; /* as they count */
};

static struct waiting chunks_waiting(const struct agent *a, const struct logs_unit *u)
{
    struct waiting w = { 0 };

    for (uint32_t i = 0; i < a->mail.n; i++) {
        const struct mail_file *f = &a->mail.item[i].f;

        if (f->log && strcmp(f->tenant, u->tenant) == 0 && strcmp(f->payload, u->payload) == 0) {
            w.n++;
            w.bytes += f->size + MAIL_COST;
        }
    }
    return w;
}

void logs_contact(struct agent *a)
{
    a->logs.passed = true;
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct logs_unit *u = &a->logs.unit[i];

        if (u->tenant[0] == '\0')
            continue;
        u->pass_bytes = chunks_waiting(a, u).bytes;
        u->again_ms = 0;
        u->now = u->waiting;
    }
}

static uint64_t minus(uint64_t all, uint64_t used)
{
    return all > used ? all - used : 0;
}

/* What may still be made for this pass; UINT64_MAX where nothing bounds it. */
static uint64_t pass_left(const struct agent *a, const struct logs_unit *u)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, u->tenant) : NULL;
    const uint64_t all = grant ? grant->total.logs_bytes_pass : 0;
    uint64_t used = 0, left = UINT64_MAX;

    if (all == 0 && u->pass_most == 0)
        return left;
    if (!a->logs.passed)
        return 0;
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (strcmp(a->logs.unit[i].tenant, u->tenant) == 0)
            used += a->logs.unit[i].pass_bytes;
    if (all != 0)
        left = minus(all, used);
    if (u->pass_most != 0 && minus(u->pass_most, u->pass_bytes) < left)
        left = minus(u->pass_most, u->pass_bytes);
    return left;
}

/* ---- what is printed --------------------------------------------------------------------------
 */

/* What has been printed since it was looked at. */
static void look(struct agent *a, uint64_t now_ms)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        const struct proc *p = &a->proc[i];
        struct logs_unit *u = p->instance != 0 ? find(a, p->tenant, p->name) : NULL;

        if (!u || (u->instance == p->instance && u->kept == p->output.kept))
            continue;
        if (u->instance != p->instance)
            u->sent_kept = 0;
        u->instance = p->instance;
        u->kept = p->output.kept;
        if (!u->waiting)
            u->waiting_ms = now_ms;
        u->waiting = true;
    }
}

/* ---- bytes of the day -------------------------------------------------------------------------
 */

static void begin_day(struct logs_state *s, uint64_t day)
{
    if (s->day == day)
        return;
    s->day = day;
    s->day_bytes = 0;
}

/* What payloads of a tenant have sent today which are in no unit: they have gone from the table. */
struct day_sum {
    struct agent *a;
    const char *tenant;
    uint64_t day, bytes;
    enum rc rc;
    struct err *err;
};

static bool add_gone(void *arg, const char *payload)
{
    struct day_sum *sum = arg;
    struct agent *a = sum->a;
    struct logs_state s;

    if (!name_valid(payload) || find(a, sum->tenant, payload))
        return true;
    sum->rc =
        logs_state_load(a->data_dir, sum->tenant, payload, sum->day * MAIL_DAY_MS, &s, sum->err);
    if (sum->rc == RC_STATE_DAMAGED) /* this day is used up, and not each day anew */
        sum->rc = logs_state_save(a->data_dir, sum->tenant, payload, &s, sum->err);
    if (sum->rc == RC_OK && s.day == sum->day)
        sum->bytes =
            s.day_bytes < MAIL_USED_UP - sum->bytes ? sum->bytes + s.day_bytes : MAIL_USED_UP;
    return sum->rc == RC_OK;
}

/* What may still go down today of a payload; what was asked for is bounded by its grant alone. */
static enum rc bytes_left(struct agent *a, const struct logs_unit *u, const struct logs_state *s,
                          uint64_t *ret, struct err *err)
{
    const struct grant *grant = a->trust ? trust_grant(a->trust, u->tenant) : NULL;
    const uint64_t all = grant ? grant->total.logs_bytes_day : s->follow;
    struct day_sum gone = { .a = a, .tenant = u->tenant, .day = s->day, .err = err };
    enum rc rc = fs_list(a->data_dir, u->tenant, SIZE_MAX, add_gone, &gone, NULL, err);

    if (rc == RC_OK)
        rc = gone.rc;
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    uint64_t left = all > gone.bytes ? all - gone.bytes : 0;

    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        const struct logs_unit *other = &a->logs.unit[i];
        const struct logs_state *of = other == u ? s : &other->s;

        if (strcmp(other->tenant, u->tenant) == 0 && of->day == s->day)
            left = left > of->day_bytes ? left - of->day_bytes : 0;
    }
    if (!s->asked && s->follow < s->day_bytes + left)
        left = s->follow > s->day_bytes ? s->follow - s->day_bytes : 0;
    *ret = left;
    return RC_OK;
}

/* ---- a chunk ----------------------------------------------------------------------------------
 */

struct loaded_log {
    uint8_t *older, *newer; /* owned */
    struct logs_files files;
};

static void free_log(struct loaded_log *l)
{
    free(l->older);
    free(l->newer);
}

static enum rc read_one(int dir, const char *name, uint8_t **ret, struct bytes *ret_bytes,
                        struct err *err)
{
    size_t n = 0;
    enum rc rc = fs_read_alloc(dir, name, OUTPUT_FILE_MAX, ret, &n, err);

    if (rc == RC_OK)
        *ret_bytes = (struct bytes){ *ret, n };
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc read_log(const struct agent *a, const struct logs_unit *u, struct loaded_log *ret,
                        struct err *err)
{
    char name[2U * NAME_CAP + 8U], older[sizeof name + sizeof OUTPUT_OLDER];

    output_name(u->tenant, u->payload, name);
    (void)snprintf(older, sizeof older, "%s" OUTPUT_OLDER, name);
    enum rc rc = read_one(a->log_dir, older, &ret->older, &ret->files.older, err);

    return rc == RC_OK ? read_one(a->log_dir, name, &ret->newer, &ret->files.newer, err) : rc;
}

/* The largest chunk of what is next that the day has bytes for.  RC_NOT_FOUND: there is nothing.
 * RC_MAIL_BUDGET. */
static enum rc make(const struct loaded_log *l, const struct logs_state *s, uint64_t left,
                    struct logs_place *place, uint8_t *buf, struct bytes *ret, uint64_t *ret_used,
                    bool *ret_more, struct err *err)
{
    static struct logs_writer w; /* large, and there is one thread */
    const struct logs_place from = s->asked ? s->asked_next : s->next;
    const uint64_t most = s->asked ? s->asked_bytes : UINT64_MAX;
    const enum logs_why why = s->short_of ? LOGS_QUOTA : LOGS_RING;
    size_t cap =
        left < LOGS_PLAIN_MAX / PACKED_AT_BEST ? (size_t)left * PACKED_AT_BEST : LOGS_PLAIN_MAX;

    for (;; cap /= 2) {
        *place = from;
        *ret_used = logs_collect(&l->files, place, why, cap, most, &w, ret_more);
        if (*ret_used == 0)
            return err_set(err, RC_NOT_FOUND, "log");
        enum rc rc = logs_end(&w, buf, ret, err);

        if (rc != RC_OK || ret->n + MAIL_HEAD_MAX + MAIL_COST <= left)
            return rc;
        if (cap < LOGS_TEXT_MAX)
            return err_set(err, RC_MAIL_BUDGET, "log");
    }
}

/* The chunk, then that it was made. */
static enum rc store(struct agent *a, struct logs_unit *u, struct logs_state *s,
                     struct bytes content, struct err *err)
{
    struct mail_file f = { .way = MAIL_SENT, .log = true };
    struct mail head = { .direction = MAIL_LOGS,
                         .node = a->config.node,
                         .time_ms = mail_today_ms(a),
                         .name = "log",
                         .size = (uint32_t)content.n };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    struct mail_state m;
    struct err ignored;
    bool kept = false;
    scoped(close_fd) int mem = -1;
    enum rc rc = mail_load_state(a, u->tenant, u->payload, &m, err);

    memcpy(f.tenant, u->tenant, sizeof f.tenant);
    memcpy(f.payload, u->payload, sizeof f.payload);
    memcpy(head.tenant, u->tenant, sizeof head.tenant);
    memcpy(head.payload, u->payload, sizeof head.payload);
    head.expires_ms = head.time_ms + MAIL_LIFE_MS;
    if (rc == RC_OK)
        rc = fs_sealed("log", content, &mem, err);
    if (rc != RC_OK)
        return rc;
    f.number = head.number = ++m.number;
    rc = mail_head_encode(&head, buf, &bytes, err);
    if (rc == RC_OK)
        rc = mail_put_noted(a, &f, bytes, mem, content.n, NULL, &m, &kept, err);
    if (rc != RC_OK && kept) /* its lines go again */
        (void)!mail_store_remove(a->data_dir, &f, &ignored);
    if (rc != RC_OK)
        return rc;
    mail_add_item(a, &f);
    s->day_bytes += f.size + MAIL_COST;
    u->pass_bytes += f.size + MAIL_COST;
    /* A place that cannot be saved, or nobody knows whether it is, may send lines twice; to take
     * the chunk back could lose them. */
    if (save(a, u, s, &ignored) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &ignored, "log of %s/%s", u->tenant, u->payload);
        u->s = *s;
        u->unsaved = true;
    }
    return RC_OK;
}

/* What comes next for each of the two ways.  What was asked for may take what goes unasked with it.
 */
static void advance(struct logs_state *s, const struct logs_place *to, uint64_t used, bool more)
{
    if (!s->asked) {
        s->next = *to;
        s->short_of = false;
        return;
    }
    const struct logs_place from = s->asked_next;

    if (s->next.instance == from.instance && from.number <= s->next.number &&
        s->next.number < to->number)
        s->next = *to;
    s->asked_next = *to;
    s->asked_bytes = s->asked_bytes > used ? s->asked_bytes - used : 0;
    s->asked = more && s->asked_bytes > 0;
}

static void settle(struct agent *a, struct logs_unit *u, struct logs_state *s)
{
    struct err err = { 0 };

    if (save(a, u, s, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "log of %s/%s", u->tenant, u->payload);
}

/* Nothing went: say why, and when to look again. */
static void put_off(struct agent *a, struct logs_unit *u, struct logs_state *s, enum rc rc,
                    const struct err *err, uint64_t now_ms)
{
    if (rc == RC_NOT_FOUND) {
        if (s->asked) {
            s->asked = false;
            settle(a, u, s);
            return;
        }
        u->waiting = u->now = false;
        return;
    }
    u->again_ms = now_ms + (rc == RC_MAIL_FULL ? AGAIN_MS : SHORT_AGAIN_MS);
    if (rc != RC_MAIL_BUDGET && rc != RC_MAIL_FULL) {
        log_err(LOG_LEVEL_WARN, err, "log of %s/%s", u->tenant, u->payload);
    } else if (rc == RC_MAIL_BUDGET && !s->short_of) {
        s->short_of = true;
        settle(a, u, s);
    }
}

static enum rc send_chunk(struct agent *a, struct logs_unit *u, struct logs_state *s,
                          struct err *err)
{
    static uint8_t buf[LOGS_BYTES_MAX];
    scoped(free_log) struct loaded_log l = { 0 };
    struct mail_file f = { .way = MAIL_SENT, .log = true };
    struct logs_place place;
    struct bytes content = { 0 };
    uint64_t used = 0;
    bool more = false;

    memcpy(f.tenant, u->tenant, sizeof f.tenant);
    memcpy(f.payload, u->payload, sizeof f.payload);
    if (chunks_waiting(a, u).n >= LOGS_WAITING_MAX || !mail_has_room(a, &f))
        return err_set(err, RC_MAIL_FULL, "%s/%s", u->tenant, u->payload);
    const uint64_t pass = pass_left(a, u);
    uint64_t left = 0;
    enum rc rc = bytes_left(a, u, s, &left, err);
    const bool day_is_less = left <= pass;

    left = day_is_less ? left : pass;
    if (rc == RC_OK && left < COST_MIN)
        rc = err_set(err, RC_MAIL_BUDGET, "%s/%s", u->tenant, u->payload);
    if (rc == RC_OK)
        rc = read_log(a, u, &l, err);
    if (rc == RC_OK)
        rc = make(&l, s, left, &place, buf, &content, &used, &more, err);
    if (rc == RC_MAIL_BUDGET && !day_is_less) /* the next pass has some */
        rc = err_set(err, RC_MAIL_FULL, "%s/%s", u->tenant, u->payload);
    if (rc != RC_OK)
        return rc;
    const bool asked = s->asked;

    advance(s, &place, used, more);
    rc = store(a, u, s, content, err);
    if (rc == RC_OK && !asked) {
        u->sent_kept = u->kept;
        u->waiting = u->now = more;
    }
    return rc;
}

static bool is_due(const struct logs_unit *u, uint64_t now_ms)
{
    if (u->tenant[0] == '\0' || now_ms < u->again_ms)
        return false;
    if (u->unsaved)
        return true;
    if (u->s.sealed)
        return false;
    if (u->s.asked)
        return true;
    if (u->s.follow == 0 || !u->waiting)
        return false;
    uint64_t gap = UINT64_C(86400000) * CHUNK_USUAL / u->s.follow;

    gap = gap < GAP_MIN_MS ? GAP_MIN_MS : gap > GAP_MAX_MS ? GAP_MAX_MS : gap;
    return u->now || u->kept - u->sent_kept >= KEPT_MANY || now_ms - u->waiting_ms >= gap;
}

/* One at a time: it reads all that a payload's log has. */
void logs_tick(struct agent *a, uint64_t now_ms)
{
    if (a->data_dir < 0 || a->log_dir < 0)
        return;
    look(a, now_ms);
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct logs_unit *u = &a->logs.unit[(a->logs.turn + i) % UNITS_MAX];
        struct logs_state s = u->s;
        struct err err = { 0 };

        if (!is_due(u, now_ms) || !mail_is_on_board(a, u->tenant, u->payload))
            continue;
        a->logs.turn = (uint32_t)(u - a->logs.unit) + 1;
        if (u->unsaved)
            settle(a, u, &s);
        if (u->unsaved || s.sealed) {
            u->again_ms = now_ms + AGAIN_MS;
            return;
        }
        begin_day(&s, mail_today_ms(a) / MAIL_DAY_MS);
        enum rc rc = send_chunk(a, u, &s, &err);

        if (rc != RC_OK) {
            s = u->s;
            put_off(a, u, &s, rc, &err, now_ms);
        }
        return;
    }
}

/* ---- asked for --------------------------------------------------------------------------------
 */

enum rc logs_asked(struct agent *a, const struct mail *head, int fd, struct err *err)
{
    scoped(free_log) struct loaded_log l = { 0 };
    const struct grant *grant = a->trust ? trust_grant(a->trust, head->tenant) : NULL;
    uint8_t buf[LOGS_REQUEST_MAX];
    struct logs_request q;

    if (head->node != a->config.node || !grant || grant->total.logs_bytes_day == 0 ||
        !mail_is_on_board(a, head->tenant, head->payload))
        return err_set(err, RC_MAIL_ADDRESS, "log of %s/%s", head->tenant, head->payload);
    if (head->size > sizeof buf)
        return err_set(err, RC_MAIL_FORMAT, "log request");
    enum rc rc = fs_pread_exact(fd, buf, head->size, head->head, err);
    if (rc == RC_OK)
        rc = logs_request_decode((struct bytes){ buf, head->size }, &q, err);
    if (rc != RC_OK)
        return rc;
    struct logs_unit *u = get(a, head->tenant, head->payload);

    if (!u)
        return err_set(err, RC_IO, "log of %s/%s", head->tenant, head->payload);
    if (u->s.sealed)
        return err_set(err, RC_MAIL_ADDRESS, "%s/%s: its mail is sealed", u->tenant, u->payload);
    struct logs_state s = u->s;

    rc = read_log(a, u, &l, err);
    if (rc != RC_OK)
        return rc;
    s.asked = logs_find(&l.files, &q, &s.asked_next);
    s.asked_bytes = q.bytes;
    u->again_ms = 0;
    return save(a, u, &s, err);
}
