/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/labels.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/name.h"

#define LABELS_MAX 16U
#define LABEL_CAP (NAME_CAP + VERSION_CAP)

struct labels {
    size_t n;
    char label[LABELS_MAX][LABEL_CAP]; /* "key=value" */
};

static size_t key_length(const char *label)
{
    return strcspn(label, "=");
}

/* Keep the list sorted by key, and each key once. */
static enum rc insert(struct labels *list, const char *label, struct err *err)
{
    size_t at = 0;
    int order = 1;

    while (at < list->n) {
        size_t a = key_length(label), b = key_length(list->label[at]);

        order = strncmp(list->label[at], label, a < b ? a : b);
        if (order == 0)
            order = b < a ? -1 : b > a;
        if (order >= 0)
            break;
        at++;
    }
    if (at < list->n && order == 0)
        return err_set(err, RC_USAGE, "label %s is given twice", label);
    if (list->n == LABELS_MAX)
        return err_set(err, RC_USAGE, "more than %u labels", LABELS_MAX);
    memmove(list->label[at + 1], list->label[at], (list->n - at) * LABEL_CAP);
    memcpy(list->label[at], label, strlen(label) + 1);
    list->n++;
    return RC_OK;
}

static enum rc add(struct labels *list, const char *text, size_t n, struct err *err)
{
    char label[LABEL_CAP], key[NAME_CAP];
    size_t k;

    if (n >= sizeof label)
        return err_set(err, RC_USAGE, "label '%s' is too long", text);
    memcpy(label, text, n);
    label[n] = '\0';
    k = key_length(label);
    if (label[k] != '=' || k >= sizeof key)
        return err_set(err, RC_USAGE, "label '%s' is not key=value", label);
    memcpy(key, label, k);
    key[k] = '\0';
    if (!name_valid(key) || !version_valid(label + k + 1))
        return err_set(err, RC_USAGE, "label '%s' is not key=value", label);
    return insert(list, label, err);
}

enum rc labels_join(const struct cli *cli, const char *option, char *out, size_t cap,
                    struct err *err)
{
    scoped(free_ptr) struct labels *list = calloc(1, sizeof *list);
    const char *text;
    size_t at = 0;
    enum rc rc = RC_OK;

    if (!list)
        return err_set(err, RC_NO_MEMORY, "labels");
    for (size_t i = 0; (text = cli_value_at(cli, option, i)) != NULL; i++) {
        while (rc == RC_OK && *text != '\0') {
            size_t n = strcspn(text, ",");

            rc = add(list, text, n, err);
            text += n + (text[n] == ',');
        }
    }
    out[0] = '\0';
    for (size_t i = 0; i < list->n && rc == RC_OK; i++) {
        size_t n = strlen(list->label[i]);

        if (at + n + 2 > cap)
            return err_set(err, RC_USAGE, "labels are too long together");
        if (at > 0)
            out[at++] = ',';
        memcpy(out + at, list->label[i], n + 1);
        at += n;
    }
    return rc;
}
