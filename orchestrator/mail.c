/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/port.h"
#include "orchestrator/checking.h"
#include "orchestrator/command.h"
#include "orchestrator/logs.h"
#include "orchestrator/telemetry.h"

#define SPOOL_DIR "mail/.spool"
#define DRAFT ".new"
#define LIST_MAX 65536U

enum rc mail_open_spool(const struct home *home, const char *satellite, int *ret_fd,
                        struct err *err)
{
    char path[sizeof SPOOL_DIR + NAME_CAP + 1];

    (void)snprintf(path, sizeof path, SPOOL_DIR "/%s", satellite);
    enum rc rc = fs_make_dirs(home->dirfd, path, 0700, err);
    return rc == RC_OK ? fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err) : rc;
}

/* ---- what came --------------------------------------------------------------------------------
 */

/* Whether a file has this content. */
static enum rc holds(int dir, const char *name, struct bytes content, bool *ret, struct err *err)
{
    scoped(close_fd) int fd = -1;
    scoped(free_ptr) uint8_t *buf = malloc(content.n + 1U);
    uint64_t size = 0;
    enum rc rc = buf ? fs_open_plain(dir, name, MAIL_CONTENT_MAX, &fd, &size, err)
                     : err_set(err, RC_NO_MEMORY, "message");

    *ret = rc == RC_OK && size == content.n;
    if (*ret)
        rc = fs_pread_exact(fd, buf, content.n, 0, err);
    *ret = *ret && rc == RC_OK && memcmp(buf, content.p, content.n) == 0;
    return rc;
}

/* The draft's own name, or one of its content if another message has that. */
static enum rc give_name(int dir, const char *name, struct bytes content, struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    char other[MAIL_NAME_CAP + 20];
    bool same = false;
    enum rc rc = fs_rename(dir, DRAFT, dir, name, true, err);

    if (rc != RC_EXISTS)
        return rc;
    rc = holds(dir, name, content, &same, err);
    if (rc != RC_OK || same)
        return rc; /* it came before, and the satellite had not heard */
    rc = sha256_of(content, digest, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(other, sizeof other, "%.*s.~%.8s", (int)(17U + MAIL_NAME_MAX - 10U), name,
                   bytes_hex((struct bytes){ digest, sizeof digest }, hex));
    rc = fs_rename(dir, DRAFT, dir, other, true, err);
    return rc == RC_EXISTS ? RC_OK : rc;
}

/* Write the content, and give it its name. */
static enum rc put(int dir, const char *name, int fd, const struct mail *m, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(m->size + 1U);
    scoped(close_fd) int out = -1;
    enum rc rc = buf ? fs_pread_exact(fd, buf, m->size, m->head, err)
                     : err_set(err, RC_NO_MEMORY, "message");

    if (rc == RC_OK)
        rc = fs_unlink(dir, DRAFT, err);
    if (rc == RC_OK)
        rc = fs_open(dir, DRAFT, O_WRONLY | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc == RC_OK)
        rc = fs_write_all(out, (struct bytes){ buf, m->size }, err);
    if (rc == RC_OK)
        rc = fs_sync(out, name, err);
    if (rc == RC_OK)
        rc = give_name(dir, name, (struct bytes){ buf, m->size }, err);
    (void)unlinkat(dir, DRAFT, 0);
    return rc;
}

/* A satellite may be in wrong hands: it speaks for payloads that are its own. */
static bool has_payload(const struct view_satellite *sat, const struct mail *m)
{
    for (uint32_t i = 0; i < sat->order.n_lines; i++) {
        if (strcmp(sat->order.line[i].tenant, m->tenant) == 0 &&
            strcmp(sat->order.line[i].name, m->payload) == 0)
            return true;
    }
    for (uint32_t i = 0; sat->seen && i < sat->seen->n_payloads; i++) {
        if (strcmp(sat->seen->payload[i].tenant, m->tenant) == 0 &&
            strcmp(sat->seen->payload[i].name, m->payload) == 0)
            return true;
    }
    return false;
}

enum rc mail_keep(const struct home *home, const struct view_satellite *sat, int fd, uint64_t size,
                  struct mail *ret, struct err *err)
{
    char path[sizeof MAIL_DIR + 3 * (NAME_CAP + 1)];
    char name[MAIL_NAME_CAP + 20];
    scoped(close_fd) int dir = -1;
    enum rc rc = mail_head_read(fd, size, ret, err);

    if (rc != RC_OK)
        return rc;
    if ((ret->direction != MAIL_DOWN && ret->direction != MAIL_ANSWER &&
         ret->direction != MAIL_TELEMETRY && ret->direction != MAIL_LOGS) ||
        ret->node != sat->row.node || !has_payload(sat, ret))
        return err_set(err, RC_MAIL_ADDRESS, "%s/%s", ret->tenant, ret->payload);
    if (ret->direction == MAIL_ANSWER)
        return command_keep(home, sat->row.id, ret, fd, err);
    if (ret->direction == MAIL_TELEMETRY)
        return telemetry_keep(home, sat->row.id, ret, fd, err);
    if (ret->direction == MAIL_LOGS)
        return logs_keep(home, sat->row.id, ret, fd, err);
    (void)snprintf(path, sizeof path, MAIL_DIR "/%s/%s/%s", ret->tenant, sat->row.id, ret->payload);
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%s", ret->number, ret->name);
    rc = fs_make_dirs(home->dirfd, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    return rc == RC_OK ? put(dir, name, fd, ret, err) : rc;
}

/* ---- what is there ----------------------------------------------------------------------------
 */

struct lister {
    const struct home *home;
    char path[3][NAME_CAP];
    unsigned depth;
    bool (*fn)(void *arg, const struct mail_kept *kept);
    void *arg;
    bool go_on;
    struct err *err;
};

static void path_of(const struct lister *l, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, MAIL_DIR);

    for (unsigned i = 0; i < l->depth; i++)
        n += (size_t)snprintf(out + n, cap - n, "/%s", l->path[i]);
}

static bool on_message(void *arg, const char *name)
{
    struct lister *l = arg;
    struct mail_kept kept = { .size = 0 };
    char dir[MAIL_ID_CAP + 8];
    char path[2 * MAIL_ID_CAP];
    struct stat st;

    path_of(l, dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/%.128s", dir, name);
    if (name[0] == '.' || strlen(name) > MAIL_NAME_MAX + 17U ||
        fstatat(l->home->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return true;
    (void)snprintf(kept.id, sizeof kept.id, "%.*s", (int)sizeof kept.id - 1,
                   path + sizeof MAIL_DIR);
    kept.size = (uint64_t)st.st_size;
    kept.came_ms = (uint64_t)st.st_mtim.tv_sec * 1000U;
    l->go_on = l->fn(l->arg, &kept);
    return l->go_on;
}

/* Tenants, satellites, payloads: three levels, and never more. */
static bool on_level(void *arg, const char *name)
{
    struct lister *l = arg;
    char path[MAIL_ID_CAP];
    struct err err = { 0 };

    if (!name_valid(name))
        return true;
    (void)snprintf(l->path[l->depth], NAME_CAP, "%s", name);
    l->depth++;
    path_of(l, path, sizeof path);
    if (l->depth == 3)
        (void)!fs_list(l->home->dirfd, path, LIST_MAX, on_message, l, NULL, &err);
    else /* NOLINTNEXTLINE(misc-no-recursion): two levels deep */
        (void)!fs_list(l->home->dirfd, path, LIST_MAX, on_level, l, NULL, &err);
    l->depth--;
    return l->go_on;
}

enum rc mail_list(const struct home *home, const char *tenant,
                  bool (*fn)(void *arg, const struct mail_kept *kept), void *arg, struct err *err)
{
    struct lister l = { .home = home, .fn = fn, .arg = arg, .go_on = true, .err = err };

    if (tenant != NULL) {
        (void)on_level(&l, tenant);
        return RC_OK;
    }
    enum rc rc = fs_list(home->dirfd, MAIL_DIR, LIST_MAX, on_level, &l, NULL, err);
    return rc == RC_NOT_FOUND || (rc == RC_IO && err->sys == ENOENT) ? RC_OK : rc;
}

/* An id is three names and a name of a file; anything else never leads to a path. */
static enum rc parse_id(const char *id, char out[MAIL_ID_CAP + 8], struct err *err)
{
    char part[NAME_CAP];
    const char *at = id;

    for (unsigned i = 0; i < 3; i++) {
        const size_t n = strcspn(at, "/");

        if (n >= sizeof part || at[n] != '/')
            return err_set(err, RC_NAME, "%.60s", id);
        memcpy(part, at, n);
        part[n] = '\0';
        if (!name_valid(part))
            return err_set(err, RC_NAME, "%.60s", id);
        at += n + 1;
    }
    if (strlen(at) < 18 || strspn(at, "0123456789abcdef") < 16 || at[16] != '-' ||
        !mail_name_ok(at + 17))
        return err_set(err, RC_NAME, "%.60s", id);
    (void)snprintf(out, MAIL_ID_CAP + 8, MAIL_DIR "/%s", id);
    return RC_OK;
}

enum rc mail_open_kept(const struct home *home, const char *id, int *ret_fd, uint64_t *ret_size,
                       struct err *err)
{
    char path[MAIL_ID_CAP + 8];
    enum rc rc = parse_id(id, path, err);

    return rc == RC_OK ? fs_open_plain(home->dirfd, path, MAIL_CONTENT_MAX, ret_fd, ret_size, err)
                       : rc;
}

enum rc mail_remove_kept(const struct home *home, const char *id, struct err *err)
{
    char path[MAIL_ID_CAP + 8];
    enum rc rc = parse_id(id, path, err);

    return rc == RC_OK ? fs_unlink(home->dirfd, path, err) : rc;
}

/* ---- what goes --------------------------------------------------------------------------------
 */

/* Whether a version wants its mail sealed; one that is not here is not known to. */
static bool wants_sealed(const struct home *home, const struct digest *manifest)
{
    scoped(pushed_done) struct pushed pushed = { 0 };
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);

    return m && checking_pushed(home, manifest, &pushed, NULL) == RC_OK &&
           manifest_decode(pushed.envelope.payload, m, NULL) == RC_OK && m->sealed;
}

static bool order_wants_sealed(const struct home *home, const struct want *order,
                               const struct mail *m)
{
    for (uint32_t i = 0; i < order->n_lines; i++) {
        const struct order_line *line = &order->line[i];

        if (strcmp(line->tenant, m->tenant) == 0 && strcmp(line->name, m->payload) == 0)
            return wants_sealed(home, &line->manifest);
    }
    return false;
}

/* The newest order of a satellite, one that is held too. */
static bool newest_wants_sealed(const struct home *home, const char *satellite,
                                const struct mail *m)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_order row;
    struct envelope envelope;
    struct want want;
    size_t n = 0;

    if (!order || store_newest_order(home->store, satellite, &row, NULL) != RC_OK ||
        store_order_envelope(home->store, satellite, row.generation, &bytes, &n, NULL) != RC_OK ||
        envelope_open((struct bytes){ bytes, n }, &envelope, NULL) != RC_OK ||
        order_decode(envelope.payload, order, NULL) != RC_OK)
        return false;
    want = want_of(order);
    return order_wants_sealed(home, &want, m);
}

/* Whether the version of a payload that is ordered, or the one that runs, does: on board it may be
 * any of these that the message comes to. */
static bool any_wants_sealed(const struct home *home, const struct view_satellite *sat,
                             const struct mail *m)
{
    for (uint32_t i = 0; sat->seen && i < sat->seen->n_payloads; i++) {
        const struct report_payload *p = &sat->seen->payload[i];

        if (strcmp(p->tenant, m->tenant) == 0 && strcmp(p->name, m->payload) == 0 &&
            wants_sealed(home, &p->running))
            return true;
    }
    return order_wants_sealed(home, &sat->order, m) || newest_wants_sealed(home, sat->row.id, m);
}

/* The satellite would refuse it, a pass later: say so now. */
static enum rc check_sealed(const struct home *home, const char *satellite, const struct mail *m,
                            struct bytes content, struct err *err)
{
    scoped(view_free) struct view *view = NULL;
    struct eid src, dst;
    enum rc rc = view_load_one(home->store, satellite, &view, err);

    if (rc != RC_OK)
        return rc;
    const struct view_satellite *sat = view_find(view, satellite);
    if (m->direction == MAIL_LOGS_REQUEST)
        return sat && any_wants_sealed(home, sat, m)
                   ? err_set(err, RC_MAIL_SEALED, "%s/%s: no log of it comes down", m->tenant,
                             m->payload)
                   : RC_OK;
    if (!sat || !any_wants_sealed(home, sat, m))
        return RC_OK;
    rc = mail_eid(GROUND_NODE, m->tenant, "", &src, err);
    if (rc == RC_OK)
        rc = mail_eid(m->node, m->tenant, m->payload, &dst, err);
    return rc == RC_OK ? mail_sealed_check(content, &src, &dst, err) : rc;
}

enum rc mail_parse_to(const char *to, struct mail *m, char satellite[NAME_CAP], struct err *err)
{
    const char *slash = strchr(to, '/');
    const char *at = slash ? strchr(slash, '@') : NULL;

    if (!at || slash - to >= (ptrdiff_t)NAME_CAP || at - slash > (ptrdiff_t)NAME_CAP ||
        strlen(at + 1) >= NAME_CAP)
        return err_set(err, RC_USAGE, "%.50s is not TENANT/PAYLOAD@SAT", to);
    memcpy(m->tenant, to, (size_t)(slash - to));
    memcpy(m->payload, slash + 1, (size_t)(at - slash - 1));
    memcpy(satellite, at + 1, strlen(at + 1) + 1);
    if (!name_valid(m->tenant) || !name_valid(m->payload) || !name_valid(satellite))
        return err_set(err, RC_NAME, "%.50s", to);
    return RC_OK;
}

enum rc mail_queue(const struct home *home, const char *satellite, struct mail *m, int fd,
                   struct digest *ret_object, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(MAIL_HEAD_MAX + (size_t)m->size);
    struct store_outgoing row = { .kind = OBJECT_MAIL, .class = CLASS_PACKAGE };
    struct store_satellite sat;
    struct bytes head = { 0 };
    enum rc rc = buf ? store_satellite(home->store, satellite, &sat, err)
                     : err_set(err, RC_NO_MEMORY, "message");

    if (rc != RC_OK)
        return rc;
    if (m->direction != MAIL_COMMAND && m->direction != MAIL_LOGS_REQUEST)
        m->direction = MAIL_UP;
    else if (m->size > MAIL_COMMAND_MAX)
        return err_set(err, RC_BUS_TOO_LARGE, "command: %u bytes at most", MAIL_COMMAND_MAX);
    m->node = (uint32_t)sat.node;
    m->time_ms = m->number = row.queued_ms = clock_unix_ms();
    rc = mail_head_encode(m, buf, &head, err);
    if (rc == RC_OK)
        rc = fs_pread_exact(fd, buf + head.n, m->size, 0, err);
    if (rc == RC_OK)
        rc = check_sealed(home, satellite, m, (struct bytes){ buf + head.n, m->size }, err);
    row.size = head.n + m->size;
    if (rc == RC_OK)
        rc = home_add_bytes(home, (struct bytes){ buf, row.size }, &row.object, row.path, err);
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    if (rc == RC_OK)
        rc = store_begin(home->store, &open, err);
    if (rc == RC_OK)
        rc = store_queue(home->store, &row, true, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL,
                         m->direction == MAIL_COMMAND        ? "command-send"
                         : m->direction == MAIL_LOGS_REQUEST ? "logs-request"
                                                             : "mail-send",
                         m->time_ms, err, "%s to %s/%s@%s, %u B", m->name, m->tenant, m->payload,
                         satellite, m->size);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK)
        *ret_object = row.object;
    return rc;
}
