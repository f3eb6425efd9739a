/* SPDX-License-Identifier: BSD-2-Clause */
/* INT 1Ah: ticks since midnight, and the RTC. */
#include "vmm/firmware/bios/frame.inc"

	.code16
	.text
	.globl	int_1a, set_ticks, cmos

int_1a:
	SERVICE	time_functions
time_functions:
	FUNCTION 0x00, ticks_get
	FUNCTION 0x01, ticks_set
	FUNCTION 0x02, clock_get
	FUNCTION 0x04, date_get
	FUNCTION 0xb1, no_pci
	OTHERS	failed

ticks_get:
	movl	D_TICKS, %eax
	movw	%ax, R_DX(%bp)
	shrl	$16, %eax
	movw	%ax, R_CX(%bp)
	movb	D_MIDNIGHT, %al
	movb	%al, R_AL(%bp)
	movb	$0, D_MIDNIGHT
	jmp	done

ticks_set:
	movw	R_CX(%bp), %ax
	shll	$16, %eax
	movw	R_DX(%bp), %ax
	movl	%eax, D_TICKS
	movb	$0, D_MIDNIGHT
	jmp	done

/* A register of the CMOS, to where the caller finds it. */
.macro CMOS_TO reg, where
	movb	$\reg, %al
	call	cmos
	movb	%al, \where
.endm

clock_get:	/* CH, CL, DH; DL: daylight saving */
	call	cmos_settle
	CMOS_TO	4, (R_CX + 1)(%bp)
	CMOS_TO	2, R_CX(%bp)
	CMOS_TO	0, (R_DX + 1)(%bp)
	movb	$0xb, %al
	call	cmos
	andb	$1, %al
	movb	%al, R_DX(%bp)
	jmp	done

date_get:	/* CH the century, CL, DH, DL */
	call	cmos_settle
	CMOS_TO	0x32, (R_CX + 1)(%bp)
	CMOS_TO	9, R_CX(%bp)
	CMOS_TO	8, (R_DX + 1)(%bp)
	CMOS_TO	7, R_DX(%bp)
	jmp	done

no_pci:
	movb	$0x81, %ah
	jmp	failed_ah

cmos_settle:
	movb	$0xa, %al
	call	cmos
	testb	$RTC_UPDATES, %al
	jnz	cmos_settle
	ret

/* The register AL. */
cmos:
	outb	%al, $0x70
	inb	$0x71, %al
	ret

/* The same from BCD, in EAX. */
cmos_binary:
	pushw	%ax
	call	cmos_settle
	popw	%ax
	call	cmos
	movb	%al, %ah
	shrb	$4, %ah
	andb	$0x0f, %al
	aad
	movzbl	%al, %eax
	ret


/* Ticks since midnight, 1193182 / 65536 a second, by the RTC. */
set_ticks:
	movb	$4, %al
	call	cmos_binary
	imull	$3600, %eax, %ebx
	movb	$2, %al
	call	cmos_binary
	imull	$60, %eax, %eax
	addl	%eax, %ebx
	xorb	%al, %al
	call	cmos_binary
	addl	%ebx, %eax
	movl	$1193182, %ecx
	mull	%ecx
	shrdl	$16, %edx, %eax
	movl	%eax, D_TICKS
	ret
