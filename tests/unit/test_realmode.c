/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long the emulator goes on before the CPU looks at its interrupts and at the end of the time
 * slice: a time, whatever the guest's instructions and devices take of it. The instructions are in
 * a small memory, and each access to a device moves the clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/grace.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/exit/exception.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/insn_ctx.h"
#include "vmm/exit/realmode.h"
#include "vmm/sched.h"

#define CODE 0x100

static struct vm_config config = {.realmode = REALMODE_EMULATE};
static struct vm vm = {.config = &config};
static struct vcpu vcpu;
static struct vmm_cpu cpu;
static uint8_t memory[0x10000];
static uint64_t port_ns, memory_ns; /* what an access costs */
static unsigned accesses;
static uint64_t looks, longest_ns, last_look_ns; /* at interrupts */

/* ---- the guest's world ---- */

static int fetch(struct emul_ctx *c, gva_t gva, void *buf, unsigned len)
{
	memcpy(buf, memory + (uint16_t)gva.v, len);
	return EMUL_OK;
}

static void note_access(uint64_t ns)
{
	accesses++;
	clock_advance_ns(ns);
}

static int mem_read(struct emul_ctx *c, gva_t gva, void *buf, unsigned len, unsigned access)
{
	note_access(memory_ns);
	if (!(access & EMUL_ACC_PROBE))
		memcpy(buf, memory + (uint16_t)gva.v, len);
	return EMUL_OK;
}

static int mem_write(struct emul_ctx *c, gva_t gva, const void *buf, unsigned len, unsigned access)
{
	note_access(memory_ns);
	memcpy(memory + (uint16_t)gva.v, buf, len);
	return EMUL_OK;
}

static int pio_in(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t *val)
{
	insn_ctx_of(c)->used_device = true;
	note_access(port_ns);
	*val = 0x55;
	return EMUL_OK;
}

static int pio_out(struct emul_ctx *c, uint16_t port, unsigned size, uint32_t val)
{
	return pio_in(c, port, size, &val);
}

static bool is_time_over(struct emul_ctx *c)
{
	return insn_is_time_over(insn_ctx_of(c));
}

static const struct emul_ops ops = {
	.fetch = fetch,
	.read = mem_read,
	.write = mem_write,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.is_time_over = is_time_over,
};

/* ---- the rest of the run loop ---- */

void insn_begin(struct insn_ctx *ic, struct vcpu *v)
{
	memset(ic, 0, sizeof(*ic));
	ic->v = v;
	ic->ctx.ops = &ops;
	ic->ctx.gpr = v->virt.gpr;
	ic->ctx.rip = v->virt.rip;
	ic->ctx.rflags = RFLAGS_FIXED;
	ic->ctx.mode = EMUL_REAL;
	ic->ctx.segs_known = BIT(NR_SEGS) - 1;
	for (unsigned i = 0; i < NR_SEGS; i++)
		ic->ctx.seg[i] = (struct segment){.limit = 0xffff, .attr = 0x93};
}

int insn_decode(struct insn_ctx *ic)
{
	return emul_decode(&ic->ctx);
}

void insn_commit(struct insn_ctx *ic, unsigned segs)
{
	ic->v->virt.rip = ic->ctx.rip;
}

void sched_take_interrupts(struct vmm_cpu *c)
{
	uint64_t took = clock_ns() - last_look_ns;

	looks++;
	last_look_ns = clock_ns();
	longest_ns = max(longest_ns, took);
}

void insn_update_mode(struct insn_ctx *ic) {}
void insn_inject(struct vcpu *v, const struct emul_fault *f) {}
void insn_refuse(struct vcpu *v) {}
void insn_raise_traps(struct insn_ctx *ic) {}
bool insn_is_breakpoint(struct insn_ctx *ic)
{
	return false;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

void event_raise_debug(struct vcpu *v, uint64_t causes) {}
void event_close_irq_window(struct vcpu *v) {}
void exception_triple_fault(struct vcpu *v) {}
void halt_execute(struct vcpu *v) {}
void vm_bug(struct vcpu *v, enum vm_end why, const char *fmt, ...) {}

/* ---- */

static void start(const char *code, size_t len, uint64_t count)
{
	memset(memory, 0x90, sizeof(memory)); /* NOP */
	memcpy(memory + CODE, code, len);
	vcpu = (struct vcpu){.vm = &vm, .virt.rip = CODE, .emulates_modes = true};
	vcpu.virt.gpr[GPR_RCX] = count;
	vcpu.virt.gpr[GPR_RDI] = 0x4000;
	vcpu.virt.gpr[GPR_RSI] = 0x8000;
	cpu = (struct vmm_cpu){.slice_end = ~0ull, .grace = grace_cpu()};
	clock_set_ns(1000000);
	accesses = 0;
	looks = longest_ns = 0;
	last_look_ns = clock_ns();
	grace_exit_guest(cpu.grace);
}

#define START(code, count) start(code, sizeof(code) - 1, count)

/* Until the instruction behind the first one. */
static void run_through(unsigned len)
{
	while (vcpu.virt.rip < CODE + len)
		realmode_run(&cpu, &vcpu);
	grace_enter_guest(cpu.grace);
}

/* A device that takes 30 us for each of 1000 bytes, or more than all the time there is. */
static void a_slow_device_delays_no_interrupt(void **state)
{
	static const uint64_t costs[] = {100, 30000, 70000};

	memory_ns = 10;
	for (unsigned i = 0; i < ARRAY_SIZE(costs); i++) {
		port_ns = costs[i];
		START("\xf3\x6e", 1000); /* rep outsb */
		run_through(2);
		assert_int_equal(vcpu.virt.gpr[GPR_RCX], 0);
		assert_int_equal(accesses, 2000);
		assert_true(longest_ns <= INSN_TIME_NS + port_ns + 20);
		START("\xf3\x6c", 1000); /* rep insb */
		run_through(2);
		assert_int_equal(vcpu.virt.gpr[GPR_RCX], 0);
		assert_true(longest_ns <= INSN_TIME_NS + port_ns + 30);
	}
}

/* Nor do many instructions that use one each. */
static void a_batch_of_slow_instructions(void **state)
{
	port_ns = 30000;
	START("\xe6\x80\xe6\x80\xe6\x80\xe6\x80\xe6\x80\xe6\x80\xe6\x80\xe6\x80",
	      0); /* out %al,$0x80 */
	run_through(16);
	assert_true(looks >= 4);
	assert_true(longest_ns <= INSN_TIME_NS + port_ns);
}

/* What costs little goes on for its time, without a look after each of it. */
static void cheap_iterations_go_on(void **state)
{
	memory_ns = 100;
	START("\xf3\xa4", 10000); /* rep movsb: 2 ms */
	run_through(2);
	assert_int_equal(accesses, 20000);
	assert_in_range(looks, 2000000 / INSN_TIME_NS - 8, 2000000 / INSN_TIME_NS + 1);
	assert_true(longest_ns <= INSN_TIME_NS + INSN_CLOCK_STEPS * 200);
}

static void a_request_ends_a_batch(void **state)
{
	START("\x90", 0);
	atomic_store(&vcpu.requests, REQ_EVENT);
	realmode_run(&cpu, &vcpu);
	assert_int_equal(vcpu.virt.rip, CODE);
	grace_enter_guest(cpu.grace);
}

static void a_time_slice_ends(void **state)
{
	START("\x90\xeb\xfe", 0); /* jmp . */
	memory_ns = 0;
	cpu.slice_end = 0;
	atomic_store(&vcpu.requests, REQ_EVENT);
	realmode_run(&cpu, &vcpu);
	assert_true(atomic_load(&vcpu.requests) & REQ_YIELD);
	grace_enter_guest(cpu.grace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_device_delays_no_interrupt),
		cmocka_unit_test(a_batch_of_slow_instructions),
		cmocka_unit_test(cheap_iterations_go_on),
		cmocka_unit_test(a_request_ends_a_batch),
		cmocka_unit_test(a_time_slice_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
