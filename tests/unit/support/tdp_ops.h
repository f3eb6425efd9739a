/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done to a VM's memory from outside its vCPUs, and told to the model (tdp_model.h). One at
 * a time, from CPU 0, while the vCPUs go on.
 */
#ifndef TESTS_UNIT_SUPPORT_TDP_OPS_H
#define TESTS_UNIT_SUPPORT_TDP_OPS_H

#include "tests/unit/support/tdp_model.h"

/* One of a few slots, which are where they are by `id`; flags at will. */
void op_create(unsigned id);
void op_delete(unsigned id);
void op_move(unsigned id);
void op_flags_to(unsigned id, uint32_t flags);
void op_flags(unsigned id);
void op_get_dirty(unsigned id);

void op_unmap(void);
void op_age(void);
void op_zap_all(void);

/* One of these, on whatever there is. */
void op_any(void);

#endif
