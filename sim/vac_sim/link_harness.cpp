// The link alone: byte streams on one side, on the other a host port with memory and a core that only makes beams.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "Vlink.h"
#include "verilated.h"

namespace {

constexpr uint32_t kMemoryMask = 0xFFFF;
constexpr uint32_t kStarted = 0xFFFFFFFF;  // in the log, instead of an address
constexpr uint32_t kBudgetAddress = 0;     // beams to make before the core stops by itself
constexpr uint32_t kBudgetMask = 0x7F;
constexpr unsigned kBeamWords = 5;
constexpr unsigned kBeamBuffer = 8;
constexpr unsigned kByteCycles = 3;  // from one received byte to the next

struct Link {
    VerilatedContext context;
    Vlink top{&context};
    std::vector<uint32_t> memory = std::vector<uint32_t>(kMemoryMask + 1);
    std::vector<uint32_t> log;
    uint32_t addresses[3] = {};
    std::deque<uint32_t> beams;
    uint32_t next_beam = 0, left = 0;
    uint64_t cycles = 0;
    bool next_stopped = true;
    uint32_t next_read = 0;

    Link() {
        top.clk = 0;
        top.host_stopped = 1;
        top.eval();
    }

    void cycle() {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        ++cycles;
    }

    // What the core does with the outputs before a clock edge; its inputs for the next cycle follow from it.
    void follow() {
        const bool stopped = top.host_stopped;
        if (stopped && top.host_write) {
            memory[top.host_address & kMemoryMask] = top.host_write_data;
            log.push_back(top.host_address);
            log.push_back(top.host_write_data);
        }
        if (top.beams_valid && top.beams_ready) beams.pop_front();
        if (!stopped) {
            if (left && beams.size() < kBeamBuffer) beams.push_back(next_beam++), --left;
            if (!left || (top.host_halt_request && beams.size() < kBeamBuffer)) left = 0, next_stopped = true;
        } else if (top.host_start) {
            log.push_back(kStarted);
            log.push_back(0);
            left = 1 + (memory[kBudgetAddress] & kBudgetMask);
            next_stopped = false;
        }
        const uint32_t read_from = addresses[1];
        addresses[2] = addresses[1], addresses[1] = addresses[0], addresses[0] = top.host_address;
        next_read = memory[read_from & kMemoryMask];
    }

    void drive() {
        top.host_stopped = next_stopped;
        top.host_read_data = next_stopped ? next_read : 0xDEADBEEF;
        top.beams_valid = !beams.empty();
        for (unsigned word = 0; word < kBeamWords && !beams.empty(); ++word)
            top.beams_payload[word] = beams.front() * 0x9E3779B1u + word;
    }

};

}  // namespace

extern "C" {

void* link_new() { return new Link; }
void link_free(void* link) { delete static_cast<Link*>(link); }
uint64_t link_cycles(void* link) { return static_cast<Link*>(link)->cycles; }

// Gives `count` bytes to the link, then runs until nothing has come out for `patience` cycles; returns bytes received.
size_t link_transfer(void* handle, const uint8_t* data, size_t count, uint8_t* out, size_t room, uint32_t patience) {
    auto* link = static_cast<Link*>(handle);
    size_t given = 0, taken = 0;
    unsigned until_next = 0;
    for (uint32_t quiet = 0; quiet < patience && taken < room; ++quiet) {
        link->top.received_valid = 0;
        if (given < count) {
            quiet = 0;
            if (until_next == 0) {
                link->top.received_valid = 1;
                link->top.received_payload = data[given++];
                until_next = kByteCycles;
            }
        }
        if (until_next) --until_next;
        link->top.sent_ready = 1;
        link->drive();
        link->top.eval();
        if (link->top.sent_valid) {
            out[taken++] = link->top.sent_payload;
            quiet = 0;
            // A whole frame: what follows comes soon or not at all.
            if (taken > 9 && out[taken - 1] == 0x7E && given == count) quiet = patience > 16 ? patience - 16 : 0;
        }
        link->follow();
        link->cycle();
    }
    return taken;
}

// Writes and starts since the last call, as pairs of address and word; returns the number of words.
size_t link_log(void* handle, uint32_t* words, size_t room) {
    auto* link = static_cast<Link*>(handle);
    const size_t count = link->log.size() < room ? link->log.size() : room;
    for (size_t at = 0; at < count; ++at) words[at] = link->log[at];
    link->log.erase(link->log.begin(), link->log.begin() + long(count));
    return count;
}
}
