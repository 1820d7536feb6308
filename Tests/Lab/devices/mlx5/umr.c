// SPDX-License-Identifier: GPL-2.0
/* UMR: a WQE that changes the pages of a memory key. The driver fills a striding receive
 * queue this way. Only the simplest form is supported, a list of pages inside the WQE.
 */
#include "mlx5.h"

#define CX_MTT_ADDRESS	GENMASK_ULL(63, 3)

bool cx_umr(struct lab_device *dev, struct cx_sq *sq, const u8 *wqe, u32 len)
{
	const struct mlx5_wqe_ctrl_seg *control = (const void *)wqe;
	const struct mlx5_wqe_umr_ctrl_seg *umr = (const void *)(control + 1);
	const u8 *list = (const u8 *)(umr + 1) + sizeof(struct mlx5_mkey_seg);
	struct cx_mkey *key;
	u64 first;
	u32 n, i;

	if (len < list - wqe || !sq->umr || !(umr->flags & MLX5_UMR_INLINE))
		return false;
	key = cx_mkey_of(dev, control->umr_mkey);
	if (!key || key->mode != MLX5_MKC_ACCESS_MODE_MTT)
		return false;
	/* Octowords of two entries each. */
	n = be16_to_cpu(umr->xlt_octowords) * 2;
	first = (be16_to_cpu(umr->xlt_offset) |
		 (u64)be32_to_cpu(umr->xlt_offset_47_16) << 16) * 2;
	if (list - wqe + 8ULL * n > len || first + n > key->pages)
		return false;
	for (i = 0; i < n; i++)
		key->page[first + i] = get_unaligned_be64(list + 8 * i) & CX_MTT_ADDRESS;
	sq->umrs++;
	return true;
}
