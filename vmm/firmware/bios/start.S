/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services of a PC's BIOS, for programs of real mode that begin without a firmware: old kernels of
 * Linux, boot loaders in a kernel's clothes. IBM PC AT technical reference, section 5; ACPI
 * specification, chapter 15 (INT 15h AX=E820h); Ralf Brown's list for the numbers.
 *
 * A program of 16 bits at F000:8000 (vmm/firmware/bios_area.c puts it there, and the vectors), linked
 * from all files here, this one first. The console is COM1 and, for what asks where the cursor is,
 * text memory at B800:0000. No disk, no printer, no APM. A20 is always open.
 */
#include "vmm/firmware/bios/frame.inc"

	.code16
	.text
	.globl	bios, done, nothing, failed_ah, failed, not_supported, dispatch

bios:
	jmp	start_kernel
	.balign	4
	/* struct bios_header in vmm/firmware/bios_area.c */
	.word	vectors
	.word	memory

/*
 * A kernel starts in this mode: its first 64 KiB in all data segments and SS:SP, interrupts closed.
 * The screen is clear, and the clock ticks from now on; then the second 512 bytes of the segment
 * (the Linux boot protocol).
 */
start_kernel:
	pushw	$DATA_SEGMENT
	popw	%ds
	pushw	%es
	cld
	call	clear_screen
	popw	%es
	call	set_ticks
	inb	$0x21, %al
	andb	$~0x03, %al /* timer and keyboard */
	outb	%al, $0x21
	movw	%ss, %ax
	movw	%ax, %ds
	addw	$0x20, %ax
	pushw	%ax
	pushw	$0
	lret

dispatch:
	cmpb	$0xff, %cs:(%si)
	je	1f
	cmpb	%cs:(%si), %ah
	je	1f
	addw	$3, %si
	jmp	dispatch
1:	jmp	*%cs:1(%si)

done:
	andb	$~FLAG_CF, R_FL(%bp)
nothing:
	ret

failed_ah:	/* the error is in AH */
	movb	%ah, R_AH(%bp)
failed:
	orb	$FLAG_CF, R_FL(%bp)
	ret

not_supported:
	movb	$0x86, %ah
	jmp	failed_ah

/* --- interrupts of the hardware --- */

irq_timer:
	pushw	%ds
	pushw	%ax
	pushw	$DATA_SEGMENT
	popw	%ds
	incl	D_TICKS
	cmpl	$DAY_TICKS, D_TICKS
	jb	1f
	movl	$0, D_TICKS
	movb	$1, D_MIDNIGHT
1:	int	$0x1c
	jmp	end_master

irq_keyboard:
	pushw	%ds
	pushw	%ax
	inb	$0x60, %al
	jmp	end_master

/* Of the others some are exceptions, which nobody is to end. */
irq_master:
	pushw	%ds
	pushw	%ax
	movb	$0x0b, %al
	outb	%al, $0x20
	inb	$0x20, %al
	testb	%al, %al
	jz	end_nothing
end_master:
	movb	$0x20, %al
	outb	%al, $0x20
end_nothing:
	popw	%ax
	popw	%ds
	iret

irq_rtc:
	pushw	%ds
	pushw	%ax
	movb	$0xc, %al
	call	cmos
	jmp	end_slave

irq_x87:
	pushw	%ds
	pushw	%ax
	xorb	%al, %al
	outb	%al, $0xf0
	jmp	end_slave

irq_slave:
	pushw	%ds
	pushw	%ax
end_slave:
	movb	$0x0b, %al
	outb	%al, $0xa0
	inb	$0xa0, %al
	testb	%al, %al
	jz	end_master /* spurious: not the slave's */
	movb	$0x20, %al
	outb	%al, $0xa0
	jmp	end_master

	.balign	4
vectors:	/* numbers and offsets */
	.word	0x08, irq_timer
	.word	0x09, irq_keyboard
	.irp	n, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f
	.word	\n, irq_master
	.endr
	.word	0x10, int_10, 0x11, int_11, 0x12, int_12, 0x13, int_13, 0x14, int_14, 0x15, int_15
	.word	0x16, int_16, 0x17, int_17, 0x18, int_18, 0x19, int_18, 0x1a, int_1a
	.word	0x70, irq_rtc
	.irp	n, 0x71, 0x72, 0x73, 0x74, 0x76, 0x77
	.word	\n, irq_slave
	.endr
	.word	0x75, irq_x87
	.word	0xffff, 0
