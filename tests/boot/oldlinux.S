/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame of tests/boot/oldlinux.c: the setup header of protocol VERSION, the entry in real mode,
 * the way to a BIOS's services, and the second part. The setup code's addresses are those in its
 * segment. FLAGS=0 is a zImage, which loads low.
 */
	.code16
	.section .start, "ax"
	.org	0x1f1
	.byte	setup_sectors		/* oldlinux.ld */
	.org	0x1f4
	.word	kernel_paragraphs, 0
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, header_end - magic /* jmp */
magic:	.ascii	"HdrS"
	.globl	version, loader, loadflags, move_size, code32, ramdisk, heap_end, cmdline
version:
	.word	VERSION
	.org	0x210
loader:	.byte	0
loadflags:
	.byte	FLAGS
move_size:
	.word	0x8000
code32:	.long	0x10000 + FLAGS * 0xf0000
ramdisk:
	.long	0, 0
	.long	0
heap_end:
	.word	0, 0
cmdline:
	.long	0
#if VERSION >= 0x203
	.long	0xffffff		/* the last address for an initrd */
#endif
header_end:
	movw	%sp, first_sp
	movw	%cs, first_cs
	movw	%ds, first_ds
	movw	%es, first_es
	pushfl
	popl	first_flags
	pushw	%ds
	pushw	$1f
	lretw
1:	calll	setup
	cli
	lgdtl	gdt_pointer
	movl	code32, %ebx
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	pushl	$0x10
	pushl	%ebx
	lretl

	.text
/* void intcall(uint32_t number, struct regs *r): the registers go in and come back. */
	.globl	intcall
intcall:
	pushal
	pushw	%es
	pushw	%ds
	movb	40(%esp), %al
	movb	%al, number
	movw	44(%esp), %si
	movw	%si, int_regs
	movw	(%si), %es
	movl	8(%si), %edi
	movl	16(%si), %ebp
	movl	24(%si), %ebx
	movl	28(%si), %edx
	movl	32(%si), %ecx
	movl	36(%si), %eax
	movl	12(%si), %esi
	.byte	0xcd			/* int */
number:	.byte	0
	pushfw
	pushw	%ds
	pushw	%es
	pushal
	cld
	movw	%ss, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	int_regs, %di
	movw	%sp, %si
	movw	32(%si), %ax
	movw	%ax, (%di)
	movw	34(%si), %ax
	movw	%ax, 2(%di)
	movw	36(%si), %ax
	movw	%ax, 4(%di)
	addw	$8, %di
	movw	$32, %cx
	rep movsb
	addw	$38, %sp
	popw	%ds
	popw	%es
	popal
	retl

	.data
	.balign	8
gdt:	.quad	0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	.globl	gdt_pointer
gdt_pointer:
	.word	. - gdt - 1
	.long	0x90000 + gdt
	.globl	int_regs
int_regs:
	.word	0

/* The second part, wherever it was loaded: it says so, and ends the VM with status 0. */
	.section .kernel, "ax"
	.code32
	call	1f
1:	popl	%esi
	addl	$text - 1b, %esi
	movw	$0x3f8, %dx
2:	lodsb
	testb	%al, %al
	jz	3f
	outb	%al, %dx
	jmp	2b
3:	xorl	%eax, %eax
	outb	%al, $0xf4
4:	hlt
	jmp	4b
text:	.asciz	"ok 17 - protected_mode\r\n"
	.balign	16
