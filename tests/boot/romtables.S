/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A firmware of 64 KiB whose descriptor tables and page tables are in the ROM, with their accessed, busy
 * and dirty bits clear. What the CPU writes there is lost, and it goes on: loads of segments and of TR,
 * far returns, exceptions, interrupts, IRET to both levels, stacks in the ROM and where nothing is, and
 * paging of 32 bits and of long mode. Each step prints a letter; a step that goes wrong ends the VM with
 * its letter for a status. With BOCHS_SVM there is no INT n, and nobody looks at CR2: what Bochs 2.7 has
 * wrong there is in docs/testing.md.
 */
#define BASE	0xffff0000
#define STACK	0x70000
#define TSS	0x50000
#define RAM_GDT	0x51000
#define HOLE	0xe0000000
#define A	0x60			/* accessed, dirty */

#define CODE	0x08
#define DATA	0x10
#define HANDLER	0x18
#define FAR	0x20
#define TASK	0x28
#define UCODE	0x33
#define UDATA	0x3b
#define INNER	0x40
#define CODE64	0x48

/* A letter, and the number of the step for a failure; EBP is nobody else's. */
#define STEP(letter)			\
	movl	$letter, %ebp;		\
	movw	$0x3fd, %dx;		\
77:	inb	%dx, %al;		\
	testb	$0x20, %al;		\
	jz	77b;			\
	movw	$0x3f8, %dx;		\
	movb	$letter, %al;		\
	outb	%al, %dx
#define WANT(cond)	j##cond 1f; jmp failed; 1:

	.section .rom, "ax"
	.code32
	.org	0
	.global prot
prot:	STEP('a')			/* data segments */
	movl	$DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$STACK, %esp
	cmpl	$0x00cf9200, gdt + DATA + 4
	WANT(e)

	STEP('b')			/* what a program writes */
	movl	$1, gdt + DATA + 4
	movl	$gdt + DATA + 8, %esp
	pushl	$2
	cmpl	$gdt + DATA + 4, %esp
	WANT(e)
	popl	%eax
	movl	$STACK, %esp
	cmpl	$0x00cf9200, %eax
	WANT(e)

	STEP('c')			/* an exception, and IRET to a segment that was never accessed */
	lidt	idt_ptr
	xorl	%edi, %edi
	xorl	%ebx, %ebx
	ud2
	cmpl	$1, %ebx
	WANT(e)
	cmpl	$0x00cf9a00, gdt + HANDLER + 4
	WANT(e)

#ifndef BOCHS_SVM
	STEP('d')
	int	$0x30
	cmpl	$0x30, %ebx
	WANT(e)
#endif

	STEP('e')			/* the busy bit */
	movl	$STACK, TSS + 4
	movl	$INNER, TSS + 8
	movl	$TASK, %eax
	ltr	%ax
	ltr	%ax
	cmpl	$0x00008905, gdt + TASK + 4
	WANT(e)

	STEP('f')			/* a far return */
	pushl	$FAR
	pushl	$2f
	lret
2:	movl	%cs, %eax
	cmpl	$FAR, %eax
	WANT(e)
	ljmp	$CODE, $2f
2:

	STEP('g')			/* the timer's interrupt */
	call	start_timer
	xorl	%ebx, %ebx
	sti
2:	hlt
	testl	%ebx, %ebx
	jz	2b
	cli

	STEP('h')			/* a frame into the ROM, which does not take it */
	movl	$gdt + TASK + 8, %esp
	movl	$2f, %edi
	ud2
	jmp	failed
2:	movl	%esp, %eax
	movl	$STACK, %esp
	cmpl	$gdt + TASK + 8 - 12, %eax
	WANT(e)
	cmpl	$0x00008905, gdt + TASK + 4
	WANT(e)

	STEP('i')			/* ... and to where nothing is */
	movl	$HOLE + 0x100, %esp
	movl	$2f, %edi
	ud2
	jmp	failed
2:	cmpl	$HOLE + 0x100 - 12, %esp
	WANT(e)
	popl	%eax
	movl	$STACK, %esp
	cmpl	$-1, %eax
	WANT(e)

	/* TR from a copy, by the CPU itself: QEMU 7.2 aborts at the next step if TR says busy, as it should. */
	movl	$gdt, %esi
	movl	$RAM_GDT, %edi
	movl	$(gdt_end - gdt) / 4, %ecx
	rep movsl
	lgdt	ram_gdt_ptr
	movl	$TASK, %eax
	ltr	%ax
	lgdt	gdt_ptr

	STEP('j')			/* out to level 3, and back by an exception, on the TSS's stack */
	xorl	%edi, %edi
	pushl	$UDATA
	pushl	$STACK - 0x1000
	pushl	$0x3002
	pushl	$UCODE
	pushl	$2f
	iret
2:	movl	%cs, %eax
	cmpl	$UCODE, %eax
	WANT(e)
	movl	$2f, %edi		/* the handler does not return */
	ud2
	jmp	failed
2:	cmpl	$STACK - 20, %esp
	WANT(e)
	movl	%ss, %eax
	cmpl	$INNER, %eax
	WANT(e)
	cmpl	$STACK - 0x1000, 12(%esp)
	WANT(e)
	movl	%ds, %eax		/* level 3 could not keep it */
	testl	%eax, %eax
	WANT(z)
	movl	$DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$STACK, %esp
	cmpl	$0x00cf9200, gdt + INNER + 4
	WANT(e)
	xorl	%edi, %edi

	STEP('k')			/* paging of 32 bits */
	movl	$0x10, %eax
	movl	%eax, %cr4
	movl	$page_dir, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	movl	$0x12345678, 0x60000
	movl	$0x60000, %esi
	movl	$0x400000 + 0x60004, %edi	/* an alias of that page */
	movsl
	xorl	%edi, %edi
	cmpl	$0x12345678, 0x60004
	WANT(e)
	cmpl	$0x83, page_dir
	WANT(e)
	STEP('l')			/* a page that is not present */
	movl	$2f, %edi
	incl	0x80000123
	jmp	failed
2:
#ifndef BOCHS_SVM
	movl	%cr2, %eax
	cmpl	$0x80000123, %eax
	WANT(e)
#endif
	cmpl	$2, (%esp)		/* a write */
	WANT(e)
	movl	$STACK, %esp
	xorl	%edi, %edi
	xorl	%ebx, %ebx
	ud2
	cmpl	$1, %ebx
	WANT(e)
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0

	STEP('m')			/* long mode */
	movl	$0x20, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmp	$CODE64, $2f
	.code64
2:	STEP('n')
	lidt	idt64_ptr(%rip)
	movl	$0x87654321, 0x60000
	cmpl	$0x87654321, 0x60000
	WANT(e)
	xorl	%ebx, %ebx
	ud2
	cmpl	$1, %ebx
	WANT(e)
#ifndef BOCHS_SVM
	STEP('o')
	int	$0x30
	cmpl	$0x30, %ebx
	WANT(e)
#endif
	STEP('p')			/* a page that is not present */
	movl	$2f, %edi
	incl	0xffffffff80000123
	jmp	failed
2:
#ifndef BOCHS_SVM
	movq	%cr2, %rax
	cmpq	$0xffffffff80000123, %rax
	WANT(e)
#endif
	cmpl	$STACK - 48, %esp
	WANT(e)
	cmpl	$2, (%rsp)
	WANT(e)
	xorl	%ebp, %ebp
	movl	$ok, %esi

	/* From here on the same bytes do for both modes. */
2:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movw	$0x3f8, %dx
	lodsb
	testb	%al, %al
	jz	failed
	outb	%al, %dx
	jmp	2b
failed:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$0x40, %al
	jz	failed
	movw	$0xf4, %dx
	movl	%ebp, %eax
	outl	%eax, %dx
1:	cli
	hlt
	jmp	1b
ok:	.asciz	"\nUMBRA-GUEST-OK rom\n"

on_ud64: incl	%ebx
	testl	%edi, %edi
	jnz	on_pf64
	addq	$2, (%rsp)
	iretq
on_pf64: jmp	*%rdi
on_int64: movl	$0x30, %ebx
	iretq

	.code32
on_ud:	incl	%ebx
	testl	%edi, %edi
	jnz	on_pf
	addl	$2, (%esp)
	iret
on_pf:	jmp	*%edi
on_int:	movl	$0x30, %ebx
	iret
on_timer: incl	%ebx
	movb	$0x20, %al
	outb	%al, $0x20
	iret

/* The 8254 ticks every 4 ms, and without the APIC INTR is the CPU's own pin. */
start_timer:
	movl	$0x1b, %ecx
	rdmsr
	andl	$~0x800, %eax
	wrmsr
	movb	$0x11, %al
	outb	%al, $0x20
	movb	$0x20, %al
	outb	%al, $0x21
	movb	$4, %al
	outb	%al, $0x21
	movb	$1, %al
	outb	%al, $0x21
	movb	$0xfe, %al
	outb	%al, $0x21
	movb	$0x34, %al
	outb	%al, $0x43
	movb	$0, %al
	outb	%al, $0x40
	movb	$0x12, %al
	outb	%al, $0x40
	ret

	.balign 8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff
	.quad	0x00cf92000000ffff
	.quad	0x00cf9a000000ffff
	.quad	0x00cf9a000000ffff
	.quad	0x0000890000000067 + (TSS << 16)
	.quad	0x00cffa000000ffff
	.quad	0x00cff2000000ffff
	.quad	0x00cf92000000ffff
	.quad	0x00af9a000000ffff
gdt_end:

#define AT(symbol) ((symbol) - prot)
	.macro	gate target, selector
	.word	AT(\target), \selector, 0x8e00, BASE >> 16
	.endm
	.macro	wide_gate target
	gate	\target, CODE64
	.quad	0
	.endm

	.balign 8
idt:	.fill	6, 8, 0
	gate	on_ud, HANDLER
	.fill	14 - 7, 8, 0
	gate	on_pf, HANDLER
	.fill	0x20 - 15, 8, 0
	gate	on_timer, HANDLER
	.fill	0x30 - 0x21, 8, 0
	gate	on_int, HANDLER
idt_end:
	.balign 16
idt64:	.fill	2 * 6, 8, 0
	wide_gate on_ud64
	.fill	2 * (14 - 7), 8, 0
	wide_gate on_pf64
	.fill	2 * (0x30 - 15), 8, 0
	wide_gate on_int64
idt64_end:
	.balign 4
	.word	0
ram_gdt_ptr: .word gdt_end - gdt - 1
	.long	RAM_GDT
	.word	0
idt_ptr: .word	idt_end - idt - 1
	.long	idt
	.word	0
idt64_ptr: .word idt64_end - idt64 - 1
	.quad	idt64

	.balign 4096
page_dir:
	.set	i, 0
	.rept	512			/* 4M pages, and the second is the first again */
	.long	0x83 + (i & ~(i == 1)) * 0x400000
	.set	i, i + 1
	.endr
	.fill	256, 4, 0
	.set	i, 768
	.rept	256
	.long	0x83 + i * 0x400000
	.set	i, i + 1
	.endr
pml4:	.quad	pdpt + A + 3
	.fill	511, 8, 0
pdpt:	.quad	pd0 + A + 3, 0, 0, pd3 + A + 3
	.fill	508, 8, 0
pd0:	.set	i, 0
	.rept	512
	.quad	0x83 + A + i * 0x200000
	.set	i, i + 1
	.endr
pd3:	.set	i, 0
	.rept	512
	.quad	0x83 + 0xc0000000 + i * 0x200000	/* never accessed */
	.set	i, i + 1
	.endr

	.org	0xff00
	.code16
real:	cli
	movw	$0x3fb, %dx
	movb	$3, %al
	outb	%al, %dx
	lgdtl	%cs:AT(gdt_ptr)
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$CODE, $prot
	.balign 4
gdt_ptr: .word	gdt_end - gdt - 1
	.long	gdt
	.org	0xfff0
	jmp	real
	.org	0x10000
