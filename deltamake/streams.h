/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/streams: from matches to the plain streams of a delta, by the predictor that the
 * applier runs.  Ground only.
 */
#ifndef BERTH_DELTAMAKE_STREAMS_H
#define BERTH_DELTAMAKE_STREAMS_H

#include "delta/control.h"
#include "delta/format.h"
#include "deltamake/files.h"
#include "deltamake/match.h"
#include "deltamake/open.h"

/* Bytes that grow.  Owns p. */
struct heap {
    uint8_t *p;
    size_t n;
    size_t cap;
};

/* The three streams of one group of files. */
struct streams {
    struct heap s[FORMAT_STREAMS];
};

void streams_done(struct streams *s);

/* Makes streams, file by file. */
struct writer {
    struct image *image;
    const struct opened *files;
    struct predict *predict;
    struct control_state control;
    bool plain; /* follow no references */
};

/* Append the beginning of a group; opens: old files are opened for it, and its new files may be
 * packed.  Opens them in the image. */
must_check enum rc streams_begin(struct writer *w, bool opens, struct streams *ret,
                                 struct err *err);

/* Append new file `number` with its matches.  References are followed only as far as the
 * predictor's memory and work allow. */
must_check enum rc streams_add(struct writer *w, uint32_t number, const struct match_list *matches,
                               struct streams *ret, struct err *err);

#endif
