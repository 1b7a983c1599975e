/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/rekeys.h"

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/statefile.h"

#define FILE_NAME "rekeys"
#define LOCK_NAME "rekeys.lock"
#define FORMAT 1U

void rekeys_wipe(struct rekeys *rekeys)
{
    crypto_wipe(rekeys, sizeof *rekeys);
}

void rekeys_plan_wipe(struct rekeys_plan *plan)
{
    crypto_wipe(plan, sizeof *plan);
}

/* ---- the file ---- */

/* A draft of what only the holder of the lock writes: a power cut left it, with secrets in it. */
static bool on_name(void *arg, const char *name)
{
    const int *dirfd = arg;
    struct err ignored;

    if (strncmp(name, "." FILE_NAME ".", sizeof FILE_NAME + 1) == 0 ||
        strncmp(name, ".offer-", 7) == 0)
        (void)!fs_unlink(*dirfd, name, &ignored);
    return true;
}

enum rc rekeys_lock(int dirfd, int *ret_lock, struct err *err)
{
    struct err ignored;
    enum rc rc = fs_lock(dirfd, LOCK_NAME, ret_lock, err);

    if (rc == RC_OK) /* the next one tries again */
        (void)!fs_list(dirfd, ".", SIZE_MAX, on_name, &dirfd, NULL, &ignored);
    return rc;
}

/* [1, number, asked, kem or empty, [ *4 [epoch, secret]]] */
enum rc rekeys_decode(struct bytes in, struct rekeys *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    *ret = (struct rekeys){ 0 };
    (void)cbor_array(&r, "rekeys", 5, 5);
    if (cbor_uint(&r, "rekeys.format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_VALUE, "rekeys.format");
    ret->number = cbor_uint(&r, "rekeys.number", INT64_MAX);
    ret->kem_asked = cbor_uint(&r, "rekeys.asked", INT64_MAX);
    struct bytes kem = cbor_bstr(&r, "rekeys.kem", 0, KEM_PUBLIC_SIZE);
    if (kem.n == KEM_PUBLIC_SIZE)
        memcpy(ret->kem_public, kem.p, kem.n);
    else if (kem.n > 0)
        cbor_fail(&r, RC_VALUE, "rekeys.kem");
    ret->has_kem = kem.n > 0;
    ret->n_masters = (uint32_t)cbor_array(&r, "rekeys.masters", 0, REKEYS_MASTERS_MAX);
    for (uint32_t i = 0; i < ret->n_masters && r.rc == RC_OK; i++) {
        (void)cbor_array(&r, "rekeys.master", 2, 2);
        ret->master[i].epoch = (uint32_t)cbor_uint(&r, "rekeys.master", UINT32_MAX);
        cbor_fixed(&r, "rekeys.master", ret->master[i].secret, REKEY_SECRET_SIZE);
        cbor_end(&r);
    }
    cbor_end(&r);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);
    return rc == RC_OK && ret->has_kem ? kem_id(ret->kem_public, ret->kem_id, err) : rc;
}

enum rc rekeys_load(int dirfd, struct rekeys *ret, struct err *err)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { 0 };
    uint8_t buf[REKEYS_FILE_MAX];
    size_t n = 0;
    enum rc rc = statefile_load(dirfd, FILE_NAME, buf, sizeof buf, &n, NULL, err);

    if (rc == RC_NOT_FOUND) {
        *ret = rekeys;
        return RC_OK;
    }
    if (rc == RC_OK)
        rc = rekeys_decode((struct bytes){ buf, n }, &rekeys, err);
    crypto_wipe(buf, sizeof buf);
    if (rc != RC_OK)
        return err_set(err, RC_KEY_FILE, "%s: %s", FILE_NAME, rc_name(rc));
    *ret = rekeys;
    return RC_OK;
}

enum rc rekeys_encode(const struct rekeys *rekeys, uint8_t *buf, size_t cap, struct bytes *ret,
                      struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 5);
    cbor_put_uint(&w, FORMAT);
    cbor_put_uint(&w, rekeys->number);
    cbor_put_uint(&w, rekeys->kem_asked);
    cbor_put_bstr(&w, (struct bytes){ rekeys->kem_public, rekeys->has_kem ? KEM_PUBLIC_SIZE : 0 });
    cbor_put_array(&w, rekeys->n_masters);
    for (uint32_t i = 0; i < rekeys->n_masters; i++) {
        cbor_put_array(&w, 2);
        cbor_put_uint(&w, rekeys->master[i].epoch);
        cbor_put_bstr(&w, (struct bytes){ rekeys->master[i].secret, REKEY_SECRET_SIZE });
    }
    return cbor_written(&w, ret, err);
}

enum rc rekeys_save(int dirfd, const struct rekeys *rekeys, struct err *err)
{
    uint8_t buf[REKEYS_FILE_MAX];
    struct bytes content = { 0 };
    enum rc rc = rekeys_encode(rekeys, buf, sizeof buf, &content, err);

    if (rc == RC_OK)
        rc = statefile_save_both(dirfd, FILE_NAME, content, err); /* no key may fall back */
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* ---- what reports say ---- */

static enum rc pin(struct rekeys *rekeys, const struct report_keys *report, bool *ret_changed,
                   struct err *err)
{
    uint8_t id[KEY_ID_SIZE];
    enum rc rc = kem_id(report->kem_public, id, err);

    if (rc != RC_OK)
        return rc;
    if (memcmp(id, report->kem_id, sizeof id) != 0)
        return err_set(err, RC_VALUE, "report.keys.kem");
    memcpy(rekeys->kem_public, report->kem_public, sizeof rekeys->kem_public);
    memcpy(rekeys->kem_id, id, sizeof id);
    rekeys->has_kem = true;
    rekeys->kem_asked = 0;
    *ret_changed = true;
    return RC_OK;
}

static enum rc observe_kem(struct rekeys *rekeys, const struct report_keys *report,
                           bool *ret_changed, struct err *err)
{
    char hex[2 * KEY_ID_SIZE + 1];

    if (!report->has_kem ||
        (rekeys->has_kem && memcmp(rekeys->kem_id, report->kem_id, KEY_ID_SIZE) == 0))
        return RC_OK;
    if (rekeys->has_kem && (rekeys->kem_asked == 0 || report->rekey < rekeys->kem_asked))
        return err_set(err, RC_KEM_CHANGED, "%s",
                       bytes_hex((struct bytes){ report->kem_id, KEY_ID_SIZE }, hex));
    return report->has_kem_public ? pin(rekeys, report, ret_changed, err) : RC_OK;
}

/* The index of the master key that a report names; n_masters: it is not known here. */
static uint32_t held_master(const struct rekeys *rekeys, const struct report_keys *report)
{
    uint32_t i = 0;

    if (!report || report->master_epoch == 0)
        return rekeys->n_masters;
    for (; i < rekeys->n_masters; i++) {
        uint8_t id[KEY_ID_SIZE];

        if (rekeys->master[i].epoch == report->master_epoch &&
            rekey_master_id(rekeys->master[i].secret, id, NULL) == RC_OK &&
            memcmp(id, report->master_id, sizeof id) == 0)
            break;
    }
    return i;
}

static void drop_masters(struct rekeys *rekeys, uint32_t first, uint32_t n)
{
    memmove(&rekeys->master[first], &rekeys->master[first + n],
            (rekeys->n_masters - first - n) * sizeof rekeys->master[0]);
    rekeys->n_masters -= n;
    crypto_wipe(&rekeys->master[rekeys->n_masters], n * sizeof rekeys->master[0]);
}

enum rc rekeys_observe(struct rekeys *rekeys, const struct report_keys *report, bool *ret_changed,
                       struct err *err)
{
    uint32_t held = held_master(rekeys, report);

    *ret_changed = false;
    if (held > 0 && held < rekeys->n_masters) { /* it has this one: those before are of no use */
        drop_masters(rekeys, 0, held);
        *ret_changed = true;
    }
    return observe_kem(rekeys, report, ret_changed, err);
}

/* ---- making one ---- */

enum rc rekeys_plan_add(struct rekeys_plan *plan, const struct rekey_entry *entry, struct err *err)
{
    uint32_t i = 0;

    if (plan->n == REKEY_ENTRIES_MAX)
        return err_set(err, RC_NO_ROOM, "rekey");
    while (i < plan->n && rekey_order(&plan->entry[i], entry) < 0)
        i++;
    if (i < plan->n && rekey_order(&plan->entry[i], entry) == 0)
        return err_set(err, RC_EXISTS, "%s", rekey_what_name(entry->what));
    memmove(&plan->entry[i + 1], &plan->entry[i], (plan->n - i) * sizeof plan->entry[0]);
    memmove(&plan->secret[i + 1], &plan->secret[i], (plan->n - i) * sizeof plan->secret[0]);
    plan->entry[i] = *entry;
    memset(plan->secret[i], 0, sizeof plan->secret[i]);
    if (entry->what != REKEY_NEW_KEM)
        crypto_random(plan->secret[i], sizeof plan->secret[i]);
    plan->n++;
    return RC_OK;
}

uint32_t rekeys_next_master(const struct rekeys *rekeys, const struct report_keys *report)
{
    uint32_t newest = report ? report->master_epoch : 0;

    for (uint32_t i = 0; i < rekeys->n_masters; i++)
        if (rekeys->master[i].epoch > newest)
            newest = rekeys->master[i].epoch;
    return newest + 1;
}

/* Recipient and the secret that both ends share. */
static enum rc address(const struct rekeys *rekeys, const struct report_keys *report,
                       enum rekey_recipient prefer, struct rekey *ret,
                       uint8_t ret_shared[KEM_SHARED_SIZE], struct err *err)
{
    uint32_t held = held_master(rekeys, report);

    if (ret->entry[0].what == REKEY_NEW_KEM) {
        ret->recipient = REKEY_NOBODY;
        return RC_OK;
    }
    if (prefer != REKEY_KEM && held < rekeys->n_masters) {
        ret->recipient = REKEY_MASTER;
        memcpy(ret_shared, rekeys->master[held].secret, KEM_SHARED_SIZE);
        return rekey_master_id(ret_shared, ret->key_id, err);
    }
    if (prefer == REKEY_MASTER || !rekeys->has_kem)
        return err_set(err, RC_REKEY_RECIPIENT, "%s key",
                       prefer == REKEY_MASTER ? "master" : "KEM");
    ret->recipient = REKEY_KEM;
    memcpy(ret->key_id, rekeys->kem_id, sizeof ret->key_id);
    return kem_seal(rekeys->kem_public, ret->sealed, ret_shared, err);
}

/* Room for one more: of those that wait to be taken, the oldest goes; never the one that is held.
 */
static void keep_master(struct rekeys *rekeys, const struct report_keys *report, uint32_t epoch,
                        const uint8_t secret[REKEY_SECRET_SIZE])
{
    uint32_t held = held_master(rekeys, report);

    if (rekeys->n_masters == REKEYS_MASTERS_MAX)
        drop_masters(rekeys, held == 0 ? 1 : 0, 1);
    rekeys->master[rekeys->n_masters].epoch = epoch;
    memcpy(rekeys->master[rekeys->n_masters].secret, secret, REKEY_SECRET_SIZE);
    rekeys->n_masters++;
}

enum rc rekeys_make(struct rekeys *rekeys, const struct report_keys *report,
                    const struct rekeys_plan *plan, enum rekey_recipient prefer,
                    const struct mission *mission, struct rekey *ret, struct err *err)
{
    uint64_t newest = report && report->rekey > rekeys->number ? report->rekey : rekeys->number;
    uint8_t shared[KEM_SHARED_SIZE] = { 0 };

    if (plan->n == 0 || newest >= INT64_MAX)
        return err_set(err, RC_VALUE, "rekey");
    ret->number = newest + 1;
    ret->n = plan->n;
    memcpy(ret->entry, plan->entry, sizeof ret->entry);
    enum rc rc = address(rekeys, report, prefer, ret, shared, err);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n; i++)
        if (plan->entry[i].what != REKEY_NEW_KEM)
            rc = rekey_wrap(ret, i, mission, shared, plan->secret[i], err);
    crypto_wipe(shared, sizeof shared);
    if (rc != RC_OK)
        return rc;
    rekeys->number = ret->number;
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->entry[i].what == REKEY_NEW_MASTER)
            keep_master(rekeys, report, plan->entry[i].epoch, plan->secret[i]);
        if (plan->entry[i].what == REKEY_NEW_KEM)
            rekeys->kem_asked = ret->number;
    }
    return RC_OK;
}
