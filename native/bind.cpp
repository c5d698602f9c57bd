// Binding a program to the kernels: words by name, constants laid out, places for parameters and state.
#include <algorithm>
#include <map>

#include "plan.hpp"

namespace backproof {
namespace {

template <class T>
struct Run {                                                           // a word, or a pair of words, with what it takes
    WordFunction<T> run;
    std::vector<Argument> arguments;
};

// The words of an instruction; one that is read once, by a word that makes a pair with it, runs within the pair.
template <class T>
std::vector<Run<T>> in_pairs(const std::vector<Call>& calls) {
    const Kernels<T>& k = kernels<T>();
    const int count = static_cast<int>(calls.size());
    std::vector<int> readers(count, 0);
    for (const Call& call : calls)
        for (const Argument& a : call.arguments)
            if (a.kind == Argument::word) readers[a.at]++;
    std::vector<bool> within(count, false), paired(count, false);
    std::vector<Run<T>> runs(count);
    for (int w = 0; w < count; w++) {
        const Call& call = calls[w];
        const Word<T>* word = std::find_if(k.words, k.words + k.count, [&](const Word<T>& x) { return call.word == x.name; });
        if (word == k.words + k.count) throw std::runtime_error("the native engine has no word '" + call.word + "'");
        if (word->operands != static_cast<int>(call.arguments.size()))
            throw std::runtime_error("the word '" + call.word + "' takes another number of operands");
        runs[w] = {word->run, call.arguments};
        for (int place = 0; place < word->operands && word->operands == 2 && !paired[w]; place++) {
            const Argument& a = call.arguments[place];
            if (a.kind != Argument::word || readers[a.at] != 1 || paired[a.at]) continue;
            const Pair<T>* pair = std::find_if(k.pairs, k.pairs + k.pair_count, [&](const Pair<T>& x) {
                return calls[a.at].word == x.first && call.word == x.second && place == x.place;
            });
            if (pair == k.pairs + k.pair_count) continue;
            runs[w] = {pair->run, calls[a.at].arguments};
            runs[w].arguments.push_back(call.arguments[1 - place]);
            within[a.at] = paired[w] = true;
        }
    }
    std::vector<int> now(count, 0);                                    // positions without those within pairs
    std::vector<Run<T>> left;
    for (int w = 0; w < count; w++) {
        if (within[w]) continue;
        for (Argument& a : runs[w].arguments)
            if (a.kind == Argument::word) a.at = now[a.at];
        now[w] = static_cast<int>(left.size());
        left.push_back(std::move(runs[w]));
    }
    return left;
}

template <class T>
std::unique_ptr<WordList<T>> bind_words(const Instruction& instruction) {
    auto list = std::make_unique<WordList<T>>();
    const bool in_words = instruction.op != "collect" && instruction.op != "join";       // those two take any number
    if (in_words && instruction.operands.size() > most_operands) throw std::runtime_error("a word list has more than 32 operands");
    const std::vector<Run<T>> runs = in_pairs<T>(instruction.words);
    const int count = static_cast<int>(runs.size());
    std::vector<int> last(count, -1);                                  // the last reader of each word
    for (int w = 0; w < count; w++)
        for (const Argument& a : runs[w].arguments)
            if (a.kind == Argument::word) last[a.at] = w;
    std::vector<int> slot(count, 0), free;
    for (int w = 0; w < count; w++) {
        typename WordList<T>::Step step;
        step.run = runs[w].run;
        step.operands = static_cast<int>(runs[w].arguments.size());
        for (int j = 0; j < step.operands; j++) {
            const Argument& a = runs[w].arguments[j];
            step.from[j] = {a.kind, a.kind == Argument::word ? slot[a.at] : a.at, nullptr};
            if (a.kind == Argument::number) {
                auto& line = list->numbers.emplace_back();
                std::fill_n(line.lane, W<T>, static_cast<T>(a.constant));
                step.from[j].number = line.lane;
            }
        }
        if (free.empty()) free.push_back(list->slots++);
        slot[w] = step.slot = free.back();
        free.pop_back();
        for (int v = 0; v < w; v++)                                     // a word may not write where it reads: rows alias
            if (last[v] == w && std::find(free.begin(), free.end(), slot[v]) == free.end()) free.push_back(slot[v]);
        list->steps.push_back(step);
    }
    if (count == 1 && instruction.words[0].word == "copy") {
        const Argument& a = instruction.words[0].arguments[0];
        list->plain = a.kind == Argument::product;
        if (a.kind == Argument::operand) list->bare = a.at;
    }
    return list;
}

template <class T>
void bind_all(const std::vector<Instruction>& instructions, Bound<T>& bound) {
    for (const Instruction& i : instructions) {
        bound.words.push_back(bind_words<T>(i));
        bind_all(i.body, bound);
    }
}

void mark_factors(const std::vector<Instruction>& instructions, const Program& p, std::vector<bool>& marked) {
    for (const Instruction& i : instructions) {
        for (const Operand& f : i.factors)
            if (p.values[f.value].axes.size() == 2 && p.values[f.value].storage == "parameter") marked[f.value] = true;
        mark_factors(i.body, p, marked);
    }
}

// a table: parameter or state of two axes, read by lookups alone and written by rows or not at all
void mark_readers(const std::vector<Instruction>& instructions, std::vector<bool>& table) {
    for (const Instruction& i : instructions) {
        for (const Operand& f : i.factors) table[f.value] = false;
        for (std::size_t k = 0; k < i.operands.size(); k++)
            if (i.op != "gather" || k > 0 || i.operands[k].labels[0] != i.index) table[i.operands[k].value] = false;
        mark_readers(i.body, table);
    }
}

std::vector<bool> find_tables(const Program& p) {
    std::vector<bool> table;
    for (const Value& v : p.values) table.push_back((v.storage == "parameter" || v.storage == "state") && v.axes.size() == 2);
    mark_readers(p.main, table);
    mark_readers(p.update, table);
    for (auto [fresh, old] : p.replaces) table[old] = false;
    for (const RowsOf& r : p.rows)
        if (!table[r.table]) throw std::runtime_error(p.values[r.table].name + " is updated by rows and read as a whole");
    return table;
}

}  // namespace

template <class T>
Bound<T>::Bound(Program p) : program(std::move(p)) {
    const std::size_t count = program.values.size();
    fold(program);
    bind_all<T>(program.main, *this);
    bind_all<T>(program.update, *this);
    replaced_by.assign(count, -1);
    has_twin.assign(count, false);
    checked.assign(count, false);
    fixed.resize(count);
    twin.resize(count);
    for (auto [fresh, old] : program.replaces) replaced_by[old] = fresh;
    for (const int v : program.finite) checked[v] = true;
    mark_factors(program.main, program, has_twin);
    const std::vector<bool> table = find_tables(program);
    std::vector<long> extents;
    for (const Index& i : program.indices) extents.push_back(i.symbol.empty() ? i.extent : -1);
    for (std::size_t v = 0; v < count; v++) {
        const Value& value = program.values[v];
        if (value.storage != "parameter" && value.storage != "state") continue;
        if (std::any_of(value.axes.begin(), value.axes.end(), [&](int i) { return extents[i] < 0; })) {
            has_twin[v] = false;                                       // a carried state (n, j): part of a run's arena
            if (replaced_by[v] >= 0) throw std::runtime_error(value.name + " has a symbolic extent and is updated");
            continue;
        }
        fixed[v] = layout_of<T>(program, value, extents);
        if (table[v]) {
            fixed[v] = table_layout<T>(fixed[v]);
            fixed[v].offset = tables;
            tables += fixed[v].size;
            continue;
        }
        fixed[v].space = CURRENT;
        fixed[v].offset = persistent;
        persistent += fixed[v].size;
        if (has_twin[v]) {
            Value turned = value;
            std::swap(turned.axes[0], turned.axes[1]);
            twin[v] = layout_of<T>(program, turned, extents);
            twin[v].space = CURRENT;
            twin[v].offset = persistent;
            persistent += twin[v].size;
        }
    }
}

template struct Bound<float>;
template struct Bound<double>;

}  // namespace backproof
