// A program resolved for the extents at hand: nodes with views, who does what, and where a barrier stands.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "layout.hpp"

namespace backproof {

template <class T>
constexpr long block_rows = 512 / W<T>;          // rows of a block: a word list runs over 512 elements in cache
constexpr int longest_chain = 15;
constexpr std::size_t most_operands = 32;        // of a word list

template <class T>
struct alignas(64) Line {
    T lane[W<T>];
};

// A word list, bound to the kernels: slots are reused as soon as nobody reads them.
template <class T>
struct WordList {
    struct Source {
        Argument::Kind kind = Argument::number;
        int at = 0;
        const T* number = nullptr;
    };
    struct Step {
        WordFunction<T> run = nullptr;
        int operands = 0, slot = 0;
        Source from[3];
    };
    std::vector<Step> steps;
    int slots = 0;
    bool plain = false;                          // nothing but a copy of the product
    int bare = -1;                               // nothing but a copy of this operand
    std::deque<Line<T>> numbers;
};

enum Op { MAP, DENSE, REDUCE, GATHER, SCATTER, COLLECT, ONEHOT, TWIN, LOOP };
enum Split { SAMPLES, OUTPUT, ALONE };           // who works: each its samples, each its part of the output, one for all
enum Form { FORWARD, GRADIENT, ANY };            // of a dense: how its factors lie
enum How { SUM, LARGEST, LOGSUMEXP };

template <class T>
struct Node {
    Op op = MAP;
    Split split = ALONE;
    int split_label = -1;                        // position in the domain
    bool barrier = false;                        // everybody's work before must be done
    bool check = false;                          // its result must be finite
    int writes = -1;                             // the value
    Domain domain;                               // labels of the result, then what is summed or looked up
    int kept = 0;                                // how many are labels of the result
    int outer[most], outers = 0;                 // labels of the result that are neither rows nor lanes
    View out, a, b, start;                       // start: what a sum goes on from, where it has a value
    std::vector<View> in;
    const WordList<T>* words = nullptr;
    Form form = ANY;
    How how = SUM;
    int looked = -1;                             // gather, scatter, onehot: position of the index
    bool holes = false;                          // the ids may be −1: no entry
    long run_outer = 1, run = 0, run_last = 0, a_outer = 0, b_outer = 0, a_first = 0, b_first = 0;
    std::vector<Node> chain;                     // maps and twins that go on with every block of the result (step.cpp)
    bool far = false;                            // parameters do not stay in the cache from step to step
    bool stored = true;                          // false: only the chain reads the result
    long vocabulary = 0, places = 0, buckets = 0, hash = 0;      // collect: ids lie below, how many places, its hash table's size and where it lies
    std::vector<Node> body;
    long steps = 0;
    bool descending = false;                     // a loop, or a sum over time
    int time = -1;                               // of a sum: position of the time that it runs over
    double work = 0;                             // multiply-adds

    long room() const { return words ? (words->slots + static_cast<long>(in.size()) + 1) * 512 : 0; }     // of its word list

    void find_outers() {
        outers = 0;
        for (int d = 0; d < kept; d++)
            if (d != domain.inner && d != domain.column) outer[outers++] = d;
    }
};

// Rows that change place after a step: of the table at the ids, from where the step made them.
struct Put {
    Domain domain;                                       // of the ids' labels
    View ids;
    Layout from, to;
    int row_axes[most], rows = 0;                        // labels of `from` without the last axis: positions in the domain
};

template <class T>
struct Plan {
    std::vector<long> extents;                   // per index of the program
    std::vector<Layout> layouts;                 // per value
    std::vector<Put> puts;
    std::vector<Node<T>> main, update;           // as the program has them, every value in its place
    std::vector<Node<T>> step;                   // both together as a training step runs them
    std::vector<Node<T>> twins;                  // of parameters given from outside
    long arena = 0, integers = 0, scratch = 0;   // elements
    long samples = 0;
    double work = 0;
};

// What does not depend on the extents of a run: bound word lists, and the arena of parameters and state.
template <class T>
struct Bound {
    Program program;
    std::vector<std::unique_ptr<WordList<T>>> words;     // in the order of the instructions, bodies after their loop
    std::vector<int> replaced_by;                        // value -> the value that replaces it, or -1
    std::vector<bool> has_twin;                          // of parameters
    std::vector<Layout> fixed, twin;                     // layouts in CURRENT
    long persistent = 0, tables = 0;                     // elements of CURRENT, of TABLES
    std::vector<bool> checked;                           // values that must be finite
    explicit Bound(Program p);
};

void fold(Program& p);                                   // see fold.cpp

// Orders, joins and separates the nodes of a plan: see step.cpp.
template <class T>
void arrange(const Bound<T>& bound, Plan<T>& plan, int members);

template <class T>
std::unique_ptr<Plan<T>> resolve(const Bound<T>& bound, const std::vector<long>& extents, int members);

// The share of a member: whole units of an extent.
inline void share(long extent, long unit, int member, int members, long& low, long& high) {
    const long units = (extent + unit - 1) / unit;
    low = std::min(extent, units * member / members * unit);
    high = std::min(extent, units * (member + 1) / members * unit);
}

template <class T>
inline long output_unit(const Node<T>& n, int members) {
    if (n.split_label == n.domain.column) return W<T>;
    const long extent = n.domain.extent[n.split_label];
    return extent >= 2 * W<T> * members ? W<T> : extent >= 8 * members ? 4 : 1;
}

}  // namespace backproof
