/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU holds after INIT and SIPI: every register as in the manual's table (SDM volume 3,
 * table 10-1 and its notes; APM volume 2, 14.1.3), and what INIT must leave alone. run: vcpus=2
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "cpu.h"
#include "ktap.h"

#define PAGE   0x7000ul
#define REPORT 0x800 /* in that page */

/* What the code below writes, in its order. */
struct report {
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t eflags, cr0, cr2, cr3, cr4;
	uint32_t dr[4], dr6, dr7;
	uint32_t selectors; /* DS, ES, SS, FS, GS ored together */
	uint8_t gdtr[6], idtr[6];
	uint32_t efer, star, misc_enable;
	uint32_t ip; /* where the first CALL said that it was */
	uint32_t done;
};
#define SEEN ((volatile struct report *)(PAGE + REPORT))

/*
 * The first instructions after a SIPI, in real mode, with CS as the only segment whose contents are
 * known, and before anything has changed a register. The stack is SS's, which is to be 0: so it
 * lies in this page too, but nothing is pushed before ESP was noted.
 */
extern const uint8_t look[], look_end[];
__asm__(".pushsection .text\n"
	".code16\n"
	".set at, 0x800\n"
	".macro note reg\n"
	"	movl	%\\reg, %cs:at\n"
	"	.set	at, at + 4\n"
	".endm\n"
	".macro note_from reg\n"
	"	movl	%\\reg, %eax\n"
	"	note	eax\n"
	".endm\n"
	".macro note_msr nr\n"
	"	movl	$\\nr, %ecx\n"
	"	rdmsr\n"
	"	note	eax\n"
	".endm\n"
	".globl look, look_end\n"
	"look:\n"
	"	note eax; note ecx; note edx; note ebx; note esp; note ebp; note esi; note edi\n"
	"	movl	$0x7ff0, %esp\n"
	"	pushfl\n"
	"	popl	%eax\n"
	"	note	eax\n"
	"	note_from cr0; note_from cr2; note_from cr3; note_from cr4\n"
	"	note_from dr0; note_from dr1; note_from dr2; note_from dr3\n"
	"	note_from dr6; note_from dr7\n"
	"	xorl	%eax, %eax\n"
	"	xorl	%ebx, %ebx\n"
	"	movw	%ds, %bx; orl %ebx, %eax; movw %es, %bx; orl %ebx, %eax\n"
	"	movw	%ss, %bx; orl %ebx, %eax; movw %fs, %bx; orl %ebx, %eax\n"
	"	movw	%gs, %bx; orl %ebx, %eax\n"
	"	note	eax\n"
	"	sgdtl	%cs:at\n"
	"	sidtl	%cs:at + 6\n"
	"	.set	at, at + 12\n"
	"	note_msr 0xc0000080\n"
	"	note_msr 0xc0000081\n"
	"	note_msr 0x1a0\n"
	"	call	1f\n"
	"1:	popw	%ax\n"
	"	subw	$1b - look, %ax\n"
	"	movzwl	%ax, %eax\n"
	"	note	eax\n"
	"	movl	$1, %eax\n"
	"	note	eax\n"
	"2:	cli\n"
	"	hlt\n"
	"	jmp	2b\n"
	"look_end:\n"
	".code64\n"
	".popsection");

#define DIRT 0x5a5a5a5aul

/* All that a CPU can hold, as far as a running program can set it. `arg`: CR0.CD and NW. */
static void make_dirty(void *arg)
{
	unsigned long caching = (unsigned long)arg;

	wrmsr(MSR_STAR, DIRT);
	write_dr0(DIRT);
	write_dr1(DIRT);
	write_dr2(DIRT);
	write_dr3(DIRT);
	write_dr6(0xffff4ff7);
	write_cr2(DIRT);
	write_cr4(read_cr4() | CR4_DE | CR4_PGE);
	write_cr0((read_cr0() & ~(CR0_CD | CR0_NW)) | caching | CR0_MP | CR0_NE | CR0_WP);
	__asm__ volatile("movl $0x12345, %%esi\n movl $0x6789a, %%edi\n" : : : "esi", "edi");
}

static bool start_anew(unsigned long caching)
{
	if (!CHECK(smp_call(1, make_dirty, (void *)caching)))
		return false;
	memset((void *)PAGE, 0, PAGE_SIZE);
	memcpy((void *)PAGE, look, (size_t)(look_end - look));
	apic_send_ipi(cpus[1].apic_id, ICR_INIT | ICR_ASSERT);
	delay_us(10000);
	apic_send_ipi(cpus[1].apic_id, ICR_STARTUP | PAGE >> 12);
	return CHECK(wait_until(SEEN->done, 1000));
}

static void check_registers(unsigned long caching)
{
	CHECK_EQ(SEEN->eax | SEEN->ecx | SEEN->ebx, 0);
	CHECK_EQ(SEEN->esp | SEEN->ebp | SEEN->esi | SEEN->edi, 0);
	CHECK_EQ(SEEN->edx, cpuid(1).a); /* the signature of the CPU */
	CHECK_EQ(SEEN->eflags, 2);
	CHECK_EQ(SEEN->cr0, CR0_ET | caching);
	CHECK_EQ(SEEN->cr2 | SEEN->cr3 | SEEN->cr4, 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(SEEN->dr[i], 0);
	CHECK_EQ(SEEN->dr6, 0xffff0ff0);
	CHECK_EQ(SEEN->dr7, 0x400);
	CHECK_EQ(SEEN->selectors, 0);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(SEEN->gdtr[i], i < 2 ? 0xff : 0);
		CHECK_EQ(SEEN->idtr[i], i < 2 ? 0xff : 0);
	}
	CHECK_EQ(SEEN->efer, 0);
	CHECK_EQ(SEEN->star, DIRT); /* MSRs are left alone, but for EFER */
	CHECK_EQ(SEEN->misc_enable, (uint32_t)rdmsr(MSR_MISC_ENABLE));
	CHECK_EQ(SEEN->ip, 0);
}

TEST(with_caches_on)
{
	NEED_CPUS(2);
	REQUIRE(start_anew(0));
	check_registers(0);
	REQUIRE(smp_restart(1));
}

TEST(with_caches_off)
{
	NEED_CPUS(2);
	REQUIRE(start_anew(CR0_CD));
	check_registers(CR0_CD);
	REQUIRE(smp_restart(1));
	REQUIRE(start_anew(CR0_CD | CR0_NW));
	check_registers(CR0_CD | CR0_NW);
	REQUIRE(smp_restart(1));
}

/* A second SIPI finds a CPU that no longer waits for one. */
TEST(second_sipi_is_dropped)
{
	NEED_CPUS(2);
	REQUIRE(start_anew(0));
	SEEN->done = 0;
	apic_send_ipi(cpus[1].apic_id, ICR_STARTUP | PAGE >> 12);
	delay_us(10000);
	CHECK_EQ(SEEN->done, 0);
	REQUIRE(smp_restart(1));
}
