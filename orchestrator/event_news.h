/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/event_news: what is new in the newest events of the store, as against those that
 * were listed before.  Pure.
 *
 * Events come late and in any order, and one that happens again is the same event with a higher
 * count: neither a number nor a time says what has been shown.
 */
#ifndef BERTH_ORCHESTRATOR_EVENT_NEWS_H
#define BERTH_ORCHESTRATOR_EVENT_NEWS_H

#include "orchestrator/store.h"

/* Bring the events of `now` that are new, or have a higher count than in `before`, to its front, in
 * their order; returns how many.  Both lists are as store_events gives the newest `most`: an event
 * that came before all of a full list was dropped from it, and is no news.  before is left sorted
 * by satellite and number. */
size_t event_news(struct store_event *before, size_t n_before, size_t most, struct store_event *now,
                  size_t n_now);

#endif
