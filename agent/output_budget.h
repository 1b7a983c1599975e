/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/output_budget: how much of what a payload prints is kept in an hour (log_bytes_hour of its
 * manifest).  A budget fills evenly and holds an hour's worth; it belongs to the payload and not to
 * a start of it, so that one that ends and starts all the time gets no more.
 */
#ifndef BERTH_AGENT_OUTPUT_BUDGET_H
#define BERTH_AGENT_OUTPUT_BUDGET_H

#include "base/bytes.h"
#include "base/limits.h"

#define OUTPUT_HOUR_S 3600U

struct output_budget {
    char tenant[NAME_CAP]; /* "" = free */
    char name[NAME_CAP];
    bool used;     /* by a payload that runs */
    uint64_t hour; /* bytes */
    uint64_t left; /* of them, in 1/OUTPUT_HOUR_S bytes */
};

/* The budget of a payload, of `hour` bytes from now on: the one that it had, or a full one.  It is
 * in use until output_budget_leave; the table must have a place that is not. */
struct output_budget *output_budget_find(struct output_budget *table, size_t n, const char *tenant,
                                         const char *name, uint64_t hour);

/* The payload has ended; harmless on NULL. */
void output_budget_leave(struct output_budget *b);

/* How many of so many bytes may be kept; they are taken out. */
size_t output_budget_take(struct output_budget *b, size_t n);

/* How many bytes may be kept now. */
uint64_t output_budget_left(const struct output_budget *b);

/* A second has passed. */
void output_budget_tick(struct output_budget *table, size_t n);

#endif
