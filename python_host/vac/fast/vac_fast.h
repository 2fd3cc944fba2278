/* The fast engine's interface: one virtual machine behind an opaque handle.
 *
 * Usable from C, from C++ in the same process, and through any foreign-function interface: flat structs, fixed-width
 * integers, no callbacks. No function prints, exits or throws. A handle belongs to one thread at a time; different
 * handles are independent. Functions that return int give 0 on success and a negative VAC_ERROR otherwise.
 */
#ifndef VAC_FAST_H
#define VAC_FAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAC_ABI_VERSION 3

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

enum {
    VAC_STACK_RAM_CELLS = 256,
    VAC_DATA_STACK_CELLS = 64,
    VAC_WINDOWS = 17, /* sixteen, then the function table's */
    VAC_LEAF_BYTES = 4096,
    VAC_MAX_ARGUMENTS = 16
};

typedef enum {
    VAC_OK = 0,
    VAC_ERROR_MEMORY = -1,       /* the host has no memory left */
    VAC_ERROR_STATE = -2,        /* a state that no run can lead to */
    VAC_ERROR_NOT_RESIDENT = -3, /* the leaf is not there */
    VAC_ERROR_NO_EVENT = -4,     /* no event waits for an answer */
    VAC_ERROR_ARGUMENT = -5,     /* an index or length out of range */
    VAC_ERROR_UNTRACED = -6,     /* a plain machine has no beams */
    VAC_ERROR_TRACED = -7        /* a traced machine needs somewhere to put its beams */
} vac_error;

typedef enum {
    VAC_STOP_TICK = 0,
    VAC_STOP_HALTED = 1,
    VAC_STOP_TRAPPED = 2,
    VAC_STOP_EVENT = 3,
    VAC_STOP_PAGE_MISS = 4,
    VAC_STOP_BUFFER = 5 /* the beam buffer is full */
} vac_stop_reason;

typedef enum { VAC_EVENT_IN = 0, VAC_EVENT_OUT = 1, VAC_EVENT_SYSTEM_CALL = 2 } vac_event_kind;

/* One beam, little-endian: pc, opcode, flags, labels; then value, aux. */
typedef struct {
    uint64_t low;  /* pc 0-31, opcode 32-39, flags 40-47, labels 48-63 */
    uint64_t high; /* value 0-31, aux 32-63 */
} vac_beam;

typedef struct {
    uint64_t base; /* byte offset in the slot, below 2**32 */
    uint32_t length;
    uint8_t slot;
    uint8_t permissions;
    uint16_t reserved;
} vac_window;

/* Architectural state; fields as in vac.machine.state.State. */
typedef struct {
    uint64_t tick, cone_in, cone_out, digest;
    uint32_t pc, status, trap, sp, rp, fp, code_length, has_labels, joins;
    uint32_t coherence, entropy, drift, mispredictions, distance, refusals, history, last_emit;
    uint32_t digest_known; /* 0 in a plain machine: `digest` then says nothing */
    uint32_t cells[VAC_STACK_RAM_CELLS];
    uint16_t labels[VAC_STACK_RAM_CELLS];
    vac_window windows[VAC_WINDOWS];
} vac_state;

typedef struct {
    uint64_t tick;
    uint32_t reason; /* vac_stop_reason */
    uint32_t pc;
    uint32_t event_kind, event_number, argument_count; /* of VAC_STOP_EVENT */
    uint32_t arguments[VAC_MAX_ARGUMENTS];
    uint32_t slot, leaf; /* of VAC_STOP_PAGE_MISS */
} vac_stop;

typedef struct vac_machine vac_machine;

/* VAC_ABI_VERSION that the library was built with. */
uint32_t vac_abi_version(void);

/* A machine that is halted before its first state is set; NULL when there is no memory. A traced machine makes beams
 * and computes the digest; a plain one does neither. */
vac_machine *vac_new(int traced);
void vac_free(vac_machine *machine);

/* Takes over a state; a waiting event is forgotten. VAC_ERROR_STATE leaves the machine as it was. */
int vac_set_state(vac_machine *machine, const vac_state *state);
void vac_get_state(vac_machine *machine, vac_state *state);

/* Memory by shard slot and 4 KiB leaf. */
int vac_install(vac_machine *machine, uint32_t slot, uint32_t leaf, const uint8_t *data, uint16_t labels);
int vac_read_leaf(const vac_machine *machine, uint32_t slot, uint32_t leaf, uint8_t *data, uint16_t *labels);
int vac_evict(vac_machine *machine, uint32_t slot, uint32_t leaf);
int vac_write(vac_machine *machine, uint32_t slot, uint64_t offset, const uint8_t *data, size_t length);
/* Drops every leaf. */
void vac_clear_memory(vac_machine *machine);
/* Resident leaves as slot << 32 | leaf, ascending; returns how many there are, writes at most `capacity` of them. */
size_t vac_leaves(const vac_machine *machine, uint64_t *leaves, size_t capacity);
/* As vac_leaves: the leaves that were stored to or installed since the last vac_clean. */
size_t vac_dirty_leaves(const vac_machine *machine, uint64_t *leaves, size_t capacity);
/* As vac_dirty_leaves, with what they hold: 4096 bytes and a label set each, one after another. */
size_t vac_read_dirty(const vac_machine *machine, uint64_t *leaves, uint8_t *data, uint16_t *labels, size_t capacity);
void vac_clean(vac_machine *machine);

/* Runs until `tick` equals until_tick or something needs the host.
 * Plain machine: beams NULL, capacity 0. Traced machine: at most `capacity` beams are written and *count says how many;
 * with beams NULL they are digested and dropped. */
int vac_run(vac_machine *machine, uint64_t until_tick, vac_beam *beams, size_t capacity, size_t *count, vac_stop *stop);

/* Completes the event that vac_run stopped for: traps when trap is not 0; otherwise retires the instruction and, in a
 * traced machine, writes its beam to *beam unless NULL. Memory writes of the answer go before, by vac_write, and
 * window grants by vac_grant. *retired says whether a beam was left. */
int vac_answer(vac_machine *machine, uint32_t value, uint32_t refused, uint32_t trap, vac_beam *beam, uint32_t *retired);
int vac_grant(vac_machine *machine, uint32_t index, const vac_window *window);
int vac_is_waiting(const vac_machine *machine);

/* Compiled code that goes on from an instruction as the interpreter would, to the same tick, state and beams.
 * locals: the frame's first cell; sp: behind the top of the data stack; remaining: ticks until it has to stop.
 * It returns what then remains when it has just retired a return from the frame in which it was entered, whose cells it
 * leaves to the caller to pop; otherwise -1, with everything in the machine. */
typedef int64_t (*vac_compiled_code)(vac_machine *machine, uint32_t *locals, uint32_t *sp, int64_t remaining);

typedef struct {
    vac_compiled_code code;
    uint32_t pc;
    uint32_t frame; /* locals that the frame must have */
    uint32_t needs; /* cells that must be on the data stack */
    uint32_t room;  /* how many more there must be room for */
    uint32_t least; /* ticks that must remain for it to do anything */
    uint32_t reserved;
} vac_compiled;

enum { VAC_MOST_COMPILED = 250 };

/* Makes the interpreter go over to compiled code where control comes to its pc by a branch, call or return. `leaves`
 * are the leaves of code that it was made from: when one of them is written, installed or evicted, the machine
 * forgets all its compiled code. VAC_ERROR_ARGUMENT when there is too much of it or the machine
 * has label sets, VAC_ERROR_NOT_RESIDENT when a leaf is not
 * there. */
int vac_add_compiled(vac_machine *machine, const vac_compiled *compiled, const uint32_t *leaves, size_t count);
void vac_forget_compiled(vac_machine *machine);
/* How many are there now; 0 again after they were forgotten. */
uint32_t vac_compiled_count(const vac_machine *machine);
/* Ticks that compiled code has run since the machine was made. */
uint64_t vac_compiled_ticks(const vac_machine *machine);
/* Byte offsets inside a machine that compiled code is made with, in the order of VAC_LAYOUT in machine.h; returns how
 * many there are and writes at most `capacity`. */
size_t vac_layout(uint32_t *offsets, size_t capacity);

/* Digest state after `count` more beams. The first picks the fastest method that this processor has. */
uint64_t vac_digest(uint64_t digest, const vac_beam *beams, size_t count);
uint64_t vac_digest_portable(uint64_t digest, const vac_beam *beams, size_t count);
/* Digest by a named method: 0 portable, 1 carry-less multiply, 2 and 3 its 256- and 512-bit forms; returns 0 and leaves
 * *digest alone when this processor does not have it. */
int vac_digest_by(int method, uint64_t *digest, const vac_beam *beams, size_t count);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
