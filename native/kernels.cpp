// One instruction set's kernels. Compiled once for each, with BP_ISA its name and BP_VEC the bytes of its vectors.
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
bool finite(const T* rows, long count) {
    Vec<T> acc = {};
    for (long k = 0; k < count * W<T>; k += lanes<T>) acc += load(rows + k) * 0;          // NaN and infinity give NaN
    bool good = true;
    for (long k = 0; k < lanes<T>; k++) good &= acc[k] == 0;
    return good;
}

// a W x W block: to[j,i] = from[i,j]
template <class T>
void transpose(T* to, long to_row, const T* from, long from_row) {
    for (long i0 = 0; i0 < W<T>; i0 += 4)
        for (long j = 0; j < W<T>; j++)
            for (long i = i0; i < i0 + 4; i++) to[j * to_row + i] = from[i * from_row + j];
}

template <class T>
constexpr Kernels<T> table = {words<T>, sizeof words<T> / sizeof words<T>[0], widest, product<T, false>, product<T, true>,
                              fold_rows<T, true>, fold_rows<T, false>, each_row<T, true>, each_row<T, false>, finite<T>,
                              transpose<T>};

const Kernels<float>& of_float() { return table<float>; }
const Kernels<double>& of_double() { return table<double>; }

}  // namespace backproof::BP_ISA
