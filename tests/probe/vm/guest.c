/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest guest that tells what a virtual machine has: no operating system, a serial line, and
 * a disk if there is one.  Its initrd says what it does (a letter): end, wait, take all memory and
 * wait, or use the disk.  Started as the PVH boot protocol says: 32 bits, no paging, EBX names what
 * the tender hands over.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define COM1 0x3f8U
#define LINE_STATUS (COM1 + 5U)
#define LINE_EMPTY 0x20U

__asm__(".section .note.pvh, \"a\", @note\n"
        ".align 4\n"
        ".long 4, 4, 18\n" /* XEN_ELFNOTE_PHYS32_ENTRY */
        ".asciz \"Xen\"\n"
        ".long start\n"
        ".text\n"
        ".globl start\n"
        "start: movl $stack_end, %esp\n"
        "pushl %ebx\n"
        "call guest\n"
        "1: hlt\n"
        "jmp 1b\n"
        ".bss\n"
        ".align 16\n"
        ".skip 8192\n"
        "stack_end:\n"
        ".text\n");

struct module {
    u64 at, bytes, command_line, reserved;
};

struct start_info {
    u32 magic, version, flags, n_modules;
    u64 modules, command_line, rsdp;
};

/* ---- console -------------------------------------------------------------------------------- */

static void out8(u8 value, u16 port)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static u8 in8(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void put(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((in8(LINE_STATUS) & LINE_EMPTY) == 0)
            ;
        out8((u8)*text, COM1);
    }
}

static void put_number(const char *name, u32 value)
{
    char text[12] = { 0 };
    char *at = text + sizeof text - 1;

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(name);
    put(at);
    put("\n");
}

/* ---- disk: virtio over memory, as it was first specified ------------------------------------ */

#define MMIO 0xfeb00000U
#define MMIO_EACH 0x200U
#define MMIO_N 24U
#define SECTOR 512U
#define QUEUE 8U

struct descriptor {
    u64 at;
    u32 bytes;
    u16 flags, next;
};

static struct {
    struct descriptor descriptor[QUEUE];
    u16 flags, available, ring[QUEUE];
    u8 to_page[4096 - QUEUE * 16 - 4 - QUEUE * 2];
    u16 used_flags;
    volatile u16 used;
    u32 used_ring[QUEUE * 2];
} queue __attribute__((aligned(4096)));

static struct {
    u32 type, reserved;
    u64 sector;
} head;

static char sector[SECTOR];
static volatile u8 status;

static volatile u32 *find_disk(void)
{
    for (u32 i = 0; i < MMIO_N; i++) {
        volatile u32 *device = (volatile u32 *)(MMIO + i * MMIO_EACH);

        if (device[0] == 0x74726976U && device[2] == 2)
            return device;
    }
    return (volatile u32 *)0;
}

static void start_disk(volatile u32 *device)
{
    device[0x70 / 4] = 0;
    device[0x70 / 4] = 3;     /* seen, and there is a driver */
    device[0x20 / 4] = 0;     /* nothing special is wanted */
    device[0x28 / 4] = 4096;  /* size of pages */
    device[0x30 / 4] = 0;     /* the first queue */
    device[0x38 / 4] = QUEUE; /* so long */
    device[0x3c / 4] = 4096;  /* its second part is aligned so */
    device[0x40 / 4] = (u32)&queue / 4096;
    device[0x70 / 4] = 7;
}

/* 0 when it was done. */
static u8 move_sector(volatile u32 *device, u32 write)
{
    u16 before = queue.used;

    head.type = write;
    queue.descriptor[0] = (struct descriptor){ (u32)&head, sizeof head, 1, 1 };
    queue.descriptor[1] = (struct descriptor){ (u32)sector, SECTOR, (u16)(write != 0 ? 1 : 3), 2 };
    queue.descriptor[2] = (struct descriptor){ (u32)&status, 1, 2, 0 };
    queue.ring[queue.available % QUEUE] = 0;
    __asm__ volatile("" ::: "memory");
    queue.available++;
    __asm__ volatile("" ::: "memory");
    device[0x50 / 4] = 0;
    while (queue.used == before)
        __asm__ volatile("pause" ::: "memory");
    return status;
}

static void use_disk(void)
{
    static const char mark[] = "guest was here";
    volatile u32 *device = find_disk();

    if (device == (volatile u32 *)0) {
        put("guest: no disk\n");
        return;
    }
    start_disk(device);
    put_number("guest: disk MiB ", device[0x100 / 4] / 2048);
    put_number("guest: read ", move_sector(device, 0));
    sector[SECTOR - 1] = '\0';
    put("guest: found (");
    put(sector);
    put(")\n");
    for (u32 i = 0; i < sizeof mark; i++)
        sector[i] = mark[i];
    put_number("guest: wrote ", move_sector(device, 1));
}

/* ---- the rest ------------------------------------------------------------------------------- */

/* From 2 MiB up, where nothing of ours lies, until there is no more. */
static void take_memory(void)
{
    u32 mib = 2;

    for (;; mib++) {
        volatile u32 *at = (volatile u32 *)(mib << 20);

        at[0] = mib;
        if (at[0] != mib)
            break;
        for (u32 page = 0; page < 256; page++)
            at[page * 1024] = mib;
    }
    put_number("guest: memory MiB ", mib);
}

static void end(void)
{
    static const struct {
        u16 bytes;
        u32 at;
    } __attribute__((packed)) none = { 0, 0 };

    put("guest: ends\n");
    __asm__ volatile("lidt %0\nint3" : : "m"(none)); /* nothing handles that: a reset */
}

void guest(const struct start_info *info);

void guest(const struct start_info *info)
{
    const struct module *initrd = (const struct module *)(u32)info->modules;
    u8 what = info->n_modules != 0 ? *(const u8 *)(u32)initrd->at : 0;

    put("guest: up\n");
    put((const char *)(u32)info->command_line);
    put("\n");
    if (what == 'm')
        take_memory();
    if (what == 'd')
        use_disk();
    if (what == 'd' || what == 'e')
        end();
    put("guest: waits\n");
}
