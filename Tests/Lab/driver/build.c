// SPDX-License-Identifier: GPL-2.0
/* The NIC's DMA: one copy from the sender's memory to the receiver's. Each may
 * be pages or a dma-buf.
 */
#include <net/page_pool/helpers.h>

#include "build.h"

static void *labnic_frag_va(struct labnic_port *end, const skb_frag_t *frag)
{
	dma_addr_t dma;

	if (!labnic_frag_is_dmabuf(frag, &dma))
		return skb_frag_address(frag);
	return labnic_dma_va(end, dma) + skb_frag_off(frag);
}

/* Advances over the contiguous part of the next @len bytes. */
static unsigned int labnic_source_step(struct labnic_source *src,
				       unsigned int len, const void **from)
{
	const skb_frag_t *frag;
	unsigned int size;

	if (src->frag < 0) {
		size = skb_headlen(src->skb);
		*from = src->skb->data + src->pos;
	} else {
		frag = &skb_shinfo(src->skb)->frags[src->frag];
		size = skb_frag_size(frag);
		*from = labnic_frag_va(src->end, frag) + src->pos;
	}
	len = min(len, size - src->pos);
	src->pos += len;
	if (src->pos == size) {
		src->pos = 0;
		src->frag++;
	}
	return len;
}

static void labnic_source_copy(struct labnic_source *src, void *to,
			       unsigned int len)
{
	const void *from;
	unsigned int n;

	for (; len; len -= n, to += n) {
		n = labnic_source_step(src, len, &from);
		memcpy(to, from, n);
	}
}

void labnic_source_skip(struct labnic_source *src, unsigned int len)
{
	const void *from;

	while (len)
		len -= labnic_source_step(src, len, &from);
}

/* Buffers larger than a packet are shared by packets, so that large pages do
 * not waste a page each.
 */
static bool labnic_fill_pool(struct labnic_rxq *rq, struct sk_buff *skb,
			     struct labnic_source *src,
			     const struct labnic_delivery *how)
{
	unsigned int max = PAGE_SIZE << how->pool->p.order;
	unsigned int left = how->payload - how->linear;
	unsigned int n, room, offset = 0;
	netmem_ref netmem = 0;
	dma_addr_t dma;
	u8 *to;
	int i;

	if (left)
		skb_mark_for_recycle(skb);
	for (i = 0; left; i++, left -= n) {
		if (unlikely(i == MAX_SKB_FRAGS))
			return false;
		if (unlikely(READ_ONCE(rq->end->faults.armed)) &&
		    labnic_fault_take(rq->end, LABNIC_FAIL_PAGE_POOL))
			return false;
		n = min(left, max);
		room = n;
		if (unlikely(how->reuse) && i == 1)
			page_pool_ref_netmem(netmem);
		else
			netmem = page_pool_dev_alloc_netmem(how->pool, &offset,
							    &room);
		if (unlikely(!netmem))
			return false;
		if (unlikely(how->leak) && !i)
			labnic_keep_netmem(rq->end, netmem);
		dma = page_pool_get_dma_addr_netmem(netmem) + offset;
		to = labnic_dma_va(rq->end, dma);
		if (unlikely(how->stale))
			labnic_source_skip(src, n);
		else
			labnic_source_copy(src, to, n);
		if (unlikely(how->corrupt) && !i)
			*to ^= 1;
		skb_add_rx_frag_netmem(skb, i, netmem, offset, n, room);
	}
	return true;
}

/* For the faults: pages outside a pool never merge with those of a pool. */
static struct sk_buff *labnic_build_plain(struct labnic_source *src,
					  const void *header,
					  const struct labnic_delivery *how)
{
	unsigned int data = how->payload;
	struct sk_buff *skb;
	int i, err;

	skb = alloc_skb_with_frags(NET_SKB_PAD + how->header, data,
				   PAGE_ALLOC_COSTLY_ORDER, &err, GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD);
	skb_put_data(skb, header, how->header);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		labnic_source_copy(src, skb_frag_address(frag),
				   skb_frag_size(frag));
		if (how->corrupt && !i)
			*(u8 *)skb_frag_address(frag) ^= 1;
	}
	skb->len += data;
	skb->data_len = data;
	return skb;
}

struct sk_buff *labnic_build(struct labnic_rxq *rq, struct labnic_source *src,
			     const void *header,
			     const struct labnic_delivery *how)
{
	unsigned int linear = how->header + how->linear;
	struct sk_buff *skb;

	if (unlikely(how->plain))
		return labnic_build_plain(src, header, how);

	/* A head that is a page fragment could be merged as a readable fragment
	 * into a packet of device memory, so payload beside the header of one
	 * calls for a head of another kind.
	 */
	if (unlikely(how->linear && how->split))
		skb = alloc_skb(linear, GFP_ATOMIC);
	else
		skb = napi_alloc_skb(&rq->napi, linear);
	if (unlikely(!skb))
		return NULL;

	skb_put_data(skb, header, how->header);
	if (how->linear) {
		if (unlikely(how->lose_linear)) {
			skb_put_zero(skb, how->linear);
			labnic_source_skip(src, how->linear);
		} else {
			labnic_source_copy(src, skb_put(skb, how->linear),
					   how->linear);
		}
		if (unlikely(how->corrupt) && how->linear == how->payload)
			skb->data[how->header] ^= 1;
	}
	if (!labnic_fill_pool(rq, skb, src, how)) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}
