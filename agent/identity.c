/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

static enum rc load_plain(const struct agent *a, struct agent_config *ret, struct err *err)
{
    uint8_t buf[CONFIG_MAX];
    size_t n = 0;
    enum rc rc = fs_read_file(a->state_dir, CONFIG_FILE, buf, sizeof buf, &n, err);

    return rc == RC_OK ? config_decode((struct bytes){ .p = buf, .n = n }, ret, err) : rc;
}

static enum rc load_kept(const struct agent *a, struct agent_config *ret,
                         struct statefile_info *info, struct err *err)
{
    uint8_t buf[CONFIG_MAX];
    size_t n = 0;
    enum rc rc = statefile_load(a->state_dir, CONFIG_KEPT_FILE, buf, sizeof buf, &n, info, err);

    return rc == RC_OK ? config_decode((struct bytes){ .p = buf, .n = n }, ret, err) : rc;
}

static bool is_same(const struct agent_config *a, const struct agent_config *b)
{
    return strcmp(a->satellite, b->satellite) == 0 && a->node == b->node &&
           a->ground == b->ground && memcmp(&a->mission, &b->mission, sizeof a->mission) == 0;
}

enum rc identity_load(struct agent *a, struct identity *ret, struct err *err)
{
    struct agent_config plain = { 0 }, kept = { 0 };
    struct statefile_info info = { 0 };
    struct err why = { 0 }, lost = { 0 };
    enum rc rc_plain = load_plain(a, &plain, &why);
    enum rc rc_kept = load_kept(a, &kept, &info, &lost);

    *ret = (struct identity){ .kept = info.twice,
                              .kept_bad = info.damaged || (info.alone && info.sequence > 1) };
    if (rc_kept == RC_OK) {
        a->config = kept;
        ret->plain_bad = rc_plain != RC_OK || !is_same(&plain, &kept);
        return RC_OK;
    }
    if (rc_plain != RC_OK) {
        *err = why;
        return rc_plain;
    }
    a->config = plain;
    ret->kept = false;
    ret->kept_bad = rc_kept != RC_NOT_FOUND;
    return RC_OK;
}

void identity_keep(struct agent *a, const struct identity *found)
{
    uint8_t buf[CONFIG_MAX];
    struct bytes content = { 0 };
    struct err err = { 0 };

    if (found->plain_bad)
        agent_event(a, RC_STATE_DAMAGED, 1, CONFIG_FILE ", its copy is used");
    if (found->kept || !a->trust)
        return;
    if (found->kept_bad)
        agent_event(a, RC_STATE_DAMAGED, 1, "copies of " CONFIG_FILE);
    enum rc rc = config_encode(&a->config, buf, sizeof buf, &content, &err);
    if (rc == RC_OK)
        rc = statefile_renew(a->state_dir, CONFIG_KEPT_FILE, content, &err);
    if (rc != RC_OK) /* the next start, or the scrub, does it */
        log_err(LOG_LEVEL_WARN, &err, "copies of " CONFIG_FILE);
}

static void scrub_plain(struct agent *a, struct bytes content)
{
    uint8_t have[CONFIG_MAX];
    struct err err = { 0 };
    size_t n = 0;

    a->scrub.count.files++;
    a->scrub.bytes += content.n;
    if (fs_read_file(a->state_dir, CONFIG_FILE, have, sizeof have, &n, &err) == RC_OK &&
        bytes_equal(content, (struct bytes){ have, n }))
        return;
    a->scrub.count.damaged++;
    if (fs_write_file(a->state_dir, CONFIG_FILE, content, 0644, &err) == RC_OK) {
        a->scrub.count.repaired++;
        agent_event(a, RC_STATE_DAMAGED, 1, CONFIG_FILE ", repaired");
    } else {
        log_err(LOG_LEVEL_WARN, &err, "repair " CONFIG_FILE);
    }
}

bool identity_scrub(struct agent *a, uint8_t buf[CONFIG_MAX], struct bytes *ret)
{
    struct err err = { 0 };

    if (!a->trust || config_encode(&a->config, buf, CONFIG_MAX, ret, &err) != RC_OK)
        return false;
    scrub_plain(a, *ret);
    return true;
}
