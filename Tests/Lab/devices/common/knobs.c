// SPDX-License-Identifier: GPL-2.0
/* Fault injection and the other files of a device in debugfs. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "device.h"
#include "knobs.h"

static const char *const lab_knob_names[LAB_KNOBS] = {
	[LAB_DROP_NTH]			= "drop_nth",
	[LAB_CORRUPT_NTH]		= "corrupt_nth",
	[LAB_UNSPLIT_NTH]		= "unsplit_nth",
	[LAB_WRONG_GENERATION_NTH]	= "wrong_generation_nth",
	[LAB_LOSE_COMPLETION_NTH]	= "lose_completion_nth",
	[LAB_FAIL_COMMAND]		= "fail_command",
	[LAB_HANG_COMMAND]		= "hang_command",
	[LAB_FAIL_QUEUE_CREATE]		= "fail_queue_create",
	[LAB_FAIL_AFTER]		= "fail_after",
	[LAB_FAIL_OPCODE]		= "fail_opcode",
};

static const char *const lab_drop_names[LAB_DROPS] = {
	[LAB_DROP_DOWN]		= "down",
	[LAB_DROP_QUEUE]	= "no_queue",
	[LAB_DROP_BUFFERS]	= "no_buffers",
	[LAB_DROP_OVERSIZE]	= "too_long",
	[LAB_DROP_FAULT]	= "fault",
	[LAB_DROP_BROKEN]	= "broken",
};

static struct dentry *lab_root;

bool lab_knob_nth(struct lab_device *dev, enum lab_knob knob)
{
	u32 nth = dev->knob[knob];

	return nth && ++dev->seen[knob] % nth == 0;
}

bool lab_knob_use(struct lab_device *dev, enum lab_knob knob)
{
	if (!dev->knob[knob])
		return false;
	dev->knob[knob]--;
	return true;
}

enum lab_command_fault lab_knob_command(struct lab_device *dev, u32 opcode)
{
	const u32 *knob = dev->knob;

	if (!knob[LAB_FAIL_COMMAND] && !knob[LAB_HANG_COMMAND])
		return LAB_COMMAND_WELL;
	if (knob[LAB_FAIL_OPCODE] && knob[LAB_FAIL_OPCODE] != opcode)
		return LAB_COMMAND_WELL;
	if (lab_knob_use(dev, LAB_FAIL_AFTER))
		return LAB_COMMAND_WELL;
	if (lab_knob_use(dev, LAB_HANG_COMMAND))
		return LAB_COMMAND_HANGS;
	lab_knob_use(dev, LAB_FAIL_COMMAND);
	return LAB_COMMAND_FAILS;
}

static int lab_knob_get(void *data, u64 *value)
{
	struct lab_knob_file *file = data;

	guard(mutex)(&file->dev->wire->lock);
	*value = file->dev->knob[file->knob];
	return 0;
}

/* Every change restarts the counts of all knobs, so that a test knows which packet it hits. */
static int lab_knob_set(void *data, u64 value)
{
	struct lab_knob_file *file = data;

	if (value > INT_MAX)
		return -ERANGE;
	guard(mutex)(&file->dev->wire->lock);
	file->dev->knob[file->knob] = value;
	memset(file->dev->seen, 0, sizeof(file->dev->seen));
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(lab_knob_fops, lab_knob_get, lab_knob_set, "%llu\n");

static int lab_link_get(void *data, u64 *value)
{
	struct lab_device *dev = data;

	guard(mutex)(&dev->wire->lock);
	*value = dev->link;
	return 0;
}

static int lab_link_set(void *data, u64 value)
{
	struct lab_device *dev = data;

	if (value > 1)
		return -ERANGE;
	guard(mutex)(&dev->wire->lock);
	if (dev->link == value)
		return 0;
	dev->link = value;
	dev->kind->link_changed(dev);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(lab_link_fops, lab_link_get, lab_link_set, "%llu\n");

/* Reads as the number of resets. A script that resets all knobs writes 0, which is ignored. */
static int lab_reset_get(void *data, u64 *value)
{
	struct lab_device *dev = data;

	guard(mutex)(&dev->wire->lock);
	*value = dev->resets;
	return 0;
}

static int lab_reset_set(void *data, u64 value)
{
	struct lab_device *dev = data;

	if (value > 1)
		return -ERANGE;
	if (!value)
		return 0;
	guard(mutex)(&dev->wire->lock);
	dev->resets++;
	dev->kind->break_down(dev);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(lab_reset_fops, lab_reset_get, lab_reset_set, "%llu\n");

static int lab_state_show(struct seq_file *file, void *unused)
{
	struct lab_device *dev = file->private;
	int i;

	guard(mutex)(&dev->wire->lock);
	seq_printf(file, "%s %s link %d rounds %llu busy %llu dropped", dev->name, dev->kind->name,
		   dev->link, dev->wire->rounds, dev->wire->busy_rounds);
	for (i = 0; i < LAB_DROPS; i++)
		seq_printf(file, " %s %llu", lab_drop_names[i], dev->dropped[i]);
	seq_puts(file, "\n");
	for (i = 0; i < (int)dev->kind->vectors(); i++)
		if (dev->vector[i].raised)
			seq_printf(file, "vector %d raised %llu%s\n", i, dev->vector[i].raised,
				   dev->vector[i].pending ? " pending" : "");
	dev->kind->show(dev, file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lab_state);

void lab_knobs_add(struct lab_device *dev)
{
	struct dentry *dir = debugfs_create_dir(dev->name, lab_root);
	int i;

	for (i = 0; i < LAB_KNOBS; i++) {
		dev->knob_file[i] = (struct lab_knob_file) { dev, i };
		debugfs_create_file_unsafe(lab_knob_names[i], 0600, dir, &dev->knob_file[i],
					   &lab_knob_fops);
	}
	debugfs_create_file_unsafe("link", 0600, dir, dev, &lab_link_fops);
	debugfs_create_file_unsafe("reset", 0600, dir, dev, &lab_reset_fops);
	debugfs_create_file("state", 0400, dir, dev, &lab_state_fops);
	if (dev->kind->add_files)
		dev->kind->add_files(dev, dir);
}

void lab_knobs_create(void)
{
	lab_root = debugfs_create_dir(LAB_NAME, NULL);
}

void lab_knobs_remove(void)
{
	debugfs_remove_recursive(lab_root);
}
