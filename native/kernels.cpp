// One instruction set's kernels. Compiled once for each, with BP_ISA its name and BP_VEC the bytes of its vectors.
#include <type_traits>
#include <utility>

#include "kernels.hpp"
#include "product.hpp"
#include "words.hpp"

namespace backproof::BP_ISA {

template <class T, bool sum>
inline Vec<T> fold(Vec<T> a, Vec<T> b) {
    if constexpr (sum) return a + b;
    else return (a > b) | (a != a) ? a : b;
}

template <class T, bool sum>
void fold_rows(T* into, const T* rows, long count) {
    for (long v = 0; v < W<T>; v += lanes<T>) {
        Vec<T> acc = load(into + v);
        for (long r = 0; r < count; r++) acc = fold<T, sum>(acc, load(rows + r * W<T> + v));
        store<T>(into + v, acc);
    }
}

template <class T, bool sum>
void each_row(T* into, const T* rows, long count) {
    for (long k = 0; k < count * W<T>; k += lanes<T>) store<T>(into + k, fold<T, sum>(load(into + k), load(rows + k)));
}

template <class T>
void doubt(T* into, const T* rows, long count) {
    const auto zero = [](const T* at) { return load(at) * Vec<T>{}; };       // NaN, if it is not finite
    for (long v = 0; v < W<T>; v += lanes<T>) {
        Vec<T> acc[4] = {load(into + v)};
        long r = 0;
        for (; r + 4 <= count; r += 4)
            for (int j = 0; j < 4; j++) acc[j] += zero(rows + (r + j) * W<T> + v);
        for (; r < count; r++) acc[0] += zero(rows + r * W<T> + v);
        store<T>(into + v, acc[0] + acc[1] + (acc[2] + acc[3]));
    }
}

// what the processor can do at most: the benchmark's measure
template <class T>
double chains(long turns) {
    Vec<T> sum[12];
#pragma GCC unroll 12
    for (int j = 0; j < 12; j++) sum[j] = splat(T(j));
    Vec<T> a = splat(T(0.999)), b = splat(T(1e-3));
    for (long k = 0; k < turns; k++) {
#pragma GCC unroll 12
        for (int j = 0; j < 12; j++) {
            sum[j] = fma(sum[j], a, b);
#if defined(__x86_64__)
            asm volatile("" : "+v"(sum[j]));                 // or the chains would be seen to be alike
#else
            asm volatile("" : "+w"(sum[j]));
#endif
        }
    }
    Vec<T> all = sum[0];
#pragma GCC unroll 12
    for (int j = 1; j < 12; j++) all += sum[j];              // unrolled, or all of it would be kept in memory
    return all[0] == 0 ? 0 : 2.0 * 12 * static_cast<double>(lanes<T>) * static_cast<double>(turns);
}

// exchanges the off-diagonal squares of size `half` within squares of twice that size
template <class T, int half>
inline void exchange_squares(Vec<T>* row) {
    constexpr int n = static_cast<int>(lanes<T>);
    if constexpr (half < n) {
        using Pick = typename OfBytes<std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>, BP_VEC>::type;
        Pick low, high;
#pragma GCC unroll 16
        for (int l = 0; l < n; l++) {
            low[l] = (l & half) ? l - half + n : l;
            high[l] = (l & half) ? l + n : l + half;
        }
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
            if (!(i & half)) {
                const Vec<T> a = row[i], b = row[i + half];
                row[i] = __builtin_shuffle(a, b, low);
                row[i + half] = __builtin_shuffle(a, b, high);
            }
        exchange_squares<T, 2 * half>(row);
    }
}

// a W x W block: to[j,i] = from[i,j], in squares of one vector's lanes
template <class T>
void transpose(T* to, long to_row, const T* from, long from_row) {
    constexpr long n = lanes<T>;
    for (long i0 = 0; i0 < W<T>; i0 += n)
        for (long j0 = 0; j0 < W<T>; j0 += n) {
            Vec<T> row[n];
#pragma GCC unroll 16
            for (long i = 0; i < n; i++) row[i] = load(from + (i0 + i) * from_row + j0);
            exchange_squares<T, 1>(row);
#pragma GCC unroll 16
            for (long j = 0; j < n; j++) store<T>(to + (j0 + j) * to_row + i0, row[j]);
        }
}

template <class T>
constexpr Kernels<T> table = {words<T>, sizeof words<T> / sizeof words<T>[0], pairs<T>, sizeof pairs<T> / sizeof pairs<T>[0], widest, product<T, false>, product<T, true>,
                              fold_rows<T, true>, fold_rows<T, false>, each_row<T, true>, each_row<T, false>, doubt<T>,
                              chains<T>, transpose<T>};

const Kernels<float>& of_float() { return table<float>; }
const Kernels<double>& of_double() { return table<double>; }

}  // namespace backproof::BP_ISA
