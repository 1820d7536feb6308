// SPDX-License-Identifier: GPL-2.0
/* Receive side scaling: Toeplitz hash, indirection tables and contexts. */
#include <linux/ethtool.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <net/netdev_lock.h>

#include "labnic.h"

/* Source and destination address and port, of IPv6. */
#define LABNIC_HASH_INPUT	36

/* Never changed once published: a new setting is a new object. */
struct labnic_rss {
	struct rcu_head	rcu;
	u32		indir[LABNIC_INDIR_SIZE];
	u8		key[LABNIC_KEY_SIZE];
	/* What each value of each half byte of the input adds to the hash. */
	u32		half[LABNIC_HASH_INPUT * 2][16];
};

static struct labnic_rss *labnic_rss_new(const u32 *indir, const u8 *key)
{
	unsigned int pos, value, bit;
	struct labnic_rss *rss;
	u32 window;

	rss = kzalloc(sizeof(*rss), GFP_KERNEL);
	if (!rss)
		return NULL;
	memcpy(rss->indir, indir, sizeof(rss->indir));
	memcpy(rss->key, key, sizeof(rss->key));

	for (pos = 0; pos < LABNIC_HASH_INPUT * 8; pos++) {
		const u8 *at = key + pos / 8;

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

static u32 labnic_toeplitz(const struct labnic_rss *rss, unsigned int pos,
			   const void *data, unsigned int len)
{
	const u8 *byte = data;
	u32 hash = 0;

	for (pos *= 2; len--; byte++, pos += 2)
		hash ^= rss->half[pos][*byte >> 4] ^
			rss->half[pos + 1][*byte & 15];
	return hash;
}

/* Hashes the packet, notes the hash, and returns the queue it leads to. */
u32 labnic_rss_pick(struct labnic_end *end, u32 context, struct sk_buff *skb,
		    const struct labnic_flow *flow)
{
	struct labnic_cb *cb = LABNIC_CB(skb);
	const struct labnic_rss *rss;
	unsigned int address;

	rss = rcu_dereference_bh(end->rss[context]);
	if (unlikely(!rss))
		rss = rcu_dereference_bh(end->rss[0]);

	cb->hash = 0;
	cb->hash_type = PKT_HASH_TYPE_NONE;
	if (flow->l3_proto) {
		address = cb->ipv6 ? 16 : 4;
		cb->hash = labnic_toeplitz(rss, 0, flow->src, address) ^
			   labnic_toeplitz(rss, address, flow->dst, address);
		cb->hash_type = PKT_HASH_TYPE_L3;
	}
	if (cb->l4_off) {
		cb->hash ^= labnic_toeplitz(rss, address * 2, &flow->sport, 4);
		cb->hash_type = PKT_HASH_TYPE_L4;
	}
	return rss->indir[cb->hash % LABNIC_INDIR_SIZE];
}

static struct labnic_rss *labnic_rss_get(struct labnic_end *end, u32 context)
{
	return rcu_dereference_protected(end->rss[context], true);
}

static void labnic_rss_publish(struct labnic_end *end, u32 context,
			       struct labnic_rss *rss)
{
	struct labnic_rss *old = labnic_rss_get(end, context);

	rcu_assign_pointer(end->rss[context], rss);
	if (old)
		kfree_rcu(old, rcu);
}

/* Absent parts stay as they are; a context starts from the main table. */
static int labnic_rss_set(struct labnic_end *end, u32 context, const u32 *indir,
			  const u8 *key)
{
	struct labnic_rss *old, *rss;

	old = labnic_rss_get(end, context) ?: labnic_rss_get(end, 0);
	rss = labnic_rss_new(indir ?: old->indir, key ?: old->key);
	if (!rss)
		return -ENOMEM;
	labnic_rss_publish(end, context, rss);
	return 0;
}

int labnic_rss_spread(struct labnic_end *end, unsigned int queues)
{
	u32 indir[LABNIC_INDIR_SIZE];
	unsigned int i;

	for (i = 0; i < LABNIC_INDIR_SIZE; i++)
		indir[i] = ethtool_rxfh_indir_default(i, queues);
	return labnic_rss_set(end, 0, indir, NULL);
}

int labnic_rss_init(struct labnic_end *end)
{
	u32 indir[LABNIC_INDIR_SIZE] = {};
	u8 key[LABNIC_KEY_SIZE];
	struct labnic_rss *rss;

	netdev_rss_key_fill(key, sizeof(key));
	rss = labnic_rss_new(indir, key);
	if (!rss)
		return -ENOMEM;
	labnic_rss_publish(end, 0, rss);
	return labnic_rss_spread(end, end->dev->real_num_rx_queues);
}

void labnic_rss_destroy(struct labnic_end *end)
{
	u32 i;

	for (i = 0; i < LABNIC_CONTEXTS; i++)
		labnic_rss_publish(end, i, NULL);
}

static int labnic_rss_refuse(struct labnic_end *end,
			     struct netlink_ext_ack *extack)
{
	if (!labnic_fault_refuse(end, LABNIC_FAIL_RSS_SET))
		return 0;
	NL_SET_ERR_MSG(extack, "RSS change refused by fail_rss_set");
	return -EIO;
}

static int labnic_rss_check(struct labnic_end *end,
			    const struct ethtool_rxfh_param *rxfh,
			    struct netlink_ext_ack *extack)
{
	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE &&
	    rxfh->hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG(extack, "only the Toeplitz hash is supported");
		return -EOPNOTSUPP;
	}
	return labnic_rss_refuse(end, extack);
}

u32 labnic_get_rxfh_key_size(struct net_device *dev)
{
	return LABNIC_KEY_SIZE;
}

u32 labnic_get_rxfh_indir_size(struct net_device *dev)
{
	return LABNIC_INDIR_SIZE;
}

int labnic_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	struct labnic_end *end = netdev_priv(dev);
	struct labnic_rss *rss = labnic_rss_get(end, 0);

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	if (rxfh->indir)
		memcpy(rxfh->indir, rss->indir, sizeof(rss->indir));
	if (rxfh->key)
		memcpy(rxfh->key, rss->key, sizeof(rss->key));
	return 0;
}

static int labnic_rss_change(struct labnic_end *end, u32 context,
			     const struct ethtool_rxfh_param *rxfh,
			     struct netlink_ext_ack *extack)
{
	int err;

	err = labnic_rss_check(end, rxfh, extack);
	if (err)
		return err;
	/* Setting nothing makes a new context, and leaves others alone. */
	if (labnic_fault_take(end, LABNIC_IGNORE_RSS_SET))
		return labnic_rss_set(end, context, NULL, NULL);
	return labnic_rss_set(end, context, rxfh->indir, rxfh->key);
}

int labnic_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		    struct netlink_ext_ack *extack)
{
	return labnic_rss_change(netdev_priv(dev), 0, rxfh, extack);
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
	struct labnic_end *end = netdev_priv(dev);
	struct labnic_rss *rss;
	int err;

	if (labnic_fault_value(end, LABNIC_NO_RSS_CONTEXTS)) {
		NL_SET_ERR_MSG(extack, "RSS contexts are not supported");
		return -EOPNOTSUPP;
	}
	err = labnic_rss_change(end, rxfh->rss_context, rxfh, extack);
	if (err)
		return err;

	/* The core shows what stands in ctx. */
	rss = labnic_rss_get(end, rxfh->rss_context);
	ctx->hfunc = ETH_RSS_HASH_TOP;
	memcpy(ethtool_rxfh_context_indir(ctx), rss->indir, sizeof(rss->indir));
	memcpy(ethtool_rxfh_context_key(ctx), rss->key, sizeof(rss->key));
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
	struct labnic_end *end = netdev_priv(dev);
	int err;

	err = labnic_rss_refuse(end, extack);
	if (err)
		return err;
	labnic_rss_publish(end, context, NULL);
	return 0;
}
