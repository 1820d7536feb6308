// SPDX-License-Identifier: GPL-2.0
/* A wire: two devices, and the thread that emulates both. */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "device.h"
#include "wire.h"

struct lab_wire *lab_wires[LAB_MAX_WIRES];

struct lab_device *lab_device_at(unsigned int slot)
{
	struct lab_wire *wire = slot / 2 < LAB_MAX_WIRES ? lab_wires[slot / 2] : NULL;

	return wire ? wire->end[slot % 2] : NULL;
}

void lab_count_drop(struct lab_device *dev, enum lab_drop why)
{
	dev->dropped[why]++;
}

/* Applies the faults to a packet, once even if it is sent again. True: it is lost. */
static bool lab_spoil(struct lab_device *to, struct lab_hold *hold, struct lab_packet *packet)
{
	if (hold->since) {
		packet->corrupt = hold->corrupt;
		packet->unsplit = hold->unsplit;
		return false;
	}
	if (!lab_is_tcp(packet) || !lab_payload_len(packet))
		return false;
	packet->corrupt = lab_knob_nth(to, LAB_CORRUPT_NTH);
	packet->unsplit = lab_knob_nth(to, LAB_UNSPLIT_NTH);
	return lab_knob_nth(to, LAB_DROP_NTH);
}

enum lab_fate lab_send(struct lab_device *dev, struct lab_hold *hold, struct lab_packet *packet)
{
	struct lab_device *to = dev->peer;
	enum lab_fate fate = LAB_DONE;

	packet->corrupt = false;
	packet->unsplit = false;
	lab_parse(packet);
	packet->last_chance = hold->since &&
			      time_after(jiffies, hold->since + msecs_to_jiffies(lab_hold_ms));
	if (!dev->link || !to->link)
		lab_count_drop(to, LAB_DROP_DOWN);
	else if (lab_spoil(to, hold, packet))
		lab_count_drop(to, LAB_DROP_FAULT);
	else
		fate = to->kind->receive(to, packet);

	if (fate == LAB_DONE) {
		hold->since = 0;
	} else if (!hold->since) {
		hold->since = jiffies ?: 1;
		hold->corrupt = packet->corrupt;
		hold->unsplit = packet->unsplit;
	}
	return fate;
}

static bool lab_round(struct lab_wire *wire)
{
	bool busy = false;
	int i;

	guard(mutex)(&wire->lock);
	for (i = 0; i < 2; i++)
		busy |= wire->end[i]->kind->poll(wire->end[i]);
	for (i = 0; i < 2; i++) {
		wire->end[i]->kind->raise(wire->end[i]);
		lab_vectors_unmasked(wire->end[i]);
	}
	wire->rounds++;
	wire->busy_rounds += busy;
	return busy;
}

/* Sleeps an eighth of the time since the last event: an idle wire needs almost no processor
 * time, and the delay of the next packet is at most a part of the pause before it.
 */
static void lab_rest(ktime_t busy_at)
{
	u64 idle = ktime_us_delta(ktime_get(), busy_at) / 8;
	unsigned int us = clamp_t(u64, idle, lab_poll_us, lab_idle_ms * USEC_PER_MSEC);

	usleep_range(us, us + us / 4);
}

static int lab_play(void *data)
{
	struct lab_wire *wire = data;
	ktime_t busy_at = ktime_get();
	unsigned int idle = 0;

	while (!kthread_should_stop()) {
		if (lab_round(wire)) {
			busy_at = ktime_get();
			idle = 0;
			cond_resched();
		} else if (++idle < 4) {
			cpu_relax();
		} else {
			lab_rest(busy_at);
		}
	}
	return 0;
}

static struct lab_device *lab_device_create(struct lab_wire *wire, unsigned int end,
					    const struct lab_kind *kind)
{
	struct lab_device *dev = kvzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	dev->kind = kind;
	dev->wire = wire;
	dev->slot = 2 * wire->index + end;
	dev->link = true;
	snprintf(dev->name, sizeof(dev->name), "w%u%c", wire->index, 'a' + end);
	dev->state = kvzalloc(kind->state_size, GFP_KERNEL);
	if (!dev->state) {
		kvfree(dev);
		return NULL;
	}
	return dev;
}

static void lab_device_destroy(struct lab_device *dev)
{
	if (!dev)
		return;
	if (dev->started)
		dev->kind->stop(dev);
	lab_device_unmap(dev);
	kvfree(dev->state);
	kvfree(dev);
}

static int lab_device_start(struct lab_device *dev)
{
	int err = lab_device_map(dev);

	if (err)
		return err;
	dev->started = true;
	return dev->kind->start(dev);
}

int lab_wire_create(unsigned int index, const struct lab_kind *near, const struct lab_kind *far)
{
	const struct lab_kind *kind[2] = { near, far };
	struct lab_wire *wire = kzalloc(sizeof(*wire), GFP_KERNEL);
	int i, err;

	if (!wire)
		return -ENOMEM;
	mutex_init(&wire->lock);
	wire->index = index;
	lab_wires[index] = wire;
	for (i = 0; i < 2; i++) {
		wire->end[i] = lab_device_create(wire, i, kind[i]);
		if (!wire->end[i])
			return -ENOMEM;
	}
	for (i = 0; i < 2; i++) {
		wire->end[i]->peer = wire->end[!i];
		err = lab_device_start(wire->end[i]);
		if (err)
			return err;
	}
	return 0;
}

int lab_wire_start(struct lab_wire *wire)
{
	struct task_struct *thread = kthread_run(lab_play, wire, LAB_NAME "/%u", wire->index);

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wire->thread = thread;
	return 0;
}

void lab_wire_stop(struct lab_wire *wire)
{
	if (wire->thread)
		kthread_stop(wire->thread);
	wire->thread = NULL;
}

void lab_wire_destroy(unsigned int index)
{
	struct lab_wire *wire = lab_wires[index];

	if (!wire)
		return;
	lab_device_destroy(wire->end[0]);
	lab_device_destroy(wire->end[1]);
	lab_wires[index] = NULL;
	mutex_destroy(&wire->lock);
	kfree(wire);
}
