/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/confinement.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/walls.h"

#define WHO "berth-ground"

static bool said(const struct report_walls *walls)
{
    return (walls->standing | walls->missing) != 0;
}

static bool has_receipt(const struct report_payload *p)
{
    static const uint8_t none[REPORT_RECEIPT_SIZE];

    return memcmp(p->receipt, none, sizeof none) != 0;
}

/* An agent may know walls that we do not. */
static json_t *names_json(uint64_t mask)
{
    json_t *all = json_array();

    for (unsigned int i = 0; i < WALLS_MAX; i++) {
        char number[16];
        const char *name = wall_name(i);

        if ((mask >> i & 1U) == 0)
            continue;
        (void)snprintf(number, sizeof number, "wall-%u", i);
        (void)json_array_append_new(all, json_string(name ? name : number));
    }
    return all;
}

static const char *receipt_text(const struct report_payload *p,
                                char out[2U * REPORT_RECEIPT_SIZE + 1U])
{
    (void)bytes_hex((struct bytes){ p->receipt, sizeof p->receipt }, out);
    return out;
}

json_t *confinement_json(const struct report *doc)
{
    char text[2U * REPORT_RECEIPT_SIZE + 1U];
    json_t *receipts = json_array();

    for (uint32_t i = 0; i < doc->n_payloads; i++) {
        const struct report_payload *p = &doc->payload[i];

        if (has_receipt(p))
            (void)json_array_append_new(receipts,
                                        json_pack("{s:s, s:s, s:s}", "tenant", p->tenant, "name",
                                                  p->name, "receipt", receipt_text(p, text)));
    }
    if (!said(&doc->walls)) {
        json_decref(receipts);
        return json_null();
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "standing", names_json(doc->walls.standing),
                     "missing", names_json(doc->walls.missing), "waived",
                     names_json(doc->walls.waived), "landlock", json_uint(doc->walls.landlock),
                     "cgroup", json_uint(doc->walls.cgroup), "receipts", receipts);
}

void confinement_print(struct cli *cli, const struct report *doc, bool wide)
{
    char missing[WALLS_TEXT_CAP];
    char waived[WALLS_TEXT_CAP];
    char text[2U * REPORT_RECEIPT_SIZE + 1U];

    if (said(&doc->walls) && doc->walls.missing == 0)
        cli_say(cli, "  walls: all stand; landlock %u, cgroup v%u", doc->walls.landlock,
                doc->walls.cgroup);
    else if (said(&doc->walls))
        cli_say(cli, "  walls missing: %s; waived: %s; landlock %u, cgroup v%u",
                walls_list(doc->walls.missing, missing), walls_list(doc->walls.waived, waived),
                doc->walls.landlock, doc->walls.cgroup);
    for (uint32_t i = 0; wide && i < doc->n_payloads; i++) {
        const struct report_payload *p = &doc->payload[i];

        if (has_receipt(p))
            cli_say(cli, "  receipt of %s/%s: %s", p->tenant, p->name, receipt_text(p, text));
    }
}

/* Missing, not waived, and not one that the agent does without by itself. */
static uint64_t stops(const struct sight *doc)
{
    uint64_t mask = doc->walls.missing & ~doc->walls.waived & walls_all();

    for (unsigned int i = 0; i < WALLS_MAX; i++)
        if (wall_kind(i) == WALL_KIND_OPTIONAL)
            mask &= ~(1ULL << i);
    return mask;
}

void confinement_alarm(const struct sight *doc, char out[CONFINEMENT_ALARM_CAP])
{
    char names[WALLS_TEXT_CAP];

    out[0] = '\0';
    if (doc->drift)
        (void)snprintf(out, CONFINEMENT_ALARM_CAP, "ALARM DRIFT: %s", doc->drift);
    if (out[0] == '\0' && stops(doc) != 0)
        (void)snprintf(out, CONFINEMENT_ALARM_CAP,
                       "ALARM WALLS: nothing is launched without %.100s",
                       walls_list(stops(doc), names));
}

/* What a receipt depends on besides the payload. */
static bool same_ground(const struct sight *a, const struct sight *b)
{
    return strcmp(a->agent_version, b->agent_version) == 0 &&
           digest_same(&a->agent_running, &b->agent_running) &&
           memcmp(&a->walls, &b->walls, sizeof a->walls) == 0;
}

static const struct report_payload *same_running(const struct sight *doc,
                                                 const struct report_payload *p)
{
    for (uint32_t i = 0; i < doc->n_payloads; i++) {
        const struct report_payload *other = &doc->payload[i];

        if (strcmp(other->tenant, p->tenant) == 0 && strcmp(other->name, p->name) == 0)
            return memcmp(&other->running, &p->running, sizeof p->running) == 0 ? other : NULL;
    }
    return NULL;
}

/* ---- how much is written down ----------------------------------------------------------------
 */

/* Entries of one satellite in one hour; kept as a setting, "HOUR WRITTEN LEFT". */
struct tally {
    uint64_t hour;
    uint64_t written, left_out;
    bool changed;
};

#define TALLY_KEY_CAP (NAME_CAP + 16U)
#define TALLY_CAP 72U

static char *tally_key(const char *satellite, char out[TALLY_KEY_CAP])
{
    (void)snprintf(out, TALLY_KEY_CAP, "confinement-%s", satellite);
    return out;
}

/* What there was of an earlier hour is told, and the count begins anew. */
static enum rc tally_load(struct store *store, const char *satellite, uint64_t now_ms,
                          struct tally *ret, struct err *err)
{
    char key[TALLY_KEY_CAP], text[TALLY_CAP] = "", *at = text;
    uint64_t hour = now_ms / 3600000;
    enum rc rc = store_get(store, tally_key(satellite, key), text, sizeof text, err);

    *ret = (struct tally){ .hour = hour };
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    ret->hour = strtoull(at, &at, 10);
    ret->written = strtoull(at, &at, 10);
    ret->left_out = strtoull(at, &at, 10);
    if (ret->hour == hour)
        return RC_OK;
    if (ret->left_out > 0)
        rc = store_audit(store, WHO, "changes-left-out", now_ms, err,
                         "%s: %llu more changes of walls and receipts in one hour", satellite,
                         (unsigned long long)ret->left_out);
    *ret = (struct tally){ .hour = hour, .changed = true };
    return rc;
}

static enum rc tally_save(struct store *store, const char *satellite, const struct tally *t,
                          struct err *err)
{
    char key[TALLY_KEY_CAP], text[TALLY_CAP];

    if (!t->changed)
        return RC_OK;
    (void)snprintf(text, sizeof text, "%llu %llu %llu", (unsigned long long)t->hour,
                   (unsigned long long)t->written, (unsigned long long)t->left_out);
    return store_set(store, tally_key(satellite, key), text, err);
}

/* Whether there is room for one more entry; if not it is counted. */
static bool tally_takes(struct tally *t)
{
    bool room = t->written < CONFINEMENT_ENTRIES_MAX;

    t->written += room;
    t->left_out += !room;
    t->changed = true;
    return room;
}

/* ---- against the report before ---------------------------------------------------------------
 */

struct compared {
    const char *satellite;
    const struct sight *before, *now;
    uint64_t now_ms;
};

static enum rc compare_one(struct store *store, const struct compared *c,
                           const struct report_payload *p, struct tally *tally, struct err *err)
{
    const struct report_payload *was = same_running(c->before, p);
    char old[2U * REPORT_RECEIPT_SIZE + 1U];
    char new[2U * REPORT_RECEIPT_SIZE + 1U];

    if (!was || !has_receipt(p) || !has_receipt(was) ||
        memcmp(was->receipt, p->receipt, sizeof p->receipt) == 0)
        return RC_OK;
    log_event(LOG_LEVEL_ERROR, "receipt-changed satellite=%s payload=%s/%s", c->satellite,
              p->tenant, p->name);
    if (!tally_takes(tally))
        return RC_OK;
    return store_audit(store, WHO, "receipt-changed", c->now_ms, err, "%s %s/%s: %s, was %s",
                       c->satellite, p->tenant, p->name, receipt_text(p, new),
                       receipt_text(was, old));
}

static enum rc compare(struct store *store, const struct compared *c, struct tally *tally,
                       struct err *err)
{
    const struct sight *before = c->before, *now = c->now;
    char missing[WALLS_TEXT_CAP];
    char waived[WALLS_TEXT_CAP];
    enum rc rc = RC_OK;

    if (memcmp(&before->walls, &now->walls, sizeof now->walls) != 0)
        return tally_takes(tally) ? store_audit(store, WHO, "walls-changed", c->now_ms, err,
                                                "%s: missing %.80s, waived %.80s", c->satellite,
                                                walls_list(now->walls.missing, missing),
                                                walls_list(now->walls.waived, waived))
                                  : RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < now->n_payloads && same_ground(before, now); i++)
        rc = compare_one(store, c, &now->payload[i], tally, err);
    return rc;
}

enum rc confinement_compare(struct store *store, const char *satellite, const struct sight *before,
                            const struct sight *now, uint64_t now_ms, struct err *err)
{
    const struct compared c = {
        .satellite = satellite, .before = before, .now = now, .now_ms = now_ms
    };
    struct tally tally;

    if (!said(&before->walls) || !said(&now->walls))
        return RC_OK;
    enum rc rc = tally_load(store, satellite, now_ms, &tally, err);

    if (rc == RC_OK)
        rc = compare(store, &c, &tally, err);
    return rc == RC_OK ? tally_save(store, satellite, &tally, err) : rc;
}
