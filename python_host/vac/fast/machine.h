/* Inside of a machine, shared by the engine's own files. */
#ifndef VAC_MACHINE_H
#define VAC_MACHINE_H

#include "vac_fast.h"
#include "vac_tables.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { LEAF_SHIFT = 12, SLOTS = 256, EPOCH_TICKS = 256, MAX_RUN = 48 };

/* What is known of a leaf, one byte each. */
enum {
    LEAF_RESIDENT = 1,
    LEAF_STORE = 2, /* a store needs nothing but to be done: dirty already, holds no decoded instruction */
    LEAF_DIRTY = 4,
    LEAF_CODE = 8 /* decoded records depend on it */
};

/* A shard slot: one stretch of host memory, whose pages the host's kernel supplies when they are touched. */
typedef struct {
    uint8_t *memory;
    uint8_t *flags;
    uint16_t *labels;
    uint32_t leaves; /* capacity */
} slot_memory;

/* A window prepared for the fast path: lengths are 0 unless its permission is there, and end where the slot's memory ends. */
typedef struct {
    uint8_t *memory; /* of the slot */
    uint8_t *flags;  /* of the slot */
    uint32_t base;
    uint32_t read_length;
    uint32_t write_length;
    uint32_t reserved;
} window_path;

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
    uint16_t reserved;
} record;

typedef enum { STEP_RETIRED = 0, STEP_TRAPPED, STEP_EVENT, STEP_MISS } step_result;

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
    const handler *handlers;
    /* the rest of the state */
    uintptr_t progress;
    uint64_t tick;
    uint64_t epoch_end;
    uint64_t cone_in, cone_out, digest;
    uint32_t pc, status, trap, sp, rp, fp, joins;
    uint32_t coherence, entropy, drift, distance, refusals, last_emit;
    uint32_t has_labels;
    uint32_t labelled; /* label sets may be other than empty: only the exact step is used */
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
};

/* memory.c */
int slot_reserve(vac_machine *m, uint32_t slot, uint32_t leaf);
void refresh_path(vac_machine *m, uint32_t index);
void refresh_paths(vac_machine *m);
void free_memory(vac_machine *m);
void *map_zeroed(size_t bytes);
void unmap(void *start, size_t bytes);

/* decode.c */
int code_reserve(vac_machine *m, uint32_t code_length);
int decode_at(vac_machine *m, uint32_t pc);
void forget_code(vac_machine *m, uint32_t first, uint32_t last);
void forget_all_code(vac_machine *m);
/* The instruction word at pc: 0, or STEP_TRAPPED or STEP_MISS with *detail the trap or the leaf. */
step_result fetch(const vac_machine *m, uint32_t pc, uint64_t *word, uint32_t *detail);
uint64_t field_of(const table_field *field, uint64_t word);

/* sqi.c */
void sqi_catch_up(vac_machine *m);
void sqi_emit(vac_machine *m, uint32_t value);

/* step.c */
step_result exact_step(vac_machine *m, vac_stop *stop);
step_result exact_word(vac_machine *m, uint64_t word, int answered, uint32_t answer, uint32_t refused, vac_stop *stop);

/* body.c, twice */
void run_plain(vac_machine *m, const record *r);
void run_traced(vac_machine *m, const record *r);
extern const handler PLAIN_HANDLERS[], TRACED_HANDLERS[];
extern const handler PLAIN_ENTER, TRACED_ENTER;

#endif
