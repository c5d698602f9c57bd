// The kernels that exist once per instruction set, as a table of functions.
//
// A panel row is one cache line: W elements. A block is `rows` panel rows; an operand of a word steps by `stride`
// elements a row: W where it lies row by row, 0 where one row serves all. Rows are 64-byte aligned; lanes beyond an
// axis' extent are padding, computed like the others and never summed.
#pragma once

#include <cstddef>

namespace backproof {

template <class T>
constexpr long W = 64 / static_cast<long>(sizeof(T));

template <class T>
struct Rows {                          // an operand of a word
    const T* at;
    long stride;
};

template <class T>
using WordFunction = void (*)(T* out, Rows<T> a, Rows<T> b, Rows<T> c, long rows);

template <class T>
struct Word {
    const char* name;
    int operands;
    WordFunction<T> run;
};

template <class T>
struct Pair {                          // two words run as one: what the first makes is operand `place` of the second
    const char *first, *second;
    int place;
    WordFunction<T> run;               // of the first's operands, then the second's other one
};

// c[r,p] = sum over k, ascending, of a[r,k] b[k,p] for a block of rows and one or two panels.
// forward:  a (r,k) at a + r W + k, panels of k are a_outer apart      b (k,p) at b + k W + p b_panel
// gradient: a (r,k) at a + (r / W) a_panel + r % W + k W               in runs of `inner`, a_outer and b_outer apart
template <class T>
struct Product {
    const T *a, *b;
    T* c;
    long rows, panels;                 // panels: 1 … widest
    long first;                        // gradient: the first row's lane; rows count from its panel
    long outer, inner, last;           // runs of k, their length, the length of the last
    long a_outer, b_outer, a_panel, b_panel, c_panel;
    bool begun;                        // c holds what the chains go on from
};

template <class T>
struct Kernels {
    const Word<T>* words;
    int count;
    const Pair<T>* pairs;
    int pair_count;
    long widest;                                                            // panels that a product takes at once
    void (*forward)(const Product<T>&);
    void (*gradient)(const Product<T>&);
    void (*fold_sum)(T* into, const T* rows, long count);                   // into (W) += each row, ascending
    void (*fold_max)(T* into, const T* rows, long count);
    void (*each_sum)(T* into, const T* rows, long count);                   // into (count, W) += rows
    void (*each_max)(T* into, const T* rows, long count);
    void (*doubt)(T* into, const T* rows, long count);                      // into (W) += 0 times each row: NaN where one is not finite
    double (*chains)(long turns);                                           // 16 chains of multiply-adds in registers; operations done
    void (*transpose)(T* to, long to_row, const T* from, long from_row);    // W x W; rows to_row and from_row apart
};

template <class T>
const Kernels<T>& kernels();                     // of the best instruction set that this processor has, or the one forced
const char* instruction_set();
bool force_instruction_set(const char* name);    // for tests; false if the processor lacks it
const char* instruction_sets();                  // those that were compiled, separated by spaces

}  // namespace backproof
