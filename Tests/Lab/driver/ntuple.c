// SPDX-License-Identifier: GPL-2.0
/* Flow rules for TCP and UDP over IPv4 and IPv6, and for IP without ports. */
#include <linux/ethtool.h>
#include <linux/hash.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "labnic.h"

struct labnic_rule {
	struct labnic_flow		key;
	struct labnic_flow		mask;
	u64				cookie;
	u32				context;
	u32				age;		/* counts up */
	u8				fields;
	bool				pending;	/* until the next up */
	struct ethtool_rx_flow_spec	spec;	/* as requested by the user */
};

/* Constant once published, except for what the data path does not read. Sorted
 * by rank, so the first match wins.
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

/* Does not change @cookie and @context if no rule matches. */
void labnic_rules_match(struct labnic_port *end, const struct labnic_flow *flow,
			u64 *cookie, u32 *context)
{
	const struct labnic_rules *rules = rcu_dereference_bh(end->rules);
	unsigned int i;

	if (!rules || (end->manners->rules.ntuple_needed &&
		       !(end->dev->features & NETIF_F_NTUPLE)))
		return;
	for (i = 0; i < rules->count; i++) {
		if (labnic_rule_matches(&rules->rule[i], flow)) {
			*cookie = rules->rule[i].cookie;
			*context = rules->rule[i].context;
			return;
		}
	}
}

static struct labnic_rules *labnic_rules_get(struct labnic_port *end)
{
	return rcu_dereference_protected(end->rules, labnic_is_guarded(end));
}

static unsigned int labnic_rules_count(struct labnic_port *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);

	return rules ? rules->count : 0;
}

static const struct labnic_rule *labnic_rules_find(struct labnic_port *end,
						   u32 location)
{
	const struct labnic_rules *rules = labnic_rules_get(end);
	unsigned int i;

	for (i = 0; rules && i < rules->count; i++)
		if (rules->rule[i].spec.location == location)
			return &rules->rule[i];
	return NULL;
}

/* Only those who add rules see a pending rule. */
static const struct labnic_rule *labnic_rules_show(struct labnic_port *end,
						   u32 location)
{
	const struct labnic_rule *rule = labnic_rules_find(end, location);

	return rule && !rule->pending ? rule : NULL;
}

static bool labnic_rule_goes_before(const struct labnic_port *end,
				    const struct labnic_rule *a,
				    const struct labnic_rule *b)
{
	if (end->manners->rules.rank == LABNIC_RANK_LOCATION)
		return a->spec.location < b->spec.location;
	return a->fields == b->fields ? a->age < b->age : a->fields > b->fields;
}

/* Publishes a table with @rule at @location, or without a rule there. */
static int labnic_rules_replace(struct labnic_port *end, u32 location,
				const struct labnic_rule *rule)
{
	struct labnic_rules *old = labnic_rules_get(end), *new = NULL;
	unsigned int i, n = 0, before = labnic_rules_count(end);
	unsigned int count = before + !!rule -
			     !!labnic_rules_find(end, location);

	if (count) {
		new = kvzalloc(struct_size(new, rule, count), GFP_KERNEL);
		if (!new)
			return -ENOMEM;
		new->count = count;
		for (i = 0; i < before; i++) {
			if (old->rule[i].spec.location == location)
				continue;
			if (rule && labnic_rule_goes_before(end, rule,
							    &old->rule[i])) {
				new->rule[n++] = *rule;
				rule = NULL;
			}
			new->rule[n++] = old->rule[i];
		}
		if (rule)
			new->rule[n++] = *rule;
	}
	rcu_assign_pointer(end->rules, new);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

/* Activates, with the interface, the rules added while it was down. */
void labnic_rules_up(struct labnic_port *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);
	unsigned int i;

	for (i = 0; rules && i < rules->count; i++)
		rules->rule[i].pending = false;
}

/* Some NICs drop the rules while the interface is down. */
void labnic_rules_down(struct labnic_port *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);
	unsigned int i;

	if (!end->manners->rules.down_pending)
		return;
	for (i = 0; rules && i < rules->count; i++)
		rules->rule[i].pending = true;
}

void labnic_rules_destroy(struct labnic_port *end)
{
	struct labnic_rules *rules = labnic_rules_get(end);

	RCU_INIT_POINTER(end->rules, NULL);
	if (rules)
		kvfree_rcu(rules, rcu);
}

/* All types with ports share a layout, and IP has the same addresses. */
static void labnic_flow_set(struct labnic_flow *flow, bool ipv6, bool ports,
			    const union ethtool_flow_union *u)
{
	if (ipv6) {
		memcpy(flow->src, u->tcp_ip6_spec.ip6src, sizeof(flow->src));
		memcpy(flow->dst, u->tcp_ip6_spec.ip6dst, sizeof(flow->dst));
		flow->tos = ports ? u->tcp_ip6_spec.tclass :
				    u->usr_ip6_spec.tclass;
	} else {
		flow->src[0] = u->tcp_ip4_spec.ip4src;
		flow->dst[0] = u->tcp_ip4_spec.ip4dst;
		flow->tos = ports ? u->tcp_ip4_spec.tos : u->usr_ip4_spec.tos;
	}
	if (ports) {
		flow->sport = ipv6 ? u->tcp_ip6_spec.psrc :
				     u->tcp_ip4_spec.psrc;
		flow->dport = ipv6 ? u->tcp_ip6_spec.pdst :
				     u->tcp_ip4_spec.pdst;
	} else {
		flow->l4_proto = ipv6 ? u->usr_ip6_spec.l4_proto :
					u->usr_ip4_spec.proto;
	}
}

static void labnic_spec_forget_tos(struct ethtool_rx_flow_spec *spec, bool ipv6,
				   bool ports)
{
	union ethtool_flow_union *const both[] = { &spec->h_u, &spec->m_u };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(both); i++) {
		if (ports && ipv6)
			both[i]->tcp_ip6_spec.tclass = 0;
		else if (ports)
			both[i]->tcp_ip4_spec.tos = 0;
		else if (ipv6)
			both[i]->usr_ip6_spec.tclass = 0;
		else
			both[i]->usr_ip4_spec.tos = 0;
	}
}

static bool labnic_is_set(const __be32 *address)
{
	return address[0] || address[1] || address[2] || address[3];
}

/* As en_fs_ethtool.c of mlx5 counts: the flow's type is a field too. */
static u8 labnic_rule_fields(const struct labnic_flow *mask, bool ports)
{
	return 1 + labnic_is_set(mask->src) + labnic_is_set(mask->dst) +
	       !!mask->sport + !!mask->dport + (!ports && mask->l4_proto);
}

static int labnic_rule_type(const struct labnic_rule_manners *manners,
			    u32 flow_type)
{
	u32 type = flow_type & ~(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS);

	if (flow_type & FLOW_EXT && manners->ext)
		return manners->ext;
	if (flow_type & FLOW_MAC_EXT && manners->mac_ext)
		return manners->mac_ext;
	if (type >= 64 || !(manners->types & BIT_ULL(type)))
		return manners->wrong_type;
	return 0;
}

/* The action of the rule. */
static int labnic_rule_action(struct labnic_port *end, struct labnic_rule *rule,
			      const struct ethtool_rxnfc *nfc)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;
	bool rss = nfc->fs.flow_type & FLOW_RSS;

	if (nfc->fs.ring_cookie == RX_CLS_FLOW_DISC && manners->drop)
		return manners->drop;
	if (nfc->fs.ring_cookie != RX_CLS_FLOW_DISC &&
	    nfc->fs.ring_cookie >= end->dev->real_num_rx_queues)
		return -EINVAL;

	rule->cookie = nfc->fs.ring_cookie;
	if (!rss)
		return 0;
	if (manners->rss_ignored) {
		rule->spec.flow_type &= ~FLOW_RSS;
		return 0;
	}
	if (nfc->rss_context >= end->manners->contexts)
		return -EINVAL;
	if (!nfc->rss_context && manners->rss_main)
		return manners->rss_main;
	rule->context = nfc->rss_context;
	if (rule->cookie != RX_CLS_FLOW_DISC)
		rule->cookie = LABNIC_COOKIE_RSS;
	return 0;
}

/* Returns 0 for a type without ports. */
static u8 labnic_protocol(u32 type)
{
	switch (type) {
	case TCP_V4_FLOW:
	case TCP_V6_FLOW:
		return IPPROTO_TCP;
	case UDP_V4_FLOW:
	case UDP_V6_FLOW:
		return IPPROTO_UDP;
	case SCTP_V4_FLOW:
	case SCTP_V6_FLOW:
		return IPPROTO_SCTP;
	default:
		return 0;
	}
}

static int labnic_rule_match(struct labnic_port *end, struct labnic_rule *rule)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;
	u32 type = rule->spec.flow_type & ~(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS);
	bool ipv6 = type == TCP_V6_FLOW || type == UDP_V6_FLOW ||
		    type == SCTP_V6_FLOW || type == IPV6_USER_FLOW;
	u8 protocol = labnic_protocol(type);
	bool ports = protocol;

	labnic_flow_set(&rule->key, ipv6, ports, &rule->spec.h_u);
	labnic_flow_set(&rule->mask, ipv6, ports, &rule->spec.m_u);
	if (rule->mask.tos && manners->tos == LABNIC_TOS_REFUSED)
		return -EINVAL;
	if (manners->tos == LABNIC_TOS_DROPPED) {
		labnic_spec_forget_tos(&rule->spec, ipv6, ports);
		rule->mask.tos = 0;
	}
	rule->fields = labnic_rule_fields(&rule->mask, ports);
	if (rule->fields == 1 && manners->no_field)
		return manners->no_field;

	rule->key.l3_proto = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	rule->mask.l3_proto = ~0;
	if (ports) {
		rule->key.l4_proto = protocol;
		rule->mask.l4_proto = ~0;
	}
	if (labnic_fault_value(end, LABNIC_REFUSE_5TUPLE) &&
	    (rule->mask.sport || labnic_is_set(rule->mask.src)))
		return -EOPNOTSUPP;
	return 0;
}

static int labnic_rule_make(struct labnic_port *end, struct labnic_rule *rule,
			    const struct ethtool_rxnfc *nfc)
{
	int err;

	err = labnic_rule_type(&end->manners->rules, nfc->fs.flow_type);
	if (err)
		return err;
	rule->spec = nfc->fs;
	return labnic_rule_action(end, rule, nfc) ?:
	       labnic_rule_match(end, rule);
}

/* Returns the lowest or the highest free location. */
static int labnic_rule_free_place(struct labnic_port *end, bool above,
				  u32 *location)
{
	u32 i, at, places = end->manners->rules.places;

	for (i = 0; i < places; i++) {
		at = above ? places - 1 - i : i;
		if (!labnic_rules_find(end, at)) {
			*location = at;
			return 0;
		}
	}
	return end->manners->rules.full;
}

static int labnic_rule_place(struct labnic_port *end, u32 *location)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;
	bool special = *location & RX_CLS_LOC_SPECIAL;

	switch (manners->place) {
	case LABNIC_PLACE_ANY_BELOW:
	case LABNIC_PLACE_ANY_ABOVE:
		if (*location != RX_CLS_LOC_ANY)
			return manners->wrong_place;
		break;
	case LABNIC_PLACE_USER:
		if (special)
			return manners->wrong_place;
		break;
	default:
		break;
	}
	if (!special && *location >= manners->places)
		return manners->high_place;
	if (!special)
		return labnic_rules_find(end, *location) ? manners->occupied :
							   0;
	if (labnic_fault_value(end, LABNIC_FIXED_RULE_PLACES))
		return -EINVAL;
	return labnic_rule_free_place(end, *location == RX_CLS_LOC_LAST ||
				      manners->place == LABNIC_PLACE_ANY_ABOVE,
				      location);
}

static bool labnic_rule_is_there(struct labnic_port *end,
				 const struct labnic_rule *rule)
{
	const struct labnic_rules *rules = labnic_rules_get(end);
	const struct labnic_rule *other;
	unsigned int i;

	for (i = 0; rules && i < rules->count; i++) {
		other = &rules->rule[i];
		if (!memcmp(&other->key, &rule->key, sizeof(rule->key)) &&
		    !memcmp(&other->mask, &rule->mask, sizeof(rule->mask)))
			return true;
	}
	return false;
}

static int labnic_rule_insert(struct labnic_port *end,
			      struct ethtool_rxnfc *nfc)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;
	struct labnic_rule rule = {};
	int err;

	if (!netif_running(end->dev) && manners->down)
		return manners->down;
	if (!(end->dev->features & NETIF_F_NTUPLE) && manners->ntuple_off)
		return manners->ntuple_off;
	err = labnic_rule_make(end, &rule, nfc);
	if (err)
		return err;
	err = labnic_rule_place(end, &nfc->fs.location);
	if (err)
		return err;
	if (manners->same_match && labnic_rule_is_there(end, &rule))
		return manners->same_match;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RULE_INSERT))
		return -(int)labnic_fault_value(end, LABNIC_RULE_ERRNO);
	if (labnic_fault_take(end, LABNIC_IGNORE_RULE_INSERT))
		return 0;
	rule.spec.location = nfc->fs.location;
	rule.age = end->rules_made++;
	rule.pending = manners->down_pending && !netif_running(end->dev);
	return labnic_rules_replace(end, rule.spec.location, &rule);
}

static int labnic_rule_delete(struct labnic_port *end, u32 location)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;

	if (manners->delete_ntuple_off &&
	    !(end->dev->features & NETIF_F_NTUPLE))
		return manners->delete_ntuple_off;
	if (location >= manners->places)
		return manners->delete_high;
	if (!labnic_rules_show(end, location))
		return manners->delete_none;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RULE_DELETE))
		return -EIO;
	return labnic_rules_replace(end, location, NULL);
}

int labnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc)
{
	struct labnic_port *end = netdev_priv(dev);

	switch (nfc->cmd) {
	case ETHTOOL_SRXCLSRLINS:
		return labnic_rule_insert(end, nfc);
	case ETHTOOL_SRXCLSRLDEL:
		return labnic_rule_delete(end, nfc->fs.location);
	default:
		return -EOPNOTSUPP;
	}
}

static u32 labnic_rules_shown(struct labnic_port *end)
{
	const struct labnic_rules *rules = labnic_rules_get(end);
	u32 i, shown = 0;

	for (i = 0; rules && i < rules->count; i++)
		shown += !rules->rule[i].pending;
	return shown;
}

static void labnic_rules_count_up(struct labnic_port *end,
				  struct ethtool_rxnfc *nfc)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;

	nfc->rule_cnt = labnic_rules_shown(end);
	if (manners->count_data)
		nfc->data = manners->places;
	if (manners->count_special &&
	    !labnic_fault_value(end, LABNIC_FIXED_RULE_PLACES))
		nfc->data |= RX_CLS_LOC_SPECIAL;
}

static int labnic_rule_get(struct labnic_port *end, struct ethtool_rxnfc *nfc)
{
	const struct labnic_rule *rule;

	if (nfc->fs.location >= end->manners->rules.places)
		return end->manners->rules.get_high;
	rule = labnic_rules_show(end, nfc->fs.location);
	if (!rule)
		return end->manners->rules.get_none;
	nfc->fs = rule->spec;
	if (rule->spec.flow_type & FLOW_RSS)
		nfc->rss_context = rule->context;
	return 0;
}

static int labnic_compare_locations(const void *a, const void *b)
{
	return cmp_int(*(const u32 *)a, *(const u32 *)b);
}

/* A meaningless order, the same each time. */
static int labnic_compare_hashes(const void *a, const void *b)
{
	return cmp_int(hash_32(~*(const u32 *)a, 16),
		       hash_32(~*(const u32 *)b, 16));
}

/* There is room for nfc->rule_cnt locations. */
static int labnic_rules_list(struct labnic_port *end, struct ethtool_rxnfc *nfc,
			     u32 *locations)
{
	const struct labnic_rule_manners *manners = &end->manners->rules;
	const struct labnic_rules *rules = labnic_rules_get(end);
	u32 i, n = 0, shown = labnic_rules_shown(end);
	u32 *all;

	if (nfc->rule_cnt < shown && manners->all_too_few)
		return manners->all_too_few;
	if (nfc->rule_cnt > shown && manners->all_too_many)
		return manners->all_too_many;
	nfc->data = manners->all_data_used ? shown : manners->places;
	nfc->rule_cnt = min(nfc->rule_cnt, shown);
	if (!shown)
		return 0;

	all = kvcalloc(shown, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	for (i = 0; i < rules->count; i++)
		if (!rules->rule[i].pending)
			all[n++] = rules->rule[i].spec.location;
	sort(all, n, sizeof(*all), manners->all_hashed ?
	     labnic_compare_hashes : labnic_compare_locations, NULL);
	memcpy(locations, all, array_size(nfc->rule_cnt, sizeof(*all)));
	kvfree(all);
	return 0;
}

int labnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc,
		     u32 *locations)
{
	struct labnic_port *end = netdev_priv(dev);

	switch (nfc->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		labnic_rules_count_up(end, nfc);
		return 0;
	case ETHTOOL_GRXCLSRULE:
		return labnic_rule_get(end, nfc);
	case ETHTOOL_GRXCLSRLALL:
		return labnic_rules_list(end, nfc, locations);
	default:
		return labnic_get_rxnfc_other(dev, nfc);
	}
}
