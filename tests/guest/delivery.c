/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events whose delivery leads through a device: IDT, GDT and stack are in the RAM that pc-testdev
 * has at 0xff000000, descriptors with their accessed bits clear. No hypervisor can give that memory
 * to the CPU, so it delivers these events itself, and all comes out as the CPU would do it (SDM
 * volume 3, 6.11 to 6.14). run: testdev=1
 */
#include <string.h>

#include "apic.h"
#include "flaws.h"
#include "interrupts.h"
#include "ktap.h"
#include "user.h"

#define DEVICE_IDT   0xff000000ul
#define DEVICE_GDT   0xff001000ul
#define DEVICE_STACK 0xff008000ul /* its end */
#define SOFT         0x60
#define ACCESSED     BIT64(40)
#define CODE_OR_DATA BIT64(44)
#define BUSY         BIT64(41)

static struct table_ptr old_idt, old_gdt;

/* What the last event left behind, and where. */
static volatile unsigned events;
static struct regs event;
static unsigned long event_at, flags_in_handler;

static bool note(struct regs *regs)
{
	events++;
	event = *regs;
	event_at = (unsigned long)regs;
	flags_in_handler = read_flags();
	if (regs->vector == UD_VECTOR)
		regs->ip += 2;
	if (regs->vector == VEC)
		apic_eoi();
	return true;
}

static bool has_device(void)
{
	volatile uint32_t *cell = (volatile uint32_t *)DEVICE_IDT;

	*cell = 0x5aa5f00f;
	return *cell == 0x5aa5f00f;
}

/* From here on events go through the device, and on its stack with on_device_stack(). */
static void enter_device(void)
{
	uint64_t *to = (uint64_t *)DEVICE_GDT;

	events = 0;
	old_idt = sidt();
	old_gdt = sgdt();
	memcpy((void *)DEVICE_IDT, idt, sizeof(idt));
	for (unsigned i = 0; i < (old_gdt.limit + 1u) / 8; i++)
		to[i] = gdt[i] & CODE_OR_DATA ? gdt[i] & ~ACCESSED : gdt[i];
	lidt((struct table_ptr){old_idt.limit, DEVICE_IDT});
	lgdt((struct table_ptr){old_gdt.limit, DEVICE_GDT});
}

static void leave_device(void)
{
	lgdt(old_gdt);
	lidt(old_idt);
}

static bool was_accessed(unsigned selector)
{
	return ((volatile uint64_t *)DEVICE_GDT)[selector / 8] & ACCESSED;
}

static bool is_in_device(void)
{
	return event_at > DEVICE_GDT && event_at < DEVICE_STACK;
}

#ifdef __x86_64__
#define SP "%%rsp"
#else
#define SP "%%esp"
#endif

/* A handler leaves the register alone that keeps the stack pointer. */
#define ON_DEVICE_STACK(code)                                                                      \
	do {                                                                                       \
		unsigned long _sp;                                                                 \
		__asm__ volatile("mov " SP ", %0; mov %1, " SP "; " code "; mov %0, " SP           \
				 : "=&b"(_sp)                                                      \
				 : "r"(DEVICE_STACK)                                               \
				 : "memory", "cc");                                                \
	} while (0)

/* The vector that it raises while tables are in the device. */
#define TRY_IN_DEVICE(...)                                                                         \
	({                                                                                         \
		int _vector;                                                                       \
		enter_device();                                                                    \
		_vector = TRY(__VA_ARGS__);                                                        \
		leave_device();                                                                    \
		_vector;                                                                           \
	})

#define NEED_DEVICE() SKIP_UNLESS(has_device(), "no device RAM at 0xff000000")
#define NEED_INT()                                                                                 \
	NEED_DEVICE();                                                                             \
	SKIP_UNLESS(resumes_events(), "this CPU tells of another event than the interrupted INT")

TEST(exception)
{
	NEED_DEVICE();
	trap_set(UD_VECTOR, note);
	enter_device();
	ON_DEVICE_STACK("ud2");
	leave_device();
	CHECK_EQ(events, 1);
	CHECK(is_in_device());
	CHECK(was_accessed(SEL_CODE));
	CHECK_EQ(event.cs, SEL_CODE);
	CHECK_EQ(event.flags & RFLAGS_RF, RFLAGS_RF);
	CHECK_EQ(flags_in_handler & (RFLAGS_RF | RFLAGS_TF), 0);
#ifdef __x86_64__
	CHECK_EQ(event.sp, DEVICE_STACK);
	CHECK_EQ(event.ss, SEL_DATA);
#endif
}

TEST(error_code)
{
	NEED_DEVICE();
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("mov %0, %%fs" : : "r"(0xfff0))), GP_VECTOR);
	CHECK_EQ(fault()->error, 0xfff0);
}

static void soft(unsigned kind)
{
	trap_set(SOFT, note);
	trap_set_gate(SOFT, kind, 0, 0);
	enter_device();
	ON_DEVICE_STACK("sti; int $0x60; cli");
	leave_device();
}

TEST(software_interrupt)
{
	NEED_INT();
	soft(14);
	CHECK_EQ(events, 1);
	CHECK(is_in_device());
	CHECK_EQ(event.flags & RFLAGS_IF, RFLAGS_IF);
	CHECK_EQ(flags_in_handler & RFLAGS_IF, 0);
	soft(15);
	CHECK_EQ(events, 1);
	CHECK_EQ(flags_in_handler & RFLAGS_IF, RFLAGS_IF);
}

static void send_to_self(unsigned vector, unsigned mode)
{
	trap_set(vector, note);
	apic_enable();
	enter_device();
	apic_send_ipi(apic_id(), mode | ICR_ASSERT | vector);
}

TEST(interrupt)
{
	NEED_DEVICE();
	send_to_self(VEC, ICR_FIXED);
	ON_DEVICE_STACK("sti; hlt; cli");
	leave_device();
	CHECK_EQ(events, 1);
	CHECK(is_in_device());
	CHECK_EQ(event.vector, VEC);
}

/* Twice: the IRET lets the second one in. */
TEST(nmi)
{
	NEED_DEVICE();
	for (unsigned i = 0; i < 2; i++) {
		send_to_self(NMI_VECTOR, ICR_NMI);
		ON_DEVICE_STACK("nop");
		leave_device();
		CHECK_EQ(events, 1);
	}
}

/* --- from level 3 ----------------------------------------------------------------------------- */

USER_CODE(user_ud, "ud2");
USER_CODE(user_int, "int $0x60");

#ifdef __x86_64__
#define INNER_SP rsp[0]
#else
#define INNER_SP esp0
#endif

static int try_user_in_device(const uint8_t *code)
{
	unsigned long old = this_cpu()->tss.INNER_SP;
	int vector;

	trap_set_gate(BP_VECTOR, 14, 3, 0); /* where try_user() expects it, before it is copied */
	this_cpu()->tss.INNER_SP = DEVICE_STACK;
	enter_device();
	vector = try_user(code);
	leave_device();
	this_cpu()->tss.INNER_SP = old;
	return vector;
}

TEST(from_user_mode)
{
	NEED_DEVICE();
	CHECK_EQ(try_user_in_device(user_ud), UD_VECTOR);
	CHECK_EQ(fault()->regs.cs & 3, 3);
	CHECK_EQ(fault()->regs.ss, SEL_UDATA);
	CHECK(was_accessed(SEL_UDATA));
}

TEST(privilege_of_a_gate)
{
	NEED_INT();
	CHECK_EQ(try_user_in_device(user_int), GP_VECTOR);
	CHECK_EQ(fault()->error, SOFT * 8 + 2);
	trap_set_gate(SOFT, 14, 3, 0);
	CHECK_EQ(try_user_in_device(user_int), SOFT);
	CHECK_EQ(fault()->regs.cs & 3, 3);
}

/* --- delivery that fails ---------------------------------------------------------------------- */

#define PRESENT       BIT64(47)
#define ERROR(vector) ((vector)*8 + 2)

static uint64_t *gate_of(unsigned vector)
{
	return &idt[vector * GATE_WORDS];
}

static void set_gate_selector(unsigned vector, uint64_t selector)
{
	*gate_of(vector) = (*gate_of(vector) & ~0xffff0000ull) | selector << 16;
}

/* An exception that cannot be delivered: the error code says that it came from outside (EXT). */
TEST(bad_gates)
{
	NEED_DEVICE();
	*gate_of(UD_VECTOR) &= ~PRESENT;
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("ud2")), NP_VECTOR);
	CHECK_EQ(fault()->error, ERROR(UD_VECTOR) | 1);
	trap_set_gate(UD_VECTOR, 12, 0, 0); /* a call gate */
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("ud2")), GP_VECTOR);
	CHECK_EQ(fault()->error, ERROR(UD_VECTOR) | 1);
	trap_set_gate(UD_VECTOR, 14, 0, 0);
	set_gate_selector(UD_VECTOR, 0);
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("ud2")), GP_VECTOR);
	CHECK_EQ(fault()->error, 1);
	set_gate_selector(UD_VECTOR, SEL_DATA);
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("ud2")), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_DATA | 1);
}

TEST(bad_gates_of_int)
{
	NEED_INT();
	*gate_of(SOFT) &= ~PRESENT;
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("int $0x60")), NP_VECTOR);
	CHECK_EQ(fault()->error, ERROR(SOFT));
	trap_set_gate(SOFT, 14, 0, 0);
	set_gate_selector(SOFT, SEL_DATA);
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("int $0x60")), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_DATA);
}

TEST(double_fault)
{
	NEED_DEVICE();
	*gate_of(GP_VECTOR) &= ~PRESENT;
	CHECK_EQ(TRY_IN_DEVICE(__asm__ volatile("mov %0, %%fs" : : "r"(0xfff0))), DF_VECTOR);
	CHECK_EQ(fault()->error, 0);
}

#ifdef __x86_64__
TEST(stack_of_the_ist)
{
	NEED_DEVICE();
	this_cpu()->tss.ist[2] = DEVICE_STACK - 8;
	trap_set(UD_VECTOR, note);
	trap_set_gate(UD_VECTOR, 14, 0, 2);
	enter_device();
	__asm__ volatile("ud2");
	leave_device();
	CHECK(is_in_device());
	CHECK_EQ(event_at + sizeof(struct regs), DEVICE_STACK - 16); /* aligned */
}
#endif
