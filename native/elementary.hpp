// exp, log, tanh and their like on vectors of doubles; floats are computed in double and rounded once.
//
// Source  fdlibm (Sun Microsystems, 1993) for the reductions and the polynomial of log; Taylor's series of exp; the
//         polynomials of erf are Chebyshev interpolants (relative error 2e-14 below 1, 1e-8 of erfc above: floats only).
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

// whole + r + tail, rounded once: what whole + r loses is given to the tail; |whole| >= |r|, or whole = 0
inline D gathered(D whole, D r, D tail) {
    const D s = whole + r;
    return s + ((r - (s - whole)) + tail);
}

template <bool exact>
inline D exp_(D x) {
    D n, tail, y;
    if constexpr (exact) {
        const D r = reduced<true>(clamp(x, -746, 710), n, tail);
        const D half = fma(n, 0.5, splat(to_int)) - to_int;
        y = gathered(splat(1.0), r, tail) * power_of_two(half) * power_of_two(n - half);   // a subnormal is rounded once
    } else {
        const D r = reduced<false>(clamp(x, -110, 90), n, tail);         // beyond the floats, within the doubles
        y = fma(r + tail, power_of_two(n), power_of_two(n));
    }
    return x != x ? x : y;
}

template <bool exact>
inline D expm1_(D x) {
    D n, tail;
    const D r = reduced<exact>(clamp(x, -40, exact ? 710 : 90), n, tail);
    const D half = fma(n, 0.5, splat(to_int)) - to_int;
    const D whole = 1 - power_of_two(-(n > 100 ? splat(100.0) : n));
    D y = gathered(whole, r, tail) * power_of_two(half) * power_of_two(n - half);
    y = x == 0 ? x : y;                                                  // keeps -0
    return x != x ? x : y;
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

// a / b for b in [1, 2]; where a float is wanted, the reciprocal's estimate and one step of Newton's give 28 bits
template <bool exact>
inline D quotient(D a, D b) {
#if BP_VEC == 64
    if constexpr (!exact) {
        const D r = (D)_mm512_rcp14_pd((__m512d)b), q = a * r;
        return fma(fma(-q, b, a), r, q);
    }
#endif
    return a / b;
}

template <bool exact>
inline D sigmoid_(D x) {
    const D e = exp_<exact>(-magnitude(x)), u = 1 + e;
    if constexpr (!exact) return quotient<false>(x < 0 ? e : splat(1.0), u);
    const D v = 1 / u, lost = v * (fma(-v, u, splat(1.0)) - v * (e - (u - 1)));          // of 1/(1 + e)
    return x < 0 ? fma(e, v, e * lost) : v + lost;
}

template <bool exact>
inline D tanh_(D x) {
    const D a = magnitude(x), e = expm1_<exact>(-2 * a);
    const D u = 2 + e, top = a < 1 ? -e : 2 * (e + 1);                   // 1 - q where -e / u would lose too much
    D q = quotient<exact>(top, u);
    if constexpr (exact) q = fma(fma(-q, u, top) - q * (e - (u - 2)), fma(u, splat(-0.5), 1.457), q);    // times about 1/u
    const D y = with_sign(a < 1 ? q : 1 - q, x);
    return x != x ? x : y;
}

template <bool exact>
inline D softplus_(D x) {
    const D e = exp_<exact>(-magnitude(x)), u = 1 + e;
    const D y = (x > 0 ? x : D{}) + (log_(u) + (e - (u - 1)) / u);       // the last term is what u lost of e
    return x != x ? x : y;
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
