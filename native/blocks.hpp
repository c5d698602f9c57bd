// Blocks: how a node's operands reach the kernels, and how results are stored.
//
// A block is up to 512 elements: some rows of one panel. An operand that lies in panels is used where it lies; what lies
// otherwise (a value per row, a transposed or shifted view) is laid out in scratch first.
#pragma once

#include <cstring>

#include "ahead.hpp"
#include "plan.hpp"

namespace backproof {

template <class T>
struct Context {                                 // of one member of the team
    T* base[INTEGERS];                           // by Space
    const std::int64_t* integers;
    T* scratch;
    long t = 0;                                  // the step of the loop at hand
    int member = 0, members = 1;
    long samples = 0;
    alignas(64) T doubt[W<T>] = {};                  // 0, or NaN: something that was checked is not finite
    int bad_ids = -1;                            // a value that holds an integer outside its index
    Ahead ahead;
    const T* results[longest_chain + 1];         // of the chain at hand: the block of each member

    bool finite() const {
        return std::all_of(doubt, doubt + W<T>, [](T x) { return x == 0; });
    }
};

struct Block {
    long x[most] = {};                           // the first row and lane
    long rows = 1, from = 0, to = 1;             // lanes from … to of the panel
};

struct Range {
    long low[most], high[most];
    bool down[most] = {};                        // from high - 1 to low
    long first(int d) const { return down[d] ? high[d] - 1 : low[d]; }
    bool step(int d, long& x) const { return down[d] ? --x >= low[d] : ++x < high[d]; }
};

template <class T>
Range range_of(const Node<T>& n, const Context<T>& c) {
    Range r;
    for (int d = 0; d < n.domain.count; d++) {
        r.low[d] = 0;
        r.high[d] = n.domain.extent[d];
    }
    if (n.time >= 0) r.down[n.time] = n.descending;
    if (c.members > 1 && n.split_label >= 0) {
        const int d = n.split_label;
        const long unit = n.split == SAMPLES ? 1 : output_unit(n, c.members);
        share(n.domain.extent[d], unit, c.member, c.members, r.low[d], r.high[d]);
    }
    return r;
}

// f(x) for every place of the labels `which`, the last running fastest
template <class F>
void odometer(const int* which, int count, const Range& r, long* x, F&& f) {
    for (int k = 0; k < count; k++) {
        if (r.low[which[k]] >= r.high[which[k]]) return;
        x[which[k]] = r.first(which[k]);
    }
    for (;;) {
        f();
        int k = count - 1;
        for (; k >= 0; k--) {
            if (r.step(which[k], x[which[k]])) break;
            x[which[k]] = r.first(which[k]);
        }
        if (k < 0) return;
    }
}

template <class T, class F>
void row_blocks(int inner, const Range& r, Block& k, F&& f) {
    if (inner < 0) {
        k.rows = 1;
        return f();
    }
    for (long row = r.low[inner]; row < r.high[inner]; row += block_rows<T>) {
        k.x[inner] = row;
        k.rows = std::min(block_rows<T>, r.high[inner] - row);
        f();
    }
}

template <class T, class F>
void panels(int column, const Range& r, Block& k, F&& f) {
    if (column < 0) {
        k.from = 0;
        k.to = 1;
        return f();
    }
    for (long lane = r.low[column] / W<T> * W<T>; lane < r.high[column]; lane += W<T>) {
        k.x[column] = lane;
        k.from = std::max(0l, r.low[column] - lane);
        k.to = std::min(W<T>, r.high[column] - lane);
        f();
    }
}

// the whole panel row may be touched: its lanes are all ours, or padding
template <class T>
inline bool whole(const View& v, const Domain& d, const Block& k) {
    return k.from == 0 && (k.to == W<T> || d.column < 0 || k.x[d.column] + k.to + v.shift == v.width);
}

template <class T>
inline bool readable(const Domain& d, const Block& k) {
    return k.from == 0 && (k.to == W<T> || d.column < 0 || k.x[d.column] + k.to == d.extent[d.column]);
}

template <class T>
inline long direct_place(const View& v, const Domain& d, const Block& k, long t) {
    long place = v.base + t * v.step + (k.x[d.column] + v.shift) / W<T> * v.panel;
    for (int e = 0; e < d.count; e++)
        if (e != d.column && v.stride[e]) place += k.x[e] * v.stride[e];
    return place;
}

// copies lanes between a view and rows of a block, run by run
template <class T, bool reading>
void exchange(const View& v, const Domain& d, const Block& k, T* memory, T* rows, long t) {
    long x[most];
    std::copy(k.x, k.x + most, x);
    for (long r = 0; r < k.rows; r++, rows += W<T>) {
        if (d.inner >= 0) x[d.inner] = k.x[d.inner] + r;
        if (d.column < 0 || v.panelled == d.column) {
            for (long lane = k.from; lane < k.to;) {
                long count = 1;
                if (d.column >= 0) {
                    x[d.column] = k.x[d.column] + lane;
                    count = std::min(k.to - lane, W<T> - (x[d.column] + v.shift) % W<T>);
                }
                T* place = memory + at<T>(v, d, x, t);
                if constexpr (reading) std::memcpy(rows + lane, place, count * sizeof(T));
                else std::memcpy(place, rows + lane, count * sizeof(T));
                lane += count;
            }
        } else {
            for (long lane = k.from; lane < k.to; lane++) {
                x[d.column] = k.x[d.column] + lane;
                T& place = memory[at<T>(v, d, x, t)];
                if constexpr (reading) rows[lane] = place;
                else place = rows[lane];
            }
        }
    }
}

template <class T>
Rows<T> operand(const View& v, const Node<T>& n, const Block& k, T* scratch, const Context<T>& c) {
    const Domain& d = n.domain;
    T* memory = c.base[v.space];
    if (v.mode == View::constant) return {memory + v.base, 0};
    if (v.mode == View::chained) return {c.results[v.base], W<T>};
    if (v.mode == View::direct && readable<T>(d, k))
        return {memory + direct_place<T>(v, d, k, c.t), d.inner < 0 ? W<T> : v.stride[d.inner]};
    if (v.mode == View::splat) {
        long x[most];
        std::copy(k.x, k.x + most, x);
        const bool same = d.inner < 0 || (v.stride[d.inner] == 0 && v.panelled != d.inner);
        const long place = at<T>(v, d, x, c.t);
        const bool linear = !same && v.stride[d.inner] != 0;
        for (long r = 0; r < (same ? 1 : k.rows); r++) {
            T value;
            if (same || linear) {
                value = memory[place + (same ? 0 : r * v.stride[d.inner])];
            } else {
                x[d.inner] = k.x[d.inner] + r;
                value = memory[at<T>(v, d, x, c.t)];
            }
            for (long lane = 0; lane < W<T>; lane++) scratch[r * W<T> + lane] = value;
        }
        return {scratch, same ? 0 : W<T>};
    }
    exchange<T, true>(v, d, k, memory, scratch, c.t);
    return {scratch, W<T>};
}

// where a result may be written at once, or nullptr
template <class T>
T* destination(const Node<T>& n, const Block& k, const Context<T>& c) {
    const View& v = n.out;
    if (v.mode == View::constant) return c.base[v.space] + v.base;
    if (v.mode != View::direct || !whole<T>(v, n.domain, k)) return nullptr;
    if (n.domain.inner >= 0 && k.rows > 1 && v.stride[n.domain.inner] != W<T>) return nullptr;
    return c.base[v.space] + direct_place<T>(v, n.domain, k, c.t);
}

template <class T>
void put(const Node<T>& n, const Block& k, const T* rows, Context<T>& c) {
    if (n.out.mode == View::constant) {
        std::fill_n(c.base[n.out.space] + n.out.base, W<T>, rows[0]);
        return;
    }
    exchange<T, false>(n.out, n.domain, k, c.base[n.out.space], const_cast<T*>(rows), c.t);
}

// Is a block finite? The answer lies in c.doubt at the end of the step. Padding may hold anything.
template <class T>
void check_block(const Kernels<T>& kernels, const Block& k, const T* rows, Context<T>& c) {
    if (k.from == 0 && k.to == W<T>) return kernels.doubt(c.doubt, rows, k.rows);
    alignas(64) T line[W<T>] = {};
    kernels.doubt(line, rows, k.rows);
    for (long lane = k.from; lane < k.to; lane++) c.doubt[lane] += line[lane];
}

// the word list over a block; the result lies at `to`, or in scratch where `to` is nullptr
template <class T>
const T* words(const Node<T>& n, const Block& k, const T* product, T* to, T* scratch, Context<T>& c) {
    const WordList<T>& list = *n.words;
    const T* at[most_operands];                                        // apart: read together they would wait for both stores
    long stride[most_operands];
    T* slots = scratch;
    T* spare = scratch + list.slots * 512;
    if (list.bare >= 0 && !to) {
        const Rows<T> in = operand(n.in[list.bare], n, k, spare, c);
        if (in.stride == W<T>) return in.at;
    }
    for (std::size_t j = 0; j < n.in.size(); j++) {
        const Rows<T> in = operand(n.in[j], n, k, spare + j * 512, c);
        at[j] = in.at;
        stride[j] = in.stride;
    }
    T* result = nullptr;
    for (const auto& step : list.steps) {
        Rows<T> a[3] = {};
        for (int j = 0; j < step.operands; j++) {
            const auto& s = step.from[j];
            switch (s.kind) {
                case Argument::product: a[j] = {product, W<T>}; break;
                case Argument::operand: a[j] = {at[s.at], stride[s.at]}; break;
                case Argument::word: a[j] = {slots + s.at * 512, W<T>}; break;
                case Argument::number: a[j] = {s.number, 0}; break;
            }
        }
        result = &step == &list.steps.back() && to ? to : slots + step.slot * 512;
        step.run(result, a[0], a[1], a[2], k.rows);
    }
    return result;
}

// to[j,i] = rows[i,j] for a block of a matrix
template <class T>
void turn_block(const Node<T>& n, const Block& k, const T* rows, long stride, const Kernels<T>& kernel, Context<T>& c) {
    const long j = k.x[1], first = k.x[0], behind = first + k.rows, width = std::min(W<T>, n.domain.extent[1] - j);
    T* to = c.base[n.out.space] + n.out.base + j * W<T>;
    for (long i = first; i < behind;) {
        const long height = std::min(behind, (i / W<T> + 1) * W<T>) - i;
        const T* source = rows + (i - first) * stride;
        T* target = to + i / W<T> * n.out.panel + i % W<T>;
        if (height == W<T> && width == W<T>) {
            kernel.transpose(target, W<T>, source, stride);
        } else {
            for (long q = 0; q < width; q++)
                for (long p = 0; p < height; p++) target[q * W<T> + p] = source[p * stride + q];
        }
        i += height;
    }
}

// what the chain of a product will read, fetched while the product runs
template <class T>
void foresee(const Node<T>& n, const Block& k, const Context<T>& c) {
    for (const Node<T>& m : n.chain)
        for (const View& v : m.in) {
            if (v.mode != View::direct) continue;
            const T* at = c.base[v.space] + direct_place<T>(v, m.domain, k, c.t);
            const long stride = m.domain.inner < 0 ? W<T> : v.stride[m.domain.inner];
            for (long r = 0; r < (stride ? k.rows : 1); r++) fetch(at + r * stride);
        }
}

// a block's result: made by the words, checked, stored
template <class T>
const T* settle(const Node<T>& n, const Block& k, const T* product, T* scratch, const Kernels<T>& kernels, Context<T>& c) {
    T* to = n.stored ? destination(n, k, c) : nullptr;
    const T* result = n.words->plain && !to ? product : words(n, k, product, to, scratch, c);
    if (n.check) check_block(kernels, k, result, c);
    if (!to && n.stored) put(n, k, result, c);
    return result;
}

template <class T>
void go_on(const Node<T>& n, const Block& k, const T* result, T* scratch, const Kernels<T>& kernels, Context<T>& c) {
    const T** results = c.results;
    *results++ = result;
    for (const Node<T>& m : n.chain) {
        if (m.op == TWIN) {
            turn_block(m, k, c.results[m.a.base], W<T>, kernels, c);
            *results++ = nullptr;
            continue;
        }
        *results++ = settle(m, k, static_cast<const T*>(nullptr), scratch, kernels, c);
        scratch += m.room();
    }
}

template <class T>
void finish_block(const Node<T>& n, const Block& k, const T* product, T* scratch, const Kernels<T>& kernels, Context<T>& c) {
    const T* result = settle(n, k, product, scratch, kernels, c);
    if (!n.chain.empty()) go_on(n, k, result, scratch + n.room(), kernels, c);
}

}  // namespace backproof
