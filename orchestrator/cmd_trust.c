/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust: the trust root of the fleet and what hangs on it: how it stands.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/admit.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "orchestrator/rekeys.h"
#include "orchestrator/rotation.h"
#include "orchestrator/view.h"

/* ---- status ---- */

static json_t *keys_json(struct cli *cli, const char *role, const struct key_set *keys)
{
    json_t *ids = json_array();
    char hex[2 * KEY_ID_SIZE + 1];

    for (uint32_t i = 0; i < keys->n; i++) {
        struct bytes id = { keys->key[i].id, sizeof keys->key[i].id };

        cli_say(cli, "%s key %s", role, bytes_hex(id, hex));
        (void)json_array_append_new(ids, json_hex(id));
    }
    return json_pack("{s:i, s:o}", "threshold", (int)keys->threshold, "keys", ids);
}

static json_t *revoked_json(struct cli *cli, const struct revoked_set *set)
{
    json_t *list = json_array();
    char hex[2 * DIGEST_SIZE + 1];

    for (uint32_t i = 0; i < set->n; i++) {
        const struct revoked *e = &set->entry[i];
        const char *policy = revoke_policy_name(e->policy);

        if (e->kind == REVOKED_GRANT) {
            cli_say(cli, "revoked: grant %s up to epoch %llu: %s", e->tenant,
                    (unsigned long long)e->epoch, policy);
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s}", "kind", "grant",
                                                        "tenant", e->tenant, "epoch",
                                                        json_uint(e->epoch), "policy", policy));
            continue;
        }
        const char *kind = e->kind == REVOKED_KEY ? "key" : "manifest";

        (void)bytes_hex(e->kind == REVOKED_KEY ? (struct bytes){ e->key, sizeof e->key }
                                               : (struct bytes){ e->manifest.b, DIGEST_SIZE },
                        hex);
        cli_say(cli, "revoked: %s %s: %s", kind, hex, policy);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "kind", kind, "id", hex, "policy", policy));
    }
    return list;
}

static json_t *grants_json(struct cli *cli, const struct trust *trust)
{
    const struct grant *grants[TENANTS_MAX];
    json_t *list = json_array();
    size_t n = trust_grants(trust, grants, TENANTS_MAX);

    for (size_t i = 0; i < n; i++) {
        json_t *keys = json_array();

        for (uint32_t k = 0; k < grants[i]->keys.n; k++)
            (void)json_array_append_new(
                keys, json_hex((struct bytes){ grants[i]->keys.key[k].id, KEY_ID_SIZE }));
        cli_say(cli, "grant %-16s epoch %llu, %u of %u keys", grants[i]->tenant,
                (unsigned long long)grants[i]->epoch, grants[i]->keys.threshold, grants[i]->keys.n);
        (void)json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:i, s:o}", "tenant",
                                                    grants[i]->tenant, "epoch",
                                                    json_uint(grants[i]->epoch), "expires_ms",
                                                    json_uint(grants[i]->expires_ms), "threshold",
                                                    (int)grants[i]->keys.threshold, "keys", keys));
    }
    return list;
}

static json_t *limits_json(const struct resources *r, uint32_t payloads)
{
    return json_pack("{s:o, s:o, s:o, s:i, s:i, s:i, s:i}", "memory", json_uint(r->memory_bytes),
                     "data", json_uint(r->data_bytes), "tmp", json_uint(r->tmp_bytes),
                     "cpu_permille", (int)r->cpu_permille, "pids", (int)r->pids, "files",
                     (int)r->open_files, "payloads", (int)payloads);
}

static const char *team_standing(const struct trust *trust, const struct team_view *v,
                                 uint64_t now_ms)
{
    if (v->withdrawn != REVOKE_NONE)
        return "withdrawn";
    enum rc rc = trust_still_valid(trust, v->tenant, v->team, now_ms);
    return rc == RC_OK ? "in force" : rc_name(rc);
}

/* What satellites were ordered to run for a team and its teams: the most on any one of them. */
static struct admit_use used_most(const struct home *home, const struct view *view,
                                  const struct team_view *v)
{
    scoped(admit_known_done) struct admit_known known = { 0 };
    struct admit_use most = { 0 };

    for (size_t i = 0; i < view->n; i++) {
        struct admit_use use = { 0 };
        struct err ignored;

        if (admit_used(home, &known, &view->satellite[i].order, v->tenant, v->team, &use,
                       &ignored) == RC_OK &&
            (use.payloads > most.payloads || use.total.memory_bytes > most.total.memory_bytes))
            most = use;
    }
    return most;
}

static json_t *team_json(struct cli *cli, const struct team_view *v, const char *standing,
                         const struct admit_use *used)
{
    char size[CLI_SIZE_CAP], of[CLI_SIZE_CAP];

    cli_say(cli, "team %s/%s epoch %llu, %s: %u of %u payloads, %s of %s memory", v->tenant,
            v->team, (unsigned long long)v->epoch, standing, used->payloads,
            v->doc ? v->doc->payloads_max : 0, cli_size(used->total.memory_bytes, size),
            cli_size(v->doc ? v->doc->total.memory_bytes : 0, of));
    json_t *row = json_pack("{s:s, s:s, s:o, s:s, s:o}", "tenant", v->tenant, "team", v->team,
                            "epoch", json_uint(v->epoch), "standing", standing, "used",
                            limits_json(&used->total, used->payloads));
    if (v->doc) {
        (void)json_object_set_new(row, "expires_ms", json_uint(v->doc->expires_ms));
        (void)json_object_set_new(row, "limits", limits_json(&v->doc->total, v->doc->payloads_max));
    }
    return row;
}

static json_t *teams_json(struct cli *cli, const struct home *home, const struct trust *trust,
                          const struct view *view)
{
    uint64_t now_ms = clock_unix_ms();
    json_t *list = json_array();

    for (size_t i = 0; i < trust_teams(trust); i++) {
        const struct team_view v = trust_team(trust, i);
        const struct admit_use used = used_most(home, view, &v);

        (void)json_array_append_new(list,
                                    team_json(cli, &v, team_standing(trust, &v, now_ms), &used));
    }
    return list;
}

/* "link 2 > 3": this end sends under 2 and holds 3 too. */
static json_t *link_keys_json(struct cli *cli, int dirfd, const struct report_keys *seen)
{
    scoped(free_ptr) struct rekeys_link *links = calloc(REKEYS_LINKS_MAX, sizeof *links);
    json_t *list = json_array();
    uint32_t n = 0;

    if (!links || rekeys_links(dirfd, links, &n, NULL) != RC_OK)
        return list;
    for (uint32_t i = 0; i < n; i++) {
        bool held = links[i].tenant[0] == '\0' && links[i].epoch == 1;

        for (uint32_t k = 0; seen && k < seen->n_links; k++)
            held |= strcmp(seen->link[k].tenant, links[i].tenant) == 0 &&
                    seen->link[k].epoch >= links[i].epoch;
        cli_say(cli, "  link key %-16s epoch %u%s%s", links[i].tenant, links[i].epoch,
                links[i].sending ? ", in use" : "", held ? "" : ", not yet on board");
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:o, s:b, s:b}", "tenant", links[i].tenant,
                                              "epoch", json_uint(links[i].epoch), "sending",
                                              (int)links[i].sending, "on_board", (int)held));
    }
    return list;
}

static const char *kem_state(const struct rekeys *rekeys, const struct report_keys *seen)
{
    if (!rekeys->has_kem)
        return "unknown";
    if (rekeys->kem_asked > 0)
        return "asked";
    if (seen && seen->has_kem && memcmp(seen->kem_id, rekeys->kem_id, KEY_ID_SIZE) != 0)
        return "CHANGED";
    return "pinned";
}

/* What one satellite holds, by its report, and what was made for it here. */
static json_t *keys_of_json(struct cli *cli, const struct home *home,
                            const struct view_satellite *sat)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { 0 };
    scoped(close_fd) int dirfd = -1;
    scoped(free_ptr) struct report *report = NULL;
    struct err err;
    enum rc rc = view_report(home->store, sat, &report, &err);
    const struct report_keys *seen = report ? &report->keys : NULL;

    if (rc == RC_OK)
        rc = home_open_dir(home, sat->row.link_keys, &dirfd, &err);
    if (rc == RC_OK)
        rc = rekeys_load(dirfd, &rekeys, &err);
    if (rc != RC_OK)
        return json_pack("{s:s}", "error", rc_name(rc));
    uint64_t taken = seen ? seen->rekey : 0;
    const char *kem = kem_state(&rekeys, seen);

    cli_say(cli, "  rekey %llu taken, %llu made; master epoch %u; KEM key %s",
            (unsigned long long)taken, (unsigned long long)rekeys.number,
            seen ? seen->master_epoch : 0, kem);
    if (strcmp(kem, "CHANGED") == 0)
        cli_note(cli, "nobody asked %s for another KEM key: see docs/guide/operator.md",
                 sat->row.id);
    json_t *links = link_keys_json(cli, dirfd, seen);
    return json_pack("{s:o, s:o, s:o, s:s, s:o}", "rekey_taken", json_uint(taken), "rekey_made",
                     json_uint(rekeys.number), "master_epoch",
                     json_uint(seen ? seen->master_epoch : 0), "kem", kem, "links", links);
}

static json_t *satellites_json(struct cli *cli, const struct home *home, const struct view *view,
                               const char *only)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];
        uint64_t version = sat->seen ? sat->seen->root_version : 0;
        bool behind = view_root_behind(view, sat);

        if (only && strcmp(only, sat->row.id) != 0)
            continue;
        cli_say(cli, "%-22s root %llu%s", sat->row.id, (unsigned long long)version,
                !sat->seen ? ", never heard of"
                : behind   ? ", the next one is on its way"
                           : "");
        json_t *row = json_pack("{s:s, s:o, s:b}", "id", sat->row.id, "root_version",
                                json_uint(version), "behind", (int)behind);

        if (only)
            (void)json_object_set_new(row, "keys", keys_of_json(cli, home, sat));
        (void)json_array_append_new(list, row);
    }
    return list;
}

static int run_status(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(view_free) struct view *view = NULL;
    const char *only = cli_arg(cli, 0);
    char hex[2 * DIGEST_SIZE + 1];
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    /* what a team uses is the most that any satellite runs for it */
    rc = trust_teams(trust) > 0 ? view_load(home.store, &view, &err)
                                : view_load_asked(home.store, only, &view, &err);
    if (rc == RC_OK && only && !view_find(view, only))
        rc = err_set(&err, RC_NO_SATELLITE, "%s", only);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth status lists the satellites");
    const struct root *root = trust_root(trust);
    struct bytes next = { root->next_keys.b, sizeof root->next_keys.b };

    cli_say(cli, "root %llu: %u of %u root keys, %u of %u operator keys",
            (unsigned long long)root->version, root->root_keys.threshold, root->root_keys.n,
            root->operator_keys.threshold, root->operator_keys.n);
    if (root->safety_keys.n > 0)
        cli_say(cli, "safety role: %u of %u keys", root->safety_keys.threshold,
                root->safety_keys.n);
    cli_say(cli, "next root keys committed to: %s", bytes_hex(next, hex));
    const struct revoked_set *set = trust_revoked(trust);
    json_t *out = json_object();

    (void)json_object_set_new(out, "root_version", json_uint(root->version));
    (void)json_object_set_new(out, "mission",
                              json_hex((struct bytes){ root->mission.b, MISSION_SIZE }));
    (void)json_object_set_new(out, "issued_ms", json_uint(root->issued_ms));
    (void)json_object_set_new(out, "operator_since_ms", json_uint(root->operator_since_ms));
    (void)json_object_set_new(out, "root_keys", keys_json(cli, "root", &root->root_keys));
    (void)json_object_set_new(out, "operator_keys",
                              keys_json(cli, "operator", &root->operator_keys));
    (void)json_object_set_new(out, "next_keys", json_digest(&root->next_keys));
    (void)json_object_set_new(out, "revocation", json_uint(set->number));
    (void)json_object_set_new(out, "revoked", revoked_json(cli, set));
    (void)json_object_set_new(out, "grants", grants_json(cli, trust));
    (void)json_object_set_new(out, "teams", teams_json(cli, &home, trust, view));
    (void)json_object_set_new(out, "satellites", satellites_json(cli, &home, view, only));
    return cli_json(cli, out);
}

const struct cli_command cmd_trust[] = {
    { .name = "trust status",
      .listing = "satellites.id",
      .group = "Keys and trust",
      .args = "[SAT]",
      .names = CLI_SATELLITES,
      .summary = "The trust root, what is granted and revoked, and which root each satellite has",
      .about = "A satellite that lags behind gets the roots that it lacks, one after the other,\n"
               "from berth-ground.",
      .args_max = 1,
      .run = run_status },
    { 0 },
};
