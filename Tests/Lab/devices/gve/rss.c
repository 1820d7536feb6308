// SPDX-License-Identifier: GPL-2.0
/* Spreads packets over the queues by their Toeplitz hash. */
#include <linux/in6.h>

#include "gve.h"

/* The default: all queues in turn, and a fixed key. */
void gve_rss_reset(struct gve *gve)
{
	u32 i;

	gve->rss_types = BIT(GVE_RSS_TCP4) | BIT(GVE_RSS_UDP4) | BIT(GVE_RSS_TCP6) |
			 BIT(GVE_RSS_UDP6);
	for (i = 0; i < GVE_RSS_KEY; i++)
		gve->rss_key[i] = 0x6d + 0x5b * i;
	for (i = 0; i < GVE_RSS_TABLE; i++)
		gve->rss_table[i] = i % lab_queues;
}

/* In each field 0 means unchanged. */
u32 gve_configure_rss(struct lab_device *dev, const struct gve_command *command)
{
	u32 table_size = be16_to_cpu(command->rss.table_size);
	u32 key_size = be16_to_cpu(command->rss.key_size);
	u16 types = be16_to_cpu(command->rss.types);
	const __be32 *table = NULL;
	struct gve *gve = gve_of(dev);
	const void *key = NULL;
	u16 entry[GVE_RSS_TABLE];
	u32 i;

	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	if (command->rss.algorithm && command->rss.algorithm != GVE_RSS_TOEPLITZ)
		return GVE_INVALID_ARGUMENT;
	if (types >= BIT(GVE_RSS_UDP6_EX + 1) || (key_size && key_size != GVE_RSS_KEY) ||
	    (table_size && table_size != GVE_RSS_TABLE))
		return GVE_INVALID_ARGUMENT;
	if (key_size)
		key = gve_memory(dev, command->rss.key, key_size);
	if (table_size)
		table = gve_memory(dev, command->rss.table, table_size * sizeof(*table));
	if ((key_size && !key) || (table_size && !table))
		return GVE_INVALID_ARGUMENT;
	for (i = 0; i < table_size; i++) {
		u32 queue = be32_to_cpu(READ_ONCE(table[i]));

		if (queue >= lab_queues)
			return GVE_OUT_OF_RANGE;
		entry[i] = queue;
	}
	if (types)
		gve->rss_types = types;
	if (key)
		memcpy(gve->rss_key, key, sizeof(gve->rss_key));
	if (table)
		memcpy(gve->rss_table, entry, sizeof(gve->rss_table));
	return GVE_PASSED;
}

u32 gve_query_rss(struct lab_device *dev, const struct gve_command *command)
{
	u64 len = be64_to_cpu(command->buffer.len);
	const struct gve *gve = gve_of(dev);
	struct gve_rss_answer *answer;
	u32 i;

	if (!gve_rss_option)
		return GVE_UNIMPLEMENTED;
	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	answer = gve_memory(dev, command->buffer.address, len);
	if (len < sizeof(*answer) || !answer)
		return GVE_INVALID_ARGUMENT;
	answer->len = cpu_to_be32(sizeof(*answer));
	answer->types = cpu_to_be16(gve->rss_types);
	answer->algorithm = GVE_RSS_TOEPLITZ;
	answer->reserved = 0;
	memcpy(answer->key, gve->rss_key, sizeof(answer->key));
	for (i = 0; i < GVE_RSS_TABLE; i++)
		answer->table[i] = cpu_to_be32(gve->rss_table[i]);
	return GVE_PASSED;
}

/* Whether the hash covers the ports, or the addresses only, or nothing. */
static bool gve_hashes(const struct gve *gve, const struct lab_packet *packet, bool *ports)
{
	bool v6 = packet->ip_version == 6;
	u32 l4, l3 = v6 ? GVE_RSS_IP6 : GVE_RSS_IP4;

	if (lab_is_tcp(packet))
		l4 = v6 ? GVE_RSS_TCP6 : GVE_RSS_TCP4;
	else
		l4 = v6 ? GVE_RSS_UDP6 : GVE_RSS_UDP4;
	*ports = lab_has_ports(packet) && gve->rss_types & BIT(l4);
	return *ports || (packet->ip_version && gve->rss_types & BIT(l3));
}

u32 gve_rss_queue(const struct gve *gve, const struct lab_packet *packet, u32 *hash)
{
	u8 input[2 * sizeof(struct in6_addr) + 4];
	const u8 *addresses;
	bool ports;
	u32 each;

	*hash = 0;
	if (gve_hashes(gve, packet, &ports)) {
		addresses = lab_addresses(packet, &each);
		memcpy(input, addresses, 2 * each);
		if (ports)
			memcpy(input + 2 * each, lab_ports(packet), 4);
		*hash = lab_toeplitz(gve->rss_key, input, 2 * each + (ports ? 4 : 0));
	}
	return gve->rss_table[*hash % GVE_RSS_TABLE];
}
