// SPDX-License-Identifier: GPL-2.0
/* Follows a packet through the flow tables. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/dsfield.h>

#include "mlx5.h"

#define CX_FIELD(field, value)	MLX5_SET(fte_match_set_lyr_2_4, to, field, value)
/* An IPv4 address is at the end of the field for IPv6. */
#define CX_SOURCE_IPV6	MLX5_ADDR_OF(fte_match_set_lyr_2_4, to, \
				     src_ipv4_src_ipv6.ipv6_layout.ipv6)
#define CX_TARGET_IPV6	MLX5_ADDR_OF(fte_match_set_lyr_2_4, to, \
				     dst_ipv4_dst_ipv6.ipv6_layout.ipv6)
#define CX_IPV4_AT	12

static void cx_match_ethernet(const struct lab_packet *packet, u8 *to)
{
	const struct ethhdr *ethernet = (const void *)packet->header;

	ether_addr_copy(MLX5_ADDR_OF(fte_match_set_lyr_2_4, to, smac_47_16), ethernet->h_source);
	ether_addr_copy(MLX5_ADDR_OF(fte_match_set_lyr_2_4, to, dmac_47_16), ethernet->h_dest);
	CX_FIELD(ethertype, ntohs(packet->ethertype));
	if (packet->l3 != VLAN_ETH_HLEN)
		return;
	CX_FIELD(cvlan_tag, 1);
	CX_FIELD(first_prio, packet->vlan >> VLAN_PRIO_SHIFT);
	CX_FIELD(first_cfi, !!(packet->vlan & VLAN_CFI_MASK));
	CX_FIELD(first_vid, packet->vlan & VLAN_VID_MASK);
}

static void cx_match_ip(const struct lab_packet *packet, u8 *to)
{
	const void *l3 = packet->header + packet->l3;
	u32 each, at = 0;
	const u8 *addresses = lab_addresses(packet, &each);
	u8 class;

	CX_FIELD(ip_version, packet->ip_version);
	CX_FIELD(ip_protocol, packet->ip_protocol);
	CX_FIELD(frag, packet->fragment);
	if (packet->ip_version == 4) {
		const struct iphdr *ip = l3;

		at = CX_IPV4_AT;
		class = ip->tos;
		CX_FIELD(ttl_hoplimit, ip->ttl);
		CX_FIELD(ipv4_ihl, ip->ihl);
	} else {
		const struct ipv6hdr *ip = l3;

		class = ipv6_get_dsfield(ip);
		CX_FIELD(ttl_hoplimit, ip->hop_limit);
	}
	CX_FIELD(ip_dscp, class >> 2);
	CX_FIELD(ip_ecn, class & 3);
	memcpy(CX_SOURCE_IPV6 + at, addresses, each);
	memcpy(CX_TARGET_IPV6 + at, addresses + each, each);
}

static void cx_match_ports(const struct lab_packet *packet, u8 *to)
{
	const u8 *l4 = lab_ports(packet);
	u16 source = get_unaligned_be16(l4), target = get_unaligned_be16(l4 + 2);

	if (lab_is_tcp(packet)) {
		CX_FIELD(tcp_sport, source);
		CX_FIELD(tcp_dport, target);
		CX_FIELD(tcp_flags, get_unaligned_be16(l4 + 12) & 0x1ff);
	} else {
		CX_FIELD(udp_sport, source);
		CX_FIELD(udp_dport, target);
	}
}

static void cx_match_value(const struct lab_packet *packet, u8 to[CX_MATCH])
{
	memset(to, 0, CX_MATCH);
	if (packet->len < ETH_HLEN)
		return;
	cx_match_ethernet(packet, to);
	if (packet->ip_version)
		cx_match_ip(packet, to);
	if (lab_has_ports(packet))
		cx_match_ports(packet, to);
}

/* The matching entry with the lowest index. */
static struct cx_entry *cx_table_look(const struct cx_table *table, const u8 *value)
{
	struct cx_entry *entry;

	list_for_each_entry(entry, &table->entries, list) {
		const struct cx_group *group = entry->group;
		u32 from = group->from;

		if (lab_masked_equal(value + from, entry->value + from, group->mask + from,
				     group->len))
			return entry;
	}
	return NULL;
}

/* Each step leads to a higher level. */
static const struct cx_tir *cx_target(struct cx_state *cx, const u8 *value,
				      struct cx_arrival *a)
{
	const struct cx_table *table = cx->root;
	struct cx_entry *entry;

	cx->steps = 0;
	while (table) {
		entry = cx_table_look(table, value);
		if (!entry) {
			table = table->miss;
			continue;
		}
		cx->path[cx->steps++] = entry;
		if (entry->action & MLX5_FLOW_CONTEXT_ACTION_DROP)
			return NULL;
		a->tag = entry->tag;
		if (entry->tir)
			return entry->tir;
		table = entry->table;
	}
	return NULL;
}

struct cx_rq *cx_steer(struct lab_device *dev, const struct lab_packet *packet,
		       struct cx_arrival *a)
{
	const struct cx_tir *tir;
	u8 value[CX_MATCH];

	cx_match_value(packet, value);
	tir = cx_target(cx_of(dev), value, a);
	return tir ? cx_tir_queue(tir, packet, a) : NULL;
}

void cx_count_path(struct lab_device *dev, const struct lab_packet *packet)
{
	struct cx_state *cx = cx_of(dev);
	u32 i;

	for (i = 0; i < cx->steps; i++) {
		struct cx_flow_counter *counter = cx->path[i]->counter;

		cx->path[i]->hits++;
		if (!counter)
			continue;
		counter->traffic.packets += cx_frames(packet);
		counter->traffic.octets += cx_octets(packet);
	}
}
