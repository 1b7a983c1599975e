/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/offline: the steps of signing across an air gap, as every command that signs has
 * them: write a request; show one and ask the person; collect signature files.
 */
#ifndef BERTH_ORCHESTRATOR_OFFLINE_H
#define BERTH_ORCHESTRATOR_OFFLINE_H

#include <limits.h>

#include "orchestrator/cli.h"
#include "orchestrator/keys.h"
#include "orchestrator/request.h"

/* What fleet init, grant and apply take, for their option tables. */
#define OFFLINE_OPTIONS                                                                            \
    { "request", CLI_PATH, "DIR",                                                                  \
      "stop before signing: write DIR/*.request for berth sign on an offline machine" },           \
    {                                                                                              \
        "attach", CLI_PATH, "DIR", "go on with DIR/*.request and the signatures in DIR/*.sig"      \
    }

/* A request read from a file; owns its bytes.  offline_done is a scope cleaner. */
struct offline {
    struct request request;
    uint8_t *file;
};
void offline_done(struct offline *offline);

/* Read one. */
must_check enum rc offline_read(const char *path, struct offline *ret, struct err *err);

/* Write DIR/NAME.request (DIR is made if missing), and give its path. */
must_check enum rc offline_write(const char *dir, const char *name, const struct request *request,
                                 char ret_path[PATH_MAX], struct err *err);

/* The same, one of many: `dirfd` is DIR, opened, and only offline_sync behind the last of them
 * makes them durable, which takes as long for thousands as for one. */
must_check enum rc offline_put(int dirfd, const char *dir, const char *name,
                               const struct request *request, char ret_path[PATH_MAX],
                               struct err *err);
must_check enum rc offline_sync(int dirfd, struct err *err);

/* Read DIR/NAME.request and put the document together from every signature file over it in DIR;
 * signatures over other documents are left alone, but one over it that is not good is refused, with
 * its file named. RC_THRESHOLD when there is none.  The caller frees *ret_envelope; what the role
 * wants of it is for the verifier to say. */
must_check enum rc offline_collect(const char *dir, const char *name, enum doc_type type,
                                   struct offline *ret, uint8_t **ret_envelope, size_t *ret_n,
                                   struct err *err);

/* What signature files a directory has and what each is over, read once for all documents of it.
 * RC_TOO_LARGE: too many; else a file that is none is named.  offline_files_free is a scope
 * cleaner. */
struct offline_files;
must_check enum rc offline_list(const char *dir, struct offline_files **ret, struct err *err);
void offline_files_free(struct offline_files **files);

/* As offline_collect, of the directory that was listed. */
must_check enum rc offline_collect_from(const struct offline_files *files, const char *name,
                                        enum doc_type type, struct offline *ret,
                                        uint8_t **ret_envelope, size_t *ret_n, struct err *err);

/* Attach one signature file to an envelope (of *n bytes, 0 = none yet) of DOCUMENT_MAX room. */
must_check enum rc offline_attach(const struct request *request, const char *path,
                                  uint8_t *envelope, size_t *n, struct err *err);

/* The request in words; a new string, the caller frees it.  What cannot be described is refused:
 * nobody signs what nobody can read. */
must_check enum rc offline_words(const struct request *request, char **ret, struct err *err);

/* Ask for a "yes" on the terminal, after this text.  RC_NOT_CONFIRMED. */
must_check enum rc offline_ask(const char *text, struct err *err);

/* Show the words and ask on the terminal; with --yes only show.  RC_NOT_CONFIRMED. */
must_check enum rc offline_confirm(struct cli *cli, const struct request *request, struct err *err);

/* The bytes of the signature file of one key; the caller frees *ret. */
must_check enum rc offline_signature(const struct request *request, const struct sign_key *key,
                                     uint8_t **ret, size_t *ret_n, struct err *err);

/* Sign with one key and write the signature file. */
must_check enum rc offline_sign(const struct request *request, const struct sign_key *key,
                                const char *path, struct err *err);

#endif
