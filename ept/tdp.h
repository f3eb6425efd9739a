/* draft for bring-up, replaced by the engine's own */
#ifndef EPT_TDP_H
#define EPT_TDP_H
#include "lib/types.h"
#include "mm/mmu.h"
#include "mm/slots.h"
struct vm;
struct tdp { struct guest_memory *mem; uint64_t *root; bool large; struct spinlock lock; };
int tdp_init(struct tdp *t, struct guest_memory *m, struct vm *vm, bool large);
void tdp_destroy(struct tdp *t);
enum ret_pf tdp_fault(struct tdp *t, gpa_t gpa, uint32_t error);
#endif
