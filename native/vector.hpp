// Vectors of the instruction set at hand, by the compiler's vector types. Only kernels.cpp includes this file: everything
// lives in a namespace of the instruction set, so that the linker cannot mix them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__AVX512F__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace backproof::BP_ISA {

template <class T, int bytes>
struct OfBytes {
    typedef T type __attribute__((vector_size(bytes), may_alias));
};
template <class T>
using Vec = typename OfBytes<T, BP_VEC>::type;

template <class T>
constexpr long lanes = BP_VEC / static_cast<long>(sizeof(T));

using F = Vec<float>;
using D = Vec<double>;
using I = Vec<std::int64_t>;
using U = Vec<std::uint64_t>;
using HalfF = OfBytes<float, BP_VEC / 2>::type;      // as many floats as D has doubles

template <class T>
inline Vec<T> load(const T* p) { return *reinterpret_cast<const Vec<T>*>(p); }
template <class T>
inline void store(T* p, Vec<T> v) { *reinterpret_cast<Vec<T>*>(p) = v; }
template <class T>
inline Vec<T> splat(T x) { return x - Vec<T>{}; }

inline I bits(D x) { I r; std::memcpy(&r, &x, sizeof r); return r; }
inline D real(I x) { D r; std::memcpy(&r, &x, sizeof r); return r; }

// a b + c, rounded once where the processor can
#if BP_VEC == 64
inline F fma(F a, F b, F c) { return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
inline D fma(D a, D b, D c) { return (D)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
inline F root(F a) { return (F)_mm512_sqrt_ps((__m512)a); }
inline D root(D a) { return (D)_mm512_sqrt_pd((__m512d)a); }
#elif BP_VEC == 32
inline F fma(F a, F b, F c) { return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
inline D fma(D a, D b, D c) { return (D)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
inline F root(F a) { return (F)_mm256_sqrt_ps((__m256)a); }
inline D root(D a) { return (D)_mm256_sqrt_pd((__m256d)a); }
#elif defined(__SSE2__)
inline F fma(F a, F b, F c) { return a * b + c; }
inline D fma(D a, D b, D c) { return a * b + c; }
inline F root(F a) { return (F)_mm_sqrt_ps((__m128)a); }
inline D root(D a) { return (D)_mm_sqrt_pd((__m128d)a); }
#elif defined(__ARM_NEON)
inline F fma(F a, F b, F c) { return (F)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
inline D fma(D a, D b, D c) { return (D)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
inline F root(F a) { return (F)vsqrtq_f32((float32x4_t)a); }
inline D root(D a) { return (D)vsqrtq_f64((float64x2_t)a); }
#else
inline F fma(F a, F b, F c) { return a * b + c; }
inline D fma(D a, D b, D c) { return a * b + c; }
inline F root(F a) { for (long k = 0; k < lanes<float>; k++) a[k] = __builtin_sqrtf(a[k]); return a; }
inline D root(D a) { for (long k = 0; k < lanes<double>; k++) a[k] = __builtin_sqrt(a[k]); return a; }
#endif

// c - a b, the product not rounded
inline D residual(D a, D b, D c) {
#if defined(__FMA__) || defined(__ARM_NEON)
    return fma(-a, b, c);
#else
    const D p = a * b, ah = real(bits(a) & ~0x7ffffffll), bh = real(bits(b) & ~0x7ffffffll), al = a - ah, bl = b - bh;
    return (c - p) - (((ah * bh - p) + ah * bl + al * bh) + al * bl);
#endif
}

inline D fma(D a, double b, D c) { return fma(a, splat(b), c); }
inline D fma(D a, D b, double c) { return fma(a, b, splat(c)); }

}  // namespace backproof::BP_ISA
