// SPDX-License-Identifier: GPL-2.0
/* A queue's memory: the driver gives it as a list of pages. */
#include <linux/slab.h>

#include "mlx5.h"

bool cx_ring_create(struct lab_device *dev, struct cx_ring *ring, const void *pages,
		    u32 listed, u32 bytes, u32 log_page)
{
	u32 i;

	ring->shift = MLX5_ADAPTER_PAGE_SHIFT + log_page;
	if (ring->shift > 30 || !bytes || bytes > SZ_1G)
		return false;
	ring->pages = DIV_ROUND_UP(bytes, 1U << ring->shift);
	if (ring->pages > listed)
		return false;
	ring->page = kvcalloc(ring->pages, sizeof(*ring->page), GFP_KERNEL);
	if (!ring->page)
		return false;
	for (i = 0; i < ring->pages; i++) {
		u64 address = get_unaligned_be64(pages + 8 * i);

		/* The lowest bits are flags; a small ring may fill only a part of its page. */
		ring->page[i] = lab_memory(dev, address & ~0xfffULL,
					   min(bytes, 1U << ring->shift));
		if (!ring->page[i])
			return false;
	}
	return true;
}

void cx_ring_destroy(struct cx_ring *ring)
{
	kvfree(ring->page);
	ring->page = NULL;
}

void *cx_ring_at(const struct cx_ring *ring, u32 offset)
{
	return ring->page[offset >> ring->shift] + (offset & ((1U << ring->shift) - 1));
}
