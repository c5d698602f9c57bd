// exp, log, tanh and their like on vectors of doubles; floats are computed in double and rounded once.
//
// Source  fdlibm (Sun Microsystems, 1993) for the reductions and the polynomial of log; Taylor's series of exp; the
//         polynomials of erf and Φ are Chebyshev interpolants (erf: relative error 2e-14 below 1, 1e-8 of erfc above, floats
//         only; Φ: H of degree 26 to 2e-18, of degree 11 for floats to 1e-9; G of degree 9 to 5e-18).
#pragma once

#include <cmath>

#include "vector.hpp"

namespace backproof::BP_ISA {

constexpr double to_int = 0x1.8p52;                  // adding it leaves a whole number in the low bits
constexpr double log2e = 0x1.71547652b82fep0;
constexpr double ln2_high = 0x1.62e42fee00000p-1;    // 33 bits: n times it is exact
constexpr double ln2_low = 0x1.a39ef35793c76p-33;

inline D clamp(D x, double low, double high) {       // NaN stays
    x = x < low ? splat(low) : x;
    return x > high ? splat(high) : x;
}

inline D magnitude(D x) { return real(bits(x) & INT64_MAX); }
inline D with_sign(D x, D sign) { return real((bits(x) & INT64_MAX) | (bits(sign) & INT64_MIN)); }
inline D power_of_two(D n) { return real(bits(n + (to_int + 1023)) << 52); }      // whole n in -1022 … 1023

// x = n ln 2 + r, |r| <= ln 2 / 2; e^r - 1 = r + tail
template <bool exact>
inline D reduced(D x, D& n, D& tail) {
    n = fma(x, log2e, splat(to_int)) - to_int;
    const D high = fma(n, -ln2_high, x);
    const D r = fma(n, -ln2_low, high);
    D q;
    if constexpr (exact) {
        q = fma(r, splat(1.0 / 6227020800), 1.0 / 479001600);
        q = fma(q, r, 1.0 / 39916800);
        q = fma(q, r, 1.0 / 3628800);
        q = fma(q, r, 1.0 / 362880);
        q = fma(q, r, 1.0 / 40320);
        q = fma(q, r, 1.0 / 5040);
    } else {
        q = fma(r, splat(1.0 / 40320), 1.0 / 5040);
    }
    q = fma(q, r, 1.0 / 720);
    q = fma(q, r, 1.0 / 120);
    q = fma(q, r, 1.0 / 24);
    q = fma(q, r, 1.0 / 6);
    q = fma(q, r, 0.5);
    tail = q * r * r;
    if constexpr (exact) tail = tail + fma(n, -ln2_low, high - r);                   // with what r lost in its rounding
    return r;
}

// whole + r + tail, and in low what that sum lost; |whole| >= |r|, or whole = 0
inline D gathered(D whole, D r, D tail, D& low) {
    const D s = whole + r, rest = (r - (s - whole)) + tail, y = s + rest;
    low = (s - y) + rest;
    return y;
}

// e^x to half a unit, and in low what is missing
inline D exponential(D x, D& low) {
    D n, tail;
    const D r = reduced<true>(clamp(x, -746, 710), n, tail);
    const D half = fma(n, 0.5, splat(to_int)) - to_int, one = power_of_two(half), two = power_of_two(n - half);
    const D y = gathered(splat(1.0), r, tail, low);
    low = low * one * two;
    return y * one * two;                                                // a subnormal is rounded once
}

template <bool exact>
inline D exp_(D x) {
    D n, tail, y;
    if constexpr (exact) {
        y = exponential(x, tail);
    } else {
        const D r = reduced<false>(clamp(x, -110, 90), n, tail);         // beyond the floats, within the doubles
        y = fma(r + tail, power_of_two(n), power_of_two(n));
    }
    return x != x ? x : y;
}

template <bool exact>
inline D expm1_(D x, D& low) {
    D n, tail;
    const D r = reduced<exact>(clamp(x, -40, exact ? 710 : 90), n, tail);
    const D half = fma(n, 0.5, splat(to_int)) - to_int, one = power_of_two(half), two = power_of_two(n - half);
    const D whole = 1 - power_of_two(-(n > 100 ? splat(100.0) : n));
    D y = gathered(whole, r, tail, low) * one * two;
    low = low * one * two;
    y = x == 0 ? x : y;                                                  // keeps -0
    return x != x ? x : y;
}

template <bool exact>
inline D expm1_(D x) {
    D low;
    return expm1_<exact>(x, low);
}

inline D log_(D x) {
    const D tiny = x < 0x1p-1022 ? splat(0x1p54) : splat(1.0);
    const I i = bits(x * tiny);
    const I k = (i - 0x3fe6a09e667f3bcd) & ~0xfffffffffffffll;           // exponent in place, so that m lies in [√½, √2)
    const D m = real(i - k);
    const D n = real((I)((U)(k + (2048ll << 52)) >> 52) + bits(splat(to_int))) - (to_int + 2048) - (tiny > 1 ? splat(54.0) : D{});
    const D f = m - 1, s = f / (2 + f), z = s * s;
    D r = fma(z, splat(1.479819860511658591e-01), 1.531383769920937332e-01);
    r = fma(r, z, 1.818357216161805012e-01);
    r = fma(r, z, 2.222219843214978396e-01);
    r = fma(r, z, 2.857142874366239149e-01);
    r = fma(r, z, 3.999999999940941908e-01);
    r = fma(r, z, 6.666666666666735130e-01) * z;
    const D h = 0.5 * f * f;
    D y = fma(n, ln2_high, f - (h - fma(s, h + r, n * ln2_low)));
    y = x == 0 ? splat(-__builtin_inf()) : y;
    y = x < 0 ? splat(__builtin_nan("")) : y;
    y = x == __builtin_inf() ? x : y;
    return x != x ? x : y;
}

// a / b for b in [1, 2]; where a float is wanted, the reciprocal's estimate and two steps of Newton's give 52 bits (one gives 28:
// accurate, but then sigmoid and tanh fall here and there by a rounding)
template <bool exact>
inline D quotient(D a, D b) {
#if BP_VEC == 64
    if constexpr (!exact) {
        D r = (D)_mm512_rcp14_pd((__m512d)b);
        r = fma(r, fma(-r, b, splat(1.0)), r);
        const D q = a * r;
        return fma(fma(-q, b, a), r, q);
    }
#endif
    return a / b;
}

// In the exact forms e has a low part, u = 1 + e loses another, and v = 1 / u is corrected by what it leaves of 1.
template <bool exact>
inline D sigmoid_(D x) {
    if constexpr (!exact) {
        const D e = exp_<false>(-magnitude(x));
        return quotient<false>(x < 0 ? e : splat(1.0), 1 + e);
    } else {
        D low;
        const D e = exponential(-magnitude(x), low), u = 1 + e, v = 1 / u;
        const D lost = v * (residual(v, u, splat(1.0)) - v * ((e - (u - 1)) + low));
        const D y = x < 0 ? fma(e, v, fma(e, lost, low * v)) : v + lost;
        return x != x ? x : y;
    }
}

template <bool exact>
inline D tanh_(D x) {
    D low;
    const D a = magnitude(x), e = expm1_<exact>(-2 * a, low);
    const D u = 2 + e, top = a < 1 ? -e : 2 * (e + 1);                   // 1 - q where -e / u would lose too much
    D q = quotient<exact>(top, u);
    if constexpr (exact) {
        const D top_low = a < 1 ? -low : 2 * low;
        q = fma(residual(q, u, top) + (top_low - q * ((e - (u - 2)) + low)), fma(u, splat(-0.5), 1.457), q);    // times about 1/u
    }
    const D y = with_sign(a < 1 ? q : 1 - q, x);
    return x != x ? x : y;
}

template <bool exact>
inline D softplus_(D x) {
    D low{};
    const D e = exact ? exponential(-magnitude(x), low) : exp_<false>(-magnitude(x)), u = 1 + e;
    const D y = (x > 0 ? x : D{}) + (log_(u) + ((e - (u - 1)) + low) / u);       // the last term is what u lost of e
    return x != x ? x : y;
}

// Φ(x) = ½ erfc(-x/√2): below 0 it is e^(-a²/2) H(t) / (4 + a) with a = |x|, t = (a - 4) / (a + 4); above 0 what is missing from 1
inline D normal_cdf_float(D x) {
    const D a = clamp(magnitude(x), 0, 40), w = 1 / (a + 4), t = (a - 4) * w;
    D h = fma(t, splat(2.1979043414611652e-05), -1.7259922922894363e-06);
    for (double c : {-0.00021777106565111796, 0.00013364042623394883, 0.001624247637261679, -0.003479943025800335,
                     -0.007538688779951782, 0.06039664399817553, -0.18652198492773026, 0.38713739441911355, -0.6078966402127833,
                     0.7552851305046339})
        h = fma(h, t, c);
    const D below = exp_<false>(-0.5 * a * a) * (h * w);
    return x != x ? x : x < 0 ? below : 1 - below;
}

// The same with what every step on the way loses. Where a < 1, t is too coarse: there it is ½ - a (1/√2π + a² G(a²)).
inline D normal_cdf_double(D x) {
    const D a = clamp(magnitude(x), 0, 40), s = a + 4, w = 1 / s, d = a - 4, t = d * w;
    const D w_low = w * (residual(w, s, splat(1.0)) - w * (a - (s - 4)));
    const D t_low = fma(d, w_low, (a - (d + 4)) * w) - residual(d, w, t);
    D g = fma(t, splat(-4.444808838348113e-11), 1.1696851644641703e-10);
    for (double c : {6.291889370815217e-10, -8.510253724351385e-10, -4.560937320740995e-09, 1.4230016301383401e-09,
                     2.2817119576285993e-08, 1.4646648663838469e-08, -8.836613059937644e-08, -1.5651860024307355e-07,
                     2.735552664703187e-07, 1.0225714779232269e-06, -6.303827069670764e-07, -5.920591624780648e-06,
                     7.168454767181406e-07, 3.5144796371354286e-05, -1.9082891221000546e-06, -0.00023109495356125277,
                     0.0001333443156986726, 0.001630818459434828, -0.003479692367597772, -0.007540188966828065,
                     0.06039657489094285, -0.18652185795965473, 0.3871374007422145})
        g = fma(g, t, c);
    D e_low, h_low, slope_low, near_low;
    const D steep = t * g, slope = gathered(splat(-0.6078966419718921), steep, -4.3247695740882776e-17 - residual(t, g, steep), slope_low);
    const D fall = t * slope;
    const D h = gathered(splat(0.7552851304157515), fall,
                         fma(t, slope_low, t_low * (slope + steep)) - 2.2175033409973908e-17 - residual(t, slope, fall), h_low);
    const D q = h * w, q_low = fma(h, w_low, h_low * w) - residual(h, w, q);
    const D square = a * a, square_low = -residual(a, a, square), e = exponential(-0.5 * square, e_low);
    const D far = fma(e, q, fma(e, fma(-0.5 * square_low, q, q_low), e_low * q));
    D n = fma(square, splat(4.159943870100479e-12), -1.1106081839615823e-10);
    for (double c : {2.271275942791936e-09, -4.122508861802809e-08, 6.659686586592936e-07, -9.444656074707297e-06,
                     0.00011543468758780861, -0.0011873282154782438, 0.00997355701003575, -0.06649038006690544})
        n = fma(n, square, c);
    const D root = splat(0.3989422804014327), most = a * root;
    const D near = gathered(splat(0.5), -most, residual(a, root, most) - a * fma(n, square, -2.49232720227773e-17), near_low);
    const D below = a < 1 ? near : far;
    return x != x ? x : x < 0 ? below : 1 - below;
}

inline D erf_float(D x) {
    const D a = clamp(magnitude(x), 0, 4), z = a * a, t = fma(a, 1 / 1.5, splat(-2.5 / 1.5));
    D p = fma(z, splat(-1.0473224321250802e-07), 1.5308229802025598e-06);
    for (double c : {-1.4795379938161227e-05, 0.00012046296473568066, -0.0008547935802504468, 0.005223967264467405,
                     -0.02686616906419711, 0.1128379165867819, -0.37612638902813267, 1.128379167095495})
        p = fma(p, z, c);
    D q = fma(t, splat(1.3819088959141095e-05), -3.692872352827474e-05);
    for (double c : {5.494724835938029e-05, -0.00014394859800765584, 0.00041450809766274785, -0.0010171177741927775,
                     0.0024017016955731885, -0.005567332909579289, 0.012489703671439811, -0.027005725289729457,
                     0.05611047258428857, -0.11152100469538266, 0.21080636427594113})
        q = fma(q, t, c);
    const D y = a < 1 ? a * p : 1 - exp_<false>(-z) * q;
    return x != x ? x : with_sign(y, x);
}

inline D erf_double(D x) {
    for (long k = 0; k < lanes<double>; k++) x[k] = std::erf(x[k]);
    return x;
}

}  // namespace backproof::BP_ISA
