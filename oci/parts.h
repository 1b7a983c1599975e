/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/parts: what the files that read a config.json share.  Each reader takes a value that may be
 * missing (NULL), says which key was wrong, and leaves its default where there is none.
 */
#ifndef BERTH_OCI_PARTS_H
#define BERTH_OCI_PARTS_H

#include "oci/config.h"

/* A reader of one key of an object. */
struct oci_key {
    const char *key;
    enum rc (*read)(const json_t *value, struct oci_config *c, struct err *err);
};

/* Read the keys of a table that are there; name is the object's, for messages.  value NULL or null:
 * nothing is read. */
must_check enum rc oci_keys(const json_t *value, const char *name, const struct oci_key *keys,
                            size_t n, struct oci_config *c, struct err *err);

#define OCI_KEYS(value, name, table, c, err)                                                       \
    oci_keys(value, name, table, sizeof(table) / sizeof((table)[0]), c, err)

must_check enum rc oci_text(const json_t *value, const char *name, size_t max, const char **ret,
                            struct err *err);
must_check enum rc oci_bool(const json_t *value, const char *name, bool *ret, struct err *err);
must_check enum rc oci_number(const json_t *value, const char *name, int64_t min, int64_t max,
                              int64_t *ret, struct err *err);
must_check enum rc oci_u32(const json_t *value, const char *name, uint32_t max, uint32_t *ret,
                           struct err *err);
must_check enum rc oci_path(const json_t *value, const char *name, const char **ret,
                            struct err *err);

/* A list of at most max texts. */
must_check enum rc oci_texts(const json_t *value, const char *name, size_t text_max, size_t max,
                             const char **ret, size_t *ret_n, struct err *err);

/* The elements of a list, each an object: read is called for one after the other. */
must_check enum rc oci_each(const json_t *value, const char *name, size_t max,
                            enum rc (*read)(const json_t *value, struct oci_config *c,
                                            struct err *err),
                            struct oci_config *c, struct err *err);

/* Refused, if it is there and holds anything. */
must_check enum rc oci_none(const json_t *value, const char *name, struct err *err);

/* Note something that is left out or narrowed. */
void oci_say(struct oci_config *c, const char *fmt, ...) printf_like(2, 3);

/* The parts. */
must_check enum rc oci_read_process(const json_t *value, struct oci_config *c, struct err *err);
must_check enum rc oci_read_mounts(const json_t *value, struct oci_config *c, struct err *err);
must_check enum rc oci_read_linux(const json_t *value, struct oci_config *c, struct err *err);
must_check enum rc oci_read_resources(const json_t *value, struct oci_config *c, struct err *err);

#endif
