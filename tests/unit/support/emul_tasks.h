/* SPDX-License-Identifier: BSD-2-Clause */
/* Two tasks in the machine of emul_machine.h, and what a switch between them must leave. */
#ifndef TESTS_UNIT_SUPPORT_EMUL_TASKS_H
#define TESTS_UNIT_SUPPORT_EMUL_TASKS_H

#include "tests/unit/support/emul_machine.h"

/* Each in a page of its own. */
#define GDT   0x6000
#define IDT   0x7000
#define OLD   0x9000
#define NEW   0xa000
#define LDT   0xb000
#define STACK 0xd000

#define PAGE(addr) MISSING((addr) >> PAGE_SHIFT)

enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_OLD = 0x18,
	SEL_NEW = 0x20,
	SEL_LDT = 0x28,
	SEL_GATE = 0x30,
	SEL_UCODE = 0x3b,
	SEL_UDATA = 0x43,
	SEL_BAD = 0x48,
	SEL_OUTSIDE = 0x80,
	SEL_LOCAL = 0x0c, /* in the LDT */
};

#define CODE32    0x00cf9b000000ffffull /* flat, accessed */
#define DATA32    0x00cf93000000ffffull
#define DPL3      (3ull << 45)
#define PRESENT   BIT_ULL(47)
#define GATE_TYPE 0x85
#define BUSY      2

#define CALL   "\x9a\0\0\0\0\x20\0"
#define JUMP   "\xea\0\0\0\0\x20\0"
#define IRET   "\xcf"
#define CALL_N (CODE + 7) /* behind it */

/* Offsets in a 32-bit TSS. */
enum { CR3 = 0x1c, EIP = 0x20, EFLAGS = 0x24, EAX = 0x28, ESP = 0x38, ES = 0x48, CS = 0x4c };
enum { SS = 0x50, DS = 0x54, FS = 0x58, GS = 0x5c, LDTR = 0x60, TRAP = 0x64 };
/* And in one of 16 bits. */
enum { IP16 = 0x0e, FLAGS16 = 0x10, AX16 = 0x12, SP16 = 0x1a, ES16 = 0x22, LDT16 = 0x2a };

/* A descriptor of the GDT; one of a TSS or an LDT. */
void tasks_set_gdt(unsigned selector, uint64_t descriptor);
void tasks_set_system(unsigned selector, unsigned base, unsigned limit, uint8_t access);
/* The byte with type, DPL and P. */
unsigned tasks_access_of(unsigned selector);
/* Of the new task's TSS. */
void tasks_set_field(unsigned field, uint32_t val);
/* The task register with it. */
void tasks_set_old_tss(uint8_t type, uint32_t limit);
/* For each test: two 32-bit tasks of CPL 0, the old one running. */
int tasks_begin(void **state);
/* An exception with an error code, at the instruction at `rip`. */
int tasks_deliver(uint32_t error);
/* What must be found behind a switch. */
void tasks_old_is_saved(uint32_t eip, uint64_t eflags);
void tasks_new_has_registers(uint64_t eflags);
void tasks_new_has_segments(void);

#endif
