// The Verilated core, clocked by the harness itself: a clock cycle is one evaluation.
#pragma once
#include <memory>

#include "Vvac_core.h"
#include "Vvac_core___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// What Verilator generates for all logic behind an input, and for all behind the clock's rising edge.
void Vvac_core___024root___eval_ico(Vvac_core___024root*);
void Vvac_core___024root___eval_nba(Vvac_core___024root*);

class ClockedCore {
  public:
    using Pins = Vvac_core;

    ClockedCore() : context(new VerilatedContext), model(new Vvac_core(context.get())) {
        model->eval();
    }

    Pins& pins() { return *model; }

    // There is one clock, and no loop: the logic behind the inputs and that behind the edge, each once, are all that
    // eval() would find to do. Its search for what to do takes longer than a small part of the core.
    void clock() {
        Vvac_core___024root* const root = model->rootp;
#if VM_TRACE
        if (trace) return clock_traced();
#endif
        root->__VicoTriggered[0] = 1;
        Vvac_core___024root___eval_ico(root);
        root->__VnbaTriggered[0] = 1;
        Vvac_core___024root___eval_nba(root);
        root->__VnbaTriggered[0] = 0;
        time += 10;
    }

#if VM_TRACE
    void clock_traced() {
        Vvac_core& c = *model;
        c.clk = 1;
        c.eval();
        trace->dump(time);
        c.clk = 0;
        c.eval();
        trace->dump(time + 5);
        time += 10;
    }
#endif

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
