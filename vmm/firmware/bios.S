/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services of a PC's BIOS, for programs of real mode that begin without a firmware: old kernels of
 * Linux, boot loaders in a kernel's clothes. IBM PC AT technical reference, section 5; ACPI
 * specification, chapter 15 (INT 15h AX=E820h); Ralf Brown's list for the numbers.
 *
 * A program of 16 bits at F000:8000 (vmm/firmware/bios_area.c puts it there, and the vectors). The
 * console is COM1 and, for what asks where the cursor is, text memory at B800:0000. No disk, no
 * printer, no APM. A20 is always open.
 */
	.code16
	.text

/* Offsets in the frame that ENTER makes: the caller's registers. */
#define R_DI 0
#define R_SI 4
#define R_BX 16
#define R_DX 20
#define R_CX 24
#define R_AX 28
#define R_ES 32
#define R_FL 40
#define R_BL R_BX
#define R_BH R_BX + 1
#define R_AL R_AX
#define R_AH R_AX + 1

#define FLAG_CF 0x01
#define FLAG_ZF 0x40

/* The data area, segment 0x40. */
#define DATA_SEGMENT   0x40
#define D_EBDA         0x0e
#define D_EQUIPMENT    0x10
#define D_BASE_MEMORY  0x13
#define D_SHIFT        0x17
#define D_KEY_HEAD     0x1a
#define D_KEY_TAIL     0x1c
#define D_VIDEO_MODE   0x49
#define D_CURSOR       0x50 /* column, row */
#define D_CURSOR_SHAPE 0x60
#define D_TICKS        0x6c
#define D_MIDNIGHT     0x70
#define D_DISK_STATUS  0x74
#define D_KEY_START    0x80
#define D_KEY_END      0x82

#define SCREEN    0xb800
#define COLUMNS   80
#define ROWS      25
#define BLANK     0x0720
#define DAY_TICKS 0x1800b0

#define COM1 0x3f8
#define LSR  (COM1 + 5)
#define RTC_UPDATES 0x80 /* of register A */

#define SMAP 0x534d4150

#define CODE_ACCESS 0x9b
#define DATA_ACCESS 0x93

/* All of the caller's registers, DS = the data area, AX and direction as one expects them. */
.macro ENTER
	pushw	%ds
	pushw	%es
	pushal
	movw	%sp, %bp
	cld
	movw	$DATA_SEGMENT, %ax
	movw	%ax, %ds
	movw	R_AX(%bp), %ax
.endm

.macro LEAVE
	popal
	popw	%es
	popw	%ds
	iret
.endm

/* A service of which AH is the function: a table of functions and handlers, which end with RET. */
.macro SERVICE table
	ENTER
	movw	$\table, %si
	call	dispatch
	LEAVE
.endm

.macro FUNCTION number, handler
	.byte	\number
	.word	\handler
.endm

/* Behind the last one; what is done for all others. */
.macro OTHERS handler
	FUNCTION 0xff, \handler
.endm

	.globl	bios
bios:
	jmp	start_kernel
	.balign	4
	/* struct bios_header in vmm/firmware/bios_area.c */
	.word	vectors
	.word	memory

/*
 * A kernel starts in this mode: its first 64 KiB in all data segments and SS:SP, interrupts closed.
 * The screen is clear, and the clock ticks from now on; then the second 512 bytes of the segment (the Linux boot protocol).
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

/* --- INT 10h: the screen, and the teletype on COM1 --- */

int_10:
	SERVICE	video_functions
video_functions:
	FUNCTION 0x00, video_set_mode
	FUNCTION 0x01, video_set_shape
	FUNCTION 0x02, video_set_cursor
	FUNCTION 0x03, video_get_cursor
	FUNCTION 0x06, video_scroll_up
	FUNCTION 0x07, video_scroll_down
	FUNCTION 0x08, video_read
	FUNCTION 0x09, video_write
	FUNCTION 0x0a, video_write
	FUNCTION 0x0e, teletype
	FUNCTION 0x0f, video_get_mode
	FUNCTION 0x13, video_string
	OTHERS	nothing

/* Text of 80 columns is what there is, in whichever mode. */
video_set_mode:
	andb	$0x7f, %al
	movb	%al, D_VIDEO_MODE
clear_screen:
	movw	$0, D_CURSOR
	movw	$SCREEN, %ax
	movw	%ax, %es
	xorw	%di, %di
	movw	$BLANK, %ax
	movw	$COLUMNS * ROWS, %cx
	rep stosw
	ret

video_set_shape:
	movw	R_CX(%bp), %ax
	movw	%ax, D_CURSOR_SHAPE
	ret

video_set_cursor:
	movw	R_DX(%bp), %dx
place_cursor:
	cmpb	$COLUMNS, %dl
	jae	1f
	cmpb	$ROWS, %dh
	jae	1f
	movw	%dx, D_CURSOR
1:	ret

video_get_cursor:
	movw	D_CURSOR, %ax
	movw	%ax, R_DX(%bp)
	movw	D_CURSOR_SHAPE, %ax
	movw	%ax, R_CX(%bp)
	ret

video_get_mode:
	movb	D_VIDEO_MODE, %al
	movb	$COLUMNS, %ah
	movw	%ax, R_AX(%bp)
	movb	$0, R_BH(%bp)
	ret

/* ES:DI: the cell in row AH, column AL. */
find_cell:
	pushw	%ax
	movw	$SCREEN, %di
	movw	%di, %es
	movzbw	%al, %di
	movb	$COLUMNS, %al
	mulb	%ah
	addw	%ax, %di
	shlw	$1, %di
	popw	%ax
	ret

video_read:
	call	find_cursor
	movw	%es:(%di), %ax
	movw	%ax, R_AX(%bp)
	ret

find_cursor:
	movw	D_CURSOR, %ax /* AL: column, AH: row */
	jmp	find_cell

/* CX times, with the attribute BL for function 9; not beyond the screen. */
video_write:
	movb	%ah, %bh
	movb	%al, %dl
	movb	R_BL(%bp), %bl
	movw	R_CX(%bp), %cx
	call	find_cursor
1:	jcxz	3f
	cmpw	$2 * COLUMNS * ROWS, %di
	jae	3f
	movb	%dl, %es:(%di)
	cmpb	$0x09, %bh
	jne	2f
	movb	%bl, %es:1(%di)
2:	addw	$2, %di
	decw	%cx
	jmp	1b
3:	ret

/* The character AL, where the cursor is, and to COM1. */
teletype:
	call	serial_put
	movw	D_CURSOR, %dx
	cmpb	$7, %al
	je	5f
	cmpb	$8, %al
	je	3f
	cmpb	$10, %al
	je	2f
	cmpb	$13, %al
	je	1f
	pushw	%ax
	call	find_cursor
	popw	%ax
	movb	%al, %es:(%di)
	incb	%dl
	cmpb	$COLUMNS, %dl
	jb	4f
	xorb	%dl, %dl
	jmp	2f
1:	xorb	%dl, %dl
	jmp	4f
2:	incb	%dh
	cmpb	$ROWS, %dh
	jb	4f
	decb	%dh
	call	roll
	jmp	4f
3:	testb	%dl, %dl
	jz	4f
	decb	%dl
4:	movw	%dx, D_CURSOR
5:	ret

/* All of the screen up by a line. */
roll:
	pushw	%ds
	movw	$SCREEN, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	$2 * COLUMNS, %si
	xorw	%di, %di
	movw	$COLUMNS * (ROWS - 1), %cx
	rep movsw
	movw	$BLANK, %ax
	movw	$COLUMNS, %cx
	rep stosw
	popw	%ds
	ret

/*
 * The window CH:CL to DH:DL by AL lines (0: all of it), blanks with the attribute BH coming in. A
 * row that AH counts is the copy of the one AL lines away in the direction BL.
 */
video_scroll_up:
	movb	$1, %bl
	call	scroll_window
	jae	1f
	movb	%ch, %ah
2:	call	scroll_row
	incb	%ah
	cmpb	%dh, %ah
	jbe	2b
1:	ret

video_scroll_down:
	movb	$-1, %bl
	call	scroll_window
	jae	1f
	movb	%dh, %ah
2:	call	scroll_row
	decb	%ah
	js	1f
	cmpb	%ch, %ah
	jae	2b
1:	ret

/* CX and DX, which stay on the screen, AL the distance with its sign. CF: there is a window. */
scroll_window:
	movw	R_CX(%bp), %cx
	movw	R_DX(%bp), %dx
	cmpb	$COLUMNS, %dl
	jb	1f
	movb	$COLUMNS - 1, %dl
1:	cmpb	$ROWS, %dh
	jb	2f
	movb	$ROWS - 1, %dh
2:	cmpb	$ROWS, %al
	ja	3f
	testb	%al, %al
	jnz	4f
3:	movb	$ROWS, %al
4:	imulb	%bl
	cmpb	%cl, %dl
	jb	5f
	cmpb	%ch, %dh
	jb	5f
	stc
	ret
5:	clc
	ret

scroll_row:
	pusha
	pushw	%ax
	movb	%cl, %al
	call	find_cell /* of this row */
	popw	%ax
	movb	%dl, %bl
	subb	%cl, %bl
	addb	%al, %ah /* the other row */
	js	1f
	cmpb	%ch, %ah
	jb	1f
	cmpb	%dh, %ah
	ja	1f
	movb	%cl, %al
	movzbw	%bl, %cx
	incw	%cx
	pushw	%di
	call	find_cell
	movw	%di, %si
	popw	%di
	pushw	%ds
	pushw	%es
	popw	%ds
	rep movsw
	popw	%ds
	popa
	ret
1:	movzbw	%bl, %cx
	incw	%cx
	movb	R_BH(%bp), %ah
	movb	$0x20, %al
	rep stosw
	popa
	ret

/* ES:BP, CX characters at DX: AL bit 0 moves the cursor, bit 1: there are attributes between them. */
video_string:
	pushw	D_CURSOR
	movw	R_DX(%bp), %dx
	call	place_cursor
	movw	8(%bp), %si /* BP */
	movw	R_CX(%bp), %cx
1:	jcxz	3f
	pushw	%cx
	pushw	%si
	movw	R_ES(%bp), %es
	movb	%es:(%si), %al
	call	teletype
	popw	%si
	popw	%cx
	incw	%si
	testb	$2, R_AL(%bp)
	jz	2f
	incw	%si
2:	decw	%cx
	jmp	1b
3:	popw	%ax
	testb	$1, R_AL(%bp)
	jnz	4f
	movw	%ax, D_CURSOR
4:	ret

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

/* --- INT 16h: keys, which are COM1's input --- */

int_16:
	SERVICE	key_functions
key_functions:
	FUNCTION 0x00, key_read
	FUNCTION 0x10, key_read
	FUNCTION 0x01, key_look
	FUNCTION 0x11, key_look
	FUNCTION 0x02, key_shift
	FUNCTION 0x12, key_shift
	FUNCTION 0x05, key_store
	OTHERS	nothing

/* Until there is one: asleep, if the timer's interrupt is open, which looks again 18 times a second. */
key_read:
	call	poll_keys
	movw	D_KEY_HEAD, %si
	cmpw	D_KEY_TAIL, %si
	jne	2f
	sti
	inb	$0x21, %al
	testb	$1, %al
	jnz	1f
	hlt
1:	cli
	jmp	key_read
2:	movw	(%si), %ax
	movw	%ax, R_AX(%bp)
	call	next_key
	movw	%si, D_KEY_HEAD
	ret

key_look:
	call	poll_keys
	movw	D_KEY_HEAD, %si
	cmpw	D_KEY_TAIL, %si
	je	1f
	movw	(%si), %ax
	movw	%ax, R_AX(%bp)
	andb	$~FLAG_ZF, R_FL(%bp)
	ret
1:	orb	$FLAG_ZF, R_FL(%bp)
	ret

key_shift:
	movb	D_SHIFT, %al
	movb	%al, R_AL(%bp)
	ret

key_store:	/* CX */
	movw	R_CX(%bp), %ax
	call	put_key
	movb	$0, R_AL(%bp)
	jnc	1f
	movb	$1, R_AL(%bp)
1:	ret

/* The place in the ring behind SI. */
next_key:
	addw	$2, %si
	cmpw	D_KEY_END, %si
	jb	1f
	movw	D_KEY_START, %si
1:	ret

/* AX into the ring; CF: there is no room. */
put_key:
	movw	D_KEY_TAIL, %di
	movw	%di, %si
	call	next_key
	cmpw	D_KEY_HEAD, %si
	stc
	je	1f
	movw	%ax, (%di)
	movw	%si, D_KEY_TAIL
	clc
1:	ret

/* What COM1 has received, as long as there is room. */
poll_keys:
	movw	D_KEY_TAIL, %si
	call	next_key
	cmpw	D_KEY_HEAD, %si
	je	1f
	call	read_status
	testb	$1, %ah
	jz	1f
	movw	$COM1, %dx
	inb	%dx, %al
	call	make_key
	call	put_key
	jmp	poll_keys
1:	ret

/* AL: what a terminal sends; AX: what a keyboard's BIOS makes of that key. */
make_key:
	cmpb	$0x7f, %al
	jne	1f
	movb	$8, %al
1:	movzbw	%al, %bx
	xorb	%ah, %ah
	cmpb	$0x80, %al
	jae	2f
	movb	%cs:scan_codes(%bx), %ah
2:	ret

/* By character, of a keyboard of the US. */
scan_codes:
	.byte	0x03, 0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x0e, 0x0f, 0x24, 0x25, 0x26, 0x1c, 0x31, 0x18
	.byte	0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c, 0x01, 0x2b, 0x1b, 0x07, 0x0c
	.byte	0x39, 0x02, 0x28, 0x04, 0x05, 0x06, 0x08, 0x28, 0x0a, 0x0b, 0x09, 0x0d, 0x33, 0x0c, 0x34, 0x35
	.byte	0x0b, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x27, 0x27, 0x33, 0x0d, 0x34, 0x35
	.byte	0x03, 0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31, 0x18
	.byte	0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c, 0x1a, 0x2b, 0x1b, 0x07, 0x0c
	.byte	0x29, 0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31, 0x18
	.byte	0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c, 0x1a, 0x2b, 0x1b, 0x29, 0x0e

/* --- INT 17h: no printer --- */

int_17:
	movb	$0x01, %ah
	iret

/* --- INT 18h, 19h: nothing to boot from --- */

int_18:
	ljmp	$0xffff, $0

/* --- INT 1Ah: the time --- */

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

clock_get:	/* CH, CL, DH; DL: daylight saving */
	call	cmos_settle
	movb	$4, %al
	call	cmos
	movb	%al, R_CX + 1(%bp)
	movb	$2, %al
	call	cmos
	movb	%al, R_CX(%bp)
	xorb	%al, %al
	call	cmos
	movb	%al, R_DX + 1(%bp)
	movb	$0xb, %al
	call	cmos
	andb	$1, %al
	movb	%al, R_DX(%bp)
	jmp	done

date_get:	/* CH the century, CL, DH, DL */
	call	cmos_settle
	movb	$0x32, %al
	call	cmos
	movb	%al, R_CX + 1(%bp)
	movb	$9, %al
	call	cmos
	movb	%al, R_CX(%bp)
	movb	$8, %al
	call	cmos
	movb	%al, R_DX + 1(%bp)
	movb	$7, %al
	call	cmos
	movb	%al, R_DX(%bp)
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
