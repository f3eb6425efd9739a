/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real mode, twice: pieces of 16-bit code with random registers, whose results go to the serial
 * port, a line for each piece. The same lines must come from a CPU that runs real mode (SVM) and
 * from the instruction emulator: tests/harness/boot.py compares them. Everything in here is real
 * mode, this program included (gcc -m16).
 *
 * A flat image at 0x8000. Memory below that is the pieces' own: the interrupt vectors, data at
 * 0x4000, their stack below 0x7000; the program's stack is at 0x7ff0.
 */
#include <stdint.h>

#define DATA   0x4000
#define ROUNDS 40

#define ARITH 0x8d5 /* OF SF ZF AF PF CF */
#define NO_AF 0x8c5

/* As POPAL takes them and PUSHAL leaves them, and the flags. */
struct regs {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags;
};

struct piece {
	const char *name;
	void (*code)(void);
	uint32_t flags; /* those that the manuals define after it */
};

/*
 * A piece is called far, with SS = DS = ES = 0 and interrupts closed, and may change everything but
 * SS:SP. The vectors 0-7 and 0x21 lead to handlers below.
 */
#define PIECE(label, text)                                                                         \
	void label(void);                                                                          \
	__asm__(".pushsection .text\n.code16\n" #label ": " text "\nlretw\n.code16gcc\n.popsection")

PIECE(p_alu, "add %ax, %bx; adc %cl, %ch; sbb %edx, %esi; xor $0x1234, %di; cmp %ebp, %eax");
PIECE(p_shift,
      "shl $3, %ax; rol $5, %ebx; rcr $1, %cx; sar $7, %edx; shld $4, %si, %di; bt $3, %bp");
PIECE(p_mul, "mul %bx; imul %ecx, %edx; imul $-77, %si, %di; mul %cl");
PIECE(p_div, "xor %edx, %edx; or $0x101, %ebx; div %ebx; mov %ax, %cx; and $0x7f, %ah; idiv %bl");
PIECE(p_div_fault, "xor %bl, %bl; div %bl; mov %sp, %bx"); /* vector 0 skips it */
PIECE(p_bcd, "daa; mov %al, %bl; mov %cl, %al; and $0xf, %al; aas; aam; xchg %ax, %dx; aad; das");
PIECE(p_flags,
      "pushf; pop %ax; and $0xfd5, %ax; push %ebx; andl $0x8d5, (%esp); popfl; lahf; .byte 0xd6; cmc");
PIECE(p_set, "cmp %ax, %bx; setb %cl; sets %ch; cmovo %edx, %esi; cmovle %di, %bp; cmp %al, %al");
PIECE(p_stack,
      "push %ax; pushl %ebx; push $-5; pusha; pop %si; add $14, %sp; pop %di; popl %ecx; pop %dx; mov %sp, %bp");
PIECE(p_frame,
      "push %bp; enter $8, $0; mov %ax, -2(%bp); mov -2(%bp), %bx; leave; mov %sp, %dx; pop %bp");
PIECE(p_memory,
      "and $0xfe, %bx; and $0xfe, %si; add %ax, 0x4000(%bx,%si); incw 0x4000(%bx); xchg %cx, 0x4000(%si);"
      "lock; xaddl %edx, 0x4100(%si); negb 0x4001(%bx); cmpxchg %bp, 0x4000(%si)");
PIECE(p_address32,
      "and $0xff, %eax; and $0x3f, %ecx; mov %bx, 0x4000(%eax,%ecx,2); movzxb 0x4000(%eax), %esi; movsxw 0x4000(,%ecx,4), %edi;"
      "lea 0x12345(%eax,%ecx,8), %ebp; lea -3(%bx,%di), %dx");
PIECE(p_strings,
      "mov $0x4000, %si; mov $0x4200, %di; and $0x3f, %cx; push %cx; rep movsb; pop %cx; mov $0x4300, %di; rep stosw;"
      "mov $0x4000, %si; mov $0x4200, %di; mov $50, %cx; repe cmpsb; mov %cx, %dx; mov $0x4000, %di; mov $64, %cx; repne scasb; lodsl");
PIECE(p_down,
      "std; mov $0x40ff, %si; mov $0x42ff, %di; mov $33, %cx; rep movsb; movsl; cld; mov $1, %cx");
PIECE(p_wrap,
      "mov $0x0410, %ax; mov %ax, %es; mov $0xfffd, %di; mov $6, %cx; rep stosb; push %ds; pop %es; cmp %ax, %ax");
PIECE(p_segments,
      "mov $0x0400, %ax; mov %ax, %ds; mov %bx, 0x10; mov %ax, %fs; mov %fs:0x10, %cx; movw $0x0022, 0x20; movw $0x0410, 0x22;"
      "les 0x20, %di; mov %es, %dx; mov %cx, %es:(%di); lgs 0x20, %si; mov %gs:(%si), %bp; push %fs; pop %gs; mov %gs, %ax;"
      "xor %si, %si; mov %si, %ds; mov %si, %es");
PIECE(p_bases, /* FS by its MSR */
      "movl $0x11112222, 0x4000; mov $0x0400, %ax; mov %ax, %fs; mov %fs:0, %bp; mov $0xc0000100, %ecx; mov $0x4002, %eax; xor %edx, %edx; wrmsr;"
      "mov %fs:0, %di; mov %fs, %si; mov %si, %fs; mov %fs:0, %bx; cmp %ax, %ax");
PIECE(p_stack_segment,
      "mov %ss, %bp; mov %sp, %di; mov $0x0600, %ax; mov %ax, %ss; mov $0x0200, %sp; push %bx; mov %bp, %ss; mov %di, %sp;"
      "mov 0x61fe, %cx; mov %sp, %dx; cmp %ax, %ax");
PIECE(p_loops,
      "xor %dx, %dx; mov $7, %cx; 1: inc %dx; loop 1b; mov $5, %ecx; 1: inc %dx; cmp $15, %dx; addr32 loopne 1b; jcxz 2f; inc %dx; 2: nop");
PIECE(p_near,
      "call 1f; jmp 2f; 1: pop %si; push %si; mov %sp, %di; ret; 2: mov $3f, %bx; jmp *%bx; ud2; 3: cmp %bx, %bx");
PIECE(p_far,
      "push %cs; call 1f; jmp 2f; 1: mov %sp, %di; lretw; 2: lcallw $0, $3f; jmp 4f; 3: mov %sp, %si; lretw; 4: pushw $0x0100; pushw $5f-0x1000;"
      "lretw; 5: mov %cs, %dx; ljmpw $0, $6f; 6: pushl $0; pushl $7f; lretl; 7: lcalll $0, $8f; jmp 9f; 8: mov %sp, %bp; lretl; 9: cmp %ax, %ax");
PIECE(p_int,
      "mov $0x1111, %ax; int $0x21; mov %sp, %di; int3; stc; mov $0x7f, %dl; inc %dl; into; clc; pushf; pop %si; and $0x300, %si; cmp %ax, %ax");
PIECE(p_iret,
      "pushfl; pushl $0; pushl $1f; iretl; 1: pushf; push %cs; push $2f; iretw; 2: mov %sp, %si; cmp %ax, %ax");
PIECE(p_step,
      "movw $0, 0x4010; pushf; pop %ax; or $0x100, %ax; push %ax; popf; nop; cs mov %bx, %cx; int $0x21; nop; pushf; pop %ax;"
      "and $~0x100, %ax; push %ax; popf; mov 0x4010, %di; cmp %ax, %ax; mov $0, %ax");
PIECE(p_invalid,
      "xor %bp, %bp; ud2; .byte 0x0f, 0x00, 0xc0; .byte 0xf0, 0x40; cmp %ax, %ax"); /* sldt; lock
										       inc */
PIECE(p_bound,
      "movw $-10, 0x4000; movw $10, 0x4002; and $0xf, %bx; xor %bp, %bp; bound %bx, 0x4000; cmp %ax, %ax");
PIECE(p_tables,
      "sgdtl 0x4000; sidtl 0x4010; lidtl 0x4010; lidtw 0x4010; sidtw 0x4020; smsw %ax; mov %cr0, %ebx; cmp %cx, %cx");
PIECE(p_system,
      "mov %cr4, %edi; mov %cr3, %esi; mov %dr7, %edx; clts; xor %eax, %eax; cpuid; mov $0x1b, %ecx; rdmsr; wbinvd; cmp %ax, %ax");
PIECE(p_fpu,
      "fninit; fnstcw 0x4000; mov $0xffff, %ax; fnstsw %ax; movw $0x027f, 0x4002; fldcw 0x4002; fnstcw 0x4004; fnstsw 0x4006; fwait; fnclex; cmp %ax, %ax");
PIECE(p_ports,
      "mov $0x3ff, %dx; mov %bl, %al; out %al, %dx; xor %al, %al; in %dx, %al; mov $0x4000, %si; mov $3, %cx; rep outsb; mov $0x4010, %di; mov $2, %cx; rep insb");
PIECE(p_protected, /* there and back, with a "big" data segment to show for it */
      "lgdtl gdt; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; ljmpw $0x18, $1f; 1: mov $0x10, %cx; mov %cx, %fs; mov $0x20, %cx; mov %cx, %es;"
      "lsl %cx, %edx; lar %cx, %ebp; verw %cx; setz %ch; and $~1, %al; mov %eax, %cr0; ljmpw $0, $2f; 2: xor %si, %si; mov %si, %es;"
      "mov $0x104000, %edi; addr32 movw %bx, %fs:(%edi); addr32 mov %fs:(%edi), %si; mov %si, %fs; mov %fs, %ax; cmp %ax, %ax");

#define ROW(name, flags)                                                                           \
	{                                                                                          \
#name, p_##name, flags                                                             \
	}

/* clang-format off */
static const struct piece pieces[] = {
	ROW(alu, ARITH),
	ROW(shift, 1),
	ROW(mul, 0x801),
	ROW(div, 0),
	ROW(div_fault, 0),
	ROW(bcd, 0xc5),
	ROW(flags, ARITH),
	ROW(set, ARITH),
	ROW(stack, 0),
	ROW(frame, 0),
	ROW(memory, ARITH),
	ROW(address32, 0),
	ROW(strings, ARITH),
	ROW(down, 0),
	ROW(wrap, ARITH),
	ROW(segments, 0xc4),
	ROW(bases, ARITH),
	ROW(stack_segment, ARITH),
	ROW(loops, 0),
	ROW(near, ARITH),
	ROW(far, ARITH),
	ROW(int, ARITH),
	ROW(iret, ARITH),
	ROW(step, ARITH),
	ROW(invalid, ARITH),
	ROW(bound, ARITH),
	ROW(tables, ARITH),
	ROW(system, ARITH),
	ROW(fpu, ARITH),
	ROW(ports, 0),
	ROW(protected, ARITH),
};
/* clang-format on */

void run_piece(void);
extern struct regs regs;
extern uint32_t target;
__asm__(".pushsection .start, \"ax\"\n"
	".code16\n"
	"	xor	%ax, %ax\n"
	"	mov	%ax, %ds\n"
	"	mov	%ax, %es\n"
	"	mov	%ax, %ss\n"
	"	mov	$0x7ff0, %esp\n"
	"	cld\n"
	"	calll	main\n"
	"1:	hlt\n"
	"	jmp	1b\n"

	"run_piece:\n"
	"	pushal\n"
	"	mov	%esp, saved_esp\n"
	"	mov	$regs, %esp\n"
	"	popal\n"
	"	popfl\n"
	"	mov	$0x7000, %esp\n"
	"	lcallw	*target\n"
	"	pushfl\n"
	"	cli\n"
	"	cld\n"
	"	pushal\n"
	"	xor	%ax, %ax\n"
	"	mov	%ax, %ds\n"
	"	mov	%ax, %es\n"
	"	mov	%esp, %esi\n"
	"	mov	$regs, %edi\n"
	"	mov	$36, %cx\n"
	"	rep	movsb\n"
	"	mov	saved_esp, %esp\n"
	"	popal\n"
	"	retl\n"

	/* The handlers: what they find is part of the result. */
	"h_bound: incw	0x4304\n"
	"	push	%bp\n"
	"	mov	%sp, %bp\n"
	"	addw	$4, 2(%bp)\n" /* behind bound %bx, 0x4000 */
	"	pop	%bp\n"
	"	iretw\n"
	"h_invalid:\n"
	"h_divide:\n" /* instructions of two bytes, but SLDT has three */
	"	push	%bp\n"
	"	mov	%sp, %bp\n"
	"	push	%bx\n"
	"	mov	2(%bp), %bx\n"
	"	cmpw	$0x000f, (%bx)\n"
	"	jne	1f\n"
	"	inc	%bx\n"
	"1:	add	$2, %bx\n"
	"	mov	%bx, 2(%bp)\n"
	"	pop	%bx\n"
	"	pop	%bp\n"
	"	incw	0x4300\n"
	"	iretw\n"
	"h_step: incw 0x4010\n"
	"	iretw\n"
	"h_trap: incw 0x4302\n"
	"	iretw\n"
	"h_int:	pushf\n"
	"	pop	%ax\n"
	"	and	$0x300, %ax\n"
	"	mov	%sp, %bx\n"
	"	mov	4(%bx), %cx\n"
	"	mov	2(%bx), %dx\n"
	"	iretw\n"

	"	.balign 8\n"
	"gdt:	.word	0x2f\n"
	"	.long	gdt\n"
	"	.word	0\n"
	"	.quad	0x00cf93000000ffff\n" /* 8: not used */
	"	.quad	0x008f92000000ffff\n" /* 10: 4 GiB of data, 16-bit */
	"	.quad	0x00009a000000ffff\n" /* 18: 16-bit code */
	"	.quad	0x000092000000ffff\n" /* 20: as after RESET */
	"	.quad	0\n"
	"saved_esp: .long 0\n"
	"target: .long 0\n"
	"regs:	.fill	36, 1, 0\n"
	".code16gcc\n"
	".popsection");

extern const char h_divide[], h_bound[], h_invalid[], h_step[], h_trap[], h_int[];

static uint32_t seed = 0x12345678;

/* xorshift32: Marsaglia, "Xorshift RNGs". */
static uint32_t random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static void outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t val;

	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

/* What is written to a transmitter that is not empty is lost. */
static void put(char c)
{
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, (uint8_t)c);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

static void print_hex(uint32_t val)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		put("0123456789abcdef"[val >> shift & 15]);
}

/* FNV-1a, by words. */
static uint32_t hash(uint32_t h, const void *from, unsigned len)
{
	const uint32_t *word = from;

	for (; len; len -= 4)
		h = (h ^ *word++) * 0x01000193;
	return h ^ h >> 16;
}

static void set_vector(unsigned nr, const char *handler)
{
	*(volatile uint32_t *)(4 * nr) = (uint32_t)handler;
}

static void set_vectors(void)
{
	set_vector(0, h_divide);
	set_vector(1, h_step);
	set_vector(3, h_trap);
	set_vector(4, h_trap);
	set_vector(5, h_bound);
	set_vector(6, h_invalid);
	set_vector(0x21, h_int);
}

/* One call with random registers; what came out. */
static uint32_t run(const struct piece *p, uint32_t h)
{
	uint32_t *word = &regs.edi;

	for (unsigned i = 0; i < 8; i++)
		word[i] = random() & 3 ? random() : random() & 0x8000ffff;
	regs.eflags = (random() & ARITH) | 2;
	target = (uint32_t)p->code;
	run_piece();
	regs.eflags &= p->flags;
	h = hash(h, &regs, sizeof(regs));
	return hash(h, (const void *)DATA, 0x400);
}

void main(void);
void main(void)
{
	uint32_t h;

	set_vectors();
	for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		h = 0x811c9dc5;
		for (unsigned at = DATA; at < DATA + 0x400; at += 4)
			*(volatile uint32_t *)at = random();
		for (unsigned n = 0; n < ROUNDS; n++)
			h = run(&pieces[i], h);
		print(pieces[i].name);
		print(" ");
		print_hex(h);
		print(" ");
		for (const uint32_t *word = &regs.edi; word <= &regs.eflags; word++) {
			print_hex(*word);
			print(word < &regs.eflags ? " " : "\r\n");
		}
	}
	outb(0xf4, 0);
}
