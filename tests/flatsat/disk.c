/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flatsat/disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/state.h"
#include "base/fs.h"
#include "manifest/envelope.h"
#include "sim/proc.h"
#include "update/check.h"
#include "update/slots.h"

#define OUTPUT_MAX (1U << 20)
#define COPY "look.img"
#define DUMP "look"
#define BLOCK_BYTES 4096U /* what disk_make asks for */

/* Run a tool in the work directory; its exit status must be one of 0 to most. */
static enum rc tool(int work_fd, int log_fd, char *const argv[], int most, struct err *err)
{
    scoped(free_ptr) char *out = NULL;
    int status = -1;
    enum rc rc = proc_run(argv, work_fd, log_fd, OUTPUT_MAX, &status, &out, err);

    if (rc != RC_OK || (status >= 0 && status <= most))
        return rc;
    (void)dprintf(log_fd, "%s", out);
    return err_set(err, RC_SCENARIO, "%s ended with %d, see the log", argv[0], status);
}

/* fs-verity wants blocks of a page's size; mke2fs gives a small disk smaller ones. */
enum rc disk_make(int work_fd, int log_fd, const char *file, uint32_t mib, struct err *err)
{
    char size[16];
    char path[128];
    char *const argv[] = { (char[]){ "/sbin/mke2fs" },
                           (char[]){ "-q" },
                           (char[]){ "-F" },
                           (char[]){ "-t" },
                           (char[]){ "ext4" },
                           (char[]){ "-O" },
                           (char[]){ "verity" },
                           (char[]){ "-b" },
                           (char[]){ "4096" },
                           (char[]){ "-d" },
                           (char[]){ "disk" },
                           path,
                           size,
                           NULL };

    (void)snprintf(size, sizeof size, "%uM", mib);
    (void)snprintf(path, sizeof path, "%s", file);
    return tool(work_fd, log_fd, argv, 0, err);
}

/* ---- the copy -----------------------------------------------------------------------------------
 */

enum rc disk_copy(int work_fd, int log_fd, const char *from, const char *to, struct err *err)
{
    char source[128], target[128];
    char *const argv[] = { (char[]){ "/bin/cp" }, (char[]){ "--sparse=always" }, source, target,
                           NULL };

    (void)snprintf(source, sizeof source, "%s", from);
    (void)snprintf(target, sizeof target, "%s", to);
    return tool(work_fd, log_fd, argv, 0, err);
}

/* The first run replays the journal, and puts in order what a replay leaves (counts, orphans); what
 * the second finds is a fault. */
static enum rc copy_and_check(int work_fd, int log_fd, const char *file, struct err *err)
{
    char *const replay[] = { (char[]){ "/sbin/e2fsck" }, (char[]){ "-p" }, (char[]){ COPY }, NULL };
    char *const check[] = { (char[]){ "/sbin/e2fsck" }, (char[]){ "-fn" }, (char[]){ COPY }, NULL };

    enum rc rc = disk_copy(work_fd, log_fd, file, COPY, err);

    if (rc == RC_OK)
        rc = tool(work_fd, log_fd, replay, 1, err);
    return rc == RC_OK ? tool(work_fd, log_fd, check, 0, err) : rc;
}

/* No mount, so no kernel of this machine's has a say in it. */
static enum rc dump(int work_fd, int log_fd, int *ret_lib, struct err *err)
{
    char *const argv[] = { (char[]){ "/sbin/debugfs" }, (char[]){ "-R" },
                           (char[]){ "rdump /lib " DUMP }, (char[]){ COPY }, NULL };
    enum rc rc = fs_remove_tree(work_fd, DUMP, err);

    if (rc == RC_OK)
        rc = fs_make_dirs(work_fd, DUMP, 0755, err);
    if (rc == RC_OK)
        rc = tool(work_fd, log_fd, argv, 0, err);
    return rc == RC_OK ? fs_open(work_fd, DUMP "/lib", O_RDONLY | O_DIRECTORY, 0, ret_lib, err)
                       : rc;
}

enum rc disk_flip(int work_fd, int log_fd, const char *file, const char *path, struct err *err)
{
    scoped(free_ptr) char *out = NULL;
    scoped(close_fd) int fd = -1;
    char image[128], request[PATH_MAX];
    char *const argv[] = { (char[]){ "/sbin/debugfs" }, (char[]){ "-R" }, request, image, NULL };
    char *rest = NULL;
    uint8_t byte = 0;
    int status = -1;

    (void)snprintf(image, sizeof image, "%s", file);
    (void)snprintf(request, sizeof request, "bmap /lib/%s 0", path);
    enum rc rc = proc_run(argv, work_fd, log_fd, OUTPUT_MAX, &status, &out, err);

    if (rc != RC_OK)
        return rc;
    const unsigned long long block = strtoull(out, &rest, 10);

    if (status != 0 || block == 0 || rest == out)
        return err_set(err, RC_SCENARIO, "debugfs knows no block of %s", path);
    const off_t at = (off_t)(block * BLOCK_BYTES + 100U);

    rc = fs_open(work_fd, file, O_RDWR, 0, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (pread(fd, &byte, 1, at) != 1 || (byte ^= 4U, pwrite(fd, &byte, 1, at) != 1))
        return err_sys(err, RC_IO, "%s", file);
    return fs_sync(fd, file, err);
}

/* ---- what is on it ------------------------------------------------------------------------------
 */

static enum rc decode_manifest(const struct slot *slot, struct manifest *ret, struct err *err)
{
    struct envelope envelope;
    enum rc rc = envelope_open((struct bytes){ .p = slot->envelope, .n = slot->envelope_bytes },
                               &envelope, err);

    return rc == RC_OK ? manifest_decode(envelope.payload, ret, err) : rc;
}

/* Every file of a slot against its index, that against the manifest, that against its digest. */
static enum rc check_slot(struct slots *slots, const struct unit_record *u,
                          const struct digest *digest, char *ret_version, struct err *err)
{
    scoped(free_ptr) struct manifest *m = calloc(1, sizeof *m);
    scoped(slot_close) struct slot slot = { .root = -1 };
    scoped(close_fd) int index = -1;
    struct slot_id id = { .manifest = *digest };
    struct unpack_spec spec;

    if (!m)
        return err_set(err, RC_NO_MEMORY, "manifest");
    (void)snprintf(id.tenant, sizeof id.tenant, "%s", u->tenant);
    (void)snprintf(id.payload, sizeof id.payload, "%s", u->name);
    enum rc rc = slot_open(slots, &id, &slot, err);

    if (rc == RC_OK)
        rc = slot_open_index(slots, &id, &index, err);
    if (rc == RC_OK)
        rc = decode_manifest(&slot, m, err);
    if (rc != RC_OK)
        return rc;
    memset(&spec, 0, sizeof spec);
    spec.check = 1;
    spec.index = m->index;
    spec.index384 = m->index384;
    rc = check_tree(index, &spec, slot.root, err);
    if (rc == RC_OK)
        (void)snprintf(ret_version, VERSION_CAP, "%s", m->version);
    return rc;
}

/* The flatsat has one payload. */
static enum rc look_payload(int lib, const struct state *s, struct disk_view *v, struct err *err)
{
    scoped(slots_done) struct slots slots = { -1, -1 };
    const struct unit_record *u = &s->unit[0];
    struct err none = { 0 };
    enum rc rc = s->n_units > 0 ? slots_open(lib, &slots, err) : RC_OK;

    if (rc != RC_OK || s->n_units == 0)
        return rc;
    v->floor = u->floor;
    if (!digest_is_none(&u->good)) {
        char hex[2 * DIGEST_SIZE + 1];

        (void)bytes_hex((struct bytes){ .p = u->good.b, .n = sizeof u->good.b }, hex);
        (void)snprintf(v->slot, sizeof v->slot, "slots/%s/%s/%s", u->tenant, u->name, hex);
        rc = check_slot(&slots, u, &u->good, v->good, err);
    }
    /* It may have been removed, and its record goes later; but what is there must be whole. */
    if (rc == RC_OK && !digest_is_none(&u->previous)) {
        enum rc old = check_slot(&slots, u, &u->previous, v->previous, &none);

        if (old != RC_OK && old != RC_NOT_FOUND) {
            *err = none;
            rc = old;
        }
    }
    return rc;
}

enum rc disk_look(int work_fd, int log_fd, const char *file, struct disk_view *ret, struct err *err)
{
    scoped(free_ptr) struct state *s = calloc(1, sizeof *s);
    scoped(close_fd) int lib = -1;
    struct disk_view v = { 0 };
    enum rc rc =
        s ? copy_and_check(work_fd, log_fd, file, err) : err_set(err, RC_NO_MEMORY, "state");

    if (rc == RC_OK)
        rc = dump(work_fd, log_fd, &lib, err);
    if (rc == RC_OK)
        rc = state_load(lib, s, &v.damaged, err);
    if (rc == RC_NOT_FOUND) { /* cut before the agent's first start */
        *ret = v;
        return RC_OK;
    }
    if (rc == RC_OK)
        rc = look_payload(lib, s, &v, err);
    if (rc != RC_OK)
        return rc;
    v.epoch = s->epoch;
    v.event_seq = s->event_seq;
    v.generation = s->generation;
    v.root_version = s->trust.root_version;
    v.time_floor = s->time_floor;
    v.revoked = s->trust.revoked.n;
    *ret = v;
    return RC_OK;
}

enum rc disk_compare(const struct disk_view *before, const struct disk_view *after, struct err *err)
{
    const struct {
        const char *what;
        uint64_t before, after;
    } rows[] = {
        { "epoch", before->epoch, after->epoch },
        /* written ahead by a lease, which an orderly stop gives back */
        { "event number",
          before->event_seq > AGENT_EVENT_LEASE ? before->event_seq - AGENT_EVENT_LEASE : 0,
          after->event_seq },
        { "generation", before->generation, after->generation },
        { "root version", before->root_version, after->root_version },
        { "time floor", before->time_floor, after->time_floor },
        { "security floor", before->floor, after->floor },
        { "revocations", before->revoked, after->revoked },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].after < rows[i].before)
            return err_set(err, RC_SCENARIO, "%s went back from %llu to %llu", rows[i].what,
                           (unsigned long long)rows[i].before, (unsigned long long)rows[i].after);
    return RC_OK;
}
