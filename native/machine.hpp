// The machine: runs any program on a team of threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "blocks.hpp"
#include "plan.hpp"
#include "pool.hpp"

namespace backproof {

// one array of the data, sample-first and contiguous: T elements, or 64-bit integers for an integer value
struct Source {
    int value;
    const void* data;
};

struct Done {
    long steps = 0, samples = 0;
    double loss = 0, objective = 0, idle = 0;
    long failed_step = -1;
    std::string failed;                          // the value that was not finite
    std::string bad_ids;
    bool interrupted = false;
};

struct Epoch {
    std::vector<Source> sources;
    const std::int64_t* rows;                    // the rows to take, in order
    const std::int64_t* originals;               // their numbers in the whole training set: the addresses of the dropout draws
    long count, batch;
    std::vector<std::pair<int, const double*>> scalars;          // a number per step
    std::map<std::string, long> extents;         // symbols other than the samples'
    std::string samples;                         // the symbol of the samples
    std::uint32_t key[2], epoch;                 // of the dropout draws
    int loss, objective, idle = -1;              // values; idle: of pairs, how many had a loss of 0
    Done begun;                                  // to go on from: its sums are continued
    bool (*interrupted)(void*);
    void* asked;
};

using Clock = std::chrono::steady_clock;

struct Stretch {                                 // steps by a team of one size
    int members;
    long steps;
    bool trial;                                  // to find out how fast that size is
};

template <class T>
class Machine {
  public:
    Machine(Program program, int threads);
    const Program& program() const { return bound_.program; }

    void resolve(const std::map<std::string, long>& extents);
    void feed(int value, const T* rowmajor);                     // input, parameter, state or scalar
    void feed_integers(int value, const std::int64_t* rowmajor);
    void turn_twins();                                           // after parameters were fed
    void run(bool update);
    void read(int value, T* rowmajor, bool next) const;          // next: what replaces it
    void read(const Operand& operand, const std::vector<int>& labels, T* rowmajor) const;
    void open(int in, const Operand& out, const std::vector<int>& labels);     // a program of one dense input (n, …)
    double expect(long samples);                                 // its plan for so many; gives the work of a run
    bool answer(const T* x, long inputs, T* y, long outputs);    // false: something is not finite
    std::string first_not_finite() const;
    std::string bad_ids() const { return bad_ids_ < 0 ? "" : program().values[bad_ids_].name; }
    Done epoch(const Epoch& e);
    Done last;                                   // of the last epoch, also when an interrupt ended it
    std::atomic<bool> cancelled{false};          // from another thread: the epoch under way ends after the step at hand
    long bytes() const;
    int members() const { return members_; }
    void use(int threads) { allowed_.store(threads, std::memory_order_relaxed); }    // at most, from the next stretch of steps on
    std::tuple<long, long, long> step_shape() const;             // of a training step: nodes, links of their chains, barriers
    std::pair<long, long> words() const;                         // how many the program has, and how many runs they take

  private:
    struct Buffer {                                              // 64-byte aligned, zeroed
        explicit Buffer(long elements = 0);
        ~Buffer();
        Buffer(const Buffer&) = delete;
        Buffer& operator=(const Buffer&) = delete;
        void need(long elements);
        T* at = nullptr;
        long size = 0;
    };

    Bound<T> bound_;
    int threads_, members_ = 1;
    std::map<std::vector<long>, std::unique_ptr<Plan<T>>> plans_;
    Plan<T>* plan_ = nullptr;
    Buffer arena_, persistent_[2], tables_, scratch_;
    std::vector<std::int64_t> integers_;
    int now_ = 0;                                                // which of the two holds the current parameters
    int bad_ids_ = -1;
    std::atomic<int> allowed_{1 << 30};                          // members of the team of an epoch that is under way
    double together_ = 0, alone_ = 0;                            // seconds a step, as last measured
    Clock::time_point next_trial_;                               // of the size that is not at work
    double patience_ = 2;                                        // how many times its length a trial of a team that failed is not repeated
    struct {
        int in = -1, sample = -1;                                // the input, and the index of its samples
        long samples = -1;
        const Plan<T>* plan = nullptr;
        Operand out;
        std::vector<int> labels;
    } door_;

    std::vector<long> lengths(const std::map<std::string, long>& extents) const;
    void choose(std::vector<long> lengths, int members = 0);     // 0: as many as are worth it
    Context<T> context(int member, int members) const;
    void constants();
    void execute(const std::vector<Node<T>>& nodes, Context<T>& c, Barrier& barrier) const;
    void gather(const Epoch& e, long start, long count, Context<T>& c);
    Ahead widest(const Epoch& e) const;
    void look_ahead(const Epoch& e, long start, Context<T>& c);
    void gather_one(const Value& value, const Layout& l, const Source& s, const std::int64_t* rows, long low, long high);
    void draw(const Epoch& e, const std::int64_t* rows, long low, long high);
    void train(const Epoch& e, Done& done, int member, int members, long first, long behind, Barrier& barrier, struct Shared& shared);
    void stretch(const Epoch& e, Done& done, int wanted, long first, long behind, bool trial, struct Shared& shared);
    Stretch next_stretch(int team);
    void put(int member, int members);                           // the new rows into their tables
    T* space(Space s) const;
    const T* place(const Layout& l) const;
};

// does the id name an entry? −1 may stand for none; anything else outside the index is remembered as wrong
template <class T>
inline bool good_id(const Node<T>& n, std::int64_t id, Context<T>& c) {
    if (id >= 0 && id < n.domain.extent[n.looked]) return true;
    if (id == -1 && n.holes) return false;
    c.bad_ids = n.b.value;
    return false;
}

template <class T>
void run_gather(const Node<T>& n, Context<T>& c);
template <class T>
void run_collect(const Node<T>& n, Context<T>& c);

template <class T>
void run_node(const Node<T>& n, Context<T>& c);

// Below this many multiply-adds a run, waking and waiting cost more than a second thread gives; tests set it to 0.
extern double worth_a_thread;

}  // namespace backproof
