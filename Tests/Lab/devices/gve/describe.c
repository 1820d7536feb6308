// SPDX-License-Identifier: GPL-2.0
/* Commands by which device and driver describe themselves. */
#include <linux/if_ether.h>

#include "gve.h"

/* The first option lists the device's features; the others have parameters. */
static u32 gve_features(void)
{
	return GVE_FEATURE_RING_SIZES | GVE_FEATURE_JUMBO | GVE_FEATURE_BUFFER_SIZES |
	       (gve_rules ? GVE_FEATURE_FLOW_RULES : 0) | (gve_rss_option ? GVE_FEATURE_RSS : 0);
}

struct gve_options {
	void	*at;
	u32	room;		/* bytes left */
	u32	count;
};

/* Adds an option with its parameters, if there is room for it. */
static void gve_add_option(struct gve_options *options, u16 id, u32 feature,
			   const void *figures, u32 len)
{
	struct gve_option option = {
		.id		= cpu_to_be16(id),
		.len		= cpu_to_be16(sizeof(option.feature) + len),
		.feature	= cpu_to_be32(feature),
	};

	if (options->room < sizeof(option) + len)
		return;
	memcpy(options->at, &option, sizeof(option));
	memcpy(options->at + sizeof(option), figures, len);
	options->at += sizeof(option) + len;
	options->room -= sizeof(option) + len;
	options->count++;
}

static void gve_add_options(struct gve_options *options)
{
	const __be16 none[2] = {};
	const __be16 rings[4] = {
		cpu_to_be16(gve_ring_max), cpu_to_be16(gve_ring_max),
		cpu_to_be16(GVE_MIN_RX_RING), cpu_to_be16(GVE_MIN_TX_RING),
	};
	const __be16 jumbo[2] = { cpu_to_be16(gve_mtu) };
	const __be16 buffers[2] = { cpu_to_be16(gve_buffer), cpu_to_be16(gve_header_buffer) };
	const __be32 rules[2] = { 0, cpu_to_be32(gve_rules) };
	const __be16 rss[2] = { cpu_to_be16(GVE_RSS_KEY), cpu_to_be16(GVE_RSS_TABLE) };

	gve_add_option(options, GVE_OPTION_DQO_RDA, gve_features(), none, sizeof(none));
	gve_add_option(options, GVE_OPTION_RING_SIZES, GVE_FEATURE_RING_SIZES, rings,
		       sizeof(rings));
	gve_add_option(options, GVE_OPTION_JUMBO, GVE_FEATURE_JUMBO, jumbo, sizeof(jumbo));
	gve_add_option(options, GVE_OPTION_BUFFER_SIZES, GVE_FEATURE_BUFFER_SIZES, buffers,
		       sizeof(buffers));
	if (gve_rules)
		gve_add_option(options, GVE_OPTION_FLOW_RULES, GVE_FEATURE_FLOW_RULES, rules,
			       sizeof(rules));
	if (gve_rss_option)
		gve_add_option(options, GVE_OPTION_RSS, GVE_FEATURE_RSS, rss, sizeof(rss));
}

u32 gve_describe(struct lab_device *dev, const struct gve_command *command)
{
	u32 len = be32_to_cpu(command->describe.len);
	struct gve_description *to = gve_memory(dev, command->describe.address, len);
	struct gve_options options = { .at = to + 1, .room = len - sizeof(*to) };
	struct gve_description description = {
		.tx_ring	= cpu_to_be16(gve_ring),
		.rx_ring	= cpu_to_be16(gve_ring),
		/* For a driver that does not know the jumbo option, which has the real one. */
		.mtu		= cpu_to_be16(min(gve_mtu, 1460U)),
		.counters	= cpu_to_be16(2 * lab_queues),
		.mac		= { 0x02, 'g', 'v', 'e', 0, dev->slot },
	};

	if (be32_to_cpu(command->describe.version) != GVE_DESCRIPTOR_VERSION ||
	    len < sizeof(*to) || !to)
		return GVE_INVALID_ARGUMENT;
	gve_add_options(&options);
	description.n_options = cpu_to_be16(options.count);
	description.len = cpu_to_be16(options.at - (void *)to);
	memcpy(to, &description, sizeof(description));
	return GVE_PASSED;
}

/* The device supports one queue format, and so must the driver. */
u32 gve_verify_driver(struct lab_device *dev, const struct gve_command *command)
{
	u64 len = be64_to_cpu(command->buffer.len);
	const struct gve_driver_info *info = gve_memory(dev, command->buffer.address, len);

	if (len < sizeof(*info) || !info)
		return GVE_INVALID_ARGUMENT;
	if (!(be64_to_cpu(info->capabilities[0]) & GVE_CAN_DQO_RDA))
		return GVE_FAILED_PRECONDITION;
	return GVE_PASSED;
}

u32 gve_get_ptypes(struct lab_device *dev, const struct gve_command *command)
{
	static const struct gve_ptype ptypes[] = {
		[GVE_PTYPE_IP4] = { 2, 0 },
		[GVE_PTYPE_TCP4] = { 2, 2 },
		[GVE_PTYPE_UDP4] = { 2, 3 },
		[GVE_PTYPE_IP6] = { 3, 0 },
		[GVE_PTYPE_TCP6] = { 3, 2 },
		[GVE_PTYPE_UDP6] = { 3, 3 },
	};
	u32 size = GVE_PTYPES * sizeof(struct gve_ptype);
	u64 len = be64_to_cpu(command->buffer.len);
	u8 *to = gve_memory(dev, command->buffer.address, len);

	if (len < size || !to)
		return GVE_INVALID_ARGUMENT;
	memcpy(to, ptypes, sizeof(ptypes));
	memset(to + sizeof(ptypes), 0, size - sizeof(ptypes));
	return GVE_PASSED;
}

u32 gve_report_speed(struct lab_device *dev, const struct gve_command *command)
{
	__be64 *to = gve_memory(dev, command->speed.address, sizeof(*to));

	if (!to)
		return GVE_INVALID_ARGUMENT;
	*to = cpu_to_be64(gve_speed);
	return GVE_PASSED;
}

u32 gve_set_parameter(struct lab_device *dev, const struct gve_command *command)
{
	u64 value = be64_to_cpu(command->parameter.value);

	if (be32_to_cpu(command->parameter.what) != GVE_PARAMETER_MTU)
		return GVE_UNIMPLEMENTED;
	if (value < ETH_MIN_MTU || value > gve_mtu)
		return GVE_OUT_OF_RANGE;
	gve_of(dev)->mtu = value;
	return GVE_PASSED;
}
