// The core on its own, for sanitizers: programs are read from standard input as the calls that build them, run by teams of
// several sizes and by two threads at once, and must give the same bits.
#include <algorithm>
#include <atomic>
#include <chrono>
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
    else if (name == "descending") s.builder.descending();
    else if (name == "start") { const int v = whole(); const auto labels = ints(in); s.builder.start(v, labels, numbers(in)); }
    else if (name == "word") s.builder.word(text(in));
    else if (name == "argument") { const auto kind = text(in); const int at = whole(); s.builder.argument(kind, at, number()); }
    else if (name == "begin_loop") { const auto how = text(in); s.builder.begin_loop(how, whole()); }
    else if (name == "end_loop") s.builder.end_loop();
    else if (name == "update") s.builder.update();
    else if (name == "replaces") { const int a = whole(); s.builder.replaces(a, whole()); }
    else if (name == "rows") { const int a = whole(), b = whole(), c = whole(); const auto labels = ints(in); s.builder.rows(a, b, c, labels, numbers(in)); }
    else if (name == "finite") s.builder.finite(whole());
    else if (name == "output") s.builder.output(whole());
    else if (name == "dropout") { const int v = whole(); const long layer = whole(); s.builder.dropout(v, layer, number()); }
    else if (name == "extent") { const auto symbol = text(in); s.extents[symbol] = whole(); }
    else if (name == "losses") { s.loss = whole(); s.objective = whole(); }
    else { std::fprintf(stderr, "unknown call %s\n", name.c_str()); std::exit(2); }
}

// A machine with drawn parameters and data, ready to train
template <class T>
struct Prepared {
    static constexpr long data = 23, batch = 10;
    Machine<T> machine;
    Epoch epoch{};
    std::vector<std::vector<T>> arrays;
    std::vector<std::vector<std::int64_t>> ids;
    std::vector<std::int64_t> rows;
    std::vector<double> rate;

    // the data's rows over and over, `steps` minibatches of them; 0: each row once, the last minibatch a smaller one
    Prepared(const Script& s, int threads, long steps = 0) : machine(s.builder.program(), threads) {
        const Program& p = machine.program();
        auto extents = s.extents;
        std::mt19937 draw(1);
        std::uniform_real_distribution<double> uniform(-1, 1);
        extents["N"] = batch;
        machine.resolve(extents);
        arrays.reserve(p.values.size());
        ids.reserve(p.values.size());
        rate.assign(static_cast<std::size_t>(steps ? steps : 3), 0.01);
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
            if (value.storage == "scalar") epoch.scalars.push_back({static_cast<int>(v), rate.data()});
            if (value.storage == "input" && samples && !noise) {
                if (value.integer) {
                    ids.emplace_back(static_cast<std::size_t>(count));
                    for (auto& x : ids.back()) x = static_cast<std::int64_t>(draw() % 2);
                    epoch.sources.push_back({static_cast<int>(v), ids.back().data()});
                } else {
                    arrays.emplace_back(static_cast<std::size_t>(count));
                    for (T& x : arrays.back()) x = static_cast<T>(uniform(draw));
                    epoch.sources.push_back({static_cast<int>(v), arrays.back().data()});
                }
            }
            if (value.storage == "parameter" || value.storage == "state") {
                std::vector<T> start(static_cast<std::size_t>(count));
                for (T& x : start) x = value.storage == "state" ? T(0) : static_cast<T>(0.3 * uniform(draw));
                machine.feed(static_cast<int>(v), start.data());
            }
        }
        rows.resize(static_cast<std::size_t>(steps ? steps * batch : data));
        for (std::size_t r = 0; r < rows.size(); r++) rows[r] = static_cast<std::int64_t>(r * 7) % data;
        epoch.rows = epoch.originals = rows.data();
        epoch.count = static_cast<long>(rows.size()), epoch.batch = batch, epoch.extents = s.extents, epoch.samples = "N";
        epoch.key[0] = 1, epoch.key[1] = 2, epoch.loss = s.loss, epoch.objective = s.objective;
    }

    std::vector<T> parameters() const {
        const Program& p = machine.program();
        std::vector<T> result;
        for (std::size_t v = 0; v < p.values.size(); v++) {
            if (p.values[v].storage != "parameter") continue;
            long count = 1;
            for (int axis : p.values[v].axes) count *= p.indices[static_cast<std::size_t>(axis)].extent;
            std::vector<T> array(static_cast<std::size_t>(count));
            machine.read(static_cast<int>(v), array.data(), false);
            result.insert(result.end(), array.begin(), array.end());
        }
        return result;
    }
};

void refuse(int code, const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(code);
}

// two epochs; the parameters afterwards
template <class T>
std::vector<T> train(const Script& s, int threads) {
    Prepared<T> p(s, threads);
    for (p.epoch.epoch = 0; p.epoch.epoch < 2; p.epoch.epoch++)
        if (p.machine.epoch(p.epoch).steps != 3) refuse(3, "a step failed");
    return p.parameters();
}

// An interrupt that another thread asks for ends the epoch after a whole step: the parameters are those of as many steps.
template <class T>
void interrupt(const Script& s, int threads) {
    Prepared<T> p(s, threads, 200'000);
    std::atomic<bool> asked{false};
    p.epoch.asked = &asked;
    p.epoch.interrupted = [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(); };
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(60));
        asked.store(true);
    });
    const Done done = p.machine.epoch(p.epoch);
    other.join();
    if (!done.interrupted || done.steps <= 0 || done.steps >= 200'000) refuse(6, "the interrupt was not heard");
    Prepared<T> again(s, 1, done.steps);
    if (again.machine.epoch(again.epoch).steps != done.steps || again.parameters() != p.parameters())
        refuse(7, "an interrupt left half a step");
}

template <class T>
void check(const Script& s) {
    const auto alone = train<T>(s, 1);
    for (int threads : {2, 3})
        if (train<T>(s, threads) != alone) refuse(4, "another number of threads gives other bits");
    std::vector<T> other;
    std::thread beside([&] { other = train<T>(s, 2); });
    const bool same = train<T>(s, 2) == alone;
    beside.join();
    if (!same || other != alone) refuse(5, "side by side gives other bits");
}

// Many threads run programs at once, each on a machine of its own, as `predict` does, while another trains.
template <class T>
void crowd(const Script& s) {
    const auto run = [&](int threads) {
        Prepared<T> p(s, threads);
        for (const Source& source : p.epoch.sources) {
            const Value& value = p.machine.program().values[static_cast<std::size_t>(source.value)];
            if (value.integer) p.machine.feed_integers(source.value, static_cast<const std::int64_t*>(source.data));
            else p.machine.feed(source.value, static_cast<const T*>(source.data));
        }
        p.machine.turn_twins();
        for (int k = 0; k < 20; k++) p.machine.run(false);
        std::vector<T> loss(1);
        p.machine.read(s.objective, loss.data(), false);
        return loss[0];
    };
    const T alone = run(1);
    std::vector<T> found(4);
    std::vector<std::thread> threads;
    for (T& x : found) threads.emplace_back([&] { x = run(2); });
    const auto trained = train<T>(s, 2);
    for (auto& t : threads) t.join();
    for (T x : found)
        if (x != alone && !(x != x && alone != alone)) refuse(8, "runs at once give other numbers");
    if (trained != train<T>(s, 1)) refuse(9, "training beside runs gives other bits");
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
        crowd<float>(s);
        if (programs % 2 == 0) interrupt<double>(s, 2);
        s = Script();
        programs++;
    }
    std::printf("%d programs\n", programs);
}
