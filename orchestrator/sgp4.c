/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sgp4.h"

#include <math.h>

/* The earth of the World Geodetic System 1972, for which elements are made. */
#define EARTH_KM 6378.135
#define EARTH_MU 398600.8 /* km^3 / s^2 */
#define J2 0.001082616
#define J3 (-0.00000253881)
#define J4 (-0.00000165597)
#define J3_J2 (J3 / J2)

#define PI TLE_PI
#define TWO_PI (2.0 * PI)
#define THIRD2 (2.0 / 3.0)
#define DEEP_PERIOD 225.0 /* minutes */
#define DAYS_TO_JULIAN 2433281.5
#define TINY 1.5e-12 /* for an inclination of 180 degrees */

double sgp4_root_mu(void)
{
    return 60.0 / sqrt(EARTH_KM * EARTH_KM * EARTH_KM / EARTH_MU);
}

static double cube(double x)
{
    return x * x * x;
}

static double fourth(double x)
{
    return x * x * x * x;
}

double sgp4_sidereal(double days)
{
    double t = (days + DAYS_TO_JULIAN - 2451545.0) / 36525.0;
    double seconds = -6.2e-6 * cube(t) + 0.093104 * t * t +
                     (876600.0 * 3600.0 + 8640184.812866) * t + 67310.54841;
    double angle = fmod(seconds * PI / 180.0 / 240.0, TWO_PI);

    return angle < 0 ? angle + TWO_PI : angle;
}

/* ---- init ----------------------------------------------------------------------------------- */

/* What initialising needs in more than one place. */
struct start {
    double a; /* semi-major axis */
    double cos_i, sin_i, cos_i2, cos_i4;
    double beta2, beta; /* 1 - e^2 and its root */
    double con41, con42, x1mth2;
    double p2_inv; /* 1 / semi-latus rectum squared */
    double tsi, eta2, e_eta, psi2, coef, coef1, s4, cc2, cc3;
    double node_dot1;
    double pi_dot;
};

/* Mean motion without the secular term that Kozai's has in it. */
static void remove_kozai(struct sgp4 *s, double kozai, struct start *w)
{
    double a = pow(sgp4_root_mu() / kozai, THIRD2);
    double d = 0.75 * J2 * (3.0 * w->cos_i2 - 1.0) / (w->beta * w->beta2);
    double del = d / (a * a);
    double adel = a * (1.0 - del * del - del * (1.0 / 3.0 + 134.0 * del * del / 81.0));

    s->no = kozai / (1.0 + d / (adel * adel));
    w->a = pow(sgp4_root_mu() / s->no, THIRD2);
}

/* The density function's parameters: lower for a low perigee. */
static void atmosphere(double perigee_km, double *ret_s4, double *ret_q4)
{
    double s4 = 78.0;

    if (perigee_km < 156.0)
        s4 = perigee_km < 98.0 ? 20.0 : perigee_km - 78.0;
    *ret_q4 = fourth((120.0 - s4) / EARTH_KM);
    *ret_s4 = s4 / EARTH_KM + 1.0;
}

static void init_geometry(struct sgp4 *s, double kozai, struct start *w)
{
    w->cos_i = cos(s->i);
    w->sin_i = sin(s->i);
    w->cos_i2 = w->cos_i * w->cos_i;
    w->cos_i4 = w->cos_i2 * w->cos_i2;
    w->beta2 = 1.0 - s->e * s->e;
    w->beta = sqrt(w->beta2);
    w->con42 = 1.0 - 5.0 * w->cos_i2;
    w->con41 = 3.0 * w->cos_i2 - 1.0;
    w->x1mth2 = 1.0 - w->cos_i2;
    remove_kozai(s, kozai, w);
    double p = w->a * w->beta2;
    w->p2_inv = 1.0 / (p * p);
}

static void init_drag(struct sgp4 *s, struct start *w)
{
    double q4;
    double perigee = w->a * (1.0 - s->e);

    s->simple = perigee < 220.0 / EARTH_KM + 1.0;
    atmosphere((perigee - 1.0) * EARTH_KM, &w->s4, &q4);
    w->tsi = 1.0 / (w->a - w->s4);
    s->eta = w->a * s->e * w->tsi;
    w->eta2 = s->eta * s->eta;
    w->e_eta = s->e * s->eta;
    w->psi2 = fabs(1.0 - w->eta2);
    w->coef = q4 * fourth(w->tsi);
    w->coef1 = w->coef / pow(w->psi2, 3.5);

    w->cc2 = w->coef1 * s->no *
             (w->a * (1.0 + 1.5 * w->eta2 + w->e_eta * (4.0 + w->eta2)) +
              0.375 * J2 * w->tsi / w->psi2 * w->con41 * (8.0 + 3.0 * w->eta2 * (8.0 + w->eta2)));
    s->cc1 = s->bstar * w->cc2;
    w->cc3 = s->e > 1.0e-4 ? -2.0 * w->coef * w->tsi * J3_J2 * s->no * w->sin_i / s->e : 0.0;

    double flat =
        -3.0 * w->con41 * (1.0 - 2.0 * w->e_eta + w->eta2 * (1.5 - 0.5 * w->e_eta)) +
        0.75 * w->x1mth2 * (2.0 * w->eta2 - w->e_eta * (1.0 + w->eta2)) * cos(2.0 * s->argp);
    s->cc4 = 2.0 * s->no * w->coef1 * w->a * w->beta2 *
             (s->eta * (2.0 + 0.5 * w->eta2) + s->e * (0.5 + 2.0 * w->eta2) -
              J2 * w->tsi / (w->a * w->psi2) * flat);
    s->cc5 =
        2.0 * w->coef1 * w->a * w->beta2 * (1.0 + 2.75 * (w->eta2 + w->e_eta) + w->e_eta * w->eta2);
}

static void init_rates(struct sgp4 *s, struct start *w)
{
    double t1 = 1.5 * J2 * w->p2_inv * s->no;
    double t2 = 0.5 * t1 * J2 * w->p2_inv;
    double t3 = -0.46875 * J4 * w->p2_inv * w->p2_inv * s->no;

    s->m_dot = s->no + 0.5 * t1 * w->beta * w->con41 +
               0.0625 * t2 * w->beta * (13.0 - 78.0 * w->cos_i2 + 137.0 * w->cos_i4);
    s->argp_dot = -0.5 * t1 * w->con42 +
                  0.0625 * t2 * (7.0 - 114.0 * w->cos_i2 + 395.0 * w->cos_i4) +
                  t3 * (3.0 - 36.0 * w->cos_i2 + 49.0 * w->cos_i4);
    w->node_dot1 = -t1 * w->cos_i;
    s->node_dot =
        w->node_dot1 +
        (0.5 * t2 * (4.0 - 19.0 * w->cos_i2) + 2.0 * t3 * (3.0 - 7.0 * w->cos_i2)) * w->cos_i;
    w->pi_dot = s->argp_dot + s->node_dot;
}

/* Terms by the third harmonic, for an inclination of this sine and cosine. */
static double xlcof_of(double sin_i, double cos_i)
{
    double below = fabs(cos_i + 1.0) > TINY ? 1.0 + cos_i : TINY;

    return -0.25 * J3_J2 * sin_i * (3.0 + 5.0 * cos_i) / below;
}

static double aycof_of(double sin_i)
{
    return -0.5 * J3_J2 * sin_i;
}

static void init_time_terms(struct sgp4 *s, const struct start *w)
{
    s->omgcof = s->bstar * w->cc3 * cos(s->argp);
    s->xmcof = s->e > 1.0e-4 ? -THIRD2 * w->coef * s->bstar / w->e_eta : 0.0;
    s->nodecf = 3.5 * w->beta2 * w->node_dot1 * s->cc1;
    s->t2cof = 1.5 * s->cc1;
    s->xlcof = xlcof_of(w->sin_i, w->cos_i);
    s->aycof = aycof_of(w->sin_i);
    s->delta_mo = cube(1.0 + s->eta * cos(s->m));
    s->sin_mo = sin(s->m);
}

static void init_full_drag(struct sgp4 *s, const struct start *w)
{
    double cc1_2 = s->cc1 * s->cc1;

    s->d2 = 4.0 * w->a * w->tsi * cc1_2;
    double temp = s->d2 * w->tsi * s->cc1 / 3.0;
    s->d3 = (17.0 * w->a + w->s4) * temp;
    s->d4 = 0.5 * temp * w->a * w->tsi * (221.0 * w->a + 31.0 * w->s4) * s->cc1;
    s->t3cof = s->d2 + 2.0 * cc1_2;
    s->t4cof = 0.25 * (3.0 * s->d3 + s->cc1 * (12.0 * s->d2 + 10.0 * cc1_2));
    s->t5cof = 0.2 * (3.0 * s->d4 + 12.0 * s->cc1 * s->d3 + 6.0 * s->d2 * s->d2 +
                      15.0 * cc1_2 * (2.0 * s->d2 + cc1_2));
}

enum rc sgp4_init(const struct tle *tle, struct sgp4 *ret, struct err *err)
{
    struct start w = { 0 };
    struct sgp4 s = { .epoch_days = tle->epoch_days,
                      .e = tle->eccentricity,
                      .i = tle->inclination,
                      .node = tle->node,
                      .argp = tle->perigee,
                      .m = tle->anomaly,
                      .bstar = tle->bstar };

    if (!(s.e >= 0 && s.e < 1) || !(tle->mean_motion > 0))
        return err_set(err, RC_ORBIT, "eccentricity %.7f, mean motion %g", s.e, tle->mean_motion);
    s.sidereal = sgp4_sidereal(s.epoch_days);
    init_geometry(&s, tle->mean_motion, &w);
    init_drag(&s, &w);
    init_rates(&s, &w);
    init_time_terms(&s, &w);
    if (TWO_PI / s.no >= DEEP_PERIOD) {
        s.is_deep = true;
        s.simple = true;
        sgp4_deep_init(&s, w.pi_dot);
    }
    if (!s.simple)
        init_full_drag(&s, &w);
    *ret = s;
    return RC_OK;
}

/* ---- at a time ------------------------------------------------------------------------------ */

/* Factors of the semi-major axis, eccentricity and longitude that the drag has changed. */
struct drag {
    double a, e, l;
};

static struct drag apply_drag(const struct sgp4 *s, double t, struct sgp4_mean *mean)
{
    double t2 = t * t;
    struct drag d = { 1.0 - s->cc1 * t, s->bstar * s->cc4 * t, s->t2cof * t2 };

    mean->node += s->nodecf * t2;
    if (s->simple)
        return d;

    double t3 = t2 * t;
    double t4 = t3 * t;
    double shift = s->omgcof * t + s->xmcof * (cube(1.0 + s->eta * cos(mean->m)) - s->delta_mo);
    mean->m += shift;
    mean->argp -= shift;
    d.a -= s->d2 * t2 + s->d3 * t3 + s->d4 * t4;
    d.e += s->bstar * s->cc5 * (sin(mean->m) - s->sin_mo);
    d.l += s->t3cof * t3 + t4 * (s->t4cof + t * s->t5cof);
    return d;
}

static enum rc gone(double t, const char *why, struct err *err)
{
    return err_set(err, RC_ORBIT, "%.0f minutes from the epoch: %s", t, why);
}

/* Mean elements at a time, and the semi-major axis. */
static enum rc secular(const struct sgp4 *s, double t, struct sgp4_mean *ret, double *ret_a,
                       struct err *err)
{
    struct sgp4_mean m = { .n = s->no,
                           .e = s->e,
                           .i = s->i,
                           .node = s->node + s->node_dot * t,
                           .argp = s->argp + s->argp_dot * t,
                           .m = s->m + s->m_dot * t };
    struct drag d = apply_drag(s, t, &m);

    if (s->deep.resonance != SGP4_RESONANCE_NONE && !(fabs(t) <= SGP4_RESONANT_MINUTES_MAX))
        return gone(t, "too far for an orbit in resonance", err);
    if (s->is_deep)
        sgp4_deep_secular(s, t, &m);
    if (m.n <= 0.0)
        return gone(t, "mean motion is not positive", err);

    double a = pow(sgp4_root_mu() / m.n, THIRD2) * d.a * d.a;
    m.n = sgp4_root_mu() / pow(a, 1.5);
    m.e -= d.e;
    if (m.e >= 1.0 || m.e < -0.001 || !(a > 0))
        return gone(t, "eccentricity is out of range", err);
    if (m.e < 1.0e-6)
        m.e = 1.0e-6;
    m.m += s->no * d.l;
    double longitude = m.m + m.argp + m.node;
    m.node = fmod(m.node, TWO_PI);
    m.argp = fmod(m.argp, TWO_PI);
    m.m = fmod(fmod(longitude, TWO_PI) - m.argp - m.node, TWO_PI);
    *ret = m;
    *ret_a = a;
    return RC_OK;
}

/* Elements with the long-period terms; angles of the inclination that go with them. */
struct state {
    double a, n;
    double axn, ayn; /* eccentricity vector */
    double u;        /* mean longitude from the node */
    double node, i, sin_i, cos_i;
};

static enum rc long_period(const struct sgp4 *s, double t, struct sgp4_mean m, double a,
                           struct state *ret, struct err *err)
{
    double xlcof = s->xlcof;
    double aycof = s->aycof;

    if (s->is_deep) {
        sgp4_deep_periodic(s, t, &m);
        if (m.i < 0.0) {
            m.i = -m.i;
            m.node += PI;
            m.argp -= PI;
        }
        if (m.e < 0.0 || m.e > 1.0)
            return gone(t, "eccentricity is out of range", err);
    }

    struct state st = { .a = a, .n = m.n, .node = m.node, .i = m.i };
    st.sin_i = sin(m.i);
    st.cos_i = cos(m.i);
    if (s->is_deep) {
        xlcof = xlcof_of(st.sin_i, st.cos_i);
        aycof = aycof_of(st.sin_i);
    }
    double below = 1.0 / (a * (1.0 - m.e * m.e));
    st.axn = m.e * cos(m.argp);
    st.ayn = m.e * sin(m.argp) + below * aycof;
    st.u = fmod(m.m + m.argp + below * xlcof * st.axn, TWO_PI);
    *ret = st;
    return RC_OK;
}

/* Kepler's equation, by Newton's method; the step is bounded for eccentricities near one. */
static double kepler(const struct state *st)
{
    double e = st->u;

    for (int i = 0; i < 10; i++) {
        double sin_e = sin(e);
        double cos_e = cos(e);
        double step = (st->u - st->ayn * cos_e + st->axn * sin_e - e) /
                      (1.0 - cos_e * st->axn - sin_e * st->ayn);

        if (fabs(step) >= 0.95)
            step = step > 0.0 ? 0.95 : -0.95;
        e += step;
        if (fabs(step) < 1.0e-12)
            break;
    }
    return e;
}

/* In the orbit's plane: radius, its rate, the rate across, and the argument of latitude. */
struct plane {
    double r, r_dot, rv_dot, u, sin_2u, cos_2u, p, beta;
};

static bool solve_plane(const struct state *st, struct plane *ret)
{
    double e = kepler(st);
    double sin_e = sin(e);
    double cos_e = cos(e);
    double e_cos = st->axn * cos_e + st->ayn * sin_e;
    double e_sin = st->axn * sin_e - st->ayn * cos_e;
    double e2 = st->axn * st->axn + st->ayn * st->ayn;
    double p = st->a * (1.0 - e2);

    if (p < 0.0)
        return false;
    double r = st->a * (1.0 - e_cos);
    double beta = sqrt(1.0 - e2);
    double temp = e_sin / (1.0 + beta);
    double sin_u = st->a / r * (sin_e - st->ayn - st->axn * temp);
    double cos_u = st->a / r * (cos_e - st->axn + st->ayn * temp);

    *ret = (struct plane){ .r = r,
                           .r_dot = sqrt(st->a) * e_sin / r,
                           .rv_dot = sqrt(p) / r,
                           .u = atan2(sin_u, cos_u),
                           .sin_2u = 2.0 * cos_u * sin_u,
                           .cos_2u = 1.0 - 2.0 * sin_u * sin_u,
                           .p = p,
                           .beta = beta };
    return true;
}

/* Out of the plane, into space. */
static void turn(double u, double node, double i, double r, double r_dot, double rv_dot,
                 struct vec3 *position, struct vec3 *velocity)
{
    double sin_u = sin(u), cos_u = cos(u);
    double sin_n = sin(node), cos_n = cos(node);
    double sin_i = sin(i), cos_i = cos(i);
    double mx = -sin_n * cos_i, my = cos_n * cos_i;
    struct vec3 along = { mx * sin_u + cos_n * cos_u, my * sin_u + sin_n * cos_u, sin_i * sin_u };
    struct vec3 across = { mx * cos_u - cos_n * sin_u, my * cos_u - sin_n * sin_u, sin_i * cos_u };
    double speed = EARTH_KM * sgp4_root_mu() / 60.0;

    *position =
        (struct vec3){ r * EARTH_KM * along.x, r * EARTH_KM * along.y, r * EARTH_KM * along.z };
    if (velocity)
        *velocity = (struct vec3){ speed * (r_dot * along.x + rv_dot * across.x),
                                   speed * (r_dot * along.y + rv_dot * across.y),
                                   speed * (r_dot * along.z + rv_dot * across.z) };
}

/* Short-period terms, then the position.  False: below the ground. */
static bool short_period(const struct state *st, struct plane pl, struct vec3 *position,
                         struct vec3 *velocity)
{
    double t1 = 0.5 * J2 / pl.p;
    double t2 = t1 / pl.p;
    double cos2 = st->cos_i * st->cos_i;
    double con41 = 3.0 * cos2 - 1.0;
    double x1mth2 = 1.0 - cos2;
    double r = pl.r * (1.0 - 1.5 * t2 * pl.beta * con41) + 0.5 * t1 * x1mth2 * pl.cos_2u;
    double u = pl.u - 0.25 * t2 * (7.0 * cos2 - 1.0) * pl.sin_2u;
    double node = st->node + 1.5 * t2 * st->cos_i * pl.sin_2u;
    double i = st->i + 1.5 * t2 * st->cos_i * st->sin_i * pl.cos_2u;
    double r_dot = pl.r_dot - st->n * t1 * x1mth2 * pl.sin_2u / sgp4_root_mu();
    double rv_dot = pl.rv_dot + st->n * t1 * (x1mth2 * pl.cos_2u + 1.5 * con41) / sgp4_root_mu();

    turn(u, node, i, r, r_dot, rv_dot, position, velocity);
    return r >= 1.0;
}

enum rc sgp4_at(const struct sgp4 *s, double minutes, struct vec3 *ret_position,
                struct vec3 *ret_velocity, struct err *err)
{
    struct sgp4_mean mean;
    struct state st = { 0 };
    struct plane plane;
    struct vec3 position, velocity;
    double a = 0;
    enum rc rc = secular(s, minutes, &mean, &a, err);

    if (rc == RC_OK)
        rc = long_period(s, minutes, mean, a, &st, err);
    if (rc != RC_OK)
        return rc;
    if (!solve_plane(&st, &plane))
        return gone(minutes, "semi-latus rectum is negative", err);
    if (!short_period(&st, plane, &position, ret_velocity ? &velocity : NULL))
        return gone(minutes, "it has come down", err);
    *ret_position = position;
    if (ret_velocity)
        *ret_velocity = velocity;
    return RC_OK;
}
