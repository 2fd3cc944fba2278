// The Verilated core with its frames, its page table and its clock.
#include "harness.h"

#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#if VAC_BENCH
#include "bench_core.h"
#else
#include "native_core.h"
#endif
#include "state_map.h"

namespace {

constexpr uint32_t kLeafBytes = 4096;
constexpr uint32_t kLeafWords = kLeafBytes / 4;
constexpr unsigned kHostReadCycles = 3;

struct Resident {
    uint32_t frame;
    uint32_t labels;
    bool writable;  // a store has been let through since the leaf came in
};

uint64_t key_of(uint32_t slot, uint32_t leaf) { return uint64_t(slot) << 32 | leaf; }

// Bits [low, low + 32) of a wide Verilated vector.
template <typename Wide>
uint32_t bits32(const Wide& wide, unsigned low) {
    unsigned word = low / 32, shift = low % 32;
    uint64_t pair = wide[word];
    if (shift) pair |= uint64_t(wide[word + 1]) << 32;
    return uint32_t(pair >> shift);
}

}  // namespace

struct Simulation {
    explicit Simulation(uint32_t frame_bits) : core(clocked.pins()), frames(size_t(kLeafWords) << frame_bits) {
        for (uint32_t frame = 1u << frame_bits; frame-- > 0;) free_frames.push_back(frame);
        core.beam_ready = 1;
    }

    ClockedCore clocked;
    ClockedCore::Pins& core;
    std::vector<uint32_t> frames;
    std::vector<uint32_t> free_frames;
    std::unordered_map<uint64_t, Resident> resident;
    uint32_t code_answer = 0, data_answer = 0;
    uint32_t stall_256 = 0;
    uint64_t random = 0x9E3779B97F4A7C15ull;
    uint64_t retired = 0;  // instructions, since this simulation began
    std::string trace_path;
    uint64_t trace_from = UINT64_MAX, trace_until = UINT64_MAX;

    // One clock cycle, from the outputs of the last one and the inputs set since. No output hangs combinationally on
    // an input.
    void cycle() {
        const bool code_served = core.code_request && !core.code_stall, data_read = core.data_read;
        const uint32_t code_address = core.code_address, data_address = core.data_address;
        const uint32_t mask = core.data_write_mask, value = core.data_write_data;
        core.code_data = code_answer;
        core.data_read_data = data_answer;
        clocked.clock();
        if (code_served) {
            code_answer = frames[code_address];
        } else if (stall_256) {
            code_answer = ~code_answer;  // whoever looks at it now does so wrongly
        }
        if (data_read) data_answer = frames[data_address];
        if (mask) {
            uint32_t keep = 0;
            for (int byte = 0; byte < 4; ++byte)
                if (!(mask >> byte & 1)) keep |= 0xFFu << (8 * byte);
            frames[data_address] = (frames[data_address] & keep) | (value & ~keep);
        }
    }

    // Opens and closes the waveform where its span begins and ends.
    void follow_trace() {
        if (retired >= trace_from) {
            clocked.open_trace(trace_path.c_str());
            trace_from = UINT64_MAX;
        }
        if (retired >= trace_until) {
            clocked.close_trace();
            trace_until = UINT64_MAX;
        }
    }

    void write(uint32_t address, uint32_t value) {
        core.host_address = address;
        core.host_write_data = value;
        core.host_write = 1;
        cycle();
        core.host_write = 0;
    }

    uint32_t read(uint32_t address) {
        core.host_address = address;
        for (unsigned latency = 0; latency < kHostReadCycles; ++latency) cycle();
        return core.host_read_data;
    }

    void fill_translation(uint32_t slot, uint32_t leaf, uint32_t frame, uint32_t entry) {
        write(kRegisterBase + kTLB_LEAF, leaf | slot << 24);
        write(kRegisterBase + kTLB_FRAME, frame);
        write(kRegisterBase + kTLB_ENTRY, entry);
    }

    // Settles a page fault for a resident leaf; false when the caller has to bring the leaf in.
    bool settle_fault(uint32_t kind, uint32_t slot, uint32_t leaf) {
        auto found = resident.find(key_of(slot, leaf));
        if (found == resident.end()) return false;
        Resident& page = found->second;
        if (kind == kREAD_ONLY) page.writable = true;
        if (kind == kLABELS) {
            page.labels |= read(kRegisterBase + kFAULT_LABELS);
            fill_translation(slot, leaf, page.frame, 0);  // no window may go on with the smaller label set
        }
        fill_translation(slot, leaf, page.frame,
                         kVALID | (page.writable ? kWRITABLE : 0) | page.labels << kTlbLabelsShift);
        return true;
    }

    // True with probability `chance_256` / 256.
    bool happens(uint32_t chance_256) {
        if (chance_256 >= 256) return true;
        if (chance_256 == 0) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return (random >> 40 & 0xFF) < chance_256;
    }
};

extern "C" {

Simulation* rtl_new(uint32_t frame_bits) { return new Simulation(frame_bits); }
void rtl_free(Simulation* s) { delete s; }
void rtl_write(Simulation* s, uint32_t address, uint32_t value) { s->write(address, value); }
uint32_t rtl_read(Simulation* s, uint32_t address) { return s->read(address); }
void rtl_seed(Simulation* s, uint64_t seed) { s->random = seed | 1; }
void rtl_stall(Simulation* s, uint32_t stall_256) { s->stall_256 = stall_256; }

void rtl_write_many(Simulation* s, const uint32_t* addresses, const uint32_t* values, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) s->write(addresses[i], values[i]);
}

void rtl_read_many(Simulation* s, const uint32_t* addresses, uint32_t* values, uint32_t count) {
    // A new address each cycle; its word comes out behind those of the ones before.
    const uint32_t behind = kHostReadCycles - 1;
    for (uint32_t i = 0; i < count + behind; ++i) {
        if (i < count) s->core.host_address = addresses[i];
        s->cycle();
        if (i >= behind) values[i - behind] = s->core.host_read_data;
    }
}

void rtl_idle(Simulation* s, uint32_t cycles) {
    while (cycles--) s->cycle();
}

int rtl_install(Simulation* s, uint32_t slot, uint32_t leaf, const uint8_t* data, uint32_t labels) {
    auto found = s->resident.find(key_of(slot, leaf));
    uint32_t frame;
    if (found != s->resident.end()) {
        frame = found->second.frame;
    } else {
        if (s->free_frames.empty()) return 0;
        frame = s->free_frames.back();
        s->free_frames.pop_back();
    }
    s->resident[key_of(slot, leaf)] = Resident{frame, labels, false};
    std::memcpy(&s->frames[size_t(frame) * kLeafWords], data, kLeafBytes);
    s->fill_translation(slot, leaf, frame, 0);
    return 1;
}

int rtl_peek(Simulation* s, uint32_t slot, uint32_t leaf, uint8_t* data, uint32_t* labels) {
    auto found = s->resident.find(key_of(slot, leaf));
    if (found == s->resident.end()) return 0;
    std::memcpy(data, &s->frames[size_t(found->second.frame) * kLeafWords], kLeafBytes);
    *labels = found->second.labels;
    return 1;
}

int rtl_evict(Simulation* s, uint32_t slot, uint32_t leaf, uint8_t* data, uint32_t* labels) {
    if (!rtl_peek(s, slot, leaf, data, labels)) return 0;
    s->free_frames.push_back(s->resident[key_of(slot, leaf)].frame);
    s->resident.erase(key_of(slot, leaf));
    s->fill_translation(slot, leaf, 0, 0);
    return 1;
}

uint32_t rtl_resident(Simulation* s, uint64_t* keys, uint32_t capacity) {
    uint32_t count = 0;
    for (const auto& entry : s->resident)
        if (count < capacity) keys[count++] = entry.first;
    return count;
}

void rtl_drop_all(Simulation* s) {
    for (const auto& entry : s->resident) {
        s->fill_translation(uint32_t(entry.first >> 32), uint32_t(entry.first), 0, 0);
        s->free_frames.push_back(entry.second.frame);
    }
    s->resident.clear();
}

void rtl_run(Simulation* s, uint64_t max_cycles, uint32_t ready_256, uint8_t* beams, uint32_t beam_capacity,
             Retired* retired, uint32_t retired_capacity, RunResult* result) {
    ClockedCore::Pins& c = s->core;
    *result = RunResult{};
    if (ClockedCore::kCanTrace) s->follow_trace();
    // Room for what is still in the pipeline when a buffer is found full.
    const uint32_t slack = 64;
    while (result->cycles < max_cycles) {
        c.host_start = 1;
        s->cycle();
        c.host_start = 0;
        s->cycle();
        ++result->cycles;
        unsigned settled = 0;  // cycles since the core has stopped: the last retirements and beams still come out
        while (settled < 4 || (c.beam_valid && c.host_stopped)) {
            const bool full = (beams && result->beams + slack > beam_capacity) ||
                              (retired && result->retired + slack > retired_capacity) || result->cycles >= max_cycles;
            c.host_halt_request = full;
            c.beam_ready = s->happens(ready_256);
            c.code_stall = s->happens(s->stall_256);
            if (c.beam_valid && c.beam_ready && beams) {
                for (int word = 0; word < 4; ++word) {
                    const uint32_t value = c.beam_payload[word];
                    std::memcpy(beams + 16 * size_t(result->beams) + 4 * word, &value, 4);
                }
                ++result->beams;
            }
            if (c.retire_valid) {
                if (retired) {
                    Retired& r = retired[result->retired];
                    for (int word = 0; word < 4; ++word) {
                        const uint32_t value = c.retire_payload[word];
                        std::memcpy(r.beam + 4 * word, &value, 4);
                    }
                    r.next_pc = bits32(c.retire_payload, kRetire_next_pc) & 0xFFFFFF;
                    r.sp = bits32(c.retire_payload, kRetire_sp);
                    r.rp = bits32(c.retire_payload, kRetire_rp);
                    r.fp = bits32(c.retire_payload, kRetire_fp);
                    r.coherence = bits32(c.retire_payload, kRetire_coherence);
                    r.entropy = bits32(c.retire_payload, kRetire_entropy);
                    r.drift = bits32(c.retire_payload, kRetire_drift);
                    r.mispredictions = bits32(c.retire_payload, kRetire_mispredictions);
                    r.history = bits32(c.retire_payload, kRetire_history);
                    r.digest = bits32(c.retire_payload, kRetire_digest) |
                               uint64_t(bits32(c.retire_payload, kRetire_digest + 32)) << 32;
                }
                ++result->retired;
                ++s->retired;
                if (ClockedCore::kCanTrace) s->follow_trace();
            }
            s->cycle();
            if (c.host_stopped) {
                ++settled;
            } else {
                ++result->cycles;
            }
        }
        c.host_halt_request = 0;
        const uint32_t stop = s->read(kRegisterBase + kSTOP);
        result->stop_code = stop & 7;
        result->trap = stop >> 8 & 0x1F;
        result->fault_kind = stop >> 16 & 3;
        result->fault_slot = s->read(kRegisterBase + kFAULT_SLOT);
        result->fault_leaf = s->read(kRegisterBase + kFAULT_LEAF);
        if (result->stop_code == kPAGE &&
            s->settle_fault(result->fault_kind, result->fault_slot, result->fault_leaf)) {
            ++result->page_walks;
            const bool full = (beams && result->beams + slack > beam_capacity) ||
                              (retired && result->retired + slack > retired_capacity);
            if (!full) continue;
            result->stop_code = 0;
        }
        return;
    }
    result->stop_code = 0;
}

int rtl_trace(Simulation* s, const char* path, uint64_t from, uint64_t until) {
    if (!ClockedCore::kCanTrace) return 0;
    s->clocked.close_trace();
    s->trace_path = path;
    s->trace_from = *path ? s->retired + from : UINT64_MAX;
    s->trace_until = *path ? s->retired + until : UINT64_MAX;
    return 1;
}
}
