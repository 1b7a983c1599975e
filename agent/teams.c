/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/teams.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/recorded.h"
#include "agent/revoke.h"
#include "base/cbor.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/name.h"
#include "base/statefile.h"

#define FILE_FORMAT 1U
#define FILE_MAX (2U * DOCUMENT_MAX + 32U)
#define NAMES_MAX (2U * TENANTS_MAX * TEAMS_MAX)
#define FILE_NAME_CAP (sizeof TRUST_TEAM_PREFIX + SIGNER_CAP + sizeof TRUST_TEAM_SUFFIX)

/* "team-acme+flight+cam": '+' is in no name. */
static void file_name(char out[FILE_NAME_CAP], const char *tenant, const char *team,
                      const char *suffix)
{
    (void)snprintf(out, FILE_NAME_CAP, TRUST_TEAM_PREFIX "%.*s+%.*s%s", (int)NAME_MAX_LEN, tenant,
                   (int)TEAM_CAP - 1, team, suffix);
    for (char *p = out; *p; p++)
        if (*p == '/')
            *p = '+';
}

struct team_name {
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
};

struct team_names {
    uint32_t n;
    struct team_name name[NAMES_MAX];
};

/* False: the file speaks of no team. */
static bool name_of_file(const char *file, struct team_name *ret)
{
    const size_t prefix = sizeof TRUST_TEAM_PREFIX - 1;
    const char *dot = strrchr(file, '.');
    const char *plus = strchr(file, '+');
    struct team_name name = { 0 };

    if (strncmp(file, TRUST_TEAM_PREFIX, prefix) != 0 || !dot || !plus || dot < plus)
        return false;
    size_t tenant = (size_t)(plus - file) - prefix, team = (size_t)(dot - plus) - 1;
    if (tenant >= sizeof name.tenant || team >= sizeof name.team)
        return false;
    memcpy(name.tenant, file + prefix, tenant);
    memcpy(name.team, plus + 1, team);
    for (char *p = name.team; *p; p++)
        if (*p == '+')
            *p = '/';
    *ret = name;
    return name_valid(name.tenant) && team_valid(name.team);
}

static int name_order(const struct team_name *a, const struct team_name *b)
{
    int by_tenant = strcmp(a->tenant, b->tenant);

    return by_tenant != 0 ? by_tenant : strcmp(a->team, b->team);
}

/* Sorted, so that parents come before their teams. */
static bool on_trust_file(void *arg, const char *file)
{
    struct team_names *names = arg;
    struct team_name name;
    uint32_t at = 0;

    if (!name_of_file(file, &name))
        return true;
    while (at < names->n && name_order(&names->name[at], &name) < 0)
        at++;
    if (names->n == NAMES_MAX || (at < names->n && name_order(&names->name[at], &name) == 0))
        return true;
    memmove(&names->name[at + 1], &names->name[at], (names->n - at) * sizeof names->name[0]);
    names->name[at] = name;
    names->n++;
    return true;
}

static struct team_names *list_names(const struct agent *a)
{
    struct team_names *names = calloc(1, sizeof *names);
    struct err err = { 0 };

    if (names && fs_list(a->trust_dir, ".", 4096, on_trust_file, names, NULL, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "trust");
    return names;
}

static void remove_files(const struct agent *a, const struct team_name *name)
{
    static const char *const suffixes[] = { TRUST_TEAM_SUFFIX, ".a", ".b" };
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char file[FILE_NAME_CAP];

        file_name(file, name->tenant, name->team, suffixes[i]);
        if (fs_unlink(a->trust_dir, file, &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "forgotten team");
    }
}

/* ---- loading ---- */

/* [format, lapsed, delegation, withdrawal] */
static enum rc restore(struct trust *trust, struct bytes in, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "team", 4, 4);
    if (cbor_uint(&r, "team.format", UINT32_MAX) != FILE_FORMAT)
        cbor_fail(&r, RC_DOC_VERSION, "team.format");
    bool lapsed = cbor_bool(&r, "team.lapsed");
    struct bytes delegation = cbor_bstr(&r, "team.delegation", 0, DOCUMENT_MAX);
    struct bytes withdrawal = cbor_bstr(&r, "team.withdrawal", 0, DOCUMENT_MAX);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    return rc == RC_OK ? trust_restore_team(trust, delegation, withdrawal, lapsed, err) : rc;
}

/* Our own, of which one copy will do. */
static enum rc load_own(struct agent *a, struct trust *trust, const struct team_name *name,
                        uint8_t *buf, struct err *err)
{
    struct statefile_info info = { 0 };
    char file[FILE_NAME_CAP];
    char what[sizeof "one copy of trust/, repaired" + FILE_NAME_CAP];
    size_t n = 0;

    file_name(file, name->tenant, name->team, "");
    enum rc rc = statefile_load(a->trust_dir, file, buf, FILE_MAX, &n, &info, err);
    const struct bytes content = { .p = buf, .n = n };
    if (rc == RC_OK)
        rc = restore(trust, content, err);
    if (rc != RC_OK || info.twice)
        return rc;
    if (info.damaged || (info.alone && info.sequence > 1)) {
        (void)snprintf(what, sizeof what, "one copy of trust/%s, repaired", file);
        agent_event(a, RC_STATE_DAMAGED, 1, what);
    }
    if (statefile_renew(a->trust_dir, file, content, err) != RC_OK)
        log_err(LOG_LEVEL_WARN, err, "repair trust/%s", file);
    return RC_OK;
}

/* What provisioning left counts until there is something of our own, and again if that is lost: it
 * is taken only if it is what was lost, or newer. */
static enum rc load_team(struct agent *a, struct trust *trust, const struct team_name *name,
                         uint8_t *buf, struct err *err)
{
    bool known = trust_expected_team(trust, name->tenant, name->team) != NULL;
    enum rc rc = load_own(a, trust, name, buf, err);
    struct err other = { 0 };
    char file[FILE_NAME_CAP];
    size_t n = 0;

    if (rc == RC_OK || rc == RC_ISSUED_BEFORE || (rc != RC_NOT_FOUND && !known))
        return rc;
    file_name(file, name->tenant, name->team, TRUST_TEAM_SUFFIX);
    enum rc plain = fs_read_file(a->trust_dir, file, buf, DOCUMENT_MAX, &n, &other);
    if (plain == RC_OK)
        plain = trust_add_delegation(trust, (struct bytes){ .p = buf, .n = n }, agent_now_unix(),
                                     NULL, &other);
    if (plain != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    *err = other;
    return plain;
}

static void tell_lost(struct agent *a, const struct trust *trust)
{
    for (uint32_t i = 0; i < a->state.trust.n_teams; i++) {
        const struct team_mark *m = &a->state.trust.team[i].mark;
        char what[sizeof "team " + SIGNER_CAP];

        if (!trust_expected_team(trust, m->tenant, m->team))
            continue;
        (void)snprintf(what, sizeof what, "team %.*s/%.*s", (int)NAME_MAX_LEN, m->tenant,
                       (int)TEAM_CAP - 1, m->team);
        agent_event(a, RC_SAFE_MODE, 1, what);
    }
}

void teams_load(struct agent *a, struct trust *trust)
{
    scoped(free_ptr) struct team_names *names = list_names(a);
    scoped(free_ptr) uint8_t *buf = malloc(FILE_MAX);

    recorded_expect_teams(a, trust);
    for (uint32_t i = 0; names && buf && i < names->n; i++) {
        char what[FILE_NAME_CAP];
        struct err err = { 0 };
        enum rc rc = load_team(a, trust, &names->name[i], buf, &err);

        file_name(what, names->name[i].tenant, names->name[i].team, "");
        if (rc == RC_ISSUED_BEFORE)
            remove_files(a, &names->name[i]); /* a cut came between the grant and this */
        else if (rc != RC_OK)
            agent_event_err(a, &err, what);
    }
    tell_lost(a, trust);
}

/* ---- saving ---- */

static enum rc save_team(struct agent *a, size_t i, struct err *err)
{
    const struct team_view v = trust_team(a->trust, i);
    scoped(free_ptr) uint8_t *buf = malloc(FILE_MAX);
    struct cbor_out w = { .p = buf, .cap = FILE_MAX };
    struct bytes content = { 0 };
    char file[FILE_NAME_CAP];

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "team");
    cbor_put_array(&w, 4);
    cbor_put_uint(&w, FILE_FORMAT);
    cbor_put_bool(&w, v.lapsed);
    cbor_put_bstr(&w, v.delegation);
    cbor_put_bstr(&w, v.withdrawal);
    enum rc rc = cbor_written(&w, &content, err);
    file_name(file, v.tenant, v.team, "");
    if (rc == RC_OK)
        rc = statefile_renew(a->trust_dir, file, content, err);
    if (rc == RC_OK)
        trust_team_saved(a->trust, i);
    return rc;
}

static enum rc save_changed(struct agent *a, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < trust_teams(a->trust); i++)
        if (trust_team(a->trust, i).unsaved)
            rc = save_team(a, i, err);
    return rc;
}

void teams_save(struct agent *a)
{
    struct err err = { 0 };

    if (!a->damaged && save_changed(a, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "teams");
}

static bool is_held(const struct agent *a, const struct team_name *name)
{
    for (size_t i = 0; i < trust_teams(a->trust); i++) {
        const struct team_view v = trust_team(a->trust, i);

        if (strcmp(v.tenant, name->tenant) == 0 && strcmp(v.team, name->team) == 0)
            return true;
    }
    return false;
}

/* Only what is void: a file that could not be read when the trust was loaded may be whole. */
void teams_tidy(struct agent *a)
{
    scoped(free_ptr) struct team_names *names = a->trust && !a->damaged ? list_names(a) : NULL;
    scoped(free_ptr) uint8_t *buf = malloc(FILE_MAX);

    for (uint32_t i = 0; names && buf && i < names->n; i++) {
        struct err err = { 0 };

        if (!is_held(a, &names->name[i]) &&
            load_team(a, a->trust, &names->name[i], buf, &err) == RC_ISSUED_BEFORE)
            remove_files(a, &names->name[i]);
    }
}

/* ---- taking ---- */

enum rc teams_take(struct agent *a, struct bytes envelope, bool *ret_taken, struct err *err)
{
    struct team_change change = { 0 };
    char what[SIGNER_CAP];
    enum rc rc = trust_add_delegation(a->trust, envelope, agent_now_unix(), &change, err);

    *ret_taken = change.taken;
    if (rc != RC_OK || !change.taken)
        return rc;
    rc = save_changed(a, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(what, sizeof what, "%s/%s", change.tenant, change.team);
    log_event(LOG_LEVEL_INFO, "delegation team=%s epoch=%llu%s", what,
              (unsigned long long)change.epoch, change.withdrawn ? " withdrawn" : "");
    if (!change.withdrawn)
        return RC_OK;
    agent_event(a, RC_DELEGATION_WITHDRAWN, 1, what);
    revoke_apply(a);
    return RC_OK;
}
