// One function per instruction: what the reference engine means, over panels.
#include "machine.hpp"

namespace backproof {
namespace {

template <class T>
constexpr long most_panels = 2;

// y = words(r…)
template <class T>
void run_map(const Node<T>& n, Context<T>& c) {
    const Kernels<T>& kernel = kernels<T>();
    const Range r = range_of(n, c);
    Block k;
    odometer(n.outer, n.outers, r, k.x, [&] {
        panels<T>(n.domain.column, r, k, [&] {
            row_blocks<T>(n.domain.inner, r, k, [&] { finish_block(n, k, static_cast<const T*>(nullptr), c.scratch, kernel, c); });
        });
    });
}

// ---------------------------------------------------------------------------------------------- products

// y[…,r,c] = words(Σ_k a[r,k] b[k,c], r…) by the microkernels
template <class T>
void run_dense(const Node<T>& n, Context<T>& c) {
    const Kernels<T>& kernel = kernels<T>();
    const Range r = range_of(n, c);
    const Domain& d = n.domain;
    T *acc = c.scratch, *scratch = c.scratch + most_panels<T> * 512;
    Block k;
    Product<T> g{};
    g.outer = n.run_outer, g.inner = n.run, g.last = n.run_last;
    g.a_outer = n.a_outer, g.b_outer = n.b_outer;
    g.b_panel = n.b.panel;
    g.a_panel = n.a.panel;
    g.begun = n.start.value >= 0;
    const bool in_place = n.words->plain && n.out.mode == View::direct && !n.check && n.chain.empty() && !g.begun;
    odometer(n.outer, n.outers, r, k.x, [&] {
        const T* a = c.base[n.a.space] + n.a.base + c.t * n.a.step;
        const T* b = c.base[n.b.space] + n.b.base + c.t * n.b.step;
        for (int j = 0; j < n.outers; j++) {
            a += k.x[n.outer[j]] * n.a.stride[n.outer[j]];
            b += k.x[n.outer[j]] * n.b.stride[n.outer[j]];
        }
        a += n.a_first;
        b += n.b_first;
        if (n.form == FORWARD) a += n.a.shift / W<T> * n.a.panel;
        const long low = r.low[d.column] / W<T>, high = (r.high[d.column] + W<T> - 1) / W<T>;
        for (long p = low; p < high; p += g.panels) {
            g.panels = std::min(kernel.widest, high - p);
            g.b = b + (p + n.b.shift / W<T>) * n.b.panel;
            row_blocks<T>(d.inner, r, k, [&] {
                const long row = d.inner < 0 ? 0 : k.x[d.inner];
                g.rows = k.rows;
                if (n.form == FORWARD) {
                    g.a = a + row * W<T>;
                } else {
                    g.a = a + (row + n.a.shift) / W<T> * n.a.panel;
                    g.first = row % W<T>;
                }
                const auto choose = [&](long q) {
                    k.x[d.column] = (p + q) * W<T>;
                    k.from = 0;
                    k.to = std::min(W<T>, d.extent[d.column] - k.x[d.column]);
                };
                choose(0);
                const bool here = in_place && whole<T>(n.out, d, k);
                g.c = here ? c.base[n.out.space] + direct_place<T>(n.out, d, k, c.t) : acc;
                g.c_panel = here ? n.out.panel : 512;
                if (here && g.panels == 2) {
                    choose(1);
                    if (!whole<T>(n.out, d, k)) g.c = acc, g.c_panel = 512;
                }
                for (long q = 0; g.begun && q < g.panels; q++) {
                    choose(q);
                    const Rows<T> from = operand(n.start, n, k, scratch, c);
                    for (long j = 0; j < k.rows; j++) std::copy(from.at + j * from.stride, from.at + j * from.stride + W<T>, acc + q * 512 + j * W<T>);
                }
                for (long q = 0; n.far && q < g.panels; q++) {
                    choose(q);
                    foresee(n, k, c);
                }
                (n.form == FORWARD ? kernel.forward : kernel.gradient)(g);
                c.ahead.worked(static_cast<double>(g.rows * g.panels * W<T> * g.outer * g.inner));
                if (g.c != acc) return;
                for (long q = 0; q < g.panels; q++) {
                    choose(q);
                    finish_block(n, k, acc + q * 512, scratch, kernel, c);
                }
            });
        }
    });
}

// any factors, element by element
template <class T>
void run_dense_any(const Node<T>& n, Context<T>& c) {
    const Kernels<T>& kernel = kernels<T>();
    const Range r = range_of(n, c);
    const Domain& d = n.domain;
    T *acc = c.scratch, *scratch = c.scratch + most_panels<T> * 512;
    int summed[most], count = 0;
    for (int e = n.kept; e < d.count; e++) summed[count++] = e;
    const T *a = c.base[n.a.space], *b = c.base[n.b.space];
    Block k;
    odometer(n.outer, n.outers, r, k.x, [&] {
        panels<T>(d.column, r, k, [&] {
            row_blocks<T>(d.inner, r, k, [&] {
                long x[most];
                std::copy(k.x, k.x + most, x);
                for (long row = 0; row < k.rows; row++)
                    for (long lane = k.from; lane < k.to; lane++) {
                        if (d.inner >= 0) x[d.inner] = k.x[d.inner] + row;
                        if (d.column >= 0) x[d.column] = k.x[d.column] + lane;
                        T sum = n.start.value < 0 ? T(0) : c.base[n.start.space][at<T>(n.start, d, x, c.t)];
                        odometer(summed, count, r, x, [&] { sum += a[at<T>(n.a, d, x, c.t)] * b[at<T>(n.b, d, x, c.t)]; });
                        acc[row * W<T> + lane] = sum;
                    }
                finish_block(n, k, acc, scratch, kernel, c);
            });
        });
    });
}

// ---------------------------------------------------------------------------------------------- reductions

template <class T>
class Reduction {
  public:
    Reduction(const Node<T>& n, Context<T>& c)
        : n_(n), c_(c), kernel_(kernels<T>()), range_(range_of(n, c)), acc_(c.scratch), top_(acc_ + 512), line_(top_ + 512),
          copy_(line_ + 512), scratch_(copy_ + 512) {
        for (int e = n.kept; e < n.domain.count; e++)
            if (e != n.domain.inner && e != n.domain.column) over_[overs_++] = e;
        rows_summed_ = n.domain.inner >= n.kept;
        lanes_summed_ = n.domain.column >= n.kept;
    }

    void run() {
        odometer(n_.outer, n_.outers, range_, k_.x, [&] {
            panels<T>(lanes_summed_ ? -1 : n_.domain.column, range_, k_, [&] {
                row_blocks<T>(rows_summed_ ? -1 : n_.domain.inner, range_, k_, [&] { block(); });
            });
        });
    }

  private:
    const Node<T>& n_;
    Context<T>& c_;
    const Kernels<T>& kernel_;
    const Range range_;
    T *acc_, *top_, *line_, *copy_, *scratch_;
    int over_[most], overs_ = 0;
    bool rows_summed_, lanes_summed_;
    Block k_;

    const Word<T>& word(const char* name) const {
        return *std::find_if(kernel_.words, kernel_.words + kernel_.count, [&](const Word<T>& w) { return !std::strcmp(w.name, name); });
    }

    // a block of results: for every kept row and lane, all of what is summed
    void block() {
        const long rows = rows_summed_ ? 1 : k_.rows;
        if (n_.how != LOGSUMEXP) {
            sweep(n_.how == LARGEST, nullptr, rows);
            if (lanes_summed_) across(rows, n_.how == LARGEST);
            if (lanes_summed_ && n_.start.value >= 0) begin_or_join(rows, true);
            return give(acc_, rows);
        }
        sweep(true, nullptr, rows);
        if (lanes_summed_) across(rows, true);
        for (long j = 0; j < rows * W<T>; j++) top_[j] = acc_[j] - acc_[j] == 0 ? acc_[j] : 0;     // finite, or 0
        sweep(false, top_, rows);
        if (lanes_summed_) across(rows, false);
        word("log").run(acc_, {acc_, W<T>}, {}, {}, rows);
        word("add").run(acc_, {acc_, W<T>}, {top_, W<T>}, {}, rows);
        give(acc_, rows);
    }

    void sweep(bool largest, const T* top, long rows) {
        std::fill_n(acc_, rows * W<T>, largest ? -static_cast<T>(__builtin_inf()) : T(0));
        if (!lanes_summed_ && n_.start.value >= 0) begin_or_join(rows, false);
        Block b = k_;
        odometer(over_, overs_, range_, b.x, [&] {
            const auto inside = [&] {
                const auto lanes = [&] { part(b, largest, top); };
                if (lanes_summed_) panels<T>(n_.domain.column, range_, b, lanes);
                else lanes();
            };
            if (rows_summed_) row_blocks<T>(n_.domain.inner, range_, b, inside);
            else inside();
        });
    }

    // what the chain goes on from, put into acc_, or joined to it where lanes were summed
    void begin_or_join(long rows, bool join) {
        Block b = k_;
        b.rows = rows;
        const Rows<T> from = operand(n_.start, n_, b, scratch_, c_);
        for (long r = 0; r < rows; r++)
            for (long lane = 0; lane < W<T>; lane++) {
                const T x = from.at[r * from.stride + (lanes_summed_ ? 0 : lane)];
                T& y = acc_[r * W<T> + lane];
                y = !join ? x : n_.how != LARGEST ? x + y : (x > y) | (x != x) ? x : y;
            }
    }

    void part(const Block& b, bool largest, const T* top) {
        const T* x = words(n_, b, static_cast<const T*>(nullptr), static_cast<T*>(nullptr), scratch_, c_);
        if (top) {
            word("sub").run(copy_, {x, W<T>}, {top, rows_summed_ ? 0 : W<T>}, {}, b.rows);
            word("exp").run(copy_, {copy_, W<T>}, {}, {}, b.rows);
            x = copy_;
        }
        if (lanes_summed_ && (b.from > 0 || b.to < W<T>)) {
            if (x != copy_) std::copy(x, x + b.rows * W<T>, copy_);
            const T nothing = largest ? -static_cast<T>(__builtin_inf()) : T(0);
            for (T* row = copy_; row != copy_ + b.rows * W<T>; row += W<T>) {
                std::fill(row, row + b.from, nothing);
                std::fill(row + b.to, row + W<T>, nothing);
            }
            x = copy_;
        }
        if (rows_summed_) (largest ? kernel_.fold_max : kernel_.fold_sum)(acc_, x, b.rows);
        else (largest ? kernel_.each_max : kernel_.each_sum)(acc_, x, b.rows);
    }

    // one number of every row's lanes, in all of its lanes: W rows at a time stand upright and are folded as rows are
    void across(long rows, bool largest) {
        alignas(64) T upright[W<T> * W<T>], all[W<T>];
        for (long first = 0; first < rows; first += W<T>) {
            kernel_.transpose(upright, W<T>, acc_ + first * W<T>, W<T>);
            std::copy_n(upright, W<T>, all);
            (largest ? kernel_.fold_max : kernel_.fold_sum)(all, upright + W<T>, W<T> - 1);
            for (long r = first; r < std::min(rows, first + W<T>); r++) std::fill_n(acc_ + r * W<T>, W<T>, all[r - first]);
        }
    }

    void give(const T* rows, long count) {
        const Domain& d = n_.domain;
        Block k = k_;
        k.rows = count;
        if (lanes_summed_) {                                             // one element per row
            const T* memory = rows;
            long x[most];
            std::copy(k.x, k.x + most, x);
            for (long r = 0; r < count; r++, memory += W<T>) {
                if (!rows_summed_ && d.inner >= 0) x[d.inner] = k.x[d.inner] + r;
                if (n_.out.mode == View::constant) std::fill_n(c_.base[n_.out.space] + n_.out.base, W<T>, memory[0]);
                else c_.base[n_.out.space][at<T>(n_.out, d, x, c_.t)] = memory[0];
                if (n_.check) c_.doubt[0] += memory[0] * 0;
            }
            return;
        }
        if (n_.check) check_block(kernel_, k, rows, c_);
        if (n_.stored) {
            if (T* to = n_.out.mode == View::constant ? nullptr : destination(n_, k, c_)) std::copy(rows, rows + count * W<T>, to);
            else put(n_, k, rows, c_);
        }
        if (!n_.chain.empty()) go_on(n_, k, rows, scratch_ + n_.room(), kernel_, c_);
    }
};

// ---------------------------------------------------------------------------------------------- lookups

// y[v,…] = sum of source over the places where ids = v, ascending
template <class T>
void run_scatter(const Node<T>& n, Context<T>& c) {
    Range r = range_of(n, c);
    const Domain& d = n.domain;
    T* out = c.base[n.out.space];
    const View& s = n.in[0];
    const T* source = c.base[s.space];
    int labels[most], count = 0;
    long x[most] = {};
    for (int e = 0; e < n.kept; e++) labels[count++] = e;
    odometer(labels, count, r, x, [&] {
        out[at<T>(n.out, d, x, c.t)] = n.start.value < 0 ? T(0) : c.base[n.start.space][at<T>(n.start, d, x, c.t)];
    });
    count = 0;
    for (int e = n.kept; e < d.count; e++) labels[count++] = e;              // the places, ascending
    int rest[most], rests = 0;
    for (int e = 0; e < n.kept; e++)
        if (e != n.looked) rest[rests++] = e;
    odometer(labels, count, r, x, [&] {
        const std::int64_t id = c.integers[at<T>(n.b, d, x, c.t)];
        if (!good_id(n, id, c) || id < r.low[n.looked] || id >= r.high[n.looked]) return;
        x[n.looked] = id;
        odometer(rest, rests, r, x, [&] { out[at<T>(n.out, d, x, c.t)] += source[at<T>(s, d, x, c.t)]; });
    });
}

// y[…,v] = 1 where ids[…] = v, else 0
template <class T>
void run_onehot(const Node<T>& n, Context<T>& c) {
    const Range r = range_of(n, c);
    const Domain& d = n.domain;
    T* out = c.base[n.out.space];
    int labels[most], count = 0;
    long x[most] = {};
    for (int e = 0; e < n.kept; e++)
        if (e != n.looked) labels[count++] = e;
    odometer(labels, count, r, x, [&] {
        const std::int64_t id = c.integers[at<T>(n.b, d, x, c.t)];
        good_id(n, id, c);
        for (long v = r.low[n.looked]; v < r.high[n.looked]; v++) {
            x[n.looked] = v;
            out[at<T>(n.out, d, x, c.t)] = v == id ? T(1) : T(0);
        }
    });
}

// y[j,i] = x[i,j]
template <class T>
void run_twin(const Node<T>& n, Context<T>& c) {
    const Range r = range_of(n, c);
    const T* from = c.base[n.a.space] + n.a.base;
    Block k;
    panels<T>(1, r, k, [&] {
        row_blocks<T>(0, r, k, [&] {
            turn_block(n, k, from + k.x[1] / W<T> * n.a.panel + k.x[0] * W<T>, W<T>, kernels<T>(), c);
        });
    });
}

template <class T>
void run_loop(const Node<T>& n, Context<T>& c) {
    for (long s = 0; s < n.steps; s++) {
        c.t = n.descending ? n.steps - 1 - s : s;
        for (const Node<T>& m : n.body) run_node(m, c);
    }
    c.t = 0;
}

}  // namespace

template <class T>
void run_node(const Node<T>& n, Context<T>& c) {
    switch (n.op) {
        case MAP: return run_map(n, c);
        case DENSE: return n.form == ANY ? run_dense_any(n, c) : run_dense(n, c);
        case REDUCE: return Reduction<T>(n, c).run();
        case GATHER: return run_gather(n, c);
        case SCATTER: return run_scatter(n, c);
        case COLLECT: return run_collect(n, c);
        case ONEHOT: return run_onehot(n, c);
        case TWIN: return run_twin(n, c);
        case LOOP: return run_loop(n, c);
    }
}

template void run_node(const Node<float>&, Context<float>&);
template void run_node(const Node<double>&, Context<double>&);

}  // namespace backproof
