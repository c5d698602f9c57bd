// Where values lie, and how an instruction sees them.
//
// A value of the engine's dtype lies in panels: its last axis is cut into rows of W lanes, and panel q holds lanes
// q W … q W + W - 1 of every row: [column / W][row][W], rows being all other axes. The last panel is padded. A value
// without axes fills a row with copies of itself. Integer values are row-major.
#pragma once

#include <algorithm>
#include <stdexcept>

#include "kernels.hpp"
#include "program.hpp"

namespace backproof {

constexpr int most = 8;                          // labels of one instruction

enum Space { ARENA, CURRENT, NEXT, TABLES, INTEGERS, SPACES };     // of elements: all before INTEGERS

struct Layout {
    Space space = ARENA;
    long offset = 0, size = 0, panel = 0;
    long extent[most], stride[most];             // pad slot included; the last stride counts lanes (integers) or is unused
    int rank = 0;
};

// The labels that an instruction runs over; rows step along `inner`, lanes along `column` (either -1 where there is none).
struct Domain {
    int count = 0, inner = -1, column = -1;
    int label[most];
    long extent[most];

    int find(int index) const {
        for (int d = 0; d < count; d++)
            if (label[d] == index) return d;
        return -1;
    }
    int add(int index, long length) {
        if (count == most) throw std::runtime_error("an instruction has more than 8 labels");
        label[count] = index;
        extent[count] = length;
        return count++;
    }
};

// An operand over a domain. The element at x lies at base + step t + sum over d of x[d] stride[d]; the label on the
// panelled axis counts by panels and lanes instead.
struct View {
    enum Mode { constant, direct, splat, element, chained } mode = element;      // chained: a block of the chain's result `base`
    Space space = ARENA;
    long base = 0, step = 0, panel = 0, shift = 0, width = 0;     // width: the panelled axis' extent
    long stride[most] = {};
    int panelled = -1, value = -1;

    long partial(const long* x, int inner, int column) const {     // without inner and column
        long at = base;
        for (int d = 0; d < most; d++)
            if (d != inner && d != column && stride[d]) at += x[d] * stride[d];
        return at;
    }
};

template <class T>
inline long at(const View& v, const Domain& domain, const long* x, long t) {
    long place = v.base + t * v.step;
    for (int d = 0; d < domain.count; d++)
        if (d != v.panelled) place += x[d] * v.stride[d];
    if (v.panelled >= 0) {
        const long lane = x[v.panelled] + v.shift;
        place += lane / W<T> * v.panel + lane % W<T>;
    }
    return place;
}

inline bool is_time(const Program& p, const Value& v, int axis) { return p.indices[v.axes[axis]].kind == "time"; }

template <class T>
Layout layout_of(const Program& program, const Value& value, const std::vector<long>& extents) {
    Layout l;
    l.rank = static_cast<int>(value.axes.size());
    if (l.rank > most) throw std::runtime_error(value.name + " has more than 8 axes");
    const auto one_slot = [&](int k) { return value.folded && is_time(program, value, k); };
    for (int k = 0; k < l.rank; k++)
        l.extent[k] = one_slot(k) ? 1 : extents[value.axes[k]] + (!value.pad.empty() && is_time(program, value, k));
    if (value.integer) {
        l.space = INTEGERS;
        l.size = 1;
        for (int k = l.rank - 1; k >= 0; k--) {
            l.stride[k] = l.size;
            l.size *= l.extent[k];
        }
        return l;
    }
    long rows = 1;
    for (int k = l.rank - 2; k >= 0; k--) {
        l.stride[k] = one_slot(k) ? 0 : rows * W<T>;
        rows *= l.extent[k];
    }
    l.panel = rows * W<T>;
    l.size = l.rank ? (l.extent[l.rank - 1] + W<T> - 1) / W<T> * l.panel : W<T>;
    return l;
}

// A table (v, i) that is read by lookups alone lies row by row, each in whole lines, so that a lookup meets one place.
template <class T>
Layout table_layout(const Layout& panels) {
    Layout l = panels;
    l.space = TABLES;
    l.panel = W<T>;
    l.stride[0] = (l.extent[1] + W<T> - 1) / W<T> * W<T>;
    l.size = l.extent[0] * l.stride[0];
    return l;
}

// The operand as seen from a domain, inside a loop over `loop` (-1: none).
template <class T>
View view_of(const Program& program, const Layout& l, const Operand& operand, const Domain& domain, int loop) {
    const Value& value = program.values[operand.value];
    View v;
    v.space = l.space;
    v.base = l.offset;
    v.panel = l.panel;
    v.value = operand.value;
    if (l.rank == 0) {
        v.mode = View::constant;
        return v;
    }
    for (int k = 0; k < l.rank; k++) {
        const bool last = k == l.rank - 1 && !value.integer;
        const int label = operand.labels[k];
        long start = operand.offsets[k] + (value.pad == "before" && is_time(program, value, k));
        const bool padded = !value.pad.empty() && is_time(program, value, k);
        if (label == FIRST || label == LAST) {
            if (label == LAST) start += l.extent[k] - padded - 1;
            v.base += last ? start / W<T> * l.panel + start % W<T> : start * l.stride[k];
            continue;
        }
        if (label == loop) {
            if (last && l.rank > 1) throw std::runtime_error(value.name + " has its time axis last");
            v.base += last ? start : start * l.stride[k];
            v.step = last ? 1 : l.stride[k];
            continue;
        }
        const int d = domain.find(label);
        if (d < 0) throw std::runtime_error(value.name + " has a label that its instruction lacks");
        if (last) {
            v.panelled = d;
            v.shift = start;
            v.width = l.extent[k];
            v.stride[d] = l.rank == 1 ? 1 : 0;
        } else {
            v.stride[d] = l.stride[k];
            v.base += start * l.stride[k];
        }
    }
    if (v.panelled >= 0 && v.panelled == domain.column && v.shift % W<T> == 0 &&
        (domain.inner < 0 || v.stride[domain.inner] == W<T> || v.stride[domain.inner] == 0))
        v.mode = View::direct;
    else if (v.panelled < 0 && (domain.column < 0 || v.stride[domain.column] == 0))
        v.mode = View::splat;
    else if (v.panelled >= 0 && v.panelled != domain.column)
        v.mode = View::splat;
    else
        v.mode = View::element;
    if (domain.column >= 0 && v.mode == View::splat && v.panelled != domain.column && v.stride[domain.column]) v.mode = View::element;
    return v;
}

}  // namespace backproof
