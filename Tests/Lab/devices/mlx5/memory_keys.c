// SPDX-License-Identifier: GPL-2.0
/* Memory keys translate addresses in WQEs. One kind uses bus addresses unchanged, the
 * other a list of pages that send queues can change.
 */
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		5
/* The lowest bits of an entry are flags. */
#define CX_MTT_ADDRESS	GENMASK_ULL(63, 3)

static u8 cx_mkey_pages(struct lab_device *dev, struct cx_message *m, struct cx_mkey *key)
{
	const u8 *list = MLX5_ADDR_OF(create_mkey_in, m->in, klm_pas_mtt);
	u32 listed = MLX5_GET(create_mkey_in, m->in, translations_octword_actual_size);
	u32 have = (m->in_len - MLX5_ST_SZ_BYTES(create_mkey_in)) / sizeof(u64), i;

	/* An octoword holds two entries. */
	if (key->pages > SZ_16M || listed > key->pages / 2 || listed * 2 > have)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (key->shift < MLX5_ADAPTER_PAGE_SHIFT || key->shift > 30)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	key->page = kvcalloc(key->pages, sizeof(*key->page), GFP_KERNEL);
	if (!key->page)
		return CX_REFUSE(m, NO_RES_ERR);
	for (i = 0; i < listed * 2; i++)
		key->page[i] = get_unaligned_be64(list + 8 * i) & CX_MTT_ADDRESS;
	return 0;
}

u8 cx_create_mkey(struct lab_device *dev, struct cx_message *m)
{
	const u8 *context = MLX5_ADDR_OF(create_mkey_in, m->in, memory_key_mkey_entry);
	struct cx_object *domain = cx_find(dev, CX_PD, MLX5_GET(mkc, context, pd));
	u8 mode = MLX5_GET(mkc, context, access_mode_1_0) |
		  MLX5_GET(mkc, context, access_mode_4_2) << 2, status;
	struct cx_mkey *key;

	if (!domain)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (mode != MLX5_MKC_ACCESS_MODE_PA && mode != MLX5_MKC_ACCESS_MODE_MTT)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	key = cx_create(dev, m, CX_MKEY, &status);
	if (!key)
		return status;
	key->domain = domain;
	cx_hold(domain);
	key->mode = mode;
	key->shift = MLX5_GET(mkc, context, log_page_size);
	key->start = MLX5_GET64(mkc, context, start_addr);
	key->pages = min_t(u64, 2ULL * MLX5_GET(mkc, context, translations_octword_size), U32_MAX);
	if (mode == MLX5_MKC_ACCESS_MODE_MTT)
		status = cx_mkey_pages(dev, m, key);
	if (status)
		cx_discard(dev, CX_MKEY, key);
	return status;
}

u8 cx_destroy_mkey(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_MKEY, MLX5_GET(destroy_mkey_in, m->in, mkey_index));
}

void cx_mkey_release(struct lab_device *dev, void *object)
{
	struct cx_mkey *key = object;

	cx_let_go(key->domain);
	kvfree(key->page);
}

struct cx_mkey *cx_mkey_of(struct lab_device *dev, __be32 key)
{
	return cx_find(dev, CX_MKEY, be32_to_cpu(key) >> 8);
}

void *cx_mkey_at(struct lab_device *dev, const struct cx_mkey *key, u64 address, u32 *room)
{
	u64 offset = address - key->start, within;

	if (key->mode == MLX5_MKC_ACCESS_MODE_PA) {
		*room = PAGE_SIZE - offset_in_page(address);
		return lab_memory(dev, address, *room);
	}
	if (offset >> key->shift >= key->pages || !key->page[offset >> key->shift])
		return NULL;
	within = offset & ((1ULL << key->shift) - 1);
	*room = (1U << key->shift) - within;
	return lab_memory(dev, key->page[offset >> key->shift] + within, *room);
}

bool cx_mkey_write(struct lab_device *dev, const struct cx_mkey *key, u64 address,
		   const u8 *from, u32 len)
{
	u32 n, room;

	for (; len; len -= n, from += n, address += n) {
		u8 *to = cx_mkey_at(dev, key, address, &room);

		if (!to)
			return false;
		n = min(len, room);
		memcpy(to, from, n);
	}
	return true;
}

bool cx_mkey_take(struct lab_device *dev, const struct cx_mkey *key, u64 address,
		  struct lab_packet *packet, u32 len, u32 *done, __wsum *sum)
{
	u32 n, room;

	for (; len; len -= n, address += n) {
		u8 *to = cx_mkey_at(dev, key, address, &room);

		if (!to)
			return false;
		n = min(len, room);
		*sum = csum_block_add(*sum, lab_copy_sum(packet, to, n), *done);
		*done += n;
	}
	return true;
}
