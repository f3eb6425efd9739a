/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tasks for the tests of task switches by hardware (SDM volume 3, chapter 7). The tests
 * themselves are the task of SEL_TSS. A task that they start calls `task_hook`, if there is one,
 * each time that it is started, and returns by IRET.
 */
#ifndef TESTS_GUEST_LIB_TASKS32_H
#define TESTS_GUEST_LIB_TASKS32_H

#include "cpu.h"
#include "x86.h"

#define SEL_T1   (SEL_TSS + 8) /* to this_cpu() it is CPU 0 as well */
#define SEL_T2   (SEL_TEST + 0x00)
#define SEL_GATE (SEL_TEST + 0x08)
#define SEL_BAD  (SEL_TEST + 0x10)
#define SEL_LDT  (SEL_TEST + 0x18)

#define TSS_AVAILABLE   0x89
#define TSS_BUSY        0x8b
#define TSS16_AVAILABLE 0x81
#define GATE_TYPE       0x85

#define RFLAGS_NT BIT(14)
#define RFLAGS_VM BIT(17)
#define IOPL3     (3ul << 12)
#define DR6_BT    BIT(15)

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	uint16_t ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
} __attribute__((packed));

extern struct tss task1, task2;
extern uint8_t task_stack1[PAGE_SIZE], task_stack2[PAGE_SIZE];
/* The link of task2, the handler's task, as task_return_home() found it. */
extern volatile uint32_t task_handler_link;

/* What the task that was started last has seen, and how often one was. */
struct task_record {
	unsigned runs;
	uint16_t tr, fs;
	uint8_t caller_type; /* of SEL_TSS, as long as the task runs */
	unsigned long flags, cr0, cr3, dr7;
};
extern volatile struct task_record task_seen;
extern void (*volatile task_hook)(void);
extern uint32_t task_error;

/* Where tasks begin, and begin again when they are started anew behind their IRET. */
extern const uint8_t task_plain[], task_with_error[];

#define CALL_TASK(sel) __asm__ volatile("lcall %0, $0" : : "i"(sel) : "memory", "cc")
#define JUMP_TASK(sel) __asm__ volatile("ljmp %0, $0" : : "i"(sel) : "memory", "cc")

/* The tests' own TSS. */
struct tss *task_home(void);
/* The byte with type, DPL and P of a descriptor. */
uint8_t task_type(unsigned selector);
void task_set_tss(unsigned selector, const struct tss *t, uint8_t type);
void task_init(struct tss *t, uint8_t *stack, const uint8_t *entry);
/* The tests' own task, whatever became of it; two others that are ready. */
void task_begin(void);
uint64_t task_gate(unsigned selector, unsigned dpl);
/* For task_hook: the handler's task ends the one that faulted, and returns in its place. */
void task_return_home(void);

#endif
