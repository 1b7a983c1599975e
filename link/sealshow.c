/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sealshow.h"

#include <inttypes.h>

#include "link/bpsec.h"
#include "link/counter.h"
#include "link/replay.h"

const char *seal_end_name(enum seal_end end)
{
    return end == SEAL_GROUND ? "ground" : "payload";
}

void sealshow_text(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
    }
    (void)fputc('"', out);
}

/* The words of a pair, and the rest follows. */
static void say_pair(const struct keys *k, const char *kind)
{
    (void)printf("{\"kind\":\"%s\",\"tenant\":\"%s\",\"payload\":\"%s\",\"satellite\":%u,"
                 "\"ground\":%u",
                 kind, k->tenant, k->payload, k->satellite, k->ground);
}

static const char *id_of(const struct keys *keys, char out[2 * SEAL_ID_SIZE + 1])
{
    uint8_t id[SEAL_ID_SIZE];

    return seal_key_id(keys, id, NULL) == RC_OK ? bytes_hex((struct bytes){ id, sizeof id }, out)
                                                : "?";
}

void sealshow_key(const struct keys *keys, const char *said, bool json)
{
    char id[2 * SEAL_ID_SIZE + 1];

    if (json) {
        say_pair(keys, "key");
        (void)printf(",\"epoch\":%u,\"id\":\"%s\"}\n", keys->epoch, id_of(keys, id));
    } else {
        (void)printf("%s epoch %u of %s/%s, satellite %u: key %s\n", said, keys->epoch,
                     keys->tenant, keys->payload, keys->satellite, id_of(keys, id));
    }
}

void sealshow_keyfile(const struct keys *keys, enum seal_end to, bool json)
{
    char id[2 * SEAL_ID_SIZE + 1];

    if (json) {
        say_pair(keys, "keyfile");
        (void)printf(",\"for\":\"%s\",\"epoch\":%u,\"id\":\"%s\"}\n", seal_end_name(to),
                     keys->epoch, id_of(keys, id));
    } else {
        (void)printf(
            "key file for the %s's end of %s/%s, satellite %u, ground %u: epoch %u, key %s\n",
            seal_end_name(to), keys->tenant, keys->payload, keys->satellite, keys->ground,
            keys->epoch, id_of(keys, id));
    }
}

/* What an epoch is for now. */
static const char *use_of(const struct seal_epoch *e, bool seals)
{
    return e->until_ms != 0 ? "superseded, opens what is late"
           : seals          ? "seals and opens"
           : e->confirmed   ? "opens"
                            : "opens; the other end has not used it yet";
}

static void show_epoch(const struct sealbox *box, uint32_t i, bool seals, bool json)
{
    const struct seal_epoch *e = &box->ring.epoch[i];
    const uint32_t peer = box->ring.end == SEAL_GROUND ? e->keys.satellite : e->keys.ground;
    struct counter counter = { 0 };
    struct replay window = { 0 };
    struct err ignored;
    char id[2 * SEAL_ID_SIZE + 1];
    const bool counts = counter_load(box->dir, e->number, &counter, &ignored) == RC_OK;
    const bool sees = replay_load(box->dir, peer, e->number, &window, &ignored) == RC_OK;

    if (json) {
        (void)printf(
            "%s{\"epoch\":%u,\"id\":\"%s\",\"seals\":%s,\"confirmed\":%s,\"until_ms\":%" PRIu64
            ",\"can_seal\":%s,\"can_open\":%s,\"next\":%" PRIu64 ",\"seen\":%" PRIu64 "}",
            i > 0 ? "," : "", e->keys.epoch, id_of(&e->keys, id), seals ? "true" : "false",
            e->confirmed ? "true" : "false", e->until_ms, counts ? "true" : "false",
            sees ? "true" : "false", counter.next, window.high);
        return;
    }
    (void)printf("epoch %u  key %s: %s%s%s; next number %" PRIu64 ", newest seen %" PRIu64 "\n",
                 e->keys.epoch, id_of(&e->keys, id), use_of(e, seals),
                 counts ? "" : "; CANNOT SEAL: its counter is damaged",
                 sees ? "" : "; CANNOT OPEN: its window is damaged", counter.next, window.high);
}

void sealshow_box(const struct sealbox *box, bool json)
{
    const struct keys *k = &box->ring.epoch[0].keys;
    const struct seal_epoch *sender = seal_ring_sender(&box->ring);

    if (json) {
        say_pair(k, "box");
        (void)printf(",\"end\":\"%s\",\"grace_ms\":%" PRIu64 ",\"epochs\":[",
                     seal_end_name(box->ring.end), box->ring.grace_ms);
    } else {
        (void)printf("keys of %s/%s, satellite %u, ground %u: the %s's end\n", k->tenant,
                     k->payload, k->satellite, k->ground, seal_end_name(box->ring.end));
    }
    for (uint32_t i = 0; i < box->ring.n; i++)
        show_epoch(box, i, &box->ring.epoch[i] == sender, json);
    if (json)
        (void)fputs("]}\n", stdout);
}

/* What a bundle says of itself, which anybody could have written. */
enum rc sealshow_message(struct bytes in, bool json, struct err *err)
{
    struct bundle b;
    char src[64] = "", dst[64] = "";
    uint64_t key = 0;
    enum rc rc = bpsec_take(in, BUNDLE_STRICT, &b, err);

    if (rc == RC_OK)
        rc = mail_sealed_form(in, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < b.n_blocks; i++) {
        struct bpsec_asb asb;
        struct err ignored;

        if (b.blocks[i].type == BLOCK_BCB &&
            bpsec_asb_of(&b, &b.blocks[i], BUNDLE_STRICT, &asb, &ignored) == RC_OK)
            key = asb.source.service;
    }
    (void)eid_text(&b.src, src, sizeof src);
    (void)eid_text(&b.dst, dst, sizeof dst);
    if (json) {
        (void)fputs("{\"kind\":\"message\",\"authentic\":null,\"from\":", stdout);
        sealshow_text(src, stdout);
        (void)fputs(",\"to\":", stdout);
        sealshow_text(dst, stdout);
        (void)printf(",\"epoch\":%u,\"sequence\":%" PRIu64 ",\"bytes\":%zu}\n", (unsigned)key,
                     b.sequence & COUNTER_MAX, bundle_payload(&b).n);
    } else {
        (void)printf("sealed message from %s to %s, epoch %u, number %" PRIu64
                     ", %zu bytes; only its other end can tell whether it is authentic\n",
                     src, dst, (unsigned)key, b.sequence & COUNTER_MAX, bundle_payload(&b).n);
    }
    return RC_OK;
}
