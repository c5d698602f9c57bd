// The words: elementwise functions over blocks of panel rows. Their meaning is the table in lower/instructions.py.
#pragma once

#include "elementary.hpp"
#include "elementary_float.hpp"
#include "kernels.hpp"

namespace backproof::BP_ISA {

template <class T, class Function>
inline void each(T* out, Rows<T> a, long rows, Function f) {
    for (long r = 0; r < rows; r++, out += W<T>, a.at += a.stride)
        for (long v = 0; v < W<T>; v += lanes<T>) store<T>(out + v, f(load(a.at + v)));
}

template <class T, class Function>
inline void each(T* out, Rows<T> a, Rows<T> b, long rows, Function f) {
    for (long r = 0; r < rows; r++, out += W<T>, a.at += a.stride, b.at += b.stride)
        for (long v = 0; v < W<T>; v += lanes<T>) store<T>(out + v, f(load(a.at + v), load(b.at + v)));
}

// a function of doubles, on doubles as they are and on floats in two halves
template <class T, D (*f)(D)>
void through_double(T* out, Rows<T> a, Rows<T>, Rows<T>, long rows) {
    for (long r = 0; r < rows; r++, out += W<T>, a.at += a.stride)
        for (long v = 0; v < W<T>; v += lanes<double>)
            if constexpr (sizeof(T) == 4) {
                const HalfF x = *reinterpret_cast<const HalfF*>(a.at + v);
                *reinterpret_cast<HalfF*>(out + v) = __builtin_convertvector(f(__builtin_convertvector(x, D)), HalfF);
            } else {
                store<T>(out + v, f(load(a.at + v)));
            }
}

// a function that floats and doubles have each of their own
template <class T, F (*of_floats)(F), D (*of_doubles)(D)>
void each_its_own(T* out, Rows<T> a, Rows<T>, Rows<T>, long rows) {
    each<T>(out, a, rows, [](Vec<T> x) -> Vec<T> {
        if constexpr (sizeof(T) == 4) return of_floats(x);
        else return of_doubles(x);
    });
}

#define BP_WORD1(NAME, VALUE)                                                            \
    template <class T>                                                                   \
    void word_##NAME(T* out, Rows<T> a_, Rows<T>, Rows<T>, long rows) {                  \
        each<T>(out, a_, rows, [](Vec<T> a) -> Vec<T> { return VALUE; });                \
    }
#define BP_WORD2(NAME, VALUE)                                                            \
    template <class T>                                                                   \
    void word_##NAME(T* out, Rows<T> a_, Rows<T> b_, Rows<T>, long rows) {               \
        each<T>(out, a_, b_, rows, [](Vec<T> a, Vec<T> b) -> Vec<T> { return VALUE; });  \
    }

BP_WORD1(copy, a)
BP_WORD1(neg, -a)
BP_WORD1(reciprocal, 1 / a)
BP_WORD1(sqrt, root(a))
BP_WORD1(abs, a < 0 ? -a : a)
BP_WORD1(sign, a > 0 ? splat(T(1)) : (a < 0 ? splat(T(-1)) : (a == 0 ? Vec<T>{} : a)))
BP_WORD1(step, a > 0 ? splat(T(1)) : (a != a ? a : Vec<T>{}))
BP_WORD2(add, a + b)
BP_WORD2(sub, a - b)
BP_WORD2(mul, a * b)
BP_WORD2(greater, a > b ? splat(T(1)) : Vec<T>{})
BP_WORD2(equal, a == b ? splat(T(1)) : Vec<T>{})
BP_WORD2(maximum, (a > b) | (a != a) ? a : b)            // a NaN in either place stays
BP_WORD2(minimum, (a < b) | (a != a) ? a : b)

template <class T>
void word_select(T* out, Rows<T> a, Rows<T> b, Rows<T> c, long rows) {
    for (long r = 0; r < rows; r++, out += W<T>, a.at += a.stride, b.at += b.stride, c.at += c.stride)
        for (long v = 0; v < W<T>; v += lanes<T>)
            store<T>(out + v, load(a.at + v) != 0 ? load(b.at + v) : load(c.at + v));
}

template <class T>
constexpr bool exact = sizeof(T) == 8;

template <class T>
const Word<T> words[] = {
    {"copy", 1, word_copy<T>},
    {"add", 2, word_add<T>},
    {"sub", 2, word_sub<T>},
    {"mul", 2, word_mul<T>},
    {"neg", 1, word_neg<T>},
    {"reciprocal", 1, word_reciprocal<T>},
    {"exp", 1, each_its_own<T, exp_float, exp_<true>>},
    {"log", 1, through_double<T, log_>},
    {"sqrt", 1, word_sqrt<T>},
    {"abs", 1, word_abs<T>},
    {"sign", 1, word_sign<T>},
    {"step", 1, word_step<T>},
    {"greater", 2, word_greater<T>},
    {"equal", 2, word_equal<T>},
    {"maximum", 2, word_maximum<T>},
    {"minimum", 2, word_minimum<T>},
    {"select", 3, word_select<T>},
    {"sigmoid", 1, each_its_own<T, sigmoid_float, sigmoid_<true>>},
    {"tanh", 1, each_its_own<T, tanh_float, tanh_<true>>},
    {"erf", 1, through_double<T, exact<T> ? erf_double : erf_float>},
    {"normal_cdf", 1, through_double<T, exact<T> ? normal_cdf_double : normal_cdf_float>},
    {"expm1", 1, through_double<T, expm1_<exact<T>>>},
    {"softplus", 1, through_double<T, softplus_<exact<T>>>},
};

}  // namespace backproof::BP_ISA
