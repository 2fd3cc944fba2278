// C ABI of the Verilated core: batches of cycles behind each call, no Python per cycle.
#pragma once
#include <cstdint>

extern "C" {

// One retired instruction: the state after it, as RETIRE_LAYOUT in vac_hdl/signatures.py states it.
struct Retired {
    uint8_t beam[16];
    uint64_t digest;
    uint32_t next_pc;
    uint16_t coherence, entropy, drift, mispredictions, history;
    uint8_t sp, rp, fp;
    uint8_t reserved[3];
};

struct RunResult {
    uint32_t stop_code;  // StopCode; NONE when `max_cycles` ran out or a buffer is full
    uint32_t trap;
    uint32_t fault_kind;
    uint32_t fault_slot;  // of an event: its number
    uint32_t fault_leaf;  // of an event: its opcode
    uint32_t beams;       // records written to the caller's buffer
    uint32_t retired;
    uint32_t page_walks;  // translations that the harness filled in during this call
    uint64_t cycles;      // clock cycles of this call
};

struct Simulation;

Simulation* rtl_new(uint32_t frame_bits);
void rtl_free(Simulation*);
void rtl_write(Simulation*, uint32_t address, uint32_t value);
uint32_t rtl_read(Simulation*, uint32_t address);
void rtl_write_many(Simulation*, const uint32_t* addresses, const uint32_t* values, uint32_t count);
void rtl_read_many(Simulation*, const uint32_t* addresses, uint32_t* values, uint32_t count);
// Lets cycles pass while the core is stopped, as a slow host does.
void rtl_idle(Simulation*, uint32_t cycles);
// Frames. `rtl_install` returns 0 when every frame is taken; the others 0 when the leaf is not resident.
int rtl_install(Simulation*, uint32_t slot, uint32_t leaf, const uint8_t* data, uint32_t labels);
int rtl_evict(Simulation*, uint32_t slot, uint32_t leaf, uint8_t* data, uint32_t* labels);
int rtl_peek(Simulation*, uint32_t slot, uint32_t leaf, uint8_t* data, uint32_t* labels);
uint32_t rtl_resident(Simulation*, uint64_t* keys, uint32_t capacity);
void rtl_drop_all(Simulation*);
// Runs until the core stops for a reason that needs the caller. Beams are taken with probability `ready_256` / 256.
void rtl_run(Simulation*, uint64_t max_cycles, uint32_t ready_256, uint8_t* beams, uint32_t beam_capacity,
             Retired* retired, uint32_t retired_capacity, RunResult* result);
void rtl_seed(Simulation*, uint64_t seed);
// From now on the instruction bus stalls with probability `stall_256` / 256 in each cycle.
void rtl_stall(Simulation*, uint32_t stall_256);
// Waveform, as VCD, of the retired instructions [from, until) counted from now; it begins with a run, not with what the
// host does before. Ends one that is being written; an empty path does only that.
// Returns 0 in a build without tracing.
int rtl_trace(Simulation*, const char* path, uint64_t from, uint64_t until);
}
