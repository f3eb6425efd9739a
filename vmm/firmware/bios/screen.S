/* SPDX-License-Identifier: BSD-2-Clause */
/* INT 10h: the screen, which is memory and no more, and the teletype, which is COM1 as well. */
#include "vmm/firmware/bios/frame.inc"

	.code16
	.text
	.globl	int_10, clear_screen

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
