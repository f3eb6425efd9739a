/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the boot loader's 32-bit protected mode, paging off (multiboot 0.6.96, 3.2; multiboot2,
 * 3.3), to C in long mode at the linked address.
 *
 * The image may lie elsewhere in physical memory than where it is linked (header.S), so the 32-bit
 * code reaches all of it through EBP, the distance. The page tables filled here
 * (arch/x86/boot_tables.S) map the first 4 GiB twice, in 2 MiB pages, at its own address for this
 * code and in the direct map, and the image at its linked address. They live until
 * arch/x86/paging.c has better ones, and again for a moment on each CPU that is started.
 */
#include "arch/x86/long_mode.h"

#define PTES	   512
#define LARGE_PAGE 0x200000
#define MB2_MAGIC  0x36d76289

#define VGA_TEXT  0xb8000
#define VGA_WHITE 0x0f

/* Of a 16550 (drivers/serial.c). */
#define UART_LCR   3
#define UART_LSR   5
#define LCR_8N1	   0x03
#define LCR_DLAB   0x80
#define LSR_THRE   0x20
#define THRE_TRIES 0x10000

/* The operand for an address of the image. */
#define LOADED(va) LINKED_HPA(va)(%ebp)

	.section .boot.text, "ax"
	.code32
	.global	boot_start
boot_start:
	cli
	cld
	movl	%eax, %edi		/* the loader's magic: first argument of boot_main() */
	movl	%ebx, %esi		/* its information, physical: second argument */

	/*
	 * Where are we? Only multiboot2 moves the image, and only CALL tells. The one memory that is
	 * known before that is the loader's information, of which the second word is reserved.
	 */
	xorl	%ebp, %ebp
	cmpl	$MB2_MAGIC, %eax
	jne	2f
	leal	8(%ebx), %esp
	call	1f
1:	popl	%ebp
	subl	$LINKED_HPA(1b), %ebp
2:	leal	LOADED(boot_stacks + STACK_TOP), %esp
	rdtsc				/* third argument; no CPUID and page tables need these */
	movl	%eax, LOADED(entry_tsc)
	movl	%edx, LOADED(entry_tsc + 4)
	movl	%ebp, LOADED(image_load_offset)

	/* Without CPUID (486) or long mode there is nothing to do here. */
	pushfl
	popl	%eax
	movl	%eax, %ecx
	xorl	$RFLAGS_ID, %eax
	pushl	%eax
	popfl
	pushfl
	popl	%eax
	cmpl	%eax, %ecx
	je	no_long_mode
	movl	$0x80000000, %eax
	cpuid
	cmpl	$0x80000001, %eax
	jb	no_long_mode
	movl	$0x80000001, %eax
	cpuid
	testl	$(1 << 29), %edx	/* LM */
	jz	no_long_mode

	leal	LOADED(boot_pd), %ebx
	xorl	%eax, %eax
	movl	$(4 * PTES), %ecx
	call	fill_directory
	leal	LOADED(boot_pd_image), %ebx
	movl	%ebp, %eax		/* IMAGE_VBASE, as far as the image reaches */
	movl	$PTES, %ecx
	call	fill_directory

	leal	LOADED(boot_pdpt), %ebx
	leal	LOADED(boot_pd + PTE_P + PTE_RW), %eax
	movl	$4, %ecx
1:	movl	%eax, (%ebx)
	addl	$4096, %eax
	addl	$8, %ebx
	decl	%ecx
	jnz	1b

	leal	LOADED(boot_pd_image + PTE_P + PTE_RW), %eax
	movl	%eax, LOADED(boot_pdpt_image + 510 * 8)
	leal	LOADED(boot_pdpt + PTE_P + PTE_RW), %eax
	movl	%eax, LOADED(boot_pml4)
	movl	%eax, LOADED(boot_pml4 + 256 * 8)
	leal	LOADED(boot_pdpt_image + PTE_P + PTE_RW), %eax
	movl	%eax, LOADED(boot_pml4 + 511 * 8)

	leal	LOADED(boot_pml4), %eax
	enter_long_mode
	leal	LOADED(boot_gdt), %eax
	movl	%eax, LOADED(boot_gdt_ptr + 2)
	lgdt	LOADED(boot_gdt_ptr)
	pushl	$SEL_CODE
	leal	LOADED(boot_long_mode), %eax
	pushl	%eax
	lretl

/* ECX entries of the page directory at EBX: large pages from the physical address EAX up. */
fill_directory:
	orl	$(PTE_P | PTE_RW | PTE_PS), %eax
1:	movl	%eax, (%ebx)
	addl	$LARGE_PAGE, %eax
	addl	$8, %ebx
	decl	%ecx
	jnz	1b
	ret

/*
 * Say so, and stop: on the text screen, and on COM1 to COM4, because the command line has not been
 * read and anybody may look at any of them.
 */
no_long_mode:
	leal	LOADED(no_long_mode_text + 1), %esi
	movl	$VGA_TEXT, %edi
	movb	$VGA_WHITE, %ah
1:	lodsb
	cmpb	$'\r', %al
	je	2f
	stosw
	jmp	1b
2:	leal	LOADED(pc_serial_ports), %ebx
3:	movzwl	(%ebx), %ecx
	jecxz	4f
	call	say_on_port
	addl	$2, %ebx
	jmp	3b
4:	hlt
	jmp	4b

/* On the port at ECX, if there is a UART: at 115200 8n1. Uses EAX, EDX, ESI, EDI. */
say_on_port:
	leal	UART_LSR(%ecx), %edx
	inb	%dx, %al
	cmpb	$0xff, %al
	je	9f
	leal	UART_LCR(%ecx), %edx
	movb	$(LCR_DLAB | LCR_8N1), %al
	outb	%al, %dx
	movl	%ecx, %edx		/* the divisor: 1 */
	movb	$1, %al
	outb	%al, %dx
	incl	%edx
	xorl	%eax, %eax
	outb	%al, %dx
	leal	UART_LCR(%ecx), %edx
	movb	$LCR_8N1, %al
	outb	%al, %dx
	leal	LOADED(no_long_mode_text), %esi
5:	leal	UART_LSR(%ecx), %edx
	movl	$THRE_TRIES, %edi
6:	inb	%dx, %al
	testb	$LSR_THRE, %al
	jnz	7f
	decl	%edi
	jnz	6b
7:	movl	%ecx, %edx
	lodsb
	testb	%al, %al
	jz	9f
	outb	%al, %dx
	jmp	5b
9:	ret

	.code64
boot_long_mode:
	movabsq	$boot_high, %rax
	jmpq	*%rax

	.text
boot_high:
	load_data_segments
	movq	$(boot_stacks + STACK_TOP), %rsp
	movl	%edi, %edi
	movl	%esi, %esi
	movq	entry_tsc, %rdx
	xorl	%ebp, %ebp		/* ends a backtrace */
	pushq	%rbp			/* the return address of a function that does not return */
	jmp	boot_main

	.section .rodata
no_long_mode_text:
	.ascii	"\036" /* LOG_MARK_UMBRA, for a program: lib/log.h */
	.ascii	"umbra: this CPU has no long mode (x86-64), which Umbra needs\r\n"
	.asciz	"umbra: exit status 102\r\n"
	.balign	2
pc_serial_ports:
	.word	0x3f8, 0x2f8, 0x3e8, 0x2e8, 0

	.data
boot_gdt:
	.quad	0
	.quad	BOOT_GDT_CODE
	.quad	BOOT_GDT_DATA
boot_gdt_ptr:
	.word	. - boot_gdt - 1
	.long	0

	.bss
	.balign	8
entry_tsc:
	.skip	8

	.section .note.GNU-stack, "", @progbits
