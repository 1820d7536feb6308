// SPDX-License-Identifier: GPL-2.0
/* The capabilities of the device. The driver uses some of them as soon as they are
 * reported, so only what the device can do is reported: no eswitch, no
 * RoCE, no SR-IOV, no tunnels, no LRO, no compressed completions, no clock.
 */
#include <linux/cpumask.h>
#include <linux/mlx5/vport.h>

#include "mlx5.h"

#define CX_FILE		2
#define CX_ASYNC_EQS	4	/* used by the driver for events other than completions */
#define CX_OFFERED(layout, field, value)	MLX5_SET(layout, to, field, value)
#define CX_GENERAL(field, value)	CX_OFFERED(cmd_hca_cap, field, value)
#define CX_GENERAL_2(field, value)	CX_OFFERED(cmd_hca_cap_2, field, value)
#define CX_ETHERNET(field, value)	\
	CX_OFFERED(per_protocol_networking_offload_caps, field, value)
#define CX_FLOW(field, value)		CX_OFFERED(flow_table_prop_layout, field, value)
#define CX_SHAMPO(field, value)		CX_OFFERED(shampo_cap, field, value)

/* The driver uses num_ports completion vectors for each CPU, so this value gives a
 * guest with few CPUs many channels. The number of event queues makes it exact.
 */
static void cx_offer_channels(u8 *to)
{
	CX_GENERAL(num_ports, DIV_ROUND_UP(cx_channel_count(), num_online_cpus()));
	CX_GENERAL(log_max_eq, 8);
	CX_GENERAL(max_num_eqs, cx_channel_count() + CX_ASYNC_EQS);
}

static void cx_offer_objects(u8 *to)
{
	CX_GENERAL(log_max_qp_sz, 15);
	CX_GENERAL(log_max_qp, 16);
	CX_GENERAL(log_max_srq_sz, 10);
	CX_GENERAL(log_max_srq, 10);
	CX_GENERAL(log_max_cq_sz, 22);
	CX_GENERAL(log_max_cq, 16);
	CX_GENERAL(log_max_eq_sz, 16);
	CX_GENERAL(log_max_mkey, 16);
	CX_GENERAL(log_max_transport_domain, 10);
	CX_GENERAL(log_max_pd, 10);
	CX_GENERAL(log_max_rq, 12);
	CX_GENERAL(log_max_sq, 12);
	CX_GENERAL(log_max_tir, 12);
	CX_GENERAL(log_max_tis, 12);
	CX_GENERAL(log_max_rqt, 10);
	CX_GENERAL(log_max_rqt_size, 11);
	CX_GENERAL(log_max_wq_sz, 15);
	CX_GENERAL(max_flow_counter_15_0, 0xffff);
	CX_GENERAL(log_max_vlan_list, 9);
	CX_GENERAL(log_max_current_mc_list, 8);
	CX_GENERAL(log_max_current_uc_list, 7);
	CX_GENERAL(log_max_l2_table, 7);
}

static void cx_offer_queues(u8 *to)
{
	CX_GENERAL(log_max_mrw_sz, 40);
	CX_GENERAL(log_max_klm_list_size, 16);
	CX_GENERAL(log_pg_sz, 12);
	CX_GENERAL(bf, 1);
	CX_GENERAL(log_bf_reg_size, 9);
	CX_GENERAL(max_wqe_sz_sq, CX_WQE_MAX);
	CX_GENERAL(max_wqe_sz_rq, 512);
	CX_GENERAL(basic_cyclic_rcv_wqe, 1);
	CX_GENERAL(striding_rq, 1);
	CX_GENERAL(ext_stride_num_range, 1);
	CX_GENERAL(log_max_stride_sz_rq, 13);
	CX_GENERAL(log_min_stride_sz_rq, 6);
	CX_GENERAL(log_max_stride_sz_sq, 6);
	CX_GENERAL(log_min_stride_sz_sq, 6);
	CX_GENERAL(umr_ptr_rlky, 1);
	CX_GENERAL(fixed_buffer_size, 1);
	CX_GENERAL(shampo, 1);
	CX_GENERAL(cqe_version, 1);
	CX_GENERAL(cq_moderation, 1);
	CX_GENERAL(cq_period_start_from_cqe, 1);
#ifdef CX_KNOWS_DEVMEM
	CX_GENERAL(tis_tir_td_order, 1);
#endif
}

static void cx_offer_general(u8 *to)
{
	cx_offer_channels(to);
	cx_offer_objects(to);
	cx_offer_queues(to);
	CX_GENERAL(vhca_id, 1);
	CX_GENERAL(hca_cap_2, 1);
	CX_GENERAL(port_type, MLX5_CAP_PORT_TYPE_ETH);
	CX_GENERAL(eth_net_offloads, 1);
	CX_GENERAL(nic_flow_table, 1);
	CX_GENERAL(max_tc, 8);
	CX_GENERAL(compact_address_vector, 1);
	CX_GENERAL(driver_version, 1);
	CX_GENERAL(disable_local_lb_uc, 1);
	CX_GENERAL(disable_local_lb_mc, 1);
	CX_GENERAL(vnic_env_queue_counters, 1);
	CX_GENERAL(nic_receive_steering_discard, 1);
	CX_GENERAL(receive_discard_vport_down, 1);
	CX_GENERAL(transmit_discard_vport_down, 1);
	CX_GENERAL(invalid_command_count, 1);
}

static void cx_offer_general_2(u8 *to)
{
	CX_GENERAL_2(min_mkey_log_entity_size_fixed_buffer_valid, 1);
	CX_GENERAL_2(min_mkey_log_entity_size_fixed_buffer, 8);
#ifdef CX_KNOWS_DEVMEM
	CX_GENERAL_2(max_mkey_log_entity_size_fixed_buffer, 20);
#endif
	CX_GENERAL_2(max_mkey_log_entity_size_mtt, 20);
	CX_GENERAL_2(log_min_mkey_entity_size, 12);
}

/* The driver requires vlan_cap. With it the device removes tags; the driver inserts them
 * itself.
 */
static void cx_offer_ethernet(u8 *to)
{
	CX_ETHERNET(csum_cap, 1);
	CX_ETHERNET(cqe_checksum_full, 1);
	CX_ETHERNET(vlan_cap, 1);
	CX_ETHERNET(self_lb_en_modifiable, 1);
	CX_ETHERNET(max_lso_cap, 16);
	CX_ETHERNET(wqe_inline_mode, MLX5_CAP_INLINE_MODE_NOT_REQUIRED);
	CX_ETHERNET(enhanced_multi_pkt_send_wqe, 1);
	CX_ETHERNET(rss_ind_tbl_cap, 11);
	CX_ETHERNET(reg_umr_sq, 1);
	CX_ETHERNET(lro_timer_supported_periods[0], 8);
	CX_ETHERNET(lro_timer_supported_periods[1], 16);
	CX_ETHERNET(lro_timer_supported_periods[2], 32);
	CX_ETHERNET(lro_timer_supported_periods[3], 1024);
}

static void cx_offer_flow_fields(u8 *to)
{
	CX_FLOW(ft_field_support.outer_dmac, 1);
	CX_FLOW(ft_field_support.outer_smac, 1);
	CX_FLOW(ft_field_support.outer_ether_type, 1);
	CX_FLOW(ft_field_support.outer_ip_version, 1);
	CX_FLOW(ft_field_support.outer_first_prio, 1);
	CX_FLOW(ft_field_support.outer_first_vid, 1);
	CX_FLOW(ft_field_support.outer_ip_protocol, 1);
	CX_FLOW(ft_field_support.outer_ip_dscp, 1);
	CX_FLOW(ft_field_support.outer_ip_ecn, 1);
	CX_FLOW(ft_field_support.outer_frag, 1);
	CX_FLOW(ft_field_support.outer_sip, 1);
	CX_FLOW(ft_field_support.outer_dip, 1);
	CX_FLOW(ft_field_support.outer_tcp_sport, 1);
	CX_FLOW(ft_field_support.outer_tcp_dport, 1);
	CX_FLOW(ft_field_support.outer_tcp_flags, 1);
	CX_FLOW(ft_field_support.outer_udp_sport, 1);
	CX_FLOW(ft_field_support.outer_udp_dport, 1);
}

static void cx_offer_flow_tables(u8 *capability)
{
	u8 *to = MLX5_ADDR_OF(flow_table_nic_cap, capability,
			      flow_table_properties_nic_receive);

	CX_FLOW(ft_support, 1);
	CX_FLOW(flow_counter, 1);
	CX_FLOW(flow_modify_en, 1);
	CX_FLOW(modify_root, 1);
	CX_FLOW(identified_miss_table_mode, 1);
	CX_FLOW(flow_table_modify, 1);
	CX_FLOW(log_max_ft_size, 16);
	CX_FLOW(max_ft_level, 64);
	CX_FLOW(log_max_ft_num, 8);
	CX_FLOW(log_max_destination, 0);
	CX_FLOW(log_max_flow, 16);
	cx_offer_flow_fields(to);
}

#ifdef CX_KNOWS_DEVMEM
static void cx_offer_shampo(u8 *to)
{
	CX_SHAMPO(shampo_log_max_reservation_size, 16);
	CX_SHAMPO(shampo_log_min_reservation_size, 12);
	CX_SHAMPO(shampo_min_mss_size, 536);
	CX_SHAMPO(shampo_header_split, 1);
	CX_SHAMPO(shampo_header_split_data_merge, 1);
	CX_SHAMPO(shampo_log_max_headers_entry_size, 8);
}
#endif

/* The message names a group of capabilities, and whether to return the supported ones
 * or the current ones. The driver may change only the general group.
 */
u8 cx_query_hca_cap(struct lab_device *dev, struct cx_message *m)
{
	u8 *to = MLX5_ADDR_OF(query_hca_cap_out, m->out, capability);

	if (m->out_len < MLX5_ST_SZ_BYTES(query_hca_cap_out))
		return CX_REFUSE(m, BAD_OUTP_LEN_ERR);
	switch (m->op_mod >> 1) {
	case MLX5_CAP_GENERAL:
		if ((m->op_mod & 1) == HCA_CAP_OPMOD_GET_CUR)
			memcpy(to, cx_of(dev)->general, sizeof(cx_of(dev)->general));
		else
			cx_offer_general(to);
		return 0;
	case MLX5_CAP_GENERAL_2:
		cx_offer_general_2(to);
		return 0;
	case MLX5_CAP_ETHERNET_OFFLOADS:
		cx_offer_ethernet(to);
		return 0;
	case MLX5_CAP_FLOW_TABLE:
		cx_offer_flow_tables(to);
		return 0;
#ifdef CX_KNOWS_DEVMEM
	case MLX5_CAP_SHAMPO:
		cx_offer_shampo(to);
		return 0;
#endif
	}
	return CX_REFUSE(m, BAD_PARAM_ERR);
}

u8 cx_set_hca_cap(struct lab_device *dev, struct cx_message *m)
{
	const u8 *from = MLX5_ADDR_OF(set_hca_cap_in, m->in, capability);
	struct cx_state *cx = cx_of(dev);

	if (m->op_mod >> 1 != MLX5_CAP_GENERAL)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (m->in_len < MLX5_BYTE_OFF(set_hca_cap_in, capability) + sizeof(cx->general))
		return CX_REFUSE(m, BAD_INP_LEN_ERR);
	/* Commands have no checksum, and UAR pages are 4 KiB. */
	if (MLX5_GET(cmd_hca_cap, from, cmdif_checksum) ||
	    MLX5_GET(cmd_hca_cap, from, log_uar_page_sz) ||
	    MLX5_GET(cmd_hca_cap, from, log_max_qp) >
	    MLX5_GET(cmd_hca_cap, cx->general, log_max_qp))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	memcpy(cx->general, from, sizeof(cx->general));
	return 0;
}

void cx_capabilities_reset(struct lab_device *dev)
{
	u8 *general = (u8 *)cx_of(dev)->general;

	memset(general, 0, sizeof(cx_of(dev)->general));
	cx_offer_general(general);
}
