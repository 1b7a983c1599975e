/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/yaml.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/fs.h"
#include "orchestrator/path.h"
#include "orchestrator/suggest.h"
#include "orchestrator/yaml_units.h"

#define TEXT_CHUNK 65536U
#define KEYS_MAX 1024U /* of one map: looking for a key is a walk */

/* Text of one document: a list of blocks, so that pointers stay valid. */
struct block {
    struct block *next;
    size_t used;
    size_t cap;
    char text[];
};

struct yaml {
    char name[40]; /* how errors call the file */
    struct block *blocks;
    size_t n;
    size_t cap;
    struct yaml_node *nodes; /* nodes[0] is the root */
};

/* ---- building ---- */

struct builder {
    yaml_parser_t parser;
    struct yaml *doc;
    struct err *err;
    size_t depth;
    uint32_t open[YAML_NESTING_MAX]; /* the lists and maps that are open, outermost first */
    const char *key;                 /* in a map: the key that was read, waiting for its value */
    unsigned key_line, key_column;
    bool done;
};

static enum rc refuse(struct err *err, const struct yaml *doc, size_t line, size_t column,
                      const char *fmt, ...) printf_like(5, 6);

static enum rc refuse(struct err *err, const struct yaml *doc, size_t line, size_t column,
                      const char *fmt, ...)
{
    char text[sizeof err->what];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(err, RC_YAML, "%s:%zu:%zu: %s", doc->name, line, column, text);
}

static enum rc refuse_event(const struct builder *b, const yaml_event_t *event, const char *why)
{
    return refuse(b->err, b->doc, event->start_mark.line + 1, event->start_mark.column + 1, "%s",
                  why);
}

static char *keep_text(struct yaml *doc, const char *text, size_t n)
{
    struct block *block = doc->blocks;
    char *copy;

    if (!block || block->cap - block->used < n + 1) {
        size_t cap = n + 1 > TEXT_CHUNK ? n + 1 : TEXT_CHUNK;

        block = malloc(sizeof *block + cap);
        if (!block)
            return NULL;
        *block = (struct block){ .next = doc->blocks, .cap = cap };
        doc->blocks = block;
    }
    copy = block->text + block->used;
    memcpy(copy, text, n);
    copy[n] = '\0';
    block->used += n + 1;
    return copy;
}

static enum rc new_node(struct builder *b, const yaml_event_t *event, enum yaml_type type,
                        uint32_t *ret)
{
    struct yaml *doc = b->doc;

    if (doc->n == YAML_NODES_MAX)
        return refuse_event(b, event, "too many entries");
    if (doc->n == doc->cap) {
        size_t cap = doc->cap == 0 ? 64 : 2 * doc->cap;
        struct yaml_node *grown = reallocarray(doc->nodes, cap, sizeof *grown);

        if (!grown)
            return err_set(b->err, RC_NO_MEMORY, "%s", doc->name);
        doc->nodes = grown;
        doc->cap = cap;
    }
    doc->nodes[doc->n] = (struct yaml_node){ .type = type,
                                             .line = (unsigned)event->start_mark.line + 1,
                                             .column = (unsigned)event->start_mark.column + 1 };
    *ret = (uint32_t)doc->n++;
    return RC_OK;
}

/* Hang a node into the innermost open list or map. */
static void hang(struct builder *b, uint32_t index)
{
    struct yaml_node *nodes = b->doc->nodes, *parent, *node = &nodes[index];

    if (b->depth == 0)
        return;
    parent = &nodes[b->open[b->depth - 1]];
    if (parent->last_or_zero != 0)
        nodes[parent->last_or_zero].next_or_zero = index;
    else
        parent->first_or_zero = index;
    parent->last_or_zero = index;
    parent->children++;
    node->key = b->key;
    node->key_line = b->key_line;
    node->key_column = b->key_column;
    b->key = NULL;
}

static bool wants_key(const struct builder *b)
{
    return b->depth > 0 && b->doc->nodes[b->open[b->depth - 1]].type == YAML_MAP && !b->key;
}

static const struct yaml_node *find_key(const struct yaml *doc, const struct yaml_node *map,
                                        const char *key)
{
    for (uint32_t i = map->first_or_zero; i != 0; i = doc->nodes[i].next_or_zero) {
        if (strcmp(doc->nodes[i].key, key) == 0)
            return &doc->nodes[i];
    }
    return NULL;
}

static enum rc take_key(struct builder *b, const yaml_event_t *event, const char *text)
{
    const struct yaml_node *map = &b->doc->nodes[b->open[b->depth - 1]];

    if (strcmp(text, "<<") == 0)
        return refuse_event(b, event, "merge keys are not supported");
    if (map->children == KEYS_MAX)
        return refuse_event(b, event, "too many keys");
    if (find_key(b->doc, map, text))
        return refuse(b->err, b->doc, event->start_mark.line + 1, event->start_mark.column + 1,
                      "key '%s' appears twice", text);
    b->key = text;
    b->key_line = (unsigned)event->start_mark.line + 1;
    b->key_column = (unsigned)event->start_mark.column + 1;
    return RC_OK;
}

static enum rc take_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    uint32_t index = 0;
    const char *text;
    enum rc rc;

    if (event->data.scalar.anchor || event->data.scalar.tag)
        return refuse_event(b, event, "anchors and tags are not supported");
    if (memchr(value, '\0', n))
        return refuse_event(b, event, "text contains a NUL");
    text = keep_text(b->doc, value, n);
    if (!text)
        return err_set(b->err, RC_NO_MEMORY, "%s", b->doc->name);
    if (wants_key(b))
        return take_key(b, event, text);
    rc = new_node(b, event, YAML_SCALAR, &index);
    if (rc == RC_OK) {
        b->doc->nodes[index].text = text;
        b->doc->nodes[index].quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        hang(b, index);
    }
    return rc;
}

static enum rc open_group(struct builder *b, const yaml_event_t *event, enum yaml_type type,
                          bool decorated)
{
    uint32_t index = 0;
    enum rc rc;

    if (decorated)
        return refuse_event(b, event, "anchors and tags are not supported");
    if (wants_key(b))
        return refuse_event(b, event, "a key must be plain text");
    if (b->depth == YAML_NESTING_MAX)
        return refuse_event(b, event, "nested too deep");
    rc = new_node(b, event, type, &index);
    if (rc == RC_OK) {
        hang(b, index);
        b->open[b->depth++] = index;
    }
    return rc;
}

static enum rc take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return RC_OK;
    case YAML_DOCUMENT_START_EVENT:
        if (b->doc->n > 0)
            return refuse_event(b, event, "a second document in one file");
        return RC_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_group(b, event, YAML_LIST,
                          event->data.sequence_start.anchor || event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_group(b, event, YAML_MAP,
                          event->data.mapping_start.anchor || event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return RC_OK;
    case YAML_STREAM_END_EVENT:
        b->done = true;
        return RC_OK;
    case YAML_ALIAS_EVENT:
        return refuse_event(b, event, "aliases are not supported");
    case YAML_NO_EVENT:
        break;
    }
    return refuse_event(b, event, "not valid YAML");
}

static enum rc build(struct builder *b)
{
    yaml_event_t event;
    enum rc rc = RC_OK;

    while (!b->done && rc == RC_OK) {
        if (!yaml_parser_parse(&b->parser, &event))
            return refuse(b->err, b->doc, b->parser.problem_mark.line + 1,
                          b->parser.problem_mark.column + 1, "%s",
                          b->parser.problem ? b->parser.problem : "not valid YAML");
        rc = take_event(b, &event);
        yaml_event_delete(&event);
    }
    return rc;
}

static void set_name(struct yaml *doc, const char *name)
{
    const char *slash = strrchr(name, '/');

    (void)snprintf(doc->name, sizeof doc->name, "%.39s", slash ? slash + 1 : name);
}

/* An empty document stands for an empty map. */
static enum rc ensure_root(struct builder *b)
{
    yaml_event_t nowhere = { 0 };
    struct yaml_node *root = b->doc->nodes;
    uint32_t index = 0;

    if (b->doc->n > 0 && !(root->type == YAML_SCALAR && !root->quoted && root->text[0] == '\0'))
        return RC_OK;
    b->doc->n = 0;
    return new_node(b, &nowhere, YAML_MAP, &index);
}

enum rc yaml_parse(struct bytes text, const char *name, struct yaml **ret, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = calloc(1, sizeof *doc);
    struct builder b = { .doc = doc, .err = err };
    enum rc rc;

    if (!doc)
        return err_set(err, RC_NO_MEMORY, "%s", name);
    set_name(doc, name);
    if (text.n > YAML_BYTES_MAX)
        return err_set(err, RC_TOO_LARGE, "%s", doc->name);
    if (!yaml_parser_initialize(&b.parser))
        return err_set(err, RC_NO_MEMORY, "%s", doc->name);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, text.n > 0 ? text.p : (const unsigned char *)"",
                                 text.n);
    rc = build(&b);
    if (rc == RC_OK)
        rc = ensure_root(&b);
    yaml_parser_delete(&b.parser);
    if (rc == RC_OK) {
        *ret = doc;
        doc = NULL;
    }
    return rc;
}

enum rc yaml_load(int dirfd, const char *path, struct yaml **ret, struct err *err)
{
    scoped(free_ptr) uint8_t *text = NULL;
    size_t n = 0;
    enum rc rc = dirfd == AT_FDCWD ? path_read(path, YAML_BYTES_MAX, &text, &n, err)
                                   : fs_read_alloc(dirfd, path, YAML_BYTES_MAX, &text, &n, err);

    return rc == RC_OK ? yaml_parse((struct bytes){ .p = text, .n = n }, path, ret, err) : rc;
}

void yaml_close(struct yaml **doc)
{
    if (*doc) {
        while ((*doc)->blocks) {
            struct block *next = (*doc)->blocks->next;

            free((*doc)->blocks);
            (*doc)->blocks = next;
        }
        free((*doc)->nodes);
        free(*doc);
    }
    *doc = NULL;
}

/* ---- reading ---- */

struct yaml_in yaml_read(const struct yaml *doc)
{
    return (struct yaml_in){ .doc = doc };
}

const struct yaml_node *yaml_root(const struct yaml_in *r)
{
    return r->doc->nodes;
}

const struct yaml_node *yaml_first(const struct yaml_in *r, const struct yaml_node *parent)
{
    return parent && parent->first_or_zero != 0 ? &r->doc->nodes[parent->first_or_zero] : NULL;
}

const struct yaml_node *yaml_next(const struct yaml_in *r, const struct yaml_node *node)
{
    return node && node->next_or_zero != 0 ? &r->doc->nodes[node->next_or_zero] : NULL;
}

const struct yaml_node *yaml_get(const struct yaml_in *r, const struct yaml_node *map,
                                 const char *key)
{
    return map && map->type == YAML_MAP ? find_key(r->doc, map, key) : NULL;
}

static void fail_v(struct yaml_in *r, size_t line, size_t column, const char *fmt, va_list args)
    printf_like(4, 0);

static void fail_v(struct yaml_in *r, size_t line, size_t column, const char *fmt, va_list args)
{
    char text[sizeof r->err.what];

    if (r->err.rc != RC_OK)
        return;
    (void)vsnprintf(text, sizeof text, fmt, args);
    (void)!refuse(&r->err, r->doc, line, column, "%s", text);
}

void yaml_fail(struct yaml_in *r, const struct yaml_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail_v(r, node->line, node->column, fmt, args);
    va_end(args);
}

static void fail_key(struct yaml_in *r, const struct yaml_node *node, const char *fmt, ...)
    printf_like(3, 4);

static void fail_key(struct yaml_in *r, const struct yaml_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail_v(r, node->key_line, node->key_column, fmt, args);
    va_end(args);
}

static bool listed(const char *key, const char *const *allowed)
{
    for (; *allowed; allowed++) {
        if (strcmp(key, *allowed) == 0)
            return true;
    }
    return false;
}

void yaml_keys(struct yaml_in *r, const struct yaml_node *map, const char *const *allowed)
{
    if (!map || r->err.rc != RC_OK)
        return;
    if (map->type != YAML_MAP) {
        yaml_fail(r, map, "keys are expected here");
        return;
    }
    for (const struct yaml_node *node = yaml_first(r, map); node; node = yaml_next(r, node)) {
        const char *nearest = suggest_nearest(node->key, allowed);

        if (listed(node->key, allowed))
            continue;
        if (nearest)
            fail_key(r, node, "unknown key '%s', did you mean '%s'?", node->key, nearest);
        else
            fail_key(r, node, "unknown key '%s'", node->key);
    }
}

static const struct yaml_node *get_group(struct yaml_in *r, const struct yaml_node *map,
                                         const char *key, bool needed, enum yaml_type type)
{
    const struct yaml_node *node = yaml_get(r, map, key);

    if (!map)
        return NULL;
    if (!node && needed)
        yaml_fail(r, map, "'%s' is missing", key);
    if (node && node->type != type) {
        yaml_fail(r, node, type == YAML_MAP ? "'%s' wants keys" : "'%s' wants a list", key);
        return NULL;
    }
    return node;
}

const struct yaml_node *yaml_map(struct yaml_in *r, const struct yaml_node *map, const char *key,
                                 bool needed)
{
    return get_group(r, map, key, needed, YAML_MAP);
}

const struct yaml_node *yaml_list(struct yaml_in *r, const struct yaml_node *map, const char *key,
                                  bool needed)
{
    return get_group(r, map, key, needed, YAML_LIST);
}

void yaml_scalar(struct yaml_in *r, const struct yaml_node *node, char *out, size_t cap)
{
    out[0] = '\0';
    if (!node || r->err.rc != RC_OK)
        return;
    if (node->type != YAML_SCALAR)
        yaml_fail(r, node, "plain text is expected here");
    else if (strlen(node->text) >= cap)
        yaml_fail(r, node, "longer than %zu characters", cap - 1);
    else
        memcpy(out, node->text, strlen(node->text) + 1);
}

void yaml_text(struct yaml_in *r, const struct yaml_node *map, const char *key, const char *absent,
               char *out, size_t cap)
{
    const struct yaml_node *node = yaml_get(r, map, key);

    out[0] = '\0';
    if (node)
        yaml_scalar(r, node, out, cap);
    else if (absent)
        (void)snprintf(out, cap, "%s", absent);
    else if (map)
        yaml_fail(r, map, "'%s' is missing", key);
}

/* What the number readers share: find the entry, parse its text, check the range. */
static uint64_t get_number(struct yaml_in *r, const struct yaml_node *map, const char *key,
                           uint64_t absent, const uint64_t range[2], enum yaml_unit unit)
{
    const struct yaml_node *node = yaml_get(r, map, key);
    uint64_t value = 0;

    if (r->err.rc != RC_OK || !map)
        return 0;
    if (!node) {
        if (absent == YAML_NEEDED)
            yaml_fail(r, map, "'%s' is missing", key);
        return absent == YAML_NEEDED ? 0 : absent;
    }
    if (node->type != YAML_SCALAR || !yaml_unit_parse(unit, node->text, &value)) {
        yaml_fail(r, node, "'%s' wants %s", key, yaml_unit_help(unit));
        return 0;
    }
    if (value < range[0] || value > range[1]) {
        yaml_fail(r, node, "'%s' must be %llu to %llu%s", key, (unsigned long long)range[0],
                  (unsigned long long)range[1], yaml_unit_name(unit));
        return 0;
    }
    return value;
}

#define RANGE(min, max) ((const uint64_t[2]){ (min), (max) })

uint64_t yaml_uint(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_NONE);
}

uint64_t yaml_size(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_SIZE);
}

uint64_t yaml_time(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_TIME);
}

uint64_t yaml_orbits(struct yaml_in *r, const struct yaml_node *map, const char *key,
                     uint64_t absent, uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_ORBITS);
}

uint64_t yaml_share(struct yaml_in *r, const struct yaml_node *map, const char *key,
                    uint64_t absent, uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_SHARE);
}

uint64_t yaml_fraction(struct yaml_in *r, const struct yaml_node *map, const char *key,
                       uint64_t absent, uint64_t min, uint64_t max)
{
    return get_number(r, map, key, absent, RANGE(min, max), YAML_UNIT_FRACTION);
}

bool yaml_bool(struct yaml_in *r, const struct yaml_node *map, const char *key, bool absent)
{
    const struct yaml_node *node = yaml_get(r, map, key);

    if (!node || r->err.rc != RC_OK)
        return absent;
    if (node->type == YAML_SCALAR && strcmp(node->text, "true") == 0)
        return true;
    if (node->type != YAML_SCALAR || strcmp(node->text, "false") != 0)
        yaml_fail(r, node, "'%s' wants true or false", key);
    return false;
}

enum rc yaml_done(const struct yaml_in *r, struct err *err)
{
    if (r->err.rc != RC_OK && err)
        *err = r->err;
    return r->err.rc;
}
