// Tables of vectors: what a step looks up, sums by id and puts back. Nothing here costs anything in the vocabulary.
#include "machine.hpp"

namespace backproof {
namespace {

// The first place of every id met: open addressing in a power of two of buckets, at most half of them full.
class FirstPlace {
  public:
    FirstPlace(std::int64_t* memory, long buckets) : ids_(memory), places_(memory + buckets), mask_(buckets - 1) {
        std::fill_n(ids_, buckets, -1);
    }
    // the place of an id, which becomes `place` where the id is new
    std::int64_t enter(std::int64_t id, std::int64_t place) {
        const long at = find(id);
        if (ids_[at] < 0) ids_[at] = id, places_[at] = place;
        return places_[at];
    }
    std::int64_t place(std::int64_t id) const {
        const long at = find(id);
        return ids_[at] < 0 ? -1 : places_[at];
    }

  private:
    std::int64_t *ids_, *places_;
    long mask_;

    long find(std::int64_t id) const {
        long at = static_cast<long>(static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15u >> 32) & mask_;
        while (ids_[at] >= 0 && ids_[at] != id) at = (at + 1) & mask_;
        return at;
    }
};

// labels of a view in the order of its value's axes: the order in which a scatter adds
int labels_of(const View& v, const Domain& d, int* labels) {
    int count = 0;
    for (int e = 0; e < d.count; e++)
        if (v.stride[e]) labels[count++] = e;
    std::sort(labels, labels + count, [&](int a, int b) { return v.stride[a] > v.stride[b]; });
    return count;
}

// A row of a view: where its lanes lie, with those of one label along its panels, or one number for all of them.
template <class T>
struct Row {
    long base;
    const View* v;
    bool lanes;
    long operator()(long lane) const { return lanes ? base + (lane + v->shift) / W<T> * v->panel + (lane + v->shift) % W<T> : base; }
};

// f(run, place in a, place in b) for runs of the lanes low … high that lie together in both rows
template <class T, class F>
void runs(const Row<T>& a, const Row<T>& b, long low, long high, F&& f) {
    for (long lane = low, run; lane < high; lane += run) {
        run = a.lanes && b.lanes ? std::min({high - lane, W<T> - (lane + a.v->shift) % W<T>, W<T> - (lane + b.v->shift) % W<T>}) : 1;
        f(run, a(lane), b(lane));
    }
}

template <class T>
Row<T> row_of(const View& v, const Domain& d, const long* x, int last, long t) {             // x[last] is 0
    const bool lanes = last >= 0 && v.panelled == last;
    return {at<T>(v, d, x, t) - (lanes ? v.shift / W<T> * v.panel + v.shift % W<T> : 0), &v, lanes};
}

}  // namespace

// y[…] = source[…, ids[…]]
template <class T>
void run_gather(const Node<T>& n, Context<T>& c) {
    const Range r = range_of(n, c);
    const Domain& d = n.domain;
    const View& s = n.in[0];
    const T* source = c.base[s.space];
    T* out = c.base[n.out.space];
    const bool together = d.column >= 0 && n.b.stride[d.column] == 0 && s.panelled == d.column && n.out.panelled == d.column;
    int labels[most], count = 0;                                                  // one id each: a row, or one element
    for (int e = 0; e < n.kept; e++)
        if (e != d.column || !together) labels[count++] = e;
    long x[most] = {};
    if (!together) {
        odometer(labels, count, r, x, [&] {
            const std::int64_t id = c.integers[at<T>(n.b, d, x, c.t)];
            const bool good = good_id(n, id, c);
            x[n.looked] = good ? id : 0;
            const T value = good ? source[at<T>(s, d, x, c.t)] : T(0);
            T* to = out + at<T>(n.out, d, x, c.t);
            if (n.out.mode == View::constant) std::fill_n(to, W<T>, value);
            else *to = value;
        });
        return;
    }
    const int last = d.column;
    const long low = r.low[last], high = r.high[last], lines = (high - low + W<T> - 1) / W<T>;
    if (s.space == TABLES)                                                        // rows far apart: ask for all of them first
        odometer(labels, count, r, x, [&] {
            const std::int64_t id = c.integers[at<T>(n.b, d, x, c.t)];
            if (id < 0 || id >= d.extent[n.looked]) return;
            x[n.looked] = id;
            const Row<T> from = row_of<T>(s, d, x, last, c.t);
            for (long q = 0; q < lines; q++) __builtin_prefetch(source + from(low) + q * s.panel);
        });
    std::fill_n(x, most, 0);
    odometer(labels, count, r, x, [&] {
        const std::int64_t id = c.integers[at<T>(n.b, d, x, c.t)];
        const bool good = good_id(n, id, c);
        x[n.looked] = good ? id : 0;
        const Row<T> to = row_of<T>(n.out, d, x, last, c.t), from = row_of<T>(s, d, x, last, c.t);
        runs(to, from, low, high, [&](long run, long y, long z) {
            if (!good) std::fill_n(out + y, run, T(0));
            else if (run == W<T>) std::memcpy(out + y, source + z, W<T> * sizeof(T));
            else for (long j = 0; j < run; j++) out[y + j] = source[z + j];
        });
    });
}

// y[places…, i] = sum over all (source, ids) and their places p, ascending, of source[p, i] where ids[p] is the id here
template <class T>
void run_collect(const Node<T>& n, Context<T>& c) {
    const Range r = range_of(n, c);
    const Domain& d = n.domain;
    const View& here = n.in.back();
    T* out = c.base[n.out.space];
    int places[most];
    const int count = labels_of(here, d, places), last = count < n.kept ? n.kept - 1 : -1;
    const long lanes = last < 0 ? 1 : d.extent[last];
    FirstPlace first(const_cast<std::int64_t*>(c.integers) + n.hash, n.buckets);      // memory that no value has
    const auto row = [&](const View& v, const long* x) { return row_of<T>(v, d, x, last, c.t); };
    const auto row_at = [&](long place) {
        long y[most] = {};
        for (int k = count - 1; k >= 0; k--) {
            y[places[k]] = place % d.extent[places[k]];
            place /= d.extent[places[k]];
        }
        return row(n.out, y);
    };
    long x[most] = {}, place = 0;
    odometer(places, count, r, x, [&] {
        const std::int64_t id = c.integers[at<T>(here, d, x, c.t)];
        const Row<T> to = row(n.out, x);
        if (id == -1 && n.holes) runs(to, to, 0, lanes, [&](long run, long y, long) { std::fill_n(out + y, run, T(0)); });
        else if (id < 0 || id >= n.vocabulary) c.bad_ids = here.value;
        else if (first.enter(id, place) == place) runs(to, to, 0, lanes, [&](long run, long y, long) { std::fill_n(out + y, run, T(0)); });
        place++;
    });
    for (std::size_t k = 0; k + 1 < n.in.size(); k += 2) {
        const T* source = c.base[n.in[k].space];
        int labels[most];
        const int many = labels_of(n.in[k + 1], d, labels);
        std::fill_n(x, most, 0);
        odometer(labels, many, r, x, [&] {
            const std::int64_t id = c.integers[at<T>(n.in[k + 1], d, x, c.t)], to = id < 0 ? -1 : first.place(id);
            if (to < 0) return;
            runs(row_at(to), row(n.in[k], x), 0, lanes, [&](long run, long y, long s) {
                for (long j = 0; j < run; j++) out[y + j] += source[s + j];
            });
        });
    }
    place = 0;
    std::fill_n(x, most, 0);
    odometer(places, count, r, x, [&] {
        const std::int64_t id = c.integers[at<T>(here, d, x, c.t)], from = id < 0 ? -1 : first.place(id);
        if (from >= 0 && from != place)
            runs(row(n.out, x), row_at(from), 0, lanes, [&](long run, long y, long s) { std::copy_n(out + s, run, out + y); });
        place++;
    });
}

// Each member puts its own lines of every row, so no two of them meet; places with one id hold the same row.
template <class T>
void Machine<T>::put(int member, int members) {
    for (const Put& p : plan_->puts) {
        const long lines = p.to.stride[0] / W<T>;
        long low, high;
        share(lines, 1, member, members, low, high);
        if (low == high) continue;
        Range r{};
        int all[most];
        for (int k = 0; k < p.domain.count; k++) all[k] = k, r.high[k] = p.domain.extent[k];
        long x[most] = {};
        odometer(all, p.domain.count, r, x, [&] {
            const std::int64_t id = integers_[static_cast<std::size_t>(at<T>(p.ids, p.domain, x, 0))];
            if (id < 0) return;
            const T* from = arena_.at + p.from.offset;
            for (int k = 0; k < p.rows; k++) from += x[p.row_axes[k]] * p.from.stride[k];
            T* to = tables_.at + p.to.offset + id * p.to.stride[0];
            for (long q = low; q < high; q++) std::memcpy(to + q * W<T>, from + q * p.from.panel, W<T> * sizeof(T));
        });
    }
}

template void run_gather(const Node<float>&, Context<float>&);
template void run_gather(const Node<double>&, Context<double>&);
template void run_collect(const Node<float>&, Context<float>&);
template void run_collect(const Node<double>&, Context<double>&);
template void Machine<float>::put(int, int);
template void Machine<double>::put(int, int);

}  // namespace backproof
