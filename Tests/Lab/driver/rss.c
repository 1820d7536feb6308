// SPDX-License-Identifier: GPL-2.0
/* Receive side scaling: Toeplitz hash, indirection tables and contexts. */
#include <linux/ethtool.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "labnic.h"

/* Source and destination address and port of IPv6. */
#define LABNIC_HASH_INPUT	36

/* Constant once published: a new setting is a new object. */
struct labnic_rss {
	struct rcu_head	rcu;
	u8		key[LABNIC_MAX_KEY_SIZE];
	u8		input_xfrm;
	u8		hfunc;
	/* The hash of each value of each half byte of the input. */
	u32		half[LABNIC_HASH_INPUT * 2][16];
	u32		size;
	u32		indir[] __counted_by(size);
};

static u32 labnic_indir_size(const struct labnic_port *end, unsigned int queues)
{
	return labnic_rss_entries ?: end->manners->indir_size(queues);
}

/* Entry i is entry i % @old_size of @indir. */
static struct labnic_rss *labnic_rss_new(const u32 *indir, u32 old_size,
					 u32 size, const u8 *key, u8 hfunc,
					 u8 input_xfrm)
{
	unsigned int pos, value, bit, i;
	struct labnic_rss *rss;
	u32 window;

	rss = kzalloc(struct_size(rss, indir, size), GFP_KERNEL);
	if (!rss)
		return NULL;
	rss->size = size;
	for (i = 0; i < size; i++)
		rss->indir[i] = indir[i % old_size];
	memcpy(rss->key, key, sizeof(rss->key));
	rss->input_xfrm = input_xfrm;
	rss->hfunc = hfunc;

	for (pos = 0; pos < LABNIC_HASH_INPUT * 8; pos++) {
		const u8 *at = rss->key + pos / 8;

		/* The 32 bits of the key that start at bit pos. */
		window = get_unaligned_be32(at) << (pos % 8);
		if (pos % 8)
			window |= at[4] >> (8 - pos % 8);
		bit = 8 >> (pos % 4);
		for (value = 0; value < 16; value++)
			if (value & bit)
				rss->half[pos / 4][value] ^= window;
	}
	return rss;
}

/* Hashes @len bytes, a multiple of 4, from byte @pos of the input on. */
static u32 labnic_hash(const struct labnic_rss *rss, unsigned int pos,
		       const void *data, unsigned int len)
{
	const u8 *byte = data;
	u32 hash = 0;

	if (unlikely(rss->hfunc == ETH_RSS_HASH_XOR)) {
		for (; len; byte += 4, len -= 4)
			hash ^= get_unaligned_be32(byte);
		return hash;
	}
	for (pos *= 2; len--; byte++, pos += 2)
		hash ^= rss->half[pos][*byte >> 4] ^
			rss->half[pos + 1][*byte & 15];
	return hash;
}

/* RXH_XFRM_SYM_OR_XOR: both directions of a flow get the same input. */
static void labnic_make_symmetric(struct labnic_flow *flow)
{
	unsigned int i;
	__be32 both;
	__be16 port;

	for (i = 0; i < ARRAY_SIZE(flow->src); i++) {
		both = flow->src[i] | flow->dst[i];
		flow->dst[i] ^= flow->src[i];
		flow->src[i] = both;
	}
	port = flow->sport | flow->dport;
	flow->dport ^= flow->sport;
	flow->sport = port;
}

/* Hashes the packet, stores the hash, and returns the queue. */
u32 labnic_rss_pick(struct labnic_port *end, u32 context, struct sk_buff *skb,
		    const struct labnic_flow *flow)
{
	struct labnic_cb *cb = LABNIC_CB(skb);
	const struct labnic_rss *rss;
	struct labnic_flow symmetric;
	unsigned int address;

	rss = rcu_dereference_bh(end->rss[context]);
	if (unlikely(!rss))
		rss = rcu_dereference_bh(end->rss[0]);
	if (unlikely(rss->input_xfrm & RXH_XFRM_SYM_OR_XOR)) {
		symmetric = *flow;
		labnic_make_symmetric(&symmetric);
		flow = &symmetric;
	}

	cb->hash = 0;
	cb->hash_type = PKT_HASH_TYPE_NONE;
	if (flow->l3_proto) {
		address = cb->ipv6 ? 16 : 4;
		cb->hash = labnic_hash(rss, 0, flow->src, address) ^
			   labnic_hash(rss, address, flow->dst, address);
		cb->hash_type = PKT_HASH_TYPE_L3;
	}
	if (cb->l4_off) {
		cb->hash ^= labnic_hash(rss, address * 2, &flow->sport, 4);
		cb->hash_type = PKT_HASH_TYPE_L4;
	}
	return rss->indir[cb->hash % rss->size];
}

static struct labnic_rss *labnic_rss_get(struct labnic_port *end, u32 context)
{
	return rcu_dereference_protected(end->rss[context],
					 labnic_is_guarded(end));
}

static void labnic_rss_publish(struct labnic_port *end, u32 context,
			       struct labnic_rss *rss)
{
	struct labnic_rss *old = labnic_rss_get(end, context);

	rcu_assign_pointer(end->rss[context], rss);
	if (old)
		kfree_rcu(old, rcu);
}

static void labnic_rss_fill(struct labnic_rss *rss, unsigned int queues)
{
	u32 i;

	for (i = 0; i < rss->size; i++)
		rss->indir[i] = ethtool_rxfh_indir_default(i, queues);
}

/* Absent parts stay as they are; a context starts from the main table, or with
 * one of its own, as the manners have it.
 */
static int labnic_rss_set(struct labnic_port *end, u32 context,
			  const u32 *indir, const u8 *new_key, u8 hfunc,
			  u8 input_xfrm)
{
	bool fresh = !labnic_rss_get(end, context);
	u8 key[LABNIC_MAX_KEY_SIZE] = {};
	struct labnic_rss *old, *rss;

	old = labnic_rss_get(end, fresh ? 0 : context);
	memcpy(key, new_key ?: old->key, end->manners->key_size);
	rss = labnic_rss_new(indir ?: old->indir, old->size, old->size, key,
			     hfunc ?: old->hfunc,
			     input_xfrm == RXH_XFRM_NO_CHANGE ?
			     old->input_xfrm : input_xfrm);
	if (!rss)
		return -ENOMEM;
	if (fresh && !indir && end->manners->context_spread)
		labnic_rss_fill(rss, end->dev->real_num_rx_queues);
	labnic_rss_publish(end, context, rss);
	return 0;
}

static int labnic_rss_spread(struct labnic_port *end, unsigned int queues)
{
	struct labnic_rss *rss, *old = labnic_rss_get(end, 0);

	rss = labnic_rss_new(old->indir, old->size,
			     labnic_indir_size(end, queues), old->key,
			     old->hfunc, old->input_xfrm);
	if (!rss)
		return -ENOMEM;
	labnic_rss_fill(rss, queues);
	labnic_rss_publish(end, 0, rss);
	return 0;
}

/* A larger table repeats the old one; a smaller one is its first part. */
static int labnic_rss_resize(struct labnic_port *end, u32 context, u32 size)
{
	struct labnic_rss *rss, *old = labnic_rss_get(end, context);

	if (!old || old->size == size)
		return 0;
	rss = labnic_rss_new(old->indir, old->size, size, old->key,
			     old->hfunc, old->input_xfrm);
	if (!rss)
		return -ENOMEM;
	labnic_rss_publish(end, context, rss);
	return 0;
}

/* Whether the present tables allow this number of receive queues. */
int labnic_rss_check_channels(struct labnic_port *end, unsigned int queues)
{
	struct labnic_rss *rss = labnic_rss_get(end, 0);
	u32 size = labnic_indir_size(end, queues);

	if (size == rss->size)
		return 0;
	if (!ethtool_rxfh_indir_can_resize(end->dev, rss->indir, rss->size,
					   size))
		return -EINVAL;
	return ethtool_rxfh_ctxs_can_resize(end->dev, size);
}

/* Spreads again a table that nobody has set; gives others their new size. */
int labnic_rss_follow_channels(struct labnic_port *end, unsigned int queues)
{
	u32 old = labnic_rss_get(end, 0)->size;
	u32 i, size = labnic_indir_size(end, queues);
	int err = 0;

	for (i = 1; i < LABNIC_MAX_CONTEXTS && !err; i++)
		err = labnic_rss_resize(end, i, size);
	if (!err)
		err = netif_is_rxfh_configured(end->dev) ?
		      labnic_rss_resize(end, 0, size) :
		      labnic_rss_spread(end, queues);
	if (!err && size != old)
		ethtool_rxfh_ctxs_resize(end->dev, size);
	return err;
}

int labnic_rss_init(struct labnic_port *end)
{
	u8 key[LABNIC_MAX_KEY_SIZE] = {};
	struct labnic_rss *rss;
	u32 none = 0;

	/* An older core has only 52 bytes; hashing needs fewer. */
	netdev_rss_key_fill(key, min(sizeof(key), NETDEV_RSS_KEY_LEN));
	rss = labnic_rss_new(&none, 1, 1, key, ETH_RSS_HASH_TOP,
			     end->manners->input_xfrm);
	if (!rss)
		return -ENOMEM;
	labnic_rss_publish(end, 0, rss);
	return labnic_rss_spread(end, end->dev->real_num_rx_queues);
}

void labnic_rss_destroy(struct labnic_port *end)
{
	u32 i;

	for (i = 0; i < LABNIC_MAX_CONTEXTS; i++)
		labnic_rss_publish(end, i, NULL);
}

static int labnic_rss_refuse(struct labnic_port *end,
			     struct netlink_ext_ack *extack)
{
	if (!labnic_fault_refuse(end, LABNIC_FAIL_RSS_SET))
		return 0;
	NL_SET_ERR_MSG(extack, "RSS change refused by fail_rss_set");
	return -EIO;
}

static int labnic_rss_check(struct labnic_port *end,
			    const struct ethtool_rxfh_param *rxfh,
			    struct netlink_ext_ack *extack)
{
	const struct labnic_manners *manners = end->manners;
	int err = 0;

	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE &&
	    rxfh->hfunc != ETH_RSS_HASH_TOP &&
	    !(manners->xor_hash && rxfh->hfunc == ETH_RSS_HASH_XOR))
		err = labnic_refuse(extack, rxfh->rss_context ?
				    &manners->wrong_hash_context :
				    &manners->wrong_hash);
	if (!err && rxfh->rss_context && !netif_running(end->dev))
		err = labnic_refuse(extack, &manners->context_down);
	return err ?: labnic_rss_refuse(end, extack);
}

u32 labnic_get_rxfh_key_size(struct net_device *dev)
{
	return ((struct labnic_port *)netdev_priv(dev))->manners->key_size;
}

u32 labnic_get_rxfh_indir_size(struct net_device *dev)
{
	return labnic_rss_get(netdev_priv(dev), 0)->size;
}

int labnic_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_rss *rss = labnic_rss_get(end, 0);

	rxfh->hfunc = rss->hfunc;
	rxfh->input_xfrm = rss->input_xfrm;
	if (end->manners->table_hidden_down && !netif_running(dev))
		return 0;
	if (rxfh->indir)
		memcpy(rxfh->indir, rss->indir,
		       array_size(rss->size, sizeof(u32)));
	if (rxfh->key)
		memcpy(rxfh->key, rss->key, end->manners->key_size);
	return 0;
}

static int labnic_rss_change(struct labnic_port *end, u32 context,
			     const struct ethtool_rxfh_param *rxfh,
			     struct netlink_ext_ack *extack)
{
	int err;

	err = labnic_rss_check(end, rxfh, extack);
	if (err)
		return err;
	/* Without values, creates a new context and changes no other. */
	if (labnic_fault_take(end, LABNIC_IGNORE_RSS_SET))
		return labnic_rss_set(end, context, NULL, NULL,
				      ETH_RSS_HASH_NO_CHANGE,
				      RXH_XFRM_NO_CHANGE);
	return labnic_rss_set(end, context, rxfh->indir, rxfh->key,
			      rxfh->hfunc, rxfh->input_xfrm);
}

int labnic_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		    struct netlink_ext_ack *extack)
{
	struct labnic_port *end = netdev_priv(dev);
	int err;

	err = labnic_rss_change(end, 0, rxfh, extack);
	if (err)
		return err;
	labnic_close_for(end, LABNIC_SET_RSS);
	return labnic_reopen_after(end);
}

int labnic_get_rxfh_fields(struct net_device *dev,
			   struct ethtool_rxfh_fields *fields)
{
	fields->data = 0;
	switch (fields->flow_type) {
	case TCP_V4_FLOW:
	case UDP_V4_FLOW:
	case TCP_V6_FLOW:
	case UDP_V6_FLOW:
		fields->data |= RXH_L4_B_0_1 | RXH_L4_B_2_3;
		fallthrough;
	case IPV4_FLOW:
	case IPV6_FLOW:
	case SCTP_V4_FLOW:
	case SCTP_V6_FLOW:
	case AH_ESP_V4_FLOW:
	case AH_ESP_V6_FLOW:
		fields->data |= RXH_IP_SRC | RXH_IP_DST;
		return 0;
	default:
		return -EINVAL;
	}
}

int labnic_create_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx,
			       const struct ethtool_rxfh_param *rxfh,
			       struct netlink_ext_ack *extack)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_rss *rss;
	int err;

	if (labnic_fault_value(end, LABNIC_NO_RSS_CONTEXTS)) {
		NL_SET_ERR_MSG(extack, "RSS contexts are not supported");
		return -EOPNOTSUPP;
	}
	err = labnic_rss_change(end, rxfh->rss_context, rxfh, extack);
	if (err)
		return err;

	/* The core reports what ctx contains. */
	rss = labnic_rss_get(end, rxfh->rss_context);
	ctx->hfunc = rss->hfunc;
	ctx->input_xfrm = rss->input_xfrm;
	memcpy(ethtool_rxfh_context_indir(ctx), rss->indir,
	       array_size(rss->size, sizeof(u32)));
	memcpy(ethtool_rxfh_context_key(ctx), rss->key, end->manners->key_size);
	return 0;
}

int labnic_modify_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx,
			       const struct ethtool_rxfh_param *rxfh,
			       struct netlink_ext_ack *extack)
{
	return labnic_rss_change(netdev_priv(dev), rxfh->rss_context, rxfh,
				 extack);
}

int labnic_remove_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx, u32 context,
			       struct netlink_ext_ack *extack)
{
	struct labnic_port *end = netdev_priv(dev);
	int err;

	err = labnic_rss_refuse(end, extack);
	if (err)
		return err;
	labnic_rss_publish(end, context, NULL);
	return 0;
}
