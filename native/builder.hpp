// A program built call by call, every position checked.
#pragma once

#include <stdexcept>

#include "program.hpp"

namespace backproof {

// Instructions are given one after another; begin_loop … end_loop nest.
class Builder {
  public:
    int index(const std::string& name, const std::string& kind, const std::string& symbol, long extent) {
        program_.indices.push_back({name, kind, symbol, extent});
        return static_cast<int>(program_.indices.size()) - 1;
    }
    int value(const std::string& name, const std::vector<int>& axes, const std::string& storage, bool integer, const std::string& pad) {
        for (int axis : axes) check(axis, program_.indices.size());
        program_.values.push_back({name, storage, pad, axes, integer, false});
        return static_cast<int>(program_.values.size()) - 1;
    }
    void instruction(const std::string& op, const std::string& how, int out, int index) {
        check(out, program_.values.size());
        Instruction i;
        i.op = op, i.how = how, i.out = out, i.index = index;
        list().push_back(std::move(i));
    }
    void operand(bool factor, int value, const std::vector<int>& labels, const std::vector<long>& offsets) {
        check(value, program_.values.size());
        if (labels.size() != program_.values[value].axes.size() || offsets.size() != labels.size())
            throw std::runtime_error(program_.values[value].name + " is given another number of labels than it has axes");
        for (int label : labels)
            if (label != FIRST && label != LAST) check(label, program_.indices.size());
        Instruction& i = list().back();
        (factor ? i.factors : i.operands).push_back({value, labels, offsets});
    }
    void descending() { list().back().descending = true; }
    void start(int value, const std::vector<int>& labels, const std::vector<long>& offsets) {
        check(value, program_.values.size());
        if (labels.size() != program_.values[value].axes.size() || offsets.size() != labels.size())
            throw std::runtime_error(program_.values[value].name + " is given another number of labels than it has axes");
        list().back().start.push_back({value, labels, offsets});
    }
    void part(int index) { list().back().parts.push_back(index); }
    void word(const std::string& name) { list().back().words.push_back({name, {}}); }
    void argument(const std::string& kind, int at, double number) {
        const auto k = kind == "acc" ? Argument::product : kind == "r" ? Argument::operand : kind == "w" ? Argument::word : Argument::number;
        list().back().words.back().arguments.push_back({k, at, number});
    }
    void begin_loop(const std::string& how, int index) {
        Instruction i;
        i.op = "loop", i.how = how, i.index = index;
        list().push_back(std::move(i));
        inside_ = true;
    }
    void end_loop() { inside_ = false; }
    void update() { updating_ = true; }
    void replaces(int fresh, int old) { program_.replaces.push_back({fresh, old}); }
    void rows(int fresh, int table, int ids, const std::vector<int>& labels, const std::vector<long>& offsets) {
        for (const int value : {fresh, table, ids}) check(value, program_.values.size());
        for (const int label : labels) check(label, program_.indices.size());
        if (labels.size() != program_.values[ids].axes.size() || offsets.size() != labels.size())
            throw std::runtime_error(program_.values[ids].name + " is given another number of labels than it has axes");
        program_.rows.push_back({fresh, table, {ids, labels, offsets}});
    }
    void holes(int value) { program_.values.at(static_cast<std::size_t>(value)).holes = true; }
    void finite(int value) { program_.finite.push_back(value); }
    void output(int value) { program_.outputs.push_back(value); }
    void dropout(int value, long layer, double rate) { program_.dropouts.push_back({value, layer, rate}); }
    const Program& program() const { return program_; }

  private:
    Program program_;
    bool inside_ = false, updating_ = false;

    std::vector<Instruction>& list() {
        auto& section = updating_ ? program_.update : program_.main;
        return inside_ ? section.back().body : section;
    }
    static void check(int position, std::size_t count) {
        if (position < 0 || position >= static_cast<int>(count)) throw std::runtime_error("a program refers to what is not there");
    }
};

}  // namespace backproof
