// A program as data: what lower/program.py describes, with names resolved to positions within it.
#pragma once

#include <string>
#include <vector>

namespace backproof {

constexpr int FIRST = -1, LAST = -2;             // labels of an axis that is fixed at its first or last step

struct Index {
    std::string name, kind, symbol;              // symbol: of an extent that each run decides; empty where it is a number
    long extent = 0;
};

struct Value {
    std::string name, storage, pad;              // pad: "", "before" or "behind", the side with one more slot in time
    std::vector<int> axes;                       // positions of indices
    bool integer = false, holes = false;         // holes: −1 stands for no entry
    bool folded = false;                         // all steps share one slot (fold.cpp)
};

struct Operand {
    int value = -1;
    std::vector<int> labels;                     // per axis: an index, FIRST or LAST
    std::vector<long> offsets;
};

struct Argument {
    enum Kind { product, operand, word, number } kind;
    int at = 0;
    double constant = 0;
};

struct Call {
    std::string word;
    std::vector<Argument> arguments;
};

struct Instruction {
    std::string op, how;
    int out = -1, index = -1;
    std::vector<Operand> factors, operands;      // factors: the two of a dense
    std::vector<Call> words;
    std::vector<Instruction> body;
    std::vector<int> parts;                      // join: each operand's own index
    bool descending = false;                     // a sum over time that begins at the last step
    std::vector<Operand> start;                  // what a sum goes on from; empty: 0
};

struct RowsOf {                                  // a table's rows that a step replaces, at the places of the ids
    int fresh, table;
    Operand ids;
};

struct Dropout {                                 // a noise that the engine draws
    int value;
    long layer;
    double rate;
};

struct Program {
    std::vector<Index> indices;
    std::vector<Value> values;
    std::vector<Instruction> main, update;
    std::vector<std::pair<int, int>> replaces;   // (new value, the parameter or state whose place it takes)
    std::vector<std::pair<int, int>> gradients;  // (parameter, its gradient)
    std::vector<int> finite;                     // values that must be finite
    std::vector<int> outputs;                    // values that are read after a run
    std::vector<Dropout> dropouts;
    std::vector<RowsOf> rows;                    // put after the step was found finite

    int value(const std::string& name) const {
        for (std::size_t k = 0; k < values.size(); k++)
            if (values[k].name == name) return static_cast<int>(k);
        return -1;
    }
};

}  // namespace backproof
