// SPDX-License-Identifier: GPL-2.0
/* Chooses the queue of a TIR for a packet. */
#include "mlx5.h"

/* The hashed fields, as a CQE reports them. */
#define CX_HASHED_IPV4	(CQE_RSS_IPV4 << 2)
#define CX_HASHED_IPV6	(CQE_RSS_IPV6 << 2)
#define CX_HASHED_TCP	(CQE_RSS_L4_TCP << 6)
#define CX_HASHED_UDP	(CQE_RSS_L4_UDP << 6)
#define CX_INPUT_MAX	36	/* two IPv6 addresses and two ports */

/* The source and the destination, of @each bytes at @from, if selected. A symmetric hash
 * covers a value that stays the same when they are exchanged.
 */
static u32 cx_input_add(u8 *to, const u8 *from, u32 each, bool source, bool destination,
			bool symmetric)
{
	const u8 *other = from + each;
	u32 n = 0, i;

	if (source)
		for (i = 0; i < each; i++)
			to[n++] = symmetric ? from[i] | other[i] : from[i];
	if (destination)
		for (i = 0; i < each; i++)
			to[n++] = symmetric ? from[i] ^ other[i] : other[i];
	return n;
}

static u32 cx_input(const struct cx_tir *tir, const struct lab_packet *packet,
		    u8 input[CX_INPUT_MAX], u8 *hashed)
{
	u32 fields = tir->fields, each, n;
	const u8 *addresses = lab_addresses(packet, &each);

	n = cx_input_add(input, addresses, each, fields & MLX5_HASH_FIELD_SEL_SRC_IP,
			 fields & MLX5_HASH_FIELD_SEL_DST_IP, tir->symmetric);
	if (n)
		*hashed = packet->ip_version == 6 ? CX_HASHED_IPV6 : CX_HASHED_IPV4;
	if (!lab_has_ports(packet) ||
	    !(fields & (MLX5_HASH_FIELD_SEL_L4_SPORT | MLX5_HASH_FIELD_SEL_L4_DPORT)))
		return n;
	*hashed |= lab_is_tcp(packet) ? CX_HASHED_TCP : CX_HASHED_UDP;
	return n + cx_input_add(input + n, lab_ports(packet), sizeof(__be16),
				fields & MLX5_HASH_FIELD_SEL_L4_SPORT,
				fields & MLX5_HASH_FIELD_SEL_L4_DPORT, tir->symmetric);
}

static u32 cx_hash(const struct cx_tir *tir, const u8 *input, u32 len)
{
	u8 sum = 0;
	u32 i;

	if (tir->function == MLX5_RX_HASH_FN_TOEPLITZ)
		return lab_toeplitz(tir->key, input, len);
	if (tir->function == MLX5_RX_HASH_FN_NONE)
		return 0;
	for (i = 0; i < len; i++)
		sum ^= input[i];
	return (u8)~sum;
}

struct cx_rq *cx_tir_queue(const struct cx_tir *tir, const struct lab_packet *packet,
			   struct cx_arrival *a)
{
	u8 input[CX_INPUT_MAX];
	u32 len;

	a->hash = 0;
	a->hash_type = 0;
	if (!tir->indirect)
		return tir->rq;
	if (packet->ip_version && tir->fields) {
		len = cx_input(tir, packet, input, &a->hash_type);
		a->hash = cx_hash(tir, input, len);
	}
	return tir->rqt->rq[a->hash % tir->rqt->entries];
}
