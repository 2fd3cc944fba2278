/* The handle: life, state, run and answer. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCRATCH_BEAMS = 16384, /* fits the second-level cache */
    DIGEST_BEAMS = 4096 /* large beside what a part costs, small beside the second-level cache */
};

uint32_t vac_abi_version(void)
{
    return VAC_ABI_VERSION;
}

static const body *const BODIES[2][2] = {{&PLAIN_BODY, &TRACED_BODY}, {&LABELLED_BODY, &LABELLED_TRACED_BODY}};

/* The body that keeps what this machine has to know. Records hold its handlers. */
static void choose_body(vac_machine *m)
{
    const body *const chosen = BODIES[m->labelled != 0][m->traced != 0];
    if (m->body == chosen)
        return;
    m->body = chosen;
    forget_all_code(m);
}

vac_machine *vac_new(int traced)
{
    vac_machine *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->traced = traced != 0;
    m->digest_known = m->traced;
    choose_body(m);
    m->status = 1;
    m->epoch_end = EPOCH_TICKS;
    compiled_init(m);
    if (code_reserve(m, 0)) {
        free(m);
        return NULL;
    }
    return m;
}

void vac_free(vac_machine *m)
{
    if (!m)
        return;
    free_memory(m);
    unmap(m->code, m->code_bytes);
    free(m->scratch);
    free(m);
}

/* Whether every return leads back to a frame inside the return stack. */
static int links_are_sound(const vac_state *s)
{
    uint32_t rp = s->rp, fp = s->fp;
    while (fp) {
        const uint32_t size = s->cells[VAC_DATA_STACK_CELLS + fp - 1] >> CODE_ADDRESS_BITS;
        rp = fp - 1;
        if (size > rp)
            return 0;
        fp = rp - size;
    }
    return 1;
}

static int is_possible(const vac_state *s)
{
    if (s->sp > VAC_DATA_STACK_CELLS || s->rp > RETURN_STACK_CELLS || s->fp > s->rp || s->code_length > CODE_MASK + 1 ||
        s->status > 2 || s->mispredictions > EPOCH_TICKS || s->distance > SQI_FULL || s->refusals > 0xFF ||
        s->history > 0xFFFF || s->coherence > SQI_FULL || s->entropy > SQI_FULL || s->drift > SQI_FULL)
        return 0;
    for (uint32_t index = 0; index < VAC_WINDOWS; index++) {
        const vac_window *window = &s->windows[index];
        if (window->base % 4 || window->permissions > 3 || window->base + window->length > 1ull << 32)
            return 0;
    }
    return links_are_sound(s);
}

int vac_set_state(vac_machine *m, const vac_state *s)
{
    if (!is_possible(s))
        return VAC_ERROR_STATE;
    const int error = code_reserve(m, s->code_length);
    if (error)
        return error;
    m->tick = s->tick;
    m->cone_in = s->cone_in;
    m->cone_out = s->cone_out;
    m->digest = s->digest;
    m->digest_known = m->traced && s->digest_known;
    m->pc = s->pc;
    m->status = s->status;
    m->trap = s->trap;
    m->sp = s->sp;
    m->rp = s->rp;
    m->fp = s->fp;
    m->has_labels = s->has_labels != 0;
    m->joins = s->joins;
    m->coherence = s->coherence;
    m->entropy = s->entropy;
    m->drift = s->drift;
    m->mispredictions = s->mispredictions;
    m->distance = s->distance;
    m->refusals = s->refusals;
    m->history = s->history;
    m->last_emit = s->last_emit;
    memcpy(m->cells, s->cells, sizeof m->cells);
    memcpy(m->labels, s->labels, sizeof m->labels);
    memcpy(m->windows, s->windows, sizeof m->windows);
    m->labelled = m->has_labels;
    for (uint32_t index = 0; index < VAC_STACK_RAM_CELLS; index++)
        m->labelled |= m->labels[index] != 0;
    choose_body(m);
    m->epoch_end = (m->tick / EPOCH_TICKS + 1) * EPOCH_TICKS;
    m->waiting = 0;
    refresh_paths(m);
    return VAC_OK;
}

void vac_get_state(vac_machine *m, vac_state *s)
{
    sqi_catch_up(m);
    memset(s, 0, sizeof *s);
    s->tick = m->tick;
    s->cone_in = m->cone_in;
    s->cone_out = m->cone_out;
    s->digest = m->digest;
    s->digest_known = (uint32_t)m->digest_known;
    s->pc = m->pc;
    s->status = m->status;
    s->trap = m->trap;
    s->sp = m->sp;
    s->rp = m->rp;
    s->fp = m->fp;
    s->code_length = m->code_length;
    s->has_labels = m->has_labels;
    s->joins = m->joins;
    s->coherence = m->coherence;
    s->entropy = m->entropy;
    s->drift = m->drift;
    s->mispredictions = m->mispredictions;
    s->distance = m->distance;
    s->refusals = m->refusals;
    s->history = m->history;
    s->last_emit = m->last_emit;
    memcpy(s->cells, m->cells, sizeof m->cells);
    memcpy(s->labels, m->labels, sizeof m->labels);
    memcpy(s->windows, m->windows, sizeof m->windows);
}

/* Where the run stands: tick and beams made so far. */
typedef struct {
    vac_beam *beams;
    uint64_t first_tick;
} position;

static void before_body(vac_machine *m, const position *p, uint64_t until)
{
    m->first_tick = m->traced ? p->first_tick : 0;
    m->first_progress = m->traced ? (uintptr_t)p->beams : 0;
    const uint64_t done = m->tick - p->first_tick;
    const uint64_t to_epoch = m->epoch_end > m->tick ? m->epoch_end - m->tick : 0;
    if (m->traced) {
        m->progress = (uintptr_t)(p->beams + done);
        m->limit = (uintptr_t)(p->beams + (until - p->first_tick));
        m->epoch_progress = m->progress + to_epoch * sizeof(vac_beam);
    } else {
        m->progress = m->tick;
        m->limit = until;
        m->epoch_progress = m->tick + to_epoch;
    }
    const uintptr_t longest = MAX_RUN * (m->traced ? sizeof(vac_beam) : 1);
    m->near_limit = m->limit - m->progress > longest ? m->limit - longest : m->progress;
}

static void after_body(vac_machine *m, const position *p)
{
    m->tick = m->traced ? p->first_tick + (m->progress - (uintptr_t)p->beams) / sizeof(vac_beam) : m->progress;
}

/* Beams are digested while they are still in a near cache. */
static void digest_up_to(vac_machine *m, const vac_beam *beams, size_t *digested, size_t count)
{
    m->digest = vac_digest(m->digest, beams + *digested, count - *digested);
    *digested = count;
}

/* Runs up to the tick; with beams there is room for all of them. */
static void run_span(vac_machine *m, uint64_t until, vac_beam *beams, vac_stop *stop)
{
    const position p = {beams, m->tick};
    size_t digested = 0;
    int interprets = 0;
    for (;;) {
        if (m->traced && m->tick - p.first_tick - digested >= DIGEST_BEAMS / 2)
            digest_up_to(m, beams, &digested, (size_t)(m->tick - p.first_tick) / DIGEST_BLOCK * DIGEST_BLOCK);
        if (m->status) {
            stop->reason = m->status == 1 ? VAC_STOP_HALTED : VAC_STOP_TRAPPED;
            break;
        }
        if (m->tick >= until) {
            stop->reason = VAC_STOP_TICK;
            break;
        }
        if (m->pc < m->code_length && (m->code[m->pc].run || decode_at(m, m->pc))) {
            /* Only the last part has to end at its tick: before, the body leaves where a run does not fit any more. */
            const uint64_t entered = m->tick;
            const int is_part = m->traced && until - entered > DIGEST_BEAMS + MAX_RUN;
            const uint64_t end = is_part ? entered + DIGEST_BEAMS : until;
            before_body(m, &p, end);
            m->met = NULL;
            m->body->run(m, &m->code[m->pc], interprets);
            after_body(m, &p);
            interprets = 0;
            if (m->met) {
                const uint64_t met = m->tick;
                run_compiled(m, end, (uintptr_t)(beams + (end - p.first_tick)));
                interprets = m->tick == met; /* it could not go on from there */
                continue;
            }
            if (m->tick >= until || (is_part && m->tick + MAX_RUN >= end))
                continue;
        }
        const uint64_t before = m->tick;
        const step_result result = exact_step(m, stop);
        if (result == STEP_RETIRED && m->traced)
            beams[before - p.first_tick] = m->retired;
        if (result == STEP_EVENT || result == STEP_MISS)
            break;
    }
    if (m->traced)
        digest_up_to(m, beams, &digested, (size_t)(m->tick - p.first_tick));
}

static int run_dropping(vac_machine *m, uint64_t until, vac_stop *stop)
{
    if (!m->scratch && !(m->scratch = malloc(SCRATCH_BEAMS * sizeof(vac_beam))))
        return VAC_ERROR_MEMORY;
    for (;;) {
        const uint64_t first = m->tick;
        const uint64_t part = until > first && until - first > SCRATCH_BEAMS ? first + SCRATCH_BEAMS : until;
        run_span(m, part, m->scratch, stop);
        if (stop->reason != VAC_STOP_TICK || m->tick >= until)
            return VAC_OK;
    }
}

int vac_run(vac_machine *m, uint64_t until, vac_beam *beams, size_t capacity, size_t *count, vac_stop *stop)
{
    int error = VAC_OK;
    const uint64_t first = m->tick;
    memset(stop, 0, sizeof *stop);
    *count = 0;
    if (!m->traced) {
        if (beams)
            return VAC_ERROR_UNTRACED;
        run_span(m, until, NULL, stop);
    } else if (!beams) {
        error = run_dropping(m, until, stop);
    } else {
        const int is_short = until > first && until - first > capacity;
        run_span(m, is_short ? first + capacity : until, beams, stop);
        *count = (size_t)(m->tick - first);
        if (is_short && stop->reason == VAC_STOP_TICK)
            stop->reason = VAC_STOP_BUFFER;
    }
    stop->tick = m->tick;
    stop->pc = m->pc;
    return error;
}

int vac_answer(vac_machine *m, uint32_t value, uint32_t refused, uint32_t trap, vac_beam *beam, uint32_t *retired)
{
    vac_stop stop;
    *retired = 0;
    if (!m->waiting)
        return VAC_ERROR_NO_EVENT;
    m->waiting = 0;
    if (trap) {
        m->status = 2;
        m->trap = trap;
        return VAC_OK;
    }
    if (exact_word(m, m->waiting_word, 1, value, refused, &stop) != STEP_RETIRED)
        return VAC_OK;
    *retired = 1;
    if (m->traced)
        m->digest = vac_digest(m->digest, &m->retired, 1);
    if (beam)
        *beam = m->retired;
    return VAC_OK;
}

int vac_grant(vac_machine *m, uint32_t index, const vac_window *window)
{
    if (index >= VAC_WINDOWS || window->base % 4 || window->permissions > 3 ||
        window->base + window->length > 1ull << 32)
        return VAC_ERROR_ARGUMENT;
    m->windows[index] = *window;
    refresh_path(m, index);
    return VAC_OK;
}

int vac_is_waiting(const vac_machine *m)
{
    return m->waiting;
}
