/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/yaml_emit.h"

#include <string.h>
#include <strings.h>
#include <yaml.h>

/* A list or a map that is not printed to its end yet. */
struct level {
    json_t *value;
    size_t at;  /* list: the next item */
    void *iter; /* map: the next entry */
};

struct writer {
    yaml_emitter_t emitter;
    bool bad;
};

/* Takes over what the event holds, also when it failed. */
static void emit(struct writer *w, yaml_event_t *event, int made)
{
    if (made && w->bad)
        yaml_event_delete(event);
    else
        w->bad = !made || yaml_emitter_emit(&w->emitter, event) != 1;
}

/* What every reader takes for a text as it is. */
static bool is_plain(const char *text)
{
    static const char *const words[] = { "y",   "n",  "yes", "no",  "true", "false",
                                         "off", "on", "nan", "inf", "null" };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/@-");

    if (text[0] == '\0' || text[n] != '\0' || !strchr(letters, text[0]))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return true;
}

static void put_scalar(struct writer *w, const char *text, size_t n, bool plain)
{
    yaml_event_t event;

    emit(w, &event,
         yaml_scalar_event_initialize(
             &event, NULL, NULL, (const yaml_char_t *)text, (int)n, plain, !plain,
             plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE));
}

static void put_text(struct writer *w, const char *text, size_t n)
{
    put_scalar(w, text, n, strlen(text) == n && is_plain(text));
}

static void put_value(struct writer *w, const json_t *value)
{
    char number[40];

    if (json_is_string(value)) {
        put_text(w, json_string_value(value), json_string_length(value));
        return;
    }
    if (json_is_integer(value))
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(number, sizeof number, "%.15g", json_real_value(value));
    else
        (void)snprintf(number, sizeof number, "%s",
                       json_is_true(value)    ? "true"
                       : json_is_false(value) ? "false"
                                              : "null");
    put_scalar(w, number, strlen(number), true);
}

/* Begin a list or map, in one line when nothing is in it. */
static void begin(struct writer *w, const json_t *value)
{
    yaml_event_t event;

    if (json_is_array(value))
        emit(w, &event,
             yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                  json_array_size(value) > 0
                                                      ? YAML_BLOCK_SEQUENCE_STYLE
                                                      : YAML_FLOW_SEQUENCE_STYLE));
    else
        emit(w, &event,
             yaml_mapping_start_event_initialize(
                 &event, NULL, NULL, 1,
                 json_object_size(value) > 0 ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE));
}

static void end(struct writer *w, const json_t *value)
{
    yaml_event_t event;

    emit(w, &event,
         json_is_array(value) ? yaml_sequence_end_event_initialize(&event)
                              : yaml_mapping_end_event_initialize(&event));
}

/* What comes next on a level, NULL at its end; the key of a map's entry is printed. */
static json_t *next(struct writer *w, struct level *level)
{
    if (json_is_array(level->value))
        return json_array_get(level->value, level->at++);
    if (!level->iter)
        return NULL;
    const char *key = json_object_iter_key(level->iter);
    json_t *value = json_object_iter_value(level->iter);

    put_text(w, key, strlen(key));
    level->iter = json_object_iter_next(level->value, level->iter);
    return value;
}

static void put_tree(struct writer *w, json_t *value)
{
    struct level level[YAML_EMIT_DEPTH];
    size_t depth = 0;

    while (!w->bad) {
        if (json_is_array(value) || json_is_object(value)) {
            if (depth == YAML_EMIT_DEPTH) {
                w->bad = true;
                return;
            }
            begin(w, value);
            level[depth++] = (struct level){ .value = value, .iter = json_object_iter(value) };
        } else {
            put_value(w, value);
        }
        while (depth > 0 && !(value = next(w, &level[depth - 1])))
            end(w, level[--depth].value);
        if (depth == 0)
            return;
    }
}

static int write_out(void *arg, unsigned char *bytes, size_t n)
{
    return fwrite(bytes, 1, n, arg) == n;
}

bool yaml_emit(const json_t *value, FILE *out)
{
    struct writer w = { .bad = !value };
    yaml_event_t event;

    if (!yaml_emitter_initialize(&w.emitter))
        return false;
    yaml_emitter_set_output(&w.emitter, write_out, out);
    yaml_emitter_set_width(&w.emitter, -1);
    emit(&w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    if (!w.bad)
        put_tree(&w, (json_t *)(uintptr_t)value);
    emit(&w, &event, yaml_document_end_event_initialize(&event, 1));
    emit(&w, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&w.emitter);
    return !w.bad && fflush(out) == 0;
}
