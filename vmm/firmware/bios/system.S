/* SPDX-License-Identifier: BSD-2-Clause */
/* INT 11h, 12h, 15h: what there is, and where the memory is. */
#include "vmm/firmware/bios/frame.inc"

	.code16
	.text
	.globl	int_11, int_12, int_15, memory

/* --- INT 11h, 12h: what there is --- */

int_11:
	pushw	%ds
	pushw	$DATA_SEGMENT
	popw	%ds
	movw	D_EQUIPMENT, %ax
	popw	%ds
	iret

int_12:
	pushw	%ds
	pushw	$DATA_SEGMENT
	popw	%ds
	movw	D_BASE_MEMORY, %ax
	popw	%ds
	iret

/* --- INT 15h: the system --- */

int_15:
	SERVICE	system_functions
system_functions:
	FUNCTION 0x24, a20
	FUNCTION 0x4f, failed /* no keyboard intercept: the key as it is */
	FUNCTION 0x86, wait
	FUNCTION 0x87, move_block
	FUNCTION 0x88, memory_above_1m
	FUNCTION 0x90, device_wait
	FUNCTION 0x91, device_wait
	FUNCTION 0xc0, describe_system
	FUNCTION 0xc1, find_ebda
	FUNCTION 0xe8, memory_map
	OTHERS	not_supported

device_wait:
	movb	$0, R_AH(%bp)
	jmp	done

/* A20 is open, and there is nothing that closes it. */
a20:
	cmpb	$1, %al /* open */
	je	2f
	cmpb	$2, %al /* is it? */
	je	1f
	cmpb	$3, %al /* by what */
	jne	not_supported
	movw	$3, R_BX(%bp) /* keyboard controller, port 0x92 */
	jmp	2f
1:	movb	$1, R_AL(%bp)
2:	movb	$0, R_AH(%bp)
	jmp	done

/* CX:DX microseconds, by the refresh of an AT's memory, every 15 of them. */
wait:
	sti
	movw	R_CX(%bp), %ax
	shll	$16, %eax
	movw	R_DX(%bp), %ax
	xorl	%edx, %edx
	movl	$15, %ecx
	divl	%ecx
	leal	1(%eax), %ecx
	inb	$0x61, %al
	andb	$0x10, %al
	movb	%al, %ah
1:	inb	$0x61, %al
	andb	$0x10, %al
	cmpb	%al, %ah
	je	1b
	movb	%al, %ah
	decl	%ecx
	jnz	1b
	movb	$0, R_AH(%bp)
	jmp	done

/*
 * CX words from the caller's segment 0x10 to 0x18, in a table of six descriptors at ES:SI. The
 * others are filled in: 0x08 the table, 0x20 this code, 0x28 data to return with. GDTR is put back.
 */
move_block:
	cli
	movw	R_ES(%bp), %es
	movw	R_SI(%bp), %si
	xorl	%eax, %eax
	movw	%es, %ax
	shll	$4, %eax
	movzwl	%si, %ecx
	addl	%ecx, %eax
	movw	$0x2f, %es:0x08(%si)
	movl	%eax, %es:0x0a(%si)
	movl	$0xffff, %es:0x20(%si)
	movl	$CODE_ACCESS << 8 | 0x0f, %es:0x24(%si) /* base F0000 */
	movl	$0xffff, %es:0x28(%si)
	movl	$DATA_ACCESS << 8, %es:0x2c(%si)
	movw	R_CX(%bp), %cx
	subw	$6, %sp
	movw	%sp, %bx
	sgdtl	%ss:(%bx)
	lgdtl	%es:0x08(%si)
	xorw	%si, %si
	xorw	%di, %di
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmp	$0x20, $1f
1:	movw	$0x10, %dx
	movw	%dx, %ds
	movw	$0x18, %dx
	movw	%dx, %es
	rep movsw
	movw	$0x28, %dx
	movw	%dx, %ds
	movw	%dx, %es
	andb	$~1, %al
	movl	%eax, %cr0
	ljmp	$0xf000, $2f
2:	movw	$DATA_SEGMENT, %ax
	movw	%ax, %ds
	lgdtl	%ss:(%bx)
	addw	$6, %sp
	movb	$0, R_AH(%bp)
	orb	$FLAG_ZF, R_FL(%bp)
	jmp	done

memory_above_1m:
	movw	%cs:memory_88, %ax
	movw	%ax, R_AX(%bp)
	jmp	done

memory_map:
	cmpb	$0x20, %al
	je	memory_e820
	cmpb	$0x01, %al
	jne	not_supported
	movw	%cs:memory_e801_low, %ax
	movw	%ax, R_AX(%bp)
	movw	%ax, R_CX(%bp)
	movw	%cs:memory_e801_high, %ax
	movw	%ax, R_BX(%bp)
	movw	%ax, R_DX(%bp)
	jmp	done

memory_e820:
	cmpl	$SMAP, R_DX(%bp)
	jne	not_supported
	cmpl	$20, R_CX(%bp)
	jb	not_supported
	movl	R_BX(%bp), %ebx
	movzwl	%cs:memory_entries, %eax
	cmpl	%eax, %ebx
	jae	not_supported
	imulw	$20, %bx, %si
	addw	$memory_table, %si
	movw	R_ES(%bp), %es
	movw	R_DI(%bp), %di
	movw	$10, %cx
	pushw	%ds
	pushw	%cs
	popw	%ds
	rep movsw
	popw	%ds
	incl	%ebx
	cmpl	%eax, %ebx
	jb	1f
	xorl	%ebx, %ebx /* that was the last one */
1:	movl	%ebx, R_BX(%bp)
	movl	$20, R_CX(%bp)
	movl	$SMAP, R_AX(%bp)
	jmp	done

describe_system:
	movw	%cs, R_ES(%bp)
	movw	$system, R_BX(%bp)
	movb	$0, R_AH(%bp)
	jmp	done
system:	/* an AT with two 8259s, an RTC and an EBDA */
	.word	8
	.byte	0xfc, 0x01, 0x00, 0x64, 0, 0, 0, 0

find_ebda:
	movw	D_EBDA, %ax
	movw	%ax, R_ES(%bp)
	jmp	done

/* struct bios_memory in vmm/firmware/bios_area.c, which fills it in. */
memory:
memory_88:
	.word	0
memory_e801_low:
	.word	0
memory_e801_high:
	.word	0
memory_entries:
	.word	0
memory_table:
	.space	8 * 20
