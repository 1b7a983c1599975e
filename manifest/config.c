/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/config.h"

#include "base/cbor.h"
#include "base/name.h"

/* Keys of the map; the numbers are in files on board. */
enum config_key {
    KEY_FORMAT = 0,
    KEY_SATELLITE = 1,
    KEY_NODE = 2,
    KEY_GROUND = 3,
    KEY_MISSION = 4,
    CONFIG_KEYS
};

enum rc config_check(const struct agent_config *config, struct err *err)
{
    if (!name_valid(config->satellite))
        return err_set(err, RC_NAME, "config.satellite");
    if (config->node == 0)
        return err_set(err, RC_VALUE, "config.node");
    if (config->ground == 0 || config->ground == config->node)
        return err_set(err, RC_VALUE, "config.ground");
    return RC_OK;
}

static void config_field(struct cbor_in *r, uint64_t key, struct agent_config *c)
{
    switch (key) {
    case KEY_FORMAT:
        if (cbor_uint(r, "config.format", UINT32_MAX) != CONFIG_FORMAT)
            cbor_fail(r, RC_DOC_VERSION, "config.format");
        break;
    case KEY_SATELLITE:
        cbor_text(r, "config.satellite", c->satellite, sizeof c->satellite);
        break;
    case KEY_NODE:
        c->node = (uint32_t)cbor_uint(r, "config.node", UINT32_MAX);
        break;
    case KEY_GROUND:
        c->ground = (uint32_t)cbor_uint(r, "config.ground", UINT32_MAX);
        break;
    case KEY_MISSION:
        cbor_fixed(r, "config.mission", c->mission.b, sizeof c->mission.b);
        break;
    default:
        cbor_fail(r, RC_CBOR_UNKNOWN_KEY, "config");
        break;
    }
}

enum rc config_decode(struct bytes in, struct agent_config *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct agent_config c = { 0 };
    uint64_t key = 0;

    /* Keys rise strictly, so having all of them is a matter of counting. */
    if (cbor_map(&r, "config", CONFIG_KEYS) != CONFIG_KEYS)
        cbor_fail(&r, RC_CBOR_MISSING, "config");
    while (cbor_key(&r, &key))
        config_field(&r, key, &c);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = config_check(&c, err);
    if (rc == RC_OK)
        *ret = c;
    return rc;
}

enum rc config_encode(const struct agent_config *config, uint8_t *buf, size_t cap,
                      struct bytes *ret, struct err *err)
{
    enum rc rc = config_check(config, err);
    if (rc != RC_OK)
        return rc;

    struct cbor_out w = { .p = buf, .cap = cap };
    cbor_put_map(&w, CONFIG_KEYS);
    cbor_put_uint(&w, KEY_FORMAT);
    cbor_put_uint(&w, CONFIG_FORMAT);
    cbor_put_uint(&w, KEY_SATELLITE);
    cbor_put_text(&w, config->satellite);
    cbor_put_uint(&w, KEY_NODE);
    cbor_put_uint(&w, config->node);
    cbor_put_uint(&w, KEY_GROUND);
    cbor_put_uint(&w, config->ground);
    cbor_put_uint(&w, KEY_MISSION);
    cbor_put_bstr(&w, (struct bytes){ .p = config->mission.b, .n = sizeof config->mission.b });
    return cbor_written(&w, ret, err);
}
