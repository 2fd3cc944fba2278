// Runs a Verilated peer core on one memory image until it stores to the halt address.
//
//   Vpeer IMAGE MAX_CYCLES MEMORY_OUT LABEL
//
// IMAGE and MEMORY_OUT hold the whole memory as little-endian bytes, before and after the run. One JSON object
// on standard output: cycles from the end of reset to the halt, instructions retired (-1 where the model does
// not report them), the stored result, CPU seconds of the run. Exit 0 only if the core halted.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "Vpeer.h"
#include "Vpeer___024root.h"
#include "verilated.h"

namespace {

constexpr uint64_t CYCLES_BETWEEN_CLOCK_READS = 1u << 20;
constexpr double SECONDS_BETWEEN_REPORTS = 2.0;

double cpu_seconds() { return double(clock()) / CLOCKS_PER_SEC; }

int fail(const char* what, const char* path) {
    fprintf(stderr, "peer harness: %s %s\n", what, path);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return fail("usage:", "Vpeer IMAGE MAX_CYCLES MEMORY_OUT LABEL");
    const uint64_t max_cycles = strtoull(argv[2], nullptr, 10);

    VerilatedContext context;
    Vpeer core{&context};
    auto& words = core.rootp->peer_top__DOT__memory__DOT__words;
    const size_t bytes = sizeof(words.m_storage);

    FILE* image = fopen(argv[1], "rb");
    if (!image || fread(words.m_storage, 1, bytes, image) != bytes) return fail("cannot read a full memory from", argv[1]);
    fclose(image);

    auto tick = [&core] {
        core.clk = 0;
        core.eval();
        core.clk = 1;
        core.eval();
    };
    core.rst = 1;
    for (int i = 0; i < 16; i++) tick();
    core.rst = 0;

    const double begun = cpu_seconds();
    double reported = begun;
    uint64_t cycles = 0;
    int64_t retired = 0;
    while (!core.halted && cycles < max_cycles) {
        tick();
        cycles++;
#ifdef COUNT_RETIRED
        retired += core.retired;
#endif
        if (cycles % CYCLES_BETWEEN_CLOCK_READS == 0) {
            const double now = cpu_seconds();
            if (now - reported >= SECONDS_BETWEEN_REPORTS) {
                reported = now;
                fprintf(stderr, "  %s: %.0f Mcycles, %.1f Mcycles/s\n", argv[4], cycles / 1e6, cycles / 1e6 / (now - begun));
            }
        }
    }
    const double seconds = cpu_seconds() - begun;
#ifdef COUNT_RETIRED
    // The store that halts goes out before it retires; the next retirement is its own.
    if (core.halted) {
        do tick();
        while (!core.retired);
        retired++;
    }
#else
    retired = -1;
#endif
    if (!core.halted) {
        fprintf(stderr, "peer harness: %s did not halt in %llu cycles\n", argv[4], (unsigned long long)max_cycles);
        return 1;
    }
    FILE* out = fopen(argv[3], "wb");
    if (!out || fwrite(words.m_storage, 1, bytes, out) != bytes || fclose(out)) return fail("cannot write", argv[3]);
    printf("{\"cycles\": %llu, \"retired\": %lld, \"result\": %u, \"cpu_seconds\": %.6f}\n", (unsigned long long)cycles,
           (long long)retired, core.result, seconds);
    return 0;
}
