/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/record.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/cbor.h"
#include "base/statefile.h"

#define RECORD_FORMAT 1U
#define RECORD_FIELDS 11U
#define LAUNCH "launch"
#define TRIES 6U
#define PAUSE_MS 100U /* doubles */

static const struct boot_id none;

bool boot_id_same(const struct boot_id *a, const struct boot_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool boot_id_none(const struct boot_id *id)
{
    return boot_id_same(id, &none);
}

/* ---- every change -------------------------------------------------------------------------------
 */

void boot_end_trial(struct boot_record *r)
{
    r->candidate = none;
    r->tries = r->reason = r->format = r->ran = 0;
}

static void fail(struct boot_record *r, const struct boot_id *who, enum rc code)
{
    r->failed = *who;
    r->code = (uint32_t)code;
}

static void fail_candidate(struct boot_record *r, enum rc code)
{
    fail(r, &r->candidate, code);
    boot_end_trial(r);
}

static void fail_current(struct boot_record *r, enum rc code)
{
    fail(r, &r->current, code);
    r->current = r->previous;
    r->previous = none;
    r->starts = 0;
}

/* A candidate that used up its starts, and a current agent that never gets well, give way. */
static enum rc start(struct boot_record *r, struct boot_id *ret)
{
    if (!boot_id_none(&r->candidate)) {
        if (r->tries > 0) {
            r->tries--;
            *ret = r->candidate;
            return RC_OK;
        }
        fail_candidate(r, r->reason != 0 ? (enum rc)r->reason : RC_AGENT_DIED);
    }
    if (!boot_id_none(&r->current) && r->starts >= BOOT_STARTS_MAX)
        fail_current(r, RC_CRASH_LOOP);
    if (!boot_id_none(&r->current))
        r->starts++;
    *ret = r->current;
    return RC_OK;
}

/* A committed agent that cannot be started is a slot that is damaged or gone: its package may come
 * again.  A candidate's files were read just before, so the fault is its own. */
static enum rc unstarted(struct boot_record *r, const struct boot_id *who, struct boot_id *ret)
{
    if (boot_id_none(who))
        return RC_NOT_FOUND;
    if (boot_id_same(who, &r->candidate))
        fail_candidate(r, RC_AGENT_START);
    else if (boot_id_same(who, &r->current))
        fail_current(r, RC_SLOT_DAMAGED);
    else
        return RC_TRANSITION;
    return start(r, ret);
}

static enum rc change(struct boot_record *r, const struct boot_news *news)
{
    if (boot_id_none(&news->id) || boot_id_same(&news->id, &r->current))
        return RC_TRANSITION;
    boot_end_trial(r);
    r->candidate = news->id;
    r->tries = BOOT_TRIES;
    r->format = news->format;
    r->ran = news->ran;
    return RC_OK;
}

static enum rc commit(struct boot_record *r)
{
    if (boot_id_none(&r->candidate))
        return RC_TRANSITION;
    r->previous = r->current;
    r->current = r->candidate;
    r->starts = 0;
    boot_end_trial(r);
    return RC_OK;
}

/* Its other starts would end in the same way. */
static enum rc give_up(struct boot_record *r, uint32_t code)
{
    if (boot_id_none(&r->candidate) || code == RC_OK)
        return RC_TRANSITION;
    r->tries = 0;
    r->reason = code;
    return RC_OK;
}

static enum rc leave(struct boot_record *r)
{
    r->current = r->previous = none;
    r->starts = 0;
    boot_end_trial(r);
    return RC_OK;
}

/* A start that ended because somebody wanted it to says nothing of the agent.  A candidate gets no
 * start back: one that hears nothing would be on trial for ever where somebody restarts it every
 * day. */
static enum rc stop(struct boot_record *r, const struct boot_id *who)
{
    if (boot_id_none(who) || !boot_id_same(who, &r->current) || r->starts == 0)
        return RC_TRANSITION;
    r->starts--;
    return RC_OK;
}

/* A committed agent that never got well had other files than were signed: it is as one that could
 * not be started, and its package may come again.  A candidate's files were read just before. */
static enum rc excuse(struct boot_record *r, const struct boot_id *who)
{
    if (boot_id_none(who) || !boot_id_same(who, &r->failed) || r->code != RC_CRASH_LOOP)
        return RC_TRANSITION;
    r->code = RC_SLOT_DAMAGED;
    return RC_OK;
}

uint32_t boot_pause(const struct boot_record *r)
{
    static const uint32_t pauses[] = { 0, 10, 30, BOOT_PAUSE_MAX_S };
    const uint32_t last = sizeof pauses / sizeof pauses[0] - 1;
    uint32_t bad =
        boot_id_none(&r->candidate) || r->reason != 0 ? r->starts : BOOT_TRIES - r->tries;

    return pauses[bad < last ? bad : last];
}

enum rc boot_next(struct boot_record *record, enum boot_event event, const struct boot_news *news,
                  struct boot_id *ret_start)
{
    switch (event) {
    case BOOT_EV_START:
        return start(record, ret_start);
    case BOOT_EV_UNSTARTED:
        return unstarted(record, &news->id, ret_start);
    case BOOT_EV_SWITCH:
        return change(record, news);
    case BOOT_EV_GIVE_UP:
        return give_up(record, news->code);
    case BOOT_EV_COMMIT:
        return commit(record);
    case BOOT_EV_WELL:
        record->starts = 0;
        return RC_OK;
    case BOOT_EV_LEAVE:
        return leave(record);
    case BOOT_EV_STOP:
        return stop(record, &news->id);
    case BOOT_EV_EXCUSE:
        return excuse(record, &news->id);
    case BOOT_EVENTS:
        break;
    }
    return RC_TRANSITION;
}

/* ---- bytes --------------------------------------------------------------------------------------
 */

/* Codes are not looked at: a later agent may have others than this program, which stays what it was
 * at launch. */
static enum rc check(const struct boot_record *r, struct err *err)
{
    bool trial = !boot_id_none(&r->candidate);

    if (r->tries > BOOT_TRIES || r->starts > BOOT_STARTS_MAX)
        return err_set(err, RC_VALUE, "boot: counts");
    if (!trial && (r->tries != 0 || r->reason != 0 || r->format != 0 || r->ran != 0))
        return err_set(err, RC_VALUE, "boot: no trial");
    if (trial && boot_id_same(&r->candidate, &r->current))
        return err_set(err, RC_VALUE, "boot.candidate");
    if (boot_id_none(&r->failed) != (r->code == RC_OK))
        return err_set(err, RC_VALUE, "boot: code");
    return RC_OK;
}

enum rc boot_decode(struct bytes in, struct boot_record *ret, struct err *err)
{
    struct cbor_in in_ = cbor_read(in);
    struct cbor_in *r = &in_;
    struct boot_record d = { 0 };

    (void)cbor_array(r, "boot", RECORD_FIELDS, RECORD_FIELDS);
    if (cbor_uint(r, "boot.record", UINT32_MAX) != RECORD_FORMAT)
        cbor_fail(r, RC_DOC_VERSION, "boot.record");
    cbor_fixed(r, "boot.current", d.current.b, DIGEST_SIZE);
    cbor_fixed(r, "boot.previous", d.previous.b, DIGEST_SIZE);
    cbor_fixed(r, "boot.candidate", d.candidate.b, DIGEST_SIZE);
    d.tries = (uint32_t)cbor_uint(r, "boot.tries", BOOT_TRIES);
    d.starts = (uint32_t)cbor_uint(r, "boot.starts", BOOT_STARTS_MAX);
    d.reason = (uint32_t)cbor_uint(r, "boot.reason", UINT32_MAX);
    d.format = (uint32_t)cbor_uint(r, "boot.format", UINT32_MAX);
    d.ran = (uint32_t)cbor_uint(r, "boot.ran", UINT32_MAX);
    cbor_fixed(r, "boot.failed", d.failed.b, DIGEST_SIZE);
    d.code = (uint32_t)cbor_uint(r, "boot.code", UINT32_MAX);
    cbor_end(r);

    enum rc rc = cbor_done(r, err);
    if (rc == RC_OK)
        rc = check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

static void put_id(struct cbor_out *w, const struct boot_id *id)
{
    cbor_put_bstr(w, (struct bytes){ .p = id->b, .n = sizeof id->b });
}

enum rc boot_encode(const struct boot_record *r, uint8_t *buf, size_t cap, struct bytes *ret,
                    struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = check(r, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, RECORD_FIELDS);
    cbor_put_uint(&w, RECORD_FORMAT);
    put_id(&w, &r->current);
    put_id(&w, &r->previous);
    put_id(&w, &r->candidate);
    cbor_put_uint(&w, r->tries);
    cbor_put_uint(&w, r->starts);
    cbor_put_uint(&w, r->reason);
    cbor_put_uint(&w, r->format);
    cbor_put_uint(&w, r->ran);
    put_id(&w, &r->failed);
    cbor_put_uint(&w, r->code);
    return cbor_written(&w, ret, err);
}

bool boot_passes(const struct err *err)
{
    return err_passes(err);
}

enum rc boot_load(int state_dirfd, struct boot_record *ret, struct err *err)
{
    uint8_t buf[BOOT_RECORD_MAX];
    struct err why = { 0 };
    size_t n = 0;
    enum rc rc = statefile_load(state_dirfd, BOOT_FILE, buf, sizeof buf, &n, NULL, &why);

    if (rc == RC_NOT_FOUND) {
        *ret = (struct boot_record){ 0 };
        return RC_OK;
    }
    if (rc == RC_OK)
        rc = boot_decode((struct bytes){ .p = buf, .n = n }, ret, &why);
    if (rc == RC_OK)
        return rc;
    if (boot_passes(&why)) {
        *err = why;
        return rc;
    }
    return err_set(err, RC_STATE_DAMAGED, BOOT_FILE ": %s %.64s", rc_name(rc), why.what);
}

/* Before another try, if there is to be one. */
static bool try_again(uint32_t tries, enum rc rc, struct err *err)
{
    const uint32_t ms = PAUSE_MS << tries;
    struct timespec left = { .tv_sec = ms / 1000U, .tv_nsec = (long)(ms % 1000U) * 1000000L };

    if (rc == RC_OK || !boot_passes(err) || tries + 1 >= TRIES)
        return false;
    *err = (struct err){ 0 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    return true;
}

enum rc boot_load_patiently(int state_dirfd, struct boot_record *ret, struct err *err)
{
    enum rc rc = boot_load(state_dirfd, ret, err);

    for (uint32_t i = 0; try_again(i, rc, err); i++)
        rc = boot_load(state_dirfd, ret, err);
    return rc;
}

enum rc boot_save(int state_dirfd, const struct boot_record *record, struct err *err)
{
    uint8_t buf[BOOT_RECORD_MAX];
    struct bytes content = { 0 };
    enum rc rc = boot_encode(record, buf, sizeof buf, &content, err);

    return rc == RC_OK ? statefile_renew(state_dirfd, BOOT_FILE, content, err) : rc;
}

enum rc boot_save_patiently(int state_dirfd, const struct boot_record *record, struct err *err)
{
    enum rc rc = boot_save(state_dirfd, record, err);

    for (uint32_t i = 0; try_again(i, rc, err); i++)
        rc = boot_save(state_dirfd, record, err);
    return rc;
}

/* ---- names --------------------------------------------------------------------------------------
 */

void boot_path(const struct boot_id *id, char out[BOOT_PATH_CAP])
{
    char hex[BOOT_NAME_CAP];

    (void)bytes_hex((struct bytes){ .p = id->b, .n = sizeof id->b }, hex);
    (void)snprintf(out, BOOT_PATH_CAP, "slots/berth/agent/%s/root/bin", hex);
}

void boot_name(const struct boot_id *id, char out[BOOT_NAME_CAP])
{
    if (boot_id_none(id))
        (void)snprintf(out, BOOT_NAME_CAP, LAUNCH);
    else
        (void)bytes_hex((struct bytes){ .p = id->b, .n = sizeof id->b }, out);
}

bool boot_name_read(const char *text, struct boot_id *ret)
{
    struct boot_id id = { 0 };

    if (strcmp(text, LAUNCH) == 0) {
        *ret = id;
        return true;
    }
    if (!bytes_unhex(text, id.b, sizeof id.b) || boot_id_none(&id))
        return false;
    *ret = id;
    return true;
}
