/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/life: how a payload lives, by its manifest: when it starts, what follows when it ends, in
 * which modes it runs, whom it waits for.
 *
 * Pure: a signed manifest and the time come in, answers go out.  Who acts on them is
 * agent/reconcile.
 */
#ifndef BERTH_AGENT_LIFE_H
#define BERTH_AGENT_LIFE_H

#include "agent/inputs.h"
#include "manifest/doc.h"

#define LIFE_BACKOFF_MS 1000U /* before the first restart, at least */
#define LIFE_BACKOFF_MAX_MS 60000U
#define LIFE_WINDOW_KEPT_S 60U   /* what is spent of a shorter window is not worth a record */
#define LIFE_ORBIT_EVENT "orbit" /* a new orbit begins */

struct life {
    enum payload_kind kind;
    struct schedule schedule;
    struct restart restart;
    uint32_t modes; /* of enum mode; 0 = MODE_NOMINAL */
    uint32_t run_s_orbit;
    bool freeze;
    uint32_t n_after;
    char after[MANIFEST_AFTER_MAX][NAME_CAP];
};

struct life life_of(const struct manifest *m);

/* Whether it runs in this mode; 0 is MODE_NOMINAL. */
bool life_in_mode(const struct life *life, enum mode mode);

/* How long to wait after so many failures in a row: doubles, from the manifest's least to its most.
 */
uint64_t life_backoff_ms(const struct restart *rule, uint32_t failures);

/* Whether what has failed starts again by itself, and not only when its schedule says so. */
bool life_starts_again(const struct life *life);

/* Whether this input is what a schedule waits for. */
bool life_is_due(const struct schedule *schedule, const struct input *input);

/* The restarts of a version that may still count, oldest first. */
struct restarts {
    uint32_t n;
    uint64_t at_ms[RESTART_BUDGET_MAX];
};

/* Forget what is older than the window, and note one more.  False, and nothing noted: in every
 * window there have been as many as the rule allows.  A rule without budget allows all. */
must_check bool restarts_spend(struct restarts *r, const struct restart *rule, uint64_t now_ms);

/* Forget what is older than the window; how many are left. */
uint32_t restarts_prune(struct restarts *r, const struct restart *rule, uint64_t now_ms);

/* n that were there before, when nobody knows: as if it were now. */
void restarts_assume(struct restarts *r, uint32_t n, uint64_t now_ms);

#endif
