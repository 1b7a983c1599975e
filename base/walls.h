/* SPDX-License-Identifier: Apache-2.0
 *
 * base/walls: the names and numbers of the walls around a payload (base/walls.def), for whoever
 * tries them, reports them or prints them; and the integrator's choice among them.
 */
#ifndef BERTH_BASE_WALLS_H
#define BERTH_BASE_WALLS_H

#include "base/err.h"

enum wall {
#define WALL(name, number, kind, label, without) WALL_##name = (number),
#include "base/walls.def"
#undef WALL
};

#define WALLS_MAX 64U      /* bits of a mask */
#define WALL_NAME_CAP 32U  /* of a label, with its end */
#define WALLS_TEXT_CAP 600 /* of walls_list */

enum wall_kind { WALL_KIND_BASIS, WALL_KIND_REQUIRED, WALL_KIND_OPTIONAL };

static inline uint64_t wall_bit(enum wall wall)
{
    return 1ULL << (unsigned int)wall;
}

/* The label of a wall, such as "net-namespace"; NULL for a number that is none. */
const char *wall_name(unsigned int number);

/* What a payload could do, or what stands in, where the wall is missing; "" for no wall. */
const char *wall_without(unsigned int number);

/* BASIS for a number that is none: what is not known cannot be waived. */
enum wall_kind wall_kind(unsigned int number);
const char *wall_kind_name(enum wall_kind kind);

/* Every wall there is, as a mask. */
uint64_t walls_all(void);

/* What the integrator has chosen. */
struct wall_policy {
    uint64_t waive;              /* missing is no reason to refuse */
    uint64_t require;            /* optional ones that are required here */
    char unknown[WALL_NAME_CAP]; /* required here, and no wall that is known: "" = none */
};

/* Add a list of labels, divided by commas, to a policy.  A name to be waived that is no wall, or
 * one that cannot be waived, changes nothing, and is copied to passed_over (WALL_NAME_CAP bytes, ""
 * if there is none): an agent of another version must still start.  A name to be required that is
 * not known is kept: nothing is launched then. */
void wall_policy_waive(struct wall_policy *policy, const char *list, char *passed_over);
void wall_policy_require(struct wall_policy *policy, const char *list);

/* The names in a mask divided by commas, "-" for none; out holds WALLS_TEXT_CAP bytes.  Returns
 * out. */
const char *walls_list(uint64_t mask, char *out);

#endif
