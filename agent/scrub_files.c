/* SPDX-License-Identifier: Apache-2.0
 *
 * The small files of agent/scrub: the agent's own state, the orders, the trust.  What memory holds
 * is what has been in force since the start, so it vouches for the file even when both copies are
 * damaged; what it does not hold is mended from the other copy, and is saved in both for that.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity.h"
#include "agent/scrub.h"
#include "agent/staged.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"
#include "boot/record.h"

#define TRUST_FILES_MAX 4096U

static void tell(struct agent *a, const char *what, const char *dir, const char *name)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s of %s%.30s%s", what, dir, name,
                   strncmp(what, "both", 4) == 0 ? "" : ", repaired");
    agent_event(a, RC_STATE_DAMAGED, 1, text);
}

/* One pair of copies; content is what memory vouches for, or NULL. */
static void scrub_pair(struct agent *a, const struct scrub_item *item, const struct bytes *content)
{
    const bool trust = item->kind == SCRUB_TRUST;
    enum statefile_found found = STATEFILE_WHOLE;
    struct scrubbed count = { 0 };
    struct err err = { 0 };
    enum rc rc = statefile_scrub(trust ? a->trust_dir : a->state_dir, item->name, content, &found,
                                 &count, &err);

    a->scrub.count.files += count.files;
    a->scrub.count.damaged += count.damaged;
    a->scrub.count.repaired += count.repaired;
    a->scrub.bytes += count.bytes;
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "scrub %s", item->name);
        return;
    }
    if (found == STATEFILE_MENDED)
        tell(a, count.damaged > 1 ? "two copies" : "one copy", trust ? "trust/" : "", item->name);
    if (found == STATEFILE_LOST) /* the next start finds it lost, and says what that means */
        tell(a, "both copies", trust ? "trust/" : "", item->name);
}

/* The agent's own record.  A damaged one that was found at the start is evidence, and stays. */
static void scrub_agent(struct agent *a, const struct scrub_item *item)
{
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes content = { 0 };
    struct err err = { 0 };

    if (buf && !a->damaged && state_encode(&a->state, buf, STATE_MAX, &content, &err) == RC_OK)
        scrub_pair(a, item, &content);
}

static void scrub_rekey(struct agent *a, const struct scrub_item *item)
{
    uint8_t buf[REKEY_BOX_MAX];
    struct bytes content = { 0 };
    struct err err = { 0 };

    if (a->rekey.box.keys.n_kems > 0 &&
        rekey_box_encode(&a->rekey.box, buf, sizeof buf, &content, &err) == RC_OK)
        scrub_pair(a, item, &content);
    crypto_wipe(buf, sizeof buf);
}

/* The root and grants are held in the bytes in which they came, and the revocations are one set.
 * What speaks of a tenant without a grant is void, and nobody vouches for it. */
static void scrub_trust(struct agent *a, const struct scrub_item *item)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    struct bytes held = { 0 };
    struct err err = { 0 };

    if (a->trust && buf && strcmp(item->name, TRUST_REVOKED_FILE) == 0)
        (void)!revoked_set_encode(trust_revoked(a->trust), buf, REVOKED_FILE_MAX, &held, &err);
    else if (a->trust && strcmp(item->name, "root") == 0)
        held = trust_root_envelope(a->trust);
    else if (a->trust && strncmp(item->name, "grant-", 6) == 0 &&
             trust_grant(a->trust, item->name + 6))
        held = trust_grant_envelope(a->trust, item->name + 6);
    scrub_pair(a, item, held.n > 0 ? &held : NULL);
}

/* What provisioning wrote, and the copies that were made of it. */
static void scrub_config(struct agent *a, const struct scrub_item *item)
{
    uint8_t buf[CONFIG_MAX];
    struct bytes content = { 0 };

    if (identity_scrub(a, buf, &content))
        scrub_pair(a, item, &content);
}

void scrub_file(struct agent *a, const struct scrub_item *item)
{
    if (item->kind == SCRUB_CONFIG)
        scrub_config(a, item);
    else if (item->kind == SCRUB_TRUST)
        scrub_trust(a, item);
    else if (strcmp(item->name, STATE_FILE) == 0)
        scrub_agent(a, item);
    else if (strcmp(item->name, REKEY_FILE) == 0)
        scrub_rekey(a, item);
    else
        scrub_pair(a, item, NULL);
}

/* ---- which there are ----------------------------------------------------------------------------
 */

struct names {
    struct agent *a;
    void (*add)(struct agent *a, const struct scrub_item *item);
    char last[SCRUB_NAME_CAP];
};

static uint64_t size_of(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

static void add_pair(struct agent *a, enum scrub_kind kind, const char *name,
                     void (*add)(struct agent *a, const struct scrub_item *item))
{
    struct scrub_item item = { .kind = kind };
    char file[SCRUB_NAME_CAP + 2];

    (void)snprintf(item.name, sizeof item.name, "%s", name);
    for (int copy = 'a'; copy <= 'b'; copy++) {
        (void)snprintf(file, sizeof file, "%s.%c", name, copy);
        item.bytes += size_of(kind == SCRUB_TRUST ? a->trust_dir : a->state_dir, file);
    }
    add(a, &item);
}

/* Each name once: by its first copy, or by its second if that is alone. */
static bool on_trust_name(void *arg, const char *file)
{
    const struct names *n = arg;
    char name[SCRUB_NAME_CAP], first[SCRUB_NAME_CAP + 2];
    size_t len = strlen(file);

    if (len < 3 || len >= sizeof name || file[len - 2] != '.' || file[0] == '.' ||
        (file[len - 1] != 'a' && file[len - 1] != 'b'))
        return true;
    (void)snprintf(name, sizeof name, "%.*s", (int)(len - 2), file);
    (void)snprintf(first, sizeof first, "%s.a", name);
    if (file[len - 1] == 'a' || faccessat(n->a->trust_dir, first, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        add_pair(n->a, SCRUB_TRUST, name, n->add);
    return true;
}

void scrub_files_list(struct agent *a, void (*add)(struct agent *a, const struct scrub_item *item))
{
    static const char *const files[] = { STATE_FILE, ORDER_FILE, STAGED_FILE, REKEY_FILE,
                                         BOOT_FILE };
    struct names n = { .a = a, .add = add };
    struct err err = { 0 };

    add_pair(a, SCRUB_CONFIG, CONFIG_KEPT_FILE, add);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        add_pair(a, SCRUB_STATE, files[i], add);
    if (fs_list(a->trust_dir, ".", TRUST_FILES_MAX, on_trust_name, &n, NULL, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "scrub trust");
}
