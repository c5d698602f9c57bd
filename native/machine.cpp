// The machine's door: arrays in and out, and one execution of a program.
#include "machine.hpp"

#include <cmath>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace backproof {

double worth_a_thread = 4e5;

template <class T>
Machine<T>::Buffer::Buffer(long elements) { need(elements); }

template <class T>
Machine<T>::Buffer::~Buffer() { std::free(at); }

template <class T>
void Machine<T>::Buffer::need(long elements) {
    if (elements <= size && at) return;
    constexpr std::size_t line = 64, page = std::size_t(1) << 21;
    const std::size_t wanted = static_cast<std::size_t>(elements + W<T>) * sizeof(T), unit = wanted < page ? line : page;
    const std::size_t bytes = (wanted + unit - 1) / unit * unit;
    void* fresh = std::aligned_alloc(unit, bytes);
    if (!fresh) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (unit == page) madvise(fresh, bytes, MADV_HUGEPAGE);          // fewer misses of the page table; a wish, no need
#endif
    std::memset(fresh, 0, bytes);
    std::free(at);
    at = static_cast<T*>(fresh);
    size = elements;
}

template <class T>
Machine<T>::Machine(Program program, int threads) : bound_(std::move(program)) {
    const int available = Team::processors();
    threads_ = threads <= 0 ? available : std::min(threads, 64);
    for (auto& half : persistent_) half.need(bound_.persistent);
    tables_.need(bound_.tables);
}

// ---------------------------------------------------------------------------------------------- extents

template <class T>
std::vector<long> Machine<T>::lengths(const std::map<std::string, long>& extents) const {
    std::vector<long> result;
    for (const Index& i : program().indices) {
        if (i.symbol.empty()) {
            result.push_back(i.extent);
            continue;
        }
        const auto known = extents.find(i.symbol);
        if (known == extents.end()) throw std::runtime_error("the extent " + i.symbol + " is unknown: no input has it");
        result.push_back(known->second);
    }
    return result;
}

template <class T>
void Machine<T>::choose(std::vector<long> lengths, int members) {
    if (plans_.size() > 16) plans_.clear();                          // lengths that vary without end
    const auto planned = [&](int team) -> Plan<T>* {
        auto key = lengths;
        key.push_back(team);
        auto& plan = plans_[key];
        if (!plan) plan = backproof::resolve(bound_, lengths, team);
        return plan.get();
    };
    plan_ = planned(members ? members : threads_);
    members_ = members ? members : threads_;
    if (!members && threads_ > 1 && plan_->work < worth_a_thread) plan_ = planned(members_ = 1);
    arena_.need(plan_->arena);
    scratch_.need(plan_->scratch * threads_);
    if (static_cast<long>(integers_.size()) < plan_->integers) integers_.resize(static_cast<std::size_t>(plan_->integers));
}

template <class T>
void Machine<T>::resolve(const std::map<std::string, long>& extents) {
    choose(lengths(extents));
    constants();
}

// powers of extents, such as N^-1
template <class T>
void Machine<T>::constants() {
    for (std::size_t v = 0; v < program().values.size(); v++) {
        const Value& value = program().values[v];
        if (value.storage != "extent") continue;
        const auto hat = value.name.rfind('^');
        const std::string symbol = value.name.substr(0, hat);
        const int power = std::stoi(value.name.substr(hat + 1));
        long length = -1;
        for (std::size_t k = 0; k < program().indices.size(); k++)
            if (program().indices[k].symbol == symbol) length = plan_->extents[k];
        if (length < 0) throw std::runtime_error("the extent " + symbol + " is unknown: no index has it");
        std::fill_n(arena_.at + plan_->layouts[v].offset, W<T>, static_cast<T>(std::pow(static_cast<double>(length), power)));
    }
}

template <class T>
long Machine<T>::bytes() const {
    return (arena_.size + persistent_[0].size + persistent_[1].size + tables_.size + scratch_.size) * static_cast<long>(sizeof(T)) +
           static_cast<long>(integers_.size()) * 8;
}

// ---------------------------------------------------------------------------------------------- arrays in and out

template <class T>
T* Machine<T>::space(Space s) const {
    return s == ARENA ? arena_.at : s == TABLES ? tables_.at : persistent_[s == CURRENT ? now_ : 1 - now_].at;
}

template <class T>
const T* Machine<T>::place(const Layout& l) const {
    return space(l.space) + l.offset;
}

// between a row-major array and panels
template <class T, bool in>
void carry(const Layout& l, T* panels, T* rowmajor) {
    if (l.rank == 0) {
        if constexpr (in) std::fill_n(panels, W<T>, rowmajor[0]);
        else rowmajor[0] = panels[0];
        return;
    }
    const long columns = l.extent[l.rank - 1], step = l.rank > 1 ? l.stride[l.rank - 2] : W<T>;
    long rows = 1;
    for (int k = 0; k < l.rank - 1; k++) rows *= l.extent[k];
    for (long r = 0; r < rows; r++)
        for (long c = 0; c < columns; c += W<T>) {
            T *row = panels + c / W<T> * l.panel + r * step, *flat = rowmajor + r * columns + c;
            const std::size_t bytes = static_cast<std::size_t>(std::min(W<T>, columns - c)) * sizeof(T);
            if constexpr (in) std::memcpy(row, flat, bytes);
            else std::memcpy(flat, row, bytes);
        }
}

template <class T>
void Machine<T>::feed(int value, const T* rowmajor) {
    const Layout& l = bound_.fixed[value].space != ARENA ? bound_.fixed[value] : plan_->layouts[value];
    carry<T, true>(l, const_cast<T*>(place(l)), const_cast<T*>(rowmajor));
}

template <class T>
void Machine<T>::feed_integers(int value, const std::int64_t* rowmajor) {
    const Layout& l = plan_->layouts[value];
    std::copy(rowmajor, rowmajor + l.size, integers_.data() + l.offset);
}

template <class T>
void Machine<T>::turn_twins() {
    Context<T> c = context(0, 1);
    for (const Node<T>& n : plan_->twins) run_node(n, c);
    std::memcpy(persistent_[1 - now_].at, persistent_[now_].at, static_cast<std::size_t>(bound_.persistent) * sizeof(T));
}

template <class T>
void Machine<T>::read(int value, T* rowmajor, bool next) const {
    Layout l = bound_.fixed[value].space != ARENA ? bound_.fixed[value] : plan_->layouts[value];
    if (next && l.space == CURRENT) l.space = NEXT;
    carry<T, false>(l, const_cast<T*>(place(l)), rowmajor);
}

template <class T>
std::string Machine<T>::first_not_finite() const {
    std::vector<int> order;
    const auto collect = [&](const auto& self, const std::vector<Instruction>& list) -> void {
        for (const Instruction& i : list) {
            if (i.op != "loop") order.push_back(i.out);
            self(self, i.body);
        }
    };
    collect(collect, program().main);
    collect(collect, program().update);
    for (int v : order) {
        const Layout& l = plan_->layouts[v];
        const T* panels = place(l);
        const long columns = l.rank ? l.extent[l.rank - 1] : 1, rows = l.rank ? l.panel / W<T> : 1;
        for (long c = 0; c < columns; c++)
            for (long r = 0; r < rows; r++) {
                const T x = panels[c / W<T> * l.panel + r * W<T> + c % W<T>];
                if (!(x - x == 0)) return program().values[v].name;
            }
    }
    return "";
}

template <class T>
std::tuple<long, long, long> Machine<T>::step_shape() const {
    long links = 0, barriers = 0;
    for (const Node<T>& n : plan_->step) {
        links += static_cast<long>(n.chain.size());
        barriers += n.barrier;
    }
    return {static_cast<long>(plan_->step.size()), links, barriers};
}

template <class T>
std::pair<long, long> Machine<T>::words() const {
    long words = 0, runs = 0;
    const auto count = [&](const auto& self, const std::vector<Instruction>& list) -> void {
        for (const Instruction& i : list) {
            words += static_cast<long>(i.words.size());
            self(self, i.body);
        }
    };
    count(count, program().main);
    count(count, program().update);
    for (const auto& list : bound_.words) runs += static_cast<long>(list->steps.size());
    return {words, runs};
}

// ---------------------------------------------------------------------------------------------- running

template <class T>
Context<T> Machine<T>::context(int member, int members) const {
    Context<T> c;
    c.base[ARENA] = arena_.at;
    c.base[CURRENT] = persistent_[now_].at;
    c.base[NEXT] = persistent_[1 - now_].at;
    c.base[TABLES] = tables_.at;
    c.integers = integers_.data();
    c.scratch = scratch_.at + member * plan_->scratch;
    c.member = member;
    c.members = members;
    c.samples = plan_->samples;
    return c;
}

template <class T>
void Machine<T>::execute(const std::vector<Node<T>>& nodes, Context<T>& c, Barrier& barrier) const {
    for (const Node<T>& n : nodes) {
        if (n.barrier && c.members > 1) barrier.wait();
        if (n.split != ALONE || c.member == 0) run_node(n, c);
    }
}

template <class T>
void Machine<T>::run(bool update) {
    const int members = Team::begin(members_);
    Barrier barrier(members);
    bad_ids_ = -1;
    std::atomic<int> bad{-1};
    const auto work = [&](int member) {
        Context<T> c = context(member, members);
        execute(plan_->main, c, barrier);
        if (update) execute(plan_->update, c, barrier);
        if (c.bad_ids >= 0) bad.store(c.bad_ids);
    };
    Team::run(members, work);
    if (members > 1) Team::end();
    bad_ids_ = bad.load();
}

template class Machine<float>;
template class Machine<double>;

}  // namespace backproof
