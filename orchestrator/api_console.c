/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_console.h"

#include "orchestrator/embed.h"

#define SCRIPT "text/javascript; charset=utf-8"

EMBED(html, "orchestrator/console/index.html");
EMBED(js, "orchestrator/console/console.js");
EMBED(ask, "orchestrator/console/ask.js");
EMBED(data, "orchestrator/console/data.js");
EMBED(dom, "orchestrator/console/dom.js");
EMBED(fleet, "orchestrator/console/fleet.js");
EMBED(ops, "orchestrator/console/ops.js");
EMBED(css, "orchestrator/console/console.css");
EMBED(icon, "orchestrator/console/icon.svg");
EMBED(openapi, "docs/wire/openapi.json");

const struct api_file *api_console_file(const char *path)
{
    static _Thread_local struct api_file found;
    static const struct {
        const char *path, *type;
        const uint8_t *from, *to;
    } rows[] = {
        { "/", "text/html; charset=utf-8", embedded_html, embedded_html_end },
        { "/console.js", SCRIPT, embedded_js, embedded_js_end },
        { "/ask.js", SCRIPT, embedded_ask, embedded_ask_end },
        { "/data.js", SCRIPT, embedded_data, embedded_data_end },
        { "/dom.js", SCRIPT, embedded_dom, embedded_dom_end },
        { "/fleet.js", SCRIPT, embedded_fleet, embedded_fleet_end },
        { "/ops.js", SCRIPT, embedded_ops, embedded_ops_end },
        { "/console.css", "text/css; charset=utf-8", embedded_css, embedded_css_end },
        { "/icon.svg", "image/svg+xml", embedded_icon, embedded_icon_end },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].path, path) != 0)
            continue;
        found = (struct api_file){ .path = rows[i].path,
                                   .type = rows[i].type,
                                   .content = embed_between(rows[i].from, rows[i].to) };
        return &found;
    }
    return NULL;
}

struct bytes api_console_openapi(void)
{
    return EMBEDDED(openapi);
}
