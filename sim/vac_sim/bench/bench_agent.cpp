// Runs the harness beside the simulator's own loop.
//
// The harness advances time by calling `clock`, the simulator by calling `bench_step` once a cycle. Each has a stack
// of its own, and both calls switch to the other side. Python posts a command and waits for `done` to change: it is not
// woken in between.
#include <ucontext.h>

#include <cstring>
#include <vector>

#include "Vtop__Dpi.h"
#include "bench_core.h"
#include "harness.h"

namespace {

enum Operation : uint32_t {
    kNew,
    kWrite,
    kRead,
    kWriteMany,
    kReadMany,
    kIdle,
    kInstall,
    kEvict,
    kDropAll,
    kRun,
};

constexpr size_t kStackBytes = 1 << 20;
constexpr int kArguments = 8;

BenchPins bench_pins;
ucontext_t simulator_side, harness_side;
std::vector<char> harness_stack;

struct {
    bool is_posted;
    uint32_t operation;
    uint64_t arguments[kArguments];
    uint64_t result;
    unsigned done;  // commands finished so far
} command;

template <typename T>
T* pointer(uint64_t word) {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(word));
}

uint64_t execute(uint32_t operation, const uint64_t* a) {
    auto* s = pointer<Simulation>(a[0]);
    switch (operation) {
        case kNew: return reinterpret_cast<uintptr_t>(rtl_new(uint32_t(a[0])));
        case kWrite: rtl_write(s, uint32_t(a[1]), uint32_t(a[2])); return 0;
        case kRead: return rtl_read(s, uint32_t(a[1]));
        case kWriteMany:
            rtl_write_many(s, pointer<const uint32_t>(a[1]), pointer<const uint32_t>(a[2]), uint32_t(a[3]));
            return 0;
        case kReadMany:
            rtl_read_many(s, pointer<const uint32_t>(a[1]), pointer<uint32_t>(a[2]), uint32_t(a[3]));
            return 0;
        case kIdle: rtl_idle(s, uint32_t(a[1])); return 0;
        case kInstall:
            return rtl_install(s, uint32_t(a[1]), uint32_t(a[2]), pointer<const uint8_t>(a[3]), uint32_t(a[4]));
        case kEvict:
            return rtl_evict(s, uint32_t(a[1]), uint32_t(a[2]), pointer<uint8_t>(a[3]), pointer<uint32_t>(a[4]));
        case kDropAll: rtl_drop_all(s); return 0;
        case kRun:
            rtl_run(s, a[1], uint32_t(a[2]), pointer<uint8_t>(a[3]), uint32_t(a[4]), pointer<Retired>(a[5]),
                    uint32_t(a[6]), pointer<RunResult>(a[7]));
            return 0;
    }
    return 0;
}

void harness_main() {
    while (true) {
        while (!command.is_posted) ClockedCore::clock();
        command.result = execute(command.operation, command.arguments);
        command.is_posted = false;
        ++command.done;
    }
}

}  // namespace

BenchPins& ClockedCore::pins() { return bench_pins; }
void ClockedCore::clock() { swapcontext(&harness_side, &simulator_side); }

// Lets the harness run until it wants the next cycle. Called by bench_step, which is generated with the pins.
void bench_switch() {
    if (harness_stack.empty()) {
        harness_stack.resize(kStackBytes);
        getcontext(&harness_side);
        harness_side.uc_stack.ss_sp = harness_stack.data();
        harness_side.uc_stack.ss_size = harness_stack.size();
        harness_side.uc_link = nullptr;
        makecontext(&harness_side, harness_main, 0);
    }
    swapcontext(&simulator_side, &harness_side);
}

bool bench_done() { return command.done & 1; }

extern "C" {

// Posts a command: an Operation and its eight argument words. One at a time.
void bench_post(uint32_t operation, const uint64_t* arguments) {
    command.operation = operation;
    std::memcpy(command.arguments, arguments, sizeof command.arguments);
    command.is_posted = true;
}

int bench_is_busy() { return command.is_posted; }
uint64_t bench_result() { return command.result; }
}
