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

template <class T, class Function>
inline void each(T* out, Rows<T> a, Rows<T> b, Rows<T> c, long rows, Function f) {
    for (long r = 0; r < rows; r++, out += W<T>, a.at += a.stride, b.at += b.stride, c.at += c.stride)
        for (long v = 0; v < W<T>; v += lanes<T>) store<T>(out + v, f(load(a.at + v), load(b.at + v), load(c.at + v)));
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
    inline Vec<T> NAME(Vec<T> a) { return VALUE; }                                       \
    template <class T>                                                                   \
    void word_##NAME(T* out, Rows<T> a, Rows<T>, Rows<T>, long rows) {                   \
        each<T>(out, a, rows, [](Vec<T> x) { return NAME<T>(x); });                      \
    }
#define BP_WORD2(NAME, VALUE)                                                            \
    template <class T>                                                                   \
    inline Vec<T> NAME(Vec<T> a, Vec<T> b) { return VALUE; }                             \
    template <class T>                                                                   \
    void word_##NAME(T* out, Rows<T> a, Rows<T> b, Rows<T>, long rows) {                 \
        each<T>(out, a, b, rows, [](Vec<T> x, Vec<T> y) { return NAME<T>(x, y); });      \
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
    each<T>(out, a, b, c, rows, [](Vec<T> x, Vec<T> y, Vec<T> z) -> Vec<T> { return x != 0 ? y : z; });
}

// Two words at once, each rounded as if alone: the second takes the first's result as its operand `place`, and x as the other.
template <class T, auto first, auto second, int place>
void word_pair(T* out, Rows<T> a, Rows<T> b, Rows<T> c, long rows) {
    const auto then = [](Vec<T> y, Vec<T> x) { return place == 0 ? second(y, x) : second(x, y); };
    if constexpr (requires(Vec<T> x) { first(x); }) each<T>(out, a, b, rows, [&](Vec<T> p, Vec<T> x) { return then(first(p), x); });
    else each<T>(out, a, b, c, rows, [&](Vec<T> p, Vec<T> q, Vec<T> x) { return then(first(p, q), x); });
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

#define BP_PAIRS(FIRST, NAME)                                                             \
    {NAME, "add", 0, word_pair<T, FIRST<T>, add<T>, 0>}, {NAME, "add", 1, word_pair<T, FIRST<T>, add<T>, 1>}, \
    {NAME, "mul", 0, word_pair<T, FIRST<T>, mul<T>, 0>}, {NAME, "mul", 1, word_pair<T, FIRST<T>, mul<T>, 1>}, \
    {NAME, "sub", 0, word_pair<T, FIRST<T>, sub<T>, 0>}, {NAME, "sub", 1, word_pair<T, FIRST<T>, sub<T>, 1>}, \
    {NAME, "maximum", 0, word_pair<T, FIRST<T>, maximum<T>, 0>}

// the pairs that dense layers, cells and optimizers are full of
template <class T>
const Pair<T> pairs[] = {BP_PAIRS(add, "add"), BP_PAIRS(sub, "sub"), BP_PAIRS(mul, "mul"), BP_PAIRS(step, "step")};

}  // namespace backproof::BP_ISA
