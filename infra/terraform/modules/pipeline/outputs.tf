output "plan_role_arn" {
  description = "The role that plans: the workflow's PLAN_ROLE_ARN."
  value       = aws_iam_role.plan.arn
}
