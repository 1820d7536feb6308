// SPDX-License-Identifier: GPL-2.0
/* The device as a whole. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mlx5.h"

#define CX_CHANNELS_MAX	128
#define CX_PCI_ID	0x1019	/* ConnectX-5 Ex */

static unsigned int cx_channels;
module_param_named(mlx5_channels, cx_channels, uint, 0444);
MODULE_PARM_DESC(mlx5_channels, "channels of an mlx5, up to 128 (default: queues)");

unsigned int cx_channel_count(void)
{
	return cx_channels ? min(cx_channels, CX_CHANNELS_MAX) : lab_queues;
}

static unsigned int cx_vectors(void)
{
	/* One vector is for all events except completions. */
	return cx_channel_count() + 1;
}

static int cx_start(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);

	cx->dev = dev;
	cx_objects_create(dev);
	cx->message = kvzalloc(CX_MESSAGE_MAX, GFP_KERNEL);
	cx->answer = kvzalloc(CX_ANSWER_MAX, GFP_KERNEL);
	if (!cx->message || !cx->answer)
		return -ENOMEM;
	cx_capabilities_reset(dev);
	cx_vport_reset(dev);
	cx_port_reset(dev);
	cx_health_start(dev);
	return 0;
}

static void cx_stop(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);

	cx_objects_reset(dev);
	kvfree(cx->message);
	kvfree(cx->answer);
}

/* After the driver has disabled bus mastering, the device no longer accesses its memory. */
static bool cx_masters_bus(const struct lab_device *dev)
{
	return READ_ONCE(dev->config[PCI_COMMAND]) & PCI_COMMAND_MASTER;
}

static bool cx_poll(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);
	bool busy;

	if (!cx_masters_bus(dev) && cx->enabled) {
		cx->enabled = false;
		cx_objects_reset(dev);
		cx_command_reset(dev);
	}
	if (!cx->broken)
		cx_health_beat(dev);
	if (cx_health_check(dev) || !cx_masters_bus(dev))
		return false;
	busy = cx_commands(dev);
	cx_link_check(dev);
	return cx_send(dev) || busy;
}

static void cx_link_changed(struct lab_device *dev)
{
	cx_link_check(dev);
}

static void cx_show(struct lab_device *dev, struct seq_file *file)
{
	struct cx_state *cx = cx_of(dev);

	seq_printf(file, "mlx5: %u channels, %s%s\n", cx_channel_count(),
		   cx->enabled ? "in use" : "not in use", cx->broken ? ", broken down" : "");
	cx_show_counters(dev, file);
	cx_show_objects(dev, file);
}

static int cx_flows_show(struct seq_file *file, void *data)
{
	struct lab_device *dev = file->private;

	guard(mutex)(&dev->wire->lock);
	cx_show_tables(dev, file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cx_flows);

static int cx_commands_show(struct seq_file *file, void *data)
{
	struct lab_device *dev = file->private;

	guard(mutex)(&dev->wire->lock);
	cx_show_commands(dev, file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cx_commands);

static void cx_add_files(struct lab_device *dev, struct dentry *dir)
{
	debugfs_create_file("flows", 0400, dir, dev, &cx_flows_fops);
	debugfs_create_file("commands", 0400, dir, dev, &cx_commands_fops);
}

const struct lab_kind lab_mlx5 = {
	.name		= "mlx5",
	.vendor		= PCI_VENDOR_ID_MELLANOX,
	.device		= CX_PCI_ID,
	.subvendor	= PCI_VENDOR_ID_MELLANOX,
	.subdevice	= 0x0008,
	.class_revision	= PCI_CLASS_NETWORK_ETHERNET << 16,
	.bar_size	= { LAB_WINDOW },
	.msix_bar	= 0,
	.msix_table	= CX_MSIX_TABLE,
	.msix_pba	= CX_MSIX_PBA,
	.state_size	= sizeof(struct cx_state),
	.start		= cx_start,
	.stop		= cx_stop,
	.poll		= cx_poll,
	.raise		= cx_raise,
	.receive	= cx_receive,
	.link_changed	= cx_link_changed,
	.break_down	= cx_break_down,
	.show		= cx_show,
	.add_files	= cx_add_files,
	.vectors	= cx_vectors,
};
