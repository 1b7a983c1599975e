/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_provision: make the state directory of a satellite, and remember the satellite.
 *
 * This is the one time that both ends of a link are in one place: the link secret is made here, one
 * copy goes into the state directory, the other stays below the home.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "base/statefile.h"
#include "link/state.h"
#include "manifest/config.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/labels.h"
#include "orchestrator/link_options.h"
#include "orchestrator/path.h"

/* Longest name of a file in trust/. */
#define TRUST_NAME_CAP (sizeof TRUST_TEAM_PREFIX + SIGNER_CAP + sizeof TRUST_TEAM_SUFFIX)

struct provision {
    struct home home;
    struct store_satellite sat;
    struct store_satellite before; /* --replace: what the store had; id "" = not that */
    uint32_t node;
    struct mission mission;
    int state_dirfd;
    uint64_t now_ms;
};

static enum rc fill_arguments(struct cli *cli, struct provision *p, struct err *err)
{
    const char *id = cli_arg(cli, 0);
    struct sender_options ignored = { 0 };
    uint64_t node = 0;
    enum rc rc = name_valid(id) ? RC_OK : err_set(err, RC_NAME, "%s", id);

    if (rc == RC_OK && !cli_value(cli, "node"))
        rc = err_set(err, RC_USAGE, "--node is missing");
    if (rc == RC_OK && !cli_value(cli, "out"))
        rc = err_set(err, RC_USAGE, "--out is missing");
    if (rc == RC_OK)
        rc = cli_number(cli, "node", 0, GROUND_NODE + 1, UINT32_MAX, &node, err);
    if (rc == RC_OK)
        rc = labels_join(cli, "labels", p->sat.labels, sizeof p->sat.labels, err);
    if (rc == RC_OK)
        rc = link_options(p->sat.labels, &ignored, err);
    if (rc == RC_OK)
        memcpy(p->sat.id, id, strlen(id) + 1);
    p->node = (uint32_t)node;
    p->sat.node = node;
    p->now_ms = clock_unix_ms();
    p->sat.added_ms = p->now_ms;
    return rc;
}

/* Where bundle files go: as given, else below the home. */
static enum rc fill_directory(const struct cli *cli, const struct provision *p, const char *option,
                              char out[STORE_PATH_CAP], struct err *err)
{
    const char *given = cli_value(cli, option);
    char path[NAME_CAP + 16], full[STORE_PATH_CAP + 64];
    scoped(close_fd) int fd = -1;
    enum rc rc;

    if (given) {
        rc = path_open_dir(given, true, &fd, err);
        return rc == RC_OK ? path_absolute(given, out, STORE_PATH_CAP, err) : rc;
    }
    if (p->before.id[0] != '\0') {
        (void)snprintf(out, STORE_PATH_CAP, "%s",
                       strcmp(option, "up") == 0 ? p->before.up : p->before.down);
        return RC_OK;
    }
    (void)snprintf(path, sizeof path, "sats/%s/%s", p->sat.id, option);
    rc = fs_make_dirs(p->home.dirfd, path, 0755, err);
    (void)snprintf(full, sizeof full, "%s/%s", p->home.path, path);
    return rc == RC_OK ? path_absolute(full, out, STORE_PATH_CAP, err) : rc;
}

static enum rc write_config(const struct provision *p, struct err *err)
{
    struct agent_config config = { .node = p->node, .ground = GROUND_NODE, .mission = p->mission };
    uint8_t buf[CONFIG_MAX];
    struct bytes cbor = { 0 };
    enum rc rc;

    memcpy(config.satellite, p->sat.id, sizeof config.satellite);
    rc = config_encode(&config, buf, sizeof buf, &cbor, err);
    return rc == RC_OK ? fs_write_file(p->state_dirfd, CONFIG_FILE, cbor, 0644, err) : rc;
}

/* ---- trust ---- */

static enum rc write_trust_file(const struct provision *p, const char *name, struct bytes content,
                                struct err *err)
{
    char file[sizeof TRUST_DIR + 1 + TRUST_NAME_CAP];

    (void)snprintf(file, sizeof file, TRUST_DIR "/%s", name);
    return fs_write_file(p->state_dirfd, file, content, 0644, err);
}

static enum rc write_grants(const struct provision *p, const struct trust *trust, struct err *err)
{
    const struct grant *grants[TENANTS_MAX] = { 0 };
    size_t n = trust_grants(trust, grants, TENANTS_MAX);
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char name[TRUST_NAME_CAP];

        (void)snprintf(name, sizeof name, TRUST_GRANT_PREFIX "%s" TRUST_GRANT_SUFFIX,
                       grants[i]->tenant);
        rc = write_trust_file(p, name, trust_grant_envelope(trust, grants[i]->tenant), err);
    }
    return rc;
}

/* Of a team one document, the newest of its kind; a withdrawal beside a delegation of a later epoch
 * has nothing to say any more. */
static enum rc write_teams(const struct provision *p, const struct trust *trust, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < trust_teams(trust); i++) {
        struct team_view team = trust_team(trust, i);
        char name[TRUST_NAME_CAP];

        (void)snprintf(name, sizeof name, TRUST_TEAM_PREFIX "%s+%s" TRUST_TEAM_SUFFIX, team.tenant,
                       team.team);
        for (char *at = name; *at; at++)
            if (*at == '/')
                *at = '+';
        rc = write_trust_file(p, name, team.doc ? team.delegation : team.withdrawal, err);
    }
    return rc;
}

/* What was taken back before this satellite was made is taken back there, too. */
static enum rc write_revoked(const struct provision *p, const struct trust *trust, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(REVOKED_FILE_MAX);
    scoped(close_fd) int dirfd = -1;
    struct bytes content = { 0 };

    if (trust_revoked(trust)->root_version == 0)
        return RC_OK;
    enum rc rc =
        buf ? revoked_set_encode(trust_revoked(trust), buf, REVOKED_FILE_MAX, &content, err)
            : err_set(err, RC_NO_MEMORY, "revocations");

    if (rc == RC_OK)
        rc = fs_open_dir(p->state_dirfd, TRUST_DIR, 0755, &dirfd, err);
    return rc == RC_OK ? statefile_renew(dirfd, TRUST_REVOKED_FILE, content, err) : rc;
}

static enum rc write_trust(const struct provision *p, const struct trust *trust, struct err *err)
{
    enum rc rc = fs_make_dirs(p->state_dirfd, TRUST_DIR, 0755, err);

    if (rc == RC_OK)
        rc = write_trust_file(p, TRUST_ROOT_FILE, trust_root_envelope(trust), err);
    if (rc == RC_OK)
        rc = write_revoked(p, trust, err);
    if (rc == RC_OK)
        rc = write_grants(p, trust, err);
    return rc == RC_OK ? write_teams(p, trust, err) : rc;
}

/* ---- link ---- */

/* What an earlier attempt left is of no use: its other half was never finished. */
static enum rc make_side(int dirfd, const char *path, enum link_side side, const struct keys *keys,
                         struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_remove_tree(dirfd, path, err);

    if (rc == RC_OK)
        rc = fs_make_dirs(dirfd, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open_dir(dirfd, path, 0700, &fd, err);
    return rc == RC_OK ? link_state_make(fd, side, keys, err) : rc;
}

/* The same secret on both sides, and nowhere else. */
static enum rc write_link(struct provision *p, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { 0 };
    char path[NAME_CAP + 40], full[STORE_PATH_CAP + 128];
    enum rc rc = keys_make(GROUND_NODE, p->node, &keys, err);

    /* a name of its own each time: berth-ground sees by it that the keys are others, and until then
     * the old ones are whole */
    if (p->before.id[0] == '\0')
        (void)snprintf(path, sizeof path, "sats/%s/link", p->sat.id);
    else
        (void)snprintf(path, sizeof path, "sats/%s/link-%llx", p->sat.id,
                       (unsigned long long)p->now_ms);
    (void)snprintf(full, sizeof full, "%s/%s", p->home.path, path);
    if (rc == RC_OK)
        rc = make_side(p->home.dirfd, path, LINK_SIDE_GROUND, &keys, err);
    if (rc == RC_OK)
        rc = path_absolute(full, p->sat.link_keys, sizeof p->sat.link_keys, err);
    return rc == RC_OK ? make_side(p->state_dirfd, "link", LINK_SIDE_SATELLITE, &keys, err) : rc;
}

/* Name, node number and state directory must all be new, before anything is written; with --replace
 * the name must be known instead. */
static enum rc check_new(struct provision *p, bool replace, const char *out, struct err *err)
{
    static const char *const files[] = { CONFIG_FILE, CONFIG_KEPT_FILE ".a",
                                         CONFIG_KEPT_FILE ".b" };
    scoped(free_ptr) struct store_satellite *sats = NULL;
    size_t n = 0;
    enum rc rc = store_satellites(p->home.store, &sats, &n, err);

    if (rc == RC_OK && replace)
        rc = store_satellite(p->home.store, p->sat.id, &p->before, err);
    if (rc == RC_OK && replace && !p->sat.labels[0])
        memcpy(p->sat.labels, p->before.labels, sizeof p->sat.labels);
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        if (strcmp(sats[i].id, p->sat.id) == 0)
            rc = replace ? RC_OK : err_set(err, RC_EXISTS, "satellite %s", p->sat.id);
        else if (sats[i].node == p->sat.node)
            rc = err_set(err, RC_EXISTS, "node %u is %s", p->node, sats[i].id);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0] && rc == RC_OK; i++)
        if (faccessat(p->state_dirfd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            rc = err_set(err, RC_EXISTS, "%s is the state of a satellite already", out);
    return rc;
}

/* What was on its way to the satellite's former self: the trust is in the new state already, and
 * rekeys were for keys that are gone. */
static enum rc withdraw_trust(const struct provision *p, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(p->home.store, p->sat.id, OUTGOING_QUEUED, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].class != CLASS_TRUST)
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(p->home.store, &rows[i], err);
    }
    return rc;
}

static enum rc keep(const struct provision *p, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = store_begin(p->home.store, &open, err);

    if (rc == RC_OK)
        rc = store_put_satellite(p->home.store, &p->sat, err);
    if (rc == RC_OK) /* the new one counts its reports and events from another beginning */
        rc = store_forget_observed(p->home.store, p->sat.id, err);
    if (rc == RC_OK)
        rc = withdraw_trust(p, err);
    if (rc == RC_OK)
        rc = store_audit(p->home.store, NULL, "provision", p->now_ms, err, "%s node %u%s",
                         p->sat.id, p->node, p->before.id[0] != '\0' ? " again" : "");
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static enum rc provision(struct cli *cli, struct provision *p, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    scoped(auditing_done) struct auditing audit = { 0 };
    const char *out = cli_value(cli, "out");
    enum rc rc = fill_arguments(cli, p, err);

    if (rc == RC_OK)
        rc = home_open(cli->home, false, &p->home, err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &p->home, NULL, err);
    if (rc == RC_OK)
        rc = home_trust(&p->home, p->now_ms, &trust, err);
    if (rc == RC_OK)
        rc = path_open_dir(out, true, &p->state_dirfd, err);
    if (rc == RC_OK)
        rc = check_new(p, cli_flag(cli, "replace"), out, err);
    if (rc == RC_OK)
        rc = fill_directory(cli, p, "up", p->sat.up, err);
    if (rc == RC_OK)
        rc = fill_directory(cli, p, "down", p->sat.down, err);
    if (rc != RC_OK)
        return rc;
    p->mission = trust_root(trust)->mission;
    rc = write_trust(p, trust, err);
    if (rc == RC_OK)
        rc = write_link(p, err);
    if (rc == RC_OK) /* last: without it the state directory is not one */
        rc = write_config(p, err);
    if (rc == RC_OK)
        rc = keep(p, err);
    if (rc == RC_OK && p->before.id[0] != '\0') {
        struct err ignored;

        /* nothing opens them any more; what stays behind is of no use to anybody */
        (void)!fs_remove_tree(AT_FDCWD, p->before.link_keys, &ignored);
    }
    return rc;
}

static int run(struct cli *cli)
{
    struct provision p = { .home = HOME_NONE, .state_dirfd = -1 };
    struct err err;
    enum rc rc = provision(cli, &p, &err);

    home_close(&p.home);
    close_fd(&p.state_dirfd);
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth provision %s --node N --out STATEDIR", cli_arg(cli, 0));
    if (rc == RC_NOT_FOUND || rc == RC_TRUST_MISSING)
        return cli_fail(cli, &err, "berth fleet init NAME --root KEY --operator KEY");
    if (rc == RC_EXISTS)
        return cli_fail(cli, &err,
                        "choose another name, node and state directory; --replace makes a new "
                        "state for %s",
                        p.sat.id);
    if (rc == RC_NO_SATELLITE)
        return cli_fail(cli, &err, "leave --replace out: %s is new", p.sat.id);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth provision --help");
    cli_say(cli, "%s provisioned as ipn:%u.1; state in %s", p.sat.id, p.node,
            cli_value(cli, "out"));
    cli_say(cli, "up    %s\ndown  %s", p.sat.up, p.sat.down);
    return cli_json(cli,
                    json_pack("{s:s, s:o, s:o, s:o, s:o}", "satellite", p.sat.id, "node",
                              json_uint(p.node), "up", json_safe(p.sat.up), "down",
                              json_safe(p.sat.down), "state", json_safe(cli_value(cli, "out"))));
}

static const struct cli_option options[] = {
    { "node", CLI_TEXT, "N", "its ipn node number, above 1 (the ground is 1)" },
    { "out", CLI_PATH, "DIR", "the state directory to write: what berthd gets as --state" },
    { "up", CLI_PATH, "DIR", "where the ground puts bundle files (else HOME/sats/SAT/up)" },
    { "down", CLI_PATH, "DIR", "where the ground takes bundle files (else HOME/sats/SAT/down)" },
    { "labels", CLI_LIST, "K=V", "labels that fleet files can select by" },
    { "replace", CLI_FLAG, NULL, "new keys and a new state for a satellite that has lost its own" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_provision[] = {
    { .name = "provision",
      .group = "Fleet",
      .args = "SAT",
      .summary = "Make a satellite's state directory: identity, trust and link keys",
      .about = "Writes config.cbor, trust/ (root, grants, delegations, what is revoked) and link/ "
               "(keys, counter, replay "
               "window) into --out,\nand the other half of the link keys below the home. Both "
               "halves are secret: move the state directory\nto the satellite and keep no copy.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
