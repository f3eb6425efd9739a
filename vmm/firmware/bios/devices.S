/* SPDX-License-Identifier: BSD-2-Clause */
/* INT 13h, 14h, 17h to 19h: a serial port; no disk, no printer, nothing to boot from. */
#include "vmm/firmware/bios/frame.inc"

	.code16
	.text
	.globl	int_13, int_14, int_17, int_18, read_status, serial_put

/* --- INT 13h: no drive --- */

int_13:
	SERVICE	disk_functions
disk_functions:
	FUNCTION 0x00, disk_reset
	FUNCTION 0x01, disk_status
	FUNCTION 0x08, disk_geometry
	FUNCTION 0x15, disk_type
	FUNCTION 0x41, disk_no_function
	OTHERS	disk_absent

disk_reset:
	movb	$0, D_DISK_STATUS
	movb	$0, R_AH(%bp)
	jmp	done

disk_status:
	movb	D_DISK_STATUS, %ah
	movb	%ah, R_AH(%bp)
	testb	%ah, %ah
	jnz	failed
	jmp	done

disk_type:	/* 0: there is no such drive */
	movb	$0, R_AH(%bp)
	jmp	done

disk_geometry:
	movb	$0, R_DX(%bp) /* DL: how many */
	movb	$0x07, %ah
	jmp	disk_failed
disk_no_function:
	movb	$0x01, %ah
	jmp	disk_failed
disk_absent:
	movb	$0, R_AL(%bp) /* sectors done */
	movb	$0x80, %ah /* the drive does not answer */
disk_failed:
	movb	%ah, D_DISK_STATUS
	jmp	failed_ah

/* --- INT 14h: the serial port --- */

int_14:
	ENTER
	cmpw	$0, R_DX(%bp) /* COM1 is the only one */
	jne	1f
	movw	$serial_functions, %si
	call	dispatch
	LEAVE
1:	movb	$0x80, R_AH(%bp)
	LEAVE
serial_functions:
	FUNCTION 0x00, serial_init
	FUNCTION 0x01, serial_send
	FUNCTION 0x02, serial_receive
	OTHERS	serial_status

/* Bits 7:5 the speed, 4:3 parity, 2 stop bits, 1:0 the length. */
serial_init:
	movzbw	%al, %bx
	shrw	$5, %bx
	shlw	$1, %bx
	movb	%al, %cl
	andb	$0x1f, %cl
	movw	$COM1 + 3, %dx
	movb	$0x80, %al
	outb	%al, %dx
	movw	$COM1, %dx
	movw	%cs:divisors(%bx), %ax
	outb	%al, %dx
	incw	%dx
	movb	%ah, %al
	outb	%al, %dx
	movw	$COM1 + 3, %dx
	movb	%cl, %al
	outb	%al, %dx
serial_status:
	call	read_status
	movw	%ax, R_AX(%bp)
	ret
divisors:	/* of 115200, for 110, 150, 300 ... 9600 baud */
	.word	1047, 768, 384, 192, 96, 48, 24, 12

read_status:
	movw	$LSR, %dx
	inb	%dx, %al
	movb	%al, %ah
	incw	%dx
	inb	%dx, %al
	ret

serial_send:
	call	serial_put
	call	read_status
	movb	%ah, R_AH(%bp)
	ret

serial_receive:
1:	call	read_status
	testb	$1, %ah
	jz	1b
	movw	$COM1, %dx
	inb	%dx, %al
	andb	$0x1e, %ah /* the errors */
	movw	%ax, R_AX(%bp)
	ret

/* The byte AL. */
serial_put:
	pushw	%dx
	pushw	%ax
	movw	$LSR, %dx
1:	inb	%dx, %al
	testb	$0x20, %al
	jz	1b
	popw	%ax
	movw	$COM1, %dx
	outb	%al, %dx
	popw	%dx
	ret

/* --- INT 17h: no printer --- */

int_17:
	movb	$0x01, %ah
	iret

/* --- INT 18h, 19h: nothing to boot from --- */

int_18:
	ljmp	$0xffff, $0
