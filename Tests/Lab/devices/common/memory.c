// SPDX-License-Identifier: GPL-2.0
/* The guest's memory as a device sees it. There is no IOMMU, so a bus address is a
 * physical one, and the processor does the device's DMA, also to the pages of dma-bufs.
 */
#include <linux/bitmap.h>
#include <linux/dma-direct.h>
#include <linux/ioport.h>
#include <linux/memblock.h>
#include <linux/mm.h>

#include "device.h"
#include "memory.h"

/* The bitmap of memory has a bit for each chunk of this size that is all RAM. */
#define LAB_CHUNK	SZ_2M

static unsigned long *lab_chunks;
static u64 lab_chunk_count;

static bool lab_is_ram(u64 start, u64 len)
{
	return region_intersects(start, len, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) ==
	       REGION_INTERSECTS;
}

/* Asking the kernel for each part of a packet would take longer than copying it. */
int lab_memory_create(void)
{
	u64 i;

	lab_chunk_count = DIV_ROUND_UP((u64)get_num_physpages() << PAGE_SHIFT, LAB_CHUNK) +
			  SZ_4G / LAB_CHUNK;
	lab_chunks = bitmap_zalloc(lab_chunk_count, GFP_KERNEL);
	if (!lab_chunks)
		return -ENOMEM;
	for (i = 0; i < lab_chunk_count; i++)
		if (lab_is_ram(i * LAB_CHUNK, LAB_CHUNK))
			__set_bit(i, lab_chunks);
	return 0;
}

void lab_memory_destroy(void)
{
	bitmap_free(lab_chunks);
}

static bool lab_masters_bus(const struct lab_device *dev)
{
	return dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

void *lab_memory(struct lab_device *dev, u64 address, u64 len)
{
	u64 start, chunk;

	if (!len || len > SZ_1G || !dev->pci || !lab_masters_bus(dev))
		return NULL;
	start = dma_to_phys(&dev->pci->dev, address);
	if (start + len < start)
		return NULL;
	for (chunk = start / LAB_CHUNK; chunk * LAB_CHUNK < start + len; chunk++)
		if (chunk >= lab_chunk_count || !test_bit(chunk, lab_chunks))
			return lab_is_ram(start, len) ? phys_to_virt(start) : NULL;
	return phys_to_virt(start);
}
