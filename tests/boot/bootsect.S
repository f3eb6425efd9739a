/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A boot sector for a BIOS that runs as a guest. Real mode, and nothing but the BIOS's services:
 * it reads its second sector (int 13h), waits for the clock to tick twice (int 1ah; an interrupt
 * through the 8259, taken in real mode), asks for the memory map (int 15h, e820),
 * says so on the serial port and by int 10h, and ends the machine through the debug-exit port.
 */
#define COM1	   0x3f8
#define LSR	   (COM1 + 5)
#define LSR_THRE   0x20
#define DEBUG_EXIT 0xf4
#define SECTOR2	   0x7e00
#define MAP	   0x8000
#define SMAP	   0x534d4150

	.code16
	.text
	.global start
start:
	ljmp	$0, $1f			/* some BIOSes jump to 07c0:0000 */
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	sti
	cld
	movw	%dx, %bp		/* dl: the drive we came from */
	movw	$hello, %si
	call	print

	/* One sector: cylinder 0, head 0, sector 2, to es:bx. */
	movw	$0x0201, %ax
	movw	$SECTOR2, %bx
	movw	$0x0002, %cx
	movw	%bp, %dx
	movb	$0, %dh
	int	$0x13
	movw	$no_sector, %si
	jc	fail

	/* Two ticks of the clock, cx:dx since midnight. */
	call	next_tick
	call	next_tick

	/* The memory map's first entry starts at 0 and is RAM. */
	movl	$0xe820, %eax
	xorl	%ebx, %ebx
	movl	$20, %ecx
	movl	$SMAP, %edx
	movw	$MAP, %di
	int	$0x15
	movw	$no_map, %si
	jc	fail
	cmpl	$0, MAP
	jne	fail
	cmpl	$1, MAP + 16
	jne	fail

	movw	$SECTOR2, %si
	call	print
	movb	$0, %al
	outb	%al, $DEBUG_EXIT
stop:
	hlt
	jmp	stop

fail:
	call	print
	movb	$1, %al
	outb	%al, $DEBUG_EXIT
	jmp	stop

/* Sleep until the BIOS's tick count changes. */
next_tick:
	movb	$0, %ah
	int	$0x1a
	movw	%dx, %bp
1:	hlt
	movb	$0, %ah
	int	$0x1a
	cmpw	%dx, %bp
	je	1b
	ret

/* The string at ds:si, to the serial port and, as a teletype, to the screen if there is one. */
print:
	lodsb
	testb	%al, %al
	jz	2f
	movb	%al, %cl
	movb	$0x0e, %ah
	movw	$0x0007, %bx
	int	$0x10
	movw	$LSR, %dx
1:	inb	%dx, %al
	testb	$LSR_THRE, %al
	jz	1b
	movw	$COM1, %dx
	movb	%cl, %al
	outb	%al, %dx
	jmp	print
2:	ret

hello:	   .asciz "boot sector started\r\n"
no_sector: .asciz "int 13h failed\r\n"
no_map:	   .asciz "int 15h e820 failed\r\n"

	.org	510
	.word	0xaa55

/* Sector 2: the marker, which so can only be printed once it has been read. */
	.asciz	"UMBRA-GUEST-OK bios\r\n"
	.org	1024
