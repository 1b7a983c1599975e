/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest guest that tells what a virtual machine has: no operating system, a serial line, the
 * two ports, and a disk if there is one.  Its initrd says what it does (a letter): end well, end as
 * a panic does, fail with a status of its own, wait, take all memory and wait, use the disk, or be
 * a service: ready, a client of its bus, and with a watchdog that it feeds once in a second.
 * Started as the PVH boot protocol says: 32 bits, no paging, EBX names what the tender hands over.
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

struct queue {
    struct descriptor descriptor[QUEUE];
    u16 flags, available, ring[QUEUE];
    u8 to_page[4096 - QUEUE * 16 - 4 - QUEUE * 2];
    u16 used_flags;
    volatile u16 used;
    volatile u32 used_ring[QUEUE * 2];
} __attribute__((aligned(4096)));

static struct queue queue;

static struct {
    u32 type, reserved;
    u64 sector;
} head;

static char sector[SECTOR];
static volatile u8 status;

static volatile u32 *find(u32 kind)
{
    for (u32 i = 0; i < MMIO_N; i++) {
        volatile u32 *device = (volatile u32 *)(MMIO + i * MMIO_EACH);

        if (device[0] == 0x74726976U && device[2] == kind)
            return device;
    }
    return (volatile u32 *)0;
}

/* Up to where its queues are named: features, and the size of pages. */
static void begin(volatile u32 *device, u32 features)
{
    device[0x70 / 4] = 0;
    device[0x70 / 4] = 3; /* seen, and there is a driver */
    device[0x20 / 4] = features;
    device[0x28 / 4] = 4096; /* size of pages */
}

static void name_queue(volatile u32 *device, u32 number, struct queue *q)
{
    device[0x30 / 4] = number;
    device[0x38 / 4] = QUEUE; /* so long */
    device[0x3c / 4] = 4096;  /* its second part is aligned so */
    device[0x40 / 4] = (u32)q / 4096;
}

static void start_disk(volatile u32 *device)
{
    begin(device, 0); /* nothing special is wanted */
    name_queue(device, 0, &queue);
    device[0x70 / 4] = 7;
}

/* The chain that begins at descriptor 0, to the end of it. */
static void pass(volatile u32 *device, u32 number, struct queue *q)
{
    u16 before = q->used;

    q->ring[q->available % QUEUE] = 0;
    __asm__ volatile("" ::: "memory");
    q->available++;
    __asm__ volatile("" ::: "memory");
    device[0x50 / 4] = number;
    while (q->used == before)
        __asm__ volatile("pause" ::: "memory");
}

/* 0 when it was done. */
static u8 move_sector(volatile u32 *device, u32 write)
{
    head.type = write;
    queue.descriptor[0] = (struct descriptor){ (u32)&head, sizeof head, 1, 1 };
    queue.descriptor[1] = (struct descriptor){ (u32)sector, SECTOR, (u16)(write != 0 ? 1 : 3), 2 };
    queue.descriptor[2] = (struct descriptor){ (u32)&status, 1, 2, 0 };
    pass(device, 0, &queue);
    return status;
}

static void use_disk(void)
{
    static const char mark[] = "guest was here";
    volatile u32 *device = find(2);

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

/* ---- ports: the same, with two queues for each, and two to talk about them ------------------- */

#define NOTIFY 1U
#define BUS 2U
#define QUEUES 8U
#define TALK 3U /* the queue to the machine; nobody listens to the other one */

static struct queue ports[QUEUES];
static volatile u32 *port_device;
static char heard[512];

static void say_on(u32 number, const void *data, u32 n)
{
    ports[number].descriptor[0] = (struct descriptor){ (u32)data, n, 0, 0 };
    pass(port_device, number, &ports[number]);
}

static void talk(u32 port, u16 event)
{
    const struct {
        u32 port;
        u16 event, value;
    } word = { port, event, 1 };

    say_on(TALK, &word, sizeof word);
}

static u32 length(const char *text)
{
    u32 n = 0;

    while (text[n] != '\0')
        n++;
    return n;
}

static void say(u32 port, const char *text)
{
    say_on(2 * port + 3, text, length(text));
}

/* What comes next, as text. */
static const char *hear(u32 port)
{
    struct queue *q = &ports[2 * port + 2];

    q->descriptor[0] = (struct descriptor){ (u32)heard, sizeof heard - 1, 2, 0 };
    pass(port_device, 2 * port + 2, q);
    heard[q->used_ring[((u32)(q->used - 1) % QUEUE) * 2 + 1]] = '\0';
    return heard;
}

static void open_ports(void)
{
    port_device = find(3);
    if (port_device == (volatile u32 *)0) {
        put("guest: no ports\n");
        return;
    }
    begin(port_device, 2); /* several ports */
    for (u32 i = 0; i < QUEUES; i++)
        name_queue(port_device, i, &ports[i]);
    port_device[0x70 / 4] = 7;
    talk(~0U, 0); /* we are there */
    for (u32 port = NOTIFY; port <= BUS; port++) {
        talk(port, 3); /* ready */
        talk(port, 6); /* open */
    }
}

static u8 second(void)
{
    out8(0, 0x70);
    return in8(0x71);
}

/* As long as it is let. */
static void serve(void)
{
    say(NOTIFY, "READY=1\nSTATUS=guest on board\n");
    say(BUS, "hello");
    put("guest: bus says ");
    put(hear(BUS));
    put("\n");
    say(BUS, "again");
    put("guest: bus says ");
    put(hear(BUS));
    put("\n");
    for (;;) {
        u8 now = second();

        while (second() == now)
            __asm__ volatile("pause");
        say(NOTIFY, "WATCHDOG=1\n");
    }
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
    open_ports();
    if (what == 's')
        serve();
    if (what == 'f')
        say(NOTIFY, "EXIT_STATUS=3\n");
    if (what == 'd' || what == 'e')
        say(NOTIFY, "EXIT_STATUS=0\n");
    if (what == 'd' || what == 'e' || what == 'f' || what == 'p')
        end();
    put("guest: waits\n");
}
