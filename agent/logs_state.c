/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs_state.h"

#include <fcntl.h>
#include <stdio.h>

#include "agent/mail_store.h"
#include "base/cbor.h"
#include "base/fs.h"
#include "base/statefile.h"

#define STATE_FILE_LOGS "logs"
#define FORMAT 1U
#define ITEMS 14U
#define STATE_MAX_LOGS 192U

static void read_place(struct cbor_in *r, struct logs_place *ret)
{
    ret->instance = cbor_uint(r, "instance", UINT64_MAX);
    ret->number = cbor_uint(r, "number", LOGS_NUMBER_MAX);
    ret->offset = cbor_uint(r, "offset", LOGS_NUMBER_MAX);
}

static enum rc decode(struct bytes in, struct logs_state *ret, struct err *err)
{
    struct logs_state s = { 0 };
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "logs", ITEMS, ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    read_place(&r, &s.next);
    s.follow = cbor_uint(&r, "follow", UINT64_MAX);
    s.day = cbor_uint(&r, "day", UINT64_MAX);
    s.day_bytes = cbor_uint(&r, "day bytes", UINT64_MAX);
    s.sealed = cbor_bool(&r, "sealed");
    s.short_of = cbor_bool(&r, "short");
    s.asked = cbor_bool(&r, "asked");
    read_place(&r, &s.asked_next);
    s.asked_bytes = cbor_uint(&r, "asked bytes", UINT64_MAX);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK)
        *ret = s;
    return rc;
}

static void path_of(const char *tenant, const char *payload, char out[2U * NAME_CAP + 1U])
{
    (void)snprintf(out, 2U * NAME_CAP + 1U, "%s/%s", tenant, payload);
}

enum rc logs_state_load(int data_dir, const char *tenant, const char *payload, uint64_t now_ms,
                        struct logs_state *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    uint8_t buf[STATE_MAX_LOGS];
    char path[2U * NAME_CAP + 1U];
    size_t n = 0;

    path_of(tenant, payload, path);
    enum rc rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    *ret = (struct logs_state){ 0 };
    if (rc == RC_OK)
        rc = statefile_load(dir, STATE_FILE_LOGS, buf, sizeof buf, &n, NULL, err);
    if (rc == RC_OK && decode((struct bytes){ buf, n }, ret, err) == RC_OK)
        return RC_OK;
    if (rc == RC_OK || rc == RC_STATE_DAMAGED || rc == RC_TOO_LARGE) {
        /* From the oldest line on: what has gone already is known to the ground by its numbers. */
        *ret = (struct logs_state){ .day = now_ms / MAIL_DAY_MS, .day_bytes = MAIL_USED_UP };
        return err_set(err, RC_STATE_DAMAGED, "%s/%s", tenant, payload);
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static void put_place(struct cbor_out *w, const struct logs_place *place)
{
    cbor_put_uint(w, place->instance);
    cbor_put_uint(w, place->number);
    cbor_put_uint(w, place->offset);
}

enum rc logs_state_save(int data_dir, const char *tenant, const char *payload,
                        const struct logs_state *s, struct err *err)
{
    scoped(close_fd) int dir = -1;
    uint8_t buf[STATE_MAX_LOGS];
    char path[2U * NAME_CAP + 1U];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes content = { 0 };

    cbor_put_array(&w, ITEMS);
    cbor_put_uint(&w, FORMAT);
    put_place(&w, &s->next);
    cbor_put_uint(&w, s->follow);
    cbor_put_uint(&w, s->day);
    cbor_put_uint(&w, s->day_bytes);
    cbor_put_bool(&w, s->sealed);
    cbor_put_bool(&w, s->short_of);
    cbor_put_bool(&w, s->asked);
    put_place(&w, &s->asked_next);
    cbor_put_uint(&w, s->asked_bytes);
    path_of(tenant, payload, path);
    enum rc rc = cbor_written(&w, &content, err);

    if (rc == RC_OK)
        rc = fs_make_dirs(data_dir, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    return rc == RC_OK ? statefile_renew(dir, STATE_FILE_LOGS, content, err) : rc;
}
