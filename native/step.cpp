// How a team runs a list of nodes: in what order, what goes on in cache, and where everybody waits.
//
// A training step has two phases: what belongs to samples, each member its own, and what sums over samples, each member
// its part of the output. A node that reads, place by place, what another wrote joins it as a link of its chain and is
// given every block while it is in cache: the update runs on the block of the gradient, which then need not be stored.
// Neither changes a bit.
#include <algorithm>
#include <map>

#include "plan.hpp"

namespace backproof {
namespace {

template <class T>
class Arranger {
  public:
    Arranger(const Bound<T>& bound, Plan<T>& plan, int members)
        : bound_(bound), program_(bound.program), plan_(plan), members_(members) {
        plan_.step = plan_.main;
        plan_.step.insert(plan_.step.end(), plan_.update.begin(), plan_.update.end());
        in_phases(plan_.step);
        chain(plan_.step);
        forget(plan_.step);
        std::map<int, Written> written = given();
        for (auto* list : {&plan_.main, &plan_.update}) place_barriers(*list, written);
        written = given();
        place_barriers(plan_.step, written);
        for (auto* list : {&plan_.main, &plan_.update, &plan_.step}) measure(*list);
        plan_.scratch += 8 * 512;
        constexpr long cache = 1 << 20;
        for (Node<T>& n : plan_.step) n.far = 2 * bound.persistent * static_cast<long>(sizeof(T)) > cache;
    }

  private:
    using Nodes = std::vector<Node<T>>;
    const Bound<T>& bound_;
    const Program& program_;
    Plan<T>& plan_;
    const int members_;

    // f(node, view) for everything that a node reads, its body and chain included
    template <class F>
    static void reads(const Node<T>& n, F&& f) {
        for (const Node<T>& m : n.body) reads(m, f);
        for (const Node<T>& m : n.chain) reads(m, f);
        for (const View& v : n.in) f(n, v);
        for (const View* v : {&n.a, &n.b, &n.start})
            if (v->value >= 0) f(n, *v);
    }

    template <class F>
    static void writes(const Node<T>& n, F&& f) {
        for (const Node<T>& m : n.body) writes(m, f);
        for (const Node<T>& m : n.chain) writes(m, f);
        if (n.op != LOOP) f(n);
    }

    // ------------------------------------------------------------------------------------------ phases

    // The same nodes, every reader behind its writers: those of the samples as early as can be, the others together.
    void in_phases(Nodes& nodes) const {
        const int count = static_cast<int>(nodes.size());
        std::vector<std::vector<int>> behind(nodes.size());
        std::vector<int> open(nodes.size(), 0);                      // how many of those before it are not placed yet
        std::map<int, std::vector<int>> writers, readers;
        for (int k = 0; k < count; k++) {
            const auto after = [&](const std::vector<int>& before) {
                for (int j : before)
                    if (j != k) behind[j].push_back(k), open[k]++;
            };
            reads(nodes[k], [&](const Node<T>&, const View& v) { after(writers[v.value]); });
            writes(nodes[k], [&](const Node<T>& m) { after(writers[m.writes]), after(readers[m.writes]); });
            reads(nodes[k], [&](const Node<T>&, const View& v) { readers[v.value].push_back(k); });
            writes(nodes[k], [&](const Node<T>& m) { writers[m.writes].push_back(k); });
        }
        std::vector<int> ready[2];                                   // of samples, others; each in the order given
        const auto place = [&](int k) {
            auto& list = ready[nodes[k].split != SAMPLES];
            list.insert(std::upper_bound(list.begin(), list.end(), k), k);
        };
        for (int k = 0; k < count; k++)
            if (!open[k]) place(k);
        Nodes ordered;
        for (int phase = 0; static_cast<int>(ordered.size()) < count; phase = 1 - phase)
            while (!ready[phase].empty()) {
                const int k = ready[phase].front();
                ready[phase].erase(ready[phase].begin());
                for (int j : behind[k])
                    if (--open[j] == 0) place(j);
                ordered.push_back(std::move(nodes[k]));
            }
        nodes = std::move(ordered);
    }

    // ------------------------------------------------------------------------------------------ chains

    struct Written_at {
        int head, link;                                              // position in the list; 0, or 1 + position in the chain
    };

    void chain(Nodes& nodes) const {
        for (Node<T>& n : nodes)
            if (n.op == LOOP) chain(n.body);
        std::map<int, Written_at> last;                              // who writes a value
        std::map<int, int> pieces;                                   // how many nodes write it
        for (const Node<T>& n : nodes)
            writes(n, [&](const Node<T>& m) { pieces[m.writes] += m.op != TWIN; });
        std::vector<bool> gone(nodes.size(), false);
        for (int k = 0; k < static_cast<int>(nodes.size()); k++) {
            Node<T>& n = nodes[k];
            const int head = head_of(nodes, n, last, pieces);
            if (head >= 0) {
                Node<T>& h = nodes[head];
                for (View& v : n.in) link(v, last, head);
                if (n.op == TWIN) link(n.a, last, head);
                if (n.op != TWIN) last[n.writes] = {head, 1 + static_cast<int>(h.chain.size())};
                h.chain.push_back(std::move(n));
                gone[k] = true;
            } else {
                writes(n, [&](const Node<T>& m) {
                    if (m.op != TWIN) last[m.writes] = {k, n.op == LOOP ? -1 : 0};
                });
            }
        }
        Nodes left;
        for (std::size_t k = 0; k < nodes.size(); k++)
            if (!gone[k]) left.push_back(std::move(nodes[k]));
        nodes = std::move(left);
    }

    static const Node<T>& member(const Node<T>& head, int link) { return link ? head.chain[link - 1] : head; }

    // the node that this one can join, or -1
    int head_of(const Nodes& nodes, const Node<T>& n, const std::map<int, Written_at>& last, const std::map<int, int>& pieces) const {
        if ((n.op != MAP && n.op != TWIN) || n.domain.column < 0) return -1;
        int head = -1;
        const auto look = [&](const View& v) {                       // the last writer of anything that it reads
            const auto w = last.find(v.value);
            if (w != last.end()) head = std::max(head, w->second.head);
        };
        for (const View& v : n.in) look(v);
        if (n.op == TWIN) look(n.a);
        if (head < 0) return -1;
        const Node<T>& h = nodes[head];
        if (static_cast<int>(h.chain.size()) >= longest_chain || !alike(h, n)) return -1;
        bool fits = true;
        const auto check = [&](const View& v) {
            const auto w = last.find(v.value);
            if (w == last.end() || w->second.head != head) return;
            fits &= w->second.link >= 0 && pieces.at(v.value) == 1;
            if (fits && n.op != TWIN) fits &= same_place(member(h, w->second.link).out, v, n.domain);
        };
        for (const View& v : n.in) check(v);
        if (n.op == TWIN) check(n.a);
        return fits && leaves_the_step_before(nodes, n, head) ? head : -1;
    }

    // A folded value holds the step before until it is written. Moved up to the head, that must not be before somebody reads it:
    // only the head and its chain may, block by block and each at the place that is written behind it.
    bool leaves_the_step_before(const Nodes& nodes, const Node<T>& n, int head) const {
        if (!program_.values[n.writes].folded) return true;
        bool fits = true;
        for (const Node<T>* m = &nodes[head]; m != &n; m++)
            reads(*m, [&](const Node<T>& reader, const View& v) {
                if (v.value != n.writes) return;
                const bool factor = &v == &reader.a || &v == &reader.b || &v == &reader.start;
                fits &= m == &nodes[head] && !factor && same_place(n.out, v, n.domain);
            });
        return fits;
    }

    // blocks of one are blocks of the other, at the same member
    static bool alike(const Node<T>& h, const Node<T>& n) {
        if (h.op != MAP && h.op != REDUCE && !(h.op == DENSE && h.form != ANY)) return false;
        if (h.op == DENSE && h.domain.inner < 0 && h.domain.column < 0) return false;
        if (h.op == REDUCE && (h.how == LOGSUMEXP || h.domain.column >= h.kept)) return false;
        if (h.kept != n.kept || h.domain.column != n.domain.column || h.split != n.split || h.split_label != n.split_label) return false;
        if ((h.domain.inner < h.kept ? h.domain.inner : -1) != n.domain.inner) return false;
        for (int d = 0; d < h.kept; d++)
            if (h.domain.label[d] != n.domain.label[d] || h.domain.extent[d] != n.domain.extent[d]) return false;
        return n.op != TWIN || (n.domain.inner == 0 && n.domain.column == 1);
    }

    static bool same_place(const View& out, const View& v, const Domain& d) {
        bool same = out.mode == View::direct && v.mode == View::direct && out.space == v.space && out.base == v.base &&
                    out.step == v.step && out.panel == v.panel && out.shift == v.shift && out.panelled == v.panelled;
        for (int e = 0; e < d.count; e++) same &= out.stride[e] == v.stride[e];
        return same;
    }

    static void link(View& v, const std::map<int, Written_at>& last, int head) {
        const auto w = last.find(v.value);
        if (w == last.end() || w->second.head != head) return;
        v.mode = View::chained;
        v.base = w->second.link;
    }

    // ------------------------------------------------------------------------------------------ what need not be stored

    void forget(Nodes& nodes) const {
        std::map<int, int> readers;
        for (const RowsOf& r : program_.rows) readers[r.fresh]++;        // put into their tables after the step
        for (const Node<T>& n : nodes)
            reads(n, [&](const Node<T>&, const View& v) { readers[v.value] += v.mode != View::chained; });
        const auto settle = [&](const auto& self, Node<T>& n) -> void {
            for (Node<T>& m : n.body) self(self, m);
            for (Node<T>& m : n.chain) self(self, m);
            if (n.op != LOOP && n.op != TWIN && n.out.space == ARENA && !readers[n.writes]) n.stored = false;
        };
        for (Node<T>& n : nodes)
            if (!n.chain.empty() || n.op == LOOP) settle(settle, n);
    }

    // ------------------------------------------------------------------------------------------ barriers

    struct Written {
        Split split;
        int rank;
        long unit;
    };

    long unit_of(const Node<T>& n) const { return n.split == OUTPUT ? output_unit(n, members_) : 0; }

    // minibatches are gathered by those who own the samples
    std::map<int, Written> given() const {
        std::map<int, Written> written;                              // since the last barrier
        for (std::size_t v = 0; v < program_.values.size(); v++) {
            const Value& value = program_.values[v];
            const bool samples = std::any_of(value.axes.begin(), value.axes.end(),
                                             [&](int i) { return program_.indices[i].kind == "sample"; });
            if (value.storage == "input" || value.storage == "scalar")
                written[static_cast<int>(v)] = {samples ? SAMPLES : ALONE, static_cast<int>(value.axes.size()), 0};
        }
        return written;
    }

    // does the reader find what it needs in what it wrote itself?
    bool own(const Node<T>& reader, const View& v, const Written& w) const {
        if (v.mode == View::chained) return true;
        if (w.split == ALONE) return reader.split == ALONE;
        if (w.split == SAMPLES) return reader.split == SAMPLES;
        if (reader.split != OUTPUT || unit_of(reader) != w.unit) return false;
        const Layout& l = plan_.layouts[v.value];
        if (l.rank != static_cast<int>(program_.values[reader.writes].axes.size())) return false;
        if (reader.domain.extent[0] != l.extent[0]) return false;
        if (reader.op == TWIN) return true;
        return l.rank == 1 ? v.panelled == 0 && v.shift == 0 : v.stride[0] == l.stride[0] && l.stride[0] != 0 && v.base == l.offset;
    }

    void place_barriers(Nodes& nodes, std::map<int, Written>& written) const {
        for (Node<T>& n : nodes) {
            reads(n, [&](const Node<T>& reader, const View& v) {
                const auto w = written.find(v.value);
                if (w != written.end() && !own(reader, v, w->second)) n.barrier = true;
            });
            if (n.barrier) written.clear();
            writes(n, [&](const Node<T>& m) {
                const Written w{m.split, static_cast<int>(program_.values[m.writes].axes.size()), unit_of(m)};
                const auto [place, fresh] = written.try_emplace(m.writes, w);
                if (!fresh && place->second.split != w.split) place->second = {OUTPUT, -1, -1};      // pieces of several: nobody's own
            });
        }
    }

    // ------------------------------------------------------------------------------------------ scratch

    void measure(const Nodes& nodes) const {
        for (const Node<T>& n : nodes) {
            long room = n.room();
            for (const Node<T>& m : n.chain) room += m.room();
            plan_.scratch = std::max(plan_.scratch, room);
            measure(n.body);
        }
    }
};

}  // namespace

template <class T>
void arrange(const Bound<T>& bound, Plan<T>& plan, int members) {
    Arranger<T>(bound, plan, members);
}

template void arrange(const Bound<float>&, Plan<float>&, int);
template void arrange(const Bound<double>&, Plan<double>&, int);

}  // namespace backproof
