// Resolving: every instruction becomes nodes over the layouts of the extents at hand.
//
// Products are brought to one of two forms that the microkernels take (kernels.hpp); a factor that lies across gets a
// turned twin: of a parameter it is kept up to date by whoever writes the parameter, of another value it is made once
// before its reader. What fits neither form runs element by element.
#include <map>
#include <set>

#include "plan.hpp"

namespace backproof {
namespace {

template <class T>
class Resolver {
  public:
    Resolver(const Bound<T>& bound, const std::vector<long>& extents, int members)
        : bound_(bound), program_(bound.program), members_(members), plan_(std::make_unique<Plan<T>>()) {
        plan_->extents = extents;
        lay_out();
        for (std::size_t k = 0; k < program_.indices.size(); k++)
            if (program_.indices[k].kind == "sample") plan_->samples = extents[k];
        for (const Instruction& i : program_.main) add(i, -1, plan_->main);
        for (const Instruction& i : program_.update) add(i, -1, plan_->update);
        for (std::size_t v = 0; v < program_.values.size(); v++)
            if (twins_used_.count(static_cast<int>(v))) add_parameter_twin(static_cast<int>(v));
        for (const RowsOf& r : program_.rows) plan_->puts.push_back(put_of(r));
        for (auto* list : {&plan_->main, &plan_->update})
            for (Node<T>& n : *list) finish(n, -1);
        for (Node<T>& n : plan_->twins) finish(n, -1);
        arrange(bound_, *plan_, members_);
    }
    std::unique_ptr<Plan<T>> take() { return std::move(plan_); }

  private:
    using Nodes = std::vector<Node<T>>;
    const Bound<T>& bound_;
    const Program& program_;
    const int members_;
    std::unique_ptr<Plan<T>> plan_;
    std::size_t next_words_ = 0;
    std::set<int> twins_used_;                       // parameters
    std::map<int, Layout> made_twins_;               // of values, by value
    std::set<int> written_in_loop_;

    // ------------------------------------------------------------------------------------------ layouts

    void lay_out() {
        for (std::size_t v = 0; v < program_.values.size(); v++) {
            const Value& value = program_.values[v];
            Layout l = layout_of<T>(program_, value, plan_->extents);
            if (bound_.fixed[v].space != ARENA) {
                l = bound_.fixed[v];
            } else if (l.space == INTEGERS) {
                l.offset = plan_->integers;
                plan_->integers += l.size;
            } else {
                l.offset = plan_->arena;
                plan_->arena += l.size;
            }
            plan_->layouts.push_back(l);
        }
        for (auto [fresh, old] : program_.replaces) {
            Layout& l = plan_->layouts[fresh];
            if (bound_.fixed[old].space != CURRENT) throw std::runtime_error(program_.values[old].name + " cannot be replaced");
            l.space = NEXT;
            l.offset = plan_->layouts[old].offset;
        }
    }

    Layout arena_twin(int value) {
        Value turned = program_.values[value];
        std::swap(turned.axes[0], turned.axes[1]);
        Layout l = layout_of<T>(program_, turned, plan_->extents);
        l.offset = plan_->arena;
        plan_->arena += l.size;
        return l;
    }

    // ------------------------------------------------------------------------------------------ instructions

    void add(const Instruction& i, int loop, Nodes& to) {
        const WordList<T>* words = bound_.words[next_words_++].get();
        if (i.op == "loop") return add_loop(i, to);
        if (i.op == "join") return add_join(i, loop, to, words);
        Operand out{i.out, {}, {}};
        for (int axis : program_.values[i.out].axes) {
            out.labels.push_back(axis);
            out.offsets.push_back(0);
        }
        if (i.op == "fill")
            for (std::size_t k = 0; k < out.labels.size(); k++)
                if (is_time(program_, program_.values[i.out], static_cast<int>(k))) {
                    out.labels[k] = i.how == "before" ? FIRST : LAST;
                    out.offsets[k] = i.how == "before" ? -1 : 1;
                }
        Node<T> n = start(i, out, loop, words);
        if (i.op == "map" || i.op == "fill") n.op = MAP;
        else if (i.op == "reduce") reduce(i, n, loop);
        else if (i.op == "dense") dense(i, n, loop, to);
        else if (i.op == "collect") collect(i, n, loop);
        else if (i.op == "gather" || i.op == "scatter" || i.op == "onehot") lookup(i, n, loop);
        else throw std::runtime_error("the native engine has no instruction '" + i.op + "'");
        if (n.op == MAP || n.op == DENSE)
            for (const Operand& o : i.operands) n.in.push_back(view(o, n.domain, loop));
        for (const Operand& o : i.start) n.start = view(o, n.domain, loop);
        to.push_back(std::move(n));
    }

    void add_loop(const Instruction& i, Nodes& to) {
        Node<T> n;
        n.op = LOOP;
        n.steps = plan_->extents[i.index];
        n.descending = i.how == "descending";
        written_in_loop_.clear();
        for (const Instruction& inner : i.body) written_in_loop_.insert(inner.out);
        Nodes body, before;
        for (const Instruction& inner : i.body) {
            Nodes made;
            add(inner, i.index, made);
            for (Node<T>& m : made) (m.op == TWIN ? before : body).push_back(std::move(m));
        }
        written_in_loop_.clear();
        for (Node<T>& m : before) to.push_back(std::move(m));
        n.body = std::move(body);
        to.push_back(std::move(n));
    }

    // pieces of a join are copies to a slice of the result
    void add_join(const Instruction& i, int loop, Nodes& to, const WordList<T>*) {
        static const WordList<T> copy = [] {
            WordList<T> list;
            typename WordList<T>::Step step;
            const Kernels<T>& k = kernels<T>();
            step.run = std::find_if(k.words, k.words + k.count, [](const Word<T>& w) { return std::string("copy") == w.name; })->run;
            step.operands = 1;
            step.from[0] = {Argument::operand, 0, nullptr};
            list.steps.push_back(step);
            list.slots = 1;
            return list;
        }();
        long position = 0;
        for (std::size_t k = 0; k < i.operands.size(); k++) {
            Operand out{i.out, {}, {}};
            for (int axis : program_.values[i.out].axes) {
                out.labels.push_back(axis == i.index ? i.parts[k] : axis);
                out.offsets.push_back(axis == i.index ? position : 0);
            }
            Node<T> n = start(i, out, loop, &copy);
            n.op = MAP;
            n.in.push_back(view(i.operands[k], n.domain, loop));
            to.push_back(std::move(n));
            position += plan_->extents[i.parts[k]];
        }
    }

    Node<T> start(const Instruction& i, const Operand& out, int loop, const WordList<T>* words) {
        Node<T> n;
        n.writes = i.out;
        n.words = words;
        n.check = bound_.checked[i.out];
        for (int label : out.labels)
            if (label >= 0 && label != loop) n.domain.add(label, plan_->extents[label]);
        n.kept = n.domain.count;
        if (n.kept && !out.labels.empty() && out.labels.back() == n.domain.label[n.kept - 1]) {
            n.domain.column = n.kept - 1;
            n.domain.inner = n.kept - 2;                          // -1 where there is only the column
        } else {
            n.domain.inner = n.kept - 1;
        }
        n.out = view(out, n.domain, loop);
        n.find_outers();
        return n;
    }

    View view(const Operand& o, const Domain& d, int loop) const {
        return view_of<T>(program_, plan_->layouts[o.value], o, d, loop);
    }

    void extend(Node<T>& n, const Operand& o, int loop) const {
        for (int label : o.labels)
            if (label >= 0 && label != loop && n.domain.find(label) < 0) n.domain.add(label, plan_->extents[label]);
    }

    // ------------------------------------------------------------------------------------------ reduce

    void reduce(const Instruction& i, Node<T>& n, int loop) {
        n.op = REDUCE;
        n.descending = i.descending;
        n.how = i.how == "sum" ? SUM : i.how == "max" ? LARGEST : LOGSUMEXP;
        for (const Operand& o : i.operands) extend(n, o, loop);
        std::vector<int> lanes(n.domain.count, 0), rows(n.domain.count, 0);
        for (const Operand& o : i.operands) {                         // lanes and rows as the operands lie
            n.domain.inner = n.domain.column = -1;
            const View v = view(o, n.domain, loop);
            for (int d = 0; d < n.domain.count; d++) {
                lanes[d] += v.panelled == d ? 2 + (v.stride[d] == 0) : 0;
                rows[d] += v.stride[d] == W<T> && v.panelled != d;
            }
        }
        n.domain.column = n.domain.count ? static_cast<int>(std::max_element(lanes.begin(), lanes.end()) - lanes.begin()) : -1;
        n.domain.inner = -1;
        sum_over_time(n);
        for (int d = 0; d < n.domain.count; d++)
            if (d != n.domain.column && !(n.descending && d == n.time) && (n.domain.inner < 0 || rows[d] >= rows[n.domain.inner])) n.domain.inner = d;
        for (const Operand& o : i.operands) n.in.push_back(view(o, n.domain, loop));
        Operand out{i.out, {}, {}};
        for (int axis : program_.values[i.out].axes) {
            out.labels.push_back(axis);
            out.offsets.push_back(0);
        }
        n.out = view(out, n.domain, loop);
        n.find_outers();
    }

    void sum_over_time(Node<T>& n) const {
        for (int d = n.kept; d < n.domain.count; d++)
            if (program_.indices[n.domain.label[d]].kind == "time") n.time = d;
    }

    // ------------------------------------------------------------------------------------------ dense

    void dense(const Instruction& i, Node<T>& n, int loop, Nodes& to) {
        n.op = DENSE;
        n.descending = i.descending;
        Operand a = i.factors[0], b = i.factors[1];
        const int column = n.domain.column >= 0 ? n.domain.label[n.domain.column] : -1;
        const auto has = [](const Operand& o, int label) {
            return label >= 0 && std::find(o.labels.begin(), o.labels.end(), label) != o.labels.end();
        };
        if (has(a, column) && !has(b, column)) std::swap(a, b);
        for (const Operand* o : {&a, &b}) extend(n, *o, loop);
        sum_over_time(n);
        n.work = 1;
        for (int d = 0; d < n.domain.count; d++) n.work *= static_cast<double>(n.domain.extent[d]);
        n.a = view(a, n.domain, loop);
        n.b = view(b, n.domain, loop);
        if (!has(b, column) || has(a, column) || n.out.panelled != n.domain.column) return;
        if (n.b.panelled != n.domain.column && !turn(b, n, loop, to)) return;
        if (n.b.mode != View::direct && !(n.b.panelled == n.domain.column && n.b.shift % W<T> == 0)) return;
        if (n.domain.inner >= 0 && n.out.stride[n.domain.inner] != W<T>) return;
        choose_form(n);
    }

    // b with its axes exchanged, so that the result's lanes are its lanes
    bool turn(const Operand& b, Node<T>& n, int loop, Nodes& to) {
        const Layout& l = plan_->layouts[b.value];
        if (l.rank != 2 || l.space == INTEGERS || b.labels[0] < 0 || b.labels[1] < 0 || b.offsets[0] || b.offsets[1] ||
            b.labels[0] == loop || b.labels[1] == loop || !program_.values[b.value].pad.empty())
            return false;
        Layout turned;
        if (l.space == CURRENT && bound_.has_twin[b.value]) {
            twins_used_.insert(b.value);
            turned = bound_.twin[b.value];
        } else if (l.space == ARENA && !written_in_loop_.count(b.value)) {
            const auto [place, fresh] = made_twins_.try_emplace(b.value);
            if (fresh) {
                place->second = arena_twin(b.value);
                to.push_back(twin_node(b.value, l, place->second));
            }
            turned = place->second;
        } else {
            return false;
        }
        const Operand exchanged{b.value, {b.labels[1], b.labels[0]}, {0, 0}};
        n.b = view_of<T>(program_, turned, exchanged, n.domain, loop);
        return true;
    }

    Node<T> twin_node(int value, const Layout& from, const Layout& to) {
        Node<T> n;
        n.op = TWIN;
        n.writes = value;
        n.kept = 2;
        n.domain.add(program_.values[value].axes[0], from.extent[0]);
        n.domain.add(program_.values[value].axes[1], from.extent[1]);
        n.domain.inner = 0;
        n.domain.column = 1;
        n.a.space = from.space, n.a.base = from.offset, n.a.panel = from.panel, n.a.value = value;
        n.out.space = to.space, n.out.base = to.offset, n.out.panel = to.panel, n.out.value = value;
        return n;
    }

    void add_parameter_twin(int v) {
        Layout from = bound_.fixed[v], to = bound_.twin[v];
        plan_->twins.push_back(twin_node(v, from, to));
        if (bound_.replaced_by[v] < 0) return;
        from.space = to.space = NEXT;
        Node<T> n = twin_node(bound_.replaced_by[v], from, to);
        auto& update = plan_->update;
        const auto writer = std::find_if(update.begin(), update.end(), [&](const Node<T>& m) { return m.writes == n.writes; });
        update.insert(writer + 1, std::move(n));
    }

    void choose_form(Node<T>& n) {
        const Domain& d = n.domain;
        std::vector<int> summed;
        for (int k = n.kept; k < d.count; k++) summed.push_back(k);
        const auto both = [&](int k) { return n.a.stride[k] && n.b.stride[k]; };
        if (summed.size() == 1 && n.a.panelled == summed[0]) {
            if (summed[0] == n.time) return;                         // a chain over time is a gradient's, or runs element by element
            const int s = summed[0];
            if (n.a.shift % W<T> || n.b.stride[s] != W<T>) return;
            if (d.inner >= 0 && n.a.stride[d.inner] != W<T> && d.extent[d.inner] > 1) return;
            n.run = W<T>;
            n.run_outer = (d.extent[s] + W<T> - 1) / W<T>;
            n.run_last = d.extent[s] - (n.run_outer - 1) * W<T>;
            n.a_outer = n.a.panel;
            n.b_outer = W<T> * W<T>;
            n.form = FORWARD;
        } else if (!summed.empty() && summed.size() <= 2 && d.inner >= 0 && n.a.panelled == d.inner && n.a.shift % W<T> == 0) {
            const int s = summed.back(), t = summed.size() == 2 ? summed[0] : -1;
            int run = s, outer = t;
            if (t >= 0 && n.a.stride[t] == W<T> && n.a.stride[s] != W<T>) std::swap(run, outer);
            if (run == n.time && n.descending && outer >= 0) return;
            if (n.a.stride[run] != W<T> || n.b.stride[run] != W<T> || (outer >= 0 && !both(outer))) return;
            n.run = n.run_last = d.extent[run];
            if (outer >= 0) {
                n.run_outer = d.extent[outer];
                n.a_outer = n.a.stride[outer];
                n.b_outer = n.b.stride[outer];
            }
            if (n.descending && outer < 0) {                         // time alone: runs of one
                n.run = n.run_last = 1;
                n.run_outer = d.extent[run];
                n.a_outer = n.b_outer = W<T>;
            }
            if (n.descending) {
                n.a_first = (n.run_outer - 1) * n.a_outer;
                n.b_first = (n.run_outer - 1) * n.b_outer;
                n.a_outer = -n.a_outer;
                n.b_outer = -n.b_outer;
            } else if (outer >= 0) {
                if (n.a_outer == n.run * W<T> && n.b_outer == n.a_outer) {
                    n.run = n.run_last = n.run * n.run_outer;
                    n.run_outer = 1;
                }
            }
            n.form = GRADIENT;
        }
        if (n.form != ANY && (n.run_outer == 0 || n.run_last == 0)) n.form = ANY;       // an empty sum
    }

    // ------------------------------------------------------------------------------------------ lookups

    void lookup(const Instruction& i, Node<T>& n, int loop) {
        n.op = i.op == "gather" ? GATHER : i.op == "scatter" ? SCATTER : ONEHOT;
        const Operand& ids = i.operands.back();
        if (n.op == GATHER) {
            n.looked = n.domain.add(i.index, plan_->extents[i.index]);
            extend(n, ids, loop);                                 // labels of one place that the result lacks
            n.in.push_back(view(i.operands[0], n.domain, loop));
        } else {
            n.looked = n.domain.find(i.index);
            if (n.looked < 0) throw std::runtime_error("the result of a " + i.op + " lacks the index");
            for (const Operand& o : i.operands) extend(n, o, loop);
            if (n.op == SCATTER) {
                n.descending = i.descending;
                sum_over_time(n);
                for (int label : ids.labels) {
                    const int d = n.domain.find(label);
                    if (d >= 0 && d < n.kept) throw std::runtime_error("a scatter that keeps the samples apart");
                }
                n.in.push_back(view(i.operands[0], n.domain, loop));
            }
        }
        n.b = view(ids, n.domain, loop);
        n.holes = program_.values[ids.value].holes;
    }

    // operands: source, ids, …, and the ids here; its hash table lies among the integers
    void collect(const Instruction& i, Node<T>& n, int loop) {
        n.op = COLLECT;
        for (const Operand& o : i.operands) extend(n, o, loop);
        n.vocabulary = plan_->extents[i.index];
        n.holes = program_.values[i.operands.back().value].holes;
        for (const Operand& o : i.operands) n.in.push_back(view(o, n.domain, loop));
        const int last = n.kept - 1;
        const bool vectors = static_cast<int>(i.operands.back().labels.size()) == last;
        const auto fits = [&](const View& v) { return v.panelled == last || v.stride[last] == 0; };
        if (vectors ? n.out.panelled != last || !std::all_of(n.in.begin(), n.in.end(), fits)
                    : static_cast<int>(i.operands.back().labels.size()) != n.kept)
            throw std::runtime_error("a collect into " + program_.values[i.out].name + ", which does not hold rows");
        n.places = 1;
        for (int label : i.operands.back().labels) n.places *= plan_->extents[label];
        for (n.buckets = 4; n.buckets < 2 * n.places;) n.buckets *= 2;
        n.hash = plan_->integers;
        plan_->integers += 2 * n.buckets;
    }

    Put put_of(const RowsOf& r) const {
        Put p;
        for (int label : r.ids.labels) p.domain.add(label, plan_->extents[label]);
        p.ids = view_of<T>(program_, plan_->layouts[r.ids.value], r.ids, p.domain, -1);
        p.from = plan_->layouts[r.fresh], p.to = bound_.fixed[r.table];
        const Value& fresh = program_.values[r.fresh];
        for (; p.rows + 1 < p.from.rank; p.rows++) p.row_axes[p.rows] = p.domain.find(fresh.axes[p.rows]);
        return p;
    }

    // ------------------------------------------------------------------------------------------ who does what

    int sample_label(const Node<T>& n) const {
        for (int d = 0; d < n.kept; d++)
            if (program_.indices[n.domain.label[d]].kind == "sample") return d;
        return -1;
    }

    // every operand with samples is read at the sample at hand
    bool keeps_samples(const Node<T>& n, int d) const {
        const auto fits = [&](const View& v) {
            if (v.value < 0) return true;
            const Value& value = program_.values[v.value];
            for (int axis : value.axes)
                if (program_.indices[axis].kind == "sample" && !(v.stride[d] || v.panelled == d)) return false;
            for (int e = n.kept; e < n.domain.count; e++)
                if (program_.indices[n.domain.label[e]].kind == "sample" && (v.stride[e] || v.panelled == e)) return false;
            return true;
        };
        for (const View& v : n.in)
            if (!fits(v)) return false;
        return fits(n.a) && fits(n.b) && fits(n.start);
    }

    void finish(Node<T>& n, int loop) {
        if (n.op == LOOP) {
            bool samples = true;
            for (Node<T>& m : n.body) {
                finish(m, 1);
                samples &= m.split == SAMPLES;
                n.work += m.work * static_cast<double>(n.steps);
            }
            n.split = samples ? SAMPLES : ALONE;
            if (!samples)
                for (Node<T>& m : n.body) m.split = ALONE, m.split_label = -1;
            plan_->work += n.work;
            return;
        }
        const int sample = sample_label(n);
        if (n.op != TWIN && n.op != COLLECT && sample >= 0 && keeps_samples(n, sample)) {
            n.split = SAMPLES;
            n.split_label = sample;
        } else if (loop < 0 && n.kept > 0 && n.op != COLLECT && !(n.op == SCATTER && n.looked != 0)) {
            n.split = OUTPUT;
            n.split_label = 0;
            if (n.op == REDUCE && n.kept == 1 && n.domain.column != 0) n.split = ALONE;
        }
        if (n.split == ALONE) n.split_label = -1;
        if (loop < 0) {
            merge_rows(n);
            plan_->work += n.work;
        }
    }

    // outer rows and rows become one where every view steps evenly and nobody splits them
    void merge_rows(Node<T>& n) {
        Domain& d = n.domain;
        const int i = d.inner, o = i - 1;
        if (n.op != MAP && !(n.op == DENSE && n.form == FORWARD)) return;
        if (i < 1 || i >= n.kept || o == d.column || (members_ > 1 && n.split != ALONE)) return;
        const auto even = [&](const View& v) {
            return v.panelled != i && v.panelled != o && v.stride[o] == v.stride[i] * d.extent[i];
        };
        if (!even(n.out)) return;
        for (const View& v : n.in)
            if (v.mode != View::constant && !even(v)) return;
        if (n.op == DENSE && !(even(n.a) && n.b.stride[i] == 0 && n.b.stride[o] == 0)) return;
        d.extent[i] *= d.extent[o];
        d.extent[o] = 1;
    }
};

}  // namespace

template <class T>
std::unique_ptr<Plan<T>> resolve(const Bound<T>& bound, const std::vector<long>& extents, int members) {
    return Resolver<T>(bound, extents, members).take();
}

template std::unique_ptr<Plan<float>> resolve(const Bound<float>&, const std::vector<long>&, int);
template std::unique_ptr<Plan<double>> resolve(const Bound<double>&, const std::vector<long>&, int);

}  // namespace backproof
