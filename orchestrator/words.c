/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "orchestrator/cli.h"

#define LABEL_WIDTH 16
#define SCALAR_CAP 256U

static bool ends_in(const char *text, const char *suffix)
{
    size_t n = strlen(text), cut = strlen(suffix);

    return n > cut && strcmp(text + n - cut, suffix) == 0;
}

static const char *text_of(const json_t *value, const char *key)
{
    const char *text = json_string_value(json_object_get(value, key));

    return text ? text : "?";
}

static long long number_of(const json_t *value, const char *key)
{
    return (long long)json_integer_value(json_object_get(value, key));
}

/* ---- one value ---- */

static void put_time(long long ms, char *out, size_t cap)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (ms == 0)
        (void)snprintf(out, cap, "never");
    else if (!gmtime_r(&seconds, &tm) || strftime(out, cap, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(out, cap, "%lld ms after 1970", ms);
}

static void put_duration(long long ms, char *out, size_t cap)
{
    char age[CLI_SIZE_CAP];

    if (ms % 1000 != 0)
        (void)snprintf(out, cap, "%lld ms", ms);
    else
        (void)snprintf(out, cap, "%s", ms == 0 ? "0" : cli_age((uint64_t)ms, age));
}

static void put_size(long long bytes, char *out, size_t cap)
{
    char size[CLI_SIZE_CAP];

    (void)snprintf(out, cap, "%s", bytes == 0 ? "none" : cli_size((uint64_t)bytes, size));
}

static void put_cores(long long permille, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%lld.%03lld cores", permille / 1000, permille % 1000);
}

static void put_kib(long long kib, char *out, size_t cap)
{
    put_size(kib * 1024, out, cap);
}

/* By the end of the field's name; the first that fits. */
static const struct unit {
    const char *ending;
    void (*put)(long long value, char *out, size_t cap);
} units[] = {
    { "operator_since_ms", put_time },
    { "issued_ms", put_time },
    { "expires_ms", put_time },
    { "time_ms", put_time },
    { "_ms", put_duration },
    { "_bytes", put_size },
    { "_kib", put_kib },
    { "cpu_permille", put_cores },
};

static void put_number(const char *key, long long value, char *out, size_t cap)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(key, units[i].ending) == 0 || ends_in(key, units[i].ending)) {
            units[i].put(value, out, cap);
            return;
        }
    }
    (void)snprintf(out, cap, "%lld", value);
}

/* A value without parts; what has parts below the levels that are printed stays JSON. */
static void put_scalar(const char *key, const json_t *value, char *out, size_t cap)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value);

        (void)snprintf(out, cap, "%s", text[0] != '\0' ? text : "any");
    } else if (json_is_integer(value)) {
        put_number(key, (long long)json_integer_value(value), out, cap);
    } else if (json_is_boolean(value)) {
        (void)snprintf(out, cap, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_null(value)) {
        (void)snprintf(out, cap, "none");
    } else {
        scoped(free_ptr) char *dump = json_dumps(value, JSON_ENCODE_ANY);

        (void)snprintf(out, cap, "%s", dump ? dump : "?");
    }
}

/* "issued_ms" is read "issued". */
static void put_label(const char *key, char *out, size_t cap)
{
    static const char *const units_in_names[] = { "_ms", "_bytes", "_kib", "_permille" };
    size_t n;

    (void)snprintf(out, cap, "%s", key);
    for (size_t i = 0; i < sizeof units_in_names / sizeof units_in_names[0]; i++) {
        if (ends_in(out, units_in_names[i])) {
            out[strlen(out) - strlen(units_in_names[i])] = '\0';
            break;
        }
    }
    n = strlen(out);
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] == '_' ? ' ' : out[i];
}

/* ---- a field ---- */

/* "key value, key value": an element of a list. */
static void print_row(FILE *out, const json_t *object)
{
    char text[SCALAR_CAP], label[64];
    const char *key, *comma = "";
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        put_scalar(key, value, text, sizeof text);
        put_label(key, label, sizeof label);
        (void)fprintf(out, "%s%s %s", comma, label, text);
        comma = ", ";
    }
    (void)fputc('\n', out);
}

static void print_list(FILE *out, const char *key, const json_t *list)
{
    char text[SCALAR_CAP];
    size_t i;
    json_t *value;

    if (json_array_size(list) == 0)
        (void)fprintf(out, "none\n");
    json_array_foreach(list, i, value)
    {
        if (i > 0)
            (void)fprintf(out, "%*s", LABEL_WIDTH + 3, "");
        if (json_is_object(value)) {
            print_row(out, value);
        } else {
            put_scalar(key, value, text, sizeof text);
            (void)fprintf(out, "%s\n", text);
        }
    }
}

static bool is_key_set(const json_t *value)
{
    return json_is_object(value) && json_is_array(json_object_get(value, "keys")) &&
           json_is_integer(json_object_get(value, "threshold"));
}

static void print_key_set(FILE *out, const json_t *set)
{
    const json_t *keys = json_object_get(set, "keys");
    const json_t *algorithms = json_object_get(set, "algorithms");
    json_t *lines = json_array();

    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *id = json_string_value(json_array_get(keys, i));
        const char *algorithm = json_string_value(json_array_get(algorithms, i));

        (void)json_array_append_new(
            lines, json_sprintf("%s  %s", id ? id : "?", algorithm ? algorithm : ""));
    }
    (void)fprintf(out, "any %lld of %zu must sign\n%*s", number_of(set, "threshold"),
                  json_array_size(keys), LABEL_WIDTH + 3, "");
    print_list(out, "key", lines);
    json_decref(lines);
}

static void print_field(FILE *out, const char *key, const json_t *value)
{
    char text[SCALAR_CAP], label[64];

    put_label(key, label, sizeof label);
    (void)fprintf(out, "  %-*s ", LABEL_WIDTH, label);
    if (is_key_set(value)) {
        print_key_set(out, value);
    } else if (json_is_array(value)) {
        print_list(out, key, value);
    } else if (json_is_object(value)) {
        print_row(out, value);
    } else {
        put_scalar(key, value, text, sizeof text);
        (void)fprintf(out, "%s\n", text);
    }
}

/* ---- what it does ---- */

static void say_root(FILE *out, const json_t *v)
{
    (void)fprintf(out,
                  "TRUST ROOT, version %lld.  Who holds its keys decides who commands every "
                  "satellite of mission %s.\n",
                  number_of(v, "version"), text_of(v, "mission"));
}

static void say_grant(FILE *out, const json_t *v)
{
    (void)fprintf(out,
                  "GRANT, epoch %lld: tenant %s may have payloads inside these limits, signed by "
                  "these keys.\n",
                  number_of(v, "epoch"), text_of(v, "tenant"));
}

static void say_delegation(FILE *out, const json_t *v)
{
    if (json_object_get(v, "withdrawn"))
        (void)fprintf(
            out, "WITHDRAWAL, epoch %lld: %s of tenant %s is a team no longer; what it runs: %s.\n",
            number_of(v, "epoch"), text_of(v, "team"), text_of(v, "tenant"),
            text_of(v, "withdrawn"));
    else
        (void)fprintf(out,
                      "DELEGATION, epoch %lld: team %s of tenant %s may have payloads inside these "
                      "limits, signed by these keys.\n",
                      number_of(v, "epoch"), text_of(v, "team"), text_of(v, "tenant"));
}

static void say_manifest(FILE *out, const json_t *v)
{
    (void)fprintf(out, "MANIFEST: %s/%s version %s (release %lld) is exactly this content.\n",
                  text_of(v, "tenant"), text_of(v, "name"), text_of(v, "version"),
                  number_of(v, "release"));
}

static void say_order(FILE *out, const json_t *v)
{
    bool staged = json_is_true(json_object_get(v, "staged"));

    (void)fprintf(out,
                  "ORDER, generation %lld: satellite %s runs exactly these %zu payloads; whatever "
                  "else runs there stops.%s\n",
                  number_of(v, "generation"), text_of(v, "satellite"),
                  json_array_size(json_object_get(v, "lines")),
                  staged ? "  It waits for its token." : "");
}

static void say_report(FILE *out, const json_t *v)
{
    (void)fprintf(out, "REPORT %lld of start %lld: what satellite %s says of itself.\n",
                  number_of(v, "seq"), number_of(v, "epoch"), text_of(v, "satellite"));
}

static void say_revocation(FILE *out, const json_t *v)
{
    (void)fprintf(out,
                  "REVOCATION, number %lld: %zu entries are taken back on every satellite, for "
                  "good.\n",
                  number_of(v, "number"), json_array_size(json_object_get(v, "revoked")));
}

static void say_rekey(FILE *out, const json_t *v)
{
    const char *kind = text_of(v, "wrapped_for");

    (void)fprintf(out, "REKEY, number %lld: satellite %s gets %zu new keys, wrapped for %s%s.\n",
                  number_of(v, "number"), text_of(v, "satellite"),
                  json_array_size(json_object_get(v, "keys")),
                  strcmp(kind, "kem") == 0      ? "its KEM key"
                  : strcmp(kind, "master") == 0 ? "its master key"
                                                : "nobody",
                  strcmp(kind, "nobody") == 0 ? ": it makes them itself" : "");
}

static void say_token(FILE *out, const json_t *v)
{
    (void)fprintf(out,
                  "TOKEN: lets order %lld, which waits on satellite %s, take effect, until it "
                  "expires.\n",
                  number_of(v, "generation"), text_of(v, "satellite"));
}

static void say_signature(FILE *out, const json_t *v)
{
    (void)fprintf(out, "SIGNATURE over a %s, to be attached to it.\n", text_of(v, "over_a"));
}

static const struct sentence {
    const char *kind;
    void (*say)(FILE *out, const json_t *value);
} sentences[] = {
    { "root", say_root },
    { "grant", say_grant },
    { "delegation", say_delegation },
    { "manifest", say_manifest },
    { "package", say_manifest },
    { "unsigned package", say_manifest },
    { "signature", say_signature },
    { "revocation", say_revocation },
    { "rekey", say_rekey },
    { "token", say_token },
    { "order", say_order },
    { "report", say_report },
};

char *words_of(const json_t *value)
{
    const char *kind = text_of(value, "kind"), *key;
    char *text = NULL;
    json_t *field;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++) {
        if (strcmp(kind, sentences[i].kind) == 0)
            sentences[i].say(out, value);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, field)
    {
        print_field(out, key, field);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
