// A run of training steps: minibatches gathered in place, steps applied or not at all, nothing allocated on the way.
//
// Every step writes the new parameters beside the old ones. They change places only after all members found everything
// finite, so a step that is not is not applied.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "machine.hpp"
#include "philox.hpp"

namespace backproof {

struct Shared {
    static constexpr int most_members = 64;
    std::atomic<bool> finite[2][most_members];
    std::atomic<int> bad_ids{-1};
    std::atomic<bool> stop{false};
    Clock::time_point asked = Clock::now();      // member 0: when signals were last looked at
    Clock::time_point began;                     // member 0: when the step at hand began
    double least = INFINITY;                     // and how many seconds the fastest took
};

namespace {

int sample_axis(const Program& p, const Value& v) {
    for (std::size_t k = 0; k < v.axes.size(); k++)
        if (p.indices[v.axes[k]].kind == "sample") return static_cast<int>(k);
    return -1;
}

}  // namespace

// rows `low` … `high` of the minibatch, from sample-first to the order in which the value lies
template <class T>
void Machine<T>::gather_one(const Value& value, const Layout& l, const Source& s, const std::int64_t* rows, long low, long high) {
    const int sample = sample_axis(program(), value), last = l.rank - 1;
    int axes[most], count = 0;                                              // all others but the last
    long each = 1;
    for (int k = 0; k < l.rank; k++) {
        if (k != sample) each *= l.extent[k];
        if (k != sample && k != last) axes[count++] = k;
    }
    Range r{};
    for (int k = 0; k < l.rank; k++) r.high[k] = l.extent[k];
    const long columns = last == sample ? 1 : l.extent[last];
    const T* data = static_cast<const T*>(s.data);
    constexpr long together = 8;                                            // rows of one panel are neighbours in cache
    long x[most] = {};
    for (long first = low; first < high; first += together) {
        const long behind = std::min(high, first + together);
        long from = 0;                                                      // within a sample
        odometer(axes, count, r, x, [&] {
            long place = l.offset;
            for (int j = 0; j < count; j++) place += x[axes[j]] * l.stride[axes[j]];
            if (l.space == INTEGERS) {
                for (long n = first; n < behind; n++)
                    std::copy_n(static_cast<const std::int64_t*>(s.data) + rows[n] * each + from, columns,
                                integers_.data() + place + n * l.stride[sample]);
            } else if (last == sample) {
                for (long n = first; n < behind; n++) arena_.at[place + n / W<T> * l.panel + n % W<T>] = data[rows[n] * each + from];
            } else {
                for (long c = 0; c < columns; c += W<T>, place += l.panel) {
                    const std::size_t bytes = static_cast<std::size_t>(std::min(W<T>, columns - c)) * sizeof(T);
                    for (long n = first; n < behind; n++) {
                        const T* at = data + rows[n] * each + from + c;
                        T* to = arena_.at + place + n * l.stride[sample];
                        if (bytes == W<T> * sizeof(T)) std::memcpy(to, at, W<T> * sizeof(T));
                        else std::memcpy(to, at, bytes);
                    }
                }
            }
            from += columns;
        });
    }
}

template <class T>
void Machine<T>::draw(const Epoch& e, const std::int64_t* rows, long low, long high) {
    for (const Dropout& noise : program().dropouts) {
        const Layout& l = plan_->layouts[noise.value];
        const int sample = sample_axis(program(), program().values[noise.value]);
        const long units = l.extent[l.rank - 1], times = l.rank == 3 ? l.extent[0] : 1;
        const T kept = static_cast<T>(1 / (1 - noise.rate));
        for (long n = low; n < high; n++)
            for (long j = 0; j < units * times; j += 4) {
                const std::uint32_t counter[4] = {e.epoch, static_cast<std::uint32_t>(rows[n]), static_cast<std::uint32_t>(j / 4),
                                                  static_cast<std::uint32_t>(noise.layer)};
                std::uint32_t word[4];
                philox(counter, e.key, word);
                for (long q = 0; q < 4 && j + q < units * times; q++) {
                    const long unit = (j + q) % units, t = (j + q) / units;
                    const long at = l.offset + (l.rank == 3 ? t * l.stride[0] : 0) + n * l.stride[sample] + unit / W<T> * l.panel + unit % W<T>;
                    arena_.at[at] = (word[q] >> 8) * 0x1p-24 >= noise.rate ? kept : T(0);
                }
            }
    }
}

template <class T>
void Machine<T>::gather(const Epoch& e, long start, long count, Context<T>& c) {
    long low = 0, high = count;
    if (c.members > 1) share(count, 1, c.member, c.members, low, high);
    for (const Source& s : e.sources) gather_one(program().values[s.value], plan_->layouts[s.value], s, e.rows + start, low, high);
    draw(e, e.originals + start, low, high);
    look_ahead(e, start + count, c);
}

// The source whose rows are fetched ahead: the largest, where all of it does not stay in the cache anyway.
template <class T>
Ahead Machine<T>::widest(const Epoch& e) const {
    constexpr long cache = 1 << 20;
    Ahead ahead;
    for (const Source& s : e.sources) {
        const Layout& l = plan_->layouts[s.value];
        const int sample = sample_axis(program(), program().values[s.value]);
        long bytes = l.space == INTEGERS ? sizeof(std::int64_t) : sizeof(T);
        for (int k = 0; k < l.rank; k++) bytes *= k == sample ? 1 : l.extent[k];
        if (bytes * e.count > cache && bytes > ahead.bytes) ahead.data = static_cast<const char*>(s.data), ahead.bytes = bytes;
    }
    return ahead;
}

// what a member will gather of the minibatch at `start`
template <class T>
void Machine<T>::look_ahead(const Epoch& e, long start, Context<T>& c) {
    Ahead& a = c.ahead;
    if (!a.bytes) return;
    constexpr double margin = 1.25, line = 64;
    const long count = std::max(0l, std::min(e.batch, e.count - start));
    long low = 0, high = count;
    if (c.members > 1) share(count, 1, c.member, c.members, low, high);
    a.rows = e.rows + start + low;
    a.count = high - low;
    a.row = a.byte = 0;
    a.rate = margin * static_cast<double>(a.count) * (static_cast<double>(a.bytes) / line + 1) * c.members / plan_->work;
}

template <class T>
void Machine<T>::train(const Epoch& e, Done& done, int member, int members, long first, long behind, Barrier& barrier, Shared& shared) {
    Context<T> c = context(member, members);
    c.ahead = widest(e);
    for (long k = first; k < behind; k++) {
        if (member == 0 && members_ > 1) {
            const auto now = Clock::now();
            if (k > first) shared.least = std::min(shared.least, std::chrono::duration<double>(now - shared.began).count());
            shared.began = now;
        }
        const long start = k * e.batch, count = std::min(e.batch, e.count - start);
        if (count != c.samples) {                                           // the last, smaller minibatch
            if (members > 1) barrier.wait();
            if (member == 0) {
                auto extents = e.extents;
                extents[e.samples] = count;
                choose(lengths(extents), members);                          // planned before: nothing is allocated
                constants();
            }
            if (members > 1) barrier.wait();
            const Context<T> fresh = context(member, members);
            c.scratch = fresh.scratch;
            c.samples = count;
        }
        gather(e, start, count, c);
        if (member == 0)
            for (auto [value, numbers] : e.scalars) {
                const Layout& l = plan_->layouts[value];
                const long size = l.rank ? l.extent[0] : 1;                 // one number a step, or one for each t
                for (long j = 0; j < (l.rank ? size : W<T>); j++)
                    arena_.at[l.offset + j] = static_cast<T>(numbers[k * size + (l.rank ? j : 0)]);
            }
        std::fill_n(c.doubt, W<T>, T(0));
        execute(plan_->step, c, barrier);
        shared.finite[k & 1][member].store(c.finite(), std::memory_order_relaxed);
        if (c.bad_ids >= 0) shared.bad_ids.store(c.bad_ids, std::memory_order_relaxed);
        if (member == 0 && e.interrupted && Clock::now() - shared.asked > std::chrono::milliseconds(50)) {
            if (e.interrupted(e.asked)) shared.stop.store(true, std::memory_order_relaxed);
            shared.asked = Clock::now();
        }
        if (members > 1) barrier.wait();
        bool finite = shared.bad_ids.load(std::memory_order_relaxed) < 0;
        for (int m = 0; m < members; m++) finite &= shared.finite[k & 1][m].load(std::memory_order_relaxed);
        const bool stop = shared.stop.load(std::memory_order_relaxed);
        if (member == 0) {
            if (finite) {
                now_ = 1 - now_;
                done.steps++;
                done.samples += count;
                done.loss += static_cast<double>(count) * static_cast<double>(arena_.at[plan_->layouts[e.loss].offset]);
                done.objective += static_cast<double>(count) * static_cast<double>(arena_.at[plan_->layouts[e.objective].offset]);
                if (e.idle >= 0) done.idle += static_cast<double>(arena_.at[plan_->layouts[e.idle].offset]);
            } else {
                done.failed_step = done.steps;
            }
            done.interrupted = stop;
        }
        if (finite) put(member, members);
        if (!finite || stop) return;
        if (members > 1 && !plan_->puts.empty()) barrier.wait();            // the next step looks the new rows up
        std::swap(c.base[CURRENT], c.base[NEXT]);
    }
}

// Steps first … behind by a team of the given size. The bits do not depend on it.
template <class T>
void Machine<T>::stretch(const Epoch& e, Done& done, int wanted, long first, long behind, bool trial, Shared& shared) {
    auto extents = e.extents;
    extents[e.samples] = std::min(e.batch, e.count - first * e.batch);
    choose(lengths(extents), wanted);
    constants();
    const int members = Team::begin(wanted);
    Barrier barrier(members);
    shared.least = INFINITY;
    const auto began = Clock::now();
    Team::run(members, [&](int member) { train(e, done, member, members, first, behind, barrier, shared); });
    const double took = std::chrono::duration<double>(Clock::now() - began).count(), each = took / static_cast<double>(behind - first);
    if (members > 1) Team::end();
    (wanted > 1 ? together_ : alone_) = trial ? std::min(each, shared.least) : each;
    const bool together = together_ <= alone_;
    if (!trial && (wanted == 1 || together)) return;
    constexpr double a_while = 0.003, thrift = 30;                          // in the long run a trial costs a thirtieth of the time
    const double rest = std::max(a_while, (together ? 10 * thrift : patience_) * took);       // one thread has few surprises
    next_trial_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(rest));
    patience_ = together ? 2 : std::min(2 * patience_, thrift);
}

// The next stretch is run by the size that was faster when last measured. A busy machine may have no processor to spare, so
// the other size is tried from time to time: what it can do at best counts then, and what it does on average afterwards.
template <class T>
Stretch Machine<T>::next_stretch(int team) {
    constexpr double glance = 0.02;                                         // seconds of a stretch
    if (team == 1) return {1, std::numeric_limits<int>::max(), false};
    const long trial = std::clamp(static_cast<long>(3e8 / plan_->work), 4l, 16l);
    if (together_ == 0) return {team, trial, true};
    if (alone_ == 0) return {1, trial, true};
    const bool faster_together = together_ <= alone_;
    const double left = std::chrono::duration<double>(next_trial_ - Clock::now()).count();
    if (left > 0)
        return {faster_together ? team : 1, std::clamp(static_cast<long>(std::min(glance, left) / std::min(together_, alone_)), 4l, 4096l), false};
    return {faster_together ? 1 : team, trial, true};
}

template <class T>
Done Machine<T>::epoch(const Epoch& e) {
    Done done = e.begun;
    if (e.count <= 0) return done;
    auto extents = e.extents;
    const long steps = (e.count + e.batch - 1) / e.batch;
    extents[e.samples] = std::min(e.batch, e.count);
    choose(lengths(extents));
    const int team = members_;
    for (const int members : {team, 1})
        for (const long batch : {e.count % e.batch, std::min(e.batch, e.count)})        // planned before the first step
            if (batch) {
                extents[e.samples] = batch;
                choose(lengths(extents), members);
            }
    turn_twins();
    Shared shared;
    patience_ = 2;                                                          // whoever ran before may hold the processors a moment more
    const auto go_on = [&] { return done.failed_step < 0 && !done.interrupted && shared.bad_ids.load() < 0; };
    for (long k = 0; k < steps && go_on();) {
        const Stretch next = next_stretch(std::clamp(allowed_.load(std::memory_order_relaxed), 1, team));
        const long behind = std::min(steps, k + next.steps);
        stretch(e, done, next.members, k, behind, next.trial, shared);
        k = behind;
    }
    if (shared.bad_ids.load() >= 0) done.bad_ids = program().values[static_cast<std::size_t>(shared.bad_ids.load())].name;
    if (done.failed_step >= 0) {                                            // once more, now with every value in its place
        Context<T> c = context(0, 1);
        Barrier nobody(1);
        execute(plan_->main, c, nobody);
        execute(plan_->update, c, nobody);
        done.failed = first_not_finite();
    }
    return done;
}

template void Machine<float>::train(const Epoch&, Done&, int, int, long, long, Barrier&, Shared&);
template void Machine<double>::train(const Epoch&, Done&, int, int, long, long, Barrier&, Shared&);
template Done Machine<float>::epoch(const Epoch&);
template Done Machine<double>::epoch(const Epoch&);

}  // namespace backproof
