/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli_names.h"

#include <stdlib.h>

#include "base/name.h"
#include "orchestrator/api_token.h"
#include "orchestrator/context.h"
#include "orchestrator/home.h"

struct printer {
    FILE *out;
    const char *typed;
    size_t n;
};

static void print_name(struct printer *p, const char *name)
{
    if (name_valid(name) && strncmp(name, p->typed, strlen(p->typed)) == 0 &&
        p->n++ < CLI_NAMES_MAX)
        (void)fprintf(p->out, "%s\n", name);
}

static void print_satellites(struct store *store, struct printer *p)
{
    scoped(free_ptr) struct store_satellite *rows = NULL;
    struct err err;
    size_t n = 0;

    if (store_satellites(store, &rows, &n, &err) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++)
        print_name(p, rows[i].id);
}

static void print_rollouts(struct store *store, struct printer *p)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    struct err err;
    size_t n = 0;

    if (store_rollouts(store, 0, &rows, &n, &err) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        char id[24];

        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)rows[i].id);
        print_name(p, id);
    }
}

static void print_tenants(struct store *store, struct printer *p)
{
    scoped(free_ptr) struct store_name *rows = NULL;
    struct err err;
    size_t n = 0;

    if (store_documents(store, DOC_GRANT, &rows, &n, &err) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++)
        print_name(p, rows[i].name);
}

static void print_tokens(struct store *store, struct printer *p)
{
    scoped(free_ptr) struct api_token *rows = NULL;
    struct err err;
    size_t n = 0;

    if (api_token_list(store, &rows, &n, &err) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++)
        print_name(p, rows[i].who.name);
}

static void print_contexts(struct printer *p)
{
    scoped(free_ptr) struct contexts *all = NULL;
    struct err err = { 0 };

    if (contexts_load(&all, &err) != RC_OK)
        return;
    for (size_t i = 0; i < all->n; i++)
        print_name(p, all->context[i].name);
}

void cli_names_print(enum cli_names kind, const char *home, const char *typed, FILE *out)
{
    scoped(home_close) struct home h = HOME_NONE;
    struct printer p = { .out = out, .typed = typed };
    struct err err;

    if (kind == CLI_CONTEXTS)
        print_contexts(&p);
    if (kind == CLI_NO_NAMES || kind == CLI_CONTEXTS || home_open(home, false, &h, &err) != RC_OK)
        return;
    switch (kind) {
    case CLI_SATELLITES:
        print_satellites(h.store, &p);
        break;
    case CLI_ROLLOUTS:
        print_rollouts(h.store, &p);
        break;
    case CLI_TENANTS:
        print_tenants(h.store, &p);
        break;
    case CLI_TOKENS:
        print_tokens(h.store, &p);
        break;
    case CLI_CONTEXTS:
    case CLI_NO_NAMES:
        break;
    }
}
