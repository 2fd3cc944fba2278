/* Inside of a machine, shared by the engine's own files. */
#ifndef VAC_MACHINE_H
#define VAC_MACHINE_H

#include "vac_fast.h"
#include "vac_tables.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { LEAF_SHIFT = 12, SLOTS = 256, EPOCH_TICKS = 256, MAX_RUN = 48, MAX_LENGTH = 5 };

/* What is known of a leaf, one byte each. */
enum {
    LEAF_RESIDENT = 1,
    LEAF_STORE = 2, /* a store needs nothing but to be done: dirty already, holds no decoded instruction */
    LEAF_DIRTY = 4,
    LEAF_CODE = 8, /* decoded records depend on it */
    LEAF_COMPILED = 16 /* compiled code depends on it */
};

/* A shard slot: one stretch of host memory, whose pages the host's kernel supplies when they are touched. */
typedef struct {
    uint8_t *memory;
    uint8_t *flags;
    uint16_t *labels;
    uint32_t leaves; /* capacity */
} slot_memory;

/* A stretch of a window whose every leaf is ready for one kind of access. One subtraction and one comparison of a
 * pointer say whether it is in there: pointer - low, rotated right by the log of the size, is below the span in units
 * of the size. An unaligned pointer rotates into one that is beyond every span; the stretch begins at a multiple of 4. */
typedef struct {
    uint8_t *origin;  /* host memory of its first byte */
    uint32_t low;     /* pointer to its first byte, window index included */
    uint32_t address; /* of its first byte in the slot */
    uint32_t span[3]; /* whole bytes, halves, cells */
    int32_t patience; /* accesses beyond it until it grows to all that is ready around one */
} extent;

/* What a load or store through a window touches. */
typedef struct {
    extent read, write; /* 64 bytes: an index is a shift */
} window_path;

/* The window where an extent does not help: lengths are 0 unless its permission is there, and end where the slot's
 * memory ends. */
typedef struct {
    uint8_t *start; /* host memory of displacement 0 */
    uint8_t *flags;   /* of the slot */
    uint16_t *labels; /* of the slot */
    uint32_t base;
    uint32_t read_length, write_length;
} window_limits;

struct record;

/* A handler executes the instruction of a record and goes on to the next; it returns when the engine has to look. */
typedef int (*handler)(struct vac_machine *m, const struct record *r, uint32_t *locals, uint32_t *sp, uintptr_t t,
                       uint32_t last);

/* A decoded instruction, at the index of its pc. All zeros: not decoded. A run is this instruction and those that
 * follow it without a check; what it needs is checked where the run is entered. */
typedef struct record {
    handler next;        /* handler of the instruction behind this one */
    uint64_t beam;       /* low half of its beam */
    uint32_t immediate;  /* operand, displacement, or distance to the branch target in bytes */
    uint8_t d, a, b;     /* locals; of branches d is the history bit and b a small constant */
    uint8_t frame_slack; /* 255 - locals that the run needs */
    uint8_t stack_need;  /* cells that must be on the data stack at the run's start */
    uint8_t stack_room;  /* how many more there may be than that */
    uint8_t run;         /* instructions in the run */
    uint8_t length;
    uint16_t entry; /* handler when entered from elsewhere than the instruction before */
    uint8_t size_log2; /* of the load or store */
    uint8_t compiled;  /* compiled code from here on, plus one */
} record;

typedef enum { STEP_RETIRED = 0, STEP_TRAPPED, STEP_EVENT, STEP_MISS } step_result;

/* One way of compiling the interpreter: its handlers, and how it is started. `interprets`: the first instruction is
 * interpreted even where there is compiled code. */
typedef struct body {
    const handler *handlers;
    handler enter;
    void (*run)(struct vac_machine *m, const record *r, int interprets);
} body;

struct vac_machine {
    uint32_t cells[VAC_STACK_RAM_CELLS]; /* first: a stack pointer equal to the machine is an empty stack */
    /* what handlers touch */
    uintptr_t limit;      /* of progress */
    uintptr_t near_limit; /* below it any run fits */
    record *code;
    uint32_t frame_complement; /* 255 - locals of the frame */
    uint32_t code_length;
    uint32_t history;
    uint32_t mispredictions;
    uintptr_t epoch_progress; /* progress at which the SQI epoch ends */
    window_path paths[VAC_WINDOWS];
    window_limits limits[VAC_WINDOWS];
    window_path *moving; /* handed from a handler to the one that moves its extent */
    const struct body *body;
    uint64_t first_tick; /* of the progress `first_progress` */
    uintptr_t first_progress;
    /* the rest of the state */
    uintptr_t progress;
    uint64_t tick;
    uint64_t epoch_end;
    uint64_t cone_in, cone_out, digest;
    uint32_t pc, status, trap, sp, rp, fp, joins;
    uint32_t coherence, entropy, drift, distance, refusals, last_emit;
    uint32_t has_labels;
    uint32_t labelled; /* label sets may be other than empty */
    uint16_t labels[VAC_STACK_RAM_CELLS];
    vac_window windows[VAC_WINDOWS];
    slot_memory slots[SLOTS];
    int traced;
    int digest_known;
    size_t code_bytes; /* mapped for records */
    /* the waiting event */
    int waiting;
    uint64_t waiting_word;
    vac_stop event;
    vac_beam retired; /* beam of the last exact step */
    vac_beam *scratch; /* beams that are digested and dropped */
    /* compiled code, and what it asks of the engine */
    vac_compiled compiled[VAC_MOST_COMPILED];
    uint16_t interpreted[VAC_MOST_COMPILED]; /* handler that each stands in for */
    uint32_t compiled_count;
    uint64_t compiled_ticks;
    const vac_compiled *met; /* the interpreter has come to it */
    uint64_t until;          /* tick at which nothing remains */
    uintptr_t beams_end;     /* where the beam before that tick ends */
    int64_t remaining;
    void (*fold_epochs)(struct vac_machine *m, uint64_t tick);
    void (*emit_cell)(struct vac_machine *m, uint64_t tick, uint32_t value);
    uint32_t (*read_register)(struct vac_machine *m, uint64_t tick, uint32_t number, uint32_t sp);
    uint32_t (*reach_read)(struct vac_machine *m, uint32_t a, uint32_t pointer, uint32_t size);
    uint32_t (*reach_write)(struct vac_machine *m, uint32_t a, uint32_t pointer, uint32_t size);
};

/* Members that compiled code is made with, in this order. */
#define VAC_LAYOUT(member)                                                                                             \
    member(cells) member(paths) member(windows) member(history) member(mispredictions) member(epoch_end) member(pc)    \
    member(sp) member(fp) member(rp) member(joins) member(until) member(beams_end) member(remaining)                   \
    member(fold_epochs) member(emit_cell) member(read_register) member(reach_read) member(reach_write)

/* memory.c */
int slot_reserve(vac_machine *m, uint32_t slot, uint32_t leaf);
void refresh_path(vac_machine *m, uint32_t index);
void refresh_paths(vac_machine *m);
/* Forgets the extents that hold this leaf for stores, and with `reads` for loads too. */
void cut_extents(vac_machine *m, uint32_t slot, uint32_t leaf, int reads);
/* Moves a window's extent to where an aligned access of `size` bytes is; 0 when it has to be judged exactly. */
int move_read_extent(vac_machine *m, uint32_t index, uint32_t displacement, uint32_t size);
int move_write_extent(vac_machine *m, uint32_t index, uint32_t displacement, uint32_t size);
void free_memory(vac_machine *m);
void *map_zeroed(size_t bytes);
void unmap(void *start, size_t bytes);

/* decode.c */
int code_reserve(vac_machine *m, uint32_t code_length);
/* Handlers of no row. */
enum { HANDLER_EXACT = 0, HANDLER_COMPILED = 1 };
int decode_at(vac_machine *m, uint32_t pc);
void forget_code(vac_machine *m, uint32_t first, uint32_t last);
void forget_all_code(vac_machine *m);
void hold_leaf(vac_machine *m, uint32_t address);
/* The instruction word at pc: 0, or STEP_TRAPPED or STEP_MISS with *detail the trap or the leaf. */
step_result fetch(const vac_machine *m, uint32_t pc, uint64_t *word, uint32_t *detail);
uint64_t field_of(const table_field *field, uint64_t word);

/* digest.c: beams that are digested at a time; what is no whole number of them takes longer. */
enum { DIGEST_BLOCK = 512 };

/* compiled.c */
void compiled_init(vac_machine *m);
void forget_compiled(vac_machine *m);
/* Runs the compiled code that the interpreter has met, up to the tick. */
void run_compiled(vac_machine *m, uint64_t until, uintptr_t beams_end);

/* sqi.c */
void sqi_catch_up(vac_machine *m);
void sqi_emit(vac_machine *m, uint32_t value);

/* step.c */
step_result exact_step(vac_machine *m, vac_stop *stop);
/* 0, or the trap that keeps a window from being narrowed. */
uint32_t narrow_window(vac_machine *m, uint32_t target, uint32_t from, uint32_t offset, uint32_t length);
/* The permissions that are left. */
uint32_t restrict_window(vac_machine *m, uint32_t index, uint32_t permissions);
uint32_t core_register(const vac_machine *m, uint32_t number);
step_result exact_word(vac_machine *m, uint64_t word, int answered, uint32_t answer, uint32_t refused, vac_stop *stop);

/* body.h, four times */
extern const body PLAIN_BODY, TRACED_BODY, LABELLED_BODY, LABELLED_TRACED_BODY;

#endif
