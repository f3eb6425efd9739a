/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A boot loader in one sector, for Umbra on an emulated disk: what GRUB needs 13 instructions a
 * byte for is `rep insl` here. bootdisk.py has laid out everything on the disk, and written a list
 * of what goes where into the second sector; left to do are the BIOS's memory map, protected mode,
 * and Multiboot 0.6.96's entry state.
 */
#define TABLE	    0x7e00 /* the second sector, in memory */
#define MAP	    0x8000
#define MAP_END	    0x9000
#define SMAP	    0x534d4150
#define MAP_ENTRY   20

/* The table: bootdisk.py. */
#define ENTRY	    0
#define INFO	    4
#define ZERO_BASE   8
#define ZERO_WORDS  12
#define LOADS	    16 /* address, first sector, sectors; the last has none */
#define LOAD_SIZE   12

#define INFO_MMAP_LENGTH 44
#define MB1_LOADER_MAGIC 0x2badb002

/* The first ATA channel's registers, and bits (ATA-4). */
#define ATA_DATA    0x1f0
#define ATA_COUNT   0x1f2
#define ATA_LBA	    0x1f3 /* and the two behind */
#define ATA_DEVICE  0x1f6
#define ATA_COMMAND 0x1f7 /* status when read */
#define ATA_CONTROL 0x3f6
#define LBA_MODE    0xe0
#define NO_IRQ	    0x02
#define READ	    0x20
#define BUSY	    0x80
#define FAULT	    0x21
#define DATA_READY  0x08

#define FAST_A20    0x92
#define SHUTDOWN    0x8900 /* ends Bochs */

	.code16
	.text
	.global start
start:
	ljmp	$0, $1f
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	cld
	movw	$0x0201, %ax		/* int 13h: one sector, cylinder 0, head 0, sector 2 */
	movw	$TABLE, %bx
	movw	$0x0002, %cx
	movb	$0, %dh
	int	$0x13
	jc	fail16

	/* The memory map as Multiboot wants it: each entry behind its size. */
	xorl	%ebx, %ebx
	movw	$MAP, %di
2:	movl	$MAP_ENTRY, (%di)
	addw	$4, %di
	movl	$0xe820, %eax
	movl	$MAP_ENTRY, %ecx
	movl	$SMAP, %edx
	int	$0x15
	jc	3f
	addw	$MAP_ENTRY, %di
	cmpw	$MAP_END, %di
	jae	fail16
	testl	%ebx, %ebx
	jnz	2b
	addw	$4, %di
3:	subw	$(MAP + 4), %di		/* the size without an entry does not count */

	movl	$protected, %esi
	jmp	1f
fail16:
	movl	$fail, %esi
1:	cli
	inb	$FAST_A20, %al
	orb	$2, %al
	outb	%al, $FAST_A20
	lgdtl	gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $1f

	.code32
1:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x7c00, %esp
	jmp	*%esi

protected:
	movzwl	%di, %ebp		/* bytes of the memory map */
	movw	$ATA_CONTROL, %dx
	movb	$NO_IRQ, %al
	outb	%al, %dx
	movl	$(TABLE + LOADS), %esi
next_load:
	movl	8(%esi), %ecx
	jecxz	done
	movl	(%esi), %edi
	movl	4(%esi), %ebx
next_command:
	call	read
	testl	%ecx, %ecx
	jnz	next_command
	addl	$LOAD_SIZE, %esi
	jmp	next_load

done:
	movl	TABLE + ZERO_BASE, %edi
	movl	TABLE + ZERO_WORDS, %ecx
	xorl	%eax, %eax
	rep	stosl
	movl	TABLE + INFO, %ebx
	movl	%ebp, INFO_MMAP_LENGTH(%ebx)
	movl	$MB1_LOADER_MAGIC, %eax
	jmp	*TABLE + ENTRY

/* Up to 256 of the ecx sectors from ebx to edi; all three go on. Changes eax, edx. */
read:
	movl	%ebx, %eax
	movw	$ATA_LBA, %dx
	outb	%al, %dx
	shrl	$8, %eax
	incl	%edx
	outb	%al, %dx
	shrl	$8, %eax
	incl	%edx
	outb	%al, %dx
	shrl	$8, %eax
	orb	$LBA_MODE, %al
	incl	%edx
	outb	%al, %dx
	movw	$ATA_COUNT, %dx
	movl	$256, %eax
	cmpl	%eax, %ecx
	jae	1f
	movl	%ecx, %eax
1:	outb	%al, %dx		/* 0 means 256 */
	addl	%eax, %ebx
	subl	%eax, %ecx
	pushl	%ecx
	pushl	%eax
	movw	$ATA_COMMAND, %dx
	movb	$READ, %al
	outb	%al, %dx
next_sector:
	movw	$ATA_COMMAND, %dx
2:	inb	%dx, %al
	testb	$BUSY, %al
	jnz	2b
	testb	$FAULT, %al
	jnz	fail
	testb	$DATA_READY, %al
	jz	2b
	movw	$ATA_DATA, %dx
	movl	$(512 / 4), %ecx
	rep	insl
	decl	(%esp)
	jnz	next_sector
	popl	%eax
	popl	%ecx
	ret

fail:
	movl	$shutdown, %esi
	movw	$SHUTDOWN, %dx
	movl	$(shutdown_end - shutdown), %ecx
	rep	outsb
4:	hlt
	jmp	4b

shutdown:
	.ascii	"Shutdown"
shutdown_end:
	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.org	510
	.word	0xaa55
