/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/tender.h"

#include <inttypes.h>
#include <stdarg.h>

#include "sandbox/guest.h"

#define MIB (1024ULL * 1024U)
#define DISK_KEPT (4U * MIB) /* journal and tables; and a part in 16 */

static_assert(PLAN_VM_MEMORY_MIN > PLAN_VM_TENDER_BYTES, "something is left for the guest");
static_assert(PLAN_VM_DATA_MIN > DISK_KEPT + PLAN_VM_DATA_MIN / 16, "and for its disk");

const char *tender_name(uint32_t vm)
{
    static const char *const names[PLAN_VMS] = {
        [PLAN_VM_NONE] = "",
        [PLAN_VM_QEMU] = "qemu",
        [PLAN_VM_SOLO5] = "solo5",
    };

    return vm < PLAN_VMS ? names[vm] : "?";
}

uint64_t tender_memory(const struct plan *plan)
{
    return (plan->limits.memory_bytes - PLAN_VM_TENDER_BYTES) / MIB * MIB;
}

uint64_t tender_disk(const struct plan *plan)
{
    const uint64_t bytes = plan->limits.data_bytes;

    return plan->has_data == 0 ? 0 : (bytes - bytes / 16 - DISK_KEPT) / MIB * MIB;
}

static void __attribute__((format(printf, 2, 3)))
add(struct tender_args *args, const char *fmt, ...)
{
    va_list list;

    assert(args->n < TENDER_ARGS_MAX);
    va_start(list, fmt);
    int n = vsnprintf(args->text[args->n++], TENDER_TEXT_CAP, fmt, list);
    va_end(list);
    assert(n > 0 && (size_t)n < TENDER_TEXT_CAP);
}

static void add_port(struct tender_args *ret, int number, const char *name)
{
    add(ret, "-chardev");
    add(ret, "socket,id=port%d,fd=%d", number, GUEST_PORT_FD + number - 1);
    add(ret, "-device");
    add(ret, "virtserialport,chardev=port%d,nr=%d,name=%s", number, number, name);
}

/* The least machine there is, emulated; a serial line as console, and no monitor.  A guest that
 * resets has ended.  Few threads and a small cache of translated code keep it within its limits. */
static void add_qemu(const struct plan *plan, struct tender_args *ret)
{
    static const char *const fixed[] = {
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "microvm,isa-serial=on,acpi=off",
        "-accel",
        "tcg,tb-size=32",
        "-object",
        "main-loop,id=main-loop,thread-pool-max=4",
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
        "-append",
        "console=ttyS0 reboot=t panic=-1",
    };

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        add(ret, "%s", fixed[i]);
    add(ret, "-m");
    add(ret, "%" PRIu64 "M", (uint64_t)(tender_memory(plan) / MIB));
    add(ret, "-kernel");
    add(ret, PLAN_SLOT_PATH "%s", plan->args[0]);
    if (plan->n_args > 1) {
        add(ret, "-initrd");
        add(ret, PLAN_SLOT_PATH "%s", plan->args[1]);
    }
    if (plan->has_data != 0) {
        add(ret, "-drive");
        add(ret, "if=none,id=data,format=raw,discard=unmap,file.locking=off,file=" PLAN_VM_DISK);
        add(ret, "-device");
        add(ret, "virtio-blk-device,drive=data");
    }
    add(ret, "-device");
    add(ret, "virtio-serial-device,max_ports=%d", GUEST_PORTS + 1); /* port 0 is for a console */
    add_port(ret, 1, GUEST_NOTIFY_PORT);
    add_port(ret, 2, GUEST_BUS_PORT);
}

static void add_solo5(const struct plan *plan, struct tender_args *ret)
{
    add(ret, "--mem=%" PRIu64, (uint64_t)(tender_memory(plan) / MIB));
    if (plan->has_data != 0)
        add(ret, "--block:data=" PLAN_VM_DISK);
    add(ret, "--");
    add(ret, PLAN_SLOT_PATH "%s", plan->args[0]);
    for (uint32_t i = 1; i < plan->n_args; i++)
        (void)snprintf(ret->text[ret->n++], TENDER_TEXT_CAP, "%s", plan->args[i]);
}

static_assert(PAYLOAD_ARGS_MAX + 4 <= TENDER_ARGS_MAX, "all words of a unikernel");

void tender_args(const struct plan *plan, struct tender_args *ret)
{
    ret->n = 0;
    add(ret, TENDER_PROGRAM);
    if (plan->vm == PLAN_VM_QEMU)
        add_qemu(plan, ret);
    else
        add_solo5(plan, ret);
}
