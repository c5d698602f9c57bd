// Which values need no axis of time.
//
// A value that one loop makes, and that this loop alone reads, at its own step after it was made or at the next step before it
// is made again, needs a single slot: an LSTM's adjoints, say, of which the gradients of the weights want only the deltas.
// A product over all steps that one loop alone reads, each at its own step, is made in that loop and needs one, too.
#include <algorithm>

#include "plan.hpp"

namespace backproof {
namespace {

struct Uses {
    int loop = -1, first = -1;                           // who reads it: position of the loop in the program, of its first reader there
    int writer = -1;                                     // who makes it: position in the loop
    int fill = -1, product = -1;                         // or in the program
    bool elsewhere = false;                              // otherwise made, or read
    struct Read {
        int at;                                          // position in the loop
        long offset;                                     // in time
        bool in_place;                                   // each element where the reader writes its own
    };
    std::vector<Read> reads;
};

int time_axis(const Program& p, const Value& v) {
    int axis = -1;
    for (int k = 0; k < static_cast<int>(v.axes.size()); k++)
        if (is_time(p, v, k)) axis = axis < 0 ? k : static_cast<int>(v.axes.size());
    return axis + 1 < static_cast<int>(v.axes.size()) ? axis : -1;       // one, and not the last
}

class Reader {
  public:
    explicit Reader(const Program& p) : program_(p), uses_(p.values.size()) {
        for (std::size_t k = 0; k < p.main.size(); k++) {
            if (p.main[k].op == "loop") inside(p.main[k], static_cast<int>(k));
            else outside(p.main[k], static_cast<int>(k));
        }
        for (const Instruction& i : p.update) outside(i, -1);
        for (auto [parameter, gradient] : p.gradients) uses_[gradient].elsewhere = true;
        for (auto [fresh, old] : p.replaces) uses_[fresh].elsewhere = true;
        for (const RowsOf& r : p.rows) uses_[r.fresh].elsewhere = true;
        for (const auto* list : {&p.finite, &p.outputs})
            for (int v : *list) uses_[v].elsewhere = true;
    }

    const Uses& of(int v) const { return uses_[v]; }

    bool one_slot(int v) const {
        const Uses& u = uses_[v];
        if (!one_loop(v) || u.writer < 0 || u.product >= 0 || u.fill > u.loop) return false;
        const long before = program_.main[u.loop].how == "descending" ? 1 : -1;
        return std::all_of(u.reads.begin(), u.reads.end(), [&](const Uses::Read& read) {
            if (read.offset == 0) return read.at > u.writer;
            return read.offset == before && u.fill >= 0 && (read.at < u.writer || (read.at == u.writer && read.in_place));
        });
    }

    bool moves_into_the_loop(int v) const {
        const Uses& u = uses_[v];
        if (!one_loop(v) || u.product < 0 || u.writer >= 0 || u.fill >= 0 || u.product > u.loop) return false;
        return std::all_of(u.reads.begin(), u.reads.end(), [](const Uses::Read& read) { return read.offset == 0; });
    }

  private:
    const Program& program_;
    std::vector<Uses> uses_;

    bool one_loop(int v) const {
        const Uses& u = uses_[v];
        const Value& value = program_.values[v];
        const int axis = time_axis(program_, value);
        return value.storage == "value" && !value.integer && axis >= 0 && !u.elsewhere && u.loop >= 0 &&
               program_.main[u.loop].index == value.axes[axis];
    }

    template <class F>
    static void operands(const Instruction& i, F&& f) {
        for (const auto* list : {&i.factors, &i.operands, &i.start})
            for (const Operand& o : *list) f(o);
    }

    bool in_place(const Instruction& i, const Operand& o, int time) const {
        if (&o < i.operands.data() || &o >= i.operands.data() + i.operands.size()) return false;      // a factor
        for (int k = 0; k < static_cast<int>(o.offsets.size()); k++)
            if (k != time && o.offsets[k]) return false;
        return o.labels == program_.values[i.out].axes && i.op != "reduce";
    }

    void outside(const Instruction& i, int at) {
        Uses& u = uses_[i.out];
        if (i.op == "fill" && u.fill < 0) u.fill = at;
        else if (i.op == "dense" && u.product < 0) u.product = at;
        else u.elsewhere = true;
        operands(i, [&](const Operand& o) { uses_[o.value].elsewhere = true; });
    }

    void inside(const Instruction& loop, int at) {
        const auto used = [&](int v) -> Uses& {
            Uses& u = uses_[v];
            u.elsewhere |= u.loop >= 0 && u.loop != at;
            u.loop = at;
            return u;
        };
        for (int k = 0; k < static_cast<int>(loop.body.size()); k++) {
            const Instruction& i = loop.body[k];
            operands(i, [&](const Operand& o) {
                Uses& u = used(o.value);
                const int axis = time_axis(program_, program_.values[o.value]);
                if (axis < 0 || o.labels[axis] != loop.index) u.elsewhere = true;
                else u.reads.push_back({k, o.offsets[axis], in_place(i, o, axis)});
                if (u.first < 0) u.first = k;
            });
            Uses& u = used(i.out);
            u.elsewhere |= u.writer >= 0 || (i.op != "map" && i.op != "dense" && i.op != "reduce");
            u.writer = k;
        }
    }
};

void move_into_loops(Program& p) {
    for (long k = static_cast<long>(p.main.size()) - 1; k >= 0; k--) {
        if (p.main[k].op != "dense") continue;
        const Reader reader(p);
        const int v = p.main[k].out;
        if (!reader.moves_into_the_loop(v)) continue;
        auto& body = p.main[reader.of(v).loop].body;
        body.insert(body.begin() + reader.of(v).first, std::move(p.main[k]));
        p.main.erase(p.main.begin() + k);
    }
}

}  // namespace

void fold(Program& p) {
    move_into_loops(p);
    const Reader reader(p);
    for (std::size_t v = 0; v < p.values.size(); v++) p.values[v].folded = reader.one_slot(static_cast<int>(v));
}

}  // namespace backproof
