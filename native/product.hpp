// The microkernel: R rows by P panels of c = sum over k of a[r,k] b[k,·], held in registers.
//
// Every element of c is one chain of fused multiply-adds in the order of k, whatever the tile: the same bits for any split.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace backproof::BP_ISA {

template <class T>
constexpr long V = W<T> / lanes<T>;                   // vectors of a panel row

// Registers: 16 accumulators of 32 (AVX-512), 12 of 16 (AVX2, SSE2), 24 of 32 (NEON) hide the latency of the sum.
#if BP_VEC == 64
constexpr int tallest = 8, widest = 2;
#elif BP_VEC == 32
constexpr int tallest = 6, widest = 1;
#elif defined(__aarch64__)
constexpr int tallest = 6, widest = 1;
#else
constexpr int tallest = 3, widest = 1;
#endif

template <class T, int R, int P, bool gradient>
void tile(const Product<T>& g, const T* a, T* c) {
    constexpr long row = gradient ? 1 : W<T>, step = gradient ? W<T> : 1;
    Vec<T> sum[R][P][V<T>];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int p = 0; p < P; p++)
#pragma GCC unroll 8
            for (int v = 0; v < V<T>; v++)
                sum[r][p][v] = g.begun ? load(c + r * W<T> + p * g.c_panel + v * lanes<T>) : Vec<T>{};
    const T* b = g.b;
    for (long o = 0; o < g.outer; o++, a += g.a_outer, b += g.b_outer) {
        const long count = o + 1 < g.outer ? g.inner : g.last;
        const T *at = a, *bt = b, *end = a + count * step;
        for (; at != end; at += step, bt += W<T>) {
            Vec<T> right[P][V<T>];
#pragma GCC unroll 8
            for (int p = 0; p < P; p++)
#pragma GCC unroll 8
                for (int v = 0; v < V<T>; v++) right[p][v] = load(bt + p * g.b_panel + v * lanes<T>);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                const Vec<T> left = splat(at[r * row]);
#pragma GCC unroll 8
                for (int p = 0; p < P; p++)
#pragma GCC unroll 8
                    for (int v = 0; v < V<T>; v++) sum[r][p][v] = fma(left, right[p][v], sum[r][p][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int p = 0; p < P; p++)
#pragma GCC unroll 8
            for (int v = 0; v < V<T>; v++) store<T>(c + r * W<T> + p * g.c_panel + v * lanes<T>, sum[r][p][v]);
}

template <class T>
using Tile = void (*)(const Product<T>&, const T*, T*);

template <class T, bool gradient, int P, int... R>
constexpr auto tiles_of(std::integer_sequence<int, R...>) {
    struct List { Tile<T> of[sizeof...(R)]; };
    return List{{tile<T, R + 1, P, gradient>...}};
}

template <class T, bool gradient, int P>
constexpr auto tiles = tiles_of<T, gradient, P>(std::make_integer_sequence<int, tallest>{});

// rows split evenly: 16 is 6 + 5 + 5, not 6 + 6 + 4
template <class T, bool gradient, int P>
void split(const Product<T>& g, const T* a, T* c, long rows) {
    for (long left = (rows + tallest - 1) / tallest; left > 0; left--) {
        const long now = (rows + left - 1) / left;
        tiles<T, gradient, P>.of[now - 1](g, a, c);
        a += now * (gradient ? 1 : W<T>);
        c += now * W<T>;
        rows -= now;
    }
}

template <class T, bool gradient, int P>
void segments(const Product<T>& g) {
    if constexpr (!gradient) {
        split<T, false, P>(g, g.a, g.c, g.rows);
    } else {                                            // a tile stays within one panel of a
        long lane = g.first, done = 0;
        const T* a = g.a;
        while (done < g.rows) {
            const long now = g.rows - done < W<T> - lane ? g.rows - done : W<T> - lane;
            split<T, true, P>(g, a + lane, g.c + done * W<T>, now);
            done += now;
            a += g.a_panel;
            lane = 0;
        }
    }
}

template <class T, bool gradient>
void product(const Product<T>& g) {
    if constexpr (widest == 2) {
        if (g.panels == 2) return segments<T, gradient, 2>(g);
    }
    segments<T, gradient, 1>(g);
}

}  // namespace backproof::BP_ISA
