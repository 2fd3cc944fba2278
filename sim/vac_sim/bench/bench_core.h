// The core inside somebody else's simulation: a clock cycle is over when the simulator has come round once.
#pragma once
#include "bench_pins.h"

class ClockedCore {
  public:
    using Pins = BenchPins;

    static Pins& pins();
    // Returns after the next rising edge of the simulator's clock, with the pins as they are then.
    static void clock();

    bool open_trace(const char*) { return false; }
    void close_trace() {}
    static constexpr bool kCanTrace = false;
};
