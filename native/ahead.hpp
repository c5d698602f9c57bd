// Memory that is wanted soon, fetched into the cache while the products run.
#pragma once

#include <cstdint>

namespace backproof {

inline void fetch(const void* at) {
    __builtin_prefetch(at);
    asm volatile("");                            // or a function that only fetches is taken for one without effect
}

// The rows that the next step gathers, line by line as the work of this step goes on.
struct Ahead {
    const char* data = nullptr;
    long bytes = 0;                              // of a row
    const std::int64_t* rows = nullptr;
    long count = 0, row = 0, byte = 0;
    double rate = 0, due = 0;                    // lines for a multiply-add, lines that are due

    void worked(double multiply_adds) {
        constexpr long line = 64;
        for (due += multiply_adds * rate; due >= 1 && row < count; due--) {
            fetch(data + rows[row] * bytes + byte);
            byte += line;
            if (byte >= bytes) byte = 0, row++;
        }
    }
};

}  // namespace backproof
