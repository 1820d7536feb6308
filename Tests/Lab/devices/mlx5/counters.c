// SPDX-License-Identifier: GPL-2.0
/* The counters that the driver reads: those of the port, the vport, queues and flows. */
#include <linux/etherdevice.h>
#include <linux/seq_file.h>

#include "mlx5.h"

#define CX_FILE		13
#define CX_PRIORITY	0	/* all traffic has it */

/* The upper bounds of the size classes of RFC 2819 and of larger ones. */
static const u16 cx_size_limits[CX_SIZES - 1] = { 64, 127, 255, 511, 1023, 1518, 2047, 4095, 8191 };

u32 cx_frames(const struct lab_packet *packet)
{
	u32 payload = lab_payload_len(packet);

	return packet->mss && lab_has_ports(packet) && payload ?
	       DIV_ROUND_UP(payload, packet->mss) : 1;
}

u32 cx_octets(const struct lab_packet *packet)
{
	return cx_frames(packet) * packet->header_len + lab_payload_len(packet);
}

static enum cx_cast cx_cast(const struct lab_packet *packet)
{
	if (is_broadcast_ether_addr(packet->header))
		return CX_BROADCAST;
	return is_multicast_ether_addr(packet->header) ? CX_MULTICAST : CX_UNICAST;
}

static void cx_count_frames(struct cx_traffic *traffic, const struct lab_packet *packet)
{
	traffic += cx_cast(packet);
	traffic->packets += cx_frames(packet);
	traffic->octets += cx_octets(packet) + cx_frames(packet) * CX_FCS;
}

static void cx_count_size(struct cx_port *port, u32 len, u32 frames)
{
	u32 i = 0;

	while (i < CX_SIZES - 1 && len + CX_FCS > cx_size_limits[i])
		i++;
	port->rx_sizes[i] += frames;
}

void cx_count_tx(struct lab_device *dev, const struct lab_packet *packet)
{
	cx_count_frames(cx_of(dev)->port.tx, packet);
}

void cx_count_rx(struct lab_device *dev, const struct lab_packet *packet)
{
	struct cx_port *port = &cx_of(dev)->port;
	u32 frames = cx_frames(packet), last = packet->len;

	cx_count_frames(port->rx, packet);
	if (frames > 1) {
		cx_count_size(port, packet->header_len + packet->mss, frames - 1);
		last -= (frames - 1) * packet->mss;
	}
	cx_count_size(port, last, 1);
}

static struct cx_traffic cx_sum(const struct cx_traffic *traffic)
{
	struct cx_traffic sum = {};
	int cast;

	for (cast = 0; cast < CX_CASTS; cast++) {
		sum.packets += traffic[cast].packets;
		sum.octets += traffic[cast].octets;
	}
	return sum;
}

/* In registers each counter is two words. */
#define CX_PUT(layout, field, value) \
	put_unaligned_be64(value, to + MLX5_BYTE_OFF(layout, field##_high))
#define CX_PUT_802_3(field, value)	CX_PUT(eth_802_3_cntrs_grp_data_layout, field, value)
#define CX_PUT_2863(field, value)	CX_PUT(eth_2863_cntrs_grp_data_layout, field, value)
#define CX_PUT_2819(field, value)	CX_PUT(eth_2819_cntrs_grp_data_layout, field, value)
#define CX_PUT_PRIORITY(field, value)	CX_PUT(eth_per_prio_grp_data_layout, field, value)

static void cx_put_802_3(const struct cx_port *port, u8 *to)
{
	struct cx_traffic rx = cx_sum(port->rx), tx = cx_sum(port->tx);

	CX_PUT_802_3(a_frames_transmitted_ok, tx.packets);
	CX_PUT_802_3(a_octets_transmitted_ok, tx.octets);
	CX_PUT_802_3(a_multicast_frames_xmitted_ok, port->tx[CX_MULTICAST].packets);
	CX_PUT_802_3(a_broadcast_frames_xmitted_ok, port->tx[CX_BROADCAST].packets);
	CX_PUT_802_3(a_frames_received_ok, rx.packets);
	CX_PUT_802_3(a_octets_received_ok, rx.octets);
	CX_PUT_802_3(a_multicast_frames_received_ok, port->rx[CX_MULTICAST].packets);
	CX_PUT_802_3(a_broadcast_frames_received_ok, port->rx[CX_BROADCAST].packets);
	CX_PUT_802_3(a_frame_too_long_errors, port->rx_too_long);
}

static void cx_put_2863(const struct cx_port *port, u8 *to)
{
	CX_PUT_2863(if_in_octets, cx_sum(port->rx).octets);
	CX_PUT_2863(if_in_ucast_pkts, port->rx[CX_UNICAST].packets);
	CX_PUT_2863(if_in_multicast_pkts, port->rx[CX_MULTICAST].packets);
	CX_PUT_2863(if_in_broadcast_pkts, port->rx[CX_BROADCAST].packets);
	CX_PUT_2863(if_in_discards, port->rx_discards);
	CX_PUT_2863(if_in_errors, port->rx_too_long);
	CX_PUT_2863(if_out_octets, cx_sum(port->tx).octets);
	CX_PUT_2863(if_out_ucast_pkts, port->tx[CX_UNICAST].packets);
	CX_PUT_2863(if_out_multicast_pkts, port->tx[CX_MULTICAST].packets);
	CX_PUT_2863(if_out_broadcast_pkts, port->tx[CX_BROADCAST].packets);
	CX_PUT_2863(if_out_discards, port->tx_down);
}

static void cx_put_2819(const struct cx_port *port, u8 *to)
{
	struct cx_traffic rx = cx_sum(port->rx);

	CX_PUT_2819(ether_stats_drop_events, port->rx_discards);
	CX_PUT_2819(ether_stats_octets, rx.octets);
	CX_PUT_2819(ether_stats_pkts, rx.packets);
	CX_PUT_2819(ether_stats_broadcast_pkts, port->rx[CX_BROADCAST].packets);
	CX_PUT_2819(ether_stats_multicast_pkts, port->rx[CX_MULTICAST].packets);
	CX_PUT_2819(ether_stats_oversize_pkts, port->rx_too_long);
	CX_PUT_2819(ether_stats_pkts64octets, port->rx_sizes[0]);
	CX_PUT_2819(ether_stats_pkts65to127octets, port->rx_sizes[1]);
	CX_PUT_2819(ether_stats_pkts128to255octets, port->rx_sizes[2]);
	CX_PUT_2819(ether_stats_pkts256to511octets, port->rx_sizes[3]);
	CX_PUT_2819(ether_stats_pkts512to1023octets, port->rx_sizes[4]);
	CX_PUT_2819(ether_stats_pkts1024to1518octets, port->rx_sizes[5]);
	CX_PUT_2819(ether_stats_pkts1519to2047octets, port->rx_sizes[6]);
	CX_PUT_2819(ether_stats_pkts2048to4095octets, port->rx_sizes[7]);
	CX_PUT_2819(ether_stats_pkts4096to8191octets, port->rx_sizes[8]);
	CX_PUT_2819(ether_stats_pkts8192to10239octets, port->rx_sizes[9]);
}

static void cx_put_priority(const struct cx_port *port, u8 *to)
{
	struct cx_traffic rx = cx_sum(port->rx), tx = cx_sum(port->tx);

	CX_PUT_PRIORITY(rx_octets, rx.octets);
	CX_PUT_PRIORITY(rx_frames, rx.packets);
	CX_PUT_PRIORITY(rx_discards, port->rx_discards);
	CX_PUT_PRIORITY(tx_octets, tx.octets);
	CX_PUT_PRIORITY(tx_frames, tx.packets);
}

/* Groups without any counter are all zeros. */
void cx_read_ppcnt(struct lab_device *dev, const u8 *in, u8 *out)
{
	const struct cx_port *port = &cx_of(dev)->port;
	u8 *to = MLX5_ADDR_OF(ppcnt_reg, out, counter_set);

	memcpy(out, in, MLX5_BYTE_OFF(ppcnt_reg, counter_set));
	switch (MLX5_GET(ppcnt_reg, in, grp)) {
	case MLX5_IEEE_802_3_COUNTERS_GROUP:
		cx_put_802_3(port, to);
		break;
	case MLX5_RFC_2863_COUNTERS_GROUP:
		cx_put_2863(port, to);
		break;
	case MLX5_RFC_2819_COUNTERS_GROUP:
		cx_put_2819(port, to);
		break;
	case MLX5_PER_PRIORITY_COUNTERS_GROUP:
		if (MLX5_GET(ppcnt_reg, in, prio_tc) == CX_PRIORITY)
			cx_put_priority(port, to);
		break;
	case MLX5_PHYSICAL_LAYER_COUNTERS_GROUP:
		MLX5_SET(phys_layer_cntrs, to, link_down_events, port->link_downs);
		break;
	}
}

/* Counters of queues and of flows are objects. */

u8 cx_alloc_q_counter(struct lab_device *dev, struct cx_message *m)
{
	u8 status;

	cx_create(dev, m, CX_Q_COUNTER, &status);
	return status;
}

u8 cx_dealloc_q_counter(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_Q_COUNTER,
			  MLX5_GET(dealloc_q_counter_in, m->in, counter_set_id));
}

u8 cx_query_q_counter(struct lab_device *dev, struct cx_message *m)
{
	struct cx_q_counter *counter = cx_find(dev, CX_Q_COUNTER,
			MLX5_GET(query_q_counter_in, m->in, counter_set_id));

	if (!counter)
		return CX_REFUSE(m, BAD_RES_ERR);
	MLX5_SET(query_q_counter_out, m->out, out_of_buffer, counter->out_of_buffer);
	if (MLX5_GET(query_q_counter_in, m->in, clear))
		counter->out_of_buffer = 0;
	return 0;
}

u8 cx_alloc_flow_counter(struct lab_device *dev, struct cx_message *m)
{
	u8 status;

	/* One at a time. */
	if (MLX5_GET(alloc_flow_counter_in, m->in, flow_counter_bulk))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	cx_create(dev, m, CX_FLOW_COUNTER, &status);
	return status;
}

u8 cx_dealloc_flow_counter(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_FLOW_COUNTER,
			  MLX5_GET(dealloc_flow_counter_in, m->in, flow_counter_id));
}

u8 cx_query_flow_counter(struct lab_device *dev, struct cx_message *m)
{
	u32 id = MLX5_GET(query_flow_counter_in, m->in, flow_counter_id);
	u32 n = max(1U, MLX5_GET(query_flow_counter_in, m->in, num_of_counters)), i;
	u8 *to = MLX5_ADDR_OF(query_flow_counter_out, m->out, flow_statistics);

	if (m->out_len < MLX5_ST_SZ_BYTES(query_flow_counter_out) +
				 n * MLX5_ST_SZ_BYTES(traffic_counter))
		return CX_REFUSE(m, BAD_OUTP_LEN_ERR);
	for (i = 0; i < n; i++, to += MLX5_ST_SZ_BYTES(traffic_counter)) {
		struct cx_flow_counter *counter = cx_find(dev, CX_FLOW_COUNTER, id + i);

		if (!counter)
			return CX_REFUSE(m, BAD_RES_ERR);
		MLX5_SET64(traffic_counter, to, packets, counter->traffic.packets);
		MLX5_SET64(traffic_counter, to, octets, counter->traffic.octets);
		if (MLX5_GET(query_flow_counter_in, m->in, clear))
			counter->traffic = (struct cx_traffic) {};
	}
	return 0;
}

/* The vport sees what the port sees, without the FCS. */
#define CX_PUT_VPORT(field, traffic)						\
	do {									\
		MLX5_SET64(query_vport_counter_out, m->out, field.packets, (traffic).packets); \
		MLX5_SET64(query_vport_counter_out, m->out, field.octets,	\
			   (traffic).octets - (traffic).packets * CX_FCS);	\
	} while (0)

u8 cx_query_vport_counter(struct lab_device *dev, struct cx_message *m)
{
	const struct cx_port *port = &cx_of(dev)->port;

	CX_PUT_VPORT(received_eth_unicast, port->rx[CX_UNICAST]);
	CX_PUT_VPORT(received_eth_multicast, port->rx[CX_MULTICAST]);
	CX_PUT_VPORT(received_eth_broadcast, port->rx[CX_BROADCAST]);
	CX_PUT_VPORT(transmitted_eth_unicast, port->tx[CX_UNICAST]);
	CX_PUT_VPORT(transmitted_eth_multicast, port->tx[CX_MULTICAST]);
	CX_PUT_VPORT(transmitted_eth_broadcast, port->tx[CX_BROADCAST]);
	return 0;
}

u8 cx_query_vnic_env(struct lab_device *dev, struct cx_message *m)
{
	const struct cx_state *cx = cx_of(dev);
	u8 *to = MLX5_ADDR_OF(query_vnic_env_out, m->out, vport_env);

	MLX5_SET64(vnic_diagnostic_statistics, to, nic_receive_steering_discard,
		   cx->port.steering_discards);
	MLX5_SET64(vnic_diagnostic_statistics, to, receive_discard_vport_down, cx->port.rx_down);
	MLX5_SET64(vnic_diagnostic_statistics, to, transmit_discard_vport_down, cx->port.tx_down);
	MLX5_SET(vnic_diagnostic_statistics, to, invalid_command, cx->invalid_commands);
	MLX5_SET(vnic_diagnostic_statistics, to, cq_overrun, cx->cq_overruns);
	return 0;
}

void cx_show_counters(struct lab_device *dev, struct seq_file *file)
{
	const struct cx_port *port = &cx_of(dev)->port;
	struct cx_traffic rx = cx_sum(port->rx), tx = cx_sum(port->tx);

	seq_printf(file, "port %s, link %s, mtu %u\n", port->up ? "up" : "down",
		   cx_link_up(dev) ? "up" : "down", port->mtu);
	seq_printf(file, "received %llu frames %llu octets, sent %llu frames %llu octets\n",
		   rx.packets, rx.octets, tx.packets, tx.octets);
	seq_printf(file, "too long %llu, steered nowhere %llu, no buffers %llu, overruns %llu, interrupts %llu\n",
		   port->rx_too_long, port->steering_discards, port->rx_discards,
		   cx_of(dev)->cq_overruns, cx_of(dev)->interrupts);
}
