// Runs the fast engine one tick at a time and keeps what lockstep compares.
#include "vac_fast.h"

#include <cstring>

#include "harness.h"

using RunFunction = int (*)(vac_machine*, uint64_t, vac_beam*, size_t, size_t*, vac_stop*);
using StateFunction = void (*)(vac_machine*, vac_state*);

extern "C" int record(vac_machine* machine, RunFunction run, StateFunction get_state, uint64_t until, Retired* rows,
                      size_t capacity, size_t* count, vac_stop* stop) {
    vac_state state;
    get_state(machine, &state);
    *count = 0;
    while (true) {
        if (*count == capacity) {
            stop->reason = VAC_STOP_BUFFER;
            return 0;
        }
        vac_beam beam;
        size_t beams = 0;
        const uint64_t next = state.tick < until ? state.tick + 1 : until;
        const int error = run(machine, next, &beam, 1, &beams, stop);
        if (error) return error;
        if (beams) {
            get_state(machine, &state);
            Retired& row = rows[(*count)++];
            std::memcpy(row.beam, &beam, sizeof row.beam);
            row.digest = state.digest;
            row.next_pc = state.pc;
            row.coherence = state.coherence;
            row.entropy = state.entropy;
            row.drift = state.drift;
            row.mispredictions = state.mispredictions;
            row.history = state.history;
            row.sp = state.sp;
            row.rp = state.rp;
            row.fp = state.fp;
        }
        if (stop->reason == VAC_STOP_BUFFER) continue;
        if (stop->reason != VAC_STOP_TICK || stop->tick >= until) return 0;
    }
}
