/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_child: commands of berth in a process of their own, within a time: what may take
 * long for whoever asks over the API does not hold up those who act.  It is for commands that
 * change nothing of the fleet: the process has the rights of whoever runs berth-api, and says
 * nobody's name.
 */
#ifndef BERTH_ORCHESTRATOR_API_CHILD_H
#define BERTH_ORCHESTRATOR_API_CHILD_H

#include "base/err.h"
#include "orchestrator/api_answer.h"

#define API_CHILD_WORDS_MAX 32U
#define API_CHILD_OUT_MAX ((size_t)64 * 1024 * 1024) /* of what it prints */

/* Run the berth beside this program with these words, without its name, in this home; columns as
 * api_looks.  *ret is what became of it, to be ended with api_ran_done, whatever is returned.
 *   RC_TIMEOUT    not done after most_ms: it is no more
 *   RC_TOO_LARGE  it printed more than API_CHILD_OUT_MAX: the same
 *   RC_INTERNAL   it was killed, or could not be begun; RC_NO_MEMORY; and codes of checking_sibling
 * Threads may run several at once. */
must_check enum rc api_child_run(const char *home, const char *const *word, size_t n,
                                 unsigned columns, uint64_t most_ms, struct api_ran *ret,
                                 struct err *err);

#endif
