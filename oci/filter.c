/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "oci/words.h"

#define LIST_MAX 1024U
#define ARGS_MAX 6U
#define PROGRAM_MAX 4096U /* instructions, as the kernel takes them */

/* After none of these does a call seem done that the kernel did not do: what waits for a tracer or
 * a listener, who could answer it so, is in no word of this table. */
static const struct oci_word actions[] = {
    { "SCMP_ACT_KILL", SCMP_ACT_KILL_PROCESS }, /* of a thread alone, none of a program is left */
    { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
    { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
    { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(EPERM) },
    { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
    { "SCMP_ACT_LOG", SCMP_ACT_LOG },
    { NULL, 0 },
};

static const struct oci_word operators[] = {
    { "SCMP_CMP_NE", SCMP_CMP_NE },
    { "SCMP_CMP_LT", SCMP_CMP_LT },
    { "SCMP_CMP_LE", SCMP_CMP_LE },
    { "SCMP_CMP_EQ", SCMP_CMP_EQ },
    { "SCMP_CMP_GE", SCMP_CMP_GE },
    { "SCMP_CMP_GT", SCMP_CMP_GT },
    { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
    { NULL, 0 },
};

static void release(scmp_filter_ctx *ctx)
{
    if (*ctx != NULL)
        seccomp_release(*ctx);
}

/* A whole number, from real ones: exact below 2^53, and arguments above it are compared inexactly
 * by nobody, for they are refused. */
static bool whole(const json_t *value, uint64_t *ret)
{
    double number = json_number_value(value);

    if (value == NULL || json_is_null(value)) {
        *ret = 0;
        return true;
    }
    if (!json_is_number(value) || number < 0 || number > 9007199254740992.0 ||
        (double)(uint64_t)number != number)
        return false;
    *ret = (uint64_t)number;
    return true;
}

static enum rc read_action(const json_t *object, const char *name, const char *errno_name,
                           uint32_t *ret, struct err *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    const json_t *code = json_object_get(object, errno_name);
    uint64_t number = 0;
    int64_t action;

    if (text == NULL || !oci_word(actions, text, &action))
        return err_set(err, RC_OCI_WANTS, "linux.seccomp: %s %.40s", name,
                       text == NULL ? "missing" : text);
    if (!whole(code, &number) || number > 4095)
        return err_set(err, RC_OCI_FORMAT, "linux.seccomp: %s", errno_name);
    *ret = (uint32_t)action;
    if (code == NULL || json_is_null(code) || (uint32_t)action != SCMP_ACT_ERRNO(EPERM))
        return RC_OK;
    /* Without an error number a call seems to be done that is not: our own filter, too, would seem
     * to be loaded. */
    if (number == 0)
        return err_set(err, RC_OCI_WANTS, "linux.seccomp: %s 0", errno_name);
    *ret = SCMP_ACT_ERRNO((uint32_t)number);
    return RC_OK;
}

static enum rc read_arg(const json_t *value, struct scmp_arg_cmp *ret, struct err *err)
{
    const char *op = json_string_value(json_object_get(value, "op"));
    uint64_t index = 0;
    uint64_t first = 0;
    uint64_t second = 0;
    int64_t compare;

    if (op == NULL || !oci_word(operators, op, &compare) ||
        !whole(json_object_get(value, "index"), &index) || index >= ARGS_MAX ||
        !whole(json_object_get(value, "value"), &first) ||
        !whole(json_object_get(value, "valueTwo"), &second))
        return err_set(err, RC_OCI_FORMAT, "linux.seccomp.syscalls.args");
    *ret = (struct scmp_arg_cmp){ .arg = (unsigned int)index,
                                  .op = (enum scmp_compare)compare,
                                  .datum_a = first,
                                  .datum_b = second };
    return RC_OK;
}

static enum rc add_call(scmp_filter_ctx ctx, const char *name, uint32_t action,
                        const struct scmp_arg_cmp *args, unsigned int n, struct err *err)
{
    int nr = seccomp_syscall_resolve_name(name);

    if (nr == __NR_SCMP_ERROR)
        return RC_OK;
    int failed = seccomp_rule_add_array(ctx, action, nr, n, args);
    /* A call that this machine does not have. */
    if (failed == 0 || failed == -EDOM)
        return RC_OK;
    errno = -failed;
    return err_sys(err, RC_OCI_FORMAT, "linux.seccomp: %.60s", name);
}

static enum rc add_rule(scmp_filter_ctx ctx, uint32_t usual, const json_t *rule, struct err *err)
{
    const json_t *names = json_object_get(rule, "names");
    const json_t *list = json_object_get(rule, "args");
    struct scmp_arg_cmp args[ARGS_MAX];
    size_t n = json_array_size(list);
    uint32_t action = 0;
    enum rc rc = read_action(rule, "action", "errnoRet", &action, err);

    if (rc == RC_OK && (!json_is_array(names) || json_array_size(names) > LIST_MAX || n > ARGS_MAX))
        rc = err_set(err, RC_OCI_FORMAT, "linux.seccomp.syscalls");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = read_arg(json_array_get(list, i), &args[i], err);
    if (rc != RC_OK || action == usual) /* the library refuses a rule that changes nothing */
        return rc;
    for (size_t i = 0; rc == RC_OK && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));

        rc = name == NULL ? err_set(err, RC_OCI_FORMAT, "linux.seccomp.syscalls.names")
                          : add_call(ctx, name, action, args, (unsigned int)n, err);
    }
    return rc;
}

/* The library writes to a descriptor; the kernel wants instructions. */
static enum rc export(scmp_filter_ctx ctx, struct sock_fprog *ret, struct err *err) {
    scoped(close_fd) int fd = memfd_create("filter", MFD_CLOEXEC);
    scoped(free_ptr) struct sock_filter *code = NULL; struct stat st;

    if (fd < 0 || seccomp_export_bpf(ctx, fd) != 0 ||
        fstat(fd, &st) != 0) return err_sys(err, RC_OCI_FORMAT, "linux.seccomp");
    size_t n = (size_t)st.st_size / sizeof *code;
    if (n == 0 || n > PROGRAM_MAX) return err_set(err, RC_OCI_WANTS,
                                                  "linux.seccomp of %zu instructions", n);
    code = calloc(n, sizeof *code);
    if (code == NULL) return err_set(err, RC_NO_MEMORY, "linux.seccomp");
    enum rc rc = fs_pread_exact(fd, (uint8_t *)code, n * sizeof *code, 0, err);
    if (rc == RC_OK){ *ret = (struct sock_fprog){ .len = (unsigned short)n, .filter = code };
                      code = NULL; }
return rc;
}

enum rc oci_filter_build(const json_t *seccomp, struct sock_fprog *ret, struct err *err)
{
    const json_t *rules = json_object_get(seccomp, "syscalls");
    scoped(release) scmp_filter_ctx ctx = NULL;
    uint32_t usual = 0;

    *ret = (struct sock_fprog){ .len = 0 };
    if (seccomp == NULL)
        return RC_OK;
    if (json_object_get(seccomp, "listenerPath") != NULL)
        return err_set(err, RC_OCI_WANTS, "linux.seccomp.listenerPath");
    enum rc rc = read_action(seccomp, "defaultAction", "defaultErrnoRet", &usual, err);
    if (rc != RC_OK)
        return rc;
    if (rules != NULL && (!json_is_array(rules) || json_array_size(rules) > LIST_MAX))
        return err_set(err, RC_OCI_FORMAT, "linux.seccomp.syscalls");
    ctx = seccomp_init(usual);
    if (ctx == NULL || seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0)
        return err_set(err, RC_NO_MEMORY, "linux.seccomp");
    for (size_t i = 0; rc == RC_OK && i < json_array_size(rules); i++)
        rc = add_rule(ctx, usual, json_array_get(rules, i), err);
    return rc == RC_OK ? export(ctx, ret, err) : rc;
}

void oci_filter_done(struct sock_fprog *filter)
{
    free(filter->filter);
    *filter = (struct sock_fprog){ .len = 0 };
}
