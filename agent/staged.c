/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/staged.h"
#include "agent/witness.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

/* ---- the order in force ------------------------------------------------------------------------
 */

void order_file_done(struct order_file *file)
{
    free(file->buf);
    *file = (struct order_file){ 0 };
}

/* Two envelopes, one behind the other; each is one item of CBOR. */
static enum rc split(struct order_file *file, size_t n, struct err *err)
{
    struct cbor_in r = cbor_read((struct bytes){ file->buf, n });

    file->order = cbor_skip(&r, "order");
    if (r.rc != RC_OK)
        return err_set(err, RC_STATE_DAMAGED, ORDER_FILE);
    file->token = (struct bytes){ file->buf + file->order.n, n - file->order.n };
    return RC_OK;
}

static enum rc load_file(int state_dir, const char *name, struct order_file *ret, struct err *err)
{
    scoped(order_file_done) struct order_file file = { .buf = malloc(ORDER_FILE_MAX) };
    size_t n = 0;

    if (!file.buf)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = statefile_load(state_dir, name, file.buf, ORDER_FILE_MAX, &n, NULL, err);
    if (rc == RC_OK)
        rc = split(&file, n, err);
    if (rc != RC_OK)
        return rc;
    *ret = file;
    file = (struct order_file){ 0 };
    return RC_OK;
}

enum rc order_file_load(int state_dir, struct order_file *ret, struct err *err)
{
    return load_file(state_dir, ORDER_FILE, ret, err);
}

enum rc order_file_save(int state_dir, struct bytes order, struct bytes token, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(ORDER_FILE_MAX);

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "order");
    if (order.n > DOCUMENT_MAX || token.n > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "order");
    memcpy(buf, order.p, order.n);
    if (token.n > 0)
        memcpy(buf + order.n, token.p, token.n);
    return statefile_renew(state_dir, ORDER_FILE, (struct bytes){ buf, order.n + token.n }, err);
}

static enum rc activate(struct trust *trust, struct verified_order *order, struct bytes envelope,
                        const struct order_position *position, uint64_t now_ms, struct err *err)
{
    scoped(verified_token_free) struct verified_token *token = NULL;
    struct order_position here = *position;

    if (envelope.n == 0)
        return err_set(err, RC_TOKEN_TARGET, "staged order without its token");
    /* A power cut between the two files leaves the record of the order before. */
    here.staged = verified_order_get(order)->generation;
    here.staged_digest = verified_order_digest(order);
    enum rc rc = trust_verify_token(trust, envelope, &here, now_ms, &token, err);

    return rc == RC_OK ? trust_activate(trust, order, token, err) : rc;
}

enum rc order_file_verify(struct trust *trust, const struct order_file *file,
                          const struct order_position *position, uint64_t now_ms,
                          struct verified_order **ret, struct err *err)
{
    scoped(verified_order_free) struct verified_order *order = NULL;
    enum rc rc = trust_verify_order(trust, file->order, position, now_ms, &order, err);

    if (rc == RC_OK && verified_order_waits(order))
        rc = activate(trust, order, file->token, position, now_ms, err);
    else if (rc == RC_OK && file->token.n > 0)
        rc = err_set(err, RC_TOKEN_TARGET, "token of an order that is not staged");
    if (rc != RC_OK)
        return rc;
    *ret = order;
    order = NULL;
    return RC_OK;
}

void order_review(struct agent *a)
{
    scoped(order_file_done) struct order_file file = { 0 };
    scoped(verified_order_free) struct verified_order *order = NULL;
    const struct order_position position = agent_position(a);
    struct err err = { 0 };

    if (!a->ordered || !a->cosigned)
        return;
    enum rc rc = order_file_load(a->state_dir, &file, &err);
    if (rc == RC_OK)
        rc = order_file_verify(a->trust, &file, &position, agent_now_unix(), &order, &err);
    a->cosigned = rc == RC_OK && verified_order_get(order)->generation == a->order.generation &&
                  verified_order_cosigned(order);
}

/* ---- the order that waits ----------------------------------------------------------------------
 */

static void set(struct agent *a, const struct verified_order *order)
{
    a->staged.order = *verified_order_get(order);
    a->staged.digest = *verified_order_digest(order);
    a->staged.generation = a->staged.order.generation;
    witness_take(a, &a->staged.order);
}

void staged_drop(struct agent *a)
{
    struct err err = { 0 };

    a->staged = (struct staged){ 0 };
    if (fs_unlink(a->state_dir, STAGED_FILE ".a", &err) != RC_OK ||
        fs_unlink(a->state_dir, STAGED_FILE ".b", &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, STAGED_FILE); /* overtaken, and refused at every start */
    agent_report_soon(a);
}

enum rc staged_verify(struct agent *a, struct order_file *ret_file, struct verified_order **ret,
                      struct err *err)
{
    scoped(order_file_done) struct order_file file = { 0 };
    scoped(verified_order_free) struct verified_order *order = NULL;
    struct order_position position = agent_position(a);

    position.staged = 0; /* it is not to be measured with itself */
    position.staged_digest = NULL;
    enum rc rc = load_file(a->state_dir, STAGED_FILE, &file, err);
    if (rc == RC_OK && file.token.n > 0)
        rc = err_set(err, RC_STATE_DAMAGED, STAGED_FILE);
    if (rc == RC_OK)
        rc = trust_verify_order(a->trust, file.order, &position, agent_now_unix(), &order, err);
    /* Unless it has got lost since, and is given again. */
    if (rc == RC_OK && a->ordered && verified_order_get(order)->generation == a->state.generation)
        rc = err_set(err, RC_ORDER_OLD, "order in force");
    if (rc == RC_OK && !verified_order_waits(order))
        rc = err_set(err, RC_STATE_DAMAGED, "order that was not staged");
    if (rc != RC_OK)
        return rc;
    if (ret_file) {
        *ret_file = file;
        file = (struct order_file){ 0 };
    }
    *ret = order;
    order = NULL;
    return RC_OK;
}

/* Find it, or let it go and say why; one that was overtaken just before the end is no news. */
static void look(struct agent *a)
{
    scoped(verified_order_free) struct verified_order *order = NULL;
    struct err err = { 0 };
    enum rc rc = staged_verify(a, NULL, &order, &err);

    if (rc == RC_OK) {
        set(a, order);
        return;
    }
    if (rc_class(rc) == RC_CLASS_RETRY || rc == RC_NOT_FOUND)
        return;
    if (rc == RC_ORDER_OLD)
        log_err(LOG_LEVEL_INFO, &err, STAGED_FILE);
    else
        agent_event_err(a, &err, STAGED_FILE);
    staged_drop(a);
}

void staged_load(struct agent *a)
{
    if (a->trust && !a->damaged)
        look(a);
}

void staged_review(struct agent *a)
{
    if (a->staged.generation > 0)
        look(a);
}

enum rc staged_keep(struct agent *a, const struct verified_order *order, struct bytes envelope,
                    struct err *err)
{
    enum rc rc = statefile_renew(a->state_dir, STAGED_FILE, envelope, err);

    if (rc != RC_OK)
        return rc;
    set(a, order);
    log_event(LOG_LEVEL_INFO, "staged order=%llu lines=%u",
              (unsigned long long)a->staged.generation, a->staged.order.n_lines);
    agent_report_soon(a);
    return RC_OK;
}

bool staged_names(const struct agent *a, const char *tenant, const char *name,
                  const struct digest *manifest)
{
    for (uint32_t i = 0; a->staged.generation > 0 && i < a->staged.order.n_lines; i++) {
        const struct order_line *line = &a->staged.order.line[i];

        if (strcmp(line->tenant, tenant) == 0 && strcmp(line->name, name) == 0)
            return digest_same(&line->manifest, manifest);
    }
    return false;
}
