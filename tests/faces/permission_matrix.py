"""Who may do what, as it was decided: written down here a second time, so that the code cannot change it alone."""

ROLES = ("viewer", "editor", "auditor", "data_engineer", "lead_data_engineer", "admin", "super_admin")

MATRIX = {
    "viewer editor auditor data_engineer lead_data_engineer admin super_admin": (
        "catalog.read assets.read datasets.read projects.read semantic.read agents.read"
    ),
    "viewer editor data_engineer lead_data_engineer admin super_admin": "query.run query.export agents.run",
    "editor data_engineer lead_data_engineer admin super_admin": (
        "records.write queries.manage assets.manage datasets.manage projects.manage semantic.edit"
    ),
    "auditor data_engineer lead_data_engineer admin super_admin": "pipelines.read jobs.read",
    "auditor admin super_admin": "audit.read tenant.read",
    "data_engineer lead_data_engineer admin super_admin": (
        "tables.maintain tables.evolve pipelines.edit pipelines.run approvals.comment evals.run notebooks.use"
    ),
    "lead_data_engineer admin super_admin": "pipelines.lead approvals.read catalog.manage",
    "admin super_admin": "approvals.decide agents.manage users.manage policies.manage tenant.manage",
    "super_admin": "platform.tenants platform.operate",
}
"""Roles, and the permissions that just these have."""

NEEDS = {
    "none": ("health ping accept_invitation reset_password request_password_reset"),
    "signed in": (
        "get_current_user create_token list_tokens revoke_token list_sessions revoke_session change_password"
        " get_result list_jobs get_job cancel_job watch_job list_schedules create_schedule delete_schedule"
        " search_tools call_tool call_write_tool"
    ),
    "catalog.read": (
        "list_connections get_connection get_catalog_config get_schema list_tables get_table list_columns"
        " list_lakehouse_tables get_table_schema search_catalog get_lineage request_access"
        " list_access_requests get_table_health list_snapshots list_table_refs get_maintenance_policy search"
        " fetch"
    ),
    "catalog.manage": (
        "create_connection update_connection delete_connection check_connection refresh_schema tag_column"
        " untag_column describe_table describe_column"
    ),
    "query.run": (
        "get_records get_record_by_id execute_query execute_query_stream cancel_query get_query_status"
        " build_query build_query_from_nl validate_query explain_query list_queries get_query run_query"
        " cancel_query_job list_query_jobs get_query_job list_query_jobs_by_query get_query_job_results"
        " chart_result query_metric link_question"
    ),
    "query.export": ("download_query_result create_export list_exports get_export download_export create_export_job"),
    "queries.manage": ("create_query update_query delete_query"),
    "records.write": ("insert_records update_records delete_records create_upload get_upload create_import_job"),
    "assets.read": ("list_assets get_asset search_documents list_passages"),
    "assets.manage": ("create_asset update_asset delete_asset tag_asset attach_document"),
    "projects.read": ("list_shares list_projects get_project list_project_agents"),
    "projects.manage": (
        "create_project update_project delete_project restore_project request_project_tenant request_project_dataset"
    ),
    "datasets.read": (
        "list_datasets get_dataset list_datasets_by_project list_managed_tables get_managed_table"
        " list_managed_tables_by_dataset list_import_jobs get_import_job list_import_jobs_by_table"
        " list_export_jobs get_export_job list_export_jobs_by_table"
    ),
    "datasets.manage": (
        "create_dataset update_dataset delete_dataset restore_dataset create_managed_table"
        " update_managed_table delete_managed_table restore_managed_table"
    ),
    "tables.maintain": (
        "compact_table expire_snapshots remove_orphan_files rewrite_manifests rollback_table create_table_ref"
        " delete_table_ref set_maintenance_policy"
    ),
    "tables.evolve": ("add_column rename_column drop_column alter_column evolve_partitioning set_sort_order"),
    "approvals.read": (
        "approve_request reject_request get_approval_rules list_approvals get_approval get_approval_notifications"
    ),
    "approvals.comment": ("list_approval_comments add_approval_comment"),
    "approvals.decide": ("revoke_share list_pending_approvals"),
    "semantic.read": (
        "list_metrics get_metric search_metrics list_metric_versions list_semantic_models get_semantic_model"
        " list_semantic_model_versions export_semantic_model list_verified_queries list_knowledge"
        " list_verified_query_versions list_knowledge_versions"
    ),
    "semantic.edit": (
        "list_feedback review_feedback create_metric update_metric delete_metric restore_metric"
        " create_semantic_model update_semantic_model delete_semantic_model restore_semantic_model"
        " import_semantic_model propose_semantic_model create_verified_query update_verified_query"
        " delete_verified_query create_knowledge update_knowledge delete_knowledge"
        " restore_verified_query restore_knowledge"
    ),
    "agents.read": (
        "get_agent list_agents list_agent_prompts get_agent_tools get_agent_changes get_agent_rate_limit list_models"
        " get_model"
    ),
    "agents.run": (
        "run_workflow get_workflow_run cancel_workflow_run submit_feedback chat run_agent run_agent_stream"
        " get_agent_history list_agent_sessions delete_agent_session list_agent_runs get_agent_run"
        " cancel_agent_run route_to_agent route_to_project_agents"
    ),
    "agents.manage": (
        "create_agent update_agent delete_agent test_agent_connection approve_agent_change"
        " reject_agent_change set_agent_credential update_agent_rate_limit assign_agent_to_project"
        " remove_agent_from_project rollback_agent_prompt"
    ),
    "evals.run": (
        "list_eval_suites get_eval_suite run_eval list_eval_runs get_eval_run delete_eval_run compare_eval_runs"
    ),
    "tenant.read": ("get_query_quota list_query_costs get_tenant list_tenants get_tenant_usage"),
    "tenant.manage": (
        "set_catalog_config update_tenant export_tenant_data get_tenant_export set_approval_rules"
        " list_notices list_notice_destinations get_notice_destination create_notice_destination"
        " delete_notice_destination rotate_notice_secret"
        " create_model update_model delete_model set_default_model"
    ),
    "users.manage": (
        "list_users create_user get_user update_user delete_user restore_user deactivate_user"
        " update_user_role invite_user list_roles create_role update_role delete_role assign_role revoke_role"
        " create_client list_clients rotate_client_secret delete_client reactivate_user create_password_link"
        " get_role get_client update_client"
    ),
    "policies.manage": (
        "list_policies get_policy create_policy update_policy delete_policy test_policy explain_access"
    ),
    "audit.read": ("search_audit verify_audit_log export_audit"),
    "platform.tenants": (
        "create_tenant delete_tenant restore_tenant set_tenant_tier suspend_tenant resume_tenant"
        " set_query_quota purge_tenant"
    ),
    "platform.operate": ("expire_approvals"),
}
"""Permissions, and the tools that need them. A tool that is not here is not decided: add it, with a reason to."""


def allowed(role: str) -> set[str]:
    """The permissions of a role."""
    return {name for roles, names in MATRIX.items() if role in roles.split() for name in names.split()}


def needed() -> dict[str, str]:
    """Permission by tool."""
    return {tool: permission for permission, tools in NEEDS.items() for tool in tools.split()}
