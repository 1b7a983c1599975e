/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/phase.h"

#include <string.h>

#define CLEAN_PPM 150000U /* three of twenty ends are in order */
#define AGAIN_PPM 200000U

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASES] = {
        [PHASE_BOOT] = "boot",   [PHASE_IDLE] = "idle",       [PHASE_RECEIVE] = "receive",
        [PHASE_TRUST] = "trust", [PHASE_INSTALL] = "install", [PHASE_ACTIVATE] = "activate",
        [PHASE_TRIAL] = "trial", [PHASE_COMMIT] = "commit",   [PHASE_ROLLBACK] = "rollback",
    };

    return names[phase];
}

const char *errand_name(enum errand errand)
{
    static const char *const names[ERRANDS] = { [ERRAND_UPDATE] = "update",
                                                [ERRAND_BAD] = "bad version",
                                                [ERRAND_REVOKE] = "revocation",
                                                [ERRAND_ROTATE] = "new root" };

    return names[errand];
}

static void enter(struct phases *p, enum phase next, uint64_t now_ms)
{
    const uint64_t took = now_ms - p->since_ms;
    uint64_t *usual = &p->usual_ms[p->now];

    if (p->now == next)
        return;
    *usual = *usual == 0 ? took : (3 * *usual + took) / 4;
    p->now = next;
    p->since_ms = now_ms;
}

void phases_boot(struct phases *p, uint64_t now_ms)
{
    p->now = PHASE_BOOT;
    p->since_ms = now_ms;
    p->ready = false;
}

void phases_sent(struct phases *p, uint64_t now_ms)
{
    enter(p, PHASE_RECEIVE, now_ms);
}

/* What a word of the agent's log means.  A launch is the trial of a new version if one was being
 * put in place, and otherwise the old one that comes back. */
static enum phase meaning(const struct phases *p, const char *text)
{
    static const struct {
        const char *text;
        enum phase phase;
    } words[] = {
        { "install payload=", PHASE_INSTALL },
        { "installed payload=", PHASE_ACTIVATE },
        { "committed payload=", PHASE_COMMIT },
        { "code=HEALTH_TIMEOUT", PHASE_ROLLBACK },
        { "code=ROLLED_BACK", PHASE_ROLLBACK },
        { "revocation number=", PHASE_TRUST },
        { "]: root ", PHASE_TRUST },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i].text))
            return words[i].phase;
    if (!strstr(text, "launched payload="))
        return p->now;
    if (p->now == PHASE_ACTIVATE || p->now == PHASE_INSTALL)
        return PHASE_TRIAL;
    return p->now == PHASE_ROLLBACK || p->now == PHASE_TRUST ? PHASE_IDLE : p->now;
}

void phases_line(struct phases *p, const char *line, uint64_t now_ms)
{
    const char *text = strstr(line, "berthd[");

    if (!text)
        return;
    if (strstr(text, "ready satellite=")) {
        p->ready = true;
        enter(p, PHASE_IDLE, now_ms);
    } else if (p->ready) {
        enter(p, meaning(p, text), now_ms);
    }
}

/* What the deck holds: most of it is what an update is made of, and nothing is spent on idling. */
static const struct {
    enum errand errand;
    enum phase phase;
} cards[DECK] = {
    { ERRAND_UPDATE, PHASE_RECEIVE },  { ERRAND_UPDATE, PHASE_RECEIVE },
    { ERRAND_UPDATE, PHASE_INSTALL },  { ERRAND_UPDATE, PHASE_INSTALL },
    { ERRAND_UPDATE, PHASE_INSTALL },  { ERRAND_UPDATE, PHASE_ACTIVATE },
    { ERRAND_UPDATE, PHASE_ACTIVATE }, { ERRAND_UPDATE, PHASE_TRIAL },
    { ERRAND_UPDATE, PHASE_TRIAL },    { ERRAND_UPDATE, PHASE_COMMIT },
    { ERRAND_UPDATE, PHASE_COMMIT },   { ERRAND_BAD, PHASE_TRIAL },
    { ERRAND_BAD, PHASE_ROLLBACK },    { ERRAND_BAD, PHASE_INSTALL },
    { ERRAND_REVOKE, PHASE_TRUST },    { ERRAND_ROTATE, PHASE_TRUST },
    { ERRAND_REVOKE, PHASE_RECEIVE },  { ERRAND_ROTATE, PHASE_RECEIVE },
};

struct cut cut_draw(struct deck *deck, struct rng *rng)
{
    if (deck->left == 0)
        for (uint8_t i = 0; i < DECK; i++)
            deck->card[deck->left++] = i;

    const uint64_t at = rng_below(rng, deck->left);
    const uint8_t card = deck->card[at];

    deck->card[at] = deck->card[--deck->left];
    struct cut cut = { .errand = cards[card].errand,
                       .phase = cards[card].phase,
                       .permille = (uint32_t)rng_below(rng, 1200) };
    cut.clean = rng_chance(rng, CLEAN_PPM);
    cut.again = rng_chance(rng, AGAIN_PPM) && !cut.clean;
    return cut;
}

uint64_t cut_delay_ms(const struct cut *cut, const struct phases *p)
{
    /* before the first of its kind has come to its end: a second, wherever that is */
    const uint64_t usual = p->usual_ms[cut->phase] ? p->usual_ms[cut->phase] : 1000;

    return usual * cut->permille / 1000;
}
