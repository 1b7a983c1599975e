/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_console.h"

/* The assembler puts a file, as it is, between two symbols. */
#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            "embedded_" #symbol ":\n.incbin \"" file "\"\n"                                        \
            "embedded_" #symbol "_end:\n.byte 0\n.popsection\n");                                  \
    extern const uint8_t embedded_##symbol[] __attribute__((visibility("hidden")));                \
    extern const uint8_t embedded_##symbol##_end[] __attribute__((visibility("hidden")))

EMBED(html, "orchestrator/console/index.html");
EMBED(js, "orchestrator/console/console.js");
EMBED(css, "orchestrator/console/console.css");
EMBED(openapi, "docs/wire/openapi.json");

static struct bytes between(const uint8_t *from, const uint8_t *to)
{
    return (struct bytes){ .p = from, .n = (size_t)((uintptr_t)to - (uintptr_t)from) };
}

const struct api_file *api_console_file(const char *path)
{
    static _Thread_local struct api_file found;
    static const struct {
        const char *path, *type;
        const uint8_t *from, *to;
    } rows[] = {
        { "/", "text/html; charset=utf-8", embedded_html, embedded_html_end },
        { "/console.js", "text/javascript; charset=utf-8", embedded_js, embedded_js_end },
        { "/console.css", "text/css; charset=utf-8", embedded_css, embedded_css_end },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].path, path) != 0)
            continue;
        found = (struct api_file){ .path = rows[i].path,
                                   .type = rows[i].type,
                                   .content = between(rows[i].from, rows[i].to) };
        return &found;
    }
    return NULL;
}

struct bytes api_console_openapi(void)
{
    return between(embedded_openapi, embedded_openapi_end);
}
