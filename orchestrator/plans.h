/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plans: plans that somebody asked for over the API, kept until what signs them comes
 * back (docs/wire/orders-api.md).
 *
 *     HOME/plans/lock             whoever uses the directory holds it
 *     HOME/plans/new/             one that is being made; removed when the next one begins
 *     HOME/plans/old/             one that is being removed
 *     HOME/plans/kept/TOKEN/ID/   files/ of the fleet, asked/ for signatures, and the file "plan"
 *
 * A plan is written whole and then renamed, and renamed before it is removed.  Each token has room
 * for some, of which the oldest goes first, and never for another's.  The one whose fleet file was
 * applied last stays for as long as berth passes and the like read it there, and takes no room.
 * What is in files/ is what came: nothing but plain files of plain names.
 */
#ifndef BERTH_ORCHESTRATOR_PLANS_H
#define BERTH_ORCHESTRATOR_PLANS_H

#include <limits.h>

#include "base/limits.h"
#include "orchestrator/home.h"
#include "orchestrator/plan_body.h"

#define PLAN_ID_CAP 65U
#define PLAN_TEXT_CAP 65U /* of a plan's hash, as berth plan prints it */

/* How long, how many and how large. */
struct plans_limits {
    uint64_t ms;
    uint32_t each, all; /* plans of a token, and of all */
    uint64_t bytes_each, bytes_all;
};
extern const struct plans_limits plans_limits; /* those of berth-api */

struct plans {
    const struct home *home;
    const struct plans_limits *limits;
    int dirfd, lock_fd;
    char in_use[PATH_MAX]; /* the fleet file that was applied last, "" = none */
};
#define PLANS_NONE                                                                                 \
    {                                                                                              \
        .dirfd = -1, .lock_fd = -1                                                                 \
    }

/* What is known of a plan besides its files. */
struct plan_kept {
    char id[PLAN_ID_CAP]; /* SHA-256 over all of it */
    char hash[PLAN_TEXT_CAP];
    char fleet[PLAN_NAME_CAP]; /* name of the fleet file; "" for an undo */
    uint64_t undo;             /* rollout; 0 = none */
    bool staged;
    uint64_t token_life; /* days, 0 = not said */
    uint64_t made_ms;
};

/* Open the directory, making it if it is missing, and remove what is over or was left half made.
 * RC_BUSY: another process has it.  plans_close is a scope cleaner. */
must_check enum rc plans_open(const struct home *home, const struct plans_limits *limits,
                              uint64_t now_ms, struct plans *ret, struct err *err);
void plans_close(struct plans *plans);

/* Write the files of a body into a directory. */
must_check enum rc plans_write(int dirfd, const struct plan_body *body, struct err *err);

/* Begin one: write the files of the fleet. */
must_check enum rc plans_begin(const struct plans *plans, const struct plan_body *body,
                               struct err *err);

/* Paths of what is being made (token NULL) or of what is kept; name NULL = the directory. */
must_check enum rc plans_path(const struct plans *plans, const char *token, const char *id,
                              const char *folder, const char *name, char ret[PATH_MAX],
                              struct err *err);
#define PLANS_FILES "files"
#define PLANS_ASKED "asked"

/* How many bytes of requests a plan may have: all of them are in one answer, which takes up six
 * times that while it is made. */
#define PLANS_ASKED_MAX (32U << 20U)

/* The requests of the plan that is being made, by name without ".request", sorted; the caller frees
 * them with plan_files_free.  RC_NO_SPACE: more than PLANS_ASKED_MAX bytes. */
must_check enum rc plans_asked(const struct plans *plans, struct plan_file **ret, size_t *ret_n,
                               struct err *err);
void plan_files_free(struct plan_file *file, size_t n);

/* Keep what was begun as this token's, with these requests in it; fills in the id.  Makes room
 * among its own; RC_NO_SPACE: there is none. */
must_check enum rc plans_keep(const struct plans *plans, const char *token,
                              const struct plan_file *asked, size_t n, struct plan_kept *plan,
                              struct err *err);

/* One of this token's.  RC_NOT_FOUND: there is none of this id, or its time is over. */
must_check enum rc plans_find(const struct plans *plans, const char *token, const char *id,
                              uint64_t now_ms, struct plan_kept *ret, struct err *err);

/* Put signatures beside the requests of a kept plan and those that came before; the same body twice
 * is as once.  Each must be over the request of its name (RC_API_REQUEST; then none of them is put
 * there).  RC_NO_SPACE: more than the token has room for.  They are gone after a crash or not, and
 * whoever gives them gives them again. */
must_check enum rc plans_attach(const struct plans *plans, const char *token, const char *id,
                                const struct plan_body *body, struct err *err);

/* Take all signatures away again: they have done what they were for, or cannot do it. */
must_check enum rc plans_detach(const struct plans *plans, const char *token, const char *id,
                                struct err *err);

#endif
