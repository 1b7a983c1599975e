/* SPDX-License-Identifier: Apache-2.0 */
#include "link/tcpcl.h"

#include <assert.h>

/* Message types (RFC 9174 table 2). */
enum {
    MSG_SEGMENT = 1,
    MSG_ACK = 2,
    MSG_REFUSE = 3,
    MSG_KEEPALIVE = 4,
    MSG_TERM = 5,
    MSG_REJECT = 6,
    MSG_INIT = 7,
    MSG_TYPES,
};

enum { FLAG_END = 1, FLAG_START = 2 };      /* of XFER_SEGMENT and XFER_ACK */
enum { TERM_REPLY = 1 };                    /* of SESS_TERM */
enum { ITEM_CRITICAL = 1 };                 /* of an extension item */
enum { ITEM_TRANSFER_LENGTH = 1 };          /* the one type of item that is known */
enum { REJECT_TYPE = 1, REJECT_ORDER = 3 }; /* reasons of MSG_REJECT */

#define CONTACT_SIZE 6U
#define CONTACT_VERSION 4U
#define CONTACT_CAN_TLS 1U
#define ACK_SIZE 18U
/* Answers to one message, all acknowledgements that are held, and a SESS_TERM always fit. */
#define QUEUE_ROOM 2048U

static const uint8_t magic[4] = { 'd', 't', 'n', '!' };

static_assert(TCPCL_HELD_MAX * ACK_SIZE + 400U < QUEUE_ROOM, "a commit fits into the queue");
static_assert(QUEUE_ROOM < sizeof((struct tcpcl *)0)->queue, "the queue has room");

/* ---- what goes out, one control message after the other ---- */

static void put(struct tcpcl *s, const uint8_t *p, size_t n)
{
    assert(n <= sizeof s->queue - s->n_queue);
    memcpy(s->queue + s->n_queue, p, n);
    s->n_queue += n;
}

static void put_contact(struct tcpcl *s)
{
    uint8_t out[CONTACT_SIZE];

    memcpy(out, magic, sizeof magic);
    out[4] = CONTACT_VERSION;
    out[5] = s->config.tls ? CONTACT_CAN_TLS : 0;
    put(s, out, sizeof out);
}

static void put_init(struct tcpcl *s)
{
    size_t n_id = strlen(s->config.node_id);
    uint8_t out[21];
    static const uint8_t no_items[4] = { 0 };

    out[0] = MSG_INIT;
    bytes_put_be(out + 1, 2, s->config.keepalive_s);
    bytes_put_be(out + 3, 8, s->config.transfer_mru); /* a bundle may come in one segment */
    bytes_put_be(out + 11, 8, s->config.transfer_mru);
    bytes_put_be(out + 19, 2, n_id);
    put(s, out, sizeof out);
    put(s, (const uint8_t *)s->config.node_id, n_id);
    put(s, no_items, sizeof no_items);
}

static void put_term(struct tcpcl *s, uint8_t flags, uint8_t reason)
{
    const uint8_t out[3] = { MSG_TERM, flags, reason };

    if (s->term_sent)
        return;
    s->term_sent = true;
    put(s, out, sizeof out);
}

static void put_reject(struct tcpcl *s, uint8_t reason)
{
    const uint8_t out[3] = { MSG_REJECT, reason, s->head[0] };

    put(s, out, sizeof out);
}

/* Of a refused transfer nothing may follow: an acknowledgement that still waits would come behind
 * its refusal, and the peer, who has forgotten the transfer, would take it for a stray. */
static void put_refuse(struct tcpcl *s, uint8_t reason)
{
    uint8_t out[10] = { MSG_REFUSE, reason };

    bytes_put_be(out + 2, 8, s->rx_id);
    while (s->n_held > 0 && memcmp(s->held + (s->n_held - 1) * ACK_SIZE + 2, out + 2, 8) == 0)
        s->n_held--;
    put(s, out, sizeof out);
}

/* An acknowledgement stays behind those that wait for what they tell of to be durable. */
static void put_ack(struct tcpcl *s, bool final)
{
    uint8_t out[ACK_SIZE] = { MSG_ACK, s->rx_flags & (FLAG_START | FLAG_END) };

    bytes_put_be(out + 2, 8, s->rx_id);
    bytes_put_be(out + 10, 8, s->rx_n);
    if (!final && s->n_held == 0) {
        put(s, out, sizeof out);
        return;
    }
    assert(s->n_held < TCPCL_HELD_MAX);
    memcpy(s->held + s->n_held++ * ACK_SIZE, out, ACK_SIZE);
}

/* ---- the end ---- */

static enum tcpcl_event over(struct tcpcl *s)
{
    s->state = TCPCL_STATE_OVER;
    s->sending = false;
    return TCPCL_OVER;
}

/* The session cannot go on; reason tells the peer, where it understands that. */
static enum tcpcl_event fail(struct tcpcl *s, enum rc rc, enum tcpcl_term reason, const char *what)
{
    if (s->state != TCPCL_STATE_CONTACT && s->state != TCPCL_STATE_TLS)
        put_term(s, 0, (uint8_t)reason);
    (void)err_set(&s->err, rc, "%s", what);
    return over(s);
}

/* A message that fits nowhere: told to the peer, and borne a few times. */
static enum tcpcl_event stray(struct tcpcl *s)
{
    put_reject(s, REJECT_ORDER);
    if (++s->n_strays > TCPCL_STRAYS_MAX || s->state < TCPCL_STATE_UP || s->head[0] == MSG_SEGMENT)
        return fail(s, RC_TCPCL_UNEXPECTED, TCPCL_TERM_UNKNOWN, "message out of order");
    return TCPCL_NOTHING;
}

/* ---- what comes in ---- */

/* A list of extension items.  Unknown critical ones are RC_TCPCL_EXTENSION; the transfer length,
 * where it may be, goes to *ret_length, NULL elsewhere. */
static enum rc take_items(struct bytes in, uint64_t *ret_length)
{
    enum rc rc = RC_OK;

    while (in.n > 0) {
        if (in.n < 5)
            return RC_TCPCL_MESSAGE;

        uint64_t type = bytes_get_be(in.p + 1, 2);
        size_t n = (size_t)bytes_get_be(in.p + 3, 2);

        if (n > in.n - 5)
            return RC_TCPCL_MESSAGE;
        if (ret_length && type == ITEM_TRANSFER_LENGTH) {
            if (n != 8 || *ret_length != 0)
                return RC_TCPCL_MESSAGE;
            *ret_length = bytes_get_be(in.p + 5, 8);
            if (*ret_length == 0)
                return RC_TCPCL_MESSAGE;
        } else if ((in.p[0] & ITEM_CRITICAL) != 0) {
            rc = RC_TCPCL_EXTENSION;
        }
        in = (struct bytes){ in.p + 5 + n, in.n - 5 - n };
    }
    return rc;
}

static void begin_init(struct tcpcl *s, uint64_t now_ms)
{
    s->state = TCPCL_STATE_INIT;
    s->start_ms = now_ms;
    if (s->config.active)
        put_init(s);
}

static enum tcpcl_event take_contact(struct tcpcl *s, uint64_t now_ms)
{
    if (memcmp(s->head, magic, sizeof magic) != 0)
        return fail(s, RC_TCPCL_CONTACT, TCPCL_TERM_UNKNOWN, "contact header");
    if (!s->config.active)
        put_contact(s);
    if (s->head[4] != CONTACT_VERSION) {
        put_term(s, 0, TCPCL_TERM_VERSION);
        return fail(s, RC_TCPCL_CONTACT, TCPCL_TERM_VERSION, "version of the contact header");
    }
    if (s->config.tls && (s->head[5] & CONTACT_CAN_TLS) == 0) {
        put_term(s, 0, TCPCL_TERM_CONTACT);
        return fail(s, RC_CL_PEER, TCPCL_TERM_CONTACT, "the peer offers no TLS");
    }
    s->start_ms = now_ms;
    if (s->config.tls) {
        s->state = TCPCL_STATE_TLS;
        return TCPCL_STARTTLS;
    }
    begin_init(s, now_ms);
    return TCPCL_NOTHING;
}

static enum tcpcl_event take_init(struct tcpcl *s, uint64_t now_ms)
{
    const uint8_t *p = s->head;
    uint64_t keepalive = bytes_get_be(p + 1, 2);
    size_t n_id = (size_t)bytes_get_be(p + 19, 2);
    struct bytes items = { p + 25 + n_id, (size_t)bytes_get_be(p + 21 + n_id, 4) };
    enum rc rc = take_items(items, NULL);

    s->peer_segment_mru = bytes_get_be(p + 3, 8);
    s->peer_transfer_mru = bytes_get_be(p + 11, 8);
    for (size_t i = 0; i < n_id; i++)
        if (p[21 + i] <= ' ' || p[21 + i] > '~')
            rc = RC_TCPCL_MESSAGE;
    if (rc == RC_OK && (n_id == 0 || s->peer_segment_mru == 0))
        rc = RC_TCPCL_MESSAGE;
    if (rc != RC_OK)
        return fail(s, rc, TCPCL_TERM_CONTACT, "SESS_INIT");
    memcpy(s->peer_id, p + 21, n_id);
    s->peer_id[n_id] = '\0';
    s->keepalive_s =
        keepalive < s->config.keepalive_s ? (uint16_t)keepalive : s->config.keepalive_s;
    s->state = TCPCL_STATE_JUDGE;
    s->start_ms = now_ms;
    return TCPCL_PEER;
}

/* Tell the peer to stop, and pass over what still comes of the transfer. */
static void drop(struct tcpcl *s, enum tcpcl_refusal reason)
{
    put_refuse(s, (uint8_t)reason);
    s->rx_drop = true;
}

/* The last byte of a segment is there. */
static enum tcpcl_event end_segment(struct tcpcl *s)
{
    bool end = (s->rx_flags & FLAG_END) != 0;

    if (!s->rx_drop && end && (s->rx_n == 0 || (s->rx_total != 0 && s->rx_n != s->rx_total)))
        drop(s, TCPCL_REFUSE_NOT_ACCEPTABLE);
    if (s->rx_drop) {
        s->rx_open = !end;
        return TCPCL_NOTHING;
    }
    if (!end) {
        put_ack(s, false);
        return TCPCL_NOTHING;
    }
    s->rx_waiting = true;
    s->received = (struct bytes){ s->buf, (size_t)s->rx_n };
    s->event_id = s->rx_id;
    return TCPCL_BUNDLE;
}

/* The first segment of a transfer.  False: the session is over. */
static bool begin_transfer(struct tcpcl *s, uint64_t id, struct bytes items)
{
    uint64_t total = 0;
    enum rc rc = take_items(items, &total);

    if (rc == RC_TCPCL_MESSAGE) {
        (void)fail(s, rc, TCPCL_TERM_UNKNOWN, "extension items of a transfer");
        return false;
    }
    if ((s->rx_open && !s->rx_drop) || (s->rx_any && id <= s->rx_id)) {
        put_reject(s, REJECT_ORDER);
        (void)fail(s, RC_TCPCL_UNEXPECTED, TCPCL_TERM_UNKNOWN, "transfer out of order");
        return false;
    }
    s->rx_open = s->rx_any = true;
    s->rx_drop = false;
    s->rx_id = id;
    s->rx_n = 0;
    s->rx_total = total;
    if (s->state == TCPCL_STATE_ENDING)
        drop(s, TCPCL_REFUSE_ENDING);
    else if (rc != RC_OK)
        drop(s, TCPCL_REFUSE_EXTENSION);
    return true;
}

static enum tcpcl_event take_segment(struct tcpcl *s, uint64_t now_ms)
{
    const uint8_t *p = s->head;
    bool start = (p[1] & FLAG_START) != 0;
    uint64_t id = bytes_get_be(p + 2, 8);
    size_t n_items = start ? (size_t)bytes_get_be(p + 10, 4) : 0;
    uint64_t n = bytes_get_be(p + (start ? 14 + n_items : 10), 8);
    struct bytes items = { p + 14, n_items };

    (void)now_ms;
    if (n > s->config.transfer_mru)
        return fail(s, RC_TOO_LARGE, TCPCL_TERM_RESOURCES, "segment");
    if (start && !begin_transfer(s, id, items))
        return TCPCL_OVER;
    if (!start && (!s->rx_open || id != s->rx_id))
        return stray(s);
    s->rx_flags = p[1];
    s->rx_left = n;
    /* rx_n never exceeds the limit, so this cannot wrap. */
    if (!s->rx_drop &&
        (n > s->config.transfer_mru - s->rx_n || s->rx_total > s->config.transfer_mru ||
         (s->rx_total != 0 && n > s->rx_total - s->rx_n)))
        drop(s, TCPCL_REFUSE_NOT_ACCEPTABLE);
    return n == 0 ? end_segment(s) : TCPCL_NOTHING;
}

static struct tcpcl_sent *find_sent(struct tcpcl *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_sent; i++)
        if (s->sent[i].id == id)
            return &s->sent[i];
    return NULL;
}

static void forget_sent(struct tcpcl *s, struct tcpcl_sent *t)
{
    size_t i = (size_t)(t - s->sent);

    s->event_id = t->id;
    memmove(t, t + 1, (s->n_sent - i - 1) * sizeof *t);
    s->n_sent--;
}

static enum tcpcl_event take_ack(struct tcpcl *s, uint64_t now_ms)
{
    struct tcpcl_sent *t = find_sent(s, bytes_get_be(s->head + 2, 8));
    uint64_t n = bytes_get_be(s->head + 10, 8);

    if (!t)
        return stray(s);

    uint64_t given = s->sending && t->id == s->tx_id ? s->tx_given - s->seg_left : t->size;

    if (n > given || n < t->acked)
        return fail(s, RC_TCPCL_UNEXPECTED, TCPCL_TERM_UNKNOWN, "acknowledged length");
    t->acked = n;
    s->moved_ms = now_ms;
    if (n < t->size)
        return TCPCL_NOTHING;
    forget_sent(s, t);
    return TCPCL_DONE;
}

static enum tcpcl_event take_refuse(struct tcpcl *s, uint64_t now_ms)
{
    struct tcpcl_sent *t = find_sent(s, bytes_get_be(s->head + 2, 8));

    if (!t)
        return stray(s);
    s->event_reason = s->head[1];
    s->moved_ms = now_ms;
    if (s->sending && t->id == s->tx_id) {
        s->tx_stopped = true;
        s->sending = s->seg_left > 0;
    }
    forget_sent(s, t);
    return TCPCL_REFUSED;
}

static enum tcpcl_event take_keepalive(struct tcpcl *s, uint64_t now_ms)
{
    (void)s;
    (void)now_ms;
    return TCPCL_NOTHING;
}

static enum tcpcl_event take_term(struct tcpcl *s, uint64_t now_ms)
{
    bool up = s->state == TCPCL_STATE_UP || s->state == TCPCL_STATE_ENDING;

    put_term(s, TERM_REPLY, s->head[2]);
    s->term_seen = true;
    if (!up) {
        (void)err_set(&s->err, RC_CL_ENDED, "the peer ends with reason %u", s->head[2]);
        return over(s);
    }
    if (s->state == TCPCL_STATE_UP)
        s->start_ms = now_ms;
    s->state = TCPCL_STATE_ENDING;
    return TCPCL_NOTHING;
}

/* The peer did not understand something.  Never answered: two such ends would go on for ever. */
static enum tcpcl_event take_reject(struct tcpcl *s, uint64_t now_ms)
{
    (void)now_ms;
    if (++s->n_strays > TCPCL_STRAYS_MAX || s->state < TCPCL_STATE_UP)
        return fail(s, RC_TCPCL_UNEXPECTED, TCPCL_TERM_UNKNOWN, "the peer rejects our messages");
    return TCPCL_NOTHING;
}

/* What may come when; an empty cell is out of order. */
/* clang-format off */
static enum tcpcl_event (*const takes[TCPCL_STATES][MSG_TYPES])(struct tcpcl *, uint64_t) = {
    [TCPCL_STATE_INIT] = { [MSG_INIT] = take_init, [MSG_KEEPALIVE] = take_keepalive,
                           [MSG_TERM] = take_term, [MSG_REJECT] = take_reject },
    [TCPCL_STATE_UP] = { [MSG_SEGMENT] = take_segment, [MSG_ACK] = take_ack,
                         [MSG_REFUSE] = take_refuse, [MSG_KEEPALIVE] = take_keepalive,
                         [MSG_TERM] = take_term, [MSG_REJECT] = take_reject },
    [TCPCL_STATE_ENDING] = { [MSG_SEGMENT] = take_segment, [MSG_ACK] = take_ack,
                             [MSG_REFUSE] = take_refuse, [MSG_KEEPALIVE] = take_keepalive,
                             [MSG_TERM] = take_term, [MSG_REJECT] = take_reject },
};
/* clang-format on */

/* Add a length that the message announces to what is needed of it. */
static bool announce(struct tcpcl *s, size_t at, size_t width, uint64_t max, size_t *need)
{
    uint64_t n;

    if (s->n_head < at + width)
        return true;
    n = bytes_get_be(s->head + at, width);
    if (n > max)
        return false;
    *need += (size_t)n;
    return true;
}

/* How much of the message there must be before it can be taken, as far as what is there tells; not
 * the data of a segment. */
static enum rc need_of(struct tcpcl *s, size_t *ret_need)
{
    static const uint8_t fixed[MSG_TYPES] = {
        [MSG_SEGMENT] = 2, [MSG_ACK] = ACK_SIZE, [MSG_REFUSE] = 10, [MSG_KEEPALIVE] = 1,
        [MSG_TERM] = 3,    [MSG_REJECT] = 3,     [MSG_INIT] = 25
    };
    bool fits = true;
    size_t need = 1;

    if (s->state == TCPCL_STATE_CONTACT) {
        need = CONTACT_SIZE;
    } else if (s->n_head > 0) {
        if (s->head[0] >= MSG_TYPES || fixed[s->head[0]] == 0)
            return RC_TCPCL_MESSAGE;
        need = fixed[s->head[0]];
    }
    if (s->state != TCPCL_STATE_CONTACT && s->n_head >= 2 && s->head[0] == MSG_SEGMENT) {
        need = 18;
        if ((s->head[1] & FLAG_START) != 0) {
            need += 4;
            fits = announce(s, 10, 4, TCPCL_EXTENSIONS, &need);
        }
    } else if (s->state != TCPCL_STATE_CONTACT && s->n_head >= 21 && s->head[0] == MSG_INIT) {
        fits = announce(s, 19, 2, TCPCL_NODE_ID_MAX, &need) &&
               announce(s, need - 4, 4, TCPCL_EXTENSIONS, &need);
    }
    *ret_need = need;
    return fits ? RC_OK : RC_TOO_LARGE;
}

static enum tcpcl_event take_message(struct tcpcl *s, uint64_t now_ms)
{
    enum tcpcl_event (*take)(struct tcpcl *, uint64_t);

    if (s->state == TCPCL_STATE_CONTACT)
        return take_contact(s, now_ms);
    take = takes[s->state][s->head[0]];
    return take ? take(s, now_ms) : stray(s);
}

/* Take bytes of a message's head until it is there or the input is used up. */
static enum tcpcl_event take_head(struct tcpcl *s, struct bytes in, uint64_t now_ms, size_t *used)
{
    size_t need = 0;
    size_t n;

    for (;;) {
        enum rc rc = need_of(s, &need);

        if (rc != RC_OK && rc != RC_TOO_LARGE) {
            put_reject(s, REJECT_TYPE);
            return fail(s, rc, TCPCL_TERM_UNKNOWN, "message type");
        }
        if (rc != RC_OK)
            return fail(s, rc, TCPCL_TERM_RESOURCES, "node id or extension items");
        if (s->n_head >= need)
            break;
        n = need - s->n_head < in.n - *used ? need - s->n_head : in.n - *used;
        if (n == 0)
            return TCPCL_NOTHING;
        assert(n <= sizeof s->head - s->n_head);
        memcpy(s->head + s->n_head, in.p + *used, n);
        s->n_head += n;
        *used += n;
    }
    s->n_head = 0;
    return take_message(s, now_ms);
}

static enum tcpcl_event take_data(struct tcpcl *s, struct bytes in, size_t *used)
{
    size_t n = in.n - *used;

    if (s->rx_left < n)
        n = (size_t)s->rx_left;
    if (!s->rx_drop) {
        memcpy(s->buf + s->rx_n, in.p + *used, n);
        s->rx_n += n;
    }
    s->rx_left -= n;
    *used += n;
    return s->rx_left == 0 ? end_segment(s) : TCPCL_NOTHING;
}

/* Whether nothing is under way any more. */
static bool is_finished(const struct tcpcl *s)
{
    return s->term_sent && s->term_seen && (!s->rx_open || s->rx_drop) && s->n_sent == 0 &&
           !s->sending && s->n_held == 0;
}

/* What must be done before more input can be taken. */
static enum tcpcl_event pending(struct tcpcl *s)
{
    if (s->state == TCPCL_STATE_OVER)
        return TCPCL_OVER;
    if (s->state == TCPCL_STATE_TLS)
        return TCPCL_STARTTLS;
    if (s->state == TCPCL_STATE_JUDGE)
        return TCPCL_PEER;
    if (s->rx_waiting)
        return TCPCL_BUNDLE;
    if (s->state == TCPCL_STATE_ENDING && is_finished(s))
        return over(s);
    if (s->n_held == TCPCL_HELD_MAX)
        return TCPCL_HELD;
    return sizeof s->queue - s->n_queue < QUEUE_ROOM ? TCPCL_FULL : TCPCL_NOTHING;
}

void tcpcl_init(struct tcpcl *s, const struct tcpcl_config *config, uint64_t now_ms)
{
    assert(strlen(config->node_id) <= TCPCL_NODE_ID_MAX);
    *s = (struct tcpcl){ .config = *config, .state = TCPCL_STATE_CONTACT };
    s->start_ms = s->heard_ms = s->spoke_ms = s->moved_ms = now_ms;
    if (config->active)
        put_contact(s);
}

size_t tcpcl_wants(const struct tcpcl *s)
{
    return s->state == TCPCL_STATE_CONTACT ? CONTACT_SIZE - s->n_head : SIZE_MAX;
}

enum tcpcl_event tcpcl_input(struct tcpcl *s, struct bytes in, uint64_t now_ms, size_t *ret_used)
{
    enum tcpcl_event event;

    *ret_used = 0;
    for (;;) {
        event = pending(s);
        if (event != TCPCL_NOTHING || *ret_used == in.n)
            return event;
        s->heard_ms = now_ms;
        event = s->rx_left > 0 ? take_data(s, in, ret_used) : take_head(s, in, now_ms, ret_used);
        if (event != TCPCL_NOTHING)
            return event;
    }
}

/* ---- transfers that go out ---- */

/* Begin the next segment of the bundle that is sent. */
static void begin_segment(struct tcpcl *s, uint64_t now_ms)
{
    uint64_t left = s->tx.n - s->tx_given;
    uint64_t n = left < TCPCL_SEGMENT_MAX ? left : TCPCL_SEGMENT_MAX;
    uint8_t *p = s->seg_head;
    size_t at = 10;

    if (s->peer_segment_mru < n)
        n = s->peer_segment_mru;
    p[0] = MSG_SEGMENT;
    p[1] = (uint8_t)((s->tx_given == 0 ? FLAG_START : 0) | (n == left ? FLAG_END : 0));
    bytes_put_be(p + 2, 8, s->tx_id);
    if (s->tx_given == 0) {
        bool whole = n == left;

        bytes_put_be(p + at, 4, whole ? 0 : 13);
        at += 4;
        if (!whole) {
            p[at] = ITEM_CRITICAL;
            bytes_put_be(p + at + 1, 2, ITEM_TRANSFER_LENGTH);
            bytes_put_be(p + at + 3, 2, 8);
            bytes_put_be(p + at + 5, 8, s->tx.n);
            at += 13;
        }
    }
    bytes_put_be(p + at, 8, n);
    s->n_seg_head = at + 8;
    s->seg_left = (size_t)n;
    s->tx_given += n;
    s->moved_ms = now_ms;
}

/* Move from the front of a buffer. */
static size_t move_out(uint8_t *from, size_t *n, uint8_t *out, size_t cap)
{
    size_t take = *n < cap ? *n : cap;

    memcpy(out, from, take);
    memmove(from, from + take, *n - take);
    *n -= take;
    return take;
}

static size_t move_data(struct tcpcl *s, uint8_t *out, size_t cap, uint64_t now_ms)
{
    size_t take = s->seg_left < cap ? s->seg_left : cap;

    memcpy(out, s->tx.p + (s->tx_given - s->seg_left), take);
    s->seg_left -= take;
    s->moved_ms = now_ms;
    if (s->seg_left == 0 && (s->tx_stopped || s->tx_given == s->tx.n))
        s->sending = false;
    return take;
}

size_t tcpcl_output(struct tcpcl *s, uint8_t *out, size_t cap, uint64_t now_ms)
{
    size_t n = 0;

    while (n < cap) {
        if (s->n_seg_head > 0 && s->sending) {
            n += move_out(s->seg_head, &s->n_seg_head, out + n, cap - n);
        } else if (s->seg_left > 0) {
            if (!s->sending)
                break; /* the session broke within a segment: nothing can follow */
            n += move_data(s, out + n, cap - n, now_ms);
        } else if (s->n_queue > 0) {
            n += move_out(s->queue, &s->n_queue, out + n, cap - n);
        } else if (s->sending) {
            begin_segment(s, now_ms);
        } else {
            break;
        }
    }
    if (n > 0)
        s->spoke_ms = now_ms;
    return n;
}

bool tcpcl_can_send(const struct tcpcl *s)
{
    return s->state == TCPCL_STATE_UP && !s->sending && s->n_sent < TCPCL_WINDOW;
}

bool tcpcl_fits(const struct tcpcl *s, uint64_t size)
{
    return size > 0 && size <= s->peer_transfer_mru;
}

uint64_t tcpcl_send(struct tcpcl *s, struct bytes bundle, uint64_t now_ms)
{
    assert(tcpcl_can_send(s) && tcpcl_fits(s, bundle.n));
    s->tx = bundle;
    s->tx_given = 0;
    s->tx_id = s->tx_next_id++;
    s->tx_stopped = false;
    s->sending = true;
    s->sent[s->n_sent++] = (struct tcpcl_sent){ .id = s->tx_id, .size = bundle.n };
    if (s->n_sent == 1)
        s->moved_ms = now_ms;
    return s->tx_id;
}

bool tcpcl_sending(const struct tcpcl *s)
{
    return s->sending;
}

/* ---- what the user of the session says ---- */

void tcpcl_secured(struct tcpcl *s, uint64_t now_ms)
{
    assert(s->state == TCPCL_STATE_TLS);
    begin_init(s, now_ms);
}

void tcpcl_admit(struct tcpcl *s, uint8_t *buf, uint64_t now_ms)
{
    assert(s->state == TCPCL_STATE_JUDGE && buf);
    s->buf = buf;
    s->state = TCPCL_STATE_UP;
    s->moved_ms = s->start_ms = now_ms;
    if (!s->config.active)
        put_init(s);
}

void tcpcl_keep(struct tcpcl *s)
{
    assert(s->rx_waiting);
    put_ack(s, true);
    s->rx_waiting = s->rx_open = false;
}

void tcpcl_refuse(struct tcpcl *s, enum tcpcl_refusal reason)
{
    assert(s->rx_waiting);
    put_refuse(s, (uint8_t)reason);
    s->rx_waiting = s->rx_open = false;
}

bool tcpcl_held(const struct tcpcl *s)
{
    return s->n_held > 0;
}

void tcpcl_commit(struct tcpcl *s)
{
    put(s, s->held, s->n_held * ACK_SIZE);
    s->n_held = 0;
}

void tcpcl_end(struct tcpcl *s, enum tcpcl_term reason, uint64_t now_ms)
{
    if (s->state == TCPCL_STATE_UP) {
        put_term(s, 0, (uint8_t)reason);
        s->state = TCPCL_STATE_ENDING;
        s->start_ms = now_ms;
    } else if (s->state != TCPCL_STATE_ENDING && s->state != TCPCL_STATE_OVER) {
        (void)fail(s, RC_CL_ENDED, reason, "ended from here");
    }
}

/* ---- time ---- */

/* Whether so much time has passed since then; else *wait becomes what is left, if that is less. */
static bool is_due(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms, uint64_t *wait)
{
    uint64_t passed = now_ms > since_ms ? now_ms - since_ms : 0;

    if (passed >= limit_ms)
        return true;
    if (limit_ms - passed < *wait)
        *wait = limit_ms - passed;
    return false;
}

static void tick_up(struct tcpcl *s, uint64_t now_ms, uint64_t *wait)
{
    static const uint8_t keepalive[1] = { MSG_KEEPALIVE };
    uint64_t alive_ms = (uint64_t)s->keepalive_s * 1000U;
    uint64_t patience_ms = s->config.patience_ms;

    if (alive_ms > 0 && is_due(s->heard_ms, 2 * alive_ms, now_ms, wait)) {
        (void)fail(s, RC_CL_ENDED, TCPCL_TERM_IDLE, "the peer is silent");
    } else if (s->n_sent > 0 && is_due(s->moved_ms, patience_ms, now_ms, wait)) {
        (void)fail(s, RC_CL_ENDED, TCPCL_TERM_IDLE, "no acknowledgement");
    } else if (s->state == TCPCL_STATE_ENDING && is_due(s->start_ms, patience_ms, now_ms, wait)) {
        (void)fail(s, RC_CL_ENDED, TCPCL_TERM_IDLE, "the peer does not end");
    } else if (alive_ms > 0 && is_due(s->spoke_ms, alive_ms, now_ms, wait)) {
        if (s->n_queue == 0)
            put(s, keepalive, sizeof keepalive);
        s->spoke_ms = now_ms;
        if (alive_ms < *wait)
            *wait = alive_ms;
    }
}

void tcpcl_tick(struct tcpcl *s, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    uint64_t wait = UINT64_MAX;

    if (s->state == TCPCL_STATE_UP || s->state == TCPCL_STATE_ENDING)
        tick_up(s, now_ms, &wait);
    else if (s->state != TCPCL_STATE_OVER &&
             is_due(s->start_ms, s->config.patience_ms, now_ms, &wait))
        (void)fail(s, RC_CL_ENDED, TCPCL_TERM_IDLE, "no answer");
    *ret_wait_ms = s->state == TCPCL_STATE_OVER ? 0 : wait;
}
