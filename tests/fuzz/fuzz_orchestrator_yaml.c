/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = { "name", "resources", NULL };
    scoped(yaml_close) struct yaml *doc = NULL;
    struct yaml_in r;
    char text[32];

    if (yaml_parse((struct bytes){ .p = data, .n = size }, "fuzz", &doc, NULL) != RC_OK)
        return 0;
    r = yaml_read(doc);
    yaml_text(&r, yaml_root(&r), "name", "", text, sizeof text);
    (void)yaml_size(&r, yaml_map(&r, yaml_root(&r), "resources", false), "memory", 0, 0,
                    UINT64_MAX);
    for (const struct yaml_node *n = yaml_first(&r, yaml_root(&r)); n; n = yaml_next(&r, n))
        yaml_keys(&r, n, keys);
    return yaml_done(&r, NULL) == RC_INTERNAL;
}
