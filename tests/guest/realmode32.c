/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real mode, from protected mode and back for each test: 16-bit instructions, interrupt vectors,
 * segments and their wrap-around, "big" real mode, device access, and HLT with a PIT interrupt.
 *
 * A test is a piece of 16-bit code that is copied to CODE_AT and called with the registers of
 * `regs`, which then holds those it left. Memory below 32 KiB is the tests' own: the interrupt
 * vectors at 0, data at DATA_AT, the stack below STACK_AT.
 *
 * run: realmode=1
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "pit.h"

#define REGS_AT  0x5000
#define STACK_AT 0x5f00
#define GATE_AT  0x6000 /* the way between the modes */
#define CODE_AT  0x7000
#define DATA_AT  0x4000

/* As POPAL takes them and PUSHAL leaves them, and the flags. */
struct real_regs {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags;
};

static struct real_regs regs;

/* 16-bit code; `A(label)` is where a label of it will be. It ends with a far return. */
#define REAL(name, code)                                                                           \
	extern const uint8_t name[], name##_end[];                                                 \
	__asm__(".pushsection .rodata\n.code16\n" #name ":\n9:\n" code "\nlretw\n" #name           \
		"_end:\n.code32\n.popsection")
#define A(label) "(" label "-9b+0x7000)"

/* Point a vector at a label. */
#define VECTOR(nr, label) "movw $" A(label) ", 4*" #nr "; movw $0, 4*" #nr "+2\n"

extern const uint8_t real_gate[], real_gate_end[];
void real_go(unsigned data_selector);
__asm__(".pushsection .text\n"
	".code32\n"
	"real_go:\n"
	"	mov	4(%esp), %eax\n"
	"	pusha\n"
	"	sidt	saved_idt\n"
	"	mov	%esp, saved_esp\n"
	"	lidt	real_idt\n"
	"	ljmp	$0x38, $0x6000\n" /* SEL_CODE16, GATE_AT */
	"real_back:\n"
	"	mov	$0x10, %eax\n"
	"	mov	%eax, %ds\n"
	"	mov	%eax, %es\n"
	"	mov	%eax, %fs\n"
	"	mov	%eax, %gs\n"
	"	mov	%eax, %ss\n"
	"	mov	saved_esp, %esp\n"
	"	lidt	saved_idt\n"
	"	popa\n"
	"	ret\n"

	".code16\n"
	"real_gate:\n" /* 16-bit protected mode: the segments' limits are taken along */
	"	mov	%ax, %ds\n"
	"	mov	%ax, %es\n"
	"	mov	%ax, %fs\n"
	"	mov	%ax, %gs\n"
	"	mov	$0x40, %ax\n" /* LIMIT_64K: a stack with 16-bit SP in any case */
	"	mov	%ax, %ss\n"
	"	mov	%cr0, %eax\n"
	"	and	$~1, %eax\n"
	"	mov	%eax, %cr0\n"
	"	ljmpw	$0, $(1f - real_gate + 0x6000)\n"
	"1:	xor	%ax, %ax\n"
	"	mov	%ax, %ds\n"
	"	mov	%ax, %es\n"
	"	mov	%ax, %fs\n"
	"	mov	%ax, %gs\n"
	"	mov	%ax, %ss\n"
	"	mov	$0x5000, %sp\n" /* REGS_AT */
	"	popal\n"
	"	popfl\n"
	"	mov	$0x5f00, %sp\n" /* STACK_AT */
	"	lcallw	$0, $0x7000\n"  /* CODE_AT */
	"	pushfl\n"
	"	cli\n"
	"	cld\n"
	"	pushal\n"
	"	xor	%ax, %ax\n"
	"	mov	%ax, %ds\n"
	"	mov	%ax, %es\n"
	"	mov	%sp, %si\n"
	"	mov	$0x5000, %di\n"
	"	mov	$36, %cx\n"
	"	rep	movsb %ss:(%si), %es:(%di)\n"
	"	mov	%cr0, %eax\n"
	"	or	$1, %eax\n"
	"	mov	%eax, %cr0\n"
	"	ljmpl	$0x08, $real_back\n"
	"real_gate_end:\n"
	".code32\n"
	".popsection\n"
	".pushsection .data\n"
	"real_idt: .word 0x3ff; .long 0\n"
	"saved_idt: .word 0; .long 0\n"
	"saved_esp: .long 0\n"
	".popsection");

#define LIMIT_64K SEL_TEST /* 16-bit data, as after RESET */
#define LIMIT_4G  SEL_DATA /* "big" real mode */

static void run_with(const uint8_t *code, const uint8_t *end, unsigned data_selector)
{
	static uint8_t vectors[1024]; /* firmware's own, put back afterwards */

	memcpy(vectors, (void *)0, sizeof(vectors));
	gdt_set(SEL_TEST, 0, 0xffff, GDT_DATA);
	memcpy((void *)GATE_AT, real_gate, (size_t)(real_gate_end - real_gate));
	memcpy((void *)CODE_AT, code, (size_t)(end - code));
	regs.eflags |= 2;
	memcpy((void *)REGS_AT, &regs, sizeof(regs));
	real_go(data_selector);
	memcpy(&regs, (void *)REGS_AT, sizeof(regs));
	memcpy((void *)0, vectors, sizeof(vectors));
}

#define RUN(name) run_with(name, name##_end, LIMIT_64K)

static volatile uint16_t *data(void)
{
	return (volatile uint16_t *)DATA_AT;
}

static void clear(void)
{
	memset(&regs, 0, sizeof(regs));
	memset((void *)DATA_AT, 0, 0x800);
}

/* --- registers and instructions --------------------------------------------------------------- */

REAL(r_nothing, "nop; endbr32");

TEST(there_and_back)
{
	for (unsigned i = 0; i < 100; i++) {
		regs = (struct real_regs){0x11111111, 0x22222222,     0x33333333,
					  0,          0x44444444,     0x55555555,
					  0x66666666, 0x77777777 + i, RFLAGS_CF};
		RUN(r_nothing);
		CHECK(regs.edi == 0x11111111 && regs.esi == 0x22222222 && regs.ebp == 0x33333333);
		CHECK(regs.ebx == 0x44444444 && regs.edx == 0x55555555 && regs.ecx == 0x66666666);
		CHECK_EQ(regs.eax, 0x77777777 + i);
		CHECK(regs.eflags & RFLAGS_CF);
	}
}

REAL(r_arith, "add %ax, %bx; adc %cl, %ch; imul %dx, %si");

TEST(sixteen_bit_arithmetic)
{
	clear();
	regs.eax = 0xaaaa8000;
	regs.ebx = 0xbbbb8001;
	regs.ecx = 0x00007f00;
	regs.edx = 300;
	regs.esi = 0xcccc0000 | 200;
	RUN(r_arith);
	CHECK_EQ(regs.ebx, 0xbbbb0001);
	CHECK_EQ(regs.ecx, 0x00008000); /* 0x7f + carry */
	CHECK_EQ(regs.esi, 0xcccc0000 | 60000);
	CHECK(regs.eflags & RFLAGS_OF);
}

REAL(r_prefixes,
     "movl $0x12345678, %eax; movl %eax, %ebx; shll $4, %ebx; addr32 movw (%esi), %cx; bswap %eax");

TEST(operand_and_address_prefixes)
{
	clear();
	regs.esi = DATA_AT + 2;
	data()[1] = 0xbeef;
	RUN(r_prefixes);
	CHECK_EQ(regs.eax, 0x78563412);
	CHECK_EQ(regs.ebx, 0x23456780);
	CHECK_EQ(regs.ecx, 0xbeef);
}

REAL(r_stack,
     "pushw $0x1234; push %sp; pop %bx; pop %ax; pusha; pop %di; add $14, %sp; enter $8, $0; mov %bp, %cx;"
     "leave; pushl $0x89abcdef; popl %edx; mov %sp, %si");

TEST(stack_instructions)
{
	clear();
	regs.edi = 0x4321;
	RUN(r_stack);
	CHECK_EQ(regs.eax & 0xffff, 0x1234);
	CHECK_EQ(regs.ebx & 0xffff, STACK_AT - 4 - 2); /* PUSH SP pushes the value before */
	CHECK_EQ(regs.edi & 0xffff, 0x4321);
	CHECK_EQ(regs.ecx & 0xffff, STACK_AT - 4 - 2);
	CHECK_EQ(regs.edx, 0x89abcdef);
	CHECK_EQ(regs.esi & 0xffff, STACK_AT - 4);
}

REAL(r_flow,
     "xor %ax, %ax; mov $5, %cx; 1: inc %ax; loop 1b; jcxz 2f; mov $99, %ax; 2: call 3f; jmp 4f;"
     "3: add $10, %ax; ret; 4: push %cs; call 5f; jmp 6f; 5: add $100, %ax; lretw; 6: nop");

TEST(jumps_and_calls)
{
	clear();
	RUN(r_flow);
	CHECK_EQ(regs.eax & 0xffff, 115);
}

REAL(r_bcd,
     "mov $0x38, %al; add $0x45, %al; daa; mov %al, %bl; mov $0x0205, %ax; aad; mov %al, %bh; aam; mov %ax, %dx;"
     "mov $0x2f, %al; xor %ah, %ah; aaa; mov %ax, %si; mov $0x35, %al; sub $0x47, %al; das; mov %al, %cl");

TEST(decimal_instructions)
{
	clear();
	RUN(r_bcd);
	CHECK_EQ(regs.ebx & 0xff, 0x83);
	CHECK_EQ(regs.ebx >> 8 & 0xff, 25);
	CHECK_EQ(regs.edx & 0xffff, 0x0205);
	CHECK_EQ(regs.esi & 0xffff, 0x0105);
	CHECK_EQ(regs.ecx & 0xff, 0x88);
}

REAL(r_xlat, "mov $0x4000, %bx; mov $3, %al; xlat; cbw; cwd");

TEST(xlat_cbw_cwd)
{
	clear();
	data()[1] = 0x8700;
	RUN(r_xlat);
	CHECK_EQ(regs.eax & 0xffff, 0xff87);
	CHECK_EQ(regs.edx & 0xffff, 0xffff);
}

/* Only memory operands, then registers too: an emulator knows neither x87 nor vectors by itself. */
REAL(r_vectors,
     "fninit; filds 0x4000; fadds 0x4004; fistpl 0x4010; fldpi; fmul %st(0), %st; fstpl 0x4018;"
     "fnstenv 0x4020; movups 0x4041, %xmm0; paddw 0x4060, %xmm0; pxor %xmm1, %xmm1; psubw %xmm0, %xmm1;"
     "movaps %xmm1, 0x4070; movd 0x4070, %mm1; movq %mm1, 0x4080; emms;"
     "mov $0x12345678, %eax; movnti %eax, 0x4088");

TEST(x87_and_vectors)
{
	static const float addend = 2.5f;
	uint64_t square;

	clear();
	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	write_cr4(read_cr4() | CR4_OSFXSR);
	data()[0] = 5;
	memcpy((void *)(DATA_AT + 4), &addend, 4);
	for (unsigned n = 0; n < 16; n++)
		((volatile uint8_t *)DATA_AT)[0x41 + n] = ((volatile uint8_t *)DATA_AT)[0x60 + n] =
			(uint8_t)n;
	RUN(r_vectors);
	CHECK_EQ(*(volatile uint32_t *)(DATA_AT + 0x10), 8); /* 7.5, to even */
	memcpy(&square, (void *)(DATA_AT + 0x18), 8);
	CHECK_EQ(square, 0x4023bd3cc9be45de); /* the square of pi */
	CHECK_EQ(data()[0x20 / 2], 0x37f);
	CHECK_EQ(data()[0x24 / 2], 0xffff);
	CHECK_EQ(data()[0x70 / 2], (uint16_t)-0x0200);
	CHECK_EQ(data()[0x7e / 2], (uint16_t) - (2 * 0x0f0e));
	CHECK_EQ(*(volatile uint32_t *)(DATA_AT + 0x80), *(volatile uint32_t *)(DATA_AT + 0x70));
	CHECK_EQ(*(volatile uint32_t *)(DATA_AT + 0x88), 0x12345678);
}

/* --- segments --------------------------------------------------------------------------------- */

REAL(r_segments,
     "mov $0x0400, %ax; mov %ax, %ds; mov $0xabcd, %bx; mov %bx, 0x10; mov %ax, %es; mov %es:0x10, %cx;"
     "les 0x20, %di; mov %es, %dx; mov %es:(%di), %si; push %ds; pop %fs; mov %fs:0x10, %bp");

TEST(segment_arithmetic)
{
	clear();
	data()[0x20 / 2] = 0x0034; /* far pointer 0x0400:0x0034 */
	data()[0x22 / 2] = 0x0400;
	data()[0x34 / 2] = 0x5678;
	RUN(r_segments);
	CHECK_EQ(data()[8], 0xabcd);
	CHECK_EQ(regs.ecx & 0xffff, 0xabcd);
	CHECK_EQ(regs.edi & 0xffff, 0x0034);
	CHECK_EQ(regs.edx & 0xffff, 0x0400);
	CHECK_EQ(regs.esi & 0xffff, 0x5678);
	CHECK_EQ(regs.ebp & 0xffff, 0xabcd);
}

REAL(r_a20,
     "mov $0xffff, %ax; mov %ax, %ds; movw $0x1111, 0x4010; xor %ax, %ax; mov %ax, %ds; mov 0x4000, %bx");

TEST(address_line_20_is_open)
{
	static volatile uint16_t *const high = (uint16_t *)0x104000;
	uint16_t old = *high;

	clear();
	RUN(r_a20); /* ffff:4010 is 0x104000, not 0x4000 */
	CHECK_EQ(*high, 0x1111);
	CHECK_EQ(regs.ebx & 0xffff, 0);
	*high = old;
}

REAL(r_big,
     "mov $0xfee00030, %esi; addr32 movl (%esi), %eax; mov $0x300000, %edi; addr32 movl $0x55aa, (%edi);"
     "mov $0x40, %cx; mov %cx, %ds; addr32 movl -0x400(%esi), %ebx");

TEST(big_real_mode)
{
	uint32_t version = apic_read(APIC_VERSION);

	clear();
	run_with(r_big, r_big_end, LIMIT_4G);
	CHECK_EQ(regs.eax, version); /* a device, emulated in real mode */
	CHECK_EQ(*(volatile uint32_t *)0x300000, 0x55aa);
	CHECK_EQ(regs.ebx, version); /* a new selector moves the base and keeps the limit */
}

REAL(r_limit, VECTOR(13, "1f") "movw $0, 0x4000; mov $0xffff, %bx; mov (%bx), %ax; jmp 2f\n"
			       "1: movw $1, 0x4000; add $6, %sp; 2: nop");

TEST(segment_limit)
{
	SKIP_UNLESS(has_segment_limits(), "this CPU has no segment limits");
	clear();
	RUN(r_limit);
	CHECK_EQ(data()[0], 1);
}

/* --- interrupts ------------------------------------------------------------------------------- */

REAL(r_int,
     VECTOR(0x21,
	    "1f") "sti; mov $5, %ax; int $0x21; pushf; pop %dx; cli; jmp 2f\n"
		  "1: inc %ax; mov %sp, %bp; mov (%bp), %bx; mov 2(%bp), %cx; mov 4(%bp), %si; pushf; pop %di; iretw\n 2: nop");

TEST(software_interrupt)
{
	clear();
	regs.ecx = 0xffff;
	RUN(r_int);
	CHECK_EQ(regs.eax & 0xffff, 6);
	CHECK(regs.ebx > CODE_AT && regs.ebx < CODE_AT + 0x100); /* IP behind the INT */
	CHECK_EQ(regs.ecx & 0xffff, 0);                          /* CS */
	CHECK(regs.esi & RFLAGS_IF);                             /* flags on the stack */
	CHECK(!(regs.edi & RFLAGS_IF));                          /* in the handler */
	CHECK(regs.edx & RFLAGS_IF);                             /* after IRET */
}

REAL(r_faults,
     VECTOR(0, "1f") VECTOR(6, "3f")
	     VECTOR(4, "5f") "xor %bx, %bx; xor %dx, %dx; mov $1, %ax; 0: div %bx; jmp 2f\n"
			     "1: pop %si; add $2, %si; push %si; inc %dx; iretw\n"
			     "2: ud2; jmp 4f\n"
			     "3: pop %si; add $2, %si; push %si; add $0x10, %dx; iretw\n"
			     "4: mov $0x7f, %al; add $1, %al; into; jmp 6f\n"
			     "5: add $0x100, %dx; iretw\n 6: nop");

TEST(exceptions)
{
	clear();
	RUN(r_faults);
	CHECK_EQ(regs.edx & 0xffff, 0x111); /* #DE and #UD as faults, INTO as a trap */
}

REAL(r_step,
     VECTOR(1,
	    "1f") "xor %cx, %cx; pushf; pop %ax; or $0x100, %ax; push %ax; popf; nop; cpuid; nop; pushf;"
		  "pop %bx; and $~0x100, %bx; push %bx; popf; jmp 2f\n 1: incw 0x4000; iretw\n 2: nop");

TEST(single_step)
{
	SKIP_UNLESS(steps_across_exits(), "a step that waits at an exit is taken by the host");
	clear();
	RUN(r_step);
	CHECK_EQ(data()[0], 8); /* from the first NOP to the POPF that clears TF */
}

REAL(r_pit,
     VECTOR(0x20,
	    "1f") "movw $0, 0x4000; sti; 0: hlt; cmpw $5, 0x4000; jb 0b; cli; jmp 2f\n"
		  "1: push %ax; incw 0x4000; mov $0x20, %al; out %al, $0x20; pop %ax; iretw\n 2: nop");

static void pit_through_pic(uint16_t count)
{
	pic_init(0x20);
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	pit_program(0, PIT_MODE2, count);
	pic_unmask(1);
}

static void pit_stop(void)
{
	pic_unmask(0);
	pit_program(0, PIT_MODE0, 0);
	apic_write(APIC_LVT0, LVT_MASKED | ICR_EXTINT);
}

TEST(halt_wakes_by_the_pit)
{
	clear();
	pit_through_pic(5000);
	RUN(r_pit);
	pit_stop();
	CHECK_EQ(data()[0], 5);
}

REAL(r_busy,
     VECTOR(0x20,
	    "1f") "movw $0, 0x4000; xor %edx, %edx; sti; 0: inc %edx; mov %edx, %eax; xor %eax, %eax;"
		  "cmpw $10, 0x4000; jb 0b; cli; jmp 2f\n"
		  "1: push %ax; incw 0x4000; mov $0x20, %al; out %al, $0x20; pop %ax; iretw\n 2: nop");

TEST(interrupts_in_a_loop)
{
	clear();
	pit_through_pic(2000);
	RUN(r_busy);
	pit_stop();
	CHECK_EQ(data()[0], 10);
	CHECK(regs.edx > 10);
}

REAL(r_shadow,
     VECTOR(0x20,
	    "1f") "movw $0, 0x4000; 0: mov $0x0a, %al; out %al, $0x20; in $0x20, %al; test $1, %al; jz 0b;"
		  "sti; cli; mov 0x4000, %bx; sti; nop; cli; mov 0x4000, %cx; jmp 2f\n"
		  "1: push %ax; incw 0x4000; mov $0x20, %al; out %al, $0x20; pop %ax; iretw\n 2: nop");

TEST(sti_shadow)
{
	clear();
	pit_through_pic(20000);
	RUN(r_shadow);
	pit_stop();
	CHECK_EQ(regs.ebx & 0xffff, 0);
	CHECK_EQ(regs.ecx & 0xffff, 1);
}

/* --- exits ------------------------------------------------------------------------------------ */

REAL(r_io, "mov $0x3ff, %dx; mov $0x5a, %al; out %al, %dx; xor %al, %al; in %dx, %al; mov %al, %bl;"
	   "mov $0x4000, %si; mov $3, %cx; cld; rep outsb; in %dx, %al; mov %al, %bh;"
	   "push %ds; pop %es; mov $0x4010, %di; mov $4, %cx; rep insb");

TEST(port_io)
{
	clear();
	data()[0] = 0x2211;
	data()[1] = 0x0033;
	RUN(r_io);
	CHECK_EQ(regs.ebx & 0xff, 0x5a);
	CHECK_EQ(regs.ebx >> 8 & 0xff, 0x33);
	CHECK_EQ(regs.esi & 0xffff, 0x4003);
	CHECK_EQ(regs.edi & 0xffff, 0x4014);
	CHECK_EQ(data()[8], 0x3333);
	CHECK_EQ(data()[9], 0x3333);
}

REAL(r_wrap,
     "mov $0x0400, %ax; mov %ax, %es; mov $0xfffe, %di; mov $4, %cx; mov $0x77, %al; cld; rep stosb; mov %di, %bx");

TEST(string_index_wraps)
{
	volatile uint8_t *base = (uint8_t *)0x4000;
	uint8_t save[2] = {base[0xfffe], base[0xffff]};

	clear();
	RUN(r_wrap); /* two bytes at the end of the segment, two at its start */
	CHECK_EQ(regs.ebx & 0xffff, 2);
	CHECK(base[0xfffe] == 0x77 && base[0xffff] == 0x77);
	CHECK(base[0] == 0x77 && base[1] == 0x77 && base[2] == 0);
	base[0xfffe] = save[0];
	base[0xffff] = save[1];
}

REAL(r_exits,
     "xor %eax, %eax; cpuid; mov %ebx, %esi; rdtsc; mov $0x1b, %ecx; rdmsr; mov %eax, %edi; smsw %bp");

TEST(exiting_instructions)
{
	clear();
	RUN(r_exits);
	CHECK_EQ(regs.esi, cpuid(0).b);
	CHECK_EQ(regs.edi, (uint32_t)rdmsr(MSR_APICBASE));
	CHECK_EQ(regs.ebp & 1, 0); /* PE */
}

REAL(r_tables, "sgdtl 0x4000; sidtl 0x4010; lidtl 0x4010");

TEST(descriptor_table_registers)
{
	clear();
	RUN(r_tables);
	CHECK_EQ(data()[0], sgdt().limit);
	CHECK_EQ(data()[8], 0x3ff);
	CHECK_EQ(data()[9], 0);
}

REAL(r_cpl,
     "mov %cr0, %eax; mov %eax, %ebx; or $2, %eax; mov %eax, %cr0; mov %cr0, %ecx; mov %ebx, %cr0; wbinvd; clts");

TEST(privileged_instructions)
{
	clear();
	RUN(r_cpl); /* real mode has all privileges */
	CHECK_EQ(regs.ecx & 2, 2);
	CHECK_EQ(regs.ebx & 1, 0);
}
