// SPDX-License-Identifier: GPL-2.0
/* Flow rules for TCP and UDP over IPv4 and IPv6. */
#include <linux/ethtool.h>
#include <linux/slab.h>

#include "labnic.h"

struct labnic_rule {
	struct labnic_flow		key;
	struct labnic_flow		mask;
	u64				cookie;
	u32				context;
	struct ethtool_rx_flow_spec	spec;	/* as user space gave it */
};

/* Never changed once published. Sorted by location, so the first match is the
 * one of highest rank.
 */
struct labnic_rules {
	struct rcu_head		rcu;
	unsigned int		count;
	struct labnic_rule	rule[] __counted_by(count);
};

static bool labnic_rule_matches(const struct labnic_rule *rule,
				const struct labnic_flow *flow)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flow->word); i++)
		if ((flow->word[i] ^ rule->key.word[i]) & rule->mask.word[i])
			return false;
	return true;
}

/* Leaves @cookie and @context alone where no rule matches. */
void labnic_rules_match(struct labnic_end *end, const struct labnic_flow *flow,
			u64 *cookie, u32 *context)
{
	const struct labnic_rules *rules = rcu_dereference_bh(end->rules);
	unsigned int i;

	if (!rules || !(end->dev->features & NETIF_F_NTUPLE))
		return;
	for (i = 0; i < rules->count; i++) {
		if (labnic_rule_matches(&rules->rule[i], flow)) {
			*cookie = rules->rule[i].cookie;
			*context = rules->rule[i].context;
			return;
		}
	}
}

/* The rules are changed under the instance lock only. */
static struct labnic_rules *labnic_rules_get(struct labnic_end *end)
{
	return rcu_dereference_protected(end->rules, true);
}

static unsigned int labnic_rules_count(struct labnic_end *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);

	return rules ? rules->count : 0;
}

static const struct labnic_rule *labnic_rules_find(struct labnic_end *end,
						   u32 location)
{
	const struct labnic_rules *rules = labnic_rules_get(end);
	unsigned int i;

	for (i = 0; rules && i < rules->count; i++)
		if (rules->rule[i].spec.location == location)
			return &rules->rule[i];
	return NULL;
}

/* Publishes a table in which @rule, or nothing, stands at @location. */
static int labnic_rules_replace(struct labnic_end *end, u32 location,
				const struct labnic_rule *rule)
{
	struct labnic_rules *old = labnic_rules_get(end), *new = NULL;
	unsigned int i, n = 0, before = labnic_rules_count(end);
	unsigned int count = before + !!rule -
			     !!labnic_rules_find(end, location);

	if (count) {
		new = kzalloc(struct_size(new, rule, count), GFP_KERNEL);
		if (!new)
			return -ENOMEM;
		new->count = count;
		for (i = 0; i < before && old->rule[i].spec.location < location; i++)
			new->rule[n++] = old->rule[i];
		if (rule)
			new->rule[n++] = *rule;
		for (; i < before; i++)
			if (old->rule[i].spec.location != location)
				new->rule[n++] = old->rule[i];
	}
	rcu_assign_pointer(end->rules, new);
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

void labnic_rules_destroy(struct labnic_end *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);

	RCU_INIT_POINTER(end->rules, NULL);
	if (rules)
		kfree_rcu(rules, rcu);
}

/* TCP and UDP share a layout. */
static void labnic_flow_set(struct labnic_flow *flow, bool ipv6,
			    const union ethtool_flow_union *u)
{
	if (ipv6) {
		memcpy(flow->src, u->tcp_ip6_spec.ip6src, sizeof(flow->src));
		memcpy(flow->dst, u->tcp_ip6_spec.ip6dst, sizeof(flow->dst));
		flow->sport = u->tcp_ip6_spec.psrc;
		flow->dport = u->tcp_ip6_spec.pdst;
		flow->tos = u->tcp_ip6_spec.tclass;
	} else {
		flow->src[0] = u->tcp_ip4_spec.ip4src;
		flow->dst[0] = u->tcp_ip4_spec.ip4dst;
		flow->sport = u->tcp_ip4_spec.psrc;
		flow->dport = u->tcp_ip4_spec.pdst;
		flow->tos = u->tcp_ip4_spec.tos;
	}
}

static int labnic_rule_make(struct labnic_end *end, struct labnic_rule *rule,
			    const struct ethtool_rxnfc *nfc)
{
	const struct ethtool_rx_flow_spec *spec = &nfc->fs;
	u32 type = spec->flow_type & ~FLOW_RSS;
	bool ipv6 = type == TCP_V6_FLOW || type == UDP_V6_FLOW;
	bool tcp = type == TCP_V4_FLOW || type == TCP_V6_FLOW;

	/* FLOW_EXT and FLOW_MAC_EXT are left in, and refused. */
	if (!tcp && type != UDP_V4_FLOW && type != UDP_V6_FLOW)
		return -EOPNOTSUPP;
	if (spec->ring_cookie != RX_CLS_FLOW_DISC &&
	    spec->ring_cookie >= end->dev->real_num_rx_queues)
		return -EINVAL;

	rule->spec = *spec;
	rule->cookie = spec->ring_cookie;
	if (spec->flow_type & FLOW_RSS) {
		if (nfc->rss_context >= LABNIC_CONTEXTS)
			return -EINVAL;
		rule->context = nfc->rss_context;
		if (rule->cookie != RX_CLS_FLOW_DISC)
			rule->cookie = LABNIC_COOKIE_RSS;
	}
	labnic_flow_set(&rule->key, ipv6, &spec->h_u);
	labnic_flow_set(&rule->mask, ipv6, &spec->m_u);
	rule->key.l3_proto = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	rule->key.l4_proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	rule->mask.l3_proto = ~0;
	rule->mask.l4_proto = ~0;

	if (labnic_fault_value(end, LABNIC_REFUSE_5TUPLE) &&
	    (rule->mask.sport || memchr_inv(rule->mask.src, 0,
					    sizeof(rule->mask.src))))
		return -EOPNOTSUPP;
	return 0;
}

/* Special locations: the first free one, or for LAST the last free one. */
static int labnic_rule_place(struct labnic_end *end, u32 *location)
{
	u32 i, at;

	if (!(*location & RX_CLS_LOC_SPECIAL))
		return *location < LABNIC_RULES ? 0 : -ENOSPC;
	if (labnic_fault_value(end, LABNIC_FIXED_RULE_PLACES))
		return -EINVAL;

	for (i = 0; i < LABNIC_RULES; i++) {
		at = *location == RX_CLS_LOC_LAST ? LABNIC_RULES - 1 - i : i;
		if (!labnic_rules_find(end, at)) {
			*location = at;
			return 0;
		}
	}
	return -ENOSPC;
}

static int labnic_rule_insert(struct labnic_end *end, struct ethtool_rxnfc *nfc)
{
	struct labnic_rule rule = {};
	int err;

	if (!(end->dev->features & NETIF_F_NTUPLE))
		return -EOPNOTSUPP;
	err = labnic_rule_make(end, &rule, nfc);
	if (err)
		return err;
	err = labnic_rule_place(end, &nfc->fs.location);
	if (err)
		return err;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RULE_INSERT))
		return -(int)labnic_fault_value(end, LABNIC_RULE_ERRNO);
	if (labnic_fault_take(end, LABNIC_IGNORE_RULE_INSERT))
		return 0;
	rule.spec.location = nfc->fs.location;
	return labnic_rules_replace(end, rule.spec.location, &rule);
}

static int labnic_rule_delete(struct labnic_end *end, u32 location)
{
	if (!labnic_rules_find(end, location))
		return -ENOENT;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RULE_DELETE))
		return -EIO;
	return labnic_rules_replace(end, location, NULL);
}

int labnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc)
{
	struct labnic_end *end = netdev_priv(dev);

	switch (nfc->cmd) {
	case ETHTOOL_SRXCLSRLINS:
		return labnic_rule_insert(end, nfc);
	case ETHTOOL_SRXCLSRLDEL:
		return labnic_rule_delete(end, nfc->fs.location);
	default:
		return -EOPNOTSUPP;
	}
}

int labnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc,
		     u32 *locations)
{
	struct labnic_end *end = netdev_priv(dev);
	const struct labnic_rules *rules = labnic_rules_get(end);
	unsigned int i, count = labnic_rules_count(end);
	const struct labnic_rule *rule;

	switch (nfc->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		nfc->rule_cnt = count;
		nfc->data = LABNIC_RULES;
		if (!labnic_fault_value(end, LABNIC_FIXED_RULE_PLACES))
			nfc->data |= RX_CLS_LOC_SPECIAL;
		return 0;
	case ETHTOOL_GRXCLSRULE:
		rule = labnic_rules_find(end, nfc->fs.location);
		if (!rule)
			return -ENOENT;
		nfc->fs = rule->spec;
		if (rule->spec.flow_type & FLOW_RSS)
			nfc->rss_context = rule->context;
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		if (nfc->rule_cnt < count)
			return -EMSGSIZE;
		for (i = 0; i < count; i++)
			locations[i] = rules->rule[i].spec.location;
		nfc->rule_cnt = count;
		nfc->data = LABNIC_RULES;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}
