/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report of the end: message, registers, backtrace, guest in charge. It runs when nothing can
 * be trusted, so it takes no lock, allocates nothing, and follows frame pointers only as long as
 * they stay on one stack. A fault inside the report ends the report.
 */
#include "arch/x86/panic.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/percpu.h"
#include "arch/x86/stop.h"
#include "arch/x86/symbols.h"
#include "arch/x86/trap.h"
#include "lib/log.h"
#include "lib/panic.h"

#define NOBODY             UINT32_MAX
#define BACKTRACE_MAX      24
#define FRAME_MAX_DISTANCE (STACK_SIZE + STACK_GUARD)

static _Atomic uint32_t reporter = NOBODY; /* index of the CPU that reports */
static struct panic_hooks hooks __ro_after_init;

void panic_set_hooks(const struct panic_hooks *h)
{
	if (h->stop_others)
		hooks.stop_others = h->stop_others;
	if (h->describe_guest)
		hooks.describe_guest = h->describe_guest;
	if (h->end_machine)
		hooks.end_machine = h->end_machine;
}

static void end(void)
{
	if (hooks.end_machine)
		hooks.end_machine();
	stop_this_cpu();
}

/* Become the one that reports; or stop, when another CPU is, or this one failed while at it. */
static void begin(void)
{
	uint32_t nobody = NOBODY;

	cli();
	if (!atomic_compare_exchange_strong(&reporter, &nobody, cpu_id())) {
		if (nobody == cpu_id()) {
			log_error("panic: another failure during the report");
			end();
		}
		stop_this_cpu();
	}
	stop_begin();
	if (hooks.stop_others)
		hooks.stop_others();
}

static void print_address(const char *what, uint64_t rip)
{
	uint64_t off;
	const char *name = symbol_find(rip, &off);

	if (name)
		log_error("  %s%016lx %s+0x%lx", what, rip, name, off);
	else
		log_error("  %s%016lx", what, rip);
}

/* The callers of the function whose frame is at `rbp`. */
static void print_backtrace(uint64_t rbp)
{
	const uint64_t *frame;
	unsigned i;

	log_error("backtrace:");
	for (i = 0; i < BACKTRACE_MAX; i++) {
		frame = (const uint64_t *)rbp;
		/* Frames lie in the upper half, aligned, one above the other, on one stack. */
		if (rbp < DIRECT_MAP_BASE || !IS_ALIGNED(rbp, 8) || frame[0] <= rbp ||
		    frame[0] - rbp > FRAME_MAX_DISTANCE)
			break;
		print_address("", frame[1]);
		rbp = frame[0];
	}
}

void panic_describe_guest(char *text, size_t len)
{
	text[0] = '\0';
	if (hooks.describe_guest)
		hooks.describe_guest(text, len);
	if (!text[0])
		snprintf(text, len, "none");
}

static void print_guest(void)
{
	char text[PANIC_GUEST_LEN];

	panic_describe_guest(text, sizeof(text));
	log_error("guest: %s", text);
}

static void print_registers(const struct trap_frame *f)
{
	log_error("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	log_error("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	log_error("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
	log_error("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
	log_error("  cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx", read_cr0(), read_cr2(),
		  read_cr3(), read_cr4());
	log_error("  efer %lx rflags %lx cs %lx ss %lx", rdmsr(MSR_EFER), f->rflags, f->cs, f->ss);
}

static const char *trap_name(uint64_t vector)
{
	static const char *const names[32] = {
		"#DE divide error",
		"#DB debug",
		"NMI",
		"#BP breakpoint",
		"#OF overflow",
		"#BR bound",
		"#UD invalid opcode",
		"#NM no FPU",
		"#DF double fault",
		"9",
		"#TS invalid TSS",
		"#NP segment not present",
		"#SS stack fault",
		"#GP protection",
		"#PF page fault",
		"15",
		"#MF x87 error",
		"#AC alignment",
		"#MC machine check",
		"#XM SIMD exception",
		"#VE virtualization",
		"#CP control protection",
	};

	return names[vector & 31] ? names[vector & 31] : "exception";
}

static void print_frame(const struct trap_frame *f)
{
	print_address("rip ", f->rip);
	print_registers(f);
	print_backtrace(f->rbp);
}

__noreturn void panic_trap(const struct trap_frame *f)
{
	begin();
	log_error("panic: %s (vector %lu, error 0x%lx) on CPU %u", trap_name(f->vector), f->vector,
		  f->error, cpu_id());
	print_frame(f);
	print_guest();
	end();
	__builtin_unreachable();
}

__noreturn void panic_machine_check(const struct trap_frame *f, const char *why,
				    void (*print)(void))
{
	begin();
	log_error("panic: machine check in %s on CPU %u: %s", f ? "Umbra" : "a guest", cpu_id(),
		  why);
	print();
	if (f)
		print_frame(f);
	print_guest();
	end();
	__builtin_unreachable();
}

__noreturn void panic(const char *fmt, ...)
{
	char text[200];
	va_list args;

	begin();
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("panic: %s on CPU %u", text, cpu_id());
	print_backtrace((uint64_t)__builtin_frame_address(0));
	print_guest();
	end();
	__builtin_unreachable();
}
