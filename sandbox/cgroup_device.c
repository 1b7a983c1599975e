/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_device.h"

#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/cgroup_file.h"
#include "sandbox/kernfile.h"

#define MEMORY_MAJOR 1U
#define DEVICES_ALL_MAX (5U + CGROUP_DEVICES_MAX)
#define INSNS_HEAD 6U
#define INSNS_EACH 8U
#define INSNS_MAX (INSNS_HEAD + INSNS_EACH * DEVICES_ALL_MAX + 2U)

/* Minors of null, zero, full, random, urandom. */
static const unsigned int minors[] = { 3, 5, 7, 8, 9 };

struct devices {
    uint32_t n;
    struct cgroup_device of[DEVICES_ALL_MAX];
};

struct code {
    uint32_t n;
    struct bpf_insn insn[INSNS_MAX];
};

/* Two names may stand for one device. */
static void add_device(struct devices *list, const struct cgroup_device *d)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->of[i].major == d->major && list->of[i].minor == d->minor) {
            list->of[i].access |= d->access;
            return;
        }
    }
    list->of[list->n++] = *d;
}

static void list_devices(const struct cgroup_limits *limits, struct devices *ret)
{
    assert(limits->n_devices <= CGROUP_DEVICES_MAX);
    for (size_t i = 0; i < sizeof minors / sizeof minors[0]; i++)
        add_device(ret,
                   &(struct cgroup_device){ MEMORY_MAJOR, minors[i], CGROUP_READ | CGROUP_WRITE });
    for (uint32_t i = 0; i < limits->n_devices; i++)
        add_device(ret, &limits->device[i]);
}

/* ---- v2: a program ----------------------------------------------------------------------------
 */

static void emit(struct code *c, struct bpf_insn insn)
{
    assert(c->n < INSNS_MAX);
    c->insn[c->n++] = insn;
}

static struct bpf_insn load(uint8_t to, int16_t offset)
{
    return (struct bpf_insn){
        .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 15U, .src_reg = BPF_REG_1, .off = offset
    };
}

static struct bpf_insn alu(uint8_t op, uint8_t reg, uint32_t value)
{
    return (struct bpf_insn){ .code = (uint8_t)(BPF_ALU | op | BPF_K),
                              .dst_reg = reg & 15U,
                              .imm = (int32_t)value };
}

static struct bpf_insn copy(uint8_t to, uint8_t from)
{
    return (struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_X,
                              .dst_reg = to & 15U,
                              .src_reg = from & 15U };
}

/* Unless the register has the value, pass over so many instructions. */
static struct bpf_insn unless(uint8_t reg, uint32_t value, int16_t skip)
{
    return (struct bpf_insn){ .code = BPF_JMP32 | BPF_JNE | BPF_K,
                              .dst_reg = reg & 15U,
                              .off = skip,
                              .imm = (int32_t)value };
}

/* What is asked: type in the lower half of the first word, access in the upper. */
static void emit_question(struct code *c)
{
    emit(c, load(BPF_REG_2, 0)); /* type and access */
    emit(c, copy(BPF_REG_3, BPF_REG_2));
    emit(c, alu(BPF_AND, BPF_REG_2, 0xffff));
    emit(c, alu(BPF_RSH, BPF_REG_3, 16));
    emit(c, load(BPF_REG_4, 4)); /* major */
    emit(c, load(BPF_REG_5, 8)); /* minor */
}

/* If it is this device, and nothing but what is allowed there: yes. */
static void emit_device(struct code *c, const struct cgroup_device *d)
{
    emit(c, unless(BPF_REG_2, BPF_DEVCG_DEV_CHAR, 7));
    emit(c, unless(BPF_REG_4, d->major, 6));
    emit(c, unless(BPF_REG_5, d->minor, 5));
    emit(c, copy(BPF_REG_0, BPF_REG_3));
    emit(c, alu(BPF_AND, BPF_REG_0, ~d->access));
    emit(c, unless(BPF_REG_0, 0, 2));
    emit(c, alu(BPF_MOV, BPF_REG_0, 1));
    emit(c, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

static long bpf(int command, union bpf_attr *attr)
{
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int load_program(const struct devices *devices)
{
    static const char license[] = "Apache-2.0";
    struct code code = { 0 };
    union bpf_attr attr;

    emit_question(&code);
    for (uint32_t i = 0; i < devices->n; i++)
        emit_device(&code, &devices->of[i]);
    emit(&code, alu(BPF_MOV, BPF_REG_0, 0));
    emit(&code, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });

    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)code.insn;
    attr.insn_cnt = code.n;
    attr.license = (uint64_t)(uintptr_t)license;
    return (int)bpf(BPF_PROG_LOAD, &attr);
}

/* How many programs the kernel asks for this directory itself. */
static int count_programs(int dir)
{
    uint32_t ids[4];
    union bpf_attr attr;

    memset(&attr, 0, sizeof attr);
    attr.query.target_fd = (uint32_t)dir;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attr.query.prog_cnt = sizeof ids / sizeof ids[0];
    return bpf(BPF_PROG_QUERY, &attr) == 0 ? (int)attr.query.prog_cnt : -1;
}

/* The program of the last start does for the next one with the same devices: the kernel checks and
 * compiles each that is loaded. */
static int program_for(const struct devices *devices)
{
    static struct devices last;
    static int program = -1;

    if (program >= 0 && memcmp(&last, devices, sizeof last) == 0)
        return program;
    close_fd(&program);
    program = load_program(devices);
    last = *devices;
    return program;
}

static enum rc filter_v2(int dir, const struct devices *devices, struct err *err)
{
    int program = program_for(devices);
    union bpf_attr attr;

    if (program < 0)
        return err_sys(err, RC_CGROUP, "device filter");
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)program;
    attr.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_ATTACH, &attr) != 0)
        return err_sys(err, RC_CGROUP, "device filter of a group");
    int there = count_programs(dir);
    if (there < 0)
        return err_sys(err, RC_CGROUP, "count device filters");
    if (there != 1)
        return err_set(err, RC_CGROUP, "device filter is not there");
    return RC_OK;
}

bool cgroup_device_try(int dir)
{
    struct cgroup_limits none = { .n_devices = 0 };
    struct devices devices = { 0 };

    list_devices(&none, &devices);
    return filter_v2(dir, &devices, NULL) == RC_OK;
}

/* ---- v1: a list -------------------------------------------------------------------------------
 */

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void allowed(const struct cgroup_device *d, char line[48])
{
    (void)snprintf(line, 48, "c %u:%u %s%s", d->major, d->minor,
                   (d->access & CGROUP_READ) != 0 ? "r" : "",
                   (d->access & CGROUP_WRITE) != 0 ? "w" : "");
}

static enum rc filter_v1(int dir, const struct devices *devices, struct err *err)
{
    char list[1024] = "";

    if (kernfile_put(dir, "devices.deny", "a") != 0)
        return err_sys(err, RC_CGROUP, "devices.deny = a");
    for (uint32_t i = 0; i < devices->n; i++) {
        char line[48];

        allowed(&devices->of[i], line);
        if (kernfile_put(dir, "devices.allow", line) != 0)
            return err_sys(err, RC_CGROUP, "devices.allow = %s", line);
    }
    if (cgroup_get(dir, "devices.list", list, sizeof list) != 0)
        return err_sys(err, RC_CGROUP, "devices.list");
    for (uint32_t i = 0; i < devices->n; i++) {
        char line[48];

        allowed(&devices->of[i], line);
        if (strstr(list, line) == NULL)
            return err_set(err, RC_CGROUP, "devices.allow = %s, but it is not listed", line);
    }
    if (lines(list) != devices->n)
        return err_set(err, RC_CGROUP, "devices.list has %zu lines, not %u", lines(list),
                       devices->n);
    return RC_OK;
}

enum rc cgroup_device_filter(const struct cgroup *cgroup, const struct cgroup_limits *limits,
                             struct err *err)
{
    struct devices devices = { 0 };
    int v2 = cgroup->dir[CGROUP_UNIFIED];
    int v1 = cgroup->dir[CGROUP_DEVICES];

    list_devices(limits, &devices);
    if (v2 < 0 && v1 < 0)
        return err_set(err, RC_CGROUP, "nothing to filter devices with");
    enum rc rc = v1 < 0 ? RC_OK : filter_v1(v1, &devices, err);
    if (rc != RC_OK || v2 < 0)
        return rc;
    struct err why = { 0 };

    rc = filter_v2(v2, &devices, &why);
    /* A kernel that has no such programs still has its list. */
    if (rc != RC_OK && v1 >= 0 && (why.sys == EINVAL || why.sys == ENOSYS))
        return RC_OK;
    if (rc != RC_OK && err != NULL)
        *err = why;
    return rc;
}
