/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/search.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "deltamake/same.h"

#define THREADS 2

struct search {
    const struct make_spec *spec;
    const struct opened *files;
    uint64_t opened_at;    /* where opened old files begin in the image */
    const uint32_t *first; /* of each old file: the first with its content */
    const struct text *text;
    const struct suffix *suffix;
    struct match_list *lists;
    bool plain;
    atomic_uint next;   /* new file that nobody has begun */
    atomic_ullong done; /* bytes of files that are finished */
    atomic_uint failed; /* the first code but RC_OK */
    pthread_t teller;   /* the thread that may call progress */
};

/* A file that is not opened itself may be in a group that opens none. */
static void drop_opened(const struct search *s, struct match_list *list)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list->n; i++)
        if (list->m[i].from < s->opened_at)
            list->m[n++] = list->m[i];
    list->n = n;
}

/* Match one new file. */
static enum rc search_file(struct search *s, uint32_t i, struct err *err)
{
    struct bytes file = s->files->new.f[i];
    scoped(free_ptr) uint8_t *masked = malloc(file.n + 1);
    uint32_t home = s->files->home[i];
    struct match_source from = { .old = s->text, .suffix = s->suffix };

    if (!masked)
        return err_set(err, RC_NO_MEMORY, "file of %zu bytes", file.n);
    if (home != MAKE_NO_HOME)
        from.home = text_run_of_file(s->text, s->first[home]);

    enum rc rc = text_mask(file, s->plain, masked, err);

    if (rc == RC_OK)
        rc = match_find(&from, (struct bytes){ masked, file.n }, text_is_bits(file), &s->lists[i],
                        err);
    if (s->files->packed_size[i] == 0)
        drop_opened(s, &s->lists[i]);
    return rc;
}

static void *search_thread(void *arg)
{
    struct search *s = arg;
    unsigned i;

    while (atomic_load(&s->failed) == RC_OK &&
           (i = atomic_fetch_add(&s->next, 1)) < s->files->new.n) {
        struct err err = { .rc = RC_OK };
        enum rc rc = s->files->new.f[i].n > 0 ? search_file(s, i, &err) : RC_OK;
        const struct make_progress *progress = &s->spec->progress;

        if (rc != RC_OK)
            atomic_store(&s->failed, rc);
        atomic_fetch_add(&s->done, s->files->new.f[i].n);
        if (progress->tell && pthread_equal(pthread_self(), s->teller))
            progress->tell(progress->arg, atomic_load(&s->done), s->files->new.bytes);
    }
    return NULL;
}

/* Run search_thread on this thread and on THREADS - 1 others, as far as they can be had. */
static void run_threads(struct search *s)
{
    const struct make_progress *progress = &s->spec->progress;
    pthread_t threads[THREADS - 1];
    unsigned n = 0;

    s->teller = pthread_self();
    while (n < THREADS - 1 && pthread_create(&threads[n], NULL, search_thread, s) == 0)
        n++;
    (void)search_thread(s);
    while (n > 0)
        (void)pthread_join(threads[--n], NULL);
    /* The others may have been faster, and left this thread no file to tell of. */
    if (progress->tell)
        progress->tell(progress->arg, atomic_load(&s->done), s->files->new.bytes);
}

enum rc search_all(const struct make_spec *spec, const struct opened *files, bool plain,
                   struct match_list *lists, struct err *err)
{
    const struct files *old = &files->old;
    scoped(text_done) struct text text = { .bytes = NULL };
    scoped(suffix_done) struct suffix suffix = { .order = NULL };
    scoped(free_ptr) uint32_t *first = malloc(((size_t)old->n + 1) * sizeof *first);

    if (!first || !same_find(old->f, old->n, first))
        return err_set(err, RC_NO_MEMORY, "list of %u files", old->n);

    enum rc rc = text_init(old->f, old->n, plain, MAKE_OLD_MAX, &text, err);

    if (rc == RC_OK)
        rc = suffix_init((struct bytes){ text.bytes, text.plain }, &suffix, err);
    if (rc != RC_OK)
        return rc;

    struct search s = { .spec = spec,
                        .files = files,
                        .opened_at = files->old.bytes,
                        .first = first,
                        .text = &text,
                        .suffix = &suffix,
                        .lists = lists,
                        .plain = plain };

    for (uint32_t i = old->n - files->n_list; i < old->n; i++)
        s.opened_at -= old->f[i].n;
    run_threads(&s);
    rc = (enum rc)atomic_load(&s.failed);
    return rc == RC_OK ? RC_OK : err_set(err, rc, "looking for matches");
}
