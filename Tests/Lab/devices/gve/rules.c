// SPDX-License-Identifier: GPL-2.0
/* Flow rules. The rule with the lowest location wins. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/dsfield.h>

#include "gve.h"

void gve_rules_reset(struct gve *gve)
{
	memset(gve->rule_set, 0, sizeof(gve->rule_set));
	gve->n_rules = 0;
}

static u32 gve_add_rule(struct gve *gve, u32 location, const struct gve_rule *rule)
{
	if (location >= gve_rules || be16_to_cpu(rule->queue) >= lab_queues)
		return GVE_OUT_OF_RANGE;
	if (be16_to_cpu(rule->type) >= GVE_FLOW_TYPES)
		return GVE_INVALID_ARGUMENT;
	if (gve->rule_set[location])
		return GVE_ALREADY_EXISTS;
	gve->rule[location] = *rule;
	gve->rule_set[location] = true;
	gve->n_rules++;
	return GVE_PASSED;
}

static u32 gve_delete_rule(struct gve *gve, u32 location)
{
	if (location >= gve_rules)
		return GVE_OUT_OF_RANGE;
	if (!gve->rule_set[location])
		return GVE_NOT_FOUND;
	gve->rule_set[location] = false;
	gve->n_rules--;
	return GVE_PASSED;
}

u32 gve_change_rules(struct lab_device *dev, const struct gve_command *command)
{
	struct gve *gve = gve_of(dev);
	struct gve_rule_command change;
	const void *from;

	if (!gve_rules)
		return GVE_UNIMPLEMENTED;
	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	from = gve_memory(dev, command->extended.address, sizeof(change));
	if (be32_to_cpu(command->extended.len) != sizeof(change) || !from)
		return GVE_INVALID_ARGUMENT;
	memcpy(&change, from, sizeof(change));
	switch (be16_to_cpu(change.change)) {
	case GVE_RULE_ADD:
		return gve_add_rule(gve, be32_to_cpu(change.location), &change.rule);
	case GVE_RULE_DELETE:
		return gve_delete_rule(gve, be32_to_cpu(change.location));
	case GVE_RULE_DELETE_ALL:
		gve_rules_reset(gve);
		return GVE_PASSED;
	default:
		return GVE_INVALID_ARGUMENT;
	}
}

/* Writes the rules from a location, as many as there is room for; returns their number. */
static u32 gve_list_rules(const struct gve *gve, u32 first, bool with_rule, void *to, u64 room)
{
	u32 each = sizeof(__be32) + (with_rule ? sizeof(struct gve_rule) : 0), count = 0, i;

	for (i = first; i < gve_rules && room >= each; i++) {
		if (!gve->rule_set[i])
			continue;
		*(__be32 *)to = cpu_to_be32(i);
		if (with_rule)
			memcpy(to + sizeof(__be32), &gve->rule[i], sizeof(struct gve_rule));
		to += each;
		room -= each;
		count++;
	}
	return count;
}

u32 gve_query_rules(struct lab_device *dev, const struct gve_command *command)
{
	u32 first = be32_to_cpu(command->query_rules.first);
	u16 what = be16_to_cpu(command->query_rules.what);
	u64 len = be64_to_cpu(command->query_rules.len);
	bool with_rule = what == GVE_QUERY_RULES;
	const struct gve *gve = gve_of(dev);
	struct gve_rule_answer *answer;
	u32 count = 0, bytes;

	if (!gve_rules)
		return GVE_UNIMPLEMENTED;
	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	answer = gve_memory(dev, command->query_rules.address, len);
	if (len < sizeof(*answer) || !answer || what > GVE_QUERY_COUNTS)
		return GVE_INVALID_ARGUMENT;
	if (what != GVE_QUERY_COUNTS)
		count = gve_list_rules(gve, first, with_rule, answer + 1, len - sizeof(*answer));
	bytes = count * (sizeof(__be32) + (with_rule ? sizeof(struct gve_rule) : 0));
	*answer = (struct gve_rule_answer) {
		.rules		= cpu_to_be32(gve->n_rules),
		.max_rules	= cpu_to_be32(gve_rules),
		.here		= cpu_to_be32(count),
		.len		= cpu_to_be32(sizeof(*answer) + bytes),
	};
	return GVE_PASSED;
}

/* The flow type of a packet; GVE_FLOW_TYPES: none. */
static u32 gve_flow_type(const struct lab_packet *packet)
{
	u32 base = packet->ip_version == 6 ? GVE_FLOW_TCP6 : GVE_FLOW_TCP4;

	if (!packet->ip_version || packet->fragment)
		return GVE_FLOW_TYPES;
	if (lab_has_ports(packet))
		return base + (lab_is_tcp(packet) ? GVE_FLOW_TCP4 : GVE_FLOW_UDP4);
	if (packet->header_len < packet->l4 + 8)
		return GVE_FLOW_TYPES;
	switch (packet->ip_protocol) {
	case IPPROTO_SCTP:
		return base + GVE_FLOW_SCTP4;
	case IPPROTO_AH:
		return base + GVE_FLOW_AH4;
	case IPPROTO_ESP:
		return base + GVE_FLOW_ESP4;
	default:
		return GVE_FLOW_TYPES;
	}
}

/* The flow of a packet, in the format of a rule. */
static void gve_flow_of(const struct lab_packet *packet, struct gve_flow *flow)
{
	const u8 *l3 = packet->header + packet->l3, *l4 = packet->header + packet->l4;
	const u8 *addresses;
	u32 each;

	memset(flow, 0, sizeof(*flow));
	addresses = lab_addresses(packet, &each);
	memcpy(flow->source, addresses, each);
	memcpy(flow->destination, addresses + each, each);
	/* The SPI of an authentication header is at offset 4. */
	memcpy(flow->port, packet->ip_protocol == IPPROTO_AH ? l4 + 4 : l4, sizeof(flow->port));
	if (packet->ip_version == 6)
		flow->tos = ipv6_get_dsfield((const struct ipv6hdr *)l3);
	else
		flow->tos = ((const struct iphdr *)l3)->tos;
}

const struct gve_rule *gve_rule_for(struct lab_device *dev, const struct lab_packet *packet)
{
	const struct gve *gve = gve_of(dev);
	u32 type, left = gve->n_rules, i;
	struct gve_flow flow;

	if (!left)
		return NULL;
	type = gve_flow_type(packet);
	if (type == GVE_FLOW_TYPES)
		return NULL;
	gve_flow_of(packet, &flow);
	for (i = 0; left && i < gve_rules; i++) {
		const struct gve_rule *rule = &gve->rule[i];

		if (!gve->rule_set[i])
			continue;
		left--;
		if (be16_to_cpu(rule->type) == type &&
		    lab_masked_equal(&flow, &rule->key, &rule->mask,
				     offsetof(struct gve_flow, reserved)))
			return rule;
	}
	return NULL;
}
