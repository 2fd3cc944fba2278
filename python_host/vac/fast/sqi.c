/* The SQI registers: counts that fold at the end of each epoch, as vac.isa.sqi states it. */
#include "machine.h"

static void sqi_fold(vac_machine *m)
{
    const uint32_t disorder = (m->mispredictions << SQI_COHERENCE_SHIFT) + (m->refusals << SQI_REFUSAL_SHIFT);
    const int32_t coherence_target = (int32_t)(SQI_FULL - (disorder < SQI_FULL ? disorder : SQI_FULL));
    const uint32_t entropy = m->mispredictions << SQI_ENTROPY_SHIFT;
    const int32_t entropy_target = (int32_t)(entropy < SQI_FULL ? entropy : SQI_FULL);
    /* Signed shifts round down. */
    m->coherence += (uint32_t)((coherence_target - (int32_t)m->coherence) >> SQI_SMOOTHING_SHIFT);
    m->entropy += (uint32_t)((entropy_target - (int32_t)m->entropy) >> SQI_SMOOTHING_SHIFT);
    m->drift += (uint32_t)(((int32_t)m->distance - (int32_t)m->drift) >> SQI_SMOOTHING_SHIFT);
    m->mispredictions = m->distance = m->refusals = 0;
}

/* Folds the epochs that ended at or before the present tick. An epoch without events that changes nothing is followed
 * by others of its kind. */
void sqi_catch_up(vac_machine *m)
{
    while (m->epoch_end <= m->tick) {
        const uint32_t coherence = m->coherence, entropy = m->entropy, drift = m->drift;
        const int is_calm = !(m->mispredictions | m->refusals | m->distance);
        sqi_fold(m);
        m->epoch_end += EPOCH_TICKS;
        if (is_calm && coherence == m->coherence && entropy == m->entropy && drift == m->drift) {
            m->epoch_end = (m->tick / EPOCH_TICKS + 1) * EPOCH_TICKS;
            return;
        }
    }
}

void sqi_emit(vac_machine *m, uint32_t value)
{
    uint32_t moved = value > m->last_emit ? value - m->last_emit : m->last_emit - value;
    if (moved > SQI_FULL)
        moved = SQI_FULL;
    m->distance = m->distance + moved < SQI_FULL ? m->distance + moved : SQI_FULL;
    m->last_emit = value;
}
