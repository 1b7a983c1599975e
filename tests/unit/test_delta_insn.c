/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "delta/insn.h"
#include "delta/view.h"

/* Instructions as GNU as makes them. */
static const struct {
    const char *hex;
    uint8_t size;
    uint8_t field;
    bool branch;
} x86[] = {
    { "c3", 1, 0, false },                      /* ret */
    { "e800010000", 5, 1, true },               /* call */
    { "e9fcffffff", 5, 1, true },               /* jmp */
    { "0f8400010000", 6, 2, true },             /* je */
    { "f20f8510000000", 7, 3, true },           /* bnd jne */
    { "7405", 2, 0, false },                    /* je, short */
    { "488d0500100000", 7, 3, false },          /* lea 0x1000(%rip),%rax */
    { "48c7051122334455667788", 11, 3, false }, /* movq $..,..(%rip) */
    { "c60511223344ff", 7, 2, false },          /* movb $..,..(%rip) */
    { "66c705112233441234", 9, 3, false },      /* movw $..,..(%rip) */
    { "813d1122334455667788", 10, 2, false },   /* cmpl $..,..(%rip) */
    { "833d1122334400", 7, 2, false },          /* cmpl $0,..(%rip) */
    { "f6051122334401", 7, 2, false },          /* testb $1,..(%rip) */
    { "f7051122334455667788", 10, 2, false },   /* testl $..,..(%rip) */
    { "f71511223344", 6, 2, false },            /* notl ..(%rip) */
    { "ff1511223344", 6, 2, false },            /* call *..(%rip) */
    { "f2ff2511223344", 7, 3, false },          /* bnd jmp *..(%rip) */
    { "48b81122334455667788", 10, 0, false },   /* movabs */
    { "66b81122", 4, 0, false },                /* mov $..,%ax */
    { "a11122334455667788", 9, 0, false },      /* movabs ..,%eax */
    { "8b842411223344", 7, 0, false },          /* mov 0x..(%rsp),%eax */
    { "8b042511223344", 7, 0, false },          /* mov 0x..,%eax: absolute */
    { "488b4c2408", 5, 0, false },              /* mov 8(%rsp),%rcx */
    { "c8112200", 4, 0, false },                /* enter */
    { "f30f6f0511223344", 8, 4, false },        /* movdqu ..(%rip),%xmm0 */
    { "660f70c0ff", 5, 0, false },              /* pshufd $..,%xmm0,%xmm0 */
    { "660f3a0f051122334408", 10, 5, false },   /* palignr $8,..(%rip),%xmm0 */
    { "c5fa6f0511223344", 8, 4, false },        /* vmovdqu ..(%rip),%xmm0 */
    { "c4e27d580511223344", 9, 5, false },      /* vpbroadcastd ..(%rip),%ymm0 */
    { "c4e37d0f051122334408", 10, 5, false },   /* vpalignr $8,..(%rip),%ymm0,%ymm0 */
    { "62f17c48100511223344", 10, 6, false },   /* vmovups ..(%rip),%zmm0 */
    { "c5f877", 3, 0, false },                  /* vzeroupper */
    { "f30f1efa", 4, 0, false },                /* endbr64 */
    { "660f1f840000000000", 9, 0, false },      /* nopw */
    { "06", 0, 0, false },                      /* push %es: not in 64-bit mode */
    { "488d05001000", 0, 0, false },            /* ends early */
    { "e8", 0, 0, false },
    { "0f", 0, 0, false },
    { "c4", 0, 0, false },
    { "66", 0, 0, false },
    { "6666666666666666666666666666666690", 0, 0, false }, /* longer than any */
};

static void test_x86(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof x86 / sizeof x86[0]; i++) {
        uint8_t code[32];
        size_t n = strlen(x86[i].hex) / 2;

        assert_true(bytes_unhex(x86[i].hex, code, n));

        struct insn_x86 in = insn_x86((struct bytes){ .p = code, .n = n });

        if (in.size != x86[i].size || in.field != x86[i].field || in.branch != x86[i].branch)
            fail_msg("%s: size %u field %u branch %d", x86[i].hex, in.size, in.field, in.branch);
    }
}

/* Whatever the bytes, an instruction and its field end before the end. */
static void test_x86_bounds(void **unused)
{
    uint64_t state = 1;

    (void)unused;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t code[INSN_X86_MAX];
        size_t n = round % sizeof code + 1;

        for (size_t i = 0; i < n; i++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            code[i] = (uint8_t)(state >> 56);
        }

        struct insn_x86 in = insn_x86((struct bytes){ .p = code, .n = n });

        assert_true(in.size <= n);
        if (in.field > 0)
            assert_true(in.field + 4U <= in.size);
    }
}

/* How much lies behind the longest instruction makes no difference: both ways through the reader
 * say the same of all kinds of bytes, prefixes among them. */
static void test_x86_behind(void **unused)
{
    static const uint8_t odd[] = { 0x66, 0x67, 0x48, 0x0f, 0xc4, 0xc5, 0x62, 0xf2, 0x4f, 0x38 };
    uint64_t state = 7;

    (void)unused;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t code[2 * INSN_X86_MAX + 10];

        for (size_t i = 0; i < sizeof code; i++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            code[i] = (uint8_t)(state >> 56);
            if (state >> 40 & 1)
                code[i] = odd[(state >> 41 & 0xff) % sizeof odd];
        }

        struct insn_x86 a = insn_x86((struct bytes){ .p = code, .n = sizeof code });
        struct insn_x86 b = insn_x86((struct bytes){ .p = code, .n = INSN_X86_MAX });

        assert_true(a.size == b.size && a.field == b.field && a.branch == b.branch);
        assert_true(a.size <= INSN_X86_MAX);
    }
}

/* Words as GNU as for aarch64 makes them. */
static const struct {
    uint32_t word;
    enum insn_arm64_kind kind;
    int64_t value;
    uint8_t reg;
    uint8_t scale;
} arm64[] = {
    { 0x94000040, INSN_B26, 256, 0, 0 },    /* bl .+256 */
    { 0x17ffffff, INSN_B26, -4, 0, 0 },     /* b .-4 */
    { 0x54000041, INSN_B19, 8, 0, 0 },      /* b.ne .+8 */
    { 0xb4ffffe0, INSN_B19, -4, 0, 0 },     /* cbz x0, .-4 */
    { 0x35000061, INSN_B19, 12, 0, 0 },     /* cbnz w1, .+12 */
    { 0x3607ffe0, INSN_B14, -4, 0, 0 },     /* tbz w0, #0, .-4 */
    { 0xb7080042, INSN_B14, 8, 0, 0 },      /* tbnz x2, #33, .+8 */
    { 0x58000083, INSN_B19, 16, 0, 0 },     /* ldr x3, .+16 */
    { 0x10000084, INSN_ADR, 16, 0, 0 },     /* adr x4, .+16 */
    { 0x30ffffe4, INSN_ADR, -3, 0, 0 },     /* adr x4, .-3 */
    { 0xb0000005, INSN_ADRP, 1, 5, 0 },     /* adrp x5, .+0x1000 */
    { 0xf0ffffe5, INSN_ADRP, -1, 5, 0 },    /* adrp x5, .-0x1000 */
    { 0x912340a5, INSN_LO12, 0x8d0, 5, 0 }, /* add x5, x5, #0x8d0 */
    { 0xf94468a5, INSN_LO12, 0x8d0, 5, 3 }, /* ldr x5, [x5, #0x8d0] */
    { 0xb948d0a6, INSN_LO12, 0x8d0, 5, 2 }, /* ldr w6, [x5, #0x8d0] */
    { 0x396340a6, INSN_LO12, 0x8d0, 5, 0 }, /* ldrb w6, [x5, #0x8d0] */
    { 0x3dc234a0, INSN_LO12, 0x8d0, 5, 4 }, /* ldr q0, [x5, #0x8d0] */
    { 0xd65f03c0, INSN_NONE, 0, 0, 0 },     /* ret */
    { 0xaa0103e0, INSN_NONE, 0, 0, 0 },     /* mov x0, x1 */
    { 0x916340a5, INSN_NONE, 0, 0, 0 },     /* add x5, x5, #0x8d0, lsl #12 */
};

static void test_arm64(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof arm64 / sizeof arm64[0]; i++) {
        struct insn_arm64 in = insn_arm64(arm64[i].word);

        if (in.kind != arm64[i].kind || in.value != arm64[i].value || in.reg != arm64[i].reg ||
            in.scale != arm64[i].scale)
            fail_msg("%08x: kind %d value %lld reg %u scale %u", arm64[i].word, (int)in.kind,
                     (long long)in.value, in.reg, in.scale);
        assert_int_equal(insn_arm64_put(arm64[i].word, in, in.value), arm64[i].word);

        uint32_t other = insn_arm64_put(arm64[i].word, in, 0);

        if (in.kind != INSN_NONE)
            assert_int_equal(insn_arm64(other).value, 0);
        assert_int_equal(insn_arm64_put(other, in, in.value), arm64[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x86),
        cmocka_unit_test(test_x86_bounds),
        cmocka_unit_test(test_x86_behind),
        cmocka_unit_test(test_arm64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
