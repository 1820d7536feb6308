// SPDX-License-Identifier: GPL-2.0
/* The functions that execute the commands, and the commands' minimum lengths. */
#include <linux/bsearch.h>

#include "mlx5.h"

#define CX_COMMAND(op, layout, function) {					\
	.opcode = MLX5_CMD_OP_##op, .name = #op,				\
	.in_min = MLX5_ST_SZ_BYTES(layout##_in),				\
	.out_min = MLX5_ST_SZ_BYTES(layout##_out), .run = function }

/* Sorted by opcode, for the search. */
static const struct cx_command cx_command_table[] = {
	CX_COMMAND(QUERY_HCA_CAP, cx, cx_query_hca_cap),
	CX_COMMAND(QUERY_ADAPTER, query_adapter, cx_query_adapter),
	CX_COMMAND(INIT_HCA, init_hca, cx_init_hca),
	CX_COMMAND(TEARDOWN_HCA, teardown_hca, cx_teardown_hca),
	CX_COMMAND(ENABLE_HCA, enable_hca, cx_enable_hca),
	CX_COMMAND(DISABLE_HCA, disable_hca, cx_disable_hca),
	CX_COMMAND(QUERY_PAGES, query_pages, cx_nothing),	/* it needs none */
	CX_COMMAND(SET_HCA_CAP, cx, cx_set_hca_cap),
	CX_COMMAND(QUERY_ISSI, query_issi, cx_query_issi),
	CX_COMMAND(SET_ISSI, set_issi, cx_set_issi),
	CX_COMMAND(SET_DRIVER_VERSION, set_driver_version, cx_nothing),
	CX_COMMAND(CREATE_MKEY, create_mkey, cx_create_mkey),
	CX_COMMAND(DESTROY_MKEY, destroy_mkey, cx_destroy_mkey),
	CX_COMMAND(CREATE_EQ, create_eq, cx_create_eq),
	CX_COMMAND(DESTROY_EQ, destroy_eq, cx_destroy_eq),
	CX_COMMAND(QUERY_EQ, query_eq, cx_query_eq),
	CX_COMMAND(CREATE_CQ, create_cq, cx_create_cq),
	CX_COMMAND(DESTROY_CQ, destroy_cq, cx_destroy_cq),
	CX_COMMAND(QUERY_CQ, query_cq, cx_query_cq),
	CX_COMMAND(MODIFY_CQ, modify_cq, cx_modify_cq),
	CX_COMMAND(QUERY_VPORT_STATE, query_vport_state, cx_query_vport_state),
	CX_COMMAND(QUERY_NIC_VPORT_CONTEXT, query_nic_vport_context, cx_query_nic_vport),
	CX_COMMAND(MODIFY_NIC_VPORT_CONTEXT, modify_nic_vport_context, cx_modify_nic_vport),
	CX_COMMAND(QUERY_VNIC_ENV, query_vnic_env, cx_query_vnic_env),
	CX_COMMAND(QUERY_VPORT_COUNTER, query_vport_counter, cx_query_vport_counter),
	CX_COMMAND(ALLOC_Q_COUNTER, alloc_q_counter, cx_alloc_q_counter),
	CX_COMMAND(DEALLOC_Q_COUNTER, dealloc_q_counter, cx_dealloc_q_counter),
	CX_COMMAND(QUERY_Q_COUNTER, query_q_counter, cx_query_q_counter),
	CX_COMMAND(ALLOC_PD, alloc_pd, cx_alloc_pd),
	CX_COMMAND(DEALLOC_PD, dealloc_pd, cx_dealloc_pd),
	CX_COMMAND(ALLOC_UAR, alloc_uar, cx_alloc_uar),
	CX_COMMAND(DEALLOC_UAR, dealloc_uar, cx_dealloc_uar),
	CX_COMMAND(ACCESS_REG, access_register, cx_access_register),
	CX_COMMAND(ALLOC_TRANSPORT_DOMAIN, alloc_transport_domain, cx_alloc_td),
	CX_COMMAND(DEALLOC_TRANSPORT_DOMAIN, dealloc_transport_domain, cx_dealloc_td),
	CX_COMMAND(CREATE_TIR, create_tir, cx_create_tir),
	CX_COMMAND(MODIFY_TIR, modify_tir, cx_modify_tir),
	CX_COMMAND(DESTROY_TIR, destroy_tir, cx_destroy_tir),
	CX_COMMAND(CREATE_SQ, create_sq, cx_create_sq),
	CX_COMMAND(MODIFY_SQ, modify_sq, cx_modify_sq),
	CX_COMMAND(DESTROY_SQ, destroy_sq, cx_destroy_sq),
	CX_COMMAND(QUERY_SQ, query_sq, cx_query_sq),
	CX_COMMAND(CREATE_RQ, create_rq, cx_create_rq),
	CX_COMMAND(MODIFY_RQ, modify_rq, cx_modify_rq),
	CX_COMMAND(DESTROY_RQ, destroy_rq, cx_destroy_rq),
	CX_COMMAND(QUERY_RQ, query_rq, cx_query_rq),
	CX_COMMAND(CREATE_TIS, create_tis, cx_create_tis),
	CX_COMMAND(DESTROY_TIS, destroy_tis, cx_destroy_tis),
	CX_COMMAND(CREATE_RQT, create_rqt, cx_create_rqt),
	CX_COMMAND(MODIFY_RQT, modify_rqt, cx_modify_rqt),
	CX_COMMAND(DESTROY_RQT, destroy_rqt, cx_destroy_rqt),
	CX_COMMAND(SET_FLOW_TABLE_ROOT, set_flow_table_root, cx_set_root),
	CX_COMMAND(CREATE_FLOW_TABLE, create_flow_table, cx_create_table),
	CX_COMMAND(DESTROY_FLOW_TABLE, destroy_flow_table, cx_destroy_table),
	CX_COMMAND(CREATE_FLOW_GROUP, create_flow_group, cx_create_group),
	CX_COMMAND(DESTROY_FLOW_GROUP, destroy_flow_group, cx_destroy_group),
	CX_COMMAND(SET_FLOW_TABLE_ENTRY, set_fte, cx_set_entry),
	CX_COMMAND(DELETE_FLOW_TABLE_ENTRY, delete_fte, cx_delete_entry),
	CX_COMMAND(ALLOC_FLOW_COUNTER, alloc_flow_counter, cx_alloc_flow_counter),
	CX_COMMAND(DEALLOC_FLOW_COUNTER, dealloc_flow_counter, cx_dealloc_flow_counter),
	CX_COMMAND(QUERY_FLOW_COUNTER, query_flow_counter, cx_query_flow_counter),
	CX_COMMAND(MODIFY_FLOW_TABLE, modify_flow_table, cx_modify_table),
};

static int cx_command_compare(const void *key, const void *element)
{
	return *(const u16 *)key - ((const struct cx_command *)element)->opcode;
}

const struct cx_command *cx_command_find(u16 opcode)
{
	return bsearch(&opcode, cx_command_table, ARRAY_SIZE(cx_command_table),
		       sizeof(cx_command_table[0]), cx_command_compare);
}
