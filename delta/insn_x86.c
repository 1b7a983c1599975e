/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/insn.h"

/* What follows each opcode (Intel SDM volume 2, appendix A, 64-bit mode):
 *   .  nothing            m  ModRM              x  not an instruction    p  prefix or escape
 *   b  8-bit immediate    n  ModRM, 8 bits      w  16 bits               e  24 bits
 *   z  16 or 32 bits      Z  ModRM, 16 or 32    v  16, 32 or 64 bits     a  32- or 64-bit address
 *   j  32-bit branch      3  ModRM, 8 bits if its reg field is 0 or 1    7  the same, 16 or 32 */
static const char one_byte[] = "mmmmbzxxmmmmbzxp" /* 00 */
                               "mmmmbzxxmmmmbzxx"
                               "mmmmbzpxmmmmbzpx"
                               "mmmmbzpxmmmmbzpx"
                               "pppppppppppppppp" /* 40 */
                               "................"
                               "xxpmppppzZbn...."
                               "bbbbbbbbbbbbbbbb"
                               "nZxnmmmmmmmmmmmm" /* 80 */
                               "..........x....."
                               "aaaa....bz......"
                               "bbbbbbbbvvvvvvvv"
                               "nnw.ppnZe.w..bx." /* c0 */
                               "mmmmxx..mmmmmmmm"
                               "bbbbbbbbjjxb...."
                               "p.pp..37......mm";
static const char two_byte[] = "mmmmx.....x.xm.n" /* 0f 00 */
                               "mmmmmmmmmmmmmmmm"
                               "mmmmxxxxmmmmmmmm"
                               "........pxpxxxxx"
                               "mmmmmmmmmmmmmmmm" /* 0f 40 */
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "nnnnmmm.mmmmmmmm"
                               "jjjjjjjjjjjjjjjj" /* 0f 80 */
                               "mmmmmmmmmmmmmmmm"
                               "...mnmmm...mnmmm"
                               "mmmmmmmmmmnmmmmm"
                               "mmnmnnnm........" /* 0f c0 */
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm";

/* So many bytes may be looked at: as many prefixes as an instruction may be long, and all that is
 * read behind them. */
#define AMPLE 32U

/* The instruction as far as it has been read. */
struct decode {
    const uint8_t *p; /* AMPLE bytes */
    size_t n;         /* of them are there, INSN_X86_MAX at most */
    size_t at;        /* next byte; past n = it does not end */
    bool narrow;
    bool wide;
    bool short_address;
};

static uint8_t take(struct decode *d)
{
    return d->p[d->at++];
}

static uint8_t peek(const struct decode *d)
{
    return d->p[d->at];
}

static inline __attribute__((always_inline)) void read_prefixes(struct decode *d)
{
    for (; d->at < d->n && one_byte[d->p[d->at]] == 'p'; d->at++) {
        switch (d->p[d->at]) {
        case 0x66:
            d->narrow = true;
            break;
        case 0x67:
            d->short_address = true;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0xf0:
        case 0xf2:
        case 0xf3:
            break;
        default:
            if ((d->p[d->at] & 0xf0) == 0x40)
                d->wide = (d->p[d->at++] & 8) != 0;
            return;
        }
    }
}

/* VEX (c4, c5) and EVEX (62): escapes that carry the opcode map. */
static inline __attribute__((always_inline)) char read_vex(struct decode *d, uint8_t escape)
{
    unsigned map = 1;

    if (escape == 0xc4)
        map = peek(d) & 31U;
    else if (escape == 0x62)
        map = peek(d) & 7U;
    d->at += escape == 0xc5 ? 1 : escape == 0xc4 ? 2 : 3;

    uint8_t op = take(d);

    if (map == 0 || map == 4 || map > 7)
        return 'x';
    if (map == 1)
        return op == 0x77 ? '.' : two_byte[op] == 'n' ? 'n' : 'm';
    return map == 3 ? 'n' : 'm';
}

/* The opcode; what follows it. */
static inline __attribute__((always_inline)) char read_opcode(struct decode *d)
{
    uint8_t op = take(d);

    if (op == 0xc4 || op == 0xc5 || op == 0x62)
        return read_vex(d, op);
    if (op != 0x0f)
        return one_byte[op];
    op = take(d);
    if (op == 0x38 || op == 0x3a) {
        (void)take(d);
        return op == 0x38 ? 'm' : 'n';
    }
    return two_byte[op];
}

/* ModRM, SIB and displacement; where a displacement relative to the next instruction begins, or 0.
 */
static inline __attribute__((always_inline)) size_t read_modrm(struct decode *d)
{
    uint8_t modrm = take(d);
    unsigned mod = modrm >> 6;
    unsigned rm = modrm & 7U;
    size_t field = 0;

    if (mod == 3)
        return 0;
    if (rm == 4) {
        if ((take(d) & 7U) == 5 && mod == 0)
            d->at += 4;
    } else if (rm == 5 && mod == 0) {
        field = d->at;
        d->at += 4;
    }
    if (mod == 1)
        d->at += 1;
    else if (mod == 2)
        d->at += 4;
    return field;
}

static inline __attribute__((always_inline)) size_t immediate(const struct decode *d, char what,
                                                              bool reg_is_test)
{
    size_t z = d->narrow ? 2 : 4;

    switch (what) {
    case 'b':
    case 'n':
        return 1;
    case 'w':
        return 2;
    case 'e':
        return 3;
    case 'z':
    case 'Z':
        return z;
    case 'v':
        return d->wide ? 8 : z;
    case 'a':
        return d->short_address ? 4 : 8;
    case '3':
        return reg_is_test ? 1 : 0;
    case '7':
        return reg_is_test ? z : 0;
    default:
        return 0;
    }
}

/* One instruction in the first n of AMPLE bytes. */
static struct insn_x86 decode(const uint8_t *p, size_t n)
{
    struct decode d = { .p = p, .n = n };
    size_t field = 0;

    read_prefixes(&d);

    char what = read_opcode(&d);
    bool branch = what == 'j';

    if (what == 'm') { /* most of them */
        field = read_modrm(&d);
    } else if (what != '.') {
        bool reg_is_test = (peek(&d) >> 3 & 7) < 2;

        if (what == 'x' || what == 'p')
            return (struct insn_x86){ 0 };
        if (branch) {
            field = d.at;
            d.at += 4;
        } else if (what == 'n' || what == 'Z' || what == '3' || what == '7') {
            field = read_modrm(&d);
        }
        d.at += immediate(&d, what, reg_is_test);
    }
    if (d.at > d.n)
        return (struct insn_x86){ 0 };
    return (struct insn_x86){ .size = (uint8_t)d.at, .field = (uint8_t)field, .branch = branch };
}

/* The last ones of a file. */
static __attribute__((noinline)) struct insn_x86 decode_padded(struct bytes in)
{
    uint8_t padded[AMPLE] = { 0 };

    memcpy(padded, in.p, in.n);
    return decode(padded, in.n < INSN_X86_MAX ? in.n : INSN_X86_MAX);
}

struct insn_x86 insn_x86(struct bytes in)
{
    return in.n >= AMPLE ? decode(in.p, INSN_X86_MAX) : decode_padded(in);
}
