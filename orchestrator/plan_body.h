/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan_body: what comes with a request for a plan, with the signatures for one and
 * with a delegation (docs/wire/orders-api.md), to structs.
 *
 * The body is hostile, and larger than any other that the API takes: before it is read as JSON its
 * values are counted, so that what it becomes is not much larger than itself.  What is not known is
 * refused.  Pure: no I/O.
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_BODY_H
#define BERTH_ORCHESTRATOR_PLAN_BODY_H

#include "base/bytes.h"
#include "base/err.h"
#include "orchestrator/json.h"
#include "orchestrator/request.h"

#define PLAN_FILES_MAX 256U
#define PLAN_SIGNATURES_MAX 2048U /* as many as a body has room for; more come in several */
#define PLAN_FILES_BYTES ((size_t)8 * 1024 * 1024) /* of all together */
#define PLAN_NAME_CAP 65U
#define PLAN_WHY_MAX 128U
#define PLAN_COLUMNS_MAX 9999

/* How large each of them may be. */
#define PLAN_ASK_MAX ((size_t)12 * 1024 * 1024)
#define PLAN_UNDO_MAX ((size_t)64 * 1024)
#define PLAN_GIVE_MAX PLAN_ASK_MAX
#define PLAN_DELEGATION_MAX ((size_t)96 * 1024)

static_assert(PLAN_FILES_BYTES / 3 * 4 + PLAN_FILES_MAX * 128U < PLAN_ASK_MAX,
              "files of the largest size fit into a body");
static_assert(PLAN_SIGNATURES_MAX * 6144LLU >= PLAN_GIVE_MAX,
              "a signature of two halves is some 5400 bytes, and 7300 in base64");
static_assert(DOCUMENT_MAX / 3 * 4 + 128U < PLAN_DELEGATION_MAX, "so does a delegation");

enum plan_body_kind {
    PLAN_ASK,        /* fleet files and options */
    PLAN_UNDO,       /* options, or nothing at all */
    PLAN_GIVE,       /* signatures and options */
    PLAN_DELEGATION, /* one document */
};

/* The most bytes of a body of this kind. */
size_t plan_body_max(enum plan_body_kind kind);

struct plan_file {
    char name[PLAN_NAME_CAP];
    uint8_t *bytes; /* owned by the body */
    size_t n;
};

/* All zero where nothing was said, but for what is noted. */
struct plan_body {
    size_t n;
    struct plan_file *file; /* files; or signatures, of which several may have one name; or the
                               document, without a name */
    const char *fleet;      /* which of them; a view of its name */
    bool staged, supersede, despite_failure;
    bool more;   /* signatures: others follow */
    bool deltas; /* true where nothing was said */
    uint64_t token_life, rate, pass;
    int columns; /* -1 where nothing was said */
    char why[PLAN_WHY_MAX + 1U];
};
void plan_body_done(struct plan_body *body); /* scope cleaner; fine on a zeroed one */

/* RC_API_REQUEST, naming the member; RC_TOO_LARGE: of the body, the files or the document. */
must_check enum rc plan_body_read(enum plan_body_kind kind, struct bytes in, struct plan_body *ret,
                                  struct err *err);

/* {"name": NAME, "bytes": BASE64}, as such bodies and their answers have files; a new reference, or
 * NULL without memory. */
json_t *plan_file_json(const char *name, struct bytes bytes);

/* Whether a file may be called so: 1 to 64 of A-Z a-z 0-9 . _ - and no '.', '_' or '-' first. */
bool plan_name_valid(const char *name);

#endif
