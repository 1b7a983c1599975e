/* SPDX-License-Identifier: Apache-2.0 */
#include "link/port.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/crypto.h"
#include "base/name.h"
#include "base/passed.h"
#include "link/mail.h"

#define MESSAGE_HEAD offsetof(struct port_message, object)
#define FDS_MAX 4U /* taken from a packet before it is judged, so that none leaks */

static_assert(MESSAGE_HEAD == 8, "the body follows two words");
static_assert(sizeof(struct port_transfers) < 64U * 1024U, "a message fits into a packet");

const char *object_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [OBJECT_ROOT] = "root",
        [OBJECT_GRANT] = "grant",
        [OBJECT_ORDER] = "order",
        [OBJECT_PACKAGE] = "package",
        [OBJECT_REPORT] = "report",
        [OBJECT_REVOCATION] = "revocation",
        [OBJECT_TOKEN] = "token",
        [OBJECT_REKEY] = "rekey",
        [OBJECT_DELEGATION] = "delegation",
        [OBJECT_MAIL] = "mail",
    };

    return kind >= OBJECT_ROOT && kind <= OBJECT_KIND_MAX ? names[kind] : "object";
}

/* Is the text printable ASCII with a terminator, and zero behind it? */
static bool text_ok(const char *text, size_t cap)
{
    size_t n = strnlen(text, cap);

    if (n == cap)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return true;
}

static bool object_ok(const struct port_message *msg)
{
    const struct port_object *o = &msg->object;

    return o->kind >= OBJECT_ROOT && o->kind <= OBJECT_KIND_MAX && o->reserved == 0 &&
           o->size > 0 && o->size <= OBJECT_MAX;
}

static bool event_ok(const struct port_message *msg)
{
    const struct port_event *e = &msg->event;

    return e->rc != RC_OK && rc_from_number(e->rc) == (enum rc)e->rc && e->count > 0 &&
           text_ok(e->what, sizeof e->what);
}

static bool transfer_ok(const struct transfer_status *t)
{
    uint64_t next = 0; /* lowest first chunk that the next range may have */

    if (t->chunks > CHUNKS_MAX || t->n_missing > PORT_RANGES_MAX || t->more > 1)
        return false;
    if (t->chunks == 0 && (t->n_missing != 0 || t->more != 0))
        return false;
    for (uint32_t i = 0; i < t->n_missing; i++) {
        uint64_t end = (uint64_t)t->missing[i].first + t->missing[i].count;

        if (t->missing[i].count == 0 || t->missing[i].first < next || end > t->chunks)
            return false;
        next = end + 1;
    }
    return true;
}

static bool bytes_ok(const struct port_bytes *b)
{
    return b->in <= PORT_BYTES_MAX && b->out <= PORT_BYTES_MAX && b->useful <= b->in &&
           b->repeated <= b->in - b->useful;
}

static bool traffic_ok(const struct port_traffic *t)
{
    return bytes_ok(&t->contact) && bytes_ok(&t->all) && t->contacts <= PORT_BYTES_MAX &&
           t->key_epoch <= UINT32_MAX && t->highest <= PORT_BYTES_MAX &&
           t->accepted <= PORT_BYTES_MAX;
}

/* A name or nothing, and zero behind it. */
static bool tenant_ok(const char name[PORT_NAME_CAP])
{
    size_t n = strnlen(name, PORT_NAME_CAP);

    if (n == PORT_NAME_CAP || (n > 0 && !name_valid(name)))
        return false;
    for (; n < PORT_NAME_CAP; n++) {
        if (name[n] != '\0')
            return false;
    }
    return true;
}

static bool spool_ok(const struct port_spool *s)
{
    if (s->n > PORT_SPOOL_MAX || s->reserved != 0)
        return false;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!tenant_ok(s->tenant[i].name) ||
            (i > 0 && strcmp(s->tenant[i - 1].name, s->tenant[i].name) >= 0))
            return false;
    }
    return true;
}

bool port_transfers_ok(const struct port_transfers *t)
{
    if (t->n_transfers > PORT_TRANSFERS_MAX || t->n_complete > PORT_COMPLETE_MAX ||
        !traffic_ok(&t->traffic) || !spool_ok(&t->spool))
        return false;
    for (uint32_t i = 0; i < t->n_transfers; i++) {
        if (!transfer_ok(&t->transfer[i]))
            return false;
    }
    return true;
}

static bool transfers_ok(const struct port_message *msg)
{
    return port_transfers_ok(&msg->transfers);
}

static bool any_ok(const struct port_message *msg)
{
    (void)msg;
    return true;
}

static bool report_ok(const struct port_message *msg)
{
    return msg->report.n > 0 && msg->report.n <= REPORT_MAX;
}

static bool key_id_ok(const struct port_key_id *id)
{
    return id->peer != 0 && id->epoch != 0 && tenant_ok(id->tenant);
}

static bool key_ok(const struct port_message *msg)
{
    return key_id_ok(&msg->key.id);
}

static bool held_ok(const struct port_message *msg)
{
    return key_id_ok(&msg->held.id) && rc_from_number(msg->held.rc) == (enum rc)msg->held.rc;
}

static bool keys_ok(const struct port_message *msg)
{
    const struct port_keys *keys = &msg->keys;

    if (keys->n > PORT_KEYS_MAX)
        return false;
    for (uint32_t i = 0; i < keys->n; i++) {
        if (!key_id_ok(&keys->id[i]))
            return false;
    }
    return true;
}

static bool scrubbed_ok(const struct port_message *msg)
{
    const struct port_scrubbed *s = &msg->scrubbed;

    return s->damaged <= s->files && s->repaired <= s->damaged && s->reserved == 0;
}

static bool mail_ok(const struct port_message *msg)
{
    return msg->mail.size > 0 && msg->mail.size <= MAIL_OBJECT_MAX;
}

static bool mail_sent_ok(const struct port_message *msg)
{
    return rc_from_number(msg->mail_sent.rc) == (enum rc)msg->mail_sent.rc;
}

static bool pulse_ok(const struct port_message *msg)
{
    return msg->pulse.number != 0;
}

/* Every message there is. */
static const struct kind {
    size_t size; /* of the body in bytes; 0 = no such message */
    size_t fds;
    enum port_side from;
    bool (*ok)(const struct port_message *msg);
} kinds[] = {
    /* clang-format off */
    [PORT_OBJECT]      = { sizeof(struct port_object),    1, PORT_FROM_LINK,  object_ok },
    [PORT_EVENT]       = { sizeof(struct port_event),     0, PORT_FROM_LINK,  event_ok },
    [PORT_TRANSFERS]   = { sizeof(struct port_transfers), 0, PORT_FROM_LINK,  transfers_ok },
    [PORT_CONTACT]     = { 0,                             0, PORT_FROM_LINK,  any_ok },
    [PORT_OBJECT_DONE] = { sizeof(struct port_done),      0, PORT_FROM_AGENT, any_ok },
    [PORT_REPORT]      = { sizeof(struct port_report),    0, PORT_FROM_AGENT, report_ok },
    [PORT_KEY]         = { sizeof(struct port_key),       0, PORT_FROM_AGENT, key_ok },
    [PORT_KEY_HELD]    = { sizeof(struct port_key_held),  0, PORT_FROM_LINK,  held_ok },
    [PORT_KEYS]        = { sizeof(struct port_keys),      0, PORT_FROM_LINK,  keys_ok },
    [PORT_HEARD]       = { 0,                             0, PORT_FROM_LINK,  any_ok },
    [PORT_SCRUB]       = { 0,                             0, PORT_FROM_AGENT, any_ok },
    [PORT_SCRUBBED]    = { sizeof(struct port_scrubbed),  0, PORT_FROM_LINK,  scrubbed_ok },
    [PORT_SEED]        = { sizeof(struct port_object),    1, PORT_FROM_AGENT, object_ok },
    [PORT_MAIL]        = { sizeof(struct port_mail),      1, PORT_FROM_AGENT, mail_ok },
    [PORT_MAIL_SENT]   = { sizeof(struct port_mail_sent), 0, PORT_FROM_LINK,  mail_sent_ok },
    [PORT_MAIL_DROP]   = { sizeof(struct port_done),      0, PORT_FROM_AGENT, any_ok },
    [PORT_BRIEF]       = { sizeof(struct port_report),    0, PORT_FROM_AGENT, report_ok },
    [PORT_PING]        = { sizeof(struct port_pulse),     0, PORT_FROM_AGENT, pulse_ok },
    [PORT_PONG]        = { sizeof(struct port_pulse),     0, PORT_FROM_LINK,  pulse_ok },
    /* clang-format on */
};

/* The table's line for a type, or NULL. */
static const struct kind *kind_of(uint32_t type)
{
    if (type >= sizeof kinds / sizeof kinds[0] || kinds[type].ok == NULL)
        return NULL;
    return &kinds[type];
}

enum rc port_check(struct bytes raw, enum port_side from, size_t n_fds, struct port_message *ret,
                   struct err *err)
{
    uint32_t head[2] = { 0 };

    if (raw.n < MESSAGE_HEAD || raw.n > sizeof *ret)
        return err_set(err, RC_PROTOCOL, "port message of %zu bytes", raw.n);
    memcpy(head, raw.p, sizeof head);

    const struct kind *kind = kind_of(head[0]);

    if (kind == NULL || kind->from != from || head[1] != 0)
        return err_set(err, RC_PROTOCOL, "port message type %u", head[0]);
    if (raw.n != MESSAGE_HEAD + kind->size || n_fds != kind->fds)
        return err_set(err, RC_PROTOCOL, "port message %u: %zu bytes, %zu fds", head[0], raw.n,
                       n_fds);

    /* Judged in place of the result only after a copy: raw may not be aligned. */
    struct port_message msg = { 0 };

    memcpy(&msg, raw.p, raw.n);
    bool ok = kind->ok(&msg);

    if (ok)
        *ret = msg;
    if (msg.type == PORT_KEY)
        crypto_wipe(&msg, sizeof msg);
    return ok ? RC_OK : err_set(err, RC_PROTOCOL, "port message %u: values", head[0]);
}

enum rc port_send(int sock, const struct port_message *msg, int fd, struct err *err)
{
    const struct kind *kind = kind_of(msg->type);

    assert(kind != NULL);
    assert((kind->fds == 1) == (fd >= 0));

    union {
        char buf[PASSED_SPACE(1)];
        struct cmsghdr align;
    } control = { 0 };
    /* The system's type has no const; sendmsg does not write. */
    struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = MESSAGE_HEAD + kind->size };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0)
        passed_put(&hdr, control.buf, &fd, 1);
    ssize_t n = 0;

    do
        n = sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return err_set(err, RC_TIMEOUT, "port is full");
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
        return err_set(err, RC_SHORT, "port is closed");
    if (n < 0)
        return err_sys(err, RC_IO, "send to port");
    return RC_OK;
}

enum rc port_recv(int sock, enum port_side from, struct port_message *ret, int *ret_fd,
                  struct err *err)
{
    union {
        char buf[PASSED_SPACE(FDS_MAX)];
        struct cmsghdr align;
    } control = { 0 };
    struct port_message raw = { 0 };
    struct iovec iov = { .iov_base = &raw, .iov_len = sizeof raw };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    ssize_t n = 0;

    do
        n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return err_set(err, RC_TIMEOUT, "nothing on the port");
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return err_set(err, RC_SHORT, "port is closed");
    if (n < 0)
        return err_sys(err, RC_IO, "receive from port");

    int fd = -1;
    size_t n_fds = passed_take(&hdr, &fd, 1, NULL);
    enum rc rc = RC_PROTOCOL;

    if ((hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        err_set(err, rc, "port message is cut off");
    else
        rc = port_check((struct bytes){ (const uint8_t *)&raw, (size_t)n }, from, n_fds, ret, err);
    if (raw.type == PORT_KEY)
        crypto_wipe(&raw, sizeof raw);
    if (rc == RC_OK) {
        *ret_fd = fd; /* -1 if the message has none */
        return RC_OK;
    }
    close_fd(&fd);
    return rc;
}
