// The core on its own, for sanitizers: programs are read from standard input as the calls that build them, run by teams of
// several sizes and by two threads at once, and must give the same bits.
#include <cstdio>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include "builder.hpp"
#include "machine.hpp"

using namespace backproof;

namespace {

struct Script {
    Builder builder;
    std::map<std::string, long> extents;
    int loss = 0, objective = 0;
};

std::vector<long> numbers(std::istringstream& in) {
    long count;
    in >> count;
    std::vector<long> result(static_cast<std::size_t>(count));
    for (long& x : result) in >> x;
    return result;
}

std::vector<int> ints(std::istringstream& in) {
    const auto wide = numbers(in);
    return {wide.begin(), wide.end()};
}

std::string text(std::istringstream& in) {                        // "-" stands for nothing
    std::string word;
    in >> word;
    return word == "-" ? "" : word;
}

void call(Script& s, const std::string& line) {
    std::istringstream in(line);
    std::string name;
    in >> name;
    const auto number = [&] { double x; in >> x; return x; };
    const auto whole = [&] { return static_cast<int>(number()); };
    if (name == "index") { const auto a = text(in), b = text(in), c = text(in); s.builder.index(a, b, c, whole()); }
    else if (name == "value") { const auto a = text(in); const auto axes = ints(in); const auto b = text(in); const bool i = whole(); s.builder.value(a, axes, b, i, text(in)); }
    else if (name == "instruction") { const auto a = text(in), b = text(in); const int out = whole(); s.builder.instruction(a, b, out, whole()); }
    else if (name == "operand") { const bool f = whole(); const int v = whole(); const auto labels = ints(in); s.builder.operand(f, v, labels, numbers(in)); }
    else if (name == "part") s.builder.part(whole());
    else if (name == "word") s.builder.word(text(in));
    else if (name == "argument") { const auto kind = text(in); const int at = whole(); s.builder.argument(kind, at, number()); }
    else if (name == "begin_loop") { const auto how = text(in); s.builder.begin_loop(how, whole()); }
    else if (name == "end_loop") s.builder.end_loop();
    else if (name == "update") s.builder.update();
    else if (name == "replaces") { const int a = whole(); s.builder.replaces(a, whole()); }
    else if (name == "rows") { const int a = whole(), b = whole(), c = whole(); const auto labels = ints(in); s.builder.rows(a, b, c, labels, numbers(in)); }
    else if (name == "finite") s.builder.finite(whole());
    else if (name == "dropout") { const int v = whole(); const long layer = whole(); s.builder.dropout(v, layer, number()); }
    else if (name == "extent") { const auto symbol = text(in); s.extents[symbol] = whole(); }
    else if (name == "losses") { s.loss = whole(); s.objective = whole(); }
    else { std::fprintf(stderr, "unknown call %s\n", name.c_str()); std::exit(2); }
}

// two epochs over drawn data; the parameters afterwards
template <class T>
std::vector<T> train(const Script& s, int threads) {
    Machine<T> m(s.builder.program(), threads);
    const Program& p = m.program();
    auto extents = s.extents;
    const long data = 23;
    std::mt19937 draw(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    extents["N"] = 10;
    m.resolve(extents);
    std::vector<std::vector<T>> arrays;
    std::vector<std::vector<std::int64_t>> ids;
    arrays.reserve(p.values.size());
    ids.reserve(p.values.size());
    Epoch e{};
    std::vector<double> rate(3, 0.01);
    for (std::size_t v = 0; v < p.values.size(); v++) {
        const Value& value = p.values[v];
        long count = 1;
        bool samples = false;
        for (int axis : value.axes) {
            const Index& i = p.indices[static_cast<std::size_t>(axis)];
            samples |= i.kind == "sample";
            count *= i.kind == "sample" ? data : i.symbol.empty() ? i.extent : extents.at(i.symbol);
        }
        const bool noise = std::any_of(p.dropouts.begin(), p.dropouts.end(), [&](const Dropout& d) { return d.value == static_cast<int>(v); });
        if (value.storage == "scalar") e.scalars.push_back({static_cast<int>(v), rate.data()});
        if (value.storage == "input" && samples && !noise) {
            if (value.integer) {
                ids.emplace_back(static_cast<std::size_t>(count));
                for (auto& x : ids.back()) x = static_cast<std::int64_t>(draw() % 2);
                e.sources.push_back({static_cast<int>(v), ids.back().data()});
            } else {
                arrays.emplace_back(static_cast<std::size_t>(count));
                for (T& x : arrays.back()) x = static_cast<T>(uniform(draw));
                e.sources.push_back({static_cast<int>(v), arrays.back().data()});
            }
        }
        if (value.storage == "parameter" || value.storage == "state") {
            std::vector<T> start(static_cast<std::size_t>(count));
            for (T& x : start) x = value.storage == "state" ? T(0) : static_cast<T>(0.3 * uniform(draw));
            m.feed(static_cast<int>(v), start.data());
        }
    }
    std::vector<std::int64_t> rows(static_cast<std::size_t>(data));
    for (long r = 0; r < data; r++) rows[static_cast<std::size_t>(r)] = (r * 7) % data;
    e.rows = rows.data(), e.count = data, e.batch = 10, e.extents = s.extents, e.samples = "N";
    e.originals = e.rows;
    e.key[0] = 1, e.key[1] = 2, e.loss = s.loss, e.objective = s.objective;
    for (e.epoch = 0; e.epoch < 2; e.epoch++)
        if (m.epoch(e).steps != 3) { std::fprintf(stderr, "a step failed\n"); std::exit(3); }
    std::vector<T> result;
    for (std::size_t v = 0; v < p.values.size(); v++)
        if (p.values[v].storage == "parameter") {
            long count = 1;
            for (int axis : p.values[v].axes) count *= p.indices[static_cast<std::size_t>(axis)].extent;
            std::vector<T> array(static_cast<std::size_t>(count));
            m.read(static_cast<int>(v), array.data(), false);
            result.insert(result.end(), array.begin(), array.end());
        }
    return result;
}

template <class T>
void check(const Script& s) {
    const auto alone = train<T>(s, 1);
    for (int threads : {2, 3})
        if (train<T>(s, threads) != alone) { std::fprintf(stderr, "%d threads give other bits\n", threads); std::exit(4); }
    std::vector<T> other;
    std::thread beside([&] { other = train<T>(s, 2); });
    const bool same = train<T>(s, 2) == alone;
    beside.join();
    if (!same || other != alone) { std::fprintf(stderr, "side by side gives other bits\n"); std::exit(5); }
}

}  // namespace

int main() {
    worth_a_thread = 0;
    Script s;
    int programs = 0;
    for (std::string line; std::getline(std::cin, line);) {
        if (line != "end") {
            call(s, line);
            continue;
        }
        check<float>(s);
        check<double>(s);
        s = Script();
        programs++;
    }
    std::printf("%d programs\n", programs);
}
