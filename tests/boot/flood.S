/* SPDX-License-Identifier: BSD-2-Clause */
/* Real mode, nothing else: all of a segment to the first serial port with each instruction, for ever. */
	.code16
	.text
	.global start
start:
	xorw	%ax, %ax
	movw	%ax, %ds
	cld
	movw	$0x3f8, %dx
1:	xorw	%si, %si
	movw	$0xffff, %cx
	rep outsb
	jmp	1b
