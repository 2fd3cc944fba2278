// The Verilated core, clocked by the harness itself: a clock cycle is one evaluation.
#pragma once
#include <memory>

#include "Vvac_core.h"
#include "Vvac_core___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

class ClockedCore {
  public:
    using Pins = Vvac_core;

    ClockedCore() : context(new VerilatedContext), model(new Vvac_core(context.get())) {
        model->eval();
    }

    Pins& pins() { return *model; }

    void clock() {
        Vvac_core& c = *model;
        c.clk = 1;
        c.eval();
#if VM_TRACE
        if (trace) trace->dump(time);
#endif
        c.clk = 0;
        // Nothing listens to the falling edge. Telling the model that it has seen it saves a whole evaluation.
#if VM_TRACE
        if (trace) {
            c.eval();
            trace->dump(time + 5);
        }
#endif
        c.rootp->__Vtrigprevexpr___TOP__clk__0 = 0;
        time += 10;
    }

    // Writes a waveform from now on; false in a build without tracing.
    bool open_trace(const char* path) {
#if VM_TRACE
        close_trace();
        context->traceEverOn(true);
        trace.reset(new VerilatedVcdC);
        model->trace(trace.get(), 99);
        trace->open(path);
        return true;
#else
        (void)path;
        return false;
#endif
    }

    void close_trace() {
#if VM_TRACE
        if (trace) trace->close();
        trace.reset();
#endif
    }

    static constexpr bool kCanTrace = VM_TRACE;

  private:
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vvac_core> model;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
    uint64_t time = 0;
};
