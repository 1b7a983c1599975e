/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rekey.h"

#include <stdio.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

#define TELL_TIMES 3U  /* reports in a row that carry a new public half */
#define TELL_EVERY 32U /* and then one in so many */

static void wipe_box(struct rekey_box *box)
{
    crypto_wipe(box, sizeof *box);
}

/* ---- keeping ------------------------------------------------------------------------------------
 */

/* Both copies: the loss of one must not bring back an older number, nor lose a key. */
static enum rc save_box(struct agent *a, const struct rekey_box *box, struct err *err)
{
    uint8_t buf[REKEY_BOX_MAX];
    struct bytes content = { 0 };
    enum rc rc = rekey_box_encode(box, buf, sizeof buf, &content, err);

    for (int i = 0; rc == RC_OK && i < 2; i++)
        rc = statefile_save(a->state_dir, REKEY_FILE, content, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

static enum rc load_box(struct agent *a, struct rekey_box *ret, struct statefile_info *ret_info,
                        struct err *err)
{
    uint8_t buf[REKEY_BOX_MAX];
    size_t n = 0;
    enum rc rc = statefile_load(a->state_dir, REKEY_FILE, buf, sizeof buf, &n, ret_info, err);

    if (rc == RC_OK && rekey_box_decode((struct bytes){ buf, n }, ret, err) != RC_OK)
        rc = err_set(err, RC_STATE_DAMAGED, REKEY_FILE);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* Both copies in order again: of a box with one the next flipped bit costs every key. */
static void repair_box(struct agent *a, const struct statefile_info *info)
{
    struct err err = { 0 };

    if (info->twice)
        return;
    if (info->damaged || (info->alone && info->sequence > 1))
        agent_event(a, RC_STATE_DAMAGED, 1, "one copy of the rekey keys, repaired");
    if (save_box(a, &a->rekey.box, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "repair " REKEY_FILE);
}

/* The first pair, or one in the place of what is lost for good. */
static enum rc make_box(struct agent *a, struct err *err)
{
    scoped(wipe_box) struct rekey_box box = { .keys = { .n_kems = 1 } };
    static const char *const files[] = { REKEY_FILE ".a", REKEY_FILE ".b" };

    crypto_random(box.keys.kem[0], KEM_SEED_SIZE);
    for (size_t i = 0; i < 2; i++) {
        enum rc rc = fs_unlink(a->state_dir, files[i], err);

        if (rc != RC_OK)
            return rc;
    }
    enum rc rc = save_box(a, &box, err);
    if (rc == RC_OK)
        a->rekey.box = box;
    return rc;
}

void rekey_load(struct agent *a)
{
    struct statefile_info info = { 0 };
    struct err err = { 0 };
    enum rc rc = load_box(a, &a->rekey.box, &info, &err);
    bool lost = rc == RC_STATE_DAMAGED || rc == RC_TOO_LARGE;

    if (lost || (rc == RC_NOT_FOUND && a->state.epoch > 1))
        agent_event(a, RC_STATE_DAMAGED, 1, "rekey keys, new ones are made");
    if (rc == RC_OK)
        repair_box(a, &info);
    if (lost || rc == RC_NOT_FOUND)
        rc = make_box(a, &err);
    if (rc != RC_OK) /* without a pair until the next start: the links go on */
        agent_event_err(a, &err, "rekey keys");
    a->rekey.tell_public = TELL_TIMES;
}

/* ---- berth-link ---------------------------------------------------------------------------------
 */

static bool same_key(const struct port_key_id *a, const struct port_key_id *b)
{
    return a->peer == b->peer && a->epoch == b->epoch && strcmp(a->tenant, b->tenant) == 0;
}

bool rekey_answer(struct agent *a, const struct port_key_held *held)
{
    struct rekey_wait *w = &a->rekey.wait;
    bool open = false, known = false;

    for (uint32_t i = 0; i < w->n; i++) {
        if (same_key(&w->id[i], &held->id)) {
            known = true;
            w->held[i] |= held->rc == RC_OK;
            if (held->rc != RC_OK)
                w->refused = held->rc;
        }
        open |= !w->held[i];
    }
    return known && (!open || w->refused != RC_OK);
}

void rekey_links(struct agent *a, const struct port_keys *keys)
{
    a->rekey.links = *keys;
    a->rekey.links_known = true;
    agent_report_soon(a);
}

/* The newest epoch that berth-link says to hold, 0 = none. */
static uint32_t newest_of(const struct agent *a, const struct port_key_id *id)
{
    uint32_t newest = 0;

    for (uint32_t i = 0; i < a->rekey.links.n; i++) {
        const struct port_key_id *held = &a->rekey.links.id[i];

        if (held->peer == id->peer && strcmp(held->tenant, id->tenant) == 0 && held->epoch > newest)
            newest = held->epoch;
    }
    return newest;
}

static bool is_link(const struct rekey_entry *entry)
{
    return entry->what == REKEY_LINK || entry->what == REKEY_TENANT_LINK;
}

static struct port_key_id id_of(const struct rekey_entry *entry)
{
    struct port_key_id id = { .peer = entry->peer, .epoch = entry->epoch };

    memcpy(id.tenant, entry->tenant, sizeof entry->tenant);
    return id;
}

/* ---- one document -------------------------------------------------------------------------------
 */

static enum rc check_epoch(uint32_t epoch, uint32_t held, struct err *err)
{
    if (epoch < held)
        return err_set(err, RC_REKEY_OLD, "key epoch %u, %u is held", epoch, held);
    if (epoch - held > REKEY_EPOCH_JUMP_MAX)
        return err_set(err, RC_VALUE, "key epoch %u, %u is held", epoch, held);
    return RC_OK;
}

/* All entries before any is acted on.  The epoch of a link that is held already may come again:
 * berth-link knows whether it is the same key. */
static enum rc check_entries(const struct agent *a, const struct rekey *doc, struct err *err)
{
    const struct rekey_box *box = &a->rekey.box;
    uint32_t master = box->keys.n_masters == 0 ? 0 : box->master_epoch[box->keys.n_masters - 1];
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < doc->n; i++) {
        const struct rekey_entry *entry = &doc->entry[i];
        const struct port_key_id id = id_of(entry);

        if (is_link(entry) && entry->peer != a->config.ground)
            rc = err_set(err, RC_NOT_FOUND, "link with node %u", entry->peer);
        else if (is_link(entry))
            rc = check_epoch(entry->epoch, newest_of(a, &id), err);
        else if (entry->what == REKEY_NEW_MASTER && entry->epoch == master)
            rc = err_set(err, RC_REKEY_OLD, "master epoch %u is held", master);
        else if (entry->what == REKEY_NEW_MASTER)
            rc = check_epoch(entry->epoch, master, err);
    }
    return rc;
}

/* Begin to wait for the link keys of a document. */
static void begin_wait(struct agent *a, const struct rekey *doc, const struct digest *digest)
{
    struct rekey_wait *w = &a->rekey.wait;

    *w = (struct rekey_wait){ .digest = *digest };
    for (uint32_t i = 0; i < doc->n; i++)
        if (is_link(&doc->entry[i]))
            w->id[w->n++] = id_of(&doc->entry[i]);
}

/* Ask berth-link to hold what it does not hold yet. */
static enum rc ask(struct agent *a, const struct rekey *doc, const struct rekey_opened *opened,
                   struct err *err)
{
    static struct port_message m; /* large, and there is one thread */
    struct rekey_wait *w = &a->rekey.wait;
    enum rc rc = RC_OK;

    w->asked_ms = clock_mono_ms();
    for (uint32_t i = 0, k = 0; rc == RC_OK && i < doc->n; i++) {
        if (!is_link(&doc->entry[i]))
            continue;
        if (!w->held[k]) {
            memset(&m, 0, sizeof m);
            m.type = PORT_KEY;
            m.key.id = w->id[k];
            memcpy(m.key.secret, opened->secret[i], sizeof m.key.secret);
            rc = port_send(a->link_sock, &m, -1, err);
            crypto_wipe(&m, sizeof m);
        }
        k++;
    }
    return rc == RC_TIMEOUT ? RC_OK : rc; /* berth-link is behind: asked again later */
}

/* RC_OK: berth-link holds every link key of the document. */
static enum rc hand_over(struct agent *a, const struct rekey *doc, const struct digest *digest,
                         const struct rekey_opened *opened, struct err *err)
{
    struct rekey_wait *w = &a->rekey.wait;
    const bool mine = digest_same(&w->digest, digest);
    const bool other = !mine && !digest_is_none(&w->digest);
    bool open = false;

    if (other && clock_mono_ms() - w->asked_ms < 2U * REKEY_ASK_MS)
        return err_set(err, RC_BUSY, "another rekey waits");
    if (!mine)
        begin_wait(a, doc, digest);
    if (w->refused != RC_OK) {
        enum rc rc = rc_from_number(w->refused);

        *w = (struct rekey_wait){ 0 };
        return err_set(err, rc, "berth-link refused a key");
    }
    for (uint32_t i = 0; i < w->n; i++)
        open |= !w->held[i];
    if (!open)
        return RC_OK;
    enum rc rc = ask(a, doc, opened, err);
    return rc == RC_OK ? err_set(err, RC_BUSY, "berth-link is asked") : rc;
}

static struct bytes newest_pair(const struct rekey_box *box)
{
    return (struct bytes){ box->keys.kem[box->keys.n_kems - 1], KEM_SEED_SIZE };
}

/* Everything is open and the links are handed over: keep the rest, and the number. */
static enum rc keep(struct agent *a, const struct rekey *doc, const struct digest *digest,
                    const struct rekey_opened *opened, struct err *err)
{
    scoped(wipe_box) struct rekey_box next = a->rekey.box;
    uint8_t fresh[KEM_SEED_SIZE];

    crypto_random(fresh, sizeof fresh);
    rekey_box_apply(&next, doc, digest, opened, fresh);
    crypto_wipe(fresh, sizeof fresh);
    enum rc rc = save_box(a, &next, err);
    if (rc != RC_OK)
        return rc;
    if (!crypto_equal(newest_pair(&next), newest_pair(&a->rekey.box)))
        a->rekey.tell_public = TELL_TIMES;
    a->rekey.box = next;
    a->rekey.wait = (struct rekey_wait){ 0 };
    log_event(LOG_LEVEL_INFO, "rekey number=%llu entries=%u", (unsigned long long)doc->number,
              doc->n);
    agent_taken_new(a, false);
    agent_report_soon(a);
    return RC_OK;
}

static enum rc take_verified(struct agent *a, const struct rekey *doc, const struct digest *digest,
                             struct err *err)
{
    scoped(rekey_opened_wipe) struct rekey_opened opened = { 0 };
    enum rc rc = RC_OK;

    if (a->rekey.box.number == doc->number && digest_same(&a->rekey.box.digest, digest))
        return RC_OK; /* taken already; by number alone it may be one that a new root made void */
    if (a->rekey.box.keys.n_kems == 0)
        return err_set(err, RC_IO, "rekey keys could not be loaded");
    if (!a->rekey.links_known)
        return err_set(err, RC_BUSY, "berth-link has not said what it holds");
    rc = check_entries(a, doc, err);
    if (rc == RC_OK)
        rc = rekey_open(doc, &a->config.mission, &a->rekey.box.keys, &opened, err);
    if (rc == RC_OK)
        rc = hand_over(a, doc, digest, &opened, err);
    return rc == RC_OK ? keep(a, doc, digest, &opened, err) : rc;
}

enum rc rekey_take(struct agent *a, struct bytes envelope, struct err *err)
{
    const struct rekey_box *box = &a->rekey.box;
    const struct rekey_position position = { .satellite = a->config.satellite,
                                             .number = box->number,
                                             .digest = box->number > 0 ? &box->digest : NULL,
                                             .issued_ms = box->issued_ms };
    scoped(verified_rekey_free) struct verified_rekey *rekey = NULL;
    enum rc rc = trust_verify_rekey(a->trust, envelope, &position, agent_now_unix(), &rekey, err);

    if (rc == RC_OK)
        rc = take_verified(a, verified_rekey_get(rekey), verified_rekey_digest(rekey), err);
    return rc;
}

/* ---- reporting ----------------------------------------------------------------------------------
 */

static void report_kem(struct agent *a, uint64_t seq, struct report_keys *ret)
{
    const struct rekey_keys *keys = &a->rekey.box.keys;
    uint8_t public_half[KEM_PUBLIC_SIZE];
    struct err err = { 0 };

    if (keys->n_kems == 0)
        return;
    enum rc rc = kem_public(keys->kem[keys->n_kems - 1], public_half, &err);
    if (rc == RC_OK)
        rc = kem_id(public_half, ret->kem_id, &err);
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "KEM key");
        return;
    }
    ret->has_kem = true;
    if (a->rekey.box.proven || (a->rekey.tell_public == 0 && seq % TELL_EVERY != 0))
        return;
    ret->has_kem_public = true;
    memcpy(ret->kem_public, public_half, sizeof ret->kem_public);
    if (a->rekey.tell_public > 0)
        a->rekey.tell_public--;
}

/* Of each tenant the newest epoch; the link's own only if it is not the one of provisioning. */
static void report_links(const struct agent *a, struct report_keys *ret)
{
    const struct port_keys *links = &a->rekey.links;

    for (uint32_t i = 0; i < links->n; i++) {
        const struct port_key_id *id = &links->id[i];
        struct report_link *link = &ret->link[ret->n_links];

        if (newest_of(a, id) != id->epoch || (id->tenant[0] == '\0' && id->epoch == 1) ||
            ret->n_links == REPORT_LINKS_MAX)
            continue;
        *link = (struct report_link){ .peer = id->peer, .epoch = id->epoch };
        memcpy(link->tenant, id->tenant, sizeof link->tenant);
        ret->n_links++;
    }
}

void rekey_report(struct agent *a, uint64_t seq, struct report_keys *ret)
{
    const struct rekey_box *box = &a->rekey.box;
    struct err err = { 0 };

    *ret = (struct report_keys){ .rekey = box->number };
    if (box->keys.n_masters > 0 &&
        rekey_master_id(box->keys.master[box->keys.n_masters - 1], ret->master_id, &err) == RC_OK)
        ret->master_epoch = box->master_epoch[box->keys.n_masters - 1];
    report_kem(a, seq, ret);
    report_links(a, ret);
}
