/* SPDX-License-Identifier: Apache-2.0
 *
 * base/limits: every maximum that more than one module relies on, and how they relate.  Sizes are
 * bytes unless the name says otherwise.  A limit that only one file needs lives in that file.
 */
#ifndef BERTH_BASE_LIMITS_H
#define BERTH_BASE_LIMITS_H

#include <assert.h>

#define NAME_MAX_LEN                                                                               \
    32U /* tenant, payload, satellite: [a-z0-9-]{1,32}, no leading or trailing '-' */
#define NAME_CAP (NAME_MAX_LEN + 1U)
#define TEAM_DEPTH_MAX 4U                    /* teams of teams */
#define TEAM_CAP (TEAM_DEPTH_MAX * NAME_CAP) /* their names, joined by '/', and a terminator */
#define SIGNER_CAP (NAME_CAP + TEAM_CAP)     /* a tenant, '/', and one of its teams */
#define VERSION_MAX_LEN 32U                  /* [A-Za-z0-9.+~_-]{1,32} */
#define VERSION_CAP (VERSION_MAX_LEN + 1U)

#define DIGEST_SIZE 32U    /* SHA-256 */
#define DIGEST384_SIZE 48U /* SHA-384 */
#define MISSION_SIZE 16U   /* random id made with the root; part of what every signature covers */
#define KEY_ID_SIZE 16U    /* first bytes of SHA-256 over the key record */

#define TENANTS_MAX 16U
#define TEAMS_MAX 8U     /* of one tenant, of every depth */
#define PAYLOADS_MAX 64U /* on one satellite, all tenants together */
#define ROLE_KEYS_MAX 8U
#define SIGNERS_MAX 8U /* signers of one document; each is one or two COSE signatures */

#define DOCUMENT_MAX (64U * 1024U) /* one signed document with its envelope */
#define PAYLOAD_ARGS_MAX 16U
#define PAYLOAD_ARG_CAP 128U
#define PAYLOAD_ENV_MAX 16U

#define PACKAGE_MAX (256ULL * 1024U * 1024U)   /* compressed content of one package */
#define UNPACKED_MAX (1024ULL * 1024U * 1024U) /* files of one package */
#define PACKAGE_FILES_MAX 20000U
#define PACKAGE_DEPTH_MAX 24U
#define PACKAGE_PATH_MAX 1024U

#define CHUNK_MAX (256U * 1024U)
#define CHUNKS_MAX 8192U
#define BUNDLE_MAX (512U * 1024U) /* one bundle file */
#define REPORT_MAX (16U * 1024U)
#define REPORT_EVENTS_MAX 64U

static_assert(CHUNK_MAX + 4096U < BUNDLE_MAX, "a chunk and its protection fit into one bundle");
static_assert(DOCUMENT_MAX < CHUNK_MAX, "a document fits into one chunk");
static_assert(CHUNKS_MAX * DIGEST_SIZE <= CHUNK_MAX, "a chunk list fits into one bundle");
static_assert(REPORT_MAX < DOCUMENT_MAX, "a report is a small document");

#endif
