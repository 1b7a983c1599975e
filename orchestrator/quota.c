/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/quota.h"

#include <fcntl.h>

#include "orchestrator/payload.h"

enum rc quota_read(const char *path, struct quota *ret, struct err *err)
{
    static const char *const keys[] = { RESOURCE_NAMES, "prefix",   "store",      "payloads",
                                        "expires",      "calls",    "networks",   "interfaces",
                                        "devices",      "net-rate", "inner-root", "modes",
                                        "vm",           "peers",    NULL };
    scoped(yaml_close) struct yaml *doc = NULL;
    const struct yaml_node *top;
    struct yaml_in r;
    enum rc rc = yaml_load(AT_FDCWD, path, &doc, err);

    if (rc != RC_OK)
        return rc;
    r = yaml_read(doc);
    top = yaml_root(&r);
    yaml_keys(&r, top, keys);
    yaml_text(&r, top, "prefix", "", ret->prefix, sizeof ret->prefix);
    resources_read(&r, top, &ret->total);
    ret->store_bytes = yaml_size(&r, top, "store", YAML_NEEDED, 1, UINT64_C(1) << 40);
    ret->payloads_max = (uint32_t)yaml_uint(&r, top, "payloads", 1, 1, PAYLOADS_MAX);
    ret->lifetime_ms = yaml_time(&r, top, "expires", 0, 0, UINT64_C(20) * 366 * 86400 * 1000);
    allowance_read(&r, top, &ret->may);
    return yaml_done(&r, err);
}
