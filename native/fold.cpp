// Which values need no axis of time.
//
// A value that one loop makes, and that this loop alone reads, at its own step after it was made or at the next step before it
// is made again, needs a single slot: an LSTM's adjoints, say, of which the gradients of the weights want only the deltas.
#include <algorithm>

#include "plan.hpp"

namespace backproof {
namespace {

struct Uses {
    int loop = -1, writer = -1, fill = -1;               // positions: of the loop and the fill in the program, of the writer in the loop
    bool elsewhere = false;
    std::vector<std::pair<int, long>> reads;             // position in the loop, offset in time
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
            const Instruction& i = p.main[k];
            if (i.op == "loop") loop(i, static_cast<int>(k));
            else outside(i, static_cast<int>(k));
        }
        for (const Instruction& i : p.update) outside(i, -1);
        for (auto [parameter, gradient] : p.gradients) uses_[gradient].elsewhere = true;
        for (auto [fresh, old] : p.replaces) uses_[fresh].elsewhere = true;
        for (const RowsOf& r : p.rows) uses_[r.fresh].elsewhere = true;
        for (int v : p.finite) uses_[v].elsewhere = true;
        for (int v : p.outputs) uses_[v].elsewhere = true;
    }

    bool one_slot(int v) const {
        const Uses& u = uses_[v];
        const Value& value = program_.values[v];
        const int axis = time_axis(program_, value);
        if (value.storage != "value" || value.integer || axis < 0 || u.elsewhere || u.loop < 0 || u.writer < 0) return false;
        const Instruction& loop = program_.main[u.loop];
        if (loop.index != value.axes[axis] || u.fill > u.loop) return false;
        const long before = loop.how == "descending" ? 1 : -1;
        return std::all_of(u.reads.begin(), u.reads.end(), [&](std::pair<int, long> read) {
            return read.second == 0 ? read.first > u.writer : read.second == before && read.first < u.writer && u.fill >= 0;
        });
    }

  private:
    const Program& program_;
    std::vector<Uses> uses_;

    template <class F>
    static void operands(const Instruction& i, F&& f) {
        for (const auto* list : {&i.factors, &i.operands, &i.start})
            for (const Operand& o : *list) f(o);
    }

    void outside(const Instruction& i, int at) {
        Uses& u = uses_[i.out];
        if (i.op == "fill" && u.fill < 0) u.fill = at;
        else u.elsewhere = true;
        operands(i, [&](const Operand& o) { uses_[o.value].elsewhere = true; });
    }

    void loop(const Instruction& loop, int at) {
        const auto inside = [&](int v) -> Uses& {
            Uses& u = uses_[v];
            u.elsewhere |= u.loop >= 0 && u.loop != at;
            u.loop = at;
            return u;
        };
        for (int k = 0; k < static_cast<int>(loop.body.size()); k++) {
            const Instruction& i = loop.body[k];
            operands(i, [&](const Operand& o) {
                Uses& u = inside(o.value);
                const int axis = time_axis(program_, program_.values[o.value]);
                if (axis < 0 || o.labels[axis] != loop.index) u.elsewhere = true;
                else u.reads.emplace_back(k, o.offsets[axis]);
            });
            Uses& u = inside(i.out);
            u.elsewhere |= u.writer >= 0 || (i.op != "map" && i.op != "dense" && i.op != "reduce");
            u.writer = k;
        }
    }
};

}  // namespace

void fold(Program& p) {
    const Reader reader(p);
    for (std::size_t v = 0; v < p.values.size(); v++) p.values[v].folded = reader.one_slot(static_cast<int>(v));
}

}  // namespace backproof
