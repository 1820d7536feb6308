// SPDX-License-Identifier: GPL-2.0
/* Opens and closes all queues: with the interface, and around a setting for
 * which the manners do so.
 */
#include "labnic.h"

int labnic_open_queues(struct labnic_port *end)
{
	struct net_device *dev = end->dev;
	int err;

	err = labnic_rx_open(end, 0, dev->real_num_rx_queues);
	if (err)
		return err;
	labnic_tx_open(end);
	netif_tx_start_all_queues(dev);
	end->opened = true;
	return 0;
}

/* Queues that failed to open again are closed already. */
void labnic_close_queues(struct labnic_port *end)
{
	struct net_device *dev = end->dev;

	if (!end->opened)
		return;
	end->opened = false;
	netif_tx_disable(dev);
	labnic_tx_close(end);
	labnic_rx_close(end, 0, dev->real_num_rx_queues);
}

/* Returns the argument of labnic_blink_on(). */
bool labnic_blink_off(struct labnic_port *end, u32 events)
{
	bool was_on = netif_carrier_ok(end->dev);

	if (!(end->manners->blinks & events))
		return false;
	netif_carrier_off(end->dev);
	return was_on;
}

void labnic_blink_on(struct labnic_port *end, bool was_on)
{
	if (was_on && netif_running(end->peer->dev))
		netif_carrier_on(end->dev);
}

/* Closes the queues if the manners do so for one of the events. */
void labnic_close_for(struct labnic_port *end, u32 events)
{
	if (!end->opened || !(end->manners->reopens & events))
		return;
	end->blinked_off = labnic_blink_off(end, events);
	labnic_close_queues(end);
}

/* Opens the queues that labnic_close_for() closed. If one cannot be opened
 * again, the interface stays down, as with bnxt.
 */
int labnic_reopen_after(struct labnic_port *end)
{
	struct net_device *dev = end->dev;
	int err;

	if (end->opened || !netif_running(dev))
		return 0;
	labnic_stats_reopen(end);
	err = labnic_open_queues(end);
	if (err) {
		netdev_err(dev, "the queues do not open again (%d)\n", err);
		netif_close(dev);
		return err;
	}
	labnic_blink_on(end, end->blinked_off);
	return 0;
}
