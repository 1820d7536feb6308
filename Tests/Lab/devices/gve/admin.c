// SPDX-License-Identifier: GPL-2.0
/* The admin queue: executes commands in order and answers each with a status. */
#include "gve.h"

static u32 gve_extended(struct lab_device *dev, const struct gve_command *command);

static const gve_handler gve_handlers[] = {
	[GVE_DESCRIBE_DEVICE]		= gve_describe,
	[GVE_CONFIGURE_RESOURCES]	= gve_configure,
	[GVE_CREATE_TX_QUEUE]		= gve_create_tx,
	[GVE_CREATE_RX_QUEUE]		= gve_create_rx,
	[GVE_DESTROY_TX_QUEUE]		= gve_destroy_tx,
	[GVE_DESTROY_RX_QUEUE]		= gve_destroy_rx,
	[GVE_DECONFIGURE_RESOURCES]	= gve_deconfigure,
	[GVE_CONFIGURE_RSS]		= gve_configure_rss,
	[GVE_SET_PARAMETER]		= gve_set_parameter,
	[GVE_REPORT_STATS]		= gve_report_stats,
	[GVE_REPORT_LINK_SPEED]		= gve_report_speed,
	[GVE_GET_PTYPES]		= gve_get_ptypes,
	[GVE_VERIFY_DRIVER]		= gve_verify_driver,
	[GVE_QUERY_FLOW_RULES]		= gve_query_rules,
	[GVE_QUERY_RSS]			= gve_query_rss,
	[GVE_EXTENDED]			= gve_extended,
};

/* An extended command contains its real opcode. */
static u32 gve_opcode_of(const struct gve_command *command)
{
	u32 opcode = be32_to_cpu(command->opcode);

	return opcode == GVE_EXTENDED ? be32_to_cpu(command->extended.opcode) : opcode;
}

static u32 gve_extended(struct lab_device *dev, const struct gve_command *command)
{
	switch (gve_opcode_of(command)) {
	case GVE_CONFIGURE_FLOW_RULE:
		return gve_change_rules(dev, command);
	default:
		return GVE_UNIMPLEMENTED;
	}
}

static u32 gve_execute(struct lab_device *dev, const struct gve_command *command)
{
	u32 opcode = be32_to_cpu(command->opcode);
	gve_handler handler = opcode < ARRAY_SIZE(gve_handlers) ? gve_handlers[opcode] : NULL;

	return handler ? handler(dev, command) : GVE_UNIMPLEMENTED;
}

/* False if the device does not complete the command. */
static bool gve_answer(struct lab_device *dev, struct gve_command *slot)
{
	struct gve *gve = gve_of(dev);
	struct gve_command command;
	u32 status;

	/* A copy, as the driver must not change what has been checked. */
	memcpy(&command, slot, sizeof(command));
	switch (lab_knob_command(dev, gve_opcode_of(&command))) {
	case LAB_COMMAND_HANGS:
		return false;
	case LAB_COMMAND_FAILS:
		status = gve_fail_status;
		break;
	default:
		status = gve_execute(dev, &command);
	}
	gve->commands++;
	if (status != GVE_PASSED) {
		gve->refused++;
		gve->refused_opcode = gve_opcode_of(&command);
		gve->refused_status = status;
	}
	WRITE_ONCE(slot->status, cpu_to_be32(status));
	return true;
}

bool gve_admin_poll(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	u32 bell = lab_read(dev, GVE_BAR_REGISTERS, GVE_ADMIN_DOORBELL);

	if (bell == gve->admin_done || gve->admin_hangs)
		return false;
	/* Commands are read after the doorbell that announced them. */
	smp_rmb();
	/* More commands than the ring holds are invalid. */
	if (bell - gve->admin_done > gve->admin_size) {
		gve->admin_hangs = true;
		return false;
	}
	while (gve->admin_done != bell) {
		u32 at = gve->admin_done & (gve->admin_size - 1);

		if (!gve_answer(dev, &gve->admin[at])) {
			gve->admin_hangs = true;
			break;
		}
		gve->admin_done++;
	}
	/* The counter says that the replies are written. */
	smp_wmb();
	lab_write(dev, GVE_BAR_REGISTERS, GVE_ADMIN_COUNTER, gve->admin_done);
	return true;
}
