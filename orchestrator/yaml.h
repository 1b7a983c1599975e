/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/yaml: files that people write (payload.yaml, fleets, quotas, scenarios), read
 * strictly.
 *
 * The one door to libyaml.  A small part of YAML: one document of maps, lists and scalars; anchors,
 * aliases, tags, merge keys, a second document, and the same key twice are refused; depth, size and
 * number of nodes are bounded.  Every node knows its line and column, and so does every error:
 * "payload.yaml:3:1: unknown key 'verison', did you mean 'version'?".
 *
 * Reading is a straight list of calls with a sticky first failure, like base/cbor:
 *
 *     struct yaml_in r = yaml_read(doc);
 *     const struct yaml_node *top = yaml_root(&r);
 *     static const char *const keys[] = { "name", "memory", NULL };
 *     yaml_keys(&r, top, keys);
 *     yaml_text(&r, top, "name", NULL, name, sizeof name);
 *     memory = yaml_size(&r, top, "memory", YAML_NEEDED, 4096, UINT64_MAX);
 *     return yaml_done(&r, err);
 */
#ifndef BERTH_ORCHESTRATOR_YAML_H
#define BERTH_ORCHESTRATOR_YAML_H

#include "base/bytes.h"
#include "base/err.h"

#define YAML_BYTES_MAX (8U * 1024U * 1024U) /* a fleet file of FLEET_SATELLITES_MAX fits */
#define YAML_NODES_MAX 250000U
#define YAML_NESTING_MAX 12U

enum yaml_type { YAML_SCALAR = 1, YAML_LIST, YAML_MAP };

/* One node; owned by its document. */
struct yaml_node {
    enum yaml_type type;
    bool quoted;       /* scalar: was quoted, so "" and "null" are text */
    unsigned line;     /* from 1 */
    unsigned column;   /* from 1 */
    const char *text;  /* scalar: NUL-terminated, no NUL inside; else NULL */
    const char *key;   /* when an entry of a map: its key; else NULL */
    unsigned key_line; /* of the key */
    unsigned key_column;
    uint32_t children;      /* list, map: how many */
    uint32_t first_or_zero; /* index of the first child, 0 = none */
    uint32_t next_or_zero;  /* index of the next sibling, 0 = none */
    uint32_t last_or_zero;  /* index of the last child, 0 = none */
};

struct yaml; /* one document; owns its nodes and their text */

/* Parse a text; name is how errors call it (only its last path component is kept).  RC_YAML with
 * "NAME:LINE:COLUMN: reason". */
must_check enum rc yaml_parse(struct bytes text, const char *name, struct yaml **ret,
                              struct err *err);

/* The same for a file.  With AT_FDCWD path is any path that a person typed; else it is beneath
 * dirfd and no link. */
must_check enum rc yaml_load(int dirfd, const char *path, struct yaml **ret, struct err *err);

void yaml_close(struct yaml **doc); /* scope cleaner */

/* A reader: carries the first failure. */
struct yaml_in {
    const struct yaml *doc;
    struct err err;
};
struct yaml_in yaml_read(const struct yaml *doc);

/* The top node; an empty document is an empty map. */
const struct yaml_node *yaml_root(const struct yaml_in *r);

/* Walk a list or map: the first child, the next one, NULL at the end.  NULL in, NULL out. */
const struct yaml_node *yaml_first(const struct yaml_in *r, const struct yaml_node *parent);
const struct yaml_node *yaml_next(const struct yaml_in *r, const struct yaml_node *node);

/* The entry of a map, NULL if absent (or if map is NULL or no map).  No failure is recorded. */
const struct yaml_node *yaml_get(const struct yaml_in *r, const struct yaml_node *map,
                                 const char *key);

/* Refuse a node that is not a map, or has a key outside the NULL-terminated list; the error
 * suggests the nearest allowed one. */
void yaml_keys(struct yaml_in *r, const struct yaml_node *map, const char *const *allowed);

/* Whether an entry must be there; any other value of `absent` below is what stands for a missing
 * one. */
#define YAML_NEEDED UINT64_MAX

/* The entry as map or list.  Missing: a failure when needed, else NULL. */
const struct yaml_node *yaml_map(struct yaml_in *r, const struct yaml_node *map, const char *key,
                                 bool needed);
const struct yaml_node *yaml_list(struct yaml_in *r, const struct yaml_node *map, const char *key,
                                  bool needed);

/* The entry as text into out; absent == NULL means needed.  out is "" after a failure. */
void yaml_text(struct yaml_in *r, const struct yaml_node *map, const char *key, const char *absent,
               char *out, size_t cap);

/* A node itself (list item or map entry) as text; a failure if it is no scalar or too long. */
void yaml_scalar(struct yaml_in *r, const struct yaml_node *node, char *out, size_t cap);

/* Numbers.  size: "64M", "1.5G", plain bytes (K, M, G are powers of 1024).  time: "5s", "200ms",
 * "2m", "1h", to milliseconds; a bare number is refused except 0.  share: "0.5", "50%" or "500m",
 * to permille. fraction: "0.2" or "20%", to parts per million.  0 after a failure. */
uint64_t yaml_uint(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max);
uint64_t yaml_size(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max);
uint64_t yaml_time(struct yaml_in *r, const struct yaml_node *map, const char *key, uint64_t absent,
                   uint64_t min, uint64_t max);
uint64_t yaml_orbits(struct yaml_in *r, const struct yaml_node *map, const char *key,
                     uint64_t absent, uint64_t min, uint64_t max);
uint64_t yaml_share(struct yaml_in *r, const struct yaml_node *map, const char *key,
                    uint64_t absent, uint64_t min, uint64_t max);
uint64_t yaml_fraction(struct yaml_in *r, const struct yaml_node *map, const char *key,
                       uint64_t absent, uint64_t min, uint64_t max);

/* true or false; absent is what a missing entry means. */
bool yaml_bool(struct yaml_in *r, const struct yaml_node *map, const char *key, bool absent);

/* Record a failure of meaning at a node (its key if it has one), unless one is recorded. */
void yaml_fail(struct yaml_in *r, const struct yaml_node *node, const char *fmt, ...)
    printf_like(3, 4);

/* RC_OK, or the first failure copied to err. */
must_check enum rc yaml_done(const struct yaml_in *r, struct err *err);

#endif
