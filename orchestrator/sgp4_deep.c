/* SPDX-License-Identifier: Apache-2.0
 *
 * The deep-space part of orchestrator/sgp4: what the sun, the moon and resonances with the earth's
 * rotation do to an orbit of 225 minutes and more.  Names of coefficients (a, x, z, s, f, g) are
 * those of Spacetrack Report 3 and of Hujsak's derivation, so that they can be compared.
 */
#include "orchestrator/sgp4.h"

#include <math.h>

#define PI TLE_PI
#define TWO_PI (2.0 * PI)
#define THIRD2 (2.0 / 3.0)

#define SUN_ECCENTRICITY 0.01675
#define SUN_MOTION 1.19459e-5 /* radians a minute */
#define SUN_STRENGTH 2.9864797e-6
#define SUN_SIN_I 0.39785416 /* of the ecliptic */
#define SUN_COS_I 0.91744867
#define SUN_SIN_G (-0.98088458)
#define SUN_COS_G 0.1945905
#define MOON_ECCENTRICITY 0.05490
#define MOON_MOTION 1.5835218e-4
#define MOON_STRENGTH 4.7968065e-7

#define EARTH_TURN 4.37526908801129966e-3 /* radians a minute */
#define STEP_MIN 720.0                    /* of the numeric integration over a resonance */
#define LOW_INCLINATION 5.2359877e-2      /* radians: below, the node's terms are left out */
#define LYDDANE 0.2                       /* radians: below, node and perigee are moved as one */

/* How a body stands to the orbit's plane. */
struct orientation {
    double sin_g, cos_g, sin_i, cos_i, sin_h, cos_h;
    double strength;
};

/* The disturbing function's coefficients for one body. */
struct terms {
    double s1, s2, s3, s4, s5, s6, s7;
    double z1, z2, z3, z11, z12, z13, z21, z22, z23, z31, z32, z33;
};

/* The orbit at the epoch, as both bodies see it. */
struct orbit {
    double n, e, e2, beta, sin_i, cos_i, sin_w, cos_w, sin_h, cos_h, i;
};

/* ---- coefficients --------------------------------------------------------------------------- */

/* Direction cosines of the body in the orbit's frame. */
struct cosines {
    double a1, a2, a3, a4, a5, a6;
};

static struct cosines direction(const struct orbit *o, const struct orientation *b)
{
    double a1 = b->cos_g * b->cos_h + b->sin_g * b->cos_i * b->sin_h;
    double a3 = -b->sin_g * b->cos_h + b->cos_g * b->cos_i * b->sin_h;
    double a7 = -b->cos_g * b->sin_h + b->sin_g * b->cos_i * b->cos_h;
    double a8 = b->sin_g * b->sin_i;
    double a9 = b->sin_g * b->sin_h + b->cos_g * b->cos_i * b->cos_h;
    double a10 = b->cos_g * b->sin_i;

    return (struct cosines){ .a1 = a1,
                             .a2 = o->cos_i * a7 + o->sin_i * a8,
                             .a3 = a3,
                             .a4 = o->cos_i * a9 + o->sin_i * a10,
                             .a5 = -o->sin_i * a7 + o->cos_i * a8,
                             .a6 = -o->sin_i * a9 + o->cos_i * a10 };
}

static struct terms terms_of(const struct orbit *o, const struct orientation *b)
{
    struct cosines c = direction(o, b);
    double x1 = c.a1 * o->cos_w + c.a2 * o->sin_w;
    double x2 = c.a3 * o->cos_w + c.a4 * o->sin_w;
    double x3 = -c.a1 * o->sin_w + c.a2 * o->cos_w;
    double x4 = -c.a3 * o->sin_w + c.a4 * o->cos_w;
    double x5 = c.a5 * o->sin_w;
    double x6 = c.a6 * o->sin_w;
    double x7 = c.a5 * o->cos_w;
    double x8 = c.a6 * o->cos_w;
    double e2 = o->e2;
    double beta2 = 1.0 - e2;
    struct terms t;

    t.z31 = 12.0 * x1 * x1 - 3.0 * x3 * x3;
    t.z32 = 24.0 * x1 * x2 - 6.0 * x3 * x4;
    t.z33 = 12.0 * x2 * x2 - 3.0 * x4 * x4;
    t.z1 = 6.0 * (c.a1 * c.a1 + c.a2 * c.a2) + t.z31 * (2.0 * e2 + beta2);
    t.z2 = 12.0 * (c.a1 * c.a3 + c.a2 * c.a4) + t.z32 * (2.0 * e2 + beta2);
    t.z3 = 6.0 * (c.a3 * c.a3 + c.a4 * c.a4) + t.z33 * (2.0 * e2 + beta2);
    t.z11 = -6.0 * c.a1 * c.a5 + e2 * (-24.0 * x1 * x7 - 6.0 * x3 * x5);
    t.z12 = -6.0 * (c.a1 * c.a6 + c.a3 * c.a5) +
            e2 * (-24.0 * (x2 * x7 + x1 * x8) - 6.0 * (x3 * x6 + x4 * x5));
    t.z13 = -6.0 * c.a3 * c.a6 + e2 * (-24.0 * x2 * x8 - 6.0 * x4 * x6);
    t.z21 = 6.0 * c.a2 * c.a5 + e2 * (24.0 * x1 * x5 - 6.0 * x3 * x7);
    t.z22 = 6.0 * (c.a4 * c.a5 + c.a2 * c.a6) +
            e2 * (24.0 * (x2 * x5 + x1 * x6) - 6.0 * (x4 * x7 + x3 * x8));
    t.z23 = 6.0 * c.a4 * c.a6 + e2 * (24.0 * x2 * x6 - 6.0 * x4 * x8);
    t.s3 = b->strength / o->n;
    t.s2 = -0.5 * t.s3 / o->beta;
    t.s4 = t.s3 * o->beta;
    t.s1 = -15.0 * o->e * t.s4;
    t.s5 = x1 * x3 + x2 * x4;
    t.s6 = x2 * x3 + x1 * x4;
    t.s7 = x2 * x4 - x1 * x3;
    return t;
}

static void body_of(const struct terms *t, double e2, double eccentricity, struct sgp4_body *b)
{
    b->eccentricity = eccentricity;
    b->e2 = 2.0 * t->s1 * t->s6;
    b->e3 = 2.0 * t->s1 * t->s7;
    b->i2 = 2.0 * t->s2 * t->z12;
    b->i3 = 2.0 * t->s2 * (t->z13 - t->z11);
    b->l2 = -2.0 * t->s3 * t->z2;
    b->l3 = -2.0 * t->s3 * (t->z3 - t->z1);
    b->l4 = -2.0 * t->s3 * (-21.0 - 9.0 * e2) * eccentricity;
    b->g2 = 2.0 * t->s4 * t->z32;
    b->g3 = 2.0 * t->s4 * (t->z33 - t->z31);
    b->g4 = -18.0 * t->s4 * eccentricity;
    b->h2 = -2.0 * t->s2 * t->z22;
    b->h3 = -2.0 * t->s2 * (t->z23 - t->z21);
}

/* Where the moon's orbit lies on that day (days since 1899-12-31T12:00Z), as the sun's plane. */
static struct orientation moon_at(double day, double sin_h, double cos_h, double *ret_gam)
{
    double node = fmod(4.5236020 - 9.2422029e-4 * day, TWO_PI);
    double sin_n = sin(node);
    double cos_n = cos(node);
    double cos_i = 0.91375164 - 0.03568096 * cos_n;
    double sin_i = sqrt(1.0 - cos_i * cos_i);
    double sin_hl = 0.089683511 * sin_n / sin_i;
    double cos_hl = sqrt(1.0 - sin_hl * sin_hl);
    double gam = 5.8351514 + 0.0019443680 * day;
    double g =
        gam - node + atan2(SUN_SIN_I * sin_n / sin_i, cos_hl * cos_n + SUN_COS_I * sin_hl * sin_n);

    *ret_gam = gam;
    return (struct orientation){ .sin_g = sin(g),
                                 .cos_g = cos(g),
                                 .sin_i = sin_i,
                                 .cos_i = cos_i,
                                 .sin_h = sin_h * cos_hl - cos_h * sin_hl,
                                 .cos_h = cos_hl * cos_h + sin_hl * sin_h,
                                 .strength = MOON_STRENGTH };
}

/* ---- secular rates -------------------------------------------------------------------------- */

struct rates {
    double e, i, l, g, h;
};

static bool is_flat(double i)
{
    return i < LOW_INCLINATION || i > PI - LOW_INCLINATION;
}

static struct rates rates_of(const struct terms *t, const struct orbit *o, double motion)
{
    return (struct rates){ .e = t->s1 * motion * t->s5,
                           .i = t->s2 * motion * (t->z11 + t->z13),
                           .l = -motion * t->s3 * (t->z1 + t->z3 - 14.0 - 6.0 * o->e2),
                           .g = t->s4 * motion * (t->z31 + t->z33 - 6.0),
                           .h = is_flat(o->i) ? 0.0 : -motion * t->s2 * (t->z21 + t->z23) };
}

static void init_rates(const struct orbit *o, const struct terms *sun, const struct terms *moon,
                       struct sgp4_deep *d)
{
    struct rates s = rates_of(sun, o, SUN_MOTION);
    struct rates m = rates_of(moon, o, MOON_MOTION);
    double h = o->sin_i != 0.0 ? (s.h + m.h) / o->sin_i : s.h;

    d->e_dot = s.e + m.e;
    d->i_dot = s.i + m.i;
    d->m_dot = s.l + m.l;
    d->node_dot = h;
    d->argp_dot = s.g + m.g - o->cos_i * h;
}

/* ---- resonances ----------------------------------------------------------------------------- */

/* Polynomials in the eccentricity that hold in one range of it. */
struct eccentric {
    double g201, g211, g310, g322, g410, g422, g520, g521, g532, g533;
};

static double poly(double e, double c0, double c1, double c2, double c3)
{
    return c0 + e * (c1 + e * (c2 + e * c3));
}

static struct eccentric eccentric_of(double e)
{
    struct eccentric g = { .g201 = -0.306 - (e - 0.64) * 0.440 };

    if (e <= 0.65) {
        g.g211 = poly(e, 3.616, -13.2470, 16.2900, 0.0);
        g.g310 = poly(e, -19.302, 117.3900, -228.4190, 156.5910);
        g.g322 = poly(e, -18.9068, 109.7927, -214.6334, 146.5816);
        g.g410 = poly(e, -41.122, 242.6940, -471.0940, 313.9530);
        g.g422 = poly(e, -146.407, 841.8800, -1629.014, 1083.4350);
        g.g520 = poly(e, -532.114, 3017.977, -5740.032, 3708.2760);
    } else {
        g.g211 = poly(e, -72.099, 331.819, -508.738, 266.724);
        g.g310 = poly(e, -346.844, 1582.851, -2415.925, 1246.113);
        g.g322 = poly(e, -342.585, 1554.908, -2366.899, 1215.972);
        g.g410 = poly(e, -1052.797, 4758.686, -7193.992, 3651.957);
        g.g422 = poly(e, -3581.690, 16178.110, -24462.770, 12422.520);
        g.g520 = e > 0.715 ? poly(e, -5149.66, 29936.92, -54087.36, 31324.56)
                           : poly(e, 1464.74, -4664.75, 3763.64, 0.0);
    }
    if (e < 0.7) {
        g.g533 = poly(e, -919.22770, 4988.6100, -9064.7700, 5542.21);
        g.g521 = poly(e, -822.71072, 4568.6173, -8491.4146, 5337.524);
        g.g532 = poly(e, -853.66600, 4690.2500, -8624.7700, 5341.4);
    } else {
        g.g533 = poly(e, -37995.780, 161616.52, -229838.20, 109377.94);
        g.g521 = poly(e, -51752.104, 218913.95, -309468.16, 146349.42);
        g.g532 = poly(e, -40023.880, 170470.89, -242699.48, 115605.82);
    }
    return g;
}

static void init_half_day(const struct orbit *o, double aonv, struct sgp4_deep *d)
{
    struct eccentric g = eccentric_of(o->e);
    double c = o->cos_i, c2 = c * c, s = o->sin_i, s2 = s * s;
    double f220 = 0.75 * (1.0 + 2.0 * c + c2);
    double f221 = 1.5 * s2;
    double f321 = 1.875 * s * (1.0 - 2.0 * c - 3.0 * c2);
    double f322 = -1.875 * s * (1.0 + 2.0 * c - 3.0 * c2);
    double f441 = 35.0 * s2 * f220;
    double f442 = 39.3750 * s2 * s2;
    double f522 =
        9.84375 * s * (s2 * (1.0 - 2.0 * c - 5.0 * c2) + 0.33333333 * (-2.0 + 4.0 * c + 6.0 * c2));
    double f523 = s * (4.92187512 * s2 * (-2.0 - 4.0 * c + 10.0 * c2) +
                       6.56250012 * (1.0 + 2.0 * c - 3.0 * c2));
    double f542 = 29.53125 * s * (2.0 - 8.0 * c + c2 * (-12.0 + 8.0 * c + 10.0 * c2));
    double f543 = 29.53125 * s * (-2.0 - 8.0 * c + c2 * (12.0 + 8.0 * c - 10.0 * c2));
    double power = 3.0 * o->n * o->n * aonv * aonv;

    d->d22[0] = power * 1.7891679e-6 * f220 * g.g201;
    d->d22[1] = power * 1.7891679e-6 * f221 * g.g211;
    power *= aonv;
    d->d32[0] = power * 3.7393792e-7 * f321 * g.g310;
    d->d32[1] = power * 3.7393792e-7 * f322 * g.g322;
    power *= aonv;
    d->d44[0] = 2.0 * power * 7.3636953e-9 * f441 * g.g410;
    d->d44[1] = 2.0 * power * 7.3636953e-9 * f442 * g.g422;
    power *= aonv;
    d->d52[0] = power * 1.1428639e-7 * f522 * g.g520;
    d->d52[1] = power * 1.1428639e-7 * f523 * g.g532;
    d->d54[0] = 2.0 * power * 2.1765803e-9 * f542 * g.g521;
    d->d54[1] = 2.0 * power * 2.1765803e-9 * f543 * g.g533;
}

static void init_day(const struct orbit *o, double aonv, struct sgp4_deep *d)
{
    double g200 = 1.0 + o->e2 * (-2.5 + 0.8125 * o->e2);
    double g310 = 1.0 + 2.0 * o->e2;
    double g300 = 1.0 + o->e2 * (-6.0 + 6.60937 * o->e2);
    double c1 = 1.0 + o->cos_i;
    double f220 = 0.75 * c1 * c1;
    double f311 = 0.9375 * o->sin_i * o->sin_i * (1.0 + 3.0 * o->cos_i) - 0.75 * c1;
    double f330 = 1.875 * c1 * c1 * c1;
    double power = 3.0 * o->n * o->n * aonv * aonv;

    d->d1 = power * f311 * g310 * 2.1460748e-6 * aonv;
    d->d2 = 2.0 * power * f220 * g200 * 1.7891679e-6;
    d->d3 = 3.0 * power * f330 * g300 * 2.2123015e-7 * aonv;
}

static enum sgp4_resonance resonance_of(double n, double e)
{
    if (n > 0.0034906585 && n < 0.0052359877)
        return SGP4_RESONANCE_DAY;
    if (n >= 8.26e-3 && n <= 9.24e-3 && e >= 0.5)
        return SGP4_RESONANCE_HALF;
    return SGP4_RESONANCE_NONE;
}

static void init_resonance(const struct sgp4 *s, const struct orbit *o, double pi_dot,
                           struct sgp4_deep *d)
{
    double theta = s->sidereal;
    double aonv = pow(o->n / sgp4_root_mu(), THIRD2);

    d->resonance = resonance_of(o->n, o->e);
    if (d->resonance == SGP4_RESONANCE_HALF) {
        init_half_day(o, aonv, d);
        d->lambda = fmod(s->m + 2.0 * s->node - 2.0 * theta, TWO_PI);
        d->factor = s->m_dot + d->m_dot + 2.0 * (s->node_dot + d->node_dot - EARTH_TURN) - s->no;
    } else if (d->resonance == SGP4_RESONANCE_DAY) {
        init_day(o, aonv, d);
        d->lambda = fmod(s->m + s->node + s->argp - theta, TWO_PI);
        d->factor = s->m_dot + pi_dot - EARTH_TURN + d->m_dot + d->argp_dot + d->node_dot - s->no;
    }
}

void sgp4_deep_init(struct sgp4 *s, double pi_dot)
{
    const struct orbit o = { .n = s->no,
                             .e = s->e,
                             .e2 = s->e * s->e,
                             .beta = sqrt(1.0 - s->e * s->e),
                             .sin_i = sin(s->i),
                             .cos_i = cos(s->i),
                             .sin_w = sin(s->argp),
                             .cos_w = cos(s->argp),
                             .sin_h = sin(s->node),
                             .cos_h = cos(s->node),
                             .i = s->i };
    const struct orientation sun = { .sin_g = SUN_SIN_G,
                                     .cos_g = SUN_COS_G,
                                     .sin_i = SUN_SIN_I,
                                     .cos_i = SUN_COS_I,
                                     .sin_h = o.sin_h,
                                     .cos_h = o.cos_h,
                                     .strength = SUN_STRENGTH };
    double day = s->epoch_days + 18261.5;
    double gam;
    const struct orientation moon = moon_at(day, o.sin_h, o.cos_h, &gam);
    struct terms of_sun = terms_of(&o, &sun);
    struct terms of_moon = terms_of(&o, &moon);
    struct sgp4_deep *d = &s->deep;

    body_of(&of_sun, o.e2, SUN_ECCENTRICITY, &d->sun);
    body_of(&of_moon, o.e2, MOON_ECCENTRICITY, &d->moon);
    d->sun.motion = SUN_MOTION;
    d->sun.mean = fmod(6.2565837 + 0.017201977 * day, TWO_PI);
    d->moon.motion = MOON_MOTION;
    d->moon.mean = fmod(4.7199672 + 0.22997150 * day - gam, TWO_PI);
    init_rates(&o, &of_sun, &of_moon, d);
    init_resonance(s, &o, pi_dot, d);
}

/* ---- at a time ------------------------------------------------------------------------------ */

/* The state of the integration over a resonance. */
struct resonant {
    double t, n, lambda;
};

struct slope {
    double n, lambda, n2; /* first derivatives, and the second of n */
};

static struct slope slope_day(const struct sgp4_deep *d, const struct resonant *r)
{
    static const double phase[3] = { 0.13130908, 2.8843198, 0.37448087 };
    const double strength[3] = { d->d1, d->d2, d->d3 };
    struct slope k = { .lambda = r->n + d->factor };

    for (int i = 0; i < 3; i++) {
        double angle = (i + 1) * (r->lambda - phase[i]);

        k.n += strength[i] * sin(angle);
        k.n2 += (i + 1) * strength[i] * cos(angle);
    }
    k.n2 *= k.lambda;
    return k;
}

static struct slope slope_half(const struct sgp4 *s, const struct resonant *r)
{
    const struct sgp4_deep *d = &s->deep;
    const double w = s->argp + s->argp_dot * r->t;
    const double l = r->lambda;
    const struct {
        double strength, angle, order;
    } term[] = {
        { d->d22[0], 2.0 * w + l - 5.7686396, 1.0 },   { d->d22[1], l - 5.7686396, 1.0 },
        { d->d32[0], w + l - 0.95240898, 1.0 },        { d->d32[1], -w + l - 0.95240898, 1.0 },
        { d->d44[0], 2.0 * (w + l) - 1.8014998, 2.0 }, { d->d44[1], 2.0 * l - 1.8014998, 2.0 },
        { d->d52[0], w + l - 1.0508330, 1.0 },         { d->d52[1], -w + l - 1.0508330, 1.0 },
        { d->d54[0], w + 2.0 * l - 4.4108898, 2.0 },   { d->d54[1], -w + 2.0 * l - 4.4108898, 2.0 },
    };
    struct slope k = { .lambda = r->n + d->factor };

    for (size_t i = 0; i < sizeof term / sizeof term[0]; i++) {
        k.n += term[i].strength * sin(term[i].angle);
        k.n2 += term[i].order * term[i].strength * cos(term[i].angle);
    }
    k.n2 *= k.lambda;
    return k;
}

static struct slope slope_at(const struct sgp4 *s, const struct resonant *r)
{
    return s->deep.resonance == SGP4_RESONANCE_HALF ? slope_half(s, r) : slope_day(&s->deep, r);
}

/* Whole steps from the epoch, then the rest: the same for every order of questions. */
static void integrate(const struct sgp4 *s, double minutes, struct resonant *r)
{
    double step = minutes < 0.0 ? -STEP_MIN : STEP_MIN;

    *r = (struct resonant){ .t = 0.0, .n = s->no, .lambda = s->deep.lambda };
    while (fabs(minutes - r->t) >= STEP_MIN) {
        struct slope k = slope_at(s, r);

        r->lambda += k.lambda * step + k.n * step * step * 0.5;
        r->n += k.n * step + k.n2 * step * step * 0.5;
        r->t += step;
    }
    struct slope k = slope_at(s, r);
    double rest = minutes - r->t;
    r->lambda += k.lambda * rest + k.n * rest * rest * 0.5;
    r->n += k.n * rest + k.n2 * rest * rest * 0.5;
}

void sgp4_deep_secular(const struct sgp4 *s, double minutes, struct sgp4_mean *mean)
{
    const struct sgp4_deep *d = &s->deep;
    struct resonant r;

    mean->e += d->e_dot * minutes;
    mean->i += d->i_dot * minutes;
    mean->argp += d->argp_dot * minutes;
    mean->node += d->node_dot * minutes;
    mean->m += d->m_dot * minutes;
    if (d->resonance == SGP4_RESONANCE_NONE)
        return;

    double theta = fmod(s->sidereal + minutes * EARTH_TURN, TWO_PI);
    integrate(s, minutes, &r);
    mean->n = r.n;
    mean->m = d->resonance == SGP4_RESONANCE_HALF ? r.lambda - 2.0 * mean->node + 2.0 * theta
                                                  : r.lambda - mean->node - mean->argp + theta;
}

/* What one body adds at a time. */
static void add_body(const struct sgp4_body *b, double minutes, struct rates *sum)
{
    double mean = b->mean + b->motion * minutes;
    double f = mean + 2.0 * b->eccentricity * sin(mean);
    double sin_f = sin(f);
    double f2 = 0.5 * sin_f * sin_f - 0.25;
    double f3 = -0.5 * sin_f * cos(f);

    sum->e += b->e2 * f2 + b->e3 * f3;
    sum->i += b->i2 * f2 + b->i3 * f3;
    sum->l += b->l2 * f2 + b->l3 * f3 + b->l4 * sin_f;
    sum->g += b->g2 * f2 + b->g3 * f3 + b->g4 * sin_f;
    sum->h += b->h2 * f2 + b->h3 * f3;
}

/* Lyddane's way for low inclinations, where node and perigee alone are ill defined. */
static void move_as_one(const struct rates *p, double sin_i, double cos_i, struct sgp4_mean *m)
{
    double sin_n = sin(m->node);
    double cos_n = cos(m->node);
    double alpha = sin_i * sin_n + p->h * cos_n + p->i * cos_i * sin_n;
    double beta = sin_i * cos_n - p->h * sin_n + p->i * cos_i * cos_n;
    double node = fmod(m->node, TWO_PI);
    double sum = m->m + m->argp + cos_i * node + p->l + p->g - p->i * node * sin_i;
    double old = node;
    node = atan2(alpha, beta);
    if (fabs(old - node) > PI)
        node += node < old ? TWO_PI : -TWO_PI;
    m->node = node;
    m->m += p->l;
    m->argp = sum - m->m - cos_i * node;
}

void sgp4_deep_periodic(const struct sgp4 *s, double minutes, struct sgp4_mean *m)
{
    struct rates p = { 0 };

    add_body(&s->deep.sun, minutes, &p);
    add_body(&s->deep.moon, minutes, &p);
    m->i += p.i;
    m->e += p.e;
    double sin_i = sin(m->i);
    double cos_i = cos(m->i);
    if (m->i < LYDDANE) {
        move_as_one(&p, sin_i, cos_i, m);
        return;
    }
    m->argp += p.g - cos_i * p.h / sin_i;
    m->node += p.h / sin_i;
    m->m += p.l;
}
